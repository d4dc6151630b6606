"""Protocol buffers by hand, for the look-alike over gRPC: the messages of Vertex AI's prediction service as JSON objects.

Field numbers follow Google's public proto files (google/cloud/aiplatform/v1, google/api/httpbody.proto, google/protobuf),
not the library that the measured side uses, so that one wrong belief cannot pass on both.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

Json = dict[str, Any]


class Malformed(ValueError):
    """The bytes are no message of this kind."""


class Field(NamedTuple):
    name: str
    kind: str
    """string, bytes, bool, int, float, double, enum, value, struct, timestamp, or the name of a message."""
    repeated: bool = False


def _message(**fields: str) -> Mapping[int, Field]:
    """`name="3 string"`, `name="3 Part*"` for a repeated field."""
    out = {}
    for name, words in fields.items():
        number, kind = words.split()
        out[int(number)] = Field(name, kind.rstrip("*"), kind.endswith("*"))
    return out


MESSAGES: Mapping[str, Mapping[int, Field]] = {
    "HttpBody": _message(content_type="1 string", data="2 bytes"),
    "RawPredictRequest": _message(endpoint="1 string", http_body="2 HttpBody"),
    "GenerateContentRequest": _message(
        model="5 string", contents="2 Content*", systemInstruction="8 Content", tools="6 Tool*",
        toolConfig="7 ToolConfig", labels="10 LabelsEntry*", generationConfig="4 GenerationConfig",
    ),
    "LabelsEntry": _message(key="1 string", value="2 string"),
    "Content": _message(role="1 string", parts="2 Part*"),
    "Part": _message(
        text="1 string", inlineData="2 Blob", fileData="3 FileData", functionCall="5 FunctionCall",
        functionResponse="6 FunctionResponse", thought="10 bool", thoughtSignature="11 bytes",
    ),
    "Blob": _message(mimeType="1 string", data="2 bytes"),
    "FileData": _message(mimeType="1 string", fileUri="2 string"),
    "FunctionCall": _message(name="1 string", args="2 struct"),
    "FunctionResponse": _message(name="1 string", response="2 struct"),
    "Tool": _message(functionDeclarations="1 FunctionDeclaration*"),
    "FunctionDeclaration": _message(
        name="1 string", description="2 string", parameters="3 Schema", parametersJsonSchema="5 value",
    ),
    "ToolConfig": _message(functionCallingConfig="1 FunctionCallingConfig"),
    "FunctionCallingConfig": _message(mode="1 enum", allowedFunctionNames="2 string*"),
    "GenerationConfig": _message(
        temperature="1 float", topP="2 float", topK="3 float", candidateCount="4 int", maxOutputTokens="5 int",
        stopSequences="6 string*", presencePenalty="8 float", frequencyPenalty="9 float", seed="12 int",
        responseMimeType="13 string", responseSchema="16 Schema", thinkingConfig="25 ThinkingConfig",
        responseJsonSchema="28 value",
    ),
    "ThinkingConfig": _message(includeThoughts="1 bool", thinkingBudget="3 int", thinkingLevel="4 enum"),
    "Schema": _message(
        type="1 enum", items="2 Schema", properties="3 SchemaEntry*", required="5 string*", nullable="6 bool",
        format="7 string", description="8 string", enum="9 string*", anyOf="11 Schema*", minimum="16 double",
        maximum="17 double", minLength="18 int", maxLength="19 int", minItems="21 int", maxItems="22 int",
        title="24 string", propertyOrdering="25 string*",
    ),
    "SchemaEntry": _message(key="1 string", value="2 Schema"),
    "GenerateContentResponse": _message(
        candidates="2 Candidate*", promptFeedback="3 PromptFeedback", usageMetadata="4 UsageMetadata",
        modelVersion="11 string", createTime="12 timestamp", responseId="13 string",
    ),
    "Candidate": _message(index="1 int", content="2 Content", finishReason="3 enum"),
    "PromptFeedback": _message(blockReason="1 enum"),
    "UsageMetadata": _message(
        promptTokenCount="1 int", candidatesTokenCount="2 int", totalTokenCount="3 int", cachedContentTokenCount="5 int",
        trafficType="8 enum", thoughtsTokenCount="14 int",
    ),
    "Status": _message(code="1 int", message="2 string", details="3 Any*"),
    "Any": _message(type_url="1 string", value="2 bytes"),
    "RetryInfo": _message(retryDelay="1 Duration"),
    "Duration": _message(seconds="1 int", nanos="2 int"),
}  # fmt: skip
MAPS = {"LabelsEntry", "SchemaEntry"}
ENUMS: Mapping[str, tuple[str, ...]] = {
    "mode": ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE"),
    "thinkingLevel": ("THINKING_LEVEL_UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "MINIMAL"),
    "type": ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"),
    "finishReason": (
        "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST",
        "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR",
    ),
    "blockReason": ("BLOCKED_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"),
    "trafficType": (
        "TRAFFIC_TYPE_UNSPECIFIED", "ON_DEMAND", "PROVISIONED_THROUGHPUT", "ON_DEMAND_PRIORITY", "ON_DEMAND_FLEX",
    ),
}  # fmt: skip
"""By field: its names in the order of their numbers."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


# ------------------------------------------------------------------------------------------------ reading


def decode(kind: str, data: bytes) -> Json:
    """The message as the JSON object that it stands for. Raises Malformed, also for fields that are not known here."""
    try:
        return _decoded(kind, data)
    except (UnicodeDecodeError, struct.error, AttributeError, TypeError) as error:  # a free value of the wrong kind
        raise Malformed(f"{kind}: {error}") from None


