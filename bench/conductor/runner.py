"""The conductor: preflight → plan on disk → calibrate → warm-up → load → drain → score → table → manifest, last."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from bench import environment, providers, redact
from bench.conductor import crew, instrument, preflight, resume
from bench.conductor.lanes import Work, perform
from bench.conductor.measure import Budget, Measured
from bench.conductor.preflight import Job, Options, Ready
from bench.engine.pacing import length_ns
from bench.engine.seat import Alone
from bench.errors import EXIT_BUDGET, EXIT_CANNOT_RUN, EXIT_INTERRUPTED, EXIT_OK, CannotRun
from bench.metrics import METHOD_VERSION
from bench.plan import Plan
from bench.price import book
from bench.record import Reply
from bench.stats.tags import slice_tags
from bench.store import parquet, runs, schedule
from bench.store.disk import digest
from bench.store.journal import Journal, journal_path, journals
from bench.wire.clock import Anchor, allowed_cores, asleep_ns, clock_facts
from bench.workload import Workload, dataset_facts, verdict_facts

if TYPE_CHECKING:
    from bench.stats.types import Table


@dataclass(frozen=True, slots=True)
class Result:
    folder: Path
    table: Table
    exit_code: int
    manifest: Mapping[str, Any]


def run(options: Options, progress: Callable[[dict[str, Any]], None], anchor: Anchor | None = None) -> Result:
    """Everything that `bench run` does, short of printing. `anchor`: the moment to take for now, of another date."""
    anchor = anchor or Anchor.take()
    today = date.fromisoformat(anchor.wall_iso(anchor.monotonic_ns)[:10])
    job = preflight.prepare(options, today)
    for problem in job.skipped:
        progress({"say": f"Left out: {problem}"})
    for note in job.notes:
        progress({"say": note})
    planned = preflight.planned(job, [r.target for r in job.ready])
    with ExitStack() as stack:
        earlier = None
        if options.resume is not None:
            earlier = stack.enter_context(resume.opened(options.resume, options.out))
            _only_plain(job)
            earlier.check(_manifest(job, job.ready, earlier.run_id, earlier.folder, anchor, planned))
            run_id, folder = earlier.run_id, earlier.folder
        else:
            run_id = _run_id(job, anchor)
            folder = runs.create_run_dir(options.out, run_id, anchor.wall_ns)
            _write_plan(planned, folder, run_id)
            stack.enter_context(runs.writing(folder))
        segment = 0 if earlier is None else earlier.segment
        with _resumable(options.command, folder), _targets(job, folder, segment) as ready:
            facts, measured = _measured(job, ready, planned, run_id, folder, anchor, today, earlier, progress)
        progress({"say": "Writing the rows, scoring the replies."})
        with _resumable(options.command, folder):
            return _finish(job, folder, facts, measured)


def _only_plain(job: Job) -> None:
    """What cannot be continued: its plan is not one list of requests, made before the first of them."""
    if job.load.sweep is not None and job.load.sweep.until is not None:
        raise CannotRun("a sweep that finds its own end cannot be continued", "run it again, without --resume")


def _write_plan(planned: Plan, folder: Path, run_id: str) -> None:
    schedule.write(folder / runs.SCHEDULE, planned, run_id)


@contextmanager
def _resumable(command: str, folder: Path) -> Iterator[None]:
    """What stops a run that has begun to record (a full disk) comes with the command that goes on, once it is mended."""
    try:
        yield
    except CannotRun as error:
        if not journals(folder):
            raise
        again = runs.resume_command({"command": command}, folder)
        hint = f"{error.hint}\n" if error.hint else ""
        raise CannotRun(error.message, f"{hint}Then go on where it stopped: {again}") from error


def _run_id(job: Job, anchor: Anchor) -> str:
    """The run's id, which names its folder: a simulated one cannot be mistaken for a real one, whatever it is called."""
    given = job.options.run_id or runs.run_id(anchor.wall_ns, f"{job.workload.name}-{secrets.token_hex(2)}")
    return f"simulated-{given}" if job.options.simulate and not given.startswith("simulated-") else given


@contextmanager
def _targets(job: Job, folder: Path, segment: int) -> Iterator[tuple[Ready, ...]]:
    if not job.options.simulate:
        yield job.ready
        return
    from bench.conductor.simulation import simulated

    truth = f"truth-r{segment}.parquet" if segment else "truth.parquet"
    with simulated(job, folder, job.options.profiles, truth) as ready:
        yield ready


