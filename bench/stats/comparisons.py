"""Two targets over the requests both answered: ratios of quantiles and costs, difference of quality, and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.metrics import BY_NAME, PROBABILITY
from bench.stats import means, quantiles, ratios
from bench.stats.cells import block_sums, cost_and_right, groupings, resamples
from bench.stats.measured import PAIR, Measured, codes, floats
from bench.stats.paired import PAIR_KEY, paired
from bench.stats.quantiles import Interval
from bench.stats.special import t_inflation
from bench.stats.types import CompareKind, Comparison
from bench.stats.verdicts import WORDS, Evidence, holm, judge

if TYPE_CHECKING:
    import pandas as pd

QUANTILES: Mapping[str, str] = {"ttft_p50_ms": "ttft", "ttft_p99_ms": "ttft", "e2e_p50_ms": "e2e"}
"""The latency figures of the primary family, declared here before any run, and the column behind each."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A comparison before the family is adjusted: its row, and the evidence on the scale whose equality is 0."""

    row: Comparison
    evidence: Evidence | None


def pairs(a: Measured, b: Measured) -> pd.DataFrame:
    """Rows of both targets that share run, block, case and repeat; columns end in _a and _b."""
    if PAIR_KEY in a.frame and PAIR_KEY in b.frame:
        return paired(a.frame, b.frame)
    both = a.frame.merge(b.frame, on=PAIR, suffixes=("_a", "_b"))
    return both.rename(columns={"block_a": "block", "cluster_a": "cluster"})


def compare(a: Measured, b: Measured, seed: int, margins: Mapping[str, float]) -> list[Draft]:
    """Everything said about b against the baseline a."""
    both = pairs(a, b)
    drafts = [quantile_draft(a, b, both, name, margins) for name in QUANTILES]
    drafts.append(_quality_draft(a, b, both, margins))
    drafts.append(cost_draft(a, b, both, seed, margins))
    drafts += [_paired_draft(a, b, both, column) for column in ("ttft", "e2e")]
    return drafts


def quantile_draft(a: Measured, b: Measured, both: pd.DataFrame, name: str, margins: Mapping[str, float]) -> Draft:
    metric, column = BY_NAME[name], QUANTILES[name]
    margin = margins[metric.statistic]
    known = both[both[f"{column}_a"].notna() & both[f"{column}_b"].notna()]
    empty = _empty(a, b, name, "latency", margin)
    if len(known) == 0 or not all(bool(known[f"ok_{side}"].any()) or m.ok == 0 for side, m in (("a", a), ("b", b))):
        return _nothing(empty, a, b, column)
    blocks = codes(known, "block")
    p = PROBABILITY[metric.statistic]
    qa, qb = (quantiles.quantile(floats(known, f"{column}_{side}"), blocks, p) for side in "ab")
    at_95, at_90 = ratios.quantile_ratio(qa, qb), ratios.quantile_ratio(qa, qb, 0.90)
    n_eff = min(qa.interval().n_eff, qb.interval().n_eff)
    worst = max(qa.design_effect, qb.design_effect) * t_inflation(0.95, qa.blocks)
    row = replace(
        empty, value=_exp(at_95.estimate), low=_exp(_finite(at_95.low)), high=_exp(_finite(at_95.high)),
        n=len(known), n_eff=n_eff, blocks=qa.blocks, rho=ratios.block_correlation(qa, qb),
        method="log-MOVER of order statistics, block correlation",
        p_raw=ratios.quantile_ratio_p(qa, qb),
    )  # fmt: skip
    needed = quantiles.requests_to_bound(p, worst)
    evidence = Evidence(
        estimate=at_95.estimate, low=at_95.low, high=at_95.high, low_90=at_90.low, high_90=at_90.high,
        margin=math.log1p(margin), blocks=qa.blocks, bounding_requests=needed if needed > len(known) else None,
    )  # fmt: skip
    return Draft(row, evidence)


def _quality_draft(a: Measured, b: Measured, both: pd.DataFrame, margins: Mapping[str, float]) -> Draft:
    margin = margins["quality"]
    known = both[both["right_a"].notna() & both["right_b"].notna()]
    empty = _empty(a, b, "quality", "quality", margin)
    if len(known) == 0:
        return _nothing(empty, a, b, "right")
    alike = groupings(known)
    paired = means.paired_difference(floats(known, "right_a"), floats(known, "right_b"), alike)
    at_95, at_90 = paired.interval(), paired.interval(0.90)
    estimate, blocks = paired.raw.difference, len(np.unique(alike[0]))
    row = replace(empty, value=estimate, low=at_95.low, high=at_95.high, n=len(known), n_eff=at_95.n_eff, blocks=blocks,
                  method="Tango's paired score, n_eff by case source and block", p_raw=paired.p_value())  # fmt: skip
    return Draft(row, _evidence(estimate, at_95, at_90, margin, blocks))


def _evidence(estimate: float, at_95: Interval, at_90: Interval, margin: float, blocks: int) -> Evidence:
    return Evidence(
        estimate=estimate,
        low=_or(at_95.low, -math.inf),
        high=_or(at_95.high, math.inf),
        low_90=_or(at_90.low, -math.inf),
        high_90=_or(at_90.high, math.inf),
        margin=margin,
        blocks=blocks,
    )


