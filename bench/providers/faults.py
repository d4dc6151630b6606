"""Why a reply is not ok, told from raw status, headers and body. One table for every vendor's words.

Names are compared in lower case and without "Exception": AWS writes `ThrottlingException` in a header and
`throttlingException` in a stream. Where a name is known it decides; else the status does. `retryable` is what the
provider's own advice comes to: its `x-should-retry` when it sends one, else the table.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.providers.headers import first
from bench.providers.telemetry import retry_after_s
from bench.record import OUTCOMES, Fault, Outcome
from bench.redact import clean

MESSAGE_LIMIT = 500


class Verdict(NamedTuple):
    outcome: Outcome
    retryable: bool


def _codes(table: str) -> dict[str, Verdict]:
    codes: dict[str, Verdict] = {}
    verdict: Verdict | None = None
    for line in table.strip().splitlines():
        head, bar, names = line.partition("|")
        if head.strip():
            outcome, retryable = head.split()
            assert outcome in OUTCOMES, line
            assert bar, line
            verdict = Verdict(outcome, retryable == "yes")
        assert verdict is not None
        codes.update(dict.fromkeys(names.lower().split(), verdict))
    return codes


CODES: Mapping[str, Verdict] = _codes("""
throttled   yes | rate_limit_error rate_limit_exceeded rate_limited RateLimitError RateLimitReached tokens requests
                | too_many_requests TooManyRequests Throttling Throttled RequestLimitExceeded RESOURCE_EXHAUSTED
                | ProvisionedThroughputExceeded
throttled   no  | ServiceQuotaExceeded LimitExceeded
auth        no  | insufficient_quota billing_error billing_not_active billing_hard_limit_reached insufficient_credits
                | insufficient_balance payment_required quota_exceeded access_terminated
auth        no  | authentication_error permission_error invalid_api_key AuthenticationError Unauthorized Forbidden
                | PermissionDenied PermissionDeniedError PERMISSION_DENIED UNAUTHENTICATED AccessDenied NotAuthorized
                | UnrecognizedClient ExpiredToken InvalidSignature IncompleteSignature SignatureDoesNotMatch
                | MissingAuthenticationToken InvalidClientTokenId unsupported_country_region_territory
overloaded  yes | overloaded_error overloaded engine_overloaded server_overloaded slow_down NoCapacity UNAVAILABLE
                | ServiceUnavailable ServiceUnavailableError service_unavailable ModelNotReady
timeout     yes | timeout_error ModelTimeout RequestTimeout Timeout gateway_timeout DEADLINE_EXCEEDED
bad_request no  | invalid_request_error not_found_error request_too_large conflict_error BadRequestError BadRequest
                | NotFoundError NotFound UnprocessableEntityError invalid_prompt model_not_found invalid_model
                | context_length_exceeded unsupported_parameter unsupported_value invalid_value INVALID_ARGUMENT
                | FAILED_PRECONDITION OUT_OF_RANGE NOT_FOUND UNIMPLEMENTED ALREADY_EXISTS Validation Conflict
                | ResourceNotFound DeploymentNotFound UnknownOperation InvalidRequest OperationNotSupported
filtered    no  | content_filter ResponsibleAIPolicyViolation content_policy_violation GuardrailIntervened bio_policy
                | misalignment_policy_violation
server      yes | api_error server_error InternalServerError internal_error InternalServer InternalFailure INTERNAL
                | UNKNOWN ABORTED DATA_LOSS CANCELLED ModelStreamError malformed_event event_stream_broken
