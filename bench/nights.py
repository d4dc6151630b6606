"""Nights: the runs of a history as what a gate and a trend need of them, and which of them are alike.

The history is the results folder itself: nothing is kept beside it. A night is a run of the same workload under the same load;
of a UTC date the first valid run counts. A date without one is a gap: it is neither zero nor the night before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, CannotRun
from bench.store import runs
from bench.store.find import run_folders
from bench.store.recorded import MANIFEST

if TYPE_CHECKING:
    from bench.stats.nightly import NightFigure

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """One run, as far as nights are compared.

    `date` is UTC. `figures` are by target and name of figure (bench/stats/nightly.py). `of_run` and `of_target` are the facts
    that must be alike, in words. `invalid` says why it is no measurement; empty when it is one. `control` holds the figures of
    the loopback null target in ms, by name; without those of the calibration where there was none.
    """

    run_id: str
    date: str
    started_unix_ns: int
    folder: Path
    simulated: bool
    complete: bool
    invalid: tuple[str, ...]
    of_run: Mapping[str, str]
    of_target: Mapping[str, Mapping[str, str]]
    figures: Mapping[str, Mapping[str, NightFigure]]
    control: Mapping[str, float]
    slo: Mapping[str, Any]
    requests_sha256: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.figures)


def utc_date(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns // 10**9, UTC):%Y-%m-%d}"


def night_of(run: runs.Run) -> Night:
    """A stored run as a night. Raises CannotRun when its rows cannot be read."""
    from bench.stats import nightly, pool
    from bench.stats.measured import select
    from bench.stats.table import REQUEST_COLUMNS, SCORE_COLUMNS

    facts = run.manifest
    invalid = tuple(str(reason) for reason in facts.get("invalid") or ())
    columns = tuple(dict.fromkeys((*REQUEST_COLUMNS, *nightly.REQUEST_COLUMNS)))
    requests = run.frame("requests", columns)
    selection = select(requests, run.frame("scores", SCORE_COLUMNS), facts)
    began = int(facts.get("started_unix_ns") or 0)
    return Night(
        run_id=str(facts.get("run_id") or run.path.name.removeprefix("run=")),
        date=utc_date(began),
        started_unix_ns=began,
        folder=run.path,
        simulated=bool(facts.get("simulated")),
        complete=bool(facts.get("complete")),
        invalid=invalid,
        of_run=pool.facts_of_run(facts),
        of_target={about["id"]: pool.facts_of_target(about) for about in facts.get("targets") or []},
        figures=nightly.figures(selection, requests),
        control=control_of(facts),
        slo=(facts.get("workload") or {}).get("slo") or {},
        requests_sha256=((facts.get("files") or {}).get("requests.parquet") or {}).get("sha256"),
    )


def control_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """What our own machine did that night, in ms: how late the loopback null target was read, how late we sent, and how long our
    event loop was busy. What is not known is left out."""
    calibration, own = facts.get("calibration") or {}, facts.get("instrument") or {}
    found = {
        "loopback_ttft_p50_ms": calibration.get("ttft_error_p50_ms"),
        "loopback_ttft_p99_ms": calibration.get("ttft_error_p99_ms"),
        "loopback_token_p99_ms": calibration.get("token_error_p99_ms"),
        "lateness_p99_ms": (own.get("lateness_ms") or {}).get("p99"),
    }
    lag_ns = (own.get("lag_ns") or {}).get("p99")
    found["loop_lag_p99_ms"] = None if lag_ns is None else lag_ns / 1e6
    return {name: float(value) for name, value in found.items() if value is not None}


def read_nights(
    results: Path, say: Say, wanted: Callable[[Mapping[str, Any]], bool] = lambda facts: True
) -> list[Night]:
    """The nights of a results folder by time, one for each run that can be read and whose manifest is `wanted`.

    A run that crashed or is still going has no manifest and is no night: a gap. One that cannot be read is left out, and that
    is said.
    """
    found = []
    for folder in run_folders(results):
        if not (folder / MANIFEST).exists():
            continue
        try:
            run = runs.open_run(folder)
            if wanted(run.manifest):
                found.append(night_of(run))
        except (BenchError, OSError, KeyError, ValueError) as error:
            say(f"Left out: {folder.name.removeprefix('run=')}: {error}")
    return sorted(found, key=lambda night: (night.started_unix_ns, night.run_id))


def one_per_date(nights: Sequence[Night]) -> list[Night]:
    """Of each UTC date the first valid run: a second one of the same night (a re-run, an experiment) saw the same night."""
    chosen: dict[str, Night] = {}
    for night in sorted(nights, key=lambda one: (one.started_unix_ns, one.run_id)):
        if not night.invalid and night.complete:
            chosen.setdefault(night.date, night)
    return list(chosen.values())


def unlike_run(night: Night, tonight: Night) -> list[str]:
    """What makes a whole night unlike tonight: workload, load, method, simulated or real. Empty when alike."""
    return _differ(night.of_run, tonight.of_run)


def unlike_target(night: Night, tonight: Night, target: str) -> list[str]:
    """What makes a target of a night unlike tonight's: model, region, tier, settings. Empty when alike, or absent."""
    if target not in night.of_target or target not in tonight.of_target:
        return []
    return _differ(night.of_target[target], tonight.of_target[target])


def _differ(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    keys = dict.fromkeys((*now, *then))
    return [f"{key}: {then.get(key, 'not given')} then, {now.get(key, 'not given')} now"
            for key in keys if then.get(key) != now.get(key)]  # fmt: skip


def no_nights(results: Path) -> CannotRun:
    return CannotRun(f"{results}: there are no runs", "make one: bench run WORKLOAD.yaml")
