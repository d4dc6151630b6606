"""The measured part of a run: from the first warm-up request to the last reply drained, on one event loop."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from bench.calibrate import Calibration, calibrate
from bench.collect import Context, record_of
from bench.engine.live import Lamp
from bench.engine.loops import Control, closed_loop, open_loop
from bench.engine.pacing import stage_prompts
from bench.engine.seat import Seat, Share, snapshots
from bench.engine.send import Lane, Policy, prepare, send
from bench.plan import Plan
from bench.record import Request
from bench.store.journal import Journal
from bench.wire.clock import Alarm, cpu_ns, now_ns
from bench.wire.http import Outgoing, Wire
from bench.wire.lag import LagMonitor
from bench.workload import Load

DURATION_REACHED = "duration reached"
WARM_SLOTS_PER_TARGET = 2
MOST_WARM = 64
REPLY_GUESS_NS = 4_000_000_000
"""How long a reply is taken to last when the concurrency of an open load is guessed, before anything was measured."""


@dataclass(slots=True)
class Measured:
    """What the measured part leaves behind, beside the journal. Plain data: a worker hands it to its conductor."""

    calibration: Calibration | None
    lamps: Mapping[str, Lamp]
    reason: str | None
    """Why the load ended early; None when it did not."""
    invalid: tuple[str, ...]
    """Why it is no measurement."""
    lag: Mapping[str, Any]
    cpu_ns: int
    wall_ns: int
    rss_mb: float
    interrupted: bool
    over_budget: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard limit in USD. `most` is what one request to a target may cost at worst; it is held back while in flight."""

    limit_usd: Decimal | None
    most_usd: Mapping[str, Decimal]


async def measure(
    plan: Plan,
    load: Load,
    lanes: Mapping[str, Lane],
    streamed: Mapping[str, bool],
    make_context: Callable[[Callable[[int, int], int], Callable[[], int | None]], Context],
    journal: Journal,
    wire: Wire,
    calibration_folder: Any,
    budget: Budget,
    progress: Callable[[dict[str, Any]], None],
    seat: Seat,
) -> Measured:
    """Runs this process's share of the plan and puts every finished request into the journal.

    The first interrupt stops sending and lets replies finish; the second one abandons what is in flight.
    """
    alarm, lag, control, purse = Alarm(), LagMonitor(), seat.control, seat.purse(budget.limit_usd)
    started_ns: int | None = None
    context = make_context(lag.max_between, lambda: started_ns)
    lamps = {target_id: Lamp(n) for target_id, n in _planned(plan, seat.share).items()}
    policy = Policy(load.timeout_ns, load.retries)
    over_budget = False

    async def sleep(seconds: float) -> None:
        await alarm.until(now_ns() + round(seconds * 1e9))

    async def build(request: Request) -> Outgoing:
        return await prepare(lanes[request.target_id], request)

    async def fire(request: Request, prepared: Outgoing) -> None:
        nonlocal over_budget
        most = budget.most_usd.get(request.target_id, Decimal(0))
        if not purse.hold(most):
            over_budget = True
            control.stop(f"the limit of ${budget.limit_usd} would be passed")
            return
        lane, lamp = lanes[request.target_id], lamps[request.target_id]
        lamp.sent += 1
        seat.sending(request.seq)
        cost = None
        try:
            done = await send(lane, request, prepared, wire, policy, sleep)
            record = record_of(done, lane, context, streamed[request.target_id])
            journal.append(record)
            cost = record["request"]["cost_usd"]
        except Exception as error:
            control.failed(error)
            lamp.done += 1
            return
        finally:
            purse.settle(most, cost)
        lamp.note(record["request"])

    calibration = None
    with seat.listening(wire.abort), quiet_gc():
        try:
            if calibration_folder is not None:
                progress({"say": "Measuring ourselves on loopback at the planned load."})
                calibration = await calibrate(streams(load, len(lanes)), wire, alarm, calibration_folder, cpu_ns)
            first = await _first_requests(plan, lanes)
            await seat.loaded()
            await _connect(first, load, seat.share, wire)
            gc.collect()
            gc.freeze()
            lag.start()
            cpu_before, wall_before = cpu_ns(), now_ns()
            ticker = asyncio.ensure_future(seat.report(lamps, alarm))
            warm = int(np.count_nonzero(plan.warmup))
            mine = seat.share.of(range(warm), len(lanes))
            if mine and not control.stopping.is_set():
                slots = min(len(mine), WARM_SLOTS_PER_TARGET * len(lanes))
                await closed_loop(map(plan.request, mine), slots, build, fire, alarm=alarm, control=control)
                await control.drain()
            started_ns = await seat.start()
            if not control.stopping.is_set():
                await _run_load(plan, load, warm, lanes, build, fire, started_ns, alarm, control, seat.share)
            await control.drain()
            ticker.cancel()
            progress({"targets": snapshots(lamps)})
        finally:
            lag.stop()
            alarm.close()
    if control.error is not None:
        raise control.error
    return Measured(
        calibration=calibration,
        lamps=lamps,
        reason=control.reason,
        invalid=tuple(control.invalid),
        lag=lag.facts(),
        cpu_ns=cpu_ns() - cpu_before,
        wall_ns=now_ns() - wall_before,
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        interrupted=seat.interrupted,
        over_budget=over_budget,
    )


