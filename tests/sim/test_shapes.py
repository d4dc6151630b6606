"""Whole runs under every shape of load: what was planned is what was sent, and the rows say which part they belong to."""

import itertools
import json
import shlex
from collections import Counter

import pytest

TWO = {"anthropic": {}, "foundry": {}}

QUESTIONS = """\
version: 1
name: shapes
title: A few questions
dataset:
  type: inline
  items:
    - {id: one, question: "How many days?"}
    - {id: two, question: "How many euros?"}
    - {id: three, question: "Who signs?"}
messages: [{role: user, content: "{{ question }}"}]
generation: {max_tokens: 64, stream: true}
cache: {salt: %s}
load: %s
slo: %s
"""

TALKS = """\
version: 1
name: talks
title: Short talks
dataset:
  type: inline
  items:
    - {id: long, turns: [{user: "Good day?", assistant: "Remembered one."}, {user: "And then?", assistant: "Remembered two."}, {user: "Why?"}]}
    - {id: short, turns: ["Anyone there?", "Still there?"]}
messages:
  - {role: system, content: "Answer briefly."}
  - {insert: session}
generation: {max_tokens: 64, stream: true}
cache: {salt: %s}
load: %s
"""


def run(place, load: str, *arguments: str, text: str = QUESTIONS, salt: str = "run", slo: str = "{}"):
    (place.folder / "shapes.yaml").write_text(text % ((salt, load, slo) if text is QUESTIONS else (salt, load)))
    return place.bench("run", "shapes.yaml", "--no-calibrate", "--out", "results", *arguments)


def fine(done) -> bool:
    """It ran to its end. A busy machine may have sent late: that spoils figures, not what is looked at here."""
    return done.code == 0 or (done.code == 3 and all("we sent late" in why for why in done.manifest["invalid"]))


def due(rows, target: str) -> list[int]:
    return sorted(r["due_ns"] for r in rows if r["target"] == target)


def test_a_ramp_sends_at_the_times_of_the_integrated_rate(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: constant, arrangement: lanes, stages: [{rate: 20, duration: 1s, ramp: true}, {rate: 20, duration: 200ms}]}"
    done = run(place, load)
    assert fine(done), done.err
    planned = done.rows("schedule")
    # from 0 to 20 a second in one second: 10 prompts, the k-th when t²·10 = k, so at √(k/10) s; then 4 at 20 a second
    expected = [round((k / 10) ** 0.5 * 1e9) for k in range(10)] + [1_000_000_000 + 50_000_000 * k for k in range(4)]
    for target in ("anthropic", "foundry"):
        assert due(planned, target) == pytest.approx(expected, abs=2)
    assert Counter(r["stage"] for r in planned) == {0: 20, 1: 8}
    rows = {r["seq"]: r for r in done.rows()}
    assert len(rows) == 28
    start = {r["due_ns"] - p["due_ns"] for p in planned for r in [rows[p["seq"]]]}
    assert len(start) == 1  # every due time of the rows is the plan's, from one moment on
    assert all(r["sent_ns"] >= r["due_ns"] for r in rows.values())
    assert {r["level"] for r in rows.values()} == {None}


def test_a_burst_sends_all_of_its_prompts_at_once(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, "{pattern: burst, burst: {size: 3, every: 150ms}, stages: [{requests: 7}]}")
    assert fine(done), done.err
    # 3 + 3 + 1 prompts, each to two targets
    assert Counter(r["due_ns"] for r in done.rows("schedule")) == {0: 6, 150_000_000: 6, 300_000_000: 2}
    assert len(done.rows()) == 14


