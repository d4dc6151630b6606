"""Opening a connection: name, address after address, proxy, TLS, each step timed and each failure named."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from bench.record import Connection, WireFailure
from bench.wire.clock import SECOND_NS, WallShift, now_ns
from bench.wire.incoming import MAX_HEAD_BYTES
from bench.wire.link import SO_TIMESTAMPNS, Link, words_of
from bench.wire.message import Origin
from bench.wire.proxy import Proxy
from bench.wire.tls import Layer, Tls, TlsInTls
from bench.wire.watch import Watch

_EARLIER_ADDRESS_S = 2.0
"""How long an address may take to answer when another one is left to try."""

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


class DialError(Exception):
    """The connection did not come about: in which way, and in words for people."""

    def __init__(self, failure: WireFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure, self.detail = failure, detail


@dataclass(frozen=True, slots=True)
class Dialler:
    """What is needed to open connections. `context` and `watch` are asked when they are first needed."""

    context: Callable[[], ssl.SSLContext]
    watch: Callable[[], Watch]
    shift: WallShift | None
    connect_timeout_s: float

    async def dial(
        self, origin: Origin, proxy: Proxy | None, deadline_ns: int, on_closed: Callable[[Link], None]
    ) -> Link:
        """A new connection to the origin. Raises DialError; passes cancellation on; leaves no socket behind."""
        progress = _Progress(proxy)
        try:
            async with asyncio.timeout(max(0.0, (deadline_ns - now_ns()) / SECOND_NS)):
                return await self._dial(origin, proxy, progress, on_closed)
        except TimeoutError:
            raise DialError("timeout", f"the deadline passed while {progress.doing}") from None
        finally:
            if progress.sock is not None:
                progress.sock.close()

    async def _dial(
        self, origin: Origin, proxy: Proxy | None, progress: _Progress, on_closed: Callable[[Link], None]
    ) -> Link:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        hop_host, hop_port = (proxy.host, proxy.port) if proxy else (host, port)

        progress.doing = f"resolving {hop_host}"
        began_ns = now_ns()
        addresses = await _resolve(loop, hop_host, hop_port, progress)
        dns_ns = now_ns() - began_ns

        began_ns = now_ns()
        sock = progress.sock = await self._connect(loop, addresses, progress)
        connect_ns = now_ns() - began_ns
        peer = sock.getpeername()

        pipe = _Pipe(loop, sock)
        tls_ns: int | None = None
        if proxy is not None:
            await self._through(proxy, origin, pipe, progress)
        if scheme == "https":
            progress.doing = f"shaking hands in TLS with {host}"
            began_ns = now_ns()
            await _handshake(pipe, self.context(), host, "tls")
            tls_ns = now_ns() - began_ns
        facts = Connection(
            reused=False,
            address=f"[{peer[0]}]:{peer[1]}" if sock.family == socket.AF_INET6 else f"{peer[0]}:{peer[1]}",
            dns_ns=dns_ns,
            connect_ns=connect_ns,
            tls_ns=tls_ns,
            tls_version=pipe.layer.version if scheme == "https" and pipe.layer else None,
            proxy=str(proxy) if proxy else None,
        )
        progress.sock = None  # the link owns it now
        return Link(loop, sock, tls=pipe.layer, facts=facts, shift=self.shift, on_closed=on_closed, watch=self.watch())

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, addresses: list[Address], progress: _Progress
    ) -> socket.socket:
        troubles = []
        for i, (family, address) in enumerate(addresses):
            last = i == len(addresses) - 1
            limit_s = self.connect_timeout_s if last else min(_EARLIER_ADDRESS_S, self.connect_timeout_s)
            progress.doing = f"connecting to {address[0]} port {address[1]}"
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                _prepare(sock, self.shift is not None)
                async with asyncio.timeout(limit_s):
                    await loop.sock_connect(sock, address)
                return sock
            except OSError as trouble:  # TimeoutError is one of them
                sock.close()
                words = words_of(trouble) if trouble.errno else f"no answer within {limit_s:g} s"
                troubles.append(f"{address[0]} port {address[1]}: {words}")
            except BaseException:
                sock.close()
                raise
        raise DialError(progress.hop_failure("connect"), "cannot connect: " + "; ".join(troubles))

    async def _through(self, proxy: Proxy, origin: Origin, pipe: _Pipe, progress: _Progress) -> None:
        if proxy.scheme == "https":
            progress.doing = f"shaking hands in TLS with the proxy {proxy}"
            await _handshake(pipe, self.context(), proxy.host, "proxy")
        if origin[0] == "https":
            progress.doing = f"asking the proxy {proxy} for a tunnel"
            await _tunnel(pipe, proxy, origin)


class _Progress:
    """How far dialling has come: for the words of a timeout, and for the socket that must not be left behind."""

    __slots__ = ("_proxied", "doing", "sock")

    def __init__(self, proxy: Proxy | None) -> None:
        self._proxied = proxy is not None
        self.doing = "starting"
        self.sock: socket.socket | None = None

    def hop_failure(self, failure: WireFailure) -> WireFailure:
        """Trouble on the way to a proxy is the proxy's, whatever step it happened in."""
        return "proxy" if self._proxied else failure


