"""Streams made by chance, of both of OpenAI's wires: our decoders and the official SDK's parser must have read the same."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.dialects import chat, get, responses
from bench.record import Case, Params, Reply
from bench.targets import Target
from tests.unit.wire_bytes import CONTENT_TYPES, cut_at, golden, in_one_piece

openai = pytest.importorskip("openai")

FEW = settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
TOKENS = st.lists(TEXT, max_size=5)
CALLS = st.lists(st.tuples(st.sampled_from(["f", "get_time"]), TOKENS), max_size=3)
COUNT = st.integers(0, 10**6)


def sdk(body: bytes, content_type: str = CONTENT_TYPES[".sse"], seen: list[Any] | None = None) -> Any:
    """The SDK's client, whose every request is answered with this body."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request.content)
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    transport = httpx2.MockTransport(answer)
    http = httpx2.Client(transport=transport, trust_env=False)
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1/v1", max_retries=0, http_client=http)


def heard(wire: str, body: bytes) -> list[Any]:
    """The events or chunks that the SDK makes of a stream, until it ends or raises."""
    found: list[Any] = []
    with sdk(body) as client:
        if wire == "responses":
            stream = client.responses.create(model="m", input="hi", stream=True)
        else:
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=True
            )
        try:
            found.extend(stream)  # keeps what came before it raises
        except openai.APIError:
            pass
    return found


# ------------------------------------------------------------------------------------------------ Responses


def events_of(thoughts: list[str], texts: list[str], refusal: list[str], calls: list[Any], counts: list[int], end: str) -> bytes:  # fmt: skip
    """A stream as OpenAI sends it: parts, then their whole, and at the end the whole response."""
    events: list[dict[str, Any]] = []
    output: list[dict[str, Any]] = []

    def response(status: str, **more: Any) -> dict[str, Any]:
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "parallel_tool_calls": True}
        return {**head, "tool_choice": "auto", "tools": [], "status": status, "output": list(output), **more}

    def item(begun: dict[str, Any], parts: list[dict[str, Any]], whole: dict[str, Any]) -> None:
        at = {"output_index": len(output)}
        events.append({"type": "response.output_item.added", **at, "item": begun})
        events.extend({**part, **at, "item_id": begun["id"]} for part in parts)
        events.append({"type": "response.output_item.done", **at, "item": whole})
        output.append(whole)

    events.append({"type": "response.created", "response": response("in_progress")})
    if thoughts:
        begun = {"id": "rs_1", "type": "reasoning", "summary": []}
        kind = "response.reasoning_summary_text"
        parts = [{"type": f"{kind}.delta", "summary_index": 0, "delta": token} for token in thoughts]
        parts.append({"type": f"{kind}.done", "summary_index": 0, "text": "".join(thoughts)})
        item(begun, parts, {**begun, "summary": [{"type": "summary_text", "text": "".join(thoughts)}]})
    if texts or refusal:
        begun = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        text = {"type": "output_text", "text": "".join(texts), "annotations": []}
        parts = [
            {"type": "response.output_text.delta", "content_index": 0, "delta": token, "logprobs": []}
            for token in texts
        ]
        parts.append({"type": "response.output_text.done", "content_index": 0, "text": text["text"], "logprobs": []})
        parts += [{"type": "response.refusal.delta", "content_index": 1, "delta": token} for token in refusal]
        content = [text] + ([{"type": "refusal", "refusal": "".join(refusal)}] if refusal else [])
        item(begun, parts, {**begun, "status": "completed", "content": content})
    for n, (name, arguments) in enumerate(calls):
        begun = {"id": f"fc_{n}", "type": "function_call", "call_id": f"call_{n}", "name": name, "arguments": ""}
        kind = "response.function_call_arguments"
        parts = [{"type": f"{kind}.delta", "delta": token} for token in arguments]
        parts.append({"type": f"{kind}.done", "arguments": "".join(arguments)})
        item(begun, parts, {**begun, "arguments": "".join(arguments)})
    given, cached, written, made, thought = counts
    usage = {
        "input_tokens": given + cached + written,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": given + cached + written + made,
    }
    why = {"incomplete_details": {"reason": "max_output_tokens"}} if end == "incomplete" else {}
    events.append({"type": f"response.{end}", "response": response(end, usage=usage, **why)})
    return b"".join(
        b"event: %s\ndata: %s\n\n"
        % (event["type"].encode(), json.dumps({"sequence_number": n, **event}, ensure_ascii=n % 2 == 0).encode())
        for n, event in enumerate(events)
    )


