"""What the bedrock door prepares for Converse is what boto3 sends: byte for byte, on a socket or as it would go there."""

import asyncio
import datetime
import json
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench import dialects, providers
from bench.errors import CannotRun
from bench.providers import auth
from bench.record import Case, Connection, Exchange, Params, Reply
from bench.targets import Target
from bench.wire.http import outgoing
from tests.unit.test_provider_requests import SECRET, as_received, recomputed
from tests.unit.wire_bytes.loopback import Loopback, Received, loopback

boto3 = pytest.importorskip("boto3")
botocore_auth = pytest.importorskip("botocore.auth")
botocore_config = pytest.importorskip("botocore.config")

NOON = datetime.datetime(2026, 11, 21, 12, 0, 0)
INVOCATION = uuid.UUID(int=7)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"
TOOL = {"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
QUESTION = 'Größe "20" \\ 😀\n\u2028\x07 </script>'


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature holds its time, and boto3 numbers its calls: both builders are given the same."""
    monkeypatch.setattr(botocore_auth, "get_current_datetime", lambda **_: NOON)
    monkeypatch.setattr(uuid, "uuid4", lambda: INVOCATION)
    monkeypatch.setattr(auth, "machine_says", lambda path, word: False)


def target_at(url: str | None, **facts: Any) -> Target:
    given = {"model_id": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "region": "us-east-1", **facts}
    return Target("t", "claude-sonnet-4-5", "bedrock", dialect="converse", base_url=url, **given)


def bodies(target: Target, stream: bool) -> list[dict[str, Any]]:
    """Two bodies of one kind; the second goes into a copy of the first."""
    params = Params(
        max_tokens=64, temperature=0.0, top_p=0.5, top_k=3, stop=("END",), stream=stream, tools=(TOOL,), effort="low",
        cache_breakpoints=("system", "last_message"), cache_ttl="1h",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": "Größe"}}},
        extra_body={"requestMetadata": {"run": "r1"}, "performanceConfig": {"latency": "standard"}},
    )  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": PIXEL}}
    first = (
        {"role": "system", "content": "sys"},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}, image]},
    )
    more = (*first, {"role": "assistant", "content": "x" * 500}, {"role": "user", "content": "and é?"})
    return [dialects.get("converse").encode(Case("c", turns), params, target) for turns in (first, more)]


def arguments(body: dict[str, Any]) -> dict[str, Any]:
    """The body as a user of boto3 would write it: images are bytes there."""
    given = json.loads(json.dumps({key: value for key, value in body.items() if key != "stream"}))
    for block in given["messages"][0]["content"]:
        if "image" in block:
            block["image"]["source"]["bytes"] = b"\x89PNG\r\n\x1a\n"
    return given


@dataclass(frozen=True)
class Way:
    """A target, the environment that signs it in, and what a user of boto3 gives its client for the same."""

    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=lambda: KEYS)
    session: dict[str, Any] = field(default_factory=dict)
    path: str = ""


WAYS = {
    "keys": Way(),
    "session token and tier": Way({"service_tier": "flex"}, {**KEYS, "AWS_SESSION_TOKEN": "t0ken//=="}),
    "system-defined inference profile, by ARN": Way(
        {"model_id": f"{ACCOUNT}:inference-profile/us.anthropic.claude-x-v1:0"}
    ),
    "application inference profile": Way({"model_id": f"{ACCOUNT}:application-inference-profile/abc123"}),
    "provisioned throughput": Way({"model_id": f"{ACCOUNT}:provisioned-model/abc123def456"}),
    "model of the region": Way({"model_id": "anthropic.claude-x-v1:0:200k"}),
    "an address with a path": Way(path="/gateway/bedrock"),
    "keys, though a bearer token is set": Way(
        {"auth": {"env": "AWS_PROFILE"}}, {"AWS_PROFILE": "lab", "AWS_BEARER_TOKEN_BEDROCK": "unused"}
    ),
}


def client_of(url: str | None, signature: str, **more: Any) -> Any:
    """boto3's client with the settings that the product states: retries off, one kind of signature."""
    config = botocore_config.Config(signature_version=signature, retries={"mode": "standard", "total_max_attempts": 1})
    return boto3.Session(region_name="us-east-1").client("bedrock-runtime", endpoint_url=url, config=config, **more)


def sent_by_boto3(url: str, body: dict[str, Any], seen: Loopback) -> Received:
    client = client_of(url, "v4")
    answer = (client.converse_stream if body.get("stream") else client.converse)(**arguments(body))
    if "stream" in answer:
        answer["stream"].close()
    client.close()
    return seen.received[-1]


async def compared(way: Way, stream: bool) -> list[tuple[Received, Received]]:
    pairs = []
    provider = providers.get("bedrock")
    async with loopback() as server:
        target = target_at(server.url + way.path, **way.facts)
        assert provider.check(target) == []
        for body in bodies(target, stream):
            before = len(server.received)
            request = await provider.prepare(target, body)
            assert await provider.spliced(target, body) == outgoing(request)
            assert len(server.received) == before, "a request was sent while it was prepared"
            theirs = await asyncio.to_thread(sent_by_boto3, server.url + way.path, body, server)
            pairs.append((as_received(request), theirs))
    await provider.close()
    return pairs


def lab_profile() -> None:
    folder = Path("~/.aws").expanduser()
    folder.mkdir()
    (folder / "credentials").write_text(f"[lab]\naws_access_key_id = AKIDLAB\naws_secret_access_key = {SECRET}\n")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", WAYS)
def test_the_prepared_request_is_boto3s_byte_for_byte(name: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_profile()
    for variable, value in WAYS[name].environment.items():
        monkeypatch.setenv(variable, value)
    pairs = asyncio.run(compared(WAYS[name], stream))
    for ours, theirs in pairs:
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.body == theirs.body
        assert ours.headers == theirs.headers
    assert pairs[0][0].body != pairs[1][0].body


@pytest.mark.parametrize("variable", ["AWS_BEARER_TOKEN_BEDROCK", "MY_TOKEN"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_bearer_token_goes_as_boto3_sends_it(variable: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS only, so boto3's request is taken where it would have left for the network."""
    monkeypatch.setenv(variable, SECRET)
    kept: list[Any] = []

    def keep(request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        kept.append(request)
        return AWSResponse(request.url, 200, {}, type("Raw", (), {"stream": lambda *_: iter((b"{}",))})())

    async def prepared(target: Target) -> list[httpx2.Request]:
        provider = providers.get("bedrock")
        assert provider.check(target) == []
        made = [await provider.prepare(target, body) for body in bodies(target, stream)]
        await provider.close()
        return made

    target = target_at(None, auth={} if variable.startswith("AWS") else {"env": variable}, service_tier="priority")
    ours = asyncio.run(prepared(target))
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", SECRET)
    client = client_of(None, "bearer")
    client.meta.events.register("before-send.bedrock-runtime", keep)
    for body, request in zip(bodies(target, stream), ours, strict=True):
        (client.converse_stream if stream else client.converse)(**arguments(body))
        theirs = kept[-1]
        assert str(request.url) == theirs.url
        assert request.content == theirs.body
        own = {name.decode(): value for name, value in request.headers.raw}
        assert own.pop("Host") == b"bedrock-runtime.us-east-1.amazonaws.com"
        assert own.pop("Accept-Encoding") == b"identity"
        want = {name: value if isinstance(value, bytes) else value.encode() for name, value in theirs.headers.items()}
        # botocore notes in its own name where it found the token, in one word of the User-Agent
        assert [name for name in want if own[name] != want[name]] in ([], ["User-Agent"])
        assert list(own) == list(want)
        assert own["Authorization"] == f"Bearer {SECRET}".encode()
    client.close()


@pytest.mark.parametrize("name", ["keys", "session token and tier", "application inference profile"])
def test_the_signature_is_what_aws_will_compute(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = WAYS[name]
    for variable, value in way.environment.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> list[Received]:
        provider = providers.get("bedrock")
        target = target_at(None, **way.facts)
        made = [as_received(await provider.prepare(target, body, {"x-run": "1"})) for body in bodies(target, True)]
        await provider.close()
        return made

    for request in asyncio.run(prepared()):
        signed = recomputed(request, "bedrock-runtime.us-east-1.amazonaws.com", "bedrock").split(";")
        assert {"host", "x-amz-date", "content-type", "x-run"} <= set(signed)
        assert ("x-amz-security-token" in signed) == ("AWS_SESSION_TOKEN" in way.environment)


def test_only_the_first_request_of_a_kind_goes_through_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)
    from bench.providers.converse import Client

    calls = 0
    original = Client.built

    def counting(self: Client, *args: Any) -> httpx2.Request:
        nonlocal calls
        calls += 1
        return original(self, *args)

    monkeypatch.setattr(Client, "built", counting)

    async def prepared() -> list[str]:
        provider = providers.get("bedrock")
        target = target_at("http://127.0.0.1:1")
        both = [*bodies(target, True), *bodies(target, False)] * 2
        paths = [(await provider.prepare(target, body)).url.path.rpartition("/")[2] for body in both]
        await provider.close()
        return paths

    assert (
        asyncio.run(prepared())
        == ["converse-stream"] * 2 + ["converse"] * 2 + ["converse-stream"] * 2 + ["converse"] * 2
    )
    assert calls == 2  # streamed and not


def test_every_request_has_an_invocation_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1, 9))
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers)))
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)

    async def prepared() -> set[str]:
        provider = providers.get("bedrock")
        target = target_at("http://127.0.0.1:1")
        body = bodies(target, True)[0]
        ids = {(await provider.prepare(target, body)).headers["amz-sdk-invocation-id"] for _ in range(3)}
        await provider.close()
        return ids

    assert len(asyncio.run(prepared())) == 3


