"""Values made up from a JSON schema: arguments of tool calls, and replies that have to follow a schema."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

_WORDS = ("harbour", "ledger", "copper", "meadow", "signal", "orchard", "timber", "lantern", "quarry", "velvet")
_FORMATS = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT5M",
    "email": "ada@example.com",
    "hostname": "host.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_DEEPEST = 12
"""Below this only what is required is filled in, so that a schema which refers to itself comes to an end."""


def value_for(schema: Mapping[str, Any], seed: int) -> Any:
    """A value that follows the schema; the same for the same seed.

    Known: type, const, enum, properties, required, items, prefixItems, anyOf, oneOf, allOf, $ref within the document, and
    bounds of numbers, strings and arrays. Not known: pattern, not, if. A schema without a type is an object if it has
    properties, else a string.
    """
    return _Maker(schema, random.Random(seed)).value(schema, 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], rng: random.Random) -> None:
        self.root, self.rng = root, rng

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping):  # true: anything goes
            return self.rng.choice(_WORDS)
        schema = self.resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.rng.choice(list(schema["enum"]))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                options = list(schema[key])
                plain = {name: part for name, part in schema.items() if name != key}
                return self.value(_joined(plain, self.simplest(options, depth)), depth + 1)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = (
                "null" if depth > _DEEPEST and "null" in kind else next((one for one in kind if one != "null"), "null")
            )
        return getattr(self, f"_{kind}", self._string)(schema, depth)

    def resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """The schema without `$ref` and `allOf`."""
        for _ in range(_DEEPEST):
            if isinstance(schema.get("$ref"), str):
                more = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _joined(self.referred(schema["$ref"]), more)
            elif schema.get("allOf"):
                parts = [part for part in schema["allOf"] if isinstance(part, Mapping)]
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    schema = _joined(schema, self.resolved(part, depth + 1))
            else:
                return schema
        return {}

    def referred(self, ref: str) -> Mapping[str, Any]:
        at: Any = self.root
        for part in ref.removeprefix("#").strip("/").split("/"):
            if part:
                at = at.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(at, Mapping) else {}
        return at if isinstance(at, Mapping) else {}

    def simplest(self, options: list[Any], depth: int) -> Mapping[str, Any]:
        """One of the options: any of those that are not null, but null where it goes too deep."""
        known = [option for option in options if isinstance(option, Mapping)]
        nulls = [option for option in known if option.get("type") == "null"]
        if depth > _DEEPEST and nulls:
            return nulls[0]
        return self.rng.choice([option for option in known if option not in nulls] or nulls or [{}])

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = list(properties) + [name for name in required if name not in properties]
        if depth > _DEEPEST:
            names = [name for name in names if name in required]
        return {name: self.value(properties.get(name, True), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems") or ()]
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(least, 2)))
        count = least if depth > _DEEPEST else max(least, min(most, 1 + self.rng.randrange(2)))
        return first + [self.value(schema.get("items", True), depth + 1) for _ in range(count - len(first))]

    def _string(self, schema: Mapping[str, Any], depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        word = self.rng.choice(_WORDS)
        least = int(schema.get("minLength", 0))
        while len(word) < least:
            word += " " + self.rng.choice(_WORDS)
        return word[: max(least, int(schema.get("maxLength", len(word))))]

    def _integer(self, schema: Mapping[str, Any], depth: int) -> int:
        step = int(schema.get("multipleOf", 1)) or 1
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        least = int(low if low is not None else min(0, high if high is not None else 0))
        least += "minimum" not in schema and "exclusiveMinimum" in schema
        most = int(high if high is not None else least + 9 * step)
        most -= "maximum" not in schema and "exclusiveMaximum" in schema
        first = -(-least // step)
        return step * (first + self.rng.randrange(max(1, min(10, most // step - first + 1))))

    def _number(self, schema: Mapping[str, Any], depth: int) -> float:
        if "multipleOf" in schema:
            return float(schema["multipleOf"]) * self._integer({"minimum": 0, "maximum": 0}, depth)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        least = float(low) if low is not None else min(0.0, float(high) - 1 if high is not None else 0.0)
        most = float(high) if high is not None else least + 10.0
        return least + (most - least) * (1 + self.rng.randrange(3)) / 4  # a quarter, the middle or three quarters

    def _boolean(self, schema: Mapping[str, Any], depth: int) -> bool:
        return self.rng.random() < 0.5

    def _null(self, schema: Mapping[str, Any], depth: int) -> None:
        return None


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas in one: what each requires, and the properties of both."""
    joined = {**one, **other}
    if "properties" in one and "properties" in other:
        joined["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        joined["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return joined
