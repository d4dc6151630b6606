"""Figures for a production mix: the rows of each slice weigh what the mix says, whatever the workload sent.

A row of slice s weighs share_s / n_s, n_s being the rows of s that the figure has. Without weights a change of the mix looks
like a change of the vendor. What weights cost in certainty is reckoned in `bench.stats.weighting`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import yamlfile
from bench.errors import ConfigError, Problem
from bench.metrics import BY_NAME, METRICS, PROBABILITY, figure, plural
from bench.stats import drafts, means, ratios, shares
from bench.stats.cells import LATENCY, block_sums, cost_and_right, groupings, resamples
from bench.stats.comparisons import QUANTILES, Draft, evidence, finish, known_of, pairs
from bench.stats.exploratory import blank
from bench.stats.groups import count_of
from bench.stats.measured import Measured, Selection, codes, floats, select
from bench.stats.quantiles import Floats, Interval, Ints
from bench.stats.slices import BANDS, bands_of_cases, tags_of_cases
from bench.stats.special import normal_quantile, t_cdf
from bench.stats.types import Cell, Comparison, Table
from bench.stats.verdicts import MARGINS
from bench.stats.weighting import mean_n_eff, weighted_quantile
from bench.stats.windows import folded

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("version", "by", "shares")
_EXAMPLE = "by: tag:kind, shares: {lookup: 0.7, chain: 0.3}"


@dataclass(frozen=True, slots=True)
class Mix:
    """A production mix: shares of the values of one slice, which sum to 1."""

    name: str
    by: str
    shares: Mapping[str, float]


def load_mix(path: Path) -> Mix:
    """A mix from its file. Raises ConfigError with everything that is wrong in it."""
    loaded = yamlfile.load(path)
    data = loaded.data if isinstance(loaded.data, dict) else {}
    problems = [
        loaded.problem((key,), "an unknown key", f"one of {', '.join(KEYS)}") for key in data if key not in KEYS
    ]
    by, given = data.get("by"), data.get("shares")
    if data.get("version") != 1:
        problems.append(loaded.problem(("version",), str(data.get("version")), "1"))
    if not isinstance(by, str) or not (by == "input_tokens" or (by.startswith("tag:") and len(by) > 4)):
        problems.append(loaded.problem(("by",), str(by), "input_tokens or tag:NAME, e.g. by: tag:kind"))
    if not isinstance(given, dict) or not given:
        problems.append(loaded.problem(("shares",), str(given), f"a share for each value, e.g. {_EXAMPLE}"))
        raise ConfigError(problems)
    for name, share in given.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not (math.isfinite(share) and share > 0):
            problems.append(loaded.problem(("shares", name), str(share), "a number above 0, e.g. 0.25"))
        if by == "input_tokens" and name not in BANDS:
            problems.append(loaded.problem(("shares", name), name, f"a length band, one of {', '.join(BANDS)}"))
    if not problems and abs(sum(given.values()) - 1) > 0.001:
        problems.append(loaded.problem(("shares",), f"a sum of {sum(given.values()):g}", "shares that sum to 1"))
    if problems:
        raise ConfigError(problems)
    whole = sum(given.values())
    return Mix(path.name, str(by), {str(name): share / whole for name, share in given.items()})


@dataclass(frozen=True, eq=False)
class _Weigher:
    """Works on the column `slice`: the number of a row's slice in the order of the mix, -1 for those it does not name."""

    mix: Mix

    def only(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of slices that the mix names."""
        named = frame["slice"] >= 0
        return frame if named.all() else frame[named]

    def counts(self, frame: pd.DataFrame) -> Ints:
        """Rows of each slice of the mix."""
        return np.bincount(frame["slice"].to_numpy(), minlength=len(self.mix.shares))

    def weights(self, frame: pd.DataFrame) -> Floats | None:
        """One per row, summing to the number of rows; None when a slice of the mix has no row here."""
        counts = self.counts(frame)
        if not counts.all():
            return None
        each: Floats = np.array(list(self.mix.shares.values())) / counts * len(frame)
        return np.asarray(each[frame["slice"].to_numpy()], dtype=np.float64)


def weighted(
    table: Table,
    requests: pd.DataFrame,
    scores: pd.DataFrame,
    manifest: Mapping[str, Any],
    mix: Mix,
    baseline: str | None = None,
) -> Table:
    """The table with every figure weighted to the mix. Raises ConfigError when a target has no row in a slice of it."""
    selection = select(requests, scores, manifest)
    slice_of_case, place = _slices(selection, manifest, mix), numbers(mix)
    targets = [
        replace(m, frame=m.frame.assign(
            slice=[place.get(slice_of_case.get(str(case), ""), -1) for case in m.frame["case_id"]]
        ).astype({"slice": np.int64}))
        for m in selection.targets
    ]  # fmt: skip
    return of_targets(table, targets, manifest, mix, baseline)


def numbers(mix: Mix) -> dict[str, int]:
    """The number of each slice of the mix."""
    return {name: n for n, name in enumerate(mix.shares)}


def of_targets(
    table: Table, sliced: Sequence[Measured], manifest: Mapping[str, Any], mix: Mix, baseline: str | None = None
) -> Table:
    """The same of targets whose frames have the columns of every figure that is weighted, and `slice` beside them."""
    weigher = _Weigher(mix)
    targets, left_out = _restricted(sliced, weigher)
    seed = int(manifest.get("seed") or 0)
    margins = {**MARGINS, **(manifest.get("margins") or {})}
    of_target = {m.target: m for m in targets}
    rows = tuple(
        replace(row, n=of_target[row.target].n, blocks=of_target[row.target].blocks,
                cells=_cells(of_target[row.target], weigher, seed, row.cells))
        for row in table.rows
    )  # fmt: skip
    compared = tuple(finish(_drafts(targets, weigher, baseline, seed, margins)))
    said = ", ".join(f"{name} {share:.3g}" for name, share in mix.shares.items())
    notes = [f"weighted to {mix.name} ({mix.by}: {said}); n counts rows, n_eff what they are worth under these weights"]
    if left_out:
        notes.append(f"{plural(left_out, 'request')} in slices that {mix.name} does not name: left out")
    return replace(
        table,
        title=f"{table.title} · weighted to {mix.name}",
        rows=rows,
        comparisons=compared,
        answers=_answers(rows, compared, mix),
        notes=(*notes, *(note for note in table.notes if not note.startswith("inconclusive"))),
        hint="",
        comparison_columns=tuple(name for name in table.comparison_columns if any(c.metric == name for c in compared)),
    )


def _slices(selection: Selection, manifest: Mapping[str, Any], mix: Mix) -> dict[str, str]:
    if mix.by == "input_tokens":
        return {} if selection.rows is None else bands_of_cases(selection.rows)
    return tags_of_mix(manifest, mix)


def tags_of_mix(manifest: Mapping[str, Any], mix: Mix) -> dict[str, str]:
    """The slice of every case by the mix's tag. Raises ConfigError with the tags that there are."""
    found = tags_of_cases(manifest, mix.by.removeprefix("tag:"))
    if not found:
        names = sorted({name for tags in (manifest.get("tags") or {}).values() for name in tags})
        have = ", ".join(f"tag:{name}" for name in names) or "no tags at all"
        raise ConfigError([Problem(mix.name, "by", mix.by, f"a tag that the cases of these runs have: {have}")])
    return found


def _restricted(sliced: Sequence[Measured], weigher: _Weigher) -> tuple[list[Measured], int]:
    problems, targets, left_out = [], [], 0
    for measured in sliced:
        frame = weigher.only(measured.frame)
        left_out += measured.n - len(frame)
        counts = weigher.counts(frame)
        if measured.n:
            where, want = weigher.mix.name, "a mix of slices that were sent"
            problems += [
                Problem(where, f"shares.{name}", f"no row of {measured.target} in that slice", want)
                for name, n in zip(weigher.mix.shares, counts, strict=True)
                if not n
            ]
        targets.append(replace(measured, frame=frame))
    if problems:
        raise ConfigError(problems)
    return targets, left_out


_NOT_WEIGHTED = "not weighted: it is a figure of the run as it was sent"


def _cells(measured: Measured, weigher: _Weigher, seed: int, plain: Mapping[str, Cell]) -> dict[str, Cell]:
    if measured.n == 0:
        return dict(plain)
    made = {name: _quantile(measured, name, weigher, plain[name]) for name in LATENCY}
    made["ok_share"] = _share(measured, "ok_share", "ok", weigher, plain, alike_blocks=True)
    made["first_ok_share"] = _share(measured, "first_ok_share", "first_ok", weigher, plain, alike_blocks=True)
    if plain["within_slo_share"].value is not None:
        made["within_slo_share"] = _share(measured, "within_slo_share", "within", weigher, plain, alike_blocks=True)
    made["quality"] = _share(measured, "quality", "right", weigher, plain)
    answered = replace(measured, frame=measured.frame[measured.frame["ok"]])
    made["quality_answered"] = _share(answered, "quality_answered", "right", weigher, plain)
    made["usd_per_1k"] = _usd_per_1k(measured, weigher, plain["usd_per_1k"])
    made["usd_per_correct"] = _usd_per_correct(measured, weigher, seed, plain["usd_per_correct"])
    return {m.name: made.get(m.name) or _unknown(plain[m.name], _NOT_WEIGHTED) for m in METRICS}


def _unknown(plain: Cell, why: str) -> Cell:
    return replace(plain, value=None, low=None, high=None, n=0, n_eff=None, method="", warnings=(why,))


def _known(measured: Measured, column: str, weigher: _Weigher) -> tuple[pd.DataFrame, Floats | None]:
    frame = measured.frame[measured.frame[column].notna()]
    return frame, weigher.weights(frame) if len(frame) else None


_HOLE = "a slice of the mix has no row with this figure"


def _quantile(measured: Measured, name: str, weigher: _Weigher, plain: Cell) -> Cell:
    column, ok_only = LATENCY[name]
    if plain.value is None:
        return plain
    one = replace(measured, frame=measured.frame[measured.frame["ok"]]) if ok_only else measured
    frame, weights = _known(one, column, weigher)
    if weights is None:
        return _unknown(plain, _HOLE)
    p = PROBABILITY[BY_NAME[name].statistic]
    found = weighted_quantile(floats(frame, column), weights, codes(frame, "block"), p)
    interval = found.interval()
    return replace(plain, value=found.estimate, low=interval.low, high=interval.high, n=len(frame),
                   n_eff=interval.n_eff, method="weighted order statistic, n_eff by block and weight")  # fmt: skip


def _share(
    measured: Measured, name: str, column: str, weigher: _Weigher, plain: Mapping[str, Cell], alike_blocks: bool = False
) -> Cell:
    if plain[name].value is None:
        return plain[name]
    frame, weights = _known(measured, column, weigher)
    if weights is None:
        return _unknown(plain[name], _HOLE)
    alike = [codes(frame, "block")] if alike_blocks else groupings(frame)
    share, _, n_eff = mean_n_eff(floats(frame, column), weights, alike)
    share = min(1.0, max(0.0, share))
    interval = shares.clopper_pearson(share, n_eff) if alike_blocks else shares.wilson(share, n_eff)
    method = ("Clopper-Pearson" if alike_blocks else "Wilson") + ", weighted, n_eff by group and weight"
    return replace(
        plain[name], value=share, low=interval.low, high=interval.high, n=len(frame), n_eff=n_eff, method=method
    )


def _usd_per_1k(measured: Measured, weigher: _Weigher, plain: Cell) -> Cell:
    if plain.value is None:
        return plain
    frame, weights = _known(measured, "cost", weigher)
    if weights is None:
        return _unknown(plain, _HOLE)
    mean, variance, n_eff = mean_n_eff(floats(frame, "cost") * 1000, weights, groupings(frame))
    half = normal_quantile(0.975) * math.sqrt(variance / n_eff)
    bounded = measured.blocks >= 2
    return replace(plain, value=mean, low=max(0.0, mean - half) if bounded else None, high=mean + half if bounded else None,
                   n=len(frame), n_eff=n_eff, method="weighted mean, n_eff by group and weight")  # fmt: skip


def _usd_per_correct(measured: Measured, weigher: _Weigher, seed: int, plain: Cell) -> Cell:
    if plain.value is None or math.isinf(plain.value):
        return plain
    frame, weights = measured.frame, weigher.weights(measured.frame)
    if weights is None:
        return _unknown(plain, _HOLE)
    usd, right = cost_and_right(frame)
    blocks, count = folded(codes(frame, "block"))
    above, below = block_sums(usd * weights, blocks, count), block_sums(right * weights, blocks, count)
    if below.sum() == 0:
        return _unknown(plain, "nothing was answered right in these slices")
    value = float(above.sum() / below.sum())
    interval = ratios.expanded_interval(ratios.sums_ratio(above, below, resamples(count, seed)), value, count)
    return replace(plain, value=value, low=interval.low, high=interval.high, n=len(frame),
                   method="weighted sums, block bootstrap, expanded percentiles")  # fmt: skip


def _drafts(
    targets: Sequence[Measured], weigher: _Weigher, baseline: str | None, seed: int, margins: Mapping[str, float]
) -> list[Draft]:
    made: list[Draft] = []
    for model in dict.fromkeys(m.model for m in targets):
        group = [m for m in targets if m.model == model]
        base = next((m for m in group if m.target == baseline), group[0])
        for other in group:
            if other is not base:
                both = pairs(base, other)
                made += [_latency(base, other, both, name, weigher, margins) for name in QUANTILES]
                made += [_better(base, other, both, weigher, margins["quality"])]
                made += [_cheaper(base, other, both, weigher, seed, margins["cost"])]
    return made


def _weights_of(both: pd.DataFrame, column: str, weigher: _Weigher) -> tuple[pd.DataFrame, Floats | None]:
    known = known_of(both, column)
    return known, weigher.weights(known) if len(known) else None


_NO_PAIRS = "a slice of the mix has no request that both answered"


def _latency(
    a: Measured, b: Measured, both: pd.DataFrame, name: str, weigher: _Weigher, margins: Mapping[str, float]
) -> Draft:
    column, statistic = QUANTILES[name], BY_NAME[name].statistic
    row = blank(a.target, b.target, name, "latency", margins[statistic])
    known, weights = _weights_of(both, column, weigher)
    if weights is None:
        return drafts.nothing(row, _NO_PAIRS)
    blocks = codes(known, "block")
    qa, qb = (weighted_quantile(floats(known, f"{column}_{s}"), weights, blocks, PROBABILITY[statistic]) for s in "ab")
    return drafts.of_quantiles(row, qa, qb, len(known), "log-MOVER of weighted order statistics, block correlation")


def _better(a: Measured, b: Measured, both: pd.DataFrame, weigher: _Weigher, margin: float) -> Draft:
    row = blank(a.target, b.target, "quality", "quality", margin)
    known, weights = _weights_of(both, "right", weigher)
    if weights is None:
        return drafts.nothing(row, _NO_PAIRS)
    delta, alike = floats(known, "right_b") - floats(known, "right_a"), groupings(known)
    difference, variance, n_eff = mean_n_eff(delta, weights, alike)
    worth = [n_eff * float((weights * (delta == sign)).sum() / weights.sum()) for sign in (-1.0, 1.0)]
    paired = means.PairedShares(n_eff, *worth)
    at_95, at_90 = (Interval(*paired.interval(conf), n_eff) for conf in (0.95, 0.90))
    p = means.mcnemar_exact(round(worth[1]), round(worth[0]))
    if variance > 0:
        z = abs(worth[1] - worth[0]) / math.sqrt(sum(worth))
        p = max(p, 2 * t_cdf(-z, max(1, min(count_of(g) for g in alike) - 1)))
    blocks = count_of(alike[0])
    row = replace(row, value=difference, low=at_95.low, high=at_95.high, n=len(known), n_eff=n_eff, blocks=blocks,
                  method="Tango's paired score on weighted shares", p_raw=p,
                  p_equivalence=ratios.equivalence_p(paired.interval, margin))  # fmt: skip
    return Draft(row, evidence(difference, at_95, at_90, margin, blocks))


def _cheaper(a: Measured, b: Measured, both: pd.DataFrame, weigher: _Weigher, seed: int, margin: float) -> Draft:
    judged = bool((both["right_a"].notna() & both["right_b"].notna()).any())
    row = blank(a.target, b.target, "usd_per_correct" if judged else "usd_per_1k", "cost", margin)
    priced = all(m.ok and float(m.frame.loc[m.frame["ok"], "cost"].notna().mean()) >= 0.9 for m in (a, b))
    weights = weigher.weights(both) if len(both) else None
    if not priced or weights is None:
        return drafts.nothing(row, _NO_PAIRS if priced else "the cost is not known")
    blocks, count = folded(codes(both, "block"))
    sums = []
    for side in "ab":
        one = both[[f"cost_{side}", f"right_{side}"]].set_axis(["cost", "right"], axis=1)
        if not judged:
            one = one.assign(right=one["cost"].notna().astype("float64"))
        sums.append([block_sums(values * weights, blocks, count) for values in cost_and_right(one)])
    if not all(part.sum() > 0 for side in sums for part in side):
        return drafts.nothing(row, "a target answered nothing right, or cost nothing")
    (usd_a, per_a), (usd_b, per_b) = sums
    estimate = math.log(usd_b.sum() / per_b.sum()) - math.log(usd_a.sum() / per_a.sum())
    estimate = 0.0 if abs(estimate) < 1e-9 else estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.log(ratios.sums_ratio(usd_b, per_b, resamples(count, seed))) - np.log(
            ratios.sums_ratio(usd_a, per_a, resamples(count, seed))
        )
    drawn = np.where(np.abs(drawn) < 1e-9, 0.0, drawn)[~np.isnan(drawn)]
    p = ratios.sums_ratio_p((usd_a, per_a), (usd_b, per_b), drawn, count)
    return drafts.of_sums(row, estimate, drawn, p, count, len(both), "paired block bootstrap of weighted sums")


def _answers(rows: Sequence[Any], compared: Sequence[Comparison], mix: Mix) -> tuple[tuple[str, str], ...]:
    """The leader by the weighted median, without a claim: the verdicts are in the comparisons."""
    known = [
        row for row in rows if row.cells["ttft_p50_ms"].value is not None and row.cells["ttft_p50_ms"].value < math.inf
    ]
    if not known:
        return (("which cloud", "not known"),)
    first = min(known, key=lambda row: row.cells["ttft_p50_ms"].value)
    cell = first.cells["ttft_p50_ms"]
    shown = figure(cell.value, cell.low, cell.high, cell.unit)
    settled = sum(c.verdict != "inconclusive" for c in compared)
    return (
        (
            "which cloud",
            f"fastest first token under {mix.name}: {first.target}, {shown.text} ms at p50 ({shown.interval})",
        ),
        ("how sure", f"{settled} of {len(compared)} weighted comparisons settled, 95 % intervals"),
    )
