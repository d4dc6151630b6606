"""The Converse dialect: golden frames in, replies out; cases in, bodies out."""

import json
from typing import Any

import pytest

from bench import dialects
from bench.dialects import converse
from bench.errors import BenchError
from bench.providers import get
from bench.record import Case, Params, Reply, ToolCall, Usage
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, STEP_NS, exchange, golden, in_one_piece
from tests.unit.wire_bytes.frames import event, exception, split

TARGET = Target("t", "claude-sonnet-4-5", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "converse")
SKY = "The sky is blue. It is 20°C."
AWS = CONTENT_TYPES[".eventstream"]


def frame_by_frame(name: str) -> Reply:
    """One piece for each frame, the first at 1000 ns, the next at 2000 ns, and so on."""
    parts = split(golden(f"converse_{name}.eventstream"))
    return converse.decode(exchange([((at + 1) * STEP_NS, part) for at, part in enumerate(parts)], AWS))


def decoded(body: bytes) -> Reply:
    return converse.decode(exchange([(1000, body)], AWS))


# ------------------------------------------------------------------------------------------------ decode


def test_thinking_text_and_a_tool_call_are_read_from_one_stream() -> None:
    reply = frame_by_frame("thinking_text_tool")
    assert reply.reasoning == "Hm."
    assert reply.text == 'Hello wörld, “yes” \\ "ok"'
    assert reply.tool_calls == (ToolCall("tooluse_01", "get_weather", '{"city": "Paris"}'),)
    # frames in order: start, thinking (2nd), signature, stop, text (5th), text (6th), stop, tool, empty arguments,
    # arguments (10th), arguments (11th), stop, messageStop, metadata
    assert reply.content_ns == (2000, 5000, 6000, 10000, 11000)
    assert (reply.first_token_ns, reply.first_text_ns) == (2000, 5000)
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("tool", "tool_use", True)
    assert reply.usage == Usage(25, 2048, 60, 40, 42, None, "provider")
    assert (reply.served_lane, reply.served_model, reply.message_id, reply.error_body) == ("priority", None, None, None)


def test_a_stream_of_plain_text_is_read_whole() -> None:
    reply = frame_by_frame("text")
    assert (reply.text, reply.stop_reason, reply.complete) == (SKY, "stop", True)
    assert reply.content_ns == tuple(range(2000, 11000, 1000))  # nine deltas after one event that is no content
    assert reply.usage == Usage(12, 0, 0, 0, 9, None, "provider")
    assert reply.served_lane == "default"


def test_events_that_came_in_one_read_share_its_stamp() -> None:
    assert converse.decode(in_one_piece("converse_text.eventstream")).content_ns == (1000,) * 9


def test_calls_of_several_tools_at_once_are_kept_apart_and_in_order() -> None:
    assert frame_by_frame("parallel_tools").tool_calls == (
        ToolCall("tooluse_a", "look", '{"id":1}'),
        ToolCall("tooluse_b", "look", '{"id":2}'),
        ToolCall("tooluse_c", "now", "{}"),  # a call without arguments sends none
    )


def test_redacted_thinking_is_no_content() -> None:
    reply = frame_by_frame("redacted")
    assert (reply.text, reply.reasoning, reply.content_ns) == ("Yes.", "", (4000,))
    assert reply.usage.output_tokens == 30


