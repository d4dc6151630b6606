"""Every installed door passes the suite, the suite finds every sin, and its goldens are what other readers read."""

import asyncio
import base64
import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench import dialects, providers
from bench.dialects import messages
from bench.record import Fault, Reply
from bench.testing import CHECKS, Report, conformance, installed
from bench.testing.__main__ import main, matrix
from bench.testing.golden import EVENT_STREAM, GOLDENS, Golden, load_door, load_golden, load_wire, replaced
from bench.testing.wires import cut_short, differences, says

WIRES = sorted(path.parent for path in (GOLDENS / "wires").glob("*/wire.yaml"))
FILES = sorted(GOLDENS.glob("wires/*/*.golden"))


@lru_cache(maxsize=32)
def report(door: str) -> Report:
    return installed([door])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("door", providers.names())  # the slower of the two: a door's report is made once
def test_every_installed_door_passes_every_check_or_says_why_it_cannot_have_the_case(door: str, check: str) -> None:
    found = [result for result in report(door).results if result.check == check]
    assert len(found) == len(providers.get(door).dialects)
    for result in found:
        assert result.state in ("pass", "n/a"), result
        assert (result.state == "n/a") == bool(result.why), result


# -- the suite finds what is wrong


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An ordinary door, to be spoiled."""
    return providers.get("anthropic")


def failed(spoiled: Any) -> set[str]:
    return {result.check for result in conformance(spoiled, GOLDENS / "doors/anthropic.yaml").failures}


def test_an_unspoiled_door_has_no_failure(door: Any) -> None:
    assert failed(door) == set()


def spoil_request(door: Any, change: Any) -> None:
    good = door.prepare

    async def prepare(*arguments: Any, **more: Any) -> httpx2.Request:
        return change(await good(*arguments, **more))

    door.prepare = prepare


def with_header(request: httpx2.Request) -> httpx2.Request:
    request.headers["x-tracking"] = "yes"
    return request


def with_another_key(request: httpx2.Request) -> httpx2.Request:
    request.headers["authorization"] = "Bearer another"
    return request


def with_another_body(request: httpx2.Request) -> httpx2.Request:
    return httpx2.Request("POST", request.url, headers=request.headers, content=request.content + b" ")


def elsewhere(request: httpx2.Request) -> httpx2.Request:
    return httpx2.Request("POST", "https://example.test/v1/messages", headers=request.headers, content=request.content)


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (with_header, {"request, stream", "request, plain"}),
        (with_another_key, {"request, stream", "request, plain"}),
        (with_another_body, {"request, stream", "request, plain"}),
        (elsewhere, {"request, stream", "request, plain", "route", "prepare"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_request_that_differs_in_anything_is_found(door: Any, change: Any, checks: set[str]) -> None:
    spoil_request(door, change)
    assert failed(door) == checks


def test_a_door_that_sends_while_it_prepares_is_found(door: Any) -> None:
    good = door.prepare

    async def prepare(*arguments: Any, **more: Any) -> httpx2.Request:
        try:
            await asyncio.get_running_loop().getaddrinfo("example.test", 443)
        except Exception:  # the door hides it
            pass
        return await good(*arguments, **more)

    door.prepare = prepare
    assert "prepare" in failed(door)


def test_a_door_that_shows_its_key_is_found(door: Any) -> None:
    good = door.client_stack
    door.client_stack = lambda target: good(target) + " s3cr3t-VALUE-0123456789"
    assert failed(door) == {"secrets"}


def test_a_door_that_cannot_be_closed_twice_is_found(door: Any) -> None:
    closed = []

    async def close() -> None:
        assert not closed
        closed.append(True)

    door.close = close
    assert failed(door) == {"close"}


def test_a_check_that_stops_at_the_first_problem_is_found(door: Any) -> None:
    good = door.check
    door.check = lambda target: good(target)[:1]
    assert failed(door) == {"check"}


def test_a_check_that_asks_the_network_is_found(door: Any) -> None:
    import socket

    good = door.check

    def check(target: Any) -> Any:
        try:
            socket.create_connection(("127.0.0.1", 9))
        except Exception:
            pass
        return good(target)

    door.check = check
    assert failed(door) == {"check"}


def test_a_fault_that_is_classed_wrongly_is_found(door: Any) -> None:
    door.fault = lambda status, headers, body: Fault("server", retryable=True)
    assert failed(door) == {"error envelopes", "error in band"}


def test_a_fault_that_raises_on_half_an_envelope_is_found(door: Any) -> None:
    good = door.fault

    def fault(status: int | None, headers: Any, body: bytes) -> Fault:
        if body.startswith(b"{"):
            json.loads(body)
        return good(status, headers, body)

    door.fault = fault
    assert failed(door) == {"error envelopes"}


def test_a_signature_made_with_another_secret_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import Credentials

    from bench.providers import aws

    good = aws.sign
    monkeypatch.setattr(aws, "sign", lambda r, c, *rest: good(r, Credentials("AKIDEXAMPLE", "wrong"), *rest))
    found = {result.check for result in conformance(providers.get("bedrock")).failures}
    assert found == {"signature"}


class Changed:
    """The Messages dialect with one thing wrong."""

    name = "messages"
    encode = staticmethod(messages.encode)
    unsupported = staticmethod(messages.unsupported)

    def __init__(self, change: Any) -> None:
        self.change = change

    def decode(self, exchange: Any) -> Reply:
        return self.change(messages.decode(exchange), exchange)


def changed(reply: Reply, **fields: Any) -> Reply:
    from dataclasses import replace

    return replace(reply, **fields)


FAULTLESS = Changed(lambda reply, exchange: reply)
SINS = {
    "counts a ping": (
        "reasoning_text_tool",
        lambda reply, exchange: changed(reply, content_ns=(3000, *reply.content_ns)),
    ),
    "takes the opening event for the first token": (
        "text",
        lambda reply, exchange: changed(reply, content_ns=(1000, *reply.content_ns[1:])),
    ),
    "takes reasoning for text": (
        "reasoning_text_tool",
        lambda reply, exchange: changed(reply, first_text_ns=reply.content_ns[0]),
    ),
    "mixes cached and uncached input": (
        "reasoning_text_tool",
        lambda reply, exchange: changed(reply, usage=changed(reply.usage, input_tokens=2173)),  # type: ignore[arg-type]
    ),
    "says 0 where nothing is known": (
        "text",
        lambda reply, exchange: changed(reply, usage=changed(reply.usage, reasoning_tokens=0)),  # type: ignore[arg-type]
    ),
    "loses a tool call": ("reasoning_text_tool", lambda reply, exchange: changed(reply, tool_calls=())),
    "hides an error": ("overloaded", lambda reply, exchange: changed(reply, error_body=None)),
    "calls all replies complete": ("overloaded", lambda reply, exchange: changed(reply, complete=True)),
}


@pytest.mark.parametrize("sin", SINS)
def test_a_dialect_that_sins_is_found_by_the_golden_that_shows_it(sin: str) -> None:
    name, change = SINS[sin]
    golden = load_golden(GOLDENS / f"wires/messages/{name}.golden")
    fault = providers.get("anthropic").fault
    assert says(FAULTLESS, golden, fault) is None
    assert says(Changed(change), golden, fault) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda reply, exchange: changed(reply, complete=True),
        lambda reply, exchange: changed(reply, text="") if reply.complete else reply,
        lambda reply, exchange: reply if reply.complete else changed(reply, text="?"),
        lambda reply, exchange: reply if reply.complete else changed(reply, error_body=b"{}"),
        lambda reply, exchange: reply if reply.complete else changed(reply, content_ns=(1,) * 9),
    ],
)
def test_a_dialect_that_reads_a_cut_body_wrongly_is_found(change: Any) -> None:
    golden = load_golden(GOLDENS / "wires/messages/text.golden")
    assert cut_short(FAULTLESS, golden) is None
    assert cut_short(Changed(change), golden) is not None


def test_a_door_without_data_fails_every_check() -> None:
    class Unknown:
        name = "unknown"
        dialects = frozenset({"chat"})

    found = conformance(Unknown())  # type: ignore[arg-type]
    assert not found.passed
    assert {result.state for result in found.results} == {"fail"}
    assert [result.check for result in found.results] == list(CHECKS)
    assert "docs/plugins.md" in str(found)


def test_a_door_that_speaks_what_its_data_does_not_know_fails(door: Any) -> None:
    door.dialects = frozenset({"messages", "chat"})
    found = conformance(door, GOLDENS / "doors/anthropic.yaml")
    assert {r.dialect for r in found.failures} == {"chat"}
    assert "says nothing of chat" in str(found)


def test_a_case_that_no_golden_covers_and_nobody_excuses_fails(door: Any, tmp_path: Path) -> None:
    shutil.copytree(GOLDENS / "wires/messages", tmp_path / "wires/mine")
    shutil.copy(GOLDENS / "doors/anthropic.yaml", tmp_path / "conformance.yaml")
    data = tmp_path / "conformance.yaml"
    data.write_text(data.read_text().replace('wire: "messages"', 'wire: "mine"'))
    assert conformance(door, data).passed
    (tmp_path / "wires/mine/overloaded.golden").unlink()
    load_wire.cache_clear()
    assert [result.check for result in conformance(door, data).failures] == ["error in band"]


def test_what_a_golden_covers_cannot_be_excused(door: Any, tmp_path: Path) -> None:
    text = (GOLDENS / "doors/anthropic.yaml").read_text()
    (tmp_path / "conformance.yaml").write_text(
        text.replace("not_applicable:", 'not_applicable:\n      "error in band": "ours never fails"')
    )
    door.fault = lambda status, headers, body: Fault("server")
    found = conformance(door, tmp_path / "conformance.yaml")
    assert "error in band" in {result.check for result in found.failures}


# -- the goldens


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_golden_says_where_it_is_from_and_serves_checks_that_exist(path: Path) -> None:
    golden = load_golden(path)
    assert len(golden.source) > 20
    assert golden.date >= "2026-11-21"
    assert golden.covers
    assert set(golden.covers) <= set(CHECKS)


@pytest.mark.parametrize("folder", WIRES, ids=lambda p: p.name)
def test_what_a_wire_cannot_have_is_a_check_and_no_golden_covers_it(folder: Path) -> None:
    wire = load_wire(folder)
    assert set(wire.not_applicable) <= set(CHECKS)
    assert not set(wire.not_applicable) & {check for golden in wire.goldens for check in golden.covers}


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("doors/*.yaml")), ids=lambda p: p.stem)
def test_the_data_of_a_door_can_be_read_though_the_door_is_not_here(path: Path) -> None:
    for data in load_door(path).values():
        assert data.door == path.stem
        assert (data.wire / "wire.yaml").is_file()
        for kind in ("stream", "plain"):
            assert (kind in data.requests) != (f"request, {kind}" in data.not_applicable)
        assert set(data.not_applicable) <= set(CHECKS)
        assert data.signed is not None or "signature" in data.not_applicable


AWS = [path for path in FILES if EVENT_STREAM in load_golden(path).content_type]


@pytest.mark.parametrize("path", AWS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_botocore_reads_the_frames_of_an_aws_golden(path: Path) -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    golden = load_golden(path)
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(golden.body)
    frames = list(buffer)  # raises on a wrong checksum
    assert len(frames) == len(golden.ends())
    for frame in frames:
        assert frame.headers[":message-type"] in ("event", "exception")
        assert json.loads(frame.payload)
    if path.parent.name == "converse":
        texts = [json.loads(f.payload).get("delta", {}).get("text", "") for f in frames]
    else:
        inner = [base64.b64decode(json.loads(f.payload).get("bytes", "e30=")) for f in frames]
        texts = [json.loads(event).get("delta", {}).get("text", "") for event in inner]
    assert "".join(texts) == golden.expect.get("text", "")


def sdk_text(golden: Golden) -> str:
    """The visible text as the official SDK reads it from the same bytes."""

    async def read() -> str:
        answer = httpx2.Response(200, headers={"content-type": golden.content_type}, content=golden.body)
        transport = httpx2.MockTransport(lambda request: answer)
        http = httpx2.AsyncClient(transport=transport)
        ask: dict[str, Any] = {"model": "m", "stream": True}
        if golden.name.startswith("messages/"):
            anthropic = pytest.importorskip("anthropic")
            async with anthropic.AsyncAnthropic(api_key="k", base_url="http://x", http_client=http) as client:
                stream = await client.messages.create(max_tokens=9, messages=[{"role": "user", "content": "x"}], **ask)
                deltas = [e.delta for e in [e async for e in stream] if e.type == "content_block_delta"]
            return "".join(delta.text for delta in deltas if delta.type == "text_delta")
        openai = pytest.importorskip("openai")
        async with openai.AsyncOpenAI(api_key="k", base_url="http://x", http_client=http) as client:
            if golden.name.startswith("responses/"):
                stream = await client.responses.create(input="x", **ask)
                return "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])
            stream = await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **ask)
            chunks = [c async for c in stream]
        return "".join(c.choices[0].delta.content or c.choices[0].delta.refusal or "" for c in chunks if c.choices)

    return asyncio.run(read())


SDK_READ = [
    path
    for path in FILES
    if path.parent.name in ("messages", "chat", "responses")
    and path.stem not in ("whole", "overloaded", "gateway_error", "error_event", "failed")
]


@pytest.mark.parametrize("path", SDK_READ, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_official_sdk_reads_the_same_text_from_a_golden(path: Path) -> None:
    golden = load_golden(path)
    assert sdk_text(golden) == golden.expect.get("text", "")


def test_a_word_in_a_frame_can_be_changed_and_the_frame_still_holds() -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    golden = load_golden(GOLDENS / "wires/converse/text.golden")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(replaced(golden, '"stopReason":"end_turn"', '"stopReason":"max_tokens"'))
    assert any(b"max_tokens" in frame.payload for frame in buffer)
    with pytest.raises(ValueError, match="holds no"):
        replaced(golden, "no such word", "")
    assert len(golden.ends()) == 7


def test_a_field_that_a_golden_misspells_is_found() -> None:
    golden = load_golden(GOLDENS / "wires/chat/text.golden")
    reply = dialects.get("chat").decode(golden.event_by_event())
    assert differences(reply, golden) == []
    golden.expect["txet"] = "x"  # type: ignore[index]
    assert "txet" in differences(reply, golden)[0]


# -- the matrix


def test_the_matrix_has_no_blank_and_ends_with_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    text = matrix(report("anthropic"))
    lines = {line.split("  ")[0]: line.split()[-1] for line in text.splitlines() if line.split("  ")[0] in CHECKS}
    assert list(lines) == list(CHECKS)
    assert set(lines.values()) == {"pass", "n/a"}
    assert "Not applicable" in text
    assert main(["anthropic", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["check"] for row in rows] == list(CHECKS)
    assert main(["--yaml"]) == 2


def test_an_unknown_door_fails_in_the_matrix_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["antropic"]) == 1
    assert "did you mean anthropic" in capsys.readouterr().out