def test_a_sweep_sends_its_levels_in_random_order_around_a_repeated_anchor(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, "{pattern: sweep, sweep: {over: rate, values: [40, 10, 20, 30], duration: 200ms}}", "--seed", "5")
    assert fine(done), done.err
    planned = done.rows("schedule")
    order = [level for _, level in sorted({(r["stage"], r["level"]) for r in planned})]
    assert [order[0], order[3], order[5]] == [10, 10, 10]
    assert sorted(order) == [10, 10, 10, 20, 30, 40]
    # every level lasts 0.2 s for each of two targets: 2, 4, 6 and 8 prompts
    by_stage = Counter(r["stage"] for r in planned)
    assert [by_stage[stage] for stage in range(6)] == [2 * round(level * 0.2) for level in order]
    rows = done.rows()
    assert {(r["seq"], r["stage"], r["level"]) for r in rows} == {(p["seq"], p["stage"], p["level"]) for p in planned}
    for stage in range(1, 6):  # a level begins when every reply of the one before has come
        assert min(r["sent_ns"] for r in rows if r["stage"] == stage) > max(
            r["end_ns"] for r in rows if r["stage"] == stage - 1
        )
    blocks: dict[int, set[int]] = {}
    for r in rows:
        blocks.setdefault(r["block_id"], set()).add(r["stage"])
    assert all(len(stages) == 1 for stages in blocks.values())
    assert "40" in done.out
    again = run(
        place, "{pattern: sweep, sweep: {over: rate, values: [40, 10, 20, 30], duration: 200ms}}", "--seed", "5"
    )
    assert again.manifest["plan"]["digest"] == done.manifest["plan"]["digest"]


def most_in_flight(rows) -> int:
    moments = sorted([(r["sent_ns"], 1) for r in rows] + [(r["end_ns"], -1) for r in rows])
    flying = most = 0
    for _, change in moments:
        flying += change
        most = max(most, flying)
    return most


def test_a_sweep_over_concurrency_keeps_as_many_in_flight_as_it_says(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, "{pattern: sweep, sweep: {over: concurrency, values: [1, 4], duration: 300ms}}")
    assert fine(done), done.err
    rows = done.rows()
    for stage, level in sorted({(r["stage"], r["level"]) for r in rows}):
        assert most_in_flight([r for r in rows if r["stage"] == stage]) == level


def test_concurrency_changes_from_stage_to_stage_and_none_is_left_out(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: concurrent, stages: [{concurrency: 1, duration: 200ms}, {concurrency: 6, duration: 300ms, ramp: true}, {concurrency: 2, requests: 6}]}"
    done = run(place, load)
    assert fine(done), done.err
    rows = done.rows()
    stage = {k: [r for r in rows if r["stage"] == k] for k in range(3)}
    assert most_in_flight(stage[0]) == 1
    assert 3 <= most_in_flight(stage[1]) <= 6
    assert most_in_flight(stage[2]) <= 2
    assert len(stage[2]) == 12  # 6 prompts to each of two targets, all sent
    assert all(r["due_ns"] is None for r in rows)
    assert done.manifest["complete"] is True
    # in the ramp later requests fly beside more others than earlier ones
    sent = sorted(r["sent_ns"] for r in stage[1])
    half = (sent[0] + sent[-1]) // 2
    assert sum(s > half for s in sent) > sum(s <= half for s in sent)


def test_an_open_loop_that_meets_its_cap_is_no_measurement(place, clouds) -> None:
    clouds(anthropic={"ttft_ms": {"constant": 400}}, foundry={"ttft_ms": {"constant": 400}})
    done = run(place, "{pattern: constant, max_in_flight: 4, stages: [{rate: 50, requests: 20}]}")
    assert done.code == 3
    assert "max_in_flight (4) was reached" in done.err
    assert done.manifest["complete"] is False
    assert any("max_in_flight" in reason for reason in done.manifest["invalid"])
    assert len(done.rows()) == 4


def talk(rows) -> dict[int, list]:
    sessions: dict[int, list] = {}
    for row in sorted(rows, key=lambda r: r["seq"]):
        sessions.setdefault(row["session_id"], []).append(row)
    return sessions


OPEN_TALKS = "{pattern: constant, unit: session, stages: [{rate: 20, sessions: 6}], session: {think_time: {distribution: uniform, min: 20ms, max: 60ms}, history: %s}}"


