"""The levels of a sweep, each by itself: what was achieved, how slow it was, and whether the service level held.

Works on plain columns, so that a sweep that looks for its own end decides by the very figures that are printed later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.stats import means, quantiles, ratios, shares, slo
from bench.stats.quantiles import Floats, Interval, Ints
from bench.stats.types import Cell, Level
from bench.stats.windows import block_seconds, folded

SUSTAINED = 0.95
"""A level whose achieved share is below this is saturated."""
COLUMNS = ("target", "stage", "level", "block_id", "phase", "spoiled", "outcome", "due_ns", "sent_ns", "first_token_ns", "end_ns",
           "ttft_ms", "ttft_due_ms", "tpot_ms", "icl_max_ms", "e2e_due_ms", "e2e_all_ms", "output_tokens")  # fmt: skip
"""What is read of a row of requests.parquet."""
TEXT_COLUMNS = ("target", "phase", "outcome")

_QUANTILES = (("ttft_p50_ms", "ttft", 0.50), ("ttft_p95_ms", "ttft", 0.95), ("tpot_p50_ms", "tpot", 0.50),
              ("e2e_p95_ms", "e2e", 0.95))  # fmt: skip

Row = Mapping[str, Any]
Bools = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[Any]]
"""The columns of COLUMNS: text as objects, `spoiled` as bool, numbers as float64 with NaN for null."""


def columns(rows: Sequence[Row]) -> Columns:
    """The columns of rows; a value that is None or absent is NaN."""
    made: dict[str, npt.NDArray[Any]] = {}
    for name in COLUMNS:
        values = [row.get(name) for row in rows]
        if name in TEXT_COLUMNS:
            made[name] = np.array(values, dtype=object)
        elif name == "spoiled":
            made[name] = np.array([bool(value) for value in values], dtype=bool)
        else:
            made[name] = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return made


def levels(rows: Sequence[Row], limits: Mapping[str, Any], intervals: bool = True) -> list[Level]:
    """Every level of every target, in the order of sending. `limits` is the workload's slo, with durations in ns."""
    return levels_of(columns(rows), limits, intervals)


