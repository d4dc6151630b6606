"""`bench baseline`: a baseline file that lives in git: make it, show it, replace it with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import ConfigError, Problem

app = typer.Typer(
    name="baseline",
    help="Keep a baseline in git. It is made of chosen runs, and replaced only with a reason and a name.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_FILE = Annotated[Path, typer.Argument(help="The baseline file, e.g. baselines/rag.json.")]
_RUNS = Annotated[
    list[str],
    typer.Argument(help="Runs: folders of runs, ids, dates or patterns; the newest 28 nights count.", metavar="RUN"),
]
_OUT = Annotated[Path, typer.Option(help="Where runs are kept.")]


@app.command("set")
def set_(
    file: _FILE,
    run: _RUNS,
    author: Annotated[str, typer.Option(help="Who accepts it.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "first baseline",
    out: _OUT = Path("results"),
) -> int:
    """Make a baseline file of runs that are alike."""
    from bench.nightly import baseline

    if file.exists():
        raise ConfigError(
            [Problem(str(file), "", "a baseline that is there", "a new file")],
            f"Replace it: bench baseline update {file} RUN",
        )
    return _write(file, baseline, run, author, reason, out, None)


@app.command("update")
def update(
    file: _FILE,
    run: _RUNS,
    author: Annotated[str, typer.Option(help="Who accepts the change.")],
    reason: Annotated[str, typer.Option(help="Why the change is accepted, e.g. 'region moved, OPS-12'.")],
    out: _OUT = Path("results"),
) -> int:
    """Replace a baseline. What it was, who changed it and why stay in the file."""
    from bench.nightly import baseline

    return _write(file, baseline, run, author, reason, out, baseline.load(file))


@app.command("show")
def show(
    file: _FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the file's content.")] = False,
) -> int:
    """Print what a baseline holds, what it is of, and who accepted it."""
    from bench.nightly import baseline
    from bench.report.gate import baseline_text

    content = baseline.load(file)
    print(json.dumps(content, indent=1, ensure_ascii=False) if as_json else baseline_text(content), end="")
    return 0


def _write(
    file: Path, baseline: Any, run: list[str], author: str, reason: str, out: Path, before: dict[str, Any] | None
) -> int:
    from bench.commands.tables import warn
    from bench.nightly.gating import nights_named
    from bench.wire.calendar import WallCalendar, utc

    empty = [Problem("command line", flag, "nothing", want) for flag, value, want in
             (("--author", author, "a name"), ("--reason", reason, "why it is accepted")) if not value.strip()]  # fmt: skip
    if empty:
        raise ConfigError(empty)
    nights = baseline.chosen(nights_named(run, out, warn))
    content = baseline.made(nights, utc(WallCalendar().now_ns()), author.strip(), reason.strip(), before)
    baseline.write(file, content)
    for what in content["changes"][-1].get("differs", ()):
        print(f"Other than before: {what}")
    print(f"{file}: {len(nights)} night{'s' * (len(nights) != 1)}, {nights[0].date} to {nights[-1].date}. Commit it.")
    return 0
