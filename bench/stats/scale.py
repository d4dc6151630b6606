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

from bench.errors import ConfigError, Problem
from bench.metrics import BY_NAME, HEADLINE, METRICS, plural
from bench.stats import answers as first_screen
from bench.stats import proof, residue, steady
from bench.stats.cells import FEW_BLOCKS, cell, too_few
from bench.stats.comparisons import finish
from bench.stats.measured import DURATIONS, Measured
from bench.stats.quantiles import Floats, Ints
from bench.stats.table import (
    _astray,
    _carried,
    _comparison_columns,
    _drafts,
    _method,
    _partial,
    _reasons,
    _title,
    _unpaired,
)
from bench.stats.types import Cell, Row, Table
from bench.stats.verdicts import MARGINS

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
    notes: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def floats(self, name: str) -> Floats:
        """A column in this order; all unknown where it is not stored."""
        if not self.requests.has(name):
            return np.full(len(self.order), np.nan)
        return self.requests.floats(name)[self.order]

    def of(self, target: int) -> slice:
        return slice(int(self.edges[target]), int(self.edges[target + 1]))


def build(
    requests: Stored, attempts: Stored, scores: Stored, manifest: Mapping[str, Any], baseline: str | None = None
) -> Table:
    """The table of `bench.stats.table.build`, from stored columns. Levels of a sweep are not told apart."""
    listed = [about["id"] for about in manifest.get("targets") or []]
    rows = ordered(requests, manifest, listed)
    if baseline is not None and baseline not in rows.names:
        want = f"a target of this run, one of {', '.join(rows.names)}"
        raise ConfigError([Problem("", "baseline", baseline, want)])
    seed = int(manifest.get("seed") or 0)
    margins = {**MARGINS, **(manifest.get("margins") or {})}
    right, scorer_notes = _right(rows, scores, manifest)
    targets, made = _figures(rows, right, scores.rows > 0, manifest, seed)
    steadiness, unjudged = steady.judge(_with_times(rows, targets), manifest)
    of_course = steady.figures(steadiness)
    table_rows = tuple(
        Row(m.target, m.model, m.provider, m.region, m.n, m.blocks, m.spent_usd,
            _complete(made[m.target] | of_course.get(m.target, {}), m.n))
        for m in targets
    )  # fmt: skip
    compared = tuple(finish(_drafts(targets, baseline, seed, margins)))
    words = _words_frame(rows)
    proved = proofs(attempts)
    simulated = bool(manifest.get("simulated")) or bool(requests.flags("simulated").any())
    origin = "due times of the plan (open loop)" if rows.from_due else "first sends (closed loop)"
    notes = [
        f"TTFT and E2E count from the {origin}, retries and waits included; a failed request is infinitely slow",
        *residue.outcomes(targets, words),
        *_method(compared),
        *_reasons(compared),
        *residue.lengths(targets),
        *residue.residue(targets, words, _attempts_frame(attempts), manifest),
        *_carried(rows.names, manifest),
        *proof.near_limits(rows.names, proved),
        *scorer_notes,
        *_unpaired(compared, targets),
        *_astray(targets, manifest),
        *rows.notes,
        *residue.shared_reads(table_rows),
        *unjudged,
    ]
    few = [too_few(blocks) for blocks in sorted({m.blocks for m in targets if 0 < m.blocks < FEW_BLOCKS})]
    return Table(
        title=_title(manifest, targets),
        run_id=str(manifest.get("run_id") or ""),
        columns=HEADLINE,
        rows=table_rows,
        comparisons=compared,
        answers=first_screen.answers(targets, table_rows, compared, seed, margins),
        alarms=(
            *proof.strangers(rows.names, proved),
            *rows.alarms,
            *residue.alarms(targets, words),
            *few,
            *steady.alarms(steadiness),
        ),
        notes=tuple(notes),
        hint=first_screen.p99_hint(targets, {row.target: row.cells for row in table_rows}),
        instrument=residue.instrument(targets, manifest),
        command=str(manifest.get("command") or ""),
        run_folder=str(manifest.get("run_folder") or ""),
        simulated=simulated,
        partial=_partial(manifest),
        comparison_columns=_comparison_columns(compared),
    )


