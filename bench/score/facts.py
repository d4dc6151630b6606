"""Does the answer state the facts? Typed matching of numbers, money, percentages, dates, names and phrases.

The gold facts of a case must all be stated; a reject is a fact whose statement as the answer makes the reply wrong.

Where the answer is: after the last `Answer:` line when the reply has one, else the whole text. With answer lines, every gold
fact must stand in the last one and no reject in any. Without, a reject counts only where it is *offered*: in the sentences that
conclude ("So ...", "The answer is ..."), or, when none concludes, in the first sentence that states a gold fact or a reject and
does not speak of an older edition; and in every sentence that opens with an alternative ("Alternatively, ...").

What stating means: a value that is disowned ("not 14 days", "previously 14 days") is stated neither as gold nor as a reject;
one end of a range is not the value; of "14 or 30 days" neither is stated, unless both are gold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from bench.record import Case, Reply, Score
from bench.score.dates import Day
from bench.score.text import Span, answer_lines, clean, disowned, negated, sentences
from bench.score.units import CODES, SMALL, Unit, unit
from bench.score.values import Value, readings, values


@dataclass(frozen=True, slots=True)
class Fact:
    """One typed fact. `amounts` are (value,) or, for a range, (value, to), in the unit's base; `label` is for reasons."""

    type: str
    label: str
    amounts: tuple[Decimal, ...] = ()
    unit: Unit | None = None
    noun: tuple[str, ...] = ()
    currency: str = ""
    day: tuple[int, int, int | None] | None = None
    patterns: tuple[re.Pattern[str], ...] = ()
    negative: bool = False
    """The phrase itself says no ("not covered"), so a negation before it is not looked for."""
    optional: bool = False
    """`unit_optional` or `year_optional`: the bare number, or the date without its year, will do."""


class BadFact(ValueError):
    """A fact that cannot be read; the message says what is wanted."""


def parse(raw: Mapping[str, Any]) -> Fact:
    """The fact as written in a workload. Raises BadFact with what would be right."""
    if not isinstance(raw, Mapping):
        raise BadFact(f'got {raw!r}; want an object, e.g. {{"type": "number", "value": "30", "unit": "calendar days"}}')
    kind = raw.get("type")
    if kind not in _KEYS:
        raise BadFact(f"type: got {kind!r}; want one of {', '.join(_KEYS)}")
    if unknown := set(raw) - _KEYS[kind] - {"type"}:
        raise BadFact(f"got {', '.join(sorted(unknown))}; a {kind} fact has {', '.join(sorted(_KEYS[kind]))}")
    return _PARSERS[kind](raw)


_KEYS = {
    "number": {"value", "to", "unit", "unit_optional"},
    "money": {"value", "to", "currency", "unit_optional"},
    "percent": {"value", "to", "unit_optional"},
    "date": {"value", "year_optional"},
    "name": {"value", "aliases"},
    "phrase": {"any_of"},
}


def _amounts(raw: Mapping[str, Any]) -> tuple[Decimal, ...]:
    found = []
    for key in ("value", "to"):
        if key in raw:
            try:
                amount = Decimal(str(raw[key])) if isinstance(raw[key], (str, int)) and not isinstance(raw[key], bool) else None
            except InvalidOperation:
                amount = None
            if amount is None or not amount.is_finite():
                raise BadFact(f'{key}: got {raw[key]!r}; want a plain decimal in quotes, e.g. "1250.00"')
            found.append(amount)
    if "value" not in raw:
        raise BadFact('value: missing; want a plain decimal in quotes, e.g. "30"')
    return tuple(found)


def _label(raw: Mapping[str, Any]) -> str:
    parts = [str(raw["value"]), f"to {raw['to']}" if "to" in raw else "", str(raw.get("unit") or raw.get("currency") or "")]
    return " ".join(p for p in parts if p) + ("%" if raw["type"] == "percent" else "")


