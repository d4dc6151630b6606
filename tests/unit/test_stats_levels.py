"""The levels of a sweep have intervals too, and say when those leave the answer open."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.report import data, level_columns, markdown, slo_words, terminal
from bench.stats.levels import levels
from bench.stats.table import build

from .stats_example import COMPLETE, NO_ATTEMPTS, NO_SCORES, request, requests
from .test_sweep import MS, row


def of(rows, slo=None):
    [one] = levels(rows, slo or {})
    return one


def opened(n, **more):
    return [row(k, due=100.0 * k, **more) for k in range(n)]


def test_every_figure_of_a_level_is_a_cell_with_its_interval():
    rows = [row(k, due=100.0 * k, ttft=80.0 + k % 10, ok=k % 25 != 0) for k in range(200)]
    one = of(rows, {"goodput": {"ttft": 85 * MS}})
    assert (one.n, one.blocks) == (200, 50)
    for name, cell in one.cells.items():
        assert cell.value is not None, name
        assert cell.low is not None, name
        assert cell.low <= cell.value, name
        assert cell.high is None or cell.value <= cell.high, name
        assert cell.method, name
    # 8 of 200 failed; the first token comes after 80 to 89 ms, six of ten within 85, and 0, 25, 50 ... would have been:
    # 25 k mod 10 is 0 or 5, so all 8 that failed are missing from the 120
    assert one.cells["failed_share"].value == 0.04
    assert one.cells["goodput_per_s"].value == pytest.approx(10 * 112 / 200, rel=0.02)


def test_leaving_the_intervals_out_changes_no_figure():
    rows = [row(k, due=100.0 * k, ttft=80.0 + k % 10, ok=k % 25 != 0) for k in range(100)]
    rows += [row(25 * k, stage=1, level=4.0, target="b") for k in range(20)]
    slo = {"goodput": {"ttft": 85 * MS}, "ttft": {"p50": 90 * MS}}
    for cheap, full in zip(levels(rows, slo, intervals=False), levels(rows, slo), strict=True):
        assert {name: cell.value for name, cell in cheap.cells.items()} == pytest.approx(
            {name: cell.value for name, cell in full.cells.items()}, nan_ok=False
        )
        assert cheap.meets_slo == full.meets_slo


@pytest.mark.parametrize(
    ("rows", "limit_ms", "words"),
    [
        (opened(2000), 100, "met"),
        (opened(2000), 99, "missed"),
        # p99 of 40 requests has no upper end: it may be met, and nothing shows it
        (opened(40), 100, "likely met"),
        # one in fifty is slow: p99 is, but of 100 requests the interval reaches down to the others
        ([row(k, due=100.0 * k, ttft=200 if k % 50 == 7 else 100) for k in range(100)], 150, "likely missed"),
    ],
)
def test_a_level_that_is_not_settled_says_likely(rows, limit_ms, words):
    assert slo_words(of(rows, {"ttft": {"p99": limit_ms * MS}})) == words


def test_a_level_without_limits_has_no_word():
    assert slo_words(of(opened(20))) == "–"


def test_failures_in_one_block_widen_the_failed_share_more_than_scattered_ones():
    clumped = of([row(k, due=100.0 * k, ok=k >= 8) for k in range(200)]).cells["failed_share"]
    scattered = of([row(k, due=100.0 * k, ok=k % 25 != 0) for k in range(200)]).cells["failed_share"]
    assert clumped.value == scattered.value == 0.04
    assert clumped.n_eff < scattered.n_eff
    assert clumped.high > scattered.high


def test_a_level_of_one_request_bounds_nothing():
    one = of(opened(1))
    assert one.cells["ttft_p50_ms"].value == 100
    assert (one.cells["ttft_p50_ms"].low, one.cells["ttft_p50_ms"].high) == (None, None)


def test_a_level_that_failed_altogether_is_infinitely_slow_and_brings_nothing():
    one = of(opened(200, ok=False), {"goodput": {"ttft": 85 * MS}, "error_rate": {"max": 0.01}})
    assert one.cells["ttft_p50_ms"].value == math.inf
    assert one.cells["achieved_share"].value == 0
    assert one.cells["goodput_per_s"].value == 0
    assert slo_words(one) == "missed"


def swept():
    made = []
    for target in "ab":
        for stage, level in enumerate((1.0, 2.0, 4.0)):
            for k in range(40):
                seq = stage * 40 + k
                late = {"ttft_due_ms": 100.0 + (k % 7) * level, "e2e_due_ms": 300.0 + (k % 7) * level}
                due = stage * 10**11 + int(k * 1e9 / level)
                made.append(request(target, seq, stage=stage, level=level, due_ns=due, sent_ns=due, lateness_ms=0.0,
                                    first_token_ns=due + 100 * MS, end_ns=due + 300 * MS, **late))  # fmt: skip
    manifest = {
        **COMPLETE,
        "workload": {"name": "w", "slo": {"goodput": {"ttft": 110 * MS}, "ttft": {"p50": 120 * MS}}},
    }
    return build(requests(made), NO_ATTEMPTS, NO_SCORES, manifest)


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 140])
def test_the_terminal_shows_every_level_in_the_width_there_is(width):
    text = terminal.render(swept(), width, color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    for level in ("level 1", "level 2", "level 4"):
        assert text.count(level) >= 2
    assert "goodput/s" in text


def test_markdown_and_data_carry_the_same_cells():
    table = swept()
    text = markdown.render(table)
    assert "goodput/s" in text
    assert text.count("10 blocks") == 6
    stored = data.as_dict(table)["levels"][0]["cells"]["ttft_p95_ms"]
    assert set(stored) >= {"value", "low", "high", "n", "n_eff", "method", "warnings"}


def test_goodput_is_a_column_only_where_there_is_one():
    table = swept()
    assert "goodput_per_s" in level_columns(table)
    bare = tuple(replace(one, cells=of(opened(4)).cells) for one in table.levels)
    assert "goodput_per_s" not in level_columns(replace(table, levels=bare))
