"""Dates in running text: ISO, `2 March 2026`, `March 2nd, 2026`, `02.03.2026`, `2/3/2026`.

Dotted dates are day first. A date with slashes or dashes and the year last is read only when one reading is possible,
or when the workload says which part comes first; otherwise it states no date, because a guess would score a coin
toss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_NAMES = "january february march april may june july august september october november december"
_MONTHS = _NAMES.split()
_NUMBER = {name[:n]: i for i, name in enumerate(_MONTHS, 1) for n in (3, len(name))} | {"sept": 9}
_MONTH = "|".join(
    form
    for name in _MONTHS
    for short in ({name, name[:3]} | ({"sept"} if name == "september" else set()))
    for form in (short.capitalize(), short.upper())
)
_MONTH_NAME = re.compile(_MONTH)
_DAY = r"(?P<d>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<y>\d{4})"
_EDGE = r"(?<![\w.,/-])"
_END = r"(?![\w/]|[.,-]\d)"
_FORMS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_EDGE}{_YEAR}(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<d>\d{{1,2}})(?:T[\d:.]+Z?)?{_END}",
        rf"{_EDGE}(?:the )?{_DAY}(?: day)?(?: of|\.)?[ -]?(?P<mon>{_MONTH})\b\.?,?[ -]?(?:of )?{_YEAR}{_END}",
        rf"{_EDGE}(?P<mon>{_MONTH})\b\.? (?:the )?{_DAY},? (?:of )?{_YEAR}{_END}",
        rf"{_EDGE}{_YEAR},? (?P<mon>{_MONTH})\b\.? {_DAY}{_END}",
        rf"{_EDGE}(?P<d>\d{{1,2}})\. ?(?P<m>\d{{1,2}})\. ?(?P<y>\d{{4}}|\d{{2}}){_END}",
        rf"{_EDGE}(?P<a>\d{{1,2}})(?P<s>[-/])(?P<b>\d{{1,2}})(?P=s)(?P<y>\d{{4}}|\d{{2}}){_END}",
        rf"{_EDGE}(?P<mon>{_MONTH})\b\.?,? (?:of )?{_YEAR}{_END}",
        rf"{_EDGE}(?:the )?{_DAY}(?: of)? (?P<mon>{_MONTH})\b(?!,? ?\d{{4}})",
        rf"{_EDGE}(?P<mon>{_MONTH})\b\.? (?:the )?{_DAY}{_END}",
        rf"{_EDGE}{_YEAR}-(?P<m>0[1-9]|1[0-2]){_END}",
    )
)


@dataclass(frozen=True, slots=True)
class Day:
    """A date as far as the text says it; all parts None where digits look like a date but cannot be read as one."""

    year: int | None
    month: int | None
    day: int | None
    start: int
    end: int


def dates(text: str, day_first: bool | None = None) -> list[Day]:
    """Every date in the text, in order. `day_first` settles `2/3/2026`; None leaves it unread."""
    found: list[Day] = []
    taken = bytearray(len(text))
    named = _MONTH_NAME.search(text) is not None
    for form in _FORMS:
        if not named and "mon" in form.groupindex:
            continue
        for match in form.finditer(text):
            if any(taken[match.start() : match.end()]):
                continue
            taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
            found.append(Day(*_read(match, day_first), match.start(), match.end()))
    return sorted(_not_ends_of_ranges(text, found), key=lambda d: d.start)


def _read(match: re.Match[str], day_first: bool | None) -> tuple[int | None, int | None, int | None]:
    part = match.groupdict()
    year = int(part["y"]) if part.get("y") else None
    if year is not None and year < 100:
        year += 2000
    if part.get("a"):
        a, b = int(part["a"]), int(part["b"])
        readings = {(d, m) for d, m in ((a, b), (b, a)) if _valid(year, m, d)}
        if len(readings) > 1 and day_first is not None:
            readings = {(a, b) if day_first else (b, a)}
        if len(readings) != 1:
            return None, None, None
        day, month = readings.pop()
        return year, month, day
    month = _NUMBER[part["mon"].lower()] if part.get("mon") else int(part["m"])
    day_of_month = int(part["d"]) if part.get("d") else None
    if not _valid(year, month, day_of_month or 1):
        return None, None, None
    return year, month, day_of_month


def _valid(year: int | None, month: int, day: int) -> bool:
    try:
        date(year or 2000, month, day)  # 2000 has a 29 February
    except ValueError:
        return False
    return True


_RANGE_BEFORE = re.compile(r"(?<![\w.,/-])\d{1,2}(?:st|nd|rd|th)?\s*(?:-|–|to|and|or)\s*(?:the )?$")


def _not_ends_of_ranges(text: str, found: list[Day]) -> Iterator[Day]:
    """In "2–5 March 2026" the text names a span of days, not 5 March."""
    for day in found:
        if _RANGE_BEFORE.search(text[max(0, day.start - 14) : day.start]):
            yield Day(None, None, None, day.start, day.end)
        else:
            yield day
