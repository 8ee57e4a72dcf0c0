"""Every rule of the oracle against SymPy's own numbers, differenced at 700 digits, and against hand values at kinks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.codegen import cfunctions

from symgrad import functions
from symgrad.declare import EmpiricalRisk
from symgrad.declare.grammar import CONDITIONS, SUPPORTED_FUNCTIONS
from symgrad.oracle import Reference, Sample
from symgrad.oracle.functions import FUNCTIONS
from symgrad.oracle.rule import Rule
from tests.helpers.declaring import risk_of_all

a, b, c = sp.symbols("a b c")
INF, NAN = math.inf, math.nan


def at(expression: Any, point: Sequence[float], symbols: Sequence[Any] = (a, b, c), digits: int = 50) -> Sample:
    """Value and gradient of an expression in ``symbols``, of which the first ones are used."""
    used = list(symbols[: len(point)])
    anchor = sp.Symbol("anchor")  # a parameter that the loss surely depends on
    risk = risk_of_all(expression + anchor, inputs=[], targets=[], parameters=[*used, anchor])
    found = Reference(risk).sample([*point, 0.0], [], [], digits)
    return Sample(found.loss, found.gradient[:-1])


def same(got: Any, expected: float) -> bool:
    return bool(mpmath.isnan(got)) if math.isnan(expected) else bool(got == expected)


# ------------------------------------------------------------------ every rule, against SymPy's values at 300 digits

ANYWHERE = [-30.5, -2.25, -1.0, -0.3, -1e-8, 1e-150, 0.0, 1e-20, 0.4, 1.0, 3.5, 40.0]
POSITIVE = [1e-300, 1e-9, 0.3, 1.0, 2.0, 7.25, 1e5, 1e200]
INSIDE = [-0.99999999, -0.5, -1e-12, 0.0, 1e-200, 0.3, 0.875, 1 - 2**-53]
OUTSIDE = [-1e12, -3.5, -1.0000001, 1 + 2**-52, 1.5, 40.0, 1e150]
NOT_ZERO = [-7.5, -2.25, -0.4, -1e-9, 1e-150, 0.3, 1.0, 2.5, 30.0]
GAMMA = [-3.75, -0.5, -1e-9, 1e-20, 0.3, 1.0, 1.4616321449683623, 2.5, 30.0]
PAIRS = [(0.3, 1.5), (-2.5, 0.7), (3.0, -2.0), (-1.0, -4.5), (1e-12, 1e8), (1e-8, -1.0)]

POINTS: dict[str, tuple[Callable[..., Any], Sequence[Any]]] = {
    "exp": (sp.exp, [-700.5, -30.5, -1.0, 0.0, 1e-300, 2.5, 709.5, 5000.0]),
    "log": (sp.log, POSITIVE),
    "log1p": (cfunctions.log1p, [-1 + 2**-53, -0.5, 0.0, 1e-200, -1e-12, 3.5, 1e100]),
    "expm1": (cfunctions.expm1, ANYWHERE),
    "exp2": (cfunctions.exp2, ANYWHERE),
    "log2": (cfunctions.log2, POSITIVE),
    "log10": (cfunctions.log10, POSITIVE),
    "hypot": (cfunctions.hypot, [*PAIRS, (0.0, 2.0), (1e200, 1e-200)]),
    "sin": (sp.sin, [*ANYWHERE, 1e22]),
    "cos": (sp.cos, [*ANYWHERE, 1e22]),
    "tan": (sp.tan, [*ANYWHERE, 1.5707963267948966]),
    "cot": (sp.cot, NOT_ZERO),
    "sec": (sp.sec, ANYWHERE),
    "csc": (sp.csc, NOT_ZERO),
    "sinc": (sp.sinc, NOT_ZERO),
    "asin": (sp.asin, INSIDE),
    "acos": (sp.acos, INSIDE),
    "atan": (sp.atan, [*ANYWHERE, 1e100]),
    "acot": (sp.acot, [*NOT_ZERO, 1e100]),
    "asec": (sp.asec, OUTSIDE),
    "acsc": (sp.acsc, OUTSIDE),
    "atan2": (sp.atan2, PAIRS),
    "sinh": (sp.sinh, ANYWHERE),
    "cosh": (sp.cosh, ANYWHERE),
    "tanh": (sp.tanh, [*ANYWHERE, 300.0]),
    "coth": (sp.coth, NOT_ZERO),
    "sech": (sp.sech, ANYWHERE),
    "csch": (sp.csch, NOT_ZERO),
    "asinh": (sp.asinh, [*ANYWHERE, 1e150, -1e150]),
    "acosh": (sp.acosh, [1 + 2**-52, 1.5, 40.0, 1e150]),
    "atanh": (sp.atanh, INSIDE),
    "acoth": (sp.acoth, OUTSIDE),
    "asech": (sp.asech, [1e-200, 1e-9, 0.3, 0.875, 1 - 2**-53]),
    "acsch": (sp.acsch, [*NOT_ZERO, 1e150]),
    "Abs": (sp.Abs, NOT_ZERO),
    "Max": (sp.Max, PAIRS),
    "Min": (sp.Min, PAIRS),
    "Mod": (sp.Mod, [(7.5, 2.25), (-7.5, 2.25), (7.5, -2.25), (-0.3, -1.7), (1e20, 3.3)]),
    "re": (sp.re, [-2.5, 1.5]),
    "conjugate": (sp.conjugate, [-2.5, 1.5]),
    "Pow": (sp.Pow, [(0.3, 1.5), (2.5, -0.7), (1e-9, 3.5), (1e100, 0.001), (7.0, 0.0), (4.0, 0.5), (0.9, 1e6)]),
    "erf": (sp.erf, [-6.5, -2.25, -1e-8, 0.0, 1e-150, 0.4, 1.0, 5.5]),
    "erfc": (sp.erfc, [-6.5, -0.4, 0.0, 1e-12, 0.4, 3.5, 26.0]),
    "erfinv": (sp.erfinv, [-1 + 2**-53, -0.75, -0.5, -1e-8, 1e-150, 0.3, 0.9375, 1 - 2**-30]),
    "gamma": (sp.gamma, GAMMA),
    "beta": (sp.beta, [(0.3, 1.5), (2.5, 7.25), (1e-9, 40.0), (1e6, 0.5), (-0.5, 2.25)]),
    "binomial": (sp.binomial, [(7.25, 2.5), (40.0, 11.5), (0.75, 0.125), (12345.25, 0.5), (2.5, -0.25)]),
    "factorial": (sp.factorial, [-0.5, 0.25, 1.5, 30.5, -2.25]),
    "loggamma": (sp.loggamma, [1e-20, 0.3, 1.0, 1.4616321449683623, 2.0, 30.0, 12345678.9]),
    "digamma": (lambda t: sp.digamma(t, evaluate=False), GAMMA),
    "polygamma": (sp.polygamma, [(0, 0.7), (1, 2.5), (1, -0.5), (2, 0.3), (3, 30.0)]),
    "sigmoid": (functions.sigmoid, [*ANYWHERE, 200.0, -200.0]),
    "softplus": (functions.softplus, [*ANYWHERE, 200.0, -200.0]),
    "log_sigmoid": (functions.log_sigmoid, [*ANYWHERE, 200.0, -200.0]),
    "log_cosh": (functions.log_cosh, [*NOT_ZERO, 100.0, -100.0]),
    "logsumexp": (functions.logsumexp, [*PAIRS, (100.0, -100.0), (5000.0, 5000.5)]),
    "xlogy": (functions.xlogy, [(0.3, 1.5), (-2.5, 0.7), (3.0, 1e-200), (1e200, 2.0)]),
}
BY_HAND = {"sign", "Heaviside", "floor", "ceiling", "im"}  # steps: their derivative is 0 by convention
WITHOUT_A_TEST_OF_ITS_OWN = {"Sqrt", "Cbrt", "fma", "trigamma"}  # not among what may be declared


def exactly(f: Callable[..., Any], arguments: Sequence[Any], digits: int = 500) -> Any:
    """SymPy's number for a function of exact rationals."""
    call = f(*arguments, evaluate=False) if f is sp.Pow else f(*arguments)  # SymPy would factor the base's integers
    value = sp.N(call, digits, maxn=20_000)
    return mpmath.mp.make_mpf(sp.Float(value, digits)._mpf_)


