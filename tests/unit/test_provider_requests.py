"""What a door prepares is what the official SDK sends: compared byte for byte with the SDK on a socket."""

import asyncio
import datetime
import hashlib
import hmac
import json
import math
import socket
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import providers
from bench.errors import BenchError
from bench.providers import door as doors
from bench.targets import Target
from bench.wire.http import outgoing
from tests.unit.wire_bytes.loopback import Loopback, Received, loopback

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")
botocore_auth = pytest.importorskip("botocore.auth")

SECRET = "s3cr3t-VALUE-0123456789"
TURNS = [{"role": "user", "content": 'Größe "20" \\ 😀\n\u2028\x07'}]
NOON = datetime.datetime(2026, 11, 21, 12, 0, 0)


@dataclass(frozen=True)
class Way:
    """A door, a target of it, the environment that signs it in, and the SDK's own client for the same."""

    door: str
    target: dict[str, Any]
    environment: dict[str, str]
    sdk: Any
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def target_at(self, url: str) -> Target:
        facts: dict[str, Any] = {"model": "claude-x", "model_id": "claude-x-1", "dialect": "messages", **self.target}
        return Target(id="t", provider=self.door, base_url=url + self.path, **facts)


def claude_on_bedrock(url: str, **given: Any) -> Any:
    return anthropic.AsyncAnthropicBedrock(base_url=url, aws_region="us-east-1", max_retries=0, **given)


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
BEDROCK_ID = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MANTLE_ID = "anthropic.claude-sonnet-5-5"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
OLD = {"anthropic-version": "2023-06-01"}

