"""Converse end to end: the look-alike read by boto3, and whole runs beside the Messages dialect through one door."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench import simulate
from bench.simulate import default_credentials

boto3 = pytest.importorskip("boto3")

OLD = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW = "us.anthropic.claude-sonnet-5-5"
FAST = {"ttft_ms": {"constant": 4}, "gap_ms": {"constant": 1}, "markers": True, "output_tokens": 8}
WHERE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
}
PIXEL = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    cache = {**FAST, "cache": {"hit_share": 0.0, "min_tokens": 1}}
    targets = [
        {"id": name, "door": "bedrock", "model_id": model, "profile": profile}
        for name, model, profile in (("old", OLD, FAST), ("new", NEW, FAST), ("cached", OLD, cache))
    ]
    with simulate.launch({"seed": 1, "targets": targets}) as running:
        yield dict(running.ports)


def client_at(port: int) -> Any:
    from botocore.config import Config

    said = default_credentials("bedrock")
    return boto3.client(
        "bedrock-runtime",
        region_name=said["region"],
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=said["access_key"],
        aws_secret_access_key=said["secret_key"],
        config=Config(signature_version="v4", retries={"mode": "standard", "total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def clients(ports: dict[str, int]) -> Iterator[dict[str, Any]]:
    made = {name: client_at(port) for name, port in ports.items()}
    yield made
    for one in made.values():
        one.close()


def tools(*names: str) -> dict[str, Any]:
    return {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": WHERE}}} for name in names]}


def ask(prompt: str = "Hello", model: str = OLD, **more: Any) -> dict[str, Any]:
    return {"modelId": model, "messages": [{"role": "user", "content": [{"text": prompt}]}], **more}


def blocks_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content blocks that the events of a stream build, as a whole reply has them."""
    blocks: dict[int, dict[str, Any]] = {}
    open_blocks: set[int] = set()
    for one in events:
        ((kind, body),) = one.items()
        at = body.get("contentBlockIndex")
        if kind == "contentBlockStart":
            blocks[at] = {"toolUse": {**body["start"]["toolUse"], "input": ""}}
        if kind == "contentBlockStop":
            open_blocks.remove(at)
        if kind in ("contentBlockStart", "contentBlockDelta"):
            open_blocks.add(at)
            assert open_blocks == {at}, "a block ends before the next one begins"
        if kind == "contentBlockDelta":
            delta = body["delta"]
            if "text" in delta:
                block = blocks.setdefault(at, {"text": ""})
                block["text"] += delta["text"]
            elif "toolUse" in delta:
                blocks[at]["toolUse"]["input"] += delta["toolUse"]["input"]
            else:
                block = blocks.setdefault(at, {"reasoningContent": {"reasoningText": {"text": ""}}})
                inner = block["reasoningContent"]["reasoningText"]
                for key, value in delta["reasoningContent"].items():
                    inner[key] = inner.get(key, "") + value
    assert not open_blocks
    assert list(blocks) == list(range(len(blocks)))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return list(blocks.values())


