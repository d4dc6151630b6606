"""Does the answer state the facts? Typed matching of numbers, money, percentages, dates, names and phrases.

The gold facts of a case must all be stated; a reject is a fact whose statement as the answer makes the reply wrong.

Where the answer is: after the last `Answer:` line when the reply has one, else the whole text. With answer lines,
every gold fact must stand in the last one and no reject in any. Without, a reject counts only where it is *offered*:
in the sentences that conclude ("So ...", "The answer is ..."), or, when none concludes, in the first sentence that
states a gold fact or a reject and does not speak of an older edition; and in every sentence that opens with an
alternative ("Alternatively, ..."). Nowhere does a reject count in a clause that speaks of an older edition.

What stating means: a value that is disowned ("not 14 days", "previously 14 days") is stated neither as gold nor as a
reject; one end of a range is not the value; of "14 or 30 days" neither is stated, unless both are gold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from bench.record import Case, Reply, Score
from bench.score.dates import Day
from bench.score.gold import BadFact, Fact, parse, stem
from bench.score.relations import Value
from bench.score.text import Span, answer_lines, clean, disowned, negated, sentences
from bench.score.values import values


@dataclass(frozen=True)
class Page:
    """A reply's text and every amount and date in it."""

    text: str
    values: Sequence[Value] = field(default_factory=tuple)
    days: Sequence[Day] = field(default_factory=tuple)


@lru_cache(maxsize=64)
def read(raw: str, day_first: bool | None = None) -> Page:
    """A reply's text, read once for all scorers that look at it."""
    text = clean(raw)
    return Page(text, *values(text, day_first))


def _equals(fact: Fact, value: Value) -> bool:
    """Whether the value is the fact, whatever stands around it."""
    bare = value.kind == "number" and value.unit is None and not value.noun
    if not (value.kind == fact.type or (fact.optional and bare)):
        return False
    if len(fact.amounts) != (1 if value.top is None else 2):
        return False
    if value.kind == "money" and fact.currency not in value.currencies:
        return False
    factor = value.unit.factor if value.unit else Decimal(1)
    if fact.type == "number" and fact.unit and not (fact.optional and bare):
        if value.unit is None or value.unit.family != fact.unit.family:
            return False
    elif fact.type == "number" and fact.noun and not (fact.optional and bare):
        words = [stem(w) for w in re.findall(r"[\w']+", value.noun)]
        width = len(fact.noun)
        if not any(tuple(words[i : i + width]) == fact.noun for i in range(len(words) - width + 1)):
            return False
    elif fact.type == "number":  # a number without a unit: digits as written
        factor = Decimal(1)
    if fact.optional and bare and fact.unit:
        factor = fact.unit.factor
    tops = value.top is None or fact.amounts[1] in value.top
    return tops and any(a * factor == fact.amounts[0] for a in value.amounts)


def _is_day(fact: Fact, day: Day) -> bool:
    assert fact.day is not None
    year_agrees = day.year == fact.day[0] or (fact.optional and day.year is None)
    return year_agrees and (day.month, day.day) == fact.day[1:]


_OR = re.compile(r",?\s+or\s+(?:(?:on|by|else|perhaps|maybe|possibly)\s+)?")
_OTHER_NAME_AFTER = re.compile(r",?\s+or\s+((?:[A-Z][\w.'-]*)(?:\s[A-Z][\w.'-]*){0,3})")
_OTHER_NAME_BEFORE = re.compile(r"((?:[A-Z][\w.'-]*)(?:\s[A-Z][\w.'-]*){0,3}),?\s+or\s+$")


def stated(fact: Fact, page: Page, friends: Sequence[Fact] | None = None) -> list[Span]:
    """Where the page states the fact and does not disown it."""
    return [s for s in named(fact, page, friends) if not disowned(page.text, *s)]


def named(fact: Fact, page: Page, friends: Sequence[Fact] | None = None) -> list[Span]:
    """Where the page names the fact's value, disowned or not.

    With `friends`, a value offered beside another with "or" counts only if that is a friend too.
    """
    text = page.text
    if fact.type in ("number", "money", "percent"):
        spans = []
        for value in page.values:
            rivals_are_right = friends is None or all(any(_equals(f, r) for f in friends) for r in value.rivals)
            if _equals(fact, value) and rivals_are_right:
                spans.append((value.start, value.end))
    elif fact.type == "date":
        spans = [
            (day.start, day.end)
            for i, day in enumerate(page.days)
            if _is_day(fact, day)
            and (friends is None or not _rival_day(page, i, [f for f in friends if f.type == "date"]))
        ]
    else:
        spans = [m.span() for pattern in fact.patterns for m in pattern.finditer(text)]
        if fact.type == "name" and friends is not None:
            spans = [s for s in spans if not _rival_name(text, s, [f for f in friends if f.type == "name"])]
        if fact.type == "phrase" and not fact.negative:
            spans = [s for s in spans if not negated(text, s[0])]
    return spans


def _rival_day(page: Page, i: int, friends: Sequence[Fact]) -> bool:
    """Whether the i-th date stands in an "or" with a date that is not right."""
    day = page.days[i]
    beside = [d for d in page.days[i + 1 : i + 2] if _OR.fullmatch(page.text[day.end : d.start])]
    beside += [d for d in page.days[max(0, i - 1) : i] if _OR.fullmatch(page.text[d.end : day.start])]
    return any(not any(_is_day(f, other) for f in friends) for other in beside)


