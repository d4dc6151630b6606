"""What another price list says of the same price: genai-prices, as it is installed, without its network updates.

That list answers more than it knows: it takes another provider's price where it has none of its own, the global price
for a region, the standard price for a tier it does not hold, another model's price for a name that resembles it. Every
such answer is rejected here, with its reason, instead of being compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bench import registry
from bench.errors import CannotRun
from bench.price.entries import Band, PriceEntry
from bench.price.listing import entry_data, rates_data
from bench.price.scopes import Unknown

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

    from bench.price.book import Book

TIERS = ("default", "fast", "priority", "flex", "batch")
"""The tiers that the other list can tell apart."""

_PRICES = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
}
"""Its names of rates and ours; a later one stands above an earlier."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """A price of the other list, in USD per million tokens, with where in it the price stands and its own references."""

    rates: Mapping[str, Decimal]
    bands: tuple[Band, ...]
    source: str
    since: date | None
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The other list has no price of its own for this, and what it would have answered with instead."""

    reason: str


class Difference(NamedTuple):
    """One figure on which the two do not agree. `above`: the bound of the band, 0 below all of them. None: no rate."""

    token_class: str
    above: int
    ours: Decimal | None
    theirs: Decimal | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One price in both lists. `agree` means every rate that both state; what only one states is in `differences` too."""

    door: str
    model: str
    scope: str
    tier: str
    verdict: Literal["agree", "disagree", "only ours", "only theirs", "neither"]
    ours: PriceEntry | Unknown
    theirs: Opinion | Rejected
    differences: tuple[Difference, ...] = ()


class _Asked(NamedTuple):
    provider: str
    reference: str


def version() -> str:
    """The installed version of the other list. CannotRun when it is not installed."""
    from importlib import metadata

    try:
        return metadata.version("genai-prices")
    except metadata.PackageNotFoundError:
        raise CannotRun("genai-prices is not installed", hint="pip install genai-prices") from None


def opinion(door: str, model: str, scope: str, tier: str, on: date) -> Opinion | Rejected:
    """What the other list says of this price, and only if it is of this price."""
    asked = _asked(door, model, scope)
    if isinstance(asked, Rejected):
        return asked
    provider = _providers()[asked.provider]
    found = provider.find_model(asked.reference, all_providers=list(_providers().values()))
    if found is None:
        return Rejected(f"genai-prices has no entry for {asked.reference} at {provider.id}")
    if not any(own is found for own in provider.models):
        owner = next(p.id for p in _providers().values() if any(each is found for each in p.models))
        return Rejected(f"genai-prices has no price of {provider.id} for it and takes that of {owner}")
    if not _named_alike(found.id, model):
        return Rejected(f"genai-prices takes the price of its entry {found.id} for {asked.reference}")
    when = datetime.combine(on, time(12), tzinfo=UTC)
    context = _context(tier)
    if context and not any(_is_for(variant, context, when) for variant in found.price_variants or ()):
        return Rejected(f"genai-prices has no price of the tier {tier} here and takes the standard one")
    source = f"genai-prices {version()}, {provider.id}, entry {found.id}"
    rates, bands = _rates(found.get_prices(when, context or None))
    return Opinion(rates, bands, source, _since(found, context, when), tuple(provider.pricing_urls or ()))


def compare(book: Book, on: date, model: str | None = None) -> list[Comparison]:
    """Every price of the book on that day beside the other list's, and what the other list has besides."""
    models = (model,) if model is not None else registry.models()
    return [
        _compared(door, name, scope, tier, ours, on)
        for name in models
        for door in registry.doors()
        if door != "vertex-grpc"  # the prices of vertex and gemini-vertex over another wire
        for (scope, tier), ours in _places(book, door, name, on)
    ]


def as_data(row: Comparison) -> dict[str, Any]:
    """A comparison as plain data: rates as text, so that no digit is lost."""
    ours: dict[str, Any] = {"unknown": row.ours.reason} if isinstance(row.ours, Unknown) else entry_data(row.ours)
    return {
        "door": row.door,
        "model": row.model,
        "scope": row.scope,
        "tier": row.tier,
        "verdict": row.verdict,
        "ours": ours,
        "theirs": {"rejected": row.theirs.reason}
        if isinstance(row.theirs, Rejected)
        else {
            "rates": rates_data(row.theirs.rates),
            "bands": [
                {"above_input_tokens": band.above_input_tokens, "rates": rates_data(band.rates)}
                for band in row.theirs.bands
            ],
            "source": row.theirs.source,
            "since": row.theirs.since.isoformat() if row.theirs.since else None,
            "references": list(row.theirs.references),
        },
        "differences": [
            {
                "token_class": one.token_class,
                "above_input_tokens": one.above or None,
                "ours": None if one.ours is None else str(one.ours),
                "theirs": None if one.theirs is None else str(one.theirs),
            }
            for one in row.differences
        ],
    }


# inside ------------------------------------------------------------------------------------------------------------


def _places(book: Book, door: str, model: str, on: date) -> Iterator[tuple[tuple[str, str], PriceEntry | Unknown]]:
    """The scopes and tiers of the book's prices for the model there, and the tiers that the other list may have besides."""
    rows = book.at(door, model)
    held = {(entry.scope, entry.tier): entry for entry in rows if entry.holds(on)}
    for scope in dict.fromkeys(entry.scope for entry in rows):
        for tier in dict.fromkeys((*TIERS, *(entry.tier for entry in rows))):
            entry = held.get((scope, tier))
            if entry is not None:
                yield (scope, tier), Unknown(entry.note) if entry.status == "unknown" else entry
            else:
                yield (scope, tier), Unknown("the book has no entry")


