"""Some of the rows of a stored table, to be read as a table of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.stats.groups import Floats
from bench.stats.ordered import Big, Bools, Codes, Stored, Width


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of `whole` that are kept, in their order. Words are numbered as they first occur among these."""

    whole: Stored
    keep: Bools
    _placed: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = field(default_factory=list, init=False)

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        ends = np.cumsum((0, *self.whole.counts))
        return tuple(int(self.keep[a:b].sum()) for a, b in pairwise(ends))

    def floats(
        self, name: str, place: npt.NDArray[np.int32] | None = None, kept: int = 0, dtype: Width = np.float64
    ) -> Floats:
        if place is None:
            return self.whole.floats(name, dtype=dtype)[self.keep]
        return self.whole.floats(name, self._of_whole(place, kept), kept, dtype)

    def _of_whole(self, place: npt.NDArray[np.int32], kept: int) -> npt.NDArray[np.int32]:
        """Where each row of the whole goes; many columns are put at the same places."""
        for known, wide in tuple(self._placed):
            if known is place:
                return wide
        wide = np.full(len(self.keep), kept, np.int32)
        wide[self.keep] = place
        self._placed[:] = [(place, wide)]
        return wide

    def ints(self, name: str, null: int = -1) -> Big:
        return self.whole.ints(name, null)[self.keep]

    def flags(self, name: str) -> Bools:
        return self.whole.flags(name)[self.keep]

    def words(self, name: str) -> tuple[Codes, list[str]]:
        codes, names = self.whole.words(name)
        codes = codes[self.keep]
        first = np.full(len(names) + 1, -1)  # the last is of null, which has no number
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        there = np.flatnonzero(first[:-1] >= 0)
        there = there[np.argsort(first[there])]
        number = np.full(len(names) + 1, -1, codes.dtype)
        number[there] = np.arange(len(there))
        return number[codes], [names[code] for code in there]

    def run_codes(self) -> npt.NDArray[np.int32]:
        return self.whole.run_codes()[self.keep]

    def has(self, name: str) -> bool:
        return self.whole.has(name)

    def unknown(self, name: str) -> bool:
        return self.whole.unknown(name)

    def bounds(self, name: str) -> tuple[float, float, int] | None:
        """What holds of all rows holds of these; the values may lie closer together."""
        said = self.whole.bounds(name)
        if said is None or said[2] not in (0, self.whole.rows):
            return None
        return said[0], said[1], self.rows if said[2] else 0

    def chunks(
        self,
        floats: Sequence[str] = (),
        words: Sequence[str] = (),
        flags: Sequence[str] = (),
        texts: Sequence[str] = (),
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        begin, coded = 0, {*words, *texts}
        for run, chunk in self.whole.chunks(floats, words, flags, texts):
            name, column = next(iter(chunk.items()))
            count = len(column[0] if name in coded else column)
            keep = self.keep[begin : begin + count]
            begin += count
            yield (
                run,
                {
                    name: (column[0][keep], column[1]) if name in coded else column[keep]
                    for name, column in chunk.items()
                },
            )
