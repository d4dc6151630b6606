"""Where a target's price holds and in which lane, in the price book's words, from what the target and its reply say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench import registry
from bench.record import STANDARD_SPEED
from bench.targets import Target


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no price, and why."""

    reason: str


GEOGRAPHIES = ("global", "us", "eu")
"""What replies of Anthropic's own doors name as the place of inference, beside the tier."""

_DEFAULT = frozenset({"", "default", "standard", "standard_only", "auto", "on_demand", "shared"})
_PROVISIONED = frozenset({"provisioned", "provisioned_throughput", "dedicated"})
_VERTEX = ("vertex", "vertex-grpc", "gemini-vertex", "openai-vertex")
_EU_REGIONS = (
    "europe",
    "sweden",
    "germany",
    "france",
    "poland",
    "spain",
    "italy",
    "austria",
    "belgium",
    "denmark",
    "finland",
)
_US_REGIONS = re.compile(r"(east|west|central|northcentral|southcentral|westcentral)us\d?$")


def scope_of(target: Target, lane: str | None = None) -> str | Unknown:
    """Where the target's price holds, from its inference profile, region or kind of deployment.

    At Anthropic's own doors the geography that the reply named stands above the one asked for.
    """
    door = target.provider
    if door in ("bedrock", "openai-bedrock"):
        return _of_bedrock(target)
    if door == "bedrock-mantle":
        return "us-gov" if (target.region or "").startswith("us-gov-") else "regional"
    if door in _VERTEX:
        return "global" if target.region == "global" else "regional"
    if door in ("anthropic", "claude-aws", "claude-gcp"):
        return _of_anthropic(target, lane)
    if door == "openai":
        return target.region or "global"
    if door in ("azure-openai", "foundry"):
        return _of_azure(target)
    return Unknown(f"the price book has no prices for {door}: state them, e.g. price: {{input: 2.00, output: 10.00}}")


def tier_of(target: Target, lane: str | None = None) -> str:
    """The capacity lane: the one the reply named, else the one asked for; `default` for every word that means it.

    `provisioned` is capacity that is paid by the hour, whatever the door calls it.
    """
    kind = _kind(target)
    if "provisioned" in kind:
        return "provisioned"
    words = _words_of(lane)
    named = [word for word in words if word not in (*GEOGRAPHIES, STANDARD_SPEED)]
    if "fast" in named and target.provider != "openai":
        return "fast"
    if "optimized" in named:  # Bedrock's latency-optimized inference
        return "optimized"
    word = named[0] if named else (target.service_tier or "").lower()
    word = word.removeprefix("on_demand_")
    if word in _PROVISIONED:
        return "provisioned"
    if word == "fast" and target.provider == "openai":  # OpenAI's other word for it
        return "priority"
    tier = "default" if word in _DEFAULT else word
    if tier == "default" and kind.endswith("batch"):
        return "batch"
    fast = target.params.get("extra_body", {}).get("speed") == "fast" and STANDARD_SPEED not in words
    return "fast" if fast and tier == "default" else tier


def _of_bedrock(target: Target) -> str | Unknown:
    profile = registry.bedrock_profile(target.model_id)
    if profile is None:
        return Unknown(f"the model id {target.model_id} does not say which model or inference profile it is")
    gov = target.provider == "openai-bedrock" and (target.region or "").startswith("us-gov-")
    return "us-gov" if gov and profile == "in-region" else profile


def _of_anthropic(target: Target, lane: str | None) -> str | Unknown:
    served = [word for word in _words_of(lane) if word in GEOGRAPHIES]
    geo = served[0] if served else target.params.get("extra_body", {}).get("inference_geo")
    if geo is None and target.provider == "anthropic" and target.region not in (None, "global"):
        where = f"the target's region is {target.region}, but params.extra_body.inference_geo does not ask for it"
        return Unknown(where)
    return str(geo or "global")


def _of_azure(target: Target) -> str | Unknown:
    """The kind of deployment as a Standard one: what is provisioned or batched is the tier."""
    kind = _kind(target)
    if not kind:
        return Unknown("the price depends on the kind of deployment: say sku: GlobalStandard or DataZoneStandard")
    if target.provider == "foundry":
        return kind
    if kind.startswith("global"):
        return "globalstandard"
    if not kind.startswith("datazone"):
        return "standard"
    zone = _zone(target.region)
    if zone is None:
        got = f"the region {target.region}" if target.region else "no region"
        return Unknown(
            f"{target.sku} costs differently by data zone, and {got} names none: say region: us or region: eu"
        )
    return f"datazonestandard-{zone}"


def _kind(target: Target) -> str:
    return re.sub(r"[^a-z]", "", (target.sku or "").lower()) if target.provider in ("azure-openai", "foundry") else ""


def _zone(region: str | None) -> str | None:
    """Azure's data zone of a region: us or eu."""
    name = re.sub(r"[^a-z0-9]", "", (region or "").lower())
    if name in ("us", "eu"):
        return name
    if _US_REGIONS.match(name):
        return "us"
    return "eu" if any(word in name for word in _EU_REGIONS) else None


def _words_of(lane: str | None) -> list[str]:
    """A lane in its parts: `standard/fast/us`."""
    return [word for word in (lane or "").lower().split("/") if word]
