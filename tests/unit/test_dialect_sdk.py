"""The official SDKs and our decoders are fed the same bytes over a socket, and must have read the same."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bench.dialects import chat, messages
from bench.record import Reply
from tests.unit.wire_bytes import CONTENT_TYPES, golden, in_one_piece
from tests.unit.wire_bytes.loopback import loopback

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")

ASK = {"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}


async def claude_events(name: str, bedrock: bool) -> tuple[list[Any], Any]:
    """What the SDK makes of the bytes: its events, and the error it raised at their end, if any."""
    async with loopback(golden(name), CONTENT_TYPES[Path(name).suffix]) as server:
        options: dict[str, Any] = {"base_url": server.url, "max_retries": 0}
        client: Any
        if bedrock:
            keys = {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": "s", "aws_region": "us-east-1"}
            client = anthropic.AsyncAnthropicBedrock(**keys, **options)
        else:
            client = anthropic.AsyncAnthropic(api_key="k", **options)
        events: list[Any] = []
        error = None
        async with client:
            try:
                async for event in await client.messages.create(model="claude-x", stream=True, **ASK):
                    events.append(event)  # noqa: PERF401  (a comprehension would lose them when the stream raises)
            except anthropic.APIStatusError as raised:
                error = raised
    return events, error


CLAUDE = [
    "messages_thinking_text_tool.sse",
    "messages_text.sse",
    "messages_usage_after_stop.sse",
    "messages_signature_only.sse",
    "messages_overloaded.sse",
    "messages_parallel_tools.sse",
    "messages_refusal.sse",
    "messages_server_tool.sse",
    "bedrock_text.eventstream",
    "bedrock_tool.eventstream",
    "bedrock_throttled.eventstream",
]


@pytest.mark.parametrize("name", CLAUDE)
def test_the_anthropic_sdk_reads_the_same_stream_alike(name: str) -> None:
    events, error = asyncio.run(claude_events(name, bedrock=name.startswith("bedrock")))
    reply = messages.decode(in_one_piece(name))
    deltas = [(event.index, event.delta) for event in events if event.type == "content_block_delta"]
    assert reply.text == "".join(d.text for _, d in deltas if d.type == "text_delta")
    assert reply.reasoning == "".join(d.thinking for _, d in deltas if d.type == "thinking_delta")
    tools = [e for e in events if e.type == "content_block_start" and e.content_block.type == "tool_use"]
    assert [(call.id, call.name) for call in reply.tool_calls] == [
        (t.content_block.id, t.content_block.name) for t in tools
    ]
    for call, tool in zip(reply.tool_calls, tools, strict=True):
        parts = [d.partial_json for index, d in deltas if index == tool.index and d.type == "input_json_delta"]
        assert call.arguments == ("".join(parts) or "{}")
    ends = [event for event in events if event.type == "message_delta"]
    if ends:
        assert reply.native_stop_reason == ends[-1].delta.stop_reason
        assert reply.usage.output_tokens == ends[-1].usage.output_tokens
        if ends[-1].usage.input_tokens is not None:
            assert reply.usage.input_tokens == ends[-1].usage.input_tokens
    start = events[0].message
    assert (reply.message_id, reply.served_model) == (start.id, start.model)
    assert reply.complete == (events[-1].type != "content_block_delta" and error is None)
    if error is None:
        assert reply.error_body is None
    else:
        assert reply.error_body is not None
        assert json.loads(reply.error_body)["error"]["type"] == error.type


async def claude_message(name: str) -> Any:
    async with (
        loopback(golden(name)) as server,
        anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as client,
    ):
        return await client.messages.create(model="claude-x", **ASK)


def test_the_anthropic_sdk_reads_a_whole_message_alike() -> None:
    message = asyncio.run(claude_message("messages_whole.json"))
    reply = messages.decode(in_one_piece("messages_whole.json"))
    assert reply.text == "".join(block.text for block in message.content if block.type == "text")
    (tool,) = [block for block in message.content if block.type == "tool_use"]
    assert [json.loads(call.arguments) for call in reply.tool_calls] == [tool.input]
    usage = message.usage
    assert (reply.usage.input_tokens, reply.usage.cache_read_tokens) == (
        usage.input_tokens,
        usage.cache_read_input_tokens,
    )
    assert reply.usage.cache_write_1h_tokens == usage.cache_creation.ephemeral_1h_input_tokens
    assert (reply.usage.output_tokens, reply.native_stop_reason) == (usage.output_tokens, message.stop_reason)


async def openai_chunks(name: str) -> tuple[list[Any], Any]:
    async with loopback(golden(name), CONTENT_TYPES[".sse"]) as server:
        chunks: list[Any] = []
        error = None
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1", max_retries=0) as client:
            try:
                stream = await client.chat.completions.create(model="m", messages=ASK["messages"], stream=True)
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401  (a comprehension would lose them when the stream raises)
            except openai.APIError as raised:
                error = raised
    return chunks, error


CHAT = [
    "chat_text_tool.sse",
    "chat_text.sse",
    "chat_text_without_done.sse",
    "chat_cut_before_finish.sse",
    "chat_reasoning_vllm.sse",
    "chat_azure_filtered.sse",
    "chat_gateway_error.sse",
    "chat_refusal.sse",
]


@pytest.mark.parametrize("name", CHAT)
def test_the_openai_sdk_reads_the_same_stream_alike(name: str) -> None:
    chunks, error = asyncio.run(openai_chunks(name))
    reply: Reply = chat.decode(in_one_piece(name))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert reply.text == "".join((c.delta.content or "") + (c.delta.refusal or "") for c in choices)
    assert reply.reasoning == "".join((c.delta.model_extra or {}).get("reasoning", "") for c in choices)
    calls: dict[int, list[str]] = {}
    for part in (part for choice in choices for part in choice.delta.tool_calls or ()):
        call = calls.setdefault(part.index, ["", "", ""])
        call[0] = part.id or call[0]
        call[1] = part.function.name or call[1]
        call[2] += part.function.arguments or ""
    assert [[call.id, call.name, call.arguments] for call in reply.tool_calls] == list(calls.values())
    assert reply.native_stop_reason == next((c.finish_reason for c in reversed(choices) if c.finish_reason), None)
    used = [chunk.usage for chunk in chunks if chunk.usage]
    if used:
        details = used[-1].prompt_tokens_details
        cached = (details.cached_tokens or 0) + (details.cache_write_tokens or 0) if details else 0
        assert reply.usage.input_tokens == used[-1].prompt_tokens - cached
        assert reply.usage.output_tokens == used[-1].completion_tokens
    else:
        assert reply.usage.input_tokens is None
    assert (reply.error_body is None) == (error is None)
    if error is not None:
        assert reply.error_body is not None
        assert json.loads(reply.error_body)["error"]["message"] == error.message
