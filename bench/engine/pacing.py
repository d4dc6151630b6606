"""Arrival processes: when each send is due. Pure, seeded, exact in number and in length.

A random process is drawn conditional on the number of arrivals, so that every run of a plan has the same count and the same
duration: given N, the times of a Poisson process are N sorted uniforms. Where the rate changes, the uniforms are put through
the inverse of the integrated rate.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.load import Burst, Load, Stage, Think
from bench.plan import Stream

Seconds = NDArray[np.floating[Any]]

CLOSED_PER_SLOT_S = 100
"""A closed stage that time alone limits is planned for this many replies a second from every slot: more than there will be."""
REPLY_GUESS_NS = 4_000_000_000
"""How long a reply is taken to last when the concurrency of an open load is guessed, before anything was measured."""
Z90 = 1.2815515655446004
"""The 90th percentile of the standard normal distribution."""


def stream(load: Load, n_targets: int, seed: int) -> Stream:
    """The schedule of prompts for a load.

    Interleaved, one process carries all targets at `n_targets` times the rate, so each is offered the stage's rate; in lanes
    every target gets the same due times, each at the full rate. In a sweep the times of every level count from its start.
    """
    prompts = tuple(stage_prompts(stage) for stage in load.stages)
    levels = tuple(stage.level for stage in load.stages)
    if load.closed:
        return Stream(sum(prompts), None, prompts, levels)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xD0E]))
    fold = n_targets if load.arrangement == "interleaved" else 1
    parts: list[Seconds] = []
    start_s = 0.0
    for stage, n in zip(load.stages, prompts, strict=True):
        length_s = stage_length_s(stage)
        if load.burst is not None:
            times = bursts(load.burst, n, fold)
        else:
            assert stage.rate_per_s is not None
            begin = stage.rate_per_s if stage.start is None else stage.start
            shares = arrivals(load.pattern, n * fold, 1.0, load.cv, rng)
            times = ramped(shares, begin, stage.rate_per_s, length_s)
        parts.append(start_s + times)
        if load.sweep is None:
            start_s += length_s
    due_ns = np.round(np.concatenate(parts) * 1e9).astype(np.int64)
    return Stream(sum(prompts), due_ns, prompts, levels)


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


def ramped(shares: Seconds, begin: float, end: float, length_s: float) -> Seconds:
    """When the given shares of all arrivals have come, at a rate that goes linearly from `begin` to `end` in `length_s`.

    The integrated rate is b·t + (e − b)·t²/2T, of T·(b + e)/2 in all. Solved for t at a share u of that, in the form that
    keeps its digits for any b and e: t = u·T·(b + e) / (b + √(b² + u·(e² − b²))).
    """
    if begin == end:
        return shares * length_s
    below = begin + np.sqrt(begin**2 + shares * (end**2 - begin**2))
    above = shares * length_s * (begin + end)
    times: Seconds = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return np.minimum(times, length_s)


def bursts(burst: Burst, prompts: int, fold: int) -> Seconds:
    """`prompts` arrivals, each `fold` times at once, in bursts of `burst.size`."""
    times: Seconds = np.repeat(np.arange(prompts) // burst.size * (burst.every_ns / 1e9), fold)
    return times


def stage_prompts(stage: Stage) -> int:
    """Prompts of a stage, at least one; with two limits the one that is reached first holds.

    A closed stage limited by time alone is planned generously and stopped by the clock.
    """
    if stage.duration_ns is None:
        assert stage.requests is not None
        return stage.requests
    if stage.rate_per_s is None:
        assert stage.concurrency is not None
        most = max(stage.concurrency, stage.start or 0) * CLOSED_PER_SLOT_S * stage.duration_ns / 1e9
        return min(max(1, round(most)), stage.requests or 2**62)
    return min(max(1, round(mean_rate(stage) * stage.duration_ns / 1e9)), stage.requests or 2**62)


def mean_rate(stage: Stage) -> float:
    """The rate of an open stage, over its length."""
    assert stage.rate_per_s is not None
    return stage.rate_per_s if stage.start is None else (stage.start + stage.rate_per_s) / 2


def stage_length_s(stage: Stage) -> float:
    """How long an open stage lasts: what it says, or what its prompts take at its rate."""
    n, rate = stage_prompts(stage), mean_rate(stage)
    if stage.duration_ns is not None and (stage.requests is None or n < stage.requests):
        return stage.duration_ns / 1e9
    return n / rate


def length_ns(load: Load) -> int | None:
    """How long the schedule lasts; None where it depends on the replies alone."""
    if load.burst is not None:
        return sum(math.ceil(stage_prompts(s) / load.burst.size) * load.burst.every_ns for s in load.stages)
    if load.sweep is not None and load.sweep.until is not None:
        return None
    total = 0
    for stage in load.stages:
        if stage.rate_per_s is not None:
            total += round(stage_length_s(stage) * 1e9)
        elif stage.duration_ns is not None:
            total += stage.duration_ns
        else:
            return None
    return total


def most_prompts(load: Load) -> int:
    """Prompts per target that the load can come to: of a sweep that finds its own levels, if all of them were doublings."""
    if load.sweep is None or load.sweep.until is None:
        return sum(stage_prompts(stage) for stage in load.stages)
    first = load.stages[0]
    return sum(stage_prompts(at_level(first, (first.level or 1.0) * 2**k)) for k in range(load.sweep.points))


def at_level(stage: Stage, level: float) -> Stage:
    """The stage of a sweep moved to another level."""
    if stage.rate_per_s is not None:
        return replace(stage, rate_per_s=level, level=level)
    return replace(stage, concurrency=round(level), level=level)


def in_order(load: Load, seed: int) -> Load:
    """A sweep's levels in the order they are sent: random, with the lowest one first, in the middle and last.

    Random, so that what changes with the hour is not read as the load's doing; the repeated lowest level shows drift, and
    what a higher level left behind.
    """
    if load.sweep is None or load.sweep.until is not None or len(load.stages) < 2:
        return load
    anchor, *others = sorted(load.stages, key=lambda stage: stage.level or 0.0)
    random.Random(f"{seed}:sweep").shuffle(others)
    half = (len(others) + 1) // 2
    middle = [anchor] if len(others) > 1 else []
    return replace(load, stages=(anchor, *others[:half], *middle, *others[half:], anchor))


def peak_streams(load: Load, n_targets: int) -> int:
    """The concurrency that the plan will probably reach, all targets together."""
    if load.closed:
        most = max(max(stage.concurrency or 1, math.ceil(stage.start or 0)) for stage in load.stages)
        return most * (n_targets if load.arrangement == "lanes" else 1)
    rate = max(max(stage.rate_per_s or 0.0, stage.start or 0.0) for stage in load.stages) * n_targets
    at_once = load.burst.size * n_targets if load.burst else 1
    return max(1, min(load.max_in_flight, max(at_once, round(rate * REPLY_GUESS_NS / 1e9))))


def think_ns(think: Think | None, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`n` pauses before turns of sessions; none at all without a distribution."""
    if think is None:
        return np.zeros(n, dtype=np.int64)
    if think.distribution == "constant":
        drawn = np.full(n, think.a_ns)
    elif think.distribution == "uniform":
        drawn = rng.uniform(think.a_ns, think.b_ns, n)
    elif think.distribution == "exponential":
        drawn = rng.exponential(think.a_ns, n)
    else:
        drawn = np.exp(rng.normal(math.log(think.a_ns), math.log(think.b_ns / think.a_ns) / Z90, n))
    return np.clip(np.round(drawn), think.min_ns, think.max_ns).astype(np.int64)


def think_rng(seed: int) -> np.random.Generator:
    """The source of think times, apart from that of arrivals: a change of one leaves the other as it was."""
    return np.random.default_rng(np.random.SeedSequence([seed, 0x7417]))
