"""The hand-written documents: enough of them, written once, like people write, and nobody else's words."""

import re
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bench.world.corpus import world
from bench.world.render import prose_sources
from bench.world.values import load_yaml, typed

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT.parent / "shared" / "data"
PROMPT = (ROOT / "workloads/prompts/rag_system.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def here():
    return world(20260101)


@pytest.fixture(scope="module")
def prose(here) -> dict[str, str]:
    return {source.doc_id: here.documents[source.doc_id].text for source in prose_sources()}


def shingles(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[n : n + length]) for n in range(len(words) - length + 1)}


def test_the_corpus_is_as_large_and_mixed_as_promised(prose):
    kinds = Counter(source.kind for source in prose_sources())
    assert kinds["policy"] >= 60
    assert kinds["annex"] >= 9
    assert kinds["runbook"] >= 10
    assert kinds["contract"] >= 6
    assert kinds["amendment"] >= 6
    assert kinds["release"] >= 8
    assert kinds["transcript"] >= 7
    assert kinds["faq"] >= 4
    assert kinds["thread"] + kinds["memo"] >= 12
    assert sum(source.supersedes is not None for source in prose_sources()) >= 30
    assert sum(map(len, prose.values())) / 4.5 >= 60_000  # tokens


def test_prose_is_as_varied_as_real_prose(prose):
    """Real prose has a zlib ratio of 3.2 to 4.0 and distinct-4 of 0.75 to 0.96; a large grammar has 8.5 and 0.37."""
    whole = "\n".join(text for _, text in sorted(prose.items()))
    for start in range(0, len(whole), 200_000):
        text = whole[start : start + 200_000]
        data = text.encode("utf-8")
        assert len(data) / len(zlib.compress(data, 9)) <= 4.5
        words = text.lower().split()[:20_000]
        for length, least in ((4, 0.70), (8, 0.80)):
            assert len(shingles(words, length)) / (len(words) - length + 1) >= least


def test_every_paragraph_is_used_once(prose):
    paragraphs = Counter(
        paragraph for text in prose.values() for paragraph in text.split("\n\n") if len(paragraph.split()) > 6
    )
    assert [paragraph for paragraph, count in paragraphs.items() if count > 1] == []


def test_an_older_edition_is_a_text_of_its_own(prose):
    """Words of five in a row that two editions share: a find-and-replace would share nearly all of them."""
    for source in prose_sources():
        if source.supersedes:
            new, old = (
                shingles(re.findall(r"[a-z]+", prose[doc_id].lower()), 5)
                for doc_id in (source.doc_id, source.supersedes)
            )
            assert len(new & old) / min(len(new), len(old)) <= 0.05, source.doc_id


def test_values_of_slots_are_what_the_ledger_says(here):
    for fact in here.ledger.facts:
        shown = here.documents[fact.doc_id].text[fact.span_start : fact.span_end]
        assert shown, fact.fact_id
        if fact.unit in ("cdays", "wdays", "weeks", "months"):
            assert shown == fact.value
        assert here.home(fact).doc_id == fact.doc_id
        typed(fact.value, fact.unit)


def test_editions_and_sites_differ_in_every_fact(here):
    for fact in here.ledger.facts:
        same = [other for other in here.ledger.editions(fact.subject, fact.predicate) if other.key == fact.key]
        assert len({other.value for other in same}) == len(same) or ":" in fact.subject, fact.key


def test_no_value_waits_for_a_slot_that_is_gone(here):
    used = {fact.key for fact in here.ledger.facts}
    assert {re.split("[@#]", key)[0] for key in load_yaml("values.yaml")} <= used


def test_a_topic_has_one_unit_so_that_a_query_has_one_answer(here):
    units: dict[tuple[str, str], set[str]] = {}
    for fact in here.ledger.facts:
        units.setdefault((fact.subject, fact.predicate), set()).add(fact.unit)
    assert [topic for topic, found in units.items() if len(found) > 1] == [("expenses", "dinner")]  # kroner and euro


def test_passages_are_of_about_250_tokens(here, prose):
    sizes = [len(p.text) / 4.5 for p in here.passages if p.doc_id in prose]
    assert 210 <= sum(sizes) / len(sizes) <= 280
    assert max(sizes) <= 360
    assert min(sizes) >= 135
    assert sum(150 <= size <= 320 for size in sizes) / len(sizes) >= 0.88


def test_the_prompt_varies_only_near_its_end():
    slots = [match.start() for match in re.finditer(r"\{\{", PROMPT)]
    assert [PROMPT[at:].split("}}")[0].strip("{ ") for at in slots] == ["asked_on", "user_role", "site"]
    assert slots[0] / len(PROMPT) >= 0.95
    assert 1300 <= slots[0] / 4.5 <= 1460  # fixed tokens that a cache can reuse


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="the third-party files are not here")
def test_no_run_of_thirteen_words_is_shared_with_third_party_text(prose):
    def words(text: str) -> list[str]:
        return re.findall(r"[a-z0-9']+", text.lower())

    bank = " ".join(
        str(load_yaml(f"bank/{name}.yaml")) for name in ("single", "conflicting", "unanswerable", "replies")
    )
    ours = set().union(*(shingles(words(text), 13) for text in [*prose.values(), PROMPT, bank]))
    starts = {run[:2] for run in ours}
    shared = []
    for path in sorted(FOREIGN.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".md", ".csv") and "traces" not in path.parts:
            theirs = words(path.read_text(encoding="utf-8", errors="replace"))
            for n, pair in enumerate(pairwise(theirs)):
                if pair in starts and tuple(theirs[n : n + 13]) in ours:
                    shared.append((path.name, " ".join(theirs[n : n + 13])))
    assert shared == []
