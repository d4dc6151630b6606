"""Whatever way bytes are cut, the reply is the same; whatever bytes come, decoding ends."""

import base64
import json
import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.dialects import body as read
from bench.dialects import chat, converse, get, messages, responses
from bench.record import Reply
from tests.unit.wire_bytes import CONTENT_TYPES, cut_at, exchange, golden

FEW = settings(derandomize=True, max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOLDENS = [
    ("messages", "messages_thinking_text_tool.sse"),
    ("messages", "messages_overloaded.sse"),
    ("messages", "messages_parallel_tools.sse"),
    ("messages", "messages_server_tool.sse"),
    ("messages", "bedrock_text.eventstream"),
    ("messages", "bedrock_throttled.eventstream"),
    ("converse", "converse_thinking_text_tool.eventstream"),
    ("converse", "converse_throttled.eventstream"),
    ("chat", "chat_text_tool.sse"),
    ("chat", "chat_reasoning_vllm.sse"),
    ("chat", "chat_gateway_error.sse"),
    ("chat", "chat_parallel_tools.sse"),
    ("responses", "responses_reasoning_text_tools.sse"),
    ("responses", "responses_refusal.sse"),
    ("responses", "responses_error.sse"),
]
DECODERS = (messages.decode, chat.decode, responses.decode, converse.decode)


def content_type(name: str) -> str:
    return CONTENT_TYPES["." + name.rpartition(".")[2]]


def without_stamps(reply: Reply) -> Reply:
    return replace(reply, content_ns=(0,) * len(reply.content_ns), first_text_ns=reply.first_text_ns and 1)


@pytest.mark.parametrize(("dialect", "name"), GOLDENS)
@FEW
@given(data=st.data())
def test_any_cutting_of_the_bytes_gives_the_same_reply(dialect: str, name: str, data: st.DataObject) -> None:
    body = golden(name)
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=40))
    decode = get(dialect).decode
    whole, cut = decode(cut_at(body, [], content_type(name))), decode(cut_at(body, cuts, content_type(name)))
    assert without_stamps(cut) == without_stamps(whole)
    assert list(cut.content_ns) == sorted(cut.content_ns)
    assert cut.first_text_ns is None or cut.first_text_ns in cut.content_ns


@pytest.mark.parametrize(("dialect", "name"), GOLDENS)
@FEW
@given(data=st.data())
def test_a_stream_cut_anywhere_keeps_a_prefix_of_the_whole(dialect: str, name: str, data: st.DataObject) -> None:
    body = golden(name)
    end = data.draw(st.integers(0, len(body)))
    decode = get(dialect).decode
    whole = decode(cut_at(body, [], content_type(name)))
    part = decode(replace(cut_at(body[:end], [], content_type(name)), failure="reset"))
    assert whole.text.startswith(part.text)
    assert whole.reasoning.startswith(part.reasoning)
    assert len(part.content_ns) <= len(whole.content_ns)
    assert part.error_body in (None, whole.error_body)
    if not whole.complete:
        assert not part.complete


@pytest.mark.parametrize(("dialect", "name"), GOLDENS)
@FEW
@given(data=st.data())
def test_damaged_bytes_never_raise_and_give_text_that_can_be_stored(
    dialect: str, name: str, data: st.DataObject
) -> None:
    body = bytearray(golden(name))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=8)):
        body[at] = data.draw(st.integers(0, 255))
    reply = get(dialect).decode(cut_at(bytes(body), [], content_type(name)))
    for text in (reply.text, reply.reasoning, *[call.arguments for call in reply.tool_calls]):
        text.encode()


@FEW
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from([*CONTENT_TYPES.values(), "", "text/html"]),
    coding=st.sampled_from(["identity", "gzip", "deflate", "br"]),
)
def test_rubbish_of_any_kind_never_raises(body: bytes, kind: str, coding: str) -> None:
    one = exchange([(1, body)], kind, headers=(("content-encoding", coding),))
    for decode in DECODERS:
        assert not decode(one).complete or decode(one).native_stop_reason


