"""The figures of the table as data, how one request's durations follow from its stamps, and how figures are written.

The manual's list of metrics is printed from METRICS. Base units inside (ms, tokens/s, USD, shares of 1); `DISPLAY` says
how each unit is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import Literal

Statistic = Literal["p50", "p99", "mean", "ratio", "share"]
Panel = Literal["speed", "delivery", "detail"]

METHOD_VERSION = 1
"""Raised with every entry under Method in CHANGELOG.md: figures of two versions are not comparable."""

PROBABILITY: Mapping[Statistic, float] = {"p50": 0.50, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure per target. `columns` are the columns of requests.parquet (or scores.parquet) it is made of.

    `panel` says where a table shows it; figures of the panel `detail` are in the data beside the headline.
    """

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    statistic: Statistic
    columns: tuple[str, ...]
    panel: Panel
    definition: str


_TTFT = ("ttft_due_ms", "first_token_ns", "sent_ns", "outcome")
_E2E = ("e2e_due_ms", "e2e_all_ms", "outcome")
_FROM_CALLER = "from the due time (open loop) or the first send (closed loop)"
_FAILED_INF = "retries and waits included, failed requests counted as infinitely slow"
_OWN_SEND = "successful requests only, from the send of the final attempt"

METRICS: tuple[Metric, ...] = (
    Metric("ttft_p50_ms", "TTFT p50", "ms", "lower", "p50", _TTFT, "speed",
           f"Median time to the first content of any kind, {_FROM_CALLER}; {_FAILED_INF}."),
    Metric("ttft_p99_ms", "TTFT p99", "ms", "lower", "p99", _TTFT, "speed",
           f"99th percentile of the time to the first content of any kind, {_FROM_CALLER}; {_FAILED_INF}."),
    Metric("e2e_p50_ms", "E2E p50", "ms", "lower", "p50", _E2E, "speed",
           f"Median time to the end of the response, {_FROM_CALLER}; {_FAILED_INF}."),
    Metric("e2e_p99_ms", "E2E p99", "ms", "lower", "p99", _E2E, "speed",
           f"99th percentile of the time to the end of the response, {_FROM_CALLER}; {_FAILED_INF}."),
    Metric("tpot_p50_ms", "TPOT p50", "ms", "lower", "p50", ("tpot_ms", "outcome"), "speed",
           "Median over requests of (last content - first content) / (output tokens - 1); failed requests counted as "
           "infinitely slow."),
    Metric("output_tokens_per_s", "output", "tokens/s", "higher", "p50", ("tpot_ms", "outcome"), "speed",
           "Output tokens per second of one request while it streams: the median over requests of 1000 / TPOT; failed "
           "requests counted as 0."),
    Metric("system_tokens_per_s", "system", "tokens/s", "higher", "ratio", ("output_tokens", "sent_ns", "end_ns"),
           "speed",
           "Output tokens of all successful requests of the target, divided by its measured window (first start to "
           "last end); under an open loop the plan sets it, not the target."),
    Metric("ok_share", "ok", "share", "higher", "share", ("outcome",), "delivery",
           "Share of requests whose final attempt ended ok: not refused, filtered, truncated or failed."),
    Metric("goodput_per_s", "goodput", "requests/s", "higher", "ratio",
           ("outcome", "ttft_due_ms", "icl_max_ms", "tpot_ms", "e2e_due_ms", "sent_ns", "end_ns"), "delivery",
           "Requests that ended ok inside every limit of the workload's slo, per second of the measured window (first start to "
           "last end); under an open loop no more than the plan offers."),
    Metric("quality", "quality", "share", "higher", "share", ("value", "outcome"), "delivery",
           "Share of requests answered right, as delivered: every required scorer that applies gave full marks; failed "
           "requests count as wrong."),
    Metric("usd_per_1k", "$/1k requests", "USD", "lower", "mean", ("cost_usd",), "delivery",
           "1,000 times the mean cost of a request at the price book's rate, its retries included."),
    Metric("usd_per_correct", "$/correct", "USD", "lower", "ratio", ("cost_usd", "value", "outcome"), "delivery",
           "Cost of all requests, wrong and failed ones included, divided by the number answered right."),
    Metric("usd_per_success", "$/success", "USD", "lower", "ratio",
           ("cost_usd", "cost_retries_usd", "value", "outcome", "ttft_due_ms", "icl_max_ms", "tpot_ms", "e2e_due_ms"), "detail",
           "Cost of all requests, failed ones and retries included, divided by the number answered right and inside every limit "
           "of the workload's slo."),
    Metric("usd_per_1m_input", "$/1M input tokens", "USD", "lower", "ratio",
           ("cost_usd", "cost_output_usd", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
           "detail", "Cost of all input, cache reads and writes included, per million input tokens of all these kinds."),
    Metric("usd_per_1m_output", "$/1M output tokens", "USD", "lower", "ratio", ("cost_output_usd", "output_tokens"), "detail",
           "Cost of all output, reasoning included, per million output tokens."),
    Metric("failed_cost_share", "cost of failures", "share", "lower", "ratio", ("cost_usd", "cost_retries_usd", "outcome"),
           "detail", "Share of the cost that requests made which did not end ok."),
    Metric("retried_cost_share", "cost of retries", "share", "lower", "ratio", ("cost_usd", "cost_retries_usd"), "detail",
           "Share of the cost that attempts before the final ones made."),
    Metric("reasoning_cost_share", "cost of reasoning", "share", "lower", "ratio",
           ("cost_usd", "cost_retries_usd", "cost_reasoning_usd"), "detail",
           "Share of the cost that reasoning tokens made, in requests that say how many they were."),
    Metric("ttft_p50_ok_ms", "TTFT p50, ok only", "ms", "lower", "p50", _TTFT, "detail",
           f"Median time to first content of successful requests only, {_FROM_CALLER}."),
    Metric("ttft_p99_ok_ms", "TTFT p99, ok only", "ms", "lower", "p99", _TTFT, "detail",
           f"99th percentile of the time to first content of successful requests only, {_FROM_CALLER}."),
    Metric("e2e_p50_ok_ms", "E2E p50, ok only", "ms", "lower", "p50", _E2E, "detail",
           f"Median time to the end of the response of successful requests only, {_FROM_CALLER}."),
    Metric("e2e_p99_ok_ms", "E2E p99, ok only", "ms", "lower", "p99", _E2E, "detail",
           f"99th percentile of the time to the end of the response of successful requests only, {_FROM_CALLER}."),
    Metric("tpot_p50_ok_ms", "TPOT p50, ok only", "ms", "lower", "p50", ("tpot_ms", "outcome"), "detail",
           "Median TPOT of successful requests only."),
    Metric("ttft_p50_sent_ms", "TTFT p50 from send", "ms", "lower", "p50", ("ttft_ms", "outcome"), "detail",
           f"Median time to first content: {_OWN_SEND}, so without our lateness, retries and waits."),
    Metric("ttft_p99_sent_ms", "TTFT p99 from send", "ms", "lower", "p99", ("ttft_ms", "outcome"), "detail",
           f"99th percentile of the time to first content: {_OWN_SEND}."),
    Metric("e2e_p50_sent_ms", "E2E p50 from send", "ms", "lower", "p50", ("e2e_ms", "outcome"), "detail",
           f"Median time to the end of the response: {_OWN_SEND}."),
    Metric("e2e_p99_sent_ms", "E2E p99 from send", "ms", "lower", "p99", ("e2e_ms", "outcome"), "detail",
           f"99th percentile of the time to the end of the response: {_OWN_SEND}."),
    Metric("first_ok_share", "ok at first try", "share", "higher", "share", ("first_attempt_outcome",), "detail",
           "Share of requests whose first attempt ended ok, before any retry."),
    Metric("within_slo_share", "within slo", "share", "higher", "share",
           ("outcome", "ttft_due_ms", "icl_max_ms", "tpot_ms", "e2e_due_ms"), "detail",
           "Share of requests that ended ok inside every limit of the workload's slo."),
    Metric("same_read_share", "content in one read", "share", "lower", "ratio", ("same_read_events", "content_events"),
           "detail", "Share of content events that came in one read with the event before: the gaps between them are "
           "unknown, by the target's batching, the network's or our own delay."),
    Metric("steady_mser_cut", "warm-up by MSER-5", "requests", "lower", "mean", _TTFT, "detail",
           "Requests at the start that MSER-5 on log latency sets apart; half of all when it finds no end."),
    Metric("steady_little", "in flight / (rate x latency)", "ratio", "lower", "ratio", ("sent_ns", "end_ns"), "detail",
           "Mean number in flight, divided by rate times mean latency: 1 in a steady state (Little's law)."),
    Metric("steady_in_flight_growth", "growth of in flight", "growth", "lower", "mean", ("sent_ns", "end_ns"), "detail",
           "Growth of the number in flight over the judged window by a straight line, as a share of its mean."),
    Metric("steady_latency_growth", "growth of latency", "growth", "lower", "mean", _TTFT, "detail",
           "Growth of latency (TTFT; E2E without streaming) over the judged window by a straight line through log latency."),
    Metric("steady_finished", "finished / started", "ratio", "higher", "ratio", ("sent_ns", "end_ns"), "detail",
           "Requests finished in the last third of the judged window, divided by those started in it."),
    Metric("label_macro_f1", "macro-F1", "share", "higher", "mean", ("reason",), "detail",
           "Mean over the gold labels of F1, the harmonic mean of precision and recall, among the requests that ended ok; an "
           "invalid label counts against recall alone."),
    Metric("label_invalid_share", "invalid labels", "share", "lower", "share", ("reason",), "detail",
           "Share of the requests that ended ok whose reply is no label of the list."),
    Metric("quality_answered", "quality if answered", "share", "higher", "share", ("value", "outcome"), "detail",
           "Share answered right among the requests that ended ok."),
)  # fmt: skip

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
HEADLINE: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.panel != "detail")
OF_WHOLE_RUN = ("system_tokens_per_s", "goodput_per_s")
"""Rates over the run's time, which a slice of its rows does not have."""


