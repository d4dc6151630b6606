"""Proxies: whom the environment sends where, tunnels, credentials, and what goes wrong on the way."""

import base64
import socket
import threading

import pytest

from bench.wire.http import Outgoing
from bench.wire.proxy import parse_proxy, proxy_for
from tests.wire.servers import Peer, authority, exchange_once, replying, serving

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
PROXY = {"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://p:2", "ALL_PROXY": "http://p:3"}

# origin, environment, port of the proxy that is used (None: direct)
CHOICES = [
    (("https", "api.example", 443), PROXY, 1),
    (("http", "api.example", 80), PROXY, 2),
    (("https", "api.example", 443), {"all_proxy": "http://p:3"}, 3),
    (("https", "api.example", 443), PROXY | {"https_proxy": "http://p:4"}, 4),  # the lower-case name wins
    (("http", "api.example", 80), PROXY | {"REQUEST_METHOD": "GET", "ALL_PROXY": ""}, None),  # may be a request header
    (("https", "api.example", 443), {}, None),
    (("https", "localhost", 443), PROXY, None),
    (("https", "a.localhost", 443), PROXY, None),
    (("https", "127.0.0.9", 443), PROXY, None),
    (("https", "::1", 443), PROXY, None),
    (("https", "api.example", 443), PROXY | {"NO_PROXY": "*"}, None),
    (("https", "api.example", 443), PROXY | {"NO_PROXY": "other, example"}, None),
    (("https", "API.Example", 443), PROXY | {"no_proxy": ".EXAMPLE"}, None),
    (("https", "api.example", 443), PROXY | {"NO_PROXY": "*.example"}, None),
    (("https", "notexample", 443), PROXY | {"NO_PROXY": "example"}, 1),
    (("https", "api.example", 443), PROXY | {"NO_PROXY": "example:8443"}, 1),
    (("https", "api.example", 8443), PROXY | {"NO_PROXY": "example:8443"}, None),
    (("https", "10.1.2.3", 443), PROXY | {"NO_PROXY": "10.0.0.0/8"}, None),
    (("https", "11.1.2.3", 443), PROXY | {"NO_PROXY": "10.0.0.0/8,nonsense/99"}, 1),
    (("https", "10.1.2.3", 443), PROXY | {"NO_PROXY": "10.1.2.3:443"}, None),
    (("https", "fd00::5", 443), PROXY | {"NO_PROXY": "fd00::/8"}, None),
    (("https", "fd00::5", 443), PROXY | {"NO_PROXY": "[fd00::5]:443"}, None),
    (("https", "fd00::5", 443), PROXY | {"NO_PROXY": "[fd00::5]:80"}, 1),
    (("https", "fd00::5", 443), PROXY | {"NO_PROXY": "fd00::5"}, None),
]


@pytest.mark.parametrize(("origin", "environ", "port"), CHOICES)
def test_the_environment_decides_which_proxy_is_used(origin, environ, port):
    proxy = proxy_for(origin, environ)
    assert (proxy.port if proxy else None) == port


def test_credentials_are_decoded_for_the_header_and_shown_nowhere():
    proxy = parse_proxy("https://us%40er:se%3Acret@[fd00::1]:3128")
    assert proxy.authorization == b"Basic " + base64.b64encode(b"us@er:se:cret")
    assert str(proxy) == "https://[fd00::1]:3128"
    assert "se:cret" not in repr(proxy)
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize("address", ["socks5://u:secret@p:1", "http://u:secret@", "http://u:secret@p:99999"])
def test_a_proxy_that_cannot_be_used_is_a_proxy_failure_without_its_credentials(address):
    exchange = exchange_once(
        Outgoing(("https", "api.example", 443), b"GET / HTTP/1.1\r\n\r\n"), environ={"HTTPS_PROXY": address}
    )
    assert exchange.failure == "proxy"
    assert "secret" not in exchange.failure_detail


