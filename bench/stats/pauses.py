"""A run that was continued has pauses in which nobody was asked: no figure may take them for slowness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.metrics import plural
from bench.stats.quantiles import Floats

if TYPE_CHECKING:
    import pandas as pd

STAMPS = (
    "due_ns",
    "sent_ns",
    "headers_ns",
    "first_byte_ns",
    "first_token_ns",
    "first_text_ns",
    "last_token_ns",
    "end_ns",
)


def closed_up(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with every segment moved up to the one before it: its first start falls on the last end until then.

    All stamps of a row move together, so no duration changes; what shrinks is the time between rows of two segments.
    Rows of a run that was never continued come back as they are.
    """
    lengths = pauses_ns(requests, manifest)
    if not lengths:
        return requests
    moved = requests.copy()
    mine = (requests["run_id"] == manifest.get("run_id")).to_numpy()
    places = moved_by(lengths, _stamps(requests, "sent_ns"), manifest["segments"])
    for name in STAMPS:
        moved[name] = np.where(mine, requests[name].astype("float64").to_numpy() - places, requests[name])
    return moved


def pauses_ns(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> list[float]:
    """For every segment but the first: how long nothing was under way before it. Empty for a run of one segment."""
    segments = manifest.get("segments") or []
    if len(segments) < 2:
        return []
    own = requests[requests["run_id"] == manifest.get("run_id")]
    return lengths_ns(_stamps(own, "due_ns"), _stamps(own, "sent_ns"), _stamps(own, "end_ns"), segments)


def _stamps(rows: pd.DataFrame, name: str) -> Floats:
    return np.asarray(rows[name].astype("float64").to_numpy(), dtype=np.float64)


def lengths_ns(due: Floats, sent: Floats, ends: Floats, segments: Sequence[Mapping[str, Any]]) -> list[float]:
    """As `pauses_ns`, from the stamps of one run."""
    of = _segment_of(sent, segments)
    starts: Floats = np.fmin(due, sent)
    lengths = []
    last = -np.inf
    for n in range(len(segments)):
        here = of == n
        gap = float(starts[here].min() - last) if here.any() else 0.0
        lengths.append(max(0.0, gap) if np.isfinite(gap) else 0.0)
        if here.any():
            last = max(last, float(ends[here].max()))
    return lengths[1:]


def moved_by(lengths: Sequence[float], sent: Floats, segments: Sequence[Mapping[str, Any]]) -> Floats:
    """How far the stamps of every row move back when the pauses are closed."""
    return np.asarray(np.cumsum([0.0, *lengths])[_segment_of(sent, segments)], dtype=np.float64)


def _segment_of(sent: Floats, segments: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """A row belongs to the last segment that began before it was sent: a request starts and ends in one segment."""
    begins = [float(segment.get("offset_ns") or 0) for segment in segments[1:]]
    return np.searchsorted(begins, sent, "right")


def notes(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> list[str]:
    """What a reader must know of a run that was continued."""
    return told(pauses_ns(requests, manifest), manifest.get("segments") or [])


def told(lengths: Sequence[float], segments: Sequence[Mapping[str, Any]]) -> list[str]:
    """In words; nothing of a run of one segment."""
    if not lengths:
        return []
    resent = [segment.get("resent") or {} for segment in segments]
    lost = sum(one.get("in_flight", 0) + one.get("abandoned", 0) for one in resent)
    said = (
        f"continued {plural(len(lengths), 'time')}; {_length(sum(lengths))} of pauses are left out of rates; "
        "after a pause connections, and perhaps caches, were cold"
    )
    if lost:
        said += f"; {plural(lost, 'request')} that had no result {'was' if lost == 1 else 'were'} sent again"
    hosts = {str((segment.get("host") or {}).get("platform")) for segment in segments}
    return [said, *(["continued on another kind of machine: segments may not be comparable"] if len(hosts) > 1 else [])]


def _length(ns: float) -> str:
    seconds = ns / 1e9
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
