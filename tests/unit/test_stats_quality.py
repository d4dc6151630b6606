"""Every scorer's own figures, what was never delivered, and the workload's bars, on rows whose arithmetic fits on paper."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.record import Reply
from bench.report import bars_of, markdown, terminal
from bench.score import correct, get, score_all
from bench.stats.quality import _word
from bench.stats.table import Table, build
from bench.workload import load_workload, verdict_facts
from tests.unit.stats_example import COMPLETE, NO_ATTEMPTS, request, requests, score, scores

ROOT = Path(__file__).parents[2]
N = 96
"""In blocks of four: 24 of them."""


def manifest(**workload) -> dict:
    return {**COMPLETE, "scorers": [{"name": "answer", "required": True, "weight": 1.0}, {"name": "cites", "weight": 0.5}],
            "workload": workload}  # fmt: skip


def made(change=lambda target, seq: {}, said=lambda target, seq: {"answer": 1.0}, **workload) -> Table:
    rows = [request(target, seq, **change(target, seq)) for target in "ab" for seq in range(N)]
    judged = [
        score(row["target"], row["seq"], value, scorer)
        for row in rows
        if row["outcome"] == "ok"
        for scorer, value in said(row["target"], row["seq"]).items()
    ]
    return build(requests(rows), NO_ATTEMPTS, scores(judged), manifest(**workload))


def test_means_are_over_what_a_scorer_judged_and_differences_over_the_pairs():
    """`a` is right on 72 of 96, `b` on 60 of the same; `cites` judges every second reply: 0.5 at a, 0.75 at b."""

    def said(target: str, seq: int) -> dict:
        given: dict = {"answer": float(seq % 4 != 0 and (target == "a" or seq % 8 != 1))}
        return given | ({"cites": 0.5 if target == "a" else 0.75} if seq % 2 else {"cites": None})

    a, b = made(said=said).judged
    assert list(a.scorers) == ["answer", "cites"]
    assert (a.scorers["answer"].value, b.scorers["answer"].value) == (72 / 96, 60 / 96)
    assert (a.scorers["cites"].value, a.scorers["cites"].n) == (0.5, 48)
    assert a.baseline is None
    assert a.differences == {}
    assert b.baseline == "a"
    gap = b.differences["answer"]
    assert (gap.value, gap.n) == (-12 / 96, 96)
    assert gap.low < -12 / 96 < gap.high < 0
    assert b.differences["cites"].value == 0.25
    assert b.differences["cites"].n == 48


def test_a_mean_without_a_fault_still_has_an_interval():
    a, b = made().judged
    # Wilson: 1 / (1 + z² / n) = 96 / (96 + 3.84) = 0.9615, and wider for the t of 24 blocks
    assert a.scorers["answer"].value == 1.0
    assert 0.94 < a.scorers["answer"].low < 0.9615
    assert b.differences["answer"].low < 0 < b.differences["answer"].high


def test_what_was_refused_filtered_or_cut_off_stands_beside_the_means():
    def change(target: str, seq: int) -> dict:
        outcome = {0: "refused", 1: "filtered", 2: "truncated"}.get(seq % 12, "ok") if target == "b" else "ok"
        return {"outcome": outcome, "first_attempt_outcome": outcome}

    a, b = made(change).judged
    assert {name: cell.value for name, cell in a.undelivered.items()} == {"refused": 0, "filtered": 0, "truncated": 0}
    assert {name: cell.value for name, cell in b.undelivered.items()} == dict.fromkeys(b.undelivered, 8 / 96)
    assert b.scorers["answer"].n == 72
    assert b.differences["answer"].n == 72


@pytest.mark.parametrize(("tokens", "flagged"), [(9, True), (10, False), (12, False), (13, True)])
def test_output_outside_90_to_110_percent_of_the_baseline_is_flagged(tokens: int, flagged: bool):
    """11 tokens at a: 9 are 82 %, 10 are 91 %, 12 are 109 %, 13 are 118 %."""
    table = made(lambda target, seq: {"output_tokens": tokens if target == "b" else 11})
    assert table.judged[1].length.value == pytest.approx(tokens / 11)
    assert any("output length is not within 90 to 110 %" in note for note in table.notes) is flagged


def test_the_weighted_mean_of_a_request_is_over_the_scorers_that_judged_it():
    """answer 1 (weight 1), cites 0.4 (weight 0.5): (1 + 0.2) / 1.5 = 0.8; without cites: 1. Half of each: 0.9."""
    table = made(
        said=lambda _, seq: {"answer": 1.0, "cites": 0.4 if seq % 2 else None}, aggregate={"metric": "weighted"}
    )
    assert next(iter(table.judged[0].scorers)) == "weighted"
    assert table.judged[0].scorers["weighted"].value == pytest.approx(0.9)


@pytest.mark.parametrize(("low", "high", "word"), [(0.81, 0.9, "met"), (0.7, 0.79, "missed"), (0.79, 0.81, "open"), (None, 0.9, "open")])  # fmt: skip
def test_a_bar_is_met_or_missed_only_where_the_whole_interval_says_so(low, high, word):
    assert _word(SimpleNamespace(value=0.8, low=low, high=high), low=0.8) == word


def test_bars_are_told_for_every_target_and_margins_for_all_but_the_baseline():
    bars = [{"metric": "answer", "min": 0.8}, {"metric": "quality", "max": 0.5}, {"metric": "answer", "vs": "baseline", "margin": 0.03}]  # fmt: skip
    table = made(said=lambda target, seq: {"answer": float(target == "a" or seq % 2)}, **{"pass": bars})
    assert bars_of(table) == {
        "answer at least 80 %": {"a": "met", "b": "missed"},
        "quality at most 50 %": {"a": "missed", "b": "open"},
        "answer no more than 3 points below the baseline": {"b": "missed"},
    }
    for text in (
        terminal.render(table, 100, color=False),
        terminal.render(table, 50, color=False),
        markdown.render(table),
    ):
        assert "answer at least 80 %: met: a; missed: b" in " ".join(text.split())
        assert "refused" in text


# A target that is set six points worse, on the questions of the shipped suites


def rows_of(name: str) -> tuple[Table, list[str]]:
    """Every item at three targets, by its own replies of known kind through the workload's own scorers: the baseline and `equal`
    give a wrong one to 1 of 10 items, mostly the same ones; `worse` to 6 of 100 more."""
    workload = load_workload(ROOT / f"workloads/{name}.yaml")
    scorers = [get(spec.type, spec.name, spec.options) for spec in workload.scorers]
    types = {spec.name: spec.type for spec in workload.scorers}
    required = {spec.name for spec in workload.scorers if spec.required}
    asked, judged, wrongly = [], [], []
    for seq, case in enumerate(workload.cases):
        given = {}
        for kind in ("right", "wrong"):
            given[kind] = score_all(case, Reply(text=case.answers[kind][0], stop_reason="stop", complete=True), scorers)
            if correct(given[kind], required) is not (kind == "right"):
                wrongly.append(case.id)
        bad = {"base": seq % 10 == 0, "equal": seq % 10 == 0 if seq % 100 else seq % 200 == 0}
        bad |= {"worse": bad["base"] or seq % 50 in (3, 21, 38)}
        for target, wrong in bad.items():
            asked.append(request(target, seq, case_id=case.id))
            judged += [
                score(target, seq, one.value, one.scorer) | {"scorer_type": types[one.scorer], "reason": one.reason}
                for one in given["wrong" if wrong else "right"]
            ]
    facts = {**COMPLETE, "scorers": [spec.model_dump() for spec in workload.scorers], "workload": verdict_facts(workload),
             "clusters": {case.id: case.cluster for case in workload.cases}}  # fmt: skip
    return build(requests(asked), NO_ATTEMPTS, scores(judged), json.loads(json.dumps(facts))), wrongly


@pytest.mark.parametrize(("name", "scorer"), [("rag", "answer"), ("classify", "label")])
def test_a_target_six_points_worse_is_found_worse_and_an_equal_one_is_not(name, scorer):
    table, wrongly = rows_of(name)
    assert wrongly == []
    worse, equal = table.comparison("worse", "quality"), table.comparison("equal", "quality")
    assert worse.value == pytest.approx(-0.06, abs=0.006)
    assert worse.verdict == "worse"
    assert equal.verdict in ("equivalent", "inconclusive")
    assert equal.low < 0 < equal.high
    told = {one.target: one for one in table.judged}
    assert told["worse"].differences[scorer].high < 0
    assert told["equal"].differences[scorer].low <= 0 <= told["equal"].differences[scorer].high
    words = f"{scorer} no more than 3 points below the baseline"
    assert bars_of(table)[words]["worse"] in ("missed", "open")
    assert bars_of(table)[words]["equal"] == "met"
