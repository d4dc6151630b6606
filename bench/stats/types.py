"""The finished table: cells, rows, comparisons and all that must be said beside them. No data frames in here.

Renderers, gates and SLA checks read these; they compute nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bench.metrics import Metric

CompareKind = Literal["latency", "cost", "quality", "rate"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure with its 95 % interval, in the metric's base unit.

    `value` is None when unknown and inf when the percentile is a failed request (or nothing was right, for a cost per
    correct answer). `low` and `high` are None where the data bound nothing. `n` counts the rows behind it, `n_eff` what
    they are worth.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_eff: float | None
    method: str
    unit: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One target. `cells` by name of metric, the headline figures and those beside them."""

    target: str
    model: str
    provider: str
    region: str | None
    n: int
    blocks: int
    spent_usd: Decimal | None
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A target against a baseline over the requests both answered: same prompt, same block.

    `value` is target / baseline (unit "ratio") or target - baseline (unit "points", in shares of 1). `primary` marks
    the declared family that is adjusted together; the others are exploratory and carry no verdict.
    """

    baseline: str
    target: str
    metric: str
    label: str
    kind: CompareKind
    unit: Literal["ratio", "points"]
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_eff: float | None
    blocks: int
    rho: float | None
    method: str
    margin: float | None
    p_raw: float | None = None
    p_holm: float | None = None
    """Adjusted over the primary family."""
    p_bh: float | None = None
    """Of an exploratory comparison, adjusted over all exploratory ones: the false discovery rate at which it is one."""
    p_equivalence: float | None = None
    """That the truth lies outside the margin: the larger p of two one-sided tests."""
    primary: bool = True
    verdict: str | None = None
    reason: str = ""
    more_blocks: int | None = None
    """How many blocks more would settle an inconclusive comparison, if nothing else changes."""
    needed_requests: int | None = None
    """How many requests per target, in all, would bound an open end."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a sweep as one target met it.

    `level` is the rate (per second) or the concurrency. `cells` are, by name: `achieved_per_s`, `achieved_share` (of the
    offered load, what came back in time: of the rate, or of the throughput that the lowest level promises), `goodput_per_s`,
    `ttft_p50_ms`, `ttft_p95_ms`, `tpot_p50_ms`, `e2e_p95_ms`, `failed_share`. A percentile is inf when it is a failed request.
    """

    target: str
    stage: int
    level: float
    n: int
    blocks: int
    cells: Mapping[str, Cell]
    meets_slo: bool | None
    """Whether every limit of the workload's slo holds, by the estimates; None without limits."""
    slo_settled: bool
    """Whether the intervals leave no doubt of `meets_slo`."""


BarWord = Literal["met", "missed", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the workload's `pass` in words: met or missed where the whole interval says so, else open."""

    words: str
    verdict: BarWord


@dataclass(frozen=True, slots=True)
class Judged:
    """What the scorers say of one target, and what was never delivered to them.

    `scorers` are the means over the replies that each judged, in the order to show them; `differences` are over the pairs
    judged for both, in points, empty for the baseline. `undelivered` are shares of all requests by outcome. `length` is the
    output in tokens over the baseline's, of requests that both answered.
    """

    target: str
    baseline: str | None
    scorers: Mapping[str, Cell]
    differences: Mapping[str, Cell]
    undelivered: Mapping[str, Cell]
    length: Cell | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the rows, by `label`: one row per target that has any, and exploratory comparisons without verdicts."""

    label: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Everything one run (or several) says about its targets.

    `answers` are the three questions of the first screen, each with one sentence. `alarms` put the figures themselves
    in doubt; `notes` are what a reader must know to compare; `hint` is the load that would tell more.
    """

    title: str
    run_id: str
    columns: tuple[Metric, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hint: str = ""
    instrument: str = ""
    command: str = ""
    run_folder: str = ""
    simulated: bool = False
    partial: str | None = None
    """Why the run is not complete; None when it is."""
    comparison_columns: tuple[str, ...] = field(default=())
    """Names of the metrics of the primary comparisons, in the order to show them."""
    levels: tuple[Level, ...] = ()
    """The levels of a sweep, in the order of sending; empty outside sweeps."""
    slices: tuple[Slice, ...] = ()
    """The rows cut by `sliced_by`, in order; empty unless asked for."""
    sliced_by: str = ""

    judged: tuple[Judged, ...] = ()
    """What the scorers say of each target; empty where nothing was scored."""

    def row(self, target: str) -> Row:
        return next(row for row in self.rows if row.target == target)

    def comparison(self, target: str, metric: str) -> Comparison:
        return next(c for c in self.comparisons if c.target == target and c.metric == metric)
