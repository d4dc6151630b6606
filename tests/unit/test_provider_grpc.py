"""The vertex-grpc door: what it sends is what the SDK's client sends, and what comes back keeps its stamps and its name."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench import dialects, providers
from bench.engine.send import fault_of
from bench.errors import BenchError
from bench.providers.base import Carrying
from bench.record import Case, Exchange, Params
from bench.targets import Target
from bench.wire.clock import SECOND_NS, now_ns
from bench.wire.http import Wire
from tests.unit.wire_bytes import golden

grpc = pytest.importorskip("grpc")
pytest.importorskip("google.cloud.aiplatform_v1")
from grpc import aio  # noqa: E402

SERVICE = "google.cloud.aiplatform.v1.PredictionService"
ONE = Case("c", ({"role": "user", "content": "hi"},))


def target(dialect: str, port: int, **more: Any) -> Target:
    model = "gemini-x" if dialect == "gemini" else "claude-x"
    return Target(
        "t", model, "vertex-grpc", model, dialect, region="us-east5", project="p1", base_url=f"http://127.0.0.1:{port}",
        auth={"env": "KEY"}, **more,
    )  # fmt: skip


@dataclass
class Seen:
    port: int = 0
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


Answer = Callable[[Any], AsyncIterator[bytes]]


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[Seen]:
    """A server that keeps what it is sent and answers every call alike."""
    seen = Seen()

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            async def stream(message: bytes, context: Any) -> AsyncIterator[bytes]:
                seen.calls.append((details.method, dict(context.invocation_metadata()), message))
                async for data in answer(context):
                    yield data

            async def whole(message: bytes, context: Any) -> bytes:
                seen.calls.append((details.method, dict(context.invocation_metadata()), message))
                return b"".join([data async for data in answer(context)])

            if details.method.rpartition("/")[2].startswith("Stream"):
                return grpc.unary_stream_rpc_method_handler(stream)
            return grpc.unary_unary_rpc_method_handler(whole)

    server = aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    seen.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield seen
    finally:
        await server.stop(0)


def http_body(data: bytes) -> bytes:
    from google.api.httpbody_pb2 import HttpBody

    return HttpBody(content_type="text/event-stream", data=data).SerializeToString()


def responses(name: str) -> list[bytes]:
    """The events of a golden stream as the messages that they are over gRPC, made with the SDK's own classes."""
    from google.cloud.aiplatform_v1.types import GenerateContentResponse
    from google.protobuf.json_format import Parse

    kind = GenerateContentResponse.pb()
    events = [block.removeprefix(b"data: ") for block in golden(name).split(b"\r\n\r\n")[:-1]]
    return [Parse(event, kind()).SerializeToString() for event in events]


async def say(*messages: bytes) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


async def exchanged(here: Target, params: Params, timeout_s: float = 5.0, wire: Wire | None = None) -> Exchange:
    door = providers.get("vertex-grpc")
    assert isinstance(door, Carrying)
    body = dialects.get(here.dialect).encode(ONE, params, here)
    own = wire or Wire(environ={})
    try:
        return await own.exchange(await door.outgoing(here, body), now_ns() + round(timeout_s * SECOND_NS))
    finally:
        await door.close()
        if wire is None:
            await own.aclose()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "ya29.x")


# ------------------------------------------------------------------------------------------------ what goes out


