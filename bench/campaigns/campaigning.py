"""Carrying a campaign out: publish it, wait for each block, run it, and write down what became of it.

A process may stop at any moment (Ctrl-C, a crash, a machine that is switched off) and another go on: the log says what was
done. What was not done within its grace is recorded as missed, with the reason, and never made up for at another time.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bench import redact
from bench.campaigns.campaign import (
    MOST_BLOCKS,
    Block,
    Campaign,
    Fate,
    Log,
    append,
    check_name,
    conducting,
    draw,
    folder_of,
    kept_options,
    options_of,
    publish,
    read_log,
    words,
)
from bench.conductor import preflight
from bench.conductor.preflight import Options
from bench.errors import (
    EXIT_BUDGET,
    EXIT_CANNOT_RUN,
    EXIT_INTERRUPTED,
    EXIT_OK,
    BenchError,
    CannotRun,
    ConfigError,
    Problem,
)
from bench.metrics import plural
from bench.store import runs
from bench.wire.calendar import Calendar, utc
from bench.workload import load_workload

OWN_FLAGS = frozenset({"--blocks", "--over", "--campaign", "--grace", "--seed", "--max-usd", "--run-id"})
"""Flags of `bench run` with a value that belong to the campaign and not to its blocks."""


class Ended(Protocol):
    """What the runner says of a run that it has carried out."""

    @property
    def exit_code(self) -> int: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


RunBlock = Callable[[Options], Ended]
Say = Callable[[str], None]


def begin(options: Options, name: str | None, blocks: int, over_ns: int, grace_ns: int, now_ns: int) -> Campaign:
    """Checks that the workload could run, draws the starts and publishes them. Raises what `preflight.prepare` raises."""
    if not 1 <= blocks <= MOST_BLOCKS:
        raise ConfigError([Problem("command line", "--blocks", str(blocks), f"1 to {MOST_BLOCKS}")])
    job = preflight.prepare(options, datetime.fromtimestamp(now_ns // 10**9, UTC).date())
    name = name or f"{job.workload.name}-{utc(now_ns).replace('-', '').replace(':', '')}"
    check_name(name)
    from bench import __version__

    facts = {
        "name": name,
        "bench_version": __version__,
        "published": utc(now_ns),
        "command": redact.clean_all(options.command),
        "block_command": redact.clean_all(block_command(options.command)),
        "simulated": options.simulate,
        "seed": options.seed,
        "begins": utc(now_ns),
        "ends": utc(now_ns + over_ns),
        "begins_unix_ns": now_ns,
        "length_ns": over_ns,
        "grace_ns": grace_ns,
        "max_usd": None if options.max_usd is None else str(options.max_usd),
        "run_max_usd": None if job.load.budget_usd is None else str(job.load.budget_usd),
        "workload": {"name": job.workload.name, "digest": job.workload.digest},
        "files": files_digest(options),
        "targets": [ready.target.id for ready in job.ready],
        "options": redact.clean_all(kept_options(options)),
    }
    return publish(facts, draw(blocks, now_ns, over_ns, options.seed), folder_of(name, options.out))


def block_command(command: str) -> str:
    """The command that runs one block alone: the campaign's, without what makes it a campaign."""
    given = shlex.split(command) or ["bench", "run"]
    kept = [
        word
        for before, word in zip(["", *given], given, strict=False)
        if before not in OWN_FLAGS and word.split("=")[0] not in {*OWN_FLAGS, "--due"}
    ]
    return shlex.join(kept)


def files_digest(options: Options) -> dict[str, str]:
    """Digests of what a user may edit while a campaign goes on: a block must ask what the first one asked."""
    found = {"questions": load_workload(options.workload).digest}
    for role, path in (("workload", options.workload), ("targets", options.targets or preflight.DEFAULT_TARGETS)):
        try:
            found[role] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise CannotRun(
                f"{path}: cannot read: {error.strerror or error}", "start in the folder of the campaign"
            ) from error
    return found


def carry_out(
    campaign: Campaign,
    calendar: Calendar,
    run_block: RunBlock,
    say: Say,
    tick: Callable[[str], None],
    *,
    due_only: bool = False,
    limit_usd: Decimal | None = None,
) -> int:
    """Runs what is due and, unless `due_only`, waits for the rest. Returns the exit code.

    `limit_usd` replaces the campaign's own. `say` is told what is worth a line, `tick` the status while it waits.
    """
    limit = campaign.limit_usd if limit_usd is None else limit_usd
    with conducting(campaign):
        opened_ns = calendar.now_ns()
        _settle_begun(campaign, opened_ns, say)
        busy_ns = opened_ns
        while True:
            log = read_log(campaign)
            block = next((b for b in campaign.blocks if not log.of(b).settled), None)
            if block is None:
                return _finished(campaign, log, limit, say)
            now_ns = calendar.now_ns()
            if now_ns < block.start_ns:
                status = f"{words(campaign, log, limit)}; block {block.n} begins {utc(block.start_ns)}"
                say(status)
                if due_only:
                    return EXIT_OK
                try:
                    calendar.wait(block.start_ns, partial(_tell, tick, status))
                except KeyboardInterrupt:
                    say(f"Interrupted. To go on: {resume_command(campaign)}")
                    return EXIT_INTERRUPTED
                continue
            if now_ns > block.start_ns + campaign.grace_ns:
                _record(campaign, block, Fate("missed", _why_missed(block, now_ns, opened_ns, busy_ns)), now_ns, say)
                continue
            left = None if limit is None else limit - log.spent_usd
            if left is not None and left <= 0:
                say(
                    f"{words(campaign, log, limit)}: the limit is reached. To go on: {resume_command(campaign)} --max-usd X"
                )
                return EXIT_BUDGET
            code = _run_one(campaign, block, now_ns, left, calendar, run_block, say)
            busy_ns = calendar.now_ns()
            if code == EXIT_INTERRUPTED:
                say(f"Interrupted. To go on: {resume_command(campaign)}")
                return code
            if code == EXIT_BUDGET:
                say(f"The limit is reached. To go on: {resume_command(campaign)} --max-usd X")
                return code


