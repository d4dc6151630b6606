"""`bench targets`: what targets.yaml names, and what each still lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def targets(
    file: Annotated[Path, typer.Option("--targets", help="The list of targets.")] = Path("targets.yaml"),
    only: Annotated[list[str] | None, typer.Option(help="Ids of targets, with commas.")] = None,
) -> int:
    """List the targets and what keeps each from running. Nothing is sent."""
    from bench import providers
    from bench.registry.settings import end_of_life
    from bench.targets import load_targets
    from bench.wire.clock import today

    chosen = [part for text in only or [] for part in text.split(",") if part]
    for target in load_targets(file, chosen or None):
        problems = [str(problem) for problem in providers.get(target.provider).check(target)]
        gone, ending = end_of_life(target, today())
        problems += [str(gone)] if gone is not None else []
        where = " in " + target.region if target.region else ""
        make = f" ({target.preset})" if target.preset else ""
        print(
            f"{target.id}: {target.model} as {target.model_id} at {target.provider}{make}{where}, dialect {target.dialect}"
        )
        print("  ready" if not problems else "  not ready:")
        for problem in problems:
            print(f"    {problem}")
        if ending is not None:
            print(f"  note: {ending}")
        for told in providers.told(target):
            print(f"  note: {told}")
    return 0
