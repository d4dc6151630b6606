"""The contract of a provider: who answers. It knows addresses, credentials, signatures and errors; it never sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from bench.errors import Problem
from bench.record import Exchange, Fault, Reply
from bench.targets import Target

if TYPE_CHECKING:
    import httpx2


class Provider(Protocol):
    name: str
    dialects: frozenset[str]

    def check(self, target: Target) -> list[Problem]:
        """Everything that would keep this target from running, each with what to do. No network."""
        ...

    async def prepare(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx2.Request:
        """The authenticated, signed request that the official SDK would send, with `headers` added. Never sends."""
        ...

    def fault(self, status: int | None, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
        """Why a reply is not ok, from raw status, code and type. Also given errors that came inside a 200."""
        ...

    def client_stack(self, target: Target) -> str:
        """Name and version of what builds the request."""
        ...

    def route(self, target: Target) -> dict[str, str | None]:
        """Facts for the record: `host`, `path`, `api_version` (None: the SDK's default) and the kind of `auth`."""
        ...

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        """`consistent`, `contradicted` or `unknown`: whether the reply agrees with the route asked for."""
        ...

    async def close(self) -> None: ...
