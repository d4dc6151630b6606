"""Made-up event sequences, read by our decoder and by the anthropic SDK's own accumulator: they must say the same."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.dialects import messages
from bench.record import Reply
from tests.unit.wire_bytes import cut_at, exchange

pytest.importorskip("anthropic")
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

READ = TypeAdapter(RawMessageStreamEvent)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
COUNT = st.integers(0, 1 << 40)
STOPS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, some of them empty."""
    ends = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@st.composite
def block(draw: st.DrawFn, index: int) -> list[dict[str, Any]]:
    kind = draw(st.sampled_from(["text", "thinking", "signature", "redacted", "tool", "server_tool"]))
    deltas: list[dict[str, Any]] = []
    if kind == "text":
        start: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": part} for part in draw(cut(draw(TEXT)))]
    elif kind == "redacted":
        start = {"type": "redacted_thinking", "data": "b2s="}
    elif kind in ("thinking", "signature"):
        start = {"type": "thinking", "thinking": "", "signature": ""}
        if kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": part} for part in draw(cut(draw(TEXT)))]
        deltas.append({"type": "signature_delta", "signature": "EqQB"})
    else:
        start = {"type": "tool_use", "id": f"toolu_{index}", "name": f"f{index}", "input": {}}
        if kind == "server_tool":
            start |= {"type": "server_tool_use", "id": f"srvtoolu_{index}", "name": "web_search"}
        given_ = draw(st.none() | st.dictionaries(TEXT, VALUES, max_size=3))
        arguments = "" if given_ is None else json.dumps(given_, ensure_ascii=draw(st.booleans()))
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in draw(cut(arguments))]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *[{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": index},
    ]


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    first = {
        "input_tokens": draw(COUNT),
        "output_tokens": 1,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": draw(COUNT),
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
        "service_tier": draw(st.sampled_from(["standard", "priority"])),
        "inference_geo": draw(st.sampled_from(["us", "global", None])),
        "speed": draw(st.sampled_from(["standard", "fast", None])),
    }
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": first,
    }  # fmt: skip
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index in range(draw(st.integers(0, 5))):
        events += draw(block(index))
    stop = draw(st.sampled_from(STOPS))
    last: dict[str, Any] = {"output_tokens": draw(COUNT)}
    if draw(st.booleans()):
        last |= {"input_tokens": draw(COUNT), "output_tokens_details": {"thinking_tokens": draw(st.integers(0, 9))}}
        last["server_tool_use"] = {"web_search_requests": 2, "web_fetch_requests": 0}
    details = {"type": "refusal", "category": "cyber", "explanation": None} if stop == "refusal" else None
    delta = {"stop_reason": stop, "stop_sequence": "END" if stop == "stop_sequence" else None, "stop_details": details}
    return [*events, {"type": "message_delta", "delta": delta, "usage": last}, {"type": "message_stop"}]


def as_sse(events: list[dict[str, Any]], ascii_only: bool) -> bytes:
    lines = [f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=ascii_only)}\n\n" for e in events]
    return "".join(lines).encode()


def by_the_sdk(events: list[dict[str, Any]]) -> Message:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        snapshot = accumulate_event(event=READ.validate_python(event), current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


@settings(derandomize=True, max_examples=150, deadline=None)
@given(events=streams(), ascii_only=st.booleans(), data=st.data())
def test_a_stream_of_any_blocks_says_what_the_sdk_makes_of_it(
    events: list[dict[str, Any]], ascii_only: bool, data: st.DataObject
) -> None:
    body = as_sse(events, ascii_only)
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=10))
    reply = messages.decode(cut_at(body, cuts, "text/event-stream"))
    theirs = by_the_sdk(events)
    assert reply.text == "".join(b.text for b in theirs.content if b.type == "text")
    assert reply.reasoning == "".join(b.thinking for b in theirs.content if b.type == "thinking")
    tools = [b for b in theirs.content if b.type == "tool_use"]
    assert [(c.id, c.name, json.loads(c.arguments)) for c in reply.tool_calls] == [
        (t.id, t.name, t.input) for t in tools
    ]
    assert (reply.message_id, reply.served_model, reply.complete) == (theirs.id, theirs.model, True)
    assert reply.native_stop_reason == theirs.stop_reason
    assert reply.stop_detail == (theirs.stop_details.category if theirs.stop_details else "")
    usage = theirs.usage
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert reply.usage.cache_read_tokens == usage.cache_read_input_tokens
    assert (reply.usage.cache_write_5m_tokens, reply.usage.cache_write_1h_tokens) == (60, 40)
    details = usage.output_tokens_details
    assert reply.usage.reasoning_tokens == (details.thinking_tokens if details else None)
    speed = "standard-speed" if usage.speed == "standard" else usage.speed
    assert reply.served_lane == "/".join(p for p in (usage.service_tier, speed, usage.inference_geo) if p)
    # one stamp for each delta that says something, and one for each call that takes no arguments
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    said = sum(bool(d.get("text") or d.get("thinking") or d.get("partial_json")) for d in deltas)
    spoken = {e["index"] for e in events if e["type"] == "content_block_delta" and e["delta"].get("partial_json")}
    bare = sum(
        e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use" and e["index"] not in spoken
        for e in events
    )
    assert len(reply.content_ns) == said + bare
    assert list(reply.content_ns) == sorted(reply.content_ns)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(events=streams())
def test_a_reply_that_came_whole_says_what_its_stream_says(events: list[dict[str, Any]]) -> None:
    streamed = messages.decode(exchange([(1, as_sse(events, False))]))
    whole = messages.decode(exchange([(1, by_the_sdk(events).to_json().encode())], "application/json"))
    for field in (
        "text",
        "reasoning",
        "stop_reason",
        "native_stop_reason",
        "complete",
        "usage",
        "served_lane",
        "stop_detail",
    ):
        assert getattr(whole, field) == getattr(streamed, field), field

    def calls(reply: Reply) -> list[Any]:
        return [(call.id, call.name, json.loads(call.arguments)) for call in reply.tool_calls]

    assert calls(whole) == calls(streamed)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(events=streams(), data=st.data())
def test_an_error_anywhere_in_the_stream_keeps_what_came_before(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(events) - 1))
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    reply = messages.decode(exchange([(1, as_sse([*events[:at], error], False))]))
    before = messages.decode(exchange([(1, as_sse(events[:at], False))]))
    assert (reply.text, reply.reasoning, reply.content_ns) == (before.text, before.reasoning, before.content_ns)
    assert reply.complete is False
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["type"] == "overloaded_error"
