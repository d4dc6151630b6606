"""Pairs of two targets by one integer per row, for tables of millions of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PAIR_KEY = "pair"
"""Column of `Measured.frame`, ascending and without repeats: rows of two targets that share it are a pair."""
_BOTH = ("ttft", "e2e", "right", "cost", "ok")


def paired(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """What a comparison reads of the rows of both, columns ending in _a and _b; block and cluster are those of a."""
    import pandas as pd

    key_a, key_b = a[PAIR_KEY].to_numpy(), b[PAIR_KEY].to_numpy()
    if np.array_equal(key_a, key_b):
        at_a: np.ndarray | slice = slice(None)
        at_b: np.ndarray | slice = slice(None)
    else:
        place = np.searchsorted(key_b, key_a)
        place[place == len(key_b)] = max(0, len(key_b) - 1)
        hit = key_b[place] == key_a if len(key_b) else np.zeros(len(key_a), dtype=bool)
        at_a, at_b = np.flatnonzero(hit), place[hit]
    columns = {f"{name}_a": a[name].to_numpy()[at_a] for name in _BOTH}
    columns |= {f"{name}_b": b[name].to_numpy()[at_b] for name in _BOTH}
    columns |= {name: a[name].to_numpy()[at_a] for name in ("block", "cluster")}
    return pd.DataFrame(columns, copy=False)
