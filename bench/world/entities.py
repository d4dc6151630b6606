"""Seeded records of the world, and the machine-written documents that list them.

Every cell that can be asked for is a slot, so registers go through the same renderer as prose and land in the same
ledger. Records carry Python values for the derived rules.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from bench.world import names
from bench.world.ledger import GROUP, fact_id
from bench.world.render import Source

TODAY = date(2026, 3, 16)
DRAWN = date(2026, 3, 13)
PRICE_BOOKS = (date(2024, 2, 1), date(2025, 2, 1), date(2026, 2, 1))


@dataclass(frozen=True, slots=True)
class Asset:
    serial: str
    machine: str
    customer: str
    delivered: date
    commissioned: date | None


@dataclass(frozen=True, slots=True)
class Employee:
    name: str
    site: str
    job: str
    started: date


@dataclass(frozen=True, slots=True)
class Contract:
    number: str
    customer: str
    tier: str


@dataclass(frozen=True, slots=True)
class Part:
    number: str
    name: str
    net_only: bool
    prices: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Return:
    rma: str
    customer: str
    delivered: date
    scanned: date
    sealed: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    number: str
    customer: str
    due: date


@dataclass(frozen=True, slots=True)
class Loan:
    number: str
    customer: str
    dispatched: date
    contract: bool


@dataclass(slots=True)
class Records:
    """All records, the documents that list them, and the values of their slots."""

    people: dict[str, str] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    employees: list[Employee] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def cell(self, key: str, value: object, day: date = DRAWN, form: str = "") -> str:
        """A slot for one cell, its value noted."""
        self.values[fact_id(key, day, GROUP)] = str(value)
        return "{{f:" + f"{key}@{day.isoformat()}" + (f"|{form}" if form else "") + "}}"

    def publish(
        self, doc_id: str, title: str, body: list[str], day: date = DRAWN, supersedes: str | None = None
    ) -> None:
        text = "\n".join(body) + "\n"
        self.sources.append(Source(doc_id, title, "register", "", day, supersedes, GROUP, "machine", text))


def table(header: str, rows: list[list[str]]) -> list[str]:
    """A Markdown table; `header` holds the column names, divided by `|`."""
    columns = header.split("|")
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def build(seed: int, roles: list[str]) -> Records:
    """Every record of a seed. `roles` are the persons that prose names: they never share a surname with each other."""
    records = Records()
    _officers(records, seed, roles)
    _rosters(records, random.Random(f"{seed}:rosters"))
    _approvers(records)
    customers = list(names.CUSTOMERS)
    random.Random(f"{seed}:customers").shuffle(customers)
    _assets(records, random.Random(f"{seed}:assets"), customers[:12])
    _contracts(records, random.Random(f"{seed}:contracts"), customers[:40])
    _prices(records, random.Random(f"{seed}:prices"))
    _returns(records, random.Random(f"{seed}:returns"), customers)
    _invoices(records, random.Random(f"{seed}:invoices"), customers)
    _loans(records, random.Random(f"{seed}:loans"), customers)
    return records


def _officers(records: Records, seed: int, roles: list[str]) -> None:
    rng = random.Random(f"{seed}:officers")
    wanted = sorted({*roles, *(f"{post}_{site.code}" for site in names.SITES for post in ("site_lead", "deputy"))})
    wanted += [f"regional_director_{country}" for country in sorted({site.country for site in names.SITES})]
    firsts, lasts = list(names.FIRST_NAMES), list(names.LAST_NAMES)
    rng.shuffle(firsts)
    rng.shuffle(lasts)
    if len(wanted) > min(len(firsts), len(lasts)):
        raise ValueError(f"{len(wanted)} persons are named; the hand lists hold {min(len(firsts), len(lasts))}")
    for role, first, last in zip(wanted, firsts, lasts, strict=False):
        records.people[role] = f"{first} {last}"


def _rosters(records: Records, rng: random.Random) -> None:
    taken = set(records.people.values())
    for site in names.SITES:
        rows = []
        for job in names.JOBS:
            name = f"{rng.choice(names.FIRST_NAMES)} {rng.choice(names.LAST_NAMES)}"
            while name in taken:
                name = f"{rng.choice(names.FIRST_NAMES)} {rng.choice(names.LAST_NAMES)}"
            taken.add(name)
            started = TODAY - timedelta(days=rng.randrange(300, 5200))
            records.employees.append(Employee(name, site.code, job, started))
            start = records.cell(f"employee:{name}.started.date", started, form="iso")
            rows.append([name, job, start, f"G{rng.randrange(7, 14)}", f"-{rng.randrange(2000, 8999)}"])
        body = [
            f"People register, {site.town} ({site.code}), {site.what}. Drawn 2026-03-13 05:40 by HR core. Active staff only.",
            "Start = first day of unbroken service. Ext = last four digits behind the site number.",
            "",
            *table("name|position|start|grade|ext", rows),
        ]
        records.publish(f"roster-{site.code.lower()}", f"People register {site.town}", body)


def _approvers(records: Records) -> None:
    for country in sorted({site.country for site in names.SITES}):
        director = records.people[f"regional_director_{country}"]
        slug = country.split()[-1].lower()
        rows = [["region", "regional director", records.cell(f"region:{country}.director.name", director), "-"]]
        for site in names.SITES:
            if site.country == country:
                lead, deputy = records.people[f"site_lead_{site.code}"], records.people[f"deputy_{site.code}"]
                rows.append([
                    site.town,
                    "site lead",
                    records.cell(f"site:{site.code}.lead.name", lead),
                    records.cell(f"site:{site.code}.deputy.name", deputy),
                ])  # fmt: skip
                rows.append([site.town, "visitor desk", f"gate {site.code}-1", "-"])
        body = [
            f"Approver directory, {country}. Drawn 2026-03-13 05:41 from the approval system. Entries are made by the"
            " approvers themselves.",
            "",
            *table("place|function|holder|deputy on file", rows),
            "",
            "A deputy acts only while the holder is marked absent. No holder in this extract is marked absent on the day"
            " of the draw or in the two weeks after it. Limits are not repeated here; see the purchasing rules and, where"
            " one exists, the annex of the site.",
        ]
        records.publish(f"approvers-{slug}", f"Approver directory {country}", body)


def _assets(records: Records, rng: random.Random, customers: list[str]) -> None:
    serials: list[str] = []
    while len(serials) < len(customers) * 8:
        code, digits = rng.choice(sorted(names.MACHINES)), rng.randrange(20000, 99000)
        for number in (digits, digits + rng.choice((1, 10, 100, 1000))):
            if f"{code}-{number}" not in serials:
                serials.append(f"{code}-{number}")
    rng.shuffle(serials)
    for number, customer in enumerate(customers):
        rows = []
        for serial in sorted(serials[number * 8 : number * 8 + 8]):
            delivered = date(2023, 5, 2) + timedelta(days=rng.randrange(0, 980))
            commissioned = delivered + timedelta(days=rng.randrange(15, 330)) if rng.random() < 0.85 else None
            if commissioned and commissioned > DRAWN:
                commissioned = None
            machine = names.MACHINES[serial[:2]]
            records.assets.append(Asset(serial, machine, customer, delivered, commissioned))
            signed = (
                records.cell(f"asset:{serial}.commissioned.date", commissioned, form="iso") if commissioned else "none"
            )
            rows.append([serial, machine, records.cell(f"asset:{serial}.delivered.date", delivered, form="iso"), signed,
                         f"{rng.randrange(3, 7)}.{rng.randrange(0, 9)}.{rng.randrange(0, 5)}"])  # fmt: skip
        body = [
            f"Installed base extract, customer {customer}. Drawn 2026-03-13 06:00. delivered = carrier's proof; comm. = date of"
            " the signed commissioning protocol, none = no protocol on file.",
            "",
            *table("serial|machine|delivered|comm.|firmware", rows),
        ]
        records.publish(f"assets-{number + 1:02d}", f"Installed base {customer}", body)


def _contracts(records: Records, rng: random.Random, customers: list[str]) -> None:
    for sheet in range(5):
        rows = []
        for customer in sorted(customers[sheet * 8 : sheet * 8 + 8]):
            tier = rng.choice(names.TIERS)
            number = f"SC-{rng.randrange(10000, 99999)}"
            records.contracts.append(Contract(number, customer, tier))
            shown = records.cell(f"contract:{number}.tier.code", tier)
            first = date(rng.randrange(2022, 2026), rng.randrange(1, 13), 1)
            rows.append([number, customer, shown, f"{first:%m/%Y}", f"{rng.randrange(380, 4200) * 10}"])
        body = [
            f"Front sheets of running service contracts, page {sheet + 1} of 5. Drawn 2026-03-13 06:05 from the contract system.",
            "Fee is the yearly fee in EUR, net. All contracts on this page are in force and paid up.",
            "",
            *table("contract|customer|tier|first signed|fee", rows),
        ]
        records.publish(f"contracts-{sheet + 1}", f"Service contract front sheets, page {sheet + 1}", body)


def _prices(records: Records, rng: random.Random) -> None:
    rows: dict[tuple[str, int], list[list[str]]] = {}
    for family, (_, nouns) in sorted(names.PARTS.items()):
        stem = rng.randrange(1100, 8800)
        for noun in nouns:
            stem += rng.choice((1, 3, 10))
            number = f"{family}-{stem}"
            net_only = rng.random() < 0.2
            price = rng.randrange(12, 460)
            prices = []
            for book, day in enumerate(PRICE_BOOKS):
                prices.append(Decimal(price))
                cells = [
                    records.cell(f"part:{number}.list.{unit}", amount, day, "cents")
                    for unit, amount in (
                        ("eur", Decimal(price)),
                        ("dkk", Decimal(price) * Decimal("7.46")),
                        ("gbp", Decimal(price) * Decimal("0.86")),
                    )
                ]
                rows.setdefault((family, book), []).append([number, noun, *cells, "K" if net_only else ""])
                price += rng.randrange(1, max(3, price // 12) + 2)
            records.parts.append(Part(number, f"{names.PARTS[family][0]} {noun}", net_only, tuple(prices)))
    for (family, book), lines in sorted(rows.items()):
        day = PRICE_BOOKS[book]
        group = names.PARTS[family][0]
        body = [
            f"Price book {day:%Y}, group {family} ({group}), valid from {day.isoformat()}. List prices per piece, net of VAT."
            " K = net price, no quantity discount.",
            "",
            *table("part|name|EUR|DKK|GBP|K", lines),
        ]
        earlier = f"prices-{family.lower()}-{PRICE_BOOKS[book - 1]:%Y}" if book else None
        title = f"Price book {day:%Y}, {group} parts"
        records.publish(f"prices-{family.lower()}-{day:%Y}", title, body, day, earlier)


def _returns(records: Records, rng: random.Random, customers: list[str]) -> None:
    families = ("BR", "SN", "PN")
    parts = [part for part in records.parts if part.number[:2] in families]
    for page in range(4):
        rows = []
        for line in range(7):
            rma = f"RMA-{26010 + page * 90 + line * 10 + rng.randrange(0, 9)}"
            scanned = date(2026, 3, 12) - timedelta(days=rng.randrange(0, 60))
            age = rng.choice((2, 3, 4, 5, 14, 16, 18, 20, 22))
            record = Return(rma, rng.choice(customers), scanned - timedelta(days=age), scanned, rng.random() < 0.65)
            records.returns.append(record)
            rows.append([
                rma,
                rng.choice(parts).number,
                records.cell(f"return:{rma}.delivered.date", record.delivered, form="iso"),
                records.cell(f"return:{rma}.scanned.date", record.scanned, form="iso"),
                records.cell(f"return:{rma}.tape.code", "whole" if record.sealed else "cut"),
                f"{rng.randrange(90, 900)}.00",
            ])  # fmt: skip
        body = [
            f"Returns bench log, Ghent, page {page + 1} of 4. Drawn 2026-03-13 06:10. tape = state of the orange tape at scan;"
            " value = net line value in EUR. Authorisation and return window checked and in order for every row; parts unused.",
            "",
            *table("RMA|part|delivered|scanned in|tape|value", rows),
        ]
        records.publish(f"returns-log-{page + 1}", f"Returns bench log Ghent, page {page + 1}", body)


def _invoices(records: Records, rng: random.Random, customers: list[str]) -> None:
    for page in range(3):
        rows = []
        for line in range(7):
            number = f"INV-{440100 + page * 300 + line * 40 + rng.randrange(0, 39)}"
            due = date(2026, 1, 20) + timedelta(days=rng.randrange(0, 50))
            record = Invoice(number, rng.choice(customers), due)
            records.invoices.append(record)
            shown = records.cell(f"invoice:{number}.due.date", due, form="iso")
            rows.append(
                [
                    number,
                    record.customer,
                    (due - timedelta(days=30)).isoformat(),
                    shown,
                    f"{rng.randrange(310, 9800)}.00",
                ]
            )
        body = [
            f"Open items, receivables, page {page + 1} of 3. Drawn 2026-03-13 06:20. None of the items on this page is disputed."
            " No release from hold is active.",
            "",
            *table("invoice|customer|issued|due|open EUR", rows),
        ]
        records.publish(f"invoices-{page + 1}", f"Open items, page {page + 1}", body)


def _loans(records: Records, rng: random.Random, customers: list[str]) -> None:
    for page in range(2):
        rows = []
        for line in range(7):
            number = f"LN-{3300 + page * 140 + line * 20 + rng.randrange(0, 19)}"
            dispatched = DRAWN - timedelta(days=rng.randrange(1, 60))
            record = Loan(number, rng.choice(customers), dispatched, rng.random() < 0.7)
            records.loans.append(record)
            shown = records.cell(f"loan:{number}.dispatched.date", dispatched, form="iso")
            covered = records.cell(f"loan:{number}.contract.code", "yes" if record.contract else "no")
            rows.append(
                [number, rng.choice(("Tern S2", "Tern S3", "scanner")), record.customer, shown, covered, "none"]
            )
        body = [
            f"Loan pool log, Dortmund, page {page + 1} of 2. Drawn 2026-03-13 06:25. contract = running service contract at"
            " dispatch; ext. = extension of the free time noted on the job card.",
            "",
            *table("loan|unit|customer|dispatched|contract|ext.", rows),
        ]
        records.publish(f"loans-{page + 1}", f"Loan pool log, page {page + 1}", body)
