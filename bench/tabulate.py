"""The table of stored rows, however many there are: few as data frames, many column by column, very many as histograms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import heap
from bench.stats.table import ATTEMPT_COLUMNS, REQUEST_COLUMNS, SCORE_COLUMNS, Table, build
from bench.store.columns import Columns, stored_rows
from bench.store.runs import Run

if TYPE_CHECKING:
    from bench.stats.mix import Mix

IN_MEMORY_ROWS = 250_000
"""More rows than this are not read as data frames, which takes up to 2 kB of memory for each."""

COLUMN_ROWS = 50_000
"""A run of more rows than this is read column by column, in half the memory and half the time: the table is the same."""

KEPT_ROWS = 2_000_000
"""From here on time is worth more memory (bench/heap.py); below, the run's own process makes the table."""

EXACT_ROWS = 20_000_000
"""Above this histograms take over, so that the memory does not grow with the rows."""


def of_run(run: Run, baseline: str | None = None) -> Table:
    """The table of one run. Of its columns no more are read than the table needs."""
    if (rows := stored_rows(run.path, "requests")) > COLUMN_ROWS:
        return of_columns((run.path,), run.manifest, rows, baseline)
    requests, attempts = run.frame("requests", REQUEST_COLUMNS), run.frame("attempts", ATTEMPT_COLUMNS)
    return build(requests, attempts, run.frame("scores", SCORE_COLUMNS), run.manifest, baseline)


def of_columns(
    folders: Sequence[Path], manifest: Mapping[str, Any], rows: int, baseline: str | None, approx: bool = False
) -> Table:
    """The table of one run, or of several with their rows put together, column by column. `rows` is how many there are."""
    from bench.stats import approx as histograms
    from bench.stats import scale

    made = histograms.build if approx or rows > EXACT_ROWS else scale.build
    with _memory(rows):
        return made(*_stored(folders), manifest, baseline)


@contextmanager
def _memory(rows: int) -> Iterator[None]:
    """From KEPT_ROWS on, memory that is let go is kept for the next column; below, it is given back."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    with heap.kept() if rows > KEPT_ROWS else heap.given_back():
        yield


def sliced(
    table: Table, chosen: Sequence[Run], manifest: Mapping[str, Any], by: str, baseline: str | None = None
) -> Table:
    """The table of these runs with its slices beside it, column by column. `manifest` is that of all of them together."""
    from bench.stats import slices_columns

    zeros_ns = [(run.manifest.get("anchor") or {}).get("wall_ns") for run in chosen]
    requests, _, scores = _stored([run.path for run in chosen])
    with _memory(requests.rows):
        return slices_columns.sliced(table, requests, scores, manifest, by, zeros_ns, baseline)


def weighted(
    table: Table, chosen: Sequence[Run], manifest: Mapping[str, Any], mix: Mix, baseline: str | None = None
) -> Table:
    """The table of these runs weighted to a mix, column by column."""
    from bench.stats import slices_columns

    requests, _, scores = _stored([run.path for run in chosen])
    with _memory(requests.rows):
        return slices_columns.weighted(table, requests, scores, manifest, mix, baseline)


def beside(chosen: Sequence[Run], baseline: str | None = None) -> Table:
    """The targets of these runs side by side, column by column."""
    from bench.stats import beside_columns

    stored = [_stored([run.path]) for run in chosen]
    with _memory(sum(requests.rows for requests, _, _ in stored)):
        return beside_columns.beside(stored, [run.manifest for run in chosen], baseline)


def bands(chosen: Sequence[Run]) -> set[str]:
    """The length bands in which these runs have cases, column by column."""
    from bench.stats import slices_columns

    return {band for run in chosen for band in slices_columns.bands(Columns((run.path,), "requests"))}


def _stored(folders: Sequence[Path]) -> tuple[Columns, Columns, Columns]:
    requests, attempts, scores = (Columns(tuple(folders), table) for table in ("requests", "attempts", "scores"))
    return requests, attempts, scores
