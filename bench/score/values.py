"""Numbers, money and percentages in running text, as typed values with their exact readings.

A digit is a value only when it stands for an amount. List markers, citations, section and part numbers, versions, fractions,
ordinals, clock times and the parts of dates state no amount, and neither does one end of a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from bench.score.dates import Day, dates
from bench.score.units import BIG, CURRENCY, CURRENCY_AFTER, CURRENCY_BEFORE, SCALES, SMALL, TENS, Unit, unit_at

Kind = Literal["number", "money", "percent"]


@dataclass(frozen=True, slots=True)
class Value:
    """An amount in the text. `amounts` has several members where digits read differently by locale (`1.250`).

    `top` is the other end when this is a range; `rivals` are the values offered beside it with "or"; `noun` is the run of
    words after the number when it has no known unit.
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


_CITATION = re.compile(r"\[\^?\d+(?:\s*[,;–-]\s*\d+)*\]|\^\d+")
_MARKER = re.compile(r"^[ >*•-]*\(?\d{1,3}[.)](?= +\S)", re.MULTILINE)
_OPAQUE = re.compile(
    r"\w*\d\w*(?:[:/]\w*\d\w*)+|(?<!\d)\d+(?:-\d+){2,}|\d[\d.,]*\s*[x×]\s*\d[\d.,]*(?:\s*[x×]\s*\d[\d.,]*)*|±\s*\d[\d.,]*"
)
_SPELLED_TWICE = re.compile(r"(?P<a>[A-Za-z-]+(?:[ -][A-Za-z]+){0,6}?) ?\((?P<b>\d[\d,.]*)\)|(?P<c>\d[\d,.]*) ?\((?P<d>[A-Za-z]+(?:[ -][A-Za-z]+){0,6}?)\)")


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _masked(text: str, days: list[Day]) -> str:
    """The text, same length, with everything that only looks like an amount replaced: blanks for marks, `x` for codes."""
    for day in days:
        text = text[: day.start] + "~" * (day.end - day.start) + text[day.end :]
    text = _MARKER.sub(_blank, _CITATION.sub(_blank, text))
    text = _OPAQUE.sub(lambda m: "_" * len(m[0]), text)
    return _SPELLED_TWICE.sub(_once, text)


def _once(match: re.Match[str]) -> str:
    """`thirty (30)` and `30 (thirty)` become one number, when both say the same."""
    digits, words = match["b"] or match["c"], match["a"] or match["d"]
    for start in [m.start() for m in re.finditer(r"(?<![A-Za-z-])[A-Za-z]", words)] if match["a"] else [0]:
        spelled = spell(words, start)
        if spelled and spelled[1] == len(words) and spelled[0] in readings(digits):
            blank = " " * (len(match[0]) - start - len(digits))
            return words[:start] + blank + digits if match["a"] else digits + " " * (len(match[0]) - len(digits))
    return match[0]


