"""Gates of the extract workload: gold is what the documents state, scorers accept it and nothing near it, shortcuts do not pay."""

import copy
import hashlib
import json
import re
import zlib
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench import dialects
from bench.record import Case, Params, Reply
from bench.score import correct, get
from bench.score.field_f1 import compare
from bench.score.json_schema import problems
from bench.score.numerals import readings
from bench.score.typed import same
from bench.stats.table import build
from bench.targets import Target
from bench.tokens import tokens
from bench.workload import load_workload, params_of_case
from bench.world import generate, items_bytes
from bench.world.__main__ import main
from bench.world.corpus import world
from bench.world.extract import KINDS, drafts, written
from bench.world.forms import form, record
from bench.world.values import load_yaml
from tests.unit import shapes
from tests.unit.shapes import FOREIGN
from tests.unit.stats_example import COMPLETE, NO_ATTEMPTS, request, requests, score, scores

ROOT = Path(__file__).parents[2]
DATA = ROOT / "workloads/data/extract.jsonl"
PROMPT = (ROOT / "workloads/prompts/extract_system.md").read_text(encoding="utf-8")
SPEC = YAML(typ="safe", pure=True).load((ROOT / "workloads/extract.yaml").read_text(encoding="utf-8"))
ITEMS = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
PUBLIC, PRIVATE = SPEC["dataset"]["seed"], 77
REQUIRED = {scorer["name"] for scorer in SPEC["scoring"]["scorers"] if scorer.get("required")}
SCORERS = [
    get(scorer["type"], scorer["name"], {k: v for k, v in scorer.items() if k not in ("type", "name", "required", "weight")})
    for scorer in SPEC["scoring"]["scorers"]
]  # fmt: skip
OCR = str.maketrans("OlSB", "0158")


def judge(item: dict, reply: str) -> tuple[bool | None, dict[str, float | None]]:
    """Whether a reply is right by the required scorers, and what each scorer gives it."""
    case = Case(item["id"], (), item["expected"], response_format=item["response_format"])
    given = [scorer.score(case, Reply(text=reply)) for scorer in SCORERS]
    assert not any("scorer failed" in one.reason for one in given)
    return correct(given, REQUIRED), {one.scorer: one.value for one in given}


def of_kind(*kinds: str) -> list[dict]:
    return [item for item in ITEMS if item["metadata"]["kind"] in kinds]


def leaves(item: dict):
    """(path without numbers, type, value) of every filled field."""

    def walk(value, path):
        if isinstance(value, dict) and item["expected"]["types"].get(path) not in ("money", "quantity"):
            for name, inner in value.items():
                yield from walk(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, f"{path}[]")
        elif value is not None:
            yield path, item["expected"]["types"].get(path, "text"), value

    yield from walk(item["expected"]["gold"], "")


@pytest.fixture(scope="module")
def pages() -> dict[str, tuple]:
    """Each document with what it states and where."""
    here = world(PUBLIC)
    return {draft.id: written(here, draft) for pool in drafts().values() for draft in pool}


# The set


def test_the_committed_items_are_what_the_generator_makes():
    made = generate("calderholt.extract", PUBLIC, SPEC["dataset"]["params"])
    assert items_bytes(made) == DATA.read_bytes()
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() == SPEC["dataset"]["sha256"]


def test_a_smaller_set_holds_the_same_items_in_the_same_proportions():
    whole = {item["id"]: item for item in ITEMS}
    fewer = generate("calderholt.extract", PUBLIC, {"items": 60})
    assert all(item == whole[item["id"]] for item in fewer)
    kinds = Counter(item["metadata"]["kind"] for item in fewer)
    assert all(abs(kinds[kind] - len(of_kind(kind)) / 5) <= 1 for kind in KINDS)


def test_another_seed_has_other_documents_under_the_same_names():
    public = {item["id"]: item for item in ITEMS}
    private = generate("calderholt.extract", PRIVATE, {"items": 300})
    assert {item["id"] for item in private} == set(public)
    assert all(item["document"] != public[item["id"]]["document"] for item in private)
    same_gold = sum(item["expected"]["gold"] == public[item["id"]]["expected"]["gold"] for item in private)
    assert same_gold == 0
    for item in private:
        assert judge(item, item["answers"]["right"][0])[0], item["id"]


