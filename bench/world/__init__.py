"""The fictional Calderholt Group: documents, a ledger of what they state, and workloads made from both.

Everything is a pure function of a seed and of this package's files: no clock, no network. "Today" is Monday
16 March 2026; the fiscal year starts on 1 February.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench import plugins

GENERATORS: dict[str, str] = {"calderholt.rag": "bench.world.rag"}
"""Workload generators: name and the module whose `generate` makes its items."""


def generate(name: str, seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a generator, ours or one that is installed beside us.

    Raises ValueError for an unknown name or parameter, CannotRun for a plug-in that fails.
    """
    if name in GENERATORS:
        items: list[dict[str, Any]] = importlib.import_module(GENERATORS[name]).generate(seed, params)
        return items
    if name not in generators():
        raise ValueError(f"generator: got {name}; want one of {', '.join(generators())}")
    made = plugins.load(plugins.DATASETS, name)
    try:
        items = list(made(seed, params))
        if not all(isinstance(item, dict) for item in items):
            raise TypeError("an item that is no mapping")
    except Exception as error:  # foreign code: whatever it raises is told to the user, not thrown at them
        raise plugins.failed(plugins.DATASETS, name, error) from error
    return items


def generators() -> list[str]:
    """Every generator there is: ours, and those that are installed beside us."""
    return sorted({*GENERATORS, *plugins.names(plugins.DATASETS)})


def items_bytes(items: Iterable[Mapping[str, Any]]) -> bytes:
    """Items as JSON lines: UTF-8, sorted keys, no spaces; the same bytes for the same items on every machine."""
    lines = [json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for item in items]
    return "".join(line + "\n" for line in lines).encode("utf-8")


def digest(items: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of `items_bytes`, in hex: what a workload file pins."""
    return hashlib.sha256(items_bytes(items)).hexdigest()
