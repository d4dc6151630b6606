"""Is the reply JSON, and valid by the schema that was asked for? 1 or 0, with the reason.

The schema is the scorer's own (`schema`), else the one that the case expects under `target`, else the one of the
response format that the case brings. Nothing is fetched: a `$ref` out of the schema makes the case unjudgeable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from bench.record import Case, Reply, Score
from bench.score.structured import BadJson, parse

LONGEST_MESSAGE = 160
MOST_MESSAGES = 3


@dataclass(slots=True)
class JsonSchema:
    """1 when the reply is valid by the schema, else 0.

    `fenced` lets the JSON stand in a code fence; `formats` checks `format` (date, time, ...) as well, which JSON Schema
    itself leaves open.
    """

    name: str
    target: str = "schema"
    schema: Mapping[str, Any] | None = None
    fenced: bool = False
    formats: bool = True
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
        "schema": ("a JSON Schema", lambda v: isinstance(v, dict) and not broken(v))
    }

    def score(self, case: Case, reply: Reply) -> Score:
        schema = self.schema or case.expected.get(self.target) or asked(case)
        if not isinstance(schema, Mapping):
            return Score(self.name, self.version, None, "the case asks for no schema")
        wrong = broken(schema)
        if wrong:
            return Score(self.name, self.version, None, f"the schema is not one: {wrong}")
        try:
            value = parse(reply.text, fenced=self.fenced)
        except BadJson as error:
            return Score(self.name, self.version, 0.0, str(error))
        try:
            found = problems(value, schema, formats=self.formats)
        except Exception as error:  # the library raises private types for a $ref that leads nowhere
            return Score(self.name, self.version, None, f"the schema cannot be applied: {error}"[:LONGEST_MESSAGE])
        if found:
            more = f"; and {len(found) - MOST_MESSAGES} more" if len(found) > MOST_MESSAGES else ""
            return Score(self.name, self.version, 0.0, "; ".join(found[:MOST_MESSAGES]) + more)
        return Score(self.name, self.version, 1.0, "valid")


def asked(case: Case) -> Any:
    """The schema of the response format that a case brings, or None."""
    inner = (case.response_format or {}).get("json_schema")
    return inner.get("schema") if isinstance(inner, Mapping) else None


def broken(schema: Mapping[str, Any]) -> str:
    """What is wrong with a schema itself; empty when nothing is."""
    return _compiled(json.dumps(schema, sort_keys=True))[1]


def problems(value: Any, schema: Mapping[str, Any], *, formats: bool = True) -> list[str]:
    """Where a value breaks a schema, each as `path: what`, in the order of the paths."""
    validator = _compiled(json.dumps(schema, sort_keys=True))[0]
    if not formats:
        validator = validator.evolve(format_checker=None)
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path])
    return [f"{error.json_path}: {error.message[:LONGEST_MESSAGE]}" for error in errors]


@lru_cache(maxsize=256)
def _compiled(schema: str) -> tuple[Any, str]:
    """The validator of a schema, and what is wrong with the schema."""
    import jsonschema
    import referencing

    given = json.loads(schema)
    kind = jsonschema.validators.validator_for(given, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(given)
    except jsonschema.SchemaError as error:
        return None, error.message[:LONGEST_MESSAGE]
    return kind(given, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER), ""
