"""Rows to Parquet: typed by the schema, in bounded row groups, atomically, with a digest of every file."""

from __future__ import annotations

import ctypes
import hashlib
import heapq
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import CannotRun
from bench.record import SCHEMA_VERSION, TABLES, Column
from bench.store.disk import DAMAGED, atomic, digest, unreadable
from bench.store.journal import journals, read, segment_of
from bench.store.schema import KINDS, encodings, schema

GROUP_ROWS = 10_000
GROUP_BYTES = 16 << 20
"""A row group also ends here, counted in stamps and text, so that long replies do not fill the memory."""
BATCH_ROWS = 500
"""So many rows are Python objects before they become columns: those of a row group would take a hundred megabytes."""

Replies = Literal["full", "hashed", "none"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What the manifest says of a file: SHA-256 of its bytes, rows, size."""

    sha256: str
    rows: int
    bytes: int


def _as(kind: Any, column: Any) -> Any:
    """A column of that type. (A cast loads all of Arrow's functions, so one that has the type already is left alone.)"""
    return column if column.type == kind else column.cast(kind)


class _Writer:
    """One Parquet file being written: rows gather into columns, and columns until a row group is full."""

    def __init__(self, path: Path, table: str) -> None:
        self.table = table
        self.rows = 0
        self._schema = schema(table)
        self._names = frozenset(self._schema.names)
        self._heavy = [c.name for c in TABLES[table] if c.kind.startswith("list<") or c.name in ("text", "reasoning")]
        self._columns: list[tuple[Column, list[Any]]] = [(column, []) for column in TABLES[table]]
        self._batches: list[Any] = []  # columns that wait for their row group
        self._waiting = self._batched = 0  # rows: as Python objects, and in columns
        self._bytes = 0
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=3, version="2.6", **encodings(table)
        )

    def add(self, row: Row) -> None:
        if not row.keys() <= self._names:
            raise ValueError(f"{self.table} has no column {', '.join(sorted(row.keys() - self._names))}")
        for column, values in self._columns:
            values.append(row.get(column.name))
        self._waiting += 1
        self._bytes += sum(_size(row.get(name)) for name in self._heavy)
        if self._batched + self._waiting >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()
        elif self._waiting >= BATCH_ROWS:
            self._batch()

    def add_table(self, data: Any) -> None:
        """A pyarrow table or record batch with some of the columns; the others become null."""
        self._flush()
        if unknown := set(data.schema.names) - self._names:
            raise ValueError(f"{self.table} has no column {', '.join(sorted(unknown))}")
        columns = [
            _as(f.type, data.column(f.name)) if f.name in data.schema.names else pa.nulls(len(data), f.type)
            for f in self._schema
        ]
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=GROUP_ROWS)
        self.rows += len(data)

    def close(self) -> None:
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _batch(self) -> None:
        if self._waiting:
            columns = [_array(self.table, column, values) for column, values in self._columns]
            self._batches.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        for _, values in self._columns:
            values.clear()
        self._batched += self._waiting
        self._waiting = 0

    def _flush(self) -> None:
        self._batch()
        if self._batches:
            whole = pa.Table.from_batches(self._batches).combine_chunks()
            self._file.write_table(whole)
            self.rows += self._batched
        self._batches.clear()
        self._batched = self._bytes = 0


def _size(value: Any) -> int:
    return 0 if value is None else 8 * len(value) if not isinstance(value, str) else len(value)


