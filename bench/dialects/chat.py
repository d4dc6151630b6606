"""The chat dialect: OpenAI's Chat Completions, as spoken by OpenAI, gateways and the open model servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.errors import BenchError
from bench.record import Case, Exchange, Params, Reply, StopReason, ToolCall, Usage
from bench.targets import Target
from bench.wire import framing

name = "chat"

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "filtered",
}
TOOL_CHOICES = ("auto", "none", "required")
COMPATIBLE = "openai-compatible"
"""The door to servers of unknown make, which is given only what all of them know."""


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    problems = []
    if params.top_k is not None:
        problems.append("top_k: Chat Completions has none; for a server that knows it, set extra_body: {top_k: ...}")
    if params.thinking_budget_tokens is not None:
        problems.append(
            "thinking_budget_tokens: Chat Completions has none; set effort, or the server's own field in extra_body"
        )
    if params.cache_breakpoints:
        problems.append("cache_breakpoints: Chat Completions has none; its servers cache by prefix on their own")
    if params.cache_ttl is not None:
        problems.append("cache_ttl: Chat Completions has none; set the server's own field in extra_body")
    if isinstance(params.tool_choice, str) and params.tool_choice not in TOOL_CHOICES:
        problems.append(
            f"tool_choice: got {params.tool_choice!r}; want one of {', '.join(TOOL_CHOICES)}, or a function"
        )
    return problems


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request body. Keys stand in the order in which the official SDK writes them.

    BenchError when a setting cannot be carried: nothing is dropped in silence.
    """
    problems = unsupported(params)
    if problems:
        raise BenchError(f"{target.id}: " + "; ".join(problems))
    body: dict[str, Any] = {"model": target.deployment or target.model_id}
    if params.stream:
        body["stream"] = True
    if target.service_tier is not None:
        body["service_tier"] = target.service_tier
    body["messages"] = [dict(message) for message in case.messages]
    # OpenAI's reasoning models refuse the old name, and open servers exist that know only the old one.
    body["max_tokens" if target.provider == COMPATIBLE else "max_completion_tokens"] = params.max_tokens
    if params.effort is not None:
        body["reasoning_effort"] = params.effort
    if params.response_format is not None:
        body["response_format"] = dict(params.response_format)
    if params.seed is not None:
        body["seed"] = params.seed
    if params.stop:
        body["stop"] = list(params.stop)
    if params.stream:
        body["stream_options"] = {"include_usage": True}
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.tool_choice is not None:
        body["tool_choice"] = params.tool_choice
    if params.tools:
        body["tools"] = [dict(tool) for tool in params.tools]
    if params.top_p is not None:
        body["top_p"] = params.top_p
    return {**body, **params.extra_body}


# ------------------------------------------------------------------------------------------------ what comes back


def decode(exchange: Exchange) -> Reply:
    """What the exchange said, with the arrival times of its content. Keeps what a cut stream delivered; never raises.

    `complete` needs the model's own end, a finish reason, and the stream's: `[DONE]`, or a clean end of the response.
    Open servers and gateways exist that leave out `[DONE]`, which says nothing by itself; after a finish reason no
    content can be missing, while `[DONE]` without one is a stream that some proxy closed politely.
    """
    if exchange.status is not None and exchange.status >= 400:
        return Reply()
    pieces = read.plain_pieces(exchange)
    if read.form_of(exchange, pieces) == "json":
        return _decode_completion(b"".join([data for _, data in pieces]))
    return _decode_events(framing.sse_events(pieces), ended_cleanly=exchange.failure is None)


def _decode_events(events: list[tuple[int, bytes | None, bytes]], ended_cleanly: bool) -> Reply:
    texts: list[str] = []
    thoughts: list[str] = []
    content_ns: list[int] = []
    first_text_ns: int | None = None
    calls: dict[int, _Call] = {}
    usage: Any = None
    finish_reason: Any = None
    model: Any = None
    lane: Any = None
    message_id: Any = None
    fingerprint: Any = None
    error: bytes | None = None
    refused = done = False
    repeats = read.Repeats()
    told: list[str | None] = []  # of the events from `told_from` on: their text, where it is known without parsing
    told_from = 0

    for at, (arrived_ns, event_name, data) in enumerate(events):
        text = told[at - told_from] if told else None
        if text is not None:
            texts.append(text)
            content_ns.append(arrived_ns)
            continue
        if not data:
            continue
        if data.startswith(b"[DONE]"):
            done = True
            continue
        event = read.loads(data)
        if type(event) is not dict:
            error = error or read.malformed(data)
            continue
        if event.get("error") or event.get("object") == "error" or event_name == b"error":
            error = error or data
            continue
        model = event.get("model") or model
        lane = event.get("service_tier") or lane
        message_id = event.get("id") or message_id
        fingerprint = event.get("system_fingerprint") or fingerprint
        usage = event.get("usage") or usage
        choice = _first_choice(event)
        finish_reason = choice.get("finish_reason") or finish_reason
        delta = choice.get("delta")
        if type(delta) is not dict:
            continue

        # Two names for one thing: a server that sends both sends the same text twice.
        thought = delta.get("reasoning") or delta.get("reasoning_content")
        if thought and isinstance(thought, str):
            thoughts.append(thought)
            content_ns.append(arrived_ns)
        refusal = delta.get("refusal")
        text = delta.get("content") or refusal
        if text and isinstance(text, str):
            texts.append(text)
            content_ns.append(arrived_ns)
            if first_text_ns is None:
                first_text_ns = arrived_ns
            refused = refused or bool(refusal)
        else:
            text = None
        parts = delta.get("tool_calls")
        if parts:
            for position, part in enumerate(read.as_list(parts)):
                if _add_call(calls, read.as_dict(part), position):
                    content_ns.append(arrived_ns)
        more = thought or refusal or parts or choice.get("finish_reason") or event.get("usage")
        if text and not more and repeats.learn(b"content", text, data):
            told, told_from = repeats.texts_of([data for _, _, data in events[at + 1 :]]), at + 1

    native_stop = read.as_name(finish_reason)
    return Reply(
        text=read.clean("".join(texts)),
        reasoning=read.clean("".join(thoughts)),
        tool_calls=tuple([call.freeze() for call in calls.values()]),
        content_ns=tuple(content_ns),
        first_text_ns=first_text_ns,
        usage=usage_of(read.as_dict(usage)),
        stop_reason=_stop_reason(native_stop, refused),
        native_stop_reason=native_stop,
        complete=native_stop is not None and (done or ended_cleanly),
        error_body=error,
        served_model=read.as_name(model),
        served_lane=read.as_name(lane),
        message_id=read.as_name(message_id),
        fingerprint=read.as_name(fingerprint),
    )


