"""The error function and the gamma function, and what belongs to them."""

from __future__ import annotations

import math

import sympy as sp

from symgrad.program import SCALAR_CALL, STEP, Form, Value

from .operation import Operation, Tail, X, function, lowered, own_function, vector_function
from .stable import inside

_SLOPE_OF_ERF, _HALF_ROOT_PI = float(2 / sp.sqrt(sp.pi)), float(sp.sqrt(sp.pi) / 2)


def _gaussian(x: Value) -> Value:
    """exp(-x*x): what the square loses in rounding, x*x/2 ULP of the result, is put back to first order."""
    square = x * x
    lost = x.call("fma", x, -square)
    value = (-square).call("exp")
    return (square < 750).choose(value - value * lost, value)


def _loggamma(x: Value) -> Value:
    """SymPy's loggamma is complex left of 0, where C's lgamma gives the real part."""
    return (x > 0).choose(x.call("lgamma"), x.equals(0).choose(float("inf"), float("nan")))


def _erfinv_pullback(c: Value, r: Value, x: Value) -> tuple[Value]:
    """c sqrt(pi)/2 exp(r^2), in the tails by exp(-r^2) = erfc(|r|) hazard(|r|): erfc(|r|) is 1 - |x|, without error."""
    size = abs(x)
    share = (size < 0.5).choose(r.call("gaussian"), (1 - size) * abs(r).call("hazard"))
    return (c * size.equals(1).choose(math.inf, _HALF_ROOT_PI / share),)


def _polygamma_pullback(c: Value, r: Value, x: Value, order: int) -> tuple[Value]:
    return (c * x.call("polygamma", attribute=order + 1),)


ROWS: tuple[Operation, ...] = (
    vector_function("erf", sp.erf(X), lambda c, r, x: (c * (_SLOPE_OF_ERF * x.call("gaussian")),), Tail.FLAT),
    vector_function("erfc", sp.erfc(X), lambda c, r, x: (-(c * (_SLOPE_OF_ERF * x.call("gaussian"))),), Tail.FLAT),
    own_function("erfinv", sp.erfinv(X), _erfinv_pullback, Tail.PLAIN),
    lowered("gaussian", sp.exp(-(X**2)), lambda c, r, x: (-2 * x * (c * r),), _gaussian, Tail.FLAT),
    function("fma", None, lambda c, r, x, y, z: (c * y, c * x, c), Tail.PLAIN, Form.C_FUNCTION, "fma", "fma", STEP),
    function(
        "gamma",
        sp.gamma(X),
        lambda c, r, x: (c * (r * x.call("digamma")),),
        Tail.EXPONENTIAL,
        Form.C_FUNCTION,
        "tgamma",
        "gamma",
        SCALAR_CALL,
    ),
    lowered(
        "loggamma", sp.loggamma(X), lambda c, r, x: (inside(x >= 0, c * x.call("digamma")),), _loggamma, Tail.PLAIN
    ),
    function(
        "lgamma",
        None,
        lambda c, r, x: (c * x.call("digamma"),),
        Tail.PLAIN,
        Form.C_FUNCTION,
        "lgamma",
        "lgamma",
        SCALAR_CALL,
    ),
    own_function("digamma", sp.digamma(X), lambda c, r, x: (c * x.call("polygamma", attribute=1),), Tail.PLAIN),
    own_function("polygamma", None, _polygamma_pullback, Tail.PLAIN),
)
