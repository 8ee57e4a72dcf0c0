"""The oracle's rules of the error function and the gamma function, and of what is made of them (DLMF 5 and 7)."""

from __future__ import annotations

from typing import Any

from .rule import MAX_MAGNITUDE, OutOfReach, Real, Rule, nowhere, unary

LEAST_STEPPED = -4_000  # below, a derivative of digamma takes more than a twentieth of a second


def _erfinv(m: Any, x: Real) -> Real:
    """The y with erf(y) = x; by Newton's method on log(erfc(y)) in the tails, where erf(y) is all but constant."""
    if not abs(x) < 1:
        return m.inf * x if abs(x) == 1 else m.nan
    if 2 * abs(x) < 1:
        return m.erfinv(x)
    with m.extraprec(20):
        target = m.log(1 - abs(x))
        y = m.sqrt(-target)
        for _ in range(200):
            rest = m.erfc(y)
            step = (m.log(rest) - target) * rest * m.exp(y * y) * m.sqrt(m.pi) / 2
            y += step
            if m.mag(step) < m.mag(y) - m.prec // 2 - 10:  # the next one is below the last place
                break
    return y * m.sign(x)


def _gamma(m: Any, x: Real) -> Real:
    return m.inf if x == 0 else m.gamma(x)  # the other poles have two signs: mpmath raises, so NaN


def _exact_sum(m: Any, *xs: Real) -> Real:
    """The sum without rounding: whether it is a pole, and which, may hang on its last bit."""
    total = m.zero
    for x in xs:
        if m.isnormal(total) and m.isnormal(x) and abs(m.mag(total) - m.mag(x)) > MAX_MAGNITUDE:
            raise OutOfReach
        total = m.fadd(total, x, exact=True)
    return total


def _beta(m: Any, a: Real, b: Real) -> Real:
    return m.inf if a == 0 or b == 0 else m.gammaprod([a, b], [_exact_sum(m, a, b)])


def _binomial(m: Any, n: Real, k: Real) -> Real:
    return m.gammaprod([_exact_sum(m, n, 1)], [_exact_sum(m, k, 1), _exact_sum(m, n, m.fneg(k, exact=True), 1)])


def _binomial_by_n(m: Any, v: Real, n: Real, k: Real) -> Real:
    """The derivative by n; of a polynomial, n (n - 1) ... (n - k + 1)/k!, by its factors, of which some may be zero."""
    if not (m.isint(k) and 0 <= k <= 64):
        return v * _rise(m, _exact_sum(m, n, m.fneg(k, exact=True), 1), _exact_sum(m, n, 1))
    factors = [_exact_sum(m, n, -i) for i in range(int(k))]
    return m.fsum(m.fprod(f for j, f in enumerate(factors) if j != i) for i in range(int(k))) / m.factorial(k)


def _rise(m: Any, x: Real, y: Real) -> Real:
    """digamma(y) - digamma(x), with as many digits more as the difference loses."""
    gap = _exact_sum(m, y, m.fneg(x, exact=True))
    if gap == 0:
        return m.zero
    with m.extraprec(20 + max(0, m.mag(x) - m.mag(gap)) if m.isnormal(x) and m.isnormal(gap) else 0):
        return polygamma(m, m.zero, y) - polygamma(m, m.zero, x)


def _loggamma(m: Any, x: Real) -> Real:
    if x == 0:
        return m.inf
    return m.loggamma(x) if x > 0 else m.nan


def polygamma(m: Any, n: Real, x: Real) -> Real:
    """The n-th derivative of digamma, n = 0, 1, ...; at 0 the limit from the right.

    Raises OutOfReach for a derivative far on the negative side.
    """
    if not m.isint(n) or n < 0:
        return m.nan
    order = int(n)
    if x == 0:
        return m.inf if order % 2 else -m.inf
    if x == m.inf:
        return m.inf if order == 0 else m.zero
    if order and x < LEAST_STEPPED and not m.isint(x):
        raise OutOfReach  # mpmath steps from x to 0 by ones: hours, at -1e9
    return m.psi(order, x)


SPECIAL: dict[str, Rule] = {
    "erf": unary(lambda m, x: m.erf(x), lambda m, v, x: 2 / m.sqrt(m.pi) * m.exp(-x * x)),
    "erfc": unary(lambda m, x: m.erfc(x), lambda m, v, x: -2 / m.sqrt(m.pi) * m.exp(-x * x)),
    "erfinv": unary(_erfinv, lambda m, v, x: m.sqrt(m.pi) / 2 * m.exp(v * v)),
    "gamma": unary(_gamma, lambda m, v, x: v * polygamma(m, m.zero, x)),
    "loggamma": unary(_loggamma, lambda m, v, x: polygamma(m, m.zero, x) if x >= 0 else m.nan),
    "digamma": unary(lambda m, x: polygamma(m, m.zero, x), lambda m, v, x: polygamma(m, m.one, x)),
    "trigamma": unary(lambda m, x: polygamma(m, m.one, x), lambda m, v, x: polygamma(m, m.mpf(2), x)),
    "polygamma": Rule(polygamma, (nowhere, lambda m, v, n, x: polygamma(m, n + 1, x))),
    "beta": Rule(
        _beta,
        (
            lambda m, v, a, b: v * _rise(m, _exact_sum(m, a, b), a),
            lambda m, v, a, b: v * _rise(m, _exact_sum(m, a, b), b),
        ),
    ),
    "binomial": Rule(
        _binomial,
        (
            _binomial_by_n,
            lambda m, v, n, k: v * _rise(m, _exact_sum(m, k, 1), _exact_sum(m, n, m.fneg(k, exact=True), 1)),
        ),
    ),
    "factorial": unary(lambda m, n: m.gamma(n + 1), lambda m, v, n: v * polygamma(m, m.zero, n + 1)),
}
SLOW = frozenset(SPECIAL) - {"erf", "erfc"}  # with thousands of digits
POLES_AT_ZERO = frozenset({"gamma", "digamma", "beta"})  # infinite there, with a sign
