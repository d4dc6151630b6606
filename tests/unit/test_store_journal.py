"""The journal: what is appended comes back, whatever cuts the file short, and a failing disk is never silent."""

import errno
import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
from array import array
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench.store.journal as journal_module
from bench.errors import EXIT_CANNOT_RUN, CannotRun
from bench.store.journal import (
    MAGIC,
    Journal,
    JournalError,
    encode,
    is_locked,
    journal_path,
    journals,
    read,
    segment_of,
)

META = {"run_id": "20260316T080000Z-abc123", "replies": "full"}


def record(seq, stamps=3, **request):
    """One request's record. Arrivals are 10 ns apart, the pieces 7 bytes long."""
    arrived = [seq * 1000 + 10 * i for i in range(stamps)]
    return {
        "request": {"run_id": META["run_id"], "seq": seq, "target": "a", "outcome": "ok", **request},
        "attempts": [{"attempt": 1, "outcome": "ok"}],
        "chunks": [{"attempt": 1, "arrived_ns": arrived, "sizes": [7] * stamps, "content_ns": arrived[1:]}],
        "reply": {"text": f"reply {seq}"},
        "case_id": "c",
    }


def plain(found):
    """A record with its stamps as lists, to be compared."""
    for chunk in found["chunks"]:
        for name in ("arrived_ns", "sizes", "content_ns"):
            if chunk.get(name) is not None:
                chunk[name] = chunk[name].tolist()
    return found


def frame(value):
    return b"".join(encode(value))


def test_what_is_appended_comes_back_in_order(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path, META) as journal:
        for seq in range(100):
            journal.append(record(seq, stamps=seq))
    records = read(path)
    assert records.meta == META
    assert [plain(r) for r in records] == [record(seq, stamps=seq) for seq in range(100)]
    assert records.dropped_bytes == 0
    assert records.good_bytes == path.stat().st_size


def test_stamps_may_be_lists_tuples_arrays_or_numpy_and_nulls_stay_nulls(tmp_path):
    ns = 2**62 + 1  # beyond what a float could hold
    forms = [[1, ns], (1, ns), array("q", [1, ns]), np.array([1, ns]), []]
    with Journal(tmp_path / "journal.bin") as journal:
        for form in forms:
            journal.append({"request": {}, "chunks": [{"attempt": 1, "arrived_ns": form, "sizes": None}]})
    found = [r["chunks"][0] for r in read(tmp_path / "journal.bin")]
    assert [c["arrived_ns"].tolist() for c in found] == [[1, ns]] * 4 + [[]]
    assert all(c["arrived_ns"].dtype == np.int64 and c["sizes"] is None and "content_ns" not in c for c in found)


def test_money_and_missing_values_come_back_exactly(tmp_path):
    cost = Decimal("0.000000000001")
    with Journal(tmp_path / "journal.bin") as journal:
        journal.append(record(0, cost_usd=cost, ttft_ms=None, e2e_ms=0.1))
    (request,) = [r["request"] for r in read(tmp_path / "journal.bin")]
    assert request["cost_usd"] == cost
    assert isinstance(request["cost_usd"], Decimal)
    assert request["ttft_ms"] is None
    assert request["e2e_ms"] == 0.1


def test_a_reply_with_half_a_surrogate_pair_costs_that_character_only(tmp_path):
    with Journal(tmp_path / "journal.bin") as journal:
        journal.append({**record(0), "reply": {"text": "caf\u00e9 \ud83d!"}})
    assert [r["reply"]["text"] for r in read(tmp_path / "journal.bin")] == ["caf\u00e9 ?!"]


def test_a_tail_torn_at_any_byte_loses_that_record_and_nothing_before_it(tmp_path):
    path = tmp_path / "journal.bin"
    whole = [MAGIC, frame({"meta": META}), frame(record(0)), frame(record(1)), frame(record(2))]
    kept = len(b"".join(whole[:-1]))
    for cut in range(len(whole[-1])):
        path.write_bytes(b"".join(whole)[: kept + cut])
        records = read(path)
        assert [r["request"]["seq"] for r in records] == [0, 1]
        assert (records.good_bytes, records.dropped_bytes) == (kept, cut)


def test_a_file_cut_inside_its_beginning_reads_as_empty(tmp_path):
    path = tmp_path / "journal.bin"
    start = MAGIC + frame({"meta": META})
    for cut in range(len(start)):
        path.write_bytes(start[:cut])
        records = read(path)
        assert list(records) == []
        assert records.meta == {}
        assert records.good_bytes + records.dropped_bytes == cut


