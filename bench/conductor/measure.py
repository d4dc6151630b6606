"""The measured part of a run: from the first warm-up request to the last reply drained, on one event loop."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.conductor.calibrate import Calibration, calibrate
from bench.conductor.collect import Context, record_of, spent_usd
from bench.conductor.resume import Remaining
from bench.engine import stages
from bench.engine.live import Lamp
from bench.engine.loops import closed_loop
from bench.engine.pacing import peak_streams
from bench.engine.seat import Seat, Share, snapshots
from bench.engine.send import Done, Lane, Policy, Unbuilt, prepare, send
from bench.engine.sessions import Sessions
from bench.load import Load
from bench.plan import Plan
from bench.record import Request
from bench.store.journal import Journal
from bench.wire.clock import Alarm, cpu_ns, now_ns
from bench.wire.http import Outgoing, Wire
from bench.wire.lag import LagMonitor

WARM_SLOTS_PER_TARGET = 2
MOST_WARM = 64


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
    ended_ns: int
    rss_mb: float
    sessions_cut: Mapping[str, int]
    interrupted: bool
    over_budget: bool
    stamps: Mapping[str, str | int]
    """Where the stamps of arrivals came from, and how often that failed."""


class Search(Protocol):
    """Looks for a level of load while the run goes on."""

    def note(self, row: Mapping[str, Any]) -> None:
        """A request of the present level has ended."""
        ...

    async def level(self, overflowed: bool) -> tuple[Plan, Load] | None:
        """The plan and the load with one more level, written and hashed; None when nothing is left to look for.

        `overflowed`: the present level met the cap of requests in flight."""
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard limits of money and time. `most_usd` is what one try at a target's dearest request may cost; it is held back while in
    flight.

    `spent_usd` is what earlier segments of the run have cost. Nothing is sent after `ends_ns` (on the monotonic clock).
    """

    limit_usd: Decimal | None
    most_usd: Mapping[str, Decimal]
    spent_usd: Decimal = Decimal(0)
    ends_ns: int | None = None

    @property
    def left_usd(self) -> Decimal | None:
        return None if self.limit_usd is None else self.limit_usd - self.spent_usd


