"""The plan on disk: every planned request as its row, and what does not apply as null."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.engine import pacing
from bench.load import Load, Stage
from bench.plan import NO_DUE, NONE, Plan, Stream, build
from bench.record import SCHEDULE
from bench.store import schedule

OPEN = Load("poisson", "interleaved", (Stage(2.0, None, 24, None),))
CLOSED = Load("concurrent", "interleaved", (Stage(None, 3, 24, None),))


def planned(load: Load, levels: tuple[float | None, ...] = ()) -> Plan:
    stream = pacing.stream(load, 3, 7)
    if levels:
        stream = Stream(stream.prompts, stream.due_ns, (8, 8, 8), levels)
    return build(["é-1", "case-2"], ["a", "b", "c"], stream, arrangement="interleaved", warmup=2, seed=7)


def in_sessions() -> Plan:
    """Requests 6 to 11 as two sessions of three turns, the later turns with a pause before them."""
    plan = planned(CLOSED)
    changed = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    for name, values in {"session": [0, 0, 0, 1, 1, 1], "turn": [1, 2, 3] * 2, "think_ns": [NONE, 5, 0] * 2}.items():
        changed[name] = changed[name].copy()
        changed[name][6:12] = values
    return Plan(**changed)


@pytest.mark.parametrize(
    "plan",
    [planned(OPEN), planned(CLOSED), planned(CLOSED, (1.0, None, 4.0)), in_sessions()],
    ids=["open", "closed", "levels", "sessions"],
)
def test_every_planned_request_is_a_row(tmp_path, plan):
    path = tmp_path / "schedule.parquet"
    info = schedule.write(path, plan, "run-1")
    rows = pq.read_table(path).to_pylist()
    assert info.rows == len(rows) == len(plan)
    for row in rows:
        request = plan.request(row["seq"])
        assert row == {
            "run_id": "run-1",
            "target": request.target_id,
            **{c.name: getattr(request, c.name) for c in SCHEDULE if c.name not in ("run_id", "target")},
        }
    assert [row["seq"] for row in rows] == list(range(len(plan)))
    assert {row["phase"] for row in rows} == {"warmup", "measure"}


def test_a_plan_of_many_row_groups_keeps_its_order(tmp_path):
    plan = planned(Load("concurrent", "interleaved", (Stage(None, 3, 9_000, None),)))
    schedule.write(tmp_path / "schedule.parquet", plan, "run-1")
    stored = pq.read_table(tmp_path / "schedule.parquet")
    assert np.array_equal(stored["seq"].to_numpy(), np.arange(len(plan)))
    assert np.array_equal(stored["repeat"].to_numpy(), plan.repeat)
    assert plan.due_ns[0] == NO_DUE
    assert stored["due_ns"].null_count == len(plan)


def test_pandas_is_not_imported_before_the_load(tmp_path):
    """It takes a large part of a second, which a run has to spare at its end only."""
    words = (
        "import sys; from pathlib import Path; from bench.conductor import runner; from bench.store import schedule; "
        "from tests.unit.test_store_schedule import OPEN, planned; import pyarrow; "
        f"sys.modules.pop('pandas', None); schedule.write(Path({str(tmp_path)!r}) / 's.parquet', planned(OPEN), 'r'); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
