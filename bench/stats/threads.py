"""The same work for each of a few things: in threads where rows are many, since long columns leave the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

THREADS = 2
"""More would only cost memory: each works on columns of its own."""
MANY_ROWS = 250_000

_Job = Callable[[], Any]
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_threads(work: Callable[[_In], _Out], over: Iterable[_In], rows: int = MANY_ROWS) -> list[_Out]:
    """`work` of each, in their order; one after the other where there are few rows."""
    if rows < MANY_ROWS:
        return [work(one) for one in over]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, over))


def together(*jobs: _Job, rows: int = MANY_ROWS) -> list[Any]:
    """What each job gives: jobs that need nothing of each other, the longest first."""
    return in_threads(lambda job: job(), jobs, rows)
