"""Every chart of a report as a file of its own."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.document import Document
from bench.report.svg import draw


def files(document: Document) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of every chart: SVG, in colours of its own."""
    mark = "simulated-" if "SIMULATED" in document.watermark else ""
    for chart in document.charts():
        yield f"{mark}{chart.id}.svg", draw(chart).encode()
