"""What Chat Completions and Responses share: settings that neither carries, tools and their choice, counts of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.dialects import body as read
from bench.dialects.openai_form import forced, function_of
from bench.record import Params, Usage

TOOL_CHOICES = ("auto", "none", "required")
FIRST_PARTY = "openai"
"""The door whose streams are padded with random characters unless told otherwise, which would count as bytes."""


def unsupported(params: Params, api: str) -> list[str]:
    """Every setting that neither API carries, each with what to do."""
    problems = []
    if params.top_k is not None:
        problems.append(f"top_k: {api} has none; for a server that knows it, set extra_body: {{top_k: ...}}")
    if params.thinking_budget_tokens is not None:
        problems.append(f"thinking_budget_tokens: {api} has none; set effort, or the server's own field in extra_body")
    form = params.response_format
    if form is not None and form.get("type") == "json_schema":
        inner = form.get("json_schema")
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str) or "schema" not in inner:
            problems.append("response_format: got json_schema without name or schema; want both, under json_schema")
    problems += [
        f"tools: got type {tool.get('type')!r}; want a function with a name and parameters"
        for tool in params.tools
        if function_of(tool) is None
    ]
    choice = params.tool_choice
    if choice is not None and (choice not in TOOL_CHOICES if isinstance(choice, str) else forced(choice) is None):
        problems.append(
            f"tool_choice: got {choice!r}; want one of {', '.join(TOOL_CHOICES)}, or a function by its name"
        )
    return problems


def degraded(params: Params, api: str) -> list[str]:
    """Cache settings that are not sent, each with what that means for a comparison."""
    said = []
    if params.cache_breakpoints:
        said.append(
            f"cache_breakpoints: not sent, {api} has no such marks; its servers cache equal prefixes by themselves. "
            "Cached tokens are counted and priced as reported, so times and cost compare each door as it caches, "
            "not equal caching"
        )
    if params.cache_ttl is not None:
        said.append(
            f"cache_ttl: not sent, with {api} the server decides how long a prefix stays cached. Where equal prefixes "
            "come further apart than that, cache hits do not compare"
        )
    return said


def with_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The body with further fields, which have the last word; objects are joined one level deep."""
    joined = dict(body)
    for key, value in extra.items():
        own = body.get(key)
        joined[key] = {**own, **value} if isinstance(own, dict) and isinstance(value, Mapping) else value
    return joined


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Counts in our terms, from the words of either API or of the servers that speak like them.

    The input of these APIs holds what was read from and written to the cache, and ours does not. Cache writes live for
    half an hour by default and are counted with the short-lived ones; those that live for 12 hours with the long-lived.
    """
    given = _first(usage, "prompt_tokens", "input_tokens")
    details = read.as_dict(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    cached = _first(details, "cached_tokens")
    if cached is None:  # DeepSeek; Moonshot; LiteLLM for Claude
        cached = _first(usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    written = _first(details, "cache_write_tokens", "cache_creation_tokens")
    if written is None:
        written = _first(usage, "cache_creation_input_tokens")
    apart = (cached or 0) + (written or 0)
    # Gateways exist that report cached tokens beside the prompt; a part larger than its whole shows it.
    uncached = given - apart if given is not None and given >= apart else given

    long_lived = _first(read.as_dict(details.get("cache_write_tokens_details")), "ttl_12h_tokens")
    if long_lived is not None and written is not None:
        long_lived = min(long_lived, written)
        written -= long_lived

    output = _first(usage, "completion_tokens", "output_tokens")
    said = read.as_dict(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    reasoning = _first(said, "reasoning_tokens")
    if reasoning is None:
        reasoning = _first(usage, "reasoning_tokens")
    # Servers exist (xAI's, Google's for Gemini) that count reasoning beside the output; their total shows it.
    total = read.as_count(usage.get("total_tokens"))
    if reasoning and given is not None and output is not None and total == given + output + reasoning:
        output += reasoning
    counts = Usage(
        input_tokens=uncached,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        cache_write_1h_tokens=long_lived,
        output_tokens=output,
        reasoning_tokens=reasoning,
        source="provider",
    )
    return Usage() if counts == Usage(source="provider") else counts


def _first(counts: Mapping[str, Any], *names: str) -> int | None:
    """The first of these counts that is one."""
    for name in names:
        found = read.as_count(counts.get(name))
        if found is not None:
            return found
    return None
