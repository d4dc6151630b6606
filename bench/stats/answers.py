"""The first screen's three answers: which cloud, how sure, what price.

The leader is chosen by looking at all targets, so its lead over another is only called proven when it survives a
correction for every pair there is, not just for the pairs looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.metrics import figure, plural, roughly
from bench.stats.comparisons import Draft, cost_draft, pairs, quantile_draft
from bench.stats.measured import Measured
from bench.stats.quantiles import requests_to_bound
from bench.stats.threads import in_threads
from bench.stats.types import Cell, Comparison, Row
from bench.stats.verdicts import ALPHA, MIN_BLOCKS


def answers(
    targets: Sequence[Measured],
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    seed: int,
    margins: Mapping[str, float],
) -> tuple[tuple[str, str], ...]:
    by_model: dict[str, list[Measured]] = {}
    for measured in targets:
        by_model.setdefault(measured.model, []).append(measured)
    cells = {row.target: row.cells for row in rows}
    said = []
    for model, group in by_model.items():
        suffix = f" ({model})" if len(by_model) > 1 else ""
        said.append(("which cloud" + suffix, _which(group, cells, margins)))
        said.append(("how sure" + suffix, _sure(group, cells, comparisons)))
        said.append(("what price" + suffix, _price(group, cells, seed, margins)))
    return tuple(said)


def _which(group: Sequence[Measured], cells: Mapping[str, Mapping[str, Cell]], margins: Mapping[str, float]) -> str:
    def lead(a: Measured, b: Measured) -> Draft:
        return quantile_draft(a, b, pairs(a, b), "ttft_p50_ms", margins)

    return _ranked(group, cells, "ttft_p50_ms", lead=lead, what="fastest first token", beaten_word="slower")


def _price(
    group: Sequence[Measured], cells: Mapping[str, Mapping[str, Cell]], seed: int, margins: Mapping[str, float]
) -> str:
    judged = any(cells[m.target]["usd_per_correct"].value is not None for m in group)
    name = "usd_per_correct" if judged else "usd_per_1k"

    def lead(a: Measured, b: Measured) -> Draft:
        return cost_draft(a, b, pairs(a, b), seed, margins)

    what = "cheapest correct answer" if judged else "cheapest 1,000 requests"
    text = _ranked(group, cells, name, lead=lead, what=what, beaten_word="costlier")
    unpriced = [m.target for m in group if cells[m.target][name].value is None and m.n]
    if len(unpriced) == len([m for m in group if m.n]):
        return "unknown: " + "; ".join(sorted({w for t in unpriced for w in cells[t][name].warnings}) or ["no price"])
    return f"{text}; unknown: {', '.join(unpriced)}" if unpriced else text


def _ranked(
    group: Sequence[Measured],
    cells: Mapping[str, Mapping[str, Cell]],
    name: str,
    *,
    lead: Callable[[Measured, Measured], Draft],
    what: str,
    beaten_word: str,
) -> str:
    """Who leads in a lower-is-better metric, whom it provably beats, and whom it cannot be told from."""
    known = sorted(
        ((cell.value, measured) for measured in group if (cell := cells[measured.target][name]).value is not None),
        key=lambda pair: pair[0] or 0.0,
    )
    if not known:
        return "nothing was measured" if not any(m.n for m in group) else "not known"
    value, leader = known[0]
    cell = cells[leader.target][name]
    shown = figure(cell.value, cell.low, cell.high, cell.unit)
    if value == math.inf:
        return "no target answered half of its requests" if cell.unit == "ms" else "no target answered anything right"
    amount = f"${shown.text} ({shown.interval})" if cell.unit == "USD" else f"{shown.text} ms at p50 ({shown.interval})"
    text = f"{what}: {leader.target}, {amount}"
    if len(known) == 1:
        return text + ("" if len(group) > 1 else "; one target only, nothing to compare")
    beaten: list[str] = []
    unclear: list[str] = []
    all_pairs = len(group) * (len(group) - 1) / 2
    others = [other for _, other in known[1:]]
    drafts = in_threads(partial(lead, leader), others, sum(m.n for m in group))
    for other, draft in zip(others, drafts, strict=True):
        p = draft.row.p_raw
        proven = p is not None and p * all_pairs <= ALPHA and draft.row.blocks >= MIN_BLOCKS
        (beaten if proven else unclear).append(other.target)
    if beaten:
        text += f"; {beaten_word}: {_names(beaten)}"
    if unclear:
        text += f"; cannot be told from it: {_names(unclear)}"
    return text


def _names(targets: Sequence[str]) -> str:
    return ", ".join(targets) if len(targets) <= 8 else f"{', '.join(targets[:7])} and {len(targets) - 7} more"


def _sure(group: Sequence[Measured], cells: Mapping[str, Mapping[str, Cell]], comparisons: Sequence[Comparison]) -> str:
    ns, blocks = sorted({m.n for m in group}), sorted({m.blocks for m in group})
    parts = [f"{_range(ns, 'request')} in {_range(blocks, 'block')} per target, 95 % intervals"]
    names = {m.target for m in group}
    family = [c for c in comparisons if c.primary and c.target in names]
    if family:
        settled = [c for c in family if c.verdict != "inconclusive"]
        parts.append(f"{len(settled)} of {len(family)} comparisons with {family[0].baseline} settled")
    if family and max(c.blocks for c in family) < MIN_BLOCKS:
        parts.append(f"no verdict on fewer than {MIN_BLOCKS} blocks")
    open_ended = [m for m in group if (cell := cells[m.target]["ttft_p99_ms"]).value is not None and cell.high is None]
    if open_ended:
        parts.append(
            "p99 not bounded above"
            + ("" if len(open_ended) == len(group) else f" for {_names([m.target for m in open_ended])}")
        )
    return "; ".join(parts)


def _range(values: Sequence[int], noun: str) -> str:
    return plural(values[0], noun) if len(values) == 1 else f"{values[0]:,} to {plural(values[-1], noun)}"


def p99_hint(group: Sequence[Measured], cells: Mapping[str, Mapping[str, Cell]]) -> str:
    """Which load would bound p99, and which would pin it to 10 %, from the design effects seen."""
    known = [(m, cell) for m in group if (cell := cells[m.target]["ttft_p99_ms"]).value is not None and cell.n_eff]
    if not known:
        return ""
    effect = max(cell.n / cell.n_eff for _, cell in known if cell.n_eff)
    needed, within_10 = requests_to_bound(0.99, effect), 25_000 * effect
    have = min(m.n for m, _ in known)
    failing = [m.target for m, cell in known if cell.value == math.inf]
    parts = []
    if have < needed and len(failing) < len(known):
        parts.append(f"about {roughly(needed):,} requests per target (--requests), in many blocks, would bound p99")
    if have < within_10:
        parts.append(f"about {roughly(within_10):,} would pin it to ±10 %")
    if failing:
        parts.append(f"failures decide p99 for {_names(failing)}: no load would bound it")
    return "; ".join(parts)
