"""Requests as bytes, decoded bodies, and the transport under an SDK's client."""

import asyncio
import gzip
import zlib

import httpx2
import pytest
import uvloop

from bench.record import Connection, Exchange
from bench.wire.http import Outgoing, Wire, decoded_body, decoded_pieces, outgoing
from bench.wire.message import Splice
from bench.wire.transport import ExchangeError, Transport
from tests.wire.servers import CHUNKED_HEAD, LAST_CHUNK, chunked, replying, serving


def test_a_request_keeps_its_headers_in_order_and_gains_what_is_missing():
    url, headers = "https://api.example/v1/x?a=b%20c", [("X-B", "2"), ("x-a", "1")]
    request = httpx2.Request("POST", url, content=b"{}", headers=headers)
    assert outgoing(request) == Outgoing(
        ("https", "api.example", 443),
        b"POST /v1/x?a=b%20c HTTP/1.1\r\nHost: api.example\r\nX-B: 2\r\nx-a: 1\r\nContent-Length: 2\r\n"
        b"Accept-Encoding: identity\r\n\r\n{}",
    )


def test_host_and_length_are_added_to_a_request_that_has_neither():
    request = httpx2.Request("POST", "http://[fd00::1]:8080/", stream=httpx2.ByteStream(b"abc"))
    request.read()
    sent = outgoing(request)
    assert sent.origin == ("http", "fd00::1", 8080)
    assert sent.data == (
        b"POST / HTTP/1.1\r\nHost: [fd00::1]:8080\r\nContent-Length: 3\r\nAccept-Encoding: identity\r\n\r\nabc"
    )


def test_a_body_given_in_chunks_goes_with_its_length():
    async def chunks():
        yield b"ab"
        yield b"cd"

    async def main() -> httpx2.Request:
        request = httpx2.Request("POST", "http://h/", content=chunks())
        await request.aread()
        return request

    data = outgoing(asyncio.run(main())).data
    assert b"Content-Length: 4\r\n" in data
    assert b"ransfer-" not in data
    assert data.endswith(b"\r\n\r\nabcd")


def test_a_body_that_was_not_read_is_refused():
    async def chunks():
        yield b"ab"

    with pytest.raises(ValueError, match=r"aread\(\) first"):
        outgoing(httpx2.Request("POST", "http://h/", content=chunks()))


SIGNED = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/bedrock/aws4_request, SignedHeaders={}, Signature=00"


@pytest.mark.parametrize(
    ("signed", "encoding"),
    [("host;x-amz-date", b"identity"), ("accept-encoding;host", b"gzip"), ("Accept-Encoding;host", b"gzip")],
)
def test_identity_is_asked_for_unless_a_signature_covers_the_header(signed, encoding):
    headers = {"accept-encoding": "gzip", "authorization": SIGNED.format(signed)}
    data = outgoing(httpx2.Request("GET", "http://h/", headers=headers)).data
    assert b"\r\naccept-encoding: " + encoding + b"\r\n" in data


def test_a_header_that_would_become_two_is_refused():
    for headers in ([(b"x", b"1\r\ny: 2")], [(b"x y", b"1")], [(b"", b"1")]):
        with pytest.raises(ValueError, match="one line"):
            outgoing(httpx2.Request("GET", "http://h/", headers=headers))


@pytest.mark.parametrize("url", ["ftp://h/", "/path", "ws://h/"])
def test_other_schemes_and_relative_addresses_are_refused(url):
    with pytest.raises(ValueError, match="want an http"):
        outgoing(httpx2.Request("GET", url))


def exchange_of(body: bytes, coding: str, size: int = 7) -> Exchange:
    pieces = tuple((i, body[i : i + size]) for i in range(0, len(body), size))
    headers = (("Content-Encoding", coding),) if coding else ()
    return Exchange(0, 0, 0, 200, headers, pieces, Connection(reused=False))


TEXT = b"data: hello\n\n" * 50


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""), (TEXT, "identity"), (gzip.compress(TEXT, mtime=0), "gzip"), (gzip.compress(TEXT, mtime=0), "X-GZIP"),
        (zlib.compress(TEXT), "deflate"), (bare_deflate(TEXT), "deflate"),
        (gzip.compress(zlib.compress(TEXT), mtime=0), "deflate, gzip"),
        (gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0), "gzip"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_coded_bodies_are_decoded_with_the_stamps_of_their_pieces(body, coding, size):
    exchange = exchange_of(body, coding, size)
    assert decoded_body(exchange) == TEXT
    stamps = [stamp for stamp, _ in decoded_pieces(exchange)]
    assert stamps == sorted(stamps)
    assert set(stamps) <= {stamp for stamp, _ in exchange.pieces}


def test_a_cut_body_gives_what_can_be_decoded():
    packer = zlib.compressobj(wbits=31)
    half = packer.compress(TEXT) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert decoded_body(exchange_of(half, "gzip")) == TEXT


