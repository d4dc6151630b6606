"""The Messages dialect: golden bytes in, replies out; cases in, bodies out."""

import base64
import gzip
import json
from dataclasses import replace

import pytest

from bench import dialects, providers
from bench.dialects import messages
from bench.engine.send import fault_of
from bench.errors import BenchError
from bench.record import Case, Fault, Params, Reply, ToolCall, Usage
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, event_by_event, exchange, golden, in_one_piece

TARGET = Target("t", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5-20250929", "messages")
SKY = "The sky is blue. It is 20°C."


# ------------------------------------------------------------------------------------------------ decode


def test_thinking_text_and_a_tool_call_are_read_from_one_stream() -> None:
    reply = messages.decode(event_by_event("messages_thinking_text_tool.sse"))
    assert reply.reasoning == "Hm."
    assert reply.text == 'Hello wörld, “yes” \\ "ok"'
    assert reply.tool_calls == (ToolCall("toolu_01", "get_weather", '{"city": "Paris"}'),)
    # events in order: start, block, ping, thinking (4th), signature, stop, block, text (8th), text (9th), stop, block,
    # empty arguments, arguments (13th), arguments (14th), stop, delta, stop
    assert reply.content_ns == (4000, 8000, 9000, 13000, 14000)
    assert reply.first_token_ns == 4000
    assert reply.first_text_ns == 8000
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("tool", "tool_use", True)
    assert (reply.served_model, reply.message_id, reply.served_lane) == (
        "claude-sonnet-4-5-20250929",
        "msg_01",
        "standard/us",
    )
    assert reply.usage == Usage(25, 2048, 60, 40, 42, 7, "provider")
    assert reply.error_body is None


def test_a_stream_of_plain_text_is_read_whole() -> None:
    reply = messages.decode(event_by_event("messages_text.sse"))
    assert reply.text == SKY
    assert reply.content_ns == tuple(range(3000, 12000, 1000))  # nine deltas, after two events that are no content
    assert reply.stop_reason == "stop"
    assert reply.usage == Usage(input_tokens=12, output_tokens=9, source="provider")
    assert reply.served_lane is None


def test_lines_may_end_with_carriage_returns_too() -> None:
    body = golden("messages_text.sse").replace(b"\n", b"\r\n")
    reply = messages.decode(exchange([(1000, body)]))
    assert (reply.text, reply.complete) == (SKY, True)


def test_events_that_came_in_one_read_share_its_stamp() -> None:
    reply = messages.decode(in_one_piece("messages_text.sse"))
    assert reply.content_ns == (1000,) * 9


def test_a_thinking_block_that_is_only_a_signature_has_no_content() -> None:
    reply = messages.decode(event_by_event("messages_signature_only.sse"))
    assert (reply.text, reply.reasoning, reply.content_ns, reply.first_text_ns) == ("", "", (), None)
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("filtered", "refusal", True)
    assert reply.usage.output_tokens == 4


def test_calls_made_together_are_read_apart_and_one_without_arguments_is_content_too() -> None:
    reply = messages.decode(event_by_event("messages_parallel_tools.sse"))
    assert reply.tool_calls == (
        ToolCall("toolu_01", "get_weather", '{"city": "Köln"}'),
        ToolCall("toolu_02", "get_time", "{}"),
    )
    # events in order: start, block, ping, signature, stop, block, empty arguments, arguments (8th), arguments (9th),
    # stop, the block of a call without arguments (11th)
    assert reply.content_ns == (8000, 9000, 11000)
    assert (reply.stop_reason, reply.first_text_ns, reply.served_lane) == ("tool", None, "standard/global")
    # thoughts that are not shown are counted all the same
    assert (reply.reasoning, reply.usage.reasoning_tokens, reply.usage.output_tokens) == ("", 40, 91)


def test_a_refusal_keeps_its_category_and_its_explanation() -> None:
    reply = messages.decode(event_by_event("messages_refusal.sse"))
    assert (reply.text, reply.stop_reason, reply.native_stop_reason) == ("I can", "filtered", "refusal")
    assert reply.stop_detail == "cyber: The request asks for an exploit."
    fault = fault_of(providers.get("anthropic"), in_one_piece("messages_refusal.sse"), reply)
    assert fault == Fault("filtered", "refusal", "cyber: The request asks for an exploit.")


def test_a_tool_that_the_server_used_is_content_and_no_call_of_ours() -> None:
    reply = messages.decode(event_by_event("messages_server_tool.sse"))
    assert (reply.text, reply.tool_calls, reply.stop_reason) == ("High at noon.", (), "stop")
    assert len(reply.content_ns) == 2  # the query and the text; results and citations are not generated token by token
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (900, 30)


def test_a_limit_that_thoughts_used_up_is_ours_to_raise_and_no_failure_of_the_server() -> None:
    body = golden("messages_signature_only.sse").replace(b'"refusal"', b'"max_tokens"')
    one = exchange([(1000, body)])
    fault = fault_of(providers.get("anthropic"), one, messages.decode(one))
    assert fault is not None
    assert (fault.outcome, fault.code, fault.retryable) == ("truncated", "max_tokens", False)
    assert "raise it" in fault.message


def test_usage_after_the_stop_still_counts_and_the_last_one_wins() -> None:
    usage = messages.decode(in_one_piece("messages_usage_after_stop.sse")).usage
    assert (usage.input_tokens, usage.output_tokens) == (14, 9)


def test_the_output_count_of_the_first_event_is_a_placeholder() -> None:
    body = golden("messages_text.sse")
    cut = messages.decode(exchange([(1000, body[: body.index(b"event: message_delta")])]))
    assert cut.usage.input_tokens == 12
    assert cut.usage.output_tokens is None


def test_a_cut_stream_keeps_what_it_delivered_and_is_not_complete() -> None:
    body = golden("messages_text.sse")
    cut = messages.decode(exchange([(1000, body[: body.index(b'"."')])], failure="reset"))
    assert cut.text == "The sky is blue"
    assert cut.complete is False
    assert cut.error_body is None
    assert cut.stop_reason is None


def test_a_stop_event_without_a_stop_reason_is_not_a_complete_stream() -> None:
    body = golden("messages_text.sse").replace(b'"stop_reason":"end_turn"', b'"stop_reason":null')
    assert messages.decode(exchange([(1000, body)])).complete is False


def test_an_error_inside_the_stream_is_handed_on_as_it_came() -> None:
    reply = messages.decode(in_one_piece("messages_overloaded.sse"))
    assert reply.text == "The"
    assert reply.complete is False
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"] == {"type": "overloaded_error", "message": "Overloaded"}


def test_an_event_that_is_not_json_is_an_error_and_the_rest_is_kept() -> None:
    body = golden("messages_text.sse").replace(b'data: {"type":"content_block_stop","index":0}', b"data: <html>")
    reply = messages.decode(exchange([(1000, body)]))
    assert (reply.text, reply.complete) == (SKY, True)
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["type"] == "malformed_event"


def test_a_reply_without_streaming_has_text_but_no_arrival_times() -> None:
    reply = messages.decode(in_one_piece("messages_whole.json"))
    assert (reply.text, reply.reasoning, reply.content_ns, reply.first_text_ns) == ("Hello world", "Hm.", (), None)
    assert reply.tool_calls == (ToolCall("toolu_01", "get_weather", '{"city": "Paris"}'),)
    assert reply.usage == Usage(25, 2048, 60, 40, 42, 7, "provider")
    assert (reply.stop_reason, reply.complete, reply.served_lane) == ("tool", True, "standard")


def test_a_json_error_under_a_stream_content_type_is_an_error() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"boom"}}'
    reply = messages.decode(exchange([(1000, body)]))
    assert reply == Reply(error_body=body)