def _ms(later_ns: int | None, earlier_ns: int | None) -> float | None:
    return None if later_ns is None or earlier_ns is None else (later_ns - earlier_ns) / 1e6


def derive_row(
    first_sent_ns: int,
    final_sent_ns: int,
    due_ns: int | None,
    headers_ns: int | None,
    first_byte_ns: int | None,
    content_ns: Sequence[int],
    first_text_ns: int | None,
    end_ns: int,
    output_tokens: int | None,
    streamed: bool,
) -> dict[str, float | None]:
    """The durations of one request, in ms, as `record.REQUESTS` defines them. All stamps share one clock and one zero.

    `content_ns` are the arrivals of the final attempt's content in order. Pieces of one read share their stamp: the gaps
    inside are unknown and never the longest one, and TPOT and gaps are unknown when a single read carried all. Without
    streaming there is no first token to speak of. `headers_ns` travels with the other stamps of the row; no stored
    duration is made of it.
    """
    first_ns, last_ns = (content_ns[0], content_ns[-1]) if streamed and content_ns else (None, None)
    tpot_ms = icl_max_ms = None
    if first_ns is not None and last_ns is not None and last_ns != first_ns:
        icl_max_ms = max(map(sub, content_ns[1:], content_ns)) / 1e6
        if output_tokens is not None and output_tokens >= 2:
            tpot_ms = (last_ns - first_ns) / 1e6 / (output_tokens - 1)
    return {
        "ttft_ms": _ms(first_ns, final_sent_ns),
        "ttft_text_ms": _ms(first_text_ns, final_sent_ns) if streamed else None,
        "ttfb_ms": _ms(first_byte_ns, final_sent_ns),
        "e2e_ms": _ms(end_ns, final_sent_ns),
        "tpot_ms": tpot_ms,
        "icl_max_ms": icl_max_ms,
        "lateness_ms": _ms(first_sent_ns, due_ns),
        "e2e_due_ms": _ms(end_ns, due_ns),
        "ttft_due_ms": _ms(first_ns, due_ns),
        "e2e_all_ms": _ms(end_ns, first_sent_ns),
    }


