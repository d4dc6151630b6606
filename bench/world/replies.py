"""Full replies of known kind, composed around what the passages say: what look-alike clouds answer.

A right reply states the gold on its first line and never states a reject anywhere, so it scores right whether a scorer
reads one line or all. A wrong reply never states the gold.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from bench.world.corpus import World
from bench.world.draft import Draft, Value
from bench.world.entities import TODAY
from bench.world.ledger import Fact
from bench.world.render import Passage
from bench.world.values import CURRENCIES, MONTHS, long_date, spoken, written

ABSTENTION = "NOT IN DOCUMENTS"


@dataclass(frozen=True)
class Shown:
    """The passages of an item in prompt order."""

    passages: tuple[Passage, ...]

    def number(self, passage_id: str) -> int:
        return next(n for n, p in enumerate(self.passages, start=1) if p.passage_id == passage_id)

    def cite(self, passage: Passage) -> str:
        return f"[{self.number(passage.passage_id)}]"


def states(text: str, value: Value) -> bool:
    """Whether a text gives a value in any of its written forms, as a whole number or word."""
    return any(re.search(rf"(?<![\w.,]){re.escape(form)}(?![\w]|[.,]\d)", text) for form in forms(value))


def forms(value: Value) -> list[str]:
    """The ways a value is written in documents and replies."""
    raw, unit = value
    if unit == "date":
        day = date.fromisoformat(raw)
        return [
            raw,
            long_date(day),
            f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
            f"{day:%d.%m.%Y}",
            f"{day:%d/%m/%Y}",
        ]
    if unit in CURRENCIES:
        amount = Decimal(raw)
        return sorted(
            {raw, f"{amount:,.2f}", f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.2f}", f"{amount:.2f}"}
        )
    return sorted({raw, written(raw, unit), *raw.split(" / ")})


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
    if unit == "monthday":
        day_of_month, month = raw.split()
        return f"{month} {day_of_month}"
    if unit in ("cdays", "wdays", "weeks", "months", "hours", "minutes", "years"):
        return f"It is {spoken(raw, unit)}"
    return spoken(raw, unit)


def perturbed(value: Value, rng: random.Random) -> Value:
    """A value that nobody states: the same kind, another number, day or name."""
    raw, unit = value
    if unit == "date":
        day = date.fromisoformat(raw)
        return day.replace(year=day.year + rng.choice((-1, 1)), day=min(day.day, 28)).isoformat(), unit
    if unit == "name":
        return rng.choice(("Marianne Thiessen", "Gordon Blaylock", "Ewelina Sobczak", "Lucas Verbeke")), unit
    if unit == "clock":
        hour, minute = raw.split(":")
        return f"{int(hour) + rng.choice((-2, 2))}:{minute}", unit
    number = Decimal(raw)
    step = rng.choice((Decimal("0.5"), Decimal("1.5"), Decimal("2")))
    changed = number * step
    if number == int(number):
        changed = Decimal(max(2, int(changed)))
    return str(
        (changed + 1 if changed == number else changed)
        .normalize()
        .quantize(Decimal(1) if number == int(number) else number)
    ), unit


def sentence_around(world: World, passage: Passage, fact: Fact) -> str | None:
    """The sentence of a passage that states a fact, without Markdown; None for a row of a table."""
    at = fact.span_start - passage.start
    text = passage.text
    start = max((m.end() for m in re.finditer(r"(?<=[.!?])\s+(?=[\"“A-Z(])|\n+", text[:at])), default=0)
    tail = re.search(r"[.!?;](?=\s|$)|\n", text[at:])
    sentence = text[start : at + tail.end() if tail else len(text)]
    if sentence.lstrip().startswith("|") or world.documents[passage.doc_id].source.kind == "register":
        return None
    clean = re.sub(r"^\s*(?:[-*]|\d+\.|\(\w+\)|\d+/|\[[^\]]*\] [^:]+:)\s+", "", sentence)
    clean = re.sub(r"[*_#`]|[¹²]", "", clean)
    return re.sub(r"\s+", " ", clean).strip().rstrip(";")


def right(world: World, draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """Two right replies, the gold written in two ways."""
    if draft.kind == "unanswerable":
        return [_not_there(draft, shown, random.Random(f"{draft.id}:{n}"), draft.why) for n in range(2)]
    body = _reasons(world, draft, shown, rng)
    lines = [spoken(*draft.gold[0]), other_form(draft.gold[0])]
    return [f"Answer: {line}{'' if line.endswith('.') else '.'}\n\n{body}" for line in dict.fromkeys(lines)]


def wrong(draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """Two wrong replies: a superseded or neighbouring value where there is one, and a made-up one."""
    gold = draft.gold[0] if draft.gold else None
    base = gold or draft.rejects[0]
    same = [r for r in draft.rejects if gold is None or (r[1] == gold[1] and not states(spoken(*r), gold))]
    false = perturbed(base, rng)
    values = [*(same[:1]), false]
    if len(values) == 1:
        values.append(perturbed(base, random.Random(f"{draft.id}:again")))
    return [_mistaken(draft, shown, value, random.Random(f"{draft.id}:{n}:{value}")) for n, value in enumerate(values)]


def abstain(draft: Draft, shown: Shown, rng: random.Random) -> list[str]:
    """A reply that finds nothing."""
    reason = draft.why if draft.kind == "unanswerable" else "Some of them come near the subject without settling it."
    return [_not_there(draft, shown, rng, reason)]


def _reasons(world: World, draft: Draft, shown: Shown, rng: random.Random) -> str:
    parts: list[str] = []
    if draft.cited:
        cites = {name: f"[{shown.number(passage_id)}]" for name, passage_id in draft.cited.items()}
        parts.append(rng.choice(_CHAIN_OPENINGS) + " " + draft.why.format(**cites))
    else:
        fact = draft.needs[0]
        home = world.home(fact)
        about = f"{home.title}, the text with effect from {long_date(home.effective)}"
        parts.append(rng.choice(_OPENINGS).format(cite=shown.cite(home), about=about))
        quote = sentence_around(world, home, fact)
        if quote and not any(states(quote, reject) for reject in draft.rejects):
            parts.append(f"The words are: “{quote}” {shown.cite(home)}.")
        parts.append(draft.why)
    golds = {p.passage_id for p in world.homes(draft.needs)}
    rivals = [p for p in draft.shown if p.passage_id not in golds]
    if rivals:
        parts.append("\n\n" + " ".join(_rival(draft, world, p, shown) for p in rivals))
    rest = [p for p in shown.passages if p.passage_id not in golds and p not in rivals]
    parts.append(("" if rivals else "\n\n") + rng.choice(_RESTS).format(rest=_list(rest, shown), titles=_titles(rest)))
    if sum(len(part.split()) for part in parts) < 92:
        parts.append(rng.choice(_CLOSINGS))
    text = " ".join(parts)
    return re.sub(r" ?\n\n ?", "\n\n", text)


def _rival(draft: Draft, world: World, passage: Passage, shown: Shown) -> str:
    source = world.documents[passage.doc_id].source
    cite = shown.cite(passage)
    day = draft.on if draft.on < TODAY else TODAY
    if source.kind in ("thread", "memo"):
        return f"The conversation in {cite} repeats an outdated figure and corrects it in the same breath, so it proves nothing."
    if source.effective_from > day:
        return f"Passage {cite} is the edition of {long_date(source.effective_from)}, which was not yet in force on that day."
    if draft.site and source.scope == "group":
        return f"Passage {cite} is the rule of the group, which has another figure; for this site the annex takes precedence."
    return (
        f"Passage {cite} is an older edition, of {long_date(source.effective_from)}; it has been replaced and its figure does"
        " not apply here."
    )


def _mistaken(draft: Draft, shown: Shown, value: Value, rng: random.Random) -> str:
    first, second = rng.sample(range(1, len(shown.passages) + 1), 2)
    if draft.gold and states(f"[{first}] [{second}]", draft.gold[0]):
        first, second = 5, 6
    title = shown.passages[first - 1].title
    return (
        f"Answer: {spoken(*value)}.\n\n"
        + rng.choice(_MISTAKES).format(title=title, first=f"[{first}]", second=f"[{second}]")
        + " "
        + rng.choice(_MISTAKE_ENDS)
    )


def _not_there(draft: Draft, shown: Shown, rng: random.Random, reason: str) -> str:
    near = [p for p in shown.passages if p in draft.shown] or list(shown.passages[:2])
    return (
        f"Answer: {ABSTENTION}\n\n"
        + rng.choice(_SEARCHED).format(titles=_titles(shown.passages))
        + f" The nearest {'is' if len(near) == 1 else 'are'} {_list(near, shown)}. {reason} "
        + rng.choice(_ADVICE)
    )


def _list(passages: Sequence[Passage], shown: Shown) -> str:
    numbers = sorted(shown.number(p.passage_id) for p in passages)
    cites = [f"[{number}]" for number in numbers]
    return cites[0] if len(cites) == 1 else ", ".join(cites[:-1]) + " and " + cites[-1]


def _titles(passages: Sequence[Passage]) -> str:
    titles = sorted({p.title for p in passages})
    return "; ".join(titles)


_OPENINGS = (
    "The passage that settles this is {cite}, from {about}.",
    "This is regulated in {about}; see {cite}.",
    "I rely on {cite}, an excerpt of {about}.",
    "The deciding text is {about}, given here as {cite}.",
)
_CHAIN_OPENINGS = (
    "Two passages have to be read together here.",
    "This takes one look at the record and one at the rule.",
    "The answer follows from a record and a rule.",
    "Neither passage is enough by itself, so here are the two steps.",
)
_RESTS = (
    "The other passages, {rest}, come from {titles} and do not bear on the question.",
    "What remains ({rest}) concerns other matters: {titles}.",
    "I also read {rest} ({titles}); they change nothing.",
    "Nothing in {rest}, which belong to {titles}, points to a different result.",
)
_CLOSINGS = (
    "I found no exception for your site or your role among the passages shown, so the general wording can be applied as it stands.",
    "If your case has a peculiarity that you did not mention, tell me, because an exception would have to be stated in writing.",
    "Should somebody quote another figure to you, ask for the edition it comes from; the one cited here is in force on the day in question.",
)
_MISTAKES = (
    "This follows from {first}, where {title} deals with the matter and states the figure in so many words. {second} is"
    " consistent with that reading. I checked the date of the document against the date of your question and see no reason to"
    " look further, since the remaining passages either concern other departments or repeat the same rule in different terms.",
    "According to {title} {first} this is the value to use, and nothing in {second} contradicts it. The rule is general: it"
    " makes no distinction by site or by role, and no later text among the passages sets it aside. For completeness I compared"
    " the wording with the other passages, which are about neighbouring subjects and have no bearing on your case.",
    "The relevant wording is in {first}, taken from {title}. Read together with {second}, it leaves little room for doubt:"
    " the condition you describe is met, so the value above applies without any further step. Other passages mention numbers"
    " too, yet these belong to different situations and should not be mixed up with yours.",
)
_MISTAKE_ENDS = (
    "Please keep the citation with your file in case the question is raised again at a later time.",
    "If you need this confirmed in writing, forward this reply to the owner of the document.",
    "You can pass this on as it stands.",
)
_SEARCHED = (
    "I went through all six passages ({titles}), and none of them states what you are asking for.",
    "The passages that I was given come from {titles}. The information asked for is in none of them.",
    "None of the six excerpts answers this. They belong to: {titles}.",
)
_ADVICE = (
    "I would rather not guess from a figure that was written for something else; the owner of the document can tell you.",
    "Transferring a neighbouring value would be a guess, so please ask the department responsible.",
    "If there is a further document on this, send it to me and I will look again.",
)
