"""The contract of a scorer: how good. A pure function of the case and the reply."""

from __future__ import annotations

from typing import Protocol

from bench.record import Case, Reply, Score


class Scorer(Protocol):
    name: str
    version: str

    def score(self, case: Case, reply: Reply) -> Score:
        """A value from 0 to 1, or None with a reason when it cannot judge."""
        ...
