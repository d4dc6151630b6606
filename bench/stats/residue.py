"""What differs between the rows of one comparison besides the target itself, and what else a reader must know.

A table that mixes unlike rows says so under itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.metrics import plural
from bench.stats.measured import Measured, floats
from bench.stats.quantiles import Floats
from bench.stats.tally import ATTEMPT_FIELDS, ROW_FIELDS, Tally

if TYPE_CHECKING:
    import pandas as pd

    from bench.stats.types import Row

TARGET_FIELDS = ("api_version", "service_tier", "sku")

_SHOWN_VALUES = 6


def residue(targets: Sequence[Measured], rows: Tally, attempts: Tally, manifest: Mapping[str, Any]) -> list[str]:
    """Sentences on fields that differ between targets, or vary inside one. `rows` is of the measured rows of the run."""
    names = [measured.target for measured in targets]
    notes: list[str] = []
    for field in ROW_FIELDS:
        notes += differing(field, names, rows)
    for field in ATTEMPT_FIELDS:
        notes += differing(field, names, attempts)
    listed = {about["id"]: about for about in manifest.get("targets") or []}
    for field in TARGET_FIELDS:
        notes += _about(field.replace("_", " "), names, _listed_of(listed, field))
    settings = {name: listed.get(name, {}).get("params") or {} for name in names}
    for field in dict.fromkeys(key for params in settings.values() for key in params):
        notes += _about(f"params.{field}", names, _listed_of(settings, field))
    return notes + _said_of(names, listed)


def _said_of(names: Sequence[str], listed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was said of the targets when the run was prepared; what holds of several is said once."""
    about: dict[str, list[str]] = {}
    for name in names:
        for note in listed.get(name, {}).get("notes") or []:
            about.setdefault(note.removeprefix(f"{name}: "), []).append(name)
    return [f"{', '.join(who)}: {note}" for note, who in about.items()]


def differing(field: str, names: Sequence[str], tally: Tally) -> list[str]:
    """Sentences on one column of words."""
    return _about(field.replace("_", " "), names, lambda name: tally.of(field, name))


def _listed_of(listed: Mapping[str, Mapping[str, Any]], field: str) -> Callable[[str], dict[str, int]]:
    def of(name: str) -> dict[str, int]:
        value = listed.get(name, {}).get(field)
        if value in (None, "", {}):
            return {}
        return {value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str): 1}

    return of


def _about(field: str, names: Sequence[str], values_of: Callable[[str], Mapping[str, int]]) -> list[str]:
    inside: list[str] = []
    by_value: dict[str, list[str]] = {}
    for name in names:
        values = values_of(name)
        if len(values) > 1:
            inside.append(f"{name} ({', '.join(f'{value}: {n}' for value, n in values.items())})")
        if values:
            by_value.setdefault(" + ".join(values), []).append(name)
    notes = [f"{field} varies within {'; '.join(inside)}"] if inside else []
    missing = [name for name in names if not values_of(name)]
    if by_value and missing and len(missing) < len(names):
        by_value["not given"] = missing
    if len(by_value) > _SHOWN_VALUES:
        notes.append(f"{field} differs: {len(by_value)} values over {len(names)} targets")
    elif len(by_value) > 1:
        notes.append(f"{field} differs: " + "; ".join(f"{value} ({', '.join(who)})" for value, who in by_value.items()))
    return notes


def alarms(targets: Sequence[Measured], rows: Tally) -> list[str]:
    """What puts figures of a target in doubt."""
    found = []
    for measured in targets:
        # a reply from somebody else is an alarm of its own: here, who answered is right, and the place is not
        if contradicted := rows.misplaced.get(measured.target, 0):
            found.append(f"{measured.target}: {contradicted} replies contradict the region asked for")
        if rows.of("usage_source", measured.target).get("estimate"):
            found.append(
                f"{measured.target}: token counts are estimates, not the provider's; TPOT, tok/s and cost rest on them"
            )
        late, ttft = _known(measured.frame, "lateness_ms"), _known(measured.frame, "ttft")
        if len(late) and len(ttft):
            p99, typical = _nearest(late, 0.99), _nearest(ttft, 0.5)
            limit = max(10.0, 0.01 * typical)
            if p99 > limit:
                found.append(f"{measured.target}: we sent up to {p99:.0f} ms late (p99; {limit:.0f} ms is the limit): "
                             "its latency is partly ours")  # fmt: skip
    return found


def _known(frame: pd.DataFrame, column: str) -> Floats:
    """In the width in which it is kept: of millions of values, no copy twice as wide."""
    kept = frame[column]
    values: Floats = kept.to_numpy() if kept.dtype == np.float32 else floats(frame, column)
    unknown = np.isnan(values)
    return values[~unknown] if unknown.any() else values


def _of_all(targets: Sequence[Measured], column: str) -> npt.NDArray[np.float32]:
    """Seven digits are enough for two."""
    known = [np.zeros(0), *(_known(m.frame, column) for m in targets if m.n)]
    return np.concatenate(known, dtype=np.float32, casting="same_kind")


