"""The suite: every check for every wire that a door speaks, each with a verdict and none left blank."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from bench import dialects, providers
from bench.dialects.base import Dialect
from bench.errors import BenchError
from bench.providers.base import Provider
from bench.testing import doors, wires
from bench.testing.golden import GOLDENS, DoorData, Golden, Wire, load_door, load_wire

State = Literal["pass", "fail", "n/a"]

WIRE_CHECKS: Mapping[str, str] = {
    "stream": "a stream, text only: content, counts, stop reason, names",
    "plain": "the same without streaming",
    "reasoning, text, tool": "reasoning, then text, then a tool call in one stream: each where it belongs",
    "role-only delta": "a delta that only names a role is not the first token",
    "ping": "pings and comments are not content",
    "opening event": "the event that opens a message is not content, and its counts are not final",
    "signature only": "thinking of which only a signature is shown has no content",
    "empty first chunk": "a first chunk without choices, with filter results alone, is not the first token",
    "usage after stop": "counts that come after the stop reason are read",
    "several tokens": "several content items in one event are content events of their own, or one text",
    "cache read": "tokens read from the cache are counted apart from uncached input",
    "cache write": "tokens written to the cache are counted apart, for five minutes and for an hour",
    "reasoning tokens": "output includes reasoning, which is also told apart",
    "filtered": "a reply that a filter ended or refused is told as such",
    "error in band": "an error inside a 200 is found, what came before it is kept",
}
"""Checks that goldens serve by naming them in `covers`."""

OTHER_CHECKS: Mapping[str, str] = {
    "stop reasons": "every stop reason of the wire, in our words",
    "any cut": "the same bytes mean the same in one read and byte by byte",
    "truncated": "a body that ends at any byte keeps what came, and is complete only when it is",
    "error envelopes": "every error envelope and status is classed, and no part of one raises",
    "request, stream": "method, address, headers and body are the golden's",
    "request, plain": "the same without streaming",
    "signature": "SigV4, recomputed independently from the request; it covers the body",
    "route": "what the record says of host and path is where the request goes",
    "check": "finds nothing in a good target, everything at once in a bad one, without a network",
    "prepare": "sends nothing, resolves nothing",
    "secrets": "none in a repr, a route, a problem or an error",
    "close": "twice, used and unused; and it serves again",
}

CHECKS: Mapping[str, str] = {**WIRE_CHECKS, **OTHER_CHECKS}
"""Every check with what it asks."""


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the matrix. `why` says what failed, or why a wire cannot have the case."""

    door: str
    dialect: str
    check: str
    state: State
    why: str = ""

    def __str__(self) -> str:
        return f"{self.state:4}  {self.door} · {self.dialect} · {self.check}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Report:
    """What the suite found: one result for each dialect of the door and each check."""

    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        return bool(self.results) and not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.state == "fail")

    def __str__(self) -> str:
        count = {state: sum(r.state == state for r in self.results) for state in ("pass", "fail", "n/a")}
        head = f"{count['pass']} passed, {count['fail']} failed, {count['n/a']} not applicable"
        return "\n".join([head, *map(str, self.failures)])

    __repr__ = __str__


def conformance(provider: Provider, data: Path | str | None = None) -> Report:
    """Runs every check on a door, in every dialect that it speaks. Sends nothing; takes some seconds.

    `data` is the door's file. Without it: `conformance.yaml` beside the module that defines the door, else the one
    that ships with this package under the door's name. A door without data fails.
    """
    path = Path(data) if data is not None else data_of(provider)
    spoken = sorted(provider.dialects)
    if path is None or not path.is_file():
        why = f"no data: {path or 'conformance.yaml'} does not exist; docs/plugins.md tells what it holds"
        return _blank(provider, spoken, why)
    try:
        said = load_door(path)
    except BenchError as error:
        return _blank(provider, spoken, error.message)
    if not spoken:
        return Report((Result(provider.name, "–", "stream", "fail", "the door speaks no dialect"),))
    results: list[Result] = []
    for dialect in spoken:
        if dialect not in said:
            results += _blank(provider, [dialect], f"no data: {path.name} says nothing of {dialect}").results
            continue
        results += _dialect(provider, said[dialect])
    return Report(tuple(results))


def installed(names: Sequence[str] | None = None) -> Report:
    """The suite over every door that is installed, or over these."""
    results: list[Result] = []
    for name in names or providers.names():
        try:
            provider = providers.get(name)
        except BenchError as error:
            why = f"{error.message}; {error.hint}" if error.hint else error.message
            results += [Result(name, "–", check, "fail", why) for check in CHECKS]
            continue
        results += conformance(provider).results
    return Report(tuple(results))


