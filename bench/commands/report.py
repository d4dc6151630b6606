"""`bench report`: a run's table as a file to attach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.errors import ConfigError, Problem

FORMATS = ("md", "json")


def report(
    run: Annotated[str, typer.Argument(help="A run: its folder, its id, the beginning of its id, or latest.")],
    formats: Annotated[str, typer.Option("--format", help="md and json, with commas.")] = "md",
    out: Annotated[Path | None, typer.Option(help="Folder for the files. Default: the run's own.")] = None,
    results: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    baseline: Annotated[
        str | None, typer.Option(help="Target that the others are compared with. Default: the first.")
    ] = None,
) -> int:
    """Write a run's table as Markdown or JSON."""
    import json

    from bench.commands.tables import table_of
    from bench.report import markdown
    from bench.report.data import as_dict
    from bench.store import runs

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        raise ConfigError([Problem("command line", "--format", formats, f"one or more of {', '.join(FORMATS)}")])
    folder = out or runs.find_run(run, results)
    table = table_of(run, baseline, results)
    mark = "simulated-" if table.simulated else ""
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        path = folder / f"{mark}report.{name}"
        text = markdown.render(table) if name == "md" else json.dumps(as_dict(table), indent=1)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0
