"""What the doors to OpenAI's models share: the openai SDK and its two dialects."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from bench.errors import Problem
from bench.providers import auth
from bench.providers.door import Door, Opened
from bench.targets import Target

PATHS = {"chat": "/chat/completions", "responses": "/responses"}

CUSTOM_HEADERS = "OPENAI_CUSTOM_HEADERS"
"""A variable from which the SDK adds headers to every request, `Authorization` among them if it says so."""


class GptDoor(Door):
    """A door that the openai SDK opens."""

    dialects = frozenset(PATHS)
    packages: tuple[str, ...] = ("openai",)

    def path_of(self, target: Target) -> str:
        return PATHS.get(target.dialect, PATHS["chat"])

    @abstractmethod
    def secret(self, target: Target) -> str | None:
        """The key or token that is sent as it is, where there is one."""

    async def credential(self, opened: Opened) -> str | None:
        """The key, or the token in force."""
        return await super().credential(opened) if opened.renewal is not None else self.secret(opened.target)


def sdk_options(http: Any) -> dict[str, Any]:
    """What every client gets: no retries, our transport."""
    return {"max_retries": 0, "http_client": http}


def without_account() -> dict[str, Any]:
    """Default headers that keep the ids of an OpenAI account, which the SDK takes from the environment, at home."""
    from openai._types import Omit

    return {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}


def environment_problems(target: Target) -> list[Problem]:
    """A variable that would change every request, unseen, though it says nothing of this target."""
    if auth.env(CUSTOM_HEADERS) is None:
        return []
    got = f"{CUSTOM_HEADERS} is set, which adds its headers to every request, unrecorded"
    return [Problem(target.id, "provider", got, f"unset {CUSTOM_HEADERS}, or params: {{extra_headers: {{...}}}}")]


def version_problems(target: Target) -> list[Problem]:
    """An API version where none is sent."""
    if target.api_version is None:
        return []
    return [Problem(target.id, "api_version", target.api_version, "none: this door sends no version")]
