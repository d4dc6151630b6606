"""Run folders: ids, where they may be made, how they are sealed, found, verified and recovered."""

import errno
import itertools
import os
import subprocess
import sys
import tempfile
import textwrap
from collections import namedtuple
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

import bench.store.runs as runs_module
from bench.errors import EXIT_CANNOT_RUN, CannotRun
from bench.record import SCHEMA_VERSION
from bench.store.disk import DAMAGED, digest
from bench.store.find import find_runs
from bench.store.journal import Journal, encode
from bench.store.parquet import read_table, write_table, write_tables
from bench.store.runs import (
    MAKE_ONE,
    create_run_dir,
    find_run,
    open_run,
    recover,
    remove_journals,
    run_id,
    verify_digests,
    write_manifest,
)
from tests.unit.test_store_journal import record

# 2026-03-16T08:00:00Z: 20,528 days after the epoch (56 years x 365 + 14 leap days + 74 days of 2026) and 8 hours
NS = (20_528 * 86_400 + 8 * 3600) * 10**9


def seal(folder, **facts):
    facts = {"run_id": folder.name.removeprefix("run="), "started_unix_ns": NS, **facts}
    files, _ = write_tables(folder)
    return write_manifest(folder, facts, files, complete=True, exit_status=0)


def make_run(results, run, unix_ns=NS, count=3):
    folder = create_run_dir(results, run, unix_ns)
    with Journal(folder / "journal.bin", {"run_id": run, "started_unix_ns": unix_ns}) as journal:
        for seq in range(count):
            journal.append(record(seq, cost_usd=Decimal("0.1"), http_status=None))
    seal(folder, started_unix_ns=unix_ns)
    return folder


def test_ids_say_their_time_and_sort_by_it():
    assert run_id(NS, "abc123") == "20260316T080000Z-abc123"
    ids = [run_id(NS + second * 10**9) for second in (0, 1, 59, 60, 86_400, 10**7)]
    assert ids == sorted(ids)
    assert run_id(NS) != run_id(NS)


def test_a_run_lives_in_a_folder_of_its_date(tmp_path):
    folder = create_run_dir(tmp_path / "results", "nightly-1", NS)
    assert folder == tmp_path / "results" / "date=2026-03-16" / "run=nightly-1"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("run", ["", "a/b", "..", "a b", "run=a", "-x", "x" * 81, "ü"])
def test_an_id_that_cannot_name_a_folder_is_refused(tmp_path, run):
    with pytest.raises(CannotRun, match="want letters, digits"):
        create_run_dir(tmp_path, run, NS)


def test_an_id_is_taken_once_whatever_the_date(tmp_path):
    create_run_dir(tmp_path, "nightly", NS)
    with pytest.raises(CannotRun, match="that run exists") as error:
        create_run_dir(tmp_path, "nightly", NS + 86_400 * 10**9)
    assert "--resume nightly" in error.value.hint


def test_a_results_folder_below_a_file_is_told_with_the_next_step(tmp_path):
    (tmp_path / "results").write_bytes(b"")
    with pytest.raises(CannotRun, match="cannot write: Not a directory") as error:
        create_run_dir(tmp_path / "results", "a", NS)
    assert "--out DIR" in error.value.hint
    assert error.value.exit_code == EXIT_CANNOT_RUN


def test_a_folder_without_write_permission_is_told_with_the_next_step(tmp_path):
    """In a process of its own, which gives up root where it has it: root may write anywhere."""
    results = tmp_path / "results"
    results.mkdir(mode=0o555)
    code = f"""
        import os, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from bench.errors import CannotRun
        from bench.store.runs import create_run_dir
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            create_run_dir(Path({str(results)!r}), "a", {NS})
        except CannotRun as error:
            print(error.message, error.hint, sep="|")
    """
    for folder in (
        tmp_path,
        *itertools.takewhile(lambda parent: parent != Path(tempfile.gettempdir()), tmp_path.parents),
    ):
        os.chmod(folder, 0o755)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    message, hint = done.stdout.strip().split("|")
    assert "cannot write: Permission denied" in message
    assert "make the folder writable" in hint


def test_too_little_free_space_is_told_before_the_run_and_leaves_no_folder(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 5 * 2**20, 5 * 2**20)
    monkeypatch.setattr(runs_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CannotRun, match="5 MiB are free, the run needs about 20 MiB") as error:
        create_run_dir(tmp_path, "a", NS, need_bytes=20 * 2**20)
    assert "free space" in error.value.hint
    assert list(tmp_path.glob("date=*/*")) == []


