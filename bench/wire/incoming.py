"""One reply on its way in: reads with their stamps, laid aside and taken apart by llhttp. No socket, no event loop."""

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
    """The reply to one request. The lists are appended to by the connection, one entry per read, and read by `digest`."""

    __slots__ = (
        "_base", "_interim", "_marks", "_parser", "_reading", "_received", "bodies", "chunked", "cmsgs", "datas", "end_read",
        "head_only", "head_read", "headers", "keep", "length", "nows", "on_body", "status",
    )  # fmt: skip

    def __init__(self, head_only: bool) -> None:
        self.nows: list[int] = []  # when the read was made
        self.cmsgs: list[bytes] = []  # the kernel's stamp of it, as it came
        self.datas: list[bytes] = []  # its bytes; emptied by `digest`
        self.bodies: list[bytes] = []  # pieces of the body
        self.on_body = self.bodies.append
        self.head_only = head_only
        self.headers: list[tuple[bytes, bytes]] = []
        self.status: int | None = None
        self.chunked = self.keep = False
        self.length: int | None = None
        self.head_read: int | None = None
        self.end_read: int | None = None
        self._marks: list[int] = []  # of each piece: the number of the read that it came in
        self._base = self._reading = self._received = 0
        self._interim = False
        # the parser holds this object's methods: a cycle, which `release` cuts, so that memory comes back without the GC
        self._parser: Any = httptools.HttpResponseParser(self)

    def release(self) -> None:
        self._parser = None

    @property
    def ended(self) -> bool:
        return self.end_read is not None

    @property
    def received_bytes(self) -> int:
        return self._received

    def digest(self) -> Failure | None:
        """Parse the reads that were laid aside. Gives what is wrong with them, or None."""
        feed, bodies, marks = self._parser.feed_data, self.bodies, self._marks
        read = self._base
        failure: Failure | None = None
        try:
            for data in self.datas:
                self._reading = read
                feed(data)
                pieces = len(bodies) - len(marks)
                if pieces == 1:
                    marks.append(read)
                elif pieces:
                    marks.extend([read] * pieces)
                read += 1
        except httptools.HttpParserUpgrade:
            failure = ("protocol", f"the server switched protocols (status {self.status}), which was not asked for")
        except httptools.HttpParserError as trouble:
            marks.extend([read] * (len(bodies) - len(marks)))
            self.keep = False
            if not self.ended:  # rubbish behind a complete reply spoils the connection, not the reply
                failure = ("protocol", f"not HTTP/1.1: {trouble}")
        self._received += sum(map(len, self.datas))
        self._base += len(self.datas)
        self.datas.clear()
        if failure is not None or self.ended:
            return failure
        if self.head_read is None:
            if self._received > MAX_HEAD_BYTES:
                return "protocol", f"the headers are longer than {MAX_HEAD_BYTES} bytes"
        elif self._received > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            return "protocol", f"the body is longer than {MAX_BODY_BYTES} bytes"
        return None

    def closed(self, clean: bool) -> Failure | None:
        """The connection ended before the reply was known to be complete. `clean` is false where TLS saw no farewell.

        Gives None when the end of the connection was the end of the body, as HTTP/1.0 has it.
        """
        if self.head_read is None:
            where = "inside the headers" if self._received else "before the first byte of the reply"
            return "closed", f"the server closed the connection {where}"
        got = sum(map(len, self.bodies))
        if self.chunked:
            return "closed", f"the server closed the connection after {got} bytes of a chunked body, before its end"
        if self.length is not None:
            return "closed", f"the server closed the connection after {got} of {self.length} bytes of the body"
        if not clean:
            return "closed", f"TLS was cut after {got} bytes of a body without a length: more may have been meant"
        return None

    def stamps(self, since_ns: int, shift_ns: int | None) -> list[int]:
        """The arrival of each read: the kernel's stamp less the shift, or our own time of reading without a shift.

        `since_ns` is when the request began to be sent.
        """
        nows = self.nows
        if shift_ns is None:
            return nows
        raw = struct.unpack(f"@{2 * len(nows)}q", b"".join(self.cmsgs))
        stamps = [sec * SECOND_NS + nsec - shift_ns for sec, nsec in zip(raw[::2], raw[1::2], strict=True)]
        # A stamp lies behind the request and the stamp before it, and before we read it. Where that does not hold (no
        # stamp, or a clock that was set and set back), our own time is the truth that is left.
        if stamps and since_ns <= stamps[0] and all(map(le, stamps, nows)) and all(map(le, stamps, stamps[1:])):
            return stamps
        earliest = since_ns
        for i, (stamp, now) in enumerate(zip(stamps, nows, strict=True)):
            earliest = stamps[i] = stamp if earliest <= stamp <= now else now
        return stamps

    def pieces(self, stamps: list[int]) -> tuple[tuple[int, bytes], ...]:
        """The body with the arrival of each piece."""
        return tuple([(stamps[read], data) for read, data in zip(self._marks, self.bodies, strict=True)])

    # what the parser calls

    def on_message_begin(self) -> None:
        if self.ended:
            self.keep = False  # a second reply to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_read is None:  # else a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self._interim = True
            self.headers.clear()
            return
        self.head_read = self._reading
        self.keep = self._parser.should_keep_alive()
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"transfer-encoding":
                self.chunked = value.lower().rpartition(b",")[2].strip() == b"chunked"
            elif lower == b"content-length" and value.isdigit():
                self.length = int(value)
        if self.head_only:  # the parser cannot know that no body follows
            self.end_read = self._reading

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self.end_read is None:
            self.end_read = self._reading
