"""OpenAI's Chat Completions wire, and servers compatible with it (vLLM and its kin), which speak `responses.py` too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from bench.simulate.base import (
    Arguments,
    Ask,
    Headers,
    Json,
    Received,
    Refused,
    Render,
    Script,
    TargetConfig,
    Thought,
)
from bench.simulate.doors import responses
from bench.simulate.doors.functions import call_id, read_choice, read_effort, read_format, read_tools
from bench.simulate.doors.reading import (
    Unreadable,
    bearer,
    json_chars,
    json_object,
    tokens_of,
    uuid_of,
    whole_number,
)

PATH = "/v1/chat/completions"
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
STOPS = {"stop": "stop", "length": "length", "stop_sequence": "stop", "tool": "tool_calls"}
CACHE_STEP_TOKENS = 128


def sse(data: Json) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(data)


def _text(content: Any, path: str) -> tuple[str, int]:
    """(text parts joined, characters in all) of a message's content."""
    if content is None:
        return "", 0
    if isinstance(content, str):
        return content, len(content)
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    ):
        raise Unreadable(f"{path}: expected a string or an array of content parts")
    texts = []
    chars = 0
    for part in content:
        if part["type"] == "text":
            if not isinstance(part.get("text"), str):
                raise Unreadable(f"{path}.text: expected a string")
            texts.append(part["text"])
            chars += len(part["text"])
        else:
            chars += json_chars(part)
    return "".join(texts), chars


