"""Which sockets have something to read, by an epoll of our own inside the event loop's.

The loop's own watching (libuv) gives up on a descriptor at its first error and calls back once. When the last data of a reply and
the reset of its connection come together, that one call reads the data, and nobody ever hears of the reset. Our own epoll
tells for as long as it holds; and one turn of the loop serves every socket that is ready.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

_AT_ONCE = 1024


class Watch:
    """The readable sockets of one event loop. Where there is no epoll, the loop watches them itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
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
        if self._epoll is not None and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _look(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            callback = self._callbacks.get(fd)
            if callback is not None:  # it may have been closed by one that was served before it
                callback()
