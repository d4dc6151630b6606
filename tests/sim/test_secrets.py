"""Planted secrets: after runs that fail in every way, none of them stands in anything that was written or printed."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from bench import providers, redact
from bench.targets import Target
from tests.sim.conftest import WORKLOAD

ROOT = Path(__file__).resolve().parents[2]
PLANTED = {
    "ANTHROPIC_API_KEY": "pl4nted-Anthropic/key+A1b2C3",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED0000000001",
    "AWS_SECRET_ACCESS_KEY": "pl4nted/Aws+Secret==Z9y8X7",
    "AWS_SESSION_TOKEN": "pl4nted//Session+Token==q1W2",
    "VERTEX_ACCESS": "ya29.pl4nted-Google_token-R5t6",
    "ANTHROPIC_FOUNDRY_API_KEY": "pl4ntedFoundryKey00112233445566",
    "GATEWAY_ACCESS": "sk-pl4nted-Gateway-7h8J9k0L",
}
PROXY_PASSWORD = "pl4nted-Pr0xy+Pass word!"
HEADER_VALUE = "pl4nted header value 4F5g6H"
CUSTOM = "pl4nted-Custom-header-8J7k6L"
KEY_FILE_ID = "pl4ntedprivatekeyid0011223344"
SECRETS = {**PLANTED, "proxy": PROXY_PASSWORD, "header": HEADER_VALUE, "custom": CUSTOM, "key file": KEY_FILE_ID}


@cache
def forms(secret: str) -> set[bytes]:
    """Made here by other means than the program's: the secret inside longer texts, cut to what it alone decides."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote(secret).encode(), raw.hex().encode(), raw.hex().upper().encode(),
             json.dumps(secret)[1:-1].encode()}  # fmt: skip
    for shift in range(3):
        ends = {
            (base64.b64encode(b"x" * shift + raw + tail * 3), base64.b64encode(b"y" * shift + raw + tail * 3))
            for tail in (b"\0", b"\xff")
        }
        aligned = [one for pair in ends for one in pair]
        common = bytes(a for a, *rest in zip(*aligned, strict=True) if all(a == r for r in rest))
        found.add(common)
        found.add(common.translate(bytes.maketrans(b"+/", b"-_")))
    assert all(len(form) >= 16 for form in found)
    return found


@pytest.mark.parametrize("name", SECRETS)
def test_every_spelling_of_a_secret_is_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SECRETS[name]
    monkeypatch.setenv("PLANTED_TOKEN", secret)
    redact.refresh()
    try:
        for form in forms(secret):
            text = redact.clean(f"before {form.decode()} after")
            assert form.decode() not in text
            assert text.startswith("before ")
        for before in ("", "u:", "ab"):
            for text in (base64.b64encode(f"{before}{secret}zz".encode()).decode(), f"{before}{secret}".encode().hex()):
                assert redact.MASK in redact.clean(text)
    finally:
        redact.refresh()


