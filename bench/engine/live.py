"""Figures while the load runs, for the eye only: the table is made from the stored rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ACCURACY = 0.005
_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))


@dataclass(slots=True)
class Histogram:
    """Log buckets: any quantile is within ±0.5 % of a true value. Merging is adding counts, in any order (DDSketch, 2019)."""

    counts: Counter[int] = field(default_factory=Counter)
    n: int = 0

    def add(self, value: float) -> None:
        self.counts[math.ceil(math.log(max(value, 1e-6)) / _GAMMA)] += 1
        self.n += 1

    def merge(self, other: Histogram) -> None:
        self.counts.update(other.counts)
        self.n += other.n

    def quantile(self, p: float) -> float | None:
        if self.n == 0:
            return None
        rank = math.ceil(p * self.n)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return 2 * math.exp(_GAMMA * bucket) / (math.exp(_GAMMA) + 1)
        return None


@dataclass(slots=True)
class Lamp:
    """What is known of one target so far, in one process. What several know is merged in any order."""

    planned: int
    sent: int = 0
    done: int = 0
    failed: int = 0
    retries: int = 0
    spent_usd: Decimal = Decimal(0)
    ttft_ms: Histogram = field(default_factory=Histogram)
    lateness_ms: Histogram = field(default_factory=Histogram)

    def merge(self, other: Lamp) -> None:
        self.planned += other.planned
        self.sent += other.sent
        self.done += other.done
        self.failed += other.failed
        self.retries += other.retries
        self.spent_usd += other.spent_usd
        self.ttft_ms.merge(other.ttft_ms)
        self.lateness_ms.merge(other.lateness_ms)

    def note(self, row: Mapping[str, Any]) -> None:
        """Counts a request that has ended, from its stored row."""
        self.done += 1
        for name in ("cost_usd", "cost_retries_usd"):
            self.spent_usd += row.get(name) or 0
        self.retries += row["attempts"] - 1
        if row["lateness_ms"] is not None:
            self.lateness_ms.add(row["lateness_ms"])
        if row["outcome"] != "ok":
            self.failed += 1
        elif row["ttft_ms"] is not None:
            self.ttft_ms.add(row["ttft_ms"])

    def snapshot(self) -> dict[str, Any]:
        return {
            "planned": self.planned,
            "done": self.done,
            "in_flight": self.sent - self.done,
            "failed": self.failed,
            "retries": self.retries,
            "spent_usd": str(self.spent_usd),
            "ttft_p50_ms": self.ttft_ms.quantile(0.5),
            "ttft_p99_ms": self.ttft_ms.quantile(0.99),
        }


def merged(parts: Iterable[Mapping[str, Lamp]]) -> dict[str, Lamp]:
    """What several processes know of each target, together."""
    whole: dict[str, Lamp] = {}
    for part in parts:
        for target_id, lamp in part.items():
            whole.setdefault(target_id, Lamp(0)).merge(lamp)
    return whole
