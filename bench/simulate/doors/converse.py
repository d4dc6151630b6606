"""Bedrock's own wire, Converse and ConverseStream: the events of a reply."""

from __future__ import annotations

import zlib
from base64 import b64encode
from itertools import pairwise

import orjson

from bench.simulate.base import Ask, Json, Piece, Render, Script
from bench.simulate.doors.eventstream import event_headers, frame, padding
from bench.simulate.doors.messages import STOPS
from bench.simulate.doors.reading import base59

OPERATIONS = ("converse", "converse-stream")
_DELTA = event_headers("contentBlockDelta")
_STOPS = {**STOPS, "tool": "tool_use"}


def _counts(ask: Ask, script: Script) -> Json:
    """Usage and metrics, the last thing said; total tokens count the cached ones too."""
    cached = script.cache_read_tokens + script.cache_write_tokens
    said: Json = {"metrics": {"latencyMs": script.end_ns // 1_000_000}, **ask.echo}
    if script.usage != "none":
        said["usage"] = {
            "inputTokens": script.input_tokens,
            "outputTokens": script.output_tokens,
            "totalTokens": script.input_tokens + script.output_tokens + cached,
            "cacheReadInputTokens": script.cache_read_tokens,
            "cacheWriteInputTokens": script.cache_write_tokens,
        }
        if script.cache_write_tokens:
            details = [{"ttl": ask.cache_ttl, "inputTokens": script.cache_write_tokens}]
            said["usage"]["cacheDetails"] = details
    return said


def _tool_use_id(script: Script, n: int) -> str:
    bits = zlib.crc32(f"{script.request_id}.{n}".encode()) << 64 | zlib.crc32(f"{n}.{script.request_id}".encode())
    return f"tooluse_{base59(bits, 22)}"


def _signature(script: Script) -> str:
    return b64encode(script.request_id.encode()).decode()


def whole(ask: Ask, script: Script) -> bytes:
    content: list[Json] = []
    if script.reasoning:
        thought = {"text": script.reasoning, "signature": _signature(script)}
        content.append({"reasoningContent": {"reasoningText": thought}})
    if script.text:
        content.append({"text": script.text})
    for n, (name, arguments) in enumerate(script.tool_calls):
        call = {"toolUseId": _tool_use_id(script, n), "name": name, "input": orjson.loads(arguments)}
        content.append({"toolUse": call})
    message = {"role": "assistant", "content": content}
    return orjson.dumps({"output": {"message": message}, "stopReason": _STOPS[script.stop], **_counts(ask, script)})


def _event(kind: str, payload: Json) -> bytes:
    filling = padding(orjson.dumps(payload)).decode()
    return frame(event_headers(kind), orjson.dumps({**payload, "p": filling}))


def opening() -> bytes:
    return _event("messageStart", {"role": "assistant"})


def content(script: Script) -> Render:
    several = script.events if script.reasoning or script.tool_calls else ()
    kind_of = {piece.block: piece.kind for piece in several if isinstance(piece, Piece)}
    # a block ends when the next one begins
    starts = {after: _stop(script, before, kind_of[before]) for before, after in pairwise(kind_of)}

    def render(text: str) -> bytes:
        if isinstance(text, Piece):
            return _piece(script, text, starts, kind_of)
        said = orjson.dumps(text)
        return frame(_DELTA, b'{"contentBlockIndex":0,"delta":{"text":%s},"p":"%s"}' % (said, padding(said)))

    return render


def _piece(script: Script, text: Piece, starts: dict[int, bytes], kind_of: dict[int, str]) -> bytes:
    """An event of a reply of several blocks, behind the end of the block before it and the start of its own."""
    parts = []
    if text.first:
        parts.append(starts.get(text.block, b""))
        if text.kind == "call":
            n = [kind for block, kind in kind_of.items() if block < text.block].count("call")
            call = {"toolUseId": _tool_use_id(script, n), "name": script.tool_calls[n][0]}
            parts.append(_event("contentBlockStart", {"contentBlockIndex": text.block, "start": {"toolUse": call}}))
    deltas: dict[str, Json] = {
        "text": {"text": text},
        "reasoning": {"reasoningContent": {"text": text}},
        "call": {"toolUse": {"input": text}},
    }
    parts.append(_event("contentBlockDelta", {"contentBlockIndex": text.block, "delta": deltas[text.kind]}))
    return b"".join(parts)


def _stop(script: Script, block: int, kind: str) -> bytes:
    stop = _event("contentBlockStop", {"contentBlockIndex": block})
    if kind != "reasoning":
        return stop
    delta = {"reasoningContent": {"signature": _signature(script)}}
    return _event("contentBlockDelta", {"contentBlockIndex": block, "delta": delta}) + stop


def closing(ask: Ask, script: Script) -> bytes:
    parts = []
    if script.events:
        last = script.events[-1]
        parts.append(_stop(script, last.block, last.kind) if isinstance(last, Piece) else _stop(script, 0, "text"))
    parts.append(_event("messageStop", {"stopReason": _STOPS[script.stop]}))
    parts += [_event("metadata", _counts(ask, script))] * (2 if script.usage == "twice" else 1)
    return b"".join(parts)
