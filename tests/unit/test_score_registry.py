"""Getting scorers by type, scoring with all of them, and what makes a reply correct."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from bench import plugins
from bench.errors import ConfigError
from bench.record import Case, Reply, Score
from bench.score import SCORERS, correct, get, score_all


def test_every_registered_scorer_can_be_got_by_type_and_carries_its_workload_name():
    for scorer_type in SCORERS:
        scorer = get(scorer_type, "mine", {})
        assert scorer.name == "mine"
        assert scorer.version == "1"


def test_options_reach_the_scorer():
    scorer = get("citations", "cites", {"target": "sources", "min_recall": 0.5, "max_extra": 0})
    score = scorer.score(Case("c", (), {"sources": [1, 2]}), Reply(text="[1]"))
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("scorer_type", "options", "messages"),
    [
        ("citations", {"min_recal": 1, "max_extra": -1}, ["min_recal: got 1; want one of the options",
        "max_extra: got -1; want a whole number"]),
        ("citations", {"min_recall": 1.5}, ["min_recall: got 1.5; want a number from 0 to 1"]),
        ("facts", {"day_first": "yes"}, ["day_first: got 'yes'; want true or false"]),
        ("facts", {"name": "other"}, ["name: got 'other'"]),
        ("abstention", {"target": ""}, ["target: got ''"]),
        ("fact", {}, ["type: got 'fact'; want one of abstention, citations, facts"]),
    ],
)  # fmt: skip
def test_a_wrong_type_or_option_is_told_with_what_would_be_right(scorer_type, options, messages):
    with pytest.raises(ConfigError) as error:
        get(scorer_type, "mine", options)
    assert len(error.value.problems) == len(messages)
    for message in messages:
        assert message in str(error.value)


class Length:
    """A scorer as another package would bring it."""

    version = "7"

    def __init__(self, name, limit):
        self.name, self.limit = name, limit

    def score(self, case, reply):
        return Score(self.name, self.version, float(len(reply.text) <= self.limit))


def test_a_scorer_of_another_package_is_found_by_its_entry_point(monkeypatch):
    point = EntryPoint("length", f"{__name__}:Length", "bench.scorers")
    monkeypatch.setattr(plugins, "entry_points", EntryPoints([point]).select)
    scorer = get("length", "short", {"limit": 3})
    assert scorer.score(Case("c", ()), Reply(text="abcd")).value == 0.0
    with pytest.raises(ConfigError, match=r"length \(tests.*:Length\) failed: TypeError"):
        get("length", "short", {"unknown": 3})


def test_a_scorer_that_breaks_yields_no_score_and_does_not_take_the_others_with_it():
    class Broken(Length):
        def score(self, case, reply):
            raise KeyError("gold")

    scores = score_all(Case("c", ()), Reply(text="abc"), [Broken("broken", 1), Length("short", 3)])
    assert [(s.scorer, s.value) for s in scores] == [("broken", None), ("short", 1.0)]
    assert "KeyError" in scores[0].reason


def score(name, value):
    return Score(name, "1", value)


@pytest.mark.parametrize(
    ("scores", "required", "expected"),
    [
        ([score("a", 1.0), score("b", 1.0)], {"a", "b"}, True),
        ([score("a", 1.0), score("b", 0.0)], {"a", "b"}, False),
        ([score("a", 1.0), score("b", 0.0)], {"a"}, True),
        ([score("a", 0.99)], {"a"}, False),
        ([score("a", None), score("b", 1.0)], {"a", "b"}, True),  # an unanswerable case has no facts to state
        ([score("a", None), score("b", 0.0)], {"a", "b"}, False),
        ([score("a", None)], {"a"}, None),
        ([score("a", 1.0)], {"a", "b"}, None),  # a required score is missing
        ([score("a", 1.0)], set(), None),
        ([], {"a"}, None),
    ],
)
def test_a_reply_is_correct_when_every_required_scorer_that_can_judge_gives_full_marks(scores, required, expected):
    assert correct(scores, required) is expected
