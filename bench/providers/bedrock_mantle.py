"""Claude on Amazon Bedrock's Messages endpoint ("mantle"): Anthropic's own wire behind an AWS signature or a Bedrock key.

Another door than `bedrock`: other hosts, plain server-sent events, model ids without profile or version.
"""

from __future__ import annotations

import re

from bench.errors import Problem
from bench.providers import auth, aws
from bench.providers.aws_claude import AwsClaudeDoor
from bench.providers.door import address
from bench.targets import Target

RUNTIME_ID = re.compile(r"arn:|(us-gov|us|eu|apac|au|jp|global)\.anthropic\.|anthropic\..*-v\d+(:\d+)?$")
"""Ids of the runtime endpoint: a profile before the name, a version behind it, or an ARN."""


class BedrockMantle(AwsClaudeDoor):
    name = "bedrock-mantle"
    service = "bedrock-mantle"
    keys = (aws.BEDROCK_TOKEN, "ANTHROPIC_AWS_API_KEY")
    sdk_class = "AsyncAnthropicBedrockMantle"

    def problems(self, target: Target) -> list[Problem]:
        found = super().problems(target)
        if RUNTIME_ID.match(target.model_id):
            want = f"an id of this door, e.g. anthropic.claude-sonnet-5-5, or provider: bedrock for {target.model_id}"
            found.append(Problem(target.id, "model_id", target.model_id, want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_BEDROCK_MANTLE_BASE_URL")
        return {
            **address(base or f"https://bedrock-mantle.{aws.region(target)}.api.aws/anthropic", "/v1/messages"),
            "api_version": target.api_version,
            "auth": aws.how(target, self.keys),
        }
