"""The classify suite: gold follows from stated rules, nothing gives it away, every message is somebody's own words."""

import json
import re
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bench import claims, score, world
from bench.record import Case, Reply
from bench.tokens import tokens
from bench.workload import load_workload
from bench.world.classify_bank import FIRST_ASKED, NEWEST_COUNTS, ONE_MATTER, decide, labels, quotes, written
from bench.world.classify_dress import CLEAR_DAYS, filled
from bench.world.values import load_yaml
from tests.unit import shapes
from tests.unit.shapes import FOREIGN

ROOT = Path(__file__).parents[2]
FILE = ROOT / "workloads/classify.yaml"
DATA = ROOT / "workloads/data/classify.jsonl"
PROMPT = (ROOT / "workloads/prompts/classify_system.md").read_text(encoding="utf-8")
ITEMS = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
RULES = load_yaml("bank/classify.yaml")["rules"]
TODAY = "2026-03-16"


@pytest.fixture(scope="module")
def workload():
    return load_workload(FILE)


def judge(workload, item: dict, reply: str) -> float | None:
    (spec,) = workload.scorers
    scorer = score.get(spec.type, spec.name, spec.options)
    return scorer.score(Case(item["id"], (), item["expected"]), Reply(text=reply)).value


# Gold


def test_the_shipped_items_are_what_the_seed_makes(workload):
    dataset = workload.spec.dataset
    made = world.generate("calderholt.classify", dataset.seed, dataset.params)
    assert world.items_bytes(made) == DATA.read_bytes()
    assert world.digest(made) == dataset.sha256


def test_there_are_600_items_of_24_labels_and_other():
    counts = Counter(item["expected"]["label"] for item in ITEMS)
    assert len(ITEMS) == 600
    assert set(counts) == set(labels())
    assert counts["other"] == 90  # 15 %
    assert {counts[name] for name in labels() if name != "other"} <= {21, 22}


def test_the_prompt_states_every_definition_and_every_rule_word_for_word():
    at = -1
    for name, says in load_yaml("bank/classify.yaml")["labels"].items():
        assert PROMPT.index(f"\n- {name}: {says}\n") > at
        at = PROMPT.index(f"\n- {name}: {says}\n")
    for number, rule in enumerate(RULES, 1):
        assert PROMPT.index(f"\n{number}. {rule['says']}\n") > at
        at = PROMPT.index(f"\n{number}. {rule['says']}\n")


def test_a_rule_says_in_words_what_its_lists_say():
    for rule in RULES:
        named = set(re.findall(r"\b(?:" + "|".join(labels()) + r")\b", rule["says"]))
        if rule["id"] == "complaint-last":
            assert {*rule["first"], *rule["over"], "other"} == set(labels()) - {
                "safety_event", "machine_down", "security_report", "privacy_request",  # went before, by the rules above
            } | {"complaint", "other"}  # fmt: skip
            assert named == {"complaint", "other"}
        else:
            assert named == {*rule["first"], *(() if rule["over"] == "all" else rule["over"])}


@pytest.mark.parametrize(
    ("about", "label", "rule"),
    [
        (["how_to"], "how_to", ONE_MATTER),
        (["how_to", "safety_event"], "safety_event", "people-first"),
        (["safety_event", "security_report"], "safety_event", "people-first"),
        (["privacy_request", "security_report"], "security_report", "strangers-second"),
        (["access_rights", "privacy_request"], "privacy_request", "own-data"),
        (["warranty_claim", "machine_down"], "machine_down", "standing-still"),
        (["return_request", "delivery_wrong"], "delivery_wrong", "what-arrived"),
        (["payment", "invoice_dispute"], "invoice_dispute", "contested"),
        (["part_order", "warranty_claim"], "warranty_claim", "who-pays"),
        (["machine_fault", "part_order"], "part_order", "order-is-order"),
        (["part_order", "technician_visit"], "part_order", FIRST_ASKED),
        (["technician_visit", "part_order"], "technician_visit", FIRST_ASKED),
        (["complaint", "payment"], "payment", "complaint-last"),
        (["complaint", "payment", "how_to"], "payment", FIRST_ASKED),
        (["other", "how_to"], "how_to", ONE_MATTER),
        (["other"], "other", ONE_MATTER),
    ],
)
def test_the_rules_decide(about, label, rule):
    assert decide(about) == (label, rule)


def test_every_rule_decides_somewhere():
    assert {rule["id"] for rule in RULES} <= {item["metadata"]["rule"] for item in ITEMS}
    assert {FIRST_ASKED, NEWEST_COUNTS, "warranty-ended"} <= {item["metadata"]["rule"] for item in ITEMS}