def test_a_manifest_says_how_the_run_ended_and_what_was_written(tmp_path):
    folder = make_run(tmp_path, "a")
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    assert manifest["complete"] is True
    assert manifest["exit_status"] == 0
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["run_id"] == "a"
    assert manifest["files"]["requests.parquet"] == {
        "sha256": digest(folder / "requests.parquet"),
        "rows": 3,
        "bytes": (folder / "requests.parquet").stat().st_size,
    }
    assert not list(folder.glob(".*"))


def test_a_sealed_run_gives_its_tables_as_frames(tmp_path):
    run = open_run(make_run(tmp_path, "a"))
    assert run.manifest["run_id"] == "a"
    assert list(run.requests["seq"]) == [0, 1, 2]
    assert run.requests["http_status"].isna().all()
    assert list(run.requests["cost_usd"]) == [Decimal("0.1")] * 3
    assert len(run.attempts) == 3
    assert len(run.scores) == 0
    assert run.requests is run.requests


def test_a_missing_pandas_names_the_extra(tmp_path, monkeypatch):
    run = open_run(make_run(tmp_path, "a"))
    monkeypatch.setitem(sys.modules, "pandas", None)

    class Table:
        def to_pandas(self):
            import pandas  # noqa: F401

    monkeypatch.setattr(runs_module, "read_table", lambda *_: Table())
    with pytest.raises(CannotRun, match="needs pandas") as error:
        _ = run.requests
    assert "bench[analysis]" in error.value.hint


def test_a_run_is_found_by_path_id_prefix_and_as_the_latest(tmp_path):
    first = make_run(tmp_path, "alpha-1", NS)
    second = make_run(tmp_path, "alpha-2", NS + 3600 * 10**9)
    later = make_run(tmp_path, "aaa", NS + 7200 * 10**9)  # sorts first by name, but was started last
    assert find_run(first) == first
    assert find_run(first / "manifest.json") == first
    assert find_run("alpha-1", tmp_path) == first
    assert find_run("run=alpha-2", tmp_path) == second
    assert find_run("aa", tmp_path) == later
    assert find_run("latest", tmp_path) == later


def test_an_id_that_begins_another_is_still_found(tmp_path):
    short = make_run(tmp_path, "night", NS)
    make_run(tmp_path, "nightly", NS)
    assert find_run("night", tmp_path) == short


def test_a_reference_that_fits_none_or_several_is_told_with_candidates(tmp_path):
    with pytest.raises(CannotRun, match="there are no runs"):
        find_run("latest", tmp_path)
    make_run(tmp_path, "alpha-1")
    make_run(tmp_path, "alpha-2")
    with pytest.raises(CannotRun, match="2 runs begin with 'alpha'") as error:
        find_run("alpha", tmp_path)
    assert "alpha-1, alpha-2" in error.value.hint
    with pytest.raises(CannotRun, match="no run 'beta'") as error:
        find_run("beta", tmp_path)
    assert "alpha-2" in error.value.hint


def test_a_path_that_is_no_run_is_told_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "kept", "alpha")
    for name in ("empty", "torn"):
        (tmp_path / name).mkdir()
    (tmp_path / "torn" / "requests.parquet").write_bytes(b"")
    (tmp_path / "mix.yaml").write_text("version: 1")
    told = {
        "kept": ("kept: a folder of runs, and one run is wanted", f"give one, e.g. {run.relative_to(tmp_path)}"),
        "empty": ("empty: not a run, since it has no manifest.json, nor a folder of runs", MAKE_ONE),
        "torn": ("torn: not a run, since it has no manifest.json, nor a folder of runs", DAMAGED),
        "mix.yaml": ("mix.yaml: a file, and no run", "give the folder of a run, or its id"),
        "kept/beta": ("kept/beta: there is no such folder", "give the folder of a run, or its id"),
    }
    # Whether there are runs elsewhere or none.
    for results in (tmp_path / "kept", tmp_path / "results"):
        for ref, (what, hint) in told.items():
            with pytest.raises(CannotRun) as error:
                find_run(ref, results)
            assert (error.value.message, error.value.hint) == (what, hint)
    for ref in ("empty", "torn"):
        with pytest.raises(CannotRun) as error:
            find_runs([ref], tmp_path / "results")
        assert (error.value.message, error.value.hint) == told[ref]


def test_untouched_files_verify_and_every_change_is_named(tmp_path):
    folder = make_run(tmp_path, "a")
    run = open_run(folder)
    assert verify_digests(run) == []
    raw = bytearray((folder / "requests.parquet").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "requests.parquet").write_bytes(raw)
    (folder / "scores.parquet").unlink()
    write_table(folder / "summary.parquet", "summary", [])
    assert verify_digests(run) == [
        "requests.parquet: differs from its digest in manifest.json",
        "scores.parquet: missing",
        "summary.parquet: not in manifest.json",
    ]


