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
from bench.offer import Contract, Range
from bench.price import many
from bench.price.book import load_book
from bench.price.cost import CLASSES
from bench.repricing import COUNTS, Pricer
from bench.stats import ratios
from bench.stats.types import Cell, Level, Table
from bench.store import runs
from bench.store.usage import NONE, Used, table
from bench.tco import Demand, Input, Origin, Use

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
    blocks: list[NDArray[Any]] = field(default_factory=list)
    whole: list[NDArray[Any]] = field(default_factory=list)
    read: list[NDArray[Any]] = field(default_factory=list)
    output: list[NDArray[Any]] = field(default_factory=list)


def use_of(folder: Path, target: str, seed: int = 0) -> tuple[Use, list[str], Table]:
    """What a request to the target used and cost on average, what must be said of it, and the run's table.

    Raises CannotRun when the run has no such target, or no cost of it.
    """
    run = runs.open_run(folder)
    told = tabulate.of_run(run)
    row = next((row for row in told.rows if row.target == target), None)
    if row is None:
        raise CannotRun(f"{folder}: no target {target}", f"one of {', '.join(row.target for row in told.rows)}")
    cell = row.cells["usd_per_1k"]
    if cell.value is None:
        raise CannotRun(
            f"{target}: its cost is not known: {'; '.join(cell.warnings)}", "price the run: bench price RUN --book FILE"
        )
    sums, notes = _summed(folder, run.manifest, target)
    blocks = np.unique(np.concatenate(sums.blocks), return_inverse=True)[1]
    whole, read, output = (np.concatenate(part).astype(np.float64) for part in (sums.whole, sums.read, sums.output))
    each = many.usd(sums.usd) / sums.n
    low, high = ((None if end is None else _decimal(end / 1000)) for end in (cell.low, cell.high))
    cached = None
    if whole.sum():
        cached = _ratio(read, whole, blocks, seed, "share", "cache reads over all input tokens of the run")
    of_output = None if sums.output_usd is None else many.usd(sums.output_usd) / sums.n
    of_input = None if of_output is None else many.usd(sums.final_usd) / sums.n - of_output
    return (
        Use(
            Input(each, low, high, "USD", "measured", f"{sums.n:,} requests of the run, failures and retries included"),
            of_input,
            of_output,
            None if sums.plain_usd is None or of_input is None else many.usd(sums.plain_usd) / sums.n,
            cached,
            _ratio(output, np.ones(len(output)), blocks, seed, "tokens", "output tokens a request, reasoning included"),
            _bytes(folder, target),
        ),
        [*notes, *(f"cost: {warning}" for warning in cell.warnings)],
        told,
    )  # fmt: skip


def _summed(folder: Path, manifest: Mapping[str, Any], target: str) -> tuple[_Sums, list[str]]:
    stored = table(folder, "requests")
    sums, pricer = _Sums(), Pricer(manifest, load_book(), None)
    text, ints = ("target", "phase", "outcome", "served_lane"), ("sent_ns", "spoiled", "block_id", *COUNTS)
    for used in stored.read(text, ints, ("cost_usd", "cost_output_usd", "cost_retries_usd")):
        kept = _counted(used, stored.words, target)
        if not len(kept):
            continue
        usd, out, retries = (used.money[name][kept] for name in ("cost_usd", "cost_output_usd", "cost_retries_usd"))
        sums.n += len(kept)
        sums.final_usd += many.summed(usd)
        sums.usd += many.summed(usd) + many.summed(retries)
        if sums.output_usd is not None:
            sums.output_usd = None if bool((out == NONE).any()) else sums.output_usd + many.summed(out)
        if sums.plain_usd is not None:
            sums.plain_usd = _plain(pricer, used, kept, stored.words, sums.plain_usd)
        given = np.maximum(np.array([used.ints[name][kept] for name in _INPUT]), 0)
        sums.blocks.append(used.ints["block_id"][kept])
        sums.whole.append(given.sum(axis=0))
        sums.read.append(given[1])
        sums.output.append(np.maximum(used.ints["output_tokens"][kept], 0))
    if not sums.n:
        raise CannotRun(f"{target}: no request of it counts and has a known cost", "look at the run: bench compare RUN")
    notes = []
    if sums.output_usd is None:
        notes.append("the run's costs are not stored by class: output length and cache hits cannot be varied")
    if sums.plain_usd is None:
        notes.append("the run was priced by another book: what the cache saves is not known")
    return sums, notes


def _counted(used: Used, words: Mapping[str, Mapping[str, int]], target: str) -> NDArray[np.intp]:
    def code(column: str, word: str) -> int:
        return words.get(column, {}).get(word, -2)

    keep = (used.codes["target"] == code("target", target)) & (used.codes["phase"] == code("phase", "measure"))
    keep &= (
        (used.ints["spoiled"] != 1)
        & (used.codes["outcome"] != code("outcome", "bug"))
        & (used.money["cost_usd"] != NONE)
    )
    return np.flatnonzero(keep)


def _plain(
    pricer: Pricer, used: Used, kept: NDArray[np.intp], words: Mapping[str, Mapping[str, int]], so_far: int
) -> int | None:
    """What the input would have cost if all of it had been plain input; None when the book gives other costs than the run's."""
    ints = {name: values[kept] for name, values in used.ints.items()}
    codes = {name: values[kept] for name, values in used.codes.items()}
    if bool((pricer.priced(Used(codes, ints, {}), words).total != used.money["cost_usd"][kept]).any()):
        return None
    whole = sum(np.maximum(ints[name], 0) for name in _INPUT)
    ints |= {name: np.zeros(len(kept), np.int64) for name in _INPUT} | {"input_tokens": np.asarray(whole)}
    return so_far + many.summed(pricer.priced(Used(codes, ints, {}), words).items["input"])


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
    parts = {"cached_share": use.cached, "output_tokens": use.output_tokens}
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
