"""What is asked of a document: JSON Schemas and the types by which their fields are compared, from one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.world.values import load_yaml

CURRENCIES = ("EUR", "DKK", "GBP", "PLN", "SEK")
_JSON_TYPES = {"number": "number", "bool": "boolean"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `words` are the values of an enumeration or the units of a quantity; `key` is the field by which
    a list of records is compared, `of` the type of a list of plain values.
    """

    path: str
    kind: str
    nullable: bool
    words: tuple[str, ...]
    about: str
    key: str = ""
    of: str = ""


@cache
def form(name: str) -> Mapping[str, Field]:
    """The fields of a kind of document, by path."""
    return {path: _field(path, line) for path, line in load_yaml("bank/extract/schemas.yaml")[name].items()}


def _field(path: str, line: str) -> Field:
    kind, *words = line.partition(" | ")[0].split()
    about = line.partition(" | ")[2]
    if kind == "list":
        return Field(path, "list", False, (), about, *((words[1], "") if words[0] == "by" else ("", words[1])))
    return Field(path, kind.rstrip("?"), kind.endswith("?"), tuple(words), about)


@cache
def types(name: str) -> Mapping[str, str]:
    """The types of a form's fields by path, as the scorer reads them."""
    found = {}
    for field in form(name).values():
        path = field.path.replace(".", "[].")
        if field.kind == "list":
            found[f"{path}[]"] = f"by {field.key}" if field.key else field.of
        else:
            found[path] = field.kind
    return found


@cache
def response_format(name: str) -> Mapping[str, Any]:
    """The response format that asks for a form.

    The schema keeps to what every provider's strict mode takes: all fields required, none beyond them, null as an alternative.
    Names are in the order of the alphabet, which the rendered items have as well.
    """
    fields = form(name)
    schema = _object({path: field for path, field in fields.items() if "." not in path}, fields)
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _object(own: Mapping[str, Field], fields: Mapping[str, Field]) -> dict[str, Any]:
    properties = {path.rpartition(".")[2]: _schema(field, fields) for path, field in sorted(own.items())}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _schema(field: Field, fields: Mapping[str, Field]) -> dict[str, Any]:
    about = {"description": field.about}
    if field.kind == "list":
        inner = {path: one for path, one in fields.items() if path.startswith(f"{field.path}.")}
        return {"type": "array", "items": _object(inner, fields) if inner else {"type": "string"}, **about}
    if field.kind in ("money", "quantity"):
        number, unit = ("amount", "currency") if field.kind == "money" else ("value", "unit")
        words = list(CURRENCIES if field.kind == "money" else field.words)
        whole = {
            "type": "object",
            "properties": {number: {"type": "number"}, unit: {"type": "string", "enum": words}},
            "required": sorted((number, unit)),
            "additionalProperties": False,
        }
        return {"anyOf": [whole, {"type": "null"}], **about} if field.nullable else {**whole, **about}
    plain = _JSON_TYPES.get(field.kind, "string")
    schema: dict[str, Any] = {"type": [plain, "null"] if field.nullable else plain}
    if field.kind == "date":
        schema["format"] = "date"
    if field.words:
        schema["enum"] = [*field.words, None] if field.nullable else list(field.words)
    return {**schema, **about}


def blank(name: str) -> dict[str, Any]:
    """The record of a document that states nothing."""
    top = {path: field for path, field in form(name).items() if "." not in path}
    return {path: [] if field.kind == "list" else None for path, field in top.items()}


def record(name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The record of what a document states, by path (`lines.0.item`). Raises ValueError for what the form does not ask."""
    fields = form(name)
    made = blank(name)
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for path in sorted(stated, key=_order):
        head, *rest = path.split(".")
        wanted = fields.get(f"{head}.{rest[1]}" if len(rest) == 2 else head)
        if wanted is None or (wanted.kind == "list" and not rest):
            raise ValueError(f"{name}: {path}: the form has no such field")
        if not rest:
            made[head] = stated[path]
        elif len(rest) == 1:
            made[head].append(stated[path])
        else:
            row = rows.get((head, int(rest[0])))
            if row is None:
                row = rows[head, int(rest[0])] = {
                    one.rpartition(".")[2]: None for one in fields if one.startswith(f"{head}.")
                }
                made[head].append(row)
            row[rest[1]] = stated[path]
    return made


def _order(path: str) -> tuple[str, int, str]:
    head, _, rest = path.partition(".")
    number, _, name = rest.partition(".")
    return head, int(number or 0), name
