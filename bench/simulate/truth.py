"""What really happened, from the side that sent it: one row per request, on CLOCK_MONOTONIC.

A client on the same host can subtract: the clock is one and the same. Stamps are taken just before the write.
"""

from __future__ import annotations

import asyncio
import os
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import CannotRun
from bench.simulate.base import Script

ROWS_PER_WRITE = 50_000

COLUMNS: Sequence[tuple[str, str, str]] = (
    ("target", "string", "id of the look-alike"),
    ("request_id", "string", "the id header that the reply carried"),
    ("key", "string", "SHA-256 of the last user message's text; null when the request was refused unread"),
    ("case_id", "string", "case of the answer key, where the prompt has an entry"),
    ("kind", "string", "kind of the answer given: right, wrong, abstain, filler, ...; null when none was"),
    ("fault", "string", "the fault played, or 'refused <code>'"),
    ("status", "int32", "HTTP status; null when nothing was sent"),
    ("stream", "bool", "whether the reply was streamed"),
    ("repeat", "int32", "how many times this prompt had come to this target before"),
    ("complete", "bool", "whether everything planned was written before the client or we left"),
    ("arrived_ns", "int64", "the request was read in full"),
    ("headers_ns", "int64", "just before the response headers were written"),
    ("ended_ns", "int64", "just after the last write, or when the connection went"),
    ("planned_ttft_ns", "int64", "planned time from arrival to the first content event; null when there is none"),
    ("lateness_p50_ns", "int64", "our own lateness: write less due, over the content events"),
    ("lateness_p99_ns", "int64", "the same at the 99th percentile"),
    ("input_tokens", "int64", "estimate: ceil(characters of the whole prompt / 4), cached part included"),
    ("output_tokens", "int64", "pieces planned to be sent"),
    ("token_ns", "list<int64>", "just before each content event was written (a streamed reply)"),
    ("late_ns", "list<int32>", "how late each of these writes was, at most 2 s"),
)
"""Name, Arrow type and meaning of every column of the truth file."""


class Row:
    """One request while it is under way."""

    # fmt: off
    __slots__ = (
        "arrived_ns", "complete", "ended_ns", "fault", "headers_ns", "key", "late_ns", "repeat", "request_id", "script",
        "status", "stream", "target", "token_ns",
    )
    # fmt: on

    def __init__(self, target: str, arrived_ns: int) -> None:
        self.target = target
        self.arrived_ns = arrived_ns
        self.request_id: str = ""
        self.key: str | None = None
        self.script: Script | None = None
        self.fault: str | None = None
        self.status: int | None = None
        self.stream = False
        self.repeat = 0
        self.complete = False
        self.headers_ns: int | None = None
        self.ended_ns: int | None = None
        self.token_ns: list[int] = []
        self.late_ns: list[int] = []


class Truth:
    """Collects finished rows, compactly, and writes them to one Parquet file, replaced atomically at each write."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._tables: list[Any] = []
        self._lock = threading.Lock()
        self._start()
        if path:  # writing the empty table tells now what would fail later, and loads pyarrow before the load
            self._write(self._take())

    def _start(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._token_ns, self._late_ns, self._ends = array("q"), array("i"), array("i", [0])

    def add(self, row: Row) -> None:
        if self.path is None:
            return
        script = row.script
        late = sorted(row.late_ns)
        self._rows.append(
            (
                row.target,
                row.request_id,
                row.key,
                script.case_id if script else None,
                script.kind if script and row.status == 200 else None,
                row.fault,
                row.status,
                row.stream,
                row.repeat,
                row.complete,
                row.arrived_ns,
                row.headers_ns,
                row.ended_ns,
                script.offsets_ns[0] if script and script.offsets_ns and row.status == 200 else None,
                late[len(late) // 2] if late else None,
                late[min(len(late) - 1, len(late) * 99 // 100)] if late else None,
                script.input_tokens + script.cache_read_tokens + script.cache_write_tokens if script else None,
                script.output_tokens if script else None,
            )
        )
        self._token_ns.extend(row.token_ns)
        self._late_ns.extend(row.late_ns)
        self._ends.append(len(self._token_ns))
        if len(self._rows) >= ROWS_PER_WRITE:
            batch = self._take()
            asyncio.get_running_loop().run_in_executor(None, self._write, batch)

    def _take(self) -> tuple[list[tuple[Any, ...]], array[int], array[int], array[int]]:
        batch = (self._rows, self._token_ns, self._late_ns, self._ends)
        self._start()
        return batch

    def _write(self, batch: tuple[list[tuple[Any, ...]], array[int], array[int], array[int]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert self.path is not None
        rows, token_ns, late_ns, ends = batch
        plain = [_column(kind, [row[n] for row in rows]) for n, (_, kind, _) in enumerate(COLUMNS[:-2])]
        table = pa.table(
            [*plain, _lists(pa.int64(), token_ns, ends), _lists(pa.int32(), late_ns, ends)],
            names=[name for name, _, _ in COLUMNS],
        )
        with self._lock:
            self._tables.append(table)
            partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            try:
                pq.write_table(pa.concat_tables(self._tables), partial, compression="zstd")
                os.replace(partial, self.path)
            except OSError as error:
                raise CannotRun(f"{self.path}: the truth cannot be written there: {error}") from error

    def close(self) -> None:
        """Writes everything once more, with what has come since. Raises CannotRun."""
        if self.path is not None:
            self._write(self._take())


def _column(kind: str, values: list[Any]) -> Any:
    """An Arrow array, made from buffers: `pyarrow.array` would import pandas, which takes longer than all the rest."""
    import numpy as np
    import pyarrow as pa

    def bits(flags: list[bool]) -> Any:
        return pa.py_buffer(np.packbits(np.array(flags, bool), bitorder="little").tobytes())

    known = bits([value is not None for value in values])
    if kind == "string":
        words = [value.encode("utf-8", "replace") if value is not None else b"" for value in values]
        ends = np.zeros(len(words) + 1, np.int32)
        np.cumsum([len(word) for word in words], out=ends[1:])
        return pa.Array.from_buffers(
            pa.string(), len(words), [known, pa.py_buffer(ends), pa.py_buffer(b"".join(words))]
        )
    if kind == "bool":
        return pa.Array.from_buffers(pa.bool_(), len(values), [known, bits([bool(value) for value in values])])
    numbers = np.array([0 if value is None else value for value in values], kind)
    return pa.Array.from_buffers(getattr(pa, kind)(), len(values), [known, pa.py_buffer(numbers)])


def _lists(kind: Any, values: array[int], ends: array[int]) -> Any:
    import pyarrow as pa

    inner = pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    outer = pa.py_buffer(ends)
    return pa.Array.from_buffers(pa.list_(kind), len(ends) - 1, [None, outer], children=[inner])
