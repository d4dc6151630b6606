"""What money figures are ratios of: two amounts per request, and when they are known. `bench.stats.cells` makes the cells.

Cost is that of all tries of a request, as far as it is known; what judges cost is never a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.stats.quantiles import Floats

if TYPE_CHECKING:
    import pandas as pd

INPUT_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
STORED = ("cost_usd", "cost_output_usd", "cost_reasoning_usd", "cost_retries_usd", "unpriced_attempts", *INPUT_TOKENS)
"""The stored columns that money figures are made of."""
COLUMNS = ("usd_in", "tokens_in", "usd_out", "usd_reasoning", "usd_retries", "unpriced")
"""What `derived` makes of them beside the cost: columns of `Measured.frame`."""
NOT_ITEMISED = "costs were not stored by class; bench price RUN tells them"
NO_SUCCESS = "no request was right and within the slo"

Two = tuple[Floats, Floats]
Stored = Callable[[str], Floats]
"""Reads a stored column; what it gives is not to be changed."""


def cost(usd: Floats, retries_usd: Floats) -> Floats:
    """Of all tries: unknown where the final one's is, and without those before it that nobody knows."""
    return usd if np.isnan(retries_usd).all() else usd + np.nan_to_num(retries_usd)


def derived(stored: Stored) -> dict[str, Floats]:
    """The columns of COLUMNS from the stored ones, which `stored` reads; NaN is not known."""
    found = {name: values for make in PARTS.values() for name, values in make(stored).items()}
    return found | {"unpriced": stored("unpriced_attempts")}


def _of_input(stored: Stored) -> dict[str, Floats]:
    """A class of input that a door does not report is none, where the cost is known."""
    out = stored("cost_output_usd")
    if np.isnan(out).all():
        return {"usd_in": out, "tokens_in": out}
    given = stored("cost_usd") - out
    del out
    # what a subtraction of two floats leaves behind is no cost: sums of amounts that are zero are zero
    given[(given < 1e-15) & (given > -1e-15)] = 0.0
    tokens = np.where(np.isnan(given), np.nan, 0.0)
    for name in INPUT_TOKENS:
        values = stored(name)
        np.add(tokens, values, out=tokens, where=~np.isnan(values))
    return {"usd_in": given, "tokens_in": tokens}


PARTS: Mapping[str, Callable[[Stored], dict[str, Floats]]] = {
    "usd_per_1m_input": _of_input,
    "usd_per_1m_output": lambda stored: {"usd_out": stored("cost_output_usd")},
    "reasoning_cost_share": lambda stored: {"usd_reasoning": stored("cost_reasoning_usd")},
    "retried_cost_share": lambda stored: {"usd_retries": stored("cost_retries_usd")},
}
"""The columns of each figure that no other one is made of."""


def _column(frame: pd.DataFrame, name: str) -> Floats:
    return np.asarray(frame[name].to_numpy(), dtype=np.float64)


def _per_million(usd: str, tokens: str) -> Callable[[pd.DataFrame], Two]:
    return lambda frame: (_column(frame, usd) * 1e6, _column(frame, tokens))


def _share(name: str) -> Callable[[pd.DataFrame], Two]:
    return lambda frame: (_column(frame, name), _column(frame, "cost"))


def _of_failures(frame: pd.DataFrame) -> Two:
    usd = _column(frame, "cost")
    return np.where(frame["ok"], 0.0, usd), usd


def per_success(frame: pd.DataFrame, side: str = "") -> Two:
    """Cost, and whether the request was right and within every limit of the slo; `side` is the suffix in a frame of pairs."""
    return _column(frame, f"cost{side}"), _column(frame, f"right{side}") * _column(frame, f"within{side}")


RATIOS: Mapping[str, Callable[[pd.DataFrame], Two]] = {
    "usd_per_1m_input": _per_million("usd_in", "tokens_in"),
    "usd_per_1m_output": _per_million("usd_out", "output_tokens"),
    "usd_per_success": per_success,
    "failed_cost_share": _of_failures,
    "retried_cost_share": _share("usd_retries"),
    "reasoning_cost_share": _share("usd_reasoning"),
}
"""Above and below of each figure, row by row; a row of which either is not known adds nothing to either."""

NOTHING: Mapping[str, str] = {
    "usd_per_1m_input": "no input tokens",
    "usd_per_1m_output": "no output tokens",
    "failed_cost_share": "nothing was spent",
    "retried_cost_share": "nothing was spent",
    "reasoning_cost_share": "nothing was spent",
}
"""Why a figure is not known when what stands below is nothing."""

UNKNOWN: Mapping[str, str] = {
    "usd_per_1m_input": NOT_ITEMISED,
    "usd_per_1m_output": NOT_ITEMISED,
    "usd_per_success": "no score",
    "failed_cost_share": "no cost is known",
    "retried_cost_share": NOT_ITEMISED,
    "reasoning_cost_share": "the replies do not say how many of their tokens were reasoning",
}
"""Why it is not known when no row has both."""
