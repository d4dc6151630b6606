"""Amazon Bedrock's runtime endpoint, over AWS event streams: InvokeModel for Claude as the anthropic SDK speaks it, and
Converse as boto3 does.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws, renewal
from bench.providers.aws import BEDROCK_TOKEN as TOKEN
from bench.providers.claude import ClaudeDoor
from bench.providers.converse import INVOCATION, ConverseTemplate, open_client
from bench.providers.door import Opened, Template, address
from bench.targets import Target

TIER_HEADER = "X-Amzn-Bedrock-Service-Tier"
TIERS = ("default", "priority", "flex", "reserved")
NOT_SIGNED_BY_BOTO3 = aws.NOT_SIGNED | {"accept-encoding", "amz-sdk-request", "content-length", INVOCATION}
"""boto3 adds these after it has signed."""


class Bedrock(ClaudeDoor):
    name = "bedrock"
    dialects = frozenset({"messages", "converse"})
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")
    signs_anew = True

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        target = opened.target
        token, profile, region = aws.token(target, (TOKEN,)), aws.profile(target), aws.region(target)
        if target.dialect == "converse":
            client, found = await asyncio.to_thread(open_client, region, profile, token, target.base_url)
            opened.renewal = None if found is None else renewal.of_aws(found, self.name)
            return client
        if token is None:
            await aws.sign_in(opened, self.name)
        from anthropic import AsyncAnthropicBedrock

        return AsyncAnthropicBedrock(
            api_key=token,
            aws_profile=profile,
            aws_region=region,
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

    async def written(self, opened: Opened, template: Template, content: bytes) -> Mapping[str, str]:
        if not isinstance(template, ConverseTemplate):
            return await aws.written(opened, template, content, "bedrock")
        signature = await aws.written(opened, template, content, "bedrock", NOT_SIGNED_BY_BOTO3)
        return {INVOCATION: str(uuid.uuid4()), **signature}

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
        found += aws.region_problems(target) + aws.profile_problems(target)
        region = aws.region(target)
        home = _region_of_arn(target.model_id)
        if region is not None and home is not None and home != region:
            want = f"region: {home}, where that ARN is at home; other regions do not know it"
            found.append(Problem(target.id, "model_id", f"{target.model_id} in {region}", want))
        if target.dialect == "converse":
            found += self._converse_problems(target)
        if aws.profile(target) is not None and auth.env(TOKEN) and target.dialect != "converse":
            got = f"a profile, while {TOKEN} is set, which the SDK refuses to combine"
            found.append(Problem(target.id, "auth.profile", got, f"unset {TOKEN}, or auth: {{env: {TOKEN}}}"))
        return found + aws.chain_problems(target, (TOKEN,))

    def _converse_problems(self, target: Target) -> list[Problem]:
        found = []
        if target.api_version is not None:
            want = "none: Converse has no version; the dialect messages has"
            found.append(Problem(target.id, "api_version", target.api_version, want))
        base = self._base(target)
        if base is not None and not base.startswith("https:") and aws.token(target, (TOKEN,)) is not None:
            want = "https://..., or keys instead of a bearer token: boto3 sends a token over TLS only"
            found.append(Problem(target.id, "base_url", base, want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        converse = target.dialect == "converse"
        base = self._base(target)
        fips = converse and (auth.env("AWS_USE_FIPS_ENDPOINT") or "").lower() == "true"
        base = base or f"https://bedrock-runtime{'-fips' if fips else ''}.{aws.region(target)}.amazonaws.com"
        return {
            **address(base, "/model/{model}/" + ("converse-stream" if converse else "invoke-with-response-stream")),
            "api_version": target.api_version,
            "auth": aws.how(target, (TOKEN,)),
        }

    @staticmethod
    def _base(target: Target) -> str | None:
        """The address that stands in for AWS's own: the target's, or the one in each SDK's variables."""
        if target.base_url is not None or target.dialect != "converse":
            return target.base_url or auth.env("ANTHROPIC_BEDROCK_BASE_URL")
        if (auth.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or "").lower() == "true":
            return None
        return auth.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")


def _region_of_arn(model_id: str) -> str | None:
    """`arn:aws:bedrock:REGION:...`; None for an id that is no ARN."""
    parts = model_id.split(":")
    return parts[3] or None if model_id.startswith("arn:") and len(parts) > 4 else None
