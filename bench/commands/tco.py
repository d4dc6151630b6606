"""`bench tco`: what the demand costs on demand, provisioned and mixed, from what a run measured and what a contract says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.grid import folded, grid
from bench.commands.output import columns_of_terminal
from bench.commands.reprice import asked
from bench.metrics import UNKNOWN

if TYPE_CHECKING:
    from bench.money.tco import Answer, Input, Plan, Swing

WIDTH = 100
NAMES = {
    "request_usd": "a request on demand", "unit_hour_usd": "a unit, an hour", "capacity_per_s": "capacity of a unit",
    "claimed_per_s": "capacity as claimed", "peak": "peaks within an hour", "demand": "demand", "batch_share": "batch share",
    "batch_discount": "batch discount", "cached_share": "cache hit share", "success_share": "success share",
    "output_tokens": "output tokens a request",
    "wh_per_output_token": "energy of an output token", "gco2_per_kwh": "CO2 of a kWh",
}  # fmt: skip


def tco(
    run: Annotated[str, typer.Argument(help="A run: its folder, its id, the beginning of its id, or latest.")],
    demand: Annotated[Path, typer.Option(help="Requests of every hour: a CSV with the head hour,requests.")],
    contract: Annotated[Path, typer.Option(help="The contract on offer, a YAML file.")],
    book: Annotated[
        list[Path] | None,
        typer.Option(
            help="A price book to price the run by, in place of what it cost then; several stand together.",
            metavar="FILE",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="Your own prices over the list, to price the run by (docs/prices.md).", metavar="FILE"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Reckon the total cost of a demand. On demand, provisioned, and the best of both; nothing is sent."""
    found = answered(run, demand, contract, out, book, prices)
    print(json.dumps(as_dict(found), indent=1) if as_json else text(found, min(WIDTH, columns_of_terminal())))
    return 0


def answered(
    run: str, demand: Path, contract: Path, out: Path = Path("results"), book: Sequence[Path] | None = None,
    prices: Path | None = None,
) -> Answer:  # fmt: skip
    """The answer from the files. Raises BenchError; problems of all of them come together, each with its line."""
    from bench.errors import all_of
    from bench.money import measured_use, tco
    from bench.money.offer import load_demand, load_offer
    from bench.store.runs import find_run

    terms, hours, by = all_of(lambda: load_offer(contract), lambda: load_demand(demand), lambda: asked(book, prices))
    offer = terms.offer
    folder = find_run(run, out)
    use, notes, table = measured_use.use_of(folder, offer.target, book=by.book if book else None, prices=by.prices)
    return tco.answer(
        hours, use, measured_use.inputs_of(terms, use, table.levels),
        target=offer.target, name=offer.name, unit=offer.provisioned.unit, least_units=offer.provisioned.min_units,
        step=offer.provisioned.step, shed_usd=offer.shed_usd, commitment=measured_use.commitment_of(terms, hours),
        egress_usd_per_gb=None if offer.egress is None else offer.egress.usd_per_gb, simulated=table.simulated, notes=notes,
    )  # fmt: skip


def text(found: Answer, width: int = WIDTH) -> str:
    """The answer for people, at most so many columns wide."""
    mark = "SIMULATED · " if found.simulated else ""
    lines = [*folded(f"{mark}{found.name} · {found.target}", width), *_headline(found, width), ""]
    lines += grid(
        ("units", "units $", "overflow $", "batch $", "total $", "utilisation", ""),
        [_plan(one, found) for one in dict.fromkeys((found.on_demand, *found.around))],
        width,
        (8, 16, 16, 14, 16, 13, 0),
    )
    if found.commitment:
        rows = [
            (
                _share(row.share),
                *map(_usd, (row.list_usd, row.paid_usd, row.breakage_usd)),
                _share(row.effective_discount),
            )
            for row in found.commitment
        ]
        head = ("forecast", "usage on demand $", "paid $", "unused $", "effective discount")
        lines += ["", *grid(head, rows, width, (10, 20, 16, 16, 20))]
    lines += ["", *_lines_beside(found, width)]
    if found.swings:
        lines += ["", *folded("What moves the answer (units chosen anew at each end):", width)]
        head = ("input", "total $ at low", "at high", "swing $", "units")
        lines += grid(head, [_swing(one) for one in found.swings], width, (26, 18, 16, 16, 14))
    lines += ["", "What it rests on:"]
    for name, rests in found.inputs.items():
        lines += folded(f"- {NAMES.get(name, name)}: {_input(rests)}", width, "  ")
    for note in found.notes:
        lines += folded(f"- {note}", width, "  ")
    return "\n".join(lines)


