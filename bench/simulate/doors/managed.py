"""Anthropic's first-party wire behind a cloud's gate: Bedrock Mantle, Claude Platform on AWS, Claude on Google Cloud.

Path, credentials and the words of the gate are the cloud's; body and events are those of `anthropic.py`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from uuid import UUID

from bench.simulate.base import Ask, Headers, Received, Refused, TargetConfig
from bench.simulate.doors.anthropic import first_party_ask
from bench.simulate.doors.bedrock import aws_error
from bench.simulate.doors.messages import MessagesDoor
from bench.simulate.doors.reading import bearer
from bench.simulate.doors.vertex import GOOGLE, google_error
from bench.simulate.sigv4 import check_signature

NO_MODEL = (404, "not_found_error", "model: {model}")
_GCP_PATH = re.compile(r"/v1/projects/([^/]+)/locations/([^/]+)/workspaces/([^/]+)/invoke/v1/messages")


class _AwsGate(MessagesDoor):
    """An AWS signature, or a key as bearer or in `x-api-key`. Replies carry two ids: AWS's own, and Anthropic's."""

    service = ""
    path = ""
    key_name = ""
    names_geo = False

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        key = received.headers.get("x-api-key") or bearer(received)
        if key is None:
            check_signature(received, {"region": "", **target.credentials}, self.service)
        elif key != target.credentials.get(self.key_name):
            raise Refused(403, "AccessDeniedException", "Authentication failed: the API key is not valid.")
        self.check_place(received, target)
        if received.path != self.path or received.method != "POST":
            raise Refused(404, "not_found_error", "Not found")
        return first_party_ask(received, target.model_id, NO_MODEL, names_geo=self.names_geo)

    def check_place(self, received: Received, target: TargetConfig) -> None:
        """Nothing more is wanted here."""

    def id_headers(self, request_id: str) -> Headers:
        return [
            ("request-id", request_id),
            ("x-amzn-requestid", str(UUID(bytes=sha256(request_id.encode()).digest()[:16]))),
        ]

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        return aws_error(code, message)


class MantleDoor(_AwsGate):
    """`POST /anthropic/v1/messages` of Bedrock's Messages API."""

    name = "bedrock-mantle"
    prefix = "msg_bdrk_"
    service = "bedrock-mantle"
    path = "/anthropic/v1/messages"
    key_name = "token"

    def served_model(self, model_id: str) -> str:
        return model_id.removeprefix("anthropic.")


class ClaudeAwsDoor(_AwsGate):
    """`POST /v1/messages` of Claude Platform on AWS; the workspace comes in a header."""

    name = "claude-aws"
    service = "aws-external-anthropic"
    path = "/v1/messages"
    key_name = "api_key"
    names_geo = True

    def check_place(self, received: Received, target: TargetConfig) -> None:
        workspace = received.headers.get("anthropic-workspace-id")
        if workspace is None:
            raise Refused(400, "invalid_request_error", "anthropic-workspace-id: header is required")
        if workspace != target.credentials.get("workspace", workspace):
            raise Refused(403, "permission_error", "This workspace is not yours.")


class ClaudeGcpDoor(MessagesDoor):
    """`POST /v1/projects/{p}/locations/{l}/workspaces/{w}/invoke/v1/messages`, an OAuth token as bearer."""

    name = "claude-gcp"

    def admit(self, received: Received, target: TargetConfig) -> Ask:
        if bearer(received) != target.credentials["token"]:
            raise Refused(401, *GOOGLE[401])
        found = _GCP_PATH.fullmatch(received.path)
        if not found or received.method != "POST":
            raise Refused(404, "NOT_FOUND", f"The requested URL {received.path} was not found on this server.")
        for key, value in zip(("project", "location", "workspace"), found.groups(), strict=True):
            if value != target.credentials.get(key, value):
                raise Refused(403, "PERMISSION_DENIED", f"Permission denied on {key} '{value}' (or it may not exist).")
        return first_party_ask(received, target.model_id, NO_MODEL, names_geo=True)

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("_error"):
            return super().refusal(status, code, message, request_id)
        return google_error(status, code, message)
