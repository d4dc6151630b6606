"""What the doors to OpenAI's models say before they send, where they go, how they read errors, and what presets know."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import __version__, providers
from bench.cli import main
from bench.errors import CannotRun, ConfigError
from bench.providers import auth, foundry, openai_bedrock
from bench.providers.presets import PRESETS
from bench.record import Connection, Exchange, Params, Reply
from bench.targets import Target, load_targets

FACTS: dict[str, dict[str, Any]] = {
    "openai": {},
    "azure-openai": {"resource": "r1"},
    "openai-bedrock": {"region": "us-east-1", "model_id": "openai.gpt-6.1-sol"},
    "openai-vertex": {"region": "us-central1", "project": "p1", "model_id": "openai/gpt-oss-120b-maas"},
    "openai-compatible": {"base_url": "http://127.0.0.1:8000/v1"},
}


def target(door: str, **facts: Any) -> Target:
    common = {"model": "gpt-6.1-sol", "model_id": "gpt-6.1-sol", "dialect": "chat"}
    return Target(id="t", provider=door, **{**common, **FACTS[door], **facts})


@pytest.fixture(autouse=True)
def on_no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that runs the tests may itself stand in a cloud and have an az."""
    monkeypatch.setattr(auth, "machine_says", lambda path, word: False)
    monkeypatch.setattr(foundry, "which", lambda program: None)


def paths(door: str, **facts: Any) -> list[str]:
    found = providers.get(door).check(target(door, **facts))
    assert all(problem.where == "t" and problem.want for problem in found)
    return [problem.path for problem in found]


MISSING = [
    # nothing in the environment: everything that is missing, at once
    ("openai", {}, ["auth"]),
    ("openai", {"dialect": "messages", "service_tier": "gold", "region": "mars", "api_version": "v1"},
     ["dialect", "auth", "region", "service_tier", "api_version"]),
    ("openai", {"service_tier": "ultrafast", "auth": {"env": "K"}}, ["auth.env", "service_tier"]),
    ("azure-openai", {"resource": None}, ["resource", "auth"]),
    ("azure-openai", {"api_version": "latest", "service_tier": "flex", "auth": {"profile": "p"}},
     ["auth.profile", "service_tier", "api_version"]),
    ("openai-bedrock", {"region": None}, ["region", "auth"]),
    ("openai-bedrock", {"auth": {"profile": "nobody"}, "sku": "both", "api_version": "1"},
     ["auth.profile", "sku", "api_version"]),
    ("openai-vertex", {"region": None, "project": None, "service_tier": "flex"},
     ["service_tier", "region", "project", "auth"]),
    ("openai-vertex", {"auth": {"env": "UNSET"}}, ["auth.env"]),
    ("openai-compatible", {"preset": "vlm"}, ["preset"]),
    ("openai-compatible", {"preset": "openrouter", "base_url": None, "dialect": "responses"}, ["dialect", "auth"]),
    ("openai-compatible", {"preset": "ollama", "service_tier": "flex"}, ["service_tier"]),
    ("openai-compatible", {"base_url": None}, ["base_url"]),
    *[("openai-compatible", {"preset": name, "base_url": None}, []) for name in PRESETS if name != "openrouter"],
]  # fmt: skip


@pytest.mark.parametrize(("door", "facts", "want"), MISSING)
def test_everything_that_is_missing_is_named_at_once(door: str, facts: dict[str, Any], want: list[str]) -> None:
    assert paths(door, **facts) == want


