"""What becomes of memory that is let go, for work that makes and drops large arrays one after the other."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# <malloc.h> of the GNU C library; mallopt(3) has what they mean.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST = 2**31 - 1
_LARGE = 32 << 20
"""Where the library's own rule, which ends when it is told anything, leaves these limits after large arrays."""
_MAPPED = 1 << 20


@contextmanager
def kept() -> Iterator[None]:
    """Inside, freed memory is used again instead of being given back and zeroed anew by the kernel; it is given back at the end.

    A fresh page costs several times what a column's arithmetic on it costs, and every array of a large table is fresh where
    each is mapped by itself. All threads share one heap, so that what one let go another may use. Where the C library is
    another, nothing changes.
    """
    with _limits({_MMAP_THRESHOLD: _MOST, _TRIM_THRESHOLD: _MOST, _ARENA_MAX: 1}):
        yield


@contextmanager
def given_back() -> Iterator[None]:
    """Inside, an array of a megabyte or more is mapped by itself and given back when it is let go, so that the process holds
    what is used and no more. By the library's own rule such arrays soon come from a heap, of which the holes stay."""
    with _limits({_MMAP_THRESHOLD: _MAPPED}):
        yield


@contextmanager
def _limits(inside: Mapping[int, int]) -> Iterator[None]:
    library: Any = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    for what, value in inside.items():
        library.mallopt(what, value)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _LARGE)
        library.malloc_trim(0)
