"""Full replies of known kind, composed around what the passages say: what look-alike clouds answer.

A right reply states the gold on its first line and never states a reject anywhere, so it scores right whether a scorer
reads one line or all of them. A wrong reply never states the gold.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from bench.world.corpus import World
from bench.world.draft import Draft, Value
from bench.world.ledger import GROUP, Fact
from bench.world.names import hand_list
from bench.world.records import TODAY
from bench.world.render import Passage
from bench.world.values import CURRENCIES, MONTHS, UNITS, group_digits, load_yaml, long_date, spoken, written

ABSTENTION = "NOT IN DOCUMENTS"
SHORTEST_WORDS = 120
ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)


@dataclass(frozen=True)
class Shown:
    """The passages of an item in prompt order, numbered from 1."""

    passages: tuple[Passage, ...]

    def number(self, passage_id: str) -> int:
        return next(n for n, p in enumerate(self.passages, start=1) if p.passage_id == passage_id)

    def name(self, *passages: Passage) -> str:
        """`The third and fourth passage`: named in words and not cited, because the answer does not rely on them."""
        words = [ORDINALS[number - 1] for number in sorted(self.number(p.passage_id) for p in passages)]
        listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
        return f"The {listed} passage"

    def cite(self, *passages: Passage) -> str:
        """`[1], [3] and [4]`."""
        cites = [f"[{number}]" for number in sorted(self.number(p.passage_id) for p in passages)]
        return " and ".join(filter(None, (", ".join(cites[:-1]), cites[-1])))


def states(text: str, value: Value) -> bool:
    """Whether a text gives a value in one of its written forms, with its unit if it has one; citations do not count."""
    return re.search(_pattern(*value), re.sub(r"\[\d+\]", "", text)) is not None


@lru_cache(maxsize=4096)
def _pattern(raw: str, unit: str) -> str:
    if unit == "date":
        day = date.fromisoformat(raw)
        month = MONTHS[day.month - 1]
        forms = [raw, long_date(day), f"{month} {day.day}, {day.year}", f"{day:%d.%m.%Y}", f"{day:%d/%m/%Y}"]
    elif unit in CURRENCIES:
        forms = [f"{Decimal(raw):,.2f}", f"{Decimal(raw):.2f}", group_digits(raw)]
    else:
        forms = [*raw.split(" / "), written(raw, unit)]
    found = rf"(?<![\w.,])(?:{'|'.join(sorted({re.escape(form) for form in forms}))})(?!\w|[.,]\d)"
    if unit == "pct":
        return found + r"\s?(?:%|per ?cent)"
    noun = UNITS.get(unit, "").split(" ")[-1].removesuffix("s")
    return found + (rf"\s(?:[a-z]+\s){{0,2}}{noun}" if noun else "")


def other_form(value: Value) -> str:
    """The same value as another writer would put it."""
    raw, unit = value
    if unit == "pct":
        return f"{raw}%"
    if unit == "date":
        day = date.fromisoformat(raw)
        return f"{MONTHS[day.month - 1]} {day.day}, {day.year}"
    if unit == "eur":
        return f"€{Decimal(raw):,.2f}"
    return f"It is {spoken(raw, unit)}"


def made_up(value: Value, rng: random.Random) -> Value:
    """A value of the same kind that no document states: another number, year or person."""
    raw, unit = value
    if unit == "date":
        day = date.fromisoformat(raw)
        return day.replace(year=day.year + rng.choice((-1, 1)), day=min(day.day, 28)).isoformat(), unit
    if unit == "name":
        return rng.choice(hand_list("nobody")), unit
    if unit == "clock":
        hour, _, minute = raw.partition(":")
        return f"{int(hour) + rng.choice((-2, 2))}:{minute}", unit
    number = Decimal(raw)
    if number == int(number):
        return str(int(number * rng.choice((3, 4, 5)) // 2) + 1), unit
    return str(number + rng.choice((Decimal("0.3"), Decimal("0.7")))), unit


def sentence_around(world: World, fact: Fact) -> str | None:
    """The sentence of the document that states a fact, without Markdown; None for a table's row."""
    document = world.documents[fact.doc_id]
    text, at = document.text, fact.span_start
    start = max((m.end() for m in re.finditer(r"(?<=[.!?])\s+(?=[\"“A-Z(])|\n+", text[:at])), default=0)
    tail = re.search(r"[.!?;](?=\s|$)|\n", text[at:])
    sentence = text[start : at + tail.end() if tail else len(text)]
    if document.source.kind == "register" or sentence.startswith("|"):
        return None
    clean = re.sub(r"^\s*(?:[-*]|\d+[.)/]|\(\w+\)|\d+\.\d+)\s+", "", sentence)
    clean = re.sub(r"\s+", " ", re.sub(r"[*_#`¹²]", "", clean)).strip()
    return clean.rstrip(";.") or None


