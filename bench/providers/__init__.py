"""The doors: who answers. A door's module is imported when it is named, and its SDK when a request is prepared.

Third parties add doors with an entry point in the group `bench.providers`, whose value is the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module

from bench import plugins
from bench.errors import BenchError
from bench.providers.base import Provider
from bench.providers.headers import ALLOWED_HEADERS, REQUEST_ID_HEADERS
from bench.providers.presets import PRESETS
from bench.targets import Target

__all__ = ["ALLOWED_HEADERS", "PROVIDERS", "REQUEST_ID_HEADERS", "get", "names", "told"]

PROVIDERS: Mapping[str, str] = {
    "anthropic": "bench.providers.anthropic:Anthropic",
    "bedrock": "bench.providers.bedrock:Bedrock",
    "bedrock-mantle": "bench.providers.bedrock_mantle:BedrockMantle",
    "claude-aws": "bench.providers.claude_aws:ClaudeAws",
    "vertex": "bench.providers.vertex:Vertex",
    "claude-gcp": "bench.providers.claude_gcp:ClaudeGcp",
    "foundry": "bench.providers.foundry:Foundry",
    "openai": "bench.providers.openai:OpenAI",
    "azure-openai": "bench.providers.azure_openai:AzureOpenAI",
    "openai-bedrock": "bench.providers.openai_bedrock:OpenAIBedrock",
    "openai-vertex": "bench.providers.openai_vertex:OpenAIVertex",
    "openai-compatible": "bench.providers.openai_compatible:OpenAICompatible",
    "gemini-vertex": "bench.providers.gemini_vertex:GeminiVertex",
    "vertex-grpc": "bench.providers.vertex_grpc:VertexGrpc",
}


def names() -> list[str]:
    """Every door there is: ours, then those that are installed beside us."""
    return [*PROVIDERS, *(name for name in plugins.names(plugins.PROVIDERS) if name not in PROVIDERS)]


def get(name: str) -> Provider:
    """A new instance of that door, for the caller to close. BenchError for an unknown name or one that cannot load."""
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        made: Provider = getattr(import_module(module), attribute)()
        return made
    if name in names():
        door = plugins.load(plugins.PROVIDERS, name)
        try:
            made = door()
        except Exception as error:
            raise plugins.failed(plugins.PROVIDERS, name, error) from error
        return made
    near = get_close_matches(name, names(), 1)
    hint = f"did you mean {near[0]}?" if near else None
    raise BenchError(f"provider: got {name!r}; want one of {', '.join(names())}", hint)


def told(target: Target) -> tuple[str, ...]:
    """What is known of the make of a target's server, in lines for a reader; nothing without a preset."""
    preset = PRESETS.get(target.preset or "")
    if preset is None:
        return ()
    takes = f"tool_choice {', '.join(preset.tool_choices)}; response_format {', '.join(preset.response_formats)}"
    leaves = "; ".join(f"{name} is {fate}" for name, fate in preset.refuses.items())
    return (
        f"{target.preset}: health at {preset.health}, names of models at {preset.models} ({preset.served_name})",
        f"{target.preset}: limit of tokens as {preset.token_limit}; takes {takes}" + (f"; {leaves}" if leaves else ""),
        f"{target.preset}: usage: {preset.usage}; thoughts in {' or '.join(preset.reasoning)}; key {preset.key}",
        *(f"{target.preset}: {note}" for note in preset.notes),
    )
