"""What a terminal is told: of pipes that close, of narrow windows, of damaged runs, and of all mistakes in one go."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import ConfigError
from bench.workload import load_workload
from tests.unit.stored_example import store

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "docs" / "example"

GOOD = """\
version: 1
name: small
dataset:
  type: inline
  items:
    - {id: one, question: "How many?", expected: {target: "30"}}
    - {id: two, question: "How much?", expected: {target: "31"}}
messages:
  - {role: system, content: "Answer."}
  - {role: user, content: "{{ question }}"}
generation: {max_tokens: 64, stream: true}
load:
  pattern: concurrent
  stages: [{concurrency: 1, requests: 2}]
  timeout: 5s
scoring:
  scorers:
    - {name: answer, type: exact}
"""
TARGETS = """\
version: 1
targets:
  - {id: a, model: claude-sonnet-5-5, provider: anthropic, auth: {env: A_KEY_THAT_NOBODY_HAS_SET_ANYWHERE}}
  - {id: b, model: claude-sonnet-5-5, provider: foundry, resource: r, auth: {env: ANOTHER_KEY_THAT_NOBODY_HAS_SET}}
"""


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


# ------------------------------------------------------------------ a pipe that closes


def into_a_closed_pipe(*arguments: str, errors_too: bool = False) -> tuple[int, str]:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as closed:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments], cwd=ROOT, stdout=closed, check=False, text=True,
            stderr=closed if errors_too else subprocess.PIPE,
        )  # fmt: skip
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("arguments", [
    ("workload", "schema"),  # more than a buffer holds: the pipe is found closed while the verb prints
    ("workload", "show", "rag", "--item", "nowhere"),
    ("targets", "--targets", "targets.yaml"),  # less: it is found closed at the end
    ("--version",),
])  # fmt: skip
def test_a_closed_pipe_ends_every_verb_quietly_and_with_one_code(arguments):
    code, err = into_a_closed_pipe(*arguments)
    if "nowhere" in arguments:  # a mistake is told on the other stream, with its own code
        assert (code, "nowhere" in err) == (2, True)
    else:
        assert (code, err) == (141, "")


def test_a_mistake_that_nobody_reads_is_no_verdict():
    assert into_a_closed_pipe("workload", "show", "nowhere", errors_too=True)[0] == 141


# ------------------------------------------------------------------ narrow windows


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_targets_fold_by_word_and_go_on_further_in(bench, tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    (tmp_path / "targets.yaml").write_text(TARGETS)
    _, out, _ = bench("targets", "--only", "a,b")
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    assert "    a: auth.env: got A_KEY_THAT_NOBODY_HAS_SET_ANYWHERE, which is not set; want export" in " ".join(
        line if line.startswith("    a:") else line.strip() for line in lines
    )
    assert [line for line in lines if line.startswith(" " * 8)] != [] or columns == 120


def test_a_row_of_nothing_is_one_dash_and_a_figure_stays_with_its_name():
    from bench.commands.grid import grid

    head, rows = ("design", "$ at most", "TTFT p50"), [("now", "–", "–"), ("over a week", "1,234.50", "± 4.6 %")]
    assert grid(head, rows, 40) == [
        "design       $ at most  TTFT p50", "now                  –         –", "over a week   1,234.50   ± 4.6 %"
    ]  # fmt: skip
    long = ("over a week and some days more than that", "1,234.50", "± 4.6 %")
    # 40 for the name and the colon; "$ at most 1,234.50," does not fit beside it, nor is it broken
    assert grid(head, [rows[0], long], 44) == [
        "now: –", "over a week and some days more than that:", "  $ at most 1,234.50, TTFT p50 ± 4.6 %"
    ]  # fmt: skip


def test_workloads_stand_by_name(bench, tmp_path):
    for name in ("small-order", "small", "large"):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("name: small", f"name: {name}"))
    _, out, _ = bench("workload", "list", ".")
    assert [line.split(":")[0] for line in out.splitlines() if line[0] != " "] == ["large", "small", "small-order"]


# ------------------------------------------------------------------ damaged runs


@pytest.fixture(scope="module")
def month(tmp_path_factory) -> Path:
    """Three nights: one whole, one with half a table, one with half a manifest."""
    results = tmp_path_factory.mktemp("month") / "results"
    for day, name in enumerate(("whole", "half", "headless")):
        store(results, name, day, prompts=12, seed=day)
    cut(next(results.glob("*/run=half/requests.parquet")))
    cut(next(results.glob("*/run=headless/manifest.json")))
    return results


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_night_does_not_stop_a_baseline_and_is_named(month, bench, tmp_path):
    code, out, err = bench("baseline", "set", "b.json", month, "--author", "N")
    assert code == 0
    assert "1 night, 2026-11-21" in out
    told = err.splitlines()
    assert len(told) == 2
    for line, name, file in zip(told, ("half", "headless"), ("requests.parquet", "manifest.json"), strict=True):
        assert line.startswith(f"Left out: {name}: ")
        assert f"run={name}/{file}: cannot read: " in line
        assert line.endswith("; the run is damaged: restore its folder from a copy")


def test_a_baseline_of_damaged_nights_alone_is_none(month, bench, tmp_path):
    code, _, err = bench("baseline", "set", "b.json", "half", "headless", "--author", "N", "--out", month)
    assert code == 3
    assert "none of 2 runs can be read" in err
    assert bench("baseline", "set", "b.json", "half", "--author", "N", "--out", month)[0] == 3
    assert not Path("b.json").exists()


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    run = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("half") / "run=half")
    cut(run / "requests.parquet")
    return run


@pytest.mark.parametrize("verb", [("compare",), ("compare", "--json"), ("report",), ("gate",),
                                  ("price", "run")])  # fmt: skip
def test_half_a_table_is_told_with_its_file_and_the_next_step(half, bench, verb):
    run = half
    words = 2 if verb[0] == "price" else 1
    code, out, err = bench(*verb[:words], run, *verb[words:])
    assert (code, out) == (3, "")
    assert f"{run}/requests.parquet: cannot read: " in err
    assert err.endswith("the run is damaged: restore its folder from a copy\n")


def test_among_several_runs_half_a_table_is_left_out(month, bench):
    code, out, err = bench("compare", "whole", "half", "--out", month)
    assert code == 0
    assert "Left out: half: " in err
    assert "restore its folder" in err
    assert out


@pytest.mark.parametrize("manifest", ["[]", '{"schema_version": "two"}'])
def test_a_manifest_of_something_else_is_no_newer_one(bench, tmp_path, manifest):
    (tmp_path / "run=x").mkdir()
    (tmp_path / "run=x" / "manifest.json").write_text(manifest)
    code, _, err = bench("compare", "run=x")
    assert code == 3
    assert "manifest.json: not what a run writes\nthe run is damaged" in err


def test_a_table_that_is_damaged_inside_is_told_in_one_line(bench, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "run=x")
    path = tmp_path / "run=x" / "requests.parquet"
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 2900 + path.read_bytes()[3000:])
    code, _, err = bench("compare", "run=x")
    assert code == 3
    assert err.splitlines()[-2].startswith("run=x/requests.parquet: cannot read: ")


# ------------------------------------------------------------------ all mistakes in one go


def mistakes(path: Path) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as raised:
        load_workload(path)
    return [(int(one.where.rpartition(":")[2]), one.path) for one in raised.value.problems]


def test_mistakes_of_form_of_meaning_and_of_the_data_come_together(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        GOOD.replace("{id: one,", "{id: one, response_format: 5,")
        .replace("{id: two,", "{id: two, metadata: 7,")
        .replace('"Answer."', '"Answer {{ "')
        .replace("{{ question }}", "{{ qestion }}")
        .replace("max_tokens: 64", "max_tokens: 0")
        .replace("concurrency: 1", "rate: 1")
        .replace("timeout: 5s", "timeout: 5")
        .replace("scoring:", "scoring:\n  mode: separate")
        .replace("type: exact}", "type: exact, bogus: 1}\n    - {name: second, type: exct}\n  pass: [{metric: third}]")
        + "tools: {file: nowhere.json}\nslo: {ttft: {p95: 3}}\n"
    )
    assert mistakes(path) == [
        (3, "dataset"),  # item one
        (3, "dataset"),  # item two
        (9, "messages[0].content"),
        (10, "messages[1].content"),
        (11, "generation.max_tokens"),
        (14, "load.stages[0]"),
        (15, "load.timeout"),
        (17, "scoring.mode"),
        (19, "scoring.scorers[0].bogus"),
        (20, "scoring.scorers[1].type"),
        (21, "scoring.pass[0].metric"),
        (21, "scoring.pass[0]"),
        (22, "tools.file"),
        (23, "slo.ttft.p95"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # a stage without its concurrency is told by the key that is misspelt, not once more
        (("concurrency: 1", "concurency: 1"), [(14, "load.stages[0].concurency")]),
        # nothing is known of the load, so nothing is said of its stages
        (("pattern: concurrent", "pattern: concurent"), [(13, "load.pattern")]),
        # the names of the scorers are not known, so no bar is told that it names none of them
        (("name: answer,", "name: [],"), [(18, "scoring.scorers[0].name")]),
        # which items are kept is not known, so none of them is judged
        (("  type: inline", "  type: inline\n  filtr: x"), [(5, "dataset.filtr")]),
        (("type: inline", "type: generator\n  generator: nope\n  seed: 1"), [(5, "dataset.generator")]),
        (("type: inline", "type: generator\n  generator: calderholt.rag\n  seed: 1\n  params: {bogus: 1}"),
         [(7, "dataset.params")]),
        (("type: inline", "type: trace\n  path: x"), [(4, "dataset.type")]),
    ],
)  # fmt: skip
def test_what_only_follows_from_another_mistake_is_not_told(tmp_path, change, told):
    path = tmp_path / "small.yaml"
    text = GOOD + "  pass: [{metric: answer, min: 0.5}]\n"
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    assert mistakes(path) == told


def test_a_limit_that_is_malformed_is_still_a_limit_to_look_for(tmp_path):
    path = tmp_path / "small.yaml"
    load = "load:\n  pattern: sweep\n  sweep: {over: rate, until: slo}\n"
    path.write_text(re.sub(r"(?s)load:.*", load, GOOD) + "slo: {ttft: {p95: 3}}\n")
    assert mistakes(path) == [(15, "slo.ttft.p95")]  # and not that there is no slo
    path.write_text(re.sub(r"(?s)load:.*", load, GOOD))
    assert mistakes(path) == [(14, "load.sweep.until")]


def test_an_expression_that_does_not_suit_the_items_is_told(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(GOOD.replace("{{ question }}", "{{ question + 1 }}"))
    assert mistakes(path) == [(10, "messages[1].content")]
    path.write_text(GOOD.replace("type: inline", "type: inline\n  filter: question > 3"))
    assert mistakes(path) == [(5, "dataset.filter")]


def test_files_beside_the_workload_that_hold_something_else_are_told(tmp_path):
    path = tmp_path / "small.yaml"
    (tmp_path / "tools.json").write_text("{")
    (tmp_path / "words.txt").write_bytes(b"one\n\xff")
    path.write_text(GOOD.replace('"Answer."', "{file: words.txt}") + "tools: {file: tools.json}\n")
    with pytest.raises(ConfigError) as raised:
        load_workload(path)
    told = [str(one) for one in raised.value.problems]
    assert told[0].startswith(f"{path}:19: tools.file: got tools.json (")
    assert told[1:] == [f"{tmp_path}/words.txt:2: got the byte 0xff; want UTF-8 text"]


def test_a_field_of_several_lines_is_one_field(tmp_path):
    (tmp_path / "items.csv").write_text('id,question\none,"How\nmany?"\n')
    (tmp_path / "small.yaml").write_text(
        GOOD.replace("type: inline", "type: file\n  path: items.csv").replace("  items:\n", "")
        .replace('    - {id: one, question: "How many?", expected: {target: "30"}}\n', "")
        .replace('    - {id: two, question: "How much?", expected: {target: "31"}}\n', "")
    )  # fmt: skip
    assert load_workload(tmp_path / "small.yaml").cases[0].messages[1]["content"] == "How\nmany?"


def test_mistakes_in_the_workload_and_in_the_targets_come_together(bench, tmp_path):
    (tmp_path / "small.yaml").write_text(GOOD.replace("timeout: 5s", "timeout: 5"))
    (tmp_path / "targets.yaml").write_text(TARGETS.replace("provider: foundry", "provider: foundri"))
    code, _, err = bench("run", "small.yaml", "--simulate")
    assert code == 2
    assert [line.split(": ")[0] for line in err.splitlines()] == ["small.yaml:15", "targets.yaml:4"]


# ------------------------------------------------------------------ things that are not what they should be


def test_a_baseline_that_is_no_target_is_told_before_anything_is_sent(bench, tmp_path):
    (tmp_path / "small.yaml").write_text(GOOD)
    (tmp_path / "targets.yaml").write_text(TARGETS.replace("id: a,", "id: anthropic,"))
    code, _, err = bench("run", "small.yaml", "--simulate", "--baseline", "antropic")
    assert (code, err) == (2, "command line: --baseline: got antropic; want anthropic\n")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "workloads"], 2, "workloads: cannot be read: Is a directory; want a file in it, e.g. workloads/small.yaml"),
        (["run", "small"], 2, "small: no such file; perhaps workloads/small.yaml"),
        (["run", "workloads/smal.yaml"], 2, "No such file or directory; perhaps workloads/small.yaml"),
        (["run", "workloads/small.yaml", "--targets", "newer.yaml"], 2,
         "newer.yaml:1: version: got 2; want 1, the newest that this bench reads: pip install --upgrade bench"),
        (["targets", "--only", "aa,nobody"], 2, '--only: got "aa"; want a\ntargets.yaml: --only: got "nobody"; want one of a, b'),
        (["baseline", "set", "/proc/nowhere/b.json", EXAMPLE, "--author", "N"], 3, "/proc/nowhere/b.json: cannot write"),
        (["compare", "empty"], 3, "empty: not a run"),
        (["compare", "nightly-*"], 3, "no run matches 'nightly-*'"),
        (["gate", "night", "--history", "nights"], 3, "no run 'night' in nights\nperhaps simulated-night"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_told_with_what_was_probably_meant(bench, tmp_path, arguments, code, said):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "nights" / "date=2026-11-21" / "run=simulated-night").mkdir(parents=True)
    (tmp_path / "workloads" / "small.yaml").write_text(GOOD)
    (tmp_path / "targets.yaml").write_text(TARGETS)
    (tmp_path / "newer.yaml").write_text(TARGETS.replace("version: 1", "version: 2"))
    got = bench(*arguments)
    assert got[0] == code
    assert said in got[2]
