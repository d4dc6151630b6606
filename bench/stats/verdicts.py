"""From an interval to a word, and what would be needed where no word is earned.

    slower        the interval excludes equality, and the estimate is beyond the margin
    slower_small  the interval excludes equality, but the estimate lies within the margin
    equivalent    the 90 % interval lies inside the margins: two one-sided tests at 5 %
    inconclusive  none of these, or not to be believed; the reason says why and what would help

faster, cheaper, better and their opposites likewise. A direction is only called when it survives Holm's adjustment over
the primary family, and nothing is called on fewer than MIN_BLOCKS common blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_BLOCKS = 20
ALPHA = 0.05
MARGINS = {"p50": 0.05, "p99": 0.15, "cost": 0.05, "quality": 0.03}
"""Differences that do not matter: relative for latency and cost, in shares of 1 for quality."""

WORDS = {"latency": ("faster", "slower"), "cost": ("cheaper", "costlier"), "quality": ("worse", "better")}
"""(word for below equality, word for above): a ratio below 1, a difference below 0."""

GOOD = frozenset({"faster", "cheaper", "better"})
BAD = frozenset({"slower", "costlier", "worse"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """A comparison on a scale whose equality is 0: log ratio or difference. Ends may be infinite.

    `bounding_requests` is how many requests per target would bound an open end, where the method can tell.
    """

    estimate: float | None
    low: float
    high: float
    low_90: float
    high_90: float
    margin: float
    blocks: int
    p_holm: float | None = None
    family: int = 0
    bounding_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word; for `inconclusive` the reason, and how many more blocks, or requests per target in all, would tell."""

    word: str
    reason: str = ""
    more_blocks: int | None = None
    needed_requests: int | None = None


def judge(evidence: Evidence, words: tuple[str, str]) -> Verdict:
    e = evidence
    if e.estimate is None:
        return Verdict("inconclusive", "both are failures at this percentile")
    if e.blocks < MIN_BLOCKS:
        return Verdict("inconclusive", f"only {e.blocks} common blocks, and a verdict needs {MIN_BLOCKS}")
    excluded = e.low > 0 or e.high < 0
    if excluded and e.p_holm is not None and e.p_holm <= ALPHA:
        word = words[1] if e.low > 0 else words[0]
        return Verdict(word if abs(e.estimate) > e.margin else f"{word}_small")
    if -e.margin < e.low_90 and e.high_90 < e.margin:
        return Verdict("equivalent")
    if excluded:
        p = "" if e.p_holm is None else f" (p = {e.p_holm:.2g})"
        return Verdict("inconclusive", f"a difference, but not after adjusting for {e.family} comparisons{p}")
    if math.isinf(e.estimate):
        return Verdict("inconclusive", "failures decide this percentile")
    if math.isinf(e.low) or math.isinf(e.high):
        return Verdict("inconclusive", "the interval has an open end", needed_requests=e.bounding_requests)
    return Verdict("inconclusive", "the interval is too wide", more_blocks=more_blocks(e))


def more_blocks(e: Evidence) -> int:
    """K (width / target width)^2 - K; the target is the cheaper of two: exclude equality, or prove equivalence.

    At an estimate d with margin m, an interval of half width |d| excludes equality, and one of m - |d| lies inside.
    """
    estimate = abs(e.estimate or 0.0)
    target = 2 * max(estimate, e.margin - estimate)
    return max(1, math.ceil(e.blocks * ((e.high - e.low) / target) ** 2) - e.blocks)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for position, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[i]))
        adjusted[i] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: the false discovery rate at which each would count as a discovery."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    adjusted, running = [0.0] * len(p_values), 1.0
    for position, i in enumerate(order):
        running = min(running, p_values[i] * len(p_values) / (len(p_values) - position))
        adjusted[i] = running
    return adjusted