def test_a_pair_of_matters_has_one_label_in_whichever_order_unless_the_first_asked_decides():
    for one in labels():
        for other in labels():
            here, there = decide([one, other]), decide([other, one])
            assert here[0] == there[0] or (here[1] == there[1] == FIRST_ASKED)


def test_the_date_in_the_head_decides_a_warranty_and_is_far_from_today():
    decided = [m for m in written() if m.warranty]
    assert Counter(m.warranty for m in decided) == {"runs": 5, "ended": 3}
    by_id = {item["id"]: item for item in ITEMS}
    for message in decided:
        item = by_id[f"classify-{message.id}"]
        until = re.search(r"warranty until (\d{4}-\d\d-\d\d)", item["message"])[1]
        assert item["expected"]["label"] == ("warranty_claim" if until > TODAY else "repair_order")
        apart = abs(int(until[:4]) * 372 + int(until[5:7]) * 31 + int(until[8:]) - (2026 * 372 + 3 * 31 + 16))
        assert apart >= CLEAR_DAYS


def test_another_seed_keeps_gold_and_balance_but_not_the_bytes():
    made = world.generate("calderholt.classify", 77, {})
    theirs = {item["id"]: item for item in made}
    assert {i: item["expected"] for i, item in theirs.items()} == {i["id"]: i["expected"] for i in ITEMS}
    same = sum(theirs[item["id"]]["message"] == item["message"] for item in ITEMS)
    assert same <= 0.25 * len(ITEMS)  # short lines without any name or number
    assert [item["id"] for item in made] != [item["id"] for item in ITEMS]


def test_a_smaller_set_is_part_of_the_larger_one():
    small = world.generate("calderholt.classify", 20260101, {"items": 100})
    by_id = {item["id"]: item for item in ITEMS}
    assert len(small) == 100
    assert all(by_id[item["id"]] == item for item in small)
    assert len({item["expected"]["label"] for item in small}) == 25


@pytest.mark.parametrize("params", [{"items": 601}, {"items": 3}, {"items": "all"}, {"item": 5}])
def test_impossible_settings_are_refused(params):
    with pytest.raises(ValueError, match="want"):
        world.generate("calderholt.classify", 1, params)


# Scorers


def test_the_oracle_is_right_everywhere(workload):
    found = claims.oracle(workload)
    assert found.holds
    assert found.replies == 3000  # five forms of each
    assert found.without_reply == 0


def test_five_ways_to_say_the_label_are_taken_and_five_near_it_are_not(workload):
    for item in ITEMS:
        gold = item["expected"]["label"]
        for form in (gold, gold.upper(), f'"{gold}"', f"**{gold.replace('_', ' ')}**", f"Label: {gold}."):
            assert judge(workload, item, form) == 1.0, (item["id"], form)
        near = item["metadata"]["near"] or next(name for name in labels() if name != gold)
        for form in (near, f"{gold}s", f"not {gold}", f"{gold}, {near}", f"I think that {gold} fits best here."):
            assert judge(workload, item, form) == 0.0, (item["id"], form)


def test_replies_of_known_kind_are_what_they_say(workload):
    for item in ITEMS:
        for kind, texts in item["answers"].items():
            assert {judge(workload, item, text) for text in texts} == {float(kind == "right")}, (item["id"], kind)


# Shortcuts


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def definition_overlap(item: dict) -> str:
    """The label whose name and definition share most with the message, rare words first."""
    says = load_yaml("bank/classify.yaml")["labels"]
    texts = {name: set(words(f"{name.replace('_', ' ')} {text}")) for name, text in says.items()}
    spread = Counter(word for text in texts.values() for word in text)
    mine = set(words(item["message"]))
    return max(labels(), key=lambda name: sum(1 / spread[word] ** 2 for word in texts[name] & mine))


@pytest.mark.parametrize(
    ("pick", "most"),
    [
        (lambda item: "safety_event", 0.05),
        (lambda item: "complaint", 0.05),
        (lambda item: "other", 0.151),
        (lambda item: "", 0.0),
        (definition_overlap, 0.40),
        (lambda item: item["metadata"]["near"] or "other", 0.151),
    ],
    ids=["the first label", "one label", "always other", "nothing", "shared words", "a quick reader"],
)
def test_a_shortcut_does_not_pay(workload, pick, most):
    assert sum(judge(workload, item, pick(item)) for item in ITEMS) / len(ITEMS) <= most