async def by_the_sdk(here: Target, body: dict[str, Any], port: int) -> None:
    """The same request by google-cloud-aiplatform's client over a channel of its own."""
    from google.api.httpbody_pb2 import HttpBody
    from google.cloud.aiplatform_v1 import PredictionServiceAsyncClient
    from google.cloud.aiplatform_v1.services.prediction_service.transports import PredictionServiceGrpcAsyncIOTransport

    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    client = PredictionServiceAsyncClient(transport=PredictionServiceGrpcAsyncIOTransport(channel=channel))
    more = {"metadata": [("authorization", "Bearer ya29.x")], "retry": None, "timeout": 5}
    place = "projects/p1/locations/us-east5/publishers"
    if here.dialect == "messages":
        plain = {key: value for key, value in body.items() if key != "model"} | {
            "anthropic_version": "vertex-2023-10-16"
        }
        data = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
        http = HttpBody(content_type="application/json", data=data)
        asked: dict[str, Any] = {"endpoint": f"{place}/anthropic/models/claude-x", "http_body": http}
        if body.get("stream"):
            async for _ in await client.stream_raw_predict(request=asked, **more):
                pass
        else:
            await client.raw_predict(request=asked, **more)
    else:
        parts = [{"text": part["text"]} for part in body["contents"][0]["parts"]]
        asked = {
            "model": f"{place}/google/models/gemini-x",
            "contents": [{"role": "user", "parts": parts}],
            "generation_config": {"max_output_tokens": 9, "temperature": 0.5, "top_k": 40, "stop_sequences": ["END"]},
        }
        if body["stream"]:
            async for _ in await client.stream_generate_content(request=asked, **more):
                pass
        else:
            await client.generate_content(request=asked, **more)
    await channel.close()


