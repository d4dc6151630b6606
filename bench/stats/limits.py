"""Limits that quiet nights keep: the walk through a series of nights, each judged by those before it.

All functions take arrays of series x nights, so that the simulation of ten thousand histories runs the very code that judges one.
A night may be NaN: a gap. It is neither judged nor part of any history.

The false alarms that a whole family may raise in a quiet night are shared out in advance (Bonferroni), by weight, so that the
promise holds however the figures hang together. A night is called when

    one      it alone lies beyond a limit that a quiet night passes with probability weight x ONE / targets
    two      so does the mean of the last two nights, with TWO in place of ONE
    three    so does the mean of the last three nights, with THREE

and for the last two only if tonight itself is beyond the limit that one quiet night in twenty passes. Nights that were called do
not enter the limits of later ones: a level that is bad stays bad until somebody accepts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.stats.quantiles import Floats, Ints
from bench.stats.special import betainc, normal_quantile

Bools = npt.NDArray[np.bool_]

WINDOW = 28
"""Nights that make a limit, at most: four weeks, each weekday alike."""
FEWEST = 10
"""Nights that make a limit, at the least."""
ONE, TWO, THREE = 0.0155, 0.0035, 0.0080
"""What a quiet night's family may raise in false alarms by one night, by the mean of two, and by that of three."""
SUSPECT = 5.0
"""How many times as often as it is called by itself a quiet night may be suspect."""
AGAIN = 0.05
"""How often a quiet night passes the limit that tonight must be beyond for the nights before it to count with it."""
LEAST_SD = 0.01
"""On a log scale: no history is believed to be quieter than this from night to night."""


@dataclass(frozen=True, slots=True)
class Alphas:
    """How often a quiet night may pass a limit by chance: alone, as the mean of two, of three; and when it is suspect."""

    one: float
    two: float
    three: float
    suspect: float


