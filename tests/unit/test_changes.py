"""When a series of nights changed: by hand, and how often it is seen, or seen where there is none."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.changes import ALPHA, FEWEST_EACH_SIDE, change_points

SD = 0.05
STEP = float(np.log(1.2))


def nights(seed: int, *levels: tuple[int, float]) -> np.ndarray:
    """Nights on a log scale, 5 % apart, at each of several levels in turn."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(level, SD, n) for n, level in levels])


def test_a_step_is_found_at_its_night_with_its_size_and_an_interval_that_holds_it():
    found = change_points(nights(1, (20, 0.0), (15, STEP)))
    assert [change.index for change in found] == [20]
    assert found[0].low < STEP < found[0].high
    assert found[0].size == pytest.approx(STEP, abs=0.04)
    assert found[0].p < 0.01


def test_two_steps_are_two_changes_in_order():
    found = change_points(nights(2, (15, 0.0), (15, 0.4), (15, 0.1)))
    assert [change.index for change in found] == [15, 30]
    assert [change.size > 0 for change in found] == [True, False]


def test_a_size_and_its_interval_by_hand():
    """Five nights at 0 and 1 in turn (mean 0.4, variance 0.3), five at 10 and 11 (10.4, 0.3): 10 apart, standard error sqrt(0.3 / 5 x 2) =
    0.3464, Welch's freedom 8, t 2.3060: half a width of 0.7988."""
    values = np.array([0, 1, 0, 1, 0, 10, 11, 10, 11, 10], dtype=float)
    (found,) = change_points(values)
    assert (found.index, found.size) == (5, pytest.approx(10.0))
    assert found.high - found.size == pytest.approx(0.7988, abs=1e-4)


def test_nights_are_needed_on_both_sides():
    few = FEWEST_EACH_SIDE - 1
    assert change_points(np.concatenate([np.zeros(few), np.ones(few)])) == []
    late = change_points(nights(3, (30, 0.0), (few, 1.0)))
    assert all(change.index <= 30 + few - FEWEST_EACH_SIDE for change in late)  # not at its own night: too few after it


def test_nothing_changes_in_a_series_that_stands_still():
    assert change_points(np.full(40, 3.0)) == []
    assert change_points(np.array([])) == []


def test_the_same_nights_give_the_same_changes():
    values = nights(4, (15, 0.0), (15, 0.1))
    assert change_points(values, seed=7) == change_points(values, seed=7)


def test_quiet_series_show_a_change_as_seldom_as_promised():
    """400 quiet series of 30 nights, each by itself: 5 % promised; beyond 8 % by chance with a probability of under 1 % (binomial)."""
    called = sum(bool(change_points(nights(seed, (30, 0.0)), seed=seed)) for seed in range(400))
    assert called <= 0.08 * 400


def test_a_family_of_series_is_held_to_the_same_promise():
    """40 quiet histories of 18 series each: 5 % of histories promised, two; more than six by chance under 1 %."""
    shown = [
        any(change_points(nights(100 * n + k, (28, 0.0)), series=18, seed=k) for k in range(18)) for n in range(40)
    ]
    assert sum(shown) <= 6
    assert ALPHA == 0.05


@pytest.mark.parametrize("after", [5, 10])
def test_twenty_percent_more_are_found_in_a_family_of_eighteen(after):
    found = [
        [change.index for change in change_points(nights(n, (28 - after, 0.0), (after, STEP)), series=18)]
        for n in range(20)
    ]
    assert sum(bool(one) for one in found) >= 18
    assert sum(any(abs(index - (28 - after)) <= 1 for index in one) for one in found) >= 17


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), max_size=24), st.integers(1, 5))
def test_changes_leave_every_level_its_nights(values, series):
    found = change_points(np.array(values, dtype=float), series=series)
    edges = [0, *(change.index for change in found), len(values)]
    assert all(b - a >= FEWEST_EACH_SIDE for a, b in pairwise(edges)) or not found
    assert all(change.low <= change.size <= change.high for change in found)