@settings(max_examples=60, derandomize=True, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_and_nothing_behind_it_is_believed(tmp_path_factory, at, bit):
    path = tmp_path_factory.mktemp("j") / "journal.bin"
    good = MAGIC + frame({"meta": META})
    body = b"".join(frame(record(seq)) for seq in range(5))
    at %= len(body)
    hurt = bytearray(body)
    hurt[at] ^= 1 << bit
    path.write_bytes(good + hurt)
    records = read(path)
    whole_before = at // (len(body) // 5)  # the five records are of one length
    assert [plain(r) for r in records] == [record(seq) for seq in range(whole_before)]
    assert records.dropped_bytes == len(body) - whole_before * (len(body) // 5)


def test_a_block_of_zeros_behind_the_last_record_is_a_torn_tail(tmp_path):
    path = tmp_path / "journal.bin"
    path.write_bytes(MAGIC + frame({"meta": META}) + frame(record(0)) + bytes(4096))
    records = read(path)
    assert len(list(records)) == 1
    assert records.dropped_bytes == 4096


def test_a_length_beyond_the_file_is_a_torn_tail_and_takes_no_memory(tmp_path):
    path = tmp_path / "journal.bin"
    path.write_bytes(MAGIC + frame({"meta": META}) + struct.pack("<II", 2**32 - 1, 1))
    records = read(path)
    assert list(records) == []
    assert records.dropped_bytes == 8


def test_something_else_is_not_read_as_a_journal(tmp_path):
    (tmp_path / "journal.bin").write_bytes(b"PAR1 something")
    with pytest.raises(JournalError, match="not a journal of bench"):
        read(tmp_path / "journal.bin")
    with pytest.raises(JournalError, match="cannot read the run's journal: No such file"):
        read(tmp_path / "other.bin")


def test_flush_returns_when_all_is_on_disk_and_a_later_kill_loses_none_of_it(tmp_path):
    """kill -9 in mid-run: 50 records were flushed, 50 more appended; at least the first 50 are whole."""
    path = tmp_path / "journal.bin"
    code = f"""
        import signal, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from bench.store.journal import Journal
        journal = Journal(Path({str(path)!r}), {META!r})
        records = {[record(seq) for seq in range(100)]!r}
        for found in records[:50]: journal.append(found)
        journal.flush()
        for found in records[50:]: journal.append(found)
        print("ready", flush=True)
        signal.pause()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        assert is_locked(path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert not is_locked(path)
    found = [plain(r) for r in read(path)]
    assert 50 <= len(found) <= 100
    assert found == [record(seq) for seq in range(len(found))]


def test_records_reach_the_disk_by_themselves_within_the_flush_time(tmp_path):
    path = tmp_path / "journal.bin"
    journal = Journal(path, META, flush_seconds=0.01)
    try:
        before = path.stat().st_size
        journal.append(record(0))
        pause = threading.Event()
        for _ in range(500):  # five seconds at most; some milliseconds on an idle machine
            if path.stat().st_size > before:
                break
            pause.wait(0.01)
        assert len(list(read(path))) == 1
    finally:
        journal.close()


def test_a_long_queue_is_written_before_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "FLUSH_BYTES", 1000)
    path = tmp_path / "journal.bin"
    journal = Journal(path, META, flush_seconds=3600)
    pause = threading.Event()
    for seq in range(20):
        journal.append(record(seq, stamps=50))  # 50 x (8 + 4 + 8) bytes = 1000
    for _ in range(500):
        if sum(1 for _ in read(path)) == 20:
            break
        pause.wait(0.01)
    assert sum(1 for _ in read(path)) == 20
    journal.close()


def test_writes_that_the_kernel_cuts_short_are_finished(tmp_path, monkeypatch):
    """A writev may take any part of what it is given; here it takes at most 100 bytes at a time."""
    real = os.write
    monkeypatch.setattr(os, "writev", lambda fd, buffers: real(fd, b"".join(bytes(b) for b in buffers)[:100]))
    with Journal(tmp_path / "journal.bin", META) as journal:
        for seq in range(30):
            journal.append(record(seq, stamps=40))
    assert [plain(r) for r in read(tmp_path / "journal.bin")] == [record(seq, stamps=40) for seq in range(30)]


def test_a_full_disk_is_told_at_the_next_append_and_again_at_close(tmp_path, monkeypatch):
    path = tmp_path / "journal.bin"
    journal = Journal(path, META)
    journal.append(record(0))
    journal.flush()

    def full(fd, buffers):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", full)
    journal.append(record(1))
    for attempt in (journal.flush, lambda: journal.append(record(2)), journal.flush, journal.close):
        with pytest.raises(JournalError, match="No space left on device") as error:
            attempt()
        assert isinstance(error.value, CannotRun)
        assert error.value.exit_code == EXIT_CANNOT_RUN
        assert "free space" in error.value.hint
        assert str(path) in error.value.message
    assert [r["request"]["seq"] for r in read(path)] == [0]


def test_a_real_limit_of_the_file_size_is_told_and_what_was_written_stays_readable(tmp_path):
    """RLIMIT_FSIZE makes the kernel cut a write in the middle of a record, as a full disk does."""
    path = tmp_path / "journal.bin"
    code = f"""
        import resource, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from bench.store.journal import Journal, JournalError
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        journal = Journal(Path({str(path)!r}), {META!r})
        found = {record(0)!r}
        try:
            for seq in range(1000):
                found["request"]["seq"] = seq
                journal.append(found)
                journal.flush()
        except JournalError as error:
            print(seq, error.message, error.hint, sep="|")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    seq, message, hint = done.stdout.strip().split("|")
    assert "File too large" in message
    assert "ulimit -f" in hint
    records = read(path)
    assert [r["request"]["seq"] for r in records] == list(range(int(seq)))
    assert path.stat().st_size == 10_000
    assert records.dropped_bytes > 0


def test_a_disk_that_does_not_keep_up_is_told_before_the_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "QUEUE_BYTES", 10_000)
    journal = Journal(tmp_path / "journal.bin", META, flush_seconds=3600)

    def append_all():
        for seq in range(1000):
            journal.append(record(seq))

    with pytest.raises(JournalError, match="does not keep up") as error:
        append_all()
    assert "--out DIR" in error.value.hint
    with pytest.raises(JournalError):
        journal.close()


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda d: d / "missing" / "journal.bin", "No such file", "create it"),
        (
            lambda d: (d / "file").write_bytes(b"") * 0 or d / "file" / "journal.bin",
            "Not a directory",
            "part of the path",
        ),
        (lambda d: (d / "journal.bin").write_bytes(b"x") * 0 or d / "journal.bin", "File exists", "--resume"),
    ],
    ids=["no folder", "a file as folder", "a journal is there"],
)
def test_a_journal_that_cannot_start_says_what_to_do(tmp_path, make, message, hint):
    with pytest.raises(JournalError, match=message) as error:
        Journal(make(tmp_path))
    assert hint in error.value.hint