class Echo(BaseHTTPRequestHandler):
    """A hostile server: 401, and everything that it was sent, in every spelling, in body and headers."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        secrets = [*(value for name, value in SECRETS.items() if name != "key file"), *self.headers.values()]
        spelled = [secrets, [quote(s, safe="") for s in secrets], [s.encode("latin-1", "replace").hex() for s in secrets],
                   [base64.b64encode(b"x" * n + s.encode("latin-1", "replace")).decode() for s in secrets for n in range(3)]]  # fmt: skip
        streamed = self.server.status == 200  # type: ignore[attr-defined]
        said = " ".join(word for words in spelled for word in words)
        if streamed:
            body = json.dumps({"id": said[:80], "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                               "model": secrets[0], "service_tier": secrets[1], "system_fingerprint": secrets[2]}).encode()  # fmt: skip
        else:
            body = json.dumps(
                {"type": "error", "error": {"type": "authentication_error", "code": secrets[5], "message": said}}
            ).encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), ("x-request-id", secrets[0]),
                            ("server", secrets[6]), ("via", base64.b64encode(secrets[0].encode()).decode())):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.status = request.param  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def planted(folder: Path) -> dict[str, str]:
    (folder / "key.json").write_text(json.dumps({
        "type": "service_account", "project_id": "p1", "private_key_id": KEY_FILE_ID, "private_key": f"-----BEGIN PRIVATE KEY-----\n{KEY_FILE_ID}\n",
        "client_email": "e@p1", "token_uri": "http://127.0.0.1:9/token"}))  # fmt: skip
    proxy = f"http://user:{quote(PROXY_PASSWORD, safe='')}@127.0.0.1:9"
    return {**os.environ, **PLANTED, "HTTPS_PROXY": proxy, "ANTHROPIC_CUSTOM_HEADERS": f"X-Custom: {CUSTOM}", "NO_COLOR": "1",
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"), "PYTHONPATH": str(ROOT)}  # fmt: skip


def rows(url: str) -> list[dict[str, object]]:
    model = {"model": "claude-sonnet-5-5"}
    return [
        {**model, "id": "anthropic", "provider": "anthropic", "base_url": url},
        {**model, "id": "bedrock", "provider": "bedrock", "region": "us-east-1", "dialect": "messages", "base_url": url},
        {**model, "id": "vertex", "provider": "vertex", "region": "us-east5", "project": "p1", "base_url": f"{url}/v1", "auth": {"env": "VERTEX_ACCESS"}},
        {**model, "id": "foundry", "provider": "foundry", "base_url": f"{url}/anthropic/"},
        {**model, "id": "gateway", "provider": "openai-compatible", "model_id": "claude-sonnet-5-5", "base_url": f"{url}/v1",
         "auth": {"env": "GATEWAY_ACCESS"}, "params": {"extra_headers": {"X-Team": HEADER_VALUE}}},
        {**model, "id": "refused", "provider": "anthropic", "base_url": "http://127.0.0.1:9"},
        {**model, "id": "behind-proxy", "provider": "anthropic", "base_url": "https://192.0.2.1"},
    ]  # fmt: skip


def leaks(content: bytes, where: str) -> list[str]:
    return [f"{name} in {where}" for name, secret in SECRETS.items() for form in forms(secret) if form in content]


def cells(path: Path) -> bytes:
    import pyarrow.parquet as pq

    return json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=str, ensure_ascii=False).encode()


@pytest.mark.parametrize(("echo", "workers"), [(401, "1"), (200, "2")], indirect=["echo"])
def test_nothing_that_a_failing_run_leaves_behind_holds_a_secret(echo: str, workers: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text((WORKLOAD % ("", 2, "5s", 0)).replace("stream: true", "stream: false"))
    (tmp_path / "targets.yaml").write_text(json.dumps({"version": 1, "targets": rows(echo)}))
    environment = planted(tmp_path)
    written = []
    commands = [
        ["run", "small.yaml", "--no-calibrate", "--out", "results", "--workers", workers],
        ["compare", "latest"],
    ]
    for command in [*commands, ["doctor", "--live", "--yes"]]:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *command],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=120,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.stdout + done.stderr
        written += [(done.stdout, f"stdout of {command[0]}"), (done.stderr, f"stderr of {command[0]}")]
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert {"manifest.json", "attempts.parquet", "replies.parquet"} <= {path.name for path in left}
    for path in left:
        written.append((path.read_bytes(), path.name))
        if path.suffix == ".parquet":
            written.append((cells(path), f"cells of {path.name}"))
    assert [leak for content, where in written for leak in leaks(content, where)] == []
    (attempts,) = [content for content, where in written if where == "cells of attempts.parquet"]
    assert redact.MASK.encode() in attempts, "the server did repeat them"


def test_a_child_that_needs_no_credentials_gets_none() -> None:
    given = {**PLANTED, "HTTPS_PROXY": "http://u:pl4nted-pass@h:1", "PATH": "/bin", "TERM": "xterm"}
    redact.learn_names(["VERTEX_ACCESS", "GATEWAY_ACCESS"])
    left = redact.harmless(given)
    assert {"PATH", "TERM"} <= set(left)
    assert leaks(json.dumps(left).encode(), "the environment") == []
    assert "pl4nted-pass" not in str(left)


def test_no_target_and_no_provider_shows_a_secret() -> None:
    one = Target("t", "m", "openai-compatible", "m", "chat", base_url=f"http://u:{CUSTOM}@h/v1",
                 params={"extra_headers": {"X-Team": HEADER_VALUE}})  # fmt: skip
    shown = f"{one!r} {one} " + " ".join(
        f"{providers.get(name)!r} {vars(providers.get(name))}" for name in providers.names()
    )
    assert leaks(shown.encode(), "repr") == []
    assert redact.without_userinfo(str(one.base_url)) == "http://h/v1"
