"""Printed documents with prices: invoices, credit notes, purchase orders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from bench.world.ledger import Ledger
from bench.world.paper import (
    Plan,
    address,
    country,
    day_forms,
    labels,
    misprint,
    price,
    rounded,
    struck_out,
    table,
    trading_pair,
)
from bench.world.sheet import Money, Part, Sheet, in_days
from bench.world.values import load_yaml


def invoice(sheet: Sheet, plan: Plan, ledger: Ledger, note: str) -> str:
    rng = sheet.rng
    bank = load_yaml("bank/extract/parties.yaml")
    kind = rng.choices(("invoice", "credit_note", "pro_forma"), (10, 2, 1))[0]
    sign = -1 if kind == "credit_note" else 1
    first, other = day_forms(sheet, plan)
    seller, buyer = trading_pair(sheet, ours=rng.random() < 0.7)
    land = bank["countries"][country(sheet, seller)]
    currency = rng.choice(land["bills"])
    issued = sheet.draw("date -6 0")
    absent = "absent" in plan.traps
    title = {
        "invoice": ("INVOICE", "Invoice", "Tax invoice"),
        "credit_note": ("CREDIT NOTE", "Credit note", "Credit note"),
        "pro_forma": ("PRO FORMA INVOICE", "Pro forma invoice", "Pro forma"),
    }[kind][plan.layout % 3]
    head = [
        (
            "No.",
            sheet.cell(
                "number", sheet.draw(rng.choice(("code 44####", "code INV-######", "code ##/#####", "code R#######")))
            ),
        ),
        ("Date", sheet.cell("issued", issued, in_days(issued, first))),
        ("Seller", sheet.cell("seller", seller) + f", {address(sheet, seller)}"),
        ("Bill to", sheet.cell("buyer", buyer) + f", {address(sheet, buyer)}"),
        (
            "Ship to",
            _consignee(sheet, buyer) if "second_party" in plan.traps else "",
        ),
        (
            "Your order",
            ""
            if absent
            else sheet.cell(
                "buyer_reference", sheet.draw(rng.choice(("code PO-#####", "code B####", "code 45########")))
            ),
        ),
        ("Our order", str(sheet.draw("code A-#####")) if absent or rng.random() < 0.4 else ""),
        ("Delivered", in_days(sheet.draw("date -20 -7"), other) if rng.random() < 0.4 else ""),
    ]
    if not absent or rng.random() < 0.5:
        due = sheet.draw("date 14 45")
        head.append(("Pay by", sheet.cell("due", due, in_days(due, other))))
    else:
        head.append(("Payment", "as agreed"))
    lines, net = _invoice_lines(sheet, plan, ledger, currency, sign, issued)
    rate = Decimal(land["vat"])
    vat = rounded(net * rate / 100)
    total = net + vat
    if "sum_wrong" in plan.traps:
        total = misprint(total, sheet)
    foot = [
        ("Net", sheet.cell("net", net, sheet.number(net, 2))),
        (f"VAT {sheet.cell('vat_percent', rate, f'{rate:f}')} %", sheet.cell("vat", vat, sheet.number(vat, 2))),
        ("Total", sheet.cell("total", Money(total, currency))),
    ]
    if "two_currencies" in plan.traps:
        foreign = rng.choice([c for c in (land.get("also") or ("SEK", "DKK", "EUR")) if c != currency])
        rates = {
            "EUR": Decimal(1),
            "DKK": Decimal("7.46"),
            "GBP": Decimal("0.86"),
            "PLN": Decimal("4.28"),
            "SEK": Decimal("11.30"),
        }
        paid = Money(rounded(total / rates[currency] * rates[foreign]), foreign)
        if rng.random() < 0.6:
            foot.append((f"Please pay in {foreign}", sheet.cell("settlement", paid)))
        else:
            foot.append((f"For your information in {foreign}, not to be paid", sheet.written(paid)))
    parts = [
        sheet.cell("document", kind, title),
        labels(head, plan.layout),
        lines,
        labels(foot, plan.layout % 2),
        sheet.fill(note),
    ]
    return "\n\n".join(parts)


def _consignee(sheet: Sheet, buyer: str) -> str:
    """Somebody else of the buyer's country, to whom the goods go, and the town."""
    land = country(sheet, buyer)
    other = sheet.rng.choice([c for c in sheet.stock.customers if country(sheet, c) == land and c != buyer])
    return f"{other}, {address(sheet, other).rpartition(', ')[2]}"


