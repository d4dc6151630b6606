"""Workload `summarize`: records of a company's work, with the facts that a good summary has to carry.

A document is a record of three matters with papers beside it. What a matter finally comes to stands in the record's
second part; its first part, rumours and other sites' figures give values that do not stand. Each document has a small
ledger of its own: what stands is in force on the record's day, for the group; what does not is older or of another scope.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from bench.tokens import tokens
from bench.world import digests
from bench.world.annexes import machine_text
from bench.world.corpus import world
from bench.world.ledger import GROUP, Ledger, Statement, close_periods, split_key
from bench.world.names import SITES
from bench.world.render import prose_sources
from bench.world.strands import GENRES, SLOT, Draw, Strand, fact, people, say, strands
from bench.world.values import load_yaml, long_date

DEFAULTS: dict[str, Any] = {"items": 120, "facts": 12}
GROUP_SIZE = 5
COMBINATIONS = ((0, 1, 3), (1, 2, 4), (2, 3, 0), (3, 4, 1), (4, 0, 2))
"""Five strands make five documents of three, each strand in three of them; no two documents have the same three."""
TOKENS = (
    (0.0, 1350),
    (0.10, 1800),
    (0.25, 2800),
    (0.50, 4550),
    (0.75, 8300),
    (0.90, 13300),
    (0.99, 25000),
    (1.0, 25500),
)
"""Quantiles of a document's length, in tokens."""
SHAPES = ((True, False), (False, False), (False, True), (True, True))
"""Whether both parts of a matter stand side by side, and whether the document is one of the longer half."""
ELSEWHERE = frozenset(("SWI", "LIL", "KSL", "ANR"))
"""Sites whose figures strands quote as other sites' figures; no document is of one of these."""
MUST, SHOULD = 2, 1


@dataclass
class Page:
    """A document while it is written: its text so far, what it states, and which values were drawn."""

    day: date
    draw: Draw
    year: bool
    parts: list[str] = field(default_factory=list)
    length: int = 0
    statements: list[Statement] = field(default_factory=list)
    aside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def value(self, strand: Strand, name: str, scope: str) -> str:
        """The value of a fact, or of a decoy when the scope is not the group's."""
        key = (strand.key, name, scope)
        if key not in self.values:
            same = tuple(v for (s, n, _), v in self.values.items() if (s, n) == (strand.key, name))
            self.values[key] = self.draw.value(strand.slots[name], same)
        return self.values[key]

    def line(self, strand: Strand, text: str) -> None:
        """A line of a strand, its slots filled and noted."""
        at = 0
        for match in SLOT.finditer(text):
            sign, name, mark, words = match[1], match[2], match[3], match[4]
            self.write(text[at : match.start()])
            at = match.end()
            scope = GROUP if sign != "-" else f"aside{mark}"
            unit = strand.slots[name].unit
            value = self.value(strand, name, scope)
            start = self.length
            shown = say(value, unit, year=self.year)
            if unit.split()[-1].lower() in text[max(0, match.start() - 40) : match.start()].lower():
                shown = shown.removesuffix(f" {unit}")  # "lamps that failed: 11", without saying lamps again
            self.write(shown)
            key = f"{strand.key}.{name}.{unit}"
            if sign == "-":
                self.aside[f"{key}#{scope}"] = tuple((words or "").split("|")) if words else ()
            if sign != "=":
                day = self.day if sign == "+" else self.day - timedelta(days=1)
                self.statements.append(Statement(key, value, scope, day, "record", start, self.length))
        self.write(text[at:])


@dataclass(frozen=True)
class Plan:
    """What a document is made of."""

    number: int
    genre: str
    strands: tuple[Strand, ...]
    cluster: str
    adjacent: bool
    is_long: bool
    tokens: int


