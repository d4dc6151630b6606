"""Firing on time: one timer descriptor of the kernel over a heap of due times.

The timers of asyncio and libuv count in whole milliseconds; a timerfd fires within some tens of microseconds. Where
there is none (not Linux), the loop's own timer is used, and lateness is what it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from heapq import heappop, heappush
from time import monotonic_ns
from typing import Protocol

CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
STEPS_PER_TURN = 128
"""After this many steps the loop gets its turn, so that arriving requests are read even when steps are always due."""


class Due(Protocol):
    def step(self, due_ns: int) -> int | None:
        """Does what is due; returns when the next thing is due, or None."""


class _Spec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


def _open_timerfd() -> tuple[int, ctypes.CDLL] | None:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None
    return (fd, libc) if fd >= 0 else None


class Timer:
    """Runs `step` of each item when it is due (CLOCK_MONOTONIC, ns); never early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, use_timerfd: bool = True) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Due]] = []
        self._count = 0
        self._armed_ns: int | None = None
        self._handle: asyncio.TimerHandle | None = None
        opened = _open_timerfd() if use_timerfd else None
        self._fd = -1
        if opened:
            self._fd, self._libc = opened
            self._spec = _Spec(0, 0, 0, 0)
            self._spec_ref = ctypes.byref(self._spec)
            loop.add_reader(self._fd, self._fire)

    def add(self, due_ns: int, item: Due) -> None:
        self._count += 1
        heappush(self._heap, (due_ns, self._count, item))
        if self._armed_ns is None or due_ns < self._armed_ns:
            self._arm(due_ns)

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        if self._fd >= 0:
            self._spec.value_s, self._spec.value_ns = divmod(max(due_ns, 1), 1_000_000_000)
            self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, self._spec_ref, None)
            return
        if self._handle:
            self._handle.cancel()
        self._handle = self._loop.call_later(max(0, due_ns - monotonic_ns()) / 1e9, self._fire)

    def _fire(self) -> None:
        if self._fd >= 0:
            try:
                os.read(self._fd, 8)
            except BlockingIOError:
                pass
        heap = self._heap
        steps = 0
        while heap and steps < STEPS_PER_TURN:
            due_ns = heap[0][0]
            if due_ns > monotonic_ns():
                break
            item = heappop(heap)[2]  # before the step, which may add items of its own
            next_ns = item.step(due_ns)
            if next_ns is not None:
                self._count += 1
                heappush(heap, (next_ns, self._count, item))
            steps += 1
        self._armed_ns = None
        if heap:
            self._arm(heap[0][0])

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._handle:
            self._handle.cancel()
        self._heap.clear()
