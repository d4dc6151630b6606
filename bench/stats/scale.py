"""The same table from millions of rows: exact, column by column, without ever holding the rows.

Every figure is made by the very functions that make it of few rows; what differs is how its columns come into memory. Rows
are put in the order of target, run, block and case once; after that a column is read, reordered, used and let go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.metrics import plural
from bench.stats import pauses, proof, residue, slo, steady
from bench.stats.cells import FIGURES, LATENCY, cell, cells, completed
from bench.stats.levels import COLUMNS, TEXT_COLUMNS, levels_of
from bench.stats.measured import DURATIONS, Measured, Selection
from bench.stats.quantiles import Floats, Ints
from bench.stats.table import Seen, check_baseline, finished
from bench.stats.types import Cell, Level, Table

if TYPE_CHECKING:
    import pandas as pd

Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

ROW_WORDS = ("outcome", "first_attempt_outcome", "fault_code", "region_proof", *residue.ROW_FIELDS)
THREADS = 2
"""Sorting and counting leave the interpreter lock; more threads would only cost memory."""
_MOST_KEYS = 1 << 62


class Stored(Protocol):
    """A stored table, by columns (bench.store.columns has the reader)."""

    @property
    def rows(self) -> int: ...
    @property
    def counts(self) -> tuple[int, ...]: ...
    def floats(self, name: str) -> Floats: ...
    def ints(self, name: str, null: int = -1) -> Ints: ...
    def flags(self, name: str) -> Bools: ...
    def words(self, name: str) -> tuple[Codes, list[str]]: ...
    def run_codes(self) -> Codes: ...
    def has(self, name: str) -> bool: ...
    def bounds(self, name: str) -> tuple[float, float, int] | None: ...
    def chunks(
        self, floats: Sequence[str] = (), words: Sequence[str] = (), flags: Sequence[str] = ()
    ) -> Iterator[tuple[int, dict[str, Any]]]: ...


@dataclass(eq=False)
class Ordered:
    """Which rows count, in the order of target, run, block, case: and what is known of all of them."""

    requests: Stored
    order: Ints
    names: list[str]
    edges: Ints
    """Where each target's rows begin, and the end."""
    block: Codes
    run: Codes
    cluster: Codes
    pair: Ints
    ok: Bools
    from_due: bool
    closed: Floats | None = None
    """How far the stamps of each row move back since pauses are closed; None where there are none."""
    notes: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def floats(self, name: str) -> Floats:
        """A column in this order; all unknown where it is not stored."""
        if not self.requests.has(name):
            return np.full(len(self.order), np.nan)
        values = self.requests.floats(name)[self.order]
        if self.closed is not None and name in pauses.STAMPS:
            values -= self.closed
        return values

    def of(self, target: int) -> slice:
        return slice(int(self.edges[target]), int(self.edges[target + 1]))


def build(
    requests: Stored, attempts: Stored, scores: Stored, manifest: Mapping[str, Any], baseline: str | None = None
) -> Table:
    """The table of `bench.stats.table.build`, from stored columns."""
    listed = [about["id"] for about in manifest.get("targets") or []]
    rows = ordered(requests, manifest, listed)
    check_baseline(baseline, rows.names)
    seed = int(manifest.get("seed") or 0)
    limits = slo.limits_ms((manifest.get("workload") or {}).get("slo") or {})
    right, scorer_notes = _right(rows, scores, manifest)
    targets, made = _figures(rows, right, scores.rows > 0, manifest, seed, limits)
    del right
    steadiness, unjudged = steady.judge(_with_times(rows, targets), manifest)
    of_course = steady.figures(steadiness)
    figures = {
        m.target: completed(made[m.target] | of_course.get(m.target, {}))
        if m.n
        else cells(m, rows.from_due, seed, {}, limits)
        for m in targets
    }
    simulated = requests.flags("simulated")
    levels, sent = _levels(requests, manifest)
    seen = Seen(
        attempts=_attempts_frame(attempts), proofs=proofs(attempts), scorer_gaps=scorer_notes,
        simulated=bool(manifest.get("simulated")) or bool(simulated.any()), mixed=not bool(simulated.all()),
        levels=levels, levels_sent=sent,
    )  # fmt: skip
    selection = Selection(
        tuple(targets), _words_frame(rows), rows.from_due, limits, tuple(rows.notes), tuple(rows.alarms)
    )
    return finished(selection, figures, seen, manifest, baseline, steady.alarms(steadiness), unjudged)


