"""The stages of a load, one after the other: arrivals at their due times, or a concurrency that changes over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.engine.loops import RAMP_NS_PER_SLOT, Control, Fire, Prepare, open_loop
from bench.load import Load, Stage
from bench.plan import Plan
from bench.record import Request
from bench.wire.clock import Alarm, now_ns
from bench.wire.http import Outgoing


class Share(Protocol):
    """What of a plan this process sends, and which part of the slots it fills."""

    def of(self, plan: Plan, seqs: NDArray[np.int64]) -> NDArray[np.int64]: ...

    def slots(self, slots: int) -> int: ...


def legs(load: Load, first: int = 0) -> list[range]:
    """Stages that follow each other without a pause. Levels of a sweep stand alone: each begins when all replies of the
    one before have come, so that what a level left unanswered is not measured as the next one's."""
    stages = range(first, len(load.stages))
    return [range(k, k + 1) for k in stages] if load.sweep else [stages]


async def run(
    plan: Plan,
    load: Load,
    leg: range,
    prepare: Prepare,
    fire: Fire,
    *,
    start_ns: int,
    alarm: Alarm,
    control: Control,
    share: Share,
) -> None:
    """Sends the requests of the leg's stages. Returns when the last one is on its way."""
    starts = [share.of(plan, plan.starts(k)) for k in leg]
    if not load.closed:
        await open_loop(
            (plan.request(int(seq)) for seqs in starts for seq in seqs),
            prepare,
            fire,
            start_ns=start_ns,
            alarm=alarm,
            control=control,
            max_in_flight=load.max_in_flight,
        )
        return
    stages = [load.stages[k] for k in leg]
    groups: Sequence[str | None] = plan.target_ids if load.arrangement == "lanes" else (None,)
    await asyncio.gather(
        *(
            closed_stages(
                [
                    _Closed.of(stage, _of(plan, seqs, target_id), share)
                    for stage, seqs in zip(stages, starts, strict=True)
                ],
                prepare,
                fire,
                start_ns=start_ns,
                alarm=alarm,
                control=control,
            )
            for target_id in groups
        )
    )


def _of(plan: Plan, seqs: Iterable[Any], target_id: str | None) -> Iterator[Request]:
    return (r for r in map(plan.request, map(int, seqs)) if target_id in (None, r.target_id))


@dataclass(slots=True)
class _Closed:
    """A stage of a closed loop: its requests, and how many slots are open when."""

    requests: Iterable[Request]
    slots: int
    start: float | None
    duration_ns: int | None
    begin_ns: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    dry: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, stage: Stage, requests: Iterable[Request], share: Share) -> _Closed:
        assert stage.concurrency is not None
        start = None if stage.start is None else share.slots(round(stage.start))
        return cls(iter(requests), share.slots(stage.concurrency), start, stage.duration_ns)


def window_ns(slot: int, start: float | None, slots: int, duration_ns: int | None) -> tuple[int, int | None] | None:
    """When a slot opens and closes, counted from the beginning of its stage; None for a slot that is never open.

    Flat, the first `slots` are open all the time. In a ramp slot i is open while start + (slots − start)·t/T ≥ i + 1.
    """
    if start is None or start == slots:
        return (0, duration_ns) if slot < slots else None
    assert duration_ns is not None  # a ramp has a length
    turn_ns = round(duration_ns * (slot + 1 - start) / (slots - start))
    if slot + 1 <= min(start, slots):
        return 0, duration_ns
    if slot + 1 > max(start, slots):
        return None
    return (turn_ns, duration_ns) if slots > start else (0, turn_ns)


async def closed_stages(
    stages: Sequence[_Closed],
    prepare: Prepare,
    fire: Fire,
    *,
    start_ns: int,
    alarm: Alarm,
    control: Control,
) -> None:
    """Keeps the open slots busy. A stage ends by its clock, or when its requests are used up; then the next one begins.

    A slot goes on to the next stage when its reply has come: concurrency falls no faster than replies end. Each slot has its
    next request built while one flies, and slots that open together are spread over a moment.
    """
    widest = max(max(stage.slots, round(stage.start or 0)) for stage in stages)
    stopped = asyncio.ensure_future(control.stopping.wait())

    async def wait(until_ns: int | None, *others: asyncio.Future[Any]) -> None:
        waiting = None if until_ns is None else asyncio.ensure_future(alarm.until(until_ns))
        await asyncio.wait({f for f in (waiting, stopped, *others) if f}, return_when=asyncio.FIRST_COMPLETED)
        if waiting is not None and not waiting.done():
            waiting.cancel()

    async def clock() -> None:
        begin_ns = start_ns
        for stage in stages:
            stage.begin_ns = begin_ns
            stage.begun.set()
            dry = asyncio.ensure_future(stage.dry.wait())
            end_ns = None if stage.duration_ns is None else begin_ns + stage.duration_ns
            await wait(end_ns, dry)
            begin_ns = end_ns if end_ns is not None and not dry.done() else now_ns()
            dry.cancel()

    building = asyncio.Lock()

    async def built(stage: _Closed) -> tuple[Request, Outgoing] | None:
        # One build per turn of the loop, which reads what has arrived in between: replies that end together would else
        # have all their successors built in one go, and every arrival meanwhile would share its read with the next.
        async with building:
            for request in stage.requests:
                prepared = await prepare(request)
                await asyncio.sleep(0)
                return request, prepared
        stage.dry.set()
        return None

    async def slot(number: int) -> None:
        for stage in stages:
            await stage.begun.wait()
            window = window_ns(number, stage.start, stage.slots, stage.duration_ns)
            if window is None:
                continue
            opens_ns, closes_ns = window
            if opens_ns == 0:
                opens_ns = min(number * RAMP_NS_PER_SLOT, _spread_ns(stage) * number // max(1, stage.slots))
            if control.stopping.is_set() or (closes_ns is not None and opens_ns >= closes_ns):
                continue
            following = await built(stage)
            if now_ns() < stage.begin_ns + opens_ns:
                await wait(stage.begin_ns + opens_ns)
            while following is not None and not control.stopping.is_set():
                if closes_ns is not None and now_ns() >= stage.begin_ns + closes_ns:
                    break
                request, prepared = following
                flight = control.launch(fire(request, prepared))
                await asyncio.sleep(0)
                following = await built(stage)
                await asyncio.wait({flight})

    ticking = asyncio.ensure_future(clock())
    try:
        await asyncio.gather(*(slot(number) for number in range(widest)))
    finally:
        stopped.cancel()
        ticking.cancel()
        await asyncio.gather(ticking, stopped, return_exceptions=True)


SPREAD_NS = 2_000_000_000


def _spread_ns(stage: _Closed) -> int:
    """How long slots that open together take to open: short against the stage, and two seconds at most."""
    return SPREAD_NS if stage.duration_ns is None else min(SPREAD_NS, stage.duration_ns // 10)
