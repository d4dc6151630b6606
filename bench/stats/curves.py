"""What charts are drawn from: a few dozen numbers per target, from any number of rows, read column by column.

Every reading is made by the functions that make the table's figures, so a curve passes through the cells it stands beside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.record import OUTCOMES
from bench.stats.ordered import Bools, Codes, Ordered, Stored, ordered
from bench.stats.quantiles import Floats, Ints, Quantile, rank
from bench.stats.scale import LATENCIES, latencies_ms

PROBABILITIES = (0.01, 0.02, 0.03, *(round(0.05 * i, 2) for i in range(1, 19)), 0.92, 0.94, *(
    round(0.95 + 0.01 * i, 2) for i in range(5)), 0.995, 0.999)  # fmt: skip
"""Where a curve is read; the tails closer than the middle."""
EVERY_VALUE = 40
"""Up to so many values a curve has all of them."""
MOST_MOMENTS = 60
"""Points of the course over time, per target."""
LENGTH_BANDS = 6
STALLS_MS = (500.0, 1000.0, 2000.0)
"""Longest gaps inside a reply from which on it is counted as stalled."""
FIRST_TRY, RETRIED = "ok at first try", "ok after retries"
_INPUT = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


@dataclass(frozen=True, slots=True)
class Reading:
    """The p-quantile of n values with its 95 % interval; inf is a failed request, None an end that the data cannot bound."""

    p: float
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Requests of neighbouring blocks: the median of those known, in ms. `at_s` counts from the report's first request."""

    at_s: float
    median_ms: float | None
    n: int
    failed: int
    breaks: bool
    """Whether time passed before it in which this target was not asked: another run, or a pause."""


@dataclass(frozen=True, slots=True)
class Band:
    """Requests whose prompts are of similar length."""

    tokens: float
    """The median prompt of the band, cached parts included."""
    low_tokens: float
    high_tokens: float
    ttft: Reading


@dataclass(frozen=True, slots=True)
class Stalls:
    """Successful replies whose gaps are known, and how many of them had a gap of at least each of STALLS_MS."""

    n: int
    over: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RowCounts:
    """All rows stored for a target, and where they went."""

    stored: int
    counted: int
    warmup: int
    spoiled: int
    bugs: int
    impossible: int


@dataclass(frozen=True, slots=True)
class Curves:
    """Everything that is drawn of one target."""

    target: str
    rows: RowCounts
    ok: int
    ttft: tuple[Reading, ...]
    e2e: tuple[Reading, ...]
    gap: tuple[Reading, ...]
    """Of the longest gap inside each successful reply."""
    stalls: Stalls
    course: tuple[Moment, ...]
    bands: tuple[Band, ...]
    outcomes: Mapping[str, int]
    """Requests by how they ended: FIRST_TRY, RETRIED, or the outcome of the final attempt."""
    first_faults: Mapping[str, int]
    """Requests whose first attempt was not the last one, by its outcome."""
    attempts: int
    books: tuple[str, ...]
    """The price book entries that its requests were priced by."""


def readings(values: Floats, blocks: Ints, ps: Sequence[float]) -> tuple[Reading, ...]:
    """Several quantiles of the same values, as `quantiles.quantile` makes each; sorted once. Blocks are any integers."""
    n = len(values)
    if n == 0:
        return ()
    blocks = np.unique(blocks, return_inverse=True)[1].astype(np.int64)
    sorting = np.argsort(values, kind="stable")
    ordered_values, of = values[sorting], blocks[sorting]
    sizes = np.bincount(blocks).astype(np.float64)
    finite = int(np.searchsorted(ordered_values, np.inf))
    found = []
    for p in ps:
        estimate = float(ordered_values[rank(n, p) - 1])
        if p >= 1:  # the largest value bounds nothing
            found.append(Reading(p, estimate, None, None, n))
            continue
        inside = finite if math.isinf(estimate) else int(np.searchsorted(ordered_values, estimate, side="right"))
        counts = np.bincount(of[:inside], minlength=len(sizes)).astype(np.float64)
        share, k = inside / n, len(sizes)
        expected = p * (1 - p) if math.isfinite(estimate) else share * (1 - share)
        effect = 1.0
        if k >= 2 and expected > 0:
            effect = max(1.0, k / (k - 1) * float(((counts - share * sizes) ** 2).sum()) / n / expected)
        interval = Quantile(p, estimate, ordered_values, k, effect, counts).interval()
        found.append(Reading(p, estimate, interval.low, interval.high, n))
    return tuple(found)


