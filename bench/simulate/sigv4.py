"""Checking an AWS Signature Version 4: everything is recomputed from the request as it arrived.

From the AWS documentation of the signing process: canonical request, string to sign, derived key. The path is encoded
once more on top of how it was sent (every service but S3), each signed header is trimmed, and the scope names date,
region and service.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping
from functools import lru_cache
from time import strptime
from urllib.parse import quote, unquote_plus

from bench.simulate.base import Received, Refused

MAX_SKEW_S = 300
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,"
    r"\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


class _Bad(Refused):
    def __init__(self, message: str, code: str = "InvalidSignatureException") -> None:
        super().__init__(403, code, message)


def check_signature(received: Received, credentials: Mapping[str, str], service: str) -> None:
    """Raises Refused (403, in the words of AWS) unless the request carries a good signature.

    `credentials` are `access_key`, `secret_key`, `region` and, for temporary ones, `session_token`.
    """
    headers, region = received.headers, credentials["region"]
    if "authorization" not in headers:
        raise _Bad("Missing Authentication Token", "MissingAuthenticationTokenException")
    found = _AUTHORIZATION.fullmatch(headers["authorization"])
    if not found:
        raise _Bad("The Authorization header is not complete.", "IncompleteSignatureException")
    key_id, day, scope_region, scope_service, signed_list, signature = found.groups()
    same_token = headers.get("x-amz-security-token") == credentials.get("session_token")
    if key_id != credentials.get("access_key") or not same_token:
        raise _Bad("The security token included in the request is invalid.", "UnrecognizedClientException")
    if scope_region != region:
        raise _Bad("Credential should be scoped to a valid region.")
    if scope_service != service:
        raise _Bad(f"Credential should be scoped to correct service: '{service}'.")
    stamp = headers.get("x-amz-date", "")
    _check_date(stamp, day, received.wall_s)
    names = signed_list.split(";")
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    unfit = sorted(must - set(names)) + [name for name in names if name not in headers]
    if unfit or names != sorted(names):
        raise _Bad(f"Headers that must be sent, signed and sorted: {', '.join(unfit) or signed_list}.")
    payload_hash = hashlib.sha256(received.body).hexdigest()
    if headers.get("x-amz-content-sha256", payload_hash) != payload_hash:
        raise _Bad("The value of x-amz-content-sha256 does not match the payload.")
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    path, query = quote(received.raw_path, safe="/-_.~"), _canonical_query(received.query)
    canonical = "\n".join((received.method, path, query, *lines, "", signed_list, payload_hash))
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(credentials["secret_key"], day, region, service)
    if not hmac.compare_digest(hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest(), signature):
        raise _Bad(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )


def _check_date(stamp: str, day: str, now_s: float) -> None:
    try:
        signed_s = timegm(strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise _Bad("Date must be in ISO-8601 'basic format'.", "IncompleteSignatureException") from None
    if stamp[:8] != day:
        raise _Bad("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.")
    if abs(now_s - signed_s) > MAX_SKEW_S:
        raise _Bad(
            f"Signature {'expired' if now_s > signed_s else 'not yet current'}: {stamp} is not within 5 minutes."
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
