"""The scorers for plain answers: what each takes, what it does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ConfigError
from bench.record import Case, Reply
from bench.score import get


def value(kind: str, gold: object, text: str, **options: object) -> float | None:
    return get(kind, "s", options).score(Case("a", (), {"target": gold}), Reply(text=text)).value


@pytest.mark.parametrize(
    ("gold", "text", "options", "right"),
    [
        ("Paris", "paris", {}, 1.0),
        ("Paris", ' "Paris." ', {}, 1.0),
        ("Paris", "**Paris**", {}, 1.0),
        ("New York", "New\n  York", {}, 1.0),
        (["Paris", "Lutetia"], "Lutetia", {}, 1.0),
        (4, "4", {}, 1.0),
        ("O'Neill", "O’Neill", {}, 1.0),
        ("Paris", "paris", {"ignore_case": False}, 0.0),
        ("Paris", "It is Paris", {}, 0.0),
        ("cafe", "café", {}, 0.0),
        ("Paris", "", {}, 0.0),
        ("1.5", "15", {}, 0.0),
        (None, "x", {}, None),
        ("", "x", {}, None),
        ({"a": 1}, "x", {}, None),
    ],
)
def test_exact(gold, text, options, right):
    assert value("exact", gold, text, **options) == right


@pytest.mark.parametrize(
    ("gold", "text", "options", "right"),
    [
        ("four", "There are four.", {}, 1.0),
        ("4", "There are 4.", {}, 1.0),
        ("4", "There are 14.", {}, 0.0),
        ("4", "There are 14.", {"words": False}, 1.0),
        ("art", "a party", {}, 0.0),
        ("Brake Relay", "the brake\nrelay failed", {}, 1.0),
        ("Brake", "the brake", {"ignore_case": False}, 0.0),
        (["red", "blue"], "only blue", {}, 1.0),
        (["red", "blue"], "only blue", {"all": True}, 0.0),
        (["red", "blue"], "blue, then red", {"all": True}, 1.0),
        ("C++ (2020)", "in C++ (2020) mode", {}, 1.0),
        ("x", "", {}, 0.0),
        ([], "x", {}, None),
    ],
)
def test_contains(gold, text, options, right):
    assert value("contains", gold, text, **options) == right


def test_contains_names_what_is_missing():
    scorer = get("contains", "s", {"all": True})
    found = scorer.score(Case("a", (), {"target": ["red", "blue", "green"]}), Reply(text="red"))
    assert found.reason == "not in the reply: blue, green"


@pytest.mark.parametrize(
    ("gold", "text", "options", "right"),
    [
        (r"\bRMA-\d{5}\b", "see RMA-26017", {}, 1.0),
        (r"\bRMA-\d{5}\b", "see RMA-2601", {}, 0.0),
        (r"\d+", "12 parts", {"full": True}, 0.0),
        (r"\d+", " 12\n", {"full": True}, 1.0),
        (["yes", "no"], "well, no", {}, 1.0),
        ("YES", "yes", {}, 0.0),
        ("YES", "yes", {"ignore_case": True}, 1.0),
        ("(", "x", {}, None),  # no regular expression
        (None, "12", {"pattern": r"^\d+$"}, 1.0),
        (None, "a12", {"pattern": r"^\d+$"}, 0.0),
        (None, "x", {}, None),
    ],
)
def test_regex(gold, text, options, right):
    assert value("regex", gold, text, **options) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("B", 1.0),
        ("(B)", 1.0),
        ("B.", 1.0),
        ("B) Ghent", 1.0),
        ("**B**", 1.0),
        ("Answer: B", 1.0),
        ("Answer: (B) Ghent", 1.0),
        ("The answer is B.", 1.0),
        ("A looks near.\nAnswer: B", 1.0),
        ("The correct option is (B).", 1.0),
        ("First I thought the answer is A, but the answer is B.", 1.0),
        ("C", 0.0),
        ("A or B", 0.0),
        ("Answer: A and B", 0.0),
        ("A.\nB.", 0.0),
        ("A bridge of that size is built in Ghent.", 0.0),  # an article is no choice
        ("Answer: Because of the tide", 0.0),
        ("E", 0.0),
        ("Ghent", 0.0),
        ("", 0.0),
    ],
)
@pytest.mark.parametrize("gold", ["B", "b", 1, "1"])
def test_choice(gold, text, right):
    assert value("choice", gold, text) == right


@pytest.mark.parametrize("gold", ["E", 4, None, "AB", -1, True, ""])
def test_a_choice_that_is_not_among_the_letters_is_not_judged(gold):
    assert value("choice", gold, "A") is None


def test_more_choices_are_more_letters():
    assert value("choice", "F", "F", choices=6) == 1.0


@pytest.mark.parametrize(
    ("gold", "text", "options", "right"),
    [
        ("18", "18", {}, 1.0),
        (18, "She has 3 + 15 = 18 left.", {}, 1.0),  # the last one
        ("18", "18 of 20", {}, 0.0),
        ("18", "Answer: 18, since 20 - 2", {}, 1.0),  # the first behind the mark
        ("steps 3 + 15\n#### 18", "so 18\n#### 18", {"after": "####"}, 1.0),
        ("18", "It is 18", {"after": "####"}, 0.0),
        ("1250.5", "1,250.50", {}, 1.0),
        ("1250.5", "1.250,50", {}, 1.0),
        ("1250.5", "$1,250.50.", {}, 1.0),
        ("-3", "-3", {}, 1.0),
        ("-3", "−3", {}, 1.0),
        ("-3", "3", {}, 0.0),
        ("3", "-3", {}, 0.0),
        ("0.333", "0.3333", {}, 0.0),
        ("0.333", "0.3333", {"tolerance": 0.001}, 1.0),
        ("200", "190", {"relative": 0.05}, 1.0),  # 5 % of 200 = 10
        ("200", "189", {"relative": 0.05}, 0.0),
        ("18", "eighteen", {}, 0.0),
        ("18", "", {}, 0.0),
        ("18", "B18", {}, 0.0),  # part of a name
        ("1,250", "1250", {}, 1.0),
        ("many", "3", {}, None),
        ("nan", "3", {}, None),
        (None, "3", {}, None),
    ],
)
def test_number(gold, text, options, right):
    assert value("number", gold, text, **options) == right


@settings(derandomize=True, max_examples=80)
@given(st.integers(-(10**9), 10**9), st.integers(1, 9))
def test_a_number_is_itself_and_not_its_neighbour(number, off):
    assert value("number", str(number), f"It comes to {number:,}.") == 1.0
    assert value("number", str(number), f"It comes to {number + off:,}.") == 0.0


@settings(derandomize=True, max_examples=60)
@given(st.text(max_size=60))
def test_no_reply_breaks_a_scorer(text):
    for kind, gold in (("exact", "a"), ("contains", "a"), ("regex", "a"), ("choice", "A"), ("number", "1")):
        assert value(kind, gold, text) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "options", "key"),
    [
        ("exact", {"ignore_case": "yes"}, "ignore_case"),
        ("contains", {"every": True}, "every"),
        ("regex", {"pattern": "("}, "pattern"),
        ("regex", {"pattern": ""}, "pattern"),
        ("choice", {"choices": 1}, "choices"),
        ("choice", {"choices": 27}, "choices"),
        ("number", {"tolerance": -1}, "tolerance"),
        ("number", {"relative": True}, "relative"),
        ("number", {"after": ""}, "after"),
    ],
)
def test_wrong_options_are_refused_with_their_name(kind, options, key):
    with pytest.raises(ConfigError) as caught:
        get(kind, "s", options)
    assert [problem.path for problem in caught.value.problems] == [key]
