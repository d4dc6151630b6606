"""The Responses dialect: golden bytes in, replies out; cases in, bodies out."""

import json
from typing import Any

import pytest

from bench.dialects import chat, get, responses
from bench.errors import BenchError
from bench.providers.faults import read_fault
from bench.record import Case, Params, Reply, ToolCall, Usage
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, event_by_event, exchange, golden, in_one_piece

SKY = "The sky is blue. It is 20°C."
TARGET = Target("t", "gpt-5", "openai", "gpt-5", "responses")
AZURE = Target("t", "gpt-5", "azure-openai", "gpt-5", "responses", deployment="mine", service_tier="flex")
HELLO = Case("c1", ({"role": "system", "content": "S"}, {"role": "user", "content": "hi"}))


def stream(*events: dict[str, Any]) -> bytes:
    lines = [(event["type"].encode(), json.dumps(event, ensure_ascii=False).encode()) for event in events]
    return b"".join(b"event: %s\ndata: %s\n\n" % line for line in lines)


def of(*events: dict[str, Any]) -> Reply:
    return responses.decode(exchange([(1, stream(*events))]))


DONE = {"type": "response.completed", "response": {"status": "completed"}}


# ------------------------------------------------------------------------------------------------ decode


def test_reasoning_text_and_two_calls_are_read_from_one_stream() -> None:
    reply = responses.decode(event_by_event("responses_reasoning_text_tools.sse"))
    assert reply.reasoning == "Let me think."
    assert reply.text == 'Hello wörld "quoted" \\ back'
    assert reply.tool_calls == (
        ToolCall("call_1", "get_weather", '{"city":"Paris"}'),
        ToolCall("call_2", "get_time", "{}"),
    )
    # events in order: created, in progress, item added, part added, thought (5th), thought (6th), done, done, done;
    # item added (10), part added, text (12th), text, text (14th), done, done, done; item added (18), arguments (19th),
    # arguments (20th), done, done; item added (23), arguments (24th), done, done, completed
    assert reply.content_ns == (5000, 6000, 12000, 13000, 14000, 19000, 20000, 24000)
    assert (reply.first_token_ns, reply.first_text_ns, reply.last_token_ns) == (5000, 12000, 24000)
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("tool", "completed", True)
    # 25 input tokens hold 5 read from the cache and 3 written to it: 25 - 5 - 3 = 17
    assert reply.usage == Usage(17, 5, 3, None, 42, 7, "provider")
    assert (reply.served_model, reply.message_id, reply.served_lane) == ("gpt-5-2025-08-07", "resp_1", "default")


def test_what_is_told_before_the_first_word_is_no_content() -> None:
    reply = responses.decode(event_by_event("responses_text.sse"))
    assert reply.text == SKY
    assert reply.content_ns == tuple(range(5000, 14000, 1000))  # nine deltas, after four events of structure
    assert reply.first_text_ns == 5000
    assert (reply.stop_reason, reply.complete) == ("stop", True)


def test_events_that_came_in_one_read_share_its_stamp() -> None:
    assert responses.decode(in_one_piece("responses_text.sse")).content_ns == (1000,) * 9


def test_a_response_that_ran_out_of_tokens_says_so_and_is_complete() -> None:
    reply = responses.decode(in_one_piece("responses_incomplete.sse"))
    assert (reply.text, reply.complete) == ("The sky is blue", True)
    assert (reply.stop_reason, reply.native_stop_reason) == ("length", "max_output_tokens")


def test_a_stream_that_is_cut_keeps_what_came_and_what_was_known() -> None:
    reply = responses.decode(in_one_piece("responses_cut_before_end.sse"))
    assert (reply.text, reply.complete, reply.native_stop_reason) == (SKY, False, None)
    assert (reply.served_model, reply.message_id, reply.usage) == ("gpt-5-2025-08-07", "resp_1", Usage())
    assert reply.served_lane is None  # `auto` is what was asked for, not what served it


ERRORS = [
    ("responses_failed.sse", "server_error", "The model failed to generate a response.", "server"),
    ("responses_error.sse", "rate_limit_exceeded", "slow down", "throttled"),
]


@pytest.mark.parametrize(("name", "code", "message", "outcome"), ERRORS)
def test_an_error_inside_the_stream_is_handed_on_as_the_doors_read_it(
    name: str, code: str, message: str, outcome: str
) -> None:
    reply = responses.decode(in_one_piece(name))
    assert (reply.text, reply.complete) == ("Fo", False)
    assert reply.error_body is not None
    assert json.loads(reply.error_body) == {"error": {"code": code, "message": message}}
    fault = read_fault(200, (), reply.error_body)
    assert (fault.outcome, fault.code, fault.message) == (outcome, code, message)


SAID = [
    # what stands in the stream -> what the error is called
    ({"type": "error", "error": {"type": "server_error", "message": "m"}}, {"type": "server_error", "message": "m"}),
    ({"type": "error", "code": None, "message": "m", "param": "p"}, {"message": "m", "param": "p"}),
    ({"type": "response.failed", "response": {"status": "failed"}},
     {"code": "server_error", "message": "it failed and gives no reason"}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "error"), SAID)
