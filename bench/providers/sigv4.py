"""Signature Version 4 of a request whose parts are known: the headers that botocore's signer writes, at a tenth of its price.

botocore makes objects of every request and derives the key anew each time; here the key of a day is kept, and the canonical
form of an address, which botocore itself gives. What is out of the ordinary is left to botocore's signer: see `signed`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

ALGORITHM = "AWS4-HMAC-SHA256"
BODY_HASH = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request without its signature. `headers` are those to be covered, names in lower case, each once."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


def signed(request: Unsigned, credentials: Any, region: str | None, service: str) -> dict[str, str]:
    """The headers to be written: `X-Amz-Date`, `X-Amz-Security-Token` with a session, `Authorization`.

    Ours where all of the request is plain ASCII and carries no `Date`, which would take the place of `X-Amz-Date`.
    """
    token = credentials.token
    words = (*request.headers, *request.headers.values(), token or "", service, region or "", credentials.access_key)
    if region is None or "date" in request.headers or not "".join(words).isascii():
        return by_botocore(request, credentials, region, service)
    from botocore import auth

    path, query, host = _place(request.url)
    time = auth.get_current_datetime().strftime("%Y%m%dT%H%M%SZ")
    given = {"host": host, **request.headers, "x-amz-date": time}
    if token:
        given["x-amz-security-token"] = token
    names = sorted(name for name in given if name not in auth.SIGNED_HEADERS_BLACKLIST)
    lines = "".join([f"{name}:{' '.join(given[name].split())}\n" for name in names])
    covered = ";".join(names)
    body_hash = request.headers.get(BODY_HASH) or sha256(request.content).hexdigest()
    canonical = f"{request.method}\n{path}\n{query}\n{lines}\n{covered}\n{body_hash}"
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{ALGORITHM}\n{time}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = _key(credentials.secret_key, time[:8], region, service)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return {
        "X-Amz-Date": time,
        **({"X-Amz-Security-Token": token} if token else {}),
        "Authorization": f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={covered}, "
        f"Signature={signature}",
    }


def by_botocore(request: Unsigned, credentials: Any, region: str | None, service: str) -> dict[str, str]:
    """The same by botocore's own signer, whatever the request is."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    found = AWSRequest(method=request.method, url=request.url, headers=request.headers, data=request.content)
    SigV4Auth(credentials, service, region).add_auth(found)
    return {
        name: found.headers[name]
        for name in ("Date", "X-Amz-Date", "X-Amz-Security-Token", "Authorization")
        if name in found.headers
    }


@lru_cache(maxsize=256)
def _place(url: str) -> tuple[str, str, str]:
    """The canonical path and query of an address, and its host, as botocore has them."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    signer, request = SigV4Auth(None, "", ""), AWSRequest("POST", url)
    _, path, query, *_ = signer.canonical_request(request).split("\n")
    return path, query, signer.headers_to_sign(request)["host"]


@lru_cache(maxsize=16)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    """The signing key, which holds for a day."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
