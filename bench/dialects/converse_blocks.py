"""Claude's blocks as Converse's: content, tools, tool choice and cache points.

A conversation is first put in Claude's form, cache marks and all, by what the Messages dialect uses too; then each
block is rewritten. So both dialects send the same turns and cache at the same places.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.errors import BenchError
from bench.record import Case

IMAGE_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
TOOL_KEYS = frozenset({"name", "description", "input_schema", "strict", "cache_control", "type"})


def turns(case: Case, messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The turns of Claude's form. Neighbours of one role become one turn, as the Messages API itself joins them:
    Converse takes only turns that alternate.
    """
    out: list[dict[str, Any]] = []
    for message in messages:
        content = blocks(case, message["content"])
        if out and out[-1]["role"] == message["role"]:
            out[-1]["content"] += content
        else:
            out.append({"role": message["role"], "content": content})
    return out


def blocks(case: Case, content: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Content blocks, each followed by the cache point that its mark stands for."""
    if isinstance(content, str):
        return [{"text": content}]
    out = []
    for block in content:
        out.append(_block(case, block))
        out += cache_point(block)
    return out


def cache_point(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    mark = block.get("cache_control")
    if not mark:
        return []
    return [{"cachePoint": {"type": "default", **({"ttl": mark["ttl"]} if "ttl" in mark else {})}}]


def _block(case: Case, block: Mapping[str, Any]) -> dict[str, Any]:
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    if kind == "tool_result":
        answer = block["content"]
        return {
            "toolResult": {
                "toolUseId": block["tool_use_id"],
                "content": blocks(case, answer) if answer else [],
            }
        }
    source = block.get("source")
    source = source if isinstance(source, Mapping) else {}
    media = str(source.get("media_type", "")).lower()
    if kind == "image":
        if source.get("type") != "base64" or media not in IMAGE_FORMATS:
            raise BenchError(
                f"case {case.id}: Converse takes an image as the bytes of a png, jpeg, gif or webp, "
                "e.g. data:image/png;base64,..., not as an address"
            )
        return {"image": {"format": IMAGE_FORMATS[media], "source": {"bytes": _base64(case, source.get("data"))}}}
    return {"document": _document(case, block, source, media)}


def _document(case: Case, block: Mapping[str, Any], source: Mapping[str, Any], media: str) -> dict[str, Any]:
    if source.get("type") == "text":
        inner: dict[str, Any] = {"text": source.get("data")}
        media = media or "text/plain"
    elif source.get("type") == "base64":
        inner = {"bytes": _base64(case, source.get("data"))}
    else:
        inner = {}
    if not inner or media not in DOCUMENT_FORMATS:
        raise BenchError(
            f"case {case.id}: Converse takes a document as base64 or text, of {', '.join(DOCUMENT_FORMATS)}"
        )
    out: dict[str, Any] = {"format": DOCUMENT_FORMATS[media], "name": block.get("title") or "document", "source": inner}
    out.update({key: block[key] for key in ("context", "citations") if key in block})
    return out


def _base64(case: Case, data: Any) -> str:
    """The one spelling of these bytes: padded, without line ends, as the SDK writes it."""
    try:
        return b64encode(b64decode("".join(str(data).split()), validate=True)).decode()
    except binascii.Error as error:
        raise BenchError(f"case {case.id}: the data of an image or document is not base64: {error}") from None


def tool(claude_tool: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": claude_tool["name"]}
    if claude_tool.get("description"):
        spec["description"] = claude_tool["description"]
    spec["inputSchema"] = {"json": claude_tool["input_schema"]}
    if "strict" in claude_tool:
        spec["strict"] = claude_tool["strict"]
    return {"toolSpec": spec}


def tool_choice(claude_choice: Mapping[str, Any]) -> dict[str, Any] | None:
    """auto, any or one tool by its name; None for what Converse has no words for."""
    kind = claude_choice.get("type")
    if kind in ("auto", "any") and claude_choice.keys() == {"type"}:
        return {kind: {}}
    if kind == "tool" and claude_choice.keys() == {"type", "name"}:
        return {"tool": {"name": claude_choice["name"]}}
    return None
