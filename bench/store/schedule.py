"""A plan as schedule.parquet: column by column, since a plan of millions of requests is written before the first one goes.

Arrow makes its arrays from numpy's memory here. `pyarrow.array` would import pandas, which a run needs only at its end.
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
    raw = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, raw)], dtype=np.int32)
    known = pa.StringArray.from_buffers(len(raw), pa.py_buffer(ends), pa.py_buffer(b"".join(raw)))
    return known.take(_numbers(pa.int32(), codes, None))
