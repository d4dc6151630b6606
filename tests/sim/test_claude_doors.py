"""The seven doors to Claude: the vendors' own SDK and our doors, both against the look-alikes."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from bench import providers, simulate
from bench.dialects import messages
from bench.engine.send import fault_of
from bench.record import Case, Connection, Exchange, Params, Reply
from bench.targets import Target
from tests.sim.conftest import Place

# The SDK warns of models and of kinds of thinking that end; what it then sends is what is looked at here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(deprecated|end-of-life):DeprecationWarning", "ignore:.*thinking.*:UserWarning"
)

FAST = {"ttft_ms": {"constant": 2}, "gap_ms": {"constant": 1}, "output_tokens": 6, "markers": True}
OLD = {
    "anthropic": "claude-opus-4-6",
    "bedrock": "us.anthropic.claude-opus-4-6-v1",
    "bedrock-mantle": "anthropic.claude-opus-4-6",
    "claude-aws": "claude-opus-4-6",
    "vertex": "claude-opus-4-6",
    "claude-gcp": "claude-opus-4-6",
    "foundry": "claude-opus-4-6",
}
"""A model that takes budgets and adaptive thinking, forced tools and sampling."""
DOORS = tuple(OLD)
PREFIX = {"bedrock": "msg_bdrk_01", "bedrock-mantle": "msg_bdrk_01", "vertex": "msg_vrtx_01"}
WORKSPACE = "/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = [
    {"name": "get_weather", "description": "d", "input_schema": WEATHER},
    {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
]


@pytest.fixture(scope="module")
def clouds() -> Iterator[simulate.Running]:
    targets = [{"id": door, "door": door, "model_id": model, "profile": FAST} for door, model in OLD.items()]
    five = {
        "bedrock": "us.anthropic.claude-sonnet-5-5",
        "vertex": "claude-sonnet-5-5",
        "anthropic": "claude-sonnet-5-5",
    }
    targets += [{"id": f"five-{door}", "door": door, "model_id": m, "profile": FAST} for door, m in five.items()]
    old = {"id": "old-anthropic", "door": "anthropic", "model_id": "claude-sonnet-4-5-20250929", "profile": FAST}
    with simulate.launch({"seed": 3, "targets": [*targets, old]}) as running:
        yield running


def sdk(door: str, port: int) -> Any:
    base, said = f"http://127.0.0.1:{port}", simulate.default_credentials(door)
    # all is plain HTTP: reading the certificates of the web for each of hundreds of clients would take longer than the tests
    plain = anthropic.DefaultAsyncHttpxClient(verify=False)
    common: dict[str, Any] = {"max_retries": 0, "http_client": plain}
    aws = {f"aws_{key}": said.get(key) for key in ("access_key", "secret_key", "region")}
    match door:
        case "anthropic":
            return anthropic.AsyncAnthropic(api_key=said["api_key"], base_url=base, **common)
        case "bedrock":
            return anthropic.AsyncAnthropicBedrock(**aws, base_url=base, **common)
        case "bedrock-mantle":
            return anthropic.AsyncAnthropicBedrockMantle(**aws, base_url=f"{base}/anthropic", **common)
        case "claude-aws":
            return anthropic.AsyncAnthropicAWS(**aws, workspace_id="wrkspc_1", base_url=base, **common)
        case "vertex":
            return anthropic.AsyncAnthropicVertex(
                region="global", project_id="p1", access_token=said["token"], base_url=f"{base}/v1", **common
            )
        case "claude-gcp":
            return anthropic.AsyncAnthropicGoogleCloud(
                project="p1", workspace_id="wrkspc_1", token_provider=lambda: said["token"], base_url=base + WORKSPACE,
                **common,
            )  # fmt: skip
    return anthropic.AsyncAnthropicFoundry(api_key=said["api_key"], base_url=f"{base}/anthropic/", **common)


def fields(door: str, prompt: str = "What now?", model: str | None = None, **more: Any) -> dict[str, Any]:
    """Arguments of `messages.create`; settings that the SDK has no name for go into its extra body."""
    extra = {key: more.pop(key) for key in ("temperature", "top_p", "top_k", "oddity") if key in more}
    if door in ("bedrock", "vertex"):  # the version before the one that takes no sampling
        pinned = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}[door]
        extra = {"anthropic_version": pinned, **extra}
    headers = more.pop("extra_headers", {"anthropic-version": "2023-06-01"})
    turns = more.pop("messages", [{"role": "user", "content": prompt}])
    return {
        "model": model or OLD[door], "max_tokens": more.pop("max_tokens", 4096), "messages": turns,
        "extra_body": extra, **({} if door in ("bedrock", "vertex") else {"extra_headers": headers}), **more,
    }  # fmt: skip


def both(clouds: simulate.Running, door: str, prompt: str, **more: Any) -> tuple[Any, Any]:
    """The same question streamed and whole, as the SDK reads them."""

    async def go() -> tuple[Any, Any]:
        async with sdk(door, clouds.ports[door]) as client:
            asked = fields(door, prompt, **more)
            async with client.messages.stream(**asked) as stream:
                streamed = await stream.get_final_message()
            return streamed, await client.messages.create(**asked)

    return asyncio.run(go())


@pytest.mark.parametrize("door", DOORS)
def test_forced_tools_are_called_with_arguments_that_follow_their_schemas(clouds: simulate.Running, door: str) -> None:
    for message in both(clouds, door, "Go", tools=TOOLS, tool_choice={"type": "tool", "name": "get_weather"}):
        (call,) = message.content
        assert (call.type, call.name, message.stop_reason) == ("tool_use", "get_weather", "tool_use")
        assert set(call.input) == {"city", "unit"}
        assert call.input["unit"] in ("C", "F")
        assert call.id.startswith("toolu_" + PREFIX.get(door, "msg_01").removeprefix("msg_"))


@pytest.mark.parametrize("door", DOORS)
def test_tools_are_called_in_parallel_once_or_not_at_all_as_the_request_says(
    clouds: simulate.Running, door: str
) -> None:
    asked: list[tuple[str, dict[str, Any], int]] = [
        # prompt, tool choice -> calls
        ("Go [[parallel]]", {"type": "any"}, 2),
        ("Go", {"type": "any"}, 1),
        ("Go [[parallel]]", {"type": "any", "disable_parallel_tool_use": True}, 1),
        ("Go", {"type": "auto"}, 0),
        ("Go [[tool]]", {"type": "auto"}, 1),
        ("Go [[parallel]]", {"type": "auto"}, 2),
        ("Go [[tool]]", {"type": "none"}, 0),
    ]
    for prompt, choice, count in asked:
        for message in both(clouds, door, prompt, tools=TOOLS, tool_choice=choice):
            calls = [block for block in message.content if block.type == "tool_use"]
            assert len(calls) == count, (prompt, choice)
            assert len({call.id for call in calls}) == count
            assert message.stop_reason == ("tool_use" if count else "end_turn")


@pytest.mark.parametrize("door", DOORS)
def test_results_of_tools_are_told_and_not_asked_for_again(clouds: simulate.Running, door: str) -> None:
    turns = [
        {"role": "user", "content": "Go [[tool]]"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}]},
    ]
    for message in both(clouds, door, "", tools=TOOLS, messages=turns):
        assert [block.type for block in message.content] == ["text"]


@pytest.mark.parametrize("door", DOORS)
def test_thinking_comes_first_and_is_counted_whether_it_is_shown_or_not(clouds: simulate.Running, door: str) -> None:
    for thinking in (
        {"type": "enabled", "budget_tokens": 1024},
        {"type": "adaptive"},
        {"type": "adaptive", "display": "omitted"},
    ):
        for message in both(clouds, door, "Why?", thinking=thinking):
            first, second = message.content
            assert (first.type, second.type) == ("thinking", "text")
            assert bool(first.thinking) == ("display" not in thinking)
            assert len(first.signature) > 20
            assert message.usage.output_tokens_details.thinking_tokens == 12
            assert message.usage.output_tokens == 12 + 6
    assert all(m.usage.output_tokens_details is None for m in both(clouds, door, "Why?"))


@pytest.mark.parametrize("door", DOORS)
def test_a_schema_that_was_asked_for_is_followed(clouds: simulate.Running, door: str) -> None:
    config = {"format": {"type": "json_schema", "schema": WEATHER}}
    for message in both(clouds, door, "As JSON", output_config=config):
        assert json.loads(message.content[0].text)["unit"] in ("C", "F")


@pytest.mark.parametrize("door", DOORS)
def test_max_tokens_ends_thoughts_and_calls_too(clouds: simulate.Running, door: str) -> None:
    for message in both(clouds, door, "Go", tools=TOOLS[:1], tool_choice={"type": "any"}, max_tokens=3):
        assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)
    for message in both(clouds, door, "Go", thinking={"type": "adaptive", "display": "omitted"}, max_tokens=8):
        assert [block.type for block in message.content] == ["thinking"]
        assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 8)


@pytest.mark.parametrize("door", DOORS)
def test_ids_headers_and_model_names_are_the_doors_own(clouds: simulate.Running, door: str) -> None:
    async def go() -> tuple[Any, Any]:
        async with sdk(door, clouds.ports[door]) as client:
            response = await client.messages.with_raw_response.create(**fields(door))
            return response.headers, await response.parse()

    headers, message = asyncio.run(go())
    assert message.id.startswith(PREFIX.get(door, "msg_01"))
    assert message.model == "claude-opus-4-6"
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    ids = {
        "anthropic": {"request-id": r"req_01\w{22}", "anthropic-organization-id": uuid},
        "bedrock": {"x-amzn-requestid": uuid},
        "bedrock-mantle": {"request-id": r"req_01\w{22}", "x-amzn-requestid": uuid},
        "claude-aws": {"request-id": r"req_01\w{22}", "x-amzn-requestid": uuid},
        "vertex": {"request-id": r"req_vrtx_01\w{22}"},
        "claude-gcp": {"request-id": r"req_01\w{22}"},
        "foundry": {"request-id": uuid, "apim-request-id": uuid},
    }
    for name, form in ids[door].items():
        assert re.fullmatch(form, headers[name]), (name, headers[name])
    assert ("x-amzn-requestid" in headers) == (door in ("bedrock", "bedrock-mantle", "claude-aws"))
    # the doors that Anthropic runs name the place of inference
    own = door in ("anthropic", "claude-aws", "claude-gcp")
    assert message.usage.inference_geo == ("global" if own else None)


def test_the_place_of_inference_that_was_asked_for_is_named(clouds: simulate.Running) -> None:
    for door in ("anthropic", "claude-aws", "claude-gcp"):
        for message in both(clouds, door, "Hi", inference_geo="us"):
            assert message.usage.inference_geo == "us"


# ------------------------------------------------------------------------------------------------ what is refused

FIVE = {"five": True}
ON = {"type": "adaptive"}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def image(**source: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "x"}]}]


def marked(*ttls: str) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]
    return [{"role": "user", "content": parts}]


REFUSED: list[tuple[dict[str, Any], str]] = [
    # what is asked -> words of the refusal
    ({"oddity": 1}, "oddity: Extra inputs are not permitted"),
    ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
    ({"temperature": 0, "thinking": ON}, "may only be set to 1 when thinking"),
    ({"top_k": 3, "thinking": ON}, "`top_k` must be unset"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "`max_tokens` must be greater than"),
    ({"thinking": {"type": "adaptive", "budget_tokens": 4000}}, "thinking.adaptive.budget_tokens: Extra inputs"),
    ({"thinking": {"type": "perhaps"}}, "thinking.type"),
    ({"thinking": {"type": "adaptive", "display": "loud"}}, "thinking.display"),
    ({"thinking": ON, "tools": TOOLS, "tool_choice": {"type": "any"}}, "Thinking may not be enabled when tool_choice"),
    ({"tool_choice": {"type": "any"}}, "while providing tools"),
    ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "nobody"}}, "Tool 'nobody' not found"),
    ({"tools": [{**TOOLS[0], "name": "a b"}]}, "String should match pattern"),
    ({"tools": [TOOLS[0], TOOLS[0]]}, "Tool names must be unique"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "input_schema"),
    ({"output_config": {"effort": "utmost"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "additionalProperties"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "prefill"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}, "unexpected `tool_use_id`"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [
        {"type": "tool_use", "id": "x", "name": "f", "input": {}}]}, {"role": "user", "content": "b"}]},
     "`tool_use` ids were found without"),
    ({"messages": image(**{**PNG, "media_type": "image/bmp"})}, "media_type"),
    ({"messages": image(**{**PNG, "data": "!"})}, "not valid base64"),
    ({"messages": image(type="url", url="http://example.com/x.png")}, "Only HTTPS"),
    ({"messages": marked("5m", "1h")}, "must not come after a ttl='5m'"),
    ({"messages": marked(*["5m"] * 5)}, "A maximum of 4 blocks"),
    ({"service_tier": "gold"}, "service_tier"),
]  # fmt: skip


def refusal(clouds: simulate.Running, name: str, door: str, **asked: Any) -> anthropic.APIStatusError:
    async def go() -> anthropic.APIStatusError:
        async with sdk(door, clouds.ports[name]) as client:
            with pytest.raises(anthropic.APIStatusError) as raised:
                await client.messages.create(**asked)
            return raised.value

    return asyncio.run(go())


@pytest.mark.parametrize("door", DOORS)
def test_what_the_model_refuses_is_refused_at_every_door(clouds: simulate.Running, door: str) -> None:
    for asked, words in REFUSED:
        error = refusal(clouds, door, door, **fields(door, **asked))
        assert error.status_code == 400, asked
        assert words in str(error), asked


ONLY: list[tuple[str, str, dict[str, Any], str]] = [
    # look-alike, model -> what it refuses that others take
    ("five-anthropic", "claude-sonnet-5-5", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "not supported for this"),
    ("five-anthropic", "claude-sonnet-5-5", {"thinking": {"type": "disabled"}}, "`disabled` is not supported"),
    ("five-anthropic", "claude-sonnet-5-5", {"tools": TOOLS, "tool_choice": {"type": "any"}}, "always thinks"),
    ("five-anthropic", "claude-sonnet-5-5", {"temperature": 0}, "temperature: This parameter is not supported"),
    ("old-anthropic", "claude-sonnet-4-5-20250929", {"thinking": ON}, "adaptive thinking is not supported"),
    ("old-anthropic", "claude-sonnet-4-5-20250929", {"output_config": {"effort": "low"}}, "effort parameter"),
    ("old-anthropic", "claude-sonnet-4-5-20250929", {"inference_geo": "us"}, "inference_geo"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "model", "asked", "words"), ONLY)
def test_models_differ_in_what_they_refuse(
    clouds: simulate.Running, name: str, model: str, asked: dict[str, Any], words: str
) -> None:
    error = refusal(clouds, name, "anthropic", **fields("anthropic", model=model, **asked))
    assert (error.status_code, words in str(error)) == (400, True), error


IDS: list[tuple[str, str, int, str]] = [
    # a model id of another door -> status and words
    ("anthropic", "us.anthropic.claude-opus-4-6-v1", 404, "model: us.anthropic"),
    ("bedrock", "claude-opus-4-6", 400, "model identifier is invalid"),
    ("bedrock", "anthropic.claude-opus-4-6-v1", 400, "on-demand throughput"),
    ("bedrock-mantle", "us.anthropic.claude-opus-4-6", 404, "model: us.anthropic"),
    ("claude-aws", "anthropic.claude-opus-4-6", 404, "model: anthropic"),
    ("vertex", "claude-opus-4-6@20260205", 404, "was not found"),
    ("claude-gcp", "claude-opus-4-6@20260205", 404, "model: claude-opus-4-6@20260205"),
    ("foundry", "another-deployment", 404, "does not exist"),
]


@pytest.mark.parametrize(("door", "model", "status", "words"), IDS)
def test_an_id_of_another_door_is_not_known(
    clouds: simulate.Running, door: str, model: str, status: int, words: str
) -> None:
    error = refusal(clouds, door, door, **fields(door, model=model))
    assert (error.status_code, words in str(error)) == (status, True), error


@pytest.mark.parametrize("door", DOORS)
def test_versions_and_betas_that_there_are_none_of_are_refused(clouds: simulate.Running, door: str) -> None:
    asked = fields(door)
    if door in ("bedrock", "vertex"):
        wrong = {**asked, "extra_body": {"anthropic_version": "2023-06-01"}}
    else:
        wrong = {**asked, "extra_headers": {"anthropic-version": "bedrock-2023-05-31"}}
    assert "version" in str(refusal(clouds, door, door, **wrong)).lower()
    if door == "vertex":  # betas come in the body there
        beta = {**asked, "extra_body": {**asked["extra_body"], "anthropic_beta": ["oddity"]}}
    else:
        beta = {**asked, "extra_headers": {**asked.get("extra_headers", {}), "anthropic-beta": "oddity"}}
    assert "beta" in str(refusal(clouds, door, door, **beta))


# ------------------------------------------------------------------------------------------------ our doors

PLACES: dict[str, dict[str, Any]] = {
    "anthropic": {"auth": {"env": "THE_KEY"}},
    "bedrock": {"region": "us-east-1", "api_version": "bedrock-2023-05-31"},
    "bedrock-mantle": {"region": "us-east-1"},
    "claude-aws": {"region": "us-east-1", "workspace": "wrkspc_1"},
    "vertex": {"region": "global", "project": "p1", "auth": {"env": "THE_KEY"}, "api_version": "vertex-2023-10-16"},
    "claude-gcp": {"region": "global", "project": "p1", "workspace": "wrkspc_1", "auth": {"env": "THE_KEY"}},
    "foundry": {"auth": {"env": "THE_KEY"}},
}
PATHS = {"bedrock-mantle": "/anthropic", "vertex": "/v1", "claude-gcp": WORKSPACE, "foundry": "/anthropic/"}


def our_target(clouds: simulate.Running, door: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    said = simulate.default_credentials(door)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", said.get("access_key", "AKIDEXAMPLE"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", said.get("secret_key", "s"))
    monkeypatch.setenv("THE_KEY", said.get("api_key") or said.get("token") or "k")
    facts = {"api_version": "2023-06-01", **PLACES[door]}
    base = f"http://127.0.0.1:{clouds.ports[door]}{PATHS.get(door, '')}"
    return Target(door, "claude-opus-4-6", door, OLD[door], "messages", base_url=base, **facts)


async def asked_by_us(target: Target, case: Case, params: Params) -> tuple[Exchange, Reply]:
    provider = providers.get(target.provider)
    assert provider.check(target) == []
    request = await provider.prepare(target, messages.encode(case, params, target), params.extra_headers)
    await provider.close()
    async with httpx2.AsyncClient(trust_env=False) as client:
        response = await client.send(request)
    headers = tuple((name.lower(), value) for name, value in response.headers.items())
    exchange = Exchange(0, 1, 3, response.status_code, headers, ((2, response.content),), Connection(reused=True))
    return exchange, messages.decode(exchange)


FEATURES: dict[str, tuple[str, dict[str, Any]]] = {
    "a tool by force": ("Go", {"tool_choice": "required"}),
    "several tools": ("Go [[parallel]]", {"tool_choice": "required"}),
    "a schema": ("Go", {"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}}),
    "a budget": ("Go", {"thinking_budget_tokens": 1024}),
    "an effort": ("Go", {"effort": "high"}),
    "thoughts left out": ("Go", {"thinking_budget_tokens": 1024, "extra_body": {"thinking": {"display": "omitted"}}}),
    "a stop sequence": ("Go", {"stop": ("stands",)}),
    "cached for an hour": ("Go", {"cache_breakpoints": ("tools", "last_message"), "cache_ttl": "1h"}),
    "sampling": ("Go", {"temperature": 0.0}),
}
OURS = [{"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}} for tool in TOOLS]


def proof(door: str) -> str:
    """What ids say of a door: which of them Bedrock's Messages endpoint gives is not documented, so they prove nothing."""
    return "unknown" if door == "bedrock-mantle" else "consistent"


