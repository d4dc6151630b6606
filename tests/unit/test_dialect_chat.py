"""The chat dialect: golden bytes in, replies out; cases in, bodies out."""

import json

import pytest

from bench.dialects import chat
from bench.errors import BenchError
from bench.record import Case, Params, Reply, ToolCall, Usage
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, event_by_event, exchange, golden, in_one_piece

SKY = "The sky is blue. It is 20°C."
TARGET = Target("t", "qwen", "openai-compatible", "Qwen/Qwen3-8B", "chat")
HELLO = Case("c1", ({"role": "system", "content": "S"}, {"role": "user", "content": "hi"}))


# ------------------------------------------------------------------------------------------------ decode


def test_text_and_two_tool_calls_are_read_from_one_stream() -> None:
    reply = chat.decode(event_by_event("chat_text_tool.sse"))
    assert reply.text == 'Hello wörld "quoted" \\ back'
    assert reply.tool_calls == (
        ToolCall("call_1", "get_weather", '{"city":"Paris"}'),
        ToolCall("call_2", "get_time", "{}"),
    )
    # events in order: role, text (2nd), text, text (4th), the call's name with empty arguments, arguments (6th),
    # arguments (7th), the second call whole (8th), finish, usage, [DONE]
    assert reply.content_ns == (2000, 3000, 4000, 6000, 7000, 8000)
    assert reply.first_text_ns == 2000
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("tool", "tool_calls", True)
    # 25 prompt tokens hold 5 read from the cache and 3 written to it: 25 - 5 - 3 = 17
    assert reply.usage == Usage(17, 5, 3, None, 42, 7, "provider")
    assert (reply.served_model, reply.message_id, reply.served_lane) == ("gpt-5-2025-08-07", "chatcmpl-1", "default")


def test_the_chunk_that_only_names_the_role_is_no_content() -> None:
    reply = chat.decode(event_by_event("chat_text.sse"))
    assert reply.text == SKY
    assert reply.content_ns == tuple(range(2000, 11000, 1000))  # nine deltas after the role


def test_events_that_came_in_one_read_share_its_stamp() -> None:
    assert chat.decode(in_one_piece("chat_text.sse")).content_ns == (1000,) * 9


def test_reasoning_counts_as_first_token_and_not_as_first_text() -> None:
    reply = chat.decode(event_by_event("chat_reasoning_vllm.sse"))
    assert (reply.reasoning, reply.text) == ("Let me think.", "Four.")
    assert (reply.first_token_ns, reply.first_text_ns, reply.last_token_ns) == (2000, 4000, 5000)
    assert reply.usage == Usage(input_tokens=9, output_tokens=5, source="provider")


def test_the_older_name_of_reasoning_is_read_and_both_names_at_once_are_read_once() -> None:
    older = golden("chat_reasoning_vllm.sse").replace(b'"reasoning":', b'"reasoning_content":')
    assert chat.decode(exchange([(1, older)])).reasoning == "Let me think."
    both = golden("chat_reasoning_vllm.sse").replace(
        b'{"reasoning":"Let me"}', b'{"reasoning":"Let me","reasoning_content":"Let me"}'
    )
    assert chat.decode(exchange([(1, both)])).reasoning == "Let me think."


def test_a_first_chunk_without_choices_is_neither_content_nor_a_name() -> None:
    reply = chat.decode(event_by_event("chat_azure_filtered.sse"))
    assert reply.first_token_ns == 3000
    assert (reply.served_model, reply.message_id) == ("gpt-5-2025-08-07", "chatcmpl-1")
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("filtered", "content_filter", True)
    assert reply.usage == Usage()


def test_a_refusal_is_text_and_says_that_it_is_one() -> None:
    reply = chat.decode(event_by_event("chat_refusal.sse"))
    assert reply.text == "I can't help with that."
    assert (reply.stop_reason, reply.native_stop_reason, reply.content_ns) == ("refused", "stop", (2000, 3000))


COMPLETE = [
    # finish reason, [DONE], clean end -> complete
    ("chat_text.sse", None, True),
    ("chat_text.sse", "reset", True),  # all of the stream's own ends were seen before the connection broke
    ("chat_text_without_done.sse", None, True),
    ("chat_text_without_done.sse", "reset", False),
    ("chat_cut_before_finish.sse", None, False),
    ("chat_cut_before_finish.sse", "reset", False),
]


