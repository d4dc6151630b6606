"""Macro-F1 and invalid labels: the arithmetic, the interval, and where they are shown."""

import math

import numpy as np
import pytest

from bench.record import Case, Reply
from bench.score.label import INVALID, Label
from bench.stats.labels import NO_LABEL, READING, macro_f1
from bench.stats.table import build, summary_rows
from tests.unit.stats_example import COMPLETE, NO_ATTEMPTS, request, requests, score, scores


def labelled(target: str, seq: int, said: str, gold: str) -> dict:
    return score(target, seq, float(said == gold), "label") | {
        "scorer_type": "label",
        "reason": f"said {said}; gold {gold}",
    }


def table_of(pairs: list[tuple[str, str]], *more: dict, **changes):
    rows = [request("a", n, **changes) for n in range(len(pairs))]
    judged = [labelled("a", n, said, gold) for n, (said, gold) in enumerate(pairs)]
    return build(requests(rows), NO_ATTEMPTS, scores([*judged, *more]), COMPLETE)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("x", "x"), ("y", "y")], 1.0),
        # x: hit 1, said 2, gold 1: 2/3. y: hit 0: 0. Mean 1/3.
        ([("x", "x"), ("x", "y")], 1 / 3),
        # x: hits 2, said 2, gold 3: 4/5. y: hit 1, said 1, gold 1: 1. Mean 0.9; the invalid one has no F1 of its own.
        ([("x", "x"), ("x", "x"), (NO_LABEL, "x"), ("y", "y")], 0.9),
        # z is said and never gold: x hit 1, said 1, gold 2: 2/3.
        ([("x", "x"), ("z", "x")], 2 / 3),
        ([(NO_LABEL, "x")], 0.0),
    ],
)
def test_macro_f1_by_hand(pairs, expected):
    said, gold = (np.array(column) for column in zip(*pairs, strict=True))
    assert macro_f1(said, gold) == pytest.approx(expected)


def test_what_the_scorer_writes_is_what_is_read():
    scorer = Label("label", ["x_y", "z"])
    for text, said in (("x_y", "x_y"), ("z", "z"), ("no; gold nonsense", INVALID), ("", INVALID)):
        reason = scorer.score(Case("c", (), {"label": "x_y"}), Reply(text=text)).reason
        assert READING.match(reason).groupdict() == {"said": said, "gold": "x_y"}
    assert INVALID == NO_LABEL


def test_both_figures_stand_in_the_table_with_their_intervals():
    # 40 requests of two labels: every tenth is invalid, every fifth of the rest says the other label.
    pairs = []
    for n in range(40):
        gold = "xy"[n % 2]
        pairs.append((NO_LABEL if n % 10 == 9 else "yx"[n % 2] if n % 5 == 2 else gold, gold))
    table = table_of(pairs)
    f1, invalid = (table.row("a").cells[name] for name in ("label_macro_f1", "label_invalid_share"))
    # invalid: n = 9, 19, 29, 39. Wrong: n = 2, 7, 12, ..., 37, four of each label.
    # x: gold 20, hits 16 (four wrong), said 16 + 4 = 20: 32/40. y: gold 20, hits 20-4-4 = 12, said 12 + 4 = 16: 24/36.
    assert f1.value == pytest.approx((32 / 40 + 24 / 36) / 2)
    assert invalid.value == pytest.approx(0.1)
    assert f1.low < f1.value < f1.high
    assert invalid.low < 0.1 < invalid.high
    assert f1.n == invalid.n == 40
    assert any(note.startswith("labels, of the requests that ended ok: a macro-F1 73") for note in table.notes)
    stored = {row["metric"]: row["value"] for row in summary_rows(table, "r1")}
    assert stored["label_macro_f1"] == pytest.approx(f1.value)


def test_failed_requests_have_no_label():
    table = table_of([("x", "x"), ("y", "y"), ("x", "x")], outcome="timeout")
    assert table.row("a").cells["label_macro_f1"].value is None
    assert not any(note.startswith("labels") for note in table.notes)


def test_a_run_without_labels_has_neither_figure():
    table = build(requests([request("a", 0)]), NO_ATTEMPTS, scores([score("a", 0, 1.0)]), COMPLETE)
    cell = table.row("a").cells["label_invalid_share"]
    assert cell.value is None
    assert cell.warnings == ("no labels were scored",)


def test_rare_labels_are_said_to_make_the_interval_rough():
    cell = table_of([("x", "x"), ("y", "y")] * 6).row("a").cells["label_macro_f1"]
    assert "fewer than 10 requests of 2 labels: the interval is rough" in cell.warnings


def test_the_interval_is_the_same_for_the_same_seed():
    pairs = [("x", "x"), ("y", "x"), ("y", "y"), ("x", "x")] * 10
    one, two = (table_of(pairs).row("a").cells["label_macro_f1"] for _ in range(2))
    assert (one.low, one.high) == (two.low, two.high)
    assert not math.isclose(one.low, one.high)


def test_a_target_six_points_worse_is_found_worse():
    """1,200 labelled rows each: 92 % against 86 % right on the same items."""
    n, rng = 1200, np.random.default_rng(5)
    base = rng.random(n) < 0.92
    worse = base & (rng.random(n) < 0.86 / 0.92)
    rows = [request(t, seq, block_id=seq // 25) for seq in range(n) for t in ("a", "b")]
    judged = [
        labelled(t, seq, "xyz"[seq % 3] if right[seq] else NO_LABEL, "xyz"[seq % 3])
        for seq in range(n)
        for t, right in (("a", base), ("b", worse))
    ]
    table = build(requests(rows), NO_ATTEMPTS, scores(judged), COMPLETE)
    found = table.comparison("b", "quality")
    assert found.verdict == "worse"
    assert found.high < 0
    a, b = (table.row(t).cells["label_macro_f1"] for t in ("a", "b"))
    assert b.high < a.low
