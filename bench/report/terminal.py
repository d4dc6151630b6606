"""The table on a terminal: three answers first, then the figures with their intervals, then all that qualifies them.

From about 72 columns on, figures stand in panels that fit the width; below that, one target after the other.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from bench import report
from bench.metrics import Metric, plural
from bench.stats.types import Cell, Comparison, Level, Row, Table
from bench.stats.verdicts import BAD, GOOD

STACKED_BELOW = 72
_WIDEST_NAME = 26
_GAP = 2
"""Between columns: one of padding, one of the box's own."""

_UNSEEN = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
"""Control characters: a provider's words must not steer the reader's terminal."""

_VERDICT_STYLE = {"equivalent": "cyan", "inconclusive": "yellow"}
_SYMBOL = {"equivalent": "=", "inconclusive": "?"}


def render(table: Table, width: int, color: bool) -> str:
    """The whole table as text of at most `width` columns, with ANSI colours if `color`."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None,
        no_color=not color, legacy_windows=False, highlight=False, markup=False, emoji=False, _environ={},
    )  # fmt: skip
    with console.capture() as capture:
        for part in _parts(table, width):
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _parts(table: Table, width: int) -> list[RenderableType]:
    blank = Text("")
    banners = [_banner(word, meaning) for word, meaning in report.banners(table)]
    marks = report.footnotes(table)
    parts: list[RenderableType] = [*banners, *([blank] if banners else [])]
    parts += [_said(table.title, "bold"), *([_answers(table)] if table.answers else []), blank]
    parts += _stacked(table, marks, width) if width < STACKED_BELOW else _panels(table, marks, width)
    parts += [
        *_judged(table, width),
        *_levels(table, width),
        *_slices(table, width),
        *_notes(table, marks),
        *_footer(table),
    ]
    if table.answers:
        # A terminal shows the end of a long text: the answers stand there again.
        parts += [blank, _answers(table)]
    return [*parts, *([blank] if banners else []), *banners]


def _said(text: str, style: str = "") -> Text:
    """Words that may come from outside, as they are."""
    return Text(text.translate(_UNSEEN), style=style)


def _lines(*lines: Text) -> Text:
    return Text("\n").join(lines)


def _banner(word: str, meaning: str) -> Grid:
    grid = _hanging()
    grid.add_row(Text(f" {word} ", style="bold black on yellow"), _said(meaning, "yellow"))
    return grid


def _answers(table: Table) -> Grid:
    grid = _hanging()
    for question, answer in table.answers:
        grid.add_row(_said(question, "bold cyan"), _said(answer))
    return grid


def _hanging() -> Grid:
    """Two columns: a label, and text that wraps beside it."""
    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


# ---------------------------------------------------------------- wide: panels


_Column = tuple[Text, list[Text]]
"""A heading, and one text per target; both may have several lines."""


def _panels(table: Table, marks: report.Marks, width: int) -> list[RenderableType]:
    names = max((min(cell_len(row.target), _WIDEST_NAME) for row in table.rows), default=0)
    panels: dict[str, list[_Column]] = {}
    for panel, heading in report.PANELS.items():
        columns = [_column(metric, table.rows, marks) for metric in table.columns if metric.panel == panel]
        panels[heading] = [_counts(table.rows), *columns] if panel == "delivery" else columns
    labels = [_lines(_said(row.target, "bold"), _said(row.region or row.provider, "dim")) for row in table.rows]
    parts: list[RenderableType] = []
    for heading, group in _fitted(panels, names, width):
        parts += [_grid(heading, names, group, labels), Text("")]
    for baseline, targets in report.by_baseline(table).items():
        columns = [
            (Text(label, style="bold", justify="right"), [_compared(metrics.get(name)) for metrics in targets.values()])
            for name, label in report.comparison_labels(table).items()
        ]
        heading, labels = f"against {baseline}", [_said(target, "bold") for target in targets]
        for group in _cut(columns, max(names, min(cell_len(heading), _WIDEST_NAME)), width):
            parts += [_grid(heading, names, group, labels), Text("")]
    return parts


def _judged(table: Table, width: int) -> list[RenderableType]:
    """What each scorer says, what was never delivered, and the workload's bars."""
    if not report.shows_scorers(table):
        return []
    made: list[_Column] = [
        (Text.assemble((name, "bold"), "\n", ("%", "dim"), justify="right"),
         [_scored(one.scorers.get(name), one.differences.get(name)) for one in table.judged])
        for name in table.judged[0].scorers
    ]  # fmt: skip
    for name, heading in report.UNDELIVERED.items():
        cells = [report.cell_figure(one.undelivered[name]) for one in table.judged]
        head = Text.assemble((heading, "bold"), "\n", ("%", "dim"), justify="right")
        made.append((head, [_two(shown.text, shown.interval) for shown in cells]))
    if any(one.length is not None for one in table.judged):
        ratios = [None if one.length is None else report.difference_figure(one.length) for one in table.judged]
        head = Text.assemble(("output", "bold"), "\n", ("against base", "dim"), justify="right")
        made.append((head, [Text("") if shown is None else _two(shown.text, shown.interval) for shown in ratios]))
    parts: list[RenderableType] = []
    if width < STACKED_BELOW:
        for at, one in enumerate(table.judged):
            grid = _figures_grid()
            for head, column in made:
                value, *beside = column[at].plain.split("\n")
                label, *sign = head.plain.split("\n")
                grid.add_row(
                    label,
                    Text(value, style="bold"),
                    Text(" ".join(sign), style="dim"),
                    Text("  ".join(beside), style="dim"),
                )
            parts += [Text.assemble(_said(one.target, "bold cyan"), "  scorers"), grid, Text("")]
    else:
        heading = "scorers"
        names = min(max(len(heading), *(cell_len(one.target) for one in table.judged)), _WIDEST_NAME)
        labels = [_said(one.target, "bold") for one in table.judged]
        for group in _cut(made, names, width):
            parts += [_grid(heading, names, group, labels), Text("")]
    bars = _hanging()
    for words, by_target in report.bars_of(table).items():
        bars.add_row(Text("bar", style="cyan"), _said(f"{words}: {report.bar_words(by_target)}"))
    if bars.row_count:
        parts += [bars, Text("")]
    return parts


