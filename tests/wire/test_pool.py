"""Connections that are kept, warmed, limited, and dropped when the server lets go of them."""

import asyncio
import socket
import time

import pytest
import uvloop

from bench.wire.http import Live, Wire
from tests.wire.servers import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    Peer,
    chunked,
    exchange_once,
    get,
    in_ns,
    origin_of,
    replying,
    serving,
    until,
)

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def test_a_second_exchange_uses_the_connection_of_the_first():
    async def main(port: int) -> None:
        wire = Wire(environ={})
        first = await wire.exchange(get(port), in_ns(5))
        second = await wire.exchange(get(port), in_ns(5))
        assert wire.live == Live(open=1, idle=1, in_flight=0, waiting=0)
        await wire.aclose()
        assert wire.live == Live(open=0, idle=0, in_flight=0, waiting=0)
        assert not first.connection.reused
        assert first.connection.address == f"127.0.0.1:{port}"
        assert first.connection.connect_ns > 0
        assert first.connection.dns_ns >= 0
        assert second.connection.reused
        assert (second.connection.connect_ns, second.connection.dns_ns) == (None, None)
        assert second.connection.address == first.connection.address

    with serving(replying(HI)) as (_, port):
        uvloop.run(main(port))


def test_the_connection_used_last_is_used_first():
    def play(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % peer.number)

    async def main(port: int) -> None:
        wire = Wire(environ={})
        assert len(await wire.warm(("http", "127.0.0.1", port), 3)) == 3
        bodies = [(await wire.exchange(get(port), in_ns(5))).body for _ in range(4)]
        assert len(set(bodies)) == 1
        assert wire.live.open == 3
        await wire.aclose()

    with serving(play) as (_, port):
        uvloop.run(main(port))


def test_warming_opens_what_is_missing_and_gives_the_facts_of_each():
    async def main(address: tuple[str, int]) -> None:
        wire = Wire(environ={})
        facts = await wire.warm(origin_of(address), 5)
        assert len(facts) == 5
        assert all(fact.connect_ns is not None and not fact.reused for fact in facts)
        assert await wire.warm(origin_of(address), 5) == ()
        assert wire.live == Live(open=5, idle=5, in_flight=0, waiting=0)
        exchange = await wire.exchange(get(address[1]), in_ns(5))
        assert exchange.connection.reused  # it was open already when the request came
        await wire.aclose()

    with serving(replying(HI)) as address:
        uvloop.run(main(address))


def test_warming_where_nobody_listens_opens_nothing_and_does_not_raise():
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            wire = Wire(environ={})
            assert await wire.warm(("http", *sock.getsockname()), 2) == ()
            assert wire.live.open == 0
            await wire.aclose()

    uvloop.run(main())


def test_an_idle_connection_that_the_server_closes_is_dropped_at_once():
    async def main(port: int) -> None:
        wire = Wire(environ={})
        await wire.exchange(get(port), in_ns(5))
        await until(lambda: wire.live.open == 0)
        exchange = await wire.exchange(get(port), in_ns(5))
        assert (exchange.body, exchange.connection.reused) == (b"hi", False)
        await wire.aclose()

    with serving(replying(HI, close=True)) as (_, port):
        uvloop.run(main(port))


def test_a_close_that_the_loop_has_not_seen_yet_is_noticed_before_sending():
    async def main(port: int) -> None:
        wire = Wire(environ={})
        await wire.exchange(get(port), in_ns(5))
        time.sleep(0.05)  # the loop is blocked while the server closes
        assert wire.live.idle == 1
        exchange = await wire.exchange(get(port), in_ns(5))
        assert (exchange.failure, exchange.body, exchange.connection.reused) == (None, b"hi", False)
        await wire.aclose()

    with serving(replying(HI, close=True)) as (_, port):
        uvloop.run(main(port))


def test_a_408_on_an_idle_connection_is_not_taken_for_a_reply():
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(HI)
        if peer.number == 0:
            time.sleep(0.02)
            peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        peer.wait_for_end()

    async def main(port: int) -> None:
        wire = Wire(environ={})
        await wire.exchange(get(port), in_ns(5))
        time.sleep(0.06)
        exchange = await wire.exchange(get(port), in_ns(5))
        assert (exchange.status, exchange.connection.reused) == (200, False)
        await wire.aclose()

    with serving(play) as (_, port):
        uvloop.run(main(port))


