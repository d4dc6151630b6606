"""The figures of one target, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from bench.metrics import BY_NAME, METRICS, PROBABILITY, plural
from bench.stats import costs, means, quantiles, ratios, shares
from bench.stats.groups import Floats, Ints, sums_of
from bench.stats.measured import Measured, codes, floats, those
from bench.stats.types import Cell
from bench.stats.windows import block_seconds, folded

if TYPE_CHECKING:
    import pandas as pd

FEW_BLOCKS = 10
BOOTSTRAP = "block bootstrap, expanded percentiles"
NO_LIMITS = "the workload's slo limits no single request"
UNJUDGED = "too short to judge, or changed by plan"
NO_LABELS = dict.fromkeys(("label_macro_f1", "label_invalid_share"), "no labels were scored")
"""Why figures that are not made of every row are unknown: those of labels, then those of the run's course."""

LATENCY: Mapping[str, tuple[str, bool]] = {
    "ttft_p50_ms": ("ttft", False), "ttft_p99_ms": ("ttft", False),
    "e2e_p50_ms": ("e2e", False), "e2e_p99_ms": ("e2e", False),
    "tpot_p50_ms": ("tpot", False), "output_tokens_per_s": ("speed", False),
    "ttft_p50_ok_ms": ("ttft", True), "ttft_p99_ok_ms": ("ttft", True),
    "e2e_p50_ok_ms": ("e2e", True), "e2e_p99_ok_ms": ("e2e", True), "tpot_p50_ok_ms": ("tpot", True),
    "ttft_p50_sent_ms": ("ttft_sent", True), "ttft_p99_sent_ms": ("ttft_sent", True),
    "e2e_p50_sent_ms": ("e2e_sent", True), "e2e_p99_sent_ms": ("e2e_sent", True),
}  # fmt: skip
"""Column of the measured frame behind each quantile, and whether it looks at successful requests only."""

_GAP_OF = {"speed": "tpot", "ttft_sent": "ttft", "e2e_sent": "e2e"}


