"""Several processes send one plan: the same requests, one table, and what happens when one of them dies."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.store.runs import recover

ROOT = Path(__file__).parent.parent.parent
SLOW = {"ttft_ms": {"constant": 30}}


@pytest.fixture
def twins(place, clouds) -> Callable[..., None]:
    """Two targets at one look-alike: a pair, and only one SDK to load."""

    def start(**profile: Any) -> None:
        clouds(openai_compatible=profile)
        path = place.folder / "targets.yaml"
        only = json.loads(path.read_text())["targets"][0]
        price = {"input": "2.00", "output": "10.00"}
        both = [{**only, "id": name, "price": price} for name in ("left", "right")]
        path.write_text(json.dumps({"version": 1, "targets": both}))

    return start


def keys(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(r["seq"], r["target"], r["case_id"], r["repeat"], r["block_id"]) for r in rows}


def test_two_workers_send_what_one_sends(place, twins) -> None:
    twins()
    one = place.run("--run-id", "one", requests=9)
    digest, asked = one.manifest["plan"]["digest"], keys(one.rows())
    assert {r["worker"] for r in one.rows()} == {0}
    assert "workers" not in one.manifest["instrument"]

    two = place.run("--run-id", "two", "--workers", "2", requests=9)
    assert two.code == 0, two.err
    rows = two.rows()
    assert two.manifest["plan"]["digest"] == digest
    assert keys(rows) == asked
    assert len(rows) == len(asked)
    assert {r["outcome"] for r in rows} == {"ok"}
    ends = [r["end_ns"] for r in rows]
    assert sum(a > b for a, b in itertools.pairwise(ends)) < len(rows) / 3  # not one process after the other
    # whole prompts stay together: both targets of a prompt (two neighbours in the plan) are asked by one process
    assert {(r["seq"] // 2 % 2, r["worker"]) for r in rows} == {(0, 0), (1, 1)}
    for table in ("attempts", "chunks", "replies", "scores"):
        assert {(r["seq"], r["target"]) for r in two.rows(table)} == {(r["seq"], r["target"]) for r in rows}, table
    assert not list(two.run.glob("journal*.bin"))

    instrument = two.manifest["instrument"]
    assert [w["worker"] for w in instrument["workers"]] == [0, 1]
    assert sum(w["sent"] for w in instrument["workers"]) == len(rows)
    assert instrument["cpu_s"] == pytest.approx(sum(w["cpu_s"] for w in instrument["workers"]))
    assert instrument["lag_ns"]["max"] == max(w["lag_ns"]["max"] for w in instrument["workers"])
    assert "event loop lag" in two.out

    secret = os.environ["KEY_OPENAI_COMPATIBLE"].encode()
    assert not [path for path in two.run.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_an_open_load_has_one_warm_up_and_one_start_for_all_workers(place, twins) -> None:
    twins()
    path = place.workload()
    path.write_text(path.read_text().replace("warmup: {requests: 0}", "warmup: {requests: 3}"))
    arguments = ["--out", "results", "--request-rate", "20", "--requests", "20", "--workers", "2"]
    done = place.bench("run", "small.yaml", *arguments)
    # 20 prompts/s × 2 targets × 4 s that a reply is taken to last: 160 streams, shared by 2
    assert done.manifest["calibration"]["streams"] == 80
    rows = {r["seq"]: r for r in done.rows() if r["phase"] == "measure"}
    warm = [r for r in done.rows() if r["phase"] == "warmup"]
    assert len(warm) == 6
    assert {r["worker"] for r in warm} == {0, 1}
    assert max(r["end_ns"] for r in warm) < min(r["sent_ns"] for r in rows.values())  # all wait for all
    planned = {r["seq"]: r["due_ns"] for r in done.rows("schedule") if r["phase"] == "measure"}
    assert rows.keys() == planned.keys()
    assert len({row["due_ns"] - planned[seq] for seq, row in rows.items()}) == 1
    assert all(row["sent_ns"] >= row["due_ns"] for row in rows.values())
    for worker in done.manifest["instrument"]["workers"]:
        late = sorted(r["lateness_ms"] for r in rows.values() if r["worker"] == worker["worker"])
        assert worker["lateness_p99_ms"] == pytest.approx(late[-1], rel=0.006)  # 20 values: p99 is the largest


def test_a_small_load_needs_one_process(place, twins) -> None:
    twins()
    done = place.run("--workers", "auto")
    assert done.code == 0, done.err
    assert "workers" not in done.manifest["instrument"]


@pytest.mark.parametrize("workers", ["0", "-1", "1.5", "many", ""])
def test_a_wrong_number_of_workers_is_a_usage_error(place, clouds, workers: str) -> None:
    done = place.run("--workers", workers)
    assert done.code == 2
    assert "--workers" in done.err
    assert "1 to 256, or auto" in done.err


def test_the_limit_in_dollars_holds_for_all_workers_together(place, twins) -> None:
    twins()
    done = place.run("--max-usd", "0.005", "--workers", "2", requests=40)
    assert done.code == 5, done.err
    rows = done.rows()
    assert 0 < len(rows) < 80
    assert sum(r["cost_usd"] for r in rows) <= 0.005
    assert float(done.manifest["spent_usd"]) == pytest.approx(float(sum(r["cost_usd"] for r in rows)))
    assert done.manifest["complete"] is False


# runs in a process of their own, so that they can be interrupted and killed


@pytest.fixture
def start(place) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, limit_bytes: int | None = None, **workload: Any) -> subprocess.Popen[str]:
        place.workload(**workload)
        command = ["run", "small.yaml", "--no-calibrate", "--out", "results", "--workers", "2", *arguments]
        limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))\n" if limit_bytes else ""
        code = (
            "import resource, signal, sys\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            f"{limit}from bench.cli import main\nsys.exit(main({command!r}))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=place.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def children(process: subprocess.Popen[str]) -> dict[int, int]:
    """The process ids of the workers of a run, by number of worker."""
    found = {}
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"bench.engine.worker" in words:
            found[int(words[words.index(b"bench.engine.worker") + 1])] = int(pid)
    return found


def until_recorded(place, process: subprocess.Popen[str], size: int = 20_000) -> Path:
    """Waits until each worker has recorded something; returns the run's folder."""
    for _ in range(3000):
        for run in (place.folder / "results").glob("date=*/run=*"):
            sizes = [path.stat().st_size for path in run.glob("journal-*.bin")]
            if len(sizes) == 2 and min(sizes) > size:
                return run
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail("no worker recorded anything")


