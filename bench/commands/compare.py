"""`bench compare`: the table of a run again, or of several runs, from their stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Baseline, Campaign, Force, Pool, Runs


def compare(
    run: Runs = None,
    campaign: Campaign = None,
    baseline: Baseline = None,
    pool: Pool = False,
    by: Annotated[
        str | None, typer.Option(help="Slices beside the table: input_tokens, hour, or tag:NAME.", metavar="SLICE")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A production mix: every figure is weighted to its shares.", metavar="FILE")
    ] = None,
    force: Force = False,
    approx: Annotated[
        bool, typer.Option("--approx", help="Latency from histograms (within 0.5 %), in a fixed memory.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Compare the targets of a run, or runs with each other. Everything is computed anew from the rows."""
    from bench.commands.output import print_table
    from bench.commands.tables import Wanted, named, warn

    wanted = Wanted(baseline=baseline, pool=pool, by=by, weights=weights, force=force, approx=approx)
    print_table(named(run, campaign, out, warn).table(wanted, warn), as_json)
    return 0
