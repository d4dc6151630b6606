"""The report as data: every word, figure and rounding is decided here, so that no two formats can differ.

A renderer turns a Document into bytes and decides looks alone. Numbers come twice: `text` as it is read, and `value`, `low`,
`high` in the base unit of `unit` (ms, shares of 1, USD, ...), for formats that hold real numbers. All text is plain: nothing in
it is markup, all of it may come from outside, and a renderer escapes it in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.stats.types import Table

Tone = Literal["", "good", "bad", "same", "unclear", "alarm", "warning"]
"""What a verdict or a note means to a reader; never told by colour alone, since the words say it, too."""
ColumnKind = Literal["name", "text", "number", "figure", "verdict"]
"""`name` heads its row; `figure` carries an interval; `verdict` carries an interval and words."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of a grid.

    `value` is inf for a percentile that is a failed request, and None when unknown or where the field holds words; `low` and
    `high` are None where the data bound nothing. `interval` is the 95 % interval as text. `marks` refer to the notes of the
    grid. `words` and `tone` are a verdict's.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    interval: str = ""
    marks: tuple[str, ...] = ()
    words: str = ""
    tone: Tone = ""
    under: str = ""
    """A second, smaller line: a region under a name, blocks under n."""


@dataclass(frozen=True, slots=True)
class Column:
    """`sign` is the unit as it is written in headings (%, not share); `meaning` defines the figure in a sentence."""

    header: str
    kind: ColumnKind = "text"
    unit: str = ""
    sign: str = ""
    meaning: str = ""
    quantile: float | None = None
    """Which quantile the column shows, in grids that show several of one measure."""


@dataclass(frozen=True, slots=True)
class GridRow:
    """`target` names the target whose row this is; "" where a row is of none."""

    entries: tuple[Entry, ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """`mark` is what refers to it, `label` what it is about; both may be empty."""

    text: str
    mark: str = ""
    label: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: every row has one entry per column. `folded` grids are long: a page may show them on request."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[Note, ...] = ()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Prose:
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """A list of sentences, the gravest first."""

    items: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and what they mean."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """`ticks` are (value, text), in order. In an axis of `names` a value is the place in them, the first one on top."""

    label: str
    scale: Literal["linear", "log", "names"]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One drawn value in the units of the axes, and the words to show beside it. Ends that are None were not bounded.

    In `bar` series the bar reaches from `x_low` to `x_high`. A point that `breaks` is not joined to the one before it.
    """

    x: float
    y: float
    text: str
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """`target` is empty for a series that is of no target (a kind of error). `style` is its place among the distinct looks,
    None for those that stay in the background because there are too many. A `band` is drawn between the ends of x."""

    name: str
    mark: Literal["line", "step", "points", "bar", "cross"]
    points: tuple[Point, ...]
    target: str = ""
    style: int | None = None
    band: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Aggregates, never rows. `summary` says in a sentence or two what is seen; `data` holds the same figures as a table."""

    id: str
    title: str
    summary: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    data: Grid
    notes: tuple[Note, ...] = ()
    watermark: str = ""
    """SIMULATED, PARTIAL, both or nothing: to be drawn across it."""


Block = Prose | Notes | Terms | Grid | Chart


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Watermark:
    word: Literal["SIMULATED", "PARTIAL"]
    meaning: str


@dataclass(frozen=True, slots=True)
class Document:
    """A report. `question` and `verdict` are sentences; `answers` are what stands behind the verdict, as (about, sentence).

    `front` is the first screen's grids and notes; `sections` follow it. `identity` is what a page footer says: the run's id
    and the digest of its rows. `table` is what all figures come from, for formats that hand out every cell as data.
    """

    title: str
    question: str
    verdict: str
    answers: tuple[tuple[str, str], ...]
    watermarks: tuple[Watermark, ...]
    counts: str
    front: tuple[Block, ...]
    sections: tuple[Section, ...]
    targets: tuple[str, ...]
    styles: Mapping[str, int | None]
    """Which look each target has in every chart."""
    run_id: str
    identity: str
    table: Table = field(repr=False)

    @property
    def watermark(self) -> str:
        return " ".join(mark.word for mark in self.watermarks)

    def blocks(self) -> Iterator[Block]:
        yield from self.front
        for section in self.sections:
            yield from section.blocks

    def charts(self) -> Iterator[Chart]:
        return (block for block in self.blocks() if isinstance(block, Chart))

    def grids(self) -> Iterator[Grid]:
        return (block for block in self.blocks() if isinstance(block, Grid))
