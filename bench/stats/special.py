"""The few special functions that the intervals need: regularised incomplete beta, Student t, normal.

SciPy is not needed at run time; the tests hold these against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_quantile(p: float) -> float:
    return _NORMAL.inv_cdf(p)


def _stirling_error(n: float) -> float:
    """log Γ(n+1) - ((n + 1/2) log n - n + log √2π)."""
    if n <= 15:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LOG_2PI
    m = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * m)) / m) / m) / m) / n


def _deviance(a: float, mean: float) -> float:
    """a log(a / mean) + mean - a, without cancellation when a is near the mean."""
    if abs(a - mean) < 0.1 * (a + mean):
        v = (a - mean) / (a + mean)
        total, term, j = (a - mean) * v, 2 * a * v, 1
        while True:
            term *= v * v
            following = total + term / (2 * j + 1)
            if following == total:
                return total
            total, j = following, j + 1
    return a * math.log(a / mean) + mean - a


def _beta_front(a: float, b: float, x: float, y: float) -> float:
    """x^a y^b / B(a, b), by Loader's saddle-point form: log Γ differences lose eleven digits at a + b = 10^6."""
    n = a + b
    log = (
        _stirling_error(n) - _stirling_error(a) - _stirling_error(b)
        - _deviance(a, n * x) - _deviance(b, n * y)
        + 0.5 * math.log(a * b / n) - _HALF_LOG_2PI
    )  # fmt: skip
    return math.exp(log)


def betainc(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta I_x(a, b) for a, b > 0: Lentz's continued fraction, on the side where it is fast."""
    if a <= 0 or b <= 0 or math.isnan(x):
        raise ValueError(f"betainc needs a, b > 0 and a number x: got a={a}, b={b}, x={x}")
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    y = 1 - x
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_fraction(b, a, y, x)
    return _beta_fraction(a, b, x, y)


def _beta_fraction(a: float, b: float, x: float, y: float) -> float:
    tiny = 1e-300  # in place of a zero, which is the only sum of 1 and another number that is smaller
    both = a + b
    c = 1.0
    d = h = 1 / (1 - both * x / (a + 1) or tiny)
    for m in range(1, 100_000):
        at = a + 2 * m
        step = m * (b - m) * x / ((at - 1) * at)
        d = 1 / (1 + step * d or tiny)
        c = 1 + step / c or tiny
        h *= d * c
        step = -(a + m) * (both + m) * x / (at * (at + 1))
        d = 1 / (1 + step * d or tiny)
        c = 1 + step / c or tiny
        last = d * c
        h *= last
        if -1e-15 < last - 1 < 1e-15:
            return _beta_front(a, b, x, y) * h / a
    raise ArithmeticError(f"incomplete beta did not converge at a={a}, b={b}, x={x}")


def bisect(rises: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The x in [low, high] at which an increasing function reaches target, to the last bits."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if rises(middle) < target else (low, middle)
    return high


@lru_cache(maxsize=16384)
def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p; a = 0 is a point mass at 0, b = 0 one at 1 (as Clopper-Pearson uses it)."""
    if a <= 0:
        return 0.0
    if b <= 0:
        return 1.0
    return bisect(lambda x: betainc(a, b, x), p, 0.0, 1.0)


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t."""
    if t == 0:
        return 0.5
    tail = 0.5 * betainc(df / 2, 0.5, df / (df + t * t))
    return 1 - tail if t > 0 else tail


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1."""
    if p == 0.5:
        return 0.0
    tail = 2 * min(p, 1 - p)
    # P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t^2).
    x = bisect(lambda x: betainc(df / 2, 0.5, x), tail, 0.0, 1.0)
    # For small tails x is near 0 and t = sqrt(df (1-x) / x) keeps its digits.
    t = math.sqrt(df * (1 - x) / x) if x > 0 else math.inf
    return t if p > 0.5 else -t


def t_inflation(conf: float, groups: int) -> float:
    """(t / z)^2: what estimating a variance from so few groups costs. One group is treated as two, and said."""
    p = 1 - (1 - conf) / 2
    return (t_quantile(p, max(1, groups - 1)) / normal_quantile(p)) ** 2
