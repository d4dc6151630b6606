"""What every door asks for a model on a day, with the user's own terms beside it: what `bench price show` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from bench import registry
from bench.price.book import Book
from bench.price.entries import PriceEntry
from bench.price.overlay import Capacity, Commitment, Overlay
from bench.price.scopes import Unknown


@dataclass(frozen=True, slots=True)
class Price:
    """One entry of the book, and what is paid in its place (None: the same). `later`: it does not hold yet."""

    entry: PriceEntry
    effective: PriceEntry | None
    later: bool = False


@dataclass(frozen=True, slots=True)
class AtDoor:
    """A door's prices. `gone`: since when the model is not served there."""

    door: str
    prices: tuple[Price, ...]
    capacity: tuple[Capacity, ...] = ()
    gone: str | None = None
    first: date | None = None
    """The first day that anything is known of, where nothing holds on the day asked for."""
    sold_as: str | None = None
    """Another door of the listing, whose prices these are."""


@dataclass(frozen=True, slots=True)
class Listing:
    model: str
    on: date
    doors: tuple[AtDoor, ...]
    conversion: str = ""
    commitments: tuple[Commitment, ...] = ()


def listed(book: Book, model: str, on: date, door: str | None = None, overlay: Overlay | None = None) -> Listing:
    """The prices that hold on that day, and those that are announced for a later one."""
    names = [name for name, about in registry.doors().items() if not about.any_model and registry.lookup(model, name)]
    doors = tuple(_at_door(book, model, name, on, overlay) for name in names if door in (None, name))
    others = {at.door for at in doors}
    doors = tuple(
        replace(at, sold_as=next((e.entry.door for e in at.prices if e.entry.door in others - {at.door}), None))
        for at in doors
    )
    if overlay is None:
        return Listing(model, on, doors)
    named = {name for name in names if door in (None, name)}
    commitments = tuple(one for one in overlay.commitments(on) if named & set(one.doors))
    return Listing(model, on, doors, overlay.conversion, commitments)


def as_data(listing: Listing) -> dict[str, Any]:
    """The same as plain data: rates as text, so that no digit is lost."""
    return {
        "model": listing.model,
        "on": listing.on.isoformat(),
        "unit": "USD per million tokens",
        "conversion": listing.conversion or None,
        "doors": [_door_data(at) for at in listing.doors],
        "commitments": [_plain(one, ("name", "doors", "amount_usd", "period")) for one in listing.commitments],
    }


def _at_door(book: Book, model: str, door: str, on: date, overlay: Overlay | None) -> AtDoor:
    place = registry.lookup(model, door)
    rows = book.at(door, model)
    prices = tuple(_prices(rows, door, on, overlay))
    capacity = overlay.capacity(door, model, None, on) if overlay is not None else ()
    gone = registry.retired(place, on) if place is not None else None
    first = min((entry.valid_from for entry in rows), default=None)
    return AtDoor(door, prices, capacity, gone, first if not any(not one.later for one in prices) else None)


def _prices(rows: tuple[PriceEntry, ...], door: str, on: date, overlay: Overlay | None) -> Iterator[Price]:
    for entry in rows:
        if not entry.holds(on) and entry.valid_from <= on:
            continue
        later = entry.valid_from > on
        known = any(other.holds(on) and (other.scope, other.tier) == (entry.scope, entry.tier) for other in rows)
        if later and not known:  # its first day is that of the sources: it says nothing of a change to come
            continue
        effective = None
        if overlay is not None:
            list_price = Unknown(entry.note) if entry.status == "unknown" else entry
            day = entry.valid_from if later else on
            paid = overlay.effective(list_price, door, entry.model, entry.scope, entry.tier, day)
            effective = paid if isinstance(paid, PriceEntry) and paid is not list_price else None
        yield Price(entry, effective, later)


def _door_data(at: AtDoor) -> dict[str, Any]:
    return {
        "door": at.door,
        "sold_as": at.sold_as,
        "gone": at.gone,
        "first": at.first.isoformat() if at.first else None,
        "prices": [
            {**entry_data(price.entry), "effective": entry_data(price.effective) if price.effective else None}
            for price in at.prices
        ],
        "capacity": [
            _plain(one, ("models", "scopes", "unit", "units", "usd_per_unit_hour", "usd_per_hour", "term"))
            for one in at.capacity
        ],
    }


def entry_data(entry: PriceEntry) -> dict[str, Any]:
    """An entry as plain data; an unknown price has `rates` None."""
    return {
        "id": entry.id,
        "scope": entry.scope,
        "tier": entry.tier,
        "status": entry.status,
        "rates": rates_data(entry.rates) if entry.rates else None,
        "bands": [
            {"above_input_tokens": band.above_input_tokens, "rates": rates_data(band.rates)} for band in entry.bands
        ],
        "valid_from": entry.valid_from.isoformat(),
        "valid_to": entry.valid_to.isoformat() if entry.valid_to else None,
        "checked": entry.checked.isoformat(),
        "source": entry.source,
        "note": entry.note or None,
    }


def rates_data(rates: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: str(rate) for name, rate in rates.items()}


def _plain(one: Commitment | Capacity, names: tuple[str, ...]) -> dict[str, Any]:
    days = {key: day.isoformat() if (day := getattr(one, key)) else None for key in ("valid_from", "valid_to")}
    values = {name: getattr(one, name) for name in names}
    text = {k: str(v) if isinstance(v, Decimal) else list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return {**text, **days, "source": one.source}
