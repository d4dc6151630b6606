"""Stored rows in the order of target, run, block and case, without holding more of them than that order.

Which rows count is told first, as `bench.stats.measured` tells it of few rows. After that a column is read, each value put
at its place, used and let go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.metrics import plural
from bench.stats import pauses
from bench.stats.groups import Floats, in_order
from bench.stats.measured import DURATIONS, whole_runs
from bench.stats.threads import in_threads, together

Codes = npt.NDArray[np.int32] | npt.NDArray[np.int16] | npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]
Big = npt.NDArray[np.int64]
Width = type[np.floating[Any]]

_MOST_KEYS = 1 << 62


class Stored(Protocol):
    """A stored table, by columns (bench.store.columns has the reader)."""

    @property
    def rows(self) -> int: ...
    @property
    def counts(self) -> tuple[int, ...]: ...
    def floats(
        self, name: str, place: npt.NDArray[np.int32] | None = None, kept: int = 0, dtype: Width = np.float64
    ) -> Floats: ...
    def ints(self, name: str, null: int = -1) -> Big: ...
    def flags(self, name: str) -> Bools: ...
    def words(self, name: str) -> tuple[Codes, list[str]]: ...
    def run_codes(self) -> npt.NDArray[np.int32]: ...
    def has(self, name: str) -> bool: ...
    def unknown(self, name: str) -> bool: ...
    def bounds(self, name: str) -> tuple[float, float, int] | None: ...
    def chunks(
        self,
        floats: Sequence[str] = (),
        words: Sequence[str] = (),
        flags: Sequence[str] = (),
        texts: Sequence[str] = (),
    ) -> Iterator[tuple[int, dict[str, Any]]]: ...


@dataclass(eq=False)
class Ordered:
    """Which rows count, in the order of target, run, block, case: and what is known of all of them."""

    requests: Stored
    place: npt.NDArray[np.int32]
    """Where each stored row goes; those that do not count have the place after the last."""
    names: list[str]
    target: Codes
    """Of every stored row; those that do not count have the number after the last."""
    edges: Big
    """Where each target's rows begin, and the end."""
    block: npt.NDArray[np.int32]
    run: npt.NDArray[np.int32]
    cluster: npt.NDArray[np.int32]
    pair: list[Big]
    """By target; those that are the same stand in the same array."""
    ok: Bools
    from_due: bool = False
    closed: Floats | None = None
    """How far the stamps of each row move back since pauses are closed; None where there are none."""
    notes: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        return int(self.edges[-1])

    def floats(self, name: str, dtype: Width = np.float64) -> Floats:
        """A column in this order. Where all rows say the same, or nothing, one value stands for all: it is not to be changed."""
        if (only := self._only(name)) is not None:
            values: Floats = np.broadcast_to(only, self.n)
        else:
            values = self.requests.floats(name, self.place, self.n, dtype)
        return values - self.closed if self.closed is not None and name in pauses.STAMPS else values

    def _only(self, name: str) -> np.float64 | None:
        if self.requests.unknown(name):
            return np.float64(np.nan)
        said = self.requests.bounds(name)
        # Footers write zero as -0.0 where it is the smallest.
        return np.float64(said[0] + 0.0) if said is not None and said[0] == said[1] and said[2] == 0 else None

    @cached_property
    def number(self) -> npt.NDArray[np.int32] | Big:
        """The number in the plan of every row, in this order."""
        said = self.requests.bounds("seq")
        stored = self.requests.ints("seq")
        return self.put(stored.astype(np.int32) if said is not None and said[1] < 1 << 31 else stored)

    def put(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What stands in the order of the file, in this order."""
        out = np.empty(self.n + 1, stored.dtype)
        out[self.place] = stored
        return out[:-1]

    def of(self, target: int) -> slice:
        return slice(int(self.edges[target]), int(self.edges[target + 1]))


def ordered(requests: Stored, manifest: Mapping[str, Any], listed: Sequence[str]) -> Ordered:
    alarms: list[str] = []
    closed, notes = _closed_up(requests, manifest)
    target, names = requests.words("target")
    keep, (case, cases) = together(
        partial(_counted, requests, target, names, notes, alarms),
        partial(requests.words, "case_id"),
        rows=requests.rows,
    )
    target, names = _as_listed(target, names, listed)
    target[~keep] = len(names)
    block = requests.ints("block_id").astype(np.int32)
    base = _base(requests, block, case, len(cases))
    made = in_threads(partial(_rows_of, target, base), range(len(names)))
    del base
    pair = _pairs([key for _, key in made])
    edges = np.cumsum([0, *(len(rows) for rows, _ in made)])
    place = np.full(requests.rows, edges[-1], np.int32)
    of_row = requests.run_codes() if len(requests.counts) > 1 else None
    blocks = np.zeros(edges[-1], np.int32)
    run = np.broadcast_to(np.int32(0), edges[-1]) if of_row is None else np.zeros(edges[-1], np.int32)
    for t, (rows, _) in enumerate(made):
        part = slice(edges[t], edges[t + 1])
        place[rows] = np.arange(edges[t], edges[t + 1], dtype=np.int32)
        if of_row is not None:
            run[part] = of_row[rows]
        blocks[part] = _numbered(rows, run[part], np.zeros(0, np.int32) if whole_runs(manifest) else block[rows])
    del made, block
    clusters = manifest.get("clusters") or {}
    sources = [str(clusters.get(name) or name) for name in cases]
    of_case = np.unique(sources or ["-"], return_inverse=True)[1].astype(np.int32)
    found = Ordered(
        requests, place, names, target, edges, blocks, run, np.zeros(0, np.int32), pair, np.zeros(0, bool),
        notes=notes, alarms=alarms,
    )  # fmt: skip
    found.cluster = found.put(of_case[case])
    found.ok = found.put(is_word(*requests.words("outcome"), "ok"))
    found.closed = None if closed is None else found.put(closed)
    found.from_due = _all_due(requests, found)
    return found


def _rows_of(target: Codes, base: Big, t: int) -> tuple[Big, Big]:
    """The rows of one target in order, and their keys."""
    rows = np.flatnonzero(target == t)
    key = base[rows]
    if in_order(key):
        return rows, key
    by = np.argsort(key, kind="stable")
    return rows[by], key[by]


def _base(requests: Stored, block: npt.NDArray[np.int32], case: Codes, cases: int) -> Big:
    """One number for all that two targets' rows share when they are a pair, and in the order of run, block and case."""
    key = requests.run_codes().astype(np.int64) if len(requests.counts) > 1 else np.zeros(requests.rows, np.int64)
    key = _mixed(key, block, 1, _top(block) + 1)
    key = _mixed(key, case, 1, cases + 1)
    said = requests.bounds("repeat")
    if said is not None and said[1] <= 0 and (said[2] == 0 or said[2] == requests.rows):
        return key
    repeat = requests.ints("repeat", 0)
    return _mixed(key, repeat, 0, _top(repeat))


def _mixed(key: Big, digit: npt.NDArray[Any], more: int, size: int) -> Big:
    """key × size + digit + more, in place; made dense first where it would not fit."""
    if len(key) and int(key.max() + 1) * size >= _MOST_KEYS:
        key = np.unique(key, return_inverse=True)[1].astype(np.int64)
    key *= size
    key += digit
    key += more
    return key


def _pairs(keys: list[Big]) -> list[Big]:
    """Keys of pairs, by target: rows of one target that share all of it are paired in the order they stand."""
    again = [key[1:] == key[:-1] for key in keys]
    if any(same.any() for same in again):
        copies = []
        for same in again:
            begins = np.flatnonzero(np.concatenate([[True], ~same])) if len(same) else np.zeros(1, np.int64)
            n = len(same) + 1
            copies.append(np.arange(n) - np.repeat(begins, np.diff(np.append(begins, n))))
        copies = [copy[: len(key)] for copy, key in zip(copies, keys, strict=True)]
        most = max(_top(copy) for copy in copies)
        together = _mixed(np.concatenate(keys), np.concatenate(copies), 0, most)
        keys = np.split(together, np.cumsum([len(key) for key in keys])[:-1])
    return [keys[0] if t and np.array_equal(key, keys[0]) else key for t, key in enumerate(keys)]


def _numbered(rows: Big, run: npt.NDArray[np.int32], block: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Codes of the blocks of one target, or of its runs where `block` is empty: from 0, in the order in which they first
    come in the file."""
    if len(rows) == 0:
        return np.zeros(0, np.int32)
    new = np.ones(len(rows), bool)
    np.not_equal(run[1:], run[:-1], out=new[1:])
    if len(block):
        new[1:] |= block[1:] != block[:-1]
    begins = np.flatnonzero(new)
    rank = np.argsort(np.argsort(np.minimum.reduceat(rows, begins))).astype(np.int32)
    return np.repeat(rank, np.diff(np.append(begins, len(rows))))


def _closed_up(requests: Stored, manifest: Mapping[str, Any]) -> tuple[Floats | None, list[str]]:
    """How far every row's stamps move back, and what is said of it: as `bench.stats.pauses` has it, run by run."""
    of_runs = manifest.get("segments_of_runs") or [manifest.get("segments") or []]
    closed: Floats | None = None
    notes: list[str] = []
    begin = 0
    for count, segments in zip(requests.counts, of_runs, strict=True):
        mine = slice(begin, begin + count)
        begin += count
        if len(segments) < 2:
            continue
        due, sent, ends = (requests.floats(name)[mine] for name in ("due_ns", "sent_ns", "end_ns"))
        lengths = pauses.lengths_ns(due, sent, ends, segments)
        notes += pauses.told(lengths, segments)
        closed = np.zeros(requests.rows) if closed is None else closed
        closed[mine] = pauses.moved_by(lengths, sent, segments)
    return closed, notes


def _all_due(requests: Stored, rows: Ordered) -> bool:
    """Whether every row that counts has a due time: then latency counts from it."""
    said = requests.bounds("due_ns")
    if rows.n == 0 or not requests.has("due_ns"):
        return False
    return (said is not None and said[2] == 0) or not bool(np.isnan(rows.floats("due_ns")).any())


def _counted(requests: Stored, target: Codes, names: Sequence[str], notes: list[str], alarms: list[str]) -> Bools:
    """Rows that figures are made of; what is left out is said, as it is for few rows."""
    phase, phases = requests.words("phase")
    keep = is_word(phase, phases, "measure")
    if not keep.all():
        notes.append(f"{plural(int((~keep).sum()), 'warm-up request')} stored and left out")
    outcome, outcomes = requests.words("outcome")
    seq: Big | None = None

    def without(bad: Bools, say: list[str], why: str) -> None:
        nonlocal seq
        bad = bad & keep
        if not bad.any():
            return
        seq = requests.ints("seq") if seq is None else seq
        of, first_at, counts = np.unique(target[bad], return_index=True, return_counts=True)
        worst = ", ".join(f"{counts[at]} of {names[of[at]]}" for at in np.argsort(first_at))
        first = ", ".join(str(number) for number in seq[bad][:3])
        more = ", ..." if int(bad.sum()) > 3 else ""
        say.append(f"{plural(int(bad.sum()), 'row')} {why} ({worst}; seq {first}{more})")
        np.logical_and(keep, ~bad, out=keep)

    without(requests.flags("spoiled"), notes,
            "taken while our own instrument was the bottleneck (spoiled): stored and left out")  # fmt: skip
    without(
        is_word(outcome, outcomes, "bug"),
        alarms,
        "that ended in a bug of bench itself: left out, neither slow nor failed",
    )
    impossible = np.zeros(len(keep), dtype=bool)
    for name in DURATIONS:
        said = requests.bounds(name)
        if requests.has(name) and (said is None or said[0] < 0 or said[1] == np.inf):
            values = requests.floats(name)
            impossible |= (values < 0) | np.isinf(values)
    said = requests.bounds("e2e_ms")
    if said is None or said[2]:
        impossible |= is_word(outcome, outcomes, "ok") & np.isnan(requests.floats("e2e_ms"))
    begin = 0
    for _, chunk in requests.chunks(("sent_ns", "first_token_ns", "end_ns")):
        sent, first, end = (chunk[name] for name in ("sent_ns", "first_token_ns", "end_ns"))
        impossible[begin : begin + len(sent)] |= (first < sent) | (end < sent) | (end < first)
        begin += len(sent)
    without(impossible, alarms,
            "with a negative, infinite or missing duration, or stamps out of order, a bug in bench: left out")  # fmt: skip
    return keep


def _as_listed(target: Codes, names: list[str], listed: Sequence[str]) -> tuple[Codes, list[str]]:
    """Targets in the order of the manifest, then in that of the rows."""
    wanted = list(dict.fromkeys([*listed, *names]))
    places = np.array([wanted.index(name) for name in names] or [0], np.int16)
    return places[target], wanted


def _top(values: npt.NDArray[Any]) -> int:
    return int(values.max()) + 1 if len(values) else 1


def is_word(codes: npt.NDArray[Any], names: Sequence[str], word: str) -> Bools:
    return codes == names.index(word) if word in names else np.zeros(len(codes), dtype=bool)