@pytest.mark.parametrize("door", DOORS)
def test_every_feature_goes_through_our_doors_streamed_and_whole(
    clouds: simulate.Running, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = our_target(clouds, door, monkeypatch)
    for name, (prompt, asked) in FEATURES.items():
        tools = tuple(OURS) if "tool" in name or "cached" in name else ()
        case = Case(name, ({"role": "user", "content": prompt},))
        replies = []
        for stream in (True, False):
            params = Params(max_tokens=4096, stream=stream, tools=tools, **asked)
            exchange, reply = asyncio.run(asked_by_us(target, case, params))
            assert exchange.status == 200, (name, exchange.body)
            assert fault_of(providers.get(door), exchange, reply) is None, name
            assert providers.get(door).region_proof(target, exchange, reply) == proof(door)
            assert bool(reply.content_ns) == stream
            replies.append(reply)
        streamed, whole = replies
        assert (streamed.stop_reason, streamed.usage.reasoning_tokens) == (
            whole.stop_reason,
            whole.usage.reasoning_tokens,
        )
        assert [call.name for call in streamed.tool_calls] == [
            call.name for call in whole.tool_calls
        ] or "several" not in name
        if name == "several tools":
            assert [call.name for call in streamed.tool_calls] == ["get_weather", "get_time"]
            assert json.loads(streamed.tool_calls[0].arguments)["unit"] in ("C", "F")
        elif name == "a budget":
            assert streamed.reasoning.startswith("This text stands in")
            assert streamed.usage.reasoning_tokens == 12
        elif name == "thoughts left out":
            assert (streamed.reasoning, streamed.usage.reasoning_tokens) == ("", 12)
            assert len(streamed.content_ns) == 6  # the text alone: signatures are not content
        elif name == "a stop sequence":
            assert (streamed.stop_reason, streamed.text) == ("stop_sequence", "This text ")


FAULTS: list[tuple[str, dict[str, Any], dict[str, str], str, str, str]] = [
    # door, changes to the target, to the environment -> outcome, cause, fix: the message names the door and both
    ("anthropic", {}, {"THE_KEY": "wrong"}, "auth", "the key was not accepted", "ANTHROPIC_API_KEY"),
    ("anthropic", {"model_id": "claude-9"}, {}, "bad_request", "no such model at this door", "claude-sonnet-5-5"),
    ("bedrock", {"region": "eu-west-1"}, {}, "auth", "signed for another region", "region must be that of base_url"),
    ("bedrock", {}, {"AWS_SECRET_ACCESS_KEY": "x"}, "auth", "were not accepted", "AWS_PROFILE"),
    (
        "bedrock",
        {"model_id": "anthropic.claude-opus-4-6-v1"},
        {},
        "bad_request",
        "inference profile",
        "us.anthropic.NAME",
    ),
    ("bedrock", {"api_version": "2023-06-01"}, {}, "bad_request", "API version", "bedrock-2023-05-31"),
    ("bedrock-mantle", {"region": "eu-west-1"}, {}, "auth", "signed for another region", "region"),
    ("bedrock-mantle", {"model_id": "anthropic.claude-x"}, {}, "bad_request", "no model of that id", "anthropic.NAME"),
    ("claude-aws", {"region": "eu-west-1"}, {}, "auth", "signed for another region", "region"),
    ("claude-aws", {"auth": {"env": "THE_KEY"}}, {"THE_KEY": "wrong"}, "auth", "not accepted", "auth names"),
    ("vertex", {}, {"THE_KEY": "expired"}, "auth", "access token has expired", "gcloud auth application-default login"),
    ("vertex", {"model_id": "claude-x"}, {}, "bad_request", "not enabled for the project", "Model Garden"),
    ("claude-gcp", {}, {"THE_KEY": "expired"}, "auth", "access token has expired", "gcloud auth"),
    ("foundry", {}, {"THE_KEY": "wrong"}, "auth", "key is not one of this resource", "check resource"),
    ("foundry", {"deployment": "nobody"}, {}, "bad_request", "no deployment of that name", "deployment: NAME"),
]


@pytest.mark.parametrize(("door", "changes", "environment", "outcome", "cause", "fix"), FAULTS)
def test_a_refusal_names_the_door_the_cause_and_the_fix(
    clouds: simulate.Running,
    door: str,
    changes: dict[str, Any],
    environment: dict[str, str],
    outcome: str,
    cause: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = replace(our_target(clouds, door, monkeypatch), **changes)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    case = Case("c", ({"role": "user", "content": "Hi"},))
    exchange, reply = asyncio.run(asked_by_us(target, case, Params()))
    fault = fault_of(providers.get(door), exchange, reply)
    assert fault is not None
    assert (fault.outcome, fault.retryable) == (outcome, False)
    assert fault.message.startswith(f"{door}: ")
    assert cause in fault.message
    assert fix in fault.message
    assert "It said: " in fault.message


# ------------------------------------------------------------------------------------------------ whole runs

ALL_DOORS = Path(__file__).parent.parent.parent / "targets-claude.yaml"


def test_all_doors_stand_in_one_table(place: Place) -> None:
    done = place.run("--simulate", "--targets", str(ALL_DOORS), requests=6)
    assert done.code == 0, done.err
    rows = [row for row in done.rows() if row["phase"] == "measure"]
    assert {row["provider"] for row in rows} == {*DOORS, "vertex-grpc", "openai-compatible"}
    claude = [row for row in rows if row["provider"] in DOORS and row["dialect"] == "messages"]
    silent = ("converse-us-east-1", "vertex-grpc", "gateway")  # no id, or not over HTTP, or anybody's
    marks = {"bedrock-us-east-1": "msg_bdrk_", "mantle-us-east-1": "msg_bdrk_", "vertex-global": "msg_vrtx_"}
    for row in done.rows("replies"):
        if row["target"] not in silent and row["message_id"] is not None:
            assert row["message_id"].startswith(marks.get(row["target"], "msg_01"))
    assert all(row["simulated"] for row in rows)
    for row in claude:
        assert row["region_proof"] == proof(row["provider"]) or row["outcome"] != "ok"
        if row["outcome"] == "ok":
            assert row["served_model"] == "claude-sonnet-5-5"
            own = row["provider"] in ("anthropic", "claude-aws", "claude-gcp")
            assert row["served_lane"] == ("standard/global" if own else "standard")
            assert row["cost_usd"] is not None
            assert row["price_book"].startswith(f"{row['provider']}/claude-sonnet-5-5/")
    assert all(row["target"] in done.out for row in rows)
    assert "SIMULATED" in done.out
