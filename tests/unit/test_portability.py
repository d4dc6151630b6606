"""The portability matrix: that it is told by the code, and that it can be read at any width."""

import dataclasses
import json
import re
from datetime import date
from typing import Any

import pytest

from bench import dialects, portability, providers
from bench.cli import main
from bench.commands import matrix as told
from bench.errors import ConfigError, Problem
from bench.portability import FEATURES, Column, matrix
from bench.record import Params

TODAY = date(2026, 11, 22)
DOORS = tuple(providers.PROVIDERS)
ALL = matrix(doors=DOORS)
WIDTHS = (60, 80, 100, 120)


def state(door: str, dialect: str, feature: str, of: portability.Matrix = ALL) -> str:
    return next(of.cells[feature, c].state for c in of.columns if (c.door, c.dialect) == (door, dialect))


KNOWN = [
    # the vendors' references, 2026-11: Claude has no seed, Responses no stop, Converse no address of an image
    ("anthropic", "messages", "seed", "absent"),
    ("openai", "chat", "seed", "pass"),
    ("openai", "responses", "stop sequences", "absent"),
    ("openai", "chat", "top_k", "absent"),
    ("openai", "chat", "cache breakpoints", "degraded"),
    ("bedrock", "converse", "cache for an hour", "pass"),
    ("bedrock", "converse", "images by address", "absent"),
    ("bedrock", "converse", "reasoning counted", "absent"),
    ("bedrock-mantle", "messages", "service tier", "absent"),
    ("gemini-vertex", "gemini", "tool arguments streamed", "absent"),
    ("anthropic", "messages", "tool arguments streamed", "pass"),
    ("gemini-vertex", "gemini", "cache writes counted", "absent"),
    ("openai-compatible", "chat", "cache reads counted", "degraded"),
]


@pytest.mark.parametrize(("door", "dialect", "feature", "want"), KNOWN)
def test_cells_are_what_the_vendors_say(door: str, dialect: str, feature: str, want: str) -> None:
    assert state(door, dialect, feature) == want


def test_every_cell_is_filled_and_everything_but_a_pass_says_why() -> None:
    assert len(ALL.cells) == len(FEATURES) * len(ALL.columns)
    assert {column.door for column in ALL.columns} == set(DOORS)
    for cell in ALL.cells.values():
        assert cell.state in ("pass", "degraded", "absent")
        assert cell.why or cell.state == "pass"


def test_a_dialect_that_refuses_something_more_changes_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = dialects.get("chat")
    monkeypatch.setattr(chat, "unsupported", lambda params: ["seed: gone"] if params.seed is not None else [])
    monkeypatch.setattr(chat, "degraded", lambda params: ["top_p: not sent"] if params.top_p is not None else [])
    changed = matrix(doors=("openai",))
    column = Column("openai", "chat")
    assert changed.cells["seed", column] == portability.Cell("absent", "gone")
    assert changed.cells["top_p", column] == portability.Cell("degraded", "not sent")
    assert changed.cells["cache breakpoints", column].state == "pass"


def test_a_model_brings_what_the_registry_says_of_it() -> None:
    sonnet, haiku = matrix("claude-sonnet-5-5", TODAY, DOORS), matrix("claude-haiku-4-5", TODAY, DOORS)
    for feature in ("temperature", "top_k", "tool forced", "thinking budget"):
        assert state("anthropic", "messages", feature, sonnet) == "absent"
        assert state("anthropic", "messages", feature, haiku) == "pass"
    assert (state("bedrock", "converse", "effort", sonnet), state("bedrock", "converse", "effort", haiku)) == (
        "pass",
        "absent",
    )
    assert "openai" in sonnet.elsewhere
    assert any("always thinks first" in note for note, _ in sonnet.notes)
    assert any("temperature or top_p, not both" in note for note, _ in haiku.notes)
    assert any("listed to end on 2026-10-15, which is past" in note for note, _ in haiku.notes)


@pytest.mark.parametrize(
    ("model", "want"),
    [("gemini-3.5-flash", "gemini"), ("claude-haiku-4-5", "messages"), ("claude-opus-4-1", "messages")],
)
def test_a_door_with_two_publishers_speaks_the_language_of_the_model(model: str, want: str) -> None:
    spoken = {column.dialect for column in matrix(model, doors=("vertex-grpc",)).columns}
    assert spoken == {want}


def test_a_model_nobody_knows_is_a_problem_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="want claude-haiku-4-5"):
        matrix("claude-haiku-45")


class Foreign:
    """A door of another package, of which neither registry nor goldens know anything."""

    name = "foreign"
    dialects = frozenset({"chat"})

    def check(self, target: Any) -> list[Problem]:
        return []

    def refused(self, target: Any, params: Params) -> list[Problem]:
        return [Problem(target.id, "params.seed", "7", "no seed here")] if params.seed is not None else []


def test_a_door_that_nothing_is_known_of_says_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "get", lambda name: Foreign())
    found = matrix(doors=("foreign",))
    column = Column("foreign", "chat")
    assert found.cells["temperature", column].state == "pass"
    assert found.cells["seed", column] == portability.Cell("absent", "no seed here")
    assert found.cells["reasoning counted", column].state == "unknown"
    assert found.cells["tool arguments streamed", column].state == "unknown"
    assert "Unknown (?)" in told.text(found, 80)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("model", [None, "claude-haiku-4-5"])
