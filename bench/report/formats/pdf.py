"""Pages to print and to attach: numbered, each with the run's id and the digest of its rows, charts as drawings.

reportlab sets the text; vl-convert turns the charts' SVG into drawings of the same kind, which are laid into the places that
were kept for them. Both bring their fonts along, so that no library of the system is needed.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.report.document import Block, Chart, Column, Document, Entry, Grid, Note, Notes, Prose, Terms, Tone
from bench.report.svg import WIDE, draw

_PAPER = '<rect width="100%" height="100%" class="paper"/>'
LONGEST = 400
"""Rows of a table; those beyond, and folded tables that are longer, are in the other formats, and the page says so."""
SQUEEZE = 1.12
"""How much wider a table may want to be than the page before it is parted; its words then break into lines."""
CHART = 330.0
"""Width of a drawing in points: four of them stand on a page."""
TALLEST = 430.0
"""Of a drawing in points: with its words it stands on one page."""
LEAST = 150.0
"""Points that must be left on a page for a heading, or a table, to begin on it."""
MARGIN = 36.0
"""Points."""
COLOURS: dict[Tone, str] = {"good": "#00612e", "bad": "#8a1c00", "alarm": "#b00020", "warning": "#7a4b00"}


def render(document: Document) -> bytes:
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    file, drawn = io.BytesIO(), _Drawings()
    width, height = landscape(A4)
    frame = Frame(MARGIN, MARGIN + 14, width - 2 * MARGIN, height - 2 * MARGIN - 26, 0, 0, 0, 0)
    pages = BaseDocTemplate(
        file, pagesize=(width, height), title=document.title, subject=document.question, author="bench",
        keywords=document.watermark or None, lang="en", invariant=1, displayDocTitle=1,
        pageTemplates=[PageTemplate(frames=[frame])],
    )  # fmt: skip
    _fonts()
    pages.build(list(_story(document, drawn, width - 2 * MARGIN)), canvasmaker=_numbered(document))
    return drawn.laid_into(file.getvalue())


# ---------------------------------------------------------------- what stands on the pages


def _story(document: Document, drawn: _Drawings, width: float) -> Iterator[Any]:
    from reportlab.platypus import CondPageBreak, KeepTogether

    for mark in document.watermarks:
        yield _text(f"{mark.word}: {mark.meaning}", "banner")
    yield _text(document.title, "title")
    yield _text(document.question, "text")
    yield _text(document.verdict, "verdict")
    for about, answer in document.answers:
        yield _markup(f"<b>{_safe(about)}</b>  {_safe(answer)}", "text")
    yield _text(document.counts, "small")
    for block in document.front:
        yield from _block(block, width)
    for section in document.sections:
        heading: list[Any] = [_heading(section.title)]
        for charted, group in groupby(section.blocks, key=lambda block: isinstance(block, Chart)):
            blocks = list(group)
            if charted:
                first, *rest = _charts(blocks, drawn, width)
                yield KeepTogether([*heading, first])
                yield from rest
            else:
                if heading:
                    yield CondPageBreak(LEAST)
                yield from (*heading, *(one for block in blocks for one in _block(block, width)))
            heading = []


def _block(block: Block, width: float) -> Iterator[Any]:
    if isinstance(block, Grid):
        yield from _grid(block, width)
    elif isinstance(block, Prose):
        for paragraph in block.paragraphs:
            yield _text(paragraph.replace("`", ""), "text")
    elif isinstance(block, Notes):
        yield from _notes(block.items)
    elif isinstance(block, Terms):
        for word, meaning in block.items:
            yield _markup(f"<b>{_safe(word)}</b>  {_safe(meaning)}", "text")


def _charts(charts: Sequence[Any], drawn: _Drawings, width: float) -> list[Any]:
    """Two charts beside each other, with what is seen below each."""
    from reportlab.platypus import Table

    gap = 14.0
    half = (width - gap) / 2
    cells = []
    for chart in charts:
        # The watermark of the page lies over it.
        plain = draw(replace(chart, watermark=""), WIDE).replace(_PAPER, "")
        cells.append([drawn.place(plain, min(half, CHART)), _text(chart.summary, "small"), *_notes(chart.notes)])
    rows = [cells[i : i + 2] + [""] * (len(cells[i : i + 2]) == 1) for i in range(0, len(cells), 2)]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), gap),
    ]
    return [Table([row], colWidths=[half + gap, half], style=style) for row in rows]


def _notes(items: Sequence[Note]) -> Iterator[Any]:
    for note in items:
        mark = f"<super>{_safe(_digits(note.mark))}</super> " if note.mark else ""
        label = f"<b>{_safe(note.label)}</b>: " if note.label else ""
        colour = COLOURS.get(note.tone)
        words = _safe(note.text.replace("`", ""))
        yield _markup(
            f'{mark}{label}<font color="{colour}">{words}</font>' if colour else mark + label + words, "small"
        )


def _grid(grid: Grid, width: float) -> Iterator[Any]:
    if grid.folded and len(grid.rows) > LONGEST:
        yield _text(
            f"{grid.caption}: {len(grid.rows):,} rows, in the CSV, XLSX, HTML and JSON forms of this report.", "text"
        )
        return
    shown, left = grid.rows[:LONGEST], max(0, len(grid.rows) - LONGEST)
    parts = _parts(grid, width)
    for i, part in enumerate(parts):
        caption = grid.caption if len(parts) == 1 else f"{grid.caption} ({i + 1} of {len(parts)})"
        columns = [grid.columns[at] for at in part]
        rows = [[row.entries[at] for at in part] for row in shown]
        yield from _table(caption, columns, rows, _widths(columns, rows, width, grid.folded), grid.folded)
    if left:
        yield _text(f"{left:,} rows more: they are in the CSV, XLSX, HTML and JSON forms of this report.", "small")
    yield from _notes(grid.notes)


def _parts(grid: Grid, width: float) -> list[list[int]]:
    """The columns that stand on one page, in as few parts as fit and of like width; each begins with the first column."""
    first, *rest = (
        _wanted(column, [row.entries[i] for row in grid.rows[:100]], grid.folded)
        for i, column in enumerate(grid.columns)
    )
    for n in range(1, len(rest) + 1):
        size = -(-len(rest) // n)
        parts = [list(range(i + 1, min(i + size, len(rest)) + 1)) for i in range(0, len(rest), size)]
        if all(first + sum(rest[at - 1] for at in part) <= width * SQUEEZE for part in parts):
            break
    return [[0, *part] for part in parts] if rest else [[0]]


def _table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Entry]], widths: Sequence[float], flat: bool
) -> Iterator[Any]:
    """`flat` tables are long ones: what stands under a figure elsewhere stands beside it there."""
    from reportlab.lib import colors
    from reportlab.platypus import CondPageBreak, LongTable, TableStyle

    numeric = [column.kind in ("number", "figure", "verdict") for column in columns]
    heads = [_cell(_head(column), numeric[i], flat) for i, column in enumerate(columns)]
    fields = [[_cell(_field(entry, i, flat), numeric[i], flat) for i, entry in enumerate(row)] for row in rows]
    table = LongTable([heads, *fields], colWidths=widths, repeatRows=1, hAlign="LEFT")
    table.setStyle(
        TableStyle([
            ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.HexColor("#555555")),
            ("LINEBELOW", (0, 1), (-1, -1), 0.3, colors.HexColor("#cccccc")),
            ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ("TOPPADDING", (0, 0), (-1, -1), 1 if flat else 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5 if flat else 2.5),
        ])
    )  # fmt: skip
    # A caption stays with the first rows of its table; a table that fits on one page is not torn for a few lines.
    yield CondPageBreak(min(LEAST, (len(rows) + 2) * 21.0))
    yield _text(caption, "caption")
    yield table


def _head(column: Column) -> str:
    sign = f'<br/><font color="#555555">{_safe(column.sign)}</font>' if column.sign else ""
    return f"<b>{_safe(column.header)}</b>{sign}"


def _field(entry: Entry, at: int, flat: bool) -> str:
    """The figure, its interval below it, and the words of its verdict."""
    line, small = ("  ", 5.4) if flat else ("<br/>", 6)
    text = f"<b>{_safe(entry.text)}</b>" if at == 0 else _safe(entry.text)
    if entry.marks:
        text += f"<super>{_safe(' '.join(map(_digits, entry.marks)))}</super>"
    if entry.interval:
        text += f'{line}<font color="#555555" size="{small}">{_safe(entry.interval)}</font>'
    if entry.words:
        colour = COLOURS.get(entry.tone, "#333333")
        text += f'{line}<font color="{colour}">{_safe(entry.words)}</font>'
    if entry.under:
        text += f'{line}<font color="#555555" size="{small}">{_safe(entry.under)}</font>'
    return text


def _wanted(column: Column, entries: Sequence[Entry], flat: bool = False) -> float:
    """The width in points that a column wants, by its longest words; long texts are broken into lines."""
    fields = [(entry.text, entry.interval, entry.words, entry.under) for entry in entries]
    words = [" ".join(field) for field in fields] if flat else [part for field in fields for part in field]
    longest = max([4, *map(len, column.header.split()), *map(len, words)])
    return min(54, longest) * 3.7 + 8 if flat else min(38, longest) * 4.3 + 8


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Entry]], width: float, flat: bool) -> list[float]:
    """Widths in points that together fill at most the page."""
    wanted = [_wanted(column, [row[i] for row in rows[:100]], flat) for i, column in enumerate(columns)]
    stretch = min(1.25, width / sum(wanted))
    return [one * stretch for one in wanted]


# ---------------------------------------------------------------- drawings


class _Drawings:
    """The charts and the places kept for them, in points from the lower left corner of their pages."""

    def __init__(self) -> None:
        self.placed: list[tuple[int, float, float, float, bytes]] = []

    def place(self, svg: str, width: float) -> Any:
        """A flowable of this width that keeps the place for a drawing."""
        import vl_convert
        from reportlab.platypus import Flowable

        ((wide, high),) = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
        drawing: bytes = vl_convert.svg_to_pdf(svg)
        width = min(width, TALLEST * float(wide) / float(high))
        height = width * float(high) / float(wide)
        drawings = self

        class Place(Flowable):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.width, self.height = width, height

            def draw(self) -> None:
                x, y = self.canv.absolutePosition(0, 0)
                drawings.placed.append((self.canv.getPageNumber() - 1, x, y, width, drawing))

        return Place()

    def laid_into(self, pages: bytes) -> bytes:
        from pypdf import PdfReader, PdfWriter, Transformation

        if not self.placed:
            return pages
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pages)))
        for number, x, y, width, drawing in self.placed:
            (one,) = PdfReader(io.BytesIO(drawing)).pages
            scale = width / float(one.mediabox.width)
            writer.pages[number].merge_transformed_page(one, Transformation().scale(scale).translate(x, y))
        for page in writer.pages:
            page.compress_content_streams()
        file = io.BytesIO()
        writer.write(file)
        return file.getvalue()


# ---------------------------------------------------------------- text


@lru_cache(maxsize=1)
def _fonts() -> Any:
    """Bitstream Vera, which comes with reportlab. The face tells which characters there are."""
    import reportlab
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(reportlab.__file__).parent / "fonts"
    for name, file in (("Vera", "Vera.ttf"), ("Vera-Bold", "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="Vera-Bold", italic="Vera", boldItalic="Vera-Bold")
    return pdfmetrics.getFont("Vera").face.charToGlyph


@lru_cache(maxsize=1)
def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    text = ParagraphStyle("text", fontName="Vera", fontSize=8, leading=11, spaceAfter=3)
    return {
        "text": text,
        "small": ParagraphStyle("small", text, fontSize=7, leading=9.5, textColor="#333333", spaceAfter=2),
        "cell": ParagraphStyle("cell", text, fontSize=7, leading=8.6, spaceAfter=0, splitLongWords=1),
        "number": ParagraphStyle("number", text, fontSize=7, leading=8.6, spaceAfter=0, alignment=2, splitLongWords=1),
        "flatcell": ParagraphStyle("flatcell", text, fontSize=6, leading=7.4, spaceAfter=0, splitLongWords=1),
        "flatnumber": ParagraphStyle("flatnumber", text, fontSize=6, leading=7.4, spaceAfter=0, alignment=2, splitLongWords=1),
        "caption": ParagraphStyle("caption", text, fontName="Vera-Bold", spaceBefore=8),
        "title": ParagraphStyle("title", text, fontName="Vera-Bold", fontSize=15, leading=19),
        "heading": ParagraphStyle("heading", text, fontName="Vera-Bold", fontSize=11.5, leading=15, spaceBefore=12),
        "verdict": ParagraphStyle("verdict", text, fontName="Vera-Bold", fontSize=10, leading=14, spaceBefore=3),
        "banner": ParagraphStyle("banner", text, fontName="Vera-Bold", textColor="#ffffff", backColor="#b00020", borderPadding=4,
                                 spaceAfter=8, spaceBefore=4),
    }  # fmt: skip


def _text(text: str, style: str) -> Any:
    return _markup(_safe(text), style)


def _markup(markup: str, style: str) -> Any:
    from reportlab.platypus import Paragraph

    return Paragraph(markup, _styles()[style])


def _cell(markup: str, numeric: bool, flat: bool) -> Any:
    return _markup(markup, ("flat" if flat else "") + ("number" if numeric else "cell"))


def _heading(title: str) -> Any:
    """A heading that the outline leads to."""
    from reportlab.platypus import Paragraph

    class Heading(Paragraph):  # type: ignore[misc]
        def draw(self) -> None:
            key = f"section-{title}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(title, key, 0)
            super().draw()

    return Heading(_safe(title), _styles()["heading"])


def _safe(text: str) -> str:
    """Text without markup, in the characters that the font has; one that it lacks is taken apart, or a question mark."""
    has = _fonts()

    def known(character: str) -> str:
        if ord(character) in has or character == "\n":
            return character
        plain = "".join(c for c in unicodedata.normalize("NFKD", character) if ord(c) in has)
        return plain or "?"

    return escape("".join(map(known, text)))


def _digits(mark: str) -> str:
    return unicodedata.normalize("NFKD", mark)


def _numbered(document: Document) -> Callable[..., Any]:
    """A canvas that writes the margins once the number of pages is known."""
    from reportlab.pdfgen.canvas import Canvas

    class Numbered(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.kept: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self.kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for state in self.kept:
                self.__dict__.update(state)
                _margins(self, document, len(self.kept))
                super().showPage()
            super().save()

    return Numbered


def _margins(canvas: Any, document: Document, pages: int) -> None:
    width, height = canvas._pagesize
    canvas.setFont("Vera", 6.5)
    canvas.setFillColor("#555555")
    canvas.drawString(MARGIN, MARGIN - 4, _fonted(document.identity))
    canvas.drawRightString(width - MARGIN, MARGIN - 4, f"{canvas.getPageNumber()} / {pages}")
    if document.watermark:
        canvas.setFont("Vera-Bold", 8)
        canvas.setFillColor("#b00020")
        canvas.drawCentredString(width / 2, MARGIN - 4, document.watermark)
        canvas.saveState()
        canvas.setFillColor("#000000", alpha=0.06)
        canvas.setFont("Vera-Bold", 92 if len(document.watermark) < 12 else 60)
        canvas.translate(width / 2, height / 2)
        canvas.rotate(25)
        canvas.drawCentredString(0, -30, document.watermark)
        canvas.restoreState()


def _fonted(text: str) -> str:
    has = _fonts()
    return "".join(c if ord(c) in has else "?" for c in text)
