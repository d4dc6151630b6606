"""`bench workload list`, `show`, `check` and `render`, as a user meets them."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from bench import claims, suites
from bench.cli import main
from bench.errors import ConfigError
from bench.record import Case
from bench.workload import load_workload, quick

ROOT = Path(__file__).parents[2]

SMALL = """\
version: 1
name: small
title: Which colour is it, of those that a very patient person might name on a long afternoon
dataset:
  type: inline
  items:
    - {id: a, question: "the sky", expected: {target: blue}, answers: {right: [blue], wrong: [red]}}
    - {id: b, question: "the grass", expected: {target: green}, answers: {right: [green, "Green."]}}
shape: {input_tokens: {p50: %s}, output_tokens: {p50: 1}, turns: {p50: 1}, shared_prefix_tokens: 4, reusable_prefix: 0.5}
messages: [{role: system, content: "Colour only."}, {role: user, content: "{{ question }}"}]
load: {pattern: concurrent, stages: [{concurrency: 2, requests: 4}]}
scoring: {scorers: [{name: colour, type: exact, required: true}]}
"""

TARGETS = """\
version: 1
targets:
  - {id: direct, model: claude-sonnet-5-5, provider: anthropic}
  - {id: gateway, model: claude-sonnet-5-5, provider: openai-compatible, base_url: "http://127.0.0.1:9/v1", model_id: m}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "small.yaml").write_text(
        SMALL % 5
    )  # two words and a full stop, and two words: 5 tokens each
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["workload", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_tells_every_workload_and_those_that_cannot_be_read(place, capsys):
    (place / "workloads" / "broken.yaml").write_text("version: 1\n")
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert "small: Which colour is it" in out
    assert "2 cases; input 5 tokens at p50, reference reply 1 tokens at p50" in out
    assert "scorers: colour (exact)" in out
    assert "broken: workloads/broken.yaml\n  cannot be read: workloads/broken.yaml:1" in out
    rows = json.loads(said(capsys, "list", "--json")[1])
    assert [row["name"] for row in rows] == ["broken", "small"]
    assert rows[1]["digest"] == load_workload(place / "workloads" / "small.yaml").digest


@pytest.mark.parametrize("columns", [30, 48, 200])
@pytest.mark.parametrize("arguments", [["list"], ["check", "small"]])
def test_no_sentence_is_wider_than_the_terminal(place, capsys, monkeypatch, columns, arguments):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = said(capsys, *arguments)
    sentences = out.split("load:")[0].split("\n")
    assert max(map(len, sentences)) <= columns
    assert len(sentences) > 3


def test_an_empty_folder_is_said(place, capsys):
    assert said(capsys, "list", "nowhere")[0] == 2


def test_show_finds_a_workload_by_name_and_by_path(place, capsys):
    by_name, by_path = said(capsys, "show", "small"), said(capsys, "show", "workloads/small.yaml")
    assert by_name == by_path
    code, _, err = said(capsys, "show", "smal")
    assert code == 2
    assert "want a workload file, or one of small" in err


def test_show_prints_the_prompt_and_what_is_expected(place, capsys):
    _, out, _ = said(capsys, "show", "small", "--item", "b")
    assert out == '── system\nColour only.\n\n── user\nthe grass\n\n── expected\n{\n "target": "green"\n}\n'


def test_show_prints_the_body_as_each_target_is_sent_it(place, capsys):
    (place / "targets.yaml").write_text(TARGETS)
    code, out, err = said(capsys, "show", "small", "--item", "b", "--target", "direct")
    assert code == 0, err
    assert json.loads(out)["system"] == "Colour only."
    assert "salt" in err
    body = json.loads(said(capsys, "show", "small", "--item", "b", "--target", "gateway")[1])
    assert body["messages"][0] == {"role": "system", "content": "Colour only."}
    assert said(capsys, "show", "small", "--target", "direct")[0] == 2
    assert said(capsys, "show", "small", "--item", "b", "--target", "nobody")[0] == 2
    assert said(capsys, "show", "small", "--item", "z")[0] == 2


def test_check_measures_every_claim_and_tries_the_gold(place, capsys):
    code, out, _ = said(capsys, "check", "workloads/small.yaml")
    assert code == 0
    assert "2 cases, 1 scorers" in out
    assert "input_tokens p50: claimed 5, measured 5" in out  # two words and a full stop, and two words
    assert "shared_prefix_tokens: claimed 4, measured 4" in out  # "Colour only." and "the "
    assert "reusable_prefix: claimed 0.5, cannot be measured before a run" in out
    assert "gold: 3 of 3 reference replies score 1" in out
    assert "a run with" not in out  # no targets.yaml


def test_a_claim_that_does_not_hold_is_a_verdict_against(place, capsys):
    (place / "workloads" / "small.yaml").write_text(SMALL % 9)
    code, out, _ = said(capsys, "check", "small")
    assert code == 1
    assert "its own claims do not hold" in out
    assert "input_tokens p50: claimed 9, measured 5: OFF" in out


def test_gold_that_the_scorer_refuses_is_a_verdict_against(place, capsys):
    path = place / "workloads" / "small.yaml"
    path.write_text((SMALL % 5).replace("right: [blue]", "right: [azure]"))
    code, out, _ = said(capsys, "check", "small")
    assert code == 1
    assert "gold: 2 of 3 reference replies score 1" in out
    assert "a: colour: said 'azure'" in out


def test_check_prices_a_run_for_each_target(place, capsys):
    (place / "targets.yaml").write_text(TARGETS)
    _, out, _ = said(capsys, "check", "small")
    assert "a run with targets.yaml" in out
    assert "direct: 4 requests, " in out
    assert "gateway: 4 requests" in out
    assert "unknown" in out  # nobody states a gateway's price


def test_several_files_are_checked_and_the_worst_decides(place, capsys):
    (place / "workloads" / "off.yaml").write_text(SMALL % 9)
    (place / "workloads" / "broken.yaml").write_text("version: 1\n")
    code, out, err = said(capsys, "check", "small", "off", "broken")
    assert code == 2
    assert "small.yaml: 2 cases" in out
    assert "off.yaml: 2 cases" in out
    assert "workloads/broken.yaml:1" in err
    assert said(capsys, "check", "small", "off")[0] == 1
    assert said(capsys, "check", "small", "small")[0] == 0


def test_tokens_of_parts_are_counted():
    parts = [{"type": "text", "text": "the sky"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert claims.input_tokens(Case("a", ({"role": "user", "content": parts},))) == 2.0


@pytest.mark.parametrize("path", suites.files(ROOT / "workloads"), ids=lambda path: path.stem)
def test_a_shipped_workload_keeps_its_claims(path):
    """Every length that it states, and its gold in a stratified sixth; each suite's own gates score the gold of every item."""
    workload = load_workload(path)
    assert [claim for claim in claims.claims(workload) if claim.holds is False] == []
    oracle = claims.oracle(quick(workload))
    assert oracle is not None
    assert oracle.replies >= len(quick(workload).cases)
    assert oracle.failed == ()


def test_a_private_copy_runs_and_is_another_test(place, capsys):
    shutil.copytree(ROOT / "workloads", "theirs")
    code, out, _ = said(capsys, "render", "theirs/classify.yaml", "--seed", "77", "--split", "private", "-o", "mine")
    assert code == 0
    data = Path("mine/data/classify-private.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest() in out
    public, private = load_workload(Path("theirs/classify.yaml")), load_workload(Path("mine/classify-private.yaml"))
    assert private.digest != public.digest
    assert len(private.cases) == len(public.cases) == 600
    assert {c.id: c.expected for c in private.cases} == {c.id: c.expected for c in public.cases}
    dataset = private.spec.dataset
    assert (dataset.seed, dataset.split) == (77, "private")
    assert dataset.sha256 == hashlib.sha256(data).hexdigest()
    assert private.load == public.load
    assert private.params == public.params
    assert "# open loop: a late server" in Path("mine/classify-private.yaml").read_text()  # comments stay
    again = said(capsys, "render", "theirs/classify.yaml", "--seed", "78", "-o", "mine")
    assert again[0] == 3
    assert "there already" in again[2]


def test_what_cannot_be_made_anew_is_refused(place):
    with pytest.raises(ConfigError, match="only what is made from a seed"):
        suites.render(place / "workloads" / "small.yaml", 7, place / "out")
    with pytest.raises(ConfigError, match="another seed than the published one"):
        suites.render(ROOT / "workloads/classify.yaml", 20260101, place / "out")
    assert not (place / "out").exists()
