"""`bench run --estimate`: what a run would use, before anything is sent."""

from __future__ import annotations

import dataclasses
import json
import sys
from decimal import Decimal
from typing import Any

from bench.commands.grid import folded, grid
from bench.commands.output import columns_of_terminal
from bench.metrics import UNKNOWN


def estimated(options: Any, as_json: bool) -> int:
    """Prints requests, tokens, dollars and minutes of each target, and what the ranges rest on."""
    from bench.conductor import preflight
    from bench.wire.clock import today

    job = preflight.prepare(options, today())
    length_ns = preflight.expected_length_ns(job.load)
    minutes = None if length_ns is None else round(length_ns / 6e10, 1)
    if as_json:
        rows = [dataclasses.asdict(estimate) for estimate in job.estimate]
        print(json.dumps({"minutes": minutes, "targets": rows}, indent=1, default=str))
        return 0
    for problem in job.skipped:
        print(f"Left out: {problem}", file=sys.stderr)
    print(f"{job.workload.name}: an estimate. Nothing is sent.\n")
    heads = ("target", "requests", "input tokens", "output tokens", "minutes", "$", "$ likely", "$ at most")
    table = [*(_words(estimate) for estimate in job.estimate), _total(job.estimate)]
    width = columns_of_terminal()
    print("\n".join(grid(heads, table, width)))
    for estimate in job.estimate:
        if estimate.usd_most is None:
            print("\n" + _folded(f"{estimate.target_id}: cost not known: {estimate.why_unknown}", width))
    print("\nWhat it rests on:")
    for sentence in dict.fromkeys(sentence for estimate in job.estimate for sentence in estimate.rests_on):
        print(_folded(f"- {sentence}", width))
    print(_folded("- at most: every reply as long as max_tokens allows; " + _retries(job.load.retries), width))
    return 0


def _folded(sentence: str, width: int) -> str:
    return "\n".join(folded(sentence, width, "  "))


def _retries(retries: int) -> str:
    return "no retries" if not retries else f"each retry (up to {retries} a request) may be billed on top"


def _words(e: Any) -> tuple[str, ...]:
    return (
        e.target_id,
        f"{e.requests:,}",
        _range(e.input_tokens_low, e.input_tokens_high),
        _range(e.output_tokens_low, e.output_tokens_high),
        UNKNOWN if e.minutes_low is None else _span(f"{e.minutes_low:.3g}", f"{e.minutes_high:.3g}"),
        _dollars(e.usd_low, e.usd_high),
        _usd(e.usd_likely),
        _usd(e.usd_most),
    )


def _total(estimates: Any) -> tuple[str, ...]:
    """Of the targets whose price is known; the name says how many they are."""
    known = [e for e in estimates if e.usd_most is not None]
    name = "all" if len(known) == len(estimates) else f"the {len(known)} with a price"

    def summed(key: str) -> Decimal | None:
        values = [getattr(e, key) for e in known]
        return sum(values, Decimal(0)) if values and None not in values else None

    return (name, f"{sum(e.requests for e in known):,}", "", "", "", _dollars(summed("usd_low"), summed("usd_high")),
            _usd(summed("usd_likely")), _usd(summed("usd_most")))  # fmt: skip


def _dollars(low: Decimal | None, high: Decimal | None) -> str:
    if high is None:
        return UNKNOWN
    return _span("0" if low is None else _usd(low), _usd(high))


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low}–{high}"


def _range(low: int | None, high: int | None) -> str:
    if high is None:
        return UNKNOWN
    return f"to {_short(high)}" if low is None else _span(_short(low), _short(high))


def _short(n: float) -> str:
    for step, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= step:
            return f"{n / step:.3g}{sign}"
    return str(round(n))


def _usd(amount: Decimal | None) -> str:
    """To the cent; small amounts to two digits."""
    if amount is None:
        return UNKNOWN
    return f"{amount:,.2f}" if amount >= Decimal("0.1") or amount == 0 else f"{amount:.2g}"
