"""The back office of a seed: the records that lie behind what registers print, from customers to tickets.

Registers show a part of them (`records`), since a passage holds eight lines; here are all, each tied to the others: an order
names parts of the catalogue, a delivery what an order still lacks, an invoice what a delivery brought, a return what somebody
received. Numbers of printed records never turn up again for other ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from bench.world import corpus, names, rules
from bench.world.corpus import World
from bench.world.entities import DKK_PER_EUR, GBP_PER_EUR, PRICE_BOOKS
from bench.world.ledger import Ledger
from bench.world.records import DRAWN, TODAY
from bench.world.values import load_yaml

Row = Mapping[str, str | int | None]
CENT = Decimal("0.01")
CATALOGUE, MACHINES, ORDERS, DELIVERIES, INVOICES, RETURNS, TICKETS, INCIDENTS = 400, 700, 400, 520, 600, 90, 900, 30
"""How many there are of each, those that registers print included."""
LEAVES = "ABCDEFGHKLMNPRST"
INTENTS = ("machine_fault", "part_order", "delivery_status", "technician_visit", "invoice_dispute", "how_to", "warranty_claim",
           "portal_login", "part_price", "document_copy", "machine_down", "return_request", "software_bug", "delivery_wrong",
           "access_rights", "repair_order", "payment", "interface_problem", "contract_change", "feature_request",
           "complaint", "privacy_request", "security_report", "safety_event")  # fmt: skip
"""What tickets are about, the most frequent first."""


@dataclass(frozen=True)
class BackOffice:
    """Tables by name; every row is plain and ready for SQLite. Money is in cents of the named currency."""

    tables: Mapping[str, tuple[Row, ...]]

    def __getitem__(self, name: str) -> tuple[Row, ...]:
        return self.tables[name]


@lru_cache(maxsize=4)
def catalogue(seed: int) -> tuple[tuple[str, str], ...]:
    """(number, name) of every part: those of the price books' first pages and a longer list of the same families."""
    rng, world = random.Random(f"{seed}:catalogue"), corpus.world(seed)
    parts = [(part.number, part.name) for part in world.records.parts]
    bases, taken = list(parts), {number for number, _ in parts}
    while len(parts) < CATALOGUE:
        number, name = rng.choice(bases)
        other = f"{number[:2]}-{rng.randint(1100, 9800)}"
        if other not in taken:
            taken.add(other)
            parts.append((other, f"{name} {rng.choice(('type', 'model', 'size'))} {rng.choice(LEAVES)}"))
    return tuple(sorted(parts))


def list_price(ledger: Ledger, number: str, currency: str, day: date) -> Decimal:
    """The list price of a part on a day. Pages that are not printed have a price that follows from the number."""
    found = ledger.in_force(f"part:{number}", f"list_{currency.lower()}", day)
    if found is not None:
        return Decimal(found.value)
    rate = {"EUR": Decimal(1), "DKK": DKK_PER_EUR, "GBP": GBP_PER_EUR}[currency]
    digits = int("".join(filter(str.isdigit, number)))
    book = sum(day >= start for start in PRICE_BOOKS[1:])
    base = Decimal(digits % 331 + 19) + Decimal(digits % 97) / 100
    return (base * (1 + Decimal(book * (digits % 5)) / 100) * rate).quantize(CENT, ROUND_HALF_UP)


