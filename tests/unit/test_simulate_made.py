"""Values that the look-alikes make from a schema: they fit it, whatever it asks for."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate.made import value_for

TYPES: Mapping[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool, "null": type(None),
}  # fmt: skip


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether the value is valid, for the words of JSON Schema that stand here. Written apart from what makes values."""
    if schema is True:
        return True
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            found = found[step]
        return fits(value, found, root)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    right = not kinds or any(
        isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind in ("integer", "number"))
        for kind in kinds
    )
    tests = [
        right,
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(fits(value, option, root) for option in schema["anyOf"]),
        all(fits(value, each, root) for each in schema.get("allOf", ())),
    ]
    if isinstance(value, dict):
        tests += [name in value for name in schema.get("required", ())]
        tests += [
            fits(value[name], inner, root) for name, inner in schema.get("properties", {}).items() if name in value
        ]
        if schema.get("additionalProperties") is False:
            tests.append(set(value) <= set(schema.get("properties", {})))
    if isinstance(value, list):
        tests += [schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 99)]
        tests += [fits(item, schema.get("items", True), root) for item in value]
    if isinstance(value, str):
        tests += [schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 999)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        tests += [schema.get("minimum", value) <= value <= schema.get("maximum", value)]
        tests += ["exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"]]
        tests += ["exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"]]
        tests += [value % schema.get("multipleOf", 1) == 0 or "multipleOf" not in schema]
    return all(tests)


BOUND = st.integers(-50, 50)
PLAIN = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": [1]}, {"enum": ["a", 1, None]}]),
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, st.integers(0, 30), st.integers(0, 9)),
    st.builds(lambda kind, low, more: {"type": kind, "minimum": low, "maximum": low + more}, st.sampled_from(["integer", "number"]), BOUND, st.integers(0, 9)),
    st.builds(lambda low, more: {"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + 2 + more}, BOUND, st.integers(0, 9)),
    st.builds(lambda step: {"type": "integer", "minimum": 1, "multipleOf": step}, st.integers(1, 20)),
)  # fmt: skip
SCHEMA = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, least: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:least],
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
            st.integers(0, 3),
        ),
        st.builds(
            lambda item, low, more: {"type": "array", "items": item, "minItems": low, "maxItems": low + more},
            inner, st.integers(0, 3), st.integers(0, 3),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(derandomize=True, max_examples=150, deadline=None)
@given(schema=SCHEMA, seed=st.integers(0, 2**32))
def test_a_value_fits_its_schema_and_comes_again(schema: dict[str, Any], seed: int) -> None:
    value = value_for(schema, seed)
    assert fits(value, schema, schema), value
    assert value_for(json.loads(json.dumps(schema)), seed) == value
    json.dumps(value)


NAMED = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["name", "next"],
            "additionalProperties": False,
        }
    },
    "type": "object",
    "properties": {"head": {"$ref": "#/$defs/node"}, "all": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["head", "all"],
}


@pytest.mark.parametrize("seed", range(30))
def test_a_schema_that_names_itself_ends(seed: int) -> None:
    value = value_for(NAMED, seed)
    assert fits(value, NAMED, NAMED)
    assert len(json.dumps(value)) < 20_000


def test_parts_of_a_schema_are_joined() -> None:
    base = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    more = {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}
    value = value_for({"allOf": [base, more]}, 1)
    assert fits(value, {"allOf": [base, more]}, None)
    assert sorted(value) == ["a", "b"]
    assert sorted(value_for({**base, "anyOf": [more]}, 1)) == ["a", "b"]


FORMATS = [
    ("date", r"2026-\d\d-\d\d"),
    ("date-time", r"2026-\d\d-\d\dT09:30:00Z"),
    ("email", r"user\d+@example\.com"),
    ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"),
    ("ipv4", r"192\.0\.2\.\d+"),
]


@pytest.mark.parametrize(("name", "pattern"), FORMATS)
def test_known_formats_have_their_form(name: str, pattern: str) -> None:
    assert re.fullmatch(pattern, value_for({"type": "string", "format": name}, 5))


def test_a_schema_that_says_little_is_answered_all_the_same() -> None:
    assert isinstance(value_for({}, 1), str)
    assert value_for({"type": ["null", "integer"]}, 1) in range(11)
    assert value_for({"required": ["x"], "type": "object"}, 1)["x"]
    assert value_for({"$ref": "#/nowhere"}, 1)
    assert value_for({"type": "integer", "minimum": 3, "maximum": 3}, 1) == 3
