"""Checks of a door: what it sends, how it signs, what it keeps to itself. Each gives the reason why it fails, or None."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bench import dialects
from bench.errors import BenchError
from bench.providers.base import Provider
from bench.record import Case, Fault, Params
from bench.simulate.base import Received, Refused
from bench.simulate.sigv4 import check_signature
from bench.targets import Target
from bench.testing.golden import DoorData
from bench.testing.wires import fault_differences

if TYPE_CHECKING:
    import httpx2

CASE = Case(
    "conformance",
    (
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": 'Wie groß ist "20" \\ 2? 😀\nSay it.'},
    ),
)
"""What every golden request asks: quotes, a backslash, a line break and letters beyond ASCII included."""

VOLATILE = (
    "host", "connection", "accept-encoding", "content-length", "user-agent", "x-stainless-*", "x-goog-api-client",
    "amz-sdk-*", "x-server-timeout",
)  # fmt: skip
"""Headers that name versions, machines and lengths: they differ from one installation to the next."""
KEPT_ENV = ("PATH", "LANG", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "COVERAGE_FILE")


def target_of(data: DoorData, **more: Any) -> Target:
    """The target of the door's file, under an id of its own for every dialect."""
    facts = {"model": "conformance", "model_id": "conformance", **data.target, **more}
    return Target(id=f"conformance-{data.dialect}", provider=data.door, dialect=data.dialect, **facts)


@contextmanager
def signed_in(env: Mapping[str, str]) -> Iterator[None]:
    """An environment that holds these variables and nothing else that a door could read; an empty home."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        kept = {name: before[name] for name in KEPT_ENV if name in before}
        os.environ.clear()
        os.environ.update({**kept, "HOME": home, "AWS_EC2_METADATA_DISABLED": "true", **env})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


class Sent(Exception):
    """Something reached for the network."""


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Refuses every connection and name lookup, and lists them."""
    tried: list[str] = []

    def refuse(what: str) -> Any:
        def refused(*arguments: Any, **_: Any) -> Any:
            tried.append(f"{what} {arguments[-1] if arguments else ''}".strip())
            raise Sent(tried[-1])

        return refused

    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    lookups = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname")}
    for name in real:
        setattr(socket.socket, name, refuse(name))
    for name in lookups:
        setattr(socket, name, refuse(name))
    try:
        yield tried
    finally:
        for name, function in real.items():
            setattr(socket.socket, name, function)
        for name, function in lookups.items():
            setattr(socket, name, function)


async def prepared(provider: Provider, data: DoorData, stream: bool, **more: Any) -> httpx2.Request:
    """The request that the door makes of the golden case. A door that brings its own carrier gives that one's bytes."""
    import httpx2

    target = target_of(data, **more)
    body = dialects.get(data.dialect).encode(CASE, Params(max_tokens=64, stream=stream), target)
    carried = getattr(provider, "outgoing", None)
    if carried is None:
        return await provider.prepare(target, body)
    made = await carried(target, body)
    scheme, host, port = made.origin
    return httpx2.Request("POST", f"{scheme}://{host}:{port}", content=made.data)


# ------------------------------------------------------------------------------------------------ the checks


async def request(provider: Provider, data: DoorData, kind: str) -> str | None:
    """Whether method, address, headers and body are the golden's."""
    want = data.requests.get(kind)
    if want is None:
        return f"the door's file has no request {kind}"
    with signed_in(data.env):
        got = await prepared(provider, data, kind == "stream")
    found = [f"the golden request names no {key}" for key in ("source", "date") if not want.get(key)]
    if got.method != want.get("method", "POST"):
        found.append(f"method: got {got.method}")
    url = str(got.url)
    if unquote(url) != unquote(want["url"]):
        found.append(f"url: got {url}; want {want['url']}")
    found += _header_differences(got, want.get("headers") or {}, want.get("optional_headers") or ())
    if "body" in want:
        if got.content.decode() != want["body"].strip():
            found.append(f"body: got {got.content.decode()}; want {want['body'].strip()}")
    elif json.loads(got.content) != want.get("json"):
        found.append(f"body: got {got.content.decode()}; want {json.dumps(want.get('json'), ensure_ascii=False)}")
    return "; ".join(found) or None


