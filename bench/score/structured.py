"""A reply that should be JSON, read strictly: one value, no second of a name, only numbers that JSON has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)


class BadJson(ValueError):
    """The text is not one JSON value; the message says why."""


def parse(text: str, *, fenced: bool = False, exact: bool = False) -> Any:
    """The JSON value that a whole text is. With `fenced`, a value in one code fence counts too; with `exact`, numbers with a
    point are Decimal. Raises BadJson.
    """
    body = text.strip().removeprefix("\ufeff")
    if fenced and (match := _FENCED.fullmatch(body)):
        body = match[1].strip()
    if not body:
        raise BadJson("the reply has no text")
    try:
        return json.loads(
            body,
            object_pairs_hook=_once,
            parse_constant=_constant,
            parse_float=Decimal if exact else float,
        )
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("nested too deeply to be read") from None
    except json.JSONDecodeError as error:
        cut = " (the text ends there: cut off?)" if error.pos >= len(body) or "Unterminated" in error.msg else ""
        raise BadJson(f"not JSON: {error.msg} at character {error.pos + 1}{cut}") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise BadJson(f"not JSON that can be read: {error}") from None


def _once(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadJson(f"the name {twice!r} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is no JSON number")
