"""What is to be measured, as data that any process can take, and what a process makes of it: lanes, prices, the measured part.

Nothing here is secret: doors find their credentials in the environment of the process that does the work.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from bench import __version__, dialects, providers, redact
from bench.conductor.collect import Context
from bench.conductor.measure import Budget, Measured, Search, measure
from bench.conductor.preflight import Ready
from bench.conductor.resume import Remaining
from bench.engine.seat import Seat
from bench.engine.send import Lane
from bench.load import Load
from bench.plan import Plan
from bench.price import book, cost
from bench.record import Case, Request, Usage
from bench.store.journal import Journal
from bench.wire.clock import Anchor
from bench.wire.http import Wire
from bench.workload import Workload, live, params_of_case, salted


@dataclass(frozen=True, slots=True)
class Work:
    """The measured part of a run, ready to be done here or in another process. `facts` is what journals begin with."""

    run_id: str
    folder: Path
    facts: Mapping[str, Any]
    anchor: Anchor
    today: date
    plan: Plan
    load: Load
    workload: Workload
    ready: tuple[Ready, ...]
    budget: Budget
    simulate: bool
    calibrate: bool
    segment: int = 0
    remaining: Remaining = field(default_factory=Remaining)

    def wire(self) -> Wire:
        """A wire that goes through the user's proxies; to look-alikes, never."""
        return Wire(environ={} if self.simulate else dict(os.environ))

    def lanes(self) -> dict[str, Lane]:
        redact.learn_names(one.target.auth["env"] for one in self.ready if "env" in one.target.auth)
        redact.learn(*(value for one in self.ready for value in one.params.extra_headers.values()))
        return {one.target.id: _lane(one, self.workload, self.run_id, self.segment) for one in self.ready}

    def context(
        self,
        lanes: Mapping[str, Lane],
        lag_ns: Callable[[int, int], int],
        start_ns: Callable[[], int | None],
        worker: int,
    ) -> Context:
        stacks = {t: f"{lane.provider.client_stack(lane.target)}; bench {__version__}" for t, lane in lanes.items()}
        return Context(self.run_id, self.anchor, lag_ns, _pricing(self.ready, self.today), stacks, start_ns, worker)


async def perform(
    work: Work,
    journal: Journal,
    seat: Seat,
    progress: Callable[[dict[str, Any]], None],
    search: Search | None = None,
) -> Measured:
    """Does a seat's share of the work in this process."""
    wire, lanes = work.wire(), work.lanes()
    try:
        return await measure(
            work.plan, work.load, lanes, {one.target.id: one.params.stream for one in work.ready},
            lambda lag_ns, start_ns: work.context(lanes, lag_ns, start_ns, seat.share.worker),
            journal, wire, work.folder if work.calibrate else None, work.budget, progress, seat,
            work.remaining, search,
        )  # fmt: skip
    finally:
        await wire.aclose()
        for lane in lanes.values():
            await lane.provider.close()


def _pricing(ready: tuple[Ready, ...], today: date) -> Callable[[str, Usage, str | None], cost.Cost]:
    """What a reply cost, by the entry for the tier that it says served it."""
    by_id = {r.target.id: r for r in ready}
    entries: dict[tuple[str, str | None], book.PriceEntry | book.Unknown] = {}

    def price(target_id: str, usage: Usage, lane: str | None) -> cost.Cost:
        one = by_id[target_id]
        entry = entries.get((target_id, lane))
        if entry is None:
            entry = entries[target_id, lane] = book.find(one.target, today, lane)
        return cost.cost(usage, entry, caching=bool(one.params.cache_breakpoints))

    for target_id in by_id:  # the first question reads files: now, not when the first reply is there
        price(target_id, Usage(input_tokens=1, output_tokens=1), None)
    return price


def _lane(ready: Ready, workload: Workload, salt: str, segment: int) -> Lane:
    """The lane of a target, with every body made before the run that can be: what a session says live cannot.

    What may have been sent before a crash is not sent again in the same words where every request is to be a new one.
    """
    again = f".r{segment}" if segment else ""
    dialect = dialects.get(ready.target.dialect)
    cases = {case.id: case for case in workload.cases}

    def encoded(case: Case, mark: str) -> dict[str, Any]:
        messages = case.messages if workload.salt == "none" else salted(case.messages, mark)
        params = params_of_case(ready.params, case)
        return dialect.encode(dataclasses.replace(case, messages=messages), params, ready.target)

    def mark_of(request: Request) -> str:
        if request.phase == "warmup":
            return f"{salt}.warmup"
        if workload.salt == "request":
            return f"{salt}.{request.seq}{again}"
        if workload.salt == "session" and request.session_id is not None:
            return f"{salt}.s{request.session_id}"
        return salt

    shared = workload.salt != "request" and not (workload.salt == "session" and workload.sessions)
    bodies = {case.id: encoded(case, salt) for case in workload.cases} if shared else {}

    def body(request: Request) -> dict[str, Any]:
        mark = mark_of(request)
        if bodies and mark == salt and not request.history:
            return bodies[request.case_id]
        return encoded(live(cases[request.case_id], request.history), mark)

    return Lane(ready.target, providers.get(ready.target.provider), dialect.decode, body, ready.params.extra_headers)
