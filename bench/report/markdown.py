"""The table as GitHub Markdown: the same cells, the interval under each value.

Every word that came from outside is escaped: a target's id or a provider's text cannot open a tag, a link or a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench import report
from bench.metrics import Figure, plural
from bench.report.document import Grid
from bench.stats.types import Comparison, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$!])")
_CALLS = re.compile(r"((?<!\w)@(?=[\w-])|\\#(?=\d)|\bGH-(?=\d)|\b(?:https?|ftp):(?=//)|\bwww(?=\.))", re.IGNORECASE)
"""What GitHub makes a mention, a reference or a link of by itself; an empty comment inside keeps it text."""
LONGEST = 65_000
"""Characters: a comment on GitHub takes 65,536."""


def render(table: Table, money: Sequence[Grid] = ()) -> str:
    """The whole table as Markdown, ending in a newline. Slices are folded; those that a comment has no room for are named.
    `money` are the grids of grids.cost, to be folded."""
    marks = report.footnotes(table)
    banners = "\n>\n".join(f"> **{word}** {escape(meaning)}" for word, meaning in report.banners(table))
    head = [
        banners,
        f"## {escape(table.title)}",
        "\n".join(f"- **{escape(question)}**: {escape(answer)}" for question, answer in table.answers),
        _figures(table, marks),
        *(_compared(table, baseline, targets) for baseline, targets in report.by_baseline(table).items()),
        *(_judged(table) if report.shows_scorers(table) else ()),
        *map(_folded, money),
        _levels(table) if table.levels else "",
    ]
    foot = [
        _bullets([f"**{escape(alarm)}**" for alarm in (*table.alarms, *marks.throughout)]),
        _bullets([f"{mark} {escape(warning)}" for mark, warning in marks.notes]),
        _bullets([escape(note) for note in table.notes]),
        _bullets([f"{label}: {text}" for label, text in _footer(table)]),
        banners,
    ]
    room = LONGEST - sum(len(block) + 2 for block in (*head, *foot))
    blocks = [*head, *_within(room, [_slice(heading, one) for heading, one in report.slice_tables(table)]), *foot]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _within(room: int, slices: Sequence[str]) -> list[str]:
    """As many of the slices as there is room for, and how many there is none for."""
    taken: list[str] = []
    for block in slices:
        room -= len(block) + 2
        if room < 200:
            break
        taken.append(block)
    left = len(slices) - len(taken)
    return [
        *taken,
        *([f"{plural(left, 'table')} of slices left out for length: the other formats have them."] if left else []),
    ]


def escape(text: str) -> str:
    """Text that GitHub shows as it is: no tag, entity, emphasis, link, column or line of its own."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    text = _CALLS.sub(r"\1<!-- -->", text)
    return re.sub(r"^(?=[-+=])|(?<=^\d)(?=[.)]\s)|(?<=^\d\d)(?=[.)]\s)", r"\\", text)


def code(text: str) -> str:
    """Text as a code span whose fence is longer than any run of backticks inside."""
    text = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(table: Table, marks: report.Marks) -> str:
    head = ["target", "n"] + [f"{escape(m.label)}<br>{escape(report.unit_sign(m))}" for m in table.columns]
    rows = [
        [
            _over(f"**{escape(row.target)}**", row.region or row.provider),
            _over(f"{row.n:,}", plural(row.blocks, "block")),
            *(
                marks.of_cell.get((row.target, m.name), "") + _stack(report.cell_figure(row.cells[m.name]))
                for m in table.columns
            ),
        ]
        for row in table.rows
    ]
    return _grid(head, rows)


def _judged(table: Table) -> list[str]:
    names = list(table.judged[0].scorers)
    told = any(one.length is not None for one in table.judged)
    head = [
        "scorers",
        *(f"{escape(name)}<br>%" for name in names),
        *(f"{word}<br>%" for word in report.UNDELIVERED.values()),
    ]
    rows = []
    for one in table.judged:
        row = [f"**{escape(one.target)}**"]
        for name in names:
            apart = one.differences.get(name)
            beside = "" if apart is None or apart.value is None else f"<br>{_stack(report.difference_figure(apart))}"
            row.append(_stack(report.cell_figure(one.scorers[name])) + beside)
        row += [_stack(report.cell_figure(one.undelivered[name])) for name in report.UNDELIVERED]
        row += [] if not told else [_stack(report.difference_figure(one.length)) if one.length else ""]
        rows.append(row)
    bars = [f"{escape(words)}: {escape(report.bar_words(by))}" for words, by in report.bars_of(table).items()]
    return [_grid([*head, *(["output<br>against base"] if told else [])], rows), _bullets(bars)]


def _levels(table: Table) -> str:
    columns = report.level_columns(table)
    head = ["target", "level", "n", *(escape(heading) for heading in columns.values()), "slo"]
    rows = [
        [escape(one.target), f"{one.level:g}", _over(f"{one.n:,}", plural(one.blocks, "block")),
         *(_stack(report.cell_figure(one.cells[name])) for name in columns), report.slo_words(one)]
        for one in report.levels_in_order(table)
    ]  # fmt: skip
    return _grid(head, rows)


def _folded(grid: Grid) -> str:
    """A grid of a document, to be opened."""
    head = [
        escape(c.header) + (f"<br>{escape(c.sign)}" if c.sign and c.sign not in c.header else "") for c in grid.columns
    ]
    rows = [
        [_over(f"**{escape(first.text)}**", first.under),
         *(" ".join(entry.marks) + _stack(Figure(entry.text, entry.interval or entry.under)) for entry in rest)]
        for first, *rest in (row.entries for row in grid.rows)
    ]  # fmt: skip
    notes = _bullets([f"{note.mark} {escape(note.text)}".strip() for note in grid.notes])
    folded = [f"<details><summary>{escape(grid.caption)}</summary>", _grid(head, rows), notes, "</details>"]
    return "\n\n".join(block for block in folded if block)


def _slice(heading: str, table: Table) -> str:
    marks = report.footnotes(table)
    compared = [_compared(table, baseline, targets) for baseline, targets in report.by_baseline(table).items()]
    warnings = [*(escape(warning) for warning in marks.throughout), *(f"{m} {escape(w)}" for m, w in marks.notes)]
    folded = [
        f"<details><summary>{escape(heading)}</summary>",
        _figures(table, marks),
        *compared,
        _bullets(warnings),
        "</details>",
    ]
    return "\n\n".join(block for block in folded if block)


def _stack(shown: Figure) -> str:
    return _over(escape(shown.text), shown.interval)


def _over(text: str, small: str) -> str:
    """Something written, with a smaller line beneath it where there is one."""
    return text + (f"<br><sub>{escape(small)}</sub>" if small else "")


def _compared(table: Table, baseline: str, targets: dict[str, dict[str, Comparison]]) -> str:
    labels = report.comparison_labels(table)
    head = [f"against {escape(baseline)}", *(escape(label) for label in labels.values())]
    rows = [
        [f"**{escape(target)}**", *(_comparison(comparisons.get(name)) for name in labels)]
        for target, comparisons in targets.items()
    ]
    return _grid(head, rows)


def _comparison(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    verdict = report.verdict_words(comparison)
    return _stack(report.comparison_figure(comparison)) + (f"<br>{escape(verdict)}" if verdict else "")


def _footer(table: Table) -> list[tuple[str, str]]:
    lines = [("next", escape(table.hint)), ("instrument", escape(table.instrument)),
             ("command", code(table.command) if table.command else ""),
             ("run", code(report.folders(table)) if table.run_folder else "")]  # fmt: skip
    return [(label, text) for label, text in lines if text]
