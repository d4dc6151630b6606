"""The cost of many rows at once, to the same last digit as `bench.price.cost` has it for one.

Rates become integers, so that tokens times rate is exact: a rate of six decimal places in USD per million tokens is a whole
number of picodollars (10⁻¹² USD) a token. Rates with more places are multiplied in a finer unit, and every amount is then
rounded half to even at twelve places, as money is when it is stored. What does not fit 64 bits is done in Python's integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.price.book import PriceEntry, Unknown
from bench.price.cost import CLASSES, REASONING, absent_without_harm

Amounts = NDArray[Any]
"""int64, or Python's integers where those would not fit. -1: not known."""
NONE = -1
_EXACT_ROWS = 1 << 20
PICO = 10**12
"""Picodollars of a dollar."""
_INPUT = CLASSES[:-1]
_RATED = (*CLASSES, REASONING)
_APART = _RATED.index(REASONING)
_LIMIT = 1 << 62
_PICO_PLACES = 6
"""Places of a rate per million tokens that are whole picodollars a token."""


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """Several entries as tables of integers, by the code of a row's entry."""

    known: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    """[code, band]: where the band's rates begin, in input tokens; beyond any count where there is no such band."""
    rates: Amounts
    """[code, band, class]: the rate in 10^-`places` USD per million tokens, the last one that of reasoning; NONE where there is
    none. Band 0 is below all bounds."""
    optional: NDArray[np.bool_]
    """[code, class]: whether a missing count is none."""
    places: int


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """Picodollars of every row, NONE where not known. `reasoning` is a part of `items["output"]`."""

    total: Amounts
    items: Mapping[str, Amounts]
    reasoning: Amounts


def tariff(entries: Sequence[PriceEntry | Unknown], caching: Sequence[bool]) -> Tariff:
    """The tables of these entries; `caching` says of each whether the requests asked for caching."""
    found = [entry if isinstance(entry, PriceEntry) else None for entry in entries]
    listed = [[entry.rates, *(band.rates for band in entry.bands)] if entry else [] for entry in found]
    places = max([_PICO_PLACES, *(_places(rate) for bands in listed for rates in bands for rate in rates.values())])
    most = max([1, *map(len, listed)])
    bounds = np.full((len(entries), most), np.iinfo(np.int64).max, np.int64)
    rates = np.full((len(entries), most, len(_RATED)), NONE, dtype=object)
    optional = np.zeros((len(entries), len(CLASSES)), dtype=bool)
    for code, entry in enumerate(found):
        if entry is None:
            continue
        harmless = absent_without_harm(entry, caching[code])
        optional[code] = [name in harmless for name in CLASSES]
        bounds[code, 1 : len(listed[code])] = [band.above_input_tokens for band in entry.bands]
        for band, of_band in enumerate(listed[code]):
            rates[code, band] = [
                int(of_band[name].scaleb(places)) if name in of_band else NONE for name in _RATED
            ]  # fmt: skip
    if int(rates.max(initial=0)) < _LIMIT:
        rates = rates.astype(np.int64)
    return Tariff(np.array([entry is not None for entry in found], dtype=bool), bounds, rates, optional, places)


def _places(rate: Decimal) -> int:
    exponent = rate.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def price(
    by: Tariff, codes: NDArray[np.int32], counts: Mapping[str, NDArray[np.int64]], reasoning: NDArray[np.int64]
) -> Priced:
    """What these rows cost. `codes` are places in the tariff, `counts` the tokens by class, NONE where not reported."""
    known = by.known[codes]
    given: dict[str, Amounts] = {}
    for at, name in enumerate(CLASSES):
        tokens = counts[name]
        missing = tokens < 0
        if missing.any():
            known &= ~missing | by.optional[codes, at]
            tokens = np.where(missing, 0, tokens)
        given[name] = tokens
    whole = sum(given[name] for name in _INPUT)
    band = np.zeros(len(codes), np.intp)
    for level in range(1, by.bounds.shape[1]):
        band += whole > by.bounds[codes, level]
    place = codes.astype(np.intp) * by.bounds.shape[1] + band
    table = by.rates.reshape(-1, len(_RATED))
    used = {**given, REASONING: reasoning}
    top = sum(int(used[name].max(initial=0)) * int(table[:, at].max(initial=0)) for at, name in enumerate(_RATED))
    exact = np.int64 if top < _LIMIT and table.dtype != object else object
    told = (reasoning >= 0) & (counts["output"] >= 0) & (reasoning <= counts["output"])
    thought = np.where(told, reasoning, 0).astype(exact, copy=False)
    apart = np.zeros(len(codes), dtype=bool)
    if (table[:, _APART] >= 0).any():
        apart = table[:, _APART][place] >= 0
        known &= told | ~apart
        given["output"] = np.where(apart, given["output"] - thought, given["output"])
    items: dict[str, Amounts] = {}
    total: Amounts = np.zeros(len(codes), exact)
    rate: Amounts = total
    for at, name in enumerate(CLASSES):
        rate = table[:, at].astype(exact)[place]
        if (table[:, at] < 0).any():
            known &= (rate >= 0) | (given[name] == 0)
            rate = np.where(rate < 0, 0, rate)
        items[name] = given[name].astype(exact, copy=False) * rate
        total = total + items[name]
    if apart.any():
        rate = np.where(apart, table[:, _APART].astype(exact)[place], rate)
        total = total + np.where(apart, thought * rate, 0)
        items["output"] = items["output"] + np.where(apart, thought * rate, 0)
    reasoned = thought * rate
    told &= known
    step = 10 ** (by.places - _PICO_PLACES)
    return Priced(
        np.where(known, _rounded(total, step), NONE),
        {name: np.where(known, _rounded(amounts, step), NONE) for name, amounts in items.items()},
        np.where(told, _rounded(reasoned, step), NONE),
    )


def _rounded(amounts: Amounts, step: int) -> Amounts:
    """In steps of so many, half to even."""
    if step == 1:
        return amounts
    whole, rest = amounts // step, amounts % step
    rounded: Amounts = whole + ((2 * rest > step) | ((2 * rest == step) & (whole % 2 == 1)))
    return rounded


def summed(amounts: Amounts) -> int:
    """The sum of what is known, exactly, however many there are."""
    if amounts.dtype == object:
        return sum(int(amount) for amount in amounts if amount >= 0)
    kept = np.maximum(amounts, 0)
    return (int((kept >> 32).sum()) << 32) + int((kept & 0xFFFFFFFF).sum())


def summed_by(amounts: Amounts, groups: NDArray[np.int32], count: int) -> list[int]:
    """The sums of what is known, exactly, by group."""
    if amounts.dtype == object or len(amounts) > _EXACT_ROWS:
        return [summed(amounts[groups == group]) for group in range(count)]
    kept = np.maximum(amounts, 0)
    # whole numbers all the way: halves of 32 bits, of which 2^20 together stay below the 2^53 that a weight holds exactly
    high, low = (np.bincount(groups, half, minlength=count) for half in (kept >> 32, kept & 0xFFFFFFFF))
    return [(int(top) << 32) + int(rest) for top, rest in zip(high, low, strict=True)]


def only(priced: Priced, rows: NDArray[np.bool_]) -> Priced:
    """These rows of it."""
    items = {name: amounts[rows] for name, amounts in priced.items.items()}
    return Priced(priced.total[rows], items, priced.reasoning[rows])


def usd(picodollars: int) -> Decimal:
    return Decimal(picodollars).scaleb(-12)
