"""Which proxy a request goes through, by the environment's usual variables. Pure rules; dialling is in `dial.py`."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from bench.wire.message import Origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy to dial. `authorization` is the value of Proxy-Authorization, kept out of every text made of this."""

    scheme: str
    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The address without credentials, as it is recorded."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for this origin, or None for a direct connection.

    HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, the lower-case name first; NO_PROXY lists names (with their subdomains), `*`,
    addresses and CIDR blocks, each with an optional port. Loopback is always direct. HTTP_PROXY in capitals is not
    believed where REQUEST_METHOD is set: there it may come from a request header. Raises ValueError for a proxy address
    that cannot be used.
    """
    scheme, host, port = origin
    if is_loopback(host) or _listed(host, port, _variable("no_proxy", environ)):
        return None
    address = _variable(f"{scheme}_proxy", environ) or _variable("all_proxy", environ)
    return parse_proxy(address) if address else None


def parse_proxy(address: str) -> Proxy:
    """A proxy from its URL; http is understood where the scheme is left out. Errors never repeat the credentials."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"a proxy of kind {parts.scheme}:// is not supported; want http:// or https://")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1:
        raise ValueError("the proxy address in the environment has no usable host and port; want http://host:port")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    return Proxy(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), authorization)


def is_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
        value = environ.get(name.upper(), "").strip()
    return value


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _listed(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, entry.lower()) for entry in no_proxy.replace(",", " ").split())


def _matches(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if entry.startswith("["):
        name, _, only_port = entry[1:].partition("]")
        only_port = only_port.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, only_port = entry.partition(":")
    else:
        name, only_port = entry, ""
    if only_port and only_port != str(port):
        return False
    if address is not None:
        return _address(name) == address
    name, host = name.removeprefix("*").strip("."), host.lower().rstrip(".")
    return bool(name) and (host == name or host.endswith("." + name))