# ---------------------------------------------------------------- which rows, in which order


def ordered(requests: Stored, manifest: Mapping[str, Any], listed: Sequence[str]) -> Ordered:
    notes: list[str] = []
    alarms: list[str] = []
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
    known: dict[str, int] = {}
    of_case = np.array([known.setdefault(clusters.get(name) or name, len(known)) for name in cases] or [0], np.int32)
    outcome, outcomes = requests.words("outcome")
    order = chosen[sorting]
    return Ordered(
        requests, order, names, edges, _dense(whole, order, edges), run.astype(np.int32), of_case[case[sorting]], pair,
        _is(outcome, outcomes, "ok")[order], _all_due(requests, order), notes, alarms,
    )  # fmt: skip


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
    without(impossible, alarms, "with a negative, infinite or missing duration, a bug in bench: left out")
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
    rows: Ordered, right: Floats, scored: bool, manifest: Mapping[str, Any], seed: int
) -> tuple[list[Measured], dict[str, dict[str, Cell]]]:
    """Each target with the columns that comparisons need, and all its figures."""
    ok = rows.ok
    hidden = _hidden(rows)
    ttft_ms = rows.floats("ttft_ms")
    # Columns are made and let go one after the other: each is 8 bytes for every row.
    ttft = (
        rows.floats("ttft_due_ms") if rows.from_due else (rows.floats("first_token_ns") - rows.floats("sent_ns")) / 1e6
    )
    ttft[np.isnan(ttft_ms)] = np.nan
    ttft[~ok] = np.inf
    e2e = rows.floats("e2e_due_ms" if rows.from_due else "e2e_all_ms")
    e2e[~ok] = np.inf
    cost = rows.floats("cost_usd")
    books = rows.requests.words("price_book")[0][rows.order] >= 0
    tokens = rows.floats("output_tokens").astype(np.float32)
    late, lag = rows.floats("lateness_ms").astype(np.float32), rows.floats("loop_lag_ms").astype(np.float32)
    about = {one["id"]: one for one in manifest.get("targets") or []}
    seen = {name: rows.requests.words(name) for name in ("model", "provider", "region")}
    targets: list[Measured] = []
    made: dict[str, dict[str, Cell]] = {}
    tpot = rows.floats("tpot_ms")
    tpot[hidden] = np.nan
    tpot[~ok] = np.inf
    for t, name in enumerate(rows.names):
        part = rows.of(t)
        columns = {
            "ttft": ttft[part], "e2e": e2e[part], "right": right[part], "cost": cost[part], "ok": ok[part],
            "block": rows.block[part], "cluster": rows.cluster[part], "run": rows.run[part], "pair": rows.pair[part],
            "lateness_ms": late[part], "loop_lag_ms": lag[part], "output_tokens": tokens[part],
        }  # fmt: skip
        gaps = _gaps(ok[part], ttft[part], tpot[part], hidden[part], right[part], scored, cost[part], books[part])
        told = {key: _told(about.get(name, {}).get(key), seen[key], rows.order[part]) for key in seen}
        spent = cost[part][~np.isnan(cost[part])]
        targets.append(Measured(
            name, told["model"] or "", told["provider"] or "", told["region"], _frame(columns),
            Decimal(f"{spent.sum():.6f}") if len(spent) else None, gaps,
        ))  # fmt: skip
        made[name] = {}
    del ttft, e2e, cost, books, late, lag, tokens, right
    _all(rows, targets, made, seed, {}, ("ttft_p50_ms", "ttft_p99_ms", "ttft_p50_ok_ms", "ttft_p99_ok_ms", "e2e_p50_ms",
                                         "e2e_p99_ms", "e2e_p50_ok_ms", "e2e_p99_ok_ms", "quality", "quality_answered",
                                         "usd_per_1k", "usd_per_correct", "ok_share"))  # fmt: skip
    _all(rows, targets, made, seed, {"tpot": tpot}, ("tpot_p50_ms", "tpot_p50_ok_ms"))
    with np.errstate(divide="ignore"):
        _all(rows, targets, made, seed, {"speed": 1000.0 / tpot}, ("output_tokens_per_s",))
    del tpot, hidden
    ttft_ms[~ok] = np.nan
    _all(
        rows,
        targets,
        made,
        seed,
        {"ttft_sent": ttft_ms},
        ("ttft_p50_sent_ms", "ttft_p99_sent_ms"),
    )
    del ttft_ms
    _all(rows, targets, made, seed, {"e2e_sent": np.where(ok, rows.floats("e2e_ms"), np.nan)},
         ("e2e_p50_sent_ms", "e2e_p99_sent_ms"))  # fmt: skip
    name = "due_ns" if rows.from_due else "sent_ns"
    start = {name: rows.floats(name)}
    _all(rows, targets, made, seed, {**start, "end_ns": rows.floats("end_ns"), "output_tokens": rows.floats("output_tokens")},
         ("system_tokens_per_s",))  # fmt: skip
    del start
    if len(manifest.get("segments") or []) > 1:
        for mine in made.values():
            mine["system_tokens_per_s"] = _none("system_tokens_per_s", "the run was stopped and continued")
    first_ok, names = rows.requests.words("first_attempt_outcome")
    _all(rows, targets, made, seed, {"first_ok": _is(first_ok, names, "ok")[rows.order]}, ("first_ok_share",))
    events = {name: rows.floats(name) for name in ("content_events", "same_read_events")}
    _all(rows, targets, made, seed, events, ("same_read_share",))
    return targets, made


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


