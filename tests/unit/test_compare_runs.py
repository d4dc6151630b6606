"""`bench compare` over any set of runs: which are meant, which may stand together, and what is said of them."""

import json
import shutil

import numpy as np
import pytest

from bench import tabulate
from bench.cli import main
from bench.commands import tables
from bench.errors import CannotRun
from bench.stats import beside, pool
from bench.stats.pool import differences
from bench.stats.table import ATTEMPT_COLUMNS
from bench.store.find import find_runs
from bench.store.journal import Journal
from bench.store.runs import create_run_dir, open_run
from tests.unit.stats_example import CLOUDS
from tests.unit.stored_example import DAY_NS, store
from tests.unit.test_stats_scale import close
from tests.unit.test_store_journal import record

TWO = CLOUDS[:2]


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("night-1", ["night-1"]),
        ("other", ["other"]),
        ("latest", ["other"]),
        ("2026-11-21", ["night-1", "night-2"]),
        ("night-*", ["night-1", "night-2", "night-3"]),
        ("*-[23]", ["night-2", "night-3"]),
        ("results/date=2026-11-2[12]/run=n*", ["night-1", "night-2", "night-3"]),
        ("results/date=2026-11-22", ["night-3", "other"]),
        ("results", ["night-1", "night-2", "night-3", "other"]),
    ],
)
def test_a_reference_stands_for_these_runs(tmp_path, monkeypatch, ref, found):
    monkeypatch.chdir(tmp_path)
    for name, day in (("night-1", 0), ("night-2", 0), ("night-3", 1), ("other", 1)):
        folder = create_run_dir(tmp_path / "results", name, 1_795_219_200 * 10**9 + day * DAY_NS)
        (folder / "manifest.json").write_text(json.dumps({"started_unix_ns": day * 10 + len(name)}))
        if name == "other":
            (folder / "manifest.json").write_text(json.dumps({"started_unix_ns": 99}))
    assert [path.name for path in find_runs([ref])] == [f"run={name}" for name in found]


def test_what_stands_for_several_or_for_nothing_is_told_with_the_next_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("night-1", "night-2"):
        folder = create_run_dir(tmp_path / "results", name, 1_795_219_200 * 10**9)
        (folder / "manifest.json").write_text("{}")
    with pytest.raises(CannotRun, match="2 runs begin with 'night'") as caught:
        find_runs(["night"])
    assert "'night*'" in (caught.value.hint or "")
    for ref in ("2026-01-01", "day-*", "results/date=*/run=x*"):
        with pytest.raises(CannotRun) as caught:
            find_runs([ref])
        assert "night-2" in (caught.value.hint or "")


def test_an_empty_results_folder_says_how_to_make_a_run(bench, results):
    results.mkdir()
    for ref in ("latest", "results", "*", "2026-11-21"):
        code, out, err = bench("compare", ref)
        assert (code, out) == (3, "")
        assert "bench run WORKLOAD.yaml" in err


def test_runs_side_by_side_have_a_row_per_target_and_run(bench, results):
    store(results, "one", clouds=TWO, prompts=96, seed=1)
    store(results, "two", day=1, clouds=TWO, prompts=96, seed=2)
    code, out, _ = bench("compare", "one", "two", "--json")
    assert code == 0
    table = json.loads(out)
    names = [row["target"] for row in table["rows"]]
    assert names == ["anthropic @one", "anthropic @two", "bedrock @one", "bedrock @two"]
    compared = {(c["baseline"], c["target"]) for c in table["comparisons"]}
    assert compared == {("anthropic @one", "anthropic @two"), ("bedrock @one", "bedrock @two")}
    # The same clouds on another day: a true difference of nothing is not called one.
    assert {c["verdict"] for c in table["comparisons"]} <= {"equivalent", "inconclusive"}
    assert all(c["rho"] in (0.0, None) for c in table["comparisons"])


def test_column_by_column_runs_side_by_side_are_the_same(results):
    def odd(rows):
        """Cases asked twice, a warm-up, rows in any order: of several answers to one case the file says which is the first."""
        n = rows["seq"].to_numpy()
        rows["case_id"], rows["repeat"] = [f"case-{k % 30}" for k in n], n // 30
        rows["phase"] = np.where(n < 2, "warmup", "measure")
        rows["spoiled"] = n == 33
        return rows.sample(frac=1, random_state=2).reset_index(drop=True)

    slo = {"workload": {"name": "rag", "digest": "d" * 64, "slo": {"goodput": {"ttft": 700_000_000}}}}
    found = [
        open_run(store(results, "night-1", clouds=CLOUDS[:3], prompts=48, facts=slo)),
        open_run(store(results, "night-2", day=1, seed=9, clouds=CLOUDS[1:3], prompts=60, facts=slo, change=odd)),
    ]
    attempts = [run.frame("attempts", ATTEMPT_COLUMNS) for run in found]
    sources = [
        pool.Source(run.requests, tried, run.scores, run.manifest) for run, tried in zip(found, attempts, strict=True)
    ]
    columns = tabulate.beside(found, "night-2")
    assert {row.target for row in columns.rows} == {
        f"{target} @{run}" for run, targets in (("night-1", CLOUDS[:3]), ("night-2", CLOUDS[1:3])) for target in
        (cloud.id for cloud in targets)
    }  # fmt: skip
    assert {c.metric for c in columns.comparisons if c.p_raw is not None} >= {
        "ttft_p50_ms",
        "quality",
        "usd_per_correct",
    }
    close(beside.beside(sources, "night-2"), columns)


