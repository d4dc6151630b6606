"""What the price book holds: an entry, its bands, and what it says as plain text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal

from bench.price.scopes import Unknown

RATE_STEP = Decimal("0.000001")
"""Finest step of a rate, in USD per million tokens: amounts then fit twelve decimal places without rounding."""


@dataclass(frozen=True, slots=True)
class Band:
    """Rates for every token of a request whose whole input, cached tokens included, is above the bound."""

    above_input_tokens: int
    rates: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """What one door charges, in USD per million tokens of each class. `valid_to` is the last day, None while it holds.

    `status`: list (a source states it), estimate (derived, see `note`), negotiated (the user's own terms). `listed` is
    what the book says where the entry is the user's own terms: a list price, or why there is none.
    """

    id: str
    door: str
    model: str
    scope: str
    tier: str
    rates: Mapping[str, Decimal]
    valid_from: date
    valid_to: date | None
    source: str
    checked: date
    status: Literal["list", "estimate", "negotiated", "unknown"]
    bands: tuple[Band, ...] = ()
    note: str = ""
    listed: PriceEntry | Unknown | None = None

    @property
    def list_price(self) -> PriceEntry | Unknown:
        """What the book says, beside what is paid: the entry itself where the user has no terms of their own."""
        return self if self.listed is None else self.listed

    def holds(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


def discounted(entry: PriceEntry, discount: Decimal) -> PriceEntry:
    """The entry with a part taken off every rate, to a millionth of a dollar per million tokens."""

    def less(rates: Mapping[str, Decimal]) -> dict[str, Decimal]:
        return {name: trimmed((rate * (1 - discount)).quantize(RATE_STEP)) for name, rate in rates.items()}

    return replace(
        entry,
        id=f"{entry.id} less {trimmed(discount * 100)}%",
        rates=less(entry.rates),
        bands=tuple(Band(band.above_input_tokens, less(band.rates)) for band in entry.bands),
        status="negotiated",
        note=f"{entry.status} price less {discount}" + (f"; {entry.note}" if entry.note else ""),
        listed=entry,
    )


def canonical(entry: PriceEntry) -> dict[str, object]:
    """An entry as plain text, without `valid_to`: closing an entry does not change what it said."""
    return {
        "id": entry.id,
        "rates": {name: str(entry.rates[name]) for name in sorted(entry.rates)},
        "bands": [
            [band.above_input_tokens, {name: str(band.rates[name]) for name in sorted(band.rates)}]
            for band in entry.bands
        ],
        "status": entry.status,
        "source": entry.source,
        "checked": str(entry.checked),
    }


def digest(entry: PriceEntry) -> str:
    """What the ledger keeps of an entry, so that a changed one is seen."""
    return hashlib.sha256(json.dumps(canonical(entry), sort_keys=True).encode()).hexdigest()


def trimmed(number: Decimal) -> Decimal:
    """Without the zeros at the end, and without an exponent: 1.760000 as 1.76, 10.000000 as 10."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
