"""Claude on Amazon Bedrock's Messages endpoint ("mantle"): Anthropic's own wire behind an AWS signature or a Bedrock key.

Another door than `bedrock`: other hosts, plain server-sent events, model ids without profile or version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, Template, address
from bench.targets import Target

SERVICE = "bedrock-mantle"
"""The name that AWS signs for."""
KEYS = (aws.BEDROCK_TOKEN, "ANTHROPIC_AWS_API_KEY")
"""Where the SDK looks for a key, in its order."""
RUNTIME_ID = re.compile(r"arn:|(us-gov|us|eu|apac|au|jp|global)\.anthropic\.|anthropic\..*-v\d+(:\d+)?$")
"""Ids of the runtime endpoint: a profile before the name, a version behind it, or an ARN."""


class BedrockMantle(ClaudeDoor):
    name = "bedrock-mantle"
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")
    signs_anew = True

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicBedrockMantle

        target = opened.target
        key, profile, region = aws.token(target, KEYS), aws.profile(target), aws.region(target)
        if key is None:
            await aws.sign_in(opened, self.name)
        return AsyncAnthropicBedrockMantle(
            api_key=key,
            aws_profile=profile,
            aws_region=region,
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
            default_headers={"anthropic-version": target.api_version} if target.api_version else None,
        )

    async def written(self, opened: Opened, template: Template, content: bytes) -> Mapping[str, str]:
        return await aws.written(opened, template, content, SERVICE)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, ())
        found += aws.region_problems(target) + aws.profile_problems(target) + aws.chain_problems(target, KEYS)
        if RUNTIME_ID.match(target.model_id):
            want = f"an id of this door, e.g. anthropic.claude-sonnet-5-5, or provider: bedrock for {target.model_id}"
            found.append(Problem(target.id, "model_id", target.model_id, want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_BEDROCK_MANTLE_BASE_URL")
        return {
            **address(base or f"https://bedrock-mantle.{aws.region(target)}.api.aws/anthropic", "/v1/messages"),
            "api_version": target.api_version,
            "auth": aws.how(target, KEYS),
        }