def _levels(requests: Stored, manifest: Mapping[str, Any]) -> tuple[tuple[Level, ...], int]:
    """The levels of a sweep, and how many were sent; nothing is read of a run without any."""
    said = requests.bounds("level")
    if not requests.has("level") or (said is not None and said[2] == requests.rows):
        return (), 0
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in COLUMNS:
        if name in TEXT_COLUMNS:
            codes, names = requests.words(name)
            columns[name] = np.array([*names, None], dtype=object)[codes]
        elif name == "spoiled":
            columns[name] = requests.flags(name)
        else:
            columns[name] = requests.floats(name) if requests.has(name) else np.full(requests.rows, np.nan)
    sent = len(np.unique(columns["level"][~np.isnan(columns["level"])]))
    return tuple(levels_of(columns, (manifest.get("workload") or {}).get("slo") or {})), sent


# ---------------------------------------------------------------- which rows, in which order


def ordered(requests: Stored, manifest: Mapping[str, Any], listed: Sequence[str]) -> Ordered:
    alarms: list[str] = []
    closed, notes = _closed_up(requests, manifest)
    target, names = requests.words("target")
    keep = _counted(requests, target, names, notes, alarms)
    target, names = _as_listed(target, names, listed)
    chosen = np.flatnonzero(keep)
    run = requests.run_codes()[chosen]
    block = requests.ints("block_id")[chosen]
    case, cases = requests.words("case_id")
    case = case[chosen]
    of_target = target[chosen]
    repeat = requests.ints("repeat", 0)[chosen]
    base = _mixed(
        run.astype(np.int64), [(block + 1, _top(block) + 1), (case + 1, len(cases) + 1), (repeat, _top(repeat))]
    )
    key = _mixed(of_target.astype(np.int64), [(base, _top(base))])
    sorting = np.argsort(key, kind="stable")
    key, base = key[sorting], base[sorting]
    edges = np.searchsorted(of_target[sorting], np.arange(len(names) + 1))
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    copy = np.arange(len(key)) - np.repeat(begins, np.diff(np.append(begins, len(key))))
    del key
    pair = _mixed(base, [(copy, _top(copy))])
    run, block = run[sorting], block[sorting]
    whole = _mixed(run.astype(np.int64), [(block + 1, _top(block) + 1)])
    clusters = manifest.get("clusters") or {}
    sources = [str(clusters.get(name) or name) for name in cases]
    of_case = np.unique(sources or ["-"], return_inverse=True)[1].astype(np.int32)
    outcome, outcomes = requests.words("outcome")
    order = chosen[sorting]
    return Ordered(
        requests, order, names, edges, _dense(whole, order, edges), run.astype(np.int32), of_case[case[sorting]], pair,
        _is(outcome, outcomes, "ok")[order], _all_due(requests, order), None if closed is None else closed[order],
        notes, alarms,
    )  # fmt: skip


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


def _all_due(requests: Stored, order: Ints) -> bool:
    """Whether every row that counts has a due time: then latency counts from it."""
    said = requests.bounds("due_ns")
    if len(order) == 0 or not requests.has("due_ns"):
        return False
    return (said is not None and said[2] == 0) or not bool(np.isnan(requests.floats("due_ns")[order]).any())


