"""Nights: the runs of a history as what a gate and a trend need of them, and which of them are alike.

The history is the results folder itself: nothing is kept beside it. A night is a run of the same workload under the same load;
of a UTC date the first valid run counts. A date without one is a gap: it is neither zero nor the night before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, CannotRun
from bench.store import runs
from bench.store.disk import DAMAGED
from bench.store.find import left_out, run_folders
from bench.store.recorded import MANIFEST

if TYPE_CHECKING:
    import pandas as pd

    from bench.stats.nightly import Bound, NightFigure

Say = Callable[[str], None]

_DAMAGED = (AttributeError, KeyError, OSError, TypeError, ValueError)
"""What reading a run comes to whose files hold something else than a run writes."""
MOST_SPOILED = 0.2
"""Of the requests of a night; with more of them taken while our own instrument was the bottleneck it is no measurement."""


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
    bounds: Mapping[str, tuple[Bound, ...]]
    """The limits of the workload's slo, by target."""
    rows_sha256: str | None
    """Digest of requests.parquet, as the run wrote it."""

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.figures)


def utc_date(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns // 10**9, UTC):%Y-%m-%d}"


_KNOWN: dict[tuple[object, ...], Night] = {}
"""Nights that this process has read: by manifest, and by size and time of the files that figures are made of."""


def known_night(run: runs.Run) -> Night:
    """`night_of` one run; read once in a process as long as its files do not change."""
    stats = [(run.path / name).stat() for name in (MANIFEST, "requests.parquet", "scores.parquet")]
    key = ((run.path / MANIFEST).read_bytes(), *((one.st_size, one.st_mtime_ns) for one in stats[1:]))
    if key not in _KNOWN:
        _KNOWN[key] = night_of(run)
    return replace(_KNOWN[key], folder=run.path)


def night_of(*parts: runs.Run) -> Night:
    """A stored run as a night; several are one night, with their rows put together (its name is that of the first)."""
    from bench.stats import nightly, pool
    from bench.stats.measured import select
    from bench.stats.pool import Source
    from bench.stats.table import REQUEST_COLUMNS, SCORE_COLUMNS

    columns = tuple(dict.fromkeys((*REQUEST_COLUMNS, *nightly.REQUEST_COLUMNS)))
    sources = []
    for run in parts:
        requests = run.frame("requests", columns)
        sources.append(Source(requests, requests.iloc[:0], run.frame("scores", SCORE_COLUMNS), run.manifest))
    source = sources[0] if len(sources) == 1 else pool.pooled(sources)
    selection = select(source.requests, source.scores, source.manifest)
    facts = parts[0].manifest
    slo = (facts.get("workload") or {}).get("slo") or {}
    began = int(facts.get("started_unix_ns") or 0)
    return Night(
        run_id=str(facts.get("run_id") or parts[0].path.name.removeprefix("run=")),
        date=utc_date(began),
        started_unix_ns=began,
        folder=parts[0].path,
        simulated=any(bool(run.manifest.get("simulated")) for run in parts),
        complete=all(bool(run.manifest.get("complete")) for run in parts),
        invalid=(
            *(str(reason) for run in parts for reason in run.manifest.get("invalid") or ()),
            *_spoiled(source.requests),
        ),
        of_run=pool.facts_of_run(facts),
        of_target={about["id"]: pool.facts_of_target(about) for about in facts.get("targets") or []},
        figures=nightly.figures(selection, source.requests),
        control=control_of(facts),
        bounds=nightly.bounds(selection, slo),
        rows_sha256=((facts.get("files") or {}).get("requests.parquet") or {}).get("sha256"),
    )


def _spoiled(requests: pd.DataFrame) -> Iterator[str]:
    """Why rows that our own instrument spoiled make the whole night none: what is left of it is a selection."""
    measured = requests[requests["phase"] == "measure"]
    share = float(measured["spoiled"].fillna(False).astype(bool).mean()) if len(measured) else 0.0
    if share > MOST_SPOILED:
        yield f"our own machine was the bottleneck of {share:.0%} of the requests (spoiled; at most {MOST_SPOILED:.0%} may be)"


def control_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """What our own machine did that night, in ms: how late the loopback null target was read, how late we sent, and how long our
    event loop was busy. What is not known is left out."""
    calibration, own = facts.get("calibration") or {}, facts.get("instrument") or {}
    found = {
        "loopback_ttft_p50_ms": calibration.get("ttft_error_p50_ms"),
        "loopback_ttft_p99_ms": calibration.get("ttft_error_p99_ms"),
        "loopback_token_p50_ms": calibration.get("token_error_p50_ms"),
        "lateness_p50_ms": (own.get("lateness_ms") or {}).get("p50"),
        "lateness_p99_ms": (own.get("lateness_ms") or {}).get("p99"),
    }
    for name in ("p50", "p99"):
        lag_ns = (own.get("lag_ns") or {}).get(name)
        found[f"loop_lag_{name}_ms"] = None if lag_ns is None else lag_ns / 1e6
    return {name: float(value) for name, value in found.items() if value is not None}


def read_nights(
    results: Path, say: Say, wanted: Callable[[Mapping[str, Any]], bool] = lambda facts: True, most: int | None = None
) -> list[Night]:
    """The nights of a results folder by time: of each run that can be read and whose manifest is `wanted`; the newest `most`.

    A run that crashed or is still going has no manifest and is no night: a gap. One that cannot be read is left out, and that
    is said.
    """
    found = []
    for folder in reversed(run_folders(results)):
        if not (folder / MANIFEST).exists():
            continue
        try:
            with _told(folder):
                run = runs.open_run(folder)
                if wanted(run.manifest):
                    found.append(known_night(run))
        except BenchError as error:
            say(left_out(folder, error))
        if most is not None and len(found) >= most:
            break
    return sorted(found, key=lambda night: (night.started_unix_ns, night.run_id))


def night_in(folder: Path) -> Night:
    """The night in the folder of a run. Raises CannotRun where it cannot be read, whatever is wrong with its files."""
    with _told(folder):
        return known_night(runs.open_run(folder))


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """CannotRun for what a damaged run makes of its readers."""
    try:
        yield
    except BenchError:
        raise
    except _DAMAGED as error:
        raise CannotRun(f"{folder}: cannot read: {type(error).__name__}: {error}", DAMAGED) from error


def one_per_date(nights: Sequence[Night]) -> list[Night]:
    """Of each UTC date the first valid run: a second one of the same night (a re-run, an experiment) saw the same night."""
    chosen: dict[str, Night] = {}
    for night in sorted(nights, key=lambda one: (one.started_unix_ns, one.run_id)):
        if not night.invalid and night.complete:
            chosen.setdefault(night.date, night)
    return list(chosen.values())


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between the facts of two nights, or of a target in two nights; empty when they are alike."""
    keys = dict.fromkeys((*now, *then))
    return [f"{key}: {then.get(key, 'not given')} then, {now.get(key, 'not given')} now"
            for key in keys if then.get(key) != now.get(key)]  # fmt: skip
