"""Taking a reply apart after it has ended: server-sent events and AWS event streams, each with its arrival time.

Pure functions over `pieces`, the (arrived_ns, bytes) pairs of an exchange. An event is given the stamp of the piece
that completed it. Nothing here is incremental: one join, one search, and a walk along the offsets of the pieces.
"""

from __future__ import annotations

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

Pieces = Sequence[tuple[int, bytes]]
SseEvents = tuple[list[int], list[bytes | None], list[bytes]]
"""Of each event: when it arrived, its name or None, its data."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


def sse_events(pieces: Pieces) -> SseEvents:
    """The events of a text/event-stream body, as three columns of equal length.

    After the WHATWG HTML standard, 9.2: lines end with LF, CRLF or CR; comments, `id` and `retry` are skipped; an event
    without data is none; an event that no blank line ends is none. A CRLF completes its line with the CR.
    """
    body = b"".join([data for _, data in pieces])
    line_end = b"\r\n" if b"\r" in body else b"\n"
    if body.endswith(b"\r"):  # may complete an event whose LF is missing
        return _events_of_any_shape(body, pieces)
    found: SseEvents | None = None
    if body.startswith(b"data: "):
        found = _events_of_data(body, line_end, pieces)
    elif body.startswith(b"event: "):
        found = _events_of_name_and_data(body, line_end, pieces)
    return found or _events_of_any_shape(body, pieces)


# The streams of models are made of two shapes, each of which is one split. A shape is believed when no part that the split
# leaves holds a line end of its own; else nothing is given, and the body is read line by line.


def _events_of_data(body: bytes, line_end: bytes, pieces: Pieces) -> SseEvents | None:
    """The events of a body that is `data: …` and a blank line, over and over; None where it is not."""
    blank = line_end * 2
    start = len(b"data: ")
    end = body.rfind(blank)
    if end < start:
        return None
    datas = body[start:end].split(blank + b"data: ")
    if _any_line_end(datas):
        return None
    frame = start + len(blank)
    return _stamps_of([len(data) + frame for data in datas], line_end, pieces), [None] * len(datas), datas


def _events_of_name_and_data(body: bytes, line_end: bytes, pieces: Pieces) -> SseEvents | None:
    """The events of a body that is `event: …`, `data: …` and a blank line, over and over; None where it is not."""
    blank = line_end * 2
    start = len(b"event: ")
    end = body.rfind(blank)
    if end < start:
        return None
    events = [block.partition(line_end + b"data: ") for block in body[start:end].split(blank + b"event: ")]
    names, between, datas = zip(*events, strict=True)
    if not all(between) or not all(names) or _any_line_end(names) or _any_line_end(datas):
        return None
    frame = start + len(blank) + len(between[0])
    stamps = _stamps_of([len(name) + len(data) + frame for name, _, data in events], line_end, pieces)
    return stamps, list(names), list(datas)


def _any_line_end(parts: Sequence[bytes]) -> bool:
    """`in` looks at many bytes at once, where `count` looks at each."""
    joined = b"".join(parts)
    return b"\n" in joined or b"\r" in joined


def _stamps_of(lengths: list[int], line_end: bytes, pieces: Pieces) -> list[int]:
    """The arrivals of events of these lengths, which follow each other. Servers mostly write one event at a time, and
    several only at the end of a stream: those pieces that are one event each are not searched for.
    """
    n = max(0, min(len(lengths), len(pieces)) - 1)
    alone = [len(data) for _, data in pieces[:n]]
    if alone != lengths[:n]:
        return _stamps_at(list(accumulate(lengths)), line_end, pieces)
    rest = _stamps_at(list(accumulate(lengths[n:])), line_end, pieces[n:])
    return [arrived_ns for arrived_ns, _ in pieces[:n]] + rest


def _stamps_at(ends: list[int], line_end: bytes, pieces: Pieces) -> list[int]:
    """The arrival of the piece that completed the event before each offset. The LF of a last CRLF may come later."""
    spare = len(line_end) - 1
    stamps: list[int] = []
    done = piece_end = 0
    for arrived_ns, data in pieces:
        piece_end += len(data)
        before, done = done, bisect_right(ends, piece_end + spare, done)
        stamps += [arrived_ns] * (done - before)
    return stamps


def _events_of_any_shape(body: bytes, pieces: Pieces) -> SseEvents:
    ends: list[int] = []
    names: list[bytes | None] = []
    datas: list[bytes] = []
    for end, lines in _blocks(body):
        name: bytes | None = None
        values: list[bytes] = []
        for line in lines:
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                values.append(value)
            elif field == b"event":
                name = value or None
        if values:
            ends.append(end)
            names.append(name)
            datas.append(b"\n".join(values))
    return _stamps_at(ends, b"\n", pieces), names, datas


def _blocks(body: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """The lines before each blank line, and the offset behind the byte that made it one."""
    lines: list[bytes] = []
    line_start = len(_BOM) if body.startswith(_BOM) else 0
    for found in _LINE_END.finditer(body, line_start):
        if found.start() > line_start:
            lines.append(body[line_start : found.start()])
        elif lines:
            yield found.start() + 1, lines
            lines = []
        line_start = found.end()


EventStreamMessage = tuple[int, dict[str, str], bytes]

_PRELUDE = struct.Struct("!III")
_U32 = struct.Struct("!I")
_MAX_HEADERS_BYTES = 128 * 1024
_MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Value bytes by header type: true, false, byte, short, int, long, timestamp, UUID."""
_BYTES, _STRING = 6, 7


