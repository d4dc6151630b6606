"""OpenAI's Responses wire: what a body must look like, and the events of a reply, each with its number.

After OpenAI's public API reference, "Responses" and "Streaming events", and the shapes that its SDK reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from bench.simulate.base import Arguments, Ask, Json, Render, Script, Thought
from bench.simulate.doors.functions import call_id, read_choice, read_effort, read_format, read_tools
from bench.simulate.doors.reading import Unreadable, json_chars, tokens_of, whole_number

WIRE = "responses"
CACHE_STEP_TOKENS = 128
LEAST_OUTPUT_TOKENS = 16
# fmt: off
FIELDS = frozenset((
    "model", "input", "instructions", "max_output_tokens", "max_tool_calls", "temperature", "top_p", "stream",
    "stream_options", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "store", "service_tier",
    "previous_response_id", "conversation", "include", "metadata", "prompt", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "top_logprobs", "truncation", "user", "background", "moderation",
    "background_options", "context_management", "access_programs", "image",
))
# fmt: on
PARTS = {
    "user": ("input_text", "input_image", "input_file"),
    "system": ("input_text", "input_image", "input_file"),
    "developer": ("input_text", "input_image", "input_file"),
    "assistant": ("output_text", "refusal"),
}
ITEMS = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
EMPTY_TEXT: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
CODES = {"overloaded": "server_error", "throttled": "rate_limit_exceeded", "server": "server_error"}
MESSAGES = {
    "overloaded": "The server is overloaded. Please retry later.",
    "throttled": "Rate limit reached. Please try again later.",
    "server": "An error occurred while processing your request.",
}


# ------------------------------------------------------------------------------------------------ what comes in


def read_responses(body: Json) -> Ask:
    """Checks the body as the Responses API does. Raises Unreadable."""
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"Unknown parameter: '{field}'.")
    chars, last_user = _input(body.get("input"))
    instructions = body.get("instructions") or ""
    if not isinstance(instructions, str):
        raise Unreadable("Invalid type for 'instructions': expected a string.")
    limit = body.get("max_output_tokens")
    if limit is not None and not whole_number(limit, LEAST_OUTPUT_TOKENS):
        raise Unreadable(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_OUTPUT_TOKENS}, but "
            f"got {limit} instead."
        )
    for field, high in (("temperature", 2), ("top_p", 1)):
        value = body.get(field)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high
        ):
            raise Unreadable(f"Invalid '{field}': expected a number from 0 to {high}.")
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise Unreadable("Invalid type for 'stream': expected a boolean.")
    if body.get("stream_options") is not None and not stream:
        raise Unreadable("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    text, reasoning = _object(body, "text", ("format", "verbosity")), _object(body, "reasoning", None)
    thinks = read_effort(reasoning.get("effort"), "reasoning.effort")
    tools = read_tools(body, flat=True)
    input_tokens = tokens_of(chars + len(instructions) + (json_chars(body["tools"]) if body.get("tools") else 0))
    return Ask(
        prompt=last_user,
        stream=stream,
        input_tokens=input_tokens,
        max_tokens=limit,
        cacheable_tokens=input_tokens // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS,
        wire=WIRE,
        tools=tools,
        tool_choice=read_choice(body, tuple(name for name, _ in tools), flat=True),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=read_format(text.get("format"), "text.format", flat=True),
        thinks=thinks and reasoning.get("summary") is not None,
        hides=thinks and reasoning.get("summary") is None,
    )


def _object(body: Json, field: str, keys: Sequence[str] | None) -> Json:
    value = body.get(field) or {}
    if not isinstance(value, dict):
        raise Unreadable(f"Invalid type for '{field}': expected an object.")
    for key in value if keys is not None else ():
        if key not in (keys or ()):
            raise Unreadable(f"Unknown parameter: '{field}.{key}'.")
    return value


def _input(given: Any) -> tuple[int, str]:
    """(characters in all, text of the last user message) of the input."""
    if isinstance(given, str):
        return len(given), given
    if not isinstance(given, list) or not given:
        raise Unreadable("Missing required parameter: 'input'.")
    chars, last_user = 0, ""
    called: set[Any] = set()
    for n, item in enumerate(given):
        at = f"input[{n}]"
        if not isinstance(item, dict):
            raise Unreadable(f"Invalid type for '{at}': expected an object.")
        kind = item.get("type", "message")
        if kind == "message":
            text, count = _message(item, at)
            chars += count
            if item["role"] == "user":
                last_user = text
            continue
        for key in ITEMS.get(kind, ()):
            if item.get(key) is None:
                raise Unreadable(f"Missing required parameter: '{at}.{key}'.")
        if kind == "function_call":
            called.add(item["call_id"])
        elif kind == "function_call_output" and item["call_id"] not in called:
            raise Unreadable(f"No tool call found for function call output with call_id {item['call_id']}.")
        elif kind not in ITEMS and kind != "reasoning":
            raise Unreadable(
                f"Invalid value: '{kind}'. This look-alike takes messages, function calls and their output."
            )
        chars += json_chars(item)
    return chars, last_user


def _message(item: Json, at: str) -> tuple[str, int]:
    for key in sorted(set(item) - {"type", "role", "content", "id", "status", "phase"}):
        raise Unreadable(f"Unknown parameter: '{at}.{key}'.")
    allowed = PARTS.get(str(item.get("role")))
    if allowed is None:
        raise Unreadable(f"Invalid value: '{item.get('role')}'. Supported values are: {', '.join(PARTS)}.")
    content = item.get("content")
    if isinstance(content, str):
        return content, len(content)
    if not isinstance(content, list):
        raise Unreadable(f"Invalid type for '{at}.content': expected one of an array of objects or string.")
    texts, chars = [], 0
    for n, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            raise Unreadable(f"Invalid value: '{kind}' at '{at}.content[{n}]'. Supported values are: {allowed}.")
        said = part.get("text") if kind.endswith("_text") else part.get("refusal") if kind == "refusal" else None
        if isinstance(said, str):
            texts.append(said)
            chars += len(said)
        elif kind.endswith("_text") or kind == "refusal":
            raise Unreadable(f"Missing required parameter: '{at}.content[{n}].text'.")
        else:
            chars += json_chars(part)
    return "".join(texts), chars


# ------------------------------------------------------------------------------------------------ what goes out


def response(ask: Ask, script: Script, status: str, output: Sequence[Json] = ()) -> Json:
    """The response object, as it is known at that status."""
    over = status in ("completed", "incomplete")
    reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
    body: Json = {
        "id": script.message_id,
        "object": "response",
        "created_at": script.created_s,
        "status": status,
        "error": None,
        "incomplete_details": reason,
        "instructions": None,
        "max_output_tokens": ask.max_tokens,
        "model": script.served_model,
        "output": list(output),
        "parallel_tool_calls": ask.parallel,
        "service_tier": "default" if over else "auto",
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    if over and script.usage != "none":
        given = script.input_tokens + script.cache_read_tokens + script.cache_write_tokens
        body["usage"] = {
            "input_tokens": given,
            "input_tokens_details": {
                "cached_tokens": script.cache_read_tokens,
                "cache_write_tokens": script.cache_write_tokens,
            },
            "output_tokens": script.output_tokens,
            "output_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
            "total_tokens": given + script.output_tokens,
        }
    return body


def final(ask: Ask, script: Script) -> Json:
    status = "incomplete" if script.stop == "length" else "completed"
    cut = len(_segments(script)) - 1 if status == "incomplete" else -1
    items = [_item(script, kind, n, text, cut == n) for n, (kind, text) in enumerate(_segments(script))]
    return response(ask, script, status, items)


def whole(ask: Ask, script: Script) -> bytes:
    return orjson.dumps(final(ask, script))


def _kind(event: str) -> str:
    if isinstance(event, Thought):
        return "thought"
    return str(event.call) if isinstance(event, Arguments) else "text"


def _segments(script: Script) -> list[tuple[str, str]]:
    """(kind, text) of the items of the output in their order; the kind of a call is its number."""
    parts: dict[str, list[str]] = {}
    for event in script.events:
        parts.setdefault(_kind(event), []).append(event)
    return [(kind, "".join(texts)) for kind, texts in parts.items()]


def _item(script: Script, kind: str, place: int, text: str, cut: bool = False, *, begun: bool = False) -> Json:
    """An item of the output: whole, or as it is when it has begun."""
    status = "in_progress" if begun else "incomplete" if cut else "completed"
    if kind == "thought":
        summary = [] if begun else [{"type": "summary_text", "text": text}]
        return {"id": call_id(script.message_id, place, "rs_"), "type": "reasoning", "summary": summary}
    if kind == "text":
        part = {**EMPTY_TEXT, "text": text}
        return {
            "id": call_id(script.message_id, place, "msg_"),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [] if begun else [part],
        }
    return {
        "id": call_id(script.message_id, place, "fc_"),
        "type": "function_call",
        "status": status,
        "arguments": "" if begun else text,
        "call_id": call_id(script.message_id, int(kind)),
        "name": script.tool_calls[int(kind)][0],
    }


def _begin(script: Script, kind: str, place: int) -> Iterator[Json]:
    item = _item(script, kind, place, "", begun=True)
    yield {"type": "response.output_item.added", "output_index": place, "item": item}
    at = {"item_id": item["id"], "output_index": place}
    if kind == "thought":
        part = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **at, "summary_index": 0, "part": part}
    elif kind == "text":
        yield {"type": "response.content_part.added", **at, "content_index": 0, "part": EMPTY_TEXT}


def _end(script: Script, kind: str, place: int, text: str, cut: bool) -> Iterator[Json]:
    item = _item(script, kind, place, text, cut)
    at = {"item_id": item["id"], "output_index": place}
    if kind == "thought":
        at["summary_index"] = 0
        yield {"type": "response.reasoning_summary_text.done", **at, "text": text}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": item["summary"][0]}
    elif kind == "text":
        at["content_index"] = 0
        yield {"type": "response.output_text.done", **at, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": item["content"][0]}
    else:
        yield {"type": "response.function_call_arguments.done", **at, "arguments": text}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _delta(script: Script, kind: str, place: int, text: str) -> Json:
    if kind == "thought":
        at = {"item_id": call_id(script.message_id, place, "rs_"), "output_index": place, "summary_index": 0}
        return {"type": "response.reasoning_summary_text.delta", **at, "delta": text}
    if kind == "text":
        at = {"item_id": call_id(script.message_id, place, "msg_"), "output_index": place, "content_index": 0}
        return {"type": "response.output_text.delta", **at, "delta": text, "logprobs": []}
    at = {"item_id": call_id(script.message_id, place, "fc_"), "output_index": place}
    return {"type": "response.function_call_arguments.delta", **at, "delta": text}


def sse(number: int, event: Json) -> bytes:
    kind = event["type"]
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"sequence_number": number, **event}))


def _numbered(first: int, events: Sequence[Json]) -> bytes:
    return b"".join([sse(first + n, event) for n, event in enumerate(events)])


def opening(ask: Ask, script: Script) -> bytes:
    begun = response(ask, script, "in_progress")
    return _numbered(0, [{"type": f"response.{what}", "response": begun} for what in ("created", "in_progress")])


def content(ask: Ask, script: Script) -> Render:
    """What renders the content events, one after the other: each with the events of structure before it."""
    segments = _segments(script)
    number, place = 2, -1

    def render(event: str) -> bytes:
        nonlocal number, place
        kind = _kind(event)
        before: list[Json] = []
        if place < 0 or segments[place][0] != kind:
            if place >= 0:
                before += _end(script, *_at(segments, place), cut=False)
            place += 1
            before += _begin(script, kind, place)
        events = [*before, _delta(script, kind, place, event)]
        number += len(events)
        return _numbered(number - len(events), events)

    return render


def _at(segments: Sequence[tuple[str, str]], place: int) -> tuple[str, int, str]:
    kind, text = segments[place]
    return kind, place, text


def closing(ask: Ask, script: Script) -> bytes:
    segments = _segments(script)
    over = final(ask, script)
    events: list[Json] = []
    if segments:
        events += _end(script, *_at(segments, len(segments) - 1), cut=script.stop == "length")
    end = {"type": f"response.{over['status']}", "response": over}
    return _numbered(_sent(script, len(script.events)), [*events, end, *([end] if script.usage == "twice" else [])])


def _sent(script: Script, count: int) -> int:
    """How many events have gone after that many content events."""
    kinds = [_kind(event) for event in script.events[:count]]
    structure = 0
    for n, kind in enumerate(kinds):
        if n == 0 or kinds[n - 1] != kind:
            structure += len(list(_begin(script, kind, 0)))
            structure += len(list(_end(script, kinds[n - 1], 0, "", cut=False))) if n else 0
    return 2 + structure + len(kinds)


def error_event(ask: Ask, script: Script, kind: str) -> bytes:
    """An overloaded or failing model is told as a failed response, a limit as an error of the stream."""
    after = script.fault.after if script.fault else None
    number = _sent(script, len(script.events) if after is None else after)
    error = {"code": CODES[kind], "message": MESSAGES[kind]}
    if kind == "throttled":
        return sse(number, {"type": "error", **error, "param": None})
    return sse(number, {"type": "response.failed", "response": {**response(ask, script, "failed"), "error": error}})
