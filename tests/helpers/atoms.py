"""The supported functions, the hard points at which they are tried, and what is true there.

Tests of the compiled modules and the public table of accuracy read one list. The references are differences of mpmath's
function at as many digits as it takes: nothing of symgrad, and nothing of SymPy's ``diff``.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from mpmath import mp, mpf
from sympy.codegen import cfunctions

import symgrad as sg
from symgrad import functions

X, Y, D = sp.symbols("x y d", real=True)
GATE = 4.0


def _positive(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function where its first argument is positive: elsewhere symgrad's is NaN by convention."""
    return lambda x: function(x) if x > 0 else mp.nan


def _sinc(x: Any) -> Any:
    return mp.sin(x) / x if x else mpf(1)


def _softplus(x: Any) -> Any:
    return (x if x > 0 else 0) + mp.log1p(mp.exp(-abs(x)))


def _log_cosh(x: Any) -> Any:
    return mp.log1p(2 * mp.sinh(x / 2) ** 2) if abs(x) < 1 else abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2)


def _gamma(x: Any) -> Any:
    return mp.gamma(x) if x < 200 else mp.inf


def _erfc(x: Any) -> Any:
    return mp.erfc(x) if abs(x) < 1e3 else mpf(1 - mp.sign(x))


def _asinh(x: Any) -> Any:
    return mp.sign(x) * mp.asinh(abs(x))


# name: (SymPy, mpmath)
ONE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{name: (getattr(sp, name), getattr(mp, name)) for name in (
        "exp", "log", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "asec", "acsc",
        "sinh", "cosh", "tanh", "coth", "sech", "csch", "acosh", "atanh", "acoth", "asech", "acsch", "sign", "floor",
        "erf", "digamma",
    )},
    "asinh": (sp.asinh, _asinh),
    "erfc": (sp.erfc, _erfc),
    "gamma": (sp.gamma, _gamma),
    "Abs": (sp.Abs, abs),
    "ceiling": (sp.ceiling, mp.ceil),
    "Heaviside": (sp.Heaviside, lambda x: mpf(x > 0) if x else mpf(0.5)),
    "sinc": (sp.sinc, _sinc),
    "loggamma": (sp.loggamma, _positive(mp.loggamma)),
    "polygamma": (lambda x: sp.polygamma(1, x), lambda x: mp.polygamma(1, x)),
    "polygamma2": (lambda x: sp.polygamma(2, x), lambda x: mp.polygamma(2, x)),
    "log1p": (cfunctions.log1p, mp.log1p),
    "expm1": (cfunctions.expm1, mp.expm1),
    "exp2": (cfunctions.exp2, lambda x: mpf(2) ** x),
    "log2": (cfunctions.log2, lambda x: mp.log(x) / mp.log(2)),
    "log10": (cfunctions.log10, mp.log10),
    "sigmoid": (functions.sigmoid, lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": (functions.softplus, _softplus),
    "log_sigmoid": (functions.log_sigmoid, lambda x: -_softplus(-x)),
    "log_cosh": (functions.log_cosh, _log_cosh),
    "x**3": (lambda x: x**3, lambda x: x**3),
    "x**-2": (lambda x: x**-2, lambda x: x**-2),
    "x**7": (lambda x: x**7, lambda x: x**7),
    "x**-12": (lambda x: x**-12, lambda x: x**-12),
    "x**(3/2)": (lambda x: x ** sp.Rational(3, 2), lambda x: mp.sqrt(x) * x),
    "x**(1/3)": (lambda x: x ** sp.Rational(1, 3), mp.cbrt),
    "1.5**x": (lambda x: sp.Float(1.5) ** x, lambda x: mpf(1.5) ** x),
}  # fmt: skip
# Derivatives that differences would take minutes for, or that vary too fast for them.
SLOPES: dict[str, tuple[Callable[..., Any], ...]] = {
    "gamma": (lambda x: _gamma(x) * mp.digamma(x),),
    "loggamma": (_positive(mp.digamma),),
    "digamma": (lambda x: mp.polygamma(1, x),),
    "polygamma": (lambda x: mp.polygamma(2, x),),
    "polygamma2": (lambda x: mp.polygamma(3, x),),
    "x**y": (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * mp.log(x)),
}
TWO: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "x*y": (lambda x, y: x * y, lambda x, y: x * y),
    "x/y": (lambda x, y: x / y, lambda x, y: x / y),
    "x**y": (lambda x, y: x**y, lambda x, y: x**y if x or y >= 0 else mp.nan),
    "atan2": (sp.atan2, mp.atan2),
    "hypot": (cfunctions.hypot, lambda x, y: mp.sqrt(x * x + y * y)),
    "xlogy": (functions.xlogy, lambda x, y: x * mp.log(y) if x else mpf(0)),
    "logsumexp": (functions.logsumexp, lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y)))),
    "Max": (sp.Max, max),
    "Min": (sp.Min, min),
    "Mod": (sp.Mod, lambda x, y: x - y * mp.floor(x / y)),
}

