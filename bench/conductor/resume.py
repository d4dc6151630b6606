"""`--resume RUN`: the same plan goes on, behind what is recorded.

What has a row is done, failures included: they are results. Sent again is what has none: requests that were in flight when
the run crashed, and those that we ended ourselves by a second Ctrl-C, whose rows say nothing of the target. Both may have
been billed; the manifest counts them.

Every start of the program on a run is a segment of it (bench/store/recorded.py). The `_ns` columns of all segments count
from the first one's anchor: a later segment is placed by the wall clock, and behind everything recorded even when that
clock was set back. No duration crosses from one segment into another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.errors import CannotRun, ConfigError, Problem
from bench.metrics import plural
from bench.plan import NO_DUE, NONE, Plan
from bench.store import runs
from bench.store.disk import digest
from bench.store.journal import journals, read
from bench.store.recorded import MANIFEST, Ints, Recorded, recorded
from bench.wire.clock import Anchor

SEGMENT = ("started", "anchor", "host", "bench_version", "command", "environment")
"""What a segment keeps of the facts that the program gathers when it starts."""
OF_THIS_RUN = ("bench_version", "simulated", "seed", "replies", "workload", "load", "plan", "targets")
"""What must be the same when a run goes on."""
FREE = frozenset({"budget_usd", "price", "price_file", "limits", "notes", "title", "file", "slo", "schedule_sha256"})
"""Keys in them that change nothing in what is sent."""
MOVED = frozenset({"base_url", "auth", "project", "resource", "route", "simulated"})
"""Keys of a target that `--simulate` sets anew each time."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What of a plan is still to be sent: all of it, or what an earlier segment left."""

    earlier: Recorded | None = None

    def of(self, plan: Plan, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of these requests that are not done, in order. A session that was begun is done as far as it came: its
        user has waited for longer than any plan says."""
        if self.earlier is None:
            return seqs
        done = self._done()
        left = seqs[~np.isin(seqs, done)]
        session = plan.session[left]
        untouched: NDArray[np.int64] = left[(session == NONE) | ~np.isin(session, plan.session[done])]
        return untouched

    def cut(self, plan: Plan) -> dict[str, int]:
        """How many sessions of each target were begun, and do not go on."""
        if self.earlier is None:
            return {}
        begun = np.unique(plan.session[self._done()])
        undone = np.setdiff1d(np.flatnonzero(np.isin(plan.session, begun[begun != NONE])), self._done())
        _, first = np.unique(plan.session[undone], return_index=True)
        return {target_id: n for target_id, n in plan.by_target(undone[first]).items() if n}

    def _done(self) -> Ints:
        assert self.earlier is not None
        return self.earlier.seq[~self.earlier.abandoned]

    def first_due_ns(self, plan: Plan, seqs: NDArray[np.int64]) -> int:
        """By how much the due times of what is left of these move forward as one block, so that the first is due at once."""
        if self.earlier is None:
            return 0
        due_ns = plan.due_ns[self.of(plan, seqs)]
        due_ns = due_ns[due_ns != NO_DUE]
        return int(due_ns.min()) if len(due_ns) else 0

    def under_load_ns(self, seqs: NDArray[np.int64]) -> int:
        """How long earlier segments spent on these requests: from the first send to the last end, segment by segment."""
        if self.earlier is None:
            return 0
        found = self.earlier
        mine = np.isin(found.seq, seqs) & (found.sent_ns >= 0)
        starts = [segment["offset_ns"] for segment in found.facts["segments"]]
        segment = np.searchsorted(starts, found.sent_ns[mine], "right")
        return sum(
            int(found.end_ns[mine][segment == n].max() - found.sent_ns[mine][segment == n].min())
            for n in np.unique(segment)
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that stopped before its plan was done."""

    folder: Path
    found: Recorded

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.found.facts

    @property
    def run_id(self) -> str:
        return self.folder.name.removeprefix("run=")

    @property
    def segment(self) -> int:
        """The number of the segment that begins now."""
        return len(self.facts["segments"])

    def moved(self, anchor: Anchor) -> Anchor:
        """The run's first anchor as this process's clock would have read it."""
        first_ns = self.facts["anchor"]["wall_ns"]
        offset_ns = max(anchor.wall_ns - first_ns, self.found.last_ns + 1)
        return Anchor(anchor.monotonic_ns - offset_ns, anchor.wall_ns - offset_ns)

    def check(self, now: Mapping[str, Any]) -> None:
        """Refuses to go on with another plan than the one that was begun. Raises ConfigError with all that differs."""
        where = f"--resume {self.run_id}"
        problems = [
            Problem(where, path, got, f"{want}, as when the run was started")
            for name in OF_THIS_RUN
            for path, got, want in _differences(name, _plain(now.get(name)), _plain(self.facts.get(name)), self._free())
        ]
        schedule = self.folder / runs.SCHEDULE
        if digest(schedule) != self.facts["plan"]["schedule_sha256"]:
            problems.append(Problem(str(schedule), "", "other bytes than the run wrote", "the plan as it was written"))
        if problems:
            raise ConfigError(problems, f"The run was started by: {self.facts.get('command') or 'another program'}")

    def _free(self) -> frozenset[str]:
        return FREE | MOVED if self.facts.get("simulated") else FREE

    def words(self, remaining: Remaining, plan: Plan) -> str:
        """What goes on, for people."""
        done = len(self.found.seq) - int(self.found.abandoned.sum())
        lost = int(np.isin(self.found.in_flight, remaining.of(plan, np.arange(len(plan)))).sum())
        again = f"; {lost} were in flight when it crashed, are sent again and may be billed twice" if lost else ""
        cut = sum(remaining.cut(plan).values())
        ended = f"; {plural(cut, 'session')} that had begun end where they were" if cut else ""
        return f"Going on with {self.run_id}: {done} of {len(plan)} requests are recorded{again}{ended}."

    def resent(self, plan: Plan, most_usd: Mapping[str, Decimal]) -> dict[str, Any]:
        """What was sent before without a result that stands, and is sent again, for the manifest."""
        abandoned = self.found.seq[self.found.abandoned]
        seqs = [*self.found.in_flight.tolist(), *abandoned.tolist()]
        each = [most_usd.get(plan.target_ids[plan.target[seq]]) for seq in seqs]
        known = [usd for usd in each if usd is not None]
        return {
            "in_flight": len(self.found.in_flight),
            "abandoned": len(abandoned),
            "perhaps_billed_usd_most": str(sum(known, Decimal(0))) if len(known) == len(each) else None,
        }

    def spent_usd(self, resent: Mapping[str, Any], most_usd: Mapping[str, Decimal]) -> Decimal:
        """What the run has cost so far: what is recorded, and at the most what was sent without a record, or without a cost."""
        lost = [resent, *(segment.get("resent") or {} for segment in self.facts["segments"])]
        perhaps = sum((Decimal(one.get("perhaps_billed_usd_most") or 0) for one in lost), Decimal(0))
        perhaps += sum((n * most_usd.get(target, Decimal(0)) for target, n in self.found.unpriced.items()), Decimal(0))
        return sum(self.found.spent_usd.values(), perhaps)


@contextmanager
def opened(ref: str, results: Path) -> Iterator[Earlier]:
    """The run to go on with, held until the block ends. Raises CannotRun when there is nothing to go on with."""
    folder = runs.find_run(ref, results)
    if runs.is_going(folder):
        raise CannotRun(f"{folder}: the run is still going", "wait until it ends")
    if not (folder / runs.SCHEDULE).exists() or not ((folder / MANIFEST).exists() or journals(folder)):
        raise _nothing(folder)
    with runs.writing(folder):
        if (folder / MANIFEST).exists():
            sealed = runs.open_run(folder)
            if sealed.manifest.get("complete"):
                raise CannotRun(f"{folder}: the run is complete", f"read it: bench compare {folder}")
            changed = runs.verify_digests(sealed)
            if changed and not journals(folder):
                raise CannotRun(f"{folder}: changed since the run wrote it: {'; '.join(changed)}", "start a new run")
        _remove_empty(folder)
        found = recorded(folder)
        if "plan" not in found.facts:
            raise _nothing(folder)
        yield Earlier(folder, found)


def _remove_empty(folder: Path) -> None:
    """Removes journals without a head: their segments were killed before they began, and their names are needed."""
    for path in journals(folder):
        with read(path) as records:
            if not records.headed:
                path.unlink()


def _nothing(folder: Path) -> CannotRun:
    return CannotRun(
        f"{folder}: the run ended before anything was sent",
        "start it again without --resume; this folder may be removed",
    )


def begin(facts: dict[str, Any], earlier: Earlier | None, resent: Mapping[str, Any] | None) -> dict[str, Any]:
    """The facts of the run with the segment that begins now: who and what is the first one's, the rest joins the list."""
    segment = {name: facts[name] for name in SEGMENT} | {"n": 0, "offset_ns": 0, "resent": resent}
    if earlier is None:
        return {**facts, "segments": [segment]}
    first = {k: v for k, v in earlier.facts.items() if k in facts}
    labels = {**first.get("labels", {}), **facts["labels"]}
    segment |= {"n": earlier.segment, "offset_ns": facts["anchor"]["monotonic_ns"] - _zero_ns(facts, earlier)}
    return {**first, "labels": labels, "complete": False, "segments": [*earlier.facts["segments"], segment]}


def _zero_ns(facts: Mapping[str, Any], earlier: Earlier) -> int:
    return earlier.moved(Anchor(**facts["anchor"])).monotonic_ns


def end(facts: Mapping[str, Any], ended: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The run's segments, the last one closed with what is known when it ends."""
    *before, last = facts["segments"]
    return [*before, {**last, **ended}]


def calibration(segments: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The instrument's error for the whole run: the worst of its segments'; none when a segment has rows and none."""
    found = [segment.get("calibration") for segment in segments if segment.get("requests")]
    known = [one for one in found if one is not None and one.get("ttft_error_p99_ms") is not None]
    if not known or len(known) < len(found):
        return None
    worst: Mapping[str, Any] = max(known, key=lambda one: one["ttft_error_p99_ms"])
    return worst


def _plain(value: Any) -> Any:
    """As it would come back from a file."""
    return orjson.loads(orjson.dumps(value, default=str))


def _differences(path: str, now: Any, then: Any, free: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Path, value now and value then of everything that differs. Targets are told by their ids, not by their places."""
    if isinstance(now, list) and isinstance(then, list) and path == "targets":
        now, then = ({target["id"]: target for target in targets} for targets in (now, then))
    if isinstance(now, dict) and isinstance(then, dict):
        for key in sorted(now.keys() | then.keys()):
            if key not in free:
                yield from _differences(f"{path}.{key}", now.get(key), then.get(key), free)
    elif now != then:
        yield path, _told(now), _told(then)


def _told(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict) and "id" in value:
        return str(value["id"])
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