def test_in_a_session_the_next_turn_goes_when_the_reply_has_ended_and_the_user_has_thought(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, OPEN_TALKS % "live", text=TALKS)
    assert fine(done), done.err
    planned = {r["seq"]: r for r in done.rows("schedule")}
    sessions = talk(done.rows())
    assert len(sessions) == 12  # 6 sessions with each of two targets
    assert Counter(len(turns) for turns in sessions.values()) == {3: 6, 2: 6}  # two items, equally often
    for turns in sessions.values():
        assert [t["turn"] for t in turns] == list(range(1, len(turns) + 1))
        assert len({t["target"] for t in turns}) == 1
        for before, after in itertools.pairwise(turns):
            think_ns = planned[after["seq"]]["think_ns"]
            assert 20_000_000 <= think_ns <= 60_000_000
            assert after["due_ns"] == before["end_ns"] + think_ns
            assert after["sent_ns"] >= after["due_ns"]
            assert planned[after["seq"]]["due_ns"] is None
    pauses: dict[str, list[int]] = {"anthropic": [], "foundry": []}
    for r in planned.values():
        if r["think_ns"] is not None:
            pauses[r["target"]].append(r["think_ns"])
    assert sorted(pauses["anthropic"]) == sorted(pauses["foundry"])  # both targets meet the same users


def test_history_is_what_the_model_said_or_what_the_item_remembers(place, clouds) -> None:
    clouds(**TWO)
    text = TALKS.replace('"Anyone there?"', '{user: "Anyone there?", assistant: "Remembered."}')
    inputs = {}
    for history in ("live", "recorded"):
        done = run(place, OPEN_TALKS % history, text=text, salt="none")
        assert fine(done), done.err
        inputs[history] = {(r["target"], r["case_id"]): set() for r in done.rows()}
        for r in done.rows():
            inputs[history][r["target"], r["case_id"]].add(r["input_tokens"])
    for target in TWO:
        for turn in ("long/1", "long/2", "long/3", "short/1", "short/2"):
            [recorded] = inputs["recorded"][target, turn]  # the same words in every session, counted by the cloud
            if turn.endswith("/1"):
                assert inputs["live"][target, turn] == {recorded}
            else:  # the look-alike's replies are longer than the remembered ones
                assert min(inputs["live"][target, turn]) > recorded


def test_a_live_session_ends_where_a_reply_is_missing_and_the_rest_is_counted(place, clouds) -> None:
    clouds(anthropic={"error_share": 1.0}, foundry={})
    done = run(place, OPEN_TALKS % "live", text=TALKS)
    assert Counter((r["target"], r["turn"]) for r in done.rows() if r["target"] == "anthropic") == {("anthropic", 1): 6}
    assert Counter(r["turn"] for r in done.rows() if r["target"] == "foundry") == {1: 6, 2: 6, 3: 3}
    assert done.manifest["sessions_cut"] == {"anthropic": 6}
    assert "6 sessions of anthropic ended early" in done.out


def test_in_a_closed_loop_a_slot_is_one_user_until_the_talk_is_over(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: concurrent, unit: session, stages: [{concurrency: 2, sessions: 4}], session: {think_time: {distribution: constant, value: 10ms}}}"
    done = run(place, load, text=TALKS)
    assert fine(done), done.err
    sessions = talk(done.rows())
    assert len(sessions) == 8
    spans = [{"sent_ns": turns[0]["sent_ns"], "end_ns": turns[-1]["end_ns"]} for turns in sessions.values()]
    assert most_in_flight(spans) == 2
    assert {turns[0]["due_ns"] for turns in sessions.values()} == {None}
    assert all(t["due_ns"] is not None for turns in sessions.values() for t in turns[1:])


