"""log(gamma(x + d)) - log(gamma(x)), binomial coefficients, and what belongs to them, as operations.

The difference loses what d adds as soon as x is large; Stirling's series, subtracted term by term, does not: with
s = x + d, (x - 1/2) log(1 + d/x) + d log(s) - d + w(s) - w(x), w(x) = 1/(12x) - 1/(360x^3) + ... (Abramowitz and
Stegun 6.1.41; Didonato and Morris, *ACM TOMS* 18, 1992, treat the beta function likewise).
"""

from __future__ import annotations

import math

import sympy as sp

from symgrad.program import Value

from .operation import Operation, Tail, X, Y, lowered
from .stable import inside

_FAR = 16.0  # where Stirling's series has all digits with as many terms as below
_TERMS = 7
_SHORT = 8  # binomial(n, k) for a constant k to this one is a polynomial of n; as one, 9 factors lose more than 4 ULP
_GROWING = Tail.EXPONENTIAL
_PI = math.pi
_ONE_OVER_E, _ONE_OVER_TWO_PI = float(sp.exp(-1)), float(1 / (2 * sp.pi))
_REST_OF_ONE_OVER_E = float((sp.exp(-1) - sp.Rational(_ONE_OVER_E)).evalf(30))


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


def _stirling(x: Value) -> Value:
    """Return w(x), what log(gamma(x + 1)) has beyond x log(x) - x + log(2 pi x)/2, for x >= 15."""
    one, square, series = 1 / x, 1 / (x * x), x.number(0.0)
    for k in range(_TERMS, 0, -1):
        series = series * square + float(sp.bernoulli(2 * k) / (2 * k * (2 * k - 1)))
    return series * one


def _factorial(n: Value) -> Value:
    """gamma(n + 1), or n gamma(n) where n + 1 could be rounded by much."""
    is_large = n >= 1
    return is_large.choose(n, 1.0) * is_large.choose(n, n + 1).call("gamma")


def _choices(n: Value, k: Value, m: Value, off_n: Value | float, off_l: Value | float) -> Value:
    """Return n!/(k! m!) for n = k + m and k, m >= 0; n lacks off_n by rounding, and the larger of k and m off_l.

    Far out by Stirling's formula, with powers that overflow no sooner than the result: for large k and m
    (n/k)^k (n/m)^m sqrt(n/(2 pi k m)), for one small d of the two (n/l)^l (n/e)^d sqrt(n/l)/d!. What the quotients lose
    as doubles, times the exponents, is put back.
    """
    d, l = k.call("min", m), k.call("max", m)  # noqa: E741
    are_far = d >= _FAR
    root = are_far.choose(n / d, n * _ONE_OVER_E)
    of_product = n.call("fma", _ONE_OVER_E, -root) + n * _REST_OF_ONE_OVER_E
    off_root = are_far.choose((-root).call("fma", d, n), of_product * d)
    quotient = n / l
    lost = (-quotient).call("fma", l, n) / quotient + off_root / root
    lost = lost + off_l * (quotient.call("log") - 1) + off_n
    correction = (lost + _stirling(n) - _stirling(l) - are_far.choose(_stirling(d), 0.0)).call("exp")
    scale = (quotient * are_far.choose(_ONE_OVER_TWO_PI / d, 1.0)).call("sqrt") / are_far.choose(1.0, _factorial(d))
    half = root.call("pow", 0.5 * d)
    far = quotient.call("pow", l) * (half * scale) * half * correction
    near = _factorial(n) / (_factorial(d) * _factorial(l))
    near = near + near * (off_n * (n + 0.5).call("log") - off_l * (l + 0.5).call("log"))
    return (l >= _FAR).choose(far, near)


def _sine_over(x: Value, off: Value | float) -> Value:
    """Return sin(pi (x + off))/(pi x), by the distance to the nearest whole number."""
    whole = (x + 0.5).call("floor")
    sine, half = (_PI * (x - whole + off)).call("sin"), 0.5 * whole
    return x.equals(0).choose(1.0, half.equals(half.call("floor")).choose(sine, -sine) / (_PI * x))


