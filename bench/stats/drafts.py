"""Comparisons whose parts come from elsewhere than pairs of one run: of two runs, of weighted or of bucketed rows."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.stats.comparisons import Draft, evidence
from bench.stats.quantiles import Floats, Quantile
from bench.stats.ratios import (
    block_correlation,
    bootstrap_equivalence_p,
    expanded_interval,
    quantile_equivalence_p,
    quantile_ratio,
    quantile_ratio_p,
)
from bench.stats.types import Comparison
from bench.stats.verdicts import Evidence


def nothing(row: Comparison, reason: str) -> Draft:
    return Draft(replace(row, reason=reason), None)


def of_quantiles(row: Comparison, a: Quantile, b: Quantile, n: int, method: str, slack: float = 0.0) -> Draft:
    """The ratio of two quantiles by MOVER. `slack` widens the interval on the log scale, for values that are not exact."""
    at_95, at_90 = quantile_ratio(a, b), quantile_ratio(a, b, 0.90)
    blocks, margin = min(a.blocks, b.blocks), math.log1p(row.margin or 0.0)
    low, high = at_95.low - slack, at_95.high + slack
    row = replace(
        row, value=_exp(at_95.estimate), low=_exp(low) if math.isfinite(low) else None,
        high=_exp(high) if math.isfinite(high) else None, n=n, n_eff=min(a.interval().n_eff, b.interval().n_eff),
        blocks=blocks, rho=block_correlation(a, b), method=method, p_raw=quantile_ratio_p(a, b),
        p_equivalence=quantile_equivalence_p(a, b, max(0.0, margin - slack)),
    )  # fmt: skip
    return Draft(row, Evidence(at_95.estimate, low, high, at_90.low - slack, at_90.high + slack, margin, blocks))


def of_sums(row: Comparison, estimate: float, drawn: Floats, p_raw: float, blocks: int, n: int, method: str) -> Draft:
    """A log ratio of sums, and its block bootstrap."""
    at_95, at_90 = (expanded_interval(drawn, estimate, blocks, conf) for conf in (0.95, 0.90))
    margin = math.log1p(row.margin or 0.0)
    row = replace(row, value=math.exp(estimate), low=_exp(at_95.low), high=_exp(at_95.high), n=n, blocks=blocks,
                  method=method, p_raw=p_raw, p_equivalence=bootstrap_equivalence_p(drawn, blocks, margin))  # fmt: skip
    return Draft(row, evidence(estimate, at_95, at_90, margin, blocks))


def _exp(x: float | None) -> float | None:
    return None if x is None else math.exp(x) if x < 700 else math.inf
