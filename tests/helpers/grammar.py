"""Random expressions, typed by domain so that nearly every point is a valid one (arguments of log positive, ...)."""

from typing import Any

import sympy as sp
from hypothesis import assume, reject
from hypothesis import strategies as st
from sympy.codegen import cfunctions

from symgrad import functions
from symgrad.declare import EmpiricalRisk
from symgrad.errors import UnsupportedExpressionError
from symgrad.trace import trace

from .declaring import risk_of_all

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


_EXTREME = [sp.Float(1e-300), sp.Float(1e300), sp.Integer(10) ** 30, sp.Rational(1, 2**60), sp.Float(5e-324)]
_MORE = [*_UNARY, sp.sinc, sp.erfc, sp.sign, sp.floor, sp.Heaviside, functions.log_sigmoid, sp.sinh, sp.cosh]
_MORE += [cfunctions.exp2, lambda e: sp.tan(sp.atan(e) / 2), lambda e: sp.exp(sp.Min(e, 50)), lambda e: sp.exp(-(e**2))]
# Formulae as people write them, which lose digits or overflow unless something is done about it.
_WRITTEN = [
    lambda e: 1 / (1 + sp.exp(-e)), lambda e: sp.log(1 + sp.exp(e)), lambda e: sp.log(sp.cosh(e)), sp.exp,
    lambda e: 1 - sp.tanh(e) ** 2, lambda e: sp.sqrt(1 + e**2) - 1, lambda e: 1 - sp.cos(e), lambda e: sp.exp(e) - 1,
    lambda e: sp.log(1 + e**2), lambda e: (sp.exp(e) - 1) / (sp.exp(e) + 1), lambda e: sp.log(sp.erfc(e)),
    lambda e: -sp.log(1 / (1 + sp.exp(-e))), lambda e: sp.exp(-sp.exp(e)), lambda e: sp.sin(e) / e,
    lambda e: (sp.exp(e) - sp.exp(-e)) / (sp.exp(e) + sp.exp(-e)), lambda e: sp.exp(e) / (1 + sp.exp(e)) ** 2,
]  # fmt: skip
_WRITTEN_OF_TWO = [
    lambda e, f: sp.sqrt(e**2 + f**2), lambda e, f: sp.log(sp.exp(e) + sp.exp(f)),
    lambda e, f: sp.exp(e) / (sp.exp(e) + sp.exp(f)), lambda e, f: (e**2 - f**2) / 2,
]  # fmt: skip
_GUARDED = [
    lambda e, f: sp.Piecewise((sp.log(e), e > 0), (f, True)),
    lambda e, f: sp.Piecewise((sp.sqrt(e), e >= 0), (f, True)),
    lambda e, f: sp.Piecewise((1 / e, sp.Ne(e, 0)), (f, True)),
    lambda e, f: sp.Piecewise((f, e < 1), (sp.acosh(e), True)),
]


def _remainder(e: Any, f: Any) -> Any:
    """SymPy looks for common factors of dense polynomials: of high degrees, in gigabytes."""
    powers = (n.exp for part in (e, f) for n in sp.preorder_traversal(part) if isinstance(n, sp.Pow | sp.exp))
    is_small = sp.count_ops(e) + sp.count_ops(f) <= 12 and all(abs(n.as_coeff_Mul()[0]) <= 8 for n in powers)
    return sp.Mod(e, f) if is_small else e - f


# The rules of `models`: which functions, and the kinds of their arguments: (e)xpressions, (p)ositive ones, those
# (i)nside -1 and 1, (c)onditions.
_RULES: list[tuple[str, list[Any]]] = [
    ("ee", [lambda e, f: e + f, lambda e, f: e - f, lambda e, f: e * f, sp.Max, sp.Min, functions.logsumexp]),
    ("eee", [lambda e, f, g: e * f * g, lambda e, f, g: e + f - g, lambda e, f, g: (e - f) / g, sp.Max]),
    (
        "ep",
        [lambda e, p: e / p, lambda e, p: p ** sp.tanh(e), _remainder, sp.atan2, lambda e, p: functions.xlogy(e**2, p)],
    ),
    ("e", _MORE),
    ("e", _WRITTEN),
    ("e", [lambda e, n=n: e**n for n in (-4, -3, -2, -1, 2, 3, 4, 5, 6)]),
    ("ee", [*_WRITTEN_OF_TWO, cfunctions.hypot]),
    ("p", [*_OF_POSITIVE, sp.gamma, cfunctions.log2, cfunctions.log10, lambda p: sp.acosh(1 + p), sp.cbrt]),
    ("p", [lambda p, n=n: p ** sp.Rational(n, 2) for n in (-5, -2, -1, 1, 3, 5)]),
    ("i", _INSIDE),
    ("ee", _GUARDED),
    ("cee", [lambda c, e, f: sp.Piecewise((e, c), (f, True)), lambda c, e, f: sp.Piecewise((e, c), (0, True)) * f]),
    ("ccee", [lambda c, d, e, f: sp.Piecewise((e, c), (sp.Piecewise((f, d), (e - f, True)), True))]),
]


