"""Which tags of a case can make slices. Apart from the slices themselves: a run asks before its first request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_TAG = 80


def slice_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a case that can make slices: short words and numbers, as text."""
    return {
        str(key): str(value)
        for key, value in tags.items()
        if isinstance(value, str | int | float | bool) and len(str(value)) <= LONGEST_TAG
    }
