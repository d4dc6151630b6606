"""Comparisons whose parts come from elsewhere than pairs of one run: of two runs, of weighted or of bucketed rows."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.metrics import BY_NAME
from bench.stats.comparisons import Draft
from bench.stats.quantiles import Floats, Interval, Quantile
from bench.stats.ratios import block_correlation, bootstrap_p, expanded_interval, quantile_ratio, quantile_ratio_p
from bench.stats.types import CompareKind, Comparison
from bench.stats.verdicts import Evidence


def empty(baseline: str, target: str, name: str, kind: CompareKind, margin: float) -> Comparison:
    """A comparison that is not known; `replace` fills in what is."""
    return Comparison(
        baseline=baseline, target=target, metric=name, label=BY_NAME[name].label, kind=kind,
        unit="points" if kind == "quality" else "ratio", value=None, low=None, high=None, n=0, n_eff=None, blocks=0,
        rho=None, method="", margin=margin,
    )  # fmt: skip


def nothing(row: Comparison, reason: str) -> Draft:
    return Draft(replace(row, reason=reason), None)


def of_quantiles(row: Comparison, a: Quantile, b: Quantile, n: int, method: str, slack: float = 0.0) -> Draft:
    """The ratio of two quantiles by MOVER. `slack` widens the interval on the log scale, for values that are not exact."""
    at_95, at_90 = quantile_ratio(a, b), quantile_ratio(a, b, 0.90)
    blocks = min(a.blocks, b.blocks)
    low, high = at_95.low - slack, at_95.high + slack
    row = replace(
        row, value=_exp(at_95.estimate), low=_exp(low) if math.isfinite(low) else None,
        high=_exp(high) if math.isfinite(high) else None, n=n, n_eff=min(a.interval().n_eff, b.interval().n_eff),
        blocks=blocks, rho=block_correlation(a, b), method=method, p_raw=quantile_ratio_p(a, b),
    )  # fmt: skip
    evidence = Evidence(at_95.estimate, low, high, at_90.low - slack, at_90.high + slack,
                        math.log1p(row.margin or 0.0), blocks)  # fmt: skip
    return Draft(row, evidence)


def of_sums(row: Comparison, estimate: float, drawn: Floats, blocks: int, n: int, method: str) -> Draft:
    """A log ratio of sums, and its block bootstrap."""
    at_95, at_90 = (expanded_interval(drawn, estimate, blocks, conf) for conf in (0.95, 0.90))
    row = replace(row, value=math.exp(estimate), low=_exp(at_95.low), high=_exp(at_95.high), n=n, blocks=blocks,
                  method=method, p_raw=bootstrap_p(drawn, blocks))  # fmt: skip
    return Draft(row, evidence(estimate, at_95, at_90, math.log1p(row.margin or 0.0), blocks))


def evidence(estimate: float, at_95: Interval, at_90: Interval, margin: float, blocks: int) -> Evidence:
    def end(x: float | None, unbounded: float) -> float:
        return unbounded if x is None else x

    return Evidence(estimate, end(at_95.low, -math.inf), end(at_95.high, math.inf), end(at_90.low, -math.inf),
                    end(at_90.high, math.inf), margin, blocks)  # fmt: skip


def _exp(x: float | None) -> float | None:
    return None if x is None else math.exp(x) if x < 700 else math.inf