def differenced(f: Callable[..., Any], point: Sequence[float], index: int) -> Any:
    """The central difference of SymPy's values, with a step of 1e-100 relative to the argument."""
    exact = [sp.Rational(*value.as_integer_ratio()) for value in point]
    step = sp.Rational(1, 10**100) * (abs(exact[index]) or 1)
    up, down = ([*exact[:index], exact[index] + s * step, *exact[index + 1 :]] for s in (1, -1))
    with mpmath.workdps(700):
        return (exactly(f, up, 700) - exactly(f, down, 700)) / (2 * mpmath.mpf(step.p) / step.q)


def check_rule(name: str) -> None:
    f, points = POINTS[name]
    for point in points:
        values = tuple(map(float, point)) if isinstance(point, tuple) else (point,)
        if name == "polygamma":  # its order is a number of the declaration
            order, values = int(values[0]), values[1:]
            check_point(lambda t, n=order: sp.polygamma(n, t), values)
        else:
            check_point(f, values)


def check_point(f: Callable[..., Any], values: Sequence[float]) -> None:
    found = at(f(*(a, b)[: len(values)]), values)
    with mpmath.workdps(60):
        expected = exactly(f, [sp.Rational(*v.as_integer_ratio()) for v in values])
        assert abs(found.loss - expected) <= abs(expected) * mpmath.mpf(10) ** -35, (values, found.loss, expected)
        for index, got in enumerate(found.gradient):
            slope = differenced(f, values, index)
            assert abs(got - slope) <= abs(slope) * mpmath.mpf(10) ** -35 + mpmath.mpf(10) ** -340, (values, got, slope)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_value_and_derivative_of_every_function(name: str) -> None:
    check_rule(name)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_a_wrong_derivative_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = FUNCTIONS[name]

    def wrong(index: int) -> Callable[..., Any]:
        return lambda m, v, *args: rule.partial(index)(m, v, *args) * (1 + m.mpf(10) ** -25)

    monkeypatch.setitem(FUNCTIONS, name, Rule(rule.value, each=wrong))
    with pytest.raises(AssertionError):
        check_rule(name)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_a_wrong_value_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = FUNCTIONS[name]
    value = replace(rule, value=lambda m, *args: rule.value(m, *args) * (1 + m.mpf(10) ** -25))
    monkeypatch.setitem(FUNCTIONS, name, value)
    with pytest.raises(AssertionError):
        check_rule(name)


