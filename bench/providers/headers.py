"""Response headers: which are kept with an attempt, and which one names the request in the provider's logs."""

from __future__ import annotations

from collections.abc import Iterable

_LIMIT_FAMILIES = (
    *(
        f"anthropic-{kind}-{what}"
        for kind in ("ratelimit", "priority", "fast")
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    "anthropic-ratelimit-unified",
)
_LIMIT_FACTS = ("limit", "remaining", "reset")

ALLOWED_HEADERS = frozenset({
    "age", "apim-request-id", "azure-openai-deployment-utilization", "cf-ray", "content-encoding", "content-length",
    "content-type", "date", "llm-provider-model", "nvcf-reqid", "nvcf-status", "openai-model", "openai-processing-ms",
    "openai-version", "request-id", "retry-after", "retry-after-ms", "server", "server-timing", "transfer-encoding",
    "via", "x-amz-apigw-id", "x-amz-cf-id", "x-amz-cf-pop", "x-amz-request-id", "x-amzn-errortype", "x-amzn-requestid",
    "x-amzn-trace-id", "x-cache", "x-cloud-trace-context", "x-correlation-id", "x-envoy-upstream-service-time",
    "x-inference-time", "x-ms-client-request-id", "x-ms-deployment-name", "x-ms-error-code", "x-ms-region",
    "x-ms-request-id", "x-ms-retry-after-ms", "x-ms-spillover-from-deployment", "x-process-time", "x-request-id",
    "x-served-by", "x-should-retry", "x-trace-id",
    # what Bedrock counted and timed
    *(
        f"x-amzn-bedrock-{what}"
        for what in (
            "input-token-count", "output-token-count", "invocation-latency", "cache-read-input-token-count",
            "cache-write-input-token-count", "service-tier", "performanceconfig-latency",
        )
    ),
    # rate limits: Anthropic's, OpenAI's and Azure's, and the two drafts of a standard
    *(f"{family}-{fact}" for family in _LIMIT_FAMILIES for fact in _LIMIT_FACTS),
    *(
        f"x-ratelimit-{fact}-{what}"
        for fact in _LIMIT_FACTS
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    *(f"{prefix}ratelimit-{fact}" for prefix in ("", "x-") for fact in _LIMIT_FACTS),
    "ratelimit", "ratelimit-policy",
})  # fmt: skip
"""Kept with every attempt, in lower case. Cookies, and ids of accounts and organisations, are never kept."""

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


def kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that are stored with an attempt, names in lower case; values of a repeated name joined by ", "."""
    out: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in ALLOWED_HEADERS:
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
