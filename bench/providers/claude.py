"""What the doors to Claude share: the anthropic SDK and its Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from bench.providers.claude_advice import advised
from bench.providers.door import Door, Headers
from bench.record import Fault

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
