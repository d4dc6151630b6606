"""What a design can tell, by hand and against simulated services whose truth is known."""

import math

import numpy as np
import pytest

from bench.campaigns import design
from bench.campaigns.design import Assumed, Figure, Spread
from bench.stats import quantiles, ratios
from bench.stats.special import t_inflation


def log_normal(sigma: float) -> design.Callable[[float], float]:
    from bench.stats.special import normal_quantile

    return lambda p: math.log(800) + sigma * normal_quantile(p)


def figure(
    p: float = 0.5, rho: float = 0.0, hour: float = 0.0, day: float = 0.0, pair: float = 0.0, sigma: float = 0.5
) -> Figure:
    return Figure("ttft_p50_ms", p, log_normal(sigma), rho, hour, day, pair)


# by hand -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread", "whole", "printed"),
    [
        # independent hours, blocks of 10: 1 + 9 * 0.1 = 1.9 + (10 - 10) * 0.05; 1 hour each
        (Spread(480, 48, 10, 48, 48), 1.9, 48 / 47 * (1.9 - 1.9 / 48)),
        # one run of one hour: 1 + 9 * 0.1 + (480 - 10) * 0.05 = 25.4; its table sees 48/47 (1.9 - 25.4/48)
        (Spread(480, 48, 10, 1, 1), 25.4, 48 / 47 * (1.9 - 25.4 / 48)),
        # 48 runs of 10 in 24 hours of 1 day: 1.9 + (20 - 10) 0.05 + (480 - 20) 0.01 = 7.0
        (Spread(480, 48, 10, 24, 1), 7.0, 48 / 47 * (1.9 - 7.0 / 48)),
        # 24 runs of 20 with neighbourhoods of 4: 1 + 3 * 0.1 + 16 * 0.05 + 0 = 2.1 for any hour, and inside one run
        (Spread(480, 24, 4, 24, 24), 2.1, 24 / 23 * (2.1 - 2.1 / 24)),
    ],
)  # fmt: skip
def test_the_design_effect_is_the_sum_over_what_requests_share(spread: Spread, whole: float, printed: float) -> None:
    known = figure(rho=0.1, hour=0.05, day=0.01)
    assert design.effect(spread, known) == pytest.approx(whole)
    assert design.printed_effect(spread, known) == pytest.approx(printed)


def test_independent_requests_are_worth_what_they_are() -> None:
    assert design.effect(design.one_run(480, 60), figure()) == 1.0
    assert design.coverage(design.one_run(480, 60), figure()) >= 0.95


def test_no_number_of_requests_in_one_hour_is_worth_more_than_the_inverse_of_what_the_hour_shares() -> None:
    known = figure(rho=0.1, hour=0.05)
    worth = [n / design.effect(design.one_run(n, 60), known) for n in (100, 10_000, 1_000_000)]
    assert worth == sorted(worth)
    assert worth[-1] < 1 / 0.05


def test_one_run_has_the_blocks_of_its_plan_and_the_hours_it_lasts() -> None:
    assert design.one_run(96, 60) == Spread(96, 24, 4.0, 1, 1)  # 96 / 4
    assert design.one_run(360, 60) == Spread(360, 48, 7.5, 1, 1)  # 48 at the most
    assert design.one_run(360, 2.5 * 3600).hours == 3
    assert design.one_run(3, 60) == Spread(3, 1, 3.0, 1, 1)


def test_a_campaign_has_one_block_for_each_run() -> None:
    assert design.campaign(48, 20, 7) == Spread(960, 48, 4.0, 48, 7)
    assert design.campaign(96, 8, 1) == Spread(768, 96, 4.0, 24, 1)


def test_a_design_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="days <= hours"):
        Spread(10, 2, 5, 1, 2)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_the_expected_interval_reads_the_ranks_that_the_table_reads(p: float) -> None:
    # 20 blocks of independent requests: the table's own interval of a sample that lies on its own percentiles
    n, blocks = 4000, 20
    values = np.exp([figure(p).log_at((i + 1) / (n + 1)) for i in range(n)])
    sample = quantiles.quantile(values, np.arange(n, dtype=np.int64) % blocks, p).interval()
    assert sample.low is not None
    assert sample.high is not None
    found = design.ends(Spread(n, blocks, n / blocks, blocks, blocks), figure(p), 1.0)
    middle = figure(p).log_at(p)
    assert math.exp(middle - found.below) == pytest.approx(sample.low, rel=1e-6)
    assert math.exp(middle + found.above) == pytest.approx(sample.high, rel=1e-6)


def test_a_p99_is_open_until_the_effective_requests_bound_it() -> None:
    # ln 0.025 / ln 0.99 = 367.04, times (t_47 / z)^2 of 48 blocks
    needed = math.log(0.025) / math.log(0.99)
    n = design.requests_to_end(lambda n: design.one_run(n, 60), figure(0.99))
    assert n == math.ceil(needed * t_inflation(0.95, 48))
    assert design.half_width(design.one_run(n - 1, 60), figure(0.99)) is None
    assert design.half_width(design.one_run(n, 60), figure(0.99)) is not None


