"""Claude on Azure AI Foundry: `POST /anthropic/v1/messages`, SSE; the model is the name of a deployment."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Received, Refused, TargetConfig
from bench.simulate.doors.anthropic import first_party_ask
from bench.simulate.doors.messages import MessagesDoor
from bench.simulate.doors.reading import bearer, uuid_of

NO_ACCESS = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription."
)
NO_DEPLOYMENT = (
    "The API deployment {model} does not exist. If you created the deployment within the last 5 minutes, please wait a "
    "moment and try again."
)
AZURE: Mapping[int, tuple[str, str]] = {
    401: ("401", NO_ACCESS),
    403: ("403", "Access denied due to Virtual Network/Firewall rules."),
    404: ("DeploymentNotFound", "The API deployment for this resource does not exist."),
    429: ("RateLimitReached", "Requests have exceeded the call rate limit of your current tier. Please retry later."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request."),
}
"""What Azure itself says, before the model is reached: status -> code and message."""


class FoundryDoor(MessagesDoor):
    """The key comes in `x-api-key` or `api-key` (or both, the same), an Entra token as bearer.

    Errors at the gate are Azure's, those of the model Anthropic's. `request-id` and `apim-request-id` carry one value.
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
            raise Refused(401, *AZURE[401])
        if received.path != "/anthropic/v1/messages":
            raise Refused(404, "404", "Resource not found")
        if received.method != "POST":
            raise Refused(405, "405", "Method not allowed")
        return first_party_ask(received, target.model_id, (404, "DeploymentNotFound", NO_DEPLOYMENT))

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        return [("content-type", "application/json")], orjson.dumps({"error": {"code": code, "message": message}})

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        return (status, *AZURE[status]) if status in AZURE else super().fault_refusal(status)
