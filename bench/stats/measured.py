"""From stored rows to the values the figures are made of: which rows count, which are failures, what is not known.

What is left out is counted and said: warm-up, rows spoiled by our own instrument, and rows that only a bug can explain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.metrics import plural
from bench.stats import costs, pauses, slo
from bench.stats.groups import Floats, Ints, compact, sizes_of
from bench.stats.quantiles import Sample
from bench.stats.tally import Tally, tally_of

if TYPE_CHECKING:
    import pandas as pd

Bools = npt.NDArray[np.bool_]

DURATIONS = ("ttft_ms", "ttft_text_ms", "ttfb_ms", "e2e_ms", "tpot_ms", "icl_max_ms", "e2e_due_ms", "ttft_due_ms",
             "e2e_all_ms", "retry_wait_ms")  # fmt: skip
_READ = ("run_id", "block_id", "case_id", "repeat", "seq", "outcome", "first_attempt_outcome", "due_ns", "sent_ns",
         "first_token_ns", "first_text_ns", "end_ns", "ttft_ms", "ttft_due_ms", "e2e_ms", "e2e_due_ms", "e2e_all_ms", "tpot_ms",
         "icl_max_ms", "lateness_ms", "loop_lag_ms", "output_tokens", "reasoning_tokens", "price_book",
         "content_events", "same_read_events", *costs.STORED)  # fmt: skip
"""The columns that figures are made of."""
READ = tuple(
    dict.fromkeys((*_READ, *DURATIONS, "target", "model", "provider", "region", "phase", "spoiled", "simulated"))
)
"""All that `select` reads of the requests."""
OF_RUNS = "variance_unit"
"""Key of a manifest of several runs: "run" where a run counts as one block, else every block of every run does."""
PAIR = ["run_id", "block_id", "case_id", "repeat"]
"""What two targets' rows must share to be a pair. Rows of one target that share all of it are paired in the order they stand."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of one target that count, with the values derived from them (NaN: not known; inf: failed)."""

    target: str
    model: str
    provider: str
    region: str | None
    frame: pd.DataFrame
    spent_usd: Decimal | None = None
    gaps: Mapping[str, str] = field(default_factory=dict)
    """Why a value is not known for some of the successful rows, by column of `frame`."""
    samples: dict[tuple[str, bool], Sample] = field(default_factory=dict, init=False)
    """What `sample` has sorted; whoever is done with large ones clears it."""

    @property
    def n(self) -> int:
        return len(self.frame)

    @cached_property
    def blocks(self) -> int:
        groups = self.frame["block"].to_numpy()
        return int((sizes_of(groups) > 0).sum()) if len(groups) else 0

    @cached_property
    def ok(self) -> int:
        return int(self.frame["ok"].to_numpy().sum()) if self.n else 0

    def sample(self, column: str, ok_only: bool = False) -> Sample | None:
        """The known values of a column in their blocks; None where nothing is known."""
        if (column, ok_only) not in self.samples:
            values, blocks = floats(self.frame, column), self.frame["block"].to_numpy()
            known = ~np.isnan(values)
            if ok_only:
                known &= self.frame["ok"].to_numpy()
            if not known.all():
                values, blocks = values[known], blocks[known]
            if len(values) == 0:
                return None
            self.samples[column, ok_only] = Sample(values, compact(blocks))
        return self.samples[column, ok_only]


@dataclass(frozen=True, eq=False)
class Selection:
    targets: tuple[Measured, ...]
    rows: pd.DataFrame | None
    """The stored rows that count, of all targets; None where they are too many for a data frame."""
    from_due: bool
    """Whether latency counts from the due time; else from the first send."""
    limits: Mapping[str, float]
    """The slo's limits on a single request, in ms, by kind; empty without any."""
    notes: tuple[str, ...]
    alarms: tuple[str, ...]
    told: Tally | None = None
    """How often words stand in the rows, where they are too many for a data frame."""

    @cached_property
    def tally(self) -> Tally:
        if self.told is not None:
            return self.told
        return Tally({}) if self.rows is None else tally_of(self.rows)


def codes(frame: pd.DataFrame, column: str) -> Ints:
    """Codes 0 to K-1 of a column of `Measured.frame` that tells groups apart: block, cluster or run."""
    values = frame[column].to_numpy()
    return compact(values if values.dtype.kind == "i" else values.astype(np.int64))


