"""`bench report`: the table of one run, of several or of a campaign as files to attach, in the form each reader uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Baseline, Campaign, Force, Pool, Runs
from bench.errors import CannotRun, ConfigError, Problem

if TYPE_CHECKING:
    from bench.store.runs import Run


def report(
    run: Runs = None,
    campaign: Campaign = None,
    formats: Annotated[
        str, typer.Option("--format", help="What to write, with commas: html, md, json, ...", metavar="NAME,...")
    ] = "html,md",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files. Default: the run's own, the last one's of several, or the campaign's."
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for every chart as a file of its own.", metavar="DIR")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    baseline: Baseline = None,
    pool: Pool = False,
    by: Annotated[
        str,
        typer.Option(
            help="Slices beside the table: input_tokens (where lengths differ), hour, tag:NAME, or none.",
            metavar="SLICE",
        ),
    ] = "",
    force: Force = False,
) -> int:
    """Write the table as files: a page, a document, a sheet, data. Of one run, of several, or of a campaign."""
    from bench.commands.tables import Wanted, in_order, named, warn
    from bench.report import formats as known
    from bench.report.build import document

    wanted = list(dict.fromkeys(name.strip() for name in formats.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in known.names()]
    if unknown or not wanted:
        want = f"one or more of {', '.join(known.names())}"
        raise ConfigError([Problem("command line", "--format", formats, want)])
    found = named(run, campaign, results, warn)
    pooled = pool or found.campaign is not None
    sliced = None if by == "none" else by or _by_length(found.runs, pooled)
    table = found.table(Wanted(baseline=baseline, pool=pool, by=sliced, force=force), warn)
    made = document(table, in_order(found.runs), pooled)
    folder = out or found.folder
    for name in wanted:
        try:
            content = known.renderer(name)(made)
        except ImportError as error:
            raise CannotRun(f"--format {name} needs {error.name}", "pip install 'bench[report]'") from error
        print(_written(folder / known.file_name(name, made), content))
    if plots is not None:
        from bench.report.plots import files

        for file, content in files(made):
            print(_written(plots / file, content))
    return 0


def _by_length(found: Sequence[Run], pool: bool) -> str | None:
    """Slices by length, where they can be made and the prompts lie in more than one band."""
    from bench.store.columns import stored_rows
    from bench.tabulate import EXACT_ROWS, bands

    if (len(found) > 1 and not pool) or sum(stored_rows(run.path, "requests") for run in found) > EXACT_ROWS:
        return None
    return "input_tokens" if len(bands(found)) > 1 else None


def _written(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CannotRun(f"{path}: cannot write: {error.strerror or error}", "write elsewhere with --out DIR") from error
    return path
