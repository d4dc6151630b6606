"""`bench workload`: what a workload holds, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import ConfigError, Problem

app = typer.Typer(help="Look at workloads: their cases and their schema.", no_args_is_help=True)


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="The workload file.")],
    item: Annotated[str | None, typer.Option(help="Id of one case: print its exact prompt.")] = None,
) -> int:
    """Print what a workload holds, or one case exactly as it is sent."""
    from bench.workload import load_workload

    workload = load_workload(file)
    if item is not None:
        found = [case for case in workload.cases if case.id == item]
        if not found:
            some = ", ".join(case.id for case in workload.cases[:3])
            raise ConfigError([Problem(str(file), "--item", item, f"the id of a case, e.g. {some}")])
        for message in found[0].messages:
            print(f"── {message['role']}\n{message['content']}\n")
        print(f"── expected\n{json.dumps(found[0].expected, indent=1, ensure_ascii=False)}")
        return 0
    print(f"{workload.name}: {workload.title}")
    print(f"{len(workload.cases)} cases, digest {workload.digest[:16]}")
    for case in workload.cases:
        tags = " ".join(str(case.tags[key]) for key in ("kind", "tier") if key in case.tags)
        print(f"  {case.id}  {tags}")
    return 0


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The workload file.")]) -> int:
    """Check a workload's file, its data and its templates, and print its load. Every mistake is listed with its line."""
    from bench.commands.shape import lines
    from bench.workload import load_workload

    workload = load_workload(file)
    print(f"{file}: {len(workload.cases)} cases, {len(workload.scorers)} scorers, digest {workload.digest[:16]}: fine")
    for line in lines(workload):
        print(line)
    return 0


@app.command("schema")
def schema() -> int:
    """Print the JSON Schema of workload files, for editors."""
    from bench.workload import json_schema

    print(json.dumps(json_schema(), indent=1, sort_keys=True))
    return 0
