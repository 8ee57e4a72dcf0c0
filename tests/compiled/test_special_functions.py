"""erfinv, and the gamma forms beta, binomial and factorial: compiled, and beside mpmath with 50 digits, in ULP."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mp, mpf

import symgrad as sg
from tests.helpers.evaluate import ulps

X, Y, D, Z = sp.symbols("x y d z", real=True)
P, Q = sp.symbols("p q", real=True)
DIGITS = 50


def _erfinv(x: Any) -> Any:
    """By Newton's method on log(erfc), which has all digits in the tails."""
    if abs(x) < 0.5:
        return mpmath.erfinv(x)
    target = mpmath.log(1 - abs(x))
    root = mpmath.findroot(lambda r: mpmath.log(mpmath.erfc(r)) - target, mpmath.sqrt(-target))
    return root * mpmath.sign(x)


def _beta(a: Any, b: Any) -> Any:
    return mpmath.gammaprod([a, b], [a + b])


def _binomial(n: Any, k: Any) -> Any:
    return mpmath.gammaprod([n + 1], [k + 1, n - k + 1])


_TAILS = [1 - 2.0**-k for k in range(2, 54, 3)]
_GRID = [float(x) for x in np.linspace(0.03, 0.99, 33)]
_ERFINV = [5e-324, 2.3e-308, 1e-300, 1e-17, 1e-8, 1e-3, 0.49999999999999994, 0.5, 1 - 2.0**-53, *_TAILS, *_GRID]
_SIZES = [1e-200, 1e-9, 0.125, 0.7, 1.0, 2.5, 7.75, 15.9, 16.25, 33.3, 100.0, 171.5, 1234.5, 1e5]
_BETA = [(a, b) for a in _SIZES for b in _SIZES if min(a, b) < 500] + [(1e300, 0.5), (3.0, 1e80), (-0.5, 2.25)]
_TOPS = [0.25, 1.0, 3.0, 10.5, 16.0, 30.0, 31.7, 64.0, 200.25, 1000.0, 1029.0, 5000.5]
_BINOMIAL = [(n, round(n * part * 64) / 64) for n in _TOPS for part in (0, 0.01, 0.125, 0.3, 0.5, 0.75, 1)]
_BINOMIAL += [(1e15, 4.0), (1e100, 2.0), (1e300, 1.0), (1e18, 15.5), (2.5, -0.25), (1029.0, 514.0), (1e6, 3.7)]
_FACTORIAL = [-0.96875, -0.5, -1e-3, 1e-300, 1e-9, *(0.37 * k for k in range(1, 20)), *map(float, range(0, 171, 7))]
_FACTORIAL += [9.44421034591402, 63.3, 127.7, 170.0, 170.62]


@dataclass(frozen=True)
class Function:
    """A function: its SymPy and its mpmath, where it is tried, and the most ULP of value, slopes and logarithm."""

    symbolic: Callable[..., Any]
    exact: Callable[..., Any]
    points: Sequence[tuple[float, ...]]
    value: float
    slope: float
    log: float | None


FUNCTIONS = {
    "erfinv": Function(sp.erfinv, _erfinv, [(s * x,) for x in _ERFINV for s in (1, -1)], 2, 6, None),
    "beta": Function(sp.beta, _beta, _BETA, 8, 32, 128),
    "binomial": Function(sp.binomial, _binomial, _BINOMIAL, 8, 32, 64),
    "factorial": Function(sp.factorial, lambda n: mpmath.gamma(n + 1), [(n,) for n in _FACTORIAL], 5, 64, 16),
}


@cache
def compiled(name: str, log: bool) -> Any:
    """The function of x + p (and y + q), at p = q = 0: the derivatives by p and q are those by x and y."""
    function = FUNCTIONS[name]
    arguments = (P + X, Q + Y)[: len(function.points[0])]
    value = function.symbolic(*arguments)
    model = sg.Model(
        sp.log(value) if log else value, inputs=[X, Y][: len(arguments)], parameters=[P, Q][: len(arguments)]
    )
    return sg.compile(sg.EmpiricalRisk(model, sg.Loss(Z, prediction=Z, target=D), name=f"{name}_{log}".lower()))


def slopes(name: str, point: Sequence[float]) -> list[Any]:
    """SymPy's derivatives at doubles."""
    symbolic, places = FUNCTIONS[name].symbolic, (X, Y)[: len(point)]
    values = {place: sp.Float(x, DIGITS) for place, x in zip(places, point, strict=True)}
    derivatives = [sp.diff(symbolic(*places), place).xreplace(values) for place in places]
    return [mpf(sp.Float(sp.N(derivative, DIGITS), DIGITS)._mpf_) for derivative in derivatives]


