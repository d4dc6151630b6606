"""The measured part of a run: from the first warm-up request to the last reply drained, on one event loop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from bench.calibrate import Calibration, calibrate
from bench.collect import Context, record_of
from bench.engine.live import Lamp
from bench.engine.loops import Control, closed_loop, open_loop
from bench.engine.pacing import length_ns, stage_prompts
from bench.engine.send import Lane, Policy, prepare, send
from bench.plan import Plan
from bench.record import Request
from bench.resume import Remaining
from bench.store.journal import Journal
from bench.wire.clock import Alarm, cpu_ns, now_ns
from bench.wire.http import Outgoing, Wire
from bench.wire.lag import LagMonitor
from bench.workload import Load

DURATION_REACHED = "duration reached"
PROGRESS_NS = 500_000_000
START_DELAY_NS = 100_000_000
WARM_SLOTS_PER_TARGET = 2
MOST_WARM = 64
REPLY_GUESS_NS = 4_000_000_000
"""How long a reply is taken to last when the concurrency of an open load is guessed, before anything was measured."""


@dataclass(slots=True)
class Measured:
    """What the measured part leaves behind, beside the journal."""

    calibration: Calibration | None
    lamps: Mapping[str, Lamp]
    control: Control
    lag: Mapping[str, Any]
    cpu_ns: int
    wall_ns: int
    ended_ns: int
    interrupted: bool
    over_budget: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard limit in USD. `most` is what one request to a target may cost at worst; it is held back while in flight.

    `spent_usd` is what earlier segments of the run have cost.
    """

    limit_usd: Decimal | None
    most_usd: Mapping[str, Decimal]
    spent_usd: Decimal = Decimal(0)


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
    remaining: Remaining,
) -> Measured:
    """Runs what is left of the plan and puts every finished request into the journal.

    The first interrupt stops sending and lets replies finish; the second one abandons what is in flight.
    """
    alarm, lag, control = Alarm(), LagMonitor(), Control()
    started_ns: int | None = None
    context = make_context(lag.max_between, lambda: started_ns)
    planned = remaining.by_target(plan)
    lamps = {target_id: Lamp(planned.get(target_id, 0)) for target_id in lanes}
    policy = Policy(load.timeout_ns, load.retries)
    held = Decimal(0)
    spent = budget.spent_usd
    over_budget = False
    interrupts = 0
    closing: list[asyncio.Task[None]] = []

    left = asyncio.Event()

    async def sleep(seconds: float) -> None:
        """Until the next try; not a moment longer when what is in flight is left: the wire then refuses that try."""
        waits = [
            asyncio.ensure_future(alarm.until(now_ns() + round(seconds * 1e9))),
            asyncio.ensure_future(left.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            control.stop("interrupted")
            progress({"say": f"Stopping: {len(control.flights)} in flight will finish. Ctrl-C again to leave them."})
        else:
            left.set()
            wire.abort("interrupted by the user")
            if not closing:
                closing.append(control.launch(wire.aclose()))  # whatever is between two tries, or dialling, ends too

    async def build(request: Request) -> Outgoing:
        return await prepare(lanes[request.target_id], request)

    async def fire(request: Request, prepared: Outgoing) -> None:
        nonlocal held, spent, over_budget
        most = budget.most_usd.get(request.target_id, Decimal(0))
        if budget.limit_usd is not None and spent + held + most > budget.limit_usd:
            over_budget = True
            control.stop(f"the limit of ${budget.limit_usd} would be passed")
            return
        lane, lamp = lanes[request.target_id], lamps[request.target_id]
        held += most
        lamp.sent += 1
        try:
            journal.sent(request.seq)
            done = await send(lane, request, prepared, wire, policy, sleep)
            record = record_of(done, lane, context, streamed[request.target_id])
            journal.append(record)
        except Exception as error:
            control.failed(error)
            return
        finally:
            held -= most
            lamp.done += 1
        row = record["request"]
        if row["cost_usd"] is not None:
            spent += row["cost_usd"]
            lamp.spent_usd += row["cost_usd"]
        lamp.retries += row["attempts"] - 1
        if row["outcome"] == "ok":
            if row["ttft_ms"] is not None:
                lamp.ttft_ms.add(row["ttft_ms"])
        else:
            lamp.failed += 1

    calibration = None
    with _signals(interrupt), _quiet_gc():
        lag.start()
        try:
            if calibration_folder is not None and any(planned.values()):
                progress({"say": "Measuring ourselves on loopback at the planned load."})
                calibration = await calibrate(_streams(load, len(lanes)), wire, alarm, calibration_folder, cpu_ns)
                journal.note({"calibration": calibration.as_dict()})
            await _make_ready(plan, load, lanes, wire, planned)
            gc.collect()
            gc.freeze()
            cpu_before, wall_before = cpu_ns(), now_ns()
            skipped_ns = remaining.first_due_ns(plan)
            whole_ns = length_ns(load)
            ticker = asyncio.ensure_future(
                _tick(progress, lamps, alarm, None if whole_ns is None else whole_ns - skipped_ns)
            )
            first = int(np.count_nonzero(plan.warmup))
            warm = remaining.of(range(first))
            if warm and not control.stopping.is_set():
                slots = min(len(warm), WARM_SLOTS_PER_TARGET * len(lanes))
                await closed_loop(map(plan.request, warm), slots, build, fire, alarm=alarm, control=control)
                await control.drain()
            started_ns = now_ns() + START_DELAY_NS - skipped_ns
            if not control.stopping.is_set():
                await _run_load(plan, load, first, lanes, build, fire, started_ns, alarm, control, remaining)
            await control.drain()
            ended_ns = now_ns()
            ticker.cancel()
            progress({"targets": {t: lamp.snapshot() for t, lamp in lamps.items()}})
        finally:
            lag.stop()
            alarm.close()
    if control.error is not None:
        raise control.error
    return Measured(
        calibration=calibration,
        lamps=lamps,
        control=control,
        lag=lag.facts(),
        cpu_ns=cpu_ns() - cpu_before,
        wall_ns=now_ns() - wall_before,
        ended_ns=ended_ns,
        interrupted=interrupts > 0,
        over_budget=over_budget,
    )


async def _make_ready(
    plan: Plan, load: Load, lanes: Mapping[str, Lane], wire: Wire, planned: Mapping[str, int]
) -> None:
    """Builds one request of every target and opens connections: SDKs are loaded, credentials found and TLS done before a
    request is due. Nothing is sent."""
    each = max(1, _streams(load, len(lanes)) // (1 if load.arrangement == "lanes" and load.closed else len(lanes)))
    for index, target_id in enumerate(plan.target_ids):
        first = next((seq for seq in range(len(plan)) if plan.target[seq] == index), None)
        if first is not None and planned[target_id]:
            prepared = await prepare(lanes[target_id], plan.request(first))
            await wire.warm(prepared.origin, min(each, MOST_WARM))


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
    remaining: Remaining,
) -> None:
    if not load.closed:
        await open_loop(
            map(plan.request, remaining.of(range(first, len(plan)))),
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
        seqs = remaining.of(range(begin, end))
        clock = None
        if stage.duration_ns is not None:
            left_ns = stage.duration_ns - remaining.under_load_ns(range(begin, end))
            if left_ns <= 0:
                control.stop(DURATION_REACHED)
            clock = alarm.call_at(now_ns() + left_ns, lambda: control.stop(DURATION_REACHED))
        if load.arrangement == "lanes":
            await asyncio.gather(
                *(
                    closed_loop(
                        (r for r in map(plan.request, seqs) if r.target_id == target_id),
                        stage.concurrency,
                        build,
                        fire,
                        alarm=alarm,
                        control=control,
                    )
                    for target_id in lanes
                )
            )
        else:
            await closed_loop(map(plan.request, seqs), stage.concurrency, build, fire, alarm=alarm, control=control)
        if clock is not None:
            clock.cancel()
        begin = end


async def _tick(
    progress: Callable[[dict[str, Any]], None], lamps: Mapping[str, Lamp], alarm: Alarm, length_ns: int | None
) -> None:
    """A snapshot now and then. What is left is the schedule's length where there is one, else guessed from the pace."""
    begin_ns = now_ns()
    while True:
        await alarm.until(now_ns() + PROGRESS_NS)
        elapsed_s = (now_ns() - begin_ns) / 1e9
        done = sum(lamp.done for lamp in lamps.values())
        planned = sum(lamp.planned for lamp in lamps.values())
        left_s = elapsed_s * (planned - done) / done if done else None
        if length_ns is not None:
            left_s = length_ns / 1e9 - elapsed_s
        snapshots = {target_id: lamp.snapshot() for target_id, lamp in lamps.items()}
        progress({"targets": snapshots, "elapsed_s": elapsed_s, "left_s": left_s})


def _streams(load: Load, n_targets: int) -> int:
    """The concurrency that the plan will probably reach."""
    if load.closed:
        most = max(stage.concurrency or 1 for stage in load.stages)
        return most * (n_targets if load.arrangement == "lanes" else 1)
    rate = max(stage.rate_per_s or 0.0 for stage in load.stages) * n_targets
    return max(1, min(load.max_in_flight, round(rate * REPLY_GUESS_NS / 1e9)))


@contextmanager
def _signals(interrupt: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
    except (RuntimeError, ValueError):  # not the main thread, as when called from a notebook's worker
        yield
        return
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _quiet_gc() -> Iterator[None]:
    """The collector's pauses fall into the measured tail, so it rests while we measure, and what exists is set aside."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
