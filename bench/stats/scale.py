"""The same table from millions of rows: exact, column by column, without ever holding the rows.

Every figure is made by the very functions that make it of few rows; what differs is how its columns come into memory. Where
each row goes in the order of target, run, block and case is told once (bench/stats/ordered.py); after that a column is read,
put in that order, used and let go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.stats import costs, labels, proof, quality, slo, steady
from bench.stats.by_scorer import of_columns
from bench.stats.cells import FIGURES, LATENCY, cell, cells, completed
from bench.stats.groups import Floats
from bench.stats.judged import Judged
from bench.stats.levels import COLUMNS, TEXT_COLUMNS, levels_of
from bench.stats.measured import Measured, Selection
from bench.stats.ordered import Bools, Codes, Ordered, Stored, is_word, ordered
from bench.stats.table import Seen, check_baseline, finished
from bench.stats.tally import ATTEMPT_FIELDS, CONTRADICTED, COUNTED, Tally, counted
from bench.stats.threads import in_threads, together
from bench.stats.types import Cell, Level, Table

if TYPE_CHECKING:
    import pandas as pd


Columns = Mapping[str, npt.NDArray[Any]]


def build(
    requests: Stored, attempts: Stored, scores: Stored, manifest: Mapping[str, Any], baseline: str | None = None
) -> Table:
    """The table of `bench.stats.table.build`, from stored columns."""
    selection, made, silent, said = measured(requests, scores, manifest)
    check_baseline(baseline, [m.target for m in selection.targets])
    (steadiness, unjudged), (levels, sent), tried, proven, simulated = together(
        partial(steady.judge, selection.targets, manifest),
        partial(_levels, requests, manifest),
        partial(_tried, attempts),
        partial(proofs, attempts),
        partial(requests.flags, "simulated"),
    )
    figures = all_figures(selection, made, steadiness, manifest)
    seen = Seen(
        attempts=tried, proofs=proven, scorer_gaps=silent,
        simulated=bool(manifest.get("simulated")) or bool(simulated.any()), mixed=not bool(simulated.all()),
        levels=levels, levels_sent=sent, scores=said,
    )  # fmt: skip
    return finished(selection, figures, seen, manifest, baseline, steady.alarms(steadiness), unjudged)


def all_figures(
    selection: Selection,
    made: Mapping[str, dict[str, Cell]],
    steadiness: Sequence[steady.Steadiness],
    manifest: Mapping[str, Any],
) -> dict[str, dict[str, Cell]]:
    """Every figure of each target: those that are made of its rows, and those of the run's course."""
    course, seed = steady.figures(steadiness), int(manifest.get("seed") or 0)
    return {
        m.target: completed(made[m.target] | course.get(m.target, {}))
        if m.n
        else cells(m, selection.from_due, seed, {}, selection.limits)
        for m in selection.targets
    }


def measured(
    requests: Stored, scores: Stored, manifest: Mapping[str, Any], beside: Callable[[Ordered], Columns] = lambda _: {}
) -> tuple[Selection, dict[str, dict[str, Cell]], tuple[str, ...], quality.Scored]:
    """The targets with the columns that comparisons need and those of `beside`, all their figures, what scorers did not judge,
    and what they said. `beside` gives columns in the order of the file."""
    rows = ordered(requests, manifest, [about["id"] for about in manifest.get("targets") or []])
    seed = int(manifest.get("seed") or 0)
    limits = slo.limits_ms((manifest.get("workload") or {}).get("slo") or {})
    targets, spare, silent = _targets(rows, scores, manifest, limits)
    made = _figures(rows, targets, spare, seed, limits)
    words, (said, labelled) = together(partial(tally, rows), partial(of_columns, rows, scores))
    for target, cells_of in labels.figures(targets, labelled, seed).items():
        made[target] |= cells_of
    _add(rows, targets, {name: rows.put(stored) for name, stored in beside(rows).items()})
    selection = Selection(tuple(targets), None, rows.from_due, limits, tuple(rows.notes), tuple(rows.alarms), words)
    return selection, made, silent, said


