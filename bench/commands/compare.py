"""`bench compare`: the table of a run again, or of several runs, from their stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    run: Annotated[
        list[str],
        typer.Argument(
            help="Runs: a folder, an id, the beginning of an id, a date, latest, or a pattern.", metavar="RUN..."
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Target that the others are compared with; of runs side by side, the run. Default: the first."
        ),
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="Put the blocks of all runs together, instead of runs side by side.")
    ] = False,
    by: Annotated[
        str | None, typer.Option(help="Slices beside the table: input_tokens, hour, or tag:NAME.", metavar="SLICE")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A production mix: every figure is weighted to its shares.", metavar="FILE")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare unlike runs, with what differs under the table.")
    ] = False,
    approx: Annotated[
        bool, typer.Option("--approx", help="Latency from histograms (within 0.5 %), in a fixed memory.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Compare the targets of a run, or runs with each other: everything is computed anew from the rows."""
    from bench.commands.output import print_table
    from bench.commands.tables import Wanted, table_of_all

    wanted = Wanted(baseline=baseline, pool=pool, by=by, weights=weights, force=force, approx=approx)
    print_table(table_of_all(run, wanted, out), as_json)
    return 0
