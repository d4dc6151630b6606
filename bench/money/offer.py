"""The two files that `bench tco` reads beside a run: the contract on offer, and the demand of every hour."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from bench import yamlfile
from bench.errors import ConfigError, Problem
from bench.money.tco import Demand

MOST_PROBLEMS = 20
HEAD = ["hour", "requests"]


def _number(value: Any) -> Decimal:
    if isinstance(value, int | float | str | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and number >= 0:
            return number
    raise ValueError("a decimal number, not negative")


Number = Annotated[
    Decimal, BeforeValidator(_number), WithJsonSchema({"type": ["string", "number"], "examples": ['"1.50"']})
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Strict):
    """A number with the ends that it may have."""

    low: Number
    value: Number
    high: Number


def _ranged(value: Any) -> Any:
    return (
        value
        if isinstance(value, dict | Range)
        else Range(low=_number(value), value=_number(value), high=_number(value))
    )


Ranged = Annotated[Range, BeforeValidator(_ranged)]


class Provisioned(_Strict):
    """What is sold: units by the hour, whether they are used or not."""

    unit: Text = Field(examples=["model unit"])
    usd_per_unit_hour: Ranged = Field(examples=["21.50"])
    min_units: int = Field(default=1, ge=0)
    step: int = Field(default=1, ge=1)


class Capacity(_Strict):
    """What one unit serves inside the service level, in requests per second: measured in the run, or stated."""

    measured_on: Text | None = Field(
        default=None, description="a target of the run whose sweep was made on these units"
    )
    units: Number = Field(default=Decimal(1), description="how many units served that target")
    stated_per_s: Ranged | None = None
    claimed_per_s: Number | None = Field(default=None, description="what the seller says, shown beside")


class Batch(_Strict):
    """The share of the demand that can wait for a day, and what is taken off its price."""

    share: Ranged
    discount: Number


class Commitment(_Strict):
    """What must be spent in so many hours, and the discount that it earns."""

    usd: Number
    hours: int = Field(default=8760, gt=0)
    discount: Number


class Egress(_Strict):
    usd_per_gb: Number


class EnergyOf(_Strict):
    """Assumptions of the reader's own: nothing of it is measured."""

    wh_per_output_token: Ranged
    gco2_per_kwh: Ranged | None = None


class Offer(_Strict):
    """A contract on offer."""

    version: Literal[1]
    name: Text
    target: Text = Field(description="the target of the run whose measured cost is the price on demand")
    provisioned: Provisioned
    capacity: Capacity
    overflow: Literal["on-demand", "shed"] = "on-demand"
    shed_usd: Number | None = Field(default=None, description="what a request costs that nobody serves")
    peak: Ranged | None = Field(default=None, description="the busiest minute of an hour over its mean minute")
    demand: Ranged | None = Field(
        default=None, description="by how much the demand may be smaller or larger than the file"
    )
    batch: Batch | None = None
    commitment: Commitment | None = None
    egress: Egress | None = None
    energy: EnergyOf | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """The offer with the file it stands in, for messages."""

    offer: Offer
    file: yamlfile.Loaded


def load_offer(path: str | Path) -> Contract:
    """The contract in that file. ConfigError carries every problem, each with its line."""
    loaded = yamlfile.load(path)
    offer, problems = yamlfile.validate(Offer, loaded)
    if offer is not None:
        problems = [loaded.problem(where, got, want) for where, got, want in _mistakes(offer)]
    if problems or offer is None:
        raise ConfigError(problems)
    return Contract(offer, loaded)


