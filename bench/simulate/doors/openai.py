"""OpenAI's own API: the wires of `chat.py` and `responses.py` with the first party's manners."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Json, Received, Refused, Render, Script, TargetConfig
from bench.simulate.doors import responses
from bench.simulate.doors.chat import CompatibleDoor
from bench.simulate.doors.reading import Unreadable, base59, bearer, uuid_of
from bench.simulate.doors.reasoning import refuse_for_reasoning

# fmt: off
FIELDS = frozenset((
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "seed", "stream",
    "stream_options", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort",
    "verbosity", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "store", "user",
    "metadata", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "logit_bias", "safety_identifier",
    "modalities", "prediction", "audio", "web_search_options",
))
# fmt: on
CODES: Mapping[int, str] = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
NO_KEY = "You didn't provide an API key. You need to provide it in an Authorization header, as a bearer token."


class OpenAIDoor(CompatibleDoor):
    """A key is required, unknown fields are refused, error codes are words, and limits are told in headers."""

    name = "openai"
    service_tier: str | None = "default"
    reasoning_key: str | None = None

    def is_responses(self, received: Received) -> bool:
        return received.path == "/v1/responses"

    def read(self, received: Received, body: Json) -> Ask:
        ask = responses.read_responses(body) if self.is_responses(received) else super().read(received, body)
        refuse_for_reasoning(body)
        return ask

    def whole(self, ask: Ask, script: Script) -> bytes:
        return responses.whole(ask, script) if ask.wire == responses.WIRE else super().whole(ask, script)

    def opening(self, ask: Ask, script: Script) -> bytes:
        return responses.opening(ask, script) if ask.wire == responses.WIRE else super().opening(ask, script)

    def content(self, ask: Ask, script: Script) -> Render:
        return responses.content(ask, script) if ask.wire == responses.WIRE else super().content(ask, script)

    def closing(self, ask: Ask, script: Script) -> bytes:
        return responses.closing(ask, script) if ask.wire == responses.WIRE else super().closing(ask, script)

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        if ask.wire == responses.WIRE:
            return responses.error_event(ask, script, kind)
        return super().error_event(ask, script, kind)

    def request_id(self, bits: int) -> str:
        return f"req_{uuid_of(bits).replace('-', '')}"

    def message_id(self, bits: int) -> str:
        return f"chatcmpl-{base59(bits, 22)}"

    def code(self, status: int) -> str:
        return CODES.get(status, "")

    def authorize(self, received: Received, target: TargetConfig) -> None:
        key = bearer(received)
        if key is None:
            raise Refused(401, "", NO_KEY)
        if key != target.credentials["api_key"]:
            raise Refused(401, "invalid_api_key", "Incorrect API key provided.")

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        return self.is_responses(received) or super().path_fits(received, target)

    def check_fields(self, body: Json) -> None:
        for field in body:
            if field not in FIELDS:
                raise Unreadable(f"Unknown parameter: '{field}'.")

    def missing_model(self, model: str) -> Refused:
        return Refused(404, "model_not_found", f"The model `{model}` does not exist or you do not have access to it.")

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        kind = "requests" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code or None}
        return [("content-type", "application/json")], orjson.dumps({"error": error})

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        headers: Headers = []
        for key, word in (("rpm", "requests"), ("itpm", "tokens")):
            if key in limits:
                limit, left = limits[key]
                headers.append((f"x-ratelimit-limit-{word}", str(limit)))
                headers.append((f"x-ratelimit-remaining-{word}", str(left)))
                headers.append((f"x-ratelimit-reset-{word}", f"{reset_s:.3f}s"))
        return headers
