"""Prices in words: the table of `bench price show`, and what `bench price diff` found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby, zip_longest
from textwrap import wrap

from bench.price.entries import PriceEntry
from bench.price.listing import AtDoor, Listing, Price
from bench.price.overlay import Capacity
from bench.price.scopes import Unknown
from bench.price.second_opinion import Comparison, Difference, Opinion

COLUMNS = {"input": "input", "cache_read": "read", "cache_write_5m": "wr 5m", "cache_write_1h": "wr 1h",
           "output": "output"}  # fmt: skip
SCOPE, TIER, RATE, SINCE, STATUS = 22, 10, 8, 13, 14
FULL = SCOPE + TIER + RATE * len(COLUMNS) + SINCE + STATUS
"""Columns that the table needs; on a narrower terminal every price is a paragraph."""


@dataclass
class _Notes:
    """What stands below the table once: a source with its day, and how an estimate was made."""

    marks: dict[str, int] = field(default_factory=dict)

    def mark(self, entry: PriceEntry) -> str:
        said = f"{entry.note}; {entry.source}" if entry.note else entry.source
        if entry.status == "unknown":  # why there is none; where it was not found is no source of a price
            said = entry.note
        return f"{entry.status} [{self.marks.setdefault(f'{said}, checked {entry.checked}', len(self.marks) + 1)}]"

    def lines(self, width: int) -> Iterator[str]:
        for said, mark in self.marks.items():
            yield from _wrapped(f"[{mark}] {said}", width, 4)


@dataclass(frozen=True)
class _Row:
    """Prices that differ in nothing but scope or tier."""

    scopes: tuple[str, ...]
    tiers: tuple[str, ...]
    price: Price


def shown(listing: Listing, width: int) -> str:
    """The prices, a door at a time; sources once, at the end. Never wider than the terminal, from 40 columns on."""
    width = max(width, 40)
    notes = _Notes()
    head = f"{listing.model}, USD per million tokens, on {listing.on}. Thoughts are billed as output."
    lines = [*_wrapped(head, width)]
    for at in listing.doors:
        lines += ["", *_door(at, listing.on, width, notes)]
    if not listing.doors:
        lines += ["", "No door of the registry has it."]
    lines += [""] if notes.marks or listing.commitments or listing.conversion else []
    for one in listing.commitments:
        said = (
            f"Committed: {one.name}, {_usd(one.amount_usd)} USD a {one.period} at {', '.join(one.doors)} ({one.source})"
        )
        lines += _wrapped(said, width, 2)
    lines += _wrapped(f"Converted: {listing.conversion}", width, 2) if listing.conversion else []
    return "\n".join([*lines, *notes.lines(width)])


def compared(rows: Sequence[Comparison], other: str, on: date, width: int) -> str:
    """What the two lists say: first where they differ, then what only one has, then where they agree."""
    width = max(width, 40)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _VERDICTS}
    lines = _wrapped(
        f"The price book beside {other}, on {on}, USD per million tokens: " + ", ".join(
            f"{counts[verdict]} {said}" for verdict, said in _VERDICTS.items()
        ) + ".",
        width,
    )  # fmt: skip
    parts = (
        ("They disagree", _disagreements),
        (f"Only {other} has a price", _only_theirs),
        ("Only the price book has a price", _only_ours),
        ("They agree", _agreements),
    )
    for title, part in parts:
        found = list(part(rows, width))
        lines += ["", title, *found] if found else []
    return "\n".join(lines)


_VERDICTS = {
    "agree": "agree",
    "disagree": "disagree",
    "only ours": "only in the book",
    "only theirs": "only in the other",
    "neither": "in neither",
}


# show --------------------------------------------------------------------------------------------------------------


def _door(at: AtDoor, on: date, width: int, notes: _Notes) -> Iterator[str]:
    full = width >= FULL
    if at.sold_as is not None and not at.capacity:
        yield f"{at.door}  as {at.sold_as}"
        return
    names = "".join(f"{name:>{RATE}}" for name in COLUMNS.values())
    yield f"{at.door:<{SCOPE}}{'tier':<{TIER}}{names}  {'since':<{SINCE - 2}}status" if full and at.prices else at.door
    if at.gone is not None:
        yield from _wrapped(f"  {at.gone}", width, 2)
    if at.first is not None and at.first > on:
        yield from _wrapped(
            f"  Nothing is known of days before {at.first}, when the sources were first read.", width, 2
        )
    if not at.prices and at.first is None:
        yield "  The price book has no entry."
    for row in _rows(at.prices):
        yield from (_full if full else _narrow)(row, notes, width)
    for one in at.capacity:
        yield from _wrapped(f"  {_capacity(one)}", width, 4)


def _rows(prices: Sequence[Price]) -> Iterator[_Row]:
    """Prices that say the same of several scopes, and of those unknown in several tiers, as one row."""
    merged: dict[tuple[object, ...], list[Price]] = {}
    for price in prices:
        entry, paid = price.entry, price.effective
        said = (_words(entry), entry.note, entry.source, entry.valid_from, entry.valid_to, entry.status)
        tier = None if entry.status == "unknown" and paid is None else entry.tier
        merged.setdefault((*said, tier, _words(paid) if paid else None), []).append(price)
    rows = []
    for same in merged.values():
        tiers = tuple(dict.fromkeys(price.entry.tier for price in same))
        scopes = tuple(dict.fromkeys(price.entry.scope for price in same))
        if len(tiers) * len(scopes) == len(same):
            rows.append(_Row(scopes, tiers, same[0]))
        else:  # not every scope has every one of these tiers
            for tier, each in groupby(
                sorted(same, key=lambda price: tiers.index(price.entry.tier)), lambda p: p.entry.tier
            ):
                rows.append(_Row(tuple(price.entry.scope for price in each), (tier,), same[0]))
    rows.sort(key=lambda row: row.price.entry.status == "unknown" and row.price.effective is None)
    return iter(rows)


def _words(entry: PriceEntry) -> str:
    return str([sorted(entry.rates.items()), [(b.above_input_tokens, sorted(b.rates.items())) for b in entry.bands]])


def _full(row: _Row, notes: _Notes, width: int) -> Iterator[str]:
    entry = row.price.entry
    scopes = wrap(", ".join(row.scopes), SCOPE - 3, break_on_hyphens=False)
    tiers = wrap(", ".join(row.tiers), TIER - 1)
    if entry.status == "unknown":
        rates, after = f"{'–':>{RATE}}" + " " * RATE * (len(COLUMNS) - 1), notes.mark(entry)
    else:
        rates, after = _rates(entry.rates), notes.mark(entry)
    yield _line(scopes[0], tiers[0], rates, str(entry.valid_from), after)
    for scope, tier in list(zip_longest(scopes, tiers, fillvalue=""))[1:]:
        yield _line(scope, tier, "", "", "")
    for band in entry.bands:
        yield _line(f" above {band.above_input_tokens:,}", "", _rates(band.rates), "", "")
    if row.price.effective is not None:
        paid = row.price.effective
        yield _line(" yours", "", _rates(paid.rates), "", notes.mark(paid))
        for band in paid.bands:
            yield _line(f" yours > {band.above_input_tokens:,}", "", _rates(band.rates), "", "")


def _line(scope: str, tier: str, rates: str, since: str, after: str) -> str:
    wide = RATE * len(COLUMNS)
    return f"  {scope:<{SCOPE - 2}}{tier:<{TIER}}{rates:<{wide}}  {since:<{SINCE - 2}}{after}".rstrip()


def _rates(rates: Mapping[str, Decimal]) -> str:
    return "".join(f"{_usd(rates[name]) if name in rates else '–':>{RATE}}" for name in COLUMNS)


def _narrow(row: _Row, notes: _Notes, width: int) -> Iterator[str]:
    price, entry = row.price, row.price.entry
    head = f"  {', '.join(row.scopes)}; {', '.join(row.tiers)}; since {entry.valid_from}; {notes.mark(entry)}"
    yield from _wrapped(head, width, 4)
    if entry.rates:
        yield from _wrapped(f"    {_said(entry.rates)}", width, 6)
    for band in entry.bands:
        yield from _wrapped(f"    above {band.above_input_tokens:,}: {_said(band.rates)}", width, 6)
    if price.effective is not None:
        yield from _wrapped(f"    yours: {_said(price.effective.rates)}; {notes.mark(price.effective)}", width, 6)
        for band in price.effective.bands:
            yield from _wrapped(f"    yours above {band.above_input_tokens:,}: {_said(band.rates)}", width, 6)


def _said(rates: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{COLUMNS.get(name, name)} {_usd(rate)}" for name, rate in rates.items())


def _capacity(one: Capacity) -> str:
    where = "" if one.scopes == ("*",) else f" ({', '.join(one.scopes)})"
    cost = f"{_usd(one.usd_per_unit_hour)} USD an hour each, {_usd(one.usd_per_hour)} in all"
    return f"capacity: {one.units} {one.unit}{where} for {', '.join(one.models)} at {cost}, by the {one.term} ({one.source})"


# diff --------------------------------------------------------------------------------------------------------------


def _disagreements(rows: Sequence[Comparison], width: int) -> Iterator[str]:
    for same in _alike([row for row in rows if row.verdict == "disagree"], lambda row: (row.tier, row.differences)):
        first = same[0]
        assert isinstance(first.ours, PriceEntry)
        assert isinstance(first.theirs, Opinion)
        place = f"{first.door} {first.model}, {', '.join(row.scope for row in same)}, tier {first.tier}"
        yield from _wrapped(f"  {place}", width, 4)
        for above, each in groupby(first.differences, lambda one: one.above):
            yield from _figures(above, list(each), width)
        note = f"{first.ours.note}; " if first.ours.note else ""
        yield from _wrapped(f"    book: {note}{first.ours.source}, checked {first.ours.checked}", width, 6)
        since = f", since {first.theirs.since}" if first.theirs.since else ""
        where = f"; it cites {', '.join(first.theirs.references[:2])}" if first.theirs.references else ""
        yield from _wrapped(f"    other: {first.theirs.source}{since}{where}", width, 6)


def _figures(above: int, differences: Sequence[Difference], width: int) -> Iterator[str]:
    where = f"above {above:,} input tokens: " if above else ""
    told = ", ".join(f"{COLUMNS[one.token_class]} {_or_none(one.ours)} | {_or_none(one.theirs)}" for one in differences)
    yield from _wrapped(f"    {where}{told} (book | other)", width, 6)


def _only_theirs(rows: Sequence[Comparison], width: int) -> Iterator[str]:
    for row in rows:
        if row.verdict == "only theirs" and isinstance(row.theirs, Opinion) and isinstance(row.ours, Unknown):
            said = f"  {row.door} {row.model}, {row.scope}, tier {row.tier}: {_said(row.theirs.rates)}. Here: {row.ours.reason}"
            yield from _wrapped(said, width, 4)


def _only_ours(rows: Sequence[Comparison], width: int) -> Iterator[str]:
    reasons: dict[str, list[Comparison]] = {}
    for row in rows:
        if row.verdict == "only ours" and not isinstance(row.theirs, Opinion):
            reasons.setdefault(row.theirs.reason, []).append(row)
    for reason, each in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        yield from _wrapped(f"  {len(each)}: {reason} ({_spread(each)})", width, 4)


def _agreements(rows: Sequence[Comparison], width: int) -> Iterator[str]:
    agreed = [row for row in rows if row.verdict == "agree"]
    for same in _alike(agreed, lambda row: None):
        first = same[0]
        tiers = ", ".join(
            f"{tier} ({', '.join(row.scope for row in each)})"
            for tier, each in groupby(sorted(same, key=lambda row: row.tier), lambda row: row.tier)
        )
        alone = dict.fromkeys(
            f"{COLUMNS[one.token_class]} only in {'the book' if one.theirs is None else 'the other'}"
            for row in same for one in row.differences
        )  # fmt: skip
        yield from _wrapped(f"  {first.door} {first.model}: {'; '.join([tiers, *alone])}", width, 4)


def _alike(rows: Sequence[Comparison], key: Callable[[Comparison], object]) -> Iterator[list[Comparison]]:
    """Comparisons of one door and model that are alike in this."""
    groups: dict[object, list[Comparison]] = {}
    for row in rows:
        groups.setdefault((row.door, row.model, key(row)), []).append(row)
    return iter(groups.values())


def _spread(rows: Sequence[Comparison]) -> str:
    doors = dict.fromkeys(row.door for row in rows)
    models = dict.fromkeys(row.model for row in rows)
    named = ", ".join(models) if len(models) <= 4 else f"{len(models)} models"
    return f"{', '.join(doors)}: {named}"


def _or_none(rate: Decimal | None) -> str:
    return "–" if rate is None else _usd(rate)


def _usd(amount: Decimal) -> str:
    """At least two decimal places, and all that there are: 2.00, 0.0125."""
    short = amount.normalize()
    exponent = short.as_tuple().exponent
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{short:,.{places}f}"


def _wrapped(said: str, width: int, indent: int = 0) -> list[str]:
    deep = " " * (len(said) - len(said.lstrip()))
    return wrap(
        said.lstrip(), width, initial_indent=deep, subsequent_indent=" " * indent,
        break_on_hyphens=False, break_long_words=True,
    ) or [""]  # fmt: skip
