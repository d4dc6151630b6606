"""The only clock of the house: stamps, the anchor of a run, the shift of kernel stamps, precise waiting.

Every stamp is an int of nanoseconds on CLOCK_MONOTONIC. Wall time appears in two places only: in the anchor, so that a
stamp can be told to people, and in kernel stamps, which are taken on CLOCK_REALTIME and are shifted back here.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

SECOND_NS = 1_000_000_000

now_ns: Callable[[], int] = time.monotonic_ns
"""Now, on CLOCK_MONOTONIC. The builtin itself and not a function around it: it is called for every read."""


def cpu_ns() -> int:
    """CPU time of this process so far, user and system, all threads."""
    return time.process_time_ns()


def wall_shift_ns(tries: int = 3, enough_ns: int = 0) -> tuple[int, int]:
    """CLOCK_REALTIME − CLOCK_MONOTONIC, and the width of the bracket it was read in; half of that bounds the error.

    The narrowest of some `tries` counts; the first that is no wider than `enough_ns` ends them. Both clocks are slewed
    together, so the difference stays the same until the wall clock is stepped.
    """
    best_shift, best_width = 0, sys.maxsize
    for _ in range(tries):
        before = now_ns()
        wall = time.time_ns()
        after = now_ns()
        if after - before < best_width:
            best_shift, best_width = wall - (before + after) // 2, after - before
            if best_width <= enough_ns:
                break
    return best_shift, best_width


def today() -> date:
    """The day it is in UTC."""
    return datetime.now(UTC).date()


def asleep_ns() -> int | None:
    """How long this machine has been suspended since it was started: CLOCK_BOOTTIME − CLOCK_MONOTONIC, which stands still
    meanwhile. Two readings differ when the machine slept in between. None where that cannot be told."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now_ns()


class WallShift:
    """The shift from kernel stamps to ours, read again whenever asked, and steady against the noise of reading it.

    Also keeps count of what went wrong: `steps` of the wall clock, and stamps that were `unusable`.
    """

    __slots__ = ("ns", "steps", "unusable", "width_ns")

    def __init__(self) -> None:
        self.ns, self.width_ns = wall_shift_ns(20)
        self.steps = self.unusable = 0

    def read(self) -> int:
        """The shift that holds now. A move of more than two readings can err is a step of the wall clock."""
        shift, width = wall_shift_ns(enough_ns=2 * self.width_ns)
        if abs(shift - self.ns) > width + self.width_ns:
            self.ns, self.width_ns = shift, width
            self.steps += 1
        elif width < self.width_ns:
            self.ns, self.width_ns = shift, width
        return self.ns


@dataclass(frozen=True, slots=True)
class Anchor:
    """One moment on both clocks. Stored stamps count from `monotonic_ns`; `wall_ns` is that moment since 1970, UTC."""

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def take(cls) -> Anchor:
        shift, _ = wall_shift_ns(20)
        now = now_ns()
        return cls(now, now + shift)

    def offset(self, ns: int) -> int:
        """A stamp as nanoseconds since the anchor."""
        return ns - self.monotonic_ns

    def wall_iso(self, ns: int) -> str:
        """A stamp as UTC wall time, ISO 8601 with microseconds. It is as true as the wall clock was at the anchor."""
        seconds, rest = divmod(self.wall_ns + self.offset(ns), SECOND_NS)
        moment = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest // 1000)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


