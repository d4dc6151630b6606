"""Open models on Vertex AI: the wire of `chat.py` below a project and location, an OAuth token as bearer."""

from __future__ import annotations

import re

from bench.simulate.base import Headers, Received, Refused, TargetConfig
from bench.simulate.doors.chat import CompatibleDoor
from bench.simulate.doors.reading import bearer
from bench.simulate.doors.vertex import GOOGLE, google_error

_PATH = re.compile(
    r"/v1/projects/([^/]+)/locations/([^/]+)/(?:endpoints/openapi|publishers/openai/v1)/chat/completions"
)


class OpenAIVertexDoor(CompatibleDoor):
    """`POST /v1/projects/{p}/locations/{l}/endpoints/openapi/chat/completions`; Google's words at the gate."""

    name = "openai-vertex"

    def id_headers(self, request_id: str) -> Headers:
        return []

    def authorize(self, received: Received, target: TargetConfig) -> None:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        found = _PATH.fullmatch(received.path)
        if not found:
            return False
        for key, value in zip(("project", "location"), found.groups(), strict=True):
            if value != target.credentials.get(key, value):
                raise Refused(403, "PERMISSION_DENIED", f"Permission denied on {key} '{value}' (or it may not exist).")
        return True

    def missing_model(self, model: str) -> Refused:
        text = f"Publisher Model `{model}` was not found or your project does not have access to it."
        return Refused(404, "NOT_FOUND", text)

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.isdigit():
            code = "INVALID_ARGUMENT" if status == 400 else "NOT_FOUND" if status == 404 else "INTERNAL"
        return google_error(status, code, message)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        return (status, *GOOGLE[status]) if status in GOOGLE else super().fault_refusal(status)
