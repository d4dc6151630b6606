"""How wrong is bench, and what does it cost? The whole program against a look-alike whose every token's time is known.

The look-alike runs on one core, `bench run` on another: all of it, from the YAML to the table. Errors are differences between
what requests.parquet and chunks.parquet say and the server's own stamps, request by request. CPU is that of the client process.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench import simulate

TOKENS = 128
PROFILE = {"ttft_ms": {"uniform": [175, 225]}, "gap_ms": {"constant": 10}, "output_tokens": TOKENS}
FAST = {"ttft_ms": {"constant": 0}, "gap_ms": {"constant": 0}, "output_tokens": 100}
CELLS = {
    # name: (streams, requests, profile)
    "1 stream": (1, 20, PROFILE),
    "50 streams": (50, 400, PROFILE),
    "200 streams": (200, 1200, PROFILE),
    "64 streams, no delay": (64, 4000, FAST),
}

WORKLOAD = """\
version: 1
name: selfbench
dataset: {type: inline, items: [{id: one, prompt: "Count upwards."}]}
messages: [{role: user, content: "{{ prompt }}"}]
generation: {max_tokens: 256, stream: true}
cache: {salt: none}
load: {pattern: concurrent, stages: [{concurrency: %d, requests: %d}], timeout: 60s, retries: 0}
"""
TARGETS = """\
version: 1
targets:
  - {id: selfbench, model: selfbench, provider: openai-compatible, base_url: "http://127.0.0.1:%d/v1", auth: {env: SELFBENCH_KEY}}
"""


def cell(name: str, folder: Path) -> dict[str, float]:
    streams, requests, profile = CELLS[name]
    truth = folder / "truth.parquet"
    config = {
        "seed": 1,
        "targets": [
            {
                "id": "selfbench",
                "door": "openai-compatible",
                "model_id": "selfbench",
                "profile": profile,
                "credentials": {"api_key": "k"},
            }
        ],
        "truth": str(truth),
    }
    (folder / "workload.yaml").write_text(WORKLOAD % (streams, requests))
    cores = sorted(os.sched_getaffinity(0))
    with simulate.launch(config) as running:
        os.sched_setaffinity(running.pid, {cores[0]})
        (folder / "targets.yaml").write_text(TARGETS % running.ports["selfbench"])
        command = [
            sys.executable, "-m", "bench", "run", str(folder / "workload.yaml"), "--targets", str(folder / "targets.yaml"),
            "--only", "selfbench", "--out", str(folder / "results"), "--run-id", "cell", "--no-calibrate", "--json",
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command,
            env={**os.environ, "SELFBENCH_KEY": "k"},
            preexec_fn=lambda: os.sched_setaffinity(0, {cores[-1]}),
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            sys.exit(f"{name}: bench run ended with {done.returncode}\n{done.stderr}")
        running.stop()
    run = next((folder / "results").glob("date=*/run=cell"))
    return figures(run, truth, requests, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def figures(run: Path, truth_path: Path, requests: int, process_cpu_s: float) -> dict[str, float]:
    manifest = json.loads((run / "manifest.json").read_text())
    anchor = manifest["anchor"]["monotonic_ns"]
    rows = pq.read_table(run / "requests.parquet").to_pylist()
    chunks = {r["seq"]: r["content_ns"] for r in pq.read_table(run / "chunks.parquet").to_pylist()}
    truth = {r["request_id"]: r for r in pq.read_table(truth_path).to_pylist()}
    ttft, sent_late, tokens = [], [], []
    for row in rows:
        true = truth[row["provider_request_id"]]
        ttft.append(row["ttft_ms"] - (true["token_ns"][0] - true["arrived_ns"]) / 1e6)
        content = np.array(chunks[row["seq"]]) + anchor
        if len(content) == len(true["token_ns"]):
            tokens.append((content - np.array(true["token_ns"])) / 1e6)
        sent_late.append((true["arrived_ns"] - row["sent_ns"] - anchor) / 1e6)
    token = np.concatenate(tokens)
    gaps = np.concatenate([np.diff(t) for t in tokens])
    wall_s = (max(r["end_ns"] for r in rows) - min(r["sent_ns"] for r in rows)) / 1e9
    return {
        "requests": len(rows),
        "cpu_s_per_1000_load": manifest["instrument"]["cpu_s"] / requests * 1000,
        "cpu_s_per_1000_process": process_cpu_s / requests * 1000,
        "replies_per_s": len(rows) / wall_s,
        "ttft_error_p50_ms": quantile(ttft, 0.5),
        "ttft_error_p99_ms": quantile(ttft, 0.99),
        "token_late_p50_ms": quantile(token, 0.5),
        "token_late_p99_ms": quantile(token, 0.99),
        "gap_error_p99_ms": quantile(np.abs(gaps), 0.99),
        "lag_p99_ms": (manifest["instrument"]["lag_ns"]["p99"] or 0) / 1e6,
        "rss_mb": manifest["instrument"]["rss_mb"],
    }


def quantile(values, p: float) -> float:
    return float(np.quantile(np.asarray(values), p, method="inverted_cdf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each cell; the median is printed")
    parser.add_argument("--only", action="append", help="name of a cell")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    out = {}
    for name in options.only or CELLS:
        runs = []
        for _ in range(options.repeat):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(cell(name, Path(folder)))
        out[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        if not options.json:
            show(name, out[name], first=len(out) == 1)
    if options.json:
        print(json.dumps({"machine": machine(), "cells": out}, indent=1))


def show(name: str, row: dict[str, float], first: bool) -> None:
    if first:
        print(machine())
        print(
            f"{'load':<22}{'CPU s/1k':>9}{'(process)':>10}{'replies/s':>10}{'TTFT error p50 / p99 ms':>25}"
            f"{'token late p50 / p99':>22}{'gap err p99':>12}{'RSS MB':>8}"
        )
    print(
        f"{name:<22}{row['cpu_s_per_1000_load']:>9.2f}{row['cpu_s_per_1000_process']:>10.2f}{row['replies_per_s']:>10.0f}"
        f"{row['ttft_error_p50_ms']:>14.3f} / {row['ttft_error_p99_ms']:<8.3f}{row['token_late_p50_ms']:>11.3f} / "
        f"{row['token_late_p99_ms']:<8.3f}{row['gap_error_p99_ms']:>12.3f}{row['rss_mb']:>8.0f}",
        flush=True,
    )


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; medians"


if __name__ == "__main__":
    main()
