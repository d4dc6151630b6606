"""Lengths that others measured of real prompts, and how far ours are from them. The files lie beside the repository or nowhere."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

FOREIGN = Path(__file__).parent.parent.parent.parent / "shared" / "data"
SHAPES = FOREIGN / "shapes.json"
MOST = 0.25
"""The distance up to which a suite may call a trace its evidence."""

measured = pytest.mark.skipif(not SHAPES.is_file(), reason="the measured shapes are not here")


def distance(lengths: Sequence[float], traces: Sequence[str]) -> float:
    """Kolmogorov-Smirnov distance of our prompts, in tokens, to those of the traces in equal parts."""
    shapes = json.loads(SHAPES.read_text(encoding="utf-8"))
    theirs = [
        [(value, int(name[1:]) / 100) for name, value in shapes[trace]["input_tokens"]["q"].items()] for trace in traces
    ]
    return max(
        abs(sum(share_below(x, points) for points in theirs) / len(theirs) - place / len(lengths))
        for n, x in enumerate(sorted(lengths))
        for place in (n, n + 1)
    )


def share_below(x: float, points: Sequence[tuple[float, float]]) -> float:
    """A distribution function by its quantiles, linear in the logarithm between them."""
    if x <= points[0][0]:
        return 0.0
    for (low, below), (high, above) in pairwise(points):
        if x <= high:
            return above if low == high else below + (above - below) * math.log(x / low) / math.log(high / low)
    return 1.0
