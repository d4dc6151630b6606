"""Sweeps that find their own end: levels of load are doubled until one fails, then the gap between good and bad is halved.

Every level is planned, written to schedule.parquet and hashed before its first byte is sent; how many there may be is fixed
before the run. What a level decides is only which level comes next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.conductor import quota
from bench.conductor.preflight import Job, planned
from bench.engine.pacing import at_level
from bench.load import Load
from bench.plan import Plan, extended
from bench.stats.levels import COLUMNS, SUSTAINED, levels
from bench.stats.types import Level

SEED_STEP = 1_000_003
"""Each level draws from a seed of its own, this far from the one before."""
CLOSE = 1.05
"""Rates that are no further apart than this are as good as equal."""
LOWEST_SHARE = 1 / 16
"""A first level that fails is halved down to this part of it."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Between the highest level that held, with every lower one, and the lowest that did not. None: not met."""

    low: float | None
    high: float | None


def bracket(results: Mapping[float, bool]) -> Bracket:
    """What levels that held (or not) say of one target."""
    high = min((level for level, held in results.items() if not held), default=None)
    held = [level for level, good in results.items() if good and (high is None or level < high)]
    return Bracket(max(held, default=None), high)


def following(
    brackets: Sequence[Bracket], tried: Sequence[float], over: str, ceiling: float | None = None
) -> float | None:
    """The next level for all targets: twice the highest while some target has not failed, else the middle of the widest
    gap; None when every gap is closed. From `ceiling` on nothing is tried."""
    top = max(tried) * 2
    if any(b.high is None for b in brackets) and (ceiling is None or top < ceiling):
        return top
    wide = []
    for b in brackets:
        high = b.high if b.high is not None else ceiling
        if high is None:
            continue
        middle = _middle(b.low, high, over, tried[0] * LOWEST_SHARE)
        if middle is not None and middle not in tried:
            wide.append((high / (b.low or high * LOWEST_SHARE), middle))
    return max(wide)[1] if wide else None


def _middle(low: float | None, high: float, over: str, lowest: float) -> float | None:
    if over == "concurrency":
        middle = math.floor(((low or 0) + high) / 2)
        return float(middle) if middle > (low or 0) else None
    if low is None:
        return high / 2 if high / 2 >= lowest else None
    if high / low <= CLOSE:
        return None
    return float(f"{(low + high) / 2:.3g}")


class Search:
    """Runs the search: keeps the rows of the present level, judges it, and plans the next one.

    `plan_level` makes the plan of a load with one stage, `write` puts a whole plan on disk before anything of it is sent,
    `fits` says whether declared rate limits let a level pass.
    """

    def __init__(
        self,
        plan: Plan,
        load: Load,
        slo: Mapping[str, Any],
        plan_level: Callable[[Load, int], Plan],
        write: Callable[[Plan], None],
        fits: Callable[[Load, Plan], bool],
    ) -> None:
        assert load.sweep is not None
        assert load.sweep.until is not None
        self._plan, self._load, self._sweep, self._slo = plan, load, load.sweep, slo
        self._plan_level, self._write, self._fits = plan_level, write, fits
        self._rows: list[dict[str, Any]] = []
        self._results: dict[str, dict[float, bool]] = {target: {} for target in plan.target_ids}
        self._ceiling: float | None = None
        self.digests = [plan.digest]

    @property
    def load(self) -> Load:
        return self._load

    @property
    def plan(self) -> Plan:
        return self._plan

    def note(self, row: Mapping[str, Any]) -> None:
        self._rows.append({name: row.get(name) for name in COLUMNS})

    async def level(self, overflowed: bool) -> tuple[Plan, Load] | None:
        """The plan and the load with one more level; None when nothing is left to look for, or no level is left.

        `overflowed`: the present level met the cap of requests in flight. It was not sent to its end, so it says nothing good
        of anybody, and no higher one is tried.
        """
        self._judge(overflowed)
        tried = [stage.level or 0.0 for stage in self._load.stages]
        if len(tried) >= self._sweep.points:
            return None
        value = following([bracket(r) for r in self._results.values()], tried, self._sweep.over, self._ceiling)
        while value is not None:
            stage = at_level(self._load.stages[0], value)
            one = replace(self._load, stages=(stage,))
            added = self._plan_level(one, len(tried))
            if self._fits(one, added):
                break
            self._ceiling = value
            value = following([bracket(r) for r in self._results.values()], tried, self._sweep.over, self._ceiling)
        else:
            return None
        self._plan = extended(self._plan, added)
        self._load = replace(self._load, stages=(*self._load.stages, stage))
        self._write(self._plan)
        self.digests.append(self._plan.digest)
        return self._plan, self._load

    def facts(self) -> dict[str, Any]:
        """What was found, for the manifest."""
        found = {target: bracket(results) for target, results in self._results.items()}
        return {
            "over": self._sweep.over,
            "until": self._sweep.until,
            "ceiling": self._ceiling,
            "levels": [
                {"level": stage.level, "plan_digest": digest}
                for stage, digest in zip(self._load.stages, self.digests, strict=True)
            ],
            "found": {target: {"held_at": b.low, "failed_at": b.high} for target, b in found.items()},
        }

    def _judge(self, overflowed: bool) -> None:
        present = len(self._load.stages) - 1
        level = self._load.stages[present].level or 0.0
        if overflowed:
            self._ceiling = min(level, self._ceiling or level)
        for one in levels(self._rows, self._slo, intervals=False):
            if one.stage == present:
                held = self._held(one)
                if not (overflowed and held):
                    self._results[one.target][level] = held

    def _held(self, one: Level) -> bool:
        if self._sweep.until == "slo":
            return bool(one.meets_slo)
        share = one.cells["achieved_share"].value
        return share is not None and share >= SUSTAINED


def search(job: Job, plan: Plan, write: Callable[[Plan], None]) -> Search | None:
    """The search that a job asks for; None where its load is settled before the run."""
    if job.load.sweep is None or job.load.sweep.until is None:
        return None
    targets = [(r.target, r.params) for r in job.ready]

    def plan_level(load: Load, number: int) -> Plan:
        options = replace(job.options, seed=job.options.seed + SEED_STEP * number)
        one = replace(job, load=replace(load, warmup_requests=0), options=options)
        return planned(one, [target for target, _ in targets])

    def fits(load: Load, added: Plan) -> bool:
        return job.options.limits != "pace" or quota.fits(job.workload, load, added, targets)

    slo = job.workload.spec.slo.model_dump(exclude_none=True) if job.workload.spec.slo else {}
    return Search(plan, job.load, slo, plan_level, write, fits)
