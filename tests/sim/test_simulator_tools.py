"""The look-alikes of OpenAI's two wires with tools, JSON replies and reasoning, spoken to by the official SDK."""

import asyncio
import json
from typing import Any

import openai
import pytest

from bench.dialects import get
from bench.record import Case, Connection, Exchange, Params
from bench.simulate import default_credentials, launch
from bench.simulate.made import value_for
from bench.targets import Target
from tests.sim.test_simulator import FAST, QUESTION, RIGHT, raw, target, write_answers

MODELS = {"openai-compatible": "org/open-model-8b", "openai": "gpt-4.1", "azure-openai": "mine"}
BASES = {"openai-compatible": "/v1", "openai": "/v1", "azure-openai": "/openai/v1"}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "unit", "days"],
}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}
    for name, schema in (("get_weather", WEATHER), ("get_time", {"type": "object", "properties": {}}))
)
FLAT = [{"type": "function", **tool["function"]} for tool in TOOLS]
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
FORCED = {"type": "function", "function": {"name": "get_time"}}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    answers = write_answers(tmp_path_factory.mktemp("clouds"))
    targets = [{**target("openai"), "id": door, "door": door, "model_id": model} for door, model in MODELS.items()]
    with launch({"seed": 7, "targets": targets, "answers": answers}) as running:
        yield running


def client(clouds, door) -> openai.AsyncOpenAI:
    key = default_credentials(door)["api_key"]
    return openai.AsyncOpenAI(
        api_key=key, base_url=f"http://127.0.0.1:{clouds.ports[door]}{BASES[door]}", max_retries=0
    )


def decoded(clouds, door: str, dialect: str, prompt: str, params: Params) -> Any:
    """Our own encode and decode over a plain socket: (reply, the raw exchange)."""
    at = Target("t", "m", door, MODELS[door], dialect)
    body = get(dialect).encode(Case("c", ({"role": "user", "content": prompt},)), params, at)
    path = BASES[door] + ("/responses" if dialect == "responses" else "/chat/completions")
    key = default_credentials(door)["api_key"]
    seen = raw(clouds.ports[door], path, {"authorization": f"Bearer {key}"}, body)
    pieces = tuple(zip(seen.chunk_ns or [seen.headers_ns] * len(seen.chunks), seen.chunks, strict=False))
    headers = tuple(seen.headers.items())
    exchange = Exchange(seen.sent_ns, seen.headers_ns, pieces[-1][0], seen.status, headers, pieces, Connection(False))
    assert seen.status == 200, seen.body
    return get(dialect).decode(exchange)


async def completion(clouds, door, prompt, stream, **fields) -> dict[str, Any]:
    """What the SDK reads from the chat wire."""
    async with client(clouds, door) as sdk:
        ask = {"model": MODELS[door], "messages": [{"role": "user", "content": prompt}], **fields}
        if stream:
            helper = sdk.chat.completions.stream(**ask, stream_options={"include_usage": True})
            async with helper as events:
                async for _ in events:
                    pass
                done = await events.get_final_completion()
        else:
            done = await sdk.chat.completions.create(**ask)
    message = done.choices[0].message
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return {"text": message.content or "", "calls": calls, "stop": done.choices[0].finish_reason, "usage": done.usage}


async def response(clouds, door, prompt, stream, **fields) -> dict[str, Any]:
    """What the SDK reads from the Responses wire."""
    async with client(clouds, door) as sdk:
        ask = {"model": MODELS[door], "input": prompt, "store": False, **fields}
        if stream:
            numbers = []
            async with sdk.responses.stream(**ask) as events:
                async for event in events:
                    numbers.append(event.sequence_number)  # noqa: PERF401  (the stream must be read to its end)
                done = await events.get_final_response()
            assert numbers == list(range(len(numbers)))  # no event is lost
        else:
            done = await sdk.responses.create(**ask)
    calls = [(item.call_id, item.name, item.arguments) for item in done.output if item.type == "function_call"]
    return {"text": done.output_text, "calls": calls, "stop": done.status, "usage": done.usage, "response": done}


def asked(clouds, door, wire, prompt, stream, **fields) -> dict[str, Any]:
    return asyncio.run((response if wire == "responses" else completion)(clouds, door, prompt, stream, **fields))


WIRES = [(door, "chat") for door in MODELS] + [("openai", "responses"), ("azure-openai", "responses")]
both = pytest.mark.parametrize(("door", "wire"), WIRES)
streamed = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def tools_of(wire: str) -> dict[str, Any]:
    return {"tools": FLAT if wire == "responses" else list(TOOLS)}


@both
@streamed
def test_text_comes_as_planned(clouds, door, wire, stream):
    done = asked(clouds, door, wire, QUESTION, stream)
    assert (done["text"], done["calls"]) == (RIGHT, [])
    assert done["stop"] == ("completed" if wire == "responses" else "stop")
    output = done["usage"].output_tokens if wire == "responses" else done["usage"].completion_tokens
    assert output > 15


