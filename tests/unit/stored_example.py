"""Made-up runs on disk, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from bench.store import runs
from bench.store.parquet import write_table
from bench.store.schema import schema
from tests.unit import stats_example

DAY_NS = 86_400 * 10**9


def arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    columns = {name: pa.array(list(frame[name]), field.type, from_pandas=True) for name, field in zip(
        schema(table).names, schema(table), strict=True)}  # fmt: skip
    return pa.table(columns)


def store(
    results: Path, run_id: str, day: int = 0, facts: Mapping[str, Any] | None = None,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows, **example: Any,
) -> Path:  # fmt: skip
    """A sealed run of `stats_example.example`; `facts` change the manifest, `change` the requests, `day` counts from
    2026-11-21."""
    requests, _, scores, manifest = stats_example.example(**example)
    requests = change(requests)
    requests["run_id"] = scores["run_id"] = run_id
    began_ns = 1_795_219_200 * 10**9 + day * DAY_NS  # 2026-11-21T00:00:00Z is day 20,778: 20,778 x 86,400
    cases = sorted(set(requests["case_id"]))
    manifest |= {
        "run_id": run_id, "started_unix_ns": began_ns, "method_version": 1,
        "anchor": {"monotonic_ns": 0, "wall_ns": began_ns + 3_599 * 10**9},
        "workload": {**manifest["workload"], "digest": "d" * 64},
        "tags": {case: {"kind": "even" if int(case[5:]) % 2 == 0 else "odd"} for case in cases},
        "load": {"pattern": "poisson", "stages": [{"rate_per_s": 2.0, "requests": len(cases)}]},
    }  # fmt: skip
    manifest |= facts or {}
    folder = runs.create_run_dir(results, run_id, began_ns)
    files = {"requests.parquet": write_table(folder / "requests.parquet", "requests", arrow("requests", requests))}
    files["scores.parquet"] = write_table(folder / "scores.parquet", "scores", arrow("scores", scores))
    files["attempts.parquet"] = write_table(folder / "attempts.parquet", "attempts", [])
    done = {"complete": True, "exit_status": 0} | {
        key: manifest.pop(key) for key in ("complete", "exit_status") if key in manifest
    }
    runs.write_manifest(folder, manifest, files, **done)
    return folder
