"""What a year of demand costs on demand, with provisioned units, and with both: the best number of units, and what moves it.

Pure arithmetic over numbers with an origin. Demand is the empirical distribution of whole hours. With N units bought, hours
above their capacity spill over to pay-as-you-go (or are shed, at a stated loss): a newsvendor whose best N is where the
chance that one more unit is needed equals its price over that of the work it would save. Money is Decimal from end to end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cached_property
from itertools import accumulate
from typing import Literal

Origin = Literal["measured", "stated", "assumed"]
ONE, ZERO = Decimal(1), Decimal(0)
SECONDS_PER_HOUR = 3600
FORECASTS = (Decimal("0.5"), Decimal("0.75"), Decimal(1), Decimal("1.25"))
"""Shares of the forecast at which a commitment is shown."""
HOURS_PER_MONTH = Decimal(730)


@dataclass(frozen=True, slots=True)
class Input:
    """A number that the answer rests on, with its range and where it comes from. `words` say it for people."""

    value: Decimal
    low: Decimal | None
    high: Decimal | None
    unit: str
    origin: Origin
    words: str


@dataclass(frozen=True)
class Demand:
    """Requests of every hour, in the order of the hours."""

    hourly: tuple[int, ...]

    @cached_property
    def ordered(self) -> list[int]:
        return sorted(self.hourly)

    @cached_property
    def below(self) -> list[int]:
        """Requests of the n smallest hours together, by n."""
        return [0, *accumulate(self.ordered)]

    @property
    def total(self) -> int:
        return self.below[-1]

    @property
    def hours(self) -> int:
        return len(self.hourly)

    def above(self, bound: Decimal) -> Decimal:
        """Requests beyond `bound` an hour, all hours together."""
        at = bisect_right(self.ordered, bound)
        return self.total - self.below[at] - bound * (self.hours - at)

    def quantile(self, share: Decimal) -> int:
        """The smallest hourly demand that at least this share of the hours do not exceed."""
        rank = int((share * self.hours).to_integral_value(ROUND_CEILING))
        return self.ordered[min(max(rank, 1), self.hours) - 1]


@dataclass(frozen=True)
class Situation:
    """All that the cost of a plan depends on. `request_usd` is a request on demand, `per_unit` what a unit serves in an hour.

    `factor` scales the demand. `batched` is the share of it that can wait and costs `batch_usd` a request; the rest comes in
    peaks: the unit's hourly capacity counts as `per_unit / peak`. `shed_usd` is the loss by a request that nobody serves; None
    where what is above the units' capacity is served on demand.
    """

    demand: Demand
    request_usd: Decimal
    unit_hour_usd: Decimal
    per_unit: Decimal
    peak: Decimal = ONE
    factor: Decimal = ONE
    batched: Decimal = ZERO
    batch_usd: Decimal = ZERO
    shed_usd: Decimal | None = None
    least_units: int = 0
    step: int = 1

    @property
    def live(self) -> Decimal:
        """By how much the hours of the demand are multiplied to give what cannot wait."""
        return self.factor * (1 - self.batched)

    @property
    def usable(self) -> Decimal:
        """Requests that one unit really serves in an hour."""
        return self.per_unit / self.peak

    @property
    def missed_usd(self) -> Decimal:
        """What a request above the units' capacity costs."""
        return self.request_usd if self.shed_usd is None else self.shed_usd


@dataclass(frozen=True, slots=True)
class Plan:
    """So many units over all hours of the demand."""

    units: int
    units_usd: Decimal
    overflow_requests: Decimal
    overflow_usd: Decimal
    batch_usd: Decimal
    utilisation: Decimal | None
    """Share of the units' hours that is used; None without units."""

    @property
    def total_usd(self) -> Decimal:
        return self.units_usd + self.overflow_usd + self.batch_usd


def plan(at: Situation, units: int) -> Plan:
    """What so many units cost, and what spills over."""
    capacity = units * at.usable
    over = at.live * at.demand.above(capacity / at.live) if at.live else ZERO
    served = at.live * at.demand.total - over
    hours = at.demand.hours
    return Plan(
        units, units * at.unit_hour_usd * hours, over, over * at.missed_usd,
        at.factor * at.batched * at.demand.total * at.batch_usd,
        served / (capacity * hours) if capacity else None,
    )  # fmt: skip


def breakeven(at: Situation) -> Decimal | None:
    """The utilisation above which a unit is cheaper than what it serves would cost otherwise; None where that costs nothing."""
    worth = at.missed_usd * at.usable
    return at.unit_hour_usd / worth if worth else None


def best(at: Situation) -> Plan:
    """The cheapest plan. Cost is convex in the units, so it lies beside the newsvendor's quantile, at the fewest, or at none."""
    candidates = {0, _allowed(at, Decimal(at.least_units), up=True)}
    share = breakeven(at)
    if share is not None and share < 1:
        needed = at.live * at.demand.quantile(1 - share) / at.usable
        candidates |= {_allowed(at, needed, up=False), _allowed(at, needed, up=True)}
    return min((plan(at, units) for units in sorted(candidates)), key=lambda one: one.total_usd)