class _Call:
    """A tool call in the making: its name comes once, its arguments in pieces."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []

    def freeze(self) -> ToolCall:
        return ToolCall(read.clean(self.id), read.clean(self.name), read.clean("".join(self.arguments) or "{}"))


def _add_call(calls: dict[int, _Call], part: dict[str, Any], position: int) -> bool:
    """Add one delta to its call; true when it carried arguments.

    Some servers leave out `index`: then a new id opens a call, and a delta without one continues the last.
    """
    given = read.as_text(part.get("id"))
    index = part.get("index")
    if not isinstance(index, int):
        if given:
            index = next((at for at, call in calls.items() if call.id == given), max(calls, default=-1) + 1)
        else:
            index = max(calls, default=position)
    call = calls.setdefault(index, _Call())
    function = read.as_dict(part.get("function"))
    call.id = given or call.id
    call.name = read.as_text(function.get("name")) or call.name
    arguments = read.as_text(function.get("arguments"))
    if arguments:
        call.arguments.append(arguments)
    return bool(arguments)


def _first_choice(event: dict[str, Any]) -> dict[str, Any]:
    """Choice 0. Chunks without choices exist: usage comes in one, and Azure opens with one."""
    choices = event.get("choices")
    if type(choices) is list:
        for choice in choices:
            if type(choice) is dict and not choice.get("index"):
                return choice
    return {}


def _stop_reason(native: str | None, refused: bool) -> StopReason | None:
    if native is None:
        return None
    reason = STOP_REASONS.get(native)
    return "refused" if refused and reason == "stop" else reason


def _decode_completion(data: bytes) -> Reply:
    """A reply that came whole. It has no arrival times: without streaming there is no first token to see."""
    completion = read.loads(data)
    if type(completion) is not dict:
        return Reply(error_body=data if isinstance(completion, list) else read.malformed(data))
    if completion.get("error") or completion.get("object") == "error":
        return Reply(error_body=data)
    choice = _first_choice(completion)
    message = read.as_dict(choice.get("message"))
    refusal = read.as_text(message.get("refusal"))
    native_stop = read.as_name(choice.get("finish_reason"))
    calls: dict[int, _Call] = {}
    for position, part in enumerate(read.as_list(message.get("tool_calls"))):
        _add_call(calls, {**read.as_dict(part), "index": position}, position)
    return Reply(
        text=read.clean(read.as_text(message.get("content")) or refusal),
        reasoning=read.clean(read.as_text(message.get("reasoning") or message.get("reasoning_content"))),
        tool_calls=tuple([call.freeze() for call in calls.values()]),
        usage=usage_of(read.as_dict(completion.get("usage"))),
        stop_reason=_stop_reason(native_stop, bool(refusal)),
        native_stop_reason=native_stop,
        complete=native_stop is not None,
        served_model=read.as_name(completion.get("model")),
        served_lane=read.as_name(completion.get("service_tier")),
        message_id=read.as_name(completion.get("id")),
        fingerprint=read.as_name(completion.get("system_fingerprint")),
    )


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Counts in our terms: `prompt_tokens` holds what was read from and written to the cache, and ours does not.

    Cache writes live for half an hour by default; they are counted with the short-lived ones.
    """
    prompt = read.as_count(usage.get("prompt_tokens"))
    prompt_details = read.as_dict(usage.get("prompt_tokens_details"))
    cached = read.as_count(prompt_details.get("cached_tokens"))
    written = read.as_count(prompt_details.get("cache_write_tokens"))
    apart = (cached or 0) + (written or 0)
    # Gateways exist that report cached tokens beside the prompt; a part larger than its whole shows it.
    uncached = prompt - apart if prompt is not None and prompt >= apart else prompt
    reasoning = read.as_count(read.as_dict(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if reasoning is None:
        reasoning = read.as_count(usage.get("reasoning_tokens"))
    counts = Usage(
        input_tokens=uncached,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=read.as_count(usage.get("completion_tokens")),
        reasoning_tokens=reasoning,
        source="provider",
    )
    return Usage() if counts == Usage(source="provider") else counts
