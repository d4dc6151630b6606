"""The doors that look-alikes can play, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.simulate.base import Door
from bench.simulate.doors.anthropic import AnthropicDoor
from bench.simulate.doors.azure_openai import AzureOpenAIDoor
from bench.simulate.doors.bedrock import BedrockDoor
from bench.simulate.doors.chat import CompatibleDoor
from bench.simulate.doors.foundry import FoundryDoor
from bench.simulate.doors.gemini import GeminiDoor
from bench.simulate.doors.managed import ClaudeAwsDoor, ClaudeGcpDoor, MantleDoor
from bench.simulate.doors.openai import OpenAIDoor
from bench.simulate.doors.openai_bedrock import OpenAIBedrockDoor
from bench.simulate.doors.openai_vertex import OpenAIVertexDoor
from bench.simulate.doors.vertex import VertexDoor
from bench.simulate.doors.vertex_grpc import VertexGrpcDoor

DOORS: Mapping[str, Callable[[], Door]] = {
    "anthropic": AnthropicDoor,
    "bedrock": BedrockDoor,
    "vertex": VertexDoor,
    "foundry": FoundryDoor,
    "openai-compatible": CompatibleDoor,
    "openai": OpenAIDoor,
    "azure-openai": AzureOpenAIDoor,
    "openai-bedrock": OpenAIBedrockDoor,
    "openai-vertex": OpenAIVertexDoor,
    "bedrock-mantle": MantleDoor,
    "claude-aws": ClaudeAwsDoor,
    "claude-gcp": ClaudeGcpDoor,
    "gemini-vertex": GeminiDoor,
    "vertex-grpc": VertexGrpcDoor,
}
