"""ROUGE-L: how much of a reference's wording a text has, by the longest common subsequence of words. A reference figure.

Words are runs of letters and digits, lower-cased, unstemmed; the score is the F-measure with equal weights (Lin,
"ROUGE: A Package for Automatic Evaluation of Summaries", 2004). It rewards wording and knows nothing of facts, so no verdict
hangs on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.record import Case, Reply, Score


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence.

    One bit for each word of `b`, a row of the usual table at a time (Hyyrö, "Bit-Parallel LCS-length Computation
    Revisited", 2004): the bits that have become 0 are the steps of the last row.
    """
    at: dict[str, int] = {}
    for place, word in enumerate(b):
        at[word] = at.get(word, 0) | 1 << place
    full = (1 << len(b)) - 1
    row = full
    for word in a:
        here = row & at.get(word, 0)
        row = ((row + here) | (row - here)) & full
    return len(b) - row.bit_count()


def rouge_l(text: str, reference: str) -> float:
    """The F-measure, 0 to 1; 0 when either side has no words."""
    ours, theirs = words(text), words(reference)
    hits = common(ours, theirs)
    return 2 * hits / (len(ours) + len(theirs)) if hits else 0.0


@dataclass(slots=True)
class RougeL:
    """ROUGE-L of the reply against the case's reference."""

    name: str
    target: str = "reference"
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        reference = case.expected.get(self.target)
        if not isinstance(reference, str) or not words(reference):
            return Score(self.name, self.version, None, f"the case has no {self.target}")
        text = " ".join(words(reply.text)[:4000])  # the rest of a reply that long is not read
        return Score(self.name, self.version, rouge_l(text, reference))