def _rival_name(text: str, span: Span, friends: Sequence[Fact]) -> bool:
    others = [
        m[1]
        for m in (
            _OTHER_NAME_AFTER.match(text, span[1]),
            _OTHER_NAME_BEFORE.search(text[max(0, span[0] - 80) : span[0]]),
        )
        if m
    ]
    return any(not any(p.search(other) for f in friends for p in f.patterns) for other in others)


_CONCLUDES = re.compile(
    r"(?:^|[,;]\s+)so\b(?!\s+(?:that|far|long|much|many|as))|\b(?:therefore|thus|hence|consequently|in short|in"
    r" conclusion|to conclude|in summary|overall|"
    r"(?:the|my) (?:final )?answer is|this means|that means)\b",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(
    r"^[\s>*-]*(?:alternatively|otherwise|or\b|maybe|perhaps|possibly|it (?:could|might|may) also|another (?:possible"
    r" )?answer)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\b(?:previous(?:ly)?|former(?:ly)?|superseded|outdated|old(?:er)?|earlier|prior|withdrawn|expired|no longer|used"
    r" to|until then|historical(?:ly)?)\b"
    r"|\b(?:edition|version|revision|\d{4})\b.{0,60}\b(?:was|were|said|stated|gave|set|had|allowed|required)\b",
    re.IGNORECASE | re.DOTALL,
)


_BEFORE_THAT = re.compile(
    r"\b(?:before (?:that|then|this)|until (?:then|that)|(?:it|they|which) (?:was|were|had been))\b", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"[;\n()]|\.\s|,\s(?:but|while|whereas|though|although|and)\b|\s–\s")


def _past(text: str, span: Span) -> bool:
    """Whether the clause around a value speaks of an older edition: "30 days; before that it was 14 days"."""
    low = max((m.end() for m in _CLAUSE_END.finditer(text, 0, span[0])), default=0)
    end = _CLAUSE_END.search(text, span[1])
    clause = text[low : end.start() if end else len(text)]
    return bool(_ASIDE.search(clause) or _BEFORE_THAT.search(clause))


def offer(page: Page, spans: Sequence[Span]) -> list[Span]:
    """The sentences that offer an answer, among those that hold one of the spans.

    See the rule at the top of this file.
    """
    marked = [s for s in sentences(page.text) if any(s[0] <= a < s[1] for a, _ in spans)]
    concluding = [s for s in marked if _CONCLUDES.search(page.text[s[0] : s[1]].strip())]
    plain = [s for s in marked if not _ASIDE.search(page.text[s[0] : s[1]])]
    chosen = concluding or plain[:1] or marked[:1]
    return chosen + [s for s in marked if s not in chosen and _ALTERNATIVE.match(page.text[s[0] : s[1]])]


def _inside(span: Span, regions: Sequence[Span]) -> bool:
    return any(low <= span[0] and span[1] <= high for low, high in regions)


def judge(page: Page, gold: Sequence[Fact], rejects: Sequence[Fact]) -> tuple[list[Fact], list[Fact]]:
    """The gold facts that the answer does not state, and the rejects that it does."""
    lines = answer_lines(page.text)
    where = lines[-1:] or [(0, len(page.text))]
    found = {i: [s for s in stated(f, page, gold) if _inside(s, where)] for i, f in enumerate(gold)}
    right = [s for spans in found.values() for s in spans]
    wrong = [(f, [s for s in stated(f, page) if not _inside(s, right)]) for f in rejects]
    offered = lines or offer(page, right + [s for _, spans in wrong for s in spans])
    missing = [gold[i] for i, spans in found.items() if not spans]
    return missing, [f for f, spans in wrong if any(_inside(s, offered) and not _past(page.text, s) for s in spans)]


@dataclass(slots=True)
class Facts:
    """1 when every gold fact is stated as the answer and no reject is, else 0."""

    name: str
    target: str = "gold"
    rejects: str = "rejects"
    day_first: bool | None = None
    version: str = field(default="1", init=False)

    def score(self, case: Case, reply: Reply) -> Score:
        if not case.expected.get(self.target):
            return Score(self.name, self.version, None, f"the case has no {self.target} facts")
        gold, problems = _read_facts(case, self.target)
        rejects, more = _read_facts(case, self.rejects)
        if problems or more:
            return Score(self.name, self.version, None, "; ".join(problems + more))
        if not reply.text.strip():
            return Score(self.name, self.version, 0.0, "the reply has no text")
        missing, wrong = judge(read(reply.text, self.day_first), gold, rejects)
        if missing or wrong:
            parts = ["not stated: " + ", ".join(f.label for f in missing)] if missing else []
            parts += ["wrong, but offered: " + ", ".join(f.label for f in wrong)] if wrong else []
            return Score(self.name, self.version, 0.0, "; ".join(parts))
        return Score(self.name, self.version, 1.0, "states " + ", ".join(f.label for f in gold))


def _read_facts(case: Case, key: str) -> tuple[list[Fact], list[str]]:
    facts, problems = [], []
    raw = case.expected.get(key) or ()
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return [], [f"expected.{key}: want a list of facts"]
    for i, item in enumerate(raw):
        try:
            facts.append(parse(item))
        except BadFact as error:
            problems.append(f"expected.{key}[{i}]: {error}")
    return facts, problems


def check(case: Case, target: str = "gold", rejects: str = "rejects") -> list[str]:
    """Everything wrong with a case's facts, so that a workload can be refused before anything is spent."""
    return _read_facts(case, target)[1] + _read_facts(case, rejects)[1]
