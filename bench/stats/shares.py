"""Intervals for shares: Wilson where a share is estimated, Clopper-Pearson where a promise is checked.

Both take real counts: a share of n clustered requests is treated as the same share of n_eff independent ones.
"""

from __future__ import annotations

import math

from bench.stats.quantiles import Interval
from bench.stats.special import beta_quantile, normal_quantile


def wilson(share: float, n_eff: float, conf: float = 0.95) -> Interval:
    """Wilson's score interval for a share observed in n_eff independent trials."""
    _check(share, n_eff)
    z = normal_quantile(1 - (1 - conf) / 2)
    scale = 1 + z * z / n_eff
    middle = (share + z * z / (2 * n_eff)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n_eff + z * z / (4 * n_eff * n_eff))
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return Interval(min(low, share), max(high, share), n_eff)


def clopper_pearson(share: float, n_eff: float, conf: float = 0.95) -> Interval:
    """The exact interval: never covers less than conf. Zero failures in n leave up to 1 - (alpha/2)^(1/n)."""
    _check(share, n_eff)
    tail, hits = (1 - conf) / 2, share * n_eff
    low = beta_quantile(tail, hits, n_eff - hits + 1) if share > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, n_eff - hits) if share < 1 else 1.0
    return Interval(min(low, share), max(high, share), n_eff)


def _check(share: float, n_eff: float) -> None:
    if not (0 <= share <= 1 and n_eff > 0):
        raise ValueError(f"a share lies in 0..1 and needs trials: got {share} of {n_eff}")
