"""The oracle against what is known without it: SymPy's numbers differenced, exact rationals, NIST, and hand values."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.codegen import cfunctions

from symgrad import functions
from symgrad.errors import UnsupportedExpressionError
from symgrad.expressions import CONDITIONS, SUPPORTED_FUNCTIONS
from symgrad.problem import EmpiricalRisk, Loss, Model
from symgrad.reference import Reference, Sample
from symgrad.reference_functions import FUNCTIONS, Rule
from symgrad.reference_tape import Tape, record

a, b, c, d, x, y, z = sp.symbols("a b c d x y z")
INF, NAN = math.inf, math.nan


def at(expression: Any, point: Sequence[float], symbols: Sequence[Any] = (a, b, c, d), digits: int = 50) -> Sample:
    """Value and gradient of an expression in ``symbols``, of which the first ones are used."""
    used = list(symbols[: len(point)])
    anchor = sp.Symbol("anchor")  # a parameter that the loss surely depends on
    risk = EmpiricalRisk.from_expression(expression + anchor, inputs=[], targets=[], parameters=[*used, anchor])
    found = Reference(risk).sample([*point, 0.0], [], [], digits)
    return Sample(found.loss, found.gradient[:-1])


def undeclared(expression: Any, point: Sequence[float]) -> Sample:
    """As :func:`at`, for what a declaration would refuse."""
    symbols: dict[str, Any] = {"parameters": (a, b)[: len(point)], "inputs": (), "targets": ()}
    risk: Any = SimpleNamespace(**symbols, outputs=(), loss=expression, penalty=None)
    return Reference(risk).sample(point, [], [])


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
    "gamma": (sp.gamma, GAMMA),
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


def test_every_supported_function_has_a_rule_and_every_rule_a_test() -> None:
    structural = {"Add", "Mul", "Piecewise", "Sum"} | {kind.__name__ for kind in CONDITIONS}
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
    for expression in (a * b, a + b, sp.Max(a, b), sp.Piecewise((a, a < b), (b, True)), sp.sign(a), a**b):
        assert same(at(expression, [NAN, 1.0]).loss, NAN)


def test_the_range_is_not_a_doubles() -> None:
    found = at(sp.exp(a) * sp.exp(-b), [1000.0, 1001.0])
    assert mpmath.almosteq(found.loss, mpmath.exp(-1), 1e-14)
    assert at(sp.exp(a), [1000.0]).gradient[0] > mpmath.mpf(10) ** 434


# ------------------------------------------------------------------------------------------------------ the structure


def test_rational_expressions_are_exact() -> None:
    """Against SymPy's derivative at exact rationals: another way to differentiate, and no rounding at all."""
    expressions = [
        (a**3 * b - 2 * c / (a + b) ** 2) ** 2,
        sp.Rational(7, 3) * a / (b - c * a) - (a + b + c) ** 5 / (1 + c**2),
        1 / (a - 1 / (b - 1 / c)),
        (a * b * c - sp.Rational(10**30, 7)) / (a + sp.Float("1e-10")),
    ]
    for expression in expressions:
        for point in [(0.1, -2.5, 3.0), (1e-8, 1e8, -0.7), (1.75, 1.75, 1.75), (-1e30, 3.0, 1e-30)]:
            exact = {s: sp.Rational(*v.as_integer_ratio()) for s, v in zip((a, b, c), point, strict=True)}
            found = at(expression, point)
            for got, symbol in zip(found.gradient, (a, b, c), strict=True):
                floats = {f: sp.Rational(*float(f).as_integer_ratio()) for f in expression.atoms(sp.Float)}
                number = sp.diff(expression.xreplace(floats), symbol).xreplace(exact)
                ratio = Fraction(*_ratio(got))
                assert abs(ratio - Fraction(int(number.p), int(number.q))) <= abs(ratio) * Fraction(1, 10**30)


def _ratio(number: Any) -> tuple[int, int]:
    sign, mantissa, exponent, _ = number._mpf_
    whole = int(-mantissa if sign else mantissa)
    return (whole << exponent, 1) if exponent >= 0 else (whole, 1 << -exponent)


