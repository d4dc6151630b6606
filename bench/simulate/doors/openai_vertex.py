"""Open models on Vertex AI: OpenAI's wires below a project and location, an OAuth token as bearer."""

from __future__ import annotations

import re

from bench.simulate.base import Headers, Json, Received, Refused, TargetConfig
from bench.simulate.doors.openai import OpenAIDoor
from bench.simulate.doors.reading import bearer
from bench.simulate.doors.vertex import GOOGLE, google_error

_PATH = re.compile(
    r"/v1/projects/([^/]+)/locations/([^/]+)/(endpoints/openapi/chat/completions|publishers/openai/v1/responses)"
)


class OpenAIVertexDoor(OpenAIDoor):
    """`POST /v1/projects/{p}/locations/{l}/endpoints/openapi/chat/completions`; Google's words at the gate.

    Responses are below `publishers/openai/v1`. Unknown fields pass.
    """

    name = "openai-vertex"
    service_tier = None

    def check_fields(self, body: Json) -> None:
        """The models are many, and so are the fields that they know."""

    def is_responses(self, received: Received) -> bool:
        return received.path.endswith("/publishers/openai/v1/responses")

    def id_headers(self, request_id: str) -> Headers:
        return []

    def authorize(self, received: Received, target: TargetConfig) -> None:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        found = _PATH.fullmatch(received.path)
        if not found:
            return False
        for key, value in zip(("project", "location"), found.groups()[:2], strict=True):
            if value != target.credentials.get(key, value):
                raise Refused(403, "PERMISSION_DENIED", f"Permission denied on {key} '{value}' (or it may not exist).")
        return True

    def missing_model(self, model: str) -> Refused:
        text = f"Publisher Model `{model}` was not found or your project does not have access to it."
        return Refused(404, "NOT_FOUND", text)

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if not code.isupper():
            code = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
        return google_error(status, code, message)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        return (status, *GOOGLE[status]) if status in GOOGLE else super().fault_refusal(status)

    def limit_headers(self, limits: object, reset_s: float, wall_s: float) -> Headers:
        return []