def test_a_p99_stays_open_in_one_hour_that_shares_too_much() -> None:
    # worth 1 / 0.01 = 100 requests at the most, and 368 are needed
    assert design.requests_to_end(lambda n: design.one_run(n, 60), figure(0.99, rho=0.02, hour=0.01)) is None


def test_no_ratio_is_called_on_fewer_than_twenty_blocks() -> None:
    assert design.smallest_ratio(Spread(4000, 19, 200, 19, 1), figure(), 0.8, 5) is None
    assert design.smallest_ratio(Spread(4000, 20, 200, 20, 1), figure(), 0.8, 5) is not None


def test_more_power_more_comparisons_and_less_pairing_ask_for_a_larger_ratio() -> None:
    spread = design.campaign(48, 20, 7)
    base = design.smallest_ratio(spread, figure(pair=0.5), 0.8, 5)
    assert base is not None
    assert design.smallest_ratio(spread, figure(pair=0.5), 0.9, 5) > base
    assert design.smallest_ratio(spread, figure(pair=0.5), 0.8, 20) > base
    assert design.smallest_ratio(spread, figure(pair=0.0), 0.8, 5) > base


def test_the_median_of_two_correlated_normals_agrees_by_sheppard() -> None:
    # P(both below the median) = 1/4 + asin(rho) / 2 pi, so the correlation is 2/pi asin(rho); 1/3 at rho = 1/2
    assert design.indicator_correlation(0.5, 0.5) == pytest.approx(1 / 3, abs=1e-9)
    assert design.indicator_correlation(0.0, 0.99) == 0.0
    assert design.indicator_correlation(1.0, 0.9) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("p", "rho"), [(0.99, 0.3), (0.9, 0.072), (0.99, 0.8)])
def test_the_correlation_in_the_tail_is_that_of_the_bivariate_normal(p: float, rho: float) -> None:
    from scipy.stats import multivariate_normal, norm

    both = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([norm.ppf(p)] * 2)
    assert design.indicator_correlation(rho, p) == pytest.approx((both - p * p) / (p * (1 - p)), rel=1e-3)


def test_the_assumed_median_is_the_one_that_was_stated() -> None:
    assert Assumed(p50_ms=640).figure("ttft_p50_ms", 0.5).value_ms == pytest.approx(640)
    # without a tail the 99th percentile of a log-normal is e^(2.3263 sigma) times its median
    plain = Assumed(p50_ms=640, sigma=0.5, tail=0).figure("ttft_p99_ms", 0.99)
    assert plain.value_ms == pytest.approx(640 * math.exp(2.3263479 * 0.5))


def test_measured_percentiles_lie_between_the_values_and_end_with_them() -> None:
    at = design.empirical(np.array([100.0, 200.0, 400.0, math.inf]))
    assert math.exp(at(0.4)) == pytest.approx(200)  # 0.4 * 5 = rank 2
    assert math.exp(at(0.5)) == pytest.approx(math.sqrt(200 * 400))  # rank 2.5, on the log scale
    assert at(0.8) == math.inf  # rank 4: a failure
    assert design.empirical(np.array([100.0, 200.0]))(0.9) == math.inf  # rank 2.7 of 2


def test_the_smallest_number_that_is_enough_is_found() -> None:
    for least in (1, 3, 4, 700, 999_999):
        assert design.smallest(lambda n, least=least: n >= least) == least
    assert design.smallest(lambda n: False) is None


