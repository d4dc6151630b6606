"""`bench compare`: the table of a run again, or of several runs, from their stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: a folder, an id, the beginning of an id, a date, latest, or a pattern.", metavar="RUN..."
        ),
    ] = None,
    campaign: Annotated[
        str | None,
        typer.Option(
            help="All runs of a campaign, pooled, each of them one block; it need not be over.", metavar="NAME"
        ),
    ] = None,
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
    from bench.commands.tables import Wanted, table_of_all, table_of_campaign, warn
    from bench.errors import ConfigError, Problem

    wanted = Wanted(baseline=baseline, pool=pool, by=by, weights=weights, force=force, approx=approx)
    if bool(run) == bool(campaign):
        got = "both" if run else "neither runs nor a campaign"
        raise ConfigError(
            [Problem("command line", "RUN, --campaign", got, "one of them, e.g. latest or --campaign week")]
        )
    table = table_of_campaign(campaign, wanted, out, warn) if campaign else table_of_all(run or [], wanted, out)
    print_table(table, as_json)
    return 0
