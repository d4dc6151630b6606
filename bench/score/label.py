"""Is the reply the right label? For routers and classifiers, whose reply is one word of a list and nothing else.

A label counts in the dress that programs strip: quotes, backticks, bold, `Label:` before it, a full stop after it, blanks or
hyphens for underscores, capitals, an object with one field (`{"label": "..."}`). A sentence around it, or a second label beside
it, does not: whoever routes by the reply could not use it. Such a reply is an invalid label, scored 0.

The reason keeps what was said and what is right, in a form that `READING` reads again: macro-F1 and the share of invalid
labels are made of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.record import Case, Reply, Score

INVALID = "(invalid)"
"""Stands for what is no label of the list, where the said one is written."""

READING = re.compile(r"^said (?P<said>[^\s;]+); gold (?P<gold>[^\s;]+)")
_PREFIX = re.compile(
    r"^(?:the\s+)?(?:right\s+|correct\s+|final\s+|best\s+)?(?:label|category|class|intent|answer)\s*(?:is\b|:|=)\s*",
    re.I,
)
_WRAPPING = " \t\r\n\"'`*_“”‘’«»[]()<>.:"
_FENCE = re.compile(r"^```\w*\s*\n(.*)\n```$", re.S)


def said(text: str) -> str:
    """The reply without its dress, in lower case with underscores; whatever it says, a label or not."""
    text = text.strip()
    fence = _FENCE.match(text)
    text = fence[1].strip() if fence else text
    if text.startswith("{"):
        text = _only_field(text)
    for _ in range(3):  # "**Label:** `x`." has three layers
        text = _PREFIX.sub("", text.strip(_WRAPPING))
    return re.sub(r"[\s_-]+", "_", text.strip(_WRAPPING)).lower()


def _only_field(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and len(value) == 1:
        only = next(iter(value.values()))
        return only if isinstance(only, str) else text
    return text


def _are_labels(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(isinstance(v, str) and re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)*", v) for v in value)
        and len(set(value)) == len(value)
    )


@dataclass(slots=True)
class Label:
    """1 when the reply is the gold label, 0 when it is another one or none of `labels`."""

    name: str
    labels: Sequence[str] = ()
    target: str = "label"
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
        "labels": (
            "two or more different labels in lower case with underscores, e.g. [billing, delivery, other]",
            _are_labels,
        )
    }
    REQUIRED: ClassVar[tuple[str, ...]] = ("labels",)

    def score(self, case: Case, reply: Reply) -> Score:
        gold = case.expected.get(self.target)
        if gold not in self.labels:
            why = f"expected.{self.target}: got {gold!r}; want one of the {len(self.labels)} labels"
            return Score(self.name, self.version, None, why)
        text = said(reply.text)
        if text in self.labels:
            return Score(self.name, self.version, float(text == gold), f"said {text}; gold {gold}")
        shown = " ".join(reply.text.split())
        shown = f"{shown[:57]}..." if len(shown) > 60 else shown
        what = f"no label of the list: {shown!r}" if shown else "the reply has no text"
        return Score(self.name, self.version, 0.0, f"said {INVALID}; gold {gold}; {what}")