def _number(raw: Mapping[str, Any]) -> Fact:
    name = str(raw.get("unit") or "")
    known = unit(name) if name else None
    factor = known.factor if known else Decimal(1)
    noun = () if known else tuple(_stem(w) for w in re.findall(r"[\w']+", clean(name).lower()))
    return Fact("number", _label(raw), tuple(a * factor for a in _amounts(raw)), known, noun, optional=bool(raw.get("unit_optional")))


def _money(raw: Mapping[str, Any]) -> Fact:
    currency = str(raw.get("currency", "")).upper()
    if currency not in CODES:
        raise BadFact(f"currency: got {raw.get('currency')!r}; want a code such as EUR, one of {', '.join(CODES)}")
    return Fact("money", _label(raw), _amounts(raw), currency=currency, optional=bool(raw.get("unit_optional")))


def _percent(raw: Mapping[str, Any]) -> Fact:
    return Fact("percent", _label(raw), _amounts(raw), optional=bool(raw.get("unit_optional")))


def _date(raw: Mapping[str, Any]) -> Fact:
    text = str(raw.get("value", ""))
    match = re.fullmatch(r"(\d{4})-(\d\d)(?:-(\d\d))?", text)
    try:
        if match is None:
            raise ValueError
        parts = (int(match[1]), int(match[2]), int(match[3]) if match[3] else None)
        date(parts[0], parts[1], parts[2] or 1)
    except ValueError:
        raise BadFact(f"value: got {text!r}; want a date such as 2026-03-02, or a month such as 2026-03") from None
    return Fact("date", text, day=parts, optional=bool(raw.get("year_optional")))


def _name(raw: Mapping[str, Any]) -> Fact:
    aliases = raw.get("aliases", ())
    names = [raw.get("value"), *(aliases if isinstance(aliases, Sequence) and not isinstance(aliases, str) else (None,))]
    if not all(isinstance(n, str) and re.search(r"\w", n) for n in names):
        raise BadFact('want "value": "Lena Okafor", and "aliases" a list of strings')
    return Fact("name", str(names[0]), patterns=tuple(_name_pattern(str(n)) for n in names))


def _name_pattern(name: str) -> re.Pattern[str]:
    words = [re.escape(w.rstrip(".")) for w in re.split(r"[\s-]+", clean(name).strip()) if w.strip(".")]
    plain = r"\.?[\s-]{0,2}".join(words)
    if len(words) == 2 and all(w.isalpha() for w in words):
        plain = rf"(?:{plain}|{words[1]},\s{words[0]})"
    return re.compile(rf"(?<![\w])(?<!\w[-/])(?<!\d[.,]){plain}(?:'s|(?<=s)')?(?![\w])(?![-/]\w|[.,]\d)", re.IGNORECASE)


def _phrase(raw: Mapping[str, Any]) -> Fact:
    phrases = raw.get("any_of")
    if not isinstance(phrases, Sequence) or isinstance(phrases, str) or not phrases or not all(isinstance(p, str) for p in phrases):
        raise BadFact('any_of: want a list of strings, e.g. ["two approvers", "dual approval"]')
    for phrase in phrases:
        if not re.search(r"\w", phrase) or (re.fullmatch(r"[\d.,' ]+", phrase) and readings(phrase)):
            raise BadFact(f"any_of: got {phrase!r}; a plain number needs a number, money or percent fact")
    negative = any(re.search(r"\b(?:no|not|never|without|none|cannot)\b|n't\b", p, re.IGNORECASE) for p in phrases)
    return Fact("phrase", " / ".join(phrases), patterns=tuple(_phrase_pattern(p) for p in phrases), negative=negative)


_DIGIT = {str(value): word for word, value in SMALL.items()}


