"""Tokens of short life at loopback token endpoints: they are renewed, nobody waits for it, and an end is told plainly."""

import asyncio
import hashlib
import json
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth.compute_engine import _metadata

from bench import dialects, providers
from bench.providers import auth, renewal
from bench.providers.base import Carrying
from bench.providers.renewal import Issued, Renewal, SignInFailed
from bench.record import Case, Params
from bench.targets import Target
from tests.unit.token_endpoints import Endpoint, google_key_file, serving
from tests.wire.servers import authority

for module in ("anthropic", "openai", "botocore", "google.auth", "google.genai", "google.cloud.aiplatform_v1"):
    pytest.importorskip(module)
aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("azure.identity")

BILLED = "billed"
"""The project that Google's doors are to bill."""


def aws_files(url: str) -> dict[str, str]:
    """Profiles of a process and of SSO in the home of this test."""
    folder = Path(os.environ["HOME"]) / ".aws"
    (folder / "sso" / "cache").mkdir(parents=True)
    script = folder / "issue.py"
    script.write_text(f"import urllib.request; print(urllib.request.urlopen('{url}/process').read().decode())")
    start = "https://example.awsapps.com/start"
    (folder / "config").write_text(
        f"[profile process]\ncredential_process = {sys.executable} -S {script}\n"
        f"[profile sso]\nsso_start_url = {start}\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\nregion = us-east-1\n"
    )
    cached = {"startUrl": start, "region": "us-east-1", "accessToken": "a", "expiresAt": "2099-01-01T00:00:00Z"}
    (folder / "sso" / "cache" / f"{hashlib.sha1(start.encode()).hexdigest()}.json").write_text(json.dumps(cached))
    (folder / "identity").write_text("a.json.web.token")
    return {"token": str(folder / "identity")}


