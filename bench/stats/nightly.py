"""The figures of one night that a gate watches: what they are, which way is worse, and what they were for each target.

A night is one run of a workload. Each figure carries the standard error that its own requests leave, on the scale on which nights
are compared: logarithms for durations, cost and tokens, shares as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.stats import means
from bench.stats.cells import groupings
from bench.stats.measured import Measured, Selection, codes, floats
from bench.stats.quantiles import Floats, quantile
from bench.stats.shares import clopper_pearson
from bench.stats.special import normal_quantile

if TYPE_CHECKING:
    import pandas as pd

Scale = Literal["log", "count", "share"]
Kind = Literal["latency", "delivery", "quality", "cost", "watch"]


@dataclass(frozen=True, slots=True)
class Gated:
    """A figure that is gated, or watched.

    `scale` log: compared as logarithms by a prediction limit; share: as it is, by a prediction limit; count: a share of requests
    by a beta-binomial limit. `weight` is its part of the false alarms that one target may raise. `floor` is the smallest change
    that counts: relative on a log scale, in shares of 1 else; for quality it is the margin of non-inferiority.
    """

    name: str
    label: str
    unit: str
    kind: Kind
    scale: Scale
    better: Literal["lower", "higher"]
    weight: float
    floor: float

    @property
    def watched(self) -> bool:
        """Whether either direction is only told, and never fails a build."""
        return self.kind == "watch"


GATED: tuple[Gated, ...] = (
    Gated("ttft_p50_ms", "TTFT p50", "ms", "latency", "log", "lower", 0.45, 0.05),
    Gated("e2e_p50_ms", "E2E p50", "ms", "latency", "log", "lower", 0.28, 0.05),
    Gated("ttft_p95_ms", "TTFT p95", "ms", "latency", "log", "lower", 0.06, 0.10),
    Gated("tpot_p50_ms", "TPOT p50", "ms", "latency", "log", "lower", 0.06, 0.05),
    Gated("failed_share", "failed", "share", "delivery", "count", "lower", 0.06, 0.005),
    Gated("quality", "quality", "share", "quality", "share", "higher", 0.05, 0.03),
    Gated("usd_per_1k", "$/1k requests", "USD", "cost", "log", "lower", 0.04, 0.05),
    Gated("output_tokens", "output tokens", "tokens", "watch", "log", "lower", 0.05, 0.10),
    Gated("cached_share", "input from cache", "share", "watch", "share", "higher", 0.05, 0.05),
)
"""All that a gate judges, in the order of its rows. The weights of what can fail a build sum to 1; what is watched cannot."""

GATED_BY_NAME: Mapping[str, Gated] = {gated.name: gated for gated in GATED}

_QUANTILES = {"ttft_p50_ms": ("ttft", 0.5), "e2e_p50_ms": ("e2e", 0.5), "ttft_p95_ms": ("ttft", 0.95),
              "tpot_p50_ms": ("tpot", 0.5)}  # fmt: skip
REQUEST_COLUMNS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
"""Read of the requests besides what `select` reads."""


@dataclass(frozen=True, slots=True)
class NightFigure:
    """One figure of one target in one night, in its base unit. `value` is None when unknown, inf when it is a failed request.

    `se` is the standard error on the figure's scale, from the variation between blocks; None when it cannot be told. `hits` of
    `n` are given for counts. `cases` holds, for quality, the share answered right of each case and how often it was asked.
    """

    value: float | None
    se: float | None
    n: int
    hits: int | None = None
    cases: Mapping[str, tuple[float, int]] = field(default_factory=dict)


UNKNOWN = NightFigure(None, None, 0)


def figures(selection: Selection, requests: pd.DataFrame) -> dict[str, dict[str, NightFigure]]:
    """Every figure of GATED, by target. `requests` are the rows of the run, with REQUEST_COLUMNS."""
    return {measured.target: _of_target(measured, requests) for measured in selection.targets}


def _of_target(measured: Measured, requests: pd.DataFrame) -> dict[str, NightFigure]:
    if measured.n == 0:
        return {gated.name: UNKNOWN for gated in GATED}
    frame = measured.frame
    made = {name: _quantile(frame, column, p) for name, (column, p) in _QUANTILES.items()}
    made["failed_share"] = _failed(frame)
    made["quality"] = _quality(frame)
    known = frame["ok"].to_numpy(dtype=bool)
    made["usd_per_1k"] = _mean(frame, floats(frame, "cost") * 1000, known)
    made["output_tokens"] = _mean(frame, floats(frame, "output_tokens"), known)
    made["cached_share"] = _cached(measured, requests)
    return made


def _quantile(frame: pd.DataFrame, column: str, p: float) -> NightFigure:
    known = frame[frame[column].notna()]
    if len(known) == 0 or not bool(known["ok"].any()):
        return UNKNOWN
    sample = quantile(floats(known, column), codes(known, "block"), p)
    if math.isinf(sample.estimate):
        return NightFigure(math.inf, None, sample.n)
    # An interval of 68 %: two standard errors wide. An open end leaves the other half.
    inner = sample.interval(0.6827)
    below = None if not inner.low else math.log(sample.estimate / inner.low)
    above = None if inner.high is None else math.log(inner.high / sample.estimate)
    sides = [side for side in (below, above) if side is not None]
    return NightFigure(sample.estimate, sum(sides) / len(sides) if sides else None, sample.n)


def _failed(frame: pd.DataFrame) -> NightFigure:
    hits = int((~frame["ok"].to_numpy(dtype=bool)).sum())
    return NightFigure(hits / len(frame), None, len(frame), hits)


def _quality(frame: pd.DataFrame) -> NightFigure:
    """As delivered. Its standard error is that of chance within a case: which cases are hard is the same every night."""
    judged = frame[frame["right"].notna()]
    if len(judged) == 0:
        return UNKNOWN
    right = floats(judged, "right")
    share = float(right.mean())
    grouped = judged.groupby("case_id", sort=True)["right"].agg(["mean", "size"])
    cases = {str(case): (float(mean), int(size)) for case, mean, size in grouped.itertuples()}
    effective = means.n_eff(right, groupings(judged))
    return NightFigure(
        share, math.sqrt(max(share * (1 - share), 0.25 / effective) / effective), len(judged), cases=cases
    )


def _mean(frame: pd.DataFrame, values: Floats, known: np.ndarray) -> NightFigure:
    """The mean over successful requests, its standard error as that of its logarithm; unknown where one in ten is not known."""
    which = known & ~np.isnan(values)
    if not which.any() or which.sum() < 0.9 * known.sum():
        return UNKNOWN
    chosen, blocks = values[which], codes(frame[which], "block")
    mean = float(chosen.mean())
    if mean <= 0:
        return UNKNOWN
    interval = means.mean_interval(chosen, [blocks])
    se = None if interval.high is None else (interval.high - mean) / normal_quantile(0.975) / mean
    return NightFigure(mean, se, len(chosen))


def _cached(measured: Measured, requests: pd.DataFrame) -> NightFigure:
    """Share of the input of successful requests that came from the provider's prompt cache."""
    mine = requests[
        (requests["target"] == measured.target) & (requests["phase"] == "measure") & (requests["outcome"] == "ok")
    ]
    read = floats(mine, "cache_read_tokens")
    if len(read) == 0 or np.isnan(read).all():
        return UNKNOWN
    parts = [np.nan_to_num(floats(mine, name)) for name in REQUEST_COLUMNS]
    total = np.sum(parts, axis=0)
    if not total.sum() > 0:
        return UNKNOWN
    value = float(np.nansum(read) / total.sum())
    return NightFigure(value, _share_se(np.nan_to_num(read) - value * total, float(total.mean()), mine), len(mine))


