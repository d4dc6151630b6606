"""How wrong are we? The whole program against a look-alike that wrote down when every token left."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench import simulate
from bench.cli import main
from bench.conductor.collect import SPOILED_NS, SPOILED_SHARE
from bench.wire.lag import BEAT_NS

TTFT_MS, GAP_MS, TOKENS = 120, 10, 24
PROFILE = {"ttft_ms": {"constant": TTFT_MS}, "gap_ms": {"constant": GAP_MS}, "output_tokens": TOKENS}
WORKLOAD = """\
version: 1
name: accuracy
dataset: {type: inline, items: [{id: one, prompt: "Count upwards."}]}
messages: [{role: user, content: "{{ prompt }}"}]
generation: {max_tokens: 256, stream: true}
load: {pattern: concurrent, stages: [{concurrency: %d, requests: %d}], timeout: 60s, retries: 0}
"""

pytestmark = pytest.mark.self


@pytest.mark.parametrize(
    ("streams", "requests", "door", "path"),
    [
        (1, 6, "openai-compatible", "/v1"),
        (50, 150, "openai-compatible", "/v1"),
        (200, 400, "openai-compatible", "/v1"),
        (50, 150, "anthropic", ""),
        (50, 150, "bedrock", ""),
    ],
)
def test_a_row_that_is_not_marked_spoiled_is_true_within_the_limit_that_it_is_marked_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streams: int, requests: int, door: str, path: str
) -> None:
    model_id = "us.anthropic.claude-sonnet-5-5" if door == "bedrock" else "claude-sonnet-5-5"
    truth_path = tmp_path / "truth.parquet"
    config = {
        "seed": 1,
        "truth": str(truth_path),
        "targets": [{"id": "t", "door": door, "model_id": model_id, "profile": PROFILE}],
    }
    monkeypatch.chdir(tmp_path)
    given = simulate.default_credentials(door)
    for name, key in {
        "AWS_ACCESS_KEY_ID": "access_key",
        "AWS_SECRET_ACCESS_KEY": "secret_key",
        "KEY": "api_key",
    }.items():
        if key in given:
            monkeypatch.setenv(name, given[key])
    Path("workload.yaml").write_text(WORKLOAD % (streams, requests))
    with simulate.launch(config) as running:
        target = {
            "id": "t",
            "model": "claude-sonnet-5-5",
            "model_id": model_id,
            "provider": door,
            "base_url": f"http://127.0.0.1:{running.ports['t']}{path}",
            **({"region": "us-east-1"} if door == "bedrock" else {"auth": {"env": "KEY"}}),
        }
        Path("targets.yaml").write_text(json.dumps({"version": 1, "targets": [target]}))
        code = main(["run", "workload.yaml", "--only", "t", "--run-id", "r", "--no-calibrate", "--json"])
        running.stop()
    run = next(tmp_path.glob("results/date=*/run=r"))
    rows = pq.read_table(run / "requests.parquet", partitioning=None).to_pylist()
    content = {r["seq"]: r["content_ns"] for r in pq.read_table(run / "chunks.parquet", partitioning=None).to_pylist()}
    truth = {r["request_id"]: r for r in pq.read_table(truth_path).to_pylist()}
    anchor = json.loads((run / "manifest.json").read_text())["anchor"]["monotonic_ns"]
    assert code in (0, 3)  # 3 where the machine is too busy to keep any plan, which is then said
    assert len(rows) == requests
    assert {r["outcome"] for r in rows} == {"ok"}

    ttft_errors_ns, token_errors_ns = [], []
    for row in rows:
        true = truth[row["provider_request_id"]]
        sent_ns, first_ns = row["sent_ns"] + anchor, row["first_token_ns"] + anchor
        # one clock, cause before effect, for every single request
        assert sent_ns <= true["arrived_ns"] < true["token_ns"][0] <= first_ns
        error_ns = (first_ns - sent_ns) - (true["token_ns"][0] - true["arrived_ns"])
        if not row["spoiled"]:
            # a lag can have lasted a beat longer than it was seen
            assert 0 <= error_ns <= max(SPOILED_NS, SPOILED_SHARE * row["ttft_ms"] * 1e6) + BEAT_NS
            ttft_errors_ns.append(error_ns)
        stamps = np.array(content[row["seq"]]) + anchor
        assert len(stamps) == TOKENS == row["output_tokens"]
        assert (stamps >= np.array(true["token_ns"])).all()
        token_errors_ns.extend(stamps - np.array(true["token_ns"]))
    assert len(ttft_errors_ns) > len(rows) / 2
    # as shares of what is measured: half of all first tokens are read within 1 % of their time, half of all tokens
    # within 5 % of the gap between two
    assert np.median(ttft_errors_ns) < 0.01 * TTFT_MS * 1e6
    assert np.median(token_errors_ns) < 0.05 * GAP_MS * 1e6


def test_a_calibration_that_finds_no_error_would_be_a_lie(tmp_path: Path) -> None:
    """The look-alike's own delay is told apart from ours: an error below zero, or none at all, cannot be."""
    import uvloop

    from bench.conductor.calibrate import calibrate
    from bench.wire.clock import Alarm, cpu_ns
    from bench.wire.http import Wire

    async def run() -> object:
        wire, alarm = Wire(environ={}), Alarm()
        try:
            return await calibrate(8, wire, alarm, tmp_path, cpu_ns)
        finally:
            alarm.close()
            await wire.aclose()

    found = uvloop.run(run())
    assert found.failed == 0
    assert 0 < found.ttft_error_p50_ms <= found.ttft_error_p99_ms
    assert 0 < found.token_error_p50_ms <= found.token_error_p99_ms
    assert "BENCH_CALIBRATION_KEY" not in os.environ
