"""Workload `classify`: messages to the service desks of Calderholt, one of 24 labels or `other` for each.

Every message is written by hand and used once; names, numbers, machines, parts and dates come from the world of the seed, and
what machines write (headers, ticket heads, logs) is generated around it. The label follows from the matters that a message holds
by the rules that the prompt states; the rule that decides is kept with the item.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from bench.world import classify_dress as dress
from bench.world.classify_bank import FIRST_ASKED, OTHER, Written, labels, quotes, written
from bench.world.corpus import World, world
from bench.world.values import load_yaml

DEFAULTS: dict[str, Any] = {"items": 600}


def generate(seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a seed. A smaller set holds part of each label's messages, and only items of the larger one."""
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"params: got {', '.join(unknown)}; want only {', '.join(DEFAULTS)}")
    total = {**DEFAULTS, **params}["items"]
    bank = written()
    if not isinstance(total, int) or not len(labels()) <= total <= len(bank):
        raise ValueError(f"items: got {total}; want a whole number from {len(labels())} to {len(bank)}")
    here = world(seed)
    below = _quotes(seed, bank)
    chosen = sorted(_chosen(seed, bank, total), key=lambda m: random.Random(f"{seed}:classify:place:{m.id}").random())
    return [_item(here, message, below.get(message.id)) for message in chosen]


def _chosen(seed: int, bank: Sequence[Written], total: int) -> list[Written]:
    """Of every label its share, by largest remainder, in an order of its own."""
    by_label: dict[str, list[Written]] = {label: [] for label in labels()}
    for message in bank:
        by_label[message.heading].append(message)
    exact = {label: len(found) * total / len(bank) for label, found in by_label.items()}
    take = {label: int(share) for label, share in exact.items()}
    for label in sorted(exact, key=lambda name: (take[name] - exact[name], name))[: total - sum(take.values())]:
        take[label] += 1
    chosen = []
    for label, found in by_label.items():
        random.Random(f"{seed}:classify:order:{label}").shuffle(found)
        chosen += found[: take[label]]
    return chosen


def _quotes(seed: int, bank: Sequence[Written]) -> dict[str, str]:
    """An earlier message on another matter for each mail that has one below it; none is used twice."""
    free = list(quotes())
    random.Random(f"{seed}:classify:quotes").shuffle(free)
    below = {}
    for message in bank:
        if message.quote:
            at = next(n for n, (label, _) in enumerate(free) if label not in (*message.about, message.near))
            below[message.id] = free.pop(at)[1]
    return below


def _item(here: World, message: Written, quote: str | None) -> dict[str, Any]:
    rng = random.Random(f"{here.seed}:classify:{message.id}")
    asset = dress.asset_for(here, message, rng)
    fill = dress.values(here, asset, rng)
    channel = rng.choice(load_yaml("bank/classify-dress.yaml")["channels"][message.form])
    if message.form == "line":
        text = dress.line(message, channel, fill, rng)
    elif message.form == "mail":
        text = dress.mail(message, fill, quote, rng)
    else:
        text = dress.ticket(here, message, fill, asset, rng)
    return {
        "id": f"classify-{message.id}",
        "channel": channel,
        "received": "Monday 16 March 2026",
        "message": text,
        "metadata": {
            "kind": message.form,
            "tier": _tier(message),
            "label": message.label,
            "matters": list(message.matters),
            "near": message.near,
            "rule": message.rule,
            "traps": _traps(message),
        },
        "expected": {"label": message.label},
        "answers": _answers(message, rng),
    }


def _traps(message: Written) -> list[str]:
    """What makes it harder than one matter in one sentence."""
    found = ["second-matter"] if len(message.about) > 1 else []
    found += ["near-label"] if message.near else []
    found += ["quoted-mail"] if message.quote else []
    found += ["log"] if message.form == "ticket" else []
    found += ["dates-decide"] if message.warranty else []
    return found


def _tier(message: Written) -> str:
    """Difficulty by structure, before any model has run."""
    return ("easy", "medium", "hard")[min(2, len(_traps(message)))]


def _answers(message: Written, rng: random.Random) -> dict[str, list[str]]:
    """Replies of known kind for the look-alike clouds: the label, another label or no label at all, a way out."""
    label = message.label
    losers = [m for m in (message.near, *message.matters, *message.about) if m and m != label]
    others = [name for name in labels() if name not in (label, *losers)]
    wrong = list(dict.fromkeys([*losers, rng.choice(others)]))[:3]
    return {
        "right": [label, label, label, f"`{label}`", f"Label: {label}"],
        "wrong": [
            *wrong,
            *wrong,
            f"This message is about {label.replace('_', ' ')}, so it goes to the {wrong[0]} queue.",
        ],
        "abstain": ["unclear" if label == OTHER else OTHER],
    }


def describe(item: Mapping[str, Any]) -> str:
    """One item as plain text, for readers."""
    about = item["metadata"]
    head = f"== {item['id']}  {about['kind']}  {about['tier']}  {about['traps']}"
    gold = f"Gold: {about['label']}, by {about['rule']}, of {', '.join(about['matters'])}"
    near = f"; near {about['near']}" if about["near"] else ""
    return "\n".join([head, f"[{item['channel']}, {item['received']}]", item["message"], f"{gold}{near}"])


__all__ = ["DEFAULTS", "FIRST_ASKED", "describe", "generate"]
