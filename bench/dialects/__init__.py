"""The wire languages. Each is a module of pure functions: `encode`, `decode`, `unsupported` and `degraded`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.dialects.base import Dialect

DIALECTS = ("messages", "chat", "responses", "converse", "gemini")
"""Each is a module of this package, imported when it is asked for."""


def get(name: str) -> Dialect:
    """The dialect of that name; BenchError names those there are."""
    if name not in DIALECTS:
        raise BenchError(f"dialect: got {name!r}; want one of {', '.join(DIALECTS)}")
    dialect: Dialect = import_module(f"bench.dialects.{name}")
    return dialect
