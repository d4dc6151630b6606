"""Claude on Vertex AI: `:rawPredict` and `:streamRawPredict` of a publisher's model, SSE."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Json, Received, Refused, Script, TargetConfig
from bench.simulate.doors.messages import NEW_VERSION, MessagesDoor
from bench.simulate.doors.messages_rules import beta_problem, read_messages
from bench.simulate.doors.reading import Unreadable, base59, bearer, json_object

BODY_VERSION = "vertex-2023-10-16"
_PATH = re.compile(
    r"/v1/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)"
)
NOT_KNOWN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)
GOOGLE: Mapping[int, tuple[str, str]] = {
    401: ("UNAUTHENTICATED", NOT_KNOWN),
    403: ("PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource (or it may not exist)."),
    404: ("NOT_FOUND", "Publisher Model was not found or your project does not have access to it."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
}
"""What Google itself says, before the model is reached: status -> state and message."""


def google_error(status: int, state: str, message: str) -> tuple[Headers, bytes]:
    body = {"error": {"code": status, "message": message, "status": state}}
    return [("content-type", "application/json; charset=UTF-8")], orjson.dumps(body)


class VertexDoor(MessagesDoor):
    """An OAuth token as bearer. Errors at the gate come in Google's envelope, those of the model in Anthropic's."""

    name = "vertex"
    prefix = "msg_vrtx_"

    def request_id(self, bits: int) -> str:
        return f"req_vrtx_01{base59(bits, 22)}"

    def served_model(self, model_id: str) -> str:
        return model_id.removesuffix("@default").replace("@", "-")

    def headers(self, ask: Ask, script: Script) -> Headers:
        return [*super().headers(ask, script), ("x-vertex-ai-llm-request-type", "shared")]

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])
        found = _PATH.fullmatch(received.path)
        if not found or received.method != "POST":
            raise Refused(404, "NOT_FOUND", f"The requested URL {received.path} was not found on this server.")
        project, location, model, verb = found.groups()
        if project != target.credentials.get("project", project):
            text = f"Permission 'aiplatform.endpoints.predict' denied on project '{project}' (or it may not exist)."
            raise Refused(403, "PERMISSION_DENIED", text)
        if model != target.model_id or location != target.credentials.get("location", location):
            place = f"projects/{project}/locations/{location}/publishers/anthropic/models/{model}"
            text = f"Publisher Model `{place}` was not found or your project does not have access to it."
            raise Refused(404, "NOT_FOUND", text)
        try:
            return self._read(json_object(received), model, streamed=verb == "streamRawPredict")
        except Unreadable as error:
            raise Refused(400, "invalid_request_error", str(error)) from None

    def _read(self, body: Json, model: str, *, streamed: bool) -> Ask:
        version = body.pop("anthropic_version", None)
        if version is None:
            raise Unreadable("anthropic_version: Field required")
        if version not in (BODY_VERSION, NEW_VERSION):
            raise Unreadable(f"anthropic_version: {version} is not supported")
        if "model" in body:
            raise Unreadable("model: Extra inputs are not permitted")
        betas = body.pop("anthropic_beta", [])
        if not isinstance(betas, list):
            raise Unreadable("anthropic_beta: Input should be a valid list")
        if problem := beta_problem(betas):
            raise Unreadable(problem)
        ask = read_messages(body, version, model)
        if ask.stream != streamed:
            raise Unreadable(f"stream: Input should be {str(streamed).lower()} for this method")
        return ask

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        return google_error(status, code, message)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        return (status, *GOOGLE[status]) if status in GOOGLE else super().fault_refusal(status)
