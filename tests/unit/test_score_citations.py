"""Citations: which passage numbers a reply names, and whether they are the right ones."""

import pytest

from bench.record import Case, Reply
from bench.score.citations import Citations, cited


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("30 days [1].", {1}),
        ("30 days[1][3].", {1, 3}),
        ("[1, 2]", {1, 2}),
        ("[1; 2]", {1, 2}),
        ("[1-3]", {1, 2, 3}),
        ("[1–3, 6]", {1, 2, 3, 6}),
        ("[1 and 4]", {1, 4}),
        ("(source 2)", {2}),
        ("(Sources 1 and 2)", {1, 2}),
        ("(see passage 4)", {4}),
        ("(passages 1, 2, and 5)", {1, 2, 5}),
        ("[Passage 2]", {2}),
        ("[source 1, source 3]", {1, 3}),
        ("【2】", {2}),
        ("[^3]", {3}),
        ("**[2]**", {2}),
        ("[2](https://example.com)", {2}),
        ("①", {1}),
        ("[2026-03-02]", set()),
        ("[30 days]", set()),
        ("[a]", set()),
        ("(2)", set()),
        ("2", set()),
        ("[5-2]", {2, 5}),
        ("", set()),
    ],
)
def test_a_citation_is_found_in_every_usual_form(text, numbers):
    assert cited(text) == numbers


# gold passages 2 and 5; recall = hits / 2, extras = cited numbers that are not gold
@pytest.mark.parametrize(
    ("text", "options", "value", "reason"),
    [
        ("[2] [5]", {}, 1.0, "recall 1.00 (2 of 2), precision 1.00"),
        ("[2, 5] and [1] [3]", {}, 1.0, "recall 1.00 (2 of 2), precision 0.50"),
        ("[2, 5] [1] [3] [4]", {}, 0.0, "3 others cited: [1, 3, 4]; at most 2 allowed"),
        ("[2]", {}, 0.0, "recall 0.50 (1 of 2), precision 1.00; not cited: [5]"),
        ("[2]", {"min_recall": 0.5}, 1.0, "recall 0.50"),
        ("[1]", {"min_recall": 0.5}, 0.0, "recall 0.00 (0 of 2), precision 0.00"),
        ("[2, 5] [1]", {"max_extra": 0}, 0.0, "1 others cited: [1]"),
        ("no marks", {}, 0.0, "precision none (nothing cited)"),
        ("", {}, 0.0, "precision none"),
    ],
)
def test_the_gold_passages_must_be_cited_with_few_others(text, options, value, reason):
    case = Case("c", (), {"gold_passages": [2, 5], "answerable": True})
    score = Citations("cites", **options).score(case, Reply(text=text))
    assert score.value == value
    assert reason in score.reason


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({"answerable": False, "gold_passages": [1]}, "unanswerable"),
        ({"answerable": True}, "no gold_passages"),
        ({"gold_passages": []}, "no gold_passages"),
        ({"gold_passages": "2"}, "want a list"),
        ({"gold_passages": ["2"]}, "want a list"),
    ],
)
def test_a_case_without_gold_passages_is_not_judged(expected, reason):
    score = Citations("cites").score(Case("c", (), expected), Reply(text="[1]"))
    assert score.value is None
    assert reason in score.reason
