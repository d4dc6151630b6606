"""What a reply cost: tokens of each class times the rate of the one entry that holds. Exact decimals, no rounding.

`bench.price.many` does the same for millions of rows at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from bench import registry
from bench.price.book import PriceEntry, Unknown
from bench.record import Usage

CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
"""What a reply is charged for. The counts are `<class>_tokens`; `output` includes reasoning."""
CACHE_CLASSES = ("cache_read", "cache_write_5m", "cache_write_1h")
ITEM_COLUMNS: Mapping[str, str] = {name: f"cost_{name}_usd" for name in CLASSES}
"""The stored column of each class's part of the cost; together they are the cost."""
REASONING_COLUMN = "cost_reasoning_usd"
"""The part of the output's cost that was reasoning."""
REASONING = "reasoning"
"""Its rate, where an entry has one: then output that was reasoning is charged by it, and else by the rate of output."""
NEVER_SENT = frozenset({"dns", "connect", "tls", "proxy", "sign_in_failed"})
"""Fault codes of attempts that no provider has seen."""
TURNED_AWAY = frozenset({"throttled", "overloaded", "auth"})
"""Outcomes that, answered with an error status, end before a model has run."""


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
    counts: dict[str, int | None] = {name: getattr(usage, f"{name}_tokens") for name in CLASSES}
    for name in absent_without_harm(entry, caching):
        counts[name] = counts[name] or 0
    missing = [f"{name}_tokens" for name, tokens in counts.items() if tokens is None]
    if missing:
        return Cost(None, entry_id=entry.id, reason=f"the reply does not say {', '.join(missing)}")
    return _bill({name: tokens or 0 for name, tokens in counts.items()}, entry, usage.reasoning_tokens)


def absent_without_harm(entry: PriceEntry, caching: bool) -> tuple[str, ...]:
    """The classes whose count may be missing from a reply, and then is none."""
    door = registry.doors().get(entry.door)
    reported = door.reports if door is not None else CACHE_CLASSES
    return tuple(name for name in CACHE_CLASSES if not caching or name not in reported)


def itemised(usage: Usage, priced: Cost) -> dict[str, Decimal | None]:
    """What each class of tokens contributed, by column of requests.parquet; all None where the cost is not known.

    The part of reasoning is that share of the output's amount. It is None when the reply does not say how many tokens
    were reasoning, or says more of them than it wrote.
    """
    if priced.total is None:
        return dict.fromkeys((*ITEM_COLUMNS.values(), REASONING_COLUMN))
    lines = {item.token_class: item for item in priced.items}
    amounts: dict[str, Decimal | None] = {
        column: lines[name].amount if name in lines else Decimal(0) for name, column in ITEM_COLUMNS.items()
    }
    reasoning, written = usage.reasoning_tokens, usage.output_tokens
    if REASONING in lines:  # has a rate of its own
        apart = lines[REASONING].amount
        visible = lines["output"].amount if "output" in lines else Decimal(0)
        return amounts | {ITEM_COLUMNS["output"]: visible + apart, REASONING_COLUMN: apart}
    known = reasoning is not None and written is not None and 0 <= reasoning <= written
    rate = lines["output"].rate if "output" in lines else Decimal(0)
    return amounts | {REASONING_COLUMN: ((reasoning or 0) * rate).scaleb(-6) if known else None}


def may_be_billed(outcome: str, http_status: int | None, fault_code: str | None) -> bool:
    """Whether an attempt whose tokens nobody told may still be on the bill.

    It is not when it never left, or was turned away before a model ran: throttled, overloaded or without a right to ask.
    Every other one may be: a stream that broke, a reply that was not waited for, a prompt that a filter refused (Azure
    documents that it charges for those, and for timeouts).
    """
    if fault_code in NEVER_SENT and http_status is None:
        return False
    return not (outcome in TURNED_AWAY and http_status is not None and http_status >= 400)


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
    counts = dict.fromkeys(CLASSES, 0)
    counts["output"] = max_output_tokens
    counts[f"cache_write_{cache_ttl}" if cache_ttl else "input"] = input_tokens
    bills = [_bill(dict(counts), entry, reasoning) for reasoning in (0, max_output_tokens)]
    return max(bills, key=lambda bill: -1 if bill.total is None else bill.total)


def _bill(counts: dict[str, int], entry: PriceEntry, reasoning: int | None) -> Cost:
    whole_input = sum(tokens for name, tokens in counts.items() if name != "output")
    rates = entry.rates
    for band in entry.bands:
        if whole_input > band.above_input_tokens:
            rates = band.rates
    if REASONING in rates:
        if reasoning is None or not 0 <= reasoning <= counts["output"]:
            return Cost(
                None,
                entry_id=entry.id,
                reason=f"the reply does not say {REASONING}_tokens, which has a rate of its own",
            )
        counts |= {"output": counts["output"] - reasoning, REASONING: reasoning}
    unpriced = [name for name, tokens in counts.items() if tokens and name not in rates]
    if unpriced:
        return Cost(None, entry_id=entry.id, reason=f"{entry.id} has no rate for {', '.join(unpriced)}")
    items = tuple(
        Item(name, tokens, rates[name], (tokens * rates[name]).scaleb(-6)) for name, tokens in counts.items() if tokens
    )
    return Cost(sum((item.amount for item in items), Decimal(0)), items, entry.id)
