"""How often each word stands in the rows of each target: all that is said of columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

CONTRADICTED = "identity_contradicted"
"""The fault of a reply that came from somebody else, or from another model, than was asked."""
ROW_FIELDS = ("region", "dialect", "served_model", "served_lane", "client_stack", "usage_source")
"""Words that differ between rows of one target, or between targets, are said under the table."""
ATTEMPT_FIELDS = ("tls_version", "proxy")
COUNTED = ("outcome", "first_attempt_outcome", *ROW_FIELDS)

_AT_ONCE = 1 << 17
"""Rows that are counted at once: what fits the processor's cache."""

Words = tuple[npt.NDArray[Any], Sequence[str]]
"""Codes into a list of words; null is -1."""


@dataclass(frozen=True, eq=False)
class Tally:
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    """By column and target: how often each word occurs, the most frequent first; null is not counted."""
    misplaced: Mapping[str, int] = field(default_factory=dict)
    """Replies that contradict the region asked for; those of a stranger are an alarm of their own."""
    retried: Mapping[str, int] = field(default_factory=dict)
    """Requests that took more than one attempt."""

    def of(self, column: str, target: str) -> Mapping[str, int]:
        return self.counts.get(column, {}).get(target, {})


def counted(of: npt.NDArray[Any], names: Sequence[str], words: Words) -> dict[str, dict[str, int]]:
    """By target: the words of its rows, most frequent first, and of those that are as frequent the one that came first."""
    codes, values = words
    if not len(values):
        return {}
    width = len(values) + 1
    flat = np.zeros(len(names) * width, np.int64)
    for at in range(0, len(of), _AT_ONCE):
        some = slice(at, at + _AT_ONCE)
        flat += np.bincount(of[some].astype(np.int64) * width + codes[some] + 1, minlength=len(flat))
    table = flat.reshape(len(names), width)
    return {
        name: {values[at]: int(row[at]) for at in np.argsort(-row, kind="stable") if row[at]}
        for name, row in zip(names, table[:, 1:], strict=True)
        if row.any()
    }


def tally_of(rows: pd.DataFrame) -> Tally:
    """Of rows in a data frame, with the columns of `COUNTED` or some of them."""
    of, names = rows["target"].factorize()
    misplaced: dict[str, int] = {}
    retried: dict[str, int] = {}
    if "region_proof" in rows:
        placed = (rows["region_proof"] == "contradicted") & (rows["fault_code"] != CONTRADICTED)
        misplaced = _per_target(of, list(names), placed.to_numpy(dtype=bool))
    if "attempts" in rows:
        retried = _per_target(of, list(names), (rows["attempts"].astype("float64") > 1).to_numpy())
    return Tally(words_of(rows, COUNTED), misplaced, retried)


def words_of(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By column and target."""
    of, names = rows["target"].factorize()
    found = {}
    for column in columns:
        if column in rows:
            codes, values = rows[column].factorize()
            found[column] = counted(of, [str(name) for name in names], (codes, [str(value) for value in values]))
    return found


def _per_target(of: npt.NDArray[Any], names: Sequence[str], hits: npt.NDArray[np.bool_]) -> dict[str, int]:
    counts = np.bincount(of[hits], minlength=len(names))
    return {str(name): int(n) for name, n in zip(names, counts, strict=True) if n}