ENOUGH: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("openai", {}, {"OPENAI_API_KEY": "k"}),
    ("openai", {"auth": {"env": "K"}, "service_tier": "flex", "region": "eu"}, {"K": "k"}),
    ("openai", {"dialect": "responses", "service_tier": "ultrafast"}, {"OPENAI_API_KEY": "k"}),
    ("azure-openai", {}, {"AZURE_OPENAI_API_KEY": "k"}),
    ("azure-openai", {"resource": None}, {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.example"}),
    ("azure-openai", {"api_version": "v1"}, {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b", "AZURE_CLIENT_SECRET": "c"}),
    ("azure-openai", {"api_version": "2024-10-21"}, {"IDENTITY_ENDPOINT": "http://localhost/"}),
    ("openai-bedrock", {}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}),
    ("openai-bedrock", {"region": None}, {"AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_REGION": "us-east-1"}),
    ("openai-vertex", {"auth": {"env": "K"}}, {"K": "ya29"}),
    ("openai-vertex", {"region": None, "project": None},
     {"GCE_METADATA_HOST": "127.0.0.1", "GOOGLE_CLOUD_LOCATION": "global", "GOOGLE_CLOUD_PROJECT": "p"}),
    ("openai-compatible", {"preset": "openrouter", "auth": {"env": "K"}}, {"K": "k"}),
]  # fmt: skip


@pytest.mark.parametrize(("door", "facts", "environment"), ENOUGH)
def test_each_usual_way_of_signing_in_is_enough(
    door: str, facts: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paths(door, **facts) == []
    assert providers.get(door).route(target(door, **facts))["auth"]


@pytest.mark.parametrize("door", ["openai", "azure-openai"])
def test_a_variable_that_would_change_every_request_is_refused(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer mine")
    (problem,) = providers.get(door).check(target(door, auth={"env": "KEY"}))
    assert "OPENAI_CUSTOM_HEADERS" in problem.got
    assert "Bearer" not in str(problem)


def test_a_missing_sdk_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    provider = providers.get("openai")
    (problem,) = provider.check(target("openai"))
    assert (problem.got, problem.want) == ("openai is not installed", "pip install 'bench[openai]'")
    with pytest.raises(CannotRun) as raised:
        asyncio.run(provider.prepare(target("openai"), {"model": "m", "messages": []}))
    assert raised.value.hint == "pip install 'bench[openai]'"


def test_a_compatible_server_is_asked_without_any_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer mine")
    provider = providers.get("openai-compatible")
    one = target("openai-compatible", base_url="http://u:p%40ss@127.0.0.1:9/v1/")
    assert provider.check(one) == []
    request = asyncio.run(provider.prepare(one, {"model": "m", "messages": []}, {"X-Trace": "1"}))
    assert str(request.url).endswith("@127.0.0.1:9/v1/chat/completions")
    # a user and a password in the address sign in, as with every HTTP client: u:p@ss in base64
    assert request.headers.get_list("authorization") == ["Basic dTpwQHNz"]
    assert (request.headers["user-agent"], request.headers["x-trace"]) == (f"bench/{__version__}", "1")
    assert provider.client_stack(one) == "no SDK"


ROUTES = [
    # door, facts -> host, path
    ("openai", {}, "api.openai.com", "/v1/chat/completions"),
    ("openai", {"region": "eu"}, "eu.api.openai.com", "/v1/chat/completions"),
    ("openai", {"region": "global", "dialect": "responses"}, "api.openai.com", "/v1/responses"),
    ("azure-openai", {}, "r1.openai.azure.com", "/openai/v1/chat/completions"),
    ("azure-openai", {"dialect": "responses", "api_version": "v1"}, "r1.openai.azure.com", "/openai/v1/responses"),
    ("azure-openai", {"region": "usgovarizona"}, "r1.openai.azure.us", "/openai/v1/chat/completions"),
    ("azure-openai", {"region": "chinaeast2"}, "r1.openai.azure.cn", "/openai/v1/chat/completions"),
    ("azure-openai", {"api_version": "2024-10-21"}, "r1.openai.azure.com",
     "/openai/deployments/{model}/chat/completions"),
    ("azure-openai", {"api_version": "2024-10-21", "dialect": "responses"}, "r1.openai.azure.com", "/openai/responses"),
    ("azure-openai", {"base_url": "https://r9.services.ai.azure.com"}, "r9.services.ai.azure.com",
     "/openai/v1/chat/completions"),
    ("azure-openai", {"base_url": "https://gate.example/openai/v1/"}, "gate.example", "/openai/v1/chat/completions"),
    ("openai-bedrock", {}, "bedrock-mantle.us-east-1.api.aws", "/openai/v1/chat/completions"),
    ("openai-bedrock", {"model_id": "openai.gpt-oss-120b"}, "bedrock-mantle.us-east-1.api.aws", "/v1/chat/completions"),
    ("openai-bedrock", {"model_id": "openai.gpt-oss-120b-1:0"}, "bedrock-runtime.us-east-1.amazonaws.com",
     "/openai/v1/chat/completions"),
    ("openai-bedrock", {"model_id": "global.openai.gpt-6.1-sol", "dialect": "responses"},
     "bedrock-runtime.us-east-1.amazonaws.com", "/openai/v1/responses"),
    ("openai-bedrock", {"sku": "runtime"}, "bedrock-runtime.us-east-1.amazonaws.com", "/openai/v1/chat/completions"),
    ("openai-vertex", {}, "us-central1-aiplatform.googleapis.com",
     "/v1/projects/p1/locations/us-central1/endpoints/openapi/chat/completions"),
    ("openai-vertex", {"region": "global", "dialect": "responses"}, "aiplatform.googleapis.com",
     "/v1/projects/p1/locations/global/publishers/openai/v1/responses"),
    ("openai-vertex", {"region": "eu"}, "aiplatform.eu.rep.googleapis.com",
     "/v1/projects/p1/locations/eu/endpoints/openapi/chat/completions"),
    ("openai-compatible", {"dialect": "responses"}, "127.0.0.1:8000", "/v1/responses"),
    *[("openai-compatible", {"preset": name, "base_url": None}, host, path) for name, host, path in (
        ("vllm", "localhost:8000", "/v1/chat/completions"),
        ("sglang", "localhost:30000", "/v1/chat/completions"),
        ("nim", "localhost:8000", "/v1/chat/completions"),
        ("ollama", "localhost:11434", "/v1/chat/completions"),
        ("litellm", "localhost:4000", "/v1/chat/completions"),
        ("openrouter", "openrouter.ai", "/api/v1/chat/completions"),
    )],
    ("openai-compatible", {"preset": "vllm"}, "127.0.0.1:8000", "/v1/chat/completions"),  # what the target says stands
]  # fmt: skip


@pytest.mark.parametrize(("door", "facts", "host", "path"), ROUTES)
def test_the_route_that_is_recorded_is_the_one_that_is_taken(
    door: str, facts: dict[str, Any], host: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "k")
    one = target(door, **{**facts, "auth": {"env": "TOKEN"}})
    provider = providers.get(door)
    route = provider.route(one)
    assert (route["host"], route["path"]) == (host, path)
    body = {"model": one.model_id, "stream": True, "messages": []}
    request = asyncio.run(provider.prepare(one, body))
    asyncio.run(provider.close())
    assert request.url.netloc.decode() == host
    assert request.url.path == path.replace("{model}", one.model_id)
    version = one.api_version if one.api_version != "v1" else None
    assert request.url.params.get("api-version") == version


def test_an_address_in_the_environment_is_recorded_where_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gate.example/v1")
    monkeypatch.setenv("AWS_BEDROCK_BASE_URL", "https://aws-gate.example/openai/v1")
    hosts = {"openai": "gate.example", "azure-openai": "r1.openai.azure.com", "openai-bedrock": "aws-gate.example"}
    for door, host in hosts.items():
        provider = providers.get(door)
        request = asyncio.run(provider.prepare(target(door), {"model": "m", "messages": []}))
        assert provider.route(target(door))["host"] == request.url.host == host
        asyncio.run(provider.close())
    eu = target("openai", region="eu")  # data that must stay in a place does not go to whatever the shell says
    provider = providers.get("openai")
    request = asyncio.run(provider.prepare(eu, {"model": "m", "messages": []}))
    assert provider.route(eu)["host"] == request.url.host == "eu.api.openai.com"
    asyncio.run(provider.close())


def test_the_endpoint_of_bedrock_follows_address_then_sku_then_id() -> None:
    base = target("openai-bedrock", base_url="https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", sku="mantle")
    assert openai_bedrock.endpoint(base) == "runtime"
    assert openai_bedrock.endpoint(replace(base, base_url=None)) == "mantle"
    assert openai_bedrock.endpoint(replace(base, base_url=None, sku=None, model_id="us.openai.gpt-5.5")) == "runtime"


def exchange(**headers: str) -> Exchange:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Exchange(0, 1, 2, 200, pairs, (), Connection(reused=True))


PROOFS: list[tuple[str, dict[str, Any], str | None, dict[str, str], str]] = [
    # door, facts, served model, headers -> verdict
    ("openai", {"model_id": "gpt-5", "model": "gpt-5"}, "gpt-5-2025-08-07", {}, "consistent"),
    ("openai", {"model_id": "gpt-5", "model": "gpt-5"}, "gpt-5-mini-2025-08-07", {}, "contradicted"),
    ("openai", {"model_id": "gpt-5-2025-08-07", "model": "gpt-5"}, "gpt-5", {}, "consistent"),
    ("openai", {"model_id": "gpt-5.9", "model": "gpt-5.9"}, "gpt-5.9-sol", {}, "unknown"),  # an alias, perhaps
    ("openai", {}, None, {}, "unknown"),
    ("openai", {}, None, {"openai_processing_ms": "12"}, "consistent"),
    ("openai", {}, "gpt-6.1-sol", {"apim_request_id": "x"}, "contradicted"),  # Azure answered
    ("azure-openai", {"deployment": "mine"}, "gpt-6.1-sol-2026-09-29", {"apim_request_id": "x"}, "consistent"),
    ("azure-openai", {"region": "eastus2"}, None, {"x_ms_region": "East US 2"}, "consistent"),
    ("azure-openai", {"region": "eastus2"}, "gpt-6.1-sol", {"x_ms_region": "West Europe"}, "contradicted"),
    ("azure-openai", {}, "gpt-6.1-sol", {"x_ms_spillover_from_deployment": "ptu"}, "contradicted"),
    ("azure-openai", {}, "gpt-6.1-sol", {"openai_processing_ms": "9", "x_ms_region": "East US"}, "consistent"),
    ("openai-bedrock", {}, "openai.gpt-6.1-sol", {"x_amzn_requestid": "x"}, "consistent"),
    ("openai-bedrock", {}, "openai.gpt-5.6-sol", {"x_amzn_requestid": "x"}, "contradicted"),
    ("openai-vertex", {"model": "gpt-oss-120b"}, "openai/gpt-oss-120b-maas", {}, "consistent"),
    ("openai-vertex", {"model": "gpt-oss-120b"}, "openai/gpt-oss-20b-maas", {}, "contradicted"),
    ("openai-vertex", {"model": "llama", "model_id": "meta/llama-3.3-70b-instruct-maas"}, "gpt-5", {}, "unknown"),
    # anybody may stand behind a gateway, so headers say nothing; another model than asked is another model
    (
        "openai-compatible",
        {},
        "gpt-6.1-sol",
        {"apim_request_id": "x", "x_ms_spillover_from_deployment": "p"},
        "unknown",
    ),
    ("openai-compatible", {}, "gpt-5", {"apim_request_id": "x"}, "contradicted"),
    ("openai-compatible", {"model": "ours", "model_id": "ours"}, "gpt-5", {}, "unknown"),
    ("azure-openai", {}, "gpt-6.1-sol", {"openai_processing_ms": "9"}, "contradicted"),  # OpenAI itself answered
    ("openai-vertex", {"model": "gpt-oss-120b"}, None, {"x_amzn_requestid": "x"}, "contradicted"),
    ("openai-bedrock", {}, None, {"x_amzn_requestid": "x", "openai_version": "1"}, "contradicted"),
]


@pytest.mark.parametrize(("door", "facts", "model", "headers", "want"), PROOFS)
def test_a_reply_that_speaks_against_its_route_is_found_out(
    door: str, facts: dict[str, Any], model: str | None, headers: dict[str, str], want: str
) -> None:
    reply = Reply(served_model=model)
    assert providers.get(door).region_proof(target(door, **facts), exchange(**headers), reply) == want


# ------------------------------------------------------------------------------------------------ errors

DATE = ("date", "Sun, 22 Nov 2026 12:00:00 GMT")


def oai(kind: str | None, code: Any = None, message: str = "m") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def azure(code: str, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


def google(code: int, status: str, message: str = "m", **more: Any) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message, "status": status, **more}}]


def aws(name: str) -> tuple[tuple[str, str], ...]:
    return (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)


RETRY = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
FAULTS: list[tuple[str, int, Any, Any, str, bool, float | None, str]] = [
    # door, status, headers, body -> outcome, retryable, wait in s, words of the cause or the fix
    ("openai", 400, (), oai("invalid_request_error", "unsupported_parameter"), "bad_request", False, None, "leave it out"),
    ("openai", 400, (), oai("invalid_request_error", "unsupported_value"), "bad_request", False, None, "does not take"),
    ("openai", 400, (), oai("invalid_request_error", "context_length_exceeded"), "bad_request", False, None, "longer"),
    ("openai", 401, (), oai("invalid_request_error", "invalid_api_key"), "auth", False, None, "OPENAI_API_KEY"),
    ("openai", 401, (), oai("invalid_request_error", "mismatched_organization"), "auth", False, None, "OPENAI_ORG_ID"),
    ("openai", 403, (), oai("invalid_request_error", "model_not_found"), "bad_request", False, None, "model_id"),
    ("openai", 403, (), oai("request_forbidden", "unsupported_country_region_territory"), "auth", False, None, "country"),
    ("openai", 404, (), oai("invalid_request_error", "model_not_found"), "bad_request", False, None, "model_id"),
    ("openai", 429, (), oai("insufficient_quota", "insufficient_quota"), "auth", False, None, "waiting does not help"),
    ("openai", 429, (("x-ratelimit-limit-requests", "500"), ("x-ratelimit-remaining-requests", "0"),
                     ("x-ratelimit-reset-requests", "6m0s")), oai("requests", "rate_limit_exceeded"), "throttled", True,
     360.0, "limits"),
    ("openai", 429, (("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "120ms")),
     oai("tokens", "rate_limit_exceeded"), "throttled", True, 0.12, "limits"),
    ("openai", 429, (("x-ratelimit-limit-tokens", "0"),), oai("tokens", "rate_limit_exceeded"), "throttled", False, None,
     "zero"),
    ("openai", 200, (), oai("server_error", "server_error"), "server", True, None, ""),
    ("openai", 503, (), oai("server_error", "slow_down"), "overloaded", True, None, ""),
    ("azure-openai", 400, (), azure("content_filter", param="prompt", status=400,
                                    innererror={"code": "ResponsibleAIPolicyViolation"}), "filtered", False, None,
     "content filter"),
    ("azure-openai", 401, (), azure("401", "Access denied due to invalid subscription key or wrong API endpoint."),
     "auth", False, None, "check resource"),
    ("azure-openai", 401, (), azure("Unauthorized", "Access token is missing, invalid, audience is incorrect "
                                    "(https://cognitiveservices.azure.com), or have expired."), "auth", False, None,
     "Entra token"),
    ("azure-openai", 401, (), azure("PermissionDenied", "The principal lacks the required data action."), "auth", False,
     None, "Cognitive Services OpenAI User"),
    ("azure-openai", 403, (), azure("403", "Access denied due to Virtual Network/Firewall rules."), "auth", False, None,
     "network rules"),
    ("azure-openai", 404, (), azure("DeploymentNotFound", "The API deployment does not exist."), "bad_request", False,
     None, "deployment: NAME"),
    ("azure-openai", 404, (), azure("404", "Resource not found"), "bad_request", False, None, "base_url"),
    ("azure-openai", 400, (), azure("BadRequest", "API version not supported"), "bad_request", False, None, "api_version"),
    ("azure-openai", 429, (("retry-after", "7"), ("retry-after-ms", "6500")), azure("RateLimitReached"), "throttled",
     True, 6.5, "limits"),
    ("azure-openai", 429, (("x-ratelimit-limit-tokens", "0"),), azure("RateLimitReached"), "throttled", False, None,
     "quota"),
    ("azure-openai", 429, (), azure("insufficient_quota"), "auth", False, None, "no credit"),
    ("azure-openai", 503, (), azure("ServiceUnavailable"), "overloaded", True, None, ""),
    ("openai-bedrock", 403, aws("AccessDeniedException"), {"message": "You don't have access to the model."}, "auth",
     False, None, "Model access"),
    ("openai-bedrock", 403, aws("ExpiredTokenException"), {"message": "The security token is expired"}, "auth", False,
     None, "have expired"),
    ("openai-bedrock", 403, aws("InvalidSignatureException"), {"message": "m"}, "auth", False, None, "clock"),
    ("openai-bedrock", 400, aws("ValidationException"),
     {"message": "Invocation of model ID x with on-demand throughput isn't supported."}, "bad_request", False, None,
     "inference profile"),
    ("openai-bedrock", 404, (), oai("invalid_request_error", "model_not_found"), "bad_request", False, None, "sku"),
    ("openai-bedrock", 400, aws("ServiceQuotaExceededException"), {"message": "m"}, "throttled", False, None,
     "Service Quotas"),
    ("openai-bedrock", 429, aws("ThrottlingException"), {"message": "m"}, "throttled", True, None, "limits"),
    ("openai-bedrock", 429, aws("ThrottlingException"), {"message": "Too many tokens per day, please wait."}, "throttled",
     False, None, "Service Quotas"),
    ("openai-bedrock", 403, aws("InvalidSignatureException"), {"message": "Signature expired: 1 is now earlier than 2"},
     "auth", False, None, "NTP"),
    ("openai-bedrock", 401, (), oai("invalid_request_error", "invalid_api_key", "The API key has expired"), "auth", False,
     None, "a new one"),
    ("openai-vertex", 401, (), google(401, "UNAUTHENTICATED"), "auth", False, None, "application-default login"),
    ("openai-vertex", 403, (), google(403, "PERMISSION_DENIED"), "auth", False, None, "roles/aiplatform.user"),
    ("openai-vertex", 403, (), google(403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1 before"),
     "auth", False, None, "gcloud services enable"),
    ("openai-vertex", 404, (), google(404, "NOT_FOUND"), "bad_request", False, None, "Model Garden"),
    ("openai-vertex", 429, (), google(429, "RESOURCE_EXHAUSTED", details=RETRY), "throttled", True, 34.5, "limits"),
    ("openai-vertex", 429, (), google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric x, limit: 0"), "throttled",
     False, None, "zero"),
    ("openai-vertex", 503, (("retry-after", "Sun, 22 Nov 2026 12:00:30 GMT"), DATE), google(503, "UNAVAILABLE"),
     "overloaded", True, 30.0, ""),
    ("openai-compatible", 404, (), {"error": {"message": "model 'x' not found, try pulling it first"}}, "bad_request",
     False, None, "ollama pull"),
    ("openai-compatible", 402, (), {"error": {"code": 402, "message": "Insufficient credits"}}, "auth", False, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("door", "status", "headers", "body", "outcome", "retryable", "wait_s", "words"), FAULTS)
def test_an_error_is_told_with_its_door_its_cause_and_what_to_do(
    door: str, status: int, headers: Any, body: Any, outcome: str, retryable: bool, wait_s: float | None, words: str
) -> None:
    fault = providers.get(door).fault(status, headers, json.dumps(body).encode())
    assert (fault.outcome, fault.retryable) == (outcome, retryable)
    assert fault.retry_after_s == (None if wait_s is None else pytest.approx(wait_s))
    said = str((body[0] if isinstance(body, list) else body).get("error", body).get("message"))
    assert said in fault.message
    if words:
        assert fault.message.startswith(f"{door}: ")
        assert words in fault.message
        assert " It said: " in fault.message
    else:
        assert fault.message == said


def test_advice_stays_within_the_length_of_a_message() -> None:
    fault = providers.get("azure-openai").fault(404, (), json.dumps(azure("DeploymentNotFound", "x" * 900)).encode())
    assert len(fault.message) == 500
    assert fault.message.endswith("…")


# ------------------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("name", [None, *PRESETS])
@pytest.mark.parametrize("sent", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_tokens_has_the_name_that_the_server_takes(name: str | None, sent: str) -> None:
    provider = providers.get("openai-compatible")
    one = target("openai-compatible", preset=name)
    body = {"model": "m", "messages": [], sent: 64, "seed": 7, "extra": {"max_tokens": 1}}
    request = asyncio.run(provider.prepare(one, body))
    want = PRESETS[name].token_limit if name else sent  # without a preset, nothing is changed
    assert json.loads(request.content) == {
        "model": "m",
        "messages": [],
        want: 64,
        "seed": 7,
        "extra": {"max_tokens": 1},
    }
    second = asyncio.run(provider.prepare(one, {**body, sent: 65}))
    assert json.loads(second.content)[want] == 65
    asyncio.run(provider.close())


REFUSED = [
    # preset, settings -> what is refused
    (None, {"tool_choice": "required", "extra_body": {"top_k": 4}}, []),
    ("vllm", {"tool_choice": "required", "seed": 7, "extra_body": {"top_k": 4}}, []),
    ("ollama", {"tool_choice": "required"}, ["params.tool_choice"]),
    ("ollama", {"tool_choice": {"type": "function", "function": {"name": "f"}}}, ["params.tool_choice"]),
    ("ollama", {"tool_choice": "auto", "seed": 7, "effort": "low", "stop": ("END",)}, []),
    ("ollama", {"extra_body": {"top_k": 4, "n": 2}}, ["params.extra_body.top_k", "params.extra_body.n"]),
    ("litellm", {"response_format": {"type": "grammar"}}, ["params.response_format"]),
]


@pytest.mark.parametrize(("name", "settings", "want"), REFUSED)
def test_what_a_server_would_leave_out_is_said_before_it_is_sent(
    name: str | None, settings: dict[str, Any], want: list[str]
) -> None:
    found = providers.get("openai-compatible").refused(target("openai-compatible", preset=name), Params(**settings))  # type: ignore[attr-defined]
    assert [problem.path for problem in found] == want
    assert all(problem.where == "t" and problem.want for problem in found)


def test_a_preset_stands_in_targets_yaml_and_is_named_by_bench_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "targets.yaml"
    row = {"id": "local", "model": "gpt-oss-20b", "provider": "openai-compatible", "model_id": "gpt-oss:20b"}
    file.write_text(json.dumps({"version": 1, "targets": [{**row, "preset": "ollama"}]}))
    (one,) = load_targets(file)
    assert (one.preset, one.base_url) == ("ollama", None)
    assert main(["targets", "--targets", str(file)]) == 0
    out = capsys.readouterr().out
    assert "gpt-oss-20b as gpt-oss:20b at openai-compatible (ollama), dialect chat\n  ready\n" in out
    assert "note: ollama: health at /api/version" in out
    file.write_text(json.dumps({"version": 1, "targets": [{**row, "provider": "openai", "preset": "ollama"}]}))
    with pytest.raises(ConfigError, match="preset"):
        load_targets(file)
    file.write_text(json.dumps({"version": 1, "targets": [row]}))
    with pytest.raises(ConfigError, match="base_url"):
        load_targets(file)


def test_every_preset_is_whole() -> None:
    for name, preset in PRESETS.items():
        assert preset.base_url.endswith("/v1"), name
        assert preset.health.startswith("/"), name
        assert preset.served_name, name
        assert preset.usage, name
        assert "chat" in preset.dialects, name
        assert set(preset.tool_choices) <= {"auto", "none", "required", "function"}, name
