"""The portability matrix is true: every cell that passes is sent through the real adapter to its door's look-alike."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bench import dialects, portability, providers, registry, simulate
from bench.conductor import simulation
from bench.engine.send import Lane, Policy, prepare, send
from bench.portability import FEATURES, Column, Feature, asked
from bench.record import Attempt, Case, Params, Reply, Request
from bench.simulate.doors.vertex_grpc import METHODS
from bench.simulate.protobuf import decode
from bench.targets import Target
from bench.wire.http import Wire
from tests.carried import carried

MODELS = ("claude-sonnet-5-5", "claude-sonnet-4-5", "gpt-6-sol", "gemini-3.5-flash")
VERSIONED = "claude-haiku-4-5"
"""Offered at every door to Claude, under the API version that takes sampling settings."""
MATRICES = {model: portability.matrix(model, doors=tuple(providers.PROVIDERS)) for model in (None, *MODELS)}
PROFILE = {"ttft_ms": {"constant": 1}, "gap_ms": {"constant": 0}, "output_tokens": 24}
WRITES = {**PROFILE, "cache": {"hit_share": 0.0, "min_tokens": 1}}
READS = {**PROFILE, "cache": {"hit_share": 1.0, "min_tokens": 1}}
MARKS = {
    "tools": " [[tool]]",
    "tools in parallel": " [[parallel]]",
    "tool arguments streamed": " [[tool]]",
}
"""What makes a look-alike call tools that it is given and not made to call."""
LONG = ({"role": "system", "content": "Answer briefly. " * 60}, {"role": "user", "content": portability.ASK})
"""Long enough for every cache: some count in steps of 128 tokens."""


def place(column: Column, model: str | None, **more: Any) -> Target:
    """The column's target as a user would write it, before it is moved to its look-alike."""
    entry = registry.lookup(model, column.door) if model else None
    region = "us-east-1" if column.door in simulation.SIGNED else "us-east5"
    pinned = registry.lookup(VERSIONED, column.door)
    facts: dict[str, Any] = {"region": region}
    if entry is not None:
        facts["model_id"] = registry.model_id(entry, region)
    elif pinned is not None and column.dialect == "messages":
        facts["api_version"] = pinned.api_version
    target = portability.sample(column, entry, **facts, **more)
    return dataclasses.replace(target, id=f"{column.door}-{column.dialect}-{model or 'any'}")


