"""The functions of `import bench`: what the commands do, as Python values instead of text."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bench.conductor.preflight import Options
    from bench.stats.types import Table
    from bench.store.runs import Run


def open_run(ref: str | os.PathLike[str], results: str | os.PathLike[str] = "results") -> Run:
    """A stored run: by folder, id, beginning of an id, or `latest`. One that crashed is recovered from its journal first.

    `requests`, `attempts` and `scores` are pandas DataFrames, read when first asked for; units are in the column names
    (`ttft_ms`, `cost_usd`, `sent_ns`), and docs/columns.md says what each means. `manifest` is a dict. Raises BenchError.
    """
    from bench.commands.tables import opened
    from bench.store.runs import find_run

    return opened(find_run(os.fspath(ref), Path(results)), _warn)


def compare(
    runs: Run | str | os.PathLike[str] | Sequence[Run | str | os.PathLike[str]] = (),
    *,
    campaign: str | None = None,
    baseline: str | None = None,
    pool: bool = False,
    by: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    force: bool = False,
    approx: bool = False,
    results: str | os.PathLike[str] = "results",
) -> Table:
    """The table that `bench compare` prints, as values: `table.row("vertex").cells["ttft_p50_ms"].value`, `.low`, `.high`.

    One run gives its targets; several give each target side by side, or with `pool` all their blocks together. A name may
    stand for several runs, as on the command line. `campaign` instead of runs stands for all the runs of a campaign, each
    of them one block. Raises BenchError, with everything that is unlike.
    """
    from bench.commands.tables import Wanted, of_campaign, opened_all, table_of_runs
    from bench.store.runs import Run

    given = [runs] if isinstance(runs, Run | str | os.PathLike) else list(runs)
    mix = None if weights is None else Path(weights)
    wanted = Wanted(baseline=baseline, pool=pool, by=by, weights=mix, force=force, approx=approx)
    if campaign is not None and not given:
        return of_campaign(campaign, Path(results), _warn).table(wanted, _warn)
    found: list[Run] = []
    for one in given if campaign is None else []:
        found += [one] if isinstance(one, Run) else opened_all([os.fspath(one)], Path(results), _warn)
    if not found:
        got = "none" if campaign is None else "both them and a campaign"
        raise ConfigError([Problem("bench.compare", "runs", got, "a run, a list of runs, or a campaign")])
    return table_of_runs(found, wanted, _warn)


def run(
    workload: str | os.PathLike[str],
    targets: str | os.PathLike[str] | Sequence[str | Mapping[str, Any]] | None = None,
    *,
    simulate: bool = False,
    out: str | os.PathLike[str] = "results",
    run_id: str | None = None,
    resume: str | None = None,
    concurrency: int | None = None,
    request_rate: float | None = None,
    requests: int | None = None,
    duration: str | None = None,
    lanes: bool = False,
    quick: bool = False,
    workers: int | Literal["auto"] = 1,
    seed: int = 1,
    max_usd: str | int | Decimal | None = None,
    max_minutes: float | None = None,
    labels: Mapping[str, str] | None = None,
    calibrate: bool = True,
    limits: Literal["pace", "probe", "off"] = "pace",
    replies: Literal["full", "hashed", "none"] = "full",
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Runs a workload against every target, as `bench run` does, and returns the stored run.

    `targets` is a targets file, a list of ids in `targets.yaml`, or a list of targets written as dicts. The load has an
    event loop in a thread of its own and sets no signal handler, so this works in a notebook. An interrupt stops it as
    Ctrl-C stops the command: requests in flight finish, a second one leaves them, and what was measured is kept.
    `run.manifest["exit_status"]` is the command's exit code. `progress` gets the same messages as the terminal's display.
    Raises BenchError.
    """
    from bench.conductor.preflight import Options
    from bench.yamlfile import parse_duration_ns

    problems: list[Problem] = []
    duration_ns, limit_usd = None, None
    try:
        duration_ns = None if duration is None else parse_duration_ns(duration)
    except ValueError as error:
        problems.append(Problem("bench.run", "duration", repr(duration), f"{error}, e.g. '5m'"))
    try:
        limit_usd = None if max_usd is None else Decimal(str(max_usd).lstrip("$"))
    except InvalidOperation:
        limit_usd = Decimal(-1)
    if limit_usd is not None and not (limit_usd.is_finite() and limit_usd > 0):
        problems.append(Problem("bench.run", "max_usd", repr(max_usd), "an amount above 0, e.g. '5.00'"))
    for name, number in (
        ("concurrency", concurrency),
        ("requests", requests),
        ("request_rate", request_rate),
        ("max_minutes", max_minutes),
    ):
        if number is not None and number <= 0:
            problems.append(Problem("bench.run", name, repr(number), "a number above 0"))
    if workers != "auto" and not (isinstance(workers, int) and workers >= 1):
        problems.append(Problem("bench.run", "workers", repr(workers), "a number from 1, or 'auto'"))
    if run_id is not None and resume is not None:
        problems.append(Problem("bench.run", "run_id", "both it and resume", "one of the two"))
    if problems:
        raise ConfigError(problems)
    with _listed(targets) as (file, only):
        options = Options(
            workload=Path(workload), targets=file, only=only, simulate=simulate, out=Path(out), run_id=run_id,
            resume=resume, concurrency=concurrency, request_rate=request_rate, requests=requests,
            duration_ns=duration_ns, lanes=lanes, quick=quick, seed=seed, max_usd=limit_usd,
            max_minutes=max_minutes,
            labels=tuple((labels or {}).items()), calibrate=calibrate, replies=replies, limits=limits,
            workers=None if workers == "auto" else workers,
            command=_command(workload, duration, file if isinstance(targets, str | os.PathLike) else None, locals()),
        )  # fmt: skip
        folder = _in_a_thread(options, progress or _say)
    return open_run(folder)


