"""Claude on Azure AI Foundry."""

from __future__ import annotations

from pathlib import Path
from shutil import which
from typing import Any

import httpx2

from bench.errors import Problem
from bench.providers import auth, renewal
from bench.providers.claude import ClaudeDoor
from bench.providers.door import Opened, address, installed, version_of
from bench.targets import Target

KEY = "ANTHROPIC_FOUNDRY_API_KEY"
SCOPE = "https://ai.azure.com/.default"
AZURE_MACHINES = "7783-7084-3265-9085-8269-3286-77"
"""The chassis asset tag of every Azure virtual machine."""


class Foundry(ClaudeDoor):
    name = "foundry"
    extra = "foundry"

    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        from anthropic import AsyncAnthropicFoundry

        target = opened.target
        key = self._key(target)
        provider = None
        if key is None:
            from azure.identity.aio import DefaultAzureCredential

            opened.keeper = DefaultAzureCredential()
            opened.renewal = renewal.of_entra(opened.keeper, SCOPE, self.name)
            provider = opened.renewal.value
        where = {"base_url": target.base_url} if target.base_url else {"resource": target.resource}
        return AsyncAnthropicFoundry(
            **where,
            api_key=key,
            azure_ad_token_provider=provider,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
            default_headers={"anthropic-version": target.api_version} if target.api_version else None,
        )

    def problems(self, target: Target) -> list[Problem]:
        found = auth.reference_problems(target, ("env",)) + auth.tier_problems(target, ("auto", "standard_only"))
        address = auth.env("ANTHROPIC_FOUNDRY_BASE_URL")
        if not target.base_url and not target.resource and not address and not auth.env("ANTHROPIC_FOUNDRY_RESOURCE"):
            want = "the name of the Foundry resource, or export ANTHROPIC_FOUNDRY_RESOURCE=..."
            found.append(Problem(target.id, "resource", "none", want))
        if target.resource and not target.base_url and address:
            got = f"{target.resource}, while ANTHROPIC_FOUNDRY_BASE_URL is set, which the SDK refuses to combine"
            found.append(Problem(target.id, "resource", got, "unset ANTHROPIC_FOUNDRY_BASE_URL"))
        if not target.auth and self._key(target) is None:
            if not installed("azure.identity"):
                want = f"export {KEY}=..., or pip install 'bench[foundry]' and sign in to Entra"
                found.append(Problem(target.id, "auth", "no key in the environment, no azure-identity", want))
            elif found_entra() is None:
                found.append(Problem(target.id, "auth", "no key, no Entra sign-in", f"export {KEY}=..., or az login"))
        return found

    def route(self, target: Target) -> dict[str, str | None]:
        base = target.base_url or (None if target.resource else auth.env("ANTHROPIC_FOUNDRY_BASE_URL"))
        resource = target.resource or auth.env("ANTHROPIC_FOUNDRY_RESOURCE")
        keyed = self._key(target) is not None
        return {
            **address(base or f"https://{resource}.services.ai.azure.com/anthropic", "/v1/messages"),
            "api_version": target.api_version,
            "auth": f"key in {target.auth.get('env', KEY)}" if keyed else f"Entra, {found_entra() or 'default chain'}",
        }

    def client_stack(self, target: Target) -> str:
        stack = super().client_stack(target)
        return stack if self._key(target) is not None else f"{stack}, azure-identity {version_of('azure.identity')}"

    @staticmethod
    def _key(target: Target) -> str | None:
        return auth.named(target) if target.auth else auth.env(KEY)


def found_entra() -> str | None:
    """Where azure-identity will find a credential, as far as can be told without asking the network."""
    if auth.env("AZURE_CLIENT_ID") and auth.env("AZURE_TENANT_ID"):
        if auth.env("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"):
            return "service principal in the environment"
        if auth.env("AZURE_FEDERATED_TOKEN_FILE"):
            return "workload identity"
    if auth.env("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT"):
        return "managed identity"
    for program, folder in (("az", auth.env("AZURE_CONFIG_DIR") or "~/.azure"), ("azd", "~/.azd")):
        if which(program) and Path(folder).expanduser().is_dir():
            return f"{program} login"
    on_azure = auth.machine_says("/sys/devices/virtual/dmi/id/chassis_asset_tag", AZURE_MACHINES)
    return "managed identity" if on_azure else None
