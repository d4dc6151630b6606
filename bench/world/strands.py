"""Strands: hand-written matters of a meeting, a thread, a log or a report, with slots for what they state.

A strand is a text in two parts. The first opens the matter and may name values that do not stand: a first guess, a
proposal, another site's figure. The second, which a document may place far behind, says what stands. Slots:

    {+cost eur 3100 4900 50}    states a fact: name, unit, and how it is drawn (lowest, highest, step)
    {+until date 2026-04-01 2026-05-08}, {+who name}, {+when clock 9 17}, {+firm one Inkeloo|Papyrel}
    {-cost ~Lille|list}         another value of the fact, which does not stand; words that mark it as put aside
    {=cost}                     the fact's value again
"""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, reduce
from importlib.resources import files
from typing import Any

from bench.world.names import hand_list
from bench.world.values import CURRENCIES, TEXTS, UNITS, spoken, typed

GENRES = ("transcript", "thread", "incident", "report", "minutes", "handover")
SLOT = re.compile(r"\{([+=-])([a-z_]+)('?)(?: ~([^}]*)| ([^}]*))?\}")
_WRITTEN_UNITS = {"mwh": "MWh", "kwh": "kWh"}
_MEASURE_WORDS = """
cdays wdays days weeks months years hours minutes seconds ms mm cm metres km km/h grams kg tonnes litres bar celsius
decibels gigabytes megabytes mwh kwh
"""
_MEASURES = frozenset([*_MEASURE_WORDS.split(), "square metres", "cubic metres"])
"""Units that belong to the value; any other word says what is counted, and a summary may name that otherwise."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A fact as the bank describes it. `last` tells whether the second part states it."""

    name: str
    unit: str
    limits: tuple[str, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Strand:
    """One matter. `parts` hold (speaker, text) lines; `about` are stems of words that name the matter."""

    genre: str
    title: str
    about: tuple[str, ...]
    parts: tuple[tuple[tuple[str, str], ...], ...]
    summary: str
    slots: Mapping[str, Slot]

    @property
    def key(self) -> str:
        return self.genre + "-" + re.sub(r"[^a-z]+", "-", self.title.lower()).strip("-")


@cache
def strands(genre: str) -> tuple[Strand, ...]:
    """The strands of a genre, in the order of its file."""
    text = (files("bench.world") / "bank" / "summarize" / f"{genre}.md").read_text(encoding="utf-8")
    return tuple(_read(genre, block) for block in re.split(r"^# ", text, flags=re.M)[1:])


def _read(genre: str, block: str) -> Strand:
    head, *lines = [line for line in block.split("\n") if line.strip()]
    title, _, about = (part.strip() for part in head.partition("|"))
    parts: list[list[tuple[str, str]]] = [[]]
    summary = ""
    for line in lines:
        if line == ">>":
            parts.append([])
        elif line.startswith("=> "):
            summary = line[3:]
        else:
            parts[-1].append((line[0], line[3:]))
    slots: dict[str, Slot] = {}
    for number, part in enumerate(parts):
        for _, text in part:
            for sign, name, _, _, given in SLOT.findall(text):
                if sign == "+":
                    unit, limits = _unit_and_limits(given)
                    if name in slots:
                        raise ValueError(f"{genre}: {title}: {name} is stated twice")
                    slots[name] = Slot(name, unit, limits, number == len(parts) - 1)
    used = {match[1] for _, text in [*reduce(operator.iadd, parts, []), ("", summary)] for match in SLOT.findall(text)}
    if len(parts) != 2 or not summary or used != slots.keys():
        raise ValueError(f"{genre}: {title}: want two parts, a summary and a statement for each of {sorted(used)}")
    words = re.findall(r"[a-z]{5,}", re.sub(r"\{[^}]*\}", " ", f"{title} {summary}").lower())
    stems = dict.fromkeys([*about.split(), *(word[:6] for word in words if word not in _COMMON)])
    return Strand(genre, title, tuple(stems), tuple(tuple(part) for part in parts), summary, slots)


_COMMON_WORDS = """
about after again already always another before below beyond costs there their these those three under until where which
while whose would could should takes taken given month months years weeks hours first later starts begins other others
than with from needs
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def _unit_and_limits(given: str) -> tuple[str, tuple[str, ...]]:
    """`training places 4 9` → ("training places", ("4", "9"))."""
    kind, _, rest = given.partition(" ")
    if kind in ("one", "code"):
        return ("phrase" if kind == "one" else "code"), tuple(rest.split("|"))
    match = re.fullmatch(r"(.+?)((?: [\d.-]+)*)", given)
    assert match is not None
    return match[1], tuple(match[2].split())


@dataclass(frozen=True, slots=True)
class Drawn:
    """A slot's value, as drawn: `value` as the ledger holds it."""

    value: str
    unit: str


class Draw:
    """Values for the slots of one document, no two of a kind alike, so that each can be told from all others."""

    def __init__(self, rng: random.Random, names: list[str]) -> None:
        self._rng, self._names = rng, names
        self._taken: set[tuple[str, str]] = set()

    def value(self, slot: Slot, without: tuple[str, ...] = ()) -> str:
        """A value that no other slot of its kind has. `without` are values of the same fact."""
        kind = _kind(slot.unit)
        for more in (0, 8):  # a short range is widened only when all its values are taken
            pool = [v for v in self._pool(slot, more) if (kind, _plain(v)) not in self._taken and v not in without]
            if pool:
                break
        else:
            raise ValueError(f"{slot.name}: too few values between {slot.limits}")
        chosen = self._rng.choice(pool)
        self._taken.add((kind, _plain(chosen)))
        return chosen

    def _pool(self, slot: Slot, more: int) -> list[str]:
        """Every value a slot can take, and for numbers so many more above."""
        unit, limits = slot.unit, slot.limits
        if unit in ("phrase", "code"):
            return list(limits)
        if unit == "name":
            return self._names
        if unit == "date":
            first, last = (date.fromisoformat(limit) for limit in limits)
            days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
            return [day.isoformat() for day in days if day.weekday() < 5]
        if unit == "clock":
            low, high = int(limits[0]), int(limits[1])
            return [f"{hour:02d}:{minute:02d}" for hour in range(low, high + 1) for minute in range(10, 60, 5)]
        low_amount, high_amount = Decimal(limits[0]), Decimal(limits[1])
        step = Decimal(limits[2]) if len(limits) > 2 else Decimal(1)
        count = int((high_amount - low_amount) / step) + 1 + more
        return [str(low_amount + n * step) for n in range(count)]


def _plain(value: str) -> str:
    """5.0 and 5 are one value."""
    return f"{Decimal(value).normalize():f}" if re.fullmatch(r"\d+(?:\.\d+)?", value) else value


def _kind(unit: str) -> str:
    return unit if unit in TEXTS or unit in _MEASURES or unit in (*CURRENCIES, "pct", "date", "name") else "count"


def people(rng: random.Random, count: int) -> list[str]:
    """Full names, no two with one surname."""
    firsts, lasts = hand_list("first"), hand_list("last")
    return [f"{first} {last}" for first, last in zip(rng.sample(firsts, count), rng.sample(lasts, count), strict=True)]


def say(value: str, unit: str, *, year: bool = True) -> str:
    """A value with its unit, as a document writes it."""
    if unit == "date":
        text = spoken(value, unit)
        return text if year else text.rsplit(" ", 1)[0]
    if unit in TEXTS or unit in CURRENCIES or unit == "name":
        return spoken(value, unit)
    number = f"{Decimal(value).normalize():,f}"
    if unit == "pct":
        return f"{number} %"
    return f"{number} {_unit_word(unit)}"


def _unit_word(unit: str) -> str:
    return _WRITTEN_UNITS.get(unit) or UNITS.get(unit) or unit


def fact(value: str, unit: str) -> dict[str, Any]:
    """The typed form that scorers read. A counted number comes without its noun, which a summary may change."""
    if unit == "date":
        return {"type": "date", "value": value, "year_optional": True}
    if unit == "name":
        first, _, last = value.partition(" ")
        return {"type": "name", "value": value, "aliases": [f"{first[0]}. {last}", last]}
    if unit in TEXTS or unit in CURRENCIES:
        return typed(value, unit)
    number = f"{Decimal(value).normalize():f}"
    if unit == "pct":
        return {"type": "percent", "value": number}
    if unit not in _MEASURES:
        return {"type": "number", "value": number}
    return {"type": "number", "value": number, "unit": _unit_word(unit)}


def decoys(strand: Strand) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(fact, mark, words that put it aside) of every decoy, in order; the mark tells two of one fact apart."""
    for part in strand.parts:
        for _, text in part:
            for match in SLOT.finditer(text):
                if match[1] == "-":
                    yield match[2], match[3], tuple(filter(None, (match[4] or "").split("|")))
