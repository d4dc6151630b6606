"""The same target over several runs, side by side.

Two runs saw different minutes: their blocks are independent of each other, so nothing is earned by pairing them, except
that the same cases were asked. An interval here knows how blocks of one run differ, not how one night differs from the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import ConfigError, Problem
from bench.metrics import BY_NAME, PROBABILITY, figure, plural
from bench.stats import drafts, labels, means, proof, ratios, residue, steady
from bench.stats.cells import FEW_BLOCKS, block_sums, cells, cost_and_right, resamples, too_few
from bench.stats.comparisons import QUANTILES, Draft, evidence, finish
from bench.stats.exploratory import blank
from bench.stats.measured import Measured, Selection, codes, floats, select
from bench.stats.pool import Source, missing, unfinished
from bench.stats.quantiles import Ints, quantile
from bench.stats.table import columns_of
from bench.stats.types import Cell, Comparison, Row, Table
from bench.stats.verdicts import BAD, GOOD, MARGINS
from bench.stats.windows import folded

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class OneRun:
    """One of the runs, however its rows were read."""

    manifest: Mapping[str, Any]
    selection: Selection
    """Its frames have `case_id` beside what is compared: something that is the same for the same case in all runs."""
    figures: Mapping[str, Mapping[str, Cell]]
    """Every figure of each target."""
    alarms: tuple[str, ...]

    @property
    def run_id(self) -> str:
        return str(self.manifest.get("run_id") or "")

    @property
    def seed(self) -> int:
        return int(self.manifest.get("seed") or 0)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A target as one run saw it."""

    run_id: str
    measured: Measured
    row: Row


def beside(sources: Sequence[Source], baseline: str | None = None) -> Table:
    """One row per target and run; each run against `baseline` (the beginning of a run's id), else against the first.

    Targets are named `target @run`.
    """
    return of_runs([_of_frames(source) for source in sources], baseline)


def _of_frames(source: Source) -> OneRun:
    manifest = source.manifest
    selection = select(source.requests, source.scores, manifest)
    targets, seed = selection.targets, int(manifest.get("seed") or 0)
    steadiness, _ = steady.judge(targets, manifest)
    course = steady.figures(steadiness)
    said = labels.figures(targets, labels.labelled(targets, source.scores), seed)
    figures = {
        m.target: cells(m, selection.from_due, seed, {**course.get(m.target, {}), **said.get(m.target, {})}, selection.limits)
        for m in targets
    }  # fmt: skip
    strangers = proof.strangers([m.target for m in targets], source.attempts)
    return OneRun(manifest, selection, figures, alarms_of(selection, strangers, steady.alarms(steadiness)))


def alarms_of(selection: Selection, strangers: Sequence[str], unsteady: Sequence[str]) -> tuple[str, ...]:
    """All alarms of one run, in their order."""
    return (*strangers, *selection.alarms, *residue.alarms(selection.targets, selection.tally), *unsteady)


def of_runs(runs: Sequence[OneRun], baseline: str | None = None) -> Table:
    """The table of runs that are read."""
    ids = [one.run_id for one in runs]
    base = _base(baseline, ids)
    by_target: dict[str, list[_Seen]] = {}
    for one in runs:
        for seen in _seen(one):
            by_target.setdefault(seen.measured.target, []).append(seen)
    manifests = [one.manifest for one in runs]
    margins = {**MARGINS, **(manifests[-1].get("margins") or {})}
    made: list[Draft] = []
    for group in by_target.values():
        first = next((seen for seen in group if seen.run_id == base), group[0])
        for other in group:
            if other is not first:
                made += _compare(first, other, runs[0].seed, margins)
    compared = tuple(finish(made))
    workload = manifests[-1].get("workload") or {}
    return Table(
        title=f"{workload.get('title') or workload.get('name') or ''} · {plural(len(runs), 'run')} side by side",
        run_id=" ".join(ids),
        columns=columns_of(any(one.selection.limits for one in runs)),
        rows=tuple(seen.row for group in by_target.values() for seen in group),
        comparisons=compared,
        answers=tuple((f"{target}", _changed(target, compared)) for target in by_target),
        alarms=tuple(_alarms(runs)),
        notes=(*_notes(runs, compared), *missing(manifests)),
        simulated=any(m.get("simulated") for m in manifests),
        partial=unfinished(manifests),
        run_folder=", ".join(str(m.get("run_folder") or m.get("run_id")) for m in manifests),
        comparison_columns=tuple(
            name for name in (*QUANTILES, "quality", "usd_per_correct", "usd_per_1k")
            if any(c.metric == name for c in compared)
        ),
    )  # fmt: skip


