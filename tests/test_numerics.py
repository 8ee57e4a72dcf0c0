"""Every supported function, compiled: values and derivatives against mpmath over hard points, counted in ULP.

One module holds them all: function k is ``f_k(t_k + x)`` (or of two arguments, ``f_k(t_k + x, s_k + y)``) at ``t = s =
0``, so that the derivative by parameter ``t_k`` of a sample is the derivative of ``f_k`` at that sample. The references
are differences of mpmath's function at as many digits as it takes: nothing of symgrad, and nothing of SymPy's ``diff``.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mp, mpf
from sympy.codegen import cfunctions

import symgrad as sg
from symgrad import functions
from symgrad.expressions import CONDITIONS, SUPPORTED_FUNCTIONS

X, Y, D = sp.symbols("x y d", real=True)
GATE = 4.0
KINKED = {"sign", "Heaviside", "floor", "ceiling"}  # flat wherever they have a derivative


def _positive(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function where its first argument is positive: elsewhere symgrad's is NaN by convention."""
    return lambda x, *rest: function(x, *rest) if x > 0 else mp.nan


def _sinc(x: Any) -> Any:
    return mp.sin(x) / x if x else mpf(1)


def _softplus(x: Any) -> Any:
    return (x if x > 0 else 0) + mp.log1p(mp.exp(-abs(x)))


def _log_cosh(x: Any) -> Any:
    return mp.log1p(2 * mp.sinh(x / 2) ** 2) if abs(x) < 1 else abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2)


def _asinh(x: Any) -> Any:
    return mp.sign(x) * mp.asinh(abs(x))


# name: (SymPy, mpmath)
ONE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{name: (getattr(sp, name), getattr(mp, name)) for name in (
        "exp log sqrt sin cos tan cot sec csc asin acos atan acot asec acsc sinh cosh tanh coth sech csch acosh atanh "
        "acoth asech acsch sign floor erf erfc gamma digamma".split()
    )},
    "asinh": (sp.asinh, _asinh),
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
    "x**(3/2)": (lambda x: x ** sp.Rational(3, 2), _positive(lambda x: x ** mpf(1.5))),
    "x**(1/3)": (lambda x: x ** sp.Rational(1, 3), _positive(mp.cbrt)),
    "1.5**x": (lambda x: sp.Float(1.5) ** x, lambda x: mpf(1.5) ** x),
}  # fmt: skip
TWO: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "x*y": (lambda x, y: x * y, lambda x, y: x * y),
    "x/y": (lambda x, y: x / y, lambda x, y: x / y),
    "x**y": (lambda x, y: x**y, _positive(lambda x, y: x**y)),
    "atan2": (sp.atan2, mp.atan2),
    "hypot": (cfunctions.hypot, lambda x, y: mp.sqrt(x * x + y * y)),
    "xlogy": (functions.xlogy, lambda x, y: x * mp.log(y) if x else mpf(0)),
    "logsumexp": (functions.logsumexp, lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y)))),
    "Max": (sp.Max, max),
    "Min": (sp.Min, min),
    "Mod": (sp.Mod, lambda x, y: x - y * mp.floor(x / y)),
}
# Operations of SUPPORTED_FUNCTIONS that are other tests' (sums, branches) or nothing at all for real numbers.
ELSEWHERE = {sp.Add, sp.Mul, sp.Pow, sp.Piecewise, sp.Sum, sp.re, sp.im, sp.conjugate, *CONDITIONS}

_SIZES = [
    *(5e-324, 1e-310, 2.3e-308, 1e-200, 1e-20, 1.2e-8, 1e-5, 1e-3, 0.1, 0.3, 0.49, 0.5, 0.7, 0.9, 0.99, 1 - 2.0**-53, 1.0),
    *(1 + 2.0**-52, 1.1, 1.4616321449683622, 1.5, math.pi / 2, 1.9, 2.0, 2.5, math.pi, 3.3, 4.0, 5.0, 6.1, 7.5, 9.99),
    *(10.0, 12.3, 20.0, 26.5, 37.5, 40.0, 100.5, 170.5, 300.0, 700.0, 709.5, 745.0, 1e3, 12345.678, 1e8, 1e16, 1e22),
    *(1e100, 1e200, 1e300, 1.7e308),
]
POINTS = np.array([0.0, *_SIZES, *(-s for s in _SIZES)])
_FEW = [1e-310, 1e-8, 0.3, 1.0, 2.5, 7.25, 40.0, 800.0, 1e9, 1e155, 1e300]
PAIRS = np.array([(a, b) for a in [*_FEW, *(-f for f in _FEW)] for b in [0.7, *_FEW, -0.7, *(-f for f in _FEW)]])

# (value, derivatives) in ULP, where it is not 4 and why. Measured over these points; twice that fails.
BOUNDS: dict[str, tuple[float, float, str]] = {}


