"""Means and paired differences of clustered data.

The unit of analysis is not the row: rows of one case, of one source, or of one block of time resemble each other. Every
function takes all the groupings that may matter and believes the one that costs most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.groups import Floats, Ints, count_of, sizes_of, sums_of
from bench.stats.quantiles import Interval
from bench.stats.ratios import Resamples, equivalence_p, sums_ratio
from bench.stats.special import betainc, bisect, normal_quantile, t_cdf, t_inflation


@dataclass(frozen=True, slots=True)
class Clustering:
    """What rows that resemble each other within their groups cost: `effect` at least 1, over `groups` that have rows."""

    effect: float
    groups: int

    def design_effect(self, conf: float = 0.95) -> float:
        """How many rows of these groups one independent row is worth, few groups included."""
        return self.effect * t_inflation(conf, self.groups)


def clusterings(values: Floats, groupings: Sequence[Ints]) -> tuple[Clustering, ...]:
    """Of each grouping: cluster variance of the mean, K/(K-1) sum of squared group residuals, over the independent one."""
    residuals = values - values.mean()
    sizes = [sizes_of(groups) for groups in groupings]
    sums = [sums_of(residuals, groups, len(of)) for groups, of in zip(groupings, sizes, strict=True)]
    independent = float(np.square(residuals, out=residuals).sum())
    found = []
    for of_groups, of in zip(sums, sizes, strict=True):
        k = int((of > 0).sum())
        clustered = float((of_groups**2).sum())
        effect = max(1.0, k / (k - 1) * clustered / independent) if k >= 2 and independent > 0 else 1.0
        found.append(Clustering(effect, k))
    return tuple(found)


def n_eff(values: Floats, groupings: Sequence[Ints], conf: float = 0.95) -> float:
    """The number of independent rows that these rows are worth under the costliest grouping."""
    return len(values) / max(one.design_effect(conf) for one in clusterings(values, groupings))


def mean_interval(values: Floats, groupings: Sequence[Ints], conf: float = 0.95) -> Interval:
    """Mean +- z s / sqrt(n_eff). One row, or one group, bounds nothing."""
    effective = n_eff(values, groupings, conf)
    if len(values) < 2 or all(count_of(groups) < 2 for groups in groupings):
        return Interval(None, None, effective)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    half = normal_quantile(1 - (1 - conf) / 2) * spread / math.sqrt(effective)
    return Interval(mean - half, mean + half, effective)


@dataclass(frozen=True, slots=True)
class PairedShares:
    """Two targets answered the same items: n pairs, of which only A was right in `only_a` and only B in `only_b`.

    Real numbers: counts are divided by the design effect of the paired difference before an interval is made.
    """

    n: float
    only_a: float
    only_b: float

    @property
    def difference(self) -> float:
        """Share right of B less that of A."""
        return (self.only_b - self.only_a) / self.n

    def score_at(self, delta: float) -> float:
        """Tango's score statistic of the hypothesis that the difference is delta; falls as delta rises.

        The variance is taken at the likelihood's best discordance under that hypothesis, so no discordant pair at all
        still leaves an interval of width: z^2 / (n + z^2) on either side.
        """
        n, b, c = self.n, self.only_b, self.only_a
        linear = (2 * n - b + c) * delta - b - c
        constrained = (math.sqrt(max(0.0, linear * linear + 8 * n * c * delta * (1 - delta))) - linear) / (4 * n)
        variance = n * (2 * constrained + delta * (1 - delta))
        gap = b - c - n * delta
        if variance <= 1e-12 * n:
            return 0.0 if abs(gap) < 1e-9 * n else math.copysign(math.inf, gap)
        return gap / math.sqrt(variance)

    def interval(self, conf: float = 0.95) -> tuple[float, float]:
        z = normal_quantile(1 - (1 - conf) / 2)
        low = bisect(lambda delta: -self.score_at(delta), -z, -1.0, self.difference)
        high = bisect(lambda delta: -self.score_at(delta), z, self.difference, 1.0)
        return min(low, self.difference), max(high, self.difference)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Share right of B less that of A over the same items, with clusters taken into account."""

    raw: PairedShares
    alike: tuple[Clustering, ...]
    differences: Floats

    def effective(self, conf: float = 0.95) -> PairedShares:
        effect = max(one.design_effect(conf) for one in self.alike)
        return PairedShares(self.raw.n / effect, self.raw.only_a / effect, self.raw.only_b / effect)

    def interval(self, conf: float = 0.95) -> Interval:
        effective = self.effective(conf)
        low, high = effective.interval(conf)
        return Interval(low, high, effective.n)

    def equivalence_p(self, margin: float) -> float:
        """That the difference lies outside ±margin: two one-sided tests, by their interval."""

        def ends(conf: float) -> tuple[float, float]:
            return self.effective(conf).interval(conf)

        return equivalence_p(ends, margin)

    def p_value(self) -> float:
        """Of equal shares: the clustered score test, or McNemar's exact test where that doubts more."""
        b, c = self.raw.only_b, self.raw.only_a
        exact = mcnemar_exact(round(b), round(c))
        if b + c == 0:
            return exact
        groups = min(one.groups for one in self.alike)
        # The t of few clusters comes in through the t distribution here, not through the effective counts.
        effect = max(one.effect for one in self.alike)
        z = abs(b - c) / math.sqrt((b + c) * effect)
        return max(exact, 2 * t_cdf(-z, max(1, groups - 1)))


def paired_difference(right_a: Floats, right_b: Floats, groupings: Sequence[Ints]) -> PairedDifference:
    """From 0/1 outcomes of the same items, in the same order."""
    differences = right_b - right_a
    raw = PairedShares(len(differences), float((differences < 0).sum()), float((differences > 0).sum()))
    return PairedDifference(raw, clusterings(differences, groupings), differences)


def resampled_means(values: Floats, groups: Ints, resamples: Resamples) -> Floats:
    """The mean with whole groups drawn again; `resamples` has as many blocks as there are groups."""
    count = resamples.blocks
    return sums_ratio(sums_of(values, groups, count), sizes_of(groups, count), resamples)


def mcnemar_exact(only_b: int, only_a: int) -> float:
    """Two-sided exact p of equal shares, given the discordant pairs: 2 P(Bin(b+c, 1/2) <= min(b, c)), at most 1."""
    smaller, n = min(only_b, only_a), only_b + only_a
    if n == 0 or smaller * 2 == n:
        return 1.0
    return min(1.0, 2 * betainc(n - smaller, smaller + 1, 0.5))
