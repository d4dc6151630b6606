"""Tools, their choice and JSON replies as the two OpenAI wires ask for them: nested in Chat Completions, flat in Responses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from bench.simulate.base import Json
from bench.simulate.doors.reading import Unreadable

CHOICES = ("auto", "none", "required")
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def read_tools(body: Json, *, flat: bool) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """(name, schema of the arguments) of every function tool. Raises Unreadable."""
    tools = body.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise Unreadable("Invalid type for 'tools': expected an array of objects.")
    found: dict[str, Mapping[str, Any]] = {}
    for n, tool in enumerate(tools):
        at = f"tools[{n}]"
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise Unreadable(f"Invalid value for '{at}.type': this look-alike has function tools only.")
        if not flat and set(tool) - {"type", "function"}:
            raise Unreadable(f"Unknown parameter: '{at}.{min(set(tool) - {'type', 'function'})}'.")
        function, at = (tool, at) if flat else (tool.get("function"), f"{at}.function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Unreadable(f"Missing required parameter: '{at}.name'.")
        if not NAME.fullmatch(function["name"]):
            raise Unreadable(f"Invalid '{at}.name': string does not match pattern '^[a-zA-Z0-9_-]+$'.")
        for key in sorted(set(function) - {"type", "name", "description", "parameters", "strict"}):
            raise Unreadable(f"Unknown parameter: '{at}.{key}'.")
        schema = function.get("parameters")
        if schema is not None and (not isinstance(schema, dict) or schema.get("type") != "object"):
            raise Unreadable(f"Invalid schema for function '{function['name']}': schema must be of type 'object'.")
        found[function["name"]] = schema or {"type": "object", "properties": {}}
    return tuple(found.items())


def read_choice(body: Json, names: tuple[str, ...], *, flat: bool) -> str:
    """`auto`, `none`, `required`, or the name of the tool that is forced. Raises Unreadable."""
    choice = body.get("tool_choice")
    if choice is None:
        return "auto"
    if not names:
        raise Unreadable("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
    if isinstance(choice, str):
        if choice not in CHOICES:
            raise Unreadable(f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.")
        return choice
    inner = choice if flat or not isinstance(choice, dict) else choice.get("function")
    if not isinstance(choice, dict) or choice.get("type") != "function" or not isinstance(inner, dict):
        raise Unreadable("Invalid type for 'tool_choice': expected one of a string or an object of type 'function'.")
    if inner.get("name") not in names:
        raise Unreadable(f"Tool choice '{inner.get('name')}' not found in 'tools' parameter.")
    return str(inner["name"])


def read_format(form: Any, path: str, *, flat: bool) -> Mapping[str, Any] | None:
    """The schema of a reply in JSON, None for text. Raises Unreadable."""
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise Unreadable(f"Invalid value for '{path}.type': want 'json_object', 'json_schema' or 'text'.")
    if kind != "json_schema":
        return ANY_OBJECT if kind == "json_object" else None
    inner, path = (form, path) if flat else (form.get("json_schema"), f"{path}.json_schema")
    for key, want in (("name", str), ("schema", dict)):
        if not isinstance(inner, dict) or not isinstance(inner.get(key), want):
            raise Unreadable(f"Missing required parameter: '{path}.{key}'.")
    schema: Mapping[str, Any] = inner["schema"]
    return schema


def read_effort(effort: Any, path: str) -> bool:
    """Whether the model is asked to think. Raises Unreadable."""
    if effort is not None and effort not in EFFORTS:
        raise Unreadable(f"Invalid value for '{path}': want one of {', '.join(EFFORTS)}.")
    return effort not in (None, "none")


def call_id(message_id: str, call: int, prefix: str = "call_") -> str:
    """The id of a call, the same whenever it is asked for."""
    return prefix + hashlib.sha256(f"{message_id}:{call}".encode()).hexdigest()[:24]