def cost_draft(a: Measured, b: Measured, both: pd.DataFrame, seed: int, margins: Mapping[str, float]) -> Draft:
    """Cost per correct answer where both are judged, else cost per request."""
    judged = bool((both["right_a"].notna() & both["right_b"].notna()).any())
    name = "usd_per_correct" if judged else "usd_per_1k"
    margin = margins["cost"]
    empty = _empty(a, b, name, "cost", margin)
    priced = all(m.ok and float(m.frame.loc[m.frame["ok"], "cost"].notna().mean()) >= 0.9 for m in (a, b))
    if len(both) == 0 or not priced:
        return _nothing(empty, a, b, "cost")
    blocks = codes(both, "block")
    count = int(blocks.max()) + 1
    sums = []
    for side in "ab":
        one = both[[f"cost_{side}", f"right_{side}"]].set_axis(["cost", "right"], axis=1)
        if not judged:
            one = one.assign(right=one["cost"].notna().astype("float64"))
        sums.append([block_sums(values, blocks, count) for values in cost_and_right(one)])
    (usd_a, per_a), (usd_b, per_b) = sums
    if not (usd_a.sum() > 0 and usd_b.sum() > 0 and per_a.sum() > 0 and per_b.sum() > 0):
        return Draft(
            replace(empty, n=len(both), blocks=count, reason="a target answered nothing right, or cost nothing"), None
        )
    estimate = _snap(float(np.log(usd_b.sum() / per_b.sum()) - np.log(usd_a.sum() / per_a.sum())))
    drawn_a, drawn_b = (ratios.sums_ratio(u, r, resamples(count, seed)) for u, r in ((usd_a, per_a), (usd_b, per_b)))
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.log(drawn_b) - np.log(drawn_a)
    # A resample in which neither side got anything right says nothing; one in which one side did is an infinite ratio.
    drawn = np.where(np.abs(drawn) < 1e-9, 0.0, drawn)[~np.isnan(drawn)]
    at_95, at_90 = (ratios.expanded_interval(drawn, estimate, count, conf) for conf in (0.95, 0.90))
    row = replace(empty, value=math.exp(estimate), low=_exp(at_95.low), high=_exp(at_95.high), n=len(both),
                  blocks=count, method="paired block bootstrap, expanded percentiles",
                  p_raw=ratios.bootstrap_p(drawn, count))  # fmt: skip
    return Draft(row, _evidence(estimate, at_95, at_90, math.log1p(margin), count))


def _paired_draft(a: Measured, b: Measured, both: pd.DataFrame, column: str) -> Draft:
    """The median of per-prompt ratios: sharper than the ratio of medians, and another question. Exploratory."""
    name, label = f"{column}_paired_ratio_p50", f"{column.upper()} per-prompt ratio, median"
    empty = replace(_empty(a, b, name, "latency", None), label=label, primary=False)
    known = both[np.isfinite(both[f"{column}_a"]) | np.isfinite(both[f"{column}_b"])]
    known = known[known[f"{column}_a"].notna() & known[f"{column}_b"].notna() & (known[f"{column}_a"] > 0)]
    if len(known) == 0:
        return _nothing(empty, a, b, column)
    # A failure on one side only is a ratio of infinity or 0, and sorts where it belongs.
    sample = quantiles.quantile(floats(known, f"{column}_b") / floats(known, f"{column}_a"), codes(known, "block"), 0.5)
    interval = sample.interval()
    row = replace(empty, value=sample.estimate, low=interval.low, high=interval.high, n=sample.n, n_eff=interval.n_eff,
                  blocks=sample.blocks, method=quantiles.METHOD)  # fmt: skip
    return Draft(row, None)


def finish(drafts: Sequence[Draft]) -> list[Comparison]:
    """Adjust the primary family, then give each comparison its word."""
    family = [i for i, draft in enumerate(drafts) if draft.row.primary and draft.row.p_raw is not None]
    adjusted = dict(zip(family, holm([drafts[i].row.p_raw or 0.0 for i in family]), strict=True))
    finished = []
    for i, draft in enumerate(drafts):
        if not draft.row.primary:
            finished.append(draft.row)
        elif draft.evidence is None:
            finished.append(replace(draft.row, verdict="inconclusive"))
        else:
            evidence = replace(draft.evidence, p_holm=adjusted.get(i), family=len(family))
            verdict = judge(evidence, WORDS[draft.row.kind])
            finished.append(replace(
                draft.row, p_holm=adjusted.get(i), verdict=verdict.word, reason=verdict.reason,
                more_blocks=verdict.more_blocks, needed_requests=verdict.needed_requests,
            ))  # fmt: skip
    return finished


def _empty(a: Measured, b: Measured, name: str, kind: CompareKind, margin: float | None) -> Comparison:
    return Comparison(
        baseline=a.target, target=b.target, metric=name, label=BY_NAME[name].label if name in BY_NAME else name,
        kind=kind, unit="points" if kind == "quality" else "ratio", value=None, low=None, high=None, n=0, n_eff=None,
        blocks=0, rho=None, method="", margin=margin,
    )  # fmt: skip


def _nothing(empty: Comparison, a: Measured, b: Measured, column: str) -> Draft:
    for measured in (b, a):
        why = "nothing was measured" if measured.n == 0 else measured.gaps.get(column)
        if why:
            return Draft(replace(empty, reason=why if measured is b else f"{measured.target}: {why}"), None)
    return Draft(replace(empty, reason="not known, or no request was answered by both"), None)


def _exp(x: float | None) -> float | None:
    return None if x is None else math.exp(x) if x < 700 else math.inf


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _or(x: float | None, unbounded: float) -> float:
    return unbounded if x is None else x


def _snap(x: float) -> float:
    """Sums of equal prices in another order differ in the last digit; that is no difference."""
    return 0.0 if abs(x) < 1e-9 else x
