"""Tokens of short life at loopback token endpoints: they are renewed, nobody waits for it, and an end is told plainly."""

import asyncio
import datetime
import hashlib
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench import providers
from bench.providers import auth, renewal
from bench.providers.renewal import Issued, Renewal, SignInFailed
from bench.targets import Target
from tests.wire.servers import authority

pytest.importorskip("anthropic")
pytest.importorskip("botocore")
pytest.importorskip("google.auth")
aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("azure.identity")

LIFE_S = 3
WHILE_IT_WAITS = 4
"""Requests that must be prepared while the endpoint keeps its answer back: were one of them waiting for it, none would be."""


@dataclass
class Endpoint:
    """Issues numbered tokens. Every answer after the first is kept back until requests were prepared meanwhile."""

    issued: dict[str, int] = field(default_factory=dict)
    prepared: dict[str, int] = field(default_factory=dict)
    held_up: list[str] = field(default_factory=list)
    gated: bool = False
    refusing: bool = False
    url: str = ""

    def token(self, way: str) -> str:
        number = self.issued[way] = self.issued.get(way, 0) + 1
        if self.gated:
            want, waited = self.prepared[way] + WHILE_IT_WAITS, threading.Event()
            for _ in range(200):
                if self.prepared[way] >= want:
                    break
                waited.wait(0.01)
            else:
                self.held_up.append(way)
        return f"{way}.token.{number}"


def end() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=LIFE_S)


def answer(at: Endpoint, path: str) -> tuple[str, bytes]:
    """Content type and body, as each issuer documents its own."""
    end_s = end().isoformat().replace("+00:00", "Z")
    if path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"):
        body: Any = {"access_token": at.token("google metadata"), "expires_in": LIFE_S, "token_type": "Bearer"}
    elif path.startswith("/computeMetadata/v1/instance/service-accounts/"):
        body = {"email": "e@p1", "scopes": ["s"], "aliases": ["default"]}
    elif path.startswith("/computeMetadata/v1/universe"):
        return "text/plain", b"googleapis.com"
    elif path.startswith("/computeMetadata") or path == "/":
        return "text/plain", b"p1"
    elif path == "/google-token":
        body = {"access_token": at.token("google key file"), "expires_in": LIFE_S, "token_type": "Bearer"}
    elif path == "/aws-container":
        body = {"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": at.token("aws container"), "Expiration": end_s}
    elif path.startswith("/federation/credentials"):
        body = {"roleCredentials": {"accessKeyId": "AKID", "secretAccessKey": "s", "sessionToken": at.token("aws sso"),
                                    "expiration": int(end().timestamp() * 1000)}}  # fmt: skip
    elif path == "/sts":
        given = f"<AccessKeyId>AKID</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>{at.token('aws web identity')}</SessionToken>"
        result = f"<AssumeRoleWithWebIdentityResult><Credentials>{given}<Expiration>{end_s}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
        return (
            "text/xml",
            f'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</AssumeRoleWithWebIdentityResponse>'.encode(),
        )
    elif path == "/process":
        body = {
            "Version": 1,
            "AccessKeyId": "AKID",
            "SecretAccessKey": "s",
            "SessionToken": at.token("aws process"),
            "Expiration": end_s,
        }
    elif path.endswith("/oauth2/v2.0/token"):
        body = {"access_token": at.token("entra"), "expires_in": LIFE_S, "token_type": "Bearer"}
    elif path == "/v1/oauth/token":
        body = {"access_token": at.token("anthropic federation"), "expires_in": LIFE_S, "token_type": "Bearer"}
    else:
        raise AssertionError(path)
    return "application/json", json.dumps(body).encode()