def _counted(requests: Stored, target: Codes, names: Sequence[str], notes: list[str], alarms: list[str]) -> Bools:
    """Rows that figures are made of; what is left out is said, as it is for few rows."""
    phase, phases = requests.words("phase")
    keep = _is(phase, phases, "measure")
    if not keep.all():
        notes.append(f"{plural(int((~keep).sum()), 'warm-up request')} stored and left out")
    outcome, outcomes = requests.words("outcome")
    seq: Ints | None = None

    def without(bad: Bools, say: list[str], why: str) -> None:
        nonlocal seq
        bad = bad & keep
        if not bad.any():
            return
        seq = requests.ints("seq") if seq is None else seq
        worst = ", ".join(f"{n} of {names[t]}" for t, n in enumerate(np.bincount(target[bad])) if n)
        first = ", ".join(str(number) for number in seq[bad][:3])
        more = ", ..." if int(bad.sum()) > 3 else ""
        say.append(f"{plural(int(bad.sum()), 'row')} {why} ({worst}; seq {first}{more})")
        np.logical_and(keep, ~bad, out=keep)

    without(requests.flags("spoiled"), notes,
            "taken while our own instrument was the bottleneck (spoiled): stored and left out")  # fmt: skip
    without(
        _is(outcome, outcomes, "bug"), alarms, "that ended in a bug of bench itself: left out, neither slow nor failed"
    )
    impossible = np.zeros(len(keep), dtype=bool)
    for name in DURATIONS:
        said = requests.bounds(name)
        if requests.has(name) and (said is None or said[0] < 0 or (said[1] == np.inf and said[0] != np.inf)):
            values = requests.floats(name)
            impossible |= (values < 0) | np.isinf(values)
    said = requests.bounds("e2e_ms")
    if said is None or said[2]:
        impossible |= _is(outcome, outcomes, "ok") & np.isnan(requests.floats("e2e_ms"))
    earlier = requests.floats("sent_ns")
    first, end = requests.floats("first_token_ns"), requests.floats("end_ns")
    impossible |= (first < earlier) | (end < earlier) | (end < first)
    del earlier, first, end
    without(impossible, alarms,
            "with a negative, infinite or missing duration, or stamps out of order, a bug in bench: left out")  # fmt: skip
    return keep


def _as_listed(target: Codes, names: list[str], listed: Sequence[str]) -> tuple[Codes, list[str]]:
    """Targets in the order of the manifest, then in that of the rows."""
    wanted = list(dict.fromkeys([*listed, *names]))
    places = np.array([wanted.index(name) for name in names] or [0], np.int32)
    return places[target], wanted


def _top(values: npt.NDArray[Any]) -> int:
    return int(values.max()) + 1 if len(values) else 1


def _mixed(key: Ints, digits: Sequence[tuple[npt.NDArray[Any], int]]) -> Ints:
    """One integer of several, in their order; made dense first where it would not fit."""
    for digit, size in digits:
        if len(key) and int(key.max() + 1) * size >= _MOST_KEYS:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
        key = key * size + digit
    return key


def _dense(groups: Ints, stored: Ints, edges: Ints) -> Codes:
    """Codes from 0 in each target's part, in the order in which the groups first come in the file; the parts are sorted."""
    out = np.zeros(len(groups), np.int32)
    for begin, end in pairwise(edges):
        part = groups[begin:end]
        if len(part):
            begins = np.flatnonzero(np.concatenate([[True], part[1:] != part[:-1]]))
            rank = np.argsort(np.argsort(np.minimum.reduceat(stored[begin:end], begins)))
            out[begin:end] = np.repeat(rank, np.diff(np.append(begins, len(part))))
    return out


def _is(codes: Codes, names: Sequence[str], word: str) -> Bools:
    return codes == names.index(word) if word in names else np.zeros(len(codes), dtype=bool)


# ---------------------------------------------------------------- the figures, column by column


def _figures(
    rows: Ordered, right: Floats, scored: bool, manifest: Mapping[str, Any], seed: int, limits: Mapping[str, float]
) -> tuple[list[Measured], dict[str, dict[str, Cell]]]:
    """Each target with the columns that comparisons need, and all its figures."""
    targets, ttft_ms = _targets(rows, right, scored, manifest, limits)
    made: dict[str, dict[str, Cell]] = {m.target: {} for m in targets}

    def make(columns: Mapping[str, npt.NDArray[Any]], names: Sequence[str]) -> None:
        _all(rows, targets, made, seed, limits, columns, names)

    # Columns that no comparison needs are made and let go one after the other: each is 8 bytes for every row.
    make({"ttft_sent": np.where(rows.ok, ttft_ms, np.nan)}, _figures_of("ttft_sent"))
    del ttft_ms
    make({"e2e_sent": np.where(rows.ok, rows.floats("e2e_ms"), np.nan)}, _figures_of("e2e_sent"))
    first_ok, names = rows.requests.words("first_attempt_outcome")
    make({"first_ok": _is(first_ok, names, "ok")[rows.order]}, ("first_ok_share",))
    del first_ok
    make({name: rows.floats(name) for name in ("content_events", "same_read_events")}, ("same_read_share",))
    done = next(iter(made.values()), {})
    make({}, [name for name in FIGURES if name not in done])
    return targets, made


