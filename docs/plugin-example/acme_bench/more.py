"""A scorer and a data set."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from bench.record import Case, Reply, Score


class Brief:
    """Full marks for a reply of at most so many words."""

    version = "1"

    def __init__(self, name: str, words: int = 20) -> None:
        self.name, self.words = name, words

    def score(self, case: Case, reply: Reply) -> Score:
        count = len(reply.text.split())
        return Score(self.name, self.version, float(count <= self.words), f"{count} words")


def sums(seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Small sums: the same items for the same seed, on every machine."""
    draw = random.Random(seed)
    items = []
    for n in range(int(params.get("items", 8))):
        a, b = draw.randint(1, 99), draw.randint(1, 99)
        gold = [{"type": "number", "value": str(a + b)}]
        items.append({"id": f"sum-{n}", "question": f"{a} + {b}?", "expected": {"gold": gold, "answerable": True}})
    return items