def test_the_untaken_branch_never_matters() -> None:
    safe = sp.Piecewise((sp.log(a), a > 0), (a**2, True))
    assert at(safe, [-3.0]) == Sample(9, (-6,))
    assert at(sp.Piecewise((sp.sqrt(a), a > 0), (0, True)), [0.0]) == Sample(0, (0,))


def test_conditions() -> None:
    def chosen(condition: Any, *point: float) -> float:
        return float(at(sp.Piecewise((a, condition), (b, True), evaluate=False), point).gradient[0])

    assert chosen(sp.And(a > 0, b > 0), 1.0, 1.0) == 1
    assert chosen(sp.And(a > 0, b > 0), 1.0, -1.0) == 0
    assert chosen(sp.And(b > 0, sp.log(b) > 0), 1.0, -1.0) == 0  # false decides, though the logarithm is undefined
    assert chosen(sp.Or(a > 0, b > 0), -1.0, 2.0) == 1
    assert chosen(sp.Or(b < 0, sp.log(b) > 0), 1.0, -1.0) == 1
    assert chosen(sp.Not(sp.And(a > 0, b > 0)), -1.0, 2.0) == 1
    assert chosen(sp.Xor(a > 0, b > 0), 1.0, 2.0) == 0
    assert chosen(sp.Xor(a > 0, b > 0), 1.0, -2.0) == 1
    assert chosen(sp.ITE(a > 0, b > 0, b < 0), -1.0, -2.0) == 1
    assert chosen(sp.Eq(a, b), 2.0, 2.0) == 1
    assert chosen(sp.Ne(a, b), 2.0, 2.0) == 0
    assert chosen(a <= b, 2.0, 2.0) == 1
    assert chosen(a >= b, 1.0, 2.0) == 0
    assert chosen(a < b, 2.0, 2.0) == 0


def test_softmax_with_a_sum_and_a_label() -> None:
    scores, label = sp.MatrixSymbol("z", 3, 1), sp.Symbol("label", integer=True)
    i = sp.Idx("i", 3)
    w = sp.MatrixSymbol("W", 3, 1)
    loss = Loss(sp.log(sp.Sum(sp.exp(scores[i, 0]), (i, 0, 2))) - scores[label, 0], prediction=scores, target=label)
    reference = Reference(EmpiricalRisk(Model(w * x, inputs=[x], parameters=[w]), loss))
    found = reference.sample([0.5, -1.0, 2.0], [1.5], [2.0])
    with mpmath.workdps(40):
        parts = [mpmath.exp(mpmath.mpf(v)) for v in (0.75, -1.5, 3.0)]
        shares = [p / sum(parts) for p in parts]
        expected = [1.5 * (s - (k == 2)) for k, s in enumerate(shares)]
        assert mpmath.almosteq(found.loss, -mpmath.log(shares[2]), mpmath.mpf(10) ** -30)
        assert all(mpmath.almosteq(g, e, mpmath.mpf(10) ** -30) for g, e in zip(found.gradient, expected, strict=True))
    assert reference.names == ("W[0, 0]", "W[1, 0]", "W[2, 0]")
    assert reference.labels() == {4: 3}
    assert reference.predict([0.5, -1.0, 2.0], [1.5]) == (0.75, -1.5, 3.0)
    assert same(reference.sample([0.5, -1.0, 2.0], [1.5], [3.0]).loss, NAN)  # there is no such class


def test_nested_sums_and_limits_that_depend_on_the_outer_index() -> None:
    i, j = sp.symbols("i j", integer=True)
    expression = sp.Sum(a * i + b * j, (j, 0, i), (i, 1, 3))
    assert undeclared(expression, [1.0, 10.0]) == Sample(2 + 6 + 12 + 10 * (1 + 3 + 6), (20, 10))
    assert undeclared(a + sp.Sum(a, (i, 2, 1)), [3.0]).loss == 3  # an empty sum is zero
    with pytest.raises(UnsupportedExpressionError, match="limits of a Sum"):
        record(Tape(), sp.Sum(a, (i, 0, b)), {a: 0, b: 1})


