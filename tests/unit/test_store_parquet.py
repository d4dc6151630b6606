"""Parquet: schemas from the column lists, exact values, atomic files, bounded memory."""

import subprocess
import sys
import textwrap
from decimal import Decimal

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import bench.store.parquet as parquet_module
from bench.errors import CannotRun
from bench.record import SCHEMA_VERSION, TABLES
from bench.store.disk import digest
from bench.store.journal import Journal
from bench.store.parquet import dataset, read_table, write_table, write_tables
from bench.store.schema import schema
from tests.unit.test_store_journal import META, record


@pytest.mark.parametrize("table", list(TABLES))
def test_every_table_has_a_schema_with_unit_and_meaning_on_every_field(table):
    found = schema(table)
    assert found.names == [c.name for c in TABLES[table]]
    assert found.metadata == {b"bench.table": table.encode(), b"bench.schema_version": str(SCHEMA_VERSION).encode()}
    for column, field in zip(TABLES[table], found, strict=True):
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"meaning"].decode() == column.meaning


def test_the_schema_on_disk_is_the_schema_of_the_list(tmp_path):
    write_table(tmp_path / "requests.parquet", "requests", [])
    assert pq.read_schema(tmp_path / "requests.parquet").equals(schema("requests"), check_metadata=True)


EXACT = {
    "run_id": "r",
    "seq": 2**53 + 1,
    "sent_ns": 2**62 + 1,
    "ttft_ms": 0.1,
    "simulated": False,
    "http_status": 200,
    "cost_usd": Decimal("12345678901234567890.123456789012"),
}


