"""What the doors to Claude share: the anthropic SDK, its Messages API, and what a reply tells of where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.providers.claude_advice import advised
from bench.providers.door import Door, Headers
from bench.record import Exchange, Fault, Reply
from bench.targets import Target

CLAUDE_ID_PREFIXES = {"bedrock": "msg_bdrk_", "bedrock-mantle": "msg_bdrk_", "vertex": "msg_vrtx_"}
"""Doors whose message ids carry a mark of their own; ids of Anthropic's own doors are plain."""


WHOLE_REPLY_TIMEOUT = httpx2.Timeout(600, connect=5.0)
"""What the SDK's own method passes when it does not stream; it is told to the server in a header."""


class ClaudeDoor(Door):
    """A door that the anthropic SDK opens."""

    dialects = frozenset({"messages"})
    packages: tuple[str, ...] = ("anthropic",)
    path = "/v1/messages"

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {} if given.get("stream") else {"timeout": WHOLE_REPLY_TIMEOUT}

    def fault(self, status: int | None, headers: Headers, body: bytes) -> Fault:
        """Why a reply is not ok, and what to do about it where that is known."""
        return advised(self.name, status, super().fault(status, headers, body))

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        return region_proof(self.name, target, exchange, reply)


def region_proof(door: str, target: Target, exchange: Exchange, reply: Reply) -> str:
    """What the message id, the model and the region header say. One contradiction outweighs any agreement.

    A plain message id agrees with Anthropic's own doors, and proves nothing against the others, whose gateways may
    rewrite it. No reply proves a region by itself; `consistent` means that nothing in it speaks against the route.
    """
    findings = [
        _message_id(door, reply.message_id),
        _model(target, reply.served_model),
        _region(target.region, exchange.header("x-ms-region")),
    ]
    if "contradicted" in findings:
        return "contradicted"
    return "consistent" if findings[0] == "consistent" else "unknown"


def _message_id(door: str, message_id: str | None) -> str:
    if not message_id:
        return "unknown"
    owners = [owner for owner, prefix in CLAUDE_ID_PREFIXES.items() if message_id.startswith(prefix)]
    if owners:
        return "consistent" if door in owners else "contradicted"
    return "consistent" if door not in CLAUDE_ID_PREFIXES and message_id.startswith("msg_") else "unknown"


def _model(target: Target, served: str | None) -> str:
    """A name that both sides spell as a Claude model must be one model; ids of profiles and deployments say nothing."""
    if not served or not _canonical(served).startswith("claude-"):
        return "unknown"
    asked = [name for name in map(_canonical, (target.model_id, target.model)) if name.startswith("claude-")]
    if not asked:
        return "unknown"
    got = _canonical(served)
    return (
        "consistent" if any(got == name or _dated(got, name) or _dated(name, got) for name in asked) else "contradicted"
    )


def _canonical(model: str) -> str:
    """`us.anthropic.claude-x-20250929-v1:0` and `claude-x@20250929` as `claude-x-20250929`."""
    model = model.lower().rpartition("/")[2]
    model = model[model.index("claude-") :] if "claude-" in model else model
    return re.sub(r"-v\d+(:\d+)?$", "", model).replace("@default", "").replace("@", "-")


def _dated(longer: str, shorter: str) -> bool:
    """Whether one name is the other with its date behind it."""
    return longer.startswith(shorter + "-") and longer[len(shorter) + 1 :].isdigit() and len(longer) - len(shorter) == 9


def _region(asked: str | None, header: str | None) -> str:
    if not asked or not header or asked.lower() in ("global", "us", "eu"):
        return "unknown"
    plain = re.sub(r"[^a-z0-9]", "", header.lower())
    return "consistent" if plain == re.sub(r"[^a-z0-9]", "", asked.lower()) else "contradicted"
