"""A conversation in the OpenAI form, as Claude's blocks: turns, tools, tool choice and cache marks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench import registry
from bench.dialects import openai_form
from bench.errors import BenchError
from bench.record import Case, Params
from bench.targets import Target

EFFORTS = ("low", "medium", "high", "xhigh", "max")
CACHE_TTLS = ("5m", "1h")
BREAKPOINTS = ("tools", "system", "history", "last_message")
LEAST_THINKING_TOKENS = 1024
TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any", "any": "any"}

BLOCKS = ("text", "image", "document", "thinking", "redacted_thinking")
"""Content parts that are Claude's own blocks already; thoughts with their signatures go back as they came."""


def unfit_budget(params: Params) -> list[str]:
    """What is wrong with the budget for thinking, with what to do."""
    budget = params.thinking_budget_tokens
    if budget is None or budget == 0 or LEAST_THINKING_TOKENS <= budget < params.max_tokens:
        return []
    return [f"thinking_budget_tokens: got {budget}; want 0, or {LEAST_THINKING_TOKENS} and more, below max_tokens"]


def unfit_cache_or_format(params: Params) -> list[str]:
    """What Claude cannot take of the cache marks and of the form of the reply, each with what to do."""
    problems = []
    if params.cache_ttl is not None and params.cache_ttl not in CACHE_TTLS:
        problems.append(f"cache_ttl: got {params.cache_ttl!r}; want 5m or 1h")
    elif params.cache_ttl is not None and not params.cache_breakpoints:
        problems.append("cache_ttl: there are no cache_breakpoints that it could be for; name some, or leave it out")
    problems += [
        f"cache_breakpoints: got {point!r}; want one of {', '.join(BREAKPOINTS)}"
        for point in params.cache_breakpoints
        if point not in BREAKPOINTS
    ]
    if params.response_format is not None:
        kind = params.response_format.get("type")
        if kind not in ("text", "json_schema") or (kind == "json_schema" and schema_of(params.response_format) is None):
            problems.append(f"response_format: got type {kind!r}; want text, or json_schema with its schema")
    return problems


def schema_of(response_format: Mapping[str, Any]) -> Any:
    """The JSON Schema in a response format; None where there is none."""
    inner = response_format.get("json_schema")
    return inner.get("schema") if isinstance(inner, Mapping) else None


def thinking(params: Params, target: Target) -> dict[str, Any] | None:
    """How the model is told to think: by a budget, or by itself where an effort asks a model that does so.

    `extra_body: {thinking: {display: omitted}}` says how thoughts are shown, and the rest follows from the settings.
    """
    more = params.extra_body.get("thinking")
    if more is not None and not isinstance(more, Mapping):
        raise BenchError(f"{target.id}: extra_body.thinking: got {more!r}; want e.g. {{display: omitted}}")
    entry = registry.lookup(target.model, target.provider)
    adaptive = entry is not None and entry.thinking == "adaptive"
    if params.thinking_budget_tokens == 0 or params.effort == "none":
        mode: dict[str, Any] | None = {"type": "disabled"}
    elif params.thinking_budget_tokens is not None:
        mode = {"type": "enabled", "budget_tokens": params.thinking_budget_tokens}
    elif adaptive and (more is not None or (params.effort is not None and entry and not entry.thinking_always_on)):
        mode = {"type": "adaptive"}
    else:
        mode = None
    return mode if more is None else {**(mode or {}), **more}


def conversation(case: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system blocks and the turns. Results of tools that were called together share one turn, as the API wants."""
    openai_form.nothing_lost(case, "Claude's API")
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in case.messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            if turns:
                raise BenchError(f"case {case.id}: Claude takes system text at the start only, not between turns")
            system += _blocks(case, content)
        elif role == "tool":
            if not turns or turns[-1]["role"] != "user" or not _holds_results(turns[-1]["content"]):
                turns.append({"role": "user", "content": []})
            answer = content if isinstance(content, str) else _blocks(case, content)
            turns[-1]["content"].append(
                {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": answer}
            )
        else:
            calls = [_tool_use(case, call) for call in message.get("tool_calls") or ()]
            if calls:
                turns.append({"role": role, "content": (_blocks(case, content) if content else []) + calls})
            else:
                turns.append({"role": role, "content": content if isinstance(content, str) else _blocks(case, content)})
    return system, turns


def _holds_results(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and content[0]["type"] == "tool_result"


def _blocks(case: Case, content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = []
    for part in content or ():
        kind = part.get("type")
        if kind == "image_url":
            blocks.append({"type": "image", "source": _image(case, part["image_url"])})
        elif kind in BLOCKS:
            blocks.append(dict(part))
        else:
            raise BenchError(f"case {case.id}: Claude cannot be given a content part of type {kind!r}")
    return blocks


def _image(case: Case, image: Mapping[str, Any]) -> dict[str, Any]:
    url = image["url"]
    if image.get("detail", "auto") != "auto":
        raise BenchError(
            f"case {case.id}: the Messages API has no detail of an image; leave detail: {image['detail']} out"
        )
    head, comma, data = url.partition(";base64,")
    if comma and head.startswith("data:"):
        return {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}
    if url.startswith("data:"):
        raise BenchError(f"case {case.id}: an image in the text must be base64: data:image/png;base64,...")
    return {"type": "url", "url": url}


def _tool_use(case: Case, call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        raise BenchError(
            f"case {case.id}: arguments of tool call {call.get('id')} are not JSON: {arguments[:80]}"
        ) from None
    return {"type": "tool_use", "id": call.get("id"), "name": function["name"], "input": value}


def tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    if "input_schema" in tool and "name" in tool:
        return dict(tool)
    function = openai_form.function_of(tool)
    if function is None:
        return None
    out: dict[str, Any] = {"name": function["name"]}
    if "description" in function:
        out["description"] = function["description"]
    out["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
    if function.get("strict") is not None:
        out["strict"] = function["strict"]
    return out


def tool_choice(choice: Any) -> dict[str, Any] | None:
    if isinstance(choice, str):
        return {"type": TOOL_CHOICES[choice]} if choice in TOOL_CHOICES else None
    if not isinstance(choice, Mapping):
        return None
    name = openai_form.forced(choice)
    if name is not None:
        return {"type": "tool", "name": name}
    return dict(choice) if choice.get("type") in ("auto", "any", "none", "tool") else None


def mark_cache(
    points: tuple[str, ...],
    mark: dict[str, str],
    tools: list[dict[str, Any]],
    system: list[dict[str, Any]],
    messages: list[dict[str, Any]],
) -> None:
    """Put a cache mark on the last block of each named part; a part that a case does not have has nothing to cache."""
    ends = []
    if "tools" in points:
        ends += tools[-1:]
    if "system" in points:
        ends += system[-1:]
    turns = ([messages[-2]] if "history" in points and len(messages) > 1 else []) + (
        [messages[-1]] if "last_message" in points and messages else []
    )
    for turn in turns:
        if isinstance(turn["content"], str):
            turn["content"] = [{"type": "text", "text": turn["content"]}]
        ends += turn["content"][-1:]
    for block in ends:
        block["cache_control"] = dict(mark)
