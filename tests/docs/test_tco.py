"""The page on money: its commands run as they stand there, and its example files are what the script makes."""

import re
import shlex
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands.reprice import reprice
from bench.record import TABLES
from tests.scripted import load_script

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "tco.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    bench ")]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[1] == "tco"])
def test_every_command_for_total_cost_runs(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(command)[1:]) == 0
    said = capsys.readouterr().out
    assert "best" in said
    if "--json" not in command:
        assert max(map(len, said.splitlines())) <= 100
        for words in ("SIMULATED", "measured:", "stated:", "What moves the answer", "estimated, not measured"):
            assert words in said


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[1] == "price"])
def test_every_command_for_repricing_does_what_the_page_says(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    _, _, run, *more = shlex.split(command)
    on = more[more.index("--on") + 1] if "--on" in more else None
    assert reprice(run, on=on, as_json="--json" in more) == 0
    assert "3.14142" in capsys.readouterr().out  # what the example's requests to Anthropic cost


def test_an_estimate_runs_as_it_stands_there(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    command = next(c for c in COMMANDS if "--estimate" in c)
    assert main([*shlex.split(command)[1:], "--simulate"]) == 0  # no key here
    said = capsys.readouterr().out
    assert "What it rests on:" in said
    assert max(map(len, said.split("\n\n")[1].splitlines())) <= 100


def test_the_demand_is_what_its_script_makes():
    script = load_script("demand")
    assert script.page() == (ROOT / "docs" / "tco" / "demand.csv").read_text(encoding="utf-8")


def test_every_column_the_page_names_is_stored():
    names = {column.name for table in ("requests", "attempts") for column in TABLES[table]}
    said = set(re.findall(r"`(cost_\w+|unpriced_\w+|may_be_\w+|price_book)`", PAGE))
    assert len(said) > 8
    assert said <= names