def _base(baseline: str | None, ids: Sequence[str]) -> str:
    if baseline is None:
        return ids[0]
    found = [run for run in ids if run == baseline] or [run for run in ids if baseline and run.startswith(baseline)]
    if len(found) != 1:
        want = f"one of the runs that are side by side: {', '.join(ids)}"
        raise ConfigError([Problem("command line", "--baseline", baseline, want)])
    return found[0]


def _seen(one: OneRun) -> list[_Seen]:
    return [
        _Seen(one.run_id, m, Row(
            named(m.target, one.run_id), m.model, m.provider, m.region, m.n, m.blocks, m.spent_usd,
            one.figures[m.target],
        ))
        for m in one.selection.targets
    ]  # fmt: skip


def named(target: str, run_id: str) -> str:
    """How a row of a target in one of several runs is called."""
    return f"{target} @{run_id}"


def _compare(a: _Seen, b: _Seen, seed: int, margins: Mapping[str, float]) -> list[Draft]:
    shared = set(a.measured.frame["case_id"]) & set(b.measured.frame["case_id"])
    frames = [seen.measured.frame[seen.measured.frame["case_id"].isin(shared)] for seen in (a, b)]
    names = named(a.measured.target, a.run_id), named(b.measured.target, b.run_id)
    made = [_latency(names, frames, name, margins[BY_NAME[name].statistic]) for name in QUANTILES]
    return [*made, _quality(names, frames, margins["quality"]), _cost(names, frames, seed, margins["cost"])]


def _latency(names: tuple[str, str], frames: Sequence[pd.DataFrame], name: str, margin: float) -> Draft:
    row, column = blank(*names, name, "latency", margin), QUANTILES[name]
    known = [frame[frame[column].notna()] for frame in frames]
    if not all(len(frame) for frame in known):
        return drafts.nothing(row, "not known in one of the runs")
    p = PROBABILITY[BY_NAME[name].statistic]
    a, b = (quantile(floats(frame, column), codes(frame, "block"), p) for frame in known)
    # No block of one run is a block of the other: what their sums would correlate by is chance.
    apart = [replace(one, block_sums=np.zeros(1)) for one in (a, b)]
    return drafts.of_quantiles(
        row, apart[0], apart[1], min(a.n, b.n), "log-MOVER of order statistics, independent runs"
    )


def _quality(names: tuple[str, str], frames: Sequence[pd.DataFrame], margin: float) -> Draft:
    """Case by case: the same question is as hard in both runs."""
    row = blank(*names, "quality", "quality", margin)
    a, b = (_nth_of_case(frame[frame["right"].notna()]) for frame in frames)
    both = a.merge(b, on=["case_id", "nth"], suffixes=("_a", "_b"))
    if len(both) == 0:
        return drafts.nothing(row, "nothing was judged in both runs")
    alike: list[Ints] = [codes(both, "block_a"), codes(both, "block_b"), codes(both, "cluster_a")]
    paired = means.paired_difference(floats(both, "right_a"), floats(both, "right_b"), alike)
    at_95, at_90 = paired.interval(), paired.interval(0.90)
    blocks = min(one.groups for one in paired.alike[:2])
    row = replace(row, value=paired.raw.difference, low=at_95.low, high=at_95.high, n=len(both), n_eff=at_95.n_eff,
                  blocks=blocks, method="Tango's paired score by case, n_eff by case source and block",
                  p_raw=paired.p_value(), p_equivalence=paired.equivalence_p(margin))  # fmt: skip
    return Draft(row, evidence(paired.raw.difference, at_95, at_90, margin, blocks))


def _nth_of_case(frame: pd.DataFrame) -> pd.DataFrame:
    if "stored" in frame:  # not in the order of the file, which says which of several is the first
        frame = frame.sort_values("stored")
    return frame.assign(nth=frame.groupby("case_id").cumcount())[["case_id", "nth", "block", "cluster", "right"]]


