"""Gates of the rag workload through the product's own scorers: gold is accepted, mutants are not, shortcuts do not pay."""

import calendar
import json
import re
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from jinja2 import Template
from ruamel.yaml import YAML

from bench.record import Case, Reply
from bench.score import correct, get
from bench.tokens import tokens
from bench.world.__main__ import main
from bench.world.corpus import world
from bench.world.database import fill
from bench.world.draft import conflicts, singles
from bench.world.values import typed
from tests.unit import shapes

ROOT = Path(__file__).parents[2]
SPEC = YAML(typ="safe", pure=True).load((ROOT / "workloads/rag.yaml").read_text(encoding="utf-8"))
ITEMS = [json.loads(line) for line in (ROOT / "workloads/data/rag.jsonl").read_text(encoding="utf-8").splitlines()]
REQUIRED = {scorer["name"] for scorer in SPEC["scoring"]["scorers"] if scorer.get("required")}
SCORERS = [
    get(scorer["type"], scorer["name"], {k: v for k, v in scorer.items() if k not in ("type", "name", "required", "weight")})
    for scorer in SPEC["scoring"]["scorers"]
]  # fmt: skip
NUMBER = r"\d[\d,]*(?:\.\d+)?"


def judge(item: dict, reply: str) -> tuple[bool | None, float | None]:
    """Whether a reply is right by the required scorers, and what the citations score."""
    case = Case(item["id"], (), item["expected"])
    scores = [scorer.score(case, Reply(text=reply)) for scorer in SCORERS]
    assert all(s.value is not None or "applies" in s.reason or "answerable" in s.reason or s.scorer == "cites" or
               not item["expected"]["answerable"] for s in scores), [s.reason for s in scores]  # fmt: skip
    return correct(scores, REQUIRED), next(s.value for s in scores if s.scorer == "cites")


def answerable() -> list[dict]:
    return [item for item in ITEMS if item["expected"]["answerable"]]


# Gold


def test_the_oracle_scores_one_on_every_item():
    for item in ITEMS:
        for reply in item["answers"]["right"]:
            right, cites = judge(item, reply)
            assert right, item["id"]
            assert cites == 1.0 or not item["expected"]["answerable"], item["id"]


def test_wrong_replies_and_needless_abstentions_score_nothing():
    for item in ITEMS:
        for reply in item["answers"]["wrong"]:
            assert judge(item, reply)[0] is False, (item["id"], reply.split("\n")[0])
        abstained = judge(item, item["answers"]["abstain"][0])[0]
        assert abstained is (not item["expected"]["answerable"]), item["id"]


def test_an_empty_reply_scores_nothing():
    assert not any(judge(item, "")[0] for item in ITEMS)


def test_the_words_of_the_document_itself_are_accepted():
    """What a model that copies the value with the two words behind it would answer; tables have their units above."""
    here = world(SPEC["dataset"]["seed"])
    chosen = {item["id"] for item in ITEMS}
    checked = 0
    for draft in [*singles(here), *conflicts(here)]:
        fact = draft.needs[0]
        text = here.documents[fact.doc_id].text
        line_start = text.rfind("\n", 0, fact.span_start) + 1
        copied = re.split(r"[.;,:\n](?:\s|$)|\*", text[fact.span_start : fact.span_start + 60])[0]
        unit_follows = not re.fullmatch(rf"{NUMBER}", " ".join(copied.split()[:1])) or len(copied.split()) > 1
        if f"rag-{draft.id}" not in chosen or text[line_start] == "|" or fact.unit == "name" or not unit_follows:
            continue
        words = " ".join(copied.split()[:3])
        case = Case(draft.id, (), {"gold": [typed(fact.value, fact.unit)], "answerable": True})
        score = SCORERS[0].score(case, Reply(text=f"Answer: {words}"))
        if draft.id not in APART:
            assert score.value == 1.0, (draft.id, words, score.reason)
            checked += 1
    assert checked >= 150


