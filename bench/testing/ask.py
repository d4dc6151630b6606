"""One request through our own wire, with the most that it may cost known before it is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from bench import dialects, providers
from bench.engine.send import Lane, Policy, prepare, send
from bench.price import book, cost
from bench.record import Attempt, Case, Params, Request
from bench.targets import Target
from bench.wire.clock import SECOND_NS
from bench.wire.http import Wire

BYTES_PER_TOKEN = 1
"""No tokenizer makes more tokens than bytes, but for a few that a template adds: they are in `TEMPLATE_TOKENS`."""
TEMPLATE_TOKENS = 500


def most_usd(target: Target, params: Params, case: Case) -> Decimal | None:
    """The most that the request can cost by the price book, or None when nothing is known of its price."""
    entry = book.find(target, datetime.now(UTC).date())
    said = sum(len(str(message).encode()) for message in (*case.messages, *params.tools))
    tokens = math.ceil(said / BYTES_PER_TOKEN) + TEMPLATE_TOKENS
    ttl: Mapping[str | None, str] = {None: "5m", "5m": "5m", "1h": "1h"}
    kept = ttl[params.cache_ttl] if params.cache_breakpoints else None
    return cost.estimate(tokens, params.max_tokens, entry, "1h" if kept == "1h" else "5m" if kept else None).total


async def ask(target: Target, params: Params, case: Case, timeout_s: float = 120.0) -> Attempt:
    """Sends one request, once, and gives what came back. BenchError when it cannot be made."""
    dialect = dialects.get(target.dialect)
    provider = providers.get(target.provider)
    body = dialect.encode(case, params, target)
    lane = Lane(target, provider, dialect.decode, lambda request: body, params.extra_headers)
    request = Request(0, 0, case.id, target.id, 0, "measure", None)
    wire = Wire()
    try:
        done = await send(
            lane, request, await prepare(lane, request), wire, Policy(round(timeout_s * SECOND_NS), 0), _still
        )
    finally:
        await wire.aclose()
        await provider.close()
    return done.final


async def _still(_: float) -> None:
    """Nothing is tried again, so nothing waits."""
