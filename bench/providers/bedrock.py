"""Claude on Amazon Bedrock's runtime endpoint, as the anthropic SDK speaks it: InvokeModel over AWS event streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.aws import BEDROCK_TOKEN as TOKEN
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, Template, address
from bench.targets import Target

TIER_HEADER = "X-Amzn-Bedrock-Service-Tier"
TIERS = ("default", "priority", "flex", "reserved")


class Bedrock(ClaudeDoor):
    name = "bedrock"
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicBedrock

        target = opened.target
        token, profile, region = aws.token(target, (TOKEN,)), aws.profile(target), aws.region(target)
        if token is None:
            opened.keeper = await asyncio.to_thread(aws.credentials, profile, region)
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
        given = {key: value for key, value in body.items() if key != "service_tier"}
        if target.api_version is not None:
            given.setdefault("anthropic_version", target.api_version)
        return given

    def headers(self, target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else {TIER_HEADER: target.service_tier}

    async def finish(self, opened: Opened, template: Template, content: bytes) -> httpx2.Request:
        return await aws.finish(opened, template, content, "bedrock")

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, TIERS)
        found += aws.region_problems(target) + aws.profile_problems(target)
        if aws.profile(target) is not None and auth.env(TOKEN):
            got = f"a profile, while {TOKEN} is set, which the SDK refuses to combine"
            found.append(Problem(target.id, "auth.profile", got, f"unset {TOKEN}, or auth: {{env: {TOKEN}}}"))
        return found + aws.chain_problems(target, (TOKEN,))

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_BEDROCK_BASE_URL")
        base = base or f"https://bedrock-runtime.{aws.region(target)}.amazonaws.com"
        return {
            **address(base, "/model/{model}/invoke-with-response-stream"),
            "api_version": target.api_version,
            "auth": aws.how(target, (TOKEN,)),
        }
