"""`bench score`: the stored replies of a run, judged again by the scorers as they are now."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands import invocation
from bench.errors import ConfigError, Problem


def score(
    run: Annotated[str, typer.Argument(help="A run: its folder, its id, the beginning of its id, or latest.")],
    workload: Annotated[
        Path | None,
        typer.Option(help="The workload file. Default: the one the run's command named, or workloads/NAME."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Score although the workload or the rows changed; needs --note.")
    ] = False,
    note: Annotated[str | None, typer.Option(help="Why, for the manifest.")] = None,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Score the stored replies of a run again. Nothing is sent; the old scores' digest is kept in the manifest."""
    from bench.commands.output import print_table
    from bench.commands.tables import table_of
    from bench.rescore import rescore
    from bench.store import runs
    from bench.workload import load_workload

    if force and not (note or "").strip():
        want = "it together with --note 'what changed and why'"
        raise ConfigError([Problem("command line", "--force", "alone", want)])
    folder = runs.find_run(run, out)
    path = workload or _workload_of(runs.open_run(folder).manifest)
    done = rescore(folder, load_workload(path), shlex.join(["bench", *invocation]), note if force else None)
    print(f"{folder}: {done.scores} scores from stored replies; nothing was sent.", file=sys.stderr)
    for scorer, version in done.versions.items():
        print(f"  {scorer} (version {version}): {done.changed[scorer]} verdicts changed", file=sys.stderr)
    if done.unknown_cases:
        print(f"  {done.unknown_cases} rows are of cases that the workload does not hold: not scored", file=sys.stderr)
    print_table(table_of(str(folder), None, out), as_json)
    return 0


def _workload_of(manifest: Any) -> Path:
    """The file that the run was made with, where it is still to be found."""
    name = str((manifest.get("workload") or {}).get("file") or "")
    words = shlex.split(str(manifest.get("command") or ""))
    places = [Path(word) for word in words if name and Path(word).name == name] + [Path("workloads") / name, Path(name)]
    for place in places:
        if name and place.is_file():
            return place
    want = f"where {name or 'the file'} is now; it was not found as {', '.join(dict.fromkeys(map(str, places)))}"
    raise ConfigError([Problem("command line", "--workload", "nothing", want)])