def selected(
    requests: Stored, scores: Stored, manifest: Mapping[str, Any], beside: Callable[[Ordered], Columns]
) -> tuple[Measured, ...]:
    """The targets with the columns of every figure that a mix weighs, and those that `beside` gives in the order of the file."""
    rows = ordered(requests, manifest, [about["id"] for about in manifest.get("targets") or []])
    limits = slo.limits_ms((manifest.get("workload") or {}).get("slo") or {})
    targets, spare, _ = _targets(rows, scores, manifest, limits)
    columns: Columns = {
        "ttft_sent": _where(rows.ok, spare.pop("ttft_ms"), np.nan),
        "e2e_sent": _where(rows.ok, rows.floats("e2e_ms"), np.nan),
        "first_ok": rows.put(is_word(*requests.words("first_attempt_outcome"), "ok")),
        **{name: rows.put(stored) for name, stored in beside(rows).items()},
    }
    _add(rows, targets, columns)
    for m in targets:
        with np.errstate(divide="ignore"):
            m.frame["speed"] = 1000.0 / m.frame["tpot"].to_numpy()
    return tuple(targets)


def _add(rows: Ordered, targets: Sequence[Measured], columns: Columns) -> None:
    for t, m in enumerate(targets):
        for name, values in columns.items():
            m.frame[name] = values[rows.of(t)]


def _tried(attempts: Stored) -> Tally:
    of, names = attempts.words("target")
    return Tally({
        name: counted(of, names, attempts.words(name)) for name in ATTEMPT_FIELDS if not attempts.unknown(name)
    })  # fmt: skip


def _levels(requests: Stored, manifest: Mapping[str, Any]) -> tuple[tuple[Level, ...], int]:
    """The levels of a sweep, and how many were sent; nothing is read of a run without any."""
    if requests.unknown("level"):
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


# ---------------------------------------------------------------- the figures, column by column


def _figures(
    rows: Ordered, targets: Sequence[Measured], spare: dict[str, Floats], seed: int, limits: Mapping[str, float]
) -> dict[str, dict[str, Cell]]:
    """All figures of each target. What is `spare` is used up."""
    made: dict[str, dict[str, Cell]] = {m.target: {} for m in targets}

    def make(columns: Mapping[str, npt.NDArray[Any]], names: Sequence[str]) -> None:
        _all(rows, targets, made, seed, limits, columns, names)

    # Columns that no comparison needs are made and let go one after the other: each is 8 bytes for every row.
    make({"ttft_sent": _where(rows.ok, spare.pop("ttft_ms"), np.nan)}, _figures_of("ttft_sent"))
    e2e_ms, first = together(partial(rows.floats, "e2e_ms"), partial(rows.requests.words, "first_attempt_outcome"))
    make({"e2e_sent": _where(rows.ok, e2e_ms, np.nan)}, _figures_of("e2e_sent"))
    del e2e_ms
    make({"first_ok": rows.put(is_word(first[0], first[1], "ok"))}, ("first_ok_share",))
    reads = ("content_events", "same_read_events")
    make(dict(zip(reads, in_threads(rows.floats, reads), strict=True)), ("same_read_share",))
    for name, columns in costs.PARTS.items():
        make(columns(rows.floats), (name,))
    done = next(iter(made.values()), {})
    make({}, [name for name in FIGURES if name not in done])
    return made


def _where(true: Bools, values: Floats, other: float) -> Floats:
    """`other` where it is not true: in the same array, unless one value stands for all of it."""
    if not values.flags.writeable:
        return np.where(true, values, other)
    values[~true] = other
    return values


def _figures_of(*columns: str) -> list[str]:
    return [name for name, (column, _) in LATENCY.items() if column in columns]


LATENCIES = {True: ("ttft_due_ms", "e2e_due_ms"), False: ("first_token_ns", "e2e_all_ms", "sent_ns")}
"""Stored columns of what a caller waits for, from the due time (True) or from the first send."""


