"""What lies behind an error of the doors to OpenAI's models, and what to do: one table, the first row that fits.

A row is looked up by the door and by `status code message` of the error. What the server said stays behind the advice.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from bench.providers.faults import MESSAGE_LIMIT
from bench.providers.headers import first
from bench.record import Fault


class Advice(NamedTuple):
    """`doors` in words; `when` is searched in the error."""

    doors: str
    when: str
    cause: str
    fix: str


EVERY = "openai azure-openai openai-bedrock openai-vertex"
TABLE = tuple(Advice(*row) for row in (
    # the account: waiting does not help
    ("openai azure-openai", r"insufficient_?quota|billing|exceeded your current quota",
     "the account has no credit or no quota left", "add credit or raise the limit; waiting does not help"),
    ("openai", r"mismatched_organization|invalid_organization|mismatched_project|organization.*header",
     "key, organisation and project do not belong together",
     "check organization and project of the target, OPENAI_ORG_ID and OPENAI_PROJECT_ID"),
    ("openai", r"unsupported_country", "this machine's address is in a country that is not served",
     "run from a region that is"),
    ("openai", r"model_not_found|^404 ", "there is no such model for this project",
     "check model_id, and that the project may use it"),
    ("openai", r"^401 |invalid_api_key|^403 ", "the key was not accepted",
     "check the variable that auth names (without one, OPENAI_API_KEY)"),
    ("azure-openai", r"content_filter|ResponsibleAIPolicy", "the deployment's content filter stopped the prompt",
     "compare deployments with the same filter, or take the prompt out for every target"),
    ("azure-openai", r"DeploymentNotFound|deployment .*does not exist", "this resource has no deployment of that name",
     "say deployment: NAME, as the portal lists it; a new one needs some five minutes"),
    ("azure-openai", r"api[- _]version.*(not supported|missing|invalid)", "this API version is not served there",
     "leave api_version out for the v1 API, or name a dated one that the resource serves"),
    ("azure-openai", r"(PermissionDenied|AuthorizationFailed|lacks the required data action)",
     "the signed-in identity may not call this resource",
     "give it the role Cognitive Services OpenAI User on the resource"),
    ("azure-openai", r"^401 .*(token|expired|audience)", "the Entra token has expired or is meant for something else",
     "az login, in the cloud of the resource; a token in a variable is never renewed"),
    ("azure-openai", r"^401 |Access denied due to invalid subscription key",
     "the key is not one of this resource", "check resource, and the variable that auth names"),
    ("azure-openai", r"^403 .*(network|firewall|private)", "the resource's network rules keep this machine out",
     "run inside its network, or allow this address"),
    ("azure-openai", r"^404 ", "the resource does not know this address", "check resource, base_url and api_version"),
    ("openai-bedrock", r"expired", "the AWS credentials or the Bedrock key have expired",
     "aws sso login, or a new key"),
    ("openai-bedrock", r"UnrecognizedClient|InvalidSignature|IncompleteSignature|MissingAuthentication|^401 |API key",
     "the AWS credentials were not accepted", "check profile, keys and region; a clock more than five minutes off too"),
    ("openai-bedrock", r"AccessDenied|^403 |access to the model", "the account has no access to this model here",
     "request it under Model access in the Bedrock console of that region, and allow bedrock:InvokeModel"),
    ("openai-bedrock", r"on-demand throughput", "this id cannot be called without an inference profile",
     "model_id with a profile, e.g. us.openai.... or global.openai...."),
    ("openai-bedrock", r"^404 |ResourceNotFound|model identifier is invalid|model_not_found",
     "this endpoint has no model of that id in the region",
     "ids differ: openai.NAME on mantle, us.openai.NAME or openai.NAME-1:0 on the runtime; sku: mantle or runtime"),
    ("openai-bedrock", r"ServiceQuotaExceeded|too many tokens per day", "the account's quota for this model is used up",
     "ask for more under Service Quotas; a new account may have none"),
    ("openai-vertex", r"^401 |UNAUTHENTICATED", "the Google access token has expired or is none",
     "gcloud auth application-default login; a token in a variable is never renewed"),
    ("openai-vertex", r"SERVICE_DISABLED|has not been used in project|it is disabled",
     "the Vertex AI API is not enabled in the project", "gcloud services enable aiplatform.googleapis.com"),
    ("openai-vertex", r"^403 |PERMISSION_DENIED", "the account may not call models in this project",
     "give it the role roles/aiplatform.user, and check project"),
    ("openai-vertex", r"^404 |NOT_FOUND|not servable", "the model is not enabled for the project, or not offered there",
     "enable its API Service in Model Garden, or try region: global"),
    # the request
    (EVERY, r"unsupported_(parameter|value)|[Uu]nsupported (parameter|value)|Unknown parameter|unknown_parameter",
     "the model does not take a setting that was sent",
     "leave it out of the workload's generation, or of the target's params and extra_body"),
    (EVERY, r"context_length_exceeded|maximum context length", "the prompt is longer than the model's context",
     "a model with a longer context, or a workload with shorter prompts"),
    # the load
    (EVERY, r"^429 |RateLimitReached|rate_limit|Throttling|RESOURCE_EXHAUSTED",
     "the limit of requests or tokens a minute is reached",
     "state the target's limits, which paces the plan, or ask for more"),
    # servers whose make a preset names
    ("openai-compatible", r"try pulling it", "the server has not loaded this model", "ollama pull NAME"),
))  # fmt: skip

NO_QUOTA = "the quota of the deployment or project is zero"


def advised(door: str, status: int | None, headers: tuple[tuple[str, str], ...], fault: Fault) -> Fault:
    """The fault with the door, the cause and what to do before the server's own words; unchanged where none fits."""
    if door in EVERY.split() and fault.outcome == "throttled" and _no_quota(headers, fault.message):
        return _told(door, NO_QUOTA, "ask for quota, or use another region; waiting does not help",
                     replace(fault, retryable=False))  # fmt: skip
    text = f"{status if status is not None and status >= 300 else ''} {fault.code or ''} {fault.message}"
    for row in TABLE:
        if door in row.doors.split() and re.search(row.when, text, re.IGNORECASE):
            return _told(door, row.cause, row.fix, fault)
    return fault


def _told(door: str, cause: str, fix: str, fault: Fault) -> Fault:
    message = f"{door}: {cause}: {fix}." + (f" It said: {fault.message}" if fault.message else "")
    return replace(fault, message=message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…")


def _no_quota(headers: tuple[tuple[str, str], ...], message: str) -> bool:
    """A limit of nothing at all, which no waiting fills."""
    limits = [value for name, value in first(headers).items() if re.fullmatch(r"x-ratelimit-limit-\w+", name)]
    return "0" in limits or re.search(r"\blimit: 0\b", message) is not None