def test_warm_up_of_sessions_asks_first_turns_only(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: poisson, unit: session, stages: [{rate: 20, sessions: 2}], warmup: {sessions: 2}}"
    done = run(place, load, text=TALKS, salt="session")
    assert fine(done), done.err
    warm = [r for r in done.rows() if r["phase"] == "warmup"]
    assert len(warm) == 4
    assert {r["case_id"].split("/")[1] for r in warm} == {"1"}
    assert {(r["stage"], r["session_id"], r["turn"]) for r in warm} == {(None, None, None)}


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ("{pattern: sweep}", ["load.sweep", "values"]),
        ("{pattern: sweep, sweep: {over: rate}}", ["load.sweep", "neither values nor until"]),
        ("{pattern: sweep, sweep: {over: rate, values: [1], until: slo}}", ["load.sweep", "both values and until"]),
        ("{pattern: sweep, sweep: {over: rate, until: slo}}", ["load.sweep.until", "ttft"]),
        ("{pattern: sweep, sweep: {over: concurrency, values: [1.5]}}", ["load.sweep.values[0]", "whole number"]),
        ("{pattern: sweep, stages: [{rate: 1}], sweep: {over: rate, values: [1]}}", ["load.stages"]),
        ("{pattern: burst}", ["load.burst", "size"]),
        ("{pattern: burst, burst: {size: 2, every: 1s}, stages: [{rate: 2}]}", ["load.stages[0]"]),
        ("{pattern: poisson, burst: {size: 2, every: 1s}}", ["load.burst", "pattern: burst"]),
        ("{pattern: concurrent, stages: [{concurrency: 2, requests: 4, ramp: true}]}", ["load.stages[0]", "duration"]),
        ("{pattern: constant, stages: [{rate: 2, requests: 4, duration: 2s, ramp: true}]}", ["load.stages[0]", "one of them"]),
        ("{pattern: constant, stages: [{rate: 2, sessions: 4}]}", ["load.stages[0].sessions"]),
        ("{pattern: replay}", ["load.pattern", "replay"]),
        ("{pattern: gamma, stages: [{rate: 2}]}", ["load.cv"]),
        ("{pattern: poisson, unit: session, stages: [{rate: 2}]}", ["messages", "insert: session"]),
        ("{pattern: poisson, session: {think_time: {distribution: constant, value: 1s}}, stages: [{rate: 2}]}", ["load.session"]),
    ],
)  # fmt: skip
def test_a_load_that_cannot_be_is_refused_with_what_would_do(place, load: str, words: list[str]) -> None:
    done = run(place, load, "--simulate")
    assert done.code == 2
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("think", "words"),
    [
        ("{distribution: gamma, mean: 1s}", ["think_time.distribution", "lognormal"]),
        ("{distribution: lognormal, p50: 2s}", ["think_time", "p90"]),
        ("{distribution: lognormal, p50: 2s, p90: 1s}", ["think_time", "p50 <= p90"]),
        ("{distribution: constant, value: 2s, min: 3s, max: 1s}", ["think_time", "min <= max"]),
    ],
)
def test_think_time_that_cannot_be_drawn_is_refused(place, think: str, words: list[str]) -> None:
    load = "{pattern: poisson, unit: session, session: {think_time: THINK}, stages: [{rate: 2}]}"
    done = run(place, load.replace("THINK", think), text=TALKS)
    assert done.code == 2
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ("[]", ["item short", "turns:"]),
        ("[3]", ["turn 1 of item short"]),
        ("[{assistant: x}]", ["turn 1 of item short"]),
    ],
)
def test_an_item_without_usable_turns_is_named(place, turns: str, words: list[str]) -> None:
    text = TALKS.replace('["Anyone there?", "Still there?"]', turns)
    (place.folder / "shapes.yaml").write_text(text % ("run", OPEN_TALKS % "live"))
    done = place.bench("run", "shapes.yaml", "--simulate")
    assert done.code == 2
    for word in words:
        assert word in done.err


def test_recorded_history_needs_the_words_it_carries(place) -> None:
    done = run(place, OPEN_TALKS % "recorded", "--simulate", text=TALKS)
    assert done.code == 2
    assert "turn 1 of item short without the assistant's words" in done.err


