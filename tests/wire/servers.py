"""Loopback servers made of plain sockets: each connection is played by a function in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.record import Exchange
from bench.wire.clock import now_ns
from bench.wire.http import Origin, Outgoing, Wire

SECOND = 1_000_000_000
Play = Callable[["Peer"], None]


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock, self.number = sock, number
        self.buffer = b""

    def request(self) -> bytes:
        """The next request, head and body; b"" when the client is gone."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return b""
        head_end = self.buffer.index(b"\r\n\r\n") + 4
        length = 0
        for line in self.buffer[:head_end].lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(self.buffer) < head_end + length:
            if not self._more():
                return b""
        whole, self.buffer = self.buffer[: head_end + length], self.buffer[head_end + length :]
        return whole

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            return False
        self.buffer += data
        return bool(data)

    def send(self, *parts: bytes, gap_s: float = 0.0) -> list[int]:
        """Send the parts, each in a write of its own; gives the time just before each."""
        written = []
        for i, part in enumerate(parts):
            if i and gap_s:
                time.sleep(gap_s)
            written.append(time.monotonic_ns())
            self.sock.sendall(part)
        return written

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_end(self) -> None:
        """Until the client has closed."""
        while self._more():
            pass


@contextlib.contextmanager
def serving(play: Play, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """A server at (host, port). What a play raises is raised here again at the end, network trouble excepted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    threads: list[threading.Thread] = []
    socks: list[socket.socket] = []
    faults: list[BaseException] = []

    def one(sock: socket.socket, number: int) -> None:
        try:
            sock.settimeout(10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
                socks.append(sock)
            play(Peer(sock, number))
        except OSError:
            pass
        except BaseException as fault:
            faults.append(fault)
        finally:
            sock.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                socks.append(sock)
                threads.append(threading.Thread(target=one, args=(sock, len(threads)), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield host, listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive(), "a server thread did not end"
        for sock in socks:
            sock.close()
    if faults:
        raise faults[0]


def replying(*parts: bytes, gap_s: float = 0.0, close: bool = False) -> Play:
    """Answers every request of a connection with the same bytes, each part in a write of its own."""

    def play(peer: Peer) -> None:
        while peer.request():
            peer.send(*parts, gap_s=gap_s)
            if close:
                return

    return play


def get(port: int, *, scheme: str = "http", host: str = "127.0.0.1", path: str = "/", method: str = "GET") -> Outgoing:
    return Outgoing((scheme, host, port), f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def in_ns(seconds: float) -> int:
    return now_ns() + round(seconds * SECOND)


def exchange_once(outgoing: Outgoing, *, seconds: float = 5.0, **options: object) -> Exchange:
    """One exchange over a wire of its own, in uvloop. No proxies unless asked for."""

    async def main() -> Exchange:
        wire = Wire(**{"environ": {}, **options})  # type: ignore[arg-type]
        try:
            return await wire.exchange(outgoing, in_ns(seconds))
        finally:
            await wire.aclose()

    return uvloop.run(main())


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for what the loop will bring about by itself."""
    end = in_ns(seconds)
    while not condition():
        assert now_ns() < end, "it did not come about"
        await asyncio.sleep(0.002)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Authority:
    """A CA made for a test: its certificate as a file, and server contexts that it vouches for."""

    ca_file: str
    folder: Path
    _name: x509.Name
    _key: ec.EllipticCurvePrivateKey

    def server(self, *names: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(names[0], key, self._name, self._key, names=names)
        path = self.folder / f"{names[0].replace(':', '_')}.pem"
        path.write_bytes(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def authority(folder: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("Test CA", key, None, key, names=())
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(str(ca_file), folder, certificate.subject, key)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    today = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - day)
        .not_valid_after(today + day)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def origin_of(address: tuple[str, int], scheme: str = "http") -> Origin:
    return scheme, address[0], address[1]