def levels_of(all_rows: Columns, limits: Mapping[str, Any], intervals: bool = True) -> list[Level]:
    """As `levels`, from columns. Without `intervals` the figures are the same and cost little: a search needs no more."""
    counted = np.flatnonzero((all_rows["phase"] == "measure") & ~np.isnan(all_rows["level"]))
    if len(counted) == 0:
        return []
    names, target = np.unique(all_rows["target"][counted].astype(str), return_inverse=True)
    stage = all_rows["stage"][counted].astype(np.int64)
    keys, group = np.unique(stage * len(names) + target, return_inverse=True)
    order = np.argsort(group, kind="stable")
    parts = np.split(counted[order], np.cumsum(np.bincount(group, minlength=len(keys)))[:-1])
    made = [
        _Rows({name: values[part] for name, values in all_rows.items()}, limits, intervals).level() for part in parts
    ]
    return [_scaled(one, made) for one in made]


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one target at one level. Those that our own instrument spoiled count for nothing but the throughput."""

    all: Columns
    limits: Mapping[str, Any]
    intervals: bool

    def level(self) -> Level:
        level, sound = float(self.all["level"][0]), ~self.all["spoiled"]
        opened = not math.isnan(self.all["due_ns"][0])
        ok = self.all["outcome"] == "ok"
        blocks = np.unique(self.all["block_id"][sound], return_inverse=True)[1].astype(np.int64)
        latency = {kind: values[sound] for kind, values in self._latencies(ok, opened).items()}
        failed = _share(~ok[sound], blocks, self.intervals)
        achieved = self._in_time(ok, ok) if opened else None
        cells = {
            "achieved_per_s": _times(achieved, level) if achieved else self._per_s(ok.astype(np.float64), ok),
            "achieved_share": achieved or _cell(None, "share"),
            "goodput_per_s": self._goodput(ok, level if opened else None),
            **{name: _quantile(latency[kind], blocks, p, self.intervals) for name, kind, p in _QUANTILES},
            "failed_share": failed,
        }
        met, settled = self._meets(latency, blocks, failed)
        return Level(str(self.all["target"][0]), int(self.all["stage"][0]), level, int(sound.sum()),
                     int(blocks.max()) + 1 if len(blocks) else 0, cells, met, settled)  # fmt: skip

    def _latencies(self, ok: Bools, opened: bool) -> dict[str, Floats]:
        """In ms, from the due time in an open loop, else from the first send; a failure is infinitely slow, unknown is NaN."""
        a = self.all
        if opened:
            ttft, e2e = a["ttft_due_ms"], a["e2e_due_ms"]
        else:
            ttft = np.where(np.isnan(a["ttft_ms"]), math.nan, (a["first_token_ns"] - a["sent_ns"]) / 1e6)
            e2e = a["e2e_all_ms"]
        known = {"ttft": ttft, "tpot": a["tpot_ms"], "e2e": e2e, "itl": a["icl_max_ms"]}
        return {kind: np.where(ok, values, math.inf) for kind, values in known.items()}

    def _in_time(self, ok: Bools, counted: Bools) -> Cell:
        """Share of the offered rate that came back: what counts over requests, less what replies are spread out more than the due
        times.

        Spans are taken between the 5th and the 95th percentile, so that one slow reply at the end does not look like a slow rate.
        """
        n, due, end = len(ok), self.all["due_ns"], self.all["end_ns"]
        if ok.sum() < 2:
            return _cell(float(counted.mean()), "share", n)
        spans = [np.percentile(values[ok], [5, 95]) for values in (due, end)]
        value = float(counted.mean()) / _stretch(*(span[1] - span[0] for span in spans))
        if not self.intervals:
            return _cell(value, "share", n)
        groups, count = folded(np.unique(self.all["block_id"], return_inverse=True)[1].astype(np.int64))
        resamples = ratios.resample_blocks(count, 0, 2000)
        came, sent = _sums(counted.astype(np.float64), groups, count), _sums(np.ones(n), groups, count)
        drawn = ratios.sums_ratio(came, sent, resamples)
        stretch = _stretch(*(span[1] - span[0] for span in spans))
        drawn /= np.maximum(1.0, stretch * _stretches(due[ok], end[ok], groups[ok], resamples))
        return _from(
            ratios.expanded_interval(drawn, value, count), value, n, "share", "block bootstrap, expanded percentiles"
        )

    def _per_s(self, counted: Floats, ok: Bools) -> Cell:
        """Of the rows, how many per second of the level's window: from the first send to the last reply that came."""
        n = len(counted)
        if not ok.any():
            return _cell(0.0, "requests/s", n)
        groups, count = folded(np.unique(self.all["block_id"], return_inverse=True)[1].astype(np.int64))
        seconds = block_seconds(self.all["sent_ns"], np.where(ok, self.all["end_ns"], math.nan), groups, count)
        if not seconds.sum() > 0:
            return _cell(None, "requests/s", n)
        above = _sums(counted, groups, count)
        value = float(above.sum() / seconds.sum())
        if not self.intervals:
            return _cell(value, "requests/s", n)
        drawn = ratios.sums_ratio(above, seconds, ratios.resample_blocks(count, 0, 2000))
        interval = ratios.expanded_interval(drawn, value, count)
        return _from(interval, value, n, "requests/s", "block bootstrap, expanded percentiles")

    def _goodput(self, ok: Bools, rate: float | None) -> Cell:
        """What our own instrument spoiled is in the window, and is not good."""
        asked = slo.limits_ms(self.limits)
        if not asked:
            return _cell(None, "requests/s")
        latency = self._latencies(ok, rate is not None)
        good, _ = slo.within(asked, latency, ok & ~self.all["spoiled"], self.all["output_tokens"])
        return self._per_s(good, ok) if rate is None else _times(self._in_time(ok, good > 0), rate)

    def _meets(self, latency: Mapping[str, Floats], blocks: Ints, failed: Cell) -> tuple[bool | None, bool]:
        """Whether every limit holds by the estimates; and whether the intervals settle it, one way or the other."""
        bounded: list[tuple[Cell, float]] = []
        for kind in ("ttft", "tpot", "e2e"):
            for name, limit_ns in (self.limits.get(kind) or {}).items():
                if limit_ns is not None:
                    bounded.append(
                        (_quantile(latency[kind], blocks, float(name[1:]) / 100, self.intervals), limit_ns / 1e6)
                    )
        if self.limits.get("error_rate"):
            bounded.append((failed, self.limits["error_rate"]["max"]))
        if not bounded:
            return None, False
        held = all(cell.value is not None and cell.value <= limit for cell, limit in bounded)
        if held:
            return True, all(cell.high is not None and cell.high <= limit for cell, limit in bounded)
        return False, any(cell.low is not None and cell.low > limit for cell, limit in bounded)


