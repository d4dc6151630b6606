"""Runs side by side, as `bench.stats.beside` has them, of stored rows, however many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.stats import proof, scale, steady
from bench.stats.beside import OneRun, alarms_of, of_runs
from bench.stats.ordered import Ordered, Stored
from bench.stats.types import Table

Tables = tuple[Stored, Stored, Stored]
"""Requests, attempts and scores of one run."""


def beside(stored: Sequence[Tables], manifests: Sequence[Mapping[str, Any]], baseline: str | None = None) -> Table:
    """One row per target and run, from the stored tables of each run."""
    cases: dict[str, int] = {}
    return of_runs([_read(*one, facts, cases) for one, facts in zip(stored, manifests, strict=True)], baseline)


def _read(
    requests: Stored, attempts: Stored, scores: Stored, manifest: Mapping[str, Any], cases: dict[str, int]
) -> OneRun:
    """One run; `cases` numbers the cases of all runs."""

    def columns(_: Ordered) -> scale.Columns:
        case, names = requests.words("case_id")
        number = np.array([*(cases.setdefault(name, len(cases)) for name in names), -1], np.int32)
        return {"case_id": number[case], "stored": np.arange(requests.rows, dtype=np.int32)}

    selection, made, _, _ = scale.measured(requests, scores, manifest, columns)
    steadiness, _ = steady.judge(selection.targets, manifest)
    figures = scale.all_figures(selection, made, steadiness, manifest)
    for m in selection.targets:
        m.samples.clear()
    strangers = proof.strangers([m.target for m in selection.targets], scale.proofs(attempts))
    return OneRun(manifest, selection, figures, alarms_of(selection, strangers, steady.alarms(steadiness)))
