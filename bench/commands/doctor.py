"""`bench doctor`: what was found for each target, what is missing, and how to mend it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import EXIT_CANNOT_RUN, EXIT_OK
from bench.redact import clean, clean_all, learn, learn_names

if TYPE_CHECKING:
    from bench.doctor import Finding, Probe

MARKS = {"ok": ("ok", "32"), "warn": ("!", "33"), "bad": ("no", "31"), "skip": ("-", "2")}
"""Mark -> how it is shown, and its colour."""


def doctor(
    file: Annotated[Path, typer.Option("--targets", help="The list of targets.")] = Path("targets.yaml"),
    only: Annotated[list[str] | None, typer.Option(help="Ids of targets, with commas.")] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Go over the network: names, TLS, clocks; then one request of one token, if agreed."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send the request of --live without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Examine this machine and every target. Nothing is sent without --live."""
    import asyncio

    from bench import doctor as examiner
    from bench import providers
    from bench.targets import load_targets
    from bench.wire.clock import today

    chosen = [part for text in only or [] for part in text.split(",") if part]
    on = today()
    targets = load_targets(file, chosen or None, providers.names())
    learn_names(target.auth["env"] for target in targets if "env" in target.auth)
    for target in targets:
        learn(*map(str, (target.params.get("extra_headers") or {}).values()))
    machine = examiner.machine(frozenset(target.provider for target in targets))
    found = {target.id: list(examiner.examine(target, on).findings) for target in targets}
    ready = [target for target in targets if _ready(found[target.id])]
    if not as_json:
        _print("this machine", machine, None)
        for target in targets:
            _print(target.id, found[target.id], _ready(found[target.id]))
    if live and ready:
        probes = [examiner.probe_of(target, on) for target in ready]
        agreed = yes or _agreed(probes)
        for target_id, more in asyncio.run(_live(probes, agreed)).items():
            found[target_id] += more
            if not as_json:
                _print(f"{target_id}, over the network", more, _ready(found[target_id]))
    n = sum(_ready(each) for each in found.values())
    enough = n >= 2 or (n == 1 and bool(chosen))
    if as_json:
        rows = [{"id": i, "ready": _ready(each), "findings": [asdict(f) for f in each]} for i, each in found.items()]
        everything = clean_all({"machine": [asdict(f) for f in machine], "targets": rows})
        print(json.dumps(everything, indent=1, ensure_ascii=False))
    else:
        _say(_summary(n, len(targets), enough, bool(chosen)))
    return EXIT_OK if enough else EXIT_CANNOT_RUN


async def _live(probes: list[Probe], agreed: bool) -> dict[str, list[Finding]]:
    from bench import doctor as examiner
    from bench.wire.http import Wire

    wire = Wire()
    try:
        found: dict[str, list[Finding]] = {}
        for probe in probes:
            found[probe.target.id] = await examiner.reach(probe.target, wire)
            if agreed and _ready(found[probe.target.id]):
                found[probe.target.id] += await examiner.send_probe(probe, wire)
        return found
    finally:
        await wire.aclose()


def _agreed(probes: list[Probe]) -> bool:
    """Says what one request to each target may cost, and asks; without a terminal the answer is no."""
    for probe in probes:
        cost = f"at most ${probe.usd_most:.6f}" if probe.usd_most is not None else f"price unknown: {probe.why_unknown}"
        _say(f"One request of {_tokens(probe)} to {probe.target.id}: {cost}", file=sys.stderr)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        _say("Not sent: there is no terminal to ask on. Add --yes to send.", file=sys.stderr)
        return False
    print("Send? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tokens(probe: Probe) -> str:
    n = probe.params.max_tokens
    return "one token" if n == 1 else f"{n} tokens"


def _ready(findings: Iterable[Finding]) -> bool:
    return all(finding.mark != "bad" for finding in findings)


def _summary(n: int, of: int, enough: bool, chosen: bool) -> str:
    head = f"{n} of {of} targets ready."
    if enough:
        return head
    more = "" if chosen else " A comparison needs two; one alone is measured with bench run --only ID."
    return f"{head}{more} Without credentials: bench run WORKLOAD.yaml --simulate"


# ------------------------------------------------------------------------------------------------ on the page


def _print(title: str, findings: Iterable[Finding], ready: bool | None) -> None:
    state = "" if ready is None else ("ready" if ready else "not ready")
    print(_bold(title) + (f"  {_colour(state, '32' if ready else '31')}" if state else ""))
    for finding in findings:
        word, colour = MARKS[finding.mark]
        head = f"  {word:<3}{finding.what:<13}"
        for number, line in enumerate(_wrapped(finding.said, len(head))):
            print((_colour(head, colour) if number == 0 else " " * len(head)) + line)
        for number, line in enumerate(_wrapped(finding.fix, len(head) + 2) if finding.fix else []):
            print(" " * len(head) + ("→ " if number == 0 else "  ") + line)
    print()


def _say(text: str, file: Any = None) -> None:
    print("\n".join(_wrapped(text, 0)), file=file)


def _wrapped(text: str, indent: int) -> list[str]:
    """Lines that fit; a word that is longer than a line (an address) stands on its own. No control characters."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(clean(text).split()))
    return textwrap.wrap(plain, max(20, _width() - indent), break_long_words=True, break_on_hyphens=False) or [""]


def _width() -> int:
    from bench.commands.output import WIDTH_WITHOUT_TERMINAL

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if known else WIDTH_WITHOUT_TERMINAL


def _colour(text: str, code: str) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else f"\033[{code}m{text}\033[0m"


def _bold(text: str) -> str:
    return _colour(text, "1")
