"""Bytes of one HTTP/1.1 request, made ahead of its due time, and the body of a reply with its content coding undone."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bench.record import Exchange

if TYPE_CHECKING:
    import httpx2

Origin = tuple[str, str, int]
"""Scheme (http or https), host without brackets, port."""

MAX_BODY_BYTES = 64 * 1024 * 1024


class Carrier(Protocol):
    """One request that another transport takes to its place, where this wire cannot: gRPC."""

    async def exchange(self, deadline_ns: int) -> Exchange:
        """As `Wire.exchange`: waits until `deadline_ns` at most, and network trouble never raises."""
        ...

    async def warm(self, n: int) -> None:
        """Opens what `n` such requests at once will need. Network trouble does not raise."""
        ...

    def abort(self, detail: str) -> None:
        """Ends the exchange as `cancelled`; what arrived is kept and given to the one who waits."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as bytes, head and body, and where it goes. With a `carrier`, `data` is what that one sends."""

    origin: Origin
    data: bytes
    carrier: Carrier | None = None


_SIGNED_HEADERS = re.compile(rb"SignedHeaders=([^,\s]+)", re.IGNORECASE)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE_VALUE = re.compile(rb"[\r\n\0]")
_UNSAFE_TARGET = re.compile(rb"[\x00-\x20\x7f]")


def outgoing(request: httpx2.Request) -> Outgoing:
    """The bytes of a prepared request, its headers in their order.

    Host and Content-Length are added when absent; the body goes whole, so a Transfer-Encoding becomes a Content-Length.
    `Accept-Encoding` is set to identity, because a compressed stream has no arrival times inside, except where a
    signature covers it. Raises ValueError for a request whose body was not read, whose URL is not http(s), or whose
    headers could not be sent as they are.
    """
    url = request.url
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"cannot send to {str(url)!r}: want an http:// or https:// address")
    origin = (url.scheme, url.raw_host.decode("ascii").strip("[]"), url.port or (443 if url.scheme == "https" else 80))
    body = _body(request)
    headers = request.headers.raw
    signed = _signed_header_names(headers)
    target = url.raw_path or b"/"
    if _UNSAFE_TARGET.search(target):
        raise ValueError(f"cannot send the path {target!r}: it holds a space or a control character")
    lines = [request.method.encode("ascii"), b" ", target, b" HTTP/1.1\r\n"]
    names = set()
    for name, value in headers:
        lower = name.lower()
        if not _TOKEN.fullmatch(name) or _UNSAFE_VALUE.search(value):
            raise ValueError(f"cannot send the header {name!r}: a header is one line, and its name one word")
        if lower in (b"content-length", b"transfer-encoding"):
            if b"content-length" not in names:
                kept = name if lower == b"content-length" else b"Content-Length"
                lines.append(b"%s: %d\r\n" % (kept, len(body)))
            names.add(b"content-length")
            continue
        names.add(lower)
        identity = lower == b"accept-encoding" and lower not in signed
        lines += (name, b": ", b"identity" if identity else value, b"\r\n")
    if b"host" not in names:
        lines[4:4] = (b"Host: ", url.netloc, b"\r\n")
    if b"content-length" not in names and (body or request.method in ("POST", "PUT", "PATCH")):
        lines.append(b"Content-Length: %d\r\n" % len(body))
    if b"accept-encoding" not in names and b"accept-encoding" not in signed:
        lines.append(b"Accept-Encoding: identity\r\n")
    lines += (b"\r\n", body)
    return Outgoing(origin, b"".join(lines))


