"""Several processes send one plan: how many, what they hand back, and what a lost one leaves.

The load of a lost worker is not handed on. A replacement would need a second to load, and would send late what was due
meanwhile; what killed one (mostly: the machine ran out of memory) would kill the next. So the others keep to their own shares,
what the lost one had in flight becomes rows that say so, and what it had not sent is counted and said: such a run is
incomplete, and no measurement of its plan.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.conductor.calibrate import Calibration, calibrate
from bench.conductor.collect import record_of
from bench.conductor.lanes import Work, perform
from bench.conductor.measure import Measured, quiet_gc
from bench.engine.live import Histogram, Lamp, merged
from bench.engine.pacing import length_ns, peak_streams
from bench.engine.seat import START_DELAY_NS, Board, Share, signals, snapshots, stopping, tick
from bench.engine.send import Done, Lane
from bench.engine.worker import WorkerSeat
from bench.engine.workers import Crew, Worker
from bench.errors import CannotRun
from bench.metrics import plural
from bench.plan import Plan
from bench.record import Attempt, Connection, Exchange, Fault, Reply, Request
from bench.store.journal import Journal, journal_path, read
from bench.wire.clock import Alarm, cpu_ns, now_ns
from bench.workload import Load

if TYPE_CHECKING:
    from bench.conductor.sweep import Search

STREAMS_PER_WORKER = 256
"""For `--workers auto`: concurrent streams that one process carries with stamps that are true to a fraction of a millisecond."""
FLUSH_SECONDS = 0.25
"""How long a finished request may wait for the disk, and be lost with its worker."""
WORKER_LOST = "worker_lost"
MOST_OF_A_SEARCH = 1 << 26
"""Requests that a search may plan in all, shared by workers."""


def size(asked: int | None, plan: Plan, load: Load, cores: int) -> tuple[int, str]:
    """How many processes send, and what to say about it. `asked` is None for `auto`.

    `auto` takes one for every `STREAMS_PER_WORKER` planned streams, and leaves one core to the rest of the machine. Never more
    than there are prompts, or slots in the smallest stage of a closed loop: a worker without work is none.
    """
    if load.closed and searching(load):  # it may come down to a single slot
        few = "a search over concurrency is run by one process"
        return 1, f"1 instead of {asked} workers: {few}." if asked not in (None, 1) else ""
    wanted = asked
    if wanted is None:
        wanted = min(cores - 1, math.ceil(peak_streams(load, len(plan.target_ids)) / STREAMS_PER_WORKER))
    prompts = _distinct(plan.prompt_of(np.flatnonzero(~plan.warmup)))
    room = {f"{plural(prompts, 'session' if load.session else 'prompt')}": prompts}
    if load.closed:
        slots = min(stage.concurrency or 1 for stage in load.stages)
        room[f"{slots} slots"] = slots
    why, most = min(room.items(), key=lambda item: item[1])
    if asked is not None and asked > most:
        return most, f"{most} instead of {asked} workers: the load has {why}."
    n = max(1, min(wanted, most))
    return n, f"{n} workers." if n > 1 else ""


def _distinct(numbers: NDArray[np.int64]) -> int:
    """How many different numbers there are. (`np.unique` would load numpy's masked arrays, which nothing here uses.)"""
    return int(np.count_nonzero(np.diff(np.sort(numbers)))) + 1 if len(numbers) else 0


def searching(load: Load) -> bool:
    return load.sweep is not None and load.sweep.until is not None


async def work_on(work: Work, seat: WorkerSeat) -> Measured:
    """What a worker process runs."""
    path = journal_path(work.folder, work.segment, seat.share.worker)
    with Journal(path, work.facts, flush_seconds=FLUSH_SECONDS) as journal:
        search = Distant(seat, journal) if searching(work.load) else None
        return await perform(work, journal, seat, _nothing, search)


@dataclass(frozen=True, slots=True)
class Distant:
    """A search as a worker sees it: the conductor reads the rows of all workers, and says which level is next."""

    seat: WorkerSeat
    journal: Journal

    def note(self, row: Mapping[str, Any]) -> None:
        """The journal has it."""

    async def level(self, overflowed: bool) -> tuple[Plan, Load] | None:
        await asyncio.to_thread(self.journal.flush)
        found: tuple[Plan, Load] | None = await self.seat.ask("level", overflowed)
        return found


def _nothing(_: Mapping[str, Any]) -> None:
    """A worker shows nothing: its conductor does."""


async def conduct(
    work: Work, n: int, journal: Journal, show: Callable[[dict[str, Any]], None], search: Search | None = None
) -> Measured:
    """Lets `n` workers do the work, each writing its own journal, and puts together what they hand back.

    `journal` gets the rows of requests that a lost worker had in flight. Raises the first error of a worker, after the others
    have stopped and their replies have ended.
    """
    # how many requests a search adds is not known: memory that nobody touches costs nothing
    board, alarm = Board(n, len(work.plan) if search is None else MOST_OF_A_SEARCH), Alarm()
    reason: str | None = None
    start_ns = 0
    interrupts = 0

    def stop(why: str) -> None:
        nonlocal reason
        reason = reason or why
        crew.tell("stop", why)

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        stop("interrupted")
        if interrupts == 1:
            show(stopping(sum(board.in_flight)))
        else:
            crew.tell("abort", "interrupted", "interrupted by the user")
            wire.abort("interrupted by the user")

    crew, wire = Crew(board, lambda _, why: stop(why)), work.wire()
    shares = [Share(worker, n) for worker in range(n)]
    calibration: Calibration | None = None
    with ExitStack() as stack:
        stack.callback(board.close)
        stack.enter_context(signals(interrupt))
        stack.callback(alarm.close)
        try:
            await crew.hire(work_on, replace(work, calibrate=False))
            await crew.gathered()
            _all_started(crew.workers)
            if work.calibrate:
                show({"say": f"Measuring one process on loopback, at its share of the planned load (1 of {n})."})
                with quiet_gc():
                    each = math.ceil(peak_streams(work.load, len(work.ready)) / n)
                    calibration = await calibrate(each, wire, alarm, work.folder, cpu_ns)
            crew.go()
            ticker = asyncio.ensure_future(
                tick(show, lambda: merged(w.lamps for w in crew.workers), alarm, length_ns(work.load))
            )
            while (wanted := await crew.gathered()) is not None:
                if wanted[0] == "level" and search is not None:
                    crew.go(await _next_level(work, crew, search, overflowed=wanted[1]))
                else:
                    first_ns = now_ns() + START_DELAY_NS
                    start_ns = start_ns or first_ns
                    crew.go(first_ns)
            ticker.cancel()
            for worker in crew.workers:
                if said := worker.said():
                    show({"say": f"Worker {worker.number} wrote: {said}"})
        finally:
            await wire.aclose()
            await crew.dismiss()
    for error in (w.error for w in crew.workers if w.error is not None):
        raise error
    plan = work.plan if search is None else search.plan
    invalid: list[str] = []
    for worker in (w for w in crew.workers if w.lost is not None):
        found = _lost(work, plan, worker, shares[worker.number], board, start_ns, journal)
        if found:
            reason = reason or found
            invalid.append(found)
    parts: dict[int, Measured] = {w.number: w.part for w in crew.workers if w.lost is None}
    lamps = merged(w.lamps if w.lost is not None else parts[w.number].lamps for w in crew.workers)
    show({"targets": snapshots(lamps)})
    return Measured(
        calibration=calibration,
        lamps=lamps,
        reason=reason,
        invalid=tuple(dict.fromkeys([why for part in parts.values() for why in part.invalid] + invalid)),
        lag=instrument(crew.workers, parts),
        cpu_ns=sum(part.cpu_ns for part in parts.values()),
        wall_ns=max((part.wall_ns for part in parts.values()), default=0),
        ended_ns=now_ns(),
        rss_mb=max((part.rss_mb for part in parts.values()), default=0.0),
        sessions_cut=sum((Counter(part.sessions_cut) for part in parts.values()), Counter()),
        interrupted=interrupts > 0,
        over_budget=any(part.over_budget for part in parts.values()),
        stamps=stamps(list(parts.values())),
    )


def _all_started(workers: Sequence[Worker]) -> None:
    """Before anything was sent a missing worker ends the run: another start is cheaper than half a load."""
    for worker in workers:
        if worker.error is not None:
            raise worker.error
        if worker.lost is not None:
            raise CannotRun(
                f"worker {worker.number} did not start: {worker.lost}: {worker.said() or 'nothing was said'}",
                "run with fewer --workers, or with one",
            )


async def _next_level(work: Work, crew: Crew, search: Search, overflowed: bool) -> tuple[Plan, Load] | None:
    """Shows the search what all workers have recorded of the level that has ended."""
    last = len(search.plan.levels) - 1
    for worker in crew.workers:
        for record in _records(journal_path(work.folder, work.segment, worker.number)):
            if record["request"]["stage"] == last:
                search.note(record["request"])
    return await search.level(overflowed)


def _lost(work: Work, plan: Plan, worker: Worker, share: Share, board: Board, start_ns: int, journal: Journal) -> str:
    """Writes what a lost worker had in flight, rebuilds its figures from its rows, and says what it cost the plan."""
    rows: dict[int, Mapping[str, Any]] = {}
    for record in _records(journal_path(work.folder, work.segment, worker.number)):
        rows[record["request"]["seq"]] = record["request"]
    left = work.remaining.of(plan, np.arange(len(plan)))
    mine = share.of(left, plan.prompt_of(left)).tolist()
    in_flight = [seq for seq in mine if board.sent_ns[seq] and seq not in rows]
    lanes = work.lanes()
    for seq in in_flight:
        record = _lost_record(work, lanes, plan.request(seq), board.sent_ns[seq], start_ns, worker)
        journal.append(record)
        rows[seq] = record["request"]
    lamps = {target_id: Lamp(0) for target_id in lanes}
    for row in rows.values():
        lamps[row["target"]].sent += 1
        lamps[row["target"]].note(row)
    for seq in mine:
        lamps[plan.target_ids[plan.target[seq]]].planned += 1
    worker.lamps = lamps
    unsent = len(mine) - len(rows)
    if not unsent:
        return ""
    return (
        f"worker {worker.number} of {share.workers} was lost ({worker.lost}): {unsent} requests of its share were not sent, "
        f"{len(in_flight)} in flight have no result (fault_code {WORKER_LOST})"
    )


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with read(path) as records:
            yield from records


def _lost_record(
    work: Work, lanes: Mapping[str, Lane], request: Request, sent_ns: int, start_ns: int, worker: Worker
) -> dict[str, Any]:
    """A request that went and whose end nobody saw. What a dead process knew is not known: null, never 0."""
    lane = lanes[request.target_id]
    exchange = Exchange(
        sent_ns=sent_ns, headers_ns=None, end_ns=max(sent_ns, worker.ended_ns), status=None, headers=(), pieces=(),
        connection=Connection(reused=False), failure="cancelled", failure_detail=worker.lost or "",
    )  # fmt: skip
    fault = Fault("transport", WORKER_LOST, f"the process that sent it was lost: {worker.lost}")
    done = Done(request, (Attempt(1, exchange, Reply(), fault),))
    context = work.context(lanes, lambda from_ns, to_ns: 0, lambda: start_ns, worker.number)
    record = record_of(done, lane, context, streamed=True)
    record["request"] |= {"loop_lag_ms": None, "conn_reused": None}
    record["attempts"][0] |= {"conn_reused": None, "bytes_received": None}
    record["chunks"][0] |= {"arrived_ns": None, "sizes": None, "content_ns": None}
    return {**record, "reply": None}


def instrument(workers: Sequence[Worker], parts: Mapping[int, Measured]) -> dict[str, Any]:
    """The instrument's figures: those of the worst worker (counts and pauses: the sum), and then each worker's own.

    Quantiles of several processes cannot be pooled from quantiles; the worst is a bound, and a bound is what they are read for.
    """
    facts = [part.lag for part in parts.values()]
    whole: dict[str, Any] = {
        "interval_ns": _worst(fact["interval_ns"] for fact in facts),
        "lag_ns": {name: _worst(fact["lag_ns"][name] for fact in facts) for name in ("p50", "p90", "p99", "max")}
        | {"n": sum(fact["lag_ns"]["n"] for fact in facts)},
        "gc": {name: sum(fact["gc"][name] for fact in facts) for name in ("n", "total_ns")}
        | {"max_ns": _worst(fact["gc"]["max_ns"] for fact in facts)},
        "cpu_share": _worst(fact["cpu_share"] for fact in facts),
        "cpu_share_max": _worst(fact["cpu_share_max"] for fact in facts),
    }
    return whole | {"workers": [_figures(worker, parts.get(worker.number)) for worker in workers]}


def stamps(parts: Sequence[Measured]) -> dict[str, str | int]:
    """The loop's stamps if any process had no others; steps of the wall clock as the process that saw most of them."""
    if not parts:
        return {}
    facts = [part.stamps for part in parts]
    source = "loop" if any(fact["source"] == "loop" for fact in facts) else "kernel"
    counts = {name: [int(fact.get(name, 0)) for fact in facts] for name in ("wall_clock_steps", "unusable")}
    return {
        "source": source,
        "wall_clock_steps": max(counts["wall_clock_steps"], default=0),
        "unusable": sum(counts["unusable"]),
    }


def _worst(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def _figures(worker: Worker, part: Measured | None) -> dict[str, Any]:
    lamps = worker.lamps if part is None else part.lamps
    lateness_ms = Histogram()
    for lamp in lamps.values():
        lateness_ms.merge(lamp.lateness_ms)
    facts: dict[str, Any] = {
        "worker": worker.number,
        "lost": worker.lost,
        "sent": sum(lamp.sent for lamp in lamps.values()),
        "lateness_p50_ms": lateness_ms.quantile(0.5),
        "lateness_p99_ms": lateness_ms.quantile(0.99),
    }
    if part is None:
        return facts
    return facts | {
        **part.lag, "cpu_s": part.cpu_ns / 1e9, "wall_s": part.wall_ns / 1e9, "rss_mb": part.rss_mb,
    }  # fmt: skip