def _scored(cell: Cell | None, difference: Cell | None) -> Text:
    """The mean, its interval, and the difference to the baseline with its own."""
    if cell is None:
        return Text("")
    shown = report.cell_figure(cell)
    text = Text.assemble((shown.text, "bold"), "\n", (shown.interval, "dim"), justify="right")
    if difference is not None and difference.value is not None:
        apart = report.difference_figure(difference)
        text.append_text(Text.assemble("\n", apart.text, "\n", (apart.interval, "dim")))
    return text


def _levels(table: Table, width: int) -> list[RenderableType]:
    """The levels of a sweep: as panels, or, where it is narrow, one after the other."""
    levels, columns = report.levels_in_order(table), report.level_columns(table)
    if not levels:
        return []
    if width < STACKED_BELOW:
        return [part for one in levels for part in (_level(one, columns), Text(""))]
    names = min(max(cell_len(name) for one in levels for name in (one.target, f"level {one.level:g}")), _WIDEST_NAME)
    labels = [_lines(_said(one.target, "bold"), Text(f"level {one.level:g}", style="dim")) for one in levels]
    n = Text.assemble(("n", "bold"), "\n", ("blocks", "dim"), justify="right")
    made: list[_Column] = [(n, [_two(f"{one.n:,}", f"{one.blocks:,}") for one in levels])]
    for name, heading in columns.items():
        shown = [report.cell_figure(one.cells[name]) for one in levels]
        made.append((Text(heading, style="bold", justify="right"), [_two(f.text, f.interval) for f in shown]))
    slo = [Text(report.slo_words(one), justify="right") for one in levels]
    made.append((Text("slo", style="bold", justify="right"), slo))
    heading = "levels"
    parts: list[RenderableType] = []
    for group in _cut(made, max(names, len(heading)), width):
        parts += [_grid(heading, names, group, labels), Text("")]
    return parts


