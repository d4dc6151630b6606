"""OpenAI's models on Amazon Bedrock, through its two OpenAI-compatible endpoints.

`mantle` takes ids without a version (`openai.gpt-6.1-sol`), `runtime` those of an inference profile or with a version
(`us.openai.gpt-6.1-sol`, `openai.gpt-oss-120b-1:0`). `sku: mantle` or `sku: runtime` decides where an id does not.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws, gpt
from bench.providers.aws import BEDROCK_TOKEN as TOKEN
from bench.providers.door import Opened, Template, address
from bench.targets import Target

ADDRESS = "AWS_BEDROCK_BASE_URL"
ENDPOINTS = ("mantle", "runtime")
SERVICES = {"mantle": "bedrock-mantle", "runtime": "bedrock"}
"""The service that a signature names."""
TIERS = ("default", "priority", "flex", "reserved")
OF_RUNTIME = re.compile(r"(us|eu|apac|au|jp|us-gov|global)\.|arn:|.*-\d:\d$")
SIGNED_ANEW = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})


class OpenAIBedrock(gpt.GptDoor):
    name = "openai-bedrock"
    extra = "openai-bedrock"
    packages = ("openai", "boto3", "botocore")
    signs_anew = True

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from openai import AsyncOpenAI
        from openai.providers import bedrock

        target = opened.target
        token, region = self.secret(target), aws.region(target)
        signed: dict[str, Any] = {"api_key": token}
        if token is None:
            credentials = await aws.sign_in(opened, self.name)
            signed = {"credential_provider": lambda: credentials}
        provider = bedrock(endpoint=endpoint(target), region=region, base_url=_base(target), **signed)
        return AsyncOpenAI(provider=provider, **gpt.sdk_options(http))

    async def finish(self, opened: Opened, template: Template, content: bytes) -> httpx2.Request:
        """The template with this body, signed anew: as the SDK signs, without its hop to a worker thread."""
        if opened.renewal is None:
            return template.filled(content, {})
        service = SERVICES[endpoint(opened.target)]
        frozen = await opened.renewal.value()
        return _signed(template.filled(content, {}), frozen, aws.region(opened.target), service)

    def secret(self, target: Target) -> str | None:
        return aws.token(target, (TOKEN,))

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, TIERS)
        found += aws.region_problems(target) + aws.profile_problems(target) + aws.chain_problems(target, (TOKEN,))
        if target.sku is not None and target.sku not in ENDPOINTS:
            found.append(Problem(target.id, "sku", target.sku, f"one of {', '.join(ENDPOINTS)}"))
        return found + gpt.version_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        return {**address(_base(target), self.path_of(target)), "api_version": None, "auth": aws.how(target, (TOKEN,))}


def endpoint(target: Target) -> str:
    """Which of the two endpoints answers: by the address, else by `sku`, else by the form of the id."""
    host = urlsplit(target.base_url or auth.env(ADDRESS) or "").hostname or ""
    by_host = next((name for name in ENDPOINTS if host.startswith(f"bedrock-{name}")), None)
    return by_host or target.sku or ("runtime" if OF_RUNTIME.match(target.model_id) else "mantle")


def _base(target: Target) -> str:
    """Open-weight models on mantle stand below `/v1`, everything else below `/openai/v1` (Bedrock's model cards)."""
    base = target.base_url or auth.env(ADDRESS)
    if base:
        return base.rstrip("/")
    region = aws.region(target)
    if endpoint(target) == "runtime":
        suffix = "amazonaws.com.cn" if (region or "").startswith("cn-") else "amazonaws.com"
        return f"https://bedrock-runtime.{region}.{suffix}/openai/v1"
    open_weights = target.model_id.startswith("openai.gpt-oss") or not target.model_id.startswith("openai.")
    return f"https://bedrock-mantle.{region}.api.aws{'' if open_weights else '/openai'}/v1"


def _signed(request: httpx2.Request, credentials: Any, region: str | None, service: str) -> httpx2.Request:
    """Signature Version 4 over every header that the SDK built, and its hash of the body among them."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    headers = {name: value for name, value in request.headers.items() if name not in SIGNED_ANEW}
    headers["X-Amz-Content-SHA256"] = hashlib.sha256(request.content).hexdigest()
    signed = AWSRequest(method=request.method, url=str(request.url), headers=headers, data=request.content)
    SigV4Auth(credentials, service, region).add_auth(signed)
    request.headers.clear()
    request.headers.update(dict(signed.headers.items()))
    return request
