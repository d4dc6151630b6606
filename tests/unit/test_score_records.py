"""Records as JSON: validity by schema, typed fields, lists by key and as multisets, and what a record scores."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ConfigError
from bench.record import Case, Reply
from bench.score import get
from bench.score.field_f1 import check_types, compare
from bench.score.structured import BadJson, parse
from bench.score.typed import same

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "due": {"type": ["string", "null"], "format": "date"},
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["total", "due", "kind"],
    "additionalProperties": False,
}
ASKED = {"type": "json_schema", "json_schema": {"name": "bill", "schema": SCHEMA}}
GOOD = '{"total": 12, "due": "2026-03-02", "kind": "a"}'


# JSON


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no text"),
        ("  \n", "no text"),
        ("I cannot do that.", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ('{"a": "x', "cut off"),
        ('{"a": 1', "cut off"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": 1} and more', "not JSON"),
        ('Here it is: {"a": 1}', "not JSON"),
        ("```json\n{}\n```", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not JSON that can be read"),
    ],
)
def test_what_is_not_one_json_value_is_refused_with_the_reason(text, words):
    with pytest.raises(BadJson, match=words):
        parse(text)


def test_a_code_fence_is_taken_off_only_when_allowed():
    assert parse('```json\n{"a": 1}\n```', fenced=True) == {"a": 1}
    assert parse('```\n{"a": 1}```\n', fenced=True) == {"a": 1}
    assert parse('\ufeff {"a": 0.10}\n', exact=True) == {"a": Decimal("0.10")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(JSON)
def test_every_json_value_is_read_as_it_was_written(value):
    assert parse(json.dumps(value)) == value


# Schema


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        (GOOD, 1.0, "valid"),
        ('{"total": 12.5, "due": null, "kind": "b"}', 1.0, "valid"),
        ('{"total": "12", "due": null, "kind": "a"}', 0.0, "$.total: '12' is not of type 'number'"),
        ('{"total": 1, "kind": "a"}', 0.0, "'due' is a required property"),
        ('{"total": 1, "due": null, "kind": "c"}', 0.0, "$.kind: 'c' is not one of"),
        ('{"total": 1, "due": null, "kind": "a", "x": 1}', 0.0, "'x' was unexpected"),
        ('{"total": 1, "due": "2 March", "kind": "a"}', 0.0, "'2 March' is not a 'date'"),
        ('{"total": "1", "due": 2, "kind": 3, "x": 4}', 0.0, "; and 1 more"),
        ("[]", 0.0, "[] is not of type 'object'"),
        (GOOD[:-1], 0.0, "not JSON"),
        ("", 0.0, "no text"),
    ],
)
def test_a_reply_is_valid_by_the_schema_its_case_asks_for_or_not(text, value, reason):
    score = get("json_schema", "valid").score(Case("c", (), response_format=ASKED), Reply(text=text))
    assert (score.scorer, score.value) == ("valid", value)
    assert reason in score.reason


def test_the_schema_comes_from_the_option_then_the_expectation_then_the_response_format():
    number, text = {"type": "number"}, {"type": "string"}
    case = Case("c", (), {"schema": text}, response_format=ASKED)
    assert get("json_schema", "v", {"schema": number}).score(case, Reply(text="1")).value == 1.0
    assert get("json_schema", "v").score(case, Reply(text='"x"')).value == 1.0
    assert get("json_schema", "v").score(Case("c", (), response_format=ASKED), Reply(text=GOOD)).value == 1.0


def test_without_a_schema_that_can_be_applied_there_is_no_verdict():
    scorer = get("json_schema", "v")
    assert scorer.score(Case("c", ()), Reply(text="1")).value is None
    broken = scorer.score(Case("c", (), {"schema": {"type": "nmber"}}), Reply(text="1"))
    assert broken.value is None
    assert "the schema is not one" in broken.reason
    outside = scorer.score(Case("c", (), {"schema": {"$ref": "https://example.com/s.json"}}), Reply(text="1"))
    assert outside.value is None  # nothing is fetched
    assert "cannot be applied" in outside.reason


def test_formats_and_fences_are_options():
    case = Case("c", (), response_format=ASKED)
    loose = '{"total": 1, "due": "soon", "kind": "a"}'
    assert get("json_schema", "v", {"formats": False}).score(case, Reply(text=loose)).value == 1.0
    fenced = Reply(text=f"```json\n{GOOD}\n```")
    assert get("json_schema", "v").score(case, fenced).value == 0.0
    assert get("json_schema", "v", {"fenced": True}).score(case, fenced).value == 1.0


# Types: what is the same, and what only looks like it


@pytest.mark.parametrize(
    ("kind", "gold", "right", "wrong"),
    [
        ("text", "Line stopped", ["line  stopped", "“Line stopped.”", "LINE STOPPED"], ["Line stop", "", 3, None]),
        ("name", "Ingrid Østergaard", ["Østergaard, Ingrid", "Ms Ingrid Ostergaard", "ingrid østergaard"], ["Ingrid", "I. Østergaard", "Inge Østergaard"]),
        ("name", "Lund & Vang Books", ["Lund and Vang Books", "LUND & VANG BOOKS"], ["Lund Books", "Lund & Vang"]),
        ("code", "INV-440217", ["inv-440217", "INV - 440217", "INV–440217"], ["INV-440271", "440217", "INV-44O217"]),
        ("code", "4451", [4451, "4451"], [4452, True, 4451.0]),
        ("enum", "credit_note", ["Credit note", "CREDIT-NOTE"], ["credit", "invoice", None]),
        ("number", 1250.5, [1250.5, Decimal("1250.50"), "1,250.50", "1.250,50"], [1250, "12505", 1250.55, True, "abc", None]),
        ("number", -3, [-3, "-3", "(3)"], [3, "3"]),
        ("number", 1, [1, 1.0, "1"], [True, "one", 0]),
        ("money", {"amount": 9.5, "currency": "EUR"}, [{"amount": "9,50", "currency": "€"}, "EUR 9.50", "9.50 euros"],
         [{"amount": 9.5, "currency": "DKK"}, {"amount": 9.5}, 9.5, "9.50", {"amount": 9.5, "currency": "kr"}, "EUR 9.50 or 9.60"]),
        ("quantity", {"value": 840, "unit": "kg"}, [{"value": 0.84, "unit": "t"}, "840 kg", {"value": "840", "unit": "kilograms"}],
         [{"value": 840, "unit": "t"}, {"value": 84, "unit": "kg"}, 840, {"value": 840, "unit": "mm"}]),
        ("quantity", {"value": 3, "unit": "months"}, [{"value": 3, "unit": "month"}], [{"value": 90, "unit": "days"}, {"value": 12, "unit": "weeks"}]),
        ("quantity", {"value": 4, "unit": "reels"}, [{"value": 4, "unit": "Reels"}], [{"value": 4, "unit": "boxes"}]),
        ("date", "2026-03-02", ["2 March 2026", "March 2, 2026", "02.03.2026", "2026-03-02T00:00:00Z"], ["2026-02-03", "03/2026", "2026", 20260302]),
        ("clock", "14:05", ["14:05:00", "14.05", "2:05 pm", "14:05 h"], ["2:05", "14:50", "14"]),
        ("bool", True, [True], [False, "true", 1, None]),
    ],
)  # fmt: skip
def test_a_value_is_the_same_by_the_rule_of_its_type(kind, gold, right, wrong):
    for said in right:
        assert same(kind, gold, said), said
    for said in wrong:
        assert not same(kind, gold, said), said


def test_slashes_are_read_only_as_the_workload_says():
    assert same("date", "2026-03-02", "02/03/2026", day_first=True)
    assert not same("date", "2026-03-02", "02/03/2026", day_first=False)
    assert not same("date", "2026-03-02", "02/03/2026")


# Records. Two lines of two fields, a number, an absent date: 5 fields to be found and 1 to be left empty.

GOLD = {"number": "A-1", "due": None, "lines": [{"item": "x", "n": 2}, {"item": "y", "n": 3}]}
TYPES = {"number": "code", "due": "date", "lines[]": "by item", "lines[].item": "code", "lines[].n": "number"}


def say(**changes) -> str:
    return json.dumps({**GOLD, **changes})


@pytest.mark.parametrize(
    ("text", "f1", "exact", "absent"),
    [
        (say(), 1, 1, 1),
        (say(lines=GOLD["lines"][::-1]), 1, 1, 1),  # order says nothing
        (say(number="a-1", due=""), 1, 1, 1),  # an empty text is empty
        (say(number="A-2"), 4 / 5, 0, 1),  # found 4, wrong 1: 2·4 / (2·4 + 2·1)
        (say(due="2026-01-01"), 10 / 11, 0, 0),  # found 5, invented 1: 2·5 / (2·5 + 1)
        (say(number=None), 8 / 9, 0, 1),  # found 4, missed 1: 2·4 / (2·4 + 1)
        (say(lines=GOLD["lines"][:1]), 6 / 8, 0, 1),  # found 3, missed 2
        (say(lines=[*GOLD["lines"], {"item": "z", "n": 1}]), 10 / 12, 0, 1 / 3),  # invented 2
        (say(lines=[{"item": "x", "n": 3}, {"item": "y", "n": 2}]), 6 / 10, 0, 1),  # found 3, wrong 2
        (say(lines=[{"item": "q", "n": 2}, {"item": "y", "n": 3}]), 6 / 10, 0, 1 / 3),  # missed 2, invented 2
        (say(lines="x"), 2 / 7, 0, 1 / 2),  # found 1, missed 4, invented 1: 2·1 / (2·1 + 4 + 1)
        (say(extra="?"), 10 / 11, 0, 1 / 2),
        (say(lines=[], number=None), 0, 0, 1),
        ("{}", 0, 0, 1),
        ("[]", 0, 0, 0),
        ("no", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_a_record_scores_by_its_fields(text, f1, exact, absent):
    case = Case("c", (), {"gold": GOLD, "types": TYPES})
    got = {m: get("field_f1", m, {"measure": m}).score(case, Reply(text=text)).value for m in ("f1", "exact", "absent")}
    assert got == pytest.approx({"f1": f1, "exact": exact, "absent": absent})


def test_the_reason_names_the_fields():
    case = Case("c", (), {"gold": GOLD, "types": TYPES})
    reason = get("field_f1", "f").score(case, Reply(text=say(due="2026-01-01", number="B"))).reason
    assert reason == "4 fields found, 2 not: number wrong, due invented"


def test_lists_without_a_key_are_paired_by_what_agrees_and_plain_lists_are_multisets():
    gold = {"codes": ["a", "a", "b"], "rows": [{"p": 1, "q": 2}, {"p": 1, "q": 3}]}
    verdicts = compare(gold, {"codes": ["b", "a", "c"], "rows": [{"p": 1, "q": 3}, {"p": 1, "q": 9}]}, {})
    assert sorted(verdict for _, verdict in verdicts) == ["found"] * 5 + ["invented", "missed", "wrong"]


def test_two_lines_of_one_key_are_told_apart_by_the_rest():
    gold = {"lines": [{"item": "x", "n": 1}, {"item": "x", "n": 2}]}
    types = {"lines[]": "by item"}
    assert all(v == "found" for _, v in compare(gold, {"lines": [{"item": "x", "n": 2}, {"item": "x", "n": 1}]}, types))


def test_a_record_without_absent_fields_has_no_absent_share():
    case = Case("c", (), {"gold": {"a": 1}})
    assert get("field_f1", "f", {"measure": "absent"}).score(case, Reply(text='{"a": 1}')).value is None
    assert get("field_f1", "f").score(Case("c", ()), Reply(text="{}")).value is None
    wrong = get("field_f1", "f").score(Case("c", (), {"gold": {"a": 1}, "types": {"a": "mony"}}), Reply(text="{}"))
    assert wrong.value is None
    assert "got 'mony'" in wrong.reason
    assert check_types({"rows[]": "by n", "rows": "by n"}) != ""


RECORDS = st.fixed_dictionaries(
    {
        "a": st.none() | st.integers(-5, 5),
        "b": st.none() | st.text("xyz", max_size=3),
        "rows": st.lists(
            st.fixed_dictionaries({"k": st.sampled_from("pqr"), "v": st.none() | st.integers(0, 3)}), max_size=4
        ),
    }
)


@settings(derandomize=True, max_examples=120, deadline=None)
@given(RECORDS, RECORDS, st.booleans(), st.randoms(use_true_random=False))
def test_a_record_is_exact_against_itself_in_any_order_and_f1_is_symmetric_and_bounded(gold, other, keyed, rng):
    types = {"rows[]": "by k"} if keyed else {}
    mixed = {**gold, "rows": rng.sample(gold["rows"], len(gold["rows"]))}

    def f1(one, two):
        return (
            get("field_f1", "f").score(Case("c", (), {"gold": one, "types": types}), Reply(text=json.dumps(two))).value
        )

    assert f1(gold, mixed) == 1.0
    assert 0.0 <= f1(gold, other) <= 1.0
    assert f1(gold, other) == pytest.approx(f1(other, gold))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("json_schema", {"schema": {"type": "nmber"}}, "want a JSON Schema"),
        ("json_schema", {"schema": "x"}, "want a JSON Schema"),
        ("json_schema", {"fenced": "yes"}, "want true or false"),
        ("json_schema", {"measure": "f1"}, "want one of the options"),
        ("field_f1", {"measure": "f2"}, "want one of f1, exact, absent"),
        ("field_f1", {"types": ""}, "want a key of the case's expectation"),
    ],
)
def test_a_wrong_option_is_told_with_what_would_be_right(kind, options, words):
    with pytest.raises(ConfigError) as error:
        get(kind, "mine", options)
    assert words in str(error.value.problems[0])
