"""TLS done over memory: certificates, versions, farewells, stamps."""

import socket
import ssl
import time

import pytest
import uvloop

from bench.wire.http import Outgoing, Wire
from bench.wire.tls import client_context
from tests.wire.servers import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    Peer,
    authority,
    chunked,
    exchange_once,
    get,
    in_ns,
    replying,
    serving,
)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("ca"))


STREAM = (CHUNKED_HEAD, chunked(b"one"), chunked(b"two"), LAST_CHUNK)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"])
def test_a_ca_named_in_the_environment_is_trusted(ca, variable):
    with serving(replying(*STREAM, gap_s=0.005), context=ca.server("127.0.0.1")) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), environ={variable: ca.ca_file})
    assert (exchange.failure, exchange.failure_detail) == (None, "")
    assert exchange.body == b"onetwo"
    assert exchange.connection.tls_version == "TLSv1.3"
    assert exchange.connection.tls_ns > 0


def test_a_ca_that_is_not_trusted_is_a_tls_failure_that_says_what_to_do(ca):
    with serving(replying(*STREAM), context=ca.server("127.0.0.1")) as (_, port):
        exchange = exchange_once(get(port, scheme="https"))
    assert exchange.failure == "tls"
    assert "127.0.0.1 is not trusted" in exchange.failure_detail
    assert "SSL_CERT_FILE" in exchange.failure_detail


def test_a_certificate_for_another_name_is_a_tls_failure(ca):
    with serving(replying(*STREAM), context=ca.server("other.example")) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), environ={"SSL_CERT_FILE": ca.ca_file})
    assert exchange.failure == "tls"
    assert "mismatch" in exchange.failure_detail


def test_a_server_that_speaks_no_tls_is_a_tls_failure():
    with serving(lambda peer: (peer.sock.recv(10), peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as (_, port):
        exchange = exchange_once(get(port, scheme="https"))
    assert exchange.failure == "tls"
    assert "TLS with 127.0.0.1 failed" in exchange.failure_detail


def test_a_close_in_the_handshake_is_a_tls_failure():
    with serving(lambda peer: peer.sock.recv(10_000)) as (_, port):
        exchange = exchange_once(get(port, scheme="https"))
    assert exchange.failure == "tls"
    assert "handshake" in exchange.failure_detail


def test_silence_in_the_handshake_is_a_timeout_that_says_where():
    with serving(lambda peer: peer.wait_for_end()) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), seconds=0.08)
    assert exchange.failure == "timeout"
    assert exchange.failure_detail == "the deadline passed while shaking hands in TLS with 127.0.0.1"


def test_a_ca_file_that_cannot_be_read_is_told_by_its_variable():
    with pytest.raises(ValueError, match=r"AWS_CA_BUNDLE=/no/such/file\.pem cannot be used"):
        client_context({"AWS_CA_BUNDLE": "/no/such/file.pem"})
    exchange = exchange_once(get(9, scheme="https"), environ={"AWS_CA_BUNDLE": "/no/such/file.pem"})
    assert exchange.failure in ("tls", "connect")


def test_a_connection_over_tls_is_kept_and_a_large_body_passes_both_ways(ca):
    body = bytes(range(251)) * 8000  # 2,008,000 bytes, in records of no round size

    def play(peer: Peer) -> None:
        while request := peer.request():
            got = request.partition(b"\r\n\r\n")[2]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(got), got)

    async def main(port: int) -> None:
        wire = Wire(environ={"SSL_CERT_FILE": ca.ca_file})
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        for reused in (False, True):
            exchange = await wire.exchange(Outgoing(("https", "127.0.0.1", port), head + body), in_ns(10))
            assert exchange.failure is None
            assert exchange.body == body
            assert exchange.connection.reused is reused
            assert exchange.connection.tls_version == "TLSv1.3"
            assert (exchange.connection.tls_ns is None) is reused
        await wire.aclose()

    with serving(play, context=ca.server("127.0.0.1")) as (_, port):
        uvloop.run(main(port))


@pytest.mark.parametrize("farewell", [True, False])
def test_a_body_without_length_is_complete_only_with_a_tls_farewell(ca, farewell):
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        if farewell:
            peer.sock.settimeout(0.2)
            try:
                peer.sock.unwrap()
            except (OSError, ssl.SSLError):
                pass

    with serving(play, context=ca.server("127.0.0.1")) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), environ={"SSL_CERT_FILE": ca.ca_file})
    assert exchange.body == b"all of it"
    assert exchange.failure == (None if farewell else "closed")


def test_garbage_inside_a_tls_session_is_a_tls_failure_with_what_arrived(ca):
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED_HEAD + chunked(b"good"))
        time.sleep(0.02)
        with socket.socket(fileno=peer.sock.detach()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"\0" * 32)
            time.sleep(0.05)

    with serving(play, context=ca.server("127.0.0.1")) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), environ={"SSL_CERT_FILE": ca.ca_file})
    assert exchange.failure == "tls"
    assert exchange.body == b"good"


def test_an_older_tls_version_is_spoken_and_recorded(ca):
    context = ca.server("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(replying(*STREAM), context=context) as (_, port):
        exchange = exchange_once(get(port, scheme="https"), environ={"SSL_CERT_FILE": ca.ca_file})
    assert exchange.failure is None
    assert exchange.connection.tls_version == "TLSv1.2"


def test_only_http_1_1_is_offered(ca):
    context = ca.server("127.0.0.1")
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []

    def play(peer: Peer) -> None:
        chosen.append(peer.sock.selected_alpn_protocol())
        replying(*STREAM)(peer)

    with serving(play, context=context) as (_, port):
        exchange_once(get(port, scheme="https"), environ={"SSL_CERT_FILE": ca.ca_file})
    assert chosen == ["http/1.1"]
