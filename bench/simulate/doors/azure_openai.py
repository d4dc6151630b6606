"""OpenAI models on Azure: the wire of `chat.py` under Azure's paths and words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from bench.simulate.base import Ask, Headers, Received, Refused, Script, TargetConfig
from bench.simulate.doors.chat import sse
from bench.simulate.doors.foundry import AZURE, NO_DEPLOYMENT
from bench.simulate.doors.openai import OpenAIDoor
from bench.simulate.doors.reading import bearer, uuid_of
from bench.simulate.doors.responses import WIRE

_CLASSIC = re.compile(r"/openai/deployments/([^/]+)/chat/completions")
_SAFE = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}


def _versioned(received: Received) -> bool:
    return re.search(r"(^|&)api-version=[^&]", received.query) is not None


class AzureOpenAIDoor(OpenAIDoor):
    """`POST /openai/v1/chat/completions` or `/openai/v1/responses`, or the classic paths with an `api-version`; the classic
    one of Chat Completions has the deployment in it.

    The key comes in `api-key` or as bearer, an Entra token as bearer; the model is the name of a deployment. A stream
    begins with a chunk of filter results that has no choices.
    """

    name = "azure-openai"

    def request_id(self, bits: int) -> str:
        return uuid_of(bits)

    def id_headers(self, request_id: str) -> Headers:
        return [("apim-request-id", request_id), ("x-request-id", request_id), ("x-ms-region", "East US 2")]

    def authorize(self, received: Received, target: TargetConfig) -> None:
        given = received.headers.get("api-key") or bearer(received)
        if given is None or given not in (target.credentials.get("api_key"), target.credentials.get("token")):
            raise Refused(401, *AZURE[401])

    def is_responses(self, received: Received) -> bool:
        classic = received.path == "/openai/responses" and _versioned(received)
        return received.path == "/openai/v1/responses" or classic

    def path_fits(self, received: Received, target: TargetConfig) -> bool:
        if received.path == "/openai/v1/chat/completions" or self.is_responses(received):
            return True
        classic = _CLASSIC.fullmatch(received.path)
        if not classic or not _versioned(received):
            return False
        if classic[1] != target.model_id:
            raise self.missing_model(classic[1])
        return True

    def missing_model(self, model: str) -> Refused:
        return Refused(404, "DeploymentNotFound", NO_DEPLOYMENT.format(model=model))

    def refusal(self, status: int, code: str, message: str, request_id: str) -> tuple[Headers, bytes]:
        if status in AZURE:
            return [("content-type", "application/json")], orjson.dumps({"error": {"code": code, "message": message}})
        return super().refusal(status, code, message, request_id)

    def fault_refusal(self, status: int) -> tuple[int, str, str]:
        status = status or 503
        return (status, *AZURE[status]) if status in AZURE else super().fault_refusal(status)

    def limit_headers(self, limits: Mapping[str, tuple[int, int]], reset_s: float, wall_s: float) -> Headers:
        words = {"rpm": "requests", "itpm": "tokens"}
        return [(f"x-ratelimit-remaining-{words[k]}", str(left)) for k, (_, left) in limits.items() if k in words]

    def opening(self, ask: Ask, script: Script) -> bytes:
        if ask.wire == WIRE:
            return super().opening(ask, script)
        results = [{"prompt_index": 0, "content_filter_results": _SAFE}]
        filters = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": results}
        return sse(filters) + super().opening(ask, script)
