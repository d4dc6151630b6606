"""Gates of the workload summarize through the product's own scorers: gold is accepted, mutants are not, shortcuts do not pay."""

import calendar
import json
import math
import random
import re
import zlib
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from jinja2 import Template
from ruamel.yaml import YAML

from bench.record import Case, Reply
from bench.score import correct, get
from bench.tokens import tokens
from bench.world import digest, generate
from bench.world.strands import GENRES, SLOT, decoys, strands
from bench.world.summarize import MUST, plan
from tests.unit import shapes
from tests.unit.shapes import FOREIGN

ROOT = Path(__file__).parents[2]
SPEC = YAML(typ="safe", pure=True).load((ROOT / "workloads/summarize.yaml").read_text(encoding="utf-8"))
PROMPT = (ROOT / "workloads/prompts/summarize_system.md").read_text(encoding="utf-8")
ITEMS = [
    json.loads(line) for line in (ROOT / "workloads/data/summarize.jsonl").read_text(encoding="utf-8").splitlines()
]
REQUIRED = {scorer["name"] for scorer in SPEC["scoring"]["scorers"] if scorer.get("required")}
SCORERS = {
    scorer["name"]: get(scorer["type"], scorer["name"], {k: v for k, v in scorer.items() if k not in ("type", "name", "required", "weight")})
    for scorer in SPEC["scoring"]["scorers"]
}  # fmt: skip
FEW = ITEMS[::5]
"""Every genre and tier, a fifth of the items: for gates that write many replies of their own."""


def score(item: dict, reply: str, *names: str) -> dict:
    """Scores of a reply by the named scorers, or by those that the workload requires."""
    case = Case(item["id"], ({"role": "user", "content": item["document"]},), item["expected"])
    return {name: SCORERS[name].score(case, Reply(text=reply)) for name in names or sorted(REQUIRED)}


def is_right(item: dict, reply: str) -> bool | None:
    return correct(list(score(item, reply).values()), REQUIRED)


def strand_text() -> str:
    """The written text, its slots as one word each, so that drawn values do not count as variety."""
    pieces = []
    for genre in GENRES:
        for strand in strands(genre):
            pieces += [text for part in strand.parts for _, text in part] + [strand.summary]
    return "\n".join(SLOT.sub("so much", piece) for piece in pieces)


# What an item is


def test_the_committed_items_are_what_the_generator_makes():
    items = generate("calderholt.summarize", SPEC["dataset"]["seed"], SPEC["dataset"]["params"])
    assert digest(items) == SPEC["dataset"]["sha256"]
    assert items == ITEMS


def test_another_seed_gives_another_copy_and_a_smaller_set_the_same_items():
    few = generate("calderholt.summarize", SPEC["dataset"]["seed"], {"items": 6})
    assert few == ITEMS[:6]
    others = generate("calderholt.summarize", 7, {"items": 6})
    assert not {item["document"] for item in others} & {item["document"] for item in ITEMS}
    with pytest.raises(ValueError, match="params: got itms"):
        generate("calderholt.summarize", 7, {"itms": 6})
    with pytest.raises(ValueError, match="items: got 0"):
        generate("calderholt.summarize", 7, {"items": 0})


def test_every_document_has_twelve_facts_and_its_decoys_and_tiers_are_as_promised():
    tiers = Counter(item["metadata"]["tier"] for item in ITEMS)
    assert tiers == {"easy": 30, "medium": 60, "hard": 30}
    assert Counter(item["metadata"]["kind"] for item in ITEMS) == dict.fromkeys(GENRES, 20)
    for item in ITEMS:
        assert len(item["expected"]["facts"]) == 12
        assert len(item["expected"]["decoys"]) >= 4, item["id"]
        assert len({fact["id"] for fact in item["expected"]["facts"]}) == 12
        assert sum(fact["weight"] == MUST for fact in item["expected"]["facts"]) >= 6


def shown(fact: dict) -> str:
    """What the document must have where it states a typed fact."""
    if fact["type"] == "date":
        return str(int(fact["value"][-2:]))
    if fact["type"] == "phrase":
        return fact["any_of"][0]
    value = fact["value"]
    if fact["type"] in ("name",):
        return value
    number = Decimal(value)
    return f"{number:,.0f}" if number == int(number) else f"{number.normalize():,f}"


def test_every_fact_and_every_decoy_stands_in_the_document_and_none_in_the_prompt():
    for item in ITEMS:
        prompt = Template(PROMPT).render(**item)
        for one in [*item["expected"]["facts"], *item["expected"]["decoys"]]:
            assert shown(one["fact"]) in item["document"], (item["id"], one["id"])
        for name in ("carries", "recall"):
            assert score(item, prompt + " " + item["title"], name)[name].value == 0, item["id"]