def _compared(door: str, model: str, scope: str, tier: str, ours: PriceEntry | Unknown, on: date) -> Comparison:
    theirs = opinion(door, model, scope, tier, on)
    if isinstance(ours, Unknown) and isinstance(theirs, Rejected):
        return Comparison(door, model, scope, tier, "neither", ours, theirs)
    if isinstance(ours, Unknown):
        return Comparison(door, model, scope, tier, "only theirs", ours, theirs)
    if isinstance(theirs, Rejected):
        return Comparison(door, model, scope, tier, "only ours", ours, theirs)
    differences = tuple(_differences(ours, theirs))
    apart = any(one.ours is not None and one.theirs is not None for one in differences)
    return Comparison(door, model, scope, tier, "disagree" if apart else "agree", ours, theirs, differences)


def _differences(ours: PriceEntry, theirs: Opinion) -> Iterator[Difference]:
    """Rates that differ, at every bound that either has: above a bound that one does not know, it charges as below."""
    for above in sorted({0, *(band.above_input_tokens for band in (*ours.bands, *theirs.bands))}):
        mine, other = _above(ours.rates, ours.bands, above), _above(theirs.rates, theirs.bands, above)
        for name in dict.fromkeys((*mine, *other)):
            if mine.get(name) != other.get(name):
                yield Difference(name, above, mine.get(name), other.get(name))


def _above(rates: Mapping[str, Decimal], bands: Sequence[Band], bound: int) -> Mapping[str, Decimal]:
    for band in bands:
        if band.above_input_tokens <= bound:
            rates = band.rates
    return rates


def _asked(door: str, model: str, scope: str) -> _Asked | Rejected:
    """What to ask the other list for, or why it cannot know."""
    entry = registry.lookup(model, door)
    if entry is None:
        return Rejected(f"the registry has no {model} at {door}")
    model_id = entry.model_id.replace("{profile}.", "")
    if door in ("claude-aws", "claude-gcp"):
        return Rejected(f"genai-prices does not know the platform {door}")
    if door == "anthropic":
        return _global_only(scope, "anthropic", model_id)
    if door == "openai":
        return _global_only(scope, "openai", model_id)
    if door in ("vertex", "gemini-vertex", "openai-vertex"):
        return _global_only(scope, "google", model_id)
    if door == "bedrock":
        return _Asked("aws", model_id if scope == "in-region" else f"{scope}.{model_id}")
    if door == "openai-bedrock" and scope != "us-gov":
        if model.startswith("gpt-oss"):  # that list has the runtime's ids of open weights alone
            return _Asked("aws", f"{model_id}-1:0")
        return _Asked("aws", model_id if scope == "in-region" else f"{scope}.{model_id}")
    if door == "bedrock-mantle" and scope == "regional":
        return _Asked("aws", model_id)
    if door in ("azure-openai", "foundry"):
        return _Asked("azure", model) if scope == "globalstandard" else _one_price("azure")
    return _one_price("aws")


def _global_only(scope: str, provider: str, reference: str) -> _Asked | Rejected:
    return _Asked(provider, reference) if scope == "global" else _one_price(provider)


def _one_price(provider: str) -> Rejected:
    return Rejected(f"genai-prices tells no such places of {provider} apart and takes one price for all")


def _named_alike(found: str, model: str) -> bool:
    """Whether an entry is the model's own: its id holds the model's name, whatever stands before or behind it."""
    bare = found.rpartition("anthropic.")[2].rpartition("openai.")[2]
    return bare == model or (bare.startswith(f"{model}-") and bare[len(model) + 1 :][:1] in "v0123456789")


def _context(tier: str) -> dict[str, str]:
    if tier == "default":
        return {}
    return (
        {"processing": "batch"} if tier == "batch" else {"speed": "fast"} if tier == "fast" else {"service_tier": tier}
    )


def _is_for(variant: object, context: Mapping[str, str], when: datetime) -> bool:
    constraint = getattr(variant, "constraint", None)
    return getattr(variant, "when", None) == context and (constraint is None or constraint.active(when))


def _since(found: ModelInfo, context: Mapping[str, str], when: datetime) -> date | None:
    """The first day that the other list gives for the price, if it gives one."""
    rules: Sequence[object]
    if context:
        rules = [v.constraint for v in found.price_variants or () if _is_for(v, context, when)][:1]
    else:
        dated = found.prices if isinstance(found.prices, list) else []
        rules = [one.constraint for one in dated if one.constraint is not None and one.constraint.active(when)][-1:]
    return next((getattr(rule, "start_date", None) for rule in rules), None)


def _rates(price: ModelPrice) -> tuple[dict[str, Decimal], tuple[Band, ...]]:
    """Its rates in our classes. A rate without tiers holds above every bound of the others."""
    base: dict[str, Decimal] = {}
    tiered: dict[str, list[tuple[int, Decimal]]] = {}
    for theirs, name in _PRICES.items():
        value = getattr(price, theirs)
        if value is None:
            continue
        base[name] = value if isinstance(value, Decimal) else value.base
        tiered[name] = [] if isinstance(value, Decimal) else [(tier.start, tier.price) for tier in value.tiers]
    bounds = sorted({start for tiers in tiered.values() for start, _ in tiers})
    return base, tuple(Band(bound, {name: _tier(base[name], tiered[name], bound) for name in base}) for bound in bounds)


def _tier(rate: Decimal, tiers: Sequence[tuple[int, Decimal]], bound: int) -> Decimal:
    for start, price in tiers:
        if start <= bound:
            rate = price
    return rate


@cache
def _providers() -> Mapping[str, Provider]:
    """The data that came with the package, never what its updater may have fetched."""
    version()
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}