def event_stream_messages(pieces: Pieces) -> tuple[list[EventStreamMessage], str | None]:
    """The messages of an application/vnd.amazon.eventstream body, (arrived_ns, string headers, payload), and an error.

    Both checksums of every message are checked. At the first corrupt or unfinished message the reading stops, since
    nothing says where the next one begins; what came before it is given, with the error in words, else None.
    Messages with equal headers share one dict: read it, don't write it.
    """
    body = b"".join([data for _, data in pieces])
    messages: list[EventStreamMessage] = []
    block, headers = b"", dict[str, str]()  # of the message before: nearly all messages of a stream have the same
    known: dict[bytes, dict[str, str]] = {block: headers}
    walk = iter(pieces)
    arrived_ns, piece_end = 0, 0
    at, size = 0, len(body)
    crc32, prelude_of, u32 = zlib.crc32, _PRELUDE.unpack_from, _U32.unpack_from
    while at < size:
        if size - at < 16:
            return messages, _broken(messages, at, "the stream ended inside its prelude")
        total, header_bytes, prelude_crc = prelude_of(body, at)
        if crc32(body[at : at + 8]) != prelude_crc:
            return messages, _broken(messages, at, "the checksum of its prelude does not match")
        if header_bytes > _MAX_HEADERS_BYTES or not 0 <= total - header_bytes - 16 <= _MAX_PAYLOAD_BYTES:
            why = f"impossible lengths, {total} bytes with {header_bytes} bytes of headers"
            return messages, _broken(messages, at, why)
        end = at + total
        if end > size:
            return messages, _broken(messages, at, f"the stream ended after {size - at} of its {total} bytes")
        # the checksum of the first eight bytes is known: it goes on from there
        if crc32(body[at + 8 : end - 4], prelude_crc) != u32(body, end - 4)[0]:
            return messages, _broken(messages, at, "the checksum of the message does not match")
        payload_at = at + 12 + header_bytes
        if header_bytes != len(block) or not body.startswith(block, at + 12):
            block = body[at + 12 : payload_at]
            if block not in known:
                try:
                    known[block] = _string_headers(block)
                except (ValueError, IndexError) as trouble:
                    return messages, _broken(messages, at, f"bad headers: {trouble}")
            headers = known[block]
        while piece_end < end:
            arrived_ns, data = next(walk)
            piece_end += len(data)
        messages.append((arrived_ns, headers, body[payload_at : end - 4]))
        at = end
    return messages, None


def _broken(messages: Sequence[EventStreamMessage], at: int, why: str) -> str:
    return f"message {len(messages) + 1} at byte {at}: {why}"


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
