"""`bench report`: which files it writes, where, and what it says when it cannot."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from bench.cli import main
from bench.commands.tables import Wanted, of_campaign
from bench.report import formats
from bench.report.build import document

from .campaign_example import planned, ran, week
from .report_examples import lengths
from .stats_example import CLOUDS
from .stored_example import store

TWO = CLOUDS[:2]


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["report", *words])
        return code, *capsys.readouterr()

    return call


def test_a_run_is_reported_beside_its_rows_in_every_format_asked_for(bench, tmp_path):
    run = store(tmp_path / "results", "one", clouds=TWO, prompts=24, change=lengths)
    code, out, _ = bench("latest", "--format", "html, md,json,html")
    assert code == 0
    names = [f"simulated-report.{name}" for name in ("html", "md", "json")]
    assert out.split() == [str(run.relative_to(tmp_path) / name) for name in names]
    assert (run / names[0]).read_text().startswith("<!doctype html>")
    told = json.loads((run / names[2]).read_text())
    # 400 x 1.08 to the power of 0 to 23: 400 to 2,348 tokens, three bands with 256-1k and 1k-4k in it
    assert [part["label"] for part in told["slices"]] == ["256-1k", "1k-4k"]


def test_slices_are_left_out_where_all_prompts_are_of_a_length_or_nobody_wants_them(bench, tmp_path):
    store(tmp_path / "results", "even", clouds=TWO, prompts=12)
    store(tmp_path / "results", "spread", day=1, clouds=TWO, prompts=12, change=lengths)
    for words in (("even",), ("spread", "--by", "none")):
        assert bench(*words, "--format", "json", "--out", "out")[0] == 0
        assert json.loads((tmp_path / "out" / "simulated-report.json").read_text())["slices"] == []


def test_runs_side_by_side_and_pooled_are_reported_into_the_last_ones_folder(bench, tmp_path):
    store(tmp_path / "results", "monday", clouds=TWO, prompts=24)
    slower = (TWO[0], replace(TWO[1], ttft_ms=1500.0))
    last = store(tmp_path / "results", "tuesday", day=1, clouds=slower, prompts=24, seed=8)
    page = last / "simulated-report.html"
    assert bench("monday", "tuesday", "--format", "html")[0] == 0
    assert "Has anything changed between these 2 runs?" in page.read_text()
    assert "bedrock @tuesday" in page.read_text()
    assert bench("monday", "tuesday", "--pool", "--format", "html")[0] == 0
    assert "claude-sonnet-4-5 at 2 targets, over 2 runs" in page.read_text()


def test_a_campaign_is_reported_into_its_own_folder_with_what_is_missing_of_it(bench, tmp_path):
    campaign = week(tmp_path / "results")
    code, out, err = bench("--campaign", "week", "--format", "html,md,json", "--by", "tag:kind")
    assert (code, err) == (0, "")
    place = campaign.folder.relative_to(tmp_path)
    assert out.split() == [str(place / f"simulated-report.{name}") for name in ("html", "md", "json")]
    told = json.loads((campaign.folder / "simulated-report.json").read_text())
    # Three blocks that are done and one that was cut, of 16 prompts each.
    assert [(row["target"], row["n"], row["blocks"]) for row in told["rows"]] == [
        ("anthropic", 64, 4),
        ("bedrock", 64, 4),
    ]
    assert [part["label"] for part in told["slices"]] == ["even", "odd"]
    page = (campaign.folder / "simulated-report.html").read_text()
    for said in ("4 runs pooled (campaign week)", "over 4 runs", campaign.facts["digest"], "1 to come",
                 "missed: block 3 (nothing was running)", "the campaign is not over"):  # fmt: skip
        assert said in page, said
    assert bench("--campaign", "week", "--format", "md", "--out", "out")[1].split() == ["out/simulated-report.md"]


def test_a_report_has_the_figures_that_compare_prints_of_the_campaign(bench, tmp_path, capsys):
    campaign = week(tmp_path / "results")
    assert bench("--campaign", "week", "--format", "json", "--by", "none")[0] == 0
    assert main(["compare", "--campaign", "week", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    told = json.loads((campaign.folder / "simulated-report.json").read_text())
    assert {key: told[key] for key in printed} == printed


def test_the_charts_of_a_campaign_with_one_run_bound_as_little_as_its_table(tmp_path):
    campaign = planned(tmp_path / "results")
    ran(tmp_path / "results", campaign, 1)
    found = of_campaign("week", tmp_path / "results", print)
    table = found.table(Wanted(), print)
    cell = table.rows[0].cells["e2e_p50_ms"]
    assert (cell.low, cell.high) == (None, None)
    made = document(table, found.runs, pooled=True)
    drawn = next(chart for chart in made.charts() if chart.id == "e2e-distribution").data
    assert {entry.interval for row in drawn.rows for entry in row.entries[2:]} == {"unbounded"}


@pytest.mark.parametrize(
    ("words", "got"), [((), "neither runs nor a campaign"), (("latest", "--campaign", "week"), "both")]
)
def test_runs_or_a_campaign_are_named_and_not_both(bench, words, got):
    code, out, err = bench(*words)
    assert (code, out) == (2, "")
    assert err == f"command line: RUN, --campaign: got {got}; want one of them, e.g. latest or --campaign week\n"


def test_every_chart_is_written_as_a_file_that_says_what_it_is(bench, tmp_path):
    store(
        tmp_path / "results",
        "one",
        clouds=TWO,
        prompts=24,
        change=lengths,
        facts={"complete": False, "exit_status": 130},
    )
    code, out, _ = bench("one", "--format", "md", "--out", "out", "--plots", "plots", "--by", "none")
    assert code == 0
    drawn = sorted((tmp_path / "plots").glob("*.svg"))
    assert len(drawn) >= 5
    assert {f"plots/{path.name}" for path in drawn} <= set(out.split())
    for path in drawn:
        assert path.name.startswith("simulated-")
        root = ET.fromstring(path.read_bytes())
        words = [element.text for element in root.iter() if element.text]
        assert "SIMULATED PARTIAL" in words
        assert root.attrib["aria-label"]
        assert root.attrib["width"].isdigit()


@pytest.mark.parametrize("asked", ["doc", "", "html,doc"])
def test_a_format_that_does_not_exist_is_refused_with_those_that_do(bench, tmp_path, asked):
    store(tmp_path / "results", "one", clouds=TWO, prompts=8)
    code, out, err = bench("one", "--format", asked)
    assert (code, out) == (2, "")
    assert f"one or more of {', '.join(formats.names())}" in " ".join(err.split())
    assert {"html", "json", "md"} <= set(formats.names())


def test_a_folder_that_cannot_be_written_is_told_with_the_next_step(bench, tmp_path):
    store(tmp_path / "results", "one", clouds=TWO, prompts=8)
    (tmp_path / "file").write_text("")
    code, _, err = bench("one", "--format", "json", "--out", "file", "--by", "none")
    assert code == 3
    assert "cannot write" in err
    assert "--out DIR" in err


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (lambda rows: rows.iloc[:0], "nothing was measured"),  # a run that ended before its first reply
        (lambda rows: rows[rows["target"] == "bedrock"], "nothing was measured for anthropic"),
        (
            lambda rows: rows.assign(spoiled=True),
            "24 spoiled",
        ),  # twelve prompts at two targets, all of them while we were slow
        (lambda rows: rows.assign(ttft_ms=None, ttft_due_ms=None, first_token_ns=None), "nothing was streamed"),
    ],
)
def test_a_run_without_what_a_chart_needs_still_makes_a_report(bench, tmp_path, kept, said):
    run = store(tmp_path / "results", "bare", clouds=TWO, prompts=12, change=kept)
    assert bench("bare", "--format", "html,md,json", "--plots", "plots")[0] == 0
    page = (run / "simulated-report.html").read_text()
    assert said in page.lower()
