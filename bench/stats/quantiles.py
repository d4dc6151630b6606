"""Quantiles with honest intervals: order statistics, with an effective sample size from the variation between blocks.

Requests of one block share load spells, so n requests are worth fewer. Woodruff's inversion: the indicator "at most
the estimate" is a clustered share; its design effect shrinks n to n_eff (with Korn and Graubard's t for few blocks),
and the exact binomial ranks for n_eff are read back on the sorted data. Failed requests are +inf: they sort last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from bench.stats.groups import Floats, Ints, sizes_of, sums_of
from bench.stats.special import betainc, normal_quantile, t_inflation

__all__ = ["METHOD", "Floats", "Interval", "Ints", "Quantile", "Sample", "binomial_rank", "quantile", "rank",
           "requests_to_bound"]  # fmt: skip

METHOD = "order statistic, n_eff by block"


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a confidence interval; `None` is an end that the data cannot bound."""

    low: float | None
    high: float | None
    n_eff: float


@dataclass(frozen=True, slots=True, eq=False)
class Quantile:
    """A sample quantile, and all that its interval needs at any confidence."""

    p: float
    estimate: float
    ordered: Floats
    blocks: int
    design_effect: float
    block_sums: Floats
    """Per block: how many values are at most the estimate, less the expected number. Correlates targets of one run."""

    @property
    def n(self) -> int:
        return len(self.ordered)

    def interval(self, conf: float = 0.95) -> Interval:
        n_eff = self.n / (self.design_effect * t_inflation(conf, self.blocks))
        if self.blocks < 2:
            return Interval(None, None, n_eff)  # nothing is known of how much blocks differ
        tail = (1 - conf) / 2
        low_rank, high_rank = binomial_rank(n_eff, self.p, tail), binomial_rank(n_eff, self.p, 1 - tail)
        middle = rank(self.n, self.p)
        low = high = None
        # Less than one effective request beyond the rank: the extreme of the data bounds nothing.
        if low_rank >= 1:
            low = float(self.ordered[max(1, min(math.floor(self.n * low_rank / n_eff), middle)) - 1])
        if high_rank <= n_eff and (upper := math.ceil(self.n * high_rank / n_eff)) <= self.n:
            high = float(self.ordered[max(upper, middle) - 1])
        return Interval(low, None if high is None or math.isinf(high) else high, n_eff)


def rank(n: int, p: float) -> int:
    """The smallest k with k / n >= p; the slack absorbs the last binary digit of n * p."""
    return max(1, math.ceil(n * p - 1e-9))


@dataclass(frozen=True, eq=False)
class Sample:
    """Values (at least one, no NaN) in blocks, codes 0 to K-1, one per value. Sorted once, for any of its quantiles."""

    values: Floats
    blocks: Ints

    def __post_init__(self) -> None:
        if len(self.values) == 0 or np.isnan(self.values).any():
            raise ValueError("a quantile needs at least one value, and no NaN")

    @cached_property
    def ordered(self) -> Floats:
        return np.sort(self.values)

    @cached_property
    def sizes(self) -> Floats:
        return sizes_of(self.blocks)

    def quantile(self, p: float) -> Quantile:
        n, sizes = len(self.values), self.sizes
        estimate = float(self.ordered[rank(n, p) - 1])
        # At an infinite estimate "at most" is always true; what clusters there is the failing itself.
        inside = np.isfinite(self.values) if math.isinf(estimate) else self.values <= estimate
        counts = sums_of(inside, self.blocks, len(sizes))
        k = int((sizes > 0).sum())
        share = float(counts.sum()) / n
        expected = p * (1 - p) if math.isfinite(estimate) else share * (1 - share)
        effect = 1.0
        if k >= 2 and expected > 0:
            effect = max(1.0, k / (k - 1) * float(((counts - share * sizes) ** 2).sum()) / n / expected)
        return Quantile(p, estimate, self.ordered, k, effect, counts - p * sizes)


def quantile(values: Floats, blocks: Ints, p: float) -> Quantile:
    """The p-quantile of values (at least one, no NaN); `blocks` are codes 0 to K-1, one per value."""
    return Sample(values, blocks).quantile(p)


@lru_cache(maxsize=16384)
def binomial_rank(n: float, p: float, prob: float) -> float:
    """The real r with P(Bin(n, p) <= r - 1) = prob, n being any positive number: I_{1-p}(n - r + 1, r) = prob.

    On the probit scale the left side is nearly straight in r, so a bracketed secant needs a handful of steps.
    """
    goal = normal_quantile(prob)
    # Above ten million, a billionth beside n is lost in its last digit, and n - r + 1 would be 0.
    low, high = 1e-9, n + 1 - max(1e-9, 1e-15 * n)

    def probit(r: float) -> float:
        return normal_quantile(min(max(betainc(n - r + 1, r, 1 - p), 1e-300), 1 - 1e-16)) - goal

    at_low, at_high = probit(low), probit(high)
    if at_low >= 0:
        return low
    if at_high <= 0:
        return math.inf
    r, last_side = min(max(n * p + 0.5 + goal * math.sqrt(n * p * (1 - p)), low + 1e-3 * n), high - 1e-3 * n), 0
    for _ in range(200):
        at = probit(r)
        if abs(at) < 1e-12 or high - low < 1e-12 * n:
            break
        # Illinois: an end kept twice in a row counts half, or the secant would creep.
        side = 1 if at > 0 else -1
        if side < 0:
            low, at_low, at_high = r, at, at_high / 2 if last_side == side else at_high
        else:
            high, at_high, at_low = r, at, at_low / 2 if last_side == side else at_low
        last_side = side
        r = low - at_low * (high - low) / (at_high - at_low)
        if not low < r < high:
            r = 0.5 * (low + high)
    return r


def requests_to_bound(p: float, design_effect: float, conf: float = 0.95) -> int:
    """How many requests give the p-quantile a finite upper end: p^n_eff <= (1 - conf) / 2."""
    return math.ceil(math.log((1 - conf) / 2) / math.log(p) * design_effect)
