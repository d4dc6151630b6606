"""Claude on Amazon Bedrock's runtime endpoint, as the anthropic SDK speaks it: InvokeModel over AWS event streams.

SigV4 covers the body, so every request is signed anew. The SDK hops to a worker thread and looks its session up for
that; here botocore's own signer runs in place on the headers that the SDK built: the same signature at a sixth of the
price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, renewal
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, Template, address
from bench.targets import Target

TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105  (the name of a variable)
TIER_HEADER = "X-Amzn-Bedrock-Service-Tier"
TIERS = ("default", "priority", "flex", "reserved")
NOT_SIGNED = frozenset({"connection", "authorization", "x-amz-date", "x-amz-security-token"})
"""What the SDK leaves out of a signature because proxies strip it, and what the signer writes itself."""


class Bedrock(ClaudeDoor):
    name = "bedrock"
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicBedrock

        target = opened.target
        token, profile = self._token(target), self._profile(target)
        if token is None:
            credentials = await asyncio.to_thread(_credentials, profile, self._region(target))
            opened.renewal = None if credentials is None else renewal.of_aws(credentials, self.name)
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
        given = {key: value for key, value in body.items() if key != "service_tier"}
        if target.api_version is not None:
            given.setdefault("anthropic_version", target.api_version)
        return given

    def headers(self, target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else {TIER_HEADER: target.service_tier}

    async def credential(self, opened: Opened) -> str | None:
        """None: what is signed anew each time needs no new template."""
        return None

    async def finish(self, opened: Opened, template: Template, content: bytes) -> httpx2.Request:
        if opened.renewal is None:
            return template.filled(content)
        return sign(template.filled(content), await opened.renewal.value(), self._region(opened.target))

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, TIERS)
        if self._region(target) is None:
            found.append(Problem(target.id, "region", "none", "a region, e.g. us-east-1, or export AWS_REGION=..."))
        profile = self._profile(target)
        if profile is not None:
            if profile not in auth.sections(*_files()):
                want = f"aws configure --profile {profile}, or the name of a profile that exists"
                found.append(Problem(target.id, "auth.profile", f"{profile}, which is in no AWS file", want))
            if auth.env(TOKEN):
                got = f"a profile, while {TOKEN} is set, which the SDK refuses to combine"
                found.append(Problem(target.id, "auth.profile", got, f"unset {TOKEN}, or auth: {{env: {TOKEN}}}"))
        elif not target.auth and self._token(target) is None and _found_chain() is None:
            want = (
                f"export AWS_PROFILE=... (after aws configure), AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {TOKEN}"
            )
            found.append(Problem(target.id, "auth", "no AWS credentials", want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_BEDROCK_BASE_URL")
        if self._token(target) is not None:
            how: str | None = f"bearer token in {target.auth.get('env', TOKEN)}"
        elif self._profile(target) is not None:
            how = f"SigV4, profile {self._profile(target)}"
        else:
            how = f"SigV4, {_found_chain() or 'default chain'}"
        base = base or f"https://bedrock-runtime.{self._region(target)}.amazonaws.com"
        return {
            **address(base, "/model/{model}/invoke-with-response-stream"),
            "api_version": target.api_version,
            "auth": how,
        }

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


def sign(request: httpx2.Request, credentials: Any, region: str | None) -> httpx2.Request:
    """Write the SigV4 headers into a request that carries everything else already."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    headers = {name: value for name, value in request.headers.items() if name not in NOT_SIGNED}
    signed = AWSRequest(method=request.method, url=str(request.url), headers=headers, data=request.content)
    SigV4Auth(credentials, "bedrock", region).add_auth(signed)
    for name in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization"):
        if name in signed.headers:
            request.headers[name] = signed.headers[name]
    return request


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
