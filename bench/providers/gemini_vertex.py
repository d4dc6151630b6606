"""Gemini on Google Cloud's Vertex AI, as google-genai asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import httpx2

from bench.errors import BenchError, Problem
from bench.providers import auth
from bench.providers.door import Door, Opened, address, to_json
from bench.providers.vertex import TIER_HEADERS, found_default, google_problems, sign_in
from bench.record import Exchange, Reply
from bench.targets import Target

API_VERSION = "v1"
"""Where a target names none. The SDK's own default is a beta, whose models and fields may change without notice."""

_BUILT: ContextVar[list[httpx2.Request]] = ContextVar("built")
"""Where the request that the SDK is building now is put: its methods give back what a reply says, not what was asked."""


class GeminiVertex(Door):
    name = "gemini-vertex"
    dialects = frozenset({"gemini"})
    extra = "gemini"
    packages = ("google.genai", "google.auth")

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from google import genai
        from google.genai import types
        from google.oauth2.credentials import Credentials

        target = opened.target
        token = auth.named(target)
        if token is None:
            await sign_in(opened, self.name)
        http.event_hooks = {"request": [_keep], "response": []}
        client = genai.Client(
            enterprise=True,
            project=project_of(target),
            location=region_of(target),
            credentials=opened.keeper if token is None else Credentials(token=token),
            http_options=types.HttpOptions(
                base_url=target.base_url,
                api_version=target.api_version or API_VERSION,
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=http,
            ),
        )
        return _Client(client.aio)

    def headers(self, target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else dict([TIER_HEADERS[target.service_tier]])

    def content(self, body: Mapping[str, Any]) -> bytes:
        return spelled(body)

    async def _built(self, opened: Opened, given: Mapping[str, Any], headers: Mapping[str, str]) -> httpx2.Request:
        """The request that the SDK itself builds for this body, from its own types."""
        from google.genai import types

        generation = dict(given.get("generationConfig") or {})
        fields = types.GenerateContentConfig.model_fields
        known = {name for key, field in fields.items() for name in (key, field.alias) if name}
        own = {key: generation.pop(key) for key in list(generation) if key in known}
        skipped = ("model", "stream", "contents", "generationConfig")
        own |= {key: value for key, value in given.items() if key in known and key not in skipped}
        # What the SDK has no field for goes out beside its own, where its interface lets it.
        extra: dict[str, Any] = {key: v for key, v in given.items() if key not in known and key not in skipped}
        if generation:
            extra["generationConfig"] = generation
        config = types.GenerateContentConfig.model_validate_json(json.dumps(own))
        config.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        config.http_options = types.HttpOptions(
            headers={**self.headers(opened.target), **headers} or None, extra_body=extra or None
        )
        asked = {
            "model": given["model"],
            "contents": [types.Content.model_validate_json(json.dumps(one)) for one in given["contents"]],
            "config": config,
        }
        built: list[httpx2.Request] = []
        mark = _BUILT.set(built)
        try:
            if given.get("stream"):
                async for _ in await opened.client.models.generate_content_stream(**asked):
                    pass
            else:
                await opened.client.models.generate_content(**asked)
        finally:
            _BUILT.reset(mark)
        return built[-1]

    def problems(self, target: Target) -> list[Problem]:
        return google_place_problems(target) + google_problems(target)

    def route(self, target: Target) -> dict[str, str | None]:
        version = target.api_version or API_VERSION
        base = target.base_url or f"https://{google_host(region_of(target))}"
        place = f"/projects/{project_of(target)}/locations/{region_of(target)}/publishers/google/models/{{model}}"
        return {
            **address(base, f"/{version}{place}:streamGenerateContent"),
            "api_version": version,
            "auth": f"access token in {target.auth['env']}" if "env" in target.auth else found_default(),
        }

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        found = super().region_proof(target, exchange, reply)
        return found if found == "contradicted" else model_proof(target, reply)


class _Client:
    """The SDK's asynchronous half, with the closing that doors do."""

    __slots__ = ("_aio", "models")

    def __init__(self, aio: Any) -> None:
        self._aio, self.models = aio, aio.models

    async def close(self) -> None:
        await self._aio.aclose()


async def _keep(request: httpx2.Request) -> None:
    await request.aread()
    _BUILT.get().append(request)


def spelled(body: Mapping[str, Any]) -> bytes:
    """The body as google-genai writes it: Python's own JSON, in ASCII. BenchError for what JSON cannot carry."""
    to_json(body)
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BenchError(f"request body: {error}") from error


def model_proof(target: Target, reply: Reply) -> str:
    """A reply that names another model contradicts the route; nothing in a reply of Gemini proves a region."""
    served, asked = reply.served_model, target.model_id.rpartition("/")[2]
    if not served:
        return "unknown"
    served = served.rpartition("/")[2]
    return "consistent" if served == asked or served.startswith((f"{asked}-", f"{asked}@")) else "contradicted"


def google_place_problems(target: Target) -> list[Problem]:
    """What is missing of project and location, and tiers and references that Google Cloud does not have."""
    found = auth.reference_problems(target, ("env",)) + auth.tier_problems(target, tuple(TIER_HEADERS))
    if region_of(target) is None:
        want = "a location, e.g. us-central1 or global, or export GOOGLE_CLOUD_LOCATION=..."
        found.append(Problem(target.id, "region", "none", want))
    if project_of(target) is None:
        want = "the id of a Google Cloud project, or export GOOGLE_CLOUD_PROJECT=..."
        found.append(Problem(target.id, "project", "none", want))
    return found


def google_host(region: str | None) -> str:
    """The host that serves a location."""
    if region == "global":
        return "aiplatform.googleapis.com"
    return (
        f"aiplatform.{region}.rep.googleapis.com" if region in ("us", "eu") else f"{region}-aiplatform.googleapis.com"
    )


def region_of(target: Target) -> str | None:
    return target.region or auth.env("GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION")


def project_of(target: Target) -> str | None:
    return target.project or auth.env("GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID")