def _level(one: Level, columns: Mapping[str, str]) -> Group:
    grid = _figures_grid()
    for name, heading in columns.items():
        shown = report.cell_figure(one.cells[name])
        grid.add_row(heading, Text(shown.text, style="bold"), Text(shown.interval, style="dim"))
    grid.add_row("slo", "", Text(report.slo_words(one)))
    head = Text.assemble(_said(one.target, "bold cyan"), f"  level {one.level:g}  ", (f"n {one.n:,}", "dim"))
    return Group(head, grid)


def _two(text: str, below: str) -> Text:
    return Text.assemble((text, "bold"), "\n", (below, "dim"), justify="right")


def _slices(table: Table, width: int) -> list[RenderableType]:
    """What one target did in each slice, target after target, each with the warnings of its own figures."""
    parts: list[RenderableType] = []
    for heading, one in report.slice_tables(table):
        marks = report.footnotes(one)
        parts.append(_said(heading, "bold cyan"))
        parts += _stacked(one, marks, width) if width < STACKED_BELOW else _panels(one, marks, width)
        parts += _notes(replace(one, notes=()), marks)
    return parts


def _grid(heading: str, names: int, columns: Sequence[_Column], labels: Sequence[Text]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False, header_style="")
    grid.add_column(
        _said(heading, "bold cyan"), width=max(names, min(cell_len(heading), _WIDEST_NAME)), overflow="fold"
    )
    for head, _ in columns:
        grid.add_column(head, justify="right", no_wrap=True)
    for i, label in enumerate(labels):
        grid.add_row(label, *(cells[i] for _, cells in columns))
    return grid


def _counts(rows: Sequence[Row]) -> _Column:
    head = Text.assemble(("n", "bold"), "\n", ("blocks", "dim"), justify="right")
    return head, [
        Text.assemble((f"{row.n:,}", "bold"), "\n", (f"{row.blocks:,}", "dim"), justify="right") for row in rows
    ]


def _column(metric: Metric, rows: Sequence[Row], marks: report.Marks) -> _Column:
    head = Text.assemble((metric.label, "bold"), "\n", (report.unit_sign(metric), "dim"), justify="right")
    return head, [_cell(row, metric, marks) for row in rows]


def _cell(row: Row, metric: Metric, marks: report.Marks) -> Text:
    shown = report.cell_figure(row.cells[metric.name])
    mark = marks.of_cell.get((row.target, metric.name), "")
    return Text.assemble((mark, "yellow"), (shown.text, "bold"), "\n", (shown.interval, "dim"), justify="right")


def _width(column: _Column) -> int:
    return max(cell_len(line) for text in (column[0], *column[1]) for line in text.plain.split("\n"))


def _fitted(panels: Mapping[str, list[_Column]], names: int, width: int) -> list[tuple[str, list[_Column]]]:
    """All panels as one if that fits; else one each, cut where the width ends."""
    together = [column for columns in panels.values() for column in columns]
    if names + sum(_GAP + _width(column) for column in together) <= width:
        return [("", together)]
    return [
        (heading, group)
        for heading, columns in panels.items()
        for group in _cut(columns, max(names, min(cell_len(heading), _WIDEST_NAME)), width)
    ]


def _cut(columns: Sequence[_Column], names: int, width: int) -> list[list[_Column]]:
    """As few groups as the width allows, and then as even as that number of groups allows: no column stands alone."""
    groups = _greedy(columns, names, width)
    for narrower in range(width - 1, names, -1):
        even = _greedy(columns, names, narrower)
        if len(even) > len(groups):
            break
        groups = even
    return groups


