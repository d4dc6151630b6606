"""The price book: dated, sourced prices per door, model, scope and tier, and the one entry that a target is charged by.

A price is never overwritten: a new one is appended with its day, or yesterday's runs would be priced again. A lookup
matches exactly or says why it does not; it never takes the price of another door, scope or tier instead.

    scope   where the price holds. Bedrock: the inference profile (global, us, eu, ...), or in-region without one.
            Vertex AI: global or regional. Anthropic's own doors: global or us (inference_geo). OpenAI: global, or the
            place of data residency. Azure: the kind of deployment, with its data zone.
    tier    the capacity lane: default, fast, priority, flex, batch, ...
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry, yamlfile
from bench.errors import ConfigError, Problem
from bench.price.entries import RATE_STEP, Band, PriceEntry, canonical, digest, discounted
from bench.price.schema import BookFile, Row
from bench.price.scopes import Unknown, scope_of, tier_of
from bench.targets import TOKEN_CLASSES, Target

if TYPE_CHECKING:
    from bench.price.overlay import Overlay

__all__ = [
    "RATE_STEP", "Band", "Book", "PriceEntry", "Unknown", "canonical", "digest", "discounted", "find", "load_book",
    "packed", "scope_of", "tier_of",
]  # fmt: skip

PACKED = "book.json"
"""All files of the book in one, written by scripts/docs.py: the YAML that people edit takes a second to read."""

SOLD_AT = {"vertex-grpc": ("vertex", "gemini-vertex")}
"""Doors whose prices are those of others: the same models over another wire."""

BY_THE_HOUR = "is paid by the hour and not by the token: state it as capacity in a price file (--prices)"


@dataclass(frozen=True, eq=False)
class Book:
    """Every entry, in the order of the files."""

    entries: tuple[PriceEntry, ...]

    @property
    def sha256(self) -> str:
        """Digest of all entries, for the manifest: equal books price equally."""
        return hashlib.sha256(json.dumps([canonical(entry) for entry in self.entries]).encode()).hexdigest()

    def for_model(self, model: str) -> tuple[PriceEntry, ...]:
        return tuple(entry for entry in self.entries if entry.model == model)

    def at(self, door: str, model: str) -> tuple[PriceEntry, ...]:
        """What a door charges for a model, in every scope and tier, on all days."""
        return next((rows for sold in SOLD_AT.get(door, (door,)) if (rows := self._by_place.get((sold, model)))), ())

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], tuple[PriceEntry, ...]]:
        places: dict[tuple[str, str], list[PriceEntry]] = {}
        for entry in self.entries:
            places.setdefault((entry.door, entry.model), []).append(entry)
        return {place: tuple(rows) for place, rows in places.items()}


def load_book(paths: Sequence[str | Path] | None = None) -> Book:
    """The book in these files; without any, the one that came with bench. ConfigError carries every problem."""
    return _packaged() if paths is None else _book([yamlfile.load(path) for path in paths])


def find(
    target: Target, on: date, lane: str | None = None, book: Book | None = None, overlay: Overlay | None = None
) -> PriceEntry | Unknown:
    """What the target is charged by on that day, with the list price beside it (`list_price`).

    The target's own terms come first: explicit rates, or a discount on the list. Then the user's price file, which is
    `overlay`, or the one that came with the targets. `lane` is the service tier that the reply named; it stands above
    the one that was asked for.
    """
    terms = target.price
    listed = _listed(target, on, lane, book or load_book())
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
            listed=listed,
        )
    if terms.get("discount") is not None:
        return discounted(listed, Decimal(str(terms["discount"]))) if isinstance(listed, PriceEntry) else listed
    if overlay is None and target.prices is not None:
        from bench.price.overlay import overlay_of  # few have prices of their own

        overlay = overlay_of(*target.prices)
    if overlay is None:
        return listed
    scope = scope_of(target, lane)
    where = scope if isinstance(scope, str) else "any"
    return overlay.effective(listed, target.provider, target.model, where, tier_of(target, lane), on)


def packed() -> str:
    """The YAML files of the packaged book as the one JSON text that is read at run time."""
    return json.dumps({name: loaded.data for name, loaded in _yaml_files()}, default=str, separators=(",", ":")) + "\n"


def _listed(target: Target, on: date, lane: str | None, book: Book) -> PriceEntry | Unknown:
    scope, tier = scope_of(target, lane), tier_of(target, lane)
    if isinstance(scope, Unknown):
        return scope
    if tier == "provisioned":
        return Unknown(f"{target.model} at {target.provider}, tier provisioned, {BY_THE_HOUR}")
    if not _same_model(target):
        return Unknown(f"{target.model_id} is not the id of {target.model} at {target.provider} in the registry")
    rows = book.at(target.provider, target.model)
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
        if entry.holds(on):
            return Unknown(f"{named}, tier {tier}: {entry.note}") if entry.status == "unknown" else entry
    first = min(entry.valid_from for entry in tiered)
    return Unknown(f"the price book has no price of {named} on {on} (its first is of {first})")


def _same_model(target: Target) -> bool:
    """Whether the id that is sent is the logical model's own: another id has another price."""
    entry = registry.lookup(target.model, target.provider)
    if entry is None:
        return False
    if target.provider in ("foundry", "azure-openai"):  # the id is the name of a deployment, chosen by its owner
        return True
    if target.provider in ("bedrock", "openai-bedrock"):
        bare = target.model_id.removeprefix(f"{registry.bedrock_profile(target.model_id)}.")
        if target.provider == "openai-bedrock":  # the runtime's ids of open weights have a version
            bare = re.sub(r"-\d:\d$", "", bare)
        return bare == entry.model_id.replace("{profile}.", "")
    return target.model_id in (entry.model_id, target.model, f"{entry.model_id}@default")


def _words(words: object) -> str:
    return ", ".join(dict.fromkeys(words))  # type: ignore[call-overload]


@cache
def _packaged() -> Book:
    text = resources.files("bench.price").joinpath("data", PACKED).read_text(encoding="utf-8")
    files: dict[str, Any] = json.loads(text)
    return _book([yamlfile.Loaded(data, {}, f"bench/price/data/{name}") for name, data in files.items()])


def _yaml_files() -> Iterator[tuple[str, yamlfile.Loaded]]:
    folder = resources.files("bench.price").joinpath("data")
    for name in sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml")):
        text = folder.joinpath(name).read_text(encoding="utf-8")
        yield name, yamlfile.loads(text, f"bench/price/data/{name}")


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
            for entry in _entries(parsed, row) if parsed else ():
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


def _entries(file: BookFile, row: Row) -> Iterator[PriceEntry]:
    rates = row.rates.known() if row.rates else {}
    bands = tuple(Band(band.above_input_tokens, band.rates.known()) for band in row.bands)
    for tier in row.tiers:
        for scope in row.scopes:
            yield PriceEntry(
                id=f"{file.door}/{row.model}/{scope}/{tier}@{row.valid_from}",
                door=file.door,
                model=row.model,
                scope=scope,
                tier=tier,
                rates=rates,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
                source=file.sources[row.source],
                checked=row.checked,
                status=row.status,
                bands=bands,
                note=row.note,
            )


def _overlap(one: PriceEntry, other: PriceEntry) -> bool:
    ends = date.max
    return one.valid_from <= (other.valid_to or ends) and other.valid_from <= (one.valid_to or ends)