def test_choices_of_a_whole_number_are_a_polynomial() -> None:
    """Its slope by n at the poles of the gamma functions."""
    for n, slope in ((-1.0, (11, 6)), (0.0, (1, 3)), (1.0, (-1, 6)), (2.0, (1, 3)), (3.0, (11, 6))):
        (got,) = at(sp.binomial(a, 3), (n,)).gradient
        with mpmath.workdps(60):
            assert abs(got - mpmath.mpf(slope[0]) / slope[1]) < mpmath.mpf(10) ** -35


def test_every_supported_function_has_a_rule_and_every_rule_a_test() -> None:
    structural = {"Add", "Mul", "Piecewise", "Sum", "maximum"} | {kind.__name__ for kind in CONDITIONS}
    supported = {kind.__name__ for kind in SUPPORTED_FUNCTIONS} - structural
    assert supported <= set(FUNCTIONS)
    assert set(FUNCTIONS) == set(POINTS) | BY_HAND | WITHOUT_A_TEST_OF_ITS_OWN


# --------------------------------------------------------------------------------- conventions, kinks, undefined points

KINKS = [
    (sp.Abs(a), 0.0, 0.0, 0.0),
    (sp.sign(a), -3.5, -1.0, 0.0),
    (sp.sign(a), 0.0, 0.0, 0.0),
    (sp.Heaviside(a), 0.0, 0.5, 0.0),
    (sp.Heaviside(a, 1), 0.0, 1.0, 0.0),
    (sp.Heaviside(a), -1e-300, 0.0, 0.0),
    (sp.floor(a), 2.0, 2.0, 0.0),
    (sp.floor(a), -2.5, -3.0, 0.0),
    (sp.ceiling(a), -2.5, -2.0, 0.0),
    (sp.im(a), 2.5, 0.0, 0.0),
    (sp.Max(a, 0), 0.0, 0.0, 0.5),
    (sp.Min(a, 0), 0.0, 0.0, 0.5),
    (sp.Mod(a, 2), -4.0, 0.0, 1.0),
    (sp.Mod(1, a), 0.0, NAN, NAN),
    (sp.Mod(a, 3), 1e300, float(int(1e300) % 3), 1.0),
    (sp.sinc(a), 0.0, 1.0, 0.0),
    (sp.sqrt(a), 0.0, 0.0, INF),
    (sp.sqrt(a), -1.0, NAN, NAN),
    (sp.cbrt(a), -8.0, NAN, NAN),
    (a**2, 0.0, 0.0, 0.0),
    (a**2.0, -3.0, 9.0, -6.0),
    (1 / a, 0.0, INF, -INF),
    (sp.log(a), 0.0, -INF, INF),
    (sp.log(a), -1.0, NAN, NAN),
    (sp.log(a) * a, 0.0, NAN, NAN),
    (0**a, 2.0, 0.0, 0.0),
    (sp.Pow(0, a, evaluate=False), 0.0, 1.0, 0.0),
    (sp.Pow(-2, a, evaluate=False), 3.0, -8.0, NAN),
    (sp.Pow(-2, a, evaluate=False), 0.5, NAN, NAN),
    (sp.asin(a), 1.0, float(mpmath.pi / 2), INF),
    (sp.asin(a), 1.5, NAN, NAN),
    (sp.acosh(a), 1.0, 0.0, INF),
    (sp.acosh(a), 0.5, NAN, NAN),
    (sp.atanh(a), -1.0, -INF, INF),
    (sp.acoth(a), 0.5, NAN, NAN),
    (sp.asech(a), -0.5, NAN, NAN),
    (sp.asec(a), 0.5, NAN, NAN),
    (sp.acot(a), 0.0, float(mpmath.pi / 2), -1.0),
    (sp.loggamma(a), -1.5, NAN, NAN),
    (sp.loggamma(a), 0.0, INF, -INF),
    (sp.gamma(a), -2.0, NAN, NAN),
    (sp.digamma(a), -3.0, NAN, NAN),
    (cfunctions.log1p(a), -1.0, -INF, INF),
    (cfunctions.log1p(a), -2.0, NAN, NAN),
    (functions.xlogy(0 * b + a, 2), 0.0, 0.0, float(mpmath.log(2))),
    (functions.log_cosh(a), 0.0, 0.0, 0.0),
    (functions.xlogy(2, a), 0.0, -INF, INF),
]


