"""The Gemini dialect: Google's generateContent, in server-sent events or as one JSON object.

A body is spelled as google-genai spells it: some inner keys in snake case, parts before their role. Google's JSON takes
both spellings. `model` and `stream` are no part of this language: they tell the door the address to send to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.dialects import contents
from bench.errors import BenchError
from bench.record import Case, Exchange, Params, Reply, StopReason, ToolCall, Usage
from bench.targets import Target
from bench.wire import framing

name = "gemini"

STOP_REASONS: Mapping[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "filtered",
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
        ),
        "malformed",
    ),
}  # fmt: skip
EFFORTS = ("none", "minimal", "low", "medium", "high")
UNSPECIFIED = ("FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED", "TRAFFIC_TYPE_UNSPECIFIED")


# ------------------------------------------------------------------------------------------------ what goes out


def unsupported(params: Params) -> list[str]:
    """Every setting that this dialect cannot carry, each with what to do. Empty when nothing would be dropped."""
    problems = []
    if params.effort is not None and params.effort not in EFFORTS:
        problems.append(f"effort: got {params.effort!r}; want one of {', '.join(EFFORTS)}")
    if params.thinking_budget_tokens is not None and params.thinking_budget_tokens < 0:
        problems.append(f"thinking_budget_tokens: got {params.thinking_budget_tokens}; want 0 or more")
    if params.effort is not None and params.thinking_budget_tokens is not None:
        problems.append("effort: both it and thinking_budget_tokens, of which Gemini takes one; leave one out")
    if params.response_format is not None:
        kind = params.response_format.get("type")
        wanting = kind == "json_schema" and _schema(params.response_format) is None
        if kind not in ("text", "json_object", "json_schema") or wanting:
            problems.append(
                f"response_format: got type {kind!r}; want text, json_object, or json_schema with its schema"
            )
    problems += [
        f"tools: got type {tool.get('type')!r}; want a function with a name and parameters"
        for tool in params.tools
        if contents.declaration(tool) is None
    ]
    problems += [
        f"tools: {tool['function']['name']} has strict, for which Gemini has no word; leave it out"
        for tool in params.tools
        if contents.declaration(tool) is not None and tool["function"].get("strict")
    ]
    if params.tool_choice is not None and contents.calling_config(params.tool_choice) is None:
        problems.append(
            f"tool_choice: got {params.tool_choice!r}; want auto, none, required, or a function by its name"
        )
    return problems


def degraded(params: Params) -> list[str]:
    """Every setting that is not sent because this language has no word for it, though nothing is asked for in vain."""
    asked = [key for key in ("cache_breakpoints", "cache_ttl") if getattr(params, key)]
    if not asked:
        return []
    return [f"{' and '.join(asked)}: not sent; Gemini caches prefixes by itself, and nothing in a request marks them"]


def encode(case: Case, params: Params, target: Target) -> dict[str, Any]:
    """The request body. Keys stand in the order in which the official SDK writes them.

    BenchError when a setting or a part of the conversation cannot be carried: nothing is dropped in silence.
    """
    problems = unsupported(params)
    if problems:
        raise BenchError(f"{target.id}: " + "; ".join(problems))
    system, turns = contents.conversation(case)
    body: dict[str, Any] = {"model": target.model_id, "stream": params.stream, "contents": turns}
    if system:
        body["systemInstruction"] = {"parts": system, "role": "user"}
    if params.tools:
        body["tools"] = [{"functionDeclarations": [contents.declaration(tool) for tool in params.tools]}]
    if params.tool_choice is not None:
        body["toolConfig"] = {"functionCallingConfig": contents.calling_config(params.tool_choice)}
    body["generationConfig"] = _generation(params)
    for key, value in params.extra_body.items():
        inside = isinstance(value, Mapping) and isinstance(body.get(key), dict)
        body[key] = {**body[key], **value} if inside else value
    return body


def _generation(params: Params) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if params.temperature is not None:
        config["temperature"] = float(params.temperature)
    if params.top_p is not None:
        config["topP"] = float(params.top_p)
    if params.top_k is not None:
        config["topK"] = float(params.top_k)  # a float in this API, as the SDK spells it
    config["maxOutputTokens"] = params.max_tokens
    if params.stop:
        config["stopSequences"] = list(params.stop)
    if params.seed is not None:
        config["seed"] = params.seed
    form = params.response_format or {}
    if form.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
    if form.get("type") == "json_schema":
        schema = _schema(form)
        # Google's own form of a schema writes its types in capitals; it has a field of its own.
        own = isinstance(schema, Mapping) and str(schema.get("type", "")).isupper()
        config["responseSchema" if own else "responseJsonSchema"] = schema
    thinking = _thinking(params)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _thinking(params: Params) -> dict[str, Any]:
    """Thoughts are asked for with the thinking: unseen, they would be silence before a first token that is late."""
    if params.effort == "none" or params.thinking_budget_tokens == 0:
        return {"thinking_budget": 0}
    if params.effort is not None:
        return {"include_thoughts": True, "thinking_level": params.effort.upper()}
    if params.thinking_budget_tokens is not None:
        return {"include_thoughts": True, "thinking_budget": params.thinking_budget_tokens}
    return {}


def _schema(response_format: Mapping[str, Any]) -> Any:
    inner = response_format.get("json_schema")
    return inner.get("schema") if isinstance(inner, Mapping) else None


# ------------------------------------------------------------------------------------------------ what comes back


def decode(exchange: Exchange) -> Reply:
    """What the exchange said, with the arrival times of its content. Keeps what a cut stream delivered; never raises.

    The stream has no last word of its own: it is complete when a finish reason came and the response ended cleanly.
    """
    if exchange.status is not None and exchange.status >= 400:
        return Reply()
    pieces = read.plain_pieces(exchange)
    said = _Said()
    if read.form_of(exchange, pieces) == "json":
        _read_whole(said, b"".join([data for _, data in pieces]))
    else:
        _read_events(said, framing.sse_events(pieces))
    return said.reply(ended_cleanly=exchange.failure is None)


def _read_events(said: _Said, events: framing.SseEvents) -> None:
    arrivals_ns, names, datas = events
    unread = read.Unread(arrivals_ns, datas)
    said.texts, said.content_ns = unread.texts, unread.content_ns
    for at in unread:
        arrived_ns, data = arrivals_ns[at], datas[at]
        if not data:
            continue
        event = read.loads(data)
        if type(event) is list:  # errors come wrapped in a list
            event = next((item for item in event if type(item) is dict), None)
        if type(event) is not dict:
            said.error = said.error or read.malformed(data)
            continue
        if event.get("error") or names[at] == b"error":
            said.error = said.error or data
            continue
        text = said.take(event, arrived_ns)
        if text is not None:
            unread.learn(b"text", text)


def _read_whole(said: _Said, data: bytes) -> None:
    """A reply that came whole, or a list of them. It has no arrival times: without streaming no first token is seen."""
    value = read.loads(data)
    parts = value if type(value) is list else [value]
    for part in parts:
        if type(part) is not dict:
            said.error = said.error or read.malformed(data)
        elif part.get("error"):
            said.error = said.error or data
        else:
            said.take(part, None)


class _Said:
    """What a reply has said so far, response object by response object."""

    __slots__ = (
        "block", "calls", "content_ns", "error", "finish", "first_text_ns", "lane", "model", "response_id", "texts",
        "thoughts", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[ToolCall] = []
        self.content_ns: list[int] = []
        self.first_text_ns: int | None = None
        self.usage: dict[str, Any] = {}
        self.finish: str | None = None
        self.block: str | None = None
        self.model: str | None = None
        self.lane: str | None = None
        self.response_id: str | None = None
        self.error: bytes | None = None

    def take(self, response: dict[str, Any], arrived_ns: int | None) -> str | None:
        """Adds one response object. Gives its text when it carried nothing that the next one might not repeat."""
        usage = read.as_dict(response.get("usageMetadata"))
        self.usage.update({key: value for key, value in usage.items() if value is not None})
        self.lane = _word(usage.get("trafficType")) or self.lane
        self.model = read.as_name(response.get("modelVersion")) or self.model
        self.response_id = read.as_name(response.get("responseId")) or self.response_id
        feedback = read.as_dict(response.get("promptFeedback"))
        self.block = _word(feedback.get("blockReason")) or self.block
        candidate = _first_candidate(response)
        finish = _word(candidate.get("finishReason"))
        self.finish = finish or self.finish
        parts = read.as_list(read.as_dict(candidate.get("content")).get("parts"))
        texts = len(self.texts)
        for part in parts:
            if type(part) is dict and self._add(part, arrived_ns) and arrived_ns is not None:
                self.content_ns.append(arrived_ns)
        if len(self.texts) > texts and self.first_text_ns is None:
            self.first_text_ns = arrived_ns
        plain = len(parts) == 1 and len(self.texts) > texts and parts[0].keys() == {"text"}
        if not plain or finish or feedback or "promptTokenCount" in usage or "candidatesTokenCount" in usage:
            return None
        return self.texts[-1]

    def _add(self, part: dict[str, Any], arrived_ns: int | None) -> bool:
        """Whether the part was content. A signature alone, and an empty text, are none."""
        call = part.get("functionCall")
        if type(call) is dict:
            arguments = call.get("args")
            # This wire need not name its calls: where it does not, they are numbered.
            self.calls.append(
                ToolCall(
                    read.as_name(call.get("id")) or f"call_{len(self.calls)}",
                    read.clean(read.as_text(call.get("name"))),
                    read.clean(json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)),
                )
            )
            return True
        text = read.as_text(part.get("text"))
        if not text:
            return False
        (self.thoughts if part.get("thought") is True else self.texts).append(text)
        return True

    def reply(self, ended_cleanly: bool) -> Reply:
        native = self.finish or self.block
        reason = STOP_REASONS.get(native) if self.finish and native else None
        if self.finish is None and self.block is not None:
            reason = "filtered"  # the prompt was turned away: no candidates, and none are missing
        elif reason == "stop" and self.calls:
            reason = "tool"
        complete = native is not None and ended_cleanly
        return Reply(
            text=read.clean("".join(self.texts)),
            reasoning=read.clean("".join(self.thoughts)),
            tool_calls=tuple(self.calls),
            content_ns=tuple(self.content_ns),
            first_text_ns=self.first_text_ns,
            usage=usage_of(self.usage, final=native is not None),
            stop_reason=reason,
            native_stop_reason=native,
            complete=complete,
            error_body=self.error,
            served_model=self.model,
            served_lane=self.lane,
            message_id=self.response_id,
        )


def _first_candidate(response: dict[str, Any]) -> dict[str, Any]:
    for candidate in read.as_list(response.get("candidates")):
        if type(candidate) is dict and not candidate.get("index"):
            return candidate
    return {}


def _word(value: Any) -> str | None:
    """A value of an enumeration. One that is newer than the sender's own list comes as its number."""
    if isinstance(value, int) and not isinstance(value, bool) and value:
        return str(value)
    word = read.as_name(value)
    return None if word in UNSPECIFIED else word


def usage_of(usage: Mapping[str, Any], final: bool) -> Usage:
    """Counts in our terms: the prompt holds what was read from the cache, and candidates do not hold the thoughts.

    Zeros are left out on this wire (proto3), so a count that is absent from the `final` counts is 0; before the end, and
    where nothing at all was counted, it is not known.
    """
    prompt = read.as_count(usage.get("promptTokenCount"))
    if prompt is None and "candidatesTokenCount" not in usage:
        return Usage()
    absent = 0 if final else None

    def count(key: str) -> int | None:
        return absent if usage.get(key) is None else read.as_count(usage[key])

    cached, thoughts, candidates = (
        count(key) for key in ("cachedContentTokenCount", "thoughtsTokenCount", "candidatesTokenCount")
    )
    if prompt is not None:
        prompt += read.as_count(usage.get("toolUsePromptTokenCount")) or 0
    return Usage(
        input_tokens=prompt - cached if prompt is not None and cached is not None and cached <= prompt else prompt,
        cache_read_tokens=cached,
        output_tokens=candidates + (thoughts or 0) if candidates is not None else None,
        reasoning_tokens=thoughts,
        source="provider",
    )
