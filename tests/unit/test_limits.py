"""The limits of quiet nights: hand-worked, held against SciPy, and walked through."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.stats import limits
from bench.stats.limits import Alphas, Prior, alphas, walk_counts, walk_values

ALPHA = Alphas(0.01, 0.001, 0.001, 0.05)
NEVER = Alphas(0.01, 0.0, 0.0, 0.05)


def walk(values, alpha=NEVER, floor=0.0, se=None, **more):
    values = np.array([values], dtype=float)
    errors = np.full_like(values, math.nan) if se is None else np.array([se], dtype=float)
    return walk_values(values, errors, alpha, floor, **more)


def test_the_limit_is_the_t_prediction_limit():
    """Ten nights 1..10: mean 5.5, sd sqrt(82.5 / 9) = 3.0277; t(.99, 9) = 2.8214; limit 5.5 + 2.8214 x 3.0277 x sqrt(1.1) = 14.459."""
    found = walk([*range(1, 11), 14.4])
    assert found.limit[0, -1] == pytest.approx(14.459, abs=1e-3)
    assert not found.worse[0, -1]
    assert walk([*range(1, 11), 14.5]).worse[0, -1]
    assert found.nights[0, -1] == 10


@pytest.mark.parametrize("df", [1, 2, 9, 27])
@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.001, 1e-6])
def test_the_quantile_of_t_is_scipys(alpha, df):
    assert limits._t_upper(alpha, df) == pytest.approx(stats.t.isf(alpha, df), rel=1e-9)


def test_only_the_last_28_nights_count():
    old = [1000.0] * 5 + [*np.tile([1.0, 2.0, 3.0, 2.0], 7)]
    found = walk([*old, 2.0])
    assert found.centre[0, -1] == pytest.approx(2.0)
    assert found.nights[0, -1] == 28


def test_a_gap_is_neither_judged_nor_part_of_a_history():
    found = walk([*range(1, 11), math.nan, 14.4])
    assert found.nights[0].tolist() == [*range(11), 10]
    assert not found.worse[0, 10]
    assert not found.learning[0, 10]
    assert found.limit[0, -1] == pytest.approx(14.459, abs=1e-3)


def test_ten_nights_are_learned_before_anything_is_called():
    found = walk([0.0, 50.0] * 5 + [1e6])
    assert found.learning[0].tolist() == [True] * 10 + [False]
    assert found.worse[0].tolist() == [False] * 10 + [True]


@pytest.mark.parametrize(("se", "spread"), [(None, 0.01), (0.2, 0.2)])
def test_the_spread_is_never_below_one_percent_or_tonights_own_error(se, spread):
    found = walk([0.0] * 12, se=None if se is None else [se] * 12)
    assert found.spread[0, -1] == pytest.approx(spread)


def test_a_night_of_fewer_requests_than_its_history_is_allowed_the_difference():
    """Nights with an error of 0.1 have a spread of 1; tonight's is 0.5: sqrt(1 + 0.25 - 0.01)."""
    values = np.array([-1.0, 1.0] * 6)
    spread = float(np.std(values, ddof=1))
    found = walk([*values, 0.0], se=[0.1] * 12 + [0.5])
    assert found.spread[0, -1] == pytest.approx(math.sqrt(spread**2 + 0.24))


def test_what_is_below_the_floor_is_never_called():
    assert walk([0.0] * 10 + [0.04]).worse[0, -1]
    assert not walk([0.0] * 10 + [0.04], floor=0.05).worse[0, -1]


def test_called_nights_make_no_limits_and_better_ones_do_after_ten():
    quiet = [0.0, 1.0, -1.0, 0.5, -0.5] * 4
    found = walk([*quiet, *[20.0] * 12])
    assert found.worse[0, 20:].all()
    assert found.centre[0, -1] == pytest.approx(0.0, abs=0.01)
    better = walk([*quiet, *[-20.0] * 12])
    assert better.better[0, 20:30].all()
    assert better.centre[0, -1] == pytest.approx(-20.0)
    assert not better.better[0, -1]


def test_one_wild_night_does_not_call_the_two_after_it():
    quiet = [0.0, 1.0, -1.0, 0.5, -0.5] * 4
    found = walk([*quiet, 50.0, 0.5, 1.0], ALPHA)
    assert found.worse[0].tolist() == [False] * 20 + [True, False, False]


def test_three_mild_nights_are_called_together():
    """At sd 0.73 the limit of one night is 1.9, and that of three together, at a tenth of its alpha, 1.6."""
    quiet = [0.0, 1.0, -1.0, 0.5, -0.5] * 4
    found = walk([*quiet, 1.85, 1.85, 1.85], ALPHA)
    assert found.worse[0, 20:].tolist() == [False, False, True]
    assert found.suspect[0, 20:].tolist() == [True, True, False]
    assert not found.alone[0].any()