APART = {
    "conflict-minus-2024",  # "60 hours on the credit side and 12 on the debit side"
}
"""The unit of these stands before the value."""


# Mutations


def paraphrases(fact: dict) -> list[str]:
    """Five ways to state a fact that mean the same."""
    kind, value = fact["type"], fact.get("value", "")
    if kind == "date":
        year, month, day = (int(part) for part in value.split("-"))
        name = calendar.month_name[month]
        forms = [
            value,
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day} {name[:3]} {year}",
            f"{day}. {name} {year}",
        ]
    elif kind == "money":
        plain = Decimal(value)
        whole = f"{plain:,.0f}" if plain == plain.to_integral_value() else f"{plain:,.2f}"
        code = fact["currency"]
        words = {"EUR": "euros", "GBP": "pounds", "DKK": "kroner"}[code]
        forms = [
            f"{code} {whole}",
            f"{whole} {code}",
            f"{code} {plain:.2f}",
            f"{plain:.2f} {words}",
            f"{whole} {words}",
        ]
    elif kind == "percent":
        forms = [f"{value} %", f"{value}%", f"{value} per cent", f"{value} percent", f"exactly {value} %"]
    elif kind == "name":
        forms = [value, fact["aliases"][0], f"It is {value}", f"**{value}**", f"{value}, of the department named there"]
    elif kind == "phrase":
        first = fact["any_of"][0]
        forms = [
            first,
            f"{first} sharp" if ":" in first else f"the {first}",
            f"It is {first}",
            f"**{first}**",
            f"{first} ",
        ]
    else:
        unit = fact["unit"]
        forms = [f"{value} {unit}", f"It is {value} {unit}", f"**{value} {unit}**", f"{value} {unit} in all", f"the figure is {value} {unit}"]  # fmt: skip
    return forms


def mutants(fact: dict, rejects: list[dict]) -> list[str]:
    """Statements near a fact that are wrong: another digit, unit or sign, a neighbour's value, two values offered."""
    kind, value = fact["type"], fact.get("value", "")
    if kind == "date":
        year, rest = value.split("-", 1)
        found = [
            f"{int(year) + 1}-{rest}",
            f"{int(year) - 1}-{rest}",
            year,
            f"before {int(year) - 2}-{rest}",
            "tomorrow",
        ]
    elif kind == "name":
        last = value.split()[-1]
        found = ["Marianne Thiessen", f"Gordon {last[:-1]}", "the site lead", "nobody", "L. Verbeke"]
    elif kind == "phrase":
        found = ["07:07", "3:33 pm", "midday", "any time", "before lunch"]
    else:
        number = Decimal(value)
        unit = {"money": fact.get("currency", ""), "percent": "%"}.get(kind, fact.get("unit", ""))
        other = "GBP" if unit == "EUR" else "EUR"
        found = [f"{number + 1} {unit}", f"{number * 10} {unit}", f"not {number} {unit}", f"{number} {other}" if kind == "money" else f"{number} kilowatts" if unit else f"EUR {number}", f"{number} or {number + 3} {unit}"]  # fmt: skip
    return found + [str(r["value"]) + " " + str(r.get("unit") or r.get("currency") or "%") for r in rejects[:1] if r["type"] in ("number", "money", "percent")]  # fmt: skip


def test_five_paraphrases_of_every_gold_are_accepted():
    for item in answerable():
        for form in paraphrases(item["expected"]["gold"][0]):
            assert judge(item, f"Answer: {form}\n\nSee [1].")[0], (item["id"], form)


def test_five_mutants_of_every_gold_are_rejected():
    for item in answerable():
        gold = item["expected"]["gold"][0]
        wrong = mutants(gold, item["expected"]["rejects"])
        assert len(set(wrong)) >= 5, item["id"]
        for form in wrong:
            assert not judge(item, f"Answer: {form}\n\nSee [1].")[0], (item["id"], form)


# Shortcuts


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?;])\s+|\n+", text) if re.search(NUMBER, part)]


