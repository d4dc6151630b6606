"""A server that nobody here wrote: a LiteLLM proxy in mock mode, asked through the ordinary door.

Skipped where `litellm` is not on the PATH. To run it: pip install 'litellm[proxy]' into an environment of its own, and put that
environment's bin folder on the PATH.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """\
model_list:
  - model_name: claude-sonnet-5-5
    litellm_params: {model: openai/gpt-4o, api_key: none, mock_response: "Answer: 30 days, as the policy says."}
"""
TARGETS = """\
version: 1
targets:
  - {id: litellm, model: claude-sonnet-5-5, provider: openai-compatible, model_id: claude-sonnet-5-5,
     base_url: "http://127.0.0.1:%d/v1", auth: {env: LITELLM_KEY}, price: {input: "2.00", output: "10.00"}}
"""

pytestmark = pytest.mark.skipif(shutil.which("litellm") is None, reason="litellm is not installed")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        ["litellm", "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1"],
        cwd=folder,
        env={**os.environ, "LITELLM_MASTER_KEY": "sk-third-party", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        stdout=log,
        stderr=log,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for _ in range(120):
            try:
                opener.open(f"http://127.0.0.1:{port}/health/liveliness", timeout=1).close()
                break
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)
        else:
            pytest.fail((folder / "log").read_text()[-2000:])
        yield port
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_a_litellm_proxy_is_measured_through_the_ordinary_door(
    place, proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_KEY", "sk-third-party")
    (place.folder / "targets.yaml").write_text(TARGETS % proxy)
    done = place.run("--only", "litellm", requests=8)
    assert done.code == 0, done.err
    rows = done.rows()
    assert {r["outcome"] for r in rows} == {"ok"}
    for row in rows:
        assert 0 < row["ttft_ms"] <= row["e2e_ms"]
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert row["cost_usd"] > 0
        assert row["stop_reason"] == "stop"
        assert row["served_model"] == "claude-sonnet-5-5"
    assert {r["text"] for r in done.rows("replies")} == {"Answer: 30 days, as the policy says."}
    scores = {s["case_id"]: s["value"] for s in done.rows("scores")}
    assert scores == {"one": 1.0, "two": 0.0, "three": 0.0, "four": 0.0}


def test_a_wrong_key_is_told_apart_from_a_fault_of_the_server(
    place, proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_KEY", "sk-wrong")
    (place.folder / "targets.yaml").write_text(TARGETS % proxy)
    done = place.run("--only", "litellm", requests=2)
    assert done.code == 3
    # without a database the proxy calls an unknown key a bad request
    assert {r["outcome"] for r in done.rows()} <= {"auth", "bad_request"}