def _all_choices(n: Value, k: Value, m: Value, off_n: Value | float, off_m: Value | float) -> Value:
    """Return gamma(n + 1)/(gamma(k + 1) gamma(m + 1)) for n = k + m of any sign, of which n and m lack what is told.

    gamma(x + 1) gamma(1 - x) = pi x/sin(pi x) turns negative arguments. Of |n|, |k| and |m| the largest is the sum of
    the others, and the smallest is exact.
    """
    (size_n, size_k, size_m), above = (abs(n), abs(k), abs(m)), n >= 0
    any_below, all_below = (k < 0).call("or", m < 0), (k < 0).call("and", m < 0)
    n_wins = all_below.call("or", above.call("and", any_below.call("not")))
    k_wins = above.call("eq", k >= m)  # by signs: sizes that differ may be one double
    off_n, off_m = above.choose(off_n, -1.0 * off_n), (m >= 0).choose(off_m, -1.0 * off_m)
    one, two = n_wins.choose(size_k, size_n), n_wins.call("or", k_wins).choose(size_m, size_k)
    off_one, off_two = n_wins.choose(0.0, off_n), n_wins.call("or", k_wins).choose(off_m, 0.0)
    choices = _choices(
        n_wins.choose(size_n, size_k.call("max", size_m)),
        one,
        two,
        n_wins.choose(off_n, k_wins.choose(0.0, off_m)),
        (one >= two).choose(off_one, off_two),
    )
    factor = (k < 0).choose(_sine_over(k, 0.0), 1.0) * (m < 0).choose(_sine_over(m, -1.0 * off_m), 1.0)
    lower, upper = k.call("min", m), k.call("max", m)
    is_whole, half = upper.equals(upper.call("floor")).call("and", (k >= m).choose(0.0, off_m).equals(0)), 0.5 * upper
    ratio = n / lower * half.equals(half.call("floor")).choose(1.0, -1.0)  # that of the sines, without poles
    below = is_whole.call("and", upper >= 0).choose(ratio, factor / _sine_over(n, -1.0 * off_n))
    factor = above.choose(factor, below)
    turned = all_below.call("or", any_below.call("and", above))
    return factor.equals(0).choose(0.0, factor * turned.choose(1 / choices, choices))


def _beta(a: Value, b: Value) -> Value:
    """gamma(a) gamma(b)/gamma(a + b) = (a + b)/(a b) over the number of choices of a from a + b."""
    s = a + b
    return s / a / b / _all_choices(s, a, b, a.call("lost_in_sum", b), 0.0)


def _falling(n: Value, k: Value) -> tuple[Value, Value, float] | None:
    """n (n - 1) ... (n - k + 1), its slope, and k!, for a k that is a small whole number."""
    if k.constant is None or k.constant not in range(_SHORT + 1):
        return None
    product, slope = n.number(1.0), n.number(0.0)
    for i in range(int(k.constant)):
        product, slope = product * (n - i), slope * (n - i) + product
    return product, slope, float(math.factorial(int(k.constant)))


def _binomial(n: Value, k: Value) -> Value:
    falling = _falling(n, k)
    if falling is not None:
        return falling[0] / falling[2]
    return _all_choices(n, k, n - k, 0.0, n.call("lost_in_sum", -k))


def _log_binomial(n: Value, k: Value) -> Value:
    """The logarithms of the factors of `_choices`, of which none cancels another."""
    m = n - k
    d, l = k.call("min", m), k.call("max", m)  # noqa: E741
    powers = d * (n / d).call("log") - l * (-d / n).call("log1p")
    far = powers + 0.5 * (_ONE_OVER_TWO_PI * (n / l) / d).call("log") + (_stirling(n) - _stirling(l) - _stirling(d))
    return (d >= _FAR).choose(far, (l + 1).call("log_rising", d) - (d + 1).call("loggamma"))


def _rise(x: Value, d: Value) -> Value:
    """Return digamma(x + d) - digamma(x), for positive x too small for `digamma_rise` by the terms that lead there.

    digamma(x) = digamma(x + 1) - 1/x: each step adds 1/x - 1/(x + d), and none cancels another.
    """
    s, total = x + d, x * 0.0
    for k in range(int(_FAR) - 1, -1, -1):
        total = total + d / (x + k) / (s + k)
    total = total + (x + _FAR).call("digamma_rise", d)
    return (x > 0).call("and", s > 0).choose(total, x.call("digamma_rise", d))


def _binomial_slopes(c: Value, n: Value, k: Value) -> tuple[Value, Value]:
    m = n - k
    rise = _rise(k.call("min", m) + 1, abs(m - k))  # from the smaller one: down from the larger, digits would go
    return _times(c, _rise(m + 1, k)), _times(c, (k > m).choose(-rise, rise))


def _binomial_pullback(c: Value, r: Value, n: Value, k: Value) -> tuple[Value | float, ...]:
    falling = _falling(n, k)
    return _binomial_slopes(c * r, n, k) if falling is None else (c * (falling[1] / falling[2]), 0.0)


def _times(c: Value, slope: Value) -> Value:
    """Return the product, where a slope of zero wins over a value that has overflowed."""
    return slope.equals(0).choose(0.0, c * slope)


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
    lowered("factorial", sp.factorial(X), lambda c, r, n: (c * (r * (n + 1).call("digamma")),), _factorial, _GROWING),
    lowered(
        "beta",
        sp.beta(X, Y),
        lambda c, r, a, b: (-_times(c * r, _rise(a, b)), -_times(c * r, _rise(b, a))),
        _beta,
        Tail.FLAT | Tail.STEEP,
    ),
    lowered("binomial", sp.binomial(X, Y), _binomial_pullback, _binomial, Tail.FLAT | _GROWING),
    lowered("log_binomial", None, lambda c, r, n, k: _binomial_slopes(c, n, k), _log_binomial, Tail.PLAIN),
    lowered(
        "log_beta",
        None,
        lambda c, r, a, b: (-(c * _rise(a, b)), -(c * _rise(b, a))),
        _log_beta,
        Tail.PLAIN,
    ),
)
