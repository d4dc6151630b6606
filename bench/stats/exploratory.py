"""What else is compared, outside the declared family: labelled exploratory, adjusted by false discovery rate, never a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.metrics import BY_NAME
from bench.stats import costs, means, quantiles, ratios
from bench.stats.cells import BOOTSTRAP, block_sums, groupings, resamples, seconds_of
from bench.stats.groups import compact, count_of
from bench.stats.measured import Measured, codes, floats, those
from bench.stats.types import CompareKind, Comparison
from bench.stats.windows import folded

if TYPE_CHECKING:
    import pandas as pd


FEWEST_UNEQUAL = 10
"""Pairs with unequal scores below which a bootstrap of their difference says nothing."""


def explore(
    a: Measured, b: Measured, both: pd.DataFrame, seed: int, from_due: bool, limits: Mapping[str, float]
) -> list[Comparison]:
    """Of b against a, beside the primary comparisons; those about which nothing is known are left out."""
    found = [
        _paired_ratio(a, b, both, "ttft"),
        _paired_ratio(a, b, both, "e2e"),
        _difference(a, b, both, "ok", "ok_share"),
        _difference(a, b, both, "within", "within_slo_share") if limits else None,
        _by_bootstrap(a, b, both, seed),
        _rate(a, b, both, "system_tokens_per_s", seed, from_due),
        _rate(a, b, both, "goodput_per_s", seed, from_due) if limits else None,
        _per_success(a, b, both, seed) if limits else None,
    ]
    return [one for one in found if one is not None]


def blank(baseline: str, target: str, name: str, kind: CompareKind, margin: float | None) -> Comparison:
    """A comparison before anything is known of it."""
    return Comparison(
        baseline=baseline, target=target, metric=name, label=BY_NAME[name].label if name in BY_NAME else name,
        kind=kind, unit="points" if kind == "quality" else "ratio", value=None, low=None, high=None, n=0, n_eff=None,
        blocks=0, rho=None, method="", margin=margin,
    )  # fmt: skip


def _paired_ratio(a: Measured, b: Measured, both: pd.DataFrame, column: str) -> Comparison | None:
    """The median of per-prompt ratios: sharper than the ratio of medians, and another question."""
    a_ms, b_ms, blocks = floats(both, f"{column}_a"), floats(both, f"{column}_b"), both["block"].to_numpy()
    told = (np.isfinite(a_ms) | np.isfinite(b_ms)) & (a_ms > 0) & ~np.isnan(b_ms)
    if not told.any():
        return None
    if not told.all():
        a_ms, b_ms, blocks = a_ms[told], b_ms[told], blocks[told]
    # A failure on one side only is a ratio of infinity or 0, and sorts where it belongs.
    sample = quantiles.quantile(b_ms / a_ms, compact(blocks), 0.5)
    interval = sample.interval()

    def at(conf: float) -> ratios.LogRatio:
        ends = sample.interval(conf)
        return ratios.LogRatio(None, ratios.log_end(ends.low, -math.inf), ratios.log_end(ends.high, math.inf))

    return replace(
        blank(a.target, b.target, f"{column}_paired_ratio_p50", "latency", None),
        label=f"median per-prompt {column.upper()} ratio", primary=False, value=sample.estimate, low=interval.low,
        high=interval.high, n=sample.n, n_eff=interval.n_eff, blocks=sample.blocks, method=quantiles.METHOD,
        p_raw=ratios.p_value(at),
    )  # fmt: skip


def _difference(a: Measured, b: Measured, both: pd.DataFrame, column: str, name: str) -> Comparison | None:
    """Of two shares over the same requests."""
    if len(both) == 0:
        return None
    blocks = codes(both, "block")
    paired = means.paired_difference(floats(both, f"{column}_a"), floats(both, f"{column}_b"), [blocks])
    interval = paired.interval()
    return replace(
        blank(a.target, b.target, name, "quality", None), primary=False, value=paired.raw.difference, low=interval.low,
        high=interval.high, n=len(both), n_eff=interval.n_eff, blocks=int(blocks.max()) + 1,
        method="Tango's paired score, n_eff by block", p_raw=paired.p_value(),
    )  # fmt: skip


def _by_bootstrap(a: Measured, b: Measured, both: pd.DataFrame, seed: int) -> Comparison | None:
    """The difference of quality once more, with whole groups resampled: a second opinion that assumes less."""
    there = both["right_a"].notna() & both["right_b"].notna()
    known = those(both, there, "block", "cluster", "right_a", "right_b")
    if len(known) == 0:
        return None
    differences = floats(known, "right_b") - floats(known, "right_a")
    # With few unequal pairs most resamples are the same: the interval would be a claim that nobody made.
    if (differences != 0).sum() < FEWEST_UNEQUAL:
        return None
    alike = groupings(known)
    cost, costliest = max(
        (
            (one.design_effect(), groups)
            for one, groups in zip(means.clusterings(differences, alike), alike, strict=True)
        ),
        key=lambda pair: pair[0],
    )
    groups, count = folded(costliest)
    if count < 2:
        return None
    drawn = means.resampled_means(differences, groups, resamples(count, seed))
    interval = ratios.expanded_interval(drawn, float(differences.mean()), count)
    return replace(
        blank(a.target, b.target, "quality_bootstrap", "quality", None), label="quality, by bootstrap", primary=False,
        value=float(differences.mean()), low=interval.low, high=interval.high, n=len(known),
        n_eff=len(known) / cost, blocks=count_of(codes(known, "block")),
        method="cluster bootstrap, expanded percentiles", p_raw=ratios.bootstrap_p(drawn, count),
    )  # fmt: skip


def _rate(a: Measured, b: Measured, both: pd.DataFrame, name: str, seed: int, from_due: bool) -> Comparison | None:
    """Tokens, or good requests, per second: the same blocks drawn for both."""
    if len(both) == 0:
        return None
    blocks, count = folded(codes(both, "block"))
    sums = []
    for side in ("_a", "_b"):
        if name == "goodput_per_s":
            amounts = floats(both, f"within{side}")
        else:
            amounts = np.where(both[f"ok{side}"], floats(both, f"output_tokens{side}"), 0.0)
        sums.append((block_sums(amounts, blocks, count), seconds_of(both, blocks, count, from_due, side)))
    return _of_sums(blank(a.target, b.target, name, "rate", None), both, sums, count, seed)


def _per_success(a: Measured, b: Measured, both: pd.DataFrame, seed: int) -> Comparison | None:
    """Dollars per answer that is right and in time: the one number that can turn a ranking by price around."""
    if len(both) == 0 or any(m.frame.loc[m.frame["ok"], "cost"].notna().mean() < 0.9 for m in (a, b)):
        return None
    blocks, count = folded(codes(both, "block"))
    sums = []
    for side in ("_a", "_b"):
        usd, good = costs.per_success(both, side)
        known = ~np.isnan(usd) & ~np.isnan(good)
        spent, gained = (block_sums(np.where(known, values, 0.0), blocks, count) for values in (usd, good))
        sums.append((spent, gained))
    return _of_sums(blank(a.target, b.target, "usd_per_success", "cost", None), both, sums, count, seed)


def _of_sums(
    row: Comparison, both: pd.DataFrame, sums: Sequence[ratios.Sums], count: int, seed: int
) -> Comparison | None:
    """The ratio of two ratios of sums, the same blocks drawn for both."""
    if not all(part.sum() > 0 for pair in sums for part in pair):
        return None
    with np.errstate(divide="ignore"):
        logs = [np.log(ratios.sums_ratio(above, below, resamples(count, seed))) for above, below in sums]
    with np.errstate(invalid="ignore"):
        drawn = logs[1] - logs[0]
    drawn = drawn[~np.isnan(drawn)]
    value_a, value_b = (float(above.sum() / below.sum()) for above, below in sums)
    estimate = math.log(value_b / value_a)
    interval = ratios.expanded_interval(drawn, estimate, count)
    low, high = (None if end is None else math.exp(end) for end in (interval.low, interval.high))
    return replace(
        row, primary=False, value=math.exp(estimate), low=low, high=high, n=len(both),
        blocks=count_of(codes(both, "block")), method=f"paired {BOOTSTRAP}",
        p_raw=ratios.sums_ratio_p(sums[0], sums[1], drawn, count),
    )  # fmt: skip
