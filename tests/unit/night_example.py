"""Made-up nights, for tests of what judges them: every figure as it is told, one day apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.nightly.nights import Night
from bench.stats.nightly import NightFigure

DAY_NS = 86_400 * 10**9
FIRST_NS = 1_790_812_800 * 10**9  # 2026-10-01T00:00:00Z
SWING = (0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5)
"""Levels of quiet nights, in units of the spread; they repeat each week."""
USUAL = {"ttft_p50_ms": 600.0, "e2e_p50_ms": 3000.0, "ttft_p95_ms": 1200.0, "tpot_p50_ms": 13.0, "usd_per_1k": 8.0,
         "output_tokens": 170.0}  # fmt: skip
OF_RUN = {"simulated or real": "real", "workload": "rag 0123456789ab"}
CONTROL = {"loopback_ttft_p50_ms": 0.01, "loopback_ttft_p99_ms": 0.03, "lateness_p50_ms": 0.1, "lateness_p99_ms": 1.0}


def night(
    number: int, targets: Mapping[str, Mapping[str, Any]] | None = None, spread: float = 0.03, **changes: Any
) -> Night:
    """Night `number` (from 0). `targets` are changes by target: a factor for each name of USUAL, `hits` and `quality` as they are."""
    level = 1 + spread * SWING[number % 7]
    figures = {}
    for target, given in (targets or {"a": {}, "b": {}}).items():
        made = {
            name: NightFigure(value * (level if name != "usd_per_1k" else 1.0) * given.get(name, 1.0), 0.01, 500)
            for name, value in USUAL.items()
        }
        hits = given.get("hits", number % 3)
        made["failed_share"] = NightFigure(hits / 500, None, 500, hits)
        made["quality"] = NightFigure(given.get("quality", 0.9 + 0.004 * SWING[number % 7]), 0.01, 500)
        made["cached_share"] = NightFigure(0.0, 0.0, 500)
        figures[target] = made
    began = FIRST_NS + number * DAY_NS
    made_night = Night(
        run_id=f"night-{number:02d}", date=f"2026-{10 + number // 31}-{number % 31 + 1:02d}", started_unix_ns=began,
        folder=Path(), simulated=False, complete=True, invalid=(), of_run=OF_RUN,
        of_target={target: {"region": "eu"} for target in figures}, figures=figures, control=CONTROL, bounds={},
        rows_sha256="0" * 64,
    )  # fmt: skip
    return replace(made_night, **changes)


def history(nights: int, **changes: Any) -> dict[str, list[Night]]:
    made = [night(number, **changes) for number in range(nights)]
    return dict.fromkeys(made[0].figures, made)
