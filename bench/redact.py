"""Secrets never leave this process in words: what is written or printed goes through `clean`.

A provider, a gateway or an SDK may repeat a key in an error message, whole, percent-encoded, in hex or in base64. What is
known to be secret (variables of the environment that hold keys, passwords in proxy addresses, tokens that were issued in
the course of a run) is replaced by `MASK` wherever it stands, in all of these spellings.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "[secret]"
LEAST_LENGTH = 8
"""Shorter values are words that stand in every text; a secret of that kind protects nothing."""

_NAME = re.compile(
    r"(?:KEY|KEY_ID|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|CUSTOM_HEADERS)$", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?:_PROXY|_URL)$", re.IGNORECASE)
_issued: set[str] = set()
_named: set[str] = set()


def learn(*values: str | None) -> None:
    """Secrets that no variable names: tokens that were issued while the program runs."""
    fresh = {value for value in values if value and len(value) >= LEAST_LENGTH} - _issued
    if fresh:
        _issued.update(fresh)
        _spellings.cache_clear()


def learn_names(names: Iterable[str]) -> None:
    """Variables that hold secrets whatever they are called, such as those that targets name."""
    fresh = set(names) - _named
    if fresh:
        _named.update(fresh)
        _spellings.cache_clear()


def clean(text: str) -> str:
    """The text without any known secret."""
    for spelling in _spellings():
        if spelling in text:
            text = text.replace(spelling, MASK)
    return text


def clean_all(value: Any) -> Any:
    """Plain data with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: clean_all(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(clean_all(inner) for inner in value)
    return value


def clean_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat rows with every text in them cleaned: themselves, when one look over all of their texts finds no secret."""
    texts = "\n".join([value for row in rows for value in row.values() if isinstance(value, str)])
    for spelling in _spellings():
        if spelling in texts:
            return [clean_all(row) for row in rows]
    return rows


def without_userinfo(address: str) -> str:
    """An address without the user and the password that it may hold."""
    scheme, sign, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{sign}{host.rpartition('@')[2]}{slash}{path}"


def harmless(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that needs no credentials."""
    return {name: value for name, value in environ.items() if not secrets_in(name, value)}


def secrets_in(name: str, value: str) -> list[str]:
    """What of a variable is secret: all of it, the password of an address, the values of its header lines."""
    found: list[str] = []
    if _NAME.search(name) or name in _named:
        found = [value, *value.splitlines(), *(line.partition(":")[2].strip() for line in value.splitlines())]
        found += [word for line in found for word in line.split()]
    elif _ADDRESS.search(name) and "@" in value:
        try:
            password = urlsplit(value if "://" in value else f"http://{value}").password
        except ValueError:
            password = value
        found = [password or "", unquote(password or "")]
        userinfo = value.partition("://")[2].rpartition("@")[0] or value.rpartition("@")[0]
        found += [userinfo, unquote(userinfo)] if password else []
    return [
        one
        for one in dict.fromkeys(found)
        if len(one) >= LEAST_LENGTH and not one.startswith(("/", "./", "http://", "https://"))
    ]


@lru_cache(maxsize=1)
def _spellings() -> tuple[str, ...]:
    """Every spelling of every secret, the longest first, so that no part of one is left behind."""
    known = set(_issued)
    for name, value in os.environ.items():
        known.update(secrets_in(name, value))
    return tuple(sorted({form for secret in known for form in spellings(secret)}, key=len, reverse=True))


def spellings(secret: str) -> set[str]:
    """A secret as it is, percent-encoded, in hex, and in base64 at each of the three places it may begin in a text."""
    raw = secret.encode("utf-8", "surrogateescape")
    forms = {secret, quote(secret, safe=""), quote(secret), raw.hex(), raw.hex().upper(), repr(secret)[1:-1]}
    for shift in range(3):
        # what is before and after the secret is unknown: only the characters that it alone decides
        plain = base64.b64encode(b"\0" * shift + raw).decode("ascii").rstrip("=")
        skipped = (0, 2, 3)[shift]
        whole = plain[skipped : (len(raw) + shift) * 8 // 6]
        forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= LEAST_LENGTH}


def refresh() -> None:
    """Reads the environment again: it has changed."""
    _spellings.cache_clear()
