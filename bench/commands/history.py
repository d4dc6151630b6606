"""`bench history`: what became of every figure over the nights of a results folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import CannotRun


def history(
    results: Annotated[Path, typer.Argument(help="Where runs are kept.", metavar="[DIR]")] = Path("results"),
    workload: Annotated[
        str | None, typer.Option(help="Name of the workload. Default: that of the newest run.", metavar="NAME")
    ] = None,
    target: Annotated[str | None, typer.Option(help="One target alone.", metavar="ID")] = None,
    metric: Annotated[
        str | None, typer.Option(help="One figure, night by night: ttft_p50_ms, quality, ...", metavar="NAME")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="How many dates, the newest included.")] = 60,
    html: Annotated[Path | None, typer.Option(help="Write the trend page.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print nights, changes and breaks as JSON.")] = False,
) -> int:
    """Show every figure night by night, and when it changed."""
    from bench.commands.output import columns_of_terminal
    from bench.commands.tables import warn
    from bench.nightly.trend import Wanted, trend
    from bench.report import trend as report

    if html is not None and html.is_dir():
        raise CannotRun(f"{html}: a folder", f"name a file, e.g. {html / 'trend.html'}")
    found = trend(Wanted(results, workload, target, metric, last), warn)
    if html is not None:
        from bench.report.trend_page import page

        try:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_bytes(page(found))
        except OSError as error:
            raise CannotRun(f"{html}: cannot write: {error.strerror or error}", "write elsewhere") from error
        print(html, file=sys.stderr)
    if as_json:
        print(json.dumps(report.as_dict(found), indent=1))
        return 0
    width, plain = columns_of_terminal(), not _unicode()
    if metric is not None and found.series:
        print(report.nights_text(found, width, plain), end="")
        return 0
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    print(report.text(found, width, colour, plain), end="")
    return 0


def _unicode() -> bool:
    """Whether standard output can hold the signs of a sparkline."""
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16") and os.environ.get(
        "TERM"
    ) != "dumb"
