"""The Messages dialect: Claude's own language, in server-sent events or, on Bedrock, in AWS event-stream frames."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.dialects import claude, frames
from bench.errors import BenchError
from bench.record import STANDARD_SPEED, Case, Exchange, Params, Reply, StopReason, ToolCall, Usage
from bench.targets import Target
from bench.wire import framing

name = "messages"

STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool",
    "refusal": "filtered",  # a safety classifier ended the turn; the other doors to the same model call it a filter
    "model_context_window_exceeded": "context",
}


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    problems = []
    if params.seed is not None:
        problems.append("seed: the Messages API has none; leave it out")
    if params.effort not in (None, "none", *claude.EFFORTS):
        problems.append(f"effort: got {params.effort!r}; want none, or one of {', '.join(claude.EFFORTS)}")
    problems += claude.unfit_budget(params)
    if params.effort == "none" and params.thinking_budget_tokens:
        problems.append("thinking_budget_tokens: effort none switches thinking off; leave one of the two out")
    problems += claude.unfit_cache_or_format(params)
    problems += [
        f"tools: got type {tool.get('type')!r}; want a function with a name and parameters"
        for tool in params.tools
        if claude.tool(tool) is None
    ]
    if params.tool_choice is not None and claude.tool_choice(params.tool_choice) is None:
        problems.append(
            f"tool_choice: got {params.tool_choice!r}; want auto, none, required, or a function by its name"
        )
    return problems


def degraded(params: Params) -> list[str]:
    """Nothing is left out."""
    return []


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request body. Keys stand in the order in which the official SDK writes them.

    BenchError when a setting or a part of the conversation cannot be carried: nothing is dropped in silence.
    """
    problems = unsupported(params)
    if problems:
        raise BenchError(f"{target.id}: " + "; ".join(problems))
    system, messages = claude.conversation(case)
    tools = [tool for tool in (claude.tool(each) for each in params.tools) if tool is not None]
    system_out: Any = system
    if params.cache_breakpoints:
        mark = {"type": "ephemeral"} if params.cache_ttl is None else {"type": "ephemeral", "ttl": params.cache_ttl}
        claude.mark_cache(params.cache_breakpoints, mark, tools, system, messages)
    if len(system) == 1 and system[0].keys() == {"type", "text"}:
        system_out = system[0]["text"]

    output_config: dict[str, Any] = {}
    if params.effort not in (None, "none"):
        output_config["effort"] = params.effort
    if params.response_format is not None and params.response_format.get("type") == "json_schema":
        output_config["format"] = {"type": "json_schema", "schema": claude.schema_of(params.response_format)}

    body: dict[str, Any] = {
        "max_tokens": params.max_tokens,
        "messages": messages,
        "model": target.deployment or target.model_id,
    }
    if output_config:
        body["output_config"] = output_config
    if target.service_tier is not None:
        body["service_tier"] = target.service_tier
    if params.stop:
        body["stop_sequences"] = list(params.stop)
    if params.stream:
        body["stream"] = True
    if system:
        body["system"] = system_out
    thinking = claude.thinking(params, target)
    if thinking is not None:
        body["thinking"] = thinking
    if params.tool_choice is not None:
        body["tool_choice"] = claude.tool_choice(params.tool_choice)
    if tools:
        body["tools"] = tools
    for key in ("temperature", "top_p", "top_k"):
        if getattr(params, key) is not None:
            body[key] = getattr(params, key)
    return {**body, **{key: value for key, value in params.extra_body.items() if key != "thinking"}}


# ------------------------------------------------------------------------------------------------ what comes back


def decode(exchange: Exchange) -> Reply:
    """What the exchange said, with the arrival times of its content. Keeps what a cut stream delivered; never raises.

    `complete` means that `message_stop` came after a stop reason: the SDKs end in silence on a stream that lacks them.
    """
    if exchange.status is not None and exchange.status >= 400:
        return Reply()
    pieces = read.plain_pieces(exchange)
    form = read.form_of(exchange, pieces)
    if form == "json":
        return _decode_message(b"".join([data for _, data in pieces]))
    if form == "sse":
        return _decode_events(framing.sse_events(pieces), None)
    events, error = _unwrap_frames(pieces)
    return _decode_events(events, error)