def _figures_of(*columns: str) -> list[str]:
    return [name for name, (column, _) in LATENCY.items() if column in columns]


def latencies_ms(rows: Ordered, ttft_ms: Floats) -> tuple[Floats, Floats]:
    """TTFT and E2E as a caller sees them, from the due time or the first send; NaN: not known, inf: failed.

    `ttft_ms` is the stored column of that name: where it is null, nothing was streamed.
    """
    ttft = (
        rows.floats("ttft_due_ms") if rows.from_due else (rows.floats("first_token_ns") - rows.floats("sent_ns")) / 1e6
    )
    ttft[np.isnan(ttft_ms)] = np.nan
    ttft[~rows.ok] = np.inf
    e2e = rows.floats("e2e_due_ms" if rows.from_due else "e2e_all_ms")
    e2e[~rows.ok] = np.inf
    return ttft, e2e


def _targets(
    rows: Ordered, right: Floats, scored: bool, manifest: Mapping[str, Any], limits: Mapping[str, float]
) -> tuple[list[Measured], Floats]:
    """The targets with what comparisons need; and `ttft_ms` of all rows, which another figure needs."""
    ok, hidden, ttft_ms = rows.ok, _hidden(rows), rows.floats("ttft_ms")
    ttft, e2e = latencies_ms(rows, ttft_ms)
    tpot = rows.floats("tpot_ms")
    tokens = rows.floats("output_tokens")
    within, not_known = np.full(len(ok), np.nan, np.float32), np.zeros(len(ok), dtype=bool)
    if limits:
        values = {"ttft": ttft, "e2e": e2e, "tpot": tpot}
        if "itl" in limits:
            values["itl"] = rows.floats("icl_max_ms")
        met, not_known = slo.within(limits, values, ok, tokens)
        within = met.astype(np.float32)
        del met, values
    tpot[hidden] = np.nan
    tpot[~ok] = np.inf
    cost = rows.floats("cost_usd")
    books = rows.requests.words("price_book")[0][rows.order] >= 0
    late, lag = rows.floats("lateness_ms").astype(np.float32), rows.floats("loop_lag_ms").astype(np.float32)
    start = "due_ns" if rows.from_due else "sent_ns"
    starts, ends = rows.floats(start), rows.floats("end_ns")
    about = {one["id"]: one for one in manifest.get("targets") or []}
    seen = {name: rows.requests.words(name) for name in ("model", "provider", "region")}
    targets: list[Measured] = []
    for t, name in enumerate(rows.names):
        part = rows.of(t)
        columns = {
            "ttft": ttft[part], "e2e": e2e[part], "tpot": tpot[part], "right": right[part], "cost": cost[part],
            "ok": ok[part], "within": within[part], "block": rows.block[part], "cluster": rows.cluster[part],
            "run": rows.run[part], "pair": rows.pair[part], "lateness_ms": late[part], "loop_lag_ms": lag[part],
            "output_tokens": tokens[part].astype(np.float32), start: starts[part], "end_ns": ends[part],
        }  # fmt: skip
        gaps = _gaps(columns, hidden[part], not_known[part], scored, books[part])
        told = {key: _told(about.get(name, {}).get(key), seen[key], rows.order[part]) for key in seen}
        spent = cost[part][~np.isnan(cost[part])]
        targets.append(Measured(
            name, told["model"] or "", told["provider"] or "", told["region"], _frame(columns),
            Decimal(f"{spent.sum():.6f}") if len(spent) else None, gaps,
        ))  # fmt: skip
    return targets, ttft_ms


def _hidden(rows: Ordered) -> Bools:
    """Replies whose reasoning was billed but not streamed; nothing is read where no row has reasoning tokens."""
    said = rows.requests.bounds("reasoning_tokens")
    if not rows.requests.has("reasoning_tokens") or (said is not None and said[1] <= 0):
        return np.zeros(len(rows.order), dtype=bool)
    hidden = rows.floats("reasoning_tokens") > 0
    hidden &= rows.floats("first_token_ns") == rows.floats("first_text_ns")
    return hidden


