"""OpenAI models on Bedrock: OpenAI's wire behind an AWS gate, at the endpoints `mantle` and `runtime`."""

from __future__ import annotations

import re

from bench.simulate.base import Headers, Received, Refused, TargetConfig
from bench.simulate.doors.bedrock import aws_error
from bench.simulate.doors.openai import OpenAIDoor
from bench.simulate.doors.reading import bearer, uuid_of
from bench.simulate.sigv4 import check_signature

_OF_RUNTIME = re.compile(r"(us|eu|global)\.|.+-\d+:\d+$")
"""Ids with an inference profile or a version belong to the runtime endpoint."""


class OpenAIBedrockDoor(OpenAIDoor):
    """`POST /openai/v1/chat/completions` and `/responses`, for open-weight models also below `/v1`.

    A Bedrock key as bearer, or a signature for the service that the id belongs to: `bedrock-mantle` or `bedrock`.
    """

    name = "openai-bedrock"

    def request_id(self, bits: int) -> str:
        return uuid_of(bits)

    def id_headers(self, request_id: str) -> Headers:
        return [("x-amzn-requestid", request_id)]

    def authorize(self, received: Received, target: TargetConfig) -> None:
        token = bearer(received)
        if token is not None:
            if token != target.credentials.get("token"):
                raise Refused(403, "AccessDeniedException", "Authentication failed: the API key is not valid.")
            return
        service = "bedrock" if _OF_RUNTIME.match(target.model_id) else "bedrock-mantle"
        check_signature(received, target.credentials, service)

    def is_responses(self, received: Received) -> bool:
        return received.path in ("/openai/v1/responses", "/v1/responses")

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        bases = ["/openai/v1", "/v1"] if "gpt-oss" in target.model_id else ["/openai/v1"]
        return received.path in [f"{base}/{what}" for base in bases for what in ("chat/completions", "responses")]

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if code.endswith("Exception"):
            return aws_error(code, message)
        return super().refusal(status, code, message, request_id)

    def limit_headers(self, limits: object, reset_s: float, wall_s: float) -> Headers:
        return []
