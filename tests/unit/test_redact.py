"""Nothing that opens or names an account leaves the machine in a golden."""

import base64
import json
import struct
import zlib

import pytest

from bench.testing.golden import EVENT_STREAM, frame_ends
from bench.testing.redact import PATTERNS, left_over, redact_body, redact_headers, redact_text

SHOWN = {
    "an Anthropic key": ("sk-ant-api03-AbCd_efgh-12345678", "sk-ant-REDACTED"),
    "an OpenAI key": ("sk-proj-AbCdEfGh12345678", "sk-REDACTED"),
    "an AWS access key id": ("AKIAIOSFODNN7EXAMPLE", "AKIAREDACTED"),
    "a temporary AWS key id": ("ASIAIOSFODNN7EXAMPLE", "AKIAREDACTED"),
    "a Bedrock key": ("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "ABSKREDACTED"),
    "a Google token": ("ya29.a0AfH6SMBx-yz_1", "ya29.REDACTED"),
    "a Google key": ("AIzaSyA1234567890abcdefghijklmno", "AIzaREDACTED"),
    "a web token": ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "eyJREDACTED"),
    "a bearer token": ("Bearer abcdef123456", "Bearer REDACTED"),
    "a signature": ("Signature=" + "ab" * 32, "Signature=REDACTED"),
    "an ARN": (
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc1",
        "arn:aws:bedrock:us-east-1:000000000000:REDACTED",
    ),
    "a user's ARN": ("arn:aws:iam::123456789012:user/ada", "arn:aws:iam::000000000000:REDACTED"),
    "an account number": ("account 123456789012 has", "account 000000000000 has"),
    "an organisation": ("org-AbCdEf123456", "org-REDACTED"),
    "a workspace": ("wrkspc_01ABCdef", "wrkspc_REDACTED"),
    "a project of OpenAI": ("proj_abc123DEF", "proj_REDACTED"),
    "a project of Google": ("projects/my-secret-project/locations/us", "projects/REDACTED/locations/us"),
    "an Azure resource": ("https://my-res.openai.azure.com/x", "https://redacted.openai.azure.com/x"),
    "a request id": ("req_011CSHoEeqs5C35K2UUqR7Fy", "req_REDACTED"),
    "an address of a person": ("ada@example.org", "user@redacted.test"),
    "a subscription": ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", "00000000-0000-0000-0000-000000000000"),
    "an address of a machine": ("203.0.113.77", "192.0.2.1"),
}


@pytest.mark.parametrize("what", SHOWN)
def test_what_names_or_opens_an_account_is_replaced(what: str) -> None:
    text, want = SHOWN[what]
    body = json.dumps({"message": f"before {text} after"})
    assert left_over(body.encode(), [])
    cleaned = redact_text(body)
    assert json.loads(cleaned)["message"] == f"before {want} after"
    assert redact_text(cleaned) == cleaned
    assert left_over(cleaned.encode(), []) == []


def test_every_pattern_is_tried() -> None:
    for _, pattern, _ in PATTERNS:
        assert any(pattern.search(text) for text, _ in SHOWN.values())


@pytest.mark.parametrize(
    "text",
    ['{"created":1795000000,"usage":{"prompt_tokens":25}}', '{"id":"msg_01","model":"claude-sonnet-4-5-20250929"}',
     '{"id":"chatcmpl-1","system_fingerprint":"fp_x"}', '{"text":"In 2026, 30 days and 20°C."}',
     '{"p":"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"}'],
)  # fmt: skip
def test_what_says_nothing_of_an_account_stays(text: str) -> None:
    assert redact_text(text) == text
    assert left_over(text.encode(), []) == []


def test_secrets_of_the_environment_go_wherever_they_stand_and_the_longest_first() -> None:
    secrets = ["abcd", "abcd-long", 'with "quotes"', "x"]
    assert redact_text("abcd-long abcd x", secrets) == "REDACTED REDACTED x"
    assert json.loads(redact_text(json.dumps({"a": 'with "quotes"'}), secrets)) == {"a": "REDACTED"}


def frame(payload: bytes) -> bytes:
    name, value = b":message-type", b"event"
    headers = bytes([len(name)]) + name + b"\x07" + struct.pack("!H", len(value)) + value
    head = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    head += struct.pack("!I", zlib.crc32(head)) + headers + payload
    return head + struct.pack("!I", zlib.crc32(head))


def test_a_frame_is_cleaned_inside_its_base64_and_closes_again() -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    event = {"type": "error", "message": "arn:aws:iam::123456789012:user/ada and s3cr3t"}
    coded = base64.b64encode(json.dumps(event).encode()).decode()
    body = frame(json.dumps({"bytes": coded, "p": "abc"}).encode()) + frame(b'{"message":"account 123456789012"}')
    assert set(left_over(body, ["s3cr3t"])) >= {"a secret of the environment", "an ARN"}
    cleaned = redact_body(body, EVENT_STREAM, ["s3cr3t"])
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(cleaned)
    first, second = [json.loads(f.payload) for f in buffer]
    assert json.loads(base64.b64decode(first["bytes"]))["message"] == "arn:aws:iam::000000000000:REDACTED and REDACTED"
    assert first["p"] == "abc"
    assert second == {"message": "account 000000000000"}
    assert frame_ends(cleaned)[-1] == len(cleaned)
    assert left_over(cleaned, ["s3cr3t"]) == []
    with pytest.raises(ValueError, match="a frame that is cut"):
        redact_body(cleaned + b"\0\0\0\x05", EVENT_STREAM)


def test_only_headers_that_a_decoder_reads_are_kept() -> None:
    headers = [
        ("Content-Type", "application/json"), ("Retry-After", "7"), ("anthropic-organization-id", "x"),
        ("request-id", "req_1"), ("set-cookie", "a=b"), ("x-ratelimit-limit-tokens", "90000"),
    ]  # fmt: skip
    assert redact_headers(headers) == {"content-type": "application/json", "retry-after": "7"}
