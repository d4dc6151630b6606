"""Checking an AWS Signature Version 4: everything is recomputed from the request as it arrived.

From the AWS documentation of the signing process: canonical request, string to sign, derived key. The path is encoded once
more on top of how it was sent (every service but S3), each signed header is trimmed, and the scope names date, region and service.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from functools import lru_cache
from time import strptime
from urllib.parse import quote, unquote_plus

from bench.simulate.base import Received, Refused

MAX_SKEW_S = 300
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


def check_signature(
    received: Received, access_key: str, secret_key: str, session_token: str | None, region: str, service: str
) -> None:
    """Raises Refused (403, in the words of AWS) unless the request carries a good signature of these credentials."""
    headers = received.headers
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        code = "IncompleteSignatureException" if "authorization" in headers else "MissingAuthenticationTokenException"
        raise Refused(
            403, code, "Missing Authentication Token" if code.startswith("M") else "Authorization header is incomplete."
        )
    key_id, day, scope_region, scope_service, signed_list, signature = found.groups()
    stamp = headers.get("x-amz-date", "")
    if key_id != access_key or headers.get("x-amz-security-token") != session_token:
        raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    if scope_region != region:
        raise Refused(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")
    if scope_service != service:
        raise Refused(403, "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'.")
    try:
        signed_s = timegm(strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused(403, "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.") from None
    if stamp[:8] != day:
        raise Refused(
            403,
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.",
        )
    if abs(received.wall_s - signed_s) > MAX_SKEW_S:
        word = "expired" if received.wall_s > signed_s else "not yet current"
        raise Refused(403, "InvalidSignatureException", f"Signature {word}: {stamp} is more than 5 minutes from now.")
    names = signed_list.split(";")
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    missing = sorted(must - set(names)) + [name for name in names if name not in headers]
    if missing or names != sorted(names):
        raise Refused(
            403,
            "InvalidSignatureException",
            f"Headers that must be signed, sorted and sent: {', '.join(missing) or signed_list}.",
        )
    payload_hash = hashlib.sha256(received.body).hexdigest()
    if headers.get("x-amz-content-sha256", payload_hash) != payload_hash:
        raise Refused(403, "InvalidSignatureException", "The value of x-amz-content-sha256 does not match the payload.")
    canonical = "\n".join(
        (
            received.method,
            quote(received.raw_path, safe="/-_.~"),
            _canonical_query(received.query),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            signed_list,
            payload_hash,
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    wanted = hmac.new(_signing_key(secret_key, day, region, service), to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, signature):
        raise Refused(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
            "and signing method. Consult the service documentation for details.",
        )


def _canonical_query(query: str) -> str:
    pairs = []
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        pairs.append((quote(unquote_plus(name), safe="-_.~"), quote(unquote_plus(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@lru_cache(maxsize=32)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
