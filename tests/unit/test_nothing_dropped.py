"""Nothing is dropped in silence: what a body does not hold, the dialect has named."""

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench import dialects
from bench.errors import BenchError
from bench.record import Case, Params
from bench.targets import Target
from tests.carried import carried

CASE = Case(
    "c",
    (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Where?"},
    ),
)
SPOKEN = [
    ("messages", "anthropic", "any"),
    ("messages", "anthropic", "claude-haiku-5-5"),
    ("converse", "bedrock", "any"),
    ("chat", "openai", "any"),
    ("chat", "openai-compatible", "any"),
    ("responses", "openai", "any"),
    ("gemini", "gemini-vertex", "any"),
]
PLAIN = Params()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, strict: bool | None) -> dict[str, Any]:
    function = {"name": name, "description": f"about {name}", "parameters": {**SCHEMA, "title": name}}
    return {"type": "function", "function": {**function, **({} if strict is None else {"strict": strict})}}


CHOICES = [None, "auto", "none", "required", {"type": "function", "function": {"name": "find"}}]
FORMATS = [
    None,
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "answer", "schema": {**SCHEMA, "title": "answer"}}},
]
POINTS = ("tools", "system", "history", "last_message")


@st.composite
def all_settings(draw: st.DrawFn) -> Params:
    """Any settings, each with values that no other setting can have."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    tools = tuple(
        tool(name, draw(st.sampled_from([None, False, True]))) for name in ("find", "book")[: draw(st.integers(0, 2))]
    )
    points = draw(st.sets(st.sampled_from(POINTS if tools else POINTS[1:])))
    return Params(
        max_tokens=draw(st.integers(20_000, 20_999)),
        temperature=maybe(st.integers(1, 99).map(lambda n: n / 100 + 0.001)),
        top_p=maybe(st.integers(1, 99).map(lambda n: n / 100 + 0.002)),
        top_k=maybe(st.integers(100, 999)),
        seed=maybe(st.integers(1_000_000, 1_999_999)),
        stop=tuple(draw(st.lists(st.sampled_from(["END", "STOP HERE", "###"]), max_size=3, unique=True))),
        stream=draw(st.booleans()),
        effort=maybe(st.sampled_from(["none", "minimal", "low", "high", "max", "enormous"])),
        thinking_budget_tokens=maybe(st.just(0) | st.integers(500, 19_999)),
        tools=tools,
        tool_choice=draw(st.sampled_from(CHOICES)),
        response_format=draw(st.sampled_from(FORMATS)),
        cache_breakpoints=tuple(sorted(points)),
        cache_ttl=maybe(st.sampled_from(["5m", "1h", "24h"])),
        extra_body=draw(st.sampled_from([{}, {"requestMetadata": {"team": "platform"}}, {"oddity": "kept"}])),
    )


def names(sentences: list[str]) -> set[str]:
    """The settings that the sentences are about: what stands before the colon."""
    fields = [field.name for field in dataclasses.fields(Params)]
    return {name for name in fields for said in sentences if name in said.partition(":")[0].replace(".", " ").split()}


def without(params: Params, named: set[str]) -> Params:
    return dataclasses.replace(params, **{name: getattr(PLAIN, name) for name in named})


@pytest.mark.parametrize(("dialect_name", "door", "model"), SPOKEN)
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(params=all_settings())
@example(params=Params(effort="none", thinking_budget_tokens=2048, max_tokens=20_000))
@example(params=Params(cache_ttl="1h"))
@example(params=Params(tools=(tool("find", True),)))
def test_what_a_body_does_not_hold_is_named(dialect_name: str, door: str, model: str, params: Params) -> None:
    dialect = dialects.get(dialect_name)
    target = Target("t", model, door, "some-model", dialect_name)
    named: set[str] = set()
    left = params
    while refused := dialect.unsupported(left):
        with pytest.raises(BenchError):
            dialect.encode(CASE, left, target)
        fresh = names(refused) - named
        assert fresh, f"refused, but no setting is named: {refused}"
        named |= fresh
        left = without(params, named)
    named |= names(dialect.degraded(left))
    body = dialect.encode(CASE, left, target)
    for field in dataclasses.fields(Params):
        value = getattr(params, field.name)
        if field.name in named or field.name == "extra_headers":
            continue
        if field.name != "stream" and (value is None or value == () or value == {}):
            continue
        assert carried(body, field.name, value), f"{field.name}={value!r} is neither in {body} nor named"


@pytest.mark.parametrize(("dialect_name", "door", "model"), SPOKEN)
def test_what_is_degraded_changes_no_byte_of_the_body(dialect_name: str, door: str, model: str) -> None:
    dialect = dialects.get(dialect_name)
    target = Target("t", model, door, "some-model", dialect_name)
    marked = Params(cache_breakpoints=("system",), cache_ttl="1h")
    said = names(dialect.degraded(marked))
    same = dialect.encode(CASE, marked, target) == dialect.encode(CASE, PLAIN, target)
    assert same == (said == {"cache_breakpoints", "cache_ttl"})
    assert same or not said


@pytest.mark.parametrize(("dialect_name", "door", "model"), SPOKEN)
@pytest.mark.parametrize("message", [
    {"role": "user", "content": "Where?", "name": "anna"},
    {"role": "assistant", "content": "There.", "reasoning_content": "she asked"},
])  # fmt: skip
def test_a_field_of_a_message_is_sent_or_refused(
    dialect_name: str, door: str, model: str, message: dict[str, Any]
) -> None:
    dialect = dialects.get(dialect_name)
    target = Target("t", model, door, "some-model", dialect_name)
    case = Case("c", (*CASE.messages, message))
    (field,) = message.keys() - {"role", "content"}
    if dialect_name == "chat":
        assert dialect.encode(case, PLAIN, target)["messages"][-1] == message
    else:
        with pytest.raises(BenchError, match=f"cannot carry {field} of a {message['role']} message"):
            dialect.encode(case, PLAIN, target)