@dataclass(frozen=True, slots=True)
class Mine:
    """What this process sends: its share of what is left of the plan."""

    share: Share
    remaining: Remaining

    def of(self, plan: Plan, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        left = self.remaining.of(plan, seqs)
        return self.share.of(left, plan.prompt_of(left))

    def slots(self, slots: int) -> int:
        return self.share.slots(slots)


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
    remaining: Remaining,
    search: Search | None = None,
) -> Measured:
    """Runs this process's share of what is left of the plan and puts every finished request into the journal; then the
    levels that `search` adds, one by one.

    The first interrupt stops sending and lets replies finish; the second one abandons what is in flight.
    """
    alarm, lag, control, purse = Alarm(), LagMonitor(), seat.control, seat.purse(budget.left_usd)
    started_ns: int | None = None
    context = make_context(lag.max_between, lambda: started_ns)
    mine = Mine(seat.share, remaining)
    planned = _planned(plan, mine)
    lamps = {target_id: Lamp(n) for target_id, n in planned.items()}
    policy = Policy(load.timeout_ns, load.retries)
    over_budget = False
    cut: Counter[str] = Counter()
    control.trying = search is not None

    left = asyncio.Event()
    closing: list[asyncio.Task[object]] = []

    async def sleep(seconds: float) -> None:
        """Until the next try; not a moment longer when what is in flight is left: the wire then refuses that try."""
        waits = [
            asyncio.ensure_future(alarm.until(now_ns() + round(seconds * 1e9))),
            asyncio.ensure_future(left.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def abort(why: str) -> None:
        """Leaves what is in flight, and whatever is between two tries, or dialling."""
        left.set()
        wire.abort(why)
        if not closing:
            closing.append(control.launch(wire.aclose()))

    async def build(request: Request) -> Outgoing:
        return await prepare(lanes[request.target_id], request)

    async def fire(request: Request, prepared: Outgoing) -> Done | None:
        most = budget.most_usd.get(request.target_id, Decimal(0))
        held = Decimal(0)

        def afford() -> bool:
            """Money for one more try is set aside, or the load ends here: every try may be billed."""
            nonlocal over_budget, held
            if not purse.hold(most):
                over_budget = True
                control.stop(f"the limit of ${budget.limit_usd} would be passed")
                return False
            held += most
            return True

        if not afford():
            return None
        lane, lamp = lanes[request.target_id], lamps[request.target_id]
        lamp.sent += 1
        seat.sending(request.seq)
        spent: Decimal | None = None
        try:
            journal.sent(request.seq)
            done = await send(lane, request, prepared, wire, policy, sleep, afford)
            record = record_of(done, lane, context, streamed[request.target_id])
            journal.append(record)
            spent = spent_usd(record, most)
        except Exception as error:
            control.failed(error)
            lamp.done += 1
            return None
        finally:
            purse.settle(held, held if spent is None else spent)
        lamp.note(record["request"])
        if search is not None and request.phase == "measure":
            search.note(record["request"])
        return done

    async def until_late(ends_ns: int) -> None:
        """Stops sending when the time is up, if anything is left to send."""
        nonlocal over_budget
        await alarm.until(ends_ns)
        if any(lamp.sent < lamp.planned for lamp in lamps.values()):
            over_budget = True
            control.stop("the time limit was reached")

    async def run_leg(leg: range) -> None:
        """One stretch of load, from its start to its last reply."""
        nonlocal started_ns, cut
        planned = plan.of_stages(leg)
        if control.stopping.is_set() or not len(remaining.of(plan, planned)):
            return
        # what an earlier segment did lies behind us: due times move up as one block, a stage's clock goes on
        done_ns = remaining.under_load_ns(planned) if load.closed else remaining.first_due_ns(plan, planned)
        begin_ns = started_ns = await seat.start() - done_ns
        first, sessions = fire, None
        if load.session is not None:
            sessions = Sessions(plan, load, build, fire, begin_ns, alarm, control)
            first = sessions.fire
        await stages.run(plan, load, leg, build, first, start_ns=begin_ns, alarm=alarm, control=control, share=mine)
        await control.drain()
        if sessions is not None:
            await sessions.drain()
            cut += sessions.cut

    calibration = None
    late = None
    with seat.listening(abort), quiet_gc():
        try:
            if budget.ends_ns is not None:
                late = asyncio.ensure_future(until_late(budget.ends_ns))
            if calibration_folder is not None and any(planned.values()):
                progress({"say": "Measuring ourselves on loopback at the planned load."})
                calibration = await calibrate(peak_streams(load, len(lanes)), wire, alarm, calibration_folder, cpu_ns)
                journal.note({"calibration": calibration.as_dict()})
            first = await _first_requests(plan, lanes)
            await seat.loaded()
            await _connect(first, load, seat.share, wire)
            gc.collect()
            gc.freeze()
            lag.start()
            cpu_before, wall_before = cpu_ns(), now_ns()
            ticker = asyncio.ensure_future(seat.report(lamps, alarm))
            warmups = mine.of(plan, np.flatnonzero(plan.warmup)).tolist()
            if warmups and not control.stopping.is_set():
                slots = min(len(warmups), WARM_SLOTS_PER_TARGET * len(lanes))
                await closed_loop(map(plan.request, warmups), slots, build, fire, alarm=alarm, control=control)
                await control.drain()
            for leg in stages.legs(load):
                await run_leg(leg)
            while (
                search is not None
                and not control.stopping.is_set()
                and (added := await search.level(control.overflowed)) is not None
            ):
                plan, load = added
                control.overflowed = False
                for target_id, n in _planned(plan, mine).items():
                    lamps[target_id].planned = n
                await run_leg(stages.legs(load)[-1])
            await control.drain()
            ended_ns = now_ns()
            ticker.cancel()
            progress({"targets": snapshots(lamps)})
        finally:
            if late is not None:
                late.cancel()
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
        ended_ns=ended_ns,
        rss_mb=peak_rss_mb(),
        sessions_cut=dict(cut),
        interrupted=seat.interrupted,
        over_budget=over_budget,
        stamps=wire.stamp_facts,
    )


def peak_rss_mb() -> float:
    """The most memory that this process has held, in millions of bytes. What `getrusage` says begins with the memory of whoever
    started it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


async def _first_requests(plan: Plan, lanes: Mapping[str, Lane]) -> list[Outgoing]:
    """One request of every target, built and not sent: SDKs are loaded and credentials found before a request is due."""
    seqs = (np.flatnonzero(plan.target == index) for index in range(len(plan.target_ids)))
    first = [plan.request(int(found[0])) for found in seqs if len(found)]
    built = [await prepare(lanes[request.target_id], request) for request in first]
    for one in built:
        if isinstance(one, Unbuilt):
            raise one.error
    return built


async def _connect(first: Sequence[Outgoing], load: Load, share: Share, wire: Wire) -> None:
    """Opens the connections that this share of the load will need, TLS done. Nothing is sent."""
    each = share.slots(peak_streams(load, len(first))) // (
        1 if load.arrangement == "lanes" and load.closed else len(first)
    )
    for prepared in first:
        n = min(max(1, each), MOST_WARM)
        await (wire.warm(prepared.origin, n) if prepared.carrier is None else prepared.carrier.warm(n))


def _planned(plan: Plan, mine: Mine) -> dict[str, int]:
    """What this process is to send, by target, in the plan's order of targets."""
    return plan.by_target(mine.of(plan, np.arange(len(plan))))


@contextmanager
def quiet_gc() -> Iterator[None]:
    """The collector's pauses fall into the measured tail, so it rests while we measure; what exists then is set aside once,
    when all is loaded."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
