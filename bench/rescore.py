"""Scoring a run anew from its stored replies: nothing is sent, and nothing that was there before is forgotten.

The new scores take the place of the old ones in scores.parquet. What the old file was stays in the manifest, under `history`:
its digest, the versions of its scorers, and why it was replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.conductor.runner import scoring
from bench.errors import CannotRun, ConfigError, Problem
from bench.stats.summary import summary_rows
from bench.stats.table import ATTEMPT_COLUMNS, build
from bench.store import parquet, runs
from bench.store.parquet import FileInfo
from bench.wire.clock import Anchor
from bench.workload import Workload, quick, verdict_facts

SCORES, SUMMARY = "scores.parquet", "summary.parquet"
READ = ("requests.parquet", "replies.parquet")
"""What new scores are made of; they must be what the run wrote."""


@dataclass(slots=True)
class Rescored:
    """What came of it. `changed` counts, for each scorer, verdicts that differ from the old ones, new or gone ones included."""

    scores: int
    changed: Counter[str] = field(default_factory=Counter)
    versions: Mapping[str, str] = field(default_factory=dict)
    unknown_cases: int = 0


def rescore(folder: Path, workload: Workload, command: str, note: str | None = None) -> Rescored:
    """Writes scores.parquet, summary.parquet and the manifest anew. With a `note`, what does not fit is scored all the same.

    Raises CannotRun when the run kept no text or its rows are not those it wrote, ConfigError when the workload is another one.
    """
    run = runs.open_run(folder)
    _kept(run)
    with runs.writing(folder):
        workload = _fitting(run, workload, note)
        if note is None:
            _untouched(run)
        return _rewritten(run, workload, command, note)


def _kept(run: runs.Run) -> None:
    policy = run.manifest.get("replies", "full")
    if policy != "full":
        raise CannotRun(
            f"{run.path}: its replies were kept as '{policy}', so their text is not there to be scored",
            "run it again with --replies full; the scores it has were made from the full text",
        )


def _fitting(run: runs.Run, workload: Workload, note: str | None) -> Workload:
    """The workload, or its quick part, whichever the run was made of; with a note whatever it is."""
    about = run.manifest.get("workload") or {}
    for candidate in (workload, quick(workload)):
        if candidate.digest == about.get("digest"):
            return candidate
    if note is not None:
        return workload
    got = f"digest {workload.digest[:12]}…, while the run was made with {str(about.get('digest'))[:12]}…"
    want = f"the {about.get('file') or 'file'} of that run, as it was then"
    hint = "If you know what differs and want it: --force --note 'why'. The note is kept in the manifest."
    raise ConfigError([Problem(str(workload.path), "", got, want)], hint)


def _untouched(run: runs.Run) -> None:
    wrong = [line for line in runs.verify_digests(run) if line.startswith(READ)]
    if wrong:
        raise CannotRun(
            "\n".join(f"{run.path / line}" for line in wrong),
            "scores made of changed rows prove nothing; to make them all the same: --force --note 'why'",
        )


def _rewritten(run: runs.Run, workload: Workload, command: str, note: str | None) -> Rescored:
    files = {name: FileInfo(**said) for name, said in (run.manifest.get("files") or {}).items()}
    before = files.get(SCORES)
    old = _verdicts(run.path) if (run.path / SCORES).exists() else {}
    done = Rescored(0)
    new: dict[tuple[int, str], tuple[str, float | None, str]] = {}

    def rows() -> Iterator[dict[str, Any]]:
        for row in _scored(run.path, workload, done):
            new[row["seq"], row["scorer"]] = (row["scorer_version"], row["value"], row["reason"])
            yield row

    files[SCORES] = parquet.write_table(run.path / SCORES, "scores", rows())
    done.scores = files[SCORES].rows
    done.versions = {scorer: version for (_, scorer), (version, _, _) in new.items()}
    for key in old.keys() | new.keys():
        done.changed[key[1]] += old.get(key, (None, None, ""))[1:] != new.get(key, (None, None, ""))[1:]
    anchor = Anchor.take()
    facts = {**run.manifest}
    facts["scorers"] = [spec.model_dump() for spec in workload.scorers]
    facts["workload"] = {**(facts.get("workload") or {}), **verdict_facts(workload)}
    facts["history"] = [
        *facts.get("history", ()),
        {
            "what": "scored anew",
            "when": anchor.wall_iso(anchor.monotonic_ns),
            "command": command,
            "note": note,
            "workload_digest": workload.digest,
            "before": None if before is None else asdict(before),
            "versions_before": {scorer: version for (_, scorer), (version, _, _) in old.items()},
            "versions": dict(done.versions),
            "changed": dict(done.changed),
        },
    ]
    fresh = runs.Run(run.path, facts)
    table = build(fresh.requests, fresh.frame("attempts", ATTEMPT_COLUMNS), fresh.scores, facts)
    files[SUMMARY] = parquet.write_table(run.path / SUMMARY, "summary", summary_rows(table, str(facts["run_id"])))
    runs.write_manifest(
        run.path, facts, files, complete=bool(facts.get("complete")), exit_status=int(facts.get("exit_status") or 0)
    )
    return done


def _verdicts(folder: Path) -> dict[tuple[int, str], tuple[str, float | None, str]]:
    columns = ("seq", "scorer", "scorer_version", "value", "reason")
    table = parquet.read_table(folder, "scores", columns)
    rows: Sequence[Mapping[str, Any]] = table.to_pylist()
    return {(r["seq"], r["scorer"]): (r["scorer_version"], r["value"], r["reason"]) for r in rows}


def _scored(folder: Path, workload: Workload, done: Rescored) -> Iterator[dict[str, Any]]:
    """The rows of scores.parquet, in the order of the requests."""
    amend = scoring(workload)
    known = {case.id for case in workload.cases}
    replies = {row["seq"]: row for row in parquet.read_table(folder, "replies").to_pylist()}
    columns = ("run_id", "seq", "target", "case_id", "outcome")
    for request in parquet.read_table(folder, "requests", columns).to_pylist():
        if request["case_id"] not in known:
            done.unknown_cases += 1
            continue
        record: dict[str, Any] = {
            "request": request,
            "reply": replies.get(request["seq"]) or {"text": "", "stop_reason": None},
        }
        amend(record)
        identity = {name: request[name] for name in ("run_id", "seq", "target", "case_id")}
        for row in record.get("scores") or ():
            yield {**identity, **row}
