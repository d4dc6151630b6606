"""Where a process sits while a plan is sent: alone, or as one of several workers that each have a share of it.

A share is made of whole prompts, so that all targets of a prompt are asked by one process and stay as close in time as the plan
has them. What the workers of a run must know of each other without asking lies in memory that they share (`Board`).
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.engine.live import Lamp
from bench.engine.loops import Control
from bench.wire.clock import Alarm, now_ns

START_DELAY_NS = 100_000_000
PROGRESS_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """What one of `workers` processes does: every prompt whose number leaves `worker` when divided by `workers`."""

    worker: int = 0
    workers: int = 1

    def of(self, seqs: NDArray[np.int64], prompts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the requests `seqs` that belong to this share; `prompts` numbers the prompt of each of them."""
        return seqs if self.workers == 1 else seqs[prompts % self.workers == self.worker]

    def slots(self, slots: int) -> int:
        """This share of the slots of a closed loop: as even as whole numbers allow, none lost."""
        return slots // self.workers + (self.worker < slots % self.workers)


class Purse:
    """Keeps a limit in USD. What a request may cost at worst is held back while it is in flight, so it is never passed."""

    def __init__(self, limit_usd: Decimal | None) -> None:
        self._limit_usd = limit_usd
        self._committed_usd = Decimal(0)

    def hold(self, most_usd: Decimal) -> bool:
        """Sets money aside for a request that is about to go; False when the limit could be passed, and then nothing is."""
        if self._limit_usd is not None and self._committed_usd + most_usd > self._limit_usd:
            return False
        self._committed_usd += most_usd
        return True

    def settle(self, most_usd: Decimal, cost_usd: Decimal | None) -> None:
        """Replaces what was set aside by what the request cost; nothing where that is not known."""
        self._committed_usd += (cost_usd or 0) - most_usd


class Board:
    """Memory that every process of a run sees, and that outlives each of them. All cells are 64-bit integers.

    Each worker writes only its own cells: how many of its requests are `in_flight`, what it has `committed` of the budget (in
    10⁻¹² USD), and `sent_ns` of every request of its share, 0 until it goes: what a killed worker had sent is known by it.
    """

    def __init__(self, workers: int, requests: int, fd: int | None = None) -> None:
        self.workers, self.requests = workers, requests
        self.fd = _anonymous_file() if fd is None else fd
        size = 8 * (2 * workers + requests)
        if fd is None:
            os.ftruncate(self.fd, size)
        cells = memoryview(mmap.mmap(self.fd, size)).cast("q")
        self.in_flight = cells[:workers]
        self.committed = cells[workers : 2 * workers]
        self.sent_ns = cells[2 * workers :]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time. The kernel takes the lock back from a process that dies."""
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the file back; the memory goes with the last view of it."""
        os.close(self.fd)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bench")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedPurse:
    """One limit for all workers, kept by a count in shared memory: no round trip, and one lock per request.

    What a killed worker had set aside stays set aside: nobody knows what its last requests cost.
    """

    def __init__(self, limit_usd: Decimal | None, board: Board, worker: int) -> None:
        self._limit = None if limit_usd is None else int(limit_usd * 10**12)
        self._board, self._worker = board, worker

    def hold(self, most_usd: Decimal) -> bool:
        if self._limit is None:
            return True
        most, committed = _units(most_usd), self._board.committed
        with self._board.locked():
            if sum(committed) + most > self._limit:
                return False
            committed[self._worker] += most
        return True

    def settle(self, most_usd: Decimal, cost_usd: Decimal | None) -> None:
        if (
            self._limit is not None
        ):  # without the lock: nobody else writes this cell, and its old value is the larger one
            self._board.committed[self._worker] += _units(cost_usd or Decimal(0)) - _units(most_usd)


def _units(usd: Decimal) -> int:
    """USD as 10⁻¹² USD, rounded up: the limit errs on the safe side."""
    return int((usd * 10**12).to_integral_value(ROUND_CEILING))


