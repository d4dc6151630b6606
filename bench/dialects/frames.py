"""What every dialect over AWS event streams reads alike: the errors of a stream, in the envelope that `fault` reads."""

from __future__ import annotations

from collections.abc import Mapping

from bench.dialects import body as read


def broken(said: str | None) -> bytes | None:
    """The error body for what the framing said of a stream, or None.

    A stream that ends inside a frame was cut, like one that ends between two; a reply's `complete` tells that.
    """
    if said is None or "the stream ended" in said:
        return None
    return read.error_body("event_stream_broken", said)


def error_of(headers: Mapping[str, str], payload: bytes) -> bytes:
    """The error body for a frame that is no event: an exception of the service's model, or an error outside of it.

    The status that the model answered with inside (`modelStreamErrorException`) goes along: it says what it was.
    """
    inner = read.as_dict(read.loads(payload))
    code = headers.get(":exception-type") or headers.get(":error-code") or headers.get(":message-type", "error")
    said = headers.get(":error-message") or inner.get("message") or inner.get("Message") or inner.get("originalMessage")
    status = read.as_count(inner.get("originalStatusCode"))
    more = {} if status is None else {"originalStatusCode": status}
    return read.error_body(code, read.as_text(said), **more)