def test_a_proxy_without_scheme_is_an_http_proxy_on_port_80():
    assert str(parse_proxy("cache.example")) == "http://cache.example:80"


def tunnel_to(address: tuple[str, int], asked: list[bytes]):
    """A CONNECT proxy that sends every tunnel to one server."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def play(peer: Peer) -> None:
        asked.append(peer.request())
        with socket.create_connection(address, 5) as onward:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, peer.sock))
            back.start()
            pump(peer.sock, onward)
            back.join(5)

    return play


@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
def test_https_goes_through_a_tunnel_with_our_credentials(tmp_path, proxy_scheme):
    ca = authority(tmp_path)
    asked: list[bytes] = []
    proxy_tls = ca.server("127.0.0.1") if proxy_scheme == "https" else None
    with (
        serving(replying(HI), context=ca.server("api.example")) as server,
        serving(tunnel_to(server, asked), context=proxy_tls) as (_, proxy_port),
    ):
        environ = {
            "HTTPS_PROXY": f"{proxy_scheme}://user:pa%20ss@127.0.0.1:{proxy_port}",
            "SSL_CERT_FILE": ca.ca_file,
        }
        exchange = exchange_once(
            Outgoing(("https", "api.example", 443), b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n"), environ=environ
        )
    assert (exchange.failure, exchange.failure_detail) == (None, "")
    assert exchange.body == b"hi"
    assert exchange.connection.proxy == f"{proxy_scheme}://127.0.0.1:{proxy_port}"
    assert exchange.connection.tls_ns > 0
    assert asked[0].startswith(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:pa ss") + b"\r\n" in asked[0]


def test_plain_http_through_a_proxy_names_the_whole_address():
    asked = []

    def play(peer: Peer) -> None:
        asked.append(peer.request())
        peer.send(HI)
        peer.wait_for_end()

    with serving(play) as (_, port):
        exchange = exchange_once(
            Outgoing(("http", "api.example", 8080), b"POST /v1?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"),
            environ={"http_proxy": f"http://u:p@127.0.0.1:{port}"},
        )
    assert exchange.body == b"hi"
    assert exchange.connection.proxy == f"http://127.0.0.1:{port}"
    credentials = base64.b64encode(b"u:p")
    assert asked == [
        b"POST http://api.example:8080/v1?x=1 HTTP/1.1\r\nProxy-Authorization: Basic " + credentials + b"\r\n"
        b"Host: h\r\nContent-Length: 2\r\n\r\n{}"
    ]


# what the proxy answers to CONNECT, words of the failure
REFUSALS = [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "answered 407"),
    (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "answered 502"),
    (b"220 smtp.example\r\n\r\n", "does not speak HTTP/1.1"),
    (b"", "closed the connection"),
    (b"HTTP/1.1 200 OK\r\n\r\nearly", "sent 5 bytes before the tunnel was used"),
]


@pytest.mark.parametrize(("answer", "words"), REFUSALS)
def test_a_proxy_that_refuses_is_a_proxy_failure(answer, words):
    with serving(replying(answer, close=True)) as (_, port):
        exchange = exchange_once(
            Outgoing(("https", "api.example", 443), b"GET / HTTP/1.1\r\n\r\n"),
            environ={"HTTPS_PROXY": f"http://u:secret@127.0.0.1:{port}"},
        )
    assert exchange.failure == "proxy"
    assert words in exchange.failure_detail
    assert "secret" not in exchange.failure_detail


def test_a_proxy_that_cannot_be_reached_is_a_proxy_failure():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        exchange = exchange_once(
            Outgoing(("https", "api.example", 443), b"GET / HTTP/1.1\r\n\r\n"),
            environ={"HTTPS_PROXY": f"http://127.0.0.1:{sock.getsockname()[1]}"},
        )
    assert exchange.failure == "proxy"
    assert "Connection refused" in exchange.failure_detail