@pytest.mark.parametrize(("expression", "point", "value", "slope"), KINKS, ids=[f"{e} at {p}" for e, p, _, _ in KINKS])
def test_kinks_poles_and_undefined_points(expression: Any, point: float, value: float, slope: float) -> None:
    found = at(expression, [point])
    assert same(mpmath.mpf(float(found.loss)), value)
    assert same(mpmath.mpf(float(found.gradient[0])), slope)


def test_ties_are_shared_from_the_left() -> None:
    first, second, third = sp.Max(a, b, c).args
    order = {a: 0, b: 1, c: 2}
    shares = at(sp.Max(a, b, c), [2.0, 2.0, 2.0]).gradient
    assert [shares[order[s]] for s in (first, second, third)] == [0.25, 0.25, 0.5]
    assert at(sp.Min(a, b), [1.0, 1.0]).gradient == (0.5, 0.5)


def test_atan2_in_every_quadrant_and_undefined_at_the_origin() -> None:
    assert float(at(sp.atan2(a, b), [0.0, -1.0]).loss) == math.pi
    assert same(at(sp.atan2(a, b), [0.0, 0.0]).loss, NAN)


def test_nan_goes_through_everything() -> None:
    for expression in (a * b, a + b, sp.Max(a, b), sp.sign(a), a**b):
        assert same(at(expression, [NAN, 1.0]).loss, NAN)


def test_a_comparison_with_nan_is_false() -> None:
    assert at(sp.Piecewise((a, a < b), (b, True)), [NAN, 1.0]).loss == 1


def test_the_side_of_a_max_that_loses_has_no_slope_to_bring_in() -> None:
    """sqrt is infinitely steep at 0, where the clipped argument does not move at all."""
    assert at(b + sp.sqrt(sp.Max(0, a)), [-1.0, 1.0]).gradient[0] == 0


def test_the_range_is_not_a_doubles() -> None:
    found = at(sp.exp(a) * sp.exp(-b), [1000.0, 1001.0])
    assert mpmath.almosteq(found.loss, mpmath.exp(-1), 1e-14)
    assert at(sp.exp(a), [1000.0]).gradient[0] > mpmath.mpf(10) ** 434


@pytest.mark.parametrize("point", [-4.0e6 + 0.3, -1.0e15 + 0.25])
def test_derivatives_of_digamma_far_on_the_left_have_no_truth(point: float) -> None:
    """mpmath steps to 0 by ones: a verification that drew such a point did not return."""
    a, x = sp.symbols("a x")
    risk = EmpiricalRisk.from_expression(sp.digamma(a * x), inputs=[x], targets=[], parameters=[a])
    found = Reference(risk).sample([1.0], [point], [])
    assert found.gradient == (None,)
