"""Starting look-alikes in a process of their own, and telling people where they are."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from bench.errors import CannotRun
from bench.simulate.base import TargetConfig
from bench.simulate.config import parse_config

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


class Running:
    """Look-alikes that listen. `ports` are by target id; the truth is on disk once `stop` has returned."""

    def __init__(
        self, process: subprocess.Popen[bytes], ports: dict[str, int], truth_path: Path | None, stderr: Any
    ) -> None:
        self._process, self._stderr = process, stderr
        self.ports = ports
        self.truth_path = truth_path
        self.pid = process.pid

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the process and waits until it has written its truth. Raises CannotRun when it did not end well."""
        if self._stderr.closed:
            return
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        said = _said(self._stderr)
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe:
                pipe.close()
        if code != 0:
            raise CannotRun(f"the look-alike clouds ended with status {code}: {said}")


def _said(stderr: Any) -> str:
    stderr.seek(0)
    return str(stderr.read()[-4000:].decode("utf-8", "replace").strip())


def launch(config: Mapping[str, Any]) -> Running:
    """Starts look-alikes and waits until they listen; use as a context manager.

    The child ends by itself when this process dies or closes the child's stdin. Raises ConfigError, CannotRun.
    """
    parsed = parse_config(config)
    package_root = str(Path(__file__).resolve().parents[2])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (package_root, environment.get("PYTHONPATH")) if p)
    stderr = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
    handle, config_file = tempfile.mkstemp(suffix=".json")  # readable by its owner only: it may hold credentials
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(config, default=str))
        command = [sys.executable, "-m", "bench.simulate", "--config", config_file, "--parent", str(os.getpid())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,
        )
        line = _first_line(process)
    finally:
        os.unlink(config_file)
    running = Running(process, {}, parsed.truth, stderr)
    if not line:
        process.kill()
        process.wait()
        said = _said(stderr)
        for pipe in (process.stdin, process.stdout, stderr):
            if pipe:
                pipe.close()
        raise CannotRun(f"the look-alike clouds did not start: {said or 'nothing was said'}")
    running.ports = orjson.loads(line)["ports"]
    return running


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The ready line, or nothing when the child ends or takes too long."""
    assert process.stdout is not None
    until = monotonic() + READY_TIMEOUT_S
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            ready = selector.select(max(0.0, until - monotonic()))
            part = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not part:
                return b""
            line += part
    return line


def describe(config: Mapping[str, Any], ports: Mapping[str, int]) -> str:
    """Where each look-alike listens, with a command that tries it."""
    parts = []
    for target in parse_config(config).targets:
        scheme = "https" if target.tls_cert else "http"
        base = f"{scheme}://127.0.0.1:{ports[target.id]}"
        parts.append(f"{target.id}  {target.door}  {target.model_id}  {base}\n{_curl(target, base)}")
    return "SIMULATED look-alike clouds; no real cloud is asked.\n\n" + "\n\n".join(parts) + "\n"


def _curl(target: TargetConfig, base: str) -> str:
    said = target.credentials
    body: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    flags = "-sN --cacert " + target.tls_cert if target.tls_cert else "-sN"
    match target.door:
        case "bedrock":
            path = f"/model/{target.model_id.replace('/', '%2F')}/invoke-with-response-stream"
            del body["stream"]
            body["anthropic_version"] = "bedrock-2023-05-31"
            if "token" not in said:  # curl does not encode the path once more, as a signature for Bedrock must
                return f"  boto3.client('bedrock-runtime', endpoint_url='{base}')"
            auth = f"-H 'authorization: Bearer {said['token']}'"
        case "vertex":
            project, location = said.get("project", "my-project"), said.get("location", "global")
            place = f"/v1/projects/{project}/locations/{location}/publishers/anthropic/models"
            path = f"{place}/{target.model_id}:streamRawPredict"
            body["anthropic_version"] = "vertex-2023-10-16"
            auth = f"-H 'authorization: Bearer {said['token']}'"
        case "vertex-grpc":
            return f"  grpc.aio.insecure_channel('{base.removeprefix('http://')}')"
        case "gemini-vertex":
            project, location = said.get("project", "my-project"), said.get("location", "global")
            place = f"/v1/projects/{project}/locations/{location}/publishers/google/models"
            path = f"{place}/{target.model_id}:streamGenerateContent?alt=sse"
            body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
            auth = f"-H 'authorization: Bearer {said['token']}'"
        case "openai" | "openai-compatible" | "azure-openai":
            path = "/openai/v1/chat/completions" if target.door == "azure-openai" else "/v1/chat/completions"
            body["model"] = target.model_id
            key = said.get("api_key") or said.get("token")
            auth = f"-H 'authorization: Bearer {key}'" if key else ""
        case "openai-vertex":
            project, location = said.get("project", "my-project"), said.get("location", "global")
            path = f"/v1/projects/{project}/locations/{location}/endpoints/openapi/chat/completions"
            body["model"] = target.model_id
            auth = f"-H 'authorization: Bearer {said['token']}'"
        case "openai-bedrock":
            path = "/openai/v1/chat/completions"
            body["model"] = target.model_id
            of_runtime = re.match(r"(us|eu|global)\.|.+-\d+:\d+$", target.model_id)
            auth = _aws_auth(said, "bedrock" if of_runtime else "bedrock-mantle")
        case _:
            place = "/".join(
                ("projects", said.get("project", "my-project"), "locations", said.get("location", "global"))
            )
            paths = {
                "anthropic": "",
                "claude-aws": "",
                "claude-gcp": f"/v1/{place}/workspaces/{said.get('workspace', 'my-workspace')}/invoke",
            }
            path = paths.get(target.door, "/anthropic") + "/v1/messages"
            body["model"] = target.model_id
            auth = "-H 'anthropic-version: 2023-06-01' " + _first_party_auth(target)
    sent = f"-H 'content-type: application/json' -d '{orjson.dumps(body).decode()}'"
    return f"  curl {flags} '{base}{path}' {auth} {sent}"


def _first_party_auth(target: TargetConfig) -> str:
    said = target.credentials
    workspace = f"-H 'anthropic-workspace-id: {said.get('workspace', 'my-workspace')}' "
    more = workspace if target.door == "claude-aws" else ""
    if "api_key" in said:
        return f"{more}-H 'x-api-key: {said['api_key']}'"
    service = {"claude-aws": "aws-external-anthropic"}.get(target.door, target.door)
    return more + _aws_auth(said, service)


def _aws_auth(said: Mapping[str, str], service: str) -> str:
    """A bearer token where there is one, else a signature for this service."""
    if "token" in said:
        return f"-H 'authorization: Bearer {said['token']}'"
    return f"--aws-sigv4 'aws:amz:{said['region']}:{service}' --user '{said['access_key']}:{said['secret_key']}'"
