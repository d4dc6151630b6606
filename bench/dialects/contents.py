"""A conversation in the OpenAI form, as Gemini's contents and parts; its tools, as function declarations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Any

from bench.dialects import openai_form
from bench.errors import BenchError
from bench.record import Case

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "any": "ANY"}


def conversation(case: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system parts and the contents. Results of tools that were called together share one turn, as the API wants.

    Calls have no ids in version 1 of the API: a result belongs to the call of its name, and results keep their order.
    """
    openai_form.nothing_lost(case, "Gemini")
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    names: dict[Any, str] = {}
    for message in case.messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            if turns:
                raise BenchError(f"case {case.id}: Gemini takes system text at the start only, not between turns")
            system += _parts(case, content)
        elif role == "tool":
            called = names.get(message.get("tool_call_id"))
            if called is None:
                raise BenchError(f"case {case.id}: no tool call before has the id {message.get('tool_call_id')!r}")
            if not turns or "functionResponse" not in turns[-1]["parts"][-1]:
                turns.append({"parts": [], "role": "user"})
            turns[-1]["parts"].append({"functionResponse": {"name": called, "response": _result(content)}})
        else:
            parts = _parts(case, content) if content else []
            for call in message.get("tool_calls") or ():
                names[call.get("id")] = call["function"]["name"]
                parts.append(_call(case, call))
            turns.append({"parts": parts, "role": "model" if role == "assistant" else "user"})
    return system, turns


def _parts(case: Case, content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    parts: list[dict[str, Any]] = []
    for part in content or ():
        kind = part.get("type")
        if kind == "text":
            parts.append({"text": part["text"]})
        elif kind == "image_url":
            parts.append(_image(case, part["image_url"]))
        else:
            raise BenchError(f"case {case.id}: Gemini cannot carry a content part of type {kind!r}")
    return parts


def _image(case: Case, image: Mapping[str, Any]) -> dict[str, Any]:
    url = image["url"]
    if image.get("detail", "auto") != "auto":
        raise BenchError(f"case {case.id}: Gemini has no detail of an image; leave detail: {image['detail']} out")
    head, comma, data = url.partition(";base64,")
    if comma and head.startswith("data:"):
        return {"inlineData": {"data": _url_safe(data), "mime_type": head.removeprefix("data:")}}
    kind = guess_type(url.partition("?")[0])[0]
    if kind is None:
        raise BenchError(f"case {case.id}: the address of an image must end in its kind, e.g. .png: {url[:80]}")
    return {"fileData": {"file_uri": url, "mime_type": kind}}


def _url_safe(base64: str) -> str:
    """Bytes as the SDK spells them; the API takes both alphabets."""
    return base64.replace("+", "-").replace("/", "_")


def _call(case: Case, call: Mapping[str, Any]) -> dict[str, Any]:
    """A call as the model made it, with its thought signature where the history holds one."""
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        raise BenchError(
            f"case {case.id}: arguments of tool call {call.get('id')} are not JSON: {arguments[:80]}"
        ) from None
    part: dict[str, Any] = {"functionCall": {"args": value, "name": function["name"]}}
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    if signature:
        part["thoughtSignature"] = _url_safe(str(signature))
    return part


def _result(content: Any) -> dict[str, Any]:
    """What a tool gave back, as the object that the API wants."""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content or ())
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"output": content}


def declaration(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """The declaration of a function; None for a tool that is none."""
    function = openai_form.function_of(tool)
    if function is None:
        return None
    out: dict[str, Any] = {}
    if "description" in function:
        out["description"] = function["description"]
    out["name"] = function["name"]
    if function.get("parameters"):
        out["parameters_json_schema"] = function["parameters"]
    return out


def calling_config(choice: Any) -> dict[str, Any] | None:
    """How tools may be called; None for a choice that this API cannot say."""
    if isinstance(choice, str):
        return {"mode": MODES[choice]} if choice in MODES else None
    name = openai_form.forced(choice)
    return None if name is None else {"allowed_function_names": [name], "mode": "ANY"}
