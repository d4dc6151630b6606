"""Every format has every figure of the table, and no text from outside becomes more than text in any of them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from html import unescape

import openpyxl
import pytest
from markdown_it import MarkdownIt
from pypdf import PdfReader

from bench import report
from bench.metrics import BY_NAME, figure
from bench.report import grids, svg
from bench.report.data import INFINITE
from bench.report.document import Chart, Document, Section, Watermark
from bench.report.formats import renderer
from bench.report.plots import files
from bench.stats.types import Bar, Cell, Judged, Row, Table

from .report_examples import HOSTILE, stored_example

MARKED = ("<img src=x onerror=alert(1)>", '" onload="alert(2)', "&lt;b&gt;]]>", "x</title><script>alert(3)</script>")


@cache
def made() -> Document:
    """The stored example, its workload with bars of its own, one of each word."""
    document = stored_example()
    words = ("met", "missed", "open", "unknown", "met")
    judged = tuple(replace(one, bars=(Bar("answer at least 80 %", word),))
                   for one, word in zip(document.table.judged, words, strict=True))  # fmt: skip
    table = replace(document.table, judged=judged)
    price = next(section for section in document.sections if section.id == "price")
    blocks = (*(block for block in price.blocks if isinstance(block, Chart)),
              *grids.cost(table, {"anthropic": ("one@2026-01-01",)}), *grids.scorers(table))  # fmt: skip
    every = Section("every-figure", "Every figure", (grids.everything(table),))
    sections = tuple(replace(price, blocks=blocks) if one.id == "price" else every if one.id == every.id else one
                     for one in document.sections)  # fmt: skip
    return replace(document, table=table, sections=sections)


def cells(table: Table) -> list[tuple[str, str, str, Cell]]:
    """(target, baseline, name, figure) of every target's figures and of what the scorers say."""
    found = [(row.target, "", name, cell) for row in table.rows for name, cell in row.cells.items()]
    return found + [
        (one.target, base, name, cell) for one in table.judged for base, name, _, cell in report.scorer_cells(one)
    ]


def markdown_rows() -> list[list[str]]:
    """The fields of every row of every table of the Markdown, as GitHub would lay them out, without markup."""
    parser = MarkdownIt("commonmark").enable("table")
    page = parser.render(renderer("md")(made()).decode())
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "|", field) for field in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
            for row in rows]  # fmt: skip


# ---------------------------------------------------------------- the figures


def test_json_has_every_figure_as_computed():
    told = json.loads(renderer("json")(made()))
    table = made().table

    def same(stored: dict, cell: Cell) -> None:
        for key in ("value", "low", "high", "n", "n_eff"):
            value = getattr(cell, key)
            assert stored[key] == (INFINITE if isinstance(value, float) and math.isinf(value) else value)

    for stored, row in zip(told["rows"], table.rows, strict=True):
        assert list(stored["cells"]) == list(row.cells)
        for name, cell in row.cells.items():
            same(stored["cells"][name], cell)
    for stored, one in zip(told["judged"], table.judged, strict=True):
        for part in ("scorers", "differences", "undelivered"):
            assert list(stored[part]) == list(getattr(one, part))
            for name, cell in getattr(one, part).items():
                same(stored[part][name], cell)
    assert [c["value"] for c in told["comparisons"]] == [c.value for c in table.comparisons]


def test_csv_has_every_figure_of_targets_and_scorers_and_every_bar():
    lines = list(csv.DictReader(io.StringIO(renderer("csv")(made()).decode())))
    found = {
        (one["target"], one["baseline"], one["metric"]): one for one in lines if one["part"] in ("target", "scorer")
    }
    asked = cells(made().table)
    assert len(found) == len(asked)
    for target, base, name, cell in asked:
        line = found[target, base, name]
        shown = [None if line[key] == "" else float(line[key]) for key in ("value", "low", "high")]
        assert shown == [cell.value, cell.low, cell.high], (target, name)
    bars = [(one["target"], one["label"], one["verdict"]) for one in lines if one["part"] == "bar"]
    assert bars == [(one.target, "answer at least 80 %", one.bars[0].verdict) for one in made().table.judged]


