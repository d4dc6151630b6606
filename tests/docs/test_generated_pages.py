"""Pages made from the code are those that the code makes now."""

from pathlib import Path

import pytest

from tests.scripted import load_script

docs = load_script("docs")


@pytest.mark.parametrize("path", docs.PAGES, ids=lambda p: p.name)
def test_a_generated_page_is_current(path: Path) -> None:
    assert path.read_text() == docs.PAGES[path](), f"{path} is stale; run scripts/docs.py"
