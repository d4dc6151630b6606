"""Order statistics with an effective sample size: hand-worked, against SciPy, and as properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.quantiles import binomial_rank, quantile, requests_to_bound


def alone(n):
    """Every value a block of its own."""
    return np.arange(n)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(500, 490, 500), (1000, 983, 997), (2000, 1971, 1989), (10_000, 9880, 9920)]
)
def test_ranks_of_the_95_percent_interval_of_p99_are_the_textbook_ones(n, low, high):
    assert math.floor(binomial_rank(n, 0.99, 0.025)) == low
    assert math.ceil(binomial_rank(n, 0.99, 0.975)) == high


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [40, 97, 368, 2500])
def test_real_ranks_bracket_the_exact_binomial_ones(n, p):
    # Exact: the largest l with P(Bin(n, p) <= l - 1) <= 2.5 %, the smallest u with P(Bin(n, p) <= u - 1) >= 97.5 %.
    cdf = scipy.stats.binom.cdf(np.arange(-1, n + 1), n, p)
    exact_low = int(np.flatnonzero(cdf <= 0.025).max())
    exact_high = int(np.flatnonzero(cdf >= 0.975).min())
    assert max(0, math.floor(binomial_rank(n, p, 0.025))) == exact_low
    high = binomial_rank(n, p, 0.975)
    assert min(n + 1, math.ceil(high)) == exact_high


def test_the_probability_at_the_real_rank_is_the_one_asked_for():
    for n, p, prob in ((17.3, 0.5, 0.025), (86.2, 0.99, 0.975), (2.4, 0.5, 0.9), (0.4, 0.5, 0.3), (3e5, 0.99, 5e-10)):
        r = binomial_rank(n, p, prob)
        assert scipy.special.betainc(n - r + 1, r, 1 - p) == pytest.approx(prob, rel=1e-6)


@pytest.mark.parametrize(("p", "n"), [(0.90, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_an_upper_end_exists_from_n_of_ln_0025_over_ln_p(p, n):
    assert requests_to_bound(p, design_effect=1) == n
    assert requests_to_bound(p, design_effect=3) in {3 * n, 3 * n - 1, 3 * n - 2}


def test_a_median_worked_by_hand():
    # Four blocks of two: 1 1 | 1 1 | 9 9 | 9 9. Median x_(4) = 1; at most 1: 2 2 0 0 of 2 each, share 1/2.
    # v = 4/3 * (1 + 1 + 1 + 1) / 8 = 2/3; design effect (2/3) / (1/2 * 1/2) = 8/3.
    # t(3) = 3.1824: n_eff = 8 / (8/3 * (3.1824 / 1.96)^2) = 1.138; 0.5^1.138 = 0.45 > 0.025: no end is bounded.
    sample = quantile(np.array([1.0, 1, 1, 1, 9, 9, 9, 9]), np.array([0, 0, 1, 1, 2, 2, 3, 3]), 0.5)
    assert sample.estimate == 1
    assert sample.design_effect == pytest.approx(8 / 3)
    interval = sample.interval()
    assert interval.n_eff == pytest.approx(1.138, abs=0.001)
    assert (interval.low, interval.high) == (None, None)


def test_blocks_that_agree_cost_nothing_but_their_small_number():
    # 24 blocks of four, each 1 2 3 4: every block has two values at most 2, so the design effect is 1.
    # n_eff = 96 / 1.1140 = 86.2; half of the values are 1 or 2, a quarter each: the interval is 2 to 3 at most.
    sample = quantile(np.tile([1.0, 2, 3, 4], 24), np.repeat(np.arange(24), 4), 0.5)
    assert sample.design_effect == 1
    interval = sample.interval()
    assert interval.n_eff == pytest.approx(86.18, abs=0.02)
    assert (interval.low, interval.high) == (2, 3)


def test_equal_values_have_a_point_as_interval():
    interval = quantile(np.full(100, 7.0), np.arange(100) // 4, 0.5).interval()
    assert (interval.low, interval.high) == (7, 7)


def test_failures_sort_last_and_carry_the_percentile_they_reach():
    # 100 requests of which 2 fail: p99 is x_(99), a failure; p50 is not.
    values = np.array([*range(98), math.inf, math.inf], dtype=float)
    p99 = quantile(values, alone(100), 0.99)
    assert p99.estimate == math.inf
    assert p99.interval().high is None
    assert 90 <= p99.interval().low < 98
    assert quantile(values, alone(100), 0.5).estimate == 49


def test_failures_that_come_in_one_block_widen_more_than_scattered_ones():
    values = np.ones(400)
    values[:8] = math.inf
    together = quantile(values, np.arange(400) // 8, 0.99)
    scattered = quantile(values[np.random.default_rng(1).permutation(400)], np.arange(400) // 8, 0.99)
    # Together: one block of 50 has all 8: v = 50/49 * (7.84^2 + 49 * 0.16^2) / 400 = 0.16; over 0.02 * 0.98: 8.16.
    assert together.design_effect == pytest.approx(50 / 49 * (7.84**2 + 49 * 0.16**2) / 400 / (0.02 * 0.98))
    assert scattered.design_effect < 2


def test_all_failed_is_known_to_be_infinite():
    sample = quantile(np.full(96, math.inf), np.arange(96) // 4, 0.5)
    assert sample.estimate == math.inf
    assert sample.interval().low == math.inf


def test_one_value_and_one_block_bound_nothing():
    for values in ([5.0], [1.0, 2, 3, 4, 5, 6, 7, 8]):
        interval = quantile(np.array(values), np.zeros(len(values), dtype=np.int64), 0.5).interval()
        # One block: n_eff = n / 42.03, less than one request.
        assert interval.n_eff == pytest.approx(len(values) / 42.03, rel=1e-3)
        assert (interval.low, interval.high) == (None, None)


def test_p99_of_a_quick_run_is_open_above_and_bounded_below():
    interval = quantile(np.arange(96.0), np.repeat(np.arange(24), 4), 0.99).interval()
    assert interval.high is None
    assert interval.low is not None


def test_no_values_and_nan_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        quantile(np.array([]), np.array([], dtype=np.int64), 0.5)
    with pytest.raises(ValueError, match="no NaN"):
        quantile(np.array([1.0, math.nan]), alone(2), 0.5)


samples = st.lists(st.floats(0.1, 1e5, allow_nan=False), min_size=1, max_size=120)
probabilities = st.sampled_from([0.5, 0.9, 0.99])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(samples, st.integers(1, 30), probabilities)
def test_the_interval_contains_the_estimate_and_narrows_with_less_confidence(values, blocks, p):
    sample = quantile(np.array(values), np.arange(len(values)) % blocks, p)
    wide, narrow = sample.interval(0.95), sample.interval(0.80)
    for interval in (wide, narrow):
        assert interval.low is None or interval.low <= sample.estimate
        assert interval.high is None or interval.high >= sample.estimate
    assert wide.low is None or (narrow.low is not None and wide.low <= narrow.low)
    assert wide.high is None or (narrow.high is not None and wide.high >= narrow.high)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(samples, st.integers(2, 30), probabilities)
def test_any_increasing_change_of_scale_moves_estimate_and_ends_alike(values, blocks, p):
    x, codes = np.array(values), np.arange(len(values)) % blocks
    plain = quantile(x, codes, p)
    for change in (lambda v: 1000 * v, np.sqrt):
        changed = quantile(change(x), codes, p)
        assert changed.estimate == change(np.float64(plain.estimate))
        for before, after in zip((plain.interval().low, plain.interval().high),
                                 (changed.interval().low, changed.interval().high), strict=True):  # fmt: skip
            assert after == (None if before is None else change(np.float64(before)))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(samples, st.integers(0, 10_000), probabilities)
def test_raising_values_never_lowers_the_estimate_and_order_does_not_matter(values, seed, p):
    rng = np.random.default_rng(seed)
    x, codes = np.array(values), np.arange(len(values)) // 4
    estimate = quantile(x, codes, p).estimate
    assert quantile(x + rng.exponential(10, len(x)), codes, p).estimate >= estimate
    order = rng.permutation(len(x))
    shuffled = quantile(x[order], codes[order], p)
    assert shuffled.estimate == estimate
    assert shuffled.design_effect == pytest.approx(quantile(x, codes, p).design_effect)