@pytest.mark.parametrize(("name", "failure", "want"), COMPLETE)
def test_a_stream_is_complete_when_model_and_stream_have_ended(name: str, failure: str | None, want: bool) -> None:
    reply = chat.decode(exchange([(1, golden(name))], failure=failure))  # type: ignore[arg-type]
    assert (reply.text, reply.complete) == (SKY, want)


def test_done_without_a_finish_reason_is_not_an_end() -> None:
    body = golden("chat_cut_before_finish.sse") + b"data: [DONE]\n\n"
    assert chat.decode(exchange([(1, body)])).complete is False


def test_an_error_inside_the_stream_is_handed_on_as_it_came() -> None:
    reply = chat.decode(in_one_piece("chat_gateway_error.sse"))
    assert (reply.text, reply.complete) == ("Fo", False)
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"] == {"code": 502, "message": "Provider disconnected"}


IN_BAND = [
    b'data: {"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}\n\n',
    b'data: {"object":"error","message":"boom","type":"BadRequestError","code":400}\n\n',
    b'event: error\ndata: {"message":"boom"}\n\n',
]


@pytest.mark.parametrize("event", IN_BAND)
def test_each_way_of_saying_error_in_a_stream_is_heard(event: bytes) -> None:
    reply = chat.decode(exchange([(1, golden("chat_cut_before_finish.sse") + event)]))
    assert reply.error_body is not None
    assert reply.error_body in event
    assert reply.text == SKY


def test_an_event_that_is_not_json_is_an_error_and_the_rest_is_kept() -> None:
    body = golden("chat_text.sse").replace(b"data: [DONE]", b"data: oops\n\ndata:\n\ndata: [1]\n\ndata: [DONE]")
    reply = chat.decode(exchange([(1, body)]))
    assert (reply.text, reply.complete) == (SKY, True)
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["message"].endswith("oops")


def test_a_reply_without_streaming_has_text_but_no_arrival_times() -> None:
    reply = chat.decode(in_one_piece("chat_whole.json"))
    assert (reply.text, reply.content_ns, reply.first_text_ns) == ("Hello world", (), None)
    assert reply.tool_calls == (ToolCall("call_1", "get_weather", '{"city":"Paris"}'),)
    assert reply.usage == Usage(input_tokens=25, output_tokens=42, source="provider")
    assert (reply.stop_reason, reply.complete) == ("tool", True)


def test_an_error_object_in_a_200_is_an_error() -> None:
    body = b'{"error":{"code":429,"message":"slow down"}}'
    assert chat.decode(exchange([(1, body)], CONTENT_TYPES[".json"])) == Reply(error_body=body)


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    deltas = [
        {"id": "a", "function": {"name": "f", "arguments": '{"x"'}},
        {"function": {"arguments": ": 1}"}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
    ]
    body = b"".join(
        b"data: " + json.dumps({"choices": [{"delta": {"tool_calls": [delta]}}]}).encode() + b"\n\n" for delta in deltas
    )
    assert chat.decode(exchange([(1, body)])).tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))


def in_deltas(*deltas: dict[str, object]) -> Reply:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return chat.decode(exchange([(1, b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events))]))


def call(arguments: object = "", name: str | None = None, **more: object) -> dict[str, object]:
    return {**more, "function": {"arguments": arguments, **({"name": name} if name else {})}}


PARIS, ROME = ToolCall("a", "f", '{"x":"Paris"}'), ToolCall("b", "f", '{"x":"Rome"}')
NAMELESS = (ToolCall("", "f", PARIS.arguments), ToolCall("", "f", ROME.arguments))
WAYS = {
    "numbered, in pieces": (
        [
            [call(name="f", index=0, id="a"), call(name="f", index=1, id="b")],
            [call('{"x":', index=0), call('{"x":"Rome"}', index=1)],
            [call('"Paris"}', index=0)],
        ],
        (PARIS, ROME),
    ),
    "whole calls in one delta, without numbers": (
        [[call(PARIS.arguments, "f", id="a"), call(ROME.arguments, "f", id="b")]],
        (PARIS, ROME),
    ),
    "whole calls in one delta, without numbers or ids": (
        [[call(PARIS.arguments, "f"), call(ROME.arguments, "f")]],
        NAMELESS,
    ),
    "every call numbered 0, told apart by its id": (
        [[call(PARIS.arguments, "f", index=0, id="a")], [call(ROME.arguments, "f", index=0, id="b")]],
        (PARIS, ROME),
    ),
    "another id with every delta": (
        [
            [call(name="f", index=0, id="a")],
            [call('{"x":', index=0, id="z1")],
            [call('"Paris"}', index=0, id="z2")],
        ],
        (PARIS,),
    ),
    "the id and the name with every delta": (
        [[call('{"x":', "f", index=0, id="a")], [call('"Paris"}', "f", index=0, id="a")]],
        (PARIS,),
    ),
    "the name with every delta, and nothing else": (
        [[call('{"x":', "f")], [call('"Paris"}', "f")], [call(ROME.arguments, "f")]],
        NAMELESS,
    ),
    "arguments as an object": ([[call({"x": 1}, "f", index=0, id="a")]], (ToolCall("a", "f", '{"x": 1}'),)),
    "no arguments at all": ([[{"index": 0, "id": "a", "function": {"name": "f"}}]], (ToolCall("a", "f", "{}"),)),
}


