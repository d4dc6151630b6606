"""The Responses dialect: OpenAI's newer API, whose reply is a list of items and whose stream is told by typed events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from bench.dialects import body as read
from bench.dialects import openai_api, openai_form
from bench.dialects.responses_input import items
from bench.errors import BenchError
from bench.record import Case, Exchange, Params, Reply, StopReason, ToolCall
from bench.targets import Target
from bench.wire import framing

name = "responses"

API = "the Responses API"
STOP_REASONS: Mapping[str, StopReason] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "content_filter": "filtered",
}


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    problems = openai_api.unsupported(params, API)
    if params.seed is not None:
        problems.append(f"seed: {API} has none; leave it out, or use the dialect chat")
    if params.stop:
        problems.append(f"stop: {API} has none; leave it out, or use the dialect chat")
    return problems


def degraded(params: Params) -> list[str]:
    """Every setting that is left out because the server has its own way, each with what that means for a comparison."""
    return openai_api.degraded(params, API)


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request body. Keys stand in the order in which the official SDK writes them.

    The reply is not to be stored by the provider, as with every other dialect. BenchError when a setting or a part of
    the conversation cannot be carried: nothing is dropped in silence, and `degraded` says what is left out.
    """
    problems = unsupported(params)
    if problems:
        raise BenchError(f"{target.id}: " + "; ".join(problems))
    body: dict[str, Any] = {"model": target.deployment or target.model_id}
    if params.stream:
        body["stream"] = True
    if target.service_tier is not None:
        body["service_tier"] = target.service_tier
    body["input"] = items(case)
    body["max_output_tokens"] = params.max_tokens
    if params.effort is not None:
        body["reasoning"] = {"effort": params.effort}
    body["store"] = False
    if params.stream and target.provider == openai_api.FIRST_PARTY:
        body["stream_options"] = {"include_obfuscation": False}
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.response_format is not None:
        body["text"] = {"format": _format(params.response_format)}
    if params.tool_choice is not None:
        forced = openai_form.forced(params.tool_choice)
        body["tool_choice"] = params.tool_choice if forced is None else {"type": "function", "name": forced}
    if params.tools:
        body["tools"] = [_tool(tool) for tool in params.tools]
    if params.top_p is not None:
        body["top_p"] = params.top_p
    return openai_api.with_extra(body, params.extra_body)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function tool, flat. `strict` is true here unless told otherwise, and false in the chat form: it is always said."""
    function = openai_form.function_of(tool) or {}
    return {"type": "function", **{"parameters": None, "strict": False}, **function}


def _format(response_format: Mapping[str, Any]) -> dict[str, Any]:
    """The format of the text, flat."""
    inner = response_format.get("json_schema")
    rest = {key: value for key, value in response_format.items() if key != "json_schema"}
    return {**rest, **inner} if isinstance(inner, Mapping) else rest


# ------------------------------------------------------------------------------------------------ what comes back


def decode(exchange: Exchange) -> Reply:
    """What the exchange said, with the arrival times of its content. Keeps what a cut stream delivered; never raises.

    `complete` means that the response's own end was seen (`response.completed` or `response.incomplete`): the SDK ends in
    silence on a stream that lacks it. A failed response is not complete, and its error is handed on.
    """
    if exchange.status is not None and exchange.status >= 400:
        return Reply()
    pieces = read.plain_pieces(exchange)
    if read.form_of(exchange, pieces) == "json":
        return _decode_response(b"".join([data for _, data in pieces]))
    said = _Said()
    for arrived_ns, event_name, data in zip(*framing.sse_events(pieces), strict=True):
        said.hear(arrived_ns, event_name, data)
    return said.reply()


class _Said:
    """A reply in the making. Events hold a number of their own, so none equals another: each is parsed.

    Of most events a server sends both parts (deltas) and, at the end, the whole (`done`); the whole is read only where
    no part came before it, since servers exist that send no parts of calls.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.content_ns: list[int] = []
        self.first_text_ns: int | None = None
        self.calls: dict[Any, _Call] = {}
        self.parts_seen: set[tuple[str, Any, Any]] = set()
        self.place: Any = None
        self.response: dict[str, Any] = {}
        self.ended: str | None = None
        self.refused = False
        self.error: bytes | None = None

    def hear(self, arrived_ns: int, event_name: bytes | None, data: bytes) -> None:
        if not data or data.startswith(b"[DONE]"):
            return
        event = read.loads(data)
        if type(event) is not dict:
            self.error = self.error or read.malformed(data)
            return
        kind = event.get("type")
        if kind == "response.output_text.delta":  # nearly all of them
            text = event.get("delta")
            if text and type(text) is str:
                self.texts.append(text)
                self.content_ns.append(arrived_ns)
                place = (event.get("output_index"), event.get("content_index"))
                if place != self.place:
                    self.place = place
                    self._text_at(arrived_ns, event)
            return
        if not isinstance(kind, str):
            kind = (event_name or b"").decode("utf-8", "replace")
        act = _EVENTS.get(kind)
        if act is not None:
            act(self, arrived_ns, event)
        elif event.get("error"):  # a gateway's error, in the words of Chat Completions
            self.error = self.error or data

    # -- text, refusals, reasoning

    def _text(self, arrived_ns: int, event: dict[str, Any], text: Any) -> None:
        if not text or not isinstance(text, str):
            return
        self.texts.append(text)
        self.content_ns.append(arrived_ns)
        self._text_at(arrived_ns, event)

    def _text_at(self, arrived_ns: int, event: dict[str, Any]) -> None:
        if self.first_text_ns is None:
            self.first_text_ns = arrived_ns
        self.parts_seen.add(_place("text", event))

    def text_done(self, arrived_ns: int, event: dict[str, Any]) -> None:
        if _place("text", event) not in self.parts_seen:
            self._text(arrived_ns, event, event.get("text"))

    def refusal(self, arrived_ns: int, event: dict[str, Any]) -> None:
        self.refused = True
        self._text(arrived_ns, event, event.get("delta"))

    def refusal_done(self, arrived_ns: int, event: dict[str, Any]) -> None:
        self.refused = True
        if _place("text", event) not in self.parts_seen:
            self._text(arrived_ns, event, event.get("refusal"))

    def thought(self, arrived_ns: int, event: dict[str, Any]) -> None:
        text = event.get("delta")
        if text and isinstance(text, str):
            self.thoughts.append(text)
            self.content_ns.append(arrived_ns)
            self.parts_seen.add(_place("thought", event))

    def thought_done(self, arrived_ns: int, event: dict[str, Any]) -> None:
        if _place("thought", event) not in self.parts_seen:
            self.thought(arrived_ns, {**event, "delta": event.get("text")})

    # -- function calls

    def item(self, arrived_ns: int, event: dict[str, Any]) -> None:
        """An item begins or ends. A call is named when it begins, mostly with empty arguments."""
        item = read.as_dict(event.get("item"))
        if item.get("type") != "function_call":
            return
        call = self._call(event)
        call.id = call.id or read.as_text(item.get("call_id")) or read.as_text(item.get("id"))
        call.name = call.name or read.as_text(item.get("name"))
        self._whole_arguments(arrived_ns, call, item.get("arguments"))

    def arguments(self, arrived_ns: int, event: dict[str, Any]) -> None:
        arguments = read.as_text(event.get("delta"))
        if arguments:
            self._call(event).arguments.append(arguments)
            self.content_ns.append(arrived_ns)

    def arguments_done(self, arrived_ns: int, event: dict[str, Any]) -> None:
        call = self._call(event)
        call.name = call.name or read.as_text(event.get("name"))
        self._whole_arguments(arrived_ns, call, event.get("arguments"))

    def _whole_arguments(self, arrived_ns: int, call: _Call, arguments: Any) -> None:
        if not call.arguments and arguments and isinstance(arguments, str):
            call.arguments.append(arguments)
            self.content_ns.append(arrived_ns)

    def _call(self, event: dict[str, Any]) -> _Call:
        """The call at this place of the output."""
        return self.calls.setdefault(read.as_count(event.get("output_index")), _Call())

    # -- the response itself

    def began(self, arrived_ns: int, event: dict[str, Any]) -> None:
        """What the response says of itself on the way; its end says it again, with the counts."""
        told = read.as_dict(event.get("response"))
        self.response = {**self.response, **{key: value for key, value in told.items() if value is not None}}

    def over(self, arrived_ns: int, event: dict[str, Any]) -> None:
        self.began(arrived_ns, event)
        self.ended = read.as_text(event.get("type")).removeprefix("response.")
        if self.ended == "failed":
            self.error = self.error or _error_of(self.response)

    def broke(self, arrived_ns: int, event: dict[str, Any]) -> None:
        inner = event.get("error")
        self.error = self.error or _error(inner if isinstance(inner, dict) else event)

    def reply(self) -> Reply:
        told = self.response
        native_stop = _native_stop(told, self.ended)
        return Reply(
            text=read.clean("".join(self.texts)),
            reasoning=read.clean("".join(self.thoughts)),
            tool_calls=tuple([call.freeze() for call in self.calls.values()]),
            content_ns=tuple(self.content_ns),
            first_text_ns=self.first_text_ns,
            usage=openai_api.usage_of(read.as_dict(told.get("usage"))),
            stop_reason=_stop_reason(native_stop, bool(self.calls), self.refused),
            native_stop_reason=native_stop,
            complete=self.ended in ("completed", "incomplete"),
            error_body=self.error,
            served_model=read.as_name(told.get("model")),
            served_lane=_lane(told.get("service_tier")),
            message_id=read.as_name(told.get("id")),
        )


