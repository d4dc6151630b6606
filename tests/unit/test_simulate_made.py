"""Values made from JSON schemas follow them, and are the same for the same seed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate.made import value_for

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city"],
}


def follows(value: Any, schema: Any, root: Any = None) -> bool:
    """The part of JSON Schema that the tests use, written by its specification."""
    root = schema if root is None else root
    if schema is True:
        return True
    if "$ref" in schema:
        at = root
        for part in schema["$ref"].split("/")[1:]:
            at = at[part]
        return follows(value, at, root)
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    types = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    if kinds and not any(isinstance(value, types[k]) and (k == "boolean" or value is not True) for k in kinds):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if not set(schema.get("required", ())) <= set(value):
            return False
        if schema.get("additionalProperties") is False and not set(value) <= set(known):
            return False
        return all(follows(v, known.get(k, True), root) for k, v in value.items())
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 99):
            return False
        return all(follows(v, schema.get("items", True), root) for v in value)
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 999)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", -(10**9)), schema.get("maximum", 10**9)
        above, below = schema.get("exclusiveMinimum", -(10**9)), schema.get("exclusiveMaximum", 10**9)
        return low <= value <= high and above < value < below and value % schema.get("multipleOf", value or 1) == 0
    return any(follows(value, one, root) for one in schema["anyOf"]) if "anyOf" in schema else True


BOUNDS = st.integers(-20, 20)
SCHEMAS = st.recursive(
    st.sampled_from([
        {"type": "string"}, {"type": "string", "minLength": 30}, {"type": "string", "maxLength": 2},
        {"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"enum": ["a", 1, None]}, {"const": 7},
        {"type": "integer", "exclusiveMinimum": 3}, {"type": "integer", "exclusiveMaximum": -3},
        {"type": "integer", "multipleOf": 5, "minimum": 2}, {"type": "number", "maximum": -1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ])
    | st.tuples(BOUNDS, BOUNDS).map(
        lambda ends: {"type": "integer", "minimum": min(ends), "maximum": max(ends)}
    ),
    lambda inner: st.dictionaries(st.sampled_from("abcde"), inner, max_size=4).map(
        lambda parts: {
            "type": "object", "properties": parts, "required": sorted(parts)[:2], "additionalProperties": False
        }
    )
    | inner.map(lambda item: {"type": "array", "items": item, "minItems": 1, "maxItems": 3})
    | st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    max_leaves=8,
)  # fmt: skip


@settings(derandomize=True, max_examples=200, deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 99))
def test_a_value_follows_its_schema_and_its_seed(schema: dict[str, Any], seed: int) -> None:
    value = value_for(schema, seed)
    assert follows(value, schema), (value, schema)
    assert json.dumps(value_for(schema, seed)) == json.dumps(value)


def test_another_seed_gives_another_value() -> None:
    assert len({json.dumps(value_for(WEATHER, seed)) for seed in range(20)}) > 5


def test_references_and_parts_are_joined_and_recursion_ends() -> None:
    tree = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["name", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    }
    assert follows(value_for(tree, 1), tree)
    both = {
        "allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}],
        "properties": {"b": {"type": "boolean"}},
    }
    made = value_for(both, 1)
    assert type(made["a"]) is int
    assert type(made["b"]) is bool


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}, {"$ref": "#/nowhere"}, {"type": "odd"}])
def test_a_schema_that_says_little_gives_something_all_the_same(schema: dict[str, Any]) -> None:
    json.dumps(value_for(schema, 1))


def test_formats_are_filled_with_what_they_name() -> None:
    assert value_for({"type": "string", "format": "date"}, 5) == "2026-11-21"
    assert value_for({"type": "string", "format": "email"}, 5) == "ada@example.com"
