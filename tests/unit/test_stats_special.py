"""The special functions against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from bench.stats.special import beta_quantile, betainc, normal_cdf, normal_quantile, t_cdf, t_inflation, t_quantile


def test_incomplete_beta_agrees_with_scipy_to_ten_digits_from_tiny_to_millions():
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(4000):
        a, b = 10 ** rng.uniform(-3, 6.5, 2)
        mean = a / (a + b)
        # Around the mean, where it is neither 0 nor 1 and cancellation would show.
        x = float(np.clip(rng.normal(mean, 3 * math.sqrt(mean * (1 - mean) / (a + b + 1))), 1e-9, 1 - 1e-9))
        worst = max(worst, abs(betainc(a, b, x) - scipy.special.betainc(a, b, x)))
    assert worst < 1e-10


def test_incomplete_beta_at_its_ends_and_outside_its_domain():
    assert betainc(2, 3, 0) == 0
    assert betainc(2, 3, 1) == 1
    # I_x(1, 1) = x.
    assert betainc(1, 1, 0.25) == pytest.approx(0.25, abs=1e-15)
    for a, b, x in ((0, 1, 0.5), (1, -1, 0.5), (1, 1, math.nan)):
        with pytest.raises(ValueError, match="betainc needs"):
            betainc(a, b, x)


@pytest.mark.parametrize("df", [1, 2, 3, 5, 23, 100, 10_000])
@pytest.mark.parametrize("p", [1e-6, 0.001, 0.025, 0.4, 0.5, 0.6, 0.975, 0.9995])
def test_student_t_agrees_with_scipy(df, p):
    t = t_quantile(p, df)
    assert t == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-9, abs=1e-12)
    assert t_cdf(t, df) == pytest.approx(p, rel=1e-9)


def test_normal_and_beta_quantiles_agree_with_scipy():
    for p in (1e-9, 0.025, 0.5, 0.975):
        assert normal_quantile(p) == pytest.approx(scipy.stats.norm.ppf(p), rel=1e-9, abs=1e-12)
        assert normal_cdf(normal_quantile(p)) == pytest.approx(p, rel=1e-9)
        for a, b in ((0.3, 4.2), (5, 92), (1500, 3)):
            assert beta_quantile(p, a, b) == pytest.approx(scipy.stats.beta.ppf(p, a, b), rel=1e-9)
    assert beta_quantile(0.5, 0, 3) == 0
    assert beta_quantile(0.5, 3, 0) == 1


def test_few_groups_cost_the_square_of_t_over_z():
    # 24 blocks: (2.0687 / 1.9600)^2 = 1.1140; two blocks: (12.706 / 1.960)^2 = 42.03; one is treated as two.
    assert t_inflation(0.95, 24) == pytest.approx(1.1140, abs=5e-4)
    assert t_inflation(0.95, 2) == pytest.approx(42.03, abs=0.01)
    assert t_inflation(0.95, 1) == t_inflation(0.95, 2)
