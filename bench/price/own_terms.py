"""Whose own terms priced a stored run, as far as its manifest says: rates and discounts of targets, and files of prices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.targets import TOKEN_CLASSES

Facts = Mapping[str, Mapping[str, Any]]
"""What the manifest says of each target, by its name."""
Prices = tuple[str, str] | None
"""Name and text of a file of prices."""


def same(about: Facts, prices: Prices) -> bool:
    """Whether every target without terms of its own was priced with this file; with None, without any."""
    files = {(one.get("price_file") or {}).get("sha256") for one in about.values() if not _has_own(one)}
    return files <= {_digest(prices)}


def said(about: Facts, targets: Iterable[str], prices: Prices) -> Iterator[str]:
    """A sentence for each target whose price no book and no file decides, or whose file is missing or another one."""
    for name in targets:
        facts = about.get(name) or {}
        terms, file = facts.get("price") or {}, facts.get("price_file") or {}
        rates = [f"{key} {terms[key]}" for key in TOKEN_CLASSES if terms.get(key) is not None]
        if rates:
            yield f"{name}: charged by its own rates in targets.yaml ({', '.join(rates)}), whatever --book and --prices say"
        elif _has_own(facts):
            yield f"{name}: its own discount in targets.yaml ({terms['discount']}) is taken off the book; --prices is not asked"
        elif file and prices is None:
            yield f"{name}: the run was priced with {file.get('file')}, which a run does not keep: give it by --prices"
        elif file and file.get("sha256") != _digest(prices):
            yield f"{name}: the run was priced with another text of {file.get('file')} than the file given now"


def _has_own(facts: Mapping[str, Any]) -> bool:
    terms = facts.get("price") or {}
    return any(terms.get(name) is not None for name in (*TOKEN_CLASSES, "discount"))


def _digest(prices: Prices) -> str | None:
    return None if prices is None else hashlib.sha256(prices[1].encode()).hexdigest()
