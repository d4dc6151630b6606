"""OpenMetrics text: tonight's figures and verdicts, for GitLab's metrics report or a push gateway.

Values are in the unit that their name ends in. What is not known is left out; a percentile that is a failed request is +Inf.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from bench.nightly.gate import GateResult, GateRow
from bench.report.plain import cleaned

_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


def render(result: GateResult) -> str:
    made = cleaned(result)
    lines: list[str] = []
    for metric in dict.fromkeys(row.metric for row in made.rows):
        rows = [row for row in made.rows if row.metric == metric]
        if metric.startswith("slo_"):
            lines += _family(f"bench_{metric}_limit", f"Limit of the workload: {rows[0].label}.",
                             [(_labels(row, made), row.expected) for row in rows])  # fmt: skip
            continue
        lines += _family(f"bench_{metric}", f"{rows[0].label} of the night, in {rows[0].unit}.",
                         [(_labels(row, made), row.value) for row in rows])  # fmt: skip
        lines += _family(f"bench_{metric}_expected", f"{rows[0].label} that earlier nights promise, in {rows[0].unit}.",
                         [(_labels(row, made), row.expected) for row in rows])  # fmt: skip
    called = [(_labels(row, made, figure=row.metric), float(row.verdict == "regression")) for row in made.rows]
    lines += _family("bench_gate_regression", "Whether the gate calls a regression.", called)
    return "".join(f"{line}\n" for line in (*lines, "# EOF"))


def _family(name: str, words: str, samples: Sequence[tuple[str, float | None]]) -> Iterator[str]:
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return
    name = _NO_NAME.sub("_", name)
    yield f"# TYPE {name} gauge"
    yield f"# HELP {name} {_escaped(words)}"
    for labels, value in known:
        yield f"{name}{{{labels}}} {'+Inf' if math.isinf(value) else format(value, '.10g')}"


def _labels(row: GateRow, result: GateResult, **more: str) -> str:
    given = {"target": row.target, **more, **({"simulated": "true"} if result.simulated else {})}
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in given.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
