"""Does the reply decline exactly when the passages hold no answer?

A reply abstains when it says that the material does not answer, and gives no answer beside it. With an `Answer:`
line, that line alone decides. Without one, a sentence must say so, everything before it must only report what was
looked at ("Passage 2 covers returns"), and nothing after it may guess ("but it is probably 30 days").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from bench.record import Case, Reply, Score
from bench.score.facts import read
from bench.score.text import Span, answer_lines, sentences

_MATERIAL = (
    r"(?:documents?|documentation|passages?|sources?|contexts?|excerpts?|materials?|texts?|snippets?|extracts?"
    r"|articles?|records?|(?:\w+ )?information|"
    r"bundle|files?|pages?|(?:given|provided|supplied|retrieved) (?:policies|data|content))"
)
_GIVEN = (
    r"(?:(?:any|one|all|of|the|these|those|this|that|your|my|six|given|provided|supplied|retrieved|available|above"
    r"|attached|cited)\s+){0,5}"
)
_TELL = (
    r"(?:contain|state|say|specify|mention|include|provide|give|address|cover|indicate|answer|list|define|tell"
    r"|disclose|show|explain|describe|name|"
    r"identify|discuss|establish|clarify|confirm|set out|refer to|speak of|hold|have)"
)
_ABSTAINS = re.compile(
    "|".join(
        (
            r"\bnot (?:in|found in|covered (?:by|in)|contained in|present in|available in|answered (?:by|in)|included"
            r" in|part of) (?:any of )?"
            rf"{_GIVEN}{_MATERIAL}\b",
            rf"\b{_MATERIAL}\b[^.;\n]{{0,60}}?\b(?:do|does|did)(?: not|n't) (?:\w+ly )?(?:seem to |appear to"
            rf" )?{_TELL}\b",
            rf"\bnone of (?:{_GIVEN}{_MATERIAL}|them|these)\b[^.;\n]{{0,40}}?\b{_TELL}(?:s|es)?\b",
            rf"\bno(?:ne| \w+)? {_MATERIAL}\b[^.;\n]{{0,40}}?\b{_TELL}(?:s|es)?\b",
            r"\b(?:is|are|was|were)(?: not|n't) (?:\w+ly )?(?:stated|specified|mentioned|documented|recorded|disclosed"
            r"|indicated)\b",
            r"\b(?:cannot|can't|can not|could not|couldn't|can never) (?:\w+ly )?be (?:\w+ly )?(?:answered|determined"
            r"|established|derived|inferred|found|confirmed|"
            r"identified|concluded|told)\b",
            r"\b(?:I|we)(?: am| are|'m|'re)? (?:unfortunately |sorry, but I )?(?:cannot|can't|can not|could not"
            r"|couldn't|unable to|not able to) (?:\w+ly )?"
            r"(?:answer|determine|find|locate|identify|establish|derive|say|tell|help|assist|conclude|(?:provide|give"
            r"|confirm) (?:an?|the|any|that|this|you))\b",
            r"\b(?:it is |it's )?(?:not possible|impossible) to (?:answer|determine|say|tell|establish|derive|infer"
            r"|find|identify)\b",
            r"\b(?:no|not enough|insufficient|not sufficient|too little) (?:\w+ )?(?:information|details?|data"
            r"|evidence|answer|mention|indication|reference|record)\b"
            r"(?=[^.;\n]{0,80}\b(?:to|on|about|of|for|in|is|was|regarding|concerning|available|given|provided|found"
            r"|that)\b|[.\s]*$)",
            r"\b(?:I|we) (?:do not|don't|did not|didn't) (?:know|see|find|have (?:the|that|any|enough|sufficient|this)"
            r" (?:\w+ )?"
            r"(?:information|answer|details?|data|figures?))\b",
            r"^\W*(?:unknown|n/?a|not (?:available|known|answerable|stated|specified|given|found|mentioned"
            r"|determinable)|unanswerable|none given|no answer|cannot tell)"
            r"\W*$",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)
_REPORTS = re.compile(
    r"\b(?:mentions?|covers?|describes?|discuss(?:es)?|address(?:es)?|refers?|lists?|concerns?|deals? with|relates? to"
    r"|talks? about|only|about|"
    r"reviewed|checked|searched|looked|read|went through|according to the question|you (?:ask|asked|want|are"
    r" asking))\b",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"\W*(?:(?:unfortunately|regrettably|sorry|i'm sorry|i am sorry|i apologi[sz]e|apologies|hello|hi|thank you|thanks"
    r"|sure|certainly|of course)\b[^.,;\n]{0,40})?\W*",
    re.IGNORECASE,
)
_GUESSES = re.compile(
    r"\b(?:most likely|likely|probably|presumably|best guess|i(?:'d| would) (?:guess|estimate|assume|say|expect)|i"
    r" (?:guess|assume|estimate|believe|think)|"
    r"(?:can|may) be (?:inferred|assumed)|my estimate|educated guess)\b",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"\b(?:but|however|nevertheless|nonetheless|still|yet|that said|although|though|typically|usually|generally"
    r"|normally|suggests?|impl(?:y|ies)|indicates?|"
    r"should be|would be|must be|so|therefore|thus|hence|based on|the answer is|it is|gives?|sets?|states?|says?)\b",
    re.IGNORECASE,
)


def abstains(raw: str) -> bool:
    """Whether the reply declines to answer and gives no answer all the same. An empty reply declines nothing."""
    page = read(raw)
    text = page.text
    spans = [(v.start, v.end) for found in (page.values, page.days) for v in found]
    lines = answer_lines(text)
    region = lines[-1] if lines else (0, len(text))
    clauses = [clause for sentence in sentences(text, region) for clause in _clauses(text, *sentence)]
    at = next((i for i, (low, high) in enumerate(clauses) if _ABSTAINS.search(text[low:high].strip())), None)
    if at is None:
        return False
    before_only_reports = all(_says_nothing(text[low:high]) for low, high in clauses[:at])
    return before_only_reports and not any(_answers(text, clause, spans) for clause in clauses[at:])


def _says_nothing(clause: str) -> bool:
    """Whether a clause only reports what was looked at, or is mere politeness."""
    return bool(_REPORTS.search(clause) or _POLITE.fullmatch(clause.strip()))


def _clauses(text: str, low: int, high: int) -> list[Span]:
    """Pieces of a sentence that can each decline or answer: cut before "but", "however", a semicolon or a line end."""
    cuts = [
        m.start()
        for m in re.finditer(
            r"[;\n]|[,–]?\s+(?:but|however|although|though|yet|nevertheless|so|still)\b|\.\s",
            text[low:high],
            re.IGNORECASE,
        )
    ]
    edges = [low, *(low + c for c in cuts), high]
    return [(a, b) for a, b in pairwise(edges) if text[a:b].strip()]


def _answers(text: str, clause: Span, spans: list[Span]) -> bool:
    """Whether a clause gives an answer.

    A guess, or a value under a word that leads to one, and not a mere report of what a passage covers.
    """
    words = text[clause[0] : clause[1]]
    if _GUESSES.search(words):
        return True
    if _ABSTAINS.search(words.strip()) or _REPORTS.search(words):
        return False
    return bool(_LEANS.search(words)) and any(clause[0] <= a < clause[1] for a, _ in spans)


@dataclass(slots=True)
class Abstention:
    """1 when the reply abstains exactly if the case is unanswerable, else 0."""

    name: str
    target: str = "answerable"
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        answerable = case.expected.get(self.target)
        if not isinstance(answerable, bool):
            return Score(
                self.name, self.version, None, f"expected.{self.target}: got {answerable!r}; want true or false"
            )
        if not reply.text.strip():
            return Score(self.name, self.version, 0.0, "the reply has no text")
        declined = abstains(reply.text)
        did = "abstains" if declined else "gives an answer"
        was = "answerable" if answerable else "unanswerable"
        return Score(self.name, self.version, float(declined != answerable), f"{did}; the case is {was}")
