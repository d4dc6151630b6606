"""Bedrock's own wire, Converse and ConverseStream: what a body must look like, and the events of a reply."""

from __future__ import annotations

from typing import Any

import orjson

from bench.simulate.base import Ask, Json, Render, Script
from bench.simulate.doors.eventstream import event_headers, frame, padding
from bench.simulate.doors.messages import NO_SAMPLING, STOPS
from bench.simulate.doors.reading import Unreadable, json_chars, tokens_of, whole_number

OPERATIONS = ("converse", "converse-stream")
# fmt: off
FIELDS = frozenset((
    "messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "serviceTier",
    "performanceConfig", "outputConfig", "requestMetadata", "guardrailConfig", "promptVariables",
    "additionalModelResponseFieldPaths",
))
# fmt: on
SETTINGS = frozenset(("maxTokens", "temperature", "topP", "stopSequences"))
_DELTA = event_headers("contentBlockDelta")


class _Prompt:
    """Walks the prompt in the order in which it is cached (tools, system, messages), counting characters."""

    def __init__(self) -> None:
        self.chars = self.marked_chars = 0
        self.last_user, self.long_lived = "", False

    def blocks(self, blocks: Any, path: str) -> str:
        """Counts a list of blocks; returns its text parts, joined."""
        if not isinstance(blocks, list) or not all(isinstance(block, dict) and len(block) == 1 for block in blocks):
            raise Unreadable(f"{path}: want a list of blocks, each with one member")
        texts = []
        for n, block in enumerate(blocks):
            if "text" in block:
                if not isinstance(block["text"], str) or not block["text"].strip():
                    raise Unreadable(f"The text field in the ContentBlock object at {path}.{n} is blank")
                texts.append(block["text"])
                self.chars += len(block["text"])
            elif "cachePoint" in block:
                self.marked_chars = self.chars
                self.long_lived = isinstance(block["cachePoint"], dict) and block["cachePoint"].get("ttl") == "1h"
            else:
                self.chars += json_chars(block)
        return "".join(texts)


def read_converse(body: Json, model: str, operation: str) -> Ask:
    """Checks the body as Converse does. Raises Unreadable."""
    for field in body:
        if field not in FIELDS:
            raise Unreadable(f"#: extraneous key [{field}] is not permitted")
    settings = body.get("inferenceConfig") or {}
    if not isinstance(settings, dict) or not set(settings) <= SETTINGS:
        raise Unreadable("inferenceConfig: want maxTokens, temperature, topP, stopSequences")
    if "maxTokens" in settings and not whole_number(settings["maxTokens"], 1):
        raise Unreadable("inferenceConfig.maxTokens: must be at least 1")
    if NO_SAMPLING.search(model) and not {"temperature", "topP"}.isdisjoint(settings):
        raise Unreadable("inferenceConfig: This model does not support temperature and topP")
    stops = settings.get("stopSequences") or []
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("messages: A conversation must have at least one message")
    prompt = _Prompt()
    if isinstance(body.get("toolConfig"), dict):
        prompt.blocks(body["toolConfig"].get("tools"), "toolConfig.tools")
    if body.get("system"):
        prompt.blocks(body["system"], "system")
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise Unreadable(f"messages.{n}.role: must be user or assistant")
        if n == 0 and message["role"] != "user":
            raise Unreadable("A conversation must start with a user message")
        if not message.get("content"):
            raise Unreadable(f"The content field in the Message object at messages.{n} is empty")
        text = prompt.blocks(message["content"], f"messages.{n}.content")
        if message["role"] == "user":
            prompt.last_user = text
    return Ask(
        prompt=prompt.last_user,
        stream=operation == "converse-stream",
        input_tokens=tokens_of(prompt.chars),
        max_tokens=settings.get("maxTokens"),
        cacheable_tokens=tokens_of(prompt.marked_chars),
        cache_ttl="1h" if prompt.long_lived else "5m",
        stop=tuple(stops),
        wire=operation,
    )


def _counts(ask: Ask, script: Script) -> Json:
    """Usage and metrics, the last thing said; total tokens count the cached ones too."""
    cached = script.cache_read_tokens + script.cache_write_tokens
    said: Json = {"metrics": {"latencyMs": script.end_ns // 1_000_000}, "serviceTier": {"type": "default"}}
    if script.usage != "none":
        said["usage"] = {
            "inputTokens": script.input_tokens,
            "outputTokens": script.output_tokens,
            "totalTokens": script.input_tokens + script.output_tokens + cached,
            "cacheReadInputTokens": script.cache_read_tokens,
            "cacheWriteInputTokens": script.cache_write_tokens,
        }
        if script.cache_write_tokens:
            details = [{"ttl": ask.cache_ttl, "inputTokens": script.cache_write_tokens}]
            said["usage"]["cacheDetails"] = details
    return said


def whole(ask: Ask, script: Script) -> bytes:
    content = [{"text": script.text}] if script.events else []
    message = {"role": "assistant", "content": content}
    return orjson.dumps({"output": {"message": message}, "stopReason": STOPS[script.stop], **_counts(ask, script)})


def _event(kind: str, payload: Json) -> bytes:
    filling = padding(orjson.dumps(payload)).decode()
    return frame(event_headers(kind), orjson.dumps({**payload, "p": filling}))


def opening() -> bytes:
    return _event("messageStart", {"role": "assistant"})


def content() -> Render:
    def render(text: str) -> bytes:
        said = orjson.dumps(text)
        return frame(_DELTA, b'{"contentBlockIndex":0,"delta":{"text":%s},"p":"%s"}' % (said, padding(said)))

    return render


def closing(ask: Ask, script: Script) -> bytes:
    parts = [_event("contentBlockStop", {"contentBlockIndex": 0})] if script.events else []
    parts.append(_event("messageStop", {"stopReason": STOPS[script.stop]}))
    parts += [_event("metadata", _counts(ask, script))] * (2 if script.usage == "twice" else 1)
    return b"".join(parts)