def test_kinds_tiers_and_traps_are_as_promised():
    kinds = Counter(item["metadata"]["kind"] for item in ITEMS)
    assert kinds == {"invoice": 70, "order": 40, "email_order": 40, "delivery_note": 30, "statement": 30, "contract": 25,
                     "incident": 25, "inspection": 25, "profile": 15}  # fmt: skip
    tiers = Counter(item["metadata"]["tier"] for item in ITEMS)
    assert 0.18 <= tiers["easy"] / 300 <= 0.32
    assert 0.40 <= tiers["medium"] / 300 <= 0.60
    assert 0.18 <= tiers["hard"] / 300 <= 0.32
    traps = Counter(trap for item in ITEMS for trap in item["metadata"]["traps"])
    expected = "absent dates second_party ocr foreign corrected two_currencies struck sum_wrong filter units long"
    assert set(traps) == set(expected.split())
    assert min(traps.values()) >= 20
    assert sum(item["metadata"]["fields"] for item in ITEMS) / 300 >= 18


def test_no_two_documents_are_alike():
    words = [
        set(re.findall(r"\w+", item["document"].lower()))
        for item in of_kind("email_order", "contract", "incident", "profile")
    ]
    assert max(len(a & b) / len(a | b) for n, a in enumerate(words) for b in words[:n]) < 0.8
    records = [json.dumps(item["expected"]["gold"], sort_keys=True) for item in ITEMS]
    assert len(set(records)) == len({item["document"] for item in ITEMS}) == 300


# Gold


def test_gold_is_a_query_over_what_the_documents_state(pages):
    for item in ITEMS:
        text, stated, traps = pages[item["id"]]
        assert item["document"] == text
        assert item["metadata"]["traps"] == traps
        assert item["expected"]["gold"] == record(item["metadata"]["kind"], {one.path: one.value for one in stated})


def test_every_statement_reads_as_its_gold_value_where_it_stands(pages):
    """Read again from the text by the scorers' rules, which share nothing with the writer's."""
    read = 0
    for item in ITEMS:
        text, stated, traps = pages[item["id"]]
        for one in stated:
            field = form(item["metadata"]["kind"])[re.sub(r"\.\d+", "", one.path)]
            shown = text[one.start : one.end]
            kind = field.of or field.kind
            assert shown, (item["id"], one.path)
            if (
                kind in ("enum", "bool", "text")
                or shown == "disputed"
                or (kind == "quantity" and not shown[0].isalnum())
            ):
                continue
            if kind in ("number", "money", "date", "quantity") and "ocr" in traps:
                shown = re.sub(r"(?<=[\d.,/-])[OlSB](?=[\d.,/ -]|$)|\b[OlSB](?=[\d.,])|(?<![A-Za-z])[OlSB]+(?=[ /.,-]|$)",
                               lambda m: m[0].translate(OCR), shown)  # fmt: skip
            if kind == "quantity" and re.match(r"[a-z]+[ -]", shown):
                continue  # the number is a word
            if kind == "number" and not any(c.isdigit() for c in shown):
                continue
            if kind == "code" and "(" in shown:
                shown = shown.split(" (")[0]
            if kind == "code" and not same("code", one.value, shown):
                shown = shown.split()[-1]
            assert same(kind, one.value, shown, day_first=True), (item["id"], one.path, one.value, shown)
            read += 1
    assert read >= 6500


def test_gold_is_valid_by_the_schema_and_null_only_where_that_is_allowed():
    for item in ITEMS:
        schema = item["response_format"]["json_schema"]["schema"]
        assert problems(item["expected"]["gold"], schema) == [], item["id"]