def those(frame: pd.DataFrame, known: Bools | pd.Series[bool], *columns: str) -> pd.DataFrame:
    """These columns of the rows that are `known`. A column is copied once, and not at all where all rows are."""
    import pandas as pd

    mask = np.asarray(known)
    values = {name: frame[name].array for name in columns}
    plain = {name: of.to_numpy() if isinstance(of.dtype, np.dtype) else of for name, of in values.items()}
    return pd.DataFrame(plain if mask.all() else {name: of[mask] for name, of in plain.items()}, copy=False)


def _grouped(frame: pd.DataFrame, columns: Sequence[str]) -> Ints:
    if len(frame) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(frame.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy(), dtype=np.int64)


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """A numeric column as float64, null as NaN; perhaps the column itself, so not to be changed."""
    own = frame[column].to_numpy() if frame[column].dtype == np.float64 else None
    if own is not None:
        return np.asarray(own)
    return np.asarray(frame[column].astype("float64").to_numpy(), dtype=np.float64)


def decimals(values: Sequence[Any]) -> list[Decimal | None]:
    """Amounts as Decimal; null (None or NaN) as None."""
    return [v if type(v) is Decimal and v == v else None if is_null(v) else Decimal(str(v)) for v in values]  # noqa: PLR0124


def is_null(value: Any) -> bool:
    """None, or the NaN that a data frame puts in its place."""
    return value is None or (isinstance(value, (float, Decimal)) and math.isnan(value))


def select(requests: pd.DataFrame, scores: pd.DataFrame, manifest: Mapping[str, Any]) -> Selection:
    notes = pauses.notes(requests, manifest)
    alarms: list[str] = []
    requests = pauses.closed_up(requests, manifest)
    measured = (requests["phase"] == "measure").to_numpy(dtype=bool)
    counted = requests if measured.all() else requests[measured]
    if len(counted) < len(requests):
        notes.append(f"{plural(len(requests) - len(counted), 'warm-up request')} stored and left out")
    counted = _without(counted, counted["spoiled"].fillna(False).astype(bool), notes,
                       "taken while our own instrument was the bottleneck (spoiled): stored and left out")  # fmt: skip
    counted = _without(counted, counted["outcome"] == "bug", alarms,
                       "that ended in a bug of bench itself: left out, neither slow nor failed")  # fmt: skip
    counted = _without(counted, _impossible(counted), alarms,
                       "with a negative, infinite or missing duration, or stamps out of order, "
                       "a bug in bench: left out")  # fmt: skip
    from_due = len(counted) > 0 and bool(counted["due_ns"].notna().all())
    limits = slo.limits_ms((manifest.get("workload") or {}).get("slo") or {})
    worst = _worst(scores, required_scorers(scores, manifest))
    rules = _Rules(from_due, worst, manifest.get("clusters") or {}, limits, whole_runs(manifest))
    columns = [name for name in _READ if name in counted]
    pair, of = _pairs(counted), counted["target"].to_numpy(dtype=object)
    targets = []
    for target, about in _targets(requests, manifest).items():
        mine = np.flatnonzero(of == target)
        targets.append(_measure(target, about, counted[columns].iloc[mine], pair[mine], rules))
    return Selection(tuple(targets), counted, from_due, limits, tuple(notes), tuple(alarms))


def _pairs(rows: pd.DataFrame) -> Ints:
    """A number for every row; rows of two targets that are a pair have the same, and rows of one target never have."""
    shared = _grouped(rows, PAIR)
    copy = rows.assign(shared=shared).groupby(["target", "shared"], sort=False)["shared"].cumcount().to_numpy()
    copies = int(copy.max()) + 1 if len(copy) else 1
    return np.asarray(shared * copies + copy, dtype=np.int64)


def _without(rows: pd.DataFrame, bad: pd.Series[bool], say: list[str], why: str) -> pd.DataFrame:
    if not bool(bad.any()):
        return rows
    worst = ", ".join(f"{n} of {target}" for target, n in rows[bad]["target"].value_counts(sort=False).items())
    seqs = ", ".join(str(seq) for seq in rows[bad]["seq"].head(3))
    say.append(f"{plural(int(bad.sum()), 'row')} {why} ({worst}; seq {seqs}{', ...' if int(bad.sum()) > 3 else ''})")
    return rows[~bad]


