"""GitLab's code quality report: one finding for each figure that is called or to be watched.

The fields are those that GitLab documents: description, check_name, fingerprint, severity, location. A fingerprint is that of the
target and the figure, not of tonight's value: the same finding on two nights is one finding.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from bench.nightly.gate import GateResult, GateRow, Word
from bench.report.ci import sentence
from bench.report.plain import cleaned

PATH: Final = "targets.yaml"
"""A finding needs a file of the repository: the list of targets."""
_SEVERITY: Final[dict[Word, str]] = {
    "invalid": "blocker", "regression": "major", "environment": "info", "suspect": "minor", "inconclusive": "info",
}  # fmt: skip


def render(result: GateResult) -> str:
    made = cleaned(result)
    found = [_finding(row, made) for row in made.rows if row.verdict in _SEVERITY]
    return json.dumps(found, indent=1) + "\n"


def _finding(row: GateRow, result: GateResult) -> dict[str, Any]:
    severity = "critical" if row.verdict == "regression" and row.kind == "slo" else _SEVERITY[row.verdict]
    mark = "SIMULATED: " if result.simulated else ""
    return {
        "description": f"{mark}{row.target}: {row.verdict}: {sentence(row)}",
        "check_name": f"bench-gate/{row.metric}",
        "fingerprint": hashlib.sha256(f"{row.target}\0{row.metric}".encode()).hexdigest(),
        "severity": severity,
        "location": {"path": PATH, "lines": {"begin": 1}},
    }