def test_schemas_keep_to_what_strict_modes_take():
    """All fields required, none beyond them, at most 16 alternatives, no keyword outside the common subset."""
    for kind in KINDS:
        asked = of_kind(kind)[0]["response_format"]
        assert asked["type"] == "json_schema"
        assert asked["json_schema"]["strict"] is True
        unions = 0
        stack = [asked["json_schema"]["schema"]]
        while stack:
            node = stack.pop()
            assert set(node) <= {
                "type",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "enum",
                "anyOf",
                "format",
                "description",
            }
            unions += "anyOf" in node or isinstance(node.get("type"), list)
            if "properties" in node:
                assert node["additionalProperties"] is False
                assert node["required"] == sorted(node["properties"])
                stack += node["properties"].values()
            stack += [node["items"]] if "items" in node else []
            stack += node.get("anyOf", [])
        assert unions <= 16, kind


def test_nothing_but_the_document_gives_values_away():
    for item in ITEMS:
        outside = PROMPT + json.dumps(item["response_format"], ensure_ascii=False) + item["title"]
        for path, kind, value in leaves(item):
            if kind in ("code", "date", "name") and len(str(value)) > 3:
                assert not re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", outside), (item["id"], path)
            if kind == "money":
                assert str(value["amount"]) not in outside


def test_totals_are_as_printed_and_wrong_just_where_that_is_the_trap():
    for item in of_kind("invoice"):
        gold = item["expected"]["gold"]
        net = sum(Decimal(str(line["amount"])) for line in gold["lines"])
        assert net == Decimal(str(gold["net"])), item["id"]
        total = Decimal(str(gold["total"]["amount"]))
        adds_up = net + Decimal(str(gold["vat"])) == total
        assert adds_up is ("sum_wrong" not in item["metadata"]["traps"]), item["id"]


def test_what_is_struck_out_is_not_gold():
    seen = 0
    for item in ITEMS:
        said = json.dumps(item["expected"]["gold"], ensure_ascii=False)
        for code in re.findall(r"~~([A-Z]{2}-\d{4})\b", item["document"]):
            assert code not in said, item["id"]
            seen += 1
    assert seen >= 30


def cells(line: str) -> list[str]:
    line = line.strip().strip("|")
    parts = line.split(";") if ";" in line else line.split("|") if "|" in line else re.split(r"  +", line)
    return [part.strip() for part in parts]


def number(text: str) -> Decimal:
    (value,) = readings(text.translate(OCR), money=True)
    return value


def test_a_reader_of_the_delivery_tables_finds_the_same_differences():
    for item in of_kind("delivery_note"):
        found = []
        for line in item["document"].splitlines():
            row = cells(line)
            if (
                len(row) == 6
                and row[0].isdigit()
                and "~~" not in line
                and row[3].translate(OCR) != row[4].translate(OCR)
            ):
                found.append(
                    {"item": row[1], "ordered": int(row[3].translate(OCR)), "delivered": int(row[4].translate(OCR))}
                )
        assert found == item["expected"]["gold"]["differences"], item["id"]


def test_a_reader_of_the_measurements_finds_the_same_deviations():
    for item in of_kind("inspection"):
        found = []
        for line in item["document"].splitlines():
            row = cells(line)
            if re.fullmatch(r"M\d{3}", row[0]):
                least, most, value = (number(part) for part in row[3:6])
                if not least <= value <= most:
                    found.append((row[0], value, least if value < least else most))
        gold = [(d["point"], Decimal(str(d["measured"])), d["limit"]) for d in item["expected"]["gold"]["deviations"]]
        assert found == gold, item["id"]


DAY = r"\d{4}-\d\d-\d\d|\d\d[./]\d\d[./]\d{4}|\d\d? [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d\d?, \d{4}"


