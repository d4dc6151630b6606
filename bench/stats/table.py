"""The honest table: build it from the rows of a run, and flatten it for summary.parquet.

`build` reads these keys of the manifest, all of them optional: run_id, run_folder, command, simulated, complete,
exit_status, seed, sessions_cut, targets (id, model, provider, region, api_version, service_tier, sku, params), workload (name,
title), scorers (name, required), clusters (case id to source), calibration (rate_per_s, ttft_error_p50_ms,
ttft_error_p99_ms), load, segments, instrument, host, margins (p50, p99, cost, quality).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench import environment
from bench.errors import ConfigError, Problem
from bench.metrics import HEADLINE, plural, roughly
from bench.stats import answers as first_screen
from bench.stats import proof, residue, steady
from bench.stats.cells import FEW_BLOCKS, cells, too_few
from bench.stats.comparisons import QUANTILES, Draft, compare, finish
from bench.stats.levels import COLUMNS, SUSTAINED, levels
from bench.stats.measured import Measured, Selection, required_scorers, select
from bench.stats.types import Cell, Comparison, Level, Row, Table
from bench.stats.verdicts import MARGINS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ATTEMPT_COLUMNS", "Cell", "Comparison", "Row", "Table", "build", "summary_rows"]

ATTEMPT_COLUMNS = ("run_id", "target", "seq", *residue.ATTEMPT_FIELDS, *proof.FIELDS)
"""All that `build` reads of the attempts."""

_STOPPED = {130: "interrupted", 5: "the spending limit was reached"}


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
    targets = selection.targets
    if baseline is not None and baseline not in [m.target for m in targets]:
        have = ", ".join(m.target for m in targets)
        raise ConfigError([Problem("", "baseline", baseline, f"a target of this run, one of {have}")])
    seed = int(manifest.get("seed") or 0)
    margins = {**MARGINS, **(manifest.get("margins") or {})}
    steadiness, unjudged = steady.judge(targets, manifest)
    of_course = steady.figures(steadiness)
    rows = tuple(
        Row(m.target, m.model, m.provider, m.region, m.n, m.blocks, m.spent_usd,
            cells(m, selection.from_due, seed, of_course.get(m.target, {})))
        for m in targets
    )  # fmt: skip
    compared = tuple(finish(_drafts(targets, baseline, seed, margins)))
    simulated = bool(manifest.get("simulated")) or bool(requests["simulated"].fillna(False).astype(bool).any())
    cells_of = {row.target: row.cells for row in rows}
    return Table(
        title=_title(manifest, targets),
        run_id=str(manifest.get("run_id") or ""),
        columns=HEADLINE,
        rows=rows,
        comparisons=compared,
        answers=first_screen.answers(targets, rows, compared, seed, margins),
        alarms=(
            *proof.strangers([m.target for m in targets], attempts),
            *_alarms(selection, requests, manifest, simulated),
            *steady.alarms(steadiness),
        ),
        notes=(*_notes(selection, attempts, scores, manifest, compared), *residue.shared_reads(rows), *unjudged),
        hint=first_screen.p99_hint(targets, cells_of),
        instrument=residue.instrument(targets, manifest),
        command=str(manifest.get("command") or ""),
        run_folder=str(manifest.get("run_folder") or ""),
        simulated=simulated,
        partial=_partial(manifest),
        comparison_columns=_comparison_columns(compared),
        levels=_levels(requests, manifest),
    )


def _levels(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> tuple[Level, ...]:
    if not requests["level"].notna().any():
        return ()
    slo = (manifest.get("workload") or {}).get("slo") or {}
    rows: list[Any] = requests[list(COLUMNS)].to_dict("records")
    return tuple(levels(rows, slo))


def _title(manifest: Mapping[str, Any], targets: Sequence[Measured]) -> str:
    workload = manifest.get("workload") or {}
    models = list(dict.fromkeys(m.model for m in targets if m.model))
    return " · ".join(part for part in (workload.get("title") or workload.get("name") or "", ", ".join(models)) if part)


def _partial(manifest: Mapping[str, Any]) -> str | None:
    if manifest.get("complete") is True:
        return None
    if manifest.get("recovered"):
        return "the run crashed"
    return _STOPPED.get(
        manifest.get("exit_status") or 0, "the run did not finish, or its manifest does not say that it did"
    )


def _drafts(targets: Sequence[Measured], baseline: str | None, seed: int, margins: Mapping[str, float]) -> list[Draft]:
    by_model: dict[str, list[Measured]] = {}
    for measured in targets:
        by_model.setdefault(measured.model, []).append(measured)
    drafts: list[Draft] = []
    for group in by_model.values():
        base = next((m for m in group if m.target == baseline), group[0])
        for other in group:
            if other is not base:
                drafts += compare(base, other, seed, margins)
    return drafts


def _comparison_columns(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    present = {c.metric for c in comparisons if c.primary}
    return tuple(name for name in (*QUANTILES, "quality", "usd_per_correct", "usd_per_1k") if name in present)


def _alarms(selection: Selection, requests: pd.DataFrame, manifest: Mapping[str, Any], simulated: bool) -> list[str]:
    targets = selection.targets
    said = [*selection.alarms, *residue.alarms(targets, selection.rows)]
    said += [
        f"{plural(n, 'session')} of {target} ended early, since a reply did not come: later turns are missing"
        for target, n in (manifest.get("sessions_cut") or {}).items()
    ]
    if (n := int(requests["level"].nunique())) > 1:
        said.append(
            f"a sweep: the figures put {n} levels of load together; what holds at each level stands in its own table"
        )
    nothing = [m.target for m in targets if m.n == 0]
    if nothing:
        said.append(f"nothing was measured for {', '.join(nothing)}")
    said += [too_few(blocks) for blocks in sorted({m.blocks for m in targets if 0 < m.blocks < FEW_BLOCKS})]
    if simulated and not bool(requests["simulated"].fillna(False).astype(bool).all()):
        said.append("simulated and real rows are mixed")
    return said


def _notes(
    selection: Selection,
    attempts: pd.DataFrame,
    scores: pd.DataFrame,
    manifest: Mapping[str, Any],
    comparisons: Sequence[Comparison],
) -> list[str]:
    targets, rows = selection.targets, selection.rows
    origin = "due times of the plan (open loop)" if selection.from_due else "first sends (closed loop)"
    notes = [f"TTFT and E2E count from the {origin}, retries and waits included; a failed request is infinitely slow"]
    notes += residue.outcomes(targets, rows)
    notes += _method(comparisons) + _reasons(comparisons)
    notes += residue.lengths(targets)
    notes += residue.residue(targets, rows, attempts, manifest)
    notes += _carried([m.target for m in targets], manifest)
    notes += proof.near_limits([m.target for m in targets], attempts)
    notes += residue.scorer_gaps(scores, required_scorers(scores, manifest)) if len(scores) else []
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
            extra = max(by_name[c.target].n, by_name[c.baseline].n) - c.n
            if extra:
                notes.append(f"{c.target} against {c.baseline}: {plural(extra, 'request')} without a partner left out")
    return notes


def summary_rows(table: Table, run_id: str) -> list[dict[str, Any]]:
    """One dict per figure and per comparison, with the columns of `record.SUMMARY`."""
    rows = [
        {"run_id": run_id, "target": row.target, "baseline": None, "metric": name, **_figures(cell), "verdict": None,
         "warnings": "; ".join(cell.warnings) or None}
        for row in table.rows for name, cell in row.cells.items()
    ]  # fmt: skip
    return rows + [
        {"run_id": run_id, "target": c.target, "baseline": c.baseline, "metric": c.metric, **_figures(c),
         "verdict": c.verdict, "warnings": _caveats(c) or None}
        for c in table.comparisons
    ]  # fmt: skip


def _figures(x: Cell | Comparison) -> dict[str, Any]:
    return {"unit": x.unit, "value": x.value, "low": x.low, "high": x.high, "n": x.n, "n_eff": x.n_eff,
            "method": x.method or None}  # fmt: skip


def _caveats(c: Comparison) -> str:
    parts = [
        c.reason + _needs(c),
        f"p = {c.p_raw:.3g}" if c.p_raw is not None else "",
        f"p after Holm = {c.p_holm:.3g}" if c.p_holm is not None else "",
        "" if c.primary else "exploratory",
    ]
    return "; ".join(part for part in parts if part)
