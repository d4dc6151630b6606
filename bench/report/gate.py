"""The verdicts of a gate as text for a terminal, and as plain data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.metrics import plural
from bench.nightly.gate import WORST_FIRST, GateResult, GateRow
from bench.stats.nightly import GATED

_UNSEEN = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
_COLOUR = {"regression": "31;1", "invalid": "31;1", "environment": "33", "suspect": "33", "inconclusive": "33",
           "learning": "36", "improvement": "32", "ok": "32;1"}  # fmt: skip
_NAME = 28
"""Columns that the name of a target gets at most."""


def text(result: GateResult, width: int, colour: bool = False) -> str:
    """The sentence, one line for each figure that is not ok, how many are, and what a reader must know; at most `width` wide."""
    lines = ["SIMULATED: these figures say nothing about any provider."] if result.simulated else []
    head = f"{result.verdict.upper()}: "
    said = textwrap.wrap(f"{head}{result.sentence}".translate(_UNSEEN), width, subsequent_indent=" " * 2)
    lines += [_painted(said[0][: len(head) - 1], result.verdict, colour) + said[0][len(head) - 1 :], *said[1:], ""]
    rows = sorted((row for row in result.rows if row.verdict not in ("ok", "learning")),
                  key=lambda row: WORST_FIRST.index(row.verdict))  # fmt: skip
    if rows and result.verdict != "invalid":
        lines += [*_table(rows, width, colour), ""]
    lines += [_learning(result, target) for target in dict.fromkeys(row.target for row in result.of("learning"))]
    lines += [f"{len(result.of('ok'))} of {plural(len(result.rows), 'figure')} ok. "
              f"Run {result.run_id} of {result.night}, against {result.baseline}."]  # fmt: skip
    wrapped = [
        line
        for part in lines
        for line in (textwrap.wrap(part, width) if len(part) > width and "\x1b" not in part else [part])
    ]
    for note in result.notes:
        wrapped += textwrap.wrap(f"- {note}".translate(_UNSEEN), width, subsequent_indent="  ")
    return "\n".join(wrapped) + "\n"


def _learning(result: GateResult, target: str) -> str:
    mine = [row for row in result.of("learning") if row.target == target]
    return f"{target}: {mine[0].reason}, {plural(len(mine), 'figure')}"


def _table(rows: Sequence[GateRow], width: int, colour: bool) -> list[str]:
    """One line for each row; its reason follows on a line of its own where a row says more than its word."""
    names = min(_NAME, max(len(row.target) for row in rows))
    labels = max(len(row.label) for row in rows)
    heads = ("target", "figure", "verdict", "tonight", "expected", "limit", "change", "nights")
    cells = [(_cut(row.target, names), row.label, row.verdict, shown(row.value, row.unit), shown(row.expected, row.unit),
              _limit(row), change(row), str(row.nights) if row.nights else "") for row in rows]  # fmt: skip
    widths = [max(len(line[n]) for line in (heads, *cells)) for n in range(len(heads))]
    widths[0], widths[1] = max(names, len("target")), max(labels, len("figure"))
    lines = [_line(heads, widths, width)]
    for row, cell in zip(rows, cells, strict=True):
        line = _line(cell, widths, width)
        lines.append(line.replace(f" {row.verdict} ", f" {_painted(row.verdict, row.verdict, colour)} ", 1))
        if row.reason:
            indent = " " * (widths[0] + 2)
            lines += textwrap.wrap(
                row.reason.translate(_UNSEEN), width, initial_indent=indent, subsequent_indent=indent
            )
    return lines


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    """Words to the left, numbers to the right; what does not fit is cut at the edge, the least important column last."""
    parts = [cell.ljust(w) if n < 3 else cell.rjust(w) for n, (cell, w) in enumerate(zip(cells, widths, strict=True))]
    return "  ".join(parts).rstrip()[:width]


def _cut(name: str, width: int) -> str:
    name = name.translate(_UNSEEN)
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _limit(row: GateRow) -> str:
    ends = [shown(end, row.unit) for end in (row.low, row.high) if end is not None]
    return "–".join(ends) if ends else "–"


def shown(value: float | None, unit: str) -> str:
    """A value with its unit, to three digits."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "fails"
    if unit == "share":
        return f"{value * 100:.1f} %"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"${number}" if unit == "USD" else f"{number} {unit}"


def change(row: GateRow) -> str:
    """How far tonight is from what was expected, signed."""
    if row.effect is None:
        return "–"
    if math.isinf(row.effect):
        return "fails"
    return f"{row.effect * 100:+.1f} pt" if row.unit == "share" else f"{row.effect * 100:+.0f} %"


def _painted(word: str, verdict: str, colour: bool) -> str:
    return f"\x1b[{_COLOUR[verdict]}m{word}\x1b[0m" if colour else word


def as_dict(result: GateResult) -> dict[str, Any]:
    """The result as plain data. A percentile that is a failed request is written as the word `fails`; unknown is null."""
    return {
        **asdict(result),
        "rows": [{key: _plain(value) for key, value in asdict(row).items()} for row in result.rows],
    }


def _plain(value: Any) -> Any:
    return "fails" if isinstance(value, float) and math.isinf(value) else value


def baseline_text(content: Mapping[str, Any]) -> str:
    """A baseline file for people: its figures, what they are of, and its changes."""
    nights = content["nights"]
    lines = [f"{plural(len(nights), 'night')}, {nights[0]['date']} to {nights[-1]['date']}"]
    lines += [f"  {key}: {value}" for key, value in content["of_run"].items()]
    for target, facts in content["of_target"].items():
        lines += ["", f"{target}  ({', '.join(f'{key} {value}' for key, value in facts.items())})"]
        for gated in GATED:
            found = [night["targets"].get(target, {}).get(gated.name) for night in nights]
            known = [figure for figure in found if figure]
            if known:
                middle = sorted(figure["value"] for figure in known)[len(known) // 2]
                n = sum(figure["n"] for figure in known)
                lines.append(
                    f"  {gated.label:<18}{shown(middle, gated.unit):>12}   n {n:,} in {plural(len(known), 'night')}"
                )
    lines += ["", "changes"]
    lines += [f"  {change['at'][:10]}  {change['author']}: {change['reason']}" for change in content["changes"]]
    wrapped = [part for line in lines for part in (textwrap.wrap(line, 100, subsequent_indent="    ") or [""])]
    return "\n".join(part.translate(_UNSEEN) for part in wrapped) + "\n"