def test_a_guardrail_is_a_filter_and_the_routers_model_and_the_lane_are_told() -> None:
    reply = frame_by_frame("guardrail")
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("filtered", "guardrail_intervened", True)
    assert reply.served_model is not None
    assert reply.served_model.endswith("anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert reply.served_lane == "default/optimized"


ERRORS = [
    ("throttled", "throttlingException", "Too many tokens, please wait before trying again.", "throttled"),
    ("model_stream_error", "modelStreamErrorException", "The model failed.", "overloaded"),  # its own status was 529
    ("unmodelled_error", "InternalFailure", "The service ended the stream.", "server"),
]


@pytest.mark.parametrize(("name", "code", "message", "outcome"), ERRORS)
def test_an_error_in_the_stream_keeps_what_came_and_has_its_outcome(
    name: str, code: str, message: str, outcome: str
) -> None:
    reply = frame_by_frame(name)
    assert (reply.text, reply.complete, reply.content_ns) == ("The", False, (2000,))
    assert reply.error_body is not None
    fault = get("bedrock").fault(200, (), reply.error_body)
    assert (fault.outcome, fault.code, fault.message) == (outcome, code, message)


IN_STREAM = [
    ("internalServerException", "server", True),
    ("modelStreamErrorException", "server", True),
    ("validationException", "bad_request", False),
    ("throttlingException", "throttled", True),
    ("serviceUnavailableException", "overloaded", True),
]


@pytest.mark.parametrize(("kind", "outcome", "retryable"), IN_STREAM)
def test_every_exception_that_a_stream_can_hold_has_its_outcome(kind: str, outcome: str, retryable: bool) -> None:
    reply = decoded(exception(kind, {"message": "m"}))
    assert reply.error_body is not None
    fault = get("bedrock").fault(200, (), reply.error_body)
    assert (fault.outcome, fault.code, fault.retryable) == (outcome, kind, retryable)


def test_a_stream_without_its_last_event_is_not_complete() -> None:
    frames = split(golden("converse_text.eventstream"))
    without_metadata = decoded(b"".join(frames[:-1]))
    assert (without_metadata.text, without_metadata.stop_reason, without_metadata.complete) == (SKY, "stop", False)
    assert without_metadata.usage == Usage()
    assert decoded(b"".join([*frames[:-2], frames[-1]])).complete is False  # no stop reason


def test_the_last_usage_wins() -> None:
    more = event("metadata", {"usage": {"inputTokens": 12, "outputTokens": 11, "totalTokens": 23}})
    usage = decoded(golden("converse_text.eventstream") + more).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (12, 11, 0)


def test_a_corrupt_frame_is_an_error_and_what_came_before_is_kept() -> None:
    frames = bytearray(golden("converse_text.eventstream"))
    frames[-1] ^= 0xFF
    reply = decoded(bytes(frames))
    assert (reply.text, reply.complete) == (SKY, False)
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["type"] == "event_stream_broken"


def test_a_frame_that_is_no_json_is_an_error_and_an_unknown_event_is_none() -> None:
    start, *rest = split(golden("converse_text.eventstream"))
    strange = event("somethingNew", {"delta": {"text": "no"}}) + event("contentBlockDelta", {"delta": {"new": 1}})
    assert decoded(start + strange + b"".join(rest)) == decoded(start + b"".join(rest))
    broken = decoded(start + event("contentBlockDelta", "text") + b"".join(rest))
    assert (broken.text, broken.complete) == (SKY, True)
    assert broken.error_body is not None
    assert json.loads(broken.error_body)["error"]["type"] == "malformed_event"


def test_what_tools_of_the_service_itself_do_is_not_a_call_of_ours() -> None:
    start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "a", "name": "s", "type": "server_tool_use"}}}
    body = event("contentBlockStart", start) + event(
        "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}
    )
    reply = decoded(body)
    assert (reply.tool_calls, reply.content_ns) == ((), (1000,))


def test_a_reply_without_streaming_has_text_but_no_arrival_times() -> None:
    reply = converse.decode(in_one_piece("converse_whole.json"))
    assert (reply.text, reply.reasoning, reply.content_ns, reply.first_text_ns) == ("Hello world", "Hm.", (), None)
    assert reply.tool_calls == (ToolCall("tooluse_01", "get_weather", '{"city": "Paris"}'),)
    assert reply.usage == Usage(25, 2048, 60, 40, 42, None, "provider")
    assert (reply.stop_reason, reply.complete, reply.served_lane) == ("tool", True, "default")


def test_cited_text_is_text() -> None:
    content = [{"citationsContent": {"content": [{"text": "It is "}, {"text": "so."}], "citations": []}}]
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    assert converse.decode(exchange([(1, json.dumps(body).encode())], "application/json")).text == "It is so."


@pytest.mark.parametrize("body", [b'{"message":"boom"}', b'{"error":{"code":502}}', b"[]", b"<html>", b'{"output":1}'])
def test_a_200_that_is_no_reply_is_an_error(body: bytes) -> None:
    reply = converse.decode(exchange([(1000, body)], "application/json"))
    assert reply.error_body is not None
    assert reply == Reply(error_body=reply.error_body)


def test_the_body_of_an_error_status_is_left_to_the_provider_and_no_body_says_nothing() -> None:
    assert converse.decode(exchange([(1000, b'{"message":"m"}')], "application/json", status=400)) == Reply()
    assert converse.decode(exchange([], AWS)) == Reply()
    assert converse.decode(exchange([], "application/json")) == Reply()


CACHE_USAGE = [
    # total, split, (5m, 1h): what is outside the split was written at the API's default lifetime, five minutes
    (None, None, (None, None)),
    (0, None, (0, 0)),
    (100, None, (100, 0)),
    (100, [("1h", 40), ("5m", 60)], (60, 40)),
    (150, [("1h", 40), ("5m", 60)], (110, 40)),  # 150 - 40
    (None, [("1h", 40), ("5m", 60)], (60, 40)),
    (30, [("1h", 40)], (0, 30)),  # never more than the total
    (50, [("1h", 20), ("1h", 10)], (20, 30)),  # 20 + 10 of one lifetime; 50 - 30
]