def _nearest(values: npt.NDArray[Any], p: float) -> float:
    place = math.ceil(len(values) * p - 1e-9) - 1
    return float(np.partition(values, place)[place])


def outcomes(targets: Sequence[Measured], rows: Tally) -> list[str]:
    """Which failures there were, and how many requests needed more than one try."""
    notes, failed, retried = [], [], []
    for measured in targets:
        bad = _not_ok(rows.of("outcome", measured.target))
        if bad:
            failed.append(f"{measured.target} {bad}")
        if again := rows.retried.get(measured.target, 0):
            first = _not_ok(rows.of("first_attempt_outcome", measured.target))
            retried.append(f"{measured.target} {again} ({first})")
    if failed:
        notes.append("not ok, and counted as infinitely slow and wrong: " + "; ".join(failed))
    if retried:
        notes.append("requests that were tried again: " + "; ".join(retried))
    return notes


def _not_ok(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if outcome != "ok")


def scorer_gaps(scores: pd.DataFrame, required: frozenset[str]) -> list[str]:
    """Required scorers that had nothing to say on some replies: they neither made a reply right nor wrong."""
    notes = []
    for scorer in sorted(required):
        mine = scores[scores["scorer"] == scorer]
        silent = int(mine["value"].isna().sum())
        if silent:
            notes.append(f"scorer {scorer} did not apply to, or could not judge, {silent} of {len(mine)} replies")
    return notes


SAME_READ_LIMIT = 0.05


def shared_reads(rows: Sequence[Row]) -> list[str]:
    """Targets whose content often came several events to a read."""
    often = [
        f"{row.target} {cell.value:.0%}"
        for row in rows
        if (cell := row.cells["same_read_share"]).value is not None and cell.value > SAME_READ_LIMIT
    ]
    if not often:
        return []
    return [f"content events that came in one read with the one before: {', '.join(often)}; gaps inside one read are "
            "unknown, and TPOT rests on the first and the last arrival alone"]  # fmt: skip


BUSY_SHARE = 0.70
LAG_LIMIT_MS = 5.0
"""Above 70 % of a core, or a lag of the event loop of 5 ms at p99, our own delay begins to show in the figures."""


def instrument(targets: Sequence[Measured], manifest: Mapping[str, Any]) -> str:
    """The instrument's own error: as calibrated before the run, and as seen during it; and what to do when it is at its limit."""
    calibration, own = manifest.get("calibration") or {}, manifest.get("instrument") or {}
    parts = []
    if calibration.get("ttft_error_p50_ms") is not None and calibration.get("ttft_error_p99_ms") is not None:
        at = f" at {calibration['rate_per_s']:g} requests/s" if calibration.get("rate_per_s") is not None else ""
        at = f" at {plural(calibration['streams'], 'stream')}" if calibration.get("streams") else at
        parts.append(f"calibrated on loopback{at}: reads TTFT {calibration['ttft_error_p50_ms']:.2g} ms late at p50, "
                     f"{calibration['ttft_error_p99_ms']:.2g} ms at p99")  # fmt: skip
    else:
        parts.append("not calibrated: our own error is not known")
    late = _of_all(targets, "lateness_ms")
    if len(late):
        parts.append(f"in this run we sent {_nearest(late, 0.99):.2g} ms late at p99")
    return "; ".join(parts + _lag_and_load(targets, own))


def _lag_and_load(targets: Sequence[Measured], own: Mapping[str, Any]) -> list[str]:
    parts = []
    lag_ns = (own.get("lag_ns") or {}).get("p99")
    lag_ms = None if lag_ns is None else lag_ns / 1e6
    if lag_ms is None:
        seen = _of_all(targets, "loop_lag_ms")
        lag_ms = _nearest(seen, 0.99) if len(seen) else None
    if lag_ms is not None:
        parts.append(f"event loop lag {lag_ms:.2g} ms at p99")
    processes = [one for one in own.get("workers") or [own] if one.get("wall_s")]
    share = max((one["cpu_s"] / one["wall_s"] for one in processes), default=None)
    if share is not None:
        parts.append(f"{share:.0%} of a core" + (" in the busiest worker" if len(processes) > 1 else ""))
    pauses = own.get("gc") or {}
    if pauses.get("n"):
        parts.append(f"{plural(pauses['n'], 'GC pause')} of up to {pauses['max_ns'] / 1e6:.2g} ms")
    stamps = own.get("stamps") or {}
    if stamps.get("source") == "loop":
        parts.append("arrivals stamped by our event loop, not by the kernel")
    if stamps.get("wall_clock_steps"):
        parts.append(
            f"the wall clock was set {stamps['wall_clock_steps']} times: stamps of those moments are our event loop's"
        )
    if (share is not None and share > BUSY_SHARE) or (lag_ms is not None and lag_ms > LAG_LIMIT_MS):
        parts.append("we were near our limit, and part of these figures may be ours: spread the load with --workers")
    return parts
