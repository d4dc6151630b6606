"""Values that fit a JSON schema: what look-alikes put into tool arguments and structured replies."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

WORDS = ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow")
FORMATS: Mapping[str, str] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "email": "oak@example.com",
    "uri": "https://example.com/oak",
    "uuid": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    "ipv4": "192.0.2.1",
    "hostname": "oak.example.com",
}
DEEPEST = 6
"""Below this depth optional properties are left out, so that a schema that refers to itself ends."""
MOST = 16
"""Below this depth there is nothing: a schema that requires itself has no end of its own."""
SPAN = 100
"""Numbers without bounds lie within this of the bound that there is, or of 0."""


def value_for(schema: Mapping[str, Any], seed: int) -> Any:
    """A value of this JSON schema, the same for the same seed. Patterns and conditions are not looked at."""
    return _value(schema, random.Random(seed), schema, 0)


def _value(schema: Any, rng: random.Random, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > MOST:
        return None
    if "$ref" in schema:
        return _value(_referred(str(schema["$ref"]), root), rng, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(list(schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            # the first that is deep enough down: a schema that refers to itself offers its end among these
            return _value(schema[key][-1 if depth > DEEPEST else 0], rng, root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            part = _referred(str(part["$ref"]), root) if "$ref" in part else part
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", []), *part.get("required", [])]
            merged = {**merged, **part, "properties": properties, "required": required}
        return _value(merged, rng, root, depth + 1)
    kind = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        return _object(schema, rng, root, depth)
    if kind == "array":
        return _array(schema, rng, root, depth)
    if kind in ("integer", "number"):
        return _number(schema, rng, whole=kind == "integer")
    if kind == "boolean":
        return rng.random() < 0.5
    return None if kind == "null" else _string(schema, rng)


def _referred(path: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for name in path.removeprefix("#").split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _object(schema: Mapping[str, Any], rng: random.Random, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: _value(inner, rng, root, depth + 1)
        for name, inner in (schema.get("properties") or {}).items()
        if name in required or depth < DEEPEST
    }


def _array(schema: Mapping[str, Any], rng: random.Random, root: Mapping[str, Any], depth: int) -> list[Any]:
    least = schema.get("minItems", 0 if depth > DEEPEST else 1)
    count = min(max(least, 0 if depth > DEEPEST else 2), schema.get("maxItems", max(least, 2)))
    return [_value(schema.get("items", {}), rng, root, depth + 1) for _ in range(count)]


def _number(schema: Mapping[str, Any], rng: random.Random, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else 0.5)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is None and above is not None:
        low = above + step
    if high is None and below is not None:
        high = below - step
    if low is None:
        low = 0 if high is None or high >= 0 else high - SPAN
    if high is None:
        high = low + SPAN
    least, most = -(-low // step), high // step  # whole numbers of steps
    if most < least:
        return low
    value = rng.randint(int(least), int(most)) * step
    return int(value) if whole else value


def _string(schema: Mapping[str, Any], rng: random.Random) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    text = rng.choice(WORDS)
    while len(text) < schema.get("minLength", 0):
        text += " " + rng.choice(WORDS)
    return text[: schema.get("maxLength", len(text))]
