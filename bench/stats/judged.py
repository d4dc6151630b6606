"""Which replies were judged, and right: one byte for each number of the plan, target and run, however many scores there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.stats.groups import Floats
from bench.stats.ordered import Stored

_RIGHT, _WRONG = 1, 2
"""Wrong is the larger, and the larger stays: the order of the scores does not matter."""


_READ = (("seq", "value"), ("target", "scorer"))


def _width(scores: Stored) -> int:
    said = scores.bounds("seq")
    return (int(said[1]) if said is not None else int(scores.ints("seq").max())) + 1


@dataclass(frozen=True, eq=False)
class Judged:
    state: npt.NDArray[np.int8]
    runs: int
    width: int
    notes: tuple[str, ...] = ()
    """Required scorers that had nothing to say on some replies."""

    @classmethod
    def of(cls, scores: Stored, names: Sequence[str], manifest: Mapping[str, Any]) -> Judged:
        if scores.rows == 0:
            return cls(np.zeros(0, np.int8), 1, 1)
        return cls._filled(scores.chunks(*_READ), max(1, len(scores.counts)), _width(scores), names, manifest)

    @classmethod
    def by_run(cls, scores: Stored, names: Sequence[str], manifest: Mapping[str, Any]) -> Iterator[Judged]:
        """One for every run in turn, each in the memory of one: for rows that are read in the same order."""
        if scores.rows == 0:
            yield from repeat(cls(np.zeros(0, np.int8), 1, 1))
            return
        width, last = _width(scores), None
        for run, chunks in groupby(scores.chunks(*_READ), key=lambda found: found[0]):
            for _ in range(run - (-1 if last is None else last) - 1):
                yield cls(np.zeros((len(names) + 1) * width, np.int8), 1, width)
            yield cls._filled(((0, chunk) for _, chunk in chunks), 1, width, names, manifest)
            last = run
        yield from repeat(cls(np.zeros((len(names) + 1) * width, np.int8), 1, width))

    @classmethod
    def _filled(
        cls, chunks: Iterable[tuple[int, Any]], runs: int, width: int, names: Sequence[str], manifest: Mapping[str, Any]
    ) -> Judged:
        listed = manifest.get("scorers") or []
        required = {one["name"] for one in listed if one.get("required")} or {one["name"] for one in listed}
        state = np.zeros((len(names) + 1) * runs * width, np.int8)
        place = {name: t for t, name in enumerate(names)}
        silent: dict[str, list[int]] = {name: [0, 0] for name in required}
        for run, chunk in chunks:
            target, seen = chunk["target"]
            scorer, scorers = chunk["scorer"]
            value = chunk["value"]
            known = ~np.isnan(value)
            for code, name in enumerate(scorers):
                if required and name not in required:
                    continue
                mine = scorer == code
                counts = silent.setdefault(name, [0, 0])
                counts[0] += int((mine & ~known).sum())
                counts[1] += int(mine.sum())
                mine &= known
                of = np.array([place.get(target_name, len(names)) for target_name in seen] or [0], np.int64)[
                    target[mine]
                ]
                at = (of * runs + run) * width + chunk["seq"][mine].astype(np.int64)
                good = value[mine] >= 1 - 1e-9
                right = at[good]
                state[right] = np.maximum(state[right], _RIGHT)
                state[at[~good]] = _WRONG
        notes = tuple(
            f"scorer {name} did not apply to, or could not judge, {quiet} of {asked} replies"
            for name, (quiet, asked) in sorted(silent.items())
            if quiet
        )
        return cls(state, runs, width, notes)

    def of_rows(
        self, of: npt.NDArray[Any] | int, run: npt.NDArray[Any] | int, seq: npt.NDArray[Any], ok: npt.NDArray[np.bool_]
    ) -> Floats:
        """1 where every required scorer that applies gave full marks, 0 where one did not or the request failed, else NaN."""
        if len(self.state) == 0:
            return np.full(len(seq), np.nan)
        known = seq < self.width
        begin = (np.asarray(of, np.int64) * self.runs + run) * self.width
        found = self.state[begin + np.where(known, seq, 0).astype(np.int64)]
        right: Floats = np.array([np.nan, 1.0, 0.0])[found]
        right[~known] = np.nan
        right[~ok] = 0.0
        return right
