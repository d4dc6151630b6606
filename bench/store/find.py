"""From what a user calls runs to their folders: ids, folders, beginnings, dates, `latest`, and patterns."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.errors import BenchError, CannotRun
from bench.store.journal import journals
from bench.store.recorded import MANIFEST
from bench.store.runs import MAKE_ONE, find_run, no_run

Read = TypeVar("Read")

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def run_folders(below: Path) -> list[Path]:
    """Every run in a results folder, in a folder of one date, or the run itself; by date and name."""
    found = [p for pattern in ("run=*", "date=*/run=*") for p in below.glob(pattern) if p.is_dir()]
    return sorted(found, key=lambda p: (p.parent.name, p.name))


def find_runs(refs: Sequence[str | Path], results: Path = Path("results")) -> list[Path]:
    """The folders of all that is named, each once, in the order named.

    A reference is what `find_run` takes, or stands for several runs: a date (2026-11-21), a folder of runs, or a pattern of
    ids or paths (nightly-*, results/date=2026-11-2*/run=*). Raises CannotRun when one stands for nothing.
    """
    found: dict[Path, Path] = {}
    for ref in refs:
        for folder in _of(ref, results):
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _of(ref: str | Path, results: Path) -> list[Path]:
    text = str(ref)
    path = Path(text)
    if any(c in text for c in "*?["):
        return _matching(text, results)
    if _DATE.fullmatch(text.removeprefix("date=")) and not path.exists():
        day = results / f"date={text.removeprefix('date=')}"
        return _some(run_folders(day), f"no run of {day.name.removeprefix('date=')} in {results}", results)
    if path.is_dir() and not (path / MANIFEST).exists() and not journals(path) and not path.name.startswith("run="):
        if found := run_folders(path):
            return found
        raise no_run(path)
    try:
        return [find_run(ref, results)]
    except CannotRun as error:
        several = [p for p in run_folders(results) if p.name.startswith(f"run={text.removeprefix('run=')}")]
        if len(several) > 1:
            raise CannotRun(error.message, f"{error.hint}; or all of them: '{text}*'") from error
        raise


def _matching(pattern: str, results: Path) -> list[Path]:
    if "/" in pattern:
        path = Path(pattern)
        base = Path(path.anchor) if path.is_absolute() else Path()
        below = [p for p in base.glob(str(path.relative_to(path.anchor))) if p.is_dir()]
        found = [run for p in sorted(below) for run in ([p] if p.name.startswith("run=") else run_folders(p))]
    else:
        wanted = pattern.removeprefix("run=")
        found = [p for p in run_folders(results) if fnmatch.fnmatchcase(p.name.removeprefix("run="), wanted)]
    return _some(found, f"no run matches {pattern!r}", results)


def _some(found: list[Path], otherwise: str, results: Path) -> list[Path]:
    if not found:
        last = [p.name.removeprefix("run=") for p in run_folders(results)[-5:]]
        raise CannotRun(otherwise, f"the last ones are {', '.join(last)}" if last else MAKE_ONE)
    return found


def read_each(folders: Sequence[Path], read: Callable[[Path], Read], say: Callable[[str], None]) -> list[Read]:
    """What is read of each run. Among several, one that cannot be read is left out, and that is said; one alone raises."""
    found = []
    for folder in folders:
        try:
            found.append(read(folder))
        except BenchError as error:
            if len(folders) == 1:
                raise
            say(left_out(folder, error))
    return found


def left_out(folder: Path, error: BenchError) -> str:
    """Which run is left out, why, and what to do about it."""
    return f"Left out: {folder.name.removeprefix('run=')}: {'; '.join(filter(None, (error.message, error.hint)))}"
