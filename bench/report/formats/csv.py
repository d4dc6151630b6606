"""Every figure as a line of its own, unrounded, for spreadsheets and programs.

    part        target, comparison, scorer, bar, level, slice or slice comparison
    slice       the slice or level, empty outside
    target      baseline     against whom, in comparisons
    metric      label        the figure's name in the data, and as it is shown
    value low high           in the base unit of `unit` (ms, shares of 1, USD); empty: not known, not bounded; inf: a percentile
                             that is a failed request
    n n_eff     method       what it rests on
    verdict     warnings     warnings are joined with semicolons
    simulated   partial      yes, or why; empty otherwise

A field that begins like a formula gets an apostrophe in front, or a spreadsheet would calculate it: the names of targets and
models come from outside. Numbers are never touched.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from bench.metrics import BY_NAME
from bench.report import levels_in_order, scorer_cells
from bench.report.document import Document
from bench.stats.types import Cell, Comparison, Row, Table

FIELDS = ("part", "slice", "target", "baseline", "metric", "label", "value", "low", "high", "unit", "n", "n_eff", "method",
          "verdict", "warnings", "simulated", "partial")  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(document: Document) -> bytes:
    table = document.table
    always = {"simulated": "yes" if table.simulated else "", "partial": table.partial or ""}
    file = io.StringIO()
    out = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
    out.writeheader()
    for line in _lines(table):
        out.writerow({name: _field(value) for name, value in {**line, **always}.items()})
    return file.getvalue().encode()


def _lines(table: Table) -> Iterator[Mapping[str, Any]]:
    for row in table.rows:
        yield from _row("target", "", row)
    for comparison in table.comparisons:
        yield _comparison("comparison", "", comparison)
    for one in table.judged:
        for base, metric, label, cell in scorer_cells(one):
            yield _cell(cell, part="scorer", target=one.target, baseline=base, metric=metric, label=label)
        for bar in one.bars:
            yield {
                "part": "bar",
                "target": one.target,
                "metric": f"bar:{bar.words}",
                "label": bar.words,
                "verdict": bar.verdict,
            }
    for level in levels_in_order(table):
        for name, cell in level.cells.items():
            yield _cell(cell, part="level", slice=f"{level.level:g}", target=level.target, metric=name, label=name)
    for part in table.slices:
        for row in part.rows:
            yield from _row("slice", part.label, row)
        for comparison in part.comparisons:
            yield _comparison("slice comparison", part.label, comparison)


def _row(part: str, label: str, row: Row) -> Iterator[Mapping[str, Any]]:
    for name, cell in row.cells.items():
        yield _cell(cell, part=part, slice=label, target=row.target, metric=name, label=BY_NAME[name].label)


def _cell(cell: Cell, **where: str) -> Mapping[str, Any]:
    numbers = {name: getattr(cell, name) for name in ("value", "low", "high", "unit", "n", "n_eff", "method")}
    return {**where, **numbers, "warnings": "; ".join(cell.warnings)}


def _comparison(part: str, label: str, one: Comparison) -> Mapping[str, Any]:
    names = ("target", "baseline", "metric", "label", "value", "low", "high", "unit", "n", "n_eff", "method")
    said = {name: getattr(one, name) for name in names}
    return {"part": part, "slice": label, **said, "verdict": one.verdict or "", "warnings": one.reason}


def _field(value: Any) -> Any:
    """Numbers with all their digits; None as nothing; text that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
