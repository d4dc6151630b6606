"""Every vendor's errors, as status, headers and body, and what each is classed as."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.providers import ALLOWED_HEADERS, PROVIDERS, faults, get, headers
from bench.record import OUTCOMES, Fault

Headers = tuple[tuple[str, str], ...]


def anthropic(kind: str, message: str = "m") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def openai(kind: str | None, code: Any = None, message: str = "m") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def google(code: int, status: str, message: str = "m") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status}}


def aws(name: str) -> Headers:
    return (
        ("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        ("x-amzn-requestid", "r"),
    )


ENVELOPES: list[tuple[int, Headers, Any, str, str | None, bool]] = [
    # Anthropic: status, headers, body -> outcome, code, retryable
    (400, (), anthropic("invalid_request_error"), "bad_request", "invalid_request_error", False),
    (401, (), anthropic("authentication_error"), "auth", "authentication_error", False),
    (402, (), anthropic("billing_error"), "auth", "billing_error", False),
    (403, (), anthropic("permission_error"), "auth", "permission_error", False),
    (404, (), anthropic("not_found_error"), "bad_request", "not_found_error", False),
    (409, (), anthropic("conflict_error"), "bad_request", "conflict_error", False),
    (413, (), anthropic("request_too_large"), "bad_request", "request_too_large", False),
    (429, (), anthropic("rate_limit_error"), "throttled", "rate_limit_error", True),
    (500, (), anthropic("api_error"), "server", "api_error", True),
    (504, (), anthropic("timeout_error"), "timeout", "timeout_error", True),
    (529, (), anthropic("overloaded_error"), "overloaded", "overloaded_error", True),
    (503, (), anthropic("api_error"), "overloaded", "api_error", True),  # a vague name gives way to an exact status
    (429, (), anthropic("invalid_request_error"), "throttled", "invalid_request_error", True),
    # OpenAI
    (400, (), openai("invalid_request_error", "context_length_exceeded"), "bad_request",
     "context_length_exceeded", False),
    (401, (), openai("invalid_request_error", "invalid_api_key"), "auth", "invalid_api_key", False),
    (403, (), openai("request_forbidden", "unsupported_country_region_territory"), "auth",
     "unsupported_country_region_territory", False),
    (404, (), openai("invalid_request_error", "model_not_found"), "bad_request", "model_not_found", False),
    (429, (), openai("tokens", "rate_limit_exceeded"), "throttled", "rate_limit_exceeded", True),
    (429, (), openai("requests"), "throttled", "requests", True),
    (429, (), openai("insufficient_quota", "insufficient_quota"), "auth", "insufficient_quota", False),
    (429, (), openai("billing_not_active", "billing_not_active"), "auth", "billing_not_active", False),
    (500, (), openai("server_error"), "server", "server_error", True),
    (503, (), openai("server_error", "slow_down"), "overloaded", "slow_down", True),
    # vLLM and its likes: the code is the status
    (400, (), {"object": "error", "message": "m", "type": "BadRequestError", "param": None, "code": 400}, "bad_request",
     "BadRequestError", False),
    (404, (), openai("NotFoundError", 404), "bad_request", "NotFoundError", False),
    (500, (), openai("InternalServerError", 500), "server", "InternalServerError", True),
    (503, (), {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded", "overloaded", True),
    (422, (), {"detail": [{"loc": ["body"], "msg": "field required"}]}, "bad_request", None, False),
    (400, (), {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "m"}, "bad_request", None,
     False),
    (404, (), {"error": "model 'x' not found, try pulling it first"}, "bad_request", None, False),
    # OpenRouter
    (402, (), {"error": {"code": 402, "message": "Insufficient credits"}}, "auth", None, False),
    (429, (), {"error": {"code": 429, "message": "m", "metadata": {"provider_name": "x"}}}, "throttled", None, True),
    # Azure
    (400, (), {"error": {"code": "content_filter", "message": "m", "param": "prompt", "status": 400,
                         "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "filtered", "content_filter", False),
    (401, (), {"error": {"code": "401", "message": "Access denied"}}, "auth", None, False),
    (404, (), {"error": {"code": "DeploymentNotFound", "message": "m"}}, "bad_request", "DeploymentNotFound", False),
    (429, (), {"error": {"code": "RateLimitReached", "message": "m"}}, "throttled", "RateLimitReached", True),
    (429, (), {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."}, "throttled", None,
     True),
    (503, (), {"error": {"code": "ServiceUnavailable", "message": "m"}}, "overloaded", "ServiceUnavailable", True),
    (429, (), {"error": {"code": "NoCapacity", "message": "m"}}, "overloaded", "NoCapacity", True),
    # Google, alone and in a list
    (400, (), google(400, "INVALID_ARGUMENT"), "bad_request", "INVALID_ARGUMENT", False),
    (400, (), google(400, "FAILED_PRECONDITION"), "bad_request", "FAILED_PRECONDITION", False),
    (401, (), google(401, "UNAUTHENTICATED"), "auth", "UNAUTHENTICATED", False),
    (403, (), google(403, "PERMISSION_DENIED"), "auth", "PERMISSION_DENIED", False),
    (404, (), google(404, "NOT_FOUND"), "bad_request", "NOT_FOUND", False),
    (429, (), google(429, "RESOURCE_EXHAUSTED"), "throttled", "RESOURCE_EXHAUSTED", True),
    (429, (), [google(429, "RESOURCE_EXHAUSTED")], "throttled", "RESOURCE_EXHAUSTED", True),
    (500, (), google(500, "INTERNAL"), "server", "INTERNAL", True),
    (503, (), google(503, "UNAVAILABLE"), "overloaded", "UNAVAILABLE", True),
    (504, (), google(504, "DEADLINE_EXCEEDED"), "timeout", "DEADLINE_EXCEEDED", True),
    # AWS: the name is in a header, or in the body, with a name space
    (400, aws("ValidationException"), {"message": "m"}, "bad_request", "ValidationException", False),
    (400, aws("ServiceQuotaExceededException"), {"message": "m"}, "throttled", "ServiceQuotaExceededException", False),
    (400, (), {"__type": "com.amazon.coral.service#ThrottlingException", "Message": "m"}, "throttled",
     "ThrottlingException", True),
    (403, aws("AccessDeniedException"), {"Message": "m"}, "auth", "AccessDeniedException", False),
    (403, aws("UnrecognizedClientException"), {"message": "m"}, "auth", "UnrecognizedClientException", False),
    (403, aws("ExpiredTokenException"), {"message": "m"}, "auth", "ExpiredTokenException", False),
    (403, aws("InvalidSignatureException"), {"message": "m"}, "auth", "InvalidSignatureException", False),
    (404, aws("ResourceNotFoundException"), {"message": "m"}, "bad_request", "ResourceNotFoundException", False),
    (408, aws("ModelTimeoutException"), {"message": "m"}, "timeout", "ModelTimeoutException", True),
    (424, aws("ModelErrorException"), {"message": "m"}, "server", "ModelErrorException", False),
    (424, aws("ModelStreamErrorException"), {"message": "m"}, "server", "ModelStreamErrorException", False),
    (429, aws("ThrottlingException"), {"message": "m"}, "throttled", "ThrottlingException", True),
    (429, aws("ModelNotReadyException"), {"message": "m"}, "overloaded", "ModelNotReadyException", True),
    (500, aws("InternalServerException"), {"message": "m"}, "server", "InternalServerException", True),
    (503, aws("ServiceUnavailableException"), {"message": "m"}, "overloaded", "ServiceUnavailableException", True),
    # nothing but a status
    (400, (), "", "bad_request", None, False),
    (408, (), "", "timeout", None, True),
    (418, (), "", "bad_request", None, False),
    (429, (), "", "throttled", None, True),
    (502, (), "", "server", None, True),
    (520, (), "", "server", None, True),
    (524, (), "", "timeout", None, True),
    (307, (("location", "https://elsewhere.example/"),), "", "bad_request", None, False),
    # the provider's own advice has the last word
    (400, (("x-should-retry", "true"),), anthropic("invalid_request_error"), "bad_request",
     "invalid_request_error", True),
    (529, (("X-Should-Retry", "false"),), anthropic("overloaded_error"), "overloaded", "overloaded_error", False),
    # errors inside a 200, as the dialects hand them on
    (200, (), anthropic("overloaded_error"), "overloaded", "overloaded_error", True),
    (200, (), anthropic("api_error"), "server", "api_error", True),
    (200, (), {"type": "error", "error": {"type": "throttlingException", "message": "m"}}, "throttled",
     "throttlingException", True),
    (200, (), {"type": "error", "error": {"type": "modelStreamErrorException", "message": "m",
                                          "originalStatusCode": 529}}, "overloaded", "modelStreamErrorException", True),
    (200, (), {"type": "error", "error": {"type": "modelStreamErrorException", "message": "m"}}, "server",
     "modelStreamErrorException", True),
    (200, (), {"type": "error", "error": {"type": "validationException", "message": "m"}}, "bad_request",
     "validationException", False),
    (200, (), {"type": "error", "error": {"type": "event_stream_broken", "message": "m"}}, "server",
     "event_stream_broken", True),
    (200, (), {"error": {"code": 502, "message": "Provider disconnected"}}, "server", None, True),
    (200, (), {"error": {"code": 429, "message": "m"}}, "throttled", None, True),
    (200, (), {"error": {"code": "403", "message": "m"}}, "auth", None, False),
    (200, (), openai("server_error"), "server", "server_error", True),
    (200, (), [google(429, "RESOURCE_EXHAUSTED")], "throttled", "RESOURCE_EXHAUSTED", True),
    (200, (), {"error": {"message": "who knows"}}, "server", None, True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "headers", "body", "outcome", "code", "retryable"), ENVELOPES)
def test_an_error_is_classed_by_its_name_and_its_status(
    status: int, headers: Headers, body: Any, outcome: str, code: str | None, retryable: bool
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fault = faults.read_fault(status, headers, raw)
    assert (fault.outcome, fault.code, fault.retryable) == (outcome, code, retryable)


def test_every_door_reads_faults_by_the_same_table() -> None:
    for name in PROVIDERS:
        fault = get(name).fault(529, (), json.dumps(anthropic("overloaded_error", "Overloaded")).encode())
        assert fault == Fault("overloaded", "overloaded_error", "Overloaded", None, True)


MESSAGES = [
    (json.dumps(anthropic("x", "Too long")).encode(), "Too long"),
    (b'{"Message":"AWS says no"}', "AWS says no"),
    (b'{"detail":"Not Found"}', "Not Found"),
    (b'{"error":"model not found"}', "model not found"),
    (b"<html><head><title>502 Bad Gateway</title><style>a{b}</style></head><body><h1>502\nBad</h1></body></html>",
     "502 Bad Gateway 502 Bad"),
    (b"upstream connect error", "upstream connect error"),
    (b"", ""),
    (b"\xff\xfe{}", "\ufffd\ufffd{}"),
    (json.dumps(anthropic("x", "a" * 600)).encode(), "a" * 499 + "…"),
    (json.dumps(anthropic("x", "half \ud83d pair")).encode(), "half ? pair"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "want"), MESSAGES)
def test_the_message_is_what_a_person_can_read(body: bytes, want: str) -> None:
    assert faults.read_fault(502, (), body).message == want


def test_a_compressed_error_is_read_and_a_wrong_label_does_no_harm() -> None:
    body = json.dumps(anthropic("overloaded_error")).encode()
    for sent in (gzip.compress(body), body):
        assert faults.read_fault(529, (("Content-Encoding", "gzip"),), sent).code == "overloaded_error"


def test_no_response_at_all_is_the_wires_fault() -> None:
    assert faults.read_fault(None, (), b"").outcome == "transport"


DATE = ("date", "Sat, 21 Nov 2026 12:00:00 GMT")
WAITS: list[tuple[int, Headers, Any, float | None]] = [
    (429, (("retry-after", "7"),), {}, 7.0),
    (429, (("Retry-After", "1.5"),), {}, 1.5),
    (529, (("retry-after", "0"),), {}, 0.0),
    (429, (("retry-after", "7"), ("retry-after-ms", "6500")), {}, 6.5),  # the finer one
    (429, (("x-ms-retry-after-ms", "250"),), {}, 0.25),
    (503, (("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT"), DATE), {}, 30.0),
    (503, (("retry-after", "Sat, 21 Nov 2026 11:00:00 GMT"), DATE), {}, 0.0),  # a date that has passed
    (503, (("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT"),), {}, None),  # nothing to read the date against
    (429, (("retry-after", "soon"),), {}, None),
    (429, (("retry-after", "-3"),), {}, None),
    (429, (("retry-after", "inf"),), {}, None),
    # limits that are used up, in their vendors' spellings
    (429, (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")), {}, 360.0),
    (429, (("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "120ms")), {}, 0.12),
    (429, (("x-ratelimit-remaining-requests", "5"), ("x-ratelimit-reset-requests", "6m0s"),
           ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m30.5s")), {}, 90.5),
    (429, (("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-reset-requests", "1s")), {}, None),
    (429, (("anthropic-ratelimit-requests-remaining", "0"),
           ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:45Z"), DATE), {}, 45.0),
    (429, (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795262410000"), DATE), {}, 10.0),  # ms of Unix time
    (429, (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795262410"), DATE), {}, 10.0),
    (429, (("ratelimit-remaining", "0"), ("ratelimit-reset", "50")), {}, 50.0),
    (500, (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")), {}, None),  # not throttled
    (429, (), {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}}, 34.5),
    (429, (), {"error": {"details": "none"}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "headers", "body", "want"), WAITS)
def test_the_wait_that_the_provider_asked_for_is_read(
    status: int, headers: Headers, body: Any, want: float | None
) -> None:
    # 2026-11-21T12:00:00Z is 1795262400 in Unix time
    got = faults.read_fault(status, headers, json.dumps(body).encode()).retry_after_s
    assert got == (None if want is None else pytest.approx(want))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    status=st.none() | st.integers(100, 599),
    body=st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "type", "code", "status", "message", "details", "__type", "innererror", "detail"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    pairs=st.lists(
        st.tuples(
            st.sampled_from(
                ["retry-after", "date", "x-ratelimit-reset", "x-ratelimit-remaining", "x-should-retry", "x"]
            ),
            st.text(st.characters(codec="latin-1"), max_size=12),
        ),
        max_size=4,
    ),
)
def test_any_answer_gives_a_fault(status: int | None, body: bytes, pairs: list[tuple[str, str]]) -> None:
    fault = faults.read_fault(status, tuple(pairs), body)
    assert fault.outcome in OUTCOMES
    assert len(fault.message) <= faults.MESSAGE_LIMIT
    fault.message.encode()
    (fault.code or "").encode()
    assert fault.retry_after_s is None or 0 <= fault.retry_after_s < float("inf")


def test_the_table_of_names_has_no_name_twice() -> None:
    import inspect

    source = inspect.getsource(faults).split('_codes("""')[1].split('""")')[0]
    words = [word.lower() for line in source.splitlines() if "|" in line for word in line.split("|")[1].split()]
    assert len(words) == len(set(words)) == len(faults.CODES)
    assert all(not word.endswith("exception") for word in words)


def test_headers_are_kept_by_name_and_never_cookies_or_accounts() -> None:
    kept = headers.kept(
        [
            ("Request-Id", "req_1"),
            ("Set-Cookie", "session=secret"),
            ("anthropic-organization-id", "org"),
            ("Authorization", "Bearer x"),
            ("anthropic-ratelimit-input-tokens-remaining", "5"),
            ("Via", "1.1 a"),
            ("via", "1.1 b"),
        ]
    )
    assert kept == {"request-id": "req_1", "anthropic-ratelimit-input-tokens-remaining": "5", "via": "1.1 a, 1.1 b"}
    assert not any("cookie" in name or "auth" in name or "organization" in name for name in ALLOWED_HEADERS)
    assert all(name == name.lower() for name in ALLOWED_HEADERS)


def test_the_vendors_request_id_goes_before_a_proxys() -> None:
    assert headers.request_id([("X-Request-Id", "proxy"), ("request-id", "req_1")]) == "req_1"
    assert headers.request_id([("x-amzn-RequestId", "aws")]) == "aws"
    assert headers.request_id([("x-request-id", "")]) is None
    assert set(headers.REQUEST_ID_HEADERS) <= ALLOWED_HEADERS
