"""What our own instrument did during a run: for the manifest, and whether the run is a measurement at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from bench.conductor.measure import Measured

REQUEST_COLUMNS = ("phase", "outcome", "lateness_ms", "ttft_ms")
"""All that is read of the requests here."""
LATENESS_LIMIT_MS = 10.0
LATENESS_SHARE = 0.01
"""A run whose own lateness at p99 is above 10 ms and above 1 % of the median TTFT is no measurement."""
SLEPT_LIMIT_S = 1.0
"""A machine that was suspended for longer while it measured has lost that time: its clock stood still."""


def slept_s(before_ns: int | None, after_ns: int | None) -> float | None:
    """How long the machine was suspended between two readings of `clock.asleep_ns`; None where that cannot be told."""
    return None if before_ns is None or after_ns is None else (after_ns - before_ns) / 1e9


def facts(measured: Measured, asleep_before_ns: int | None, asleep_after_ns: int | None) -> dict[str, Any]:
    """Event loop lag, GC pauses, CPU, memory, where the stamps came from, and whether the machine was suspended."""
    return {
        **measured.lag,
        "cpu_s": measured.cpu_ns / 1e9,
        "wall_s": measured.wall_ns / 1e9,
        "rss_mb": measured.rss_mb,
        "stamps": dict(measured.stamps),
        "suspended_s": slept_s(asleep_before_ns, asleep_after_ns),
    }


def lateness_ms(requests: pd.DataFrame) -> dict[str, float | int | None]:
    """How late we sent what was due, over the measured rows; None in a closed loop, where nothing is due."""
    late = np.sort(requests.loc[requests["phase"] == "measure", "lateness_ms"].dropna().to_numpy(dtype=np.float64))
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    if not len(late):
        return {**dict.fromkeys(at), "n": 0}
    found = {name: float(np.quantile(late, p, method="inverted_cdf")) for name, p in at.items()}
    return {**found, "n": len(late)}


def faults(requests: pd.DataFrame, segments: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """Why the run is no measurement, judged by what `facts` says of each segment of it and by our own columns."""
    if not bool((requests["outcome"] == "ok").any()):
        return [
            f"no request was answered; the reasons are in {folder / 'attempts.parquet'} (fault_code, fault_message)"
        ]
    slept = [(segment.get("instrument") or {}).get("suspended_s") for segment in segments]
    found = [
        f"this machine was suspended for {seconds:.1f} s while it measured: its clock stood still"
        for seconds in slept
        if seconds is not None and seconds > SLEPT_LIMIT_S
    ]
    p99 = lateness_ms(requests)["p99"]
    ttft = requests.loc[requests["phase"] == "measure", "ttft_ms"].dropna()
    limit = max(LATENESS_LIMIT_MS, LATENESS_SHARE * float(ttft.median()) if not ttft.empty else 0.0)
    if p99 is not None and p99 > limit:
        found.append(
            f"we sent late: lateness p99 {p99:.1f} ms is above {limit:.1f} ms; the machine could not keep the plan"
        )
    return found