def test_a_journal_is_never_written_to_by_a_second_process(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path, META):
        assert is_locked(path)
        with pytest.raises(JournalError, match="File exists"):
            Journal(path, META)
    assert not is_locked(path)
    with pytest.raises(JournalError, match="File exists") as error:
        Journal(path, META)
    assert "--resume" in error.value.hint


def test_what_was_sent_and_what_became_known_later_are_noted_beside_the_records(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path, META) as journal:
        journal.sent(0)
        journal.sent(1)
        journal.append(record(0))
        journal.note({"calibration": {"ttft_error_p99_ms": 0.5}})
        journal.sent(2)
    records = read(path)
    assert records.meta == META
    assert [plain(r) for r in records] == [record(0)]
    assert list(records.sent) == [0, 1, 2]
    assert records.meta == {**META, "calibration": {"ttft_error_p99_ms": 0.5}}


def test_notes_of_what_was_sent_are_read_one_by_one_and_many_together(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path, META) as journal:
        journal.append({"sent": 7})
        journal.sent(8)
        journal.sent(9)
    records = read(path)
    assert list(records) == []
    assert sorted(records.sent) == [7, 8, 9]


def test_a_killed_process_loses_what_it_had_not_written_which_is_less_than_what_it_had_not_synced(tmp_path):
    path = tmp_path / "journal.bin"
    with Journal(path, META, flush_seconds=3600) as journal:
        journal.append(record(0))
        pause = threading.Event()
        for _ in range(500):  # five seconds at most; a tenth of one on an idle machine
            if sum(1 for _ in read(path)):
                break
            pause.wait(0.01)
        assert len(list(read(path))) == 1  # another process reads it, an hour before it is synced


def test_a_closed_journal_takes_nothing_more(tmp_path):
    journal = Journal(tmp_path / "journal.bin", META)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append(record(0))


def test_every_segment_and_every_process_has_a_journal_of_its_own(tmp_path):
    made = [
        journal_path(tmp_path, segment, worker) for segment, worker in ((10, 0), (2, 1), (2, 0), (1, None), (0, None))
    ]
    for path in made:
        Journal(path, META).close()
    assert journals(tmp_path) == made[::-1]
    assert [segment_of(p) for p in journals(tmp_path)] == [0, 1, 2, 2, 10]
    assert journal_path(tmp_path).name == "journal.bin"
