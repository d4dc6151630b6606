"""Runs on disk: `results/date=YYYY-MM-DD/run=<id>/`, sealed by a manifest that is written last.

A folder with a manifest is sealed: its tables are the record, and `complete` says whether the plan was kept to its end. A
folder with a journal and no manifest is a run that crashed, or one that is still going: the schedule is locked as long as
the run's process lives.
"""

from __future__ import annotations

import datetime
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from bench.errors import EXIT_CANNOT_RUN, BenchError, CannotRun
from bench.record import SCHEMA_VERSION
from bench.store.disk import DAMAGED, atomic, digest, locked, next_step
from bench.store.journal import is_locked, journals, read
from bench.store.parquet import FileInfo, Replies, info, read_table, release_memory, write_tables
from bench.store.recorded import CRASHED, MANIFEST, recorded

SCHEDULE = "schedule.parquet"
FREE_BYTES = 256 << 20
"""Asked for when the caller has no estimate: some 60,000 requests of 128 tokens, journal and Parquet together."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def run_id(unix_ns: int, nonce: str | None = None) -> str:
    """An id that sorts by time: `20261121T231205Z-7f3a9c`. `unix_ns` is wall time; the nonce is random unless given."""
    return f"{_utc(unix_ns):%Y%m%dT%H%M%SZ}-{nonce or secrets.token_hex(3)}"


def _utc(unix_ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix_ns // 10**9, datetime.UTC)


def create_run_dir(results: Path, run: str, unix_ns: int, need_bytes: int = FREE_BYTES) -> Path:
    """Makes and returns the run's folder. Raises CannotRun, with the next step, before anything is spent.

    Fails when the id is taken or cannot be a folder's name, when the folder cannot be written, or when less than
    `need_bytes` are free.
    """
    if not _RUN_ID.fullmatch(run):
        raise CannotRun(
            f"run id: got {run!r}; want letters, digits, dots, dashes and underscores, at most 80",
            "give another --run-id, e.g. nightly-2026-11-21",
        )
    if taken := [path for path in _run_dirs(results) if path.name == f"run={run}"]:
        raise CannotRun(f"{taken[0]}: that run exists", f"continue it with --resume {run}, or give another --run-id")
    path = results / f"date={_utc(unix_ns):%Y-%m-%d}" / f"run={run}"
    try:
        path.mkdir(parents=True)
        probe = path / ".probe"
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(path).free
    except OSError as error:
        raise CannotRun(f"{path}: cannot write: {error.strerror or error}", next_step(error)) from error
    if free < need_bytes:
        path.rmdir()
        raise CannotRun(
            f"{path}: {free >> 20} MiB are free, the run needs about {max(1, need_bytes >> 20)} MiB",
            "free space on that disk, or write elsewhere with --out DIR",
        )
    return path


def write_manifest(
    run_dir: Path, facts: Mapping[str, Any], files: Mapping[str, FileInfo], *, complete: bool, exit_status: int
) -> dict[str, Any]:
    """Seals the run: `facts` plus what was written, atomically and last. Returns the manifest.

    `facts` should hold `run_id` and `started_unix_ns`; `latest` sorts by the latter. Decimals are written as strings.
    """
    manifest = {
        **facts,
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "exit_status": exit_status,
        "files": {name: asdict(said) for name, said in sorted(files.items())},
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    raw = orjson.dumps(manifest, default=str, option=options)
    with atomic(run_dir / MANIFEST) as temporary:
        temporary.write_bytes(raw)
    sealed: dict[str, Any] = orjson.loads(raw)
    return sealed


def unseal(run_dir: Path) -> None:
    """Takes away what was said of a run that goes on: its manifest, whose facts must be in the new segment's journal by
    then, and its summary. The rows stay."""
    for name in (MANIFEST, "summary.parquet"):
        (run_dir / name).unlink(missing_ok=True)


def remove_journals(run_dir: Path) -> None:
    """Deletes the journals of a sealed run.

    They repeat what the tables hold, and keep the text that a policy removed. A run that is continued takes what it has
    from the tables.
    """
    if not (run_dir / MANIFEST).exists():
        raise ValueError(f"{run_dir} has no manifest: its journal is all there is")
    for path in journals(run_dir):
        path.unlink()


@dataclass(frozen=True)
class Run:
    """A sealed run. The tables are read when first asked for, as pandas DataFrames (the `analysis` extra)."""

    path: Path
    manifest: Mapping[str, Any]

    @cached_property
    def requests(self) -> Any:
        """One row per request."""
        return self.frame("requests")

    @cached_property
    def attempts(self) -> Any:
        """One row per try on the wire."""
        return self.frame("attempts")

    @cached_property
    def scores(self) -> Any:
        """One row per request and scorer."""
        return self.frame("scores")

    def frame(self, table: str, columns: Sequence[str] | None = None) -> Any:
        """Any table, or some columns of it, as a DataFrame. Integers with nulls become float64 with NaN, exact up to 2**53.

        Money stays Decimal.
        """
        data = read_table(self.path, table, columns)
        try:
            made = data.to_pandas()
        except ImportError as error:
            raise CannotRun("reading a run as a DataFrame needs pandas", "pip install 'bench[analysis]'") from error
        del data
        release_memory()
        return made


def open_run(path: Path | str) -> Run:
    """The sealed run in a folder. Raises CannotRun for a crashed or unfinished one."""
    path = Path(path)
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = orjson.loads(raw)
    except FileNotFoundError as error:
        found = journals(path)
        if not found:
            raise no_run(path) from error
        if is_going(path):
            raise CannotRun(f"{path}: the run is still going", "wait until it ends") from error
        raise CannotRun(
            f"{path}: the run did not end; its journal holds what was measured",
            f"continue it: {resume_command(_journal_meta(path), path)}",
        ) from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise CannotRun(f"{path / MANIFEST}: cannot read: {error}", DAMAGED) from error
    version = manifest.get("schema_version", 0) if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise CannotRun(f"{path / MANIFEST}: not what a run writes", DAMAGED)
    if version > SCHEMA_VERSION:
        raise CannotRun(f"{path / MANIFEST}: written by a newer bench", "upgrade bench: pip install --upgrade bench")
    return Run(path, manifest)


def is_going(run_dir: Path) -> bool:
    """Whether a process that lives is writing this run: the one that conducts it, or one that it started."""
    held = [path for path in (run_dir / SCHEDULE, *journals(run_dir)) if path.exists()]
    return any(is_locked(path) for path in held)


def writing(run_dir: Path) -> AbstractContextManager[None]:
    """Held by the process that writes a run, from the plan to the manifest. Raises CannotRun when another one holds it."""
    return locked(run_dir / SCHEDULE)


def resume_command(facts: Mapping[str, Any], run_dir: Path) -> str:
    """The command that continues a run: the one that started it, with `--resume` in place of a name."""
    words = shlex.split(str(facts.get("command") or "")) or ["bench", "run", "WORKLOAD.yaml"]
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not (before in _NAMING or word.split("=")[0] in _NAMING)
    ]
    return shlex.join([*kept, "--resume", run_dir.name.removeprefix("run=")])


_NAMING = ("--run-id", "--resume")


def _run_dirs(results: Path) -> list[Path]:
    return [p for p in results.glob("date=*/run=*") if p.is_dir()]


def find_run(ref: str | Path, results: Path = Path("results")) -> Path:
    """The folder of a run: by path (of the folder or a file in it), id, unique beginning of an id, or `latest`.

    Raises CannotRun where there is none, or more than one.
    """
    path = Path(ref)
    for candidate in (path, path.parent) if path.exists() else ():
        if candidate.is_dir() and ((candidate / MANIFEST).exists() or journals(candidate)):
            return candidate
    ref = str(ref).removeprefix("run=")
    runs = sorted(_run_dirs(results), key=lambda p: (p.parent.name, p.name))
    if runs and ref == "latest":
        day = [p for p in runs if p.parent == runs[-1].parent]
        return max(day, key=lambda p: (_started(p), p.name))
    exact = [p for p in runs if p.name == f"run={ref}"]
    matches = exact or [p for p in runs if ref and p.name.startswith(f"run={ref}")]
    names = ", ".join(p.name.removeprefix("run=") for p in (matches or runs)[-5:])
    if not matches and (path.exists() or "/" in ref):
        raise no_run(path)
    if not runs:
        raise CannotRun(f"{results}: there are no runs", MAKE_ONE)
    if not matches:
        near = [p.name.removeprefix("run=") for p in runs if ref and ref in p.name]  # a simulated run is called so
        hint = f"perhaps {', '.join(near[-5:])}" if near else f"the last ones are {names}"
        raise CannotRun(f"no run {ref!r} in {results}", hint)
    if len(matches) > 1:
        raise CannotRun(f"{len(matches)} runs begin with {ref!r}", f"give more of the id, e.g. one of {names}")
    return matches[0]


MAKE_ONE = "make one: bench run WORKLOAD.yaml; or name the folder of a run"


def no_run(path: Path) -> CannotRun:
    """What is told of a path where a run should lie, with the next step."""
    if not path.is_dir():
        what = "a file, and no run" if path.exists() else "there is no such folder"
        return CannotRun(f"{path}: {what}", "give the folder of a run, or its id")
    if inside := sorted(path.glob("run=*")) or sorted(_run_dirs(path)):
        return CannotRun(f"{path}: a folder of runs, and one run is wanted", f"give one, e.g. {inside[-1]}")
    hint = DAMAGED if any(path.glob("*.parquet")) else MAKE_ONE
    return CannotRun(f"{path}: not a run, since it has no {MANIFEST}, nor a folder of runs", hint)


def _started(run_dir: Path) -> int:
    """When a run began, from its manifest or its journal; 0 when neither says."""
    try:
        facts = orjson.loads((run_dir / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        facts = _journal_meta(run_dir)
    began = facts.get("started_unix_ns", 0) if isinstance(facts, dict) else 0
    return began if isinstance(began, int) else 0


def _journal_meta(run_dir: Path) -> dict[str, Any]:
    for path in journals(run_dir):
        try:
            with read(path) as records:
                if records.meta:
                    return records.meta
        except BenchError:  # a journal that cannot be opened says nothing
            continue
    return {}


def verify_digests(run: Run) -> list[str]:
    """What differs between a run's files and its manifest, one line each; empty when nothing does."""
    findings = []
    files = run.manifest.get("files", {})
    there = [name for name in files if (run.path / name).is_file()]
    with ThreadPoolExecutor(2) as pool:
        digests = dict(zip(there, pool.map(lambda name: digest(run.path / name), there), strict=True))
    for name, said in sorted(files.items()):
        if name not in digests:
            findings.append(f"{name}: missing")
        elif digests[name] != said["sha256"]:
            findings.append(f"{name}: differs from its digest in {MANIFEST}")
    findings += [f"{p.name}: not in {MANIFEST}" for p in sorted(run.path.glob("*.parquet")) if p.name not in files]
    return findings