def alphas(weight: float, targets: int) -> Alphas:
    """The share of one figure of one target, in a family of so many targets."""
    part = weight / max(1, targets)
    return Alphas(part * ONE, part * TWO, part * THREE, min(AGAIN, part * ONE * SUSPECT))


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed where fewer than FEWEST nights are to be compared with: the spread from night to night, as if it had been
    seen in so many nights."""

    spread: float
    nights: int = FEWEST


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """What stands behind a limit, per series: typical value, spread, and how many nights."""

    centre: Floats
    spread: Floats
    nights: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A night of every series by its history, in units of which 1 is the limit of that rule: `excess` beyond 1 is beyond it.

    `score` is the night on a scale that may be averaged over nights, `limits` those of the mean of one, two and three nights,
    `suspect` and `again` those of tonight.
    """

    base: Base
    score: Floats
    limits: tuple[Floats, Floats, Floats]
    suspect: Floats
    again: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What became of every night of every series. `counted` are the nights that limits are made of, as it stands at the end.

    `worse` and `better` are calls; `suspect` is a night beyond the suspect limit that was not called, `again` one beyond the
    limit that lets a night count with others. `alone` are calls that the night made by itself. `limit` is the limit of a night
    by itself, on the bad side.
    """

    worse: Bools
    better: Bools
    suspect: Bools
    again: Bools
    alone: Bools
    learning: Bools
    counted: Bools
    centre: Floats
    spread: Floats
    limit: Floats
    nights: Ints


def walk_values(
    badness: Floats, se: Floats, alpha: Alphas, floor: float, least_sd: float = LEAST_SD, prior: Prior | None = None
) -> Walk:
    """Judges values on a scale where more is worse (logarithms, shares with their sign turned) by t prediction limits.

    `se` is each night's own standard error, NaN where it cannot be told; `floor` the smallest difference that counts.
    """
    more = prior.nights if prior else 0

    def judge(night: int, counted: Bools) -> Judged:
        base = base_of(badness, se, night, counted, least_sd, prior)
        least = floor / base.spread
        one, two, three, suspect, again = (
            _factors(level, k, more)[base.nights]
            for k, level in ((1, alpha.one), (2, alpha.two), (3, alpha.three), (1, alpha.suspect), (1, AGAIN))
        )
        limits = (np.maximum(one, least), np.maximum(two, least), np.maximum(three, least))
        score = (badness[:, night] - base.centre) / base.spread
        return Judged(base, score, limits, np.maximum(suspect, least), again)

    return _walk(np.isfinite(badness) | np.isposinf(badness), judge, 1 if prior else FEWEST)


def walk_counts(hits: Floats, n: Floats, alpha: Alphas, floor: float, prior: Prior | None = None) -> Walk:
    """Judges counts of bad requests by a beta-binomial limit: the share of the history, not exactly known, and as uneven from
    night to night as it was. `floor` is the smallest difference of shares that counts. NaN in `hits` is a gap.

    The score of a night is the normal quantile of its tail, so that nights can be averaged; `centre` and `spread` are shares.
    """
    fixed = [-normal_quantile(level) / math.sqrt(k) if level > 0 else math.inf
             for k, level in ((1, alpha.one), (2, alpha.two), (3, alpha.three), (1, alpha.suspect), (1, AGAIN))]  # fmt: skip

    def judge(night: int, counted: Bools) -> Judged:
        there = np.isfinite(_last(np.where(counted, hits, np.nan), night))
        h, of = np.where(there, hits[:, :night], 0.0), np.where(there, n[:, :night], 0.0)
        nights = there.sum(axis=1).astype(np.int64)
        share = (h.sum(axis=1) + 0.5) / (of.sum(axis=1) + 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.where(there, (h - of * share[:, None]) ** 2 / (of * (share * (1 - share))[:, None]), 0.0)
            unevenness = np.maximum(1.0, parts.sum(axis=1) / np.maximum(nights - 1, 1))
            known = np.maximum(of.sum(axis=1), 1.0)
        size = np.maximum(np.nan_to_num(n[:, night], nan=2.0), 2.0)
        factor = unevenness * (1 + size / known)
        seen = np.nan_to_num(hits[:, night])
        score = _tail_score(seen, size, share, factor)
        excess = seen / size - share
        score = np.where(np.abs(excess) >= floor, score, np.clip(score, -fixed[4], fixed[4]))
        spread = np.sqrt(share * (1 - share) / size * factor)
        limits = tuple(np.full(len(share), at) for at in fixed)
        base = Base(np.where(nights > 0, share, np.nan), spread, nights)
        return Judged(base, score, (limits[0], limits[1], limits[2]), limits[3], limits[4])

    return _walk(np.isfinite(hits), judge, 1 if prior else FEWEST)


def _tail_score(hits: Floats, n: Floats, share: Floats, factor: Floats) -> Floats:
    """How unlikely so many hits are, as a normal quantile: above 0 for many, below 0 for few.

    Beta-binomial of mean `share` and of `factor` times the variance of independent requests.
    """
    rho = np.maximum(factor - 1, 1e-9) / (n - 1)
    total = np.maximum(1 / rho - 1, 1e-3)
    a, b = share * total, (1 - share) * total
    mass = np.exp(_log_gamma(n + b) - _log_gamma(b) + _log_gamma(a + b) - _log_gamma(n + a + b))
    below = np.zeros_like(mass)  # P(X < hits), while k counts up
    at = mass.copy()
    for k in range(int(hits.max(initial=0))):
        going = hits > k
        below = np.where(going, below + mass, below)
        with np.errstate(divide="ignore", invalid="ignore"):
            mass = np.where(n > k, mass * (n - k) / (k + 1) * (a + k) / np.maximum(b + n - k - 1, 1e-12), 0.0)
        at = np.where(going, mass, at)
    many, few = np.clip(1 - below, 1e-15, 1.0), np.clip(below + at, 1e-15, 1.0)
    return np.array([
        -normal_quantile(up) if up < low else normal_quantile(min(low, 1 - 1e-15))
        for up, low in zip(many.tolist(), few.tolist(), strict=True)
    ])  # fmt: skip


def count_limit(share: float, spread: float, n: int, alpha: float) -> int:
    """The fewest bad requests of n beyond a limit that a quiet night passes with probability alpha; n + 1 if none are."""
    factor = np.array([max(1.0, spread**2 * n / (share * (1 - share)))])
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        score = _tail_score(np.array([float(middle)]), np.array([float(max(n, 2))]), np.array([share]), factor)
        low, high = (low, middle) if score[0] > -normal_quantile(alpha) else (middle + 1, high)
    return low


def _log_gamma(x: Floats) -> Floats:
    """log of the gamma function for x > 0: Stirling's series at x + 8, brought back."""
    shifted = x + 8
    product = np.ones_like(x)
    for k in range(8):
        product = product * (x + k)
    series = (1 / 12 - (1 / 360 - 1 / (1260 * shifted**2)) / shifted**2) / shifted
    return np.asarray(
        (shifted - 0.5) * np.log(shifted) - shifted + 0.5 * math.log(2 * math.pi) + series - np.log(product)
    )


