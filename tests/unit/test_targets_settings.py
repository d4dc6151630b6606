"""Generation settings: the target's last word, what a model refuses, and equal settings for every target."""

from dataclasses import replace
from datetime import date

import pytest

from bench.record import Params
from bench.registry.settings import effective_params, end_of_life, same_settings, without_cache
from bench.targets import Target

OLD = Target(
    "old", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5-20250929", "messages", api_version="2023-06-01"
)
NEW = Target("new", "claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "messages", api_version="2026-10-21")


def like(target: Target, **changes) -> Target:
    return replace(target, **changes)


def test_the_target_has_the_last_word_and_none_means_not_sent():
    workload = Params(
        max_tokens=100, temperature=0.0, stop=("X",), extra_body={"a": 1, "b": 1}, extra_headers={"h": "1"}
    )
    own = {"temperature": None, "max_tokens": 200, "stop": ["Y"], "extra_body": {"b": 2}, "extra_headers": {"i": "2"}}
    params, problems, notes = effective_params(workload, like(OLD, params=own))
    assert params == Params(
        max_tokens=200, stop=("Y",), extra_body={"a": 1, "b": 2}, extra_headers={"h": "1", "i": "2"}
    )
    assert problems == []
    assert notes == ["old: sends headers of its own: h, i"]


def test_a_target_without_settings_gets_the_workloads():
    workload = Params(max_tokens=7, temperature=0.5)
    assert effective_params(workload, OLD) == (workload, [], [])


@pytest.mark.parametrize(
    ("target", "params", "path", "want"),
    [
        # 5.x takes no sampling settings at any door, under any API version, behind any gateway
        (NEW, Params(temperature=0), "params.temperature", "takes no temperature at any door"),
        (NEW, Params(top_p=1.0), "params.top_p", "takes no top_p"),
        (NEW, Params(top_k=5), "params.top_k", "takes no top_k"),
        (like(NEW, api_version="2023-06-01"), Params(temperature=0), "params.temperature", "at any door"),
        (like(NEW, provider="bedrock", dialect="converse"), Params(temperature=0), "params.temperature", "at any door"),
        (
            like(NEW, provider="openai-compatible", dialect="chat"),
            Params(temperature=0),
            "params.temperature",
            "any door",
        ),
        # no Claude model has a seed
        (OLD, Params(seed=7), "params.seed", "claude-sonnet-4-5 takes no seed at any door"),
        # 4.5 takes them, but the newer API version does not
        (
            like(OLD, api_version="2026-10-21"),
            Params(temperature=0),
            "params.temperature",
            "api_version 2023-06-01 does",
        ),
        (OLD, Params(temperature=0, top_p=0.9), "params.top_p", "refuses both in one request"),
        # thinking
        (NEW, Params(thinking_budget_tokens=2048), "params.thinking_budget_tokens", "effort instead"),
        (NEW, Params(effort="none"), "params.effort", "cannot be switched off"),
        (NEW, Params(effort="extreme"), "params.effort", "one of low, medium, high, xhigh, max"),
        (OLD, Params(effort="low"), "params.effort", "nothing, for claude-sonnet-4-5"),
        (OLD, Params(thinking_budget_tokens=512), "params.thinking_budget_tokens", "at least 1024"),
        (
            OLD,
            Params(max_tokens=2048, thinking_budget_tokens=2048),
            "params.thinking_budget_tokens",
            "less than max_tokens",
        ),
        (NEW, Params(tool_choice="required"), "params.tool_choice", "cannot be made to call a tool"),
        (NEW, Params(tool_choice={"type": "tool", "name": "f"}), "params.tool_choice", "cannot be made"),
        (OLD, Params(max_tokens=64001), "params.max_tokens", "at most 64000"),
        # a setting hidden in the body would pass every check
        (
            NEW,
            Params(extra_body={"temperature": 0}),
            "params.extra_body.temperature",
            "the setting temperature instead",
        ),
        (OLD, Params(extra_body={"thinking": {}}), "params.extra_body.thinking", "effort or thinking_budget_tokens"),
    ],
)
def test_what_a_model_or_api_version_refuses_is_a_problem_of_that_target(target, params, path, want):
    _, problems, _ = effective_params(params, target)
    assert [problem.path for problem in problems] == [path]
    assert want in problems[0].want
    assert problems[0].where == target.id


@pytest.mark.parametrize(
    ("target", "params"),
    [
        (OLD, Params(temperature=0)),
        (OLD, Params(top_p=0.9, top_k=5)),
        (OLD, Params(max_tokens=4096, thinking_budget_tokens=2048, effort="none", tool_choice="any")),
        # Converse has no API version: the older model takes temperature there whatever the SDK's default
        (like(OLD, provider="bedrock", dialect="converse", api_version=None), Params(temperature=0)),
        (NEW, Params(effort="max", tool_choice="auto", max_tokens=128000)),
        (like(NEW, model="claude-haiku-5-5"), Params(effort="none", tool_choice="any")),
        (
            like(NEW, model="llama-4", provider="openai-compatible", dialect="chat"),
            Params(temperature=0, seed=7, top_k=4),
        ),
        (
            like(NEW, model="gpt-x", provider="openai", dialect="chat"),
            Params(temperature=0, seed=7),
        ),  # nothing is known
    ],
)
def test_what_is_accepted_or_not_known_is_no_problem(target, params):
    assert effective_params(params, target)[1] == []


def test_every_refused_setting_is_told_at_once():
    _, problems, _ = effective_params(Params(temperature=0, top_p=1, seed=7, effort="none"), NEW)
    assert [problem.path for problem in problems] == [
        "params.temperature", "params.top_p", "params.seed", "params.effort",
    ]  # fmt: skip


def test_a_note_says_when_thinking_is_always_on_or_the_api_version_is_unusual():
    assert "always thinks first" in effective_params(Params(), NEW)[2][0]
    (note,) = effective_params(Params(), like(OLD, api_version="2026-10-21"))[2]
    assert note == "old: API version 2026-10-21 instead of 2023-06-01, the registry's for claude-sonnet-4-5"


def test_equal_settings_are_accepted_however_they_are_written():
    one = Params(temperature=0, stop=("a",), extra_body={"provider": {"order": ["x"]}}, extra_headers={"a": "1"})
    other = Params(temperature=0.0, stop=("a",), extra_body={"user": "me"})
    assert same_settings([(OLD, one), (NEW, other)]) == []
    assert same_settings([(OLD, one)]) == []
    assert same_settings([]) == []


@pytest.mark.parametrize(
    ("one", "other", "path", "got"),
    [
        ({"temperature": 0.0}, {}, "params.temperature", "old: 0; new: not sent"),
        ({"max_tokens": 100}, {"max_tokens": 101}, "params.max_tokens", "old: 100; new: 101"),
        ({"stream": True}, {"stream": False}, "params.stream", "old: true; new: false"),
        ({"stop": ("a",)}, {}, "params.stop", 'old: ["a"]; new: not sent'),
        ({"effort": "low"}, {"effort": "high"}, "params.effort", 'old: "low"; new: "high"'),
        ({"extra_body": {"min_tokens": 9}}, {}, "params.extra_body", 'old: {"min_tokens": 9}; new: not sent'),
        ({"cache_ttl": "1h"}, {"cache_ttl": "5m"}, "params.cache_ttl", 'old: "1h"; new: "5m"'),
    ],
)
def test_targets_that_differ_in_a_setting_are_refused_by_name_with_the_way_out(one, other, path, got):
    (problem,) = same_settings([(OLD, Params(**one)), (NEW, Params(**other))])
    assert (problem.where, problem.path, problem.got) == ("old, new", path, got)
    assert "set it in the workload's generation" in problem.want


def test_cache_settings_that_a_target_cannot_be_sent_are_not_compared_there():
    marked = Params(cache_breakpoints=("system",), cache_ttl="1h", seed=1)
    plain, names = without_cache(marked)
    assert plain == Params(seed=1)
    third = like(NEW, id="third")
    assert same_settings([(OLD, marked), (third, marked), (NEW, plain)], {"new": names}) == []
    # the others are still compared, and so is everything else of this one
    assert [p.path for p in same_settings([(OLD, marked), (NEW, plain)])] == [
        "params.cache_breakpoints",
        "params.cache_ttl",
    ]
    (problem,) = same_settings([(OLD, marked), (third, Params(cache_ttl="1h", seed=1)), (NEW, plain)], {"new": names})
    assert (problem.path, problem.got) == ("params.cache_breakpoints", 'old: ["system"]; third: not sent')
    (problem,) = same_settings([(OLD, marked), (NEW, Params(seed=2))], {"new": names})
    assert problem.path == "params.seed"


def test_long_values_that_differ_only_at_their_end_still_differ():
    tools = [({"name": "f", "description": "x" * 200 + end},) for end in "ab"]
    (problem,) = same_settings([(OLD, Params(tools=tools[0])), (NEW, Params(tools=tools[1]))])
    assert problem.path == "params.tools"
    assert len(problem.got) < 200


def test_targets_that_agree_are_named_together():
    third = like(NEW, id="third")
    (problem,) = same_settings([(OLD, Params(seed=1)), (NEW, Params(seed=2)), (third, Params(seed=1))])
    assert problem.got == "old, third: 1; new: 2"


def test_the_end_of_a_targets_model_is_a_problem_with_a_model_that_lives_on():
    gone = Target("x", "claude-opus-4-1", "anthropic", "claude-opus-4-1-20250805", "messages")
    problem, warning = end_of_life(gone, date(2026, 11, 21))
    assert problem is not None
    assert str(problem).startswith("x: model: got claude-opus-4-1 was retired at anthropic on 2026-08-05")
    assert problem.want.endswith("e.g. model: claude-sonnet-5-5")
    assert warning is None
    problem, warning = end_of_life(OLD, date(2026, 11, 21))
    assert problem is None
    assert warning is not None
    assert warning.startswith("old: claude-sonnet-4-5 at anthropic ends on 2026-11-30")
    assert end_of_life(like(OLD, model="llama", provider="openai-compatible"), date(2030, 1, 1)) == (None, None)


def test_only_how_thoughts_are_shown_may_come_in_the_extra_body():
    target = Target("t", "claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "messages", api_version="2026-10-21")
    shown = Params(extra_body={"thinking": {"display": "omitted"}})
    assert effective_params(shown, target)[1] == []
    for thinking in ({"type": "disabled"}, {"display": "omitted", "type": "adaptive"}, "off"):
        (problem,) = effective_params(Params(extra_body={"thinking": thinking}), target)[1]
        assert problem.path == "params.extra_body.thinking"


SOL = Target("sol", "gpt-5.6-sol", "openai", "gpt-5.6-sol", "chat")
MINI = Target("mini", "gpt-5-mini", "azure-openai", "gpt-5-mini", "chat")
OSS = Target("oss", "gpt-oss-120b", "openai-bedrock", "openai.gpt-oss-120b", "chat")


@pytest.mark.parametrize(
    ("target", "params", "want"),
    [
        # GPT models take a temperature only when they are told not to think
        (SOL, Params(temperature=0), "takes temperature only with effort: none"),
        (SOL, Params(temperature=0, top_p=0.9, effort="none"), None),
        (SOL, Params(temperature=0, effort="low"), "only with effort: none"),
        (SOL, Params(seed=7, effort="xhigh"), None),
        (SOL, Params(effort="max"), "one of low, medium, high, xhigh"),
        (SOL, Params(top_k=4), "takes no top_k at any door"),
        (MINI, Params(effort="minimal"), None),
        (MINI, Params(effort="none"), "cannot be switched off"),
        (MINI, Params(temperature=0), "takes no temperature at any door"),
        (MINI, Params(max_tokens=128001), "at most 128000"),
        (OSS, Params(temperature=0, seed=7, effort="high", max_tokens=16384), None),
        (OSS, Params(max_tokens=16385), "at most 16384"),  # the limit of that door, not of the model
        (like(OSS, provider="openai-vertex"), Params(max_tokens=32768), None),
        (like(OSS, provider="openai-compatible"), Params(max_tokens=100000, top_k=4), None),
    ],
)
def test_the_settings_that_openais_models_take(target, params, want):
    _, problems, _ = effective_params(params, target)
    assert [want in str(problem) for problem in problems] == ([True] if want else [])


def test_thinking_that_is_not_sent_is_said_and_not_where_there_is_none():
    hidden = "sol: gpt-5.6-sol does not send its thoughts; time to first token includes all thinking"
    assert effective_params(Params(), SOL)[2] == [hidden]
    assert effective_params(Params(effort="none"), SOL)[2] == []
    assert "counts thinking as tokens" in effective_params(Params(), OSS)[2][0]