@contextmanager
def serving(at: Endpoint, context: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            kind, body = (
                answer(at, self.path)
                if not at.refusing
                else ("application/json", b'{"error":"invalid_grant","error_description":"the account was closed"}')
            )
            self.send_response(400 if at.refusing else 200)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Metadata-Flavor", "Google"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def key_file(folder: Path, url: str) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "key.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "p1", "private_key_id": "k", "private_key": key.decode(),
                                "client_email": "e@p1", "client_id": "1", "token_uri": f"{url}/google-token"}))  # fmt: skip
    return str(path)


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
    host = url.removeprefix("http://")
    files = aws_files(url)
    aws: dict[str, Any] = {"region": "us-east-1", "model_id": "us.anthropic.claude-sonnet-5-5"}
    google: dict[str, Any] = {"region": "us-east5", "project": "p1"}
    return {
        "google metadata": ("vertex", google, {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}),
        "google key file": ("vertex", google, {"GOOGLE_APPLICATION_CREDENTIALS": key_file(folder, url)}),
        "aws container": ("bedrock", aws, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/aws-container"}),
        "aws web identity": ("bedrock", aws, {"AWS_WEB_IDENTITY_TOKEN_FILE": files["token"], "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                                              "AWS_ENDPOINT_URL_STS": f"{url}/sts"}),
        "aws process": ("bedrock", {**aws, "auth": {"profile": "process"}}, {}),
        "aws sso": ("bedrock", {**aws, "auth": {"profile": "sso"}}, {"AWS_ENDPOINT_URL_SSO": url}),
        "entra": ("foundry", {}, {"AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111", "AZURE_CLIENT_ID": "c",
                                  "AZURE_CLIENT_SECRET": "s", "AZURE_AUTHORITY_HOST": tls_url}),
        "anthropic federation": ("anthropic", {"base_url": url.replace("127.0.0.1", "localhost")},
                                 {"ANTHROPIC_IDENTITY_TOKEN": "a.json.web.token", "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_1",
                                  "ANTHROPIC_ORGANIZATION_ID": "11111111-1111-1111-1111-111111111111"}),
    }  # fmt: skip


CHOOSING = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "GOOGLE_APPLICATION_CREDENTIALS")
"""What decides between ways when a client is made, and would decide for the other ways, too."""


def carried(request: Any) -> str:
    """The token that a request carries."""
    token: str = request.headers.get("x-amz-security-token") or request.headers["authorization"].removeprefix("Bearer ")
    return token


def test_every_way_of_signing_in_is_renewed_while_requests_go_on_and_its_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "machine_says", lambda path, word: False)
    from azure.identity._internal import utils

    monkeypatch.setattr(
        utils, "DEFAULT_TOKEN_REFRESH_RETRY_DELAY", 0
    )  # its pause of 30 s is longer than these tokens live
    import botocore.credentials

    cache = str(Path(os.environ["HOME"]) / ".aws" / "sso" / "cache")  # botocore asks where home is when it is imported
    monkeypatch.setattr(botocore.credentials.SSOProvider, "_SSO_TOKEN_CACHE_DIR", cache)
    at = Endpoint()
    made = authority(tmp_path)
    ours, theirs = made.server("127.0.0.1"), ssl.create_default_context(cafile=made.ca_file)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", theirs)  # made when aiohttp was imported

    async def scene() -> None:
        body = {"max_tokens": 1, "messages": [{"role": "user", "content": "q"}], "model": "m", "stream": True}
        doors: dict[str, tuple[Any, Target]] = {}
        seen: dict[str, list[str]] = {}
        ended: dict[str, SignInFailed] = {}
        for way, (door, facts, environment) in ways(url, tls_url, tmp_path).items():
            from anthropic.lib.aws import _auth

            _auth._get_session.cache_clear()
            with monkeypatch.context() as choosing:
                for name, value in environment.items():
                    (choosing if name in CHOOSING else monkeypatch).setenv(name, value)
                target = Target(**{"id": way, "model": "m", "provider": door, "model_id": "m", "dialect": "messages",
                                   "base_url": "http://127.0.0.1:1/v1", **facts})  # fmt: skip
                doors[way] = (providers.get(door), target)
                seen[way] = [carried(await doors[way][0].prepare(target, body))]
                at.prepared[way] = 0

        async def step() -> None:
            for way, (provider, target) in doors.items():
                try:
                    seen[way].append(carried(await provider.prepare(target, body)))
                    at.prepared[way] += 1
                except SignInFailed as error:
                    ended[way] = error
            await asyncio.sleep(0.01)

        loop = asyncio.get_running_loop()
        give_up = loop.time() + 30
        for _ in range(3):  # the first clients were made a while ago, and their tokens may have ended
            await step()
        at.gated = True
        before = {way: tokens[-1] for way, tokens in seen.items()}
        while any(tokens[-1] == before[way] for way, tokens in seen.items()) and loop.time() < give_up:
            await step()
        assert [way for way, tokens in seen.items() if tokens[-1] == before[way]] == [], "not renewed"
        assert at.held_up == [], "a request waited for a token endpoint"
        assert not ended

        at.refusing = True
        while len(ended) < len(doors) and loop.time() < give_up:
            await step()
        for way, (provider, _) in doors.items():
            said = f"{ended[way].message}; {ended[way].hint}"
            assert said.startswith(f"{provider.name}: the "), said
            assert "ended and could not be renewed: " in said
            assert "bench doctor" in said
        for provider, _ in doors.values():
            await provider.close()

    with serving(at) as url, serving(at, ours) as tls_url:
        asyncio.run(scene())


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
