"""A workbook: real numbers in cells of their own, to the digits that their intervals bear.

Every figure has three columns: the value and the two ends of its interval. A field holds the number as every other format
prints it (ends are rounded outwards, which no number format of a spreadsheet can do); the unrounded ones are in the JSON and
CSV forms. Percentages are shares of 1 under a percent format. What has no number (unknown, an unbounded end, a percentile that
is a failed request) is its word. Nothing is a formula: all text is written as text, whatever it begins with.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from textwrap import wrap
from typing import Any

from bench.metrics import DISPLAY
from bench.report.document import Column, Document, Entry, Grid, Note, Notes, Prose, Terms

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
LONGEST_NAME = 31
"""Excel's limit for the name of a sheet."""
WIDEST = 60
"""Characters; longer text is broken into lines."""
NOTE_WIDTH = 110
"""Characters: as far as a note under a table runs."""
PAGE_WIDTH = 200
"""Characters across a printed page, about; a wider table is printed over several, each with the names of its rows."""
LINE = 15.0
"""Points."""
_WRAPPED = frozenset({"text", "strong", "head", "headright"})

Line = Sequence[tuple[Any, str]]
"""Fields of one row: a value and the name of its format."""


def render(document: Document) -> bytes:
    import xlsxwriter

    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.set_properties(
        {
            "title": document.title,
            "subject": document.question,
            "comments": document.identity,
            "keywords": document.watermark,
        }
    )
    sheets = _Sheets(book, document)
    _summary(sheets)
    for block in document.front:
        if isinstance(block, Grid):
            sheets.table(_name_of(block), block)
    for section in document.sections:
        grids = [block for block in section.blocks if isinstance(block, Grid)]
        if section.id == "provenance":
            sheets.stack("provenance", section.title, grids)
        elif section.id == "slices":
            sheets.stack("slices", section.title, grids)
        else:
            for grid in grids:
                sheets.table(section.id.replace("-", " ") if len(grids) == 1 else grid.id.replace("-", " "), grid)
    _charted(sheets)
    _prose(sheets)
    for sheet in sheets.made:
        sheet.finish()
    book.close()
    return file.getvalue()


# ---------------------------------------------------------------- the sheets


def _summary(sheets: _Sheets) -> None:
    document = sheets.document
    sheet = sheets.add("summary")
    sheet.line([(document.title, "title")])
    sheet.line([(document.question, "plain")])
    sheet.gap()
    sheet.line([("verdict", "head"), (document.verdict, "strong")])
    for about, answer in document.answers:
        sheet.line([(about, "head"), (answer, "text")])
    sheet.line([("rows", "head"), (document.counts, "text")])
    sheet.line([("identity", "head"), (document.identity, "text")])
    sheet.gap()
    for block in document.front:
        if isinstance(block, Notes):
            sheet.notes(block.items)
    sheet.widths([14, 110])


def _charted(sheets: _Sheets) -> None:
    """The aggregates behind every chart, one under the other, in one long form."""
    columns = (Column("chart"), Column("row", "name"), Column("what"), Column("value", "figure"), Column("unit"))
    rows = []
    for chart in sheets.document.charts():
        for row in chart.data.rows:
            for column, entry in list(zip(chart.data.columns, row.entries, strict=True))[1:]:
                if entry.text:
                    sign = DISPLAY[entry.unit].sign if entry.unit else column.sign
                    what = (
                        f"{column.header} {column.sign}"
                        if entry.unit and column.sign not in ("", sign)
                        else column.header
                    )
                    rows.append((Entry(chart.title), row.entries[0], Entry(what), entry, Entry(sign)))
    if rows:
        sheet = sheets.add("chart data")
        sheet.line([("The aggregates that the charts of this report are drawn from", "title")])
        sheet.fill(columns, rows, frozen=True)