def _header_differences(got: httpx2.Request, want: Mapping[str, str], optional: Collection[str]) -> list[str]:
    sent = {name.lower(): value for name, value in got.headers.items()}
    stable = {k: v for k, v in sent.items() if not any(fnmatchcase(k, pattern) for pattern in VOLATILE)}
    found = [f"header {name}: not sent" for name in want if name not in stable and name not in optional]
    found += [f"header {name}: sent, and the golden has none" for name in stable if name not in {*want, *optional}]
    found += [
        f"header {name}: got {_dark(stable[name])}; want {value}"
        for name, value in want.items()
        if name in stable and not fnmatchcase(stable[name], str(value))
    ]
    return found


def _dark(value: str) -> str:
    """A header's value without what may be a secret."""
    return value if len(value) < 12 else f"{value[:10]}… ({len(value)} characters)"


async def signature(provider: Provider, data: DoorData) -> str | None:
    """Whether the SigV4 signature is the one that is recomputed from the request."""
    assert data.signed is not None
    credentials = {
        "access_key": data.env.get("AWS_ACCESS_KEY_ID", ""),
        "secret_key": data.env.get("AWS_SECRET_ACCESS_KEY", ""),
        "region": data.signed["region"],
    }
    if "AWS_SESSION_TOKEN" in data.env:
        credentials["session_token"] = data.env["AWS_SESSION_TOKEN"]
    with signed_in(data.env):
        for stream in (True, False, True):  # the third is made from what was kept of the first
            made = await prepared(provider, data, stream)
            received = as_received(made)
            try:
                check_signature(received, credentials, data.signed["service"])
            except Refused as refused:
                return f"{refused.code}: {refused.message}"
            try:
                check_signature(_tampered(received), credentials, data.signed["service"])
            except Refused:
                continue
            return "the signature does not cover the body"
    return None


def as_received(made: httpx2.Request) -> Received:
    """The request as a server reads it."""
    parts = urlsplit(str(made.url))
    headers: dict[str, str] = {"host": parts.netloc}
    for name, value in made.headers.items():
        headers[name.lower()] = value
    path, _, query = made.url.raw_path.decode("latin-1").partition("?")
    return Received(made.method, path, unquote(path), query, headers, made.content, datetime.now(UTC).timestamp())


def _tampered(received: Received) -> Received:
    return Received(
        received.method,
        received.raw_path,
        received.path,
        received.query,
        received.headers,
        received.body + b" ",
        received.wall_s,
    )


def errors(provider: Provider, data: DoorData) -> str | None:
    """Whether every envelope is classed as its golden says, and no byte of one can raise."""
    found = []
    for golden in data.errors:
        where = f"{golden['from']} {golden['status']}"
        if not golden.get("source"):
            found.append(f"{where}: the envelope names no source")
        body = str(golden.get("body", "")).encode()
        headers = tuple((str(k), str(v)) for k, v in (golden.get("headers") or {}).items())
        fault = provider.fault(golden["status"], headers, body)
        found += [f"{where}: {line}" for line in fault_differences(fault, golden["expect"])]
        for size in range(len(body)):
            if not isinstance(provider.fault(golden["status"], headers, body[:size]), Fault):
                found.append(f"{where}: no fault for its first {size} bytes")
                break
    missing = {400, 401, 403, 404, 429, 500, 503} - {golden["status"] for golden in data.errors}
    if missing:
        found.append(f"no envelope with status {', '.join(map(str, sorted(missing)))}")
    nothing = provider.fault(None, (), b"")
    if nothing.outcome != "transport":
        found.append(f"no response: got {nothing.outcome}; want transport")
    return "; ".join(found) or None


