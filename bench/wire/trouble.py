"""Connections that broke: told at once, also where the event loop's own watch has gone deaf.

libuv reports a broken socket once and then stops watching it. When a reset arrives right behind data, that one report is
spent on the data, and the end of the exchange would never be heard. So every socket also stands in an epoll set of ours that
asks for nothing: errors are reported there all the same, again and again until the socket is closed. Data costs nothing here.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class TroubleWatch:
    """Calls back for sockets in error, on systems with epoll; elsewhere it does nothing. For one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._fire)

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """`callback` is called for as long as the socket is in error, until it is closed and forgotten."""
        if self._epoll is not None:
            self._epoll.register(fd, 0)
            self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """For a socket that was closed: closing has taken it out of the set."""
        self._callbacks.pop(fd, None)

    def close(self) -> None:
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        self._callbacks.clear()

    def _fire(self) -> None:
        if self._epoll is None:
            return
        for fd, _ in self._epoll.poll(0):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()
