"""Amazon Bedrock's runtime endpoint, over AWS event streams: InvokeModel for Claude as the anthropic SDK speaks it, and
Converse as boto3 does.

SigV4 covers the body, so every request is signed anew. The SDKs look sessions up, or walk a tree of handlers, for
that; here botocore's own signer runs in place on the headers that the SDK built: the same signature at a sixth of the
price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth
from bench.providers.claude import ClaudeDoor
from bench.providers.converse import INVOCATION, ConverseTemplate, open_client
from bench.providers.door import Opened, Template, address
from bench.targets import Target

TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105  (the name of a variable)
TIER_HEADER = "X-Amzn-Bedrock-Service-Tier"
TIERS = ("default", "priority", "flex", "reserved")
NOT_SIGNED = frozenset({"connection", "authorization", "x-amz-date", "x-amz-security-token"})
"""What the SDK leaves out of a signature because proxies strip it, and what the signer writes itself."""
NOT_SIGNED_BY_BOTO3 = NOT_SIGNED | {"accept-encoding", "amz-sdk-request", "content-length", INVOCATION}
"""boto3 adds these after it has signed."""


class Bedrock(ClaudeDoor):
    name = "bedrock"
    dialects = frozenset({"messages", "converse"})
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicBedrock

        target = opened.target
        token, profile = self._token(target), self._profile(target)
        if target.dialect == "converse":
            region = self._region(target)
            client, opened.keeper = await asyncio.to_thread(open_client, region, profile, token, target.base_url)
            return client
        if token is None:
            opened.keeper = await asyncio.to_thread(_credentials, profile, self._region(target))
        return AsyncAnthropicBedrock(
            api_key=token,
            aws_profile=profile,
            aws_region=self._region(target),
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
        )

    def given(self, target: Target, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if target.dialect == "converse":
            return body
        given = {key: value for key, value in body.items() if key != "service_tier"}
        if target.api_version is not None:
            given.setdefault("anthropic_version", target.api_version)
        return given

    def headers(self, target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else {TIER_HEADER: target.service_tier}

    async def finish(self, opened: Opened, template: Template, content: bytes) -> httpx2.Request:
        credentials = opened.keeper
        if credentials is None:
            return template.filled(content)
        if hasattr(credentials, "refresh_needed") and credentials.refresh_needed():
            await asyncio.to_thread(credentials.get_frozen_credentials)
        left_out = NOT_SIGNED_BY_BOTO3 if isinstance(template, ConverseTemplate) else NOT_SIGNED
        frozen = credentials.get_frozen_credentials()
        return sign(template.filled(content), frozen, self._region(opened.target), left_out)

    async def _built(self, opened: Opened, given: Mapping[str, Any], headers: Mapping[str, str]) -> httpx2.Request:
        if opened.target.dialect != "converse":
            return await super()._built(opened, given, headers)
        built: httpx2.Request = await asyncio.to_thread(opened.client.built, given, headers)
        return built

    def template(self, opened: Opened, request: httpx2.Request, given: Mapping[str, Any]) -> Template:
        if opened.target.dialect == "converse":
            return ConverseTemplate(request, given)
        return super().template(opened, request, given)

    def needs(self, target: Target) -> tuple[str, ...]:
        return self.packages[1:] if target.dialect == "converse" else self.packages

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, TIERS)
        region = self._region(target)
        if region is None:
            found.append(Problem(target.id, "region", "none", "a region, e.g. us-east-1, or export AWS_REGION=..."))
        home = _region_of_arn(target.model_id)
        if region is not None and home is not None and home != region:
            want = f"region: {home}, where that ARN is at home; other regions do not know it"
            found.append(Problem(target.id, "model_id", f"{target.model_id} in {region}", want))
        if target.dialect == "converse":
            found += self._converse_problems(target)
        profile = self._profile(target)
        if profile is not None:
            if profile not in auth.sections(*_files()):
                want = f"aws configure --profile {profile}, or the name of a profile that exists"
                found.append(Problem(target.id, "auth.profile", f"{profile}, which is in no AWS file", want))
            if auth.env(TOKEN) and target.dialect != "converse":
                got = f"a profile, while {TOKEN} is set, which the SDK refuses to combine"
                found.append(Problem(target.id, "auth.profile", got, f"unset {TOKEN}, or auth: {{env: {TOKEN}}}"))
        elif not target.auth and self._token(target) is None and _found_chain() is None:
            want = (
                f"export AWS_PROFILE=... (after aws configure), AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {TOKEN}"
            )
            found.append(Problem(target.id, "auth", "no AWS credentials", want))
        return found

    def _converse_problems(self, target: Target) -> list[Problem]:
        found = []
        if target.api_version is not None:
            want = "none: Converse has no version; the dialect messages has"
            found.append(Problem(target.id, "api_version", target.api_version, want))
        base = self._base(target)
        if base is not None and not base.startswith("https:") and self._token(target) is not None:
            want = "https://..., or keys instead of a bearer token: boto3 sends a token over TLS only"
            found.append(Problem(target.id, "base_url", base, want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        converse = target.dialect == "converse"
        base = self._base(target)
        if self._token(target) is not None:
            how: str | None = f"bearer token in {target.auth.get('env', TOKEN)}"
        elif self._profile(target) is not None:
            how = f"SigV4, profile {self._profile(target)}"
        else:
            how = f"SigV4, {_found_chain() or 'default chain'}"
        fips = converse and (auth.env("AWS_USE_FIPS_ENDPOINT") or "").lower() == "true"
        base = base or f"https://bedrock-runtime{'-fips' if fips else ''}.{self._region(target)}.amazonaws.com"
        return {
            **address(base, "/model/{model}/" + ("converse-stream" if converse else "invoke-with-response-stream")),
            "api_version": target.api_version,
            "auth": how,
        }

    @staticmethod
    def _base(target: Target) -> str | None:
        """The address that stands in for AWS's own: the target's, or the one in each SDK's variables."""
        if target.base_url is not None or target.dialect != "converse":
            return target.base_url or auth.env("ANTHROPIC_BEDROCK_BASE_URL")
        if (auth.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or "").lower() == "true":
            return None
        return auth.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")

    @staticmethod
    def _region(target: Target) -> str | None:
        return target.region or auth.env("AWS_REGION", "AWS_DEFAULT_REGION")

    @staticmethod
    def _token(target: Target) -> str | None:
        """The bearer token, when that is how this target signs in. `{env: AWS_PROFILE}` names a profile."""
        if target.auth:
            return auth.named(target) if target.auth.get("env", "AWS_PROFILE") != "AWS_PROFILE" else None
        return auth.env(TOKEN)

    @staticmethod
    def _profile(target: Target) -> str | None:
        return target.auth.get("profile") or (auth.named(target) if target.auth.get("env") == "AWS_PROFILE" else None)


