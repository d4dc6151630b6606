"""GitHub Markdown for a step's summary, or a comment: the verdict, what is not ok, every figure on request, and the notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bench.metrics import plural
from bench.nightly.gate import WORST_FIRST, GateResult, GateRow, Word
from bench.report import SIMULATED
from bench.report.ci import limits
from bench.report.gate import change, shown
from bench.report.markdown import code, escape
from bench.report.plain import cleaned

MOST_BYTES: Final = 1_000_000
"""GitHub takes a mebibyte of each step, and shows nothing of what is larger."""
SIGN: Final[dict[Word, str]] = {
    "invalid": "✖", "regression": "✖", "environment": "⌂", "suspect": "⚠", "inconclusive": "?", "learning": "…",
    "improvement": "▲", "ok": "✔",
}  # fmt: skip


def render(result: GateResult) -> str:
    made = cleaned(result)
    every = _every(made)
    text = _text(made, every)
    if len(text.encode()) > MOST_BYTES:
        text = _text(made, "The table of every figure is too long for a summary: it is in gate.json.")
    return text


def _text(made: GateResult, every: str) -> str:
    called = sorted((row for row in made.rows if row.verdict not in ("ok", "learning")),
                    key=lambda row: WORST_FIRST.index(row.verdict))  # fmt: skip
    blocks = [
        f"> **SIMULATED** {escape(SIMULATED)}" if made.simulated else "",
        f"## {SIGN[made.verdict]} {made.verdict.capitalize()}",
        f"{escape(made.sentence[:1].upper() + made.sentence[1:])}.",
        "" if made.verdict == "invalid" else _called(called),
        f"{len(made.of('ok'))} of {plural(len(made.rows), 'figure')} ok. Run {code(made.run_id)} of {escape(made.night)}, "
        f"against {escape(made.baseline)}.",
        "\n".join(f"- {escape(note)}" for note in made.notes),
        every,
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _called(rows: Sequence[GateRow]) -> str:
    if not rows:
        return ""
    head = ("Target", "Figure", "Verdict", "Tonight", "Expected", "Change", "Limit", "Nights", "Why")
    lines = [
        (escape(row.target), escape(row.label), f"{SIGN[row.verdict]}&nbsp;{row.verdict}", _firm(shown(row.value, row.unit)),
         _firm(shown(row.expected, row.unit)), _firm(change(row)), limits(row), str(row.nights or "–"), escape(row.reason))
        for row in rows
    ]  # fmt: skip
    return _grid(head, "lllrrrlrl", lines)


def _every(made: GateResult) -> str:
    """Targets down, figures across: the value, its change, and the sign of a verdict other than ok."""
    figures = {row.metric: row.label for row in made.rows}
    at = {(row.target, row.metric): row for row in made.rows}
    targets = dict.fromkeys(row.target for row in made.rows)
    lines = [(escape(target), *(_cell(at.get((target, name))) for name in figures)) for target in targets]
    grid = _grid(("Target", *map(escape, figures.values())), "l" + "r" * len(figures), lines)
    signs = ", ".join(f"{sign} {word}" for word, sign in SIGN.items() if word != "ok" and made.of(word))
    key = f"\n\n{signs}; no sign: ok." if signs else ""
    title = "Every figure: tonight, and its change from what was expected"
    return f"<details><summary>{title}</summary>\n\n{grid}{key}\n\n</details>"


def _cell(row: GateRow | None) -> str:
    if row is None:
        return ""
    sign = "" if row.verdict == "ok" else f"{SIGN[row.verdict]} "
    told = "" if row.effect is None else f"<br><sub>{_firm(change(row))}</sub>"
    return f"{_firm(f'{sign}{shown(row.value, row.unit)}')}{told}"


def _firm(text: str) -> str:
    """A number and its unit stay on one line."""
    return escape(text).replace(" ", "&nbsp;")


def _grid(head: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))