_READS: Mapping[str, tuple[str, ...]] = {
    "ttft": ("ttft", "ok", "block"), "e2e": ("e2e", "ok", "block"), "quality": ("right", "ok", "block", "cluster"),
    "usd": ("cost", "right", "ok", "block", "cluster"), "ok_share": ("ok", "block"), "system": ("ok", "block", "run"),
}  # fmt: skip
"""Columns of the kept frames that a figure reads, by the beginning of its name; others read `ok` and `block`."""


def _all(
    rows: Ordered,
    targets: Sequence[Measured],
    made: Mapping[str, dict[str, Cell]],
    seed: int,
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
            reads = next((kept for begin, kept in _READS.items() if name.startswith(begin)), ("ok", "block"))
            if name.endswith("_sent_ms"):
                reads = ("ok", "block")
            kept = {column: m.frame[column].to_numpy() for column in reads}
            narrow = Measured(m.target, m.model, m.provider, m.region, _frame(kept | mine), m.spent_usd, m.gaps)
            made[m.target][name] = cell(narrow, name, rows.from_due, seed)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(targets))))


def _complete(known: Mapping[str, Cell], n: int) -> dict[str, Cell]:
    why = "nothing was measured" if n == 0 else "too short to judge, or changed by plan"
    return {m.name: known.get(m.name) or _none(m.name, why) for m in METRICS}


def _none(name: str, why: str) -> Cell:
    return Cell(None, None, None, 0, None, "", BY_NAME[name].unit, (why,))


def _told(listed: Any, seen: tuple[Codes, list[str]], order: Ints) -> str | None:
    """What the manifest says of a target, else what its first row says."""
    if listed is not None:
        return str(listed)
    codes, names = seen
    return names[codes[order[0]]] if len(order) and codes[order[0]] >= 0 else None


def _gaps(
    ok: Bools, ttft: Floats, tpot: Floats, hidden: Bools, right: Floats, scored: bool, cost: Floats, books: Bools
) -> dict[str, str]:
    """Why a value is not known for some of the successful rows, in the words of `bench.stats.measured`."""
    gaps: dict[str, str] = {}
    count = int(ok.sum())

    def gap(column: str, missing: Bools, why: str) -> None:
        n = int((ok & missing).sum())
        if n:
            gaps[column] = why if n == count else f"{n} of {count} ok requests: {why}"

    if not count:
        return gaps
    gap("ttft", np.isnan(ttft), "not streamed: no first token to time")
    why = "all content came in one read, or too few tokens"
    gap("tpot", np.isnan(tpot),
        f"TPOT unknown: {'reasoning tokens were billed but not streamed' if (ok & hidden).any() else why}")  # fmt: skip
    gap("right", np.isnan(right), "no required scorer could judge" if scored else "nothing was scored")
    why = "no price known for this target; add one to its `price:`"
    gap("cost", np.isnan(cost), "no token counts were reported" if books.any() else why)
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
