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
]


@pytest.mark.parametrize(("usage", "uncached"), USAGE)
def test_input_tokens_are_those_that_no_cache_had(usage: dict[str, object], uncached: int | None) -> None:
    assert chat.usage_of(usage).input_tokens == uncached


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