@pytest.mark.parametrize("dialect", ["messages", "gemini"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_call_is_the_sdks_in_method_metadata_and_message(dialect: str, stream: bool) -> None:
    params = Params(max_tokens=9, temperature=0.5, top_k=40, stop=("END",), stream=stream)

    async def both() -> Seen:
        async with served(lambda context: say()) as server:
            here = target(dialect, server.port)
            await by_the_sdk(here, dialects.get(dialect).encode(ONE, params, here), server.port)
            await exchanged(here, params)
            return server

    theirs, ours = asyncio.run(both()).calls
    assert ours[0] == theirs[0]
    assert ours[2] == theirs[2]
    # the library writes its own version, and the way it was built, into user-agent
    assert {key: v for key, v in ours[1].items() if key != "user-agent"} == {
        key: v for key, v in theirs[1].items() if key != "user-agent"
    }


def test_a_tier_and_headers_of_the_workload_go_out_as_metadata() -> None:
    async def run() -> Seen:
        async with served(lambda context: say()) as server:
            here = target("gemini", server.port, service_tier="priority")
            door = providers.get("vertex-grpc")
            assert isinstance(door, Carrying)
            body = dialects.get("gemini").encode(ONE, Params(), here)
            wire = Wire(environ={})
            await wire.exchange(await door.outgoing(here, body, {"X-Mine": "1"}), now_ns() + SECOND_NS)
            await door.close()
            await wire.aclose()
            return server

    ((_, metadata, _),) = asyncio.run(run()).calls
    assert metadata["x-vertex-ai-llm-shared-request-type"] == "priority"
    assert metadata["x-mine"] == "1"


def test_a_field_that_the_message_does_not_have_is_refused_in_words() -> None:
    async def run() -> None:
        here = target("gemini", 1)
        door = providers.get("vertex-grpc")
        assert isinstance(door, Carrying)
        body = dialects.get("gemini").encode(ONE, Params(extra_body={"serviceTier": "flex"}), here)
        try:
            await door.outgoing(here, body)
        finally:
            await door.close()

    with pytest.raises(BenchError, match="cannot be sent over gRPC"):
        asyncio.run(run())


def test_it_prepares_no_http_request_and_says_who_stamps() -> None:
    here = target("messages", 1)
    door = providers.get("vertex-grpc")
    with pytest.raises(BenchError, match="speaks gRPC"):
        asyncio.run(door.prepare(here, {}))
    assert "grpc, stamped by the event loop" in door.client_stack(here)
    assert door.route(here)["transport"] == "grpc"
    assert door.route(here)["stamps"] == "event loop"
    assert door.check(here) == []
    wrong = door.check(target("chat", 1, service_tier="fast"))
    assert {problem.path for problem in wrong} == {"dialect", "service_tier"}


# ------------------------------------------------------------------------------------------------ what comes back


@pytest.mark.parametrize(
    "name", ["gemini_text.sse", "gemini_thoughts_tools.sse", "gemini_blocked.sse", "gemini_cut.sse"]
)
def test_a_stream_of_messages_says_what_the_stream_over_http_says(name: str) -> None:
    from tests.unit.wire_bytes import in_one_piece

    async def run() -> Exchange:
        async with served(lambda context: say(*responses(name))) as server:
            return await exchanged(target("gemini", server.port), Params())

    exchange = asyncio.run(run())
    gemini = dialects.get("gemini")
    over_grpc, over_http = gemini.decode(exchange), gemini.decode(in_one_piece(name))
    for what in ("text", "reasoning", "tool_calls", "usage", "native_stop_reason", "complete", "served_model"):
        assert getattr(over_grpc, what) == getattr(over_http, what), what
    assert (over_grpc.served_lane, over_grpc.message_id) == (over_http.served_lane, over_http.message_id)
    assert len(over_grpc.content_ns) == len(over_http.content_ns)
    assert exchange.sent_ns < (exchange.headers_ns or 0) <= exchange.pieces[0][0] <= exchange.end_ns
    assert [at for at, _ in exchange.pieces] == sorted(at for at, _ in exchange.pieces)
    assert exchange.status == 200


def test_claudes_events_come_out_of_their_messages_whole_or_cut() -> None:
    data = golden("messages_thinking_text_tool.sse")
    parts = [http_body(data[at : at + 97]) for at in range(0, len(data), 97)]

    async def run() -> Exchange:
        async with served(lambda context: say(*parts)) as server:
            return await exchanged(target("messages", server.port), Params())

    exchange = asyncio.run(run())
    assert exchange.body == data
    assert dialects.get("messages").decode(exchange).complete


@pytest.mark.parametrize(("dialect", "name"), [("messages", "messages_whole.json"), ("gemini", "gemini_whole.json")])
def test_a_reply_that_comes_whole_is_read_as_over_http(dialect: str, name: str) -> None:
    from google.cloud.aiplatform_v1.types import GenerateContentResponse
    from google.protobuf.json_format import Parse

    from tests.unit.wire_bytes import in_one_piece

    data = golden(name)
    message = (
        http_body(data) if dialect == "messages" else Parse(data, GenerateContentResponse.pb()()).SerializeToString()
    )

    async def run() -> Exchange:
        async with served(lambda context: say(message)) as server:
            return await exchanged(target(dialect, server.port), Params(stream=False))

    decode = dialects.get(dialect).decode
    assert decode(asyncio.run(run())) == decode(in_one_piece(name))


STATES = [
    # state, HTTP status of google/rpc/code.proto, outcome, another try helps
    ("UNAVAILABLE", 503, "overloaded", True),
    ("RESOURCE_EXHAUSTED", 429, "throttled", True),
    ("DEADLINE_EXCEEDED", 504, "timeout", True),
    ("PERMISSION_DENIED", 403, "auth", False),
    ("UNAUTHENTICATED", 401, "auth", False),
    ("NOT_FOUND", 404, "bad_request", False),
    ("INVALID_ARGUMENT", 400, "bad_request", False),
    ("FAILED_PRECONDITION", 400, "bad_request", False),
    ("OUT_OF_RANGE", 400, "bad_request", False),
    ("UNIMPLEMENTED", 501, "bad_request", False),
    ("CANCELLED", 499, "server", True),
    ("INTERNAL", 500, "server", True),
    ("ABORTED", 409, "server", True),
    ("DATA_LOSS", 500, "server", True),
    ("UNKNOWN", 500, "server", True),
]


@pytest.mark.parametrize("dialect", ["messages", "gemini"])
@pytest.mark.parametrize("stream", [True, False])
def test_every_state_of_grpc_has_its_outcome(dialect: str, stream: bool) -> None:
    async def run() -> list[Exchange]:
        states = iter(STATES)

        async def refuse(context: Any) -> AsyncIterator[bytes]:
            await context.abort(grpc.StatusCode[next(states)[0]], "No, thanks.")
            yield b""

        async with served(refuse) as server:
            return [await exchanged(target(dialect, server.port), Params(stream=stream)) for _ in STATES]

    for exchange, (state, status, outcome, retryable) in zip(asyncio.run(run()), STATES, strict=True):
        assert (exchange.status, exchange.failure) == (status, None), state
        reply = dialects.get(dialect).decode(exchange)
        fault = fault_of(providers.get("vertex-grpc"), exchange, reply)
        assert fault is not None
        assert (fault.outcome, fault.code, fault.message, fault.retryable) == (outcome, state, "No, thanks.", retryable)


@pytest.mark.parametrize("dialect", ["messages", "gemini"])
def test_a_state_in_the_middle_is_an_error_inside_the_reply_and_what_came_is_kept(dialect: str) -> None:
    first = responses("gemini_text.sse")[0]
    if dialect == "messages":
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Thirty days"}}
        first = http_body(b"event: content_block_delta\ndata: %s\n\n" % json.dumps(delta).encode())

    async def run() -> Exchange:
        async def broken(context: Any) -> AsyncIterator[bytes]:
            yield first
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Enough.")

        async with served(broken) as server:
            return await exchanged(target(dialect, server.port), Params())

    exchange = asyncio.run(run())
    reply = dialects.get(dialect).decode(exchange)
    fault = fault_of(providers.get("vertex-grpc"), exchange, reply)
    assert exchange.status == 200
    assert reply.text == "Thirty days"
    assert fault is not None
    assert (fault.outcome, fault.code, fault.message) == ("throttled", "RESOURCE_EXHAUSTED", "Enough.")


def test_how_long_to_wait_is_read_from_the_details_of_the_status() -> None:
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    info = AnyMessage()
    info.Pack(RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)))
    details = Status(code=8, message="Later.", details=[info]).SerializeToString()

    async def run() -> Exchange:
        async def refuse(context: Any) -> AsyncIterator[bytes]:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Later.", (("grpc-status-details-bin", details),))
            yield b""

        async with served(refuse) as server:
            return await exchanged(target("gemini", server.port), Params())

    exchange = asyncio.run(run())
    fault = providers.get("vertex-grpc").fault(exchange.status, exchange.headers, exchange.body)
    assert fault.retry_after_s == 1.5


