"""`bench run`: one workload, every target side by side."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands import BARE, invocation
from bench.commands.money import dollars
from bench.errors import EXIT_BUDGET, ConfigError, Problem

MOST_WORKERS = 256


class Limits(StrEnum):
    pace = "pace"
    probe = "probe"
    off = "off"


class Replies(StrEnum):
    full = "full"
    hashed = "hashed"
    none = "none"


def run(
    workload: Annotated[Path | None, typer.Argument(help="The workload file, e.g. workloads/rag.yaml.")] = None,
    targets: Annotated[Path | None, typer.Option(help="The list of targets. Default: targets.yaml here.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Ids of targets, with commas; one alone is allowed.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Ask look-alike clouds on loopback; no key needed.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    run_id: Annotated[str | None, typer.Option(help="Name of the run. Default: time, workload, random.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="A run that stopped early: go on with the rest of its plan. With --campaign alone.", metavar="RUN"
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Closed loop: requests in flight, in all, or for each target with --lanes."),
    ] = None,
    request_rate: Annotated[
        float | None, typer.Option(min=0.001, help="Open loop: prompts per second, for each target.")
    ] = None,
    requests: Annotated[int | None, typer.Option(min=1, help="Prompts for each target.")] = None,
    duration: Annotated[str | None, typer.Option(help="Length of the load, e.g. 5m.")] = None,
    lanes: Annotated[
        bool, typer.Option("--lanes", help="Give every target its own full-rate schedule instead of interleaving them.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A stratified sixth of the cases: a look, not a claim.")
    ] = False,
    workers: Annotated[
        str, typer.Option(help="Processes that send, each with a share of the prompts: a number, or auto.")
    ] = "1",
    seed: Annotated[int, typer.Option(help="Seed of order, due times and look-alikes.")] = 1,
    max_usd: Annotated[str | None, typer.Option(help="Stop before spending more, replies in flight included.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Send nothing after so many minutes from the start.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print requests, tokens, dollars and minutes; send nothing.")
    ] = False,
    prices: Annotated[Path | None, typer.Option(help="Your own prices over the list (docs/prices.md).")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A note for the manifest, k=v.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Target that the others are compared with. Default: the first.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Measure ourselves on loopback first.")
    ] = True,
    limits: Annotated[
        Limits,
        typer.Option(
            help="Declared rate limits: refuse a plan they would throttle, probe them (no retries), or ignore them."
        ),
    ] = Limits.pace,
    replies: Annotated[Replies, typer.Option(help="What is kept of the replies.")] = Replies.full,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="A campaign of so many runs, at times that are drawn.")
    ] = None,
    over: Annotated[str | None, typer.Option(help="The period of a campaign, e.g. 7d or 24h.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Name of the campaign; alone, one that was begun.")] = None,
    grace: Annotated[str, typer.Option(help="How late a block of a campaign may start before it is missed.")] = "15m",
    due: Annotated[
        bool, typer.Option("--due", help="Run what is due of the campaign now, and end: for timers and CI.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Run one workload against every target and print the comparison."""
    from bench.conductor.preflight import Options
    from bench.yamlfile import parse_duration_ns

    problems: list[Problem] = []
    duration_ns = None
    if duration is not None:
        try:
            duration_ns = parse_duration_ns(duration)
        except ValueError as error:
            problems.append(Problem("command line", "--duration", duration, f"{error}, e.g. 5m"))
    limit = None
    if max_usd is not None:
        try:
            limit = dollars(max_usd)
        except ConfigError as error:
            problems += error.problems
    if workers != "auto" and not (workers.isascii() and workers.isdigit() and 1 <= int(workers) <= MOST_WORKERS):
        problems.append(Problem("command line", "--workers", workers, f"1 to {MOST_WORKERS}, or auto"))
    labels = []
    for text in label or []:
        key, sign, value = text.partition("=")
        if not sign or not key:
            problems.append(Problem("command line", "--label", text, "key=value, e.g. --label ticket=OPS-12"))
        labels.append((key, value))
    if run_id is not None and (not run_id or any(c in run_id for c in "/\\=: ") or run_id.startswith(".")):
        problems.append(Problem("command line", "--run-id", run_id, "a plain name, e.g. before-upgrade"))
    if run_id is not None and resume is not None:
        problems.append(Problem("command line", "--run-id", "both it and --resume", "one of the two"))
    continued = campaign is not None and workload is None
    if continued or resume == BARE:
        problems += _campaign_problems(campaign, workload, resume, due, {"--blocks": blocks, "--over": over})
    elif workload is None:
        problems.append(Problem("command line", "WORKLOAD", "nothing", "a workload file, e.g. workloads/rag.yaml"))
    if (blocks is None) != (over is None) or (blocks is None and workload is not None and (campaign or due)):
        problems.append(
            Problem("command line", "--blocks", "a part", "--blocks and --over together, e.g. --blocks 48 --over 7d")
        )
    if blocks is not None and (run_id is not None or resume is not None):
        problems.append(Problem("command line", "--blocks", "a name for one run", "--campaign NAME"))
    if problems:
        raise ConfigError(problems)
    if continued or workload is None:
        from bench.commands.campaigns import go_on

        return go_on(campaign or "", out, due, limit, as_json)
    options = Options(
        workload=workload,
        targets=targets,
        only=tuple(part for text in only or [] for part in text.split(",") if part),
        simulate=simulate,
        out=out,
        run_id=run_id,
        resume=resume,
        concurrency=concurrency,
        request_rate=request_rate,
        requests=requests,
        duration_ns=duration_ns,
        lanes=lanes,
        quick=quick,
        seed=seed,
        max_usd=limit,
        max_minutes=max_minutes,
        labels=tuple(labels),
        calibrate=calibrate,
        limits=limits.value,
        replies=replies.value,
        baseline=baseline,
        workers=None if workers == "auto" else int(workers),
        command=shlex.join(["bench", *invocation]),
        prices=prices,
    )
    if estimate:
        from bench.commands.estimated import estimated

        return estimated(options, as_json)
    if blocks is not None and over is not None:
        from bench.commands.campaigns import begin

        return begin(options, campaign, blocks, over, grace, due, as_json)
    return _run(options, as_json)


