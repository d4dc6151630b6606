"""The contract of a provider: who answers. It knows addresses, credentials, signatures and error codes; it never sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bench.errors import Problem
from bench.record import Fault
from bench.targets import Target

if TYPE_CHECKING:
    import httpx2


class Provider(Protocol):
    name: str
    dialects: frozenset[str]

    def check(self, target: Target) -> list[Problem]:
        """Everything that would keep this target from running, each with what to do. No network."""
        ...

    async def prepare(self, target: Target, body: dict[str, Any]) -> httpx2.Request:
        """The authenticated, signed request that the official SDK would send. Never sends."""
        ...

    def fault(self, status: int | None, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
        """Why a reply is not ok, from raw status, code and type. Also given errors that came inside a 200."""
        ...

    async def close(self) -> None: ...
