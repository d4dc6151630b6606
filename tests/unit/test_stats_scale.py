"""Tables of many rows: column by column the same figures, by histograms figures within their stated error."""

import dataclasses
import importlib.machinery
import importlib.util
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import tabulate
from bench.cli import main
from bench.stats import approx, counted, scale, sketch
from bench.stats import table as small
from bench.stats.quantiles import binomial_rank, quantile
from bench.store import runs
from bench.store.columns import Columns
from bench.store.parquet import write_table
from tests.unit.stats_example import CLOUDS, NO_ATTEMPTS, example, request
from tests.unit.stored_example import arrow, store

ROOT = Path(__file__).parent.parent.parent


def columns_of(*folders):
    return tuple(Columns(folders, name) for name in ("requests", "attempts", "scores"))


def close(a, b, path=""):
    """Equal but for the last digits of sums that were added in another order."""
    if isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-9), path
    elif isinstance(a, Decimal):
        assert float(a) == pytest.approx(float(b), abs=1e-6), path
    elif dataclasses.is_dataclass(a):
        for one in dataclasses.fields(a):
            close(getattr(a, one.name), getattr(b, one.name), f"{path}.{one.name}")
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            close(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), (path, a, b)
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            close(x, y, f"{path}[{n}]")
    else:
        assert a == b, path


SLO = {"goodput": {"ttft": 700_000_000, "tpot": 17_000_000, "e2e": 5_000_000_000}, "ttft": {"p95": 900_000_000}}
SEGMENTS = [{"offset_ns": 0}, {"offset_ns": 10 * 10**9, "resent": {"in_flight": 1}}]


def test_column_by_column_the_whole_table_is_the_same(tmp_path):
    limited = {"workload": {"name": "rag", "digest": "d" * 64, "slo": SLO}}
    for folder in (
        store(tmp_path, "made"),
        store(tmp_path, "limited", facts=limited),
        store(tmp_path, "longest-gap", facts={"workload": {"name": "rag", "slo": {"goodput": {"itl": 19_000_000}}}}),
        store(tmp_path, "continued", facts={**limited, "segments": SEGMENTS, "sessions_cut": {"bedrock": 2}}),
        store(tmp_path, "no-sources", facts={"clusters": {}}),
        ROOT / "docs" / "example",
    ):
        run = runs.open_run(folder)
        plain = small.build(run.requests, run.frame("attempts", small.ATTEMPT_COLUMNS), run.scores, run.manifest)
        close(plain, scale.build(*columns_of(folder), run.manifest))


