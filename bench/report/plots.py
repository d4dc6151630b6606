"""Every chart of a report as files of its own."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.document import Document
from bench.report.svg import draw

SCALE = 2.0
"""Dots per unit of the drawing: sharp on a slide."""


def files(document: Document) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of every chart: as SVG, in colours of its own, and as PNG. ImportError without vl-convert."""
    import vl_convert

    mark = "simulated-" if "SIMULATED" in document.watermark else ""
    for chart in document.charts():
        drawing = draw(chart)
        yield f"{mark}{chart.id}.svg", drawing.encode()
        yield f"{mark}{chart.id}.png", vl_convert.svg_to_png(drawing, scale=SCALE)
