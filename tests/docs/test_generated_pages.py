"""Pages made from the code are those that the code makes now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
assert spec
assert spec.loader
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)


@pytest.mark.parametrize("path", docs.PAGES, ids=lambda p: p.name)
def test_a_generated_page_is_current(path: Path) -> None:
    assert path.read_text() == docs.PAGES[path](), f"{path} is stale; run scripts/docs.py"
