"""The table from rows: what counts, what is left out and said, and every corner where a figure is not known."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.errors import ConfigError
from bench.metrics import METRICS
from bench.record import SUMMARY, TABLES
from bench.stats.summary import summary_rows
from bench.stats.table import build

from .stats_example import CLOUDS, COMPLETE, NO_ATTEMPTS, NO_SCORES, example, frame, request, requests, score, scores


def table(rows, judged=(), manifest=COMPLETE, baseline=None, attempts=NO_ATTEMPTS):
    return build(requests(list(rows)), attempts, scores(list(judged)) if judged else NO_SCORES, manifest, baseline)


def run(targets="ab", n=96, change=lambda target, seq: {}):
    return [request(target, seq, **change(target, seq)) for seq in range(n) for target in targets]


@lru_cache(maxsize=1)
def built_example():
    return build(*example())


def cell(built, name, target="a"):
    return built.row(target).cells[name]


def said(built):
    return " | ".join([*built.alarms, *built.notes])


# ---------------------------------------------------------------- figures worked by hand


def test_every_metric_of_a_plain_run_worked_by_hand():
    built = table(run("a", 8), [score("a", seq, float(seq != 3)) for seq in range(8)])
    values = {name: c.value for name, c in built.row("a").cells.items()}
    assert values == pytest.approx({
        "ttft_p50_ms": 100, "ttft_p99_ms": 100, "e2e_p50_ms": 300, "e2e_p99_ms": 300, "tpot_p50_ms": 20,
        "output_tokens_per_s": 50,  # 1000 / 20
        "system_tokens_per_s": 88 / 7.3,  # 8 * 11 tokens from 0 s to 7 s + 300 ms
        "ok_share": 1, "quality": 7 / 8, "usd_per_1k": 1.0, "usd_per_correct": 0.008 / 7,
        "usd_per_success": None, "usd_per_1m_input": None, "usd_per_1m_output": None, "failed_cost_share": 0,
        "retried_cost_share": None, "reasoning_cost_share": None,
        "ttft_p50_ok_ms": 100, "ttft_p99_ok_ms": 100, "e2e_p50_ok_ms": 300, "e2e_p99_ok_ms": 300, "tpot_p50_ok_ms": 20,
        "ttft_p50_sent_ms": 100, "ttft_p99_sent_ms": 100, "e2e_p50_sent_ms": 300, "e2e_p99_sent_ms": 300,
        "first_ok_share": 1, "quality_answered": 7 / 8, "same_read_share": None, "goodput_per_s": None,
        "within_slo_share": None,
        "steady_mser_cut": None, "steady_little": None, "steady_in_flight_growth": None, "steady_latency_growth": None,
        "steady_finished": None, "label_macro_f1": None,
        "label_invalid_share": None,
    })  # fmt: skip
    assert (built.row("a").n, built.row("a").blocks) == (8, 2)
    assert built.row("a").spent_usd == Decimal("0.008")


def test_a_target_that_fails_more_does_not_look_faster():
    # Three of 96 time out after 10 ms: p99 (the 96th value) is a failure, p50 (the 48th) is not.
    fails = {"outcome": "timeout", "ttft_ms": None, "e2e_ms": 10.0, "e2e_all_ms": 10.0, "cost_usd": None}
    built = table(run("a", 96, lambda _, seq: fails if seq in {5, 40, 80} else {}))
    assert cell(built, "ttft_p50_ms").value == 100
    assert cell(built, "e2e_p99_ms").value == math.inf
    assert cell(built, "e2e_p99_ok_ms").value == 300
    assert cell(built, "ok_share").value == 93 / 96
    assert "3.1 % of the requests failed" in cell(built, "ttft_p99_ms").warnings[0]
    assert "a 3 timeout" in said(built)


def test_retries_and_waits_count_for_the_caller_and_not_from_the_final_send():
    # First sent at 0, throttled; final attempt's first token comes at 2.1 s: the caller waited 2,100 ms, it took 100.
    retried = {
        "sent_ns": 0, "first_token_ns": 2_100_000_000, "end_ns": 2_300_000_000, "e2e_all_ms": 2300.0, "attempts": 2,
        "first_attempt_outcome": "throttled", "retry_wait_ms": 2000.0,
    }  # fmt: skip
    built = table(run("a", 12, lambda _, seq: retried))
    assert cell(built, "ttft_p50_ms").value == 2100
    assert cell(built, "e2e_p50_ms").value == 2300
    assert cell(built, "ttft_p50_sent_ms").value == 100
    assert (cell(built, "ok_share").value, cell(built, "first_ok_share").value) == (1, 0)
    assert "tried again: a 12 (12 throttled)" in said(built)


def test_an_open_loop_counts_from_the_due_time():
    late = {"due_ns": 1, "ttft_due_ms": 140.0, "e2e_due_ms": 340.0, "lateness_ms": 40.0}
    built = table(run("a", 12, lambda _, seq: late))
    assert cell(built, "ttft_p50_ms").value == 140
    assert cell(built, "e2e_p50_ms").value == 340
    assert "due times of the plan (open loop)" in said(built)
    # 40 ms late is more than max(10 ms, 1 % of 140 ms).
    assert "a: we sent up to 40 ms late" in built.alarms[0]


def test_system_speed_divides_by_the_window_and_not_by_time_in_flight():
    # Two blocks of two seconds and one that the next block never follows: 12 requests a second apart, 11 tokens each.
    failed = {"outcome": "server", "output_tokens": None}
    built = table(run("a", 12, lambda _, seq: failed if seq < 6 else {}))
    assert cell(built, "system_tokens_per_s").value == pytest.approx(6 * 11 / 11.3)


# ---------------------------------------------------------------- what is left out, and said


def test_warm_up_spoiled_and_buggy_rows_are_counted_and_left_out():
    def change(_, seq):
        if seq < 4:
            return {"phase": "warmup", "ttft_ms": 9000.0}
        if seq == 5:
            return {"spoiled": True}
        if seq == 6:
            return {"outcome": "bug"}
        return {"e2e_ms": -1.0} if seq == 7 else {}

    built = table(run("a", 20, change))
    assert built.row("a").n == cell(built, "ttft_p50_ms").n == 13
    assert "4 warm-up requests stored and left out" in said(built)
    assert "1 row taken while our own instrument was the bottleneck (spoiled)" in said(built)
    assert any("1 row that ended in a bug of bench itself" in alarm and "seq 6" in alarm for alarm in built.alarms)
    assert any("1 row with a negative, infinite or missing duration" in alarm for alarm in built.alarms)


@pytest.mark.parametrize("bad", [{"e2e_ms": math.nan}, {"ttft_ms": -0.1}, {"tpot_ms": math.inf}, {"e2e_all_ms": -3.0}])
def test_impossible_durations_raise_the_alarm(bad):
    built = table(run("a", 8, lambda _, seq: bad if seq == 2 else {}))
    assert built.row("a").n == 7
    assert "a bug in bench" in built.alarms[0]


def test_rows_without_a_partner_stay_in_their_own_figures_only():
    built = table([r for r in run("ab", 96) if not (r["target"] == "b" and r["seq"] < 3)])
    assert (built.row("a").n, built.row("b").n) == (96, 93)
    assert built.comparison("b", "ttft_p50_ms").n == 93
    assert "b against a: 3 requests without a partner" in said(built)


# ---------------------------------------------------------------- edges


def test_nothing_measured_is_a_table_that_says_so():
    manifest = {**COMPLETE, "targets": [{"id": "a", "model": "m", "provider": "x", "region": None}]}
    built = table([], manifest=manifest)
    assert built.row("a").n == 0
    assert all(c.value is None and c.warnings for c in built.row("a").cells.values())
    assert "nothing was measured for a" in built.alarms
    assert dict(built.answers)["which cloud"] == "nothing was measured"


def test_no_target_at_all_is_an_empty_table():
    built = table([])
    assert (built.rows, built.comparisons, built.answers) == ((), (), ())


def test_one_request_is_a_value_without_bounds():
    built = table(run("a", 1))
    assert cell(built, "ttft_p50_ms").value == 100
    assert (cell(built, "ttft_p50_ms").low, cell(built, "ttft_p50_ms").high) == (None, None)
    assert "one target only" in dict(built.answers)["which cloud"]


def test_equal_values_are_points_and_equivalent():
    built = table(run("ab", 96), [score(t, s, 1.0) for t in "ab" for s in range(96)])
    c = cell(built, "ttft_p50_ms")
    assert (c.value, c.low, c.high) == (100, 100, 100)
    assert cell(built, "quality").low < 1
    words = {c.metric: c.verdict for c in built.comparisons if c.primary}
    assert words["ttft_p50_ms"] == words["e2e_p50_ms"] == words["usd_per_correct"] == "equivalent"
    # No discordant pair among 96 / (1.7139 / 1.6449)^2 = 88.4: z^2 / (n + z^2) = 2.97 points at 90 %.
    assert words["quality"] == "equivalent"
    smaller = table(run("ab", 88), [score(t, s, 1.0) for t in "ab" for s in range(88)])
    assert smaller.comparison("b", "quality").verdict == "inconclusive"


def test_all_failed_is_infinitely_slow_and_costs_nothing_known():
    gone = {"outcome": "server", "ttft_ms": None, "e2e_ms": 5.0, "output_tokens": None, "cost_usd": None}
    built = table(run("ab", 96, lambda t, _: gone if t == "b" else {}), [score("a", s, 1.0) for s in range(96)])
    assert cell(built, "ttft_p50_ms", "b").value == math.inf
    assert cell(built, "ttft_p50_ok_ms", "b").value is None
    assert cell(built, "ok_share", "b").value == 0
    assert cell(built, "quality", "b").value == 0
    assert cell(built, "usd_per_1k", "b").value is None
    assert built.comparison("b", "ttft_p50_ms").verdict == "slower"
    assert built.comparison("b", "quality").verdict == "worse"
    assert "fastest first token: a" in dict(built.answers)["which cloud"]


def test_too_few_blocks_are_said_and_no_verdict_is_given():
    for n, blocks in ((4, 1), (36, 9), (76, 19)):
        built = table(run("ab", n, lambda t, _: {"e2e_all_ms": 900.0} if t == "b" else {}))
        assert built.row("a").blocks == blocks
        assert any("too few blocks" in alarm for alarm in built.alarms) is (blocks < 10)
        comparison = built.comparison("b", "e2e_p50_ms")
        assert comparison.value == pytest.approx(3)
        assert comparison.verdict == "inconclusive"
        assert f"only {blocks} common block" in comparison.reason
        assert "no verdict on fewer than 20 blocks" in dict(built.answers)["how sure"]
    assert table(run("ab", 80, lambda t, _: {"e2e_all_ms": 900.0} if t == "b" else {})).comparison(
        "b", "e2e_p50_ms").verdict == "slower"  # fmt: skip


def test_without_streaming_there_is_no_ttft_even_when_some_fail():
    plain = {"ttft_ms": None, "first_token_ns": None, "tpot_ms": None}
    built = table(run("a", 12, lambda _, seq: plain | ({"outcome": "server"} if seq == 1 else {})))
    assert cell(built, "ttft_p50_ms").value is None
    assert cell(built, "ttft_p50_ms").warnings == ("not streamed: no first token to time",)
    assert cell(built, "tpot_p50_ms").value is None
    assert cell(built, "e2e_p50_ms").value == 300


def test_reasoning_that_was_billed_but_not_streamed_does_not_flatter_the_speed():
    built = table(run("a", 12, lambda _, seq: {"reasoning_tokens": 500}))
    assert cell(built, "output_tokens_per_s").value is None
    assert "reasoning tokens were billed but not streamed" in cell(built, "tpot_p50_ms").warnings[0]
    streamed = table(run("a", 12, lambda _, seq: {"reasoning_tokens": 5, "first_text_ns": 10**15}))
    assert cell(streamed, "tpot_p50_ms").value == 20


def test_failures_count_as_no_speed_at_all():
    built = table(run("a", 12, lambda _, seq: {"outcome": "server"} if seq < 7 else {}))
    assert cell(built, "output_tokens_per_s").value == 0
    assert cell(built, "tpot_p50_ok_ms").value == 20


# ---------------------------------------------------------------- quality


def test_every_required_scorer_must_be_right_and_a_null_does_not_apply():
    judged = []
    for seq in range(96):
        judged.append(score("a", seq, 1.0 if seq % 4 else 0.99))
        judged.append(score("a", seq, None if seq % 2 else 1.0, "abstains"))
        judged.append(score("a", seq, 0.0, "style"))
    manifest = {**COMPLETE, "scorers": [{"name": "answer", "required": True}, {"name": "abstains", "required": True},
                                        {"name": "style", "required": False}]}  # fmt: skip
    built = table(run("a", 96), judged, manifest)
    # Partly right is not right: one in four.
    assert cell(built, "quality").value == 0.75
    assert "scorer abstains did not apply to, or could not judge, 48 of 96 replies" in said(built)


def test_failed_requests_are_wrong_as_delivered_and_absent_among_the_answered():
    rows = run("a", 96, lambda _, seq: {"outcome": "timeout"} if seq < 24 else {})
    built = table(rows, [score("a", seq, 1.0) for seq in range(24, 96)])
    assert cell(built, "quality").value == 0.75
    assert cell(built, "quality_answered").value == 1


def test_unjudged_replies_are_unknown_and_not_wrong():
    built = table(run("a", 96), [score("a", seq, 1.0) for seq in range(48)])
    assert cell(built, "quality").value == 1
    assert cell(built, "quality").warnings == ("48 of 96 ok requests: no required scorer could judge",)
    assert cell(table(run("a", 96)), "quality").value is None


def test_cases_of_one_source_count_together():
    judged = [score("a", seq, float(seq // 12 % 2)) for seq in range(96)]
    alone = table(run("a", 96, lambda _, seq: {"block_id": seq % 24}), judged)
    shared = table(run("a", 96, lambda _, seq: {"block_id": seq % 24}), judged,
                   {**COMPLETE, "clusters": {f"case-{seq}": f"doc-{seq // 12}" for seq in range(96)}})  # fmt: skip
    assert shared.row("a").cells["quality"].n_eff < 10 < alone.row("a").cells["quality"].n_eff


# ---------------------------------------------------------------- money


def test_cost_per_correct_answer_reverses_a_price_ranking():
    # a: 1 cent and always right. b: 0.8 cents, right 6 times of 10: 0.8 / 0.6 = 1.33 cents.
    def change(target, seq):
        return {"cost_usd": Decimal("0.010") if target == "a" else Decimal("0.008")}

    judged = [score("a", s, 1.0) for s in range(240)] + [score("b", s, float(s % 10 < 6)) for s in range(240)]
    built = table(run("ab", 240, change), judged)
    assert cell(built, "usd_per_1k", "a").value == pytest.approx(10)
    assert cell(built, "usd_per_1k", "b").value == pytest.approx(8)
    assert cell(built, "usd_per_correct", "b").value == pytest.approx(0.008 / 0.6)
    comparison = built.comparison("b", "usd_per_correct")
    assert comparison.value == pytest.approx(1 / 0.75)
    assert comparison.verdict == "costlier"
    assert "cheapest correct answer: a, $0.01000" in dict(built.answers)["what price"]


def test_without_scores_cost_is_compared_per_request():
    built = table(run("ab", 96, lambda t, _: {"cost_usd": Decimal("0.002") if t == "b" else Decimal("0.001")}))
    assert built.comparison("b", "usd_per_1k").value == pytest.approx(2)
    assert "cheapest 1,000 requests: a, $1.000" in dict(built.answers)["what price"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cost_usd": None, "price_book": None}, "no price known for this target"),
        ({"cost_usd": None}, "no token counts were reported"),
    ],
)
def test_an_unknown_cost_is_unknown_with_its_reason_and_never_0(change, why):
    built = table(run("ab", 96, lambda t, _: change if t == "b" else {}))
    assert cell(built, "usd_per_1k", "b").value is None
    assert why in cell(built, "usd_per_1k", "b").warnings[0]
    assert built.row("b").spent_usd is None
    assert why in built.comparison("b", "usd_per_1k").reason
    assert "unknown: b" in dict(built.answers)["what price"]


def test_nothing_right_costs_infinitely_much_per_correct_answer():
    built = table(run("a", 96), [score("a", seq, 0.0) for seq in range(96)])
    assert cell(built, "usd_per_correct").value == math.inf
    assert "nothing was answered right" in cell(built, "usd_per_correct").warnings


# ---------------------------------------------------------------- notes


def test_fields_that_differ_between_targets_or_inside_one_are_said():
    def change(target, seq):
        return {"dialect": "converse" if target == "b" else "messages",
                "served_model": "m-2" if target == "b" and seq == 0 else "m-1",
                "region": None if target == "b" else "eu",
                "output_tokens": 14 if target == "b" else 11}  # fmt: skip

    manifest = {**COMPLETE, "targets": [
        {"id": "a", "model": "m", "api_version": None, "params": {}},
        {"id": "b", "model": "m", "api_version": "2026-01-01", "params": {"effort": "low"}},
    ]}  # fmt: skip
    attempts = frame("attempts", [{"target": "a", "tls_version": "TLSv1.3"}, {"target": "b", "tls_version": "TLSv1.2"}])
    notes = said(table(run("ab", 96, change), manifest=manifest, attempts=attempts))
    assert "dialect differs: messages (a); converse (b)" in notes
    assert "served model varies within b (m-1: 95, m-2: 1)" in notes
    assert "region differs: eu (a); not given (b)" in notes
    assert "api version differs: 2026-01-01 (b); not given (a)" in notes
    assert "params.effort differs: low (b); not given (a)" in notes
    assert "tls version differs: TLSv1.3 (a); TLSv1.2 (b)" in notes
    assert (  # 14 tokens for 11 every time
        "output length is not within 90 to 110 % of a's over the same requests: b 1.273× (1.272–1.273); E2E and cost are not like "
        "for like, compare TTFT and TPOT"
    ) in notes
    assert "client stack differs" not in notes


def test_what_was_said_of_the_targets_stands_under_the_table_once():
    manifest = {**COMPLETE, "targets": [
        {"id": "a", "model": "m", "params": {}, "notes": ["a: thinks first", "a: cache_ttl: not sent"]},
        {"id": "b", "model": "m", "params": {}, "notes": ["b: thinks first"]},
    ]}  # fmt: skip
    notes = table(run("ab", 96), manifest=manifest).notes
    assert [note for note in notes if "thinks" in note] == ["a, b: thinks first"]
    assert "a: cache_ttl: not sent" in notes


def test_contradicted_regions_and_estimated_tokens_raise_the_alarm():
    built = table(run("a", 12, lambda _, seq: {"region_proof": "contradicted" if seq < 2 else "consistent",
                                               "usage_source": "estimate"}))  # fmt: skip
    assert "a: 2 replies contradict the region asked for" in built.alarms
    assert any("token counts are estimates" in alarm for alarm in built.alarms)


def test_simulated_and_partial_runs_are_flagged_and_an_unsigned_end_is_not_complete():
    assert not table(run("a", 4)).simulated
    assert table(run("a", 4)).partial is None
    assert table(run("a", 4, lambda _, seq: {"simulated": True})).simulated
    assert "simulated and real rows are mixed" in table(
        run("ab", 4, lambda t, _: {"simulated": t == "b"})).alarms  # fmt: skip
    assert table(run("a", 4), manifest={"complete": False, "exit_status": 130}).partial == "interrupted"
    assert (
        table(run("a", 4), manifest={"complete": False, "exit_status": 5}).partial == "the spending limit was reached"
    )
    assert table(run("a", 4), manifest={}).partial is not None


def test_the_instrument_states_its_own_error_or_that_it_is_not_known():
    calibration = {"rate_per_s": 8, "ttft_error_p50_ms": 0.02, "ttft_error_p99_ms": 0.1}
    built = table(run("a", 4, lambda _, seq: {"lateness_ms": 1.5, "loop_lag_ms": 0.3}),
                  manifest={**COMPLETE, "calibration": calibration})  # fmt: skip
    assert built.instrument == (
        "calibrated on loopback at 8 requests/s: reads TTFT 0.02 ms late at p50, 0.1 ms at p99; "
        "in this run we sent 1.5 ms late at p99; event loop lag 0.3 ms at p99"
    )
    assert "not calibrated" in table(run("a", 4)).instrument


def test_the_hint_says_which_load_would_bound_p99():
    # Design effect 1 over 24 blocks: 96 / 86.18 = 1.1140 each; 368 * 1.114 = 410.
    assert "about 410 requests per target" in table(run("a", 96, lambda _, s: {"e2e_all_ms": 1.0 + s})).hint


# ---------------------------------------------------------------- comparisons


def test_the_baseline_is_the_first_target_unless_another_is_named():
    rows = run("abc", 96)
    assert {c.baseline for c in table(rows).comparisons} == {"a"}
    assert {(c.baseline, c.target) for c in table(rows, baseline="b").comparisons} == {("b", "a"), ("b", "c")}
    with pytest.raises(ConfigError, match="got x; want a target of this run, one of a, b, c"):
        table(rows, baseline="x")


def test_targets_are_compared_within_their_model_only():
    built = table(run("abcd", 96, lambda t, _: {"model": "m" if t in "ab" else "n"}))
    assert {(c.baseline, c.target) for c in built.comparisons} == {("a", "b"), ("c", "d")}
    assert [question for question, _ in built.answers[::3]] == ["which cloud (m)", "which cloud (n)"]


def test_the_order_of_targets_is_the_manifests():
    manifest = {**COMPLETE, "targets": [{"id": name, "model": "m"} for name in "ba"]}
    assert [row.target for row in table(run("ab", 8), manifest=manifest).rows] == ["b", "a"]


def test_runs_put_together_keep_their_blocks_apart():
    first, second = run("ab", 48), [r | {"run_id": "r2"} for r in run("ab", 48)]
    built = table(first + second)
    assert built.row("a").blocks == 24
    assert built.comparison("b", "e2e_p50_ms").n == 96
    # Two windows of 47.3 s each, not the gap between them.
    assert cell(built, "system_tokens_per_s").value == pytest.approx(96 * 11 / (2 * 47.3))


def test_the_family_is_adjusted_together_and_exploratory_figures_have_no_verdict():
    built = built_example()
    primary = [c for c in built.comparisons if c.primary]
    assert len(primary) == 20
    assert all(c.p_holm >= c.p_raw for c in primary if c.p_raw is not None)
    assert all(c.verdict for c in primary)
    others = [c for c in built.comparisons if not c.primary]
    assert {c.metric for c in others} == {
        "ttft_paired_ratio_p50", "e2e_paired_ratio_p50", "e2e_p99_ms", "tpot_p50_ms", "ok_share", "quality_bootstrap",
        "system_tokens_per_s",
    }  # fmt: skip
    assert all(c.verdict is None and c.p_holm is None and c.p_bh >= c.p_raw for c in others)
    assert all((c.low is None or c.low <= c.value) and (c.high is None or c.value <= c.high) for c in others)
    assert all(c.p_bh is None for c in primary)
    assert f"exploratory, no verdict (p adjusted for {len(others)} comparisons, Benjamini-Hochberg)" in said(built)


def test_the_example_finds_what_was_put_into_it():
    built = built_example()
    assert built.comparison("vertex", "ttft_p50_ms").verdict == "faster"
    assert built.comparison("bedrock", "ttft_p50_ms").verdict == "slower"
    assert built.comparison("foundry", "ttft_p50_ms").verdict == "inconclusive"
    assert built.comparison("openai-compatible", "quality").verdict == "worse"
    assert "fastest first token: vertex" in dict(built.answers)["which cloud"]


def test_the_same_rows_make_the_same_table():
    assert build(*example()) == built_example()


def test_more_prompts_in_more_blocks_settle_more():
    small, large = (build(*example(CLOUDS[:3], prompts=n)) for n in (96, 480))
    open_small, open_large = (sum(c.verdict == "inconclusive" for c in t.comparisons) for t in (small, large))
    assert open_large < open_small
    assert large.row("vertex").cells["ttft_p99_ms"].high is not None


def test_forty_targets_make_forty_rows():
    clouds = tuple(replace(CLOUDS[i % 4], id=f"t{i:02d}") for i in range(40))
    built = build(*example(clouds, prompts=24, per_block=1))
    assert len(built.rows) == 40
    assert len([c for c in built.comparisons if c.primary]) == 39 * 5


# ---------------------------------------------------------------- summary.parquet


def test_the_summary_has_its_columns_every_figure_and_every_comparison():
    built = built_example()
    rows = summary_rows(built, "run-7")
    # one scorer at five targets, four of them against the baseline, three outcomes each, four lengths
    assert len(rows) == 5 * len(METRICS) + len(built.comparisons) + 5 + 4 + 5 * 3 + 4
    for row in rows:
        assert list(row) == [column.name for column in SUMMARY]
        assert row["run_id"] == "run-7"
        assert row["high"] is None or math.isfinite(row["high"])
        assert row["low"] is None or row["value"] is None or row["low"] <= row["value"]
    ratio = next(r for r in rows if r["baseline"] and r["target"] == "bedrock" and r["metric"] == "e2e_p50_ms")
    assert (ratio["unit"], ratio["verdict"]) == ("ratio", "slower")
    assert "p after Holm = " in ratio["warnings"]
    plain = next(
        r for r in rows if r["baseline"] is None and r["target"] == "anthropic" and r["metric"] == "ttft_p50_ms"
    )
    assert (plain["unit"], plain["verdict"], plain["n"], plain["warnings"]) == ("ms", None, 96, None)


# ---------------------------------------------------------------- from disk


def arrow_type(kind):
    simple = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
    }
    return simple.get(kind) or pa.decimal128(38, 12)


def stored(name, rows):
    schema = pa.schema([(column.name, arrow_type(column.kind)) for column in TABLES[name]])
    clean = rows.astype(object).where(rows.notna(), None).to_dict("records")
    for row in clean:
        for column in TABLES[name]:
            if column.kind.startswith("int") and row[column.name] is not None:
                row[column.name] = int(row[column.name])
    return pa.Table.from_pylist(clean, schema=schema)


def test_rows_read_back_from_parquet_make_the_same_table(tmp_path):
    sent, attempts, judged, manifest = example()
    read = []
    for name, rows in (("requests", sent), ("attempts", attempts), ("scores", judged)):
        pq.write_table(stored(name, rows), tmp_path / f"{name}.parquet")
        read.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    assert build(*read, manifest) == built_example()
    assert build(*read, manifest).row("anthropic").spent_usd == built_example().row("anthropic").spent_usd


def test_building_a_table_leaves_the_rows_alone():
    sent, attempts, judged, manifest = example(CLOUDS[:2], prompts=24)
    before = [rows.copy(deep=True) for rows in (sent, attempts, judged)]
    build(sent, attempts, judged, manifest)
    for rows, copy in zip((sent, attempts, judged), before, strict=True):
        pd.testing.assert_frame_equal(rows, copy)


def test_the_footer_says_how_busy_we_were_and_what_to_do_when_it_was_too_much():
    own = {"lag_ns": {"p99": 400_000}, "cpu_s": 2.0, "wall_s": 10.0, "gc": {"n": 0}, "stamps": {"source": "kernel"}}
    calm = table(run("a", 4), manifest={**COMPLETE, "calibration": CALIBRATION, "instrument": own}).instrument
    assert calm == (
        "calibrated on loopback at 50 streams: reads TTFT 0.02 ms late at p50, 0.1 ms at p99; "
        "event loop lag 0.4 ms at p99; 20% of a core"
    )
    for busy in ({"cpu_s": 7.1}, {"lag_ns": {"p99": 5_100_000}}):
        said = table(run("a", 4), manifest={**COMPLETE, "instrument": own | busy}).instrument
        assert said.endswith("part of these figures may be ours: spread the load with --workers")
    odd = own | {"gc": {"n": 2, "max_ns": 3_000_000}, "stamps": {"source": "kernel", "wall_clock_steps": 1}}
    said = table(run("a", 4), manifest={**COMPLETE, "instrument": odd}).instrument
    assert "2 GC pauses of up to 3 ms" in said
    assert "the wall clock was set 1 time" in said
    assert "stamped by our event loop" in table(
        run("a", 4), manifest={**COMPLETE, "instrument": own | {"stamps": {"source": "loop"}}}).instrument  # fmt: skip


CALIBRATION = {"streams": 50, "ttft_error_p50_ms": 0.02, "ttft_error_p99_ms": 0.1}


def test_content_that_came_several_events_to_a_read_is_noted_above_one_in_twenty():
    # 10 of 100 events, and 5 of 100
    built = table(run("ab", 12, lambda t, _: {"content_events": 100, "same_read_events": 10 if t == "a" else 5}))
    assert built.row("a").cells["same_read_share"].value == 0.1
    (note,) = [note for note in built.notes if "one read" in note]
    assert "a 10%" in note
    assert "b" not in note.split(":")[1].split(";")[0]
