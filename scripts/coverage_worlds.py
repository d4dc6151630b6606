"""What scripts/coverage.py simulates: processes whose true figures are known by formula."""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from bench.stats.special import normal_cdf


def stream(*names: object) -> np.random.Generator:
    """A generator of its own for every case: leaving one out does not change another."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


@dataclass(frozen=True)
class LogNormals:
    """A mixture: (weight, median, spread of the log) of each part. The truth of a quantile is by formula."""

    parts: tuple[tuple[float, float, float], ...]

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        weights, medians, spreads = (np.array(column) for column in zip(*self.parts, strict=True))
        kind = rng.choice(len(self.parts), size=shape, p=weights)
        return medians[kind] * np.exp(spreads[kind] * rng.standard_normal(shape))

    def quantile(self, p: float) -> float:
        low, high = -20.0, 20.0
        for _ in range(100):
            middle = (low + high) / 2
            below = sum(w * normal_cdf((middle - math.log(m)) / s) for w, m, s in self.parts)
            low, high = (middle, high) if below < p else (low, middle)
        return math.exp(high)


MIXTURE = LogNormals(((0.85, 0.8, 0.35), (0.13, 2.0, 0.5), (0.02, 12.0, 0.6)))
"""Latency in seconds: 85 % around 0.8, 13 % around 2, 2 % around 12."""

SLOW_SHARE, SLOW_FACTOR, TAIL_SHARE, TAIL_LOG, TAIL_SPREAD = 0.06, 2.5, 0.01, 1.5, 0.3


@dataclass(frozen=True)
class Spells:
    """Latency that remembers: an AR(1) part, and slow spells of `spell` requests on average (6 % of time, 2.5 times as slow).

    log x = log 0.9 + 0.4 (sqrt(0.4) AR1 + sqrt(0.6) noise); one request in a hundred is e^(1.5 ± 0.3) times as slow.
    """

    memory: float
    spell: int

    def draw(self, rng: np.random.Generator, blocks: int, length: int) -> np.ndarray:
        """`blocks` stretches of `length` requests each that know nothing of each other."""
        ar = np.empty((length, blocks))
        ar[0] = rng.standard_normal(blocks)
        innovation = math.sqrt(1 - self.memory**2) * rng.standard_normal((length, blocks))
        for i in range(1, length):
            ar[i] = self.memory * ar[i - 1] + innovation[i]
        shape = (blocks, length)
        log = math.log(0.9) + 0.4 * (math.sqrt(0.4) * ar.T + math.sqrt(0.6) * rng.standard_normal(shape))
        log += math.log(SLOW_FACTOR) * self._slow(rng, blocks, length)
        log += (rng.random(shape) < TAIL_SHARE) * (TAIL_LOG + TAIL_SPREAD * rng.standard_normal(shape))
        return np.exp(log).ravel()

    def _slow(self, rng: np.random.Generator, blocks: int, length: int) -> np.ndarray:
        mean_fast = self.spell * (1 - SLOW_SHARE) / SLOW_SHARE
        slow = np.zeros((blocks, length), dtype=bool)
        for block in range(blocks):
            at, state = 0, bool(rng.random() < SLOW_SHARE)
            while at < length:
                stay = int(rng.geometric(1 / self.spell if state else 1 / mean_fast))
                slow[block, at : at + stay] = state
                at, state = at + stay, not state
        return slow

    def marginal(self) -> LogNormals:
        parts = []
        for slow in (0, 1):
            for tail in (0, 1):
                weight = (SLOW_SHARE if slow else 1 - SLOW_SHARE) * (TAIL_SHARE if tail else 1 - TAIL_SHARE)
                median = 0.9 * SLOW_FACTOR**slow * math.exp(TAIL_LOG * tail)
                parts.append((weight, median, math.hypot(0.4, TAIL_SPREAD * tail)))
        return LogNormals(tuple(parts))


MILD, SEVERE = Spells(0.7, 10), Spells(0.9, 150)


@dataclass(frozen=True)
class Paired:
    """Two targets over the same prompts in the same blocks: prompts differ (0.5), blocks are slow for both (0.10) and for one
    (0.12), and each request by itself (0.25), all spreads of the log. A share `tail` is e^(1.5 ± 0.3) times as slow."""

    factor: float
    tail_a: float = 0.02
    tail_b: float = 0.02

    def draw(self, rng: np.random.Generator, codes: np.ndarray, targets: int = 2) -> list[np.ndarray]:
        n, blocks = len(codes), int(codes.max()) + 1
        prompt, shared = 0.5 * rng.standard_normal(n), 0.10 * rng.standard_normal(blocks)
        out = []
        for target in range(targets):
            own = shared + 0.12 * rng.standard_normal(blocks)
            log = prompt + own[codes] + 0.25 * rng.standard_normal(n)
            slow = rng.random(n) < (self.tail_b if target else self.tail_a)
            log += slow * (TAIL_LOG + TAIL_SPREAD * rng.standard_normal(n))
            out.append((self.factor if target else 1.0) * np.exp(log))
        return out

    def truth(self, p: float) -> float:
        spread = math.sqrt(0.5**2 + 0.10**2 + 0.12**2 + 0.25**2)
        a, b = (
            LogNormals(
                ((1 - tail, factor, spread), (tail, factor * math.exp(TAIL_LOG), math.hypot(spread, TAIL_SPREAD)))
            )
            for factor, tail in ((1.0, self.tail_a), (self.factor, self.tail_b))
        )
        return b.quantile(p) / a.quantile(p)


@dataclass(frozen=True)
class Weeks:
    """A service over a week, asked by runs at drawn times: it is slower by day (`daily`), its load drifts by the hour (`hourly`,
    forgotten in `memory_h` hours), neighbouring prompts resemble each other (0.08), and each request differs by itself (0.35);
    all spreads of the log. A second target shares the day and half of the drift."""

    daily: float = 0.15
    hourly: float = 0.15
    memory_h: float = 3.0
    factor: float = 1.0

    HOURS = 7 * 24.0

    def draw(self, rng: np.random.Generator, runs: int, per_run: int, per_block: int) -> tuple[np.ndarray, np.ndarray]:
        """Two targets over the same requests, run after run; each run starts anywhere in its part of the week."""
        at = (np.arange(runs) + rng.random(runs)) * self.HOURS / runs
        drifts = [self._drift(rng, at) for _ in range(3)]
        day = self.daily * np.sin(2 * math.pi * at / 24)
        of = np.repeat(np.arange(runs), per_run)
        block = np.arange(runs * per_run) // per_block
        out = []
        for own, factor in ((drifts[1], 1.0), (drifts[2], self.factor)):
            load = day + self.hourly * (math.sqrt(0.5) * drifts[0] + math.sqrt(0.5) * own)
            near = 0.08 * rng.standard_normal(block[-1] + 1)
            out.append(factor * np.exp(load[of] + near[block] + 0.35 * rng.standard_normal(len(of))))
        return out[0], out[1]

    def _drift(self, rng: np.random.Generator, at: np.ndarray) -> np.ndarray:
        x = np.empty(len(at))
        x[0] = rng.standard_normal()
        keeps = np.exp(-np.diff(at) / self.memory_h)
        for i, keep in enumerate(keeps, start=1):
            x[i] = keep * x[i - 1] + math.sqrt(1 - keep * keep) * rng.standard_normal()
        return x

    def marginal(self) -> LogNormals:
        """Of the first target, at any time of the week."""
        spread = math.sqrt(self.hourly**2 + 0.08**2 + 0.35**2)
        phases = 2 * math.pi * (np.arange(400) + 0.5) / 400
        return LogNormals(tuple((1 / 400, math.exp(self.daily * math.sin(phase)), spread) for phase in phases))


RATE_PER_S = 10.0


@dataclass(frozen=True)
class Queue:
    """An open loop of RATE_PER_S against a server that serves one at a time, `serves` of what is offered. A share of the
    requests is refused at once, more in some blocks than in others."""

    serves: float
    refuses: float = 0.05

    def draw(self, rng: np.random.Generator, blocks: int, per_block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Due and end in ns, and whether it was answered."""
        n = blocks * per_block
        due_s = np.cumsum(rng.exponential(1 / RATE_PER_S, n))
        ok = rng.random(n) >= rng.beta(10 * self.refuses, 10 * (1 - self.refuses), blocks).repeat(per_block)
        mood = np.exp(0.1 * rng.standard_normal(blocks) - 0.1**2 / 2).repeat(per_block)
        # The server is busy with what it took: it serves a share of all that it did not refuse.
        takes_s = mood * rng.lognormal(-(0.3**2) / 2, 0.3, n) / (RATE_PER_S * self.serves * (1 - self.refuses))
        end_s, free_s = np.empty(n), 0.0
        for i in range(n):
            if ok[i]:
                free_s = max(free_s, due_s[i]) + takes_s[i]
            end_s[i] = free_s if ok[i] else due_s[i] + 0.01
        return due_s * 1e9, end_s * 1e9, ok

    def truth(self) -> float:
        return min(1.0, self.serves) * (1 - self.refuses)
