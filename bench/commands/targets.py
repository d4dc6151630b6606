"""`bench targets`: what targets.yaml names, and what each still lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def targets(
    file: Annotated[Path, typer.Option("--targets", help="The list of targets.")] = Path("targets.yaml"),
) -> int:
    """List the targets, their end-of-life dates, and what keeps each from running. Nothing is sent."""
    from rich.console import Console
    from rich.table import Table

    from bench import providers, registry
    from bench.targets import load_targets
    from bench.wire.clock import today

    table = Table(box=None, pad_edge=False)
    for name in ("target", "model", "door", "region", "id there", "end of life", "ready"):
        table.add_column(name, overflow="fold")
    lacking = []
    for target in load_targets(file, None):
        entry = registry.lookup(target.model, target.provider)
        problems = [str(p) for p in providers.get(target.provider).check(target)]
        gone = registry.retired(entry, today())
        problems += [f"{target.id}: {gone}"] if gone else []
        lacking += problems
        table.add_row(
            target.id,
            target.model,
            target.provider,
            target.region or "",
            target.model_id,
            registry.end_of_life_text(entry),
            "no" if problems else "yes",
        )
    Console().print(table)
    for line in lacking:
        print(line)
    return 0
