"""Histograms with buckets of equal relative width, one per block: quantiles of any number of rows in a fixed memory.

A value falls into bucket ceil(log(x / LOWEST) / log g) with g = (1 + a) / (1 - a), and is told by 2 g^i / (g + 1): within a of
the true one, whatever the distribution (Masson and others, DDSketch, 2019). Merging adds counts, so the order does not
matter. Failures have a bucket of their own, behind all values. As P(X <= edge) is exact for every block, so are the ranks
and the design effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bench.stats.quantiles import Floats, Ints, Quantile

ALPHA = 0.005
"""Greatest relative error of a value."""
GROWTH = (1 + ALPHA) / (1 - ALPHA)
LOWEST, HIGHEST = 1e-3, 8.64e7
"""In ms: a microsecond, a day. What is below the first is told as 0, what is above the second as the second."""
FAILED = math.ceil(math.log(HIGHEST / LOWEST) / math.log(GROWTH)) + 1
BUCKETS = FAILED + 1

Counts = npt.NDArray[np.int32] | npt.NDArray[np.int64]
"""By group (first axis) and bucket (second)."""


def bucket_of(values: Floats) -> Ints:
    """The bucket of each value (no NaN); infinity is the last one."""
    with np.errstate(divide="ignore"):
        at = np.ceil(np.log(np.maximum(values, 0.0) / LOWEST) / math.log(GROWTH) - 1e-9)
    at = np.clip(at, 0, FAILED - 1)
    return np.where(np.isinf(values), FAILED, at).astype(np.int64)


def value_of(bucket: int) -> float:
    """The value that stands for a bucket."""
    if bucket >= FAILED:
        return math.inf
    return 0.0 if bucket <= 0 else float(LOWEST * 2 * GROWTH**bucket / (GROWTH + 1))


@dataclass(frozen=True, eq=False)
class _Ordered:
    """The values in order, told by their buckets: what a sorted array is to an exact quantile."""

    reached: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.reached[-1])

    def __getitem__(self, rank: int) -> float:
        return value_of(int(np.searchsorted(self.reached, rank, side="right")))


def quantile(counts: Counts, p: float) -> Quantile:
    """The p-quantile of rows counted by block (first axis) and bucket (second); at least one row."""
    reached = np.cumsum(counts.sum(axis=0), dtype=np.int64)
    n = int(reached[-1])
    at = int(np.searchsorted(reached, max(1, math.ceil(n * p - 1e-9))))
    inside = counts[:, : (FAILED if at == FAILED else at + 1)].sum(axis=1).astype(np.float64)
    sizes = counts.sum(axis=1).astype(np.float64)
    share, k = float(inside.sum()) / n, int((sizes > 0).sum())
    effect = 1.0
    if k >= 2 and 0 < share < 1:
        effect = max(1.0, k / (k - 1) * float(((inside - share * sizes) ** 2).sum()) / n / (share * (1 - share)))
    return Quantile(p, value_of(at), cast(Any, _Ordered(reached)), k, effect, inside - share * sizes)


def without_failures(counts: Counts) -> Counts:
    return counts[:, :FAILED]