def test_a_decoy_never_has_the_value_of_a_fact_and_no_two_facts_of_a_kind_are_alike():
    for item in ITEMS:
        facts = [json.dumps(one["fact"], sort_keys=True) for one in item["expected"]["facts"]]
        put_aside = [json.dumps(one["fact"], sort_keys=True) for one in item["expected"]["decoys"]]
        assert len(set(facts)) == 12, item["id"]
        assert not set(facts) & set(put_aside), item["id"]


def test_a_matter_is_in_at_most_three_documents_and_never_in_the_company_of_the_same_two():
    uses = Counter(strand for item in ITEMS for strand in item["metadata"]["strands"])
    assert max(uses.values()) <= 3
    assert len({frozenset(item["metadata"]["strands"]) for item in ITEMS}) == len(ITEMS)
    clusters: dict[str, set[str]] = {}
    for item in ITEMS:
        for strand in item["metadata"]["strands"]:
            clusters.setdefault(strand, set()).add(item["metadata"]["cluster"])
    assert all(len(found) == 1 for found in clusters.values())  # a cluster holds all that share a matter


def test_documents_are_no_near_duplicates():
    """Runs of five words that two documents of a cluster share, of all in the shorter one."""
    runs = {}
    for item in ITEMS:
        words = item["document"].split()
        runs[item["id"]] = {hash(tuple(words[n : n + 5])) for n in range(len(words) - 4)}
    for a in ITEMS:
        for b in ITEMS:
            if a["id"] < b["id"] and a["metadata"]["cluster"] == b["metadata"]["cluster"]:
                one, other = runs[a["id"]], runs[b["id"]]
                assert len(one & other) / len(one | other) < 0.5, (a["id"], b["id"])


# Gold


def test_the_oracle_scores_one_on_every_item():
    for item in ITEMS:
        for reply in item["answers"]["right"]:
            scores = score(item, reply, "recall", "clean", "fidelity", "length")
            assert {name: one.value for name, one in scores.items()} == dict.fromkeys(scores, 1.0), (item["id"], [s.reason for s in scores.values()])  # fmt: skip


def test_each_wrong_reply_fails_at_the_gate_that_is_meant_for_it():
    """In order: values put aside, made-up numbers, cut off, far too long; and a refusal carries nothing."""
    failing = ("no_decoy", "fidelity", "carries", "length")
    for item in FEW:
        for gate, reply in zip(failing, item["answers"]["wrong"], strict=True):
            assert score(item, reply, gate)[gate].value == 0, (item["id"], gate)
        assert score(item, item["answers"]["abstain"][0], "recall")["recall"].value == 0
        assert not is_right(item, "")


def test_values_put_aside_are_found_nearly_always_when_they_are_told_as_facts():
    found = [score(item, item["answers"]["wrong"][0], "clean")["clean"].value for item in ITEMS]
    assert sum(found) / len(found) <= 0.06


def test_naming_a_decoy_as_put_aside_is_no_error():
    tails = (
        "; {} was proposed first and rejected.",
        " instead of {}.",
        ", not {}.",
        " ({} was a rumour).",
        ", down from {}.",
    )
    for item in FEW:
        told = item["answers"]["right"][0].rstrip(".")
        for decoy, tail in zip(item["expected"]["decoys"], tails * 2, strict=False):
            reply = told + " As to the " + decoy["about"][0] + tail.format(spoken(decoy["fact"]))
            assert score(item, reply, "no_decoy")["no_decoy"].value == 1, (item["id"], reply[-120:])


def spoken(fact: dict) -> str:
    value = fact.get("value", "")
    return {
        "money": f"{fact.get('currency')} {value}",
        "percent": f"{value} %",
        "phrase": (fact.get("any_of") or [""])[0],
        "number": f"{value} {fact.get('unit', '')}".strip(),
    }.get(fact["type"], value)


# Mutations


