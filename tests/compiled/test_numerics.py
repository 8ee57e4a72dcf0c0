"""Every supported function, compiled: values and derivatives against mpmath over hard points, counted in ULP.

One module holds them all: function k is ``f_k(t_k + x)`` (or of two arguments, ``f_k(t_k + x, s_k + y)``) at ``t = s =
0``, so that the derivative by parameter ``t_k`` of a sample is the derivative of ``f_k`` at that sample.
"""

import math
import platform
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare.grammar import CONDITIONS, OVER_AN_INDEX, SUPPORTED_FUNCTIONS
from tests.helpers.atoms import (
    BOUNDS,
    GATE,
    GROUPS,
    ONE,
    TWO,
    X,
    Y,
    arguments,
    compiled,
    points,
    slope_error,
    smooth,
    ulps,
    value_at,
)

# Operations of SUPPORTED_FUNCTIONS that are other tests' (over an index, branches) or nothing at all for real numbers.
ELSEWHERE = {sp.erfinv, sp.beta, sp.binomial, sp.factorial}  # test_special_functions.py
ELSEWHERE |= {sp.Add, sp.Mul, sp.Pow, sp.Piecewise, sp.re, sp.im, sp.conjugate, *OVER_AN_INDEX, *CONDITIONS}


@pytest.fixture(scope="module")
def modules() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Each function's module, and which functions that module holds, in order."""
    built = {title: (compiled(names, title), names) for title, names in GROUPS.items()}
    return {name: built[title] for title, names in GROUPS.items() for name in names}


def test_the_table_is_whole() -> None:
    tabled = {type(f(*arguments)) for table, arguments in ((ONE, (X,)), (TWO, (X, Y))) for f, _ in table.values()}
    assert SUPPORTED_FUNCTIONS - tabled - ELSEWHERE == {sp.digamma}  # which SymPy writes as polygamma(0, x)


# --- the tests -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[*ONE, *TWO])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(name: str, modules: dict[str, tuple[Any, tuple[str, ...]]]) -> tuple[Any, int, int]:
    """A function's module, its place there, and how many functions the module holds."""
    module, names = modules[name]
    return module, names.index(name), len(names)


def check(name: str, found: list[tuple[float, Any]], most: float, what: str) -> None:
    error, at = max(found)
    assert error <= most, f"{what} of {name} at {at!r}: {error:.3g} ULP, expected at most {most:g}"


def bound(name: str) -> tuple[float, float]:
    return BOUNDS.get(name, (GATE, GATE, ""))[:2]


def test_values(name: str, place: tuple[Any, int, int]) -> None:
    module, k, _ = place
    rows = points(name)
    got = module.predict(np.zeros(module.N_PARAMETERS), rows)[:, k]
    found = [(ulps(g, value_at(name, *arguments(name, row))), tuple(row)) for row, g in zip(rows, got, strict=True)]
    check(name, found, bound(name)[0], "value")


def test_derivatives(name: str, place: tuple[Any, int, int]) -> None:
    module, k, count = place
    rows = smooth(name, points(name))
    got = module.per_sample_gradient(np.zeros(module.N_PARAMETERS), rows, np.zeros(len(rows)))
    for which in range(2 if name in TWO else 1):
        column = got[:, k + which * count]
        found = [(slope_error(name, which, row, g), tuple(row)) for row, g in zip(rows, column, strict=True)]
        check(name, found, bound(name)[1], f"derivative {which}")


@pytest.mark.parametrize("name", ONE, indirect=True)
def test_derivatives_that_no_sample_changes(name: str, place: tuple[Any, int, int]) -> None:
    """Computed once for a theta, by other functions of the C library than the lanes'."""
    module, k, count = place
    found = []
    for row in smooth(name, points(name)):
        theta = np.zeros(module.N_PARAMETERS)
        theta[2 * count + k] = row[0]
        got = module.gradient(theta, [[0.5, 0.5]], [0.0])[2 * count + k]
        found.append((slope_error(name, 0, row, got), row[0]))
    check(name, found, bound(name)[1], "invariant derivative")


# --- conventions, where there is no derivative ----------------------------------------------------------------------