def test_each_way_of_failing_has_an_error(event: dict[str, Any], error: dict[str, str]) -> None:
    reply = of(event)
    assert reply.error_body is not None
    assert json.loads(reply.error_body) == {"error": error}
    assert not reply.complete


def test_a_gateways_error_is_heard_and_the_first_error_counts() -> None:
    body = b'data: {"error":{"code":502,"message":"gone"}}\n\ndata: oops\n\n'
    assert responses.decode(exchange([(1, body)])).error_body == b'{"error":{"code":502,"message":"gone"}}'


def test_a_refusal_is_text_and_says_that_it_is_one() -> None:
    reply = responses.decode(event_by_event("responses_refusal.sse"))
    assert (reply.text, reply.stop_reason) == ("I can't help with that.", "refused")
    assert reply.content_ns == (5000, 6000)


def test_a_filtered_response_is_filtered() -> None:
    ended = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    reply = of({"type": "response.incomplete", "response": ended})
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("filtered", "content_filter", True)


def test_a_reason_that_is_not_known_is_kept_in_the_providers_words() -> None:
    ended = {"status": "incomplete", "incomplete_details": {"reason": "steered"}}
    reply = of({"type": "response.incomplete", "response": ended})
    assert (reply.stop_reason, reply.native_stop_reason) == (None, "steered")


def test_wholes_are_read_where_no_parts_came() -> None:
    text = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    item = {"type": "response.output_item.done", "output_index": 1, "item": call}
    reply = of(text, item, item, DONE)
    assert (reply.text, reply.tool_calls) == ("Hi", (ToolCall("c", "f", '{"a":1}'),))
    assert (len(reply.content_ns), reply.stop_reason) == (2, "tool")


def test_a_whole_is_not_read_again_after_its_parts() -> None:
    place = {"output_index": 0, "content_index": 0}
    part = {"type": "response.output_text.delta", **place, "delta": "Hi"}
    other = {"type": "response.output_text.done", "output_index": 0, "content_index": 1, "text": "!"}
    assert of(part, {"type": "response.output_text.done", **place, "text": "Hi"}, other).text == "Hi!"


def test_reasoning_in_the_open_is_read_like_its_summary() -> None:
    place = {"output_index": 0, "content_index": 0}
    reply = of({"type": "response.reasoning_text.delta", **place, "delta": "Hm"}, DONE)
    assert (reply.reasoning, reply.text, reply.first_token_ns, reply.first_text_ns) == ("Hm", "", 1, None)


def test_events_that_are_not_known_say_nothing() -> None:
    new = {"type": "response.something_new", "delta": "x", "text": "y", "response": {"model": "z"}}
    assert of(new, DONE) == of(DONE)


def test_calls_that_take_turns_are_kept_apart_by_their_place() -> None:
    def arguments(at: int, delta: str) -> dict[str, Any]:
        return {"type": "response.function_call_arguments.delta", "output_index": at, "delta": delta}

    def begin(at: int, name: str) -> dict[str, Any]:
        item = {"type": "function_call", "call_id": f"c{at}", "name": name, "arguments": ""}
        return {"type": "response.output_item.added", "output_index": at, "item": item}

    reply = of(begin(0, "f"), begin(1, "g"), arguments(0, '{"a"'), arguments(1, '{"b"'), arguments(0, ":1}"), DONE)
    assert reply.tool_calls == (ToolCall("c0", "f", '{"a":1}'), ToolCall("c1", "g", '{"b"'))


def test_a_reply_without_streaming_has_text_but_no_arrival_times() -> None:
    reply = responses.decode(in_one_piece("responses_whole.json"))
    streamed = responses.decode(in_one_piece("responses_reasoning_text_tools.sse"))
    assert (reply.content_ns, reply.first_text_ns) == ((), None)
    for field in ("text", "reasoning", "tool_calls", "usage", "stop_reason", "complete", "message_id", "served_lane"):
        assert getattr(reply, field) == getattr(streamed, field), field


def test_a_whole_response_that_failed_is_an_error() -> None:
    body = b'{"object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}'
    reply = responses.decode(exchange([(1, body)], CONTENT_TYPES[".json"]))
    assert reply.error_body is not None
    assert (json.loads(reply.error_body)["error"]["code"], reply.complete) == ("server_error", False)
    other = b'{"error":{"message":"slow down"}}'
    assert responses.decode(exchange([(1, other)], CONTENT_TYPES[".json"])) == Reply(error_body=other)


def test_an_error_status_says_nothing() -> None:
    assert responses.decode(exchange([(1, golden("responses_text.sse"))], status=500)) == Reply()


# ------------------------------------------------------------------------------------------------ encode

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}


def test_a_plain_body_is_not_stored_not_padded_and_holds_nothing_else() -> None:
    assert responses.encode(HELLO, Params(max_tokens=64), TARGET) == {
        "model": "gpt-5",
        "stream": True,
        "input": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}],
        "max_output_tokens": 64,
        "store": False,
        "stream_options": {"include_obfuscation": False},
    }


