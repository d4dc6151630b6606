"""The listening side: connections, requests, and replies that leave when they are due.

Bytes are written with `os.write` on the socket itself, so that the stamp just before is the stamp of the write; the event
loop's own buffer is used only for what the socket does not take. TLS is done here over memory buffers, for the same reason.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections import deque
from time import monotonic_ns, time
from typing import Any
from urllib.parse import unquote

import httptools

from bench.simulate.answers import Answers, prompt_key
from bench.simulate.base import Ask, Door, Headers, Received, Refused, Script, TargetConfig
from bench.simulate.deliver import Delivery, deliver, refusal
from bench.simulate.faults import FaultError, marked_fault
from bench.simulate.script import plan
from bench.simulate.timer import Timer
from bench.simulate.truth import Row, Truth

MAX_BODY_BYTES = 32 * 1024 * 1024
WINDOW_NS = 60_000_000_000
_LINGER_OFF = struct.pack("ii", 1, 0)


class Lane:
    """One look-alike at work: its door, its counters, its minute of rate limits."""

    def __init__(
        self, target: TargetConfig, door: Door, seed: int, answers: Answers, timer: Timer, truth: Truth
    ) -> None:
        self.target, self.door, self.seed, self.answers = target, door, seed, answers
        self.timer, self.truth = timer, truth
        self.repeats: dict[str, int] = {}
        self.refusals = 0
        self.started_ns = monotonic_ns()
        self.limits = dict(target.profile.limits)
        self.window = -1
        self.used: dict[str, int] = {}
        self.open: set[Connection] = set()

    def answer(self, received: Received, row: Row) -> Delivery:
        """What becomes of a request; fills in its row."""
        try:
            ask = self.door.admit(received, self.target)
            row.stream = ask.stream
            row.key = key = prompt_key(ask.prompt)
            asked = marked_fault(ask.prompt) if self.target.profile.markers else None
            if asked and asked.name == "bad-crc" and not (self.target.door == "bedrock" and ask.stream):
                raise FaultError("bad-crc needs an AWS event stream")
            row.repeat = self.repeats.get(key, 0)
            self.repeats[key] = row.repeat + 1
            limit_headers = self._spend(ask, row.arrived_ns, received.wall_s)
        except FaultError as error:
            status, code, _ = self.door.fault_refusal(400)
            return self._refuse(Refused(status, code, str(error)), row)
        except Refused as refused:
            return self._refuse(refused, row)
        script = plan(
            self.door,
            self.target,
            ask,
            key,
            row.repeat,
            self.seed,
            self.answers,
            received.wall_s,
            self._slowdown(row.arrived_ns),
            asked,
        )
        row.script, row.request_id = script, script.request_id
        row.fault = str(script.fault) if script.fault else None
        if self.limits:
            self.used["otpm"] = self.used.get("otpm", 0) + script.output_tokens
        delivery = deliver(self.door, ask, script, self.door.id_headers(script.request_id) + limit_headers)
        row.status = delivery.status
        return delivery

    def _refuse(self, refused: Refused, row: Row) -> Delivery:
        import random

        self.refusals += 1
        row.request_id = self.door.request_id(
            random.Random(f"{self.seed}:{self.target.id}:refused:{self.refusals}").getrandbits(128)
        )
        row.status, row.fault = refused.status, f"refused {refused.code or refused.status}"
        headers, body = self.door.refusal(refused.status, refused.code, refused.message, row.request_id)
        return refusal(refused.status, self.door.id_headers(row.request_id) + headers + list(refused.headers), body)

    def _slowdown(self, now_ns: int) -> float:
        profile = self.target.profile
        if not profile.spell_period_s:
            return 1.0
        at_s = (now_ns - self.started_ns) / 1e9 % profile.spell_period_s
        return profile.spell_factor if at_s < profile.spell_duration_s else 1.0

    def _spend(self, ask: Ask, now_ns: int, wall_s: float) -> Headers:
        """Counts the request against its minute; the headers that tell what is left. Raises Refused when it is too much."""
        if not self.limits:
            return []
        window, into_ns = divmod(now_ns - self.started_ns, WINDOW_NS)
        if window != self.window:
            self.window, self.used = window, {}
        reset_s = (WINDOW_NS - into_ns) / 1e9
        cost = {"rpm": 1, "itpm": ask.input_tokens, "otpm": 0}
        over = any(self.used.get(key, 0) + cost[key] > limit for key, limit in self.limits.items())
        if not over:
            for key, tokens in cost.items():
                self.used[key] = self.used.get(key, 0) + tokens
        left = {key: (limit, max(0, limit - self.used.get(key, 0))) for key, limit in self.limits.items()}
        headers = self.door.limit_headers(left, reset_s, wall_s)
        if over:
            status, code, message = self.door.fault_refusal(429)
            raise Refused(status, code, message, [("retry-after", str(int(reset_s) + 1)), *headers])
        return headers


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
        events = delivery.tokens[n]
        now = monotonic_ns()
        connection.write(delivery.pieces[n])
        if n == 0:
            row.headers_ns = now
        if events and row.stream:
            late = min(now - due_ns, 2_000_000_000)
            for _ in range(events):
                row.token_ns.append(now)
                row.late_ns.append(late)
        self.at = n = n + 1
        if n < len(delivery.dues_ns):
            return row.arrived_ns + delivery.dues_ns[n]
        connection.finish(delivery.ending)
        return None


class Connection(asyncio.Protocol):
    """One client connection; requests on it are answered one after the other."""

    def __init__(self, lane: Lane, tls: ssl.SSLContext | None) -> None:
        self.lane = lane
        self.parser = httptools.HttpRequestParser(self)
        self.waiting: deque[tuple[Received | Refused, Row, bool]] = deque()
        self.reply: Reply | None = None
        self.close_after = False
        self.transport: Any = None
        self.fd = -1
        self.tls: ssl.SSLObject | None = None
        self.shaken = False
        self._reset()
        if tls:
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = tls.wrap_bio(self.incoming, self.outgoing, server_side=True)

    # --- the loop's calls
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = sock.fileno()
        self.lane.open.add(self)

    def data_received(self, data: bytes) -> None:
        if self.tls:
            data = self._decrypt(data)
        if not data:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.transport.close()
        except httptools.HttpParserError:
            self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lane.open.discard(self)
        self.give_up()

    def give_up(self) -> None:
        """The connection went, or we do: what was under way ends here, incomplete."""
        if self.reply:
            self.reply.row.ended_ns = monotonic_ns()
            self.lane.truth.add(self.reply.row)
            self.reply = None
        self.waiting.clear()

    # --- the parser's calls
    def _reset(self) -> None:
        self.url = b""
        self.head: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.size = 0

    def on_message_begin(self) -> None:
        self._reset()

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
        row = Row(self.lane.target.id, monotonic_ns())
        keep = bool(self.parser.should_keep_alive())
        self.waiting.append((self._received(), row, keep))
        if self.reply is None:
            self._next()

    def _received(self) -> Received | Refused:
        if self.size > MAX_BODY_BYTES:
            status, code, _ = self.lane.door.fault_refusal(413)
            return Refused(status, code, "Request exceeds the maximum size")
        raw_path, _, query = self.url.decode("latin-1").partition("?")
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.head:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return Received(
            self.parser.get_method().decode(), raw_path, unquote(raw_path), query, headers, b"".join(self.body), time()
        )

    # --- answering
    def _next(self) -> None:
        received, row, keep = self.waiting.popleft()
        self.close_after = not keep
        lane = self.lane
        delivery = lane._refuse(received, row) if isinstance(received, Refused) else lane.answer(received, row)
        self.reply = Reply(self, delivery, row)
        if delivery.dues_ns:
            lane.timer.add(row.arrived_ns + delivery.dues_ns[0], self.reply)

    def finish(self, ending: str) -> None:
        """The last piece of the reply was written."""
        assert self.reply is not None
        row = self.reply.row
        row.ended_ns, row.complete = monotonic_ns(), not self.transport.is_closing()
        self.lane.truth.add(row)
        self.reply = None
        if ending == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            self.transport.abort()
        elif ending == "close" or self.close_after:
            self.transport.close()
        elif self.waiting:
            self._next()

    def write(self, data: bytes) -> None:
        """Hands bytes to the socket now; what it does not take waits in the loop's buffer. Nothing once the client is gone."""
        if not data or self.transport.is_closing():
            return
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        self._send(data)

    def _send(self, data: bytes) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.write(data)
            return
        try:
            sent = os.write(self.fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.transport.abort()
            return
        if sent < len(data):
            self.transport.write(data[sent:])

    def _decrypt(self, data: bytes) -> bytes:
        assert self.tls is not None
        self.incoming.write(data)
        plain = []
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
            while part := self.tls.read(65536):
                plain.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.transport.close()
        if out := self.outgoing.read():
            self._send(out)
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
    if target.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(target.tls_cert, target.tls_key)
    return context
