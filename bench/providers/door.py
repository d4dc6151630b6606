"""What the doors over the official httpx2-based SDKs share: the SDK builds a request, later bodies go into its copies.

The SDK costs 0.2 to 0.6 ms of CPU a request, nearly all of it for things that do not change from one request to the
next. So each target keeps a template per kind of body (its keys, model and stream flag): the request as the SDK built
it, and which top-level keys the SDK took out of the body and put into it. A template holds only when filling in its own
body gives the SDK's bytes again; where it does not, and where the SDK renews credentials by itself, every request goes
through the SDK.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson

from bench import redact
from bench.errors import BenchError, CannotRun, Problem
from bench.providers import faults, identity
from bench.providers.advice import advised
from bench.providers.renewal import Renewal
from bench.record import Exchange, Fault, Reply
from bench.targets import Target
from bench.wire.message import Outgoing, Splice, outgoing

Headers = tuple[tuple[str, str], ...]


class NoNetwork(httpx2.AsyncBaseTransport):
    """Stands where the SDK's connection pool would: sends nothing, and answers everything with an empty object."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=b"{}", headers={"content-type": "application/json"})


def to_json(body: Mapping[str, Any]) -> bytes:
    """The body in the spelling of the official SDKs: UTF-8, no spaces.

    Numbers below 1e-4 and above 1e16 may differ in spelling, never in value. BenchError for what JSON cannot carry.
    """
    try:
        content = orjson.dumps(body, default=_plain)
    except TypeError as error:
        raise BenchError(f"request body: {error}") from error
    if b"null" in content and not _finite(body):
        raise BenchError("request body: NaN and infinity cannot be sent as JSON")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"cannot send a {type(value).__name__} as JSON")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_finite(item) for item in value.values())
    return all(_finite(item) for item in value) if isinstance(value, list | tuple) else True


class Template:
    """A request as the SDK built it, into copies of which other bodies are put."""

    __slots__ = ("added", "dropped", "holds", "length_name", "plain", "request", "spell", "splices", "url")

    def __init__(
        self, request: httpx2.Request, given: Mapping[str, Any], spell: Callable[[Mapping[str, Any]], bytes] = to_json
    ) -> None:
        self.request, self.spell, self.url = request, spell, str(request.url)
        self.plain = dict(request.headers.items())  # names in lower case
        self.splices: dict[tuple[str, ...], Splice] = {}
        names = [name.decode("latin-1") for name, _ in request.headers.raw]
        self.length_name = next(name for name in names if name.lower() == "content-length")
        sent = orjson.loads(request.content)
        self.added = {key: value for key, value in sent.items() if key not in given}
        self.dropped = frozenset(given) - frozenset(sent)
        self.holds = self.content(given) == request.content

    def content(self, given: Mapping[str, Any]) -> bytes:
        """What the SDK makes of a body of this template's kind."""
        if self.dropped or self.added:
            given = {**{key: value for key, value in given.items() if key not in self.dropped}, **self.added}
        return self.spell(given)

    def filled(self, content: bytes, written: Mapping[str, str]) -> httpx2.Request:
        """The request with another body, and with the headers `written` over its own."""
        headers = httpx2.Headers(self.request.headers)
        headers[self.length_name] = str(len(content))
        for name, value in written.items():
            headers[name] = value
        request = httpx2.Request(
            "POST",
            self.request.url,
            headers=headers,
            stream=httpx2.ByteStream(content),
            extensions=self.request.extensions,
        )
        request.read()
        return request

    def spliced(self, content: bytes, written: Mapping[str, str]) -> Outgoing:
        """The bytes of `filled`. Only the first request with headers of these names is made by way of it."""
        names = tuple(written)
        splice = self.splices.get(names)
        if splice is None:
            splice = self.splices[names] = Splice(outgoing(self.filled(content, written)), (self.length_name, *names))
        return splice.outgoing({**written, self.length_name: str(len(content))}, content)


class Opened:
    """One target's SDK client and templates. Holds credentials: it has no fields in its repr, and is never stored."""

    __slots__ = ("client", "credential", "keeper", "lock", "renewal", "shown", "target", "templates")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.client: Any = None
        self.keeper: Any = None  # what must be closed with the client, where there is such a thing
        self.renewal: Renewal | None = None
        self.shown: Any = None  # what the SDK gets in place of credentials that renew themselves: `token` is in force
        self.credential: str | None = None
        self.templates: dict[Any, Template] = {}
        self.lock = asyncio.Lock()