def _unwrap_frames(pieces: read.Pieces) -> tuple[framing.SseEvents, bytes | None]:
    """The Messages events inside AWS event-stream frames, and the error that a frame or its checksum reported."""
    messages, broken = framing.event_stream_messages(pieces)
    error = frames.broken(broken)
    arrivals_ns: list[int] = []
    datas: list[bytes] = []
    known: dict[str, str] | None = None  # headers of a chunk: the frames of a stream share theirs
    for arrived_ns, headers, payload in messages:
        if headers is not known:
            if headers.get(":message-type", "event") != "event":
                error = error or frames.error_of(headers, payload)
                continue
            if headers.get(":event-type", "chunk") != "chunk":
                continue
            known = headers
        try:
            datas.append(a2b_base64(read.loads(payload)["bytes"]))
            arrivals_ns.append(arrived_ns)
        except (TypeError, KeyError, ValueError):
            error = error or read.malformed(payload)
    return (arrivals_ns, [None] * len(datas), datas), error


def _decode_events(events: framing.SseEvents, error: bytes | None) -> Reply:
    arrivals_ns, names, datas = events
    unread = read.Unread(arrivals_ns, datas)
    texts, content_ns = unread.texts, unread.content_ns
    thoughts: list[str] = []
    first_text_ns: int | None = None
    calls: dict[Any, tuple[str, str, list[str]]] = {}
    usage: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    native_stop: str | None = None
    model: str | None = None
    message_id: str | None = None
    stop_detail = ""
    bare: dict[Any, int] = {}  # calls without any arguments so far: when their blocks opened
    stopped = False

    for at in unread:
        arrived_ns, data = arrivals_ns[at], datas[at]
        if not data:
            continue
        event = read.loads(data)
        if type(event) is not dict:
            error = error or read.malformed(data)
            continue
        kind = event.get("type")
        if kind == "content_block_delta":
            delta = read.as_dict(event.get("delta"))
            what = delta.get("type")
            if what == "text_delta":
                text = read.as_text(delta.get("text"))
                if text:
                    texts.append(text)
                    content_ns.append(arrived_ns)
                    if first_text_ns is None:
                        first_text_ns = arrived_ns
                    unread.learn(b"text", text)
            elif what == "thinking_delta":
                thought = read.as_text(delta.get("thinking"))
                if thought:
                    thoughts.append(thought)
                    content_ns.append(arrived_ns)
            elif what == "input_json_delta":
                arguments = read.as_text(delta.get("partial_json"))
                if arguments:
                    content_ns.append(arrived_ns)
                    index = event.get("index")
                    if isinstance(index, int) and index in calls:
                        calls[index][2].append(arguments)
                        bare.pop(index, None)
        elif kind == "content_block_start":
            block = read.as_dict(event.get("content_block"))
            opening = _opening(block)
            if opening:
                content_ns.append(arrived_ns)
            if block.get("type") == "text" and opening:
                texts.append(opening)
                first_text_ns = arrived_ns if first_text_ns is None else first_text_ns
            elif block.get("type") == "thinking" and opening:
                thoughts.append(opening)
            elif block.get("type") == "tool_use" and isinstance(event.get("index"), int):
                arguments_so_far = [opening] if opening else []
                calls[event["index"]] = (
                    read.as_text(block.get("id")),
                    read.as_text(block.get("name")),
                    arguments_so_far,
                )
                if not opening:
                    bare[event["index"]] = arrived_ns
        elif kind == "message_start":
            message = read.as_dict(event.get("message"))
            # The count of output tokens in this event is a placeholder, not a count.
            usage.update({k: v for k, v in read.as_dict(message.get("usage")).items() if k != "output_tokens"})
            model = read.as_name(message.get("model")) or model
            message_id = read.as_name(message.get("id")) or message_id
        elif kind == "message_delta":
            usage.update({k: v for k, v in read.as_dict(event.get("usage")).items() if v is not None})
            delta = read.as_dict(event.get("delta"))
            native_stop = read.as_name(delta.get("stop_reason")) or native_stop
            stop_detail = _detail(delta) or stop_detail
        elif kind == "message_stop":
            stopped = True
            metrics = read.as_dict(event.get("amazon-bedrock-invocationMetrics")) or metrics
        elif kind == "error" or names[at] == b"error":
            error = error or data

    if "output_tokens" not in usage and "outputTokenCount" in metrics:
        usage["output_tokens"] = metrics["outputTokenCount"]
    if bare and native_stop is not None:  # a call that takes no arguments is said when its block opens
        content_ns = sorted([*content_ns, *bare.values()])
    return Reply(
        text=read.clean("".join(texts)),
        reasoning=read.clean("".join(thoughts)),
        tool_calls=tuple(
            ToolCall(read.clean(call), read.clean(tool), read.clean("".join(parts) or "{}"))
            for call, tool, parts in calls.values()
        ),
        content_ns=tuple(content_ns),
        first_text_ns=first_text_ns,
        usage=usage_of(usage),
        stop_reason=STOP_REASONS.get(native_stop) if native_stop else None,
        native_stop_reason=native_stop,
        stop_detail=stop_detail,
        complete=stopped and native_stop is not None,
        error_body=error,
        served_model=model,
        served_lane=lane_of(usage),
        message_id=message_id,
        inference_geo=geo_of(usage),
    )


