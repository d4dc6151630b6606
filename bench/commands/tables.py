"""From the name of a run to its table."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.stats.table import Table, build
from bench.store import runs


def table_of(ref: str, baseline: str | None, out: Path) -> Table:
    """The table of a stored run. Rows that are not those the run wrote are one warning line."""
    run = runs.open_run(runs.find_run(ref, out))
    changed = runs.verify_digests(run)
    if changed:
        print(f"Warning: changed since the run wrote them: {', '.join(changed)}", file=sys.stderr)
    return build(run.requests, run.attempts, run.scores, run.manifest, baseline)