def test_a_kept_connection_closed_after_the_request_is_an_attempt_that_was_reset():
    asked = []

    def play(peer: Peer) -> None:
        asked.append(peer.request())
        peer.send(HI)
        asked.append(peer.request())  # taken, and never answered

    async def main(port: int) -> None:
        wire = Wire(environ={})
        await wire.exchange(get(port), in_ns(5))
        exchange = await wire.exchange(get(port), in_ns(5))
        assert exchange.failure == "reset"
        assert exchange.connection.reused
        assert "before the first byte" in exchange.failure_detail
        await wire.aclose()
        assert len(asked) == 2  # no second try behind the caller's back

    with serving(play) as (_, port):
        uvloop.run(main(port))


def test_a_connection_that_idled_for_too_long_is_not_used_again():
    async def main(port: int) -> None:
        wire = Wire(environ={}, keepalive_s=0.03)
        await wire.warm(("http", "127.0.0.1", port), 2)
        await asyncio.sleep(0.05)
        exchange = await wire.exchange(get(port), in_ns(5))
        assert not exchange.connection.reused
        assert wire.live.open == 1
        await wire.aclose()

    with serving(replying(HI)) as (_, port):
        uvloop.run(main(port))


def test_no_more_connections_than_allowed_and_those_who_wait_get_their_turn():
    most = []

    async def main(port: int) -> None:
        wire = Wire(environ={}, max_connections=3)
        tasks = [asyncio.create_task(wire.exchange(get(port), in_ns(10))) for _ in range(12)]
        while not all(task.done() for task in tasks):
            most.append(wire.live.open)
            await asyncio.sleep(0.002)
        assert [task.result().body for task in tasks] == [b"hi"] * 12
        assert max(most) == 3
        assert wire.live.waiting == 0
        await wire.aclose()

    reply = (CHUNKED_HEAD, chunked(b"h"), chunked(b"i") + LAST_CHUNK)
    with serving(replying(*reply, gap_s=0.005)) as (_, port):
        uvloop.run(main(port))


def test_waiting_for_a_connection_counts_against_the_deadline():
    async def main(port: int) -> None:
        wire = Wire(environ={}, max_connections=1)
        busy = asyncio.create_task(wire.exchange(get(port), in_ns(0.5)))
        await until(lambda: wire.live.in_flight == 1)
        exchange = await wire.exchange(get(port), in_ns(0.03))
        assert exchange.failure == "timeout"
        assert "one of 1 connections" in exchange.failure_detail
        busy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await busy
        await wire.aclose()

    with serving(lambda peer: peer.wait_for_end()) as (_, port):
        uvloop.run(main(port))


def test_a_turn_that_its_owner_cannot_take_goes_to_the_next_who_waits():
    async def main(port: int) -> None:
        wire = Wire(environ={}, max_connections=1)
        first = asyncio.create_task(wire.exchange(get(port), in_ns(5)))
        await until(lambda: wire.live.in_flight == 1)
        second, third = (asyncio.create_task(wire.exchange(get(port), in_ns(5))) for _ in range(2))
        await until(lambda: wire.live.waiting == 2)
        first.add_done_callback(lambda _: second.cancel())  # in the moment in which the turn is given
        assert (await first).body == b"hi"
        assert (await third).body == b"hi"
        assert second.cancelled() or second.cancelling()
        await wire.aclose()

    reply = (CHUNKED_HEAD, chunked(b"hi") + LAST_CHUNK)
    with serving(replying(*reply, gap_s=0.02)) as (_, port):
        uvloop.run(main(port))


def test_an_idle_connection_elsewhere_makes_room_when_the_limit_is_reached():
    async def main(first: int, second: int) -> None:
        wire = Wire(environ={}, max_connections=1)
        assert (await wire.exchange(get(first), in_ns(5))).body == b"hi"
        assert (await wire.exchange(get(second), in_ns(5))).body == b"hi"
        assert wire.live.open == 1
        await wire.aclose()

    with serving(replying(HI)) as (_, first), serving(replying(HI)) as (_, second):
        uvloop.run(main(first, second))


def test_ipv6_loopback_works_and_its_address_is_bracketed():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with serving(replying(HI), host="::1") as (_, port):
        exchange = exchange_once(get(port, host="::1"))
    assert exchange.body == b"hi"
    assert exchange.connection.address == f"[::1]:{port}"
