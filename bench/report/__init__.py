"""What every rendering of a table shares: words, marks and banners.

A renderer receives a finished Table and computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bench.metrics import DISPLAY, OF_WHOLE_RUN, Figure, Metric, figure
from bench.stats.types import Cell, Comparison, Judged, Level, Table

SIMULATED = "look-alike clouds on this machine answered; these figures say nothing about any vendor"

PANELS: Mapping[str, str] = {"speed": "speed", "delivery": "reliability, price"}

MOST_FOLDERS = 8
"""So many runs are named under a table with their folders; the JSON form has all of them."""

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def banners(table: Table) -> list[tuple[str, str]]:
    """(word, what it means), to stand above and below everything else."""
    found = [("SIMULATED", SIMULATED)] if table.simulated else []
    if table.partial is not None:
        found.append(("PARTIAL", f"{table.partial}; figures cover what was measured until then"))
    return found


def folders(table: Table) -> str:
    """Where the rows of the table lie; of many runs, where the first two do."""
    found = table.run_folder.split(", ")
    return table.run_folder if len(found) <= MOST_FOLDERS else f"{', '.join(found[:2])} and {len(found) - 2} more"


def cell_figure(cell: Cell) -> Figure:
    return figure(cell.value, cell.low, cell.high, cell.unit)


def comparison_figure(comparison: Comparison) -> Figure:
    """With its sign: 1.27× for a ratio, −3 pt for a difference of shares."""
    signed = comparison.unit == "points"
    shown = figure(comparison.value, comparison.low, comparison.high, comparison.unit, signed)
    if comparison.value is None or not shown.text[-1].isdigit():
        return shown
    return Figure(shown.text + (" pt" if signed else "×"), shown.interval)


def verdict_words(comparison: Comparison) -> str:
    """The verdict as one to two words; a comparison that could not be made has none."""
    if comparison.value is None and comparison.n == 0:
        return "not known"
    return (comparison.verdict or "").replace("_small", " (small)")


def unit_sign(metric: Metric) -> str:
    return DISPLAY[metric.unit].sign


@dataclass(frozen=True, slots=True)
class Marks:
    """Footnotes: the mark of a cell by target and metric, the numbered notes, and what holds nearly everywhere."""

    of_cell: Mapping[tuple[str, str], str]
    notes: tuple[tuple[str, str], ...]
    throughout: tuple[str, ...]


def footnotes(table: Table) -> Marks:
    """Number the warnings of the shown cells; one that is an alarm, or stands on most cells, is said once, unmarked."""
    rows, metrics = table.rows, table.columns
    shown = [(row.target, metric.name, row.cells[metric.name]) for row in rows for metric in metrics]
    count: dict[str, int] = {}
    for _, _, cell in shown:
        for warning in cell.warnings:
            count[warning] = count.get(warning, 0) + 1
    everywhere = [warning for warning, n in count.items() if n * 2 > len(shown)]
    unmarked = {*everywhere, *table.alarms}
    numbers = {warning: str(i) for i, warning in enumerate((w for w in count if w not in unmarked), start=1)}
    of_cell = {
        (target, name): "·".join(numbers[w] for w in cell.warnings if w in numbers).translate(_SUPERSCRIPT)
        for target, name, cell in shown
        if any(w in numbers for w in cell.warnings)
    }
    notes = tuple((number.translate(_SUPERSCRIPT), warning) for warning, number in numbers.items())
    return Marks(of_cell, notes, tuple(warning for warning in everywhere if warning not in table.alarms))


def by_baseline(table: Table) -> dict[str, dict[str, dict[str, Comparison]]]:
    """Primary comparisons by baseline, target and metric."""
    grouped: dict[str, dict[str, dict[str, Comparison]]] = {}
    for c in table.comparisons:
        if c.primary:
            grouped.setdefault(c.baseline, {}).setdefault(c.target, {})[c.metric] = c
    return grouped


def comparison_labels(table: Table) -> dict[str, str]:
    """Label of each compared metric, in the order to show them."""
    labels = {c.metric: c.label for c in table.comparisons if c.primary}
    return {name: labels[name] for name in table.comparison_columns}


def shows_scorers(table: Table) -> bool:
    """Whether the scorers' own figures say more than the share right does: several of them, or bars to be met."""
    return any(len(one.scorers) > 1 or one.bars for one in table.judged)


