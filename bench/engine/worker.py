"""One worker process, from its start to its end: `python -m bench.engine.worker`, started by `bench.engine.workers`.

It gets its work over a socket, as a pickle, and credentials only by the environment that it inherits.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import uvloop

from bench.engine.live import Lamp
from bench.engine.loops import Control
from bench.engine.seat import PROGRESS_NS, Board, Share, SharedPurse
from bench.errors import BenchError
from bench.wire.clock import Alarm, now_ns

Job = Callable[[Any, "WorkerSeat"], Coroutine[Any, Any, Any]]
"""What a worker runs: a function at the top of a module, given its work and its seat. What it returns goes to the conductor."""

CONDUCTOR_GONE = "the conductor is gone"
HEARD_BY_CONDUCTOR = (signal.SIGINT, signal.SIGTERM)
_LENGTH = struct.Struct("<Q")


class Channel:
    """Messages over a socket: pickled tuples, each behind its length. Both ends are ours.

    Reading and writing do not know each other: what a peer said last is read also when it was gone before it heard us.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock, self._heard = sock, bytearray()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._sending = asyncio.ensure_future(self._send_queued())

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        return cls(sock)

    def send(self, *message: Any) -> None:
        """Queues a message. To a peer that is gone it is nothing: its end is noticed by `receive`."""
        if not self._sending.done():
            self._queue.put_nowait(_framed(message))

    async def _send_queued(self) -> None:
        with suppress(OSError):
            while (message := await self._queue.get()) is not None:
                await asyncio.get_running_loop().sock_sendall(self._sock, message)

    async def receive(self) -> tuple[Any, ...] | None:
        """The next message; None when the peer has closed its end, also in the middle of a message."""
        while (body := self._whole()) is None:
            try:
                part = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 20)
            except OSError:
                return None
            if not part:
                return None
            self._heard += part
        message: tuple[Any, ...] = pickle.loads(body)  # noqa: S301  (from our own process)
        return message

    def _whole(self) -> bytes | None:
        """Takes the first message, if all of it was heard."""
        if len(self._heard) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._heard)[0]
        if len(self._heard) < end:
            return None
        body = bytes(self._heard[_LENGTH.size : end])
        del self._heard[:end]
        return body

    async def close(self) -> None:
        """Sends what is queued, and closes."""
        self._queue.put_nowait(None)
        await self._sending
        self._sock.close()


def _framed(message: Any) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class SharedControl(Control):
    """A worker's control, whose cap on requests in flight is the cap of all workers together."""

    def __init__(self, board: Board, worker: int) -> None:
        super().__init__()
        self._cells, self._worker = board.in_flight, worker

    def launch(self, flight: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = super().launch(flight)
        task.add_done_callback(self._count)
        self._cells[self._worker] = len(self.flights)
        return task

    def _count(self, _: asyncio.Task[object]) -> None:
        self._cells[self._worker] = len(self.flights)

    def in_flight(self) -> int:
        return sum(self._cells)


class WorkerSeat:
    """A seat (see `bench.engine.seat`) in a worker process: the conductor is at the other end of the channel."""

    def __init__(self, share: Share, board: Board, channel: Channel) -> None:
        self.share = share
        self.control: Control = SharedControl(board, share.worker)
        self._board, self._channel = board, channel
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def interrupted(self) -> bool:
        return False  # the conductor hears the signals, and knows

    def purse(self, limit_usd: Decimal | None) -> SharedPurse:
        return SharedPurse(limit_usd, self._board, self.share.worker)

    @contextmanager
    def listening(self, abort: Callable[[str], None]) -> Iterator[None]:
        tasks = [asyncio.ensure_future(self._listen(abort)), asyncio.ensure_future(self._tell_stop())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _listen(self, abort: Callable[[str], None]) -> None:
        while (message := await self._channel.receive()) is not None:
            match message:
                case ("go", answer):
                    self._answers.put_nowait(answer)
                case ("stop", reason):
                    self.control.stop(reason)
                case ("abort", reason, detail):
                    self.control.stop(reason)
                    abort(detail)
        self.control.stop(CONDUCTOR_GONE)

    async def _tell_stop(self) -> None:
        await self.control.stopping.wait()
        self._channel.send("stopping", self.control.reason)

    async def loaded(self) -> None:
        await self.ask("loaded")

    async def start(self) -> int:
        return await self.ask("ready") or now_ns()

    async def ask(self, *message: Any) -> Any:
        """Waits until every worker has asked the same, and gives the conductor's answer; None when the load was stopped."""
        self._channel.send("waiting", message)
        answer, stopped = (
            asyncio.ensure_future(self._answers.get()),
            asyncio.ensure_future(self.control.stopping.wait()),
        )
        await asyncio.wait((answer, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return answer.result() if answer.done() else answer.cancel() and None

    def sending(self, seq: int) -> None:
        self._board.sent_ns[seq] = now_ns()

    async def report(self, lamps: Mapping[str, Lamp], alarm: Alarm) -> None:
        while True:
            await alarm.until(now_ns() + PROGRESS_NS)
            self._channel.send("lamps", lamps)


def main(arguments: list[str]) -> int:
    """A worker's life. Its end is told over the channel; its exit status is for those who look at processes."""
    for number in HEARD_BY_CONDUCTOR:  # it decides what they mean; a handler, since children would inherit SIG_IGN
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD_BY_CONDUCTOR)
    worker, workers, requests, socket_fd, board_fd = map(int, arguments)
    sock = socket.socket(fileno=socket_fd)
    paths = _receive(sock)
    if paths is None:
        return 1
    sys.path[:] = paths
    orders = _receive(sock)
    if orders is None:
        return 1
    job, work = orders
    code: int = uvloop.run(_work(job, work, Share(worker, workers), Board(workers, requests, board_fd), sock))
    return code


async def _work(job: Job, work: Any, share: Share, board: Board, sock: socket.socket) -> int:
    channel = await Channel.over(sock)
    try:
        channel.send("finished", await job(work, WorkerSeat(share, board, channel)))
        return 0
    except Exception as error:
        channel.send("failed", error if isinstance(error, BenchError) else None, traceback.format_exc())
        return 1
    finally:
        await channel.close()


def _receive(sock: socket.socket) -> Any:
    """A message before there is a loop; None when the other end is gone."""
    head = _exactly(sock, _LENGTH.size)
    body = None if head is None else _exactly(sock, _LENGTH.unpack(head)[0])
    return None if body is None else pickle.loads(body)  # noqa: S301  (from our own process)


def _exactly(sock: socket.socket, n: int) -> bytes | None:
    parts = []
    while n:
        part = sock.recv(min(n, 1 << 20))
        if not part:
            return None
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
