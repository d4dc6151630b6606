"""The price book: dated, sourced prices per door, model, scope and tier, and the one entry that a target is charged by.

A price is never overwritten: a new one is appended with its day, or yesterday's runs would be priced again. A lookup
matches exactly or says why it does not; it never takes the price of another door, scope or tier instead.

    scope   where the price holds. Bedrock: the inference profile (global, us, eu, ...), or in-region without one.
            Vertex AI: global or regional. Anthropic's own doors: global or us (inference_geo). Foundry: the deployment.
    tier    the capacity lane: default, fast, priority, ...
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from bench import registry, yamlfile
from bench.errors import ConfigError, Problem
from bench.price.schema import BookFile, Row
from bench.targets import TOKEN_CLASSES, Target

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

    `status`: list (a source states it), estimate (derived, see `note`), negotiated (the target's own terms).
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


GEOGRAPHIES = ("global", "us", "eu")
"""What replies of Anthropic's own doors name as the place of inference, beside the tier."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no price, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Book:
    """Every entry, in the order of the files."""

    entries: tuple[PriceEntry, ...]

    @property
    def sha256(self) -> str:
        """Digest of all entries, for the manifest: equal books price equally."""
        return hashlib.sha256(json.dumps([canonical(entry) for entry in self.entries]).encode()).hexdigest()

    def for_model(self, model: str) -> tuple[PriceEntry, ...]:
        return tuple(entry for entry in self.entries if entry.model == model)


def load_book(paths: Sequence[str | Path] | None = None) -> Book:
    """The book in these files; without any, the one that came with bench. ConfigError carries every problem."""
    return _packaged() if paths is None else _book([yamlfile.load(path) for path in paths])


def find(target: Target, on: date, lane: str | None = None, book: Book | None = None) -> PriceEntry | Unknown:
    """What the target is charged by on that day.

    The target's own terms come first: explicit rates, or a discount on the list. `lane` is the service tier that the
    reply named; it stands above the one that was asked for.
    """
    terms = target.price
    explicit = {name: Decimal(str(terms[name])) for name in TOKEN_CLASSES if terms.get(name) is not None}
    if explicit:
        return PriceEntry(
            id=f"targets.yaml/{target.id}",
            door=target.provider,
            model=target.model,
            scope="as agreed",
            tier=tier_of(target, lane),
            rates=explicit,
            valid_from=on,
            valid_to=None,
            source="the target's own terms",
            checked=on,
            status="negotiated",
        )
    found = _listed(target, on, lane, book or load_book())
    if isinstance(found, PriceEntry) and terms.get("discount") is not None:
        return discounted(found, Decimal(str(terms["discount"])))
    return found


def discounted(entry: PriceEntry, discount: Decimal) -> PriceEntry:
    """The entry with a part taken off every rate, to a millionth of a dollar per million tokens."""

    def less(rates: Mapping[str, Decimal]) -> dict[str, Decimal]:
        return {name: _trimmed((rate * (1 - discount)).quantize(RATE_STEP)) for name, rate in rates.items()}

    return replace(
        entry,
        id=f"{entry.id} less {_trimmed(discount * 100)}%",
        rates=less(entry.rates),
        bands=tuple(Band(band.above_input_tokens, less(band.rates)) for band in entry.bands),
        status="negotiated",
        note=f"{entry.status} price less {discount}" + (f"; {entry.note}" if entry.note else ""),
    )


def scope_of(target: Target, lane: str | None = None) -> str | Unknown:
    """Where the target's price holds, from its inference profile, region or kind of deployment.

    At Anthropic's own doors the geography that the reply named stands above the one asked for.
    """
    door = target.provider
    if door == "bedrock":
        profile = registry.bedrock_profile(target.model_id)
        return profile or Unknown(f"the model id {target.model_id} does not say which model or inference profile it is")
    if door == "bedrock-mantle":
        return "us-gov" if (target.region or "").startswith("us-gov-") else "regional"
    if door in ("vertex", "vertex-grpc"):
        return "global" if target.region == "global" else "regional"
    if door in ("anthropic", "claude-aws", "claude-gcp"):
        served = [word for word in _words_of(lane) if word in GEOGRAPHIES]
        geo = served[0] if served else target.params.get("extra_body", {}).get("inference_geo")
        if geo is None and door == "anthropic" and target.region not in (None, "global"):
            where = f"the target's region is {target.region}, but params.extra_body.inference_geo does not ask for it"
            return Unknown(where)
        return str(geo or "global")
    if door == "foundry":
        kind = re.sub(r"[^a-z]", "", (target.sku or "").lower())
        if not kind:
            return Unknown("the price depends on the kind of deployment: say sku: GlobalStandard or DataZoneStandard")
        return kind
    return Unknown(f"the price book has no prices for {door}: state them, e.g. price: {{input: 2.00, output: 10.00}}")