def test_markdown_has_the_figures_of_the_first_screen_the_scorers_and_the_money():
    rows = markdown_rows()
    table = made().table
    for row in table.rows:
        (fields,) = [
            one
            for one in rows
            if one[0].strip("|").partition("|")[0] == row.target and len(one) == 2 + len(table.columns)
        ]
        for metric, text in zip(table.columns, fields[2:], strict=True):
            shown = report.cell_figure(row.cells[metric.name])
            assert [part for part in text.lstrip("¹²³").split("|") if part] == [
                p for p in (shown.text, shown.interval) if p
            ]
    every = "\n".join(" ".join(one) for one in rows)
    for one in table.judged:
        for cell in one.scorers.values():
            assert report.cell_figure(cell).interval in every
    for row in table.rows:
        if row.cells["usd_per_success"].value is not None:
            assert report.cell_figure(row.cells["usd_per_success"]).interval in every
    assert "one@2026-01-01" in every.replace("|", "")


@pytest.mark.parametrize("name", ["html", "pdf", "xlsx"])
def test_scorers_bars_and_money_stand_in_the_formats_of_the_document(name):
    sections = tuple(one for one in made().sections if one.id in ("price", "words"))
    content = renderer(name)(replace(made(), front=(), sections=sections))
    if name == "html":
        text = unescape(re.sub(r"<[^>]+>", "", content.decode()))
    elif name == "pdf":
        text = "".join("".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(content)).pages)
    else:
        book = openpyxl.load_workbook(io.BytesIO(content))
        assert {"cost", "scorers", "scorers against 1", "bars"} <= set(book.sheetnames)
        text = " ".join(str(field) for sheet in book for row in sheet.iter_rows(values_only=True) for field in row)
        fields = {f for sheet in book for row in sheet.iter_rows(values_only=True) for f in row if isinstance(f, float)}
    for one in made().table.judged:
        for cell in one.scorers.values():
            shown = report.cell_figure(cell)
            if name == "xlsx":
                assert round(float(shown.text) / 100, 9) in {round(f, 9) for f in fields}
            else:
                assert shown.text in text
                assert shown.interval in text
    for word in (
        "answer at least 80 %",
        "one@2026-01-01",
        BY_NAME["usd_per_success"].definition,
        "no price known for this target",
    ):
        assert "".join(word.split()) in "".join(text.split())


def test_every_label_of_every_figure_is_in_the_list_of_words():
    document = made()
    terms = {
        word
        for section in document.sections
        if section.id == "words"
        for block in section.blocks
        for word, _ in block.items
    }
    shown = {BY_NAME[name].label for row in document.table.rows for name in row.cells}
    assert shown <= terms
    assert len(terms) == sum(
        len(block.items) for section in document.sections if section.id == "words" for block in section.blocks
    )


def test_slices_that_a_page_has_no_room_for_are_counted():
    one = next(grid for grid in made().grids() if grid.id == "comparison")
    long = replace(one, rows=one.rows * 80)  # five targets, 400 rows: two tables are within 1,000, the third is not
    section = Section("slices", "Slices", tuple(replace(long, id=f"slice-{i}") for i in range(3)))
    page = renderer("html")(replace(made(), sections=(section,))).decode()
    assert [f'id="slice-{i}"' in page for i in range(3)] == [True, True, False]
    assert "1 table of slices left out for size" in page


def test_forty_targets_stand_on_pages_each_chart_on_one():
    chart = next(one for one in made().charts() if one.id == "outcomes")
    ticks = tuple((float(i), f"target-{i}") for i in range(40))
    tall = replace(chart, y=replace(chart.y, high=40.0, ticks=ticks))
    reader = PdfReader(
        io.BytesIO(renderer("pdf")(replace(made(), front=(), sections=(Section("r", "Reliability", (tall,)),))))
    )
    assert len(reader.pages) <= 2
    assert "target-39" in reader.pages[-1].extract_text()


