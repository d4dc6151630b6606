"""The gemini-vertex door: what it prepares is what google-genai puts on a socket, byte for byte."""

import asyncio
import datetime
from typing import Any

import httpx2
import pytest

from bench import providers
from bench.dialects import gemini
from bench.record import Case, Params
from bench.targets import Target
from tests.unit.wire_bytes.loopback import Received, loopback

genai = pytest.importorskip("google.genai")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA}}
HISTORY = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [
        {"type": "text", "text": "Wie heißt „das“? 😀"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,+/+/YWJj"}},
    ]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "a", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
    ]},
    {"role": "tool", "tool_call_id": "a", "content": '{"degrees": 3.5}'},
)  # fmt: skip


def target(**more: Any) -> Target:
    given = {"id": "g", "model": "gemini-x", "provider": "gemini-vertex", "model_id": "gemini-x", "dialect": "gemini"}
    return Target(**{**given, "region": "us-central1", "project": "p1", "auth": {"env": "KEY"}, **more})


def as_received(request: httpx2.Request) -> Received:
    headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
    return Received(request.method, request.url.raw_path.decode(), headers, request.content)


def by_the_sdk(messages: tuple[Any, ...], params: Params) -> dict[str, Any]:
    """The same request in google-genai's own words: contents and a config of its types."""
    from google.genai import types

    config = types.GenerateContentConfig(
        max_output_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        seed=params.seed,
        stop_sequences=list(params.stop) or None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    if params.effort:
        config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_level=params.effort.upper())
    if params.thinking_budget_tokens:
        config.thinking_config = types.ThinkingConfig(
            include_thoughts=True, thinking_budget=params.thinking_budget_tokens
        )
    if params.response_format:
        config.response_mime_type = "application/json"
        config.response_json_schema = params.response_format["json_schema"]["schema"]
    if params.tools:
        declared = types.FunctionDeclaration(name="get_weather", description="d", parameters_json_schema=SCHEMA)
        config.tools = [types.Tool(function_declarations=[declared])]
        calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["get_weather"])
        config.tool_config = types.ToolConfig(function_calling_config=calling)
    if len(messages) == 1:
        return {"contents": messages[0]["content"], "config": config}
    config.system_instruction = "Be brief."
    parts = [
        types.Part(text="Wie heißt „das“? 😀"),
        types.Part.from_bytes(data=b"\xfb\xff\xbfabc", mime_type="image/png"),
    ]
    call = types.Part(function_call=types.FunctionCall(name="get_weather", args={"city": "Paris"}))
    result = types.FunctionResponse(name="get_weather", response={"degrees": 3.5})
    contents = [
        types.Content(role="user", parts=parts),
        types.Content(role="model", parts=[call]),
        types.Content(role="user", parts=[types.Part(function_response=result)]),
    ]
    return {"contents": contents, "config": config}


