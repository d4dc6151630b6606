"""Ratios, p-values, the family's adjustment, and the words that follow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.quantiles import quantile
from bench.stats.ratios import (
    bootstrap_p,
    expanded_interval,
    linear_p,
    quantile_ratio,
    quantile_ratio_p,
    resample_blocks,
    sums_ratio,
    sums_ratio_p,
)
from bench.stats.verdicts import WORDS, Evidence, holm, judge, more_blocks

BLOCKS = np.repeat(np.arange(24), 4)


def latency(seed, factor=1.0, shared_seed=0):
    shared = np.random.default_rng(shared_seed).normal(0, 0.1, 24)[BLOCKS]
    return factor * np.exp(shared + np.random.default_rng(seed).normal(0, 0.15, 96))


def ratio(a, b, p=0.5, conf=0.95):
    return quantile_ratio(quantile(a, BLOCKS, p), quantile(b, BLOCKS, p), conf)


def test_mover_worked_by_hand():
    # Blocks of equal make-up: rho is 0, and the intervals are 2 to 3 around 2 (A) and 20 to 30 around 20 (B).
    a = np.tile([1.0, 2, 3, 4], 24)
    found = ratio(a, 10 * a)
    # d = ln 10; L = d - sqrt((ln 20/20)^2 + (ln 3/2)^2) = d - 0.4055; U = d + sqrt((ln 30/20)^2 + 0) = d + 0.4055.
    assert found.estimate == pytest.approx(math.log(10))
    assert (found.low, found.high) == pytest.approx((math.log(10) - 0.405465, math.log(10) + 0.405465), abs=1e-6)


def test_a_target_against_itself_is_one():
    found = ratio(latency(1), latency(1))
    assert found.estimate == 0
    assert found.low < 0 < found.high


def test_swapping_targets_inverts_the_ratio_and_a_common_scale_cancels():
    forward, backward = ratio(latency(1), latency(2, 1.3)), ratio(latency(2, 1.3), latency(1))
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low))
    scaled = ratio(1000 * latency(1), 1000 * latency(2, 1.3))
    assert (scaled.estimate, scaled.low, scaled.high) == pytest.approx((forward.estimate, forward.low, forward.high))


def test_shared_slow_blocks_narrow_the_ratio():
    together = ratio(latency(1), latency(2))
    apart = ratio(latency(1), latency(2, shared_seed=5))
    assert together.high - together.low < apart.high - apart.low


def test_an_open_end_opens_only_its_own_side():
    # 2,000 against 96 requests' worth: the candidate's p99 has no upper end, the baseline's has both.
    blocks = np.repeat(np.arange(40), 50)
    rng = np.random.default_rng(3)
    bounded = quantile(rng.lognormal(0, 0.5, 2000), blocks, 0.99)
    opened = quantile(rng.lognormal(1, 0.5, 96), BLOCKS, 0.99)
    found = quantile_ratio(bounded, opened)
    assert found.high == math.inf
    assert math.isfinite(found.low)


def test_a_percentile_among_the_failures_is_slower_only_when_its_whole_interval_is():
    finite = latency(1)
    half_failed, most_failed, all_failed = finite.copy(), finite.copy(), np.full(96, math.inf)
    half_failed[::2], most_failed[:80] = math.inf, math.inf
    half_failed[1] = math.inf
    unsure, sure = ratio(finite, half_failed), ratio(finite, most_failed)
    assert unsure.estimate == sure.estimate == math.inf
    assert unsure.low < math.inf
    assert sure.low == math.inf or sure.low > 0
    assert ratio(finite, all_failed).low == math.inf
    assert ratio(all_failed, all_failed).estimate is None
    assert ratio(all_failed, finite).high == -math.inf


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("factor", [1.0, 1.08, 1.3])
def test_p_is_below_5_percent_exactly_when_the_95_percent_interval_excludes_1(seed, factor):
    a, b = quantile(latency(seed), BLOCKS, 0.5), quantile(latency(seed + 50, factor), BLOCKS, 0.5)
    assert (quantile_ratio_p(a, b) < 0.05) == quantile_ratio(a, b).excludes_equality()


def test_p_falls_as_the_difference_grows_and_is_1_for_none():
    ps = [quantile_ratio_p(quantile(latency(1), BLOCKS, 0.5), quantile(latency(1, f), BLOCKS, 0.5))
          for f in (1.0, 1.05, 1.1, 1.3, 3.0)]  # fmt: skip
    assert ps[0] == 1
    assert ps == sorted(ps, reverse=True)
    assert ps[-1] < 1e-6


def test_the_bootstrap_is_the_same_for_the_same_seed_only():
    same = [resample_blocks(24, seed=1, count=500).weights for _ in range(2)]
    assert (same[0] == same[1]).all()
    assert (same[0] != resample_blocks(24, seed=2, count=500).weights).any()
    assert (same[0].sum(axis=1) == 24).all()


def test_a_ratio_of_sums_that_never_varies_is_a_point():
    drawn = sums_ratio(np.full(24, 3.0), np.full(24, 4.0), resample_blocks(24, seed=1, count=1000))
    interval = expanded_interval(drawn, 0.75, 24)
    assert (interval.low, interval.high) == (0.75, 0.75)


def test_the_bootstrap_widens_for_few_blocks_and_gives_up_on_four():
    rng = np.random.default_rng(2)
    for blocks, bounded in ((2, False), (4, False), (6, True), (24, True)):
        drawn = sums_ratio(rng.exponential(1, blocks), np.ones(blocks), resample_blocks(blocks, seed=1))
        interval = expanded_interval(drawn, float(drawn.mean()), blocks)
        assert (interval.low is not None) is bounded
    # With a normal statistic of standard error 1 and 24 blocks, the tail is sqrt(24/23) * t(23) = 2.113.
    normal = np.random.default_rng(3).standard_normal(200_000)
    interval = expanded_interval(normal, 0.0, 24)
    assert interval.high == pytest.approx(2.113, abs=0.03)
    assert interval.low == pytest.approx(-2.113, abs=0.03)


def test_a_resample_without_a_denominator_opens_the_upper_end():
    drawn = sums_ratio(np.ones(6), np.array([1.0, 0, 0, 0, 0, 0]), resample_blocks(6, seed=1))
    assert expanded_interval(drawn, 6.0, 6).high is None


def test_the_bootstrap_p_is_1_at_no_difference_and_never_0():
    normal = np.random.default_rng(4).standard_normal(10_000)
    assert bootstrap_p(np.zeros(1000), 24) == 1
    assert bootstrap_p(normal, 24) > 0.9
    assert bootstrap_p(normal + 2.113, 24) == pytest.approx(0.05, abs=0.01)
    assert 0 < bootstrap_p(normal + 50, 24) < 0.003
    assert bootstrap_p(normal + 50, 1) == 1


def test_holm_worked_by_hand():
    # Sorted .01 .03 .04: 3 * .01 = .03; 2 * .03 = .06; 1 * .04 = .04, raised to .06 because order is kept.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_lies_between_the_raw_p_and_bonferroni_and_keeps_order(ps):
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(ps)) + 1e-12
    assert [adjusted[i] for i in np.argsort(ps, kind="stable")] == sorted(adjusted)


MARGIN = math.log(1.05)
CLEAR = Evidence(0.2, 0.1, 0.3, 0.12, 0.28, MARGIN, 24, p_holm=0.001, family=20)


@pytest.mark.parametrize(
    ("evidence", "word"),
    [
        (CLEAR, "slower"),
        (replace(CLEAR, estimate=-0.2, low=-0.3, high=-0.1, low_90=-0.28, high_90=-0.12), "faster"),
        (replace(CLEAR, estimate=0.03, low=0.01, high=0.05, low_90=0.015, high_90=0.049), "slower_small"),
        (replace(CLEAR, estimate=-0.03, low=-0.05, high=-0.01, low_90=-0.06, high_90=-0.02), "faster_small"),
        (replace(CLEAR, estimate=0.0, low=-0.05, high=0.05, low_90=-0.04, high_90=0.04, p_holm=1.0), "equivalent"),
        (replace(CLEAR, estimate=0.0, low=-0.06, high=0.06, low_90=-0.049, high_90=0.02, p_holm=1.0), "inconclusive"),
        (replace(CLEAR, p_holm=0.06), "inconclusive"),
        (replace(CLEAR, estimate=0.02, low=0.001, high=0.04, low_90=0.01, high_90=0.03, p_holm=0.5), "equivalent"),
        (replace(CLEAR, blocks=19), "inconclusive"),
        (replace(CLEAR, estimate=None), "inconclusive"),
        (replace(CLEAR, low=-math.inf, high=math.inf, p_holm=1.0), "inconclusive"),
        (replace(CLEAR, estimate=math.inf, low=math.inf, high=math.inf), "slower"),
        (replace(CLEAR, estimate=math.inf, low=-0.1, high=math.inf, p_holm=1.0), "inconclusive"),
    ],
)  # fmt: skip
def test_each_interval_has_its_word(evidence, word):
    verdict = judge(evidence, WORDS["latency"])
    assert verdict.word == word
    assert bool(verdict.reason) == (word == "inconclusive")


def test_quality_that_rises_is_better_and_cost_that_rises_is_costlier():
    assert judge(CLEAR, WORDS["quality"]).word == "better"
    assert judge(CLEAR, WORDS["cost"]).word == "costlier"


def test_too_few_blocks_and_a_failed_adjustment_are_named_as_the_reason():
    assert "19 common blocks" in judge(replace(CLEAR, blocks=19), WORDS["latency"]).reason
    assert "adjusting for 20 comparisons (p = 0.06)" in judge(replace(CLEAR, p_holm=0.06), WORDS["latency"]).reason


def test_how_many_more_blocks_worked_by_hand():
    # Width 0.2 at an estimate of 0.05 and 24 blocks: 0 is excluded at a width of 0.1: four times the blocks, 72 more.
    wide = Evidence(0.05, -0.05, 0.15, -0.04, 0.14, MARGIN, 24)
    assert more_blocks(wide) == 72
    # At no difference, equivalence needs a width of 2 ln 1.05 = 0.09758: 24 * (0.2 / 0.09758)^2 - 24 = 76.8, so 77.
    assert more_blocks(replace(wide, estimate=0.0, low=-0.1, high=0.1)) == 77
    assert judge(wide, WORDS["latency"]).more_blocks == 72


def test_equal_ratios_of_sums_have_p_1_and_the_p_of_blocks_is_a_paired_t_test():
    rng = np.random.default_rng(6)
    ones = np.ones(30)
    a, b = rng.normal(100, 1, 30), rng.normal(100.4, 1, 30)
    # With denominators that never vary, and sums near 100: nearly the paired t-test of the logs of the blocks.
    expected = scipy.stats.ttest_rel(np.log(a), np.log(b)).pvalue
    assert linear_p((a, ones), (b, ones)) == pytest.approx(expected, rel=0.05)
    assert linear_p((a, ones), (a, ones)) == 1
    assert linear_p((ones, ones), (2 * ones, ones)) == 0
    assert linear_p((ones, 0 * ones), (ones, ones)) == 1
    drawn = np.random.default_rng(4).standard_normal(10_000)
    assert sums_ratio_p((a, ones), (b, ones), drawn, 30) == bootstrap_p(drawn, 30)
    assert sums_ratio_p((a, ones), (b, ones), drawn + 50, 30) == linear_p((a, ones), (b, ones))
