"""Powers: integer ones by products, halves by a square root more, and quotients by them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp

from symgrad.program import Value, over

from .operation import Operation, Tail, X, Y, lowered, vector_function

_LONG = 8  # a chain of products for a higher power would lose more than 4 ULP


def _power_pullback(c: Value, r: Value, x: Value, n: int) -> tuple[Value]:
    if n < 0:  # the next power may overflow where this one and the slope do not
        return (c * (float(n) * r / x),)
    # where x is invariant, so is its slope; else the factor goes to the cotangent, which often has its inverse
    power = x.call("power", attribute=n - 1)
    return (c * float(n) * power if x.varies else c * (float(n) * power),)


def _power(x: Value, n: int) -> Value:
    """``x**n`` by squaring: at most ``2 log2(n)`` products; a negative power is one division."""
    if n < -1:  # of a power that is in range where the result is, subnormal numbers included
        root = 1 / x.call("power", attribute=(1 - n) // 2)
        return root * (abs(x) < math.inf).choose(root * x, root) if n % 2 else root * root
    if n == -1:
        return 1 / x
    if n == 0:
        return x - x + 1.0
    if n == 1:
        return x
    if n > _LONG:
        return _compensated_power(x, n)
    half = x.call("power", attribute=n // 2)
    return half * half * x if n % 2 else half * half


def _over_product_pullback(c: Value, r: Value, x: Value, d: Value, *rest: Any) -> tuple[Value | float, ...]:
    # not by way of the divisor: r over it vanishes where the slope -n r/y does not
    *factors, exponents = rest
    slopes = []
    for y, p, q in zip(factors, exponents[::2], exponents[1::2], strict=True):
        slopes.append(c * (-(p / q) * (r / y) if y.varies else r * (-(p / q) / y)))
    return over(c, d), 0.0, *slopes


def _compensated_power(x: Value, n: int) -> Value:
    """Powers by products as pairs (high, low): what each product loses is carried along, to first order."""
    high, low = x, x * 0.0
    for bit in f"{n:b}"[1:]:
        square = high * high
        high, low = square, 2 * high * low + high.call("fma", high, -square)
        if bit == "1":
            product = high * x
            high, low = product, low * x + high.call("fma", x, -product)
    return (abs(high) < math.inf).choose(high + low, high)


def _rational_power(x: Value, p: int, q: int) -> Value:
    """``x**(p/q)``: what the exponent loses as a double, times log(x), is put back to first order."""
    nearest = p / q
    value, lost = x.call("pow", nearest), float(sp.Rational(p, q) - sp.Rational(*nearest.as_integer_ratio()))
    return (x > 0).call("and", value < math.inf).choose(value + value * (lost * x.call("log")), value)


def _rational_power_pullback(c: Value, r: Value, x: Value, exponent: tuple[int, int]) -> tuple[Value]:
    p, q = exponent
    return (c * (p / q * x.call("rational_power", attribute=(p - q, q))),)


def _root_power_pullback(c: Value, r: Value, x: Value, n: int) -> tuple[Value]:
    lower = x.call("sqrt") if n == 1 else x.call("root_power", attribute=n - 1)
    return (c * ((n + 0.5) * lower),)


def _root_power(x: Value, n: int) -> Value:
    return x.call("power", attribute=n) * x.call("sqrt")


def _pow_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    # d/dy = log(x) x^y, at x = 0 by convention 0; d/dx = y x^(y-1) also there, and 0 where y is
    slope = y.equals(0).choose(0.0, c * (y * _pow_less_one(x, y)))
    return slope, x.equals(0).choose(0.0, c * r * x.call("log"))


def _pow_less_one(x: Value, y: Value) -> Value:
    """x**(y - 1): what y - 1 loses in rounding, times log(x), is put back to first order."""
    power = x.call("pow", y - 1)
    if y.constant is not None and Fraction(y.constant) - 1 == Fraction(y.constant - 1):
        return power
    lost = y.call("lost_in_sum", -1.0)
    return (x > 0).call("and", power < math.inf).choose(power + power * (lost * x.call("log")), power)


ROWS: tuple[Operation, ...] = (
    lowered("power", None, _power_pullback, _power, Tail.PLAIN),
    # x/d, where d is a product of powers y**(p/q), and of what is no variable
    lowered("over_product", None, _over_product_pullback, lambda x, d, *rest: x / d, Tail.BELOW_A_BAR),
    lowered("root_power", None, _root_power_pullback, _root_power, Tail.STEEP),  # x**(n + 1/2)
    vector_function("pow", X**Y, _pow_pullback, Tail.STEEP | Tail.CUSPED),
    lowered(
        "rational_power",
        None,
        _rational_power_pullback,
        lambda x, pq: _rational_power(x, *pq),
        Tail.STEEP | Tail.CUSPED,
    ),  # x**(p/q)
)
