"""Random formulae full of what stable forms look for, and of what is only like it."""

import random
from typing import Any

import sympy as sp

from .case import x, y

exp, log, sqrt = sp.exp, sp.log, sp.sqrt

# Each takes one or two expressions. None of them grows faster than an exponential of an exponential.
_OF_ONE = [
    lambda e: 1 + exp(e),
    lambda e: 1 / (1 + exp(-e)),
    lambda e: log(1 + exp(e)),
    lambda e: 1 - exp(e),
    exp,
    log,
    sqrt,
    sp.tanh,
    lambda e: 1 - sp.tanh(e),
    lambda e: 1 - sp.tanh(e) ** 2,
    lambda e: 1 + e,
    lambda e: -e,
    lambda e: 2 * e,
    lambda e: 1 - sp.cos(e),
    lambda e: sp.sin(e) / e,
    lambda e: (exp(e) - 1) / e,
    lambda e: 1 / sp.cosh(e),
    lambda e: e**2,
    lambda e: 1 / e,
    lambda e: e**-2,
    lambda e: sqrt(1 + e**2),
    lambda e: sqrt(1 + e) - 1,
    lambda e: sp.erfc(e) / 2,
    lambda e: 1 - sp.erf(e),
    lambda e: exp(-(e**2)),
    lambda e: e * log(e),
    lambda e: log(sp.cosh(e)),
    sp.loggamma,
    lambda e: exp(e) - exp(-e),
    lambda e: log(e**2),
    lambda e: e - 1,
    lambda e: 3 * e + 1,
    sp.Abs,
]
_OF_TWO = [
    lambda e, f: e + f,
    lambda e, f: e - f,
    lambda e, f: e * f,
    lambda e, f: e / f,
    lambda e, f: exp(e) + exp(f),
    lambda e, f: exp(e) / (exp(e) + exp(f)),
    lambda e, f: e * exp(f),
    lambda e, f: 1 + e * exp(f),
    lambda e, f: e / (1 + exp(f)),
    lambda e, f: sqrt(e**2 + f**2),
    lambda e, f: sqrt(e**2 + f) - e,
    lambda e, f: e**f - 1,
    lambda e, f: e * log(f),
    lambda e, f: sp.loggamma(e + f) - sp.loggamma(e),
    lambda e, f: exp(e) - exp(f),
    lambda e, f: 2 * exp(e) - 3 * exp(f),
    lambda e, f: (exp(e * f) - 1) / f,
    lambda e, f: e / exp(f),
]


def composition(draw: random.Random, depth: int = 3) -> Any:
    """A formula in x, or x and y, that is about ``depth`` of those deep."""
    while True:
        found = _grown(draw, depth)
        if x in found.free_symbols and not found.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.I) and _is_tame(found):
            return found


def _grown(draw: random.Random, depth: int) -> Any:
    if depth <= 0:
        return draw.choice((x, x, y, x * y, x - y, x / 2))
    if draw.random() < 0.6:
        return draw.choice(_OF_ONE)(_grown(draw, depth - 1))
    return draw.choice(_OF_TWO)(_grown(draw, depth - 1), _grown(draw, depth - draw.randint(1, 2)))


def _is_tame(expression: Any, exponentials: int = 0) -> bool:
    """At most two functions that grow fast, one in the other: numbers of a million digits take too long."""
    if expression.func in (sp.exp, sp.cosh, sp.sinh, sp.erf, sp.erfc, sp.loggamma) or (
        expression.is_Pow and not expression.exp.is_number
    ):
        exponentials += 1
    return exponentials <= 2 and all(_is_tame(part, exponentials) for part in expression.args)
