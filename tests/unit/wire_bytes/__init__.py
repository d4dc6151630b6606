"""Golden bytes, and the exchanges that are made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.record import Connection, Exchange, WireFailure

HERE = Path(__file__).parent
CONTENT_TYPES = {
    ".sse": "text/event-stream; charset=utf-8",
    ".json": "application/json",
    ".eventstream": "application/vnd.amazon.eventstream",
}
STEP_NS = 1000


def golden(name: str) -> bytes:
    return (HERE / name).read_bytes()


def exchange(
    pieces: Iterable[tuple[int, bytes]],
    content_type: str = CONTENT_TYPES[".sse"],
    status: int | None = 200,
    headers: tuple[tuple[str, str], ...] = (),
    failure: WireFailure | None = None,
) -> Exchange:
    pieces = tuple(pieces)
    return Exchange(
        sent_ns=0,
        headers_ns=1,
        end_ns=(pieces[-1][0] if pieces else 1) + STEP_NS,
        status=status,
        headers=(("content-type", content_type), *headers),
        pieces=pieces,
        connection=Connection(reused=True),
        failure=failure,
    )


def in_one_piece(name: str) -> Exchange:
    return exchange([(STEP_NS, golden(name))], CONTENT_TYPES[Path(name).suffix])


def event_by_event(name: str) -> Exchange:
    """One piece for each event, the first at 1000 ns, the next at 2000 ns, and so on."""
    blocks = golden(name).split(b"\n\n")
    pieces = [((at + 1) * STEP_NS, block + b"\n\n") for at, block in enumerate(blocks[:-1])]
    return exchange(pieces, CONTENT_TYPES[Path(name).suffix])


def cut_at(body: bytes, cuts: Iterable[int], content_type: str) -> Exchange:
    """The body in pieces that end at these offsets; the stamp of a piece is its end."""
    ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})
    pieces, at = [], 0
    for end in ends:
        if end > at:
            pieces.append((end, body[at:end]))
            at = end
    return exchange(pieces, content_type)