def paraphrases(fact: dict) -> list[str]:
    """Five ways to state a fact that mean the same."""
    kind, value = fact["type"], fact.get("value", "")
    if kind == "date":
        year, month, day = value.split("-")
        name = MONTHS[int(month) - 1]
        return [value, f"{int(day)} {name} {year}", f"{name} {int(day)}", f"{int(day)} {name[:3]}", f"{name[:3]} {int(day)}, {year}"]  # fmt: skip
    if kind == "money":
        plain, code = Decimal(value), fact["currency"]
        word, sign = {"EUR": ("euros", "€"), "GBP": ("pounds", "£")}[code]
        short = f"{plain:,.0f}" if plain == int(plain) else f"{plain:,.2f}"
        return [f"{code} {short}", f"{short} {word}", f"{sign}{short}", f"{plain:.2f} {code}", f"**{code} {plain}**"]
    if kind == "percent":
        return [f"{value} %", f"{value}%", f"{value} per cent", f"{value} percent", f"**{value} %**"]
    if kind == "name":
        first, last = value.split(" ", 1)
        return (
            [value, f"{first[0]}. {last}", last, f"**{value}**", f"{last}, {first}"]
            if last.isalpha()
            else [value, last]
        )
    if kind == "phrase":
        word = fact["any_of"][0]
        return [word, f"**{word}**", f"“{word}”", f"at {word}", *fact["any_of"][1:3]]
    unit = fact.get("unit", "things")
    return [f"{value} {unit}", f"**{value} {unit}**", f"about {value} {unit}", f"({value} {unit})", f"{value}  {unit}"]


def mutants(fact: dict) -> list[str]:
    """Five statements near a fact that are wrong: other digits, unit, sign, year, person; or the right one denied."""
    kind, value = fact["type"], fact.get("value", "")
    if kind == "date":
        year, month, day = value.split("-")
        later = f"{int(month) % 12 + 1:02d}"
        return [f"{int(year) + 1}-{month}-{day}", f"{year}-{later}-{day}", f"{int(day) % 28 + 1} {MONTHS[int(month) - 1]} {year}", f"{MONTHS[int(month) - 1]} {year}", f"not {value}"]  # fmt: skip
    if kind == "name":
        first, last = value.split(" ", 1)
        return ["Marianne Thiessen", f"{first} Blaylock", f"Gordon {last[:-1]}", "the site lead", "nobody"]
    if kind == "phrase":
        return ["07:07", "Nobody & Sons", "the other firm", "tomorrow", f"not {fact['any_of'][0]}"]
    number = Decimal(value)
    if kind == "money":
        other = "GBP" if fact["currency"] == "EUR" else "EUR"
        return [f"{fact['currency']} {number + 1}", f"{fact['currency']} {number * 10}", f"{other} {number}", f"{number} %", f"instead of {fact['currency']} {number}"]  # fmt: skip
    if kind == "percent":
        return [f"{number + 1} %", f"{number * 10} %", f"{number} days", f"EUR {number}", f"rather than {number} %"]
    unit = fact.get("unit", "things")
    other = "volts" if unit not in ("volts",) else "metres"
    return [
        f"{number + 1} {unit}",
        f"{number * 10} {unit}",
        f"{number} {other}",
        f"EUR {number}",
        f"not {number} {unit}",
    ]


MONTHS = list(calendar.month_name)[1:]


def test_five_paraphrases_of_every_fact_are_accepted_and_five_mutants_are_rejected():
    scorer = SCORERS["recall"]
    for item in FEW:
        for one in item["expected"]["facts"]:
            case = Case(item["id"], (), {"facts": [one]})
            matter = one["about"][0]
            for form in paraphrases(one["fact"]):
                reply = Reply(text=f"On the {matter}, the record has {form} as it stands.")
                assert scorer.score(case, reply).value == 1, (one["id"], form)
            for form in mutants(one["fact"]):
                reply = Reply(text=f"On the {matter}, the record has {form} as it stands.")
                assert scorer.score(case, reply).value == 0, (one["id"], form)


def test_a_value_far_from_its_matter_is_not_carried():
    bare = [". ".join(spoken(one["fact"]) for one in item["expected"]["facts"]) for item in FEW]
    found = [score(item, reply, "recall")["recall"].value for item, reply in zip(FEW, bare, strict=True)]
    assert sum(found) / len(found) <= 0.1


# Shortcuts


def sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()]


def fit(item: dict, text: str) -> str:
    return " ".join(text.split()[: item["max_words"]])


