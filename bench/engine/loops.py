"""The two loops, side by side. Open: sends at due times, whatever happens. Closed: a new send waits for a free slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from bench.record import Request
from bench.wire.clock import Alarm, now_ns
from bench.wire.http import Outgoing

Prepare = Callable[[Request], Awaitable[Outgoing]]
Fire = Callable[[Request, Outgoing], Coroutine[Any, Any, object]]

AHEAD_NS = 2_000_000_000
"""Requests are built this long before they are due, and no longer, however far apart they are: far less than a signature or
a token's last moments live, far more than building takes."""
RAMP_NS_PER_SLOT = 3_000_000
LONGEST_RAMP_NS = 2_000_000_000


class Control:
    """What ends a load early: the caller asks, the loops obey between two sends.

    `stop` lets what is in flight finish. `reason` is for people; `invalid` says that the plan could not be kept, so that
    the run is no measurement.
    """

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.reason: str | None = None
        self.invalid: list[str] = []
        self.error: Exception | None = None
        self.trying = False
        self.overflowed = False
        self.flights: set[asyncio.Task[object]] = set()

    def stop(self, reason: str) -> None:
        if not self.stopping.is_set():
            self.reason = reason
            self.stopping.set()

    def failed(self, error: Exception) -> None:
        """Our own failure (a full disk, a bug): nothing more is sent, and the caller raises it after the drain."""
        self.error = self.error or error
        self.stop("an error of our own")

    def overflow(self, max_in_flight: int) -> None:
        """An open load met its cap: to go on would be a slower plan, so there is no going on.

        Where levels are tried, the cap is what a level that is too high comes to: it ends that level alone.
        """
        if self.trying:
            self.overflowed = True
        elif not self.stopping.is_set():
            self.invalid.append(f"max_in_flight ({max_in_flight}) was reached: the offered load could not be kept up")
            self.stop("max_in_flight reached")

    def launch(self, flight: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.ensure_future(flight)
        self.flights.add(task)
        task.add_done_callback(self.flights.discard)
        return task

    def in_flight(self) -> int:
        return len(self.flights)

    async def drain(self) -> None:
        """Waits for everything in flight. Each flight ends by its own deadline."""
        while self.flights:
            await asyncio.wait(set(self.flights))


async def open_loop(
    requests: Iterable[Request],
    prepare: Prepare,
    fire: Fire,
    *,
    start_ns: int,
    alarm: Alarm,
    control: Control,
    max_in_flight: int,
) -> None:
    """Fires every request at `start_ns + due_ns`. Never slows: at `max_in_flight` the load is stopped and called invalid."""
    ready: deque[tuple[Request, Outgoing]] = deque()
    changed = asyncio.Event()
    finished = False

    async def build() -> None:
        nonlocal finished
        try:
            for request in requests:
                assert request.due_ns is not None
                due_ns = start_ns + request.due_ns
                if due_ns - now_ns() > AHEAD_NS:
                    await alarm.until(due_ns - AHEAD_NS)
                if control.stopping.is_set():
                    return
                ready.append((request, await prepare(request)))
                changed.set()
                await asyncio.sleep(0)
        finally:
            finished = True
            changed.set()

    builder = asyncio.ensure_future(build())
    stopped = asyncio.ensure_future(control.stopping.wait())
    try:
        while True:
            while not ready and not finished and not control.stopping.is_set():
                changed.clear()
                built = asyncio.ensure_future(changed.wait())
                await asyncio.wait({built, stopped}, return_when=asyncio.FIRST_COMPLETED)
                built.cancel()
            if not ready or control.stopping.is_set():
                break
            request, prepared = ready.popleft()
            assert request.due_ns is not None
            await _until(start_ns + request.due_ns, alarm, stopped)
            if control.stopping.is_set():
                break
            if control.in_flight() >= max_in_flight:
                control.overflow(max_in_flight)
                break
            control.launch(fire(request, prepared))
    finally:
        stopped.cancel()
        builder.cancel()
        results = await asyncio.gather(builder, stopped, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


async def _until(due_ns: int, alarm: Alarm, stopped: asyncio.Future[Any]) -> None:
    """Waits until due, or until the load is stopped. Short waits take the direct way."""
    if due_ns - now_ns() < 200_000_000:
        await alarm.until(due_ns)
        return
    waiting = asyncio.ensure_future(alarm.until(due_ns))
    await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()


async def closed_loop(
    requests: Iterable[Request],
    slots: int,
    prepare: Prepare,
    fire: Fire,
    *,
    alarm: Alarm,
    control: Control,
) -> None:
    """Keeps `slots` requests in flight. The first wave is ramped, and every slot has its next request built while one flies."""
    source = iter(requests)
    ramp_ns = min(LONGEST_RAMP_NS, RAMP_NS_PER_SLOT * slots) if slots > 1 else 0
    start_ns = now_ns()
    building = asyncio.Lock()

    async def built() -> tuple[Request, Outgoing] | None:
        # One build per turn of the loop, which reads what has arrived in between: replies that end together would else
        # have all their successors built in one go, and every arrival meanwhile would share its read with the next.
        async with building:
            for request in source:
                prepared = await prepare(request)
                await asyncio.sleep(0)
                return request, prepared
        return None

    async def slot(number: int) -> None:
        following = await built()
        if ramp_ns:
            await alarm.until(start_ns + ramp_ns * number // slots)
        while following is not None and not control.stopping.is_set():
            request, prepared = following
            flight = control.launch(fire(request, prepared))
            await asyncio.sleep(0)
            following = await built()
            await asyncio.wait({flight})

    await asyncio.gather(*(slot(number) for number in range(slots)))
