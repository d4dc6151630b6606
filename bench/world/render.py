"""Documents with slots become text and ledger rows; texts are cut into passages.

Slots: `{{f:key@date}}` states a fact, `{{q:key@date#SITE}}` quotes one that another document states, `{{p:role}}` is
a person's name that is no fact. `|form` after any of them picks a written form (`values.written`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

from bench.world.ledger import GROUP, Ledger, Statement, close_periods, fact_id, split_key
from bench.world.values import written

SLOT = re.compile(r"\{\{([fqp]):([^@#|}]+)(?:@(\d{4}-\d{2}-\d{2}))?(?:#(\w+))?(?:\|(\w+))?\}\}")

TARGET_CHARS, LONGEST_CHARS = 1150, 1500


@dataclass(frozen=True, slots=True)
class Source:
    """A document before rendering. `scope` is "group" or a site code; registers have an empty `edition`."""

    doc_id: str
    title: str
    kind: str
    edition: str
    effective_from: date
    supersedes: str | None
    scope: str
    author: str
    body: str


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered document. `mentions` are (fact id, start, end) of every place that gives a fact's value."""

    source: Source
    text: str
    mentions: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `facts` are the ids of facts whose value stands in it, stated or quoted."""

    passage_id: str
    doc_id: str
    title: str
    effective: date
    start: int
    text: str
    facts: frozenset[str]
    keys: frozenset[str] = field(default=frozenset())


def read_source(name: str, text: str) -> Source:
    """A Markdown file with YAML front matter."""
    from ruamel.yaml import YAML

    _, front, body = text.split("---\n", 2)
    meta: dict[str, Any] = YAML(typ="safe", pure=True).load(front)
    if meta["id"] != name:
        raise ValueError(f"{name}: id: got {meta['id']}; want the file's name")
    return Source(
        doc_id=name,
        title=meta["title"],
        kind=meta["kind"],
        edition=str(meta["edition"]),
        effective_from=meta["effective_from"],
        supersedes=meta.get("supersedes"),
        scope=meta["scope"],
        author=meta["author"],
        body=body.strip() + "\n",
    )


def prose_sources() -> list[Source]:
    """Every hand-written document, sorted by id."""
    folder = files("bench.world") / "text"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    return [read_source(name[:-3], (folder / name).read_text(encoding="utf-8")) for name in names]


def stated_ids(sources: Iterable[Source]) -> list[str]:
    """Ids of the facts that sources state, in order of appearance."""
    return [
        fact_id(match[2], date.fromisoformat(match[3]), source.scope)
        for source in sources
        for match in SLOT.finditer(source.body)
        if match[1] == "f"
    ]


def render(source: Source, values: Mapping[str, str], people: Mapping[str, str]) -> tuple[Document, list[Statement]]:
    """The text of a document, and what it states."""
    parts: list[str] = []
    mentions: list[tuple[str, int, int]] = []
    statements: list[Statement] = []
    length = at = 0
    for match in SLOT.finditer(source.body):
        kind, key, day, site, form = match.groups()
        before = source.body[at : match.start()]
        at = match.end()
        length += len(before)
        if kind == "p":
            shown = people[key]
        else:
            valid_from = date.fromisoformat(day)
            fid = fact_id(key, valid_from, source.scope if kind == "f" else site or GROUP)
            shown = written(values[fid], split_key(key)[2], form or "")
            mentions.append((fid, length, length + len(shown)))
            if kind == "f":
                span = (length, length + len(shown))
                statements.append(Statement(key, values[fid], source.scope, valid_from, source.doc_id, *span))
        parts += [before, shown]
        length += len(shown)
    parts.append(source.body[at:])
    text = "".join(parts)
    if "{{" in text:
        raise ValueError(f"{source.doc_id}: a slot that is not understood: {text[text.index('{{') :][:60]}")
    return Document(source, text, tuple(mentions)), statements


def render_all(
    sources: Sequence[Source], values: Mapping[str, str], people: Mapping[str, str]
) -> tuple[list[Document], Ledger]:
    """All documents and their ledger. An edition ends on the day before its successor takes effect."""
    documents: list[Document] = []
    statements: list[Statement] = []
    for source in sources:
        document, stated = render(source, values, people)
        documents.append(document)
        statements += stated
    ends = {s.supersedes: s.effective_from - timedelta(days=1) for s in sources if s.supersedes}
    return documents, close_periods(statements, ends)


def cut(document: Document) -> list[Passage]:
    """Passages of about 250 tokens, cut between paragraphs, a heading staying with what follows it.

    The cuts minimise the squared distance of lengths to the target; a cut before a heading is cheaper than one inside
    a section.
    """
    blocks = _blocks(document.text)
    edges = [start for start, _ in blocks] + [blocks[-1][1]]
    cost: list[float] = [0.0] + [float("inf")] * len(blocks)
    came_from = [0] * (len(blocks) + 1)
    for end in range(1, len(blocks) + 1):
        for start in range(end):
            size = edges[end] - edges[start]
            piece = ((size - TARGET_CHARS) / 100) ** 2 + (400.0 if size > LONGEST_CHARS else 0.0)
            inside = 6.0 if start and not document.text.startswith("#", edges[start]) else 0.0
            if cost[start] + piece + inside < cost[end]:
                cost[end], came_from[end] = cost[start] + piece + inside, start
    bounds: list[tuple[int, int]] = []
    end = len(blocks)
    while end:
        bounds.append((edges[came_from[end]], edges[end]))
        end = came_from[end]
    return [_passage(document, number, *span) for number, span in enumerate(reversed(bounds), start=1)]


def _blocks(text: str) -> list[tuple[int, int]]:
    """Spans of paragraphs; a heading forms one block with its first paragraph, a list lead with its list."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in re.finditer(r"\n\n+|\Z", text):
        paragraph = text[start : match.start()]
        heading = paragraph.startswith("#") and "\n" not in paragraph.strip()
        if heading or paragraph.rstrip().endswith(":"):
            continue
        if paragraph.strip():
            spans.append((start, match.end()))
        start = match.end()
    return spans


def _passage(document: Document, number: int, start: int, end: int) -> Passage:
    source = document.source
    inside = frozenset(fid for fid, at, to in document.mentions if start <= at and to <= end)
    return Passage(
        passage_id=f"{source.doc_id}:{number:02d}",
        doc_id=source.doc_id,
        title=source.title,
        effective=source.effective_from,
        start=start,
        text=document.text[start:end].rstrip(),
        facts=inside,
        keys=frozenset(fid.split("@")[0] for fid in inside),
    )
