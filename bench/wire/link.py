"""One open connection: it sends a request, stamps every arrival, and says how the reply ended.

An arrival costs one `recvmsg`, the parser and three appends. No task is woken before the reply has ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Any

from bench.record import Connection, Exchange, WireFailure
from bench.wire.clock import SECOND_NS, WallShift, now_ns
from bench.wire.incoming import NO_STAMP, Incoming
from bench.wire.tls import Layer
from bench.wire.watch import Watch

# Buffers from 128 KiB on are mapped and unmapped by malloc at every read, which costs 10 µs.
_READ_BYTES = 65536

SO_TIMESTAMPNS = 35
"""Linux: a socket option, and the type of the control message that carries the stamp."""
_ANCILLARY_BYTES = 64


def kernel_stamps_available() -> bool:
    """Whether this system stamps received segments in a form that is understood here."""
    return sys.platform == "linux" and struct.calcsize("@l") == 8


def words_of(trouble: OSError) -> str:
    """What the system calls this error; event loops put words of their own in its place."""
    if trouble.errno and not isinstance(trouble, socket.gaierror):
        return os.strerror(trouble.errno)
    return trouble.strerror or str(trouble) or type(trouble).__name__


class Link:
    """A connection and the one exchange that it carries at a time. `on_closed` is called once, when it is gone."""

    __slots__ = (
        "_begun_ns", "_ended", "_ended_ns", "_incoming", "_loop", "_on_closed", "_recvmsg", "_reused", "_send_trouble",
        "_sending_ns", "_sent_ns", "_shift", "_sock", "_steps", "_timer", "_tls", "_unsent", "_waiter", "_watch", "closed",
        "facts", "idle_since_ns",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        *,
        tls: Layer | None,
        facts: Connection,
        shift: WallShift | None,
        on_closed: Callable[[Link], None],
        watch: Watch,
    ) -> None:
        self._loop, self._sock, self._tls, self.facts = loop, sock, tls, facts
        self._shift, self._steps, self._on_closed = shift, 0, on_closed
        self._recvmsg: Callable[[int, int], Any] = sock.recvmsg if shift is not None else self._recv_unstamped
        self._incoming: Incoming | None = None  # while the reply is under way
        self._ended: Incoming | None = None  # from its end until `finish`
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: memoryview | None = None
        self._send_trouble = ""
        self._begun_ns = self._sent_ns = self._ended_ns = self._sending_ns = 0
        self._reused = self.closed = False
        self.idle_since_ns = now_ns()
        self._watch = watch
        watch.add(sock.fileno(), self._readable)

    # one exchange

    def begin(self, data: bytes, deadline_ns: int) -> asyncio.Future[None] | None:
        """Send a request; gives the future that is done when its reply has ended, well or badly. Then call `finish`.

        Gives None when the connection turned out to be gone before a byte was handed over: nothing was tried, and
        another connection may carry the request. After the first byte there is no second try here, because the server
        may have acted on it: that attempt is reported as it ended.
        """
        if self._reused and not self._still_open():
            return None
        if self._shift is not None:
            self._shift.read()
            self._steps = self._shift.steps
        wire_data = data if self._tls is None else self._tls.encrypt(data)
        # Stamped before the call: on its way through the call the data leaves, and the time that takes is not to be
        # taken off the server's.
        self._begun_ns = self._sent_ns = now_ns()
        try:
            sent = self._sock.send(wire_data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return None
        self._sending_ns = now_ns() - self._sent_ns
        self._incoming = Incoming(head_only=data.startswith(b"HEAD "))
        self._send_trouble = ""
        waiter = self._waiter = self._loop.create_future()
        if sent < len(wire_data):
            self._unsent = memoryview(wire_data)[sent:]
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._timer = self._loop.call_later(max(0, deadline_ns - now_ns()) / SECOND_NS, self._overdue, deadline_ns)
        return waiter

    def finish(self) -> Exchange:
        """The exchange that ended. The connection is ready for the next one afterwards, or closed."""
        incoming = self._ended
        assert incoming is not None, "finish() is for an exchange that ended"
        shift_ns = None
        if self._shift is not None:
            shift_ns = self._shift.read()
            if self._shift.steps != self._steps:  # the wall clock was set: the kernel's stamps are of two kinds
                shift_ns = None
        stamps = incoming.stamps(self._begun_ns, shift_ns)
        if self._shift is not None:
            self._shift.unusable += incoming.unusable_stamps if shift_ns is not None else len(stamps)
        failure, detail = incoming.failure or (None, "")
        exchange = Exchange(
            sent_ns=self._sent_ns,
            sending_ns=self._sending_ns,
            headers_ns=None if incoming.head_read is None else stamps[incoming.head_read],
            end_ns=self._ended_ns if incoming.end_read is None else stamps[incoming.end_read],
            status=incoming.status,
            headers=tuple([(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in incoming.headers]),
            pieces=incoming.pieces(stamps),
            connection=self.facts,
            failure=failure,
            failure_detail=detail,
        )
        self.settle()
        if failure is not None or not incoming.keep or self._unsent is not None:
            self.close()
        self._ended = self._waiter = None
        self.idle_since_ns = now_ns()
        return exchange

    def settle(self) -> None:
        """From here on the connection counts as one that was already open."""
        if not self._reused:
            self._reused = True
            facts = self.facts
            self.facts = Connection(True, facts.address, tls_version=facts.tls_version, proxy=facts.proxy)

    def abort(self, failure: WireFailure, detail: str) -> None:
        """End the exchange that is under way; what arrived is kept. Does nothing when none is."""
        if self._incoming is not None:
            self._incoming.failure = failure, detail
            self._end()

    def close(self) -> None:
        """Close the connection. An exchange under way ends as cancelled."""
        if self.closed:
            return
        self.closed = True
        self.abort("cancelled", "the connection was closed on our side")
        self._watch.remove(self._sock.fileno())
        self._stop_sending()
        self._sock.close()
        self._on_closed(self)

    def _end(self) -> None:
        incoming = self._ended = self._incoming
        assert incoming is not None
        self._incoming = None
        incoming.release()
        self._ended_ns = now_ns()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _overdue(self, deadline_ns: int) -> None:
        left_ns = deadline_ns - now_ns()
        if left_ns > 0:  # the loop's timers count in milliseconds, and may be early
            self._timer = self._loop.call_later(left_ns / SECOND_NS, self._overdue, deadline_ns)
            return
        assert self._incoming is not None
        if self._unsent is not None:
            where = f"with {len(self._unsent)} bytes of the request still to be sent"
        elif self._incoming.received_bytes:
            where = f"after {self._incoming.received_bytes} bytes of the reply"
        else:
            where = "waiting for the first byte of the reply"
        self.abort("timeout", f"the deadline passed {where}")

    # arrivals

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as trouble:
            self._lost(trouble)
            return
        now = now_ns()
        if self._tls is not None and data:
            try:
                data = self._tls.decrypt(data)
            except ssl.SSLError as trouble:
                self._broken(f"TLS broke after the handshake: {trouble.reason or trouble}")
                return
            if self._tls.closed and data:  # the farewell came together with the last bytes
                self._loop.call_soon(self._lost, None)
            elif not self._tls.closed and not data:
                self._answer_tls()
                return
        incoming = self._incoming
        if not data:
            self._lost(None)
        elif incoming is None:
            self.close()  # bytes that nobody asked for, such as a 408 on a connection that was idle for long
        elif incoming.take(now, ancillary[0][2] if ancillary else NO_STAMP, data):
            self._end()

    def _recv_unstamped(self, size: int, _ancillary_size: int) -> tuple[bytes, tuple[()], int, None]:
        return self._sock.recv(size), (), 0, None

    def _still_open(self) -> bool:
        """Whether nothing has come on this idle connection: an end of it, or an alert, may lie in the socket unread."""
        if self.closed:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            self.close()
            return False
        self._readable()
        return not self.closed

    def _lost(self, trouble: OSError | None) -> None:
        """The connection ended: by a reset (`trouble`) or in order."""
        incoming = self._incoming
        if incoming is None:
            self.close()
            return
        if trouble is not None:
            after = f"after {incoming.received_bytes} bytes of the reply"
            incoming.failure = "reset", f"the connection broke {after}: {words_of(trouble)}"
        elif self._reused and not incoming.received_bytes:
            incoming.failure = "reset", "the server closed the kept-alive connection before the first byte of the reply"
        else:
            incoming.closed(clean=self._tls is None or self._tls.closed)
        if incoming.failure is not None and self._send_trouble:
            incoming.failure = "reset", f"{incoming.failure[1]}; {self._send_trouble}"
        incoming.keep = False
        self._end()

    def _broken(self, detail: str) -> None:
        if self._incoming is None:
            self.close()
        else:
            self.abort("tls", detail)

    # sending what did not fit at once

    def _writable(self) -> None:
        unsent = self._unsent
        assert unsent is not None
        now = now_ns()
        try:
            sent = self._sock.send(unsent)
        except BlockingIOError:
            return
        except OSError as trouble:
            # The reply may already lie in the socket (a 413, say): the reader decides how this ended.
            self._send_trouble = f"{len(unsent)} bytes of the request could not be sent: {words_of(trouble)}"
            self._loop.remove_writer(self._sock.fileno())
            return
        self._sent_ns, self._sending_ns = now, now_ns() - now
        if sent == len(unsent):
            self._stop_sending()
        else:
            self._unsent = unsent[sent:]

    def _stop_sending(self) -> None:
        if self._unsent is not None:
            self._unsent = None
            self._loop.remove_writer(self._sock.fileno())

    def _answer_tls(self) -> None:
        """Send what TLS has to say by itself, such as the answer to a key update, unless a request is being sent."""
        assert self._tls is not None
        if self._unsent is None and (words := self._tls.pending()):
            try:
                self._sock.send(words)
            except OSError:
                self.close()
