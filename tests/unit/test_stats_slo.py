"""Which single requests met the service level, and goodput made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.stats.slo import limits_ms, within, words
from bench.stats.table import build

from .stats_example import COMPLETE, NO_ATTEMPTS, NO_SCORES, request, requests

MS = 1_000_000


@pytest.mark.parametrize(
    ("slo", "limits"),
    [
        ({}, {}),
        ({"goodput": {"ttft": 2000 * MS, "tpot": None, "min": 0.95}, "e2e": {"p99": 9 * MS}}, {"ttft": 2000}),
        ({"goodput": {"itl": 200 * MS}}, {"itl": 200}),
        # no limits of its own: those of the highest percentile of each kind
        ({"ttft": {"p50": 500 * MS, "p95": 1500 * MS, "p99": None}, "e2e": {"p99": 30_000 * MS}}, {"ttft": 1500, "e2e": 30_000}),
        ({"goodput": {"min": 0.9}, "error_rate": {"max": 0.01}}, {}),
    ],
)  # fmt: skip
def test_the_limits_of_single_requests(slo, limits):
    assert limits_ms(slo) == limits


def test_a_request_is_good_when_it_is_ok_and_inside_every_limit():
    values = {"ttft": np.array([100.0, 100, 101, math.inf, math.nan]), "tpot": np.array([20.0, 21, 20, 5, 5])}
    ok = np.array([True, True, True, False, True])
    good, unknown = within({"ttft": 100, "tpot": 20}, values, ok, np.full(5, 50.0))
    assert good.tolist() == [1, 0, 0, 0, 0]
    assert unknown.tolist() == [False, False, False, False, True]


def test_a_reply_of_one_token_has_no_gap_to_be_slow():
    values = {"tpot": np.array([math.nan, math.nan, math.nan]), "itl": np.array([math.nan, 4.0, math.nan])}
    good, unknown = within({"tpot": 20, "itl": 5}, values, np.ones(3, dtype=bool), np.array([1.0, 1.0, 30.0]))
    assert good.tolist() == [1, 1, 0]
    assert unknown.tolist() == [False, False, True]


def test_limits_are_written_as_words():
    assert words({"ttft": 2000.0, "itl": 80.0}) == "TTFT 2000 ms, longest gap 80 ms"


def table(rows, slo):
    return build(requests(rows), NO_ATTEMPTS, NO_SCORES, {**COMPLETE, "workload": {"name": "w", "slo": slo}})


def test_goodput_is_good_requests_over_the_measured_window():
    # 96 requests a second apart; every fourth needs 200 ms to its first token, and two fail: 96 - 24 - 2 are good.
    # First start at 0 s, last end at 95 s + 300 ms.
    def change(seq):
        if seq in {1, 2}:
            return {"outcome": "server"}
        return {"ttft_ms": 200.0, "first_token_ns": seq * 10**9 + 200 * MS} if seq % 4 == 0 else {}

    built = table(
        [request("a", seq, **change(seq)) for seq in range(96)], {"goodput": {"ttft": 150 * MS, "e2e": 300 * MS}}
    )
    cell = built.row("a").cells["goodput_per_s"]
    assert cell.value == pytest.approx(70 / 95.3)
    assert cell.low < cell.value < cell.high
    assert built.row("a").cells["within_slo_share"].value == pytest.approx(70 / 96)
    assert "goodput_per_s" in [m.name for m in built.columns]
    assert "goodput: requests per second that ended ok within TTFT 150 ms, E2E 300 ms" in built.notes


def test_without_limits_goodput_is_no_column_and_says_why():
    built = table([request("a", seq) for seq in range(8)], {"error_rate": {"max": 0.1}})
    assert "goodput_per_s" not in [m.name for m in built.columns]
    assert built.row("a").cells["goodput_per_s"].warnings == ("the workload's slo limits no single request",)


def test_a_duration_that_is_not_known_is_not_good_and_said():
    rows = [request("a", seq, **({"ttft_ms": None, "first_token_ns": None} if seq % 2 else {})) for seq in range(96)]
    built = table(rows, {"goodput": {"ttft": 150 * MS}})
    cell = built.row("a").cells["goodput_per_s"]
    assert cell.value == pytest.approx(48 / 95.3)
    assert cell.warnings == ("48 of 96 ok requests: a duration that the slo limits is not known, and counts as missed",)


def test_goodput_is_compared_over_the_same_blocks():
    def change(target, seq):
        return {"outcome": "server"} if target == "b" and seq % 2 else {}

    rows = [request(target, seq, **change(target, seq)) for seq in range(96) for target in "ab"]
    built = table(rows, {"goodput": {"ttft": 150 * MS}})
    ratio, share = built.comparison("b", "goodput_per_s"), built.comparison("b", "within_slo_share")
    # every block of four has two good ones at b and four at a: the ratio never varies
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert share.value == -0.5
    assert not ratio.primary
    assert ratio.verdict is None
    assert ratio.p_bh < 0.05
