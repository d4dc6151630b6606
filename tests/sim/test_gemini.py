"""Gemini and gRPC look-alikes: whole runs side by side, strict requests, scripted content, faults, and their truth."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench import dialects, providers, simulate
from bench.engine.send import Lane, Policy, prepare, send
from bench.record import Attempt, Case, Params, Request
from bench.targets import Target
from bench.wire.http import Wire

pytest.importorskip("google.genai")
pytest.importorskip("grpc")
pytest.importorskip("google.cloud.aiplatform_v1")

QUICK = {"ttft_ms": {"constant": 30}, "gap_ms": {"constant": 2}, "output_tokens": 12, "markers": True}
GEMINI, CLAUDE = "gemini-3.5-flash", "claude-sonnet-5-5"
KINDS = {
    "http-gemini": ("gemini-vertex", GEMINI, "gemini"),
    "grpc-gemini": ("vertex-grpc", GEMINI, "gemini"),
    "grpc-claude": ("vertex-grpc", CLAUDE, "messages"),
}
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Aarhus"]},
        "days": {"type": "integer", "minimum": 2, "maximum": 2},
    },
    "required": ["city", "days"],
}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "d", "parameters": CITY}} for name in ("one", "two")
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    truth = tmp_path_factory.mktemp("house") / "truth.parquet"
    rows = [
        {
            "id": name,
            "door": door,
            "model_id": model,
            "profile": QUICK,
            "credentials": simulate.default_credentials(door),
        }
        for name, (door, model, _) in KINDS.items()
    ]
    with simulate.launch({"seed": 1, "truth": str(truth), "targets": rows}) as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "simulated-google-token")


def target(house: Any, name: str, **more: Any) -> Target:
    door, model, dialect = KINDS[name]
    base = f"http://127.0.0.1:{house.ports[name]}"
    given = {
        "model_id": model,
        "dialect": dialect,
        "region": "global",
        "project": "p1",
        "base_url": base,
        "auth": {"env": "KEY"},
        "simulated": True,
    }
    return Target(name, model, door, **{**given, **more})


def ask(
    house: Any, name: str, prompt: str = "hi", params: Params | None = None, timeout_s: float = 3.0, **more: Any
) -> Attempt:
    params = params or Params(max_tokens=64)
    case = Case("c", ({"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}))

    async def run() -> Attempt:
        here = target(house, name, **more)
        dialect, door = dialects.get(here.dialect), providers.get(here.provider)
        body = dialect.encode(case, params, here)
        lane = Lane(here, door, dialect.decode, lambda request: body)
        request = Request(0, 0, "c", name, 0, "measure", None)
        wire = Wire(environ={})

        async def no_sleep(_: float) -> None:
            """One try only."""

        policy = Policy(round(timeout_s * 1e9), 0)
        done = await send(lane, request, await prepare(lane, request), wire, policy, no_sleep)
        await wire.aclose()
        await door.close()
        return done.final

    return asyncio.run(run())


# ------------------------------------------------------------------------------------------------ whole runs


TARGETS = """\
version: 1
targets:
  - {id: claude-http, model: claude-sonnet-5-5, provider: vertex, region: global, price: {input: 1, output: 1}}
  - {id: claude-grpc, model: claude-sonnet-5-5, provider: vertex-grpc, region: global, price: {input: 1, output: 1}}
  - {id: gemini-http, model: gemini-3.5-flash, provider: gemini-vertex, region: global, price: {input: 1, output: 1}}
  - {id: gemini-grpc, model: gemini-3.5-flash, provider: vertex-grpc, region: global, price: {input: 1, output: 1}}
