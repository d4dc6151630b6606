"""Adjusted p-values, equivalence as a test, and what is compared outside the declared family."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.means import paired_difference, resampled_means
from bench.stats.quantiles import quantile
from bench.stats.ratios import (
    bootstrap_equivalence_p,
    expanded_interval,
    mover,
    quantile_equivalence_p,
    quantile_ratio,
    resample_blocks,
)
from bench.stats.table import build
from bench.stats.verdicts import benjamini_hochberg

from .stats_example import COMPLETE, NO_ATTEMPTS, request, requests, score, scores

BLOCKS = np.repeat(np.arange(48), 20)


def latency(seed, factor=1.0):
    shared = np.random.default_rng(0).normal(0, 0.1, 48)[BLOCKS]
    return factor * np.exp(shared + np.random.default_rng(seed).normal(0, 0.15, len(BLOCKS)))


def test_benjamini_hochberg_worked_by_hand():
    # Sorted .01 .02 .03 .5 of four: .01*4/1 = .04, .02*4/2 = .04, .03*4/3 = .04, .5*4/4 = .5.
    assert benjamini_hochberg([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.04, 0.04])
    assert benjamini_hochberg([]) == []


@settings(derandomize=True, max_examples=80)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_agrees_with_scipy(ps):
    assert benjamini_hochberg(ps) == pytest.approx(list(scipy.stats.false_discovery_control(ps)), abs=1e-12)


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.03, 1.05, 1.2])
@pytest.mark.parametrize("seed", range(4))
def test_equivalence_at_5_percent_is_the_90_percent_interval_inside_the_margin(seed, factor):
    margin = math.log(1.05)
    a, b = quantile(latency(seed), BLOCKS, 0.5), quantile(latency(seed + 9, factor), BLOCKS, 0.5)
    at_90 = quantile_ratio(a, b, 0.90)
    assert (quantile_equivalence_p(a, b, margin) < 0.05) == (-margin < at_90.low and at_90.high < margin)


def test_equivalence_falls_with_the_margin_and_is_1_beyond_it():
    a, b = quantile(latency(1), BLOCKS, 0.5), quantile(latency(2, 1.02), BLOCKS, 0.5)
    ps = [quantile_equivalence_p(a, b, math.log(m)) for m in (1.001, 1.05, 1.1, 1.5)]
    assert ps[0] == 1
    assert ps == sorted(ps, reverse=True)
    assert ps[-1] < 1e-6


def test_equivalence_by_bootstrap_is_the_interval_inside_the_margin():
    for shift in (0.0, 0.5, 1.0, 2.0, 4.0):
        drawn = shift + np.random.default_rng(3).standard_normal(20_000)
        interval = expanded_interval(drawn, shift, 24, 0.90)
        inside = interval.low > -3 and interval.high < 3
        assert (bootstrap_equivalence_p(drawn, 24, 3.0) < 0.05) == inside
    assert bootstrap_equivalence_p(np.zeros(100), 1, 1.0) == 1


def test_equivalence_of_quality_is_the_90_percent_interval_inside_the_margin():
    rng = np.random.default_rng(2)
    for n in (88, 96, 400):
        a = (rng.random(n) < 0.9).astype(float)
        for b in (a, np.where(rng.random(n) < 0.01, 1 - a, a)):
            paired = paired_difference(a, b, [np.arange(n) // 4])
            interval = paired.interval(0.90)
            inside = interval.low > -0.03 and interval.high < 0.03
            assert (paired.equivalence_p(0.03) < 0.05) == inside


def test_mover_takes_the_far_side_of_each_and_gives_back_what_is_shared():
    # below: 3 of B down, 4 of A up: 5; above: 6 of B up, 8 of A down: 10.
    assert mover((8.0, 4.0), (3.0, 6.0)) == pytest.approx((5, 10))
    # rho 0.5: sqrt(9 + 16 - 12), sqrt(36 + 64 - 48)
    assert mover((8.0, 4.0), (3.0, 6.0), 0.5) == pytest.approx((math.sqrt(13), math.sqrt(52)))
    assert mover((1.0, math.inf), (1.0, 1.0)) == (math.inf, pytest.approx(math.sqrt(2)))


def test_the_cluster_bootstrap_of_a_mean_has_the_error_that_the_formula_gives():
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(200), 5)
    values = rng.normal(0, 1, 200)[groups] + rng.normal(0, 1, 1000)
    drawn = resampled_means(values, groups, resample_blocks(200, seed=1))
    by_group = values.reshape(200, 5).mean(axis=1)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(by_group.std(ddof=0) / math.sqrt(200), rel=0.03)


def test_few_unequal_pairs_get_no_bootstrap_and_many_do():
    def built(wrong):
        rows = [request(t, s) for s in range(192) for t in "ab"]
        judged = [score("a", s, 1.0) for s in range(192)] + [score("b", s, float(s % wrong > 0)) for s in range(192)]
        return build(requests(rows), NO_ATTEMPTS, scores(judged), COMPLETE)

    def metrics(table):
        return {c.metric for c in table.comparisons}

    assert "quality_bootstrap" not in metrics(built(48))  # 4 of 192
    many = built(8)  # 24 of 192
    second, first = many.comparison("b", "quality_bootstrap"), many.comparison("b", "quality")
    assert second.value == first.value == -0.125
    assert not second.primary
    assert second.low < -0.125 < second.high or second.low == second.high