def _array(table: str, column: Column, values: list[Any]) -> Any:
    try:
        if column.kind.startswith("list<"):
            return _lists(values, KINDS[column.kind])
        if column.kind.startswith("decimal"):
            values = [_to_scale(v) for v in values]
        return pa.array(values, KINDS[column.kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError) as error:
        raise ValueError(f"{table}.{column.name}: want {column.kind}: {error}") from error


_CONTEXT = Context(prec=38)
_STEP = Decimal("1E-12")


def _to_scale(value: Decimal | None) -> Decimal | None:
    """Money to 12 decimals. Prices per million tokens fit exactly.

    A discount with more digits is rounded half to even.
    """
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise TypeError(f"got {type(value).__name__} {value!r}")
    return value.quantize(_STEP, ROUND_HALF_EVEN, _CONTEXT)


def _lists(values: list[Any], kind: Any) -> Any:
    """Lists of integers without a Python object per number. A missing list stays null, an empty one stays empty."""
    parts = [None if v is None else _integers(v) for v in values]
    offsets = np.zeros(len(parts) + 1, np.int32)
    np.cumsum([0 if p is None else len(p) for p in parts], out=offsets[1:])
    held = [p for p in parts if p is not None and len(p)]
    flat = np.concatenate(held) if held else np.empty(0, np.int64)
    mask = pa.array([p is None for p in parts], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, kind.value_type), type=kind, mask=mask)


def _integers(values: Any) -> Any:
    found = np.asarray(values) if len(values) else np.empty(0, np.int64)
    if found.dtype.kind not in "iu":
        raise TypeError(f"got {found.dtype} values")
    return found


def write_table(path: Path, name: str, rows: Iterable[Row] | Any) -> FileInfo:
    """Writes one table: an iterable of row dicts, or a pyarrow Table. Missing columns become null, unknown ones are
    an error.

    The rows are read one by one and leave the memory with their row group.
    """
    with atomic(path) as temporary:
        writer = _Writer(temporary, name)
        try:
            if isinstance(rows, (pa.Table, pa.RecordBatch)):
                writer.add_table(rows)
            else:
                for row in rows:
                    writer.add(row)
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        return FileInfo(digest(temporary), writer.rows, temporary.stat().st_size)


def info(path: Path) -> FileInfo:
    """What the manifest says of a Parquet file that another process wrote."""
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
    return FileInfo(digest(path), rows, path.stat().st_size)


JOURNALLED = ("requests", "attempts", "chunks", "replies", "scores")


def write_tables(
    run_dir: Path,
    *,
    amend: Callable[[dict[str, Any]], None] | None = None,
    replies: Replies = "full",
    tables: Sequence[str] = JOURNALLED,
) -> tuple[dict[str, FileInfo], int]:
    """Turns the journals of a run into its Parquet files, in one pass; returns the files and how many bytes were torn
    off.

    `amend` sees each record first and may change it: that is where a request gets its price and its `scores` rows.
    `replies` is the policy for the text of replies; what was scored is the full text either way.

    A run that was continued has a journal for each segment, and the tables of those that were sealed. The newest word on
    a request stands: later journals are written first, and what they hold is left out of earlier ones and of the tables
    that were there. So a second pass, after a first that was cut off anywhere, gives the same rows.
    """
    found = journals(run_dir)
    paths = {name: run_dir / f"{name}.parquet" for name in tables}
    sealed = {name: path for name, path in paths.items() if path.exists()}
    segments = sorted({segment_of(journal) for journal in found}, reverse=True)
    newer: set[int] | None = set() if sealed or len(segments) > 1 else None
    dropped = 0
    with ExitStack() as stack:
        temporary = {name: stack.enter_context(atomic(path)) for name, path in paths.items()}
        writers = {name: _Writer(temporary[name], name) for name in tables}
        try:
            for segment in segments:
                written: list[int] = []
                records = [read(path) for path in found if segment_of(path) == segment]
                for record in heapq.merge(*records, key=_ended_ns):  # of several processes, in the order of time
                    if newer is not None:
                        if (seq := record["request"]["seq"]) in newer:
                            continue
                        written.append(seq)
                    if amend:
                        amend(record)
                    for name, row in _rows(record, replies):
                        if name in writers:
                            writers[name].add(row)
                dropped += sum(one.dropped_bytes for one in records)
                if newer is not None:
                    newer.update(written)
            for name, path in sealed.items():
                for batch in _without(path, newer or set()):
                    writers[name].add_table(batch)
            for writer in writers.values():
                writer.close()
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        files = {
            f"{name}.parquet": FileInfo(digest(temporary[name]), writers[name].rows, temporary[name].stat().st_size)
            for name in tables
        }
    return files, dropped


