"""The contract of a provider: who answers. It knows addresses, credentials, signatures and errors; it never sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bench.errors import Problem
from bench.record import Exchange, Fault, Reply
from bench.targets import Target

if TYPE_CHECKING:
    import httpx2

    from bench.wire.message import Outgoing


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


@runtime_checkable
class Carrying(Protocol):
    """What a provider has besides, when its requests are not HTTP/1.1: they come with the one that carries them.

    Such a door says so in `client_stack`, and in its `route` as `transport` and `stamps` (who stamps its arrivals).
    """

    async def outgoing(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Outgoing:
        """The authenticated request that the official SDK would send, and its carrier. Used in place of `prepare`."""
        ...


@runtime_checkable
class Splicing(Protocol):
    """What a provider may have besides: the bytes of its requests at once, where most of them are known from earlier ones."""

    async def spliced(self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Outgoing:
        """The bytes of what `prepare` gives for the same arguments. Used in place of it."""
        ...
