"""The listening side: connections, requests, and replies that leave when they are due.

Bytes are written with `os.write` on the socket itself, so that the stamp just before is the stamp of the write; the
event loop's own buffer is used only for what the socket does not take. TLS is done here over memory buffers, for the
same reason.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections import deque
from dataclasses import dataclass, field
from time import monotonic_ns, time
from typing import Any
from urllib.parse import unquote

import httptools

from bench.simulate.base import Received, Refused, TargetConfig
from bench.simulate.deliver import Delivery, Ending
from bench.simulate.lane import Lane
from bench.simulate.timer import Timer
from bench.simulate.truth import Row, Truth

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_LATE_NS = 2_000_000_000
_LINGER_OFF = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share: the timer, the truth, and the list of themselves."""

    timer: Timer
    truth: Truth
    connections: set[Connection] = field(default_factory=set)


class Reply:
    """A delivery under way on its connection: the timer's item."""

    __slots__ = ("at", "connection", "delivery", "row")

    def __init__(self, connection: Connection, delivery: Delivery, row: Row) -> None:
        self.connection, self.delivery, self.row = connection, delivery, row
        self.at = 0

    def step(self, due_ns: int) -> int | None:
        connection, delivery, row = self.connection, self.delivery, self.row
        if connection.reply is not self:
            return None
        n = self.at
        data = delivery.data(n)
        now_ns = monotonic_ns()
        if not connection.write(data):
            return None  # the loop is about to say that the connection is lost
        if n == 0:
            row.headers_ns = now_ns
        if row.stream:
            late_ns = min(now_ns - due_ns, MAX_LATE_NS)
            for _ in range(delivery.tokens[n]):
                row.token_ns.append(now_ns)
                row.late_ns.append(late_ns)
        self.at = n = n + 1
        if n < len(delivery.dues_ns):
            return row.arrived_ns + delivery.dues_ns[n]
        connection.finish(delivery.ending)
        return None


class Connection:
    """One client connection; requests on it are answered one after the other."""

    def __init__(self, lane: Lane, house: House, tls: ssl.SSLContext | None) -> None:
        self.lane, self.house = lane, house
        self.parser: Any = httptools.HttpRequestParser(self)
        self.waiting: deque[tuple[Received | Refused, Row, bool]] = deque()
        self.reply: Reply | None = None
        self.close_after = False
        self.arrived_ns = 0
        self.transport: Any = None
        self.fd = -1
        self.tls: ssl.SSLObject | None = None
        self.shaken = False
        self.on_message_begin()
        if tls:
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = tls.wrap_bio(self.incoming, self.outgoing, server_side=True)

    # --- the loop's calls
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = sock.fileno()
        self.house.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.tls:
            data = self._decrypt(data)
        if not data:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a mistake of ours: the loop says so on stderr, and closes
        except httptools.HttpParserUpgrade:
            self.transport.close()
        except httptools.HttpParserError:
            self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.house.connections.discard(self)
        self.give_up()
        self.parser = None  # it holds us, and cycles that grow old are not collected

    def give_up(self) -> None:
        """The connection went, or we do: what was under way ends here, incomplete."""
        if self.reply:
            self.reply.row.ended_ns = monotonic_ns()
            self.house.truth.add(self.reply.row)
            self.reply = None
        self.waiting.clear()

    # --- the parser's calls
    def on_message_begin(self) -> None:
        self.url = b""
        self.head: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.size = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head.append((name, value))
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= MAX_BODY_BYTES:
            self.body.append(data)

    def on_message_complete(self) -> None:
        row = Row(self.lane.target.id, self.arrived_ns)
        self.waiting.append((self._received(), row, bool(self.parser.should_keep_alive())))
        if self.reply is None:
            self._next()

    def _received(self) -> Received | Refused:
        if self.size > MAX_BODY_BYTES:
            status, code, _ = self.lane.door.fault_refusal(413)
            return Refused(status, code, "Request exceeds the maximum size")
        if self.parser.get_http_version() == "1.0":
            return Refused(505, self.lane.door.fault_refusal(500)[1], "HTTP/1.1 is spoken here")
        raw_path, _, query = self.url.decode("latin-1").partition("?")
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.head:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        method = self.parser.get_method().decode()
        return Received(method, raw_path, unquote(raw_path), query, headers, b"".join(self.body), time())

    # --- answering
    def _next(self) -> None:
        received, row, keep = self.waiting.popleft()
        self.close_after = not keep
        delivery = self.lane.answer(received, row)
        self.reply = Reply(self, delivery, row)
        if delivery.dues_ns:
            self.house.timer.add(row.arrived_ns + delivery.dues_ns[0], self.reply)

    def finish(self, ending: Ending) -> None:
        """The last piece of the reply was written."""
        assert self.reply is not None
        row = self.reply.row
        row.ended_ns, row.complete = monotonic_ns(), True
        self.house.truth.add(row)
        self.reply = None
        if ending == "reset":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            self.transport.abort()
        elif ending == "close" or self.close_after:
            self.transport.close()
        elif self.waiting:
            self._next()

    def write(self, data: bytes) -> bool:
        """Hands bytes to the socket; what it does not take waits in the loop's buffer. False: the client is gone."""
        if self.tls and data and not self.transport.is_closing():
            self.tls.write(data)
            data = self.outgoing.read()
        return self._send(data)

    def _send(self, data: bytes) -> bool:
        if self.transport.is_closing():  # the descriptor may be another connection's by now
            return False
        if self.transport.get_write_buffer_size():
            self.transport.write(data)
            return True
        try:
            sent = os.write(self.fd, data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.transport.abort()
            return False
        if sent < len(data):
            self.transport.write(data[sent:])
        return True

    def _decrypt(self, data: bytes) -> bytes:
        assert self.tls is not None
        self.incoming.write(data)
        plain, broken = [], False
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
            while part := self.tls.read(65536):
                plain.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            broken = True
        if out := self.outgoing.read():
            self._send(out)
        if broken:
            self.transport.close()
        return b"".join(plain)


def listen(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1; None takes any free port. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port or 0))
        sock.listen(4096)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def tls_context(target: TargetConfig) -> ssl.SSLContext | None:
    """The server side of TLS for a target that wants it. Raises OSError (ssl.SSLError is one)."""
    if target.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(target.tls_cert, target.tls_key)
    return context
