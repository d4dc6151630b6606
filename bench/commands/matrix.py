"""The portability matrix in words: a table for a terminal of any width, plain data, and the page of the manual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from bench.portability import FEATURES, Column, Matrix, State

MARKS: dict[State, str] = {"pass": "✓", "degraded": "~", "absent": "–", "unknown": "?"}
HEADS: dict[State, str] = {
    "degraded": "Degraded (~): it runs, and this is what to know",
    "absent": "Absent (–): a workload that asks for it does not run there, and a count or a stream is not to be had",
    "unknown": "Unknown (?)",
    "pass": "Passes (✓), with these values",
}
CELL = 3
GAP = 3
LEAST_COLUMNS = 4
"""Of a block: on anything narrower the terminal has to wrap by itself."""


def text(matrix: Matrix, width: int) -> str:
    """The matrix in blocks that fit the width: doors by number, then every reason with the numbers it holds for."""
    return "\n".join(_lines(matrix, width)).rstrip()


def _lines(matrix: Matrix, width: int) -> Iterator[str]:
    about = f"the model {matrix.model}" if matrix.model else "any model that takes it (--model M for one)"
    head = f"What each door carries, for {about}. Told by the code that a run goes through; nothing is sent."
    yield from wrap(head, width, break_on_hyphens=False)
    yield ""
    number = {column: n for n, column in enumerate(matrix.columns, 1)}
    yield from _legend([f"{n:>2}  {column}" for column, n in number.items()], width)
    label = max(len(feature.name) for feature in FEATURES)
    fits = max(LEAST_COLUMNS, (width - label) // CELL)
    blocks = -(-len(matrix.columns) // fits)
    each = -(-len(matrix.columns) // max(1, blocks))  # blocks of like width
    for at in range(0, len(matrix.columns), each):
        part = matrix.columns[at : at + each]
        yield ""
        yield " " * label + "".join(f"{number[column]:>{CELL}}" for column in part)
        for feature in FEATURES:
            marks = "".join(f"{MARKS[matrix.cells[feature.name, column].state]:>{CELL}}" for column in part)
            yield f"{feature.name:<{label}}{marks}"
    for state, head in HEADS.items():
        reasons = [(name, why, columns) for name, why, columns in matrix.reasons(state) if why]
        if reasons:
            yield ""
            yield from wrap(head, width)
        for name, why, columns in reasons:
            yield from _hanging(f"{name} ({_numbers([number[c] for c in columns])}): {why}", width)
    if matrix.notes:
        yield ""
        yield "Notes"
        for note, columns in matrix.notes:
            yield from _hanging(f"({_numbers([number[c] for c in columns])}) {note}", width)
    if matrix.elsewhere:
        yield ""
        yield from wrap(
            f"The registry knows no {matrix.model} at: {', '.join(matrix.elsewhere)}", width, break_on_hyphens=False
        )


def _legend(items: Sequence[str], width: int) -> Iterator[str]:
    """The items in columns, down and then across."""
    wide = max(map(len, items), default=0) + GAP
    across = max(1, (width + GAP) // wide)
    deep = -(-len(items) // across)
    for row in range(deep):
        yield "".join(f"{item:<{wide}}" for item in items[row::deep]).rstrip()


def _hanging(line: str, width: int) -> list[str]:
    return wrap(line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _numbers(numbers: Sequence[int]) -> str:
    """`1, 2, 3, 5` as `1-3, 5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def data(matrix: Matrix) -> dict[str, Any]:
    """The same for other programs."""

    def place(column: Column) -> dict[str, Any]:
        return {"door": column.door, "dialect": column.dialect}

    return {
        "model": matrix.model,
        "columns": [{**place(column), "model_id": column.model_id} for column in matrix.columns],
        "features": [{"name": feature.name, "meaning": feature.meaning} for feature in FEATURES],
        "cells": [
            {"feature": name, **place(column), "state": cell.state, "why": cell.why}
            for (name, column), cell in matrix.cells.items()
        ],
        "notes": [{"text": note, "columns": [place(column) for column in columns]} for note, columns in matrix.notes],
        "elsewhere": list(matrix.elsewhere),
    }


def page(matrix: Matrix) -> str:
    """docs/portability.md."""
    columns = list(matrix.columns)
    out = [
        "# Portability",
        "",
        "Printed by `scripts/docs.py` from the code that a run goes through (`bench/portability.py`): what each dialect refuses",
        "or leaves out, what `encode` makes of a small case, what each door says of service tiers, and golden replies. A test",
        "sends every cell that passes to its door's look-alike, which refuses what the vendor's documentation says is refused.",
        "None was sent to a cloud for this page.",
        "",
        "It holds for a model that takes the feature. `bench targets --features --model claude-sonnet-5-5` is for one model,",
        "with what the registry knows that it refuses. A workload that asks for what is absent does not run at that target,",
        "and says why before anything is sent. One that is degraded runs, and the table says so.",
        "",
        "✓ passes · ~ degraded · – absent",
        "",
        "| feature | " + " | ".join(f"{n}" for n in range(1, len(columns) + 1)) + " |",
        "|---|" + ":-:|" * len(columns),
    ]
    for feature in FEATURES:
        marks = " | ".join(MARKS[matrix.cells[feature.name, column].state] for column in columns)
        out.append(f"| {feature.name} | {marks} |")
    out += ["", "| | door | dialect |", "|--:|---|---|"]
    out += [f"| {n} | `{column.door}` | `{column.dialect}` |" for n, column in enumerate(columns, 1)]
    out += ["", "| feature | what it is |", "|---|---|"]
    out += [f"| {feature.name} | {feature.meaning} |" for feature in FEATURES]
    for state, head in HEADS.items():
        reasons = [(name, why, found) for name, why, found in matrix.reasons(state) if why]
        if reasons:
            out += ["", f"## {head}", "", "| feature | columns | why |", "|---|---|---|"]
        for name, why, found in reasons:
            out.append(f"| {name} | {_numbers([columns.index(column) + 1 for column in found])} | {why} |")
    return "\n".join(out) + "\n"