def test_flags_make_one_flat_level_of_any_shape(place, clouds) -> None:
    clouds(**TWO)
    shapes = (
        "{pattern: sweep, sweep: {over: rate, values: [10, 20], duration: 5m}}",
        "{pattern: burst, burst: {size: 50, every: 1s}}",
        "{pattern: constant, stages: [{rate: 20, duration: 5m, ramp: true}]}",
    )
    for load in shapes:
        done = run(place, load, "--request-rate", "50", "--requests", "5")
        assert fine(done), done.err
        assert len(done.rows()) == 10
        assert {(r["stage"], r["level"]) for r in done.rows()} == {(0, None)}
        assert all(0 <= r["due_ns"] <= 100_000_000 for r in done.rows("schedule"))  # 5 prompts at 50 a second
        done = run(place, load, "--concurrency", "2", "--requests", "3")
        assert fine(done), done.err
        assert len(done.rows()) == 6
        assert most_in_flight(done.rows()) == 2


def test_a_sweep_takes_no_length_from_the_command_line(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, "{pattern: sweep, sweep: {over: rate, values: [10, 20]}}", "--duration", "5m", "--requests", "3")
    assert done.code == 2
    assert "--duration" in done.err
    assert "--requests" in done.err
    assert "sweep.duration" in done.err


def limited(place, **limits: int) -> None:
    path = place.folder / "targets.yaml"
    targets = json.loads(path.read_text())
    targets["targets"][0]["limits"] = limits
    path.write_text(json.dumps(targets))


FAST = "{pattern: poisson, stages: [{rate: 40, requests: 24}], retries: 2}"


def test_a_plan_that_would_be_throttled_is_refused_with_the_command_that_would_not(place, clouds) -> None:
    running = clouds(**TWO)
    limited(place, rpm=600, burst_s=1)  # ten a second, ten at once
    done = run(place, FAST, "--label", "why=a b")
    assert done.code == 2
    assert "anthropic: limits.rpm" in done.err
    assert "at most 600 requests a minute" in done.err
    assert not (place.folder / "results").exists()
    line = next(line for line in done.err.splitlines() if line.strip().startswith("bench run"))
    words = shlex.split(line)[1:]
    rate = float(words[words.index("--request-rate") + 1])
    assert 10 <= rate < 40
    again = place.bench(*words)
    assert fine(again), again.err
    assert len(again.rows()) == 48
    words[words.index("--request-rate") + 1] = str(rate * 1.5)  # and it was about the highest one
    assert place.bench(*words).code == 2
    running.stop()


def test_probing_sends_on_and_takes_the_first_refusal_as_the_answer(place, clouds) -> None:
    clouds(anthropic={"limits": {"rpm": 5}}, foundry={})
    limited(place, rpm=5)
    done = run(place, FAST, "--limits", "probe")
    assert fine(done), done.err
    outcomes = Counter(r["outcome"] for r in done.rows() if r["target"] == "anthropic")
    assert outcomes == {"ok": 5, "throttled": 19}
    assert {r["attempts"] for r in done.rows()} == {1}
    assert done.manifest["limits"]["mode"] == "probe"


def test_limits_can_be_left_unchecked(place, clouds) -> None:
    clouds(**TWO)
    limited(place, rpm=5)
    done = run(place, FAST, "--limits", "off")
    assert fine(done), done.err
    assert len(done.rows()) == 48


def test_a_closed_loop_is_warned_of_its_limits_and_runs(place, clouds) -> None:
    clouds(**TWO)
    limited(place, rpm=10)
    done = run(place, "{pattern: concurrent, stages: [{concurrency: 4, requests: 4}]}")
    assert fine(done), done.err
    # 2 of 4 slots at 4 s a reply: 30 a minute
    assert "with replies of 4 s it asks about 30 requests a minute, and 10 are allowed" in done.err
    assert len(done.manifest["limits"]["notes"]) == 1


def test_a_single_request_above_the_limit_has_no_rate_that_fits(place, clouds) -> None:
    clouds(**TWO)
    limited(place, otpm=50)  # each reply may hold 64, and nothing says that it will hold less
    done = run(place, FAST)
    assert done.code == 2
    assert "limits.otpm" in done.err
    assert "No rate fits" in done.err