def _prose(sheets: _Sheets) -> None:
    sheet = sheets.add("method")
    terms: list[tuple[str, str]] = []
    for section in sheets.document.sections:
        words = [block for block in section.blocks if isinstance(block, Prose | Notes)]
        terms += [pair for block in section.blocks if isinstance(block, Terms) for pair in block.items]
        if words:
            sheet.line([(section.title, "title")])
        for block in words:
            if isinstance(block, Notes):
                sheet.notes(block.items)
            else:
                for paragraph in block.paragraphs:
                    sheet.line([(paragraph, "text")])
        if words:
            sheet.gap()
    sheet.widths([120])
    if terms:
        sheet = sheets.add("words")
        sheet.line([("What the words mean", "title")])
        sheet.fill((Column("word", "name"), Column("meaning")), [(Entry(a), Entry(b)) for a, b in terms], frozen=True)
        sheet.widths([28, 110])


def _name_of(grid: Grid) -> str:
    """`Against anthropic: ratio …` as `against anthropic`."""
    return "comparison" if grid.id == "comparison" else grid.caption.partition(":")[0].lower()


class _Sheets:
    """The workbook as it grows: names that are taken, and formats, made once each."""

    def __init__(self, book: Any, document: Document) -> None:
        self.book, self.document = book, document
        self.taken: set[str] = set()
        self.made: list[_Sheet] = []
        self.formats: dict[str, Any] = {}

    def add(self, name: str) -> _Sheet:
        clean = _FORBIDDEN.sub(" ", name).strip()[:LONGEST_NAME] or "sheet"
        unique, n = clean, 2
        while unique.lower() in self.taken:
            unique = f"{clean[: LONGEST_NAME - len(str(n)) - 1]} {n}"
            n += 1
        self.taken.add(unique.lower())
        self.made.append(_Sheet(self, self.book.add_worksheet(unique)))
        return self.made[-1]

    def table(self, name: str, grid: Grid) -> None:
        """One grid on a sheet of its own, its headings kept in sight."""
        sheet = self.add(name)
        sheet.line([(grid.caption, "title")])
        sheet.fill(grid.columns, [row.entries for row in grid.rows], frozen=True)
        sheet.gap()
        sheet.notes(grid.notes)

    def stack(self, name: str, title: str, grids: Sequence[Grid]) -> None:
        """Several grids, one under the other."""
        if not grids:
            return
        sheet = self.add(name)
        sheet.line([(title, "title")])
        for grid in grids:
            sheet.gap()
            sheet.line([(grid.caption, "strong")])
            sheet.fill(grid.columns, [row.entries for row in grid.rows], frozen=False)
            sheet.notes(grid.notes)

    def format(self, name: str) -> Any:
        """`title`, `head`, `text`, `alarm`, …, or `number:#,##0.0` for a number in that form."""
        if name not in self.formats:
            kind, _, number = name.partition(":")
            self.formats[name] = self.book.add_format(_LOOKS[kind] | ({"num_format": number} if number else {}))
        return self.formats[name]


_LOOKS: dict[str, dict[str, Any]] = {
    "banner": {"bold": True, "font_color": "#FFFFFF", "bg_color": "#B00020"},
    "title": {"bold": True, "font_size": 13},
    "strong": {"bold": True, "text_wrap": True, "valign": "top"},
    "head": {"bold": True, "text_wrap": True, "valign": "top", "bottom": 1, "bg_color": "#EEEEEE"},
    "headright": {
        "bold": True,
        "text_wrap": True,
        "valign": "top",
        "align": "right",
        "bottom": 1,
        "bg_color": "#EEEEEE",
    },
    "plain": {},
    "text": {"text_wrap": True, "valign": "top"},
    "name": {"bold": True, "valign": "top"},
    "alarm": {"bold": True, "font_color": "#B00020", "text_wrap": True, "valign": "top"},
    "number": {"valign": "top"},
    "right": {"align": "right", "valign": "top"},
    "good": {"font_color": "#00612E", "valign": "top"},
    "bad": {"font_color": "#8A1C00", "valign": "top"},
}


