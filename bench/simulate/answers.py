"""What the look-alikes say: the answer key of a workload, and the cutting of text into token-like pieces."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from bench.errors import ConfigError, Problem

_PIECE = re.compile(r"\s?\S{1,5}(?!\S)|\s?\S{1,4}|\s+(?=\s\S)|\s+")
"""A word of up to 5 characters, else 4 characters of a longer one, with the space before it; or blank space."""

_FILLER = "This text stands in for the reply of a model. It was made by a look-alike cloud and answers nothing. "


@dataclass(frozen=True, slots=True)
class Entry:
    """The replies of known kind for one prompt."""

    case_id: str
    answers: Mapping[str, Sequence[str]]


Answers = Mapping[str, Entry]


def prompt_key(prompt: str) -> str:
    """SHA-256, in hex, of the last user message's text. Lone surrogates (bad JSON escapes) count as "?"."""
    return hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()


def load_answers(path: str | Path) -> dict[str, Entry]:
    """The answer key, from JSON lines `{"key", "case_id", "answers": {kind: [text, ...]}}`. Raises ConfigError."""
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []
    want = '{"key": <sha256 hex>, "case_id": "q1", "answers": {"right": ["..."], "wrong": ["..."]}}'
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), "", error.strerror or str(error), "a readable file of answers")]
        ) from error
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            kinds = {str(kind): tuple(texts) for kind, texts in row["answers"].items()}
            if not all(isinstance(text, str) for texts in kinds.values() for text in texts):
                raise TypeError
            entries[str(row["key"])] = Entry(str(row["case_id"]), kinds)
        except (KeyError, TypeError, AttributeError, ValueError):
            problems.append(Problem(f"{path}:{n}", "", line[:80].decode("utf-8", "replace"), want))
    if problems:
        raise ConfigError(problems)
    return entries


def choose(entry: Entry, wanted: str, pick: float) -> tuple[str, str]:
    """(kind, text) for the kind wanted, or for the nearest kind that the entry has; `pick` in 0..1 chooses among
    several.
    """
    for kind in dict.fromkeys((wanted, "wrong", "abstain", "right", *entry.answers)):
        texts = entry.answers.get(kind)
        if texts:
            return kind, texts[min(int(pick * len(texts)), len(texts) - 1)]
    return "empty", ""


@lru_cache(maxsize=8192)
def pieces(text: str) -> tuple[str, ...]:
    """The text cut into token-like pieces of about four characters; joined, they are the text."""
    return tuple(_PIECE.findall(text))


@lru_cache(maxsize=64)
def filler(tokens: int, text: str = _FILLER) -> tuple[str, ...]:
    """Neutral text of exactly this many pieces."""
    return tuple(itertools.islice(itertools.cycle(pieces(text)), tokens))
