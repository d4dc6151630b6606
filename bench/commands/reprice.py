"""`bench price RUN`: an old run by another book, or as of another day. Nothing is sent and nothing of the run is changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bench.commands.grid import folded, grid
from bench.commands.output import columns_of_terminal
from bench.errors import ConfigError, Problem
from bench.metrics import UNKNOWN

if TYPE_CHECKING:
    from bench.money.repricing import Bill, Repriced, Repricing, UsedEntry
    from bench.price.book import Book

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
    prices: Annotated[
        Path | None,
        typer.Option(help="Your own prices over the list (docs/prices.md); both are shown.", metavar="FILE"),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(help="As of this day, e.g. 2026-11-21. Default: the days on which it was made.", metavar="DATE"),
    ] = None,
    results: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="The same for other programs.")] = False,
) -> int:
    """Price a stored run again, from its files alone: what it cost then, what it would cost by this book, and why."""
    from bench.money.repricing import reprice as priced
    from bench.store.runs import find_run

    given = asked(book, prices, on)
    found = priced(find_run(run, results), given.book, given.on, given.prices)
    print(json.dumps(as_dict(found), indent=1) if as_json else text(found, min(WIDTH, columns_of_terminal())))
    return 0


class Given(NamedTuple):
    """What a run is to be priced by: a book, the name and text of a file of the user's own prices, and a day."""

    book: Book
    prices: tuple[str, str] | None
    on: date | None


def asked(book: Sequence[Path] | None, prices: Path | None, on: str | None = None) -> Given:
    """The files and the day of a command line. ConfigError carries the mistakes of all of them."""
    from bench.price.book import load_book
    from bench.price.overlay import overlay_of
    from bench.targets import read_prices

    problems: list[Problem] = []
    found: Book | None = None
    own: tuple[str, str] | None = None
    day: date | None = None
    try:
        found = load_book(list(book) if book else None)
    except ConfigError as error:
        problems += error.problems
    try:
        own = None if prices is None else read_prices(prices)
        if own is not None:
            overlay_of(*own)
    except ConfigError as error:
        problems += error.problems
    try:
        day = None if on is None else date.fromisoformat(on)
    except ValueError:
        problems.append(Problem("command line", "--on", on or "", "a day, e.g. 2026-11-21"))
    if problems or found is None:
        raise ConfigError(problems)
    return Given(found, own, day)


def text(found: Repricing, width: int = WIDTH) -> str:
    """The repricing for people, at most so many columns wide."""
    from bench.money.repricing import notes

    day = f", as of {found.on}" if found.on else ", by the days on which it was made"
    mark = "SIMULATED · " if found.simulated else ""
    head = f"{mark}{found.run_id}: {found.requests:,} requests, warm-up included, priced again{day}. Nothing is sent."
    rows: list[tuple[str, ...]] = []
    for one in found.targets:
        rows += [(), *_of_target(one)] if len(found.targets) > 1 else _of_target(one)
    first = max([len("cache writes, 5 min") + 2, *(len(one.target) for one in found.targets)])
    lines = [*folded(head, width), ""]
    lines += grid(("USD", "requests", "then", "now", "difference"), rows, width, (first + 2, 12, 18, 18, 18))
    lines += ["", "Entries used:"]
    for entry in found.entries:
        lines += [line for words in _of_entry(entry) for line in folded(f"  {words}", width, "    ")]
    lines += ["", *(line for note in notes(found) for line in folded(f"- {note}", width, "  "))]
    return "\n".join(lines).rstrip()


def _of_target(one: Repriced) -> list[tuple[str, ...]]:
    rows = [_row(one.target, f"{one.requests:,}", whole(one.old), whole(one.new))]
    for column, words in WORDS.items():
        old, new = one.old.parts[column], one.new.parts[column]
        if old or new:
            rows.append(_row(f"  {words}", "", old, new))
    if one.listed is not None:
        rows.append(("  at list prices", "", "", _amount(whole(one.listed)), ""))
    return rows


def whole(bill: Bill) -> Decimal | None:
    """Requests and retries together; None where nothing is known."""
    retries = bill.parts["cost_retries_usd"]
    return retries if bill.total is None else bill.total + (retries or 0)


def _row(name: str, count: str, old: Decimal | None, new: Decimal | None) -> tuple[str, ...]:
    difference = UNKNOWN if old is None or new is None else _amount(new - old, plus=True)
    return name, count, _amount(old), _amount(new), difference


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
    note = f"{used.entry.note}; " if used.entry.note else ""
    lines = [f"{used.entry.id} ({used.entry.status}): {tries}", f"  {note}{used.entry.source}"]
    listed = used.entry.list_price
    if listed is not used.entry:
        lines.append(f"  list: {listed.id if isinstance(listed, PriceEntry) else listed.reason}")
    return lines


def as_dict(found: Repricing) -> dict[str, Any]:
    """The repricing as plain data; money is text."""
    from bench.money.repricing import notes
    from bench.price.book import PriceEntry

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
             "retried": one.retried, "unpriced_retries": one.unpriced_retries, "old": bill(one.old), "new": bill(one.new),
             "list_usd": None if one.listed is None else _text(whole(one.listed))}
            for one in found.targets
        ],
        "entries": [entry(used) for used in found.entries],
        "notes": list(notes(found)),
    }  # fmt: skip


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"
