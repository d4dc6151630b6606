"""Do 95 % intervals cover the truth 95 % of the time? Simulated data of known truth; seeded, a few seconds in all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from bench.stats.means import n_eff, paired_difference
from bench.stats.quantiles import quantile
from bench.stats.ratios import expanded_interval, quantile_ratio, resample_blocks, sums_ratio
from bench.stats.shares import wilson

pytestmark = pytest.mark.self

# Latency in seconds: 85 % around 0.8, 13 % around 2, 2 % around 12.
MIXTURE = ((0.85, 0.8, 0.35), (0.13, 2.0, 0.5), (0.02, 12.0, 0.6))


def mixture(rng, shape):
    weights, medians, spreads = (np.array(column) for column in zip(*MIXTURE, strict=True))
    kind = rng.choice(3, size=shape, p=weights)
    return medians[kind] * np.exp(spreads[kind] * rng.standard_normal(shape))


def mixture_truth(p):
    low, high = 0.0, 1000.0
    for _ in range(100):
        middle = (low + high) / 2
        cdf = sum(w * norm.cdf((math.log(middle) - math.log(m)) / s) for w, m, s in MIXTURE)
        low, high = (middle, high) if cdf < p else (low, middle)
    return high


def covers(interval, truth):
    return (interval.low is None or interval.low <= truth) and (interval.high is None or truth <= interval.high)


@pytest.mark.parametrize(("n", "blocks", "p"), [(96, 24, 0.5), (500, 25, 0.5), (2000, 25, 0.5), (2000, 25, 0.99)])
def test_independent_latency_is_covered_93_to_99_percent_of_the_time(n, blocks, p):
    rng = np.random.default_rng(20260101 + n)
    truth, codes, replicates = mixture_truth(p), np.arange(n) * blocks // n, 500
    hits = sum(covers(quantile(x, codes, p).interval(), truth) for x in mixture(rng, (replicates, n)))
    # The standard error of the share is one point.
    assert 0.93 <= hits / replicates <= 0.99, hits / replicates


def spells(rng, n):
    """Log-normal latency with an AR(1) part of 0.7, and slow spells of ten requests on average: 6 % of time, 2.5 x."""
    ar = lfilter([math.sqrt(1 - 0.49)], [1, -0.7], rng.standard_normal(n + 200))[200:]
    log = math.log(0.9) + 0.4 * (math.sqrt(0.4) * ar + math.sqrt(0.6) * rng.standard_normal(n))
    slow = np.zeros(n, dtype=bool)
    at = int(rng.geometric(1 / 157))
    while at < n:
        length = int(rng.geometric(1 / 10))
        slow[at : at + length] = True
        at += length + int(rng.geometric(1 / 157))
    return np.exp(log + math.log(2.5) * slow)


def test_requests_that_share_spells_are_covered_where_the_iid_interval_is_not():
    rng = np.random.default_rng(7)
    n, blocks, replicates = 2000, 20, 250
    truth = {p: float(np.quantile(spells(rng, 2_000_000), p)) for p in (0.5, 0.9)}
    codes = np.arange(n) * blocks // n
    clustered, naive = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(replicates):
        x = spells(rng, n)
        for p, value in truth.items():
            clustered[p] += covers(quantile(x, codes, p).interval(), value)
            naive[p] += covers(quantile(x, np.arange(n), p).interval(), value)
    assert clustered[0.5] / replicates >= 0.92
    assert clustered[0.9] / replicates >= 0.87
    for p in truth:
        assert naive[p] / replicates <= 0.85, "the iid interval is expected to fail here"
        assert clustered[p] - naive[p] >= 0.1 * replicates


def test_the_ratio_of_medians_is_covered_when_targets_share_prompts_and_blocks():
    rng = np.random.default_rng(11)
    blocks, per_block, replicates = 48, 10, 300
    codes = np.repeat(np.arange(blocks), per_block)
    hits = excluded = 0
    for _ in range(replicates):
        prompt = 0.5 * rng.standard_normal(blocks * per_block)
        shared = 0.10 * rng.standard_normal(blocks)
        logs = [
            prompt + (shared + 0.12 * rng.standard_normal(blocks))[codes] + 0.25 * rng.standard_normal(len(codes))
            for _ in range(2)
        ]
        ratio = quantile_ratio(
            quantile(np.exp(logs[0]), codes, 0.5), quantile(1.1 * np.exp(logs[1]), codes, 0.5)
        )  # fmt: skip
        hits += ratio.low <= math.log(1.1) <= ratio.high
        excluded += ratio.low > 0
    assert 0.93 <= hits / replicates <= 0.995
    assert excluded / replicates >= 0.4, "the method must also be able to see a 10 % difference"


def test_shares_of_cases_from_shared_sources_are_covered():
    rng = np.random.default_rng(3)
    sources, per_source, replicates = 48, 4, 600
    source = np.repeat(np.arange(sources), per_source)
    hits = 0
    for _ in range(replicates):
        right = (rng.random(len(source)) < rng.beta(4 * 0.85, 4 * 0.15, sources)[source]).astype(float)
        interval = wilson(float(right.mean()), n_eff(right, [source]))
        hits += covers(interval, 0.85)
    assert 0.93 <= hits / replicates <= 0.99


def test_a_difference_of_quality_is_covered_when_cases_share_sources():
    rng = np.random.default_rng(5)
    sources, per_source, replicates = 60, 4, 400
    source = np.repeat(np.arange(sources), per_source)
    hits = 0
    for _ in range(replicates):
        ability = rng.beta(4 * 0.85, 4 * 0.15, sources)[source]
        a, b = ((rng.random(len(source)) < chance).astype(float) for chance in (ability, np.maximum(0, ability - 0.05)))
        # The truth of this sample of sources: the mean of what each had a chance of.
        truth = float(np.maximum(0, ability - 0.05).mean() - ability.mean())
        hits += covers(paired_difference(a, b, [source]).interval(), truth)
    assert 0.93 <= hits / replicates <= 0.99


def test_cost_per_correct_answer_is_covered_from_24_blocks():
    rng = np.random.default_rng(13)
    blocks, per_block, replicates = 24, 4, 400
    resamples = resample_blocks(blocks, seed=1, count=2000)
    hits = 0
    for _ in range(replicates):
        # Blocks differ in how much is right (mean 0.85); a request costs 0.012 on average; so 0.012 / 0.85 a right one.
        chance = rng.beta(20 * 0.85, 20 * 0.15, blocks)
        right = rng.binomial(per_block, chance).astype(float)
        usd = 0.012 * np.exp(0.25 * rng.standard_normal((blocks, per_block)) - 0.25**2 / 2).sum(axis=1)
        drawn = sums_ratio(usd, right, resamples)
        hits += covers(expanded_interval(drawn, float(usd.sum() / right.sum()), blocks), 0.012 / 0.85)
    assert 0.92 <= hits / replicates <= 0.99, hits / replicates
