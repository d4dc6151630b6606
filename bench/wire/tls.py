"""TLS over memory: bytes in, bytes out. So the socket stays ours, and with it the kernel's arrival stamps."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

_RECORD_BYTES = 16384
"""What a record holds at most, and so a read gives: room for more would be found and given back each time."""

CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")


def client_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """A verifying context: the system's CAs and those that the environment names. Offers HTTP/1.1 only.

    Raises ValueError naming the variable whose file cannot be used.
    """
    context = ssl.create_default_context()
    for variable in CA_VARIABLES:
        value = environ.get(variable, "").strip()
        if not value:
            continue
        path = Path(value)
        try:
            if path.is_dir():
                context.load_verify_locations(capath=str(path))
            else:
                context.load_verify_locations(cafile=str(path))
        except (OSError, ssl.SSLError) as trouble:
            raise ValueError(f"{variable}={value} cannot be used as CA certificates: {trouble}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class Tls:
    """One TLS session as a client. No session is resumed: a handshake that is reported is always a full one."""

    __slots__ = ("_incoming", "_object", "_outgoing", "closed")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.closed = False
        """Whether the peer said in TLS that it is done; an end of the connection without this may be a cut."""

    @property
    def version(self) -> str | None:
        return self._object.version()

    def handshake(self, data: bytes) -> tuple[bool, bytes]:
        """Take what came (nothing at first); gives whether the handshake is done, and what is to be sent.

        Raises ssl.SSLError; `pending()` then holds the alert that tells the peer.
        """
        if data:
            self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        return True, self._outgoing.read()

    def pending(self) -> bytes:
        """What TLS itself wants to send, such as an alert or the answer to a key update; mostly nothing."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def encrypt(self, data: bytes) -> bytes:
        view, done = memoryview(data), 0
        while done < len(data):
            done += self._object.write(view[done:])
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Take what came; gives the plain bytes that are complete. Raises ssl.SSLError."""
        incoming, tls = self._incoming, self._object
        incoming.write(data)
        plain: list[bytes] = []
        try:
            # Reading until nothing is left would cost an exception each time: both are 0 after the usual one record.
            while True:
                more = tls.read(_RECORD_BYTES)
                if not more:
                    self.closed = True
                elif incoming.pending or tls.pending():
                    plain.append(more)
                    continue
                return b"".join((*plain, more)) if plain else more
        except ssl.SSLWantReadError:  # a record that is not complete yet, or one without data (a session ticket)
            return b"".join(plain)


class TlsInTls:
    """A session through a proxy that itself speaks TLS."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, outer: Layer, inner: Tls) -> None:
        self._outer, self._inner = outer, inner

    @property
    def version(self) -> str | None:
        return self._inner.version

    @property
    def closed(self) -> bool:
        return self._inner.closed

    def pending(self) -> bytes:
        inner = self._inner.pending()
        return (self._outer.encrypt(inner) if inner else b"") + self._outer.pending()

    def encrypt(self, data: bytes) -> bytes:
        return self._outer.encrypt(self._inner.encrypt(data))

    def decrypt(self, data: bytes) -> bytes:
        plain = self._outer.decrypt(data)
        return self._inner.decrypt(plain) if plain else b""


Layer = Tls | TlsInTls
