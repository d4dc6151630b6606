"""The derived rules against tables worked out by hand, and the ledger against small documents."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.world import rules
from bench.world.ledger import Ledger, fact_id
from bench.world.render import Source, cut, render, render_all

OWNER, SITE, REGION = Decimal(2500), Decimal(20000), Decimal(80000)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2025, 1, 31), 1, date(2025, 2, 28)),  # February has no 31st: its last day
        (date(2024, 1, 31), 1, date(2024, 2, 29)),  # a leap year
        (date(2025, 11, 15), 3, date(2026, 2, 15)),  # over the end of the year
        (date(2025, 12, 1), 12, date(2026, 12, 1)),
        (date(2024, 5, 25), 26, date(2026, 7, 25)),  # 24 months → May 2026, and two more
    ],
)
def test_months_are_calendar_months(day, months, expected):
    assert rules.add_months(day, months) == expected


@settings(derandomize=True, max_examples=60)
@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 60), st.integers(0, 60))
def test_adding_months_keeps_order(day, fewer, more):
    assert (rules.add_months(day, fewer) <= rules.add_months(day, more)) == (fewer <= more)


@pytest.mark.parametrize(
    ("delivered", "signed", "expected"),
    [
        # delivery + 24 = 2026-03-10; signed + 18 = 2026-07-01: the later one
        (date(2024, 3, 10), date(2025, 1, 1), date(2026, 7, 1)),
        # signed + 18 = 2025-10-05: delivery wins
        (date(2024, 3, 10), date(2024, 4, 5), date(2026, 3, 10)),
        # no signed protocol: delivery alone
        (date(2024, 3, 10), None, date(2026, 3, 10)),
    ],
)
def test_a_warranty_ends_on_the_later_date(delivered, signed, expected):
    assert rules.warranty_end(delivered, signed, 24, 18) == expected


@pytest.mark.parametrize(
    ("amount", "level"),
    [
        ("2500", "cost-centre owner"),  # exactly on a limit stays with the lower level
        ("2500.01", "site lead"),
        ("20000", "site lead"),
        ("79999", "regional director"),
        ("80000.01", "chief financial officer"),
    ],
)
def test_an_order_is_approved_by_the_level_of_its_amount(amount, level):
    assert rules.approver(Decimal(amount), OWNER, SITE, REGION) == level


@pytest.mark.parametrize(
    ("start", "years", "band"),
    [
        (date(2024, 3, 17), 1, "short"),  # one day before the second anniversary
        (date(2023, 3, 16), 3, "mid"),  # the third anniversary itself counts
        (date(2019, 3, 17), 6, "mid"),
        (date(2019, 3, 16), 7, "long"),
    ],
)
def test_notice_goes_by_completed_years(start, years, band):
    assert rules.completed_years(start, date(2026, 3, 16)) == years
    assert rules.notice_band(years, middle_from=3, long_from=7) == band


@pytest.mark.parametrize(
    ("sealed", "age", "band"),
    [
        (True, 9, "early"),
        (True, 10, "sealed"),
        (True, 40, "sealed"),
        (True, 41, None),
        (False, 2, "opened"),
        (False, 41, None),
    ],
)
def test_restocking_goes_by_seal_and_age(sealed, age, band):
    assert rules.restocking_band(sealed, age, early_days=9, window_days=40) == band


@pytest.mark.parametrize(
    ("tier", "stamp", "predicate"),
    [
        ("Plus", "2026-03-13 19:59", "plus_day"),  # Friday, one minute before the end
        ("Plus", "2026-03-13 20:00", "plus_night"),
        ("Prime", "2026-03-16 06:00", "prime_day"),  # Monday, first minute
        ("Prime", "2026-03-14 12:00", "prime_night"),  # Saturday noon is out of hours
        ("Round-the-Clock", "2026-03-14 12:00", "rtc_day"),
    ],
)
def test_response_goes_by_tier_and_hour(tier, stamp, predicate):
    assert rules.response_predicate(tier, datetime.fromisoformat(stamp)) == predicate


@pytest.mark.parametrize(
    ("pieces", "off", "net"),
    [
        (9, "0", "17.00"),
        (10, "5", "16.15"),  # 17 × 0.95
        (50, "12", "14.96"),  # 17 × 0.88
    ],
)
def test_a_line_gets_the_highest_break_it_reaches(pieces, off, net):
    discount = rules.quantity_discount(pieces, {10: Decimal(5), 50: Decimal(12)})
    assert discount == Decimal(off)
    assert rules.net_price(Decimal(17), discount) == Decimal(net)


def test_holds_and_loans_count_calendar_days_from_their_day_zero():
    assert rules.hold_date(date(2026, 2, 24), 40) == date(2026, 4, 5)  # 4 days of February, 31 of March, 5 of April
    assert rules.last_free_day(date(2026, 2, 9), 28) == date(2026, 3, 9)


def _source(doc_id: str, day: date, body: str, supersedes: str | None = None, scope: str = "group") -> Source:
    return Source(doc_id, doc_id.title(), "policy", "1", day, supersedes, scope, "Somebody", body)


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    old, new = date(2024, 1, 1), date(2025, 7, 1)
    sources = [
        _source("old", old, "Within {{f:returns.window.cdays@2024-01-01}} days; {{f:returns.card.eur@2024-01-01}}."),
        _source(
            "new",
            new,
            "Within {{f:returns.window.cdays@2025-07-01}} days, from April {{f:returns.window.cdays@2026-04-01}}.",
            supersedes="old",
        ),
        _source("annex", new, "Here: {{f:returns.window.cdays@2025-07-01}}.", scope="DTM"),
        _source("mail", new, "He said {{q:returns.window.cdays@2024-01-01}} days, {{p:boss}}."),
    ]
    values = {
        "returns.window.cdays@2024-01-01": "14",
        "returns.card.eur@2024-01-01": "1250",
        "returns.window.cdays@2025-07-01": "30",
        "returns.window.cdays@2026-04-01": "21",
        "returns.window.cdays@2025-07-01#DTM": "45",
    }
    return render_all(sources, values, {"boss": "Ada Voss"})[1]


@pytest.mark.parametrize(
    ("on", "site", "value"),
    [
        (date(2023, 12, 31), "group", None),  # before the first edition
        (date(2025, 6, 30), "group", "14"),
        (date(2025, 7, 1), "group", "30"),
        (date(2026, 3, 31), "group", "30"),
        (date(2026, 4, 1), "group", "21"),  # announced in the same document, in force later
        (date(2026, 3, 16), "DTM", "45"),  # the annex goes first
        (date(2025, 6, 30), "DTM", "14"),  # before the annex the group rule binds the site
        (date(2026, 3, 16), "LYS", "30"),  # another site's annex means nothing
    ],
)
def test_the_edition_in_force_on_the_day_binds(ledger, on, site, value):
    fact = ledger.in_force("returns", "window", on, site)
    assert (fact and fact.value) == value


def test_a_fact_that_the_next_edition_drops_ends_with_its_document(ledger):
    assert ledger.in_force("returns", "card", date(2025, 6, 30)).value == "1250"
    assert ledger.in_force("returns", "card", date(2025, 7, 1)) is None


def test_a_fact_knows_its_predecessor(ledger):
    assert ledger.get("returns.window.cdays@2025-07-01").supersedes == "returns.window.cdays@2024-01-01"
    assert ledger.get("returns.window.cdays@2024-01-01").supersedes is None


def test_a_quotation_is_a_mention_and_no_fact():
    source = _source("mail", date(2025, 7, 1), "He said {{q:a.b.days@2024-01-01}}, {{p:boss}}.")
    document, statements = render(source, {"a.b.days@2024-01-01": "14"}, {"boss": "Ada Voss"})
    assert statements == []
    assert document.text == "He said 14, Ada Voss."
    assert document.mentions == (("a.b.days@2024-01-01", 8, 10),)


def test_a_fact_stated_twice_is_an_error(ledger):
    with pytest.raises(ValueError, match="two statements of one fact"):
        Ledger([*ledger.facts, ledger.facts[0]])


def test_a_misspelt_slot_is_an_error():
    with pytest.raises(ValueError, match="a slot that is not understood"):
        render(_source("x", date(2025, 1, 1), "{{g:a.b.days@2025-01-01}}"), {}, {})


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.integers(5, 900), min_size=1, max_size=14), st.data())
def test_cutting_loses_nothing_and_keeps_every_value_whole(lengths, data):
    slots = [data.draw(st.booleans()) for _ in lengths]
    body = "\n\n".join(
        "x" * length + (f" {{{{f:s{n}.p.days@2025-01-01}}}}" if slot else "")
        for n, (length, slot) in enumerate(zip(lengths, slots, strict=True))
    )
    ids = [fact_id(f"s{n}.p.days", date(2025, 1, 1), "group") for n, slot in enumerate(slots) if slot]
    document, statements = render(_source("d", date(2025, 1, 1), body), dict.fromkeys(ids, "77"), {})
    passages = cut(document)
    assert "".join("".join(p.text for p in passages).split()) == "".join(document.text.split())
    assert sorted(fid for p in passages for fid in p.facts) == sorted(ids)
    for statement in statements:
        assert document.text[statement.span_start : statement.span_end] == "77"
