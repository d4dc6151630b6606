"""What lies behind an error of the doors to Claude, and what to do: one table, the first row that fits.

A row is looked up by the door and by `status code message` of the error. What the server said stays behind the advice.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from bench.providers.faults import MESSAGE_LIMIT
from bench.record import Fault


class Advice(NamedTuple):
    """`doors` in words; `when` is searched in the error."""

    doors: str
    when: str
    cause: str
    fix: str


AWS = "bedrock bedrock-mantle claude-aws"
GOOGLE = "vertex vertex-grpc claude-gcp"
EVERY = f"anthropic {AWS} {GOOGLE} foundry"
TABLE = tuple(Advice(*row) for row in (
    # AWS: who we are, and when
    (AWS, r"ExpiredToken|token included in the request is expired", "the AWS credentials have expired",
     "aws sso login, or new session keys; keys from the environment are never renewed"),
    (AWS, r"Signature (expired|not yet current)|is now (earlier|later) than", "this machine's clock is off",
     "set it by NTP: AWS takes signatures of the last five minutes only"),
    (AWS, r"scoped to a valid region|Credential should be scoped", "the request was signed for another region or service",
     "the target's region must be that of base_url; without base_url both follow from region"),
    (AWS, r"UnrecognizedClient|MissingAuthentication|IncompleteSignature|InvalidSignature|SignatureDoesNotMatch|API key",
     "the AWS credentials or the key were not accepted", "check AWS_PROFILE, the keys, or the variable that auth names"),
    ("claude-aws", r"[Ww]eb identity federation is disabled", "the account may not mint tokens for Anthropic",
     "aws iam enable-outbound-web-identity-federation, once for each account"),
    ("claude-aws", r"workspace", "the workspace is not one of this account and region",
     "workspace: or ANTHROPIC_AWS_WORKSPACE_ID, of the region that the target names"),
    # Bedrock: which models, and how much of them
    ("bedrock", r"on-demand throughput", "this id cannot be called without an inference profile",
     "a model_id with a profile, e.g. us.anthropic.NAME or global.anthropic.NAME, or none, to have it chosen"),
    ("bedrock", r"AccessDenied|access to the model|[Mm]odel access", "the account has no access to this model here",
     "request it under Model access in the Bedrock console of that region, and allow bedrock:InvokeModel*"),
    ("bedrock-mantle", r"AccessDenied|permission_error|access to the model",
     "the account has no access to this model here",
     "request it in the Bedrock console of that region, and allow bedrock-mantle:CreateInference"),
    ("bedrock", r"model identifier is invalid|ResourceNotFound", "there is no such model or profile in this region",
     "ids differ by door: here PROFILE.anthropic.NAME; or use a region that the profile holds"),
    ("bedrock bedrock-mantle", r"[Tt]oo many tokens per day|ServiceQuotaExceeded|quota.*\b0\b|limit of 0\b",
     "the account's quota for this model is used up, or zero",
     "ask for more under Service Quotas; new accounts may have none, and waiting does not help"),
    ("bedrock", r"Invalid API version|anthropic_version", "this model does not take this API version",
     "api_version: bedrock-2023-05-31 for models with a version in their id"),
    ("bedrock-mantle", r"^404 .*model|not_found_error", "this endpoint has no model of that id in the region",
     "ids differ by door: here anthropic.NAME, without profile or version"),
    # Google: who we are, and what the project may
    (GOOGLE, r"SERVICE_DISABLED|has not been used in project|it is disabled", "the API is not enabled in the project",
     "gcloud services enable NAME, as the message has it, e.g. aiplatform.googleapis.com for vertex"),
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
    # Azure
    ("foundry", r"DeploymentNotFound|deployment .*does not exist", "this resource has no deployment of that name",
     "say deployment: NAME, as the portal lists it; a new one needs some five minutes"),
    ("foundry", r"^401 .*(token|expired|audience)", "the Entra token has expired or is meant for something else",
     "az login, in the cloud of the resource"),
    ("foundry", r"^401 |invalid subscription key", "the key is not one of this resource",
     "check resource, and the variable that auth names (without one, ANTHROPIC_FOUNDRY_API_KEY)"),
    ("foundry", r"^403 .*([Nn]etwork|[Ff]irewall)", "the resource's network rules keep this machine out",
     "run inside its network, or allow this address"),
    ("foundry", r"^403 |PermissionDenied|lacks the required data action", "the identity may not call this resource",
     "give it the role Cognitive Services User on the resource"),
    ("foundry", r"limit of 0\b|quota.*\b0\b", "the deployment has no quota", "give it some; waiting does not help"),
    # Anthropic's own gate
    (EVERY, r"billing_error|credit balance|^402 ", "the account has no credit", "add some; waiting does not help"),
    ("anthropic", r"^401 |authentication_error", "the key was not accepted",
     "check the variable that auth names (without one, ANTHROPIC_API_KEY)"),
    ("anthropic claude-aws claude-gcp", r"^403 |permission_error", "the key may not use this model or feature",
     "check the workspace that the key belongs to, and its models"),
    ("anthropic claude-aws claude-gcp", r"not_found_error.*model", "there is no such model at this door",
     "ids differ by door: here Anthropic's own, e.g. claude-sonnet-5-5; models end, too"),
    (EVERY, r"limit of 0 ", "the account's limit for this model is zero", "ask for more; waiting does not help"),
    # the request
    (EVERY, r"(temperature|top_p|top_k)\S* (may only|cannot both|must be unset)|(temperature|top_p|top_k): .*not supported",
     "the model does not take these sampling settings together",
     "leave them out of the workload's generation, or pin api_version for models before 5"),
    (EVERY, r"thinking|effort parameter|tool_choice", "the model does not take these settings together",
     "thinking excludes forced tools and sampling; budgets are for models before 4.7, efforts for those after"),
    (EVERY, r"prompt is too long|context window", "the prompt is longer than the model's context",
     "a model with a longer context, or a workload with shorter prompts"),
))  # fmt: skip


def advised(door: str, status: int | None, fault: Fault) -> Fault:
    """The fault with the door, the cause and what to do before the server's own words; unchanged where none fits."""
    if fault.outcome in ("overloaded", "timeout", "server", "transport"):
        return fault
    text = f"{status if status is not None and status >= 300 else ''} {fault.code or ''} {fault.message}"
    for row in TABLE:
        if door in row.doors.split() and re.search(row.when, text):
            message = f"{door}: {row.cause}: {row.fix}." + (f" It said: {fault.message}" if fault.message else "")
            message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
            return replace(fault, message=message, retryable=fault.retryable and "waiting does not help" not in row.fix)
    return fault
