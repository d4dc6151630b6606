"""`bench simulate`: look-alike clouds to point other programs at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    targets: Annotated[Path, typer.Option(help="The list of targets to imitate.")] = Path("targets.yaml"),
    port: Annotated[int, typer.Option(help="Port of the first target; the others follow. 0 takes free ones.")] = 8400,
    truth: Annotated[Path | None, typer.Option(help="Parquet file for what was really sent, and when.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of delays, faults and answers.")] = 1,
) -> int:
    """Run look-alikes of the targets on loopback until Ctrl-C."""
    import signal

    from bench import simulate as clouds
    from bench.targets import load_targets

    config = {
        "seed": seed,
        "port": port or None,
        "targets": [
            {
                "id": target.id,
                "door": target.provider,
                "model_id": target.model_id,
                "profile": clouds.default_profile(target.provider),
                "credentials": clouds.default_credentials(target.provider),
            }
            for target in load_targets(targets, None)
        ],
        "answers": None,
        "truth": None if truth is None else str(truth),
    }
    with clouds.launch(config) as running:
        print(clouds.describe(config, running.ports), flush=True)
        print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        running.stop()
    return 0