@both
@streamed
def test_the_forced_tool_is_called_and_no_other(clouds, door, wire, stream):
    choice = {"type": "function", "name": "get_time"} if wire == "responses" else FORCED
    done = asked(clouds, door, wire, QUESTION, stream, **tools_of(wire), tool_choice=choice)
    assert [(name, arguments) for _, name, arguments in done["calls"]] == [("get_time", "{}")]
    assert done["text"] == ""
    assert done["stop"] == ("completed" if wire == "responses" else "tool_calls")


@both
@streamed
def test_a_required_tool_gets_arguments_that_fit_its_schema(clouds, door, wire, stream):
    prompt = "What weather? [[parallel]]"
    done = asked(clouds, door, wire, prompt, stream, **tools_of(wire), tool_choice="required")
    (first, name, arguments), (second, other, _) = done["calls"]
    assert (name, other) == ("get_weather", "get_time")
    assert first != second
    value = json.loads(arguments)
    assert set(value) == {"city", "unit", "days"}
    assert value["unit"] in ("c", "f")
    assert value["days"] >= 1
    again = asked(clouds, door, wire, prompt, stream, **tools_of(wire), tool_choice="required")
    assert again["calls"][0][2] == arguments


WANTED = [
    # mark in the prompt, tool_choice, parallel_tool_calls -> calls
    ("", "auto", None, 0),
    ("[[tool]]", "auto", None, 1),
    ("[[parallel]]", "auto", None, 2),
    ("[[parallel]]", "auto", False, 1),
    ("", "required", None, 1),
    ("[[parallel]]", "required", None, 2),
    ("[[tool]] [[parallel]]", "none", None, 0),
]


@pytest.mark.parametrize(("mark", "choice", "parallel", "count"), WANTED)
def test_marks_and_choice_say_how_many_tools_are_called(clouds, mark, choice, parallel, count):
    more = {} if parallel is None else {"parallel_tool_calls": parallel}
    for wire in ("chat", "responses"):
        done = asked(clouds, "openai", wire, f"Go {mark}", True, **tools_of(wire), tool_choice=choice, **more)
        assert len(done["calls"]) == count
        assert bool(done["text"]) == (count == 0)


@both
@streamed
def test_a_reply_in_json_fits_the_schema_unless_the_case_has_its_own(clouds, door, wire, stream):
    flat = {"format": {"type": "json_schema", **FORMAT["json_schema"]}}
    fields = {"text": flat} if wire == "responses" else {"response_format": FORMAT}
    done = asked(clouds, door, wire, "How many?", stream, **fields)
    assert list(json.loads(done["text"])) == ["days"]
    assert asked(clouds, door, wire, QUESTION, stream, **fields)["text"] == RIGHT


@pytest.mark.parametrize(("door", "dialect"), WIRES)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_our_dialects_read_what_the_sdk_reads(clouds, door, dialect, stream):
    params = Params(max_tokens=400, stream=stream, tools=TOOLS, tool_choice="required")
    for prompt in ("Go [[parallel]]", "Go"):
        reply = decoded(clouds, door, dialect, prompt, params)
        done = asked(clouds, door, dialect, prompt, stream, **tools_of(dialect), tool_choice="required")
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [call[1:] for call in done["calls"]]
        assert (reply.stop_reason, reply.complete, reply.text) == ("tool", True, "")
        assert reply.usage.output_tokens is not None
        if stream:
            assert len(reply.content_ns) == reply.usage.output_tokens  # every piece is one event here
    reply = decoded(clouds, door, dialect, QUESTION, Params(max_tokens=400, stream=stream))
    assert (reply.text, reply.stop_reason, reply.complete) == (RIGHT, "stop", True)
    short = decoded(clouds, door, dialect, QUESTION, Params(max_tokens=16, stream=stream))
    assert (short.stop_reason, short.usage.output_tokens, short.complete) == ("length", 16, True)
    assert RIGHT.startswith(short.text)


@streamed
def test_reasoning_is_told_where_the_wire_tells_it(clouds, stream):
    params = Params(max_tokens=400, stream=stream, effort="low")
    open_server = decoded(clouds, "openai-compatible", "chat", QUESTION, params)
    assert (open_server.usage.reasoning_tokens, open_server.text) == (12, RIGHT)
    assert open_server.reasoning.startswith("This text stands in")
    assert decoded(clouds, "openai", "chat", QUESTION, params).reasoning == ""
    assert decoded(clouds, "openai", "responses", QUESTION, params).reasoning == ""
    done = asked(clouds, "openai", "responses", QUESTION, stream, reasoning={"effort": "low", "summary": "auto"})
    (thought,) = [item for item in done["response"].output if item.type == "reasoning"]
    assert thought.summary[0].text == open_server.reasoning
    assert done["usage"].output_tokens_details.reasoning_tokens == 12


def test_the_classic_path_of_azure_answers_responses_too(clouds):
    async def go():
        said = default_credentials("azure-openai")
        base = f"http://127.0.0.1:{clouds.ports['azure-openai']}"
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=base, api_version="2025-04-01-preview", api_key=said["api_key"], max_retries=0
        ) as sdk:
            return await sdk.responses.create(model="mine", input=QUESTION)

    assert asyncio.run(go()).output_text == RIGHT