@lru_cache(maxsize=2)
def back_office(seed: int) -> BackOffice:
    """Every record of a seed's world, whether a document states it or not."""
    world = corpus.world(seed)
    made: dict[str, list[dict[str, Any]]] = {}
    made["department"] = [
        {"name": name, "roles": len(roles)} for name, roles in load_yaml("names.yaml")["departments"].items()
    ]
    made["role"] = [
        {"name": role, "department": d} for d, roles in load_yaml("names.yaml")["departments"].items() for role in roles
    ]
    made["product"] = list(_products())
    made["customer"] = list(_customers(world))
    made["machine"] = list(_machines(world))
    made["list_price"] = [
        {"part": number, "name": name, "valid_from": day.isoformat(), "currency": currency,
         "cents": _cents(list_price(world.ledger, number, currency, day))}
        for number, name in catalogue(world.seed) for day in PRICE_BOOKS for currency in ("EUR", "DKK", "GBP")
    ]  # fmt: skip
    made |= _trade(world, [row["name"] for row in made["customer"]])
    made["ticket"] = list(_tickets(world, made["machine"]))
    made["incident"] = list(_incidents(world, made["machine"]))
    return BackOffice({name: tuple(rows) for name, rows in made.items()})


def _cents(amount: Decimal) -> int:
    return int(amount * 100)


def _products() -> Iterator[dict[str, Any]]:
    for family, about in load_yaml("names.yaml")["products"].items():
        for place, variant in enumerate(about["variants"]):
            state = (
                "ended"
                if place < about["ended"]
                else "mature"
                if place < about["ended"] + about["mature"]
                else "current"
            )
            volts = about["voltage"] or None
            yield {"family": family, "variant": variant, "state": state, "volts": volts, "sold_since": 2009 + 3 * place}


def _customers(world: World) -> Iterator[dict[str, Any]]:
    tiers = {contract.customer: contract.tier for contract in world.records.contracts}
    for name, about in load_yaml("names.yaml")["customers"].items():
        rng = random.Random(f"{world.seed}:customer:{name}")
        trade, country = about.split()
        contact = f"{rng.choice(names.hand_list('first'))} {rng.choice(names.hand_list('last'))}"
        language = {"DK": "da", "DE": "de", "BE": rng.choice(("nl", "fr")), "FR": "fr", "GB": "en", "PL": "pl"}[country]
        yield {"name": name, "trade": trade, "country": country, "tier": tiers.get(name), "language": language,
               "class": rng.choice("ABBCC"), "contact": contact, "credit_limit_eur": rng.randrange(5, 111) * 1000}  # fmt: skip


def _machines(world: World) -> Iterator[dict[str, Any]]:
    """The printed machines and the others. Serial numbers come in pairs that differ by one digit."""
    rng = random.Random(f"{world.seed}:machines")
    kinds: dict[str, str] = load_yaml("names.yaml")["machines"]
    printed = {asset.serial: (asset.customer, asset.delivered, asset.commissioned) for asset in world.records.assets}
    owners = [name for name in names.hand_list("customers") if name not in {owner for owner, _, _ in printed.values()}]
    serials = sorted(printed)
    while len(serials) < MACHINES:
        code, digits = rng.choice(sorted(kinds)), rng.randrange(10000, 97000)
        pair = (f"{code}-{digits}", f"{code}-{digits + rng.choice((1, 10, 100, 1000))}")
        serials += [serial for serial in pair if serial not in serials]
    for serial in sorted(serials[:MACHINES]):
        delivered = date(2019, 1, 7) + timedelta(days=rng.randrange(0, 2580))
        signed = delivered + timedelta(days=rng.randrange(15, 330)) if rng.random() < 0.85 else None
        row = (rng.choice(owners), delivered, signed if signed and signed <= DRAWN else None)
        owner, delivered, signed = printed.get(serial, row)
        yield {"serial": serial, "machine": kinds[serial[:2]], "customer": owner, "delivered": delivered.isoformat(),
               "commissioned": signed.isoformat() if signed else None,
               "firmware": f"{rng.randrange(3, 7)}.{rng.randrange(0, 9)}.{rng.randrange(0, 5)}",
               "warranty_until": _warranty(world, delivered, signed)}  # fmt: skip


