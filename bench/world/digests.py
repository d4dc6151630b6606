"""Summaries of known quality: the written reference, and what look-alike clouds answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from bench.world.ledger import GROUP
from bench.world.replies import made_up
from bench.world.strands import SLOT, Strand, say
from bench.world.values import MONTHS, load_yaml

Values = Mapping[tuple[str, str, str], str]
"""What was drawn: by the strand's key, the fact's name and the scope (the group's, or one that does not stand)."""


def reference(order: Sequence[Strand], values: Values, title: str) -> str:
    """The written summary: one or two sentences a matter, with everything that stands."""
    return f"{title.partition(',')[0]}: " + " ".join(_filled(strand, values) for strand in order)


def answers(
    item: Mapping[str, Any], order: Sequence[Strand], values: Values, rng: random.Random
) -> dict[str, list[str]]:
    """Replies by kind. Right: all that stands. Wrong: values put aside, made-up values, a matter cut off, too long."""
    words = load_yaml("bank/summarize.yaml")["replies"]
    heads: list[str] = rng.sample(words["heads"], 2)
    listed = "\n\n".join(f"**{strand.title}**\n- {_filled(strand, values, other=True)}" for strand in order)
    told = " ".join(_filled(strand, values) for strand in order)
    mistaken = " ".join(_filled(strand, _with_decoys(strand, values)) for strand in order)
    invented = " ".join(_filled(strand, _made_up(values, rng)) for strand in order)
    missing = item["max_words"] * 3 // 2 - len(told.split())
    ramble = " ".join([words["ramble"]] * (missing // len(words["ramble"].split()) + 1))
    return {
        "right": [f"{heads[0]} {told}", f"{heads[1]}\n\n{listed}"],
        "wrong": [
            f"{heads[0]} {mistaken}",
            f"{heads[0]} {invented}",
            f"{heads[0]} {' '.join(told.split()[: len(told.split()) // 3])}",
            f"{heads[0]} {told} {ramble}",
        ],
        "abstain": [words["refusal"]],
    }


def _filled(strand: Strand, values: Values, *, other: bool = False) -> str:
    """The strand's summary with its values, or with the same values as another writer would put them."""

    def put(match: Any) -> str:
        name = match[2]
        value, unit = values[strand.key, name, GROUP], strand.slots[name].unit
        return _otherwise(value, unit) if other else say(value, unit)

    return SLOT.sub(put, strand.summary)


def _otherwise(value: str, unit: str) -> str:
    """The same value in another form."""
    if unit == "date":
        day = date.fromisoformat(value)
        return f"{MONTHS[day.month - 1][:3]} {day.day}"
    if unit == "name":
        return f"{value[0]}. {value.partition(' ')[2]}"
    text = say(value, unit)
    if unit == "eur":
        return f"€{text[4:]}"
    return text.replace(" %", " per cent")


def _with_decoys(strand: Strand, values: Values) -> dict[tuple[str, str, str], str]:
    """The values with each fact replaced by the value that was put aside, where there is one."""
    mixed = dict(values)
    for (key, name, scope), value in values.items():
        if key == strand.key and scope != GROUP:
            mixed[key, name, GROUP] = value
    return mixed


def _made_up(values: Values, rng: random.Random) -> dict[tuple[str, str, str], str]:
    """Numbers that no document states; names, dates and words stay."""
    mixed = dict(values)
    for key, value in values.items():
        if key[2] == GROUP and value.replace(".", "", 1).isdigit():
            mixed[key] = made_up((value, "count"), rng)[0]
    return mixed