def _measured(
    job: Job,
    ready: tuple[Ready, ...],
    planned: Plan,
    run_id: str,
    folder: Path,
    anchor: Anchor,
    today: date,
    earlier: resume.Earlier | None,
    progress: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], Measured]:
    """Carries out the plan, or what an earlier segment left of it, into a journal."""
    options = job.options
    segment = 0 if earlier is None else earlier.segment
    most = {e.target_id: e.usd_dearest for e in job.estimate if e.usd_dearest is not None}
    ends_ns = None if options.max_minutes is None else anchor.monotonic_ns + round(options.max_minutes * 6e10)
    resent = None if earlier is None else earlier.resent(planned, most)
    spent_usd = Decimal(0) if earlier is None or resent is None else earlier.spent_usd(resent, most)
    manifest = resume.begin(_manifest(job, ready, run_id, folder, anchor, planned), earlier, resent)
    remaining = resume.Remaining(None if earlier is None else earlier.found)
    search = None
    if crew.searching(job.load):
        from bench.conductor import sweep

        search = sweep.search(job, planned, lambda plan: _write_plan(plan, folder, run_id))
    workers, said = crew.size(options.workers, planned, job.load, allowed_cores() or os.cpu_count() or 1)
    if earlier is not None:
        anchor = earlier.moved(anchor)
        progress({"say": earlier.words(remaining, planned)})
    if said:
        progress({"say": said})
    work = Work(
        run_id, folder, manifest, anchor, today, planned, job.load, job.workload, ready,
        Budget(job.limit_usd, most, spent_usd, ends_ns), simulate=options.simulate, calibrate=options.calibrate,
        segment=segment, remaining=remaining,
    )  # fmt: skip
    with Journal(journal_path(folder, segment), manifest) as journal:
        runs.unseal(folder)
        asleep_before_ns = asleep_ns()
        if workers == 1:
            measured = uvloop.run(perform(work, journal, Alone(progress, length_ns(job.load)), progress, search))
        else:
            measured = uvloop.run(crew.conduct(work, workers, journal, progress, search))
    if search is not None:
        manifest |= {
            "load": dataclasses.asdict(search.load),
            "plan": _plan_facts(search.plan, folder),
            "sweep": search.facts(),
        }
    measured.sessions_cut = Counter(remaining.cut(planned)) + Counter(measured.sessions_cut)
    manifest["segments"] = resume.end(
        manifest,
        {
            "end_ns": anchor.offset(measured.ended_ns),
            "requests": sum(lamp.done for lamp in measured.lamps.values()),
            "stopped": measured.reason,
            "invalid": list(measured.invalid),
            "calibration": None if measured.calibration is None else measured.calibration.as_dict(),
            "instrument": instrument.facts(measured, asleep_before_ns, asleep_ns()),
        },
    )
    return manifest, measured


def _finish(job: Job, folder: Path, facts: dict[str, Any], measured: Measured) -> Result:
    """Tables, scores, the table of tables, and the manifest last: until it is there the journal is the run."""
    # what judges replies and rows is loaded when the load is over: no request waits for it
    from bench import tabulate
    from bench.stats.summary import summary_rows

    files, dropped = parquet.write_tables(folder, amend=scoring(job.workload), replies=job.options.replies)
    parquet.release_memory()
    for path in (folder / runs.SCHEDULE, *sorted(folder.glob("truth*.parquet"))):
        files[path.name] = parquet.info(path)
    complete = measured.reason is None
    facts |= {
        "calibration": resume.calibration(facts["segments"]),
        "instrument": dict(facts["segments"][-1]["instrument"]),
        "dropped_bytes": dropped,
        "stopped": measured.reason,
        "sessions_cut": dict(measured.sessions_cut),
        "spent_usd": sum((lamp.spent_usd for lamp in measured.lamps.values()), Decimal(0)),
        "complete": complete,
    }
    run = runs.Run(folder, facts)
    found = [reason for segment in facts["segments"] for reason in segment["invalid"]]
    requests = run.frame("requests", instrument.REQUEST_COLUMNS)
    facts["instrument"]["lateness_ms"] = instrument.lateness_ms(requests)
    facts["invalid"] = [*dict.fromkeys(found), *instrument.faults(requests, facts["segments"], folder)]
    facts["exit_status"] = _exit_status(measured, facts["invalid"])
    del requests
    parquet.release_memory()
    table = tabulate.of_run(run, job.options.baseline)
    files["summary.parquet"] = parquet.write_table(
        folder / "summary.parquet", "summary", summary_rows(table, facts["run_id"])
    )
    manifest = runs.write_manifest(folder, facts, files, complete=complete, exit_status=facts["exit_status"])
    runs.remove_journals(folder)
    return Result(folder, table, facts["exit_status"], manifest)


def _exit_status(measured: Measured, invalid: list[str]) -> int:
    if measured.interrupted:
        return EXIT_INTERRUPTED
    if measured.over_budget:
        return EXIT_BUDGET
    return EXIT_CANNOT_RUN if invalid else EXIT_OK


