"""A table of one or several runs, read column by column: what a table of millions of rows is made from.

A column is decoded row group by row group into one numpy array; nothing else of the file is touched. What the footers tell
of a column stands for its rows only where it cannot be otherwise: NaN is left out of a minimum and a maximum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.store.disk import unreadable

BATCH_ROWS = 1 << 18
FEW_VALUES = 100
"""So many fit a byte."""


@dataclass(frozen=True)
class Columns:
    """The rows of one table of several runs, in the order of the runs."""

    folders: tuple[Path, ...]
    table: str

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Rows of each run, from the files' footers."""
        return tuple(self._meta(folder).num_rows for folder in self.folders)

    @cached_property
    def _kept(self) -> dict[str, tuple[NDArray[np.int32] | NDArray[np.int8], list[str]]]:
        return {}

    @property
    def rows(self) -> int:
        return sum(self.counts)

    def floats(
        self,
        name: str,
        place: NDArray[np.int32] | None = None,
        kept: int = 0,
        dtype: type[np.floating[Any]] = np.float64,
    ) -> NDArray[Any]:
        """A numeric column as float64, or narrower; null is NaN. Money, too: exact enough for statistics, not for a bill.

        With `place`, each row is put where that says, among `kept`; those whose place is `kept` are left out.
        """
        out = np.empty(self.rows if place is None else kept + 1, dtype)

        def put(at: int, count: int, values: NDArray[np.float64] | float) -> None:
            out[slice(at, at + count) if place is None else place[at : at + count]] = values

        for at, count in self._lacking(name):
            put(at, count, np.nan)
        for at, column in self._batches(name, ()):
            put(at, len(column), column.cast(pa.float64()).to_numpy(zero_copy_only=False))
        return out if place is None else out[:-1]

    def ints(self, name: str, null: int = -1) -> NDArray[np.int64]:
        """An integer column; null is `null`."""
        out = np.full(self.rows, null, dtype=np.int64)
        for at, column in self._batches(name, ()):
            filled = column.fill_null(null) if column.null_count else column
            out[at : at + len(column)] = filled.to_numpy(zero_copy_only=False)
        return out

    def flags(self, name: str) -> NDArray[np.bool_]:
        """A boolean column; null is false."""
        out = np.zeros(self.rows, dtype=bool)
        for at, column in self._batches(name, ()):
            out[at : at + len(column)] = column.fill_null(False).to_numpy(zero_copy_only=False)
        return out

    def words(self, name: str) -> tuple[NDArray[np.int32] | NDArray[np.int8], list[str]]:
        """A column of text as codes into the list of its values, in the order they first occur; null is -1.

        Codes of few values are kept, in a byte each, since several figures ask for them.
        """
        if name in self._kept:
            return self._kept[name]
        if (only := self._only_word(name)) is not None:
            self._kept[name] = only
            return only
        out: NDArray[np.int32] | NDArray[np.int8] = np.full(self.rows, -1, dtype=np.int8)
        words = Words()
        for at, column in self._batches(name, (name,)):
            codes = words.codes(column)
            if len(words.known) > FEW_VALUES and out.dtype == np.int8:
                out = out.astype(np.int32)
            out[at : at + len(column)] = codes
        if out.dtype == np.int8:
            self._kept[name] = out, list(words.known)
        return out, list(words.known)

    def _only_word(self, name: str) -> tuple[NDArray[np.int8], list[str]] | None:
        """The codes of a column that says the same in every row, or nothing in any, as the footers tell; one stands for all."""
        if self.unknown(name):
            return np.broadcast_to(np.int8(-1), self.rows), []
        said: set[str] = set()
        for folder in self.folders:
            for one in self._statistics(folder, name):
                if one is None or one.null_count != 0 or not one.has_min_max or one.min != one.max or len(said) > 1:
                    return None
                said.add(one.min)
        return (np.broadcast_to(np.int8(0), self.rows), [str(said.pop())]) if len(said) == 1 else None

    def chunks(
        self,
        floats: Sequence[str] = (),
        words: Sequence[str] = (),
        flags: Sequence[str] = (),
        texts: Sequence[str] = (),
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the run, columns) of a stretch of rows at a time: arrays, and for words (codes, values so far).

        `texts` may say something else in every row, so nothing of them is kept: (codes, an Arrow array of the values of this
        stretch alone).
        """
        known = {name: Words() for name in words}
        for n, folder in enumerate(self.folders):
            there = set(self._meta(folder).schema.to_arrow_schema().names)
            path = folder / f"{self.table}.parquet"
            with (
                damage_told(path),
                pq.ParquetFile(path, metadata=self._meta(folder), read_dictionary=[*words, *texts]) as file,
            ):
                for batch in file.iter_batches(
                    BATCH_ROWS, columns=[c for c in (*floats, *words, *flags, *texts) if c in there]
                ):
                    found: dict[str, Any] = {name: np.full(len(batch), np.nan) for name in floats if name not in there}
                    found |= {name: np.zeros(len(batch), dtype=bool) for name in flags if name not in there}
                    found |= {name: (np.full(len(batch), -1, np.int32), []) for name in words if name not in there}
                    found |= {name: _coded(pa.nulls(len(batch), pa.string())) for name in texts if name not in there}
                    for name in there.intersection(floats):
                        found[name] = batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
                    for name in there.intersection(flags):
                        found[name] = batch.column(name).fill_null(False).to_numpy(zero_copy_only=False)
                    for name in there.intersection(words):
                        found[name] = known[name].codes(batch.column(name)), list(known[name].known)
                    for name in there.intersection(texts):
                        found[name] = _coded(batch.column(name))
                    yield n, found

    def run_codes(self) -> NDArray[np.int32]:
        """Which of the runs a row is of."""
        return np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)

    def has(self, name: str) -> bool:
        return any(name in self._meta(folder).schema.to_arrow_schema().names for folder in self.folders)

    def unknown(self, name: str) -> bool:
        """Whether no row has a value in this column, as far as the footers tell."""
        said = self.bounds(name)
        return not self.has(name) or (said is not None and said[2] == self.rows)

    def bounds(self, name: str) -> tuple[float, float, int] | None:
        """(smallest, largest, nulls) of all values, from the footers' statistics; None where they cannot tell, or there is no
        such column."""
        if name not in self._bounds:
            self._bounds[name] = self._told(name)
        return self._bounds[name]

    @cached_property
    def _bounds(self) -> dict[str, tuple[float, float, int] | None]:
        return {}

    def _told(self, name: str) -> tuple[float, float, int] | None:
        low, high, nulls = np.inf, -np.inf, 0
        for folder in self.folders:
            for said in self._statistics(folder, name):
                if said is None or said.null_count is None:
                    return None
                nulls += said.null_count
                if said.num_values:
                    if not said.has_min_max:
                        return None
                    if not isinstance(said.min, str | bytes):
                        low, high = min(low, said.min), max(high, said.max)
        return float(low), float(high), nulls

    def _statistics(self, folder: Path, name: str) -> Iterator[Any]:
        """What the footer says of a column, row group by row group; None where it cannot tell, or there is no such column.

        Of floats it tells only what bench wrote, which writes null and never NaN. The name of the table stays in a file that
        another program reads and writes anew; what tells it apart is its dictionary, in which bench keeps no floats.
        """
        meta = self._meta(folder)
        names = [meta.schema.column(i).path for i in range(meta.num_columns)]
        if name not in names:
            yield None
            return
        at = names.index(name)
        floating = pa.types.is_floating(meta.schema.to_arrow_schema().field(name).type)
        known = not floating or b"bench.table" in (meta.metadata or {})
        for group in range(meta.num_row_groups):
            column = meta.row_group(group).column(at)
            yield column.statistics if known and not (floating and column.has_dictionary_page) else None

    def _meta(self, folder: Path) -> Any:
        return self._metas[folder]

    @cached_property
    def _metas(self) -> dict[Path, Any]:
        found = {}
        for folder in self.folders:
            with damage_told(path := folder / f"{self.table}.parquet"):
                found[folder] = pq.read_metadata(path)
        return found

    def _lacking(self, name: str) -> Iterator[tuple[int, int]]:
        """(place of the first row, how many) of every run without the column."""
        begin = 0
        for folder, count in zip(self.folders, self.counts, strict=True):
            if name not in self._meta(folder).schema.to_arrow_schema().names:
                yield begin, count
            begin += count

    def _batches(self, name: str, dictionary: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """(place of the first row, column) of every batch; a run without the column keeps its nulls."""
        begin = 0
        for folder, count in zip(self.folders, self.counts, strict=True):
            path = folder / f"{self.table}.parquet"
            with (
                damage_told(path),
                pq.ParquetFile(path, metadata=self._meta(folder), read_dictionary=list(dictionary)) as file,
            ):
                at = begin
                if name in file.schema_arrow.names:
                    for batch in file.iter_batches(BATCH_ROWS, columns=[name]):
                        yield at, batch.column(0)
                        at += len(batch)
            begin += count


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """CannotRun, with the next step, where a table of a run turns out to be damaged."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from error


