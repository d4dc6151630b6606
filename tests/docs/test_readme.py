"""The README cannot lie: its commands are known, its picture is drawn from a stored run, its first command is run."""

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bench.cli import main, program
from bench.store import runs
from tests.scripted import load_script

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    (scripts/\S+[^#\n]*?)\s*(?:#.*)?$", README, re.MULTILINE)

picture = load_script("picture")


def test_there_are_commands_in_the_readme() -> None:
    assert "scripts/bench run workloads/rag.yaml --simulate" in COMMANDS
    assert "scripts/test" in COMMANDS
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("command", COMMANDS)
def test_every_script_verb_and_flag_of_the_readme_exists(command: str) -> None:
    script, *words = command.split()
    assert (ROOT / script).exists()
    if script != "scripts/bench":
        return
    verb, *arguments = words
    group = get_command(program()).commands[verb]  # type: ignore[attr-defined]
    under = [word for word in arguments[:1] if word in getattr(group, "commands", {})]
    shown = CliRunner().invoke(program(), [verb, *under, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for flag in [word for word in arguments if word.startswith("--")]:
        assert flag in shown.output, f"{command}: {verb} has no {flag}"
    for path in [word for word in arguments if "/" in word]:
        assert (ROOT / path).exists(), command


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_picture_is_what_the_terminal_shows_of_the_stored_run() -> None:
    assert (ROOT / "docs" / "table.svg").read_text(encoding="utf-8") == picture.picture(), "run scripts/picture.py"


def test_the_picture_fetches_nothing() -> None:
    assert not re.search(r"url\(['\"]?http|<image|@import", (ROOT / "docs" / "table.svg").read_text())


def test_nobody_touched_the_stored_run() -> None:
    assert runs.verify_digests(runs.open_run(picture.EXAMPLE)) == []


def test_the_first_command_works_on_a_sixth_of_the_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code = main(
        [
            "run",
            "workloads/rag.yaml",
            "--simulate",
            "--quick",
            "--request-rate",
            "3",
            "--out",
            str(tmp_path / "results"),
        ]
    )
    out, err = capsys.readouterr()
    assert code in (0, 3), err  # 3 where the machine is too busy to keep the plan, which is then said
    assert "SIMULATED" in out
    run = runs.open_run(runs.find_run("latest", tmp_path / "results"))
    assert run.manifest["complete"] is True
    rows = run.requests
    assert set(rows["target"]) == {"anthropic", "bedrock-us-east-1", "vertex-global", "foundry", "gateway"}
    answered = rows[rows["outcome"] == "ok"]
    assert len(answered) > 0.8 * len(rows)
    assert set(run.scores["scorer"]) == {"answer", "cites", "abstains"}
    assert set(run.scores["value"].dropna()) == {0.0, 1.0}  # the look-alikes answer rightly and wrongly