@pytest.mark.parametrize(("total", "split_by_ttl", "want"), CACHE_USAGE)
def test_cache_writes_are_told_apart_by_lifetime(
    total: int | None, split_by_ttl: list[tuple[str, int]] | None, want: tuple[int | None, int | None]
) -> None:
    details = None if split_by_ttl is None else [{"ttl": ttl, "inputTokens": n} for ttl, n in split_by_ttl]
    usage = converse.usage_of({"cacheWriteInputTokens": total, "cacheDetails": details})
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == want


STOP_REASONS = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("stop_sequence", "stop_sequence"),
    ("tool_use", "tool"),
    ("guardrail_intervened", "filtered"),
    ("content_filtered", "filtered"),
    ("malformed_model_output", "malformed"),
    ("malformed_tool_use", "malformed"),
    ("model_context_window_exceeded", "context"),
    ("something_new", None),
]


@pytest.mark.parametrize(("native", "want"), STOP_REASONS)
def test_stop_reasons_are_normalised_and_the_native_one_is_kept(native: str, want: str | None) -> None:
    reply = decoded(event("messageStop", {"stopReason": native}) + event("metadata", {"metrics": {"latencyMs": 1}}))
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == (want, native, True)


# ------------------------------------------------------------------------------------------------ encode

LOOK = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": True},
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}


def encoded(*messages: dict[str, Any], **params: Any) -> dict[str, Any]:
    turns = messages or ({"role": "user", "content": "hi"},)
    return dialects.get("converse").encode(Case("c", turns), Params(**params), TARGET)


def test_the_least_body_says_only_what_must_be_said() -> None:
    assert encoded(stream=False) == {
        "modelId": TARGET.model_id,
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 1024},
    }
    assert encoded()["stream"] is True


def test_every_setting_has_its_place() -> None:
    body = encoded(
        max_tokens=3000, temperature=0.0, top_p=0.5, top_k=3, stop=("END",), effort="high", thinking_budget_tokens=2000,
        response_format=SCHEMA, tools=(LOOK,), tool_choice="required",
        extra_body={"additionalModelRequestFields": {"anthropic_beta": ["x"]}, "performanceConfig": {"latency": "optimized"}},
    )  # fmt: skip
    assert body["inferenceConfig"] == {"maxTokens": 3000, "temperature": 0.0, "topP": 0.5, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "top_k": 3,
        "anthropic_beta": ["x"],
    }
    assert body["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "answer"}},  # the schema is a string
        },
        "effort": "high",
    }
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "description": "Looks.",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            }
        ],
        "toolChoice": {"any": {}},
    }
    assert encoded(thinking_budget_tokens=0)["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}


def test_a_tier_is_named_in_the_body() -> None:
    from dataclasses import replace

    target = replace(TARGET, service_tier="flex")
    body = converse.encode(Case("c", ({"role": "user", "content": "hi"},)), Params(), target)
    assert body["serviceTier"] == {"type": "flex"}


CHOICES = [
    ("auto", {"auto": {}}),
    ("required", {"any": {}}),
    ({"type": "function", "function": {"name": "look"}}, {"tool": {"name": "look"}}),
    ({"type": "tool", "name": "look"}, {"tool": {"name": "look"}}),
]


@pytest.mark.parametrize(("given", "want"), CHOICES)
def test_the_choice_of_tools_is_carried(given: Any, want: dict[str, Any]) -> None:
    assert encoded(tools=(LOOK,), tool_choice=given)["toolConfig"]["toolChoice"] == want


def test_a_conversation_with_tools_and_images_keeps_its_order() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "look", "arguments": ""}},
    ]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO\nRw0KGgo="}}
    body = encoded(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "a cat"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "Well?"},
        tools=(LOOK,),
    )
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"text": "What is this?"},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "a", "name": "look", "input": {"at": 1}}},
                {"toolUse": {"toolUseId": "b", "name": "look", "input": {}}},
            ],
        },
        {  # turns of one role that follow each other are one turn: Converse wants them to alternate
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "a", "content": [{"text": "a cat"}]}},
                {"toolResult": {"toolUseId": "b", "content": []}},
                {"text": "Well?"},
            ],
        },
    ]


def test_documents_are_carried_as_bytes_or_text() -> None:
    parts = [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
        {"type": "document", "title": "Notes", "source": {"type": "text", "data": "abc"}, "context": "old"},
    ]
    assert encoded({"role": "user", "content": parts})["messages"][0]["content"] == [
        {"document": {"format": "pdf", "name": "document", "source": {"bytes": "JVBERg=="}}},
        {"document": {"format": "txt", "name": "Notes", "source": {"text": "abc"}, "context": "old"}},
    ]


