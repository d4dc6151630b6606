"""GitHub Markdown."""

from __future__ import annotations

from bench.report import markdown
from bench.report.document import Document


def render(document: Document) -> bytes:
    return markdown.render(document.table, [grid for grid in document.grids() if grid.id == "cost"]).encode()