WAYS = {
    "anthropic": Way(
        "anthropic",
        {},
        {"ANTHROPIC_API_KEY": SECRET},
        lambda url: anthropic.AsyncAnthropic(base_url=url, max_retries=0),
    ),
    "anthropic, key by name, pinned version": Way(
        "anthropic",
        {"auth": {"env": "MY_KEY"}, "api_version": "2023-06-01"},
        {"MY_KEY": SECRET, "ANTHROPIC_API_KEY": "another"},
        lambda url: anthropic.AsyncAnthropic(api_key=SECRET, base_url=url, max_retries=0, default_headers=OLD),
    ),
    "bedrock": Way("bedrock", {"region": "us-east-1", "model_id": BEDROCK_ID}, KEYS, claude_on_bedrock),
    "bedrock, session token, profile ARN, tier": Way(
        "bedrock",
        {"region": "us-east-1", "model_id": ARN, "service_tier": "flex"},
        {**KEYS, "AWS_SESSION_TOKEN": "t0ken//=="},
        lambda url: claude_on_bedrock(
            url,
            aws_access_key="AKIDEXAMPLE",
            aws_secret_key=SECRET,
            aws_session_token="t0ken//==",
        ),
        headers={"X-Amzn-Bedrock-Service-Tier": "flex"},
    ),
    "bedrock, bearer": Way(
        "bedrock",
        {"region": "us-east-1", "model_id": BEDROCK_ID},
        {"AWS_BEARER_TOKEN_BEDROCK": SECRET},
        claude_on_bedrock,
    ),
    "vertex": Way(
        "vertex",
        {"region": "us-east5", "project": "p1", "auth": {"env": "TOKEN"}, "model_id": "claude-x@20250929"},
        {"TOKEN": SECRET},
        lambda url: anthropic.AsyncAnthropicVertex(
            region="us-east5", project_id="p1", access_token=SECRET, base_url=url, max_retries=0
        ),
        path="/v1",
    ),
    "bedrock-mantle": Way(
        "bedrock-mantle",
        {"region": "us-east-1", "model_id": MANTLE_ID},
        KEYS,
        lambda url: anthropic.AsyncAnthropicBedrockMantle(base_url=url, aws_region="us-east-1", max_retries=0),
        path="/anthropic",
    ),
    "bedrock-mantle, session token, pinned version": Way(
        "bedrock-mantle",
        {"region": "us-east-1", "model_id": MANTLE_ID, "api_version": "2023-06-01"},
        {**KEYS, "AWS_SESSION_TOKEN": "t0ken//=="},
        lambda url: anthropic.AsyncAnthropicBedrockMantle(
            base_url=url, aws_region="us-east-1", max_retries=0, default_headers=OLD
        ),
        path="/anthropic",
    ),
    "bedrock-mantle, key": Way(
        "bedrock-mantle",
        {"region": "us-east-1", "model_id": MANTLE_ID},
        {"AWS_BEARER_TOKEN_BEDROCK": SECRET, "ANTHROPIC_AWS_API_KEY": "another"},
        lambda url: anthropic.AsyncAnthropicBedrockMantle(base_url=url, aws_region="us-east-1", max_retries=0),
        path="/anthropic",
    ),
    "claude-aws": Way(
        "claude-aws",
        {"region": "us-west-2", "workspace": "wrkspc_1"},
        {**KEYS, "ANTHROPIC_API_KEY": "another"},
        lambda url: anthropic.AsyncAnthropicAWS(
            base_url=url, aws_region="us-west-2", workspace_id="wrkspc_1", max_retries=0
        ),
    ),
    "claude-aws, key, workspace from the environment, pinned version": Way(
        "claude-aws",
        {"region": "us-west-2", "api_version": "2023-06-01"},
        {"ANTHROPIC_AWS_API_KEY": SECRET, "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_2"},
        lambda url: anthropic.AsyncAnthropicAWS(
            base_url=url, aws_region="us-west-2", max_retries=0, default_headers=OLD
        ),
    ),
    "claude-gcp": Way(
        "claude-gcp",
        {"region": "global", "project": "p1", "workspace": "wrkspc_1", "auth": {"env": "TOKEN"}},
        {"TOKEN": SECRET},
        lambda url: anthropic.AsyncAnthropicGoogleCloud(
            project="p1", workspace_id="wrkspc_1", token_provider=lambda: SECRET, base_url=url, max_retries=0
        ),
        path="/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke",
    ),
    "foundry": Way(
        "foundry",
        {"deployment": "my-sonnet"},
        {"ANTHROPIC_FOUNDRY_API_KEY": SECRET},
        lambda url: anthropic.AsyncAnthropicFoundry(base_url=url, max_retries=0),
        path="/anthropic/",
    ),
    "openai-compatible": Way(
        "openai-compatible",
        {"auth": {"env": "MY_KEY"}, "dialect": "chat", "model_id": "Qwen/Qwen3-8B"},
        {"MY_KEY": SECRET, "OPENAI_API_KEY": "another"},
        lambda url: openai.AsyncOpenAI(api_key=SECRET, base_url=url, max_retries=0),
        path="/v1",
    ),
    "openai-compatible, no key": Way(
        "openai-compatible",
        {"dialect": "chat", "model_id": "m"},
        {"OPENAI_API_KEY": SECRET},
        lambda url: openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0),
        path="/v1",
    ),
}


def bodies(target: Target, stream: bool) -> list[dict[str, Any]]:
    """Two bodies of one kind, in the order of the SDK's arguments; the second goes into a copy of the first."""
    model = target.deployment or target.model_id
    if target.dialect == "chat":
        first: dict[str, Any] = {
            "model": model,
            "stream": stream,
            "messages": TURNS,
            "max_tokens": 64,
            "temperature": 0.0,
        }
    else:
        first = {"max_tokens": 64, "messages": TURNS, "model": model, "stream": stream, "system": "sys"}
    return [first, {**first, "messages": [*TURNS, {"role": "assistant", "content": "x" * 500}], "max_tokens": 9}]


async def sent_by_the_sdk(way: Way, target: Target, body: dict[str, Any], seen: Loopback) -> Received:
    async with way.sdk(target.base_url) as client:
        create = client.chat.completions.create if target.dialect == "chat" else client.messages.create
        await create(**body, extra_headers=way.headers)
    return seen.received[-1]