def test_no_secret_is_shown_by_any_object_of_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)

    async def shown() -> str:
        provider = providers.get("bedrock")
        target = target_at("http://127.0.0.1:1")
        request = await provider.prepare(target, bodies(target, True)[0])
        opened = provider._opened["t"]  # type: ignore[attr-defined]
        things: list[Any] = [provider, opened, opened.client, *opened.templates.values(), opened.renewal, request]
        words = "\n".join(f"{thing!r} {thing}" for thing in [*things, provider.route(target), provider.__dict__])
        await provider.close()
        return words

    assert SECRET not in asyncio.run(shown())


# ------------------------------------------------------------------------------------------------ credentials

ASSUMED = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>roles-secret</SecretAccessKey><SessionToken>roles-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def aws_config(text: str) -> None:
    folder = Path("~/.aws").expanduser()
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(text)


async def headers_of(target: Target, count: int = 1) -> list[httpx2.Headers]:
    provider = providers.get("bedrock")
    assert provider.check(target) == []
    body = bodies(target, True)[0]
    made = await asyncio.gather(*[provider.prepare(target, body) for _ in range(count)])
    await provider.close()
    return [request.headers for request in made]


def test_a_role_is_assumed_once_and_its_session_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    lab_profile()
    aws_config("[profile role]\nrole_arn = arn:aws:iam::123456789012:role/bench\nsource_profile = lab\n")

    async def run() -> tuple[list[httpx2.Headers], int]:
        async with loopback(ASSUMED, "text/xml") as sts:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
            found = await headers_of(target_at("http://127.0.0.1:1", auth={"profile": "role"}), 20)
            return found, len(sts.received)

    found, asked = asyncio.run(run())
    assert asked == 1
    assert {headers["x-amz-security-token"] for headers in found} == {"roles-token"}
    assert all("Credential=ASIAROLE/20261121/us-east-1/bedrock" in headers["authorization"] for headers in found)


