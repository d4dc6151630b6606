"""A report's document: every figure in it is a cell of the table, and rows that are left out are counted in sight."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import report
from bench.report import axes
from bench.report.document import Chart, Document, Grid, Prose
from bench.stats.curves import curves, readings
from bench.stats.quantiles import quantile
from bench.stats.types import Table
from bench.store.columns import Columns
from bench.store.runs import open_run

from .report_examples import EXAMPLE, stored_example


def example() -> tuple[Table, Document]:
    made = stored_example()
    return made.table, made


def grid(made: Document, grid_id: str) -> Grid:
    return next(one for one in made.grids() if one.id == grid_id)


def chart(made: Document, chart_id: str) -> Chart:
    return next(one for one in made.charts() if one.id == chart_id)


def test_the_comparison_shows_every_cell_of_the_table_and_no_other_figure():
    table, made = example()
    shown = grid(made, "comparison")
    assert [column.header for column in shown.columns[2:]] == [metric.label for metric in table.columns]
    for row, found in zip(table.rows, shown.rows, strict=True):
        assert (found.target, found.entries[1].value) == (row.target, row.n)
        for metric, entry in zip(table.columns, found.entries[2:], strict=True):
            cell = row.cells[metric.name]
            assert (entry.value, entry.low, entry.high) == (cell.value, cell.low, cell.high)
            assert (entry.text, entry.interval) == (report.cell_figure(cell).text, report.cell_figure(cell).interval)


def test_curves_pass_through_the_cells_of_the_table():
    table, made = example()
    for kind, metrics in (("ttft", ("ttft_p50_ms", "ttft_p99_ms")), ("e2e", ("e2e_p50_ms", "e2e_p99_ms"))):
        shown = grid_of(chart(made, f"{kind}-distribution"))
        for row in table.rows:
            entries = shown[row.target]
            for p, metric in zip((0.5, 0.99), metrics, strict=True):
                cell = row.cells[metric]
                assert (entries[p].value, entries[p].low, entries[p].high) == (cell.value, cell.low, cell.high)
                assert entries[p].text == report.cell_figure(cell).text


def grid_of(one: Chart):
    ps = [column.quantile for column in one.data.columns]
    return {row.target: {p: e for p, e in zip(ps, row.entries, strict=True) if p} for row in one.data.rows}


@pytest.mark.parametrize("failing", [0, 3, 30])
def test_readings_are_the_quantiles_of_the_table(failing):
    rng = np.random.default_rng(3)
    values, blocks = rng.lognormal(0, 1, 200), np.repeat(np.arange(25), 8)
    values[rng.choice(200, failing, replace=False)] = np.inf
    for p in (0.05, 0.5, 0.9, 0.99, 0.999):
        found, expected = readings(values, blocks, (p,))[0], quantile(values, blocks, p)
        interval = expected.interval()
        assert (found.value, found.low, found.high) == (expected.estimate, interval.low, interval.high)


def test_the_rows_of_every_target_are_accounted_for():
    run = open_run(EXAMPLE)
    for one in curves(Columns((EXAMPLE,), "requests"), run.manifest, [0]):
        # 360 questions and two of the warm-up; a request has one outcome.
        assert (one.rows.stored, one.rows.counted, one.rows.warmup) == (362, 360, 2)
        assert (one.rows.spoiled, one.rows.bugs, one.rows.impossible) == (0, 0, 0)
        assert sum(one.outcomes.values()) == 360 == sum(moment.n for moment in one.course)
    assert example()[1].counts.startswith(
        "1,810 requests stored, 1,800 counted; left out: 10 of the warm-up, 0 spoiled"
    )


def test_every_grid_has_an_entry_per_column_and_every_id_is_given_once():
    made = example()[1]
    found = [*made.grids(), *(one.data for one in made.charts())]
    for one in found:
        assert all(len(row.entries) == len(one.columns) for row in one.rows), one.id
    ids = [one.id for one in (*found, *made.charts())] + [section.id for section in made.sections]
    assert len(ids) == len(set(ids))


def test_every_chart_says_that_it_is_simulated():
    made = example()[1]
    assert [mark.word for mark in made.watermarks] == ["SIMULATED"]
    assert {one.watermark for one in made.charts()} == {"SIMULATED"}


def test_every_drawn_point_lies_on_its_axes():
    for one in example()[1].charts():
        for series in one.series:
            for point in series.points:
                assert math.isfinite(point.x + point.y), (one.id, point)
                assert one.x.low - 1e-9 <= point.x <= one.x.high + 1e-9, (one.id, point)
                assert one.y.low - 1e-9 <= point.y <= one.y.high + 1e-9, (one.id, point)
                assert point.text


def test_the_question_the_verdict_and_its_uncertainty_are_sentences():
    made = example()[1]
    assert made.question.startswith("claude-sonnet-5-5 at 5 targets: which is ")
    assert made.verdict == (
        "Fastest first token: gateway, 451 ms at p50 (426–469); slower: vertex-global, anthropic, bedrock-us-east-1, foundry."
    )
    assert [about for about, _ in made.answers] == ["how sure", "what price"]


def test_where_there_is_nothing_to_draw_a_sentence_says_why():
    empty = [one for section in example()[1].sections for one in section.blocks if isinstance(one, Prose)]
    assert all(one.paragraphs for one in empty)


@pytest.mark.parametrize(
    ("values", "low", "high", "ticks"),
    [
        ([430, 3300], 400, 4000, ["500", "1,000", "2,000"]),
        ([1000, 1000], 600, 1500, ["600", "800", "1,000", "1,200", "1,500"]),  # a single value still has an axis
        ([0.19, 7], 0.15, 8, ["0.2", "0.5", "1", "2", "5"]),
        ([1, 10**6], 1, 10**6, ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]),
    ],
)
def test_a_logarithmic_axis_has_round_ends(values, low, high, ticks):
    axis = axes.log("ms", values)
    assert (axis.low, axis.high) == (pytest.approx(low), pytest.approx(high))
    assert [text for _, text in axis.ticks] == ticks


@pytest.mark.parametrize(
    ("values", "percent", "margin", "ticks"),
    [
        ([0, 1], True, False, ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
        ([0, 0.0138], True, False, ["0.0 %", "0.5 %", "1.0 %", "1.5 %"]),
        (
            [8.62, 9.51],
            False,
            True,
            ["8.4", "8.6", "8.8", "9.0", "9.2", "9.4", "9.6"],
        ),  # 0.08 of 0.89 of room at each end
        ([0, 0], False, False, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_a_linear_axis_has_round_ends(values, percent, margin, ticks):
    assert [text for _, text in axes.linear("x", values, percent, margin).ticks] == ticks
