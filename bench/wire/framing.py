"""Server-sent events and AWS event-stream frames out of stamped pieces. Pure: bytes in, events out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable


def sse_events(pieces: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes | None, bytes]]:
    """Every complete event as (arrival of the piece that ended it, name, data)."""
    events: list[tuple[int, bytes | None, bytes]] = []
    rest = b""
    for arrived_ns, data in pieces:
        rest += data
        held = rest.endswith(b"\r")
        text = rest[:-1] if held else rest
        *blocks, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
        if held:
            rest += b"\r"
        for block in blocks:
            name: bytes | None = None
            lines: list[bytes] = []
            for line in block.split(b"\n"):
                key, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if key == b"data":
                    lines.append(value)
                elif key == b"event":
                    name = value
            if lines or name is not None:
                events.append((arrived_ns, name, b"\n".join(lines)))
    return events


def event_stream_messages(
    pieces: Iterable[tuple[int, bytes]],
) -> tuple[list[tuple[int, dict[str, str], bytes]], str | None]:
    """Every whole message as (arrival of the piece that ended it, headers, payload), and what broke the stream."""
    messages: list[tuple[int, dict[str, str], bytes]] = []
    rest = b""
    for arrived_ns, data in pieces:
        rest += data
        while len(rest) >= 12:
            total, size, prelude_crc = struct.unpack_from("!III", rest)
            if zlib.crc32(rest[:8]) != prelude_crc or not 16 + size <= total <= 25 << 20:
                return messages, "prelude checksum does not match"
            if len(rest) < total:
                break
            frame, rest = rest[:total], rest[total:]
            if zlib.crc32(frame[:-4]) != struct.unpack("!I", frame[-4:])[0]:
                return messages, "message checksum does not match"
            headers: dict[str, str] = {}
            at = 12
            while at < 12 + size:
                n = frame[at]
                key = frame[at + 1 : at + 1 + n].decode("utf-8", "replace")
                at += 1 + n
                if frame[at] != 7:
                    return messages, "header type is not a string"
                (n,) = struct.unpack_from("!H", frame, at + 1)
                headers[key] = frame[at + 3 : at + 3 + n].decode("utf-8", "replace")
                at += 3 + n
            messages.append((arrived_ns, headers, frame[12 + size : -4]))
    return messages, "ended inside a message" if rest else None