def test_a_message_that_cannot_be_read_is_an_error_and_what_came_before_is_kept() -> None:
    messages = [*responses("gemini_text.sse")[:2], b"\xff\xff\xff"]

    async def run() -> Exchange:
        async with served(lambda context: say(*messages)) as server:
            return await exchanged(target("gemini", server.port), Params())

    exchange = asyncio.run(run())
    reply = dialects.get("gemini").decode(exchange)
    fault = fault_of(providers.get("vertex-grpc"), exchange, reply)
    assert reply.text == "Thirty days, counted from"
    assert fault is not None
    assert (fault.outcome, fault.code) == ("server", "INTERNAL")


# ------------------------------------------------------------------------------------------------ time and trouble


async def endless(context: Any) -> AsyncIterator[bytes]:
    yield responses("gemini_text.sse")[0]
    await asyncio.Event().wait()


def test_the_deadline_ends_the_call_and_keeps_what_arrived() -> None:
    async def run() -> Exchange:
        async with served(endless) as server:
            return await exchanged(target("gemini", server.port), Params(), timeout_s=0.2)

    exchange = asyncio.run(run())
    assert exchange.failure == "timeout"
    assert dialects.get("gemini").decode(exchange).text == "Thirty days"
    fault = fault_of(providers.get("vertex-grpc"), exchange, dialects.get("gemini").decode(exchange))
    assert fault is not None
    assert fault.outcome == "timeout"


def test_aborting_the_wire_ends_the_call_and_keeps_what_arrived() -> None:
    async def run() -> Exchange:
        wire = Wire(environ={})
        async with served(endless) as server:
            asking = asyncio.ensure_future(exchanged(target("gemini", server.port), Params(), wire=wire))
            while not server.calls:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
            assert wire.live.in_flight == 1
            wire.abort("interrupted by the user")
            exchange = await asking
            assert wire.live.in_flight == 0
        await wire.aclose()
        return exchange

    exchange = asyncio.run(run())
    assert (exchange.failure, exchange.failure_detail) == ("cancelled", "interrupted by the user")


