"""The user's own prices over the list: discounts, negotiated rates, commitments and capacity, all in USD.

The list is never changed: an effective price keeps the list entry it came from beside it (`PriceEntry.listed`), and says
by what paper it differs. An order is fixed: a negotiated rate stands above a discount, a discount above the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from bench import registry, yamlfile
from bench.errors import ConfigError
from bench.price.entries import RATE_STEP, Band, PriceEntry, trimmed
from bench.price.scopes import Unknown
from bench.price.terms import Agreed, AgreedRates, CapacityRow, CommitmentRow, Currency, Discount, Mistake, PricesFile


@dataclass(frozen=True, slots=True)
class Commitment:
    """Spend that was promised to a cloud, in USD a period; what is not used is lost."""

    name: str
    doors: tuple[str, ...]
    amount_usd: Decimal
    period: str
    valid_from: date | None
    valid_to: date | None
    source: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """Throughput that is paid by the hour, used or not: `units` at `usd_per_unit_hour`, for at least a `term`."""

    door: str
    models: tuple[str, ...]
    scopes: tuple[str, ...]
    unit: str
    units: int
    usd_per_unit_hour: Decimal
    term: str
    valid_from: date | None
    valid_to: date | None
    source: str

    @property
    def usd_per_hour(self) -> Decimal:
        return self.units * self.usd_per_unit_hour


@dataclass(frozen=True, slots=True)
class Overlay:
    """A user's price file, read. `name` is what messages call it."""

    name: str
    file: PricesFile

    @property
    def conversion(self) -> str:
        """By what the file's amounts became USD; empty when they were."""
        currency = self.file.currency
        if currency is None:
            return ""
        return f"1 {currency.code} = {currency.usd} USD on {currency.on} ({currency.source})"

    def commitments(self, on: date) -> tuple[Commitment, ...]:
        return tuple(_commitment(row, self.file.currency) for row in self.file.commitments if row.holds(on))

    def capacity(self, door: str, model: str, scope: str | None, on: date) -> tuple[Capacity, ...]:
        """The capacity bought for this model there; with no scope, in all of them."""
        return tuple(
            _capacity(row, self.file.currency)
            for row in self.file.capacity
            if row.holds(on) and row.door == door and _any(row.models, model)
            and (scope is None or _any(row.scopes, scope))
        )  # fmt: skip

    def effective(
        self, listed: PriceEntry | Unknown, door: str, model: str, scope: str, tier: str, on: date
    ) -> PriceEntry | Unknown:
        """What is paid in place of this list price, with it as `listed`; the list price itself where nothing differs."""
        agreed = next((row for row in self.file.rates if _fits(row, door, model, scope, tier, on)), None)
        discounts = [row for row in self.file.discounts if _off(row, door, model, tier) and row.holds(on)]
        if isinstance(listed, Unknown):
            return listed if agreed is None else self._alone(agreed, listed, door, model, scope, tier, on)
        rates, papers = _cut(listed.rates, discounts)
        bands = tuple(Band(band.above_input_tokens, _cut(band.rates, discounts)[0]) for band in listed.bands)
        if agreed is not None:
            own = _in_usd(agreed.rates, self.file.currency)
            bands = tuple(Band(band.above_input_tokens, {**band.rates, **own}) for band in bands)
            if agreed.bands:
                bands = self._bands(agreed, {**rates, **own})
            rates = {**rates, **own}
            papers.insert(0, f"negotiated: {agreed.source}" + (f"; {self.conversion}" if self.conversion else ""))
        if not papers:
            return listed
        return replace(
            listed,
            id=f"{listed.id} by {self.name}",
            rates=rates,
            bands=bands,
            status="negotiated",
            source=self.name,
            note="; ".join([*papers, *([f"list: {listed.note}"] if listed.note else [])]),
            listed=listed,
        )

    def _alone(
        self, agreed: Agreed, listed: Unknown, door: str, model: str, scope: str, tier: str, on: date
    ) -> PriceEntry | Unknown:
        """A negotiated price where the list has none: it must then name what everything is charged by."""
        rates = _in_usd(agreed.rates, self.file.currency)
        if not {"input", "output"} <= rates.keys():
            return Unknown(f"{listed.reason}; {self.name} has no rate for both input and output of it")
        return PriceEntry(
            id=f"{door}/{model}/{scope}/{tier} by {self.name}",
            door=door,
            model=model,
            scope=scope,
            tier=tier,
            rates=rates,
            valid_from=agreed.valid_from or on,
            valid_to=agreed.valid_to,
            source=self.name,
            checked=on,
            status="negotiated",
            bands=self._bands(agreed, rates),
            note=f"negotiated: {agreed.source}" + (f"; {self.conversion}" if self.conversion else ""),
            listed=listed,
        )

    def _bands(self, agreed: Agreed, rates: Mapping[str, Decimal]) -> tuple[Band, ...]:
        currency = self.file.currency
        return tuple(Band(b.above_input_tokens, {**rates, **_in_usd(b.rates, currency)}) for b in agreed.bands)


def load_overlay(path: str | Path) -> Overlay:
    """The user's price file. ConfigError carries every problem with its line."""
    return _overlay(yamlfile.load(path))


