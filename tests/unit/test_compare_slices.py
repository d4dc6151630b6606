"""Slices of a table, and figures weighted to a production mix."""

import json

import numpy as np
import pytest

from bench import tabulate
from bench.cli import main
from bench.errors import ConfigError
from bench.stats import pool, slices
from bench.stats.mix import load_mix, weighted
from bench.stats.part import Part
from bench.stats.quantiles import quantile
from bench.stats.slices import bands_of_cases, sliced
from bench.stats.table import build
from bench.stats.tags import slice_tags
from bench.stats.weighting import kish_n, weighted_quantile
from bench.store import runs
from bench.store.columns import Columns
from bench.store.parquet import write_table
from tests.unit.stats_example import CLOUDS, COMPLETE, NO_ATTEMPTS, NO_SCORES, request, requests
from tests.unit.stored_example import store
from tests.unit.test_stats_scale import close

TWO = CLOUDS[:2]


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "results", "one", clouds=TWO, prompts=96)

    def call(*words):
        capsys.readouterr()
        code = main(["compare", "one", *(str(word) for word in words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_slices_by_tag_have_their_own_n_and_intervals_and_no_verdict(bench):
    code, out, _ = bench("--by", "tag:kind", "--json")
    assert code == 0
    table = json.loads(out)
    assert [part["label"] for part in table["slices"]] == ["even", "odd"]
    for part in table["slices"]:
        assert [row["n"] for row in part["rows"]] == [48, 48]
        cell = part["rows"][0]["cells"]["ttft_p50_ms"]
        assert cell["low"] < cell["value"] < cell["high"]
        assert {c["verdict"] for c in part["comparisons"]} == {None}
        assert {c["primary"] for c in part["comparisons"]} == {False}
        assert part["rows"][0]["cells"]["system_tokens_per_s"]["value"] is None
    assert any("exploratory" in note for note in table["notes"])


def test_a_slice_is_the_table_of_its_rows_alone():
    rows = [
        request("a", seq, ttft_ms=100.0 + seq, first_token_ns=seq * 10**9 + (100 + seq) * 10**6) for seq in range(8)
    ]
    manifest = {**COMPLETE, "tags": {f"case-{seq}": {"size": str(seq % 2)} for seq in range(8)}}
    frame = requests(rows)
    whole = sliced(build(frame, NO_ATTEMPTS, NO_SCORES, manifest), frame, NO_SCORES, manifest, "tag:size", {})
    # even rows: 100, 102, 104, 106; odd rows: 101, 103, 105, 107: the lower median of four is the second
    assert [part.rows[0].cells["ttft_p50_ms"].value for part in whole.slices] == [102.0, 103.0]


def test_length_bands_are_of_the_case_so_that_failures_stay_in_theirs():
    # 300 + 900 cached = 1,200 tokens at one target, 1,000 at the other: the median of 1,100 puts both into 1k-4k;
    # the failed row has no count and goes along.
    frame = requests([
        request("a", 0, case_id="x", input_tokens=300, cache_read_tokens=900),
        request("b", 1, case_id="x", input_tokens=1_000),
        request("b", 2, case_id="x", input_tokens=None, outcome="timeout"),
        request("a", 3, case_id="y", input_tokens=255),
        request("a", 4, case_id="z", input_tokens=256),
    ])  # fmt: skip
    assert bands_of_cases(frame) == {"x": "1k-4k", "y": "0-256", "z": "256-1k"}


def test_the_hour_is_that_of_the_block_in_utc(bench):
    # The anchor is 00:59:59 and a block of four lasts two seconds: the first block begins in hour 0, the others in hour 1.
    _, out, _ = bench("--by", "hour", "--json")
    found = {part["label"]: [row["n"] for row in part["rows"]] for part in json.loads(out)["slices"]}
    assert found == {"00:00": [4, 4], "01:00": [92, 92]}


@pytest.mark.parametrize("by", ["tag:nothing", "tag:", "colour", "tag"])
def test_an_unknown_slice_is_refused_with_those_there_are(bench, by):
    code, out, err = bench("--by", by)
    assert (code, out) == (2, "")
    assert "input_tokens, hour, tag:kind" in err


def test_only_short_plain_tags_make_slices():
    tags = {"kind": "lookup", "level": 3, "hard": True, "long": "x" * 81, "list": [1], "none": None}
    assert slice_tags(tags) == {"kind": "lookup", "level": "3", "hard": "True"}


# ---------------------------------------------------------------- column by column


def sliced_both_ways(runs_, by, baseline=None):
    """By data frames, and column by column."""
    sources = [pool.Source(run.requests, NO_ATTEMPTS, run.scores, run.manifest) for run in runs_]
    manifests = [run.manifest for run in runs_]
    one = pool.pooled(sources) if len(runs_) > 1 else sources[0]
    plain = build(one.requests, NO_ATTEMPTS, one.scores, one.manifest, baseline)
    anchors = slices.anchors_of(manifests)
    frames = slices.sliced(plain, one.requests, one.scores, one.manifest, by, anchors, baseline)
    return frames, tabulate.sliced(plain, runs_, one.manifest, by, baseline)


def uneven(rows):
    """Prompts of several lengths, a warm-up, a failure, a target that is not in every block, cases asked twice."""
    n = rows["seq"].to_numpy()
    rows["input_tokens"] = np.where(rows["outcome"] == "ok", 90 + 40 * (n % 13), np.nan)
    rows["cache_read_tokens"] = np.where(n % 13 > 9, 3_000.0, np.nan)
    rows["phase"] = np.where(n < 2, "warmup", "measure")
    rows["repeat"] = n // 40
    rows["case_id"] = [f"case-{k % 40}" for k in n]
    return rows[(rows["target"] != "vertex") | (n % 3 > 0)].reset_index(drop=True)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Two runs, the first continued after a pause; a case without a tag, and a run that does not say when it began."""
    results = tmp_path_factory.mktemp("slices")
    half = {f"case-{k}": {"kind": "even" if k % 2 else "odd"} for k in range(1, 40)}
    segments = [{"offset_ns": 0}, {"offset_ns": 21 * 10**9}]
    facts = [{"tags": half, "segments": segments}, {"tags": half, "anchor": {}}]
    return [
        runs.open_run(
            store(
                results,
                f"night-{day}",
                day=day,
                facts=facts[day],
                change=uneven,
                clouds=(CLOUDS[0], CLOUDS[2]),
                seed=day + 1,
                prompts=48,
            )
        )
        for day in range(2)
    ]


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("tag:kind", ["even", "odd", "unknown"]),
        ("input_tokens", ["0-256", "256-1k", "1k-4k"]),
        ("hour", ["00:00", "01:00"]),
    ],
)
def test_column_by_column_every_slice_is_the_same(stored, by, labels):
    frames, columns = sliced_both_ways(stored[:1], by)
    assert [part.label for part in columns.slices] == labels
    assert sum(row.n for part in columns.slices for row in part.rows) == sum(row.n for row in frames.rows)
    assert any(part.comparisons for part in columns.slices)
    close(frames, columns)


def test_column_by_column_slices_of_pooled_runs_are_the_same(stored):
    frames, columns = sliced_both_ways(stored, "tag:kind", baseline="vertex")
    close(frames, columns)
    columns = tabulate.sliced(frames, stored, pool.manifest_of([run.manifest for run in stored]), "hour")
    # the second run does not say when it began: none of its rows has an hour
    unplaced = next(part for part in columns.slices if part.label == "unknown")
    assert sum(row.n for row in unplaced.rows) == int((stored[1].requests["phase"] == "measure").sum())


def test_the_bands_of_stored_columns_are_those_of_the_rows(stored):
    found = {band for run in stored for band in bands_of_cases(run.requests).values()}
    assert tabulate.bands(stored) == found
    assert len(found) == 3


@pytest.mark.parametrize("by", ["tag:nothing", "colour"])
def test_column_by_column_an_unknown_slice_is_refused(stored, by):
    with pytest.raises(ConfigError, match="input_tokens, hour, tag:kind"):
        tabulate.sliced(None, stored[:1], stored[0].manifest, by)


@pytest.mark.parametrize(
    "text",
    [
        "by: tag:kind\nshares: {even: 0.8, odd: 0.2}",
        "by: tag:kind\nshares: {odd: 1}",
        "by: input_tokens\nshares: {0-256: 0.7, 1k-4k: 0.3}",
    ],
)
def test_column_by_column_a_mix_weighs_the_same(stored, tmp_path, text):
    run, weights = stored[0], load_mix(mix(tmp_path, f"version: 1\n{text}\n"))
    facts = {**run.manifest, "workload": {"name": "rag", "slo": {"goodput": {"ttft": 700_000_000}}}}
    plain = build(run.requests, NO_ATTEMPTS, run.scores, facts)
    frames = weighted(plain, run.requests, run.scores, facts, weights, "vertex")
    columns = tabulate.weighted(plain, [run], facts, weights, "vertex")
    # what the mix does not name is left out
    assert all(a.n < b.n for a, b in zip(columns.rows, plain.rows, strict=True))
    assert columns.rows[0].cells["within_slo_share"].n_eff < columns.rows[0].n
    close(frames, columns)


def test_column_by_column_a_mix_of_what_was_not_sent_is_refused(stored, tmp_path):
    run, weights = stored[0], load_mix(mix(tmp_path, "version: 1\nby: tag:kind\nshares: {even: 0.5, none: 0.5}\n"))
    plain = build(run.requests, NO_ATTEMPTS, run.scores, run.manifest)
    with pytest.raises(ConfigError, match="no row of anthropic in that slice"):
        tabulate.weighted(plain, [run], run.manifest, weights)


def test_part_of_a_table_reads_as_a_table_of_these_rows(tmp_path):
    rows = [
        request("abc"[n % 3], n, region=None if n == 4 else f"r{n % 2}", ttft_ms=None if n == 5 else 100.0)
        for n in range(6)
    ]
    write_table(tmp_path / "requests.parquet", "requests", rows)
    whole = Columns((tmp_path, tmp_path), "requests")
    part = Part(whole, np.array([False, True, True, False, True, True] + [False] * 5 + [True]))
    assert (part.rows, part.counts) == (5, (4, 1))
    codes, names = part.words("target")
    assert ([names[code] for code in codes], names) == (["b", "c", "b", "c", "c"], ["b", "c"])
    codes, names = part.words("region")
    assert (codes.tolist(), names) == ([0, 1, -1, 0, 0], ["r1", "r0"])
    assert part.ints("seq").tolist() == [1, 2, 4, 5, 5]
    assert part.run_codes().tolist() == [0, 0, 0, 0, 1]
    place = np.array([2, 0, 3, 1, 3], np.int32)  # the third and the last are left out
    assert part.floats("sent_ns", place, 3).tolist() == [2e9, 5e9, 1e9]
    assert part.floats("sent_ns").tolist() == [1e9, 2e9, 4e9, 5e9, 5e9]
    assert part.bounds("ttft_ms") is None  # some are null, of whichever rows
    assert part.bounds("output_tokens") == (11.0, 11.0, 0)
    assert part.bounds("level")[2] == 5
    chunks = list(part.chunks(("seq",), ("target",), ("spoiled",), ("case_id",)))
    assert [run for run, _ in chunks] == [0, 1]
    said = chunks[0][1]
    assert said["seq"].tolist() == [1, 2, 4, 5]
    assert [said["target"][1][code] for code in said["target"][0]] == ["b", "c", "b", "c"]
    assert said["case_id"][1].take(said["case_id"][0]).to_pylist() == ["case-1", "case-2", "case-4", "case-5"]


# ---------------------------------------------------------------- weights


def mix(tmp_path, text):
    path = tmp_path / "mix.yaml"
    path.write_text(text)
    return path


def test_equal_weights_change_nothing_about_a_quantile():
    rng = np.random.default_rng(1)
    values, blocks = rng.lognormal(0, 1, 400), np.repeat(np.arange(40), 10)
    for p in (0.5, 0.9):
        plain = quantile(values, blocks, p)
        same = weighted_quantile(values, np.full(400, 2.5), blocks, p)
        assert same.estimate == plain.estimate
        assert same.design_effect == pytest.approx(plain.design_effect, rel=0.02)
        assert same.interval().n_eff == pytest.approx(plain.interval().n_eff, rel=0.02)
        # ranks are cut to whole rows in another way: by one row at the most
        ordered = np.sort(values)
        for a, b in ((same.interval().low, plain.interval().low), (same.interval().high, plain.interval().high)):
            assert abs(int(np.searchsorted(ordered, a)) - int(np.searchsorted(ordered, b))) <= 1


def test_a_weighted_quantile_is_the_first_value_whose_weight_reaches_it():
    # weights 1, 1, 8: cumulative 0.1, 0.2, 1.0
    found = weighted_quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 8.0]), np.array([0, 1, 2]), 0.15)
    assert found.estimate == 2.0
    assert kish_n(np.array([1.0, 1.0, 8.0])) == pytest.approx(100 / 66)


def test_a_mix_moves_every_figure_to_its_shares_and_says_what_it_costs(bench, tmp_path):
    # rows of "even" are as many as those of "odd"; n_eff under 9 : 1 is Kish's 1 / (0.9² / 48 + 0.1² / 48) = 58.5 at most
    _, out, _ = bench("--weights", mix(tmp_path, "version: 1\nby: tag:kind\nshares: {even: 0.9, odd: 0.1}\n"), "--json")
    table = json.loads(out)
    cell = table["rows"][0]["cells"]["ttft_p50_ms"]
    assert cell["n"] == 96
    assert cell["n_eff"] < 58.6
    assert cell["low"] < cell["value"] < cell["high"]
    _, out, _ = bench("--by", "tag:kind", "--json")
    parts = {p["label"]: p["rows"][0]["cells"]["usd_per_1k"]["value"] for p in json.loads(out)["slices"]}
    expected = 0.9 * parts["even"] + 0.1 * parts["odd"]
    assert table["rows"][0]["cells"]["usd_per_1k"]["value"] == pytest.approx(expected)
    assert table["rows"][0]["cells"]["system_tokens_per_s"]["value"] is None
    assert "weighted to mix.yaml" in table["title"]


def test_shares_as_they_were_sent_give_the_plain_figures(bench, tmp_path):
    _, out, _ = bench("--json")
    plain = json.loads(out)
    _, out, _ = bench("--weights", mix(tmp_path, "version: 1\nby: tag:kind\nshares: {even: 0.5, odd: 0.5}\n"), "--json")
    weighted = json.loads(out)
    for a, b in zip(plain["rows"], weighted["rows"], strict=True):
        for name in ("ttft_p50_ms", "e2e_p99_ms", "ok_share", "quality", "usd_per_1k", "usd_per_correct"):
            if a["cells"][name]["value"] is not None and name != "ok_share" and a["cells"]["ok_share"]["value"] == 1:
                assert b["cells"][name]["value"] == pytest.approx(a["cells"][name]["value"])
    found = [(c["metric"], c["value"], c["verdict"]) for c in weighted["comparisons"]]
    by_name = {c["metric"]: c for c in plain["comparisons"] if c["primary"]}
    for name, value, verdict in found:
        assert value == pytest.approx(by_name[name]["value"])
        assert verdict == by_name[name]["verdict"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nby: tag:kind\nshares: {even: 0.9, none: 0.1}\n", "shares.none: got no row of anthropic"),
        ("version: 1\nby: tag:colour\nshares: {red: 1}\n", "tag:kind"),
        ("version: 1\nby: input_tokens\nshares: {64k-256k: 0.5, 0-256: 0.5}\n", "shares.64k-256k: got no row"),
    ],
)
def test_a_mix_of_what_was_not_sent_is_refused(bench, tmp_path, text, said):
    code, out, err = bench("--weights", mix(tmp_path, text))
    assert (code, out) == (2, "")
    assert said in err


def test_everything_wrong_in_a_mix_is_told_with_its_line(tmp_path):
    text = "version: 2\nby: colour\nweight: 1\nshares:\n  a: 0.5\n  b: -1\n  c: many\n"
    with pytest.raises(ConfigError) as caught:
        load_mix(mix(tmp_path, text))
    said = str(caught.value)
    for part in ("mix.yaml:1", "mix.yaml:2", "mix.yaml:3", "mix.yaml:6", "mix.yaml:7"):
        assert part in said, said
    with pytest.raises(ConfigError, match=r"a sum of 0\.7"):
        load_mix(mix(tmp_path, "version: 1\nby: tag:kind\nshares: {a: 0.5, b: 0.2}\n"))


def test_slices_and_weights_need_one_table(bench, tmp_path):
    store(tmp_path / "results", "two", day=1, clouds=TWO, prompts=40)
    for flag, value in (
        ("--by", "tag:kind"),
        ("--weights", mix(tmp_path, "version: 1\nby: tag:kind\nshares: {even: 1}\n")),
    ):
        code, _, err = bench("two", flag, value)
        assert code == 2
        assert "--pool" in err
        assert bench("two", flag, value, "--pool")[0] == 0
