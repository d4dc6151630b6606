"""The doors to OpenAI's models: what each prepares is what the official SDK sends, byte for byte, in both dialects."""

import asyncio
import json
import re
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench import providers
from bench.providers import door as doors
from bench.targets import Target
from bench.wire.http import outgoing
from tests.unit.test_provider_requests import NOON, SECRET, as_received, comparable, recomputed
from tests.unit.wire_bytes.loopback import Loopback, Received, loopback

openai = pytest.importorskip("openai")
botocore_auth = pytest.importorskip("botocore.auth")
GOLDEN = Path(__file__).parent / "wire_bytes" / "openai_doors.json"
TURNS = [{"role": "user", "content": 'Größe "20" \\ 😀\n\u2028\x07'}]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
ANOTHER = {"OPENAI_API_KEY": "sk-another", "OPENAI_ORG_ID": "org-another", "OPENAI_PROJECT_ID": "proj_another"}
"""The account of somebody's OpenAI key, which is nothing to the other doors."""


def plain(url: str, **given: Any) -> Any:
    return openai.AsyncOpenAI(base_url=url, max_retries=0, **given)


def foreign(url: str, **given: Any) -> Any:
    """The client of a door that is not OpenAI's own: without the account of the environment."""
    headers = {"OpenAI-Organization": openai._types.Omit(), "OpenAI-Project": openai._types.Omit()}
    return plain(url, default_headers=headers, **given)


def on_bedrock(url: str, **given: Any) -> Any:
    from openai.providers import bedrock

    return openai.AsyncOpenAI(provider=bedrock(region="us-east-1", base_url=url, **given), max_retries=0)


def on_vertex(url: str, **given: Any) -> Any:
    from openai.providers import vertex

    return openai.AsyncOpenAI(provider=vertex(base_url=url, **given), max_retries=0)


def classic(url: str, **given: Any) -> Any:
    headers = {"OpenAI-Organization": openai._types.Omit(), "OpenAI-Project": openai._types.Omit()}
    return openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_version="2025-04-01-preview", max_retries=0, default_headers=headers, **given
    )


@dataclass(frozen=True)
class Way:
    """A door, a target of it, the environment that signs it in, and the SDK's own client for the same."""

    door: str
    target: dict[str, Any]
    environment: dict[str, str]
    sdk: Any
    path: str = ""
    chat_path: str = ""
    responses_path: str = ""
    sdk_path: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def target_at(self, url: str, dialect: str = "chat") -> Target:
        facts: dict[str, Any] = {"model": "gpt-6.1-sol", "model_id": "gpt-6.1-sol", **self.target}
        return Target(id="t", provider=self.door, dialect=dialect, base_url=url + self.path, **facts)


V1 = "/v1/chat/completions", "/v1/responses"
OPENAI_V1 = "/openai/v1/chat/completions", "/openai/v1/responses"
SOL, US_SOL = {"model_id": "openai.gpt-6.1-sol", "region": "us-east-1"}, "us.openai.gpt-6.1-sol"
MAAS = "/v1/projects/p1/locations/global/endpoints/openapi"
WAYS = {
    "openai": Way("openai", {}, {"OPENAI_API_KEY": SECRET}, plain, "/v1", *V1),
    "openai, key by name, organisation and project": Way(
        "openai",
        {"auth": {"env": "MY_KEY"}, "organization": "org-1", "project": "proj_1", "service_tier": "flex"},
        {"MY_KEY": SECRET, **ANOTHER},
        lambda url: plain(url, api_key=SECRET, organization="org-1", project="proj_1"),
        "/v1",
        *V1,
    ),
    "azure-openai": Way(
        "azure-openai",
        {"deployment": "my-sol"},
        {"AZURE_OPENAI_API_KEY": SECRET, **ANOTHER},
        lambda url: foreign(url, api_key=SECRET),
        "",
        *OPENAI_V1,
        sdk_path="/openai/v1/",
    ),
    "azure-openai, dated version": Way(
        "azure-openai",
        {"api_version": "2025-04-01-preview", "deployment": "my-sol"},
        {"AZURE_OPENAI_API_KEY": SECRET, "OPENAI_API_VERSION": "2024-01-01", **ANOTHER},
        lambda url: classic(url, api_key=SECRET),
        "",
        "/openai/deployments/my-sol/chat/completions?api-version=2025-04-01-preview",
        "/openai/responses?api-version=2025-04-01-preview",
    ),
    "openai-bedrock, mantle": Way("openai-bedrock", SOL, {**KEYS, **ANOTHER}, on_bedrock, "/openai/v1", *OPENAI_V1),
    "openai-bedrock, runtime, session token": Way(
        "openai-bedrock",
        {**SOL, "model_id": US_SOL},
        {**KEYS, "AWS_SESSION_TOKEN": "t0ken//=="},
        lambda url: on_bedrock(url, endpoint="runtime"),
        "/openai/v1",
        *OPENAI_V1,
    ),
    "openai-bedrock, bearer": Way(
        "openai-bedrock", SOL, {"AWS_BEARER_TOKEN_BEDROCK": SECRET}, on_bedrock, "/openai/v1", *OPENAI_V1
    ),
    "openai-vertex": Way(
        "openai-vertex",
        {"region": "global", "project": "p1", "model_id": "openai/gpt-oss-120b-maas", "auth": {"env": "TOKEN"}},
        {"TOKEN": SECRET, **ANOTHER},
        lambda url: on_vertex(url, token_provider=lambda: SECRET),
        MAAS,
        MAAS + "/chat/completions",
        MAAS + "/responses",
    ),
    "openai-compatible": Way(
        "openai-compatible",
        {"auth": {"env": "MY_KEY"}, "model_id": "Qwen/Qwen3-8B"},
        {"MY_KEY": SECRET, **ANOTHER},
        lambda url: foreign(url, api_key=SECRET),
        "/v1",
        *V1,
    ),
}


