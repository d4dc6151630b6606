"""What a stopped run has left, where its next segment stands in time, and what must not have changed meanwhile."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from bench import plan
from bench.conductor import resume
from bench.conductor.resume import Earlier, Remaining
from bench.store.recorded import Recorded, recorded
from bench.store.runs import resume_command
from bench.wire.clock import Anchor

SECOND = 10**9


def found(rows, segments=({"n": 0, "offset_ns": 0, "end_ns": None},), **facts) -> Recorded:
    """`rows` are (seq, sent, end, abandoned), times in seconds."""
    return Recorded(
        facts={"segments": list(segments), "anchor": {"monotonic_ns": 5, "wall_ns": 100 * SECOND}, **facts},
        seq=np.array([row[0] for row in rows], np.int64),
        sent_ns=np.array([row[1] * SECOND for row in rows], np.int64),
        end_ns=np.array([row[2] * SECOND for row in rows], np.int64),
        abandoned=np.array([row[3] for row in rows], np.bool_),
        in_flight=np.array([], np.int64),
        spent_usd={"a": Decimal("0.5")},
        dropped_bytes=0,
    )


def test_all_of_a_fresh_plan_is_left() -> None:
    assert Remaining().of(planned(), np.arange(2, 5)).tolist() == [2, 3, 4]
    assert Remaining().under_load_ns(np.arange(5)) == 0
    assert Remaining().cut(planned()) == {}


def test_what_has_a_row_is_done_unless_we_ended_it_ourselves() -> None:
    left = Remaining(found([(0, 1, 2, False), (2, 1, 3, True), (4, 2, 3, False)]))
    assert left.of(planned(), np.arange(6)).tolist() == [1, 2, 3, 5]
    assert left.of(planned(), np.arange(3, 6)).tolist() == [3, 5]
    assert left.cut(planned()) == {}


def planned(sessions: plan.Sessions | None = None) -> plan.Plan:
    due_ns = np.array([10, 20, 30, 40, 50, 60], np.int64)
    cases = ["c"] if sessions is None else [f"c{i}" for i in range(sessions.turns[-1].stop)]
    return plan.build(
        cases, ["a", "b"], plan.Stream(3, due_ns), arrangement="interleaved", warmup=1, seed=1, sessions=sessions
    )


def test_a_session_that_had_begun_ends_where_it_was() -> None:
    talks = planned(plan.Sessions([range(0, 3)], lambda n: np.full(n, 7, np.int64)))
    # two warm-ups, then three talks of three turns with each of two targets: rows 2 to 19, six to a prompt
    assert talks.session.tolist() == [-1, -1, *(session for session in range(6) for _ in range(3))]
    assert talks.prompt_of(np.arange(20)).tolist() == [0, 0, *([0] * 6), *([1] * 6), *([2] * 6)]
    whole, broken, abandoned = (2, 3, 4), (5,), (8,)
    rows = [(0, 1, 2, False), (1, 1, 2, False)]
    rows += [(seq, 2, 3, seq in abandoned) for seq in (*whole, *broken, *abandoned)]
    left = Remaining(found(rows))
    # the first is done, the second goes no further, and the third, which we left in its first turn, begins anew
    assert left.of(talks, np.arange(20)).tolist() == list(range(8, 20))
    assert left.cut(talks) == {talks.request(5).target_id: 1}


def test_due_times_move_by_that_of_the_first_request_left() -> None:
    every = np.arange(8)
    assert Remaining().first_due_ns(planned(), every) == 0
    # two warm-ups come first in the plan, and have no due time; rows 2 and 3 are done, so row 4 is due first, at 30
    done = [(seq, 1, 2, False) for seq in (0, 1, 2, 3)]
    assert Remaining(found(done)).first_due_ns(planned(), every) == 30
    assert Remaining(found(done)).first_due_ns(planned(), np.arange(6, 8)) == 50
    assert Remaining(found([*done, *((seq, 1, 2, False) for seq in (4, 5, 6, 7))])).first_due_ns(planned(), every) == 0


def test_the_time_a_stage_had_is_counted_segment_by_segment() -> None:
    segments = ({"n": 0, "offset_ns": 0}, {"n": 1, "offset_ns": 100 * SECOND})
    rows = [(0, 1, 4, False), (1, 2, 6, False), (2, 101, 103, False), (9, 103, 109, False)]
    left = Remaining(found(rows, segments))
    assert left.under_load_ns(np.arange(5)) == 7 * SECOND  # 1 to 6, and 101 to 103
    assert left.under_load_ns(np.arange(9, 10)) == 6 * SECOND


@pytest.mark.parametrize(
    ("wall_s", "offset_s"),
    [
        (160, 60),  # a minute later by the wall clock
        (107, 9 + 1e-9),  # the clock says 7 s, but something was recorded at 9 s
        (20, 9 + 1e-9),  # the clock was set back by more than the run had lasted
    ],
)
def test_a_segment_stands_behind_all_that_is_recorded(wall_s, offset_s) -> None:
    earlier = Earlier(Path("run=x"), found([(0, 1, 9, False)]))
    moved = earlier.moved(Anchor(777, wall_s * SECOND))
    assert moved.offset(777) == round(offset_s * SECOND)


def test_a_segment_that_ended_after_its_last_row_is_not_overlapped() -> None:
    earlier = Earlier(Path("run=x"), found([(0, 1, 9, False)], ({"n": 0, "offset_ns": 0, "end_ns": 30 * SECOND},)))
    assert earlier.moved(Anchor(0, 101 * SECOND)).offset(0) == 30 * SECOND + 1


def test_what_was_sent_without_a_record_counts_against_the_limit_at_its_most() -> None:
    planned = plan.build(["c"], ["a", "b"], plan.Stream(2, None), arrangement="interleaved", warmup=0, seed=1)
    base = found([(0, 1, 2, False), (1, 1, 2, True)], [{"n": 0, "resent": {"perhaps_billed_usd_most": "0.25"}}])
    lost = Recorded(**{name: getattr(base, name) for name in base.__slots__} | {"in_flight": np.array([2], np.int64)})
    earlier = Earlier(Path("run=x"), lost)
    resent = earlier.resent(planned, {"a": Decimal("0.1"), "b": Decimal("0.1")})
    assert resent == {"in_flight": 1, "abandoned": 1, "perhaps_billed_usd_most": "0.2"}
    assert earlier.spent_usd(resent, {}) == Decimal(
        "0.95"
    )  # 0.5 recorded, 0.25 lost by an earlier segment, 0.2 by this one
    unpriced = Earlier(Path("run=x"), replace(lost, unpriced={"a": 3}))  # three attempts that may have been billed
    assert unpriced.spent_usd(resent, {"a": Decimal("0.1")}) == Decimal("1.25")
    assert earlier.resent(planned, {})["perhaps_billed_usd_most"] is None


def test_a_target_is_compared_by_its_id_and_free_keys_are_left_alone() -> None:
    then = [{"id": "a", "region": "us", "price": 1}, {"id": "b", "region": "eu"}]
    now = [{"id": "b", "region": "eu"}, {"id": "a", "region": "us-2", "price": 2}, {"id": "c"}]
    assert list(resume._differences("targets", now, then, resume.FREE)) == [
        ("targets.a.region", "us-2", "us"),
        ("targets.c", "c", "nothing"),
    ]


@pytest.mark.parametrize(
    ("segments", "p99"),
    [
        ([{"requests": 5, "calibration": {"ttft_error_p99_ms": 1.0}}], 1.0),
        ([{"requests": 5, "calibration": {"ttft_error_p99_ms": 1.0}},
          {"requests": 5, "calibration": {"ttft_error_p99_ms": 3.0}}], 3.0),
        ([{"requests": 5, "calibration": None}, {"requests": 5, "calibration": {"ttft_error_p99_ms": 3.0}}], None),
        ([{"requests": 5, "calibration": {"ttft_error_p99_ms": 1.0}}, {"requests": 0, "calibration": None}], 1.0),
        ([{"requests": 5, "calibration": {"ttft_error_p99_ms": None}}], None),
    ],
)  # fmt: skip
def test_the_error_of_a_run_is_that_of_its_worst_segment(segments, p99) -> None:
    said = resume.calibration(segments)
    assert (None if said is None else said["ttft_error_p99_ms"]) == p99


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("bench run w.yaml --seed 3", "bench run w.yaml --seed 3 --resume x"),
        ("bench run w.yaml --run-id x --seed 3", "bench run w.yaml --seed 3 --resume x"),
        ("bench run --run-id=x 'my w.yaml'", "bench run 'my w.yaml' --resume x"),
        ("bench run w.yaml --resume x --max-usd 5", "bench run w.yaml --max-usd 5 --resume x"),
        ("", "bench run WORKLOAD.yaml --resume x"),
    ],
)
def test_the_command_that_goes_on_is_the_one_that_began(command, again) -> None:
    assert resume_command({"command": command}, Path("results/date=2026-03-16/run=x")) == again


def test_nothing_is_recorded_in_an_empty_folder(tmp_path) -> None:
    assert len(recorded(tmp_path).seq) == 0
    assert recorded(tmp_path).last_ns == 0