def curves(requests: Stored, manifest: Mapping[str, Any], zeros_ns: Sequence[int]) -> tuple[Curves, ...]:
    """The curves of every target, in the order of the manifest. `zeros_ns` is the wall time of each run's zero."""
    rows = ordered(requests, manifest, [about["id"] for about in manifest.get("targets") or []])
    streamed = rows.floats("ttft_ms")
    read = {name: rows.floats(name) for name in LATENCIES[rows.from_due]} | {"ttft_ms": streamed}
    ttft, e2e = latencies_ms(read, rows.ok, rows.from_due)
    gap = np.where(rows.ok, rows.floats("icl_max_ms"), np.nan)
    length = _prompt_tokens(requests, rows)
    starts = _starts_s(requests, rows, zeros_ns)
    outcome, outcomes = requests.words("outcome")
    first, firsts = requests.words("first_attempt_outcome")
    attempts = rows.put(requests.ints("attempts", 1))
    books, book_names = requests.words("price_book")
    outcome, first, books = rows.put(outcome), rows.put(first), rows.put(books)
    accounts = _accounts(requests, rows)
    edges = _band_edges(length)
    made = []
    for t, name in enumerate(rows.names):
        part = rows.of(t)
        known, block = rows.ok[part], rows.block[part].astype(np.int64)
        made.append(Curves(
            target=name, rows=accounts[name], ok=int(known.sum()),
            ttft=_curve(ttft[part], block), e2e=_curve(e2e[part], block), gap=_curve(gap[part], block), stalls=_stalls(gap[part]),
            course=_course(starts[part], ttft[part] if _any(ttft) else e2e[part], known, rows, part),
            bands=_bands(length[part], ttft[part], block, edges),
            outcomes=_ended(outcome[part], outcomes, attempts[part]),
            first_faults=_first_faults(first[part], firsts, attempts[part]),
            attempts=int(attempts[part].sum()),
            books=tuple(book_names[code] for code in np.unique(books[part]) if code >= 0),
        ))  # fmt: skip
    return tuple(made)


def _any(values: Floats) -> bool:
    return bool(np.isfinite(values).any())


def _curve(values: Floats, blocks: Ints) -> tuple[Reading, ...]:
    known = ~np.isnan(values)
    values, blocks = values[known], blocks[known]
    if not _any(values):
        return ()
    n = len(values)
    ps = PROBABILITIES if n > EVERY_VALUE else sorted({*((i + 1) / n for i in range(n)), 0.5, 0.75, 0.9, 0.95, 0.99})
    return readings(values, blocks, tuple(ps))


def _stalls(gap: Floats) -> Stalls:
    known = gap[~np.isnan(gap)]
    return Stalls(len(known), tuple(int((known >= limit).sum()) for limit in STALLS_MS))


def _ended(codes: Codes, names: Sequence[str], attempts: Ints) -> dict[str, int]:
    ok = codes == (names.index("ok") if "ok" in names else -2)
    found = {FIRST_TRY: int((ok & (attempts <= 1)).sum()), RETRIED: int((ok & (attempts > 1)).sum())}
    found |= {word: _count(codes, names, word) for word in OUTCOMES if word != "ok"}
    return {word: n for word, n in found.items() if n}


def _first_faults(codes: Codes, names: Sequence[str], attempts: Ints) -> dict[str, int]:
    again = codes[attempts > 1]
    return {word: n for word in OUTCOMES if word != "ok" and (n := _count(again, names, word))}


def _count(codes: Codes, names: Sequence[str], word: str) -> int:
    return int((codes == names.index(word)).sum()) if word in names else 0


# ---------------------------------------------------------------- over time


def _starts_s(requests: Stored, rows: Ordered, zeros_ns: Sequence[int]) -> Floats:
    """When every row should have gone, or went: seconds since the first of all."""
    name = "due_ns" if rows.from_due else "sent_ns"
    starts = rows.put(requests.floats(name))
    zeros = np.array([zero - min(zeros_ns) for zero in zeros_ns], dtype=np.float64)[rows.run]
    at = (starts + zeros) / 1e9
    return at - np.nanmin(at) if len(at) else at