def told_of(events: list[Any]) -> tuple[str, str, dict[int, str]]:
    """(text, reasoning, arguments by place) of the SDK's events."""
    text = "".join(e.delta for e in events if e.type in ("response.output_text.delta", "response.refusal.delta"))
    thought = "".join(e.delta for e in events if e.type == "response.reasoning_summary_text.delta")
    calls: dict[int, str] = {}
    for event in events:
        if event.type == "response.output_item.added" and event.item.type == "function_call":
            calls[event.output_index] = ""
        elif event.type == "response.function_call_arguments.delta":
            calls[event.output_index] += event.delta
    return text, thought, calls


@FEW
@given(
    thoughts=TOKENS, texts=TOKENS, refusal=TOKENS, calls=CALLS, counts=st.lists(COUNT, min_size=5, max_size=5),
    end=st.sampled_from(["completed", "incomplete"]), data=st.data(),
)  # fmt: skip
def test_a_responses_stream_is_read_as_the_sdk_reads_it(
    thoughts: list[str], texts: list[str], refusal: list[str], calls: list[Any], counts: list[int], end: str,
    data: st.DataObject,
) -> None:  # fmt: skip
    body = events_of(thoughts, texts, refusal, calls, counts, end)
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=10))
    events = heard("responses", body)
    reply = responses.decode(cut_at(body, cuts, CONTENT_TYPES[".sse"]))
    text, thought, _ = told_of(events)
    final = events[-1].response
    assert (reply.text, reply.reasoning) == (text, thought)
    assert reply.text == final.output_text + "".join(refusal)
    made = [item for item in final.output if item.type == "function_call"]
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        (item.call_id, item.name, item.arguments or "{}") for item in made
    ]
    used = final.usage
    details = used.input_tokens_details
    assert reply.usage.cache_read_tokens == details.cached_tokens
    assert reply.usage.cache_write_5m_tokens == details.cache_write_tokens
    assert reply.usage.input_tokens == used.input_tokens - details.cached_tokens - details.cache_write_tokens
    assert reply.usage.output_tokens == used.output_tokens
    assert reply.usage.reasoning_tokens == used.output_tokens_details.reasoning_tokens
    assert reply.native_stop_reason == (final.incomplete_details.reason if end == "incomplete" else final.status)
    assert (reply.complete, reply.served_model, reply.message_id) == (True, final.model, final.id)
    arrived = [
        token for part in (thoughts, texts, refusal, *[tokens for _, tokens in calls]) for token in part if token
    ]
    assert len(reply.content_ns) == len(arrived)
    assert list(reply.content_ns) == sorted(reply.content_ns)

    # cut anywhere, both have the same part of it, and neither believes that it is the whole
    at = data.draw(st.integers(0, len(body) - 2))
    part = responses.decode(cut_at(body[:at], [], CONTENT_TYPES[".sse"]))
    text, thought, arguments = told_of(heard("responses", body[:at]))
    assert (part.text, part.reasoning) == (text, thought)
    assert [call.arguments for call in part.tool_calls] == [each or "{}" for each in arguments.values()]
    assert not part.complete


RESPONSES = [
    "responses_reasoning_text_tools.sse", "responses_text.sse", "responses_incomplete.sse",
    "responses_cut_before_end.sse", "responses_failed.sse", "responses_error.sse", "responses_refusal.sse",
]  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_the_golden_responses_are_read_as_the_sdk_reads_them(name: str) -> None:
    events = heard("responses", golden(name))
    reply = responses.decode(in_one_piece(name))
    text, thought, calls = told_of(events)
    assert (reply.text, reply.reasoning) == (text, thought)
    assert [call.arguments for call in reply.tool_calls] == list(calls.values())
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert reply.complete == (last.type in ("response.completed", "response.incomplete"))
    if last.type == "response.failed":
        assert json.loads(reply.error_body or b"")["error"]["code"] == last.response.error.code
    elif last.type == "error":
        assert json.loads(reply.error_body or b"")["error"]["message"] == last.message
    else:
        assert reply.error_body is None


def test_the_golden_whole_response_is_read_as_the_sdk_reads_it() -> None:
    with sdk(golden("responses_whole.json"), CONTENT_TYPES[".json"]) as client:
        whole = client.responses.create(model="m", input="hi")
    reply = responses.decode(in_one_piece("responses_whole.json"))
    assert (reply.text, reply.native_stop_reason) == (whole.output_text, whole.status)
    calls = [item for item in whole.output if item.type == "function_call"]
    assert [(call.id, call.arguments) for call in reply.tool_calls] == [
        (item.call_id, item.arguments) for item in calls
    ]
    assert reply.usage.output_tokens == whole.usage.output_tokens


