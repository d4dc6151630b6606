"""Pauses of a run that was continued: figures do not see them, the reader does."""

import pandas as pd
import pytest

from bench.stats import pauses

SECOND = 10**9


def rows(*times, run="r", due=None):
    """(sent, end) in seconds, in one run."""
    frame = pd.DataFrame(
        {"run_id": run, "sent_ns": [sent * SECOND for sent, _ in times], "end_ns": [end * SECOND for _, end in times]}
    )
    for name in pauses.STAMPS:
        if name not in frame:
            frame[name] = None
    if due is not None:
        frame["due_ns"] = [at * SECOND for at in due]
    return frame


def manifest(*offsets, **resent):
    segments = [{"n": n, "offset_ns": at * SECOND, "host": {"platform": "x"}} for n, at in enumerate(offsets)]
    segments[-1]["resent"] = resent
    return {"run_id": "r", "segments": segments}


def test_a_run_of_one_segment_is_left_as_it_is() -> None:
    frame = rows((1, 2), (8, 9))
    assert pauses.closed_up(frame, manifest(0)) is frame
    assert pauses.closed_up(frame, {}) is frame
    assert pauses.notes(frame, manifest(0)) == []


def test_each_segment_moves_up_to_the_end_of_the_one_before() -> None:
    # 5 is the last end of the first segment, 105 the first start of the second: 100 s; then 110 to 150: 40 s more
    frame = rows((1, 3), (2, 5), (105, 107), (106, 110), (150, 151))
    moved = pauses.closed_up(frame, manifest(0, 100, 120))
    assert list(moved["sent_ns"] / SECOND) == [1, 2, 5, 6, 10]
    assert list(moved["end_ns"] / SECOND) == [3, 5, 7, 10, 11]
    assert list(moved["end_ns"] - moved["sent_ns"]) == list(frame["end_ns"] - frame["sent_ns"])
    assert list(frame["sent_ns"] / SECOND) == [1, 2, 105, 106, 150]
    assert moved["first_token_ns"].isna().all()


def test_a_segment_begins_at_its_first_due_time_where_there_is_one() -> None:
    frame = rows((1, 5), (105, 107), due=(1, 104))
    assert pauses.pauses_ns(frame, manifest(0, 100)) == [99 * SECOND]
    assert list(pauses.closed_up(frame, manifest(0, 100))["due_ns"] / SECOND) == [1, 5]


def test_a_segment_without_a_row_is_no_pause_of_its_own() -> None:
    frame = rows((1, 5), (105, 107))
    assert sum(pauses.pauses_ns(frame, manifest(0, 50, 100))) == 100 * SECOND
    assert list(pauses.closed_up(frame, manifest(0, 50, 100))["sent_ns"] / SECOND) == [1, 5]
    assert pauses.pauses_ns(frame, manifest(0, 200)) == [0]


def test_rows_of_other_runs_stay_where_they_are() -> None:
    frame = pd.concat([rows((1, 5), (105, 107)), rows((105, 107), run="other")], ignore_index=True)
    assert list(pauses.closed_up(frame, manifest(0, 100))["sent_ns"] / SECOND) == [1, 5, 105]


@pytest.mark.parametrize(
    ("resent", "words"),
    [
        ({}, "continued 1 time; 100.0 s of pauses"),
        ({"in_flight": 2, "abandoned": 1}, "3 requests that had no result were sent again"),
        ({"in_flight": 1}, "1 request that had no result was sent again"),
    ],
)
def test_the_reader_is_told(resent, words) -> None:
    (note,) = pauses.notes(rows((1, 5), (105, 107)), manifest(0, 100, **resent))
    assert words in note


def test_another_machine_is_told() -> None:
    said = manifest(0, 100)
    said["segments"][1]["host"] = {"platform": "y"}
    assert any("another kind of machine" in note for note in pauses.notes(rows((1, 5), (105, 107)), said))
