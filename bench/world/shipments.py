"""Printed documents whose long tables hold a few lines that matter: delivery notes and statements of account."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from bench.world.ledger import Ledger
from bench.world.paper import Plan, address, country, day_forms, labels, misprint, rounded, struck_out, table
from bench.world.sheet import Part, Quantity, Sheet, in_days
from bench.world.values import load_yaml

HUBS = ("Calderholt Parts A/S", "Calderholt Logistics NV", "Calderholt Logistics Ltd")
"""The houses from whose stores goods leave."""


def delivery_note(sheet: Sheet, plan: Plan, ledger: Ledger, note: str) -> str:
    rng = sheet.rng
    bank = load_yaml("bank/extract/parties.yaml")
    first, other = day_forms(sheet, plan)
    absent = "absent" in plan.traps
    shipped, received = sheet.draw("date -4 0"), sheet.draw("date 1 3")
    customer, house = sheet.draw("customer"), rng.choice(HUBS)
    kilos = (
        5 * (plan.rows * rng.randint(9, 16) // 5) + 45
    )  # parts of a few hundred grams, some thirty of them to a line
    in_tonnes = "units" in plan.traps and kilos > 800
    weight = Quantity(Decimal(kilos // 50 * 5) / 100, "t") if in_tonnes else Quantity(Decimal(kilos), "kg")
    head = [
        (
            "Delivery note",
            sheet.cell("number", sheet.draw(rng.choice(("code DN-######", "code 80######", "code L##-####")))),
        ),
        ("Shipped", sheet.cell("shipped", shipped, in_days(shipped, first))),
        ("From", f"{house}, {address(sheet, house)}"),
        ("Order", "" if absent else sheet.cell("order", sheet.draw("code PO-#####"))),
        ("Customer", sheet.cell("customer", customer)),
        ("Billed to", str(sheet.draw("customer")) if "second_party" in plan.traps else ""),
        ("To", sheet.cell("deliver_to", rng.choice(bank["countries"][country(sheet, customer)]["towns"]))),
        ("Carrier", "" if absent and rng.random() < 0.5 else sheet.cell("carrier", sheet.draw("supplier carrier"))),
        ("Packages", sheet.cell("packages", plan.rows // 7 + rng.randint(2, 6))),
        ("Gross weight", sheet.cell("gross", weight)),
        ("Tare", sheet.written(Quantity(Decimal(rng.randint(10, 39)), "kg")) if "units" in plan.traps else ""),
    ]
    rows = [["Pos", "Part", "Description", "Ordered", "Delivered", "Bin"]]
    odd = set(rng.sample(range(plan.rows), min(plan.rows, rng.choice((0, 1, 2, 3, 3)) + plan.rows // 25)))
    for n in range(plan.rows):
        part: Part = sheet.draw("part")
        ordered = rng.randint(2, 60)
        where = f"{rng.choice('ABCDEFG')}{rng.randint(10, 99)}-{rng.randint(1, 6)}"
        if n in odd:
            delivered = max(0, ordered - rng.randint(1, 9)) if rng.random() < 0.8 else ordered + rng.randint(1, 3)
            path = f"differences.{len([k for k in odd if k < n])}"
            cells = [
                sheet.cell(f"{path}.item", part.number),
                part.name,
                sheet.cell(f"{path}.ordered", ordered),
                sheet.cell(f"{path}.delivered", delivered),
            ]
        else:
            cells = [part.number, part.name, str(ordered), str(ordered)]
        rows.append([str(n + 1), *cells, where])
    if "struck" in plan.traps:
        gone: Part = sheet.draw("part")
        rows.insert(rng.randint(1, len(rows)), struck_out(["-", gone.number, gone.name, "12", "7", "C44-1"]))
    serials = [sheet.cell(f"serials.{n}", sheet.draw("serial")) for n in range(rng.choice((0, 0, 1, 2, 4)))]
    parts = [labels(head, plan.layout), table(rows, plan.layout, frozenset((3, 4)))]
    if serials:
        parts.append("Machines in this delivery, by serial number: " + ", ".join(serials))
    if not absent:
        name = sheet.cell("received_by", sheet.draw("person"))
        parts.append(
            f"Received complete as listed: {name}, {sheet.cell('received', received, in_days(received, other))}"
        )
    elif "dates" in plan.traps:
        parts.append(f"Received: ______________   (form printed {in_days(received, other)})")
    return "\n\n".join([*parts, sheet.fill(note)])


def statement(sheet: Sheet, plan: Plan, ledger: Ledger, note: str) -> str:
    rng = sheet.rng
    bank = load_yaml("bank/extract/parties.yaml")
    first, other = day_forms(sheet, plan)
    currency = rng.choice(("EUR", "DKK", "GBP"))
    as_of = sheet.today
    opening = Decimal(rng.randint(0, 40000)) + Decimal(rng.randint(0, 99)) / 100
    rows = [["Date", "Document", "Kind", "Due", "Debit", "Credit", "Open", "Mark"]]
    balance, late, marked = opening, 0, 0
    days = sorted(rng.randint(2, 140) for _ in range(plan.rows))[::-1]
    paid = set() if "absent" in plan.traps else {n for n in range(plan.rows) if rng.random() < 0.25} or {plan.rows // 2}
    paid -= {n for n in paid if n != max(paid) and days[n] == days[max(paid)]}  # one payment is the last
    for n, ago in enumerate(days):
        day = as_of - timedelta(days=ago)
        amount = Decimal(rng.randint(9000, 990000)) / 100
        shown = sheet.number(amount, 2)
        if n in paid:
            balance -= amount
            code = str(sheet.draw("code ZE######"))
            final = n == max(paid)
            row = [
                sheet.cell("last_paid", day, in_days(day, other)) if final else in_days(day, other),
                code,
                "payment",
                "",
                "",
                sheet.cell("last_payment", amount, shown) if final else shown,
                "",
                "",
            ]
            rows.append(row)
            continue
        if rng.random() < 0.08:
            part = rounded(amount / 4)
            balance -= part
            rows.append(
                [
                    in_days(day, other),
                    str(sheet.draw("code CN######")),
                    "credit note",
                    "",
                    "",
                    sheet.number(part, 2),
                    "",
                    "",
                ]
            )
            continue
        balance += amount
        code = str(sheet.draw("code INV######"))
        due = day + timedelta(days=rng.choice((14, 30, 30, 45)))
        late_now = due < as_of
        is_open = rng.random() < (0.35 if plan.rows < 30 else 0.06) if late_now else rng.random() < 0.7
        left = (amount if rng.random() < 0.7 else rounded(amount / 2)) if is_open else Decimal(0)
        mark = ""
        if is_open and rng.random() < 0.2:
            mark = sheet.cell(f"disputed.{marked}", code, "disputed")
            marked += 1
        opened = sheet.number(left, 2)
        if is_open and late_now:
            path = f"overdue.{late}"
            late += 1
            cells = [
                sheet.cell(f"{path}.document", code),
                "invoice",
                sheet.cell(f"{path}.due", due, in_days(due, other)),
            ]
            opened = sheet.cell(f"{path}.open", left, opened)
        else:
            cells = [code, "invoice", in_days(due, other)]
        rows.append([in_days(day, other), *cells, shown, "", opened, mark])
    if "sum_wrong" in plan.traps:
        balance = misprint(balance, sheet)
    head = [
        ("Account", sheet.cell("account", sheet.draw(rng.choice(("code D#####", "code 1######", "code K-####"))))),
        ("Customer", sheet.cell("customer", sheet.draw("customer"))),
        ("Parent company", str(sheet.draw("customer")) if "second_party" in plan.traps else ""),
        ("Kept by", rng.choice(list(bank["houses"]))),
        ("As of", sheet.cell("as_of", as_of, in_days(as_of, first))),
        ("Printed", in_days(as_of + timedelta(days=2), other) if "dates" in plan.traps else ""),
        ("All amounts in", sheet.cell("currency", currency)),
        (
            "Credit limit",
            "" if "absent" in plan.traps else sheet.cell("credit_limit", sheet.draw("num 10000 90000 5000")),
        ),
        (
            "Limit for machines",
            sheet.written(sheet.draw("money 100000 400000 PLN 10000")) if "two_currencies" in plan.traps else "",
        ),
        ("Balance brought forward", sheet.cell("opening", opening, sheet.number(opening, 2))),
    ]
    foot = "Balance " + sheet.cell("closing", balance, sheet.number(balance, 2))
    parts = [
        "STATEMENT OF ACCOUNT",
        labels(head, plan.layout % 2),
        table(rows, plan.layout, frozenset((4, 5, 6))),
        foot,
        sheet.fill(note),
    ]
    return "\n\n".join(parts)