def _allowed(at: Situation, units: Decimal, up: bool) -> int:
    """The next number of units that can be bought, upwards or downwards, at least the fewest."""
    steps = (units / at.step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    fewest = -(-at.least_units // at.step)
    return max(int(steps), fewest) * at.step


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment at one share of the forecast: `list_usd` is the usage at list price, `breakage_usd` what is paid unused."""

    share: Decimal
    list_usd: Decimal
    paid_usd: Decimal
    breakage_usd: Decimal

    @property
    def effective_discount(self) -> Decimal | None:
        return 1 - self.paid_usd / self.list_usd if self.list_usd else None


def committed(forecast_usd: Decimal, commit_usd: Decimal, discount: Decimal) -> tuple[Committed, ...]:
    """What is paid when usage comes to so many shares of the forecast: the discounted usage, never less than the commitment."""
    rows = []
    for share in FORECASTS:
        usage = share * forecast_usd
        used = usage * (1 - discount)
        paid = max(commit_usd, used)
        rows.append(Committed(share, usage, paid, paid - used))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Swing:
    """How far the answer moves when one input goes from its low to its high end and all others stay."""

    name: str
    low: Plan
    high: Plan

    @property
    def usd(self) -> Decimal:
        return abs(self.high.total_usd - self.low.total_usd)


def tornado(at: Situation, ends: Mapping[str, tuple[Situation, Situation]]) -> tuple[Swing, ...]:
    """The inputs by what they move, the largest first; at both ends the best number of units is chosen anew."""
    swings = [Swing(name, best(low), best(high)) for name, (low, high) in ends.items()]
    return tuple(sorted(swings, key=lambda swing: (-swing.usd, swing.name)))


@dataclass(frozen=True, slots=True)
class Use:
    """What a request used and cost in the run, on average. `cached` is the share of input read from the cache.

    `input_usd` and `output_usd` are the parts of the cost, retries apart; `plain_usd` is what the input would have cost without
    a cache. None where the price or the counts are not known.
    """

    request_usd: Input
    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    plain_usd: Decimal | None = None
    cached: Input | None = None
    output_tokens: Input | None = None
    bytes_received: Decimal | None = None
    success: Input | None = None
    """Share of requests that were answered as wanted."""

    def at_cached(self, share: Decimal) -> Decimal:
        """The cost of a request if that share of its input had been read from the cache: what is saved goes with the share."""
        assert self.cached is not None
        assert self.cached.value
        saved = (self.plain_usd or ZERO) - (self.input_usd or ZERO)
        return self.request_usd.value + saved * (1 - share / self.cached.value)

    def at_output(self, tokens: Decimal) -> Decimal:
        """The cost of a request if its reply had been so long."""
        assert self.output_tokens is not None
        return self.request_usd.value + (self.output_usd or ZERO) * (tokens / self.output_tokens.value - 1)


@dataclass(frozen=True, slots=True)
class Energy:
    """Of all requests, in kWh and kg CO2: low, middle and high. An estimate: nobody outside can measure it."""

    kwh: tuple[Decimal, Decimal, Decimal]
    kg_co2: tuple[Decimal, Decimal, Decimal] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that `bench tco` says. All amounts are for the hours of the demand file."""

    target: str
    name: str
    unit: str
    hours: int
    requests: Decimal
    inputs: Mapping[str, Input]
    on_demand: Plan
    best: Plan
    around: tuple[Plan, ...]
    breakeven: Decimal | None
    claimed: tuple[Decimal | None, Plan] | None
    """Break-even and best plan if a unit served what the seller says."""
    swings: tuple[Swing, ...]
    commitment: tuple[Committed, ...] = ()
    success_usd: Decimal | None = None
    """What one request that was answered as wanted costs with the best plan."""
    cache_saves_usd: Decimal | None = None
    batch_saves_usd: Decimal | None = None
    egress_usd: Decimal | None = None
    energy: Energy | None = None
    simulated: bool = False
    notes: tuple[str, ...] = field(default=())


def answer(
    demand: Demand,
    use: Use,
    inputs: Mapping[str, Input],
    *,
    target: str,
    name: str,
    unit: str,
    least_units: int,
    step: int,
    shed_usd: Decimal | None = None,
    commitment: tuple[Decimal, Decimal] | None = None,
    egress_usd_per_gb: Decimal | None = None,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Answer:
    """From the inputs to the answer. Names of inputs: unit_hour_usd, capacity_per_s, claimed_per_s, peak, demand, batch_share,
    batch_discount, wh_per_output_token, gco2_per_kwh; all but the first two may be missing. `commitment` is USD over these
    hours, and the discount.
    """

    def value(key: str, otherwise: Decimal) -> Decimal:
        return inputs[key].value if key in inputs else otherwise

    off = value("batch_discount", ZERO)
    egress = ZERO
    if egress_usd_per_gb is not None and use.bytes_received is not None:
        egress = use.bytes_received / 10**9 * egress_usd_per_gb
    base = Situation(
        demand, use.request_usd.value, inputs["unit_hour_usd"].value, inputs["capacity_per_s"].value * SECONDS_PER_HOUR,
        peak=value("peak", ONE), factor=value("demand", ONE), batched=value("batch_share", ZERO),
        batch_usd=use.request_usd.value * (1 - off), shed_usd=shed_usd, least_units=least_units, step=step,
    )  # fmt: skip
    bought = best(base)
    units = sorted({max(0, bought.units + n * step) for n in (-2, -1, 0, 1, 2)})
    nothing = replace(base, shed_usd=None)
    requests = base.factor * demand.total
    claimed = None
    if "claimed_per_s" in inputs:
        said = replace(base, per_unit=inputs["claimed_per_s"].value * SECONDS_PER_HOUR)
        claimed = breakeven(said), best(said)
    on_demand = plan(nothing, 0)
    saved = None if use.plain_usd is None or use.input_usd is None else (use.plain_usd - use.input_usd) * requests
    return Answer(
        target, name, unit, demand.hours, requests, inputs, on_demand, bought,
        tuple(plan(base, n) for n in units if n == 0 or n >= least_units), breakeven(base), claimed,
        tornado(base, _ends(base, use, inputs, off)),
        () if commitment is None else committed(on_demand.total_usd, *commitment),
        _per_success(bought, base, use, requests),
        saved,
        None if "batch_share" not in inputs else requests * base.batched * (use.request_usd.value - base.batch_usd),
        None if egress_usd_per_gb is None or use.bytes_received is None else egress * requests,
        _energy(use, inputs, requests), simulated, tuple(notes),
    )  # fmt: skip


def _ends(
    base: Situation, use: Use, inputs: Mapping[str, Input], off: Decimal
) -> dict[str, tuple[Situation, Situation]]:
    """The situation at both ends of every input that has a range."""
    ends: dict[str, tuple[Situation, Situation]] = {}

    def paid(usd: Decimal) -> Situation:
        return replace(base, request_usd=usd, batch_usd=usd * (1 - off))

    changes: dict[str, Callable[[Decimal], Situation]] = {
        "capacity_per_s": lambda x: replace(base, per_unit=x * SECONDS_PER_HOUR),
        "unit_hour_usd": lambda x: replace(base, unit_hour_usd=x),
        "peak": lambda x: replace(base, peak=x),
        "demand": lambda x: replace(base, factor=x),
        "batch_share": lambda x: replace(base, batched=x),
    }
    for name, change in changes.items():
        if name in inputs and (found := _range(inputs[name])):
            ends[name] = change(found[0]), change(found[1])
    by_parts = use.input_usd is not None and use.output_usd is not None
    if by_parts and use.output_tokens is not None and use.output_tokens.value and (found := _range(use.output_tokens)):
        ends["output tokens"] = paid(use.at_output(found[0])), paid(use.at_output(found[1]))
    if (
        by_parts
        and use.plain_usd is not None
        and use.cached is not None
        and use.cached.value
        and (found := _range(use.cached))
    ):
        ends["cache hit share"] = paid(use.at_cached(found[0])), paid(use.at_cached(found[1]))
    success = use.success
    if success is not None and success.low and (found := _range(success)):  # what failed is asked again
        low, high = (replace(base, factor=base.factor * success.value / share) for share in found)
        ends["success share"] = low, high
    if found := _range(use.request_usd):
        ends["cost of a request"] = paid(found[0]), paid(found[1])
    return ends


def _range(one: Input) -> tuple[Decimal, Decimal] | None:
    return None if one.low is None or one.high is None or one.low == one.high else (one.low, one.high)


def _per_success(bought: Plan, base: Situation, use: Use, requests: Decimal) -> Decimal | None:
    """The plan's cost over the requests that are served and answered as wanted."""
    if use.success is None:
        return None
    served = requests if base.shed_usd is None else requests - bought.overflow_requests
    wanted = served * use.success.value
    return bought.total_usd / wanted if wanted else None


def _energy(use: Use, inputs: Mapping[str, Input], requests: Decimal) -> Energy | None:
    if use.output_tokens is None or "wh_per_output_token" not in inputs:
        return None
    tokens = use.output_tokens.value * requests
    kwh = [tokens * end / 1000 for end in _three(inputs["wh_per_output_token"])]
    if "gco2_per_kwh" not in inputs:
        return Energy((kwh[0], kwh[1], kwh[2]), None)
    kg = [energy * grams / 1000 for energy, grams in zip(kwh, _three(inputs["gco2_per_kwh"]), strict=True)]
    return Energy((kwh[0], kwh[1], kwh[2]), (kg[0], kg[1], kg[2]))


def _three(one: Input) -> tuple[Decimal, Decimal, Decimal]:
    return (one.value if one.low is None else one.low), one.value, (one.value if one.high is None else one.high)