def test_a_growth_may_lie_below_nothing():
    # a width of 67.6 points keeps two digits: whole points, the ends rounded outwards
    shown = figure(-0.161, -0.434, 0.242, "growth")
    assert (shown.text, shown.interval) == ("−16", "−44 to 25")
    assert figure(0.161, 0.1, 0.2, "growth").interval == "10–20"


# ---------------------------------------------------------------- text from outside


@cache
def hostile() -> Document:
    """The stored example under a stranger's words, wherever there is room for any."""
    document, text = made(), " ".join((*MARKED, *HOSTILE))
    chart = next(document.charts())
    chart = replace(chart, title=text, summary=text, x=replace(chart.x, label=text), watermark="SIMULATED",
                    series=tuple(replace(one, name=text) for one in chart.series))  # fmt: skip
    section = Section("speed", text, (chart,))
    table = replace(document.table, title=text, rows=document.table.rows[:1], comparisons=(), judged=(), notes=(text,))
    return replace(document, title=text, question=text, verdict=text, identity=text, counts=text, table=table,
                   answers=((text, text),), watermarks=(Watermark("SIMULATED", text),), front=(), sections=(section,))  # fmt: skip


def test_a_plot_file_holds_its_words_as_words():
    drawn = dict(files(hostile()))
    (name,) = [one for one in drawn if one.endswith(".svg")]
    root = ET.fromstring(drawn[name])
    title = hostile().title
    assert root.attrib["aria-label"] == f"{title}. {title}"
    assert {element.tag.partition("}")[2] for element in root.iter()} <= {
        "svg", "style", "rect", "clipPath", "text", "line", "g", "polyline", "path"}  # fmt: skip
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    assert any(element.text == title for element in root.iter())
    assert drawn[name.replace(".svg", ".png")].startswith(b"\x89PNG")


def test_a_drawing_in_the_page_keeps_its_words_in_its_attributes():
    chart = next(hostile().charts())
    root = ET.fromstring(svg.draw(chart, svg.WIDE, {}))
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]


def test_pages_keep_a_title_as_it_is_in_what_they_say_of_themselves():
    reader = PdfReader(io.BytesIO(renderer("pdf")(hostile())))
    assert reader.metadata.title == hostile().title
    assert reader.metadata.subject == hostile().question
    assert "/JavaScript" not in str(reader.trailer["/Root"])
    assert not [one for page in reader.pages for one in page.get("/Annots", ())]


def test_a_table_for_github_holds_words_alone():
    page = MarkdownIt("commonmark").enable("table").render(renderer("md")(hostile()).decode())
    assert not re.search(r"<(script|img|a|style|iframe)\b", page)
    assert "alert(1)" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_of_a_scorer_a_bar_or_a_price_entry_is_no_markup_either(text):
    table = made().table
    (one, *_), row = table.judged, table.rows[0]
    strange = Judged(text, None, {text: one.scorers["answer"]}, {}, one.undelivered, None, (Bar(text, "met"),))
    strange_row: Row = replace(row, target=text)
    small = replace(table, rows=(strange_row,), comparisons=(), judged=(strange,), slices=(), levels=())
    document = replace(hostile(), table=small, sections=(
        Section("price", "Price", (*grids.cost(small, {text: (text,)}), *grids.scorers(small))),))  # fmt: skip
    page = renderer("html")(document).decode()
    assert page.count("<script") == 2
    assert "<img" not in page
    book = openpyxl.load_workbook(io.BytesIO(renderer("xlsx")(document)))
    assert not [field for sheet in book for row in sheet.iter_rows() for field in row if field.data_type == "f"]
    lines = list(csv.DictReader(io.StringIO(renderer("csv")(document).decode())))
    assert not [field for line in lines for field in line.values() if field.startswith(("=", "+", "@"))]
    marked = MarkdownIt("commonmark").enable("table").render(renderer("md")(document).decode())
    assert not re.search(r"<(script|img|a|style)\b", marked)
