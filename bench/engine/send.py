"""One planned request: whole attempts on the wire, each kept, with the retry policy around them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, wait_random_exponential

from bench.providers.base import Carrying, Provider, Splicing
from bench.providers.identity import contradicted
from bench.providers.renewal import SignInFailed
from bench.record import Attempt, Connection, Exchange, Fault, Outcome, Reply, Request, StopReason
from bench.targets import Target
from bench.wire.clock import now_ns
from bench.wire.http import Outgoing, Wire, outgoing

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
"""A provider that asks for a longer wait is not waited for: the attempt stands as the result."""

STOP_OUTCOMES: Mapping[StopReason, Outcome] = {"filtered": "filtered", "refused": "refused"}


@dataclass(frozen=True, slots=True)
class Lane:
    """A target with everything that is needed to ask it: its door, its decoder and the body of every request."""

    target: Target
    provider: Provider
    decode: Callable[[Exchange], Reply]
    body: Callable[[Request], dict[str, Any]]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """`desk` is where replies are decoded, one per turn of the event loop: replies that end together would else be decoded in
    one go, and everything that arrives meanwhile would share its read, and so its stamp, with what comes behind it."""

    timeout_ns: int
    retries: int
    desk: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False)


@dataclass(frozen=True, slots=True)
class Done:
    """A request that has ended. `attempts` are in order; the last one is the result."""

    request: Request
    attempts: tuple[Attempt, ...]

    @property
    def final(self) -> Attempt:
        return self.attempts[-1]


@dataclass(frozen=True, slots=True)
class Unbuilt(Outgoing):
    """In the place of a request that nobody could sign: it becomes a failed attempt when it is due."""

    error: SignInFailed = field(kw_only=True)


async def prepare(lane: Lane, request: Request) -> Outgoing:
    """The bytes to send, built, authenticated and signed by the official SDK; Unbuilt when the door cannot sign in."""
    try:
        return await _bytes_of(type(lane.provider))(lane.provider, lane.target, lane.body(request), lane.headers)
    except SignInFailed as error:
        return Unbuilt(("", "", 0), b"", error=error)


@lru_cache(maxsize=64)
def _bytes_of(door: type[Provider]) -> Callable[[Any, Target, dict[str, Any], Mapping[str, str]], Awaitable[Outgoing]]:
    """How requests of this door become bytes. Looked up once: a look at a protocol costs as much as building a request."""
    if issubclass(door, Carrying):
        return door.outgoing
    if issubclass(door, Splicing):
        return door.spliced

    async def whole(provider: Provider, target: Target, body: dict[str, Any], headers: Mapping[str, str]) -> Outgoing:
        return outgoing(await provider.prepare(target, body, headers))

    return whole


async def send(
    lane: Lane,
    request: Request,
    prepared: Outgoing,
    wire: Wire,
    policy: Policy,
    sleep: Callable[[float], Awaitable[None]],
    afford: Callable[[], bool] = lambda: True,
) -> Done:
    """Sends until an attempt stands: it is fine, it cannot be mended by another try, or tries are used up.

    `afford` is asked before every try but the first; when it says no, the attempt before stands.
    """
    first = await _attempt(1, lane, prepared, wire, policy)
    if policy.retries == 0 or not _again(first) or not afford():
        return Done(request, (first,))
    return await _retry(first, lane, request, wire, policy, sleep, afford)


async def _attempt(n: int, lane: Lane, prepared: Outgoing, wire: Wire, policy: Policy) -> Attempt:
    if isinstance(prepared, Unbuilt):
        return _unsent(n, lane, prepared.error)
    exchange = await wire.exchange(prepared, now_ns() + policy.timeout_ns)
    async with policy.desk:
        reply = lane.decode(exchange)
        await asyncio.sleep(0)
    fault = fault_of(lane.provider, exchange, reply) or contradicted(lane.target, exchange, reply)
    return Attempt(n, exchange, reply, fault)


def _unsent(n: int, lane: Lane, error: SignInFailed) -> Attempt:
    """The attempt that was none, because a credential had ended: other targets go on."""
    at_ns = now_ns()
    exchange = Exchange(
        sent_ns=at_ns, headers_ns=None, end_ns=at_ns, status=None, headers=(), pieces=(), connection=Connection(False)
    )  # fmt: skip
    fix = f"; {error.hint}" if error.hint else ""
    return Attempt(n, exchange, Reply(), Fault("auth", "sign_in_failed", f"{lane.target.id}: {error.message}{fix}"))


async def _retry(
    first: Attempt,
    lane: Lane,
    request: Request,
    wire: Wire,
    policy: Policy,
    sleep: Callable[[float], Awaitable[None]],
    afford: Callable[[], bool],
) -> Done:
    attempts: list[Attempt] = []
    backoff = wait_random_exponential(multiplier=FIRST_WAIT_S, max=8)

    async def once() -> Attempt:
        if not attempts:
            attempt = first
        else:
            attempt = await _attempt(len(attempts) + 1, lane, await prepare(lane, request), wire, policy)
        attempts.append(attempt)
        return attempt

    def again(attempt: Attempt) -> bool:
        if attempt is first:  # was asked for
            return True
        return _again(attempt) and (attempt.n > policy.retries or afford())

    def wait(state: RetryCallState) -> float:
        asked = attempts[-1].fault.retry_after_s if attempts[-1].fault else None
        return asked if asked is not None else backoff(state)

    def note_wait(state: RetryCallState) -> None:
        assert state.next_action is not None
        attempts[-1] = replace(attempts[-1], wait_ns=round(state.next_action.sleep * 1e9))

    retrying = AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(policy.retries + 1),
        wait=wait,
        retry=retry_if_result(again),
        before_sleep=note_wait,
        retry_error_callback=lambda state: None,
    )
    try:
        await retrying(once)
    finally:
        # What it was about to do next refers to itself, and through `attempts` to every byte of this request; the
        # garbage collector, which would find that out, rests while we measure.
        retrying.iter_state.reset()
    return Done(request, tuple(attempts))


def _again(attempt: Attempt) -> bool:
    fault = attempt.fault
    return fault is not None and fault.retryable and (fault.retry_after_s or 0) <= LONGEST_WAIT_S


def fault_of(provider: Provider, exchange: Exchange, reply: Reply) -> Fault | None:
    """Why an attempt is not ok, or None when it is.

    A 200 is not success by itself: the stream must have ended in its own words and must have said something.
    """
    if exchange.failure is not None:
        detail = exchange.failure_detail
        if exchange.failure == "timeout":
            return Fault("timeout", "timeout", detail)
        if exchange.status == 200 and exchange.pieces:
            return Fault("truncated", exchange.failure, detail, retryable=exchange.failure != "cancelled")
        return Fault(
            "transport", exchange.failure, detail, retryable=exchange.failure in ("connect", "reset", "closed", "dns")
        )
    if exchange.status != 200:
        return provider.fault(exchange.status, exchange.headers, exchange.body)
    if reply.error_body is not None:
        return provider.fault(exchange.status, exchange.headers, reply.error_body)
    if not reply.complete:
        return Fault("truncated", "no_terminal_event", "the stream ended without its terminal event", retryable=True)
    if reply.stop_reason is not None and reply.stop_reason in STOP_OUTCOMES:
        return Fault(STOP_OUTCOMES[reply.stop_reason], reply.native_stop_reason, reply.stop_detail)
    if not (reply.text or reply.tool_calls or reply.reasoning):
        if reply.stop_reason == "length":  # all of it went into thoughts that are not shown: our limit, not their fault
            return Fault(
                "truncated", reply.native_stop_reason, "max_tokens was reached before anything was said; raise it"
            )
        return Fault("server", "empty_reply", "a complete reply without any content")
    return None
