"""The wire as an httpx2 transport, so that an SDK can be run over it: each body is handed over whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from bench.record import Exchange, WireFailure
from bench.wire.clock import SECOND_NS, now_ns
from bench.wire.message import outgoing

if TYPE_CHECKING:
    from bench.wire.http import Wire

_ERRORS: dict[WireFailure, type[httpx2.TransportError]] = {
    "dns": httpx2.ConnectError,
    "connect": httpx2.ConnectError,
    "tls": httpx2.ConnectError,
    "proxy": httpx2.ProxyError,
    "timeout": httpx2.ReadTimeout,
    "reset": httpx2.ReadError,
    "closed": httpx2.RemoteProtocolError,
    "protocol": httpx2.RemoteProtocolError,
    "cancelled": httpx2.ReadError,
}


class ExchangeError(Exception):
    """The cause of the httpx2 error that `Transport` raises: it carries the exchange that failed."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.failure_detail)
        self.exchange = exchange


class Transport(httpx2.AsyncBaseTransport):
    """Carries httpx2 requests over a wire. The stamped exchange is `response.extensions["exchange"]`.

    httpx2's timeouts are per step; here the largest of those given is the deadline of the whole exchange, `total_s`
    where none is. A failed exchange raises the httpx2 error of its kind, its `__cause__` an `ExchangeError`. Closing
    this does not close the wire.
    """

    def __init__(self, wire: Wire, *, total_s: float = 600.0) -> None:
        self._wire, self._total_s = wire, total_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        steps = [step for step in request.extensions.get("timeout", {}).values() if step is not None]
        deadline_ns = now_ns() + round(max(steps, default=self._total_s) * SECOND_NS)
        exchange = await self._wire.exchange(outgoing(request), deadline_ns)
        if exchange.failure is not None:
            error = _ERRORS[exchange.failure](exchange.failure_detail, request=request)
            raise error from ExchangeError(exchange)
        return httpx2.Response(
            exchange.status or 0,
            headers=list(exchange.headers),
            stream=httpx2.ByteStream(exchange.body),
            extensions={"exchange": exchange},
        )
