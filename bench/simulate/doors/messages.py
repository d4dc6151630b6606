"""Claude's Messages wire: first party (SSE), Vertex (rawPredict, SSE) and Foundry (SSE). Bedrock builds on it.

Request and event shapes follow Anthropic's public API reference; envelopes of errors at the gate are the platform's own,
those of the model Anthropic's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from time import gmtime, strftime
from typing import Any, Literal

import orjson

from bench.simulate.base import Ask, Headers, Json, Received, Refused, Script, TargetConfig
from bench.simulate.doors.reading import (
    Unreadable,
    base59,
    bearer,
    json_chars,
    json_object,
    tokens_of,
    uuid_of,
    whole_number,
)

NEW_VERSION = "2026-10-21"
OLD_VERSION = "2023-06-01"
SAMPLING = ("temperature", "top_p", "top_k")
FIELDS = frozenset(
    "model max_tokens messages system tools tool_choice output_config output_format thinking cache_control service_tier speed "
    "inference_geo stop_sequences metadata container diagnostics stream temperature top_p top_k mcp_servers context_management".split()
)
ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
ERROR_TEXTS: Mapping[int, str] = {
    401: "invalid x-api-key", 403: "Your API key does not have permission to use the specified resource.", 404: "Not found",
    429: "This request would exceed your organization's rate limit.", 500: "Internal server error", 503: "Service unavailable", 529: "Overloaded",
}  # fmt: skip
STOPS = {"stop": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence"}
_NO_SAMPLING = re.compile(r"(opus|sonnet|haiku|fable|mythos)-5(\D|$)")
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
    }


def delta_usage(script: Script) -> Json:
    return {
        "input_tokens": script.input_tokens,
        "cache_creation_input_tokens": script.cache_write_tokens,
        "cache_read_input_tokens": script.cache_read_tokens,
        "output_tokens": script.output_tokens,
    }


def read_messages(body: Json, version: str, model: str, wire: str = "") -> Ask:
    """Checks the body as the Messages API does. Raises Unreadable."""
    for field in ("max_tokens", "messages"):
        if field not in body:
            raise Unreadable(f"{field}: Field required")
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"{field}: Extra inputs are not permitted")
    for field in SAMPLING:
        if field in body and (version == NEW_VERSION or _NO_SAMPLING.search(model)):
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
    """What the doors to Claude have in common: the events and the body. Subclasses add path, credentials and envelopes."""

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

    def message(self, ask: Ask, script: Script, *, start: bool) -> Json:
        content: list[Json] = [] if start or not script.events else [{"type": "text", "text": script.text}]
        message: Json = {
            "id": script.message_id,
            "type": "message",
            "role": "assistant",
            "model": script.served_model,
            "content": content,
            "stop_reason": None if start else STOPS[script.stop],
            "stop_sequence": None if start else script.stop_sequence,
        }
        if script.usage != "none":
            message["usage"] = usage_of(script, ask, start=start)
        return message

    def whole(self, ask: Ask, script: Script) -> bytes:
        return orjson.dumps(self.message(ask, script, start=False))

    def opening(self, ask: Ask, script: Script) -> bytes:
        parts = [sse("message_start", {"type": "message_start", "message": self.message(ask, script, start=True)})]
        if script.events:
            block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            parts.append(sse("content_block_start", block))
        parts.append(sse("ping", {"type": "ping"}))
        return b"".join(parts)

    def content(self, ask: Ask, script: Script) -> list[bytes]:
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
        return [b"%s%s}}\n\n" % (head, orjson.dumps(text)) for text in script.events]

    def closing_events(self, script: Script) -> list[Json]:
        events: list[Json] = [{"type": "content_block_stop", "index": 0}] if script.events else []
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
        return b"".join(sse(event["type"], event) for event in self.closing_events(script))

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        names = {"overloaded": "overloaded_error", "throttled": "rate_limit_error", "server": "api_error"}
        texts = {"overloaded": "Overloaded", "throttled": ERROR_TEXTS[429], "server": ERROR_TEXTS[500]}
        return sse("error", anthropic_error(names[kind], texts[kind], script.request_id))


def header_version(received: Received) -> str:
    """The API version of the header. Raises Refused."""
    version = received.headers.get("anthropic-version")
    if version is None:
        raise Refused(400, "invalid_request_error", "anthropic-version: header is required")
    if version not in (OLD_VERSION, NEW_VERSION):
        raise Refused(400, "invalid_request_error", f'anthropic-version: "{version}" is not a valid version')
    return version


def first_party_ask(received: Received, model_id: str, missing: tuple[int, str, str]) -> Ask:
    """Reads a first-party body, with the model in it; `missing` is how this door says that it has no such model."""
    version = header_version(received)
    try:
        body = json_object(received)
        if not isinstance(body.get("model"), str):
            raise Unreadable("model: Field required")
        if body["model"] != model_id:
            status, code, text = missing
            raise Refused(status, code, text.format(model=body["model"]))
        return read_messages(body, version, model_id)
    except Unreadable as error:
        raise Refused(400, "invalid_request_error", str(error)) from None


class AnthropicDoor(MessagesDoor):
    """The first-party API: `POST /v1/messages`, key in `x-api-key` (preferred) or as a bearer token."""

    name = "anthropic"
    organization_id = "5f0c7e2a-6d1b-4b7e-9a53-51a0c1a0d000"

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        key = received.headers.get("x-api-key") or bearer(received)
        if key is None:
            raise Refused(401, "authentication_error", "x-api-key header is required")
        if key != target.credentials["api_key"]:
            raise Refused(401, "authentication_error", "invalid x-api-key")
        if received.path != "/v1/messages":
            raise Refused(404, "not_found_error", "Not found")
        if received.method != "POST":
            raise Refused(405, "invalid_request_error", "Method Not Allowed")
        return first_party_ask(received, target.model_id, (404, "not_found_error", "model: {model}"))

    def id_headers(self, request_id: str) -> Headers:
        return [("request-id", request_id), ("anthropic-organization-id", self.organization_id)]

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        reset = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(wall_s + reset_s))
        headers: Headers = []
        for key, word in (("rpm", "requests"), ("itpm", "input-tokens"), ("otpm", "output-tokens")):
            if key in limits:
                limit, left = limits[key]
                start = f"anthropic-ratelimit-{word}"
                headers += [
                    (f"{start}-limit", str(limit)),
                    (f"{start}-remaining", str(left)),
                    (f"{start}-reset", reset),
                ]
        return headers


class FoundryDoor(MessagesDoor):
    """Claude on Azure AI Foundry: `POST /anthropic/v1/messages`, key in `x-api-key`/`api-key`, or an Entra token as bearer.

    Errors at the gate are Azure's. `request-id` and `apim-request-id` carry one value here.
    """

    name = "foundry"

    def request_id(self, bits: int) -> str:
        return uuid_of(bits)

    def id_headers(self, request_id: str) -> Headers:
        return [("apim-request-id", request_id), ("request-id", request_id), ("x-ms-region", "East US 2")]

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        given = [received.headers[name] for name in ("api-key", "x-api-key") if name in received.headers]
        key, token = target.credentials.get("api_key"), target.credentials.get("token")
        by_key = key is not None and bool(given) and all(value == key for value in given)
        by_token = token is not None and not given and bearer(received) == token
        if not by_key and not by_token:
            text = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription."
            raise Refused(401, "401", text)
        if received.path != "/anthropic/v1/messages":
            raise Refused(404, "404", "Resource not found")
        if received.method != "POST":
            raise Refused(405, "405", "Method not allowed")
        text = "The API deployment {model} does not exist. If you created it within the last 5 minutes, please wait and try again."
        return first_party_ask(received, target.model_id, (404, "DeploymentNotFound", text))

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        return [("content-type", "application/json")], orjson.dumps({"error": {"code": code, "message": message}})

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        azure = {
            401: ("401", "Access denied due to invalid subscription key or wrong API endpoint."),
            403: ("403", "Access denied due to Virtual Network/Firewall rules."),
            404: ("DeploymentNotFound", "The API deployment for this resource does not exist."),
            429: (
                "RateLimitReached",
                "Requests have exceeded the call rate limit of your current tier. Please retry later.",
            ),
            503: ("ServiceUnavailable", "The service is temporarily unable to process your request."),
        }
        return (status, *azure[status]) if status in azure else super().fault_refusal(status)


class VertexDoor(MessagesDoor):
    """Claude on Vertex AI: `:rawPredict` and `:streamRawPredict` of a publisher model, an OAuth token as bearer.

    Errors at the gate come in Google's envelope.
    """

    name = "vertex"
    prefix = "msg_vrtx_"
    path = re.compile(
        r"/v1/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)"
    )
    states: Mapping[int, str] = {
        400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED",
        413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    }  # fmt: skip
    texts: Mapping[int, str] = {
        401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
        403: "Permission 'aiplatform.endpoints.predict' denied on resource (or it may not exist).",
        404: "Publisher Model was not found or your project does not have access to it.",
        429: "Resource exhausted. Please try again later.",
        500: "Internal error encountered.",
        503: "The service is currently unavailable.",
    }

    def request_id(self, bits: int) -> str:
        return f"req_vrtx_01{base59(bits, 22)}"

    def served_model(self, model_id: str) -> str:
        return model_id.removesuffix("@default").replace("@", "-")

    def id_headers(self, request_id: str) -> Headers:
        return [("request-id", request_id), ("vary", "Origin")]

    def headers(self, ask: Ask, script: Script) -> Headers:
        return [*super().headers(ask, script), ("x-vertex-ai-llm-request-type", "shared")]

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, "UNAUTHENTICATED", self.texts[401])
        found = self.path.fullmatch(received.path)
        if not found or received.method != "POST":
            raise Refused(404, "NOT_FOUND", f"The requested URL {received.path} was not found on this server.")
        project, location, model, verb = found.groups()
        if project != target.credentials.get("project", project):
            raise Refused(
                403,
                "PERMISSION_DENIED",
                f"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/{project}' (or it may not exist).",
            )
        if model != target.model_id or location != target.credentials.get("location", location):
            where = f"projects/{project}/locations/{location}/publishers/anthropic/models/{model}"
            raise Refused(
                404, "NOT_FOUND", f"Publisher Model `{where}` was not found or your project does not have access to it."
            )
        try:
            body = json_object(received)
            version = body.pop("anthropic_version", None)
            if version not in ("vertex-2023-10-16", NEW_VERSION):
                raise Unreadable(
                    "anthropic_version: Field required"
                    if version is None
                    else f"anthropic_version: {version} is not supported"
                )
            if "model" in body:
                raise Unreadable("model: Extra inputs are not permitted")
            betas = body.pop("anthropic_beta", [])
            if not isinstance(betas, list):
                raise Unreadable("anthropic_beta: Input should be a valid list")
            ask = read_messages(body, version, model)
            if ask.stream != (verb == "streamRawPredict"):
                raise Unreadable(f"stream: Input should be {str(not ask.stream).lower()} for {verb}")
        except Unreadable as error:
            raise Refused(400, "invalid_request_error", str(error)) from None
        return ask

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        body = {"error": {"code": status, "message": message, "status": code}}
        return [("content-type", "application/json; charset=UTF-8"), ("date", formatdate(usegmt=True))], orjson.dumps(
            body
        )

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        if status in self.texts:
            return status, self.states[status], self.texts[status]
        return super().fault_refusal(status)
