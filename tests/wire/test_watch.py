"""Data and the end of its connection that come together, while we are busy, are both heard of."""

import asyncio
import socket
import struct
import threading
import time

import httpx2
import pytest
import uvloop

from bench.record import Exchange
from bench.wire.clock import now_ns
from bench.wire.http import Wire, outgoing

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def answer_and_vanish(listener: socket.socket, ending: str, gone: threading.Event) -> None:
    sock, _ = listener.accept()
    sock.recv(65536)
    sock.sendall(HEAD + b"5\r\nhello\r\n")
    if ending == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    gone.set()


@pytest.mark.parametrize("ending", ["reset", "closed"])
@pytest.mark.parametrize("loop_of", [uvloop.run, asyncio.run])
def test_the_end_of_a_connection_is_noticed_even_when_it_comes_with_data(ending: str, loop_of) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()
    server = threading.Thread(target=answer_and_vanish, args=(listener, ending, gone))
    server.start()

    async def run() -> Exchange:
        wire = Wire(environ={})
        request = httpx2.Request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", content=b"{}")
        await wire.warm(("http", "127.0.0.1", listener.getsockname()[1]), 1)
        exchange = asyncio.ensure_future(wire.exchange(outgoing(request), now_ns() + 3_000_000_000))
        await asyncio.sleep(0)
        gone.wait(2)  # the loop is busy while data and end arrive
        time.sleep(0.01)
        try:
            return await exchange
        finally:
            await wire.aclose()

    exchange = loop_of(run())
    server.join()
    listener.close()
    assert exchange.failure == ending
    assert exchange.body == b"hello"
