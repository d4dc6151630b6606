"""The doors: who answers. A door's module is imported when it is named, and its SDK when a request is prepared.

Third parties add doors with an entry point in the group `bench.providers`, whose value is the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points

from bench.errors import BenchError, CannotRun
from bench.providers.base import Provider
from bench.providers.headers import ALLOWED_HEADERS, REQUEST_ID_HEADERS

__all__ = ["ALLOWED_HEADERS", "PROVIDERS", "REQUEST_ID_HEADERS", "get", "names"]

PROVIDERS: Mapping[str, str] = {
    "anthropic": "bench.providers.anthropic:Anthropic",
    "bedrock": "bench.providers.bedrock:Bedrock",
    "vertex": "bench.providers.vertex:Vertex",
    "foundry": "bench.providers.foundry:Foundry",
    "openai-compatible": "bench.providers.openai_compatible:OpenAICompatible",
    "gemini-vertex": "bench.providers.gemini_vertex:GeminiVertex",
    "vertex-grpc": "bench.providers.vertex_grpc:VertexGrpc",
}
GROUP = "bench.providers"


def names() -> list[str]:
    """Every door there is: ours, then those that are installed beside us."""
    return [*PROVIDERS, *sorted({point.name for point in entry_points(group=GROUP)} - PROVIDERS.keys())]


def get(name: str) -> Provider:
    """A new instance of that door, for the caller to close. BenchError for an unknown name or one that cannot load."""
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        made: Provider = getattr(import_module(module), attribute)()
        return made
    for point in entry_points(group=GROUP, name=name):
        try:
            made = point.load()()
        except Exception as error:
            raise CannotRun(f"provider {name}: {point.value} did not load: {type(error).__name__}: {error}") from error
        return made
    near = get_close_matches(name, names(), 1)
    hint = f"did you mean {near[0]}?" if near else None
    raise BenchError(f"provider: got {name!r}; want one of {', '.join(names())}", hint)
