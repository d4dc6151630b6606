"""`bench plan`: the designs it offers, what they cost, and what it refuses."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from bench.campaigns import history
from bench.cli import main
from bench.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent

TARGETS = """\
version: 1
targets:
  - {id: a, model: claude-sonnet-5-5, provider: anthropic, price: {input: 1, output: 10}}
  - {id: b, model: claude-sonnet-5-5, provider: anthropic, price: {input: 1, output: 10}}
"""
WORKLOAD = """\
version: 1
name: small
title: A question
dataset:
  type: inline
  items:
    - {id: one, question: "How many days?", expected: {gold: [{type: number, value: "30", unit: days}], answerable: true}}
messages:
  - {role: user, content: "{{ question }}"}
generation: {max_tokens: 100, stream: true}
load: {pattern: poisson, stages: [{rate: 4, requests: 400}], warmup: {requests: 0}}
scoring:
  scorers:
    - {name: answer, type: facts, target: gold, required: true}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "targets.yaml").write_text(TARGETS)
    (tmp_path / "small.yaml").write_text(WORKLOAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["plan", "small.yaml", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def by_name(answer: dict) -> dict[str, dict]:
    return {offer["name"]: offer for offer in answer["designs"]}


def test_a_plan_needs_no_key_and_prices_every_design(place, capsys) -> None:
    answer = told(capsys, "--detect", "15%")
    offers = by_name(answer)
    assert list(offers) == ["as written", "one burst now", "over 24 h", "over 7 d"]
    written = offers["as written"]
    assert written["spread"] == {"requests": 400, "blocks": 48, "neighbours": 400 / 48, "hours": 1, "days": 1}
    # two targets, 400 requests, 100 tokens of output at 10 USD a million: 0.80; and four tokens of input, six at the most
    assert Decimal(written["usd_most"]) == Decimal("0.8") + 2 * 400 * 6 * Decimal("1e-6")
    week = offers["over 7 d"]
    assert week["smallest_ratio"] <= 1.15
    assert Decimal(week["usd_most"]) == Decimal(written["usd_most"]) / 400 * week["spread"]["requests"]
    assert re.search(r"--requests \d+ --blocks \d+ --over 7d --campaign NAME$", week["command"])


def test_a_burst_is_foretold_to_miss_the_week(place, capsys) -> None:
    answer = told(capsys)
    written = by_name(answer)["as written"]
    assert written["coverage"] < 0.7
    assert written["printed_half_width"] < written["half_widths"]["ttft_p50_ms"]
    assert any("not independent of its hour" in note for note in answer["notes"])


def test_a_claim_about_a_p99_is_told_how_many_requests_bound_it(place, capsys) -> None:
    answer = told(capsys, "--metric", "ttft_p99", "--detect", "50%")
    assert by_name(answer)["over 7 d"]["runs"] >= 96
    assert by_name(answer)["as written"]["half_widths"]["ttft_p99_ms"] is None
    assert any(
        re.search(r"no upper end below this many requests per target: .* in one run; \d+ in 96 runs", n)
        for n in answer["notes"]
    )


def test_what_the_money_buys_stands_beside_what_is_wanted(place, capsys) -> None:
    answer = told(capsys, "--max-usd", "2")
    offers = by_name(answer)
    assert Decimal(offers["$2, 7 d"]["usd_most"]) <= 2
    assert "above $2" in offers["over 7 d"]["why"]
    assert offers["$2, 7 d"]["smallest_ratio"] > offers["over 7 d"]["smallest_ratio"]


def test_assumptions_are_printed_with_where_they_come_from(place, capsys) -> None:
    assert main(["plan", "small.yaml", "--assume", "p50=640ms,rho=0.3"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"rho=0\.3 +as you say", out)
    assert re.search(r"hour=0\.5 +no source", out)
    assert "Nothing is sent" in out.replace("\n", " ")


@pytest.mark.parametrize("columns", [60, 100])
def test_a_plan_is_no_wider_than_the_terminal_but_a_command_stands_in_one_line(
    place, capsys, monkeypatch, columns
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["plan", "small.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if ": bench run " in line]
    assert [line.endswith(" --campaign NAME") for line in commands] == [True]
    assert [line for line in lines if len(line) > columns and line not in commands] == []
    said = re.sub(r"\s+", " ", " ".join(lines))
    for whole in ("two targets with a power of 0.8. Nothing is sent.", "adjusted for all that is compared.",
                  "rho=0.072 blocks' part of that variance, 0.0244 / 0.337; long slow spells make it larger"):  # fmt: skip
        assert whole in said


def test_more_alike_requests_ask_for_more(place, capsys) -> None:
    plain = by_name(told(capsys, "--assume", "rho=0.02"))["over 7 d"]["spread"]["requests"]
    assert by_name(told(capsys, "--assume", "rho=0.08"))["over 7 d"]["spread"]["requests"] > plain


def test_a_stored_run_is_learnt_from(place, capsys) -> None:
    answer = told(capsys, "--from", str(ROOT / "docs" / "example"))
    assert answer["source"] == "1 stored run, SIMULATED: they say nothing about any vendor"
    assert {f["target"] for f in answer["figures"]} == {
        "anthropic",
        "bedrock-us-east-1",
        "vertex-global",
        "foundry",
        "gateway",
    }
    assert {f["metric"] for f in answer["figures"]} >= {"ttft_p50_ms", "ttft_p99_ms", "e2e_p50_ms"}
    assert all(0 <= f["day"] <= f["hour"] <= f["rho"] <= 1 for f in answer["figures"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p50=800", "p50"),
        ("sigma=-1", "sigma"),
        ("rho=1.5", "up to 0.99"),
        ("speed=3", "got speed"),
        ("hour=0.2,day=0.5", "at most hour"),
        ("sigma=nan", "sigma"),
        ("sigma", "got nothing"),
    ],
)
def test_an_assumption_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        history.assumptions(text)


def test_all_wrong_assumptions_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        history.assumptions("p50=1,sigma=x,foo=2")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metric", "ok_share"], "--metric"),
        (["--detect", "no"], "--detect"),
        (["--max-usd", "-1"], "--max-usd"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(place, capsys, arguments: list[str], said: str) -> None:
    assert main(["plan", "small.yaml", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_plan_without_a_workload_says_what_is_missing(place, capsys) -> None:
    assert main(["plan"]) == 2
    assert "WORKLOAD" in capsys.readouterr().err
