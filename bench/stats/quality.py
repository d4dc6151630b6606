"""What each scorer says of each target, beside what was never delivered, and whether the workload's own bars are met.

A scorer judges replies that ended ok; what was refused, filtered or cut off stands beside it, so that a mean over what is left
cannot hide it. Differences are over the requests that both targets answered and the scorer judged. None of this carries a
verdict of the table: the one figure that does is `quality`, declared before the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.metrics import figure
from bench.stats import means, shares
from bench.stats.cells import groupings, of_sums, too_few_warnings
from bench.stats.comparisons import paired_rows, pairs
from bench.stats.groups import Floats, compact, count_of
from bench.stats.measured import Measured, codes, floats, those
from bench.stats.threads import in_threads
from bench.stats.types import Bar, BarWord, Cell, Comparison, Judged
from bench.stats.windows import folded

if TYPE_CHECKING:
    import pandas as pd

WEIGHTED = "weighted"
"""Name of the mean of a request's scores by the weights of their scorers."""
UNDELIVERED = ("refused", "filtered", "truncated")
DRIFT = (0.90, 1.10)
"""Output length against the baseline's: outside, times, costs and scores that depend on length are not like for like."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The stored scores, however they were read. `of(target, scorer)` has a value for each row of the target's frame: NaN
    where the scorer did not judge, or the request did not end ok. `ended(target, outcome)` tells which rows ended so."""

    there: frozenset[str]
    of: Callable[[str, str], Floats]
    ended: Callable[[str, str], npt.NDArray[np.bool_]]


def scored(targets: Sequence[Measured], scores: pd.DataFrame, rows: pd.DataFrame | None) -> Scored:
    """From data frames of scores.parquet and of the rows that count."""
    frames = {m.target: m.frame for m in targets}
    known = scores[scores["value"].notna()]

    def of(target: str, scorer: str) -> Floats:
        frame, key = frames[target], ["run_id", "seq"]
        mine = known.loc[(known["target"] == target) & (known["scorer"] == scorer), [*key, "value"]]
        values = floats(frame[key].merge(mine.drop_duplicates(key, keep="last"), on=key, how="left"), "value")
        return np.where(frame["ok"].to_numpy(), values, np.nan)

    def ended(target: str, outcome: str) -> npt.NDArray[np.bool_]:
        assert rows is not None
        return (rows.loc[rows["target"] == target, "outcome"] == outcome).to_numpy(dtype=bool)

    return Scored(frozenset(str(name) for name in scores["scorer"].dropna().unique()), of, ended)


def judged(
    targets: Sequence[Measured],
    baselines: Mapping[str, Measured],
    said: Scored,
    manifest: Mapping[str, Any],
    cells: Mapping[str, Mapping[str, Cell]],
    compared: Sequence[Comparison],
    lengths: Mapping[str, Cell],
) -> tuple[Judged, ...]:
    """One for each target that has rows; empty when nothing was scored."""
    names = scorers_of(said.there, manifest)
    present = [m for m in targets if m.n] if names else []
    means_of: dict[str, dict[str, Cell]] = {m.target: {} for m in present}
    apart: dict[str, dict[str, Cell]] = {m.target: {} for m in present}
    rows = sum(m.n for m in present)
    for name in names:
        values = {m.target: _values(m.target, name, names, said, manifest) for m in present}

        def one(measured: Measured, name: str = name, values: Mapping[str, Floats] = values) -> None:
            means_of[measured.target][name] = _mean(measured, values[measured.target])
            base = baselines.get(measured.target)
            if base is not None and base.n:
                apart[measured.target][name] = _difference(base, measured, values)

        in_threads(one, present, rows)
    undelivered = in_threads(lambda measured: _undelivered(measured, said), present, rows)
    return tuple(
        Judged(
            m.target, baselines[m.target].target if m.target in baselines else None, means_of[m.target], apart[m.target],
            of_all, lengths.get(m.target),
            tuple(bars(m.target, manifest, {**cells[m.target], **means_of[m.target]}, apart[m.target], compared)),
        )
        for m, of_all in zip(present, undelivered, strict=True)
    )  # fmt: skip


def scorers_of(there: Set[str], manifest: Mapping[str, Any]) -> list[str]:
    """The scorers in the order of the workload, the one it is summed up by first; `weighted` among them where it asks for it."""
    listed = [one["name"] for one in manifest.get("scorers") or []]
    names = [name for name in listed if name in there] + sorted(there - set(listed))
    workload = manifest.get("workload") or {}
    chosen = (workload.get("aggregate") or {}).get("metric")
    if names and WEIGHTED in {chosen, *(bar["metric"] for bar in workload.get("pass") or [])}:
        names.append(WEIGHTED)
    return sorted(names, key=lambda name: name != chosen)


def _values(target: str, name: str, names: Sequence[str], said: Scored, manifest: Mapping[str, Any]) -> Floats:
    if name != WEIGHTED:
        return said.of(target, name)
    weights = {one["name"]: float(one.get("weight", 1.0)) for one in manifest.get("scorers") or []}
    above, below = np.zeros(1), np.zeros(1)
    for scorer in names:
        if scorer != WEIGHTED:
            values, weight = said.of(target, scorer), weights.get(scorer, 1.0)
            above = above + weight * np.nan_to_num(values)
            below = below + weight * ~np.isnan(values)
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def _mean(measured: Measured, values: Floats) -> Cell:
    known = ~np.isnan(values)
    if not known.any():
        return Cell(None, None, None, 0, None, "", "share", ("it judged no reply",))
    values, frame = values[known], those(measured.frame, known, "block", "cluster")
    alike = [compact(group) for group in groupings(frame)]
    mean = float(values.mean())
    if np.isin(values, (0.0, 1.0)).all() or np.ptp(values) == 0:
        interval = shares.wilson(min(1.0, max(0.0, mean)), means.n_eff(values, alike))
        method = "Wilson, n_eff by case source and block"
    else:
        interval = means.mean_interval(values, alike)
        method = "mean, n_eff by case source and block"
    low, high = (None if end is None else min(1.0, max(0.0, end)) for end in (interval.low, interval.high))
    return Cell(mean, low, high, len(values), interval.n_eff, method, "share", too_few_warnings(measured.blocks))


