"""Claude on Google Cloud's Vertex AI, operated by Google."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench.errors import Problem
from bench.providers import auth, renewal
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, address
from bench.targets import Target

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIER_HEADERS = {
    "dedicated": ("X-Vertex-AI-LLM-Request-Type", "dedicated"),
    "shared": ("X-Vertex-AI-LLM-Request-Type", "shared"),
    "priority": ("X-Vertex-AI-LLM-Shared-Request-Type", "priority"),
    "flex": ("X-Vertex-AI-LLM-Shared-Request-Type", "flex"),
}


class Vertex(ClaudeDoor):
    name = "vertex"
    extra = "vertex"
    packages = ("anthropic", "google.auth")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicVertex

        target = opened.target
        token = auth.named(target)
        if token is None:
            token = (await sign_in(opened, self.name)).token
        return AsyncAnthropicVertex(
            region=self._region(target) or "",
            project_id=self._project(target) or "",
            access_token=token,
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
        )

    async def credential(self, opened: Opened) -> str | None:
        token = await super().credential(opened)
        if token is not None:
            opened.client.access_token = token  # the SDK would renew by itself, and make a request wait for it
        return token

    def given(self, target: Target, body: Mapping[str, Any]) -> Mapping[str, Any]:
        given = {key: value for key, value in body.items() if key != "service_tier"}
        if target.api_version is not None:
            given.setdefault("anthropic_version", target.api_version)
        return given

    def headers(self, target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else dict([TIER_HEADERS[target.service_tier]])

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + auth.tier_problems(target, tuple(TIER_HEADERS))
        if self._region(target) is None:
            want = "a location, e.g. us-east5 or global, or export CLOUD_ML_REGION=..."
            found.append(Problem(target.id, "region", "none", want))
        if self._project(target) is None:
            want = "the id of a Google Cloud project, or export ANTHROPIC_VERTEX_PROJECT_ID=..."
            found.append(Problem(target.id, "project", "none", want))
        if target.base_url is not None and urlsplit(target.base_url).path.strip("/") == "":
            want = f"the version in it: {target.base_url.rstrip('/')}/v1"
            found.append(Problem(target.id, "base_url", target.base_url, want))
        return found + google_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_VERTEX_BASE_URL")
        region = self._region(target)
        hosts = {"global": "aiplatform.googleapis.com", "us": "aiplatform.us.rep.googleapis.com"}
        hosts["eu"] = "aiplatform.eu.rep.googleapis.com"
        host = hosts.get(region or "", f"{region}-aiplatform.googleapis.com")
        place = f"/projects/{self._project(target)}/locations/{region}/publishers/anthropic/models/{{model}}"
        return {
            **address(base or f"https://{host}/v1", place + ":streamRawPredict"),
            "api_version": target.api_version,
            "auth": f"access token in {target.auth['env']}" if "env" in target.auth else found_default(),
        }

    @staticmethod
    def _region(target: Target) -> str | None:
        return target.region or auth.env("CLOUD_ML_REGION")

    @staticmethod
    def _project(target: Target) -> str | None:
        return target.project or auth.env("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")


async def sign_in(opened: Opened, door: str) -> Any:
    """Google's default credentials, whose access token is kept in force from now on."""
    opened.keeper = await asyncio.to_thread(default_credentials)
    opened.renewal = renewal.of_google(opened.keeper, _refresh, door)
    await opened.renewal.value()
    return opened.keeper


def google_problems(target: Target) -> list[Problem]:
    """No Google credentials where the default ones are looked for, or a file of them that is not there."""
    if target.auth:
        return []
    key_file = auth.env("GOOGLE_APPLICATION_CREDENTIALS")
    if key_file and not Path(key_file).is_file():
        got = f"GOOGLE_APPLICATION_CREDENTIALS={key_file}, which is no file"
        return [Problem(target.id, "auth", got, "the path of a credentials file")]
    if not key_file and found_default() is None:
        want = "gcloud auth application-default login, or export GOOGLE_APPLICATION_CREDENTIALS=FILE"
        return [Problem(target.id, "auth", "no Google credentials", want)]
    return []


def default_credentials() -> Any:
    import google.auth

    credentials, _ = google.auth.default(scopes=[SCOPE])
    return credentials


def _refresh(credentials: Any) -> None:
    from google.auth.transport.requests import Request

    credentials.refresh(Request())


def found_default() -> str | None:
    """Where the default credentials will be found, as far as can be told without asking the network."""
    if auth.env("GOOGLE_APPLICATION_CREDENTIALS"):
        return "file in GOOGLE_APPLICATION_CREDENTIALS"
    folder = Path(auth.env("CLOUDSDK_CONFIG") or "~/.config/gcloud").expanduser()
    if (folder / "application_default_credentials.json").is_file():
        return "gcloud application default"
    on_google = auth.env("GCE_METADATA_HOST") or auth.machine_says("/sys/class/dmi/id/product_name", "Google")
    return "metadata server" if on_google else None
