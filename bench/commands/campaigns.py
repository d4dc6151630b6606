"""The part of `bench run` and `bench plan` that deals with campaigns: words for people, and the real clock."""

from __future__ import annotations

import dataclasses
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.grid import folded
from bench.commands.output import columns_of_terminal
from bench.commands.progress import Progress
from bench.errors import CannotRun
from bench.wire.calendar import utc

if TYPE_CHECKING:
    from bench.campaigns.campaign import Campaign, Log
    from bench.campaigns.design import Assumed
    from bench.campaigns.planning import Question, Standing
    from bench.conductor.preflight import Options
    from bench.conductor.runner import Result


def begin(options: Options, name: str | None, blocks: int, over: str, grace: str, due_only: bool, as_json: bool) -> int:
    """Publishes a campaign, then carries it out."""
    from bench.campaigns.campaign import period_ns
    from bench.campaigns.campaigning import begin as published
    from bench.campaigns.campaigning import in_words
    from bench.wire.calendar import WallCalendar

    over_ns, grace_ns = period_ns(over, "--over"), period_ns(grace, "--grace")
    campaign = published(options, name, blocks, over_ns, grace_ns, WallCalendar().now_ns())
    first, last = campaign.blocks[0], campaign.blocks[-1]
    _say(
        f"Campaign {campaign.name}: {blocks} blocks over {in_words(over_ns)}, the first {utc(first.start_ns)}, the last "
        f"{utc(last.start_ns)}.\nPublished before the first request: {campaign.folder / 'campaign.json'}, digest sha256 "
        f"{campaign.facts['digest']}"
    )
    return _carry_out(campaign, due_only, None, as_json)


def go_on(name: str, out: Path, due_only: bool, limit_usd: Decimal | None, as_json: bool) -> int:
    """Goes on with a campaign that was published."""
    from bench.campaigns.campaign import opened

    return _carry_out(opened(name, out), due_only, limit_usd, as_json)


def _carry_out(campaign: Campaign, due_only: bool, limit_usd: Decimal | None, as_json: bool) -> int:
    from bench.campaigns.campaigning import carry_out
    from bench.wire.calendar import WallCalendar

    line = _StatusLine()
    try:
        code = carry_out(
            campaign, WallCalendar(), _run_block, line.say, line.tick, due_only=due_only, limit_usd=limit_usd
        )
    except CannotRun as error:
        # A timer that fires while the last block still runs has found nothing to do.
        if not due_only or error.hint != "wait until it ends":
            raise
        _say(f"{campaign.name}: another process is carrying it out.")
        code = 0
    if as_json:
        print(json.dumps(as_dict(campaign), indent=1))
    return code


def _run_block(options: Options) -> Result:
    from bench.conductor.runner import run

    with Progress.open() as progress:
        return run(options, progress.show)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _StatusLine:
    """One line that is written over while a campaign waits, in a terminal; elsewhere what is said once is enough."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()

    def tick(self, text: str) -> None:
        if self._tty:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        print(f"\r\x1b[K{text}" if self._tty else text, file=sys.stderr, flush=True)


def as_dict(campaign: Campaign) -> dict[str, Any]:
    from bench.campaigns.campaign import read_log

    log = read_log(campaign)
    return {
        "campaign": campaign.name,
        "digest": campaign.facts["digest"],
        "simulated": campaign.simulated,
        "spent_usd": str(log.spent_usd),
        "max_usd": None if campaign.limit_usd is None else str(campaign.limit_usd),
        "blocks": [
            {
                "block": block.n,
                "start": utc(block.start_ns),
                "state": (fate := log.of(block)).state,
                "reason": fate.reason,
                "run_id": fate.run_id,
                "late_ms": fate.late_ms,
                "spent_usd": str(fate.spent_usd),
            }
            for block in campaign.blocks
        ],
    }


def progress(name: str, out: Path, question: Question, assumed: Assumed, runs_only: bool, as_json: bool) -> int:
    """`bench plan --campaign NAME`: what became of each block, what the runs so far tell, and what is still needed."""
    from bench.campaigns.campaign import opened, read_log, words

    campaign = opened(name, out)
    log = read_log(campaign)
    if runs_only:
        print("\n".join(log.run_ids()))
        return 0
    standing = _standing(campaign, question, assumed)
    if as_json:
        print(json.dumps({**as_dict(campaign), "standing": dataclasses.asdict(standing)}, indent=1, default=str))
        return 0
    head = "SIMULATED. " if campaign.simulated else ""
    lines = [f"{head}Campaign {campaign.name}: {words(campaign, log, campaign.limit_usd)}.",
             f"Published {campaign.facts['published']}, digest sha256 {campaign.facts['digest']}, as it was then."]  # fmt: skip
    for block in campaign.blocks:
        fate = log.of(block)
        if fate.state in ("cut", "missed", "failed"):
            lines.append(f"  block {block.n}, due {utc(block.start_ns)}: {fate.state}: {fate.reason}")
    following = next((block for block in campaign.blocks if not log.of(block).settled), None)
    lines.append(
        "No block is to come." if following is None else f"Block {following.n} is due {utc(following.start_ns)}."
    )
    width = columns_of_terminal()
    for line in (*lines, *_needed(campaign, standing, question, log)):
        print("\n".join(folded(line, width, "    ")))
    return 0


def _standing(campaign: Campaign, question: Question, assumed: Assumed) -> Standing:
    from bench.campaigns import history, planning
    from bench.campaigns.campaign import read_log
    from bench.campaigns.campaigning import job_options
    from bench.store import runs
    from bench.wire.clock import today

    done = [
        fate for fate in read_log(campaign).fates.values() if fate.state == "done" and fate.run_id and not fate.invalid
    ]
    stored = [runs.open_run(runs.find_run(fate.run_id or "", campaign.results)) for fate in done]
    figures = history.history_figures(stored, assumed) if stored else history.assumed_figures(assumed)
    job = planning.job_of(job_options(campaign), today())
    # Every plan asks all its targets alike.
    requests = sum(run.manifest["plan"]["measured"] // max(1, len(run.manifest["targets"])) for run in stored)
    days = len({str(run.manifest["started"])[:10] for run in stored})
    return planning.standing(job, question, figures, len(stored), requests, days)


def _needed(campaign: Campaign, standing: Standing, question: Question, log: Log) -> list[str]:
    from bench.commands.plan import width
    from bench.metrics import BY_NAME

    if standing.spread is None:
        return ["No block is done: nothing to reckon from yet."]
    label = BY_NAME[question.metric].label
    told = ", ".join(f"{BY_NAME[name].label} {width(standing.half_widths[name])}" for name in standing.half_widths)
    calls = "none yet" if standing.smallest_ratio is None else f"{standing.smallest_ratio:.2f}"
    lines = [
        f"So far, {standing.spread.requests:,} requests per target: {told}.",
        f"Smallest ratio of {label} that would be called with a power of {question.power:g}: {calls}.",
    ]
    left = sum(not log.of(block).settled for block in campaign.blocks)
    wanted = f"{1 + question.detect:g}"
    if standing.more_runs is None:
        lines.append(f"For {wanted}, ten times as many blocks would not do.")
    elif standing.more_runs == 0:
        lines.append(f"That is enough for {wanted}.")
    else:
        enough = "they are planned" if standing.more_runs <= left else f"{left} are to come"
        lines.append(f"For {wanted}, about {standing.more_runs} more blocks of this size; {enough}.")
    lines.append(
        "Widths only: looking at verdicts before a campaign is over would make them err more often than they say."
    )
    return lines
