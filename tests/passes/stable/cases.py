"""What the rules of stable forms are tried on: logarithms, quotients, products and powers."""

import sympy as sp

from symgrad import functions

from .case import (
    ALL,
    APART,
    FAR,
    FAR_LEFT,
    FAR_OUT,
    FAR_TWO,
    LEFT,
    LOG_F,
    RIGHT,
    SHARE,
    TWO,
    Case,
    erf,
    erfc,
    exp,
    log,
    not_0,
    one,
    over,
    sqrt,
    tanh,
    x,
    y,
)
from .cases_differences import DIFFERENCES

CASES: dict[str, tuple[Case, ...]] = {
    # ------------------------------------------------------------------------------------------------ logarithms
    "log(erfc(x)/2)": (
        Case((log(erfc(x) / 2),), ALL, one(-1e8, -30.0, -1e-9, 1e-300, 9.0, 30.0, 800.0, 1e8), rounded=True, ulps=8.0),
    ),
    "log(2*sigmoid(x))": (
        Case(
            (log(2 / (1 + exp(-x))), log(2 * exp(x) / (1 + exp(x))), log(1 + tanh(x / 2))),
            ALL,
            one(-1e8, -800.0, -40.0, -1e-9, -1e-300, 1e-300, 1e-9),
            rounded=True,
        ),
    ),
    "log(1 - exp(-exp(x)))": (
        Case(
            (log(1 - exp(-exp(x))),),
            one(-2.75, -0.5, 0.0, 1.0),
            one(-1e8, -1e200, -800.0, -745.2, -710.0, -40.0, -1e-9),
            rounded=True,
            ulps=8.0,
        ),
    ),
    "log1p(x**2)": (Case((log(1 + x**2), log(x**2 + 1) / 2), ALL, FAR_OUT),),
    LOG_F: (
        Case(
            (log(functions.sigmoid(x) * functions.sigmoid(-x)), log(exp(x) / (1 + exp(x)) ** 2)),
            ALL,
            FAR_OUT,
            rounded=True,
        ),
        Case((-log(1 / (1 + exp(-x))), log(exp(x) / (1 + exp(x))), log(1 - 1 / (1 + exp(x)))), ALL, FAR_OUT),
        Case((log(sp.cosh(x)), log(1 / sp.cosh(x)), log(sp.sech(x))), ALL, one(*FAR[2:-2]), rounded=True),
        Case(
            (log(erfc(x)), log(1 - erf(x))),
            ALL,
            one(-800.0, -1e-9, 1e-300, 9.0, 30.0, 800.0, 1e8),
            rounded=True,
            ulps=8.0,
        ),
    ),
    "log(sinh(x))": (
        Case((log(sp.sinh(x)),), RIGHT, one(1e-300, 1e-9, 40.0, 710.0, 800.0, 1e8), FAR_LEFT, rounded=True),
    ),
    "log(gamma(x))": (
        Case((log(sp.gamma(x)), log(1 / sp.gamma(x))), RIGHT, one(0.25, 180.0, 1000.0, 1e8), one(-0.5, -2.5), ulps=8.0),
    ),
    "log(1 + exp(x))": (Case((log(1 + exp(x)), log(exp(x) + 1) * 3, -log(1 + exp(-x))), ALL, FAR_OUT),),
    "log(exp(x) + exp(y))": (Case((log(exp(x) + exp(y)), log(exp(x) + exp(y) + 1)), TWO, FAR_TWO[:-1], ulps=8.0),),
    "log(a*exp(x)/(b*exp(y) + c*exp(z)))": (
        Case((-log(exp(x) / (exp(x) + exp(y) + 1)), log(exp(x) / (2 * exp(x) + 1))), TWO, FAR_TWO[:4], ulps=8.0),
    ),
    "x - log(exp(x) + exp(y))": (Case((x - log(exp(x) + exp(y) + 1),), TWO, FAR_TWO[:4], ulps=8.0),),
    "log(x + sqrt(1 + x**2))": (Case((log(x + sqrt(1 + x**2)),), ALL, one(*FAR[1:-1], 1e200)),),
    "log(1 - exp(x))": (
        Case((log(1 - exp(x)), log(-(exp(x) - 1))), LEFT, FAR_LEFT, RIGHT),
        Case((log(1 - exp(-x)), log(exp(x) - 1)), RIGHT, one(1e-300, 1e-9, 40.0, 710.0, 800.0, 1e8), LEFT),
    ),
    "log(sigmoid(x) - sigmoid(y))": (
        Case(
            (log(1 / (1 + exp(-x)) - 1 / (1 + exp(-y))), log(3 / (1 + exp(-x)) - 3 / (1 + exp(-y)))),
            ((0.5, -1.25), (3.0, -2.0)),
            ((-40.0, -41.0), (801.0, 800.0), (40.25, 40.0), (-700.0, -900.0), (1e8, -1e8)),
            ((0.5, 2.0),),
            ulps=8.0,
            rounded=True,
            compound=False,
        ),
    ),
    "log(erf(x) - erf(y))": (
        Case(
            (log(erf(x) - erf(y)), log(erfc(y) / 2 - erfc(x) / 2), log(erf(x) + erf(-y))),
            ((0.5, -1.25), (2.0, 0.25), (-0.25, -2.0)),
            ((6.5, 6.0), (-6.0, -6.5), (28.5, 28.0), (1000.0, -1000.0), (-30.0, -31.0), (40.0, 1.0)),
            ((0.5, 2.0),),
            ulps=32.0,  # the exponent of erfc(x)/erfc(y) is 61, and rounded
            rounded=True,
            compound=False,
        ),
    ),
    "log(1 - x**y)": (
        Case(
            (log(1 - x**y),),
            ((0.5, 2.0), (0.9, 0.25), (0.1, 3.0)),
            ((0.1, 10.0), (0.1, 300.0), (1 - 2**-40, 0.5), (0.5, 1e-12), (1e-300, 1.5)),
            ((1.5, 2.0),),
            rounded=True,
            compound=False,
        ),
    ),
    "log(a*exp(x))": (
        Case((log(2 * exp(x)),), ALL, one(-1e8, -800.0, 710.0, 800.0, 1e8), rounded=True),
        Case(
            (log(y * exp(x)), log(y / exp(x))),
            ((0.5, 2.0), (-3.0, 0.25)),
            ((800.0, 3.0), (-800.0, 1e300), (1e8, 1e-300)),
            ((2.0, -3.0), (-800.0, -1.0)),
            compound=False,
        ),
    ),
    "log(a*exp(x) + b*exp(y))": (
        Case(
            (log(3 * exp(x) + exp(y)), log(exp(x) + 2 * exp(y))),
            TWO,
            FAR_TWO[:4],
            rounded=True,
            ulps=8.0,
        ),
        Case(
            (log(1 + y * exp(x)), log(y + exp(x))),
            ((0.5, 2.0), (-1.0, 0.25)),
            ((800.0, 3.0), (-600.0, 1e200), (2.0, 1e-9), (1e8, 1e-300)),
            ((2.0, -30.0),),
            compound=False,
        ),
    ),
    "log(f*g)": (
        Case(
            (log(y / (1 + exp(x))), log(y * sp.cosh(x))),
            ((0.5, 2.0), (-1.0, 0.25)),
            ((800.0, 3.0), (-800.0, 3.0)),
            ((0.5, -2.0),),
            rounded=True,
            compound=False,
        ),
    ),
    "log(x**n), log(sqrt(x))": (
        Case((log(x**2), log(x**-4)), not_0(ALL), not_0(one(*FAR[2:-1], 1e300))),
        Case((log(1 / (1 + exp(x)) ** 3), log(sqrt(1 + exp(x)))), ALL, FAR_OUT),
    ),
    "log(1 + x)": (
        Case(
            (log(1 + x), log(x + 1) / 3), one(-0.5, 0.0, 2.5), one(-1e-9, -1e-300, 1e-300, 1e-9, 1e200), one(-1.5, -1e8)
        ),
        Case(
            (log(1 + x + y), log(x + 1 - y)),
            ((0.5, 0.25),),
            ((1e-300, 0.0), (2e-9, 0.0)),
            ((-9.0, 1.0),),
            compound=False,
        ),
    ),
    # ------------------------------------------------------------------------------------------------- quotients
    "sin(x)/x": (
        Case(
            (sp.sin(x) / x, sp.sin(2 * x) / x), not_0(ALL), one(-1e-9, -1e-300, 0.0, 1e-300, 1e-9, 1e-4), rounded=True
        ),
    ),
    "(exp(x) - 1)/x": (
        Case(
            ((exp(x) - 1) / x, (1 - exp(-x)) / x, (exp(2 * x) - 1) / x),
            not_0(ALL),
            one(-1e8, -800.0, -300.0, -1e-9, -1e-300, 0.0, 1e-300, 1e-9, 1e-4, 300.0),
            rounded=True,
        ),
    ),
    "x/(exp(x) - 1)": (
        # the value is in its last digits of the double range beyond 700
        Case(
            (x / (exp(x) - 1), x / (1 - exp(-x))),
            not_0(ALL),
            one(-1e8, -800.0, -40.0, -1e-9, -1e-300, 0.0, 1e-300, 1e-9, 40.0, 800.0, 1e8),
            rounded=True,
            ulps=8.0,
        ),
    ),
    "(1 - cos(x))/x**2": (
        Case(
            ((1 - sp.cos(x)) / x**2, (1 - sp.cos(x)) / x),
            not_0(ALL),
            one(-1e-9, -1e-200, 0.0, 1e-200, 1e-9, 1e-4),
            rounded=True,
        ),
    ),
    "(exp(x) - exp(y))/(exp(x) + exp(y))": (
        Case(
            (
                (exp(x) - exp(-x)) / (exp(x) + exp(-x)),
                (exp(2 * x) - 1) / (exp(2 * x) + 1),
                (1 - exp(-x)) / (1 + exp(-x)),
                sp.sinh(x) / sp.cosh(x),
            ),
            ALL,
            FAR_OUT,
        ),
        Case(((exp(x) - exp(y)) / (exp(x) + exp(y)),), TWO, FAR_TWO[:4], compound=False),
    ),
    "1/(1 + exp(x))": (
        Case((1 / (1 + exp(x)), 1 / (1 + exp(-x)), exp(x) / (1 + exp(x)), exp(-x) / (exp(-x) + 1)), ALL, FAR_OUT),
        Case((exp(x) / (exp(x) + exp(y)), 1 / (1 + exp(x - y))), TWO, FAR_TWO[:4]),
    ),
    "sigmoid(x)/(1 + exp(y))": (
        Case((1 / ((1 + exp(x)) * (2 + exp(y))),), TWO, ((800.0, -800.0), (-800.0, 300.0)), ulps=16.0),
    ),
    "1/cosh(x)": (Case((1 / sp.cosh(x), 1 / sp.cosh(x) ** 2, 3 / sp.cosh(x)), ALL, FAR_OUT),),
    "x/sqrt(x**2 + y**2)": (
        Case(
            (x / sqrt(x**2 + y**2), 2 * y / sqrt(x**2 + y**2)),
            ((3.0, 4.0), (-0.5, 2.0)),
            ((1e200, 1e200), (1e-200, 1e-200), (-1e300, 5.0), (3.0, 1e-200)),
            ulps=8.0,
        ),
        Case((x / sqrt(1 + x**2),), ALL, one(-1e200, -1e8, 1e-200, 1e155), ulps=8.0),
    ),
    "x/(y*z)": (
        Case(
            (1 / ((1 + exp(x)) * (1 + exp(-x))), 1 / ((1 + exp(x)) * (1 + exp(2 * x)))), ALL, one(*FAR[2:-2]), ulps=8.0
        ),
    ),
    SHARE: (
        Case(
            (1 / (2 + 3 * exp(x)), exp(x) / (1 + 2 * exp(x)), (1 + exp(x)) / (3 + exp(x))),
            ALL,
            one(*FAR[2:-2]),
            ulps=16.0,
        ),
        Case((exp(x) / (exp(x) + exp(y) + 1),), TWO, FAR_TWO[:4], ulps=8.0),
    ),
    "exp(x)/(exp(x) + exp(y))": (Case((exp(x) / (exp(x) + exp(y)), 1 / (exp(x) + exp(y)) * exp(y)), TWO, APART),),
    "log(1 + exp(x)/exp(y))": (
        Case((log(exp(x) / (exp(x) + exp(y))), log(exp(x) / exp(y) + 1)), TWO, APART, rounded=True),
    ),
    "(exp(x)/exp(y) - 1)/(exp(x)/exp(y) + 1)": (
        Case(((exp(x) - exp(y)) / (exp(x) + exp(y)),), TWO, APART, compound=False, rounded=True),
    ),
    "log(exp(x)/exp(z) + exp(y)/exp(z))": (
        Case((log(exp(x) / (1 + exp(x) + exp(y))), log(exp(x) * exp(y) + exp(x) + 1)), TWO, APART, ulps=8.0),
    ),
    "exp(x)*exp(y)/exp(z)": (
        Case(
            (
                exp(x) / (exp(x) + exp(y) + 2 * exp(x / 2)),
                exp(y) / (exp(x) + exp(y) + 1),
                exp(x) / (3 * exp(y) + exp(x)),
            ),
            TWO,
            APART,
            ulps=8.0,
        ),
    ),
    # -------------------------------------------------------------------------------------------------- products
    "sigmoid(x)*sigmoid(-x)": (
        Case((exp(x) / (1 + exp(x)) ** 2, exp(-x) / (1 + exp(-x)) ** 2), ALL, FAR_OUT),
        Case((functions.sigmoid(x) * functions.sigmoid(-x), 1 / (1 + exp(x)) / (1 + exp(-x))), ALL, FAR_OUT),
    ),
    "x*log(x*y)": (
        Case(
            (x * log(x), x * log(2 * x), x * log(x / 3)),
            one(0.125, 0.5, 3.5),
            one(0.0, 1e-300, 1e-9, 800.0, 1e200),
            LEFT,
            compound=False,
        ),
        Case((x**2 * log(x**3) / 2,), one(0.125, 0.5, 3.5), one(0.0, 1e-9, 1e100), LEFT, compound=False),
    ),
    "exp(x)*exp(y)": (Case((exp(x) * exp(-y), exp(2 * x) * exp(-y) * 3), TWO, ((1000.0, 1999.0), (-700.0, -1399.0))),),
    "exp(x)/exp(y)": (Case((over(exp(x), exp(y)),), TWO, ((1000.0, 999.0), (-1000.0, -999.0)), compound=False),),
    "exp(x**2)*erfc(x)": (Case((exp(x**2) * erfc(x),), one(-2.75, -0.5, 0.375), one(9.0), rounded=True, ulps=32.0),),
    "exp(-x**2)/erfc(x)": (
        # the double 2/sqrt(pi) in the table of derivatives leaves no truth farther out
        Case((3 * exp(-4 * x**2) / erfc(2 * x),), one(-1.25, -0.5, 0.375), one(9.0), rounded=True, ulps=64.0),
        Case((exp(-(x**2)) / erfc(x),), one(-2.75, -0.5, 0.375), one(9.0), rounded=True, ulps=32.0),
    ),
    "x**n/(x**n + y)": (
        Case(
            (x**y / (x**y + 2), x ** sp.Rational(5, 3) / (x ** sp.Rational(5, 3) + y**2)),
            ((0.5, 2.25), (3.0, 1.0)),
            ((1e200, 3.0), (1e-200, 3.0)),
            compound=False,
            ulps=8.0,
        ),
    ),
    **DIFFERENCES,
}
