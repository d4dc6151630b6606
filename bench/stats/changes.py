"""When a series of nights changed, and by how much: e-divisive with seeded permutations.

A split is judged by the energy distance between what lies before it and what lies after it: twice the mean distance across, less
the mean distances within, weighted by m n / (m + n). The best split of a stretch is kept when few shuffled orders of the same
nights have one as good; then both sides are searched in turn (Matteson and James, 2014, with whole sides and distances to the
first power). It needs no shape of distribution, and nights on both sides: the newest few can have no change point yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.stats.quantiles import Floats
from bench.stats.special import t_quantile

FEWEST_EACH_SIDE = 5
"""Nights that a level must have to be one."""
ALPHA = 0.05
"""How often any of the series that are looked at together may show a change where there is none."""
LEAST_ORDERS, MOST_ORDERS = 199, 9_999
ENOUGH = 10
"""Shuffled orders as good as the true one after which a split is given up: more of them change nothing."""
BATCH = 100


@dataclass(frozen=True, slots=True)
class Change:
    """A new level begins at `index`, with the night before it the last of the old one.

    `size` is new less old mean, on the scale of the values, with its 95 % interval (Welch's t over nights of the two levels).
    The interval is of the size where the split is taken as known; a split was chosen because it is large, so it flatters.
    """

    index: int
    size: float
    low: float
    high: float
    p: float


def change_points(values: Floats, series: int = 1, seed: int = 0) -> list[Change]:
    """The changes of one series of nights, in order, without gaps (leave the missing nights out, and map the indices back).

    `series` is how many are looked at together: each is held to ALPHA / series, so that all of them keep ALPHA.
    """
    found: dict[int, float] = {}
    _search(np.asarray(values, dtype=float), 0, ALPHA / max(1, series), np.random.default_rng(seed), found)
    ends = sorted(found)
    made = []
    for n, at in enumerate(ends):
        before = values[(ends[n - 1] if n else 0) : at]
        after = values[at : ends[n + 1] if n + 1 < len(ends) else len(values)]
        size, half = _difference(before, after)
        made.append(Change(at, size, size - half, size + half, found[at]))
    return made


def _search(values: Floats, begin: int, alpha: float, rng: np.random.Generator, found: dict[int, float]) -> None:
    if len(values) < 2 * FEWEST_EACH_SIDE or np.ptp(values) == 0:
        return
    distances = np.abs(values[:, None] - values[None, :])
    score, at = _best(distances[None])
    alpha = max(alpha, 2 / (MOST_ORDERS + 1))  # fewer orders could never show it; reached beyond some hundred series
    p = _chance(distances, float(score[0]), alpha, rng)
    if p > alpha:
        return
    split = int(at[0])
    found[begin + split] = p
    # Each search of a part is a new chance of a false change: it is held to half of what its whole was.
    _search(values[:split], begin, alpha / 2, rng, found)
    _search(values[split:], begin + split, alpha / 2, rng, found)


def _best(distances: Floats) -> tuple[Floats, np.ndarray]:
    """The best split of each of several orders (orders x n x n): its score, and how many nights lie before it."""
    n = distances.shape[-1]
    cuts = np.arange(FEWEST_EACH_SIDE, n - FEWEST_EACH_SIDE + 1)
    sums = np.cumsum(np.cumsum(distances, axis=1), axis=2)
    inner = sums[:, cuts - 1, cuts - 1]
    across = sums[:, cuts - 1, n - 1] - inner
    total = sums[:, n - 1, n - 1][:, None]
    rest = total - inner - 2 * across
    left, right = cuts.astype(float), (n - cuts).astype(float)
    energy = 2 * across / (left * right) - inner / (left * (left - 1)) - rest / (right * (right - 1))
    scores = energy * left * right / (left + right)
    place = np.argmax(scores, axis=1)
    return np.take_along_axis(scores, place[:, None], axis=1)[:, 0], cuts[place]


def _chance(distances: Floats, score: float, alpha: float, rng: np.random.Generator) -> float:
    """How often a shuffled order has as good a split. Ends early once that is clearly too often (Besag and Clifford, 1991)."""
    n = len(distances)
    orders = min(MOST_ORDERS, max(LEAST_ORDERS, math.ceil(4 / alpha) - 1))
    as_good = done = 0
    while done < orders:
        size = min(BATCH, orders - done)
        shuffled = np.argsort(rng.random((size, n)), axis=1)
        scores, _ = _best(distances[shuffled[:, :, None], shuffled[:, None, :]])
        as_good += int((scores >= score * (1 - 1e-12)).sum())
        done += size
        if as_good >= ENOUGH and as_good / done > 2 * alpha:
            break
    return (as_good + 1) / (done + 1)


def _difference(before: Floats, after: Floats) -> tuple[float, float]:
    """The difference of two means, and half the width of its 95 % interval."""
    parts = [float(side.var(ddof=1)) / len(side) for side in (before, after)]
    error = math.sqrt(sum(parts))
    size = float(after.mean() - before.mean())
    if error == 0:
        return size, 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (before, after), strict=True)
    )
    return size, t_quantile(0.975, freedom) * error
