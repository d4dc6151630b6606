"""Every fault, asked for by a mark in the prompt and seen on a raw socket."""

import asyncio
import json
import re
import socket
import struct
from pathlib import Path

import anthropic
import openai
import pytest
from botocore.eventstream import ChecksumMismatch

from bench.simulate import launch
from bench.simulate.faults import FAULTS
from tests.sim.test_simulator import (
    CHAT,
    CLAUDE,
    FAST,
    MODELS,
    ask,
    chat_client,
    claude_client,
    events,
    message_fields,
    raw,
    read,
    send,
    target,
    text_of,
)

LAST = {"openai-compatible": "[DONE]", "openai": "[DONE]"}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    truth = tmp_path_factory.mktemp("faults") / "truth.parquet"
    targets = [target(door) for door in MODELS]
    targets.append({**target("anthropic", {**FAST, "markers": False}), "id": "deaf"})
    with launch({"seed": 7, "targets": targets, "truth": truth}) as running:
        yield running


def played(clouds, door, fault, stream=True, timeout_s=3.0, name=None):
    return raw(clouds.ports[name or door], *ask(door, f"Hello [[fault: {fault}]]", stream), timeout_s=timeout_s)


def terminal(door, found):
    return bool(found) and found[-1].get("type") == LAST.get(door, "message_stop")


def usages(door, found):
    return [e for e in found if e.get("usage")] if door in CHAT else [e for e in found if e["type"] == "message_delta"]


def test_every_fault_of_the_list_is_tried_here():
    own_text = Path(__file__).read_text()
    assert [name for name in FAULTS if not re.search(rf'"{name}[" ]', own_text)] == []


CODES = {
    "anthropic": {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        503: "api_error",
        529: "overloaded_error",
    },
    "bedrock": {
        401: "UnrecognizedClientException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        429: "ThrottlingException",
        500: "InternalServerException",
        503: "ServiceUnavailableException",
    },
    "vertex": {
        401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
        503: "UNAVAILABLE", 529: "overloaded_error",
    },
    "foundry": {
        401: "401", 403: "403", 404: "DeploymentNotFound", 429: "RateLimitReached", 500: "api_error",
        503: "ServiceUnavailable", 529: "overloaded_error",
    },
    "openai-compatible": {401: 401, 403: 403, 404: 404, 429: 429, 500: 500, 503: 503},
    "openai": {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 500: None, 503: None},
}  # fmt: skip


def code_of(door, seen):
    body = json.loads(seen.body)
    if door == "bedrock":
        return seen.headers["x-amzn-errortype"].partition(":")[0]
    error = body["error"]
    if door in CHAT:
        return error["code"]
    return error["type"] if "type" in error else error.get("status", error["code"])


@pytest.mark.parametrize("door", MODELS)
def test_a_status_comes_in_the_vendors_envelope(clouds, door):
    for status, code in CODES[door].items():
        for stream in (True, False):
            seen = played(clouds, door, f"status code={status}", stream)
            assert (seen.status, code_of(door, seen)) == (status, code)


def test_a_throttle_says_when_to_come_back(clouds):
    seen = played(clouds, "foundry", "status code=429 retry_after_s=2 retry-after-ms=1500")
    assert (seen.status, seen.headers["retry-after"], seen.headers["retry-after-ms"]) == (429, "2", "1500")


@pytest.mark.parametrize("door", MODELS)
def test_502_is_the_html_page_of_a_proxy(clouds, door):
    seen = played(clouds, door, "status code=502")
    assert (seen.status, seen.headers["content-type"]) == (502, "text/html")
    assert seen.body.startswith(b"<html>")


@pytest.mark.parametrize("door", MODELS)
def test_an_error_event_comes_inside_a_good_status(clouds, door):
    names = {
        "anthropic": ("overloaded_error", "rate_limit_error"),
        "bedrock": ("serviceUnavailableException", "throttlingException"),
        "openai-compatible": (503, 429),
        "openai": (None, "rate_limit_exceeded"),
    }
    for kind, name in zip(("overloaded", "throttled"), names.get(door, names["anthropic"]), strict=True):
        seen = played(clouds, door, f"error after=3 kind={kind}")
        found = events(door, seen.body)
        assert (seen.status, seen.ended) == (200, "clean")
        assert not terminal(door, found)
        assert text_of(door, found[:-1]) == "This text stan"
        if door == "bedrock":
            assert found[-1][":headers"][":message-type"] == "exception"
            assert found[-1][":headers"][":exception-type"] == name
        else:
            assert found[-1]["error"]["code" if door in CHAT else "type"] == name


