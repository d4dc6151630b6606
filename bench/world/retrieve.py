"""Okapi BM25 over the passages of the whole corpus, all editions included; used to build items, never in a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.world.render import Passage

WORD = re.compile(r"[^\W_]+(?:[-.:/'][^\W_]+)*")
STOP = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "does", "for", "from", "has", "have", "how",
     "i", "if", "in", "is", "it", "its", "me", "my", "of", "on", "or", "our", "shall", "so", "that", "the", "their",
     "them", "then", "there", "they", "this", "to", "was", "we", "what", "when", "which", "who", "will", "with",
     "would", "you", "your")
)  # fmt: skip
DECIMALS = 3
"""Scores are rounded before they are ordered: float32 sums may differ in the last bits between machines."""


def words(text: str) -> list[str]:
    """Lower-cased words without stop words; hyphenated numbers stay whole and are kept in parts as well."""
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if word in STOP:
            continue
        found.append(_stem(word))
        if "-" in word or "/" in word:
            found += [_stem(part) for part in re.split(r"[-/]", word) if part not in STOP]
    return found


def _stem(word: str) -> str:
    """Plural and verb endings off, so that `returns` meets `return`."""
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


class Retriever:
    """An index over passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self.passages = tuple(sorted(passages, key=lambda passage: passage.passage_id))
        self._index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self._index.index([words(f"{p.title} {p.text}") for p in self.passages], show_progress=False)

    def rank(self, query: str) -> list[Passage]:
        """All passages, best first, ties by passage id."""
        known = self._index.vocab_dict
        scores = self._index.get_scores([word for word in words(query) if word in known])
        order = sorted(range(len(self.passages)), key=lambda i: (-round(float(scores[i]), DECIMALS), i))
        return [self.passages[i] for i in order]
