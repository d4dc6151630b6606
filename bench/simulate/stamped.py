"""Reading from a socket with the kernel's arrival stamp, behind the face of an asyncio transport.

A request has arrived when its last byte reached this machine, not when a busy process came round to read it: the truth that
a client is compared with must not hold our own lateness. Without such stamps (not Linux) the time of the read is taken.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from time import monotonic_ns, time_ns
from typing import Any, Protocol

SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("@ll")
_AVAILABLE = sys.platform == "linux" and _STAMP.size == 16
_READ_BYTES = 65536


class Receiver(Protocol):
    arrived_ns: int

    def connection_made(self, transport: Any) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...


class Stamped:
    """One accepted connection. `receiver.arrived_ns` holds the stamp of the data that it is being given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, receiver: Receiver) -> None:
        self._loop, self._sock, self._receiver = loop, sock, receiver
        self._unsent = b""
        self._closing = self._gone = False
        sock.setblocking(False)
        if _AVAILABLE:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        receiver.connection_made(self)
        loop.add_reader(sock.fileno(), self._readable)

    def get_extra_info(self, name: str) -> Any:
        return self._sock if name == "socket" else None

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        if self._closing or not data:
            return
        if not self._unsent:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._unsent += data

    def close(self) -> None:
        """Closes once everything is written."""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._sock.fileno())
            if not self._unsent:
                self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        self._unsent = b""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._sock.fileno())
        self._loop.call_soon(self._lost, None)

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(_READ_BYTES, 64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as trouble:
            self._closing = True
            self._loop.remove_reader(self._sock.fileno())
            self._lost(trouble)
            return
        now = monotonic_ns()
        if not data:
            self.close()
            return
        for _, kind, stamp in ancillary:
            if kind == SO_TIMESTAMPNS:
                seconds, ns = _STAMP.unpack(stamp)
                # both clocks are read together: what they differ by carries the kernel's stamp over to ours
                now = min(now, seconds * 1_000_000_000 + ns - (time_ns() - monotonic_ns()))
        self._receiver.arrived_ns = now
        self._receiver.data_received(data)

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._sock.fileno())
            if self._closing:
                self._lost(None)

    def _lost(self, trouble: Exception | None) -> None:
        if self._gone:
            return
        self._gone = True
        if self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
        self._receiver.connection_lost(trouble)


class Listener:
    """Accepts connections on a listening socket until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, receiver: Any) -> None:
        self._loop, self._sock, self._receiver = loop, sock, receiver
        loop.add_reader(sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # out of descriptors: those that wait are taken when some are free again
                return
            Stamped(self._loop, sock, self._receiver())

    def close(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