def test_no_message_holds_the_name_of_a_label():
    named = re.compile(r"\b(?:" + "|".join(name for name in labels() if "_" in name) + r")\b", re.IGNORECASE)
    assert [item["id"] for item in ITEMS if named.search(item["message"])] == []


def test_what_machines_write_around_a_message_does_not_tell_its_label():
    """The head of every customer's ticket has the same lines, whatever the matter."""
    heads = {
        tuple(line.partition(":")[0] for line in item["message"].split("\n")[1:3])
        for item in ITEMS
        if item["metadata"]["kind"] == "ticket"
    }
    assert heads == {("Customer", "Asset")}


# Text


def test_tiers_follow_from_structure():
    tiers = Counter(item["metadata"]["tier"] for item in ITEMS)
    for tier, share in (("easy", 0.25), ("medium", 0.50), ("hard", 0.25)):
        assert abs(tiers[tier] / len(ITEMS) - share) <= 0.06
    for item in ITEMS:
        assert item["metadata"]["tier"] == ("easy", "medium", "hard")[min(2, len(item["metadata"]["traps"]))]


def test_half_are_one_line_and_a_quarter_each_mail_and_ticket():
    kinds = Counter(item["metadata"]["kind"] for item in ITEMS)
    for kind, share in (("line", 0.50), ("mail", 0.25), ("ticket", 0.25)):
        assert abs(kinds[kind] / len(ITEMS) - share) <= 0.05


def test_every_message_and_every_quotation_is_written_once():
    texts = [message.body for message in written()] + [text for _, text in quotes()]
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    below = [line for item in ITEMS for line in item["message"].split("\n") if line.startswith("> ")]
    assert [line for line, count in Counter(below).items() if count > 1] == []
    assert len(below) == sum("quoted-mail" in item["metadata"]["traps"] for item in ITEMS)


def test_no_two_messages_are_near_twins():
    """Jaccard of pairs of words below 0.8."""
    sets = [set(pairwise(words(m.body))) for m in written() if len(words(m.body)) > 2]
    for n, one in enumerate(sets):
        for other in sets[n + 1 :]:
            if len(one) and min(len(one), len(other)) / max(len(one), len(other), 1) >= 0.8:
                assert len(one & other) / len(one | other) < 0.8


def test_a_quotation_is_about_another_matter():
    about = {text: label for label, text in quotes()}
    for item in ITEMS:
        for line in item["message"].split("\n"):
            if line.startswith("> "):
                assert about[line[2:]] not in (*item["metadata"]["matters"], item["metadata"]["near"])


def test_prose_is_as_varied_as_real_prose():
    text = "\n".join(f"{m.subject} {m.body}" for m in written())
    data = text.encode("utf-8")
    assert len(data) / len(zlib.compress(data, 9)) <= 4.5
    found = text.lower().split()[:20_000]
    for length, least in ((4, 0.70), (8, 0.80)):
        grams = [tuple(found[n : n + length]) for n in range(len(found) - length + 1)]
        assert len(set(grams)) / len(grams) >= least


def test_every_slot_is_filled():
    assert not [item["id"] for item in ITEMS if re.search(r"\{\w*\}", item["message"])]
    with pytest.raises(KeyError):
        filled("{nobody}", {"person": "A. Voss"})


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="the third-party files are not here")
def test_no_run_of_thirteen_words_is_shared_with_third_party_text():
    def shingles(text: str) -> set[tuple[str, ...]]:
        found = re.findall(r"[a-z0-9']+", text.lower())
        return {tuple(found[n : n + 13]) for n in range(len(found) - 12)}

    ours = shingles(PROMPT).union(*(shingles(m.body) for m in written()))
    for path in sorted(FOREIGN.rglob("*")):
        if (
            path.is_file()
            and path.suffix in (".txt", ".md", ".json", ".jsonl", ".csv")
            and path.stat().st_size < 4_000_000
        ):
            assert not ours & shingles(path.read_text(encoding="utf-8", errors="replace")), path.name


# Shape


def test_the_claims_of_the_file_hold(workload):
    found = claims.claims(workload)
    assert len(found) == 8
    assert [claim for claim in found if not claim.holds] == []


@shapes.measured
def test_lengths_of_messages_are_those_of_the_named_evidence(workload):
    """Without the system prompt."""
    lengths = [tokens(case.messages[-1]["content"]) for case in workload.cases]
    assert shapes.distance(lengths, workload.spec.shape.evidence) <= shapes.MOST