_SIZES = [
    *(5e-324, 1e-310, 2.3e-308, 1e-200, 1e-20, 1.2e-8, 1e-5, 1e-3, 0.1, 0.3, 0.49, 0.5, 0.7, 0.9, 0.99),
    *(
        1 - 2.0**-53,
        1.0,
        1 + 2.0**-52,
        1.1,
        1.4616321449683622,
        1.5,
        math.pi / 2,
        1.9,
        2.0,
        2.5,
        math.pi,
        3.3,
        4.0,
        5.0,
        6.1,
        7.5,
        9.99,
    ),
    *(10.0, 12.3, 20.0, 25.7, 26.5, 37.5, 40.0, 100.5, 170.5, 300.0, 700.0, 709.5, 745.0, 1e3, 12345.678, 1e8, 1e16),
    *(1e22, 1e100, 1e200, 1e300, 1.7e308),
]
# Where series take over from other ways: densely.
_SIZES += [*map(float, np.linspace(0.0637, 1.93, 31))]
POINTS = np.array([0.0, *_SIZES, *(-s for s in _SIZES)])
# The gamma family, where mpmath takes its time: far to the left its poles lie densely.
GAMMA_POINTS = np.array([p for p in POINTS if (-100 < p < 1e10 and abs(p) > 1e-300) or p == 0])
_FEW = [1e-310, 1e-8, 0.3, 1.0, 7.25, 40.0, 800.0, 1e155]
PAIRS = np.array([(a, b) for a in [*_FEW, *(-f for f in _FEW)] for b in [0.7, *_FEW, -0.7, *(-f for f in _FEW)]])
# These have no vector versions in glibc; one of them makes GCC compute the whole loop by scalar calls.
SCALAR = ("gamma", "loggamma", "digamma", "polygamma", "polygamma2", "Mod")

ALL = (*ONE, *TWO)
_VECTOR = tuple(name for name in ALL if name not in SCALAR)
# The modules that hold them: a title and the functions, in order.
GROUPS: dict[str, tuple[str, ...]] = {"scalar": SCALAR, "first": _VECTOR[::2], "second": _VECTOR[1::2]}

# (value, derivatives) in ULP where it cannot be 4, and why.
BOUNDS: dict[str, tuple[float, float, str]] = {
    "erf": (GATE, 8, "exp, a product and a difference that puts back what the square lost: each rounds"),
    "erfc": (GATE, 8, "as erf"),
    "x**(1/3)": (128, 512, "1/3 is rounded before the power is taken: |log(x)|/6 ULP and twice that for the slope"),
    "x**y": (GATE, 512, "y - 1 is rounded before the power is taken: |log(x)|/2 ULP"),
    "hypot": (GATE, 64, "a radius below 2.2e-308 has fewer bits, and is divided by"),
    "logsumexp": (GATE, 64, "the difference x - y that is exponentiated is rounded: |x - y|/2 ULP"),
    "digamma": (128, GATE, "left of 0 terms of both signs cancel near its roots"),
    "gamma": (GATE, 128, "the slope has digamma as a factor"),
    "x**-12": (GATE, 8, "six products are rounded one after the other"),
    "polygamma": (GATE, 4096, "as polygamma2"),
    "polygamma2": (4096, GATE, "left of 0 terms of both signs cancel: halfway between poles the result is small"),
}


