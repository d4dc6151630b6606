"""Is a text as long as it was asked to be? Counted in words: runs of characters without a blank that hold a letter or digit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.record import Case, Reply, Score


def word_count(text: str) -> int:
    return sum(bool(re.search(r"\w", word)) for word in text.split())


@dataclass(slots=True)
class WordCount:
    """1 when the words lie between the case's `min` and `max`, else 0. `tolerance` widens both by a share of them."""

    name: str
    target: str = "length"
    tolerance: float = 0.0
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        limits = case.expected.get(self.target)
        if not isinstance(limits, Mapping) or not all(_is_limit(limits.get(key)) for key in ("min", "max")):
            return Score(
                self.name, self.version, None, f'expected.{self.target}: want {{"min": 60, "max": 180}}, in words'
            )
        count = word_count(reply.text)
        fits = limits["min"] * (1 - self.tolerance) <= count <= limits["max"] * (1 + self.tolerance)
        return Score(
            self.name, self.version, float(fits), f"{count} words; {limits['min']} to {limits['max']} asked for"
        )


def _is_limit(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
