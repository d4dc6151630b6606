"""Which requests met the service level, one by one: what goodput counts.

The limits are those of the workload's `slo.goodput`. Where it has none, each bound on a percentile of TTFT, TPOT or E2E lends its
limit: that of the highest percentile, which is the one that nearly every request is meant to meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.stats.quantiles import Floats

Bools = npt.NDArray[np.bool_]

KINDS = ("ttft", "itl", "tpot", "e2e")
_NEED_TWO_TOKENS = {"itl", "tpot"}


def limits_ms(slo: Mapping[str, Any]) -> dict[str, float]:
    """The limit on a single request, in ms, by kind; empty without any. Durations in `slo` are ns."""
    goodput = slo.get("goodput") or {}
    asked = {kind: goodput[kind] / 1e6 for kind in KINDS if goodput.get(kind) is not None}
    if asked:
        return asked
    bounds = {kind: {name: ns for name, ns in (slo.get(kind) or {}).items() if ns is not None} for kind in KINDS}
    return {
        kind: of_kind[max(of_kind, key=lambda name: float(name[1:]))] / 1e6
        for kind, of_kind in bounds.items()
        if of_kind
    }


def within(
    limits: Mapping[str, float], values: Mapping[str, Floats], ok: Bools, output_tokens: Floats
) -> tuple[Floats, Bools]:
    """1 where a request ended ok inside every limit, else 0; and of which that cannot be known.

    A reply of one token has no gap to be slow. What else is not known counts as missed: nothing shows that it was met.
    """
    met, unknown = ok.copy(), np.zeros(len(ok), dtype=bool)
    for kind, limit in limits.items():
        missing = np.isnan(values[kind])
        if kind in _NEED_TWO_TOKENS:
            missing &= ~(output_tokens < 2)
            met &= ~(values[kind] > limit) & ~missing
        else:
            met &= values[kind] <= limit
        unknown |= ok & missing
    return met.astype(np.float64), unknown


def words(limits: Mapping[str, float]) -> str:
    """The limits as a reader writes them: TTFT 2000 ms, TPOT 80 ms."""
    return ", ".join(
        f"{'longest gap' if kind == 'itl' else kind.upper()} {limit:g} ms" for kind, limit in limits.items()
    )
