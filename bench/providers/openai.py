"""OpenAI's own API."""

from __future__ import annotations

from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, gpt
from bench.providers.door import Opened, address
from bench.targets import Target

KEY = "OPENAI_API_KEY"
TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
TIERS_OF_RESPONSES = (*TIERS, "ultrafast")
RESIDENCIES = ("global", "us", "eu", "ae", "au", "in", "jp")
"""Where data stays, each with an address of its own (the table of the openai SDK 3.54.0)."""


class OpenAI(gpt.GptDoor):
    name = "openai"
    extra = "openai"

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from openai import AsyncOpenAI

        target = opened.target
        where: dict[str, Any] = {"base_url": target.base_url} if target.base_url else {}
        if not where and target.region:
            where = {"data_residency": target.region}
        return AsyncOpenAI(
            api_key=self.secret(target),
            organization=target.organization,
            project=target.project,
            **where,
            **gpt.sdk_options(http),
        )

    def secret(self, target: Target) -> str | None:
        return auth.named(target) if target.auth else auth.env(KEY)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + gpt.environment_problems(target)
        if not target.auth and self.secret(target) is None:
            want = f"export {KEY}=..., or auth: {{env: NAME}}"
            found.append(Problem(target.id, "auth", "no key in the environment", want))
        if target.region is not None and target.region not in RESIDENCIES:
            found.append(Problem(target.id, "region", target.region, f"one of {', '.join(RESIDENCIES)}, or none"))
        tiers = TIERS_OF_RESPONSES if target.dialect == "responses" else TIERS
        return found + auth.tier_problems(target, tiers) + gpt.version_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or ("" if target.region else auth.env("OPENAI_BASE_URL"))
        place = "" if target.region in (None, "global") else f"{target.region}."
        said = [f"key in {target.auth.get('env', KEY)}"]
        for what, own, variable in (
            ("organisation", target.organization, "OPENAI_ORG_ID"),
            ("project", target.project, "OPENAI_PROJECT_ID"),
        ):
            if own or auth.env(variable):  # the ids themselves are kept nowhere
                said.append(f"{what} of {'the target' if own else variable}")
        return {
            **address(base or f"https://{place}api.openai.com/v1", self.path_of(target)),
            "api_version": None,
            "auth": ", ".join(said),
        }
