"""The Converse dialect: Bedrock's own language for every model, in AWS event-stream frames or whole.

Facts of the wire are those of botocore's service model of bedrock-runtime, 2023-09-30, as packaged with 1.44.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.dialects import claude, frames
from bench.dialects import converse_blocks as blocks
from bench.errors import BenchError
from bench.record import Case, Exchange, Params, Reply, StopReason, ToolCall, Usage
from bench.targets import Target
from bench.wire import framing

name = "converse"

STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool",
    "guardrail_intervened": "filtered",
    "content_filtered": "filtered",
    "malformed_model_output": "malformed",
    "malformed_tool_use": "malformed",
    "model_context_window_exceeded": "context",
}
EXTRA = frozenset({
    "additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "performanceConfig",
    "promptVariables", "requestMetadata", "serviceTier",
})  # fmt: skip
"""Fields of the body that are no setting of ours, and so may come from `extra_body`."""
OURS = frozenset({"thinking", "top_k", "output_config", "reasoning_config", "tool_choice", "anthropic_version"})
"""Fields of the model inside `additionalModelRequestFields` that would pass the checks of our settings unseen."""


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    problems = []
    if params.seed is not None:
        problems.append("seed: Converse has none; leave it out")
    if params.temperature is not None and not 0 <= params.temperature <= 1:
        problems.append(f"temperature: got {params.temperature}; want 0 to 1")
    if params.effort is not None and params.effort not in claude.EFFORTS:
        problems.append(f"effort: got {params.effort!r}; want one of {', '.join(claude.EFFORTS)}")
    problems += claude.unfit_budget(params)
    problems += claude.unfit_cache_or_format(params)
    return problems + _unsupported_tools(params) + _unsupported_extra(params.extra_body)


def degraded(params: Params) -> list[str]:
    """Nothing: what Converse cannot carry is refused."""
    return []


def _unsupported_tools(params: Params) -> list[str]:
    problems = []
    for each in params.tools:
        found = claude.tool(each)
        if found is None:
            problems.append(f"tools: got type {each.get('type')!r}; want a function with a name and parameters")
        elif found.keys() - blocks.TOOL_KEYS:
            more = ", ".join(sorted(found.keys() - blocks.TOOL_KEYS))
            problems.append(f"tools: {found['name']} has {more}, for which Converse has no words; leave it out")
    if params.tool_choice is not None:
        choice = claude.tool_choice(params.tool_choice)
        if choice is None or blocks.tool_choice(choice) is None:
            problems.append(
                f"tool_choice: got {params.tool_choice!r}; want auto, required, or a function by its name"
                " (for none, leave out the tools: Converse has no word for it)"
            )
        elif not params.tools:
            problems.append("tool_choice: there are no tools to choose from; leave it out")
    return problems


def _unsupported_extra(extra: Mapping[str, Any]) -> list[str]:
    problems = [
        f"extra_body.{key}: Converse has no such field of its own; a field of the model goes into"
        " extra_body: {additionalModelRequestFields: ...}"
        for key in extra
        if key not in EXTRA
    ]
    inner = extra.get("additionalModelRequestFields", {})
    if not isinstance(inner, Mapping):
        return [*problems, "extra_body.additionalModelRequestFields: want a mapping"]
    return problems + [
        f"extra_body.additionalModelRequestFields.{key}: use the setting of that purpose instead"
        for key in inner
        if key in OURS
    ]


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request, in the words of the official SDK's arguments. `modelId` and `stream` are told by its address: the
    door takes them out of the body.

    BenchError when a setting or a part of the conversation cannot be carried: nothing is dropped in silence.
    """
    problems = unsupported(params)
    if problems:
        raise BenchError(f"{target.id}: " + "; ".join(problems))
    system, messages = claude.conversation(case)
    tools = [tool for tool in (claude.tool(each) for each in params.tools) if tool is not None]
    if params.cache_breakpoints:
        mark = {"type": "ephemeral"} if params.cache_ttl is None else {"type": "ephemeral", "ttl": params.cache_ttl}
        claude.mark_cache(params.cache_breakpoints, mark, tools, system, messages)

    settings: dict[str, Any] = {"maxTokens": params.max_tokens}
    if params.temperature is not None:
        settings["temperature"] = params.temperature
    if params.top_p is not None:
        settings["topP"] = params.top_p
    if params.stop:
        settings["stopSequences"] = list(params.stop)
    of_model: dict[str, Any] = {}
    if params.thinking_budget_tokens == 0:
        of_model["thinking"] = {"type": "disabled"}
    elif params.thinking_budget_tokens is not None:
        of_model["thinking"] = {"type": "enabled", "budget_tokens": params.thinking_budget_tokens}
    if params.top_k is not None:
        of_model["top_k"] = params.top_k
    of_model.update(params.extra_body.get("additionalModelRequestFields", {}))
    output: dict[str, Any] = {}
    if params.response_format is not None and params.response_format.get("type") == "json_schema":
        output["textFormat"] = {
            "type": "json_schema",
            "structure": {"jsonSchema": _json_schema(params.response_format["json_schema"])},
        }
    if params.effort is not None:
        output["effort"] = params.effort

    body: dict[str, Any] = {"modelId": target.deployment or target.model_id}
    if params.stream:
        body["stream"] = True
    body["messages"] = blocks.turns(case, messages)
    if system:
        body["system"] = blocks.blocks(case, system)
    body["inferenceConfig"] = settings
    if tools:
        body["toolConfig"] = {
            "tools": [entry for tool in tools for entry in (blocks.tool(tool), *blocks.cache_point(tool))]
        }
        if params.tool_choice is not None:
            body["toolConfig"]["toolChoice"] = blocks.tool_choice(claude.tool_choice(params.tool_choice) or {})
    if of_model:
        body["additionalModelRequestFields"] = of_model
    if target.service_tier is not None:
        body["serviceTier"] = {"type": target.service_tier}
    if output:
        body["outputConfig"] = output
    return {**body, **{k: v for k, v in params.extra_body.items() if k != "additionalModelRequestFields"}}


