"""Before anything is sent: what would run, what is wrong with the rest, and what it may cost."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from bench import dialects, environment, providers, redact, suites
from bench.conductor import quota
from bench.conductor.estimate import Estimate
from bench.conductor.estimate import of_target as estimate_of
from bench.engine.pacing import in_order, length_ns, stream, think_ns, think_rng
from bench.errors import CannotRun, ConfigError, Problem, all_of
from bench.load import Load, Stage, burst_stage
from bench.plan import Plan, Sessions, build
from bench.record import Params
from bench.registry.settings import effective_params, end_of_life, same_settings, without_cache
from bench.targets import Target, load_targets, read_prices
from bench.workload import Workload, load_workload, quick
from bench.yamlfile import closest

DEFAULT_TARGETS = Path("targets.yaml")


@dataclass(frozen=True, slots=True)
class Options:
    """What `bench run` was asked, one field per flag."""

    workload: Path
    targets: Path | None = None
    only: tuple[str, ...] = ()
    simulate: bool = False
    out: Path = Path("results")
    run_id: str | None = None
    resume: str | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    requests: int | None = None
    duration_ns: int | None = None
    lanes: bool = False
    quick: bool = False
    seed: int = 1
    max_usd: Decimal | None = None
    max_minutes: float | None = None
    """From the start of the program: nothing is sent later."""
    labels: tuple[tuple[str, str], ...] = ()
    calibrate: bool = True
    replies: Literal["full", "hashed", "none"] = "full"
    limits: Literal["pace", "probe", "off"] = "pace"
    baseline: str | None = None
    workers: int | None = 1
    """Processes that send; None: as many as the load needs."""
    command: str = ""
    campaign: Mapping[str, Any] | None = None
    """The campaign that this run is a block of, for the manifest."""
    prices: Path | None = None
    """The user's own price file, in place of the one that the targets name."""
    profiles: Mapping[str, Mapping[str, Any]] | None = None
    """How look-alikes behave, by target, instead of as shipped; for simulated runs alone."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A target that can run, with the settings it will be sent."""

    target: Target
    params: Params
    notes: tuple[str, ...] = ()
    degraded: frozenset[str] = frozenset()
    """Settings of the workload that its dialect does not send, which a note says; `params` is without them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run that may start."""

    options: Options
    workload: Workload
    ready: tuple[Ready, ...]
    skipped: tuple[Problem, ...]
    load: Load
    estimate: tuple[Estimate, ...]
    today: date
    limit_usd: Decimal | None
    notes: tuple[str, ...] = ()
    """What should be known before it starts, though nothing is wrong."""


def prepare(options: Options, today: date) -> Job:
    """Checks everything at once. Raises ConfigError for what is written wrongly, CannotRun when too few targets are left."""
    workload, targets = all_of(lambda: _workload(options), lambda: _targets(options))
    load = workload.load
    redact.learn_names(target.auth["env"] for target in targets if "env" in target.auth)
    ready: list[Ready] = []
    problems: list[Problem] = []
    for target in targets:
        found, entry = _check(target, workload, options, today)
        problems += found
        if not found:
            ready.append(entry)
    enough = len(ready) >= 2 or (options.only and ready)
    if not enough:
        raise _too_few(options, ready, problems)
    if options.baseline is not None and options.baseline not in [r.target.id for r in ready]:
        raise ConfigError(
            [Problem("command line", "--baseline", options.baseline, "a target that is ready"), *problems],
            "Mend it, or name another baseline.",
        )
    unequal = same_settings([(r.target, r.params) for r in ready], {r.target.id: r.degraded for r in ready})
    if unequal:
        raise ConfigError(unequal)
    estimate = tuple(estimate_of(r.target, r.params, workload, load, len(ready), today) for r in ready)
    limit_usd = options.max_usd if options.max_usd is not None else _decimal(load.budget_usd)
    if limit_usd is not None:
        unknown = [
            Problem(
                e.target_id,
                "price",
                "unknown",
                f"{e.why_unknown}; a limit in dollars needs it: price: {{input: ..., output: ...}} in USD per million tokens",
            )
            for e in estimate
            if e.usd_most is None or e.usd_dearest is None
        ]
        if unknown:
            raise ConfigError(unknown)
    job = Job(options, workload, tuple(ready), tuple(problems), load, estimate, today, limit_usd)
    astray = [] if options.simulate else environment.warnings(frozenset(r.target.provider for r in ready))
    return replace(job, notes=(*astray, *_within_limits(job)))