def scoring(workload: Workload) -> Callable[[dict[str, Any]], None]:
    """Adds its scores to a journalled record: what was timed is what is scored. Failed replies have none, and neither have
    turns of a session that expect nothing."""
    from bench import score

    cases = {case.id: case for case in workload.cases}
    scorers = [score.get(spec.type, spec.name, spec.options) for spec in workload.scorers]
    types = {spec.name: spec.type for spec in workload.scorers}

    def amend(record: dict[str, Any]) -> None:
        request, stored = record["request"], record["reply"]
        case = cases[request["case_id"]]
        if request["outcome"] != "ok" or (case.turn and not case.expected):
            return
        reply = Reply(text=stored["text"] or "", stop_reason=stored["stop_reason"], complete=True)
        record["scores"] = [
            {
                "scorer": verdict.scorer,
                "scorer_type": types[verdict.scorer],
                "scorer_version": verdict.version,
                "value": verdict.value,
                "reason": verdict.reason,
            }
            for verdict in score.score_all(case, reply, scorers)
        ]

    return amend


def _manifest(
    job: Job,
    ready: tuple[Ready, ...],
    run_id: str,
    folder: Path,
    anchor: Anchor,
    planned: Plan,
) -> dict[str, Any]:
    options, workload = job.options, job.workload
    facts: dict[str, Any] = {
        "run_id": run_id,
        "bench_version": _version(),
        "method_version": METHOD_VERSION,
        "command": options.command,
        "started": anchor.wall_iso(anchor.monotonic_ns),
        "started_unix_ns": anchor.wall_ns,
        "anchor": {"monotonic_ns": anchor.monotonic_ns, "wall_ns": anchor.wall_ns},
        "run_folder": str(folder),
        "simulated": options.simulate,
        "complete": False,
        "seed": options.seed,
        "replies": options.replies,
        "limits": {"mode": options.limits, "notes": list(job.notes)},
        "labels": dict(options.labels),
        "campaign": None if options.campaign is None else dict(options.campaign),
        "workload": {
            "name": workload.name,
            "title": workload.title,
            "file": workload.path.name,
            "digest": workload.digest,
            "cases": len(workload.cases),
            "slo": workload.spec.slo.model_dump(exclude_none=True) if workload.spec.slo else {},
            **dataset_facts(workload),
            **verdict_facts(workload),
        },
        "scorers": [spec.model_dump() for spec in workload.scorers],
        "clusters": {case.id: case.cluster for case in workload.cases},
        "tags": {case.id: tags for case in workload.cases if (tags := slice_tags(case.tags))},
        "price_book_sha256": book.load_book().sha256,
        "load": dataclasses.asdict(job.load),
        "plan": _plan_facts(planned, folder),
        "targets": [_target_facts(r) for r in ready],
        "left_out": [str(problem) for problem in job.skipped],
        "host": _host_facts(),
        "environment": environment.recorded(),
    }
    cleaned: dict[str, Any] = redact.clean_all(facts)
    return cleaned


def _plan_facts(planned: Plan, folder: Path) -> dict[str, Any]:
    return {
        "digest": planned.digest,
        "schedule_sha256": digest(folder / runs.SCHEDULE),
        "seed": planned.seed,
        "requests": len(planned),
        "measured": planned.measured(),
        "arrangement": planned.arrangement,
    }


def _target_facts(ready: Ready) -> dict[str, Any]:
    target = ready.target
    facts = {k: v for k, v in dataclasses.asdict(target).items() if v not in (None, {}, ())}
    if target.base_url is not None:
        facts["base_url"] = redact.without_userinfo(target.base_url)
    facts["params"] = {k: v for k, v in dataclasses.asdict(ready.params).items() if v not in (None, {}, (), [])}
    if ready.params.extra_headers:  # their values may be keys
        facts["params"]["extra_headers"] = dict.fromkeys(ready.params.extra_headers, redact.MASK)
    if facts.pop("prices", None) and target.prices:  # what was agreed with a cloud is not for every reader of a run
        name, text = target.prices
        facts["price_file"] = {"file": Path(name).name, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    facts["notes"] = list(ready.notes)
    facts["route"] = providers.get(target.provider).route(target)
    return facts


def _host_facts() -> dict[str, Any]:
    packages = (
        "anthropic",
        "openai",
        "botocore",
        "google-genai",
        "google-cloud-aiplatform",
        "grpcio",
        "httpx2",
        "httptools",
        "uvloop",
        "numpy",
        "pyarrow",
        "pandas",
        "tenacity",
    )
    versions: dict[str, str | None] = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "packages": versions,
        **clock_facts(),
    }


def _version() -> str:
    from bench import __version__

    return __version__
