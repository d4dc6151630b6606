"""Macro-F1 and invalid labels: the arithmetic, the interval, and where they are shown."""

import math

import numpy as np
import pytest

from bench import tabulate
from bench.record import Case, Reply
from bench.score.label import INVALID, Label
from bench.stats import labels, scale, windows
from bench.stats.beside import beside
from bench.stats.labels import NO_LABEL, READING, macro_f1
from bench.stats.pool import Source, manifest_of, pooled
from bench.stats.summary import summary_rows
from bench.stats.table import ATTEMPT_COLUMNS, build
from bench.store import runs
from bench.store.columns import Columns
from bench.store.parquet import write_table
from tests.unit.stats_example import CLOUDS, COMPLETE, NO_ATTEMPTS, request, requests, score, scores
from tests.unit.stored_example import arrow, store
from tests.unit.test_stats_scale import close, columns_of


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
    assert macro_f1(pairs) == pytest.approx(expected)


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


# ---------------------------------------------------------------- column by column

WORDS = ("refund", "delivery", "billing", "other")


def classified(results, run_id, **example):
    """A stored run whose replies were judged by two label scorers and by one of facts, with all that can go wrong in a score."""
    folder = store(results, run_id, clouds=CLOUDS[:2], prompts=120, **example)
    run = runs.open_run(folder)
    rng = np.random.default_rng(len(run_id))
    rows = []
    for _, row in run.requests[["target", "seq", "case_id", "outcome"]].iterrows():
        if row.outcome != "ok":
            # a score of a reply that did not end ok is stored, and is none
            rows.append(labelled(row.target, row.seq, "refund", "refund"))
            continue
        gold = WORDS[int(row.case_id[5:]) % 4]
        said = WORDS[rng.integers(4)] if rng.random() < 0.2 else gold
        made = labelled(row.target, row.seq, said, gold)
        if rng.random() < 0.1:
            made |= {
                "value": 0.0,
                "reason": f"said {NO_LABEL}; gold {gold}; no label of the list: 'Well {row.seq}; or so'",
            }
        made |= rng.choice(
            [{}, {}, {}, {}, {}, {}, {"value": None}, {"reason": "not what it writes"}, {"reason": None}]
        )
        rows += [score(row.target, row.seq, float(said == gold)), made]
        if rng.random() < 0.3:  # a second scorer of labels, which says something else: the first counts
            rows.append(labelled(row.target, row.seq, "other", gold) | {"scorer": "second"})
    rows.append(labelled("nobody", 3, "other", "other"))
    rows.append(labelled("anthropic", 9_999, "other", "other"))
    judged = scores(rows).assign(run_id=run_id)
    # of one request the first score counts, wherever the others stand
    judged = judged.sample(frac=1, random_state=3)
    write_table(folder / "scores.parquet", "scores", arrow("scores", judged))
    return runs.open_run(folder)


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two runs with labels."""
    folder = tmp_path_factory.mktemp("labels")
    return [classified(folder, name, day=day) for day, name in enumerate(("one", "night-two"))]


LABEL_FIGURES = ("label_macro_f1", "label_invalid_share")


def both_figures(table):
    return {(row.target, name): row.cells[name] for row in table.rows for name in LABEL_FIGURES}


def test_column_by_column_labels_have_the_same_figures(nights, monkeypatch):
    run = nights[0]
    attempts = run.frame("attempts", ATTEMPT_COLUMNS)
    plain = build(run.requests, attempts, run.scores, run.manifest)
    found = both_figures(plain)
    assert len(found) == 4
    assert all(cell.low < cell.value < cell.high and cell.n > 60 for cell in found.values())
    # cut into stretches of a few rows, whose reasons are other ones in each
    monkeypatch.setattr("bench.store.columns.BATCH_ROWS", 64)
    monkeypatch.setattr(tabulate, "COLUMN_ROWS", 10)
    monkeypatch.setattr(tabulate, "build", lambda *_: pytest.fail("read as data frames"))
    many = tabulate.of_run(run)
    close(plain, many)
    assert any(note.startswith("labels, of the requests that ended ok: anthropic macro-F1") for note in many.notes)


def test_pooled_runs_have_the_labels_of_each(nights):
    sources = [Source(run.requests, NO_ATTEMPTS, run.scores, run.manifest) for run in nights]
    facts = manifest_of([run.manifest for run in nights])
    together = pooled(sources)
    plain = build(together.requests, NO_ATTEMPTS, together.scores, facts)
    assert plain.row("anthropic").cells["label_macro_f1"].n > 160
    stored = (Columns(tuple(run.path for run in nights), name) for name in ("requests", "attempts", "scores"))
    close(both_figures(plain), both_figures(scale.build(*stored, facts)))


def test_runs_side_by_side_have_the_labels_of_each(nights):
    sources = [Source(run.requests, NO_ATTEMPTS, run.scores, run.manifest) for run in nights]
    cells = both_figures(beside(sources))
    for run, source in zip(nights, sources, strict=True):
        alone = both_figures(build(source.requests, NO_ATTEMPTS, source.scores, source.manifest))
        for (target, name), cell in alone.items():
            assert cells[f"{target} @{run.manifest['run_id']}", name] == cell


def test_groups_beyond_a_thousand_are_put_together_before_they_are_drawn(nights, monkeypatch):
    run = nights[0]
    before = both_figures(build(run.requests, NO_ATTEMPTS, run.scores, run.manifest))
    monkeypatch.setattr(windows, "MOST_GROUPS", 8)
    plain = both_figures(build(run.requests, NO_ATTEMPTS, run.scores, run.manifest))
    close(plain, both_figures(scale.build(*columns_of(run.path), run.manifest)))
    f1 = ("anthropic", "label_macro_f1")
    assert plain[f1].value == before[f1].value
    assert (plain[f1].low, plain[f1].high) != (before[f1].low, before[f1].high)


def test_no_more_memory_is_kept_of_reasons_than_what_was_said_with_what_is_right():
    pairs = labels.Pairs()
    reasons = [f"said {NO_LABEL}; gold x; no label of the list: 'text {n}'" for n in range(500)]
    assert pairs.of([*reasons, "said x; gold x", None, "nothing"]).tolist() == [0] * 500 + [1, -1, -1]
    assert list(pairs.known) == [(NO_LABEL, "x"), ("x", "x")]
