"""The form that cases and settings are written in, that of Chat Completions: what every dialect reads from it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import BenchError
from bench.record import Case

SYSTEM = frozenset({"role", "content"})
KNOWN: Mapping[str, frozenset[str]] = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "user": SYSTEM,
    "assistant": frozenset({"role", "content", "tool_calls"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
"""What each kind of message may hold in every dialect; the `name` of a tool's result repeats that of its call."""


def nothing_lost(case: Case, api: str, known: Mapping[str, frozenset[str]] = KNOWN) -> None:
    """BenchError when a message has a role or a field that the API could not be told."""
    for message in case.messages:
        role = str(message.get("role"))
        if role not in known:
            raise BenchError(f"case {case.id}: got role {role!r}; want system, user, assistant or tool")
        lost = [key for key, value in message.items() if key not in known[role] and value not in (None, [], {})]
        if lost:
            raise BenchError(f"case {case.id}: {api} cannot carry {', '.join(lost)} of a {role} message")


def function_of(tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The function of a tool; None when it is none."""
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return None
    return function


def forced(choice: Any) -> str | None:
    """The name of the function that a tool choice forces, nested as in Chat Completions or flat as in Responses."""
    if not isinstance(choice, Mapping) or choice.get("type") != "function":
        return None
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