_WORD = "|".join(sorted([*SMALL, *TENS], key=len, reverse=True))
_CANDIDATE = re.compile(
    r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)*|\d+(?:[.,']\d+)*|(?<!\d)\.\d+"
    rf"|(?<![\w-])(?:half an? dozen|half an?(?= )|an? dozen|an? hundred|an? thousand|an? million|(?:{_WORD})(?![a-z]))"
    r"|(?:(?<=within )|(?<=after )|(?<=for )|(?<=is )|(?<=in )|(?<=least )|(?<=most )|(?<=than )|(?<=: ))an?(?= [a-z])",
    re.IGNORECASE,
)


def readings(literal: str, *, money: bool = False, scaled: bool = False) -> frozenset[Decimal]:
    """What a number in digits can mean; empty when it is not one number (`1.2.3`, `007`).

    Both locales are read. `1,250` is a thousand, because a decimal comma before exactly three digits is rare; `1.250` can be
    either, except in money (two decimals) and before `000`, where it is a thousand. `1.250 million` keeps both.
    """
    marks = re.findall(r"[.,' ]", literal)
    groups = re.split(r"[.,' ]", literal)
    if literal.startswith("."):
        return frozenset({Decimal("0" + literal)})
    if len(groups[0]) > 2 and groups[0].startswith("0"):
        return frozenset()
    if not marks:
        return frozenset({Decimal(literal)})
    whole = Decimal("".join(groups))
    grouped = len(groups[0]) <= 3 and not groups[0].startswith("0") and all(len(g) == 3 for g in groups[1:])
    indian = len(groups) > 2 and len(groups[0]) <= 2 and len(groups[-1]) == 3 and all(len(g) == 2 for g in groups[1:-1])
    if len(set(marks)) == 1 and (len(marks) > 1 or marks[0] in "' "):
        return frozenset({whole} if grouped or (indian and marks[0] == ",") else ())
    decimal = Decimal("".join(groups[:-1]) + "." + groups[-1])
    if len(marks) == 1:
        if not grouped:
            return frozenset({decimal})
        if marks[0] == "," and not scaled:
            return frozenset({whole})
        if (money and not scaled) or groups[-1] == "000":
            return frozenset({whole})
        return frozenset({whole, decimal})
    thousands_ok = len(groups[0]) <= 3 and all(len(g) == 3 for g in groups[1:-1])
    if len(set(marks[:-1])) == 1 and marks[-1] in ".," and marks[-1] != marks[0] and thousands_ok:
        return frozenset({decimal})
    return frozenset()


def spell(text: str, pos: int) -> tuple[Decimal, int] | None:
    """The number in words at `pos` and where it ends: "twenty-four", "one hundred and twenty", "two and a half"."""
    total, current, end, last = 0, 0, None, 10**12
    article = re.compile(r"an? (?=hundred|thousand|million|dozen)", re.I).match(text, pos)
    if article:
        current, pos, end, last = 1, article.end(), article.end(), 1
    token = re.compile(r"(and )?([A-Za-z]+)", re.I)
    while match := token.match(text, pos):
        word = match[2].lower()
        if match[1] and (end is None or last < 100):
            break
        if word in SMALL and (end is None or (last >= 20 and not (SMALL[word] > 9 and last < 100) and SMALL[word] > 0)):
            current, last = current + SMALL[word], 1
        elif word in TENS and (end is None or last >= 100):
            current, last = current + TENS[word], TENS[word]
        elif word == "hundred" and end is not None and 0 < current < 100:
            current, last = current * 100, 100
        elif word == "dozen" and end is not None and 0 < current < 100:
            return Decimal(current * 12), match.end()
        elif word in BIG and end is not None and current:
            total, current, last = total + current * BIG[word], 0, BIG[word]
        else:
            break
        end = match.end()
        gap = re.compile(r"[ -](?=[A-Za-z])").match(text, end)
        if not gap:
            break
        pos = gap.end()
    if end is None:
        return None
    half = re.compile(r" and a half\b", re.I).match(text, end)
    return (Decimal(total + current) + (Decimal("0.5") if half else 0), half.end() if half else end)


_LABEL = re.compile(
    r"(?:§+|#|\b(?:section|sect|sec|clause|article|art|paragraph|para|passages?|sources?|documents?|docs?|pages?|pp?|steps?|annex|appendix|chapter|figure|fig|"
    r"table|version|ver|v|edition|revision|rev|item|lines?|rows?|question|q|invoice|ticket|part|room|rule|level|tier|class|category|phase|stage|schedule|"
    r"no\.|nos\.|nr\.?))[ .:]*(?:no\.? ?|number |#)?$",
    re.IGNORECASE,
)
_SCALE = re.compile(r"(k|K|M|bn|mn|mln|mio\.?|B)(?!\w)| ?(?:(thousand|million|billion|dozen|hundred|mn|mln|mio\.?|bn)|(k|K|M|m|B))(?![\w'])", re.IGNORECASE)
_PERCENT = re.compile(r"[ -]{0,2}\(?(?:%(?!-?(?:age )?points?\b)|(?:per[ -]?cent|pct\.?)(?!age)(?! points?)\b)", re.IGNORECASE)
_PERCENT_POINT = re.compile(r" ?% ?-?points?\b", re.IGNORECASE)


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
    sign, before = _sign(before) if in_digits else (-1 if re.search(r"\b(?:minus|negative) $", before, re.I) else 1, before)
    currency = CURRENCY_BEFORE.search(before) if in_digits or re.search(r"[A-Z]{3} $", before) else None
    if currency:
        sign *= -1 if re.search(r"(?:^|[\s(:=|])[-–] ?$", before[: currency.start()]) else 1
    elif in_digits and re.search(r"(?:\w|\w[-–.+]|[_/^=])$", before) and not re.search(r"\d ?[-–]$|^-$", before):
        return None, end
    pos = end
    if in_digits and (suffix := re.compile(r"[,.](?:-|–)+").match(text, pos)):
        pos = suffix.end()  # "1.250,-"
    factor, pos, scaled = _scale(text, pos, bool(currency))
    amounts = readings(literal, money=bool(currency), scaled=scaled) if in_digits else frozenset({amount})
    after = CURRENCY_AFTER.match(text, pos)
    if currency or after:
        names = after[1] if after and (not currency or after[1].upper() == after[1] and after[1].isalpha()) else currency[1] if currency else ""
        if in_digits and not currency:
            amounts = readings(literal, money=True, scaled=scaled)
        stop = after.end() if after else pos
        amounts = frozenset(sign * factor * a for a in amounts)
        return (Value("money", amounts, currency_start(before, currency, start), stop, currencies=CURRENCY[names.lower()]) if amounts else None), stop
    amounts = frozenset(sign * factor * a for a in amounts)
    if not amounts:
        return None, end
    if percent := _PERCENT.match(text, pos):
        return Value("percent", amounts, start, percent.end()), percent.end()
    if point := _PERCENT_POINT.match(text, pos):
        return Value("number", amounts, start, point.end(), unit=Unit("percentage point", Decimal(1))), point.end()
    gap = re.compile(r" {0,40}\(| {0,40}-?(?:of an |of a )?").match(text, pos)
    stands = gap.end() if gap else pos
    if found := unit_at(text, stands):
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
    if match := re.search(r"\b(?:minus|negative) $", before, re.I):
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


def _noun(text: str, pos: int) -> str:
    """Up to four words after a number, within its clause."""
    match = re.compile(r"[ -](?:[A-Za-z][\w'-]*(?: (?=[A-Za-z])|$|(?=\W))){1,4}").match(text, pos)
    return match[0].strip(" -").lower() if match else ""


_TIMES = ("month", "calendar", "working", "clock")


def _compounds(text: str, found: list[Value]) -> list[Value]:
    """`1 hour 30 minutes` is 90 minutes, and neither 1 hour nor 30 minutes; `1 year and 10 days` is neither of its parts."""
    out: list[Value] = []
    for value in found:
        last = out[-1] if out else None
        if last and last.unit and value.unit and last.unit.family in _TIMES and value.unit.family in _TIMES:
            joined = re.fullmatch(r",?(?: and)? ?", text[last.end : value.start])
            smaller = (_TIMES.index(value.unit.family), -value.unit.factor) > (_TIMES.index(last.unit.family), -last.unit.factor)
            if joined and smaller and "working" not in (last.unit.family, value.unit.family):
                out.pop()
                same = last.unit.family == value.unit.family
                total = {a * last.unit.factor + b * value.unit.factor for a in last.amounts for b in value.amounts} if same else ()
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
    r"\b(?:up|down|raised|increased|extended|lengthened|changed|reduced|lowered|cut|shortened|moved|amended|went|rose|fell|dropped)\b(?: \w+){0,3} from $", re.I
)


