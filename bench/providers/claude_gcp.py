"""Claude on Google Cloud, run by Anthropic: Anthropic's own API behind Google's gate. Another operator than `vertex`."""

from __future__ import annotations

from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, address
from bench.providers.vertex import found_default, google_problems, sign_in
from bench.targets import Target

PROJECTS = ("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_PROJECT")
WORKSPACE = "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID"


class ClaudeGcp(ClaudeDoor):
    name = "claude-gcp"
    extra = "vertex"
    packages = ("anthropic", "google.auth")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicGoogleCloud

        target = opened.target
        token = auth.named(target)
        credentials = await sign_in(opened, self.name) if token is None else None
        return AsyncAnthropicGoogleCloud(
            project=self._project(target),
            location=self._location(target),
            workspace_id=self._workspace(target),
            token_provider=None if token is None else lambda: token,
            credentials=credentials,
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
            default_headers={"anthropic-version": target.api_version} if target.api_version else None,
        )

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + auth.tier_problems(target, ("auto", "standard_only"))
        if not self._base(target):
            if self._project(target) is None:
                want = f"the id of a Google Cloud project, or export {PROJECTS[0]}=..."
                found.append(Problem(target.id, "project", "none", want))
            if self._workspace(target) is None:
                want = f"the id of a workspace, e.g. wrkspc_01AbCd, or export {WORKSPACE}=..."
                found.append(Problem(target.id, "workspace", "none", want))
        if "@" in target.model_id:
            want = f"Anthropic's own id, e.g. {target.model_id.replace('@', '-')}; ids with @ are Vertex's"
            found.append(Problem(target.id, "model_id", target.model_id, want))
        return found + google_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        place = f"/v1/projects/{self._project(target)}/locations/{self._location(target)}"
        derived = f"https://claude.googleapis.com{place}/workspaces/{self._workspace(target)}/invoke"
        return {
            **address(self._base(target) or derived, "/v1/messages"),
            "api_version": target.api_version,
            "auth": f"access token in {target.auth['env']}" if "env" in target.auth else found_default(),
        }

    @staticmethod
    def _base(target: Target) -> str | None:
        return target.base_url or auth.env("ANTHROPIC_GOOGLE_CLOUD_BASE_URL")

    @staticmethod
    def _project(target: Target) -> str | None:
        return target.project or auth.env(*PROJECTS)

    @staticmethod
    def _location(target: Target) -> str:
        return target.region or auth.env("ANTHROPIC_GOOGLE_CLOUD_LOCATION") or "global"

    @staticmethod
    def _workspace(target: Target) -> str | None:
        return target.workspace or auth.env(WORKSPACE)
