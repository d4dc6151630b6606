"""Rules over dates that come round again, and over three documents: next calibrations, refreshers, stoppages by serial."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime

from bench.world import rules
from bench.world.corpus import World
from bench.world.draft import Draft, required, value_of
from bench.world.hops import draft, pick, some
from bench.world.records import TODAY, Asset
from bench.world.values import long_date, spoken

INTERVALS = {
    "torque": "calibration.torque",
    "length": "calibration.length",
    "electric": "calibration.electric",
    "forklift": "training.forklift",
    "firstaid": "training.firstaid",
    "doctor": "cold.doctor",
}
"""Kinds of duty and the policy that gives the interval, in months."""


def due(world: World, rng: random.Random) -> Iterator[Draft]:
    """A register's last date plus the interval of the policy in force; every other item shows the older edition too."""
    for kind, topic in INTERVALS.items():
        months = required(world, f"{topic}.months")
        subject, predicate = topic.split(".")
        others = [required(world, f"{other}.months") for other in INTERVALS.values() if other != topic]
        editions = world.ledger.editions(subject, predicate, months.scope)
        older = [fact for fact in editions if fact is not months]
        records = [record for record in world.records.duties if record.kind == kind]
        for number, record in enumerate(some(rng, records, 3), start=1):
            trap = bool(older) and number != 2
            nearby = [fact for fact in others if fact.subject == subject] + older
            false_dates = [rules.next_due(record.last, int(fact.value)) for fact in nearby]
            yield draft(
                world,
                f"due-{kind}-{number}",
                "due-why",
                {"record": record.name, "last": long_date(record.last), "months": spoken(*value_of(months))},
                needs=[required(world, f"duty:{record.name}.{kind}.date"), months],
                gold=(rules.next_due(record.last, int(months.value)).isoformat(), "date"),
                rejects=[(day.isoformat(), "date") for day in false_dates],
                shown=older if trap else (),
                traps=("superseded",) if trap else (),
                words=f"due-{kind}-{number}",
            )


def stoppage(world: World, rng: random.Random) -> Iterator[Draft]:
    """Serial number to customer, customer to tier, tier and hour to response time."""
    stamps = ("2026-03-10 07:45", "2026-03-14 15:10", "2026-03-12 21:30", "2026-03-13 11:05", "2026-03-08 04:20",
              "2026-03-11 18:55", "2026-03-09 22:15", "2026-03-06 09:40")  # fmt: skip
    columns = [f for f in world.ledger.facts if f.subject == "service" and f.predicate.endswith(("_day", "_night"))]
    contracts = {contract.customer: contract for contract in world.records.contracts}
    taken: set[str] = set()
    for number, stamp in enumerate(stamps, start=1):
        free: list[Asset] = [a for a in world.records.assets if a.customer not in taken]
        asset = pick(rng, [a for a in free if a.customer in contracts], world.records.assets)
        taken.add(asset.customer)
        contract, logged = contracts[asset.customer], datetime.fromisoformat(stamp)
        predicate = rules.response_predicate(contract.tier, logged)
        target = next(f for f in columns if f.predicate == predicate and f.holds_on(TODAY))
        tier = required(world, f"contract:{contract.number}.tier.code")
        yield draft(
            world,
            f"stoppage-{number}",
            "stoppage-why",
            {
                "serial": asset.serial,
                "machine": asset.machine,
                "customer": asset.customer,
                "number": contract.number,
                "tier": contract.tier,
                "when": f"{logged:%A} {logged.day} {logged:%B} at {logged:%H:%M}",
                "moment": "inside" if rules.in_service_hours(logged) else "outside",
            },
            needs=[required(world, f"asset:{asset.serial}.customer.phrase"), tier, target],
            gold=value_of(target),
            rejects=[value_of(f) for f in columns if f.holds_on(TODAY)],
            words=f"stoppage-{number % 3 + 1}",
            also_cited={"sheet": tier},
        )