def latencies_ms(read: Mapping[str, Floats], ok: Bools, from_due: bool) -> tuple[Floats, Floats]:
    """TTFT and E2E as a caller sees them; NaN: not known, inf: failed. `read` has the columns of LATENCIES, whose arrays may
    become these, and `ttft_ms`: where that is null, nothing was streamed."""
    ttft, e2e = (read[name] for name in LATENCIES[from_due][:2])
    if not from_due:
        ttft = (ttft - read["sent_ns"]) / 1e6
    ttft = _where(~np.isnan(read["ttft_ms"]), ttft, np.nan)
    return _where(ok, ttft, np.inf), _where(ok, e2e, np.inf)


_WIDE = ("ttft_ms", "tpot_ms", "cost_usd", "cost_retries_usd", "sent_ns", "end_ns")
_NARROW = ("output_tokens", "unpriced_attempts", "lateness_ms", "loop_lag_ms")
"""Columns of which seven digits are enough."""


def _targets(
    rows: Ordered, scores: Stored, manifest: Mapping[str, Any], limits: Mapping[str, float]
) -> tuple[list[Measured], dict[str, Floats], tuple[str, ...]]:
    """The targets with what comparisons need, columns that another figure needs, and what scorers did not judge."""
    start = "due_ns" if rows.from_due else "sent_ns"
    names = dict.fromkeys((*_WIDE, *_NARROW, *LATENCIES[rows.from_due], start))
    names |= {"icl_max_ms": None} if "itl" in limits else {}
    judged, *found = together(
        partial(Judged.of, scores, rows.names, manifest), *(partial(_read, rows, name) for name in names)
    )
    number = rows.number if scores.rows else np.zeros(rows.n, np.int8)
    of_all = dict(zip(names, found, strict=True))
    hidden = _hidden(rows)
    about = {one["id"]: one for one in manifest.get("targets") or []}
    seen = {name: rows.requests.words(name) for name in ("model", "provider", "region")}
    books = _any_word(rows, "price_book")

    def one(t: int) -> Measured:
        part, name = rows.of(t), rows.names[t]
        read = {column: values[part] for column, values in of_all.items()}
        ok, run = rows.ok[part], rows.run[part]
        ttft, e2e = latencies_ms(read, ok, rows.from_due)
        within, not_known = np.broadcast_to(np.float32(np.nan), len(ok)), np.zeros(len(ok), dtype=bool)
        if limits:
            values = {"ttft": ttft, "e2e": e2e, "tpot": read["tpot_ms"]}
            values |= {"itl": read["icl_max_ms"]} if "itl" in limits else {}
            met, not_known = slo.within(limits, values, ok, read["output_tokens"])
            within = met.astype(np.float32)
        cost = costs.cost(read["cost_usd"], read["cost_retries_usd"])
        columns = {
            "ttft": ttft, "e2e": e2e, "tpot": _where(ok, _where(~hidden[part], read["tpot_ms"], np.nan), np.inf),
            "cost": cost, "ok": ok,
            "right": judged.of_rows(t, run, number[part], ok).astype(np.float32),
            "within": within, "block": rows.block[part], "cluster": rows.cluster[part], "run": run, "pair": rows.pair[t],
            "lateness_ms": read["lateness_ms"], "loop_lag_ms": read["loop_lag_ms"],
            "output_tokens": read["output_tokens"], "unpriced": read["unpriced_attempts"],
            start: read[start], "sent_ns": read["sent_ns"], "end_ns": read["end_ns"],
        }  # fmt: skip
        gaps = _gaps(columns, hidden[part], not_known, bool(len(judged.state)), books[t])
        told = {key: _told(about.get(name, {}).get(key), seen[key], rows, t) for key in seen}
        spent = cost[~np.isnan(cost)]
        return Measured(
            name, told["model"] or "", told["provider"] or "", told["region"], _frame(columns),
            Decimal(f"{spent.sum():.6f}") if len(spent) else None, gaps,
        )  # fmt: skip

    return in_threads(one, range(len(rows.names))), {"ttft_ms": of_all["ttft_ms"]}, judged.notes


def _read(rows: Ordered, name: str) -> Floats:
    return rows.floats(name, np.float32 if name in _NARROW else np.float64)


def _any_word(rows: Ordered, name: str) -> list[bool]:
    """By target, whether any row has a word in this column."""
    found = counted(rows.target, [*rows.names, ""], rows.requests.words(name))
    return [bool(found.get(target)) for target in rows.names]


