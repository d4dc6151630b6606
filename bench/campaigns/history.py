"""What latencies are like, for planning: assumptions that are stated, or what stored runs hold.

Rows tell how alike neighbours are, requests of one run, and requests of one day: the percentiles of each target, and the
correlations that bench/campaigns/design.py reckons with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.campaigns import design
from bench.campaigns.design import Assumed, Figure
from bench.errors import CannotRun, ConfigError, Problem
from bench.metrics import BY_NAME, PROBABILITY
from bench.stats.comparisons import QUANTILES
from bench.stats.measured import Measured, floats, select
from bench.stats.quantiles import Floats, Ints
from bench.store.runs import Run
from bench.yamlfile import parse_duration_ns

METRICS: Mapping[str, str] = {**QUANTILES, "e2e_p99_ms": "e2e", "tpot_p50_ms": "tpot"}
"""The quantiles of the headline, and the column of `Measured.frame` behind each."""


def assumptions(text: str | None) -> Assumed:
    """`p50=800ms,sigma=0.6,rho=0.3` over the defaults. Raises ConfigError with all that is wrong."""
    most = {"sigma": 5.0, "tail": 0.4, "factor": 1000.0, "rho": 0.99, "hour": 1.0, "day": 1.0, "pair": 0.95,
            "pair_tail": 0.95}  # fmt: skip
    given: dict[str, float] = {}
    problems = []
    for part in (text or "").split(",") if text else []:
        key, _, value = (piece.strip() for piece in part.partition("="))
        try:
            if key == "p50":
                given["p50_ms"] = parse_duration_ns(value) / 1e6
                wrong = given["p50_ms"] <= 0
            elif key in most:
                given[key] = float(value)
                least = 1.0 if key == "factor" else 0.01 if key == "sigma" else 0.0
                wrong = not least <= given[key] <= most[key]
            else:
                problems.append(Problem("command line", "--assume", key, f"p50, {', '.join(most)}"))
                continue
        except ValueError:
            wrong = True
        if wrong:
            want = "a duration, e.g. p50=800ms" if key == "p50" else f"a number up to {most[key]:g}, e.g. {key}=0.3"
            problems.append(Problem("command line", f"--assume {key}", value or "nothing", want))
    if problems:
        raise ConfigError(problems)
    made = replace(Assumed(), **given)
    if made.day > made.hour:
        raise ConfigError([Problem("command line", "--assume day", f"{made.day:g}",
                                   f"at most hour, {made.hour:g}: an hour has all that its day has in common")])  # fmt: skip
    return made


def assumed_figures(assumed: Assumed) -> list[Figure]:
    return [assumed.figure(name, PROBABILITY[BY_NAME[name].statistic]) for name in METRICS]


def history_figures(history: Sequence[Run], assumed: Assumed) -> list[Figure]:
    """Every headline quantile of every target of these runs, with how alike their rows are. Raises CannotRun without rows."""
    parts: dict[str, list[tuple[int, str, Measured]]] = {}
    for number, run in enumerate(history):
        day = str(run.manifest.get("started", number))[:10]
        for measured in select(run.requests, run.scores, run.manifest).targets:
            if measured.ok:
                parts.setdefault(measured.target, []).append((number, day, measured))
    if not parts:
        raise CannotRun(
            "the runs given with --from hold no answered request", "give others, or assume: --assume p50=800ms"
        )
    figures = []
    for name, column in METRICS.items():
        p = PROBABILITY[BY_NAME[name].statistic]
        told = {target: rows for target, found in parts.items() if (rows := _rows(found, column)) is not None}
        pair = _pair(list(told.values()), p)
        for target, (values, keys, runs, days) in told.items():
            block = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
            guess = assumed.figure(name, p).pair if pair is None else pair
            figures.append(design.known(name, p, values, (block, runs, days), guess, assumed, target))
    return figures


_Rows = tuple[Floats, Ints, Ints, Ints]


def _rows(parts: Sequence[tuple[int, str, Measured]], column: str) -> _Rows | None:
    """Values, (run, block) of each, run codes and day codes."""
    days = {day: code for code, day in enumerate(sorted({day for _, day, _ in parts}))}
    values, keys, runs, of_day = [], [], [], []
    for number, day, measured in parts:
        frame = measured.frame[measured.frame[column].notna()]
        n = len(frame)
        values.append(floats(frame, column))
        keys.append(np.column_stack([np.full(n, number), floats(frame, "block_id").astype(np.int64)]))
        runs.append(np.full(n, number))
        of_day.append(np.full(n, days[day]))
    if sum(len(part) for part in values) < 2 or not np.isfinite(np.concatenate(values)).any():
        return None
    return np.concatenate(values), np.concatenate(keys), np.concatenate(runs), np.concatenate(of_day)


def _pair(targets: Sequence[_Rows], p: float) -> float | None:
    """The weakest correlation of the first target's block sums with another's, over common blocks; within 0..0.95."""
    sums = []
    for values, keys, _, _ in targets:
        at = np.sort(values)[max(1, math.ceil(len(values) * p - 1e-9)) - 1]
        blocks, codes = np.unique(keys, axis=0, return_inverse=True)
        total = np.bincount(codes.reshape(-1), weights=(values <= at) - p)
        sums.append({(int(run), int(block)): float(x) for (run, block), x in zip(blocks, total, strict=True)})
    found = []
    for other in sums[1:]:
        common = sorted(sums[0].keys() & other.keys())
        one, two = ([side[key] for key in common] for side in (sums[0], other))
        if len(common) >= 3 and np.ptp(one) > 0 and np.ptp(two) > 0:
            found.append(float(np.clip(np.corrcoef(one, two)[0, 1], 0.0, 0.95)))
    return min(found) if found else None