def first_by_bm25(item: dict) -> str:
    """The first sentence with a number in the passage that shares most with the question."""
    here = world(SPEC["dataset"]["seed"])
    texts = {passage["text"] for passage in item["passages"]}
    best = next(p for p in here.retriever.rank(item["question"]) if p.text in texts)
    return next(iter(sentences(best.text)), "")


@pytest.mark.parametrize(
    ("pick", "most"),
    [
        (first_by_bm25, 0.40),
        (lambda item: next(iter(sentences(max((p["text"] for p in item["passages"]), key=len))), ""), 0.25),
        (lambda item: next(iter(sentences(max(item["passages"], key=lambda p: p["effective"])["text"])), ""), 0.25),
        (lambda item: next(iter(sentences(item["passages"][0]["text"])), ""), 0.25),
        (
            lambda item: (re.findall(r"\d{4}-\d\d-\d\d", " ".join(p["text"] for p in item["passages"])) or [""])[-1],
            0.25,
        ),
        (lambda item: "NOT IN DOCUMENTS", 0.20),
    ],
    ids=["first by BM25", "longest passage", "most recent passage", "first passage", "last date", "refuse everything"],
)
def test_a_shortcut_does_not_pay(pick, most):
    hits = sum(bool(judge(item, f"Answer: {pick(item)}")[0]) for item in ITEMS)
    assert hits / len(ITEMS) <= most


# Shape


@pytest.mark.parametrize(
    ("x", "share"),
    [(10, 0.0), (100, 0.0), (200, 0.25), (400, 0.5), (1600, 0.9), (2000, 1.0)],
    # 200 is half way from 100 to 400 in logarithms: half of the way from 0 to 0.5.
)
def test_a_share_between_two_quantiles_lies_on_a_line_in_the_logarithm(x, share):
    assert shapes.share_below(x, [(100, 0.0), (400, 0.5), (1600, 0.9)]) == pytest.approx(share)


@shapes.measured
def test_input_lengths_are_those_of_the_named_evidence():
    system = (ROOT / "workloads/prompts/rag_system.md").read_text(encoding="utf-8")
    user = Template(SPEC["messages"][2]["content"])
    lengths = [
        tokens(system + user.render(item) + "".join(turn["content"] for turn in item["history"])) for item in ITEMS
    ]
    assert shapes.distance(lengths, SPEC["shape"]["evidence"]) <= shapes.MOST


# The world as a database


def test_gold_is_a_query_over_the_database_and_two_builds_are_the_same():
    here = world(SPEC["dataset"]["seed"])
    one, other = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    fill(one, here)
    world.cache_clear()
    fill(other, world(SPEC["dataset"]["seed"]))
    assert list(one.iterdump()) == list(other.iterdump())
    in_force = """SELECT value, substr(text, span_start + 1, span_end - span_start) FROM facts JOIN document USING (doc_id)
        WHERE subject = ? AND predicate = ? AND facts.scope = ? AND valid_from <= ? AND (valid_to IS NULL OR valid_to >= ?)"""
    for item in answerable():
        if item["metadata"]["kind"] == "multi":
            continue
        fact_id, day = item["metadata"]["facts"][0], item["metadata"]["about_day"]
        subject, predicate, unit = item["metadata"]["asks"].rsplit(".", 2)
        scope = fact_id.partition("#")[2] or "group"
        [(value, shown)] = one.execute(in_force, (subject, predicate, scope, day, day)).fetchall()
        assert typed(value, unit) == item["expected"]["gold"][0], item["id"]
        assert shown
    one.close()
    other.close()


def test_the_command_writes_the_world_and_never_over_a_file(tmp_path, capsys):
    target = tmp_path / "world.sqlite"
    arguments = ["calderholt.rag", "--items", "8", "-o", str(tmp_path / "items.jsonl"), "--world", str(target)]
    assert main(arguments) == 0
    connection = sqlite3.connect(target)
    assert connection.execute("SELECT count(*) FROM facts").fetchone()[0] >= 900
    connection.close()
    assert main(arguments) == 2
    assert "error" in capsys.readouterr().err
