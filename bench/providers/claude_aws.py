"""Claude Platform on AWS: Anthropic's own API, run by Anthropic, entered through AWS's gate and billed by AWS.

Needs a workspace, which is bound to a region. `inference_geo` (in `params.extra_body`) says where inference may run:
the region of the gate does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, Template, address
from bench.targets import Target

SERVICE = "aws-external-anthropic"
"""The name that AWS signs for."""
KEYS = ("ANTHROPIC_AWS_API_KEY",)
WORKSPACE = "ANTHROPIC_AWS_WORKSPACE_ID"


class ClaudeAws(ClaudeDoor):
    name = "claude-aws"
    extra = "bedrock"
    packages = ("anthropic", "boto3", "botocore")
    signs_anew = True

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicAWS

        target = opened.target
        key, profile, region = aws.token(target, KEYS), aws.profile(target), aws.region(target)
        if key is None:
            await aws.sign_in(opened, self.name)
        return AsyncAnthropicAWS(
            api_key=key,
            aws_profile=profile,
            aws_region=region,
            workspace_id=self._workspace(target),
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
            default_headers={"anthropic-version": target.api_version} if target.api_version else None,
        )

    async def written(self, opened: Opened, template: Template, content: bytes) -> Mapping[str, str]:
        return await aws.written(opened, template, content, SERVICE)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile"))
        found += auth.tier_problems(target, ("auto", "standard_only"))
        found += aws.region_problems(target) + aws.profile_problems(target) + aws.chain_problems(target, KEYS)
        if self._workspace(target) is None:
            want = f"the id of a workspace of this region, e.g. wrkspc_01AbCd, or export {WORKSPACE}=..."
            found.append(Problem(target.id, "workspace", "none", want))
        if "anthropic." in target.model_id or target.model_id.startswith("arn:"):
            want = "Anthropic's own id, e.g. claude-sonnet-5-5; ids with anthropic. are Bedrock's"
            found.append(Problem(target.id, "model_id", target.model_id, want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_AWS_BASE_URL")
        return {
            **address(base or f"https://aws-external-anthropic.{aws.region(target)}.api.aws", "/v1/messages"),
            "api_version": target.api_version,
            "auth": aws.how(target, KEYS),
        }

    @staticmethod
    def _workspace(target: Target) -> str | None:
        return target.workspace or auth.env(WORKSPACE)