def test_cancelling_the_task_ends_the_call() -> None:
    async def run() -> None:
        async with served(endless) as server:
            asking = asyncio.ensure_future(exchanged(target("gemini", server.port), Params()))
            while not server.calls:
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(run())


def test_a_closed_wire_sends_nothing() -> None:
    async def run() -> tuple[Exchange, Seen]:
        wire = Wire(environ={})
        await wire.aclose()
        async with served(lambda context: say()) as server:
            return await exchanged(target("gemini", server.port), Params(), wire=wire), server

    exchange, server = asyncio.run(run())
    assert exchange.failure == "cancelled"
    assert server.calls == []


def test_nobody_listening_and_no_such_host_are_told_apart() -> None:
    async def run() -> tuple[Exchange, Exchange]:
        refused = await exchanged(target("gemini", 1), Params())
        here = target("gemini", 1)
        nowhere = Target(
            **{name: getattr(here, name) for name in here.__slots__} | {"base_url": "https://no.such.invalid"}
        )
        return refused, await exchanged(nowhere, Params())

    refused, nowhere = asyncio.run(run())
    assert (refused.status, refused.failure) == (None, "connect")
    assert (nowhere.status, nowhere.failure) == (None, "dns")


@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_that_breaks_is_a_failure_of_the_transport_and_the_next_call_dials_anew(reset: bool) -> None:
    """Between client and server stands a forwarder that drops its first connection once the first message is through."""
    import socket
    import struct

    async def run() -> tuple[Exchange, Exchange]:
        async with served(endless) as server, _Forwarder(server.port) as forwarder:
            here = target("gemini", forwarder.port)
            door = providers.get("vertex-grpc")
            assert isinstance(door, Carrying)
            body = dialects.get("gemini").encode(ONE, Params(), here)
            wire = Wire(environ={})
            asking = asyncio.ensure_future(wire.exchange(await door.outgoing(here, body), now_ns() + 5 * SECOND_NS))
            while not server.calls:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            for writer in forwarder.clients:
                if reset:
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort() if reset else writer.close()
            broken = await asking
            second = await wire.exchange(await door.outgoing(here, body), now_ns() + SECOND_NS // 5)
            await door.close()
            await wire.aclose()
            return broken, second

    broken, second = asyncio.run(run())
    assert broken.failure in ("reset", "closed")
    assert dialects.get("gemini").decode(broken).text == "Thirty days"
    assert fault_of(providers.get("vertex-grpc"), broken, dialects.get("gemini").decode(broken)).outcome == "truncated"  # type: ignore[union-attr]
    assert (second.failure, second.connection.reused) == ("timeout", False)  # endless, but heard
    assert dialects.get("gemini").decode(second).text == "Thirty days"


class _Forwarder:
    """Carries bytes to a port and back."""

    def __init__(self, port: int) -> None:
        self.to, self.port = port, 0
        self.clients: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Future[Any]] = []

    async def __aenter__(self) -> "_Forwarder":
        self.server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        self.clients.append(writer)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        self.tasks += [asyncio.ensure_future(copy(reader, back)), asyncio.ensure_future(copy(there, writer))]


def test_calls_above_the_share_of_one_connection_open_another() -> None:
    from bench.providers.grpc_call import STREAMS_PER_CHANNEL, Lines

    class Channel:
        async def close(self) -> None:
            closed.append(self)

    closed: list[Any] = []

    async def run() -> None:
        lines = Lines(Channel)
        taken = [lines.take() for _ in range(STREAMS_PER_CHANNEL + 1)]
        assert len(set(taken)) == 2
        assert taken[-1] is not taken[0]
        await taken[0].give_back()
        assert lines.take() is taken[0]
        lines.forget(taken[-1])
        assert closed == []  # while a call is on it, it stays open
        await taken[-1].give_back()
        assert closed == [taken[-1].channel]
        await lines.close()
        assert closed == [taken[-1].channel, taken[0].channel]

    asyncio.run(run())
