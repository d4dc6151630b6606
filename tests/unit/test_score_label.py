"""Labels: what counts as saying one, and what the reason keeps for the figures made of it."""

import pytest

from bench.errors import ConfigError
from bench.record import Case, Reply
from bench.score import get, score_all
from bench.score.label import READING, Label, said

LABELS = ["late_delivery", "wrong_item", "invoice_query", "other"]


def score(text: str, gold: str = "wrong_item"):
    return Label("label", LABELS).score(Case("a", (), {"label": gold}), Reply(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "wrong_item",
        "  wrong_item\n",
        "wrong_item.",
        "Wrong_Item",
        "wrong item",
        "wrong-item",
        "`wrong_item`",
        '"wrong_item"',
        "**wrong_item**",
        "**Label:** wrong_item",
        "Label: `wrong_item`.",
        "label = wrong_item",
        "The label is wrong_item.",
        "Category: wrong item",
        "[wrong_item]",
        '{"label": "wrong_item"}',
        '```json\n{"label": "wrong_item"}\n```',
        "```\nwrong_item\n```",
    ],
)
def test_a_label_in_any_usual_dress_is_that_label(text):
    assert score(text).value == 1.0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("late_delivery", "said late_delivery; gold wrong_item"),  # a label, and the wrong one
        ("wrong_items", "no label of the list"),
        ("not wrong_item", "no label of the list"),
        ("wrong_item or late_delivery", "no label of the list"),
        ("wrong_item, late_delivery", "no label of the list"),
        ("wrong_item\nlate_delivery", "no label of the list"),
        ("I would say this is wrong_item, since the parcel held another part.", "no label of the list"),
        ("wrongitem", "no label of the list"),
        ('{"label": "wrong_item", "second": "other"}', "no label of the list"),
        ('{"label": ["wrong_item"]}', "no label of the list"),
        ("{wrong_item", "no label of the list"),
        ("", "the reply has no text"),
        ("   \n", "the reply has no text"),
    ],
)
def test_anything_else_scores_nothing_and_says_why(text, why):
    found = score(text)
    assert found.value == 0.0
    assert why in found.reason


def test_the_reason_can_be_read_again():
    assert READING.match(score("late_delivery").reason).groupdict() == {"said": "late_delivery", "gold": "wrong_item"}
    assert READING.match(score("no idea").reason).groupdict() == {"said": "(invalid)", "gold": "wrong_item"}


def test_a_long_reply_is_quoted_in_part():
    assert len(score("word " * 500).reason) < 140


def test_a_case_without_a_known_label_is_not_judged():
    found = Label("label", LABELS).score(Case("a", (), {"label": "lunch"}), Reply(text="other"))
    assert found.value is None
    assert "want one of the 4 labels" in found.reason


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "labels"),
        ({"labels": ["one"]}, "labels"),
        ({"labels": ["one", "one"]}, "labels"),
        ({"labels": ["One", "two"]}, "labels"),
        ({"labels": "one, two"}, "labels"),
        ({"labels": LABELS, "lables": LABELS}, "lables"),
        ({"labels": LABELS, "target": ""}, "target"),
    ],
)
def test_wrong_options_are_refused_with_their_name(options, key):
    with pytest.raises(ConfigError) as caught:
        get("label", "label", options)
    assert key in [problem.path for problem in caught.value.problems]


def test_the_registry_makes_it():
    scorer = get("label", "route", {"labels": LABELS})
    (found,) = score_all(Case("a", (), {"label": "other"}), Reply(text="other"), [scorer])
    assert (found.scorer, found.version, found.value) == ("route", "1", 1.0)


def test_no_two_labels_read_alike():
    assert [said(label.replace("_", " ").title() + ".") for label in LABELS] == LABELS