_EVENTS: Mapping[str, Any] = {
    "response.output_text.done": _Said.text_done,
    "response.refusal.delta": _Said.refusal,
    "response.refusal.done": _Said.refusal_done,
    "response.reasoning_summary_text.delta": _Said.thought,
    "response.reasoning_summary_text.done": _Said.thought_done,
    "response.reasoning_text.delta": _Said.thought,
    "response.reasoning_text.done": _Said.thought_done,
    "response.output_item.added": _Said.item,
    "response.output_item.done": _Said.item,
    "response.function_call_arguments.delta": _Said.arguments,
    "response.function_call_arguments.done": _Said.arguments_done,
    "response.queued": _Said.began,
    "response.created": _Said.began,
    "response.in_progress": _Said.began,
    "response.completed": _Said.over,
    "response.incomplete": _Said.over,
    "response.failed": _Said.over,
    "error": _Said.broke,
}
"""What is read of a stream; every other event (annotations, searches, what is new) says nothing that is measured."""


class _Call:
    """A function call in the making."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []

    def freeze(self) -> ToolCall:
        return ToolCall(read.clean(self.id), read.clean(self.name), read.clean("".join(self.arguments) or "{}"))


def _place(what: str, event: dict[str, Any]) -> tuple[str, Any, Any]:
    """Where in the output a part stands."""
    inner = event.get("content_index", event.get("summary_index"))
    return what, read.as_count(event.get("output_index")), read.as_count(inner)


def _native_stop(response: Mapping[str, Any], ended: str | None) -> str | None:
    """Why it ended, in the API's words: the reason of an incomplete response, else its final status."""
    status = ended or read.as_name(response.get("status"))
    if status not in ("completed", "incomplete", "failed", "cancelled"):
        return None
    if status == "incomplete":
        return read.as_name(read.as_dict(response.get("incomplete_details")).get("reason")) or status
    return status


