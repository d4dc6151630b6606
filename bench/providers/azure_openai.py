"""OpenAI's models on Azure: the v1 API, or the older one with the version in the address when a target names it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from bench.errors import Problem
from bench.providers import auth, foundry, gpt, renewal
from bench.providers.door import Opened, address, installed, version_of
from bench.targets import Target

KEY = "AZURE_OPENAI_API_KEY"
ENDPOINT = "AZURE_OPENAI_ENDPOINT"
V1 = "/openai/v1"
TIERS = ("auto", "default", "priority")
DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


class Cloud(NamedTuple):
    """One of Azure's clouds: how its resources, its regions and its sign-in are called."""

    suffix: str
    regions: str
    scope: str
    authority: str | None


CLOUDS = (
    Cloud("azure.us", "usgov|usdod", "https://cognitiveservices.azure.us/.default", "login.microsoftonline.us"),
    Cloud("azure.cn", "china", "https://cognitiveservices.azure.cn/.default", "login.chinacloudapi.cn"),
    Cloud("azure.com", "", "https://cognitiveservices.azure.com/.default", None),  # what AZURE_AUTHORITY_HOST says
)
"""The last is the one for everything else. Authorities: AzureAuthorityHosts of azure-identity 1.27."""


class AzureOpenAI(gpt.GptDoor):
    name = "azure-openai"
    extra = "azure-openai"

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from openai import AsyncAzureOpenAI, AsyncOpenAI

        target = opened.target
        key: Any = self.secret(target)
        if key is None:
            from azure.identity.aio import DefaultAzureCredential

            cloud = _cloud(target)
            opened.keeper = DefaultAzureCredential(**({"authority": cloud.authority} if cloud.authority else {}))
            opened.renewal = renewal.of_entra(opened.keeper, cloud.scope, self.name)
        token = None if opened.renewal is None else opened.renewal.value
        common = {**gpt.sdk_options(http), "default_headers": gpt.without_account()}
        if _classic(target):
            signed = {"api_key": key} if key is not None else {"azure_ad_token_provider": token}
            return AsyncAzureOpenAI(
                azure_endpoint=_base(target).removesuffix(V1), api_version=target.api_version, **signed, **common
            )
        return AsyncOpenAI(api_key=key or token, base_url=_base(target), **common)

    def secret(self, target: Target) -> str | None:
        return auth.named(target) if target.auth else auth.env(KEY)

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + gpt.environment_problems(target)
        found += auth.tier_problems(target, TIERS)
        if not (target.base_url or target.resource or auth.env(ENDPOINT)):
            want = f"the name of the Azure resource, or export {ENDPOINT}=https://NAME.openai.azure.com"
            found.append(Problem(target.id, "resource", "none", want))
        if target.api_version not in (None, "v1") and not DATED.fullmatch(target.api_version or ""):
            want = "none for the v1 API, or a date, e.g. 2025-04-01-preview"
            found.append(Problem(target.id, "api_version", target.api_version or "", want))
        if not target.auth and self.secret(target) is None:
            if not installed("azure.identity"):
                want = f"export {KEY}=..., or pip install 'bench[azure-openai]' and sign in to Entra"
                found.append(Problem(target.id, "auth", "no key in the environment, no azure-identity", want))
            elif foundry.found_entra() is None:
                found.append(Problem(target.id, "auth", "no key, no Entra sign-in", f"export {KEY}=..., or az login"))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        path = self.path_of(target)
        base = _base(target)
        if _classic(target):
            base = base.removesuffix(V1) + "/openai"
            path = f"/deployments/{{model}}{path}" if target.dialect == "chat" else path
        keyed = self.secret(target) is not None
        return {
            **address(base, path),
            "api_version": target.api_version if _classic(target) else "v1",
            "auth": f"key in {target.auth.get('env', KEY)}"
            if keyed
            else f"Entra, {foundry.found_entra() or 'default chain'}",
        }

    def client_stack(self, target: Target) -> str:
        stack = super().client_stack(target)
        return stack if self.secret(target) is not None else f"{stack}, azure-identity {version_of('azure.identity')}"


def _classic(target: Target) -> bool:
    return target.api_version not in (None, "v1")


def _base(target: Target) -> str:
    """The address up to the version of the API, which is added where a base address ends before it."""
    base = target.base_url
    if base is None and target.resource:
        base = f"https://{target.resource}.openai.{_cloud(target).suffix}"
    base = (base or auth.env(ENDPOINT) or "https://none.openai.azure.com").rstrip("/")
    return base if base.endswith("/v1") else base + V1


def _cloud(target: Target) -> Cloud:
    """By the address where there is one, else by the region."""
    base = target.base_url or ("" if target.resource else auth.env(ENDPOINT) or "")
    host = urlsplit(base).hostname or ""
    for cloud in CLOUDS[:-1]:
        by_region = not host and re.match(cloud.regions, (target.region or "").lower())
        if host.endswith(cloud.suffix) or by_region:
            return cloud
    return CLOUDS[-1]
