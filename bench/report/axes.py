"""Axes with round ends and ticks that a reader can add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.document import Axis

_STEPS = (1, 2, 5)
_ENDS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
FEWEST_TICKS, MOST_TICKS = 3, 9


def log(label: str, values: Sequence[float]) -> Axis:
    """Logarithmic, from one round number to another, with ticks at 1, 2 and 5 times powers of ten; values are above 0."""
    low, high = _round(min(values), down=True), _round(max(values), down=False)
    if low >= high:
        low, high = _round(low / 1.5, down=True), _round(high * 1.5, down=False)
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    every = [step * 10.0**power for power in range(first, last + 1) for step in _STEPS]
    inside = [tick for tick in every if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    if len(inside) < FEWEST_TICKS:
        finer = [step * 10.0**power for power in range(first, last + 1) for step in _ENDS]
        inside = [tick for tick in finer if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    if len(inside) > MOST_TICKS:
        inside = [tick for tick in inside if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return Axis(label, "log", low, high, tuple((tick, _number(tick)) for tick in inside))


def _round(value: float, down: bool) -> float:
    power = math.floor(math.log10(value))
    steps = [step * 10.0 ** (power + extra) for extra in (0, 1) for step in _ENDS]
    if down:
        return max(step for step in steps if step <= value * (1 + 1e-9))
    return min(step for step in steps if step >= value * (1 - 1e-9))


def linear(label: str, values: Sequence[float], percent: bool = False, margin: bool = False) -> Axis:
    """With round ends. With `margin` there is room around the values; shares (`percent`) stay between 0 and 1."""
    low, high = min(values), max(values)
    if margin or low == high:
        room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = (low - room if low < 0 else max(0.0, low - room)), high + room
    step = _step(high - low)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if percent:
        low, high = max(0.0, low), min(1.0, high)
    ticks = [low + i * step for i in range(round((high - low) / step) + 1)]
    factor = 100 if percent else 1
    digits = max(0, -math.floor(math.log10(step * factor) + 1e-9))
    text = [f"{tick * factor:,.{digits}f}" + (" %" if percent else "") for tick in ticks]
    return Axis(label, "linear", low, high, tuple(zip(ticks, text, strict=True)))


def _step(span: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that cuts the span into at most six."""
    power = math.floor(math.log10(span)) - 1
    every = [step * 10.0 ** (power + extra) for extra in (0, 1, 2) for step in _STEPS]
    return next(step for step in every if step * 6 >= span * (1 - 1e-9))


def names(label: str, words: Sequence[str]) -> Axis:
    """One place for each word, the first one on top."""
    return Axis(label, "names", -0.5, len(words) - 0.5, tuple((float(i), word) for i, word in enumerate(words)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
