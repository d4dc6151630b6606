"""Durations derived from stamps, and figures written with no more digits than their intervals support."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import BY_NAME, DISPLAY, HEADLINE, METRICS, derive_row, figure, plural, roughly
from bench.record import REQUESTS, SCORES

MS = 1_000_000


NO_STREAM = {"ttft_ms", "ttft_text_ms", "ttft_due_ms", "tpot_ms", "icl_max_ms"}


def row(**changes):
    stamps = {
        "first_sent_ns": 12 * MS, "final_sent_ns": 500 * MS, "due_ns": 10 * MS, "headers_ns": 590 * MS,
        "first_byte_ns": 595 * MS, "content_ns": [600 * MS, 640 * MS, 700 * MS, 720 * MS], "first_text_ns": 640 * MS,
        "end_ns": 725 * MS, "output_tokens": 5, "streamed": True,
    }  # fmt: skip
    return derive_row(**(stamps | changes))


def test_durations_worked_by_hand():
    assert row() == {
        "ttft_ms": 100.0,  # 600 - 500
        "ttft_text_ms": 140.0,  # 640 - 500
        "ttfb_ms": 95.0,  # 595 - 500
        "e2e_ms": 225.0,  # 725 - 500
        "tpot_ms": 30.0,  # (720 - 600) / 4
        "icl_max_ms": 60.0,  # 700 - 640
        "lateness_ms": 2.0,  # 12 - 10
        "e2e_due_ms": 715.0,  # 725 - 10
        "ttft_due_ms": 590.0,  # 600 - 10
        "e2e_all_ms": 713.0,  # 725 - 12
    }


def test_the_longest_gap_is_between_reads_never_inside_one():
    # reads at 600 (two events), 640 (one) and 720 (three): 80 ms is the longest known gap; those inside are unknown
    times = [600 * MS, 600 * MS, 640 * MS, 720 * MS, 720 * MS, 720 * MS]
    assert row(content_ns=times)["icl_max_ms"] == 80.0
    assert row(content_ns=tuple(times))["icl_max_ms"] == 80.0


def test_durations_are_the_stored_columns():
    assert set(row()) <= {column.name for column in REQUESTS}


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"due_ns": None}, {"lateness_ms", "e2e_due_ms", "ttft_due_ms"}),
        ({"content_ns": [600 * MS] * 4}, {"tpot_ms", "icl_max_ms"}),
        ({"content_ns": [600 * MS]}, {"tpot_ms", "icl_max_ms"}),
        ({"output_tokens": 1}, {"tpot_ms"}),
        ({"output_tokens": None}, {"tpot_ms"}),
        ({"content_ns": [], "first_text_ns": None}, NO_STREAM),
        ({"streamed": False}, NO_STREAM),
        ({"first_text_ns": None}, {"ttft_text_ms"}),
        ({"first_byte_ns": None, "headers_ns": None}, {"ttfb_ms"}),
    ],
)  # fmt: skip
def test_what_the_stamps_cannot_tell_is_none_and_nothing_else_is(changes, unknown):
    assert {name for name, value in row(**changes).items() if value is None} == unknown


@settings(derandomize=True, max_examples=50)
@given(
    st.lists(st.integers(0, 10**12), min_size=2, max_size=30).map(sorted), st.integers(2, 500), st.integers(0, 10**9)
)
def test_shifting_every_stamp_changes_no_duration(content, tokens, shift):
    def at(offset):
        return row(
            first_sent_ns=offset, final_sent_ns=offset, due_ns=offset, first_byte_ns=content[0] + offset,
            content_ns=[c + offset for c in content], first_text_ns=content[0] + offset, end_ns=content[-1] + offset,
            output_tokens=tokens,
        )  # fmt: skip

    assert at(shift) == at(0)
    assert all(value is None or value >= 0 for value in at(0).values())


def test_metrics_are_named_once_explained_in_a_sentence_and_made_of_stored_columns():
    stored = {column.name for column in REQUESTS + SCORES}
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert set(metric.columns) <= stored
        assert metric.definition.endswith(".")
        assert metric.unit in DISPLAY
    assert [m.name for m in HEADLINE] == [m.name for m in METRICS if m.panel in {"speed", "delivery"}]


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "text", "interval"),
    [
        (612.4, 570.2, 654.9, "ms", "612", "570–655"),
        (17.34, 16.72, 17.91, "ms", "17.3", "16.7–18.0"),
        (6123.0, 5700.0, 6550.0, "ms", "6120", "5700–6550"),
        (12_345.0, 11_000.0, 14_000.0, "ms", "12,300", "11,000–14,000"),
        (1234.0, 900.0, 1800.0, "ms", "1200", "900–1800"),  # wider than half the value: two digits
        (1234.0, 980.0, None, "ms", "1200", "900–∞"),  # open above: two digits
        (1234.0, None, 1800.0, "ms", "1200", "0–1800"),
        (1234.0, None, None, "ms", "1200", "unbounded"),
        (100.0, 100.0, 100.0, "ms", "100.0", "100.0–100.0"),  # a point: four digits
        (math.inf, 2140.0, None, "ms", "fails", "2100–∞"),
        (math.inf, math.inf, None, "ms", "fails", ""),
        (math.inf, None, None, "USD", "∞", ""),
        (None, None, None, "ms", "–", ""),
        (1.0, 0.9581, 1.0, "share", "100", "95.8–100"),
        (0.0, 0.0, 0.0377, "share", "0.0", "0.0–3.8"),
        (0.901, 0.79, 0.956, "share", "90", "79–96"),
        (0.004512, 0.00412, 0.00503, "USD", "0.00451", "0.00412–0.00503"),
        (0.0, 0.0, 0.0, "USD", "0", "0–0"),
        (1.0, 1.0, 1.0, "ratio", "1.000", "1.000–1.000"),
        (0.843, 0.801, 0.882, "ratio", "0.843", "0.801–0.882"),
    ],
)  # fmt: skip
def test_figures_are_rounded_as_far_as_the_interval_supports(value, low, high, unit, text, interval):
    shown = figure(value, low, high, unit)
    assert (shown.text, shown.interval) == (text, interval)


def test_differences_carry_their_sign():
    assert figure(-0.031, -0.1, 0.02, "points", signed=True).text == "−3"
    assert figure(-0.031, -0.1, 0.02, "points", signed=True).interval == "−10 to +2"
    assert figure(0.05, 0.01, 0.09, "points", signed=True).text == "+5.0"
    assert figure(0.0, -0.04, 0.04, "points", signed=True).text == "0.0"


@settings(derandomize=True, max_examples=300)
@given(st.floats(1e-6, 1e7), st.floats(0, 3), st.floats(0, 0.999), st.sampled_from(["ms", "USD", "ratio"]))
def test_a_written_interval_contains_the_written_value_and_the_true_interval(value, above, below, unit):
    low, high = value * (1 - below), value * (1 + above)
    shown = figure(value, low, high, unit)
    text = float(shown.text.replace(",", ""))
    low_text, high_text = (float(end.replace(",", "")) for end in shown.interval.split("–"))
    assert low_text <= text <= high_text
    assert low_text <= low * (1 + 1e-5)
    assert high_text >= high * (1 - 1e-5)
    assert len(shown.text.replace(",", "").replace(".", "").strip("0")) <= 4


def test_forecasts_are_rounded_up_to_two_digits_and_nouns_agree():
    assert [roughly(n) for n in (0.2, 7, 44, 101, 409, 40_432, 1_000_000)] == [1, 7, 44, 110, 410, 41_000, 1_000_000]
    assert [plural(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
