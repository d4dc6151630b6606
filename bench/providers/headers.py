"""Response headers: which are kept with an attempt, and which one names the request in the provider's logs."""

from __future__ import annotations

from collections.abc import Iterable

ALLOWED_HEADERS = frozenset({
    "age", "apim-request-id", "azure-openai-deployment-utilization", "cf-ray", "content-encoding",
    "content-length", "content-type", "date", "llm-provider-model", "nvcf-reqid", "nvcf-status", "openai-model",
    "openai-processing-ms", "openai-version", "request-id", "retry-after", "retry-after-ms", "server",
    "server-timing", "transfer-encoding", "via", "x-amz-apigw-id", "x-amz-cf-id", "x-amz-cf-pop",
    "x-amz-request-id", "x-amzn-errortype", "x-amzn-requestid", "x-amzn-trace-id", "x-cache",
    "x-cloud-trace-context", "x-correlation-id", "x-envoy-upstream-service-time", "x-inference-time",
    "x-ms-client-request-id", "x-ms-deployment-name", "x-ms-error-code", "x-ms-region", "x-ms-request-id",
    "x-ms-retry-after-ms", "x-powered-by", "x-process-time", "x-proxy", "x-request-id", "x-served-by",
    "x-should-retry", "x-trace-id",
})  # fmt: skip
"""Kept with every attempt, in lower case. Cookies, and ids of accounts and organisations, are never kept."""

ALLOWED_PREFIXES = (
    "anthropic-fast-",
    "anthropic-priority-",
    "anthropic-ratelimit-",
    "ratelimit",
    "x-amzn-bedrock-",
    "x-goog-ext-",
    "x-ms-rai-",
    "x-ms-spillover-",
    "x-ratelimit-",
    "x-vertex-ai-",
)

REQUEST_ID_HEADERS = (
    "request-id",
    "x-amzn-requestid",
    "x-request-id",
    "apim-request-id",
    "x-ms-request-id",
    "nvcf-reqid",
    "x-correlation-id",
)
"""In order of preference: the vendor's own name before the one that any proxy may have set."""


def allowed(name: str) -> bool:
    name = name.lower()
    return name in ALLOWED_HEADERS or name.startswith(ALLOWED_PREFIXES)


def kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that are stored with an attempt, names in lower case; values of a repeated name joined by ", "."""
    out: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if allowed(key):
            out[key] = f"{out[key]}, {value}" if key in out else value
    return out


def first(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every header by its name in lower case; the first value of a repeated name."""
    out: dict[str, str] = {}
    for name, value in headers:
        out.setdefault(name.lower(), value.strip())
    return out


def request_id(headers: Iterable[tuple[str, str]]) -> str | None:
    """The provider's id of the request, or None."""
    by_name = first(headers)
    return next((by_name[name] for name in REQUEST_ID_HEADERS if by_name.get(name)), None)
