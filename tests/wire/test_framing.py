"""Server-sent events and AWS event streams, whole and cut in every way."""

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.wire.framing import event_stream_messages
from bench.wire.framing import sse_events as sse_columns


def cut(raw: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Pieces whose stamps are their numbers; piece i holds the bytes up to the i-th cut."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(raw)}), len(raw)]
    return [(i, raw[a:b]) for i, (a, b) in enumerate(pairwise(edges))]


def sse_events(pieces):
    return list(zip(*sse_columns(pieces), strict=True))


# body, events as (name, data)
SSE = {
    "data only": (b"data: a\n\ndata: b c\n\n", [(None, b"a"), (None, b"b c")]),
    "name and data": (b"event: x\ndata: a\n\nevent: y\ndata: b\n\n", [(b"x", b"a"), (b"y", b"b")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [(None, b"a"), (None, b"b")]),
    "CRLF with names": (b"event: x\r\ndata: a\r\n\r\nevent: y\r\ndata: b\r\n\r\n", [(b"x", b"a"), (b"y", b"b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [(None, b"a"), (None, b"b")]),
    "every line end at once": (b"data: a\r\n\ndata: b\r\r\ndata: c\n\r", [(None, b"a"), (None, b"b"), (None, b"c")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [(None, b"a")]),
    "comments": (b": hello\n\ndata: a\n: in between\n\n:\n\ndata: b\n\n", [(None, b"a"), (None, b"b")]),
    "many lines of data": (b"data: a\ndata: b\ndata:\n\n", [(None, b"a\nb\n")]),
    "one space only is taken": (b"data:  a\n\ndata:b\n\n", [(None, b" a"), (None, b"b")]),
    "empty data is an event": (b"data\n\ndata:\n\ndata: \n\n", [(None, b""), (None, b""), (None, b"")]),
    "a name without data is none": (b"event: x\n\ndata: a\n\n", [(None, b"a")]),
    "an empty name is no name": (b"event: \ndata: a\n\n", [(None, b"a")]),
    "the last name counts": (b"event: x\nevent: y\ndata: a\n\n", [(b"y", b"a")]),
    "data before the name": (b"data: a\nevent: x\n\n", [(b"x", b"a")]),
    "ids and retries are skipped": (b"id: 1\nretry: 5\ndata: a\n\n", [(None, b"a")]),
    "unknown fields are skipped": (b"datum: 1\ndata: a\nevents: 2\n\n", [(None, b"a")]),
    "more blank lines than needed": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [(None, b"a"), (None, b"b")]),
    "an event that is not ended": (b"data: a\n\ndata: b\n", [(None, b"a")]),
    "a named event that is not ended": (b"event: x\ndata: a\n\nevent: y\ndata: b", [(b"x", b"a")]),
    "an end inside a line end": (b"data: a\r\n\r\ndata: b\r\n\r", [(None, b"a"), (None, b"b")]),
    "a shape that changes": (b"data: a\n\nevent: x\ndata: b\n\n", [(None, b"a"), (b"x", b"b")]),
    "a name that is left out later": (b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (None, b"b")]),
    "a name twice where data should be": (b"event: x\ndata: a\n\nevent: y\nevent: z\n\n", [(b"x", b"a")]),
    "colons in the data": (b"data: {\"a\": \"data: b\"}\n\n", [(None, b'{"a": "data: b"}')]),
    "nothing": (b"", []),
    "only line ends": (b"\n\r\n\r", []),
}  # fmt: skip


@pytest.mark.parametrize("kind", SSE)
def test_events_are_read_as_the_standard_says_however_they_are_cut(kind):
    body, want = SSE[kind]
    assert [(name, data) for _, name, data in sse_events([(0, body)])] == want
    for at in range(1, len(body)):
        assert [(name, data) for _, name, data in sse_events(cut(body, [at]))] == want
    every_byte = cut(body, list(range(len(body))))
    assert [(name, data) for _, name, data in sse_events(every_byte)] == want


def completed_at(body: bytes) -> list[tuple[int, bytes | None, bytes]]:
    """The same reading done byte by byte, with the number of the byte that completed each event: slow and plain."""
    events, name, lines, line = [], None, [], b""
    previous = 0
    start = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    for i in range(start, len(body)):
        byte = body[i]
        if byte == 10 and previous == 13:
            previous = byte
            continue
        previous = byte
        if byte not in (10, 13):
            line += bytes([byte])
            continue
        if not line:
            if lines:
                events.append((i, name, b"\n".join(lines)))
            name, lines = None, []
        elif line.startswith(b"data"):
            field, _, value = line.partition(b":")
            if field == b"data":
                lines.append(value.removeprefix(b" "))
        elif line.startswith(b"event"):
            field, _, value = line.partition(b":")
            if field == b"event":
                name = value.removeprefix(b" ") or None
        line = b""
    return events


LINES = [b"data: a", b"data: bb", b"data", b"data:", b"event: x", b"event:", b": c", b"id: 1", b"", b"", b""]
BODIES = st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])), max_size=14)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(BODIES, st.lists(st.integers(1, 120), max_size=12))
def test_an_event_has_the_stamp_of_the_piece_that_completed_it(lines, cuts):
    body = b"".join(line + end for line, end in lines)
    pieces = cut(body, cuts)
    piece_of = [stamp for stamp, data in pieces for _ in data]
    assert sse_events(pieces) == [(piece_of[i], name, data) for i, name, data in completed_at(body)]


