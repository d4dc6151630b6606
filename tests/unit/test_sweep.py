"""Sweeps that find their own end, and the figures of a level that they decide by."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.conductor.sweep import Bracket, bracket, following
from bench.stats.levels import levels

MS = 1_000_000


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({}, Bracket(None, None)),
        ({1: True, 2: True}, Bracket(2, None)),
        ({1: True, 2: False}, Bracket(1, 2)),
        ({1: False}, Bracket(None, 1)),
        ({1: True, 2: False, 4: True}, Bracket(1, 2)),  # what held above a failure is luck, not a level
    ],
)
def test_what_levels_say_of_a_target(results: dict[float, bool], expected: Bracket) -> None:
    assert bracket(results) == expected


@pytest.mark.parametrize(
    ("brackets", "tried", "over", "ceiling", "level"),
    [
        ([Bracket(1, None)], [1], "rate", None, 2),
        ([Bracket(1, 2), Bracket(2, None)], [1, 2], "rate", None, 4),  # one has not failed yet
        ([Bracket(2, None)], [1, 2], "rate", 4, 3),  # nothing from 4 on: between 2 and 4
        ([Bracket(4, 8)], [1, 2, 4, 8], "rate", None, 6),
        ([Bracket(4, 8), Bracket(1, 4)], [1, 2, 4, 8], "rate", None, 2.5),  # the widest gap first
        ([Bracket(1, 1.04)], [1, 1.04], "rate", None, None),  # as good as equal
        ([Bracket(None, 1)], [1], "rate", None, 0.5),
        ([Bracket(None, 0.0625)], [1, 0.5, 0.25, 0.125, 0.0625], "rate", None, None),  # a sixteenth, and still no good
        ([Bracket(4, 8)], [4, 8], "concurrency", None, 6),
        ([Bracket(4, 5)], [4, 5], "concurrency", None, None),
        ([Bracket(None, 1)], [1], "concurrency", None, None),
        ([Bracket(None, None)], [4], "rate", 4, 2),  # met the cap at once, and nobody is known to be slow
    ],
)
def test_the_next_level(brackets, tried, over, ceiling, level) -> None:
    assert following(brackets, tried, over, ceiling) == level


@given(
    capacities=st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    over=st.sampled_from(["rate", "concurrency"]),
)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_a_search_ends_and_closes_in_on_every_capacity(capacities: list[int], over: str) -> None:
    tried: list[float] = []
    results: list[dict[float, bool]] = [{} for _ in capacities]
    level: float | None = 1.0
    while level is not None:
        assert level not in tried
        assert len(tried) < 64
        tried.append(level)
        for capacity, known in zip(capacities, results, strict=True):
            known[level] = level <= capacity
        level = following([bracket(known) for known in results], tried, over)
    for capacity, known in zip(capacities, results, strict=True):
        found = bracket(known)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= capacity < found.high
        if over == "concurrency":
            assert found.high == found.low + 1
        else:
            assert found.high / found.low <= 1.06


def row(k: int, *, due: float | None = None, ttft: float = 100, e2e: float = 500, ok: bool = True, **more):
    """A request due at `due` ms (else sent at 10·k ms), with its latencies in ms."""
    sent = 10.0 * k if due is None else due
    return {
        "target": "a", "stage": 0, "level": 10.0, "phase": "measure", "spoiled": False, "outcome": "ok" if ok else "server",
        "due_ns": None if due is None else round(due * MS), "sent_ns": round(sent * MS),
        "first_token_ns": round((sent + ttft) * MS), "end_ns": round((sent + e2e) * MS), "ttft_ms": ttft, "tpot_ms": 4.0,
        "ttft_due_ms": ttft, "e2e_due_ms": e2e, "e2e_all_ms": e2e, "block_id": k // 4, "icl_max_ms": 5.0,
        "output_tokens": 100, **more,
    }  # fmt: skip


def only(rows, slo=None):
    [one] = levels(rows, slo or {})
    return one


def value(level, name):
    return level.cells[name].value


def test_quantiles_are_order_statistics_and_failures_are_infinitely_slow() -> None:
    one = only([row(k, due=100.0 * k, ttft=10.0 * (k + 1), ok=k != 3) for k in range(20)])
    # sorted: 10 20 30 50 60 ... 200, then the failure: the 10th of 20 is 110, the 19th 200
    assert (one.n, value(one, "ttft_p50_ms"), value(one, "ttft_p95_ms")) == (20, 110, 200)
    assert value(one, "failed_share") == 0.05
    assert only([row(k, due=100.0 * k, ok=k > 1) for k in range(20)]).cells["ttft_p95_ms"].value == math.inf


def test_what_keeps_up_comes_back_at_the_rate_it_was_offered() -> None:
    steady = only([row(k, due=100.0 * k) for k in range(50)])
    assert value(steady, "achieved_share") == pytest.approx(1.0)
    assert value(steady, "achieved_per_s") == pytest.approx(10.0)
    # every reply 25 ms later than the one before: 125 ms apart instead of 100
    late = only([row(k, due=100.0 * k, e2e=500 + 25.0 * k) for k in range(50)])
    assert value(late, "achieved_share") == pytest.approx(0.8)
    half = only([row(k, due=100.0 * k, ok=k % 2 == 0) for k in range(50)])
    assert value(half, "achieved_share") == pytest.approx(0.5, rel=0.05)
    assert only([row(0, due=0.0, ok=False)]).cells["achieved_share"].value == 0


def test_one_slow_reply_does_not_make_a_slow_rate() -> None:
    one = only([row(k, due=100.0 * k, e2e=500 if k < 99 else 60_000) for k in range(100)])
    assert value(one, "achieved_share") == pytest.approx(1.0)


def test_throughput_of_a_closed_loop_is_measured_against_the_lowest_level() -> None:
    rows = [row(50 * k, stage=0, level=1.0) for k in range(10)]  # one slot, 500 ms each: 2/s
    rows += [row(25 * k, stage=1, level=4.0) for k in range(20)]  # four slots: about 4/s instead of 8/s
    one, four = levels(rows, {})
    assert value(one, "achieved_share") == pytest.approx(1.0)
    # 10 in 9·500 + 500 ms = 2/s; 20 in 19·250 + 500 ms = 3.81/s of 4·2
    assert value(four, "achieved_share") == pytest.approx(20 / 5.25 / 8)


@pytest.mark.parametrize(
    ("slo", "met"),
    [
        ({}, None),
        ({"ttft": {"p95": 100 * MS}}, True),
        ({"ttft": {"p95": 99 * MS}}, False),
        ({"e2e": {"p50": 500 * MS, "p99": 499 * MS}}, False),
        ({"tpot": {"p50": 4 * MS}, "error_rate": {"max": 0.0}}, True),
        ({"goodput": {"ttft": 1, "min": 0.9}}, None),  # judged elsewhere: over single requests
    ],
)
def test_a_level_meets_the_slo_when_every_limit_holds(slo, met) -> None:
    assert only([row(k, due=100.0 * k) for k in range(20)], slo).meets_slo is met


def test_what_our_own_instrument_spoiled_says_nothing_of_latency() -> None:
    rows = [row(k, due=100.0 * k) for k in range(20)] + [row(20, due=2000.0, ttft=9000, spoiled=True)]
    one = only(rows, {"ttft": {"p99": 100 * MS}})
    assert (one.n, one.meets_slo) == (20, True)
    nothing = only([row(k, due=100.0 * k, spoiled=True) for k in range(20)], {"ttft": {"p99": 100 * MS}})
    assert (nothing.n, value(nothing, "ttft_p50_ms"), value(nothing, "failed_share"), nothing.meets_slo) == (
        0,
        None,
        None,
        False,
    )


def test_error_rates_above_the_limit_miss_it() -> None:
    rows = [row(k, due=100.0 * k, ok=k > 0) for k in range(20)]
    assert only(rows, {"error_rate": {"max": 0.05}}).meets_slo is True
    assert only(rows, {"error_rate": {"max": 0.04}}).meets_slo is False


def test_rows_outside_sweeps_and_warm_up_make_no_level() -> None:
    assert levels([row(0, level=None), row(1, level=math.nan), row(2, phase="warmup")], {}) == []
