"""The functions with derivatives of their own: definitions, derivatives, digits, and no surprises from SymPy."""

from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.codegen import cfunctions
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import ArgumentIndexError

from symgrad import functions
from symgrad.functions import expm1, log1p, log_cosh, log_sigmoid, logsumexp, maximum, sigmoid, softplus, xlogy

x, y = sp.symbols("x y")
r, s = sp.symbols("r s", real=True)
PLAIN = {
    sigmoid: lambda t: 1 / (1 + mpmath.exp(-t)),
    softplus: lambda t: mpmath.log(1 + mpmath.exp(t)),
    log_sigmoid: lambda t: -mpmath.log(1 + mpmath.exp(-t)),
    log_cosh: lambda t: mpmath.log(mpmath.cosh(t)),
}
POINTS = [sp.Rational(1, 10**30), sp.Rational(-7, 3), sp.Rational(999, 1000), 3, -40, 40, -1000, 1000, sp.pi, -(10**4)]


def close(value: Any, expected: Any, digits: int) -> bool:
    with mpmath.workdps(digits + 10):
        got, want = mpmath.mpf(value._mpf_), mpmath.mpf(expected)
        return bool(abs(got - want) <= abs(want) * mpmath.mpf(10) ** (1 - digits))


def test_all_are_listed() -> None:
    assert all(issubclass(getattr(functions, name), sp.Function | ExprWithLimits) for name in functions.__all__)
    assert log1p is cfunctions.log1p
    assert expm1 is cfunctions.expm1