SHAPES = st.sampled_from([(b"data: ", b"\n"), (b"data: ", b"\r\n"), (b"event: x\ndata: ", b"\n")])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(SHAPES, st.lists(st.text('ab{}:" ', max_size=9), min_size=1, max_size=9), st.lists(st.integers(1, 200)))
def test_streams_of_one_shape_are_stamped_by_the_piece_that_completed_each_event(shape, texts, cuts):
    start, line_end = shape
    body = b"".join(start + text.encode() + line_end * 2 for text in texts)
    pieces = cut(body, cuts)
    piece_of = [stamp for stamp, data in pieces for _ in data]
    assert sse_events(pieces) == [(piece_of[i], name, data) for i, name, data in completed_at(body)]


# --- AWS event streams

GOLDEN = bytes.fromhex(
    "0000009d00000057b9bbf89f0b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74656e742d74797065"
    "0700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74426c6f636b496e64"
    "6578223a302c2264656c7461223a7b2274657874223a224869227d2c2270223a226162227d8b38b268"
)
GOLDEN_HEADERS = {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"}
GOLDEN_PAYLOAD = b'{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"ab"}'


def frame(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


def string(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


def test_a_known_message_is_read():
    assert event_stream_messages([(7, GOLDEN)]) == ([(7, GOLDEN_HEADERS, GOLDEN_PAYLOAD)], None)


def test_what_botocore_reads_from_the_same_bytes_is_the_same():
    eventstream = pytest.importorskip("botocore.eventstream")
    body = GOLDEN * 2 + frame(header(b":event-type", 7, string(b"metadata")), b"{}")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(body)
    want = [(message.headers, message.payload) for message in buffer]
    got, error = event_stream_messages([(0, body)])
    assert error is None
    assert [(headers, payload) for _, headers, payload in got] == want


def test_headers_of_every_type_are_passed_over_and_strings_are_kept():
    headers = b"".join(
        [
            header(b"yes", 0, b""), header(b"no", 1, b""), header(b"byte", 2, b"\1"), header(b"short", 3, b"\1\2"),
            header(b"int", 4, b"\0" * 4), header(b"long", 5, b"\0" * 8), header(b"bytes", 6, string(b"\xff\xfe")),
            header(b"time", 8, b"\0" * 8), header(b"uuid", 9, b"\0" * 16), header(b"text", 7, string("é".encode())),
        ]
    )  # fmt: skip
    messages, error = event_stream_messages([(0, frame(headers, b"p"))])
    assert error is None
    assert messages == [(0, {"text": "é"}, b"p")]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.lists(st.integers(1, 400), max_size=12))
def test_a_message_has_the_stamp_of_the_piece_that_completed_it(payloads, cuts):
    frames = [frame(header(b"n", 7, string(b"%d" % i)), payload) for i, payload in enumerate(payloads)]
    body = b"".join(frames)
    pieces = cut(body, cuts)
    piece_of = [stamp for stamp, data in pieces for _ in data]
    messages, error = event_stream_messages(pieces)
    ends = [len(b"".join(frames[: i + 1])) for i in range(len(frames))]
    assert error is None
    assert messages == [
        (piece_of[end - 1], {"n": str(i)}, payload) for i, (end, payload) in enumerate(zip(ends, payloads, strict=True))
    ]


# what is wrong with the second message, words of the error
CORRUPT = {
    "its payload": (GOLDEN[:100] + b"X" + GOLDEN[101:], "the checksum of the message does not match"),
    "its length": (b"\0\0\0\x9e" + GOLDEN[4:], "the checksum of its prelude does not match"),
    "its end is missing": (GOLDEN[:-1], "the stream ended after 156 of its 157 bytes"),
    "its prelude is cut": (GOLDEN[:11], "the stream ended inside its prelude"),
    "its headers are of no known type": (frame(header(b"h", 10, b""), b""), "h has unknown type 10"),
    "its headers are cut": (frame(header(b"h", 7, struct.pack("!H", 9)), b""), "the last one is cut"),
    "its headers end in a name": (frame(b"\5ab", b""), "bad headers"),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_reading_stops_at_a_corrupt_message_and_keeps_what_came_before(kind):
    bad, words = CORRUPT[kind]
    messages, error = event_stream_messages([(1, GOLDEN), (2, bad)])
    assert messages == [(1, GOLDEN_HEADERS, GOLDEN_PAYLOAD)]
    assert words in error
    assert error.startswith("message 2 at byte 157: ")


def test_lengths_that_cannot_be_are_refused_even_with_a_right_checksum():
    for total, headers in ((15, 0), (40, 30), (64 * 1024 * 1024, 0), (1_000_000, 200_000)):
        prelude = struct.pack("!II", total, headers)
        raw = prelude + struct.pack("!I", zlib.crc32(prelude)) + b"\0" * 20
        messages, error = event_stream_messages([(0, raw)])
        assert messages == []
        assert "impossible lengths" in error


def test_every_flipped_bit_is_noticed():
    for i in range(len(GOLDEN)):
        bad = GOLDEN[:i] + bytes([GOLDEN[i] ^ 1]) + GOLDEN[i + 1 :]
        messages, error = event_stream_messages([(0, bad)])
        assert (messages, error is None) == ([], False)