def tier_of(target: Target, lane: str | None = None) -> str:
    """The capacity lane: the one the reply named, else the one asked for; `default` for every word that means it."""
    named = [word for word in _words_of(lane) if word not in GEOGRAPHIES]
    if "fast" in named:
        return "fast"
    word = named[0] if named else (target.service_tier or "").lower()
    tier = "default" if word in ("", "default", "standard", "standard_only", "auto", "on_demand") else word
    fast = target.params.get("extra_body", {}).get("speed") == "fast"
    return "fast" if fast and tier == "default" else tier


def _words_of(lane: str | None) -> list[str]:
    """A lane in its parts: `standard/fast/us`."""
    return [word for word in (lane or "").lower().split("/") if word]


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


def _listed(target: Target, on: date, lane: str | None, book: Book) -> PriceEntry | Unknown:
    scope, tier = scope_of(target, lane), tier_of(target, lane)
    if isinstance(scope, Unknown):
        return scope
    if not _same_model(target):
        return Unknown(f"{target.model_id} is not the id of {target.model} at {target.provider} in the registry")
    door = (registry.doors()[target.provider].ids_of or target.provider) if target.provider in registry.doors() else ""
    rows = [entry for entry in book.entries if entry.door == door and entry.model == target.model]
    if not rows:
        return Unknown(f"the price book has no price of {target.model} at {target.provider}")
    named = f"{target.model} at {target.provider}, scope {scope}"
    scoped = [entry for entry in rows if entry.scope == scope]
    if not scoped:
        return Unknown(f"the price book has no price of {named} (it has {_words(entry.scope for entry in rows)})")
    tiered = [entry for entry in scoped if entry.tier == tier]
    if not tiered:
        have = _words(entry.tier for entry in scoped)
        return Unknown(f"the price book has no price of {named}, tier {tier} (it has {have})")
    for entry in tiered:
        if entry.valid_from <= on and (entry.valid_to is None or on <= entry.valid_to):
            return Unknown(f"{named}: {entry.note}") if entry.status == "unknown" else entry
    first = min(entry.valid_from for entry in tiered)
    return Unknown(f"the price book has no price of {named} on {on} (its first is of {first})")


def _same_model(target: Target) -> bool:
    """Whether the id that is sent is the logical model's own: another id has another price."""
    entry = registry.lookup(target.model, target.provider)
    if entry is None:
        return False
    if target.provider == "foundry":  # the id is the name of a deployment, chosen by its owner
        return True
    if target.provider == "bedrock":
        return target.model_id.removeprefix(f"{registry.bedrock_profile(target.model_id)}.") == entry.model_id.replace(
            "{profile}.", ""
        )
    return target.model_id in (entry.model_id, target.model, f"{entry.model_id}@default")


def _trimmed(number: Decimal) -> Decimal:
    """Without the zeros at the end, and without an exponent: 1.760000 as 1.76, 10.000000 as 10."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _words(words: object) -> str:
    return ", ".join(dict.fromkeys(words))  # type: ignore[call-overload]


@cache
def _packaged() -> Book:
    folder = resources.files("bench.price").joinpath("data")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    texts = [(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in names]
    return _book([yamlfile.loads(text, f"bench/price/data/{name}") for name, text in texts])


def _book(files: Sequence[yamlfile.Loaded]) -> Book:
    entries: list[PriceEntry] = []
    problems: list[Problem] = []
    taken: dict[tuple[str, str, str, str], list[PriceEntry]] = {}
    for loaded in files:
        parsed, found = yamlfile.validate(BookFile, loaded)
        problems += found
        for index, row in enumerate(parsed.entries if parsed else ()):
            at = ("entries", index)
            problems += [loaded.problem((*at, *path), got, want) for path, got, want in row.mistakes()]
            if parsed and row.source not in parsed.sources:
                want = f"one of {', '.join(parsed.sources)}"
                problems.append(loaded.problem((*at, "source"), yamlfile.shown(row.source), want))
                continue
            for scope in row.scopes:
                entry = _entry(parsed, row, scope) if parsed else None
                if entry is None:
                    continue
                others = taken.setdefault((entry.door, entry.model, entry.scope, entry.tier), [])
                clash = next((other for other in others if _overlap(entry, other)), None)
                if clash:
                    got = f"days that {clash.id} holds already"
                    problems.append(loaded.problem((*at, "valid_from"), got, "a valid_to on the day before, there"))
                others.append(entry)
                entries.append(entry)
    if problems:
        raise ConfigError(problems)
    return Book(tuple(entries))


def _entry(file: BookFile, row: Row, scope: str) -> PriceEntry:
    return PriceEntry(
        id=f"{file.door}/{row.model}/{scope}/{row.tier}@{row.valid_from}",
        door=file.door,
        model=row.model,
        scope=scope,
        tier=row.tier,
        rates=row.rates.known() if row.rates else {},
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        source=file.sources[row.source],
        checked=row.checked,
        status=row.status,
        bands=tuple(Band(band.above_input_tokens, band.rates.known()) for band in row.bands),
        note=row.note,
    )


def _overlap(one: PriceEntry, other: PriceEntry) -> bool:
    ends = date.max
    return one.valid_from <= (other.valid_to or ends) and other.valid_from <= (one.valid_to or ends)