def _frame(columns: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(columns), copy=False)


_ONLY_COMPARED = frozenset({"ttft", "e2e", "tpot", "pair", "lateness_ms", "loop_lag_ms"})
"""What no figure reads but those of latency. A figure selects rows: columns beside it would only be copied."""


def _all(
    rows: Ordered,
    targets: Sequence[Measured],
    made: Mapping[str, dict[str, Cell]],
    seed: int,
    limits: Mapping[str, float],
    columns: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str],
) -> None:
    """These figures of every target, a few targets at a time; `columns` are those the targets do not keep."""

    def one(t: int) -> None:
        m = targets[t]
        if m.n == 0:
            return
        mine = {name: values[rows.of(t)] for name, values in columns.items()}
        for name in names:
            of = LATENCY[name][0] if name in LATENCY else ""
            derived = dict(mine)
            if of == "speed":
                with np.errstate(divide="ignore"):
                    derived["speed"] = 1000.0 / m.frame["tpot"].to_numpy()
            reads = {"ok", "block", of} if of else set(map(str, m.frame.columns)) - _ONLY_COMPARED
            kept: dict[str, Any] = {column: m.frame[column].to_numpy() for column in reads if column in m.frame}
            narrow = Measured(m.target, m.model, m.provider, m.region, _frame(kept | derived), m.spent_usd, m.gaps)
            made[m.target][name] = cell(narrow, name, rows.from_due, seed, limits)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(targets))))


def _told(listed: Any, seen: tuple[Codes, list[str]], order: Ints) -> str | None:
    """What the manifest says of a target, else what its first row says."""
    if listed is not None:
        return str(listed)
    codes, names = seen
    return names[codes[order[0]]] if len(order) and codes[order[0]] >= 0 else None


def _gaps(
    columns: Mapping[str, npt.NDArray[Any]], hidden: Bools, not_known: Bools, scored: bool, books: Bools
) -> dict[str, str]:
    """Why a value is not known for some of the successful rows, in the words of `bench.stats.measured`."""
    gaps: dict[str, str] = {}
    ok = columns["ok"]
    count = int(ok.sum())

    def gap(column: str, why: str, missing: Bools | None = None) -> None:
        n = int((ok & (np.isnan(columns[column]) if missing is None else missing)).sum())
        if n:
            gaps[column] = why if n == count else f"{n} of {count} ok requests: {why}"

    if not count:
        return gaps
    gap("ttft", "not streamed: no first token to time")
    why = "all content came in one read, or too few tokens"
    gap("tpot", f"TPOT unknown: {'reasoning tokens were billed but not streamed' if (ok & hidden).any() else why}")
    gap("within", "a duration that the slo limits is not known, and counts as missed", not_known)
    gap("right", "no required scorer could judge" if scored else "nothing was scored")
    why = "no price known for this target; add one to its `price:`"
    gap("cost", "no token counts were reported" if books.any() else why)
    return gaps


def _right(rows: Ordered, scores: Stored, manifest: Mapping[str, Any]) -> tuple[Floats, list[str]]:
    """As `bench.stats.measured` tells it: 1, 0 or unknown for every row; and what required scorers did not judge."""
    if scores.rows == 0:
        return np.full(len(rows.order), np.nan), []
    scorer, scorers = scores.words("scorer")
    listed = manifest.get("scorers") or []
    required = {one["name"] for one in listed if one.get("required")} or {one["name"] for one in listed} or set(scorers)
    value = scores.floats("value")
    notes = []
    for name in sorted(required):
        mine = _is(scorer, scorers, name)
        if silent := int(np.isnan(value[mine]).sum()):
            notes.append(f"scorer {name} did not apply to, or could not judge, {silent} of {int(mine.sum())} replies")
    counts = np.isin(scorer, [n for n, name in enumerate(scorers) if name in required]) & ~np.isnan(value)
    of, names = scores.words("target")
    known = {name: t for t, name in enumerate(rows.names)}
    place = np.array([known.get(name, len(known)) for name in names] or [0], np.int64)
    seq, asked = scores.ints("seq"), rows.requests.ints("seq")[rows.order]
    width = int(max(seq.max(initial=0), asked.max(initial=0))) + 1
    runs = int(max(scores.run_codes().max(initial=0), rows.run.max(initial=0))) + 1
    state = np.zeros((len(known) + 1) * runs * width, np.int8)

    def at(target: npt.NDArray[Any], run: npt.NDArray[Any], number: Ints) -> Ints:
        return np.asarray((target.astype(np.int64) * runs + run) * width + number, dtype=np.int64)

    keys, good = at(place[of], scores.run_codes(), seq)[counts], value[counts] >= 1 - 1e-9
    state[keys[good]] = 2
    state[keys[~good]] = 1  # one that is not right makes the reply wrong
    found = state[at(np.repeat(np.arange(len(known)), np.diff(rows.edges)), rows.run, asked)]
    return np.where(rows.ok, np.where(found == 0, np.nan, found == 2), 0.0), notes


