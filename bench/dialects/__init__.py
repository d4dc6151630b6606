"""The wire languages. Each is a module of pure functions: `encode`, `decode`, `unsupported` and `degraded`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.dialects import chat, converse, gemini, messages, responses
from bench.dialects.base import Dialect
from bench.errors import BenchError

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (messages, chat, responses, converse, gemini)}


def get(name: str) -> Dialect:
    """The dialect of that name; BenchError names those there are."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise BenchError(f"dialect: got {name!r}; want one of {', '.join(DIALECTS)}") from None
