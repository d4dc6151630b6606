"""Tables that another program wrote: what its footers leave out is not taken for what the rows say."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.stats import scale
from bench.stats import table as small
from bench.stats.ordered import ordered
from bench.store import runs
from bench.store.columns import Columns
from bench.store.parquet import write_table
from tests.unit.stats_example import CLOUDS, request
from tests.unit.stored_example import store
from tests.unit.test_stats_scale import close, columns_of

NAN = math.nan


def written_anew(folder, changes, keeping_the_name=True):
    """The requests of a run with other values in some columns, as a program writes them that puts NaN where nothing is known."""
    path = folder / "requests.parquet"
    data = pq.read_table(path)
    for name, change in changes.items():
        values = change(data.column(name).cast(pa.float64()).to_numpy())
        data = data.set_column(data.schema.get_field_index(name), pa.field(name, pa.float64()), pa.array(values))
    pq.write_table(data if keeping_the_name else data.replace_schema_metadata(None), path)


def but_for(value, *rows):
    def change(values):
        made = np.full(len(values), value)
        made[list(rows)] = NAN
        return made

    return change


@pytest.mark.parametrize("keeping_the_name", [True, False])
def test_a_column_of_one_value_and_nan_is_not_that_value_in_all_rows(tmp_path, keeping_the_name):
    folder = store(tmp_path, "foreign", clouds=CLOUDS[:2], prompts=40)
    written_anew(
        folder,
        # rows 1 and 5 of anthropic; e2e_ms of an ok request is never unknown but by a bug
        {"ttft_ms": but_for(700.0, 1), "tpot_ms": but_for(18.0, 1, 5), "e2e_ms": but_for(900.0, 9)},
        keeping_the_name,
    )
    run = runs.open_run(folder)
    plain = small.build(run.requests, run.frame("attempts", small.ATTEMPT_COLUMNS), run.scores, run.manifest)
    many = scale.build(*columns_of(folder), run.manifest)
    assert many.row("anthropic").n == 39
    assert many.row("anthropic").cells["tpot_p50_ms"].n == 37
    assert any("missing duration" in alarm for alarm in many.alarms)
    close(plain, many)


def test_a_duration_that_is_infinite_in_every_row_is_a_bug_of_many_rows_as_of_few(tmp_path):
    folder = store(tmp_path, "endless", clouds=CLOUDS[:2], prompts=8)
    written_anew(folder, {"retry_wait_ms": lambda values: np.full(len(values), math.inf)})
    run = runs.open_run(folder)
    plain = small.build(run.requests, run.frame("attempts", small.ATTEMPT_COLUMNS), run.scores, run.manifest)
    many = scale.build(*columns_of(folder), run.manifest)
    assert [row.n for row in many.rows] == [0, 0]
    close((plain.rows, plain.alarms), (many.rows, many.alarms))


def test_of_what_bench_wrote_the_footers_are_believed_and_of_others_floats_are_read(tmp_path):
    own, other, torn = (tmp_path / name for name in ("own", "other", "torn"))
    for folder in (own, other, torn):
        folder.mkdir()
        write_table(folder / "requests.parquet", "requests", [request("a", n, level=0.0) for n in range(3)])
    written_anew(other, {"ttft_ms": but_for(100.0, 1), "level": but_for(0.0)}, keeping_the_name=False)
    assert Columns((own,), "requests").bounds("ttft_ms") == (100.0, 100.0, 0)
    for folders in ((other,), (own, other)):
        stored = Columns(folders, "requests")
        assert stored.bounds("ttft_ms") is None
        assert not stored.unknown("ttft_ms")
        assert stored.bounds("output_tokens") == (11.0, 11.0, 0)
        assert stored.words("target")[1] == ["a"]
    # without statistics nothing is told, and all is read
    data = pq.read_table(torn / "requests.parquet")
    pq.write_table(data, torn / "requests.parquet", write_statistics=False)
    assert Columns((torn,), "requests").bounds("output_tokens") is None
    assert Columns((torn,), "requests").words("target")[0].tolist() == [0, 0, 0]


def test_a_zero_in_every_row_has_no_sign(tmp_path):
    folder = store(tmp_path, "zeros", clouds=CLOUDS[:1], prompts=8,
                   change=lambda rows: rows.assign(lateness_ms=0.0))  # fmt: skip
    values = ordered(Columns((folder,), "requests"), {}, ["anthropic"]).floats("lateness_ms")
    assert not np.signbit(values).any()
