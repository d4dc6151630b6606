"""What lies behind an error, and what to do: one table for all doors, the first row that fits.

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
    """`doors` in words; `when` is searched in the error, in any case."""

    doors: str
    when: str
    cause: str
    fix: str


IN_VAIN = "waiting does not help"
"""A fix that says so keeps the request from being tried again."""

CLAUDE_ON_AWS = "bedrock bedrock-mantle claude-aws"
AWS = f"{CLAUDE_ON_AWS} openai-bedrock"
GOOGLE = "vertex vertex-grpc gemini-vertex openai-vertex claude-gcp"
AZURE = "foundry azure-openai"
CLAUDE = f"anthropic {CLAUDE_ON_AWS} vertex vertex-grpc claude-gcp foundry"
OPENAI = "openai azure-openai openai-bedrock openai-vertex"
TABLE = tuple(Advice(*row) for row in (
    # a quota of nothing
    (OPENAI, r"\blimit: 0\b", "the quota of the deployment or project is zero",
     "ask for quota, or use another region; waiting does not help"),
    # AWS: who we are, and when
    (AWS, r"ExpiredToken|(token|credentials)\b.*\bexpired", "the AWS credentials have expired",
     "aws sso login, or new session keys; keys from the environment are never renewed"),
    (AWS, r"key\b.*\bexpired", "the key has expired", "a new one, in the variable that auth names"),
    (AWS, r"Signature (expired|not yet current)|is now (earlier|later) than", "this machine's clock is off",
     "set it by NTP: AWS takes signatures of the last five minutes only"),
    (AWS, r"scoped to a valid region|Credential should be scoped", "the request was signed for another region or service",
     "the target's region must be that of base_url; without base_url both follow from region"),
    (AWS, r"UnrecognizedClient|MissingAuthentication|IncompleteSignature|InvalidSignature|SignatureDoesNotMatch|API key",
     "the AWS credentials or the key were not accepted",
     "check AWS_PROFILE, the keys, or the variable that auth names; a clock more than five minutes off, too"),
    ("openai-bedrock", r"^401 ", "the AWS credentials or the key were not accepted",
     "check profile, keys and region, or the variable that auth names"),
    ("claude-aws", r"web identity federation is disabled", "the account may not mint tokens for Anthropic",
     "aws iam enable-outbound-web-identity-federation, once for each account"),
    ("claude-aws", r"workspace", "the workspace is not one of this account and region",
     "workspace: or ANTHROPIC_AWS_WORKSPACE_ID, of the region that the target names"),
    # Bedrock: which models, and how much of them
    ("bedrock", r"on-demand throughput", "this id cannot be called without an inference profile",
     "a model_id with a profile, e.g. us.anthropic.NAME or global.anthropic.NAME, or none, to have it chosen"),
    ("openai-bedrock", r"on-demand throughput", "this id cannot be called without an inference profile",
     "model_id with a profile, e.g. us.openai.... or global.openai...."),
    ("bedrock", r"AccessDenied|access to the model|model access", "the account has no access to this model here",
     "request it under Model access in the Bedrock console of that region, and allow bedrock:InvokeModel*"),
    ("openai-bedrock", r"AccessDenied|^403 |access to the model", "the account has no access to this model here",
     "request it under Model access in the Bedrock console of that region, and allow bedrock:InvokeModel"),
    ("bedrock-mantle", r"AccessDenied|permission_error|access to the model",
     "the account has no access to this model here",
     "request it in the Bedrock console of that region, and allow bedrock-mantle:CreateInference"),
    ("bedrock", r"model identifier is invalid|ResourceNotFound", "there is no such model or profile in this region",
     "ids differ by door: here PROFILE.anthropic.NAME; or use a region that the profile holds"),
    ("bedrock-mantle", r"^404 .*model|not_found_error", "this endpoint has no model of that id in the region",
     "ids differ by door: here anthropic.NAME, without profile or version"),
    ("openai-bedrock", r"^404 |ResourceNotFound|model identifier is invalid|model_not_found",
     "this endpoint has no model of that id in the region",
     "ids differ: openai.NAME on mantle, us.openai.NAME or openai.NAME-1:0 on the runtime; sku: mantle or runtime"),
    ("bedrock bedrock-mantle openai-bedrock",
     r"too many tokens per day|ServiceQuotaExceeded|quota.*\b0\b|limit of 0\b",
     "the account's quota for this model is used up, or zero",
     "ask for more under Service Quotas; new accounts may have none, and waiting does not help"),
    ("bedrock", r"Invalid API version|anthropic_version", "this model does not take this API version",
     "api_version: bedrock-2023-05-31 for models with a version in their id"),
    # Google: who we are, and what the project may
    (GOOGLE, r"SERVICE_DISABLED|has not been used in project|it is disabled", "the API is not enabled in the project",
     "gcloud services enable NAME, as the message has it, e.g. aiplatform.googleapis.com for Vertex AI"),
    (GOOGLE, r"^401 |UNAUTHENTICATED", "the Google access token has expired or is none",
     "gcloud auth application-default login; a token in a variable is never renewed"),
    (GOOGLE, r"(limit: 0\b|quota_limit_value.{0,4}0\b|limit of 0\b)", "the project has no quota for this model there",
     "ask for some under Quotas, or use another region; waiting does not help"),
    ("claude-gcp", r"^403 |PERMISSION_DENIED", "the account may not use this project or workspace",
     "check project and workspace, and the account's role in the project"),
    (GOOGLE, r"^403 |PERMISSION_DENIED", "the account may not call models in this project",
     "give it the role roles/aiplatform.user, and check project"),
    ("vertex vertex-grpc", r"^404 |NOT_FOUND|not servable", "the model is not enabled for the project, or not there",
     "enable it in Model Garden; ids differ by door: here NAME@DATE or NAME; or try region: global"),
    ("gemini-vertex", r"^404 |NOT_FOUND", "there is no such model in this location",
     "check model_id and region, or try region: global"),
    ("openai-vertex", r"^404 |NOT_FOUND|not servable", "the model is not enabled for the project, or not offered there",
     "enable its API Service in Model Garden, or try region: global"),
    # Azure
    ("azure-openai", r"content_filter|ResponsibleAIPolicy", "the deployment's content filter stopped the prompt",
     "compare deployments with the same filter, or take the prompt out for every target"),
    (AZURE, r"DeploymentNotFound|deployment .*does not exist", "this resource has no deployment of that name",
     "say deployment: NAME, as the portal lists it; a new one needs some five minutes"),
    ("azure-openai", r"api[- _]version.*(not supported|missing|invalid)", "this API version is not served there",
     "leave api_version out for the v1 API, or name a dated one that the resource serves"),
    (AZURE, r"^403 .*(network|firewall|private endpoint)", "the resource's network rules keep this machine out",
     "run inside its network, or allow this address"),
    ("azure-openai", r"(PermissionDenied|AuthorizationFailed|lacks the required data action)",
     "the signed-in identity may not call this resource",
     "give it the role Cognitive Services OpenAI User on the resource"),
    ("foundry", r"^403 |PermissionDenied|lacks the required data action", "the identity may not call this resource",
     "give it the role Cognitive Services User on the resource"),
    (AZURE, r"^401 .*(token|expired|audience)", "the Entra token has expired or is meant for something else",
     "az login, in the cloud of the resource; a token in a variable is never renewed"),
    ("foundry", r"^401 |invalid subscription key", "the key is not one of this resource",
     "check resource, and the variable that auth names (without one, ANTHROPIC_FOUNDRY_API_KEY)"),
    ("azure-openai", r"^401 |Access denied due to invalid subscription key",
     "the key is not one of this resource", "check resource, and the variable that auth names"),
    ("azure-openai", r"^404 ", "the resource does not know this address", "check resource, base_url and api_version"),
    ("foundry", r"limit of 0\b|quota.*\b0\b", "the deployment has no quota", "give it some; waiting does not help"),
    # OpenAI
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
    # Anthropic
    (CLAUDE, r"billing_error|credit balance|^402 ", "the account has no credit", "add some; waiting does not help"),
    ("anthropic", r"^401 |authentication_error", "the key was not accepted",
     "check the variable that auth names (without one, ANTHROPIC_API_KEY)"),
    ("anthropic claude-aws claude-gcp", r"^403 |permission_error", "the key may not use this model or feature",
     "check the workspace that the key belongs to, and its models"),
    ("anthropic claude-aws claude-gcp", r"not_found_error.*model", "there is no such model at this door",
     "ids differ by door: here Anthropic's own, e.g. claude-sonnet-5-5; models end, too"),
    (CLAUDE, r"limit of 0 ", "the account's limit for this model is zero", "ask for more; waiting does not help"),
    # servers whose make a preset names
    ("openai-compatible", r"try pulling it", "the server has not loaded this model", "ollama pull NAME"),
    # the request
    (OPENAI, r"unsupported_(parameter|value)|unsupported (parameter|value)|Unknown parameter|unknown_parameter",
     "the model does not take a setting that was sent",
     "leave it out of the workload's generation, or of the target's params and extra_body"),
    (OPENAI, r"context_length_exceeded|maximum context length", "the prompt is longer than the model's context",
     "a model with a longer context, or a workload with shorter prompts"),
    (CLAUDE, r"(temperature|top_p|top_k)\S* (may only|cannot both|must be unset)|(temperature|top_p|top_k): .*not supported",
     "the model does not take these sampling settings together",
     "leave them out of the workload's generation, or pin api_version for models before 5"),
    (CLAUDE, r"thinking|effort parameter|tool_choice", "the model does not take these settings together",
     "thinking excludes forced tools and sampling; budgets are for models before 4.7, efforts for those after"),
    (CLAUDE, r"prompt is too long|context window", "the prompt is longer than the model's context",
     "a model with a longer context, or a workload with shorter prompts"),
    # the load
    (OPENAI, r"^429 |RateLimitReached|rate_limit|Throttling|RESOURCE_EXHAUSTED",
     "the limit of requests or tokens a minute is reached",
     "state the target's limits, which paces the plan, or ask for more"),
))  # fmt: skip

EXPLAINED = ("overloaded", "timeout", "server", "transport")
"""Outcomes that say all there is to say."""


def advised(door: str, status: int | None, headers: tuple[tuple[str, str], ...], fault: Fault) -> Fault:
    """The fault with the door, the cause and what to do before the server's own words; unchanged where none fits."""
    if fault.outcome in EXPLAINED:
        return fault
    text = f"{status if status is not None and status >= 300 else ''} {fault.code or ''} {fault.message}"
    if fault.outcome == "throttled" and _no_quota(headers):
        text += " limit: 0"
    for row in TABLE:
        if door in row.doors.split() and re.search(row.when, text, re.IGNORECASE):
            message = f"{door}: {row.cause}: {row.fix}." + (f" It said: {fault.message}" if fault.message else "")
            message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
            return replace(fault, message=message, retryable=fault.retryable and IN_VAIN not in row.fix)
    return fault


def _no_quota(headers: tuple[tuple[str, str], ...]) -> bool:
    """A limit of nothing at all, which no waiting fills."""
    return any(value == "0" and re.fullmatch(r"x-ratelimit-limit-\w+", name) for name, value in first(headers).items())
