"""One request over gRPC, stamped where its messages arrive: in our event loop, after the library has read them.

Messages are kept as the bytes they came as; what they say is read when the call has ended. Imported by doors that need
it, inside their functions: it loads grpc.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from bench.record import Connection, Exchange, WireFailure
from bench.wire.clock import SECOND_NS, now_ns

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # the library writes to stderr, which is our progress

import grpc
from grpc import aio

STREAMS_PER_CHANNEL = 50
"""Calls that share one connection. Servers allow about 100, and calls above that wait inside the library, unseen."""
WARM_TIMEOUT_S = 30.0

OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_retries", 0),  # every try is a row of ours
    ("grpc.use_local_subchannel_pool", 1),  # else all channels to one address share one connection
)

HTTP_STATUSES = {
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400, "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500,
    "UNAVAILABLE": 503, "DATA_LOSS": 500,
}  # fmt: skip
"""Google's own mapping of status codes, stated in google/rpc/code.proto."""

LOCAL: Sequence[tuple[re.Pattern[str], WireFailure]] = (
    (re.compile(r"errors resolving|DNS resolution failed|Domain name not found", re.IGNORECASE), "dns"),
    (re.compile(r"SSL_ERROR|Handshake failed|certificate|TSI_", re.IGNORECASE), "tls"),
    (re.compile(r"failed to connect|Connection refused|No route to host", re.IGNORECASE), "connect"),
    (re.compile(r"Connection reset|Broken pipe|RST_STREAM", re.IGNORECASE), "reset"),
    (
        re.compile(
            r"Socket closed|Stream removed|Endpoint read|GOAWAY|Cancelling all calls|keepalive|Transport closed|"
            r"Connection closed|Endpoint closing",
            re.IGNORECASE,
        ),
        "closed",
    ),
)
"""In what words the library says that the connection failed. It has no other sign: the status is the one that a server
which is overloaded would send."""


