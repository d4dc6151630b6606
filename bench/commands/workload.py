"""`bench workload`: what a workload holds, before anything is sent."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import EXIT_AGAINST, EXIT_OK, EXIT_USAGE, BenchError, ConfigError, Problem

if TYPE_CHECKING:
    from bench.workload import Workload

app = typer.Typer(help="Look at workloads: their cases, their claims and their schema.", no_args_is_help=True)

TARGETS = Path("targets.yaml")


class Split(StrEnum):
    private = "private"


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="The folder to look in.")] = Path("workloads"),
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """List a folder's workloads by name: title, cases, lengths, scorers."""
    from bench import suites
    from bench.workload import load_workload

    found = suites.files(folder)
    if not found:
        want = "a folder with workload files"
        raise ConfigError(
            [Problem("command line", "FOLDER", str(folder), want)], "Give one: bench workload list FOLDER"
        )
    rows: list[dict[str, Any]] = []
    for path in found:
        try:
            rows.append(_facts(path, load_workload(path)))
        except BenchError as error:
            rows.append({"file": str(path), "name": path.stem, "problem": error.message.split("\n")[0]})
    if as_json:
        print(json.dumps(rows, indent=1))
        return EXIT_OK
    width = _width()
    for row in rows:
        print(_wrapped(f"{row['name']}: {row.get('title') or row['file']}", width, ""))
        if "problem" in row:
            print(_wrapped(f"cannot be read: {row['problem']}", width))
            continue
        lengths = ", ".join(f"{kind} {row[key]:,} tokens at p50" for kind, key in _LENGTHS if row[key] is not None)
        print(_wrapped(f"{row['cases']:,} cases; {lengths}", width))
        print(_wrapped(f"scorers: {', '.join(row['scorers']) or 'none'}; {row['file']}", width))
    return EXIT_OK


_LENGTHS = (("input", "input_tokens_p50"), ("reference reply", "output_tokens_p50"))


def _facts(path: Path, workload: Workload) -> dict[str, Any]:
    from bench.claims import input_tokens, percentile
    from bench.tokens import tokens

    replies = [tokens(case.answers["right"][0]) for case in workload.cases if case.answers.get("right")]
    return {
        "file": str(path),
        "name": workload.name,
        "title": workload.title,
        "tags": list(workload.spec.tags),
        "cases": len(workload.cases),
        "sessions": len(workload.sessions) or None,
        "input_tokens_p50": round(percentile([input_tokens(case) for case in workload.cases], 50)),
        "output_tokens_p50": round(percentile(replies, 50)) if replies else None,
        "scorers": [f"{spec.name} ({spec.type})" for spec in workload.scorers],
        "digest": workload.digest,
    }


def _width() -> int:
    from bench.commands.output import WIDTH_WITHOUT_TERMINAL

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return max(20, shutil.get_terminal_size().columns) if known else WIDTH_WITHOUT_TERMINAL


def _wrapped(text: str, width: int, indent: str = "  ") -> str:
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A workload file, or the name of one in workloads/.")],
    item: Annotated[str | None, typer.Option(help="Id of one case: print its exact prompt.")] = None,
    target: Annotated[
        str | None, typer.Option(help="With --item: the body as this target of targets.yaml is sent it.")
    ] = None,
    targets: Annotated[Path, typer.Option(help="The list of targets.")] = TARGETS,
) -> int:
    """Print what a workload holds, or one case exactly as it is sent."""
    from bench import suites
    from bench.workload import load_workload

    file = suites.find(name)
    workload = load_workload(file)
    if target is not None and item is None:
        raise ConfigError([Problem("command line", "--target", target, "it together with --item ID")])
    if item is not None:
        found = [case for case in workload.cases if case.id == item]
        if not found:
            some = ", ".join(case.id for case in workload.cases[:3])
            raise ConfigError([Problem(str(file), "--item", item, f"the id of a case, e.g. {some}")])
        if target is not None:
            print(json.dumps(_body(file, item, target, targets), indent=1, ensure_ascii=False))
            if workload.salt != "none":
                print(f"A run puts a line in front, [its salt], new for each {workload.salt}.", file=sys.stderr)
            return EXIT_OK
        for message in found[0].messages:
            print(f"── {message['role']}\n{message['content']}\n")
        print(f"── expected\n{json.dumps(found[0].expected, indent=1, ensure_ascii=False)}")
        return EXIT_OK
    print(_wrapped(f"{workload.name}: {workload.title}", _width(), ""))
    print(f"{len(workload.cases)} cases, digest {workload.digest[:16]}")
    for case in workload.cases:
        tags = " ".join(str(case.tags[key]) for key in ("kind", "tier") if key in case.tags)
        print(f"  {case.id}  {tags}")
    return EXIT_OK