# ------------------------------------------------------------------------------------------------ Chat Completions


def chunks_of(texts: list[str], calls: list[Any], counts: list[int], finish: str, azure: bool) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *[{"content": text} for text in texts]]
    for n, (name, tokens) in enumerate(calls):
        opened = {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        deltas += [{"tool_calls": [{"index": n, "function": {"arguments": token}}]} for token in tokens]
    chunks: list[dict[str, Any]] = []
    if azure:
        chunks.append({**head, "id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": []})
    chunks += [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    given, cached, written, made, thought = counts
    usage = {
        "prompt_tokens": given + cached + written,
        "completion_tokens": made,
        "total_tokens": given + cached + written + made,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    chunks.append({**head, "choices": [], "usage": usage})
    lines = [json.dumps(chunk, ensure_ascii=n % 2 == 0).encode() for n, chunk in enumerate(chunks)]
    return b"".join(b"data: " + line + b"\n\n" for line in [*lines, b"[DONE]"])


def gathered(chunks: list[Any]) -> tuple[str, list[tuple[str, str, str]], str | None, Any]:
    """(text, calls, finish reason, usage) of the SDK's chunks."""
    text, finish, usage = "", None, None
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or ():
                call = calls.setdefault(part.index, ["", "", ""])
                call[0], call[1] = part.id or call[0], part.function.name or call[1]
                call[2] += part.function.arguments or ""
    return text, [(call[0], call[1], call[2] or "{}") for call in calls.values()], finish, usage


def calls_in(reply: Reply) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


@FEW
@given(
    texts=TOKENS, calls=CALLS, counts=st.lists(COUNT, min_size=5, max_size=5), azure=st.booleans(),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]), data=st.data(),
)  # fmt: skip
def test_a_chat_stream_is_read_as_the_sdk_reads_it(
    texts: list[str], calls: list[Any], counts: list[int], azure: bool, finish: str, data: st.DataObject
) -> None:
    body = chunks_of(texts, calls, counts, finish, azure)
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=10))
    text, made, reason, used = gathered(heard("chat", body))
    reply = chat.decode(cut_at(body, cuts, CONTENT_TYPES[".sse"]))
    assert (reply.text, calls_in(reply), reply.native_stop_reason) == (text, made, reason)
    details = used.prompt_tokens_details
    assert reply.usage.input_tokens == used.prompt_tokens - details.cached_tokens - details.cache_write_tokens
    assert (reply.usage.cache_read_tokens, reply.usage.cache_write_5m_tokens) == (
        details.cached_tokens,
        details.cache_write_tokens,
    )
    assert reply.usage.output_tokens == used.completion_tokens
    assert reply.usage.reasoning_tokens == used.completion_tokens_details.reasoning_tokens
    assert reply.complete
    assert len(reply.content_ns) == sum(1 for part in (texts, *[tokens for _, tokens in calls]) for one in part if one)

    at = data.draw(st.integers(0, len(body)))
    part = chat.decode(cut_at(body[:at], [], CONTENT_TYPES[".sse"]))
    text, made, reason, used = gathered(heard("chat", body[:at]))
    assert (part.text, calls_in(part), part.native_stop_reason) == (text, made, reason)
    assert (part.usage.output_tokens is None) == (used is None)


# ------------------------------------------------------------------------------------------------ what goes out

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}
FULL = Params(
    max_tokens=64, temperature=0.0, top_p=0.5, effort="low", tools=(TOOL,), tool_choice="required", response_format=SCHEMA,
)  # fmt: skip
HELLO = Case("c1", ({"role": "system", "content": "S"}, {"role": "user", "content": "hi"}))


@pytest.mark.parametrize("dialect", ["chat", "responses"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_body_is_what_the_sdk_itself_would_write_byte_for_byte(dialect: str, stream: bool) -> None:
    params = Params(**{**{name: getattr(FULL, name) for name in FULL.__slots__}, "stream": stream})
    body = get(dialect).encode(HELLO, params, Target("t", "m", "openai", "m", dialect, service_tier="flex"))
    sent: list[bytes] = []
    empty = golden("responses_text.sse") if stream else b"{}"
    with sdk(empty, CONTENT_TYPES[".sse" if stream else ".json"], sent) as client:
        if dialect == "responses":
            client.responses.create(**body)
        else:
            client.chat.completions.create(**body)
    assert sent == [json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()]
