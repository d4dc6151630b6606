"""From the name of a run to its table."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.stats.table import Table, build
from bench.store import runs
from bench.store.journal import journals
from bench.store.recorded import CRASHED, MANIFEST


def table_of(ref: str, baseline: str | None, out: Path) -> Table:
    """The table of a stored run. Rows that are not those the run wrote are one warning line."""
    run = _opened(runs.find_run(ref, out))
    changed = runs.verify_digests(run)
    if changed:
        print(f"Warning: changed since the run wrote them: {', '.join(changed)}", file=sys.stderr)
    return build(run.requests, run.attempts, run.scores, run.manifest, baseline)


def _opened(folder: Path) -> runs.Run:
    """The run; one that crashed gets its tables from its journal first, and the reader is told."""
    crashed = not (folder / MANIFEST).exists()
    run = runs.recover(folder) if crashed and journals(folder) else runs.open_run(folder)
    if run.manifest.get("stopped") == CRASHED:
        again = runs.resume_command(run.manifest, folder)
        print(f"The run crashed; its rows come from its journal, without scores. To go on: {again}", file=sys.stderr)
    return run