@pytest.mark.parametrize("function", PLAIN)
@pytest.mark.parametrize("digits", [15, 50, 300])
def test_every_digit_is_right_at_any_size(function: Any, digits: int) -> None:
    for point in POINTS:
        with mpmath.workdps(2 * digits + 20_000 // 2):
            expected = PLAIN[function](mpmath.mpf(sp.N(point, 2 * digits + 10_000)._mpf_))
        assert close(function(point).evalf(digits), expected, digits), (function, point)


@pytest.mark.parametrize("function", PLAIN)
def test_one_argument_functions_and_their_derivatives(function: Any) -> None:
    assert function(x).func is function
    assert function(x).args == (x,)
    plain = function(x).rewrite(sp.exp)
    assert not plain.has(function)
    assert function(x).doit() == plain
    derivative = function(x).diff(x)
    for point in (sp.Rational(-3, 2), sp.Rational(1, 7), sp.Integer(2)):
        assert abs((derivative - plain.diff(x)).subs(x, point).evalf(30, chop=True)) < sp.Float(10) ** -25
    with pytest.raises(ArgumentIndexError):
        function(x).fdiff(2)


def test_the_derivatives_are_the_stable_ones() -> None:
    assert sigmoid(x).diff(x) == sigmoid(x) * sigmoid(-x)
    assert softplus(x).diff(x) == sigmoid(x)
    assert log_sigmoid(x).diff(x) == sigmoid(-x)
    assert log_cosh(x).diff(x) == sp.tanh(x)
    assert logsumexp(x, y).diff(x) == sp.exp(x - logsumexp(x, y))
    assert xlogy(x, y).diff(x) == sp.log(y)
    assert xlogy(x, y).diff(y) == sp.Piecewise((0, sp.Eq(x, 0)), (x / y, True))
    assert sigmoid(2 * x).diff(x) == 2 * sigmoid(2 * x) * sigmoid(-2 * x)


def test_exact_values() -> None:
    assert [sigmoid(v) for v in (0, sp.oo, -sp.oo, sp.nan)] == [sp.S.Half, 1, 0, sp.nan]
    assert [softplus(v) for v in (0, sp.oo, -sp.oo, sp.nan)] == [sp.log(2), sp.oo, 0, sp.nan]
    assert [log_sigmoid(v) for v in (0, sp.oo, -sp.oo, sp.nan)] == [-sp.log(2), 0, -sp.oo, sp.nan]
    assert [log_cosh(v) for v in (0, sp.oo, -sp.oo, sp.nan)] == [0, sp.oo, sp.oo, sp.nan]
    assert [xlogy(0, y), xlogy(x, 1), xlogy(sp.nan, y)] == [0, 0, sp.nan]
    assert [logsumexp(x), logsumexp(x, -sp.oo), logsumexp(x, sp.oo), logsumexp(-sp.oo)] == [x, x, sp.oo, -sp.oo]
    assert logsumexp(x, sp.nan) is sp.nan
    with pytest.raises(TypeError, match="at least one argument, got none"):
        logsumexp()


def test_a_symbol_stays_and_a_float_is_evaluated() -> None:
    assert softplus(x).evalf() == softplus(x)
    assert softplus(x).subs(x, 1.5) == softplus(1.5)
    assert abs(softplus(1.5) - mpmath.log(1 + mpmath.exp(1.5))) < 1e-14
    assert sigmoid(sp.I).evalf().func is sigmoid


def test_logsumexp() -> None:
    assert logsumexp(x, y, 1).rewrite(sp.exp) == sp.log(sp.exp(x) + sp.exp(y) + sp.E)
    assert logsumexp(x, y).doit() == sp.log(sp.exp(x) + sp.exp(y))
    with mpmath.workdps(60):
        assert close(logsumexp(1000, 1001).evalf(40), 1001 + mpmath.log1p(mpmath.exp(-1)), 40)
        assert close(logsumexp(-(10**6), -(10**6)).evalf(40), -(10**6) + mpmath.log(2), 40)
        # -log(2) twice is exactly 0; a little beside it, nearly every digit cancels.
        tiny = mpmath.log1p(mpmath.expm1(mpmath.mpf(10) ** -30) / 2)
        assert close(logsumexp(-sp.log(2), sp.Rational(1, 10**30) - sp.log(2)).evalf(25), tiny, 25)
    assert abs(logsumexp(-sp.log(2), -sp.log(2)).evalf()) < sp.Float("1e-1000")
    weights = [logsumexp(x, y, 2).fdiff(n) for n in (1, 2, 3)]
    assert abs(sum(weights).subs({x: 3, y: -1}).evalf(30) - 1) < 1e-28
    for index in (0, 4):
        with pytest.raises(ArgumentIndexError):
            logsumexp(x, y, 2).fdiff(index)


def test_xlogy() -> None:
    assert xlogy(x, y).doit() == sp.Piecewise((0, sp.Eq(x, 0)), (x * sp.log(y), True))
    with mpmath.workdps(80):
        expected = 3 * mpmath.log1p(mpmath.mpf(10) ** -50)
    assert close(xlogy(sp.Integer(3), 1 + sp.Rational(1, 10**50)).evalf(40), expected, 40)
    assert xlogy(x, y).subs(x, 0) == 0
    assert xlogy(x, y).diff(y).subs({x: 0, y: 0}) == 0
    assert xlogy(2, -1).evalf() == (2 * sp.log(-1)).evalf()
    with pytest.raises(ArgumentIndexError):
        xlogy(x, y).fdiff(3)


def test_maximum_is_the_greatest_term() -> None:
    i, j = sp.Idx("i", 3), sp.Symbol("j", integer=True)
    z = sp.MatrixSymbol("z", 3, 1)
    greatest = maximum(z[i, 0] * x, (i, 0, 2))
    assert isinstance(greatest, maximum)
    assert greatest.free_symbols == {z, x}
    assert greatest.doit() == sp.Max(z[0, 0] * x, z[1, 0] * x, z[2, 0] * x)
    assert maximum(x * i - j, (i, 0, 2), (j, 1, 2)).doit() == sp.Max(*(x * a - b for a in range(3) for b in (1, 2)))
    assert maximum(z[i, 0], (i, 1, 2)).doit() == sp.Max(z[1, 0], z[2, 0])
    assert maximum(sp.Sum(j * x, (j, 0, i)), (i, 0, 1)).doit() == sp.Max(0, x)
    unknown = maximum(x * j, (j, 0, sp.Symbol("n", integer=True)))
    assert unknown.doit() == unknown
    assert unknown.evalf() == unknown
    assert maximum(x * j, (j, 0, 3)).subs(x, sp.Rational(5, 2)).evalf() == 7.5
    assert maximum(r * j, (j, 0, 3)).is_real
    assert maximum(x * j, (j, 0, 3)).is_real is None
    assert sp.log(greatest).xreplace({x: y}).doit() == sp.log(greatest.xreplace({x: y}).doit())


def test_ties_share_the_derivative_of_a_maximum() -> None:
    j = sp.Symbol("j", integer=True)
    slope = maximum(j * x - (j - 1) * j * (j + 1) * (j - 2) * y, (j, -1, 3)).diff(x)
    # at x = 0 the terms of j = -1, 0, 1, 2 tie at 0; that of j = 3 is -24*y
    assert slope.subs({x: 0, y: 1}).doit() == sp.Rational(-1 + 0 + 1 + 2, 4)
    assert slope.subs({x: 0, y: -1}).doit() == 3
    assert slope.subs({x: 1, y: 1}).doit() == 2
    nested = maximum(sp.Sum(x * j, (j, 0, 2)) * sp.Symbol("k", integer=True), (sp.Symbol("k", integer=True), 1, 2))
    assert nested.diff(x).subs(x, 7).doit() == 6


def test_real_in_real_out() -> None:
    for value in (
        sigmoid(r),
        softplus(r),
        log_sigmoid(r),
        log_cosh(r),
        logsumexp(r, s),
        xlogy(r, sp.Symbol("q", positive=True)),
    ):
        assert value.is_real is True
    for value in (sigmoid(x), softplus(x), logsumexp(x, r), xlogy(r, s)):
        assert value.is_real is None
    assert sigmoid(r).is_positive
    assert softplus(r).is_positive
    assert log_sigmoid(r).is_negative
    assert log_cosh(r).is_nonnegative
    assert sp.Abs(log_cosh(r)) == log_cosh(r)


@pytest.mark.parametrize("function", PLAIN)
def test_ten_thousand_deep(function: Any) -> None:
    deep = x
    for _ in range(10_000):
        deep = function(deep)
    assert isinstance(deep * y, sp.Mul)
    assert deep.is_commutative
    assert isinstance(logsumexp(deep, xlogy(deep, y)), logsumexp)
    assert hash(deep) == hash(function(deep.args[0]))
