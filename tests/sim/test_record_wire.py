"""Recording a door's bytes as a golden: from the look-alikes, clean, and read back by the suite."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import dialects, providers
from bench.testing import conformance
from bench.testing.golden import GOLDENS, load_golden
from bench.testing.record import main
from bench.testing.wires import cut_short, says

ROOT = Path(__file__).parent.parent.parent
TARGETS = ROOT / "targets.yaml"


def first_of(door: str) -> tuple[str, str]:
    """Id and dialect of the shipped target of that door."""
    from bench.targets import load_targets

    target = next(t for t in load_targets(TARGETS) if t.provider == door)
    return target.id, target.dialect


@pytest.mark.parametrize("plain", [False, True], ids=["stream", "plain"])
@pytest.mark.parametrize("door", ["anthropic", "bedrock", "openai-compatible"])
def test_a_look_alikes_reply_becomes_a_golden_that_the_suite_reads(door: str, plain: bool, tmp_path: Path) -> None:
    target, dialect = first_of(door)
    out = tmp_path / "recorded.golden"
    arguments = [target, "--targets", str(TARGETS), "--simulate", "-o", str(out), *(["--plain"] if plain else [])]
    assert main(arguments) == 0
    golden = load_golden(out)
    assert golden.kind == "look-alike"
    assert golden.door == door
    assert golden.source.startswith(f"recorded through bench's own wire from {door}")
    assert golden.covers == (("plain",) if plain else ("stream",))
    assert golden.expect["text"]
    assert says(dialects.get(dialect), golden, providers.get(door).fault) is None
    if not plain:
        assert golden.expect["content_events"]
        assert cut_short(dialects.get(dialect), golden) is None
    text = out.read_text()
    assert "simulated-" not in text  # the look-alikes' invented keys
    assert "AKIDEXAMPLE" not in text


def test_a_recorded_golden_takes_its_place_in_the_suite(tmp_path: Path) -> None:
    target, _ = first_of("anthropic")
    shutil.copytree(GOLDENS / "wires/messages", tmp_path / "wires/mine")
    data = tmp_path / "conformance.yaml"
    data.write_text((GOLDENS / "doors/anthropic.yaml").read_text().replace('wire: "messages"', 'wire: "mine"'))
    assert main([target, "--targets", str(TARGETS), "--simulate", "-o", str(tmp_path / "wires/mine/real.golden")]) == 0
    assert conformance(providers.get("anthropic"), data).passed
    golden = (tmp_path / "wires/mine/real.golden").read_bytes()
    (tmp_path / "wires/worse").mkdir()
    for path in (tmp_path / "wires/mine").iterdir():
        shutil.copy(path, tmp_path / "wires/worse")
    (tmp_path / "wires/worse/real.golden").write_bytes(golden.replace(b"complete: true", b"complete: false"))
    data.write_text(data.read_text().replace('wire: "mine"', 'wire: "worse"'))
    assert {r.check for r in conformance(providers.get("anthropic"), data).failures} >= {"stream"}


def test_a_request_that_may_cost_too_much_is_not_sent(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    target, _ = first_of("anthropic")
    code = main([target, "--targets", str(TARGETS), "--max-usd", "0.0001", "-o", str(tmp_path / "x.golden")])
    assert code == 3
    assert "may cost up to" in capsys.readouterr().err
    assert not (tmp_path / "x.golden").exists()


def test_a_target_without_a_key_is_told_and_nothing_is_written(tmp_path: Path, capsys) -> None:
    target, _ = first_of("anthropic")
    assert main([target, "--targets", str(TARGETS), "-o", str(tmp_path / "x.golden")]) == 3
    assert "ANTHROPIC_API_KEY" in capsys.readouterr().err


def test_the_command_says_what_it_wants() -> None:
    command = [sys.executable, "-m", "bench.testing.record", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--simulate" in done.stdout
