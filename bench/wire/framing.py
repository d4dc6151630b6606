"""Taking a reply apart after it has ended: server-sent events and AWS event streams, each event with its arrival time.

Pure functions over `pieces`, the (arrived_ns, bytes) pairs of an exchange. An event is given the stamp of the piece that
completed it. Nothing here is incremental: one join, one split, and a walk along the offsets of the pieces.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate

Pieces = Sequence[tuple[int, bytes]]
SseEvent = tuple[int, bytes | None, bytes]

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


def sse_events(pieces: Pieces) -> list[SseEvent]:
    """The events of a text/event-stream body as (arrived_ns, event name or None, data).

    After the WHATWG HTML standard, 9.2: lines end with LF, CRLF or CR; comments, `id` and `retry` are skipped; an event
    without data is none; an event that no blank line ends is none. A CRLF completes its line with the CR.
    """
    body = b"".join([data for _, data in pieces])
    start = len(_BOM) if body.startswith(_BOM) else 0
    carriage_returns = body.count(b"\r")
    if not carriage_returns:
        blocks = _blocks_of_one_line_end(body, start, b"\n")
        line_end = b"\n"
    elif carriage_returns == body.count(b"\r\n") == body.count(b"\n"):
        blocks = _blocks_of_one_line_end(body, start, b"\r\n")
        line_end = b"\r\n"
    else:
        blocks = _blocks_of_mixed_line_ends(body, start)
        line_end = b"\n"
    return _events(blocks, line_end, pieces)


Blocks = Sequence[tuple[int, bytes]] | Iterator[tuple[int, bytes]]


def _blocks_of_one_line_end(body: bytes, start: int, line_end: bytes) -> Blocks:
    """(offset just behind the byte that completed the block, its lines) where every line ends in the same way."""
    parts = body[start:].split(line_end * 2) if start else body.split(line_end * 2)
    parts.pop()  # what follows the last blank line is not complete
    separator = 2 * len(line_end)
    # the LF of a closing CRLF is not needed to complete the event
    early = len(line_end) - 1
    ends = accumulate(map(len, parts), lambda end, size: end + size + separator, initial=start)
    next(ends)
    return zip((end - early for end in ends) if early else ends, parts, strict=True)


def _blocks_of_mixed_line_ends(body: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    lines: list[bytes] = []
    line_start = start
    for found in _LINE_END.finditer(body, start):
        if found.start() > line_start:
            lines.append(body[line_start : found.start()])
        elif lines:
            yield found.start() + 1, b"\n".join(lines)
            lines = []
        line_start = found.end()


def _events(blocks: Blocks, line_end: bytes, pieces: Pieces) -> list[SseEvent]:
    events: list[SseEvent] = []
    add = events.append
    walk = iter(pieces)
    arrived_ns, piece_end = 0, 0
    name_end = line_end + b"data: "
    skip = len(name_end)
    for end, block in blocks:
        while piece_end < end:
            arrived_ns, data = next(walk)
            piece_end += len(data)
        # the two shapes that streams are made of: `data: …`, and `event: …` followed by `data: …`
        if block.startswith(b"data: "):
            if line_end not in block:
                add((arrived_ns, None, block[6:]))
                continue
        elif block.startswith(b"event: "):
            at = block.find(name_end)
            if at > 7 and block.find(line_end) == at and block.find(line_end, at + skip) < 0:
                add((arrived_ns, block[7:at], block[at + skip :]))
                continue
        name, lines = _fields(block.split(line_end))
        if lines:
            add((arrived_ns, name, b"\n".join(lines)))
    return events


def _fields(lines: list[bytes]) -> tuple[bytes | None, list[bytes]]:
    """The last event name and every data line of a block."""
    name: bytes | None = None
    data: list[bytes] = []
    for line in lines:
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value or None
    return name, data


EventStreamMessage = tuple[int, dict[str, str], bytes]

_PRELUDE = struct.Struct("!III")
_U32 = struct.Struct("!I")
_MAX_HEADERS_BYTES = 128 * 1024
_MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Value bytes by header type: true, false, byte, short, int, long, timestamp, UUID."""
_BYTES, _STRING = 6, 7


def event_stream_messages(pieces: Pieces) -> tuple[list[EventStreamMessage], str | None]:
    """The messages of an application/vnd.amazon.eventstream body as (arrived_ns, string headers, payload), and what is wrong.

    Both checksums of every message are checked. At the first corrupt or unfinished message the reading stops, since
    nothing says where the next one begins; what came before it is given, with the error in words, else None.
    Messages with equal headers share one dict: read it, don't write it.
    """
    body = b"".join([data for _, data in pieces])
    messages: list[EventStreamMessage] = []
    known: dict[bytes, dict[str, str]] = {}
    walk = iter(pieces)
    arrived_ns, piece_end = 0, 0
    at, size = 0, len(body)
    crc32, prelude_of, u32 = zlib.crc32, _PRELUDE.unpack_from, _U32.unpack_from
    while at < size:
        where = f"message {len(messages) + 1} at byte {at}"
        if size - at < 16:
            return messages, f"{where}: the stream ended inside its prelude"
        total, header_bytes, prelude_crc = prelude_of(body, at)
        if crc32(body[at : at + 8]) != prelude_crc:
            return messages, f"{where}: the checksum of its prelude does not match"
        if header_bytes > _MAX_HEADERS_BYTES or not 0 <= total - header_bytes - 16 <= _MAX_PAYLOAD_BYTES:
            return messages, f"{where}: impossible lengths, {total} bytes with {header_bytes} bytes of headers"
        end = at + total
        if end > size:
            return messages, f"{where}: the stream ended after {size - at} of its {total} bytes"
        if crc32(body[at : end - 4]) != u32(body, end - 4)[0]:
            return messages, f"{where}: the checksum of the message does not match"
        payload_at = at + 12 + header_bytes
        block = body[at + 12 : payload_at]
        headers = known.get(block)
        if headers is None:
            try:
                headers = known[block] = _string_headers(block)
            except (ValueError, IndexError) as trouble:
                return messages, f"{where}: bad headers: {trouble}"
        while piece_end < end:
            arrived_ns, data = next(walk)
            piece_end += len(data)
        messages.append((arrived_ns, headers, body[payload_at : end - 4]))
        at = end
    return messages, None


def _string_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at, size = 0, len(block)
    while at < size:
        name_end = at + 1 + block[at]
        name = block[at + 1 : name_end].decode()
        kind = block[name_end]
        at = name_end + 1
        if kind in (_BYTES, _STRING):
            length = int.from_bytes(block[at : at + 2], "big")
            at += 2
            if kind == _STRING:
                headers[name] = block[at : at + length].decode()
            at += length
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            raise ValueError(f"{name} has unknown type {kind}")
    if at != size:
        raise ValueError("the last one is cut")
    return headers
