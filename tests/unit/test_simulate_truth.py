"""The truth file: written in the middle of a load and at its end, always whole."""

import asyncio

import pyarrow.parquet as pq
import pytest

from bench.errors import CannotRun
from bench.simulate import truth as truth_module
from bench.simulate.truth import COLUMNS, Row, Truth


def row(n):
    made = Row("t", 1000 + n)
    made.request_id, made.key, made.status, made.stream = f"id-{n}", None if n % 2 else f"schlüssel-{n}", 200, True
    made.headers_ns, made.ended_ns, made.complete = 1100 + n, None if n == 3 else 1900 + n, n != 3
    made.token_ns, made.late_ns = [1200 + n + k for k in range(n)], list(range(n))
    return made


def test_batches_go_to_disk_while_the_load_goes_on_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(truth_module, "ROWS_PER_WRITE", 4)
    path = tmp_path / "truth.parquet"

    async def go():
        truth = Truth(path)
        for n in range(6):
            truth.add(row(n))
        while pq.ParquetFile(path).metadata.num_rows < 4:
            await asyncio.sleep(0.002)
        early = pq.ParquetFile(path).read().to_pylist()
        truth.close()
        return early

    early = asyncio.run(asyncio.wait_for(go(), 10))
    table = pq.ParquetFile(path).read()
    found = table.to_pylist()
    assert early == found[:4]
    assert [r["request_id"] for r in found] == [f"id-{n}" for n in range(6)]
    assert [r["key"] for r in found] == ["schlüssel-0", None, "schlüssel-2", None, "schlüssel-4", None]
    assert [r["ended_ns"] for r in found] == [1900, 1901, 1902, None, 1904, 1905]
    assert [r["complete"] for r in found] == [True, True, True, False, True, True]
    assert [r["token_ns"] for r in found] == [[1200 + n + k for k in range(n)] for n in range(6)]
    assert [r["late_ns"] for r in found] == [list(range(n)) for n in range(6)]
    assert [r["lateness_p50_ns"] for r in found] == [None, 0, 1, 1, 2, 2]
    assert [(f.name, str(f.type).replace("element", "item")) for f in table.schema] == [
        (name, kind.replace("<", "<item: ")) for name, kind, _ in COLUMNS
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["truth.parquet"]


def test_a_place_where_nothing_can_be_written_is_said_at_once(tmp_path):
    with pytest.raises(CannotRun, match="cannot be written"):
        Truth(tmp_path / "missing" / "truth.parquet")


def test_without_a_path_nothing_is_kept():
    truth = Truth(None)
    truth.add(row(1))
    truth.close()
    assert truth._rows == []
