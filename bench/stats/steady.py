"""Was the load in a steady state? Judged by the stored rows, per target and run: a figure of a load that was still changing
describes the change, not the target.

Four checks: a warm-up cut by MSER-5 on log latency (White 1997); Little's law; the slopes of the number in flight and of the
latency over time, with t intervals over batch means; and whether the last third finished as many requests as it started. All
are sized so that a steady run is called unsteady in at most 5 % of cases, over all checks and targets together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics import plural
from bench.stats.measured import Bools, Measured, codes, floats, those
from bench.stats.quantiles import Floats
from bench.stats.special import normal_quantile, t_quantile
from bench.stats.threads import in_threads
from bench.stats.types import Cell

FEWEST = 100
"""Fewer requests of a target than this say nothing about a trend."""
ALPHA = 0.01
"""Chance of a false word per run, shared out over targets and checks. Runs of real shapes break the assumptions a little:
simulated steady ones of 110 to 2,000 requests are called unsteady in 1 to 3 %."""
CHECKS = 5
MSER_BATCH = 5
BATCHES = (6, 20)
"""Batch means that a slope is drawn through: at least, at most."""
MEMORY = 4
"""A batch lasts this many times as long as the number in flight remembers itself: two latencies, where all are equal."""
INSTANTS = 500
LITTLE_LIMIT = 0.05
FINISHED_LIMIT = 0.02
GROWTH_LIMIT = 0.10
"""Departures below these are not worth a word, however certain."""
STEADY_PATTERNS = ("concurrent", "constant", "poisson", "gamma")


@dataclass(frozen=True, slots=True)
class Trend:
    """Relative growth over the judged window, by a straight line: 0.5 is half as much again; with its t interval."""

    growth: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Steadiness:
    """One target in one run. None where the run is too short for a check."""

    target: str
    n: int
    cut: int
    """Requests at the start that MSER-5 sets apart."""
    no_end: bool
    """MSER-5 found no end of the warm-up in the first half, and the halves do differ."""
    cold: float | None
    """Latency of the part cut off ÷ the rest, where that is certainly not 1 (geometric means)."""
    little: float | None
    """Mean number in flight ÷ (rate × mean latency)."""
    little_noise: float
    in_flight: Trend | None
    latency: Trend | None
    finished: float | None
    """Requests finished ÷ requests started in the last third."""
    finished_noise: float


def judge(targets: Sequence[Measured], manifest: Mapping[str, Any]) -> tuple[list[Steadiness], list[str]]:
    """The checks of every target and run that can be judged, and why others cannot (at most one sentence)."""
    changed = _changed_by_plan(manifest)
    if changed:
        return [], [f"{changed}: no steady state was to be expected, and none was looked for"]
    alpha = ALPHA / CHECKS / max(1, len(targets))

    def of_runs(measured: Measured) -> list[Steadiness | None]:
        runs = codes(measured.frame, "run")
        parts = (those(measured.frame, runs == run, "sent_ns", "end_ns", "ttft") for run in np.unique(runs))
        return [
            _judge(
                measured.target,
                floats(part, "sent_ns") / 1e9,
                floats(part, "end_ns") / 1e9,
                floats(part, "ttft"),
                alpha,
            )
            for part in parts
        ]

    present = [measured for measured in targets if measured.n]
    judged = in_threads(of_runs, present, sum(measured.n for measured in present))
    found = [one for ones in judged for one in ones if one is not None]
    names = [
        measured.target
        for measured, ones in zip(present, judged, strict=True)
        if any(one is None or one.little is None for one in ones)
    ]
    if not names:
        return found, []
    of_whom = "" if len(names) == len([m for m in targets if m.n]) else f": {', '.join(names)}"
    return found, [f"too short to judge whether the load was steady: that takes {FEWEST} requests per target, over some 15 "
                   f"latencies{of_whom}"]  # fmt: skip


def _changed_by_plan(manifest: Mapping[str, Any]) -> str:
    load = manifest.get("load") or {}
    stages = load.get("stages") or [{}]
    if len(stages) > 1:
        return f"the plan changes the load ({plural(len(stages), 'stage')})"
    if stages[0].get("start") is not None or load.get("pattern", "constant") not in STEADY_PATTERNS:
        return "the plan changes the load"
    if load.get("session"):
        return "turns of a session follow each other"
    if len(manifest.get("segments") or []) > 1:
        return "the run was stopped and continued"
    return ""


def _judge(target: str, start_s: Floats, end_s: Floats, ttft_ms: Floats, alpha: float) -> Steadiness | None:
    order = np.argsort(start_s, kind="stable")
    start_s, end_s, ttft_ms = start_s[order], end_s[order], ttft_ms[order]
    del order
    known = np.isfinite(start_s) & np.isfinite(end_s) & (end_s >= start_s)
    start_s, end_s, ttft_ms = _only(start_s, known), _only(end_s, known), _only(ttft_ms, known)
    stay_s = end_s - start_s
    answered = np.isfinite(ttft_ms) & (ttft_ms > 0)
    # without streaming there is no first token: the whole stay is the latency
    latency = ttft_ms if answered.mean() > 0.5 else stay_s * 1e3
    usable = np.isfinite(latency) & (latency > 0)
    log_latency = np.log(_only(latency, usable))
    del latency, ttft_ms, answered
    if len(log_latency) < FEWEST:
        return None
    cut, at_bound = mser5(log_latency)
    cold, no_end = _cold(log_latency, cut, at_bound, alpha)
    # Slots fill up at the start by themselves: the window opens when the first requests have had time to end.
    settled_s = start_s[0] + 2 * float(np.median(stay_s[: max(20, len(stay_s) // 10)]))
    begin_s, last_s = settled_s, float(start_s[-1])
    if cold is not None and cold > 1 and not no_end:
        begin_s = max(begin_s, float(_only(start_s, usable)[cut]))
    inside = start_s >= begin_s
    stays = stay_s[inside]
    if len(stays) < FEWEST / 2:
        return Steadiness(target, len(start_s), cut, no_end, cold, None, 0.0, None, None, None, 0.0)
    # How long those in flight at some moment stay on average: what an edge of the window cuts off, and how long the number
    # in flight remembers itself.
    remaining_s = _remaining_s(stays)
    batches = min(BATCHES[1], int((last_s - begin_s) / max(1e-9, MEMORY * remaining_s)))
    if cold is not None and cold < 1:
        batches = max(batches, BATCHES[0])  # it certainly became slower: a queue makes the stays long, not the load
    if batches < BATCHES[0]:
        return Steadiness(target, len(start_s), cut, no_end, cold, None, 0.0, None, None, None, 0.0)
    edges = np.linspace(begin_s, last_s, batches + 1)
    ends_s = np.sort(end_s)
    in_flight = _mean_in_flight(start_s, ends_s, edges)
    mean_in_flight = float(in_flight.mean())
    rate = len(stays) / (last_s - begin_s)
    wobble = _wobble(start_s, ends_s, begin_s, last_s)
    spread_s2 = max(0.0, float((stays**3).mean() / (3 * stays.mean())) - remaining_s**2)
    z = math.sqrt(2) * normal_quantile(1 - alpha / 2)  # two edges
    third_s = last_s - (last_s - begin_s) / 3
    started = int((start_s >= third_s).sum())
    finished = int(((end_s >= third_s) & (end_s <= last_s)).sum())
    return Steadiness(
        target=target, n=len(start_s), cut=cut, no_end=no_end, cold=cold,
        little=mean_in_flight / (rate * float(stays.mean())),
        little_noise=z * math.sqrt((wobble * remaining_s) ** 2 + mean_in_flight * spread_s2) / float(stays.sum()),
        in_flight=_trend(edges, in_flight, alpha, mean_in_flight),
        latency=_latency_trend(edges, _only(start_s, usable), log_latency, alpha),
        finished=finished / started if started else None,
        finished_noise=z * wobble / max(1, started),
    )  # fmt: skip


def _only(values: Floats, kept: Bools) -> Floats:
    """Those that are kept: the array itself where all are, for rows may be millions."""
    return values if kept.all() else values[kept]


def mser5(values: Floats) -> tuple[int, bool]:
    """How many values at the start to set apart, and whether that is the most that was tried (half of them).

    Means of five; the cut d that minimises Σ_{i>d} (z_i − mean)² ÷ (m − d)², by cumulative sums from the end.
    """
    m = len(values) // MSER_BATCH
    z = values[len(values) - m * MSER_BATCH :].reshape(m, MSER_BATCH).mean(axis=1)
    z = z - z.mean()  # differences of large sums of squares would lose digits
    kept = m - np.arange(m)
    sums, squares = np.cumsum(z[::-1])[::-1], np.cumsum((z * z)[::-1])[::-1]
    spread = (squares - sums * sums / kept) / kept**2
    most = m // 2
    d = int(np.argmin(spread[: most + 1]))
    return d * MSER_BATCH, d == most


def _cold(log_latency: Floats, cut: int, at_bound: bool, alpha: float) -> tuple[float | None, bool]:
    """How much slower the part that was cut is, where that is certain and worth a word; and whether it has no end.

    Noise is cut too: the parts are compared as batch means before anything is said.
    """
    if cut == 0:
        return None, False
    halves = len(log_latency) // 2 if at_bound else cut
    head, rest = _batch_means(log_latency[:halves]), _batch_means(log_latency[halves:])
    difference = float(head.mean() - rest.mean())
    spread = float(rest.var(ddof=1))
    noise = math.sqrt(spread / len(head) + spread / len(rest))
    # the cut was chosen to make the difference large: half of the places were tried
    tried = max(1, len(log_latency) // MSER_BATCH // 2)
    limit = t_quantile(1 - alpha / 2 / tried, len(rest) - 1)
    if abs(difference) <= max(limit * noise, math.log1p(GROWTH_LIMIT)):
        return None, False
    return math.exp(difference), at_bound


def _batch_means(values: Floats) -> Floats:
    m = max(1, len(values) // MSER_BATCH)
    sizes = np.full(m, len(values) // m)
    sizes[: len(values) % m] += 1
    sums: Floats = np.add.reduceat(values, np.concatenate([[0], np.cumsum(sizes)[:-1]]))
    means: Floats = sums / sizes
    return means


def _mean_in_flight(starts_s: Floats, ends_s: Floats, edges: Floats) -> Floats:
    """The mean number in flight between neighbouring edges: the time all requests spent there, over its length.

    Starts and ends are each in order.
    """
    # time spent before an instant, by all requests: Σ over started of (instant − start) − Σ over ended of (instant − end)
    spent = _time_since(starts_s, edges) - _time_since(ends_s, edges)
    means: Floats = np.diff(spent) / np.diff(edges)
    return means


def _time_since(moments_s: Floats, edges: Floats) -> Floats:
    """Σ over the moments before each edge of (edge − moment)."""
    before = np.searchsorted(moments_s, edges)
    sums = np.cumsum(moments_s)
    return before * edges - np.where(before > 0, sums[before - 1], 0.0)


def _remaining_s(stays_s: Floats) -> float:
    """How long one that is in flight at some moment still stays, on average; half a stay where all are equal."""
    return float((stays_s**2).mean() / (2 * stays_s.mean()))


def _wobble(starts_s: Floats, ends_s: Floats, begin_s: float, last_s: float) -> float:
    """How much the number in flight varies from instant to instant around a straight line."""
    at = np.linspace(begin_s, last_s, INSTANTS)
    counts = np.searchsorted(starts_s, at) - np.searchsorted(ends_s, at)
    x = at - at.mean()
    y = counts - counts.mean()
    return float(np.std(y - x * (x * y).sum() / (x * x).sum()))


def _latency_trend(edges: Floats, start_s: Floats, log_latency: Floats, alpha: float) -> Trend | None:
    """The trend of the geometric mean of latency, over the same spans of time."""
    of = np.searchsorted(edges, start_s, side="right") - 1
    batches = len(edges) - 1
    of[(of == batches) & (start_s == edges[-1])] = batches - 1
    inside = (of >= 0) & (of < batches)
    of, log_latency = of[inside], log_latency[inside]
    counts = np.bincount(of, minlength=batches)
    if (counts < 2).any():
        return None
    means = np.bincount(of, weights=log_latency, minlength=batches) / counts
    trend = _trend(edges, means, alpha, 1.0)
    return Trend(math.expm1(trend.growth), math.expm1(trend.low), math.expm1(trend.high))


def _trend(edges: Floats, means: Floats, alpha: float, scale: float) -> Trend:
    """Growth from the first edge to the last, in units of `scale`, with its t interval."""
    middle = (edges[:-1] + edges[1:]) / 2
    x = (middle - middle.mean()) / (edges[-1] - edges[0])
    y = means - means.mean()
    slope = float((x * y).sum() / (x * x).sum())
    free = len(x) - 2
    spread = math.sqrt(float(((y - slope * x) ** 2).sum()) / free)
    half = t_quantile(1 - alpha / 2, free) * spread / math.sqrt(float((x * x).sum()))
    return Trend(slope / scale, (slope - half) / scale, (slope + half) / scale)


# ---------------------------------------------------------------- in words and in figures


def alarms(found: Sequence[Steadiness]) -> list[str]:
    """What is wrong, in plain words; nothing where all is well."""
    said: list[str] = []
    cold = [one for one in found if one.cold is not None and not one.no_end and not _saturated(one)]
    if cold:
        most = max(one.cut for one in cold)
        who = ", ".join(f"{one.target} {_times(one.cold)}" for one in cold)
        said.append(
            f"the start differs from the rest ({who}): the first {plural(most, 'request')} of each target are no steady "
            f"state, and are in the figures; to set them aside: load: {{warmup: {{requests: {most}}}}}"
        )
    for one in found:
        said += [f"{one.target}: {what}" for what in _unsteady(one)]
    return said


def _saturated(one: Steadiness) -> bool:
    return _grew(one.in_flight) and _grew(one.latency)


def _grew(trend: Trend | None) -> bool:
    return trend is not None and trend.low > 0 and trend.growth > GROWTH_LIMIT


def _fell(trend: Trend | None) -> bool:
    return trend is not None and trend.high < 0 and trend.growth < -GROWTH_LIMIT


def _unsteady(one: Steadiness) -> list[str]:
    flight, latency = one.in_flight, one.latency
    if flight is not None and latency is not None and _saturated(one):
        return [f"it was saturated: in flight grew by {_percent(flight.growth)} and latency by {_percent(latency.growth)} "
                "over the run; the figures depend on how long it lasted"]  # fmt: skip
    if one.no_end:
        return ["no steady state: latency had not settled by half of the run"]
    said = []
    if latency is not None and (_grew(latency) or _fell(latency)):
        said.append(f"latency drifted by {_percent(latency.growth)} over the run ({_percent(latency.low)} to "
                    f"{_percent(latency.high)}): the figures are of no single state")  # fmt: skip
    if flight is not None and (_grew(flight) or _fell(flight)):
        said.append(f"in flight changed by {_percent(flight.growth)} over the run: the load was not steady")
    if one.finished is not None and one.finished < 1 - max(FINISHED_LIMIT, one.finished_noise):
        said.append(f"in the last third it finished {one.finished:.0%} of what was started: requests piled up")
    if one.little is not None and abs(one.little - 1) > LITTLE_LIMIT + one.little_noise:
        said.append(f"{one.little:.2f} × rate × latency were in flight (Little's law wants 1): what came in and what went "
                    "out did not balance")  # fmt: skip
    return said


def _times(factor: float | None) -> str:
    assert factor is not None
    return f"{factor:.1f} × as slow" if factor >= 1 else f"{1 / factor:.1f} × as fast"


def _percent(growth: float) -> str:
    return f"{growth:+.0%}".replace("-", "−")


def figures(found: Sequence[Steadiness]) -> dict[str, dict[str, Cell]]:
    """The cells of every target, by name of metric. Of several runs, the one that departs most."""
    made: dict[str, dict[str, Cell]] = {}
    for one in found:
        cells = {"steady_mser_cut": _cell(float(one.cut), one.n, "MSER-5 on log latency", "requests")}
        if one.little is not None:
            cells["steady_little"] = _cell(one.little, one.n, "mean in flight ÷ (rate × mean latency)", "ratio")
        for name, trend in (("steady_in_flight_growth", one.in_flight), ("steady_latency_growth", one.latency)):
            if trend is not None:
                method = "straight line through batch means, t interval over all checks"
                cells[name] = Cell(trend.growth, trend.low, trend.high, one.n, None, method, "growth")
        if one.finished is not None:
            cells["steady_finished"] = _cell(one.finished, one.n, "finished ÷ started, last third", "ratio")
        mine = made.setdefault(one.target, {})
        for name, cell in cells.items():
            if name not in mine or _departure(name, cell) > _departure(name, mine[name]):
                mine[name] = cell
    return made


def _cell(value: float, n: int, method: str, unit: str) -> Cell:
    return Cell(value, None, None, n, None, method, unit)


def _departure(name: str, cell: Cell) -> float:
    assert cell.value is not None
    return abs(cell.value - (1.0 if cell.unit == "ratio" else 0.0))
