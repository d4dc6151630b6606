"""What every scorer said of each row, read from the stored columns one scorer at a time; labels, from their reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.stats import labels
from bench.stats.groups import Floats
from bench.stats.labels import Labelled, Places
from bench.stats.ordered import Big, Bools, Ordered, Stored, is_word
from bench.stats.quality import Scored

Targets = npt.NDArray[np.int16]
RowOf = Callable[[int, Targets, Big], Places]


def of_columns(rows: Ordered, scores: Stored) -> tuple[Scored, Labelled | None]:
    """The scores in the order of the rows, and how each request ended; and the labels, where there are any."""
    outcome, outcomes = rows.requests.words("outcome")
    ended = rows.put(outcome)
    known = {name: t for t, name in enumerate(rows.names)}

    def ended_as(target: str, word: str) -> Bools:
        return is_word(ended[rows.of(known[target])], outcomes, word)

    if scores.rows == 0:
        return Scored(frozenset(), lambda *_: np.zeros(0), ended_as), None
    _, scorers = scores.words("scorer")
    row_of = _rows_by_number(rows)

    @lru_cache(maxsize=1)
    def by_row(scorer: str) -> Floats:
        said = np.full(rows.n, np.nan)
        for run, chunk in scores.chunks(("seq", "value"), ("target", "scorer")):
            of, names = chunk["target"]
            codes, words = chunk["scorer"]
            mine = is_word(codes, words, scorer) & ~np.isnan(chunk["value"])
            at = row_of(run, _numbers(names, known)[of[mine]], chunk["seq"][mine].astype(np.int64))
            said[at[at >= 0]] = chunk["value"][mine][at >= 0]
        said[~rows.ok] = np.nan
        return said

    said = Scored(frozenset(scorers), lambda target, scorer: by_row(scorer)[rows.of(known[target])], ended_as)
    return said, _labelled(rows, scores, known, row_of)


def _numbers(names: Sequence[str], known: Mapping[str, int]) -> Targets:
    return np.array([known.get(name, -1) for name in names] or [-1], np.int16)


_UNSEEN = -2


def _labelled(rows: Ordered, scores: Stored, known: Mapping[str, int], row_of: RowOf) -> Labelled | None:
    """The labels in the order of the rows: of each a number, for what was said with what is right."""
    if labels.SCORER_TYPE not in scores.words("scorer_type")[1]:
        return None
    pairs, pair = labels.Pairs(), np.full(rows.n, _UNSEEN, np.int32)
    for run, chunk in scores.chunks(("seq", "value"), ("target", "scorer_type"), texts=("reason",)):
        (of, names), (kind, kinds), (said, reasons) = (chunk[name] for name in ("target", "scorer_type", "reason"))
        mine = np.flatnonzero(is_word(kind, kinds, labels.SCORER_TYPE) & ~np.isnan(chunk["value"]))
        at = row_of(run, _numbers(names, known)[of[mine]], chunk["seq"][mine].astype(np.int64))
        new = at >= 0
        new[new] = pair[at[new]] == _UNSEEN
        at, said = at[new], said[mine][new]
        used = np.unique(said[said >= 0])
        number = np.full(len(reasons) + 1, -1, np.int32)
        number[used] = pairs.of(reasons.take(used).to_pylist())
        pair[at[::-1]] = number[said[::-1]]  # of several label scorers the first counts
    pair[~rows.ok | (pair < 0)] = -1
    return Labelled(lambda target: pair[rows.of(known[target])], pairs)


def _rows_by_number(rows: Ordered) -> RowOf:
    """Of a run, targets and numbers of the plan: where their rows stand; -1 where there is none of that target.

    Numbers are those of a whole plan, so a run needs one place for each; where targets share numbers, each target does.
    """
    number: Places | Big = rows.number
    width, targets = int(number.max(initial=0)) + 1, len(rows.names)
    target = np.repeat(np.arange(targets, dtype=np.int16), np.diff(rows.edges))
    here = np.arange(rows.n, dtype=np.int32)
    runs = int(rows.run.max(initial=0)) + 1
    if runs > 1:
        number = number + rows.run * np.int64(width)
    place = np.full(runs * width, -1, np.int32)
    place[number] = here
    if shared := not np.array_equal(place[number], here):
        number = number + (rows.run * np.int64(targets - 1) + target) * width
        place = np.full(runs * targets * width, -1, np.int32)
        place[number] = here

    def row_of(run: int, of: Targets, numbers: Big) -> Places:
        at = (run * targets + of.astype(np.int64) if shared else run) * width + numbers
        there = (of >= 0) & (numbers < width) & (at < len(place))
        found = np.where(there, place[np.where(there, at, 0)], -1)
        return np.where((found >= 0) & (target[found] == of), found, -1)

    return row_of