def test_the_summation_index_hides_a_symbol_outside() -> None:
    i = sp.Symbol("i", integer=True)
    inner = sp.Sum(sp.Sum(i * a, (i, 1, 2)) + i * a, (i, 10, 11))
    assert undeclared(inner, [1.0]).gradient == (27,)


def test_an_expression_ten_thousand_deep() -> None:
    deep = a
    for _ in range(10_000):
        deep = sp.Add(sp.Mul(deep, sp.Rational(1, 2), evaluate=False), b, evaluate=False)
    found = at(deep, [1.0, 3.0], digits=20)
    assert mpmath.almosteq(found.loss, 6, 1e-15)
    assert mpmath.almosteq(found.gradient[1], 2, 1e-15)


def test_equal_operations_share_a_slot() -> None:
    tape = Tape()
    leaves = {a: tape.emit("leaf", (), 0)}
    record(tape, sp.exp(a) + sp.sin(sp.exp(a)), leaves)
    assert [o.payload for o in tape.operations].count("exp") == 1


def test_an_unknown_function_and_an_undeclared_symbol_are_named() -> None:
    with pytest.raises(UnsupportedExpressionError, match=r"no rule for besselj.*supported: Abs"):
        record(Tape(), sp.besselj(0, a), {a: 0})
    with pytest.raises(UnsupportedExpressionError, match="'q'"):
        record(Tape(), sp.Symbol("q") + a, {a: 0})


def test_constants_have_every_digit() -> None:
    found = at(sp.pi * a + sp.EulerGamma + sp.Rational(1, 3) + sp.GoldenRatio, [1.0], digits=80)
    with mpmath.workdps(80):
        expected = mpmath.pi + mpmath.euler + mpmath.mpf(1) / 3 + mpmath.phi
        assert mpmath.almosteq(found.loss, expected, mpmath.mpf(10) ** -75)


# ------------------------------------------------------------------------------------ precision, and what double can do


def test_cancellation_raises_the_precision() -> None:
    found = at(1 - sp.cos(a), [1e-160])  # 320 digits cancel
    with mpmath.workdps(30):
        assert mpmath.almosteq(found.loss, mpmath.mpf(1e-160) ** 2 / 2, 1e-25)
    assert abs(at(sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1, [0.7]).loss) < mpmath.mpf(10) ** -330


def test_no_ground_truth_is_none_and_not_nan() -> None:
    tower = sp.exp(sp.exp(sp.exp(sp.exp(a))))
    assert at(tower, [5.0]) == Sample(None, (None,))
    assert at(sp.exp(sp.exp(a)), [5.0]).loss is not None
    assert at(1 / (1 + sp.exp(a)), [1e10]).loss > 0


def test_the_callers_precision_is_left_alone() -> None:
    before = mpmath.mp.prec
    at(1 - sp.cos(a), [1e-100])
    assert mpmath.mp.prec == before


def stray(expression: Any, point: Sequence[float]) -> tuple[float, ...]:
    risk = EmpiricalRisk.from_expression(expression, inputs=[], targets=[], parameters=(a, b)[: len(point)])
    reference = Reference(risk)
    return reference.attainable_error(point, [], [], reference.sample(point, [], []))


def test_attainable_error_sees_cancellation() -> None:
    eps = 2.0**-52
    assert 0 < stray(sp.exp(a), [0.7])[0] <= math.exp(0.7) * eps
    assert stray(sp.exp(a) - sp.exp(b), [1.0, 1.0 + 1e-8])[0] > 2 * eps  # errors of e in a result of 2.7e-8
    assert stray(1 - sp.cos(a), [1e-5])[0] > 1e-17


def test_attainable_error_is_zero_where_double_is_exact() -> None:
    assert stray(a * b + 3 * a, [1.5, 2.0]) == (0.0, 0.0, 0.0)
    assert stray(sp.Abs(a - b), [0.1, 0.1]) == (0.0, 0.0, 0.0)  # a tie stays a tie


def test_attainable_error_does_not_trust_one_order_of_a_sum() -> None:
    point = [1e16, 1.0, -1e16]
    risk = EmpiricalRisk.from_expression(a + b + c, inputs=[], targets=[], parameters=[a, b, c])
    reference = Reference(risk)
    assert reference.attainable_error(point, [], [], reference.sample(point, [], []))[0] >= 1.0


