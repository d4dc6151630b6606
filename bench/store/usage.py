"""What was used and what it cost, of every row of a run, as whole numbers in columns: a stretch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.errors import CannotRun
from bench.store.columns import Words, damage_told
from bench.store.disk import DAMAGED

ROWS = 1 << 17
"""So many at a time: their columns stay in the processor's cache."""
NONE = -1
"""Not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Used:
    """A stretch of rows. Codes of words point into the table's `words`, which grow from stretch to stretch; money is in
    10⁻¹² USD, as int64 or, where that is too small, as Python's integers."""

    codes: Mapping[str, NDArray[np.int32]]
    ints: Mapping[str, NDArray[np.int64]]
    money: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.ints.values())))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a run: its file, and the words that its columns of text have shown so far."""

    path: Path
    words: dict[str, dict[str, int]]

    def read(self, text: Sequence[str], ints: Sequence[str], money: Sequence[str]) -> Iterator[Used]:
        """These columns, in the order of the file; a column that is not stored is all unknown."""
        try:
            with pq.ParquetFile(self.path, read_dictionary=list(text)) as file:
                there = set(file.schema_arrow.names)
                wanted = [name for name in (*text, *ints, *money) if name in there]
                for groups in _stretches([file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]):
                    rows = file.read_row_groups(groups, columns=wanted).combine_chunks()
                    yield Used(
                        {name: self._coded(rows, name, there) for name in text},
                        {name: _ints(rows, name, there) for name in ints},
                        {name: _money(rows, name, there) for name in money},
                    )
        except FileNotFoundError as error:
            raise CannotRun(f"{self.path}: there is no such table", DAMAGED) from error
        except (OSError, pa.ArrowInvalid) as error:
            raise CannotRun(f"{self.path}: cannot read: {error}", DAMAGED) from error

    def _coded(self, rows: Any, name: str, there: set[str]) -> NDArray[np.int32]:
        if name not in there:
            return np.full(len(rows), NONE, np.int32)
        return Words(self.words.setdefault(name, {})).codes(_column(rows, name))

    def has(self, name: str) -> bool:
        with damage_told(self.path):
            return self.path.is_file() and name in pq.read_schema(self.path).names


def _stretches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Row groups side by side, of about ROWS rows together: a call for each of them would cost more than its rows."""
    found: list[int] = []
    held = 0
    for group, size in enumerate(sizes):
        if found and held + size > ROWS:
            yield found
            found, held = [], 0
        found.append(group)
        held += size
    if found:
        yield found


def _column(rows: Any, name: str) -> Any:
    """A column in one piece."""
    chunked = rows.column(name)
    return chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()


def table(folder: Path, name: str) -> Table:
    return Table(folder / f"{name}.parquet", {})


def _ints(rows: Any, name: str, there: set[str]) -> NDArray[np.int64]:
    if name not in there:
        return np.full(len(rows), NONE, np.int64)
    column = _column(rows, name).cast(pa.int64())
    found: NDArray[np.int64] = (column.fill_null(NONE) if column.null_count else column).to_numpy(zero_copy_only=False)
    return found


def _money(rows: Any, name: str, there: set[str]) -> NDArray[Any]:
    if name not in there:
        return np.full(len(rows), NONE, np.int64)
    return picodollars(_column(rows, name))


def picodollars(column: Any) -> NDArray[Any]:
    """A column of decimal(38,12) as whole 10⁻¹² USD; null is NONE."""
    if column.type != pa.decimal128(38, 12):
        column = column.cast(pa.decimal128(38, 12))
    halves = np.frombuffer(column.buffers()[1], np.int64, 2 * len(column), 16 * column.offset).reshape(-1, 2)
    low, high = halves[:, 0], halves[:, 1]
    null = np.asarray(column.is_null()) if column.null_count else None
    if (
        not high.any() and int(low.min(initial=0)) >= 0
    ):  # as nearly always: none below zero, none beyond nine million dollars
        return low.copy() if null is None else np.where(null, NONE, low)
    small = high == low >> 63
    if null is not None:
        small |= null
    if small.all():
        return low.copy() if null is None else np.where(null, NONE, low)
    return np.array([NONE if value is None else int(value.scaleb(12)) for value in column.to_pylist()], dtype=object)