def _hidden(rows: Ordered) -> Bools:
    """Replies whose reasoning was billed but not streamed; nothing is read where no row has reasoning tokens."""
    said = rows.requests.bounds("reasoning_tokens")
    if not rows.requests.has("reasoning_tokens") or (said is not None and said[1] <= 0):
        return np.zeros(rows.n, dtype=bool)
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
    # Figures of one column stand together: it is sorted once for all of them.
    by_column: dict[str, list[str]] = {}
    for name in names:
        by_column.setdefault(LATENCY[name][0] if name in LATENCY else "", []).append(name)

    def one(t: int) -> None:
        m = targets[t]
        if m.n == 0:
            return
        mine = {name: values[rows.of(t)] for name, values in columns.items()}
        for of, figures in by_column.items():
            derived = dict(mine)
            if of == "speed":
                with np.errstate(divide="ignore"):
                    derived["speed"] = 1000.0 / m.frame["tpot"].to_numpy()
            reads = {"ok", "block", of} if of else set(map(str, m.frame.columns)) - _ONLY_COMPARED
            kept: dict[str, Any] = {column: m.frame[column].to_numpy() for column in reads if column in m.frame}
            narrow = Measured(m.target, m.model, m.provider, m.region, _frame(kept | derived), m.spent_usd, m.gaps)
            for name in figures:
                made[m.target][name] = cell(narrow, name, rows.from_due, seed, limits)

    in_threads(one, range(len(targets)))


def _told(listed: Any, seen: tuple[npt.NDArray[Any], list[str]], rows: Ordered, target: int) -> str | None:
    """What the manifest says of a target, else what its first row says."""
    if listed is not None:
        return str(listed)
    codes, names = seen
    if rows.edges[target + 1] == rows.edges[target]:
        return None
    first = codes[int(np.argmax(rows.place == rows.edges[target]))]
    return names[first] if first >= 0 else None


def _gaps(
    columns: Mapping[str, npt.NDArray[Any]], hidden: Bools, not_known: Bools, scored: bool, priced: bool
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
    gap("cost", "no token counts were reported" if priced else why)
    return gaps


# ---------------------------------------------------------------- what is said of rows


def tally(rows: Ordered) -> Tally:
    """The words of the rows that count."""
    requests, names = rows.requests, [*rows.names, ""]  # the last are those that do not count
    counts = {name: counted(rows.target, names, requests.words(name)) for name in COUNTED if requests.has(name)}
    misplaced: dict[str, int] = {}
    proven, words = requests.words("region_proof")
    if "contradicted" in words:
        wrong = is_word(proven, words, "contradicted") & ~is_word(*requests.words("fault_code"), CONTRADICTED)
        misplaced = _hits(rows, wrong)
    said = requests.bounds("attempts")
    retried = {} if said is not None and said[1] <= 1 else _hits(rows, requests.ints("attempts", 1) > 1)
    return Tally(counts, misplaced, retried)


def _hits(rows: Ordered, hits: Bools) -> dict[str, int]:
    counts = np.bincount(rows.target[hits], minlength=len(rows.names) + 1)
    return {name: int(n) for name, n in zip(rows.names, counts, strict=False) if n}


def proofs(attempts: Stored) -> pd.DataFrame:
    """The attempts that `bench.stats.proof` speaks of: all answered by a stranger, and the nearest to each limit."""
    import pandas as pd

    there = [name for name in proof.FIELDS if attempts.has(name)]
    words = ("target", *(name for name in ("fault_code", "identity") if name in there))
    numbers = [name for name in there if name not in words and not attempts.unknown(name)]
    kept = []
    for _, chunk in attempts.chunks(numbers, words) if attempts.rows else ():
        of, names = chunk["target"]
        chosen = set()
        if "fault_code" in chunk:
            faults, fault_names = chunk["fault_code"]
            chosen.update(np.flatnonzero(is_word(faults, fault_names, CONTRADICTED)).tolist())
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


def _word(column: tuple[Codes, list[str]], at: int) -> str | None:
    codes, names = column
    return names[codes[at]] if codes[at] >= 0 else None
