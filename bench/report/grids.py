"""The table's cells as grids of a document: each figure as it is read, and as a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bench import report
from bench.metrics import BY_NAME, DISPLAY, METRICS, UNKNOWN, Metric, figure
from bench.report.document import Column, Entry, Grid, GridRow, Note, Tone
from bench.stats.types import Cell, Comparison, Row, Table
from bench.stats.verdicts import BAD, GOOD

_SUPERSCRIPTS = re.compile("·")


def count(n: int | None) -> Entry:
    return Entry(UNKNOWN if n is None else f"{n:,}", None if n is None else float(n))


def words(text: str) -> Entry:
    return Entry(text or UNKNOWN)


def name(row: Row) -> Entry:
    return Entry(row.target, under=row.region or row.provider)


def entry(cell: Cell, marks: tuple[str, ...] = ()) -> Entry:
    shown = report.cell_figure(cell)
    return Entry(shown.text, cell.value, cell.low, cell.high, cell.unit, shown.interval, marks)


def reading(value: float, low: float | None, high: float | None, unit: str) -> Entry:
    shown = figure(value, low, high, unit)
    return Entry(shown.text, value, low, high, unit, shown.interval)


def tone_of(comparison: Comparison) -> Tone:
    if comparison.value is None and comparison.n == 0:
        return ""
    stem = (comparison.verdict or "").removesuffix("_small")
    if stem in GOOD:
        return "good"
    if stem in BAD:
        return "bad"
    return "same" if stem == "equivalent" else "unclear" if stem == "inconclusive" else ""


def verdict(comparison: Comparison | None) -> Entry:
    if comparison is None:
        return Entry("")
    shown = report.comparison_figure(comparison)
    return Entry(shown.text, comparison.value, comparison.low, comparison.high, comparison.unit, shown.interval,
                 words=report.verdict_words(comparison), tone=tone_of(comparison))  # fmt: skip


def metric_column(metric: Metric) -> Column:
    return Column(metric.label, "figure", metric.unit, report.unit_sign(metric), metric.definition)


def figures(table: Table, grid_id: str, caption: str) -> Grid:
    """One row per target, one column per figure of the first screen."""
    marks = report.footnotes(table)
    columns = (Column("target", "name"), Column("n", "number", meaning="Requests that count, and their blocks."))
    rows = tuple(
        GridRow(
            (
                name(row),
                Entry(f"{row.n:,}", float(row.n), under=f"{row.blocks:,} blocks"),
                *(entry(row.cells[m.name], _marks(marks.of_cell.get((row.target, m.name), ""))) for m in table.columns),
            ),
            row.target,
        )
        for row in table.rows
    )
    notes = [Note(text, mark) for mark, text in marks.notes] + [Note(text, tone="warning") for text in marks.throughout]
    return Grid(grid_id, caption, (*columns, *map(metric_column, table.columns)), rows, tuple(notes))


def _marks(text: str) -> tuple[str, ...]:
    return tuple(part for part in _SUPERSCRIPTS.split(text) if part)


def compared(table: Table, prefix: str) -> Iterable[Grid]:
    """One grid per baseline: ratios and differences with their intervals and verdicts."""
    labels = report.comparison_labels(table)
    for i, (baseline, targets) in enumerate(report.by_baseline(table).items(), start=1):
        columns = [Column("target", "name")]
        for metric, label in labels.items():
            first = next((c[metric] for c in targets.values() if metric in c), None)
            unit = first.unit if first else "ratio"
            columns.append(Column(label, "verdict", unit, "", _against(metric, unit)))
        rows = tuple(
            GridRow((Entry(target), *(verdict(found.get(metric)) for metric in labels)), target)
            for target, found in targets.items()
        )
        yield Grid(
            f"{prefix}-{i}", f"Against {baseline}: ratio or difference, 95 % interval, verdict", tuple(columns), rows
        )


def _against(metric: str, unit: str) -> str:
    how = "the target's divided by the baseline's" if unit == "ratio" else "the target's less the baseline's"
    return f"{BY_NAME[metric].label}: {how}, over the same prompts."


def levels(table: Table) -> Grid:
    shown = report.level_columns(table)
    columns = [Column("target", "name"), Column("level", "number", meaning="Requests per second offered, or in flight."),
               Column("n", "number")]  # fmt: skip
    first = table.levels[0].cells
    for key, heading in shown.items():
        unit = first[key].unit
        columns.append(Column(heading, "figure", unit, DISPLAY[unit].sign))
    columns.append(Column("slo", "text", meaning="Whether every limit of the workload's slo held at this level."))
    rows = tuple(
        GridRow(
            (
                Entry(one.target),
                Entry(f"{one.level:g}", one.level),
                Entry(f"{one.n:,}", float(one.n), under=f"{one.blocks:,} blocks"),
                *(entry(one.cells[key]) for key in shown),
                Entry(report.slo_words(one)),
            ),
            one.target,
        )
        for one in report.levels_in_order(table)
    )
    return Grid("levels", "Every level of load by itself", tuple(columns), rows)


def slices(table: Table) -> Iterable[Grid]:
    """Per target: its figures in every slice, then how they compare; without verdicts."""
    for i, (heading, one) in enumerate(report.slice_tables(table), start=1):
        target = heading.removesuffix(f" by {table.sliced_by} (exploratory)")
        made = [figures(one, f"slice-{i}", heading), *compared(one, f"slice-{i}-against")]
        for grid in made:
            # Rows are slices: all of them are of this one target.
            rows = tuple(GridRow(row.entries, target) for row in grid.rows)
            first = Column(table.sliced_by, "name")
            yield Grid(grid.id, _exploratory(grid.caption, target), (first, *grid.columns[1:]), rows, grid.notes)


def _exploratory(caption: str, target: str) -> str:
    baseline = caption.partition(":")[0]
    return f"{target}, {baseline[0].lower()}{baseline[1:]} (exploratory)" if caption.startswith("Against ") else caption


def everything(table: Table) -> Grid:
    """Every cell of every target and every comparison, with what it rests on."""
    columns = (
        Column("target", "name"), Column("figure"), Column("value", "figure"), Column("unit"), Column("n", "number"),
        Column("n_eff", "number", meaning="What the n rows are worth once rows of one block count as alike as they are."),
        Column("method"), Column("caveats"),
    )  # fmt: skip
    rows = [
        GridRow((Entry(row.target), Entry(m.label), entry(cell), _unit(cell.unit), count(cell.n), _worth(cell.n_eff),
                 words(cell.method), Entry("; ".join(cell.warnings))), row.target)
        for row in table.rows for m in METRICS if (cell := row.cells.get(m.name)) is not None
    ]  # fmt: skip
    rows += [
        GridRow((Entry(c.target), Entry(f"{c.label} against {c.baseline}"), verdict(c), _unit(c.unit), count(c.n),
                 _worth(c.n_eff), words(c.method), Entry(_caveat(c))), c.target)
        for c in table.comparisons
    ]  # fmt: skip
    return Grid("figures", "Every figure, with what it rests on", columns, tuple(rows), folded=True)


def _unit(unit: str) -> Entry:
    return Entry(DISPLAY[unit].sign or unit)


def _worth(n_eff: float | None) -> Entry:
    return Entry(UNKNOWN) if n_eff is None else Entry(f"{n_eff:,.0f}", n_eff)


def _caveat(c: Comparison) -> str:
    parts = [c.reason, "" if c.primary else "exploratory", f"p = {c.p_raw:.2g}" if c.p_raw is not None else "",
             f"Holm {c.p_holm:.2g}" if c.p_holm is not None else "",
             f"Benjamini-Hochberg {c.p_bh:.2g}" if c.p_bh is not None else ""]  # fmt: skip
    return "; ".join(part for part in parts if part)


def pairs(grid_id: str, caption: str, facts: Mapping[str, str] | Sequence[tuple[str, str]]) -> Grid:
    """A grid of two columns: what, and its value."""
    items = facts.items() if isinstance(facts, Mapping) else facts
    rows = tuple(GridRow((Entry(what), Entry(value))) for what, value in items if value)
    return Grid(grid_id, caption, (Column("what", "name"), Column("value")), rows)