def _stop_reason(native: str | None, called: bool, refused: bool) -> StopReason | None:
    if native is None:
        return None
    reason = STOP_REASONS.get(native)
    if reason == "stop":
        return "refused" if refused else "tool" if called else reason
    return reason


def _lane(tier: Any) -> str | None:
    """The tier that served the request. `auto` is what was asked for, echoed before it is decided."""
    return None if tier == "auto" else read.as_name(tier)


def _error_of(response: Mapping[str, Any]) -> bytes:
    return _error(read.as_dict(response.get("error")))


def _error(error: Mapping[str, Any]) -> bytes:
    """An error of a stream, in the envelope of an error response."""
    told = {key: read.clean(error[key]) for key in ("message", "type", "code", "param") if read.as_name(error.get(key))}
    if told.get("type") == "error":  # that is the name of the event
        del told["type"]
    return orjson.dumps({"error": told or {"code": "server_error", "message": "it failed and gives no reason"}})


def _decode_response(data: bytes) -> Reply:
    """A reply that came whole. It has no arrival times: without streaming there is no first token to see."""
    response = read.loads(data)
    if type(response) is not dict:
        return Reply(error_body=data if isinstance(response, list) else read.malformed(data))
    if response.get("object") != "response" and response.get("error"):
        return Reply(error_body=data)
    said = _Said()
    for index, item in enumerate(map(read.as_dict, read.as_list(response.get("output")))):
        if item.get("type") == "function_call":
            said.item(0, {"output_index": index, "item": item})
        for at, part in enumerate(map(read.as_dict, read.as_list(item.get("content")))):
            place = {"output_index": index, "content_index": at}
            if part.get("type") == "output_text":
                said.text_done(0, {**place, "text": part.get("text")})
            elif part.get("type") == "refusal":
                said.refusal_done(0, {**place, "refusal": part.get("refusal")})
            elif item.get("type") == "reasoning":
                said.thought_done(0, {**place, "text": part.get("text")})
        for at, part in enumerate(map(read.as_dict, read.as_list(item.get("summary")))):
            said.thought_done(0, {"output_index": index, "summary_index": at, "text": part.get("text")})
    said.over(0, {"type": f"response.{read.as_text(response.get('status'))}", "response": response})
    whole = said.reply()
    return replace(whole, content_ns=(), first_text_ns=None)
