"""A table of few columns on a terminal of any width: side by side where it fits, else a paragraph for each row."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

NARROWEST = 40
GAP = 2
UNKNOWN = "–"
"""What stands in a cell of which nothing is known."""
_UNBROKEN = "\u00a0"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], width: int, least: Sequence[int] = ()) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right, a last one without a head to the left again.

    `least` are widths that a column has where there is room for them. An empty row is an empty line.
    """
    width = max(width, NARROWEST)
    needed = [max(len(row[at]) for row in (head, *rows) if row) for at in range(len(head))]
    roomy = [max(one, wanted - GAP) for one, wanted in zip(needed, least or needed, strict=True)]
    for widths in (roomy, needed):
        if sum(widths) + GAP * (len(widths) - 1) <= width:
            return [_line(row, widths, not head[-1]) for row in (head, *rows)]
    lines = [line for row in rows for line in (_paragraph(head, row, width) if row else [""])]
    return lines[1:] if lines and not lines[0] else lines


def folded(line: str, width: int, indent: str = "") -> list[str]:
    """A sentence in lines of that width; words longer than a line are broken, hyphens are not."""
    deep = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(), max(width, NARROWEST), initial_indent=deep, subsequent_indent=indent, break_on_hyphens=False
    )


def _line(row: Sequence[str], widths: Sequence[int], remark: bool) -> str:
    if not row:
        return ""
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    cells[0] = row[0].ljust(widths[0])
    if remark:
        cells[-1] = row[-1]
    return (" " * GAP).join(cells).rstrip()


def _paragraph(head: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """A row as a sentence. A head is never parted from what stands under it; of a row of nothing known one dash is left."""
    told = [f"{name} {cell}".strip() for name, cell in zip(head[1:], row[1:], strict=True) if cell]
    if set(row[1:]) <= {"", UNKNOWN}:
        told = []
    deep = " " * (len(row[0]) - len(row[0].lstrip()))
    whole = ", ".join(one.replace(" ", _UNBROKEN) for one in told) or UNKNOWN
    return [line.replace(_UNBROKEN, " ") for line in folded(f"{row[0]}: {whole}", width, f"{deep}  ")]
