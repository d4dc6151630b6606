"""Open models that Google serves on Vertex AI (gpt-oss and others), through its OpenAI-compatible endpoints.

Chat Completions stand below the location's `endpoints/openapi`, Responses below `publishers/openai/v1`.
"""

from __future__ import annotations

from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, gpt, vertex
from bench.providers.door import Opened, address
from bench.targets import Target

PLACES = {"chat": "endpoints/openapi", "responses": "publishers/openai/v1"}


class OpenAIVertex(gpt.GptDoor):
    name = "openai-vertex"
    extra = "openai-vertex"
    packages = ("openai", "google.auth")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from openai import AsyncOpenAI
        from openai.providers import vertex as provider

        target = opened.target
        token = self.secret(target)
        signed: dict[str, Any] = {"token_provider": lambda: token}
        if token is None:
            signed = {"credentials": await vertex.sign_in(opened, self.name)}
        return AsyncOpenAI(provider=provider(base_url=_base(target), **signed), **gpt.sdk_options(http))

    def secret(self, target: Target) -> str | None:
        return auth.named(target)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + auth.tier_problems(target, ())
        if _region(target) is None:
            want = "a location, e.g. us-central1 or global, or export GOOGLE_CLOUD_LOCATION=..."
            found.append(Problem(target.id, "region", "none", want))
        if target.base_url is None and _project(target) is None:
            want = "the id of a Google Cloud project, or export GOOGLE_CLOUD_PROJECT=..."
            found.append(Problem(target.id, "project", "none", want))
        return found + vertex.google_problems(target) + gpt.version_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        how = f"access token in {target.auth['env']}" if "env" in target.auth else vertex.found_default()
        return {**address(_base(target), self.path_of(target)), "api_version": None, "auth": how}


def _base(target: Target) -> str:
    if target.base_url:
        return target.base_url.rstrip("/")
    region = _region(target)
    hosts = {"global": "aiplatform.googleapis.com", "us": "aiplatform.us.rep.googleapis.com"}
    hosts["eu"] = "aiplatform.eu.rep.googleapis.com"
    host = hosts.get(region or "", f"{region}-aiplatform.googleapis.com")
    place = PLACES.get(target.dialect, PLACES["chat"])
    return f"https://{host}/v1/projects/{_project(target)}/locations/{region}/{place}"


def _region(target: Target) -> str | None:
    return target.region or auth.env("GOOGLE_CLOUD_LOCATION")


def _project(target: Target) -> str | None:
    return target.project or auth.env("GOOGLE_CLOUD_PROJECT")