@pytest.mark.parametrize(
    ("pick", "most"),
    [
        (lambda item: fit(item, item["document"]), 0.40),
        (lambda item: " ".join(item["document"].split()[-item["max_words"] :]), 0.40),
        (lambda item: fit(item, " ".join(sorted(sentences(item["document"]), key=lambda s: -len(re.findall(r"\d+", s)))[:40])), 0.25),
        (lambda item: fit(item, " ".join(s for s in sentences(re.sub(r"^### .*?(?=^## |\Z)", "", item["document"], flags=re.M | re.S)) if re.search(r"\d", s))), 0.40),
        (lambda item: fit(item, " ".join(" ".join(part.split()[: item["max_words"] // 3]) for part in re.split(r"^## ", item["document"], flags=re.M)[1:])), 0.40),
        (lambda item: item["answers"]["abstain"][0], 0.0),
    ],
    ids=["beginning", "end", "most figures", "first sentences with figures", "beginning of each part", "refusal"],
)  # fmt: skip
def test_a_shortcut_does_not_pay(pick, most):
    scores = [score(item, pick(item), "recall")["recall"].value for item in FEW]
    assert sum(scores) / len(scores) <= most
    assert sum(bool(is_right(item, pick(item))) for item in FEW) / len(FEW) <= 0.05


# Scored rows


def test_a_target_six_points_worse_is_found_worse():
    """120 documents, twice: of one target's replies 6 in 100 more lose a third of their facts. Paired by document."""
    rng = random.Random(1)
    right = [1.0] * len(ITEMS)
    cut = [score(item, item["answers"]["wrong"][2], "recall")["recall"].value for item in ITEMS]
    one = [right[n] if rng.random() < 0.97 else cut[n] for n in range(len(ITEMS))]
    worse = [cut[n] if n % 11 == 0 else one[n] for n in range(len(ITEMS))]  # 0.09 × (1 − 0.31) = 0.06
    gaps = [a - b for a, b in zip(one, worse, strict=True)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1) / len(gaps))
    assert 0.04 <= mean <= 0.08
    assert mean - 1.96 * spread > 0


# Prose and shape


def test_the_written_matters_are_as_many_as_promised_and_as_varied_as_real_prose():
    text = strand_text()
    assert len(text) / 4.5 >= 20_000
    assert sum(len(strands(genre)) for genre in GENRES) == 150
    data = text.encode()
    assert len(data) / len(zlib.compress(data, 9)) <= 4.5
    words = text.lower().split()[:20_000]
    for length, least in ((4, 0.70), (8, 0.80)):
        runs = {tuple(words[n : n + length]) for n in range(len(words) - length + 1)}
        assert len(runs) / (len(words) - length + 1) >= least
    paragraphs = Counter(text.split("\n"))
    assert [paragraph for paragraph, count in paragraphs.items() if count > 1 and len(paragraph.split()) > 6] == []


def test_every_matter_can_be_drawn_and_has_facts_in_both_parts_and_something_put_aside():
    for genre in GENRES:
        for strand in strands(genre):
            assert any(slot.last for slot in strand.slots.values()), strand.key
            assert any(SLOT.search(text) for _, text in strand.parts[0]), strand.key
            assert list(decoys(strand)), strand.key
            assert "{" not in SLOT.sub("", strand.summary + str(strand.parts)), strand.key
    assert len(plan(3)) == 150


def test_lengths_are_those_claimed():
    """p50 and p90 within 15 %, p99 within 30 %."""
    lengths = sorted(tokens(Template(PROMPT).render(**item) + item["document"]) for item in ITEMS)
    replies = sorted(tokens(item["answers"]["right"][0]) for item in ITEMS)
    for found, claim in ((lengths, SPEC["shape"]["input_tokens"]), (replies, SPEC["shape"]["output_tokens"])):
        for name, at, most in (("p50", 0.5, 0.15), ("p90", 0.9, 0.15), ("p99", 0.99, 0.30)):
            value = found[int(at * (len(found) - 1))]
            assert abs(value / claim[name] - 1) <= most, (name, value)


@shapes.measured
def test_input_lengths_are_those_of_the_named_evidence():
    lengths = [tokens(Template(PROMPT).render(**item) + item["document"]) for item in ITEMS]
    assert shapes.distance(lengths, SPEC["shape"]["evidence"]) <= shapes.MOST


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="the third-party files are not here")
def test_no_run_of_thirteen_words_is_shared_with_third_party_text():
    def words(text: str) -> list[str]:
        return re.findall(r"[a-z0-9']+", text.lower())

    ours = set()
    for text in (strand_text(), PROMPT):
        mine = words(text)
        ours |= {tuple(mine[n : n + 13]) for n in range(len(mine) - 12)}
    starts = {run[:2] for run in ours}
    shared = []
    for path in sorted(FOREIGN.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".md", ".csv") and "traces" not in path.parts:
            theirs = words(path.read_text(encoding="utf-8", errors="replace"))
            shared += [
                (path.name, run)
                for n, pair in enumerate(pairwise(theirs))
                if pair in starts and (run := tuple(theirs[n : n + 13])) in ours
            ]
    assert shared == []
