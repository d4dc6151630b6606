"""However the network cuts the same bytes, text, counts and stamps are the same: an event has the stamp of the piece that
completed it. Real bodies of the look-alikes, with characters of two to four bytes, in every framing there is.
"""

import base64
import json
import re
import struct
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import dialects, simulate
from bench.dialects.base import Dialect
from bench.record import Connection, Exchange, Reply
from bench.wire.incoming import NO_STAMP, Incoming
from tests.sim.test_simulator import CHAT, FAST, MODELS, QUESTION, RIGHT, ask, raw, write_answers

FRAMINGS = (
    "chat",
    "chat, CRLF",
    "messages",
    "messages, CRLF",
    "messages, AWS event stream",
    "messages, vertex",
    "messages, foundry",
)
DOOR = {"messages, AWS event stream": "bedrock", "messages, vertex": "vertex", "messages, foundry": "foundry"}


@dataclass(frozen=True)
class Body:
    dialect: Dialect
    content_type: str
    data: bytes
    ends: tuple[int, ...]
    """Offset of the byte that completes each content event, told from the bytes alone."""

    def decode(self, pieces) -> Reply:
        return self.dialect.decode(Exchange(
            sent_ns=0, headers_ns=1, end_ns=1 << 40, status=200, headers=(("content-type", self.content_type),),
            pieces=tuple(pieces), connection=Connection(reused=False),
        ))  # fmt: skip

    def stamps_of(self, cuts) -> list[int]:
        """The stamp of each content event when piece i, arrived at 1000 + i, ends at cuts[i]."""
        return [1000 + next(i for i, cut in enumerate(cuts) if end < cut) for end in self.ends]


def sse_ends(data: bytes, holds_content) -> tuple[int, ...]:
    """An event ends with the line end that makes the empty line; of a CRLF the CR does."""
    ends, begin = [], 0
    for found in re.finditer(rb"\n\n|\r\n\r\n", data):
        if holds_content(data[begin : found.start()]):
            ends.append(found.end() - (1 if found[0] == b"\n\n" else 2))
        begin = found.end()
    return tuple(ends)


def frame_ends(data: bytes) -> tuple[int, ...]:
    ends, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("!I", data, at)
        headers = struct.unpack_from("!I", data, at + 4)[0]
        payload = json.loads(data[at + 12 + headers : at + size - 4])
        if b"text_delta" in base64.b64decode(payload.get("bytes", "")):
            ends.append(at + size - 1)
        at += size
    return tuple(ends)