def _course(starts: Floats, values: Floats, ok: Bools, rows: Ordered, part: slice) -> tuple[Moment, ...]:
    """Neighbouring blocks together, so that there are at most MOST_MOMENTS."""
    block, run = rows.block[part], rows.run[part]
    if len(block) == 0:
        return ()
    sizes = np.bincount(block)
    begins = np.bincount(block, weights=starts) / sizes
    place = np.empty(len(sizes), np.int64)
    place[np.argsort(begins, kind="stable")] = np.arange(len(sizes))
    count = min(len(sizes), MOST_MOMENTS)
    group = place[block] * count // len(sizes)
    at = [float(starts[group == g].mean()) for g in range(count)]
    usual = float(np.median(np.diff(at))) if count > 2 else math.inf
    made: list[Moment] = []
    last_run = -1
    for g in range(count):
        mine = group == g
        known = np.sort(values[mine][~np.isnan(values[mine])])
        median = float(known[rank(len(known), 0.5) - 1]) if len(known) else None
        this_run = int(run[mine][0])
        breaks = g > 0 and (this_run != last_run or at[g] - at[g - 1] > 5 * usual)
        last_run = int(run[mine][-1])
        made.append(Moment(at[g], median, int(mine.sum()), int((~ok[mine]).sum()), breaks))
    return tuple(made)


# ---------------------------------------------------------------- by length of the prompt


def _prompt_tokens(requests: Stored, rows: Ordered) -> Floats:
    """The prompt's length by case, the median of what its rows report: failed requests report nothing."""
    tokens = rows.floats(_INPUT[0])
    for name in _INPUT[1:]:
        tokens = tokens + np.nan_to_num(rows.floats(name))
    case = rows.put(requests.words("case_id")[0])
    known = np.flatnonzero(~np.isnan(tokens))
    of_case = np.full(int(case.max()) + 1 if len(case) else 0, np.nan)
    if len(known):
        known = known[np.lexsort((tokens[known], case[known]))]
        found, begins, sizes = np.unique(case[known], return_index=True, return_counts=True)
        of_case[found] = tokens[known[begins + (sizes - 1) // 2]]
    return of_case[case] if len(case) else tokens


def _band_edges(length: Floats) -> Floats:
    """Ends of bands with about equally many requests in each; empty where all prompts are about as long."""
    known = length[~np.isnan(length)]
    if len(known) == 0 or known.max() < 1.2 * known.min():
        return np.zeros(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, LENGTH_BANDS + 1), method="inverted_cdf"))


def _bands(length: Floats, ttft: Floats, blocks: Ints, edges: Floats) -> tuple[Band, ...]:
    if len(edges) < 3:
        return ()
    of = np.clip(np.searchsorted(edges, length, side="right") - 1, 0, len(edges) - 2)
    made = []
    for band in range(len(edges) - 1):
        mine = (of == band) & ~np.isnan(length) & ~np.isnan(ttft)
        if mine.any():
            tokens = np.sort(length[mine])
            middle = float(tokens[rank(len(tokens), 0.5) - 1])
            made.append(Band(middle, float(tokens[0]), float(tokens[-1]),
                             readings(ttft[mine], blocks[mine], (0.5,))[0]))  # fmt: skip
    return tuple(made)


# ---------------------------------------------------------------- where the rows went


def _accounts(requests: Stored, rows: Ordered) -> dict[str, RowCounts]:
    """What is left out is left out in this order: warm-up, spoiled, bugs, the impossible."""
    target, names = requests.words("target")
    phase, phases = requests.words("phase")
    outcome, outcomes = requests.words("outcome")
    measured = phase == (phases.index("measure") if "measure" in phases else -2)
    spoiled = measured & requests.flags("spoiled")
    bug = measured & ~spoiled & (outcome == (outcomes.index("bug") if "bug" in outcomes else -2))
    made = {}
    for t, name in enumerate(rows.names):
        mine = target == (names.index(name) if name in names else -2)
        counted = int(rows.edges[t + 1] - rows.edges[t])
        stored, warmup = int(mine.sum()), int((mine & ~measured).sum())
        left = int((mine & spoiled).sum()), int((mine & bug).sum())
        made[name] = RowCounts(stored, counted, warmup, *left, stored - counted - warmup - sum(left))
    return made
