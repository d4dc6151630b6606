"""The fact ledger: what every document states, with its span, its scope and the days on which it holds.

Every gold answer is a query over this table, so gold is exact and its source is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

GROUP = "group"


@dataclass(frozen=True, slots=True)
class Fact:
    """One value stated by one document.

    `unit` is a key of `values.UNITS`. `scope` is "group" or a site code. `valid_to` is the last day on which the fact
    holds, None while no end is known. `span_start` and `span_end` are character offsets of the value in the rendered
    document. `supersedes` is the fact of the preceding edition, None for a first edition.
    """

    fact_id: str
    subject: str
    predicate: str
    unit: str
    value: str
    scope: str
    valid_from: date
    valid_to: date | None
    doc_id: str
    span_start: int
    span_end: int
    supersedes: str | None

    @property
    def key(self) -> str:
        return f"{self.subject}.{self.predicate}.{self.unit}"

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Statement:
    """A slot as rendered: the fact before its last day and its predecessor are known."""

    key: str
    value: str
    scope: str
    valid_from: date
    doc_id: str
    span_start: int
    span_end: int


def fact_id(key: str, valid_from: date, scope: str) -> str:
    """`returns.window.days@2025-07-01`, with `#DTM` when only one site is meant."""
    return f"{key}@{valid_from.isoformat()}" + ("" if scope == GROUP else f"#{scope}")


def split_key(key: str) -> tuple[str, str, str]:
    """Subject, predicate and unit. The subject may hold dots; the other two may not."""
    subject, predicate, unit = key.rsplit(".", 2)
    return subject, predicate, unit


class Ledger:
    """All facts of a world, in the order of their ids."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = tuple(sorted(facts, key=lambda fact: fact.fact_id))
        self._by_id = {fact.fact_id: fact for fact in self.facts}
        if len(self._by_id) != len(self.facts):
            raise ValueError("two statements of one fact; a document that repeats a fact must quote it with {{q:...}}")
        self._by_topic: dict[tuple[str, str], list[Fact]] = {}
        for fact in self.facts:
            self._by_topic.setdefault((fact.subject, fact.predicate), []).append(fact)

    def get(self, fact_id: str) -> Fact:
        return self._by_id[fact_id]

    def editions(self, subject: str, predicate: str, scope: str | None = None) -> tuple[Fact, ...]:
        """Every fact of a topic, oldest first; of one scope when given."""
        found = self._by_topic.get((subject, predicate), [])
        kept = [fact for fact in found if scope is None or fact.scope == scope]
        return tuple(sorted(kept, key=lambda fact: (fact.valid_from, fact.scope)))

    def in_force(self, subject: str, predicate: str, on: date, site: str = GROUP) -> Fact | None:
        """The fact that binds `site` on a day: the site's own rule, else the group's, else None."""
        for scope in (site, GROUP):
            for fact in self.editions(subject, predicate, scope):
                if fact.holds_on(on):
                    return fact
        return None

    def rows(self) -> list[dict[str, str | int | None]]:
        """The table as JSON-ready rows."""
        return [
            {
                "fact_id": fact.fact_id,
                "subject": fact.subject,
                "predicate": fact.predicate,
                "value": fact.value,
                "unit": fact.unit,
                "scope": fact.scope,
                "valid_from": fact.valid_from.isoformat(),
                "valid_to": fact.valid_to.isoformat() if fact.valid_to else None,
                "doc_id": fact.doc_id,
                "span_start": fact.span_start,
                "span_end": fact.span_end,
                "supersedes": fact.supersedes,
            }
            for fact in self.facts
        ]


def close_periods(statements: Sequence[Statement], document_ends: dict[str, date]) -> Ledger:
    """The ledger of statements: a fact ends the day before its successor of the same scope, or with its document.

    `document_ends` gives the last day of documents that a later edition replaced.
    """
    facts = []
    for statement in statements:
        siblings = [s for s in statements if s.key == statement.key and s.scope == statement.scope]
        later = [s.valid_from for s in siblings if s.valid_from > statement.valid_from]
        earlier = [s.valid_from for s in siblings if s.valid_from < statement.valid_from]
        ends = [min(later) - timedelta(days=1)] if later else []
        if statement.doc_id in document_ends:
            ends.append(document_ends[statement.doc_id])
        subject, predicate, unit = split_key(statement.key)
        facts.append(
            Fact(
                fact_id=fact_id(statement.key, statement.valid_from, statement.scope),
                subject=subject,
                predicate=predicate,
                unit=unit,
                value=statement.value,
                scope=statement.scope,
                valid_from=statement.valid_from,
                valid_to=min(ends) if ends else None,
                doc_id=statement.doc_id,
                span_start=statement.span_start,
                span_end=statement.span_end,
                supersedes=fact_id(statement.key, max(earlier), statement.scope) if earlier else None,
            )
        )
    return Ledger(facts)
