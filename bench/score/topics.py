"""What a summary states about which matter: facts with the words that name their matter.

A target of a case is a list of `{"id", "fact": {typed fact}, "about": [stems], "weight", "unless": [words]}`. A fact
counts as stated where its value stands near a word that begins with one of the stems: in the same sentence, in the
four before it or the one after it, or in the heading above; and where it is not denied ("not 14 days", "instead of 14 days").
Words such as "old" and "replaced" deny nothing here: a summary may say that a valve was replaced at 16:25. A bare
number is one that has no unit of measure behind it; what is counted may be named by any noun.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bench.record import Case
from bench.score.facts import Page, named
from bench.score.gold import BadFact, Fact, parse
from bench.score.text import Span, clean, sentences

BEFORE, AFTER = 4, 1
"""How many sentences away the matter may be named."""


@dataclass(frozen=True, slots=True)
class Topical:
    """A fact with the words of its matter. `unless` are words that mark a value as put aside."""

    id: str
    fact: Fact
    about: re.Pattern[str]
    weight: float
    unless: tuple[str, ...]


def topical(case: Case, target: str) -> tuple[list[Topical], str]:
    """The facts of a target, and what is wrong with it, empty when nothing is."""
    raw = case.expected.get(target)
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return [], f"expected.{target}: want a list of facts with the words of their matter"
    found = []
    for number, one in enumerate(raw):
        try:
            found.append(_read(one))
        except (BadFact, KeyError, TypeError, ValueError) as error:
            return [], f"expected.{target}[{number}]: {error}"
    return found, ""


def _read(raw: Mapping[str, Any]) -> Topical:
    try:
        return _read_once(json.dumps(raw))
    except (TypeError, RecursionError):  # something that no JSON can hold
        return _read_anew(raw)


@lru_cache(maxsize=32768)
def _read_once(raw: str) -> Topical:
    return _read_anew(json.loads(raw))


def _read_anew(raw: Mapping[str, Any]) -> Topical:
    stems = [re.escape(clean(str(stem)).lower()) for stem in raw["about"]]
    if not stems:
        raise BadFact("about: want at least one stem")
    weight = float(raw.get("weight", 1))
    if not weight > 0:
        raise BadFact(f"weight: got {weight}; want a number above 0")
    unless = tuple(clean(str(word)).lower() for word in raw.get("unless", ()))
    about = re.compile(rf"\b(?:{'|'.join(stems)})", re.IGNORECASE)
    return Topical(str(raw.get("id", "")), parse(raw["fact"]), about, weight, unless)


_DENIED = re.compile(
    r"\b(?:not|never|neither|nor|no longer|instead of|rather than|as opposed to|unlike|previously|formerly|originally)\s+"
    r"(?:(?:the|a|an|in|on|by|for|with|at|be|of|to|from|is|was|as)\s+){0,3}[\"'(]?$",
    re.IGNORECASE,
)
_KEPT = re.compile(r"\bnot\s+(?:only|just|before|until|above|below|more|less|later|earlier)\s[^.;\n]*$", re.IGNORECASE)
_read_sentences = lru_cache(maxsize=64)(sentences)


def places(one: Topical, page: Page) -> list[Span]:
    """Where the page states the fact, near a word of its matter."""
    spans = [span for span in named(one.fact, page) if not _denied(page.text[max(0, span[0] - 60) : span[0]])]
    if one.fact.type == "number" and one.fact.unit is None and not one.fact.noun:
        bare = {(v.start, v.end) for v in page.values if v.kind == "number" and v.unit is None}
        spans = [span for span in spans if span in bare]
    return [span for span in spans if _is_near(one.about, page.text, span)]


def _denied(before: str) -> bool:
    return bool(_DENIED.search(before)) and not _KEPT.search(before)


def _is_near(about: re.Pattern[str], text: str, span: Span) -> bool:
    found = _read_sentences(text)
    at = next((n for n, (low, high) in enumerate(found) if low <= span[0] < high), 0)
    low, high = found[max(0, at - BEFORE)][0], found[min(len(found) - 1, at + AFTER)][1]
    if about.search(text, low, high):
        return True
    heading = _heading(text[: span[0]])
    return heading is not None and bool(about.search(heading))


def _heading(before: str) -> str | None:
    """The last line that heads a block: marked as one, or short and without a full stop at its end."""
    for line in reversed(before.split("\n")[:-1]):
        words = line.strip()
        if words.startswith("#") or words.endswith(":"):
            return words
        if words and len(words.split()) <= 8 and not words.startswith(("-", "*", "•")) and words[-1] not in ".;,":
            return words
    return None


def reached(share: float, at_least: float | None) -> float:
    """The share itself, or whether it reaches a limit, as 1 or 0."""
    return share if at_least is None else float(share >= at_least - 1e-9)