def compiled(names: tuple[str, ...], title: str) -> Any:
    """Functions of one module; each has two more parameters, by which its derivative is one that no sample changes."""
    t, s, q = (sp.MatrixSymbol(letter, len(names), 1) for letter in "tsq")

    def applied(k: int, name: str) -> Any:
        return TWO[name][0](t[k, 0] + X, s[k, 0] + Y) if name in TWO else ONE[name][0](t[k, 0] + X)

    z = sp.MatrixSymbol("z", len(names), 1)
    loss = sg.Loss(sp.Add(*(z[k, 0] for k in range(len(names)))) - D, z, D)
    hoisted = sp.Add(*(ONE[name][0](q[k, 0]) for k, name in enumerate(names) if name in ONE))
    model = sg.Model(sp.Matrix([applied(k, name) for k, name in enumerate(names)]), [X, Y], [t, s, q])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=hoisted, name=title))


# --- the references ------------------------------------------------------------------------------------------------


def _real(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value, NaN where it has no real one."""
    try:
        value = function(*arguments)
    except (ValueError, ZeroDivisionError, OverflowError):
        return mp.nan
    return value if isinstance(value, mpf) else mp.nan


@cache
def value_at(name: str, *arguments: float) -> Any:
    with mp.workdps(60 if max(map(abs, arguments)) < 1e20 and name != "Mod" else 800):
        return +_real((ONE | TWO)[name][1], *map(mpf, arguments))


@cache
def derivative_at(name: str, which: int, *arguments: float) -> Any:
    """A central difference at more and more digits, until 20 of them are beyond the rounding of the function."""
    function = (ONE | TWO)[name][1]
    if name in SLOPES:
        with mp.workdps(60):
            return _real(SLOPES[name][which], *map(mpf, arguments))
    for digits in (110, 500, 1500):
        with mp.workdps(digits):
            right, left = [[mpf(a) for a in arguments] for _ in range(2)]
            step = (min(abs(right[which]), mpf(1)) or mpf(1)) * mpf(10) ** -40
            right[which], left[which] = right[which] + step, left[which] - step
            high, low = _real(function, *right), _real(function, *left)
            found, noise = high - low, mpf(10) ** (5 - digits) * (abs(high) + abs(low))
            drowned = right[which] == left[which] or noise > abs(found) * mpf(10) ** -20
            if mp.isnan(found) or not drowned or digits == 1500:
                return found / (2 * step)
    raise AssertionError("not reached")


def ulps(got: float, true: Any) -> float:
    """The error in units of the last place of the double nearest to what is true; no error where nothing is."""
    if mp.isnan(true):
        return 0.0 if math.isnan(got) or math.isinf(got) else math.inf
    nearest = float(true)
    if math.isinf(nearest):
        return 0.0 if got == nearest else math.inf
    if not math.isfinite(got):
        return math.inf
    return float(abs(mpf(got) - true) / math.ulp(nearest))


def points(name: str) -> Any:
    if name in TWO:
        return PAIRS
    few = GAMMA_POINTS if name in SLOPES else POINTS
    return np.column_stack([few, np.full(len(few), 0.5)])


def arguments(name: str, row: Any) -> tuple[float, ...]:
    return tuple(map(float, row[: 2 if name in TWO else 1]))


def slope_error(name: str, which: int, row: Any, got: float) -> float:
    return ulps(got, exact_zero(derivative_at(name, which, *arguments(name, row)), row[which]))


def exact_zero(slope: Any, at: float) -> Any:
    """The slope, without what is left of the difference of an even function at 0."""
    return mpf(0) if at == 0 and abs(slope) < 1e-60 else slope


def smooth(name: str, rows: Any) -> Any:
    """The rows where the function is defined and smooth: kinks have conventions, and tests of their own below."""
    return np.array([row for row in rows if not _is_kink(name, *arguments(name, row))])


def _is_kink(name: str, x: float, y: float = 1.0) -> bool:
    if mp.isnan(value_at(name, x, y) if name in TWO else value_at(name, x)):
        return True
    if name in ("Max", "Min"):
        return x == y
    if name == "Mod":
        return abs(x / y) > 1e15 or x == y * round(x / y)
    if name == "x**y":
        return x < 1e-300  # x**(y - 1) overflows where y*x**(y - 1) need not; no real slope by y left of 0
    if name in ("floor", "ceiling"):
        return x == round(x)
    return x == 0 and name in ("Abs", "acot", "sign", "Heaviside", "x**(1/3)", "x**(3/2)")