KEYS = """
    type index delta text content choices usage error id message model stop_reason tool_calls function arguments name
    finish_reason content_block input partial_json thinking prompt_tokens reasoning refusal prompt_tokens_details
    cached_tokens cache_creation object service_tier response output_index content_index item output status function_call
    summary incomplete_details reason input_tokens part call_id usage x_groq
""".split()  # noqa: SIM905  (a list of words reads better as words)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner
            | st.sampled_from(
                [
                    "content_block_delta",
                    "content_block_start",
                    "message_start",
                    "text_delta",
                    "tool_use",
                    "thinking",
                    "function_call",
                    *responses._EVENTS,
                ]
            ),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(FEW, max_examples=80)
@given(values=st.lists(JSON, max_size=5))
def test_any_json_in_any_place_never_raises(values: list[object]) -> None:
    events = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    for body in [events, *[json.dumps(value).encode() for value in values]]:
        for decode in DECODERS:
            reply = decode(exchange([(1, body)]))
            (reply.text + reply.reasoning).encode()


def test_json_that_is_nested_without_end_is_rubbish_too() -> None:
    body = b"data: " + b'{"a":[' * 100_000 + b"\n\n"
    for decode in DECODERS:
        assert decode(exchange([(1, body)])).error_body is not None


def test_half_a_surrogate_pair_is_joined_with_the_next_or_replaced() -> None:
    halves = [b"\\ud83d", b"\\ude00", b" \\ud83d!"]
    body = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % half for half in halves)
    assert chat.decode(exchange([(1, body)])).text == "😀 \ufffd!"


# ------------------------------------------------------------------------------------------------ events by comparison

TOKENS = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=12)
NOISE = st.sampled_from(
    [{}, {"logprobs": {"content": [{"token": "x"}]}}, {"x": '"content":"'}, {"content": "y"}, {"obfuscation": "aa"}]
)


@settings(FEW, max_examples=80)
@given(tokens=TOKENS, noise=NOISE, spaced=st.booleans(), escaped=st.booleans())
def test_chat_events_read_by_comparison_say_what_parsing_them_says(
    tokens: list[str], noise: dict[str, object], spaced: bool, escaped: bool
) -> None:
    separators = None if spaced else (",", ":")
    events = [
        json.dumps(
            {"id": "c", "choices": [{"index": 0, "delta": {"content": token}, **noise}], "usage": None},
            separators=separators,
            ensure_ascii=escaped,
        )
        for token in tokens
    ]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    reply = chat.decode(exchange([(1, body)]))
    assert reply.text == "".join(tokens)
    assert len(reply.content_ns) == sum(1 for token in tokens if token)
    assert reply.error_body is None


@settings(FEW, max_examples=80)
@given(tokens=TOKENS, switch=st.integers(0, 12), framed=st.booleans())
def test_message_events_read_by_comparison_say_what_parsing_them_says(
    tokens: list[str], switch: int, framed: bool
) -> None:
    # from the switch on, the text belongs to another block and may not be read with the first block's envelope
    events = [
        {"type": "content_block_delta", "index": int(at >= switch), "delta": {"type": "text_delta", "text": token}}
        for at, token in enumerate(tokens)
    ]
    raw = [json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() for event in events]
    if framed:
        body, kind = b"".join(map(frame, raw)), CONTENT_TYPES[".eventstream"]
    else:
        body, kind = b"".join(b"event: x\ndata: " + one + b"\n\n" for one in raw), CONTENT_TYPES[".sse"]
    reply = messages.decode(exchange([(1, body)], kind))
    assert reply.text == "".join(tokens)
    assert len(reply.content_ns) == sum(1 for token in tokens if token)