"""


@pytest.mark.parametrize(
    ("pair", "dialect"),
    [(("claude-http", "claude-grpc"), "messages"), (("gemini-http", "gemini-grpc"), "gemini")],
)
def test_one_model_over_http_and_over_grpc_side_by_side(place, pair: tuple[str, str], dialect: str) -> None:
    (place.folder / "targets.yaml").write_text(TARGETS)
    outcome = place.run("--simulate", "--only", ",".join(pair), "--requests", "4")
    assert outcome.code == 0, outcome.err
    rows = outcome.rows()
    assert len(rows) == 8
    for row in rows:
        assert row["simulated"]
        assert row["dialect"] == dialect
        assert row["input_tokens"] > 0
        assert row["cost_usd"] is not None
        assert row["region_proof"] == "consistent"
    answered = [row for row in rows if row["outcome"] == "ok"]
    assert {row["target"] for row in answered} == set(pair)
    for row in answered:
        assert row["ttft_ms"] > 0
        assert row["first_token_ns"] <= row["last_token_ns"] <= row["end_ns"]
    over_grpc = [row for row in rows if row["target"] == pair[1]]
    assert all("(grpc, stamped by the event loop)" in row["client_stack"] for row in over_grpc)
    (about,) = [one for one in outcome.manifest["targets"] if one["id"] == pair[1]]
    assert (about["route"]["transport"], about["route"]["stamps"]) == ("grpc", "event loop")
    said = " ".join(outcome.out.split())
    assert f"{pair[1]}: carried by grpc" in said
    assert f"{pair[0]}: carried by" not in said


def test_stored_times_over_grpc_agree_with_what_the_cloud_did(place) -> None:
    import pyarrow.parquet as pq

    (place.folder / "targets.yaml").write_text(TARGETS)
    outcome = place.run("--simulate", "--only", "gemini-grpc,claude-grpc", "--requests", "4")
    truth = {row["request_id"]: row for row in pq.read_table(outcome.run / "truth.parquet").to_pylist()}
    rows = [row for row in outcome.rows() if row["outcome"] == "ok"]
    assert rows, outcome.err
    for row in rows:
        told = truth[row["provider_request_id"]]
        sent_ttft_ms = (told["token_ns"][0] - told["arrived_ns"]) / 1e6
        assert row["content_events"] == len(told["token_ns"])
        # both ends count the same wait; on a busy machine either may be late, and ours may never be shorter
        assert -1 < row["ttft_ms"] - sent_ttft_ms < 250


# ------------------------------------------------------------------------------------------------ what is said


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_is_read_as_it_was_planned(house: Any, name: str, stream: bool) -> None:
    attempt = ask(house, name, params=Params(max_tokens=64, stream=stream))
    assert attempt.fault is None
    reply = attempt.reply
    assert reply.stop_reason == "stop"
    assert reply.usage.output_tokens == 12
    assert len(reply.content_ns) == (12 if stream else 0)
    assert reply.served_model in (GEMINI, CLAUDE)
    cut = ask(house, name, params=Params(max_tokens=5, stream=stream)).reply
    assert (cut.stop_reason, cut.usage.output_tokens) == ("length", 5)
    assert reply.text.startswith(cut.text)


@pytest.mark.parametrize("name", ["http-gemini", "grpc-gemini"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_forced_tool_is_called_with_arguments_of_its_schema(house: Any, name: str, stream: bool) -> None:
    chosen = {"type": "function", "function": {"name": "two"}}
    reply = ask(house, name, params=Params(stream=stream, tools=TOOLS, tool_choice=chosen)).reply
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("two", {"city": "Aarhus", "days": 2})
    ]
    assert (reply.stop_reason, reply.native_stop_reason, reply.text) == ("tool", "STOP", "")
    assert len(reply.content_ns) == (1 if stream else 0)


@pytest.mark.parametrize("name", ["http-gemini", "grpc-gemini"])
@pytest.mark.parametrize(
    ("prompt", "choice", "called"),
    [
        ("[[parallel]]", "required", ["one", "two"]),
        ("[[parallel]]", "auto", ["one", "two"]),
        ("[[parallel]]", "none", []),
        ("plain", "auto", []),
    ],
)
def test_tools_are_called_when_the_request_or_the_prompt_says_so(
    house: Any, name: str, prompt: str, choice: str, called: list[str]
) -> None:
    reply = ask(house, name, prompt, Params(tools=TOOLS, tool_choice=choice)).reply
    assert [call.name for call in reply.tool_calls] == called
    assert bool(reply.text) == (not called)


@pytest.mark.parametrize("name", ["http-gemini", "grpc-gemini"])
@pytest.mark.parametrize("own", [True, False])
def test_a_schema_is_followed(house: Any, name: str, own: bool) -> None:
    schema = CITY
    if own:  # Google's own form
        kinds = {
            "city": {"type": "STRING", "enum": ["Aarhus"]},
            "days": {"type": "INTEGER", "minimum": 2, "maximum": 2},
        }
        schema = {"type": "OBJECT", "properties": kinds, "required": ["city", "days"]}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    reply = ask(house, name, params=Params(response_format=form)).reply
    assert json.loads(reply.text) == {"city": "Aarhus", "days": 2}


@pytest.mark.parametrize("name", ["http-gemini", "grpc-gemini"])
def test_thoughts_come_first_and_count_as_output(house: Any, name: str) -> None:
    reply = ask(house, name, params=Params(max_tokens=64, effort="low")).reply
    assert reply.reasoning
    assert reply.usage.reasoning_tokens is not None
    assert reply.usage.output_tokens == reply.usage.reasoning_tokens + 12
    assert reply.first_token_ns is not None
    assert reply.first_text_ns is not None
    assert reply.first_token_ns < reply.first_text_ns
    off = ask(house, name, params=Params(max_tokens=64, thinking_budget_tokens=0)).reply
    assert (off.reasoning, off.usage.reasoning_tokens) == ("", 0)


@pytest.mark.parametrize("name", ["http-gemini", "grpc-gemini"])
@pytest.mark.parametrize(
    ("tier", "lane"),
    [(None, "ON_DEMAND"), ("priority", "ON_DEMAND_PRIORITY"), ("flex", "ON_DEMAND_FLEX"),
     ("dedicated", "PROVISIONED_THROUGHPUT")],
)  # fmt: skip
def test_the_reply_names_the_pool_that_was_asked_for(house: Any, name: str, tier: str | None, lane: str) -> None:
    assert ask(house, name, service_tier=tier).reply.served_lane == lane


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("more", "outcome", "code"),
    [
        ({"auth": {"env": "OTHER"}}, "auth", "UNAUTHENTICATED"),
        ({"model_id": "no-such-model"}, "bad_request", "NOT_FOUND"),
    ],
)
def test_the_gate_knows_its_tokens_and_models(
    house: Any, name: str, more: dict[str, Any], outcome: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "somebody-elses")
    fault = ask(house, name, **more).fault
    assert fault is not None
    assert (fault.outcome, fault.code) == (outcome, code)


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ({"safetySetings": []}, 'Unknown name "safetySetings"'),
        ({"generationConfig": {"maxTokens": 5}}, 'Unknown name "maxTokens"'),
        ({"generationConfig": {"temperature": 3}}, "out of range"),
        ({"generationConfig": {"candidateCount": 4}}, "one candidate"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": [{"text": "x", "fileData": {}}]}]}, "one data field"),
    ],
)
def test_a_body_that_the_api_would_refuse_is_refused(house: Any, extra: dict[str, Any], word: str) -> None:
    import urllib.error
    import urllib.request

    config = {"generationConfig": {"maxOutputTokens": 5, **extra.pop("generationConfig", {})}}
    body = {"contents": [{"parts": [{"text": "hi"}]}], **config, **extra}
    place = f"projects/p1/locations/global/publishers/google/models/{GEMINI}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{house.ports['http-gemini']}/v1/{place}:generateContent",
        json.dumps(body).encode(),
        {"authorization": "Bearer simulated-google-token", "content-type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=3):
        pass
    with refused.value as reply:
        error = json.loads(reply.read())["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert word in error["message"]


def test_over_grpc_a_request_without_its_routing_header_is_refused(house: Any) -> None:
    import grpc
    from google.cloud.aiplatform_v1.types import GenerateContentRequest

    place = f"projects/p1/locations/global/publishers/google/models/{GEMINI}"
    request = GenerateContentRequest(model=place, contents=[{"role": "user", "parts": [{"text": "hi"}]}])

    async def run(metadata: tuple[tuple[str, str], ...], message: bytes) -> str:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{house.ports['grpc-gemini']}") as channel:
            call = channel.unary_unary("/google.cloud.aiplatform.v1.PredictionService/GenerateContent")
            try:
                await call(message, metadata=(("authorization", "Bearer simulated-google-token"), *metadata), timeout=3)
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
            return "fine"

    routed = (("x-goog-request-params", f"model={place}"),)
    good = GenerateContentRequest.serialize(request)
    assert asyncio.run(run(routed, good)) == "fine"
    assert asyncio.run(run((), good)).startswith("INVALID_ARGUMENT: The routing header")
    assert asyncio.run(run(routed, good + b"\xfa\x7f\x01x")).startswith("INVALID_ARGUMENT: The request cannot be read")


# ------------------------------------------------------------------------------------------------ faults


FAULTS = [
    # mark, outcome, code, content events that are kept
    ("status code=429 retry_after_s=1.5", "throttled", "RESOURCE_EXHAUSTED", 0),
    ("status code=503", "overloaded", "UNAVAILABLE", 0),
    ("status code=500", "server", "INTERNAL", 0),
    ("status code=403", "auth", "PERMISSION_DENIED", 0),
    ("error after=4 kind=overloaded", "overloaded", "UNAVAILABLE", 4),
    ("error after=4 kind=throttled", "throttled", "RESOURCE_EXHAUSTED", 4),
    ("cut after=4", "truncated", "no_terminal_event", 4),
    ("hang", "timeout", "timeout", 0),
    ("stall after=4 ms=2000", "timeout", "timeout", 4),
    ("blank", "truncated", "no_terminal_event", 0),
    ("empty", "server", "empty_reply", 0),
]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("mark", "outcome", "code", "events"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_fault_has_its_name_and_what_came_is_kept(
    house: Any, name: str, mark: str, outcome: str, code: str, events: int
) -> None:
    attempt = ask(house, name, f"[[fault: {mark}]] hi {name}", timeout_s=0.5)
    fault = attempt.fault
    assert fault is not None
    assert (fault.outcome, fault.code) == (outcome, code)
    assert len(attempt.reply.content_ns) == events
    if "retry_after" in mark:
        assert fault.retry_after_s == 1.5


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mark", ["usage-twice", "one-chunk", "stall after=2 ms=20", "drip ms=3", "hang ms=20"])
def test_what_is_odd_but_whole_is_fine(house: Any, name: str, mark: str) -> None:
    attempt = ask(house, name, f"[[fault: {mark}]] hi")
    assert attempt.fault is None
    assert attempt.reply.usage.output_tokens == 12
    assert len(attempt.reply.content_ns) == 12


@pytest.mark.parametrize("name", KINDS)
def test_counts_that_were_never_sent_are_unknown(house: Any, name: str) -> None:
    attempt = ask(house, name, "[[fault: no-usage]] hi")
    assert attempt.fault is None
    assert attempt.reply.usage.output_tokens is None


@pytest.mark.parametrize("name", ["grpc-gemini", "grpc-claude"])
def test_rubbish_in_a_message_is_an_error_of_the_server(house: Any, name: str) -> None:
    attempt = ask(house, name, "[[fault: rubbish after=3]] hi")
    assert attempt.fault is not None
    assert attempt.fault.outcome == "server"
    assert len(attempt.reply.content_ns) == 2


@pytest.mark.parametrize("mark", ["close", "reset", "huge-headers", "bad-crc", "one-byte"])
def test_a_fault_that_grpc_cannot_play_is_refused(house: Any, mark: str) -> None:
    fault = ask(house, "grpc-gemini", f"[[fault: {mark}]] hi").fault
    assert fault is not None
    assert (fault.outcome, fault.code) == ("bad_request", "INVALID_ARGUMENT")
