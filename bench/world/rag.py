"""Workload `rag`: questions over six passages of the Calderholt corpus, with exact gold from the ledger."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from bench.world import names, replies
from bench.world.chains import chains
from bench.world.corpus import World, world
from bench.world.draft import Draft, Value, conflicts, singles, unanswerables, value_of
from bench.world.records import TODAY
from bench.world.render import Passage
from bench.world.values import load_yaml, long_date, typed

DEFAULTS: dict[str, Any] = {
    "items": 360,
    "top_k": 6,
    "multi_hop": 0.25,
    "conflicting": 0.15,
    "unanswerable": 0.15,
    "history": 0.40,
    "search_box": 0.25,
}
TURNS = (1, 1, 1, 2, 2, 2, 3, 3, 4, 7)
"""Earlier turns of an item that has any: about a question and its reply for each 200 tokens."""
KINDS = ("single", "multi", "conflicting", "unanswerable")


def generate(seed: int, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a seed. `params` override `DEFAULTS`; shares are of all items, what is left is single-hop."""
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"params: got {', '.join(unknown)}; want only {', '.join(DEFAULTS)}")
    settings = {**DEFAULTS, **params}
    here = world(seed)
    drafts = _select(here, settings)
    built = [_build(here, draft, random.Random(f"{seed}:rag:{draft.id}"), settings) for draft in drafts]
    for draft, item in zip(drafts, built, strict=True):
        rng = random.Random(f"{seed}:rag:{draft.id}:history")
        if rng.random() < settings["history"]:
            item["history"] = _history(draft, item, drafts, built, rng)
    return built


def _select(here: World, settings: Mapping[str, Any]) -> list[Draft]:
    """The drafts of a set: each kind in an order of its own, so a larger set holds the smaller one's items."""
    total = settings["items"]
    quota = {
        "multi": round(total * settings["multi_hop"]),
        "conflicting": round(total * settings["conflicting"]),
        "unanswerable": round(total * settings["unanswerable"]),
    }
    quota["single"] = total - sum(quota.values())
    pools = {"single": singles, "multi": chains, "conflicting": conflicts, "unanswerable": unanswerables}
    chosen: list[Draft] = []
    for kind in KINDS:
        pool = pools[kind](here)
        if not 0 <= quota[kind] <= len(pool):
            raise ValueError(
                f"items: got {total}, which asks for {quota[kind]} of kind {kind}; want at most {len(pool)}"
            )
        random.Random(f"{here.seed}:rag:order:{kind}").shuffle(pool)
        chosen += pool[: quota[kind]]
    return sorted(chosen, key=lambda draft: random.Random(f"{here.seed}:rag:place:{draft.id}").random())


def _build(here: World, draft: Draft, rng: random.Random, settings: Mapping[str, Any]) -> dict[str, Any]:
    question = draft.box if rng.random() < settings["search_box"] else draft.ask
    golds = here.homes(draft.needs)
    passages = _passages(here, draft, golds, question, settings["top_k"])
    rng.shuffle(passages)
    shown = replies.Shown(tuple(passages))
    right = replies.right(here, draft, shown, rng)
    rejects = _rejects(here, draft, passages, right)
    ranked = here.retriever.rank(question)
    traps = list(draft.traps)
    if "superseded" not in traps and any(here.is_other_edition(passage, golds) for passage in passages):
        traps.append("other-edition")
    return {
        "id": f"rag-{draft.id}",
        "question": question,
        "history": [],
        "passages": [
            {"title": p.title, "effective": p.effective.isoformat(), "doc": p.doc_id, "text": p.text} for p in passages
        ],
        "asked_on": f"Monday {long_date(TODAY)}",
        "user_role": rng.choice(_roles(draft.cluster)),
        "site": _site(draft, rng),
        "metadata": {
            "kind": draft.kind,
            "hops": len(golds),
            "traps": traps,
            "tier": _tier(golds, traps, ranked[0]),
            "source_doc": draft.source_doc,
            "cluster": draft.cluster,
            "asks": draft.asks,
            "facts": [fact.fact_id for fact in draft.needs],
            "about_day": draft.on.isoformat(),
        },
        "expected": {
            "gold": [typed(*value) for value in draft.gold],
            "rejects": [typed(*value) for value in rejects],
            "gold_passages": sorted(shown.number(p.passage_id) for p in golds),
            "answerable": draft.kind != "unanswerable",
        },
        "answers": {
            "right": right,
            "wrong": replies.wrong(here, draft, shown, rng),
            "abstain": replies.abstain(draft, shown, rng),
        },
    }