@lru_cache(maxsize=4)
def resamples(blocks: int, seed: int) -> ratios.Resamples:
    """10,000 resamples, fewer where they would not fit 40 MB: every target with these blocks sees the same ones."""
    return ratios.resample_blocks(blocks, seed, max(1000, min(ratios.RESAMPLES, 5_000_000 // max(1, blocks))))


def cells(
    measured: Measured, from_due: bool, seed: int, steadiness: Mapping[str, Cell], limits: Mapping[str, float]
) -> dict[str, Cell]:
    """Every metric of METRICS, by name. `steadiness` holds those that are told from the run's course over time."""
    if measured.n == 0:
        return {m.name: _unknown(m.name, "nothing was measured") for m in METRICS}
    made = {name: cell(measured, name, from_due, seed, limits) for name in FIGURES}
    return completed({**made, **steadiness})


def completed(made: Mapping[str, Cell]) -> dict[str, Cell]:
    """Every metric of METRICS in their order; those that could not be made are those of labels or of the run's course."""
    return {m.name: made.get(m.name) or _unknown(m.name, NO_LABELS.get(m.name, UNJUDGED)) for m in METRICS}


def cell(measured: Measured, name: str, from_due: bool, seed: int, limits: Mapping[str, float]) -> Cell:
    """One figure by itself, of rows that there are; `measured.frame` needs no more columns than that figure reads."""
    if name in LATENCY:
        return _quantile(measured, name, *LATENCY[name])
    return _OTHERS[name](measured, from_due, seed, limits)


def _unknown(name: str, why: str) -> Cell:
    return Cell(None, None, None, 0, None, "", BY_NAME[name].unit, (why,))


def _same_read_share(measured: Measured, seed: int) -> Cell:
    name = "same_read_share"
    events, shared = floats(measured.frame, "content_events"), floats(measured.frame, "same_read_events")
    known = ~np.isnan(events) & ~np.isnan(shared)
    events, shared = np.where(known, events, 0.0), np.where(known, shared, 0.0)
    if not events.sum() > 0:
        return _unknown(name, "no content was streamed")
    blocks, count = folded(codes(measured.frame, "block"))
    cell = of_sums(shared, events, blocks, count, seed, BY_NAME[name].unit, _few(measured.blocks))
    return replace(cell, n=int(known.sum()))


def of_sums(above: Floats, below: Floats, blocks: Ints, count: int, seed: int, unit: str, warnings: list[str]) -> Cell:
    """The ratio of two sums over rows. The rows are worth what they are for the mean of above - value x below."""
    value = float(above.sum() / below.sum())
    drawn = ratios.sums_ratio(
        block_sums(above, blocks, count), block_sums(below, blocks, count), resamples(count, seed)
    )
    interval = ratios.expanded_interval(drawn, value, count)
    rest = above - value * below
    # a price per token is the same for all: what is left are no more than last digits
    rest[np.abs(rest) <= 1e-9 * max(above.max(), -above.min())] = 0.0
    effective = means.n_eff(rest, [blocks])
    return Cell(value, interval.low, interval.high, len(above), effective, BOOTSTRAP, unit, tuple(warnings))


def _few(blocks: int) -> list[str]:
    return [too_few(blocks)] if blocks < FEW_BLOCKS else []


def too_few_warnings(blocks: int) -> tuple[str, ...]:
    return tuple(_few(blocks))


def too_few(blocks: int) -> str:
    return f"too few blocks ({blocks}): below {FEW_BLOCKS}, an interval can be far off"


def _quantile(measured: Measured, name: str, column: str, ok_only: bool) -> Cell:
    gap = measured.gaps.get(_GAP_OF.get(column, column))
    known = measured.sample(column, ok_only)
    if known is None:
        return _unknown(name, gap or "no request succeeded")
    # Failures are known to be infinite, so a sample may be of failures alone.
    if measured.ok and not ok_only and not (measured.frame["ok"] & measured.frame[column].notna()).any():
        return _unknown(name, gap or "not known")
    sample = known.quantile(PROBABILITY[BY_NAME[name].statistic])
    interval = sample.interval()
    warnings = _few(sample.blocks) + ([gap] if gap else [])
    if math.isinf(sample.estimate):
        failed = 1 - measured.ok / measured.n
        warnings.append(f"{failed * 100:.1f} % of the requests failed, and this percentile is one of them")
    return Cell(sample.estimate, interval.low, interval.high, sample.n, interval.n_eff, quantiles.METHOD,
                BY_NAME[name].unit, tuple(warnings))  # fmt: skip


def _ok_share(measured: Measured, column: str, name: str) -> Cell:
    hits, blocks = floats(measured.frame, column), codes(measured.frame, "block")
    effective = means.n_eff(hits, [blocks])
    interval = shares.clopper_pearson(float(hits.mean()), effective)
    return Cell(float(hits.mean()), interval.low, interval.high, measured.n, effective,
                "Clopper-Pearson, n_eff by block", BY_NAME[name].unit, tuple(_few(measured.blocks)))  # fmt: skip


def groupings(frame: pd.DataFrame) -> list[Ints]:
    """What may make rows alike in what they answer or cost: the time block, and the source of the case."""
    return [codes(frame, "block"), codes(frame, "cluster")]


def _quality(measured: Measured, answered: bool) -> Cell:
    name = "quality_answered" if answered else "quality"
    gap, right = measured.gaps.get("right"), floats(measured.frame, "right")
    known = ~np.isnan(right) & (measured.frame["ok"].to_numpy() if answered else True)
    frame = those(measured.frame, known, "right", "ok", "block", "cluster")
    if len(frame) == 0 or (measured.ok and not bool(frame["ok"].any())):
        return _unknown(name, gap or "no request succeeded")
    right = floats(frame, "right")
    effective = means.n_eff(right, groupings(frame))
    interval = shares.wilson(float(right.mean()), effective)
    warnings = _few(measured.blocks) + ([gap] if gap else [])
    return Cell(float(right.mean()), interval.low, interval.high, len(right), effective,
                "Wilson, n_eff by case source and block", BY_NAME[name].unit, tuple(warnings))  # fmt: skip


def cost_known(measured: Measured) -> bool:
    """Whether nearly every successful request has a known cost: a mean over what happens to be known is no mean."""
    known = measured.frame["cost"].notna() & measured.frame["ok"]
    return measured.ok > 0 and int(known.sum()) >= 0.9 * measured.ok


def _cost_warnings(measured: Measured) -> list[str]:
    unknown = int((measured.frame["cost"].isna() & ~measured.frame["ok"]).sum())
    gap = measured.gaps.get("cost")
    tried = 0
    if "unpriced" in measured.frame:  # where the final try's cost is known, what is not is that of tries before it
        tried = int(measured.frame.loc[measured.frame["cost"].notna(), "unpriced"].sum())
    return [
        *([gap] if gap else []),
        *([f"cost of {plural(unknown, 'failed request')} not known, and not counted"] if unknown else []),
        *([f"cost of {plural(tried, 'earlier attempt')} not known, and not counted"] if tried else []),
    ]


def _usd_per_1k(measured: Measured) -> Cell:
    if not cost_known(measured):
        return _unknown("usd_per_1k", measured.gaps.get("cost", "no request succeeded"))
    frame = those(measured.frame, measured.frame["cost"].notna(), "cost", "block", "cluster")
    usd = floats(frame, "cost") * 1000
    interval = means.mean_interval(usd, groupings(frame))
    low = None if interval.low is None else max(0.0, interval.low)
    return Cell(float(usd.mean()), low, interval.high, len(usd), interval.n_eff, "mean, n_eff by case source and block",
                "USD", tuple(_few(measured.blocks) + _cost_warnings(measured)))  # fmt: skip


def block_sums(values: Floats, blocks: Ints, count: int) -> Floats:
    return sums_of(np.nan_to_num(values) if np.isnan(values.sum()) else values, blocks, count)


def _usd_per_correct(measured: Measured, seed: int) -> Cell:
    frame = measured.frame
    if not cost_known(measured):
        return _unknown("usd_per_correct", measured.gaps.get("cost", "no request succeeded"))
    if not bool((frame["right"].notna() & frame["ok"]).any()):
        return _unknown("usd_per_correct", measured.gaps.get("right", "no score"))
    usd, right = cost_and_right(frame)
    warnings = _few(measured.blocks) + _cost_warnings(measured)
    if right.sum() == 0:
        warnings.append("nothing was answered right")
        return Cell(math.inf, None, None, len(frame), None, "", "USD", tuple(warnings))
    return of_sums(usd, right, *folded(codes(frame, "block")), seed, "USD", warnings)


def _of_money(name: str, measured: Measured, _: bool, seed: int, limits: Mapping[str, float]) -> Cell:
    """A ratio of `bench.stats.costs`."""
    frame = measured.frame
    if not cost_known(measured):
        return _unknown(name, measured.gaps.get("cost", "no request succeeded"))
    if name == "usd_per_success" and not limits:
        return _unknown(name, NO_LIMITS)
    above, below = costs.RATIOS[name](frame)
    known = ~np.isnan(above) & ~np.isnan(below)
    if not bool((known & frame["ok"].to_numpy(dtype=bool)).any()):
        gap = measured.gaps.get("right") if name == "usd_per_success" else None
        return _unknown(name, gap or costs.UNKNOWN[name])
    above, below = np.where(known, above, 0.0), np.where(known, below, 0.0)
    warnings = _few(measured.blocks) + _cost_warnings(measured)
    if not below.sum() > 0:
        if name in costs.NOTHING:
            return _unknown(name, costs.NOTHING[name])
        return Cell(math.inf, None, None, int(known.sum()), None, "", "USD", (*warnings, costs.NO_SUCCESS))
    made = of_sums(above, below, *folded(codes(frame, "block")), seed, BY_NAME[name].unit, warnings)
    n = int(known.sum())
    return replace(made, n=n, n_eff=None if made.n_eff is None else min(made.n_eff, n))


def cost_and_right(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """Cost and rightness per request; a row of which either is unknown adds nothing to either."""
    return known_sums(floats(frame, "cost"), floats(frame, "right"))


def known_sums(cost: Floats, right: Floats) -> tuple[Floats, Floats]:
    known = ~np.isnan(cost) & ~np.isnan(right)
    if known.all():
        return cost, right
    return np.where(known, cost, 0.0), np.where(known, right, 0.0)


def _system_speed(measured: Measured, from_due: bool, seed: int) -> Cell:
    frame = measured.frame
    unknown = int((frame["ok"] & frame["output_tokens"].isna()).sum())
    if measured.ok and unknown == measured.ok:
        return _unknown("system_tokens_per_s", "no token counts were reported")
    warnings = [f"{plural(unknown, 'ok request')} without a token count"] if unknown else []
    tokens = np.where(frame["ok"], floats(frame, "output_tokens"), 0.0)
    return _per_second(measured, "system_tokens_per_s", tokens, from_due, seed, warnings)


def _goodput(measured: Measured, from_due: bool, seed: int, limits: Mapping[str, float]) -> Cell:
    if not limits:
        return _unknown("goodput_per_s", NO_LIMITS)
    warnings = [gap] if (gap := measured.gaps.get("within")) else []
    return _per_second(measured, "goodput_per_s", floats(measured.frame, "within"), from_due, seed, warnings)


def _per_second(measured: Measured, name: str, amounts: Floats, from_due: bool, seed: int, warnings: list[str]) -> Cell:
    """An amount per row over time, block by block: a block lasts from its first start to the start of the next one."""
    blocks, count = folded(codes(measured.frame, "block"))
    seconds = seconds_of(measured.frame, blocks, count, from_due)
    if not seconds.sum() > 0:
        return _unknown(name, "the measured window is empty")
    above = block_sums(amounts, blocks, count)
    value = float(above.sum() / seconds.sum())
    interval = ratios.expanded_interval(ratios.sums_ratio(above, seconds, resamples(count, seed)), value, count)
    return Cell(value, interval.low, interval.high, measured.n, None, BOOTSTRAP, BY_NAME[name].unit,
                tuple(_few(measured.blocks) + warnings))  # fmt: skip


def seconds_of(frame: pd.DataFrame, blocks: Ints, count: int, from_due: bool, side: str = "") -> Floats:
    """How long each block lasted, run by run; `side` is the suffix of the columns in a frame of pairs."""
    starts = floats(frame, f"{'due_ns' if from_due else 'sent_ns'}{side}")
    ends = floats(frame, f"end_ns{side}")
    runs = codes(frame, "run")
    if len(runs) and not runs.any():
        return block_seconds(starts, ends, blocks, count)
    seconds = np.zeros(count)
    for run in range(int(runs.max()) + 1 if len(runs) else 0):
        mine = runs == run
        seconds += block_seconds(starts[mine], ends[mine], blocks[mine], count)
    return seconds


_OTHERS: Mapping[str, Callable[[Measured, bool, int, Mapping[str, float]], Cell]] = {
    "system_tokens_per_s": lambda measured, from_due, seed, _: _system_speed(measured, from_due, seed),
    "ok_share": lambda measured, *_: _ok_share(measured, "ok", "ok_share"),
    "first_ok_share": lambda measured, *_: _ok_share(measured, "first_ok", "first_ok_share"),
    "quality": lambda measured, *_: _quality(measured, answered=False),
    "quality_answered": lambda measured, *_: _quality(measured, answered=True),
    "usd_per_1k": lambda measured, *_: _usd_per_1k(measured),
    "usd_per_correct": lambda measured, _, seed, __: _usd_per_correct(measured, seed),
    **{name: partial(_of_money, name) for name in costs.RATIOS},
    "same_read_share": lambda measured, _, seed, __: _same_read_share(measured, seed),
    "goodput_per_s": _goodput,
    "within_slo_share": lambda measured, _, __, limits: (
        _ok_share(measured, "within", "within_slo_share") if limits else _unknown("within_slo_share", NO_LIMITS)
    ),
}
FIGURES = (*LATENCY, *_OTHERS)
"""Every figure that is made of a target's rows, whatever their order in time."""
