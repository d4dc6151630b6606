"""The page on campaigns cannot lie: its commands are run, or at least known, and its formula is the one that is used."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.campaigns import design
from bench.campaigns.design import Figure, Spread
from bench.cli import main, program

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "campaigns.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    scripts/bench (\S[^#\n]*?)\s*(?:#.*)?$", PAGE, re.MULTILINE)
TRIED = COMMANDS[-4:]
PLANS = [command for command in COMMANDS if command.startswith("plan workloads/")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place like the repository's root, whose results are its own."""
    for name in ("workloads", "targets.yaml", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands_on_the_page() -> None:
    assert len(COMMANDS) == 15
    assert len(PLANS) == 5
    assert "--campaign try" in TRIED[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_the_page_exists(command: str) -> None:
    verb, *words = shlex.split(command)
    shown = CliRunner().invoke(program(), [verb, "--help"], env={"COLUMNS": "200"})
    for flag in [word for word in words if word.startswith("--")]:
        assert flag in shown.output, command


@pytest.mark.parametrize("command", PLANS)
def test_every_plan_of_the_page_is_made(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(shlex.split(command)) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "over 7 d" in out
    assert not (folder / "results").exists()


def test_the_campaign_of_the_page_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for command in TRIED:
        code = main(shlex.split(command))
        captured = capsys.readouterr()
        assert code == 0, captured.err
        said.append((captured.out, captured.err))
    assert "Published before the first request: results/campaigns/try/campaign.json" in said[0][1]
    assert "SIMULATED. Campaign try: 2 of 2 blocks done" in said[1][0]
    assert said[2][0].split() == [f"simulated-try-b{n}" for n in (1, 2)]
    assert "Campaign try is over" in said[3][1]


def test_the_formula_and_the_numbers_of_the_page_are_those_of_the_program() -> None:
    assert "1 + (s − 1) rho + (n/H − s) hour + (n/D − n/H) day" in PAGE
    known = Figure("x", 0.5, lambda p: 0.0, 0.3, 0.2, 0.1, 0.0)
    n, s, hours, days = 960, 4, 48, 6
    by_hand = 1 + (s - 1) * 0.3 + (n / hours - s) * 0.2 + (n / days - n / hours) * 0.1
    assert design.effect(Spread(n, 48, s, hours, days), known) == pytest.approx(by_hand)
    assert f"{design.RUNS_OVER_A_WEEK[0]} blocks over at least 7 days. For a p99: {design.RUNS_FOR_P99}." in PAGE
    assert "below 20 blocks" in PAGE
    assert design.MIN_BLOCKS == 20
