"""Values made for a JSON schema fit it, and are the same for the same seed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate.made import value_for

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["name"],
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
}

FITS: list[tuple[dict[str, Any], Any]] = [
    # schema, what holds of every value of it
    ({"const": 7}, lambda v: v == 7),
    ({"enum": ["a", "b"]}, lambda v: v in ("a", "b")),
    ({"type": "boolean"}, lambda v: v is True or v is False),
    ({"type": "null"}, lambda v: v is None),
    ({"type": ["null", "integer"], "minimum": 3, "maximum": 4}, lambda v: v in (3, 4)),
    ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, lambda v: v == 4),
    ({"type": "integer", "minimum": 10, "maximum": 20, "multipleOf": 7}, lambda v: v == 14),
    ({"type": "integer", "maximum": -5}, lambda v: isinstance(v, int) and v <= -5),
    ({"type": "number", "minimum": 0, "maximum": 1}, lambda v: 0 <= v <= 1),
    ({"type": "string", "minLength": 30, "maxLength": 40}, lambda v: 30 <= len(v) <= 40),
    ({"type": "string", "maxLength": 2}, lambda v: len(v) <= 2),
    ({"type": "string", "format": "date"}, lambda v: v == "2026-11-21"),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, lambda v: len(v) == 3),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, lambda v: len(v) == 1),
    ({"properties": {"a": {"type": "boolean"}}}, lambda v: isinstance(v["a"], bool)),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
     lambda v: v == {"a": 1, "b": 2}),
    ({"oneOf": [{"const": 1}, {"const": 2}]}, lambda v: v == 1),
    ({"type": "object"}, lambda v: v == {}),
    (TREE, lambda v: isinstance(v["name"], str)),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "holds"), FITS)
def test_a_value_fits_its_schema_whatever_the_seed(schema: dict[str, Any], holds: Any) -> None:
    for seed in range(20):
        value = value_for(schema, seed)
        assert holds(value), value
        assert value_for(schema, seed) == value
        assert json.loads(json.dumps(value)) == value


def test_another_seed_gives_another_value() -> None:
    assert len({value_for({"type": "integer"}, seed) for seed in range(20)}) > 5


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    schema=st.recursive(
        st.sampled_from(
            [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {}, {"$ref": "#"}, {"$ref": "#/x"}]
        ),
        lambda inner: (
            st.dictionaries(st.text("abc", max_size=2), inner, max_size=2).map(
                lambda properties: {"type": "object", "properties": properties, "required": list(properties)}
            )
            | inner.map(lambda items: {"type": "array", "items": items})
        ),
        max_leaves=5,
    )
)
def test_any_schema_comes_to_an_end_even_one_that_holds_itself(schema: dict[str, Any]) -> None:
    json.dumps(value_for(schema, 1))
