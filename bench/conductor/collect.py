"""From a finished request to its stored record: the derived figures, the price, and whether our own instrument was in the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from bench.engine.send import Done, Lane
from bench.metrics import derive_row
from bench.price.cost import Cost, itemised, may_be_billed
from bench.providers import telemetry
from bench.providers.headers import kept
from bench.providers.identity import Identity, identify
from bench.record import Attempt, Reply, Usage
from bench.redact import clean_rows
from bench.targets import Target
from bench.wire.clock import Anchor

SPOILED_NS = 10_000_000
SPOILED_SHARE = 0.02
"""A row is spoiled when our own delay is above 10 ms and above this share of what was measured (its TTFT, else its E2E).

Our own delay is our lateness in sending, a send call that took long (the process was put to sleep in the middle of it),
or the lag of our loop at the moments that figures are made of: the first token and the end. A lag in between moves no
figure, since the kernel stamps what arrives while we are busy.
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What every record of a run shares. `lag_ns` gives our event loop's largest lag between two times."""

    run_id: str
    anchor: Anchor
    lag_ns: Callable[[int, int], int]
    price: Callable[[str, Usage, str | None], Cost]
    stacks: Mapping[str, str]
    start_ns: Callable[[], int | None]
    worker: int = 0


def record_of(done: Done, lane: Lane, context: Context, streamed: bool) -> dict[str, Any]:
    """Everything that is stored of one request: its row, its attempts, its arrivals and its reply."""
    target, request, final = lane.target, done.request, done.final
    exchange, reply = final.exchange, final.reply
    first = done.attempts[0]
    start_ns = context.start_ns()
    due_ns = None if request.due_ns is None or start_ns is None else start_ns + request.due_ns
    offset = context.anchor.offset

    def at(ns: int | None) -> int | None:
        return None if ns is None else offset(ns)

    first_byte_ns = exchange.pieces[0][0] if exchange.pieces else None
    derived = derive_row(
        first_sent_ns=first.exchange.sent_ns,
        final_sent_ns=exchange.sent_ns,
        due_ns=due_ns,
        headers_ns=exchange.headers_ns,
        first_byte_ns=first_byte_ns,
        content_ns=reply.content_ns,
        first_text_ns=reply.first_text_ns,
        end_ns=exchange.end_ns,
        output_tokens=reply.usage.output_tokens,
        streamed=streamed,
    )
    lag_ns = context.lag_ns(first.exchange.sent_ns if due_ns is None else due_ns, exchange.end_ns)
    known = [_Known.of(attempt, target, context) for attempt in done.attempts]
    chunks = [_chunk_row(attempt, offset) for attempt in done.attempts]
    attempts = [_attempt_row(one, offset, sum(chunk["sizes"])) for one, chunk in zip(known, chunks, strict=True)]
    usage, who, priced = reply.usage, known[-1].who, known[-1].priced
    row = {
        "run_id": context.run_id,
        "block_id": request.block_id,
        "seq": request.seq,
        "case_id": request.case_id,
        "target": target.id,
        "model": target.model,
        "provider": target.provider,
        "region": target.region,
        "dialect": target.dialect,
        "served_model": reply.served_model,
        "served_lane": who.served_lane,
        "repeat": request.repeat,
        "phase": request.phase,
        "stage": request.stage,
        "level": request.level,
        "session_id": request.session_id,
        "turn": request.turn,
        "simulated": target.simulated,
        "spoiled": is_spoiled(derived, context.lag_ns, final),
        "due_ns": at(due_ns),
        "sent_ns": at(first.exchange.sent_ns),
        "headers_ns": at(exchange.headers_ns),
        "first_byte_ns": at(first_byte_ns),
        "first_token_ns": at(reply.first_token_ns),
        "first_text_ns": at(reply.first_text_ns),
        "last_token_ns": at(reply.last_token_ns),
        "end_ns": at(exchange.end_ns),
        **derived,
        "content_events": len(reply.content_ns),
        "same_read_events": len(reply.content_ns) - len(set(reply.content_ns)),
        "outcome": outcome(final),
        "http_status": exchange.status,
        "fault_code": final.fault.code if final.fault else None,
        "attempts": len(done.attempts),
        "first_attempt_outcome": outcome(first),
        "retry_wait_ms": sum(a.wait_ns for a in done.attempts) / 1e6,
        "stop_reason": reply.stop_reason,
        "provider_request_id": who.request_id,
        "conn_reused": exchange.connection.reused,
        "loop_lag_ms": lag_ns / 1e6,
        "worker": context.worker,
        **_tokens(usage),
        "usage_source": usage.source,
        "cost_usd": priced.total,
        **itemised(usage, priced),
        "cost_retries_usd": _retries_usd(attempts[:-1]),
        "unpriced_attempts": sum(row["may_be_billed"] and row["cost_usd"] is None for row in attempts),
        "price_book": priced.entry_id,
        "client_stack": context.stacks.get(target.id),
        "region_proof": lane.provider.region_proof(target, exchange, reply),
    }
    row, said, *attempts = clean_rows([row, _reply_row(reply), *attempts])
    return {"request": row, "attempts": attempts, "chunks": chunks, "reply": said}


