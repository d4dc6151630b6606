"""Text from outside as a reader can see it: nothing in it may steer a terminal, a page or the direction of writing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

T = TypeVar("T")


def visible(text: str) -> str:
    """Control characters, marks of direction and other unseen characters become a visible sign; spaces and lines stay."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def cleaned(value: T, keep: frozenset[str] = frozenset()) -> T:
    """The same dataclass with every text in it made visible; fields named in `keep` stay as they are."""
    made: Any = _cleaned(value, keep)
    return made  # type: ignore[no-any-return]


def _cleaned(value: Any, keep: frozenset[str]) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(one, keep) for one in value)
    if isinstance(value, Mapping):
        return {_cleaned(key, keep): _cleaned(one, keep) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return type(value)(**{name: one if name in keep else _cleaned(one, keep) for name, one in fields.items()})
    return value
