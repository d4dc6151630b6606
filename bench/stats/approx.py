"""A table of any number of rows in one pass and a fixed memory: latency by histograms, shares and costs by exact sums.

Pairs are of blocks, not of requests: a request that one target did not get counts for the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from bench.metrics import BY_NAME, METRICS, PROBABILITY, figure, plural
from bench.stats import drafts, means, proof, ratios, residue, shares, sketch, slo
from bench.stats.cells import BOOTSTRAP, FEW_BLOCKS, LATENCY, NO_LIMITS, resamples, too_few
from bench.stats.comparisons import QUANTILES, Draft, evidence, finish
from bench.stats.counted import GROUPS, Chunked, Counted, count
from bench.stats.exploratory import blank
from bench.stats.notes import carried, method, reasons
from bench.stats.ordered import Stored
from bench.stats.quantiles import Floats, Interval
from bench.stats.scale import proofs
from bench.stats.special import normal_quantile, t_cdf, t_inflation, t_quantile
from bench.stats.table import check_baseline, columns_of, comparison_columns, stopped_early
from bench.stats.tally import ROW_FIELDS
from bench.stats.types import Cell, Row, Table
from bench.stats.verdicts import MARGINS

METHOD = f"histogram (±{sketch.ALPHA:.1%}), n_eff by block"
WARNING = f"from a histogram: values are within ±{sketch.ALPHA:.1%} of the exact ones"
SLACK = 2 * sketch.ALPHA
"""On the log of a ratio: either side may be off by its error."""


def build(
    requests: Chunked, attempts: Stored, scores: Chunked, manifest: Mapping[str, Any], baseline: str | None = None
) -> Table:
    """The table, approximately: every figure says how far off it may be."""
    limits = slo.limits_ms((manifest.get("workload") or {}).get("slo") or {})
    counted = count(requests, scores, manifest, limits)
    check_baseline(baseline, counted.targets)
    seed = int(manifest.get("seed") or 0)
    margins = {**MARGINS, **(manifest.get("margins") or {})}
    about = {one["id"]: one for one in manifest.get("targets") or []}
    rows = tuple(_row(counted, t, about.get(name) or {}, seed, limits) for t, name in enumerate(counted.targets))
    compared = tuple(finish(_drafts(counted, rows, baseline, seed, margins)))
    workload = manifest.get("workload") or {}
    proved = proofs(attempts)
    origin = "due times of the plan (open loop)" if counted.from_due else "first sends (closed loop)"
    notes = [
        f"{requests.rows:,} rows, read once into histograms by block: {WARNING.removeprefix('from a histogram: ')}; "
        f"ranks, shares, costs and counts are exact, over at most {GROUPS} groups of neighbouring blocks",
        f"TTFT and E2E count from the {origin}, retries and waits included; a failed request is infinitely slow",
        "pairs are of blocks, not of requests; system tokens/s and the course over time are not told from histograms",
        *_outcomes(counted),
        *method(compared),
        *reasons(compared),
        *carried(counted.targets, manifest),
        *proof.near_limits(counted.targets, proved),
        *(note for name in ROW_FIELDS for note in _differing(counted, name)),
        *(f"{plural(n, 'row')} {why}: left out" for why, n in counted.left_out.items() if n),
    ]
    few = [too_few(n) for n in sorted({row.blocks for row in rows if 0 < row.blocks < FEW_BLOCKS})]
    models = ", ".join(dict.fromkeys(row.model for row in rows if row.model))
    return Table(
        title=" · ".join(part for part in (workload.get("title") or workload.get("name") or "", models) if part),
        run_id=str(manifest.get("run_id") or ""), columns=columns_of(bool(limits)), rows=rows, comparisons=compared,
        answers=_answers(rows), alarms=(*proof.strangers(counted.targets, proved), *few, *_alarms(counted)), notes=tuple(notes),
        instrument=residue.instrument([], manifest), command=str(manifest.get("command") or ""),
        run_folder=str(manifest.get("run_folder") or ""), simulated=bool(manifest.get("simulated")),
        partial=stopped_early(manifest), comparison_columns=comparison_columns(compared),
    )  # fmt: skip


# ---------------------------------------------------------------- the figures


def _row(counted: Counted, t: int, about: Mapping[str, Any], seed: int, limits: Mapping[str, float]) -> Row:
    n, blocks = int(counted.by_block["n"][t].sum()), int((counted.by_block["n"][t] > 0).sum())
    spent = Decimal(f"{counted.by_block['cost'][t].sum():.6f}") if counted.by_block["priced"][t].any() else None
    cells = _cells(counted, t, seed, limits) if n else {}
    why = "not told from histograms" if n else "nothing was measured"
    if n and not limits:
        cells |= {
            name: Cell(None, None, None, 0, None, "", BY_NAME[name].unit, (NO_LIMITS,))
            for name in ("goodput_per_s", "within_slo_share")
        }
    made = {m.name: cells.get(m.name) or Cell(None, None, None, 0, None, "", m.unit, (why,)) for m in METRICS}
    return Row(counted.targets[t], str(about.get("model") or ""), str(about.get("provider") or ""), about.get("region"),
               n, blocks, spent, made)  # fmt: skip


def _histogram(counted: Counted, t: int, column: str, ok_only: bool) -> sketch.Counts:
    counts = counted.histograms[column][t]
    return sketch.without_failures(counts) if ok_only else counts


def _cells(counted: Counted, t: int, seed: int, limits: Mapping[str, float]) -> dict[str, Cell]:
    sums = {name: values[t] for name, values in counted.by_block.items()}
    blocks = int((sums["n"] > 0).sum())
    few = (too_few(blocks),) if blocks < FEW_BLOCKS else ()
    made = {}
    for name, (column, ok_only) in LATENCY.items():
        counts = _histogram(counted, t, column, ok_only)
        if sketch.without_failures(counts).sum() == 0 and (ok_only or sums["ok"].any()):
            continue
        found = sketch.quantile(counts, PROBABILITY[BY_NAME[name].statistic])
        ends = found.interval()
        low = None if ends.low is None else ends.low * (1 - sketch.ALPHA)
        high = None if ends.high is None else ends.high * (1 + sketch.ALPHA)
        made[name] = Cell(found.estimate, low, high, found.n, ends.n_eff, METHOD, BY_NAME[name].unit, (WARNING, *few))
    counted_shares = {"ok_share": "ok", "first_ok_share": "first_ok"} | (
        {"within_slo_share": "within"} if limits else {}
    )
    for name, column in counted_shares.items():
        share, effective = _share(sums[column], sums["n"])
        ends = shares.clopper_pearson(share, effective)
        made[name] = Cell(share, ends.low, ends.high, int(sums["n"].sum()), effective, "Clopper-Pearson, n_eff by block",
                          "share", few)  # fmt: skip
    sources = {name: values[t] for name, values in counted.by_source.items()}
    for name, column, of in (("quality", "right", "judged"), ("quality_answered", "right_ok", "judged_ok")):
        if sums["judged_ok"].any():
            both = [_share(one[column], one[of]) for one in (sums, sources)]
            share, effective = min(both, key=lambda found: found[1])
            ends = shares.wilson(share, effective)
            made[name] = Cell(share, ends.low, ends.high, int(sums[of].sum()), effective,
                              "Wilson, n_eff by case source and block", "share", few)  # fmt: skip
    if sums["ok"].sum() and sums["ok_priced"].sum() / sums["ok"].sum() >= 0.9:
        made |= _costs(sums, sources, blocks, seed, few)
    if sums["content_events"].sum() > 0:
        made["same_read_share"] = _ratio(
            sums["same_read_events"], sums["content_events"], sums["n"], None, seed, "share", few
        )
    return made


def _share(hits: Floats, sizes: Floats) -> tuple[float, float]:
    """A share of ones over groups, and how many independent rows it is worth."""
    n, k = float(sizes.sum()), int((sizes > 0).sum())
    share = min(1.0, float(hits.sum()) / n)
    return share, n / _effect(hits, sizes, share, n * share * (1 - share), k)


def _effect(totals: Floats, sizes: Floats, mean: float, independent: float, k: int) -> float:
    """The design effect of `bench.stats.means`, from sums by group."""
    effect = 1.0
    if k >= 2 and independent > 1e-12:
        effect = max(1.0, k / (k - 1) * float(((totals - mean * sizes) ** 2).sum()) / independent)
    return effect * t_inflation(0.95, k)


def _costs(
    sums: Mapping[str, Floats], sources: Mapping[str, Floats], blocks: int, seed: int, few: tuple[str, ...]
) -> dict[str, Cell]:
    n = float(sums["priced"].sum())
    mean = float(sums["cost"].sum()) / n
    squares = max(0.0, float(sums["cost2"].sum()) - n * mean * mean)
    effect = max(
        _effect(one["cost"], one["priced"], mean, squares, int((one["priced"] > 0).sum())) for one in (sums, sources)
    )
    half = normal_quantile(0.975) * math.sqrt(squares / max(1.0, n - 1) / (n / effect)) * 1000
    bounded = blocks >= 2
    made = {"usd_per_1k": Cell(mean * 1000, max(0.0, mean * 1000 - half) if bounded else None,
                               mean * 1000 + half if bounded else None, int(n), n / effect,
                               "mean, n_eff by case source and block", "USD", few)}  # fmt: skip
    if sums["judged_ok"].any() and sums["both_right"].sum() > 0:
        usd, right = sums["both_cost"], sums["both_right"]
        value = float(usd.sum() / right.sum())
        # of cost - value x right, row by row, right being 0 or 1
        squares = float((sums["both_cost2"] - 2 * value * sums["right_cost"] + value * value * right).sum())
        made["usd_per_correct"] = _ratio(usd, right, sums["n"], squares, seed, "USD", few)
    return made


def _ratio(
    above: Floats, below: Floats, n: Floats, squares: float | None, seed: int, unit: str, few: tuple[str, ...]
) -> Cell:
    """A ratio of sums with its block bootstrap; `squares` is the sum over rows of (above - ratio x below) squared."""
    value, k, count = float(above.sum() / below.sum()), int((n > 0).sum()), int(n.sum())
    ends = ratios.expanded_interval(ratios.sums_ratio(above, below, resamples(len(n), seed)), value, k)
    n_eff = None if squares is None else count / _effect(above - value * below, np.zeros(len(n)), 0.0, squares, k)
    return Cell(value, ends.low, ends.high, count, n_eff, BOOTSTRAP, unit, few)


# ---------------------------------------------------------------- comparisons


def _drafts(
    counted: Counted, rows: Sequence[Row], baseline: str | None, seed: int, margins: Mapping[str, float]
) -> list[Draft]:
    made: list[Draft] = []
    for model in dict.fromkeys(row.model for row in rows):
        group = [t for t, row in enumerate(rows) if row.model == model]
        base = next((t for t in group if rows[t].target == baseline), group[0])
        for other in group:
            if other != base:
                made += [_latency(counted, base, other, name, margins) for name in QUANTILES]
                made += [
                    _quality(counted, base, other, margins["quality"]),
                    _cost(counted, rows, base, other, seed, margins),
                ]
    return made


def _latency(counted: Counted, a: int, b: int, name: str, margins: Mapping[str, float]) -> Draft:
    statistic, column = BY_NAME[name].statistic, QUANTILES[name]
    row = blank(counted.targets[a], counted.targets[b], name, "latency", margins[statistic])
    both = [counted.histograms[column][t] for t in (a, b)]
    if not all(counts.sum() for counts in both):
        return drafts.nothing(row, "not known")
    qa, qb = (sketch.quantile(counts, PROBABILITY[statistic]) for counts in both)
    return drafts.of_quantiles(
        row, qa, qb, min(qa.n, qb.n), f"log-MOVER of histograms (±{SLACK:.1%}), block correlation", SLACK
    )


def _quality(counted: Counted, a: int, b: int, margin: float) -> Draft:
    """By blocks that both were judged in: the difference of shares, with a t interval over blocks."""
    row = blank(counted.targets[a], counted.targets[b], "quality", "quality", margin)
    right, judged = counted.by_block["right"], counted.by_block["judged"]
    common = (judged[a] > 0) & (judged[b] > 0)
    k = int(common.sum())
    if k < 2 or not (counted.by_block["judged_ok"][a].any() and counted.by_block["judged_ok"][b].any()):
        return drafts.nothing(row, "not judged in enough common blocks")
    share = [float(right[t][common].sum() / judged[t][common].sum()) for t in (a, b)]
    residuals = [
        (right[t] - s * judged[t])[common] / judged[t][common].sum() for t, s in zip((a, b), share, strict=True)
    ]
    n = int(min(judged[t][common].sum() for t in (a, b)))
    difference, spread = share[1] - share[0], math.sqrt(k / (k - 1) * float(((residuals[1] - residuals[0]) ** 2).sum()))
    if spread == 0:
        low, high = means.PairedShares(n, 0.0, 0.0).interval()
        return Draft(replace(row, value=difference, low=low, high=high, n=n, blocks=k, method="no variation", p_raw=1.0),
                     evidence(difference, Interval(low, high, n), Interval(low, high, n), margin, k))  # fmt: skip
    at_95, at_90 = (
        Interval(difference - half, difference + half, n)
        for half in (spread * t_quantile(1 - tail, k - 1) for tail in (0.025, 0.05))
    )
    p = 2 * t_cdf(-abs(difference) / spread, k - 1)
    outside = t_cdf((abs(difference) - margin) / spread, k - 1)
    row = replace(
        row,
        value=difference,
        low=at_95.low,
        high=at_95.high,
        n=n,
        blocks=k,
        method="paired blocks, t interval",
        p_raw=p,
        p_equivalence=outside,
    )
    return Draft(row, evidence(difference, at_95, at_90, margin, k))


def _cost(counted: Counted, rows: Sequence[Row], a: int, b: int, seed: int, margins: Mapping[str, float]) -> Draft:
    judged = all(rows[t].cells["usd_per_correct"].value is not None for t in (a, b))
    name = "usd_per_correct" if judged else "usd_per_1k"
    row = blank(counted.targets[a], counted.targets[b], name, "cost", margins["cost"])
    if any(rows[t].cells[name].value is None for t in (a, b)):
        return drafts.nothing(row, "the cost is not known")
    above, below = ("both_cost", "both_right") if judged else ("cost", "priced")
    sums = [(counted.by_block[above][t], counted.by_block[below][t]) for t in (a, b)]
    if not all(part.sum() > 0 for pair in sums for part in pair):
        return drafts.nothing(row, "a target answered nothing right, or cost nothing")
    count = len(sums[0][0])
    drawn = []
    with np.errstate(divide="ignore"):
        drawn = [np.log(ratios.sums_ratio(usd, per, resamples(count, seed))) for usd, per in sums]
    estimate = math.log(sums[1][0].sum() / sums[1][1].sum()) - math.log(sums[0][0].sum() / sums[0][1].sum())
    estimate = 0.0 if abs(estimate) < 1e-9 else estimate
    differences = drawn[1] - drawn[0]
    differences = np.where(np.abs(differences) < 1e-9, 0.0, differences)[~np.isnan(differences)]
    common = int(((counted.by_block["n"][a] > 0) & (counted.by_block["n"][b] > 0)).sum())
    p = ratios.sums_ratio_p(sums[0], sums[1], differences, common)
    n = min(rows[a].n, rows[b].n)
    return drafts.of_sums(row, estimate, differences, p, common, n, "paired block bootstrap of sums")


# ---------------------------------------------------------------- in words


def _answers(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    known = [(cell.value, row) for row in rows if (cell := row.cells["ttft_p50_ms"]).value is not None]
    if not known:
        return (("which cloud", "not known"),)
    value, row = min(known, key=lambda pair: pair[0])
    cell = row.cells["ttft_p50_ms"]
    shown = figure(cell.value, cell.low, cell.high, cell.unit)
    said = "no target answered half of its requests" if math.isinf(value) else (
        f"fastest first token: {row.target}, {shown.text} ms at p50 ({shown.interval})"
    )  # fmt: skip
    return (("which cloud", said), ("how sure", f"{sum(r.n for r in rows):,} requests; {WARNING}"))


def _outcomes(counted: Counted) -> list[str]:
    bad = []
    for name, found in zip(counted.targets, counted.census["outcome"], strict=True):
        words = ", ".join(f"{n} {word}" for word, n in sorted(found.items(), key=lambda one: -one[1]) if word != "ok")
        bad += [f"{name} {words}"] if words else []
    return ["not ok, and counted as infinitely slow and wrong: " + "; ".join(bad)] if bad else []


def _differing(counted: Counted, name: str) -> list[str]:
    of = dict(zip(counted.targets, counted.census[name], strict=True))
    return residue._about(name.replace("_", " "), counted.targets, lambda target: of[target])


def _alarms(counted: Counted) -> list[str]:
    said = []
    for t, name in enumerate(counted.targets):
        if n := counted.census["region_proof"][t].get("contradicted", 0):
            said.append(f"{name}: {n} replies contradict the region asked for")
        if counted.census["usage_source"][t].get("estimate"):
            said.append(f"{name}: token counts are estimates, not the provider's; TPOT, tok/s and cost rest on them")
    return said