def _passages(here: World, draft: Draft, golds: Sequence[Passage], question: str, top_k: int) -> list[Passage]:
    """Gold passages, those the draft insists on, then the best by BM25 that say nothing about the facts asked for."""
    chosen = list(golds)
    chosen += [p for p in draft.shown if p not in chosen]
    if len(chosen) > top_k:
        raise ValueError(f"{draft.id}: {len(chosen)} passages are needed and top_k is {top_k}")
    for passage in here.retriever.rank(question):
        if len(chosen) == top_k:
            break
        if passage not in chosen and not passage.keys & draft.keys:
            chosen.append(passage)
    return chosen


def _rejects(here: World, draft: Draft, passages: Sequence[Passage], right: Sequence[str]) -> list[Value]:
    """Values that make an answer wrong: those of the draft, else two of the same unit from the passages shown.

    A value that a right reply quotes beside the gold is not among them, so mentioning it is no fault.
    """
    neighbours = [here.ledger.get(fid) for passage in passages for fid in sorted(passage.facts)]
    units = {unit for _, unit in draft.gold}
    nearby = dict.fromkeys(value_of(fact) for fact in neighbours if fact.unit in units)
    for pool, most in ((draft.rejects, len(draft.rejects)), (nearby, 2)):
        kept = [v for v in pool if v not in draft.gold and not any(replies.states(text, v) for text in right)]
        if kept:
            return kept[:most]
    return []


def _tier(golds: Sequence[Passage], traps: Sequence[str], best: Passage) -> str:
    """Difficulty by structure, before any model has run: further hops, traps, a wrong passage ranked first."""
    points = max(0, len(golds) - 1) + len(traps)
    if golds and best not in golds:
        points += 1
    return ("easy", "medium", "hard")[min(points, 2)]


def _roles(cluster: str) -> list[str]:
    """Who asks about a subject."""
    asking: dict[str, list[str]] = load_yaml("names.yaml")["asking"]
    return asking.get(cluster.partition(":")[0], asking["default"])


def _site(draft: Draft, rng: random.Random) -> str:
    """The user's site: the one the draft is about, else one without an annex that could change the answer."""
    codes = load_yaml("names.yaml")["at"].get(draft.cluster, [site.code for site in names.PLAIN_SITES])
    site = names.BY_CODE[draft.site or rng.choice(codes)]
    return f"{site.town} ({site.code}), {site.country}"


def _history(
    draft: Draft,
    item: Mapping[str, Any],
    drafts: Sequence[Draft],
    built: Sequence[Mapping[str, Any]],
    rng: random.Random,
) -> list[dict[str, str]]:
    """One to seven earlier questions with their replies, near in subject first, that give none of the facts away."""
    avoid = [*draft.gold, *draft.rejects]
    wanted = rng.choice(TURNS)
    places = [(other.cluster != draft.cluster, rng.random(), number) for number, other in enumerate(drafts)]
    donors: list[Mapping[str, Any]] = []
    for _, _, number in sorted(places):
        other, other_item = drafts[number], built[number]
        if len(donors) == wanted:
            break
        if other is draft or other.kind not in ("single", "multi") or other.traps or other.keys & draft.keys:
            continue
        turn = other_item["question"] + "\n" + other_item["answers"]["right"][0]
        if not any(replies.states(turn, value) for value in avoid):
            donors.append(other_item)
    turns: list[dict[str, str]] = []
    for donor in donors:
        turns.append({"role": "user", "content": donor["question"]})
        turns.append({"role": "assistant", "content": donor["answers"]["right"][0]})
    return turns


def describe(item: Mapping[str, Any]) -> str:
    """One item as plain text, for readers."""
    lines = [f"== {item['id']}  {item['metadata']['kind']}  {item['metadata']['tier']}  {item['metadata']['traps']}"]
    lines += [f"   {turn['role']}: {turn['content']}" for turn in item["history"]]
    for number, passage in enumerate(item["passages"], start=1):
        lines += [f"[{number}] {passage['title']}, edition of {passage['effective']}", passage["text"], ""]
    lines += [f"Question ({item['user_role']}, {item['site']}): {item['question']}", f"Gold: {item['expected']}"]
    for kind, texts in item["answers"].items():
        lines += [f"--- {kind}: {text}" for text in texts]
    return "\n".join(lines)