def _mistakes(offer: Offer) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What contradicts itself: (path, got, want)."""
    capacity = offer.capacity
    if (capacity.measured_on is None) == (capacity.stated_per_s is None):
        got = "nothing" if capacity.measured_on is None else "both measured_on and stated_per_s"
        yield ("capacity",), got, "measured_on: TARGET of the run's sweep, or stated_per_s"
    if not capacity.units:
        yield ("capacity", "units"), "0", "how many units served the sweep"
    if (offer.overflow == "shed") != (offer.shed_usd is not None):
        yield ("overflow",), offer.overflow, "shed together with shed_usd: what a request costs that nobody serves"
    for path, ranged in _ranges(offer):
        if not ranged.low <= ranged.value <= ranged.high:
            yield path, f"{ranged.low} to {ranged.high} around {ranged.value}", "low ≤ value ≤ high"
    for path, number in (
        (("provisioned", "usd_per_unit_hour"), offer.provisioned.usd_per_unit_hour.low),
        (("capacity", "stated_per_s"), None if capacity.stated_per_s is None else capacity.stated_per_s.low),
        (("capacity", "claimed_per_s"), capacity.claimed_per_s),
        (("demand",), None if offer.demand is None else offer.demand.low),
    ):
        if number is not None and not number:
            yield path, "0", "a number above 0"
    if offer.peak is not None and offer.peak.low < 1:
        yield ("peak",), str(offer.peak.low), "1 (an even hour) or more"
    shares = {("batch", "share"): None if offer.batch is None else offer.batch.share.high,
              ("batch", "discount"): None if offer.batch is None else offer.batch.discount,
              ("commitment", "discount"): None if offer.commitment is None else offer.commitment.discount}  # fmt: skip
    for path, share in shares.items():
        if share is not None and share >= 1:
            yield path, str(share), "a share below 1, e.g. 0.2"


def _ranges(offer: Offer) -> Iterator[tuple[tuple[str, ...], Range]]:
    found = {
        ("provisioned", "usd_per_unit_hour"): offer.provisioned.usd_per_unit_hour,
        ("capacity", "stated_per_s"): offer.capacity.stated_per_s,
        ("peak",): offer.peak,
        ("demand",): offer.demand,
        ("batch", "share"): offer.batch and offer.batch.share,
        ("energy", "wh_per_output_token"): offer.energy and offer.energy.wh_per_output_token,
        ("energy", "gco2_per_kwh"): offer.energy and offer.energy.gco2_per_kwh,
    }
    yield from ((path, ranged) for path, ranged in found.items() if isinstance(ranged, Range))


def load_demand(path: str | Path) -> Demand:
    """The demand file: a head `hour,requests`, then every hour (ISO, UTC), in order and without a gap. Raises ConfigError."""
    name = str(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            [Problem(name, "", "", f"cannot be read: {getattr(error, 'strerror', None) or error}")]
        ) from None
    if not rows or [cell.strip() for cell in rows[0]] != HEAD:
        got = ",".join(rows[0]) if rows else "nothing"
        raise ConfigError([Problem(f"{name}:1", "", got, f"the head {','.join(HEAD)}")])
    problems: list[Problem] = []
    hourly: list[int] = []
    before: datetime | None = None
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        where = f"{name}:{line}"
        if len(row) != len(HEAD):
            problems.append(Problem(where, "", f"{len(row)} cells", "two: hour,requests"))
            continue
        hour, wrong = _hour(row[0].strip(), before)
        if wrong:
            problems.append(Problem(where, "hour", row[0].strip() or "nothing", wrong))
        before = hour or before
        count = row[1].strip()
        if not (count.isascii() and count.isdigit()):
            problems.append(Problem(where, "requests", count or "nothing", "a whole number, 0 or more"))
        else:
            hourly.append(int(count))
    if not problems and not sum(hourly):
        problems.append(Problem(name, "requests", "no demand at all", "hours with requests"))
    if problems:
        raise ConfigError(problems[:MOST_PROBLEMS])
    return Demand(tuple(hourly))


def _hour(text: str, before: datetime | None) -> tuple[datetime | None, str]:
    """The hour, and what is wrong with it."""
    try:
        hour = datetime.fromisoformat(text)
    except ValueError:
        return None, "an hour in UTC, e.g. 2026-11-01T00:00Z"
    if (
        hour.tzinfo is None
        or hour.utcoffset() != timedelta(0)
        or hour != hour.replace(minute=0, second=0, microsecond=0)
    ):
        return None, "a full hour in UTC, e.g. 2026-11-01T00:00Z"
    if before is not None and hour != before + timedelta(hours=1):
        return hour, f"the hour after the one before: {(before + timedelta(hours=1)).astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    return hour, ""
