"""Replies of known kind to a document: what look-alike clouds answer. Each fault is one that real models make."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from bench.world.forms import form
from bench.world.values import load_yaml

REFUSALS = (
    "I am sorry, but I cannot read personal or commercial data out of this document.",
    "I'm not able to help with extracting data from this document.",
)
Place = tuple[dict[str, Any], str]
"""A record and the name of one of its fields."""


def right(gold: Mapping[str, Any]) -> list[str]:
    """The record in two spellings: compact, and with indentation and every list the other way round."""
    turned = {name: value[::-1] if isinstance(value, list) else value for name, value in gold.items()}
    return [_compact(gold), json.dumps(turned, ensure_ascii=False, indent=2)]


def wrong(kind: str, gold: Mapping[str, Any], rng: random.Random) -> list[str]:
    """A misread digit, an invented value, an item too many or too few, an unasked field, broken JSON, and JSON cut off."""
    whole = _compact(gold)
    unasked = {**gold, "confidence": 0.97}
    faulty = [_misread(gold, rng), _invented(kind, gold, rng), _miscounted(gold, rng), unasked]
    return [*map(_compact, faulty), whole[:-1] + ",}", whole[: len(whole) * 3 // 5]]


def _compact(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _places(record: dict[str, Any], path: str = "") -> Iterator[tuple[str, Place]]:
    """Every field of a record with its path; those of list items too."""
    for name, value in record.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from _places(item, here)
        else:
            yield here, (record, name)


def _misread(gold: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """One digit of one value taken for another."""
    made = copy.deepcopy(dict(gold))
    numbers = [place for _, place in _places(made) if _has_digit(place[0][place[1]])]
    record, name = rng.choice(numbers)
    value = record[name]
    if isinstance(value, dict):
        inner = next(iter(value))
        value[inner] = _other_number(value[inner], rng)
    elif isinstance(value, str):
        record[name] = _other_text(value, rng)
    else:
        record[name] = _other_number(value, rng)
    return made


def _has_digit(value: Any) -> bool:
    return not isinstance(value, bool) and value is not None and any(c.isdigit() for c in str(value))


def _other_number(value: float, rng: random.Random) -> float:
    return round(value + rng.choice((1, 3, 10, 30)), 2)


def _other_text(value: str, rng: random.Random) -> str:
    try:
        return (date.fromisoformat(value) + timedelta(days=rng.choice((1, 7, 30)))).isoformat()
    except ValueError:
        n = rng.choice([n for n, c in enumerate(value) if c.isdigit()])
        return value[:n] + str((int(value[n]) + rng.randint(1, 8)) % 10) + value[n + 1 :]


def _invented(kind: str, gold: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """A value for a field that the document does not state; where it states all, one is left out instead."""
    made = copy.deepcopy(dict(gold))
    fields = form(kind)
    empty = [(fields[path], place) for path, place in _places(made) if place[0][place[1]] is None]
    if empty:
        field, (record, name) = rng.choice(empty)
        record[name] = _made_up(field.kind, field.words, gold, rng)
    else:
        optional = [place for path, place in _places(made) if fields[path].nullable]
        record, name = rng.choice(optional)
        record[name] = None
    return made


def _made_up(kind: str, words: tuple[str, ...], gold: Mapping[str, Any], rng: random.Random) -> Any:
    if words and kind == "enum":
        return rng.choice(words)
    made: Mapping[str, Any] = {
        "date": next((v for v in gold.values() if isinstance(v, str) and len(v) == 10 and v[4:5] == "-"), "2026-02-11"),
        "number": rng.randint(2, 60),
        "bool": rng.random() < 0.5,
        "money": {"amount": rng.randint(100, 9000), "currency": "EUR"},
        "quantity": {"value": rng.randint(2, 40), "unit": words[0] if words else ""},
        "clock": "09:30",
        "code": f"X-{rng.randint(1000, 9999)}",
    }
    return made.get(kind) or rng.choice(load_yaml("names.yaml")["nobody"])


def _miscounted(gold: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """An item too many in a list, as when a struck line is taken along; in a record without lists, a name too short."""
    made = copy.deepcopy(dict(gold))
    lists = [name for name, value in made.items() if isinstance(value, list) and value]
    if not lists:
        return _misread(gold, rng)
    items = made[rng.choice(lists)]
    if len(items) > 2 and rng.random() < 0.5:
        items.pop(rng.randrange(len(items)))
    elif isinstance(items[0], dict):
        items.append({**items[0], **{next(iter(items[0])): f"ZZ-{rng.randint(1000, 9999)}"}})
    else:
        items.append(f"ZZ-{rng.randint(1000, 9999)}")
    return made
