"""Numbers, money and percentages in running text, as typed values with their exact readings.

A digit is a value only when it stands for an amount. List markers, citations, section and part numbers, versions,
fractions, ordinals, clock times and the parts of dates state no amount, and neither does one end of a range.
"""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise

from bench.score.dates import Day, dates
from bench.score.numerals import readings, said_once, spell
from bench.score.relations import Value, compounds, ranges, rivals
from bench.score.units import CURRENCY, CURRENCY_AFTER, SCALES, SMALL, TENS, Unit, currency_before, unit_at


def values(text: str, day_first: bool | None = None) -> tuple[list[Value], list[Day]]:
    """Every amount and every date in a cleaned text, in order."""
    days = dates(text, day_first)
    masked = _masked(text, days)
    found, pos = [], 0
    while match := _CANDIDATE.search(masked, pos):
        value, pos = _value(masked, match)
        if value:
            found.append(value)
    return rivals(masked, ranges(masked, compounds(masked, found))), days


_CITATION = re.compile(r"\[\^?\d+(?:\s*[,;–-]\s*\d+)*\]|(?<!\d)\^\d+")
_MARKER = re.compile(r"^[ >*•-]*\(?\d{1,3}[.)](?= +\S)", re.MULTILINE)
_OPAQUE = re.compile(
    r"(?<![\d.,])[\d.,]*\d\^\d+|(?<![\d-])\d+(?:-\d+){2,}"
    r"|(?<![\d.,])\d[\d.,]*\s?[x×]\s?\d[\d.,]*(?:\s?[x×]\s?\d[\d.,]*)*|±\s?\d[\d.,]*"
)
_SLASHED = re.compile(r"(?<![\w:/])\w+(?:[:/]\w+)+")


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _without_ratio(match: re.Match[str]) -> str:
    """`14:30`, `30/45` and `2026/A4` state no amount; `EUR 5/day` and `Answer:30` do."""
    parts = [bool(re.search(r"\d", part)) for part in re.split("[:/]", match[0])]
    return "_" * len(match[0]) if any(a and b for a, b in pairwise(parts)) else match[0]


def _masked(text: str, days: list[Day]) -> str:
    """The text, same length, with everything that only looks like an amount replaced.

    Blanks for marks, `_` for codes.
    """
    pieces: list[str] = []
    at = 0
    for day in days:
        pieces += (text[at : day.start], "~" * (day.end - day.start))
        at = day.end
    text = "".join((*pieces, text[at:]))
    text = _MARKER.sub(_blank, _CITATION.sub(_blank, text))
    text = _SLASHED.sub(_without_ratio, _OPAQUE.sub(lambda m: "_" * len(m[0]), text))
    return said_once(text)


