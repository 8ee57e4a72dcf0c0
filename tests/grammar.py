"""Random expressions, typed by domain so that nearly every point is a valid one (arguments of log positive, ...)."""

from typing import Any

import sympy as sp
from hypothesis import strategies as st

from symgrad import functions
from symgrad.errors import UnsupportedExpressionError
from symgrad.problem import EmpiricalRisk
from symgrad.trace import trace

PARAMETERS = sp.symbols("a b c d", real=True)
INPUTS = sp.symbols("u v", real=True)
TARGET = sp.Symbol("y", real=True)

_EXACT = [sp.Integer(n) for n in (-2, -1, 1, 2, 3, 2**70)] + [sp.Rational(n, 8) for n in (-13, 1, 4, 6)]
_ROUNDED = [sp.Rational(1, 3), sp.Rational(10**40, 3**70), sp.Float(0.1), sp.Float(1 + 2.0**-52), sp.pi, sp.sqrt(2)]

_UNARY = [sp.tanh, sp.sin, sp.cos, sp.atan, sp.erf, functions.expm1, functions.sigmoid, functions.softplus]
_UNARY += [sp.Abs, sp.asinh, functions.log_cosh, lambda e: sp.exp(sp.tanh(e)), lambda e: sp.sinh(sp.sin(e))]
_UNARY += [lambda e: sp.Max(e, 0), lambda e: sp.cosh(sp.atan(e)), lambda e: -e]
_OF_POSITIVE = [sp.log, sp.sqrt, functions.log1p, sp.loggamma, lambda p: 1 / p, lambda p: p ** sp.Rational(-3, 2)]
_INSIDE = [sp.asin, sp.acos, sp.atanh]


def expressions(exact: bool, leaves: int = 8) -> st.SearchStrategy[Any]:
    """Expressions of up to about ``leaves`` leaves; with ``exact`` every number is a double."""
    numbers = st.sampled_from(_EXACT if exact else _EXACT + _ROUNDED)
    leaf = st.one_of(st.sampled_from([*PARAMETERS, *PARAMETERS, *INPUTS, TARGET]), numbers)
    return st.recursive(leaf, _grow, max_leaves=leaves)


def _grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def mapped(function: Any, *parts: Any) -> st.SearchStrategy[Any]:
        return st.tuples(*parts).map(lambda drawn: function(*drawn))

    def one_of(choices: list[Any]) -> st.SearchStrategy[Any]:
        return st.sampled_from(choices)

    positive = st.one_of(
        mapped(lambda e: sp.exp(sp.tanh(e)), inner),
        mapped(lambda e: e**2 + sp.Rational(1, 2), inner),
        mapped(functions.softplus, inner),
    )
    inside = mapped(lambda e: sp.Rational(63, 64) * sp.tanh(e), inner)
    relation = mapped(lambda kind, e, f: kind(e, f), one_of([sp.Lt, sp.Le, sp.Gt, sp.Ge]), inner, inner)
    condition = st.one_of(relation, mapped(sp.And, relation, relation), mapped(sp.Or, relation, relation))
    return st.one_of(
        mapped(lambda e, f: e + f, inner, inner),
        mapped(lambda e, f: e - f, inner, inner),
        mapped(lambda e, f: e * f, inner, inner),
        mapped(lambda e, p: e / p, inner, positive),
        mapped(lambda e, n: e**n, inner, st.integers(2, 6)),
        mapped(lambda p, e: p ** sp.tanh(e), positive, inner),
        mapped(lambda f, e: f(e), one_of(_UNARY), inner),
        mapped(lambda f, p: f(p), one_of(_OF_POSITIVE), positive),
        mapped(lambda f, e: f(e), one_of(_INSIDE), inside),
        mapped(lambda c, e, f: sp.Piecewise((e, c), (f, True)), condition, inner, inner),
        mapped(lambda kind, e, f: kind(e, f), one_of([sp.Max, sp.Min, functions.logsumexp]), inner, inner),
    )


def risk_of(expression: Any) -> EmpiricalRisk | None:
    """The expression as a loss; ``None`` if it cannot be one: SymPy left no parameter in it, or made a number in it
    infinite, or greater than any double."""
    try:
        risk = EmpiricalRisk.from_expression(expression, inputs=INPUTS, targets=[TARGET], parameters=PARAMETERS)
    except ValueError:
        return None
    try:
        trace(risk)
    except UnsupportedExpressionError as refused:
        if "the greatest double" not in str(refused):
            raise
        return None
    return risk