def test_a_sweep_prints_its_levels_apart_and_says_that_the_rest_is_pooled(place, clouds) -> None:
    clouds(**TWO)
    slo = "{ttft: {p95: 10s}, error_rate: {max: 0.5}}"
    load = "{pattern: sweep, sweep: {over: rate, values: [20, 40], duration: 500ms}}"
    done = run(place, load, "--run-id", "swept", slo=slo)
    assert fine(done), done.err
    assert "of offered" in done.out
    assert "2 levels of load together" in " ".join(done.out.split())
    table = json.loads(place.bench("compare", "swept", "--json").out)
    levels = {(one["target"], one["stage"]): one for one in table["levels"]}
    assert [levels["anthropic", stage]["level"] for stage in range(3)] == [20, 40, 20]
    assert [levels["anthropic", stage]["n"] for stage in range(3)] == [10, 20, 10]
    assert all(one["meets_slo"] for one in table["levels"])
    reported = place.bench("report", "swept", "--format", "md")
    assert reported.code == 0
    assert "of offered" in (done.run / "report.md").read_text()


def test_a_search_doubles_until_the_slo_is_missed_and_then_closes_in(place, clouds) -> None:
    """The cloud refuses what is above 40 requests a minute: what holds depends on how much is asked, by its own count."""
    clouds(anthropic={"limits": {"rpm": 30}}, foundry={})
    load = "{pattern: sweep, retries: 0, sweep: {over: rate, until: slo, start: 20, points: 4, duration: 300ms}}"
    done = run(place, load, slo="{error_rate: {max: 0.0}}")
    assert fine(done), done.err
    sweep = done.manifest["sweep"]
    rows = done.rows()
    levels = [one["level"] for one in sweep["levels"]]
    # 6, then 12, then 24 prompts: 30 are allowed in all, so the third level is the first that fails there, and foundry never does
    assert levels == [20, 40, 80, 160]
    assert sweep["found"]["anthropic"] == {"held_at": 40, "failed_at": 80}
    assert sweep["found"]["foundry"] == {"held_at": 160, "failed_at": None}
    planned = done.rows("schedule")
    assert {r["seq"]: (r["level"], r["stage"]) for r in rows} == {r["seq"]: (r["level"], r["stage"]) for r in planned}
    assert len({one["plan_digest"] for one in sweep["levels"]}) == 4
    assert done.manifest["plan"]["digest"] == sweep["levels"][-1]["plan_digest"]
    assert done.manifest["plan"]["requests"] == len(planned) == 2 * (6 + 12 + 24 + 48)
    for stage in range(1, 4):
        assert min(r["sent_ns"] for r in rows if r["stage"] == stage) > max(
            r["end_ns"] for r in rows if r["stage"] == stage - 1
        )
    assert "anthropic met the slo up to 40/s; failed at 80/s" in " ".join(done.out.split())
    assert not [line for line in place.bench("compare", "latest").err.splitlines() if "changed" in line]


def test_a_level_that_meets_the_cap_ends_that_level_and_no_higher_one_is_tried(place, clouds) -> None:
    clouds(anthropic={"ttft_ms": {"constant": 300}}, foundry={"ttft_ms": {"constant": 300}})
    load = "{pattern: sweep, max_in_flight: 12, sweep: {over: rate, until: saturation, start: 10, points: 3, duration: 500ms}}"
    done = run(place, load)
    assert fine(done), done.err
    # 10/s to two targets, 0.31 s each: about 6 in flight; at 20/s about 12, at 40/s twice that
    sweep = done.manifest["sweep"]
    assert sweep["ceiling"] in (20, 40)
    assert max(one["level"] for one in sweep["levels"]) == sweep["ceiling"]
    assert done.manifest["invalid"] == [] or done.code == 3
    assert len(done.rows()) < len(done.rows("schedule"))


