"""Quantiles and means of rows that do not weigh the same.

Weights cost certainty: n_eff comes from the variance of the weighted share over blocks, and is never more than Kish's
(Σw)² / Σw².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.groups import count_of
from bench.stats.quantiles import Floats, Interval, Ints, Quantile, binomial_rank
from bench.stats.special import t_inflation


@dataclass(frozen=True, slots=True, eq=False)
class WeightedQuantile(Quantile):
    """A quantile of weighted values. `reached` is the cumulative weight, as a share of all, at each of `ordered`."""

    reached: Floats
    kish: float

    def interval(self, conf: float = 0.95) -> Interval:
        n_eff = self.kish / self.design_effect / t_inflation(conf, self.blocks)
        tail = (1 - conf) / 2
        low_rank, high_rank = binomial_rank(n_eff, self.p, tail), binomial_rank(n_eff, self.p, 1 - tail)
        low = high = None
        if low_rank >= 1:
            low = min(self._at(low_rank / n_eff), self.estimate)
        if high_rank <= n_eff:
            high = max(self._at(high_rank / n_eff), self.estimate)
        return Interval(low, None if high is None or math.isinf(high) else high, n_eff)

    def _at(self, share: float) -> float:
        return float(self.ordered[min(int(np.searchsorted(self.reached, share - 1e-12)), len(self.ordered) - 1)])


def weighted_quantile(values: Floats, weights: Floats, blocks: Ints, p: float) -> WeightedQuantile:
    """The first value at which the cumulative weight reaches p. With equal weights, the ordinary one."""
    order = np.argsort(values, kind="stable")
    ordered, reached = values[order], np.cumsum(weights[order]) / weights.sum()
    estimate = float(ordered[min(int(np.searchsorted(reached, p - 1e-12)), len(ordered) - 1)])
    inside = (np.isfinite(values) if math.isinf(estimate) else values <= estimate).astype(np.float64)
    share = float((weights * inside).sum() / weights.sum())
    kish = kish_n(weights)
    expected = p * (1 - p) if math.isfinite(estimate) else share * (1 - share)
    effect = _design_effect(inside - share, weights, blocks, expected / kish)
    sums = np.bincount(blocks, weights=weights * (inside - p)).astype(np.float64)
    return WeightedQuantile(p, estimate, ordered, count_of(blocks), effect, sums, reached, kish)


def kish_n(weights: Floats) -> float:
    """How many equally weighted rows these are worth."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _design_effect(residuals: Floats, weights: Floats, groups: Ints, independent: float) -> float:
    """Cluster variance of a weighted mean over the variance of independent rows; 1 at least."""
    k = count_of(groups)
    if k < 2 or independent <= 0:
        return 1.0
    sums = np.bincount(groups, weights=weights * residuals) / weights.sum()
    return max(1.0, k / (k - 1) * float((sums**2).sum()) / independent)


def mean_n_eff(values: Floats, weights: Floats, alike: Sequence[Ints]) -> tuple[float, float, float]:
    """(weighted mean, weighted variance of one row, n_eff under the costliest grouping, few groups included)."""
    mean = float((weights * values).sum() / weights.sum())
    variance = float((weights * (values - mean) ** 2).sum() / weights.sum())
    kish = kish_n(weights)
    effect = max(
        _design_effect(values - mean, weights, groups, variance / kish) * t_inflation(0.95, count_of(groups))
        for groups in alike
    )
    return mean, variance, kish / effect
