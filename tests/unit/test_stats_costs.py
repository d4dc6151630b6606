"""Money figures of a run, worked by hand: per million tokens, per success, and what failures, retries and reasoning cost."""

from decimal import Decimal

import numpy as np
import pytest

from bench.stats import costs
from bench.stats.table import build
from tests.unit.stats_example import COMPLETE, NO_ATTEMPTS, request, requests, score, scores

D = Decimal
SLO = {"workload": {"slo": {"goodput": {"ttft": 200_000_000}}}}  # 200 ms to the first token


def paid(target, seq, **changes):
    """1,000 uncached and 4,000 cached tokens in at 2 and 0.1, 100 out at 10, of which 40 reasoning: 0.0024 + 0.001 USD."""
    row = request(
        target, seq, input_tokens=1000, cache_read_tokens=4000, output_tokens=100, reasoning_tokens=40,
        cost_usd=D("0.0034"), cost_input_usd=D("0.002"), cost_cache_read_usd=D("0.0004"), cost_cache_write_5m_usd=D(0),
        cost_cache_write_1h_usd=D(0), cost_output_usd=D("0.001"), cost_reasoning_usd=D("0.0004"), cost_retries_usd=D(0),
        unpriced_attempts=0,
    )  # fmt: skip
    return row | changes


def failed(target, seq, **changes):
    nothing = {
        "cost_usd": None,
        "cost_output_usd": None,
        "cost_reasoning_usd": None,
        "ttft_ms": None,
        "first_token_ns": None,
    }
    return paid(target, seq, outcome="server", unpriced_attempts=1, **{**nothing, **changes})


def late(seq):
    """Right, and 900 ms to the first token: too late."""
    sent = seq * 10**9
    return {"first_token_ns": sent + 900_000_000, "ttft_ms": 900.0, "end_ns": sent + 1_100_000_000, "e2e_ms": 1100.0,
            "e2e_all_ms": 1100.0}  # fmt: skip


def cells(rows, verdicts, manifest=SLO):
    return build(requests(rows), NO_ATTEMPTS, scores(verdicts), {**COMPLETE, **manifest}).row("a").cells


def test_the_money_figures_worked_by_hand():
    rows = [paid("a", seq) for seq in range(48)]
    rows[5] = paid("a", 5, attempts=2, cost_retries_usd=D("0.0017"))  # half a try more
    rows[9] = paid("a", 9, **late(9))  # right, and too late
    rows[13] = paid("a", 13, outcome="refused")  # billed and of no use
    found = cells(rows, [score("a", seq, float(seq != 3)) for seq in range(48) if seq != 13])
    spent = 48 * 0.0034 + 0.0017
    assert found["usd_per_1k"].value == pytest.approx(1000 * spent / 48)
    assert found["usd_per_correct"].value == pytest.approx(spent / 46)  # not 3, not 13
    assert found["usd_per_success"].value == pytest.approx(spent / 45)  # nor 9
    assert found["usd_per_1m_input"].value == pytest.approx(0.0024 / 5000 * 1e6)  # 0.48: list is 2
    assert found["usd_per_1m_output"].value == pytest.approx(10)
    assert found["failed_cost_share"].value == pytest.approx(0.0034 / spent)
    assert found["retried_cost_share"].value == pytest.approx(0.0017 / spent)
    assert found["reasoning_cost_share"].value == pytest.approx(48 * 0.0004 / spent)
    for name in costs.RATIOS:
        cell = found[name]
        assert cell.low is not None, name
        assert cell.low <= cell.value <= cell.high


def test_what_nobody_knows_is_said_and_is_not_taken_for_free():
    rows = [paid("a", seq) for seq in range(48)]
    rows[2] = failed("a", 2)
    rows[4] = paid("a", 4, attempts=2, cost_retries_usd=None, unpriced_attempts=1)
    found = cells(rows, [score("a", seq, 1.0) for seq in range(48) if seq != 2])
    for name in ("usd_per_1k", "usd_per_correct", "usd_per_success", "failed_cost_share"):
        assert "cost of 1 failed request not known, and not counted" in found[name].warnings
        assert "cost of 1 earlier attempt not known, and not counted" in found[name].warnings
    assert found["usd_per_1k"].value == pytest.approx(3.4)
    assert found["retried_cost_share"].n == 46  # neither the failed one nor the one whose retry nobody knows


@pytest.mark.parametrize(
    ("change", "name", "why"),
    [
        ({"cost_output_usd": None, "cost_retries_usd": None}, "usd_per_1m_input", costs.NOT_ITEMISED),
        ({"cost_output_usd": None}, "usd_per_1m_output", costs.NOT_ITEMISED),
        ({"cost_retries_usd": None}, "retried_cost_share", costs.NOT_ITEMISED),
        ({"cost_reasoning_usd": None}, "reasoning_cost_share", "the replies do not say"),
        ({"cost_usd": None, "price_book": None}, "usd_per_success", "no price known"),
        ({"cost_usd": D(0), "cost_output_usd": D(0)}, "failed_cost_share", "nothing was spent"),
    ],
)
def test_a_figure_that_cannot_be_told_says_why(change, name, why):
    rows = [paid("a", seq, **change) for seq in range(12)]
    cell = cells(rows, [score("a", seq, 1.0) for seq in range(12)])[name]
    assert cell.value is None
    assert why in " ".join(cell.warnings)


def test_without_limits_there_is_no_success_and_without_success_it_costs_without_end():
    rows, right = [paid("a", seq) for seq in range(12)], [score("a", seq, 1.0) for seq in range(12)]
    assert cells(rows, right, {})["usd_per_success"].value is None
    cell = cells([paid("a", seq, **late(seq)) for seq in range(12)], right)["usd_per_success"]
    assert cell.value == float("inf")
    assert costs.NO_SUCCESS in cell.warnings


def test_dollars_per_success_of_two_targets_are_compared_block_by_block():
    slow = {seq: late(seq) for seq in range(0, 96, 2)}
    rows = [paid("a", seq) for seq in range(96)] + [paid("b", seq, **slow.get(seq, {})) for seq in range(96)]
    right = [score(target, seq, 1.0) for target in "ab" for seq in range(96)]
    built = build(requests(rows), NO_ATTEMPTS, scores(right), {**COMPLETE, **SLO})
    one = next(c for c in built.comparisons if c.metric == "usd_per_success")
    assert one.value == pytest.approx(2)  # the same price, half of it in time
    assert (one.primary, one.unit) == (False, "ratio")


def test_an_amount_that_two_floats_leave_behind_is_none():
    stored = {"cost_usd": [0.3], "cost_output_usd": [0.1 + 0.2]}
    found = costs.derived(lambda name: np.array(stored.get(name, [np.nan])))
    assert found["usd_in"].tolist() == [0.0]
    assert found["tokens_in"].tolist() == [0.0]
