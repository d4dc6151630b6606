"""A conversation in the form of Chat Completions, as the input items of the Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.dialects import openai_form
from bench.errors import BenchError
from bench.record import Case

KNOWN = {**openai_form.KNOWN, "assistant": openai_form.KNOWN["assistant"] | {"refusal"}}
"""What each kind of message may hold; anything else would be lost."""


def items(case: Case) -> list[dict[str, Any]]:
    """The conversation, in its order. BenchError for what the API cannot carry.

    System text goes in as items of its own role, not as `instructions`: that is one string of a developer's rank
    before everything else, while a case may have several, of either rank, in parts, or between its turns.
    """
    openai_form.nothing_lost(case, "the Responses API", KNOWN)
    made: list[dict[str, Any]] = []
    for message in case.messages:
        role = message["role"]
        if role == "tool":
            made.append(_output(case, message))
        elif role == "assistant":
            made += _answer(case, message)
        else:
            made.append({"role": role, "content": _content(case, message.get("content"))})
    return made


def _answer(case: Case, message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the model said before, and then the functions that it called."""
    content, refusal = message.get("content"), message.get("refusal")
    if refusal:
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) and content else content or []
        content = [*parts, {"type": "refusal", "refusal": refusal}]
    calls = message.get("tool_calls") or ()
    if isinstance(content, str) and (content or not calls):
        yield {"role": "assistant", "content": content}
    elif not isinstance(content, str) and content:
        yield {"role": "assistant", "content": [_said(case, part) for part in content]}
    for call in calls:
        function = call.get("function")
        if call.get("type", "function") != "function" or not isinstance(function, Mapping):
            raise BenchError(f"case {case.id}: got a tool call of type {call.get('type')!r}; want function")
        yield {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function["name"],
            "arguments": function.get("arguments") or "{}",
        }


def _said(case: Case, part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of an earlier reply: of those the API takes text and refusals only."""
    kind = part.get("type")
    if kind in ("text", "output_text"):
        return {"type": "output_text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    raise BenchError(f"case {case.id}: the Responses API cannot carry a part of type {kind!r} in an assistant message")


def _output(case: Case, message: Mapping[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = {
        "type": "function_call_output",
        "call_id": message.get("tool_call_id"),
        "output": _content(case, message.get("content")),
    }
    if message.get("name"):
        output["name"] = message["name"]
    return output


def _content(case: Case, content: Any) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return [_part(case, part) for part in content or ()]


def _part(case: Case, part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"type": "input_text", "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"]
        return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    if kind in ("input_text", "input_image", "input_file"):
        return dict(part)
    raise BenchError(f"case {case.id}: the Responses API cannot carry a content part of type {kind!r}")
