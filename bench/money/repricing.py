"""Pricing a stored run again, by any book and as of any day: from its Parquet and its manifest alone.

Rows are read and priced a stretch at a time, so ten million take seconds and no memory. With the book and the day that the
run was priced by, the amounts are those of the run to the last digit. Warm-up counts, and so do failed requests and retries:
they are on the bill. What judges cost is never a part of this: they are asked by another account, after the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import CannotRun
from bench.metrics import plural
from bench.price import many, own_terms
from bench.price.book import Book, PriceEntry, Unknown, find
from bench.price.cost import CLASSES, ITEM_COLUMNS, REASONING_COLUMN
from bench.price.overlay import Overlay, overlay_of
from bench.store import runs
from bench.store.disk import DAMAGED
from bench.store.usage import NONE, Used, table
from bench.targets import Target

COUNTS = tuple(f"{name}_tokens" for name in (*CLASSES, "reasoning"))
RETRIES = "cost_retries_usd"
PARTS = (*ITEM_COLUMNS.values(), RETRIES)
"""What a target's cost is the sum of. Reasoning is a part of output, and stands beside them."""
_TARGET_FIELDS = tuple(f.name for f in dataclasses.fields(Target))

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class UsedEntry:
    """An entry that priced requests of a target, or why there was none; `tries` counts retries too."""

    target: str
    lane: str | None
    on: date
    entry: PriceEntry | Unknown
    tries: int


@dataclass(slots=True)
class Bill:
    """What a target cost, in USD. An amount is None when nothing of it is known; `unpriced` counts requests of unknown cost.

    `parts` are the columns of PARTS; in a run of before there were parts all are None.
    """

    total: Decimal | None = None
    parts: dict[str, Decimal | None] = field(default_factory=lambda: dict.fromkeys((*PARTS, REASONING_COLUMN)))
    unpriced: int = 0

    def add(self, column: str | None, picodollars: int) -> None:
        """More of the total (None), or of a part, which is then a part of the total as well."""
        usd = many.usd(picodollars)
        if column is None:
            self.total = usd + (self.total or 0)
        else:
            self.parts[column] = usd + (self.parts[column] or 0)


@dataclass(slots=True)
class Repriced:
    """A target's requests by the run's own prices and by the others. `changed` counts rows, retries too, whose cost differs."""

    target: str
    model: str
    requests: int = 0
    old: Bill = field(default_factory=Bill)
    new: Bill = field(default_factory=Bill)
    changed: int = 0
    retried: int = 0
    unpriced_retries: int = 0
    listed: Bill | None = None
    """By the list, where the user's own terms stand above it; only the total and the retries of it."""


@dataclass(frozen=True, slots=True)
class Repricing:
    """The whole run. `same_book`: whether book and own prices are those that the run was priced by. `terms`: whose own terms
    stand above them, and whose are missing.
    """

    run_id: str
    targets: tuple[Repriced, ...]
    entries: tuple[UsedEntry, ...]
    same_book: bool
    on: date | None
    simulated: bool
    terms: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.targets)

    @property
    def changed(self) -> int:
        return sum(one.changed for one in self.targets)


def target_of(facts: Mapping[str, Any]) -> Target:
    """A target as the manifest has it: without secrets, and with the settings that were sent."""
    return Target(**{name: facts[name] for name in _TARGET_FIELDS if name in facts})


def reprice(folder: Path, book: Book, on: date | None = None, prices: tuple[str, str] | None = None) -> Repricing:
    """Prices every row of the run. Without `on` each by the day on which its segment of the run began.

    `prices`: name and text of a file of the user's own prices. Raises CannotRun when the tables cannot be read, or when the
    manifest does not say what the targets were; ConfigError when the prices have a mistake.
    """
    run = runs.open_run(folder)
    work = Pricer(run.manifest, book, on, None if prices is None else overlay_of(*prices))
    requests = table(folder, "requests")
    money = ("cost_usd", *ITEM_COLUMNS.values(), REASONING_COLUMN)
    again = False
    for used in requests.read(("target", "served_lane"), ("sent_ns", "attempts", *COUNTS), money):
        work.requests(used, requests.words)
        again |= bool((used.ints["attempts"] != 1).any())  # or not known
    if again and table(folder, "attempts").has("cost_usd"):
        work.retries(folder)
    return Repricing(
        str(run.manifest.get("run_id") or ""),
        tuple(work.found[name] for name in (*work.about, *(n for n in work.found if n not in work.about)) if name in work.found),
        tuple(
            UsedEntry(target, lane, day, entry, int(tries))
            for (target, lane, day), entry, tries in zip(work.keys, work.entries, work.tries, strict=True)
            if tries
        ),
        book.sha256 == run.manifest.get("price_book_sha256") and own_terms.same(work.about, prices),
        on,
        bool(run.manifest.get("simulated")),
        tuple(own_terms.said(work.about, work.found, prices)),
    )  # fmt: skip


