"""Taking out of recorded bytes what opens an account or names one: keys, tokens, account numbers, ARNs, ids.

What is put in has the form of what it replaces, so that a decoder reads the same fields. Frames of AWS event streams
are opened, cleaned and closed again with their lengths and checksums.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Sequence

from bench.testing.golden import EVENT_STREAM, reframed

KEPT_HEADERS = frozenset({
    "content-type", "content-encoding", "retry-after", "retry-after-ms", "x-should-retry", "x-amzn-errortype",
})  # fmt: skip
"""What a golden keeps of a response's headers: the rest names requests, accounts and machines."""

NOTHING = "0" * 12
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
PATTERNS: Sequence[tuple[str, re.Pattern[str], str]] = (
    ("an Anthropic key", re.compile(r"sk-ant-[A-Za-z0-9_-]{8,}"), "sk-ant-REDACTED"),
    ("an OpenAI key", re.compile(r"\bsk-(?!ant-)[A-Za-z0-9_*-]{8,}"), "sk-REDACTED"),
    ("an AWS access key id", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), "AKIAREDACTED"),
    ("a Bedrock key", re.compile(r"\bABSK[A-Za-z0-9+/=]{12,}"), "ABSKREDACTED"),
    ("a Google token", re.compile(r"\bya29\.[A-Za-z0-9._-]+"), "ya29.REDACTED"),
    ("a Google key", re.compile(r"\bAIza[A-Za-z0-9_-]{20,}"), "AIzaREDACTED"),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*"), "eyJREDACTED"),
    ("a bearer token", re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{6,}"), "Bearer REDACTED"),
    ("a signature", re.compile(r"(Signature=)[0-9a-f]{64}"), r"\1REDACTED"),
    ("an ARN", re.compile(r"arn:(aws[a-z-]*):([a-z0-9-]*):([a-z0-9-]*):\d{12}:[^\s\"'\\,)}\]]+"),
     rf"arn:\1:\2:\3:{NOTHING}:REDACTED"),
    ("an account number", re.compile(r"(?<![\d.])\d{12}(?![\d.])"), NOTHING),
    ("an organisation", re.compile(r"\borg[-_][A-Za-z0-9]{6,}"), "org-REDACTED"),
    ("a workspace", re.compile(r"\bwrkspc_[A-Za-z0-9]+"), "wrkspc_REDACTED"),
    ("a project", re.compile(r"\bproj_[A-Za-z0-9]{4,}"), "proj_REDACTED"),
    ("a Google project", re.compile(r"\bprojects/[A-Za-z0-9._:-]+"), "projects/REDACTED"),
    ("an Azure resource", re.compile(r"\b[a-z0-9-]+(\.(?:openai|services\.ai|cognitiveservices)\.azure\.com)"), r"redacted\1"),
    ("a request id", re.compile(r"\breq_[A-Za-z0-9]{6,}"), "req_REDACTED"),
    ("an e-mail address", re.compile(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b"), "user@redacted.test"),
    ("a UUID", re.compile(_UUID), "00000000-0000-0000-0000-000000000000"),
    ("an address", re.compile(r"\b(?!127\.0\.0\.1\b)(?:\d{1,3}\.){3}\d{1,3}\b"), "192.0.2.1"),
)  # fmt: skip
"""What it is, how it looks, and what takes its place. The first that fits wins."""


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, and without what looks like one."""
    for secret in sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, "REDACTED")
    for _, pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def redact_body(body: bytes, content_type: str, secrets: Iterable[str] = ()) -> bytes:
    """The body of a response, cleaned in its own framing. ValueError for frames that cannot be read."""
    words = tuple(secrets)

    def clean(data: bytes) -> bytes:
        return redact_text(data.decode("utf-8", "surrogateescape"), words).encode("utf-8", "surrogateescape")

    if EVENT_STREAM not in content_type:
        return clean(body)
    return reframed(body, lambda payload: _payload(payload, clean))


def _payload(payload: bytes, clean: Callable[[bytes], bytes]) -> bytes:
    """A frame's JSON; an InvokeModel chunk holds the model's event in base64, which is cleaned inside."""
    try:
        value = json.loads(payload)
        inner = base64.b64decode(value["bytes"], validate=True)
    except (ValueError, TypeError, KeyError, binascii.Error):
        return clean(payload)
    value["bytes"] = base64.b64encode(clean(inner)).decode()
    return json.dumps(value, separators=(",", ":")).encode()


def redact_headers(headers: Iterable[tuple[str, str]], secrets: Iterable[str] = ()) -> dict[str, str]:
    """The headers that a golden keeps."""
    words = tuple(secrets)
    return {name.lower(): redact_text(value, words) for name, value in headers if name.lower() in KEPT_HEADERS}


def left_over(body: bytes, secrets: Iterable[str]) -> list[str]:
    """What is still found in cleaned bytes, in plain or in base64: then they must not be written."""
    text = body.decode("utf-8", "replace")
    for coded in re.findall(r"[A-Za-z0-9+/=]{16,}", text):
        try:
            text += base64.b64decode(coded, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            continue
    found = ["a secret of the environment" for secret in secrets if len(secret) >= 4 and secret in text]
    for what, pattern, instead in PATTERNS:
        if any(pattern.sub(instead, match[0]) != match[0] for match in pattern.finditer(text)):
            found.append(what)
    return found
