"""The table's cells as grids of a document: each figure as it is read, and as a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench import report
from bench.metrics import BY_NAME, DISPLAY, METRICS, UNKNOWN, Metric, figure, plural
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
                Entry(f"{row.n:,}", float(row.n), under=plural(row.blocks, "block")),
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


COST = ("usd_per_success", "usd_per_1m_input", "usd_per_1m_output", "failed_cost_share", "retried_cost_share",
        "reasoning_cost_share")  # fmt: skip
"""Figures of money beside those of the first screen."""


def cost(table: Table, entries: Mapping[str, Sequence[str]]) -> Iterable[Grid]:
    """What the money went for, with the entries of the price book that priced each target; nothing where nothing is priced."""
    shown, unknown = [], dict[str, list[str]]()
    priced = [row for row in table.rows if row.spent_usd]
    for metric in (BY_NAME[name] for name in COST):
        cells = [cell for row in priced if (cell := row.cells.get(metric.name)) is not None]
        if any(cell.value is not None for cell in cells):
            shown.append(metric)
        else:
            for why in dict.fromkeys(w for cell in cells for w in cell.warnings):
                unknown.setdefault(why, []).append(metric.label)
    if not priced:
        return
    made = figures(replace(table, columns=tuple(shown)), "cost", "What the money went for")
    columns = [
        Column(
            "spent",
            "number",
            "USD",
            "$",
            "Of all requests that count, retries included, as far as their cost is known.",
        )
    ]
    if entries:
        columns.append(Column("price entry", meaning="What of the price book priced this target's requests."))
    rows = tuple(
        GridRow(
            (*found.entries, _spent(row), *((words(", ".join(entries.get(row.target, ()))),) if entries else ())),
            row.target,
        )
        for row, found in zip(table.rows, made.rows, strict=True)
    )
    missing = [Note(f"not known: {', '.join(labels)} ({why})") for why, labels in unknown.items()]
    yield replace(made, columns=(*made.columns, *columns), rows=rows, notes=(*made.notes, *missing))


def _spent(row: Row) -> Entry:
    return Entry(UNKNOWN) if row.spent_usd is None else Entry(f"{row.spent_usd:,.4f}", float(row.spent_usd), unit="USD")


def scorers(table: Table) -> Iterable[Grid]:
    """What each scorer says, what was never delivered to them, how targets differ, and the workload's own bars."""
    if not report.shows_scorers(table):
        return
    names = list(table.judged[0].scorers)
    delivered = {name: f"Share of all requests that ended {name}." for name in report.UNDELIVERED}
    columns = (Column("target", "name"),
               *(Column(n, "figure", "share", "%", f"Mean of what {n} gave the replies it judged.") for n in names),
               *(Column(report.UNDELIVERED[n], "figure", "share", "%", why) for n, why in delivered.items()))  # fmt: skip
    rows = tuple(
        GridRow((Entry(one.target), *(entry(one.scorers[n]) for n in names), *(entry(one.undelivered[n]) for n in delivered)),
                one.target)
        for one in table.judged
    )  # fmt: skip
    yield Grid("scorers", "Every scorer: mean of the replies it judged; and what was not delivered", columns, rows)
    for i, baseline in enumerate(dict.fromkeys(one.baseline for one in table.judged if one.baseline), start=1):
        beside = [one for one in table.judged if one.baseline == baseline and (one.differences or one.length)]
        told = [n for n in names if any(n in one.differences for one in beside)]
        heads = (Column("target", "name"),
                 *(Column(n, "figure", "points", "points", f"{n}: the target's less the baseline's, over the requests that it "
                          "judged for both.") for n in told),
                 Column("output length", "figure", "ratio", "×", "Output tokens, of requests that both answered."))  # fmt: skip
        against = tuple(
            GridRow(
                (Entry(one.target), *(_apart(one.differences.get(n)) for n in told), _apart(one.length)), one.target
            )
            for one in beside
        )
        if against:
            yield Grid(
                f"scorers-against-{i}",
                f"Every scorer against {baseline}: difference, without a verdict",
                heads,
                against,
            )
    if found := report.bars_of(table):
        there = [w for w in BARS if any(w in by.values() for by in found.values())]
        met = tuple(
            GridRow((Entry(bar), *(Entry(", ".join(t for t, said in by.items() if said == word)) for word in there)))
            for bar, by in found.items()
        )
        yield Grid("bars", "The workload's own bars", (Column("bar", "name"), *map(Column, there)), met)


BARS = ("met", "missed", "open", "unknown")


def _apart(cell: Cell | None) -> Entry:
    if cell is None:
        return Entry("")
    shown = report.difference_figure(cell)
    return Entry(shown.text, cell.value, cell.low, cell.high, cell.unit, shown.interval)


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
                Entry(f"{one.n:,}", float(one.n), under=plural(one.blocks, "block")),
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
        GridRow((Entry(one.target), Entry(f"{label} against {base}" if base else label), _apart(cell) if base else entry(cell),
                 _unit(cell.unit), count(cell.n), _worth(cell.n_eff), words(cell.method), Entry("; ".join(cell.warnings))),
                one.target)
        for one in table.judged for base, _, label, cell in report.scorer_cells(one)
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