def _ranges(text: str, found: list[Value]) -> list[Value]:
    """`10–20 days`, `between 10 and 20 days` become one range. "Raised from 10 to 20 days" is a change: both ends stay values."""
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
        return replace(a, kind=b.kind, amounts=amounts, unit=Unit(unit.family, Decimal(1)) if unit else None, currencies=b.currencies)
    return replace(a, amounts=_scaled(a), unit=Unit(a.unit.family, Decimal(1)) if a.unit else None)


def _rivals(text: str, found: list[Value]) -> list[Value]:
    """Marks values offered side by side: "14 or 30 days", "14, 30 or 45 days". Each then states itself only if all are right."""
    groups: list[list[Value]] = []
    for value in found:
        last = groups[-1][-1] if groups else None
        link = text[last.end : value.start] if last else ""
        if last and _alike(last, value) and re.fullmatch(r",?\s+(?:or|vs\.?|versus|alternatively)(?: (?:even|maybe|perhaps|possibly|rather|else))? |,\s+", link):
            groups[-1].append(value)
        else:
            groups.append([value])
    out: list[Value] = []
    for group in groups:
        joined = len(group) > 1 and re.search(r"\b(?:or|vs|versus|alternatively)\b", text[group[0].end : group[-1].start])
        if not joined:
            out.extend(group)
            continue
        dressed = [_with_kind(v, group[-1]) for v in group]
        out.extend(replace(v, rivals=tuple(dressed[:i] + dressed[i + 1 :])) for i, v in enumerate(dressed))
    return out
