"""From a planned reply to bytes with due times: HTTP framing, and the faults that break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.simulate.base import Ask, Door, Headers, Render, Script
from bench.simulate.profile import NS_PER_MS

Ending = Literal["keep", "close", "reset", "hold"]
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
RUBBISH = b"\x00\xff\xfe<<<\x1b[31m not of this wire \xc3\x28>>>\n\n"
BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
REFUSAL_SHARE = 0.1
"""A planned refusal (429, 500, ...) comes after this share of the time to the first token."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes in order with their due offsets; the first piece holds the response head (none when nothing is ever sent).

    A piece that is a text is one content event; `render` makes its bytes when it leaves. `tokens[i]` counts the
    content events of piece i. `ending` says what becomes of the connection after the last piece.
    """

    status: int | None
    dues_ns: Sequence[int]
    pieces: Sequence[bytes | str]
    tokens: Sequence[int]
    ending: Ending
    render: Render | None = None

    def data(self, n: int) -> bytes:
        """The bytes of piece n."""
        piece = self.pieces[n]
        if isinstance(piece, bytes):
            return piece
        assert self.render is not None
        return self.render(piece)


def head(status: int, headers: Headers, length: int | None) -> bytes:
    """A response head; without a length the body comes in chunks."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def refusal(status: int, headers: Headers, body: bytes, due_ns: int = 0) -> Delivery:
    return Delivery(status, (due_ns,), (head(status, headers, len(body)) + body,), (0,), "keep")


def faulty_refusal(door: Door, script: Script, headers: Headers) -> Delivery:
    """The error that a `status` fault (or, without a stream, an `error` fault) asks for."""
    fault = script.fault
    assert fault is not None
    due_ns = int((script.offsets_ns[0] if script.offsets_ns else script.end_ns) * REFUSAL_SHARE)
    asked = fault.code if fault.name == "status" else {"overloaded": 0, "throttled": 429, "server": 500}[fault.kind]
    if asked == 502:
        return refusal(
            502,
            [("content-type", "text/html"), ("server", "nginx"), *door.id_headers(script.request_id)],
            BAD_GATEWAY,
            due_ns,
        )
    status, code, message = door.fault_refusal(asked)
    own, body = door.refusal(status, code, message, script.request_id)
    waits: Headers = []
    if fault.retry_after_s is not None:
        waits.append(("retry-after", f"{fault.retry_after_s:g}"))
    if fault.retry_after_ms is not None:
        waits.append(("retry-after-ms", f"{fault.retry_after_ms:g}"))
    return refusal(status, headers + own + waits, body, due_ns)


def deliver(door: Door, ask: Ask, script: Script, headers: Headers) -> Delivery:
    """The reply as bytes. `headers` go with every kind of reply (ids, limits)."""
    fault = script.fault
    name = fault.name if fault else ""
    if fault and (name == "status" or (name == "error" and not ask.stream)):
        return faulty_refusal(door, script, headers)
    if fault and name == "hang" and not fault.ms:
        return Delivery(None, (), (), (), "hold")
    headers = headers + door.headers(ask, script)
    if fault and name == "huge-headers":
        headers = headers + [(f"x-padding-{n}", "x" * 1000) for n in range(fault.bytes // 1000)]
    if name == "blank":
        return Delivery(200, (script.headers_ns,), (head(200, headers, 0),), (0,), "keep")
    return _streamed(door, ask, script, headers) if ask.stream else _whole(door, ask, script, headers)


def _streamed(door: Door, ask: Ask, script: Script, headers: Headers) -> Delivery:
    fault = script.fault
    name, after = (fault.name, fault.after or 0) if fault else ("", 0)
    render = door.content(ask, script)
    # Texts are rendered as they leave, so that an arriving request does not hold up the tokens of others.
    early = name in ("rubbish", "bad-crc", "one-byte", "one-chunk")
    events: list[bytes | str] = [render(text) for text in script.events] if early else list(script.events)
    dues_ns = [script.headers_ns, *script.offsets_ns, script.end_ns]
    bodies = [door.opening(ask, script), *events, door.closing(ask, script)]
    last = b"0\r\n\r\n"
    ending: Ending = "keep"
    if fault and name in ("error", "cut", "close", "reset"):
        at = min(after, len(events)) + 1
        dues_ns, bodies = dues_ns[: at + 1], bodies[:at]
        bodies.append(door.error_event(ask, script, fault.kind) if name == "error" else b"")
        if name in ("close", "reset"):
            last, ending = b"", "close" if name == "close" else "reset"
    tokens = [0] + [1] * (len(bodies) - 2) + [0]
    if name in ("rubbish", "bad-crc") and events:
        at = min(max(after, 1), len(events))
        data = bodies[at]
        assert isinstance(data, bytes)
        bodies[at] = RUBBISH if name == "rubbish" else data[:-1] + bytes([data[-1] ^ 0xFF])
    elif name == "one-chunk":
        dues_ns, bodies, tokens = dues_ns[-1:], [b"".join(b for b in bodies if isinstance(b, bytes))], [len(events)]
    elif name == "one-byte":
        sizes = [len(body) for body in bodies]
        dues_ns = [due for due, size in zip(dues_ns, sizes, strict=True) for _ in range(size)]
        tokens = [count if n == 0 else 0 for count, size in zip(tokens, sizes, strict=True) for n in range(size)]
        bodies = [bytes([byte]) for body in bodies if isinstance(body, bytes) for byte in body]
    pieces = [chunked(body) if isinstance(body, bytes) else body for body in bodies]
    first = pieces[0]
    assert isinstance(first, bytes)
    pieces[0] = head(200, headers, None) + first
    final = pieces[-1]
    assert isinstance(final, bytes)
    pieces[-1] = final + last
    return Delivery(200, dues_ns, pieces, tokens, ending, lambda text: chunked(render(text)))


def _whole(door: Door, ask: Ask, script: Script, headers: Headers) -> Delivery:
    """A reply that is not streamed: one body when its last token is due, unless a fault breaks it in the middle."""
    fault = script.fault
    name = fault.name if fault else ""
    body = door.whole(ask, script)
    half = len(body) // 2
    due_ns = script.end_ns
    if name == "rubbish":
        body = RUBBISH
    if fault and name in ("cut", "close", "reset"):
        return Delivery(
            200,
            (due_ns, due_ns + NS_PER_MS),
            (head(200, headers, len(body)) + body[:half], b""),
            (0, 0),
            "reset" if name == "reset" else "close",
        )
    if name == "one-byte":
        bytes_ = [chunked(body[n : n + 1]) for n in range(len(body))]
        return Delivery(
            200,
            (due_ns,) * (len(body) + 2),
            (head(200, headers, None), *bytes_, b"0\r\n\r\n"),
            (0,) * (len(body) + 2),
            "keep",
        )
    return Delivery(200, (due_ns,), (head(200, headers, len(body)) + body,), (0,), "keep")
