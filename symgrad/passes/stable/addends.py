"""Sums looked at term by term: as variables with numbers before them, and as polynomials, to tell what is the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from math import nan

from symgrad.program import Value

_MOST = 64  # addends of a sum, and factors of one
Addends = list[tuple[Value, float]]  # f and k of each k f
Polynomial = dict[tuple[int, ...], float]  # the numbers before products, which go by their sorted variables


def scaled(x: Value) -> tuple[Value | None, float]:
    """Return ``(f, k)`` of k f; ``(None, k)`` of a number."""
    if x.constant is not None:
        return None, x.constant
    if x.operation == "neg":
        f, k = scaled(x.arguments[0])
        return f, -k
    if x.operation == "mul" and x.arguments[1].constant is not None:
        return x.arguments[0], x.arguments[1].constant
    if x.operation == "div" and x.arguments[0].constant not in (None, 1.0):
        return 1 / x.arguments[1], x.arguments[0].constant or 0.0
    return x, 1.0


def addends(x: Value) -> Addends:
    """Return ``(f, k)`` of each k f in a sum; a very long sum is one f."""
    found, waiting = list[tuple[Value, float]](), [(x, 1.0)]
    while waiting and len(found) + len(waiting) <= _MOST:
        part, sign = waiting.pop()
        if part.operation in ("add", "sub"):
            a, b = part.arguments
            waiting += [(b, sign if part.operation == "add" else -sign), (a, sign)]
        elif part.operation == "neg":
            waiting.append((part.arguments[0], -sign))
        else:
            f, k = scaled(part)
            found.append((part, sign) if f is None else (f, sign * k))
    return [(x, 1.0)] if waiting else found


def terms(parts: Iterable[tuple[Value, float]]) -> dict[int | None, float]:
    """Return the variables of a sum and their factors; under None the number in it."""
    found: dict[int | None, float] = {None: 0.0}
    for f, k in parts:
        number = f.constant
        key = f.variable if number is None else None
        found[key] = found.get(key, 0.0) + (k if number is None else k * number)
    return found


def total(parts: Iterable[tuple[Value, float]]) -> Value:
    """Return the sum of k f."""
    return reduce(lambda a, b: a + b, (f * k for f, k in parts))


def less(x: Value, y: Value) -> Value:
    """Return x - y: what both have is left out; what two sums lose in rounding, which x - y may not, is put back."""
    own, other = addends(x), addends(y)
    rest = {v: k for v, k in terms([*own, *((f, -k) for f, k in other)]).items() if k}
    if len(rest) == len(own) + len(other):
        return x - y + (_lost(x) - _lost(y)) if len(own) == len(other) == 2 else x - y
    number = rest.pop(None, 0.0)
    parts = [(Value(x.builder, v), k) for v, k in rest.items() if v is not None]
    return total(parts) + number if parts else x.number(number)


def _lost(x: Value) -> Value:
    """What a sum of two is rounded by."""
    a, b = x.arguments
    return a.call("lost_in_sum", -b if x.operation == "sub" else b)


def polynomial(x: Value) -> Polynomial:
    """Return the number before each product of variables in a sum.

    2*(a*u + b), 2*a*u + 2*b, u*(2*a) + b*2   ->   {(a, u): 2, (b,): 2}
    """
    return sum_of_products(addends(x))


def sum_of_products(parts: Addends) -> Polynomial:
    """Return the polynomial that the sum of k f is."""
    found: Polynomial = {}
    for part, k in parts:
        number, factors = product_of(part)
        key = _key(factors)
        found[key] = found.get(key, 0.0) + k * number
    return found


def product_as_sum(factors: Sequence[Value]) -> Polynomial:
    """Return the polynomial of a product; of several factors, each is a variable of it."""
    return polynomial(factors[0]) if len(factors) == 1 else {_key(factors): 1.0}


def _key(factors: Sequence[Value]) -> tuple[int, ...]:
    return tuple(sorted(factor.variable for factor in factors))


def product_of(x: Value) -> tuple[float, list[Value]]:
    """Return the number and the factors that a product consists of; a very long one is one factor."""
    number, factors, waiting = 1.0, list[Value](), [x]
    while waiting:
        factor = waiting.pop()
        if factor.constant is not None:
            number *= factor.constant
        elif factor.operation in ("mul", "neg") and len(waiting) + len(factors) < _MOST:
            number = -number if factor.operation == "neg" else number
            waiting += factor.arguments
        else:
            factors.append(factor)
    return number, factors


def factors_of(x: Value) -> Addends:
    """Return the factors of a product or quotient; with -1 those below the bar."""
    found, waiting = list[tuple[Value, float]](), [(x, 1.0)]
    while waiting:
        part, sign = waiting.pop()
        if part.operation in ("mul", "div") and len(found) + len(waiting) < _MOST:
            a, b = part.arguments
            waiting += [(b, sign if part.operation == "mul" else -sign), (a, sign)]
        elif part.operation == "neg":
            waiting += [(part.number(-1.0), 1.0), (part.arguments[0], sign)]
        else:
            found.append((part, sign))
    return found


def is_same(x: Value, y: Value) -> bool:
    """Return whether they are the same sum. (SymPy distributes signs and numbers over the terms of a sum.)"""
    return x.variable == y.variable or polynomial(x) == polynomial(y)


def is_square_of(x: Value, y: Value) -> bool:
    """Return whether x = y^2, but for the rounding of numbers, both products or quotients of powers."""
    (k, powers), (c, roots) = _monomial(x), _monomial(y)
    return abs(k - c * c) <= 4e-16 * k and powers == {v: 2 * n for v, n in roots.items()}


def _monomial(x: Value) -> tuple[float, dict[int, float]]:
    """The number before a product of powers, and their exponents by their variables."""
    number, powers = 1.0, dict[int, float]()
    for f, n in factors_of(x):
        if f.constant is not None:
            number = number * f.constant**n if f.constant else nan
            continue
        if f.operation in ("power", "sqrt"):
            n *= f.attribute if isinstance(f.attribute, int) else 0.5
            f = f.arguments[0]
        powers[f.variable] = powers.get(f.variable, 0.0) + n
    return number, powers
