"""Our signatures are botocore's, header by header: the cases that AWS's paths, queries and sessions bring, and drawn ones."""

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.providers import sigv4
from bench.providers.sigv4 import Unsigned, by_botocore, signed

auth = pytest.importorskip("botocore.auth")
credentials_of = pytest.importorskip("botocore.credentials").Credentials

KEYS = credentials_of("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = credentials_of("ASIAEXAMPLE", "s3cr3t/+=", "IQoJb3JpZ2luX2VjE//////////+/wEaCXVzLWVhc3QtMSJHMEUCIQ==")
HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-sonnet-4-5-v1%3A0"
PLAIN = {"content-type": "application/json", "content-length": "2"}


@pytest.fixture(autouse=True, scope="module")
def noon():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda **_: datetime.datetime(2026, 11, 21, 12, 0, 0))
        yield


def botocore_refused(*_: Any) -> Any:
    raise AssertionError("this one should have been signed here")


URLS = [
    f"{HOST}/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke-with-response-stream",
    f"{HOST}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
    f"{HOST}/model/{ARN}/invoke",  # encoded once on the wire, twice in what is signed
    f"{HOST}/model/a%20b/c~d/e%2Ff/(g)/h+i/j,k;l=m@n/invoke",
    f"{HOST}//model///x/./y/../z/",
    f"{HOST}",
    f"{HOST}/",
    f"{HOST}/path?b=2&a=1&a=0&empty=&bare&c=%2F%20x&B=3",
    f"{HOST}/path?",
    f"{HOST}:443/v1/messages",
    "http://127.0.0.1:8080/anthropic/v1/messages?beta=true",
    "http://127.0.0.1:80/v1/messages",
    "http://[::1]:9000/v1/messages",
    "https://Bedrock-Mantle.US-East-1.API.aws/v1/messages",
]


@pytest.mark.parametrize("credentials", [KEYS, SESSION], ids=["keys", "session"])
@pytest.mark.parametrize("url", URLS)
def test_every_address_is_signed_as_botocore_signs_it(url, credentials, monkeypatch):
    request = Unsigned("POST", url, PLAIN, b"{}")
    theirs = by_botocore(request, credentials, "us-east-1", "bedrock")
    monkeypatch.setattr(sigv4, "by_botocore", botocore_refused)
    assert signed(request, credentials, "us-east-1", "bedrock") == theirs


HEADERS = [
    {},
    {"host": "gateway.example:8443", **PLAIN},
    {"accept": "application/json", "anthropic-beta": " a,  b ,c ", "x-empty": ""},  # runs of spaces count as one
    {"user-agent": "AsyncAnthropicBedrock/Python 2.12.0", "x-amzn-trace-id": "Root=1", **PLAIN},  # never covered
    {"connection": "keep-alive", "traceparent": "00-1-2-01", "transfer-encoding": "chunked", **PLAIN},
    {"x-amz-date": "19990101T000000Z", **PLAIN},  # of a request that was signed before
    {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", **PLAIN},
    {"x-stainless-retry-count": "0", "x-b": "2", "x-a": "1", "x-aa": "3", **PLAIN},
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("body", [b"", b"{}", '{"text":"Größe 😀"}'.encode(), bytes(range(256))])
def test_every_set_of_headers_is_signed_as_botocore_signs_it(headers, body, monkeypatch):
    request = Unsigned("POST", URLS[0], headers, body)
    theirs = by_botocore(request, SESSION, "eu-central-1", "bedrock-mantle")
    monkeypatch.setattr(sigv4, "by_botocore", botocore_refused)
    assert signed(request, SESSION, "eu-central-1", "bedrock-mantle") == theirs


_names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).filter(lambda name: name != "date")
_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
_paths = st.text(st.sampled_from("abcXYZ019-_.~/%:@!$&'()*+,;="), max_size=40)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    path=_paths,
    query=st.text(st.sampled_from("abz=&%20+-_.~/"), max_size=20),
    headers=st.dictionaries(_names, _values, max_size=6),
    body=st.binary(max_size=40),
    secret=st.text(min_size=1, max_size=20),
    token=st.none() | st.from_regex(r"[A-Za-z0-9+/=]{1,40}", fullmatch=True),
    region=st.sampled_from(["us-east-1", "ap-southeast-2"]),
)
@example(path="a:0/b", query="", headers={}, body=b"", secret="ключ", token=None, region="us-east-1")
def test_whatever_is_asked_is_signed_as_botocore_signs_it(path, query, headers, body, secret, token, region):
    request = Unsigned("POST", f"{HOST}/{path}" + (f"?{query}" if query else ""), headers, body)
    credentials = SimpleNamespace(access_key="AKID", secret_key=secret, token=token)
    ours, theirs = (sign(request, credentials, region, "bedrock") for sign in (signed, by_botocore))
    assert ours == theirs


@pytest.mark.parametrize(
    "headers", [{"date": "Sat, 21 Nov 2026 12:00:00 GMT"}, {"x-name": "Größe"}], ids=["a date", "not ASCII"]
)
def test_what_is_out_of_the_ordinary_is_left_to_botocore(headers, monkeypatch):
    monkeypatch.setattr(sigv4, "by_botocore", lambda *request: {"Authorization": "theirs"})
    assert signed(Unsigned("POST", URLS[0], headers, b""), KEYS, "us-east-1", "bedrock") == {"Authorization": "theirs"}


def test_a_date_of_the_request_is_signed_in_place_of_amazons():
    found = signed(Unsigned("POST", URLS[0], {"date": "old"}, b""), KEYS, "us-east-1", "bedrock")
    assert found["Date"].startswith("Sat, 21 Nov 2026 12:00:00")
    assert "SignedHeaders=date;host," in found["Authorization"]


def test_a_new_day_and_new_keys_sign_anew(monkeypatch):
    request = Unsigned("POST", URLS[0], PLAIN, b"{}")
    seen = set()
    for day in (21, 22):
        monkeypatch.setattr(auth, "get_current_datetime", lambda day=day, **_: datetime.datetime(2026, 11, day))
        for keys in (KEYS, credentials_of("AKIDEXAMPLE", "another")):
            found = signed(request, keys, "us-east-1", "bedrock")
            assert found == by_botocore(request, keys, "us-east-1", "bedrock")
            seen.add(found["Authorization"])
    assert len(seen) == 4


def test_secrets_are_in_no_repr():
    shown = repr(Unsigned("POST", URLS[0], {"x-api-key": "s3cr3t"}, b"s3cr3t body"))
    assert "s3cr3t" not in shown
