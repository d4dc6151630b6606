"""Every way in which the wire fails has its name, its words, and what had arrived by then."""

import asyncio
import errno
import socket
import threading
import time

import pytest
import uvloop

from bench.record import Exchange
from bench.wire.http import Outgoing, Wire
from tests.wire.servers import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    Peer,
    chunked,
    exchange_once,
    get,
    in_ns,
    replying,
    serving,
    until,
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_name_that_does_not_exist_is_a_dns_failure():
    exchange = exchange_once(Outgoing(("http", "no-such-host.invalid", 80), b"GET / HTTP/1.1\r\n\r\n"))
    assert exchange.failure == "dns"
    assert "no-such-host.invalid" in exchange.failure_detail
    assert exchange.headers_ns is None
    assert exchange.status is None
    assert exchange.sent_ns <= exchange.end_ns


def test_a_port_where_nobody_listens_is_a_connect_failure():
    port = free_port()
    exchange = exchange_once(get(port))
    assert exchange.failure == "connect"
    assert exchange.failure_detail == f"cannot connect: 127.0.0.1 port {port}: Connection refused"


def test_the_next_address_is_tried_when_one_refuses():
    with serving(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as (_, port):

        async def main():
            loop = asyncio.get_running_loop()

            async def two_addresses(*_args, **_options):
                tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*tcp, ("127.0.0.2", port)), (*tcp, ("127.0.0.1", port))]

            loop.getaddrinfo = two_addresses
            wire = Wire(environ={})
            exchange = await wire.exchange(get(port, host="two.example"), in_ns(5))
            await wire.aclose()
            return exchange

        exchange = asyncio.run(main())
    assert exchange.body == b"hi"
    assert exchange.connection.address == f"127.0.0.1:{port}"


def test_an_address_that_never_answers_is_given_up_after_the_connect_timeout():
    # a listener whose queue of connections is full drops further ones, as a firewall does
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        assert filler.connect_ex(address) in (0, errno.EINPROGRESS)
        fillers.append(filler)
    try:
        time.sleep(0.05)
        exchange = exchange_once(get(address[1]), connect_timeout_s=0.1)
    finally:
        for sock in (listener, *fillers):
            sock.close()
    assert exchange.failure == "connect"
    assert "no answer within 0.1 s" in exchange.failure_detail


def test_a_reset_mid_stream_keeps_what_arrived():
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED_HEAD + chunked(b"one"), chunked(b"two"), gap_s=0.01)
        time.sleep(0.02)
        peer.reset()

    with serving(play) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "reset"
    assert exchange.failure_detail.endswith("Connection reset by peer")
    assert exchange.status == 200
    assert exchange.body == b"onetwo"
    assert exchange.end_ns > exchange.pieces[-1][0]