def test_values_come_back_exactly_and_what_is_missing_stays_null(tmp_path):
    info = write_table(tmp_path / "requests.parquet", "requests", [EXACT, {"seq": 1, "ttft_ms": None}])
    first, second = read_table(tmp_path, "requests").to_pylist()
    assert {k: v for k, v in first.items() if v is not None} == EXACT
    assert {k: v for k, v in second.items() if v is not None} == {"seq": 1}
    assert info.rows == 2
    assert info.bytes == (tmp_path / "requests.parquet").stat().st_size
    assert info.sha256 == digest(tmp_path / "requests.parquet")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0.000000000001", "0.000000000001"),
        ("0.0000000000005", "0.000000000000"),  # 13 decimals: half to even
        ("0.0000000000015", "0.000000000002"),
        ("-1.5", "-1.500000000000"),
        ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"),
    ],
)
def test_money_is_stored_to_twelve_decimals(tmp_path, given, stored):
    write_table(tmp_path / "requests.parquet", "requests", [{"cost_usd": Decimal(given)}])
    assert read_table(tmp_path, "requests", ["cost_usd"]).column(0).to_pylist() == [Decimal(stored)]


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("requests", {"seq": 1, "ttft": 3.0}, "requests has no column ttft"),
        ("requests", {"cost_usd": 0.1}, "requests.cost_usd: want decimal"),
        ("requests", {"http_status": "ok"}, "requests.http_status: want int32"),
        ("requests", {"http_status": 2**40}, "requests.http_status: want int32"),
        ("chunks", {"sizes": [2**40]}, "chunks.sizes: want list<int32>"),
        ("chunks", {"arrived_ns": [1.5]}, "chunks.arrived_ns: want list<int64>"),
        ("chunks", {"arrived_ns": [1, None]}, "chunks.arrived_ns: want list<int64>"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name_and_leaves_no_file(tmp_path, table, row, message):
    with pytest.raises(ValueError, match=message):
        write_table(tmp_path / f"{table}.parquet", table, [row])
    assert list(tmp_path.iterdir()) == []


def test_lists_of_stamps_keep_empty_apart_from_missing(tmp_path):
    rows = [{"arrived_ns": [1, 2**62]}, {"arrived_ns": []}, {"arrived_ns": None}, {"arrived_ns": [5]}]
    write_table(tmp_path / "chunks.parquet", "chunks", rows)
    assert read_table(tmp_path, "chunks", ["arrived_ns"]).column(0).to_pylist() == [[1, 2**62], [], None, [5]]


def test_a_columnar_table_is_written_with_its_missing_columns_as_null(tmp_path):
    write_table(tmp_path / "summary.parquet", "summary", pa.table({"metric": ["ttft"], "value": [1.5], "n": [3]}))
    row = read_table(tmp_path, "summary").to_pylist()[0]
    assert {k: v for k, v in row.items() if v is not None} == {"metric": "ttft", "value": 1.5, "n": 3}
    with pytest.raises(ValueError, match="summary has no column other"):
        write_table(tmp_path / "summary.parquet", "summary", pa.table({"other": [1]}))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "requests.parquet"
    write_table(path, "requests", [{"seq": 1}])

    def rows():
        yield {"seq": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(path, "requests", rows())
    assert read_table(tmp_path, "requests", ["seq"]).column(0).to_pylist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["requests.parquet"]


def test_a_full_disk_while_writing_parquet_is_told_and_leaves_nothing(tmp_path):
    code = f"""
        import resource, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from bench.errors import CannotRun
        from bench.store.parquet import write_table
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
        try:
            write_table(Path({str(tmp_path / "requests.parquet")!r}), "requests", ({{"seq": i}} for i in range(1_000)))
        except CannotRun as error:
            print(error.message, error.hint, sep="|")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    message, hint = done.stdout.strip().split("|")
    assert "requests.parquet: cannot write" in message
    assert "--out DIR" in hint
    assert list(tmp_path.iterdir()) == []


def test_the_journal_becomes_one_file_per_table(tmp_path):
    with Journal(tmp_path / "journal.bin", META) as journal:
        for seq in range(5):
            journal.append({**record(seq), "scores": [{"scorer": "answer", "value": 1.0}]})
    files, dropped = write_tables(tmp_path)
    assert dropped == 0
    assert {name: info.rows for name, info in files.items()} == {
        "requests.parquet": 5,
        "attempts.parquet": 5,
        "chunks.parquet": 5,
        "replies.parquet": 5,
        "scores.parquet": 5,
    }
    assert all(info.sha256 == digest(tmp_path / name) for name, info in files.items())
    chunks = read_table(tmp_path, "chunks").to_pylist()
    assert chunks[3] == {
        "run_id": META["run_id"],
        "seq": 3,
        "target": "a",
        "attempt": 1,
        "arrived_ns": [3000, 3010, 3020],
        "sizes": [7, 7, 7],
        "content_ns": [3010, 3020],
    }
    reply = read_table(tmp_path, "replies").to_pylist()[4]
    assert (reply["seq"], reply["target"], reply["case_id"], reply["text"]) == (4, "a", "c", "reply 4")
    score = read_table(tmp_path, "scores").to_pylist()[0]
    assert (score["run_id"], score["case_id"], score["scorer"], score["value"]) == (META["run_id"], "c", "answer", 1.0)
    assert read_table(tmp_path, "requests").to_pylist()[0]["case_id"] == "c"


def test_several_journals_of_one_run_are_read_together(tmp_path):
    for worker in (0, 1):
        with Journal(tmp_path / f"journal-{worker}.bin", META) as journal:
            journal.append(record(worker, worker=worker))
    write_tables(tmp_path)
    assert read_table(tmp_path, "requests", ["worker"]).column(0).to_pylist() == [0, 1]


def test_price_and_scores_are_added_on_the_way(tmp_path):
    with Journal(tmp_path / "journal.bin", META) as journal:
        journal.append(record(0))

    def amend(found):
        found["request"]["cost_usd"] = Decimal("0.015")
        found["scores"] = [{"scorer": "answer", "value": float(found["reply"]["text"] == "reply 0")}]

    write_tables(tmp_path, amend=amend, replies="none")
    assert read_table(tmp_path, "requests", ["cost_usd"]).column(0).to_pylist() == [Decimal("0.015")]
    assert read_table(tmp_path, "scores", ["value"]).column(0).to_pylist() == [1.0]


# SHA-256 of "abc" is a published test vector (FIPS 180-2, appendix B.1)
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("policy", "text", "calls"),
    [("full", "abc", '[{"name":"f"}]'), ("hashed", ABC, None), ("none", None, None)],
)
def test_the_policy_for_replies_decides_what_is_kept_of_their_words(tmp_path, policy, text, calls):
    reply = {"text": "abc", "reasoning": None, "tool_calls": [{"name": "f"}], "stop_reason": "stop"}
    with Journal(tmp_path / "journal.bin", META) as journal:
        journal.append({**record(0), "reply": reply})
    write_tables(tmp_path, replies=policy)
    row = read_table(tmp_path, "replies").to_pylist()[0]
    assert row["text"] == text
    assert row["reasoning"] is None
    assert row["stop_reason"] == "stop"
    if policy == "hashed":
        assert len(row["tool_calls"]) == 64
    else:
        assert row["tool_calls"] == calls


def test_an_empty_run_has_empty_tables_with_the_full_schema(tmp_path):
    Journal(tmp_path / "journal.bin", META).close()
    files, dropped = write_tables(tmp_path)
    assert all(info.rows == 0 for info in files.values())
    assert dropped == 0
    for name in ("requests", "chunks", "scores"):
        assert read_table(tmp_path, name).schema.equals(schema(name))


def test_row_groups_end_by_rows_and_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "GROUP_ROWS", 10)
    write_table(tmp_path / "a.parquet", "requests", ({"seq": i} for i in range(25)))
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3  # 10 + 10 + 5
    monkeypatch.setattr(parquet_module, "GROUP_BYTES", 1600)
    write_table(tmp_path / "b.parquet", "chunks", ({"arrived_ns": [1] * 100} for _ in range(5)))
    assert pq.ParquetFile(tmp_path / "b.parquet").num_row_groups == 3  # 100 stamps of 8 bytes: two rows each, 2 + 2 + 1


def test_a_table_of_an_older_run_gains_its_missing_columns_as_null(tmp_path):
    pq.write_table(pa.table({"seq": [1]}), tmp_path / "requests.parquet")
    found = read_table(tmp_path, "requests")
    assert found.schema.names == schema("requests").names
    assert found.column("seq").to_pylist() == [1]
    assert found.column("ttft_ms").to_pylist() == [None]


def test_a_table_that_is_missing_broken_or_too_new_is_told_with_the_next_step(tmp_path):
    with pytest.raises(CannotRun, match="the run has no table requests"):
        read_table(tmp_path, "requests")
    (tmp_path / "requests.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(CannotRun, match="cannot read") as error:
        read_table(tmp_path, "requests")
    assert error.value.hint == "the run is damaged: restore its folder from a copy"
    newer = schema("requests").with_metadata({"bench.schema_version": str(SCHEMA_VERSION + 1)})
    pq.write_table(newer.empty_table(), tmp_path / "requests.parquet")
    with pytest.raises(CannotRun, match="written by a newer bench"):
        read_table(tmp_path, "requests")


def make_runs(results):
    for date, run, count in (("2026-03-15", "a-1", 2), ("2026-03-16", "b-1", 3), ("2026-03-16", "0042", 1)):
        folder = results / f"date={date}" / f"run={run}"
        folder.mkdir(parents=True)
        write_table(folder / "requests.parquet", "requests", [{"run_id": run, "seq": i} for i in range(count)])
        write_table(folder / "attempts.parquet", "attempts", [{"run_id": run}])


def test_one_dataset_reads_every_run_with_its_date_and_id(tmp_path):
    make_runs(tmp_path)
    found = dataset(tmp_path, "requests").to_table(columns=["run_id", "run", "date", "seq"]).to_pylist()
    assert len(found) == 6
    assert all(row["run"] == row["run_id"] for row in found)
    assert {row["date"] for row in found} == {"2026-03-15", "2026-03-16"}
    only = dataset(tmp_path, "requests").to_table(filter=ds.field("date") == "2026-03-15")
    assert only.num_rows == 2


def test_a_plain_hive_reader_reads_every_run_without_our_help(tmp_path):
    make_runs(tmp_path)
    files = [str(p) for p in sorted(tmp_path.glob("*/*/requests.parquet"))]
    found = ds.dataset(files, format="parquet", partitioning="hive", partition_base_dir=str(tmp_path)).to_table()
    assert found.num_rows == 6
    assert {"date", "run", "run_id"} <= set(found.schema.names)


def test_an_empty_results_folder_is_an_empty_dataset(tmp_path):
    assert dataset(tmp_path, "requests").to_table().num_rows == 0


def test_twenty_thousand_requests_are_converted_in_bounded_memory(tmp_path):
    """20,000 requests are a journal of 70 MB; the peak may grow by a row group's worth, not by all of it.

    Measured: 95 MB with row groups of 10,000 requests however long the journal, 175 MB when all 20,000 are held.
    """
    code = f"""
        import resource, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from bench.store.journal import Journal
        from bench.store.parquet import write_tables
        folder = Path({str(tmp_path)!r})
        with Journal(folder / "journal.bin", {META!r}) as journal:
            row = {record(0, stamps=128)!r}
            for seq in range(20_000):
                row["request"]["seq"] = seq
                journal.append(row)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        files, dropped = write_tables(folder)
        print(files["chunks.parquet"].rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    rows, grown_kib = map(int, done.stdout.split())
    assert rows == 20_000
    assert grown_kib < 135 * 1024
