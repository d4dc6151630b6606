"""A plan as schedule.parquet: column by column, since a plan of millions of requests is written before the first one goes.

Arrow makes its arrays from numpy's memory here. `pyarrow.array` would import pandas, and `take` all of Arrow's functions,
which a run needs only at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.plan import NO_DUE, NONE, Plan
from bench.store.parquet import FileInfo, write_table
from bench.store.schema import schema

PIECE_ROWS = 1 << 18
PIECE_BYTES = 1 << 30
_DTYPES: dict[Any, Any] = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float64(): np.float64}


def write(path: Path, plan: Plan, run_id: str) -> FileInfo:
    """The rows of a plan, in the order of sending."""
    n = len(plan)
    level = np.array([np.nan if level is None else level for level in (*plan.levels, None)], np.float64)[plan.stage]
    columns = {
        "run_id": _words([run_id], np.zeros(n, np.int32)),
        "seq": _numbers(pa.int64(), np.arange(n), None),
        "target": _words(plan.target_ids, plan.target),
        "block_id": _numbers(pa.int32(), plan.block, None),
        "case_id": _words(plan.case_ids, plan.case),
        "repeat": _numbers(pa.int32(), plan.repeat, None),
        "phase": _words(("measure", "warmup"), plan.warmup),
        "due_ns": _numbers(pa.int64(), plan.due_ns, plan.due_ns == NO_DUE),
        "stage": _numbers(pa.int32(), plan.stage, plan.stage == NONE),
        "level": _numbers(pa.float64(), level, np.isnan(level)),
        "session_id": _numbers(pa.int32(), plan.session, plan.session == NONE),
        "turn": _numbers(pa.int32(), plan.turn, plan.turn == NONE),
        "think_ns": _numbers(pa.int64(), plan.think_ns, plan.think_ns == NONE),
    }
    fields = schema("schedule")
    return write_table(path, "schedule", pa.Table.from_arrays([columns[name] for name in fields.names], schema=fields))


def _numbers(kind: Any, values: NDArray[Any], null: NDArray[np.bool_] | None) -> Any:
    valid = None
    if null is not None and null.any():
        valid = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(np.ascontiguousarray(values, _DTYPES[kind]))])


def _words(words: Sequence[str], codes: NDArray[Any]) -> Any:
    """The words that the codes stand for, in pieces whose offsets fit into 32 bits."""
    raw, codes = [word.encode() for word in words], codes.astype(np.int32)  # a mask is one of codes, too
    longest = max(map(len, raw), default=0)
    step = min(PIECE_ROWS, max(1, PIECE_BYTES // max(1, longest)))
    pieces = [_piece(raw, codes[first : first + step]) for first in range(0, len(codes), step)]
    return pa.chunked_array(pieces or [_piece(raw, codes)], pa.string())


def _piece(raw: Sequence[bytes], codes: NDArray[Any]) -> Any:
    lengths = np.array([len(word) for word in raw], np.int64)[codes]
    ends = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    content = b"".join(map(raw.__getitem__, codes.tolist()))
    return pa.StringArray.from_buffers(len(codes), pa.py_buffer(ends), pa.py_buffer(content))