class Splice:
    """An outgoing request with gaps in its head and another body to come: copies of it cost a join.

    The gaps are the values of the headers `names`; each must stand in the head exactly once, or ValueError is raised.
    """

    __slots__ = ("_gaps", "_origin", "_parts")

    def __init__(self, made: Outgoing, names: Iterable[str]) -> None:
        wanted = {name.lower(): name for name in names}
        head, end, _ = made.data.partition(b"\r\n\r\n")
        parts, gaps, before = [], [], b""
        for line in head.split(b"\r\n"):
            name, colon, _ = line.partition(b": ")
            if colon and (gap := name.decode("latin-1").lower()) in wanted:
                parts.append(before + name + colon)
                gaps.append(wanted[gap])
                before = b"\r\n"
            else:
                before += line + b"\r\n"
        if sorted(gaps) != sorted(wanted.values()):
            raise ValueError(f"cannot leave gaps for {', '.join(wanted)}: want each of these headers exactly once")
        self._origin, self._gaps = made.origin, gaps
        self._parts = [*parts, before.removesuffix(b"\r\n") + end]

    def outgoing(self, values: Mapping[str, str], body: bytes) -> Outgoing:
        """The request with these values, by the names that were given for them, and this body."""
        data: list[bytes] = []
        for part, gap in zip(self._parts, self._gaps, strict=False):
            value = values[gap].encode("latin-1")
            if _UNSAFE_VALUE.search(value):
                raise ValueError(f"cannot send the header {gap!r}: a header is one line")
            data += (part, value)
        return Outgoing(self._origin, b"".join((*data, self._parts[-1], body)))


def _body(request: httpx2.Request) -> bytes:
    import httpx2

    try:
        return request.content
    except httpx2.RequestNotRead:
        raise ValueError(
            f"the body of {request.method} {request.url} is a stream that was not read; call request.aread() first"
        ) from None


def _signed_header_names(headers: list[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Names that an AWS signature covers: changing one of these would make it invalid."""
    for name, value in headers:
        if name.lower() == b"authorization" and (found := _SIGNED_HEADERS.search(value)):
            return frozenset(found[1].lower().split(b";"))
    return frozenset()


def decoded_pieces(exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """The body's pieces with gzip or deflate undone, each with the stamp of the piece that it came out of.

    A body that was cut gives what could be decoded. Raises ValueError for another coding, for rubbish, or when more
    than 64 MiB come out.
    """
    codings = [
        coding
        for name, value in exchange.headers
        if name.lower() == "content-encoding"
        for part in value.split(",")
        if (coding := part.strip().lower()) not in ("", "identity")
    ]
    pieces = exchange.pieces
    for coding in reversed(codings):
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ValueError(f"cannot decode content-encoding {coding!r}: want identity, gzip or deflate")
        pieces = _inflated(pieces, coding)
    return pieces


def decoded_body(exchange: Exchange) -> bytes:
    """The body with gzip or deflate undone; raises as `decoded_pieces` does."""
    return b"".join([data for _, data in decoded_pieces(exchange)])


def _inflated(pieces: tuple[tuple[int, bytes], ...], coding: str) -> tuple[tuple[int, bytes], ...]:
    out: list[tuple[int, bytes]] = []
    inflater: Any = None
    room = MAX_BODY_BYTES
    for arrived_ns, data in pieces:
        left, plain = data, b""
        try:
            while left:
                if inflater is None:
                    inflater = zlib.decompressobj(_window_bits(coding, left))
                plain += inflater.decompress(left, room - len(plain) + 1)
                if len(plain) > room:
                    raise ValueError(f"more than {MAX_BODY_BYTES} bytes came out of content-encoding {coding!r}")
                left = inflater.unused_data
                if left and coding == "deflate":
                    raise ValueError(f"{len(left)} bytes follow the end of content-encoding {coding!r}")
                if inflater.eof:  # a gzip body may have another member
                    inflater = None
        except zlib.error as trouble:
            raise ValueError(f"the body is not {coding}: {trouble}") from None
        room -= len(plain)
        if plain:
            out.append((arrived_ns, plain))
    return tuple(out)


def _window_bits(coding: str, data: bytes) -> int:
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    # "deflate" means the zlib format (RFC 9110, 8.4.1.2), but some servers send the bare stream; a zlib header is
    # recognisable in its first byte
    return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
