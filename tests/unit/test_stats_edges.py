"""Runs with nothing to hold on to: every table is built, rendered and stored, and says what it cannot know."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import numpy as np
import pytest

from bench.report import data, markdown, terminal
from bench.stats.groups import compact
from bench.stats.quantiles import quantile
from bench.stats.summary import summary_rows
from bench.stats.table import build
from bench.stats.windows import MOST_GROUPS, block_seconds, folded

from .stats_example import COMPLETE, NO_ATTEMPTS, NO_SCORES, request, requests, score, scores

FAILED = {
    "outcome": "timeout",
    "ttft_ms": None,
    "tpot_ms": None,
    "first_token_ns": None,
    "output_tokens": None,
    "cost_usd": None,
}
SLO = {"goodput": {"ttft": 10**8, "tpot": 10**8, "e2e": 10**9}}


def run(targets="ab", n=96, change=lambda target, seq: {}):
    return [request(target, seq, **change(target, seq)) for seq in range(n) for target in targets]


EDGES = {
    "nothing": [],
    "one request": run("ab", 1),
    "one request that failed": run("ab", 1, lambda t, s: FAILED),
    "all equal": run(),
    "all failed": run(change=lambda t, s: FAILED),
    "one target failed altogether": run(change=lambda t, s: FAILED if t == "b" else {}),
    "all spoiled": run(change=lambda t, s: {"spoiled": True}),
    "one block": run(change=lambda t, s: {"block_id": 0}),
    "no block in common": run(change=lambda t, s: {"block_id": s // 4 + (100 if t == "b" else 0)}),
    "two blocks": run("ab", 8),
    "no time at all": run(change=lambda t, s: {"ttft_ms": 0.0, "e2e_ms": 0.0, "e2e_all_ms": 0.0, "tpot_ms": 0.0, "sent_ns": 0,
                                               "first_token_ns": 0, "end_ns": 0}),
    "one value is enormous": run(change=lambda t, s: {"e2e_all_ms": 1e12} if s == 7 else {}),
    "every second one failed": run(change=lambda t, s: FAILED if s % 2 else {}),
}  # fmt: skip


@lru_cache(maxsize=32)
def table(name):
    rows = EDGES[name]
    judged = [score(r["target"], r["seq"], float(r["seq"] % 3 > 0)) for r in rows if r["outcome"] == "ok"]
    manifest = {**COMPLETE, "workload": {"name": "w", "slo": SLO}}
    return build(requests(rows), NO_ATTEMPTS, scores(judged) if judged else NO_SCORES, manifest)


@pytest.mark.parametrize("name", EDGES)
def test_every_edge_is_rendered_stored_and_ordered(name):
    built = table(name)
    for width in (40, 100):
        assert terminal.render(built, width, color=False)
    assert markdown.render(built)
    json.dumps(data.as_dict(built), allow_nan=False)
    figures = [cell for row in built.rows for cell in row.cells.values()] + list(built.comparisons)
    for figure in figures:
        for end in (figure.value, figure.low, figure.high):
            assert end is None or not math.isnan(end)
        if figure.value is None:
            assert figure.low is None
            assert figure.high is None
        else:
            assert figure.low is None or figure.low <= figure.value
            assert figure.high is None or figure.value <= figure.high
        assert figure.n >= 0
        assert figure.n_eff is None or 0 < figure.n_eff <= figure.n + 1e-9
    for row in summary_rows(built, "r"):
        assert row["low"] is None or not math.isnan(row["low"])


@pytest.mark.parametrize("name", [name for name in EDGES if name not in {"all equal", "no time at all"}])
def test_no_edge_earns_a_word_that_its_data_do_not_bear(name):
    words = {c.verdict for c in table(name).comparisons if c.primary}
    if name == "one target failed altogether":
        assert {"slower", "worse"} <= words
    elif name == "one value is enormous":
        assert words <= {"equivalent", "inconclusive"}
    elif name == "every second one failed":
        # both fail at the same requests, and cost the same when they do not
        assert words <= {"equivalent", "inconclusive"}
    else:
        assert words <= {"inconclusive"}


def test_one_block_bounds_no_quantile_and_no_rate():
    cells = table("one block").row("a").cells
    for name in ("ttft_p50_ms", "e2e_p99_ms", "system_tokens_per_s", "goodput_per_s", "usd_per_correct"):
        assert (cells[name].low, cells[name].high) == (None, None), name


def test_blocks_without_a_partner_are_in_no_comparison():
    built = table("no block in common")
    assert all(c.value is None and c.n == 0 for c in built.comparisons)
    assert all(c.verdict == "inconclusive" for c in built.comparisons if c.primary)
    assert built.row("a").n == 96


def test_a_whole_block_without_a_partner_is_said():
    rows = [r for r in run() if not (r["target"] == "b" and (r["block_id"] == 5 or r["seq"] == 90))]
    built = build(requests(rows), NO_ATTEMPTS, NO_SCORES, COMPLETE)
    assert built.comparison("b", "ttft_p50_ms").blocks == 23
    assert "b against a: 5 requests without a partner left out (1 whole block among them)" in built.notes


@pytest.mark.parametrize(
    "bad",
    [
        {"first_token_ns": 5 * 10**9 - 1},  # before its own send
        {"end_ns": 5 * 10**9 - 1},
        {"end_ns": 5 * 10**9 + 50_000_000},  # before its first token
        {"e2e_all_ms": -math.inf},
        {"retry_wait_ms": -1.0},
    ],
)
def test_stamps_out_of_order_raise_the_alarm_and_are_left_out_and_counted(bad):
    built = build(requests(run("a", 8, lambda t, s: bad if s == 5 else {})), NO_ATTEMPTS, NO_SCORES, COMPLETE)
    assert built.row("a").n == 7
    assert built.alarms[0].startswith("1 row with a negative, infinite or missing duration, or stamps out of order")
    assert "1 of a; seq 5" in built.alarms[0]


def test_an_open_upper_end_is_written_as_such():
    rows = run("a", 96, lambda t, s: {"e2e_all_ms": 300.0 + s})
    built = build(requests(rows), NO_ATTEMPTS, NO_SCORES, COMPLETE)
    assert built.row("a").cells["e2e_p99_ms"].high is None
    assert "–∞" in terminal.render(built, 100, color=False)
    assert "–∞" in markdown.render(built)


@pytest.mark.parametrize("step", [1.0, 10.0, 100.0])
def test_a_coarse_clock_makes_ties_and_the_interval_still_holds_the_fine_one(step):
    rng = np.random.default_rng(4)
    fine, blocks = rng.lognormal(5, 0.4, 2000), np.arange(2000) // 40
    for p in (0.5, 0.99):
        sharp, coarse = quantile(fine, blocks, p), quantile(np.ceil(fine / step) * step, blocks, p)
        assert coarse.estimate == math.ceil(sharp.estimate / step) * step
        assert coarse.interval().low <= math.ceil(sharp.estimate / step) * step <= coarse.interval().high


# ---------------------------------------------------------------- groups and windows


def test_groups_are_numbered_without_gaps_in_their_order():
    assert compact(np.array([7, 2, 7, 5])).tolist() == [2, 0, 2, 1]
    assert compact(np.array([], dtype=np.int64)).tolist() == []


def test_many_groups_are_put_together_with_their_neighbours():
    few, count = folded(np.array([0, 1, 2]))
    assert (few.tolist(), count) == ([0, 1, 2], 3)
    many, count = folded(np.arange(10 * MOST_GROUPS))
    assert count == MOST_GROUPS
    assert np.bincount(many).tolist() == [10] * MOST_GROUPS
    assert (np.diff(many) >= 0).all()


def test_blocks_share_the_window_out_by_their_first_starts():
    starts, ends = np.array([0, 1, 4, 5]) * 1e9, np.array([2, 9, 5, 6]) * 1e9
    # block 0 from 0 to 4 s, block 1 from 4 s to the last end at 9 s
    assert block_seconds(starts, ends, np.array([0, 0, 1, 1]), 2).tolist() == [4, 5]
    # only the first reply came, at 2 s: what began later has no time
    came = np.where([True, False, False, False], ends, math.nan)
    assert block_seconds(starts, came, np.array([0, 0, 1, 1]), 2).tolist() == [2, 0]
    assert block_seconds(starts, np.full(4, math.nan), np.array([0, 0, 1, 1]), 2).tolist() == [0, 0]
