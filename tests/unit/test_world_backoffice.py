"""The back office: as many records as promised, each tied to the others, the same for one seed."""

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal

import pytest

from bench.world.backoffice import back_office, catalogue, list_price
from bench.world.corpus import world
from bench.world.names import hand_list
from bench.world.records import TODAY
from bench.world.values import load_yaml

SEED = 20260101


@pytest.fixture(scope="module")
def office():
    return back_office(SEED)


def test_there_are_as_many_records_as_promised(office):
    assert {name: len(rows) for name, rows in office.tables.items()} == {
        "department": 10, "role": 24, "product": 40, "customer": 140, "machine": 700, "list_price": 400 * 3 * 3, "order": 400,
        "order_line": len(office["order_line"]), "delivery": 520, "delivery_line": len(office["delivery_line"]), "invoice": 600,
        "return": 90, "ticket": 900, "incident": 30,
    }  # fmt: skip
    assert len(office["order_line"]) >= 1200
    assert set(Counter(row["country"] for row in office["customer"])) == {"DK", "DE", "BE", "FR", "GB", "PL"}


@pytest.mark.parametrize(
    ("table", "key"),
    [("customer", "name"), ("machine", "serial"), ("order", "number"), ("delivery", "number"), ("invoice", "number"),
     ("return", "rma"), ("ticket", "number"), ("incident", "number")],
)  # fmt: skip
def test_a_number_stands_for_one_record(office, table, key):
    numbers = [row[key] for row in office[table]]
    assert len(set(numbers)) == len(numbers)


def test_what_registers_print_is_among_the_records(office):
    records = world(SEED).records
    machines = {row["serial"]: row for row in office["machine"]}
    for asset in records.assets:
        row = machines[asset.serial]
        signed = asset.commissioned.isoformat() if asset.commissioned else None
        assert (row["customer"], row["delivered"], row["commissioned"]) == (
            asset.customer,
            asset.delivered.isoformat(),
            signed,
        )
    assert {one.number for one in records.invoices} <= {row["number"] for row in office["invoice"]}
    assert {one.rma for one in records.returns} <= {row["rma"] for row in office["return"]}
    assert {one.number for one in records.parts} <= {number for number, _ in catalogue(SEED)}
    printed = {row["name"]: row["tier"] for row in office["customer"] if row["tier"]}
    assert printed == {one.customer: one.tier for one in records.contracts}


def test_deliveries_bring_what_was_ordered_and_invoices_bill_what_came(office):
    ordered, came = defaultdict(Counter), defaultdict(Counter)
    price = {(row["order"], row["part"]): row["price_cents"] for row in office["order_line"]}
    for row in office["order_line"]:
        ordered[row["order"]][row["part"]] += row["pieces"]
    notes = {row["number"]: row for row in office["delivery"]}
    worth = Counter()
    for row in office["delivery_line"]:
        order = notes[row["delivery"]]["order"]
        came[order][row["part"]] += row["pieces"]
        worth[row["delivery"]] += row["pieces"] * price[order, row["part"]]
    assert came == ordered  # at once or in two parts
    billed = [row for row in office["invoice"] if row["delivery"]]
    assert {row["delivery"] for row in billed} == set(notes)
    assert all(row["net_cents"] == worth[row["delivery"]] for row in billed)
    assert all(row["customer"] == notes[row["delivery"]]["customer"] for row in billed)
    assert max(row["delivered"] for row in office["delivery"]) <= TODAY.isoformat()


def test_credit_notes_take_back_no_more_than_was_billed(office):
    invoices = {row["number"]: row for row in office["invoice"]}
    notes = [row for row in office["invoice"] if row["kind"] == "credit_note"]
    assert len(notes) >= 50
    for row in notes:
        billed = invoices[row["corrects"]]
        assert -billed["net_cents"] <= row["net_cents"] < 0
        assert row["customer"] == billed["customer"]
        assert billed["issued"] <= row["issued"] <= TODAY.isoformat()


def test_returns_are_of_what_was_delivered(office):
    brought = {(row["delivery"], row["part"]): row["pieces"] for row in office["delivery_line"]}
    for row in office["return"]:
        assert row["delivered"] < row["scanned"] <= TODAY.isoformat()
        if row["delivery"]:
            assert 1 <= row["pieces"] <= brought[row["delivery"], row["part"]]


def test_tickets_and_machines_belong_to_customers_and_intents_are_labels(office):
    customers, machines = set(hand_list("customers")), {row["serial"]: row["customer"] for row in office["machine"]}
    assert set(machines.values()) <= customers
    labels = set(load_yaml("bank/classify.yaml")["labels"])
    for row in office["ticket"]:
        assert row["customer"] == machines[row["serial"]]
        assert row["intent"] in labels
        assert (row["closed"] is not None) == (row["state"] == "closed")
        assert row["closed"] is None or row["opened"] < row["closed"] <= f"{TODAY.isoformat()}T24"
    assert len({row["intent"] for row in office["ticket"]}) == 24


def test_a_serial_has_a_twin_that_differs_in_one_digit(office):
    serials = {row["serial"] for row in office["machine"]}
    twins = sum(any(f"{s[:3]}{int(s[3:]) + step}" in serials for step in (1, 10, 100, 1000)) for s in serials)
    assert twins >= 300


def test_a_price_is_the_printed_one_where_a_page_is_printed_and_never_falls_from_book_to_book():
    here = world(SEED)
    part = here.records.parts[0].number
    printed = here.ledger.in_force(f"part:{part}", "list_eur", TODAY)
    assert list_price(here.ledger, part, "EUR", TODAY) == Decimal(printed.value)
    for number, _ in catalogue(SEED):
        books = [list_price(here.ledger, number, "EUR", date(year, 3, 1)) for year in (2024, 2025, 2026)]
        assert books == sorted(books)


def test_another_seed_has_other_records_of_the_same_shape(office):
    other = back_office(SEED + 1)
    assert [row["serial"] for row in other["machine"]] != [row["serial"] for row in office["machine"]]
    assert {name: len(rows) for name, rows in other.tables.items() if "line" not in name} == {
        name: len(rows) for name, rows in office.tables.items() if "line" not in name
    }
