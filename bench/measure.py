"""The measured part of a run: from the first warm-up request to the last reply drained, on one event loop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from bench.calibrate import Calibration, calibrate
from bench.collect import Context, record_of
from bench.engine import stages
from bench.engine.live import Lamp
from bench.engine.loops import Control, closed_loop
from bench.engine.pacing import length_ns, peak_streams
from bench.engine.send import Done, Lane, Policy, prepare, send
from bench.engine.sessions import Sessions
from bench.load import Load
from bench.plan import Plan
from bench.record import Request
from bench.store.journal import Journal
from bench.wire.clock import Alarm, cpu_ns, now_ns
from bench.wire.http import Outgoing, Wire
from bench.wire.lag import LagMonitor

PROGRESS_NS = 500_000_000
START_DELAY_NS = 100_000_000
WARM_SLOTS_PER_TARGET = 2
MOST_WARM = 64


@dataclass(slots=True)
class Measured:
    """What the measured part leaves behind, beside the journal."""

    calibration: Calibration | None
    lamps: Mapping[str, Lamp]
    control: Control
    lag: Mapping[str, Any]
    cpu_ns: int
    wall_ns: int
    sessions_cut: Mapping[str, int]
    interrupted: bool
    over_budget: bool


class Search(Protocol):
    """Looks for a level of load while the run goes on."""

    def note(self, row: Mapping[str, Any]) -> None:
        """A request of the present level has ended."""
        ...

    def level(self, overflowed: bool) -> tuple[Plan, Load] | None:
        """The plan and the load with one more level, written and hashed; None when nothing is left to look for.

        `overflowed`: the present level met the cap of requests in flight."""
        ...


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
    search: Search | None = None,
) -> Measured:
    """Runs the plan and puts every finished request into the journal; then the levels that `search` adds, one by one.

    The first interrupt stops sending and lets replies finish; the second one abandons what is in flight.
    """
    alarm, lag, control = Alarm(), LagMonitor(), Control()
    started_ns: int | None = None
    context = make_context(lag.max_between, lambda: started_ns)
    planned = _planned(plan)
    lamps = {target_id: Lamp(planned.get(target_id, 0)) for target_id in lanes}
    policy = Policy(load.timeout_ns, load.retries)
    held = Decimal(0)
    spent = Decimal(0)
    over_budget = False
    interrupts = 0
    cut: Counter[str] = Counter()
    control.trying = search is not None

    async def sleep(seconds: float) -> None:
        await alarm.until(now_ns() + round(seconds * 1e9))

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            control.stop("interrupted")
            progress({"say": f"Stopping: {len(control.flights)} in flight will finish. Ctrl-C again to leave them."})
        else:
            control.stop("interrupted")
            wire.abort("interrupted by the user")

    async def build(request: Request) -> Outgoing:
        return await prepare(lanes[request.target_id], request)

    async def fire(request: Request, prepared: Outgoing) -> Done | None:
        nonlocal held, spent, over_budget
        most = budget.most_usd.get(request.target_id, Decimal(0))
        if budget.limit_usd is not None and spent + held + most > budget.limit_usd:
            over_budget = True
            control.stop(f"the limit of ${budget.limit_usd} would be passed")
            return None
        lane, lamp = lanes[request.target_id], lamps[request.target_id]
        held += most
        lamp.sent += 1
        try:
            done = await send(lane, request, prepared, wire, policy, sleep)
            record = record_of(done, lane, context, streamed[request.target_id])
            journal.append(record)
        except Exception as error:
            control.failed(error)
            return None
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
        if search is not None and request.phase == "measure":
            search.note(row)
        return done

    async def run_leg(leg: range) -> None:
        """One stretch of load, from its start to its last reply."""
        nonlocal started_ns, cut
        started_ns = now_ns() + START_DELAY_NS
        first, sessions = fire, None
        if load.session is not None:
            sessions = Sessions(plan, load, build, fire, started_ns, alarm, control)
            first = sessions.fire
        await stages.run(plan, load, leg, build, first, start_ns=started_ns, alarm=alarm, control=control)
        await control.drain()
        if sessions is not None:
            await sessions.drain()
            cut += sessions.cut

    calibration = None
    with _signals(interrupt), _quiet_gc():
        lag.start()
        try:
            if calibration_folder is not None:
                progress({"say": "Measuring ourselves on loopback at the planned load."})
                calibration = await calibrate(peak_streams(load, len(lanes)), wire, alarm, calibration_folder, cpu_ns)
            await _make_ready(plan, load, lanes, wire)
            gc.collect()
            gc.freeze()
            cpu_before, wall_before = cpu_ns(), now_ns()
            ticker = asyncio.ensure_future(_tick(progress, lamps, alarm, length_ns(load)))
            warm = [seq for seq in range(len(plan)) if plan.warmup[seq]]
            if warm and not control.stopping.is_set():
                slots = min(len(warm), WARM_SLOTS_PER_TARGET * len(lanes))
                await closed_loop(map(plan.request, warm), slots, build, fire, alarm=alarm, control=control)
                await control.drain()
            for leg in stages.legs(load):
                if not control.stopping.is_set():
                    await run_leg(leg)
            while (
                search is not None
                and not control.stopping.is_set()
                and (added := search.level(control.overflowed)) is not None
            ):
                plan, load = added
                control.overflowed = False
                for target_id, n in _planned(plan).items():
                    lamps[target_id].planned = n
                await run_leg(stages.legs(load)[-1])
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
        sessions_cut=dict(cut),
        interrupted=interrupts > 0,
        over_budget=over_budget,
    )


async def _make_ready(plan: Plan, load: Load, lanes: Mapping[str, Lane], wire: Wire) -> None:
    """Builds one request of every target and opens connections: SDKs are loaded, credentials found and TLS done before a
    request is due. Nothing is sent."""
    each = max(1, peak_streams(load, len(lanes)) // (1 if load.arrangement == "lanes" and load.closed else len(lanes)))
    for index, target_id in enumerate(plan.target_ids):
        first = next((seq for seq in range(len(plan)) if plan.target[seq] == index), None)
        if first is not None:
            prepared = await prepare(lanes[target_id], plan.request(first))
            await wire.warm(prepared.origin, min(each, MOST_WARM))


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


def _planned(plan: Plan) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(plan.target, minlength=len(plan.target_ids))
    return {target_id: int(n) for target_id, n in zip(plan.target_ids, counts, strict=True)}


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