def both(client: Any, asked: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Blocks and stop reason; streamed and whole say the same but for the ids and signatures of each request."""
    whole = client.converse(**asked)
    events = list(client.converse_stream(**asked)["stream"])
    content, stop = whole["output"]["message"]["content"], whole["stopReason"]
    streamed = blocks_of(events)
    assert [next(iter(block)) for block in streamed] == [next(iter(block)) for block in content]
    assert [e["messageStop"]["stopReason"] for e in events if "messageStop" in e] == [stop]
    assert whole["usage"]["outputTokens"] == events[-1]["metadata"]["usage"]["outputTokens"]
    return streamed, stop


CALLS = [
    # tool choice, prompt, the sets of tools of which one is called
    ({"any": {}}, "Hello", (["one"], ["two"])),
    ({"tool": {"name": "two"}}, "Hello", (["two"],)),
    ({"any": {}}, "Hello [[parallel]]", (["one", "two"],)),
    ({"auto": {}}, "Hello", ([],)),
    ({"auto": {}}, "Hello [[tool]]", (["one"], ["two"])),
    (None, "Hello [[parallel]]", (["one", "two"],)),
]


@pytest.mark.parametrize(("choice", "prompt", "called"), CALLS)
def test_tools_are_called_as_the_choice_says(
    clients: dict[str, Any], choice: dict[str, Any] | None, prompt: str, called: tuple[list[str], ...]
) -> None:
    config = {**tools("one", "two"), **({"toolChoice": choice} if choice else {})}
    blocks, stop = both(clients["old"], ask(prompt, toolConfig=config))
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    assert [call["name"] for call in calls] in called
    assert len({call["toolUseId"] for call in calls}) == len(calls)
    for call in calls:
        assert isinstance(call["input"]["city"], str)
        assert 1 <= call["input"]["days"] <= 9
    assert stop == ("tool_use" if calls else "end_turn")


def test_thinking_comes_before_the_text_with_a_signature_at_its_end(clients: dict[str, Any]) -> None:
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    asked = ask(additionalModelRequestFields=fields, inferenceConfig={"maxTokens": 2048})
    (thought, text), stop = both(clients["old"], asked)
    said = thought["reasoningContent"]["reasoningText"]
    assert said["text"]
    assert said["signature"]
    assert text["text"]
    assert stop == "end_turn"


def test_a_reply_under_a_schema_fits_it(clients: dict[str, Any]) -> None:
    schema = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(WHERE)}}}
    (block,), stop = both(clients["old"], ask(outputConfig={"textFormat": schema}))
    value = json.loads(block["text"])
    assert sorted(value) == ["city", "days"]
    assert stop == "end_turn"


def test_a_call_that_max_tokens_cuts_says_so_and_has_no_whole_arguments(clients: dict[str, Any]) -> None:
    config = {**tools("one"), "toolChoice": {"any": {}}}
    asked = ask(toolConfig=config, inferenceConfig={"maxTokens": 2})
    whole = clients["old"].converse(**asked)
    assert (whole["stopReason"], whole["usage"]["outputTokens"]) == ("max_tokens", 2)
    (block,) = whole["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {}
    events = list(clients["old"].converse_stream(**asked)["stream"])
    parts = [e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in events if "contentBlockDelta" in e]
    assert len(parts) == 2
    assert "".join(parts).startswith('{"')


def test_the_tier_and_the_latency_are_said_back(clients: dict[str, Any]) -> None:
    asked = ask(serviceTier={"type": "flex"}, performanceConfig={"latency": "optimized"})
    whole = clients["old"].converse(**asked)
    assert (whole["serviceTier"], whole["performanceConfig"]) == ({"type": "flex"}, {"latency": "optimized"})
    assert clients["old"].converse(**ask())["serviceTier"] == {"type": "default"}


def test_a_cache_point_writes_with_its_lifetime(clients: dict[str, Any]) -> None:
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    asked = ask(system=[{"text": "rules " * 40}, point])
    usage = clients["cached"].converse(**asked)["usage"]
    assert usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": usage["cacheWriteInputTokens"]}]
    assert usage["cacheWriteInputTokens"] == 60  # "rules " forty times is 240 characters, four to a token


def test_a_conversation_with_tools_and_an_image_is_taken(clients: dict[str, Any]) -> None:
    messages = [
        {"role": "user", "content": [{"text": "Hi"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "one", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "ok"}]}}]},
    ]
    reply = clients["old"].converse(modelId=OLD, messages=messages, toolConfig=tools("one"))
    assert reply["stopReason"] == "end_turn"


def turn(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content) or [{"text": "x"}]}


USE = {"toolUse": {"toolUseId": "a", "name": "one", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "a", "content": [{"text": "ok"}]}}
POINT = {"cachePoint": {"type": "default"}}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
FORMAT = {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{'type'"}}}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("new", {"inferenceConfig": {"temperature": 0.0}}, "does not support temperature"),
    ("new", {"additionalModelRequestFields": {"top_k": 3}}, "top_k"),
    ("old", {"inferenceConfig": {"temperature": 0.0, "topP": 0.5}}, "cannot both be specified"),
    ("old", {"inferenceConfig": {"temperature": 1.5}}, "from 0 to 1"),
    ("old", {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 9}}}, "at least 1024"),
    ("old", {"additionalModelRequestFields": THINK, "inferenceConfig": {"maxTokens": 1024}}, "must be greater"),
    ("old", {"additionalModelRequestFields": THINK, "inferenceConfig": {"temperature": 0.0}}, "may only be set to 1"),
    ("old", {"additionalModelRequestFields": THINK, "toolConfig": {**tools("one"), "toolChoice": {"any": {}}}},
     "Thinking may not be enabled"),
    ("old", {"messages": [turn("user"), turn("assistant", USE), turn("user", RESULT)]}, "toolConfig field must"),
    ("old", {"messages": [turn("user"), turn("assistant", USE), turn("user")], "toolConfig": tools("one")},
     "Expected toolResult blocks at messages.2.content for the following Ids: a"),
    ("old", {"messages": [turn("user", RESULT)], "toolConfig": tools("one")}, "exceeds the number of toolUse"),
    ("old", {"messages": [turn("user"), turn("user")]}, "must alternate"),
    ("old", {"messages": [turn("assistant")]}, "must start with a user message"),
    ("old", {"toolConfig": {**tools("one"), "toolChoice": {"tool": {"name": "two"}}}}, "two"),
    ("old", {"toolConfig": tools("one", "one")}, "already defined"),
    ("old", {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}}, "one of the following"),
    ("old", {"system": [{"text": "x"}, POINT] * 5}, "maximum of 4 cache points"),
    ("old", {"outputConfig": {"textFormat": FORMAT}}, "JSON schema"),
    ("old", {"outputConfig": {"effort": "extreme"}}, "effort"),
    ("old", {"serviceTier": {"type": "gold"}}, "serviceTier"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "more", "said"), REFUSED)
def test_what_aws_refuses_is_refused_in_its_words(
    clients: dict[str, Any], name: str, more: dict[str, Any], said: str
) -> None:
    from botocore.exceptions import ClientError

    asked = {**ask(model=NEW if name == "new" else OLD), **more}
    with pytest.raises(ClientError) as refused:
        clients[name].converse(**asked)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert said in refused.value.response["Error"]["Message"]


# ------------------------------------------------------------------------------------------------ whole runs


def two_dialects(place: Any, **more: Any) -> None:
    rows = [
        {
            "id": dialect,
            "model": "claude-sonnet-5-5",
            "provider": "bedrock",
            "region": "us-east-1",
            "dialect": dialect,
            **more,
        }
        for dialect in ("messages", "converse")
    ]
    (place.folder / "targets.yaml").write_text(json.dumps({"version": 1, "targets": rows}))


def started(place: Any, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    given = default_credentials("bedrock")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["secret_key"])
    two_dialects(place, base_url=f"http://127.0.0.1:{port}")


def test_both_dialects_of_bedrock_run_side_by_side(
    place: Any, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(place, monkeypatch, ports["new"])
    done = place.run(requests=8)
    assert done.code == 0, done.err
    rows = done.rows()
    assert len(rows) == 16
    assert {(r["target"], r["dialect"]) for r in rows} == {("converse", "converse"), ("messages", "messages")}
    for row in rows:
        assert row["outcome"] == "ok"
        assert (
            row["sent_ns"] < row["headers_ns"] <= row["first_byte_ns"] <= row["first_token_ns"] <= row["last_token_ns"]
        )
        assert (row["output_tokens"], row["content_events"]) == (8, 8)
        assert row["cost_usd"] is not None
        assert row["served_lane"] == ("standard" if row["target"] == "messages" else "default")
        assert row["region_proof"] == ("consistent" if row["target"] == "messages" else "unknown")
        assert row["client_stack"].startswith("anthropic" if row["target"] == "messages" else "boto3")
    tokens = {(r["target"], r["case_id"]): r["input_tokens"] for r in rows}
    for case in ("one", "two", "three", "four"):
        assert tokens["converse", case] == tokens["messages", case]  # the same words were sent
    costs = {(r["target"], r["case_id"]): r["cost_usd"] for r in rows}
    assert costs["converse", "one"] == costs["messages", "one"]
    spoken = {t["id"]: t for t in done.manifest["targets"]}
    assert "converse-stream" in json.dumps(spoken["converse"])


def test_a_simulated_run_speaks_converse_to_a_look_alike_of_its_own(place: Any) -> None:
    two_dialects(place)
    done = place.run("--simulate", "--only", "converse", requests=1)
    assert done.code == 0, done.err
    (row,) = done.rows()
    assert (row["outcome"], row["simulated"], row["dialect"]) == ("ok", True, "converse")


TOOLS = """\
tools:
  - {type: function, function: {name: find, parameters: {type: object, properties: {city: {type: string}}}}}
"""


def test_tool_calls_of_both_dialects_are_stored_alike(
    place: Any, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(place, monkeypatch, ports["new"])
    path = place.workload(requests=2, suffix=" [[tool]]")
    path.write_text(path.read_text() + TOOLS)
    done = place.bench("run", "small.yaml", "--no-calibrate", "--out", "results", "--only", "converse")
    assert done.code == 0, done.err
    calls = [json.loads(reply["tool_calls"]) for reply in done.rows("replies")]
    assert [[call["name"] for call in each] for each in calls] == [["find"]] * 2
    assert all(json.loads(call["arguments"])["city"] for each in calls for call in each)
    assert {r["stop_reason"] for r in done.rows()} == {"tool"}
    assert all(r["first_token_ns"] is not None and r["first_text_ns"] is None for r in done.rows())


FAULTS = [
    # fault, outcome, content events kept
    ("status code=429", "throttled", 0),
    ("status code=503", "overloaded", 0),
    ("error after=3 kind=throttled", "throttled", 3),
    ("error after=3 kind=overloaded", "overloaded", 3),
    ("error after=3 kind=server", "server", 3),
    ("cut after=3", "truncated", 3),
    ("reset after=3", "truncated", 3),
    ("bad-crc after=3", "server", 2),
    ("rubbish after=2", "server", 1),
    ("blank", "truncated", 0),
    ("empty", "server", 0),
    ("no-usage", "ok", 8),
    ("usage-twice", "ok", 8),
    ("one-byte", "ok", 8),
    ("one-chunk", "ok", 8),
]


def test_each_fault_has_its_name_through_converse_and_what_came_is_kept(
    place: Any, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(place, monkeypatch, ports["new"])
    path = place.workload(requests=len(FAULTS))
    text = path.read_text()
    head, _, rest = text.partition("  items:\n")
    items = [
        {"id": f"q{n}", "question": f"What? [[fault: {fault}]]", "expected": {"answerable": False}, "metadata": {}}
        for n, (fault, _, _) in enumerate(FAULTS)
    ]
    listed = "".join(f"    - {json.dumps(item)}\n" for item in items)
    path.write_text(f"{head}  items:\n{listed}{rest[rest.index('messages:') :]}")
    done = place.bench("run", "small.yaml", "--no-calibrate", "--out", "results", "--only", "converse")
    got = {r["case_id"]: (r["outcome"], r["content_events"]) for r in done.rows()}
    assert got == {f"q{n}": (outcome, kept) for n, (_, outcome, kept) in enumerate(FAULTS)}
    usage = {r["case_id"]: r["output_tokens"] for r in done.rows()}
    named = {fault: usage[f"q{n}"] for n, (fault, _, _) in enumerate(FAULTS)}
    assert (named["no-usage"], named["usage-twice"], named["one-byte"]) == (None, 8, 8)