def read_chat(body: Json) -> Ask:
    """Checks the body as the Chat Completions API does. Raises Unreadable."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("messages: expected an array with at least one message")
    chars, last_user = json_chars(body["tools"]) if body.get("tools") else 0, ""
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise Unreadable(f"messages[{n}].role: expected one of {', '.join(ROLES)}")
        text, count = _text(message.get("content"), f"messages[{n}].content")
        chars += count + (json_chars(message["tool_calls"]) if message.get("tool_calls") else 0)
        if message["role"] == "user":
            last_user = text
    limits = [body[key] for key in ("max_tokens", "max_completion_tokens") if body.get(key) is not None]
    if len(limits) > 1:
        raise Unreadable("max_tokens: cannot be set together with max_completion_tokens")
    if limits and not whole_number(limits[0], 1):
        raise Unreadable(f"max_tokens must be at least 1, got {limits[0]}")
    stream = body.get("stream") or False
    options = body.get("stream_options") or {}
    if not isinstance(stream, bool) or not isinstance(options, dict):
        raise Unreadable("stream: expected a boolean")
    if options and not stream:
        raise Unreadable("Stream options can only be defined when `stream=True`.")
    temperature = body.get("temperature")
    if temperature is not None and (
        isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2
    ):
        raise Unreadable("temperature: expected a number from 0 to 2")
    if body.get("n") not in (None, 1):
        raise Unreadable("n: this look-alike gives one choice only")
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise Unreadable("stop: expected a string or an array of strings")
    tools = read_tools(body, flat=False)
    input_tokens = tokens_of(chars)
    return Ask(
        prompt=last_user,
        stream=stream,
        input_tokens=input_tokens,
        max_tokens=limits[0] if limits else None,
        cacheable_tokens=input_tokens // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS,
        stop=tuple(stops),
        include_usage=bool(options.get("include_usage")) if stream else True,
        tools=tools,
        tool_choice=read_choice(body, tuple(name for name, _ in tools), flat=False),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=read_format(body.get("response_format"), "response_format", flat=False),
        thinks=read_effort(body.get("reasoning_effort"), "reasoning_effort"),
    )


def _call(script: Script, n: int, name: str, arguments: str) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id(script.message_id, n), "type": "function", "function": function}


TYPES: Mapping[int, str] = {
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    413: "RequestEntityTooLargeError",
    429: "RateLimitError",
    503: "ServiceUnavailableError",
}
TEXTS: Mapping[int, str] = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The engine is currently overloaded, please try again later.",
}


class CompatibleDoor:
    """`POST /v1/chat/completions` and `/v1/responses` of a compatible server: unknown fields of chat pass, error codes are
    numbers, a key is optional.
    """

    name = "openai-compatible"
    service_tier: str | None = None
    reasoning_key: str | None = "reasoning"
    """The field in which reasoning is told, as vLLM calls it; None where it is not told at all."""

    def message_id(self, bits: int) -> str:
        return f"chatcmpl-{uuid_of(bits).replace('-', '')}"

    def request_id(self, bits: int) -> str:
        return uuid_of(bits)

    def served_model(self, model_id: str) -> str:
        return model_id

    def id_headers(self, request_id: str) -> Headers:
        return [("x-request-id", request_id)]

    def code(self, status: int) -> str:
        return str(status)

    def authorize(self, received: Received, target: TargetConfig) -> None:
        key = target.credentials.get("api_key")
        if key and bearer(received) != key:
            raise Refused(401, self.code(401), "Unauthorized")

    def is_responses(self, received: Received) -> bool:
        return received.path == "/v1/responses"

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        return received.path == PATH or self.is_responses(received)

    def read(self, received: Received, body: Json) -> Ask:
        """What an authorized request asks for. Raises Unreadable."""
        if self.is_responses(received):
            return responses.read_responses(body)
        self.check_fields(body)
        ask = read_chat(body)
        return ask if self.reasoning_key else replace(ask, thinks=False, hides=ask.thinks)

    def check_fields(self, body: Json) -> None:
        """Unknown fields pass: these servers have many of their own."""

    def missing_model(self, model: str) -> Refused:
        return Refused(404, self.code(404), f"The model `{model}` does not exist.")

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        self.authorize(received, target)
        if not self.path_fits(received, target):
            raise Refused(404, self.code(404), "Not Found")
        if received.method != "POST":
            raise Refused(405, self.code(405), "Method Not Allowed")
        try:
            body = json_object(received)
            if not isinstance(body.get("model"), str):
                raise Unreadable("model: Field required")
            if body["model"] != target.model_id:
                raise self.missing_model(body["model"])
            return self.read(received, body)
        except Unreadable as error:
            raise Refused(400, self.code(400), str(error)) from None

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        kind = TYPES.get(status, "BadRequestError" if status < 500 else "InternalServerError")
        return [("content-type", "application/json")], orjson.dumps(
            {"error": {"message": message, "type": kind, "param": None, "code": int(code)}}
        )

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        return status, self.code(status), TEXTS.get(status, "The request could not be served.")

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        return []

    def headers(self, ask: Ask, script: Script) -> Headers:
        if ask.stream:
            return [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
        return [("content-type", "application/json")]

    def usage(self, script: Script) -> Json:
        """Cached tokens are part of `prompt_tokens` on this wire."""
        prompt = script.input_tokens + script.cache_read_tokens + script.cache_write_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": script.output_tokens,
            "total_tokens": prompt + script.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": script.cache_read_tokens,
                "cache_write_tokens": script.cache_write_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
        }

    def whole(self, ask: Ask, script: Script) -> bytes:
        if ask.wire == responses.WIRE:
            return responses.whole(ask, script)
        message: Json = {"role": "assistant", "content": script.text, "refusal": None}
        if script.reasoning:
            message[self.reasoning_key or ""] = script.reasoning
        if script.tool_calls:
            message["content"] = None
            message["tool_calls"] = [
                _call(script, n, name, arguments) for n, (name, arguments) in enumerate(script.tool_calls)
            ]
        body = {
            "id": script.message_id,
            "object": "chat.completion",
            "created": script.created_s,
            "model": script.served_model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": STOPS[script.stop]}],
            "service_tier": self.service_tier,
            "system_fingerprint": None,
        }
        if script.usage != "none":
            body["usage"] = self.usage(script)
        return orjson.dumps(body)

    def _chunk(self, ask: Ask, script: Script, choices: list[Json], usage: Json | None = None) -> Json:
        chunk: Json = {
            "id": script.message_id,
            "object": "chat.completion.chunk",
            "created": script.created_s,
            "model": script.served_model,
            "service_tier": self.service_tier,
            "system_fingerprint": None,
            "choices": choices,
        }
        if ask.include_usage and script.usage != "none":
            chunk["usage"] = usage
        return chunk

    def opening(self, ask: Ask, script: Script) -> bytes:
        """The chunk that names the role; its empty content is not a token."""
        if ask.wire == responses.WIRE:
            return responses.opening(ask, script)
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
        return sse(self._chunk(ask, script, [choice]))

    def content(self, ask: Ask, script: Script) -> Render:
        if ask.wire == responses.WIRE:
            return responses.content(ask, script)
        mark = "\x00"
        head, _, tail = self._delta(ask, script, {"content": mark}).partition(orjson.dumps(mark))

        def render(text: str) -> bytes:
            if isinstance(text, Thought):
                return self._delta(ask, script, {self.reasoning_key or "": text})
            if not isinstance(text, Arguments):
                return b"".join((head, orjson.dumps(text), tail))
            more = {"index": text.call, "function": {"arguments": text}}
            if not text.first:
                return self._delta(ask, script, {"tool_calls": [more]})
            opened = {"index": text.call, **_call(script, text.call, script.tool_calls[text.call][0], "")}
            calls = ({"tool_calls": [call]} for call in (opened, more))
            return b"".join([self._delta(ask, script, call) for call in calls])

        return render

    def _delta(self, ask: Ask, script: Script, delta: Json) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return sse(self._chunk(ask, script, [choice]))

    def closing(self, ask: Ask, script: Script) -> bytes:
        if ask.wire == responses.WIRE:
            return responses.closing(ask, script)
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": STOPS[script.stop]}
        parts = [sse(self._chunk(ask, script, [choice]))]
        if ask.include_usage and script.usage != "none":
            parts += [sse(self._chunk(ask, script, [], self.usage(script)))] * (2 if script.usage == "twice" else 1)
        parts.append(b"data: [DONE]\n\n")
        return b"".join(parts)

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        if ask.wire == responses.WIRE:
            return responses.error_event(ask, script, kind)
        status = {"overloaded": 503, "throttled": 429, "server": 500}[kind]
        _, body = self.refusal(*self.fault_refusal(status), script.request_id)
        return b"data: %s\n\n" % body
