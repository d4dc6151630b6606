"""Made-up runs that reports must be right and pretty for: too few, too many, none good, not ended, hostile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.commands.tables import Wanted, opened, table_of_runs
from bench.report.build import document
from bench.report.document import Document
from bench.stats.types import Table

from .stats_example import CLOUDS, Cloud
from .stored_example import store

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script></style></title>'`$(x)`",
    "=HYPERLINK(\"http://example.com\",\"x\")",
    "reversed \u202eevil\u202c | *md* [x](javascript:alert(3))",
)  # fmt: skip


def one_target(results: Path) -> list[Path]:
    return [store(results, "single", clouds=CLOUDS[:1], prompts=48, change=lengths)]


def all_failures(results: Path) -> list[Path]:
    faults = ("throttled", "overloaded", "timeout", "server", "transport", "auth")
    clouds = tuple(replace(c, failures={i: faults[(i + k) % 6] for i in range(40)}) for k, c in enumerate(CLOUDS[:3]))
    return [store(results, "failing", clouds=clouds, prompts=40)]


def three_requests(results: Path) -> list[Path]:
    return [store(results, "tiny", clouds=CLOUDS[:2], prompts=3, per_block=1)]


def forty_targets(results: Path) -> list[Path]:
    made = tuple(
        Cloud(f"{c.id}-region-{i:02d}-of-a-long-name" if i % 9 == 0 else f"{c.id}-{i:02d}", c.provider, c.dialect, c.region,
              c.served_model, c.ttft_ms * (0.6 + 0.05 * i), c.tpot_ms * (0.8 + 0.02 * i), wrong=0.02 * (i % 15),
              usd_per_output_token=f"0.0000{10 + i}", failures={i: "throttled"} if i % 4 == 0 else {})
        for i in range(40) for c in [CLOUDS[i % 5]]
    )  # fmt: skip
    few = store(results, "few", clouds=made[:3], prompts=8, change=lengths)
    return [few, store(results, "many", clouds=made, prompts=12, change=lengths)]


def sweep(results: Path) -> list[Path]:
    levels = {0: 1.0, 1: 4.0, 2: 16.0}

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        stage = rows["seq"] // 32
        slow = 1 + 0.6 * stage
        for column in ("ttft_due_ms", "e2e_due_ms", "ttft_ms", "e2e_ms"):
            rows[column] = rows[column] * slow
        return rows.assign(stage=stage, level=stage.map(levels))

    load = {"pattern": "sweep", "sweep": {"over": "rate"}, "stages": [{"rate_per_s": r} for r in levels.values()]}
    slo = {"name": "rag", "title": "Policy questions", "slo": {"ttft": {"p95": 1_500_000_000}}, "digest": "d" * 64}
    return [
        store(results, "swept", clouds=CLOUDS[:3], prompts=96, facts={"load": load, "workload": slo}, change=change)
    ]


def partial(results: Path) -> list[Path]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        spoiled = (rows["seq"] % 16 == 5) & (rows["target"] == "bedrock")
        again = rows["seq"] % 20 == 7
        tries = rows["attempts"].where(~again, 2)
        first = rows["first_attempt_outcome"].where(~again, "overloaded")
        phase = rows["phase"].where(rows["seq"] > 1, "warmup")
        return lengths(rows.assign(spoiled=spoiled, attempts=tries, first_attempt_outcome=first, phase=phase))

    facts = {"complete": False, "exit_status": 130}
    return [store(results, "cut", clouds=CLOUDS[:3], prompts=60, facts=facts, change=change)]


def hostile(results: Path) -> list[Path]:
    clouds = tuple(replace(c, id=name, region=name) for name, c in zip(HOSTILE, CLOUDS, strict=True))
    facts: dict[str, Any] = {
        "workload": {"name": "w", "title": HOSTILE[0] + HOSTILE[2], "digest": "d" * 64}, "labels": {"<b>": HOSTILE[1]},
        "command": f"bench run {HOSTILE[2]}", "host": {"platform": HOSTILE[1], "packages": {HOSTILE[0]: HOSTILE[4]}},
    }  # fmt: skip
    return [store(results, "hostile", clouds=clouds, prompts=24, facts=facts, change=lengths)]


def side_by_side(results: Path) -> list[Path]:
    slower = (CLOUDS[0], replace(CLOUDS[1], ttft_ms=1500.0, tpot_ms=30.0))
    return [store(results, "monday", clouds=CLOUDS[:2], prompts=96, change=lengths),
            store(results, "tuesday", day=1, clouds=slower, prompts=96, seed=8, change=lengths)]  # fmt: skip


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Prompts of 400 to some 8,000 tokens, and longest gaps around 40 ms with a stall now and then."""
    tokens = 400 * 1.08 ** (rows["seq"] % 40)
    ok = rows["outcome"] == "ok"
    gap = (38 + rows["seq"] % 9 * 3 + (rows["seq"] % 31 == 7) * 900).where(ok)
    return rows.assign(input_tokens=tokens.astype(int).where(ok), icl_max_ms=gap.astype(float))


EXAMPLES: dict[str, Callable[[Path], list[Path]]] = {
    f.__name__: f
    for f in (one_target, all_failures, three_requests, forty_targets, sweep, partial, hostile, side_by_side)
}


@cache
def stored_example() -> Document:
    """The document of docs/example."""
    run = opened(EXAMPLE, _quiet)
    return document(table_of_runs([run], Wanted(), _quiet), [run])


def report_of(name: str, results: Path, **wanted: Any) -> Document:
    """The document of one of EXAMPLES."""
    runs = [opened(path, _quiet) for path in EXAMPLES[name](results)]
    asked = Wanted(**wanted)
    table = table_of_runs(runs[:1] if name == "forty_targets" else runs, asked, _quiet)
    if name == "forty_targets":
        runs = runs[1:]
        table = _spread(table, [about["id"] for about in runs[0].manifest["targets"]])
    return document(table, runs, asked.pool)


def _spread(table: Table, names: list[str]) -> Table:
    """The figures of a few targets given to many: a table of forty would cost seconds, and they are not looked at here."""
    few = len(table.rows)
    rows = [replace(table.rows[i % few], target=name) for i, name in enumerate(names)]
    compared = [replace(c, target=name, baseline=names[0]) for i, name in enumerate(names[1:], start=1)
                for c in table.comparisons if c.target == table.rows[i % few or 1].target]  # fmt: skip
    return replace(table, rows=tuple(rows), comparisons=tuple(compared))


def _quiet(text: str) -> None:
    pytest.fail(text)


__all__ = ["EXAMPLE", "EXAMPLES", "HOSTILE", "report_of", "stored_example"]
