"""Flags that several verbs share: one wording, one meaning."""

from __future__ import annotations

from typing import Annotated

import typer

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs: a folder, an id, the beginning of an id, a date, latest, or a pattern.", metavar="RUN"),
]
Campaign = Annotated[
    str | None,
    typer.Option(help="All runs of a campaign, pooled, each of them one block; it need not be over.", metavar="NAME"),
]
Baseline = Annotated[
    str | None,
    typer.Option(help="Target that the others are compared with; of runs side by side, the run. Default: the first."),
]
Pool = Annotated[
    bool, typer.Option("--pool", help="Put the blocks of all runs together, instead of runs side by side.")
]
Force = Annotated[bool, typer.Option("--force", help="Compare unlike runs, with what differs under the table.")]
