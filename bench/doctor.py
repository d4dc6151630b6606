"""What keeps targets from running, found out before anything is sent; with `live`, over the network, too.

Pure of printing: `bench/commands/doctor.py` puts it on a terminal. Facts and problems come from the doors' own `check`
and `route`, so that the doctor never says ready where a run says no.
"""

from __future__ import annotations

import asyncio
import math
import socket
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from bench import dialects, environment, providers, registry
from bench.engine.send import fault_of
from bench.errors import BenchError
from bench.price import book, cost
from bench.providers import identity
from bench.record import Case, Exchange, Params
from bench.registry.settings import effective_params, end_of_life
from bench.targets import Target
from bench.tokens import tokens
from bench.wire.clock import SECOND_NS, clock_facts, now_ns
from bench.wire.http import Wire, outgoing

PROMPT = "Reply with the word ok."
FRAME_TOKENS = 20
"""What a server may add to the prompt: marks of roles and turns."""
SKEW_LIMIT_S = 5.0
"""The `date` of a response has whole seconds; AWS refuses signatures from 300 s on, and tokens fail from then, too."""
LEAST_TOKENS = {"responses": 16}
"""Fewer are refused by this dialect; the others take one."""
PROBE_TIMEOUT_S = 60.0
REACH_TIMEOUT_S = 10.0

