"""Memory does not grow with the length of a run. The garbage collector rests while we measure, so no cycle may be left behind."""

import gc
import json
import os
import sys
from pathlib import Path

import pytest

import bench.conductor.measure
from bench import simulate
from bench.cli import main

pytestmark = pytest.mark.self

FAST = {"ttft_ms": {"constant": 0}, "gap_ms": {"constant": 0}, "output_tokens": 20}
WORKLOAD = """\
version: 1
name: memory
dataset: {type: inline, items: [{id: one, prompt: "Count upwards."}]}
messages: [{role: user, content: "{{ prompt }}"}]
generation: {max_tokens: 256, stream: true}
load: {pattern: concurrent, stages: [{concurrency: 16, requests: %d}], timeout: 60s, retries: 1}
"""
SLOTS = 16


class Watcher:
    """Looks at memory each time that a request has ended and before its record is made."""

    def __init__(self, requests: int, every: int) -> None:
        self.requests, self.every = requests, every
        self.seen = 0
        self.blocks: list[tuple[int, int]] = []
        self.resident: list[tuple[int, int]] = []
        self.cycles: int | None = None

    def look(self) -> None:
        self.seen += 1
        if self.seen % self.every == 0:
            self.blocks.append((self.seen, sys.getallocatedblocks()))
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.resident.append((self.seen, pages * os.sysconf("SC_PAGE_SIZE")))
        if self.seen == self.requests - SLOTS:
            assert not gc.isenabled()
            self.cycles = gc.collect()

    def growth(self, samples: list[tuple[int, int]]) -> float:
        """Per request, from the second fifth of the run to the last. The least of each: what waits for the disk, and what
        is in flight, come and go."""
        fifth = self.requests / 5
        early = min(value for at, value in samples if fifth <= at < 2 * fifth)
        late = min(value for at, value in samples if at >= 4 * fifth)
        return (late - early) / (3 * fifth)


def watched_run(monkeypatch: pytest.MonkeyPatch, folder: Path, door: str, profile: dict, requests: int) -> Watcher:
    model_id = "us.anthropic.claude-sonnet-5-5" if door == "bedrock" else "claude-sonnet-5-5"
    monkeypatch.chdir(folder)
    given = simulate.default_credentials(door)
    for name, key in {
        "AWS_ACCESS_KEY_ID": "access_key",
        "AWS_SECRET_ACCESS_KEY": "secret_key",
        "KEY": "api_key",
    }.items():
        if key in given:
            monkeypatch.setenv(name, given[key])
    watcher, record_of = Watcher(requests, every=50), bench.conductor.measure.record_of

    def counted(*arguments, **more):
        watcher.look()
        return record_of(*arguments, **more)

    monkeypatch.setattr(bench.conductor.measure, "record_of", counted)
    Path("workload.yaml").write_text(WORKLOAD % requests)
    with simulate.launch(
        {"seed": 1, "targets": [{"id": "t", "door": door, "model_id": model_id, "profile": profile}]}
    ) as running:
        target = {
            "id": "t", "model": "claude-sonnet-5-5", "model_id": model_id, "provider": door,
            "base_url": f"http://127.0.0.1:{running.ports['t']}{'/v1' if door == 'openai-compatible' else ''}",
            **({"region": "us-east-1"} if door == "bedrock" else {"auth": {"env": "KEY"}}),
        }  # fmt: skip
        Path("targets.yaml").write_text(json.dumps({"version": 1, "targets": [target]}))
        assert main(["run", "workload.yaml", "--only", "t", "--no-calibrate", "--json"]) == 0
    return watcher


def test_a_long_run_keeps_nothing_of_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a request leaves to be recorded is some 75 blocks and, with 20 tokens, 10 kB: kept for one request in 50, it would
    show as 1.5 blocks per request. What does grow is the lag monitor, 32 bytes per 10 ms."""
    watcher = watched_run(monkeypatch, tmp_path, "openai-compatible", FAST, 5000)
    assert watcher.cycles == 0
    assert watcher.growth(watcher.blocks) < 1.5
    # Resident memory still settles while the journal's queue (4 MiB) and the allocator's pools fill: 6 MB over 3,000
    # requests are 2,000 bytes. Were every record kept, it would be 10,000.
    assert watcher.growth(watcher.resident) < 4000


STORM = {**FAST, "throttle": {"share": 0.3, "retry_after_s": 0.001}, "cut_share": 0.1, "error_share": 0.1,
         "faults": [{"name": "reset", "after": 3, "share": 0.1}, {"name": "close", "after": 3, "share": 0.1}]}  # fmt: skip


@pytest.mark.parametrize("door", ["openai-compatible", "anthropic", "bedrock"])
def test_failures_and_retries_leave_no_cycle_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: str) -> None:
    """An exception holds its frames and a frame its exception: such rings stay for as long as the collector rests."""
    watcher = watched_run(monkeypatch, tmp_path, door, STORM, 600)
    assert watcher.cycles is not None
    assert watcher.cycles <= 0.05 * watcher.seen
