"""`bench compare`: the table of a run again, from its stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    run: Annotated[str, typer.Argument(help="A run: its folder, its id, the beginning of its id, or latest.")],
    baseline: Annotated[
        str | None, typer.Option(help="Target that the others are compared with. Default: the first.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Compare the targets of a run: everything is computed anew from the rows."""
    from bench.commands.output import print_table
    from bench.commands.tables import table_of

    print_table(table_of(run, baseline, out), as_json)
    return 0
