"""What is known of the servers behind `preset: NAME` of the door openai-compatible: data, read on 2026-11-21.

Sources: the servers' request types (vllm `ChatCompletionRequest`, sglang `srt/entrypoints/openai/protocol.py`, ollama
`openai/openai.go`), docs.nvidia.com for NIM, litellm 1.106 as installed, openrouter.ai/docs. A setting under `refuses` is
not taken: the server answers 400 or, as most do, leaves it out without a word, which is worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Preset:
    """One make of server.

    `token_limit` is the name of the field that limits the output. `refuses` maps a setting of ours, or `extra_body.X`,
    to what becomes of it. `tool_choices` are the forms taken: auto, none, required, function. `health` and `models` are
    paths from the server's root. `reasoning` are the fields of a delta that carry thoughts. `notes` are for the reader.
    """

    base_url: str
    key: Literal["needed", "optional", "ignored"]
    key_variable: str
    token_limit: Literal["max_tokens", "max_completion_tokens"]
    health: str
    dialects: tuple[str, ...] = ("chat", "responses")
    models: str = "/v1/models"
    refuses: Mapping[str, str] = field(default_factory=dict)
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "function")
    response_formats: tuple[str, ...] = ("text", "json_object", "json_schema")
    reasoning: tuple[str, ...] = ("reasoning", "reasoning_content")
    served_name: str = ""
    usage: str = ""
    notes: tuple[str, ...] = ()


_NO_TIER = {"service_tier": "left out: the server has no tiers"}

PRESETS: Mapping[str, Preset] = {
    "vllm": Preset(
        base_url="http://localhost:8000/v1",
        key="optional",
        key_variable="VLLM_API_KEY",
        token_limit="max_completion_tokens",  # noqa: S106  (the name of a field)
        health="/health",
        refuses=_NO_TIER,
        served_name="the name of --served-model-name, else of the weights, e.g. Qwen/Qwen3-8B",
        usage="cached tokens only with --enable-prompt-tokens-details; several tokens may share one chunk under load",
        notes=("tool_choice: auto needs --enable-auto-tool-choice and --tool-call-parser on the server",),
    ),
    "sglang": Preset(
        base_url="http://localhost:30000/v1",
        key="optional",
        key_variable="SGLANG_API_KEY",
        token_limit="max_completion_tokens",  # noqa: S106
        health="/health",
        refuses=_NO_TIER,
        served_name="the name of --served-model-name, else of the weights",
        usage="cached tokens only with --enable-cache-report",
        notes=("thoughts are told apart only with --reasoning-parser on the server",),
    ),
    "nim": Preset(
        base_url="http://localhost:8000/v1",
        key="optional",
        key_variable="NVIDIA_API_KEY",
        token_limit="max_tokens",  # noqa: S106
        health="/v1/health/ready",
        refuses=_NO_TIER,
        served_name="publisher/name, e.g. meta/llama-3.1-8b-instruct",
        usage="as the vLLM underneath",
        notes=("which optional fields are taken depends on the model's container",),
    ),
    "ollama": Preset(
        base_url="http://localhost:11434/v1",
        key="ignored",
        key_variable="OLLAMA_API_KEY",
        token_limit="max_tokens",  # noqa: S106
        health="/api/version",
        refuses={
            **_NO_TIER,
            "extra_body.top_k": "left out: set it in the Modelfile",
            "extra_body.logit_bias": "left out",
            "extra_body.n": "left out: one choice only",
        },
        tool_choices=("auto",),
        reasoning=("reasoning",),
        served_name="name:tag, as `ollama list` has it, e.g. gpt-oss:20b",
        usage="no cached tokens are counted",
        notes=("the first request loads the model: warm up", "the prompt is cut at the context set on the server"),
    ),
    "litellm": Preset(
        base_url="http://localhost:4000/v1",
        key="optional",
        key_variable="LITELLM_API_KEY",
        token_limit="max_tokens",  # noqa: S106  (it writes the name that each model behind it takes)
        health="/health/liveliness",
        served_name="the model_name of the gateway's configuration",
        usage="as the model behind it",
        notes=(
            "with drop_params it leaves settings out without a word: compare the answers, not the requests",
            "it may retry and fall back to another deployment by itself: switch num_retries and fallbacks off",
        ),
    ),
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1",
        key="needed",
        key_variable="OPENROUTER_API_KEY",
        token_limit="max_tokens",  # noqa: S106
        health="/api/v1/models",
        models="/api/v1/models",
        dialects=("chat",),
        refuses=_NO_TIER,
        reasoning=("reasoning",),
        served_name="publisher/name, e.g. openai/gpt-oss-120b",
        usage="the last chunk also has the cost; errors after the start come with status 200",
        notes=(
            "it chooses who answers: pin it with params: "
            "{extra_body: {provider: {order: [NAME], allow_fallbacks: false, require_parameters: true}}}",
        ),
    ),
}