def recover(run_dir: Path) -> Run:
    """Makes tables and a manifest with `complete: false` of a crashed run, and returns it. A sealed run is only opened.

    What the journal's header says (who, when, simulated, the policy for replies) goes into the manifest, with the
    number of bytes that the crash tore off. The journals stay: the replies in them are scored when the run goes on.
    """
    if (run_dir / MANIFEST).exists():
        return open_run(run_dir)
    if not journals(run_dir):
        raise no_run(run_dir)
    if is_going(run_dir):
        raise CannotRun(f"{run_dir}: the run is still going", "wait until it ends")
    schedule = run_dir / SCHEDULE
    with writing(run_dir) if schedule.is_file() else nullcontext():
        found = recorded(run_dir)
        policy: Replies = found.facts.get("replies", "full")
        files, dropped = write_tables(run_dir, replies=policy if policy in ("hashed", "none") else "full")
        for path in (schedule, *sorted(run_dir.glob("truth*.parquet"))):
            if path.is_file():
                files[path.name] = info(path)
        facts = {
            "run_id": run_dir.name.removeprefix("run="),
            **found.facts,
            "recovered": True,
            "dropped_bytes": dropped,
            "stopped": CRASHED,
            "spent_usd": sum(found.spent_usd.values(), Decimal(0)),
            "invalid": [],
        }
        write_manifest(run_dir, facts, files, complete=False, exit_status=EXIT_CANNOT_RUN)
    return open_run(run_dir)