def test_a_cloud_that_became_slower_is_called_slower_in_the_later_run(bench, results):
    from dataclasses import replace

    slower = tuple(replace(cloud, ttft_ms=cloud.ttft_ms * 1.5) for cloud in TWO)
    store(results, "before", clouds=TWO, prompts=160, seed=1)
    store(results, "after", day=1, clouds=slower, prompts=160, seed=2)
    _, out, _ = bench("compare", "after", "before", "--json")
    found = {c["target"]: c for c in json.loads(out)["comparisons"] if c["metric"] == "ttft_p50_ms"}
    assert found["anthropic @after"]["verdict"] == "slower"
    assert found["anthropic @after"]["low"] < 1.5 < found["anthropic @after"]["high"]
    _, out, _ = bench("compare", "after", "before", "--baseline", "after", "--json")
    found = {c["target"]: c for c in json.loads(out)["comparisons"] if c["metric"] == "ttft_p50_ms"}
    assert found["anthropic @before"]["verdict"] == "faster"
    code, _, err = bench("compare", "after", "before", "--baseline", "anthropic")
    assert code == 2
    assert "one of the runs" in err


def test_pooled_nights_have_the_blocks_of_all_until_they_are_enough_to_count_themselves(bench, results):
    for night in range(5):
        store(results, f"night-{night}", day=night, clouds=TWO, prompts=128, seed=night + 1)
    _, out, _ = bench("compare", "night-0", "--json")
    one = json.loads(out)["rows"][0]
    _, out, _ = bench("compare", *(f"night-{n}" for n in range(4)), "--pool", "--json")
    four = json.loads(out)
    assert (one["n"], one["blocks"]) == (128, 32)
    assert (four["rows"][0]["n"], four["rows"][0]["blocks"]) == (512, 128)
    # p^n_eff <= 2.5 % needs 367 requests at p99: one night is open above, four are not.
    assert one["cells"]["ttft_p99_ms"]["high"] is None
    assert four["rows"][0]["cells"]["ttft_p99_ms"]["high"] is not None
    assert any("4 runs pooled" in note and "night-3 (256 requests)" in note for note in four["notes"])
    assert any("4 runs pooled, too few to tell how runs differ" in alarm for alarm in four["alarms"])
    assert {c["blocks"] for c in four["comparisons"] if c["metric"] == "ttft_p50_ms"} == {128}
    _, out, _ = bench("compare", "night-*", "--pool", "--json")
    five = json.loads(out)
    assert (five["rows"][0]["n"], five["rows"][0]["blocks"]) == (640, 5)
    assert not any("too few to tell" in alarm for alarm in five["alarms"])
    assert any("each run counts as one block" in note for note in five["notes"])


def test_a_run_compared_with_itself_counts_once(bench, results):
    folder = store(results, "one", clouds=TWO, prompts=40)
    shutil.copytree(folder, results.parent / "copy")
    _, alone, _ = bench("compare", "one", "--json")
    for words in (("one", "one"), ("one", "results"), ("one", "copy"), ("one", "copy", "--pool")):
        code, out, err = bench("compare", *words, "--json")
        assert code == 0
        assert [row["n"] for row in json.loads(out)["rows"]] == [row["n"] for row in json.loads(alone)["rows"]]
        assert ("a run counts once" in err) == ("copy" in words)


UNLIKE = {
    "workload": {"workload": {"name": "rag", "digest": "e" * 64}},
    "simulated or real": {"simulated": False},
    "method version": {"method_version": 2},
    "load.stages[0].rate_per_s": {"load": {"pattern": "poisson", "stages": [{"rate_per_s": 9.0}]}},
}


