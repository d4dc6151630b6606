"""Numbers, money and percentages in running text, as typed values with their exact readings.

A digit is a value only when it stands for an amount. List markers, citations, section and part numbers, versions,
fractions, ordinals, clock times and the parts of dates state no amount, and neither does one end of a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from bench.score.dates import Day, dates
from bench.score.numerals import readings, said_once, spell
from bench.score.units import CURRENCY, CURRENCY_AFTER, CURRENCY_BEFORE, SCALES, SMALL, TENS, Unit, unit_at

Kind = Literal["number", "money", "percent"]


@dataclass(frozen=True, slots=True)
class Value:
    """An amount in the text. `amounts` has several members where digits read differently by locale (`1.250`).

    `top` is the other end when this is a range; `rivals` are the values offered beside it with "or"; `noun` is the
    run of words after the number when it has no known unit.
    """

    kind: Kind
    amounts: frozenset[Decimal]
    start: int
    end: int
    unit: Unit | None = None
    currencies: frozenset[str] = frozenset()
    noun: str = ""
    top: frozenset[Decimal] | None = None
    rivals: tuple[Value, ...] = ()


def values(text: str, day_first: bool | None = None) -> tuple[list[Value], list[Day]]:
    """Every amount and every date in a cleaned text, in order."""
    days = dates(text, day_first)
    masked = _masked(text, days)
    found, pos = [], 0
    while match := _CANDIDATE.search(masked, pos):
        value, pos = _value(masked, match)
        if value:
            found.append(value)
    return _rivals(masked, _ranges(masked, _compounds(masked, found))), days


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
    for day in days:
        text = text[: day.start] + "~" * (day.end - day.start) + text[day.end :]
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


_MINUS = re.compile(r"\b(?:minus|negative) $", re.IGNORECASE)


def _value(text: str, match: re.Match[str]) -> tuple[Value | None, int]:
    """The value a candidate states, or None, and where to go on reading."""
    start, end = match.span()
    in_digits = match[0][0].isdigit() or match[0][0] == "."
    if in_digits:
        literal = match[0]
    else:
        low = match[0].lower()
        spelled = (Decimal("0.5"), end) if low in ("half a", "half an") else spell(text, start)
        if low.startswith("half") and low.endswith("dozen"):
            spelled = (Decimal(6), end)
        if low in ("a", "an"):
            spelled = (Decimal(1), end)
        if spelled is None:
            return None, end
        amount, end = spelled
    before = text[max(0, start - 30) : start]
    sign, before = _sign(before) if in_digits else (-1 if _MINUS.search(before) else 1, before)
    currency = CURRENCY_BEFORE.search(before) if in_digits or re.search(r"[A-Z]{3} $", before) else None
    if currency:
        sign *= (
            -1
            if re.search(r"(?:^|[\s(:=|])[-–] ?$", before[: currency.start()])
            or _MINUS.search(before[: currency.start()])
            else 1
        )
    elif in_digits and re.search(r"(?:\w|\w[-–.+]|[_/^=])$", before) and not re.search(r"\d ?[-–]$|^-$", before):
        return None, end
    pos = end
    if in_digits and (suffix := re.compile(r"[,.](?:-|–)+").match(text, pos)):
        pos = suffix.end()  # "1.250,-"
    factor, pos, scaled = _scale(text, pos, bool(currency))
    amounts = readings(literal, money=bool(currency), scaled=scaled) if in_digits else frozenset({amount})
    after = CURRENCY_AFTER.match(text, pos)
    if currency or after:
        names = (
            after[1]
            if after and (not currency or (after[1].upper() == after[1] and after[1].isalpha()))
            else currency[1]
            if currency
            else ""
        )
        if in_digits and not currency:
            amounts = readings(literal, money=True, scaled=scaled)
        stop = after.end() if after else pos
        if after and (code := re.compile(r" ([A-Z]{3})\b").match(text, stop)) and code[1].lower() in CURRENCY:
            names, stop = code[1], code.end()  # "4,500 kr SEK"
        amounts = frozenset(sign * factor * a for a in amounts)
        return (
            Value("money", amounts, currency_start(before, currency, start), stop, currencies=CURRENCY[names.lower()])
            if amounts
            else None
        ), stop
    amounts = frozenset(sign * factor * a for a in amounts)
    if not amounts:
        return None, end
    if percent := _PERCENT.match(text, pos):
        return Value("percent", amounts, start, percent.end()), percent.end()
    if point := _PERCENT_POINT.match(text, pos):
        return Value("number", amounts, start, point.end(), unit=Unit("percentage point", Decimal(1))), point.end()
    gap = re.compile(r" {0,40}\(| {0,40}-?(?:of an |of a )?").match(text, pos)
    stands = gap.end() if gap else pos
    if split := re.compile(r" ?\((calendar|working|business)\) (?=days?\b)", re.I).match(
        text, pos
    ):  # "10 (working) days"
        family = "calendar" if split[1].lower() == "calendar" else "working"
        stop = split.end() + len("days")
        return Value("number", amounts, start, stop, unit=Unit(family, Decimal(1))), stop
    found = unit_at(text, stands)
    if found and not (text[stands - 1] == "-" and found[1] - stands == 1):  # 12-B is a part, 30-day is not
        unit, stop = _working(text, *found)
        if text[stands - 1 : stands] == "(" and text[stop : stop + 1] == ")":
            stop += 1
        return Value("number", amounts, start, stop, unit=unit), stop
    if not in_digits and match[0].lower() in ("a", "an", "half a", "half an"):
        return None, end
    if _LABEL.search(before) or re.match(r"[\w_°]|-(?![a-z]{3}|\d)\w|['^]\d", text[pos : pos + 5]):
        return None, end
    if ahead := re.search(r"([\w.]+)[\s\"']*\)?\s*[:=|]\s*$", text[max(0, start - 40) : start]):
        titled = unit_at(ahead[1], 0)
        if titled and titled[1] == len(ahead[1]) and len(ahead[1]) > 2:  # "Days: 30"
            whole = re.search(r"(calendar|working|business) $", text[: max(0, start - 40) + ahead.start()], re.I)
            unit = _working(f"({whole[1]}", titled[0], 0)[0] if whole else titled[0]
            return Value("number", amounts, start, pos, unit=unit), pos
    return Value("number", amounts, start, pos, noun=_noun(text, pos)), pos


def currency_start(before: str, currency: re.Match[str] | None, start: int) -> int:
    """Where a money value begins, so that words before it are looked up before its currency."""
    return start - (len(before) - currency.start()) if currency else start


def _sign(before: str) -> tuple[int, str]:
    if match := re.search(r"(?:(?<=[\s(:=|\[])|(?<=^)|(?<=[€$£]))[-–]$", before):
        return -1, before[: match.start()] if before[: match.start()][-1:] in "€$£ " else before[: match.start()] + " "
    if re.search(r"\b(?:[A-Z]{3}) ?[-–]$", before):
        return -1, before[:-1].rstrip() + " "
    if match := _MINUS.search(before):
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


def _working(text: str, unit: Unit, end: int) -> tuple[Unit, int]:
    """`30 days (working days)` are working days."""
    tail = re.compile(r"'? ?\((?:\w+ ){0,2}?(working|business|calendar)\b[^)]{0,20}\)?", re.I).match(text, end)
    if tail is None or unit.family != "calendar":
        return unit, end
    return (unit, tail.end()) if tail[1].lower() == "calendar" else (Unit("working", unit.factor), tail.end())


_NOT_NOUNS = """and or to until but with is are was were if when as then because after before from by at on in for per
since so"""
_NO_NOUN = frozenset(_NOT_NOUNS.split())


def _noun(text: str, pos: int) -> str:
    """Up to four words after a number, within its clause."""
    match = re.compile(r"(?: {1,40}|-)(?:[A-Za-z][\w'-]*(?: (?=[A-Za-z])|$|(?=\W))){1,4}").match(text, pos)
    words = match[0].strip(" -").lower() if match else ""
    return "" if words.split(" ")[0] in _NO_NOUN else words


_TIMES = ("month", "calendar", "working", "clock")


def _compounds(text: str, found: list[Value]) -> list[Value]:
    """`1 hour 30 minutes` is 90 minutes, and neither 1 hour nor 30 minutes.

    `1 year and 10 days` is neither of its parts.
    """
    out: list[Value] = []
    for value in found:
        last = out[-1] if out else None
        if last and last.unit and value.unit and last.unit.family in _TIMES and value.unit.family in _TIMES:
            joined = re.fullmatch(r",?(?: and)? ?", text[last.end : value.start])
            smaller = (_TIMES.index(value.unit.family), -value.unit.factor) > (
                _TIMES.index(last.unit.family),
                -last.unit.factor,
            )
            if joined and smaller and "working" not in (last.unit.family, value.unit.family):
                out.pop()
                same = last.unit.family == value.unit.family
                total = (
                    {a * last.unit.factor + b * value.unit.factor for a in last.amounts for b in value.amounts}
                    if same
                    else ()
                )
                base = Unit(value.unit.family if same else "compound", Decimal(1))
                out.append(Value("number", frozenset(total), last.start, value.end, unit=base))
                continue
        out.append(value)
    return out


def _alike(a: Value, b: Value) -> bool:
    """Whether `a`, which may lack its unit ("10 to 20 days"), can be of one kind with `b`."""
    if a.kind == b.kind:
        return a.kind != "number" or not a.unit or not b.unit or a.unit.family == b.unit.family
    return (a.kind == "number" and not a.unit and not a.noun) or (b.kind == "number" and not b.unit and not b.noun)


_MOVED = re.compile(
    r"\b(?:up|down|raised|increased|extended|lengthened|changed|reduced|lowered|cut|shortened|moved|amended|went|rose"
    r"|fell|dropped)\b(?: \w+){0,3} from $",
    re.I,
)


def _ranges(text: str, found: list[Value]) -> list[Value]:
    """`10–20 days`, `between 10 and 20 days` become one range. "Raised from 10 to 20 days" is a change.

    Both ends stay values.
    """
    out: list[Value] = []
    for value in found:
        last = out[-1] if out else None
        if last and last.top is None and _alike(last, value):
            between, before = text[last.end : value.start], text[max(0, last.start - 60) : last.start]
            dash = re.fullmatch(r" ?(?:-|–|\.\.\.?) ?| (?:to|through|up to|and up to) ", between)
            pair = re.fullmatch(r" and ", between) and re.search(r"\bbetween $", before, re.I)
            if (dash or pair) and not _MOVED.search(before):
                out[-1] = replace(_with_kind(last, value), end=value.end, top=_scaled(value), noun=value.noun)
                continue
        out.append(value)
    return out


def _scaled(value: Value) -> frozenset[Decimal]:
    return frozenset(a * value.unit.factor for a in value.amounts) if value.unit else value.amounts


def _with_kind(a: Value, b: Value) -> Value:
    """`a` with the unit or currency that only `b` shows, its amounts in base units."""
    if a.kind == "number" and not a.unit:
        unit = b.unit
        amounts = frozenset(x * unit.factor for x in a.amounts) if unit else a.amounts
        return replace(
            a,
            kind=b.kind,
            amounts=amounts,
            unit=Unit(unit.family, Decimal(1)) if unit else None,
            currencies=b.currencies,
        )
    return replace(a, amounts=_scaled(a), unit=Unit(a.unit.family, Decimal(1)) if a.unit else None)


def _rivals(text: str, found: list[Value]) -> list[Value]:
    """Marks values offered side by side: "14 or 30 days", "14, 30 or 45 days".

    Each then states itself only if all are right.
    """
    groups: list[list[Value]] = []
    for value in found:
        last = groups[-1][-1] if groups else None
        link = text[last.end : value.start] if last else ""
        if (
            last
            and _alike(last, value)
            and re.fullmatch(
                r",?\s+(?:or|vs\.?|versus|alternatively)(?: (?:even|maybe|perhaps|possibly|rather|else))? |,\s+", link
            )
        ):
            groups[-1].append(value)
        else:
            groups.append([value])
    out: list[Value] = []
    for group in groups:
        joined = len(group) > 1 and re.search(
            r"\b(?:or|vs|versus|alternatively)\b", text[group[0].end : group[-1].start]
        )
        if not joined:
            out.extend(group)
            continue
        dressed = [_with_kind(v, group[-1]) for v in group]
        out.extend(replace(v, rivals=tuple(dressed[:i] + dressed[i + 1 :])) for i, v in enumerate(dressed))
    return out