def as_received(request: httpx2.Request) -> Received:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    # the SDK's transport writes Host first wherever it stands
    headers.sort(key=lambda header: header[0].lower() != "host")
    return Received(request.method, request.url.raw_path.decode(), headers, request.content)


def comparable(door: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers as they are; of a door without an SDK, in any order and case, those that say nothing of an SDK."""
    if door != "openai-compatible":
        return headers
    lower = [(name.lower(), value) for name, value in headers]
    return sorted(header for header in lower if header[0] != "user-agent" and not header[0].startswith("x-stainless-"))


async def compared(way: Way, stream: bool) -> list[tuple[Received, Received]]:
    pairs = []
    provider = providers.get(way.door)
    async with loopback() as server:
        target = way.target_at(server.url)
        assert provider.check(target) == []
        for body in bodies(target, stream):
            before = len(server.received)
            prepared = await provider.prepare(target, body)
            assert await provider.spliced(target, body) == outgoing(prepared)
            ours = as_received(prepared)
            assert len(server.received) == before, "a request was sent while it was prepared"
            pairs.append((ours, await sent_by_the_sdk(way, target, body, server)))
    await provider.close()
    return pairs


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature holds its time: both signers are given the same. The SDK keeps sessions, and credentials in them."""
    monkeypatch.setattr(botocore_auth, "get_current_datetime", lambda **_: NOON)
    from anthropic.lib.aws import _auth

    _auth._get_session.cache_clear()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", WAYS)
def test_the_prepared_request_is_the_sdks_byte_for_byte(
    name: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)
    for ours, theirs in asyncio.run(compared(way, stream)):
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.body == theirs.body
        assert comparable(way.door, ours.headers) == comparable(way.door, theirs.headers)


@pytest.mark.parametrize("name", WAYS)
def test_the_second_request_does_not_go_through_the_sdk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

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


VERSIONS = [
    # door, what None sends, what a pinned version sends: where it stands
    ("anthropic", "2023-06-01", "header"),
    ("foundry", "2023-06-01", "header"),
    ("bedrock", "bedrock-2023-05-31", "body"),
    ("vertex", "vertex-2023-10-16", "body"),
    ("bedrock-mantle", "2023-06-01", "header"),
    ("claude-aws", "2023-06-01", "header"),
    ("claude-gcp", "2023-06-01", "header"),
]


@pytest.mark.parametrize(("name", "pinned", "place"), VERSIONS)
def test_the_api_version_is_the_targets_or_else_the_sdks_own(
    name: str, pinned: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

    async def version(api_version: str | None) -> str:
        provider = providers.get(name)
        target = replace(way.target_at("http://127.0.0.1:1"), api_version=api_version)
        request = await provider.prepare(target, bodies(target, True)[0])
        await provider.close()
        content = json.loads(request.content)
        assert ("anthropic_version" in content) == (place == "body")
        assert ("anthropic-version" in request.headers) == (place == "header")
        found: str = content["anthropic_version"] if place == "body" else request.headers["anthropic-version"]
        return found

    assert asyncio.run(version(None)) == "2026-10-21"
    assert asyncio.run(version(pinned)) == pinned


def recomputed(request: Received, host: str, service: str) -> str:
    """Signature Version 4 after AWS's description, with nothing but hashlib."""
    given = {name.lower(): value for name, value in request.headers}
    fields = dict(part.split("=", 1) for part in given["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", "))
    _, day, region, named, _ = fields["Credential"].split("/")
    assert named == service
    signed = fields["SignedHeaders"].split(";")
    path = "".join(  # Bedrock encodes each segment once more
        chr(byte) if chr(byte).isalnum() or chr(byte) in "-._~/" else f"%{byte:02X}" for byte in request.target.encode()
    )
    lines = [f"{name}:{' '.join(given[name].split())}\n" for name in signed]
    canonical = "\n".join(
        ["POST", path, "", "".join(lines), ";".join(signed), hashlib.sha256(request.body).hexdigest()]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", given["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert fields["Signature"] == hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    assert host == given["host"]
    return fields["SignedHeaders"]


SIGNED = [
    # way, host, the name that AWS signs for, headers that must be signed beside the usual ones
    ("bedrock", "bedrock-runtime.us-east-1.amazonaws.com", "bedrock", ()),
    ("bedrock, session token, profile ARN, tier", "bedrock-runtime.us-east-1.amazonaws.com", "bedrock",
     ("x-amz-security-token", "x-amzn-bedrock-service-tier")),
    ("bedrock-mantle", "bedrock-mantle.us-east-1.api.aws", "bedrock-mantle", ("anthropic-version",)),
    ("bedrock-mantle, session token, pinned version", "bedrock-mantle.us-east-1.api.aws", "bedrock-mantle",
     ("x-amz-security-token", "anthropic-version")),
    ("claude-aws", "aws-external-anthropic.us-west-2.api.aws", "aws-external-anthropic",
     ("anthropic-version", "anthropic-workspace-id")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "host", "service", "more"), SIGNED)
def test_the_signature_is_what_aws_will_compute(
    name: str, host: str, service: str, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> list[Received]:
        provider = providers.get(way.door)
        target = replace(way.target_at(""), base_url=None)
        made = [as_received(await provider.prepare(target, body)) for body in bodies(target, True)]
        await provider.close()
        return made

    first, second = asyncio.run(prepared())
    for request in (first, second):
        signed = set(recomputed(request, host, service).split(";"))
        assert {"host", "content-length", "x-amz-date", "content-type", *more} <= signed
        assert ("x-amz-security-token" in signed) == ("AWS_SESSION_TOKEN" in way.environment)
    assert first.body != second.body
    assert first.target == second.target


def test_a_tier_is_a_header_on_vertex_and_bedrock_and_leaves_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    wants = {
        "bedrock": ("priority", "x-amzn-bedrock-service-tier"),
        "vertex": ("flex", "x-vertex-ai-llm-shared-request-type"),
    }

    async def prepared(name: str, tier: str) -> httpx2.Request:
        provider = providers.get(name)
        target = replace(WAYS[name].target_at("http://127.0.0.1:1"), service_tier=tier)
        assert provider.check(replace(target, base_url="http://127.0.0.1:1/v1")) == []
        request = await provider.prepare(target, {**bodies(target, True)[0], "service_tier": tier})
        await provider.close()
        return request

    for name, (tier, header) in wants.items():
        for variable, value in WAYS[name].environment.items():
            monkeypatch.setenv(variable, value)
        request = asyncio.run(prepared(name, tier))
        assert request.headers[header] == tier
        assert "service_tier" not in json.loads(request.content)


def test_headers_of_the_workload_are_sent_and_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> list[httpx2.Request]:
        provider = providers.get("bedrock")
        target = WAYS["bedrock"].target_at("http://127.0.0.1:1")
        body = bodies(target, True)[0]
        made = [await provider.prepare(target, body, extra) for extra in ({"x-run": "1"}, {"x-run": "2"}, None)]
        await provider.close()
        return made

    one, two, none = asyncio.run(prepared())
    assert (one.headers["x-run"], two.headers["x-run"], none.headers.get("x-run")) == ("1", "2", None)
    assert "x-run" in one.headers["authorization"]


def test_two_targets_of_one_door_do_not_share_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "a")
    monkeypatch.setenv("KEY_B", "b")

    async def prepared() -> list[str]:
        provider = providers.get("anthropic")
        base = WAYS["anthropic"].target_at("http://127.0.0.1:1")
        first, second = replace(base, auth={"env": "KEY_A"}), replace(base, id="u", auth={"env": "KEY_B"})
        changed = replace(base, auth={"env": "KEY_B"})
        found = [
            (await provider.prepare(target, bodies(target, True)[0])).headers["authorization"]
            for target in (first, second, first, changed)
        ]
        await provider.close()
        return found

    assert asyncio.run(prepared()) == ["Bearer a", "Bearer b", "Bearer a", "Bearer b"]


def test_credentials_that_the_sdk_renews_itself_go_through_the_sdk_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    tokens = iter("abc")
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    provider = providers.get("anthropic")

    async def client(opened: Any, http: httpx2.AsyncClient) -> Any:
        credential = anthropic.AccessToken
        return anthropic.AsyncAnthropic(
            credentials=lambda **_: credential(token=next(tokens), expires_at=0),
            base_url="http://127.0.0.1:1",
            http_client=http,
        )

    monkeypatch.setattr(provider, "client", client)

    async def prepared() -> list[str]:
        target = WAYS["anthropic"].target_at("http://127.0.0.1:1")
        found = [(await provider.prepare(target, bodies(target, True)[0])).headers["authorization"] for _ in range(2)]
        await provider.close()
        return found

    assert asyncio.run(prepared()) == ["Bearer a", "Bearer b"]


def test_a_template_that_does_not_give_the_sdks_bytes_again_is_not_used() -> None:
    sent = httpx2.Request("POST", "http://127.0.0.1:1/v1/messages", content=b'{"model": "m", "x": 1}')
    assert not doors.Template(sent, {"model": "m"}).holds  # the spacing differs
    sent = httpx2.Request("POST", "http://127.0.0.1:1/v1/messages", content=b'{"messages":[],"v":"1"}')
    template = doors.Template(sent, {"model": "m", "messages": []})
    assert template.holds
    assert template.content({"model": "n", "messages": ["a"]}) == b'{"messages":["a"],"v":"1"}'


# ------------------------------------------------------------------------------------------------ bodies

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"))
    | st.floats(1e-4, 1e15) | st.floats(-1e15, -1e-4) | st.just(0.0),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(derandomize=True, max_examples=150, deadline=None)
@given(body=st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4))
def test_bodies_are_spelled_as_both_sdks_spell_them(body: dict[str, Any]) -> None:
    from anthropic._utils._json import openapi_dumps as claude
    from openai._utils._json import openapi_dumps as chat

    assert doors.to_json(body) == claude(body) == chat(body)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_very_small_and_very_large_numbers_keep_their_value(number: float) -> None:
    assert json.loads(doors.to_json({"x": number})) == {"x": number}


@pytest.mark.parametrize("bad", [math.nan, math.inf, [1, {"x": -math.inf}], object(), {1: "a"}, b"bytes", 2**65])
def test_what_json_cannot_carry_is_refused(bad: object) -> None:
    with pytest.raises(BenchError, match="request body"):
        doors.to_json({"temperature": bad, "null": None})


def test_none_is_sent_as_null_and_any_mapping_as_an_object() -> None:
    from types import MappingProxyType

    assert doors.to_json({"a": None, "b": MappingProxyType({"c": (1, 2)})}) == b'{"a":null,"b":{"c":[1,2]}}'


# ------------------------------------------------------------------------------------------------ secrets and sockets


@pytest.mark.parametrize("name", WAYS)
def test_no_secret_is_shown_by_any_object_of_a_door(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

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
            request,
            request.url,
            target,
        ]
        things += [provider.route(target), provider.client_stack(target), provider.check(target), provider.__dict__]
        words = "\n".join(f"{thing!r} {thing}" for thing in things)
        await provider.close()
        return words

    assert SECRET not in asyncio.run(shown())


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_sent_and_no_name_looked_up_while_preparing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> httpx2.Request:
        provider = providers.get(way.door)

        def refused(*_: Any, **__: Any) -> None:
            raise AssertionError("the network was touched")

        monkeypatch.setattr(socket.socket, "connect", refused)
        monkeypatch.setattr(socket.socket, "connect_ex", refused)
        monkeypatch.setattr(socket, "getaddrinfo", refused)
        target = replace(way.target_at("https://example.com"), base_url="https://example.com/v1")
        assert provider.check(target) == []
        request = await provider.prepare(target, bodies(target, True)[0])
        await provider.close()
        return request

    assert asyncio.run(prepared()).url.host == "example.com"
