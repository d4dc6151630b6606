"""How long each block of a run lasted: what tokens and good requests per second are divided by."""

from __future__ import annotations

import numpy as np

from bench.stats.groups import Floats, Ints, firsts_of

MOST_GROUPS = 1000
"""Blocks beyond this many are put together with their neighbours before they are resampled: no interval would notice, and 1,000
groups cost a hundredth of what 100,000 cost."""


def block_seconds(starts_ns: Floats, ends_ns: Floats, blocks: Ints, count: int) -> Floats:
    """The window of one run, cut at the first start of each block; the last block lasts to the last known end."""
    seconds = np.zeros(count)
    known = ~np.isnan(starts_ns)
    if not known.any() or np.isnan(ends_ns[known]).all():
        return seconds
    first = firsts_of(starts_ns, blocks, count)
    order = np.argsort(first, kind="stable")[: int(np.isfinite(first).sum())]
    last = np.nanmax(ends_ns[known])
    seconds[order] = np.diff(np.minimum(np.append(first[order], last), last)) / 1e9
    return seconds


def folded(groups: Ints) -> tuple[Ints, int]:
    """Groups for resampling, at most MOST_GROUPS of them, neighbours together; and how many there are."""
    count = int(groups.max()) + 1
    if count <= MOST_GROUPS:
        return groups, count
    return (np.arange(count) * MOST_GROUPS // count)[groups], MOST_GROUPS
