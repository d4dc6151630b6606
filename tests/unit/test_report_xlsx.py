"""The workbook: real numbers beside their ends, in the form that the other formats print, and nothing that is a formula."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import lru_cache

import openpyxl
import pytest

from bench import report
from bench.report.document import Document, Entry, Grid, GridRow
from bench.report.formats import xlsx
from tests.unit.test_report_document import example

HOSTILE = ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", '=HYPERLINK("http://evil.example","x")', "http://evil.example"]


def opened(document: Document):
    return openpyxl.load_workbook(io.BytesIO(xlsx.render(document)))


@lru_cache(maxsize=1)
def book():
    return opened(example()[1])


def shown(value: float, form: str) -> str:
    """What a spreadsheet makes of a number in this form, for the forms that are used."""
    percent = "%" in form
    places = len(m.group(1)) if (m := re.search(r"0\.(0+)", form)) else 0
    return f"{value * (100 if percent else 1):,.{places}f}"


def number(text: str) -> float:
    return float(text.replace(",", "").lstrip("$"))


def test_every_figure_of_the_comparison_is_the_number_that_the_other_formats_print():
    table, made = example()
    sheet = book()["comparison"]
    heads = {cell.value: cell.column for cell in sheet[3]}
    lines = {row[0].value: row for row in sheet.iter_rows(min_row=4)}
    (grid,) = [one for one in made.grids() if one.id == "comparison"]
    seen = 0
    for row in table.rows:
        for column, metric in zip(grid.columns[2:], table.columns, strict=True):
            at = next(at for head, at in heads.items() if head in (metric.label, f"{metric.label} ({column.sign})")) - 1
            figure = report.cell_figure(row.cells[metric.name])
            low, _, high = figure.interval.partition("–")
            for field, text in zip(lines[row.target][at : at + 3], (figure.text, low, high), strict=True):
                if any(digit.isdigit() for digit in text):
                    assert number(shown(field.value, field.number_format)) == number(text)
                    seen += 1
                else:
                    assert not isinstance(field.value, int | float)
    assert seen > 100


def test_every_sheet_says_that_the_run_was_simulated_and_can_be_printed():
    for sheet in book():
        assert sheet["A1"].value.startswith("SIMULATED: ")
        assert sheet.page_setup.orientation == "landscape"
        assert "sha256" in sheet.oddFooter.left.text
        assert sheet.oddFooter.center.text == "SIMULATED"
    frozen = {sheet.title: (sheet.freeze_panes, sheet.auto_filter.ref, sheet.print_title_rows) for sheet in book()}
    assert frozen["comparison"][0] == "C4"
    assert frozen["comparison"][1].startswith("A3:")
    assert frozen["every figure"][2] == "$3:$3"


def test_there_are_no_formulas_links_or_macros_whatever_a_text_begins_with():
    _, made = example()
    grid = Grid("figures", "=cmd", example()[1].front[0].columns[:1], tuple(GridRow((Entry(t),)) for t in HOSTILE))
    hostile = replace(made, title="=2+2", verdict="@x", front=(grid, *made.front), counts="=A1")
    for sheet in opened(hostile):
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
    sheet = opened(hostile)["=cmd"]
    assert [cell.value for cell in sheet["A"]][3:] == HOSTILE


def test_names_of_sheets_are_legal_and_differ():
    _, made = example()
    columns = example()[1].front[0].columns[:1]
    long = "against a/very[long]:name*of?a\\target, and another of it"
    grids = tuple(Grid(f"against-{i}", long, columns, ()) for i in range(12))
    titles = opened(replace(made, front=grids)).sheetnames
    assert len(set(titles)) == len(titles)
    assert all(len(title) <= 31 and not re.search(r"[\[\]:*?/\\]", title) for title in titles)


@pytest.mark.parametrize(
    ("entry", "form"),
    [
        (Entry("1,452", 1452.2, unit="ms"), "#,##0"),
        (Entry("7.25", 7.2512, unit="ms"), "#,##0.00"),
        (Entry("99.7", 0.9968, unit="share"), "#,##0.0%"),
        (Entry("$0.00931", 0.009312, unit="USD"), '"$"#,##0.00000'),
        (Entry("1.31×", 1.3074, unit="ratio"), '#,##0.00"×"'),
        (Entry("+2 pt", 0.0222, unit="points"), "+#,##0%;-#,##0%;#,##0%"),
        (Entry("1800", 1755.3, unit="ms"), "#,##0"),
    ],
)
def test_numbers_show_the_places_that_the_text_has(entry, form):
    assert xlsx.number_format(entry) == form


def test_ends_are_rounded_outwards_as_everywhere():
    entry = Entry("1800", 1755.3, 1451.8, None, "ms", "1400–∞")
    assert xlsx.printed(entry) == (1800.0, 1400.0, None)
    entry = Entry("−2.1 pt", -0.0213, -0.0449, 0.0021, "points", "−4.5 to +0.3")
    assert xlsx.printed(entry) == (-0.021, -0.045, 0.003)
