"""What became of every figure of every target over the nights of a history: levels, gaps, breaks, and changes of level.

A gap is a date without a valid night. A break is where a night is unlike the one before it (another digest, load, region, tier):
levels on both sides of it are not compared, and a change of level is searched between breaks alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import CannotRun, ConfigError, Problem
from bench.metrics import plural
from bench.nightly.nights import Night, differing, one_per_date, read_nights, utc_date
from bench.stats.changes import FEWEST_EACH_SIDE, change_points
from bench.stats.nightly import GATED, GATED_BY_NAME, UNKNOWN, Gated, NightFigure

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NightValue:
    """A figure of one night, in its unit: its value (inf when it is a failed request), and twice its own standard error to each
    side (None where that is not known)."""

    date: str
    run_id: str
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A new level from `date` on. `before` and `after` are typical values in the unit of the figure. `size` with its 95 %
    interval is relative (0.2 is 20 % more) for ms, USD and tokens, in shares of 1 for shares."""

    date: str
    before: float
    after: float
    size: float
    low: float
    high: float
    p: float
    worse: bool | None
    """None for what is only watched."""


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one target. Dates without a value are gaps."""

    target: str
    figure: Gated
    values: tuple[NightValue, ...]
    changes: tuple[LevelChange, ...]

    @property
    def by_date(self) -> dict[str, NightValue]:
        return {value.date: value for value in self.values}


@dataclass(frozen=True, slots=True)
class Break:
    """From `date` on nights of a target are unlike those before it."""

    target: str
    date: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """A history: every date of it, by calendar, and a series for each target and figure that is known."""

    workload: str
    dates: tuple[str, ...]
    targets: tuple[str, ...]
    series: tuple[Series, ...]
    breaks: tuple[Break, ...]
    gaps: Mapping[str, str]
    """Dates without a night, and why."""
    notes: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `bench history` was asked, one field per flag. `last` counts dates."""

    results: Path = Path("results")
    workload: str | None = None
    target: str | None = None
    metric: str | None = None
    last: int = 60


def trend(wanted: Wanted, say: Say) -> Trend:
    """Reads the nights and follows every figure. Raises CannotRun where there are none, ConfigError for unknown names."""
    if wanted.metric is not None and wanted.metric not in GATED_BY_NAME:
        raise ConfigError([Problem("command line", "--metric", wanted.metric, f"one of {', '.join(GATED_BY_NAME)}")])
    others: dict[str, int] = {}
    nights = _read(wanted, others, say)
    if wanted.target is not None and not any(wanted.target in night.targets for night in nights):
        have = ", ".join(dict.fromkeys(target for night in nights for target in night.targets))
        raise ConfigError([Problem("command line", "--target", wanted.target, f"a target of these nights: {have}")])
    return followed(nights, others, wanted.target, wanted.metric)


def _read(wanted: Wanted, others: dict[str, int], say: Say) -> list[Night]:
    """The nights of one workload (that of the newest run), of one kind (simulated or real), of the last dates."""
    name, kind, oldest = wanted.workload, None, ""

    def fits(facts: Mapping[str, Any]) -> bool:
        nonlocal name, kind, oldest
        mine = str((facts.get("workload") or {}).get("name") or "")
        day = utc_date(int(facts.get("started_unix_ns") or 0))
        if name is None:
            name = mine
        if mine != name:
            others[f"workload {mine}"] = others.get(f"workload {mine}", 0) + 1
            return False
        if kind is None:
            kind = bool(facts.get("simulated"))
            oldest = (date.fromisoformat(day) - timedelta(days=wanted.last - 1)).isoformat()
        if bool(facts.get("simulated")) != kind:
            other = "simulated" if facts.get("simulated") else "real"
            others[other] = others.get(other, 0) + 1
            return False
        return day >= oldest

    nights = read_nights(wanted.results, say, fits)
    if not nights:
        what = f"no run of workload {name}" if name else "no run that has come to its end"
        raise CannotRun(f"{wanted.results}: {what}", "make one: bench run WORKLOAD.yaml")
    return nights


