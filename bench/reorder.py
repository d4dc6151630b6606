"""Items asked a second time with their list of choices in another order: does a model answer by place?

A share of the cases is repeated. In the repeat, the lines of the list stand in an order drawn from the seed and the item's
id; nothing else differs, and both belong to one cluster. Two tags make the slices: `label_order` (`once`, `as written`,
`shuffled`), and `label_place`, the part of the list in which the right line stands.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bench.record import Case

PARTS = 5
"""Into how many parts of a list a place is sorted."""


class ReorderSpec(BaseModel):
    """Which list: the lines with `- ` below the line `under`. `target` is the expectation that names the right line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    under: Annotated[str, Field(min_length=1)]
    target: str = "label"
    share: Annotated[float, Field(gt=0, le=1)] = 0.1


def reordered(cases: Sequence[Case], spec: ReorderSpec, seed: int | None) -> Iterator[Case]:
    """The cases, each repeated one behind its original. Raises ValueError with the id of a case that has no such list."""
    drawn = sorted(cases, key=lambda case: hashlib.sha256(f"{seed}:reorder:{case.id}".encode()).digest())
    again = {case.id for case in drawn[: max(1, round(spec.share * len(cases)))]}
    for case in cases:
        cluster = case.cluster or case.id
        lines = _lines(case, spec.under)
        if len(lines) < 2:
            raise ValueError(case.id)
        yield _tagged(case, lines, spec, "as written" if case.id in again else "once", cluster)
        if case.id in again:
            shuffled = list(lines)
            random.Random(f"{seed}:reorder:{case.id}").shuffle(shuffled)
            if shuffled == lines:
                shuffled = [*lines[1:], lines[0]]
            messages = tuple(_with(message, spec.under, lines, shuffled) for message in case.messages)
            repeat = replace(case, id=f"{case.id}~shuffled", messages=messages)
            yield _tagged(repeat, shuffled, spec, "shuffled", cluster)


def _tagged(case: Case, lines: Sequence[str], spec: ReorderSpec, order: str, cluster: str) -> Case:
    gold = str(case.expected.get(spec.target, ""))
    place = next((n for n, line in enumerate(lines) if line[2:].split(":")[0].strip() == gold), None)
    tags: dict[str, Any] = {**case.tags, "label_order": order}
    if place is not None:
        part = place * PARTS // len(lines)
        low, high = -(-part * len(lines) // PARTS) + 1, -(-(part + 1) * len(lines) // PARTS)
        tags["label_place"] = f"{low} to {high} of {len(lines)}"
    return replace(case, tags=tags, cluster=cluster)


def _lines(case: Case, under: str) -> list[str]:
    return next((found for message in case.messages if (found := _block(message, under)[1])), [])


def _block(message: Mapping[str, Any], under: str) -> tuple[int, list[str]]:
    """Where the list begins in a message, as a number of lines, and its lines."""
    content = message["content"]
    rows = content.split("\n") if isinstance(content, str) else []
    if under not in rows:
        return 0, []
    start = rows.index(under) + 1
    while start < len(rows) and not rows[start].strip():
        start += 1
    end = start
    while end < len(rows) and rows[end].startswith("- "):
        end += 1
    return start, rows[start:end]


def _with(message: Mapping[str, Any], under: str, lines: Sequence[str], shuffled: Sequence[str]) -> Mapping[str, Any]:
    start, found = _block(message, under)
    if found != lines:
        return message
    rows = str(message["content"]).split("\n")
    return {**message, "content": "\n".join([*rows[:start], *shuffled, *rows[start + len(lines) :]])}
