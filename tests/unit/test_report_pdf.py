"""The pages: every figure of the first screen, numbered, each with what run it is of and whether it was simulated."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache

import pytest
from pypdf import PdfReader

from bench import report
from bench.report.formats import pdf
from tests.unit.test_report_document import example


@lru_cache(maxsize=1)
def content() -> bytes:
    return pdf.render(example()[1])


@lru_cache(maxsize=1)
def pages() -> tuple[str, ...]:
    return tuple(page.extract_text() for page in PdfReader(io.BytesIO(content())).pages)


def test_every_figure_of_the_table_is_on_the_first_page_as_printed_elsewhere():
    table, _ = example()
    words = pages()[0].split()
    for row in table.rows:
        assert row.target in words
        for metric in table.columns:
            figure = report.cell_figure(row.cells[metric.name])
            assert any(word.startswith(figure.text) for word in words), (row.target, metric.name, figure)
            assert not figure.interval or figure.interval in words, (row.target, metric.name, figure)


def test_every_page_is_numbered_and_says_which_run_and_that_it_was_simulated():
    _, made = example()
    for i, text in enumerate(pages(), start=1):
        assert f"{i} / {len(pages())}" in text
        assert made.identity in text
        assert text.count("SIMULATED") >= 2  # in the margin, and across the page


def test_sections_are_in_the_outline_and_the_language_and_title_are_told():
    _, made = example()
    reader = PdfReader(io.BytesIO(content()))
    assert [item.title for item in reader.outline] == [section.title for section in made.sections]
    assert reader.metadata.title == made.title
    assert reader.root_object["/Lang"] == "en"


def test_charts_are_drawings_with_text_that_can_be_searched():
    assert sum("seconds since the first request" in " ".join(text.split()) for text in pages()) == 1


@pytest.mark.parametrize(
    "text", ["<b>x</b> & <script>alert(1)</script>", "日本 → ⁴ \u202eabc", "a" * 300, "<para>", "&amp;"]
)
def test_hostile_words_are_words(text):
    _, made = example()
    row = replace(
        made.front[0].rows[0],
        entries=(replace(made.front[0].rows[0].entries[0], text=text), *made.front[0].rows[0].entries[1:]),
    )
    grid = replace(made.front[0], rows=(row,))
    made = replace(made, title=text, verdict=text, identity=text, counts=text, front=(grid,), sections=())
    shown = "".join(PdfReader(io.BytesIO(pdf.render(made))).pages[0].extract_text().split())
    if text.isascii():
        assert "".join(text.split()) in shown


def test_a_wide_table_is_parted_and_a_long_one_goes_on_with_its_headings():
    _, made = example()
    first = made.front[0]
    wide = replace(first, columns=first.columns + first.columns[2:], rows=tuple(
        replace(row, entries=row.entries + row.entries[2:]) for row in first.rows))  # fmt: skip
    long = replace(first, rows=first.rows * 10)
    text = [
        page.extract_text()
        for page in PdfReader(io.BytesIO(pdf.render(replace(made, front=(wide, long), sections=())))).pages
    ]
    assert "(2 of 2)" in "".join(text)
    assert len(text) > 2
    assert all("TTFT" in page for page in text)
