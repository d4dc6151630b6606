"""From the names of a run and of a baseline to verdicts: which nights are compared, which are left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bench.errors import CannotRun, ConfigError, Problem
from bench.metrics import plural
from bench.nightly import baseline as baselines
from bench.nightly.gate import Confirmed, GateResult, concluded, judge
from bench.nightly.nights import (
    Night,
    differing,
    known_night,
    night_in,
    night_of,
    one_per_date,
    read_nights,
    utc_date,
)
from bench.stats.limits import WINDOW
from bench.stats.pool import facts_of_run
from bench.store import runs
from bench.store.find import find_runs, read_each

HISTORY = "history"
SAME_NIGHT_NS = 24 * 3600 * 10**9
MOST_NIGHTS = 4 * WINDOW
"""Nights that are read: what was called in older ones has no say in the limits of tonight."""
SHOWN = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `bench gate` was asked, one field per flag."""

    run: str
    baseline: str = HISTORY
    history: Path = Path("results")
    confirm: str | None = None
    control: str | None = None
    since: str | None = None
    strict: bool = False


def gate(wanted: Wanted, say: Say) -> GateResult:
    """Judges a run. Raises BenchError for what cannot be found, and ConfigError for a re-run that is unlike the run."""
    run = runs.open_run(runs.find_run(wanted.run, wanted.history))
    if changed := runs.verify_digests(run):
        say(f"Warning: changed since the run wrote them: {', '.join(changed)}")
    tonight = known_night(run)
    if wanted.control is not None and wanted.control not in tonight.targets:
        have = ", ".join(tonight.targets)
        raise ConfigError([Problem("command line", "--control", wanted.control, f"a target of the run: {have}")])
    confirm = _confirmed(run, tonight, wanted)
    notes: list[str] = []
    found, words, given = _baseline(run, tonight, wanted, notes, say)
    history = {target: _alike(target, found, tonight, notes) for target in tonight.targets}
    if given and not any(history.values()):
        raise ConfigError(
            [Problem("baseline", words, note, "a baseline that is like the run") for note in notes or ["no night"]],
            "Unlike runs are never compared. Accept a new one: bench baseline update, or measure what the baseline measured.",
        )
    if not any(name.startswith("loopback") for name in tonight.control):
        notes.append("the run was not calibrated: a bad night of our own machine cannot be told by the loopback target")
    rows = judge(tonight, history, confirm=confirm, control=wanted.control, assume=given)
    if given and max((row.nights for row in rows), default=0) < 10:
        notes.append("the baseline has fewer than 10 nights: 5 % from night to night is assumed (1 point for quality)")
    if confirm is not None:
        notes.append(f"confirmed with {confirm.again.run_id}: figures are of both runs together")
    return concluded(tonight, rows, notes, words, wanted.strict)


def _confirmed(run: runs.Run, tonight: Night, wanted: Wanted) -> Confirmed | None:
    if wanted.confirm is None:
        return None
    again_run = runs.open_run(runs.find_run(wanted.confirm, wanted.history))
    again = known_night(again_run)
    problems = [
        Problem("--confirm", "unlike the run", what, "a re-run of the same") for what in _unlike(again, tonight)
    ]
    if again.run_id == tonight.run_id:
        problems.append(Problem("--confirm", "run", again.run_id, "another run than the one that is judged"))
    if abs(again.started_unix_ns - tonight.started_unix_ns) > SAME_NIGHT_NS:
        problems.append(
            Problem("--confirm", "started", f"{again.date}, the run on {tonight.date}", "a run of the same night")
        )
    if problems:
        raise ConfigError(problems)
    return Confirmed(again, night_of(run, again_run))


def _unlike(night: Night, tonight: Night) -> list[str]:
    said = differing(night.of_run, tonight.of_run)
    for target in tonight.of_target:
        if target in night.of_target:
            said += [f"{target}: {what}" for what in differing(night.of_target[target], tonight.of_target[target])]
    return said


