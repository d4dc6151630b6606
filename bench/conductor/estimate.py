"""What a plan may use before it is sent: tokens, dollars and minutes of each target, as a range, and what the range rests on.

Nothing is measured yet, so every end is an assumption with its reason, and they are printed. Only `usd_dearest` guards
money: what one try at the dearest request may cost is held back against `--max-usd` while the try is in flight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from bench import registry
from bench.engine.pacing import length_ns, most_prompts
from bench.load import Load
from bench.price import book, cost
from bench.record import Case, Params, Usage
from bench.targets import Target
from bench.tokens import tokens
from bench.workload import Workload, params_of_case

FEWER_TOKENS, MORE_TOKENS = 0.85, 1.4
"""What vocabularies make of the same text, relative to the count of `bench.tokens`: the range of an estimate."""
FEWEST_BYTES_PER_TOKEN = 2
"""For what is held back: hardly any text takes more than a token for every two bytes of UTF-8."""
ADDED_BYTES = 256
"""What a door and a salt add to a prompt: roles, markers, ids."""
FIRST_TOKEN_S = (0.3, 3.0)
TOKEN_S = (0.005, 0.05)
"""How fast replies are taken to be, at the best and at the worst, where the plan does not say how long it lasts."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a target's share of the plan may use, without retries.

    `usd_most` is the bill if every reply were as long as allowed; `usd_dearest` the same of the one dearest request.
    """

    target_id: str
    requests: int
    input_tokens: int
    output_tokens_most: int
    usd_most: Decimal | None
    usd_likely: Decimal | None
    why_unknown: str | None
    usd_dearest: Decimal | None = None
    usd_low: Decimal | None = None
    usd_high: Decimal | None = None
    input_tokens_low: int | None = None
    input_tokens_high: int | None = None
    output_tokens_low: int | None = None
    output_tokens_high: int | None = None
    minutes_low: float | None = None
    minutes_high: float | None = None
    rests_on: tuple[str, ...] = ()


def of_target(target: Target, params: Params, workload: Workload, load: Load, targets: int, today: date) -> Estimate:
    """The estimate of one of so many `targets`. A price that is not known leaves every amount None, with the reason."""
    turns = len(workload.cases) / len(workload.sessions) if workload.sessions else 1
    requests = round(most_prompts(load) * turns) + load.warmup_requests
    sizes = [sum(map(tokens, _texts(case, params))) for case in workload.cases]
    mean = sum(sizes) / len(sizes)
    output_low, output_likely, output_high, said = _output(workload, target, params)
    minutes, pace = _minutes(load, requests, targets, output_low or 1, output_high)
    plain = Estimate(
        target.id, requests, round(requests * mean), requests * params.max_tokens, None, None, None,
        input_tokens_low=round(requests * mean * FEWER_TOKENS),
        input_tokens_high=round(requests * mean * MORE_TOKENS),
        output_tokens_low=None if output_low is None else round(requests * output_low),
        output_tokens_high=round(requests * output_high),
        minutes_low=minutes[0], minutes_high=minutes[1],
        rests_on=(
            f"input: words, numbers and signs counted, times {FEWER_TOKENS:g} to {MORE_TOKENS:g} as vocabularies differ",
            said, pace,
        ),
    )  # fmt: skip
    entry = book.find(target, today)
    if isinstance(entry, book.Unknown):
        return replace(plain, why_unknown=entry.reason)
    ttl = (params.cache_ttl or "5m") if params.cache_breakpoints else None

    def bill(density: float, output: float, cached: int | None) -> Decimal | None:
        """All requests at that density and length; `cached` as for one request."""
        each = [_bill(entry, n * density, output, ttl, cached) for n in sizes]
        return (
            None if None in each else sum((usd for usd in each if usd is not None), Decimal(0)) * requests / len(each)
        )

    shape = workload.spec.shape
    shared = shape.shared_prefix_tokens if shape and ttl else None
    dearest = max(_bytes(case, params) for case in workload.cases) / FEWEST_BYTES_PER_TOKEN
    if workload.sessions:  # turns may carry what was really said before, up to the limit each time
        dearest += params.max_tokens * max(case.turn for case in workload.cases)
    most = bill(MORE_TOKENS, params.max_tokens, None)
    return replace(
        plain,
        usd_most=most,
        usd_dearest=_bill(entry, dearest, params.max_tokens, ttl, None),
        usd_likely=None if output_likely is None else bill(1.0, output_likely, 0 if ttl else None),
        usd_low=None if output_low is None else bill(FEWER_TOKENS, output_low, shared or (0 if ttl else None)),
        usd_high=bill(MORE_TOKENS, output_high, None),
        why_unknown=None if most is not None else f"{entry.id} has no rate for what may be asked",
    )


def _bill(
    entry: book.PriceEntry, input_tokens: float, output_tokens: float, ttl: str | None, cached: int | None
) -> Decimal | None:
    """What one request costs. With `cached` tokens, as many are read from the cache and the rest is plain; else all of them
    are written to it, where it is asked for."""
    whole, written = math.ceil(input_tokens), math.ceil(output_tokens)
    if cached is None:
        return cost.estimate(whole, written, entry, "1h" if ttl == "1h" else "5m" if ttl else None).total
    read = min(cached, whole)
    return cost.cost(Usage(whole - read, read, 0, 0, written, 0), entry).total


def _bytes(case: Case, params: Params) -> int:
    return sum(len(text.encode()) for text in _texts(case, params)) + ADDED_BYTES


def _texts(case: Case, params: Params) -> Sequence[str]:
    """Everything of a request that is counted as input: messages, tools and the form that is asked for."""
    form = params_of_case(params, case).response_format
    said = [str(message["content"]) for message in case.messages]
    return [*said, *(json.dumps(thing, default=str) for thing in (*params.tools, form) if thing)]


def _output(workload: Workload, target: Target, params: Params) -> tuple[float | None, float | None, float, str]:
    """Output tokens of a reply: low, likely and high, and what they rest on."""
    shape = workload.spec.shape
    claims = (shape.output_tokens if shape else None) or {}
    entry = registry.lookup(target.model, target.provider)
    thinks = (
        bool(entry is not None and entry.thinking) and params.effort != "none" and params.thinking_budget_tokens != 0
    )
    if "p50" not in claims:
        return None, None, params.max_tokens, "output: the workload says nothing of it, so at most max_tokens"
    longest = max(claims, key=lambda name: float(name[1:]))
    high = params.max_tokens if thinks else min(params.max_tokens, 2 * claims[longest])
    upper = "max_tokens, since the model may think first" if thinks else f"twice the {longest} of its reference replies"
    words = f"output: half the p50, the p50 ({claims['p50']:g} tokens), and {upper}"
    return claims["p50"] / 2, claims["p50"], max(high, claims["p50"]), words


def _minutes(
    load: Load, requests: int, targets: int, output_low: float, output_high: float
) -> tuple[tuple[float | None, float | None], str]:
    """How long the load lasts: what the plan says, or what replies of assumed speed take in the slots there are."""
    whole_ns = length_ns(load)
    if whole_ns is not None and (whole_ns > 0 or not load.closed):
        minutes = round(whole_ns / 6e10, 2)
        return (minutes, minutes), "minutes: the plan's own, and the last replies come on top"
    if load.sweep is not None:
        return (None, None), "minutes: a sweep that finds its own end"
    slots = load.stages[0].concurrency or 1
    shared = 1 if load.arrangement == "lanes" else targets
    lasting = [
        min(load.timeout_ns / 1e9, first_s + tokens * token_s)
        for first_s, token_s, tokens in zip(FIRST_TOKEN_S, TOKEN_S, (output_low, output_high), strict=True)
    ]
    low, high = (round(requests * shared * seconds / slots / 60, 2) for seconds in lasting)
    words = (
        f"minutes: {slots} at a time, replies of {lasting[0]:.2g} to {lasting[1]:.2g} s (first token after {FIRST_TOKEN_S[0]:g} "
        f"to {FIRST_TOKEN_S[1]:g} s, then {TOKEN_S[0] * 1000:g} to {TOKEN_S[1] * 1000:g} ms a token: assumed)"
    )
    return (low, high), words
