"""What a run measured that a calculation of total cost rests on: what a request used and cost, and what a unit can serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import tabulate
from bench.errors import CannotRun
from bench.money.offer import Contract, Range
from bench.money.repricing import COUNTS, Pricer, earlier_tries
from bench.money.tco import Demand, Input, Origin, Use
from bench.price import many, own_terms
from bench.price.book import Book, load_book
from bench.price.cost import CLASSES
from bench.price.overlay import overlay_of
from bench.stats import ratios
from bench.stats.types import Cell, Level, Row, Table
from bench.store import runs
from bench.store.usage import NONE, Used, table

RESAMPLES = 2000
_INPUT = tuple(f"{name}_tokens" for name in CLASSES[:-1])
PLACES = Decimal("1e-12")


@dataclass(eq=False)
class _Sums:
    """Of the requests of one target that count and have a known cost."""

    n: int = 0
    usd: int = 0
    final_usd: int = 0
    """Without what tries before the final ones cost."""
    output_usd: int | None = 0
    plain_usd: int | None = 0
    each: list[NDArray[Any]] = field(default_factory=list)
    """Cost of every request with its retries, for the interval."""
    blocks: list[NDArray[Any]] = field(default_factory=list)
    whole: list[NDArray[Any]] = field(default_factory=list)
    read: list[NDArray[Any]] = field(default_factory=list)
    output: list[NDArray[Any]] = field(default_factory=list)


def use_of(
    folder: Path, target: str, seed: int = 0, book: Book | None = None, prices: tuple[str, str] | None = None
) -> tuple[Use, list[str], Table]:
    """What a request to the target used and cost on average, what must be said of it, and the run's table.

    Costs are those of the run; with a `book`, or `prices` (name and text of a file of the user's own), they are reckoned anew by
    them. Raises CannotRun when the run has no such target, or no cost of it.
    """
    opened = runs.open_run(folder)
    told = tabulate.of_run(opened)
    row = next((row for row in told.rows if row.target == target), None)
    if row is None:
        raise CannotRun(f"{folder}: no target {target}", f"one of {', '.join(row.target for row in told.rows)}")
    cell = row.cells["usd_per_1k"]
    anew = book is not None or prices is not None
    if cell.value is None and not anew:
        raise CannotRun(
            f"{target}: its cost is not known: {'; '.join(cell.warnings)}",
            "say what it costs: --prices FILE, or --book FILE",
        )
    pricer = Pricer(opened.manifest, book or load_book(), None, None if prices is None else overlay_of(*prices))
    sums, notes = _summed(folder, pricer, target, anew)
    notes += own_terms.said(pricer.about, [target], prices)
    blocks = np.unique(np.concatenate(sums.blocks), return_inverse=True)[1]
    whole, read, output = (np.concatenate(part).astype(np.float64) for part in (sums.whole, sums.read, sums.output))
    each = many.usd(sums.usd) / sums.n
    low, high = ((None if end is None else _decimal(end / 1000)) for end in (cell.low, cell.high))
    if anew:  # of the new costs, by the same blocks; the value itself is exact
        usd = np.concatenate(sums.each).astype(np.float64) / many.PICO
        among = _ratio(usd, np.ones(len(usd)), blocks, seed, "USD", "")
        low, high = among.low, among.high
    run = "the run, priced anew" if anew else "the run"
    cached = None
    if whole.sum():
        cached = _ratio(read, whole, blocks, seed, "share", "cache reads over all input tokens of the run")
    of_output = None if sums.output_usd is None else many.usd(sums.output_usd) / sums.n
    of_input = None if of_output is None else many.usd(sums.final_usd) / sums.n - of_output
    return (
        Use(
            Input(each, low, high, "USD", "measured", f"{sums.n:,} requests of {run}, failures and retries included"),
            of_input,
            of_output,
            None if sums.plain_usd is None or of_input is None else many.usd(sums.plain_usd) / sums.n,
            cached,
            _ratio(output, np.ones(len(output)), blocks, seed, "tokens", "output tokens a request, reasoning included"),
            _bytes(folder, target),
            _success(row),
        ),
        [*notes, *(f"cost: {warning}" for warning in cell.warnings if not anew)],
        told,
    )  # fmt: skip


def _summed(folder: Path, pricer: Pricer, target: str, anew: bool) -> tuple[_Sums, list[str]]:
    """The sums over the rows that count, by the costs that the run has, or `anew` by those of the pricer."""
    stored = table(folder, "requests")
    sums = _Sums()
    tried = _Tries.of(folder, pricer, target) if anew else None
    text, ints = ("target", "phase", "outcome", "served_lane"), ("seq", "sent_ns", "spoiled", "block_id", *COUNTS)
    for used in stored.read(text, ints, ("cost_usd", "cost_output_usd", "cost_retries_usd")):
        kept = _counted(used, stored.words, target)
        found = pricer.priced(_rows(used, kept), stored.words)
        if tried is not None:
            known = found.total != NONE
            kept, found = kept[known], many.only(found, known)
            usd, out = found.total, found.items["output"]
            retries = tried.costs(used.ints["seq"][kept])
        else:
            known = used.money["cost_usd"][kept] != NONE
            kept, found = kept[known], many.only(found, known)
            usd, out, retries = (used.money[name][kept] for name in ("cost_usd", "cost_output_usd", "cost_retries_usd"))
        if not len(kept):
            continue
        sums.n += len(kept)
        sums.final_usd += many.summed(usd)
        sums.usd += many.summed(usd) + many.summed(retries)
        sums.each.append(usd + np.maximum(retries, 0))
        if sums.output_usd is not None:
            sums.output_usd = None if bool((out == NONE).any()) else sums.output_usd + many.summed(out)
        if sums.plain_usd is not None:
            same = not bool((found.total != usd).any())
            sums.plain_usd = sums.plain_usd + _plain(pricer, used, kept, stored.words) if same else None
        given = np.maximum(np.array([used.ints[name][kept] for name in _INPUT]), 0)
        sums.blocks.append(used.ints["block_id"][kept])
        sums.whole.append(given.sum(axis=0))
        sums.read.append(given[1])
        sums.output.append(np.maximum(used.ints["output_tokens"][kept], 0))
    if not sums.n:
        raise CannotRun(f"{target}: no request of it counts and has a known cost", "look at the run: bench price RUN")
    notes = []
    if sums.output_usd is None:
        notes.append(
            "the run's costs are not stored by class: output length and cache hits cannot be varied, "
            "unless it is priced anew: --book or --prices"
        )
    if sums.plain_usd is None:
        notes.append(
            "the run was priced by another book: what the cache saves is not known; give that one: --book or --prices"
        )
    if tried is not None and tried.unknown:
        notes.append(f"{tried.unknown:,} tries before the final ones may have been billed and have no known cost")
    return sums, notes


@dataclass(frozen=True, slots=True, eq=False)
class _Tries:
    """What tries before the final ones cost by the pricer, by request."""

    seqs: NDArray[np.int64]
    usd: NDArray[Any]
    unknown: int

    @classmethod
    def of(cls, folder: Path, pricer: Pricer, target: str) -> _Tries:
        sums: dict[int, int] = {}
        unknown = 0
        if table(folder, "attempts").has("cost_usd"):
            for used, words in earlier_tries(folder):
                mine = np.flatnonzero(used.codes["target"] == words.get("target", {}).get(target, -2))
                rows = _rows(used, mine)
                total = pricer.priced(rows, words).total if len(mine) else ()
                for seq, usd, billed in zip(rows.ints["seq"], total, rows.ints["may_be_billed"], strict=True):
                    unknown += int(usd == NONE and billed == 1)
                    sums[int(seq)] = sums.get(int(seq), 0) + max(int(usd), 0)
        seqs = np.array(sorted(sums), np.int64)
        return cls(seqs, np.array([sums[int(seq)] for seq in seqs], np.int64), unknown)

    def costs(self, seqs: NDArray[np.int64]) -> NDArray[Any]:
        """Of each of these requests; 0 where it was tried once."""
        if not len(self.seqs):
            return np.zeros(len(seqs), np.int64)
        place = np.minimum(np.searchsorted(self.seqs, seqs), len(self.seqs) - 1)
        return np.where(self.seqs[place] == seqs, self.usd[place], 0)


def _rows(used: Used, kept: NDArray[np.intp]) -> Used:
    return Used(
        {name: values[kept] for name, values in used.codes.items()},
        {name: values[kept] for name, values in used.ints.items()},
        {},
    )


def _counted(used: Used, words: Mapping[str, Mapping[str, int]], target: str) -> NDArray[np.intp]:
    def code(column: str, word: str) -> int:
        return words.get(column, {}).get(word, -2)

    keep = (used.codes["target"] == code("target", target)) & (used.codes["phase"] == code("phase", "measure"))
    keep &= (used.ints["spoiled"] != 1) & (used.codes["outcome"] != code("outcome", "bug"))
    return np.flatnonzero(keep)


def _plain(pricer: Pricer, used: Used, kept: NDArray[np.intp], words: Mapping[str, Mapping[str, int]]) -> int:
    """What the input would have cost if all of it had been plain input."""
    rows = _rows(used, kept)
    whole = sum(np.maximum(rows.ints[name], 0) for name in _INPUT)
    ints = {**rows.ints, **{name: np.zeros(len(kept), np.int64) for name in _INPUT}, "input_tokens": np.asarray(whole)}
    return many.summed(pricer.priced(Used(rows.codes, ints, {}), words).items["input"])


def _success(row: Row) -> Input | None:
    """Share of requests that were right and inside the slo, as far as the run can tell: by cost, by the slo alone, or ok."""
    each, success = row.cells["usd_per_1k"], row.cells["usd_per_success"]
    if each.value and success.value and success.low and success.high:
        dollars = (success.value, success.high, success.low)
        value, worst, most = (min(_decimal(each.value / 1000 / usd), Decimal(1)) for usd in dollars)
        return Input(value, worst, most, "share", "measured", "requests that were right and inside the slo")
    for name, words in (
        ("within_slo_share", "inside the slo; right or wrong was not scored"),
        ("ok_share", "that ended ok"),
    ):
        cell = row.cells[name]
        if cell.value:
            low, high = (None if end is None else _decimal(end) for end in (cell.low, cell.high))
            return Input(_decimal(cell.value), low, high, "share", "measured", f"requests {words}")
    return None


def _ratio(above: NDArray[Any], below: NDArray[Any], blocks: NDArray[Any], seed: int, unit: str, words: str) -> Input:
    """A ratio of sums with its block bootstrap."""
    count = int(blocks.max()) + 1
    tops, bottoms = (np.bincount(blocks, values, minlength=count).astype(np.float64) for values in (above, below))
    value = float(above.sum() / below.sum())
    drawn = ratios.sums_ratio(tops, bottoms, ratios.resample_blocks(count, seed, RESAMPLES))
    ends = ratios.expanded_interval(drawn, value, count)
    low, high = (None if end is None else _decimal(end) for end in (ends.low, ends.high))
    return Input(_decimal(value), low, high, unit, "measured", words)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(PLACES)


def _bytes(folder: Path, target: str) -> Decimal | None:
    """Body bytes that came back for a request, all its tries together."""
    stored = table(folder, "attempts")
    if not stored.path.is_file():
        return None
    total, seqs = 0, 0
    for used in stored.read(("target",), ("attempt", "bytes_received"), ()):
        mine = used.codes["target"] == stored.words.get("target", {}).get(target, -2)
        total += int(np.maximum(used.ints["bytes_received"][mine], 0).sum())
        seqs += int((used.ints["attempt"][mine] == 1).sum())
    return Decimal(total) / seqs if seqs else None


def capacity_of(levels: Sequence[Level], target: str, units: Decimal) -> Input:
    """What one unit serves inside the service level: the goodput at the highest level below which none failed, over the units.

    Raises CannotRun when the run has no levels of that target, or when none of them met the slo.
    """
    mine = sorted((level for level in levels if level.target == target), key=lambda level: level.level)
    if not mine or all(level.meets_slo is None for level in mine):
        raise CannotRun(
            f"{target}: the run has no sweep under a slo, so no capacity was measured",
            "sweep it (load.sweep in the workload), or state it: capacity: {stated_per_s: ...}",
        )
    failed = next((level for level in mine if level.meets_slo is False), None)
    held = [level for level in mine if level.meets_slo and (failed is None or level.level < failed.level)]
    if not held:
        raise CannotRun(f"{target}: no level of the sweep met the slo", "sweep lower levels, or state the capacity")
    top = held[-1]
    cell: Cell = top.cells["goodput_per_s"]
    if not cell.value:
        cell = top.cells["achieved_per_s"]
    if not cell.value:
        raise CannotRun(f"{target}: nothing came back in time at {top.level:g}", "state the capacity")
    above = f"{failed.level:g} did not" if failed is not None else "no level failed: it may serve more"
    sure = "" if top.slo_settled else "; the intervals leave it open"
    low, high = (None if end is None else _decimal(end) / units for end in (cell.low, cell.high))
    words = f"goodput of {target} over {units} units at level {top.level:g}, which met the slo ({above}{sure})"
    return Input(_decimal(cell.value) / units, low, high, "requests/s", "measured", words)


def inputs_of(contract: Contract, use: Use, levels: Sequence[Level]) -> dict[str, Input]:
    """Every input by name: what was measured, what the contract states, and what is assumed for want of both."""
    offer = contract.offer

    def given(one: Range | None, unit: str, words: str, otherwise: str, origin: Origin = "stated") -> Input:
        if one is None:
            return Input(Decimal(otherwise), None, None, unit, "assumed", words)
        ranged = one.low != one.high
        return Input(one.value, one.low if ranged else None, one.high if ranged else None, unit, origin, words)

    capacity = offer.capacity
    found = {
        "request_usd": use.request_usd,
        "unit_hour_usd": given(
            offer.provisioned.usd_per_unit_hour, "USD", f"an hour of one {offer.provisioned.unit}", "0"
        ),
        "capacity_per_s": given(capacity.stated_per_s, "requests/s", "what one unit serves", "0")
        if capacity.measured_on is None
        else capacity_of(levels, capacity.measured_on, capacity.units),
        "peak": given(offer.peak, "ratio", "busiest minute of an hour over its mean", "1"),
        "demand": given(offer.demand, "ratio", "the demand file, times", "1"),
    }
    if offer.demand is None:
        found["demand"] = Input(
            Decimal(1), Decimal("0.8"), Decimal("1.25"), "ratio", "assumed", "the demand file, times"
        )
    if capacity.claimed_per_s is not None:
        words = "what one unit serves, by its seller"
        found["claimed_per_s"] = Input(capacity.claimed_per_s, None, None, "requests/s", "stated", words)
    if offer.batch is not None:
        found["batch_share"] = given(offer.batch.share, "share", "of the demand can wait for a batch", "0")
        found["batch_discount"] = Input(offer.batch.discount, None, None, "share", "stated", "off the price in a batch")
    parts = {"cached_share": use.cached, "output_tokens": use.output_tokens, "success_share": use.success}
    found |= {name: one for name, one in parts.items() if one is not None}
    if offer.energy is not None:
        words = "estimated, not measured: nobody outside can"
        found["wh_per_output_token"] = given(offer.energy.wh_per_output_token, "Wh", words, "0", "assumed")
        if offer.energy.gco2_per_kwh is not None:
            found["gco2_per_kwh"] = given(offer.energy.gco2_per_kwh, "g", words, "0", "assumed")
    return found


def commitment_of(contract: Contract, demand: Demand) -> tuple[Decimal, Decimal] | None:
    """What must be spent over the hours of the demand, and the discount."""
    one = contract.offer.commitment
    return None if one is None else (one.usd * demand.hours / one.hours, one.discount)
