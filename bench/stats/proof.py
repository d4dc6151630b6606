"""What the attempts prove of a run besides its figures: who answered, and how near the providers' limits were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.metrics import plural
from bench.stats.measured import is_null
from bench.stats.tally import CONTRADICTED

if TYPE_CHECKING:
    import pandas as pd

NEAR_SHARE = 0.10
"""A target that had less than this part of a limit left was near it: its latency may be that of a brake."""

_WHATS = ("requests", "tokens", "input_tokens", "output_tokens")
FIELDS = (
    "fault_code",
    "identity",
    "utilisation_share",
    *(f"{fact}_{what}" for what in _WHATS for fact in ("limit", "remaining")),
)
"""Columns of the attempts that are read here."""


def strangers(names: Sequence[str], attempts: pd.DataFrame) -> list[str]:
    """Targets whose replies came from somebody else, or from another model, than was asked: one alarm for each."""
    found = []
    for name in names:
        mine = _of(attempts, name)
        wrong = mine[mine["fault_code"] == CONTRADICTED] if len(mine) else mine
        if len(wrong):
            said = [str(text) for text in wrong["identity"] if not is_null(text)]
            why = f": {said[0].removeprefix(f'{name}: ')}" if said else ""
            found.append(
                f"{name}: {plural(len(wrong), 'attempt')} answered by somebody else, or by another model, than asked; "
                f"they count as failures{why}"
            )
    return found


def near_limits(names: Sequence[str], attempts: pd.DataFrame) -> list[str]:
    """Targets that came within a tenth of a limit that their replies named: one note for each."""
    notes = []
    for name in names:
        mine = _of(attempts, name)
        parts = [*filter(None, (_nearest(mine, what) for what in _WHATS)), *_busiest(mine)]
        if parts:
            notes.append(f"{name} came within {NEAR_SHARE:.0%} of a limit of the provider: {'; '.join(parts)}")
    return notes


def _of(attempts: pd.DataFrame, name: str) -> pd.DataFrame:
    return attempts[attempts["target"] == name] if len(attempts) else attempts


def _nearest(mine: pd.DataFrame, what: str) -> str | None:
    limit, left = _column(mine, f"limit_{what}"), _column(mine, f"remaining_{what}")
    shares = [(r / n, r, n) for r, n in zip(left, limit, strict=True) if n > 0 and not math.isnan(r)]
    if not shares or min(shares)[0] > NEAR_SHARE:
        return None
    _, least, of = min(shares)
    return f"{least:,.0f} of {of:,.0f} {what.replace('_', ' ')} left at the least"


def _busiest(mine: pd.DataFrame) -> list[str]:
    used = max((value for value in _column(mine, "utilisation_share") if not math.isnan(value)), default=0.0)
    return [f"{used:.0%} of the deployment in use"] if used >= 1 - NEAR_SHARE else []


def _column(mine: pd.DataFrame, name: str) -> list[float]:
    """A numeric column, null as NaN; a run that an earlier version wrote may lack it."""
    if name not in mine:
        return [math.nan] * len(mine)
    values: list[Any] = mine[name].tolist()
    return [math.nan if is_null(value) else float(value) for value in values]
