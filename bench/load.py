"""The load of a workload: what may stand under `load:` in the file, its checks, and the stages that it comes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import Problem
from bench.partial import Checks
from bench.yamlfile import Duration

DEFAULT_TIMEOUT_NS = 120_000_000_000
DEFAULT_POINTS = 8
"""Levels of a sweep that looks for its own end, unless the file says how many."""
MOST_POINTS = 64


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Pattern = Literal["concurrent", "constant", "poisson", "gamma", "burst"]


class DistributionSpec(Spec):
    distribution: Literal["constant", "uniform", "exponential", "lognormal", "gamma", "empirical"]
    value: Duration | None = None
    mean: Duration | None = None
    p50: Duration | None = None
    p90: Duration | None = None
    min: Duration | None = None
    max: Duration | None = None
    file: str | None = None


class StageSpec(Spec):
    rate: Positive | None = None
    concurrency: Count | None = None
    duration: Duration | None = None
    requests: Count | None = None
    sessions: Count | None = None
    ramp: bool = False


class WarmupSpec(Spec):
    requests: Annotated[int, Field(ge=0)] | None = None
    sessions: Annotated[int, Field(ge=0)] | None = None
    duration: Duration | None = None


class BurstSpec(Spec):
    size: Count
    every: Duration


class SweepSpec(Spec):
    over: Literal["rate", "concurrency"]
    values: Annotated[list[Positive], Field(min_length=1, max_length=MOST_POINTS)] | None = None
    until: Literal["saturation", "slo"] | None = None
    start: Positive = 1.0
    points: Annotated[int, Field(ge=2, le=MOST_POINTS)] | None = None
    duration: Duration | None = None


class SessionSpec(Spec):
    think_time: DistributionSpec | None = None
    history: Literal["live", "recorded"] = "live"


class LoadSpec(Spec):
    pattern: Literal["concurrent", "constant", "poisson", "gamma", "burst", "replay", "sweep"]
    arrangement: Literal["interleaved", "lanes"] = "interleaved"
    unit: Literal["request", "session"] = "request"
    cv: Positive | None = None
    stages: Annotated[list[StageSpec], Field(min_length=1)] | None = None
    burst: BurstSpec | None = None
    time_scale: Positive | None = None
    jitter: Duration | None = None
    sweep: SweepSpec | None = None
    warmup: WarmupSpec = WarmupSpec()
    max_in_flight: Count = 256
    timeout: Duration | None = None
    retries: Annotated[int, Field(ge=0)] = 2
    tail: Literal["drain_untimed", "drain", "cut"] = "drain"
    budget_usd: Positive | None = None
    session: SessionSpec | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of load. Exactly one of `rate_per_s` and `concurrency`; `requests` is the number of prompts per target.

    Where the unit is the session, rate, concurrency and `requests` count sessions. With `start` the rate (or the concurrency)
    goes linearly from there to the stage's own. `level` is the value of a sweep that this stage measures.
    """

    rate_per_s: float | None
    concurrency: int | None
    requests: int | None
    duration_ns: int | None
    start: float | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """`size` prompts per target at once, every `every_ns`."""

    size: int
    every_ns: int

    def prompts(self, duration_ns: int) -> int:
        """Prompts per target of the bursts that begin within `duration_ns`: at 0, `every_ns`, twice that, ..."""
        return self.size * max(1, math.ceil(duration_ns / self.every_ns))

    @property
    def rate_per_s(self) -> float:
        return self.size / self.every_ns * 1e9


@dataclass(frozen=True, slots=True)
class Sweep:
    """Levels of load, each a stage of its own. With `until` the levels are found while the run goes on, at most `points`."""

    over: Literal["rate", "concurrency"]
    until: Literal["saturation", "slo"] | None
    points: int


@dataclass(frozen=True, slots=True)
class Think:
    """How long a user of a session waits between a reply and the next turn."""

    distribution: Literal["constant", "uniform", "exponential", "lognormal"]
    a_ns: float
    b_ns: float
    """Constant: a. Uniform: from a to b. Exponential: mean a. Lognormal: median a, 90th percentile b."""
    min_ns: int = 0
    max_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """Turns of a session follow each other: the next goes out when the reply has ended and the user has thought."""

    think: Think | None
    history: Literal["live", "recorded"]


@dataclass(frozen=True, slots=True)
class Load:
    pattern: Pattern
    arrangement: Literal["interleaved", "lanes"]
    stages: tuple[Stage, ...]
    cv: float | None = None
    warmup_requests: int = 0
    max_in_flight: int = 256
    timeout_ns: int = DEFAULT_TIMEOUT_NS
    retries: int = 2
    budget_usd: float | None = None
    burst: Burst | None = None
    sweep: Sweep | None = None
    session: SessionLoad | None = None

    @property
    def closed(self) -> bool:
        return self.pattern == "concurrent"


