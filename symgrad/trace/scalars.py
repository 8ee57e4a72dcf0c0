"""How scalar expressions become operations.

Parameter-only terms and factors are gathered before those that vary with the sample, so that they can be computed once
for all samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import sympy as sp
from sympy.logic.boolalg import ITE, And, BooleanFalse, BooleanTrue, Not, Or, Xor

from symgrad import functions
from symgrad.operations import TABLE, X, Y

from .tracer import Rule, Tracer, double, operation

_HIGH = 8  # powers beyond it are high


def combined(tracer: Tracer, name: str, variables: Sequence[int]) -> int:
    """Return the variables combined from the left, the invariant ones first."""
    ordered = sorted(variables, key=tracer.builder.varies.__getitem__)
    return reduce(lambda a, b: tracer.builder.emit(name, a, b), ordered)


# -------------------------------------------------------------------------------------------------- sums and products


def _add(tracer: Tracer, node: sp.Add) -> int:
    exact = [tracer.exact(term) for term in node.args]
    numbers = [number for number in exact if number is not None]
    terms = [tracer.variable(term) for term, number in zip(node.args, exact, strict=True) if number is None]
    if numbers:
        terms.insert(0, tracer.builder.constant(double(sp.Add(*numbers))))
    return combined(tracer, "add", terms)


def _mul(tracer: Tracer, node: sp.Mul) -> int:
    numbers: list[sp.Expr] = []
    numerator: list[int] = []
    denominator: list[int] = []
    for factor in node.args:
        base, exponent = _factor(factor)
        number = tracer.exact(base)
        if number is not None:
            numbers.append(number**exponent)
        elif exponent is sp.S.One:
            numerator.append(tracer.variable(base))
        else:
            denominator.append(_power(tracer, tracer.variable(base), -exponent))
    if numbers:
        numerator.insert(0, tracer.builder.constant(double(sp.Mul(*numbers))))
    return _quotient(tracer, numerator, denominator)


def _quotient(tracer: Tracer, numerator: list[int], denominator: list[int]) -> int:
    """A product over a product, with what is invariant on both sides divided once for all samples."""
    builder, varies = tracer.builder, tracer.builder.varies
    above = [v for v in numerator if not varies[v]]
    below = [v for v in denominator if not varies[v]]
    if above and below and len(above) + len(below) < len(numerator) + len(denominator):
        coefficient = builder.emit("div", combined(tracer, "mul", above), combined(tracer, "mul", below))
        numerator = [coefficient, *(v for v in numerator if varies[v])]
        denominator = [v for v in denominator if varies[v]]
    top = combined(tracer, "mul", numerator) if numerator else builder.constant(1.0)
    return builder.emit("div", top, combined(tracer, "mul", denominator)) if denominator else top


def _factor(factor: sp.Basic) -> tuple[sp.Basic, sp.Basic]:
    """``(base, exponent)`` of a factor that belongs below the fraction bar, else ``(factor, 1)``.

    A high power stays a factor: the square of it, in the derivative of a quotient, would leave the range.
    """
    if isinstance(factor, sp.Pow) and factor.args[1].is_Rational and -_HIGH <= factor.args[1] < 0:
        return factor.args[0], factor.args[1]
    return factor, sp.S.One


def _pow(tracer: Tracer, node: sp.Pow) -> int:
    base, exponent = node.args
    return number_power(tracer, tracer.variable(base), exponent)


def number_power(tracer: Tracer, base: int, exponent: sp.Expr) -> int:
    """Return ``base**exponent``, element by element: what the index of a sum gives as exponent is a rational number."""
    exact = exponent if exponent.is_Rational else tracer.exact(exponent)
    if exact is not None and exact.is_Rational:
        return _rational_power(tracer, base, exact)
    return tracer.builder.emit("pow", base, tracer.variable(exponent))


def _rational_power(tracer: Tracer, variable: int, exponent: sp.Rational) -> int:
    if exponent == 0:
        return tracer.builder.constant(1.0)
    if exponent.is_Integer and exponent < 0:
        return tracer.builder.emit("power", variable, attribute=int(exponent))
    if exponent < 0:
        return tracer.builder.emit("div", tracer.builder.constant(1.0), _power(tracer, variable, -exponent))
    return _power(tracer, variable, exponent)


def _power(tracer: Tracer, base: int, exponent: sp.Rational) -> int:
    """``base**exponent`` for a positive rational number: products and a square root where they do."""
    emit = tracer.builder.emit
    whole, half = divmod(exponent, 1)
    if abs(whole) > 2**31 or half not in (0, sp.S.Half):
        constant = tracer.builder.constant(double(exponent))
        if abs(exponent.p) > 2**31 or exponent.q & (exponent.q - 1) == 0:
            return emit("pow", base, constant)
        return emit("rational_power", base, attribute=(int(exponent.p), int(exponent.q)))
    if half == 0:
        return base if whole == 1 else emit("power", base, attribute=int(whole))
    return emit("sqrt", base) if whole == 0 else emit("root_power", base, attribute=int(whole))


def _factors(node: sp.Mul) -> tuple[sp.Basic, ...]:
    return tuple(_factor(factor)[0] for factor in node.args)


def _base(node: sp.Pow) -> tuple[sp.Basic, ...]:
    return (node.args[0],) if node.args[1].is_Rational else tuple(node.args)


# ------------------------------------------------------------------------------------------------- choices and kinks


def _piecewise(tracer: Tracer, node: sp.Piecewise) -> int:
    *cases, (last, _) = node.args
    value = tracer.variable(last)
    for expression, condition in reversed(cases):
        value = tracer.builder.emit("select", tracer.variable(condition), tracer.variable(expression), value)
    return value


def _cases(node: sp.Piecewise) -> tuple[sp.Basic, ...]:
    *cases, last = node.args
    return (*(part for case in cases for part in case.args), last.args[0])


def _heaviside(tracer: Tracer, node: sp.Heaviside) -> int:
    x, at_zero = tracer.values(node)
    step = (x > 0).choose(1.0, (x < 0).choose(0.0, x.equals(0).choose(at_zero, float("nan"))))
    return step.variable


def _ite(tracer: Tracer, node: sp.Basic) -> int:
    emit = tracer.builder.emit
    condition, yes, no = tracer.variables(node)
    return emit("or", emit("and", condition, yes), emit("and", emit("not", condition), no))


def _ordered(name: str, swapped: bool) -> Rule:
    def rule(tracer: Tracer, node: sp.Basic) -> int:
        x, y = tracer.variables(node)
        return tracer.builder.emit(name, y, x) if swapped else tracer.builder.emit(name, x, y)

    return Rule(rule, numeric=True)


def _chained(name: str) -> Rule:
    """An operation of two arguments on any number of them, from the left."""

    def rule(tracer: Tracer, node: sp.Basic) -> int:
        return reduce(lambda a, b: tracer.builder.emit(name, a, b), tracer.variables(node))

    return Rule(rule, numeric=True)


def _constant(value: float) -> Callable[[Tracer, sp.Basic], int]:
    return lambda tracer, node: tracer.builder.constant(value)


# --------------------------------------------------------------------------------------------- functions of their own


def _log_sigmoid(tracer: Tracer, node: sp.Basic) -> int:
    (x,) = tracer.values(node)
    return (-(-x).call("softplus")).variable


def _polygamma(tracer: Tracer, node: sp.Basic) -> int:
    order = node.args[0]
    (x,) = tracer.variables(node)
    if order == 0:
        return tracer.builder.emit("digamma", x)
    return tracer.builder.emit("polygamma", x, attribute=int(order))


# What a row's meaning is, if that is one function of the placeholders, is traced to the row.
_NAMES: dict[type, str] = {
    type(row.meaning): row.name
    for row in TABLE.values()
    if isinstance(row.meaning, sp.Function) and row.meaning.args in ((X,), (X, Y))
}

SCALAR_RULES: dict[type, Rule] = {
    **{kind: Rule(operation(name), numeric=True) for kind, name in _NAMES.items()},
    Not: Rule(operation("not"), numeric=True),
    functions.logsumexp: Rule(operation("logsumexp"), numeric=True),
    sp.Add: Rule(_add, numeric=True),
    sp.Mul: Rule(_mul, _factors, numeric=True),
    sp.Pow: Rule(_pow, _base, numeric=True),
    sp.Piecewise: Rule(_piecewise, _cases),
    sp.Heaviside: Rule(_heaviside, numeric=True),
    sp.Max: _chained("max"),
    sp.Min: _chained("min"),
    sp.Lt: _ordered("lt", False),
    sp.Le: _ordered("le", False),
    sp.Gt: _ordered("lt", True),
    sp.Ge: _ordered("le", True),
    sp.Eq: _ordered("eq", False),
    sp.Ne: _ordered("ne", False),
    And: _chained("and"),
    Or: _chained("or"),
    Xor: _chained("ne"),
    ITE: Rule(_ite, numeric=True),
    BooleanTrue: Rule(_constant(1.0)),
    BooleanFalse: Rule(_constant(0.0)),
    sp.re: Rule(lambda tracer, node: tracer.variables(node)[0], numeric=True),
    sp.conjugate: Rule(lambda tracer, node: tracer.variables(node)[0], numeric=True),
    sp.im: Rule(_constant(0.0), numeric=True),
    sp.polygamma: Rule(_polygamma, lambda node: (node.args[1],), numeric=True),
    functions.log_sigmoid: Rule(_log_sigmoid, numeric=True),
}