def test_the_fewest_runs_that_cost_little_more_are_taken() -> None:
    # what 48 runs need 40 each for (1,920), 96 do with 16 (1,536) and 168 with 9 (1,512): 1,536 is within a quarter
    each = {48: 40, 96: 16, 168: 9}
    assert design.fewest_runs((48, 96, 168), 7, lambda s: s.requests // s.blocks >= each[s.blocks]) == (96, 16)


# against simulated services ------------------------------------------------------------------------------------------


def service(
    rng: np.random.Generator, days: int, hours: int, size: int, sd: tuple[float, float, float], common: float = 0.0
):
    """Two services of equal speed: log latency = day + hour + residual; blocks are hours. `common` is shared by both."""

    def layer(groups: int, each: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
        both = rng.normal(size=groups) * math.sqrt(common)
        own = rng.normal(size=(2, groups)) * math.sqrt(1 - common)
        return tuple(np.repeat((both + o) * scale, each) for o in own)

    n = days * hours * size
    (a1, b1), (a2, b2), (a3, b3) = (
        layer(days, hours * size, sd[0]),
        layer(days * hours, size, sd[1]),
        layer(n, 1, sd[2]),
    )
    return np.exp(a1 + a2 + a3), np.exp(b1 + b2 + b3), np.repeat(np.arange(days * hours), size)


SD = (0.05, 0.12, 0.5)
VARIANCE = sum(sd * sd for sd in SD)


def simulated_figure(p: float, pair: float = 0.0) -> Figure:
    rho = design.indicator_correlation((SD[0] ** 2 + SD[1] ** 2) / VARIANCE, p)
    day = design.indicator_correlation(SD[0] ** 2 / VARIANCE, p)
    return Figure("x", p, log_normal(math.sqrt(VARIANCE)), rho, rho, day, pair)


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_the_design_effect_is_that_of_a_simulated_week(p: float) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    spread = Spread(7 * 8 * 20, 56, 20, 56, 7)
    truth = math.exp(simulated_figure(p).log_at(p)) / 800
    shares = [float((service(rng, 7, 8, 20, SD)[0] <= truth).mean()) for _ in range(3000)]
    seen = float(np.var(shares)) * spread.requests / (p * (1 - p))
    # the variance of 3,000 draws is known to 2.6 %; three of those
    assert design.effect(spread, simulated_figure(p)) == pytest.approx(seen, rel=0.08)


@pytest.mark.parametrize(("days", "p"), [(7, 0.5), (1, 0.5), (7, 0.9)])
def test_the_table_prints_the_width_that_was_foretold_and_covers_as_often(days: int, p: float) -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    hours = 56 // days
    spread = Spread(56 * 20, 56, 20, 56, days)
    known = simulated_figure(p)
    truth = math.exp(known.log_at(p)) / 800
    widths, held = [], 0
    for _ in range(400):
        values, _, block = service(rng, days, hours, 20, SD)
        found = quantiles.quantile(values, block, p).interval()
        widths.append((found.high - found.low) / 2 / truth)
        held += found.low <= truth <= found.high
    foretold = design.half_width(spread, known, design.printed_effect(spread, known))
    assert float(np.mean(widths)) == pytest.approx(foretold, rel=0.08)
    assert held / 400 == pytest.approx(design.coverage(spread, known), abs=0.06)


def test_a_ratio_of_the_smallest_size_is_called_as_often_as_was_asked() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    spread = Spread(48 * 20, 48, 20, 48, 48)
    sd = (0.0, 0.12, 0.5)
    total = sd[1] ** 2 + sd[2] ** 2
    rho = design.indicator_correlation(sd[1] ** 2 / total, 0.5)
    # Block sums of 20: variance 1 + 19 rho; covariance of the two services: half of each layer's variance is common
    common = design.indicator_correlation(0.5, 0.5) + 19 * design.indicator_correlation(0.5 * sd[1] ** 2 / total, 0.5)
    known = Figure("x", 0.5, log_normal(math.sqrt(total)), rho, rho, rho, common / (1 + 19 * rho))
    ratio = design.smallest_ratio(spread, known, 0.8, 5)
    assert ratio is not None
    called = 0
    for _ in range(250):
        a, b, block = service(rng, 48, 1, 20, sd, common=0.5)
        qa, qb = (quantiles.quantile(values, block, 0.5) for values in (a, ratio * b))
        called += ratios.quantile_ratio(qa, qb, 1 - 0.05 / 5).low > 0
    assert called / 250 == pytest.approx(0.8, abs=0.1)


def test_correlations_are_found_again_in_rows() -> None:
    rng = np.random.Generator(np.random.PCG64(4))
    days, runs, blocks, size = 60, 6, 4, 5
    n = days * runs * blocks * size
    day = np.repeat(np.arange(days), n // days)
    run = np.repeat(np.arange(days * runs), blocks * size)
    block = np.repeat(np.arange(days * runs * blocks), size)
    sd = (0.3, 0.3, 0.3, 0.85)
    latent = sum(
        rng.normal(size=int(g.max()) + 1)[g] * s for g, s in zip((day, run, block, np.arange(n)), sd, strict=True)
    )
    total = sum(s * s for s in sd)
    found = design.correlations(latent <= np.median(latent), block, run, day)
    # of the latent variance, 0.09 / 0.9925 for each level; indicators by Sheppard
    for got, levels in ((found.rho, 3), (found.hour, 2), (found.day, 1)):
        assert got == pytest.approx(design.indicator_correlation(levels * 0.09 / total, 0.5), abs=0.05)


def test_one_run_tells_of_its_blocks_and_of_nothing_wider() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    block = np.repeat(np.arange(40), 10)
    zero = np.zeros(400, dtype=np.int64)
    values = np.exp(rng.normal(size=40)[block] + rng.normal(size=400))
    found = design.correlations(values <= np.median(values), block, zero, zero)
    assert found.rho is not None
    assert found.rho > 0.1
    assert (found.hour, found.day) == (None, None)
    known = design.known("ttft_p50_ms", 0.5, values, (block, zero, zero), 0.3, Assumed(), "a")
    guess = Assumed().figure("ttft_p50_ms", 0.5)
    assert known.rho == pytest.approx(guess.hour + (1 - guess.hour) * found.rho)
    assert (known.hour, known.day) == (guess.hour, guess.day)


def test_rows_that_are_all_alike_tell_nothing() -> None:
    zero = np.zeros(10, dtype=np.int64)
    assert design.correlations(np.ones(10, dtype=bool), np.arange(10), zero, zero) == design.Correlations(
        None, None, None
    )