class _Sheet:
    def __init__(self, sheets: _Sheets, sheet: Any) -> None:
        self.sheets, self.sheet, self.at = sheets, sheet, 0
        self.widest: dict[int, int] = {}
        self.tall: dict[int, list[tuple[int, str, bool]]] = {}
        """Rows whose fields break into lines: the column, the text, and whether it is a heading."""
        self.spans: list[tuple[int, str, str]] = []
        """Texts that run over several columns: the row, the text and its look."""
        document = sheets.document
        for mark in document.watermarks:
            sheet.set_row(self.at, None, sheets.format("banner"))
            self.line([(f"{mark.word}: {mark.meaning}", "banner")])
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.set_footer(f"&L{_margin(document.identity)}&C{_margin(document.watermark)}&R&P / &N")

    def line(self, fields: Line) -> None:
        for column, (value, look) in enumerate(fields):
            self.put(self.at, column, value, look)
        self.at += 1

    def gap(self) -> None:
        self.at += 1

    def notes(self, items: Sequence[Note]) -> None:
        for note in items:
            label = ": ".join(part for part in (note.mark, note.label) if part)
            self.spans.append((self.at, f"{label} {note.text}".strip(), "alarm" if note.tone == "alarm" else "text"))
            self.at += 1

    def put(self, row: int, column: int, value: Any, look: str) -> None:
        made = self.sheets.format(look)
        if isinstance(value, float):
            self.sheet.write_number(row, column, value, made)
        elif value == "":
            self.sheet.write_blank(row, column, None, made)
        else:
            self.sheet.write_string(row, column, str(value), made)
        if look == "title":
            self.sheet.set_row(row, LINE + 5)
        if look in _WRAPPED and isinstance(value, str):
            self.tall.setdefault(row, []).append((column, value, look.startswith("head")))

    def fill(self, columns: Sequence[Column], rows: Sequence[Sequence[Entry]], frozen: bool) -> None:
        """The headings and the rows. `frozen` headings stay in sight, can be filtered, and head every printed page."""
        first = self.at
        spread = [_Spread(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
        self.line([field for one in spread for field in one.headings()])
        for i in range(len(rows)):
            self.line([field for one in spread for field in one.fields(one.entries[i])])
        self.widths([width for one in spread for width in one.widths()])
        if frozen:
            names = sum(one.width for one, column in zip(spread[:1], columns, strict=False) if column.kind == "name")
            self.sheet.freeze_panes(first + 1, names)
            self.sheet.repeat_rows(first)
            if names:
                self.sheet.repeat_columns(0, names - 1)
            self.sheet.autofilter(first, 0, max(self.at - 1, first), sum(one.width for one in spread) - 1)

    def widths(self, widths: Sequence[int]) -> None:
        for column, width in enumerate(widths):
            self.widest[column] = max(self.widest.get(column, 0), width)
            self.sheet.set_column(column, column, self.widest[column])

    def finish(self) -> None:
        """What the widths decide: how far a note runs, how high a row is, over how many pages a wide table is printed."""
        widths = [self.widest.get(i, 9) for i in range(max(self.widest, default=0) + 1)] or [9]
        last, wide = 0, widths[0]
        while wide < NOTE_WIDTH:
            last += 1
            wide += widths[last] if last < len(widths) else 9
        for row, text, look in self.spans:
            if last:
                self.sheet.merge_range(row, 0, row, last, "", self.sheets.format(look))
            self.sheet.write_string(row, 0, text, self.sheets.format(look))
            self.sheet.set_row(row, LINE * _lines(text, wide))
        for row, fields in self.tall.items():
            high = max(_lines(text, widths[column] - 1 - head) for column, text, head in fields)
            if high > 1:
                self.sheet.set_row(row, LINE * high)
        self.sheet.fit_to_pages(max(1, round(sum(widths) / PAGE_WIDTH)), 0)


def _lines(text: str, width: int) -> int:
    """How many lines a text takes in so many characters."""
    return sum(len(wrap(part, max(width, 4))) or 1 for part in text.split("\n"))


class _Spread:
    """A column of a grid over the columns of a sheet: a figure takes three, a verdict four."""

    def __init__(self, column: Column, entries: Sequence[Entry]) -> None:
        self.column, self.entries = column, entries
        self.bounded = column.kind in ("figure", "verdict") or any(entry.interval for entry in entries)
        self.worded = column.kind == "verdict" or any(entry.words for entry in entries)
        self.below = any(entry.under for entry in entries) and column.kind == "name"
        self.marked = any(entry.marks for entry in entries)

    @property
    def width(self) -> int:
        return len(self.headings())

    def headings(self) -> list[tuple[str, str]]:
        header, sign = self.column.header, self.column.sign
        named = f"{header} ({sign})" if sign and sign not in ("%", "$", "×") and sign not in header else header
        numeric = self.bounded or self.column.kind == "number"
        made = [(named, "headright" if numeric else "head")]
        if self.bounded:
            made += [(f"{header} 95 % low", "headright"), (f"{header} 95 % high", "headright")]
        if self.worded:
            made.append((f"{header} verdict", "head"))
        if self.below:
            made.append(("where", "head"))
        if self.marked:
            made.append((f"{header} notes", "head"))
        return made

    def fields(self, entry: Entry) -> Iterator[tuple[Any, str]]:
        value, low, high = printed(entry)
        look = number_format(entry)
        yield (value, f"number:{look}") if value is not None else (entry.text, _look_of(self.column))
        if self.bounded:
            # Where nothing is said of an interval, none was made: that is not an end that the data cannot bound.
            word = "unbounded" if entry.interval else ""
            for end in (low, high):
                yield (end, f"number:{look}") if end is not None else (word, "right")
        if self.worded:
            yield entry.words, entry.tone if entry.tone in ("good", "bad") else "text"
        if self.below:
            yield entry.under, "number"
        if self.marked:
            yield " ".join(entry.marks), "number"

    def widths(self) -> list[int]:
        lengths = [
            [len(str(value)) if not isinstance(value, float) else 9 for value, _ in self.fields(e)]
            for e in self.entries
        ]
        heads = [max(map(len, re.split(r"\s", text)), default=0) for text, _ in self.headings()]
        return [min(WIDEST, max([head, 8, *(line[i] for line in lengths)]) + 2) for i, head in enumerate(heads)]


def printed(entry: Entry) -> tuple[float | None, float | None, float | None]:
    """The value and its ends as the text says them, in base units; None where the text has no number."""
    if entry.value is None:
        return None, None, None
    low, _, high = re.sub(r"–| to ", "|", entry.interval).partition("|")
    value, low_end, high_end = (_read(text, entry.unit) for text in (entry.text, low, high))
    return value, low_end, high_end


def _read(text: str, unit: str) -> float | None:
    found = _NUMBER.search(text.replace("−", "-"))
    if found is None:
        return None
    number = Decimal(found[0].replace(",", ""))
    return float(number / 100 if unit in ("share", "points", "growth") else number)


def number_format(entry: Entry) -> str:
    """How a spreadsheet shows this number as the other formats do: the same places, sign and unit."""
    shown: list[str] = _NUMBER.findall(f"{entry.text} {entry.interval}")
    places = max((len(number.partition(".")[2]) for number in shown), default=0)
    form = "#,##0" + ("." + "0" * places if places else "")
    if entry.unit in ("share", "growth"):
        return f"{form}%"
    if entry.unit == "points":
        return f"+{form}%;-{form}%;{form}%"
    return {"USD": f'"$"{form}', "ratio": f'{form}"×"'}.get(entry.unit, form)


def _look_of(column: Column) -> str:
    return {"name": "name", "number": "right", "figure": "right", "verdict": "right"}.get(column.kind, "text")


def _margin(text: str) -> str:
    """Text in a printed margin, where & begins a command and 255 characters are all there is."""
    return text.replace("&", "&&")[:120]