def _with_times(rows: Ordered, targets: Sequence[Measured]) -> list[Measured]:
    """The targets with no more than what the course over time is judged by."""
    sent, end = rows.floats("sent_ns"), rows.floats("end_ns")
    return [
        Measured(m.target, m.model, m.provider, m.region, _frame({
            "run": m.frame["run"].to_numpy(), "ttft": m.frame["ttft"].to_numpy(), "sent_ns": sent[rows.of(t)],
            "end_ns": end[rows.of(t)],
        }))
        for t, m in enumerate(targets)
    ]  # fmt: skip


def _words_frame(rows: Ordered) -> pd.DataFrame:
    """The columns of text as categories: a byte or two per row."""
    made = {name: _category(rows.requests, name, rows.order) for name in ROW_WORDS if rows.requests.has(name)}
    made["target"] = _category(rows.requests, "target", rows.order)
    made["attempts"] = rows.requests.ints("attempts", 1)[rows.order].astype(np.int16)
    return _frame(made)


def _attempts_frame(attempts: Stored) -> pd.DataFrame:
    names = ("target", *residue.ATTEMPT_FIELDS)
    everything = np.arange(attempts.rows)
    return _frame({name: _category(attempts, name, everything) for name in names})


def proofs(attempts: Stored) -> pd.DataFrame:
    """The attempts that `bench.stats.proof` speaks of: all answered by a stranger, and the nearest to each limit."""
    import pandas as pd

    there = [name for name in proof.FIELDS if attempts.has(name)]
    words = ("target", *(name for name in ("fault_code", "identity") if name in there))
    numbers = [name for name in there if name not in words and not _all_null(attempts, name)]
    kept = []
    for _, chunk in attempts.chunks(numbers, words) if attempts.rows else ():
        of, names = chunk["target"]
        chosen = set()
        if "fault_code" in chunk:
            faults, fault_names = chunk["fault_code"]
            chosen.update(np.flatnonzero(_is(faults, fault_names, proof.CONTRADICTED)).tolist())
        ranks = [-chunk[name] for name in numbers if name == "utilisation_share"]
        with np.errstate(divide="ignore", invalid="ignore"):
            ranks += [
                np.where(chunk[limit] > 0, chunk[left] / chunk[limit], np.nan)
                for limit in numbers
                if limit.startswith("limit_") and (left := limit.replace("limit_", "remaining_")) in numbers
            ]
        for rank in ranks:
            for t in range(len(names)):
                mine = np.flatnonzero((of == t) & ~np.isnan(rank))
                chosen.update(mine[[np.argmin(rank[mine])]].tolist() if len(mine) else [])
        if at := sorted(chosen):
            rows = {name: chunk[name][at] for name in numbers}
            rows |= {name: [_word(chunk[name], i) for i in at] for name in words}
            kept.append(pd.DataFrame(rows))
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=["target", *proof.FIELDS])


def _all_null(stored: Stored, name: str) -> bool:
    said = stored.bounds(name)
    return said is not None and said[2] == stored.rows


def _word(column: tuple[Codes, list[str]], at: int) -> str | None:
    codes, names = column
    return names[codes[at]] if codes[at] >= 0 else None


def _category(stored: Stored, name: str, order: Ints) -> Any:
    import pandas as pd

    codes, names = stored.words(name)
    return pd.Categorical.from_codes(codes[order], categories=pd.Index(names, dtype=object))
