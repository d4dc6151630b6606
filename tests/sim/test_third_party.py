"""Servers that nobody here wrote, asked through the ordinary doors: LiteLLM's proxy and mock-ai-api, each in two wires.

Skipped where they are not installed. `scripts/third-party` installs them into environments of their own and runs these tests.
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

ROOT = Path(__file__).parent.parent.parent
ANSWER = "Answer: 30 days, as the policy says."
LITELLM_CONFIG = f"""\
model_list:
  - model_name: claude-sonnet-5-5
    litellm_params: {{model: openai/gpt-4o, api_key: none, mock_response: "{ANSWER}"}}
"""
TARGET = """\
  - {id: %s, model: claude-sonnet-5-5, provider: %s, model_id: "%s",
     base_url: "%s", auth: {env: SERVER_KEY}, price: {input: "2.00", output: "10.00"}}
"""


def program(name: str) -> str | None:
    """Where a server's command is: in the environment that scripts/third-party makes, else on the PATH."""
    own = ROOT / ".venv-third-party" / name / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


needs_litellm = pytest.mark.skipif(program("litellm") is None, reason="litellm: run scripts/third-party")
needs_mock = pytest.mark.skipif(program("mock-ai-api") is None, reason="mock-ai-api: run scripts/third-party")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def served(command: list[str], folder: Path, health: list[str], **env: str) -> Iterator[None]:
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for address in health:
            for _ in range(240):
                try:
                    opener.open(address, timeout=1).close()
                    break
                except (OSError, urllib.error.URLError):
                    assert process.poll() is None, (folder / "log").read_text()[-2000:]
                    time.sleep(0.5)
            else:
                pytest.fail((folder / "log").read_text()[-2000:])
        yield
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of mock-ai-api: OpenAI's wire, Anthropic's wire."""
    chat, messages = free_ports(2)
    command = [program("mock-ai-api") or "", "--openai-port", str(chat), "--anthropic-port", str(messages)]
    health = [f"http://127.0.0.1:{port}/health" for port in (chat, messages)]
    for _ in served(command, tmp_path_factory.mktemp("mock"), health):
        yield chat, messages


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a LiteLLM proxy in mock mode."""
    folder = tmp_path_factory.mktemp("litellm")
    (port,) = free_ports(1)
    (folder / "config.yaml").write_text(LITELLM_CONFIG)
    command = [program("litellm") or "", "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1"]
    env = {"LITELLM_MASTER_KEY": "sk-third-party", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    for _ in served(command, folder, [f"http://127.0.0.1:{port}/health/liveliness"], **env):
        yield port


def asked(place, monkeypatch, door: str, address: str, model: str = "claude-sonnet-5-5", key="sk-third-party", n=8):
    """A run of the small workload against the server through that door."""
    monkeypatch.setenv("SERVER_KEY", key)
    (place.folder / "targets.yaml").write_text("version: 1\ntargets:\n" + TARGET % ("server", door, model, address))
    return place.run("--only", "server", requests=n, timeout="60s")  # a proxy loads much at its first request


@needs_litellm
def test_a_litellm_proxy_is_measured_through_the_openai_wire(place, litellm: int, monkeypatch) -> None:
    done = asked(place, monkeypatch, "openai-compatible", f"http://127.0.0.1:{litellm}/v1")
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
    assert {r["text"] for r in done.rows("replies")} == {ANSWER}
    scores = {s["case_id"]: s["value"] for s in done.rows("scores")}
    assert scores == {"one": 1.0, "two": 0.0, "three": 0.0, "four": 0.0}


@needs_litellm
def test_a_litellm_proxy_is_measured_through_the_anthropic_wire(place, litellm: int, monkeypatch) -> None:
    """In mock mode it answers whole although it was asked to stream: then there is no first token to see, and none is told."""
    done = asked(place, monkeypatch, "anthropic", f"http://127.0.0.1:{litellm}")
    assert done.code == 0, done.err
    rows = done.rows()
    assert {r["outcome"] for r in rows} == {"ok"}
    for row in rows:
        assert row["ttft_ms"] is None
        assert row["e2e_ms"] > 0
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert row["stop_reason"] == "stop"
    assert {r["text"] for r in done.rows("replies")} == {ANSWER}


@needs_litellm
@pytest.mark.parametrize(("door", "path"), [("openai-compatible", "/v1"), ("anthropic", "")])
def test_a_wrong_key_is_told_apart_from_a_fault_of_the_server(
    place, litellm: int, monkeypatch, door: str, path: str
) -> None:
    done = asked(place, monkeypatch, door, f"http://127.0.0.1:{litellm}{path}", key="sk-wrong", n=2)
    assert done.code == 3
    # without a database the proxy calls an unknown key a bad request
    assert {r["outcome"] for r in done.rows()} <= {"auth", "bad_request"}


@needs_mock
@pytest.mark.parametrize(("door", "at", "path"), [("openai-compatible", 0, "/v1"), ("anthropic", 1, "")])
def test_mock_ai_api_is_measured_through_both_wires(place, mock, monkeypatch, door: str, at: int, path: str) -> None:
    done = asked(place, monkeypatch, door, f"http://127.0.0.1:{mock[at]}{path}")
    assert done.code == 0, done.err
    rows = done.rows()
    assert {r["outcome"] for r in rows} == {"ok"}
    for row in rows:
        assert 0 < row["ttft_ms"] <= row["e2e_ms"]
        assert row["first_token_ns"] > row["first_byte_ns"] or row["same_read_events"] == 0
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert row["stop_reason"] == "stop"
        assert row["served_model"] == "claude-sonnet-5-5"
    assert all(r["text"] for r in done.rows("replies"))


@needs_mock
@pytest.mark.parametrize(("door", "at", "path"), [("openai-compatible", 0, "/v1"), ("anthropic", 1, "")])
@pytest.mark.parametrize(
    ("model", "outcome", "status"),
    [
        ("claude-sonnet-5-5:mock-400", "bad_request", 400),
        ("claude-sonnet-5-5:mock-401", "auth", 401),
        ("claude-sonnet-5-5:mock-429", "throttled", 429),
        ("claude-sonnet-5-5:mock-500", "server", 500),
        ("claude-sonnet-5-5:mock-503", "overloaded", 503),
    ],
)
def test_errors_of_mock_ai_api_are_told_by_their_names(
    place, mock, monkeypatch, door: str, at: int, path: str, model: str, outcome: str, status: int
) -> None:
    done = asked(place, monkeypatch, door, f"http://127.0.0.1:{mock[at]}{path}", model, n=2)
    assert {(r["outcome"], r["http_status"]) for r in done.rows()} == {(outcome, status)}
