"""A target's rate limits against the plan, before anything is sent: would the plan be throttled?

Each limit is a GCRA (generic cell rate algorithm), kept as a debt: a request adds its cost, time pays the debt back at the
limit's rate, and a request is refused when the debt would pass the burst. All in integers: equal plans get equal answers.
Pure: the plan's times and costs in, the first refusal out.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MINUTE_NS = 60_000_000_000
BURST_S = 10
"""How far a plan may run ahead of the steady rate, in seconds' worth of it, unless `limits.burst_s` says otherwise. Providers
state limits per minute and enforce them in shorter pieces (60 a minute may act as one a second); they rarely say which."""

DIMENSIONS = ("rpm", "itpm", "otpm")


@dataclass(frozen=True, slots=True)
class Rule:
    """How a provider charges its limits.

    `reserves`: max_tokens and all input are held from the start until the reply has ended; then what was not written, and
    what does not count, is given back. `counts_cached_input`: input read from the prompt cache is charged like any other.
    """

    reserves: bool = False
    counts_cached_input: bool = True


RULES: Mapping[str, Rule] = {
    "anthropic": Rule(counts_cached_input=False),
    "bedrock": Rule(reserves=True, counts_cached_input=False),
    "bedrock-mantle": Rule(reserves=True, counts_cached_input=False),
}
"""By provider. Anthropic documents that cache reads do not count on its current models; Bedrock that all input and max_tokens are
deducted at the start, and that it settles at the end. The others are charged the careful way: for all input."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request costs in each dimension. `refund` is given back `refund_after_ns` after `at_ns`."""

    at_ns: int
    cost: Mapping[str, int]
    refund: Mapping[str, int]
    refund_after_ns: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first request that the limits would not take, and how many in all."""

    dimension: str
    limit: int
    at_ns: int
    index: int
    refused: int


def asks(
    at_ns: Sequence[int],
    input_tokens: Sequence[int],
    rule: Rule,
    *,
    max_tokens: int,
    output_tokens: int,
    cached_tokens: int,
    reply_ns: int,
) -> list[Ask]:
    """The costs of requests at ascending times.

    `output_tokens` is what a reply is expected to hold, `cached_tokens` what all prompts share and the cache will hold after
    the first of them (0 without caching).
    """
    made = []
    for index, (at, tokens) in enumerate(zip(at_ns, input_tokens, strict=True)):
        cached = 0 if rule.counts_cached_input or index == 0 else min(cached_tokens, tokens)
        if rule.reserves:
            cost = {"rpm": 1, "itpm": tokens, "otpm": max(max_tokens, output_tokens)}
            refund = {"itpm": cached, "otpm": cost["otpm"] - output_tokens}
        else:
            cost = {"rpm": 1, "itpm": tokens - cached, "otpm": output_tokens}
            refund = {}
        made.append(Ask(at, cost, refund, reply_ns))
    return made


def first_refusal(plan: Sequence[Ask], limits: Mapping[str, int], burst_s: float = BURST_S) -> Refusal | None:
    """The first request that any of the limits (`rpm`, `itpm`, `otpm`, per minute) refuses; None when all are taken.

    A request is taken only if every limit takes it, and one that is refused costs nothing. The burst has room for the dearest
    request, unless that asks for more than a minute's worth: no bucket ever holds so much. Debts are in tokens × ns of a minute.
    """
    kept = [name for name in DIMENSIONS if name in limits]
    most = {name: max((ask.cost[name] for ask in plan), default=0) for name in kept}
    room = {
        name: max(round(limits[name] * burst_s * 1_000_000_000), min(most[name], limits[name]) * MINUTE_NS)
        for name in kept
    }
    debt = dict.fromkeys(kept, 0)
    refunds: list[tuple[int, int, Ask]] = []
    now_ns = 0
    refused = 0
    first: tuple[str, Ask, int] | None = None
    for index, ask in enumerate(plan):
        while refunds and refunds[0][0] <= ask.at_ns:
            back_ns, _, settled = heapq.heappop(refunds)
            for name in kept:
                debt[name] = max(0, debt[name] - (back_ns - now_ns) * limits[name])
                debt[name] = max(0, debt[name] - settled.refund.get(name, 0) * MINUTE_NS)
            now_ns = back_ns
        for name in kept:
            debt[name] = max(0, debt[name] - (ask.at_ns - now_ns) * limits[name])
        now_ns = ask.at_ns
        over = next((name for name in kept if debt[name] + ask.cost[name] * MINUTE_NS > room[name]), None)
        if over is not None:
            refused += 1
            first = first or (over, ask, index)
            continue
        for name in kept:
            debt[name] += ask.cost[name] * MINUTE_NS
        if any(ask.refund.values()):
            heapq.heappush(refunds, (ask.at_ns + ask.refund_after_ns, index, ask))
    if first is None:
        return None
    name, ask, index = first
    return Refusal(name, limits[name], ask.at_ns, index, refused)


def mean_cost(plan: Sequence[Ask]) -> dict[str, float]:
    """What a request costs on average in each dimension, after what is given back."""
    n = max(1, len(plan))
    return {name: sum(ask.cost[name] - ask.refund.get(name, 0) for ask in plan) / n for name in DIMENSIONS}
