"""Arrival times are the kernel's: neither a late event loop nor a wall clock that is set moves them."""

import asyncio
import struct
import time

import pytest
import uvloop

from bench.wire.clock import now_ns
from bench.wire.http import Wire
from bench.wire.incoming import NO_STAMP, Incoming
from bench.wire.link import kernel_stamps_available
from tests.wire.servers import CHUNKED_HEAD, LAST_CHUNK, Peer, authority, chunked, get, in_ns, serving, until

BLOCK_NS = 50_000_000
needs_kernel_stamps = pytest.mark.skipif(not kernel_stamps_available(), reason="no kernel stamps on this system")


@needs_kernel_stamps
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_token_that_lands_while_the_loop_is_blocked_keeps_the_time_it_landed(scheme, tmp_path):
    written: list[int] = []

    def play(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED_HEAD)
        time.sleep(0.03)
        written.extend(peer.send(chunked(b"token")))  # the client's loop sleeps while this lands
        time.sleep(0.1)
        peer.send(LAST_CHUNK)
        peer.wait_for_end()

    async def main(port: int, environ: dict[str, str]) -> None:
        wire = Wire(environ=environ)
        task = asyncio.create_task(wire.exchange(get(port, scheme=scheme), in_ns(5)))
        await until(lambda: wire.live.in_flight == 1)
        await asyncio.sleep(0.01)
        end = now_ns() + 20_000_000
        while not written or now_ns() < end:
            if written and end < written[0] + BLOCK_NS:
                end = written[0] + BLOCK_NS
            time.sleep(0.001)  # blocks the loop until 50 ms after the token was written
        resumed_ns = now_ns()
        exchange = await task
        await wire.aclose()
        assert exchange.failure is None
        arrived_ns = exchange.pieces[0][0]
        assert exchange.sent_ns < exchange.headers_ns <= arrived_ns < exchange.end_ns
        assert written[0] <= arrived_ns
        assert arrived_ns < resumed_ns
        assert arrived_ns - written[0] < BLOCK_NS // 2  # a stamp of our own would lie beyond the block
        facts = wire.stamp_facts
        assert (facts["source"], facts["wall_clock_steps"]) == ("kernel", 0)
        assert facts["unusable"] <= 1  # on a crowded machine the two clocks cannot always be read side by side

    if scheme == "https":
        ca = authority(tmp_path)
        with serving(play, context=ca.server("127.0.0.1")) as (_, port):
            uvloop.run(main(port, {"SSL_CERT_FILE": ca.ca_file}))
    else:
        with serving(play) as (_, port):
            uvloop.run(main(port, {}))


def test_every_piece_is_stamped_between_its_write_and_the_next():
    written: list[int] = []

    def play(peer: Peer) -> None:
        peer.request()
        parts = [chunked(b"t%d" % i) for i in range(10)]
        written.extend(peer.send(CHUNKED_HEAD + parts[0], *parts[1:], gap_s=0.005))
        peer.send(LAST_CHUNK)
        peer.wait_for_end()

    async def main(port: int) -> None:
        wire = Wire(environ={})
        exchange = await wire.exchange(get(port), in_ns(5))
        await wire.aclose()
        assert [data for _, data in exchange.pieces] == [b"t%d" % i for i in range(10)]
        arrived = [stamp for stamp, _ in exchange.pieces]
        assert all(wrote <= stamp for wrote, stamp in zip(written, arrived, strict=True))
        assert arrived == sorted(arrived)
        assert len(set(arrived)) == 10

    with serving(play) as (_, port):
        uvloop.run(main(port))


def stamped(seconds: int, nanoseconds: int) -> bytes:
    return struct.pack("@qq", seconds, nanoseconds)


def test_stamps_that_cannot_be_true_give_way_to_our_own_time():
    incoming = Incoming(head_only=False)
    shift = 1_000_000_000_000  # wall = monotonic + 1,000 s
    reads = [
        (
            5_000,
            stamped(1000, 4_000),
        ),  # 4 µs less the shift: between the request (1 µs) and the read (5 µs)
        (7_000, NO_STAMP),  # none came
        (9_000, stamped(1000, 60_000)),  # after it was read
        (11_000, stamped(1000, 8_000)),  # before the one before it
        (13_000, stamped(1000, 12_500)),
    ]
    for now, cmsg in reads:
        incoming.take(now, cmsg, b"HTTP/1.1 200 OK\r\n"[:1] if now == 5_000 else b"")
    incoming.release()
    assert incoming.stamps(1_000, shift) == [4_000, 7_000, 9_000, 11_000, 12_500]
    assert incoming.unusable_stamps == 3


def test_a_step_of_the_wall_clock_during_a_reply_puts_our_own_times_in_place(monkeypatch):
    """The clock is set while a reply is under way: its kernel stamps are then of two kinds."""

    def play(peer: Peer) -> None:
        while peer.request():
            peer.send(CHUNKED_HEAD + chunked(b"a"), chunked(b"b") + LAST_CHUNK, gap_s=0.03)

    real = time.time_ns

    async def main(port: int) -> None:
        wire = Wire(environ={})
        task = asyncio.create_task(wire.exchange(get(port), in_ns(5)))
        await until(lambda: wire.live.in_flight == 1)
        monkeypatch.setattr("bench.wire.clock.time.time_ns", lambda: real() - 3_600_000_000_000)
        began = now_ns()
        exchange = await task
        assert exchange.failure is None
        assert exchange.sent_ns <= exchange.pieces[0][0] <= exchange.pieces[-1][0] <= now_ns()
        assert began <= exchange.end_ns
        facts = wire.stamp_facts
        assert facts["wall_clock_steps"] == 1
        assert facts["unusable"] >= 2
        await wire.aclose()

    if not kernel_stamps_available():
        pytest.skip("no kernel stamps on this system")
    with serving(play) as (_, port):
        uvloop.run(main(port))
