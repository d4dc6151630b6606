"""The slices of `bench.stats.slices` of stored rows, however many: which slice a row is of is told column by column, and each
slice is the table of its rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.stats import scale
from bench.stats.comparisons import pairs
from bench.stats.groups import Floats, firsts_of, sizes_of
from bench.stats.mix import Mix, numbers, of_targets, tags_of_mix
from bench.stats.ordered import Bools, Ordered, Stored, is_word
from bench.stats.part import Part
from bench.stats.slices import BANDS, EDGES, HOURS, INPUT, UNKNOWN, facts_of, hour_of, in_order, tagged, with_slices
from bench.stats.types import Table

Slices = tuple[npt.NDArray[np.int32], Sequence[str]]
"""The number of every stored row's slice, and the slices; the last one is of rows that cannot be placed."""


def sliced(
    table: Table,
    requests: Stored,
    scores: Stored,
    manifest: Mapping[str, Any],
    by: str,
    zeros_ns: Sequence[int | None],
    baseline: str | None = None,
) -> Table:
    """The table with its slices beside it. `zeros_ns` are the wall times of the zeros of the stored runs, in their order."""
    of, names = _slices(requests, manifest, by, zeros_ns)
    counted = np.bincount(of[is_word(*requests.words("phase"), "measure")], minlength=len(names))
    found = in_order({name for name, n in zip(names, counted, strict=True) if n}, by)
    # All stamps of a row move together where a run was continued, and nothing of a slice is told from time between rows.
    facts = {**facts_of(manifest), "segments_of_runs": [[] for _ in zeros_ns]}
    nothing = Part(requests, np.zeros(requests.rows, dtype=bool))

    def one(name: str) -> Table:
        return scale.build(Part(requests, of == names.index(name)), nothing, scores, facts, baseline)

    return with_slices(table, {name: one(name) for name in found}, by, int(counted[-1]))


def weighted(
    table: Table,
    requests: Stored,
    scores: Stored,
    manifest: Mapping[str, Any],
    weights: Mix,
    baseline: str | None = None,
) -> Table:
    """The table with every figure weighted to a mix, as `bench.stats.mix.weighted` does it."""
    place = numbers(weights)
    of_band = [place.get(band, -1) for band in BANDS]
    tags = {} if weights.by == "input_tokens" else tags_of_mix(manifest, weights)

    def beside(rows: Ordered) -> dict[str, npt.NDArray[Any]]:
        case, cases = requests.words("case_id")
        of_case = [place.get(tags.get(one, ""), -1) for one in cases]
        if weights.by == "input_tokens":
            of_case = np.array([*of_band, -1])[_bands(requests, case, len(cases), rows.place < rows.n)].tolist()
        return {"slice": np.array([*of_case, -1], np.int32)[case]}

    targets = scale.selected(requests, scores, manifest, beside)
    made = of_targets(table, targets, manifest, weights, baseline)
    pairs.cache_clear()
    return made


def bands(requests: Stored) -> set[str]:
    """The length bands in which there are cases."""
    case, cases = requests.words("case_id")
    return {BANDS[band] for band in np.unique(_bands(requests, case, len(cases), case >= 0)) if band < len(BANDS)}


def _slices(requests: Stored, manifest: Mapping[str, Any], by: str, zeros_ns: Sequence[int | None]) -> Slices:
    if by == "hour":
        return _hours(requests, zeros_ns)
    if by == "input_tokens":
        case, cases = requests.words("case_id")
        return _by_case(case, _bands(requests, case, len(cases), case >= 0), (*BANDS, UNKNOWN))
    known = tagged(manifest, by)
    case, cases = requests.words("case_id")
    names = (*dict.fromkeys(value for value in known.values() if value != UNKNOWN), UNKNOWN)
    place = {name: n for n, name in enumerate(names)}
    return _by_case(case, np.array([place[known.get(one, UNKNOWN)] for one in cases], np.int64), names)


def _by_case(case: npt.NDArray[Any], of_case: npt.NDArray[np.int64], names: Sequence[str]) -> Slices:
    return np.append(of_case, len(names) - 1).astype(np.int32)[case], names


def _bands(requests: Stored, case: npt.NDArray[Any], cases: int, counted: Bools) -> npt.NDArray[np.int64]:
    """The band of each case: by the median of its prompt's tokens over all rows that know them, of those that are counted."""
    tokens = requests.floats(INPUT[0])
    for name in INPUT[1:]:
        if not requests.unknown(name):
            tokens += np.nan_to_num(requests.floats(name), copy=False)
    known = ~np.isnan(tokens) & (case >= 0) & counted
    tokens, of = tokens[known], case[known].astype(np.int64)
    tokens = tokens[np.lexsort((tokens, of))]
    sizes = sizes_of(of, cases).astype(np.int64)
    begins, there = np.cumsum(sizes) - sizes, sizes > 0
    middle = [tokens[(begins + half // 2)[there]] for half in (sizes - 1, sizes)]
    found = np.full(cases, len(BANDS))
    found[there] = np.searchsorted(EDGES, (middle[0] + middle[1]) / 2, side="right")
    return found


def _hours(requests: Stored, zeros_ns: Sequence[int | None]) -> Slices:
    """The UTC hour of day in which a request's block began."""
    block, run = requests.ints("block_id"), requests.run_codes()
    width = int(block.max(initial=0)) + 1
    key = np.where(block >= 0, run * np.int64(width) + block, len(zeros_ns) * width)
    begins: Floats = firsts_of(
        np.fmin(requests.floats("due_ns"), requests.floats("sent_ns")), key, len(zeros_ns) * width + 1
    )
    begins[~np.isfinite(begins)] = np.nan
    begins[-1] = np.nan  # rows of no block
    zeros = np.repeat([np.nan if zero is None else float(zero) for zero in zeros_ns], width)
    hours = hour_of(np.append(zeros, np.nan), begins)
    return np.where(np.isnan(hours), len(HOURS), hours).astype(np.int32)[key], (*HOURS, UNKNOWN)