@pytest.mark.parametrize("door", MODELS)
def test_an_error_event_without_a_stream_is_a_status(clouds, door):
    assert played(clouds, door, "error kind=throttled", stream=False).status == 429


@pytest.mark.parametrize("door", MODELS)
@pytest.mark.parametrize(("fault", "ended"), [("cut", "clean"), ("close", "closed"), ("reset", "reset")])
def test_a_broken_stream_has_what_came_before_and_no_terminal_event(clouds, door, fault, ended):
    seen = played(clouds, door, f"{fault} after=4")
    found = events(door, seen.body)
    assert seen.ended == ended
    assert text_of(door, found) == "This text stands"
    assert not terminal(door, found)


@pytest.mark.parametrize(("fault", "ended"), [("cut", "closed"), ("close", "closed"), ("reset", "reset")])
def test_a_broken_whole_reply_is_shorter_than_it_says(clouds, fault, ended):
    assert played(clouds, "anthropic", fault, stream=False).ended == ended


def test_a_cut_before_the_first_token_and_after_the_last(clouds):
    first = events("anthropic", played(clouds, "anthropic", "cut after=0").body)
    assert [e["type"] for e in first] == ["message_start", "content_block_start", "ping"]
    last = events("anthropic", played(clouds, "anthropic", "cut after=999").body)
    assert (len([e for e in last if e["type"] == "content_block_delta"]), terminal("anthropic", last)) == (8, False)


@pytest.mark.parametrize("door", MODELS)
def test_a_hang_sends_not_a_byte(clouds, door):
    seen = played(clouds, door, "hang", timeout_s=0.05)
    assert (seen.status, seen.ended) == (None, "silent")


def test_a_hang_with_an_end_delays_the_headers(clouds):
    seen = played(clouds, "anthropic", "hang ms=60")
    assert seen.headers_ns - seen.sent_ns >= 60e6
    assert terminal("anthropic", events("anthropic", seen.body))


@pytest.mark.parametrize("door", MODELS)
def test_a_stall_pauses_in_the_middle(clouds, door):
    seen = played(clouds, door, "stall after=3 ms=50")
    gaps = [b - a for a, b in zip(seen.chunk_ns, seen.chunk_ns[1:], strict=False)]
    # chunk 0 opens, chunks 1 to 3 are tokens: the pause is the fourth gap. A busy client may see a part of it only
    assert max(gaps) == gaps[3] >= 35e6
    assert terminal(door, events(door, seen.body))


def test_a_drip_comes_token_by_token(clouds):
    seen = played(clouds, "vertex", "drip ms=15")
    # 8 tokens: 7 gaps and the end, 8 x 15 ms
    assert seen.chunk_ns[-1] - seen.chunk_ns[0] >= 8 * 15e6 - 5e6


@pytest.mark.parametrize("door", MODELS)
def test_rubbish_stands_in_the_place_of_an_event(clouds, door):
    seen = played(clouds, door, "rubbish after=2")
    assert seen.chunks[2].startswith(b"\x00\xff")
    assert len(seen.chunks) == len(played(clouds, door, "drip ms=1").chunks)
    assert played(clouds, door, "rubbish", stream=False).body.startswith(b"\x00\xff")


def test_a_bad_checksum_is_one_bit_off_in_one_frame(clouds):
    good, bad = played(clouds, "bedrock", "drip ms=1"), played(clouds, "bedrock", "bad-crc after=3")
    with pytest.raises(ChecksumMismatch):
        events("bedrock", bad.body)
    assert len(events("bedrock", b"".join(bad.chunks[:3] + bad.chunks[4:]))) == len(events("bedrock", good.body)) - 1


def test_a_bad_checksum_needs_an_event_stream(clouds):
    assert played(clouds, "anthropic", "bad-crc").status == 400
    assert played(clouds, "bedrock", "bad-crc", stream=False).status == 400


@pytest.mark.parametrize("door", MODELS)
def test_an_empty_reply_is_complete_and_says_nothing(clouds, door):
    found = events(door, played(clouds, door, "empty").body)
    assert (text_of(door, found), terminal(door, found)) == ("", True)
    assert usages(door, found)[-1]["usage"]["completion_tokens" if door in CHAT else "output_tokens"] == 0
    assert played(clouds, door, "empty", stream=False).status == 200