def _workload(options: Options) -> Workload:
    """The workload with the load that the flags make of its own."""
    if not options.workload.exists():
        by_name = next((file for file in suites.files() if file.stem == options.workload.name), None)
        if by_name is not None:
            raise ConfigError([Problem(str(options.workload), "", "", f"no such file; perhaps {by_name}")])
    workload = load_workload(options.workload)
    if options.quick:
        workload = quick(workload)
    return workload.with_load(_overridden(workload, options))


def _targets(options: Options) -> list[Target]:
    """The targets with the price file that they have: what is wrong in it is told now."""
    targets = load_targets(_targets_file(options), list(options.only) or None, providers.names())
    if options.baseline is not None and options.baseline not in (names := [target.id for target in targets]):
        want = closest(options.baseline, names) or f"one of {', '.join(names)}"
        raise ConfigError([Problem("command line", "--baseline", options.baseline, want)])
    if options.prices is not None:
        prices = read_prices(options.prices)
        targets = [replace(target, prices=prices) for target in targets]
    if files := {target.prices for target in targets if target.prices is not None}:
        from bench.price.overlay import overlay_of

        for name, text in files:
            overlay_of(name, text)
    return targets


def _within_limits(job: Job) -> tuple[str, ...]:
    """Notes on declared rate limits. Raises ConfigError for a plan that they would throttle, with the rate that would do."""
    options = job.options
    if options.limits != "pace":
        return ()

    def at_rate(rate: float) -> Load:
        return _overridden(job.workload, replace(options, request_rate=rate, concurrency=None))

    verdict = quota.check(
        job.workload,
        job.load,
        [(r.target, r.params) for r in job.ready],
        lambda load: planned(replace(job, load=load), [r.target for r in job.ready]),
        at_rate,
    )
    if verdict.problems:
        given = options.command or shlex.join(["bench", "run", str(options.workload)])
        if verdict.best_rate is None:
            hint = "No rate fits: a single request asks for more than a minute's worth."
        else:
            hint = (
                f"The highest steady rate that fits is {verdict.best_rate:g} a second for each target:\n"
                f"  {quota.command(given, verdict.best_rate)}"
            )
        raise ConfigError(verdict.problems, f"{hint}\nTo be throttled on purpose, add --limits probe.")
    return verdict.notes


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def _targets_file(options: Options) -> Path:
    if options.targets is not None:
        return options.targets
    if not DEFAULT_TARGETS.exists():
        raise ConfigError(
            [Problem(str(DEFAULT_TARGETS), "", "no such file here", "a list of targets")],
            hint="Name one with --targets FILE, or start in the folder that has targets.yaml.",
        )
    return DEFAULT_TARGETS


def _check(target: Target, workload: Workload, options: Options, today: date) -> tuple[list[Problem], Ready]:
    problems: list[Problem] = []
    override = workload.override(target.id)
    if override is not None and override.skip:
        problems.append(Problem(target.id, "", "", f"left out by the workload: {override.skip}"))
    params = workload.params_for(target.id)
    params, wrong, notes = effective_params(params, target)
    problems += wrong
    gone, ending = end_of_life(target, today)
    if gone is not None and not options.simulate:
        problems.append(gone)
    if ending is not None:
        notes.append(ending)
    provider = providers.get(target.provider)
    degraded: frozenset[str] = frozenset()
    if target.dialect not in provider.dialects:
        spoken = ", ".join(sorted(provider.dialects))
        problems.append(Problem(target.id, "dialect", target.dialect, f"one that {target.provider} speaks: {spoken}"))
    else:
        for what in _unsupported(target, params, workload):
            problems.append(
                Problem(target.id, "params", what, f"a setting that the dialect {target.dialect} can carry")
            )
        said = dialects.get(target.dialect).degraded(params)
        if said:
            notes += [f"{target.id}: {sentence}" for sentence in said]
            params, degraded = without_cache(params)
    if hasattr(provider, "refused"):  # what a server of that make does not take
        for variant in _variants(params, workload):
            problems += [problem for problem in provider.refused(target, variant) if problem not in problems]
    if not options.simulate:
        problems += provider.check(target)
    return problems, Ready(target, params, tuple(notes), degraded)


