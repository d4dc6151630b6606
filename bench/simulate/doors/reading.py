"""Reading request bodies, shared by the doors: what every vendor checks, told as (path, message) in a vendor's own
words.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from bench.simulate.base import Json, Received

CHARS_PER_TOKEN = 4
"""The stated estimate of input tokens: ceil(characters of the whole prompt / 4)."""

ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Unreadable(ValueError):
    """The body is not what the wire wants; the message names the field as the vendor would."""


def tokens_of(chars: int) -> int:
    return math.ceil(chars / CHARS_PER_TOKEN)


def base59(bits: int, length: int) -> str:
    """The low bits as letters and digits, as ids have them."""
    letters = []
    for _ in range(length):
        bits, index = divmod(bits, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def uuid_of(bits: int) -> str:
    """The low 128 bits in the form of a random UUID (version 4)."""
    bits = bits & ~(0xF << 76) & ~(0x3 << 62) & (2**128 - 1) | 4 << 76 | 2 << 62
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def json_object(received: Received) -> Json:
    try:
        body = orjson.loads(received.body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise Unreadable("The request body must be a JSON object")
    return body


def bearer(received: Received) -> str | None:
    scheme, _, token = received.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def whole_number(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def json_chars(value: Any) -> int:
    """Characters of a part of the request that is not text (tool schemas and the like), as compact JSON."""
    return len(orjson.dumps(value).decode())