@pytest.mark.parametrize("door", MODELS)
def test_a_blank_reply_has_no_body(clouds, door):
    seen = played(clouds, door, "blank")
    assert (seen.status, seen.body, seen.ended) == (200, b"", "clean")


@pytest.mark.parametrize("door", MODELS)
def test_usage_comes_twice_or_never(clouds, door):
    plain, twice, never = (
        events(door, played(clouds, door, fault).body) for fault in ("drip ms=1", "usage-twice", "no-usage")
    )
    assert len(usages(door, plain)) == 1
    assert len(usages(door, twice)) == 2
    assert "usage" not in json.dumps([e.get("usage") or e.get("message", {}).get("usage") for e in never])
    assert not any(e.get("usage") or e.get("message", {}).get("usage") for e in never)
    assert text_of(door, twice) == text_of(door, never) == text_of(door, plain)


def test_huge_headers_are_huge(clouds):
    assert played(clouds, "openai", "huge-headers").head_bytes > 65_000
    assert 20_000 < played(clouds, "openai", "huge-headers bytes=20000").head_bytes < 25_000


@pytest.mark.parametrize("door", MODELS)
def test_one_byte_chunks_and_one_chunk_carry_the_same_stream(clouds, door):
    plain, bytewise, joined = (played(clouds, door, fault) for fault in ("drip ms=1", "one-byte", "one-chunk"))
    assert {len(chunk) for chunk in bytewise.chunks} == {1}
    assert len(joined.chunks) == 1
    texts = {text_of(door, events(door, seen.body)) for seen in (plain, bytewise, joined)}
    assert len(texts) == 1
    assert terminal(door, events(door, bytewise.body))
    assert terminal(door, events(door, joined.body))
    assert played(clouds, door, "one-byte", stream=False).body[:1] == b"{"


def test_marks_that_are_not_understood_are_refused_and_told_why(clouds):
    for words, why in (("no-such", "is no fault"), ("cut before=5", "takes after"), ("cut after=x", "number")):
        seen = played(clouds, "anthropic", words)
        assert seen.status == 400
        assert why in json.loads(seen.body)["error"]["message"]


def test_marks_are_plain_text_unless_the_profile_says_otherwise(clouds):
    seen = played(clouds, "anthropic", "status code=500", name="deaf")
    assert (seen.status, terminal("anthropic", events("anthropic", seen.body))) == (200, True)


def test_a_client_that_leaves_early_does_not_harm_the_next(clouds):
    port = clouds.ports["anthropic"]
    request = ask("anthropic", "Hello [[fault: drip ms=5]]")
    for _ in range(5):
        sock = send(port, *request)
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()  # a reset from the client's side, in the middle of the reply
    assert terminal("anthropic", events("anthropic", raw(port, *request).body))


def test_the_connection_lives_on_after_a_cut(clouds):
    request = ask("anthropic", "Hello [[fault: cut after=1]]")
    with send(clouds.ports["anthropic"], *request) as sock, sock.makefile("rb") as file:
        assert read(file).ended == "clean"
        path, headers, body = ask("anthropic")
        data = json.dumps(body).encode()
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        sock.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        assert terminal("anthropic", events("anthropic", read(file).body))


@pytest.mark.parametrize("door", CLAUDE)
def test_the_sdk_sees_an_error_event_as_an_error_and_a_cut_as_nothing(clouds, door):
    async def go(fault):
        fields = message_fields(door, messages=[{"role": "user", "content": f"Hello [[fault: {fault}]]"}], stream=True)
        async with claude_client(door, clouds.ports[door]) as client:
            stream = await client.messages.create(**fields)
            return [event.type async for event in stream]

    with pytest.raises(anthropic.APIStatusError) as failed:
        asyncio.run(go("error after=2"))
    assert failed.value.status_code == 200
    assert "message_stop" not in asyncio.run(go("cut after=2"))


def test_the_openai_sdk_sees_an_error_event_as_an_error(clouds):
    async def go():
        messages = [{"role": "user", "content": "Hello [[fault: error after=2]]"}]
        async with chat_client("openai", clouds.ports["openai"]) as client:
            stream = await client.chat.completions.create(model="gpt-4.1", messages=messages, stream=True)
            return [chunk async for chunk in stream]

    with pytest.raises(openai.APIError):
        asyncio.run(go())