class Seat(Protocol):
    """What the measured part needs of the process it runs in."""

    share: Share
    control: Control

    @property
    def interrupted(self) -> bool:
        """Whether a person ended the load."""
        ...

    def purse(self, limit_usd: Decimal | None) -> Purse | SharedPurse: ...

    def listening(self, abort: Callable[[str], None]) -> AbstractContextManager[None]:
        """While it lasts, whoever may end the load early is heard; `abort` ends what is in flight."""
        ...

    async def loaded(self) -> None:
        """Everything slow is imported and built. Returns when connections may be opened and warm-ups sent."""
        ...

    async def start(self) -> int:
        """Warm-up is over, or a stretch of load. Returns when the next may begin, with the moment that it begins at."""
        ...

    def sending(self, seq: int) -> None:
        """This request goes now."""
        ...

    async def report(self, lamps: Mapping[str, Lamp], alarm: Alarm) -> None:
        """Tells the figures so far, again and again, until cancelled."""
        ...


class Alone:
    """The one process of a run without workers: it listens to the keyboard and shows its own figures."""

    def __init__(self, show: Callable[[dict[str, Any]], None], length_ns: int | None) -> None:
        self.share, self.control = Share(), Control()
        self._show, self._length_ns = show, length_ns
        self._interrupts = 0

    @property
    def interrupted(self) -> bool:
        return self._interrupts > 0

    def purse(self, limit_usd: Decimal | None) -> Purse:
        return Purse(limit_usd)

    @contextmanager
    def listening(self, abort: Callable[[str], None]) -> Iterator[None]:
        def interrupt() -> None:
            self._interrupts += 1
            if self._interrupts == 1:
                self._show(stopping(self.control.in_flight()))
            else:
                abort("interrupted by the user")
            self.control.stop("interrupted")

        with signals(interrupt):
            yield

    async def loaded(self) -> None:
        """Nobody else is waited for."""

    async def start(self) -> int:
        return now_ns() + START_DELAY_NS

    def sending(self, seq: int) -> None:
        """Nobody else needs to know."""

    async def report(self, lamps: Mapping[str, Lamp], alarm: Alarm) -> None:
        await tick(self._show, lambda: lamps, alarm, self._length_ns)


def stopping(in_flight: int) -> dict[str, Any]:
    return {"say": f"Stopping: {in_flight} in flight will finish. Ctrl-C again to leave them."}


async def tick(
    show: Callable[[dict[str, Any]], None],
    lamps: Callable[[], Mapping[str, Lamp]],
    alarm: Alarm,
    length_ns: int | None,
) -> None:
    """A snapshot now and then. What is left is the schedule's length where there is one, else guessed from the pace."""
    begin_ns = now_ns()
    while True:
        await alarm.until(now_ns() + PROGRESS_NS)
        now = lamps()
        elapsed_s = (now_ns() - begin_ns) / 1e9
        done = sum(lamp.done for lamp in now.values())
        planned = sum(lamp.planned for lamp in now.values())
        left_s = elapsed_s * (planned - done) / done if done else None
        if length_ns is not None:
            left_s = length_ns / 1e9 - elapsed_s
        show({"targets": snapshots(now), "elapsed_s": elapsed_s, "left_s": left_s})


def snapshots(lamps: Mapping[str, Lamp]) -> dict[str, Any]:
    return {target_id: lamp.snapshot() for target_id, lamp in lamps.items()}


asked_from_elsewhere: list[Callable[[], object]] = []
"""How another thread asks the runs that do not hear signals themselves to stop: each entry is one Ctrl-C."""


@contextmanager
def signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM call `interrupt` in the running loop."""
    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
    except (RuntimeError, ValueError):  # not the main thread, as when called from a notebook
        asked = partial(loop.call_soon_threadsafe, interrupt)
        asked_from_elsewhere.append(asked)
        try:
            yield
        finally:
            asked_from_elsewhere.remove(asked)
        return
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
