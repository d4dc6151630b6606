"""A table cut into slices: by length of the prompt, by hour of day, by a tag of the cases.

Slices are looked at after the fact, and there are many: their figures are exploratory and carry no verdict. A slice never
splits a pair: length and tags belong to the case, and the hour to the block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import ConfigError, Problem
from bench.metrics import OF_WHOLE_RUN, plural
from bench.stats.groups import Floats
from bench.stats.measured import floats
from bench.stats.table import build
from bench.stats.types import Cell, Slice, Table
from bench.stats.verdicts import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

EDGES = (256, 1_024, 4_096, 16_384, 65_536, 262_144)
"""Lower ends of the length bands above the first one, in tokens of the whole prompt, cached parts included."""
BANDS = ("0-256", "256-1k", "1k-4k", "4k-16k", "16k-64k", "64k-256k", "256k+")
UNKNOWN = "unknown"
HOURS = tuple(f"{hour:02d}:00" for hour in range(24))
MOST_SLICES = 50

INPUT = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
"""Stored columns that sum to the tokens of a prompt."""
_DAY_NS, _HOUR_NS = 86_400 * 10**9, 3_600 * 10**9


def labels(requests: pd.DataFrame, manifest: Mapping[str, Any], by: str, anchors: Mapping[str, int]) -> list[str]:
    """The slice of every row. `anchors` are the wall times of the runs' zeros, in ns. Raises ConfigError with what exists."""
    if by == "input_tokens":
        bands = bands_of_cases(requests)
        return [bands.get(str(case), UNKNOWN) for case in requests["case_id"]]
    if by == "hour":
        return _hours(requests, anchors)
    known = tagged(manifest, by)
    return [known.get(str(case), UNKNOWN) for case in requests["case_id"]]


def tagged(manifest: Mapping[str, Any], by: str) -> dict[str, str]:
    """The slice of every case by tag:NAME. Raises ConfigError with what exists."""
    kind, _, name = by.partition(":")
    if kind == "tag" and name and (known := tags_of_cases(manifest, name)):
        return known
    raise ConfigError([Problem("command line", "--by", by, _choices(manifest))])


def _choices(manifest: Mapping[str, Any]) -> str:
    names = sorted({name for tags in (manifest.get("tags") or {}).values() for name in tags})
    tags = [f"tag:{name}" for name in names]
    said = ", ".join(["input_tokens", "hour", *tags])
    return f"one of {said}" + ("" if tags else " (these runs store no case tags)")


def tags_of_cases(manifest: Mapping[str, Any], name: str) -> dict[str, str]:
    """The value of one tag, by case; cases without it are left out."""
    return {case: tags[name] for case, tags in (manifest.get("tags") or {}).items() if name in tags}


def bands_of_cases(requests: pd.DataFrame) -> dict[str, str]:
    """The length band of every case, by the median of its prompt's tokens over all rows that know them.

    By case and not by row: failed requests report no tokens, and vendors count the same prompt differently.
    """
    tokens = floats(requests, "input_tokens").copy()
    for name in INPUT[1:]:
        tokens += np.nan_to_num(floats(requests, name)) if name in requests else 0.0
    frame = requests[["case_id"]].assign(tokens=tokens).dropna(subset=["tokens"])
    medians = frame.groupby("case_id")["tokens"].median()
    at = np.searchsorted(EDGES, medians.to_numpy(), side="right")
    return {str(case): BANDS[band] for case, band in zip(medians.index, at, strict=True)}


