"""What the doors to OpenAI's models share: the openai SDK, its two dialects, and what a reply tells of its origin."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bench import registry
from bench.errors import Problem
from bench.providers import auth
from bench.providers.advice import advised
from bench.providers.door import Door, Headers, Opened
from bench.providers.headers import first
from bench.record import Exchange, Fault, Reply
from bench.targets import Target

PATHS = {"chat": "/chat/completions", "responses": "/responses"}

CUSTOM_HEADERS = "OPENAI_CUSTOM_HEADERS"
"""A variable from which the SDK adds headers to every request, `Authorization` among them if it says so."""

MARKS = {
    "openai": ("openai-version", "openai-processing-ms"),
    "azure-openai": ("apim-request-id", "x-ms-region", "x-ms-deployment-name"),
    "openai-bedrock": ("x-amzn-requestid",),
}
"""Response headers that only the servers of that door write."""

SPILLED = "x-ms-spillover-from-deployment"
"""Azure names in it the provisioned deployment that was full: another, shared one answered."""


class GptDoor(Door):
    """A door that the openai SDK opens."""

    dialects = frozenset(PATHS)
    packages: tuple[str, ...] = ("openai",)

    def path_of(self, target: Target) -> str:
        return PATHS.get(target.dialect, PATHS["chat"])

    def secret(self, target: Target) -> str | None:
        """The key or token that is sent as it is, where there is one."""
        raise NotImplementedError

    async def credential(self, opened: Opened) -> str | None:
        """The key, or the token in force."""
        return await super().credential(opened) if opened.renewal is not None else self.secret(opened.target)

    def fault(self, status: int | None, headers: Headers, body: bytes) -> Fault:
        """As every door, with the cause and what to do, and without the credential that some servers repeat."""
        fault = super().fault(status, headers, body)
        for opened in self._opened.values():
            if opened.credential:
                fault = replace(fault, message=fault.message.replace(opened.credential, "[credential]"))
        return advised(self.name, status, headers, fault)

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        """What the model that is named and the headers say. One contradiction outweighs any agreement.

        `consistent` means that something in the reply is this door's own and nothing speaks against the route.
        """
        seen = first(exchange.headers)
        findings = [
            _model(target, reply.served_model),
            _marks(self.name, seen),
            _region(target.region, seen.get("x-ms-region")),
        ]
        if "contradicted" in (*findings, super().region_proof(target, exchange, reply)) or SPILLED in seen:
            return "contradicted"
        return "consistent" if "consistent" in findings else "unknown"


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


def _marks(door: str, seen: dict[str, str]) -> str:
    owners = {owner for owner, names in MARKS.items() if any(name in seen for name in names)}
    if not owners:
        return "unknown"
    # Azure runs OpenAI's servers, whose headers may shine through
    if door in owners and (owners == {door} or door == "azure-openai"):
        return "consistent"
    return "contradicted"


def _region(asked: str | None, header: str | None) -> str:
    if not asked or not header:
        return "unknown"
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in (asked, header)]
    return "consistent" if plain[0] == plain[1] else "contradicted"


_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def _model(target: Target, served: str | None) -> str:
    """A name that both sides spell as a GPT model must be one model; names of deployments and aliases say nothing."""
    got = canonical(served or "")
    asked = [name for name in map(canonical, (target.model_id, target.model)) if name.startswith("gpt-")]
    if not got.startswith("gpt-") or not asked:
        return "unknown"
    if any(got == name or _DATE.sub("", got) == name or got == _DATE.sub("", name) for name in asked):
        return "consistent"
    return "contradicted" if any(_DATE.sub("", name) in registry.models() for name in asked) else "unknown"


def canonical(model: str) -> str:
    """`us.openai.gpt-oss-120b-1:0`, `openai/gpt-oss-120b-maas` and `gpt-oss-120b` as `gpt-oss-120b`."""
    model = model.lower()
    model = model[model.index("gpt-") :] if "gpt-" in model else model
    return re.sub(r"(-maas|-\d:\d)$", "", model)