def test_the_body_of_an_error_status_is_left_to_the_provider() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert messages.decode(exchange([(1000, body)], CONTENT_TYPES[".json"], status=529)) == Reply()


def test_a_compressed_stream_is_read_and_its_pieces_keep_their_stamps() -> None:
    packer = gzip.compress(golden("messages_text.sse"))
    half = len(packer) // 2
    pieces = [(1000, packer[:half]), (2000, packer[half:])]
    reply = messages.decode(exchange(pieces, headers=(("content-encoding", "gzip"),)))
    assert (reply.text, reply.complete, reply.content_ns[-1]) == (SKY, True, 2000)


CACHE_USAGE = [
    # total, split, (5m, 1h): what is outside the split was written at the API's default lifetime, five minutes
    (None, None, (None, None)),
    (0, None, (0, 0)),
    (100, None, (100, 0)),
    (100, {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}, (60, 40)),
    (150, {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}, (110, 40)),  # 150 - 40
    (None, {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}, (60, 40)),
    (30, {"ephemeral_1h_input_tokens": 40}, (0, 30)),  # never more than the total
]


@pytest.mark.parametrize(("total", "split", "want"), CACHE_USAGE)
def test_cache_writes_are_told_apart_by_lifetime(
    total: int | None, split: dict[str, int] | None, want: tuple[int | None, int | None]
) -> None:
    usage = messages.usage_of({"cache_creation_input_tokens": total, "cache_creation": split})
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == want


