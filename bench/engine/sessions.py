"""Sessions: users who wait for a reply, think, and go on. Sessions may arrive as they like; their turns follow each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from bench.engine.loops import Control, Prepare
from bench.engine.send import Done
from bench.load import Load
from bench.plan import Plan
from bench.record import Request
from bench.wire.clock import Alarm, now_ns
from bench.wire.http import Outgoing

Ask = Callable[[Request, Outgoing], Coroutine[Any, Any, Done | None]]
"""Sends a request; None when it was not sent, or could not be recorded."""


class Sessions:
    """Sends every turn after the first, when the reply before has ended and the think time of the plan has passed.

    A turn is due at that moment: what passes from then on until it is sent is our own lateness. Live history needs the
    reply: a session whose reply did not come ends there, and is counted in `cut` by target. Recorded history goes on.
    """

    def __init__(
        self, plan: Plan, load: Load, prepare: Prepare, ask: Ask, start_ns: int, alarm: Alarm, control: Control
    ) -> None:
        assert load.session is not None
        self._plan, self._load, self._prepare, self._ask = plan, load, prepare, ask
        self._live = load.session.history == "live"
        self._start_ns, self._alarm, self._control = start_ns, alarm, control
        self._going: set[asyncio.Task[None]] = set()
        self.cut: Counter[str] = Counter()

    async def fire(self, request: Request, prepared: Outgoing) -> None:
        """The first turn. In an open loop it returns with the first reply, so that a user who thinks is not in flight; in
        a closed one it returns with the last, so that the slot is the user's until then."""
        done = await self._ask(request, prepared)
        if done is None:
            return
        if self._load.closed:
            await self._follow(done)
            return
        task = asyncio.ensure_future(self._follow(done))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def drain(self) -> None:
        """Waits for every session to end. Raises what went wrong in one of them."""
        while self._going:
            ended, _ = await asyncio.wait(set(self._going), return_when=asyncio.FIRST_EXCEPTION)
            for task in ended:
                task.result()

    async def _follow(self, done: Done) -> None:
        replies: tuple[str, ...] = ()
        while (following := self._plan.next_turn(done.request.seq)) is not None:
            text = done.final.reply.text
            if self._live and (done.final.fault is not None or not text):
                self.cut[following.target_id] += 1
                return
            replies += (text,)
            due_ns = done.final.exchange.end_ns + (following.think_ns or 0)
            request = replace(following, due_ns=due_ns - self._start_ns, history=replies if self._live else ())
            prepared = await self._prepare(request)
            if not await self._until(due_ns):
                return
            sent = await self._sent(request, prepared)
            if sent is None:
                return
            done = sent

    async def _until(self, due_ns: int) -> bool:
        """Waits until due; False when the load was stopped meanwhile."""
        if due_ns > now_ns() and not self._control.stopping.is_set():
            waits = (self._alarm.until(due_ns), self._control.stopping.wait())
            tasks = [asyncio.ensure_future(wait) for wait in waits]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        return not self._control.stopping.is_set()

    async def _sent(self, request: Request, prepared: Outgoing) -> Done | None:
        if self._load.closed:
            return await self._ask(request, prepared)
        if self._control.in_flight() >= self._load.max_in_flight:
            self._control.overflow(self._load.max_in_flight)
            return None
        got: list[Done | None] = []

        async def flight() -> None:
            got.append(await self._ask(request, prepared))

        await asyncio.wait({self._control.launch(flight())})
        return got[0] if got else None
