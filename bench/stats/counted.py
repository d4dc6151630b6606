"""What histograms and exact sums keep of any number of rows: one pass, and a memory that does not grow with them.

Neighbouring blocks are put together where there are more than GROUPS of them: fewer and wider groups can only widen an
interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.stats import costs, sketch, slo
from bench.stats.judged import Judged
from bench.stats.measured import DURATIONS, whole_runs
from bench.stats.ordered import Stored
from bench.stats.quantiles import Floats
from bench.stats.tally import CONTRADICTED, ROW_FIELDS

GROUPS = 400

_HISTOGRAMS = ("ttft", "e2e", "tpot", "speed", "ttft_sent", "e2e_sent")
_SUMS = ("n", "ok", "first_ok", "within", "cost", "cost2", "priced", "right", "judged", "right_ok", "judged_ok",
         "ok_priced", "both_cost", "both_cost2", "both_right", "right_cost", "content_events", "same_read_events")  # fmt: skip
_WORDS = (
    "target",
    "case_id",
    "phase",
    "outcome",
    "first_attempt_outcome",
    "fault_code",
    "region_proof",
    *ROW_FIELDS,
)


class Chunked(Stored, Protocol):
    """A stored table that can be read a stretch of rows at a time."""

    @property
    def counts(self) -> tuple[int, ...]: ...


@dataclass(eq=False)
class Counted:
    """All that is kept of the rows: by target, then by group of blocks or by source of the case."""

    targets: list[str]
    histograms: Mapping[str, sketch.Counts]
    by_block: Mapping[str, Floats]
    by_source: Mapping[str, Floats]
    census: Mapping[str, list[dict[str, int]]]
    from_due: bool
    left_out: dict[str, int] = field(default_factory=dict)

    def add(
        self, of: npt.NDArray[Any], group: npt.NDArray[Any], source: npt.NDArray[Any], columns: Mapping[str, Any]
    ) -> None:
        """More rows. Adding in any order gives the same counts."""
        for name in _HISTOGRAMS:
            known = ~np.isnan(columns[name])
            np.add.at(self.histograms[name], (of[known], group[known], sketch.bucket_of(columns[name][known])), 1)
        for name in _SUMS:
            values = np.nan_to_num(columns[name])
            for sums, key in ((self.by_block[name], group), (self.by_source[name], source)):
                flat = np.bincount(of * sums.shape[1] + key, weights=values, minlength=sums.size)
                sums += flat.reshape(sums.shape)


def count(requests: Chunked, scores: Chunked, manifest: Mapping[str, Any], limits: Mapping[str, float]) -> Counted:
    names = [one["id"] for one in manifest.get("targets") or []]
    there: list[str] = []
    for _, chunk in requests.chunks((), ("target",)):
        there = chunk["target"][1]
    names = list(dict.fromkeys([*names, *there]))
    said = requests.bounds("block_id")
    most = (
        int(said[1]) + 1
        if said is not None and math.isfinite(said[1])
        else int(requests.ints("block_id").max(initial=0)) + 1
    )
    if whole_runs(manifest):
        most = 1
    blocks = most * max(1, len(requests.counts))
    groups = min(GROUPS, blocks)
    clusters = manifest.get("clusters") or {}
    sources: dict[str, int] = {}
    of_case: list[int] = []
    from_due = _all_due(requests)
    judges = Judged.by_run(scores, names, manifest)
    judged, of_run = next(judges), 0
    counted = Counted(
        names,
        {name: np.zeros((len(names), groups, sketch.BUCKETS), np.int32) for name in _HISTOGRAMS},
        {name: np.zeros((len(names), groups)) for name in _SUMS},
        {name: np.zeros((len(names), GROUPS)) for name in _SUMS},
        {name: [{} for _ in names] for name in ("outcome", "usage_source", "region_proof", *ROW_FIELDS)},
        from_due,
    )
    latencies = ("ttft_due_ms", "e2e_due_ms") if from_due else ("first_token_ns", "sent_ns", "e2e_all_ms")
    floats = dict.fromkeys(("block_id", "seq", "reasoning_tokens", "sent_ns", "first_token_ns", "first_text_ns", "end_ns",
                            "cost_usd", "cost_retries_usd", "output_tokens",
                            "content_events", "same_read_events", *DURATIONS, *latencies))  # fmt: skip
    for run, chunk in requests.chunks(tuple(floats), _WORDS, ("spoiled",)):
        target, seen = chunk["target"]
        of = np.array([names.index(name) for name in seen] or [0])[target]
        outcome, outcomes = chunk["outcome"]
        faults, fault_names = chunk["fault_code"]
        phase, phases = chunk["phase"]
        keep = _is(phase, phases, "measure")
        bug, ok = _is(outcome, outcomes, "bug"), _is(outcome, outcomes, "ok")
        impossible = ok & np.isnan(chunk["e2e_ms"])
        for name in DURATIONS:
            impossible |= (chunk[name] < 0) | np.isinf(chunk[name])
        sent, first, end = (chunk[name] for name in ("sent_ns", "first_token_ns", "end_ns"))
        impossible |= (first < sent) | (end < sent) | (end < first)
        absurd = bug | impossible
        for why, bad in (
            ("of the warm-up", ~keep),
            ("spoiled by our own instrument", chunk["spoiled"] & keep),
            ("that ended in a bug of bench itself, or with an impossible duration", absurd & keep & ~chunk["spoiled"]),
        ):
            counted.left_out[why] = counted.left_out.get(why, 0) + int(bad.sum())
        keep &= ~(chunk["spoiled"] | absurd)
        cases, case_names = chunk["case_id"]
        of_case += [
            sources.setdefault(clusters.get(name) or name, len(sources)) % GROUPS for name in case_names[len(of_case) :]
        ]
        block = chunk["block_id"] if most > 1 else 0.0
        group = (((np.full(len(of), run * most) + block) * groups) // blocks).astype(np.int64)
        while of_run < run:
            judged, of_run = next(judges), of_run + 1
        right = judged.of_rows(of, 0, chunk["seq"], ok)
        first, firsts = chunk["first_attempt_outcome"]
        columns = _columns(chunk, ok, _is(first, firsts, "ok"), right, from_due, limits)
        source = np.array(of_case or [0])[cases]
        counted.add(of[keep], group[keep], source[keep], {name: values[keep] for name, values in columns.items()})
        for name, found in counted.census.items():
            codes, words = chunk[name]
            if words:
                told = keep & (codes >= 0)
                if name == "region_proof":  # a stranger's reply is an alarm of its own
                    told &= ~_is(faults, fault_names, CONTRADICTED)
                table = np.bincount((of * len(words) + codes)[told], minlength=len(names) * len(words))
                for t, counts in enumerate(table.reshape(len(names), len(words))):
                    for at in np.flatnonzero(counts):
                        found[t][words[at]] = found[t].get(words[at], 0) + int(counts[at])
    return counted


def _all_due(requests: Chunked) -> bool:
    """Whether every row that counts has a due time."""
    said = requests.bounds("due_ns")
    if said is not None and said[2] == 0:
        return requests.rows > 0
    seen = False
    for _, chunk in requests.chunks(("due_ns",), ("phase",), ("spoiled",)):
        phase, phases = chunk["phase"]
        counts = _is(phase, phases, "measure") & ~chunk["spoiled"]
        seen |= bool(counts.any())
        if np.isnan(chunk["due_ns"][counts]).any():
            return False
    return seen


def _is(codes: npt.NDArray[Any], names: Sequence[str], word: str) -> npt.NDArray[np.bool_]:
    return codes == names.index(word) if word in names else np.zeros(len(codes), dtype=bool)


def _columns(
    chunk: Mapping[str, Any], ok: Any, first_ok: Any, right: Floats, from_due: bool, limits: Mapping[str, float]
) -> dict[str, Floats]:
    """What is counted of each row, derived as `bench.stats.measured` derives it."""
    ttft = chunk["ttft_due_ms"] if from_due else (chunk["first_token_ns"] - chunk["sent_ns"]) / 1e6
    e2e = chunk["e2e_due_ms"] if from_due else chunk["e2e_all_ms"]
    hidden = (chunk["reasoning_tokens"] > 0) & (chunk["first_token_ns"] == chunk["first_text_ns"])
    tpot = np.where(ok, np.where(hidden, np.nan, chunk["tpot_ms"]), np.inf)
    cost = costs.cost(chunk["cost_usd"], chunk["cost_retries_usd"])
    known = ~np.isnan(cost)
    judged = ~np.isnan(right)
    with np.errstate(divide="ignore"):
        speed = 1000.0 / tpot
    within = np.zeros(len(ok))
    if limits:
        first = np.where(np.isnan(chunk["ttft_ms"]), np.nan, ttft)
        values = {"ttft": first, "e2e": e2e, "tpot": chunk["tpot_ms"], "itl": chunk["icl_max_ms"]}
        within, _ = slo.within(limits, values, ok, chunk["output_tokens"])
    return {
        "ttft": np.where(ok, np.where(np.isnan(chunk["ttft_ms"]), np.nan, ttft), np.inf), "e2e": np.where(ok, e2e, np.inf),
        "tpot": tpot, "speed": speed, "ttft_sent": np.where(ok, chunk["ttft_ms"], np.nan),
        "e2e_sent": np.where(ok, chunk["e2e_ms"], np.nan), "n": np.ones(len(ok)), "ok": ok.astype(float),
        "first_ok": first_ok.astype(float), "cost": cost, "cost2": cost * cost, "priced": known.astype(float),
        "right": right, "judged": judged.astype(float), "right_ok": np.where(ok, right, 0.0),
        "judged_ok": (judged & ok).astype(float), "ok_priced": (known & ok).astype(float),
        "both_cost": np.where(judged, cost, 0.0), "both_cost2": np.where(judged, cost * cost, 0.0),
        "both_right": np.where(known, right, 0.0), "right_cost": cost * right, "within": within,
        "content_events": chunk["content_events"], "same_read_events": chunk["same_read_events"],
    }  # fmt: skip