def config(target: Target, name: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    return {**simulation._config(target, profile), "id": name}


@pytest.fixture(scope="module")
def house() -> Iterator[simulate.Running]:
    """One process with a look-alike for each door and model, and one more for each door whose cache is warm."""
    rows: dict[str, dict[str, Any]] = {}
    for model, matrix in MATRICES.items():
        for column in matrix.columns:
            target = place(column, model)
            rows[f"{column.door}-{model}"] = config(target, f"{column.door}-{model}", WRITES)
            if model is None:
                rows[f"{column.door}-warm"] = config(target, f"{column.door}-warm", READS)
    with simulate.launch({"seed": 1, "targets": list(rows.values())}) as running:
        yield running


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with simulation._environment(simulation._credentials(set(providers.PROVIDERS))):
        yield


async def answered(
    house: simulate.Running, column: Column, model: str | None, asks: Mapping[str, tuple[Case, Params, dict[str, Any]]]
) -> dict[str, tuple[Attempt, bytes]]:
    """Every request of a column through one adapter: what came back, and the bytes that went out."""
    wire = Wire(environ={})
    dialect = dialects.get(column.dialect)
    policy = Policy(20_000_000_000, 0)
    doors = []

    async def one(name: str, case: Case, params: Params, more: dict[str, Any]) -> tuple[Attempt, bytes]:
        warm = "warm" if name == "cache reads counted" else model
        target = simulation._moved(place(column, model, **more), house.ports[f"{column.door}-{warm}"])
        door = plain if warm == model and not more else providers.get(column.door)
        doors.append(door)
        body = dialect.encode(case, params, target)
        lane = Lane(target, door, dialect.decode, lambda request: body)
        request = Request(0, 0, case.id, target.id, 0, "measure", None)
        made = await prepare(lane, request)

        async def no_sleep(_: float) -> None:
            """One try only."""

        return (await send(lane, request, made, wire, policy, no_sleep)).final, made.data

    plain = providers.get(column.door)
    try:
        found = await asyncio.gather(*(one(name, *asked) for name, asked in asks.items()))
        return dict(zip(asks, found, strict=True))
    finally:
        await wire.aclose()
        for door in doors:
            await door.close()


def request_of(feature: Feature, column: Column, model: str | None) -> tuple[Case, Params, dict[str, Any]]:
    """The feature's own request; for what settings do not show, the one that shows it."""
    entry = registry.lookup(model, column.door) if model else None
    case, params = feature.case, asked(feature, entry)
    more: dict[str, Any] = {}
    caches = column.dialect in ("messages", "converse")
    if feature.shown_by == "tiers":
        taken = portability.tiers(providers.get(column.door), portability.sample(column, entry))
        assert taken
        more = {"service_tier": taken[-1]}
    elif feature.shown_by == "arguments":
        params = dataclasses.replace(params, tools=portability.TOOLS[:1])
    elif feature.shown_by in ("cache read", "cache write"):
        case = Case(case.id, LONG)
        params = dataclasses.replace(params, cache_breakpoints=("system",) if caches else ())
    elif feature.shown_by == "reasoning tokens":
        thinks = {"effort": "low"} if column.dialect in ("chat", "responses") else {"thinking_budget_tokens": 2048}
        params = dataclasses.replace(params, **thinks)
    if feature.name in MARKS:
        *before, last = case.messages
        case = Case(case.id, (*before, {**last, "content": last["content"] + MARKS[feature.name]}))
    return case, params, more


def body_on_the_wire(data: bytes, column: Column, stream: bool) -> dict[str, Any]:
    """The body as it lay on the wire, from what was handed to the socket or to the gRPC library."""
    if column.door != "vertex-grpc":
        return json.loads(data.partition(b"\r\n\r\n")[2])
    kind = "RawPredict" if column.dialect == "messages" else "GenerateContent"
    message = decode(METHODS[kind].request, data)
    return json.loads(message["http_body"]["data"]) if column.dialect == "messages" else message


def fits(value: Any) -> bool:
    """Whether it is what `portability.CITY` describes."""
    return set(value) == {"city", "days"} and isinstance(value["city"], str) and 1 <= value["days"] <= 9


def gives(feature: Feature, column: Column, reply: Reply, plain: Reply) -> None:
    """What the feature is for is in the reply."""
    usage = reply.usage
    calls = [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]
    given = sum(filter(None, (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens)))
    plainly = sum(filter(None, (plain.usage.input_tokens, plain.usage.cache_write_5m_tokens)))
    longer = ("system text", "several turns", "tools", "tool results", "images in base64", "images by address")
    if feature.name in longer:
        assert given > plainly  # the look-alike counted what was added to the prompt
    match feature.name:
        case "streaming":
            assert len(reply.content_ns) == usage.output_tokens == 24
        case "whole replies":
            assert (reply.content_ns, len(reply.text) > 0) == ((), True)
        case "tools":
            assert [name for name, _ in calls] == ["get_weather"]
            assert fits(calls[0][1])
        case "tools in parallel":
            assert sorted(name for name, _ in calls) == ["get_events", "get_weather"]
            assert len({call.id for call in reply.tool_calls}) == 2
        case "tool forced":
            assert [name for name, _ in calls] == ["get_events"]
        case "tool arguments streamed":
            assert len(reply.content_ns) > len(calls) == 1
        case "tool results":
            assert (calls, reply.stop_reason) == ([], "stop")
        case "JSON schema":
            assert fits(json.loads(reply.text))
        case "stop sequences":
            assert "look-alike" in plain.text
            assert plain.text.startswith(reply.text)
            assert "look-alike" not in reply.text
            assert reply.stop_reason == ("stop" if column.dialect in ("chat", "gemini") else "stop_sequence")
        case "thinking budget":
            assert reply.reasoning
        case "cache breakpoints":
            assert usage.cache_write_5m_tokens
        case "cache for an hour":
            assert usage.cache_write_1h_tokens
        case "cache reads counted":
            assert usage.cache_read_tokens
        case "cache writes counted":
            assert usage.cache_write_5m_tokens
        case "reasoning counted":
            assert usage.reasoning_tokens
    if feature.name in ("tools", "tools in parallel", "tool forced", "tool arguments streamed"):
        assert reply.stop_reason == "tool"


CELLS = [(model, column) for model, matrix in MATRICES.items() for column in matrix.columns]


@pytest.mark.parametrize(("model", "column"), CELLS, ids=[f"{model or 'any'}-{column}" for model, column in CELLS])
def test_what_passes_is_taken_and_given(house: simulate.Running, model: str | None, column: Column) -> None:
    cells = MATRICES[model].cells
    passing = [feature for feature in FEATURES if cells[feature.name, column].state == "pass"]
    if model is not None:  # of a named model, the settings: whether the model takes them
        passing = [feature for feature in passing if feature.changes]
    asks = {feature.name: request_of(feature, column, model) for feature in passing}
    found = asyncio.run(answered(house, column, model, asks))
    plain = found["streaming"][0].reply
    for feature in passing:
        attempt, sent = found[feature.name]
        _, params, more = asks[feature.name]
        where = f"{column}, {feature.name}: {attempt.exchange.status} {attempt.exchange.body[:300]!r}"
        assert attempt.exchange.status == 200, where
        assert attempt.fault is None, where
        assert attempt.reply.complete, where
        if "service_tier" in more:
            assert more["service_tier"].encode() in sent or column.door == "vertex-grpc", where
        body = body_on_the_wire(sent, column, params.stream)
        for name in feature.changes:
            if name != "stream":
                assert carried(body, name, getattr(params, name)), f"{where}: {name} is not in {body}"
        if model is None:
            gives(feature, column, attempt.reply, plain)


@pytest.mark.parametrize("column", [column for model, column in CELLS if model is None], ids=str)
def test_what_is_degraded_runs_without_what_is_named(house: simulate.Running, column: Column) -> None:
    cells = MATRICES[None].cells
    degraded = [f for f in FEATURES if f.changes and cells[f.name, column].state == "degraded"]
    asks = {feature.name: request_of(feature, column, None) for feature in degraded}
    found = asyncio.run(answered(house, column, None, asks))
    for feature in degraded:
        attempt, sent = found[feature.name]
        assert (attempt.exchange.status, attempt.fault) == (200, None)
        body = body_on_the_wire(sent, column, stream=True)
        for name in set(feature.changes) - set(feature.beside):
            assert not carried(body, name, feature.changes[name])


FIELDS = {
    # feature -> what its setting would be called on a wire that does not have it, and a value of it
    "seed": {"seed": 7},
    "stop sequences": {"stop": ["END"]},
    "top_k": {"top_k": 41},
    "thinking budget": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
}
LENIENT = ("openai-vertex", "openai-compatible")
"""Doors behind which stand many servers: unknown fields pass, as there."""
FORCED = [
    (column, name)
    for model, column in CELLS
    for name in FIELDS
    if model is None and column.dialect != "converse" and MATRICES[None].cells[name, column].state == "absent"
    if column.door not in LENIENT or column.dialect == "responses"
]


@pytest.mark.parametrize(("column", "name"), FORCED, ids=[f"{column}-{name}" for column, name in FORCED])
def test_what_is_absent_is_refused_when_it_is_sent_all_the_same(
    house: simulate.Running, column: Column, name: str
) -> None:
    params = Params(max_tokens=4096, extra_body=FIELDS[name])
    asks = {"forced": (Case("c", ({"role": "user", "content": "hi"},)), params, {})}
    attempt, sent = asyncio.run(answered(house, column, None, asks))["forced"]
    assert carried(body_on_the_wire(sent, column, stream=True), "extra_body", FIELDS[name])
    assert attempt.exchange.status == 400
    assert next(iter(FIELDS[name])).encode() in attempt.exchange.body
