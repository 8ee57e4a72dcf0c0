"""log(gamma(x + d)) - log(gamma(x)) and what belongs to it, as operations.

The difference loses what d adds as soon as x is large; Stirling's series, subtracted term by term, does not: with
s = x + d, (x - 1/2) log(1 + d/x) + d log(s) - d + w(s) - w(x), w(x) = 1/(12x) - 1/(360x^3) + ... (Abramowitz and
Stegun 6.1.41; Didonato and Morris, *ACM TOMS* 18, 1992, treat the beta function likewise).
"""

from __future__ import annotations

import sympy as sp

from symgrad.program import Value

from .operation import Operation, Tail, lowered
from .stable import inside

_FAR = 16.0  # where Stirling's series has all digits with as many terms as below
_TERMS = 7


def _power_difference(x: Value, s: Value, n: int) -> Value:
    """(x^-n - s^-n) / (1/x - 1/s) = the sum of x^-i s^-(n-1-i)."""
    one_x, one_s = 1 / x, 1 / s
    total, power = x.number(1.0), x.number(1.0)
    for _ in range(n - 1):
        power = power * one_x
        total = total * one_s + power
    return total


def _is_far(x: Value, d: Value) -> Value:
    return (x >= _FAR).call("and", x + d >= _FAR)


def _log_rising(x: Value, d: Value) -> Value:
    s = x + d
    gap, series = d / x / s, x.number(0.0)  # 1/x - 1/s
    for k in range(1, _TERMS + 1):
        series = series + float(sp.bernoulli(2 * k) / (2 * k * (2 * k - 1))) * _power_difference(x, s, 2 * k - 1)
    far = (x - 0.5) * (d / x).call("log1p") + d * (s.call("log") - 1) - gap * series
    return _is_far(x, d).choose(far, s.call("loggamma") - x.call("loggamma"))


def _digamma_rise(x: Value, d: Value) -> Value:
    """digamma(x + d) - digamma(x)."""
    s = x + d
    gap, series = d / x / s, x.number(0.5)
    for k in range(1, _TERMS + 1):
        series = series + float(sp.bernoulli(2 * k) / (2 * k)) * _power_difference(x, s, 2 * k)
    far = (d / x).call("log1p") + gap * series
    return _is_far(x, d).choose(far, s.call("digamma") - x.call("digamma"))


def _log_beta(a: Value, b: Value) -> Value:
    small, large = a.call("min", b), a.call("max", b)
    return small.call("loggamma") - large.call("log_rising", small)


def _log_rising_pullback(c: Value, r: Value, x: Value, d: Value) -> tuple[Value, Value]:
    is_defined = (x > 0).call("and", x + d > 0)
    return inside(is_defined, c * x.call("digamma_rise", d)), inside(is_defined, c * (x + d).call("digamma"))


def _trigamma(x: Value) -> Value:
    return x.call("polygamma", attribute=1)


ROWS: tuple[Operation, ...] = (
    lowered("log_rising", None, _log_rising_pullback, _log_rising, Tail.PLAIN),
    lowered(
        "digamma_rise",
        None,
        lambda c, r, x, d: (c * (_trigamma(x + d) - _trigamma(x)), c * _trigamma(x + d)),
        _digamma_rise,
        Tail.PLAIN,
    ),
    lowered(
        "log_beta",
        None,
        lambda c, r, a, b: (-(c * a.call("digamma_rise", b)), -(c * b.call("digamma_rise", a))),
        _log_beta,
        Tail.PLAIN,
    ),
)