INF, NAN = math.inf, math.nan
# name, arguments, value, derivatives: all exact
AT_KINKS: list[tuple[str, tuple[float, ...], float, tuple[float, ...]]] = [
    ("Abs", (0.0,), 0.0, (0.0,)), ("Abs", (5e-324,), 5e-324, (1.0,)), ("Abs", (-5e-324,), 5e-324, (-1.0,)),
    ("sign", (0.0,), 0.0, (0.0,)), ("sign", (-5e-324,), -1.0, (0.0,)), ("Heaviside", (0.0,), 0.5, (0.0,)),
    ("Heaviside", (5e-324,), 1.0, (0.0,)), ("Heaviside", (-5e-324,), 0.0, (0.0,)), ("floor", (2.0,), 2.0, (0.0,)),
    ("floor", (-0.5,), -1.0, (0.0,)), ("ceiling", (-2.5,), -2.0, (0.0,)), ("Max", (2.0, 2.0), 2.0, (0.5, 0.5)),
    ("Min", (2.0, 2.0), 2.0, (0.5, 0.5)), ("Max", (1.0, 2.0), 2.0, (0.0, 1.0)), ("Max", (NAN, 1.0), NAN, (NAN, NAN)),
    ("Max", (1.0, NAN), NAN, (NAN, NAN)), ("Min", (NAN, 1.0), NAN, (NAN, NAN)), ("Max", (INF, 1.0), INF, (1.0, 0.0)),
    ("Min", (INF, -INF), -INF, (0.0, 1.0)), ("x**y", (0.0, 2.5), 0.0, (0.0, 0.0)),
    ("x**y", (0.0, 1.0), 0.0, (1.0, 0.0)), ("x**y", (-2.0, 3.0), -8.0, (12.0, NAN)), ("x**3", (0.0,), 0.0, (0.0,)),
    ("digamma", (1e300,), math.log(1e300), (1e-300,)),
    ("x**(3/2)", (0.0,), 0.0, (0.0,)), ("sqrt", (0.0,), 0.0, (INF,)), ("hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
    ("xlogy", (0.0, 0.0), 0.0, (-INF, 0.0)), ("sinc", (0.0,), 1.0, (0.0,)), ("exp", (0.0,), 1.0, (1.0,)),
    ("cos", (0.0,), 1.0, (0.0,)), ("tanh", (0.0,), 0.0, (1.0,)), ("log", (1.0,), 0.0, (1.0,)),
    ("erf", (0.0,), 0.0, (2 / math.sqrt(math.pi),)), ("asin", (1.0,), math.pi / 2, (INF,)),
    ("log", (0.0,), -INF, (INF,)), ("exp", (-INF,), 0.0, (0.0,)), ("exp", (INF,), INF, (INF,)),
    ("tanh", (INF,), 1.0, (0.0,)), ("erfc", (INF,), 0.0, (-0.0,)), ("softplus", (800.0,), 800.0, (1.0,)),
    ("softplus", (INF,), INF, (1.0,)), ("softplus", (-INF,), 0.0, (0.0,)), ("sigmoid", (INF,), 1.0, (0.0,)),
    ("sigmoid", (-800.0,), 0.0, (0.0,)), ("log_sigmoid", (-800.0,), -800.0, (1.0,)),
    ("log_cosh", (800.0,), 800 - math.log(2), (1.0,)), ("logsumexp", (1e300, -1e300), 1e300, (1.0, 0.0)),
    ("logsumexp", (-1e3, -1e3), -1e3 + math.log(2), (0.5, 0.5)), ("Mod", (-1.0, 3.0), 2.0, (1.0, 1.0)),
    ("Mod", (1.0, -3.0), -2.0, (1.0, 1.0)), ("Mod", (6.0, 3.0), 0.0, (1.0, -2.0)),
    ("Mod", (3e-200, -2e-200), -1e-200, (1.0, 2.0)),
]  # fmt: skip
UNDEFINED = [
    ("log", (-1.0,)), ("sqrt", (-1.0,)), ("asin", (1.5,)), ("acosh", (0.5,)), ("atanh", (1.5,)), ("log1p", (-2.0,)),
    ("loggamma", (-0.5,)), ("x**(1/3)", (-8.0,)), ("x**y", (-2.0, 0.5)), ("gamma", (-2.0,)), ("digamma", (-2.0,)),
    ("polygamma", (-2.0,)), ("polygamma2", (-3.0,)),
    ("acoth", (0.5,)), ("asech", (1.5,)), ("asec", (0.5,)), ("sin", (INF,)), ("Mod", (1.0, 0.0)),
    *((name, (NAN,)) for name in ONE), *((name, (NAN, 0.7)) for name in TWO), *((name, (0.7, NAN)) for name in TWO),
]  # fmt: skip


def single_row(name: str, modules: Any, at: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
    module, names = modules[name]
    row = [[*at, 0.5][:2]]
    value = module.predict(np.zeros(module.N_PARAMETERS), row)[0, names.index(name)]
    slopes = module.per_sample_gradient(np.zeros(module.N_PARAMETERS), row, [0.0])[0]
    return float(value), tuple(float(slopes[names.index(name) + i * len(names)]) for i in range(len(at)))


@pytest.mark.parametrize(("name", "at", "value", "slopes"), AT_KINKS, ids=lambda v: str(v))
def test_values_and_conventions_at_special_points(
    name: str, at: tuple[float, ...], value: float, slopes: tuple[float, ...], modules: Any
) -> None:
    got = single_row(name, modules, at)
    np.testing.assert_allclose([got[0], *got[1]], [value, *slopes], rtol=4.5e-16, atol=0)


@pytest.mark.parametrize(("name", "at"), UNDEFINED, ids=lambda v: str(v))
def test_what_is_undefined_is_nan(name: str, at: tuple[float, ...], modules: Any) -> None:
    assert math.isnan(single_row(name, modules, at)[0])


def test_the_lanes_of_these_modules_are_vector_code(modules: Any) -> None:
    """Else the errors above would be those of other functions than long sweeps use."""
    libc = platform.libc_ver()
    if platform.machine() != "x86_64" or libc[0] != "glibc" or tuple(map(int, libc[1].split("."))) < (2, 35):
        pytest.skip("this platform has no vector versions")
    for name in ("exp", "log"):
        assert b"_ZGV" in modules[name][0].path.read_bytes()
