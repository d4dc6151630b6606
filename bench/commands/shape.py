"""A load in words and one line of blocks: what `bench workload check` says will be sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.engine.pacing import (
    REPLY_GUESS_NS,
    in_order,
    length_ns,
    most_prompts,
    peak_streams,
    stage_length_s,
    stage_prompts,
    stream,
)
from bench.load import Load, Stage
from bench.workload import Workload

BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 60
BESIDE_BARS = 34
"""Room for the words on the line of the bars."""
PER_COLUMN = 4
"""Fewer prompts than this in a column show the noise of the draw, not the shape."""


def lines(workload: Workload, seed: int = 1, columns: int = 100) -> Iterator[str]:
    """The stages with their counts, the length, the expected concurrency and the offered rate over time, per target.

    Lines that begin with spaces are rows of a table, the bars fit into `columns`; the rest are sentences, which may be wrapped.
    """
    load = in_order(workload.load, seed)
    unit = "sessions" if load.session else "prompts"
    yield f"load: {_name(load)}; for each target:"
    rows = [("stage", "concurrency" if load.closed else "rate", unit, "length")]
    rows += [(str(k), _level(load, stage), _count(stage), _length(load, stage)) for k, stage in enumerate(load.stages)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        yield "  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
    yield from _totals(workload, load, unit)
    if not load.closed:
        yield from _plot(load, seed, columns)


def _name(load: Load) -> str:
    kind = "closed loop" if load.closed else "open loop"
    words = [f"{load.pattern}, {kind}"]
    if load.cv is not None:
        words.append(f"cv {load.cv:g}")
    if load.burst is not None:
        words.append(f"{load.burst.size} at once every {_time(load.burst.every_ns)}")
    if load.sweep is not None:
        what = f"a sweep over {load.sweep.over}"
        words.append(what if load.sweep.until is None else f"{what} until {load.sweep.until}")
    if load.session is not None:
        words.append(f"sessions with {load.session.history} history")
    return ", ".join(words)


def _level(load: Load, stage: Stage) -> str:
    top = f"{stage.concurrency}" if load.closed else f"{stage.rate_per_s:g}/s"
    return top if stage.start is None else f"{stage.start:g} → {top}"


def _count(stage: Stage) -> str:
    timed_only = stage.rate_per_s is None and stage.requests is None
    return "as many as fit" if timed_only else f"{stage_prompts(stage):,}"


def _length(load: Load, stage: Stage) -> str:
    if load.burst is not None:
        return _time(length_ns(load))
    if stage.rate_per_s is not None:
        return _time(round(stage_length_s(stage) * 1e9))
    return "by the replies" if stage.duration_ns is None else _time(stage.duration_ns)


def _totals(workload: Workload, load: Load, unit: str) -> Iterator[str]:
    counted = all(stage.rate_per_s is not None or stage.requests is not None for stage in load.stages)
    adaptive = load.sweep is not None and load.sweep.until is not None
    said = []
    if counted:
        said.append(f"{'at most ' if adaptive else ''}{most_prompts(load):,} {unit}")
    if counted and workload.sessions:
        said.append(f"about {most_prompts(load) * len(workload.cases) / len(workload.sessions):,.0f} requests")
    length = length_ns(load)
    if length is not None:
        said.append(_time(length))
    if load.warmup_requests:
        said.append(f"{load.warmup_requests} to warm up first")
    if said:
        yield f"in all {', '.join(said)}"
    if load.closed:
        whose = "for each target" if load.arrangement == "lanes" else "for all targets together"
        yield f"in flight: at most {peak_streams(load, 1)} {whose}"
    else:
        yield (
            f"in flight: about {peak_streams(load, 1)} for each target at the busiest, if a reply takes "
            f"{REPLY_GUESS_NS / 1e9:g} s; the run ends as invalid at {load.max_in_flight} for all targets together"
        )


def _plot(load: Load, seed: int, columns: int) -> Iterator[str]:
    """The offered rate over the length of the schedule, from the due times themselves. Levels of a sweep stand side by side."""
    made = stream(load, 1, seed)
    assert made.due_ns is not None
    at_s = made.due_ns / 1e9
    if load.sweep is not None:
        begins = np.cumsum([0.0, *(stage_length_s(stage) for stage in load.stages[:-1])])
        at_s = at_s + np.repeat(begins, made.stages)
    whole_s = (length_ns(load) or round(stage_length_s(load.stages[0]) * 1e9)) / 1e9
    counts, _ = np.histogram(
        at_s, bins=max(1, min(COLUMNS, columns - BESIDE_BARS, len(at_s) // PER_COLUMN)), range=(0.0, whole_s)
    )
    top = counts.max()
    bars = "".join(BARS[round(n / top * (len(BARS) - 1))] if n else " " for n in counts)
    yield f"offered  {bars}  up to {top / (whole_s / len(counts)):.3g}/s in {_time(round(whole_s / len(counts) * 1e9))}"


def _time(ns: int | None) -> str:
    """`5m`, `1m 20s`, `250ms`: as people write it."""
    if ns is None:
        return "open"
    if ns < 1_000_000_000:
        return f"{ns / 1e6:.3g}ms"
    seconds = ns / 1e9
    hours, minutes = int(seconds // 3600), int(seconds // 60 % 60)
    rest = seconds - hours * 3600 - minutes * 60
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest:.3g}s" if rest >= 0.05 else ""]
    return " ".join(part for part in parts if part)