def _ended_ns(record: Mapping[str, Any]) -> int:
    return record["request"].get("end_ns") or 0


def _without(path: Path, seqs: set[int]) -> Iterator[Any]:
    """The rows of a stored table, but for those of some requests, one row group after the other."""
    leave = np.fromiter(seqs, np.int64, len(seqs))
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            data = file.read_row_group(group)
            keep = ~np.isin(data.column("seq").to_numpy(), leave)
            if keep.any():
                yield data.filter(pa.array(keep))


def _rows(record: Mapping[str, Any], replies: Replies) -> Iterator[tuple[str, Row]]:
    """The rows of one request, each with the identity that the journal holds only once."""
    request = record["request"]
    identity = {name: request.get(name) for name in ("run_id", "seq", "target")}
    case = {**identity, "case_id": request.get("case_id") or record.get("case_id")}
    yield "requests", {"case_id": case["case_id"], **request}
    for row in record.get("attempts") or ():
        yield "attempts", {**identity, **row}
    for row in record.get("chunks") or ():
        yield "chunks", {**identity, **row}
    if record.get("reply") is not None:
        yield "replies", {**case, **_by_policy(record["reply"], replies)}
    for row in record.get("scores") or ():
        yield "scores", {**case, **row}


_PRIVATE = ("text", "reasoning", "tool_calls")


def _by_policy(row: Row, policy: Replies) -> Row:
    """A reply row with its words kept, replaced by their SHA-256, or removed.

    `tool_calls` is JSON text in the table.
    """
    out = dict(row)
    if out.get("tool_calls") is not None and not isinstance(out["tool_calls"], str):
        out["tool_calls"] = orjson.dumps(out["tool_calls"]).decode()
    if policy == "full":
        return out
    for name in _PRIVATE:
        if out.get(name) is not None:
            out[name] = hashlib.sha256(out[name].encode()).hexdigest() if policy == "hashed" else None
    return out


def read_table(run_dir: Path, name: str, columns: Sequence[str] | None = None) -> Any:
    """A table of a run as a pyarrow Table. Columns that an older run did not have come back as null."""
    path = Path(run_dir) / f"{name}.parquet"
    wanted = schema(name) if columns is None else pa.schema([schema(name).field(c) for c in columns])
    with _opened(path) as file:
        there = [n for n in wanted.names if n in file.schema_arrow.names]
        data = file.read(columns=there)
    filled = [data.column(f.name).cast(f.type) if f.name in there else pa.nulls(len(data), f.type) for f in wanted]
    return pa.Table.from_arrays(filled, schema=wanted)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A stored table. Whatever is wrong with it is told with the next step."""
    try:
        with pq.ParquetFile(path) as file:
            version = int((file.schema_arrow.metadata or {}).get(b"bench.schema_version", b"1"))
            if version > SCHEMA_VERSION:
                raise CannotRun(
                    f"{path}: written by a newer bench (schema {version}, this one reads {SCHEMA_VERSION})",
                    "upgrade bench: pip install --upgrade bench",
                )
            yield file
    except FileNotFoundError as error:
        raise CannotRun(f"{path}: the run has no table {path.stem}", DAMAGED) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from error


def release_memory() -> None:
    """Give back what is kept of tables that are gone, by Arrow and by the C library; else they would hold as much again as
    the rows of a long run."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
    if trim is not None:
        trim(0)


def dataset(results: Path, name: str) -> Any:
    """One table of every run below `results/`, as a pyarrow Dataset with the partition columns `date` and `run`."""
    import pyarrow.dataset as ds  # imports pandas, which a run needs when its load is over, and not before

    files = sorted(str(path) for path in Path(results).glob(f"date=*/run=*/{name}.parquet"))
    keys = pa.schema([("date", pa.string()), ("run", pa.string())])
    hive = ds.HivePartitioning(keys)
    wanted = pa.schema([*schema(name), *keys])
    return ds.dataset(files, schema=wanted, format="parquet", partitioning=hive, partition_base_dir=str(results))
