"""One reply on its way in: parsed by llhttp as it comes, each read with its stamp. No socket, no event loop."""

from __future__ import annotations

import struct
from operator import le
from typing import Any

import httptools

from bench.record import WireFailure
from bench.wire.clock import SECOND_NS
from bench.wire.message import MAX_BODY_BYTES

MAX_HEAD_BYTES = 256 * 1024
NO_STAMP = bytes(16)
"""Stands for the `struct timespec` of a read that the kernel did not stamp."""

Failure = tuple[WireFailure, str]


class Incoming:
    """The reply to one request. A read costs the parser and three appends; stamps are worked out when all is over."""

    __slots__ = (
        "_bodies",
        "_body_counts",
        "_cmsgs",
        "_interim",
        "_nows",
        "_parser",
        "chunked",
        "end_read",
        "failure",
        "head_only",
        "head_read",
        "headers",
        "keep",
        "length",
        "on_body",
        "received_bytes",
        "status",
        "unusable_stamps",
    )  # fmt: skip

    def __init__(self, head_only: bool) -> None:
        self._nows: list[int] = []  # when each read was made
        self._cmsgs: list[bytes] = []  # the kernel's stamp of it, as it came
        self._body_counts: list[int] = []  # how many pieces of the body there were after it
        self._bodies: list[bytes] = []
        self.on_body = self._bodies.append
        self.head_only = head_only
        self.headers: list[tuple[bytes, bytes]] = []
        self.status: int | None = None
        self.failure: Failure | None = None
        self.chunked = self.keep = False
        self.length: int | None = None
        self.head_read: int | None = None  # the read that completed the headers
        self.end_read: int | None = None  # the read that completed the reply
        self.received_bytes = self.unusable_stamps = 0
        self._interim = False
        # the parser holds this object's methods: a cycle, which `release` cuts, so that no GC is needed for the memory
        self._parser: Any = httptools.HttpResponseParser(self)

    def release(self) -> None:
        self._parser = None

    def take(self, now_ns: int, cmsg: bytes, data: bytes) -> bool:
        """Parse a read; gives whether the reply is over: `end_read` is set, or `failure`."""
        self._nows.append(now_ns)
        self._cmsgs.append(cmsg)
        self.received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.failure = "protocol", f"the server switched protocols (status {self.status}), which was not asked for"
        except httptools.HttpParserError as trouble:
            self.keep = False
            if self.end_read is None:  # rubbish behind a complete reply spoils the connection, not the reply
                self.failure = "protocol", f"not HTTP/1.1: {trouble}"
        self._body_counts.append(len(self._bodies))
        if self.received_bytes > MAX_HEAD_BYTES and self.failure is None and self.end_read is None:
            self._limit()
        return self.end_read is not None or self.failure is not None

    def _limit(self) -> None:
        if self.head_read is None:
            self.failure = "protocol", f"the headers are longer than {MAX_HEAD_BYTES} bytes"
        elif self.received_bytes > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            self.failure = "protocol", f"the body is longer than {MAX_BODY_BYTES} bytes"

    def closed(self, clean: bool) -> None:
        """The connection ended before the reply did. `clean` is false where TLS saw no farewell.

        Leaves `failure` unset when the end of the connection is the end of the body, as HTTP/1.0 has it.
        """
        how = "the server closed the connection"
        got = sum(map(len, self._bodies))
        if self.head_read is None:
            where = "inside the headers" if self.received_bytes else "before the first byte of the reply"
            self.failure = "closed", f"{how} {where}"
        elif self.chunked:
            self.failure = "closed", f"{how} after {got} bytes of a chunked body, before its end"
        elif self.length is not None:
            self.failure = "closed", f"{how} after {got} of {self.length} bytes of the body"
        elif not clean:
            self.failure = (
                "closed",
                f"TLS was cut after {got} bytes of a body without a length: more may have been meant",
            )

    def stamps(self, since_ns: int, shift_ns: int | None) -> list[int]:
        """The arrival of each read: the kernel's stamp less the shift, or our own time of reading without a shift.

        `since_ns` is when the request began to be sent.
        """
        nows = self._nows
        if shift_ns is None:
            return nows
        raw = struct.unpack(f"@{2 * len(nows)}q", b"".join(self._cmsgs))
        stamps: list[int] = []
        seconds, second_ns = None, 0
        for second, rest in zip(raw[::2], raw[1::2], strict=True):
            if second != seconds:
                seconds, second_ns = second, second * SECOND_NS - shift_ns
            stamps.append(second_ns + rest)
        # A stamp lies behind the request and the stamp before it, and before we read it. Where that does not hold (no
        # stamp, or a clock that was set and set back), our own time is the truth that is left.
        if stamps and since_ns <= stamps[0] and all(map(le, stamps, nows)) and stamps == sorted(stamps):
            return stamps
        earliest = since_ns
        for i, (stamp, now) in enumerate(zip(stamps, nows, strict=True)):
            if not earliest <= stamp <= now:
                stamps[i] = now
                self.unusable_stamps += 1
            earliest = stamps[i]
        return stamps

    def pieces(self, stamps: list[int]) -> tuple[tuple[int, bytes], ...]:
        """What each read brought of the body, with its arrival; nothing of a read that brought none."""
        bodies, begin = self._bodies, 0
        pieces: list[tuple[int, bytes]] = []
        for stamp, end in zip(stamps, self._body_counts, strict=True):
            if end - begin == 1:
                pieces.append((stamp, bodies[begin]))
            elif end > begin:
                pieces.append((stamp, b"".join(bodies[begin:end])))
            begin = end
        return tuple(pieces)

    # what the parser calls

    def on_message_begin(self) -> None:
        if self.end_read is not None:
            self.keep = False  # a second reply to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_read is None:  # else a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.end_read is not None:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self._interim = True
            self.headers.clear()
            return
        self.head_read = len(self._nows) - 1
        self.keep = self._parser.should_keep_alive()
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"transfer-encoding":
                self.chunked = value.lower().rpartition(b",")[2].strip() == b"chunked"
            elif lower == b"content-length" and value.isdigit():
                self.length = int(value)
        if self.head_only:  # the parser cannot know that no body follows
            self.end_read = self.head_read

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self.end_read is None:
            self.end_read = len(self._nows) - 1