server      no  | ModelError
""")
"""Names of errors of Anthropic, OpenAI and its likes, Azure, Google and AWS. A lack of credit is `auth`, whatever its
status: the account is at fault, not the load, and waiting does not help."""

STATUSES: Mapping[int, Verdict] = {
    401: Verdict("auth", False),
    402: Verdict("auth", False),
    403: Verdict("auth", False),
    408: Verdict("timeout", True),
    424: Verdict("server", False),
    429: Verdict("throttled", True),
    503: Verdict("overloaded", True),
    504: Verdict("timeout", True),
    524: Verdict("timeout", True),
    529: Verdict("overloaded", True),
}

VAGUE = frozenset({"invalid_request_error", "api_error", "badrequesterror", "requests", "tokens", "modelstreamerror"})
"""Names that say less than a status of the table above beside them."""


def read_fault(status: int | None, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
    """Class an error response, or an error that came inside a 200. Total: any bytes give a Fault."""
    if status is None:
        return Fault("transport", message="no response", retryable=True)
    by_name = first(headers)
    text = _plain(by_name, body)
    error, names, message = _read_body(text)
    amazon = by_name.get("x-amzn-errortype", "").split(":")[0].rpartition("#")[2]
    names = ([amazon] if amazon else []) + names
    code = next(iter(names), None)
    verdict = _verdict(_effective_status(status, error), names)
    retryable = verdict.retryable
    advice = by_name.get("x-should-retry", "").lower()
    if advice in ("true", "false"):
        retryable = advice == "true"
    return Fault(
        outcome=verdict.outcome,
        code=code,
        message=_cut(message or (f"redirected to {by_name['location']}" if "location" in by_name else "")),
        retry_after_s=retry_after_s(by_name, error, verdict.outcome == "throttled"),
        retryable=retryable,
    )


def _verdict(status: int, names: list[str]) -> Verdict:
    by_status = STATUSES.get(status)
    for name in names:
        key = name.lower().removesuffix("exception")
        if key in CODES and not (key in VAGUE and by_status is not None):
            return CODES[key]
    if by_status is not None:
        return by_status
    return Verdict("bad_request", False) if 300 <= status < 500 else Verdict("server", True)


def _effective_status(status: int, error: Mapping[str, Any]) -> int:
    """The status that an error inside a 200 names, where it names one."""
    if status >= 300:
        return status
    for key in ("originalStatusCode", "status_code", "statusCode", "code", "status"):
        inner = error.get(key)
        if isinstance(inner, str) and inner.isascii() and inner.isdigit() and len(inner) == 3:
            inner = int(inner)
        if isinstance(inner, int) and not isinstance(inner, bool) and 300 <= inner < 600:
            return inner
    return 500


def _plain(by_name: Mapping[str, str], body: bytes) -> str:
    """The body as text, without content encoding; as it is when it is not what its header says."""
    if by_name.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        try:
            body = zlib.decompressobj(47).decompress(body, 1 << 20)
        except zlib.error:
            pass
    return body[: 1 << 20].decode("utf-8", "replace")


def _read_body(text: str) -> tuple[Mapping[str, Any], list[str], str]:
    """The error object, the names it goes by (the most exact first), and its message."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}, [], _visible(text)
    if isinstance(value, list):  # Google wraps errors of streaming methods in a list
        value = next((item for item in value if isinstance(item, dict)), {})
    if not isinstance(value, dict):
        return {}, [], str(value)
    error = value.get("error")
    if not isinstance(error, dict):
        flat = {"error": error} if isinstance(error, str) else {}
        error = {**{key: item for key, item in value.items() if key != "error"}, **flat}
    names = [_name(error.get(key)) for key in ("__type", "status", "code", "type", "error_type")]
    inner = error.get("innererror")
    if isinstance(inner, dict):
        names.append(_name(inner.get("code")))
    message = ""
    for key in ("message", "Message", "detail", "error", "title"):
        found = error.get(key)
        if found:
            message = found if isinstance(found, str) else json.dumps(found)
            break
    return error, [name for name in names if name and name.lower() != "error"], message


def _name(value: Any) -> str:
    """An error's name: a word, not a number (that is a status), not an address of documentation."""
    if not isinstance(value, str) or "://" in value or "/" in value or value == "about:blank":
        return ""
    name = value.rpartition("#")[2].split(":")[0].strip()
    return "" if name.isdigit() else name[:100]


def _visible(text: str) -> str:
    """The words of a page or a plain text."""
    if "<" not in text:
        return text
    return re.sub(r"<[^>]*>", " ", re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", text))


def _cut(message: str) -> str:
    message = " ".join(clean(message).encode("utf-8", "replace").decode().split())
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