def right(world: World, draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """Two right replies, the gold written in two ways."""
    if draft.kind == "unanswerable":
        return [_not_there(draft, shown, rng, draft.why) for _ in range(2)]
    bodies = [_reasons(world, draft, shown, rng) for _ in range(2)]
    lines = [spoken(*draft.gold[0]), other_form(draft.gold[0])]
    return [f"Answer: {line.rstrip('.')}.\n\n{body}" for line, body in zip(lines, bodies, strict=True)]


def wrong(world: World, draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """Two wrong replies: a superseded or neighbouring value where there is one, and a made-up one."""
    base = draft.gold[0] if draft.gold else draft.rejects[0]
    taken = [value for value in draft.rejects if value[1] == base[1] or not draft.gold][:1]
    while len(taken) < 2:
        value = made_up(base, rng)
        if value not in taken and value not in draft.gold:
            taken.append(value)
    near = [*draft.shown, *world.homes(draft.needs)]
    return [_mistaken(near, shown, value, rng) for value in taken]


def abstain(draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """A reply that finds nothing."""
    return [_not_there(draft, shown, rng, draft.why if draft.kind == "unanswerable" else _say("nothing", rng))]


def _say(name: str, rng: random.Random, /, **fill: str) -> str:
    """A sentence of `bank/replies.yaml`, filled in."""
    sentences: str | list[str] = load_yaml("bank/replies.yaml")[name]
    chosen = sentences if isinstance(sentences, str) else rng.choice(sentences)
    return chosen.format(**fill)


def _reasons(world: World, draft: Draft, shown: Shown, rng: random.Random) -> str:
    """The body of a right reply: the deciding text, why, what the rivals are, and what the rest is about."""
    golds = world.homes(draft.needs)
    if draft.cited:
        cites = {name: f"[{shown.number(passage_id)}]" for name, passage_id in draft.cited.items()}
        parts = [_say("chain_openings", rng), draft.why.format(**cites)]
    else:
        home = golds[0]
        about = f"{home.title}, the text with effect from {long_date(home.effective)}"
        parts = [_say("openings", rng, cite=shown.cite(home), about=about)]
        quote = sentence_around(world, draft.needs[0])
        if quote and not any(states(quote, reject) for reject in draft.rejects):
            parts.append(_say("quotes", rng, quote=quote, cite=shown.cite(home)))
        parts.append(draft.why)
    rivals = [p for p in shown.passages if p not in golds and (p in draft.shown or world.is_other_edition(p, golds))]
    rest = [p for p in shown.passages if p not in golds and p not in rivals]
    documents = dict.fromkeys(p.doc_id for p in rivals)
    closing = [_rival(world, draft, [p for p in rivals if p.doc_id == doc_id], shown, rng) for doc_id in documents]
    if rest:
        closing.append(_say("rests", rng, titles=_titles(rest)))
    closings: list[str] = load_yaml("bank/replies.yaml")["closings"]
    for sentence in rng.sample(closings, len(closings)):
        if len(" ".join([*parts, *closing]).split()) < SHORTEST_WORDS:
            closing.append(sentence)
    return " ".join(parts) + "\n\n" + " ".join(closing)


def _rival(world: World, draft: Draft, passages: Sequence[Passage], shown: Shown, rng: random.Random) -> str:
    """Why a document with another value does not decide."""
    source = world.documents[passages[0].doc_id].source
    if source.kind in ("thread", "memo", "faq"):
        reason = {"thread": "talk", "memo": "memo", "faq": "faq"}[source.kind]
    elif source.effective_from > min(draft.on, TODAY):
        reason = "future"
    elif draft.site and source.scope == GROUP:
        reason = "group"
    else:
        reason = {"contract": "amended", "amendment": "amended", "release": "release"}.get(source.kind, "older")
    words: dict[str, list[str]] = load_yaml("bank/replies.yaml")["rivals"]
    return rng.choice(words[reason]).format(cite=shown.name(*passages), day=long_date(source.effective_from))


def _mistaken(near: Sequence[Passage], shown: Shown, value: Value, rng: random.Random) -> str:
    """A confident reply with a wrong value, citing the passage among the near ones that has that value, if one has."""
    first = next((p for p in near if states(p.text, value)), near[-1])
    second = rng.choice([p for p in shown.passages if p is not first])
    body = _say("mistakes", rng, title=first.title, first=shown.cite(first), second=shown.cite(second))
    return f"Answer: {spoken(*value)}.\n\n{body} {_say('mistake_ends', rng)}"


def _not_there(draft: Draft, shown: Shown, rng: random.Random, reason: str) -> str:
    """A reply that finds nothing, and names what comes nearest."""
    near = [p for p in shown.passages if p in draft.shown] or list(shown.passages[:2])
    nearest = f"The nearest {'is' if len(near) == 1 else 'are'} {shown.cite(*near)}."
    searched = _say("searched", rng, titles=_titles(shown.passages))
    return f"Answer: {ABSTENTION}\n\n{searched} {nearest} {reason} {_say('advice', rng)}"


def _titles(passages: Sequence[Passage]) -> str:
    return "; ".join(sorted({p.title for p in passages}))