def table(run: Path, name: str = "requests") -> list[dict[str, Any]]:
    return pq.read_table(run / f"{name}.parquet", partitioning=None).to_pylist()


def test_a_killed_worker_costs_what_it_had_in_flight(place, twins, start) -> None:
    twins(**SLOW)
    process = start(requests=100)
    run = until_recorded(place, process)
    os.kill(children(process)[1], signal.SIGKILL)
    out, err = process.communicate(timeout=60)

    manifest, rows = json.loads((run / "manifest.json").read_text()), table(run)
    lost = [r for r in rows if r["fault_code"] == "worker_lost"]
    mine, theirs = [r for r in rows if r["worker"] == 0], [r for r in rows if r["worker"] == 1]
    assert len({r["seq"] for r in rows}) == len(rows)
    # the other one went on to the end of its share: 50 prompts to 2 targets
    assert len(mine) == 100
    assert {r["outcome"] for r in mine} == {"ok"}
    # its own rows are kept; what was in flight (two slots, and what had not reached the disk) is said to be lost
    assert len(lost) >= 1
    assert len(theirs) > len(lost)
    assert {r["outcome"] for r in theirs if r not in lost} == {"ok"}
    for row in lost:
        assert row["worker"] == 1
        assert row["outcome"] == "transport"
        assert row["spoiled"]
        assert row["sent_ns"] < row["end_ns"]
        assert [row[name] for name in ("ttft_ms", "http_status", "output_tokens", "cost_usd", "loop_lag_ms")] == [
            None
        ] * 5
    tries = {(r["seq"], r["fault_code"]): r for r in table(run, "attempts")}
    assert all("signal 9" in tries[r["seq"], "worker_lost"]["fault_message"] for r in lost)
    # and what it had not sent is said
    unsent = 100 - len(theirs)
    assert process.returncode == 3
    said = f"worker 1 of 2 was lost (killed by signal 9): {unsent} requests of its share were not sent, {len(lost)} in flight"
    assert said in err
    assert manifest["complete"] is False
    assert manifest["stopped"].startswith("worker 1 of 2 was lost")
    assert "PARTIAL" in out
    assert manifest["instrument"]["workers"][1]["lost"] == "killed by signal 9"
    assert manifest["instrument"]["workers"][1]["sent"] == len(theirs)


