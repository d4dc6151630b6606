"""Values made from a JSON Schema: the same schema and seed give the same value, in every process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbour",
    "island",
    "juniper",
    "kelp",
    "linden",
)
FORMATS = {
    "date": "2026-{0:02d}-{1:02d}",
    "date-time": "2026-{0:02d}-{1:02d}T09:30:00Z",
    "time": "{0:02d}:{1:02d}:00Z",
    "email": "user{1}@example.com",
    "uri": "https://example.com/{0}/{1}",
    "uuid": "00000000-0000-4000-8000-0000000{0:02d}0{1:02d}",
    "ipv4": "192.0.2.{1}",
}
MOST_DEEP = 6
"""Below this depth only what is required is made, and of alternatives the plainest: schemas may name themselves."""


def value_for(schema: Mapping[str, Any], seed: int) -> Any:
    """A value that fits the schema: types, enums, bounds, required and optional properties, `$ref`, alternatives.

    `pattern`, `not`, `if` and what depends on other values are not looked at.
    """
    return _made(schema, schema, random.Random(seed), 0)


def _made(schema: Any, root: Mapping[str, Any], rng: random.Random, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return None if schema is False else rng.choice(WORDS)
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return rng.choice(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            options = sorted(schema[key], key=_size) if depth >= MOST_DEEP else schema[key]
            chosen = options[0] if depth >= MOST_DEEP else rng.choice(options)
            return _made(_joined(schema, chosen, root, key), root, rng, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    if kind == "object":
        return _object(schema, root, rng, depth)
    if kind == "array":
        return _array(schema, root, rng, depth)
    if kind in ("integer", "number"):
        return _number(schema, rng, whole=kind == "integer")
    if kind == "boolean":
        return rng.random() < 0.5
    return None if kind == "null" else _string(schema, rng)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with what it refers to, and all of `allOf`, put into it."""
    for _ in range(16):
        if isinstance(schema.get("$ref"), str):
            found: Any = root
            for step in schema["$ref"].lstrip("#").strip("/").split("/"):
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
            found = root if schema["$ref"] == "#" else found
            schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
        elif schema.get("allOf"):
            first, *more = schema["allOf"]
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = _joined({**rest, **({"allOf": more} if more else {})}, first, root)
        else:
            break
    return schema


def _joined(schema: Mapping[str, Any], chosen: Any, root: Mapping[str, Any], without: str = "") -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != without}
    chosen = _resolved(chosen, root) if isinstance(chosen, Mapping) else {}
    joined = {**rest, **chosen}
    if "properties" in rest and "properties" in chosen:
        joined["properties"] = {**rest["properties"], **chosen["properties"]}
    if "required" in rest and "required" in chosen:
        joined["required"] = [*rest["required"], *chosen["required"]]
    return joined


def _size(schema: Any) -> int:
    return 0 if isinstance(schema, Mapping) and schema.get("type") == "null" else len(str(schema)) + 1


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], rng: random.Random, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = list(schema.get("required") or ())
    names = [name for name in properties if depth < MOST_DEEP or name in required]
    names += [name for name in required if name not in properties]
    return {name: _made(properties.get(name, {}), root, rng, depth + 1) for name in names}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], rng: random.Random, depth: int) -> list[Any]:
    low, high = int(schema.get("minItems", 0)), int(schema.get("maxItems", max(2, schema.get("minItems", 0))))
    count = low if depth >= MOST_DEEP else rng.randint(max(low, min(1, high)), max(low, min(high, low + 2)))
    before = list(schema.get("prefixItems") or ())
    made: list[Any] = []
    for index in range(max(count, len(before))):
        item = before[index] if index < len(before) else schema.get("items", {})
        value = _made(item, root, rng, depth + 1)
        for _ in range(20 if schema.get("uniqueItems") else 0):
            if value not in made:
                break
            value = _made(item, root, rng, depth + 1)
        made.append(value)
    return made


def _number(schema: Mapping[str, Any], rng: random.Random, *, whole: bool) -> int | float:
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is None:
        low = above + step if above is not None else None
    if high is None:
        high = below - step if below is not None else None
    if low is None:
        low = 0 if high is None or high >= 0 else high - 10 * step
    if high is None:
        high = low + 10 * step
    first, last = -(-low // step), high // step
    if last < first:  # no multiple between the bounds: the middle, where that is allowed
        return int(low) if whole else (low + high) / 2
    value = rng.randint(int(first), int(min(last, first + 1000))) * step
    return int(value) if whole else float(value)


def _string(schema: Mapping[str, Any], rng: random.Random) -> str:
    made = FORMATS.get(str(schema.get("format")))
    if made is not None:
        return made.format(rng.randint(1, 12), rng.randint(10, 28))
    text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 3)))
    low, high = int(schema.get("minLength", 0)), schema.get("maxLength")
    while len(text) < low:
        text += " " + rng.choice(WORDS)
    return text if high is None else text[: int(high)]
