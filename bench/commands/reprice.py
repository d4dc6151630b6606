"""`bench price RUN`: an old run by another book, or as of another day. Nothing is sent and nothing of the run is changed."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import ConfigError, Problem
from bench.metrics import UNKNOWN

if TYPE_CHECKING:
    from bench.repricing import Bill, Repriced, Repricing, UsedEntry

WIDTH = 100
WORDS = {
    "cost_input_usd": "input",
    "cost_cache_read_usd": "cache reads",
    "cost_cache_write_5m_usd": "cache writes, 5 min",
    "cost_cache_write_1h_usd": "cache writes, 1 h",
    "cost_output_usd": "output",
    "cost_reasoning_usd": "of it reasoning",
    "cost_retries_usd": "retries",
}


def reprice(
    run: Annotated[str, typer.Argument(help="A folder, an id, the beginning of an id, or latest.")],
    book: Annotated[
        list[Path] | None,
        typer.Option(
            help="A price book; several stand together. Default: the one that came with bench.", metavar="FILE"
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(help="As of this day, e.g. 2026-11-21. Default: the days on which it was made.", metavar="DATE"),
    ] = None,
    results: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="The same for other programs.")] = False,
) -> int:
    """Price a stored run again, from its files alone: what it cost then, what it would cost by this book, and why."""
    from bench.price.book import load_book
    from bench.repricing import reprice as priced
    from bench.store.runs import find_run

    found = priced(find_run(run, results), load_book(book or None), _day(on))
    print(json.dumps(as_dict(found), indent=1) if as_json else text(found))
    return 0


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError([Problem("command line", "--on", text or "", "a day, e.g. 2026-11-21")]) from error


def text(found: Repricing) -> str:
    """The repricing for people, at most 100 columns wide."""
    from bench.repricing import notes

    day = f", as of {found.on}" if found.on else ", by the days on which it was made"
    mark = "SIMULATED · " if found.simulated else ""
    head = f"{mark}{found.run_id}: {found.requests:,} requests, warm-up included, priced again{day}. Nothing is sent."
    lines = [*_folded(head, ""), ""]
    width = max([len("cache writes, 5 min") + 2, *(len(one.target) for one in found.targets)])
    lines.append(f"{'USD':<{width}}{'requests':>12}{'then':>18}{'now':>18}{'difference':>18}")
    for one in found.targets:
        lines += [""] if len(found.targets) > 1 else []
        lines += _of_target(one, width)
    lines += ["", "Entries used:"]
    for entry in found.entries:
        lines += [line for words in _of_entry(entry) for line in _folded(f"  {words}", "    ")]
    lines += ["", *(line for note in notes(found) for line in _folded(f"- {note}", "  "))]
    return "\n".join(lines).rstrip()


def _folded(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _of_target(one: Repriced, width: int) -> list[str]:
    lines = [_line(one.target, f"{one.requests:,}", whole(one.old), whole(one.new), width)]
    for column, words in WORDS.items():
        old, new = one.old.parts[column], one.new.parts[column]
        if old or new:
            lines.append(_line(f"  {words}", "", old, new, width))
    return lines


def whole(bill: Bill) -> Decimal | None:
    """Requests and retries together; None where nothing is known."""
    retries = bill.parts["cost_retries_usd"]
    return retries if bill.total is None else bill.total + (retries or 0)


def _line(name: str, count: str, old: Decimal | None, new: Decimal | None, width: int) -> str:
    difference = UNKNOWN if old is None or new is None else _amount(new - old, plus=True)
    return f"{name:<{width}}{count:>12}{_amount(old):>18}{_amount(new):>18}{difference:>18}"


def _amount(usd: Decimal | None, plus: bool = False) -> str:
    """All digits that are not zeros at the end: nothing is rounded away."""
    if usd is None:
        return UNKNOWN
    if usd == 0:
        return "0"
    shown = f"{usd.normalize():{'+' if plus else ''},f}"
    return shown.replace("-", "−")


def _of_entry(used: UsedEntry) -> list[str]:
    from bench.price.book import PriceEntry

    lane = f", lane {used.lane}" if used.lane else ""
    tries = f"{used.tries:,} tries of {used.target}{lane}"
    if not isinstance(used.entry, PriceEntry):
        return [f"no price: {tries}: {used.entry.reason}"]
    return [f"{used.entry.id} ({used.entry.status}): {tries}", f"  {used.entry.source}"]


def as_dict(found: Repricing) -> dict[str, Any]:
    """The repricing as plain data; money is text."""
    from bench.price.book import PriceEntry
    from bench.repricing import notes

    def bill(one: Bill) -> dict[str, Any]:
        parts = {column: _text(amount) for column, amount in one.parts.items()}
        return {"usd": _text(whole(one)), "cost_usd": _text(one.total), **parts, "unpriced_requests": one.unpriced}

    def entry(used: UsedEntry) -> dict[str, Any]:
        about: dict[str, Any] = {"target": used.target, "lane": used.lane, "on": str(used.on), "tries": used.tries}
        if not isinstance(used.entry, PriceEntry):
            return about | {"id": None, "reason": used.entry.reason}
        said = dataclasses.asdict(used.entry)
        return about | {key: json.loads(json.dumps(value, default=str)) for key, value in said.items()}

    return {
        "run_id": found.run_id,
        "simulated": found.simulated,
        "on": None if found.on is None else str(found.on),
        "same_book": found.same_book,
        "requests": found.requests,
        "changed": found.changed,
        "targets": [
            {"target": one.target, "model": one.model, "requests": one.requests, "changed": one.changed,
             "retried": one.retried, "unpriced_retries": one.unpriced_retries, "old": bill(one.old), "new": bill(one.new)}
            for one in found.targets
        ],
        "entries": [entry(used) for used in found.entries],
        "notes": list(notes(found)),
    }  # fmt: skip


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"