def _sums(values: Floats, groups: Ints, count: int) -> Floats:
    return np.bincount(groups, values, minlength=count).astype(np.float64)


def _stretch(due: float, end: float) -> float:
    return max(1.0, end / due) if due > 0 else 1.0


def _stretches(due: Floats, end: Floats, groups: Ints, resamples: ratios.Resamples) -> Floats:
    """How much more the replies are spread out than the due times, in every resample, over what they are in the sample.

    What is drawn is how far each block is from the next, by the medians of its stamps: a queue grows block by block, and drawing
    the stamps themselves would draw both ends of the same queue.
    """
    present, codes = np.unique(groups, return_inverse=True)
    if len(present) < 3:
        return np.ones(len(resamples.weights))
    sizes = np.bincount(codes)
    middle = np.cumsum(sizes) - 1 - sizes // 2
    due_steps, end_steps = (np.zeros(resamples.blocks) for _ in range(2))
    for steps, values in ((due_steps, due), (end_steps, end)):
        moved = np.diff(values[np.lexsort((values, codes))][middle])
        steps[present] = np.append(moved, moved.mean())  # after the last block there is none
    if not (due_steps.sum() > 0 and end_steps.sum() > 0):
        return np.ones(len(resamples.weights))
    drawn = ratios.sums_ratio(end_steps, due_steps, resamples)
    return np.where(np.isfinite(drawn), drawn * due_steps.sum() / end_steps.sum(), 1.0)


def _quantile(values: Floats, blocks: Ints, p: float, intervals: bool) -> Cell:
    """The order statistic: the smallest value that a share p of all do not exceed. NaN is left out."""
    known = ~np.isnan(values)
    if not known.any():
        return _cell(None, "ms")
    if not intervals:
        ordered = np.sort(values[known])
        return _cell(float(ordered[quantiles.rank(len(ordered), p) - 1]), "ms", len(ordered))
    sample = quantiles.quantile(values[known], np.unique(blocks[known], return_inverse=True)[1].astype(np.int64), p)
    return _from(sample.interval(), sample.estimate, sample.n, "ms", quantiles.METHOD)


def _share(hits: Bools, blocks: Ints, intervals: bool) -> Cell:
    if len(hits) == 0:
        return _cell(None, "share")
    values = hits.astype(np.float64)
    share = float(values.mean())
    if not intervals:
        return _cell(share, "share", len(hits))
    interval = shares.clopper_pearson(share, means.n_eff(values, [blocks]))
    return _from(interval, share, len(hits), "share", "Clopper-Pearson, n_eff by block")


def _cell(value: float | None, unit: str, n: int = 0) -> Cell:
    return Cell(value, None, None, n, None, "", unit)


def _from(interval: Interval, value: float, n: int, unit: str, method: str) -> Cell:
    return Cell(value, interval.low, interval.high, n, interval.n_eff, method, unit)


def _times(cell: Cell, factor: float) -> Cell:
    """A share of a rate as a rate."""
    value, low, high = (None if end is None else end * factor for end in (cell.value, cell.low, cell.high))
    return replace(cell, value=value, low=low, high=high, unit="requests/s")


def _scaled(one: Level, made: Sequence[Level]) -> Level:
    """In a closed loop: the throughput as a share of what as many slots would give, each as fast as at the lowest level."""
    rate = one.cells["achieved_per_s"]
    if one.cells["achieved_share"].value is not None or rate.value is None:
        return one
    lowest = min(
        (o for o in made if o.target == one.target and o.cells["achieved_per_s"].value),
        key=lambda o: (o.level, o.stage),
        default=None,
    )
    if lowest is None:
        return one
    base = lowest.cells["achieved_per_s"]
    assert base.value
    value = rate.value / (base.value * one.level / lowest.level)
    share = replace(rate, value=value, low=None, high=None, unit="share", method="")
    if one is lowest:
        share = replace(share, low=1.0, high=1.0, method="by definition")
    elif all((rate.value, rate.low, rate.high, base.low, base.high)):
        found = ratios.mover(_log_ends(base), _log_ends(rate))
        share = replace(share, low=value * math.exp(-found[0]), high=value * math.exp(found[1]),
                        method="log-MOVER of two block bootstraps")  # fmt: skip
    return replace(one, cells={**one.cells, "achieved_share": share})


def _log_ends(cell: Cell) -> tuple[float, float]:
    """How far the ends lie from the estimate, on the log scale."""
    value, low, high = cell.value or math.nan, cell.low or math.nan, cell.high or math.nan
    return math.log(value / low), math.log(high / value)