def chat_content(event: bytes) -> bool:
    if b"[DONE]" in event or not event.strip():
        return False
    choices = json.loads(event.removeprefix(b"data: "))["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


@pytest.fixture(scope="module")
def bodies(tmp_path_factory) -> dict[str, Body]:
    answers = write_answers(tmp_path_factory.mktemp("cuts"))
    doors = {name: DOOR.get(name, "openai-compatible" if name.startswith("chat") else "anthropic") for name in FRAMINGS}
    targets = [
        {"id": door, "door": door, "model_id": MODELS[door], "profile": {**FAST, "gap_ms": {"constant": 0}}}
        for door in sorted(set(doors.values()))
    ]
    made = {}
    with simulate.launch({"seed": 7, "targets": targets, "answers": answers}) as running:
        for name, door in doors.items():
            seen = raw(running.ports[door], *ask(door, QUESTION))
            data = seen.body.replace(b"\n", b"\r\n") if name.endswith("CRLF") else seen.body
            dialect = dialects.get("chat" if door in CHAT else "messages")
            if door == "bedrock":
                ends = frame_ends(data)
            else:
                ends = sse_ends(data, chat_content if door in CHAT else lambda event: b"text_delta" in event)
            made[name] = Body(dialect, seen.headers["content-type"], data, ends)
    return made


def pieces_of(data: bytes, cuts):
    begins = [0, *cuts[:-1]]
    return [(1000 + i, data[begin:end]) for i, (begin, end) in enumerate(zip(begins, cuts, strict=True))]


def same_but_stamps(reply: Reply) -> Reply:
    return replace(reply, content_ns=(), first_text_ns=None)


def check(body: Body, whole: Reply, cuts) -> None:
    reply = body.decode(pieces_of(body.data, cuts))
    assert same_but_stamps(reply) == same_but_stamps(whole)
    assert list(reply.content_ns) == body.stamps_of(cuts)
    assert reply.first_text_ns == reply.content_ns[0]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_in_one_piece_it_is_what_was_said(bodies, framing) -> None:
    body = bodies[framing]
    whole = body.decode([(1000, body.data)])
    assert whole.text == RIGHT
    assert whole.complete
    assert whole.error_body is None
    assert whole.usage.output_tokens
    assert whole.usage.input_tokens
    assert len(body.ends) == len(whole.content_ns) > 5
    assert set(whole.content_ns) == {1000}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_cut_at_every_single_byte_changes_nothing(bodies, framing) -> None:
    """In two pieces, at every place there is: inside characters, field names, line ends, lengths and checksums."""
    body = bodies[framing]
    whole = body.decode([(1000, body.data)])
    size = len(body.data)
    for cut in range(1, size):
        check(body, whole, [cut, size])


@pytest.mark.parametrize("framing", FRAMINGS)
def test_single_bytes_change_nothing(bodies, framing) -> None:
    body = bodies[framing]
    check(body, body.decode([(1000, body.data)]), list(range(1, len(body.data) + 1)))


@pytest.mark.parametrize("framing", FRAMINGS)
def test_any_way_of_cutting_changes_nothing(bodies, framing) -> None:
    body = bodies[framing]
    size = len(body.data)
    whole = body.decode([(1000, body.data)])

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(st.sets(st.integers(1, size - 1), max_size=60))
    def cut_anyhow(cuts) -> None:
        check(body, whole, [*sorted(cuts), size])

    cut_anyhow()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_any_way_of_chunking_and_any_way_of_reading_change_nothing(bodies, framing) -> None:
    """Two layers of cuts at once: HTTP chunks cut the body, reads cut the chunks, their sizes and the head."""
    body = bodies[framing]
    size = len(body.data)
    whole = body.decode([(1000, body.data)])

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(st.data())
    def cut_twice(data) -> None:
        chunk_cuts = [*sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=20))), size]
        sent, place = bytearray(HEAD % body.content_type.encode()), []  # place[i]: where body byte i stands in `sent`
        for _, chunk in pieces_of(body.data, chunk_cuts):
            sent += b"%x\r\n" % len(chunk)
            place += range(len(sent), len(sent) + len(chunk))
            sent += chunk + b"\r\n"
        sent += b"0\r\n\r\n"
        reads = [*sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=20))), len(sent)]

        incoming = Incoming(head_only=False)
        over = [incoming.take(stamp, NO_STAMP, bytes(part)) for stamp, part in pieces_of(bytes(sent), reads)]
        assert over == [False] * (len(reads) - 1) + [True]
        assert incoming.failure is None
        reply = body.decode(incoming.pieces(incoming.stamps(0, None)))

        assert same_but_stamps(reply) == same_but_stamps(whole)
        in_which_read = [next(i for i, cut in enumerate(reads) if place[end] < cut) for end in body.ends]
        assert list(reply.content_ns) == [1000 + i for i in in_which_read]

    cut_twice()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_that_is_cut_short_keeps_the_events_that_came_whole(bodies, framing) -> None:
    """At every length: as many content events as were completed, never a part of one, and never called complete early."""
    body = bodies[framing]
    for size in range(0, len(body.data), 3):
        reply = body.decode([(1000, body.data[:size])])
        came = sum(end < size for end in body.ends)
        assert len(reply.content_ns) == came
        assert RIGHT.startswith(reply.text)
        assert reply.error_body is None
        if reply.complete:
            assert came == len(body.ends)