Mark = Literal["ok", "warn", "bad", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination. `fix` is what to do, where something is to be done."""

    mark: Mark
    what: str
    said: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found out about one target."""

    target: Target
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        return all(finding.mark != "bad" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Probe:
    """One request of one token: what it may cost at most, None where no price is known."""

    target: Target
    params: Params
    body: dict[str, Any] = field(repr=False)
    usd_most: Decimal | None
    why_unknown: str = ""


# ------------------------------------------------------------------------------------------------ without the network


def machine(doors: frozenset[str]) -> list[Finding]:
    """What concerns every target: the clock, and variables that lead astray."""
    synchronised = clock_facts().get("ntp_synchronised")
    if synchronised is None:
        clock = Finding("skip", "clock", "this system does not say whether it is synchronised")
    elif synchronised:
        clock = Finding("ok", "clock", "synchronised (NTP)")
    else:
        fix = "start a time service (chrony, systemd-timesyncd); --live compares with the providers' clocks"
        clock = Finding("warn", "clock", "not synchronised: signatures and tokens fail when it is minutes off", fix)
    return [clock, *(Finding("warn", "environment", said) for said in environment.warnings(doors))]


def examine(target: Target, on: date) -> Examined:
    """SDK, credentials, endpoint, model and region of a target, as far as they can be known without the network."""
    provider = providers.get(target.provider)
    problems = provider.check(target)
    about = {problem.path.split(".")[0] for problem in problems}
    route = provider.route(target)
    findings = [] if "provider" in about else [Finding("ok", "sdk", provider.client_stack(target))]
    if "auth" not in about:
        findings.append(Finding("ok", "credentials", route["auth"] or "found by the SDK itself"))
    if not about & {"region", "resource", "base_url", "project"}:
        pinned = f", API version {route['api_version']}" if route["api_version"] else ""
        findings.append(Finding("ok", "endpoint", f"{route['host']} {route['path']}{pinned}"))
    findings += _model(target, on)
    findings += [Finding("bad", p.path or "target", p.got or p.want, p.want if p.got else "") for p in problems]
    return Examined(target, tuple(findings))


def _model(target: Target, on: date) -> list[Finding]:
    gone, ending = end_of_life(target, on)
    if gone is not None:
        return [Finding("bad", "model", gone.got or str(gone), gone.want)]
    where = f" in {target.region}" if target.region else ""
    known = registry.lookup(target.model, target.provider) is not None
    said = f"{target.model} as {target.model_id}{where}"
    found = [
        Finding("ok", "model", said)
        if known
        else Finding(
            "warn", "model", f"{said}: not in the registry", "its settings and its end are not known; check the id"
        )
    ]
    return found + ([Finding("warn", "model", ending)] if ending is not None else [])


# ------------------------------------------------------------------------------------------------ over the network


async def reach(target: Target, wire: Wire) -> list[Finding]:
    """Name, TCP and TLS to the target's host. Sends nothing on the connection."""
    provider = providers.get(target.provider)
    try:
        prepared = outgoing(await provider.prepare(target, _body(target, _params(target))))
    except (BenchError, ValueError) as error:
        hint = (error.hint or "") if isinstance(error, BenchError) else ""
        return [Finding("bad", "sign-in", str(error), hint)]
    finally:
        await provider.close()
    scheme, host, port = prepared.origin
    findings = [Finding("ok", "sign-in", "a request could be built and signed")]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        findings.append(
            Finding(
                "bad",
                "dns",
                f"{host}: {error.strerror or error}",
                "check base_url, region and resource, or the network",
            )
        )
    else:
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        findings.append(Finding("ok", "dns", f"{host} is {', '.join(addresses[:3])}"))
    exchange = await wire.exchange(prepared_head(prepared.origin), now_ns() + round(REACH_TIMEOUT_S * SECOND_NS))
    return [*findings, _reached(exchange, scheme, host, port), *skew(exchange, datetime.now(UTC))]


def prepared_head(origin: tuple[str, str, int]) -> Any:
    """A request for nothing at the root of a host, without credentials: any answer proves the way there."""
    import httpx2

    scheme, host, port = origin
    shown = f"[{host}]" if ":" in host else host
    return outgoing(httpx2.Request("HEAD", f"{scheme}://{shown}:{port}/"))


def _reached(exchange: Exchange, scheme: str, host: str, port: int) -> Finding:
    what = "tls" if scheme == "https" else "tcp"
    if exchange.status is None:
        fix = (
            "check the proxy variables and the firewall"
            if exchange.failure != "tls"
            else "check SSL_CERT_FILE and the proxy"
        )
        return Finding("bad", what, f"{host}:{port}: {exchange.failure_detail or exchange.failure}", fix)
    facts = exchange.connection
    parts = [facts.address or f"{host}:{port}"]
    parts += [
        f"{name} {ns / 1e6:.1f} ms" for name, ns in (("TCP", facts.connect_ns), ("TLS", facts.tls_ns)) if ns is not None
    ]
    parts += [facts.tls_version] if facts.tls_version else []
    parts += [f"through the proxy {facts.proxy}"] if facts.proxy else []
    return Finding("ok", what, ", ".join(parts))


def skew(exchange: Exchange, now: datetime) -> list[Finding]:
    """Our clock against the `date` of a response, which is as old as the response took at most."""
    try:
        theirs = parsedate_to_datetime(exchange.header("date") or "")
    except (ValueError, TypeError):
        return []
    theirs = theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC)
    off_s = (now - theirs).total_seconds()
    took_s = (exchange.end_ns - exchange.sent_ns) / 1e9
    if -SKEW_LIMIT_S <= off_s <= SKEW_LIMIT_S + 1 + took_s:
        return [Finding("ok", "clock", "agrees with the provider's to the second or so")]
    way = "ahead of" if off_s > 0 else "behind"
    fix = "set this machine's clock: signatures and tokens are refused from a few minutes on"
    return [Finding("bad" if abs(off_s) >= 240 else "warn", "clock", f"{abs(off_s):.0f} s {way} the provider's", fix)]


def probe_of(target: Target, on: date) -> Probe:
    """The request that `send_probe` would send, and its price at most."""
    params = _params(target)
    entry = book.find(target, on)
    if isinstance(entry, book.Unknown):
        return Probe(target, params, _body(target, params), None, entry.reason)
    most = cost.estimate(math.ceil(tokens(PROMPT)) + FRAME_TOKENS, params.max_tokens, entry)
    return Probe(target, params, _body(target, params), most.total, most.reason or "")


async def send_probe(probe: Probe, wire: Wire) -> list[Finding]:
    """Sends the one request and says who answered, or why nobody did."""
    target, provider = probe.target, providers.get(probe.target.provider)
    try:
        prepared = outgoing(await provider.prepare(target, probe.body))
        exchange = await wire.exchange(prepared, now_ns() + round(PROBE_TIMEOUT_S * SECOND_NS))
        reply = dialects.get(target.dialect).decode(exchange)
        fault = fault_of(provider, exchange, reply) or identity.contradicted(target, exchange, reply)
    except (BenchError, ValueError) as error:
        hint = (error.hint or "") if isinstance(error, BenchError) else ""
        return [Finding("bad", "probe", str(error), hint)]
    finally:
        await provider.close()
    if fault is not None and fault.code != "empty_reply":
        code = f" {fault.code}" if fault.code else ""
        status = f"HTTP {exchange.status}" if exchange.status else "no response"
        return [
            Finding("bad", "probe", f"{status}: {fault.outcome}{code}: {fault.message}", _FIXES.get(fault.outcome, ""))
        ]
    who = identity.identify(target, exchange, reply)
    took_ms = (exchange.end_ns - exchange.sent_ns) / 1e6
    parts = [f"answered in {took_ms:,.0f} ms", f"model {who.served_model or 'not named'}"]
    parts += [f"tier {who.served_lane}"] if who.served_lane else []
    parts += [f"region {who.region}"] if who.region else []
    found = [Finding("ok", "probe", ", ".join(parts))]
    if who.region_proof == "contradicted":
        found.append(
            Finding("warn", "identity", "the reply names another region than asked", "check region and base_url")
        )
    return found


_FIXES = {
    "auth": "check the key and what its account may use",
    "bad_request": "check model_id, api_version and params",
    "throttled": "the account is at its limit: wait, or ask for more",
    "overloaded": "the provider is overloaded: try again later",
}


def _params(target: Target) -> Params:
    """The cheapest question there is, with the target's own settings where they do not make it longer."""
    params, _, _ = effective_params(Params(), target)
    return replace(params, max_tokens=LEAST_TOKENS.get(target.dialect, 1), stream=False, thinking_budget_tokens=None)


def _body(target: Target, params: Params) -> dict[str, Any]:
    return dialects.get(target.dialect).encode(Case("probe", ({"role": "user", "content": PROMPT},)), params, target)
