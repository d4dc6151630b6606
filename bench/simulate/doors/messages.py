"""Claude's Messages wire: what a body must look like, and the events of a reply.

The doors to Claude build on it; each adds its path, credentials and envelopes. Shapes follow Anthropic's public API
reference: errors of the gate are the platform's own, those of the model are Anthropic's.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import orjson

from bench.simulate.base import Ask, Headers, Json, Part, Render, Script
from bench.simulate.doors.reading import Unreadable, base59, json_chars, tokens_of, whole_number

OLD_VERSION = "2023-06-01"
NEW_VERSION = "2026-10-21"
"""From this API version on there are no sampling settings."""
SAMPLING = ("temperature", "top_p", "top_k")
# fmt: off
FIELDS = frozenset((
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "output_config", "output_format", "thinking",
    "cache_control", "service_tier", "speed", "inference_geo", "stop_sequences", "metadata", "container", "diagnostics",
    "stream", "temperature", "top_p", "top_k", "mcp_servers", "context_management",
))
ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 408: "timeout_error", 409: "conflict_error", 413: "request_too_large",
    429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}
# fmt: on
ERROR_TEXTS: Mapping[int, str] = {
    401: "invalid x-api-key",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not found",
    429: "This request would exceed your organization's rate limit.",
    500: "Internal server error",
    503: "Service unavailable",
    529: "Overloaded",
}
TEXT_DELTA = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
"""The start of a text event: the text as JSON and two closing braces complete it."""
STOPS = {"stop": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tool": "tool_use"}
NO_SAMPLING = re.compile(r"(opus|sonnet|haiku|fable|mythos)-5(\D|$)")
"""Models of the 5 line take no sampling settings under any API version."""


def sse(name: str, data: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


def anthropic_error(kind: str, message: str, request_id: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


def usage_of(script: Script, ask: Ask, *, start: bool) -> Json:
    """Usage as in `message_start` (a placeholder of 1 output token) or, with `start=False`, the whole count."""
    by_ttl = {"5m": 0, "1h": 0} | {ask.cache_ttl: script.cache_write_tokens}
    return {
        "input_tokens": script.input_tokens,
        "cache_creation_input_tokens": script.cache_write_tokens,
        "cache_read_input_tokens": script.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": by_ttl["5m"], "ephemeral_1h_input_tokens": by_ttl["1h"]},
        "output_tokens": min(1, script.output_tokens) if start else script.output_tokens,
        "service_tier": "standard",
        **({} if start else thinking_usage(script)),
        **({"inference_geo": ask.geo} if ask.geo else {}),
        **({"speed": ask.speed} if ask.speed else {}),
    }


def thinking_usage(script: Script) -> Json:
    """The share of the output that was thinking, shown or not; only a reply that thought has it."""
    return {"output_tokens_details": {"thinking_tokens": script.reasoning_tokens}} if script.reasoning_tokens else {}


def delta_usage(script: Script) -> Json:
    return {
        "input_tokens": script.input_tokens,
        "cache_creation_input_tokens": script.cache_write_tokens,
        "cache_read_input_tokens": script.cache_read_tokens,
        "output_tokens": script.output_tokens,
        **thinking_usage(script),
    }


@dataclass(frozen=True, slots=True)
class Block:
    """A content block of a reply: the texts of its deltas, and what it opens and ends with."""

    kind: Part
    texts: tuple[str, ...]
    name: str = ""
    id: str = ""
    signature: str = ""

    def whole(self) -> Json:
        text = "".join(self.texts)
        if self.kind == "reasoning":
            return {"type": "thinking", "thinking": text, "signature": self.signature}
        if self.kind == "tool":
            return {"type": "tool_use", "id": self.id, "name": self.name, "input": _object(text)}
        return {"type": "text", "text": text}

    def start(self, index: int) -> Json:
        empty: Json = {"type": "text", "text": ""}
        if self.kind == "reasoning":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
        elif self.kind == "tool":
            empty = {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}
        return {"type": "content_block_start", "index": index, "content_block": empty}

    def delta(self, index: int, text: str) -> Json:
        kinds = {
            "reasoning": {"type": "thinking_delta", "thinking": text},
            "tool": {"type": "input_json_delta", "partial_json": text},
            "text": {"type": "text_delta", "text": text},
        }
        return {"type": "content_block_delta", "index": index, "delta": kinds[self.kind]}

    def events(self, index: int, start: bool) -> list[Json]:
        """The end of the block, with its beginning when it has not begun."""
        found = [self.start(index)] if start else []
        if self.kind == "reasoning":
            signature = {"type": "signature_delta", "signature": self.signature}
            found.append({"type": "content_block_delta", "index": index, "delta": signature})
        return [*found, {"type": "content_block_stop", "index": index}]


def _object(text: str) -> Any:
    """Arguments as an object; those that were cut are none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def blocks_of(script: Script, prefix: str) -> list[Block]:
    """The blocks of the planned reply. Ids of calls carry the same mark of the cloud as the message's."""
    mark = script.message_id.removeprefix(prefix)
    names = iter(script.tool_calls)
    found = []
    for n, (kind, texts) in enumerate(script.blocks()):
        if kind == "tool":
            name, _ = next(names)
            call = f"toolu_{prefix.removeprefix('msg_')}{mark[:2]}{sha256(f'{mark}:{n}'.encode()).hexdigest()[:22]}"
            found.append(Block(kind, texts, name=name, id=call))
        elif kind == "reasoning":
            found.append(Block(kind, texts, signature=b64encode(sha256(f"{mark}:{n}".encode()).digest() * 3).decode()))
        else:
            found.append(Block(kind, texts))
    return found


