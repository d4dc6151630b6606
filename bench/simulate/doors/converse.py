"""Bedrock's own wire, Converse and ConverseStream: the events of a reply."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import Any

import orjson

from bench.simulate.base import Arguments, Ask, Json, Render, Script, Thought
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


def _document(arguments: str) -> Any:
    """The arguments as JSON. Those that `max_tokens` cut are none: a whole reply then has an empty object."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}


def whole(ask: Ask, script: Script) -> bytes:
    content: list[Json] = []
    if script.reasoning:
        thought = {"text": script.reasoning, "signature": _signature(script)}
        content.append({"reasoningContent": {"reasoningText": thought}})
    if script.text:
        content.append({"text": script.text})
    for n, (name, arguments) in enumerate(script.tool_calls):
        content.append({"toolUse": {"toolUseId": _tool_use_id(script, n), "name": name, "input": _document(arguments)}})
    message = {"role": "assistant", "content": content}
    return orjson.dumps({"output": {"message": message}, "stopReason": _STOPS[script.stop], **_counts(ask, script)})


def _event(kind: str, payload: Json) -> bytes:
    filling = padding(orjson.dumps(payload)).decode()
    return frame(event_headers(kind), orjson.dumps({**payload, "p": filling}))


def opening() -> bytes:
    return _event("messageStart", {"role": "assistant"})


def content(script: Script) -> Render:
    """Renders text; thoughts come in block 0, text behind them, each call in a block of its own behind both."""
    text_at = 1 if script.reasoning else 0
    calls_at = text_at + bool(script.text)
    thought_ends = _stop(script, 0, Thought)  # a block ends when the next one begins
    opened = set()

    def before(block: int) -> bytes:
        """What stands before the first event of a block."""
        if block == 0 or block in opened:
            return b""
        opened.add(block)
        return thought_ends if block == 1 and script.reasoning else _stop(script, block - 1, str)

    def render(text: str) -> bytes:
        if isinstance(text, Arguments):
            block = calls_at + text.call
            start = b""
            if text.first:
                call = {"toolUseId": _tool_use_id(script, text.call), "name": script.tool_calls[text.call][0]}
                start = _event("contentBlockStart", {"contentBlockIndex": block, "start": {"toolUse": call}})
            delta = {"toolUse": {"input": text}}
            return before(block) + start + _event("contentBlockDelta", {"contentBlockIndex": block, "delta": delta})
        if isinstance(text, Thought):
            return _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": text}}})
        said = orjson.dumps(text)
        data = b'{"contentBlockIndex":%d,"delta":{"text":%s},"p":"%s"}' % (text_at, said, padding(said))
        return before(text_at) + frame(_DELTA, data)

    return render


def _stop(script: Script, block: int, kind: type[str]) -> bytes:
    """The end of a block; a thought is signed there."""
    stop = _event("contentBlockStop", {"contentBlockIndex": block})
    if kind is not Thought:
        return stop
    delta = {"reasoningContent": {"signature": _signature(script)}}
    return _event("contentBlockDelta", {"contentBlockIndex": block, "delta": delta}) + stop


def closing(ask: Ask, script: Script) -> bytes:
    parts = []
    if script.events:
        blocks = bool(script.reasoning) + bool(script.text) + len(script.tool_calls)
        parts.append(_stop(script, blocks - 1, type(script.events[-1])))
    parts.append(_event("messageStop", {"stopReason": _STOPS[script.stop]}))
    parts += [_event("metadata", _counts(ask, script))] * (2 if script.usage == "twice" else 1)
    return b"".join(parts)