def ways(url: str, tls_url: str, folder: Path) -> dict[str, tuple[str, dict[str, Any], dict[str, str]]]:
    """Way of signing in -> door, facts of the target, environment."""
    host, files = url.removeprefix("http://"), aws_files(url)
    claude: dict[str, Any] = {"dialect": "messages", "model_id": "claude-sonnet-5-5"}
    aws: dict[str, Any] = {**claude, "region": "us-east-1", "model_id": "us.anthropic.claude-sonnet-5-5"}
    google: dict[str, Any] = {**claude, "region": "us-east5", "project": "p1", "workspace": "w"}
    gpt: dict[str, Any] = {"dialect": "chat", "model_id": "gpt-6.1-sol"}
    gemini: dict[str, Any] = {**google, "dialect": "gemini", "model_id": "gemini-2.5-flash"}
    grpc: dict[str, Any] = {"base_url": "http://127.0.0.1:1"}

    def container(door: str, **facts: Any) -> tuple[str, dict[str, Any], dict[str, str]]:
        return door, {**aws, **facts}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/aws-container/{door}"}

    def key_file(way: str, door: str, facts: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, str]]:
        found = google_key_file(folder, f"{url}/google/{way}", way)
        return door, facts, {"GOOGLE_APPLICATION_CREDENTIALS": found, "GOOGLE_CLOUD_QUOTA_PROJECT": BILLED}

    def entra(number: int) -> dict[str, str]:
        return {"AZURE_TENANT_ID": f"11111111-1111-1111-1111-11111111111{number}", "AZURE_CLIENT_ID": "c",
                "AZURE_CLIENT_SECRET": "s", "AZURE_AUTHORITY_HOST": tls_url}  # fmt: skip

    return {
        "google metadata": ("vertex", google, {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}),
        "vertex": key_file("vertex", "vertex", google),
        "claude-gcp": key_file("claude-gcp", "claude-gcp", google),
        "openai-vertex": key_file("openai-vertex", "openai-vertex", {**google, **gpt, "model_id": "openai/gpt-oss-120b-maas"}),
        "gemini-vertex": key_file("gemini-vertex", "gemini-vertex", gemini),
        "vertex-grpc": key_file("vertex-grpc", "vertex-grpc", {**google, **grpc}),
        "gemini over grpc": key_file("gemini over grpc", "vertex-grpc", {**gemini, **grpc}),
        "bedrock": container("bedrock"),
        "bedrock-mantle": container("bedrock-mantle", model_id="anthropic.claude-sonnet-5-5"),
        "claude-aws": container("claude-aws", model_id="claude-sonnet-5-5", workspace="w"),
        "openai-bedrock": container("openai-bedrock", **{**gpt, "model_id": "openai.gpt-6.1-sol"}),
        "aws web identity": ("bedrock", aws, {"AWS_WEB_IDENTITY_TOKEN_FILE": files["token"], "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                                              "AWS_ENDPOINT_URL_STS": f"{url}/sts"}),
        "aws process": ("bedrock", {**aws, "dialect": "converse", "auth": {"profile": "process"}}, {}),
        "aws sso": ("bedrock", {**aws, "auth": {"profile": "sso"}}, {"AWS_ENDPOINT_URL_SSO": url}),
        "entra 1": ("foundry", claude, entra(1)),
        "entra 2": ("azure-openai", {**gpt, "resource": "r1"}, entra(2)),
        "entra 3": ("azure-openai", {**gpt, "api_version": "2025-04-01-preview"}, entra(3)),
        "anthropic federation": ("anthropic", {**claude, "base_url": url.replace("127.0.0.1", "localhost")},
                                 {"ANTHROPIC_IDENTITY_TOKEN": "a.json.web.token", "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_1",
                                  "ANTHROPIC_ORGANIZATION_ID": "11111111-1111-1111-1111-111111111111"}),
    }  # fmt: skip


NEVER_RENEWING = {"openai", "openai-compatible"}
"""Doors whose keys have no end."""
CHOOSING = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
)
"""What decides between ways when a client is made, and would decide for the other ways, too."""


async def headers_of(provider: Any, target: Target) -> dict[str, str]:
    """Names in lower case and values of the headers of a request that the door prepares."""
    body = dialects.get(target.dialect).encode(
        Case("c", ({"role": "user", "content": "q"},)), Params(max_tokens=9), target
    )
    if isinstance(provider, Carrying):
        carrier: Any = (await provider.outgoing(target, body)).carrier
        return dict(carrier._metadata)
    return dict((await provider.prepare(target, body)).headers)


def carried(headers: dict[str, str]) -> str:
    """The token that a request carries."""
    return headers.get("x-amz-security-token") or headers["authorization"].removeprefix("Bearer ")


def trusted(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> ssl.SSLContext:
    """The context of an Entra authority of these names, whom azure-identity believes, and asks without a pause."""
    from azure.identity._internal import utils

    made = authority(folder)
    monkeypatch.setattr(utils, "DEFAULT_TOKEN_REFRESH_RETRY_DELAY", 0)  # of 30 s, which is longer than our tokens live
    theirs = ssl.create_default_context(cafile=made.ca_file)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", theirs)  # made when aiohttp was imported
    return made.server(*names)


def test_every_door_renews_its_tokens_while_requests_go_on_and_tells_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "machine_says", lambda path, word: False)
    import botocore.credentials

    cache = str(Path(os.environ["HOME"]) / ".aws" / "sso" / "cache")  # botocore asks where home is when it is imported
    monkeypatch.setattr(botocore.credentials.SSOProvider, "_SSO_TOKEN_CACHE_DIR", cache)
    at = Endpoint()
    ours = trusted(monkeypatch, tmp_path, "127.0.0.1")

    async def scene() -> None:
        doors: dict[str, tuple[Any, Target]] = {}
        seen: dict[str, list[str]] = {}
        ended: dict[str, SignInFailed] = {}
        found = ways(url, tls_url, tmp_path)
        assert {door for door, _, _ in found.values()} == set(providers.PROVIDERS) - NEVER_RENEWING
        for way, (door, facts, environment) in found.items():
            from anthropic.lib.aws import _auth

            _auth._get_session.cache_clear()
            with monkeypatch.context() as choosing:
                for name, value in environment.items():
                    (choosing if name in CHOOSING else monkeypatch).setenv(name, value)
                    if name == "GCE_METADATA_HOST":  # read when the module is imported, and never again
                        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", value)
                target = Target(
                    **{"id": way, "model": "m", "provider": door, "base_url": "http://127.0.0.1:1/v1", **facts}
                )
                doors[way] = (providers.get(door), target)
                first = await headers_of(*doors[way])
            seen[way] = [carried(first)]
            at.prepared[way] = 0
            if way in ("openai-vertex", "gemini-vertex", "vertex-grpc"):  # whose SDKs say whom to bill
                assert first["x-goog-user-project"] == BILLED

        async def step() -> None:
            for way, (provider, target) in doors.items():
                try:
                    seen[way].append(carried(await headers_of(provider, target)))
                    at.prepared[way] += 1
                except SignInFailed as error:
                    ended[way] = error
            await asyncio.sleep(0.04)

        loop = asyncio.get_running_loop()
        give_up = loop.time() + 30
        for _ in range(3):  # the first clients were made a while ago, and their tokens may have ended
            await step()
        at.gated = True
        before = {way: tokens[-1] for way, tokens in seen.items()}
        while any(tokens[-1] == before[way] for way, tokens in seen.items()) and loop.time() < give_up:
            await step()
            assert at.held_up == [], "a request waited for a token endpoint"
        assert [way for way, tokens in seen.items() if tokens[-1] == before[way]] == [], "not renewed"
        assert not ended

        at.refusing = True
        while len(ended) < len(doors) and loop.time() < give_up:
            await step()
        assert set(ended) == set(doors)
        for way, (provider, _) in doors.items():
            said = f"{ended[way].message}; {ended[way].hint}"
            assert said.startswith(f"{provider.name}: the "), said
            assert "ended and could not be renewed: " in said
            assert "bench doctor" in said
        for provider, _ in doors.values():
            await provider.close()

    with serving(at) as url, serving(at, ours) as tls_url:
        asyncio.run(scene())


COM, US, CN = "login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn"
CLOUDS = [
    # what is said of the place -> whose token, and who is asked for it
    ({"resource": "r1"}, "https://cognitiveservices.azure.com/.default", COM),
    ({"resource": "r1", "region": "usgovvirginia"}, "https://cognitiveservices.azure.us/.default", US),
    ({"resource": "r1", "region": "chinanorth3"}, "https://cognitiveservices.azure.cn/.default", CN),
    ({"base_url": "https://r1.openai.azure.us"}, "https://cognitiveservices.azure.us/.default", US),
    ({"base_url": "https://r1.services.ai.azure.com/openai/v1"}, "https://cognitiveservices.azure.com/.default", COM),
    ({"base_url": "https://r1.openai.azure.cn", "api_version": "2025-04-01-preview"},
     "https://cognitiveservices.azure.cn/.default", CN),
]  # fmt: skip


def test_an_entra_token_is_asked_for_in_the_cloud_of_the_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Endpoint(life_s=3600)
    ours = trusted(monkeypatch, tmp_path, COM, US, CN)
    for name, value in (
        ("TENANT_ID", "11111111-1111-1111-1111-111111111119"),
        ("CLIENT_ID", "c"),
        ("CLIENT_SECRET", "s"),
    ):
        monkeypatch.setenv(f"AZURE_{name}", value)

    class Here(aiohttp.abc.AbstractResolver):
        """Every name is this endpoint's."""

        def __init__(self, *_: Any, **__: Any) -> None: ...

        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
            return [{"hostname": host, "host": "127.0.0.1", "port": here, "family": 2, "proto": 0, "flags": 0}]

        async def close(self) -> None: ...

    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", Here)

    async def tokens(place: dict[str, Any]) -> list[str]:
        provider = providers.get("azure-openai")
        target = Target("t", "gpt-6.1-sol", "azure-openai", "gpt-6.1-sol", "chat", **place)
        found = []
        for _ in range(3):
            headers = await headers_of(provider, target)
            assert "api-key" not in headers
            found.append(headers["authorization"])
        assert "azure-identity" in provider.client_stack(target)
        await provider.close()
        return found

    with serving(at, ours) as url:
        here = int(url.rpartition(":")[2])
        for number, (place, scope, authority_host) in enumerate(CLOUDS, 1):
            at.asked.clear()
            assert asyncio.run(tokens(place)) == [f"Bearer entra 9.token.{number}"] * 3
            ((host, form),) = at.asked
            assert (host, form["scope"]) == (authority_host, [scope])


def test_a_renewal_that_fails_is_tried_again_and_nobody_waits_for_a_second_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(renewal, "_now_s", lambda: now[0])
    asked: list[float] = []
    answers: list[Callable[[], Issued]] = []

    async def fetch() -> Issued:
        asked.append(now[0])
        return answers.pop(0)()

    def issue(value: str, expires_s: float | None = None, renew_s: float | None = None) -> Callable[[], Issued]:
        return lambda: Issued(value, expires_s, renew_s)

    def refuse() -> Issued:
        raise OSError("the endpoint is gone\nand its whole reply follows")

    async def scene() -> None:
        kept = Renewal(fetch, "vertex", "token", "sign in again")

        async def at(now_s: float) -> str:
            now[0] = now_s
            value = await kept.value()
            await asyncio.sleep(0.001)  # what was begun in the background ends
            return str(value)

        # a life of 1,000 s: renewed when min(300, 0.4 × 1000) = 300 s are left, not used when min(10, 100) = 10 s are
        answers[:] = [issue("a", 2000.0), refuse, refuse, issue("b", 3000.0)]
        assert [await at(1000), await at(1699)] == ["a", "a"]
        assert asked == [1000]
        assert await at(1700) == "a"  # begun, and refused
        assert await at(1704) == "a"  # not asked again within 5 s
        assert asked == [1000, 1700]
        assert await at(1706) == "a"
        assert asked == [1000, 1700, 1706]
        now[0] = 1990
        with pytest.raises(SignInFailed) as ended:  # said at once; asked meanwhile
            await kept.value()
        assert (
            str(ended.value.message)
            == "vertex: the token ended and could not be renewed: OSError: the endpoint is gone"
        )
        await asyncio.sleep(0.001)
        assert await at(1991) == "b"
        # b was asked for at 1990 and ends at 3000: its issuer's own time comes before the last 300 s
        answers[:] = [issue("c", 4000.0, 3100.0), issue("d")]
        assert [await at(2699), await at(2700), await at(2701)] == ["b", "b", "c"]
        assert [await at(3099), await at(3100), await at(3101), await at(10**9)] == ["c", "c", "d", "d"]
        await kept.close()

    asyncio.run(scene())


def test_a_credential_without_an_end_is_asked_for_once_and_never_shown() -> None:
    asked = 0

    async def fetch() -> Issued:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return Issued("s3cret")

    async def scene() -> set[str]:
        kept = Renewal(fetch, "bedrock", "session", "sign in")
        found = set(await asyncio.gather(*(kept.value() for _ in range(20))))
        assert "s3cret" not in repr(kept) + repr(kept._issued)
        return found

    assert asyncio.run(scene()) == {"s3cret"}
    assert asked == 1
