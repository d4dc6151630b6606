"""Claude and Gemini on Google Cloud's Vertex AI over gRPC, as google-cloud-aiplatform's prediction client asks for them.

gRPC is HTTP/2 inside a library of its own, so our wire cannot carry it: this door brings its carrier, whose arrivals are
stamped by our event loop. The SDK's client builds the request and its metadata; the token is added by us, since a
channel in the clear (a look-alike) takes no credentials, and the library would fetch it inside what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.errors import BenchError, CannotRun, Problem
from bench.providers import auth, faults, identity
from bench.providers.door import Headers, Opened, installed, missing, to_json, version_of
from bench.providers.gemini_vertex import google_host, google_place_problems, model_proof, project_of, region_of
from bench.providers.vertex import TIER_HEADERS, found_default, google_problems, sign_in
from bench.record import Exchange, Fault, Reply
from bench.targets import Target
from bench.wire.message import Outgoing

if TYPE_CHECKING:
    import httpx2

    from bench.providers.grpc_call import Lines

SERVICE = "google.cloud.aiplatform.v1.PredictionService"
CLAUDE_VERSION = "vertex-2023-10-16"
"""What goes into Claude's body where a target pins no version: the one that Google's documentation names."""
PACKAGES = ("google-cloud-aiplatform", "grpcio")


class VertexGrpc:
    name = "vertex-grpc"
    dialects = frozenset({"messages", "gemini"})

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Opened, Lines]] = {}

    async def outgoing(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Outgoing:
        """The request that the SDK's client would send, and the call that carries it. BenchError when there is none."""
        try:
            return await self._outgoing(target, body, headers or {})
        except BenchError:
            raise
        except ImportError as error:
            raise missing(self.name, self.name, error) from error
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            raise CannotRun(
                f"{target.id}: google-cloud-aiplatform could not prepare a request: {type(error).__name__}: {said}",
                hint="bench targets lists what each target needs",
            ) from error

    async def _outgoing(self, target: Target, body: dict[str, Any], headers: Mapping[str, str]) -> Outgoing:
        from bench.providers.grpc_call import Call

        opened, lines = await self._open(target)
        streamed = bool(body.get("stream"))
        captured = await self._built(opened, body, streamed)
        metadata = [
            *captured.metadata,
            *((name.lower(), value) for name, value in self._headers(target).items()),
            *((name.lower(), value) for name, value in headers.items()),
            *await self._authorized(opened),
        ]
        read = _claude_bytes if target.dialect == "messages" else _gemini_event if streamed else _gemini_object
        call = Call(lines, captured.method, captured.request, metadata, streamed, read)
        host, secure = address_of(target)
        name, _, port = host.rpartition(":")
        return Outgoing(("https" if secure else "http", name, int(port)), captured.request, call)

    async def _open(self, target: Target) -> tuple[Opened, Lines]:
        from google.cloud.aiplatform_v1 import PredictionServiceAsyncClient
        from google.cloud.aiplatform_v1.services.prediction_service.transports import (
            PredictionServiceGrpcAsyncIOTransport,
        )

        from bench.providers.grpc_call import Capture, Lines, dialler

        found = self._opened.get(target.id)
        if found is None or found[0].target != target:
            opened = Opened(target)
            opened.client = PredictionServiceAsyncClient(
                transport=PredictionServiceGrpcAsyncIOTransport(channel=Capture())
            )
            found = self._opened[target.id] = (opened, Lines(dialler(*address_of(target))))
            if auth.named(target) is None:
                await sign_in(opened, self.name)
        return found

    async def _built(self, opened: Opened, body: Mapping[str, Any], streamed: bool) -> Any:
        """What the SDK's client makes of this body: the method, the message as bytes, and the metadata."""
        from bench.providers.grpc_call import Captured

        client, target = opened.client, opened.target
        try:
            if target.dialect == "messages":
                ask = client.stream_raw_predict if streamed else client.raw_predict
                asked = ask(request=_raw_request(target, body, streamed), retry=None, timeout=None)
            else:
                ask = client.stream_generate_content if streamed else client.generate_content
                asked = ask(request=_content_request(target, body), retry=None, timeout=None)
            await asked
        except Captured as captured:
            return captured
        raise CannotRun(f"{target.id}: the SDK's client did not ask for anything")

    async def _authorized(self, opened: Opened) -> list[tuple[str, str]]:
        token = auth.named(opened.target) if opened.renewal is None else await opened.renewal.value()
        project = getattr(opened.keeper, "quota_project_id", None)
        billed = [("x-goog-user-project", str(project))] if project else []
        return [("authorization", f"Bearer {token}"), *billed]

    @staticmethod
    def _headers(target: Target) -> dict[str, str]:
        return {} if target.service_tier is None else dict([TIER_HEADERS[target.service_tier]])

    async def prepare(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx2.Request:
        raise CannotRun(f"{target.id}: {self.name} speaks gRPC, which is no HTTP request that could be prepared")

    # -- what is said of it

    def check(self, target: Target) -> list[Problem]:
        """Everything that would keep this target from running, each with what to do. No network, no SDK import."""
        found = [
            Problem(target.id, "provider", f"{package} is not installed", f"pip install 'bench[{self.name}]'")
            for package, module in zip(PACKAGES, ("google.cloud.aiplatform_v1", "grpc"), strict=True)
            if not installed(module)
        ]
        if target.dialect not in self.dialects:
            want = f"{', '.join(sorted(self.dialects))}, which is what {self.name} speaks"
            found.append(Problem(target.id, "dialect", target.dialect, want))
        parts = urlsplit(target.base_url or "https://host")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            want = "an address without a path, e.g. https://us-east5-aiplatform.googleapis.com"
            found.append(Problem(target.id, "base_url", str(target.base_url), want))
        if target.dialect == "gemini" and target.api_version is not None:
            found.append(Problem(target.id, "api_version", target.api_version, "none: over gRPC it is v1"))
        return found + google_place_problems(target) + google_problems(target)

    def fault(self, status: int | None, headers: Headers, body: bytes) -> Fault:
        """Why a reply is not ok. A status of gRPC comes as the envelope that it is over HTTP."""
        return faults.read_fault(status, headers, body)

    def client_stack(self, target: Target) -> str:
        stack = ", ".join(f"{package} {version_of(package)}" for package in PACKAGES)
        return f"{stack} (grpc, stamped by the event loop)"

    def route(self, target: Target) -> dict[str, str | None]:
        method = "StreamRawPredict" if target.dialect == "messages" else "StreamGenerateContent"
        version = target.api_version or CLAUDE_VERSION
        return {
            "host": address_of(target)[0],
            "path": f"/{SERVICE}/{method}",
            "api_version": version if target.dialect == "messages" else None,
            "auth": f"access token in {target.auth['env']}" if "env" in target.auth else found_default(),
            "transport": "grpc",
            "stamps": "event loop",
        }

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        found = identity.identify(target, exchange, reply).region_proof
        return found if found == "contradicted" or target.dialect == "messages" else model_proof(target, reply)

    async def close(self) -> None:
        opened, self._opened = self._opened, {}
        for each, lines in opened.values():
            if each.renewal is not None:
                await each.renewal.close()
            await lines.close()


def address_of(target: Target) -> tuple[str, bool]:
    """`host:port` to dial, and whether with TLS."""
    parts = urlsplit(target.base_url or f"https://{google_host(region_of(target))}")
    secure = parts.scheme == "https"
    return f"{parts.hostname}:{parts.port or (443 if secure else 80)}", secure


def _place(target: Target, publisher: str) -> str:
    place = f"projects/{project_of(target)}/locations/{region_of(target)}"
    return f"{place}/publishers/{publisher}/models/{target.model_id}"


def _raw_request(target: Target, body: Mapping[str, Any], streamed: bool) -> Any:
    """Claude's body as it is over HTTP, inside a message."""
    from google.api.httpbody_pb2 import HttpBody
    from google.cloud.aiplatform_v1.types import RawPredictRequest, StreamRawPredictRequest

    given = {key: value for key, value in body.items() if key not in ("model", "service_tier")}
    given.setdefault("anthropic_version", target.api_version or CLAUDE_VERSION)
    kind = StreamRawPredictRequest if streamed else RawPredictRequest
    return kind(
        endpoint=_place(target, "anthropic"), http_body=HttpBody(content_type="application/json", data=to_json(given))
    )


def _content_request(target: Target, body: Mapping[str, Any]) -> Any:
    """Gemini's body as the message that it is the JSON form of. BenchError for a field that the message does not have."""
    from google.cloud.aiplatform_v1.types import GenerateContentRequest
    from google.protobuf.json_format import ParseDict, ParseError

    given = {key: value for key, value in body.items() if key not in ("model", "stream")}
    message = GenerateContentRequest.pb()()
    try:
        ParseDict({**given, "model": _place(target, "google")}, message)
    except ParseError as error:
        raise BenchError(f"{target.id}: a field that cannot be sent over gRPC: {error}") from error
    return GenerateContentRequest.wrap(message)


def _claude_bytes(message: bytes) -> bytes:
    from google.api.httpbody_pb2 import HttpBody

    data: bytes = HttpBody.FromString(message).data
    return data


def _gemini_object(message: bytes) -> bytes:
    """A response in its JSON form, which is what it is over HTTP."""
    from google.cloud.aiplatform_v1.types import GenerateContentResponse
    from google.protobuf.json_format import MessageToDict

    response = GenerateContentResponse.pb().FromString(message)
    return json.dumps(MessageToDict(response), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _gemini_event(message: bytes) -> bytes:
    return b"data: %s\r\n\r\n" % _gemini_object(message)
