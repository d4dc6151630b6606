"""Token endpoints of every cloud on loopback: they issue numbered tokens of short life, and can hold back or refuse."""

import datetime
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

REFUSAL = b'{"error":"invalid_grant","error_description":"the account was closed"}'
WHILE_IT_WAITS = 3
"""Requests that must be prepared while an endpoint keeps its answer back: were one of them waiting for it, none would be."""


@dataclass
class Endpoint:
    """Issues tokens to several ways of signing in. A gated answer is kept back until requests were prepared meanwhile."""

    life_s: int = 4
    value: str | None = None
    """What every token says; None: its way and its number."""
    issued: dict[str, int] = field(default_factory=dict)
    prepared: dict[str, int] = field(default_factory=dict)
    held_up: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    """Host and form of every request."""
    gated: bool = False
    refusing: bool = False

    def token(self, way: str) -> str:
        number = self.issued[way] = self.issued.get(way, 0) + 1
        if self.gated:
            want, waited = self.prepared[way] + WHILE_IT_WAITS, threading.Event()
            for _ in range(1000):  # long enough for a busy machine; who waits here for good has stopped preparing
                if self.prepared[way] >= want:
                    break
                waited.wait(0.01)
            else:
                self.held_up.append(way)
        return self.value or f"{way}.token.{number}"

    def answer(self, path: str) -> tuple[str, bytes]:
        """Content type and body, as each issuer documents its own. `/ISSUER/.../WAY` is an address of our choice."""
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.life_s)
        end_s, way = end.isoformat().replace("+00:00", "Z"), path.rpartition("/")[2].replace("%20", " ")
        if path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"):
            body: Any = self._bearer("google metadata")
        elif path.startswith("/computeMetadata/v1/instance/service-accounts/"):
            body = {"email": "e@p1", "scopes": ["s"], "aliases": ["default"]}
        elif path.startswith("/computeMetadata/v1/universe"):
            return "text/plain", b"googleapis.com"
        elif path.startswith("/computeMetadata") or path == "/":
            return "text/plain", b"p1"
        elif path.startswith("/google/"):
            body = self._bearer(way)
        elif path.startswith("/aws-container/"):
            body = {"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": self.token(way), "Expiration": end_s}
        elif path.startswith("/federation/credentials"):
            body = {"roleCredentials": {"accessKeyId": "AKID", "secretAccessKey": "s", "sessionToken": self.token("aws sso"),
                                        "expiration": int(end.timestamp() * 1000)}}  # fmt: skip
        elif path == "/sts":
            token = self.token("aws web identity")
            given = f"<AccessKeyId>AKID</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>{token}</SessionToken>"
            result = f"<Credentials>{given}<Expiration>{end_s}</Expiration></Credentials>"
            kind = "AssumeRoleWithWebIdentity"
            space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
            text = f"<{kind}Response {space}><{kind}Result>{result}</{kind}Result></{kind}Response>"
            return "text/xml", text.encode()
        elif path == "/process":
            body = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s", "SessionToken": self.token("aws process"),
                    "Expiration": end_s}  # fmt: skip
        elif path.endswith("/oauth2/v2.0/token"):
            body = self._bearer(f"entra {path.split('/')[1][-1]}")
        elif path == "/v1/oauth/token":
            body = self._bearer("anthropic federation")
        else:
            raise AssertionError(path)
        return "application/json", json.dumps(body).encode()

    def _bearer(self, way: str) -> dict[str, Any]:
        return {"access_token": self.token(way), "expires_in": self.life_s, "token_type": "Bearer"}


@contextmanager
def serving(at: Endpoint, context: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            form = self.rfile.read(int(self.headers.get("content-length") or 0))
            at.asked.append((self.headers["host"], parse_qs(form.decode())))
            refused = at.refusing
            kind, body = ("application/json", REFUSAL) if refused else at.answer(self.path)
            self.send_response(400 if refused else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Metadata-Flavor", "Google")
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


def google_key_file(folder: Path, token_uri: str, name: str = "key") -> str:
    """A service account's file, whose tokens come from `token_uri`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "p1", "private_key_id": "k", "private_key": key.decode(),
                                "client_email": "e@p1", "client_id": "1", "token_uri": token_uri}))  # fmt: skip
    return str(path)