class _Pipe:
    """A socket before it becomes a link: bytes in and out, through TLS once there is some."""

    __slots__ = ("_loop", "_sock", "layer")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop, self._sock = loop, sock
        self.layer: Layer | None = None

    async def send(self, data: bytes) -> None:
        if data:
            await self._loop.sock_sendall(self._sock, data if self.layer is None else self.layer.encrypt(data))

    async def receive(self) -> bytes:
        """The next bytes, or b"" at the end of the connection."""
        while data := await self._loop.sock_recv(self._sock, 65536):
            if self.layer is None:
                return data
            if (plain := self.layer.decrypt(data)) or self.layer.closed:
                return plain
        return b""


def _prepare(sock: socket.socket, kernel_stamps: bool) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # a reply may take minutes, and NAT gateways forget after five
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60)
    if kernel_stamps:  # before connecting, so that no segment comes unstamped
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:  # a kernel look-alike (a sandbox): reads then carry no stamp, and our own time is used
            pass


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int, progress: _Progress) -> list[Address]:
    try:
        ipaddress.ip_address(host.partition("%")[0])
        flags = socket.AI_NUMERICHOST
    except ValueError:
        flags = socket.AI_ADDRCONFIG
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as trouble:
        words = words_of(trouble) if isinstance(trouble, OSError) else str(trouble)
        raise DialError(progress.hop_failure("dns"), f"cannot resolve {host}: {words}") from None
    addresses = [(family, address) for family, _, _, _, address in found]
    return [pair for i, pair in enumerate(addresses) if pair not in addresses[:i]]  # type: ignore[misc]


async def _handshake(pipe: _Pipe, context: ssl.SSLContext, host: str, failure: WireFailure) -> None:
    """Put TLS on the pipe, above what is there."""
    tls = Tls(context, host)
    data = b""
    try:
        while True:
            done, words = tls.handshake(data)
            await pipe.send(words)
            if done:
                break
            data = await pipe.receive()
            if not data:
                raise DialError(failure, f"{host} closed the connection during the TLS handshake")
    except ssl.SSLCertVerificationError as trouble:
        await _send_alert(pipe, tls)
        raise DialError(
            failure,
            f"the certificate of {host} is not trusted: {trouble.verify_message}. "
            "If its CA is your own, name its file in SSL_CERT_FILE",
        ) from None
    except ssl.SSLError as trouble:
        await _send_alert(pipe, tls)
        raise DialError(failure, f"TLS with {host} failed: {trouble.reason or trouble}") from None
    except OSError as trouble:
        raise DialError(failure, f"{host} broke the TLS handshake off: {words_of(trouble)}") from None
    pipe.layer = tls if pipe.layer is None else TlsInTls(pipe.layer, tls)


async def _send_alert(pipe: _Pipe, tls: Tls) -> None:
    try:
        await pipe.send(tls.pending())
    except OSError:  # the peer is gone; what matters is known already
        pass


class _TunnelAnswer:
    """Reads the head of a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()


async def _tunnel(pipe: _Pipe, proxy: Proxy, origin: Origin) -> None:
    _, host, port = origin
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
    if proxy.authorization is not None:
        head += b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
    answer = b""
    try:
        await pipe.send(head + b"\r\n")
        while b"\r\n\r\n" not in answer:
            data = await pipe.receive()
            if not data:
                raise DialError("proxy", f"the proxy {proxy} closed the connection when asked for {authority}")
            answer += data
            if len(answer) > MAX_HEAD_BYTES:
                raise DialError("proxy", f"the proxy {proxy} answered with endless headers")
    except OSError as trouble:
        raise DialError("proxy", f"the proxy {proxy} broke the connection off: {words_of(trouble)}") from None
    head_end = answer.index(b"\r\n\r\n") + 4
    reader = _TunnelAnswer()
    try:
        reader.parser.feed_data(answer[:head_end])
    except httptools.HttpParserError as trouble:
        raise DialError("proxy", f"the proxy {proxy} does not speak HTTP/1.1: {trouble}") from None
    finally:
        reader.parser = None
    status = reader.status or 0
    if not 200 <= status < 300:
        hint = ""
        if status == 407:
            hint = ": it wants a user and a password, as in http://user:password@host:port"
        raise DialError("proxy", f"the proxy {proxy} answered {status} when asked for {authority}{hint}")
    if len(answer) > head_end:
        raise DialError("proxy", f"the proxy {proxy} sent {len(answer) - head_end} bytes before the tunnel was used")
