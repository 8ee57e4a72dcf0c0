"""Stable forms: what is replaced, what is only like it, and that `rewrites` says so."""

import sys
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from symgrad import functions, gallery
from symgrad.declare import EmpiricalRisk
from symgrad.passes import derive, lower, stabilise
from symgrad.passes.lowering import eliminate_dead
from symgrad.passes.stable.rewrite import RULES
from symgrad.pipeline import generate
from symgrad.program import Program
from symgrad.trace import trace
from tests.helpers.declaring import risk_of_all
from tests.helpers.evaluate import DIGITS, DOUBLES, output, ulps

W, b, s = sp.MatrixSymbol("W", 3, 2), sp.MatrixSymbol("b", 3, 1), sp.Symbol("s", real=True)
x = sp.MatrixSymbol("x", 2, 1)
i, j = sp.Idx("i", 3), sp.Idx("j", 2)
z = W * x + b
LOG_SUM_EXP = "log(Sum(exp(x))) -> logsumexp(x)"


def risk_of(expression: Any) -> EmpiricalRisk:
    return risk_of_all(expression, inputs=[x], targets=[], parameters=[W, b, s], name="stable")


def traced(expression: Any) -> Program:
    return trace(risk_of(expression))


PATTERNS = [
    sp.log(sp.Sum(sp.exp(b[i, 0] * x[0, 0]), (i, 0, 2))),
    sp.log(sp.Sum(sp.exp(b[i, 0]), (i, 0, 2))) * x[0, 0],
    sp.log(sp.Sum(sp.exp(sp.Sum(W[i, j] * x[j, 0], (j, 0, 1)) + b[i, 0]), (i, 0, 2))),
    s * sp.log(sp.Sum(sp.exp(b[i, 0] * s), (i, 1, 2))) - b[0, 0] * x[0, 0],
]
a, u = b[0, 0], x[0, 0]
NEAR_MISSES = [
    sp.cos(sp.Sum(sp.exp(b[i, 0] * u), (i, 0, 2))),
    sp.Sum(sp.exp(b[i, 0] * u), (i, 0, 2)) * u,
    functions.logsumexp(a * u, b[1, 0], b[2, 0]),
    sp.log(2 + s),
    sp.log(s) * u,
    sp.log(s / u),
    u * sp.log(s),
    sp.log(3 - s),
    2 - sp.tanh(s) ** 2,
    1 - 2 * sp.tanh(s) ** 2,
    1 - sp.tanh(s) ** 3,
    2 - sp.cos(s),
    1 - sp.sin(s),
    3 - sp.exp(s),
    1 - s,
    sp.sin(s) / u,
    sp.sin(s) / s**2,
    (sp.exp(s) - 2) / s,
    (1 - sp.exp(s) * u) / s,
    sp.tan(s) / s,
    sp.exp(s) / (1 + s),
    1 / (1 + s),
    1 / (2 + sp.cos(s)),
    sp.sinh(s),
    1 / sp.sinh(s),
    functions.sigmoid(s) * functions.sigmoid(u),
    sp.sqrt(s**2 + u) - 2 * s,
    sp.sqrt(s + u) - s,
    sp.sqrt(s**2 - u**2) * u,
    sp.sqrt(s**3 + u**2),
    sp.loggamma(s) + sp.loggamma(u),
    sp.loggamma(s) - 2 * sp.loggamma(s + u),
    sp.loggamma(s) - sp.loggamma(u),
    sp.gamma(s),
    sp.erfc(s) * u,
    sp.exp(s) * u,
    sp.exp(-(s**2)) * u,
]


def leaves_of(scale: float = 1.0) -> dict[str, list[Any]]:
    numbers = [mpmath.mpf(k - 4.5) / 3 * scale for k in range(10)]
    return {"parameter": numbers, "input": [mpmath.mpf(0.75), mpmath.mpf(-1.25)]}


@pytest.mark.parametrize("expression", PATTERNS, ids=str)
def test_the_logarithm_of_a_sum_of_exponentials_is_replaced_and_listed(expression: Any) -> None:
    before = traced(expression)
    after, used = stabilise(before)
    assert used == (LOG_SUM_EXP,)
    operations = [after.assignments[v].operation for v in after.needed("loss")]
    assert operations.count("logsumexp_all") == 1
    assert "log" not in operations
    assert "exp" not in operations
    with mpmath.workdps(50):
        for result in ("loss", "gradient"):
            true, got = (output(derive(p), result, DIGITS, leaves_of()) for p in (before, after))
            assert all(abs(g - t) <= 1e-45 * (1 + abs(t)) for g, t in zip(got, true, strict=True))
    assert generate(risk_of(expression)).rewrites == used


