"""The chat dialect: OpenAI's Chat Completions, as spoken by OpenAI, gateways and the open model servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.dialects import openai_api, openai_form
from bench.dialects.openai_api import usage_of
from bench.errors import BenchError
from bench.record import Case, Exchange, Params, Reply, StopReason, ToolCall
from bench.targets import Target
from bench.wire import framing

name = "chat"

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "filtered",
    "eos_token": "stop",  # Text Generation Inference
    "stop_sequence": "stop_sequence",
    "model_length": "context",  # Mistral
}
API = "Chat Completions"
COMPATIBLE = "openai-compatible"
"""The door to servers of unknown make, which is given only what all of them know."""


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    return openai_api.unsupported(params, API)


def degraded(params: Params) -> list[str]:
    """Every setting that is left out because the server has its own way, each with what that means for a comparison."""
    return openai_api.degraded(params, API)


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request body. Keys stand in the order in which the official SDK writes them.

    BenchError when a setting cannot be carried: nothing is dropped in silence, and `degraded` says what is left out.
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
        if target.provider == openai_api.FIRST_PARTY:
            body["stream_options"]["include_obfuscation"] = False
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.tool_choice is not None:
        name = openai_form.forced(params.tool_choice)
        body["tool_choice"] = params.tool_choice if name is None else {"type": "function", "function": {"name": name}}
    if params.tools:
        body["tools"] = [dict(tool) for tool in params.tools]
    if params.top_p is not None:
        body["top_p"] = params.top_p
    return openai_api.with_extra(body, params.extra_body)


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


def _decode_events(events: framing.SseEvents, ended_cleanly: bool) -> Reply:
    arrivals_ns, names, datas = events
    unread = read.Unread(arrivals_ns, datas)
    texts, content_ns = unread.texts, unread.content_ns
    thoughts: list[str] = []
    first_text_ns: int | None = None
    calls = _Calls()
    usage: Any = None
    finish_reason: Any = None
    model: Any = None
    lane: Any = None
    message_id: Any = None
    fingerprint: Any = None
    error: bytes | None = None
    refused = done = False

    for at in unread:
        arrived_ns, data = arrivals_ns[at], datas[at]
        if not data:
            continue
        if data.startswith(b"[DONE]"):
            done = True
            continue
        event = read.loads(data)
        if type(event) is not dict:
            error = error or read.malformed(data)
            continue
        if event.get("error") or event.get("object") == "error" or names[at] == b"error":
            error = error or data
            continue
        model = event.get("model") or model
        lane = event.get("service_tier") or lane
        message_id = event.get("id") or message_id
        fingerprint = event.get("system_fingerprint") or fingerprint
        choice = _first_choice(event)
        used = _usage(event, choice)
        usage = used or usage
        finish_reason = choice.get("finish_reason") or finish_reason
        delta = choice.get("delta")
        if type(delta) is not dict:
            continue

        # Two names for one thing: a server that sends both sends the same text twice.
        thought = delta.get("reasoning") or delta.get("reasoning_content")
        refusal = delta.get("refusal")
        text = delta.get("content") or refusal
        if type(text) is list:
            text, thought_part = _parts(text)
            thought = thought or thought_part
        if thought and isinstance(thought, str):
            thoughts.append(thought)
            content_ns.append(arrived_ns)
        if text and isinstance(text, str):
            texts.append(text)
            content_ns.append(arrived_ns)
            if first_text_ns is None:
                first_text_ns = arrived_ns
            refused = refused or bool(refusal)
        else:
            text = None
        parts = _calls_in(delta)
        content_ns += [arrived_ns for part in parts if calls.add(part)]
        more = thought or refusal or parts or choice.get("finish_reason") or used
        if text and not more:
            unread.learn(b"content", text)

    native_stop = read.as_name(finish_reason)
    return Reply(
        text=read.clean("".join(texts)),
        reasoning=read.clean("".join(thoughts)),
        tool_calls=calls.freeze(),
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


class _Calls:
    """The tool calls of a reply, told apart by what each server gives.

    OpenAI numbers them. Some servers leave the number out: then ids tell calls apart, and where there are none either,
    a name opens a call. Google's numbers every call 0 and gives ids. Others gave every delta of one call an id of its
    own, but the name only once.
    """

    def __init__(self) -> None:
        self.all: list[_Call] = []
        self.by_index: dict[int, _Call] = {}
        self.by_id: dict[str, _Call] = {}

    def add(self, part: dict[str, Any]) -> bool:
        """Add one delta to its call, or open one; true when it carried arguments."""
        function = read.as_dict(part.get("function"))
        index, id, name = part.get("index"), read.as_text(part.get("id")), read.as_text(function.get("name"))
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # some servers send the object itself, not its JSON
            arguments = json.dumps(arguments, ensure_ascii=False)
        arguments = read.as_text(arguments)

        call: _Call | None
        if isinstance(index, int):
            call = self.by_index.get(index)
            if call is not None and name and call.name and id and call.id and id != call.id:
                call = None
        elif id:
            call = self.by_id.get(id)
        else:
            call = self.all[-1] if self.all else None
            if call is not None and name and call.name and (name != call.name or arguments.lstrip().startswith("{")):
                call = None
        if call is None:
            call = _Call()
            self.all.append(call)
        if isinstance(index, int):
            self.by_index[index] = call
        if id:
            self.by_id[id] = call
        call.id, call.name = call.id or id, call.name or name
        if arguments:
            call.arguments.append(arguments)
        return bool(arguments)

    def freeze(self) -> tuple[ToolCall, ...]:
        return tuple([call.freeze() for call in self.all])


def _calls_in(holder: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool calls of a delta or of a message, also by the name they had before there could be several."""
    calls = [read.as_dict(call) for call in read.as_list(holder.get("tool_calls"))]
    legacy = holder.get("function_call")
    return [*calls, {"index": 0, "function": legacy}] if isinstance(legacy, dict) else calls


def _parts(content: list[Any]) -> tuple[str, str]:
    """Text and reasoning of a content in parts, as Mistral's servers send it."""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in map(read.as_dict, content):
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            steps = [read.as_dict(step).get("text") for step in inner] if isinstance(inner, list) else [inner]
            thoughts += map(read.as_text, steps)
        else:
            texts.append(read.as_text(part.get("text")))
    return "".join(texts), "".join(thoughts)


def _usage(event: dict[str, Any], choice: dict[str, Any]) -> Any:
    """The counts of an event: beside its choices, inside the choice (Moonshot), or under Groq's own key."""
    return event.get("usage") or choice.get("usage") or read.as_dict(event.get("x_groq")).get("usage")


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
    calls = _Calls()
    for index, part in enumerate(_calls_in(message)):
        calls.add({**part, "index": index})
    text, thought = _parts(content) if isinstance(content := message.get("content"), list) else (content, "")
    return Reply(
        text=read.clean(read.as_text(text) or refusal),
        reasoning=read.clean(read.as_text(message.get("reasoning") or message.get("reasoning_content") or thought)),
        tool_calls=calls.freeze(),
        usage=usage_of(read.as_dict(_usage(completion, choice))),
        stop_reason=_stop_reason(native_stop, bool(refusal)),
        native_stop_reason=native_stop,
        complete=native_stop is not None,
        served_model=read.as_name(completion.get("model")),
        served_lane=read.as_name(completion.get("service_tier")),
        message_id=read.as_name(completion.get("id")),
        fingerprint=read.as_name(completion.get("system_fingerprint")),
    )