def test_the_levels_of_a_sweep_are_told_of_many_rows_as_of_few(tmp_path):
    frame, _, scores, manifest = example(clouds=CLOUDS[:2], prompts=96)
    frame["stage"] = frame["block_id"] // 12
    frame["level"] = np.where(frame["stage"] == 0, 2.0, 4.0)
    write_table(tmp_path / "requests.parquet", "requests", arrow("requests", frame))
    write_table(tmp_path / "scores.parquet", "scores", arrow("scores", scores))
    write_table(tmp_path / "attempts.parquet", "attempts", [])
    facts = {**manifest, "workload": {"name": "rag", "slo": SLO}}
    run = runs.Run(tmp_path, facts)
    plain = small.build(run.requests, NO_ATTEMPTS, run.scores, facts)
    assert [(one.target, one.level) for one in plain.levels] == [
        ("anthropic", 2.0), ("bedrock", 2.0), ("anthropic", 4.0), ("bedrock", 4.0)
    ]  # fmt: skip
    close(plain, scale.build(*columns_of(tmp_path), facts))
    close(plain, tabulate.of_run(run))


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "bug"}, {"spoiled": True}, {"phase": "warmup"}, {"e2e_ms": None}, {"ttft_ms": -1.0}, {"tpot_ms": math.inf},
        {"case_id": "case-1", "block_id": 0}, {"reasoning_tokens": 5}, {"cost_usd": None}, {"due_ns": None},
        {"outcome": "timeout", "ttft_ms": None, "first_token_ns": None, "tpot_ms": None},
    ],
    ids=str,
)  # fmt: skip
def test_odd_rows_are_treated_alike_on_both_ways(tmp_path, change):
    requests, _, scores, manifest = example(clouds=CLOUDS[:2], prompts=24)
    rows = requests.to_dict("records")
    for at in (3, 30, 31):
        rows[at] |= change
    frame = requests.iloc[:0].copy()
    from tests.unit.stats_example import requests as frame_of

    frame = frame_of(
        [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
    )
    write_table(tmp_path / "requests.parquet", "requests", arrow("requests", frame))
    write_table(tmp_path / "scores.parquet", "scores", arrow("scores", scores))
    write_table(tmp_path / "attempts.parquet", "attempts", [])
    run = runs.Run(tmp_path, manifest)
    plain = small.build(run.requests, NO_ATTEMPTS, run.scores, manifest)
    close(plain, scale.build(*columns_of(tmp_path), manifest))
    rough = approx.build(*columns_of(tmp_path), manifest)
    assert [row.n for row in rough.rows] == [row.n for row in plain.rows]
    for row in rough.rows:
        for name in ("ttft_p50_ms", "e2e_p50_ms", "tpot_p50_ms", "ok_share", "usd_per_1k", "quality"):
            exact = plain.row(row.target).cells[name].value
            near = pytest.approx(exact, rel=sketch.ALPHA * 1.001) if exact is not None else None
            assert row.cells[name].value == near, name


def test_an_empty_run_is_a_table_that_says_so(tmp_path):
    for name in ("requests", "attempts", "scores"):
        write_table(tmp_path / f"{name}.parquet", name, [])
    facts = {"complete": True, "targets": [{"id": "a", "model": "m", "provider": "p"}]}
    for build in (scale.build, approx.build):
        table = build(*columns_of(tmp_path), facts)
        assert [row.n for row in table.rows] == [0]
        assert table.rows[0].cells["ttft_p50_ms"].warnings == ("nothing was measured",)


def test_pooled_runs_of_many_rows_are_the_pool_of_few(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for night in range(3):
        store(tmp_path / "results", f"night-{night}", day=night, clouds=CLOUDS[:2], prompts=40, seed=night + 1)

    def cells():
        capsys.readouterr()
        assert main(["compare", "night-*", "--pool", "--json"]) == 0
        table = json.loads(capsys.readouterr().out)
        return [(r["target"], r["n"], r["blocks"], r["cells"]) for r in table["rows"]], table["comparisons"]

    few = cells()
    monkeypatch.setattr(tabulate, "IN_MEMORY_ROWS", 10)
    close(few, cells())
    monkeypatch.setattr(tabulate, "EXACT_ROWS", 20)
    assert main(["compare", "night-*"]) == 2
    assert main(["compare", "night-0", "--by", "hour"]) == 2
    assert "at most 20 rows" in capsys.readouterr().err
    assert main(["compare", "night-0", "--json"]) == 0
    assert "histogram" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["night-*"], ["night-*", "--pool", "--by", "tag:kind"],
                                   ["night-0", "--weights", "mix.yaml"]], ids=" ".join)  # fmt: skip
