"""What a reply may look like on the wire, cut in every way, and what comes out of it."""

import asyncio
from itertools import pairwise

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.wire.http import Wire
from bench.wire.incoming import MAX_HEAD_BYTES, NO_STAMP, Incoming
from tests.wire.servers import CHUNKED_HEAD, LAST_CHUNK, Peer, chunked, exchange_once, get, in_ns, replying, serving

OK = b"HTTP/1.1 200 OK\r\n"

# raw reply, status, body, whether the connection may be used again
REPLIES = {
    "a length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    "chunks": (CHUNKED_HEAD + chunked(b"hel", b"lo") + LAST_CHUNK, 200, b"hello", True),
    "chunks with extensions": (CHUNKED_HEAD + b"5;a=b\r\nhello\r\n0\r\n\r\n", 200, b"hello", True),
    "chunks and a trailer": (CHUNKED_HEAD + chunked(b"hello") + b"0\r\nx-sum: 1\r\n\r\n", 200, b"hello", True),
    "an interim reply first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + OK + b"Content-Length: 2\r\n\r\nhi",
        200, b"hi", True,
    ),
    "connection: close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
    "an error": (b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\nContent-Length: 2\r\n\r\n{}", 429, b"{}", True),
}  # fmt: skip


def read(raw: bytes, cuts: list[int], head_only: bool = False) -> Incoming:
    """An incoming reply fed in pieces; read number i is stamped i."""
    incoming = Incoming(head_only)
    edges = [0, *sorted(set(cuts)), len(raw)]
    for i, (start, end) in enumerate(pairwise(edges)):
        if start < end and incoming.take(i, NO_STAMP, raw[start:end]):
            break
    incoming.release()
    return incoming


@pytest.mark.parametrize("kind", REPLIES)
def test_every_kind_of_reply_cut_at_every_byte_reads_the_same(kind):
    raw, status, body, keep = REPLIES[kind]
    for cut in range(len(raw)):
        incoming = read(raw, [cut])
        assert incoming.failure is None
        assert incoming.end_read is not None
        assert incoming.status == status
        assert b"".join(data for _, data in incoming.pieces(incoming.stamps(0, None))) == body
        assert incoming.keep is keep


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.lists(st.integers(1, 600), max_size=30))
def test_however_a_chunked_reply_is_cut_every_byte_is_stamped_with_the_read_that_carried_it(bodies, cuts):
    raw = CHUNKED_HEAD + chunked(*bodies) + LAST_CHUNK
    cuts = [cut for cut in cuts if cut < len(raw)]
    incoming = read(raw, cuts)
    assert incoming.end_read is not None
    pieces = incoming.pieces(incoming.stamps(0, None))
    assert b"".join(data for _, data in pieces) == b"".join(bodies)
    # where each body byte lies in the raw bytes says in which read it came
    at, reads = len(CHUNKED_HEAD), []
    for body in bodies:
        at += len(b"%x\r\n" % len(body))
        reads += [sum(1 for cut in set(cuts) if cut <= at + i) for i in range(len(body))]
        at += len(body) + 2
    assert [stamp for stamp, data in pieces for _ in data] == reads


def test_a_head_reply_ends_with_its_headers_and_keeps_the_connection():
    incoming = read(OK + b"Content-Length: 5000\r\n\r\n", [], head_only=True)
    assert incoming.end_read == 0
    assert incoming.keep
    assert incoming.length == 5000


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/9.9 200 OK\r\n\r\n", CHUNKED_HEAD + b"zz\r\nhello",
     OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", OK + b"bad header\r\n\r\n"],
)  # fmt: skip
def test_rubbish_is_a_protocol_failure_and_says_what_is_wrong(raw):
    with serving(replying(raw)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "protocol"
    assert exchange.failure_detail.startswith("not HTTP/1.1: ")


def test_headers_without_end_are_a_protocol_failure():
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        for i in range(MAX_HEAD_BYTES // 1000 + 20):
            peer.send(b"x-%d: " % i + b"y" * 1000 + b"\r\n")

    with serving(play) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "protocol"
    assert str(MAX_HEAD_BYTES) in exchange.failure_detail


def test_a_body_beyond_the_limit_is_a_protocol_failure(monkeypatch):
    monkeypatch.setattr("bench.wire.incoming.MAX_BODY_BYTES", 100_000)
    raw = OK + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000
    with serving(replying(raw)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "protocol"
    assert "longer than 100000 bytes" in exchange.failure_detail
    assert len(exchange.body) >= 100_000


def test_switching_protocols_unasked_is_a_protocol_failure():
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00"
    with serving(replying(raw)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "protocol"
    assert "101" in exchange.failure_detail


def test_a_body_that_ends_with_the_connection_is_complete():
    with serving(replying(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo", close=True)) as (_, port):
        exchange = exchange_once(get(port))
    assert (exchange.failure, exchange.status, exchange.body) == (None, 200, b"hello")
    assert exchange.end_ns >= exchange.pieces[-1][0]


def test_headers_come_in_order_with_lower_case_names_and_their_repetitions():
    raw = OK + b"X-B: 1\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-Latin: \xe9\r\nContent-Length: 0\r\n\r\n"
    with serving(replying(raw)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.headers == (
        ("x-b", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-latin", "é"), ("content-length", "0"),
    )  # fmt: skip
    assert exchange.header("set-cookie") == "a"


@pytest.mark.parametrize("behind", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"rubbish"])
def test_bytes_behind_a_complete_reply_spoil_the_connection_and_not_the_reply(behind):
    raw = OK + b"Content-Length: 2\r\n\r\nhi"

    async def main(port: int) -> None:
        wire = Wire(environ={})
        first = await wire.exchange(get(port), in_ns(5))
        second = await wire.exchange(get(port), in_ns(5))
        await wire.aclose()
        assert (first.failure, first.body) == (None, b"hi")
        assert not second.connection.reused

    with serving(replying(raw + behind)) as (_, port):
        uvloop.run(main(port))


def test_asyncios_own_loop_and_no_kernel_stamps_give_the_same_reply():
    async def main(port: int) -> bytes:
        wire = Wire(environ={}, kernel_stamps=False)
        exchange = await wire.exchange(get(port), in_ns(5))
        assert wire.stamp_facts == {"source": "loop"}
        await wire.aclose()
        assert exchange.sent_ns <= exchange.headers_ns <= exchange.pieces[0][0] <= exchange.end_ns
        return exchange.body

    with serving(replying(CHUNKED_HEAD, chunked(b"hel"), chunked(b"lo") + LAST_CHUNK, gap_s=0.005)) as (_, port):
        assert asyncio.run(main(port)) == b"hello"