def _invoice_lines(
    sheet: Sheet, plan: Plan, ledger: Ledger, currency: str, sign: int, day: date
) -> tuple[str, Decimal]:
    """The lines of an invoice and their net total."""
    services: Mapping[str, str] = load_yaml("bank/extract/parties.yaml")["services"]
    heads = (
        ("Item", "Description", "Qty", "Unit", "Price", "Amount"),
        ("Article", "Text", "Quantity", "", "Each", "Sum"),
    )
    rows: list[list[str]] = [list(heads[sheet.rng.randrange(2)])]
    net = Decimal(0)
    work = sheet.rng.sample(sorted(services), min(2, plan.rows // 3))
    struck = sheet.rng.randrange(plan.rows) if "struck" in plan.traps else -1
    corrected = sheet.rng.randrange(plan.rows - len(work)) if "corrected" in plan.traps else -1
    for n in range(plan.rows):
        if struck == n:
            gone: Part = sheet.draw("part")
            count = sheet.rng.randint(2, 30)
            each = price(ledger, gone, currency, day)
            rows.append(
                struck_out(
                    [gone.number, gone.name, str(count), "pcs", sheet.number(each, 2), sheet.number(each * count, 2)]
                )
            )
        path = f"lines.{n}"
        if n < plan.rows - len(work):
            part: Part = sheet.draw("part")
            code, name, unit = part.number, part.name, "pcs"
            quantity, each = Decimal(sheet.rng.randint(1, 40)), price(ledger, part, currency, day)
        else:
            code = work[n - plan.rows + len(work)]
            name, unit = services[code], "h"
            quantity, each = Decimal(sheet.rng.randint(2, 18)) / 2, Decimal(sheet.rng.randint(60, 140))
        amount = rounded(quantity * each) * sign
        net += amount
        cell = sheet.cell(f"{path}.quantity", quantity, sheet.number(quantity))
        if n == corrected:
            cell = f"~~{sheet.number(quantity + sheet.rng.randint(1, 9))}~~ {cell}"
        rows.append(
            [
                sheet.cell(f"{path}.item", code),
                name,
                cell,
                sheet.cell(f"{path}.unit", unit),
                sheet.cell(f"{path}.unit_price", each, sheet.number(each, 2)),
                sheet.cell(f"{path}.amount", amount, sheet.number(amount, 2)),
            ]
        )
    return table(rows, plan.layout, frozenset((2, 4, 5))), net


def order(sheet: Sheet, plan: Plan, ledger: Ledger, note: str) -> str:
    rng = sheet.rng
    bank = load_yaml("bank/extract/parties.yaml")
    first, other = day_forms(sheet, plan)
    absent = "absent" in plan.traps
    ordered = sheet.draw("date -4 0")
    supplier, buyer = trading_pair(sheet, ours=rng.random() < 0.5)
    land = bank["countries"][country(sheet, buyer)]
    currency = rng.choice(bank["countries"][country(sheet, supplier)]["bills"])
    requested = None if absent else sheet.draw("date 12 50")
    towns = rng.sample(land["towns"], 2)
    head = [
        (
            "Order no.",
            sheet.cell("number", sheet.draw(rng.choice(("code PO-######", "code 45########", "code B##/####")))),
        ),
        ("Ordered on", sheet.cell("ordered", ordered, in_days(ordered, first))),
        ("Buyer", sheet.cell("buyer", buyer) + f", {rng.choice(land['streets'])}, {towns[0]}"),
        ("Supplier", sheet.cell("supplier", supplier)),
        (
            "Quotation",
            f"{sheet.draw('code Q-####')} of {in_days(sheet.draw('date -40 -10'), other)}"
            if absent or rng.random() < 0.4
            else "",
        ),
        ("Contact", sheet.cell("contact", sheet.draw("person")) if rng.random() < 0.7 else ""),
        ("Approved by", str(sheet.draw("person")) if "second_party" in plan.traps else ""),
        ("Deliver to", sheet.cell("deliver_to", towns[1]) + f", {rng.choice(land['streets'])}"),
        (
            "Invoice to",
            address(sheet, buyer) if "second_party" in plan.traps else "",
        ),
        ("Wanted", sheet.cell("requested", requested, in_days(requested, other)) if requested else ""),
        ("Terms", sheet.cell("terms", rng.choice(("EXW", "FCA", "CPT", "DAP", "DDP"))) if rng.random() < 0.7 else ""),
        (
            "Payment",
            sheet.cell("payment_days", rng.choice((14, 30, 45, 60))) + " days net" if rng.random() < 0.7 else "",
        ),
    ]
    rows = [["Pos", "Part", "Description", "Qty", "Unit", "Price", "Needed"]]
    total = Decimal(0)
    priced = not absent or bool(plan.traps & {"sum_wrong", "two_currencies"}) or rng.random() < 0.5
    struck = rng.randrange(plan.rows) if "struck" in plan.traps else -1
    for n in range(plan.rows):
        part: Part = sheet.draw("part")
        quantity, each = rng.randint(1, 60), price(ledger, part, currency, ordered)
        total += quantity * each
        needed = sheet.draw("date 51 140") if plan.rows > 1 and rng.random() < 0.2 else None
        path = f"lines.{n}"
        count = sheet.cell(f"{path}.quantity", quantity)
        if "corrected" in plan.traps and n == 0:
            count = f"~~{quantity + rng.randint(1, 20)}~~ {count}"
        rows.append(
            [
                str(10 * (n + 1)),
                sheet.cell(f"{path}.item", part.number),
                part.name,
                count,
                sheet.cell(f"{path}.unit", "pcs"),
                sheet.cell(f"{path}.unit_price", each, sheet.number(each, 2)) if priced else "",
                sheet.cell(f"{path}.needed", needed, in_days(needed, other)) if needed else "",
            ]
        )
        if n == struck:
            gone: Part = sheet.draw("part")
            rows.append(struck_out([str(10 * n + 15), gone.number, gone.name, str(rng.randint(2, 50)), "pcs", "", ""]))
    if "sum_wrong" in plan.traps:
        total = misprint(total, sheet)
    foot = [("Total without VAT", sheet.cell("total", Money(total, currency)) if priced else "")]
    if "two_currencies" in plan.traps and priced:
        into, rate = {"GBP": ("EUR", "1.25"), "DKK": ("EUR", "0.15"), "EUR": ("DKK", "7.95")}[currency]
        foot.append(("Budget", sheet.written(Money(rounded(total * Decimal(rate)), into))))
    titles = ("PURCHASE ORDER", "Order", "Purchase order", "ORDER FORM")
    parts = [
        titles[plan.layout],
        labels(head, plan.layout),
        table(rows, plan.layout, frozenset((3, 5))),
        labels(foot, 0),
        sheet.fill(note),
    ]
    return "\n\n".join(part for part in parts if part)
