"""boto3 and our decoder are given the same bytes of Converse, and must have read the same."""

import base64
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.dialects import converse
from bench.record import Reply
from tests.unit.wire_bytes import CONTENT_TYPES, cut_at, exchange, golden
from tests.unit.wire_bytes.frames import event, exception

boto3 = pytest.importorskip("boto3")
exceptions = pytest.importorskip("botocore.exceptions")
awsrequest = pytest.importorskip("botocore.awsrequest")

AWS = CONTENT_TYPES[".eventstream"]
FEW = settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ASK: dict[str, Any] = {"modelId": "m.x", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
ANSWER: list[bytes] = []


class Raw:
    """A body as urllib3 hands it to botocore."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(ANSWER)

    def close(self) -> None:
        return


@cache
def client() -> Any:
    """boto3's client, answered by `ANSWER` in the network's place."""
    from botocore.config import Config

    made = boto3.client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="s",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, signature_version="v4"),
    )  # fmt: skip
    made.meta.events.register(
        "before-send.bedrock-runtime", lambda request, **_: awsrequest.AWSResponse(request.url, 200, {}, Raw())
    )
    return made


def streamed_by_boto3(body: bytes) -> tuple[list[dict[str, Any]], Any]:
    """Its events, and the error it raised at their end, if any."""
    ANSWER[:] = [body[at : at + 7919] for at in range(0, len(body), 7919)]
    events: list[dict[str, Any]] = []
    try:
        for one in client().converse_stream(**ASK)["stream"]:
            events.append(one)  # noqa: PERF402  (a copy would lose them when the stream raises)
    except exceptions.EventStreamError as raised:
        return events, raised
    return events, None


def agree(reply: Reply, events: list[dict[str, Any]]) -> None:
    deltas = [one["contentBlockDelta"] for one in events if "contentBlockDelta" in one]
    inner = [(one["contentBlockIndex"], one["delta"]) for one in deltas]
    assert reply.text == "".join(delta.get("text", "") for _, delta in inner)
    assert reply.reasoning == "".join(delta.get("reasoningContent", {}).get("text", "") for _, delta in inner)
    starts = [one["contentBlockStart"] for one in events if "contentBlockStart" in one]
    want = []
    for start in starts:
        tool = start["start"]["toolUse"]
        parts = [d["toolUse"]["input"] for at, d in inner if at == start["contentBlockIndex"] and "toolUse" in d]
        want.append((tool["toolUseId"], tool["name"], "".join(parts) or "{}"))
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == want
    stops = [one["messageStop"]["stopReason"] for one in events if "messageStop" in one]
    assert reply.native_stop_reason == (stops[-1] if stops else None)
    metadata = [one["metadata"] for one in events if "metadata" in one]
    same_usage(reply, metadata[-1]["usage"] if metadata else {})
    assert reply.served_lane == (metadata[-1].get("serviceTier", {}).get("type") if metadata else None)
    assert reply.complete == bool(stops and metadata)
    shown = [
        d.get("text") or d.get("reasoningContent", {}).get("text") or d.get("toolUse", {}).get("input")
        for _, d in inner
    ]
    assert len(reply.content_ns) == len([one for one in shown if one])


def same_usage(reply: Reply, usage: dict[str, Any]) -> None:
    got = reply.usage
    assert got.input_tokens == usage.get("inputTokens")
    assert got.output_tokens == usage.get("outputTokens")
    assert got.cache_read_tokens == usage.get("cacheReadInputTokens")
    written = usage.get("cacheWriteInputTokens")
    if written is not None:
        assert (got.cache_write_5m_tokens or 0) + (got.cache_write_1h_tokens or 0) == written


GOLDENS = [
    "text", "thinking_text_tool", "parallel_tools", "redacted", "throttled", "model_stream_error", "unmodelled_error",
]  # fmt: skip


@pytest.mark.parametrize("name", GOLDENS)
def test_boto3_reads_the_golden_streams_alike(name: str) -> None:
    body = golden(f"converse_{name}.eventstream")
    reply = converse.decode(exchange([(1, body)], AWS))
    events, error = streamed_by_boto3(body)
    agree(reply, events)
    assert (reply.error_body is None) == (error is None)
    if error is not None:
        assert reply.error_body is not None
        told = json.loads(reply.error_body)["error"]
        assert (told["type"], told["message"]) == (
            error.response["Error"]["Code"],
            error.response["Error"]["Message"],
        )


def test_boto3_reads_a_whole_reply_alike() -> None:
    ANSWER[:] = [golden("converse_whole.json")]
    said = client().converse(**ASK)
    reply = converse.decode(exchange([(1, golden("converse_whole.json"))], "application/json"))
    whole_agrees(reply, said)
    assert reply.usage.cache_write_1h_tokens == said["usage"]["cacheDetails"][0]["inputTokens"]


def whole_agrees(reply: Reply, said: dict[str, Any]) -> None:
    content = said["output"]["message"]["content"]
    assert reply.text == "".join(block.get("text", "") for block in content)
    assert reply.reasoning == "".join(
        block["reasoningContent"].get("reasoningText", {}).get("text", "")
        for block in content
        if "reasoningContent" in block
    )
    tools = [block["toolUse"] for block in content if "toolUse" in block]
    assert [(c.id, c.name, json.loads(c.arguments)) for c in reply.tool_calls] == [
        (tool["toolUseId"], tool["name"], tool["input"]) for tool in tools
    ]
    assert reply.native_stop_reason == said["stopReason"]
    same_usage(reply, said["usage"])


# ------------------------------------------------------------------------------------------------ streams of any make

WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
NAME = st.text("abc_-12", min_size=1, max_size=5)
TEXT = st.tuples(st.just("text"), st.lists(WORDS, max_size=5))
THOUGHT = st.tuples(st.just("thought"), st.lists(WORDS, max_size=3))
REDACTED = st.tuples(st.just("redacted"), st.binary(min_size=1, max_size=5))
TOOL = st.tuples(st.just("tool"), st.tuples(NAME, NAME, st.lists(WORDS, max_size=3)))
BLOCKS = st.lists(TEXT | THOUGHT | REDACTED | TOOL, max_size=4)
STOP = st.sampled_from(sorted(converse.STOP_REASONS))
COUNT = st.integers(0, 10**6)
USAGE = st.fixed_dictionaries(
    {"inputTokens": COUNT, "outputTokens": COUNT, "totalTokens": COUNT},
    optional={"cacheReadInputTokens": COUNT, "cacheWriteInputTokens": COUNT},
)
PADDING = st.text("abcXYZ09", max_size=5)


def frames_of(blocks: list[Any], stop: str, usage: dict[str, int], padding: str, tier: str | None) -> list[bytes]:
    found = [event("messageStart", {"role": "assistant", "p": padding})]
    for at, (kind, content) in enumerate(blocks):
        deltas: list[dict[str, Any]] = []
        if kind == "text":
            deltas = [{"text": text} for text in content]
        elif kind == "thought":
            deltas = [{"reasoningContent": {"text": text}} for text in content]
            deltas.append({"reasoningContent": {"signature": "c2ln"}})
        elif kind == "redacted":
            deltas = [{"reasoningContent": {"redactedContent": base64.b64encode(content).decode()}}]
        else:
            name, call, parts = content
            start = {"toolUse": {"toolUseId": call, "name": name}}
            found.append(event("contentBlockStart", {"contentBlockIndex": at, "start": start, "p": padding}))
            deltas = [{"toolUse": {"input": part}} for part in parts]
        found += [event("contentBlockDelta", {"contentBlockIndex": at, "delta": d, "p": padding}) for d in deltas]
        found.append(event("contentBlockStop", {"contentBlockIndex": at, "p": padding}))
    metadata = {"usage": usage, "metrics": {"latencyMs": 1}, "p": padding}
    if tier:
        metadata["serviceTier"] = {"type": tier}
    return [*found, event("messageStop", {"stopReason": stop, "p": padding}), event("metadata", metadata)]


TIER = st.sampled_from([None, "default", "flex"])


@FEW
@given(blocks=BLOCKS, stop=STOP, usage=USAGE, padding=PADDING, tier=TIER, data=st.data())
def test_any_stream_is_read_as_boto3_reads_it_whole_cut_or_broken_off(
    blocks: list[Any], stop: str, usage: dict[str, int], padding: str, tier: str | None, data: st.DataObject
) -> None:
    frames = frames_of(blocks, stop, usage, padding, tier)
    body = b"".join(frames)
    whole = converse.decode(exchange([(1, body)], AWS))
    agree(whole, streamed_by_boto3(body)[0])
    assert whole.error_body is None

    end = data.draw(st.integers(1, len(body) - 1), "cut")
    part = converse.decode(cut_at(body[:end], [], AWS))
    agree(part, streamed_by_boto3(body[:end])[0])
    assert whole.text.startswith(part.text)
    assert whole.reasoning.startswith(part.reasoning)
    assert not part.complete
    assert part.error_body is None

    at = data.draw(st.integers(0, len(frames) - 1), "error after")
    failed = b"".join(frames[:at]) + exception("serviceUnavailableException", {"message": "busy"})
    reply = converse.decode(exchange([(1, failed)], AWS))
    events, error = streamed_by_boto3(failed)
    agree(reply, events)
    assert error is not None
    assert reply.error_body is not None
    assert json.loads(reply.error_body)["error"]["type"] == error.response["Error"]["Code"]


JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@FEW
@given(
    texts=st.lists(WORDS, max_size=3),
    inputs=st.lists(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), JSON, max_size=3), max_size=3),
    stop=STOP,
    usage=USAGE,
)
def test_any_whole_reply_is_read_as_boto3_reads_it(
    texts: list[str], inputs: list[dict[str, Any]], stop: str, usage: dict[str, int]
) -> None:
    content: list[dict[str, Any]] = [{"text": text} for text in texts]
    content += [{"toolUse": {"toolUseId": str(n), "name": "f", "input": value}} for n, value in enumerate(inputs)]
    message = {"role": "assistant", "content": content}
    body = json.dumps(
        {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}
    ).encode()
    ANSWER[:] = [body]
    whole_agrees(converse.decode(exchange([(1, body)], "application/json")), client().converse(**ASK))


@FEW
@given(blocks=BLOCKS, stop=STOP, usage=USAGE, data=st.data())
def test_however_the_bytes_are_cut_into_pieces_the_reply_is_the_same(
    blocks: list[Any], stop: str, usage: dict[str, int], data: st.DataObject
) -> None:
    frames = frames_of(blocks, stop, usage, "ab", None)
    body = b"".join(frames)
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=20))
    one, many = converse.decode(cut_at(body, [], AWS)), converse.decode(cut_at(body, cuts, AWS))
    assert (one.text, one.reasoning, one.tool_calls, one.usage) == (
        many.text,
        many.reasoning,
        many.tool_calls,
        many.usage,
    )
    # a piece is stamped with the offset of its end: each content event has the first end at or behind its own
    ends = sorted({*cuts, len(body)})
    offset, want = 0, []
    for frame in frames:
        offset += len(frame)
        alone = converse.decode(exchange([(1, frame)], AWS))
        want += [next(end for end in ends if end >= offset)] * len(alone.content_ns)
    assert list(many.content_ns) == want


KINDS = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "other",
)
KEYS = """
    delta start toolUse reasoningContent text input contentBlockIndex stopReason usage inputTokens cacheDetails ttl trace
    promptRouter invokedModelId serviceTier type toolUseId name output message content cacheWriteInputTokens
""".split()  # noqa: SIM905  (a list of words reads better as words)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@settings(FEW, max_examples=150)
@given(bodies=st.lists(st.tuples(st.sampled_from(KINDS), ANYTHING), max_size=5))
def test_any_json_in_any_event_never_raises_and_gives_what_can_be_stored(bodies: list[tuple[str, Any]]) -> None:
    stream = b"".join(event(kind, json.loads(json.dumps(value))) for kind, value in bodies)
    replies = [converse.decode(exchange([(1, stream)], AWS))]
    replies += [converse.decode(exchange([(1, json.dumps(v).encode())], "application/json")) for _, v in bodies]
    for reply in replies:
        (reply.text + reply.reasoning + "".join(c.id + c.name + c.arguments for c in reply.tool_calls)).encode()
        for count in (reply.usage.input_tokens, reply.usage.cache_write_5m_tokens, reply.usage.cache_write_1h_tokens):
            assert count is None or 0 <= count < 1 << 63