def test_a_search_over_concurrency_finds_where_throughput_stops_growing(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: sweep, sweep: {over: concurrency, until: saturation, start: 1, points: 3, duration: 250ms}}"
    done = run(place, load)
    assert fine(done), done.err
    levels = done.manifest["sweep"]["levels"]
    assert [one["level"] for one in levels][:2] == [1, 2]
    assert len(levels) <= 3
    for stage, one in enumerate(levels):
        assert most_in_flight([r for r in done.rows() if r["stage"] == stage]) == one["level"]


def test_a_search_stays_below_declared_limits(place, clouds) -> None:
    clouds(**TWO)
    limited(place, rpm=1200, burst_s=1)  # 20 a second, 20 at once
    load = "{pattern: sweep, sweep: {over: rate, until: saturation, start: 10, points: 4, duration: 1s}}"
    done = run(place, load)
    assert fine(done), done.err
    sweep = done.manifest["sweep"]
    assert max(one["level"] for one in sweep["levels"]) < sweep["ceiling"] <= 80


def test_two_workers_keep_each_session_whole(place, clouds) -> None:
    clouds(**TWO)
    done = run(place, OPEN_TALKS % "live", "--workers", "2", text=TALKS)
    assert fine(done), done.err
    sessions = talk(done.rows())
    assert sum(map(len, sessions.values())) == len(done.rows("schedule")) == 30  # 6 talks of 3 + 6 of 2 turns
    assert {len({t["worker"] for t in turns}) for turns in sessions.values()} == {1}
    assert {t["worker"] for turns in sessions.values() for t in turns} == {0, 1}
    for turns in sessions.values():
        for before, after in itertools.pairwise(turns):
            assert after["due_ns"] > before["end_ns"]


def test_two_workers_begin_each_level_of_a_sweep_together(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: sweep, sweep: {over: rate, values: [40, 20, 30], duration: 200ms}}"
    done = run(place, load, "--seed", "5", "--workers", "2")
    assert fine(done), done.err
    rows = done.rows()
    assert len(rows) == len(done.rows("schedule"))
    stages = sorted({r["stage"] for r in rows})
    for stage in stages[1:]:
        assert min(r["sent_ns"] for r in rows if r["stage"] == stage) > max(
            r["end_ns"] for r in rows if r["stage"] == stage - 1
        )
    # a level's due times count from one moment in both processes
    planned = {r["seq"]: r["due_ns"] for r in done.rows("schedule")}
    for stage in stages:
        assert len({r["due_ns"] - planned[r["seq"]] for r in rows if r["stage"] == stage}) == 1
        assert {r["worker"] for r in rows if r["stage"] == stage} == {0, 1}


def test_a_search_by_two_workers_judges_the_rows_of_both(place, clouds) -> None:
    clouds(anthropic={"limits": {"rpm": 30}}, foundry={})
    load = "{pattern: sweep, retries: 0, sweep: {over: rate, until: slo, start: 20, points: 4, duration: 300ms}}"
    done = run(place, load, "--workers", "2", slo="{error_rate: {max: 0.0}}")
    assert fine(done), done.err
    sweep = done.manifest["sweep"]
    # as with one process: 6, 12, then 24 prompts, of which 30 are allowed in all
    assert [one["level"] for one in sweep["levels"]] == [20, 40, 80, 160]
    assert sweep["found"]["anthropic"] == {"held_at": 40, "failed_at": 80}
    assert sweep["found"]["foundry"] == {"held_at": 160, "failed_at": None}
    assert len(done.rows()) == len(done.rows("schedule")) == 2 * (6 + 12 + 24 + 48)


def test_a_search_over_concurrency_is_run_by_one_process_and_says_so(place, clouds) -> None:
    clouds(**TWO)
    load = "{pattern: sweep, sweep: {over: concurrency, until: saturation, start: 1, points: 2, duration: 100ms}}"
    done = run(place, load, "--workers", "2")
    assert "1 instead of 2 workers" in done.err
    assert "workers" not in done.manifest["instrument"]