def _impossible(rows: pd.DataFrame) -> pd.Series[bool]:
    bad = (rows["outcome"] == "ok") & rows["e2e_ms"].isna()
    for column in DURATIONS:
        values = rows[column].astype("float64")
        bad |= (values < 0) | np.isinf(values)
    sent, first, end = (rows[column].astype("float64") for column in ("sent_ns", "first_token_ns", "end_ns"))
    return bad | (first < sent) | (end < sent) | (end < first)


def required_scorers(scores: pd.DataFrame, manifest: Mapping[str, Any]) -> frozenset[str]:
    """Those the manifest marks as required; if it marks none, every scorer there is."""
    listed = manifest.get("scorers") or []
    required = {scorer["name"] for scorer in listed if scorer.get("required")}
    return frozenset(required or {scorer["name"] for scorer in listed} or set(scores["scorer"].unique()))


def _targets(requests: pd.DataFrame, manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Targets in the order of the manifest, then in that of the rows."""
    listed: dict[str, Mapping[str, Any]] = {about["id"]: about for about in manifest.get("targets") or []}
    first = requests[["target", "model", "provider", "region"]].drop_duplicates("target")
    for target, *about in first.itertuples(index=False):
        seen = dict(zip(("model", "provider", "region"), about, strict=True))
        listed[str(target)] = {**seen, **{k: v for k, v in listed.get(str(target), {}).items() if v is not None}}
    return listed


@dataclass(frozen=True, eq=False)
class _Rules:
    """What holds for all targets of a table."""

    from_due: bool
    worst: Mapping[str, pd.DataFrame] | None
    """The worst required score of each request, by target; None when nothing was scored."""
    clusters: Mapping[str, str]
    limits: Mapping[str, float]
    whole_runs: bool
    """Whether all of a run is one block."""


def whole_runs(manifest: Mapping[str, Any]) -> bool:
    return manifest.get(OF_RUNS) == "run"


def _measure(target: str, about: Mapping[str, Any], rows: pd.DataFrame, pair: Ints, rules: _Rules) -> Measured:
    frame = rows[["run_id", "block_id", "case_id", "repeat", "seq", "output_tokens"]].reset_index(drop=True)
    frame["pair"] = pair
    frame["run"] = _grouped(frame, ["run_id"])
    frame["block"] = frame["run"] if rules.whole_runs else _grouped(frame, ["run_id", "block_id"])
    frame["cluster"] = _clusters(rows, rules.clusters)
    ok = (rows["outcome"] == "ok").to_numpy()
    frame["ok"] = ok
    frame["first_ok"] = (rows["first_attempt_outcome"] == "ok").to_numpy()
    gaps: dict[str, str] = {}

    streamed = rows["ttft_ms"].notna().to_numpy()
    if rules.from_due:
        ttft, e2e = floats(rows, "ttft_due_ms"), floats(rows, "e2e_due_ms")
    else:
        # sent_ns is the first attempt's, first_token_ns the final one's: waits and retries lie between.
        ttft = (floats(rows, "first_token_ns") - floats(rows, "sent_ns")) / 1e6
        e2e = floats(rows, "e2e_all_ms")
    frame["ttft"] = np.where(ok, np.where(streamed, ttft, np.nan), np.inf)
    frame["e2e"] = np.where(ok, e2e, np.inf)
    frame["ttft_sent"] = np.where(ok, floats(rows, "ttft_ms"), np.nan)
    frame["e2e_sent"] = np.where(ok, floats(rows, "e2e_ms"), np.nan)
    hidden = (
        (floats(rows, "reasoning_tokens") > 0)
        & (floats(rows, "first_token_ns") == floats(rows, "first_text_ns"))
    )  # fmt: skip
    frame["tpot"] = np.where(ok, np.where(hidden, np.nan, floats(rows, "tpot_ms")), np.inf)
    with np.errstate(divide="ignore"):
        frame["speed"] = 1000.0 / frame["tpot"].to_numpy()
    itl = floats(rows, "icl_max_ms") if "icl_max_ms" in rows else np.full(len(rows), np.nan)
    values = {"ttft": frame["ttft"].to_numpy(), "e2e": e2e, "tpot": floats(rows, "tpot_ms"), "itl": itl}
    frame["within"], unknown = slo.within(rules.limits, values, ok, floats(rows, "output_tokens"))
    if not rules.limits:
        frame["within"] = np.nan
    frame["right"] = _right(rows, ok, rules.worst, target)
    amounts = {name: decimals(rows[name].tolist()) for name in ("cost_usd", "cost_retries_usd") if name in rows}

    def stored(name: str) -> Floats:
        return floats(rows, name) if name in rows else np.full(len(rows), np.nan)

    frame["cost"] = costs.cost(stored("cost_usd"), stored("cost_retries_usd"))
    for column, found in costs.derived(stored).items():
        frame[column] = found
    for column in ("due_ns", "sent_ns", "end_ns", "lateness_ms", "loop_lag_ms", "content_events", "same_read_events"):
        # a run that an earlier version wrote may lack a column
        frame[column] = floats(rows, column) if column in rows else np.nan

    if ok.any():
        _gap(gaps, "ttft", ok & frame["ttft"].isna().to_numpy(), ok, "not streamed: no first token to time")
        why = (
            "reasoning tokens were billed but not streamed"
            if (ok & hidden).any()
            else "all content came in one read, or too few tokens"
        )
        _gap(gaps, "tpot", ok & frame["tpot"].isna().to_numpy(), ok, f"TPOT unknown: {why}")
        _gap(gaps, "within", unknown, ok, "a duration that the slo limits is not known, and counts as missed")
        why = "no required scorer could judge" if rules.worst is not None else "nothing was scored"
        _gap(gaps, "right", ok & frame["right"].isna().to_numpy(), ok, why)
        priced = bool(rows["price_book"].notna().any())
        why = "no token counts were reported" if priced else "no price known for this target; add one to its `price:`"
        _gap(gaps, "cost", ok & frame["cost"].isna().to_numpy(), ok, why)
    model, provider, region = (_word(about.get(key)) for key in ("model", "provider", "region"))
    # No earlier try is no money: where no price is known, zeros of such tries do not make it known.
    known = [
        amount
        for column, of_column in amounts.items()
        for amount in of_column
        if amount is not None and (amount or column == "cost_usd")
    ]
    return Measured(target, model or "", provider or "", region, frame, sum(known, Decimal(0)) if known else None, gaps)


def _word(value: Any) -> str | None:
    return None if is_null(value) else str(value)


def _gap(gaps: dict[str, str], column: str, missing: Bools, ok: Bools, why: str) -> None:
    if missing.any():
        some = "" if missing.sum() == ok.sum() else f"{int(missing.sum())} of {int(ok.sum())} ok requests: "
        gaps[column] = f"{some}{why}"


def _clusters(rows: pd.DataFrame, of_case: Mapping[str, str]) -> Ints:
    """Cases of one source are not independent; a case without a known source is a cluster of its own."""
    cases, names = rows["case_id"].factorize(use_na_sentinel=False)
    sources = np.unique([of_case.get(str(case)) or str(case) for case in names], return_inverse=True)[1]
    return np.asarray(sources[cases] if len(cases) else cases, dtype=np.int64)


def _worst(scores: pd.DataFrame, required: frozenset[str]) -> dict[str, pd.DataFrame] | None:
    """The worst score that the required scorers gave to each request, by target. A null value means "does not apply": an
    abstention scorer has nothing to say on an answerable question."""
    if len(scores) == 0:
        return None
    judged = scores[scores["scorer"].isin(required) & scores["value"].notna()]
    worst = judged.groupby(["target", "run_id", "seq"], sort=False)["value"].min().rename("worst").reset_index()
    return {str(target): of_target for target, of_target in worst.groupby("target", sort=False)}


def _right(rows: pd.DataFrame, ok: Bools, worst: Mapping[str, pd.DataFrame] | None, target: str) -> Floats:
    """1 where every required scorer that applies gave full marks, 0 where one did not or the request failed, else NaN."""
    if worst is None:
        return np.full(len(rows), np.nan)
    values = np.full(len(rows), np.nan)
    if target in worst:
        key = ["run_id", "seq"]
        values = floats(rows[key].merge(worst[target][[*key, "worst"]], on=key, how="left"), "worst")
    return np.where(ok, np.where(np.isnan(values), np.nan, values >= 1 - 1e-9), 0.0)