class Pricer:
    """The prices met so far, and the sums."""

    def __init__(
        self, manifest: Mapping[str, Any], book: Book, on: date | None, overlay: Overlay | None = None
    ) -> None:
        self.about: dict[str, Mapping[str, Any]] = {one["id"]: one for one in manifest.get("targets") or []}
        self.book = book
        self.overlay = overlay
        segments = manifest.get("segments") or [{"started": manifest.get("started"), "offset_ns": 0}]
        days = [date.fromisoformat(str(one["started"])[:10]) if on is None else on for one in segments]
        self.days = days
        self.begins = np.array([int(one.get("offset_ns") or 0) for one in segments], np.int64)
        self.found: dict[str, Repriced] = {}
        self.keys: dict[tuple[str, str | None, date], int] = {}
        self.entries: list[PriceEntry | Unknown] = []
        self.caching: list[bool] = []
        self.tries: NDArray[np.int64] = np.zeros(0, np.int64)
        self._tariff: many.Tariff | None = None
        self._list: many.Tariff | None = None

    def requests(self, used: Used, words: Mapping[str, Mapping[str, int]]) -> None:
        codes, of, names = self.coded(used, words)
        priced, listed = self.by_tariff(used, codes), self.by_list(used, codes)
        was = used.money["cost_usd"]
        sizes = np.bincount(of, minlength=len(names))
        changed = np.bincount(of[priced.total != was], minlength=len(names))
        total, before = _Sums(priced.total, of, sizes), _Sums(was, of, sizes)
        columns = {
            **{ITEM_COLUMNS[name]: amounts for name, amounts in priced.items.items()},
            REASONING_COLUMN: priced.reasoning,
        }
        now = {column: _Sums(amounts, of, sizes) for column, amounts in columns.items()}
        then = {column: _Sums(used.money[column], of, sizes) for column in columns}
        at_list = None if listed is None else _Sums(listed, of, sizes)
        for code in np.flatnonzero(sizes):
            name = names[code]
            one = self.found.setdefault(name, Repriced(name, str(self.about.get(name, {}).get("model") or "")))
            one.requests += int(sizes[code])
            one.changed += int(changed[code])
            total.add_to(one.new, None, code)
            before.add_to(one.old, None, code)
            one.new.unpriced += total.unknown(code)
            one.old.unpriced += before.unknown(code)
            if at_list is not None and self.differs(name):
                one.listed = one.listed or Bill()
                at_list.add_to(one.listed, None, code)
                one.listed.unpriced += at_list.unknown(code)
            for column in columns:
                now[column].add_to(one.new, column, code)
                then[column].add_to(one.old, column, code)

    def retries(self, folder: Path) -> None:
        """The attempts before the final ones."""
        for used, words in earlier_tries(folder):
            codes, of, names = self.coded(used, words)
            priced, listed = self.by_tariff(used, codes), self.by_list(used, codes)
            was = used.money["cost_usd"]
            sizes = np.bincount(of, minlength=len(names))
            changed = np.bincount(of[priced.total != was], minlength=len(names))
            open_ = np.bincount(of[(priced.total == NONE) & (used.ints["may_be_billed"] == 1)], minlength=len(names))
            total, before = _Sums(priced.total, of, sizes), _Sums(was, of, sizes)
            at_list = None if listed is None else _Sums(listed, of, sizes)
            for code in np.flatnonzero(sizes):
                name = names[code]
                if name not in self.found:
                    continue
                one = self.found[name]
                one.retried += int(sizes[code])
                one.changed += int(changed[code])
                one.unpriced_retries += int(open_[code])
                total.add_to(one.new, RETRIES, code)
                before.add_to(one.old, RETRIES, code)
                if at_list is not None and self.differs(name):
                    one.listed = one.listed or Bill()
                    at_list.add_to(one.listed, RETRIES, code)

    def priced(self, used: Used, words: Mapping[str, Mapping[str, int]]) -> many.Priced:
        """What these rows cost."""
        return self.by_tariff(used, self.coded(used, words)[0])

    def coded(self, used: Used, words: Mapping[str, Mapping[str, int]]) -> tuple[Codes, Codes, list[str]]:
        """The entry of every row, and its target, each as a code; and the targets by name."""
        targets, lanes = list(words.get("target", {})), list(words.get("served_lane", {}))
        segment = np.maximum(np.searchsorted(self.begins, used.ints["sent_ns"], "right") - 1, 0)
        of, lane = used.codes["target"], used.codes["served_lane"]
        combined = (of.astype(np.int64) * (len(lanes) + 1) + lane + 1) * len(self.days) + segment
        present = np.flatnonzero(np.bincount(combined))
        codes = np.zeros(int(combined.max(initial=0)) + 1, np.int32)
        codes[present] = [self._code(int(key), targets, lanes) for key in present]
        tries = np.zeros(len(self.entries), np.int64)
        tries[: len(self.tries)] = self.tries  # entries only join
        self.tries = tries + np.bincount(codes[combined], minlength=len(tries))
        if self._tariff is None or len(self._tariff.known) < len(self.entries):
            self._tariff = many.tariff(self.entries, self.caching)
            listed = [one.list_price if isinstance(one, PriceEntry) else one for one in self.entries]
            self._list = many.tariff(listed, self.caching) if listed != self.entries else None
        return codes[combined], of, targets

    def by_tariff(self, used: Used, codes: Codes) -> many.Priced:
        assert self._tariff is not None
        return many.price(self._tariff, codes, _counts(used), used.ints["reasoning_tokens"])

    def by_list(self, used: Used, codes: Codes) -> NDArray[Any] | None:
        """What the rows would cost by the list; None where that is what they cost."""
        if self._list is None:
            return None
        return many.price(self._list, codes, _counts(used), used.ints["reasoning_tokens"]).total

    def differs(self, target: str) -> bool:
        """Whether anything of the target is charged by the user's own terms."""
        used = (self.entries[at] for (name, _, _), at in self.keys.items() if name == target)
        return any(isinstance(one, PriceEntry) and one.list_price is not one for one in used)

    def _code(self, combined: int, targets: Sequence[str], lanes: Sequence[str]) -> int:
        rest, segment = divmod(combined, len(self.days))
        of, lane = divmod(rest, len(lanes) + 1)
        key = (targets[of], lanes[lane - 1] if lane else None, self.days[segment])
        if key not in self.keys:
            about = self.about.get(key[0])
            if about is None:
                raise CannotRun(f"the manifest does not say what {key[0]} was", DAMAGED)
            self.keys[key] = len(self.entries)
            self.entries.append(find(target_of(about), key[2], key[1], self.book, self.overlay))
            self.caching.append(bool((about.get("params") or {}).get("cache_breakpoints")))
        return self.keys[key]


