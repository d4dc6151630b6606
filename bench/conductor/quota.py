"""Rate limits that targets declare, against the plan: a plan that would be throttled is refused before it is sent."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.engine.limits import (
    BURST_S,
    DIMENSIONS,
    MINUTE_NS,
    RULES,
    Ask,
    Refusal,
    Rule,
    asks,
    first_refusal,
    mean_cost,
)
from bench.engine.pacing import REPLY_GUESS_NS, stage_length_s
from bench.errors import Problem
from bench.load import Load
from bench.plan import NO_DUE, Plan
from bench.record import Params
from bench.targets import Target
from bench.tokens import tokens
from bench.workload import Workload

WORDS = {"rpm": "requests", "itpm": "input tokens", "otpm": "output tokens"}
DIGITS = 3
BISECTIONS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problems` are limits that the plan would meet, `best_rate` the highest flat rate that would not (None: no rate)."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    best_rate: float | None = None


def check(
    workload: Workload,
    load: Load,
    targets: Sequence[tuple[Target, Params]],
    planned: Callable[[Load], Plan],
    at_rate: Callable[[float], Load],
) -> Verdict:
    """The declared limits of all targets against the plan of the load.

    Open loops are simulated, request by request. What a closed loop asks depends on the replies: it is only warned of, with
    replies taken to last `REPLY_GUESS_NS`. `planned` makes the plan of a load, `at_rate` the load at one flat rate.
    """
    limited = [(target, params) for target, params in targets if any(name in target.limits for name in DIMENSIONS)]
    if not limited:
        return Verdict()
    if load.closed:
        return Verdict(notes=tuple(_closed_notes(workload, load, limited, len(targets))))
    plan = planned(load)
    problems = []
    for target, params in limited:
        made = _asks(workload, load, plan, target, params)
        refusal = _refusal(made, target)
        if refusal is not None:
            problems.append(_problem(target, refusal, len(made)))
    if not problems:
        return Verdict()

    def fits(rate: float) -> bool:
        one = at_rate(rate)
        plan = planned(one)
        return all(_refusal(_asks(workload, one, plan, t, p), t) is None for t, p in limited)

    steady = min(
        target.limits[name] / 60 / cost
        for target, params in limited
        for name, cost in mean_cost(_asks(workload, load, plan, target, params)).items()
        if name in target.limits and cost
    )
    return Verdict(tuple(problems), best_rate=_highest(fits, steady))


def command(given: str, rate: float) -> str:
    """The same command at another rate."""
    words = shlex.split(given)
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != "--request-rate" and not word.startswith("--request-rate="):
            kept.append(word)
        skip = not skip and word == "--request-rate"
    return shlex.join([*kept, "--request-rate", f"{rate:g}"])


def fits(workload: Workload, load: Load, plan: Plan, targets: Sequence[tuple[Target, Params]]) -> bool:
    """Whether no target would refuse a request of the plan."""
    return load.closed or all(_refusal(_asks(workload, load, plan, t, p), t) is None for t, p in targets)


def _highest(fits: Callable[[float], bool], steady: float) -> float | None:
    """The highest rate that fits, rounded down. `steady` is what the limits allow on average: the place to look around."""
    low, high = steady, steady * 2
    for _ in range(12):
        if fits(low):
            break
        low, high = low / 2, low
    else:
        return None
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    for _ in range(20):
        step = 10.0 ** (math.floor(math.log10(low)) - DIGITS + 1)
        rate = round(math.floor(low / step + 1e-9) * step, 9)
        if fits(rate):
            return rate
        low = rate - step
    return None


def _refusal(made: Sequence[Ask], target: Target) -> Refusal | None:
    limits = {name: target.limits[name] for name in DIMENSIONS if name in target.limits}
    return first_refusal(made, limits, target.limits.get("burst_s", BURST_S))


def _problem(target: Target, refusal: Refusal, n: int) -> Problem:
    got = (
        f"a plan of which {refusal.refused:,} of {n:,} requests would be refused, "
        f"the first one {refusal.at_ns / 1e9:.1f} s after the start"
    )
    want = f"at most {refusal.limit:,} {WORDS[refusal.dimension]} a minute"
    return Problem(target.id, f"limits.{refusal.dimension}", got, want)


def _asks(workload: Workload, load: Load, plan: Plan, target: Target, params: Params) -> list[Ask]:
    seqs = np.flatnonzero(plan.target == plan.target_ids.index(target.id))
    at_ns = _times_ns(load, plan)[seqs]
    order = np.argsort(at_ns, kind="stable")
    tokens = _input_tokens(workload, params)
    return asks(
        [int(at) for at in at_ns[order]],
        [tokens[plan.case_ids[case]] for case in plan.case[seqs][order]],
        RULES.get(target.provider, Rule()),
        max_tokens=params.max_tokens,
        output_tokens=_output_tokens(workload, params),
        cached_tokens=_cached_tokens(workload, params),
        reply_ns=REPLY_GUESS_NS,
    )


def _times_ns(load: Load, plan: Plan) -> np.ndarray:
    """When each request of an open plan goes, if replies take `REPLY_GUESS_NS`. Warm-up is counted as of the start."""
    at_ns = np.where(plan.due_ns == NO_DUE, 0, plan.due_ns)
    if load.sweep is not None:  # every level begins when the one before has ended
        lengths = [0, *(round(stage_length_s(stage) * 1e9) + REPLY_GUESS_NS for stage in load.stages)]
        at_ns = at_ns + np.cumsum(lengths)[np.maximum(plan.stage, 0)]
    for turn in range(2, int(plan.turn.max(initial=0)) + 1):
        later = np.flatnonzero(plan.turn == turn)
        at_ns[later] = at_ns[later - 1] + REPLY_GUESS_NS + plan.think_ns[later]
    return at_ns


def _closed_notes(
    workload: Workload, load: Load, limited: Sequence[tuple[Target, Params]], n_targets: int
) -> list[str]:
    slots = max(max(stage.concurrency or 1, stage.start or 0) for stage in load.stages)
    if load.arrangement == "interleaved":
        slots /= n_targets
    notes = []
    for target, params in limited:
        tokens = sorted(_input_tokens(workload, params).values())
        rule = RULES.get(target.provider, Rule())
        made = asks(
            [0] * len(tokens),
            tokens,
            rule,
            max_tokens=params.max_tokens,
            output_tokens=_output_tokens(workload, params),
            cached_tokens=_cached_tokens(workload, params),
            reply_ns=REPLY_GUESS_NS,
        )
        for name, cost in mean_cost(made).items():
            asked = cost * slots * MINUTE_NS / REPLY_GUESS_NS
            if name in target.limits and asked > target.limits[name]:
                notes.append(
                    f"{target.id}: limits.{name}: a closed loop is not paced: with replies of {REPLY_GUESS_NS / 1e9:g} s it asks "
                    f"about {asked:,.0f} {WORDS[name]} a minute, and {target.limits[name]:,} are allowed"
                )
    return notes


def _input_tokens(workload: Workload, params: Params) -> Mapping[str, int]:
    tools = tokens(str(params.tools)) if params.tools else 0.0
    return {
        case.id: math.ceil(tools + sum(tokens(str(m["content"])) for m in case.messages)) for case in workload.cases
    }


def _output_tokens(workload: Workload, params: Params) -> int:
    """What a reply is expected to hold: what the workload says of nine replies in ten, else all that it may."""
    shape = workload.spec.shape
    said = (shape.output_tokens or {}) if shape else {}
    expected = said.get("p90", said.get("p50"))
    return params.max_tokens if expected is None else min(params.max_tokens, math.ceil(expected))


def _cached_tokens(workload: Workload, params: Params) -> int:
    shape = workload.spec.shape
    if not params.cache_breakpoints or workload.salt == "request" or shape is None:
        return 0
    return shape.shared_prefix_tokens or 0
