"""Servers that speak OpenAI's chat API at an address of their own: vLLM, SGLang, NIM, Ollama, OpenRouter, gateways."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench.errors import Problem
from bench.providers import auth
from bench.providers.door import Door, Opened, address
from bench.targets import Target

NO_KEY = "none"
"""Sent where no key is named: the SDK wants one, such servers ignore it, and OPENAI_API_KEY is not theirs to see."""


class OpenAICompatible(Door):
    name = "openai-compatible"
    dialects = frozenset({"chat"})
    extra = "openai"
    packages = ("openai",)
    path = "/chat/completions"

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from openai import AsyncOpenAI
        from openai._types import Omit

        target = opened.target
        return AsyncOpenAI(
            api_key=auth.named(target) or NO_KEY,
            base_url=target.base_url,
            max_retries=0,
            http_client=http,
            # The SDK would add the ids of an OpenAI account from the environment.
            default_headers={"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()},
        )

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",))
        if not target.base_url:
            found.append(Problem(target.id, "base_url", "none", "the server's address, e.g. http://localhost:8000/v1"))
        elif urlsplit(target.base_url).scheme not in ("http", "https"):
            found.append(Problem(target.id, "base_url", target.base_url, "an address, e.g. http://localhost:8000/v1"))
        if target.api_version is not None:
            found.append(Problem(target.id, "api_version", target.api_version, "none: this door sends no version"))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        return {
            **address(target.base_url or "", "/chat/completions"),
            "api_version": None,
            "auth": f"key in {target.auth['env']}" if "env" in target.auth else "none",
        }
