"""Arrival processes: when each send is due. Pure, seeded, exact in number and in length.

A random process is drawn conditional on the number of arrivals, so that every run of a plan has the same count and the same
duration: given N, the times of a Poisson process are N sorted uniforms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan import Stream
from bench.workload import Load, Stage

Seconds = NDArray[np.floating[Any]]


def stream(load: Load, n_targets: int, seed: int) -> Stream:
    """The schedule of prompts for a load.

    Interleaved, one process carries all targets at `n_targets` times the rate, so each is offered the stage's rate; in lanes
    every target gets the same due times, each at the full rate.
    """
    prompts = [stage_prompts(stage) for stage in load.stages]
    if load.closed:
        return Stream(sum(prompts), None)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xD0E]))
    fold = n_targets if load.arrangement == "interleaved" else 1
    parts: list[Seconds] = []
    start_s = 0.0
    for stage, n in zip(load.stages, prompts, strict=True):
        assert stage.rate_per_s is not None
        length_s = n / stage.rate_per_s
        parts.append(start_s + arrivals(load.pattern, n * fold, length_s, load.cv, rng))
        start_s += length_s
    due_ns = np.round(np.concatenate(parts) * 1e9).astype(np.int64)
    return Stream(sum(prompts), due_ns)


def arrivals(pattern: str, n: int, length_s: float, cv: float | None, rng: np.random.Generator) -> Seconds:
    """`n` arrival times within `length_s`, ascending, in seconds.

    `gamma` draws gaps of shape 1/cv², so that cv = 1 is Poisson and cv > 1 is bursty, and scales them to the length.
    """
    if n == 0:
        return np.empty(0)
    if pattern == "constant":
        return np.arange(n) * (length_s / n)
    if pattern == "poisson":
        return np.sort(rng.random(n)) * length_s
    if pattern == "gamma":
        assert cv is not None
        gaps = rng.gamma(1.0 / cv**2, size=n + 1)
        times: Seconds = np.cumsum(gaps)[:n] / gaps.sum() * length_s
        return times
    raise ValueError(pattern)


def stage_prompts(stage: Stage) -> int:
    """Prompts of a stage; a closed stage limited by time alone is planned generously and stopped by the clock."""
    if stage.requests is not None:
        return stage.requests
    assert stage.duration_ns is not None
    if stage.rate_per_s is not None:
        return max(1, round(stage.rate_per_s * stage.duration_ns / 1e9))
    assert stage.concurrency is not None
    return max(1, round(stage.concurrency * 100 * stage.duration_ns / 1e9))


def length_ns(load: Load) -> int | None:
    """How long the schedule lasts; None where it depends on the replies alone."""
    total = 0
    for stage in load.stages:
        if stage.rate_per_s is not None:
            total += round(stage_prompts(stage) / stage.rate_per_s * 1e9)
        elif stage.duration_ns is not None:
            total += stage.duration_ns
        else:
            return None
    return total
