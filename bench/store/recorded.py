"""What a run holds so far, wherever it stands: in its tables, in the journals of segments that were not sealed, or in both.

A segment is one life of a run: from a start of the program to its end. A run that was never continued has one. The
manifest lists them under `segments`:

    n            0, 1, ...
    started, anchor, host, bench_version, command, environment, calibration, instrument      as they were in that segment
    offset_ns    where the segment begins on the run's own time line: stored `_ns` = stamp − anchor.monotonic_ns + offset_ns
    end_ns       where it ends on that line: when it was drained; after a crash, the last end that was recorded
    requests     requests that it recorded
    stopped      why it ended before the plan did; null when it did not
    resent       requests that had been sent before it began, without a result that stands, and were sent again by it
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.errors import CannotRun
from bench.store.disk import DAMAGED
from bench.store.journal import journals, read, segment_of
from bench.store.parquet import read_table

MANIFEST = "manifest.json"
CRASHED = "crashed"
NOT_KNOWN = -1
"""In the columns of times: no such time was recorded."""
_NEEDED = ["seq", "target", "outcome", "fault_code", "sent_ns", "end_ns", "cost_usd", "cost_retries_usd",
           "unpriced_attempts"]  # fmt: skip
_PICO = Decimal(10) ** 12

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Every request that has a row, as columns of equal length in the order of `seq`, each request once.

    `abandoned` marks those that we ended ourselves: they say nothing of the target. `in_flight` are requests of the last
    segment that were handed to the wire and have no row: it crashed before they ended, or before they were written.
    `facts` is the newest manifest, or the head of the newest journal with its segment closed as crashed.
    """

    facts: dict[str, Any]
    seq: Ints
    sent_ns: Ints
    end_ns: Ints
    abandoned: NDArray[np.bool_]
    in_flight: Ints
    spent_usd: Mapping[str, Decimal]
    dropped_bytes: int
    unpriced: Mapping[str, int] = field(default_factory=dict)
    """By target: attempts that may have been billed, of which nobody knows how much."""

    @property
    def last_ns(self) -> int:
        """The latest time that anything was recorded at, on the run's time line; 0 when nothing was."""
        ends = [int(segment.get("end_ns") or 0) for segment in self.facts.get("segments", ())]
        return max([0, *ends, int(self.end_ns.max(initial=0))])


def is_abandoned(row: Mapping[str, Any]) -> bool:
    """Whether we ended this request ourselves (a second Ctrl-C): it is no result, and is sent again when the run goes on."""
    return row.get("fault_code") == "cancelled" and row.get("outcome") in ("transport", "truncated")


def recorded(run_dir: Path) -> Recorded:
    """Reads what a run holds. Raises CannotRun when a table or a journal cannot be read."""
    rows = _Rows()
    if (run_dir / "requests.parquet").exists():
        for batch in read_table(run_dir, "requests", _NEEDED).to_batches(10_000):
            for row in batch.to_pylist():
                rows.add(row)
    meta: dict[str, Any] = {}
    sent: set[int] = set()
    newest, newest_from, dropped = -1, 0, 0
    for path in journals(run_dir):
        with read(path) as records:
            if not records.headed:  # killed before its head was written: it holds nothing, and no request was sent
                continue
            if segment_of(path) != newest:
                newest, newest_from, meta, sent = segment_of(path), len(rows.seq), {}, set()
            for record in records:
                rows.add(record["request"])
            sent.update(records.sent)
            dropped += records.dropped_bytes
            meta |= records.meta
    facts = _manifest(run_dir)
    if not facts or len(meta.get("segments", ())) > len(facts.get("segments", ())):
        facts = _closed(meta, rows.end_ns[newest_from:])
    sent.difference_update(rows.seq[newest_from:])
    return rows.columns(facts, np.array(sorted(sent), np.int64), dropped)


def _manifest(run_dir: Path) -> dict[str, Any]:
    path = run_dir / MANIFEST
    try:
        facts = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, orjson.JSONDecodeError) as error:
        raise CannotRun(f"{path}: cannot read: {error}", DAMAGED) from error
    return facts if isinstance(facts, dict) else {}


def _closed(meta: dict[str, Any], end_ns: array[int]) -> dict[str, Any]:
    """The head of a journal whose segment crashed, with what its rows say of its end."""
    *before, last = meta.get("segments") or [{"n": 0}]
    last = {
        **last,
        "end_ns": max((ns for ns in end_ns if ns != NOT_KNOWN), default=None),
        "requests": len(end_ns),
        "stopped": CRASHED,
        "invalid": [],
        "calibration": meta.get("calibration"),
        "instrument": None,
    }
    return {**meta, "segments": [*before, last]}


def _known(ns: int | None) -> int:
    return NOT_KNOWN if ns is None else ns


@dataclass(slots=True)
class _Rows:
    """Rows as they are found, older ones first, compactly: a long run has a million."""

    seq: array[int] = field(default_factory=lambda: array("q"))
    sent_ns: array[int] = field(default_factory=lambda: array("q"))
    end_ns: array[int] = field(default_factory=lambda: array("q"))
    abandoned: array[int] = field(default_factory=lambda: array("b"))
    picodollars: array[int] = field(default_factory=lambda: array("q"))
    unpriced: array[int] = field(default_factory=lambda: array("q"))
    target: array[int] = field(default_factory=lambda: array("q"))
    targets: dict[str, int] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        self.seq.append(row["seq"])
        self.sent_ns.append(_known(row.get("sent_ns")))
        self.end_ns.append(_known(row.get("end_ns")))
        self.abandoned.append(is_abandoned(row))
        self.picodollars.append(int(((row.get("cost_usd") or 0) + (row.get("cost_retries_usd") or 0)) * _PICO))
        self.unpriced.append(row.get("unpriced_attempts") or 0)
        self.target.append(self.targets.setdefault(row["target"], len(self.targets)))

    def columns(self, facts: dict[str, Any], in_flight: Ints, dropped: int) -> Recorded:
        """The last row of every request."""
        seq = np.array(self.seq, np.int64)
        _, from_the_end = np.unique(seq[::-1], return_index=True)
        keep = len(seq) - 1 - from_the_end
        of, amounts = np.array(self.target, np.int64)[keep], np.array(self.picodollars, np.int64)[keep]
        abandoned = np.array(self.abandoned, np.bool_)[keep]
        unpriced = np.where(
            abandoned, 0, np.array(self.unpriced, np.int64)[keep]
        )  # those are counted where they are sent again
        return Recorded(
            facts=facts,
            seq=seq[keep],
            sent_ns=np.array(self.sent_ns, np.int64)[keep],
            end_ns=np.array(self.end_ns, np.int64)[keep],
            abandoned=abandoned,
            in_flight=in_flight,
            spent_usd={name: int(amounts[of == at].sum()) / _PICO for name, at in self.targets.items()},
            dropped_bytes=dropped,
            unpriced={name: int(unpriced[of == at].sum()) for name, at in self.targets.items()},
        )