class Words:
    """The values of a column of text, numbered as they first occur."""

    def __init__(self, known: dict[str, int] | None = None) -> None:
        self.known = {} if known is None else known
        self._set: Any = None

    def codes(self, column: Any) -> NDArray[np.int32]:
        """The number of each value; null is -1."""
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        index, of = coded.indices, self._numbers(coded.dictionary)
        if len(of) == 1 and not index.null_count:
            return np.full(len(index), of[0], np.int32)
        values: NDArray[np.int32] = of[
            (index.fill_null(0) if index.null_count else index).to_numpy(zero_copy_only=False)
        ]
        if index.null_count:
            values[np.asarray(pc.is_null(index))] = -1
        return values

    def _numbers(self, words: Any) -> NDArray[np.int32]:
        known = self.known
        if len(words) <= FEW_VALUES:
            return np.array([known.setdefault(word, len(known)) for word in words.to_pylist()] or [-1], np.int32)
        # Most of many are known already: those are looked up without a Python object for each.
        if self._set is None or len(self._set) < len(known):
            self._set = pa.array(list(known), words.type)
        of: NDArray[np.int32] = (
            pc.index_in(words, value_set=self._set).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        )
        for at in np.flatnonzero(of < 0):
            of[at] = known.setdefault(words[int(at)].as_py(), len(known))
        return of


def _coded(column: Any) -> tuple[NDArray[np.int32], Any]:
    """Codes into the values of a column; null is -1."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), coded.dictionary


def stored_rows(folder: Path, table: str) -> int:
    """How many rows a table of a run has; 0 when there is no such table."""
    path = folder / f"{table}.parquet"
    with damage_told(path):
        return pq.read_metadata(path).num_rows if path.is_file() else 0