def test_series_do_not_know_each_other():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(7, 40))
    values[3, 20:] += 4
    values[2, 11] = math.nan
    together = walk_values(values, np.full_like(values, 0.1), ALPHA, 0.0)
    for n in range(7):
        alone = walk_values(values[n : n + 1], np.full((1, 40), 0.1), ALPHA, 0.0)
        assert (alone.worse[0] == together.worse[n]).all()
        np.testing.assert_array_equal(alone.limit[0], together.limit[n])


def test_alphas_are_shared_out_by_weight_and_target():
    one, five = alphas(0.45, 1), alphas(0.45, 5)
    assert one.one == pytest.approx(0.45 * limits.ONE)
    assert five.three == pytest.approx(one.three / 5)
    assert one.suspect <= limits.AGAIN


def test_an_assumed_spread_takes_the_place_of_nights_that_there_are_not():
    """One night at 0: spread 0.05 with nine degrees of freedom, t(.99, 9) x sqrt(2) x 0.05 = 0.1995."""
    found = walk([0.0, 0.19], prior=Prior(0.05))
    assert found.limit[0, -1] == pytest.approx(0.1995, abs=1e-4)
    assert not found.worse[0, -1]
    assert walk([0.0, 0.21], prior=Prior(0.05)).worse[0, -1]


# ------------------------------------------------------------------ counts


@pytest.mark.parametrize("hits", [0, 1, 3, 6, 12, 200])
@pytest.mark.parametrize("factor", [1.04, 2.0, 10.0])
def test_the_tail_of_the_beta_binomial_is_scipys(hits, factor):
    share, n = 0.01, 500
    rho = (factor - 1) / (n - 1)
    law = stats.betabinom(n, share * (1 / rho - 1), (1 - share) * (1 / rho - 1))
    many, few = law.sf(hits - 1), law.cdf(hits)
    want = -stats.norm.ppf(max(many, 1e-15)) if many < few else stats.norm.ppf(few)
    got = limits._tail_score(np.array([float(hits)]), np.array([float(n)]), np.array([share]), np.array([factor]))
    assert got[0] == pytest.approx(want, abs=1e-5) or min(got[0], want) > 6  # a tail of 1e-9 has lost its digits


@pytest.mark.parametrize("alpha", [0.01, 0.0001])
def test_the_fewest_hits_beyond_the_limit_are_the_first_that_are_called(alpha):
    hits = [1.0, 0.0, 2.0, 1.0, 1.0] * 4
    n = np.full((1, 21), 500.0)
    probe = walk_counts(np.array([[*hits, 0.0]]), n, Alphas(alpha, 0, 0, 0.05), 0.0)
    fewest = limits.count_limit(float(probe.centre[0, -1]), float(probe.spread[0, -1]), 500, alpha)
    for more, called in ((0, True), (-1, False)):
        found = walk_counts(np.array([[*hits, float(fewest + more)]]), n, Alphas(alpha, 0, 0, 0.05), 0.0)
        assert bool(found.worse[0, -1]) is called


def test_nights_that_fail_unevenly_widen_their_limit():
    even, uneven = [2.0] * 20, [0.0, 0.0, 0.0, 8.0] * 5
    n = np.full((1, 21), 500.0)
    assert walk_counts(np.array([[*even, 9.0]]), n, Alphas(0.001, 0, 0, 0.05), 0.0).worse[0, -1]
    assert not walk_counts(np.array([[*uneven, 9.0]]), n, Alphas(0.001, 0, 0, 0.05), 0.0).worse[0, -1]


def test_no_failure_in_a_month_does_not_make_one_failure_a_regression():
    n = np.full((1, 29), 500.0)
    assert not walk_counts(np.array([[*[0.0] * 28, 1.0]]), n, alphas(0.06, 1), 0.005).worse[0, -1]
    assert walk_counts(np.array([[*[0.0] * 28, 10.0]]), n, alphas(0.06, 1), 0.005).worse[0, -1]


def test_a_target_that_fails_altogether_is_called_and_one_that_stops_failing_is_better():
    n = np.full((1, 21), 500.0)
    assert walk_counts(np.array([[*[50.0, 52.0] * 10, 500.0]]), n, ALPHA, 0.005).worse[0, -1]
    assert walk_counts(np.array([[*[50.0, 52.0] * 10, 0.0]]), n, ALPHA, 0.005).better[0, -1]
