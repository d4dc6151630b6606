"""Whether a request body holds a setting, whatever the wire language calls it. Knows the languages' words, not our code."""

import json
from collections.abc import Iterator
from typing import Any

FORCED = {"auto": {"auto", "AUTO"}, "none": {"none", "NONE"}, "required": {"required", "any", "ANY"}}
CHOICES = ("tool_choice", "toolChoice", "functionCallingConfig")
MARKS = ("cache_control", "cachePoint")


def parts(value: Any) -> Iterator[Any]:
    """The value and everything inside it: objects, lists, keys and leaves; JSON in a string is looked into, too."""
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from parts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from parts(inner)
    elif isinstance(value, str) and value.startswith("{"):
        try:
            yield from parts(json.loads(value))
        except ValueError:
            pass


def under(body: Any, *keys: str) -> list[Any]:
    """What stands under one of these keys, at any depth."""
    return [part[key] for part in parts(body) if isinstance(part, dict) for key in keys if key in part]


def has(body: Any, value: Any) -> bool:
    return any(type(part) is not bool and type(value) is not bool and part == value for part in parts(body))


def carried(body: dict[str, Any], name: str, value: Any) -> bool:
    """Whether the body holds that setting with that value."""
    if name == "stream":
        return bool(body.get("stream")) is value
    if name == "stop":
        return all(has(body, word) for word in value)
    if name == "effort":
        words = [part.lower() for part in parts(body) if isinstance(part, str)]
        return value in words or (value == "none" and _off(body))
    if name == "thinking_budget_tokens":
        return has(under(body, "thinking", "thinkingConfig"), value) or (value == 0 and _off(body))
    if name == "tools":
        return all(_tool(body, tool["function"]) for tool in value)
    if name == "tool_choice":
        chosen = under(body, *CHOICES)
        if isinstance(value, str):
            return any(has(chosen, word) for word in FORCED[value])
        return has(chosen, value["function"]["name"])
    if name == "response_format":
        kind = value["type"]
        if kind == "json_schema":
            return has(body, value["json_schema"]["schema"])
        return kind == "text" or has(body, "json_object") or has(body, "application/json")
    if name == "cache_breakpoints":
        return len(under(body, *MARKS)) == len(set(value))
    if name == "cache_ttl":
        marks = under(body, *MARKS)
        return bool(marks) and all(mark.get("ttl") == value for mark in marks)
    if name == "extra_body":
        return all(has(under(body, key), inner) for key, inner in value.items())
    return has(body, value)  # numbers, which the tests choose so that none is like another


def _off(body: Any) -> bool:
    """Thinking is switched off."""
    thinking = under(body, "thinking", "thinkingConfig")
    return has(thinking, "disabled") or 0 in under(thinking, "thinking_budget", "thinkingBudget")


def _tool(body: Any, function: dict[str, Any]) -> bool:
    """A declaration with the name, the description, the schema and, where it is asked for, the strictness."""
    for part in parts(body):
        if isinstance(part, dict) and part.get("name") == function["name"] and has(part, function["parameters"]):
            described = part.get("description") == function.get("description")
            return described and (not function.get("strict") or part.get("strict") is True)
    return False