def _cost(names: tuple[str, str], frames: Sequence[pd.DataFrame], seed: int, margin: float) -> Draft:
    judged = all(bool(frame["right"].notna().any()) for frame in frames)
    row = blank(*names, "usd_per_correct" if judged else "usd_per_1k", "cost", margin)
    if not all(len(f) and f["ok"].any() and f.loc[f["ok"], "cost"].notna().mean() >= 0.9 for f in frames):
        return drafts.nothing(row, "the cost is not known in one of the runs")
    totals, drawn, counts = [], [], []
    for n, frame in enumerate(frames):
        one = frame if judged else frame.assign(right=frame["cost"].notna().astype("float64"))
        blocks, count = folded(codes(one, "block"))
        usd, per = (block_sums(values, blocks, count) for values in cost_and_right(one))
        if not (usd.sum() > 0 and per.sum() > 0):
            return drafts.nothing(row, "one of the runs answered nothing right, or cost nothing")
        totals.append(math.log(usd.sum() / per.sum()))
        counts.append(count)
        # Independent draws: another seed for each run.
        with np.errstate(divide="ignore"):
            drawn.append(np.log(ratios.sums_ratio(usd, per, resamples(count, seed + n))))
    fewest = min(len(one) for one in drawn)
    differences = drawn[1][:fewest] - drawn[0][:fewest]
    estimate = totals[1] - totals[0]
    if abs(estimate) < 1e-9:
        estimate = 0.0
    differences = differences[~np.isnan(differences)]
    return drafts.of_sums(row, estimate, differences, ratios.bootstrap_p(differences, min(counts)), min(counts),
                          min(len(frame) for frame in frames), "block bootstrap of independent runs")  # fmt: skip


def _changed(target: str, compared: Sequence[Comparison]) -> str:
    """What is proven to have changed for a target, in one sentence."""
    mine = [c for c in compared if c.target.startswith(f"{target} @") and c.baseline.startswith(f"{target} @")]
    if not mine:
        return "in one run only, nothing to compare"
    moved = [c for c in mine if (c.verdict or "").removesuffix("_small") in GOOD | BAD]
    if not moved:
        equal = sum(c.verdict == "equivalent" for c in mine)
        return f"no change is proven; {equal} of {len(mine)} comparisons are equivalent, the others cannot be told"
    return "; ".join(f"{c.label} {(c.verdict or '').replace('_small', ' (small)')} in {c.target.rpartition(' @')[2]}: "
                     f"{_amount(c)}" for c in moved)  # fmt: skip


def _amount(c: Comparison) -> str:
    shown = figure(c.value, c.low, c.high, c.unit, signed=c.unit == "points")
    return f"{shown.text}{' pt' if c.unit == 'points' else '×'} ({shown.interval})"


def _alarms(runs: Sequence[OneRun]) -> list[str]:
    said = [f"{one.run_id}: {alarm}" for one in runs for alarm in one.alarms]
    few = {m.blocks for one in runs for m in one.selection.targets if 0 < m.blocks < FEW_BLOCKS}
    return [*said, *(too_few(blocks) for blocks in sorted(few))]


def _notes(runs: Sequence[OneRun], compared: Sequence[Comparison]) -> list[str]:
    tested = sum(c.p_raw is not None for c in compared)
    notes = [
        "runs side by side: the blocks of two runs are independent; intervals know how blocks of one run differ, not how "
        "one day differs from the next, so a verdict is on these runs",
        f"verdicts: over the cases that both runs asked, adjusted (Holm) for {tested} comparisons",
    ]
    selections = [one.selection for one in runs]
    origins = {selection.from_due for selection in selections if any(m.n for m in selection.targets)}
    if len(origins) > 1:
        notes.append(
            "TTFT and E2E count from the due time in open loops and from the first send in closed ones: both are here"
        )
    for one, selection in zip(runs, selections, strict=True):
        notes += [f"{one.run_id}: {note}" for note in (*residue.outcomes(selection.targets, selection.tally),
                                                         *selection.notes)]  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for c in compared:
        if c.reason:
            reasons.setdefault(c.reason, []).append(f"{c.label} of {c.target}")
    return notes + [f"inconclusive, {reason}: {'; '.join(who)}" for reason, who in reasons.items()]
