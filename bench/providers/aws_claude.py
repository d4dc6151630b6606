"""What the doors to Claude behind an AWS signature share: keys before signatures, and one way to make the SDK's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, Template
from bench.targets import Target


class AwsClaudeDoor(ClaudeDoor):
    """A door whose client class of the anthropic SDK takes a key, or an AWS profile and region to sign with."""

    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")
    signs_anew = True
    service: str
    """The name that AWS signs for."""
    keys: tuple[str, ...]
    """Where the SDK looks for a key, in its order."""
    sdk_class: str
    tiers: tuple[str, ...] = ()

    def client_options(self, target: Target) -> Mapping[str, Any]:
        """What this door's client takes besides."""
        return {}

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        import anthropic

        target = opened.target
        key = aws.token(target, self.keys)
        if key is None:
            await aws.sign_in(opened, self.name)
        return getattr(anthropic, self.sdk_class)(
            api_key=key,
            aws_profile=aws.profile(target),
            aws_region=aws.region(target),
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
            default_headers={"anthropic-version": target.api_version} if target.api_version else None,
            **self.client_options(target),
        )

    async def written(self, opened: Opened, template: Template, content: bytes) -> Mapping[str, str]:
        return await aws.written(opened, template, content, self.service)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile")) + auth.tier_problems(target, self.tiers)
        return (
            found + aws.region_problems(target) + aws.profile_problems(target) + aws.chain_problems(target, self.keys)
        )