def _hours(requests: pd.DataFrame, anchors: Mapping[str, int]) -> list[str]:
    """The UTC hour of day in which a request's block began."""
    frame = requests[["run_id", "block_id"]].assign(
        ns=np.fmin(floats(requests, "due_ns"), floats(requests, "sent_ns")),
    )
    begin_ns = frame.groupby(["run_id", "block_id"])["ns"].transform("min").to_numpy(dtype=np.float64)
    zero_ns = np.asarray(frame["run_id"].map(dict(anchors)).to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
    return [UNKNOWN if np.isnan(hour) else HOURS[int(hour)] for hour in hour_of(zero_ns, begin_ns)]


def hour_of(zero_ns: Floats, begin_ns: Floats) -> Floats:
    """The hour of day of moments that are told from a run's zero, whose wall time is known; NaN where either is not."""
    hours: Floats = ((zero_ns % _DAY_NS) + begin_ns) % _DAY_NS // _HOUR_NS
    return hours


def anchors_of(manifests: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The wall time of each run's zero; runs that do not say it are left out."""
    found = {str(m.get("run_id")): (m.get("anchor") or {}).get("wall_ns") for m in manifests}
    return {run: int(wall_ns) for run, wall_ns in found.items() if wall_ns is not None}


def sliced(
    table: Table,
    requests: pd.DataFrame,
    scores: pd.DataFrame,
    manifest: Mapping[str, Any],
    by: str,
    anchors: Mapping[str, int],
    baseline: str | None = None,
) -> Table:
    """The table with its slices beside it, each with its own n and intervals."""
    import pandas as pd

    label = np.array(labels(requests, manifest, by, anchors), dtype=object)
    counted = (requests["phase"] == "measure").to_numpy()
    found = in_order(set(label[counted]), by)
    facts, no_attempts = facts_of(manifest), pd.DataFrame(columns=["target"])
    tables = {name: build(requests[label == name], no_attempts, scores, facts, baseline) for name in found}
    return with_slices(table, tables, by, int((label[counted] == UNKNOWN).sum()))


def in_order(names: Set[str], by: str) -> list[str]:
    """The slices that there are. Raises ConfigError where they are too many."""
    if len(names) > MOST_SLICES:
        raise ConfigError([Problem("command line", "--by", by, f"at most {MOST_SLICES} slices; here are {len(names)}")])
    return sorted(names, key=_order)


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A cut through a run has gaps in time: what is told from the whole course of the run is not told of a slice."""
    return {**manifest, "load": {"pattern": "sliced"}, "segments": [], "sweep": {}}


def with_slices(table: Table, tables: Mapping[str, Table], by: str, unknown: int) -> Table:
    """The table with the tables of its slices beside it; `unknown` requests could not be placed."""
    made = _adjusted([_slice(name, one) for name, one in tables.items()])
    notes: tuple[str, ...] = (
        f"{plural(len(made), 'slice')} by {by}, looked at after the fact: exploratory, without verdicts; of twenty such "
        "intervals one misses by chance alone",
    )
    if by == "input_tokens":
        notes += ("length bands are of the whole prompt, cached parts included, by the median over all rows of a case",)
    if unknown:
        notes += (f"slice {UNKNOWN}: {plural(unknown, 'request')} that cannot be placed",)
    return replace(table, slices=made, sliced_by=by, notes=(*table.notes, *notes))


def _adjusted(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """All comparisons of all slices are one exploratory family."""
    rates = iter(benjamini_hochberg([c.p_raw for one in slices for c in one.comparisons if c.p_raw is not None]))
    return tuple(
        replace(
            one, comparisons=tuple(replace(c, p_bh=None if c.p_raw is None else next(rates)) for c in one.comparisons)
        )
        for one in slices
    )


def _order(name: str) -> tuple[int, float, str]:
    """Bands by length, numbers by size, words by themselves, the unknown last."""
    if name == UNKNOWN:
        return 3, 0.0, name
    if name in BANDS:
        return 0, float(BANDS.index(name)), name
    number = re.fullmatch(r"-?\d+(\.\d+)?", name)
    return (1, float(name), name) if number else (2, 0.0, name)


def _slice(name: str, one: Table) -> Slice:
    rows = tuple(
        replace(row, cells={**row.cells, **{name: _of_whole(row.cells[name]) for name in OF_WHOLE_RUN}})
        for row in one.rows
    )
    looks = tuple(
        replace(
            c,
            primary=False,
            verdict=None,
            p_holm=None,
            p_equivalence=None,
            reason="",
            more_blocks=None,
            needed_requests=None,
        )
        for c in one.comparisons
        if c.kind != "rate"
    )
    return Slice(name, tuple(row for row in rows if row.n), tuple(c for c in looks if c.n))


def _of_whole(cell: Cell) -> Cell:
    why = ("a rate of the whole run has no slices",)
    return replace(cell, value=None, low=None, high=None, n=0, n_eff=None, method="", warnings=why)