def _tell(tick: Callable[[str], None], status: str, left_ns: int) -> None:
    tick(f"{status}, in {in_words(left_ns)}")


def _settle_begun(campaign: Campaign, now_ns: int, say: Say) -> None:
    """Blocks that a process began and did not live to end: their runs say how far they came."""
    log = read_log(campaign)
    for block in campaign.blocks:
        fate = log.of(block)
        if fate.state != "begun" or fate.run_id is None:
            continue
        try:
            run = runs.recover(runs.find_run(fate.run_id, campaign.results))
        except BenchError as error:
            _record(
                campaign,
                block,
                Fate("failed", f"the program stopped: {error.message}", late_ms=fate.late_ms),
                now_ns,
                say,
            )
            continue
        _record(campaign, block, _fate(run.manifest, fate.run_id, fate.late_ms), now_ns, say)


def _run_one(
    campaign: Campaign,
    block: Block,
    now_ns: int,
    left: Decimal | None,
    calendar: Calendar,
    run_block: RunBlock,
    say: Say,
) -> int:
    late_ns = now_ns - block.start_ns
    options = campaign.options(block, late_ns, left)
    run_id, late_ms = campaign.run_id(block), late_ns // 10**6
    try:
        changed = [role for role, found in files_digest(options).items() if found != campaign.facts["files"][role]]
        if changed:
            raise CannotRun(f"the {' and the '.join(changed)} changed since the campaign was published")
        append(campaign, block, Fate("begun", run_id=run_id, late_ms=late_ms, at=utc(now_ns)))
        ended = run_block(options)
    except KeyboardInterrupt:
        _settle_begun(campaign, calendar.now_ns(), say)
        return EXIT_INTERRUPTED
    except BenchError as error:
        began = any(campaign.results.glob(f"date=*/run={run_id}"))
        reason = " ".join(error.message.split())
        fate = Fate("failed", reason, run_id if began else None, late_ms=late_ms)
        _record(campaign, block, fate, calendar.now_ns(), say)
        return EXIT_CANNOT_RUN
    _record(campaign, block, _fate(ended.manifest, run_id, late_ms), calendar.now_ns(), say)
    return ended.exit_code


def _fate(manifest: Mapping[str, Any], run_id: str, late_ms: int | None) -> Fate:
    spent = Decimal(str(manifest.get("spent_usd") or 0))
    invalid = [str(reason) for reason in manifest.get("invalid") or []]
    if manifest.get("complete"):
        return Fate("done", "; ".join(invalid), run_id, spent, late_ms, bool(invalid))
    return Fate("cut", str(manifest.get("stopped") or "stopped early"), run_id, spent, late_ms, bool(invalid))


def _record(campaign: Campaign, block: Block, fate: Fate, now_ns: int, say: Say) -> None:
    append(campaign, block, replace(fate, at=utc(now_ns)))
    parts = [f"Block {block.n} of {len(campaign.blocks)}: {fate.state}"]
    if fate.late_ms is not None and fate.late_ms >= 1000:
        parts.append(f"{in_words(fate.late_ms * 10**6)} late")
    if fate.run_id is not None:
        parts.append(f"${fate.spent_usd:.2f}, run {fate.run_id}")
    say(", ".join(parts) + (f": {fate.reason}" if fate.reason else ""))


def _why_missed(block: Block, now_ns: int, opened_ns: int, busy_ns: int) -> str:
    late = in_words(now_ns - block.start_ns)
    if block.start_ns < opened_ns:
        return f"nothing was running the campaign when it was due; {late} had passed at {utc(now_ns)}"
    if block.start_ns < busy_ns:
        return f"the block before it ran until {utc(busy_ns)}, {late} after its time"
    return f"the machine slept, or its clock was set: {late} had passed at {utc(now_ns)}"


def _finished(campaign: Campaign, log: Log, limit: Decimal | None, say: Say) -> int:
    say(f"Campaign {campaign.name} is over: {words(campaign, log, limit)}.")
    if not log.run_ids():
        return EXIT_CANNOT_RUN
    short = [plural(n, f"{state} block") for state in ("cut", "missed", "failed") if (n := log.count(state))]
    if short:
        say(f"Not as planned: {', '.join(short)}; bench plan --campaign {campaign.name} says why.")
    return EXIT_OK


def resume_command(campaign: Campaign) -> str:
    words = ["bench", "run", "--campaign", campaign.name, "--resume"]
    return shlex.join(words if campaign.results == Path("results") else [*words, "--out", str(campaign.results)])


def job_options(campaign: Campaign) -> Options:
    """The options of one block, for planning."""
    return options_of(campaign.facts["options"], campaign.results)


def in_words(ns: int) -> str:
    """`2 d 3 h`, `5 h 12 min`, `40 s`: two units at the most."""
    seconds = max(0, round(ns / 10**9))
    for size, name, below, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"