def test_a_reader_of_the_statements_finds_the_same_overdue_documents_and_balance():
    from bench.score.dates import dates

    def day(text: str) -> date:
        text = re.sub(
            r"(?<=[A-Za-z]{2})1|1(?=[a-z]{2})", "l", re.sub(r"0(?=[a-z]{2})", "O", text)
        )  # Apri1, Ju1y, 0ctober
        (found,) = dates(
            re.sub(r"(?<![a-zA-Z])[OlSB](?=[\d./ -])|(?<=[\d./-])[OlSB]", lambda m: m[0].translate(OCR), text), True
        )
        return date(found.year, found.month, found.day)

    for item in of_kind("statement"):
        gold = item["expected"]["gold"]
        as_of, balance, late = date.fromisoformat(gold["as_of"]), Decimal(str(gold["opening"])), []
        for line in item["document"].splitlines():
            code = re.search(r"\b(INV|CN|ZE)\d{6}\b", line)
            if code is None:
                continue
            row = [part for part in cells(line.replace("disputed", "")) if part]
            if code[1] != "INV":
                balance -= number(row[-1])
                continue
            debit, left = number(row[-2]), number(row[-1])
            balance += debit
            if left and day(row[3]) < as_of:
                late.append({"document": code[0], "due": day(row[3]).isoformat(), "open": float(left)})
        assert late == [{**entry, "open": float(entry["open"])} for entry in gold["overdue"]], item["id"]
        adds_up = balance == Decimal(str(gold["closing"]))
        assert adds_up is ("sum_wrong" not in item["metadata"]["traps"]), item["id"]


# Scorers


def test_the_oracle_scores_one_on_every_item_by_every_scorer():
    for item in ITEMS:
        for reply in item["answers"]["right"]:
            right, values = judge(item, reply)
            assert right, item["id"]
            assert set(values.values()) <= {1.0, None}, item["id"]


def test_wrong_replies_refusals_and_silence_are_wrong():
    for item in ITEMS:
        misread, invented, miscounted, unasked, broken, cut = item["answers"]["wrong"]
        for reply in (misread, invented, miscounted):
            right, values = judge(item, reply)
            assert right is False, item["id"]
            assert values["exact"] == 0.0
            assert 0.3 <= values["fields"] < 1.0, item["id"]
        assert judge(item, unasked)[1]["valid"] == 0.0
        for reply in (broken, cut, item["answers"]["abstain"][0], ""):
            right, values = judge(item, reply)
            assert right is False
            assert {values["valid"], values["exact"], values["fields"]} == {0.0}, item["id"]


def reformed(item: dict, way: int) -> dict:
    """The gold as another writer would put it: 0 numbers as texts, 1 dates in words, 2 letters, 3 money and units, 4 order."""
    types = item["expected"]["types"]

    def walk(value, path):
        kind = types.get(path)
        if kind == "money" and value and way == 3:
            return f"{value['amount']:.2f} {value['currency']}"
        if kind == "quantity" and value and way == 3:
            return f"{value['value']} {value['unit']}"
        if isinstance(value, dict):
            return {name: walk(inner, f"{path}.{name}" if path else name) for name, inner in value.items()}
        if isinstance(value, list):
            made = [walk(inner, f"{path}[]") for inner in value]
            return made[::-1] if way == 4 else made
        if kind == "number" and value is not None and way == 0:
            return f"{Decimal(str(value)):,f}"
        if kind == "date" and value and way == 1:
            return f"{date.fromisoformat(value):%d.%m.%Y}"
        if kind in ("name", "text", "enum", "code") and value and way == 2:
            return value.upper() if kind == "code" else f" {value.lower().replace('&', 'and')} "
        return value

    return walk(copy.deepcopy(item["expected"]["gold"]), "")


def test_five_paraphrases_of_every_record_are_accepted_as_the_same_fields():
    for item in ITEMS:
        gold, types = item["expected"]["gold"], item["expected"]["types"]
        for way in range(5):
            faults = [v for v in compare(gold, reformed(item, way), types) if v[1] not in ("found", "empty")]
            assert not faults, (item["id"], way, faults[:3])


def mutants(item: dict):
    """The record with one field changed by rule: number, money, date, code, name; a null filled; a list short or long."""
    gold, types = item["expected"]["gold"], item["expected"]["types"]
    changed = {
        "number": lambda v: v + 1,
        "money": lambda v: {**v, "currency": "SEK" if v["currency"] != "SEK" else "EUR"},
        "quantity": lambda v: {**v, "value": v["value"] * 10},
        "date": lambda v: v[:8] + ("01" if v[8:] != "01" else "02"),
        "code": lambda v: v[:-1] + ("1" if v[-1] != "1" else "2"),
        "name": lambda v: v.split()[0] + " Thiessen",
        "bool": lambda v: not v,
    }
    for name, value in gold.items():
        kind = types.get(name)
        if value is None:
            yield {**gold, name: "2026-01-01"}
        elif isinstance(value, list):
            yield {**gold, name: [*value, {"item": "ZZ-1"}]}
            if value:
                yield {**gold, name: value[:-1]}
        elif kind in changed:
            yield {**gold, name: changed[kind](value)}


