"""The table as plain data for JSON: the same cells, infinity told in words, money as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bench.stats.types import Table

INFINITE = "infinity"
"""JSON has no infinity: a percentile that is a failed request is told by this word."""


def as_dict(table: Table) -> dict[str, Any]:
    """Every cell, comparison, alarm and note. Numbers are as computed, not as rounded for reading."""
    plain = _plain(table)
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else INFINITE if value > 0 else f"-{INFINITE}"
    if isinstance(value, Decimal):
        return str(value)
    return value
