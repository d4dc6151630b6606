"""The look-alike's own protocol buffers against Google's classes: each reads what the other wrote."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate.protobuf import MESSAGES, Malformed, counted, decode, encode

types = pytest.importorskip("google.cloud.aiplatform_v1.types")
json_format = pytest.importorskip("google.protobuf.json_format")

REQUEST = {
    "model": "projects/p/locations/l/publishers/google/models/m",
    "contents": [
        {"role": "user", "parts": [{"text": "é 😀"}, {"inlineData": {"mimeType": "image/png", "data": "+/8="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": [1, 2.5, None, True, {"b": ""}]}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]},
        {"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://b/c.png"}}]},
    ],
    "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object", "required": ["a"]}},
                {"name": "g", "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING", "enum": ["y"]}}}},
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "labels": {"team": "a"},
    "generationConfig": {
        "temperature": 0.5, "topP": 0.25, "topK": 40.0, "candidateCount": 1, "maxOutputTokens": 64, "seed": -7,
        "stopSequences": ["END"], "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0},
    },
}  # fmt: skip
RESPONSE = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm", "thought": True},
                    {"functionCall": {"name": "f", "args": {"n": 3.0, "s": "x"}}, "thoughtSignature": "c2ln"},
                ],
            },
            "finishReason": "MAX_TOKENS",
        }
    ],
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
    "usageMetadata": {
        "promptTokenCount": 25, "candidatesTokenCount": 10, "thoughtsTokenCount": 7, "cachedContentTokenCount": 5,
        "totalTokenCount": 42, "trafficType": "ON_DEMAND_FLEX",
    },
    "modelVersion": "m",
    "createTime": "2026-11-21T21:00:00Z",
    "responseId": "abc",
}  # fmt: skip


def test_what_googles_classes_write_is_read_here() -> None:
    kind = types.GenerateContentRequest.pb()
    written = json_format.ParseDict(REQUEST, kind()).SerializeToString()
    assert decode("GenerateContentRequest", written) == REQUEST


def test_what_is_written_here_googles_classes_read() -> None:
    kind = types.GenerateContentResponse.pb()
    read = kind.FromString(encode("GenerateContentResponse", RESPONSE))
    assert json_format.MessageToDict(read) == RESPONSE


def test_every_field_has_the_number_and_the_name_that_google_gave_it() -> None:
    """Names of messages here are those of the proto files, but for the two raw requests, which are alike."""
    from google.api.httpbody_pb2 import HttpBody

    known = {
        "RawPredictRequest": types.RawPredictRequest.pb().DESCRIPTOR,
        "GenerateContentRequest": types.GenerateContentRequest.pb().DESCRIPTOR,
        "GenerateContentResponse": types.GenerateContentResponse.pb().DESCRIPTOR,
        "HttpBody": HttpBody.DESCRIPTOR,
    }
    reached = dict(known)
    waiting = list(known.values())
    while waiting:
        for field in waiting.pop().fields:
            inner = field.message_type
            if inner is not None and inner.name in MESSAGES and inner.name not in reached:
                reached[inner.name] = inner
                waiting.append(inner)
    for name, descriptor in reached.items():
        for number, ours in MESSAGES[name].items():
            theirs = descriptor.fields_by_number[number]
            assert ours.name in (theirs.json_name, theirs.name), (name, number)
    assert len(reached) >= 18


# a schema (a free value) inside a function inside a tool: an object whose key is a number, and one that is not UTF-8
FREE = [
    b"\x32" + counted(b"\x0a" + counted(b"\x2a" + counted(b"\x2a" + counted(b"\x0a" + counted(entry)))))
    for entry in (b"\x08\x01", b"\x0a\x01\xff")
]


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a", b"\x0b\x00", b"\xfa\x7f\x01x", b"\x10\x01", *FREE])
def test_bytes_that_are_no_message_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode("GenerateContentRequest", data)


@given(st.binary(max_size=40))
@settings(max_examples=200, derandomize=True)
def test_no_bytes_make_the_reader_fail_in_another_way(data: bytes) -> None:
    try:
        decode("GenerateContentRequest", data)
    except Malformed:
        pass


VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**50), 2**50)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
@settings(max_examples=100, derandomize=True)
def test_any_arguments_of_a_call_survive_the_way_there(arguments: dict[str, Any]) -> None:
    call = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": arguments}}]}}]}
    read = types.GenerateContentResponse.pb().FromString(encode("GenerateContentResponse", call))
    (part,) = json_format.MessageToDict(read)["candidates"][0]["content"]["parts"]
    assert json.loads(json.dumps(part["functionCall"].get("args", {}))) == arguments