@contextmanager
def _listed(targets: Any) -> Iterator[tuple[Path | None, tuple[str, ...]]]:
    """The targets file and the ids wanted of it. Targets given as dicts are put into a file for the time of the run."""
    if targets is None or isinstance(targets, str | os.PathLike):
        yield (None if targets is None else Path(targets)), ()
        return
    given = list(targets)
    if given and all(isinstance(one, str) for one in given):
        yield None, tuple(given)
        return
    if not given or not all(isinstance(one, Mapping) for one in given):
        raise ConfigError([Problem("bench.run", "targets", "", "a file, a list of ids, or a list of dicts")])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "targets.yaml"
        path.write_text(json.dumps({"version": 1, "targets": [dict(one) for one in given]}), encoding="utf-8")
        yield path, tuple(str(one.get("id")) for one in given) if len(given) == 1 else ()


_FLAGS = ("simulate", "out", "run_id", "resume", "concurrency", "request_rate", "requests", "lanes", "quick", "workers",
          "seed", "max_usd", "max_minutes", "limits", "replies")  # fmt: skip


def _command(
    workload: str | os.PathLike[str], duration: str | None, file: Path | None, given: Mapping[str, Any]
) -> str:
    """The command that does the same, for the record; what is at its default is left out."""
    import inspect

    defaults = {name: parameter.default for name, parameter in inspect.signature(run).parameters.items()}
    words = ["bench", "run", os.fspath(workload)]
    if file is not None:
        words += ["--targets", str(file)]
    elif given["only"]:
        words += ["--only", ",".join(given["only"])]
    for name in _FLAGS:
        value = given[name]
        if value != defaults[name]:
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
    words += ["--duration", duration] if duration is not None else []
    words += [] if given["calibrate"] else ["--no-calibrate"]
    for key, value in (given["labels"] or {}).items():
        words += ["--label", f"{key}={value}"]
    return shlex.join(words)


def _in_a_thread(options: Options, progress: Callable[[dict[str, Any]], None]) -> Path:
    """Conducts the run in a thread of its own, and hands on interrupts that reach this one."""
    from bench.conductor.runner import run as conduct
    from bench.engine.seat import asked_from_elsewhere

    done: list[Path] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(conduct(options, progress).folder)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="bench-run")
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            for ask in list(asked_from_elsewhere):
                ask()
    if failed:
        raise failed[0]
    return done[0]


def _say(message: Mapping[str, Any]) -> None:
    if "say" in message:
        _warn(str(message["say"]))


def _warn(text: str) -> None:
    print(text, file=sys.stderr)
