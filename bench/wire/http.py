"""The wire: sends prepared requests over a pool of HTTP/1.1 connections and gives back what arrived, stamped.

Everything that other rooms use of the transport is importable from here.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from bench.record import Connection, Exchange, WireFailure
from bench.wire.clock import SECOND_NS, WallShift, now_ns
from bench.wire.dial import DialError, Dialler
from bench.wire.link import Link, kernel_stamps_available
from bench.wire.message import MAX_BODY_BYTES, Carrier, Origin, Outgoing, decoded_body, decoded_pieces, outgoing
from bench.wire.proxy import Proxy, proxy_for
from bench.wire.tls import client_context
from bench.wire.watch import Watch

__all__ = [
    "MAX_BODY_BYTES", "Carrier", "Live", "Origin", "Outgoing", "Wire", "decoded_body", "decoded_pieces", "outgoing",
]  # fmt: skip

_WARM_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Live:
    """What the wire holds now: open connections, those of them that idle, exchanges under way, callers waiting."""

    open: int
    idle: int
    in_flight: int
    waiting: int


class Wire:
    """A pool of connections for one event loop.

    `kernel_stamps` takes arrival times from the kernel where the system has them (Linux), so that a busy event loop
    does not move them. `environ` (default: the process's) is asked for proxies and CA certificates. `max_connections`
    bounds what is open at once, idle ones included; a connection that idled for `keepalive_s` is not used again;
    `connect_timeout_s` is for one address.
    """

    def __init__(
        self,
        *,
        kernel_stamps: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        environ: Mapping[str, str] | None = None,
        max_connections: int | None = None,
        keepalive_s: float = 60.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._ssl_context = ssl_context
        self._max_connections = max_connections
        self._keepalive_ns = round(keepalive_s * SECOND_NS)
        self._watch: Watch | None = None
        self._dialler = Dialler(
            context=self._context,
            watch=self._watched,
            shift=WallShift() if kernel_stamps and kernel_stamps_available() else None,
            connect_timeout_s=connect_timeout_s,
        )
        self._proxies: dict[Origin, Proxy | None] = {}
        self._idle: dict[Origin, list[Link]] = {}
        self._busy: set[Link] = set()
        self._carried: set[Carrier] = set()
        self._open = 0  # links, and those being dialled
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def live(self) -> Live:
        idle = sum(map(len, self._idle.values()))
        return Live(
            open=self._open, idle=idle, in_flight=len(self._busy) + len(self._carried), waiting=len(self._waiting)
        )

    @property
    def stamp_facts(self) -> dict[str, str | int]:
        """Where stamps come from, for the manifest: kernel or loop; how often the wall clock was stepped under us, and
        how many kernel stamps could not be used (our own time of reading stands in their place)."""
        shift = self._dialler.shift
        if shift is None:
            return {"source": "loop"}
        return {"source": "kernel", "wall_clock_steps": shift.steps, "unusable": shift.unusable}

    async def exchange(self, outgoing: Outgoing, deadline_ns: int) -> Exchange:
        """Send a request and wait for the whole reply, until `deadline_ns` at most.

        Trouble on the network never raises: the exchange says how it failed and keeps what had arrived. `sent_ns` of an
        exchange that never got to sending is when it was asked for. Cancelling the task closes the connection.
        """
        asked_ns = now_ns()
        if outgoing.carrier is not None:
            return await self._by(outgoing.carrier, deadline_ns)
        data = outgoing.data
        try:
            while True:
                link = await self._link(outgoing.origin, deadline_ns)
                if outgoing.origin[0] == "http" and (proxy := self._proxies[outgoing.origin]) is not None:
                    data = _for_proxy(outgoing, proxy)
                # None: an idle connection had been closed under us, and nothing was sent; take the next one
                if (ended := link.begin(data, deadline_ns)) is not None:
                    break
        except DialError as trouble:
            return _never_sent(asked_ns, trouble.failure, trouble.detail)
        self._busy.add(link)
        try:
            await ended
        except asyncio.CancelledError:
            link.close()
            raise
        finally:
            self._busy.discard(link)
        exchange = link.finish()
        if not link.closed:
            self._give_back(outgoing.origin, link)
        return exchange

    async def _by(self, carrier: Carrier, deadline_ns: int) -> Exchange:
        if self._closed:
            return _never_sent(now_ns(), "cancelled", "the wire was closed")
        self._carried.add(carrier)
        try:
            return await carrier.exchange(deadline_ns)
        finally:
            self._carried.discard(carrier)

    async def warm(self, origin: Origin, n: int, timeout_s: float = 30.0) -> tuple[Connection, ...]:
        """Open connections until `n` to this origin idle in the pool; gives the facts of those that were opened.

        Network trouble does not raise: fewer come back, and the exchange that needs a connection says what is wrong.
        """
        gate = asyncio.Semaphore(_WARM_AT_ONCE)
        deadline_ns = now_ns() + round(timeout_s * SECOND_NS)
        opened: list[Connection] = []

        async def one() -> None:
            async with gate:
                if self._max_connections is not None and self._open >= self._max_connections:
                    return
                try:
                    link = await self._dial(origin, deadline_ns)
                except DialError:
                    return
                opened.append(link.facts)
                link.settle()
                self._give_back(origin, link)

        missing = n - len(self._idle.get(origin, ()))
        await asyncio.gather(*(one() for _ in range(missing)))
        return tuple(opened)

    def abort(self, detail: str) -> None:
        """End every exchange under way as `cancelled`; what arrived is kept and given to those who wait."""
        for link in tuple(self._busy):
            link.abort("cancelled", detail)
        for carrier in tuple(self._carried):
            carrier.abort(detail)

    async def aclose(self) -> None:
        """Close every connection. Exchanges under way end as `cancelled`; later ones fail in the same way."""
        self._closed = True
        self.abort("the wire was closed")
        while self._waiting:
            self._wake_one()
        for links in tuple(self._idle.values()):
            for link in tuple(links):
                link.close()
        await asyncio.sleep(0)  # let the exchanges that ended return
        if self._watch is not None:
            self._watch.close()

    # the pool

    async def _link(self, origin: Origin, deadline_ns: int) -> Link:
        """An idle connection, the one used last first, or a new one; waits when all that are allowed are busy."""
        while True:
            if self._closed:
                raise DialError("cancelled", "the wire was closed")
            if now_ns() >= deadline_ns:
                raise DialError("timeout", "the deadline passed before a connection was there")
            idle = self._idle.get(origin)
            if idle:
                link = idle.pop()
                if now_ns() - link.idle_since_ns < self._keepalive_ns:
                    return link
                for old in (link, *idle):  # below it lie only older ones
                    old.close()
                continue
            if self._max_connections is None or self._open < self._max_connections:
                return await self._dial(origin, deadline_ns)
            if other := next((links for links in self._idle.values() if links), None):
                other[0].close()
                continue
            await self._freed(deadline_ns)

    async def _freed(self, deadline_ns: int) -> None:
        """Wait for a turn. A turn that came too late to be taken is passed on."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        taken = False
        try:
            async with asyncio.timeout(max(0.0, (deadline_ns - now_ns()) / SECOND_NS)):
                await waiter
                taken = True
        except TimeoutError:
            raise DialError(
                "timeout", f"the deadline passed waiting for one of {self._max_connections} connections to become free"
            ) from None
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not taken and not waiter.cancelled():
                self._wake_one()

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _dial(self, origin: Origin, deadline_ns: int) -> Link:
        self._open += 1
        try:
            if origin not in self._proxies:
                try:
                    self._proxies[origin] = proxy_for(origin, self._environ)
                except ValueError as trouble:
                    raise DialError("proxy", str(trouble)) from None
            link = await self._dialler.dial(
                origin, self._proxies[origin], deadline_ns, lambda gone: self._on_closed(origin, gone)
            )
        except BaseException:
            self._open -= 1
            self._wake_one()
            raise
        if self._closed:
            link.close()
            raise DialError("cancelled", "the wire was closed")
        return link

    def _give_back(self, origin: Origin, link: Link) -> None:
        if self._closed:
            link.close()
            return
        self._idle.setdefault(origin, []).append(link)
        self._wake_one()

    def _on_closed(self, origin: Origin, link: Link) -> None:
        self._open -= 1
        idle = self._idle.get(origin, [])
        if link in idle:
            idle.remove(link)
        self._wake_one()

    def _watched(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(asyncio.get_running_loop())
        return self._watch

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            try:
                self._ssl_context = client_context(self._environ)
            except ValueError as trouble:
                raise DialError("tls", str(trouble)) from None
        return self._ssl_context


def _for_proxy(outgoing: Outgoing, proxy: Proxy) -> bytes:
    """A plain-HTTP request in the form that proxies want: the whole address in its first line, and our credentials."""
    _, host, port = outgoing.origin
    method, _, rest = outgoing.data.partition(b" ")
    target, _, rest = rest.partition(b"\r\n")
    authority = f"[{host}]" if ":" in host else host
    address = authority if port == 80 else f"{authority}:{port}"
    credentials = b"Proxy-Authorization: %s\r\n" % proxy.authorization if proxy.authorization else b""
    return b"%s http://%s%s\r\n%s%s" % (method, address.encode(), target, credentials, rest)


def _never_sent(asked_ns: int, failure: WireFailure, detail: str) -> Exchange:
    return Exchange(
        sent_ns=asked_ns, headers_ns=None, end_ns=now_ns(), status=None, headers=(), pieces=(),
        connection=Connection(reused=False), failure=failure, failure_detail=detail,
    )  # fmt: skip
