"""The page on workloads names gates that exist."""

import re
from pathlib import Path

from bench.workload import load_workload

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/workloads.md").read_text(encoding="utf-8")
TESTS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "tests/unit").glob("test_*.py")}


def test_every_test_that_the_page_names_is_there():
    words = re.findall(r"`((?:test_\w+)?(?:::)?(?:test_\w+…?)?)`", PAGE)
    named = [word for word in words if word.startswith(("test_", "::"))]
    assert len(named) > 30
    known = "\n".join(TESTS.values())
    for word in named:
        file, _, name = word.rpartition("::")
        if not file and name in TESTS:
            continue
        begin = f"def {name.removesuffix('…')}" + ("" if name.endswith("…") else "(")
        assert begin in (TESTS[file] if file else known), word


def test_every_shipped_workload_is_on_the_page_with_its_number_of_items():
    for path in sorted((ROOT / "workloads").glob("*.yaml")):
        line = next(line for line in PAGE.split("\n") if line.startswith(f"| `{path.stem}` |"))
        if path.stem != "classify-order":
            assert f"| {len(load_workload(path).cases)} " in line