Say = Callable[[str, str, str], Problem]
"""Makes a problem of a dotted path below the file, what was got and what is wanted."""


def checks(spec: LoadSpec, has_slo: Callable[[], bool], say: Say) -> Checks:
    """What the schema allows and no load can be made of. `has_slo` is asked where it matters."""
    yield _pattern_problems(spec, has_slo, say)
    yield _session_problems(spec, say)
    for at, stage in enumerate(spec.stages or ()):
        yield _stage_problems(spec, stage, f"load.stages.{at}", say)


def _pattern_problems(spec: LoadSpec, has_slo: Callable[[], bool], say: Say) -> Iterator[Problem]:
    if spec.pattern == "replay":
        yield say("load.pattern", "replay", "concurrent, constant, poisson, gamma, burst or sweep")
    if spec.pattern == "gamma" and spec.cv is None:
        yield say("load.cv", "nothing", "the coefficient of variation of the gaps, e.g. 2.0")
    if spec.pattern == "burst":
        if spec.burst is None:
            yield say("load.burst", "nothing", "the bursts, e.g. {size: 10, every: 30s}")
        if spec.stages is not None and len(spec.stages) > 1:
            yield say("load.stages", f"{len(spec.stages)} stages", "one stage: bursts are all alike")
    elif spec.burst is not None:
        yield say("load.burst", f"bursts with pattern {spec.pattern}", "pattern: burst")
    if spec.pattern == "sweep":
        yield from _sweep_problems(spec, has_slo, say)
    elif spec.sweep is not None:
        yield say("load.sweep", f"a sweep with pattern {spec.pattern}", "pattern: sweep")


def _stage_problems(spec: LoadSpec, stage: StageSpec, path: str, say: Say) -> Iterator[Problem]:
    if spec.pattern == "concurrent" and stage.concurrency is None:
        yield say(path, "no concurrency", "concurrency, since load.pattern is concurrent, e.g. 8")
    if spec.pattern in ("constant", "poisson", "gamma") and stage.rate is None:
        yield say(path, "no rate", f"rate, since load.pattern is {spec.pattern}, e.g. 2.5")
    if spec.pattern == "burst" and (stage.rate, stage.concurrency) != (None, None):
        yield say(path, "a rate or a concurrency", "requests or duration: load.burst says how many go when")
    if stage.sessions is not None and (spec.unit != "session" or stage.requests is not None):
        yield say(f"{path}.sessions", str(stage.sessions), "requests; sessions are counted where unit is session")
    if stage.ramp and spec.pattern == "burst":
        yield say(f"{path}.ramp", "true", "false: bursts are all alike")
    elif stage.ramp and spec.pattern == "concurrent" and (stage.duration is None or stage.requests is not None):
        yield say(path, "a ramp of concurrency without a length", "duration alone, e.g. 30s")
    elif stage.ramp and stage.requests is not None and stage.duration is not None:
        yield say(path, "a ramp with both requests and duration", "one of them: the ramp gives the other")


def _sweep_problems(spec: LoadSpec, has_slo: Callable[[], bool], say: Say) -> Iterator[Problem]:
    sweep = spec.sweep
    if sweep is None:
        yield say("load.sweep", "nothing", "what to sweep, e.g. {over: rate, values: [1, 2, 4, 8], duration: 2m}")
        return
    if (sweep.values is None) == (sweep.until is None):
        got = "neither values nor until" if sweep.values is None else "both values and until"
        yield say("load.sweep", got, "values, e.g. [1, 2, 4, 8], or until: slo or saturation")
    if sweep.values is not None and sweep.points is not None:
        yield say("load.sweep.points", str(sweep.points), "no points: values say how many levels there are")
    if sweep.over == "concurrency":
        for at, value in enumerate(sweep.values or ()):
            if value != int(value):
                yield say(f"load.sweep.values.{at}", f"{value:g}", "a whole number of requests in flight")
        if sweep.start != int(sweep.start):
            yield say("load.sweep.start", f"{sweep.start:g}", "a whole number of requests in flight")
    if sweep.until == "slo" and not has_slo():
        yield say("load.sweep.until", "slo, but the workload has no slo that can be checked",
                  "limits on ttft, tpot, e2e or error_rate, e.g. slo: {ttft: {p95: 1.5s}}")  # fmt: skip
    if spec.stages is not None:
        yield say("load.stages", "stages beside a sweep", "no stages: each level of the sweep is one")
    if spec.unit == "session":
        yield say("load.unit", "session", "request: sweeps are made of single requests")
    if spec.cv is not None and sweep.over == "concurrency":
        yield say("load.cv", f"{spec.cv:g}", "no cv: in a closed loop there are no gaps to draw")


