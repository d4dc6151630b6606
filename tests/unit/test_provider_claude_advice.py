"""What people do wrong at each door to Claude, in the clouds' own envelopes: the message names door, cause and fix."""

import json
from typing import Any

import pytest

from bench.providers import claude_advice, get
from bench.providers.faults import MESSAGE_LIMIT

Headers = tuple[tuple[str, str], ...]


def aws(name: str, message: str) -> tuple[Headers, Any]:
    return (("x-amzn-errortype", f"{name}:http://internal.amazon.com/"),), {"message": message}


def google(code: int, status: str, message: str) -> tuple[Headers, Any]:
    return (), {"error": {"code": code, "message": message, "status": status}}


def azure(code: str, message: str) -> tuple[Headers, Any]:
    return (), {"error": {"code": code, "message": message}}


def claude(kind: str, message: str) -> tuple[Headers, Any]:
    return (), {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


SKEWED = "Signature expired: 20261121T110000Z is now earlier than 20261121T115500Z (20261121T120000Z - 5 min.)"
NEWER = "Signature not yet current: 20261121T130000Z is still later than 20261121T120500Z (20261121T120000Z + 5 min.)"
REGION = "Credential should be scoped to a valid region."
NO_ACCESS = "You don't have access to the model with the specified model ID."
QUOTA = "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with limit: 0."
DISABLED = "Agent Platform API has not been used in project 1 before or it is disabled."

MISTAKES: list[tuple[str, int, tuple[Headers, Any], str, str, bool]] = [
    # door, status, what it said -> words of the cause, words of the fix, whether trying again can help
    *[(door, 403, aws("InvalidSignatureException", SKEWED), "clock is off", "NTP", False)
      for door in ("bedrock", "bedrock-mantle", "claude-aws")],
    ("bedrock", 403, aws("InvalidSignatureException", NEWER), "clock is off", "NTP", False),
    *[(door, 403, aws("ExpiredTokenException", "The security token included in the request is expired"),
       "credentials have expired", "aws sso login", False) for door in ("bedrock", "bedrock-mantle", "claude-aws")],
    *[(door, 403, aws("InvalidSignatureException", REGION), "another region", "region must be", False)
      for door in ("bedrock", "bedrock-mantle", "claude-aws")],
    ("bedrock", 403, aws("UnrecognizedClientException", "The security token included in the request is invalid."),
     "were not accepted", "AWS_PROFILE", False),
    ("bedrock", 403, aws("AccessDeniedException", NO_ACCESS), "no access to this model", "Model access", False),
    ("bedrock-mantle", 403, aws("AccessDeniedException", NO_ACCESS), "no access to this model",
     "bedrock-mantle:CreateInference", False),
    ("bedrock", 400, aws("ValidationException", "Invocation of model ID anthropic.claude-x with on-demand throughput "
     "isn\u2019t supported."), "inference profile", "us.anthropic.NAME", False),
    ("bedrock", 429, aws("ThrottlingException", "Too many tokens per day, please wait before trying again."),
     "quota", "Service Quotas", False),
    ("bedrock", 400, aws("ServiceQuotaExceededException", "Your quota is 0 for this model."), "quota", "Quotas", False),
    ("claude-aws", 403, claude("permission_error", "Outbound web identity federation is disabled for your account"),
     "may not mint tokens", "enable-outbound-web-identity-federation", False),
    ("claude-aws", 400, claude("invalid_request_error", "anthropic-workspace-id: header is required"),
     "the workspace", "ANTHROPIC_AWS_WORKSPACE_ID", False),
    *[(door, 401, google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
       "access token has expired", "gcloud auth", False) for door in ("vertex", "claude-gcp")],
    ("vertex", 403, google(403, "PERMISSION_DENIED", DISABLED), "not enabled", "gcloud services enable", False),
    ("vertex", 403, google(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied"),
     "may not call models", "roles/aiplatform.user", False),
    ("vertex", 404, google(404, "NOT_FOUND", "Publisher Model was not found"), "not enabled for the project",
     "Model Garden", False),
    ("vertex", 429, google(429, "RESOURCE_EXHAUSTED", QUOTA), "no quota", "waiting does not help", False),
    ("claude-gcp", 403, google(403, "PERMISSION_DENIED", "denied on workspace"), "project or workspace", "check", False),
    ("foundry", 401, azure("401", "Access denied due to invalid subscription key or wrong API endpoint."),
     "not one of this resource", "ANTHROPIC_FOUNDRY_API_KEY", False),
    ("foundry", 401, azure("Unauthorized", "The access token has expired."), "Entra token", "az login", False),
    ("foundry", 404, azure("DeploymentNotFound", "The API deployment x does not exist."), "no deployment",
     "deployment: NAME", False),
    ("foundry", 403, azure("403", "Access denied due to Virtual Network/Firewall rules."), "network rules",
     "inside its network", False),
    ("anthropic", 401, claude("authentication_error", "invalid x-api-key"), "not accepted", "ANTHROPIC_API_KEY", False),
    ("anthropic", 400, claude("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
     "no credit", "add some", False),
    ("anthropic", 404, claude("not_found_error", "model: claude-x"), "no such model", "claude-sonnet-5-5", False),
    ("anthropic", 429, claude("rate_limit_error", "This request would exceed a limit of 0 input tokens per minute"),
     "limit for this model is zero", "ask for more", False),
    ("anthropic", 400, claude("invalid_request_error", "`temperature` and `top_p` cannot both be specified"),
     "sampling settings", "generation", False),
    ("anthropic", 400, claude("invalid_request_error", "Thinking may not be enabled when tool_choice forces tool use."),
     "these settings together", "forced tools", False),
]  # fmt: skip


@pytest.mark.parametrize(("door", "status", "said", "cause", "fix", "again"), MISTAKES)
def test_a_mistake_is_told_with_its_door_its_cause_and_its_fix(
    door: str, status: int, said: tuple[Headers, Any], cause: str, fix: str, again: bool
) -> None:
    headers, body = said
    fault = get(door).fault(status, headers, json.dumps(body).encode())
    assert fault.message.startswith(f"{door}: ")
    assert cause in fault.message
    assert fix in fault.message
    assert "It said: " in fault.message
    assert fault.retryable is again


LEFT = [
    # what load alone explains is told as it came, and tried again
    ("anthropic", 529, claude("overloaded_error", "Overloaded")),
    ("anthropic", 429, claude("rate_limit_error", "This request would exceed your organization's rate limit.")),
    ("bedrock", 429, aws("ThrottlingException", "Too many requests, please wait before trying again.")),
    ("bedrock", 503, aws("ServiceUnavailableException", "Bedrock is unable to process your request.")),
    ("vertex", 429, google(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.")),
    ("foundry", 429, azure("RateLimitReached", "Requests have exceeded the call rate limit. Retry after 10 seconds.")),
]


@pytest.mark.parametrize(("door", "status", "said"), LEFT)
def test_what_load_explains_is_left_as_it_was_said(door: str, status: int, said: tuple[Headers, Any]) -> None:
    headers, body = said
    fault = get(door).fault(status, headers, json.dumps(body).encode())
    assert fault.message in json.dumps(body, ensure_ascii=False)
    assert fault.retryable


def test_every_piece_of_advice_is_for_doors_there_are_and_leaves_room_for_what_was_said() -> None:
    from bench import registry

    for row in claude_advice.TABLE:
        assert set(row.doors.split()) <= set(registry.doors())
        assert len(row.cause) + len(row.fix) < MESSAGE_LIMIT // 2


def test_a_long_error_is_cut_and_the_advice_is_not() -> None:
    headers, body = aws("AccessDeniedException", "x" * 3000)
    message = get("bedrock").fault(403, headers, json.dumps(body).encode()).message
    assert len(message) == MESSAGE_LIMIT
    assert "Model access" in message
