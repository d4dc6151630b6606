"""Does the reply cite the passages that hold the answer? Recall and precision of the passage numbers it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.record import Case, Reply, Score
from bench.score.text import clean

_WORDS = r"(?:sources?|passages?|documents?|docs?|refs?\.?|references?|excerpts?|cit(?:ation|e)s?|nos?\.)"
_NUMBERS = r"\^?\d{1,3}(?:\s*(?:[,;&–-]|and|,\s*and|to)\s*(?:" + _WORDS + r"\s*)?\^?\d{1,3})*"
_CITED = re.compile(
    rf"\[\s*(?:{_WORDS}\s*#?)?({_NUMBERS})\s*\]|\(\s*(?:see\s+|from\s+|per\s+)?{_WORDS}\s*#?({_NUMBERS})\s*\)",
    re.IGNORECASE,
)


def cited(text: str) -> set[int]:
    """The passage numbers a reply names.

    `[1]`, `[1, 2]`, `[1][3]`, `[1-3]`, `[source 2]`, `(sources 1 and 2)`, `【1】`, `[^1]`.
    """
    found: set[int] = set()
    for match in _CITED.finditer(clean(text)):
        numbers = re.sub(_WORDS, "", match[1] or match[2], flags=re.IGNORECASE).replace("^", "")
        for part in re.split(r"[,;&]|and", numbers):
            ends = [int(n) for n in re.findall(r"\d+", part)]
            if len(ends) == 2 and ends[0] <= ends[1] <= ends[0] + 50:
                found.update(range(ends[0], ends[1] + 1))
            else:
                found.update(ends)
    return found


@dataclass(slots=True)
class Citations:
    """1 when enough gold passages are cited and not too many others, else 0; the reason names recall and precision.

    `min_recall` is the share of gold passages that must be cited, `max_extra` how many others may be.
    """

    name: str
    target: str = "gold_passages"
    min_recall: float = 1.0
    max_extra: int = 2
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        if case.expected.get("answerable") is False:
            return Score(self.name, self.version, None, "the case is unanswerable: there is nothing to cite")
        gold = _passages(case.expected.get(self.target))
        if gold is None:
            return Score(
                self.name, self.version, None, f"expected.{self.target}: want a list of passage numbers, e.g. [2, 5]"
            )
        if not gold:
            return Score(self.name, self.version, None, f"the case has no {self.target}")
        named = cited(reply.text)
        hits = len(gold & named)
        recall = hits / len(gold)
        extra = sorted(named - gold)
        precision = f"{hits / len(named):.2f}" if named else "none (nothing cited)"
        right = recall >= self.min_recall and len(extra) <= self.max_extra
        reason = f"recall {recall:.2f} ({hits} of {len(gold)}), precision {precision}"
        if missing := sorted(gold - named):
            reason += f"; not cited: {missing}"
        if len(extra) > self.max_extra:
            reason += f"; {len(extra)} others cited: {extra}; at most {self.max_extra} allowed"
        return Score(self.name, self.version, float(right), reason)


def _passages(raw: object) -> set[int] | None:
    """The gold passages; empty when there are none, None when they cannot be read."""
    if raw is None:
        return set()
    if not isinstance(raw, Iterable) or isinstance(raw, (str, bytes)):
        return None
    numbers = list(raw)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        return None
    return set(numbers)