def _compared(kind: Any, left: Any, right: Any) -> Any:
    """A comparison of what holds no branches: SymPy would take seconds to take those apart."""
    sides = [
        side if not side.has(sp.Piecewise) else sp.Add(*sorted(side.free_symbols, key=str)) for side in (left, right)
    ]
    return kind(*sides)


Kinds = dict[str, list[tuple[str, list[Any]]]]
_KINDS: Kinds = {
    "e": _RULES,
    "p": [("e", [lambda e: sp.exp(sp.tanh(e)), lambda e: e**2 + sp.Rational(1, 2), functions.softplus, sp.exp])],
    "i": [("e", [lambda e: sp.Rational(63, 64) * sp.tanh(e), lambda e: sp.sin(e) / 2])],
    "c": [
        ("ee", [lambda e, f, kind=kind: _compared(kind, e, f) for kind in (sp.Lt, sp.Le, sp.Gt, sp.Ge)]),
        ("cc", [sp.And, sp.Or]),
        ("c", [sp.Not]),
    ],
}


# What is rational in each branch, and numbers that are doubles: fractions compute it without an error.
_RATIONAL_RULES: list[tuple[str, list[Any]]] = [
    (
        "ee",
        [lambda e, f: e + f, lambda e, f: e - f, lambda e, f: e * f, sp.Max, sp.Min, lambda e, f: (e**2 - f**2) / 2],
    ),
    ("eee", [lambda e, f, g: e * f * g, lambda e, f, g: e + f - g, lambda e, f, g: (e - f) / g, sp.Max]),
    ("ee", [lambda e, f: e / (f**2 + 1), lambda e, f: e / f, lambda e, f: _remainder(e, f**2 + 1)]),
    ("e", [lambda e, n=n: e**n for n in (-4, -3, -2, -1, 2, 3, 4, 5, 6)]),
    ("e", [sp.Abs, sp.sign, sp.floor]),
    _RULES[-2],
    _RULES[-1],
]


@st.composite
def rationals(draw: st.DrawFn, depth: int = 3) -> Any:
    """Expressions without functions or roots, and with numbers that are doubles."""
    found = _drawn(draw, "e", depth, {**_KINDS, "e": _RATIONAL_RULES})
    numbers = [sp.Rational(number) for number in found.atoms(sp.Number)] if not found.has(sp.nan, sp.zoo, sp.oo) else []
    assume(not found.free_symbols.isdisjoint(PARAMETERS) and not found.has(sp.NumberSymbol, sp.nan, sp.zoo, sp.oo))
    assume(all(abs(number) < 2**200 and sp.Rational(float(number)) == number for number in numbers))
    assume(all(power.exp.is_Integer for power in found.atoms(sp.Pow)))
    return found


@st.composite
def models(draw: st.DrawFn, depth: int = 3) -> Any:
    """Expressions of the whole grammar, up to about ``depth`` operations deep, with at least one parameter."""
    found = _drawn(draw, "e", depth)
    assume(not found.free_symbols.isdisjoint(PARAMETERS) and not found.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.I))
    return found


def _drawn(draw: st.DrawFn, kind: str, depth: int, kinds: Kinds = _KINDS) -> Any:
    if kind == "e" and (depth <= 0 or not draw(st.integers(0, 5))):
        return draw(_DYADIC if kinds["e"] is _RATIONAL_RULES else _LEAF)
    if kind == "p" and depth <= 0:
        return draw(st.sampled_from([symbol**2 + 1 for symbol in (*PARAMETERS, *INPUTS)]))
    if kind == "i" and depth <= 0:
        return sp.tanh(draw(st.sampled_from(PARAMETERS)) / 2)
    rules = kinds[kind][:1] if kind == "c" and depth <= 0 else kinds[kind]
    arguments, choices = draw(st.sampled_from(rules))
    function = draw(st.sampled_from(choices))
    drawn = [_drawn(draw, argument, depth - 1, kinds) for argument in arguments]
    if isinstance(drawn[0], sp.Expr) and not any(argument.free_symbols for argument in drawn):
        drawn[0] = draw(st.sampled_from(PARAMETERS))  # gamma(1e30) would have 1e31 digits
    try:
        return function(*drawn)
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError, NotImplementedError):
        reject()  # SymPy's and mpmath's own: numbers that are infinite, complex or take too long to simplify


_DYADIC = st.sampled_from([*PARAMETERS, *PARAMETERS, *INPUTS, TARGET, *_EXACT[:5], *_EXACT[6:]])
_LEAF = st.one_of(
    *[st.sampled_from([*PARAMETERS, *PARAMETERS, *INPUTS, TARGET])] * 5,
    st.sampled_from([*_EXACT, *_ROUNDED, sp.Integer(0)]),
    st.sampled_from(_EXTREME),
)


def risk_of(expression: Any) -> EmpiricalRisk | None:
    """The expression as a loss; ``None`` if it cannot be one: SymPy left no parameter in it, or made a number in it
    infinite, or greater than any double."""
    try:
        risk = risk_of_all(expression, inputs=INPUTS, targets=[TARGET], parameters=PARAMETERS)
    except ValueError:
        return None
    try:
        trace(risk)
    except UnsupportedExpressionError as refused:
        if "the greatest double" not in str(refused):
            raise
        return None
    return risk
