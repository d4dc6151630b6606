"""Draws docs/table.svg, the picture in the README: the terminal's own rendering of the stored example run."""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.report import terminal
from bench.stats.table import build
from bench.store import runs

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "example"
WIDTH = 100


def rendered(color: bool = True) -> str:
    run = runs.open_run(EXAMPLE)
    return terminal.render(build(run.requests, run.attempts, run.scores, run.manifest), WIDTH, color)


def picture() -> str:
    """The rendering as SVG that fetches nothing: the fonts named in it are the reader's own."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(rendered()), soft_wrap=False)
    svg = console.export_svg(title="scripts/bench run workloads/rag.yaml --simulate", unique_id="bench")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code,", "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono,")


def main() -> None:
    (ROOT / "docs" / "table.svg").write_text(picture(), encoding="utf-8")
    print("written: docs/table.svg")


if __name__ == "__main__":
    main()
