"""Memory that is let go stays with the process, for work that makes and drops large arrays one after the other."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# <malloc.h> of the GNU C library; mallopt(3) has what they mean.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST = 2**31 - 1


def keep() -> None:
    """From now on freed memory is used again instead of being given back and zeroed anew by the kernel.

    A fresh page costs several times what a column's arithmetic on it costs, and every array of a large table is fresh where
    each is mapped by itself. All threads share one heap, so that what one let go another may use. Where the C library is
    another, nothing changes.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _MOST)
        mallopt(_TRIM_THRESHOLD, _MOST)
        mallopt(_ARENA_MAX, 1)