_THINK = {"constant": ("value",), "uniform": ("min", "max"), "exponential": ("mean",), "lognormal": ("p50", "p90")}


def _session_problems(spec: LoadSpec, say: Say) -> Iterator[Problem]:
    think = spec.session.think_time if spec.session else None
    if think is None:
        return
    if spec.unit != "session":
        yield say("load.session", "think time between single requests", "unit: session, and items with turns")
        return
    path = "load.session.think_time"
    if think.distribution not in _THINK:
        yield say(f"{path}.distribution", think.distribution, f"one of {', '.join(_THINK)}")
        return
    missing = [name for name in _THINK[think.distribution] if getattr(think, name) is None]
    if missing:
        yield say(path, f"{think.distribution} without {' and '.join(missing)}",
                  f"{think.distribution} with {' and '.join(_THINK[think.distribution])}")  # fmt: skip
    elif think.distribution == "lognormal" and not 0 < (think.p50 or 0) <= (think.p90 or 0):
        yield say(path, "a p90 below the p50, or a p50 of 0", "0 < p50 <= p90")
    if think.min is not None and think.max is not None and think.min > think.max:
        yield say(path, "min above max", "min <= max")


def load_of(spec: LoadSpec, n: int) -> Load:
    """The load that a checked spec describes. `n` is how many prompts (or sessions) the workload has."""
    stages = tuple(_stages(spec, n))
    return Load(
        pattern=_pattern(spec),
        arrangement=spec.arrangement,
        stages=stages,
        cv=spec.cv,
        warmup_requests=spec.warmup.requests or spec.warmup.sessions or 0,
        max_in_flight=spec.max_in_flight,
        timeout_ns=spec.timeout or DEFAULT_TIMEOUT_NS,
        retries=spec.retries,
        budget_usd=spec.budget_usd,
        burst=None if spec.burst is None else Burst(spec.burst.size, spec.burst.every),
        sweep=_sweep(spec.sweep) if spec.pattern == "sweep" else None,
        session=_session(spec) if spec.unit == "session" else None,
    )


def _pattern(spec: LoadSpec) -> Pattern:
    if spec.pattern == "sweep":
        assert spec.sweep is not None
        if spec.sweep.over == "concurrency":
            return "concurrent"
        return "poisson" if spec.cv is None else "gamma"
    assert spec.pattern != "replay"  # refused by `problems`
    return spec.pattern


def _stages(spec: LoadSpec, n: int) -> Iterator[Stage]:
    if spec.pattern == "sweep":
        assert spec.sweep is not None
        requests = n if spec.sweep.duration is None else None
        for value in sorted(set(spec.sweep.values or [spec.sweep.start])):
            yield level_stage(spec.sweep.over, value, requests, spec.sweep.duration)
        return
    before = 0.0
    for given in spec.stages or [StageSpec(concurrency=1) if spec.pattern == "concurrent" else StageSpec(rate=1.0)]:
        requests = given.requests or given.sessions
        if requests is None and given.duration is None:
            requests = n
        if spec.burst is not None:
            yield burst_stage(Burst(spec.burst.size, spec.burst.every), requests, given.duration)
            return
        start = before if given.ramp else None
        yield Stage(given.rate, given.concurrency, requests, given.duration, start)
        before = given.rate or given.concurrency or 0.0


def level_stage(over: str, level: float, requests: int | None, duration_ns: int | None) -> Stage:
    """The stage that measures one level of a sweep."""
    if over == "rate":
        return Stage(level, None, requests, duration_ns, level=level)
    return Stage(None, round(level), requests, duration_ns, level=level)


def burst_stage(burst: Burst, requests: int | None, duration_ns: int | None) -> Stage:
    """The one stage of a burst load, its number of prompts settled; with both limits the smaller one holds."""
    limits = [n for n in (requests, None if duration_ns is None else burst.prompts(duration_ns)) if n is not None]
    return Stage(burst.rate_per_s, None, min(limits), None)


def _sweep(spec: SweepSpec | None) -> Sweep:
    assert spec is not None
    return Sweep(spec.over, spec.until, spec.points or DEFAULT_POINTS)


def _session(spec: LoadSpec) -> SessionLoad:
    given = spec.session or SessionSpec()
    return SessionLoad(None if given.think_time is None else _think(given.think_time), given.history)


def _think(spec: DistributionSpec) -> Think:
    first, second, *_ = [*(float(getattr(spec, name)) for name in _THINK[spec.distribution]), 0.0]
    distribution: Any = spec.distribution
    return Think(distribution, first, second, spec.min or 0, spec.max)
