"""Anthropic's own API: `POST /v1/messages`, SSE."""

from __future__ import annotations

from collections.abc import Mapping
from time import gmtime, strftime

from bench.simulate.base import Ask, Headers, Received, Refused, TargetConfig
from bench.simulate.doors.messages import NEW_VERSION, OLD_VERSION, MessagesDoor
from bench.simulate.doors.messages_rules import beta_problem, read_messages
from bench.simulate.doors.reading import Unreadable, bearer, json_object

ORGANIZATION_ID = "5f0c7e2a-6d1b-4b7e-9a53-51a0c1a0d000"


def header_version(received: Received) -> str:
    """The API version of the header. Raises Refused."""
    version = received.headers.get("anthropic-version")
    if version is None:
        raise Refused(400, "invalid_request_error", "anthropic-version: header is required")
    if version not in (OLD_VERSION, NEW_VERSION):
        raise Refused(400, "invalid_request_error", f'anthropic-version: "{version}" is not a valid version')
    return version


def first_party_ask(
    received: Received, model_id: str, missing: tuple[int, str, str], *, names_geo: bool = False
) -> Ask:
    """Reads a first-party body, with the model in it; `missing` is how this door says that it has no such model.

    `names_geo`: the doors that Anthropic runs name the place of inference in their replies.
    """
    version = header_version(received)
    betas = [word.strip() for word in received.headers.get("anthropic-beta", "").split(",") if word.strip()]
    try:
        if problem := beta_problem(betas):
            raise Unreadable(problem)
        body = json_object(received)
        if not isinstance(body.get("model"), str):
            raise Unreadable("model: Field required")
        if body["model"] != model_id:
            status, code, text = missing
            raise Refused(status, code, text.format(model=body["model"]))
        return read_messages(body, version, model_id, names_geo=names_geo)
    except Unreadable as error:
        raise Refused(400, "invalid_request_error", str(error)) from None


class AnthropicDoor(MessagesDoor):
    """The key comes in `x-api-key` (preferred where both are sent) or as a bearer token."""

    name = "anthropic"

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
        return first_party_ask(received, target.model_id, (404, "not_found_error", "model: {model}"), names_geo=True)

    def id_headers(self, request_id: str) -> Headers:
        return [("request-id", request_id), ("anthropic-organization-id", ORGANIZATION_ID)]

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