def outcome(attempt: Attempt) -> str:
    return attempt.fault.outcome if attempt.fault else "ok"


def is_spoiled(derived: Mapping[str, float | None], lag_ns: Callable[[int, int], int], final: Attempt) -> bool:
    """Whether our own delay is too large a part of what was measured, or we ended the attempt ourselves."""
    if final.exchange.failure == "cancelled":
        return True
    lateness_ms = derived.get("lateness_ms") or 0.0
    moments = [ns for ns in (final.reply.first_token_ns, final.exchange.end_ns) if ns is not None]
    own_ns = max(round(lateness_ms * 1e6), final.exchange.sending_ns, *(lag_ns(ns, ns) for ns in moments))
    measured_ms = derived.get("ttft_ms") or derived.get("e2e_ms")
    floor_ns = SPOILED_SHARE * measured_ms * 1e6 if measured_ms else 0
    return own_ns > max(SPOILED_NS, floor_ns)


def spent_usd(record: Mapping[str, Any], most_usd: Decimal) -> Decimal:
    """What a finished request counts for against a limit: all its attempts, at `most_usd` each where one may have been billed and
    does not say how much."""
    usd = Decimal(0)
    for row in record["attempts"]:
        unknown = most_usd if row["may_be_billed"] else Decimal(0)
        usd += row["cost_usd"] if row["cost_usd"] is not None else unknown
    return usd


def _tokens(usage: Usage) -> dict[str, int | None]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_5m_tokens": usage.cache_write_5m_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _retries_usd(earlier: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """What the attempts before the final one cost; nothing when there were none, None when one of them may have cost more."""
    known = [row["cost_usd"] for row in earlier if row["cost_usd"] is not None or row["may_be_billed"]]
    return None if None in known else sum(known, Decimal(0))


@dataclass(frozen=True, slots=True)
class _Known:
    """An attempt with who answered it, and what it cost."""

    attempt: Attempt
    who: Identity
    priced: Cost

    @classmethod
    def of(cls, attempt: Attempt, target: Target, context: Context) -> _Known:
        who = identify(target, attempt.exchange, attempt.reply)
        return cls(attempt, who, context.price(target.id, attempt.reply.usage, who.served_lane))


def _attempt_row(known: _Known, offset: Callable[[int], int], bytes_received: int) -> dict[str, Any]:
    attempt, who, priced = known.attempt, known.who, known.priced
    exchange, connection, fault = attempt.exchange, attempt.exchange.connection, attempt.fault
    limits = telemetry.read(exchange.headers)
    return {
        "attempt": attempt.n,
        "sent_ns": offset(exchange.sent_ns),
        "headers_ns": None if exchange.headers_ns is None else offset(exchange.headers_ns),
        "end_ns": offset(exchange.end_ns),
        "outcome": outcome(attempt),
        "http_status": exchange.status,
        "fault_code": fault.code if fault else None,
        "fault_message": fault.message[:500] if fault and fault.message else None,
        **limits,
        "retry_after_s": fault.retry_after_s if fault else limits["retry_after_s"],
        "wait_ms": attempt.wait_ns / 1e6,
        "provider_request_id": who.request_id,
        "headers": orjson.dumps(kept(exchange.headers), option=orjson.OPT_SORT_KEYS).decode(),
        "conn_reused": connection.reused,
        "address": connection.address,
        "dns_ms": _ms(connection.dns_ns),
        "connect_ms": _ms(connection.connect_ns),
        "tls_ms": _ms(connection.tls_ns),
        "tls_version": connection.tls_version,
        "proxy": connection.proxy,
        "bytes_received": bytes_received,
        "message_id": who.message_id,
        "fingerprint": who.fingerprint,
        "profile_scope": who.profile_scope,
        "inference_geo": who.inference_geo,
        "identity": who.verdict,
        "served_lane": who.served_lane,
        **_tokens(attempt.reply.usage),
        "cost_usd": priced.total,
        "may_be_billed": may_be_billed(outcome(attempt), exchange.status, fault.code if fault else None),
        "price_book": priced.entry_id,
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _chunk_row(attempt: Attempt, offset: Callable[[int], int]) -> dict[str, Any]:
    zero = offset(0)
    return {
        "attempt": attempt.n,
        "arrived_ns": [ns + zero for ns, _ in attempt.exchange.pieces],
        "sizes": [len(data) for _, data in attempt.exchange.pieces],
        "content_ns": [ns + zero for ns in attempt.reply.content_ns],
    }


def _reply_row(reply: Reply) -> dict[str, Any]:
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
    return {
        "text": reply.text,
        "reasoning": reply.reasoning or None,
        "tool_calls": json.dumps(calls) if calls else None,
        "stop_reason": reply.stop_reason,
        "native_stop_reason": reply.native_stop_reason,
        "message_id": reply.message_id,
    }