@pytest.mark.parametrize("way", WAYS)
def test_calls_are_told_apart_in_whatever_way_a_server_sends_them(way: str) -> None:
    deltas, calls = WAYS[way]
    assert in_deltas(*[{"tool_calls": parts} for parts in deltas]).tool_calls == calls


def test_a_call_by_its_old_name_is_a_call() -> None:
    reply = in_deltas({"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}})
    assert reply.tool_calls == (ToolCall("", "f", "{}"),)
    assert len(reply.content_ns) == 1


def test_calls_of_a_whole_reply_are_told_apart_without_numbers() -> None:
    message = {"content": None, "tool_calls": [call(PARIS.arguments, "f"), call(ROME.arguments, "f")]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    assert chat.decode(exchange([(1, body)])).tool_calls == NAMELESS


def test_parallel_calls_of_the_golden_stream() -> None:
    reply = chat.decode(event_by_event("chat_parallel_tools.sse"))
    assert [call.arguments for call in reply.tool_calls] == ['{"city":"Paris"}', '{"city":"Rome"}']
    # role, name, arguments (3rd), arguments (4th), name, arguments (6th)
    assert (reply.content_ns, reply.stop_reason) == ((3000, 4000, 6000), "tool")
    assert reply.usage == Usage(20, 5, None, None, 42, 0, "provider")


def test_whole_calls_without_numbers_of_the_golden_stream() -> None:
    reply = chat.decode(event_by_event("chat_whole_calls_without_index.sse"))
    assert [(call.id, call.arguments) for call in reply.tool_calls] == [
        ("a", '{"city":"Paris"}'),
        ("b", '{"city":"Rome"}'),
    ]
    assert reply.content_ns == (2000, 2000)
    assert (reply.usage.input_tokens, reply.usage.cache_read_tokens) == (20, 5)


def test_content_in_parts_is_text_and_reasoning() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Four"}]
    reply = in_deltas({"content": thinking}, {"content": "."})
    assert (reply.reasoning, reply.text, len(reply.content_ns)) == ("Hm", "Four.", 3)


ELSEWHERE = [
    {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 4}}]},  # Moonshot
    {"choices": [], "x_groq": {"usage": {"prompt_tokens": 4}}},
]


@pytest.mark.parametrize("event", ELSEWHERE)
def test_counts_are_found_in_other_places_too(event: dict[str, object]) -> None:
    body = b"data: " + json.dumps(event).encode() + b"\n\n"
    assert chat.decode(exchange([(1, body)])).usage.input_tokens == 4


def test_only_the_first_choice_is_read() -> None:
    body = b'data: {"choices":[{"index":1,"delta":{"content":"B"}},{"index":0,"delta":{"content":"A"}}]}\n\n'
    assert chat.decode(exchange([(1, body)])).text == "A"


USAGE = [
    # prompt, cached, written -> uncached
    ({"prompt_tokens": 25}, 25),
    ({"prompt_tokens": 25, "prompt_tokens_details": {"cached_tokens": 25}}, 0),
    ({"prompt_tokens": 25, "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3}}, 17),
    ({"prompt_tokens": 25, "prompt_tokens_details": None}, 25),
    ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 20}}, 5),  # counted beside the prompt
    ({"completion_tokens": 3}, None),
    ({"prompt_tokens": 25, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 20}, 20),  # DeepSeek
    ({"prompt_tokens": 25, "cached_tokens": 5}, 20),  # Moonshot
    ({"prompt_tokens": 25, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3}, 17),  # LiteLLM
    ({"input_tokens": 25, "input_tokens_details": {"cached_tokens": 5}}, 20),  # the words of Responses
]


@pytest.mark.parametrize(("usage", "uncached"), USAGE)
def test_input_tokens_are_those_that_no_cache_had(usage: dict[str, object], uncached: int | None) -> None:
    assert chat.usage_of(usage).input_tokens == uncached