def data_of(provider: Provider) -> Path | None:
    """The door's own file, or None."""
    try:
        own = Path(inspect.getfile(type(provider))).parent / "conformance.yaml"
    except (OSError, TypeError):
        own = None
    if own is not None and own.is_file():
        return own
    shipped = GOLDENS / "doors" / f"{provider.name}.yaml"
    return shipped if shipped.is_file() else own


def _blank(provider: Provider, spoken: Iterable[str], why: str) -> Report:
    rows = list(spoken) or ["–"]
    return Report(tuple(Result(provider.name, row, check, "fail", why) for row in rows for check in CHECKS))


def _dialect(provider: Provider, data: DoorData) -> list[Result]:
    """Every check of one dialect, in the order of the table."""
    try:
        wire = load_wire(data.wire)
        dialect = dialects.get(data.dialect)
    except BenchError as error:
        return list(_blank(provider, [data.dialect], error.message).results)
    found = dict(_wire_results(provider, data, wire))
    found |= {check: _verdict(why) for check, why in _shared(dialect.name, data.wire).items()}
    found["error envelopes"] = _verdict(_run(lambda: doors.errors(provider, data)))
    found |= asyncio.run(_door_results(provider, data))
    excused = {**wire.not_applicable, **data.not_applicable}
    results = []
    for check in CHECKS:
        state, why = found[check]
        if check in excused and check not in _served(wire):
            state, why = "n/a", excused[check]
        results.append(Result(provider.name, data.dialect, check, state, why))
    return results


def _served(wire: Wire) -> set[str]:
    """Checks that a golden of the wire serves: nothing excuses from these."""
    return {check for golden in wire.goldens for check in golden.covers}


def _verdict(why: str | None) -> tuple[State, str]:
    return ("pass", "") if why is None else ("fail", why)


def _wire_results(provider: Provider, data: DoorData, wire: Wire) -> Iterable[tuple[str, tuple[State, str]]]:
    dialect = dialects.get(data.dialect)
    said = {golden.name: _run(partial(wires.says, dialect, golden, provider.fault)) for golden in wire.goldens}
    for check in WIRE_CHECKS:
        serving = [golden for golden in wire.goldens if check in golden.covers]
        why = [said[golden.name] for golden in serving if said[golden.name]]
        if not serving:
            yield check, ("fail", f"no golden of {wire.name} covers it, and wire.yaml does not say why none can")
        else:
            yield check, _verdict("; ".join(map(str, why)) or None)


@lru_cache(maxsize=64)
def _shared(dialect_name: str, folder: Path) -> Mapping[str, str | None]:
    """Checks that depend on the dialect and its wire alone, made once for all doors that speak it."""
    dialect, wire = dialects.get(dialect_name), load_wire(folder)
    clean = [golden for golden in wire.goldens if golden.expect.get("fault") is None]
    cuts = [golden for golden in clean if "truncated" in golden.covers]
    plain = [golden for golden in clean if "plain" in golden.covers]
    found: dict[str, str | None] = {
        "stop reasons": "wire.yaml has none",
        "any cut": "no golden",
        "truncated": f"no golden of {wire.name} covers it",
    }
    if wire.stop_reasons:
        found["stop reasons"] = _run(lambda: wires.stop_reasons(dialect, wire))
    if wire.goldens:
        found["any cut"] = _first(wires.same_for_every_cut, dialect, wire.goldens)
    if cuts:
        found["truncated"] = _first(wires.cut_short, dialect, cuts) or _first(wires.plain_cut_short, dialect, plain)
    return found


def _first(check: Callable[[Dialect, Golden], str | None], dialect: Dialect, goldens: Sequence[Golden]) -> str | None:
    """What the first golden that fails says."""
    return next((why for golden in goldens if (why := _run(partial(check, dialect, golden))) is not None), None)


async def _door_results(provider: Provider, data: DoorData) -> dict[str, tuple[State, str]]:
    unsigned = "the door's file has no `signed: {service, region}`, and not_applicable does not say why"
    made = {
        "request, stream": lambda: doors.request(provider, data, "stream"),
        "request, plain": lambda: doors.request(provider, data, "plain"),
        "route": lambda: doors.route(provider, data),
        "prepare": lambda: doors.sends_nothing(provider, data),
        "secrets": lambda: doors.secrets(provider, data),
    }
    found = {"check": _verdict(_run(lambda: doors.lists_problems(provider, data)))}
    for check, run in made.items():
        found[check] = _verdict(await _awaited(run))
    found["signature"] = (
        ("fail", unsigned) if data.signed is None else _verdict(await _awaited(lambda: doors.signature(provider, data)))
    )
    found["close"] = _verdict(await _awaited(lambda: doors.closes(provider, data)))
    return found


def _run(check: Callable[[], str | None]) -> str | None:
    """A check of foreign code: whatever it raises is the reason why it fails."""
    try:
        return check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def _awaited(check: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        return await check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
