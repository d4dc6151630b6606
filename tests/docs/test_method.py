"""The page on method cannot lie: it names every figure, its constants are the code's, and its coverage is what the script counts."""

import re
from pathlib import Path

import pytest

from bench.metrics import METRICS
from bench.stats.verdicts import MARGINS, MIN_BLOCKS
from tests.scripted import load_script

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")

coverage = load_script("coverage")


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_every_figure_has_its_formula(name: str) -> None:
    table = PAGE.split("## 9. Every figure")[1].split("## 10.")[0]
    assert f"`{name}`" in table


def test_margins_and_the_fewest_blocks_are_those_of_the_code() -> None:
    words = " ".join(PAGE.split())
    assert MARGINS == {"p50": 0.05, "p99": 0.15, "cost": 0.05, "quality": 0.03}
    assert "5 % for p50, 15 % for p99, 5 % for cost, 3 points for quality" in words
    assert f"fewer than {MIN_BLOCKS} common blocks" in words


def test_every_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (ROOT / "docs" / target).exists(), target


def test_all_ten_objections_are_answered() -> None:
    answers = PAGE.split("## 12. Ten objections")[1].split("## Sources")[0]
    assert re.findall(r"^(\d+)\. \*\*", answers, re.MULTILINE) == [str(n) for n in range(1, 11)]


def test_every_study_stands_on_the_page() -> None:
    tables = PAGE.split(coverage.BEGIN)[1].split(coverage.END)[0]
    assert re.findall(r"^### (.+)$", tables, re.MULTILINE) == [study.title for study in coverage.STUDIES]


def test_the_committed_coverage_is_what_the_script_counts() -> None:
    [study] = [study for study in coverage.STUDIES if study.rows is coverage.independent]
    rows = list(coverage.independent(1000, sizes=(100,)))
    for line in coverage.markdown(study, rows).splitlines()[-len(rows) :]:
        assert line in PAGE


def test_tables_are_put_between_their_marks_and_nothing_else_moves() -> None:
    once = coverage.inserted(PAGE, "| x |\n")
    assert coverage.inserted(once, "| x |\n") == once
    assert once.split(coverage.BEGIN)[0] == PAGE.split(coverage.BEGIN)[0]
    assert once.split(coverage.END)[1] == PAGE.split(coverage.END)[1]
