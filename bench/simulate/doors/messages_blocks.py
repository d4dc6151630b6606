"""The content blocks of a reply in Claude's Messages wire: thoughts, text and calls, whole or in events."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from bench.simulate.base import Json, Part, Render, Script


@dataclass(frozen=True, slots=True)
class Block:
    """A content block of a reply: the texts of its deltas, and what it opens and ends with."""

    kind: Part
    texts: tuple[str, ...]
    name: str = ""
    id: str = ""
    signature: str = ""

    def whole(self) -> Json:
        text = "".join(self.texts)
        if self.kind == "reasoning":
            return {"type": "thinking", "thinking": text, "signature": self.signature}
        if self.kind == "tool":
            return {"type": "tool_use", "id": self.id, "name": self.name, "input": _object(text)}
        return {"type": "text", "text": text}

    def start(self, index: int) -> Json:
        empty: Json = {"type": "text", "text": ""}
        if self.kind == "reasoning":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
        elif self.kind == "tool":
            empty = {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}
        return {"type": "content_block_start", "index": index, "content_block": empty}

    def delta(self, index: int, text: str) -> Json:
        kinds = {
            "reasoning": {"type": "thinking_delta", "thinking": text},
            "tool": {"type": "input_json_delta", "partial_json": text},
            "text": {"type": "text_delta", "text": text},
        }
        return {"type": "content_block_delta", "index": index, "delta": kinds[self.kind]}

    def events(self, index: int, start: bool) -> list[Json]:
        """The end of the block, with its beginning when it has not begun."""
        found = [self.start(index)] if start else []
        if self.kind == "reasoning":
            signature = {"type": "signature_delta", "signature": self.signature}
            found.append({"type": "content_block_delta", "index": index, "delta": signature})
        return [*found, {"type": "content_block_stop", "index": index}]


def _object(text: str) -> Any:
    """Arguments as an object; those that were cut are none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def blocks_of(script: Script, prefix: str) -> list[Block]:
    """The blocks of the planned reply. Ids of calls carry the same mark of the cloud as the message's."""
    mark = script.message_id.removeprefix(prefix)
    names = iter(script.tool_calls)
    found = []
    for n, (kind, texts) in enumerate(script.blocks()):
        if kind == "tool":
            name, _ = next(names)
            call = f"toolu_{prefix.removeprefix('msg_')}{mark[:2]}{sha256(f'{mark}:{n}'.encode()).hexdigest()[:22]}"
            found.append(Block(kind, texts, name=name, id=call))
        elif kind == "reasoning":
            found.append(Block(kind, texts, signature=b64encode(sha256(f"{mark}:{n}".encode()).digest() * 3).decode()))
        else:
            found.append(Block(kind, texts))
    return found


def told(blocks: list[Block], wrap: Callable[[Json], bytes]) -> Render:
    """Renders the deltas of several blocks: between them, one ends and the next begins. The first is open already."""
    following = iter([n for n, block in enumerate(blocks) for _ in block.texts])
    at = 0

    def render(text: str) -> bytes:
        nonlocal at
        n = next(following)
        events: list[Json] = []
        while at < n:
            events += blocks[at].events(at, start=False)
            at += 1
            events.append(blocks[at].start(at))
        events.append(blocks[n].delta(n, text))
        return b"".join(wrap(event) for event in events)

    return render
