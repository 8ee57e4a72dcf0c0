"""What the rules of stable forms are tried on: differences that cancel, and sums of exponentials under a power."""

import sympy as sp

from .case import (
    ALL,
    ERF_ENDS,
    FAR,
    FAR_OUT,
    LEFT,
    LOG_GAMMAS,
    RIGHT,
    TWO,
    Case,
    erf,
    erfc,
    exp,
    log,
    loggamma,
    one,
    sqrt,
    tanh,
    x,
    y,
)

DIFFERENCES: dict[str, tuple[Case, ...]] = {
    # ------------------------------------------------------------------------------------------------ differences
    "log(c*x**p*gamma(a)/gamma(b))": (
        Case(
            (log(x**y / sp.gamma(y)), log(3 * sp.gamma(x) * sp.gamma(y) / sp.gamma(x + y + 1))),
            ((2.5, 3.25), (0.75, 1.5)),
            ((100.0, 200.25), (300.0, 180.5)),
            ulps=64.0,
            rounded=True,
            compound=False,
        ),
    ),
    "log(factorial(n))": (
        Case(
            (log(sp.factorial(x)), -3 * log(sp.factorial(x))),
            one(0.25, 2.5, 20.0, 100.0),
            one(170.7, 1e5, 1e15),
            ulps=64.0,
            compound=False,
        ),
    ),
    "log(beta(x, y))": (
        Case(
            (log(sp.beta(x, y)), 2 - log(sp.beta(x, y))),
            ((0.3, 2.25), (1.5, 7.5), (20.0, 30.0)),
            ((1e4, 2e4), (3.5, 1e200), (1e5, 0.5)),
            ulps=64.0,
            compound=False,
        ),
    ),
    "log(binomial(n, k))": (
        Case(
            (log(sp.binomial(x, y)), -log(sp.binomial(x, y))),
            ((7.5, 2.25), (20.0, 3.0), (100.0, 40.0)),
            ((5e3, 2e3), (1e200, 3.5), (1e15, 20.0)),
            ulps=64.0,
            compound=False,
        ),
    ),
    LOG_GAMMAS: (
        Case(
            (loggamma(x + 3) - loggamma(x), loggamma(x) - loggamma(x + 2)),
            RIGHT,
            one(1e-300, 1e-9, 20.0, 1e8, 1e200),
            one(
                -0.5,
            ),
            rounded=True,
            ulps=32.0,
            compound=False,
        ),
        Case(
            (
                loggamma(x) + loggamma(y) - loggamma(x + y),
                loggamma(x + y) - loggamma(x) - loggamma(y),
                loggamma(x + y) - loggamma(x),
            ),
            ((0.5, 2.25), (3.0, 20.0)),
            ((1e8, 3.0), (3.0, 1e8), (1e15, 0.5), (20.0, 30.0)),
            rounded=True,
            ulps=32.0,
            compound=False,
        ),
    ),
    "exp(x) - 1": (Case((1 - exp(x), exp(x) - 1, 2 - 2 * exp(-x)), ALL, one(-1e8, -800.0, *FAR[5:12])),),
    "1 - tanh(x)": (Case((1 - tanh(x), 3 * tanh(x) - 3), ALL, one(*FAR[2:-2])),),
    "1 + tanh(x)": (Case((1 + tanh(x),), ALL, one(*FAR[2:-2])),),
    "1 - tanh(x)**2": (Case((1 - tanh(x) ** 2,), ALL, one(*FAR[2:-2])),),
    "1 - sigmoid(x)": (Case((1 - 1 / (1 + exp(x)), 1 - exp(x) / (1 + exp(x))), ALL, FAR_OUT),),
    "1 - 2*sigmoid(x)": (Case((2 / (1 + exp(-2 * x)) - 1, 1 - 2 / (1 + exp(x))), ALL, FAR_OUT),),
    "1 - erf(x)": (Case((1 - erf(x), 3 - 3 * erf(x)), ALL, ERF_ENDS, rounded=True),),
    "1 + erf(x)": (Case((1 + erf(x), (1 + erf(x)) / 2), ALL, ERF_ENDS, rounded=True),),
    "1 - erfc(x)": (Case((1 - erfc(x),), ALL, one(-25.0, -1e-9, 1e-300, 1e-9, 9.0), rounded=True),),
    "1 - erfc(x)/2": (Case((1 - erfc(x) / 2, 2 - erfc(x)), ALL, ERF_ENDS, rounded=True),),
    "1 - cos(x)": (Case((1 - sp.cos(x), sp.cos(x) - 1), ALL, one(-1e-9, 1e-150, 1e-9, 1e-4)),),
    "1 + cos(x)": (Case((1 + sp.cos(x),), ALL, one(3.1415, 3.14159265358979, 1e-9)),),
    "1 - cos(x)**2": (Case((1 - sp.cos(x) ** 2,), ALL, one(-1e-9, 1e-9, 1e-4)),),
    "1 - sin(x)**2": (Case((1 - sp.sin(x) ** 2,), ALL, one(1.5707963, 1e-9)),),
    "cosh(x) - 1": (Case((sp.cosh(x) - 1, 1 - sp.cosh(x)), ALL, one(-1e-9, 1e-150, 1e-9, 300.0, 710.0)),),
    "sqrt(1 + x) - 1": (
        Case((sqrt(1 + x) - 1, 2 - 2 * sqrt(1 + x)), one(-0.5, 0.0, 3.0), one(-1e-9, 1e-300, 1e-9, 1e200), one(-2.0)),
    ),
    "1 - 1/sqrt(1 + x)": (
        Case((1 - 1 / sqrt(1 + x),), one(-0.5, 0.0, 3.0), one(-1e-9, 1e-300, 1e-9, 1e200), one(-2.0)),
        Case((1 - 1 / sqrt(1 + x**2),), ALL, one(-1e-9, 1e-9, 1e-150, 1e8, 1e200), ulps=8.0),
    ),
    "sqrt(1 + x**2) - 1": (Case((sqrt(1 + x**2) - 1,), ALL, one(-1e-9, 1e-9, 1e-150, 1e8, 1e200), ulps=8.0),),
    "x**y - 1": (
        Case(
            (1 - x**y, x**y - 1),
            ((0.5, 2.25), (3.0, -0.5)),
            ((1.0 + 2**-40, 3.0), (2.0, 1e-9), (0.0, 2.5)),
            ((-2.0, 0.5),),
            compound=False,
        ),
    ),
    "x**(p/q) - 1": (
        Case((sp.cbrt(x) - 1,), RIGHT, one(1.0 + 2**-40, 1.0 - 2**-50, 1e200), LEFT, compound=False, rounded=True),
    ),
    "q - q*f(x), f = sigmoid, cos, ...": (
        Case(
            (y - y * sp.cos(x), 2 * y - 2 * y * exp(x), 1 - y - (1 - y) / (1 + exp(-x))),
            ((0.5, 2.0), (-0.25, 3.0)),
            ((1e-9, 2.0), (1e-160, -3.0), (-1e-12, 5.0), (30.0, 0.25)),
            rounded=True,
            compound=False,
        ),
    ),
    "x - log(1 + exp(x))": (
        Case((x - log(1 + exp(x)),), ALL, FAR_OUT),
        Case((2 * log(1 + exp(-x)) + 2 * x,), ALL, FAR_OUT, compound=False),
    ),
    "sqrt(x**2 + y**2) - x": (
        Case(
            (sqrt(x**2 + 1) - x, x - sqrt(x**2 + 3)),
            ALL,
            one(-1e8, -1e-9, 1e-300, 40.0, 1e8, 1e200),
            ulps=8.0,
            rounded=True,
            compound=False,
        ),
    ),
    "sqrt(x**2 + y) - x": (
        Case(
            (sqrt(x**2 + y) - x,), ((0.5, 2.0), (-0.5, 2.0)), ((1e8, 1.0), (-1e8, 1.0)), ((1.0, -9.0),), compound=False
        ),
    ),
    "sqrt(x**2 + y**2)": (
        Case(
            (sqrt(x**2 + y**2),),
            ((3.0, 4.0), (-0.5, 2.0)),
            ((1e200, 1e200), (1e-200, 1e-200), (0.0, 0.0), (-1e300, 5.0)),
        ),
        Case((sqrt(1 + x**2), 1 / sqrt(4 + x**2)), ALL, one(-1e200, -1e8, 1e-200, 1e155), ulps=8.0),
    ),
    # ---------------------------------------------------------------------------------------------------- powers
    "(a*exp(x) + b*exp(y))**-n": (
        Case(
            (1 / (exp(x) + exp(y)), (exp(x) + exp(y)) ** -2),
            TWO,
            ((300.0, 301.0), (-300.0, -301.0), (300.0, -300.0)),
            ulps=16.0,
        ),
    ),
    "sqrt(a*exp(x) + b*exp(y))": (
        Case(
            (sqrt(1 + exp(x)), sqrt(3 + 2 * exp(x))),
            ALL,
            one(-1e8, -800.0, -40.0, -1e-9, 40.0, 710.0, 1000.0),
            ulps=8.0,
        ),
    ),
    "(a*exp(x) + b*exp(y))**p": (
        Case(
            ((1 + exp(x)) ** y,),
            ((0.5, 2.25), (-1.0, -0.5)),
            ((300.0, 0.75), (800.0, -0.5), (-800.0, 3.0)),
            ulps=16.0,
            compound=False,
        ),
    ),
    "(a*exp(x) + b*exp(y))**(p/q)": (
        Case(
            ((1 + exp(x)) ** sp.Rational(1, 3),),
            ALL,
            one(-800.0, -40.0, 300.0, 710.0, 1000.0),
            ulps=16.0,
            rounded=True,
        ),
    ),
}