def _difference(a: Measured, b: Measured, values: Mapping[str, Floats]) -> Cell:
    """b less a over the pairs that the scorer judged on both sides."""
    in_a, in_b = paired_rows(a, b)
    left, right = values[a.target][in_a], values[b.target][in_b]
    known = ~np.isnan(left) & ~np.isnan(right)
    if not known.any():
        return Cell(None, None, None, 0, None, "", "points", ("no request was judged for both",))
    left, right = left[known], right[known]
    alike = [compact(group[in_a][known]) for group in groupings(a.frame)]
    gaps = right - left
    if np.isin(gaps, (-1.0, 0.0, 1.0)).all():
        interval = means.paired_difference(left, right, alike).interval()
        method = "Tango's paired score, n_eff by case source and block"
    else:
        interval = means.mean_interval(gaps, alike)
        method = "mean of paired differences, n_eff by case source and block"
    return Cell(
        float(gaps.mean()), interval.low, interval.high, len(gaps), interval.n_eff, method, "points",
        too_few_warnings(count_of(alike[0])),
    )  # fmt: skip


def _undelivered(measured: Measured, said: Scored) -> dict[str, Cell]:
    """Shares of all requests that ended refused, filtered or truncated."""
    blocks, few = codes(measured.frame, "block"), too_few_warnings(measured.blocks)
    made = {}
    for name in UNDELIVERED:
        hits = said.ended(measured.target, name).astype(np.float64)
        effective = means.n_eff(hits, [blocks])
        ends = shares.clopper_pearson(float(hits.mean()), effective)
        made[name] = Cell(float(hits.mean()), ends.low, ends.high, len(hits), effective,
                          "Clopper-Pearson, n_eff by block", "share", few)  # fmt: skip
    return made


def bars(
    target: str,
    manifest: Mapping[str, Any],
    cells: Mapping[str, Cell],
    apart: Mapping[str, Cell],
    compared: Sequence[Comparison],
) -> list[Bar]:
    """The workload's `pass`, each with its word: met or missed where the whole interval says so, else open."""
    found = []
    for bar in (manifest.get("workload") or {}).get("pass") or []:
        metric, margin = bar["metric"], bar.get("margin")
        own = cells.get(metric)
        if bar.get("min") is not None:
            found.append(Bar(f"{metric} at least {bar['min'] * 100:g} %", _word(own, low=bar["min"])))
        if bar.get("max") is not None:
            found.append(Bar(f"{metric} at most {bar['max'] * 100:g} %", _word(own, high=bar["max"])))
        if margin is not None and apart:  # the baseline is not held against itself
            beside: Cell | Comparison | None = apart.get(metric)
            if metric == "quality":
                beside = next((c for c in compared if (c.target, c.metric) == (target, metric)), None)
            words = f"{metric} no more than {margin * 100:g} points below the baseline"
            found.append(Bar(words, _word(beside, low=-margin)))
    return found


def _word(cell: Cell | Comparison | None, low: float = -math.inf, high: float = math.inf) -> BarWord:
    """Whether the interval lies within the limits, outside, or on both sides of one."""
    if cell is None or cell.value is None:
        return "unknown"
    least, most = -math.inf if cell.low is None else cell.low, math.inf if cell.high is None else cell.high
    if low <= least and most <= high:
        return "met"
    return "missed" if most < low or least > high else "open"


def lengths(baselines: Mapping[str, Measured], targets: Sequence[Measured], seed: int) -> dict[str, Cell]:
    """Output tokens over the baseline's, by target: of the requests that both answered."""

    def one(measured: Measured) -> Cell | None:
        base = baselines.get(measured.target)
        if base is None:
            return None
        both = pairs(base, measured)
        there = both["ok_a"].astype(bool) & both["ok_b"].astype(bool)
        there &= both["output_tokens_a"].notna() & both["output_tokens_b"].notna()
        known = those(both, there, "output_tokens_a", "output_tokens_b", "block")
        if len(known) == 0 or not float(known["output_tokens_a"].sum()) > 0:
            return None
        return of_sums(floats(known, "output_tokens_b"), floats(known, "output_tokens_a"),
                       *folded(codes(known, "block")), seed, "ratio", [])  # fmt: skip

    found = in_threads(one, targets, sum(m.n for m in targets))
    return {m.target: cell for m, cell in zip(targets, found, strict=True) if cell is not None}


def drift(baselines: Mapping[str, Measured], found: Mapping[str, Cell]) -> list[str]:
    """Targets whose replies are shorter or longer than the baseline's by more than a tenth."""
    off: dict[str, list[str]] = {}
    for target, cell in found.items():
        if cell.value is not None and not DRIFT[0] <= cell.value <= DRIFT[1]:
            shown = figure(cell.value, cell.low, cell.high, "ratio")
            off.setdefault(baselines[target].target, []).append(f"{target} {shown.text}× ({shown.interval})")
    return [
        f"output length is not within {DRIFT[0] * 100:g} to {DRIFT[1] * 100:g} % of {base}'s over the same requests: "
        f"{', '.join(said)}; E2E and cost are not like for like, compare TTFT and TPOT"
        for base, said in off.items()
    ]
