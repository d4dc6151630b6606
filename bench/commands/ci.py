"""What `bench gate` does for continuous integration: files that are asked for, and what the service reads by itself."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, CannotRun

if TYPE_CHECKING:
    from bench.nightly.gate import GateResult

SUMMARY = "GITHUB_STEP_SUMMARY"


def in_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def write(result: GateResult, junit: Path | None, reports: Path | None) -> None:
    """Writes the forms that were asked for; in GitHub Actions also the step's summary, and annotations on standard error."""
    from bench.report.ci import github, summary, write_all
    from bench.report.ci import junit as form

    try:
        if junit is not None:
            junit.parent.mkdir(parents=True, exist_ok=True)
            junit.write_text(form.render(result), encoding="utf-8")
        if reports is not None:
            write_all(result, reports)
        if path := os.environ.get(SUMMARY):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(f"{summary.render(result)}\n")
    except OSError as error:
        raise CannotRun(f"{error.filename}: cannot write: {error.strerror or error}", "write elsewhere") from error
    if in_github():
        print(github.render(result), end="", file=sys.stderr)


def fenced(text: str) -> str:
    """Text for standard output; in GitHub Actions so that a name in it cannot command the runner."""
    from bench.report.ci import github

    return github.fenced(text, secrets.token_hex(16)) if in_github() else text


@contextmanager
def errors_annotated() -> Iterator[None]:
    """An error that ends the command is an annotation, too, in GitHub Actions."""
    try:
        yield
    except BenchError as error:
        if in_github():
            from bench.redact import clean
            from bench.report.ci import github

            print(github.command("error", "bench gate could not judge", clean(error.message)), file=sys.stderr)
        raise
