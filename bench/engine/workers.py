"""The workers of a run, seen by their conductor: how they start, what is said, and how the death of one is noticed.

A worker is a fresh interpreter, so it shares no loop, no pool and no lock with anybody. What it says:

    waiting loaded             SDKs are imported, bodies built, credentials found; on `go` it connects and warms up
    waiting ready              for a stretch of load (the only one; in a sweep, a level); `go AT` gives the common start,
                               a moment of the host's monotonic clock
    waiting level OVERFLOWED   for the next level of a search: `go (PLAN, LOAD)`, or `go None` when there is none
    lamps FIGURES              now and then
    stopping REASON            it ended the load early; the conductor tells the others: stop REASON
    finished PART              or: failed ERROR TRACEBACK

The conductor answers `go` when all who live are waiting. At any time it may say `stop` (send nothing more, let replies finish)
or `abort` (end them). A worker whose socket closes without `finished` or `failed` is lost. A worker whose conductor is gone
stops as if told to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.engine.live import Lamp
from bench.engine.seat import Board
from bench.engine.worker import HEARD_BY_CONDUCTOR, Channel, Job
from bench.errors import CannotRun
from bench.wire.clock import now_ns

END_TIMEOUT_S = 10.0
OWN_ERROR = "an error of our own"


class Worker:
    """The conductor's end of one worker."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], said: Any, channel: Channel) -> None:
        self.number = number
        self.waiting: tuple[Any, ...] | None = None
        """What it waits for, until it is answered."""
        self.finished = False
        self.lamps: Mapping[str, Lamp] = {}
        self.part: Any = None
        self.error: Exception | None = None
        self.lost: str | None = None
        """How it died, when it died before it had finished."""
        self.ended_ns = 0
        """When its end was noticed."""
        self._process, self._said, self._channel = process, said, channel

    @property
    def ended(self) -> bool:
        return self.lost is not None or self.error is not None or self.finished

    def tell(self, *message: Any) -> None:
        if not self.ended:
            self._channel.send(*message)

    async def follow(self, heard: Callable[[Worker, str | None], None]) -> None:
        """Follows the worker to its end, and calls `heard` after every message, with the reason when it is stopping."""
        try:
            await self._listen(heard)
        except Exception as error:
            self.error = error
        self.ended_ns = now_ns()
        if not self.ended:
            code = await self._exit_status()
            self.lost = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        heard(self, None)

    async def _listen(self, heard: Callable[[Worker, str | None], None]) -> None:
        while (message := await self._channel.receive()) is not None:
            reason: str | None = None
            match message:
                case ("lamps", lamps):
                    self.lamps = lamps
                case ("stopping", str(why)):
                    reason = why
                case ("finished", part):
                    self.part, self.finished = part, True
                case ("failed", error, trace):
                    self.error = error or RuntimeError(f"in worker {self.number}:\n{trace}")
                case ("waiting", what):
                    self.waiting = what
            heard(self, reason)

    async def _exit_status(self) -> int:
        """Of a process that has ended, or has closed its socket and is about to."""
        try:
            return await asyncio.to_thread(self._process.wait, END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return await asyncio.to_thread(self._process.wait)

    def said(self) -> str:
        """The end of what it wrote on standard error."""
        self._said.seek(0)
        return str(self._said.read()[-4000:].decode("utf-8", "replace").strip())

    async def close(self) -> None:
        """Ends the process, if it has not ended by itself, and waits for it."""
        await self._channel.close()
        if not self.ended:
            self._process.kill()
        await self._exit_status()
        self._said.close()


class Crew:
    """The workers of a run, as their conductor sees them."""

    def __init__(self, board: Board, on_stop: Callable[[Worker, str], None]) -> None:
        self.board = board
        self.workers: list[Worker] = []
        self._on_stop = on_stop
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def hire(self, job: Job, work: Any) -> None:
        """Starts every worker. They load at the same time, each on its own."""
        for number in range(self.board.workers):
            process, said, sock = _spawn(number, self.board)
            channel = await Channel.over(sock)
            channel.send(*sys.path)
            channel.send(job, work)
            worker = Worker(number, process, said, channel)
            self.workers.append(worker)
            self._tasks.append(asyncio.ensure_future(worker.follow(self._heard)))

    def _heard(self, worker: Worker, reason: str | None) -> None:
        if worker.lost is not None:
            self.board.in_flight[worker.number] = 0
        if worker.error is not None:
            reason = OWN_ERROR
        if reason is not None:
            self._on_stop(worker, reason)
        self._changed.set()

    def tell(self, *message: Any) -> None:
        for worker in self.workers:
            worker.tell(*message)

    async def gathered(self) -> tuple[Any, ...] | None:
        """Waits until every worker waits or has ended. Gives what they wait for; None when all have ended.

        Workers do the same things in the same order; where one overflowed (`level`), its word stands for all.
        """
        while not all(worker.ended or worker.waiting is not None for worker in self.workers):
            self._changed.clear()
            await self._changed.wait()
        return max((w.waiting for w in self.workers if w.waiting is not None and not w.ended), default=None)

    def go(self, answer: Any = None) -> None:
        """Lets those who wait go on."""
        for worker in self.workers:
            worker.waiting = None
        self.tell("go", answer)

    async def dismiss(self) -> None:
        """Ends what still runs, and waits for all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self.workers))


def _spawn(number: int, board: Board) -> tuple[subprocess.Popen[bytes], Any, socket.socket]:
    """A worker that waits for its work. It stays in our process group, so that a terminal stops and continues us together."""
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)}
    fds = (theirs.fileno(), board.fd)
    facts = (number, board.workers, board.requests, *fds)
    # A Ctrl-C that comes before the worker has its handlers waits, instead of killing it: the mask is inherited.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD_BY_CONDUCTOR)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.engine.worker", *map(str, facts)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environment,
            pass_fds=fds,
        )
    except OSError as error:
        ours.close()
        raise CannotRun(f"worker {number} cannot be started: {error}", "ask for fewer --workers") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return process, said, ours