def test_rubbish_an_unknown_coding_and_a_bomb_are_refused():
    with pytest.raises(ValueError, match="the body is not gzip"):
        decoded_body(exchange_of(b"plain text", "gzip"))
    with pytest.raises(ValueError, match="cannot decode content-encoding 'br'"):
        decoded_body(exchange_of(b"x", "br"))
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(65)) + packer.flush()
    with pytest.raises(ValueError, match="more than 67108864 bytes"):
        decoded_body(exchange_of(bomb, "gzip", 100_000))


def test_an_httpx2_client_over_the_wire_gets_the_body_and_the_exchange():
    async def main(port: int) -> None:
        wire = Wire(environ={})
        async with httpx2.AsyncClient(transport=Transport(wire), trust_env=False) as client:
            response = await client.post(f"http://127.0.0.1:{port}/", json={"a": 1})
            assert response.status_code == 200
            assert response.text == "onetwo"
            exchange = response.extensions["exchange"]
            assert [data for _, data in exchange.pieces] == [b"one", b"two"]
            assert exchange.sent_ns < exchange.pieces[0][0] < exchange.pieces[1][0]
        await wire.aclose()

    parts = (CHUNKED_HEAD, chunked(b"one"), chunked(b"two"), LAST_CHUNK)
    with serving(replying(*parts, gap_s=0.01)) as (_, port):
        uvloop.run(main(port))


def test_the_anthropic_sdk_runs_over_the_wire():
    anthropic = pytest.importorskip("anthropic")
    body = (
        b'{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"text","text":"hi"}],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def main(port: int) -> str:
        wire = Wire(environ={})
        async with anthropic.AsyncAnthropic(
            api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0,
            http_client=httpx2.AsyncClient(transport=Transport(wire), trust_env=False),
        ) as client:  # fmt: skip
            message = await client.messages.create(model="x", max_tokens=9, messages=[{"role": "user", "content": "q"}])
        await wire.aclose()
        return message.content[0].text

    with serving(replying(head + body)) as (_, port):
        assert asyncio.run(main(port)) == "hi"


# what the server does, the error of httpx2
ERRORS = [(b"", httpx2.RemoteProtocolError), (b"rubbish\r\n\r\n", httpx2.RemoteProtocolError)]


@pytest.mark.parametrize(("reply", "error"), ERRORS)
def test_a_failed_exchange_raises_the_error_of_its_kind_with_the_exchange_as_its_cause(reply, error):
    async def main(port: int) -> None:
        wire = Wire(environ={})
        async with httpx2.AsyncClient(transport=Transport(wire), trust_env=False) as client:
            with pytest.raises(error) as caught:
                await client.get(f"http://127.0.0.1:{port}/")
            assert isinstance(caught.value.__cause__, ExchangeError)
            assert caught.value.__cause__.exchange.failure is not None
        await wire.aclose()

    with serving(replying(reply, close=True)) as (_, port):
        uvloop.run(main(port))


def test_the_clients_timeout_is_the_deadline_of_the_whole_exchange():
    async def main(port: int) -> None:
        wire = Wire(environ={})
        async with httpx2.AsyncClient(transport=Transport(wire), timeout=0.05, trust_env=False) as client:
            with pytest.raises(httpx2.ReadTimeout, match="the deadline passed"):
                await client.get(f"http://127.0.0.1:{port}/")
        await wire.aclose()

    with serving(lambda peer: peer.wait_for_end()) as (_, port):
        uvloop.run(main(port))


SPLICED = ("Authorization", "x-date", "Content-Length")


def test_a_spliced_request_is_the_one_that_would_be_made_anew():
    def made(date: str, authorization: str, body: bytes) -> Outgoing:
        headers = {"X-Date": date, "x-kept": "k", "Authorization": authorization, "x-last": "l"}
        return outgoing(httpx2.Request("POST", "https://api.example/v1", headers=headers, content=body))

    splice = Splice(made("1", "a", b"{}"), SPLICED)
    values = {"Authorization": "long " * 9, "x-date": "", "Content-Length": "3"}
    assert splice.outgoing(values, b"[1]") == made("", "long " * 9, b"[1]")


@pytest.mark.parametrize("headers", [{}, [("x-date", "1"), ("X-Date", "2")]], ids=["missing", "twice"])
def test_a_gap_that_is_no_single_header_is_refused(headers):
    made = outgoing(httpx2.Request("POST", "https://api.example/", headers=headers, content=b"x-date: 3\r\n"))
    with pytest.raises(ValueError, match="each of these headers exactly once"):
        Splice(made, ("x-date",))


def test_a_value_that_would_become_two_headers_is_not_spliced_in():
    made = outgoing(httpx2.Request("POST", "https://api.example/", headers={"x-date": "1"}, content=b""))
    with pytest.raises(ValueError, match="one line"):
        Splice(made, ("x-date",)).outgoing({"x-date": "1\r\nx-more: 2"}, b"")
