"""AWS's event-stream framing, from its public specification."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

_PADDING = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def string_headers(pairs: Mapping[str, str]) -> bytes:
    """Headers of type 7 (string): name length u8, name, 7, value length u16, value."""
    parts = []
    for name, value in pairs.items():
        parts += [struct.pack("!B", len(name)), name.encode(), struct.pack("!BH", 7, len(value)), value.encode()]
    return b"".join(parts)


def event_headers(kind: str) -> bytes:
    return string_headers({":event-type": kind, ":content-type": "application/json", ":message-type": "event"})


def exception_headers(kind: str) -> bytes:
    return string_headers({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"})


def frame(headers: bytes, payload: bytes) -> bytes:
    """One message: total and header length, CRC-32 of these, headers, payload, CRC-32 of all before."""
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = b"".join((lengths, struct.pack("!I", zlib.crc32(lengths)), headers, payload))
    return message + struct.pack("!I", zlib.crc32(message))


def padding(event: bytes) -> bytes:
    """Filling of a length that does not follow the length of the text; the same for the same event."""
    return _PADDING[: zlib.crc32(event) % len(_PADDING) + 1]
