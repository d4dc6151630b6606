"""Abstention: which replies decline, and that declining is right exactly when the case is unanswerable."""

import pytest

from bench.record import Case, Reply
from bench.score.abstention import Abstention, abstains

DECLINES = [
    "NOT IN DOCUMENTS",
    "Answer: NOT IN DOCUMENTS",
    "**Answer:** NOT IN DOCUMENTS.",
    "Answer: Not in the documents.",
    "Answer: NOT IN DOCUMENTS\nThe passages cover returns within 30 days but not the fee.",
    "## Answer\nNOT IN DOCUMENTS",
    "The provided passages do not state the notice period.",
    "The documents don't mention a fee for this.",
    "I cannot answer this from the passages provided.",
    "This cannot be determined from the documents.",
    "None of the passages mentions a warranty for pallets.",
    "There is no information about parking in the documents.",
    "Based on the provided documents, I couldn't find the name of the approver.",
    "The passages do not specify this. Passage 2 only covers returns within 30 days.",
    "The documents do not say, but they mention a 30-day window for returns.",
    "I'm sorry, but the provided context does not contain that information.",
    "I'm sorry. The context does not contain that information.",
    "Unfortunately, this is not specified in the documents.",
    "Answer: unknown",
    "Answer: N/A",
    "I reviewed the six passages. They cover returns and repairs. None of them states the restocking fee.",
    "The answer is not found in the provided documents.",
    "I don't have enough information to answer.",
    "It is not possible to determine the fee from these passages.",
    "Insufficient information to answer.",
    "Answer: The documents do not say.",
    "No passage states who approves this.",
    "The retrieved policies do not indicate a limit for Denmark.",
]
ANSWERS = [
    "Answer: 30 calendar days [2].",
    "Answer: 30 days. The documents do not state whether weekends count.",
    "Answer: Lena Okafor. The documents do not state when.",
    "The documents do not state it directly, but clause 4 gives 30 days [2].",
    "The documents do not give an exact figure; it is probably 30 days.",
    "You have 30 days [1]. The passages do not say whether weekends count.",
    "The warranty does not cover water damage [3].",
    "No, water damage is not covered [1].",
    "Express delivery is not available in Denmark.",
    "Lena Okafor approves it. The documents do not say when.",
    "Answer: No.",
    "The passages don't mention it. However, based on the 24 months rule, the warranty ends on 2 March 2026.",
    "I would assume it is the site manager, although the documents do not say.",
    "Not all documents agree, so the limit is EUR 1,250.",
    "The approver is not the site manager but the regional director.",
    "Answer: Probably 30 days, but the documents do not say.",
    "Answer: The fee is 15%.",
    "The order cannot be cancelled after 30 days.",
    "You cannot return it without the form.",
    "There is no fee for returns within 14 days [1].",
    "No approval is needed below EUR 500 [2].",
    "The customer does not have to provide a reason.",
    "Information must be kept for 10 years.",
    "The contract does not specify working days; the annex sets 10 calendar days.",
]


@pytest.mark.parametrize("text", DECLINES)
def test_a_reply_that_declines_is_right_only_for_an_unanswerable_case(text):
    scorer = Abstention("abstains")
    assert scorer.score(Case("c", (), {"answerable": False}), Reply(text=text)).value == 1.0
    assert scorer.score(Case("c", (), {"answerable": True}), Reply(text=text)).value == 0.0


@pytest.mark.parametrize("text", ANSWERS)
def test_a_reply_that_answers_however_hedged_is_right_only_for_an_answerable_case(text):
    scorer = Abstention("abstains")
    assert scorer.score(Case("c", (), {"answerable": False}), Reply(text=text)).value == 0.0
    assert scorer.score(Case("c", (), {"answerable": True}), Reply(text=text)).value == 1.0


def test_an_empty_reply_is_neither_an_answer_nor_an_abstention():
    assert not abstains("")
    for answerable in (True, False):
        score = Abstention("abstains").score(Case("c", (), {"answerable": answerable}), Reply(text=" \n"))
        assert score.value == 0.0
        assert score.reason == "the reply has no text"


@pytest.mark.parametrize("expected", [{}, {"answerable": "yes"}, {"answerable": None}])
def test_a_case_that_does_not_say_whether_it_is_answerable_is_not_judged(expected):
    score = Abstention("abstains").score(Case("c", (), expected), Reply(text="x"))
    assert score.value is None
    assert "want true or false" in score.reason


def test_the_reason_says_what_the_reply_did_and_what_the_case_was():
    score = Abstention("abstains").score(Case("c", (), {"answerable": True}), Reply(text="NOT IN DOCUMENTS"))
    assert score.reason == "abstains; the case is answerable"