def test_an_sso_sign_in_that_has_ended_is_told_with_what_to_do() -> None:
    aws_config(
        "[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = bench\n"
        "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n"
    )
    target = target_at("http://127.0.0.1:1", auth={"profile": "sso"})
    with pytest.raises(CannotRun, match=r"t: the boto3 SDK could not prepare a request: .*SSO") as told:
        asyncio.run(headers_of(target))
    assert SECRET not in str(told.value)


def test_no_credentials_at_all_are_told_before_and_when_preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    provider, target = providers.get("bedrock"), target_at(None)
    assert [problem.path for problem in provider.check(target)] == ["auth"]
    with pytest.raises(CannotRun, match="NoCredentialsError"):
        asyncio.run(provider.prepare(target, bodies(target, True)[0]))


# ------------------------------------------------------------------------------------------------ checks, route, proof

PROBLEMS: list[tuple[dict[str, Any], dict[str, str], list[str]]] = [
    ({}, KEYS, []),
    ({"api_version": "bedrock-2023-05-31"}, KEYS, ["api_version"]),
    ({"base_url": "http://127.0.0.1:1"}, {"AWS_BEARER_TOKEN_BEDROCK": "b"}, ["base_url"]),
    ({"base_url": "https://127.0.0.1:1"}, {"AWS_BEARER_TOKEN_BEDROCK": "b"}, []),
    ({"base_url": "http://127.0.0.1:1"}, KEYS, []),
    ({}, {"AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1"}, ["base_url"]),
    ({"region": None}, KEYS, ["region"]),
    ({"service_tier": "auto"}, KEYS, ["service_tier"]),
    ({"model_id": f"{ACCOUNT}:provisioned-model/abc", "region": "eu-west-1"}, KEYS, ["model_id"]),
    ({"model_id": f"{ACCOUNT}:provisioned-model/abc", "region": None}, {**KEYS, "AWS_REGION": "us-east-1"}, []),
]


