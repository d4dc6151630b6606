"""A server of one answer: it keeps the requests it gets, byte for byte, and answers each with the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """A request as it lay on the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Loopback:
    port: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def loopback(
    answer: bytes = b"{}", content_type: str = "application/json", status: str = "200 OK"
) -> AsyncIterator[Loopback]:
    seen = Loopback()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")[:-2]
                method, target, _ = first.split(" ")
                headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
                seen.received.append(Received(method, target, headers, await reader.readexactly(length)))
                lines = [
                    f"HTTP/1.1 {status}",
                    f"Content-Type: {content_type}",
                    f"Content-Length: {len(answer)}",
                    "",
                    "",
                ]
                writer.write("\r\n".join(lines).encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        await server.wait_closed()
