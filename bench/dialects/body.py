"""What the dialects share: the body of an exchange in plain form, tolerant JSON, and small typed readings of it.

Everything here is total: whatever bytes a server sends, the answer is a value, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import orjson

from bench.record import Exchange
from bench.wire.message import decoded_pieces

Pieces = tuple[tuple[int, bytes], ...]
Form = Literal["sse", "json", "aws"]


def plain_pieces(exchange: Exchange) -> Pieces:
    """The pieces of the body without content encoding. A body that is not what its header says is taken as it is."""
    try:
        return decoded_pieces(exchange)
    except (ValueError, IndexError):  # IndexError: an empty piece, in which no coding can be recognised
        return exchange.pieces


def form_of(exchange: Exchange, pieces: Pieces) -> Form:
    """How the body is framed. Its first byte decides before its content type does: gateways mislabel errors."""
    if "amazon.eventstream" in (exchange.header("content-type") or "").lower():
        return "aws"
    first = next((data.lstrip()[:1] for _, data in pieces if data.lstrip()), b"")
    if first in (b"{", b"["):
        return "json"
    return "aws" if first == b"\x00" else "sse"


def loads(data: bytes) -> Any:
    """The JSON value, or None when it is none. Lone surrogates and broken UTF-8, which orjson refuses, are read too."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def clean(text: str) -> str:
    """The text with surrogate halves joined, and lone ones replaced: such text can be stored nowhere."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_name(value: Any) -> str | None:
    """A string that says something, or None."""
    return clean(value) if isinstance(value, str) and value else None


def as_count(value: Any) -> int | None:
    """A count of tokens that a 64-bit column can hold, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return value
    return None


def error_body(kind: str, message: str, **more: Any) -> bytes:
    """An error that had no JSON of its own, in the envelope that `fault` reads."""
    return orjson.dumps({"type": "error", "error": {"type": clean(kind), "message": clean(message)[:2000], **more}})


def malformed(data: bytes) -> bytes:
    """The error body for an event that is not a JSON object; the official SDKs raise on it."""
    return error_body("malformed_event", "an event that is not a JSON object: " + data[:200].decode("utf-8", "replace"))


_OF_THE_END = 8
"""A stream ends in a few events of other kinds: its finish reason, its usage."""


class Repeats:
    """Reads events that equal an earlier event in everything but one string, without parsing them.

    A stream repeats its envelope (ids, model, indexes) around every token; comparing it costs a tenth of parsing it.
    `learn` takes an event that was parsed and found to carry nothing but `text` under `key`. `texts_of` then answers for
    every event with the same bytes before and after that string, and None for any other. The string must be free of
    quotes and escapes, so that it ends where the known bytes go on, and its value is certain. Each envelope is compared
    with all that follows, so a stream may have a few of them (another block, another second) and no more.
    """

    __slots__ = ("_after", "_head", "_in_vain", "_learned", "_start", "_tail")

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._start = self._after = 0
        self._in_vain = self._learned = 0

    def learn(self, key: bytes, text: str, data: bytes) -> bool:
        """Whether there is something new to go by: then ask `texts_of` about the events that follow."""
        if (
            self._in_vain == 4 or self._learned == 16
        ):  # it differs every time (a sequence number, padding): stop comparing
            return False
        if self._head and self._fits(data):
            return False  # known already: it was parsed for what its string holds
        self._in_vain += 1
        self._head = b""
        name = b'"' + key + b'"'
        if data.count(name) != 1:
            return False
        after = data.index(name) + len(name)
        start = data.find(b'"', after) + 1
        if start == 0 or data[after : start - 1].strip() != b":":
            return False
        raw = text.encode("utf-8", "surrogatepass")
        end = start + len(raw)
        if data[start : end + 1] != raw + b'"' or b"\\" in raw:
            return False
        self._head, self._tail = data[:start], data[end:]
        self._start, self._after = start, len(data) - end
        self._learned += 1
        return True

    def texts_of(self, datas: Sequence[bytes]) -> list[str | None]:
        """The string of each event, None where the event has to be parsed."""
        head, tail, start, after = self._head, self._tail, self._start, self._after
        if not head:
            return [None] * len(datas)
        raws = self._run(datas)
        known = start + after  # an event that is no longer has an empty string, or head and tail overlap
        raws += [
            data[start:-after] if data.startswith(head) and data.endswith(tail) and len(data) > known else b""
            for data in datas[len(raws) :]
        ]
        texts = _texts([raw for raw in raws if raw])
        if texts:
            self._in_vain = 0
        if len(texts) == len(raws):
            return texts
        following = iter(texts)
        return [next(following) if raw else None for raw in raws]

    def _run(self, datas: Sequence[bytes]) -> list[bytes]:
        """The strings of the events up to the last one that fits, where all of them fit: found out by one comparison.

        Put back between head and tail, the strings give the same bytes again; each has the length that its event leaves for
        it, so every head and tail stands where its event begins and ends.
        """
        n = next((n for n in range(len(datas), max(len(datas) - _OF_THE_END, 0), -1) if self._fits(datas[n - 1])), 0)
        run, start, before = datas[:n], self._start, -self._after
        raws = [data[start:before] for data in run]
        if not raws or b"" in raws:
            return []
        same = self._head + (self._tail + self._head).join(raws) + self._tail == b"".join(run)
        return raws if same else []

    def _fits(self, data: bytes) -> bool:
        return len(data) > self._start + self._after and data.startswith(self._head) and data.endswith(self._tail)


def _texts(raws: list[bytes]) -> list[str | None]:
    joined = b"\0".join(raws)
    if raws and b'"' not in joined and b"\\" not in joined:
        try:
            texts = joined.decode().split("\0")  # between NULs, halves of a torn character stay apart, and wrong
        except UnicodeDecodeError:
            texts = []
        if len(texts) == len(raws):
            return list(texts)
    return [_plain(raw) for raw in raws]


def _plain(raw: bytes) -> str | None:
    if b'"' in raw or b"\\" in raw:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


class Unread:
    """The numbers of the events that have to be parsed, one after the other.

    Those between them whose text is known by an earlier one (`Repeats`) go into `texts` and `content_ns` without a look.
    """

    __slots__ = ("_at", "_datas", "_repeats", "_stamps", "_told", "content_ns", "texts")

    def __init__(self, stamps: Sequence[int], datas: Sequence[bytes]) -> None:
        self.texts: list[str] = []
        self.content_ns: list[int] = []
        self._stamps, self._datas = stamps, datas
        self._repeats = Repeats()
        self._told: list[str | None] = [None] * (len(datas) + 1)  # the last one stands for the end
        self._at = -1

    def __iter__(self) -> Iterator[int]:
        while True:
            begin = self._at + 1
            at = self._at = self._told.index(None, begin)
            if at > begin:
                self.texts += self._told[begin:at]  # type: ignore[arg-type]  # none of them is None
                self.content_ns += self._stamps[begin:at]
            if at == len(self._datas):
                return
            yield at

    def learn(self, key: bytes, text: str) -> None:
        """The event that was parsed just now carries nothing but `text` under `key`."""
        following = self._at + 1
        if self._repeats.learn(key, text, self._datas[self._at]):
            self._told[following:-1] = self._repeats.texts_of(self._datas[following:])