def test_when_every_worker_is_killed_what_was_measured_is_kept(place, twins, start) -> None:
    twins(**SLOW)
    process = start(requests=400)
    run = until_recorded(place, process)
    for pid in children(process).values():
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    rows = table(run)
    assert {r["worker"] for r in rows if r["outcome"] == "ok"} == {0, 1}
    assert {r["worker"] for r in rows if r["fault_code"] == "worker_lost"} == {0, 1}
    assert json.loads((run / "manifest.json").read_text())["complete"] is False


def test_when_the_conductor_is_killed_workers_end_and_their_journals_tell(place, twins, start) -> None:
    twins(**SLOW)
    process = start(requests=400)
    run = until_recorded(place, process)
    workers = children(process)
    process.kill()
    process.wait()
    for pid in workers.values():  # they let what is in flight finish, and go
        for _ in range(1000):
            if not Path(f"/proc/{pid}").exists() or b"bench" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                break
            time.sleep(0.01)
        else:
            pytest.fail(f"worker {pid} outlived its conductor")
    recovered = recover(run)
    assert recovered.manifest["complete"] is False
    assert {r["worker"] for r in table(run)} == {0, 1}
    assert {r["outcome"] for r in table(run)} == {"ok"}


def test_an_interrupt_lets_every_worker_finish_what_is_in_flight(place, twins, start) -> None:
    twins(**SLOW)
    process = start(requests=2000)
    run = until_recorded(place, process)
    for pid in [process.pid, *children(process).values()]:  # a terminal sends Ctrl-C to all of us
        os.kill(pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.count("in flight will finish") == 1
    assert "PARTIAL" in out
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["complete"] is False
    assert manifest["stopped"] == "interrupted"
    assert {r["outcome"] for r in table(run)} == {"ok"}
    assert 0 < len(table(run)) < 4000


def test_a_second_interrupt_leaves_what_is_in_flight(place, twins, start) -> None:
    """Replies take a second and a half: when the first are recorded, the next ones have just been asked for."""
    twins(ttft_ms={"constant": 1500})
    process = start(requests=40)
    run = until_recorded(place, process, size=0)
    size = max(path.stat().st_size for path in run.glob("journal-*.bin"))
    run = until_recorded(place, process, size=size + 1000)  # marks of what was sent are smaller than a reply
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "in flight will finish" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    rows = table(run)
    left = [r for r in rows if r["fault_code"] == "cancelled"]
    assert {r["outcome"] for r in rows if r not in left} == {"ok"}
    assert 1 <= len(left) <= 4  # of four slots
    assert all(r["spoiled"] and r["outcome"] == "transport" for r in left)


def test_a_disk_that_fills_up_in_one_worker_stops_all(place, twins, start) -> None:
    twins()
    process = start(requests=4000, limit_bytes=400_000)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    assert "cannot write the run's journal" in err
    run = next((place.folder / "results").glob("date=*/run=*"))
    assert (run / "journal-0.bin").stat().st_size > 100_000
    assert (run / "journal-1.bin").stat().st_size > 100_000