class Lines:
    """The connections to one address: channels that are opened as calls need them. `dial` makes a channel."""

    def __init__(self, dial: Callable[[], Any]) -> None:
        self._dial = dial
        self._lines: list[Line] = []

    def take(self) -> Line:
        """A connection with room for one more call; `Line.give_back` ends its use."""
        line = next((line for line in self._lines if line.calls < STREAMS_PER_CHANNEL), None)
        if line is None:
            line = Line(self, self._dial())
            self._lines.append(line)
        line.calls += 1
        return line

    def forget(self, line: Line) -> None:
        """The next call is to dial anew: a channel that failed would answer by itself until it has waited."""
        if line in self._lines:
            self._lines.remove(line)

    def holds(self, line: Line) -> bool:
        return line in self._lines

    async def warm(self, n: int) -> None:
        taken = [self.take() for _ in range(n)]
        lines = list(dict.fromkeys(taken))
        for line in taken:
            line.calls -= 1

        async def ready(line: Line) -> None:
            try:
                async with asyncio.timeout(WARM_TIMEOUT_S):
                    await line.channel.channel_ready()
                line.used = True
            except (TimeoutError, aio.UsageError):
                self.forget(line)
                await line.channel.close()

        await asyncio.gather(*(ready(line) for line in lines))

    async def close(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            await line.channel.close()


class Line:
    """One channel, which is one connection."""

    __slots__ = ("calls", "channel", "lines", "used")

    def __init__(self, lines: Lines, channel: Any) -> None:
        self.lines, self.channel = lines, channel
        self.calls, self.used = 0, False

    async def give_back(self) -> None:
        self.calls -= 1
        if not self.calls and not self.lines.holds(self):
            await self.channel.close()


class Call:
    """One request, and the carrier that takes it: `bench.wire.message.Carrier`.

    `read` makes the bytes that a dialect reads of all messages of a call.
    """

    def __init__(
        self,
        lines: Lines,
        method: str,
        request: bytes,
        metadata: Sequence[tuple[str, str]],
        streamed: bool,
        read: Callable[[bytes], bytes],
    ) -> None:
        self._lines, self._method, self._request = lines, method, request
        self._metadata, self._streamed, self._read = tuple(metadata), streamed, read
        self._call: Any = None
        self._aborted: str | None = None

    async def warm(self, n: int) -> None:
        await self._lines.warm(n)

    def abort(self, detail: str) -> None:
        self._aborted = detail
        if self._call is not None:
            self._call.cancel()

    async def exchange(self, deadline_ns: int) -> Exchange:
        """Sends and waits for the end. `sent_ns` is when the call was handed to the library, which then sends it."""
        line = self._lines.take()
        facts = Connection(reused=line.used)
        kind = line.channel.unary_stream if self._streamed else line.channel.unary_unary
        ask = kind(self._method)
        headers_ns: int | None = None
        raw: list[tuple[int, bytes]] = []
        headers: list[tuple[str, str]] = []
        code, said = "OK", ""
        sent_ns = end_ns = now_ns()
        try:
            self._call = ask(
                self._request, metadata=self._metadata, timeout=max(0.0, (deadline_ns - sent_ns) / SECOND_NS)
            )
            headers += _words(await self._call.initial_metadata())
            headers_ns = now_ns()
            if self._streamed:
                while (message := await self._call.read()) is not aio.EOF:
                    raw.append((now_ns(), message))
            else:
                message = await self._call
                raw.append((now_ns(), message))
            code, said = _status(await self._call.code()), await self._call.details() or ""
            headers += _words(await self._call.trailing_metadata())
        except aio.AioRpcError as error:
            code, said = _status(error.code()), error.details() or ""
            headers += [*_words(error.trailing_metadata()), *_details(error.trailing_metadata())]
        except asyncio.CancelledError:
            if self._aborted is None:
                if self._call is not None:
                    self._call.cancel()
                raise
            code, said = "CANCELLED", self._aborted
        finally:
            end_ns = now_ns()
            self._call = None
            await line.give_back()
        failure = self._failure(code, said, end_ns >= deadline_ns)
        if failure in ("dns", "tls", "connect", "reset", "closed"):
            self._lines.forget(line)
        elif failure is None:
            line.used = True
        pieces, broken = self._pieces(raw)
        if broken and code == "OK":
            code, said = "INTERNAL", broken
        if code != "OK" and failure is None:
            told = _envelope(code, said, headers)
            # After the first message the reply is a 200 that an error ended, as it is in a stream over HTTP.
            pieces.append((end_ns, b"event: error\r\ndata: %s\r\n\r\n" % told if self._streamed and pieces else told))
        status = 200 if raw or code == "OK" else HTTP_STATUSES.get(code, 500)
        return Exchange(
            sent_ns=sent_ns,
            headers_ns=headers_ns,
            end_ns=end_ns,
            status=status if failure is None or raw else None,
            headers=tuple(pair for pair in headers if pair[0] != DETAILS),
            pieces=tuple(pieces),
            connection=facts,
            failure=failure,
            failure_detail=said if failure else "",
        )

    def _failure(self, code: str, said: str, overdue: bool) -> WireFailure | None:
        if code == "OK":
            return None
        if self._aborted is not None:
            return "cancelled"
        if code == "DEADLINE_EXCEEDED" and overdue:
            return "timeout"
        if code in ("UNAVAILABLE", "UNKNOWN", "INTERNAL", "CANCELLED"):
            return next((failure for words, failure in LOCAL if words.search(said)), None)
        return None

    def _pieces(self, raw: list[tuple[int, bytes]]) -> tuple[list[tuple[int, bytes]], str]:
        """What the messages say, and why the first of them that says nothing does not."""
        pieces = []
        for arrived_ns, message in raw:
            try:
                pieces.append((arrived_ns, self._read(message)))
            except Exception as error:
                return pieces, f"a message that cannot be read: {type(error).__name__}: {error}"
        return pieces, ""


DETAILS = "grpc-status-details-bin"


def _status(code: Any) -> str:
    return str(code.name) if isinstance(code, grpc.StatusCode) else "UNKNOWN"


def _words(metadata: Any) -> list[tuple[str, str]]:
    return [(str(name), value) for name, value in metadata or () if isinstance(value, str)]


def _details(metadata: Any) -> list[tuple[str, str]]:
    """The error details of a status as JSON: among them, how long to wait."""
    from google.protobuf.json_format import MessageToJson
    from google.rpc import error_details_pb2, status_pb2

    assert error_details_pb2  # its types must be known before a status that holds them can be told
    for name, value in metadata or ():
        if name == DETAILS and isinstance(value, bytes):
            try:
                return [(DETAILS, MessageToJson(status_pb2.Status.FromString(value), indent=None))]
            except Exception:  # details of a kind that this installation does not know
                return []
    return []


def _envelope(code: str, said: str, headers: list[tuple[str, str]]) -> bytes:
    """The status as Google's error envelope, which is what the same error is over HTTP."""
    error: dict[str, Any] = {"code": HTTP_STATUSES.get(code, 500), "message": said, "status": code}
    for name, value in headers:
        if name == DETAILS:
            error["details"] = orjson.loads(value).get("details", [])
    return orjson.dumps({"error": error})


class Captured(Exception):
    """What the SDK wanted to send: raised by `Capture` in place of a call."""

    def __init__(self, method: str, request: bytes, metadata: Sequence[tuple[str, str]]) -> None:
        super().__init__(method)
        self.method, self.request = method, request
        self.metadata = tuple((str(name), str(value)) for name, value in metadata)


class _Unary(aio.UnaryUnaryMultiCallable):  # type: ignore[misc]
    def __init__(self, method: str, serialize: Callable[[Any], bytes]) -> None:
        self._method, self._serialize = method, serialize

    def __call__(self, request: Any, *, metadata: Any = (), **more: Any) -> Any:
        raise Captured(self._method, self._serialize(request), metadata or ())


class _Stream(aio.UnaryStreamMultiCallable):  # type: ignore[misc]
    def __init__(self, method: str, serialize: Callable[[Any], bytes]) -> None:
        self._method, self._serialize = method, serialize

    def __call__(self, request: Any, *, metadata: Any = (), **more: Any) -> Any:
        raise Captured(self._method, self._serialize(request), metadata or ())


class Capture(aio.Channel):  # type: ignore[misc]
    """Stands where the SDK's channel would: sends nothing, and tells what it was to send."""

    def __init__(self) -> None:
        self._unary_unary_interceptors: list[Any] = []  # where the SDK hangs its logger

    def unary_unary(self, method: str, request_serializer: Any = None, *more: Any, **named: Any) -> Any:
        return _Unary(method, request_serializer)

    def unary_stream(self, method: str, request_serializer: Any = None, *more: Any, **named: Any) -> Any:
        return _Stream(method, request_serializer)

    def stream_unary(self, method: str, request_serializer: Any = None, *more: Any, **named: Any) -> Any:
        return _Unary(method, request_serializer)

    def stream_stream(self, method: str, request_serializer: Any = None, *more: Any, **named: Any) -> Any:
        return _Stream(method, request_serializer)

    async def close(self, grace: float | None = None) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Capture:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is open."""

    def get_state(self, try_to_connect: bool = False) -> Any:
        return grpc.ChannelConnectivity.IDLE

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        """It has one state only."""

    async def channel_ready(self) -> None:
        """It is never asked."""


def dialler(address: str, secure: bool) -> Callable[[], Any]:
    """What opens a channel to an address; without `secure`, in the clear and past any proxy, for loopback."""
    if secure:
        return lambda: aio.secure_channel(address, grpc.ssl_channel_credentials(), options=OPTIONS)
    return lambda: aio.insecure_channel(address, options=(*OPTIONS, ("grpc.enable_http_proxy", 0)))