def told(blocks: list[Block], wrap: Callable[[Json], bytes]) -> Render:
    """Renders the deltas of several blocks: between them, one ends and the next begins. The first is open already."""
    order = [(n, position) for n, block in enumerate(blocks) for position in range(len(block.texts))]
    following = iter(order)
    at = 0

    def render(text: str) -> bytes:
        nonlocal at
        n, _ = next(following)
        events: list[Json] = []
        while at < n:
            events += blocks[at].events(at, start=False)
            at += 1
            events.append(blocks[at].start(at))
        events.append(blocks[n].delta(n, text))
        return b"".join(wrap(event) for event in events)

    return render


def read_messages(body: Json, version: str, model: str, wire: str = "") -> Ask:
    """Checks the body as the Messages API does. Raises Unreadable."""
    for field in ("max_tokens", "messages"):
        if field not in body:
            raise Unreadable(f"{field}: Field required")
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"{field}: Extra inputs are not permitted")
    for field in SAMPLING:
        if field in body and (version == NEW_VERSION or NO_SAMPLING.search(model)):
            raise Unreadable(f"{field}: This parameter is not supported for this model and API version.")
    temperature = body.get("temperature")
    if temperature is not None and (
        isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 1
    ):
        raise Unreadable("temperature: Input should be a number from 0 to 1")
    if not whole_number(body["max_tokens"], 0):
        raise Unreadable("max_tokens: Input should be a valid integer of at least 0")
    stream = body.get("stream", False)
    if not isinstance(stream, bool):
        raise Unreadable("stream: Input should be a valid boolean")
    stops = body.get("stop_sequences") or []
    if not isinstance(stops, list) or not all(isinstance(s, str) and s.strip() for s in stops):
        raise Unreadable("stop_sequences: each stop sequence must contain non-whitespace")
    prompt = _Prompt()
    prompt.tools(body.get("tools"))
    prompt.system(body.get("system"))
    prompt.messages(body["messages"])
    if isinstance(body.get("cache_control"), dict):
        prompt.mark(body["cache_control"])
    return Ask(
        prompt=prompt.last_user,
        stream=stream,
        input_tokens=tokens_of(prompt.chars),
        max_tokens=body["max_tokens"],
        cacheable_tokens=tokens_of(prompt.marked_chars),
        cache_ttl=prompt.ttl,
        stop=tuple(stops),
        wire=wire,
    )


class _Prompt:
    """Walks the prompt in the order in which it is cached (tools, system, messages), counting characters."""

    def __init__(self) -> None:
        self.chars = self.marked_chars = 0
        self.ttl: Literal["5m", "1h"] = "5m"
        self.last_user = ""

    def mark(self, control: Any) -> None:
        if (
            not isinstance(control, dict)
            or control.get("type") != "ephemeral"
            or control.get("ttl", "5m") not in ("5m", "1h")
        ):
            raise Unreadable("cache_control: Input should be {'type': 'ephemeral', 'ttl': '5m' or '1h'}")
        self.marked_chars = self.chars
        self.ttl = "1h" if control.get("ttl") == "1h" else "5m"

    def tools(self, tools: Any) -> None:
        if tools is None:
            return
        if not isinstance(tools, list) or not all(
            isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in tools
        ):
            raise Unreadable("tools: Input should be a valid list of tools, each with a name")
        for tool in tools:
            self.chars += json_chars({k: v for k, v in tool.items() if k != "cache_control"})
            if tool.get("cache_control") is not None:
                self.mark(tool["cache_control"])

    def system(self, system: Any) -> None:
        if system is not None:
            self._content(system, "system")

    def messages(self, messages: Any) -> None:
        if not isinstance(messages, list) or not messages:
            raise Unreadable("messages: at least one message is required")
        for n, message in enumerate(messages):
            if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
                raise Unreadable(f"messages.{n}.role: Input should be 'user' or 'assistant'")
            if n == 0 and message["role"] != "user":
                raise Unreadable('messages: first message must use the "user" role')
            text = self._content(message.get("content"), f"messages.{n}.content")
            if message["role"] == "user":
                self.last_user = text

    def _content(self, content: Any, path: str) -> str:
        """Counts a content; returns its text parts, joined."""
        if isinstance(content, str):
            if not content:
                raise Unreadable(f"{path}: text content must be non-empty")
            self.chars += len(content)
            return content
        if not isinstance(content, list) or not content:
            raise Unreadable(f"{path}: Input should be a valid string or a non-empty list of content blocks")
        texts = []
        for n, block in enumerate(content):
            if not isinstance(block, dict) or not isinstance(block.get("type"), str):
                raise Unreadable(f"{path}.{n}.type: Field required")
            if block["type"] == "text":
                if not isinstance(block.get("text"), str) or not block["text"]:
                    raise Unreadable(f"{path}.{n}.text: text content blocks must be non-empty")
                texts.append(block["text"])
                self.chars += len(block["text"])
            else:
                self.chars += json_chars({k: v for k, v in block.items() if k != "cache_control"})
            if block.get("cache_control") is not None:
                self.mark(block["cache_control"])
        return "".join(texts)