def _greedy(columns: Sequence[_Column], names: int, width: int) -> list[list[_Column]]:
    groups: list[list[_Column]] = [[]]
    used = names
    for column in columns:
        if groups[-1] and used + _GAP + _width(column) > width:
            groups.append([])
            used = names
        groups[-1].append(column)
        used += _GAP + _width(column)
    return groups


def _compared(comparison: Comparison | None) -> Text:
    if comparison is None:
        return Text("")
    shown = report.comparison_figure(comparison)
    return Text.assemble(
        (shown.text, "bold"), "\n", (shown.interval, "dim"), "\n", _verdict(comparison), justify="right"
    )  # fmt: skip


def _verdict(comparison: Comparison) -> Text:
    words = report.verdict_words(comparison)
    stem = words.removesuffix(" (small)")
    style = "green" if stem in GOOD else "red" if stem in BAD else _VERDICT_STYLE.get(stem, "dim")
    symbol = "▼" if stem in {"faster", "cheaper", "worse"} else "▲" if stem in GOOD | BAD else _SYMBOL.get(stem, "")
    return Text(f"{symbol} {words}".strip(), style=style)


# ---------------------------------------------------------------- narrow: one target after the other


def _stacked(table: Table, marks: report.Marks, width: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for row in table.rows:
        parts.append(Text.assemble(_said(row.target, "bold cyan"), "  ", _said(row.region or row.provider, "dim"), "  ",
                                   (f"n {row.n:,} in {plural(row.blocks, 'block')}", "dim")))  # fmt: skip
        grid = _figures_grid()
        for metric in table.columns:
            shown = report.cell_figure(row.cells[metric.name])
            mark = marks.of_cell.get((row.target, metric.name), "")
            grid.add_row(metric.label, Text.assemble((mark, "yellow"), (shown.text, "bold")),
                         Text(report.unit_sign(metric), style="dim"), Text(shown.interval, style="dim"))  # fmt: skip
        parts += [grid, Text("")]
    for baseline, targets in report.by_baseline(table).items():
        for target, comparisons in targets.items():
            parts.append(Text.assemble(_said(target, "bold"), _said(f"  against {baseline}", "cyan")))
            grid = _figures_grid()
            for name, label in report.comparison_labels(table).items():
                if name in comparisons:
                    shown = report.comparison_figure(comparisons[name])
                    grid.add_row(label, Text(shown.text, style="bold"), Text(shown.interval, style="dim"),
                                 _verdict(comparisons[name]))  # fmt: skip
            parts += [grid, Text("")]
    return parts


def _figures_grid() -> Grid:
    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    return grid


# ---------------------------------------------------------------- after the figures


def _notes(table: Table, marks: report.Marks) -> list[RenderableType]:
    parts: list[RenderableType] = []
    alarms = _hanging()
    for alarm in table.alarms:
        alarms.add_row(Text("!", style="bold red"), _said(alarm, "red"))
    for warning in marks.throughout:
        alarms.add_row(Text("!", style="bold yellow"), _said(warning, "yellow"))
    for mark, warning in marks.notes:
        alarms.add_row(Text(mark, style="yellow"), _said(warning))
    notes = _hanging()
    for note in table.notes:
        notes.add_row(Text("·", style="dim"), _said(note, "dim"))
    for grid in (alarms, notes):
        if grid.row_count:
            parts += [grid, Text("")]
    return parts


def _footer(table: Table) -> list[RenderableType]:
    grid = _hanging()
    for label, text in (
        ("next", table.hint), ("instrument", table.instrument), ("command", table.command), ("run", report.folders(table))
    ):  # fmt: skip
        if text:
            grid.add_row(Text(label, style="cyan"), _said(text))
    return [grid] if grid.row_count else []
