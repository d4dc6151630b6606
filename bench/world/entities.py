"""The seeded records: who works where, what was sold, serviced, priced, returned, billed and lent."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

from bench.world import names
from bench.world.records import DRAWN, TODAY, Asset, Contract, Duty, Employee, Invoice, Loan, Part, Records, Return
from bench.world.values import load_yaml

PRICE_BOOKS = (date(2024, 2, 1), date(2025, 2, 1), date(2026, 2, 1))
DKK_PER_EUR, GBP_PER_EUR = Decimal("7.46"), Decimal("0.86")


def build(seed: int, roles: list[str]) -> Records:
    """Every record of a seed. `roles` are the persons that prose names; no two of them share a surname."""
    records = Records()
    customers = names.hand_list("customers")
    random.Random(f"{seed}:customers").shuffle(customers)
    _officers(records, random.Random(f"{seed}:officers"), roles)
    _rosters(records, random.Random(f"{seed}:rosters"))
    _approvers(records)
    _assets(records, random.Random(f"{seed}:assets"), customers[:12])
    _contracts(records, random.Random(f"{seed}:contracts"), customers[:40])
    _prices(records, random.Random(f"{seed}:prices"))
    _returns(records, random.Random(f"{seed}:returns"))
    _invoices(records, random.Random(f"{seed}:invoices"), customers)
    _loans(records, random.Random(f"{seed}:loans"), customers)
    _tools(records, random.Random(f"{seed}:tools"))
    _certificates(records, random.Random(f"{seed}:certificates"))
    return records


def _officers(records: Records, rng: random.Random, roles: list[str]) -> None:
    wanted = sorted({*roles, *(f"{post}_{site.code}" for site in names.SITES for post in ("site_lead", "deputy"))})
    wanted += [f"regional_director_{country}" for country in names.COUNTRIES]
    firsts, lasts = names.hand_list("first"), names.hand_list("last")
    rng.shuffle(firsts)
    rng.shuffle(lasts)
    if len(wanted) > len(lasts):
        raise ValueError(f"names.yaml: {len(wanted)} persons are named; want as many last names")
    for role, first, last in zip(wanted, cycle(firsts), lasts, strict=False):
        records.people[role] = f"{first} {last}"


def _rosters(records: Records, rng: random.Random) -> None:
    firsts, lasts = names.hand_list("first"), names.hand_list("last")
    taken = set(records.people.values())
    for site in names.SITES:
        rows = []
        for job in names.hand_list("jobs"):
            name = f"{rng.choice(firsts)} {rng.choice(lasts)}"
            while name in taken:
                name = f"{rng.choice(firsts)} {rng.choice(lasts)}"
            taken.add(name)
            started = TODAY - timedelta(days=rng.randrange(300, 5200))
            records.employees.append(Employee(name, site.code, job, started))
            start = records.cell(f"employee:{name}.started.date", started, "iso")
            rows.append([name, job, start, f"G{rng.randrange(7, 14)}", f"-{rng.randrange(2000, 8999)}"])
        fill = {"town": site.town, "code": site.code, "what": site.what}
        records.publish(f"roster-{site.code.lower()}", "roster", rows, fill)


def _approvers(records: Records) -> None:
    for country in names.COUNTRIES:
        director = records.people[f"regional_director_{country}"]
        rows = [["region", "regional director", records.cell(f"region:{country}.director.name", director), "-"]]
        for site in (site for site in names.SITES if site.country == country):
            people = [(post, records.people[f"{role}_{site.code}"]) for post, role in _POSTS]
            cells = [records.cell(f"site:{site.code}.{post}.name", person) for post, person in people]
            rows.append([site.town, "site lead", *cells])
            rows.append([site.town, "visitor desk", f"gate {site.code}-1", "-"])
        records.publish(f"approvers-{country.split()[-1].lower()}", "approvers", rows, {"country": country})


_POSTS = (("lead", "site_lead"), ("deputy", "deputy"))


def _assets(records: Records, rng: random.Random, customers: list[str]) -> None:
    """Eight machines a customer. Serial numbers come in pairs that differ by one digit, spread over all customers."""
    machines: dict[str, str] = load_yaml("names.yaml")["machines"]
    serials: list[str] = []
    while len(serials) < len(customers) * 8:
        code, digits = rng.choice(sorted(machines)), rng.randrange(20000, 97000)
        pair = [f"{code}-{digits}", f"{code}-{digits + rng.choice((1, 10, 100, 1000))}"]
        serials += [serial for serial in pair if serial not in serials]
    rng.shuffle(serials)
    for number, customer in enumerate(customers):
        rows = []
        for serial in sorted(serials[number * 8 : number * 8 + 8]):
            delivered = date(2023, 5, 2) + timedelta(days=rng.randrange(0, 980))
            signed: date | None = delivered + timedelta(days=rng.randrange(15, 330))
            if rng.random() > 0.85 or (signed and signed > DRAWN):
                signed = None
            records.assets.append(Asset(serial, machines[serial[:2]], customer, delivered, signed))
            cells = [
                records.cell(f"asset:{serial}.delivered.date", delivered, "iso"),
                records.cell(f"asset:{serial}.commissioned.date", signed, "iso") if signed else "none",
            ]
            firmware = f"{rng.randrange(3, 7)}.{rng.randrange(0, 9)}.{rng.randrange(0, 5)}"
            owner = records.cell(f"asset:{serial}.customer.phrase", customer)
            rows.append([serial, machines[serial[:2]], *cells, firmware, owner])
        records.publish(f"assets-{number + 1:02d}", "assets", rows, {"customer": customer})


def _contracts(records: Records, rng: random.Random, customers: list[str]) -> None:
    for page in range(5):
        rows = []
        for customer in sorted(customers[page * 8 : page * 8 + 8]):
            contract = Contract(f"SC-{rng.randrange(10000, 99999)}", customer, rng.choice(names.TIERS))
            records.contracts.append(contract)
            tier = records.cell(f"contract:{contract.number}.tier.code", contract.tier)
            signed = f"{rng.randrange(1, 13):02d}/{rng.randrange(2022, 2026)}"
            rows.append([contract.number, customer, tier, signed, str(rng.randrange(380, 4200) * 10)])
        records.publish(f"contracts-{page + 1}", "contracts", rows, {"page": page + 1})


def _prices(records: Records, rng: random.Random) -> None:
    """Three price books; each part's price rises a little from book to book."""
    families: dict[str, Any] = load_yaml("names.yaml")["parts"]
    rows: dict[tuple[str, date], list[list[str]]] = {}
    for family, listed in sorted(families.items()):
        stem = rng.randrange(1100, 8800)
        for noun, usual in listed["nouns"].items():
            stem += rng.choice((1, 3, 10))
            part = Part(f"{family}-{stem}", f"{listed['group']} {noun}", rng.random() < 0.2)
            records.parts.append(part)
            price = Decimal(usual * rng.randrange(70, 134) // 100)
            for day in PRICE_BOOKS:
                amounts = {"eur": price, "dkk": price * DKK_PER_EUR, "gbp": price * GBP_PER_EUR}
                cells = [
                    records.cell(f"part:{part.number}.list_{unit}.{unit}", amount, "cents", day)
                    for unit, amount in amounts.items()
                ]
                row = [part.number, noun, *cells, "K" if part.net_only else ""]
                rows.setdefault((family, day), []).append(row)
                price += rng.randrange(1, max(3, int(price) // 12) + 2)
    for (family, day), lines in sorted(rows.items()):
        fill = {"year": day.year, "family": family, "group": families[family]["group"], "day": day.isoformat()}
        doc_id = f"prices-{family.lower()}"
        earlier = f"{doc_id}-{day.year - 1}" if day > PRICE_BOOKS[0] else None
        records.publish(f"{doc_id}-{day.year}", "prices", lines, fill, day=day, supersedes=earlier)


def _returns(records: Records, rng: random.Random) -> None:
    parts = [part.number for part in records.parts if part.number[:2] in ("BR", "SN", "PN")]
    for page in range(4):
        rows = []
        for line in range(7):
            rma = f"RMA-{26010 + page * 90 + line * 10 + rng.randrange(0, 9)}"
            scanned = date(2026, 3, 12) - timedelta(days=rng.randrange(0, 60))
            delivered = scanned - timedelta(days=rng.choice((2, 3, 4, 5, 14, 16, 18, 20, 22)))
            record = Return(rma, delivered, scanned, rng.random() < 0.65)
            records.returns.append(record)
            cells = [
                records.cell(f"return:{rma}.delivered.date", delivered, "iso"),
                records.cell(f"return:{rma}.scanned.date", scanned, "iso"),
                records.cell(f"return:{rma}.tape.code", "whole" if record.sealed else "cut"),
            ]
            rows.append([rma, rng.choice(parts), *cells, f"{rng.randrange(90, 900)}.00"])
        records.publish(f"returns-log-{page + 1}", "returns", rows, {"page": page + 1})


def _invoices(records: Records, rng: random.Random, customers: list[str]) -> None:
    for page in range(3):
        rows = []
        for line in range(7):
            number = f"INV-{440100 + page * 300 + line * 40 + rng.randrange(0, 39)}"
            due = date(2026, 1, 20) + timedelta(days=rng.randrange(0, 50))
            records.invoices.append(Invoice(number, rng.choice(customers), due))
            issued = (due - timedelta(days=30)).isoformat()
            shown = records.cell(f"invoice:{number}.due.date", due, "iso")
            rows.append([number, records.invoices[-1].customer, issued, shown, f"{rng.randrange(310, 9800)}.00"])
        records.publish(f"invoices-{page + 1}", "invoices", rows, {"page": page + 1})


def _loans(records: Records, rng: random.Random, customers: list[str]) -> None:
    for page in range(2):
        rows = []
        for line in range(7):
            number = f"LN-{3300 + page * 140 + line * 20 + rng.randrange(0, 19)}"
            loan = Loan(number, rng.choice(customers), DRAWN - timedelta(days=rng.randrange(1, 60)), rng.random() < 0.7)
            records.loans.append(loan)
            cells = [
                records.cell(f"loan:{number}.dispatched.date", loan.dispatched, "iso"),
                records.cell(f"loan:{number}.contract.code", "yes" if loan.contract else "no"),
            ]
            rows.append([number, rng.choice(("Tern S2", "Tern S3", "scanner")), loan.customer, *cells, "none"])
        records.publish(f"loans-{page + 1}", "loans", rows, {"page": page + 1})


def _duty(records: Records, rng: random.Random, name: str, kind: str) -> str:
    """A duty last fulfilled some weeks ago, so that it is never due before today; its cell."""
    last = date(2025, 11, 20) + timedelta(days=rng.randrange(0, 105))
    records.duties.append(Duty(name, kind, last))
    return records.cell(f"duty:{name}.{kind}.date", last, "iso")


def _tools(records: Records, rng: random.Random) -> None:
    kinds = {"TW": ("torque", "torque wrench"), "CA": ("length", "caliper"), "ET": ("electric", "test set")}
    number = 300
    for page in range(3):
        rows = []
        for code, (kind, noun) in [*kinds.items()] * 3:
            number += rng.choice((1, 2, 7, 10))
            name = f"{code}-{number}"
            rows.append(
                [name, noun, f"station {rng.randrange(1, 22)}", _duty(records, rng, name, kind), "in tolerance"]
            )
        records.publish(f"tools-{page + 1}", "tools", rows, {"page": page + 1})


def _certificates(records: Records, rng: random.Random) -> None:
    kinds = {"forklift": "forklift licence", "firstaid": "first aid", "doctor": "cold work, doctor"}
    staff = [person for person in records.employees if person.site in ("ODE", "KSL", "LEE", "SWI")]
    for page in range(3):
        rows = []
        for turn, person in enumerate(rng.sample(staff, 8)):
            staff.remove(person)
            kind = list(kinds)[turn % 3]
            cell = _duty(records, rng, person.name, kind)
            rows.append([person.name, names.BY_CODE[person.site].town, kinds[kind], cell])
        records.publish(f"certificates-{page + 1}", "certificates", rows, {"page": page + 1})