def _decoded(kind: str, data: bytes) -> Json:
    out: Json = {}
    for number, wire, raw in _fields(data):
        field = MESSAGES[kind].get(number)
        if field is None:
            raise Malformed(f"{kind} has a field {number}, which this look-alike does not know")
        value = _value(field, wire, raw)
        if field.kind in MAPS:
            out.setdefault(field.name, {})[value.get("key", "")] = value.get("value", "")
        elif field.repeated:
            out.setdefault(field.name, []).append(value)
        else:
            out[field.name] = value
    return out


def _fields(data: bytes) -> list[tuple[int, int, Any]]:
    """(number, wire type, value): an int, or the bytes of a fixed or a counted value."""
    found: list[tuple[int, int, Any]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        raw: Any
        if wire == _VARINT:
            raw, at = _varint(data, at)
        else:
            if wire == _BYTES:
                size, at = _varint(data, at)
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
            else:
                raise Malformed(f"wire type {wire}")
            raw = data[at : at + size]
            at += size
            if at > len(data):
                raise Malformed("it ends inside a field")
        found.append((number, wire, raw))
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("it ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("a number that does not end")


def _value(field: Field, wire: int, raw: Any) -> Any:
    wanted = {"bool": _VARINT, "int": _VARINT, "enum": _VARINT, "float": _FIXED32, "double": _FIXED64}
    if wire != wanted.get(field.kind, _BYTES):
        raise Malformed(f"{field.name} has wire type {wire}")
    match field.kind:
        case "string":
            try:
                return raw.decode()
            except UnicodeDecodeError:
                raise Malformed(f"{field.name} is not UTF-8") from None
        case "bytes":
            return raw if field.name == "data" and field is not _BLOB else base64.b64encode(raw).decode()
        case "bool":
            return bool(raw)
        case "int":
            return raw - (1 << 64) if raw >> 63 else raw
        case "float":
            return struct.unpack("<f", raw)[0]
        case "double":
            return struct.unpack("<d", raw)[0]
        case "enum":
            names = ENUMS[field.name]
            return names[raw] if raw < len(names) else raw
        case "value":
            return _any_value(raw)
        case "struct":
            return _struct(raw)
        case kind:
            return _decoded(kind, raw)


_BLOB = MESSAGES["Blob"][2]


def _struct(data: bytes) -> Json:
    out: Json = {}
    for number, _, raw in _fields(data):
        if number != 1:
            raise Malformed("a struct with a field that is none")
        entry = {inner: value for inner, _, value in _fields(raw)}
        out[entry.get(1, b"").decode()] = _any_value(entry.get(2, b""))
    return out


def _any_value(data: bytes) -> Any:
    for number, _, raw in _fields(data):
        match number:
            case 1:
                return None
            case 2:
                number_value: float = struct.unpack("<d", raw)[0]
                return int(number_value) if number_value.is_integer() else number_value
            case 3:
                return raw.decode()
            case 4:
                return bool(raw)
            case 5:
                return _struct(raw)
            case 6:
                return [_any_value(item) for _, _, item in _fields(raw)]
    return None


# ------------------------------------------------------------------------------------------------ writing


def encode(kind: str, value: Mapping[str, Any]) -> bytes:
    """The message of a JSON object. Zeros are left out, as proto3 does. Raises KeyError for a name that it has not."""
    by_name = {field.name: (number, field) for number, field in MESSAGES[kind].items()}
    out = []
    for name, inner in value.items():
        number, field = by_name[name]
        for item in inner if field.repeated else (inner,):
            written = _written(field, item)
            if written is not None:
                wire, data = written
                out.append(_number(number << 3 | wire) + data)
    return b"".join(out)


def counted(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _written(field: Field, value: Any) -> tuple[int, bytes] | None:
    plain: Mapping[str, Callable[[Any], bytes]] = {
        "string": lambda text: text.encode("utf-8", "replace"),
        "bytes": lambda data: data if isinstance(data, bytes) else base64.b64decode(data),
        "struct": _struct_bytes,
        "value": _value_bytes,
        "timestamp": _timestamp_bytes,
    }
    if field.kind in ("bool", "int", "enum"):
        whole = ENUMS[field.name].index(value) if field.kind == "enum" and isinstance(value, str) else int(value)
        return (_VARINT, _number(whole)) if whole else None
    if field.kind in ("float", "double"):
        return (_FIXED32, struct.pack("<f", value)) if field.kind == "float" else (_FIXED64, struct.pack("<d", value))
    if field.kind in plain:
        return _BYTES, counted(plain[field.kind](value))
    return _BYTES, counted(encode(field.kind, value))


def _struct_bytes(value: Mapping[str, Any]) -> bytes:
    entries = (b"\x0a" + counted(key.encode()) + b"\x12" + counted(_value_bytes(inner)) for key, inner in value.items())
    return b"".join(b"\x0a" + counted(entry) for entry in entries)


def _value_bytes(value: Any) -> bytes:
    if value is None:
        return b"\x08\x00"
    if isinstance(value, bool):
        return b"\x20" + bytes([value])
    if isinstance(value, int | float):
        return b"\x11" + struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x1a" + counted(value.encode())
    if isinstance(value, Mapping):
        return b"\x2a" + counted(_struct_bytes(value))
    return b"\x32" + counted(b"".join(b"\x0a" + counted(_value_bytes(item)) for item in value))


def _timestamp_bytes(value: str) -> bytes:
    return encode("Duration", {"seconds": int(datetime.fromisoformat(value).timestamp())})