def _warranty(world: World, delivered: date, signed: date | None) -> str | None:
    """By the terms in force on the day of delivery; None where no edition reaches back so far."""
    months = [world.ledger.in_force("warranty", name, delivered) for name in ("from_delivery", "from_commissioning")]
    if months[0] is None:
        return None
    after_signing = int(months[1].value) if months[1] else 0
    return rules.warranty_end(delivered, signed if months[1] else None, int(months[0].value), after_signing).isoformat()


def _trade(world: World, customers: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Orders with their lines, what was delivered of them and when, what was billed, corrected and sent back."""
    rng = random.Random(f"{world.seed}:trade")
    made: dict[str, list[dict[str, Any]]] = {name: [] for name in ("order", "order_line", "delivery", "delivery_line",
                                                                   "invoice", "return")}  # fmt: skip
    parts = [number for number, _ in catalogue(world.seed)]
    partly = set(rng.sample(range(ORDERS), DELIVERIES - ORDERS))
    for n in range(ORDERS):
        ordered = date(2025, 2, 3) + timedelta(days=n * 370 // ORDERS + rng.randrange(0, 3))
        number, customer = f"SO-{51000 + n * 3 + rng.randrange(3)}", rng.choice(customers)
        made["order"].append(
            {"number": number, "customer": customer, "ordered": ordered.isoformat(), "currency": "EUR"}
        )
        lines = [(part, rng.randint(2, 40)) for part in rng.sample(parts, rng.randint(1, 6))]
        for pos, (part, pieces) in enumerate(lines, start=1):
            price = _cents(list_price(world.ledger, part, "EUR", ordered))
            made["order_line"].append(
                {"order": number, "pos": pos, "part": part, "pieces": pieces, "price_cents": price}
            )
        firsts = [(part, rng.randrange(1, pieces)) if n in partly else (part, pieces) for part, pieces in lines]
        rest = [(part, whole - sent) for (part, whole), (_, sent) in zip(lines, firsts, strict=True)]
        for batch, wait in ((firsts, rng.randint(1, 9)), (rest, rng.randint(12, 30))):
            batch = [(part, pieces) for part, pieces in batch if pieces]
            if batch:
                _deliver(world, made, number, customer, ordered, ordered + timedelta(days=wait), batch)
    _correct(rng, made, world)
    _send_back(rng, made, world)
    return made


def _deliver(
    world: World,
    made: dict[str, list[dict[str, Any]]],
    order: str,
    customer: str,
    ordered: date,
    day: date,
    batch: list[tuple[str, int]],
) -> None:
    """A delivery note and its invoice, at the prices of the order's day."""
    note = f"DN-{720000 + 7 * len(made['delivery'])}"
    made["delivery"].append({"number": note, "order": order, "customer": customer, "delivered": day.isoformat()})
    made["delivery_line"] += [{"delivery": note, "part": part, "pieces": pieces} for part, pieces in batch]
    net = sum(_cents(list_price(world.ledger, part, "EUR", ordered)) * pieces for part, pieces in batch)
    number = f"INV-{450000 + 11 * len(made['invoice'])}"
    due = (day + timedelta(days=31)).isoformat()
    made["invoice"].append({"number": number, "kind": "invoice", "delivery": note, "corrects": None, "customer": customer,
                            "issued": (day + timedelta(days=1)).isoformat(), "due": due, "net_cents": net})  # fmt: skip


def _correct(rng: random.Random, made: dict[str, list[dict[str, Any]]], world: World) -> None:
    """The printed open items, which are older than these orders' papers, and credit notes up to the number of invoices."""
    printed = [
        {"number": i.number, "kind": "invoice", "delivery": None, "corrects": None, "customer": i.customer,
         "issued": (i.due - timedelta(days=30)).isoformat(), "due": i.due.isoformat(), "net_cents": None}
        for i in world.records.invoices
    ]  # fmt: skip
    wrong = rng.sample(made["invoice"], INVOICES - len(made["invoice"]) - len(printed))
    for n, one in enumerate(wrong):
        day = min(date.fromisoformat(one["issued"]) + timedelta(days=rng.randint(4, 25)), TODAY).isoformat()
        credited = -(one["net_cents"] * rng.choice((5, 10, 25, 100)) // 100)
        row = {"number": f"CN-{88000 + 3 * n}", "kind": "credit_note", "delivery": None, "corrects": one["number"]}
        made["invoice"].append(row | {"customer": one["customer"], "issued": day, "due": day, "net_cents": credited})
    made["invoice"] += printed


def _send_back(rng: random.Random, made: dict[str, list[dict[str, Any]]], world: World) -> None:
    """Returns: the printed ones, and parts of deliveries that came back within some weeks."""
    for one in world.records.returns:
        row = {"rma": one.rma, "delivery": None, "part": None, "pieces": None, "delivered": one.delivered.isoformat()}
        made["return"].append(row | {"scanned": one.scanned.isoformat(), "sealed": int(one.sealed)})
    delivered = {row["number"]: row["delivered"] for row in made["delivery"]}
    old = [line for line in made["delivery_line"] if delivered[line["delivery"]] < "2026-02-01"]
    for n, line in enumerate(rng.sample(old, RETURNS - len(made["return"]))):
        day = date.fromisoformat(delivered[line["delivery"]])
        made["return"].append({"rma": f"RMA-{27000 + 4 * n}", "delivery": line["delivery"], "part": line["part"],
                               "pieces": rng.randint(1, line["pieces"]), "delivered": day.isoformat(),
                               "scanned": (day + timedelta(days=rng.randint(2, 38))).isoformat(),
                               "sealed": int(rng.random() < 0.65)})  # fmt: skip


def _tickets(world: World, machines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Tickets of a year. A stoppage is of the first priority; closed ones say when."""
    rng = random.Random(f"{world.seed}:tickets")
    weights = [60 - 2 * place for place in range(len(INTENTS))]
    for n in range(TICKETS):
        opened = datetime.combine(TODAY - timedelta(days=365 - n * 364 // TICKETS), time(6)) + timedelta(
            minutes=rng.randrange(840)
        )
        intent = rng.choices(INTENTS, weights)[0]
        priority = 1 if intent in ("machine_down", "safety_event") else rng.choice((2, 3, 3))
        age = TODAY - opened.date()
        state = rng.choices(("open", "waiting", "closed"), (1, 1, 30) if age.days > 40 else (3, 2, 3))[0]
        closed = opened + timedelta(hours=rng.randint(1, 30 if priority == 1 else 400))
        machine = rng.choice(machines)
        done = state == "closed" and closed.date() <= TODAY
        yield {"number": f"T-{300000 + 13 * n + rng.randrange(13)}", "opened": opened.isoformat(timespec="minutes"),
               "intent": intent, "priority": priority, "state": "closed" if done else "open" if state == "closed" else state,
               "closed": closed.isoformat(timespec="minutes") if done else None,
               "customer": machine["customer"], "serial": machine["serial"]}  # fmt: skip


def _incidents(world: World, machines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Incidents with the severity that was reported first and the one that stands."""
    rng = random.Random(f"{world.seed}:incidents")
    levels = ("minor", "moderate", "major", "critical")
    for n in range(INCIDENTS):
        place = rng.randrange(len(levels))
        first = levels[min(3, max(0, place + rng.choice((-1, 0, 0, 1))))]
        machine = rng.choice(machines) if rng.random() < 0.6 else None
        day = TODAY - timedelta(days=rng.randrange(3, 360))
        yield {"number": f"IN-{2100 + 9 * n}", "day": day.isoformat(), "site": rng.choice(names.SITES).code,
               "kind": rng.choice(("injury", "near_miss", "equipment", "data", "spill")), "first_severity": first,
               "severity": levels[place], "serial": machine["serial"] if machine else None,
               "cause_known": int(rng.random() < 0.7), "actions": rng.randrange(0, 4)}  # fmt: skip
