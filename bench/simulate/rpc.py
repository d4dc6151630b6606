"""The look-alike that is asked over gRPC: a server of grpc.aio in this process, behind the same lanes, plans and truth.

Its stamps are those of the event loop: a request has arrived when the library hands it over, and a message has left when
it is handed to the library. Requests and messages are bytes here; `protobuf.py` reads and writes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic_ns, time
from typing import Any

import grpc
from grpc import aio

from bench.simulate.base import Ask, Received, Refused, Script
from bench.simulate.deliver import REFUSAL_SHARE, RUBBISH
from bench.simulate.doors.vertex_grpc import METHODS, SERVICE, VertexGrpcDoor
from bench.simulate.lane import Lane
from bench.simulate.protobuf import encode
from bench.simulate.server import MAX_LATE_NS, House
from bench.simulate.truth import Row

STATES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED",
    409: "ABORTED", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 501: "UNIMPLEMENTED",
    502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 529: "UNAVAILABLE",
}  # fmt: skip
ERROR_STATUSES = {"overloaded": 503, "throttled": 429, "server": 500}
MANY_MESSAGES = 10_000


class Server:
    """Serves one lane until it is stopped."""

    def __init__(self, lane: Lane, house: House) -> None:
        self.lane, self.house = lane, house
        self.server: Any = None

    async def start(self, port: int | None) -> int:
        """Listens on 127.0.0.1; gives the port. Raises OSError when it is taken."""
        self.server = aio.server(options=(("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", MANY_MESSAGES)))
        self.server.add_generic_rpc_handlers((_Handlers(self),))
        try:
            bound = self.server.add_insecure_port(f"127.0.0.1:{port or 0}")
        except RuntimeError as error:
            raise OSError(str(error)) from error
        await self.server.start()
        return int(bound)

    async def stop(self) -> None:
        await self.server.stop(0)

    async def streamed(self, method: str, message: bytes, context: Any) -> AsyncIterator[bytes]:
        row = Row(self.lane.target.id, monotonic_ns())
        try:
            planned = await self._planned(method, message, context, row)
            async for data in self._told(planned, context, row):
                yield data
            row.complete = True
        finally:
            self._ended(row)

    async def whole(self, method: str, message: bytes, context: Any) -> bytes:
        row = Row(self.lane.target.id, monotonic_ns())
        try:
            ask, script, _ = planned = await self._planned(method, message, context, row)
            await self._before(planned, context, row)
            fault = script.fault.name if script.fault else ""
            await self._due(row.arrived_ns + script.end_ns)
            row.headers_ns = monotonic_ns()
            row.complete = True
            if fault in ("blank", "cut"):
                return b""
            data = self._door.whole(ask, script)
            return encode("HttpBody", {"data": RUBBISH}) if fault == "rubbish" else data
        finally:
            self._ended(row)

    @property
    def _door(self) -> VertexGrpcDoor:
        door = self.lane.door
        assert isinstance(door, VertexGrpcDoor)
        return door

    def _ended(self, row: Row) -> None:
        row.ended_ns = monotonic_ns()
        self.house.truth.add(row)

    async def _planned(self, method: str, message: bytes, context: Any, row: Row) -> _Planned:
        metadata = {str(name): str(value) for name, value in context.invocation_metadata() or ()}
        received = Received("POST", method, method, "", metadata, message, time())
        try:
            ask, script, headers = self.lane.planned(received, row)
        except Refused as refused:
            self.lane.note_refusal(refused, row)
            row.complete = True
            # An error of Claude's own has a name that is no state of gRPC; its status then tells the state.
            state = refused.code if hasattr(grpc.StatusCode, refused.code) else STATES.get(refused.status, "INTERNAL")
            await context.abort(grpc.StatusCode[state], refused.message, _waits(state, refused.message, None))
            raise
        row.status = 200
        return _Planned(ask, script, tuple(headers))

    async def _before(self, planned: _Planned, context: Any, row: Row) -> None:
        """The headers when they are due, or the fault that comes instead of a reply."""
        script, fault = planned.script, planned.script.fault
        name = fault.name if fault else ""
        if fault and (name == "status" or (name == "error" and not planned.ask.stream)):
            first_ns = script.offsets_ns[0] if script.offsets_ns else script.end_ns
            await self._due(row.arrived_ns + int(first_ns * REFUSAL_SHARE))
            status = fault.code if name == "status" else ERROR_STATUSES[fault.kind]
            row.status, row.complete = status, True
            await self._fail(context, status, fault.retry_after_s)
        if fault and name == "hang" and not fault.ms:
            row.status = None
            await asyncio.Event().wait()  # until the client goes away
        await self._due(row.arrived_ns + script.headers_ns)
        row.headers_ns = monotonic_ns()
        await context.send_initial_metadata(planned.headers)

    async def _told(self, planned: _Planned, context: Any, row: Row) -> AsyncIterator[bytes]:
        await self._before(planned, context, row)
        ask, script = planned.ask, planned.script
        fault = script.fault
        name, after = (fault.name, fault.after or 0) if fault else ("", 0)
        if name == "blank":
            return
        messages = self._messages(ask, script, name, after)
        for due_ns, data, tokens in messages:
            await self._due(row.arrived_ns + due_ns)
            now_ns = monotonic_ns()
            late_ns = min(now_ns - row.arrived_ns - due_ns, MAX_LATE_NS)
            row.token_ns += [now_ns] * tokens
            row.late_ns += [late_ns] * tokens
            yield data
        if fault and name == "error":
            row.complete = True
            await self._fail(context, ERROR_STATUSES[fault.kind], None)

    def _messages(self, ask: Ask, script: Script, name: str, after: int) -> list[tuple[int, bytes, int]]:
        """(due, message, content events) of a stream, in order."""
        door, render = self._door, self._door.content(ask, script)
        opening = door.opening(ask, script)
        said = [(script.headers_ns, opening, 0)] if opening else []
        said += [(due_ns, render(text), 1) for due_ns, text in zip(script.offsets_ns, script.events, strict=True)]
        first = 1 if opening else 0
        if name in ("cut", "error"):
            return said[: first + after]
        if name == "rubbish" and script.events:
            at = first + min(max(after, 1), len(script.events)) - 1
            said[at] = (said[at][0], RUBBISH, said[at][2])
        said += [(script.end_ns, data, 0) for data in door.closings(ask, script)]
        if name == "one-chunk":
            said = [(script.end_ns, data, tokens) for _, data, tokens in said]
        return said

    async def _fail(self, context: Any, status: int, retry_after_s: float | None) -> None:
        _, state, message = self._door.fault_refusal(status)
        state = STATES.get(status, state if hasattr(grpc.StatusCode, state) else "INTERNAL")
        await context.abort(grpc.StatusCode[state], message, _waits(state, message, retry_after_s))

    async def _due(self, due_ns: int) -> None:
        if due_ns > monotonic_ns():
            alarm = _Alarm(asyncio.get_running_loop().create_future())
            self.house.timer.add(due_ns, alarm)
            await alarm.rung


@dataclass(frozen=True, slots=True)
class _Planned:
    ask: Ask
    script: Script
    headers: tuple[tuple[str, str], ...]

    def __iter__(self) -> Any:
        return iter((self.ask, self.script, self.headers))


class _Alarm:
    """Wakes one who waits: the timer's item."""

    __slots__ = ("rung",)

    def __init__(self, rung: asyncio.Future[None]) -> None:
        self.rung = rung

    def step(self, due_ns: int) -> int | None:
        if not self.rung.done():
            self.rung.set_result(None)
        return None


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Takes the methods of the prediction service, their messages as bytes."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def service(self, details: Any) -> Any:
        path: str = details.method
        service, _, name = path.removeprefix("/").partition("/")
        if service != SERVICE or name not in METHODS:
            return None
        if METHODS[name].streamed:

            async def stream(message: bytes, context: Any) -> AsyncIterator[bytes]:
                async for data in self.server.streamed(path, message, context):
                    yield data

            return grpc.unary_stream_rpc_method_handler(stream)

        async def whole(message: bytes, context: Any) -> bytes:
            return await self.server.whole(path, message, context)

        return grpc.unary_unary_rpc_method_handler(whole)


def _waits(state: str, message: str, retry_after_s: float | None) -> tuple[tuple[str, bytes], ...]:
    """How long to wait, as Google tells it: in the details of the status."""
    if retry_after_s is None:
        return ()
    whole = int(retry_after_s)
    delay = {"seconds": whole, "nanos": round((retry_after_s - whole) * 1e9)}
    info = {
        "type_url": "type.googleapis.com/google.rpc.RetryInfo",
        "value": encode("RetryInfo", {"retryDelay": delay}),
    }
    status = {"code": grpc.StatusCode[state].value[0], "message": message, "details": [info]}
    return (("grpc-status-details-bin", encode("Status", status)),)