@pytest.mark.parametrize("expression", PATTERNS, ids=str)
@pytest.mark.parametrize("scale", [1e3, 1e5])
def test_it_keeps_its_digits_where_the_exponentials_overflow(expression: Any, scale: float) -> None:
    """As it was written, the value would be infinite, or the logarithm of zero."""
    before = traced(expression)
    after, _ = stabilise(before)
    leaves = leaves_of(scale)
    doubles = {role: [np.float64(float(n)) for n in row] for role, row in leaves.items()}
    exact = {role: [mpmath.mpf(float(n)) for n in row] for role, row in doubles.items()}
    with mpmath.workdps(50):
        for result in ("loss", "gradient"):
            true = output(derive(before), result, DIGITS, exact)
            got = output(lower(derive(after)), result, DOUBLES, doubles)
            most = max(map(abs, true))
            # what is exponentiated is a rounded number of this size
            bound = 4e-15 * scale * most
            assert all(abs(mpmath.mpf(float(g)) - t) <= bound for g, t in zip(got, true, strict=True))
        naive = output(lower(derive(before)), "gradient", DOUBLES, doubles)
    assert not np.isfinite([float(n) for n in naive]).all()


@pytest.mark.parametrize("expression", NEAR_MISSES, ids=str)
def test_what_is_only_like_it_stays(expression: Any) -> None:
    program = traced(expression)
    after, used = stabilise(program)
    assert used == ()
    assert eliminate_dead(after) == eliminate_dead(program)
    assert generate(risk_of(expression)).rewrites == ()


SHARE = sp.exp(a * u) / sp.Sum(sp.exp(b[i, 0] * u), (i, 0, 2))


@pytest.mark.parametrize("expression", [SHARE, SHARE * s, -sp.log(SHARE)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e4, -1e4])
def test_a_share_of_a_sum_over_an_index_neither_overflows_nor_vanishes(expression: Any, scale: float) -> None:
    before = traced(expression)
    after = stabilise(derive(stabilise(before)[0]))[0]
    leaves = leaves_of(scale)
    doubles = {role: [np.float64(float(n)) for n in row] for role, row in leaves.items()}
    exact = {role: [mpmath.mpf(float(n)) for n in row] for role, row in doubles.items()}
    with mpmath.workdps(50):
        for result in ("loss", "gradient"):
            true = output(derive(before), result, DIGITS, exact)
            got = output(lower(after), result, DOUBLES, doubles)
            most = max(map(abs, true))
            bound = 4e-15 * abs(scale) * most + mpmath.mpf("1e-323")
            assert all(abs(mpmath.mpf(float(g)) - t) <= bound for g, t in zip(got, true, strict=True)), (got, true)


def test_each_rule_is_listed_once_however_often_it_is_used() -> None:
    _, used = stabilise(traced(PATTERNS[0] + sp.sin(PATTERNS[1]) + PATTERNS[2]))
    assert used == (LOG_SUM_EXP,)


