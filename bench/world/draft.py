"""What an item is before passages are chosen and replies are written; and the hand-written drafts of the bank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from bench.world.corpus import World
from bench.world.ledger import GROUP, Fact, split_key
from bench.world.records import TODAY
from bench.world.render import Passage
from bench.world.values import load_yaml

Value = tuple[str, str]
"""A value and its unit."""


@dataclass(frozen=True)
class Draft:
    """A question with its gold, before retrieval.

    `needs` are the ledger facts without which it cannot be answered; `gold` and `rejects` are values with units;
    `shown` are passages that have to be among those given, besides the gold ones. `why` explains the answer, and its
    `{record}` and `{rule}` become citations of the passages in `cited`. `on` is the day asked about. `asks` is the key
    of the fact asked for; no document states that of an unanswerable draft.
    """

    id: str
    kind: str
    ask: str
    box: str
    needs: tuple[Fact, ...]
    gold: tuple[Value, ...]
    rejects: tuple[Value, ...]
    why: str
    source_doc: str
    cluster: str
    shown: tuple[Passage, ...] = ()
    cited: Mapping[str, str] | None = None
    on: date = TODAY
    site: str | None = None
    traps: tuple[str, ...] = ()
    asks: str = ""

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the facts asked for: no passage with another value of these may slip in unasked."""
        return frozenset(fact.key for fact in self.needs)


def value_of(fact: Fact) -> Value:
    return fact.value, fact.unit


def singles(world: World) -> list[Draft]:
    """One fact in one passage; with a site, the site's annex is shown beside the group rule."""
    drafts = []
    for spec in load_yaml("bank/single.yaml"):
        subject, predicate, _ = split_key(spec["key"])
        site = spec.get("site")
        fact = required(world, spec["key"], TODAY, site or GROUP)
        others = [f for f in world.ledger.editions(subject, predicate) if f.value != fact.value]
        group = world.ledger.in_force(subject, predicate, TODAY) if site else None
        near = [required(world, key) for key in spec["near"]]
        drafts.append(
            Draft(
                id=f"single-{spec['id']}",
                kind="single",
                ask=spec["ask"],
                box=spec["box"],
                needs=(fact,),
                gold=(value_of(fact),),
                rejects=tuple(dict.fromkeys(value_of(f) for f in [*others, *near])),
                why=spec["why"],
                source_doc=fact.doc_id,
                cluster=subject,
                shown=(world.home(group),) if group else (),
                site=site,
                traps=("annex",) if site else (),
                asks=spec["key"],
            )
        )
    return drafts


def conflicts(world: World) -> list[Draft]:
    """Two editions are shown; the one in force on the day asked about is right."""
    drafts = []
    for spec in load_yaml("bank/conflicting.yaml"):
        subject, predicate, _ = split_key(spec["key"])
        on: date = spec.get("on", TODAY)
        fact = required(world, spec["key"], on, GROUP)
        editions = world.ledger.editions(subject, predicate, GROUP)
        rivals = [f for f in editions if f is not fact and (f.valid_from <= TODAY or f.doc_id in spec.get("also", ()))]
        shown = [world.home(rival) for rival in rivals]
        for doc_id in spec.get("also", ()):
            shown += [p for p in world.passages if p.doc_id == doc_id and spec["key"] in p.keys and p not in shown]
        near = [required(world, key) for key in spec["near"]]
        traps = ["superseded"] + (["past-date"] if on < TODAY else [])
        traps += ["future-edition"] if any(f.valid_from > TODAY for f in rivals) else []
        kinds = {world.documents[doc_id].source.kind for doc_id in spec.get("also", ())}
        traps += ["quoted-old-value"] if kinds & {"thread", "memo", "faq"} else []
        others = [value_of(f) for f in [*editions, *near] if f.value != fact.value]
        drafts.append(
            Draft(
                id=f"conflict-{spec['id']}",
                kind="conflicting",
                ask=spec["ask"],
                box=spec["box"],
                needs=(fact,),
                gold=(value_of(fact),),
                rejects=tuple(dict.fromkeys(others)),
                why=spec["why"],
                source_doc=fact.doc_id,
                cluster=subject,
                shown=tuple(shown),
                on=on,
                traps=tuple(traps),
                asks=spec["key"],
            )
        )
    return drafts


def unanswerables(world: World) -> list[Draft]:
    """Questions that no document answers, with passages that look as if they did."""
    drafts = []
    for spec in load_yaml("bank/unanswerable.yaml"):
        near = [required(world, key) for key in spec["near"]]
        shown = world.homes(near)
        if "show" in spec:
            doc_id, words = spec["show"].split(": ", 1)
            shown += [p for p in world.passages if p.doc_id == doc_id and words in p.text and p not in shown]
        drafts.append(_unanswerable(spec["id"], spec, near, tuple(shown)))
    return drafts + _absent_records(world)


def _unanswerable(name: str, spec: Mapping[str, Any], near: list[Fact], shown: tuple[Passage, ...]) -> Draft:
    return Draft(
        id=f"none-{name}",
        kind="unanswerable",
        ask=spec["ask"],
        box=spec["box"],
        needs=(),
        gold=(),
        rejects=tuple(dict.fromkeys(value_of(f) for f in near)),
        why=spec["why"],
        source_doc=near[0].doc_id,
        cluster=near[0].subject.partition(":")[0],
        shown=shown,
        traps=("near-miss",),
        asks=spec["asks"],
    )


def _absent_records(world: World) -> list[Draft]:
    """Records that are one digit away from a listed one and are not listed anywhere."""
    serials = {asset.serial for asset in world.records.assets}
    known = {invoice.number for invoice in world.records.invoices}
    asset = next(a for a in world.records.assets if _neighbour(a.serial) not in serials)
    invoice = next(i for i in world.records.invoices if _neighbour(i.number) not in known)
    delivered = required(world, f"asset:{asset.serial}.delivered.date")
    months = required(world, "warranty.from_delivery.months")
    due = required(world, f"invoice:{invoice.number}.due.date")
    words = load_yaml("bank/chains.yaml")
    absent: tuple[tuple[str, list[Fact], dict[str, str]], ...] = (
        ("absent-serial", [delivered, months], {"serial": _neighbour(asset.serial)}),
        ("absent-invoice", [due], {"invoice": _neighbour(invoice.number)}),
    )
    drafts = []
    for name, near, fill in absent:
        spec = {part: text.format(**fill) for part, text in words[name].items()}
        drafts.append(_unanswerable(name, spec, near, tuple(world.homes(near))))
    return drafts


def _neighbour(number: str) -> str:
    """The number with its last digit one higher."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def required(world: World, key: str, on: date = TODAY, site: str = GROUP) -> Fact:
    """The fact of a key that binds on a day; the site's own when a site is given. ValueError when there is none."""
    subject, predicate, _ = split_key(key)
    fact = world.ledger.in_force(subject, predicate, on, site)
    if fact is None or site not in (GROUP, fact.scope):
        raise ValueError(f"{key}: nothing in force on {on.isoformat()} for {site}")
    return fact
