"""Whole runs against look-alike clouds that answer fast and fail as told."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import simulate
from bench.cli import main

QUICK = {"ttft_ms": {"constant": 20}, "gap_ms": {"constant": 1}, "output_tokens": 12}

DOORS = {
    "anthropic": ("", {"auth": {"env": "KEY_ANTHROPIC"}}),
    "bedrock": ("", {"region": "us-east-1", "dialect": "messages"}),
    "vertex": ("/v1", {"region": "us-east5", "project": "p1", "auth": {"env": "KEY_VERTEX"}}),
    "foundry": ("/anthropic/", {"sku": "GlobalStandard", "auth": {"env": "KEY_FOUNDRY"}}),
    "openai-compatible": ("/v1", {"auth": {"env": "KEY_OPENAI_COMPATIBLE"}, "model_id": "claude-sonnet-5-5"}),
}

MODEL_IDS = {"bedrock": "us.anthropic.claude-sonnet-5-5"}

WORKLOAD = """\
version: 1
name: small
title: A few questions
dataset:
  type: inline
  items:
    - {id: one, question: "How many days?", expected: {gold: [{type: number, value: "30", unit: days}], answerable: true}, metadata: {kind: a}}
    - {id: two, question: "How many euros?", expected: {gold: [{type: number, value: "40", unit: euros}], answerable: true}, metadata: {kind: b}}
    - {id: three, question: "Who signs?", expected: {gold: [{type: name, value: "Lena Okafor"}], answerable: true}, metadata: {kind: a}}
    - {id: four, question: "Which site?", expected: {gold: [{type: name, value: "Aarhus"}], answerable: true}, metadata: {kind: b}}
messages:
  - {role: system, content: "Answer briefly."}
  - {role: user, content: "{{ question }}%s"}
generation: {max_tokens: 64, stream: true}
load: {pattern: concurrent, stages: [{concurrency: 4, requests: %d}], warmup: {requests: 0}, timeout: %s, retries: %d}
scoring:
  scorers:
    - {name: answer, type: facts, target: gold, required: true}
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    folder: Path

    @property
    def run(self) -> Path:
        found = list((self.folder / "results").glob("date=*/run=*"))
        assert found, self.err
        return max(found, key=lambda path: path.stat().st_ctime_ns)

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.run / "manifest.json").read_text())

    def rows(self, table: str = "requests") -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        return pq.read_table(self.run / f"{table}.parquet", partitioning=None).to_pylist()


@dataclass
class Place:
    """A folder with a workload and targets, and the command."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def workload(self, requests: int = 4, timeout: str = "5s", retries: int = 0, suffix: str = "") -> Path:
        path = self.folder / "small.yaml"
        path.write_text(WORKLOAD % (suffix, requests, timeout, retries))
        return path

    def bench(self, *arguments: str) -> Outcome:
        self.capsys.readouterr()
        code = main([str(a) for a in arguments])
        captured = self.capsys.readouterr()
        return Outcome(code, captured.out, captured.err, self.folder)

    def run(self, *arguments: str, **workload: Any) -> Outcome:
        self.workload(**workload)
        return self.bench("run", "small.yaml", "--no-calibrate", "--out", "results", *arguments)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, capsys)


@pytest.fixture
def clouds(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., simulate.Running]]:
    """Starts look-alikes of the named doors and writes a targets.yaml that points at them."""
    with ExitStack() as stack:

        def start(**profiles: dict[str, Any]) -> simulate.Running:
            doors = {name.replace("_", "-"): profile for name, profile in profiles.items()}
            config = {
                "seed": 1,
                "truth": str(place.folder / "truth.parquet"),
                "targets": [
                    {
                        "id": door,
                        "door": door,
                        "model_id": MODEL_IDS.get(door, "claude-sonnet-5-5"),
                        "profile": {**QUICK, **profile},
                        "credentials": simulate.default_credentials(door),
                    }
                    for door, profile in doors.items()
                ],
            }
            running = stack.enter_context(simulate.launch(config))
            rows = []
            for door in doors:
                path, more = DOORS[door]
                rows.append(
                    {
                        "id": door,
                        "model": "claude-sonnet-5-5",
                        "provider": door,
                        "base_url": f"http://127.0.0.1:{running.ports[door]}{path}",
                        **more,
                    }
                )
            (place.folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": rows}))
            for door in doors:
                given = simulate.default_credentials(door)
                if door == "bedrock":
                    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["access_key"])
                    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["secret_key"])
                else:
                    monkeypatch.setenv("KEY_" + door.upper().replace("-", "_"), next(iter(given.values())))
            return running

        yield start
