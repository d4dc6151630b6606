"""What stands under the table: how the verdicts were reached, and what a reader must know of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench import environment
from bench.metrics import figure, plural, roughly
from bench.stats import proof, residue, slo
from bench.stats.levels import SUSTAINED
from bench.stats.measured import Measured, Selection
from bench.stats.types import Comparison
from bench.stats.verdicts import ALPHA, MIN_BLOCKS

if TYPE_CHECKING:
    from bench.stats.table import Seen

MOST_EXPLORED = 4
"""Exploratory comparisons that are named under the table; the rest is in the data."""


def notes(
    selection: Selection, seen: Seen, manifest: Mapping[str, Any], comparisons: Sequence[Comparison]
) -> list[str]:
    """All of them, in the order in which they stand there."""
    targets, rows = selection.targets, selection.tally
    names = [m.target for m in targets]
    origin = "due times of the plan (open loop)" if selection.from_due else "first sends (closed loop)"
    said = [f"TTFT and E2E count from the {origin}, retries and waits included; a failed request is infinitely slow"]
    if selection.limits:
        said.append(f"goodput: requests per second that ended ok within {slo.words(selection.limits)}")
    return [
        *said,
        *residue.outcomes(targets, rows),
        *method(comparisons),
        *reasons(comparisons),
        *_explored(comparisons),
        *residue.residue(targets, rows, seen.attempts, manifest),
        *carried(names, manifest),
        *proof.near_limits(names, seen.proofs),
        *seen.scorer_gaps,
        *_unpaired(comparisons, targets),
        *_astray(targets, manifest),
        *_found(manifest.get("sweep") or {}),
        *selection.notes,
    ]


def carried(names: Sequence[str], manifest: Mapping[str, Any]) -> list[str]:
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


def method(comparisons: Sequence[Comparison]) -> list[str]:
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


def reasons(comparisons: Sequence[Comparison]) -> list[str]:
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
    return ", ".join(c.target + needs(c) for c in comparisons)


def needs(c: Comparison) -> str:
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
