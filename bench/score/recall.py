"""Which of the facts that a text has to carry does it state? Weighted recall over typed facts.

Every fact is looked for as `facts` looks for gold (numbers with units, money, percentages, dates, names, phrases in
any common form), and only near words of its own matter (`topics`), so that a bare list of figures carries nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.record import Case, Reply, Score
from bench.score.facts import read
from bench.score.topics import places, reached, topical


@dataclass(slots=True)
class FactRecall:
    """The weight of the facts stated over the weight of all; with `at_least`, 1 when it is reached, else 0."""

    name: str
    target: str = "facts"
    at_least: float | None = None
    day_first: bool | None = None
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        facts, problem = topical(case, self.target)
        if problem or not facts:
            return Score(self.name, self.version, None, problem or f"the case has no {self.target}")
        if not reply.text.strip():
            return Score(self.name, self.version, 0.0, "the reply has no text")
        page = read(reply.text, self.day_first)
        missing = [one for one in facts if not places(one, page)]
        share = 1 - sum(one.weight for one in missing) / sum(one.weight for one in facts)
        reason = f"states {len(facts) - len(missing)} of {len(facts)} facts, {share:.2f} by weight"
        if missing:
            reason += "; not stated: " + ", ".join(f"{one.fact.label} ({one.id})" for one in missing)
        return Score(self.name, self.version, reached(share, self.at_least), reason)
