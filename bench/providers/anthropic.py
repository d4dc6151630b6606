"""Anthropic's own API."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, address
from bench.providers.renewal import Issued, Renewal
from bench.targets import Target

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
"""Where the SDK looks for a key, in its order."""


class Anthropic(ClaudeDoor):
    name = "anthropic"
    extra = "anthropic"

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropic
        from anthropic.lib.credentials import AccessToken

        target = opened.target
        # The SDK refuses two credentials at once, so only the one that was named is passed.
        credential = {"api_key": auth.named(target)} if "env" in target.auth else dict(target.auth)
        pinned = {"anthropic-version": target.api_version} if target.api_version else {}
        common: dict[str, Any] = {"max_retries": 0, "http_client": http, "open_telemetry": False}
        client = AsyncAnthropic(**credential, base_url=target.base_url, default_headers=pinned or None, **common)
        if client.credentials is None:
            return client
        # A profile or a workload identity: the SDK's provider issues the tokens, and we say when.
        renewal = opened.renewal = _renewal(client.credentials, self.name)

        async def current() -> AccessToken:
            return AccessToken(await renewal.value(), expires_at=0)  # 0: ask again for every request

        headers = {**getattr(client, "_credential_headers", {}), **pinned}
        return AsyncAnthropic(
            credentials=current, base_url=str(client.base_url), default_headers=headers or None, **common
        )

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env", "profile"))
        if not target.auth and self._found_auth() is None:
            want = "export ANTHROPIC_API_KEY=..., or auth: {env: NAME}"
            found.append(Problem(target.id, "auth", "no key in the environment", want))
        return found + auth.tier_problems(target, ("auto", "standard_only"))

    @staticmethod
    def _found_auth() -> str | None:
        """The credential that the SDK will find by itself, in words."""
        for name in KEYS:
            if auth.env(name):
                return f"key in {name}"
        if auth.env("ANTHROPIC_PROFILE"):
            return "profile in ANTHROPIC_PROFILE"
        if auth.env("ANTHROPIC_IDENTITY_TOKEN", "ANTHROPIC_IDENTITY_TOKEN_FILE") and auth.env(
            "ANTHROPIC_FEDERATION_RULE_ID"
        ):
            return "workload identity"
        folder = Path(os.environ.get("ANTHROPIC_CONFIG_DIR") or "~/.config/anthropic").expanduser()
        return "active profile" if (folder / "active_config").is_file() else None

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or auth.env("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
        given = f"key in {target.auth['env']}" if "env" in target.auth else None
        if "profile" in target.auth:
            given = f"profile {target.auth['profile']}"
        return {
            **address(base, "/v1/messages"),
            "api_version": target.api_version,
            "auth": given or self._found_auth(),
        }


def _renewal(issue: Any, door: str) -> Renewal:
    """Keeps the token of a provider of the anthropic SDK fresh: one that is awaited, or one that blocks."""

    async def fetch() -> Issued:
        found = await issue() if inspect.iscoroutinefunction(issue) else await asyncio.to_thread(issue)
        token = await found if inspect.isawaitable(found) else found
        return Issued(token.token, None if not token.expires_at else float(token.expires_at))

    fix = "sign in to the profile again, or check ANTHROPIC_IDENTITY_TOKEN_FILE; then: bench doctor"
    return Renewal(fetch, door, "Anthropic access token", fix)
