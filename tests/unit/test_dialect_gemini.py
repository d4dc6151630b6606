"""Gemini's language: what goes out, what comes back, and what google-genai makes of the same bytes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.dialects import gemini
from bench.errors import BenchError
from bench.record import Case, Params, Usage
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, cut_at, exchange, golden, in_one_piece
from tests.unit.wire_bytes.loopback import loopback

TARGET = Target("g", "gemini-x", "gemini-vertex", "gemini-x", "gemini", region="us-central1", project="p1")
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
STREAMS = ["gemini_text.sse", "gemini_thoughts_tools.sse", "gemini_blocked.sse", "gemini_cut.sse", "gemini_error.sse"]


def case(*messages: dict[str, Any]) -> Case:
    return Case("c", messages or ({"role": "user", "content": "hi"},))


def body(params: Params, *messages: dict[str, Any]) -> dict[str, Any]:
    return gemini.encode(case(*messages), params, TARGET)


# ------------------------------------------------------------------------------------------------ what goes out


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        (Params(max_tokens=9, temperature=0, top_p=1, top_k=40), {"temperature": 0.0, "topP": 1.0, "topK": 40.0}),
        (Params(max_tokens=9, seed=7, stop=("END",)), {"stopSequences": ["END"], "seed": 7}),
        (Params(max_tokens=9, effort="low"), {"thinkingConfig": {"include_thoughts": True, "thinking_level": "LOW"}}),
        (Params(max_tokens=9, effort="none"), {"thinkingConfig": {"thinking_budget": 0}}),
        (Params(max_tokens=9, thinking_budget_tokens=0), {"thinkingConfig": {"thinking_budget": 0}}),
        (
            Params(max_tokens=9, thinking_budget_tokens=128),
            {"thinkingConfig": {"include_thoughts": True, "thinking_budget": 128}},
        ),
        (Params(max_tokens=9, response_format={"type": "json_object"}), {"responseMimeType": "application/json"}),
        (
            Params(
                max_tokens=9, response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
            ),
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        ),
        (
            Params(
                max_tokens=9, response_format={"type": "json_schema", "json_schema": {"schema": {"type": "OBJECT"}}}
            ),
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
        ),
    ],
)
def test_every_setting_has_its_field(params: Params, sent: dict[str, Any]) -> None:
    config = body(params)["generationConfig"]
    assert config.pop("maxOutputTokens") == 9
    assert config == sent


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"allowed_function_names": ["get_weather"], "mode": "ANY"},
        ),
    ],
)
def test_a_tool_choice_is_a_mode(choice: Any, config: dict[str, Any]) -> None:
    sent = body(Params(tools=(TOOL,), tool_choice=choice))
    assert sent["toolConfig"] == {"functionCallingConfig": config}
    declared = {"description": "d", "name": "get_weather", "parameters_json_schema": TOOL["function"]["parameters"]}
    assert sent["tools"] == [{"functionDeclarations": [declared]}]


def test_results_of_tools_that_were_called_together_share_one_turn_and_are_known_by_name() -> None:
    calls = [
        {"id": "a", "function": {"name": "one", "arguments": '{"x": 1}'}},
        {
            "id": "b",
            "function": {"name": "two", "arguments": ""},
            "extra_content": {"google": {"thought_signature": "a+/b"}},
        },
    ]
    sent = body(
        Params(),
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "let me see", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": '{"degrees": 3}'},
        {"role": "tool", "tool_call_id": "b", "content": "none"},
    )
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}], "role": "user"}
    assert sent["contents"] == [
        {"parts": [{"text": "hi"}], "role": "user"},
        {
            "parts": [
                {"text": "let me see"},
                {"functionCall": {"args": {"x": 1}, "name": "one"}},
                {"functionCall": {"args": {}, "name": "two"}, "thoughtSignature": "a-_b"},
            ],
            "role": "model",
        },
        {
            "parts": [
                {"functionResponse": {"name": "one", "response": {"degrees": 3}}},
                {"functionResponse": {"name": "two", "response": {"output": "none"}}},
            ],
            "role": "user",
        },
    ]


def test_an_image_is_data_or_an_address_with_its_kind() -> None:
    def sent(url: str) -> Any:
        return body(Params(), {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})

    assert sent("data:image/png;base64,+/8=")["contents"][0]["parts"] == [
        {"inlineData": {"data": "-_8=", "mime_type": "image/png"}}
    ]
    assert sent("gs://b/cat.jpg")["contents"][0]["parts"] == [
        {"fileData": {"file_uri": "gs://b/cat.jpg", "mime_type": "image/jpeg"}}
    ]
    with pytest.raises(BenchError, match="must end in its kind"):
        sent("https://example.com/cat")


def test_model_and_stream_tell_the_door_where_to_send() -> None:
    assert list(body(Params(stream=False)))[:2] == ["model", "stream"]
    assert body(Params(stream=False))["stream"] is False


def test_fields_of_extra_body_are_put_inside_what_is_there() -> None:
    sent = body(Params(max_tokens=5, extra_body={"labels": {"a": "b"}, "generationConfig": {"candidateCount": 1}}))
    assert sent["labels"] == {"a": "b"}
    assert sent["generationConfig"] == {"maxOutputTokens": 5, "candidateCount": 1}


@pytest.mark.parametrize(
    ("params", "word"),
    [
        (Params(effort="enormous"), "effort"),
        (Params(effort="low", thinking_budget_tokens=5), "leave one out"),
        (Params(thinking_budget_tokens=-1), "0 or more"),
        (Params(response_format={"type": "xml"}), "response_format"),
        (Params(response_format={"type": "json_schema"}), "with its schema"),
        (Params(tools=({"type": "retrieval"},)), "want a function"),
        (Params(tool_choice="perhaps"), "tool_choice"),
    ],
)
def test_what_cannot_be_carried_is_refused_in_words(params: Params, word: str) -> None:
    (problem,) = gemini.unsupported(params)
    assert word in problem
    with pytest.raises(BenchError, match=word):
        body(params)


def test_cache_marks_are_not_sent_and_that_is_said() -> None:
    params = Params(cache_breakpoints=("system",), cache_ttl="5m")
    assert gemini.unsupported(params) == []
    (said,) = gemini.degraded(params)
    assert "cache_breakpoints and cache_ttl" in said
    assert body(params) == body(Params())
    assert gemini.degraded(Params()) == []


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"role": "tool", "tool_call_id": "zz", "content": "x"}, "no tool call before"),
        ({"role": "narrator", "content": "x"}, "narrator"),
        ({"role": "system", "content": "x"}, "at the start only"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input_audio"),
    ],
)
def test_a_conversation_that_cannot_be_carried_is_refused(message: dict[str, Any], word: str) -> None:
    with pytest.raises(BenchError, match=word):
        body(Params(), {"role": "user", "content": "hi"}, message)


# ------------------------------------------------------------------------------------------------ what comes back


def by_event(name: str) -> Any:
    """One piece for each event, the first at 1000 ns, the next at 2000 ns, and so on."""
    blocks = golden(name).split(b"\r\n\r\n")[:-1]
    return exchange([((at + 1) * 1000, block + b"\r\n\r\n") for at, block in enumerate(blocks)])


def test_a_text_is_read_with_a_stamp_for_every_part() -> None:
    reply = gemini.decode(by_event("gemini_text.sse"))
    assert reply.text == "Thirty days, counted from the day of delivery: é, 😀."
    # four events, the second with two parts; the fifth event has no text
    assert reply.content_ns == (1000, 2000, 2000, 3000, 4000)
    assert reply.first_text_ns == 1000
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("stop", "STOP", True)
    # 25 of the prompt, 5 of them from the cache; candidates do not hold thoughts: 10 + 0
    assert reply.usage == Usage(
        input_tokens=20, cache_read_tokens=5, output_tokens=10, reasoning_tokens=0, source="provider"
    )
    assert (reply.served_model, reply.served_lane, reply.message_id) == ("gemini-2.5-flash", "ON_DEMAND", "abc")


def test_thoughts_are_reasoning_and_calls_come_whole() -> None:
    reply = gemini.decode(by_event("gemini_thoughts_tools.sse"))
    assert reply.reasoning == "Hm. Paris, then Rome."
    assert reply.text == ""
    assert [(call.id, call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("call_0", "get_weather", {"city": "Paris"}),
        ("call_1", "get_weather", {"city": "Rome"}),
    ]
    # a thought, a thought, two calls in one event; the event with a signature alone says nothing
    assert reply.content_ns == (1000, 2000, 4000, 4000)
    assert reply.first_text_ns is None
    assert (reply.stop_reason, reply.native_stop_reason) == ("tool", "STOP")
    assert reply.usage.output_tokens == 17  # 10 of candidates + 7 of thoughts
    assert reply.usage.reasoning_tokens == 7


def test_a_prompt_that_was_blocked_is_filtered_and_complete() -> None:
    reply = gemini.decode(by_event("gemini_blocked.sse"))
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == ("filtered", "PROHIBITED_CONTENT", True)
    assert reply.text == ""


def test_a_cut_stream_keeps_what_arrived_and_is_not_complete() -> None:
    reply = gemini.decode(by_event("gemini_cut.sse"))
    assert reply.text == "Thirty days"
    assert not reply.complete
    # the counts of the middle are no final ones: what is absent from them is not known
    assert reply.usage == Usage(input_tokens=25, source="provider")
    whole = by_event("gemini_text.sse")
    broken = exchange(whole.pieces, failure="reset")
    assert not gemini.decode(broken).complete
    assert gemini.decode(broken).text == gemini.decode(whole).text


def test_an_error_inside_the_stream_is_kept_for_the_door() -> None:
    reply = gemini.decode(by_event("gemini_error.sse"))
    assert reply.text == "Thirty"
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "filtered"), ("RECITATION", "filtered"),
        ("BLOCKLIST", "filtered"), ("PROHIBITED_CONTENT", "filtered"), ("SPII", "filtered"), ("MODEL_ARMOR", "filtered"),
        ("MALFORMED_FUNCTION_CALL", "malformed"), ("UNEXPECTED_TOOL_CALL", "malformed"),
        ("MISSING_THOUGHT_SIGNATURE", "malformed"), ("OTHER", None), ("A_NEWER_REASON", None), (27, None),
    ],
)  # fmt: skip
def test_every_finish_reason_has_its_word(native: Any, reason: str | None) -> None:
    event = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": native}]}
    reply = gemini.decode(exchange([(1, b"data: %s\r\n\r\n" % json.dumps(event).encode())]))
    assert (reply.stop_reason, reply.native_stop_reason, reply.complete) == (reason, str(native), True)


def test_an_unspecified_reason_is_none() -> None:
    event = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "FINISH_REASON_UNSPECIFIED"}]}
    reply = gemini.decode(exchange([(1, b"data: %s\r\n\r\n" % json.dumps(event).encode())]))
    assert (reply.native_stop_reason, reply.complete) == (None, False)


@pytest.mark.parametrize(
    ("usage", "final", "counts"),
    [
        # input = 100 - 30; output = 8 + 4
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 30,
                "candidatesTokenCount": 8,
                "thoughtsTokenCount": 4,
            },
            True,
            (70, 30, 12, 4),
        ),
        # all was thought: no candidates are 0, so the output is 64
        ({"promptTokenCount": 10, "thoughtsTokenCount": 64}, True, (10, 0, 64, 64)),
        # tools that the model used on its own side read 50 more
        ({"promptTokenCount": 10, "toolUsePromptTokenCount": 50, "candidatesTokenCount": 1}, True, (60, 0, 1, 0)),
        # what is absent before the end is not known
        ({"promptTokenCount": 10}, False, (10, None, None, None)),
        ({"trafficType": "ON_DEMAND"}, True, (None, None, None, None)),
    ],
)
def test_counts_are_normalised(usage: dict[str, Any], final: bool, counts: tuple[Any, ...]) -> None:
    found = gemini.usage_of(usage, final)
    assert (found.input_tokens, found.cache_read_tokens, found.output_tokens, found.reasoning_tokens) == counts


def test_a_reply_that_came_whole_has_no_stamps() -> None:
    reply = gemini.decode(in_one_piece("gemini_whole.json"))
    assert reply.text == "Hello"
    assert (reply.content_ns, reply.first_text_ns, reply.complete) == ((), None, True)
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.reasoning_tokens) == (25, 17, 7)


@given(st.data())
@settings(max_examples=150, derandomize=True)
def test_however_the_same_bytes_are_cut_the_reply_is_the_same(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(STREAMS))
    cuts = data.draw(st.lists(st.integers(0, len(golden(name))), max_size=12))
    whole, pieces = gemini.decode(in_one_piece(name)), gemini.decode(cut_at(golden(name), cuts, CONTENT_TYPES[".sse"]))
    assert (pieces.text, pieces.reasoning, pieces.tool_calls) == (whole.text, whole.reasoning, whole.tool_calls)
    assert (pieces.usage, pieces.stop_reason, pieces.complete) == (whole.usage, whole.stop_reason, whole.complete)
    assert len(pieces.content_ns) == len(whole.content_ns)
    assert list(pieces.content_ns) == sorted(pieces.content_ns)


@given(st.data())
@settings(max_examples=150, derandomize=True)
def test_a_stream_that_ends_anywhere_gives_a_beginning_and_never_raises(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(STREAMS))
    end = data.draw(st.integers(0, len(golden(name))))
    reply, whole = gemini.decode(exchange([(1, golden(name)[:end])])), gemini.decode(in_one_piece(name))
    assert whole.text.startswith(reply.text)
    assert whole.reasoning.startswith(reply.reasoning)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["candidates", "content", "parts", "text", "functionCall", "args", "usageMetadata", "finishReason", "error",
             "promptFeedback", "blockReason", "promptTokenCount", "index", "thought", "name", "modelVersion"]
        ),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
@settings(max_examples=200, derandomize=True)
def test_no_json_of_any_shape_makes_it_raise(value: Any) -> None:
    data = json.dumps(value).encode()
    gemini.decode(exchange([(1, b"data: %s\r\n\r\n" % data)]))
    gemini.decode(exchange([(1, data)], "application/json"))


@given(st.binary(max_size=60))
@settings(max_examples=100, derandomize=True)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    gemini.decode(exchange([(1, data)]))
    gemini.decode(exchange([(1, b"data: " + data + b"\r\n\r\n")]))


# ------------------------------------------------------------------------------------------------ beside the SDK


async def sdk_chunks(name: str) -> tuple[list[Any], Any]:
    """What google-genai makes of the bytes, and the error that it raised at their end, if any."""
    import httpx2
    from google import genai
    from google.genai import errors, types
    from google.oauth2.credentials import Credentials

    streamed = name.endswith(".sse")
    async with (
        loopback(golden(name), CONTENT_TYPES[Path(name).suffix]) as server,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        client = genai.Client(
            enterprise=True,
            project="p1",
            location="us-central1",
            credentials=Credentials(token="t"),
            http_options=types.HttpOptions(base_url=server.url, httpx_async_client=http),
        )
        chunks: list[Any] = []
        error = None
        try:
            if streamed:
                async for chunk in await client.aio.models.generate_content_stream(model="gemini-x", contents="hi"):
                    chunks.append(chunk)  # noqa: PERF401  (a comprehension would lose them when the stream raises)
            else:
                chunks.append(await client.aio.models.generate_content(model="gemini-x", contents="hi"))
        except errors.APIError as raised:
            error = raised
        await client.aio.aclose()
        client.close()
    return chunks, error


@pytest.mark.parametrize("name", [*STREAMS, "gemini_whole.json"])
def test_google_genai_reads_the_same_bytes_alike(name: str) -> None:
    pytest.importorskip("google.genai")
    chunks, error = asyncio.run(sdk_chunks(name))
    reply = gemini.decode(in_one_piece(name))
    parts = [
        part
        for chunk in chunks
        for candidate in (chunk.candidates or [])[:1]
        for part in (candidate.content.parts if candidate.content else None) or []
    ]
    assert reply.text == "".join(part.text or "" for part in parts if not part.thought)
    assert reply.reasoning == "".join(part.text or "" for part in parts if part.thought)
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        (call.name, call.args) for call in calls
    ]
    ends = [c.candidates[0].finish_reason for c in chunks if c.candidates and c.candidates[0].finish_reason]
    blocks = [c.prompt_feedback.block_reason for c in chunks if c.prompt_feedback and c.prompt_feedback.block_reason]
    assert reply.native_stop_reason == next((reason.value for reason in reversed(ends or blocks)), None)
    counted = [
        chunk.usage_metadata for chunk in chunks if chunk.usage_metadata and chunk.usage_metadata.prompt_token_count
    ]
    if ends and counted:
        last = counted[-1]
        assert reply.usage.input_tokens == last.prompt_token_count - (last.cached_content_token_count or 0)
        assert reply.usage.output_tokens == (last.candidates_token_count or 0) + (last.thoughts_token_count or 0)
    if chunks:
        assert reply.served_model == chunks[-1].model_version
        assert reply.message_id == chunks[-1].response_id
    assert (reply.error_body is None) == (error is None)