def test_attainable_error_is_infinite_where_the_range_is_left() -> None:
    assert stray(sp.exp(a) * sp.exp(-b), [1000.0, 1001.0])[0] == INF
    assert stray(sp.Piecewise((sp.exp(a), a < 0), (a, True)), [1000.0]) == (0.0, 0.0)  # not on the branch taken


def test_attainable_error_is_the_same_each_time() -> None:
    assert stray(sp.exp(a) - b, [0.7, 2.0]) == stray(sp.exp(a) - b, [0.7, 2.0])


# ------------------------------------------------------------------------------------------------------- whole risks

NIST = json.loads((Path(__file__).parent / "data" / "nist_reference.json").read_text(encoding="utf-8"))
MODELS = {
    "Misra1a": (a * (1 - sp.exp(-b * x)), [a, b]),
    "MGH09": (a * (x**2 + x * b) / (x**2 + x * c + d), [a, b, c, d]),
    "Eckerle4": ((a / b) * sp.exp(-(((x - c) / b) ** 2) / 2), [a, b, c]),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_nist_mean_gradients_to_25_digits(name: str) -> None:
    case, (model, parameters) = NIST[name], MODELS[name]
    risk = EmpiricalRisk(Model(model, inputs=[x], parameters=parameters), Loss((z - y) ** 2, prediction=z, target=y))
    found = Reference(risk).mean(case["theta"], [[v] for v in case["x"]], [[v] for v in case["y"]])
    with mpmath.workdps(50):
        for got, text in zip((found.loss, *found.gradient), (case["mean_loss"], *case["mean_grad"]), strict=True):
            assert abs(got - mpmath.mpf(text)) <= abs(mpmath.mpf(text)) * mpmath.mpf(10) ** -25


def decay(penalty: Any = None) -> Reference:
    model = Model(a * sp.exp(-b * x), inputs=[x], parameters=[a, b])
    return Reference(EmpiricalRisk(model, Loss((z - y) ** 2 / 2, prediction=z, target=y), penalty=penalty))


def test_weights_and_penalty() -> None:
    theta, inputs, targets = [2.0, 0.3], [[1.5], [0.5], [3.0]], [[0.7], [1.0], [0.2]]
    plain = decay()
    rows = [plain.sample(theta, u, t) for u, t in zip(inputs, targets, strict=True)]
    mean = decay(penalty=a**2 + 3 * b).mean(theta, inputs, targets, weights=[1.0, 2.0, 5.0])
    with mpmath.workdps(50):
        expected = (rows[0].gradient[0] + 2 * rows[1].gradient[0] + 5 * rows[2].gradient[0]) / 8 + 4
        assert mpmath.almosteq(mean.gradient[0], expected, mpmath.mpf(10) ** -40)
        loss = (rows[0].loss + 2 * rows[1].loss + 5 * rows[2].loss) / 8 + 4 + 3 * mpmath.mpf(0.3)
        assert mpmath.almosteq(mean.loss, loss, mpmath.mpf(10) ** -40)
    assert plain.penalty(theta) == Sample(0, (0, 0))
    assert decay(penalty=a**2 + 3 * b).penalty(theta).gradient == (4, 3)


def test_the_loss_is_bound_by_environment_and_not_by_name() -> None:
    """A placeholder may carry the name of a symbol of the model: the two are in different scopes."""
    other = sp.Symbol("x")
    risk = EmpiricalRisk(Model(a * x, inputs=[x], parameters=[a]), Loss((other - y) ** 2, prediction=other, target=y))
    assert Reference(risk).sample([2.0], [3.0], [1.0]) == Sample(25, (30,))


def test_constants_are_found_for_the_points() -> None:
    risk = EmpiricalRisk.from_expression(sp.Max(a, 0.25) * 3, inputs=[], targets=[], parameters=[a])
    assert decay().constants() == (-1.0, 0.5, 2.0)
    assert Reference(risk).constants() == (0.25, 3.0)
