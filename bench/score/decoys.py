"""Does a text state as facts what its source named and put aside? Superseded values, proposals, rumours, others' figures.

A decoy counts where its value stands near words of its matter, in a clause that does not put it aside: that neither
speaks of a former, proposed, rejected or unconfirmed figure nor uses a word which the decoy brings along (`unless`: the other
site's name, "rumour", "list price"). Saying "EUR 9,000, not the EUR 12,000 first quoted" is no error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bench.record import Case, Reply, Score
from bench.score.facts import Page, read
from bench.score.text import Span, sentences
from bench.score.topics import Topical, places, reached, topical

_ASIDE = re.compile(
    r"\b(?:not|never|no longer|instead|rather than|as opposed to|unlike|previous(?:ly)?|former(?:ly)?|original(?:ly)?"
    r"|initial(?:ly)?|earlier|at first|(?:was|were|had) first|first (?:demand"
    r"|said|thought|asked|offered|quoted|reported|announced"
    r"|planned|proposed|guess|estimate|figure|offer|reading|report)|outdated|superseded|withdr[ae]w\w*|reject\w*|refus\w+"
    r"|declin\w+|dismiss\w+|void|(?:voted|turned) down|propos\w+|suggest\w+|demanded|rumou?r\w*|unconfirmed|alleged\w*"
    r"|claimed|guess\w*|(?:first|early|initial|preliminary) estimate|mistaken\w*|wrong(?:ly)?|incorrect\w*|corrected|misread"
    r"|mix(?:es|ed)[ -]up|draft|had (?:asked|wanted|hoped|expected|planned|said|been)|asked for|hoped|wanted|rival"
    r"|used to|would have|list price|versus"
    r"|(?:down|up|moved|moved forward|changed|raised|lowered|reduced|increased|cut|postponed) from|ignore\w*|disregard\w*)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[;\n]|\.\s|\s[–-]\s|,\s(?:and|but|while|whereas)\s")


@dataclass(slots=True)
class Decoys:
    """1 less the share of decoys that are stated as facts; with `at_least`, 1 when it is reached, else 0."""

    name: str
    target: str = "decoys"
    at_least: float | None = None
    day_first: bool | None = None
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        decoys, problem = topical(case, self.target)
        if problem or not decoys:
            return Score(self.name, self.version, None, problem or f"the case has no {self.target}")
        if not reply.text.strip():
            return Score(self.name, self.version, 0.0, "the reply has no text")
        page = read(reply.text, self.day_first)
        taken = [one for one in decoys if any(not put_aside(one, page, span) for span in places(one, page))]
        share = 1 - len(taken) / len(decoys)
        reason = f"states {len(taken)} of {len(decoys)} decoys as facts"
        if taken:
            reason += ": " + ", ".join(f"{one.fact.label} ({one.id})" for one in taken)
        return Score(self.name, self.version, reached(share, self.at_least), reason)


def put_aside(one: Topical, page: Page, span: Span) -> bool:
    """Whether the clause around a value puts it aside. The decoy's own words count in the whole sentence."""
    low, high = next((s for s in sentences(page.text) if s[0] <= span[0] < s[1]), (0, len(page.text)))
    if any(word in page.text[low:high].lower() for word in one.unless):
        return True
    start = max((m.end() for m in _CLAUSE.finditer(page.text, low, span[0])), default=low)
    end = _CLAUSE.search(page.text, span[1], high)
    return bool(_ASIDE.search(page.text, start, end.start() if end else high))