def frame(event: bytes) -> bytes:
    """One `chunk` of InvokeModelWithResponseStream, after AWS's description of the encoding."""
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in (
            (b":event-type", b"chunk"),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    payload = json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abc"}).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


@FEW
@given(tokens=TOKENS)
def test_an_envelope_is_compared_only_when_it_leaves_no_doubt(tokens: list[str]) -> None:
    repeats = read.Repeats()
    for token in tokens:
        data = json.dumps({"a": {"text": token}, "b": [1, "text"]}, separators=(",", ":"), ensure_ascii=False).encode()
        repeats.learn(b"text", token, data)
        assert repeats.texts_of([data]) == [None]  # "text" stands there twice


def test_an_envelope_that_differs_every_time_is_soon_left_alone() -> None:
    repeats = read.Repeats()
    for n in range(10):
        repeats.learn(b"text", "a", b'{"n":%d,"text":"a"}' % n)
        assert repeats.texts_of([b'{"n":%d,"text":"b"}' % (n + 1)]) == [None]
    repeats.learn(b"text", "a", b'{"n":0,"text":"a"}')
    assert repeats.texts_of([b'{"n":0,"text":"b"}']) == [None]
    fresh = read.Repeats()
    fresh.learn(b"text", "a", b'{"n":0,"text":"a"}')
    assert fresh.texts_of([b'{"n":0,"text":"bcd"}']) == ["bcd"]
    assert fresh.texts_of([b'{"n":0,"text":"b\\n"}']) == [None]


def test_envelopes_that_take_turns_are_not_compared_without_end() -> None:
    """Each is worth comparing by itself; but every comparison looks at all that follows."""
    repeats = read.Repeats()
    learned = 0
    for n in range(100):
        if repeats.learn(b"text", "a", b'{"n":%d,"text":"a"}' % (n % 2)):
            learned += 1
            assert repeats.texts_of([b'{"n":%d,"text":"b"}' % (n % 2)] * 3) == ["b"] * 3
    assert learned == 16


def test_texts_of_one_envelope_are_told_in_order_around_what_has_to_be_parsed() -> None:
    repeats = read.Repeats()
    assert repeats.learn(b"text", "a", b'{"text":"a"}')
    plain = [b'{"text":"b"}', b'{"ping":1}', '{"text":"é"}'.encode(), b'{"text":""}', b'{"text":"c"}']
    assert repeats.texts_of(plain) == ["b", None, "é", None, "c"]
    # an escape or a quote in one does not spoil the others
    assert repeats.texts_of([b'{"text":"b\\n"}', b'{"text":"c"}']) == [None, "c"]
    # half a character in each of two events is wrong in both, though joined they would be right
    torn = "é".encode()
    halves = [b'{"text":"' + torn[:1] + b'"}', b'{"text":"' + torn[1:] + b'"}', b'{"text":"c"}']
    assert repeats.texts_of(halves) == [None, None, "c"]
    assert repeats.texts_of([]) == []


_EVENTS = st.lists(
    st.one_of(
        st.text(st.sampled_from("abé😀{}: "), max_size=5).map(lambda text: b'{"n":1,"text":"%s"}' % text.encode()),
        st.sampled_from(
            [
                b"",
                b"[DONE]",
                b'{"n":1,"text":"a\\n"}',
                b'{"n":1,"text":"a"},',
                b'"}{"n":1,"text":"',
                b'{"n":2,"text":"a"}',
            ]
        ),
    ),
    max_size=30,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(_EVENTS)
def test_texts_read_in_one_go_are_those_that_are_read_one_by_one(datas: list[bytes]) -> None:
    repeats = read.Repeats()
    assert repeats.learn(b"text", "a", b'{"n":1,"text":"a"}')
    assert repeats.texts_of(datas) == [repeats.texts_of([data])[0] for data in datas]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(_EVENTS)
def test_every_event_is_either_taken_with_its_stamp_or_given_to_be_parsed(datas: list[bytes]) -> None:
    datas = [b'{"n":1,"text":"a"}', *datas]
    unread = read.Unread(range(len(datas)), datas)
    seen = []
    for at in unread:
        taken = list(unread.content_ns)
        seen.append(at)
        assert sorted([*taken, *seen]) == list(range(at + 1))
        if at == 0:
            unread.learn(b"text", "a")
    assert sorted([*unread.content_ns, *seen]) == list(range(len(datas)))
    assert [f'{{"n":1,"text":"{text}"}}'.encode() for text in unread.texts] == [datas[at] for at in unread.content_ns]
