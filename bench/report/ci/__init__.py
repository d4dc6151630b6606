"""The verdicts of a gate in the forms that continuous integration reads, one file each: functions from a result to text.

What every form shares stands here: what a verdict does to a job, and a row in one sentence. Names of targets and runs, and
reasons, may come from outside: each form escapes them in its own way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal

from bench.errors import EXIT_INCONCLUSIVE
from bench.metrics import plural
from bench.nightly.gate import GateResult, GateRow
from bench.report.gate import as_dict, change, shown

Outcome = Literal["passed", "failed", "error", "skipped"]

FORMS: Mapping[str, str] = {
    "junit.xml": "junit", "summary.md": "summary", "code-quality.json": "code_quality", "metrics.txt": "openmetrics",
}  # fmt: skip
"""The file of each form, and the module that writes it; gate.json is beside them."""


def files(result: GateResult) -> dict[str, str]:
    """Every form by the name of its file."""
    made = {name: str(import_module(f"bench.report.ci.{module}").render(result)) for name, module in FORMS.items()}
    return {**made, "gate.json": json.dumps(as_dict(result), indent=1) + "\n"}


def write_all(result: GateResult, folder: Path) -> list[Path]:
    """Writes every form into a folder, which is made. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(result).items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files(result)]


def outcome(row: GateRow, result: GateResult) -> Outcome:
    """What a row is to a job: failed by what the exit code failed it for, skipped where nothing can be told."""
    if row.verdict == "invalid":
        return "error"
    if row.verdict == "regression":
        return "failed"
    if row.verdict in ("suspect", "inconclusive", "learning", "environment"):
        return "failed" if result.exit_code == EXIT_INCONCLUSIVE else "skipped"
    return "passed"


def sentence(row: GateRow) -> str:
    """A row for people: the figure, what was expected, the limit, and why."""
    said = f"{row.label} {shown(row.value, row.unit)}"
    if row.expected is not None and row.kind != "slo":
        said += f", expected {shown(row.expected, row.unit)}"
        said += f" ({change(row)})" if row.effect is not None else ""
    if ends := limits(row):
        said += f", {ends} allowed"
    if row.nights:
        said += f", {plural(row.nights, 'night')}"
    return f"{said}: {row.reason}" if row.reason else said


def limits(row: GateRow) -> str:
    """What the figure may be, in words; empty where nothing limits it."""
    if row.low is not None and row.high is not None:
        return f"{shown(row.low, row.unit)} to {shown(row.high, row.unit)}"
    if row.high is not None:
        return f"at most {shown(row.high, row.unit)}"
    return "" if row.low is None else f"at least {shown(row.low, row.unit)}"


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