async def _first_requests(plan: Plan, lanes: Mapping[str, Lane]) -> list[Outgoing]:
    """One request of every target, built and not sent: SDKs are loaded and credentials found before a request is due."""
    seqs = (np.flatnonzero(plan.target == index) for index in range(len(plan.target_ids)))
    first = [plan.request(int(found[0])) for found in seqs if len(found)]
    return [await prepare(lanes[request.target_id], request) for request in first]


async def _connect(first: Sequence[Outgoing], load: Load, share: Share, wire: Wire) -> None:
    """Opens the connections that this share of the load will need, TLS done. Nothing is sent."""
    each = share.slots(streams(load, len(first))) // (1 if load.arrangement == "lanes" and load.closed else len(first))
    for prepared in first:
        await wire.warm(prepared.origin, min(max(1, each), MOST_WARM))


async def _run_load(
    plan: Plan,
    load: Load,
    first: int,
    lanes: Mapping[str, Lane],
    build: Callable[[Request], Any],
    fire: Callable[[Request, Outgoing], Any],
    started_ns: int,
    alarm: Alarm,
    control: Control,
    share: Share,
) -> None:
    if not load.closed:
        await open_loop(
            map(plan.request, share.of(range(first, len(plan)), len(lanes))),
            build,
            fire,
            start_ns=started_ns,
            alarm=alarm,
            control=control,
            max_in_flight=load.max_in_flight,
        )
        return
    begin = first
    for stage in load.stages:
        assert stage.concurrency is not None
        end = begin + stage_prompts(stage) * len(lanes)
        seqs, slots = share.of(range(begin, end), len(lanes)), share.slots(stage.concurrency)
        clock = None
        if stage.duration_ns is not None:
            clock = alarm.call_at(now_ns() + stage.duration_ns, lambda: control.stop(DURATION_REACHED))
        if load.arrangement == "lanes":
            await asyncio.gather(
                *(
                    closed_loop(
                        (r for r in map(plan.request, seqs) if r.target_id == target_id),
                        slots,
                        build,
                        fire,
                        alarm=alarm,
                        control=control,
                    )
                    for target_id in lanes
                )
            )
        else:
            await closed_loop(map(plan.request, seqs), slots, build, fire, alarm=alarm, control=control)
        if clock is not None:
            clock.cancel()
        begin = end


def _planned(plan: Plan, share: Share) -> dict[str, int]:
    """Requests of a share by target, in the plan's order of targets."""
    seqs = share.of(range(len(plan)), len(plan.target_ids))
    counts = np.bincount(plan.target[np.asarray(seqs)], minlength=len(plan.target_ids))
    return {target_id: int(n) for target_id, n in zip(plan.target_ids, counts, strict=True)}


def streams(load: Load, n_targets: int) -> int:
    """The concurrency that the plan will probably reach."""
    if load.closed:
        most = max(stage.concurrency or 1 for stage in load.stages)
        return most * (n_targets if load.arrangement == "lanes" else 1)
    rate = max(stage.rate_per_s or 0.0 for stage in load.stages) * n_targets
    return max(1, min(load.max_in_flight, round(rate * REPLY_GUESS_NS / 1e9)))


@contextmanager
def quiet_gc() -> Iterator[None]:
    """The collector's pauses fall into the measured tail, so it rests while we measure, and what exists is set aside."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