def test_every_mutant_of_a_record_is_rejected():
    for item in ITEMS:
        tried = 0
        for mutant in mutants(item):
            verdicts = compare(item["expected"]["gold"], mutant, item["expected"]["types"], day_first=True)
            assert any(v not in ("found", "empty") for _, v in verdicts), (item["id"], mutant)
            tried += 1
        assert tried >= 5, item["id"]


# Shortcuts


def first_of_each(item: dict) -> dict:
    """Every field filled with the first thing of its type in the document, as a pattern matcher would."""
    text = item["document"]
    finds = {
        "code": re.search(r"\b(?=\w*\d)[A-Z0-9]{1,4}[-/]?\d[\w/-]*", text),
        "number": re.search(r"\d[\d.,]*\d|\d", text),
        "date": re.search(DAY, text),
        "name": re.search(r"[A-Z]\w+(?: & | )[A-Z]\w+", text),
    }
    made = {}
    for name in item["expected"]["gold"]:
        kind = item["expected"]["types"].get(name)
        if finds.get(kind):
            made[name] = finds[kind][0]
    return made


@pytest.mark.parametrize(
    ("pick", "most_f1", "most_exact"),
    [
        (lambda item: {}, 0.0, 0.0),
        (lambda item: {name: [] if isinstance(v, list) else None for name, v in item["expected"]["gold"].items()}, 0.0, 0.0),
        (first_of_each, 0.25, 0.0),
    ],
    ids=["empty object", "all null", "first of each type"],
)  # fmt: skip
def test_a_shortcut_does_not_pay(pick, most_f1, most_exact):
    values = [judge(item, json.dumps(pick(item)))[1] for item in ITEMS]
    assert sum(v["fields"] for v in values) / len(values) <= most_f1
    assert sum(v["exact"] for v in values) / len(values) <= most_exact


def test_a_target_that_is_six_points_worse_is_found_worse():
    rows, judged = [], []
    for n, item in enumerate(ITEMS):
        for target, every in (("a", 20), ("b", 9)):  # 15 and 34 of 300 wrong, of which 2 are common
            wrong = n % every == every - 1
            reply = item["answers"]["wrong"][n % 6] if wrong else item["answers"]["right"][n % 2]
            rows.append(request(target, n, case_id=item["id"]))
            values = judge(item, reply)[1]
            judged += [{**score(target, n, values[name], name), "case_id": item["id"]} for name in REQUIRED]
    manifest = {**COMPLETE, "required_scorers": sorted(REQUIRED), "workload": {"required": sorted(REQUIRED)}}
    built = build(requests(rows), NO_ATTEMPTS, scores(judged), manifest, baseline="a")
    found = built.comparison("b", "quality")
    assert found.value == pytest.approx((15 - 33) / 300)
    assert found.verdict == "worse"


# Shape and prose


def lengths() -> list[float]:
    cases = load_workload(ROOT / "workloads/extract.yaml").cases
    return sorted(sum(tokens(message["content"]) for message in case.messages) for case in cases)


def test_the_shape_claims_hold():
    """p50 and p90 within 15 %, p99 within 30 %."""
    outputs = sorted(tokens(item["answers"]["right"][0]) for item in ITEMS)
    for name, found in (("input_tokens", lengths()), ("output_tokens", outputs)):
        for quantile, claim in SPEC["shape"][name].items():
            value = found[int(len(found) * int(quantile[1:]) / 100)]
            assert value == pytest.approx(claim, rel=0.30 if quantile == "p99" else 0.15), (name, quantile)
    assert tokens(PROMPT) == pytest.approx(SPEC["shape"]["shared_prefix_tokens"], rel=0.15)