@pytest.fixture(autouse=True)
def _fifty_digits() -> Any:
    with mp.workdps(DIGITS + 350):  # of arguments of 1e300 that are added up
        yield


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str) -> None:
    function, module = FUNCTIONS[name], compiled(name, False)
    assert len(function.points) >= 30
    got = module.predict(np.zeros(module.N_PARAMETERS), np.array(function.points)).ravel()
    for point, value in zip(function.points, got, strict=True):
        true = function.exact(*map(mpf, point))
        if abs(true) > 1e-307 or name == "erfinv":
            assert ulps(value, true) <= function.value, f"{name}{point}: {value}, {mp.nstr(true, 20)}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_sympys(name: str) -> None:
    function, module = FUNCTIONS[name], compiled(name, False)
    points = [p for p in function.points if max(map(abs, p)) < 1e10 and min(map(abs, p)) > 1e-5]
    assert len(points) >= 30
    got = module.per_sample_gradient(np.zeros(module.N_PARAMETERS), np.array(points), np.zeros(len(points)))
    for point, row in zip(points, got, strict=True):
        for value, true in zip(row, slopes(name, point), strict=True):
            if 1e-300 < abs(true) < 1e300:
                assert ulps(value, true) <= function.slope, f"the slope of {name}{point}: {value}, {mp.nstr(true, 20)}"


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.log is not None])
def test_logarithms_beyond_the_range_of_the_value(name: str) -> None:
    function, module = FUNCTIONS[name], compiled(name, True)
    further = {"beta": (1e4, 2e4), "binomial": (1e6, 5e5), "factorial": (1e5,)}[name]
    points = [p for p in (*function.points, further) if min(p) >= 0]
    got = module.predict(np.zeros(module.N_PARAMETERS), np.array(points)).ravel()
    for point, value in zip(points, got, strict=True):
        true = mpmath.log(function.exact(*map(mpf, point)))
        # near its zeros it is as exact as its terms are
        assert function.log is not None
        assert abs(value - true) <= 2.0**-52 * max(function.log * abs(true), 8), (
            f"{point}: {value}, {mp.nstr(true, 20)}"
        )


def test_ends_and_beyond_of_erfinv() -> None:
    module = compiled("erfinv", False)
    at = [0.0, -0.0, 1.0, -1.0, 1 + 2.0**-52, -2.0, math.nan, math.inf]
    got = module.predict([-0.0], np.array(at)[:, None]).ravel()  # -0.0 + -0.0 is -0.0
    assert [math.copysign(1, x) for x in got[:2]] == [1, -1]
    np.testing.assert_array_equal(got, [0, 0, math.inf, -math.inf, *[math.nan] * 4])
    (slope,) = module.per_sample_gradient([0.0], [[0.0]], [0.0])
    assert ulps(slope[0], mpmath.sqrt(mpmath.pi) / 2) <= 1
    for end in (1.0, -1.0):
        assert module.per_sample_gradient([0.0], [[end]], [0.0])[0] == math.inf


def test_choices_of_whole_numbers() -> None:
    module = compiled("binomial", False)
    rows = np.array([(float(n), float(k)) for n in range(12) for k in range(-2, 15)])
    got = module.predict([0.0, 0.0], rows).ravel()
    for (n, k), value in zip(rows, got, strict=True):
        assert value == (math.comb(int(n), int(k)) if k >= 0 else 0)


def test_they_are_verified() -> None:
    """By the oracle, which knows nothing of how they are computed."""
    for name, output in {
        "erfinv": P * sp.erfinv(sp.tanh(X * Q)),
        "beta": P * sp.log(sp.beta(sp.exp(X * Q), 2)),
        "binomial": P * sp.binomial(sp.exp(X) + 5, Q**2),
        "factorial": sp.log(sp.factorial(P * P)) + Q * X,
    }.items():
        risk = sg.EmpiricalRisk(sg.Model(output, [X], [P, Q]), sg.Loss((Z - D) ** 2, Z, D), name=f"verified_{name}")
        report = sg.verify(risk, samples=30)
        assert report.passed, report


# Where a sum of the arguments is a small part of one of them, or they are far from each other.
AT_LOGARITHMS = {
    "beta": ((2.0, 1e-2), (2.0, 1e-8), (1.0, 1e-17), (30.0, 40.0), (1e5, 3.0)),
    "binomial": ((1e8 + 50, 1e8), (1e15 + 50, 1e15), (50.0, 20.0), (1e8, 50.0), (10.0, 9.5)),
}


@pytest.mark.parametrize("name", sorted(AT_LOGARITHMS))
def test_slopes_of_logarithms_keep_their_digits(name: str) -> None:
    a, b, x = sp.symbols("a b x")
    expression = sp.log(getattr(sp, name)(a + x, b + x))
    risk = sg.EmpiricalRisk.from_expression(expression, inputs=[x], targets=[], parameters=[a, b], name=f"log_{name}")
    module = sg.compile(risk)
    for arguments in AT_LOGARITHMS[name]:
        slopes = module.per_sample_gradient(arguments, [0.0], None)[0]
        with mp.workdps(50):
            p, q = map(mpf, arguments)
            psi = mpmath.digamma
            if name == "beta":
                exact = [psi(p) - psi(p + q), psi(q) - psi(p + q)]
            else:
                exact = [psi(p + 1) - psi(p - q + 1), psi(p - q + 1) - psi(q + 1)]
            assert all(ulps(float(s), e) <= 4 for s, e in zip(slopes, exact, strict=True)), (arguments, slopes)
