"""The honest table: build it from the rows of a run.

`build` reads these keys of the manifest, all of them optional: run_id, run_folder, command, simulated, complete,
exit_status, seed, sessions_cut, targets (id, model, provider, region, api_version, service_tier, sku, params), workload (name,
title), scorers (name, required), clusters (case id to source), calibration (rate_per_s, ttft_error_p50_ms,
ttft_error_p99_ms), load, segments, instrument, host, margins (p50, p99, cost, quality).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import ConfigError, Problem
from bench.metrics import HEADLINE, Metric, plural
from bench.stats import answers as first_screen
from bench.stats import labels, pauses, proof, quality, residue, steady
from bench.stats.cells import FEW_BLOCKS, cells, too_few
from bench.stats.comparisons import QUANTILES, Draft, compare, finish, pairs
from bench.stats.levels import COLUMNS, TEXT_COLUMNS, levels_of
from bench.stats.measured import READ, Measured, Selection, floats, required_scorers, select
from bench.stats.notes import notes
from bench.stats.tally import ATTEMPT_FIELDS, ROW_FIELDS, Tally, words_of
from bench.stats.threads import in_threads
from bench.stats.types import Cell, Comparison, Level, Row, Table
from bench.stats.verdicts import MARGINS

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ATTEMPT_COLUMNS",
    "REQUEST_COLUMNS",
    "SCORE_COLUMNS",
    "Cell",
    "Comparison",
    "Row",
    "Table",
    "build",
]

ATTEMPT_COLUMNS = ("run_id", "target", "seq", *ATTEMPT_FIELDS, *proof.FIELDS)
"""All that `build` reads of the attempts."""
SCORE_COLUMNS = ("run_id", "target", "seq", "scorer", "scorer_type", "value", "reason")
"""All that `build` reads of the scores."""
REQUEST_COLUMNS = tuple(dict.fromkeys((
    *READ, *COLUMNS, *pauses.STAMPS, *ROW_FIELDS, "attempts", "fault_code", "region_proof",
)))  # fmt: skip
"""All that `build` reads of the requests."""

_STOPPED = {130: "interrupted", 5: "the spending limit was reached"}


@dataclass(frozen=True, eq=False)
class Seen:
    """What a table says besides its figures, however its rows were read."""

    attempts: Tally
    """Of the columns of `tally.ATTEMPT_FIELDS`."""
    proofs: pd.DataFrame
    """Attempts with the columns of `proof.FIELDS`: those that it speaks of, at the least."""
    scorer_gaps: Sequence[str]
    simulated: bool
    mixed: bool
    """Whether simulated rows and real ones are together."""
    levels: tuple[Level, ...]
    levels_sent: int
    """How many levels of load were sent, warm-up included."""
    scores: quality.Scored


def build(
    requests: pd.DataFrame,
    attempts: pd.DataFrame,
    scores: pd.DataFrame,
    manifest: Mapping[str, Any],
    baseline: str | None = None,
) -> Table:
    """The table of one run, or of several with their rows put together.

    Targets are compared within a model: with `baseline`, or with the first target of the model.
    """
    selection = select(requests, scores, manifest)
    check_baseline(baseline, [m.target for m in selection.targets])
    seed = int(manifest.get("seed") or 0)
    steadiness, unjudged = steady.judge(selection.targets, manifest)
    of_course = steady.figures(steadiness)
    of_labels = labels.figures(selection.targets, labels.labelled(selection.targets, scores), seed)
    figures = {
        m.target: cells(
            m,
            selection.from_due,
            seed,
            {**of_course.get(m.target, {}), **of_labels.get(m.target, {})},
            selection.limits,
        )
        for m in selection.targets
    }
    simulated = requests["simulated"].fillna(False).astype(bool)
    seen = Seen(
        attempts=Tally(words_of(attempts, ATTEMPT_FIELDS)), proofs=attempts,
        scorer_gaps=residue.scorer_gaps(scores, required_scorers(scores, manifest)) if len(scores) else [],
        simulated=bool(manifest.get("simulated")) or bool(simulated.any()), mixed=not bool(simulated.all()),
        levels=_levels(requests, manifest), levels_sent=int(requests["level"].nunique()),
        scores=quality.scored(selection.targets, scores, selection.rows),
    )  # fmt: skip
    return finished(selection, figures, seen, manifest, baseline, (*steady.alarms(steadiness),), unjudged)


def check_baseline(baseline: str | None, have: Sequence[str]) -> None:
    if baseline is not None and baseline not in have:
        raise ConfigError([Problem("", "baseline", baseline, f"a target of this run, one of {', '.join(have)}")])


def finished(
    selection: Selection,
    figures: Mapping[str, Mapping[str, Cell]],
    seen: Seen,
    manifest: Mapping[str, Any],
    baseline: str | None,
    unsteady: Sequence[str],
    unjudged: Sequence[str],
) -> Table:
    """The table of figures that are made: comparisons, answers, alarms and notes."""
    targets = selection.targets
    names = [m.target for m in targets]
    seed = int(manifest.get("seed") or 0)
    margins = {**MARGINS, **(manifest.get("margins") or {})}
    rows = tuple(
        Row(
            m.target,
            m.model,
            m.provider,
            m.region,
            m.n,
            m.blocks,
            m.spent_usd,
            figures[m.target],
        )
        for m in targets
    )
    baselines = _baselines(targets, baseline)
    compared = tuple(finish(_drafts(selection, baselines, seed, margins)))
    said = first_screen.answers(targets, rows, compared, seed, margins)
    lengths = quality.lengths(baselines, targets, seed)
    pairs.cache_clear()
    by_scorer = quality.judged(targets, baselines, seen.scores, manifest, figures, compared, lengths)
    return Table(
        title=_title(manifest, targets),
        run_id=str(manifest.get("run_id") or ""),
        columns=columns_of(bool(selection.limits)),
        rows=rows,
        comparisons=compared,
        answers=said,
        alarms=(*proof.strangers(names, seen.proofs), *_alarms(selection, seen, manifest), *unsteady),
        notes=(
            *notes(selection, seen, manifest, compared),
            *quality.drift(baselines, lengths),
            *labels.notes(rows),
            *residue.shared_reads(rows),
            *unjudged,
        ),
        hint=first_screen.p99_hint(targets, figures),
        instrument=residue.instrument(targets, manifest),
        command=str(manifest.get("command") or ""),
        run_folder=str(manifest.get("run_folder") or ""),
        simulated=seen.simulated,
        partial=stopped_early(manifest),
        comparison_columns=comparison_columns(compared),
        levels=seen.levels,
        judged=by_scorer,
    )


def columns_of(limited: bool) -> tuple[Metric, ...]:
    """The figures of the first screen; goodput only where the slo limits a single request."""
    return tuple(m for m in HEADLINE if m.name != "goodput_per_s" or limited)


def _levels(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> tuple[Level, ...]:
    if not requests["level"].notna().any():
        return ()
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in TEXT_COLUMNS:
            columns[name] = requests[name].to_numpy(dtype=object)
        elif name == "spoiled":
            columns[name] = requests[name].fillna(False).astype(bool).to_numpy()
        else:
            columns[name] = floats(requests, name) if name in requests else np.full(len(requests), np.nan)
    return tuple(levels_of(columns, (manifest.get("workload") or {}).get("slo") or {}))


def _title(manifest: Mapping[str, Any], targets: Sequence[Measured]) -> str:
    workload = manifest.get("workload") or {}
    models = list(dict.fromkeys(m.model for m in targets if m.model))
    copy = "private copy" if (workload.get("dataset") or {}).get("split") == "private" else ""
    name = workload.get("title") or workload.get("name") or ""
    return " · ".join(part for part in (name, copy, ", ".join(models)) if part)


def stopped_early(manifest: Mapping[str, Any]) -> str | None:
    """Why the run is not whole; None for one that is."""
    if manifest.get("complete") is True:
        return None
    if manifest.get("recovered"):
        return "the run crashed"
    if "time limit" in str(manifest.get("stopped") or ""):
        return str(manifest["stopped"])
    return _STOPPED.get(
        manifest.get("exit_status") or 0, "the run did not finish, or its manifest does not say that it did"
    )


def _baselines(targets: Sequence[Measured], baseline: str | None) -> dict[str, Measured]:
    """What each target is compared with, model by model; the baselines themselves are not among them."""
    by_model: dict[str, list[Measured]] = {}
    for measured in targets:
        by_model.setdefault(measured.model, []).append(measured)
    found: dict[str, Measured] = {}
    for group in by_model.values():
        base = next((m for m in group if m.target == baseline), group[0])
        found |= {other.target: base for other in group if other is not base}
    return found


def _drafts(
    selection: Selection, baselines: Mapping[str, Measured], seed: int, margins: Mapping[str, float]
) -> list[Draft]:
    by_name = {m.target: m for m in selection.targets}

    def against(target: str) -> list[Draft]:
        found = compare(baselines[target], by_name[target], seed, margins, selection.from_due, selection.limits)
        by_name[target].samples.clear()
        return found

    found = in_threads(against, baselines, sum(m.n for m in selection.targets))
    for base in baselines.values():
        base.samples.clear()
    return [draft for drafts in found for draft in drafts]


def comparison_columns(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """The figures whose comparisons stand in the table."""
    present = {c.metric for c in comparisons if c.primary}
    return tuple(name for name in (*QUANTILES, "quality", "usd_per_correct", "usd_per_1k") if name in present)


def _alarms(selection: Selection, seen: Seen, manifest: Mapping[str, Any]) -> list[str]:
    targets = selection.targets
    said = [*selection.alarms, *residue.alarms(targets, selection.tally)]
    said += [
        f"{plural(n, 'session')} of {target} ended early, since a reply did not come: later turns are missing"
        for target, n in (manifest.get("sessions_cut") or {}).items()
    ]
    if seen.levels_sent > 1:
        said.append(
            f"a sweep: the figures put {seen.levels_sent} levels of load together; what holds at each level stands in its own "
            "table"
        )
    nothing = [m.target for m in targets if m.n == 0]
    if nothing:
        said.append(f"nothing was measured for {', '.join(nothing)}")
    said += [too_few(blocks) for blocks in sorted({m.blocks for m in targets if 0 < m.blocks < FEW_BLOCKS})]
    if seen.simulated and seen.mixed:
        said.append("simulated and real rows are mixed")
    return said
