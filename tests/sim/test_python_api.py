"""`bench.run` does what the command does, from a thread that hears no signals; what it stored can be sliced and pooled."""

import json
import threading

import pytest

import bench
from bench.cli import main
from bench.engine import seat
from bench.errors import BenchError


@pytest.fixture
def quiet(clouds, place):
    clouds(anthropic={}, openai_compatible={})
    place.workload(requests=8)
    return place


def test_targets_may_be_dicts_and_the_run_is_stored_as_the_command_stores_it(quiet):
    targets = json.loads((quiet.folder / "targets.yaml").read_text())["targets"]
    (quiet.folder / "targets.yaml").unlink()
    said = []
    run = bench.run("small.yaml", targets=targets, calibrate=False, labels={"ticket": "OPS-1"}, progress=said.append)
    assert run.manifest["complete"] is True
    assert run.manifest["exit_status"] in (0, 3)  # 3 where the machine is too busy to keep the plan
    assert run.manifest["labels"] == {"ticket": "OPS-1"}
    assert run.manifest["command"] == "bench run small.yaml --no-calibrate --label ticket=OPS-1"
    assert len(run.requests) == 16
    assert said
    assert bench.open_run("latest").manifest == run.manifest
    assert {row.target for row in bench.compare(run).rows} == {"anthropic", "openai-compatible"}


def test_the_tags_of_the_cases_are_stored_and_make_slices(quiet, capsys):
    run = bench.run("small.yaml", calibrate=False)
    assert run.manifest["tags"] == {
        "one": {"kind": "a"},
        "two": {"kind": "b"},
        "three": {"kind": "a"},
        "four": {"kind": "b"},
    }
    assert run.manifest["method_version"] >= 1
    table = bench.compare(run, by="tag:kind")
    assert [(part.label, [row.n for row in part.rows]) for part in table.slices] == [("a", [4, 4]), ("b", [4, 4])]
    again = bench.run("small.yaml", calibrate=False)
    pooled = bench.compare([run, again], pool=True)
    assert [row.n for row in pooled.rows] == [16, 16]
    capsys.readouterr()
    assert main(["compare", "results", "--by", "tag:kind", "--pool"]) == 0
    assert "anthropic by tag:kind (exploratory)" in capsys.readouterr().out


def test_an_interrupt_from_another_thread_is_one_ctrl_c_and_keeps_what_was_measured(quiet):
    quiet.workload(requests=400)
    asked = threading.Event()

    def stop(message):
        if not asked.is_set() and "targets" in message:
            asked.set()
            for ask in list(seat.asked_from_elsewhere):
                ask()

    run = bench.run("small.yaml", calibrate=False, progress=stop)
    assert asked.is_set()
    assert run.manifest["exit_status"] == 130
    assert run.manifest["complete"] is False
    assert 0 < len(run.requests) < 800
    assert seat.asked_from_elsewhere == []


def test_a_users_mistake_is_raised_and_not_printed(quiet, capsys):
    with pytest.raises(BenchError, match="nowhere"):
        bench.run("small.yaml", targets=["nowhere"], calibrate=False)
    assert "Traceback" not in capsys.readouterr().err