async def sent_by_the_sdk(url: str, version: str, asked: dict[str, Any], stream: bool, headers: dict[str, str]) -> None:
    from google.genai import types
    from google.oauth2.credentials import Credentials

    async with httpx2.AsyncClient(trust_env=False) as http:
        client = genai.Client(
            enterprise=True,
            project="p1",
            location="us-central1",
            credentials=Credentials(token="ya29.x"),
            http_options=types.HttpOptions(
                base_url=url,
                api_version=version,
                httpx_async_client=http,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )
        if headers:
            asked["config"].http_options = types.HttpOptions(headers=headers)
        if stream:
            async for _ in await client.aio.models.generate_content_stream(model="gemini-x", **asked):
                pass
        else:
            await client.aio.models.generate_content(model="gemini-x", **asked)
        await client.aio.aclose()
        client.close()


ONE = ({"role": "user", "content": "hi"},)
REQUESTS = {
    "plain": (ONE, Params(max_tokens=64)),
    "whole": (ONE, Params(max_tokens=64, stream=False)),
    "sampling": (ONE, Params(max_tokens=64, temperature=0.2, top_p=0.9, top_k=40, seed=7, stop=("END", "é"))),
    "thinking by level": (ONE, Params(max_tokens=64, effort="low")),
    "thinking by budget": (ONE, Params(max_tokens=64, thinking_budget_tokens=128)),
    "schema": (
        ONE,
        Params(max_tokens=64, response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}}),
    ),
    "turns, an image, a forced tool": (
        HISTORY,
        Params(max_tokens=64, tools=(TOOL,), tool_choice={"type": "function", "function": {"name": "get_weather"}}),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("tier", [None, "priority"])
def test_the_prepared_request_is_the_sdks_byte_for_byte(
    name: str, tier: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "ya29.x")
    messages, params = REQUESTS[name]
    tiers = {"X-Vertex-AI-LLM-Shared-Request-Type": "priority"} if tier else {}

    async def both() -> tuple[Received, Received, Received]:
        async with loopback() as server:
            await sent_by_the_sdk(server.url, "v1", by_the_sdk(messages, params), params.stream, tiers)
            here = target(base_url=server.url, service_tier=tier)
            door = providers.get("gemini-vertex")
            body = gemini.encode(Case("c", messages), params, here)
            first, second = [as_received(await door.prepare(here, body)) for _ in range(2)]
            await door.close()
            return server.received[0], first, second

    theirs, first, second = asyncio.run(both())
    assert first == theirs
    assert second == theirs


def test_the_second_request_does_not_go_through_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "ya29.x")
    here = target()

    async def run() -> list[bytes]:
        door = providers.get("gemini-vertex")
        bodies = [
            gemini.encode(Case("c", ({"role": "user", "content": text},)), Params(max_tokens=9), here)
            for text in ("one", "two")
        ]
        first = await door.prepare(here, bodies[0])

        async def never(*_: Any) -> None:
            raise AssertionError("the SDK was asked again")

        monkeypatch.setattr(door, "_built", never)
        second = await door.prepare(here, bodies[1])
        await door.close()
        return [first.content, second.content]

    first, second = asyncio.run(run())
    assert first.replace(b'"one"', b'"two"') == second


def test_fields_that_the_sdk_does_not_know_are_sent_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setenv("KEY", "ya29.x")
    here = target()
    extra = {"labels": {"a": "b"}, "newField": {"x": 1}, "generationConfig": {"candidateCount": 1, "newKnob": 2}}
    body = gemini.encode(Case("c", ONE), Params(max_tokens=9, extra_body=extra), here)

    async def run() -> bytes:
        door = providers.get("gemini-vertex")
        request = await door.prepare(here, body)
        await door.close()
        return request.content

    sent = json.loads(asyncio.run(run()))
    assert sent["labels"] == {"a": "b"}
    assert sent["newField"] == {"x": 1}
    assert sent["generationConfig"] == {"maxOutputTokens": 9, "candidateCount": 1, "newKnob": 2}


def test_a_google_token_is_renewed_when_it_ends_and_goes_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth
    from google.auth.credentials import Credentials

    class Fake(Credentials):
        made = 0

        def refresh(self, request: Any) -> None:
            Fake.made += 1
            self.token = f"ya29.{Fake.made}"
            self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)

    credentials = Fake()
    monkeypatch.setattr(google.auth, "default", lambda scopes: (credentials, "p1"))
    here = target(auth={})
    body = gemini.encode(Case("c", ONE), Params(max_tokens=9), here)

    async def run() -> list[str]:
        door = providers.get("gemini-vertex")
        seen = []
        for ended in (False, False, True, False):
            if ended:  # google-auth calls a token expired some minutes before it is
                soon = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(minutes=2)
                credentials.expiry = soon
            seen.append((await door.prepare(here, body)).headers["authorization"])
        await door.close()
        return seen

    assert asyncio.run(run()) == ["Bearer ya29.1", "Bearer ya29.1", "Bearer ya29.2", "Bearer ya29.2"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_the_route_that_is_told_is_the_one_that_the_sdk_takes(
    region: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "ya29.x")
    here = target(region=region)

    async def run() -> httpx2.Request:
        door = providers.get("gemini-vertex")
        request = await door.prepare(here, gemini.encode(Case("c", ONE), Params(), here))
        await door.close()
        return request

    request = asyncio.run(run())
    told = providers.get("gemini-vertex").route(here)
    assert request.url.host == told["host"] == host
    assert request.url.path == str(told["path"]).replace("{model}", "gemini-x")
    assert request.url.query == b"alt=sse"


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = providers.get("gemini-vertex").check(
        target(region=None, project=None, auth={}, service_tier="fast", dialect="chat")
    )
    assert {problem.path for problem in found} == {"region", "project", "auth", "service_tier", "dialect"}
    monkeypatch.setenv("KEY", "ya29.x")
    assert providers.get("gemini-vertex").check(target()) == []