def _plan(one: Plan, found: Answer) -> tuple[str, ...]:
    remark = "← best" if one.units == found.best.units and one != found.on_demand else ""
    remark = "on demand" if one == found.on_demand else remark
    amounts = map(_usd, (one.units_usd, one.overflow_usd, one.batch_usd, one.total_usd))
    return f"{one.units:,}", *amounts, _share(one.utilisation), remark


def _swing(one: Swing) -> tuple[str, ...]:
    low, high = one.low.units, one.high.units
    units = f"{low:,}" if low == high else f"{low:,} → {high:,}"
    return NAMES.get(one.name, one.name), *map(_usd, (one.low.total_usd, one.high.total_usd, one.usd)), units


def _headline(found: Answer, width: int) -> list[str]:
    saved = found.on_demand.total_usd - found.best.total_usd
    total = f"${_usd(found.best.total_usd)} over {found.hours:,} hours, {found.requests:,.0f} requests"
    said = f"Best: no {found.unit}: {total}."
    if found.best.units:
        said = f"Best: {found.best.units:,} × {found.unit}, {total}: ${_usd(saved)} less than on demand."
    lines = folded(said, width)
    if found.breakeven is None:
        return lines
    even = f"A {found.unit} pays from {_share(found.breakeven)} use on"
    even += "." if found.breakeven < 1 else ": never, at what it really serves."
    if found.claimed is not None and found.claimed[0] is not None:
        even += f" By the seller's own capacity: from {_share(found.claimed[0])}, and {found.claimed[1].units:,} would be best."
    return [*lines, *folded(even, width)]


def _lines_beside(found: Answer, width: int) -> list[str]:
    lines = []
    if found.success_usd is not None:
        share = found.inputs.get("success_share")
        of = f", of which {_share(share.value)} are" if share else ""
        lines.append(f"A request answered as wanted{of}: ${found.success_usd:.6f}.")
    if found.cache_saves_usd is not None:
        hit = found.inputs.get("cached_share")
        at = f" at the measured hit share of {_share(hit.value)}" if hit else ""
        lines.append(f"Cache: saves ${_usd(found.cache_saves_usd)} on demand{at}.")
    if found.batch_saves_usd is not None:
        lines.append(f"Batch: saves ${_usd(found.batch_saves_usd)}, if that share can wait.")
    if found.egress_usd is not None:
        lines.append(f"Egress: ${_usd(found.egress_usd)}, in none of the totals: it is the same in all of them.")
    if found.energy is not None:
        low, mid, high = (_number(kwh) for kwh in found.energy.kwh)
        line = f"Energy (estimated, not measured): {mid} kWh ({low} to {high})"
        if found.energy.kg_co2 is not None:
            low, mid, high = (_number(kg) for kg in found.energy.kg_co2)
            line += f", {mid} kg CO2 ({low} to {high})"
        lines.append(f"{line}.")
    return [part for line in lines for part in folded(line, width)]


def _input(one: Input) -> str:
    span = "" if one.low is None or one.high is None else f" ({_number(one.low)} to {_number(one.high)})"
    unit = "" if one.unit in ("ratio", "share") else f" {one.unit}"
    return f"{_number(one.value)}{span}{unit}, {one.origin}: {one.words}"


def _number(value: Decimal) -> str:
    if not value:
        return "0"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f}".replace("-", "−")


def _share(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{value * 100:.1f} %".replace("-", "−")


def as_dict(found: Answer) -> dict[str, Any]:
    """The answer as plain data; money, and every other decimal, is text."""

    def plan(one: Plan) -> dict[str, Any]:
        return {**dataclasses.asdict(one), "total_usd": one.total_usd}

    made = dataclasses.asdict(found)
    made |= {
        "on_demand": plan(found.on_demand),
        "best": plan(found.best),
        "around": [plan(one) for one in found.around],
    }
    made["swings"] = [
        {"name": one.name, "usd": one.usd, "low": plan(one.low), "high": plan(one.high)} for one in found.swings
    ]
    made["claimed"] = None if found.claimed is None else {"breakeven": found.claimed[0], "best": plan(found.claimed[1])}
    made["commitment"] = [
        {**dataclasses.asdict(one), "effective_discount": one.effective_discount} for one in found.commitment
    ]
    plain: dict[str, Any] = json.loads(json.dumps(made, default=_plain))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(type(value).__name__)
