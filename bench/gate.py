"""The gate: one verdict for each figure of each target of a night, against what its own history promises.

    ok            within what quiet nights do
    suspect       one mild exceedance: nothing is called yet, the next night or a re-run decides
    regression    worse than the limit of the whole family, or mild twice in three nights, or mild and confirmed
    improvement   the same limit, on the good side
    learning      too few nights to know what a quiet night is
    inconclusive  not known tonight, or not in the history
    environment   it would be a regression, but the control moved too: our side had a bad night
    invalid       the run is no measurement

docs/nightly.md has the rules in full, and what they cost in false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import EXIT_AGAINST, EXIT_CANNOT_RUN, EXIT_INCONCLUSIVE, EXIT_OK
from bench.nights import Night

__all__ = ["GateResult", "GateRow", "Night", "Word"]

Word = Literal["ok", "regression", "suspect", "improvement", "learning", "inconclusive", "environment", "invalid"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One figure of one target. Values are in the base unit of `unit` (ms, share of 1, USD, tokens); None is not known.

    `expected` is the typical value of the history, `low` and `high` the limits beyond which tonight is called (None: that side is
    not limited). `effect` is how far tonight is from `expected`: relative (0.2 is 20 % more) for ms, USD and tokens, in
    shares of 1 for shares. `floor` is the smallest effect that counts. `nights` is how many nights stand behind the limits.
    """

    target: str
    metric: str
    label: str
    unit: str
    verdict: Word
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    effect: float | None
    floor: float | None
    nights: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says of a run. `verdict` is the worst word of its rows; `sentence` says it for people."""

    run_id: str
    rows: tuple[GateRow, ...]
    verdict: Word
    exit_code: int
    notes: tuple[str, ...] = ()
    sentence: str = ""
    baseline: str = ""
    """What it was held against, in words."""
    night: str = ""
    """The UTC date of the run."""
    simulated: bool = False

    def of(self, verdict: Word) -> tuple[GateRow, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)


WORST_FIRST: tuple[Word, ...] = (
    "invalid", "regression", "environment", "suspect", "inconclusive", "learning", "improvement", "ok",
)  # fmt: skip


def exit_code(verdict: Word, strict: bool) -> int:
    """The exit code of a verdict. What cannot be told (a suspect, too few nights, our own bad night) fails only when strict."""
    if verdict == "invalid":
        return EXIT_CANNOT_RUN
    if verdict == "regression":
        return EXIT_AGAINST
    if verdict in ("suspect", "inconclusive", "learning", "environment"):
        return EXIT_INCONCLUSIVE if strict else EXIT_OK
    return EXIT_OK
