"""`bench gate`: does tonight's run keep what the nights before it promise?"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import ConfigError, Problem

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def gate(
    run: Annotated[str, typer.Argument(help="The run to judge: a folder, an id, the beginning of an id, or latest.")],
    baseline: Annotated[
        str,
        typer.Option(help="What it is held against: history, a run, a folder of runs, or a baseline file."),
    ] = "history",
    history: Annotated[Path, typer.Option(help="Where runs are kept.", metavar="DIR")] = Path("results"),
    confirm: Annotated[
        str | None, typer.Option(help="A re-run of the same night: a regression needs both.", metavar="RUN")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(help="A target that should not change: what it shares is our own bad night.", metavar="TARGET"),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Nights before this date do not count: an accepted change.", metavar="DATE")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 4 where nothing can be told.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts as JUnit XML.", metavar="FILE")] = None,
    reports: Annotated[
        Path | None,
        typer.Option(help="Write every form for CI: JUnit, Markdown, code quality, metrics, JSON.", metavar="DIR"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> int:
    """Judge a run by its own history. One verdict for each figure of each target."""
    from bench.commands import ci
    from bench.commands.output import columns_of_terminal
    from bench.commands.tables import warn
    from bench.nightly.gating import Wanted
    from bench.nightly.gating import gate as judged
    from bench.report import gate as report

    if since is not None and not _DATE.fullmatch(since):
        raise ConfigError([Problem("command line", "--since", since, "a date, e.g. 2026-11-21")])
    with ci.errors_annotated():
        result = judged(Wanted(run, baseline, history, confirm, control, since, strict), warn)
        ci.write(result, junit, reports)
    if as_json:
        print(json.dumps(report.as_dict(result), indent=1, ensure_ascii=False))
        return result.exit_code
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    print(ci.fenced(report.text(result, min(100, columns_of_terminal()), colour)), end="")
    return result.exit_code
