"""Shares, means and paired differences: hand-worked, and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.means import PairedShares, clusterings, mcnemar_exact, mean_interval, n_eff, paired_difference
from bench.stats.shares import clopper_pearson, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (86, 96), (96, 96), (500, 1000)])
def test_shares_agree_with_scipy_on_independent_trials(hits, n):
    test = scipy.stats.binomtest(hits, n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = test.proportion_ci(0.95, method)
        interval = ours(hits / n, n)
        assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_failure_in_300_still_allows_one_in_a_hundred():
    # 1 - 0.025^(1/300) = 1.22 %.
    assert 1 - clopper_pearson(1.0, 300).low == pytest.approx(0.0122, abs=5e-5)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.floats(0, 1), st.floats(0.5, 5000))
def test_share_intervals_contain_the_share_and_widen_as_trials_shrink(share, trials):
    for method in (wilson, clopper_pearson):
        interval, wider = method(share, trials), method(share, trials / 2)
        assert 0 <= interval.low <= share <= interval.high <= 1
        assert wider.low <= interval.low + 1e-9
        assert wider.high >= interval.high - 1e-9


@pytest.mark.parametrize(("share", "trials"), [(1.1, 5), (-0.1, 5), (0.5, 0)])
def test_a_share_of_nothing_is_refused(share, trials):
    with pytest.raises(ValueError, match="share lies in"):
        wilson(share, trials)


def test_rows_that_are_copies_count_once():
    # 30 sources, four equal rows each: cluster variance is K/(K-1) * 4^2 * sum r^2 / (4 sum r^2) = 30/29 * 4.
    values, groups = np.repeat(np.tile([0.0, 1.0, 1.0], 10), 4), np.repeat(np.arange(30), 4)
    effect = clusterings(values, [groups])[0].design_effect()
    # t(29) = 2.0452: (2.0452 / 1.95996)^2 = 1.0889.
    assert effect == pytest.approx(30 / 29 * 4 * 1.0889, rel=1e-4)
    assert n_eff(values, [groups, np.arange(120)]) == pytest.approx(120 / effect)


def test_the_mean_of_independent_rows_has_the_t_interval():
    values = np.random.default_rng(1).normal(10, 2, 40)
    interval = mean_interval(values, [np.arange(40)])
    theirs = scipy.stats.t.interval(0.95, 39, values.mean(), values.std(ddof=1) / math.sqrt(40))
    # Rows alone in their groups: K/(K-1) = 40/39 widens a variance that already divides by n - 1, by 1.3 %.
    assert interval.low == pytest.approx(theirs[0], abs=0.02)
    assert interval.high == pytest.approx(theirs[1], abs=0.02)


def test_one_row_or_one_group_gives_no_interval_for_a_mean():
    for values, groups in (([3.0], [0]), ([3.0, 4.0, 5.0], [0, 0, 0])):
        interval = mean_interval(np.array(values), [np.array(groups)])
        assert (interval.low, interval.high) == (None, None)


def test_equal_costs_have_a_point_as_interval():
    interval = mean_interval(np.full(20, 0.25), [np.arange(20)])
    assert (interval.low, interval.high) == (0.25, 0.25)


def score_by_brute_force(n, b, c, delta):
    """Tango's statistic with the constrained maximum of the likelihood found numerically."""

    def unlikely(q):
        cells = ((b, q + delta), (c, q), (n - b - c, 1 - 2 * q - delta))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    lower, upper = max(0.0, -delta), (1 - delta) / 2
    q = scipy.optimize.minimize_scalar(unlikely, bounds=(lower, upper), method="bounded", options={"xatol": 1e-12}).x
    return (b - c - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


@pytest.mark.parametrize(("n", "b", "c"), [(96, 3, 8), (50, 10, 2), (300, 0, 4), (43.5, 1.5, 6.2)])
@pytest.mark.parametrize("delta", [-0.2, -0.03, 0.0, 0.04, 0.15])
def test_the_paired_score_maximises_the_constrained_likelihood(n, b, c, delta):
    ours = PairedShares(n, only_a=c, only_b=b).score_at(delta)
    assert ours == pytest.approx(score_by_brute_force(n, b, c, delta), rel=1e-4, abs=1e-4)


def test_no_discordant_pair_still_leaves_room_for_some():
    # z^2 / (n + z^2) = 3.8415 / 99.8415 = 3.85 points on either side.
    low, high = PairedShares(96, 0, 0).interval()
    assert (low, high) == pytest.approx((-0.03848, 0.03848), abs=1e-5)


def test_total_disagreement_is_an_interval_inside_its_bounds():
    low, high = PairedShares(20, only_a=20, only_b=0).interval()
    assert low == pytest.approx(-1)
    assert -1 < high < -0.6


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_the_paired_interval_contains_the_difference_and_mirrors(n, first, second):
    b, c = int(n * first / 2), int(n * second / 2)
    pair = PairedShares(n, only_a=c, only_b=b)
    low, high = pair.interval()
    assert -1 <= low <= pair.difference <= high <= 1
    mirrored = PairedShares(n, only_a=b, only_b=c).interval()
    assert mirrored == pytest.approx((-high, -low), abs=1e-6)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 5), (1, 9), (12, 3), (0, 6), (40, 60)])
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(b, c):
    expected = scipy.stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-9)


def test_clusters_widen_a_paired_difference_and_raise_its_p():
    # 40 items; B is wrong on 8 that A has right. Scattered over sources of four, or two whole sources of four.
    right_a, scattered, together = np.ones(40), np.ones(40), np.ones(40)
    scattered[::5] = 0
    together[:8] = 0
    sources = np.repeat(np.arange(10), 4)
    apart = paired_difference(right_a, scattered, [sources])
    clumped = paired_difference(right_a, together, [sources])
    assert apart.raw.difference == clumped.raw.difference == -0.2
    assert clumped.interval().low < apart.interval().low
    assert clumped.interval().high > apart.interval().high
    assert clumped.p_value() > 0.05 > apart.p_value()
    # McNemar alone would not see the clusters: 8 against 0 gives 2 * 0.5^8 = 0.0078.
    assert mcnemar_exact(0, 8) == pytest.approx(0.0078125)
    assert apart.p_value() >= 0.0078125
