"""Faults that a look-alike can be asked for: by its profile, or by a mark in the prompt.

The mark stands in the last user message, `[[fault: cut after=5]]`, and counts only where the profile says `markers:
true`. Counts are content events of the reply; times are ms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAULTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "status": (("code", "retry_after_s", "retry_after_ms"), "the vendor's error envelope; 502 is a proxy's HTML page"),
    "error": (("after", "kind"), "an error event in the stream after N events; kind: overloaded, throttled, server"),
    "cut": (("after",), "the body ends in due form after N events, without the wire's terminal event"),
    "close": (("after",), "the connection is closed inside the body after N events"),
    "reset": (("after",), "the connection is reset (RST) after N events"),
    "hang": (("ms",), "nothing is sent, not even headers: for good, or for this long"),
    "stall": (("after", "ms"), "nothing is sent for this long after N events"),
    "drip": (("ms",), "one token per this many ms"),
    "rubbish": (("after",), "bytes that are no part of the wire's language stand in the place of event N"),
    "bad-crc": (("after",), "event N has a wrong checksum (doors with AWS event streams)"),
    "empty": ((), "a reply in due form that says nothing"),
    "blank": ((), "status 200 with no body at all"),
    "usage-twice": ((), "the usage is sent two times"),
    "no-usage": ((), "the usage is never sent"),
    "huge-headers": (("bytes",), "response headers of this size (65,536 bytes unless told)"),
    "one-byte": ((), "every byte of the body is an HTTP chunk, and a write, of its own"),
    "one-chunk": ((), "the whole stream comes in one HTTP chunk, when its last token is due"),
}  # fmt: skip
"""Name of the fault -> the parameters it takes, and what it does."""

ERROR_KINDS = ("overloaded", "throttled", "server")
_MARK = re.compile(r"\[\[fault:\s*([^\]]*)\]\]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `after` counts content events (None: drawn by the seed); the other fields matter where `FAULTS`
    lists them.
    """

    name: str
    after: int | None = None
    ms: float | None = None
    code: int = 500
    kind: str = "overloaded"
    retry_after_s: float | None = None
    retry_after_ms: float | None = None
    bytes: int = 65536

    def __str__(self) -> str:
        return f"status {self.code}" if self.name == "status" else self.name


class FaultError(ValueError):
    """The words do not name a fault; the message says what is allowed."""


def parse_fault(words: str | Mapping[str, Any]) -> Fault:
    """A fault from "cut after=5" or {"name": "cut", "after": 5}. Raises FaultError."""
    if isinstance(words, str):
        name, *rest = words.split() or [""]
        pairs: dict[str, Any] = {}
        for item in rest:
            key, equals, value = item.partition("=")
            if not equals:
                raise FaultError(f"{item!r}: want key=value, e.g. after=5")
            pairs[key.replace("-", "_")] = value
    else:
        pairs = dict(words)
        name = str(pairs.pop("name", ""))
    if name not in FAULTS:
        raise FaultError(f"{name!r} is no fault; want one of {', '.join(FAULTS)}")
    allowed = FAULTS[name][0]
    values: dict[str, Any] = {}
    for key, value in pairs.items():
        if key not in allowed:
            raise FaultError(f"{name} takes {', '.join(allowed) or 'no parameters'}; got {key}")
        values[key] = _value(key, value)
    fault = Fault(name, **values)
    if fault.name == "status" and not 400 <= fault.code <= 599:
        raise FaultError(f"status takes a code from 400 to 599; got {fault.code}")
    return fault


def _value(key: str, value: Any) -> Any:
    if key == "kind":
        if value not in ERROR_KINDS:
            raise FaultError(f"kind is one of {', '.join(ERROR_KINDS)}; got {value!r}")
        return value
    try:
        number = int(value) if key in ("after", "code", "bytes") else float(value)
    except (TypeError, ValueError):
        raise FaultError(f"{key} is a number; got {value!r}") from None
    if not 0 <= number < math.inf:
        raise FaultError(f"{key} is at least 0; got {value!r}")
    return number


def marked_fault(prompt: str) -> Fault | None:
    """The fault that a mark in the prompt asks for, or None. Raises FaultError when the mark is not understood."""
    mark = _MARK.search(prompt)
    return parse_fault(mark[1]) if mark else None