def _phrase_pattern(phrase: str) -> re.Pattern[str]:
    words = []
    for word in re.split(r"[\s-]+", clean(phrase).strip().lower()):
        other = _DIGIT.get(word) or (str(SMALL[word]) if word in SMALL else None)
        words.append(f"(?:{re.escape(word)}|{other})" if other else re.escape(word))
    body = r"[\s-]+".join(words)
    return re.compile(rf"(?<!\w)(?<!\w-)(?<!\d[.,]){body}(?!\w|[.,]\d)", re.IGNORECASE)


_PARSERS: dict[str, Callable[[Mapping[str, Any]], Fact]] = {
    "number": _number,
    "money": _money,
    "percent": _percent,
    "date": _date,
    "name": _name,
    "phrase": _phrase,
}


def _stem(word: str) -> str:
    """Singular of an English noun, well enough to hold `sites` equal to `site`."""
    word = word.removesuffix("'s").removesuffix("'")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(?:[sx]|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


@dataclass(frozen=True)
class Page:
    """A reply's text, read once: every amount and date in it."""

    text: str
    values: Sequence[Value] = field(default_factory=tuple)
    days: Sequence[Day] = field(default_factory=tuple)


def read(raw: str, day_first: bool | None = None) -> Page:
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
        words = [_stem(w) for w in re.findall(r"[\w']+", value.noun)]
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
    """Where the page states the fact. With `friends`, a value offered beside another with "or" counts only if that is a friend too."""
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
            if _is_day(fact, day) and (friends is None or not _rival_day(page, i, [f for f in friends if f.type == "date"]))
        ]
    else:
        spans = [m.span() for pattern in fact.patterns for m in pattern.finditer(text)]
        if fact.type == "name" and friends is not None:
            spans = [s for s in spans if not _rival_name(text, s, [f for f in friends if f.type == "name"])]
        if fact.type == "phrase" and not fact.negative:
            spans = [s for s in spans if not negated(text, s[0])]
    return [s for s in spans if not disowned(text, *s)]


def _rival_day(page: Page, i: int, friends: Sequence[Fact]) -> bool:
    """Whether the i-th date stands in an "or" with a date that is not right."""
    day = page.days[i]
    beside = [d for d in page.days[i + 1 : i + 2] if _OR.fullmatch(page.text[day.end : d.start])]
    beside += [d for d in page.days[max(0, i - 1) : i] if _OR.fullmatch(page.text[d.end : day.start])]
    return any(not any(_is_day(f, other) for f in friends) for other in beside)


def _rival_name(text: str, span: Span, friends: Sequence[Fact]) -> bool:
    others = [m[1] for m in (_OTHER_NAME_AFTER.match(text, span[1]), _OTHER_NAME_BEFORE.search(text[max(0, span[0] - 80) : span[0]])) if m]
    return any(not any(p.search(other) for f in friends for p in f.patterns) for other in others)


_CONCLUDES = re.compile(
    r"(?:^|[,;]\s+)so\b(?!\s+(?:that|far|long|much|many|as))|\b(?:therefore|thus|hence|consequently|in short|in conclusion|to conclude|in summary|overall|"
    r"(?:the|my) (?:final )?answer is|this means|that means)\b",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"^[\s>*-]*(?:alternatively|otherwise|or\b|maybe|perhaps|possibly|it (?:could|might|may) also|another (?:possible )?answer)", re.IGNORECASE)
_ASIDE = re.compile(
    r"\b(?:previous(?:ly)?|former(?:ly)?|superseded|outdated|old(?:er)?|earlier|prior|withdrawn|expired|no longer|used to|until then|historical(?:ly)?)\b"
    r"|\b(?:edition|version|revision|\d{4})\b.{0,60}\b(?:was|were|said|stated|gave|set|had|allowed|required)\b",
    re.IGNORECASE | re.DOTALL,
)


def offer(page: Page, spans: Sequence[Span]) -> list[Span]:
    """The sentences that offer an answer, among those that hold one of the spans. See the rule at the top of this file."""
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
    return missing, [f for f, spans in wrong if any(_inside(s, offered) for s in spans)]


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