def calls_to_stabilise(program: Program) -> int:
    """Functions entered on the way."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        stabilise(program)
    finally:
        sys.setprofile(None)
    return calls


def long_sum(function: Any, length: int) -> Program:
    u, *p = sp.symbols(f"u p:{length}", real=True)
    total = sp.Add(*(function(one + u) for one in p))
    return trace(EmpiricalRisk.from_expression(total, inputs=[u], targets=[], parameters=p, name="long"))


@pytest.mark.parametrize("function", [sp.sqrt, lambda a: sp.log(1 + sp.exp(a)), sp.loggamma])
def test_rules_take_the_square_of_the_length_of_a_sum_at_most(function: Any) -> None:
    short, long = (calls_to_stabilise(long_sum(function, length)) for length in (15, 60))
    assert long < 1.5 * 16 * short


def test_outputs_stay_where_they_were() -> None:
    """Predictions and the penalty go through it too, by name and in order."""
    penalty = sp.log(sp.Sum(sp.exp(b[i, 0]), (i, 0, 2)))
    risk = risk_of_all(PATTERNS[0], inputs=[x], targets=[], parameters=[W, b, s], penalty=penalty)
    before = trace(risk)
    after, used = stabilise(before)
    assert used == (LOG_SUM_EXP,)
    assert after.outputs.keys() == before.outputs.keys()
    with mpmath.workdps(50):
        for name in before.outputs:
            true, got = (output(p, name, DIGITS, leaves_of()) for p in (before, after))
            assert all(abs(g - t) <= 1e-45 for g, t in zip(got, true, strict=True))


GAMMAS = "loggamma(x) + loggamma(y) - loggamma(x + y), loggamma(x + d) - loggamma(x)"
REWRITTEN = {
    "misra1a": {"exp(x) - 1"},
    "boxbod": {"exp(x) - 1"},
    "rat42": {"1/(1 + exp(x))"},
    "ships_negbin": {"log(1 + exp(x))", GAMMAS},
    "marietta_student_t": {"log(a*exp(x) + b*exp(y))", GAMMAS},
    "iris_softmax": {"log(Sum(exp(x)))"},
    "digits": {"log(Sum(exp(x)))"},
}


def test_the_gallery_says_what_was_rewritten() -> None:
    found = {risk.name: {name.split(" -> ")[0] for name in generate(risk).rewrites} for risk in gallery.RISKS}
    assert {name: patterns for name, patterns in found.items() if patterns} == REWRITTEN


def test_nothing_is_rewritten_where_stable_forms_are_turned_off() -> None:
    risk = risk_of(sp.log(1 + sp.exp(s)) * x[0, 0])
    declared = generate(risk, stable=False)
    assert declared.rewrites == ()
    assert "softplus" not in str(declared.differentiated)
    assert "softplus" in str(generate(risk).differentiated)


def counts(count: float, share: float) -> list[float]:
    """Value and derivative of y log(p), y a target."""
    p, y = sp.symbols("p y", real=True)
    risk = EmpiricalRisk.from_expression(y * sp.log(p), inputs=[], targets=[y], parameters=[p], name="counts")
    program = generate(risk).lowered
    leaves = {"parameter": [np.float64(share)], "target": [np.float64(count)], "weight": [np.float64(1)]}
    return [float(number) for name in ("loss", "gradient") for number in output(program, name, DOUBLES, leaves)]


def test_a_count_of_zero_takes_no_part_in_a_likelihood() -> None:
    assert counts(0.0, 0.0) == [0.0, 0.0]
    assert counts(0.0, 0.5) == [0.0, 0.0]
    assert counts(2.0, 0.5) == [2 * np.log(0.5), 4.0]
    assert counts(2.0, 0.0) == [-np.inf, np.inf]
    assert np.isnan(counts(0.0, -0.5)).all()
    assert np.isnan(counts(2.0, -0.5)).all()


def numbers(expression: Any, **at: float) -> list[float]:
    """Value and derivatives of a formula in parameters, in the order in which they are given."""
    parameters = [sp.Symbol(name, real=True) for name in at]
    risk = EmpiricalRisk.from_expression(expression, inputs=[], targets=[], parameters=parameters, name="numbers")
    leaves = {"parameter": [np.float64(v) for v in at.values()], "weight": [np.float64(1)]}
    program = generate(risk).lowered
    with np.errstate(all="ignore"):
        return [float(v) for name in ("loss", "gradient") for v in output(program, name, DOUBLES, leaves)]


def test_a_factor_of_a_share_may_be_zero_or_large() -> None:
    k, a = sp.symbols("k a", real=True)
    share = k * sp.exp(a) / (a + sp.exp(a))
    whole = 1 + np.exp(1.0)
    assert numbers(share, k=0.0, a=1.0) == pytest.approx([0.0, np.e / whole, 0.0], rel=1e-15)
    assert numbers(share, k=1e154, a=-0.5)[1] == pytest.approx(np.exp(-0.5) / (np.exp(-0.5) - 0.5), rel=1e-14)


def test_a_product_below_the_bar_does_not_leave_the_range_in_the_derivative() -> None:
    """Its square would."""
    k, a = sp.symbols("k a", real=True)
    value, by_k, by_a = numbers(1 / (k**2 * (sp.exp(a) + 1) ** 2), k=0.75, a=300.0)
    with mpmath.workdps(50):
        true = 1 / (mpmath.mpf(0.75) * (mpmath.exp(300) + 1)) ** 2
        share = mpmath.exp(300) / (1 + mpmath.exp(300))
        assert max(ulps(value, true), ulps(by_k, -2 * true / 0.75), ulps(by_a, -2 * true * share)) < 8


@pytest.mark.parametrize(
    ("form", "at"),
    [
        (lambda x: sp.Float(1e-300) / x**2, 709.5),
        (lambda x: 1e10 / x**7, 3.1e42),
        (lambda x: (x**2 + 1) ** sp.Rational(-25, 2), 1e7),
        (lambda x: 3 / (x**2 + 1) ** sp.Rational(25, 3), 1e9),
        (lambda x: x**-2, 1.5e154),
        (lambda x: x**-7, 1.5e44),
        (lambda x: x**-108, -745.0),
    ],
)
def test_the_slope_of_a_quotient_by_a_power_is_in_range_where_the_quotient_is(form: Any, at: float) -> None:
    x = sp.Symbol("x", real=True)
    value, slope = numbers(form(x), x=at)
    with mpmath.workdps(50):
        exact = sp.Rational(*at.as_integer_ratio())
        true = [sp.N(e.xreplace({x: exact}), 50)._to_mpmath(170) for e in (form(x), sp.diff(form(x), x))]
        assert ulps(value, true[0]) <= 4
        assert ulps(slope, true[1]) <= 4


_COSH = sp.cosh(sp.Symbol("a", real=True))
_BESIDE = [sp.log(_COSH + 1), sp.log(1 / (_COSH + 2)), sp.sqrt(_COSH + 2), sp.cbrt(_COSH + 2), sp.log(3 * _COSH + 2)]


@pytest.mark.parametrize("form", _BESIDE, ids=str)
@pytest.mark.parametrize("at", [1e-88, -1e-9, 0.001, 0.99, -1.01, 79.0, -81.0, 300.0])
def test_the_slope_of_a_cosh_in_a_sum_keeps_its_digits(form: Any, at: float) -> None:
    a = sp.Symbol("a", real=True)
    got = numbers(form, a=at)
    with mpmath.workdps(400):
        exact = sp.Rational(*at.as_integer_ratio())
        true = [sp.N(e.xreplace({a: exact}), 400)._to_mpmath(1200) for e in (form, sp.diff(form, a))]
        assert max(map(ulps, got, true)) <= 12


def test_an_exponential_is_half_of_one_pair_at_most() -> None:
    """exp(m + a), exp(m - a) and exp(a - m): the first could be paired with either of the others."""
    m, a = sp.symbols("m a", real=True)
    form = sp.log(2 + 3 * sp.exp(m) * sp.exp(a) + 3 * sp.exp(m) * sp.exp(-a) + 3 * sp.exp(a) * sp.exp(-m))
    got = numbers(form, m=0.375, a=-1.25)
    point = {m: sp.Rational(3, 8), a: sp.Rational(-5, 4)}
    with mpmath.workdps(50):
        true = [sp.N(e.subs(point), 50)._to_mpmath(170) for e in (form, sp.diff(form, m), sp.diff(form, a))]
        assert max(map(ulps, got, true)) <= 8


def test_a_factor_zero_beside_an_infinite_slope_leaves_nothing() -> None:
    k, a = sp.symbols("k a", real=True)
    for form, at in ((sp.sqrt(a), 0.0), (sp.cbrt(a), 0.0), (sp.asin(a), 1.0), (sp.acosh(a), 1.0), (sp.sqrt(a), 1.0)):
        assert numbers(k * form, k=0.0, a=at)[2] == 0
    assert numbers(k * sp.sqrt(a), k=2.0, a=0.0)[2] == np.inf


def test_a_power_of_what_overflowed_is_zero() -> None:
    x = sp.Symbol("x", real=True)
    for n in (-2, -3, -4, -7, -9, -108):
        assert numbers((x**2 + 1) ** n, x=1e200)[0] == 0


def test_a_slope_of_a_sinh_over_a_sum_with_its_cosh_does_not_overflow() -> None:
    a = sp.Symbol("a", real=True)
    for at in (1e-3, 5.0, 81.0, -711.0, 2000.0):
        value, slope = numbers(sp.sinh(a) / (2 + sp.cosh(a)), a=at)
        with mpmath.workdps(1000):
            cosh = mpmath.cosh(at)
            assert ulps(value, mpmath.sinh(at) / (2 + cosh)) <= 8
            assert ulps(slope, (1 + 2 * cosh) / (2 + cosh) ** 2) <= 8 if abs(at) > 80 else 32


@pytest.mark.parametrize("at", [-1e-300, 3e-5, 0.5, -5.0, 79.0, -81.0, 700.0, 900.0])
def test_the_derivative_of_a_quotient_by_cosh_keeps_its_digits(at: float) -> None:
    k, a = sp.symbols("k a", real=True)
    value, by_k, by_a = numbers((k + sp.cosh(a)) ** -2, k=0.75, a=at)
    with mpmath.workdps(50):
        whole = 0.75 + mpmath.cosh(at)
        true = [whole**-2, -2 * whole**-3, -2 * mpmath.sinh(at) * whole**-3]
    assert all(
        ulps(got, exact) < 1e3 if abs(at) > 9 else ulps(got, exact) < 12
        for got, exact in zip((value, by_k, by_a), true, strict=True)
    )


def test_rules_have_names_of_their_own() -> None:
    """A rule of sums has one object for + and one for -, of one name."""
    assert len({(rule.name, rule.operation) for rule in RULES}) == len(RULES)
    assert all(rule.pattern and rule.replacement and rule.domain for rule in RULES)