def _variants(params: Params, workload: Workload) -> list[Params]:
    """The settings as they are sent: once, or with each response format that cases bring themselves."""
    return [replace(params, response_format=form) for form in workload.response_formats] or [params]


def _unsupported(target: Target, params: Params, workload: Workload) -> list[str]:
    """What the target's dialect cannot carry, each once."""
    dialect = dialects.get(target.dialect)
    said = [what for variant in _variants(params, workload) for what in dialect.unsupported(variant)]
    return list(dict.fromkeys(said))


def _too_few(options: Options, ready: Sequence[Ready], problems: Sequence[Problem]) -> CannotRun:
    names = ", ".join(r.target.id for r in ready) or "none"
    lines = [str(p) for p in problems]
    head = f"too few targets can run: a comparison needs two, and these are ready: {names}"
    words = ["bench run", str(options.workload)]
    if options.targets:
        words += ["--targets", str(options.targets)]
    hint = (
        "To measure one target alone, name it with --only ID."
        if ready
        else "Without credentials, try the look-alike clouds:"
    )
    return CannotRun("\n".join([*lines, head]), f"{hint}\n  {' '.join([*words, '--simulate'])}")


def _overridden(workload: Workload, options: Options) -> Load:
    """The workload's load with what the command line says instead."""
    load = workload.load
    if options.limits == "probe":
        load = replace(load, retries=0)  # a 429 is what is asked for, not what is to be mended
    if options.lanes:
        load = replace(load, arrangement="lanes")
    if options.concurrency is not None and options.request_rate is not None:
        raise ConfigError([Problem("command line", "--concurrency", "both it and --request-rate", "one of the two")])
    if options.concurrency is not None:
        load = replace(load, pattern="concurrent")
    elif options.request_rate is not None:
        load = replace(load, pattern="poisson" if load.closed or load.burst else load.pattern)
    one_level = options.concurrency is not None or options.request_rate is not None
    units = len(workload.sessions) or len(workload.cases)
    if load.sweep is not None and not one_level:
        return in_order(_swept(load, units, options), options.seed)
    if one_level:
        load = replace(load, sweep=None, burst=None)
    if one_level or options.requests is not None or options.duration_ns is not None or options.quick:
        first = load.stages[0]
        requests = options.requests
        if requests is None and options.duration_ns is None:
            requests = units if options.quick else first.requests
        duration_ns = options.duration_ns if requests is None or options.duration_ns is not None else None
        if requests is None and duration_ns is None:
            duration_ns = first.duration_ns
        rate = options.request_rate if options.request_rate is not None else first.rate_per_s
        stage = Stage(
            rate_per_s=None if load.closed else rate,
            concurrency=(options.concurrency or first.concurrency or 1) if load.closed else None,
            requests=requests,
            duration_ns=duration_ns,
        )
        if load.burst is not None:
            stage = burst_stage(load.burst, requests, duration_ns)
        load = replace(load, stages=(stage,))
    return load


def _swept(load: Load, units: int, options: Options) -> Load:
    given = {"--requests": options.requests, "--duration": options.duration_ns}
    wrong = [
        Problem(
            "command line", flag, "a length for a sweep", "load.sweep.duration in the file, which holds for each level"
        )
        for flag, value in given.items()
        if value is not None
    ]
    if wrong:
        raise ConfigError(wrong, "To measure one level alone, give --request-rate or --concurrency.")
    if not options.quick:
        return load
    return replace(load, stages=tuple(s if s.requests is None else replace(s, requests=units) for s in load.stages))


def planned(job: Job, targets: Sequence[Target]) -> Plan:
    """The plan of a job: a pure function of the workload, the load, the targets and the seed."""
    workload, load, seed = job.workload, job.load, job.options.seed
    sessions = None
    if load.session is not None:
        think, rng = load.session.think, think_rng(seed)
        sessions = Sessions(workload.sessions, lambda n: think_ns(think, n, rng))
    return build(
        [case.id for case in workload.cases],
        [target.id for target in targets],
        stream(load, len(targets), seed),
        arrangement=load.arrangement,
        warmup=load.warmup_requests,
        seed=seed,
        sessions=sessions,
    )


def expected_length_ns(load: Load) -> int | None:
    return length_ns(load)