def base_of(
    badness: Floats, se: Floats, night: int, counted: Bools, least_sd: float, prior: Prior | None = None
) -> Base:
    """Mean and standard deviation over the last WINDOW nights that count.

    The spread is no less than `least_sd` and tonight's own standard error; a night of fewer requests than those of its history is
    allowed the difference.
    """
    values = _last(np.where(counted, badness, np.nan), night)
    here = np.isfinite(values)
    m = here.sum(axis=1)
    safe = np.maximum(m, 1)
    centre = np.where(here, values, 0.0).sum(axis=1) / safe
    squares = (np.where(here, values - centre[:, None], 0.0) ** 2).sum(axis=1)
    free = np.maximum(m - 1, 0) + (prior.nights - 1 if prior else 0)
    variance = (squares + ((prior.nights - 1) * prior.spread**2 if prior else 0.0)) / np.maximum(free, 1)
    errors = _last(np.where(counted, se, np.nan), night)
    told = np.isfinite(errors)
    usual = np.where(told, errors, 0.0) ** 2
    usual = usual.sum(axis=1) / np.maximum(told.sum(axis=1), 1)
    own = np.nan_to_num(se[:, night]) ** 2
    variance = np.maximum(variance + np.where(told.any(axis=1), np.maximum(own - usual, 0.0), 0.0), own)
    return Base(np.where(m > 0, centre, np.nan), np.maximum(np.sqrt(variance), least_sd), m.astype(np.int64))


def _last(values: Floats, night: int) -> Floats:
    """Per series the last WINDOW known values before the night; the others as NaN."""
    before = values[:, :night]
    known = np.isfinite(before)
    behind = known[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.where(known & (behind <= WINDOW), before, np.nan)


@lru_cache(maxsize=1024)
def _factors(alpha: float, k: int, prior_nights: int = 0) -> Floats:
    """How many standard deviations the mean of k new nights may lie off the mean of m old ones, by m; infinitely many where
    too little is known of the spread. Nights of a prior know the spread, and nothing of the mean."""
    more, fewest = max(0, prior_nights - 1), 1 if prior_nights else FEWEST
    return np.array([
        _t_upper(alpha, m - 1 + more) * math.sqrt(1 / k + 1 / m) if alpha > 0 and m >= fewest else math.inf
        for m in range(WINDOW + 1)
    ])  # fmt: skip


def _t_upper(alpha: float, df: int) -> float:
    """The t that Student's t passes with probability alpha <= 1/2: Newton's steps on the tail, which is convex there."""
    t = -normal_quantile(alpha)  # below the root: t has the longer tail
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    for _ in range(100):
        tail = 0.5 * betainc(df / 2, 0.5, df / (df + t * t))
        step = (tail - alpha) / math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))
        t += step
        if step < 1e-12 * t:
            break
    return t