def bodies(target: Target, stream: bool) -> list[dict[str, Any]]:
    """Two bodies of one kind, in the order of the SDK's arguments; the second goes into a copy of the first."""
    model = target.deployment or target.model_id
    tier = {"service_tier": target.service_tier} if target.service_tier else {}
    first: dict[str, Any] = {"model": model, "stream": stream, **tier}
    if target.dialect == "responses":
        first |= {"input": TURNS, "max_output_tokens": 64, "store": False}
        return [first, {**first, "input": TURNS * 9}]
    first |= {"messages": TURNS, "max_completion_tokens": 64}
    return [first, {**first, "messages": TURNS * 9, "max_completion_tokens": 9}]


async def sent_by_the_sdk(way: Way, url: str, target: Target, body: dict[str, Any], seen: Loopback) -> Received:
    async with way.sdk(url + (way.path if way.sdk_path is None else way.sdk_path)) as client:
        create = client.chat.completions.create if target.dialect == "chat" else client.responses.create
        await create(**body)
    return seen.received[-1]


async def compared(way: Way, dialect: str, stream: bool) -> list[tuple[Received, Received]]:
    pairs = []
    provider = providers.get(way.door)
    async with loopback() as server:
        target = way.target_at(server.url, dialect)
        assert provider.check(target) == []
        for body in bodies(target, stream):
            before = len(server.received)
            prepared = await provider.prepare(target, body)
            assert await provider.spliced(target, body) == outgoing(prepared)
            ours = as_received(prepared)
            assert len(server.received) == before, "a request was sent while it was prepared"
            pairs.append((ours, await sent_by_the_sdk(way, server.url, target, body, server)))
    await provider.close()
    return pairs


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature holds its time: both signers are given the same."""
    monkeypatch.setattr(botocore_auth, "get_current_datetime", lambda **_: NOON)


def signed_in(way: Way, monkeypatch: pytest.MonkeyPatch) -> Way:
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)
    return way


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", ["chat", "responses"])
@pytest.mark.parametrize("name", WAYS)
def test_the_prepared_request_is_the_sdks_byte_for_byte(
    name: str, dialect: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = signed_in(WAYS[name], monkeypatch)
    for ours, theirs in asyncio.run(compared(way, dialect, stream)):
        assert ours.target == (way.chat_path if dialect == "chat" else way.responses_path)
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.body == theirs.body
        assert comparable(way.door, ours.headers) == comparable(way.door, theirs.headers)


@pytest.mark.parametrize("name", WAYS)
def test_the_second_request_does_not_go_through_the_sdk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = signed_in(WAYS[name], monkeypatch)

    async def built() -> int:
        provider = providers.get(way.door)
        assert isinstance(provider, doors.Door)
        calls = 0
        original = provider._built

        async def counting(*args: Any) -> httpx2.Request:
            nonlocal calls
            calls += 1
            return await original(*args)

        monkeypatch.setattr(provider, "_built", counting)
        target = way.target_at("http://127.0.0.1:1")
        for body in bodies(target, True) * 3:
            await provider.prepare(target, body)
        await provider.close()
        return calls

    assert asyncio.run(built()) == 1


def golden(request: Received) -> dict[str, Any]:
    """What goes out, without what the machine and the versions of Python and SDK put into it."""
    unsteady = ("x-stainless-", "user-agent", "accept-encoding")
    lines = [f"{name.lower()}: {value}" for name, value in request.headers if not name.lower().startswith(unsteady)]
    headers = [re.sub(r"Signature=[0-9a-f]{64}", "Signature=(recomputed elsewhere)", line) for line in lines]
    return {"method": request.method, "path": request.target, "headers": headers, "body": request.body.decode()}


def test_the_bytes_that_go_out_are_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written from the SDK's own requests (openai 3.54.0, 2026-11-22), so that a change of either is seen."""

    async def prepared(way: Way, dialect: str) -> Received:
        provider = providers.get(way.door)
        target = way.target_at("http://127.0.0.1:1", dialect)
        request = as_received(await provider.prepare(target, bodies(target, True)[0]))
        await provider.close()
        return request

    found = {}
    for name, way in WAYS.items():
        with monkeypatch.context() as clean:
            signed_in(way, clean)
            for dialect in ("chat", "responses"):
                found[f"{name}: {dialect}"] = golden(asyncio.run(prepared(way, dialect)))
    assert found == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(("name", "service"), [
    ("openai-bedrock, mantle", "bedrock-mantle"),
    ("openai-bedrock, runtime, session token", "bedrock"),
])  # fmt: skip
def test_the_signature_is_what_aws_will_compute(name: str, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = signed_in(WAYS[name], monkeypatch)

    async def prepared() -> list[Received]:
        provider = providers.get(way.door)
        target = replace(way.target_at(""), base_url=None)
        made = [as_received(await provider.prepare(target, body)) for body in bodies(target, True)]
        await provider.close()
        return made

    host = {"bedrock-mantle": "bedrock-mantle.us-east-1.api.aws", "bedrock": "bedrock-runtime.us-east-1.amazonaws.com"}
    for request in asyncio.run(prepared()):
        signed = recomputed(request, host[service], service).split(";")
        assert {"host", "content-length", "content-type", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
        assert ("x-amz-security-token" in signed) == ("session token" in name)


@pytest.mark.parametrize("name", [name for name in WAYS if name != "openai"])
def test_no_account_of_openai_leaves_for_another_door(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = signed_in(WAYS[name], monkeypatch)
    for variable, value in {**ANOTHER, **way.environment}.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> httpx2.Request:
        provider = providers.get(way.door)
        target = way.target_at("http://127.0.0.1:1")
        request = await provider.prepare(target, bodies(target, True)[0])
        await provider.close()
        return request

    assert "another" not in str(asyncio.run(prepared()).headers.raw)


def test_the_account_of_the_environment_is_sent_to_openai_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {**ANOTHER, "OPENAI_API_KEY": SECRET}.items():
        monkeypatch.setenv(variable, value)
    provider = providers.get("openai")
    target = replace(WAYS["openai"].target_at(""), base_url=None)
    request = asyncio.run(provider.prepare(target, bodies(target, True)[0]))
    assert request.headers["openai-organization"] == "org-another"
    assert request.headers["openai-project"] == "proj_another"
    said = provider.route(target)["auth"]
    assert said == "key in OPENAI_API_KEY, organisation of OPENAI_ORG_ID, project of OPENAI_PROJECT_ID"
    asyncio.run(provider.close())


@pytest.mark.parametrize("name", WAYS)
def test_no_secret_is_shown_by_any_object_of_a_door(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = signed_in(WAYS[name], monkeypatch)

    async def shown() -> str:
        provider = providers.get(way.door)
        assert isinstance(provider, doors.Door)
        target = way.target_at("http://127.0.0.1:1")
        request = await provider.prepare(target, bodies(target, True)[0])
        opened = provider._opened["t"]
        things: list[Any] = [
            provider,
            opened,
            *opened.templates.values(),
            opened.keeper,
            opened.renewal,
            opened.shown,
            request,
            request.url,
            target,
        ]
        things += [provider.route(target), provider.client_stack(target), provider.check(target), provider.__dict__]
        echoed = f'{{"error":{{"message":"Incorrect API key provided: {opened.credential}"}}}}'
        things += [provider.fault(401, (), echoed.encode())]
        words = "\n".join(f"{thing!r} {thing}" for thing in things)
        await provider.close()
        return words

    assert SECRET not in asyncio.run(shown())


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_sent_and_no_name_looked_up_while_preparing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = signed_in(WAYS[name], monkeypatch)

    async def prepared() -> httpx2.Request:
        provider = providers.get(way.door)

        def refused(*_: Any, **__: Any) -> None:
            raise AssertionError("the network was touched")

        monkeypatch.setattr(socket.socket, "connect", refused)
        monkeypatch.setattr(socket.socket, "connect_ex", refused)
        monkeypatch.setattr(socket, "getaddrinfo", refused)
        target = replace(way.target_at("https://example.com"), base_url="https://example.com/v1")
        request = await provider.prepare(target, bodies(target, True)[0])
        await provider.close()
        return request

    assert asyncio.run(prepared()).url.host == "example.com"