def _campaign_problems(
    campaign: str | None, workload: Path | None, resume: str | None, due: bool, drawn: dict[str, Any]
) -> list[Problem]:
    """What is wrong with going on with a campaign: all but its name is in its file."""
    if campaign is None:
        return [
            Problem("command line", "--resume", "nothing", "a run, e.g. --resume latest; or --campaign NAME --resume")
        ]
    problems = [
        Problem("command line", flag, str(value), f"nothing: the plan of {campaign} is published")
        for flag, value in drawn.items()
        if value is not None
    ]
    if workload is not None:
        problems.append(Problem("command line", "WORKLOAD", str(workload), f"nothing: {campaign} says what is run"))
    if resume not in (None, BARE):
        problems.append(Problem("command line", "--resume", str(resume), "no run: --campaign NAME --resume"))
    if resume is None and not due:
        problems.append(
            Problem("command line", "--campaign", "", "say --resume to go on with it, or --due to run what is due now")
        )
    return problems


def _run(options: Any, as_json: bool) -> int:
    from bench.commands.output import print_table
    from bench.commands.progress import Progress
    from bench.conductor.runner import run as conduct

    with Progress.open() as progress:
        result = conduct(options, progress.show)
    print_table(result.table, as_json)
    for reason in result.manifest["invalid"]:
        print(f"NOT A MEASUREMENT: {reason}", file=sys.stderr)
    if not result.manifest["complete"]:
        from bench.store.runs import resume_command

        which = "--max-minutes" if "time" in str(result.manifest["stopped"]) else "--max-usd"
        how = f" with a higher {which}" if result.exit_code == EXIT_BUDGET else ""
        print(f"To go on where it stopped{how}: {resume_command(result.manifest, result.folder)}", file=sys.stderr)
    return result.exit_code
