"""The whole world of one seed: documents, ledger, passages, records and the index over them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from bench.world import entities
from bench.world.ledger import Fact, Ledger, split_key
from bench.world.records import Records
from bench.world.render import Document, Passage, cut, prose_sources, render_all, stated_ids
from bench.world.retrieve import Retriever
from bench.world.values import draw


@dataclass(frozen=True)
class World:
    seed: int
    documents: dict[str, Document]
    ledger: Ledger
    passages: tuple[Passage, ...]
    records: Records
    retriever: Retriever

    def home(self, fact: Fact) -> Passage:
        """The passage of the document that states a fact."""
        for passage in self.passages:
            if passage.doc_id == fact.doc_id and fact.fact_id in passage.facts:
                return passage
        raise ValueError(f"{fact.fact_id}: no passage of {fact.doc_id} holds it whole")

    def is_other_edition(self, passage: Passage, golds: Iterable[Passage]) -> bool:
        """Whether a passage belongs to an earlier or later edition of a document that a gold passage is from."""
        first = self._first(passage.doc_id)
        return any(gold.doc_id != passage.doc_id and self._first(gold.doc_id) == first for gold in golds)

    def _first(self, doc_id: str) -> str:
        """The first edition of a document."""
        earlier = self.documents[doc_id].source.supersedes
        return self._first(earlier) if earlier else doc_id

    def homes(self, facts: Iterable[Fact]) -> list[Passage]:
        """The passages that state some facts, each once, in the order of the facts."""
        found: dict[str, Passage] = {}
        for fact in facts:
            passage = self.home(fact)
            found[passage.passage_id] = passage
        return list(found.values())


@lru_cache(maxsize=4)
def world(seed: int) -> World:
    """Build a world. Pure function of the seed and this package's files."""
    prose = prose_sources()
    ids = stated_ids(prose)
    named = sorted(fid for fid in ids if split_key(fid.split("@")[0])[2] == "name")
    roles = sorted({match for source in prose for match in re.findall(r"\{\{p:(\w+)\}\}", source.body)})
    records = entities.build(seed, roles + named)
    values = draw((fid for fid in ids if fid not in set(named)), seed)
    values |= {fid: records.people[fid] for fid in named}
    values |= records.values
    documents, ledger = render_all([*prose, *records.sources], values, records.people)
    passages = tuple(passage for document in documents for passage in cut(document))
    by_id = {document.source.doc_id: document for document in documents}
    return World(seed, by_id, ledger, passages, records, Retriever(passages))