def _json_schema(given: Mapping[str, Any]) -> dict[str, Any]:
    """Converse takes the schema as JSON in a string."""
    schema = json.dumps(given["schema"], ensure_ascii=False, separators=(",", ":"))
    return {"schema": schema, **{key: given[key] for key in ("name", "description") if given.get(key)}}


# ------------------------------------------------------------------------------------------------ what comes back


def decode(exchange: Exchange) -> Reply:
    """What the exchange said, with the arrival times of its content. Keeps what a cut stream delivered; never raises.

    `complete` means that a stop reason came, and after it the `metadata` event, which is the last one and has the usage.
    """
    if exchange.status is not None and exchange.status >= 400:
        return Reply()
    pieces = read.plain_pieces(exchange)
    if read.form_of(exchange, pieces) == "aws":
        return _decode_frames(*framing.event_stream_messages(pieces))
    return _decode_whole(b"".join([data for _, data in pieces]))


def _decode_frames(messages: list[framing.EventStreamMessage], said: str | None) -> Reply:
    error = frames.broken(said)
    texts: list[str] = []
    thoughts: list[str] = []
    content_ns: list[int] = []
    first_text_ns: int | None = None
    calls: dict[Any, tuple[str, str, list[str]]] = {}
    usage: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    native_stop: str | None = None
    ended = False
    delta_headers: dict[str, str] | None = None  # messages with equal headers share one dict
    loads = read.loads

    for arrived_ns, headers, payload in messages:
        if headers is delta_headers:
            kind = "contentBlockDelta"
        else:
            if headers.get(":message-type", "event") != "event":
                error = error or frames.error_of(headers, payload)
                continue
            kind = headers.get(":event-type", "")
            if kind == "contentBlockDelta":
                delta_headers = headers
        event = loads(payload)
        if type(event) is not dict:
            error = error or read.malformed(payload)
            continue
        if kind == "contentBlockDelta":
            delta = event.get("delta")
            if type(delta) is not dict:
                continue
            text = delta.get("text")
            if text:
                if type(text) is str:
                    texts.append(text)
                    content_ns.append(arrived_ns)
                    if first_text_ns is None:
                        first_text_ns = arrived_ns
            elif "reasoningContent" in delta:
                thought = read.as_text(read.as_dict(delta["reasoningContent"]).get("text"))
                if thought:
                    thoughts.append(thought)
                    content_ns.append(arrived_ns)
            elif "toolUse" in delta:
                arguments = read.as_text(read.as_dict(delta["toolUse"]).get("input"))
                if arguments:
                    content_ns.append(arrived_ns)
                    index = event.get("contentBlockIndex")
                    if isinstance(index, int) and index in calls:
                        calls[index][2].append(arguments)
        elif kind == "contentBlockStart":
            tool = read.as_dict(read.as_dict(event.get("start")).get("toolUse"))
            index = event.get("contentBlockIndex")
            if tool and tool.get("type") != "server_tool_use" and isinstance(index, int):
                calls[index] = (read.as_text(tool.get("toolUseId")), read.as_text(tool.get("name")), [])
        elif kind == "messageStop":
            native_stop = read.as_name(event.get("stopReason")) or native_stop
        elif kind == "metadata":
            ended = True
            metadata.update({key: value for key, value in event.items() if value is not None})
            usage.update({key: value for key, value in read.as_dict(event.get("usage")).items() if value is not None})

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
        complete=ended and native_stop is not None,
        error_body=error,
        served_model=_model_of(metadata),
        served_lane=lane_of(metadata),
    )