def _walk(there: Bools, judge: Callable[[int, Bools], Judged], fewest: int) -> Walk:
    series, nights = there.shape
    flags = {
        name: np.zeros((series, nights), dtype=bool)
        for name in ("worse", "better", "suspect", "again", "alone", "learning")
    }
    numbers = {name: np.full((series, nights), np.nan) for name in ("centre", "spread", "limit")}
    counts = np.zeros((series, nights), dtype=np.int64)
    counted = there.copy()
    bad, good = _Side(series), _Side(series)
    for night in range(nights):
        known = np.minimum(there[:, :night].sum(axis=1), WINDOW)
        if night < nights - 1 and (known < fewest).all():  # nothing to judge by, for any series
            flags["learning"][:, night], counts[:, night] = there[:, night], known
            continue
        tonight = judge(night, counted)
        ready = there[:, night] & (tonight.base.nights >= fewest)
        counts[:, night] = tonight.base.nights
        numbers["centre"][:, night], numbers["spread"][:, night] = tonight.base.centre, tonight.base.spread
        numbers["limit"][:, night] = tonight.base.centre + tonight.limits[0] * tonight.base.spread
        flags["learning"][:, night] = there[:, night] & ~ready
        worse, alone = bad.step(night, ready, tonight.score, tonight, counted)
        better, _ = good.step(night, ready, -tonight.score, tonight, counted)
        flags["worse"][:, night], flags["better"][:, night], flags["alone"][:, night] = worse, better, alone
        flags["suspect"][:, night] = ready & (tonight.score > tonight.suspect) & ~worse
        flags["again"][:, night] = ready & (tonight.score > tonight.again)
        _settle(good, counted, flags["better"], night)
    return Walk(**flags, counted=counted, **numbers, nights=counts)


class _Side:
    """The last two judged nights of each series, seen from the bad or the good side."""

    def __init__(self, series: int) -> None:
        self.score = np.full((series, 2), -np.inf)
        self.night = np.full((series, 2), -1)
        self.run = np.zeros(series, dtype=np.int64)
        """How many judged nights in a row were called."""

    def step(self, night: int, ready: Bools, score: Floats, tonight: Judged, counted: Bools) -> tuple[Bools, Bools]:
        """Which series are called tonight, and which of them by tonight alone. The nights behind a call stop counting.

        Of a night no more than the limit of a single night enters a mean: one wild night does not call the two after it.
        """
        if not ready.any():
            return ready, ready
        one, two, three = tonight.limits
        alone = ready & (score > one)
        clipped = np.minimum(score, one)
        pair = (clipped + self.score[:, 1]) / 2 > two
        trio = (clipped + self.score[:, 1] + self.score[:, 0]) / 3 > three
        together = ready & (score > tonight.again) & (pair | trio)
        called = alone | together
        counted[:, night] &= ~called
        for row in np.flatnonzero(together):
            for before, then in zip(self.night[row], self.score[row], strict=True):
                if then > tonight.again[row]:
                    counted[row, before] = False
        self.score[:, 0] = np.where(ready, self.score[:, 1], self.score[:, 0])
        self.score[:, 1] = np.where(ready, clipped, self.score[:, 1])
        self.night[:, 0] = np.where(ready, self.night[:, 1], self.night[:, 0])
        self.night[:, 1] = np.where(ready, night, self.night[:, 1])
        self.run = np.where(ready, np.where(called, self.run + 1, 0), self.run)
        return called, alone


def _settle(good: _Side, counted: Bools, better: Bools, night: int) -> None:
    """A level that has been better for FEWEST nights in a row is the new level: limits are made of it alone."""
    for row in np.flatnonzero(good.run >= FEWEST):
        recent = np.flatnonzero(better[row, : night + 1])[-FEWEST:]
        counted[row, : recent[0]] = False
        counted[row, recent] = True
        good.run[row] = 0