def generate(seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a seed. `params` override `DEFAULTS`."""
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"params: got {', '.join(unknown)}; want only {', '.join(DEFAULTS)}")
    settings = {**DEFAULTS, **params}
    plans = plan(seed)
    if not 0 < settings["items"] <= len(plans):
        raise ValueError(f"items: got {settings['items']}; want 1 to {len(plans)}")
    return [_build(seed, one, settings["facts"]) for one in plans[: settings["items"]]]


def plan(seed: int) -> list[Plan]:
    """All documents of a seed: groups of five strands of a genre, five documents each; genres take turns."""
    by_genre: list[list[tuple[str, tuple[Strand, ...], str]]] = []
    for genre in GENRES:
        pool = list(strands(genre))
        random.Random(f"{seed}:summarize:{genre}").shuffle(pool)
        firsts = range(0, len(pool) - GROUP_SIZE + 1, GROUP_SIZE)
        made = [
            (genre, tuple(pool[first + n] for n in turn), f"{genre}-{first // GROUP_SIZE + 1}")
            for turn in COMBINATIONS
            for first in firsts
        ]
        by_genre.append(made)
    drafts = [made[n] for n in range(min(map(len, by_genre))) for made in by_genre]
    shapes = [SHAPES[(n + n // len(GENRES)) % len(SHAPES)] for n in range(len(drafts))]
    lengths = [_quantile((n + 0.5) / len(drafts)) for n in range(len(drafts))]
    short = sum(not is_long for _, is_long in shapes)
    halves = (lengths[:short], lengths[short:])
    for half in halves:
        random.Random(f"{seed}:summarize:lengths").shuffle(half)
    return [
        Plan(n, genre, chosen, cluster, adjacent, is_long, halves[is_long].pop())
        for n, ((genre, chosen, cluster), (adjacent, is_long)) in enumerate(zip(drafts, shapes, strict=True))
    ]


def _quantile(share: float) -> int:
    for (low, below), (high, above) in itertools.pairwise(TOKENS):
        if share <= high:
            return int(below * math.exp(math.log(above / below) * (share - low) / (high - low)))
    return TOKENS[-1][1]


def _build(seed: int, plan: Plan, count: int) -> dict[str, Any]:
    rng = random.Random(f"{seed}:summarize:{plan.genre}:{plan.number}")
    words = load_yaml("bank/summarize.yaml")
    frame = words["genres"][plan.genre]
    staff = people(rng, 30)
    day = date(2026, 2, 23) + timedelta(days=rng.randrange(0, 12))
    day -= timedelta(days=max(0, day.weekday() - 4))
    site = rng.choice([site for site in SITES if site.code not in ELSEWHERE])
    title = frame["title"].format(series=rng.choice(frame["series"]), town=site.town) + f", {long_date(day)}"
    page = Page(day, Draw(rng, staff[5:]), plan.genre not in ("transcript", "handover"))
    order = list(plan.strands)
    rng.shuffle(order)
    later = order[:]
    if not plan.adjacent:
        rng.shuffle(later)
    page.write(f"# {title}\n\nCalderholt Group, site {site.town} ({site.code}), {site.country}\n\n")
    clock = Clock(plan.genre, datetime(day.year, day.month, day.day, 8, 5, tzinfo=UTC), rng, staff[:5])
    page.write(f"## {frame['first']}\n\n")
    for strand in order:
        _matter(page, strand, clock, 0)
        if plan.adjacent:
            page.write(clock.next_day())  # what a matter comes to is known a day later, at the earliest
            _matter(page, strand, clock, 1)
    sheets = _papers(seed, plan, rng, clock.now, "".join(page.parts))
    before = [] if plan.adjacent else sheets[: len(sheets) // 2]
    if before:
        page.write(f"## {frame['papers']}\n\n" + "".join(before))
    if not plan.adjacent:
        page.write(f"## {frame['second']}\n\n" + clock.next_day())
        for strand in later:
            _matter(page, strand, clock, 1)
    page.write(f"## {frame['papers']}{', continued' if before else ''}\n\n" + "".join(sheets[len(before) :]))
    text = "".join(page.parts).rstrip() + "\n"
    ledger = close_periods(page.statements, {})
    facts = _gold(plan, ledger, day, count, rng)
    audience = rng.choice(words["audiences"])
    item = {
        "id": f"summarize-{plan.number + 1:03d}",
        "title": title,
        "document": text,
        "audience": audience["who"],
        "max_words": audience["words"],
        "metadata": {
            "kind": plan.genre,
            "tier": ("easy", "medium", "hard")[(not plan.adjacent) + plan.is_long],
            "traps": sorted({"put-aside", *(() if plan.adjacent else ("settled-later",))}),
            "source_doc": plan.cluster,
            "cluster": plan.cluster,
            "strands": [strand.key for strand in plan.strands],
            "facts": [one["id"] for one in facts],
        },
        "expected": {
            "facts": facts,
            "decoys": _decoys(plan, ledger, page),
            "length": {"min": 60, "max": audience["words"]},
            "reference": digests.reference(order, page.values, title),
        },
    }
    item["answers"] = digests.answers(item, order, page.values, rng)
    return item


class Clock:
    """Who speaks when: the head of each line of a record."""

    def __init__(self, genre: str, start: datetime, rng: random.Random, staff: Sequence[str]) -> None:
        self._genre, self.now, self._rng, self._staff = genre, start, rng, staff

    def next_day(self) -> str:
        """Go to the morning of the next working day; the line by which a log says so."""
        days = 1 if self.now.weekday() < 4 else 7 - self.now.weekday()
        self.now = self.now.replace(hour=9, minute=2) + timedelta(days=days)
        return f"--- {long_date(self.now.date())} ---\n\n" if self._genre == "incident" else ""

    def head(self, speaker: str) -> str:
        name = self._staff[ord(speaker) - ord("A")]
        self.now += timedelta(minutes=self._rng.randrange(1, 9))
        if self._genre == "transcript":
            return f"{name}: "
        if self._genre == "thread":
            return f"From: {name}\nSent: {self.now:%Y-%m-%d %H:%M}\n\n"
        return f"{self.now:%H:%M}  {name}: " if self._genre == "incident" else ""


def _matter(page: Page, strand: Strand, clock: Clock, part: int) -> None:
    """A part of a matter, under its title where the genre has titles."""
    if clock._genre in ("report", "minutes", "handover"):
        page.write(f"### {strand.title}{'' if part == 0 else ', again'}\n\n")
    for speaker, text in strand.parts[part]:
        page.write(clock.head(speaker))
        page.line(strand, text)
        page.write("\n\n")


def _papers(seed: int, plan: Plan, rng: random.Random, now: datetime, used: str) -> list[str]:
    """Documents of the company, unchanged, and machine text, up to the length that the document is to have."""
    words = load_yaml("bank/summarize.yaml")
    later = sum(tokens(text) for strand in plan.strands for _, text in strand.parts[1]) if not plan.adjacent else 0.0
    room = plan.tokens - tokens(used) - later
    prose = [(title, text) for title, text, first, end in _references(seed) if first <= now.date() <= end]
    sheets: list[str] = []
    for n in range(min(6, max(1, int(room) // 1600))):
        title, text = prose[(plan.number * 6 + n) % len(prose)]
        sheet = f"### {title}\n\n{words['policy_lead']}\n\n{text.strip()}\n\n"
        if tokens(sheet) + 40 < room:
            sheets.append(sheet)
            room -= tokens(sheet)
    if room > 160:
        sheets += [f"### {title}\n\n{text}\n\n" for title, text in machine_text(rng, now, int(room))]
    rng.shuffle(sheets)
    return sheets


@cache
def _references(seed: int) -> list[tuple[str, str, date, date]]:
    """Title, text, first and last day of the company's rules, which hold unchanged and decide none of a record's matters.

    Their headings stand below the level of a paper's title, so that they are not taken for headings of the record.
    """
    documents = world(seed).documents
    kinds = ("policy", "annex", "runbook", "faq", "release")
    ends = {s.supersedes: s.effective_from - timedelta(days=1) for s in prose_sources() if s.supersedes}
    found = [
        (
            s.title,
            re.sub(r"(?m)^#+ ", "#### ", documents[s.doc_id].text),
            s.effective_from,
            ends.get(s.doc_id, date.max),
        )
        for s in prose_sources()
        if s.kind in kinds
    ]
    random.Random(f"{seed}:summarize:references").shuffle(found)
    return found


def _gold(plan: Plan, ledger: Ledger, day: date, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """The facts in force on the record's day, `count` of them: what the second parts settle goes first."""
    found: list[tuple[int, Any]] = []
    for strand in plan.strands:
        for name, slot in strand.slots.items():
            stated = ledger.in_force(strand.key, name, day)
            if stated is None:
                raise ValueError(f"{strand.key}: {name}: nothing stands")
            gold = {
                "id": stated.fact_id,
                "fact": fact(stated.value, stated.unit),
                "about": list(strand.about),
                "weight": MUST if slot.last else SHOULD,
            }
            found.append((0 if slot.last else 1, gold))
    if len(found) < count:
        raise ValueError(f"document {plan.number}: {len(found)} facts; want {count}")
    kept = sorted(range(len(found)), key=lambda n: (found[n][0], rng.random()))[:count]
    return [found[n][1] for n in sorted(kept)]


def _decoys(plan: Plan, ledger: Ledger, page: Page) -> list[dict[str, Any]]:
    """The values that the document names and that do not stand."""
    about = {strand.key: strand.about for strand in plan.strands}
    found = []
    for stated in ledger.facts:
        if stated.scope != GROUP:
            subject = split_key(stated.key)[0]
            unless = page.aside[f"{stated.key}#{stated.scope}"]
            value = fact(stated.value, stated.unit)
            found.append({"id": stated.fact_id, "fact": value, "about": list(about[subject]), "unless": list(unless)})
    return found


def describe(item: Mapping[str, Any]) -> str:
    """One item as plain text, for readers."""
    meta, expected = item["metadata"], item["expected"]
    lines = [f"== {item['id']}  {meta['kind']}  {meta['tier']}  {len(item['document'])} characters", item["document"]]
    lines += [f"For {item['audience']}, at most {item['max_words']} words"]
    lines += [f"+ {one['weight']} {one['id']} {one['fact']}" for one in expected["facts"]]
    lines += [f"- {one['id']} {one['fact']} unless {one['unless']}" for one in expected["decoys"]]
    lines += [f"--- {kind}: {text}" for kind, texts in item["answers"].items() for text in texts]
    return "\n".join(lines)