def test_whatever_is_asked_of_many_rows_is_what_it_is_of_few(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mix.yaml").write_text("version: 1\nby: tag:kind\nshares: {even: 0.9, odd: 0.1}\n")
    for night in range(2):
        store(tmp_path / "results", f"night-{night}", day=night, clouds=CLOUDS[:2], prompts=24, seed=night + 1)

    def table():
        capsys.readouterr()
        assert main(["compare", *words, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        for row in made["rows"]:
            row["spent_usd"] = float(row["spent_usd"])  # with as many zeros at the end as its sum has
        return made["rows"], made["comparisons"], [(s["label"], s["comparisons"]) for s in made.get("slices") or ()]

    few = table()
    monkeypatch.setattr(tabulate, "IN_MEMORY_ROWS", 10)
    monkeypatch.setattr(runs.Run, "frame", lambda *_: pytest.fail("read as data frames"))
    close(few, table())


def test_a_run_of_many_rows_is_read_column_by_column(tmp_path, monkeypatch):
    folder = store(tmp_path, "plain")
    few = tabulate.of_run(runs.open_run(folder))
    monkeypatch.setattr(tabulate, "COLUMN_ROWS", 10)
    monkeypatch.setattr(tabulate, "build", lambda *_: pytest.fail("read as data frames"))
    close(few, tabulate.of_run(runs.open_run(folder)))


# ---------------------------------------------------------------- histograms


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.floats(sketch.LOWEST * 1.01, sketch.HIGHEST * 0.99), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_a_quantile_from_buckets_is_within_its_stated_error(values, p):
    values = np.array(values)
    blocks = np.arange(len(values)) % 7
    counts = np.zeros((7, sketch.BUCKETS), np.int64)
    np.add.at(counts, (blocks, sketch.bucket_of(values)), 1)
    exact, rough = quantile(values, blocks, p), sketch.quantile(counts, p)
    assert rough.estimate == pytest.approx(exact.estimate, rel=sketch.ALPHA * 1.0001)
    assert rough.n == len(values)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.permutations(range(6)))
def test_merging_in_any_order_gives_the_same_bytes(order):
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(6):
        counts = np.zeros((3, sketch.BUCKETS), np.int64)
        np.add.at(counts, (rng.integers(0, 3, 100), sketch.bucket_of(rng.lognormal(5, 1, 100))), 1)
        parts.append(counts)
    merged = np.zeros((3, sketch.BUCKETS), np.int64)
    for at in order:
        merged += parts[at]
    assert merged.tobytes() == sum(parts).tobytes()


def test_failures_zeros_and_days_have_buckets_of_their_own():
    at = sketch.bucket_of(np.array([0.0, 1e-9, 1.0, 1e12, math.inf]))
    assert at[0] == at[1] == 0
    assert at[3] == sketch.FAILED - 1
    assert at[4] == sketch.FAILED
    assert [sketch.value_of(int(b)) for b in (at[0], at[4])] == [0.0, math.inf]
    # four of five failed: the median is a failure, and without failures it is the value
    counts = np.zeros((1, sketch.BUCKETS), np.int64)
    counts[0, sketch.FAILED], counts[0, int(at[2])] = 4, 1
    assert math.isinf(sketch.quantile(counts, 0.5).estimate)
    assert sketch.quantile(sketch.without_failures(counts), 0.5).estimate == pytest.approx(1.0, rel=sketch.ALPHA)


def test_the_intervals_of_histograms_are_those_of_the_rows_within_the_error():
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(60), 50)
    values = 400 * np.exp(rng.normal(0, 0.1, 60))[blocks] * rng.lognormal(0, 0.4, 3000)
    counts = np.zeros((60, sketch.BUCKETS), np.int64)
    np.add.at(counts, (blocks, sketch.bucket_of(values)), 1)
    for p in (0.5, 0.99):
        exact, rough = quantile(values, blocks, p), sketch.quantile(counts, p)
        assert rough.design_effect == pytest.approx(exact.design_effect, rel=0.1)
        for a, b in ((exact.interval().low, rough.interval().low), (exact.interval().high, rough.interval().high)):
            assert b == pytest.approx(a, rel=0.02)


def test_the_rows_of_a_run_may_stand_in_any_order(tmp_path):
    folder = store(tmp_path, "one", clouds=CLOUDS[:2], prompts=40)
    run = runs.open_run(folder)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shuffled = run.requests.sample(frac=1, random_state=5)
    write_table(mixed / "requests.parquet", "requests", arrow("requests", shuffled))
    write_table(mixed / "scores.parquet", "scores", arrow("scores", run.scores[::-1]))
    write_table(mixed / "attempts.parquet", "attempts", [])
    for build in (scale.build, approx.build):
        a, b = (build(*columns_of(path), run.manifest) for path in (folder, mixed))
        for x, y in zip(a.rows, b.rows, strict=True):
            for name in x.cells:
                if "bootstrap" not in x.cells[name].method:  # its draws go by the order in which blocks come
                    close(x.cells[name], y.cells[name], name)


def test_the_figures_of_a_histogram_say_how_far_off_they_may_be(tmp_path):
    folder = store(tmp_path, "one", clouds=CLOUDS[:2], prompts=96)
    run = runs.open_run(folder)
    exact = scale.build(*columns_of(folder), run.manifest)
    rough = approx.build(*columns_of(folder), run.manifest)
    for row in rough.rows:
        cell = row.cells["ttft_p50_ms"]
        assert "histogram (±0.5%)" in cell.method
        assert approx.WARNING in cell.warnings
        assert cell.low < exact.row(row.target).cells["ttft_p50_ms"].low * 1.01
        for name in ("ok_share", "first_ok_share", "quality", "usd_per_1k", "usd_per_correct"):
            close(row.cells[name].value, exact.row(row.target).cells[name].value, name)
            close(row.cells[name].n_eff, exact.row(row.target).cells[name].n_eff, name)
    for c in rough.comparisons:
        same = next(one for one in exact.comparisons if (one.target, one.metric) == (c.target, c.metric))
        if c.metric == "ttft_p50_ms":
            assert c.value == pytest.approx(same.value, rel=2 * sketch.ALPHA)
            assert c.low < same.low * 1.02
            assert c.high > same.high * 0.98


def test_neighbouring_blocks_are_put_together_where_there_are_many(tmp_path, monkeypatch):
    folder = store(tmp_path, "one", clouds=CLOUDS[:2], prompts=96)
    run = runs.open_run(folder)
    for room in (approx, counted):
        monkeypatch.setattr(room, "GROUPS", 8)
    table = approx.build(*columns_of(folder), run.manifest)
    assert [row.blocks for row in table.rows] == [8, 8]
    assert any("at most 8 groups" in note for note in table.notes)


def test_columns_read_nulls_missing_columns_and_repeated_words(tmp_path):
    write_table(
        tmp_path / "requests.parquet", "requests", [request("a", 0), request("b", 1, ttft_ms=None, region=None)]
    )
    stored = Columns((tmp_path, tmp_path), "requests")
    assert stored.rows == 4
    assert stored.floats("ttft_ms")[0] == 100.0
    assert np.isnan(stored.floats("ttft_ms")[[1, 3]]).all()
    for _ in range(2):  # the second time from what was kept
        codes, names = stored.words("region")
        assert (codes.tolist(), names) == ([0, -1, 0, -1], ["eu"])
    assert stored.run_codes().tolist() == [0, 0, 1, 1]
    assert stored.bounds("ttft_ms") == (100.0, 100.0, 2)
    assert stored.bounds("no_such") is None
    assert stored.flags("spoiled").tolist() == [False] * 4


def test_the_bench_of_scale_makes_its_rows_from_a_seed(tmp_path):
    loader = importlib.machinery.SourceFileLoader("scalebench", str(ROOT / "scripts" / "scalebench"))
    spec = importlib.util.spec_from_loader("scalebench", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    digests = []
    for name in ("one", "two"):
        module.make(tmp_path / name, 2_000, 2, 40, seed=7)
        digests.append(json.loads((tmp_path / name / "manifest.json").read_text())["files"])
        run = runs.open_run(tmp_path / name)
        assert runs.verify_digests(run) == []
        assert len(run.requests) == 2_000
        table = scale.build(*columns_of(tmp_path / name), run.manifest)
        assert [row.blocks for row in table.rows] == [40, 40]
        # the second target is made 5 % slower
        assert table.rows[1].cells["ttft_p50_ms"].value > table.rows[0].cells["ttft_p50_ms"].value * 0.9
    assert digests[0] == digests[1]


def test_strangers_and_near_limits_are_told_of_many_rows_as_of_few(tmp_path):
    folder = store(tmp_path, "one", clouds=CLOUDS[:2], prompts=40)
    tried = [
        {"target": "anthropic", "seq": seq, "limit_tokens": 1000, "remaining_tokens": 900 - 100 * seq} for seq in range(9)
    ] + [
        {"target": "bedrock", "seq": 20, "fault_code": "identity_contradicted", "identity": "bedrock: it was somebody else"},
        {"target": "bedrock", "seq": 21, "utilisation_share": 0.97},
    ]  # fmt: skip
    write_table(folder / "attempts.parquet", "attempts", tried)
    run = runs.open_run(folder)
    plain = small.build(run.requests, run.frame("attempts", small.ATTEMPT_COLUMNS), run.scores, run.manifest)
    many = scale.build(*columns_of(folder), run.manifest)
    close((plain.alarms, plain.notes), (many.alarms, many.notes))
    rough = approx.build(*columns_of(folder), run.manifest)
    for said in ("answered by somebody else", "100 of 1,000 tokens left", "97% of the deployment"):
        assert any(said in line for line in (*many.alarms, *many.notes)), said
        assert any(said in line for line in (*rough.alarms, *rough.notes)), said


@pytest.mark.parametrize("n", [1.8638727630290564e7, 1e8, 1e9])
def test_ranks_of_very_many_rows_are_those_of_the_normal_law(n):
    for p, prob, z in ((0.5, 0.025, -1.959964), (0.99, 0.975, 1.959964)):
        # rank - 1 + 1/2 is about n p + z sqrt(n p (1 - p)), to within a few ranks of the hundreds that the tail spans
        assert binomial_rank(n, p, prob) == pytest.approx(n * p + z * math.sqrt(n * p * (1 - p)), abs=5)