@pytest.fixture(scope="module")
def atoms() -> Any:
    one, two = len(ONE), len(TWO)
    t, s = sp.MatrixSymbol("t", one + two, 1), sp.MatrixSymbol("s", two, 1)
    q = sp.MatrixSymbol("q", one, 1)
    outputs = [f(t[k, 0] + X) for k, (f, _) in enumerate(ONE.values())]
    outputs += [f(t[one + k, 0] + X, s[k, 0] + Y) for k, (f, _) in enumerate(TWO.values())]
    z = sp.MatrixSymbol("z", one + two, 1)
    loss = sg.Loss(sp.Add(*(z[k, 0] for k in range(one + two))) - D, z, D)
    hoisted = sp.Add(*(f(q[k, 0]) for k, (f, _) in enumerate(ONE.values())))
    model = sg.Model(sp.Matrix(outputs), inputs=[X, Y], parameters=[t, s, q])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=hoisted, name="atoms"))


def test_the_table_is_whole() -> None:
    tabled = {type(f(*arguments)) for table, arguments in ((ONE, (X,)), (TWO, (X, Y))) for f, _ in table.values()}
    assert SUPPORTED_FUNCTIONS - tabled - ELSEWHERE == set()


# --- the references ------------------------------------------------------------------------------------------------


def _real(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value, NaN where it has no real one."""
    try:
        value = function(*arguments)
    except (ValueError, ZeroDivisionError, OverflowError):
        return mp.nan
    return value if isinstance(value, mpf) else mp.nan


def value_at(function: Callable[..., Any], *arguments: float) -> Any:
    with mp.workdps(60 if max(map(abs, arguments)) < 1e20 else 400):
        return +_real(function, *map(mpf, arguments))


def derivative_at(function: Callable[..., Any], which: int, *arguments: float) -> Any:
    """Central differences with two steps, at more and more digits until both agree to 25 of them."""
    last: Any = None
    for digits in (100, 500, 1500):
        with mp.workdps(digits):
            at = [mpf(a) for a in arguments]
            size = min(abs(at[which]), mpf(1)) or mpf(1)
            found = [_difference(function, at, which, size * mpf(10) ** -(digits // 4) / k) for k in (1, 3)]
            if any(mp.isnan(f) for f in found):
                return mp.nan
            close = abs(found[0] - found[1]) <= abs(found[1]) * mpf(10) ** -25
            if close and (found[1] != 0 or last == 0):
                return found[1]
            last = found[1]
    raise AssertionError(f"no derivative of {function} at {arguments}")


def _difference(function: Callable[..., Any], at: list[Any], which: int, step: Any) -> Any:
    left, right = list(at), list(at)
    left[which], right[which] = at[which] - step, at[which] + step
    if left[which] == at[which]:
        return mp.inf - mp.inf if mp.dps >= 1500 else mp.rand()  # the step drowned: no two of these agree
    return (_real(function, *right) - _real(function, *left)) / (right[which] - left[which])


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


def worst(errors: Iterator[tuple[float, object]]) -> tuple[float, object]:
    return max(errors, key=lambda e: e[0])


# --- the tests -----------------------------------------------------------------------------------------------------


def at_zero(atoms: Any) -> Any:
    return np.zeros(atoms.N_PARAMETERS)


@pytest.fixture(scope="module")
def single(atoms: Any) -> tuple[Any, Any]:
    rows = np.column_stack([POINTS, np.full(len(POINTS), 0.5)])
    return atoms.predict(at_zero(atoms), rows), atoms.per_sample_gradient(at_zero(atoms), rows, np.zeros(len(rows)))


@pytest.fixture(scope="module")
def double(atoms: Any) -> tuple[Any, Any]:
    return atoms.predict(at_zero(atoms), PAIRS), atoms.per_sample_gradient(at_zero(atoms), PAIRS, np.zeros(len(PAIRS)))


@pytest.mark.parametrize("name", ONE)
def test_values_of_one_argument(name: str, single: tuple[Any, Any]) -> None:
    function, column = ONE[name][1], list(ONE).index(name)
    error, point = worst((ulps(got, value_at(function, x)), x) for x, got in zip(POINTS, single[0][:, column], strict=True))
    assert error <= bound(name)[0], f"{name}({point!r}): {error:.3g} ULP"


@pytest.mark.parametrize("name", ONE)
def test_derivatives_of_one_argument(name: str, single: tuple[Any, Any]) -> None:
    column = list(ONE).index(name)
    error, point = worst((ulps(got, true), x) for x, got, true in slopes(name, single[1][:, column]))
    assert error <= bound(name)[1], f"{name}'({point!r}): {error:.3g} ULP"


def bound(name: str) -> tuple[float, float]:
    return BOUNDS.get(name, (GATE, GATE, ""))[:2]


def slopes(name: str, column: Any) -> Iterator[tuple[float, float, Any]]:
    for x, got in zip(POINTS, column, strict=True):
        if name == "Abs" and x == 0 or name in KINKED and x == round(x):
            continue
        yield x, got, derivative_at(ONE[name][1], 0, x)