@pytest.mark.parametrize(("facts", "environment", "want"), PROBLEMS)
def test_what_keeps_a_converse_target_from_running_is_named(
    facts: dict[str, Any], environment: dict[str, str], want: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = providers.get("bedrock").check(
        target_at(facts.get("base_url"), **{k: v for k, v in facts.items() if k != "base_url"})
    )
    assert [problem.path for problem in found] == want


def test_converse_needs_boto3_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.providers import door

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(door, "installed", lambda package: package != "anthropic")
    provider, target = providers.get("bedrock"), target_at(None)
    assert provider.check(target) == []
    assert provider.client_stack(target).startswith("boto3 ")
    (problem,) = provider.check(replace(target, dialect="messages"))
    assert problem.got == "anthropic is not installed"


ROUTES: list[tuple[dict[str, str], str | None, str]] = [
    ({}, None, "bedrock-runtime.us-east-1.amazonaws.com"),
    ({"AWS_USE_FIPS_ENDPOINT": "true"}, None, "bedrock-runtime-fips.us-east-1.amazonaws.com"),
    ({"AWS_ENDPOINT_URL": "https://a.example"}, None, "a.example"),
    ({"AWS_ENDPOINT_URL": "https://a.example", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://b.example"}, None, "b.example"),
    ({"AWS_ENDPOINT_URL": "https://a.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None,
     "bedrock-runtime.us-east-1.amazonaws.com"),
    ({"AWS_ENDPOINT_URL": "https://a.example"}, "https://c.example:8443", "c.example:8443"),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "base_url", "host"), ROUTES)
def test_the_route_told_is_the_one_taken(
    environment: dict[str, str], base_url: str | None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**KEYS, **environment}.items():
        monkeypatch.setenv(name, value)
    provider, target = providers.get("bedrock"), target_at(base_url)
    route = provider.route(target)
    request = asyncio.run(provider.prepare(target, bodies(target, True)[0]))
    assert (route["host"], route["path"]) == (host, "/model/{model}/converse-stream")
    assert request.url.netloc.decode() == host
    assert request.headers["host"] == host


def test_a_prompt_router_that_chose_another_model_contradicts_the_route() -> None:
    provider, target = providers.get("bedrock"), target_at(None)
    exchange = Exchange(0, 1, 2, 200, (), (), Connection(reused=True))
    of = "arn:aws:bedrock:us-east-1::foundation-model/anthropic."
    asked = provider.region_proof(target, exchange, Reply(served_model=of + "claude-sonnet-4-5-20250929-v1:0"))
    other = provider.region_proof(target, exchange, Reply(served_model=of + "claude-haiku-4-5-20251001-v1:0"))
    nothing = provider.region_proof(target, exchange, Reply())
    assert (asked, other, nothing) == ("unknown", "contradicted", "unknown")


# ------------------------------------------------------------------------------------------------ faults

EXCEPTIONS = [
    # every exception of Converse and ConverseStream in botocore's service model, with its status there
    ("AccessDeniedException", 403, "auth", False),
    ("ThrottlingException", 429, "throttled", True),
    ("ResourceNotFoundException", 404, "bad_request", False),
    ("ModelTimeoutException", 408, "timeout", True),
    ("InternalServerException", 500, "server", True),
    ("ServiceUnavailableException", 503, "overloaded", True),
    ("ValidationException", 400, "bad_request", False),
    ("ModelNotReadyException", 429, "overloaded", True),
    ("ModelErrorException", 424, "server", False),
]


def test_the_table_below_has_every_exception_of_the_service_model() -> None:
    client = boto3.client("bedrock-runtime", region_name="us-east-1")
    for operation in ("Converse", "ConverseStream"):
        shapes = client.meta.service_model.operation_model(operation).error_shapes
        assert {(shape.name, shape.metadata["error"]["httpStatusCode"]) for shape in shapes} == {
            (name, status) for name, status, _, _ in EXCEPTIONS
        }
    client.close()


@pytest.mark.parametrize(("name", "status", "outcome", "retryable"), EXCEPTIONS)
def test_every_exception_of_converse_has_its_outcome(name: str, status: int, outcome: str, retryable: bool) -> None:
    headers = (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    fault = providers.get("bedrock").fault(status, headers, b'{"message":"m"}')
    assert (fault.outcome, fault.code, fault.retryable) == (outcome, name, retryable)
    assert fault.message.endswith("m")  # with what to do before it, where that is known
