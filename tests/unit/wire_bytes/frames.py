"""AWS event-stream frames, made after AWS's description of the encoding, and taken apart by their length alone."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message with string headers (type 7)."""
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + block + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, body: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def exception(kind: str, body: Any) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(body).encode())


def split(body: bytes) -> list[bytes]:
    """The frames of a stream that is whole."""
    parts = []
    while body:
        (length,) = struct.unpack("!I", body[:4])
        parts.append(body[:length])
        body = body[length:]
    return parts