def _decode_whole(data: bytes) -> Reply:
    """A reply that came whole. It has no arrival times: without streaming there is no first token to see."""
    if not data:
        return Reply()
    said = read.loads(data)
    if type(said) is not dict:
        return Reply(error_body=data if isinstance(said, list) else read.malformed(data))
    if not isinstance(said.get("output"), dict):
        return Reply(error_body=data)
    message = read.as_dict(said["output"].get("message"))
    content = [read.as_dict(block) for block in read.as_list(message.get("content"))]
    tools = [read.as_dict(block["toolUse"]) for block in content if "toolUse" in block]
    native_stop = read.as_name(said.get("stopReason"))
    return Reply(
        text=read.clean("".join([_text(block) for block in content])),
        reasoning=read.clean("".join([_thought(block) for block in content])),
        tool_calls=tuple(
            ToolCall(
                read.clean(read.as_text(tool.get("toolUseId"))),
                read.clean(read.as_text(tool.get("name"))),
                read.clean(_json(tool.get("input") or {})),
            )
            for tool in tools
            if tool.get("type") != "server_tool_use"
        ),
        usage=usage_of(read.as_dict(said.get("usage"))),
        stop_reason=STOP_REASONS.get(native_stop) if native_stop else None,
        native_stop_reason=native_stop,
        complete=native_stop is not None,
        served_model=_model_of(said),
        served_lane=lane_of(said),
    )


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # nested deeper than anything that a tool takes
        return "{}"


def _text(block: dict[str, Any]) -> str:
    """The visible text of a block; with citations on, text comes inside a block of cited parts."""
    cited = read.as_list(read.as_dict(block.get("citationsContent")).get("content"))
    return read.as_text(block.get("text")) + "".join([read.as_text(read.as_dict(one).get("text")) for one in cited])


def _thought(block: dict[str, Any]) -> str:
    return read.as_text(read.as_dict(read.as_dict(block.get("reasoningContent")).get("reasoningText")).get("text"))


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Counts as reported. `inputTokens` is uncached input already; reasoning is counted in the output, never apart.

    Writes outside the split by lifetime count as the API's default lifetime, five minutes.
    """
    written = read.as_count(usage.get("cacheWriteInputTokens"))
    split: dict[Any, int] = {}
    for detail in map(read.as_dict, read.as_list(usage.get("cacheDetails"))):
        ttl, tokens = read.as_text(detail.get("ttl")), read.as_count(detail.get("inputTokens"))
        if tokens is not None:
            split[ttl] = split.get(ttl, 0) + tokens
    five_minutes, hour = read.as_count(split.get("5m")), read.as_count(split.get("1h"))
    if written is not None:
        hour = min(hour or 0, written)
        five_minutes = written - hour
    counts = Usage(
        input_tokens=read.as_count(usage.get("inputTokens")),
        cache_read_tokens=read.as_count(usage.get("cacheReadInputTokens")),
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=hour,
        output_tokens=read.as_count(usage.get("outputTokens")),
        source="provider",
    )
    return Usage() if counts == Usage(source="provider") else counts


def lane_of(said: Mapping[str, Any]) -> str | None:
    """The service tier that served the request, with its latency where that is not the standard one: `default/optimized`."""
    tier = read.as_name(read.as_dict(said.get("serviceTier")).get("type"))
    latency = read.as_name(read.as_dict(said.get("performanceConfig")).get("latency"))
    return "/".join(part for part in (tier, latency if latency != "standard" else None) if part) or None


def _model_of(said: Mapping[str, Any]) -> str | None:
    """The model that a prompt router chose; no other reply names its model."""
    router = read.as_dict(read.as_dict(said.get("trace")).get("promptRouter"))
    return read.as_name(router.get("invokedModelId"))