def test_every_setting_has_its_place_and_the_sdks_order() -> None:
    params = Params(
        max_tokens=64,
        temperature=0.0,
        top_p=0.5,
        stream=False,
        effort="low",
        tools=(TOOL,),
        tool_choice="required",
        response_format=FORMAT,
        extra_body={"text": {"verbosity": "low"}, "parallel_tool_calls": False},
    )
    body = responses.encode(HELLO, params, AZURE)
    assert body == {
        "model": "mine",
        "service_tier": "flex",
        "input": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}],
        "max_output_tokens": 64,
        "reasoning": {"effort": "low"},
        "store": False,
        "temperature": 0.0,
        "text": {
            "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        "tool_choice": "required",
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
        ],
        "top_p": 0.5,
        "parallel_tool_calls": False,
    }


CHOICES = [
    ("auto", "auto", "auto"),
    ("none", "none", "none"),
    ("required", "required", "required"),
    (
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "name": "f"},
        {"type": "function", "function": {"name": "f"}},
    ),
    (
        {"type": "function", "name": "f"},
        {"type": "function", "name": "f"},
        {"type": "function", "function": {"name": "f"}},
    ),
]


@pytest.mark.parametrize(("choice", "flat", "nested"), CHOICES)
def test_a_tool_choice_has_the_form_of_its_api(choice: Any, flat: Any, nested: Any) -> None:
    params = Params(tools=(TOOL,), tool_choice=choice)
    assert responses.encode(HELLO, params, TARGET)["tool_choice"] == flat
    assert chat.encode(HELLO, params, TARGET)["tool_choice"] == nested


def test_a_conversation_with_tools_and_images_keeps_its_order() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    sharp = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}
    case = Case(
        "c",
        (
            {"role": "developer", "content": [{"type": "text", "text": "D"}]},
            {"role": "user", "content": [{"type": "text", "text": "look"}, image, sharp]},
            {"role": "assistant", "content": "I call", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "20"},
            {"role": "assistant", "content": None, "tool_calls": [{**call, "id": "call_2"}]},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "21"}]},
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "system", "content": "late"},
            {"role": "user", "content": "so?"},
        ),
    )
    assert responses.encode(case, Params(), TARGET)["input"] == [
        {"role": "developer", "content": [{"type": "input_text", "text": "D"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
            ],
        },
        {"role": "assistant", "content": "I call"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "20"},
        {"type": "function_call", "call_id": "call_2", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "21"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "system", "content": "late"},
        {"role": "user", "content": "so?"},
    ]


LOST = [
    ({"role": "user", "content": "x", "name": "Ann"}, "name of a user"),
    ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "audio of an assistant"),
    ({"role": "function", "content": "x", "name": "f"}, "role 'function'"),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input_audio"),
    ({"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "image_url"),
    ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, "custom"),
]


@pytest.mark.parametrize(("message", "words"), LOST)
def test_a_part_of_the_conversation_that_cannot_be_carried_is_named(message: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchError, match=words.replace("an assistant", "a assistant")):
        responses.encode(Case("c", (message,)), Params(), TARGET)


REFUSED = [
    (Params(top_k=4), "top_k"),
    (Params(thinking_budget_tokens=0), "thinking_budget_tokens"),
    (Params(seed=7), "seed"),
    (Params(stop=("END",)), "stop"),
    (Params(tool_choice="any"), "tool_choice"),
    (Params(tools=({"type": "web_search"},)), "tools"),
    (Params(response_format={"type": "json_schema", "schema": {}}), "response_format"),
]


@pytest.mark.parametrize(("params", "key"), REFUSED)
def test_what_the_dialect_cannot_carry_is_named_and_never_dropped(params: Params, key: str) -> None:
    (problem,) = responses.unsupported(params)
    assert problem.startswith(key + ":")
    with pytest.raises(BenchError, match=key):
        responses.encode(HELLO, params, TARGET)


DEGRADED = [
    (Params(), []),
    (Params(temperature=0, effort="low", stop=("a",)), []),
    (Params(cache_breakpoints=("system",)), ["cache_breakpoints"]),
    (Params(cache_ttl="1h"), ["cache_ttl"]),
    (Params(cache_breakpoints=("system", "history"), cache_ttl="5m"), ["cache_breakpoints", "cache_ttl"]),
]


@pytest.mark.parametrize(("params", "names"), DEGRADED)
def test_cache_marks_are_left_out_and_that_is_said(params: Params, names: list[str]) -> None:
    for dialect in ("chat", "responses"):
        said = get(dialect).degraded(params)
        assert [sentence.partition(":")[0] for sentence in said] == names
    assert get("messages").degraded(params) == []
    if not params.stop:
        plain = Params(temperature=params.temperature, effort=params.effort)
        assert responses.encode(HELLO, params, TARGET) == responses.encode(HELLO, plain, TARGET)
        assert chat.encode(HELLO, params, TARGET) == chat.encode(HELLO, plain, TARGET)
