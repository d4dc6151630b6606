"""Renderings of a finished table: goldens, one line per case, and what must hold at any width."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bench.metrics import HEADLINE
from bench.report import footnotes, markdown, terminal
from bench.stats.table import build
from bench.stats.types import Cell, Row, Slice, Table

from .stats_example import CLOUDS, COMPLETE, NO_ATTEMPTS, NO_SCORES, example, request, requests

GOLDENS = Path(__file__).parent / "goldens"


@lru_cache(maxsize=1)
def five_targets() -> Table:
    return build(*example())


@lru_cache(maxsize=1)
def one_small_target() -> Table:
    rows = [request("anthropic", seq, spoiled=seq == 7) for seq in range(16)]
    manifest = {"complete": False, "exit_status": 130, "workload": {"name": "smoke"}}
    return build(requests(rows), NO_ATTEMPTS, NO_SCORES, manifest)


def nothing() -> Table:
    return build(requests([]), NO_ATTEMPTS, NO_SCORES, COMPLETE)


def golden(name: str, text: str) -> None:
    """The stored rendering; on a mismatch the new one is left beside it, to look at and to move over."""
    path = GOLDENS / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        got = path.with_name(f".got-{name}")
        got.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} differs; compare with {got.name}")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_terminal_shows_five_targets_at(width):
    golden(f"terminal-{width}.txt", terminal.render(five_targets(), width, color=False))


def test_the_terminal_shows_a_run_that_was_interrupted():
    golden("terminal-partial.txt", terminal.render(one_small_target(), 100, color=False))


def test_markdown_shows_five_targets():
    golden("table.md", markdown.render(five_targets()))


def test_markdown_shows_a_run_that_was_interrupted():
    golden("table-partial.md", markdown.render(one_small_target()))


@pytest.mark.parametrize("width", [30, 40, 59, 60, 72, 79, 80, 95, 100, 120, 140, 200])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width):
    table = five_targets()
    text = terminal.render(table, width, color=False)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_color_adds_only_color():
    for width in (60, 100):
        colored = terminal.render(five_targets(), width, color=True)
        assert "\x1b[" in colored
        plain = re.sub(r"\x1b\[[0-9;]*m", "", colored)
        assert [line.rstrip() for line in plain.splitlines()] == [
            line.rstrip() for line in terminal.render(five_targets(), width, color=False).splitlines()
        ]


def test_color_off_has_no_escape_sequence_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("TERM", "dumb")
    text = terminal.render(five_targets(), 100, color=False)
    assert "\x1b" not in text
    assert text == terminal.render(five_targets(), 100, color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" in terminal.render(five_targets(), 100, color=True)


def test_the_first_ten_lines_name_the_cloud_the_certainty_and_the_price():
    head = "\n".join(terminal.render(five_targets(), 100, color=False).splitlines()[:10])
    assert "fastest first token: vertex" in head
    assert "24 blocks" in head
    assert "cheapest correct answer: anthropic, $0.0" in head


@pytest.mark.parametrize("render", [lambda t: terminal.render(t, 100, color=False), markdown.render])
def test_simulated_and_partial_stand_above_and_below(render):
    both = render(replace(five_targets(), partial="interrupted")).strip().splitlines()
    assert "SIMULATED" in both[0]
    assert any("PARTIAL" in line for line in both[:4])
    assert any("SIMULATED" in line for line in both[-4:])
    assert "PARTIAL" in both[-1]
    neither = render(replace(five_targets(), simulated=False))
    assert "SIMULATED" not in neither
    assert "PARTIAL" not in neither


@pytest.mark.parametrize("render", [lambda t: terminal.render(t, 100, color=False), markdown.render])
def test_everything_a_table_says_is_rendered(render):
    table = replace(five_targets(), alarms=("something is on fire",))
    text = " ".join(render(table).replace("\\", "").replace("\n", " ").split())
    for sentence in (*table.alarms, *table.notes, table.hint, table.instrument, table.command, table.run_folder,
                     table.title, *(answer for _, answer in table.answers)):  # fmt: skip
        assert " ".join(sentence.split()) in text


@pytest.mark.parametrize("render", [lambda t: terminal.render(t, 100, color=False), markdown.render])
def test_of_many_runs_two_folders_are_named_and_the_rest_counted(render):
    def said(count: int) -> str:
        table = replace(five_targets(), run_folder=", ".join(f"results/run=week-b{n}" for n in range(1, count + 1)))
        return " ".join(render(table).split())

    assert "results/run=week-b1, results/run=week-b2 and 94 more" in said(96)
    assert "week-b3" not in said(96)
    assert "results/run=week-b7, results/run=week-b8" in said(8)


def test_one_block_is_said_as_one_and_there_is_no_line_without_words():
    table = five_targets()
    rows = tuple(replace(row, blocks=1, region="", provider="") for row in table.rows)
    bare = replace(table, rows=rows, comparisons=tuple(replace(c, verdict=None) for c in table.comparisons))
    text = markdown.render(bare)
    assert "<sub>1 block</sub>" in text
    assert "1 blocks" not in text
    assert "<sub></sub>" not in text
    assert "<br> |" not in text
    assert "in 1 block" in terminal.render(bare, 40, color=False)


def test_an_empty_table_renders():
    assert terminal.render(nothing(), 80, color=False).strip() != ""
    assert markdown.render(nothing()).strip() != ""


def test_words_from_outside_are_no_markup_on_the_terminal():
    table = replace(five_targets(), title="[bold red]boo[/] :smile: \x1b[31mred", command="bench run [dim]x[/dim]")
    text = terminal.render(table, 100, color=False)
    assert "[bold red]boo[/] :smile:" in text
    assert "bench run [dim]x[/dim]" in text
    assert "\x1b" not in text


def test_a_long_target_id_is_folded_and_not_cut():
    name = "bedrock-us-gov-west-1-provisioned-throughput-eu"
    table = build(*example((replace(CLOUDS[0], id=name), CLOUDS[1])))
    for width in (60, 80, 100):
        assert name in terminal.render(table, width, color=False).replace("\n", "").replace(" ", "") or all(
            part in terminal.render(table, width, color=False) for part in (name[:20], name[26:])
        )


NASTY = "x|y`z`<img src=x onerror=1>&amp;*b*_i_[l](u)#~~s~~\n| a | b |\\"


def test_markdown_escapes_what_came_from_outside():
    first, *others = five_targets().rows
    table = replace(five_targets(), rows=(replace(first, target=NASTY, region=NASTY), *others), title=NASTY,
                    alarms=(NASTY,), notes=(NASTY,), command=NASTY, comparisons=())  # fmt: skip
    text = markdown.render(table)
    outside_code = re.sub(r"(`+).+?\1(?!`)", "", re.sub(r"\\.", "", text))
    assert "<img" not in outside_code
    assert not re.search(r"<(?!br>|sub>|/sub>)", outside_code)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in rows}
    assert len(columns) == 1


@settings(derandomize=True, max_examples=150)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_escaped_text_is_one_line_without_tags_or_open_columns(text):
    escaped = markdown.escape(text)
    assert "\n" not in escaped
    assert "<" not in escaped.replace("<!-- -->", "")
    bare = re.sub(r"\\.", "", escaped)
    assert not re.search(r"[|`*_\[\]]", bare)
    # A trailing backslash would swallow the column's own bar.
    assert (len(escaped) - len(escaped.rstrip("\\"))) % 2 == 0


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("ask @anna or a@b.c", "ask @<!-- -->anna or a@b.c"),
        ("see #12 and GH-3", r"see \#<!-- -->12 and GH-<!-- -->3"),
        ("http://x.y, www.z.w", "http:<!-- -->//x.y, www<!-- -->.z.w"),
        ("1) first", r"1\) first"),
        ("12. first", r"12\. first"),
        ("-3 points", r"\-3 points"),
        ("5-6 is 1.5 wide", "5-6 is 1.5 wide"),
    ],
)
def test_github_makes_no_mention_link_or_list_of_a_text(text, escaped):
    assert markdown.escape(text) == escaped


def test_slices_that_a_comment_has_no_room_for_are_counted():
    table = five_targets()
    rows = tuple(replace(row, target=f"target-{i}") for i, row in enumerate(table.rows * 8))
    parts = tuple(Slice(f"slice {i}", rows, ()) for i in range(30))
    text = markdown.render(replace(table, rows=rows, comparisons=(), slices=parts, sliced_by="hour"))
    assert len(text) < 65_536
    shown = text.count("<details>")
    assert 0 < shown < 40
    assert text.count("</details>") == shown
    assert f"{40 - shown} tables of slices left out for length" in text


@settings(derandomize=True, max_examples=100)
@given(st.text(alphabet="`ab ", min_size=1, max_size=20).filter(str.strip))
def test_a_code_span_closes_where_it_should(text):
    span = markdown.code(text)
    fence = re.match(r"`+", span).group()
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert inner.strip() == " ".join(text.split())
    assert fence not in re.findall(r"`+", inner)


def test_rendering_needs_no_data_frames():
    code = "import sys, bench.report.terminal, bench.report.markdown; print({'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_warning_on_most_cells_is_said_once_and_others_are_numbered():
    def row(target, special):
        cells = {m.name: Cell(1.0, None, None, 1, 1.0, "", m.unit, ("everywhere",)) for m in HEADLINE}
        if special:
            cells["quality"] = replace(cells["quality"], warnings=("everywhere", "here only"))
        return Row(target, "m", "p", None, 1, 1, None, cells)

    table = Table("", "", HEADLINE, (row("a", False), row("b", True)))
    marks = footnotes(table)
    assert footnotes(replace(table, alarms=("everywhere",))).throughout == ()
    assert marks.throughout == ("everywhere",)
    assert marks.notes == (("¹", "here only"),)
    assert marks.of_cell == {("b", "quality"): "¹"}
