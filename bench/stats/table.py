"""The honest table: build it from the rows of a run, and flatten it for summary.parquet.

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

from bench import environment
from bench.errors import ConfigError, Problem
from bench.metrics import HEADLINE, Metric, figure, plural, roughly
from bench.stats import answers as first_screen
from bench.stats import labels, pauses, proof, quality, residue, slo, steady
from bench.stats.cells import FEW_BLOCKS, cells, too_few
from bench.stats.comparisons import QUANTILES, Draft, compare, finish, pairs
from bench.stats.levels import COLUMNS, SUSTAINED, TEXT_COLUMNS, levels_of
from bench.stats.measured import READ, Measured, Selection, floats, required_scorers, select
from bench.stats.tally import ATTEMPT_FIELDS, ROW_FIELDS, Tally, words_of
from bench.stats.threads import in_threads
from bench.stats.types import Cell, Comparison, Judged, Level, Row, Table
from bench.stats.verdicts import ALPHA, MARGINS, MIN_BLOCKS

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
    "summary_rows",
]

ATTEMPT_COLUMNS = ("run_id", "target", "seq", *ATTEMPT_FIELDS, *proof.FIELDS)
"""All that `build` reads of the attempts."""
SCORE_COLUMNS = ("run_id", "target", "seq", "scorer", "scorer_type", "value", "reason")
"""All that `build` reads of the scores."""
REQUEST_COLUMNS = tuple(dict.fromkeys((
    *READ, *COLUMNS, *pauses.STAMPS, *ROW_FIELDS, "attempts", "fault_code", "region_proof",
)))  # fmt: skip
"""All that `build` reads of the requests."""

MOST_EXPLORED = 4
"""Exploratory comparisons that are named under the table; the rest is in the data."""
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
            *_notes(selection, seen, manifest, compared),
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
        partial=_partial(manifest),
        comparison_columns=_comparison_columns(compared),
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


def _partial(manifest: Mapping[str, Any]) -> str | None:
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


def _comparison_columns(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
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


def _notes(
    selection: Selection, seen: Seen, manifest: Mapping[str, Any], comparisons: Sequence[Comparison]
) -> list[str]:
    targets, rows = selection.targets, selection.tally
    origin = "due times of the plan (open loop)" if selection.from_due else "first sends (closed loop)"
    notes = [f"TTFT and E2E count from the {origin}, retries and waits included; a failed request is infinitely slow"]
    if selection.limits:
        notes.append(f"goodput: requests per second that ended ok within {slo.words(selection.limits)}")
    notes += residue.outcomes(targets, rows)
    notes += _method(comparisons) + _reasons(comparisons) + _explored(comparisons)
    notes += residue.residue(targets, rows, seen.attempts, manifest)
    notes += _carried([m.target for m in targets], manifest)
    notes += proof.near_limits([m.target for m in targets], seen.proofs)
    notes += seen.scorer_gaps
    notes += _unpaired(comparisons, targets)
    notes += _astray(targets, manifest)
    notes += _found(manifest.get("sweep") or {})
    return notes + list(selection.notes)


def _carried(names: Sequence[str], manifest: Mapping[str, Any]) -> list[str]:
    """Targets whose requests did not go over our wire, and what that does to their times."""
    routes = {about["id"]: about.get("route") or {} for about in manifest.get("targets") or []}
    return [
        f"{name}: carried by {route['transport']} inside its SDK's library, its arrivals stamped by our {route['stamps']} "
        "after the library has read them: its times hold our delays too, and the calibration says nothing of them"
        for name in names
        if (route := routes.get(name) or {}).get("stamps")
    ]


def _astray(targets: Sequence[Measured], manifest: Mapping[str, Any]) -> list[str]:
    """Variables of the environment that may have led the run astray."""
    set_then = manifest.get("environment")
    if not isinstance(set_then, Mapping):  # an earlier version recorded names alone
        return []
    return environment.warnings(frozenset(m.provider for m in targets), set_then)


def _found(sweep: Mapping[str, Any]) -> list[str]:
    """What a sweep that looked for its own end came to."""
    if not sweep:
        return []
    unit = "/s" if sweep["over"] == "rate" else " in flight"
    held = (
        "met the slo" if sweep["until"] == "slo" else f"kept up ({SUSTAINED:.0%} of what was offered came back in time)"
    )
    lines = []
    for target, found in sweep["found"].items():
        low, high = found["held_at"], found["failed_at"]
        good = "at no level that was tried" if low is None else f"up to {low:g}{unit}"
        bad = "no level failed" if high is None else f"failed at {high:g}{unit}"
        lines.append(f"{target} {held} {good}; {bad}")
    if sweep.get("ceiling") is not None:
        lines.append(
            f"nothing was tried from {sweep['ceiling']:g}{unit} on: the cap of requests in flight or a declared limit"
        )
    return lines


def _method(comparisons: Sequence[Comparison]) -> list[str]:
    """How the verdicts were reached, from what the comparisons themselves carry."""
    primary = [c for c in comparisons if c.primary]
    if not primary:
        return []
    margins = {c.label: f"{c.margin * 100:g} {'points' if c.unit == 'points' else '%'}" for c in primary if c.margin}
    grouped: dict[str, list[str]] = {}
    for label, margin in margins.items():
        grouped.setdefault(margin, []).append(label)
    tested = sum(c.p_raw is not None for c in primary)
    said = ", ".join(f"{margin} ({', '.join(labels)})" for margin, labels in grouped.items())
    return [f"verdicts: over the same prompts in the same blocks, adjusted (Holm) for {tested} comparisons; "
            f"a difference within {said} counts as small"]  # fmt: skip


def _explored(comparisons: Sequence[Comparison]) -> list[str]:
    """Exploratory comparisons that would count as a discovery at a false discovery rate of 5 %, and how many there were."""
    tested = [c for c in comparisons if c.p_bh is not None]
    found = sorted((c for c in tested if c.p_bh is not None and c.p_bh <= ALPHA and c.blocks >= MIN_BLOCKS),
                   key=lambda c: c.p_bh or 0.0)  # fmt: skip
    if not found:
        return []
    said = []
    for c in found[:MOST_EXPLORED]:
        shown = figure(c.value, c.low, c.high, c.unit, signed=c.unit == "points")
        sign = "×" if c.unit == "ratio" else " pt"
        said.append(f"{c.label} of {c.target} {shown.text}{sign} ({shown.interval}, p = {c.p_bh:.2g})")
    rest = f", and {len(found) - MOST_EXPLORED} more in the data" if len(found) > MOST_EXPLORED else ""
    return [f"exploratory, no verdict (p adjusted for {len(tested)} comparisons, Benjamini-Hochberg): "
            f"{'; '.join(said)}{rest}"]  # fmt: skip


def _reasons(comparisons: Sequence[Comparison]) -> list[str]:
    """Why comparisons are inconclusive, and what would settle them: one line for each kind of reason."""
    by_reason: dict[str, dict[str, list[Comparison]]] = {}
    for c in comparisons:
        if c.primary and c.reason:
            verb = "not compared" if c.n == 0 else "inconclusive"
            by_reason.setdefault(f"{verb}, {c.reason}", {}).setdefault(c.label, []).append(c)
    return [
        f"{reason}: " + "; ".join(f"{label} of {_whom(cs)}" for label, cs in labels.items())
        for reason, labels in by_reason.items()
    ]


def _whom(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(c.target + _needs(c) for c in comparisons)


def _needs(c: Comparison) -> str:
    if c.more_blocks is not None:
        return f" (about {plural(roughly(c.more_blocks), 'more block')})"
    return f" (about {roughly(c.needed_requests):,} requests)" if c.needed_requests is not None else ""


def _unpaired(comparisons: Sequence[Comparison], targets: Sequence[Measured]) -> list[str]:
    by_name = {m.target: m for m in targets}
    notes = []
    for c in comparisons:
        if c.metric == "e2e_p50_ms" and c.n:
            both = [by_name[name] for name in (c.target, c.baseline)]
            extra = sum(m.n for m in both) - 2 * c.n
            blocks = max(m.blocks for m in both) - c.blocks
            if extra:
                whole = f" ({plural(blocks, 'whole block')} among them)" if blocks > 0 else ""
                notes.append(
                    f"{c.target} against {c.baseline}: {plural(extra, 'request')} without a partner left out{whole}"
                )
    return notes


def summary_rows(table: Table, run_id: str) -> list[dict[str, Any]]:
    """One dict per figure and per comparison, with the columns of `record.SUMMARY`."""
    rows = [
        {"run_id": run_id, "target": row.target, "baseline": None, "metric": name, **_figures(cell), "verdict": None,
         "warnings": "; ".join(cell.warnings) or None}
        for row in table.rows for name, cell in row.cells.items()
    ]  # fmt: skip
    return rows + [row for one in table.judged for row in _of_scorers(one, run_id)] + [
        {"run_id": run_id, "target": c.target, "baseline": c.baseline, "metric": c.metric, **_figures(c),
         "verdict": c.verdict, "warnings": _caveats(c) or None}
        for c in table.comparisons
    ]  # fmt: skip


def _of_scorers(one: Judged, run_id: str) -> list[dict[str, Any]]:
    told: list[tuple[str | None, str, Cell]] = [(None, f"score:{name}", cell) for name, cell in one.scorers.items()]
    told += [(one.baseline, f"score:{name}", cell) for name, cell in one.differences.items()]
    told += [(None, f"{name}_share", cell) for name, cell in one.undelivered.items()]
    told += [] if one.length is None else [(one.baseline, "output_length", one.length)]
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, "target": one.target, "baseline": base, "metric": name, **_figures(cell),
         "verdict": None, "warnings": "; ".join(cell.warnings) or None}
        for base, name, cell in told
    ]  # fmt: skip
    return rows + [
        {"run_id": run_id, "target": one.target, "baseline": None, "metric": f"bar:{bar.words}", "unit": "",
         **dict.fromkeys(("value", "low", "high")), "n": 0, **dict.fromkeys(("n_eff", "method")),
         "verdict": bar.verdict, "warnings": None}
        for bar in one.bars
    ]  # fmt: skip


def _figures(x: Cell | Comparison) -> dict[str, Any]:
    return {"unit": x.unit, "value": x.value, "low": x.low, "high": x.high, "n": x.n, "n_eff": x.n_eff,
            "method": x.method or None}  # fmt: skip


def _caveats(c: Comparison) -> str:
    parts = [
        c.reason + _needs(c),
        f"p = {c.p_raw:.3g}" if c.p_raw is not None else "",
        f"p after Holm = {c.p_holm:.3g}" if c.p_holm is not None else "",
        f"p outside the margin = {c.p_equivalence:.3g}" if c.p_equivalence is not None else "",
        "" if c.primary else "exploratory",
        f"p after Benjamini-Hochberg = {c.p_bh:.3g}" if c.p_bh is not None else "",
    ]
    return "; ".join(part for part in parts if part)
