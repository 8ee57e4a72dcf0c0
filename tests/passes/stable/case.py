"""What the rules of stable forms are tried on: for each of them formulae as people write them, and points.

``ordinary`` points lie in the domain, where formulae as they are declared keep their digits; at ``extreme`` ones these
lose everything; ``outside`` there is no value, so that value and derivatives are NaN. A point is a value of x, or of
x and y.
"""

from dataclasses import dataclass
from typing import Any

import sympy as sp

x, y = sp.symbols("x y", real=True)
exp, log, sqrt, tanh, erf, erfc, loggamma = sp.exp, sp.log, sp.sqrt, sp.tanh, sp.erf, sp.erfc, sp.loggamma
Point = tuple[float, ...]

FAR = (
    -1e200,
    -1e8,
    -800.0,
    -745.2,
    -710.0,
    -40.0,
    -1e-9,
    -1e-300,
    0.0,
    1e-300,
    1e-9,
    40.0,
    710.0,
    745.2,
    800.0,
    1e8,
    1e200,
)
MILD = (-2.75, -0.5, 0.0, 0.375, 3.5)


@dataclass(frozen=True)
class Case:
    """Formulae in x and y that one rule is for, or is a step for.

    ``rounded``: there is a double in the stable form, log(2) or the term of a series, where the declared one has a
    number of many digits. ``ulps``: what is allowed in doubles, where the argument of the rule is exact.
    """

    written: tuple[Any, ...]
    ordinary: tuple[Point, ...]
    extreme: tuple[Point, ...]
    outside: tuple[Point, ...] = ()
    ulps: float = 4.0
    rounded: bool = False
    compound: bool = True  # also with what else people have in the place of x


def one(*numbers: float) -> tuple[Point, ...]:
    return tuple((number,) for number in numbers)


def _positive(*numbers: float) -> tuple[float, ...]:
    return tuple(number for number in numbers if number > 0)


def _negative(*numbers: float) -> tuple[float, ...]:
    return tuple(number for number in numbers if number < 0)


def over(numerator: Any, divisor: Any) -> Any:
    """A quotient as it is written, where SymPy would have a factor exp(-x)."""
    return sp.Mul(numerator, sp.Pow(divisor, -1, evaluate=False), evaluate=False)


def not_0(points: tuple[Point, ...]) -> tuple[Point, ...]:
    return tuple(point for point in points if 0.0 not in point)


ALL, FAR_OUT = one(*MILD), one(*FAR)
RIGHT, LEFT = one(*_positive(*MILD)), one(*_negative(*MILD))
FAR_RIGHT, FAR_LEFT = one(*_positive(*FAR)), one(*_negative(*FAR))
# Two exponents, near and far from each other.
TWO = ((0.5, -1.25), (-2.0, 3.0), (1.5, 1.25))
FAR_TWO = ((1000.0, 1001.0), (-1000.0, -1001.0), (1000.0, -1000.0), (-800.0, 800.0), (0.3, 1e-9), (1e200, 1e8))
# Their difference is rounded: of a number of that size, exponentiated, that would be hundreds of ULP.
APART = ((-300.0, 0.39577011077351404), (0.31, -650.3), (412.7, 0.1234567), (-0.7071, 555.1), (-801.3, 0.618))
LOG_GAMMAS = "loggamma(x) + loggamma(y) - loggamma(x + y), loggamma(x + d) - loggamma(x)"
ERF_ENDS = one(-1e8, -25.0, -9.0, -1e-9, 1e-300, 9.0, 25.0, 1e8)
LOG_F = "log(f(x)), f = sigmoid, cosh, sech, erfc, exp"
SHARE = "(a*exp(x) + ...)/(b*exp(y) + ...)"
