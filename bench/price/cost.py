"""What a reply cost: tokens of each class times the rate of the one entry that holds. Exact decimals, no rounding."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from bench import registry
from bench.price.book import PriceEntry, Unknown
from bench.record import Usage

_CACHE_CLASSES = ("cache_read", "cache_write_5m", "cache_write_1h")


class Item(NamedTuple):
    """One line of the bill; `rate` in USD per million tokens, `amount` in USD."""

    token_class: str
    tokens: int
    rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost in USD with its lines and the entry they follow. `total` None: not known, for the `reason`."""

    total: Decimal | None
    items: tuple[Item, ...] = ()
    entry_id: str | None = None
    reason: str = ""


def cost(usage: Usage, entry: PriceEntry | Unknown, *, caching: bool = True) -> Cost:
    """What this usage costs by that entry.

    A count that is not known makes the cost unknown, never smaller. A cache count may be absent without harm in two
    cases: the door never reports that class, or the request asked for no caching (`caching` False).
    """
    if isinstance(entry, Unknown):
        return Cost(None, reason=entry.reason)
    counts = {
        "input": usage.input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write_5m": usage.cache_write_5m_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "output": usage.output_tokens,
    }
    door = registry.doors().get(entry.door)
    reported = door.reports if door is not None else _CACHE_CLASSES
    for name in _CACHE_CLASSES:
        if counts[name] is None and (not caching or name not in reported):
            counts[name] = 0
    missing = [f"{name}_tokens" for name, tokens in counts.items() if tokens is None]
    if missing:
        return Cost(None, entry_id=entry.id, reason=f"the reply does not say {', '.join(missing)}")
    return _bill({name: tokens or 0 for name, tokens in counts.items()}, entry)


def estimate(
    input_tokens: int,
    max_output_tokens: int,
    entry: PriceEntry | Unknown,
    cache_ttl: Literal["5m", "1h"] | None = None,
) -> Cost:
    """The most that a request can cost: all input at the dearest rate it may meet, and output to its limit.

    With `cache_ttl`, input may be written to the cache, which costs more than plain input.
    """
    if isinstance(entry, Unknown):
        return Cost(None, reason=entry.reason)
    counts = dict.fromkeys(("input", *_CACHE_CLASSES, "output"), 0)
    counts["output"] = max_output_tokens
    counts[f"cache_write_{cache_ttl}" if cache_ttl else "input"] = input_tokens
    return _bill(counts, entry)


def _bill(counts: dict[str, int], entry: PriceEntry) -> Cost:
    whole_input = sum(tokens for name, tokens in counts.items() if name != "output")
    rates = entry.rates
    for band in entry.bands:
        if whole_input > band.above_input_tokens:
            rates = band.rates
    unpriced = [name for name, tokens in counts.items() if tokens and name not in rates]
    if unpriced:
        return Cost(None, entry_id=entry.id, reason=f"{entry.id} has no rate for {', '.join(unpriced)}")
    items = tuple(
        Item(name, tokens, rates[name], (tokens * rates[name]).scaleb(-6)) for name, tokens in counts.items() if tokens
    )
    return Cost(sum((item.amount for item in items), Decimal(0)), items, entry.id)