def _opening(block: dict[str, Any]) -> str:
    """Content that a block already carries when it starts; none on the clouds, but allowed by the format."""
    value = block.get({"text": "text", "thinking": "thinking"}.get(read.as_text(block.get("type")), "input"))
    if isinstance(value, dict) and value:
        return json.dumps(value, ensure_ascii=False)
    return read.as_text(value)


def _decode_message(data: bytes) -> Reply:
    """A reply that came whole. It has no arrival times: without streaming there is no first token to see."""
    message = read.loads(data)
    if type(message) is not dict:
        return Reply(error_body=data if isinstance(message, list) else read.malformed(data))
    if message.get("type") == "error" or message.get("error"):
        return Reply(error_body=data)
    blocks = [read.as_dict(block) for block in read.as_list(message.get("content"))]
    usage = read.as_dict(message.get("usage"))
    native_stop = read.as_name(message.get("stop_reason"))
    return Reply(
        text=read.clean("".join([_opening(block) for block in blocks if block.get("type") == "text"])),
        reasoning=read.clean("".join([_opening(block) for block in blocks if block.get("type") == "thinking"])),
        tool_calls=tuple(
            ToolCall(
                read.clean(read.as_text(block.get("id"))),
                read.clean(read.as_text(block.get("name"))),
                read.clean(_opening(block) or "{}"),
            )
            for block in blocks
            if block.get("type") == "tool_use"
        ),
        usage=usage_of(usage),
        stop_reason=STOP_REASONS.get(native_stop) if native_stop else None,
        native_stop_reason=native_stop,
        stop_detail=_detail(message),
        complete=native_stop is not None,
        served_model=read.as_name(message.get("model")),
        served_lane=lane_of(usage),
        message_id=read.as_name(message.get("id")),
        inference_geo=geo_of(usage),
    )


def _detail(ended: Mapping[str, Any]) -> str:
    """Why the turn was refused, where that is said: `cyber: the request ...`."""
    details = read.as_dict(ended.get("stop_details"))
    parts = (read.as_name(details.get("category")), read.as_name(details.get("explanation")))
    return ": ".join(part for part in parts if part)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Counts as reported. `input_tokens` is uncached input already.

    The split of cache writes by lifetime is not sent by every door; writes outside the split count as the API's default
    lifetime, five minutes.
    """
    written = read.as_count(usage.get("cache_creation_input_tokens"))
    split = read.as_dict(usage.get("cache_creation"))
    five_minutes = read.as_count(split.get("ephemeral_5m_input_tokens"))
    hour = read.as_count(split.get("ephemeral_1h_input_tokens"))
    if written is not None:
        hour = min(hour or 0, written)
        five_minutes = written - hour
    counts = Usage(
        input_tokens=read.as_count(usage.get("input_tokens")),
        cache_read_tokens=read.as_count(usage.get("cache_read_input_tokens")),
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=hour,
        output_tokens=read.as_count(usage.get("output_tokens")),
        reasoning_tokens=read.as_count(read.as_dict(usage.get("output_tokens_details")).get("thinking_tokens")),
        source="provider",
    )
    return Usage() if counts == Usage(source="provider") else counts


def lane_of(usage: Mapping[str, Any]) -> str | None:
    """The service tier that served the request, with its speed and geography where they are named: `standard/us`.

    The speed has a word of its own (`standard/standard-speed`), or a request for speed fast that was served at the standard
    one would look like a reply that says nothing of its speed.
    """
    tier, speed = (read.as_name(usage.get(key)) for key in ("service_tier", "speed"))
    parts = (tier, STANDARD_SPEED if speed == "standard" else speed, geo_of(usage))
    return "/".join(part for part in parts if part) or None


def geo_of(usage: Mapping[str, Any]) -> str | None:
    """Where the inference was made, in the reply's own words."""
    geo = read.as_name(usage.get("inference_geo"))
    return geo if geo != "not_available" else None