@dataclass(frozen=True, slots=True)
class Display:
    """How a unit is shown: values are multiplied by `factor`; `sign` goes into headings, never into the number."""

    factor: float
    sign: str
    floor: float = -math.inf
    ceiling: float = math.inf


DISPLAY: Mapping[str, Display] = {
    "ms": Display(1, "ms", 0),
    "tokens/s": Display(1, "tok/s", 0),
    "USD": Display(1, "$", 0),
    "share": Display(100, "%", 0, 100),
    "ratio": Display(1, "×", 0),
    "growth": Display(100, "%"),
    "requests": Display(1, "", 0),
    "requests/s": Display(1, "/s", 0),
    "points": Display(100, "points", -100, 100),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as text, and its interval as text; `interval` is empty when none is known."""

    text: str
    interval: str


UNKNOWN = "–"
FAILS = "fails"
"""Written for a percentile that falls among the failed requests."""


def figure(value: float | None, low: float | None, high: float | None, unit: str, signed: bool = False) -> Figure:
    """A value and its 95 % interval as text, with no more digits than the interval supports.

    The interval's width keeps two digits; an interval wider than half the value, or open at one end, leaves the value
    two. At most four. Ends are rounded outwards. An open upper end is written ∞, an open lower end is the unit's floor.
    """
    if value is None:
        return Figure(UNKNOWN, "")
    display = DISPLAY[unit]
    low = None if low is None else low * display.factor
    high = None if high is None or math.isinf(high) else high * display.factor
    if math.isinf(value):
        text = FAILS if unit in {"ms", "ratio"} else "∞"
        if not low or math.isinf(low):
            return Figure(text, "unbounded" if unit == "ratio" else "")
        place = _leading(low) - 1
        return Figure(text, f"{_text(_down(low, place), place)}–∞")
    value *= display.factor
    place = _place(value, low, high)
    text = _whole(_text(round(value / 10.0**place) * 10.0**place, place, signed), display)
    if low is None and high is None:
        return Figure(text, "unbounded")
    if low is None:
        low_text = "−∞" if math.isinf(display.floor) else _text(display.floor, 0, signed)
    else:
        low_text = _text(max(_down(low, place), display.floor), place, signed)
    high_text = "∞" if high is None else _whole(_text(min(_up(high, place), display.ceiling), place, signed), display)
    return Figure(
        text, f"{low_text} to {high_text}" if signed or low_text.startswith("−") else f"{low_text}–{high_text}"
    )


def _whole(text: str, display: Display) -> str:
    """100 %, not 100.0 %: at its ceiling a share is exact."""
    whole, point, _ = text.partition(".")
    return whole if point and float(text.replace("−", "-").replace(",", "")) == display.ceiling else text


def roughly(n: float) -> int:
    """A forecast as what it is: rounded up to two digits."""
    step = int(10 ** max(0, _leading(max(n, 1)) - 1))
    return math.ceil(n / step - 1e-9) * step


def plural(n: int, noun: str) -> str:
    """1 row, 2 rows, 1,200 rows."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _leading(x: float) -> int:
    """The decimal place of the first digit of x: 0 for 1 to 9.99, 2 for hundreds, -3 for thousandths."""
    return math.floor(math.log10(x))


def _place(value: float, low: float | None, high: float | None) -> int:
    """The decimal place of the last digit worth writing."""
    size, width = abs(value), None if low is None or high is None else high - low
    if size < 1e-12:
        return _leading(width) - 1 if width else 0
    if width is None:
        return _leading(size) - 1
    if width <= size * 1e-9:
        return _leading(size) - 3
    place = _leading(width) - 1
    if width > 0.5 * size:
        place = max(place, min(_leading(size) - 1, _leading(width)))
    return max(place, _leading(size) - 3)


# A millionth of a step of slack: an end that lies on the grid must not move a whole step for its last binary digit.
def _down(x: float, place: int) -> float:
    return math.floor(x / 10.0**place + 1e-6) * 10.0**place


def _up(x: float, place: int) -> float:
    return math.ceil(x / 10.0**place - 1e-6) * 10.0**place


def _text(x: float, place: int, plus: bool = False) -> str:
    """x with its decimals down to `place`; thousands are grouped from 10,000 on; a true minus sign."""
    decimals = max(0, -place)
    size = f"{abs(x):,.{decimals}f}" if abs(x) >= 10_000 else f"{abs(x):.{decimals}f}"
    if not size.strip("0.,"):
        return size
    return f"−{size}" if x < 0 else f"+{size}" if plus else size
