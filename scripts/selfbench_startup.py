"""How long from the start of `bench run` until its first byte is on the socket."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from selfbench_cells import WORKLOAD, command, environment, target_row
from selfbench_place import Place, look_alike

DOORS = {"openai-compatible": None, "openai": "openai", "anthropic": "anthropic", "bedrock": "anthropic"}
"""Each with the SDK whose import is a part of it."""
AT_ONCE = {"ttft_ms": {"constant": 0}, "gap_ms": {"constant": 0}, "output_tokens": 4}


def startup(place: Place, repeat: int) -> list[dict[str, object]]:
    """Medians in seconds: of the first byte, and of importing the door's SDK and nothing else."""
    folders = {door: Path(tempfile.mkdtemp(dir=place.folder)) for door in DOORS}
    found: dict[str, list[float]] = {door: [] for door in DOORS}
    imports: dict[str, list[float]] = {door: [] for door in DOORS}
    for n in range(repeat):
        for door, sdk in DOORS.items():
            found[door].append(_first_byte_s(door, folders[door], f"r{n}", place))
            if sdk is not None:
                began_s = time.perf_counter()
                subprocess.run([sys.executable, "-c", f"import {sdk}"], check=True)
                imports[door].append(time.perf_counter() - began_s)
    return [
        {"door": door, "first_byte_s": statistics.median(found[door]),
         "import_s": statistics.median(imports[door]) if imports[door] else None}
        for door in DOORS
    ]  # fmt: skip


def _first_byte_s(door: str, folder: Path, run: str, place: Place) -> float:
    (folder / "workload.yaml").write_text(WORKLOAD % ("concurrent", "concurrency: 1", 2))
    with look_alike(door, AT_ONCE, folder, place) as ports:
        row = target_row(door, f"http://127.0.0.1:{ports['plain']}")
        (folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": [row]}))
        began_ns = time.time_ns()
        done = subprocess.run(
            command(run, 1), cwd=folder, env=environment(door, place), capture_output=True, text=True, check=False
        )
    if done.returncode not in (0, 3):
        sys.exit(f"bench run ended with {done.returncode}\n{done.stderr}")
    stored = next((folder / "results").glob(f"date=*/run={run}"))
    anchor = json.loads((stored / "manifest.json").read_text())["anchor"]
    sent_ns = min(
        pq.read_table(stored / "requests.parquet", columns=["sent_ns"], partitioning=None)["sent_ns"].to_pylist()
    )
    return (anchor["wall_ns"] + sent_ns - began_ns) / 1e9


def lines(rows: list[dict[str, object]]) -> list[str]:
    """The table for the terminal, in Markdown."""
    out = ["| door | start to first byte, s | of which its SDK's import alone, s |", "|---|---|---|"]
    for row in rows:
        alone = "no SDK" if row["import_s"] is None else f"{row['import_s']:.2f}"
        out.append(f"| `{row['door']}` | {row['first_byte_s']:.2f} | {alone} |")
    return out