class MessagesDoor:
    """What the doors to Claude have in common: the events and the body. Subclasses add path, credentials and
    envelopes.
    """

    name = ""
    prefix = "msg_"

    def message_id(self, bits: int) -> str:
        return f"{self.prefix}01{base59(bits, 22)}"

    def request_id(self, bits: int) -> str:
        return f"req_01{base59(bits, 22)}"

    def served_model(self, model_id: str) -> str:
        return model_id

    def id_headers(self, request_id: str) -> Headers:
        return [("request-id", request_id)]

    def headers(self, ask: Ask, script: Script) -> Headers:
        if ask.stream:
            return [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
        return [("content-type", "application/json")]

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        return []

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        return [("content-type", "application/json")], orjson.dumps(anthropic_error(code, message, request_id))

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 529
        return status, ERROR_TYPES.get(status, "api_error"), ERROR_TEXTS.get(status, "The request could not be served.")

    def wrap(self, event: Json) -> bytes:
        """One event as it goes over the wire."""
        return sse(event["type"], event)

    def message(self, ask: Ask, script: Script, *, start: bool) -> Json:
        message: Json = {
            "id": script.message_id,
            "type": "message",
            "role": "assistant",
            "model": script.served_model,
            "content": [] if start else [block.whole() for block in blocks_of(script, self.prefix)],
            "stop_reason": None if start else STOPS[script.stop],
            "stop_sequence": None if start else script.stop_sequence,
        }
        if script.usage != "none":
            message["usage"] = usage_of(script, ask, start=start)
        return message

    def whole(self, ask: Ask, script: Script) -> bytes:
        return orjson.dumps(self.message(ask, script, start=False))

    def opening_events(self, ask: Ask, script: Script) -> list[Json]:
        first = blocks_of(script, self.prefix)[:1]
        start: Json = {"type": "message_start", "message": self.message(ask, script, start=True)}
        return [start, *[block.start(0) for block in first]]

    def opening(self, ask: Ask, script: Script) -> bytes:
        events = [*self.opening_events(ask, script), {"type": "ping"}]
        return b"".join(self.wrap(event) for event in events)

    def content(self, ask: Ask, script: Script) -> Render:
        blocks = blocks_of(script, self.prefix)
        if [block.kind for block in blocks] == ["text"]:
            head = b"event: content_block_delta\ndata: " + TEXT_DELTA
            return lambda text: b"%s%s}}\n\n" % (head, orjson.dumps(text))
        return told(blocks, self.wrap)

    def closing_events(self, script: Script) -> list[Json]:
        blocks = blocks_of(script, self.prefix)
        open_from = max((n for n, block in enumerate(blocks) if block.texts), default=0)
        events = [event for n, block in enumerate(blocks) if n >= open_from for event in block.events(n, n > open_from)]
        delta: Json = {
            "type": "message_delta",
            "delta": {"stop_reason": STOPS[script.stop], "stop_sequence": script.stop_sequence},
        }
        if script.usage != "none":
            delta["usage"] = delta_usage(script)
        events += [delta] * (2 if script.usage == "twice" else 1)
        events.append({"type": "message_stop"})
        return events

    def closing(self, ask: Ask, script: Script) -> bytes:
        return b"".join(self.wrap(event) for event in self.closing_events(script))

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        names = {"overloaded": "overloaded_error", "throttled": "rate_limit_error", "server": "api_error"}
        texts = {"overloaded": "Overloaded", "throttled": ERROR_TEXTS[429], "server": ERROR_TEXTS[500]}
        return sse("error", anthropic_error(names[kind], texts[kind], script.request_id))