def places(body: dict[str, Any]) -> list[tuple[tuple[str, ...], str | None]]:
    """The cache marks of a body in either dialect: what stands before each, in the order of caching, and its lifetime."""
    before: list[str] = []
    found: list[tuple[tuple[str, ...], str | None]] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            before.append(value)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for key in ("toolSpec", "name", "text", "content"):
                walk(value.get(key))
            mark = value.get("cachePoint") or value.get("cache_control")
            if mark:
                found.append((tuple(before), mark.get("ttl")))

    walk(body.get("toolConfig", body).get("tools"))
    walk(body.get("system"))
    walk(body["messages"])
    return found


@pytest.mark.parametrize("ttl", [None, "5m", "1h"])
@pytest.mark.parametrize(
    "points", [("tools",), ("system",), ("history",), ("last_message",), ("tools", "system", "history", "last_message")]
)
def test_cache_points_stand_where_the_messages_dialect_puts_its_marks(points: tuple[str, ...], ttl: str | None) -> None:
    turns = (
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    )
    params = Params(tools=(LOOK,), cache_breakpoints=points, cache_ttl=ttl)
    both = [dialects.get(name).encode(Case("c", turns), params, TARGET) for name in ("converse", "messages")]
    assert places(both[0]) == places(both[1])
    assert len(places(both[0])) == len(points)


def test_a_cache_point_says_default_and_its_lifetime_only_where_one_is_set() -> None:
    assert encoded(cache_breakpoints=("last_message",))["messages"][0]["content"][-1] == {
        "cachePoint": {"type": "default"}
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"seed": 7}, "seed: Converse has none"),
    ({"temperature": 1.5}, "temperature: got 1.5; want 0 to 1"),
    ({"effort": "none"}, "effort: got 'none'; want one of low"),
    ({"thinking_budget_tokens": 100}, "thinking_budget_tokens: got 100"),
    ({"cache_ttl": "2h"}, "cache_ttl: got '2h'; want 5m or 1h"),
    ({"cache_breakpoints": ("all",)}, "cache_breakpoints: got 'all'"),
    ({"response_format": {"type": "json_object"}}, "response_format: got type 'json_object'"),
    ({"response_format": {"type": "json_schema"}}, "response_format: got type 'json_schema'"),
    ({"tools": ({"type": "web_search", "name": "w"},)}, "tools: got type 'web_search'"),
    ({"tools": ({"name": "f", "input_schema": {}, "eager_input_streaming": True},)}, "f has eager_input_streaming"),
    ({"tools": (LOOK,), "tool_choice": "none"}, "for none, leave out the tools"),
    ({"tools": (LOOK,), "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, "want auto, required"),
    ({"tool_choice": "auto"}, "tool_choice: there are no tools to choose from"),
    ({"extra_body": {"speed": "fast"}}, "extra_body.speed: Converse has no such field"),
    ({"extra_body": {"inferenceConfig": {}}}, "extra_body.inferenceConfig"),
    ({"extra_body": {"additionalModelRequestFields": {"top_k": 3}}}, "use the setting of that purpose"),
    ({"extra_body": {"additionalModelRequestFields": 3}}, "want a mapping"),
]


@pytest.mark.parametrize(("params", "said"), REFUSED)
def test_what_converse_cannot_carry_is_refused_and_never_dropped(params: dict[str, Any], said: str) -> None:
    (problem,) = converse.unsupported(Params(**params))
    assert said in problem
    with pytest.raises(BenchError, match="t: "):
        encoded(**params)


def test_every_setting_that_cannot_be_carried_is_named_at_once() -> None:
    assert len(converse.unsupported(Params(seed=1, effort="x", cache_ttl="x", tool_choice="auto"))) == 4
    assert converse.unsupported(Params(tools=(LOOK,), tool_choice="auto", response_format=SCHEMA)) == []


PARTS: list[tuple[Any, str]] = [
    ([{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}], "not as an address"),
    ([{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}], "png, jpeg, gif or webp"),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA"}}], "not base64"),
    ([{"type": "document", "source": {"type": "url", "url": "https://example.com/"}}], "base64 or text"),
    ([{"type": "input_audio"}], "input_audio"),
]


@pytest.mark.parametrize(("content", "said"), PARTS)
def test_a_part_that_cannot_be_carried_names_its_case(content: Any, said: str) -> None:
    with pytest.raises(BenchError, match=said) as told:
        encoded({"role": "user", "content": content})
    assert str(told.value).startswith("case c: ")
