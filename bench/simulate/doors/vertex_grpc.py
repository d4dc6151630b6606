"""Vertex AI's prediction service over gRPC: raw predictions of Claude, and Gemini's contents.

What is asked and what is said is that of the two doors over HTTP; only the envelope differs. `rpc.py` serves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from bench.simulate.base import Ask, Headers, Received, Refused, Render, Script, TargetConfig
from bench.simulate.doors.gemini import GeminiDoor
from bench.simulate.doors.reading import bearer
from bench.simulate.doors.vertex import GOOGLE, VertexDoor
from bench.simulate.protobuf import Malformed, decode, encode

SERVICE = "google.cloud.aiplatform.v1.PredictionService"


@dataclass(frozen=True, slots=True)
class Method:
    verb: str
    request: str
    streamed: bool


METHODS: Mapping[str, Method] = {
    "RawPredict": Method("rawPredict", "RawPredictRequest", False),
    "StreamRawPredict": Method("streamRawPredict", "RawPredictRequest", True),
    "GenerateContent": Method("generateContent", "GenerateContentRequest", False),
    "StreamGenerateContent": Method("streamGenerateContent", "GenerateContentRequest", True),
}


class VertexGrpcDoor:
    """Claude where the reply is one of raw predictions, Gemini else; an `Ask` of Gemini names its pool in `wire`."""

    name = "vertex-grpc"

    def __init__(self) -> None:
        self.claude, self.gemini = VertexDoor(), GeminiDoor()

    def speaker(self, ask: Ask) -> VertexDoor | GeminiDoor:
        return self.gemini if ask.wire else self.claude

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        """`received.path` is the method, `body` the message, `headers` the metadata."""
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])
        method = METHODS.get(received.path.rpartition("/")[2])
        if method is None:
            raise Refused(404, "UNIMPLEMENTED", f"The method {received.path} is not implemented.")
        try:
            message = decode(method.request, received.body)
        except Malformed as error:
            raise Refused(400, "INVALID_ARGUMENT", f"The request cannot be read: {error}") from None
        raw = method.request == "RawPredictRequest"
        place = message.pop("endpoint" if raw else "model", "")
        routed = received.headers.get("x-goog-request-params", "")
        if not routed.startswith("endpoint=" if raw else "model="):
            raise Refused(400, "INVALID_ARGUMENT", "The routing header x-goog-request-params is missing.")
        inner = replace(
            received,
            path=f"/v1/{place}:{method.verb}",
            query="alt=sse" if method.streamed and not raw else "",
            body=message.get("http_body", {}).get("data", b"") if raw else orjson.dumps(message),
        )
        return (self.claude if raw else self.gemini).admit(inner, target)

    def request_id(self, bits: int) -> str:
        return self.gemini.request_id(bits)

    def message_id(self, bits: int) -> str:
        return self.claude.message_id(bits)

    def served_model(self, model_id: str) -> str:
        return self.claude.served_model(model_id)

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        return self.gemini.refusal(status, code, message, request_id)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        return self.gemini.fault_refusal(status)

    def id_headers(self, request_id: str) -> Headers:
        """The look-alike names its replies in the metadata, so that they can be found again."""
        return [("x-request-id", request_id)]

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        return []

    def headers(self, ask: Ask, script: Script) -> Headers:
        return []

    # -- messages

    def whole(self, ask: Ask, script: Script) -> bytes:
        if not ask.wire:
            return _http_body(self.claude.whole(ask, script), "application/json")
        return encode("GenerateContentResponse", self.gemini.whole_response(ask, script))

    def opening(self, ask: Ask, script: Script) -> bytes:
        """Claude's first events; nothing comes before Gemini's content."""
        return b"" if ask.wire else _http_body(self.claude.opening(ask, script))

    def content(self, ask: Ask, script: Script) -> Render:
        if not ask.wire:
            render = self.claude.content(ask, script)
            return lambda text: _http_body(render(text))
        made = self.gemini.responses(ask, script)
        return lambda text: encode("GenerateContentResponse", made(text))

    def closings(self, ask: Ask, script: Script) -> list[bytes]:
        """The last messages."""
        if not ask.wire:
            return [_http_body(self.claude.closing(ask, script))]
        return [encode("GenerateContentResponse", response) for response in self.gemini.last(ask, script)]

    def closing(self, ask: Ask, script: Script) -> bytes:
        return b"".join(self.closings(ask, script))

    def error_event(self, ask: Ask, script: Script, kind: str) -> bytes:
        """An error ends the call with its status; there is no message for it."""
        return b""


def _http_body(data: bytes, kind: str = "text/event-stream") -> bytes:
    return encode("HttpBody", {"content_type": kind, "data": data})