UNDELIVERED: Mapping[str, str] = {"refused": "refused", "filtered": "filtered", "truncated": "truncated"}


def difference_figure(cell: Cell) -> Figure:
    """A difference with its sign and unit: −3.1 pt, or 1.12× for a ratio."""
    shown = figure(cell.value, cell.low, cell.high, cell.unit, signed=cell.unit == "points")
    if cell.value is None:
        return shown
    return Figure(shown.text + (" pt" if cell.unit == "points" else "×"), shown.interval)


def scorer_cells(one: Judged) -> Iterator[tuple[str, str, str, Cell]]:
    """(baseline or nothing, name in the data, as it is written, figure) of all that the scorers say of a target."""
    for name, cell in one.scorers.items():
        yield "", f"score:{name}", f"scorer {name}", cell
    for name, cell in one.differences.items():
        yield one.baseline or "", f"score:{name}", f"scorer {name}", cell
    for name, cell in one.undelivered.items():
        yield "", f"{name}_share", UNDELIVERED[name], cell
    if one.length is not None:
        yield one.baseline or "", "output_length", "output length", one.length


def bars_of(table: Table) -> dict[str, dict[str, str]]:
    """The word of every bar, by the bar's own words and then by target; a bar that is not held against a target is left out."""
    found: dict[str, dict[str, str]] = {}
    for one in table.judged:
        for bar in one.bars:
            found.setdefault(bar.words, {})[one.target] = bar.verdict
    return found


def bar_words(by_target: Mapping[str, str]) -> str:
    """`met: a, b; open: c`."""
    groups: dict[str, list[str]] = {}
    for target, word in by_target.items():
        groups.setdefault(word, []).append(target)
    return "; ".join(
        f"{word}: {', '.join(groups[word])}" for word in ("met", "missed", "open", "unknown") if word in groups
    )


LEVEL_COLUMNS: Mapping[str, str] = {
    "achieved_per_s": "achieved/s", "achieved_share": "of offered", "goodput_per_s": "goodput/s", "ttft_p50_ms": "TTFT p50 ms",
    "ttft_p95_ms": "p95 ms", "tpot_p50_ms": "TPOT p50 ms", "e2e_p95_ms": "E2E p95 ms", "failed_share": "failed %",
}  # fmt: skip
"""Name and heading of the figures of a level; goodput only where there is any."""


def level_columns(table: Table) -> dict[str, str]:
    return {
        name: heading
        for name, heading in LEVEL_COLUMNS.items()
        if name != "goodput_per_s" or any(one.cells[name].value is not None for one in table.levels)
    }


def levels_in_order(table: Table) -> list[Level]:
    """The levels of a sweep by target and level, repeated levels in the order of sending."""
    order = {row.target: i for i, row in enumerate(table.rows)}
    return sorted(table.levels, key=lambda one: (order.get(one.target, len(order)), one.level, one.stage))


def slo_words(level: Level) -> str:
    """Whether a level met the slo; "likely" where the intervals leave it open."""
    if level.meets_slo is None:
        return "–"
    word = "met" if level.meets_slo else "missed"
    return word if level.slo_settled else f"likely {word}"


def slice_tables(table: Table) -> list[tuple[str, Table]]:
    """One table per target whose rows are its slices, under a heading; empty when the table is not sliced."""
    made = []
    for row in table.rows:
        mine = [
            (
                part.label,
                r,
                [c for c in part.comparisons if c.target == row.target and c.metric in table.comparison_columns],
            )
            for part in table.slices
            for r in part.rows
            if r.target == row.target
        ]
        if mine:
            rows = tuple(replace(r, target=label, region=None, provider="") for label, r, _ in mine)
            looks = tuple(replace(c, target=label, primary=True, verdict="") for label, _, found in mine for c in found)
            heading = f"{row.target} by {table.sliced_by} (exploratory)"
            there = {c.metric for c in looks}
            columns = tuple(name for name in table.comparison_columns if name in there)
            shown = tuple(m for m in table.columns if m.name not in OF_WHOLE_RUN)
            one = replace(
                table, columns=shown, rows=rows, comparisons=looks, comparison_columns=columns, alarms=(), slices=()
            )
            made.append((heading, one))
    return made