def lists_problems(provider: Provider, data: DoorData) -> str | None:
    """Whether `check` finds nothing wrong with a good target, everything with a bad one, and asks no network."""
    found = []
    with no_network() as tried:
        with signed_in(data.env):
            good = provider.check(target_of(data))
        wrong = data.wrong
        with signed_in({str(k): str(v) for k, v in (wrong.get("env") or {}).items()}):
            facts = {"model": "conformance", "model_id": "conformance", **(wrong.get("target") or {})}
            dialect = facts.pop("dialect", "no-such-dialect")
            bad = provider.check(Target(id="wrong", provider=data.door, dialect=dialect, **facts))
    if good:
        found.append("problems with a good target: " + "; ".join(map(str, good)))
    paths = {problem.path for problem in bad}
    said = ", ".join(sorted(paths)) or "nothing"
    found += [f"a bad target: nothing said of {path}; said: {said}" for path in wrong["problems"] if path not in paths]
    mute = [str(problem) for problem in bad if not problem.want]
    if mute:
        found.append(f"a problem without what to do: {mute[0]}")
    if tried:
        found.append(f"check reached for the network: {', '.join(tried)}")
    return "; ".join(found) or None


async def secrets(provider: Provider, data: DoorData) -> str | None:
    """Whether no secret shows in what the door says of itself, before and after a request, and in its errors."""
    words = [data.env[name] for name in data.secrets]
    if not words and "secrets" not in data.not_applicable:
        return "the door's file names no secret"
    target = target_of(data)
    said: dict[str, str] = {}
    with signed_in(data.env):
        await prepared(provider, data, True)
        said["its repr"] = repr(provider)
        said["its attributes"] = repr(getattr(provider, "__dict__", ""))
        said["route"] = str(provider.route(target))
        said["client_stack"] = provider.client_stack(target)
        said["check"] = " ".join(map(str, provider.check(target)))
        try:
            await getattr(provider, "outgoing", provider.prepare)(target, {"messages": object()})
        except BenchError as error:
            said["an error"] = f"{error!r} {error} {error.hint}"
        except Exception as error:
            return f"a body that is no JSON: {type(error).__name__}; want BenchError"
        else:
            return "a body that is no JSON was prepared"
    shown = [where for where, text in said.items() if any(word in text for word in words)]
    return f"a secret shows in {', '.join(shown)}" if shown else None


async def sends_nothing(provider: Provider, data: DoorData) -> str | None:
    """Whether preparing requests leaves the network alone, Python's sockets and a listening address alike."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}{data.base_path}"
        with signed_in(data.env), no_network() as tried:
            for stream in (True, False):
                made = await prepared(provider, data, stream, base_url=address)
                if not str(made.url).startswith(address.removesuffix(data.base_path).rstrip("/")):
                    return f"base_url {address}: the request goes to {made.url}"
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            pass
        else:
            return "prepare opened a connection"
    return f"prepare reached for the network: {', '.join(tried)}" if tried else None


async def route(provider: Provider, data: DoorData) -> str | None:
    """Whether the facts for the record are those of the request: host and path, with the kind of sign-in."""
    with signed_in(data.env):
        target = target_of(data)
        facts = provider.route(target)
        made = await prepared(provider, data, True)
    found = [f"no {key}" for key in ("host", "path", "api_version", "auth") if key not in facts]
    host = made.url.netloc.decode()
    if facts.get("host") != host:
        found.append(f"host: got {facts.get('host')}; the request goes to {host}")
    path = unquote(made.url.raw_path.decode().partition("?")[0])
    model = target.deployment or target.model_id
    want = unquote(str(facts.get("path"))).replace("{model}", model).partition("?")[0]
    if want != path:
        found.append(f"path: got {facts.get('path')}; the request goes to {path}")
    if not provider.client_stack(target):
        found.append("client_stack says nothing")
    return "; ".join(found) or None


async def closes(provider: Provider, data: DoorData) -> str | None:
    """Whether a door can be closed twice, unused and used, and serves again after it."""
    try:
        await provider.close()
        await provider.close()
        with signed_in(data.env):
            await prepared(provider, data, True)
        await provider.close()
        await provider.close()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