def test_everything_unlike_is_listed_at_once_and_forced_runs_carry_it_under_the_table(bench, results):
    store(results, "one", clouds=TWO, prompts=40)
    targets = [
        {"id": "anthropic", "model": "other", "provider": "anthropic", "region": "eu", "params": {"max_tokens": 9},
         "service_tier": "priority"},
        {"id": "bedrock", "model": "claude-sonnet-4-5", "provider": "bedrock", "region": "us-east-1"},
    ]  # fmt: skip
    facts = {key: value for change in UNLIKE.values() for key, value in change.items()}
    store(results, "two", day=1, clouds=TWO, prompts=40, facts={**facts, "targets": targets})
    wanted = [
        *UNLIKE,
        "anthropic: model",
        "anthropic: region",
        "anthropic: service tier",
        "anthropic: params.max_tokens",
    ]
    for more in ((), ("--pool",)):
        code, out, err = bench("compare", "one", "two", *more)
        assert (code, out) == (2, "")
        assert all(f"{what}: got" in err for what in wanted), err
        assert err.count("got") == len(wanted)
        assert "--force" in err
        code, out, err = bench("compare", "one", "two", "--force", "--json", *more)
        assert code == 0, err
        said = [alarm for alarm in json.loads(out)["alarms"] if "(--force)" in alarm]
        assert len(said) == len(wanted)


@pytest.mark.parametrize("what", UNLIKE)
def test_one_unlike_thing_is_found_by_itself(what):
    base = {"run_id": "a", "simulated": True, "method_version": 1, "workload": {"name": "rag", "digest": "d" * 64},
            "load": {"pattern": "poisson", "stages": [{"rate_per_s": 2.0, "requests": 5}]}}  # fmt: skip
    assert differences([base, {**base, "run_id": "b"}]) == []
    assert [one.what for one in differences([base, {**base, **UNLIKE[what], "run_id": "b"}])] == [what]
    longer = {"pattern": "poisson", "stages": [{"rate_per_s": 2.0, "requests": 500}]}
    assert differences([base, {**base, "run_id": "b", "load": longer}]) == []


def test_runs_with_different_targets_compare_what_they_share(bench, results):
    store(results, "one", clouds=CLOUDS[:2], prompts=40)
    store(results, "two", day=1, clouds=CLOUDS[1:3], prompts=40)
    _, out, _ = bench("compare", "one", "two", "--json")
    table = json.loads(out)
    assert [row["target"] for row in table["rows"]] == ["anthropic @one", "bedrock @one", "bedrock @two", "vertex @two"]
    assert {c["target"] for c in table["comparisons"]} == {"bedrock @two"}
    assert sum("is in 1 of 2 runs" in note for note in table["notes"]) == 2
    _, out, _ = bench("compare", "one", "two", "--pool", "--json")
    table = json.loads(out)
    assert {row["target"]: row["n"] for row in table["rows"]} == {"anthropic": 40, "bedrock": 80, "vertex": 40}
    # anthropic and bedrock met in one run, anthropic and vertex in none.
    assert {c["target"]: c["n"] for c in table["comparisons"] if c["metric"] == "e2e_p50_ms"} == {
        "bedrock": 40,
        "vertex": 0,
    }


def test_crashed_and_broken_runs_of_a_set_are_recovered_or_left_out_and_said(bench, results):
    store(results, "whole", clouds=TWO, prompts=40)
    crashed = create_run_dir(results, "crashed", 1_795_219_200 * 10**9)
    with Journal(crashed / "journal.bin", {"run_id": "crashed"}) as journal:
        for seq in range(6):
            journal.append(record(seq))
    (create_run_dir(results, "empty", 1_795_219_200 * 10**9)).joinpath("schedule.parquet").write_bytes(b"")
    code, out, err = bench("compare", "results", "--pool", "--force", "--json")
    assert code == 0, err
    assert "Left out" in err
    assert "run=empty" in err
    assert "The run crashed" in err
    assert "crashed" in json.loads(out)["partial"]


def test_an_interrupted_run_side_by_side_compares_the_cases_both_asked(bench, results):
    store(results, "whole", clouds=TWO, prompts=96)
    store(results, "half", day=1, clouds=TWO, prompts=48, facts={"complete": False, "exit_status": 130})
    _, out, _ = bench("compare", "whole", "half", "--json")
    table = json.loads(out)
    assert table["partial"] == "1 of 2 runs did not end: half"
    assert {c["n"] for c in table["comparisons"] if c["metric"] == "e2e_p50_ms"} == {48}


def test_on_a_narrow_terminal_no_line_is_wider_than_it(bench, results, monkeypatch):
    made, build = {}, tables.table_of_runs

    def once(found, wanted, say):
        """The figures do not depend on the width: each table is made once, and written four times."""
        key = (*(run.path for run in found), wanted)
        return made[key] if key in made else made.setdefault(key, build(found, wanted, say))

    monkeypatch.setattr(tables, "table_of_runs", once)
    store(results, "one", clouds=TWO, prompts=40)
    store(results, "two", day=1, clouds=TWO, prompts=40)
    for width in (40, 60, 80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        for words in (("one", "two"), ("one", "two", "--pool"), ("one", "--by", "tag:kind"), ("one", "--by", "hour")):
            code, out, err = bench("compare", *words)
            assert code == 0, err
            assert max(len(line) for line in out.splitlines()) <= width, words
    assert len(made) == 4
