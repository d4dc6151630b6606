"""Macro-F1 and the share of invalid labels, from what each label score says was said and what is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.metrics import figure, plural
from bench.stats import means, shares
from bench.stats.cells import groupings, too_few
from bench.stats.measured import Measured
from bench.stats.quantiles import Floats, Ints
from bench.stats.types import Cell, Row

if TYPE_CHECKING:
    import pandas as pd

F1, INVALID = "label_macro_f1", "label_invalid_share"
SCORER_TYPE = "label"
READING = re.compile(r"^said (?P<said>[^\s;]+); gold (?P<gold>[^\s;]+)")
"""What a label score says in its reason; a test holds it equal to what the scorer writes."""
NO_LABEL = "(invalid)"
RESAMPLES = 1000
FEW_GROUPS = 10
FEW_OF_A_LABEL = 10
"""With fewer requests of a label, resamples that lack it altogether are common."""


def figures(targets: Sequence[Measured], scores: pd.DataFrame, seed: int) -> dict[str, dict[str, Cell]]:
    """Both figures for every target; none where no scorer of that type judged."""
    return {measured.target: _figures(measured, scores, seed) for measured in targets}


def _figures(measured: Measured, scores: pd.DataFrame, seed: int) -> dict[str, Cell]:
    found = _read(measured, scores)
    if found is None:
        return {}
    said, gold, frame = found
    groups = groupings(frame)
    few = (too_few(measured.blocks),) if measured.blocks < FEW_GROUPS else ()
    rare = int((np.unique(gold, return_counts=True)[1] < FEW_OF_A_LABEL).sum())
    thin = (f"fewer than {FEW_OF_A_LABEL} requests of {plural(rare, 'label')}: the interval is rough",) if rare else ()
    invalid = (said == NO_LABEL).astype(np.float64)
    effective = means.n_eff(invalid, groups)
    low_high = shares.clopper_pearson(float(invalid.mean()), effective)
    value = macro_f1(said, gold)
    low, high = _widest([_interval(said, gold, group, seed) for group in groups])
    return {
        F1: Cell(value, low, high, len(said), None, "bootstrap of case sources or blocks, percentiles", "share", (*few, *thin)),
        INVALID: Cell(float(invalid.mean()), low_high.low, low_high.high, len(said), effective,
                      "Clopper-Pearson, n_eff by case source and block", "share", few),
    }  # fmt: skip


def _read(measured: Measured, scores: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.DataFrame] | None:
    """What was said and what is right, with the rows they belong to; None when the target has no label scores."""
    if len(scores) == 0 or "scorer_type" not in scores or measured.n == 0:
        return None
    mine = scores[
        (scores["scorer_type"] == SCORER_TYPE) & (scores["target"] == measured.target) & scores["value"].notna()
    ]
    mine = mine.drop_duplicates(["run_id", "seq"])  # of several label scorers the first counts
    parts = mine["reason"].str.extract(READING)
    mine = mine[["run_id", "seq"]].assign(said=parts["said"], gold=parts["gold"]).dropna()
    frame = measured.frame[measured.frame["ok"]].merge(mine, on=["run_id", "seq"], how="inner")
    if len(frame) == 0:
        return None
    return frame["said"].to_numpy(str), frame["gold"].to_numpy(str), frame


def macro_f1(said: np.ndarray, gold: np.ndarray) -> float:
    """Mean of F1 = 2 hits / (said + gold) over the labels that are gold somewhere. A label said but never gold lowers the
    recall of others; it has no F1 of its own."""
    names, codes = np.unique(gold, return_inverse=True)
    hits = np.bincount(codes[said == gold], minlength=len(names))
    said_counts = np.array([(said == name).sum() for name in names])
    return float((2 * hits / (said_counts + np.bincount(codes, minlength=len(names)))).mean())


def _interval(said: np.ndarray, gold: np.ndarray, groups: Ints, seed: int) -> tuple[float, float] | None:
    """Percentiles of macro-F1 over resamples of whole groups. Labels that a resample lacks are left out of its mean."""
    count = int(groups.max()) + 1
    if count < 2:
        return None
    names, codes = np.unique(gold, return_inverse=True)
    position = {name: n for n, name in enumerate(names)}
    as_said = np.array([position.get(name, len(names)) for name in said])
    right = (as_said == codes).astype(np.float64)
    sums = [_by_group(groups, count, of, weights, len(names) + 1)
            for of, weights in ((codes, right), (as_said, None), (codes, None))]  # fmt: skip
    rng = np.random.default_rng([seed, count])
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
    hits, told, golds = (draws @ total[:, : len(names)] for total in sums)
    with np.errstate(invalid="ignore"):
        f1 = np.where(golds > 0, 2 * hits / (told + golds), np.nan)
    low, high = np.percentile(np.nanmean(f1, axis=1), [2.5, 97.5])
    return float(low), float(high)


def _widest(intervals: Sequence[tuple[float, float] | None]) -> tuple[float | None, float | None]:
    """The grouping that costs most is believed; one group bounds nothing."""
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None, None
    return max(known, key=lambda interval: interval[1] - interval[0])


def _by_group(groups: Ints, count: int, of: Ints, weights: Floats | None, width: int) -> Floats:
    """How often (or how much of) each label there is in each group: a row for a group, a column for a label."""
    flat = np.bincount(groups * width + of, weights=weights, minlength=count * width)
    return flat.reshape(count, width).astype(np.float64)


def notes(rows: Sequence[Row]) -> list[str]:
    """One line with both figures of every target that has them."""
    said = []
    for row in rows:
        cells: Mapping[str, Cell] = row.cells
        if cells[F1].value is None:
            continue
        f1, invalid = (figure(c.value, c.low, c.high, c.unit) for c in (cells[F1], cells[INVALID]))
        said.append(f"{row.target} macro-F1 {f1.text} % ({f1.interval}), invalid {invalid.text} % ({invalid.interval})")
    return [f"labels, of the requests that ended ok: {'; '.join(said)}"] if said else []
