"""Macro-F1 and the share of invalid labels, from what each label score says was said and what is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.metrics import figure, plural
from bench.stats import means, shares
from bench.stats.cells import groupings, too_few
from bench.stats.measured import Measured, those
from bench.stats.quantiles import Floats, Ints
from bench.stats.threads import in_threads
from bench.stats.types import Cell, Row
from bench.stats.windows import folded

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


Places = npt.NDArray[np.int32]


class Pairs:
    """What was said with what is right, each two of them numbered as they first occur."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], int] = {}

    def of(self, reasons: Iterable[str | None]) -> Places:
        """The number of what each reason tells; -1 where it tells nothing."""
        read = (READING.match(reason) if isinstance(reason, str) else None for reason in reasons)
        return np.array(
            [-1 if one is None else self.known.setdefault((one["said"], one["gold"]), len(self.known)) for one in read],
            np.int32,
        )


@dataclass(frozen=True, eq=False)
class Labelled:
    """The label scores, however they were read. `of(target)` has a number of `pairs` for each row of the target's frame: -1
    where no label was scored, or the request did not end ok."""

    of: Callable[[str], Places]
    pairs: Pairs


def labelled(targets: Sequence[Measured], scores: pd.DataFrame) -> Labelled | None:
    """From a data frame of scores.parquet; None where no scorer of that type judged."""
    if len(scores) == 0 or "scorer_type" not in scores:
        return None
    frames, key, pairs = {m.target: m.frame for m in targets}, ["run_id", "seq"], Pairs()
    mine = scores[(scores["scorer_type"] == SCORER_TYPE) & scores["value"].notna()]
    if len(mine) == 0:
        return None
    mine = mine.drop_duplicates(["target", *key])  # of several label scorers the first counts
    codes, reasons = mine["reason"].factorize()
    numbers = np.append(pairs.of(reasons), np.int32(-1))
    known = mine[["target", *key]].assign(pair=numbers[codes])

    def of(target: str) -> Places:
        frame = frames[target]
        found = frame[key].merge(known.loc[known["target"] == target, [*key, "pair"]], on=key, how="left")
        number = found["pair"].fillna(-1).to_numpy(np.int32)
        return np.where(frame["ok"].to_numpy(dtype=bool), number, np.int32(-1))

    return Labelled(of, pairs)


def figures(targets: Sequence[Measured], said: Labelled | None, seed: int) -> dict[str, dict[str, Cell]]:
    """Both figures for every target that has labels."""
    if said is None:
        return {}
    there = [m for m in targets if m.n]
    found = in_threads(lambda measured: _figures(measured, said, seed), there, sum(m.n for m in there))
    return {m.target: cells for m, cells in zip(there, found, strict=True)}


def _figures(measured: Measured, said: Labelled, seed: int) -> dict[str, Cell]:
    pair = said.of(measured.target)
    known = pair >= 0
    if not known.any():
        return {}
    pair, groups = pair[known], groupings(those(measured.frame, known, "block", "cluster"))
    pairs = list(said.pairs.known)
    labels = _Labels.of(pairs, np.bincount(pair, minlength=len(pairs)))
    few = (too_few(measured.blocks),) if measured.blocks < FEW_GROUPS else ()
    rare = int((labels.golds < FEW_OF_A_LABEL).sum())
    thin = (f"fewer than {FEW_OF_A_LABEL} requests of {plural(rare, 'label')}: the interval is rough",) if rare else ()
    invalid = np.array([float(one == NO_LABEL) for one, _ in pairs])[pair]
    share = float(invalid.mean())
    effective = means.n_eff(invalid, groups)
    low_high = shares.clopper_pearson(share, effective)
    low, high = _widest([_interval(pair, labels, group, seed) for group in groups])
    return {
        F1: Cell(labels.macro_f1(), low, high, len(pair), None, "bootstrap of case sources or blocks, percentiles", "share",
                 (*few, *thin)),
        INVALID: Cell(share, low_high.low, low_high.high, len(pair), effective,
                      "Clopper-Pearson, n_eff by case source and block", "share", few),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Labels:
    """The labels that are gold somewhere, numbered: by pair, which of them was said and which is right; by label, how often."""

    said_of: Ints
    """The number after the last for what is gold nowhere."""
    gold_of: Ints
    hits: Ints
    said: Ints
    golds: Ints

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], counts: Ints) -> _Labels:
        """`counts`: how often each pair is there."""
        names = sorted({gold for (_, gold), n in zip(pairs, counts, strict=True) if n})
        place = {name: n for n, name in enumerate(names)}
        said_of, gold_of = (np.array([place.get(two[side], len(names)) for two in pairs]) for side in (0, 1))
        right = np.where(said_of == gold_of, counts, 0)
        hits, said, golds = (
            np.bincount(of, weights=weights, minlength=len(names) + 1)[: len(names)].astype(np.int64)
            for of, weights in ((gold_of, right), (said_of, counts), (gold_of, counts))
        )
        return cls(said_of, gold_of, hits, said, golds)

    def macro_f1(self) -> float:
        """Mean of F1 = 2 hits / (said + gold) over the labels that are gold somewhere. A label said but never gold lowers the
        recall of others; it has no F1 of its own."""
        return float((2 * self.hits / (self.said + self.golds)).mean())


def macro_f1(pairs: Sequence[tuple[str, str]]) -> float:
    """Of what was said and what is right, request by request."""
    return _Labels.of(pairs, np.ones(len(pairs), np.int64)).macro_f1()


def _interval(pair: Places, labels: _Labels, groups: Ints, seed: int) -> tuple[float, float] | None:
    """Percentiles of macro-F1 over resamples of whole groups. Labels that a resample lacks are left out of its mean."""
    groups, count = folded(groups)
    if count < 2:
        return None
    width = len(labels.golds)
    right = (labels.said_of == labels.gold_of).astype(np.float64)[pair]
    sums = [_by_group(groups, count, of, weights, width + 1)
            for of, weights in ((labels.gold_of[pair], right), (labels.said_of[pair], None), (labels.gold_of[pair], None))
    ]  # fmt: skip
    rng = np.random.default_rng([seed, count])
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
    hits, told, golds = (draws @ total[:, :width] for total in sums)
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