def test_the_table_fits_the_terminal_and_keeps_every_cell(width: int, model: str | None) -> None:
    found = matrix(model, TODAY, DOORS)
    lines = told.text(found, width).splitlines()
    assert max(map(len, lines)) <= width
    marks = {f.name: "".join(told.MARKS[found.cells[f.name, c].state] for c in found.columns) for f in FEATURES}
    for name, want in marks.items():
        rows = [line[len(name) :].replace(" ", "") for line in lines if re.match(re.escape(name) + r" +[✓~–?] ", line)]
        assert "".join(rows) == want


def test_a_hundred_columns_hold_all_doors_side_by_side() -> None:
    text = told.text(ALL, 100)
    assert sum(line.startswith("seed ") for line in text.splitlines()) == 1


def test_numbers_that_follow_each_other_are_told_as_a_range() -> None:
    assert told._numbers([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"


# ------------------------------------------------------------------------------------------------ the command


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["targets", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("what", [(), ("--models",), ("--features",), ("--features", "--model", "gpt-6-sol")])
def test_every_view_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, what: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = bench(capsys, *what)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= width


def test_doors_are_listed_with_needs_models_ends_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = bench(capsys)
    words = " ".join(out.split())
    for name in DOORS:
        assert any(line.startswith(name) for line in out.splitlines())
    assert "speaks messages, converse" in words
    assert "lacks auth: export ANTHROPIC_API_KEY=..." in words
    assert "ends claude-sonnet-4-5 announced 2026-11-30 [1]" in words
    assert "[1] the table of deprecated models in the anthropic Python SDK 2.12.0, checked 2026-11-21" in words
    assert "preset vllm: http://localhost:8000/v1, key optional" in words


def test_what_is_not_installed_is_told_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.providers import door

    monkeypatch.setattr(door, "installed", lambda package: package != "anthropic")
    _, out, _ = bench(capsys)
    assert "not installed: anthropic is not installed; pip install 'bench[anthropic]'" in " ".join(out.split())


def test_models_are_listed_with_ids_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = bench(capsys, "--models", "--model", "claude-opus-4-1")
    words = " ".join(out.split())
    assert "anthropic claude-opus-4-1-20250805 retired 2026-08-05 [1]" in words
    assert "profile: us, eu" in words
    assert "foundry claude-opus-4-1 retired (day unknown) [1]" in words
    assert "claude-sonnet-5-5" not in out
    _, everything, _ = bench(capsys, "--models")
    for model in portability.registry.models():
        assert f"\n{model}\n" in "\n" + everything


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(bench(capsys, "--features", "--model", "claude-sonnet-5-5", "--json")[1])
    cells = {(c["feature"], c["door"], c["dialect"]): c["state"] for c in found["cells"]}
    assert cells["temperature", "anthropic", "messages"] == "absent"
    assert len(cells) == len(found["features"]) * len(found["columns"])
    doors = json.loads(bench(capsys, "--json")[1])
    assert [row["door"] for row in doors["doors"]][: len(DOORS)] == list(DOORS)
    assert doors["targets"] == []
    (row,) = [
        r for r in json.loads(bench(capsys, "--models", "--json")[1]) if (r["model"], r["door"]) == ("gpt-5", "openai")
    ]
    assert row["ends"][0]["day"] == "2026-12-11"


TARGETS = """\
version: 1
targets:
  - {id: one, model: claude-sonnet-4-5, provider: anthropic, auth: {env: NO_SUCH_KEY}}
  - {id: two, model: qwen3, provider: openai-compatible, preset: vllm, model_id: Qwen/Qwen3-8B}
"""
SAID = """\
one: claude-sonnet-4-5 as claude-sonnet-4-5-20250929 at anthropic, dialect messages
  not ready:
    one: auth.env: got NO_SUCH_KEY, which is not set; want export NO_SUCH_KEY=...
"""


def test_a_file_of_targets_is_told_alone_and_after_the_doors_when_it_lies_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    (tmp_path / "targets.yaml").write_text(TARGETS)
    _, alone, _ = bench(capsys, "--targets", "targets.yaml")
    assert alone.startswith(SAID)
    assert "two: qwen3 as Qwen/Qwen3-8B at openai-compatible (vllm), dialect chat\n  ready\n" in alone
    assert "speaks" not in alone
    assert bench(capsys, "--only", "one")[1].startswith(SAID)
    assert bench(capsys)[1].endswith(f"targets.yaml:\n\n{alone}")
    rows = json.loads(bench(capsys, "--only", "two", "--json")[1])
    assert [(row["id"], row["ready"]) for row in rows] == [("two", True)]


WRONG = [
    (("--features", "--models"), "--models: got it and --features"),
    (("--features", "--targets", "x.yaml"), "--targets: got it and --features"),
    (("--models", "--only", "x"), "--only: got it and --models"),
    (("--model", "gpt-5"), "--model: got gpt-5; want it with --features or --models"),
    (("--models", "--model", "gpt-55"), "--model: got gpt-55"),
    (("--targets", "none.yaml"), "none.yaml"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_flags_that_do_not_go_together_are_told(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = bench(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_features_ask_for_one_thing_each() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)
    for feature in FEATURES:
        assert set(feature.beside) <= set(feature.changes)
        assert set(feature.changes) <= {field.name for field in dataclasses.fields(Params)}
