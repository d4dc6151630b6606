"""Nights through the real program: dated runs against look-alikes, one of which turns slow, each judged by the gate."""

import json
import shutil
from pathlib import Path

import pytest

from bench.nightly.gating import Wanted, gate
from tests.scripted import load_script


@pytest.fixture(scope="module")
def thirty():
    """The script that plays the month, as a module."""
    return load_script("thirty_nights")


def copied(thirty, folder: Path, results: Path, number: int) -> None:
    """A run once more, as that of another night."""
    unix_ns = thirty.FIRST_NS + number * thirty.DAY_NS
    there = results / f"date=2026-10-{number + 1:02d}" / f"run=simulated-copy-{number:02d}"
    shutil.copytree(folder, there)
    facts = json.loads((there / "manifest.json").read_text())
    (there / "manifest.json").write_text(json.dumps(facts | {"run_id": there.name[4:], "started_unix_ns": unix_ns}))


def test_only_the_target_that_turned_slow_is_called_and_only_from_that_night_on(thirty, tmp_path) -> None:
    """Three real nights, four times each, make a history of twelve; then come a quiet night and a slow one, both real."""
    month = thirty.Month(nights=3, from_night=99, requests=24, calibrate=False)
    played = thirty.play(month, tmp_path, lambda _: None)
    assert {result.verdict for _, result in played} == {"learning"}
    results = tmp_path / "results"
    real = [next(results.glob(f"date=2026-10-0{n}/run={result.run_id}")) for n, result in played]
    for number in range(3, 12):
        copied(thirty, real[number % 3], results, number)
    month = thirty.Month(nights=14, from_night=14, shift=2.5, requests=24, calibrate=False)
    told = thirty.play(month, tmp_path, lambda _: None, first=13)
    assert thirty.wrong(month, told) == []
    slow = {row.metric for row in told[-1][1].of("regression")}
    assert {"ttft_p50_ms", "e2e_p50_ms"} <= slow
    assert "tpot_p50_ms" not in slow
    assert told[-1][1].exit_code == 1
    assert told[-1][1].night == "2026-10-14"
    again = gate(Wanted(told[-1][1].run_id, history=results, control="shifty"), lambda _: None)
    assert {row.target for row in again.of("environment")} == {"shifty"}


def test_a_run_whose_time_is_up_keeps_what_it_has_and_is_partial(place, clouds) -> None:
    clouds(anthropic={}, foundry={})
    whole = place.run("--run-id", "whole", "--max-minutes", "5", requests=4)
    assert whole.code == 0, whole.err
    assert whole.manifest["complete"] is True
    done = place.run("--run-id", "mine", "--max-minutes", "0.07", requests=20_000)  # 4 s of some minutes
    assert done.code == 5, done.err
    rows = done.rows()
    assert 0 < len(rows) < 40_000
    assert {row["outcome"] for row in rows} == {"ok"}
    assert done.manifest["stopped"] == "the time limit was reached"
    assert "PARTIAL" in done.out
    assert "the time limit was reached" in done.out
    assert "To go on where it stopped with a higher --max-minutes" in done.err
    judged = place.bench("gate", "mine", "--history", "results")
    assert judged.code == 3
    assert "did not come to its end" in judged.out


@pytest.mark.parametrize("minutes", ["0", "-1", "soon"])
def test_a_time_limit_is_a_number_of_minutes(place, minutes) -> None:
    done = place.run("--max-minutes", minutes)
    assert done.code == 2
    assert "max-minutes" in done.err
