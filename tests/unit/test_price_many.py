"""Many rows priced at once: the same last digit as one by one, whatever the entry, the tokens and what is not known."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.price import many
from bench.price.book import Band, PriceEntry, Unknown, load_book
from bench.price.cost import CLASSES, ITEM_COLUMNS, REASONING_COLUMN, cost, itemised
from bench.record import Usage
from bench.store.usage import NONE, picodollars

LISTED = [entry for entry in load_book().entries if entry.status != "unknown"]
D = Decimal


def entry(rates, bands=(), door="anthropic"):
    rates = {name: D(rate) for name, rate in rates.items()}
    of_bands = tuple(Band(above, {name: D(rate) for name, rate in of.items()}) for above, of in bands)
    day = date(2026, 1, 1)
    return PriceEntry("e", door, "m", "s", "default", rates, day, None, "made", day, "list", of_bands)


FINE = entry(
    {"input": "0.3333333335", "cache_read": "0.0000000001", "output": "1.25"}
)  # more places than picodollars have
THOUGHT = entry({"input": "1", "output": "2", "reasoning": "3.5"}, door="openai-compatible")
BANDED = entry(
    {"input": "3", "cache_read": "0.3", "output": "15"},
    [(200_000, {"input": "6", "cache_read": "0.6", "output": "22.5"}), (500_000, {"input": "7", "output": "30"})],
)
ENTRIES = [*LISTED[:12], FINE, THOUGHT, BANDED, Unknown("no price")]

tokens = st.none() | st.sampled_from([0, 1, 199_999, 200_000, 200_001, 500_001]) | st.integers(0, 300_000)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens, tokens)
rows = st.lists(st.tuples(st.integers(0, len(ENTRIES) - 1), usages), min_size=1, max_size=20)


def priced(entries, codes, usages, caching=True):
    def column(name):
        values = [getattr(usage, f"{name}_tokens") for usage in usages]
        return np.array([NONE if value is None else value for value in values], np.int64)

    by = many.tariff(entries, [caching] * len(entries))
    return many.price(by, np.array(codes, np.int32), {name: column(name) for name in CLASSES}, column("reasoning"))


def stored(amount):
    """As a column of money keeps it."""
    return NONE if amount is None else int(amount.quantize(D("1e-12"), ROUND_HALF_EVEN).scaleb(12))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(rows, st.booleans())
def test_many_rows_cost_to_the_last_digit_what_they_cost_one_by_one(rows, caching):
    codes, used = zip(*rows, strict=True)
    found = priced(ENTRIES, codes, used, caching)
    for at, (code, usage) in enumerate(rows):
        one = cost(usage, ENTRIES[code], caching=caching)
        parts = itemised(usage, one)
        assert found.total[at] == stored(one.total), (usage, one)
        assert found.reasoning[at] == stored(parts[REASONING_COLUMN])
        for name in CLASSES:
            assert found.items[name][at] == stored(parts[ITEM_COLUMNS[name]])


@pytest.mark.parametrize(
    ("whole_input", "rate"),
    [(199_999, 3), (200_000, 3), (200_001, 6), (500_000, 6), (500_001, 7)],  # the bound itself is below the band
)
def test_the_band_begins_one_token_above_its_bound(whole_input, rate):
    found = priced([BANDED], [0], [Usage(whole_input, 0, 0, 0, 0)])
    assert found.total.tolist() == [whole_input * rate * 10**6]  # 1 USD per million tokens is 10^6 picodollars a token


def test_cached_input_counts_for_the_band_and_a_rate_that_is_missing_there_leaves_the_cost_unknown():
    found = priced([BANDED], [0, 0], [Usage(1, 200_000, 0, 0, 0), Usage(1, 500_000, 0, 0, 0)])
    assert found.total.tolist() == [
        6_000_000 + 200_000 * 600_000,
        NONE,
    ]  # the band above 500,000 has no rate for cache reads


def test_what_does_not_fit_64_bits_is_exact_all_the_same():
    usage = Usage(10**15, 0, 0, 0, 10**15, 0)  # a quadrillion tokens at 3 and 15: 18 billion USD
    found = priced([entry({"input": "3", "output": "15"})], [0], [usage])
    assert found.total.dtype == object
    assert many.usd(many.summed(found.total)) == D("18000000000")


def test_sums_are_exact_beyond_what_a_float_holds():
    amounts = np.full(10_000, (1 << 60) + 1, np.int64)
    assert many.summed(np.append(amounts, NONE)) == 10_000 * ((1 << 60) + 1)


def test_money_is_read_from_a_column_to_the_last_digit_also_from_its_middle():
    values = [D("0.000000000001"), None, D("0"), D("9223372.036854775807"), D("-0.5")]
    column = pa.array(values, pa.decimal128(38, 12))
    assert picodollars(column).tolist() == [1, NONE, 0, 2**63 - 1, -500_000_000_000]
    assert picodollars(column[3:]).tolist() == [2**63 - 1, -500_000_000_000]
    large = picodollars(pa.array([D("9223372.036854775808"), None], pa.decimal128(38, 12)))
    assert large.tolist() == [2**63, NONE]


def test_reasoning_is_charged_once_at_its_own_rate_where_it_has_one_and_else_as_output():
    used = Usage(0, 0, 0, 0, 100, 90)
    assert cost(used, THOUGHT).total == D("0.000335")  # 10 x 2 + 90 x 3.5 = 335 millionths
    parts = itemised(used, cost(used, THOUGHT))
    assert (parts["cost_output_usd"], parts["cost_reasoning_usd"]) == (D("0.000335"), D("0.000315"))
    assert cost(replace(used, reasoning_tokens=None), THOUGHT).total is None
    plain = entry({"input": "1", "output": "2"}, door="openai-compatible")
    parts = itemised(used, cost(used, plain))
    assert (parts["cost_output_usd"], parts["cost_reasoning_usd"]) == (D("0.0002"), D("0.00018"))  # 90 % of it


@pytest.mark.parametrize("reasoning", [None, 101])
def test_a_share_of_reasoning_that_cannot_be_told_is_not_known(reasoning):
    used = Usage(0, 0, 0, 0, 100, reasoning)
    plain = entry({"input": "1", "output": "2"}, door="openai-compatible")
    assert itemised(used, cost(used, plain))["cost_reasoning_usd"] is None