def sign(
    request: httpx2.Request, credentials: Any, region: str | None, left_out: frozenset[str] = NOT_SIGNED
) -> httpx2.Request:
    """Write the SigV4 headers into a request that carries everything else already. `left_out` are not covered."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    headers = {name: value for name, value in request.headers.items() if name not in left_out}
    signed = AWSRequest(method=request.method, url=str(request.url), headers=headers, data=request.content)
    SigV4Auth(credentials, "bedrock", region).add_auth(signed)
    for name in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization"):
        if name in signed.headers:
            request.headers[name] = signed.headers[name]
    return request


def _region_of_arn(model_id: str) -> str | None:
    """`arn:aws:bedrock:REGION:...`; None for an id that is no ARN."""
    parts = model_id.split(":")
    return parts[3] or None if model_id.startswith("arn:") and len(parts) > 4 else None


def _credentials(profile: str | None, region: str | None) -> Any:
    import boto3

    return boto3.Session(profile_name=profile, region_name=region).get_credentials()


def _files() -> tuple[str, str]:
    return (
        auth.env("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        auth.env("AWS_CONFIG_FILE") or "~/.aws/config",
    )


def _found_chain() -> str | None:
    """Where the default chain will find credentials, as far as can be told without asking the network."""
    if auth.env("AWS_ACCESS_KEY_ID") and auth.env("AWS_SECRET_ACCESS_KEY"):
        return "keys in the environment"
    if auth.env("AWS_WEB_IDENTITY_TOKEN_FILE") and auth.env("AWS_ROLE_ARN"):
        return "web identity"
    if auth.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return "container role"
    profile = auth.env("AWS_PROFILE") or "default"
    if profile in auth.sections(*_files()):
        return f"profile {profile}"
    return "instance role" if auth.machine_says("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2") else None
