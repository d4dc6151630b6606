"""`bench run --resume`: a run that stopped early goes on with the rest of its plan."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.conductor import runner
from bench.store.journal import read
from bench.store.runs import open_run, verify_digests

ROOT = Path(__file__).parent.parent.parent
ENOUGH = "0.004"
"""USD for some, but not all, of the requests that the runs here plan: 64 output tokens at 15 USD per million, at most."""


def stopped(place, *arguments: str, limit: str = ENOUGH):
    """A run that its budget stopped early."""
    done = place.run("--run-id", "mine", "--max-usd", limit, *arguments, requests=12)
    assert done.code == 5, done.err
    return done


def resume(place, *arguments: str):
    return place.bench("run", "small.yaml", "--no-calibrate", "--out", "results", "--resume", "mine", *arguments)


def once_each(done, planned: int = 24) -> bool:
    tables = ("requests", "attempts", "chunks", "replies", "scores")
    return all(sorted(row["seq"] for row in done.rows(table)) == list(range(planned)) for table in tables)


def test_a_run_that_its_budget_stopped_goes_on_without_asking_anything_twice(place, clouds) -> None:
    running = clouds(anthropic={}, foundry={})
    first = stopped(place)
    assert "--resume mine" in first.err
    before = {row["seq"]: row for row in first.rows()}
    assert 0 < len(before) < 24
    done = resume(place, "--max-usd", "1")
    assert done.code == 0, done.err
    assert f"{len(before)} of 24 requests are recorded" in done.err
    assert "PARTIAL" not in done.out
    assert once_each(done)
    after = {row["seq"]: row for row in done.rows()}
    assert {seq: after[seq] for seq in before} == before
    running.stop()
    assert pq.read_table(place.folder / "truth.parquet").num_rows == 24
    manifest = done.manifest
    assert manifest["complete"] is True
    assert [segment["requests"] for segment in manifest["segments"]] == [len(before), 24 - len(before)]
    assert manifest["segments"][0]["stopped"].startswith("the limit of $")
    assert manifest["segments"][1]["resent"] == {"in_flight": 0, "abandoned": 0, "perhaps_billed_usd_most": "0"}
    assert verify_digests(open_run(done.run)) == []
    assert not list(done.run.glob("journal*"))


def test_stamps_of_both_segments_stand_on_one_time_line(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    before = {row["seq"] for row in stopped(place).rows()}
    done = resume(place, "--max-usd", "1")
    first, second = done.manifest["segments"]
    assert first["end_ns"] < second["offset_ns"] < second["end_ns"]
    assert second["offset_ns"] == second["anchor"]["wall_ns"] - first["anchor"]["wall_ns"]
    for row in done.rows():
        begin, end = (0, first["end_ns"]) if row["seq"] in before else (second["offset_ns"], second["end_ns"])
        assert begin < row["sent_ns"] < row["end_ns"] <= end
        assert row["e2e_ms"] == pytest.approx((row["end_ns"] - row["sent_ns"]) / 1e6)


def test_the_pause_is_in_no_rate(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    stopped(place)
    done = resume(place, "--max-usd", "1", "--json")
    table = json.loads(done.out)
    assert any("continued 1 time;" in note for note in table["notes"])
    segments = done.manifest["segments"]
    under_load_s = sum(segment["end_ns"] - segment["offset_ns"] for segment in segments) / 1e9
    for row in table["rows"]:
        tokens = 12 * 12  # 12 requests of 12 tokens to each target
        assert row["cells"]["system_tokens_per_s"]["value"] > tokens / under_load_s


def test_the_limit_counts_what_earlier_segments_spent(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    spent = sum(row["cost_usd"] for row in stopped(place).rows())
    again = resume(place, "--max-usd", ENOUGH)
    assert again.code == 5
    assert sum(row["cost_usd"] for row in again.rows()) <= float(ENOUGH)
    assert again.manifest["segments"][1]["requests"] <= 1 + float(ENOUGH) / float(spent)
    done = resume(place, "--max-usd", "1")
    assert done.code == 0
    assert once_each(done)
    assert len(done.manifest["segments"]) == 3


def test_in_an_open_loop_what_is_left_is_due_at_once_and_keeps_its_gaps(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    before = {row["seq"] for row in stopped(place, "--request-rate", "40", "--requests", "12").rows()}
    done = resume(place, "--request-rate", "40", "--requests", "12", "--max-usd", "1")
    assert done.code in (0, 3), done.err  # 3: a busy machine sent late
    planned = {row["seq"]: row["due_ns"] for row in done.rows("schedule")}
    due = {row["seq"]: row["due_ns"] for row in done.rows() if row["seq"] not in before}
    shifts = {due[seq] - planned[seq] for seq in due}
    assert len(shifts) == 1
    second = done.manifest["segments"][1]
    assert second["offset_ns"] < min(due.values()) < second["end_ns"]
    assert all(row["lateness_ms"] >= 0 for row in done.rows())


@pytest.mark.parametrize(
    ("arguments", "change", "words"),
    [
        (["--seed", "3"], None, ["seed", "got 3; want 1"]),
        (["--requests", "13"], None, ["load.stages", "plan.requests"]),
        (["--only", "foundry"], None, ["targets.anthropic", "got nothing; want anthropic"]),
        (["--replies", "none"], None, ["replies", "got none; want full"]),
        ([], ("small.yaml", "Answer briefly", "Answer at length"), ["workload.digest"]),
        ([], ("small.yaml", "timeout: 5s", "timeout: 6s"), ["load.timeout_ns"]),
        ([], ("targets.yaml", '"model": "claude-sonnet-5-5"', '"model": "claude-opus-4-5"'), ["targets.anthropic.model"]),
    ],
    ids=["seed", "requests", "targets", "replies", "words", "timeout", "model"],
)  # fmt: skip
def test_another_plan_is_refused_with_what_differs(place, clouds, arguments, change, words) -> None:
    clouds(anthropic={}, foundry={})
    first = stopped(place)
    if change is not None:
        path = place.folder / change[0]
        assert change[1] in path.read_text()
        path.write_text(path.read_text().replace(change[1], change[2]))
    done = resume(place, *arguments)
    assert done.code == 2, done.err
    assert "--resume mine" in done.err
    assert "The run was started by: bench run small.yaml" in done.err
    for word in words:
        assert word in done.err
    assert verify_digests(open_run(first.run)) == []


def test_a_plan_that_was_changed_on_disk_is_refused(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    path = stopped(place).run / "schedule.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    done = resume(place, "--max-usd", "1")
    assert done.code == 3
    assert "schedule.parquet: differs from its digest" in done.err


def test_a_complete_run_has_nothing_to_go_on_with(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    place.run("--run-id", "mine")
    done = resume(place)
    assert done.code == 3
    assert "the run is complete" in done.err
    assert "read it: bench compare results/date=" in done.err
    assert done.err.endswith("/run=mine\n")


def test_a_name_and_resume_exclude_each_other(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    stopped(place)
    assert "--run-id" in resume(place, "--run-id", "other").err


@pytest.fixture
def crash(place, monkeypatch):
    """A run whose process dies between its last reply and the writing of its tables."""

    def power_off(*_: object) -> None:
        raise KeyboardInterrupt

    def run(*arguments: str):
        with monkeypatch.context() as patch:
            patch.setattr(runner, "_finish", power_off)
            done = place.run("--run-id", "mine", "--max-usd", ENOUGH, *arguments, requests=12)
        assert not (done.run / "manifest.json").exists()
        return done

    return run


def test_a_crashed_run_is_read_from_its_journal_and_said_to_be_partial(place, clouds, crash) -> None:
    clouds(anthropic={}, foundry={})
    crash()
    read_back = place.bench("compare", "mine")
    assert read_back.code == 0, read_back.err
    assert "PARTIAL" in read_back.out
    assert "the run crashed" in read_back.out
    assert "--resume mine" in read_back.err
    assert 0 < len(read_back.rows()) < 24
    assert read_back.manifest["complete"] is False
    assert verify_digests(open_run(read_back.run)) == []
    assert place.bench("compare", "mine").out == read_back.out
    assert place.bench("report", "mine").code == 0
    done = resume(place, "--max-usd", "1")
    assert done.code == 0, done.err
    assert once_each(done)  # with scores of what was recorded before the crash, too
    assert [segment["stopped"] for segment in done.manifest["segments"]] == ["crashed", None]
    assert "recovered" not in done.manifest


def test_a_crash_of_a_continued_run_loses_none_of_its_segments(place, clouds, crash, monkeypatch) -> None:
    running = clouds(anthropic={}, foundry={})
    before = {row["seq"]: row for row in stopped(place).rows()}

    def power_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_finish", power_off)
        resume(place, "--max-usd", "0.005")
    read_back = place.bench("compare", "mine")
    assert "PARTIAL" in read_back.out
    assert len(before) < len(read_back.rows()) < 24
    done = resume(place, "--max-usd", "1")
    assert done.code == 0, done.err
    assert once_each(done)
    assert {row["seq"]: row for row in done.rows()}.items() >= before.items()
    running.stop()
    assert pq.read_table(place.folder / "truth.parquet").num_rows == 24


def test_a_continuation_that_was_killed_before_it_began_hides_nothing(place, clouds, crash) -> None:
    clouds(anthropic={}, foundry={})
    first = crash()
    for torn in (b"", b"BENCHJ1\n", b"BENCHJ1\n\x10\x00\x00\x00torn"):
        (first.run / "journal-r1.bin").write_bytes(torn)
        assert place.bench("compare", "mine").code == 0
        (first.run / "manifest.json").unlink()
    done = resume(place, "--max-usd", "1")
    assert done.code == 0, done.err
    assert once_each(done)
    assert len(done.manifest["segments"]) == 2


@pytest.mark.parametrize("policy", ["hashed", "none"])
def test_words_that_are_not_to_be_kept_are_scored_and_gone_in_every_segment(place, clouds, crash, policy) -> None:
    clouds(anthropic={}, foundry={})
    crash("--replies", policy)
    done = resume(place, "--replies", policy, "--max-usd", "0.005")
    done = resume(place, "--replies", policy, "--max-usd", "1")
    assert done.code == 0, done.err
    assert once_each(done)
    lengths = {None if row["text"] is None else len(row["text"]) for row in done.rows("replies")}
    assert lengths == ({64} if policy == "hashed" else {None})  # SHA-256 in hex
    assert not list(done.run.glob("journal*"))


def test_look_alikes_of_every_segment_leave_their_truth(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    done = place.run("--simulate", "--run-id", "mine", "--max-usd", "0.003", requests=3)
    assert done.code == 5, done.err
    name = done.manifest["run_id"]
    done = place.bench(
        "run", "small.yaml", "--no-calibrate", "--out", "results", "--resume", name, "--simulate", "--max-usd", "1"
    )
    assert done.code == 0, done.err
    assert sorted(row["seq"] for row in done.rows()) == list(range(6))
    truths = [pq.read_table(done.run / f"{part}.parquet", partitioning=None).num_rows for part in ("truth", "truth-r1")]
    assert truths == [segment["requests"] for segment in done.manifest["segments"]]
    assert verify_digests(open_run(done.run)) == []


def command(place, before: str = "pass") -> subprocess.Popen:
    """The program in a process of its own, in a small run called mine."""
    code = f"import sys; {before}; from bench.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", "small.yaml", "--no-calibrate", "--out", "results", "--run-id", "mine"],
        cwd=place.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(place, clouds) -> None:
    running = clouds(anthropic={}, foundry={})
    place.workload(requests=100)
    process = command(place, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "journal.bin: cannot write the run's journal: File too large" in err
    assert "ulimit -f" in err
    assert "--resume mine" in err
    assert "Traceback" not in err
    path = next((place.folder / "results").glob("date=*/run=mine"))
    kept = {record["request"]["seq"] for record in read(path / "journal.bin")}
    assert 0 < len(kept) < 200
    done = resume(place)
    assert done.code == 0, done.err
    assert once_each(done, 200)
    lost = done.manifest["segments"][1]["resent"]["in_flight"]
    running.stop()
    sent = pq.read_table(place.folder / "truth.parquet").num_rows
    assert sent > 200  # what did not reach the disk was sent again
    assert 0 < lost <= sent - 200
    keys = Counter(row["provider_request_id"] for row in done.rows())
    assert set(keys.values()) == {1}


def test_what_a_second_interrupt_left_is_sent_again(place, clouds) -> None:
    slow = {"ttft_ms": {"constant": 2000}}
    running = clouds(anthropic=slow, foundry=slow)
    place.workload(requests=3)
    process = command(place)
    journal = None
    for _ in range(1500):
        journal = next((place.folder / "results").glob("date=*/run=mine/journal.bin"), None)
        if journal is not None:
            records = read(journal)
            list(records)
            if len(records.sent) == 4:
                break
        threading.Event().wait(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("Ctrl-C again" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    run = open_run(next((place.folder / "results").glob("date=*/run=mine")))
    left = pq.read_table(run.path / "requests.parquet", partitioning=None).to_pylist()
    assert {(row["outcome"], row["fault_code"], row["spoiled"]) for row in left} == {("transport", "cancelled", True)}
    assert len(left) == 4  # the concurrency
    done = resume(place)
    assert done.code == 0, done.err
    assert once_each(done, 6)
    assert {row["outcome"] for row in done.rows()} == {"ok"}
    assert done.manifest["segments"][1]["resent"]["abandoned"] == 4
    running.stop()
    assert pq.read_table(place.folder / "truth.parquet").num_rows == 4 + 6


def test_two_workers_go_on_with_what_one_process_left_and_again(place, clouds) -> None:
    running = clouds(anthropic={}, foundry={})
    n_first = len(stopped(place).rows())
    second = resume(place, "--max-usd", "0.005", "--workers", "2")
    assert second.code == 5, second.err
    assert n_first < len(second.rows()) < 24
    done = resume(place, "--max-usd", "1", "--workers", "2")
    assert done.code == 0, done.err
    assert once_each(done)
    running.stop()
    assert pq.read_table(place.folder / "truth.parquet").num_rows == 24
    assert [len(segment["instrument"].get("workers", ())) for segment in done.manifest["segments"]] == [0, 2, 2]


SWEPT = "load: {pattern: sweep, retries: 0, sweep: {over: rate, values: [40, 20], duration: 200ms}}"
TALKING = (
    "load: {pattern: concurrent, unit: session, stages: [{concurrency: 4, sessions: 6}], session: {history: recorded}}"
)
TALK = '{id: a, turns: [{user: "One?", assistant: "Yes."}, {user: "Two?", assistant: "No."}, {user: "Three?"}]}'


@pytest.mark.parametrize("shape", [SWEPT, TALKING])
def test_a_sweep_and_sessions_go_on_where_they_stopped(place, clouds, shape: str) -> None:
    running = clouds(anthropic={}, foundry={})
    path = place.folder / "shaped.yaml"
    messages = "{insert: session}" if shape == TALKING else '{role: user, content: "{{ question }}"}'
    items = TALK if shape == TALKING else '{id: a, question: "How many?"}'
    path.write_text(
        f"version: 1\nname: shaped\ndataset: {{type: inline, items: [{items}]}}\nmessages: [{messages}]\n"
        f"generation: {{max_tokens: 64, stream: true}}\ncache: {{salt: none}}\n{shape}\n"
    )
    arguments = ["run", "shaped.yaml", "--no-calibrate", "--out", "results"]
    first = place.bench(*arguments, "--run-id", "mine", "--max-usd", ENOUGH)
    assert first.code == 5, first.err
    before = {row["seq"]: row for row in first.rows()}
    done = place.bench(*arguments, "--resume", "mine", "--max-usd", "1")
    assert done.code in (0, 3), done.err  # 3: a busy machine sent late
    rows, planned = {row["seq"]: row for row in done.rows()}, {row["seq"]: row for row in done.rows("schedule")}
    assert len(done.rows()) == len(rows)
    assert {seq: rows[seq] for seq in before} == before
    running.stop()
    assert pq.read_table(place.folder / "truth.parquet").num_rows == len(rows)
    begun = {row["session_id"] for row in before.values()} - {None}
    missing = [row for seq, row in planned.items() if seq not in rows]
    # a talk that had begun goes no further, and none else is left out
    assert {row["session_id"] for row in missing} <= begun
    cut = Counter(row["target"] for row in {row["session_id"]: row for row in missing}.values())
    assert done.manifest["sessions_cut"] == dict(cut)
    assert (shape == TALKING) == bool(missing)
    if missing:
        assert f"{len(begun & {row['session_id'] for row in missing})} session" in done.err