def _share_se(residuals: Floats, mean: float, rows: pd.DataFrame) -> float:
    blocks: Sequence[int] = codes(rows, "block_id").tolist()
    sums = np.bincount(blocks, weights=residuals)
    k = max(2, len(sums))
    return float(math.sqrt(k / (k - 1) * float((sums**2).sum())) / (len(residuals) * mean))


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit of the workload's slo, and what the night says of it. `at_least`: the figure must not be below the limit."""

    name: str
    label: str
    unit: str
    limit: float
    at_least: bool
    value: float | None
    low: float | None
    high: float | None
    n: int


def bounds(selection: Selection, slo: Mapping[str, Any]) -> dict[str, tuple[Bound, ...]]:
    """The absolute limits that single requests show, by target, each with the 95 % interval of the figure it limits."""
    return {m.target: tuple(_bounds(m, slo)) if m.n else () for m in selection.targets}


def _bounds(measured: Measured, slo: Mapping[str, Any]) -> Iterator[Bound]:
    frame = measured.frame
    for kind in ("ttft", "tpot", "e2e"):
        for name, limit_ns in (slo.get(kind) or {}).items():
            if limit_ns is None:
                continue
            known = frame[frame[kind].notna()]
            value = low = high = None
            if len(known) and bool(known["ok"].any()):
                sample = quantile(floats(known, kind), codes(known, "block"), float(name[1:]) / 100)
                inner = sample.interval()
                value, low, high = sample.estimate, inner.low, inner.high
            label = f"{kind.upper()} {name}"
            yield Bound(f"slo_{kind}_{name}_ms", label, "ms", limit_ns / 1e6, False, value, low, high, len(known))
    most, least = (slo.get("error_rate") or {}).get("max"), (slo.get("goodput") or {}).get("min")
    if most is not None:
        yield _share_bound("slo_failed_share", "failed", most, False, 1.0 - floats(frame, "ok"), frame)
    if least is not None and frame["within"].notna().any():
        yield _share_bound("slo_within_share", "within slo", least, True, floats(frame, "within"), frame)


def _share_bound(name: str, label: str, limit: float, at_least: bool, hits: Floats, frame: pd.DataFrame) -> Bound:
    interval = clopper_pearson(float(hits.mean()), means.n_eff(hits, [codes(frame, "block")]))
    return Bound(name, label, "share", limit, at_least, float(hits.mean()), interval.low, interval.high, len(frame))