def test_usage_that_says_nothing_has_no_source() -> None:
    assert messages.usage_of({}) == Usage()
    assert messages.usage_of({"output_tokens": "many", "input_tokens": -1, "cache_read_input_tokens": True}) == Usage()


STOP_REASONS = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("stop_sequence", "stop_sequence"),
    ("tool_use", "tool"),
    ("refusal", "filtered"),
    ("model_context_window_exceeded", "context"),
    ("pause_turn", "stop"),
    ("something_new", None),
]


@pytest.mark.parametrize(("native", "want"), STOP_REASONS)
def test_stop_reasons_are_normalised_and_the_native_one_is_kept(native: str, want: str | None) -> None:
    body = golden("messages_text.sse").replace(b"end_turn", native.encode())
    reply = messages.decode(exchange([(1000, body)]))
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == (want, native, True)


# ------------------------------------------------------------------------------------------------ AWS event streams


def test_event_stream_frames_carry_the_same_reply() -> None:
    reply = messages.decode(in_one_piece("bedrock_text.eventstream"))
    assert (reply.text, reply.complete, reply.stop_reason, reply.message_id) == (SKY, True, "stop", "msg_bdrk_01")
    assert len(reply.content_ns) == 9
    assert reply.usage == Usage(12, 0, 0, 0, 9, None, "provider")


def test_bedrocks_own_metrics_stand_in_for_a_missing_output_count() -> None:
    frames = golden("bedrock_text.eventstream")
    reply = messages.decode(exchange([(1000, frames)], CONTENT_TYPES[".eventstream"]))
    assert reply.usage.output_tokens == 9
    from bench.wire.framing import event_stream_messages

    received, _ = event_stream_messages([(1000, frames)])
    datas = [base64.b64decode(json.loads(payload)["bytes"]) for _, _, payload in received]
    without = [data for data in datas if b"message_delta" not in data]
    columns = [1000] * len(without), [None] * len(without), without
    assert messages._decode_events(columns, None).usage.output_tokens == 9  # outputTokenCount of message_stop


def test_a_tool_call_in_event_stream_frames_is_read() -> None:
    reply = messages.decode(in_one_piece("bedrock_tool.eventstream"))
    assert reply.tool_calls == (ToolCall("toolu_bdrk_01", "get_weather", '{"city": "Köln"}'),)
    assert reply.first_text_ns is None
    assert len(reply.content_ns) == 1


def test_an_exception_frame_is_an_error_with_its_type() -> None:
    reply = messages.decode(in_one_piece("bedrock_throttled.eventstream"))
    assert (reply.text, reply.complete) == ("The", False)
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"] == {
        "type": "throttlingException",
        "message": "Too many tokens, please wait before trying again.",
    }


def test_an_exception_of_the_model_keeps_its_original_status() -> None:
    reply = messages.decode(in_one_piece("bedrock_model_stream_error.eventstream"))
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["originalStatusCode"] == 529