def _body(file: Path, item: str, target: str, targets: Path) -> dict[str, Any]:
    """The request body of a case in the target's dialect, with the settings it would be sent."""
    from bench import dialects
    from bench.conductor.preflight import Options, prepare
    from bench.wire.clock import today

    job = prepare(Options(workload=file, targets=targets, only=(target,), simulate=True, limits="off"), today())
    (ready,) = job.ready
    case = next(case for case in job.workload.cases if case.id == item)
    return dialects.get(ready.target.dialect).encode(case, ready.params, ready.target)


@app.command("check")
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Workload files, or names in workloads/.")],
    targets: Annotated[
        Path | None, typer.Option(help="For the estimate. Default: targets.yaml, if it is there.")
    ] = None,
) -> int:
    """Check workloads, and reckon what a run would cost. Schema and data, claimed lengths, and that the gold can be reached."""
    from bench import suites

    worst = EXIT_OK
    for n, name in enumerate(files):
        if n:
            print()
        try:
            against = _checked(suites.find(name), targets)
        except ConfigError as error:
            if len(files) == 1:
                raise
            print(error.message, file=sys.stderr)
            worst = max(worst, EXIT_USAGE)
            continue
        worst = max(worst, EXIT_AGAINST if against else EXIT_OK)
    return worst


def _checked(file: Path, targets: Path | None) -> bool:
    """Prints what was found of one file; whether something speaks against it."""
    from bench import claims
    from bench.commands.shape import lines
    from bench.workload import load_workload

    workload = load_workload(file)
    width = _width()
    found = list(claims.lines(workload))
    against = not all(good for _, good in found)
    verdict = "its own claims do not hold" if against else "fine"
    scorers = "1 scorer" if len(workload.scorers) == 1 else f"{len(workload.scorers)} scorers"
    head = f"{len(workload.cases):,} cases, {scorers}, digest {workload.digest[:16]}"
    print(_wrapped(f"{file}: {head}: {verdict}", width, ""))
    for said, _ in found:
        print(_wrapped(said.strip(), width, "    " if said.startswith("  ") else "  "))
    for line in lines(workload, columns=width):
        print(line if line.startswith("  ") else _wrapped(line, width, ""))
    for line in _estimate(file, targets):
        print(_wrapped(line, width, "" if line.endswith(":") else "  "))
    return against


def _estimate(file: Path, targets: Path | None) -> list[str]:
    """Tokens and dollars of a run for each target of the list, where there is one."""
    from bench.conductor.preflight import Options, prepare
    from bench.targets import load_targets
    from bench.wire.clock import today

    if targets is None and not TARGETS.is_file():
        return []
    listed = targets or TARGETS
    try:
        only = tuple(target.id for target in load_targets(listed))
        job = prepare(Options(workload=file, targets=listed, only=only, simulate=True, limits="off"), today())
    except BenchError as error:
        return [f"no estimate with {listed}: {line}" for line in error.message.split("\n")[:3]]
    said = [f"a run with {listed}, tokens as estimated:"]
    for e in job.estimate:
        likely, most = (f"${usd:.2f}" if usd is not None else "unknown" for usd in (e.usd_likely, e.usd_most))
        why = f" ({e.why_unknown})" if e.why_unknown and e.usd_most is None else ""
        said.append(
            f"{e.target_id}: {e.requests:,} requests, {e.input_tokens:,} tokens in, likely {likely}, at most {most}{why}"
        )
    return said


@app.command("render")
def render(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A generated workload: its file, or its name.")],
    seed: Annotated[int, typer.Option(help="Your own seed; whoever knows it has the test.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the copy.")],
    split: Annotated[Split, typer.Option(help="What kind of copy.")] = Split.private,
) -> int:
    """Write a private copy of a workload, which no model has seen. It has other names, numbers and orders."""
    from bench import suites

    copy = suites.render(suites.find(name), seed, out)
    print(f"{copy.data}: {copy.items} items, sha256 {copy.sha256}")
    print(f"{copy.yaml}: a {split.value} copy. Keep it and its seed to yourself; run it with")
    print(f"  bench run {copy.yaml}")
    return EXIT_OK


@app.command("schema")
def schema() -> int:
    """Print the JSON Schema of workload files, for editors."""
    from bench.workload import json_schema

    print(json.dumps(json_schema(), indent=1, sort_keys=True))
    return EXIT_OK
