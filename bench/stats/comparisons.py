"""Two targets over the requests both answered: ratios of quantiles and costs, difference of quality, and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.metrics import BY_NAME, PROBABILITY
from bench.stats import means, quantiles, ratios
from bench.stats.cells import block_sums, cost_known, groupings, known_sums, resamples
from bench.stats.exploratory import blank, explore
from bench.stats.measured import Measured, codes, floats, those
from bench.stats.quantiles import Interval
from bench.stats.special import t_inflation
from bench.stats.types import Comparison
from bench.stats.verdicts import WORDS, Evidence, benjamini_hochberg, holm, judge
from bench.stats.windows import folded

if TYPE_CHECKING:
    import pandas as pd

QUANTILES: Mapping[str, str] = {"ttft_p50_ms": "ttft", "ttft_p99_ms": "ttft", "e2e_p50_ms": "e2e"}
"""The latency figures of the primary family, declared here before any run, and the column behind each."""


EXPLORED: Mapping[str, str] = {"e2e_p99_ms": "e2e", "tpot_p50_ms": "tpot"}
"""Latency figures that are compared beside it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A comparison before the family is adjusted: its row, and the evidence on the scale whose equality is 0."""

    row: Comparison
    evidence: Evidence | None


_SHARED = ("block", "cluster", "run", "slice")
_COMPARED = ("ttft", "e2e", "tpot", "ok", "within", "right", "cost", "output_tokens", "due_ns", "sent_ns", "end_ns")


@lru_cache(maxsize=16)
def pairs(a: Measured, b: Measured) -> pd.DataFrame:
    """Rows of both targets that share run, block, case and repeat; what is compared ends in _a and _b. Not to be changed.

    Of the columns that are shared or compared, those that the frames have.
    """
    import pandas as pd

    in_a, in_b = paired_rows(a, b)
    columns = {name: a.frame[name].to_numpy()[in_a] for name in _SHARED if name in a.frame}
    for side, frame, rows in (("a", a.frame, in_a), ("b", b.frame, in_b)):
        columns |= {f"{name}_{side}": frame[name].to_numpy()[rows] for name in _COMPARED if name in frame}
    return pd.DataFrame(columns, copy=False)


def paired_rows(a: Measured, b: Measured) -> tuple[Any, Any]:
    """Where the rows of every pair stand on either side: as indexes of arrays."""
    if paired_in_order(a, b):
        return slice(None), slice(None)
    key_a, key_b = a.frame["pair"].to_numpy(), b.frame["pair"].to_numpy()
    _, in_a, in_b = np.intersect1d(key_a, key_b, assume_unique=True, return_indices=True)
    return in_a, in_b


def paired_in_order(a: Measured, b: Measured) -> bool:
    """Whether the rows of both are pairs as they stand."""
    key_a, key_b = a.frame["pair"].to_numpy(), b.frame["pair"].to_numpy()
    return key_a is key_b or np.array_equal(key_a, key_b)


def known_of(both: pd.DataFrame, column: str, *beside: str) -> pd.DataFrame:
    """The pairs in which a column is known on both sides: that column, what groups the pairs, and the columns `beside`."""
    names = (f"{column}_a", f"{column}_b")
    known = both[names[0]].notna() & both[names[1]].notna()
    return those(both, known, *names, *beside, *(name for name in _SHARED if name in both))


def compare(
    a: Measured,
    b: Measured,
    seed: int,
    margins: Mapping[str, float],
    from_due: bool = False,
    limits: Mapping[str, float] = MappingProxyType({}),
) -> list[Draft]:
    """Everything said about b against the baseline a. `from_due` and `limits` are those of the selection."""
    both = pairs(a, b)
    drafts = [quantile_draft(a, b, both, name, margins) for name in QUANTILES]
    drafts.append(_quality_draft(a, b, both, margins))
    drafts.append(cost_draft(a, b, both, seed, margins))
    others = [quantile_draft(a, b, both, name, margins).row for name in EXPLORED]
    others = [replace(row, primary=False, margin=None, reason="") for row in others if row.n]
    others += explore(a, b, both, seed, from_due, limits)
    return drafts + [Draft(row, None) for row in others]


def quantile_draft(a: Measured, b: Measured, both: pd.DataFrame, name: str, margins: Mapping[str, float]) -> Draft:
    metric, column = BY_NAME[name], {**QUANTILES, **EXPLORED}[name]
    margin = margins[metric.statistic]
    empty = blank(a.target, b.target, name, "latency", margin)
    samples = _samples(a, b, both, column)
    if samples is None:
        return _nothing(empty, a, b, column)
    p = PROBABILITY[metric.statistic]
    qa, qb = (sample.quantile(p) for sample in samples)
    at_95, at_90 = ratios.quantile_ratio(qa, qb), ratios.quantile_ratio(qa, qb, 0.90)
    n_eff = min(qa.interval().n_eff, qb.interval().n_eff)
    worst = max(qa.design_effect, qb.design_effect) * t_inflation(0.95, qa.blocks)
    row = replace(
        empty, value=_exp(at_95.estimate), low=_exp(_finite(at_95.low)), high=_exp(_finite(at_95.high)),
        n=qa.n, n_eff=n_eff, blocks=qa.blocks, rho=ratios.block_correlation(qa, qb),
        method="log-MOVER of order statistics, block correlation",
        p_raw=ratios.quantile_ratio_p(qa, qb),
        p_equivalence=ratios.quantile_equivalence_p(qa, qb, math.log1p(margin)),
    )  # fmt: skip
    needed = quantiles.requests_to_bound(p, worst)
    found = Evidence(
        estimate=at_95.estimate, low=at_95.low, high=at_95.high, low_90=at_90.low, high_90=at_90.high,
        margin=math.log1p(margin), blocks=qa.blocks, bounding_requests=needed if needed > qa.n else None,
    )  # fmt: skip
    return Draft(row, found)


def _samples(
    a: Measured, b: Measured, both: pd.DataFrame, column: str
) -> tuple[quantiles.Sample, quantiles.Sample] | None:
    """Both sides of the pairs in which the column is known on both; None without any, or where a side has only failures
    though it answered. Where all is paired and known, the samples of the targets themselves, which are sorted already."""
    alike = len(both) == a.n == b.n and paired_in_order(a, b)
    if alike and np.array_equal(a.frame["block"].to_numpy(), b.frame["block"].to_numpy()):
        own = a.sample(column), b.sample(column)
        if own[0] is not None and own[1] is not None and len(own[0].values) == len(own[1].values) == len(both):
            return own[0], own[1]
    known = known_of(both, column, "ok_a", "ok_b")
    if len(known) == 0 or not all(bool(known[f"ok_{side}"].any()) or m.ok == 0 for side, m in (("a", a), ("b", b))):
        return None
    blocks = codes(known, "block")
    one, other = (quantiles.Sample(floats(known, f"{column}_{side}"), blocks) for side in "ab")
    return one, other


def _quality_draft(a: Measured, b: Measured, both: pd.DataFrame, margins: Mapping[str, float]) -> Draft:
    margin = margins["quality"]
    known = known_of(both, "right")
    empty = blank(a.target, b.target, "quality", "quality", margin)
    if len(known) == 0:
        return _nothing(empty, a, b, "right")
    alike = groupings(known)
    paired = means.paired_difference(floats(known, "right_a"), floats(known, "right_b"), alike)
    at_95, at_90 = paired.interval(), paired.interval(0.90)
    estimate, blocks = paired.raw.difference, paired.alike[0].groups
    row = replace(empty, value=estimate, low=at_95.low, high=at_95.high, n=len(known), n_eff=at_95.n_eff, blocks=blocks,
                  method="Tango's paired score, n_eff by case source and block", p_raw=paired.p_value(),
                  p_equivalence=paired.equivalence_p(margin))  # fmt: skip
    return Draft(row, evidence(estimate, at_95, at_90, margin, blocks))


def evidence(estimate: float, at_95: Interval, at_90: Interval, margin: float, blocks: int) -> Evidence:
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
    empty = blank(a.target, b.target, name, "cost", margin)
    priced = all(cost_known(m) for m in (a, b))
    if len(both) == 0 or not priced:
        return _nothing(empty, a, b, "cost")
    blocks, count = folded(codes(both, "block"))
    sums = []
    for side in "ab":
        usd, right = floats(both, f"cost_{side}"), floats(both, f"right_{side}")
        counted = known_sums(usd, right if judged else (~np.isnan(usd)).astype(np.float64))
        sums.append([block_sums(values, blocks, count) for values in counted])
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
                  p_raw=ratios.sums_ratio_p((usd_a, per_a), (usd_b, per_b), drawn, count),
                  p_equivalence=ratios.bootstrap_equivalence_p(drawn, count, math.log1p(margin)))  # fmt: skip
    return Draft(row, evidence(estimate, at_95, at_90, math.log1p(margin), count))


def finish(drafts: Sequence[Draft]) -> list[Comparison]:
    """Adjust the primary family and, apart from it, all that is exploratory; then give each primary comparison its word."""
    explored = [i for i, draft in enumerate(drafts) if not draft.row.primary and draft.row.p_raw is not None]
    rates = dict(zip(explored, benjamini_hochberg([drafts[i].row.p_raw or 0.0 for i in explored]), strict=True))
    family = [i for i, draft in enumerate(drafts) if draft.row.primary and draft.row.p_raw is not None]
    adjusted = dict(zip(family, holm([drafts[i].row.p_raw or 0.0 for i in family]), strict=True))
    finished = []
    for i, draft in enumerate(drafts):
        if not draft.row.primary:
            finished.append(replace(draft.row, p_bh=rates.get(i)))
        elif draft.evidence is None:
            finished.append(replace(draft.row, verdict="inconclusive"))
        else:
            adjusted_evidence = replace(draft.evidence, p_holm=adjusted.get(i), family=len(family))
            verdict = judge(adjusted_evidence, WORDS[draft.row.kind])
            finished.append(replace(
                draft.row, p_holm=adjusted.get(i), verdict=verdict.word, reason=verdict.reason,
                more_blocks=verdict.more_blocks, needed_requests=verdict.needed_requests,
            ))  # fmt: skip
    return finished


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