OUTPUT = [
    # output, reasoning, total of 10 prompt tokens -> output with reasoning
    (40, 7, 50, 40),  # reasoning is part of the output: 10 + 40
    (40, 7, 57, 47),  # reasoning stands beside it: 10 + 40 + 7
    (40, 7, None, 40),
    (40, None, 50, 40),
]


@pytest.mark.parametrize(("output", "reasoning", "total", "want"), OUTPUT)
def test_output_holds_reasoning_wherever_it_is_counted(
    output: int, reasoning: int | None, total: int | None, want: int
) -> None:
    details = {"reasoning_tokens": reasoning}
    usage = {"prompt_tokens": 10, "completion_tokens": output, "total_tokens": total}
    assert chat.usage_of({**usage, "completion_tokens_details": details}).output_tokens == want


def test_long_lived_cache_writes_are_counted_apart() -> None:
    lives = {"ttl_30m_tokens": 2, "ttl_12h_tokens": 6}
    usage = {
        "prompt_tokens": 25,
        "prompt_tokens_details": {"cache_write_tokens": 8, "cache_write_tokens_details": lives},
    }
    counts = chat.usage_of(usage)
    assert (counts.input_tokens, counts.cache_write_5m_tokens, counts.cache_write_1h_tokens) == (17, 2, 6)


def test_running_counts_in_every_chunk_end_with_the_last() -> None:
    body = b"".join(
        b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":4,"completion_tokens":%d}}\n\n' % n
        for n in (1, 2, 3)
    )
    reply = chat.decode(exchange([(1, body)]))
    assert (reply.text, reply.usage.output_tokens) == ("xxx", 3)


# ------------------------------------------------------------------------------------------------ encode


def test_a_plain_body_asks_for_usage_and_holds_nothing_else() -> None:
    assert chat.encode(HELLO, Params(max_tokens=64), TARGET) == {
        "model": "Qwen/Qwen3-8B",
        "stream": True,
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}],
        "max_tokens": 64,
        "stream_options": {"include_usage": True},
    }


def test_every_setting_has_its_place() -> None:
    fmt = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    params = Params(
        max_tokens=64,
        temperature=0.0,
        top_p=0.5,
        seed=7,
        stop=("a", "b"),
        stream=False,
        effort="low",
        tools=(tool,),
        tool_choice="required",
        response_format=fmt,
        extra_body={"top_k": 40, "seed": 8},
    )
    target = Target("t", "gpt-5", "openai", "gpt-5", "chat", deployment="mine", service_tier="flex")
    assert chat.encode(HELLO, params, target) == {
        "model": "mine",
        "service_tier": "flex",
        "messages": list(HELLO.messages),
        "max_completion_tokens": 64,
        "reasoning_effort": "low",
        "response_format": fmt,
        "seed": 8,  # extra_body has the last word
        "stop": ["a", "b"],
        "temperature": 0.0,
        "tool_choice": "required",
        "tools": [tool],
        "top_p": 0.5,
        "top_k": 40,
    }


def test_objects_of_the_body_are_joined_with_the_extra_ones() -> None:
    """Running counts asked for in extra_body must not end the counts at the end."""
    params = Params(extra_body={"stream_options": {"continuous_usage_stats": True}})
    options = chat.encode(HELLO, params, TARGET)["stream_options"]
    assert options == {"include_usage": True, "continuous_usage_stats": True}


def test_openai_is_asked_not_to_pad_its_events() -> None:
    target = Target("t", "gpt-5", "openai", "gpt-5", "chat")
    assert chat.encode(HELLO, Params(), target)["stream_options"]["include_obfuscation"] is False


REFUSED = [
    (Params(top_k=4), "top_k"),
    (Params(thinking_budget_tokens=0), "thinking_budget_tokens"),
    (Params(tool_choice="any"), "tool_choice"),
    (Params(tool_choice={"type": "tool", "name": "f"}), "tool_choice"),
    (Params(tools=({"name": "f", "input_schema": {}},)), "tools"),
    (Params(response_format={"type": "json_schema", "json_schema": {"schema": {}}}), "response_format"),
]


@pytest.mark.parametrize(("params", "key"), REFUSED)
def test_what_the_dialect_cannot_carry_is_named_and_never_dropped(params: Params, key: str) -> None:
    (problem,) = chat.unsupported(params)
    assert problem.startswith(key + ":")
    with pytest.raises(BenchError, match=key):
        chat.encode(HELLO, params, TARGET)
