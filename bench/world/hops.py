"""What all rules of several hops share: the making of a draft, and a choice that a poor seed cannot break."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from bench.world.corpus import World
from bench.world.draft import Draft, Value
from bench.world.ledger import Fact
from bench.world.records import TODAY
from bench.world.values import load_yaml

T = TypeVar("T")


def draft(
    world: World,
    name: str,
    why: str,
    fill: dict[str, Any],
    *,
    needs: Sequence[Fact],
    gold: Value,
    rejects: Iterable[Value],
    shown: Iterable[Fact] = (),
    traps: tuple[str, ...] = (),
    site: str | None = None,
    on: date = TODAY,
    words: str | None = None,
    also_cited: Mapping[str, Fact] | None = None,
) -> Draft:
    """A draft of several hops, worded by the entry `words` of `bank/chains.yaml`, by default the one of its name.

    `needs[0]` is from the record, `needs[-1]` from the policy; `also_cited` names further records by the mark that
    stands for them in `why`.
    """
    bank = load_yaml("bank/chains.yaml")
    record, rule = world.home(needs[0]), world.home(needs[-1])
    further = {mark: world.home(fact).passage_id for mark, fact in (also_cited or {}).items()}
    return Draft(
        id=f"chain-{name}",
        kind="multi",
        ask=bank[words or name]["ask"].format(**fill),
        box=bank[words or name]["box"].format(**fill),
        needs=tuple(needs),
        gold=(gold,),
        rejects=tuple(dict.fromkeys(value for value in rejects if value != gold)),
        why=bank[why].format(**fill),
        source_doc=rule.doc_id,
        cluster=needs[-1].subject,
        shown=tuple(world.homes(shown)),
        cited={"record": record.passage_id, "rule": rule.passage_id} | further,
        on=on,
        site=site,
        traps=traps,
        asks=needs[-1].key,
    )


def pick(rng: random.Random, wanted: Iterable[T], otherwise: Iterable[T]) -> T:
    """One of the wanted, or one of the others where a seed has none of those."""
    return rng.choice(list(wanted) or list(otherwise))


def some(rng: random.Random, wanted: Iterable[T], most: int) -> list[T]:
    """Up to `most` of the wanted, each once."""
    pool = list(wanted)
    return rng.sample(pool, min(most, len(pool)))
