"""The long form: every cell of the table, unrounded, and no field that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

from bench.report.formats import csv as form
from tests.unit.test_report_document import example


def lines(document):
    return list(csv.DictReader(io.StringIO(form.render(document).decode())))


def number(text):
    return None if text == "" else float(text)


def test_every_cell_and_comparison_is_there_with_all_its_digits():
    table, made = example()
    found = lines(made)
    cells = {(one["target"], one["metric"]): one for one in found if one["part"] == "target"}
    assert len(cells) == sum(len(row.cells) for row in table.rows)
    for row in table.rows:
        for name, cell in row.cells.items():
            line = cells[row.target, name]
            assert [number(line[key]) for key in ("value", "low", "high", "n_eff")] == [
                cell.value,
                cell.low,
                cell.high,
                cell.n_eff,
            ]
            assert (line["unit"], int(line["n"]), line["method"]) == (cell.unit, cell.n, cell.method)
    compared = [one for one in found if one["part"] == "comparison"]
    assert [number(one["value"]) for one in compared] == [c.value for c in table.comparisons]
    assert [one["verdict"] for one in compared] == [c.verdict or "" for c in table.comparisons]
    assert {one["simulated"] for one in found} == {"yes"}


def test_a_name_that_begins_like_a_formula_is_text_and_a_negative_number_stays_one():
    table, made = example()
    row = replace(table.rows[0], target="=HYPERLINK(1)")
    below = replace(table.comparisons[0], target="@x", value=-0.25)
    found = lines(replace(made, table=replace(table, rows=(row,), comparisons=(below,), judged=(), partial="-stopped")))
    assert {one["target"] for one in found} == {"'=HYPERLINK(1)", "'@x"}
    assert found[-1]["value"] == "-0.25"
    assert found[-1]["partial"] == "'-stopped"


def test_a_percentile_that_is_a_failed_request_is_infinite():
    table, made = example()
    cell = replace(table.rows[0].cells["ttft_p99_ms"], value=math.inf, high=None)
    row = replace(table.rows[0], cells={"ttft_p99_ms": cell})
    (line,) = lines(replace(made, table=replace(table, rows=(row,), comparisons=(), judged=())))
    assert (float(line["value"]), line["high"]) == (math.inf, "")
