"""Rows in groups: numbering them without gaps, and sums over them, quick where the rows of a group stand together."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64] | npt.NDArray[np.int32]

MANY = 50_000
"""Rows from which on it pays to look whether they stand in the order of their groups."""


def in_order(groups: npt.NDArray[Any]) -> bool:
    return bool((groups[1:] >= groups[:-1]).all())


_latest: deque[tuple[npt.NDArray[Any], bool]] = deque(maxlen=8)
"""Groups that were looked at last, and whether they stand in order. Many figures ask about the same ones; nobody changes them."""


def _many_in_order(groups: npt.NDArray[Any]) -> bool:
    if len(groups) < MANY:
        return False
    of = groups.__array_interface__
    for seen, answer in tuple(_latest):
        if seen.__array_interface__ == of:
            return answer
    answer = in_order(groups)
    _latest.append((groups, answer))
    return answer


def _begins(groups: npt.NDArray[Any], count: int) -> Ints:
    """Where each of `count` groups begins, of rows that stand in their order."""
    return np.searchsorted(groups, np.arange(count, dtype=groups.dtype))


def count_of(groups: npt.NDArray[Any]) -> int:
    """How many groups there are."""
    return int((sizes_of(groups) > 0).sum()) if len(groups) else 0


def compact(groups: npt.NDArray[Any]) -> Ints:
    """The same groups in the same order, numbered without gaps: 7 2 7 5 become 2 0 2 1. For small numbers: they are counted."""
    if _many_in_order(groups) and groups[0] == 0 and bool((sizes_of(groups) > 0).all()):
        return groups  # as they are: 0 0 1 1 1 2 ...
    present = np.bincount(groups) > 0
    if present.all():
        return np.asarray(groups, dtype=np.int64)
    return np.asarray((np.cumsum(present) - 1)[groups], dtype=np.int64)


def sizes_of(groups: npt.NDArray[Any], count: int | None = None) -> Floats:
    """Rows of each group; `count` is how many groups there are, at the least."""
    if _many_in_order(groups):
        count = max(count or 0, int(groups[-1]) + 1)
        return np.diff(_begins(groups, count), append=len(groups)).astype(np.float64)
    return np.bincount(groups, minlength=count or 0).astype(np.float64)


def sums_of(values: npt.NDArray[Any], groups: npt.NDArray[Any], count: int) -> Floats:
    """The sum of the values of each of `count` groups; numbers, or what is true."""
    if _many_in_order(groups):
        edges = _begins(groups, count)
        sizes = np.diff(edges, append=len(groups))
        out = np.zeros(count)
        # An empty group would be given the value that stands at its place.
        there = sizes > 0
        source = values.view(np.uint8) if values.dtype == bool else values
        out[there] = np.add.reduceat(source, edges[there], dtype=np.float64)
        return out
    return np.bincount(groups, weights=values, minlength=count).astype(np.float64)


def firsts_of(values: Floats, groups: npt.NDArray[Any], count: int) -> Floats:
    """The smallest value of each group; infinite where there is none, or none that is known."""
    out = np.full(count, np.inf)
    if _many_in_order(groups):
        edges = _begins(groups, count)
        there = np.diff(edges, append=len(groups)) > 0
        with np.errstate(invalid="ignore"):
            least = np.fmin.reduceat(values, edges[there])
        out[there] = np.where(np.isnan(least), np.inf, least)
        return out
    known = ~np.isnan(values)
    np.minimum.at(out, groups[known], values[known])
    return out
