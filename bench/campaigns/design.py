"""How many requests, in how many blocks, over which time: what a design can tell before anything is spent.

Requests are alike in nested ways: neighbours share a moment, blocks of one hour share that hour, hours of one day share
that day. `rho`, `hour` and `day` are the correlations of "at most the percentile" between two requests at those
distances. Of n requests in neighbourhoods of s, spread over H hours and D days, the share at most the percentile has

    n V / (p (1 - p)) = 1 + (s - 1) rho + (n/H - s) hour + (n/D - n/H) day      the design effect; n is worth n / effect

so that more requests in one hour cannot buy more than 1 / hour of them. The interval is the table's own (bench/stats/
quantiles.py): the binomial ranks of n_eff, read back on the percentiles that are known from earlier runs, or assumed.
Pure: no clock, no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.plan import MAX_BLOCKS, PROMPTS_PER_BLOCK
from bench.stats.quantiles import Floats, Ints, binomial_rank
from bench.stats.special import bisect, normal_cdf, normal_quantile, t_inflation
from bench.stats.verdicts import ALPHA, MIN_BLOCKS

CONF = 0.95
MOST_REQUESTS = 10_000_000
"""Per target. A precision that takes more than this is called out of reach."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A design, per target. `neighbours` are the requests in a block of one plan; `blocks` are the groups that the table
    takes as independent: those of the one run, or in a campaign its runs."""

    requests: int
    blocks: int
    neighbours: float
    hours: int
    days: int

    def __post_init__(self) -> None:
        if not 1 <= self.days <= self.hours or not 1 <= self.blocks <= self.requests:
            raise ValueError(f"days <= hours and blocks <= requests, all at least 1: {self}")


def one_run(requests: int, length_s: float) -> Spread:
    """All requests in one run that lasts so long: its blocks are those of its plan."""
    blocks = max(1, min(MAX_BLOCKS, requests // PROMPTS_PER_BLOCK))
    hours = max(1, math.ceil(length_s / 3600))
    return Spread(requests, blocks, requests / blocks, hours, math.ceil(hours / 24))


def campaign(runs: int, requests_each: int, days: int) -> Spread:
    """`runs` runs of `requests_each`, spread over all hours of `days` days; each is one block of the pooled table."""
    inside = one_run(requests_each, 0)
    hours = min(runs, 24 * days)
    return Spread(runs * requests_each, runs, inside.neighbours, hours, min(days, hours))


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """What is known or assumed of one quantile of one target.

    `log_at` is the log of the latency (ms) at a share of the requests, inf where that is a failure. `pair` is the correlation
    of two targets' block sums.
    """

    name: str
    p: float
    log_at: Callable[[float], float]
    rho: float
    hour: float
    day: float
    pair: float
    of: str = ""

    @property
    def value_ms(self) -> float:
        return math.exp(self.log_at(self.p))


def effect(spread: Spread, figure: Figure) -> float:
    """The design effect on the share of requests at most the percentile, for any hour of the period."""
    n, s = spread.requests, spread.neighbours
    per_hour, per_day = max(s, n / spread.hours), max(s, n / spread.days)
    return max(1.0, 1 + (s - 1) * figure.rho + (per_hour - s) * figure.hour + max(0.0, per_day - per_hour) * figure.day)


def printed_effect(spread: Spread, figure: Figure) -> float:
    """The design effect that the table can be expected to see: from how its own blocks differ, not from what they share.

    E[K/(K-1) sum (c_b - c/K)^2] / n = K/(K-1) (effect of one block - effect/K): what all blocks have in common cancels.
    """
    k = spread.blocks
    if k < 2:
        return 1.0
    size = spread.requests / k
    inside = 1 + (min(size, spread.neighbours) - 1) * figure.rho + max(0.0, size - spread.neighbours) * figure.hour
    return max(1.0, k / (k - 1) * (inside - effect(spread, figure) / k))


@dataclass(frozen=True, slots=True)
class Ends:
    """Log distance from the quantile to the ends of its interval; inf where there is no end."""

    below: float
    above: float


def ends(spread: Spread, figure: Figure, design_effect: float, conf: float = CONF) -> Ends:
    """The expected interval: the ranks that the table would read, on the known or assumed percentiles."""
    n, p = spread.requests, figure.p
    n_eff = n / (design_effect * t_inflation(conf, spread.blocks))
    tail = (1 - conf) / 2
    low, high = binomial_rank(n_eff, p, tail), binomial_rank(n_eff, p, 1 - tail)
    middle = figure.log_at(p)
    below = above = math.inf
    if low >= 1 and math.isfinite(middle):
        below = middle - figure.log_at(max(1, math.floor(n * low / n_eff)) / (n + 1))
    if high <= n_eff and (rank := math.ceil(n * high / n_eff)) <= n and math.isfinite(middle):
        above = figure.log_at(max(p, rank / (n + 1))) - middle
    return Ends(max(0.0, below), above)


def half_width(spread: Spread, figure: Figure, design_effect: float | None = None) -> float | None:
    """(high - low) / 2 of the 95 % interval, as a share of the quantile; None when an end is open."""
    found = ends(spread, figure, effect(spread, figure) if design_effect is None else design_effect)
    if math.isinf(found.below) or math.isinf(found.above):
        return None
    return (math.exp(found.above) - math.exp(-found.below)) / 2


def coverage(spread: Spread, figure: Figure) -> float:
    """How often the printed interval would hold the percentile of the whole period, where it promises 95 %."""
    narrow = printed_effect(spread, figure) * t_inflation(CONF, spread.blocks) / effect(spread, figure)
    return min(1.0, 2 * normal_cdf(normal_quantile(0.5 + CONF / 2) * math.sqrt(narrow)) - 1)


def smallest_ratio(spread: Spread, figure: Figure, power: float, family: int) -> float | None:
    """The smallest ratio of two targets that is called with this power; None when none is.

    Called: the log-MOVER interval excludes 1 at the confidence that Holm asks of the first of `family` comparisons. Its
    lower end falls short of the estimate by the slower target's lower arm and the faster one's upper arm, and the
    estimate errs by its standard deviation: ratio = exp(arm + z_power sd).
    """
    if spread.blocks < MIN_BLOCKS:
        return None
    whole = effect(spread, figure)
    arms = ends(spread, figure, whole, 1 - ALPHA / family)
    if math.isinf(arms.below) or math.isinf(arms.above):
        return None
    arm = math.sqrt(max(0.0, arms.below**2 + arms.above**2 - 2 * figure.pair * arms.below * arms.above))
    return math.exp(arm + normal_quantile(power) * _log_sd(spread, figure, whole) * math.sqrt(2 * (1 - figure.pair)))


def _log_sd(spread: Spread, figure: Figure, design_effect: float) -> float:
    """Standard deviation of the log quantile: the percentiles one standard error of the share away, halved."""
    error = math.sqrt(figure.p * (1 - figure.p) * design_effect / spread.requests)
    last = spread.requests / (spread.requests + 1)
    high, low = min(figure.p + error, max(last, figure.p)), max(figure.p - error, 1 - last)
    return (figure.log_at(high) - figure.log_at(low)) / 2


def requests_to_end(make: Callable[[int], Spread], figure: Figure) -> int | None:
    """Requests per target from which the interval has an upper end: p^n_eff <= 2.5 %. None when no number gives one."""
    needed = math.log((1 - CONF) / 2) / math.log(figure.p)

    def bounded(n: int) -> bool:
        spread = make(n)
        return n / (effect(spread, figure) * t_inflation(CONF, spread.blocks)) >= needed

    return smallest(bounded)


def smallest(enough: Callable[[int], bool], least: int = 1, most: int = MOST_REQUESTS) -> int | None:
    """The smallest number from `least` to `most` that is enough, when more is never worse; None when none is."""
    high = least
    while not enough(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = least if high == least else high // 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


# what latencies are like --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assumed:
    """Latency as stated: log-normal around `p50_ms`, and a share `tail` of requests `factor` times slower.

    `rho` is the share of the variance of log latency that neighbours have in common, `hour` and `day` how much of that is
    common to the whole hour and the whole day. The defaults are those of this project's own simulations of loaded
    services (SOURCES); none was measured on a vendor.
    """

    p50_ms: float = 800.0
    sigma: float = 0.58
    tail: float = 0.02
    factor: float = 4.5
    rho: float = 0.072
    hour: float = 0.5
    day: float = 0.1
    pair: float = 0.45
    pair_tail: float = 0.05

    def figure(self, name: str, p: float) -> Figure:
        rho, hour, day = (indicator_correlation(r, p) for r in (self.rho, self.rho * self.hour, self.rho * self.day))
        at = _mixture(self.p50_ms, self.sigma, self.tail, self.factor)
        return Figure(name, p, at, rho, hour, day, self.pair_tail if p > 0.9 else self.pair, "assumed")


SOURCES = {
    "p50": "any value: precision is relative",
    "sigma": "sd of log latency: prompts 0.5, residual 0.25, blocks 0.12 and 0.10 together",
    "tail": "share of the requests that are far slower",
    "factor": "e^1.5, how much slower they are",
    "rho": "blocks' part of that variance, 0.0244 / 0.337; long slow spells make it larger",
    "hour": "no source: half of it is taken to last for the hour; runs given with --from tell",
    "day": "0.05^2 from night to night against 0.0244 from block to block",
    "pair": "ratios of medians of paired targets are 0.75 times as wide as of unpaired ones: 1 - 0.75^2",
    "pair_tail": "the same of 99th percentiles, 0.97 times: 1 - 0.97^2",
}
"""Where each default comes from, for people."""


def indicator_correlation(rho: float, p: float) -> float:
    """The correlation of "at most the p-quantile" between two normal variables that correlate by `rho`.

    Integral from 0 to asin(rho) of exp(-z^2 / (1 + sin t)) dt, over 2 pi p (1 - p); 2/pi asin(rho) for the median (Sheppard).
    """
    z, steps = normal_quantile(p), 64
    end = math.asin(min(1.0, max(0.0, rho)))
    values = [math.exp(-z * z / (1 + math.sin(end * i / steps))) for i in range(steps + 1)]
    simpson = values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])
    return end / steps / 3 * simpson / (2 * math.pi * p * (1 - p))


@lru_cache(maxsize=64)
def _mixture(p50_ms: float, sigma: float, tail: float, factor: float) -> Callable[[float], float]:
    middle, slow, slow_sd = math.log(p50_ms), math.log(p50_ms * factor), math.hypot(sigma, 0.3)

    def share(x: float) -> float:
        return (1 - tail) * normal_cdf((x - middle) / sigma) + tail * normal_cdf((x - slow) / slow_sd)

    # The median that was stated is that of all requests.
    shift = middle - bisect(share, 0.5, middle - 9 * sigma, slow + 9 * slow_sd)

    @lru_cache(maxsize=4096)
    def at(p: float) -> float:
        return shift + bisect(share, p, middle - 9 * sigma, slow + 9 * slow_sd)

    return at


def empirical(values_ms: Floats) -> Callable[[float], float]:
    """Log percentiles of what was measured, straight between the ranks; failures are inf, and beyond the last value
    nothing is known."""
    ordered = np.sort(values_ms)
    n = len(ordered)

    def at(p: float) -> float:
        place = min(max(p * (n + 1) - 1, 0.0), n - 1.0)
        below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
        if p * (n + 1) > n + 1e-9 or not (math.isfinite(below) and math.isfinite(above)):
            return math.inf
        if below <= 0:
            return -math.inf
        part = place - math.floor(place)
        return float((1 - part) * math.log(below) + part * math.log(above))

    return at


@dataclass(frozen=True, slots=True)
class Correlations:
    """Between two requests of one block, of one run, of one day; None where the rows cannot tell."""

    rho: float | None
    hour: float | None
    day: float | None


def correlations(inside: npt.NDArray[np.bool_], block: Ints, run: Ints, day: Ints) -> Correlations:
    """Pairwise: the mean product of centred indicators over all pairs at a distance, less that over the farthest pairs.

    Blocks lie within runs, runs within days; codes 0 to K-1 each. Subtracting the farthest pairs takes away what
    centring on the sample's own share has put into all of them alike.
    """
    n = len(inside)
    share = float(inside.mean())
    variance = share * (1 - share)
    centred = inside - share
    squares, counts = [float((centred**2).sum())], [float(n)]
    for group in (block, run, day, np.zeros(n, dtype=np.int64)):
        squares.append(float((np.bincount(group, weights=centred) ** 2).sum()))
        counts.append(float((np.bincount(group).astype(np.float64) ** 2).sum()))
    # Pairs in the same block; the same run but another block; the same day but another run; other days.
    pairs = [counts[i + 1] - counts[i] for i in range(4)]
    means = [(squares[i + 1] - squares[i]) / pairs[i] if pairs[i] > 0 else None for i in range(4)]
    known = [i for i, mean in enumerate(means) if mean is not None]
    if variance <= 0 or len(known) < 2:
        return Correlations(None, None, None)
    farthest = means[known[-1]] or 0.0

    def of(level: int) -> float | None:
        mean = means[level]
        if mean is None or level == known[-1]:
            return None
        return min(1.0, max(0.0, (mean - farthest) / (variance - farthest)))

    return Correlations(of(0), of(1), of(2))


def known(
    name: str, p: float, values_ms: Floats, groups: tuple[Ints, Ints, Ints], pair: float, assumed: Assumed, of: str
) -> Figure:
    """A figure from rows (block, run and day of each): what they cannot tell of hours and days is taken as assumed."""
    k = max(1, math.ceil(len(values_ms) * p - 1e-9))
    at = np.sort(values_ms)[k - 1]
    inside = np.isfinite(values_ms) if math.isinf(at) else values_ms <= at
    found = correlations(inside, *groups)
    guess = assumed.figure(name, p)
    rho, hour, day = found.rho, found.hour, found.day
    # What was told is within the hour (or the day) that was seen; what lasts that long comes on top of it.
    if rho is None:
        rho, hour, day = guess.rho, guess.hour, guess.day
    elif hour is None:
        rho, hour, day = guess.hour + (1 - guess.hour) * rho, guess.hour, guess.day
    elif day is None:
        rho, hour, day = (guess.day + (1 - guess.day) * r for r in (rho, hour, 0.0))
    hour = min(rho, hour)
    return Figure(name, p, empirical(values_ms), rho, hour, min(hour, day), pair, of)


# the designs to choose from -----------------------------------------------------------------------------------------

RUNS_OVER_A_DAY = (24, 48, 96)
RUNS_OVER_A_WEEK = (48, 96, 168, 336, 672)
"""From one run every three and a half hours to four an hour."""
RUNS_FOR_P99 = 96
"""Over at least seven days, before a 99th percentile is claimed to a vendor; 48 for the other figures."""
LONGEST_BURST_S = 6 * 3600.0
CHEAP_ENOUGH = 1.25
"""Many small runs beat few big ones, yet nobody wants 600 of them: the fewest that cost at most a quarter more."""


def fewest_runs(ladder: Sequence[int], days: int, enough: Callable[[Spread], bool]) -> tuple[int, int] | None:
    """Runs, and requests per target in each, that are enough at little more than the least cost; None when none are."""
    found = []
    for runs in ladder:
        each = smallest(
            lambda m, runs=runs: enough(campaign(runs, m, days)),  # type: ignore[misc]
            PROMPTS_PER_BLOCK,
            MOST_REQUESTS // runs,
        )
        if each is not None:
            found.append((runs, each))
    if not found:
        return None
    least = min(runs * each for runs, each in found)
    return next((runs, each) for runs, each in found if runs * each <= CHEAP_ENOUGH * least)