class _Sums:
    """Sums of a stretch of amounts by target, with how many of them are known."""

    def __init__(self, amounts: NDArray[Any], of: Codes, sizes: NDArray[np.intp]) -> None:
        known = amounts != NONE
        self.sizes = sizes
        self.known = sizes if known.all() else np.bincount(of[known], minlength=len(sizes))
        self.sums = many.summed_by(amounts, of, len(sizes)) if self.known.any() else [0] * len(sizes)

    def unknown(self, code: np.intp) -> int:
        return int(self.sizes[code] - self.known[code])

    def add_to(self, bill: Bill, column: str | None, code: np.intp) -> None:
        """Nothing where nothing is known: an amount stays None, and does not become 0."""
        if self.known[code]:
            bill.add(column, self.sums[code])


def earlier_tries(folder: Path) -> Iterator[tuple[Used, Mapping[str, Mapping[str, int]]]]:
    """The tries before the final ones, with the words of their codes. Of a run of one try each hardly anything is read."""
    attempts = table(folder, "attempts")
    last: dict[int, int] = {}
    for used in attempts.read((), ("seq", "attempt"), ()):
        for at in np.flatnonzero(used.ints["attempt"] > 1):
            seq = int(used.ints["seq"][at])
            last[seq] = max(last.get(seq, 1), int(used.ints["attempt"][at]))
    if not last:
        return
    tried = np.array(sorted(last), np.int64)
    most = np.array([last[int(seq)] for seq in tried], np.int64)
    text, ints = ("target", "served_lane"), ("seq", "attempt", "sent_ns", "may_be_billed", *COUNTS)
    for used in attempts.read(text, ints, ("cost_usd",)):
        place = np.minimum(np.searchsorted(tried, used.ints["seq"]), len(tried) - 1)
        earlier = (tried[place] == used.ints["seq"]) & (used.ints["attempt"] < most[place])
        if earlier.any():
            yield _only(used, earlier), attempts.words


def _counts(used: Used) -> dict[str, NDArray[np.int64]]:
    return {name: used.ints[f"{name}_tokens"] for name in CLASSES}


def _only(used: Used, rows: NDArray[np.bool_]) -> Used:
    return Used(
        {name: values[rows] for name, values in used.codes.items()},
        {name: values[rows] for name, values in used.ints.items()},
        {name: values[rows] for name, values in used.money.items()},
    )


def notes(found: Repricing) -> Iterator[str]:
    """What must be said beside the numbers."""
    if found.same_book and found.on is None:
        if found.changed == 0:
            yield "the run's own book: every amount is the run's to the last digit"
        else:
            other = plural(found.changed, "row")
            yield f"the run's own book, and yet {other} cost another amount: they, or how bench prices, changed since"
    yield from found.terms
    for one in found.targets:
        if one.listed is not None and one.listed.unpriced > one.new.unpriced:
            yield f"{one.target}: {plural(one.listed.unpriced, 'request')} without a list price, in no sum at list prices"
        if one.new.unpriced:
            yield f"{one.target}: {plural(one.new.unpriced, 'request')} of unknown cost, in no sum"
        if one.unpriced_retries:
            yield f"{one.target}: {plural(one.unpriced_retries, 'retried try')} that may have been billed have no known cost"
    if any(one.old.total is not None and one.old.parts[ITEM_COLUMNS["input"]] is None for one in found.targets):
        yield "the run is of before costs were stored by class: its parts are not known, its totals are"
