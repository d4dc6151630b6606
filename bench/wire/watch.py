"""Which sockets have something to read: at once while traffic is light, in short turns when it is heavy.

Waking a process for every packet costs more than reading it. Kernel stamps tell when each packet came, however late it is read,
so under load the sockets are looked at once per turn of half a millisecond and everything that has come is read in one go. What
it costs in truth: pieces of one reply that arrive within the same turn come in one read and share the stamp of the last.
Without kernel stamps the turn would be an error of every stamp, so there every packet wakes us.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from bench.wire.clock import _KernelTimer, _LoopTimer, now_ns, precise_timer

TURN_NS = 500_000
HEAVY_READS_PER_S = 4_000
LIGHT_READS_PER_S = 2_000
WINDOW_NS = 50_000_000
_AT_ONCE = 1024


class Watch:
    """The readable sockets of one event loop. `turns` allows looking in turns; it needs epoll, and stamps of the kernel."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, turns: bool) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if turns and hasattr(select, "epoll") else None
        self._timer: _KernelTimer | _LoopTimer | None = None
        self._reads = 0
        self._window_ends_ns = 0
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._look)

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        if self._epoll is None:
            self._loop.add_reader(fd, callback)
            return
        self._callbacks[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        if self._epoll is None:
            self._loop.remove_reader(fd)
        elif self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Stop watching. Sockets that are still watched are left alone."""
        if self._epoll is None or self._epoll.closed:
            return
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        else:
            self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _look(self) -> None:
        assert self._epoll is not None
        ready = self._epoll.poll(0, _AT_ONCE)
        callbacks = self._callbacks
        for fd, _ in ready:
            callback = callbacks.get(fd)
            if callback is not None:  # it may have been closed by one that was served before it in this turn
                callback()
        self._reads += len(ready)
        now = now_ns()
        if now >= self._window_ends_ns:
            self._weigh(now)

    def _weigh(self, now: int) -> None:
        """Changes over when the traffic of the last window was heavy, or light again."""
        assert self._epoll is not None
        length_ns = max(WINDOW_NS, now - self._window_ends_ns + WINDOW_NS) if self._window_ends_ns else WINDOW_NS
        per_s = self._reads * 1_000_000_000 / length_ns
        self._reads = 0
        self._window_ends_ns = now + WINDOW_NS
        if self._timer is None and per_s > HEAVY_READS_PER_S:
            self._loop.remove_reader(self._epoll.fileno())
            self._timer = precise_timer(self._loop, self._look)
            self._timer.set(now + TURN_NS, TURN_NS)
        elif self._timer is not None and per_s < LIGHT_READS_PER_S:
            self._timer.close()
            self._timer = None
            self._loop.add_reader(self._epoll.fileno(), self._look)