def crashed(results, run="a", torn=b"", **meta):
    folder = create_run_dir(results, run, NS)
    with Journal(folder / "journal.bin", {"run_id": run, "started_unix_ns": NS, "simulated": True, **meta}) as journal:
        for seq in range(3):
            journal.append(record(seq))
    with (folder / "journal.bin").open("ab") as file:
        file.write(torn)
    return folder


def test_a_crashed_run_is_recovered_with_what_its_journal_holds(tmp_path):
    torn = b"".join(encode(record(3)))[:-1]
    folder = crashed(tmp_path, torn=torn)
    write_table(folder / "schedule.parquet", "schedule", [{"seq": i} for i in range(10)])
    with pytest.raises(CannotRun, match="the run did not end") as error:
        open_run(folder)
    assert "--resume a" in error.value.hint
    run = recover(folder)
    assert run.manifest["complete"] is False
    assert run.manifest["exit_status"] == EXIT_CANNOT_RUN
    assert run.manifest["recovered"] is True
    assert run.manifest["dropped_bytes"] == len(torn)
    assert run.manifest["simulated"] is True
    assert run.manifest["files"]["schedule.parquet"]["rows"] == 10
    assert list(run.requests["seq"]) == [0, 1, 2]
    assert verify_digests(run) == []
    assert (folder / "journal.bin").exists()
    assert recover(folder).manifest == run.manifest


def test_recovering_keeps_the_policy_for_replies_and_the_journal_for_their_scores(tmp_path):
    run = recover(crashed(tmp_path, replies="none"))
    assert list(run.frame("replies")["text"].isna()) == [True] * 3
    assert (run.path / "journal.bin").exists()


def test_a_run_that_is_still_going_is_neither_opened_nor_recovered(tmp_path):
    folder = create_run_dir(tmp_path, "a", NS)
    with Journal(folder / "journal.bin", {}):
        for attempt in (open_run, recover):
            with pytest.raises(CannotRun, match="still going"):
                attempt(folder)
    assert recover(folder).manifest["files"]["requests.parquet"]["rows"] == 0


def test_the_newest_word_on_a_request_stands_whatever_holds_it(tmp_path):
    """Tables of a sealed segment hold 0 to 3, and 3 was abandoned; two more segments sent 3 and 4, and 4 and 5."""
    folder = create_run_dir(tmp_path, "a", NS)
    with Journal(folder / "journal.bin", {}) as journal:
        for seq in range(4):
            journal.append(record(seq, outcome="transport" if seq == 3 else "ok", worker=0))
    write_tables(folder)
    (folder / "journal.bin").unlink()
    for segment, seqs in ((1, (3, 4)), (2, (4, 5))):
        with Journal(folder / f"journal-r{segment}.bin", {}) as journal:
            for seq in seqs:
                journal.append(record(seq, worker=segment))
    for _ in range(2):  # a second pass, as after a first that was cut off, changes nothing
        files, _ = write_tables(folder)
        rows = read_table(folder, "requests", ["seq", "worker", "outcome"]).to_pylist()
        assert {row["seq"]: row["worker"] for row in rows} == {0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 2}
        assert {row["outcome"] for row in rows} == {"ok"}
        assert {info.rows for name, info in files.items() if name != "scores.parquet"} == {6}
        for table in ("attempts", "chunks", "replies"):
            assert sorted(read_table(folder, table, ["seq"])["seq"].to_pylist()) == list(range(6))


def test_a_crashed_run_is_the_latest_when_it_was_started_last(tmp_path):
    make_run(tmp_path, "b", NS - 10**9)
    last = crashed(tmp_path, "a")
    assert find_run("latest", tmp_path) == last


def test_the_journal_goes_only_when_the_run_is_sealed(tmp_path):
    folder = crashed(tmp_path)
    with pytest.raises(ValueError, match="its journal is all there is"):
        remove_journals(folder)
    recover(folder)
    remove_journals(folder)
    assert not (folder / "journal.bin").exists()


def test_what_is_no_run_is_told(tmp_path):
    for attempt in (open_run, recover):
        with pytest.raises(CannotRun, match="not a run, since it has no manifest"):
            attempt(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"{")
    with pytest.raises(CannotRun, match="cannot read"):
        open_run(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b'{"schema_version": 99}')
    with pytest.raises(CannotRun, match="newer bench"):
        open_run(tmp_path)


def test_a_manifest_that_cannot_be_written_leaves_the_run_unsealed(tmp_path, monkeypatch):
    folder = crashed(tmp_path)
    files, _ = write_tables(folder)

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotRun, match=r"manifest.json: cannot write: No space left"):
        write_manifest(folder, {}, files, complete=True, exit_status=0)
    assert not (folder / "manifest.json").exists()
    assert not list(folder.glob(".*"))
