"""Claude's Messages wire: the events and the body of a reply, and its errors.

The doors to Claude build on it; each adds its path, credentials and envelopes. Shapes follow Anthropic's public API
reference: errors of the gate are the platform's own, those of the model are Anthropic's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Json, Render, Script
from bench.simulate.doors.messages_blocks import blocks_of, told
from bench.simulate.doors.reading import base59

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
        **ask.echo,
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