def _baseline(
    run: runs.Run, tonight: Night, wanted: Wanted, notes: list[str], say: Say
) -> tuple[list[Night], str, bool]:
    """The nights to compare with, what they are in words, and whether they were chosen one by one (else: the history)."""
    path = Path(wanted.baseline)
    if wanted.baseline == HISTORY:
        found = _history(run, tonight, wanted, notes, say)
        return found, f"history in {wanted.history}", False
    if baselines.is_baseline(path):
        content = baselines.load(path)
        last = content["changes"][-1] if content["changes"] else {}
        by = f", accepted by {last['author']} on {str(last['at'])[:10]}: {last['reason']}" if last else ""
        return _fit(baselines.nights_of(content, path), tonight, notes), f"{path}{by}", True
    folders = find_runs([wanted.baseline], wanted.history)
    nights = read_each(folders, night_in, notes.append)
    others = [night for night in nights if night.run_id != tonight.run_id]
    if nights and not others:
        raise ConfigError(
            [Problem("command line", "--baseline", wanted.baseline, "another run than the one that is judged")]
        )
    valid = [night for night in others if night.complete and not night.invalid]
    notes += [f"left out: {night.run_id} is no measurement" for night in others if night not in valid]
    kept = one_per_date(_fit(valid, tonight, notes))
    return kept, f"{wanted.baseline} ({plural(len(kept), 'night')})", True


def _fit(nights: Sequence[Night], tonight: Night, notes: list[str]) -> list[Night]:
    """Those that are like tonight as a whole; what the others differ in is noted."""
    fit: list[Night] = []
    unlike: dict[str, list[str]] = {}
    for night in sorted(nights, key=lambda one: (one.started_unix_ns, one.run_id)):
        if differs := differing(night.of_run, tonight.of_run):
            unlike.setdefault("; ".join(differs), []).append(night.run_id)
        else:
            fit.append(night)
    notes += [f"{plural(len(who), 'night')} left out, unlike: {what} ({_some(who)})" for what, who in unlike.items()]
    return fit


def _history(run: runs.Run, tonight: Night, wanted: Wanted, notes: list[str], say: Say) -> list[Night]:
    """The valid nights before tonight, one for each date, that are like it as a whole."""
    name, now = (run.manifest.get("workload") or {}).get("name"), tonight.of_run
    unlike: dict[str, list[str]] = {}
    bad: list[str] = []

    def alike(facts: Mapping[str, Any]) -> bool:
        began = int(facts.get("started_unix_ns") or 0)
        if (facts.get("workload") or {}).get("name") != name or began >= tonight.started_unix_ns:
            return False
        if wanted.since is not None and utc_date(began) < wanted.since:
            return False
        run_id = str(facts.get("run_id"))
        if facts.get("invalid") or not facts.get("complete"):
            bad.append(run_id)
            return False
        if differs := differing(facts_of_run(facts), now):
            unlike.setdefault("; ".join(differs), []).append(run_id)
            return False
        return True

    found = read_nights(wanted.history, say, alike, MOST_NIGHTS)
    if bad:
        notes.append(f"{plural(len(bad), 'run')} left out, partial or no measurement: {_some(bad)}")
    notes += [f"{plural(len(who), 'run')} left out, unlike: {what} ({_some(who)})" for what, who in unlike.items()]
    kept = [night for night in one_per_date(found) if night.date != tonight.date]
    if kept and (missing := _gaps(kept[-WINDOW:], tonight)):
        notes.append(
            f"{plural(missing, 'date')} without a night since {kept[-WINDOW:][0].date}: gaps, neither zero nor repeated"
        )
    return kept


def _gaps(nights: Sequence[Night], tonight: Night) -> int:
    """How many dates from the first of these nights to tonight have none."""
    days = (date.fromisoformat(tonight.date) - date.fromisoformat(nights[0].date)).days
    return max(0, days - len({night.date for night in nights}))


def _alike(target: str, nights: Sequence[Night], tonight: Night, notes: list[str]) -> list[Night]:
    """The nights in which this target was what it is tonight."""
    kept: list[Night] = []
    unlike: dict[str, list[str]] = {}
    for night in nights:
        if target not in night.figures:
            continue
        if differs := differing(night.of_target.get(target, {}), tonight.of_target.get(target, {})):
            unlike.setdefault("; ".join(differs), []).append(night.run_id)
        else:
            kept.append(night)
    notes += [
        f"{target}: {plural(len(who), 'night')} left out, unlike: {what} ({_some(who)})" for what, who in unlike.items()
    ]
    return kept


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= SHOWN else f"{', '.join(names[:2])} and {len(names) - 2} more"


def nights_named(refs: Sequence[str], results: Path, say: Say) -> list[Night]:
    """The nights of runs that are named, by time. One that cannot be read is left out, and that is said.

    Raises CannotRun when none is left.
    """
    folders = find_runs(list(refs), results)
    found = read_each(folders, night_in, say)
    if not found:
        raise CannotRun(f"none of {plural(len(folders), 'run')} can be read", "give other runs, or a folder of runs")
    return sorted(found, key=lambda night: (night.started_unix_ns, night.run_id))