def followed(
    nights: Sequence[Night],
    others: Mapping[str, int] | None = None,
    target: str | None = None,
    metric: str | None = None,
) -> Trend:
    """The trend of nights of one workload, by time. `others` counts what was left out, by what it is."""
    newest = nights[-1]
    # Of a date, a night that is like the newest goes before one that is not: an experiment in between is no break.
    alike = [night for night in nights if not differing(night.of_run, newest.of_run)]
    chosen = {night.date: night for night in one_per_date(nights)}
    chosen |= {night.date: night for night in one_per_date(alike)}
    kept = [chosen[day] for day in sorted(chosen)]
    first, last = date.fromisoformat(nights[0].date), date.fromisoformat(newest.date)
    dates = tuple((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))
    targets = [name for night in reversed(kept) for name in night.targets]
    names = tuple(name for name in dict.fromkeys(targets) if target in (None, name))
    breaks = tuple(found for name in names for found in _breaks(name, kept))
    figures = [gated for gated in GATED if metric in (None, gated.name)]
    drawn = [(name, gated, _values(name, gated, kept)) for name in names for gated in figures]
    drawn = [(name, gated, values) for name, gated, values in drawn if values]
    many = sum(len(values) >= 2 * FEWEST_EACH_SIDE for _, _, values in drawn)
    series = tuple(
        Series(name, gated, values, _changes(gated, values, [b.date for b in breaks if b.target == name], many))
        for name, gated, values in drawn
    )
    notes = [f"left out: {plural(count, 'run')} of another kind ({what})" for what, count in (others or {}).items()]
    if len(kept) < 2 * FEWEST_EACH_SIDE:
        notes.append(f"{plural(len(kept), 'night')} in all: too few to see a change of level")
    return Trend(
        workload=newest.of_run.get("workload", ""), dates=dates, targets=names, series=series, breaks=breaks,
        gaps=_gaps(dates, kept, nights), notes=tuple(notes), simulated=newest.simulated,
    )  # fmt: skip


def _gaps(dates: Sequence[str], kept: Sequence[Night], nights: Sequence[Night]) -> dict[str, str]:
    known = {night.date for night in kept}
    found = {}
    for day in dates:
        if day not in known:
            bad = [night for night in nights if night.date == day]
            reasons = [f"{n.run_id}: {'; '.join(n.invalid) or 'did not come to its end'}" for n in bad]
            found[day] = "; ".join(reasons) or "no run"
    return found


def _breaks(target: str, nights: Sequence[Night]) -> list[Break]:
    mine = [night for night in nights if target in night.targets]
    found = []
    for before, night in pairwise(mine):
        differs = [*differing(before.of_run, night.of_run),
                   *differing(before.of_target.get(target, {}), night.of_target.get(target, {}))]  # fmt: skip
        if differs:
            found.append(Break(target, night.date, tuple(differs)))
    return found


def _values(target: str, gated: Gated, nights: Sequence[Night]) -> tuple[NightValue, ...]:
    made = []
    for night in nights:
        figure = night.figures.get(target, {}).get(gated.name, UNKNOWN)
        if figure.value is not None:
            low, high = _ends(gated, figure)
            made.append(NightValue(night.date, night.run_id, figure.value, low, high, figure.n))
    return tuple(made)


def _ends(gated: Gated, figure: NightFigure) -> tuple[float | None, float | None]:
    """Two standard errors to each side, on the scale of the figure."""
    value, se = figure.value, figure.se
    if value is None or se is None or not math.isfinite(value):
        return None, None
    if gated.scale == "log":
        return value * math.exp(-2 * se), value * math.exp(2 * se)
    return max(0.0, value - 2 * se), min(1.0, value + 2 * se)


def _changes(gated: Gated, values: Sequence[NightValue], breaks: Sequence[str], series: int) -> tuple[LevelChange, ...]:
    """Changes of level between breaks. A night whose percentile is a failed request has no place on a scale and is left out."""
    usable = [one for one in values if math.isfinite(one.value) and (gated.scale != "log" or one.value > 0)]
    found = []
    for begin, end in zip(["", *breaks], [*breaks, "9999"], strict=True):
        stretch = [one for one in usable if begin <= one.date < end]
        numbers = np.array([math.log(one.value) if gated.scale == "log" else one.value for one in stretch])
        changes = change_points(numbers, series)
        edges = [0, *(change.index for change in changes), len(stretch)]
        levels = [float(numbers[a:b].mean()) for a, b in pairwise(edges)] if changes else []
        for n, change in enumerate(changes):
            before, after, size, low, high = levels[n], levels[n + 1], change.size, change.low, change.high
            if gated.scale == "log":
                before, after = math.exp(before), math.exp(after)
                size, low, high = math.expm1(size), math.expm1(low), math.expm1(high)
            worse = None if gated.watched else (size > 0) == (gated.better == "lower")
            found.append(LevelChange(stretch[change.index].date, before, after, size, low, high, change.p, worse))
    return tuple(found)