def posted(clouds, wire, body, door="openai"):
    key = default_credentials(door)["api_key"]
    path = BASES[door] + ("/responses" if wire == "responses" else "/chat/completions")
    start = {"input": "hi"} if wire == "responses" else {"messages": [{"role": "user", "content": "hi"}]}
    seen = raw(clouds.ports[door], path, {"authorization": f"Bearer {key}"}, {"model": MODELS[door], **start, **body})
    return seen.status, json.loads(seen.body)


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
REFUSED = [
    ("responses", {"stop": ["x"]}, "Unknown parameter: 'stop'"),
    ("responses", {"seed": 7}, "Unknown parameter: 'seed'"),
    ("responses", {"messages": []}, "Unknown parameter: 'messages'"),
    ("responses", {"max_tokens": 64}, "Unknown parameter: 'max_tokens'"),
    ("responses", {"response_format": {"type": "text"}}, "Unknown parameter: 'response_format'"),
    ("responses", {"text": {"style": "x"}}, "Unknown parameter: 'text.style'"),
    ("responses", {"max_output_tokens": 15}, "minimum value"),
    ("responses", {"input": []}, "'input'"),
    ("responses", {"input": [{"role": "tool", "content": "x"}]}, "Invalid value: 'tool'"),
    ("responses", {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "Invalid value: 'text'"),
    ("responses", {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "input_text"),
    ("responses", {"input": [{"role": "user", "content": "x", "name": "Ann"}]}, "input[0].name"),
    ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]}, "No tool call found"),
    ("responses", {"tools": list(TOOLS)}, "tools[0].name"),
    ("responses", {"stream_options": {"include_obfuscation": False}}, "stream_options"),
    ("responses", {"reasoning": {"effort": "much"}}, "reasoning.effort"),
    ("responses", {"text": {"format": FORMAT}}, "text.format.name"),
    ("chat", {"tools": FLAT}, "Unknown parameter: 'tools[0].description'"),
    ("chat", {"tool_choice": "auto"}, "only allowed when 'tools'"),
    ("chat", {"tools": list(TOOLS), "tool_choice": "any"}, "Supported values"),
    ("chat", {"tools": list(TOOLS), "tool_choice": {"type": "function", "function": {"name": "x"}}}, "not found"),
    ("chat", {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "json_schema.name"),
    ("chat", {"input": "x"}, "Unknown parameter: 'input'"),
]


@pytest.mark.parametrize(("wire", "body", "words"), REFUSED)
def test_what_the_wire_does_not_allow_is_refused_in_its_words(clouds, wire, body, words):
    for door in ("openai", "azure-openai"):
        status, said = posted(clouds, wire, body, door)
        assert status == 400
        assert words in said["error"]["message"]


def test_a_conversation_with_calls_and_images_is_taken(clouds):
    call = {"id": "c", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    case = Case(
        "c",
        (
            {"role": "developer", "content": "D"},
            {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
            {"role": "assistant", "content": "I call", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "20", "name": "get_time"},
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "user", "content": QUESTION},
        ),
    )
    params = Params(tools=TOOLS, effort="low", response_format=FORMAT, temperature=0, top_p=1)
    for dialect in ("responses", "chat"):
        body = get(dialect).encode(case, params, Target("t", "m", "openai", "gpt-4.1", dialect))
        status, said = posted(clouds, dialect, {**body, "stream": False, "stream_options": None})
        assert status == 200, said


FAULTS = [
    # mark -> (complete, code of the error in the stream)
    ("[[fault: cut after=3]]", False, None),
    ("[[fault: reset after=3]]", False, None),
    ("[[fault: error kind=server after=3]]", False, "server_error"),
    ("[[fault: error kind=throttled after=3]]", False, "rate_limit_exceeded"),
    ("[[fault: no-usage]]", True, None),
    ("[[fault: usage-twice]]", True, None),
    ("[[fault: empty]]", True, None),
    ("[[fault: one-byte]]", True, None),
    ("[[fault: one-chunk]]", True, None),
]


@pytest.mark.parametrize(("mark", "complete", "code"), FAULTS)
def test_faults_of_the_responses_wire_are_read_for_what_they_are(clouds, mark, complete, code):
    reply = decoded(clouds, "openai", "responses", f"x {mark}", Params(max_tokens=64))
    assert reply.complete is complete
    found = None if reply.error_body is None else json.loads(reply.error_body)["error"]["code"]
    assert found == code
    if "after=3" in mark:
        assert len(reply.content_ns) == 3
    if "no-usage" in mark:
        assert reply.usage.output_tokens is None
    elif complete:
        assert reply.usage.output_tokens == len(reply.content_ns) == (0 if "empty" in mark else FAST["output_tokens"])


def test_the_same_schema_and_seed_make_the_same_value():
    assert value_for(WEATHER, 3) == value_for(json.loads(json.dumps(WEATHER)), 3)
    assert len({json.dumps(value_for(WEATHER, seed)) for seed in range(20)}) > 10
