"""The runs of a campaign together: each run is one block, whatever stands in its plan, and what is missing is said."""

import json

import pytest

import bench as package
from bench.cli import main
from bench.errors import CannotRun, ConfigError
from bench.stats import approx, pool, scale
from bench.stats.pool import ENOUGH_RUNS, Source, of_what, unit
from bench.store import runs
from bench.store.columns import Columns
from tests.unit.campaign_example import planned, ran, week


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    week(tmp_path / "results")
    return tmp_path / "results"


def sources(place):
    return [
        Source(run.requests, run.attempts, run.scores, run.manifest)
        for run in (runs.open_run(runs.find_run(f"week-b{n}", place)) for n in (1, 2, 4, 5))
    ]


def test_a_campaign_is_compared_over_or_not_with_what_is_missing_under_the_table(place, capsys):
    assert main(["compare", "--campaign", "week", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    # 4 blocks of 4 prompts in each plan; the run is the block of the campaign.
    assert [(row["target"], row["n"], row["blocks"]) for row in table["rows"]] == [
        ("anthropic", 64, 4),
        ("bedrock", 64, 4),
    ]
    notes, alarms = "\n".join(table["notes"]), "\n".join(table["alarms"])
    assert "campaign week, published 2026-11-21T00:00:00Z, sha256 " in notes
    assert "3 of 6 blocks done, 1 cut, 1 missed" in notes
    assert "1 to come" in notes
    assert "cut: block 5 (interrupted)" in notes
    assert "missed: block 3 (nothing was running)" in notes
    assert "each run counts as one block" in notes
    assert "the campaign is not over" in alarms
    assert "1 of 6 blocks are missing" in alarms
    assert "too few blocks (4)" in alarms
    assert table["partial"] == "1 of 4 runs did not end: week-b5; 1 of 6 blocks are to come"
    # Fewer than 20 blocks bear no verdict.
    assert {c["verdict"] for c in table["comparisons"] if c["primary"]} == {"inconclusive"}


def test_slices_and_python_take_a_campaign_too(place, capsys):
    table = package.compare(campaign="week", by="tag:kind", results=place)
    assert [part.label for part in table.slices] == ["even", "odd"]
    assert table.slices[0].rows[0].blocks == 4
    with pytest.raises(ConfigError):
        package.compare("latest", campaign="week", results=place)
    assert main(["compare", "latest", "--campaign", "week"]) == 2
    assert main(["compare"]) == 2
    assert "--campaign" in capsys.readouterr().err


def test_one_run_of_a_campaign_bounds_nothing_and_none_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    campaign = planned(tmp_path / "results")
    with pytest.raises(CannotRun, match="no block of it has run"):
        package.compare(campaign="week")
    ran(tmp_path / "results", campaign, 1)
    cell = package.compare(campaign="week").rows[0].cells["e2e_p50_ms"]
    assert (cell.low, cell.high) == (None, None)


def test_many_rows_of_a_campaign_have_the_same_unit(place):
    few = pool.pool(sources(place))
    folders = tuple(runs.find_run(f"week-b{n}", place) for n in (1, 2, 4, 5))
    stored = tuple(Columns(folders, name) for name in ("requests", "attempts", "scores"))
    facts = pool.manifest_of([source.manifest for source in sources(place)])
    exact = scale.build(*stored, facts)
    for name in ("ttft_p50_ms", "e2e_p99_ms", "ok_share", "usd_per_1k", "system_tokens_per_s"):
        ours, theirs = few.rows[1].cells[name], exact.rows[1].cells[name]
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high)), name
    rough = approx.build(*stored, facts)
    assert [row.blocks for row in rough.rows] == [4, 4]
    assert rough.rows[1].cells["ttft_p50_ms"].n_eff == pytest.approx(few.rows[1].cells["ttft_p50_ms"].n_eff, rel=0.3)


@pytest.mark.parametrize(
    ("count", "campaign", "expected"),
    [(2, True, "run"), (1, True, "run"), (ENOUGH_RUNS, False, "run"), (ENOUGH_RUNS - 1, False, "block")],
)
def test_what_varies_in_a_pool(count, campaign, expected):
    manifests = [{"run_id": str(n), "campaign": {"name": "week"} if campaign else None} for n in range(count)]
    assert unit(manifests) == expected
    said, alarms = of_what(manifests)
    assert ("each run counts as one block" in said) == (expected == "run")
    assert any("too few to tell how runs differ" in alarm for alarm in alarms) == (expected == "block")


def test_a_campaign_pooled_with_other_runs_is_as_any_runs():
    assert unit([{"campaign": {"name": "week"}}, {"campaign": None}]) == "block"