def test_a_reset_right_behind_data_is_heard_at_once_and_not_at_the_deadline():
    asked, gone = threading.Event(), threading.Event()

    def play(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.send(CHUNKED_HEAD + chunked(b"one"))
        peer.reset()
        gone.set()

    async def main(port: int) -> Exchange:
        wire = Wire(environ={})
        task = asyncio.create_task(wire.exchange(get(port), in_ns(30)))
        await until(asked.is_set)
        gone.wait(5)  # our loop stands still, so that it finds data and reset together
        exchange = await task
        assert wire.live.open == 0
        await wire.aclose()
        return exchange

    with serving(play) as (_, port):
        for runner in (uvloop.run, asyncio.run):
            asked.clear()
            gone.clear()
            exchange = runner(main(port))
            assert exchange.failure == "reset"
            assert exchange.body == b"one"
            assert exchange.end_ns - exchange.sent_ns < 10e9  # the deadline is at 30 s


# reply before the server closes, words
CUTS = [
    (b"", "before the first byte of the reply"),
    (b"HTTP/1.1 200 OK\r\nConte", "inside the headers"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "after 3 of 5 bytes of the body"),
    (CHUNKED_HEAD + chunked(b"hello"), "after 5 bytes of a chunked body"),
    (CHUNKED_HEAD + chunked(b"hello") + b"0\r\n", "after 5 bytes of a chunked body"),
]


@pytest.mark.parametrize(("sent", "words"), CUTS)
def test_a_connection_that_closes_too_early_is_told_apart_by_how_far_it_came(sent, words):
    with serving(replying(sent, close=True)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure == "closed"
    assert words in exchange.failure_detail


def test_a_slow_drip_does_not_outlive_the_total_deadline():
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED_HEAD)
        while True:  # until the client hangs up
            peer.send(chunked(b"x"))
            time.sleep(0.01)

    with serving(play) as (_, port):
        exchange = exchange_once(get(port), seconds=0.15)
    assert exchange.failure == "timeout"
    assert "bytes of the reply" in exchange.failure_detail
    assert exchange.end_ns - exchange.sent_ns >= 100_000_000
    assert len(exchange.pieces) >= 3


def test_silence_until_the_deadline_is_a_timeout_and_no_error():
    with serving(lambda peer: peer.wait_for_end()) as (_, port):
        exchange = exchange_once(get(port), seconds=0.05)
    assert exchange.failure == "timeout"
    assert "waiting for the first byte" in exchange.failure_detail
    assert exchange.pieces == ()


def test_a_deadline_that_has_passed_sends_nothing():
    seen = []

    def play(peer: Peer) -> None:
        seen.append(peer.request())

    with serving(play) as (_, port):
        exchange = exchange_once(get(port), seconds=-1)
    assert exchange.failure == "timeout"
    assert seen in ([], [b""])


def test_cancelling_the_task_closes_the_connection_and_leaves_the_pool_sane():
    gone = []

    def play(peer: Peer) -> None:
        peer.request()
        if peer.number == 0:
            peer.send(CHUNKED_HEAD + chunked(b"x"))
            peer.wait_for_end()
            gone.append(peer.number)
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            peer.wait_for_end()

    async def main(port: int) -> None:
        wire = Wire(environ={}, max_connections=1)
        task = asyncio.create_task(wire.exchange(get(port), in_ns(30)))
        await until(lambda: wire.live.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (wire.live.open, wire.live.in_flight) == (0, 0)
        exchange = await wire.exchange(get(port), in_ns(5))  # the one place is free again
        assert exchange.body == b"hi"
        await until(lambda: gone == [0])
        await wire.aclose()

    with serving(play) as (_, port):
        uvloop.run(main(port))


@pytest.mark.parametrize("how", ["abort", "aclose"])
def test_ending_the_wire_ends_exchanges_as_cancelled_with_what_arrived(how):
    sent = threading.Event()

    def play(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED_HEAD + chunked(b"half"))
        sent.set()
        peer.wait_for_end()

    async def main(port: int) -> None:
        wire = Wire(environ={})
        task = asyncio.create_task(wire.exchange(get(port), in_ns(30)))
        await until(sent.is_set)
        await asyncio.sleep(0.05)
        await (wire.aclose() if how == "aclose" else asyncio.sleep(0, wire.abort("budget reached")))
        exchange = await task
        assert exchange.failure == "cancelled"
        assert exchange.failure_detail == ("the wire was closed" if how == "aclose" else "budget reached")
        assert exchange.body == b"half"
        assert wire.live.open == 0
        await wire.aclose()
        assert (await wire.exchange(get(port), in_ns(5))).failure == "cancelled"

    with serving(play) as (_, port):
        uvloop.run(main(port))


def test_five_mebibytes_go_out_whole_through_short_writes_and_sent_is_their_end():
    body = bytes(range(256)) * (5 * 1024 * 4)  # 256 B × 20,480 = 5 MiB
    got = []

    def play(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        time.sleep(0.05)  # the client's socket buffer is full by now
        began = time.monotonic_ns()
        got.append((peer.request(), began))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(play) as (_, port):
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        exchange = exchange_once(Outgoing(("http", "127.0.0.1", port), head + body))
    request, began = got[0]
    assert exchange.failure is None
    assert request == head + body
    assert began < exchange.sent_ns < exchange.end_ns  # the last byte left after the server began to read


def test_a_server_that_answers_and_closes_before_the_request_is_sent_is_heard():
    def play(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        peer.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.1)  # closing at once would throw the answer away with a reset

    with serving(play) as (_, port):
        exchange = exchange_once(Outgoing(("http", "127.0.0.1", port), b"POST / HTTP/1.1\r\n\r\n" + b"x" * 20_000_000))
    assert (exchange.failure, exchange.status, exchange.body) == (None, 413, b"big")


def test_chunked_replies_end_at_their_last_chunk_and_not_with_the_connection():
    with serving(replying(CHUNKED_HEAD + chunked(b"hi") + LAST_CHUNK)) as (_, port):
        exchange = exchange_once(get(port))
    assert exchange.failure is None
    assert exchange.end_ns == exchange.pieces[-1][0]
