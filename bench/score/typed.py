"""Are two values of a field the same? One rule per type; the gold is in plain form, the said value as a model put it.

    type      gold                              also accepted
    text      "Line stopped"                    other case, spaces, quotes, accents, a full stop at the end
    name      "Ingrid Ravn"                     "Ravn, Ingrid", "Ms Ingrid Ravn", "and" for "&"
    code      "INV-440217"                      other case, spaces
    enum      "credit_note"                     "Credit note"
    number    1250.5                            "1,250.50", "1.250,50"
    money     {"amount": 9.5, "currency": "EUR"}   "9,50 €", {"amount": "9.50", "currency": "€"}
    quantity  {"value": 840, "unit": "kg"}      {"value": 0.84, "unit": "t"}, "840 kg"
    date      "2026-03-02"                      "2 March 2026", "02.03.2026"; slashes as `day_first` says
    clock     "14:05"                           "14:05:00", "14.05", "2:05 pm"
    bool      true                              nothing else

A value of the wrong JSON type may thus be right here; whether it fits the schema is another scorer's question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from bench.score.dates import dates
from bench.score.numerals import readings
from bench.score.text import clean as _cleaned
from bench.score.units import CURRENCY, unit
from bench.score.values import values

_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "prof", "ing", "dipl"])
_NUMERAL = re.compile(r"([-–]|\()?\s*(\d[\d.,' ]*|\.\d+)\s*(?:%|\))?")
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?::\d{2})?\s*(?:(a|p)\.?m\.?)?(?:\s*(?:h|hrs|o'clock))?")


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """As in `text`, remembered: in lists every key is compared with every other."""
    return _cleaned(text)


def same(kind: str, gold: Any, said: Any, day_first: bool | None = None) -> bool:
    """Whether `said` is `gold` by the rule of the type. Raises KeyError for a type that is none."""
    rule = RULES[kind]
    return bool(rule(gold, said)) if rule is not _date else _date(gold, said, day_first)


def _plain(value: Any) -> str | None:
    """A text as it is compared: one form of letters, one space between words, no quotes or full stop around it."""
    return _one_form(value) if isinstance(value, str) else None


@lru_cache(maxsize=8192)
def _one_form(text: str) -> str:
    return " ".join(clean(text).casefold().split()).strip("\"' .,;:")


def _text(gold: Any, said: Any) -> bool:
    return _plain(gold) == _plain(said)


def _words(value: Any) -> list[str] | None:
    plain = _plain(value)
    if plain is None:
        return None
    return sorted(word for word in re.findall(r"[\w']+", plain.replace("&", " and ")) if word not in _TITLES)


def _name(gold: Any, said: Any) -> bool:
    return _words(gold) == _words(said)


def _code(gold: Any, said: Any) -> bool:
    if isinstance(said, int) and not isinstance(said, bool):
        said = str(said)
    marks = [_signs(v) if isinstance(v, str) else None for v in (gold, said)]
    return marks[0] == marks[1]


@lru_cache(maxsize=8192)
def _signs(code: str) -> str:
    return re.sub(r"\s", "", clean(code)).replace("–", "-").casefold()


def _enum(gold: Any, said: Any) -> bool:
    marks = [re.sub(r"[\W_]", "", v.casefold()) if isinstance(v, str) else None for v in (gold, said)]
    return marks[0] == marks[1]


def _amounts(value: Any) -> frozenset[Decimal]:
    """What a number can mean: one Decimal, two for `1.250` in a text, none for what is no number."""
    if isinstance(value, bool):
        return frozenset()
    if isinstance(value, (int, Decimal)):
        return frozenset({Decimal(value)})
    if isinstance(value, float):
        return frozenset({Decimal(str(value))})
    match = _NUMERAL.fullmatch(clean(value).strip()) if isinstance(value, str) else None
    if match is None:
        return frozenset()
    found = readings(match[2].strip())
    return frozenset(-a for a in found) if match[1] else found


def _number(gold: Any, said: Any) -> bool:
    return bool(_amounts(gold) & _amounts(said))


def _money(gold: Any, said: Any) -> bool:
    currency = gold["currency"]
    if isinstance(said, Mapping):
        named = str(said.get("currency") or "").strip().lower()
        return CURRENCY.get(named) == frozenset({currency}) and _number(gold["amount"], said.get("amount"))
    found = values(clean(said))[0] if isinstance(said, str) else []
    return (
        len(found) == 1
        and found[0].kind == "money"
        and found[0].currencies == {currency}
        and bool(found[0].amounts & _amounts(gold["amount"]))
    )


def _quantity(gold: Any, said: Any) -> bool:
    if isinstance(said, str):
        match = re.fullmatch(r"\s*([-–]?\s?\d[\d.,' ]*)\s*(\D.*?)\s*", said)
        said = {"value": match[1], "unit": match[2]} if match else None
    if not isinstance(said, Mapping):
        return False
    names = [str(v.get("unit") or "").strip() for v in (gold, said)]
    units = [unit(name) for name in names]
    if units[0] is None or units[1] is None:
        return _enum(*names) and _number(gold["value"], said.get("value"))
    if units[0].family != units[1].family:
        return False
    wanted = {amount * units[0].factor for amount in _amounts(gold["value"])}
    return bool(wanted & {amount * units[1].factor for amount in _amounts(said.get("value"))})


def _date(gold: Any, said: Any, day_first: bool | None = None) -> bool:
    if not isinstance(said, str):
        return False
    found = dates(clean(said).strip(), day_first)
    year, month, day = (int(part) for part in gold.split("-"))
    return [(d.year, d.month, d.day) for d in found] == [(year, month, day)]


def _minutes(value: Any) -> int | None:
    match = _CLOCK.fullmatch(clean(value).strip().lower()) if isinstance(value, str) else None
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2])
    if match[3]:
        hour = hour % 12 + (12 if match[3] == "p" else 0)
    return hour * 60 + minute


def _clock(gold: Any, said: Any) -> bool:
    return _minutes(gold) == _minutes(said)


def _bool(gold: Any, said: Any) -> bool:
    return gold is said


RULES: Mapping[str, Callable[..., bool]] = {
    "text": _text,
    "name": _name,
    "code": _code,
    "enum": _enum,
    "number": _number,
    "money": _money,
    "quantity": _quantity,
    "date": _date,
    "clock": _clock,
    "bool": _bool,
}
WHOLE = frozenset(("money", "quantity"))
"""Types whose values are objects and are compared as one field."""


def type_of(gold: Any) -> str:
    """The type of a field that nobody has typed: by its gold value."""
    if isinstance(gold, bool):
        return "bool"
    if isinstance(gold, (int, float, Decimal)):
        return "number"
    if isinstance(gold, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", gold):
        return "date"
    return "text"
