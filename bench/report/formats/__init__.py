"""The formats of a report: one module each, named as `--format` names it, with `render(document) -> bytes`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

from bench.report.document import Document


def names() -> tuple[str, ...]:
    """The formats there are, in order of the alphabet. Nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def renderer(name: str) -> Callable[[Document], bytes]:
    """The function that renders a document. Raises ImportError where a library that it needs is missing."""
    made: Callable[[Document], bytes] = import_module(f"{__name__}.{name}").render
    return made


def file_name(name: str, document: Document) -> str:
    """What the file is called: a simulated report says so in its name, too."""
    mark = "simulated-" if any(one.word == "SIMULATED" for one in document.watermarks) else ""
    return f"{mark}report.{name}"
