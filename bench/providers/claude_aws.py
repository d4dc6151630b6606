"""Claude Platform on AWS: Anthropic's own API, run by Anthropic, entered through AWS's gate and billed by AWS.

Needs a workspace, which is bound to a region. `inference_geo` (in `params.extra_body`) says where inference may run:
the region of the gate does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.aws_claude import AwsClaudeDoor
from bench.providers.door import address
from bench.targets import Target

WORKSPACE = "ANTHROPIC_AWS_WORKSPACE_ID"


class ClaudeAws(AwsClaudeDoor):
    name = "claude-aws"
    service = "aws-external-anthropic"
    keys = ("ANTHROPIC_AWS_API_KEY",)
    sdk_class = "AsyncAnthropicAWS"
    tiers = ("auto", "standard_only")

    def client_options(self, target: Target) -> Mapping[str, Any]:
        return {"workspace_id": self._workspace(target)}

    def problems(self, target: Target) -> list[Problem]:
        found = super().problems(target)
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
            "auth": aws.how(target, self.keys),
        }

    @staticmethod
    def _workspace(target: Target) -> str | None:
        return target.workspace or auth.env(WORKSPACE)
