"""Does every number of a text occur in its source? Numbers with units, money, percentages, dates and clock times.

The source is the case's last user message. Amounts are compared exactly, in a common unit: `1.5 hours` occurs where
the source says `90 minutes`, `EUR 4.2k` where it says `4,200 euros`; `15 %` does not occur where the source has 15 days.
A number without a unit occurs where the source has that number with any unit, and the other way round, since the unit of a
table's cell stands in its head. A date occurs by day and month, a month by any of its days. Bare numbers up to twelve are not
looked at: a text may count its own points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from bench.record import Case, Reply, Score
from bench.score.dates import Day
from bench.score.facts import Page, read
from bench.score.relations import Value
from bench.score.text import clean
from bench.score.topics import reached
from bench.score.values import values

COUNTABLE = 12
"""Bare whole numbers up to this one are a text's own counting."""
Key = tuple[str, Decimal]
_CLOCK = re.compile(
    r"(?<![\d:.])(\d{1,2})[:.h](\d{2})(?![\d:]|[.]\d)(?:\s?([ap])\.?m\b)?|(?<![\d:.])(\d{1,2})\s?([ap])\.?m\b", re.I
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a text says in numbers: amounts by kind, days as (month, day), months, and minutes of the day."""

    amounts: frozenset[Key]
    days: frozenset[tuple[int, int]]
    months: frozenset[int]
    clocks: frozenset[int]


@dataclass(slots=True)
class NumericFidelity:
    """The share of a reply's numbers that occur in the source; with `at_least`, 1 when it is reached, else 0."""

    name: str
    at_least: float | None = None
    day_first: bool | None = None
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        source = _source(case)
        if not source:
            return Score(self.name, self.version, None, "the case has no user message")
        if not reply.text.strip():
            return Score(self.name, self.version, 0.0, "the reply has no text")
        page = read(reply.text, self.day_first)
        checked = list(_checked(page, numbers(_prose(source), self.day_first)))
        if not all(occurs for _, occurs in checked):  # tables and traces are long to read, and seldom needed
            checked = list(_checked(page, numbers(source, self.day_first)))
        if not checked:
            return Score(self.name, self.version, None, "the reply has no numbers")
        strange = [words for words, occurs in checked if not occurs]
        share = 1 - len(strange) / len(checked)
        reason = f"{len(checked) - len(strange)} of {len(checked)} numbers occur in the source"
        if strange:
            reason += "; not there: " + ", ".join(strange)
        return Score(self.name, self.version, reached(share, self.at_least), reason)


@lru_cache(maxsize=256)
def _prose(source: str) -> str:
    """The lines that are mostly letters."""
    lines = source.split("\n")
    return "\n".join(line for line in lines if sum(map(str.isalpha, line)) >= 0.7 * len(line))


@lru_cache(maxsize=256)
def numbers(text: str, day_first: bool | None = None) -> Numbers:
    """Every number of a source, read once."""
    plain = clean(text)
    found, days = values(plain, day_first)
    amounts = {key for value in found for key in _keys(value)}
    pairs = {(day.month, day.day) for day in days if day.month and day.day}
    months = {day.month for day in days if day.month}
    amounts |= {("bare", Decimal(day.year)) for day in days if day.year}
    return Numbers(frozenset(amounts), frozenset(pairs), frozenset(months), frozenset(at for _, at in _clocks(plain)))


def _keys(value: Value) -> Iterator[Key]:
    """(kind or unit's family or currency, amount in its base) of both ends of a value, for each reading of its digits."""
    factor = value.unit.factor if value.unit else Decimal(1)
    kinds = sorted(value.currencies) or [value.unit.family if value.unit else value.kind]
    if kinds == ["number"]:
        kinds = ["bare"]
    for kind in kinds:
        yield from ((kind, amount * factor) for amount in value.amounts)
        yield from ((kind, amount) for amount in value.top or ())
    yield from (("any", amount) for amount in value.amounts)


def _checked(page: Page, there: Numbers) -> Iterator[tuple[str, bool]]:
    """Each number of a reply as written, and whether it occurs in the source."""
    text = page.text
    for value in page.values:
        own = [key for key in _keys(value) if key[0] != "any"]
        bare = all(kind == "bare" for kind, _ in own)
        if bare and all(a <= COUNTABLE and a == int(a) for a in value.amounts):
            continue
        looked = [*own, *(("any" if bare else "bare", amount) for amount in value.amounts)]
        yield text[value.start : value.end].strip(), any(key in there.amounts for key in looked)
    for day in page.days:
        if day.month:
            yield text[day.start : day.end].strip(), _is_there(day, there)
    yield from ((words, at in there.clocks) for words, at in _clocks(text))


def _is_there(day: Day, there: Numbers) -> bool:
    assert day.month is not None
    return day.month in there.months if day.day is None else (day.month, day.day) in there.days


def _clocks(text: str) -> Iterator[tuple[str, int]]:
    """Clock times as minutes of the day. `14.25` is taken for a number, as only a colon or an h makes it a time."""
    for match in _CLOCK.finditer(text):
        hour, minute = int(match[1] or match[4]), int(match[2] or 0)
        half = (match[3] or match[5] or "").lower()
        if (match[1] and "." in match[0] and not half) or hour > 23 or minute > 59:
            continue
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        yield match[0].strip(), hour * 60 + minute


def _source(case: Case) -> str:
    for message in reversed(case.messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "\n".join(str(part.get("text", "")) for part in content or ())
    return ""
