"""The content blocks of a reply in Claude's Messages wire: thoughts, text and calls, whole or in events."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import orjson

from bench.simulate.base import Arguments, Json, Render, Script, Thought


@dataclass(frozen=True, slots=True)
class Block:
    """A content block of a reply: the texts of its deltas, and what it opens and ends with."""

    kind: Literal["reasoning", "text", "tool"]
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

    def drawn(n: int) -> bytes:
        return sha256(f"{mark}:{n}".encode()).digest()

    found = []
    if script.reasoning_tokens:
        thoughts = tuple(event for event in script.events if isinstance(event, Thought))
        found.append(Block("reasoning", thoughts, signature=b64encode(drawn(-1) * 3).decode()))
    texts = tuple(event for event in script.events if type(event) is str)
    if texts:
        found.append(Block("text", texts))
    for n, (name, _) in enumerate(script.tool_calls):
        arguments = tuple(event for event in script.events if isinstance(event, Arguments) and event.call == n)
        call = f"toolu_{prefix.removeprefix('msg_')}{mark[:2]}{drawn(n).hex()[:22]}"
        found.append(Block("tool", arguments, name=name, id=call))
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