class _KernelTimer:
    """A timerfd in the event loop: it fires to the microsecond, where the loops' own timers count in milliseconds."""

    __slots__ = ("_callback", "_fd", "_libc", "_loop", "_spec", "_spec_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback, self._libc = loop, callback, _libc()
        self._spec = _Itimerspec()
        self._spec_at = ctypes.byref(self._spec)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")
        loop.add_reader(self._fd, self._fire)

    def set(self, due_ns: int, interval_ns: int = 0) -> None:
        """Fire at `due_ns` (at once when it is past), then every `interval_ns` if that is not 0."""
        spec = self._spec
        # a value of 0 would switch the timer off
        spec.value.sec, spec.value.nsec = divmod(max(due_ns, 1), SECOND_NS)
        spec.interval.sec, spec.interval.nsec = divmod(interval_ns, SECOND_NS)
        self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._spec_at, None)

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again between becoming readable and this call
            return
        self._callback()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class _LoopTimer:
    """The same on the loop's own timers, for systems without timerfd: good to a millisecond or so."""

    __slots__ = ("_callback", "_due_ns", "_handle", "_interval_ns", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._handle: asyncio.TimerHandle | None = None
        self._due_ns = self._interval_ns = 0

    def set(self, due_ns: int, interval_ns: int = 0) -> None:
        self.close()
        self._due_ns, self._interval_ns = due_ns, interval_ns
        self._handle = self._loop.call_later(max(0, due_ns - now_ns()) / SECOND_NS, self._fire)

    def _fire(self) -> None:
        now = now_ns()
        if now < self._due_ns:  # loops round, and may be early
            self.set(self._due_ns, self._interval_ns)
            return
        self._handle = None
        if self._interval_ns:
            missed = (now - self._due_ns) // self._interval_ns
            self.set(self._due_ns + (missed + 1) * self._interval_ns, self._interval_ns)
        self._callback()

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def precise_timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> _KernelTimer | _LoopTimer:
    """The most precise timer this system has."""
    if sys.platform == "linux" and ctypes.sizeof(ctypes.c_long) == 8:
        return _KernelTimer(loop, callback)
    return _LoopTimer(loop, callback)


class AlarmHandle:
    """A callback that waits in an `Alarm`; `cancel()` forgets it."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def _run(self) -> None:
        if self._callback is not None:
            self._callback()


class Alarm:
    """Wakes callbacks and tasks at their due times, with one precise timer and a heap. For one event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, AlarmHandle]] = []
        self._order = itertools.count()
        self._timer: _KernelTimer | _LoopTimer | None = None
        self._set_for_ns: int | None = None

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> AlarmHandle:
        """Call `callback` at `due_ns`, or as soon after as the loop can; equal due times run in the order asked."""
        handle = AlarmHandle(callback)
        heapq.heappush(self._heap, (due_ns, next(self._order), handle))
        self._arm()
        return handle

    async def until(self, due_ns: int) -> int:
        """Wait until `due_ns`; returns at once when it is past. Gives the time of waking."""
        if due_ns > now_ns():
            woken = asyncio.get_running_loop().create_future()
            handle = self.call_at(due_ns, lambda: None if woken.done() else woken.set_result(None))
            try:
                await woken
            finally:
                handle.cancel()
        return now_ns()

    def close(self) -> None:
        """Forget everything that waits."""
        self._heap.clear()
        self._set_for_ns = None
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _arm(self) -> None:
        if not self._heap:
            self._set_for_ns = None
            return
        first_ns = self._heap[0][0]
        if self._set_for_ns is None or first_ns < self._set_for_ns:
            if self._timer is None:
                self._timer = precise_timer(asyncio.get_running_loop(), self._fire)
            self._set_for_ns = first_ns
            self._timer.set(first_ns)

    def _fire(self) -> None:
        self._set_for_ns = None
        heap, now = self._heap, now_ns()
        try:
            while heap and heap[0][0] <= now:
                heapq.heappop(heap)[2]._run()
        finally:
            self._arm()


class _Timex(ctypes.Structure):
    """`struct timex` of Linux on 64 bits, up to the fields that are read here; the rest is space."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("space", ctypes.c_char * 256),
    )


_STA_UNSYNC = 0x0040


def _ntp_facts() -> dict[str, Any]:
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_long) != 8:
        return {"ntp_synchronised": None}
    timex = _Timex()
    if _libc().adjtimex(ctypes.byref(timex)) < 0:
        return {"ntp_synchronised": None}
    return {
        "ntp_synchronised": not timex.status & _STA_UNSYNC,
        "ntp_max_error_us": timex.maxerror,
        "ntp_estimated_error_us": timex.esterror,
    }


def _read_fact(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def allowed_cores() -> int | None:
    """Cores that this process may use; None where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def clock_facts() -> dict[str, Any]:
    """What a reader of stamps should know of this machine; `None` where it cannot be read."""
    started = now_ns()
    for _ in range(1000):
        now_ns()
    cost_ns = (now_ns() - started) / 1000
    _, width = wall_shift_ns(20)
    return {
        "clock": time.get_clock_info("monotonic").implementation,
        "clock_resolution_ns": round(time.get_clock_info("monotonic").resolution * SECOND_NS),
        "clock_read_cost_ns": round(cost_ns),
        "clock_source": _read_fact("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "wall_shift_error_ns": width // 2,
        "cpu_governor": _read_fact("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cores": os.cpu_count(),
        "cores_allowed": allowed_cores(),
        "load_average_1m": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        **_ntp_facts(),
    }