_WORD = "|".join(sorted([*SMALL, *TENS], key=len, reverse=True))
_CANDIDATE = re.compile(
    r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)*|\d+(?:[.,']\d+)*|(?<!\d)\.\d+"
    rf"|(?<![\w-])(?:half an? dozen|half an?(?= )|an? dozen|an? hundred|an? thousand|an? million|(?:{_WORD})(?![a-z]))"
    r"|(?:(?<=within )|(?<=after )|(?<=for )|(?<=is )|(?<=in )|(?<=least )|(?<=most )|(?<=than )|(?<=: )"
    r"|(?<![^\n]))an?(?= [a-z])",
    re.IGNORECASE,
)


_LABEL = re.compile(
    r"(?:§+|#|\b(?:section|sect|sec|clause|article|art|paragraph|para|passages?|sources?|documents?|docs?|pages?|pp?"
    r"|steps?|annex|appendix|chapter|figure|fig|"
    r"table|version|ver|v|edition|revision|rev|item|lines?|rows?|question|q|invoice|ticket|part|room|rule|level|tier"
    r"|class|category|phase|stage|schedule|"
    r"no\.|nos\.|nr\.?))[ .:]*(?:no\.? ?|number |#)?$",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"(k|K|M|bn|mn|mln|mio\.?|B)(?!\w)| ?(?:(thousand|million|billion|dozen|hundred|mn|mln|mio\.?|bn)|(k|K|M|m"
    r"|B))(?![\w'])",
    re.IGNORECASE,
)
_PERCENT = re.compile(
    r" {0,40}-?\(?(?:%(?!-?(?:age )?points?\b)|(?:per[ -]?cent|pct\.?)(?!age)(?! points?)\b)", re.IGNORECASE
)
_PERCENT_POINT = re.compile(r" ?% ?-?points?\b", re.IGNORECASE)


_DASH = re.compile(r"(?:(?<=[\s(:=|\[])|(?<=^)|(?<=[€$£]))[-–]$")
_CODE_DASH = re.compile(r"\b(?:[A-Z]{3}) ?[-–]$")
_MINUS = re.compile(r"\b(?:minus|negative) $", re.IGNORECASE)
_DASH_BEFORE = re.compile(r"(?:^|[\s(:=|])[-–] ?$")
_GLUED = re.compile(r"(?:\w|\w[-–.+]|[_/^=])$")
_RANGE_DASH = re.compile(r"\d ?[-–]$|^-$")
_GLUED_AFTER = re.compile(r"[\w_°]|-(?![a-z]{3}|\d)\w|['^]\d")
_NO_CENTS = re.compile(r"[,.](?:-|–)+")
_CODE_AFTER = re.compile(r" ([A-Z]{3})\b")
_TO_UNIT = re.compile(r" {0,40}\(| {0,40}-?(?:of an |of a )?")
_SPLIT_UNIT = re.compile(r" ?\((calendar|working|business)\) days?\b", re.IGNORECASE)
_ARTICLES = {"a": Decimal(1), "an": Decimal(1), "half a": Decimal("0.5"), "half an": Decimal("0.5")}


def _at_end(pattern: re.Pattern[str], before: str, longest: int) -> re.Match[str] | None:
    """A pattern of at most so many characters, searched for where it can begin and still reach the end."""
    return pattern.search(before, max(0, len(before) - longest))


def _value(text: str, match: re.Match[str]) -> tuple[Value | None, int]:
    """The value a candidate states, or None, and where to go on reading."""
    start, end = match.span()
    if not (match[0][0].isdigit() or match[0][0] == "."):
        return _spelled_value(text, match)
    sign, before = _sign(text[max(0, start - 30) : start])
    currency = currency_before(before)
    if currency is None and _at_end(_GLUED, before, 3) and not _RANGE_DASH.search(before):
        return None, end  # P30, 3.30, CX-30
    no_cents = _NO_CENTS.match(text, end)  # "1.250,-"
    pos = no_cents.end() if no_cents else end
    factor, pos, scaled = _scale(text, pos, bool(currency))
    if money := _money_around(text, before, currency, pos):
        codes, sign_before, ahead, stop = money
        amounts = readings(match[0], money=True, scaled=scaled)
        found = Value("money", _times(amounts, sign * sign_before * factor), start - ahead, stop, currencies=codes)
        return (found if amounts else None), stop
    amounts = _times(readings(match[0], scaled=scaled), sign * factor)
    if not amounts:
        return None, end
    if measured := _measured(text, amounts, start, pos):
        return measured, measured.end
    if _LABEL.search(before) or _GLUED_AFTER.match(text, pos):
        return None, end
    return _titled(text, amounts, start, pos) or Value("number", amounts, start, pos, noun=_noun(text, pos)), pos


def _spelled_value(text: str, match: re.Match[str]) -> tuple[Value | None, int]:
    """As `_value`, for a number in words; "a" and "half a" count only before a unit ("a week", "half an hour")."""
    start, end = match.span()
    words = match[0].lower()
    article = words in _ARTICLES
    spelled = (Decimal(6), end) if words.startswith("half") and words.endswith("dozen") else spell(text, start)
    amount, end = (_ARTICLES[words], end) if article else spelled or (None, end)
    if amount is None:
        return None, end
    before = text[max(0, start - 30) : start]
    sign = -1 if _MINUS.search(before) else 1
    factor, pos, _ = _scale(text, end, False)
    amounts = _times(frozenset({amount}), sign * factor)
    code = currency_before(before) if re.search(r"[A-Z]{3} $", before) else None
    if not article and (money := _money_around(text, before, code, pos)):
        codes, sign_before, ahead, stop = money
        return Value("money", _times(amounts, sign_before), start - ahead, stop, currencies=codes), stop
    if measured := _measured(text, amounts, start, pos):
        return measured, measured.end
    if article or _LABEL.search(before) or _GLUED_AFTER.match(text, pos):
        return None, end
    return _titled(text, amounts, start, pos) or Value("number", amounts, start, pos, noun=_noun(text, pos)), pos


def _times(amounts: frozenset[Decimal], factor: int) -> frozenset[Decimal]:
    return frozenset(factor * a for a in amounts)


def _money_around(
    text: str, before: str, currency: tuple[str, int] | None, pos: int
) -> tuple[frozenset[str], int, int, int] | None:
    """The currencies of an amount that ends at `pos`, the sign and the width of what names them before it, and its end.

    A code is more exact than a sign: `€1,250 CAD` and `4,500 kr SEK` are taken by their codes.
    """
    after = CURRENCY_AFTER.match(text, pos)
    if not (currency or after):
        return None
    name, stop = (currency[0] if currency else ""), pos
    if after:
        stop = after.end()
        if not currency or (after[1].isalpha() and after[1].isupper()):
            name = after[1]
        if (code := _CODE_AFTER.match(text, stop)) and code[1].lower() in CURRENCY:
            name, stop = code[1], code.end()
    if currency is None:
        return CURRENCY[name.lower()], 1, 0, stop
    ahead = before[: currency[1]]
    sign = -1 if _DASH_BEFORE.search(ahead) or _MINUS.search(ahead) else 1
    return CURRENCY[name.lower()], sign, len(before) - currency[1], stop


def _measured(text: str, amounts: frozenset[Decimal], start: int, pos: int) -> Value | None:
    """The value with the percent sign or the known unit that follows it."""
    if percent := _PERCENT.match(text, pos):
        return Value("percent", amounts, start, percent.end())
    if point := _PERCENT_POINT.match(text, pos):
        return Value("number", amounts, start, point.end(), unit=Unit("percentage point", Decimal(1)))
    if split := _SPLIT_UNIT.match(text, pos):  # "10 (working) days"
        family = "calendar" if split[1].lower() == "calendar" else "working"
        return Value("number", amounts, start, split.end(), unit=Unit(family, Decimal(1)))
    gap = _TO_UNIT.match(text, pos)
    stands = gap.end() if gap else pos
    found = unit_at(text, stands)
    if found is None or (text[stands - 1] == "-" and found[1] - stands == 1):  # 12-B is a part, 30-day is not
        return None
    unit, stop = _working(text, *found)
    if text[stands - 1] == "(" and text[stop : stop + 1] == ")":
        stop += 1
    return Value("number", amounts, start, stop, unit=unit)


_TITLE = re.compile(r"(?:\b(calendar|working|business) )?\b([A-Za-z]{3,})[\s\"']*\)?\s*[:=|]\s*$", re.IGNORECASE)


def _titled(text: str, amounts: frozenset[Decimal], start: int, pos: int) -> Value | None:
    """The value under a title that names its unit: "Calendar days: 30"."""
    before = text[max(0, start - 40) : start]
    title = _TITLE.search(before) if before.rstrip().endswith((":", "=", "|")) else None
    named = unit_at(title[2], 0) if title else None
    if title is None or named is None or named[1] != len(title[2]):
        return None
    unit = _working(f"({title[1]}", named[0], 0)[0] if title[1] else named[0]
    return Value("number", amounts, start, pos, unit=unit)


def _sign(before: str) -> tuple[int, str]:
    """The sign that stands before a number or between its currency and it, and the text before without that sign."""
    if before.endswith(("-", "–", "-\n", "–\n")):
        if match := _DASH.search(before):
            rest = before[: match.start()]
            return -1, rest if rest[-1:] in "€$£ " else rest + " "
        if _CODE_DASH.search(before):
            return -1, before[:-1].rstrip() + " "
    if match := _at_end(_MINUS, before, 11):
        return -1, before[: match.start()]
    return 1, before


def _scale(text: str, pos: int, money: bool) -> tuple[int, int, bool]:
    """The factor of "k", "million" after a number. A lone "m" is a million only in money; elsewhere it is a metre."""
    match = _SCALE.match(text, pos)
    if not match:
        return 1, pos, False
    name = (match[1] or match[2] or match[3]).rstrip(".")
    short = len(name) == 1
    paid = money or bool(CURRENCY_AFTER.match(text, match.end()))
    if short and not paid and (name not in "kKM" or match[3]):
        return 1, pos, False
    return SCALES[name.lower()], match.end(), True


_WORKING = re.compile(r"'? ?\((?:\w+ ){0,2}?(working|business|calendar)\b[^)]{0,20}\)?", re.I)


def _working(text: str, unit: Unit, end: int) -> tuple[Unit, int]:
    """`30 days (working days)` are working days."""
    tail = _WORKING.match(text, end)
    if tail is None or unit.family != "calendar":
        return unit, end
    return (unit, tail.end()) if tail[1].lower() == "calendar" else (Unit("working", unit.factor), tail.end())


_NOT_NOUNS = """and or to until but with is are was were if when as then because after before from by at on in for per
since so"""
_NO_NOUN = frozenset(_NOT_NOUNS.split())
_NOUN = re.compile(r"(?: {1,40}|-)(?:[A-Za-z][\w'-]*(?: (?=[A-Za-z])|$|(?=\W))){1,4}")


def _noun(text: str, pos: int) -> str:
    """Up to four words after a number, within its clause."""
    match = _NOUN.match(text, pos)
    words = match[0].strip(" -").lower() if match else ""
    return "" if words.split(" ")[0] in _NO_NOUN else words