@lru_cache(maxsize=16)
def overlay_of(name: str, text: str) -> Overlay:
    """The same from a text that is at hand."""
    return _overlay(yamlfile.loads(text, name))


def _overlay(loaded: yamlfile.Loaded) -> Overlay:
    parsed, problems = yamlfile.validate(PricesFile, loaded)
    problems += yamlfile.secrets(loaded)
    if parsed is not None:
        problems += [loaded.problem(path, got, want) for path, got, want in _mistakes(parsed)]
    if problems or parsed is None:
        raise ConfigError(problems)
    return Overlay(Path(loaded.path).name, parsed)


# inside ------------------------------------------------------------------------------------------------------------


def _mistakes(file: PricesFile) -> Iterator[Mistake]:
    sections: Mapping[str, Sequence[Discount | Agreed | CommitmentRow | CapacityRow]] = {
        "discounts": file.discounts,
        "rates": file.rates,
        "commitments": file.commitments,
        "capacity": file.capacity,
    }
    for section, rows in sections.items():
        for index, row in enumerate(rows):
            for path, got, want in (*row.late(), *_names(row)):
                yield (section, index, *path), got, want
    for index, row in enumerate(file.rates):
        if not row.rates.known():
            yield ("rates", index, "rates"), "no rate", "at least one, e.g. input"
        bounds = [band.above_input_tokens for band in row.bands]
        if bounds != sorted(set(bounds)):
            yield ("rates", index, "bands"), str(bounds), "bounds that rise"
    for (one, first), (other, second) in combinations(enumerate(file.rates), 2):
        if _overlap(first, second):
            yield ("rates", other), f"the same price on days that rates[{one}] holds", "one of them, or days apart"


def _names(row: Discount | Agreed | CommitmentRow | CapacityRow) -> Iterator[Mistake]:
    """Doors and models that nothing is called: a discount that never fits is a mistake nobody would see."""
    doors, models = registry.doors(), registry.models()
    one_door = isinstance(row, Agreed | CapacityRow)
    named = [row.door] if isinstance(row, Agreed | CapacityRow) else list(row.doors)
    for name in named:
        if name not in doors and (one_door or not any(fnmatchcase(door, name) for door in doors)):
            want = yamlfile.closest(name, doors) or f"one of {', '.join(doors)}"
            yield ("door" if one_door else "doors",), yamlfile.shown(name), want
    if any(name in doors and doors[name].any_model for name in named):
        return
    wanted = [row.model] if isinstance(row, Agreed) else [] if isinstance(row, CommitmentRow) else list(row.models)
    for name in wanted:
        if name not in models and (isinstance(row, Agreed) or not any(fnmatchcase(model, name) for model in models)):
            key = "model" if isinstance(row, Agreed) else "models"
            yield (key,), yamlfile.shown(name), yamlfile.closest(name, models) or "a model of the registry, or claude-*"


def _overlap(one: Agreed, other: Agreed) -> bool:
    same = (one.door, one.model, one.tier) == (other.door, other.model, other.tier)
    scopes = "*" in (*one.scopes, *other.scopes) or bool(set(one.scopes) & set(other.scopes))
    starts = (one.valid_from or date.min, other.valid_from or date.min)
    return same and scopes and max(starts) <= min(one.valid_to or date.max, other.valid_to or date.max)


def _fits(row: Agreed, door: str, model: str, scope: str, tier: str, on: date) -> bool:
    return (row.door, row.model, row.tier) == (door, model, tier) and _any(row.scopes, scope) and row.holds(on)


def _off(row: Discount, door: str, model: str, tier: str) -> bool:
    return _any(row.doors, door) and _any(row.models, model) and _any(row.tiers, tier)


def _any(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _cut(rates: Mapping[str, Decimal], discounts: Sequence[Discount]) -> tuple[dict[str, Decimal], list[str]]:
    """The rates less the first discount that fits each class, and the papers that were used."""
    less: dict[str, Decimal] = {}
    papers: dict[str, None] = {}
    for name, rate in rates.items():
        row = next((row for row in discounts if name in row.classes), None)
        less[name] = rate if row is None else trimmed((rate * (1 - row.off)).quantize(RATE_STEP))
        if row is not None:
            papers[f"{trimmed(row.off * 100)}% off: {row.source}"] = None
    return less, list(papers)


def _in_usd(rates: AgreedRates, currency: Currency | None) -> dict[str, Decimal]:
    return {name: _usd(rate, currency) for name, rate in rates.known().items()}


def _usd(amount: Decimal, currency: Currency | None) -> Decimal:
    return amount if currency is None else trimmed((amount * currency.usd).quantize(RATE_STEP))


def _commitment(row: CommitmentRow, currency: Currency | None) -> Commitment:
    usd = _usd(row.amount, currency)
    return Commitment(row.name, row.doors, usd, row.period, row.valid_from, row.valid_to, row.source)


def _capacity(row: CapacityRow, currency: Currency | None) -> Capacity:
    hourly = _usd(row.per_unit_hour, currency)
    return Capacity(
        row.door, row.models, row.scopes, row.unit, row.units, hourly, row.term,
        row.valid_from, row.valid_to, row.source,
    )  # fmt: skip
