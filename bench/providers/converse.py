"""Requests to Bedrock's Converse API as boto3 builds them, without being sent.

boto3 has no client over a transport of ours; instead a `before-send` handler keeps the finished request and answers in
the network's place. Later bodies go into copies of it: botocore's spelling of JSON, a new invocation id, and SigV4 again.
"""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import httpx2

from bench.errors import BenchError
from bench.providers.door import Template

SERVICE = "bedrock-runtime"
INVOCATION = "amz-sdk-invocation-id"
ADDRESSED = frozenset({"modelId", "stream"})
"""Arguments that are told by the address, not in the body."""


class ConverseTemplate(Template):
    """A request as botocore built it: bodies go in as botocore spells them, with spaces and in ASCII."""

    __slots__ = ()

    def content(self, given: Mapping[str, Any]) -> bytes:
        try:
            text = json.dumps({k: v for k, v in given.items() if k not in ADDRESSED}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BenchError(f"request body: {error}") from error
        return text.encode()


class Client:
    """A boto3 client of one target that hands out requests instead of sending them. Has no fields in its repr: its
    session holds credentials.
    """

    __slots__ = ("_client", "_headers", "_kept", "_lock")

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] = {}
        self._kept: Any = None
        client.meta.events.register(f"before-call.{SERVICE}", self._add_headers)
        client.meta.events.register(f"before-send.{SERVICE}", self._keep)

    def built(self, given: Mapping[str, Any], headers: Mapping[str, str]) -> httpx2.Request:
        """The request that boto3 would send for these arguments, as it would lie on the wire. May ask the network for
        credentials, so call it in a thread.
        """
        operation = "ConverseStream" if given.get("stream") else "Converse"
        shape = self._client.meta.service_model.operation_model(operation).input_shape
        arguments = {key: _argument(shape.members.get(key), value) for key, value in given.items() if key != "stream"}
        call = self._client.converse_stream if given.get("stream") else self._client.converse
        with self._lock:
            self._headers = headers
            call(**arguments)
            kept, self._kept = self._kept, None
        return _as_sent(kept)

    def _add_headers(self, params: dict[str, Any], **_: Any) -> None:
        params["headers"].update(self._headers)

    def _keep(self, request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        self._kept = request
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Nothing())

    async def close(self) -> None:
        self._client.close()


class _Nothing:
    """The body of the answer that stands in for the network's."""

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter((b"{}",))

    def close(self) -> None:
        return


def open_client(region: str | None, profile: str | None, token: str | None, base_url: str | None) -> tuple[Client, Any]:
    """The client, and the credentials that sign for it (None with a bearer token)."""
    import boto3
    from botocore.config import Config
    from botocore.session import get_session

    core = get_session()
    if token is not None:
        core.register_component("token_provider", _Token(token))
    session = boto3.Session(botocore_session=core, profile_name=profile, region_name=region)
    config = Config(
        signature_version="v4" if token is None else "bearer",
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    client = Client(session.client(SERVICE, endpoint_url=base_url, config=config))
    return client, session.get_credentials() if token is None else None


class _Token:
    """Gives botocore the bearer token that the target names, wherever it stands."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token

    def load_token(self, **_: Any) -> Any:
        from botocore.tokens import FrozenAuthToken

        return FrozenAuthToken(self._token)


def _argument(shape: Any, value: Any) -> Any:
    """A part of a body as boto3 wants it: bytes where the body has them in base64. Wrong shapes are boto3's to refuse."""
    if shape is None:
        return value
    if shape.type_name == "blob" and isinstance(value, str):
        return b64decode(value)
    if shape.type_name == "structure" and isinstance(value, Mapping) and not shape.is_document_type:
        return {key: _argument(shape.members.get(key), item) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list | tuple):
        return [_argument(shape.member, item) for item in value]
    return value


def _as_sent(kept: Any) -> httpx2.Request:
    """What botocore prepared, with the two headers that Python's http.client puts before its own."""
    url = httpx2.URL(kept.url)
    headers = [("Host", url.netloc.decode("ascii")), ("Accept-Encoding", "identity")]
    headers += [
        (name, value.decode("latin-1") if isinstance(value, bytes) else str(value))
        for name, value in kept.headers.items()
    ]
    return httpx2.Request(kept.method, url, headers=headers, content=kept.body)
