"""Servers that speak OpenAI's API at an address of their own: vLLM, SGLang, NIM, Ollama, OpenRouter, gateways.

`preset` names the make, of which `presets.py` knows the rest; without one nothing is assumed.

Such a server asks for no SDK: an address, a key and a body are the whole request. So it is made here, and differs from
the openai SDK's in nothing but what an SDK says of itself (`user-agent`, `x-stainless-*`).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench import __version__
from bench.errors import Problem
from bench.providers import auth, gpt
from bench.providers.door import Opened, address, to_json
from bench.providers.presets import PRESETS, Preset
from bench.record import Params
from bench.targets import Target

NO_KEY = "none"
"""Sent where no key is named: the SDK sends one, such servers ignore it, and OPENAI_API_KEY is not theirs to see."""
LIMITS = ("max_tokens", "max_completion_tokens")


class Plain:
    """Stands where a door's SDK does: `post` makes a request. The address may hold a user and a password."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str, key: str) -> None:
        self._http = http
        http.base_url = httpx2.URL(base_url)
        http.headers = httpx2.Headers(
            {
                "Authorization": f"Bearer {key}",
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": f"bench/{__version__}",
            }
        )

    async def post(
        self, path: str, *, body: Mapping[str, Any], cast_to: type[httpx2.Response], options: Mapping[str, Any]
    ) -> httpx2.Response:
        return await self._http.post(path, content=to_json(body), headers=options["headers"])

    async def close(self) -> None:
        await self._http.aclose()


class OpenAICompatible(gpt.GptDoor):
    name = "openai-compatible"
    extra = ""
    packages = ()

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Plain:
        return Plain(http, _base(opened.target) or "", self.secret(opened.target) or NO_KEY)

    def secret(self, target: Target) -> str | None:
        return auth.named(target)

    def given(self, target: Target, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body, its limit of tokens under the name that the preset's server takes."""
        preset = PRESETS.get(target.preset or "")
        if preset is None or target.dialect != "chat":
            return body
        return {preset.token_limit if key in LIMITS else key: value for key, value in body.items()}

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",))
        preset = PRESETS.get(target.preset or "")
        if target.preset is not None and preset is None:
            near = get_close_matches(target.preset, PRESETS, 1)
            want = near[0] if near else f"one of {', '.join(PRESETS)}, or none"
            found.append(Problem(target.id, "preset", target.preset, want))
        base = _base(target)
        if not base:
            found.append(Problem(target.id, "base_url", "none", "the server's address, e.g. http://localhost:8000/v1"))
        elif urlsplit(base).scheme not in ("http", "https"):
            found.append(Problem(target.id, "base_url", base, "an address, e.g. http://localhost:8000/v1"))
        if preset is not None:
            found += _of_preset(target, preset)
        return found + gpt.version_problems(target)

    def refused(self, target: Target, params: Params) -> list[Problem]:
        """Settings that the preset's server does not take, each with what becomes of it."""
        preset = PRESETS.get(target.preset or "")
        if preset is None:
            return []
        asked = {f"extra_body.{key}": value for key, value in params.extra_body.items()}
        asked |= {"seed": params.seed, "effort": params.effort, "stop": params.stop or None}
        found = [
            Problem(target.id, f"params.{key}", f"{key}, which {target.preset} does not take ({preset.refuses[key]})",
                    "the setting left out for every target")
            for key, value in asked.items()
            if value is not None and key in preset.refuses
        ]  # fmt: skip
        form = params.tool_choice if isinstance(params.tool_choice, str) else "function"
        if params.tool_choice is not None and form not in preset.tool_choices:
            want = f"{' or '.join(preset.tool_choices)}: {target.preset} takes no other"
            found.append(Problem(target.id, "params.tool_choice", str(params.tool_choice), want))
        kind = (params.response_format or {}).get("type", "text")
        if kind not in preset.response_formats:
            want = f"{' or '.join(preset.response_formats)}: {target.preset} takes no other"
            found.append(Problem(target.id, "params.response_format", str(kind), want))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        return {
            **address(_base(target) or "", self.path_of(target)),
            "api_version": None,
            "auth": f"key in {target.auth['env']}" if "env" in target.auth else "none",
        }


def _base(target: Target) -> str | None:
    preset = PRESETS.get(target.preset or "")
    return target.base_url or (preset.base_url if preset else None)


def _of_preset(target: Target, preset: Preset) -> list[Problem]:
    found = []
    if target.dialect not in preset.dialects:
        want = f"{', '.join(preset.dialects)}, which is what {target.preset} speaks"
        found.append(Problem(target.id, "dialect", target.dialect, want))
    if preset.key == "needed" and not target.auth:
        want = f"auth: {{env: {preset.key_variable}}}"
        found.append(Problem(target.id, "auth", f"no key, which {target.preset} asks for", want))
    if target.service_tier is not None and "service_tier" in preset.refuses:
        got = f"{target.service_tier}, which {target.preset} does not take ({preset.refuses['service_tier']})"
        found.append(Problem(target.id, "service_tier", got, "none"))
    return found
