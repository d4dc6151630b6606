"""The levels of a sweep, each by itself: what was achieved, how slow it was, and whether the service level held.

Works on plain rows, so that a sweep that looks for its own end decides by the very figures that are printed later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.stats.types import Level

SUSTAINED = 0.95
"""A level whose achieved share is below this is saturated."""
COLUMNS = ("target", "stage", "level", "phase", "spoiled", "outcome", "due_ns", "sent_ns", "first_token_ns", "end_ns",
           "ttft_ms", "ttft_due_ms", "tpot_ms", "e2e_due_ms", "e2e_all_ms")  # fmt: skip
"""What is read of a row of requests.parquet."""

Row = Mapping[str, Any]


def levels(rows: Sequence[Row], slo: Mapping[str, Any]) -> list[Level]:
    """Every level of every target, in the order of sending. `slo` is the workload's, with durations in ns."""
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        if row["phase"] == "measure" and _known(row["level"]):
            groups.setdefault((int(row["stage"]), row["target"]), []).append(row)
    made = [level_of(groups[key], slo) for key in sorted(groups)]
    return [_scaled(one, made) for one in made]


def level_of(rows: Sequence[Row], slo: Mapping[str, Any]) -> Level:
    """The figures of one target at one level. Rows that our own instrument spoiled count for nothing but the throughput."""
    first = rows[0]
    level, opened = float(first["level"]), _known(first["due_ns"])
    ok = [row for row in rows if row["outcome"] == "ok"]
    sound = [row for row in rows if not row["spoiled"]]
    share = _in_time(rows, ok) if opened else None
    ttft, tpot, e2e = (_latencies(sound, kind, opened) for kind in ("ttft", "tpot", "e2e"))
    failed = None if not sound else sum(row["outcome"] != "ok" for row in sound) / len(sound)
    return Level(
        target=first["target"],
        stage=int(first["stage"]),
        level=level,
        n=len(sound),
        achieved_per_s=None if share is None and opened else level * share if share is not None else _throughput(ok),
        achieved_share=share,
        ttft_p50_ms=_quantile(ttft, 50),
        ttft_p95_ms=_quantile(ttft, 95),
        tpot_p50_ms=_quantile(tpot, 50),
        e2e_p95_ms=_quantile(e2e, 95),
        failed_share=failed,
        meets_slo=_meets({"ttft": ttft, "tpot": tpot, "e2e": e2e}, failed, slo),
    )


def _scaled(one: Level, made: Sequence[Level]) -> Level:
    """In a closed loop: the throughput as a share of what as many slots would give, each as fast as at the lowest level."""
    if one.achieved_share is not None or one.achieved_per_s is None:
        return one
    lowest = min(
        (o for o in made if o.target == one.target and o.achieved_per_s), key=lambda o: (o.level, o.stage), default=None
    )
    if lowest is None or not lowest.achieved_per_s:
        return one
    return replace(one, achieved_share=one.achieved_per_s / (lowest.achieved_per_s * one.level / lowest.level))


def _in_time(rows: Sequence[Row], ok: Sequence[Row]) -> float:
    """Share of the offered rate that came back: replies over requests, less what they are spread out more than the due times.

    Spans are taken between the 5th and the 95th percentile, so that one slow reply at the end does not look like a slow rate.
    """
    if len(ok) < 2:
        return len(ok) / len(rows)
    due, end = (np.percentile([row[name] for row in ok], [5, 95]) for name in ("due_ns", "end_ns"))
    stretched = (end[1] - end[0]) / (due[1] - due[0]) if due[1] > due[0] else 1.0
    return float(len(ok) / len(rows) / max(1.0, stretched))


def _throughput(ok: Sequence[Row]) -> float | None:
    if not ok:
        return 0.0
    span_ns = max(row["end_ns"] for row in ok) - min(row["sent_ns"] for row in ok)
    return float(len(ok) / span_ns * 1e9) if span_ns > 0 else None


def _latencies(rows: Sequence[Row], kind: str, opened: bool) -> list[float]:
    """In ms, from the due time in an open loop, else from the first send; a failure is infinitely slow, unknown is left out."""
    out = []
    for row in rows:
        if row["outcome"] != "ok":
            out.append(math.inf)
            continue
        if kind == "tpot":
            value = row["tpot_ms"]
        elif opened:
            value = row[f"{kind}_due_ms"]
        elif kind == "e2e":
            value = row["e2e_all_ms"]
        else:
            streamed = _known(row["ttft_ms"]) and _known(row["first_token_ns"])
            value = (row["first_token_ns"] - row["sent_ns"]) / 1e6 if streamed else None
        if _known(value):
            out.append(float(value))
    return out


def _known(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def _quantile(values: Sequence[float], percent: float) -> float | None:
    """The order statistic: the smallest value that at least `percent` of all do not exceed."""
    return sorted(values)[max(1, math.ceil(percent / 100 * len(values) - 1e-9)) - 1] if values else None


def _meets(values: Mapping[str, Sequence[float]], failed: float | None, slo: Mapping[str, Any]) -> bool | None:
    held: list[bool] = []
    for kind, known in values.items():
        for name, limit_ns in (slo.get(kind) or {}).items():
            value = _quantile(known, float(name[1:]))
            held.append(value is not None and value <= limit_ns / 1e6)
    if slo.get("error_rate"):
        held.append(failed is not None and failed <= slo["error_rate"]["max"])
    return all(held) if held else None