@shapes.measured
def test_input_lengths_are_those_of_the_named_evidence():
    assert shapes.distance(lengths(), SPEC["shape"]["evidence"]) <= shapes.MOST


@pytest.fixture(scope="module")
def prose(pages) -> str:
    """What was written by hand: every text with its values, without the printed tables."""
    printed = re.compile(r"^.*(?:\||;.*;.*;|  \S+  |\.\.\. |^\d{4}-\d\d-\d\dT|~~).*$", re.MULTILINE)
    return "\n".join(printed.sub("", pages[draft.id][0]) for kind in list(KINDS)[4:] for draft in drafts()[kind])


def test_prose_is_as_varied_as_real_prose(prose):
    """Real prose has a zlib ratio of 3.2 to 4.0 and distinct-4 of 0.75 to 0.96; a large grammar has 8.5 and 0.37."""
    assert len(prose) >= 60_000
    data = prose.encode("utf-8")
    assert len(data) / len(zlib.compress(data, 9)) <= 4.5
    words = prose.lower().split()[:20_000]
    for length, least in ((4, 0.70), (8, 0.80)):
        grams = {tuple(words[n : n + length]) for n in range(len(words) - length + 1)}
        assert len(grams) / (len(words) - length + 1) >= least


def test_every_written_piece_is_used_once():
    pieces = [
        piece
        for kind in drafts().values()
        for draft in kind
        for piece in draft.text.split("\n\n")
        if len(piece.split()) > 6
    ]
    assert len(pieces) == len(set(pieces)) >= 390
    notes = load_yaml("bank/extract/notes.yaml")
    assert {kind: len(found) for kind, found in notes.items()} == {
        "invoice": 70,
        "order": 40,
        "delivery_note": 30,
        "statement": 30,
    }


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="the third-party files are not here")
def test_no_run_of_thirteen_words_is_shared_with_third_party_text(prose):
    def words(text: str) -> list[str]:
        return re.findall(r"[a-z0-9']+", text.lower())

    mine = words(prose + PROMPT)
    ours = {tuple(mine[n : n + 13]) for n in range(len(mine) - 12)}
    for file in sorted(FOREIGN.rglob("*")):
        if file.suffix in (".txt", ".md", ".json", ".jsonl", ".csv") and file.stat().st_size < 2_000_000:
            theirs = words(file.read_text(encoding="utf-8", errors="ignore"))
            shared = ours.intersection(tuple(theirs[n : n + 13]) for n in range(len(theirs) - 12))
            assert not shared, (file.name, shared)


# On the wire, and misuse


@pytest.mark.parametrize("dialect", ["messages", "chat", "responses", "converse", "gemini"])
def test_each_case_asks_for_its_own_schema(dialect):
    workload = load_workload(ROOT / "workloads/extract.yaml")
    assert len(workload.response_formats) == len(KINDS)
    target = Target(id="t", model="m", provider="anthropic", model_id="m", dialect=dialect)
    encode = dialects.get(dialect).encode
    for case in workload.cases[:12]:
        params = params_of_case(Params(response_format={"type": "text"}), case)
        sent = json.dumps(encode(case, params, target)).replace("\\", "")
        assert '"' + next(iter(case.expected["types"])).split("[")[0] + '":' in sent.replace('": ', '":')
        assert case.response_format["json_schema"]["name"] == case.tags["kind"]


@pytest.mark.parametrize(
    ("params", "words"),
    [({"itmes": 3}, "params: got itmes; want only items"), ({"items": 301}, "items: got 301; want 1 to 300"), ({"items": 0}, "want 1 to 300")],
)  # fmt: skip
def test_misuse_is_said_in_words(params, words):
    with pytest.raises(ValueError, match=words):
        generate("calderholt.extract", PUBLIC, params)


def test_a_statement_that_the_form_does_not_ask_for_is_an_error():
    with pytest.raises(ValueError, match="invoice: colour: the form has no such field"):
        record("invoice", {"colour": "red"})


def test_the_command_writes_items_for_readers(tmp_path):
    target = tmp_path / "items.txt"
    assert main(["calderholt.extract", "--items", "4", "--text", "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8").count("Gold: {") == 4