def test_a_corrupt_frame_is_an_error_and_what_came_before_is_kept() -> None:
    frames = bytearray(golden("bedrock_text.eventstream"))
    frames[len(frames) // 2] ^= 0xFF
    reply = messages.decode(exchange([(1000, bytes(frames))], CONTENT_TYPES[".eventstream"]))
    assert reply.text
    assert SKY.startswith(reply.text)
    assert reply.complete is False
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["type"] == "event_stream_broken"


def test_a_stream_cut_inside_a_frame_is_cut_and_not_corrupt() -> None:
    frames = golden("bedrock_text.eventstream")
    for cut in (len(frames) - 1, len(frames) - 200, len(frames) // 2, 3):
        reply = messages.decode(exchange([(1000, frames[:cut])], CONTENT_TYPES[".eventstream"]))
        assert reply.error_body is None, cut
        assert reply.complete is False, cut
        assert SKY.startswith(reply.text), cut


# ------------------------------------------------------------------------------------------------ encode


def encoded(case: Case, **params: object) -> dict[str, object]:
    return messages.encode(case, Params(**params), TARGET)  # type: ignore[arg-type]


HELLO = Case("c1", ({"role": "user", "content": "hi"},))


def test_a_plain_body_holds_only_what_was_asked_for() -> None:
    assert encoded(HELLO, max_tokens=64) == {
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        "model": "claude-sonnet-4-5-20250929",
        "stream": True,
    }


def test_every_setting_has_its_place() -> None:
    body = encoded(
        Case("c1", ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"})),
        max_tokens=4096,
        temperature=0.0,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        stream=False,
        effort="low",
        thinking_budget_tokens=2048,
        tool_choice="required",
        tools=({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},),
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        extra_body={"metadata": {"user_id": "u"}, "top_k": 5},
    )
    assert body == {
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
        "model": "claude-sonnet-4-5-20250929",
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "stop_sequences": ["END"],
        "system": "Be brief.",
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tool_choice": {"type": "any"},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 5,  # extra_body has the last word
        "metadata": {"user_id": "u"},
    }


def test_a_conversation_with_tools_and_an_image_becomes_blocks() -> None:
    case = Case(
        "c1",
        (
            {"role": "developer", "content": "A."},
            {"role": "system", "content": [{"type": "text", "text": "B."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "go on"},
        ),
    )
    body = encoded(case)
    assert body["system"] == [{"type": "text", "text": "A."}, {"type": "text", "text": "B."}]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "two"}]},
            ],
        },
        {"role": "user", "content": "go on"},
    ]


def test_cache_marks_stand_on_the_last_block_of_each_named_part() -> None:
    case = Case(
        "c1",
        (
            {"role": "system", "content": "S"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ),
    )
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = encoded(
        case, cache_breakpoints=("tools", "system", "history", "last_message"), cache_ttl="1h", tools=(tool, tool)
    )
    assert [("cache_control" in each) for each in body["tools"]] == [False, True]  # type: ignore[attr-defined]
    assert body["system"] == [{"type": "text", "text": "S", "cache_control": mark}]
    assert body["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [{"type": "text", "text": "two", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "three", "cache_control": mark}]},
    ]
    assert case.messages[0] == {"role": "system", "content": "S"}
    assert encoded(case, cache_breakpoints=("system",))["system"] == [
        {"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}
    ]


def test_marking_the_cache_leaves_the_cases_and_tools_of_the_workload_alone() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}}
    part = {"type": "text", "text": "x"}
    case = Case("c1", ({"role": "user", "content": [part]},))
    encoded(case, cache_breakpoints=("tools", "last_message"), tools=(tool,))
    assert (tool, part) == ({"name": "f", "input_schema": {"type": "object"}}, {"type": "text", "text": "x"})


TOOL_CHOICES = [
    ("auto", {"type": "auto"}),
    ("none", {"type": "none"}),
    ("required", {"type": "any"}),
    ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "auto", "disable_parallel_tool_use": True}),
]


@pytest.mark.parametrize(("choice", "want"), TOOL_CHOICES)
def test_tool_choice_is_put_in_the_dialects_words(choice: object, want: dict[str, object]) -> None:
    assert encoded(HELLO, tool_choice=choice)["tool_choice"] == want


def test_a_deployment_is_sent_as_the_model() -> None:
    target = replace(TARGET, provider="foundry", deployment="my-sonnet", service_tier="standard_only")
    body = messages.encode(HELLO, Params(), target)
    assert (body["model"], body["service_tier"]) == ("my-sonnet", "standard_only")


