"""Circular and hyperbolic functions and their inverses."""

from __future__ import annotations

import sympy as sp

from symgrad.program import Value

from .operation import Operation, Tail, X, Y, lowered, vector_function
from .stable import inside

# Of (tanh(x)/x - 1)/x^2 as a polynomial in x^2, by interpolation at Chebyshev's points for |x| < 0.45: 58 bits of tanh.
_TANH = (
    *(-0.3333333333333333, 0.13333333333332756, -0.053968253967312856, 0.021869488476433937, -0.008863233600962223),
    *(0.003592092138684696, -0.0014554257178951656, 0.0005871241987521835, -0.00022646125178830043),
    6.50769217873237e-05,
)


def _tanh(x: Value) -> Value:
    """By the exponential that its slope needs too, (1 - exp(-2|x|))/(1 + exp(-2|x|)), where that keeps its digits."""
    decay, square, series = (-abs(2 * x)).call("exp"), x * x, x.number(_TANH[-1])
    for coefficient in _TANH[-2::-1]:
        series = series * square + coefficient
    far = (1 - decay) * (1 / (1 + decay))
    return (abs(x) < 0.45).choose(x + x * (square * series), (x < 0).choose(-far, far))


def _sech(x: Value) -> Value:
    decay = (-abs(x)).call("exp")
    return 2 * decay / (1 + decay * decay)


def _sinc_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """(cos(x) - sinc(x))/x loses its digits near 0: there Taylor's series, sum of (-1)^k 2k x^(2k-1)/(2k+1)!."""
    square, series = x * x, x * 0.0
    for k in range(9, 0, -1):
        series = series * square + float(sp.Rational((-1) ** k * 2 * k, sp.factorial(2 * k + 1)))
    return (c * (abs(x) < 1).choose(series * x, (x.call("cos") - r) / x),)


# The inverses of reciprocals: 1/x would round where the function is steep, at |x| = 1, and overflow near 0.


def _asec(x: Value) -> Value:
    return ((abs(x) - 1) * (abs(x) + 1)).call("sqrt").call("atan2", x.call("sign"))


def _acsc(x: Value) -> Value:
    leg = ((abs(x) - 1) * (abs(x) + 1)).call("sqrt")
    return (abs(x) < 2).choose(x.call("sign").call("atan2", leg), (1 / x).call("asin"))


def _acoth(x: Value) -> Value:
    return x.call("sign") * (0.5 * (2 / (abs(x) - 1)).call("log1p"))


def _asech(x: Value) -> Value:
    leg = ((1 - x) * (1 + x)).call("sqrt")
    return (x > 0.5).choose(leg.call("atanh"), (1 + leg).call("log") - x.call("log"))


def _acsch(x: Value) -> Value:
    near = ((1 + x.call("hypot", 1.0)).call("log") - abs(x).call("log")) * x.call("sign")
    return (abs(x) < 0.5).choose(near, (1 / x).call("asinh"))


def _asec_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (c / (abs(x) * ((x - 1) * (x + 1)).call("sqrt")),)


def _acsc_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (-(c / (abs(x) * ((x - 1) * (x + 1)).call("sqrt"))),)


def _asech_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (inside(x >= 0, -(c / (x * ((1 - x) * (1 + x)).call("sqrt")))),)


def _acsch_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    return (-(c / (abs(x) * x.call("hypot", 1.0))),)


def _atan_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """c/(1 + x^2); far out, where the square could overflow, c/x/x."""
    is_near = abs(x) < 1e9
    part = 1 / is_near.choose(1 + x * x, x)
    return (c * part * is_near.choose(1.0, part),)


def _atan2_pullback(c: Value, r: Value, y: Value, x: Value) -> tuple[Value, Value]:
    # by the radius twice, since the square of the radius overflows at 1e155
    radius = x.call("hypot", y)
    return c * (x / radius / radius), -(c * (y / radius / radius))


ROWS: tuple[Operation, ...] = (
    vector_function("sin", sp.sin(X), None, Tail.PLAIN),
    vector_function("cos", sp.cos(X), None, Tail.PLAIN),
    vector_function("tan", sp.tan(X), None, Tail.PLAIN),
    lowered("cot", sp.cot(X), None, lambda x: 1 / x.call("tan"), Tail.PLAIN),
    lowered("sec", sp.sec(X), None, lambda x: 1 / x.call("cos"), Tail.PLAIN),
    lowered("csc", sp.csc(X), None, lambda x: 1 / x.call("sin"), Tail.PLAIN),
    lowered("sinc", sp.sinc(X), _sinc_pullback, lambda x: x.equals(0).choose(1.0, x.call("sin") / x), Tail.PLAIN),
    vector_function("asin", sp.asin(X), lambda c, r, x: (c / ((1 - x) * (1 + x)).call("sqrt"),), Tail.CUSPED),
    vector_function("acos", sp.acos(X), lambda c, r, x: (-(c / ((1 - x) * (1 + x)).call("sqrt")),), Tail.CUSPED),
    vector_function("atan", sp.atan(X), _atan_pullback, Tail.PLAIN),
    lowered("acot", sp.acot(X), None, lambda x: (1 / x).call("atan"), Tail.PLAIN),
    lowered("asec", sp.asec(X), _asec_pullback, _asec, Tail.PLAIN),
    lowered("acsc", sp.acsc(X), _acsc_pullback, _acsc, Tail.PLAIN),
    vector_function("atan2", sp.atan2(X, Y), _atan2_pullback, Tail.PLAIN),
    vector_function("sinh", sp.sinh(X), None, Tail.EXPONENTIAL),
    vector_function("cosh", sp.cosh(X), None, Tail.EXPONENTIAL),
    lowered("tanh", sp.tanh(X), lambda c, r, x: (c * (4 * (2 * x).call("logistic_density")),), _tanh, Tail.FLAT),
    lowered("coth", sp.coth(X), None, lambda x: 1 / x.call("tanh"), Tail.PLAIN),
    lowered("sech", sp.sech(X), lambda c, r, x: (-(c * (r * x.call("tanh"))),), _sech, Tail.FLAT),
    lowered("csch", sp.csch(X), None, lambda x: 1 / x.call("sinh"), Tail.PLAIN),
    vector_function("asinh", sp.asinh(X), lambda c, r, x: (c / x.call("hypot", 1.0),), Tail.PLAIN),
    vector_function(
        "acosh", sp.acosh(X), lambda c, r, x: (c / ((x - 1).call("sqrt") * (x + 1).call("sqrt")),), Tail.CUSPED
    ),
    vector_function("atanh", sp.atanh(X), lambda c, r, x: (inside(abs(x) <= 1, c / ((1 - x) * (1 + x))),), Tail.PLAIN),
    lowered("acoth", sp.acoth(X), lambda c, r, x: (inside(abs(x) >= 1, c / ((1 - x) * (1 + x))),), _acoth, Tail.PLAIN),
    lowered("asech", sp.asech(X), _asech_pullback, _asech, Tail.CUSPED),
    lowered("acsch", sp.acsch(X), _acsch_pullback, _acsch, Tail.PLAIN),
)