class Door(ABC):
    """A provider whose requests an official SDK builds, or what stands in its place where the service asks for none.

    A subclass names the SDK and makes its client."""

    name: str
    dialects: frozenset[str]
    extra: str
    """The extra of this package that installs what the door needs."""
    packages: tuple[str, ...]
    """What the door imports, in the names of the import system; the first is the SDK. Empty where there is none."""
    path: str
    """The path that is given to the SDK, which may send another."""
    signs_anew = False
    """Whether every request is signed by itself, so that a renewed credential needs no new templates."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}

    # -- what a door says for itself

    @abstractmethod
    async def client(self, opened: Opened, http: httpx2.AsyncClient) -> Any:
        """The SDK's client for this target, over `http`, with retries off."""

    @abstractmethod
    def problems(self, target: Target) -> list[Problem]:
        """What is wrong with the target or missing in the environment, besides what every door checks."""

    @abstractmethod
    def route(self, target: Target) -> dict[str, str | None]:
        """Facts for the record: `host`, `path`, `api_version` (None: the SDK's default) and the kind of `auth`."""

    def given(self, target: Target, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it is handed to the SDK."""
        return body

    def content(self, body: Mapping[str, Any]) -> bytes:
        """The bytes of a body, in the spelling of the door's SDK."""
        return to_json(body)

    def headers(self, target: Target) -> dict[str, str]:
        """Headers that this target adds to every request."""
        return {}

    def path_of(self, target: Target) -> str:
        """The path for this target, where a door has several."""
        return self.path

    def needs(self, target: Target) -> tuple[str, ...]:
        """What this target imports, of `packages`; the first is the SDK that builds its requests."""
        return self.packages

    def template(self, opened: Opened, request: httpx2.Request, given: Mapping[str, Any]) -> Template:
        """What copies of a request that the SDK built are made from."""
        return Template(request, given, self.content)

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options that the SDK's own method adds to the request."""
        return {}

    async def credential(self, opened: Opened) -> str | None:
        """The token in force, where it is renewed in the course of a run: when it changes, templates are made anew."""
        if opened.renewal is None or self.signs_anew:
            return None
        token: str = await opened.renewal.value()
        if opened.shown is not None:
            opened.shown.token = token
        return token

    async def written(self, opened: Opened, template: Template, content: bytes) -> Mapping[str, str]:
        """Headers that a body of this template's kind needs besides its length: its signature."""
        return {}

    async def finish(self, opened: Opened, template: Template, content: bytes) -> httpx2.Request:
        """The request for a body of this template's kind."""
        return template.filled(content, await self.written(opened, template, content))

    def region_proof(self, target: Target, exchange: Exchange, reply: Reply) -> str:
        """`consistent`, `contradicted` or `unknown`: whether the reply agrees with the route asked for."""
        return identity.identify(target, exchange, reply).region_proof

    # -- what all doors do alike

    def check(self, target: Target) -> list[Problem]:
        """Everything that would keep this target from running, each with what to do. No network, no SDK import."""
        found = [
            Problem(target.id, "provider", f"{package} is not installed", f"pip install 'bench[{self.extra}]'")
            for package in self.needs(target)
            if not installed(package)
        ]
        if target.dialect not in self.dialects:
            want = ", ".join(sorted(self.dialects))
            found.append(Problem(target.id, "dialect", target.dialect, f"{want}, which is what {self.name} speaks"))
        return found + self.problems(target)

    async def prepare(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx2.Request:
        """The authenticated, signed request that the official SDK would send, with `headers` added. Never sends."""
        with self._explained(target):
            opened, template, content = await self._template(target, body, headers or {})
            return template.request if content is None else await self.finish(opened, template, content)

    async def spliced(self, target: Target, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Outgoing:
        """The bytes of the request that `prepare` gives, most of them copied."""
        if self._finishes_itself:
            return outgoing(await self.prepare(target, body, headers))
        with self._explained(target):
            opened, template, content = await self._template(target, body, headers or {})
            written = {} if content is None else await self.written(opened, template, content)
        return outgoing(template.request) if content is None else template.spliced(content, written)

    @cached_property
    def _finishes_itself(self) -> bool:
        """Whether the door has a way of its own from a template to a request, which copies of bytes would pass by."""
        return (type(self).prepare, type(self).finish) != (Door.prepare, Door.finish)

    async def _template(
        self, target: Target, body: dict[str, Any], headers: Mapping[str, str]
    ) -> tuple[Opened, Template, bytes | None]:
        """The template of this body's kind, and the body in the SDK's spelling; None when the template's request is the
        one that the SDK has just built for it."""
        opened = self._opened.get(target.id)
        if opened is None or (opened.target is not target and opened.target != target):
            opened = Opened(target)
            self._opened[target.id] = opened
        if opened.client is None:
            await self._open(opened)
        current = await self.credential(opened)
        if current != opened.credential:
            opened.templates.clear()
            opened.credential = current
        given = self.given(target, body)
        model = given.get("model", given.get("modelId"))
        key = (model, given.get("stream"), tuple(given), tuple(headers.items()))
        template = opened.templates.get(key)
        if template is not None and template.holds:
            return opened, template, template.content(given)
        template = self.template(opened, await self._built(opened, given, headers), given)
        if template.holds and (opened.renewal or not _signs_later(opened.client)):
            opened.templates[key] = template
            return opened, template, template.content(given)
        return opened, template, None

    @contextmanager
    def _explained(self, target: Target) -> Iterator[None]:
        """Turns what goes wrong in an SDK into an error that says what to do."""
        try:
            yield
        except BenchError:
            raise
        except ImportError as error:
            raise missing(self.name, self.extra, error) from error
        except Exception as error:
            said = str(error).strip().splitlines() or [""]
            why = f"{type(error).__name__}: {redact.clean(said[0])}"
            builder = f"the {sdk[0]} SDK" if (sdk := self.needs(target)) else f"the door {self.name}"
            raise CannotRun(
                f"{target.id}: {builder} could not prepare a request: {why}",
                hint="bench targets lists what each target needs",
            ) from error

    async def _open(self, opened: Opened) -> None:
        async with opened.lock:
            if opened.client is None:
                opened.client = await self.client(opened, httpx2.AsyncClient(transport=NoNetwork(), trust_env=False))

    async def _built(self, opened: Opened, given: Mapping[str, Any], headers: Mapping[str, str]) -> httpx2.Request:
        """The request that the SDK itself builds, authenticates and signs for this body."""
        response: httpx2.Response = await opened.client.post(
            self.path_of(opened.target),
            body=dict(given),
            cast_to=httpx2.Response,
            options={**self.options(given), "headers": {**self.headers(opened.target), **headers}},
        )
        return response.request

    def fault(self, status: int | None, headers: Headers, body: bytes) -> Fault:
        """Why a reply is not ok, from raw status, code and type, and what to do about it where that is known.

        Also reads errors that came inside a 200. A credential that a server repeats is left out.
        """
        fault = faults.read_fault(status, headers, body)
        for opened in self._opened.values():
            if opened.credential:
                fault = replace(fault, message=fault.message.replace(opened.credential, "[credential]"))
        return advised(self.name, status, headers, fault)

    def client_stack(self, target: Target) -> str:
        """Name and version of what builds the request: `anthropic 2.12.0, botocore 1.44.5`, or `no SDK`."""
        return ", ".join(f"{package} {version_of(package)}" for package in self.needs(target)) or "no SDK"

    async def close(self) -> None:
        for opened in self._opened.values():
            if opened.renewal is not None:
                await opened.renewal.close()
            if opened.client is not None:
                await opened.client.close()
            if hasattr(opened.keeper, "close"):
                await opened.keeper.close()
        self._opened.clear()


def _signs_later(client: Any) -> bool:
    """Whether the SDK lets its HTTP client put credentials in, renewing them by itself. A bare `Auth` puts in nothing."""
    custom = getattr(client, "custom_auth", None)
    return custom is not None and type(custom) is not httpx2.Auth


def address(base: str, path: str) -> dict[str, str | None]:
    """`host` and `path` of a request to `path` below a base address, without the credentials it may hold."""
    parts = urlsplit(base)
    return {"host": parts.netloc.rpartition("@")[2], "path": parts.path.rstrip("/") + path}


def installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a parent of the package is missing
        return False


def version_of(package: str) -> str:
    """The installed version of what holds the package `google.auth`, `azure.identity`, `botocore`."""
    try:
        return version(package.replace(".", "-"))
    except PackageNotFoundError:
        return "not installed"


def missing(door: str, extra: str, error: ImportError) -> BenchError:
    return CannotRun(f"{door}: {error.name or error} is not installed", hint=f"pip install 'bench[{extra}]'")