def test_a_thinking_budget_of_nothing_switches_thinking_off() -> None:
    assert encoded(HELLO, thinking_budget_tokens=0)["thinking"] == {"type": "disabled"}


HAIKU_5 = replace(TARGET, model="claude-haiku-5-5", model_id="claude-haiku-5-5")
SONNET_5 = replace(TARGET, model="claude-sonnet-5-5", model_id="claude-sonnet-5-5")
HIDDEN = {"thinking": {"display": "omitted"}}
THINKING = [
    # target, settings -> thinking and effort that are sent
    (TARGET, {}, None, None),
    (TARGET, {"thinking_budget_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}, None),
    (TARGET, {"thinking_budget_tokens": 2048, "extra_body": HIDDEN},
     {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}, None),
    (TARGET, {"effort": "none"}, {"type": "disabled"}, None),
    (TARGET, {"effort": "low"}, None, "low"),
    (HAIKU_5, {"effort": "high"}, {"type": "adaptive"}, "high"),  # an effort is how this model is told to think
    (HAIKU_5, {"effort": "high", "extra_body": HIDDEN}, {"type": "adaptive", "display": "omitted"}, "high"),
    (HAIKU_5, {}, None, None),
    (HAIKU_5, {"effort": "none"}, {"type": "disabled"}, None),
    (SONNET_5, {"effort": "high"}, None, "high"),  # it always thinks: there is nothing to switch on
    (SONNET_5, {"extra_body": HIDDEN}, {"type": "adaptive", "display": "omitted"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("target", "settings", "thinking", "effort"), THINKING)
def test_each_model_is_told_to_think_in_its_own_way(
    target: Target, settings: dict[str, object], thinking: object, effort: object
) -> None:
    body = messages.encode(HELLO, Params(max_tokens=4096, **settings), target)  # type: ignore[arg-type]
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_thoughts_go_back_with_their_signatures() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    hidden = {"type": "redacted_thinking", "data": "b2s="}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    case = Case(
        "c1",
        (
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [thought, hidden], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
        ),
    )
    turn = encoded(case)["messages"][1]  # type: ignore[index]
    assert turn["content"] == [thought, hidden, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]


REFUSED = [
    (Params(seed=1), "seed"),
    (Params(effort="minimal"), "effort"),
    (Params(thinking_budget_tokens=500), "thinking_budget_tokens"),
    (Params(thinking_budget_tokens=1024, max_tokens=1024), "thinking_budget_tokens"),
    (Params(cache_ttl="30m"), "cache_ttl"),
    (Params(cache_breakpoints=("middle",)), "cache_breakpoints"),
    (Params(response_format={"type": "json_object"}), "response_format"),
    (Params(response_format={"type": "json_schema"}), "response_format"),
    (Params(tools=({"type": "retrieval"},)), "tools"),
    (Params(tool_choice="sometimes"), "tool_choice"),
]


@pytest.mark.parametrize(("params", "key"), REFUSED)
def test_what_the_dialect_cannot_carry_is_named_and_never_dropped(params: Params, key: str) -> None:
    (problem,) = messages.unsupported(params)
    assert problem.startswith(key + ":")
    with pytest.raises(BenchError, match=key):
        messages.encode(HELLO, params, TARGET)


def test_everything_else_is_supported() -> None:
    assert messages.unsupported(Params()) == []
    fmt = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    assert messages.unsupported(Params(temperature=0, top_k=3, stop=("a",), effort="max", response_format=fmt)) == []


BAD_CASES = [
    ({"role": "user", "content": "a"}, {"role": "system", "content": "late"}),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},),
    ({"role": "critic", "content": "a"},),
    (
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://e.example/x", "detail": "low"}}],
        },
    ),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,abc"}}]},),
    ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},),
]


@pytest.mark.parametrize("turns", BAD_CASES)
def test_a_conversation_that_cannot_be_carried_is_refused_by_its_case(turns: tuple[dict[str, object], ...]) -> None:
    with pytest.raises(BenchError, match="case odd"):
        encoded(Case("odd", turns))


def test_an_unknown_dialect_is_answered_with_those_there_are() -> None:
    assert dialects.get("messages").name == "messages"
    with pytest.raises(BenchError, match="messages, chat"):
        dialects.get("mesages")
