"""SymPy -> Program: an expression becomes single operations, numbered by value, with a stack of its own.

Parameter-only terms and factors are gathered before those that vary with the sample, so that they can be computed once
for all samples. Numbers are evaluated to 50 digits and rounded once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from functools import reduce
from math import inf, isfinite
from typing import Any

import sympy as sp
from sympy.codegen import cfunctions
from sympy.logic.boolalg import ITE, And, BooleanFalse, BooleanTrue, Not, Or, Xor
from sympy.matrices.expressions.matexpr import MatrixElement

from . import functions
from .errors import UnsupportedExpressionError
from .expressions import show
from .fold import fold
from .problem import EmpiricalRisk, leaves
from .program import Builder, Program
from .value import Value

_DIGITS = 50


def trace(risk: EmpiricalRisk) -> Program:
    """The program of one sample: outputs ``loss``, ``prediction`` and, if the risk has one, ``penalty``.

    The loss is the sample's, times its weight: so the backward sweep starts at the weight, and the sum needs none.
    """
    builder = Builder(fold=fold)
    roles = (("parameter", risk.parameters), ("input", risk.inputs), ("target", risk.targets))
    known = {
        leaf: builder.emit(role, attribute=place)
        for role, symbols in roles
        for place, leaf in enumerate(leaves(*symbols))
    }
    tracer = Tracer(builder, known)
    predictions = tuple(tracer.trace(output) for output in risk.outputs)
    # The loss knows the model's output by its placeholder: bound here, never substituted.
    bound = Tracer(builder, known | dict(zip(risk.predictions, predictions, strict=True)))
    loss = builder.emit("mul", bound.trace(risk.loss), builder.emit("weight"))
    outputs = {"loss": (loss,), "prediction": predictions}
    if risk.penalty is not None:
        outputs["penalty"] = (tracer.trace(risk.penalty),)
    return builder.program(outputs)


class Tracer:
    """Traces expressions whose leaves are known variables of one builder."""

    def __init__(self, builder: Builder, known: MutableMapping[sp.Expr, int]) -> None:
        self._builder = builder
        self._known = known
        self._traced: dict[int, int] = {}
        self._exact: dict[int, sp.Expr] = {}  # the nodes that are numbers
        self._kept: list[sp.Basic] = []  # an id stands for its object only while that lives

    def trace(self, root: sp.Basic) -> int:
        """The variable that holds the expression's value."""
        self._kept.append(root)
        stack = [root]
        while stack:
            node = stack[-1]
            missing = [child for child in _children(node) if id(child) not in self._traced]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if id(node) not in self._traced:
                self._traced[id(node)] = self._combine(node)
        return self._traced[id(root)]

    def _combine(self, node: sp.Basic) -> int:
        """The variable of a node whose children are traced."""
        if isinstance(node, MatrixElement) and node not in self._known:
            return self._element(node)
        if _is_leaf(node) and node in self._known:
            variable = self._known[node]
            value = self._builder.constant_value(variable)
            if value is not None and isfinite(value):  # the index of a Sum, or an output that is a number
                self._exact[id(node)] = sp.Rational(value)
            return variable
        exact = self._number(node)
        if exact is not None:
            self._exact[id(node)] = exact
            return self._builder.constant(_double(exact))
        rule = _RULES.get(type(node))
        if rule is not None:
            return rule(self, node)
        return self._builder.emit(_OPERATIONS[type(node)], *self._arguments(node))

    def _number(self, node: sp.Basic) -> sp.Expr | None:
        """The number that a node is, exactly as SymPy has it; ``None`` if it depends on a symbol."""
        if not node.args:
            return node if isinstance(node, sp.Number | sp.NumberSymbol) else None
        if isinstance(node, sp.Piecewise | sp.Sum) or not isinstance(node, sp.Expr):
            return None
        if any(id(child) not in self._exact for child in _children(node)):
            return None
        value = node.func(*(self._exact.get(id(argument), argument) for argument in node.args))
        # few digits more than a double needs, so that nothing piles up: SymPy recurses on what is nested
        return value if isinstance(value, sp.Rational | sp.NumberSymbol) else value.evalf(_DIGITS)

    def _arguments(self, node: sp.Basic) -> list[int]:
        return [self._traced[id(child)] for child in _children(node)]

    def _values(self, node: sp.Basic) -> list[Value]:
        return [Value(self._builder, variable) for variable in self._arguments(node)]

    def _fold(self, operation: str, variables: Sequence[int]) -> int:
        """The variables combined from the left, the invariant ones first."""
        ordered = sorted(variables, key=self._builder.varies.__getitem__)
        return reduce(lambda a, b: self._builder.emit(operation, a, b), ordered)

    # -------------------------------------------------------------------------------------------- sums and products

    def _add(self, node: sp.Add) -> int:
        numbers = [self._exact[id(term)] for term in node.args if id(term) in self._exact]
        terms = [self._traced[id(term)] for term in node.args if id(term) not in self._exact]
        if numbers:
            terms.insert(0, self._builder.constant(_double(sp.Add(*numbers))))
        return self._fold("add", terms)

    def _mul(self, node: sp.Mul) -> int:
        numbers: list[sp.Expr] = []
        numerator: list[int] = []
        denominator: list[int] = []
        for factor in node.args:
            base, exponent = _factor(factor)
            if id(base) in self._exact:
                numbers.append(self._exact[id(base)] ** exponent)
            elif exponent is sp.S.One:
                numerator.append(self._traced[id(base)])
            else:
                denominator.append(self._power(self._traced[id(base)], -exponent))
        if numbers:
            numerator.insert(0, self._builder.constant(_double(sp.Mul(*numbers))))
        return self._quotient(numerator, denominator)

    def _quotient(self, numerator: list[int], denominator: list[int]) -> int:
        """A product over a product, with what is invariant on both sides divided once for all samples."""
        varies = self._builder.varies
        above = [v for v in numerator if not varies[v]]
        below = [v for v in denominator if not varies[v]]
        if above and below and len(above) + len(below) < len(numerator) + len(denominator):
            coefficient = self._builder.emit("div", self._fold("mul", above), self._fold("mul", below))
            numerator = [coefficient, *(v for v in numerator if varies[v])]
            denominator = [v for v in denominator if varies[v]]
        top = self._fold("mul", numerator) if numerator else self._builder.constant(1.0)
        return self._builder.emit("div", top, self._fold("mul", denominator)) if denominator else top

    def _pow(self, node: sp.Pow) -> int:
        base, exponent = node.args
        if exponent.is_Rational:
            variable = self._traced[id(base)]
            if exponent.is_Integer and exponent < 0:
                return self._builder.emit("power", variable, attribute=int(exponent))
            if exponent < 0:
                return self._builder.emit("div", self._builder.constant(1.0), self._power(variable, -exponent))
            return self._power(variable, exponent)
        return self._builder.emit("pow", *self._arguments(node))

    def _power(self, base: int, exponent: sp.Rational) -> int:
        """``base**exponent`` for a positive rational number: products and a square root where they do."""
        emit = self._builder.emit
        whole, half = divmod(exponent, 1)
        if abs(whole) > 2**31 or half not in (0, sp.S.Half):
            return emit("pow", base, self._builder.constant(_double(exponent)))
        if half == 0:
            return base if whole == 1 else emit("power", base, attribute=int(whole))
        return emit("sqrt", base) if whole == 0 else emit("root_power", base, attribute=int(whole))

    # ------------------------------------------------------------------------------------------- choices and kinks

    def _piecewise(self, node: sp.Piecewise) -> int:
        *cases, (last, _) = node.args
        value = self._traced[id(last)]
        for expression, condition in reversed(cases):
            value = self._builder.emit("select", self._traced[id(condition)], self._traced[id(expression)], value)
        return value

    def _heaviside(self, node: sp.Heaviside) -> int:
        x, at_zero = self._values(node)
        step = (x > 0).choose(1.0, (x < 0).choose(0.0, x.equals(0).choose(at_zero, float("nan"))))
        return step.variable

    def _ite(self, node: sp.Basic) -> int:
        emit = self._builder.emit
        condition, yes, no = self._arguments(node)
        return emit("or", emit("and", condition, yes), emit("and", emit("not", condition), no))

    # ----------------------------------------------------------------------------------------- functions of their own

    def _log_sigmoid(self, node: sp.Basic) -> int:
        (x,) = self._values(node)
        return (-(-x).call("softplus")).variable

    def _polygamma(self, node: sp.Basic) -> int:
        order, x = node.args
        if order == 0:
            return self._builder.emit("digamma", self._traced[id(x)])
        return self._builder.emit("polygamma", self._traced[id(x)], attribute=int(order))

    # ------------------------------------------------------------------------------------------ indices and elements

    def _sum(self, node: sp.Sum) -> int:
        """A sum over an index, term by term; the index is a constant in each."""
        *inner, (index, lower, upper) = node.args[1:]
        body = node.args[0] if not inner else sp.Sum(node.args[0], *inner)
        self._kept.append(body)
        first, last = (self._bound(bound) for bound in (lower, upper))
        terms = []
        for i in range(first, last + 1):
            known = ChainMap({index: self._builder.constant(float(i))}, self._known)
            terms.append(Tracer(self._builder, known).trace(body))
        return reduce(lambda a, b: self._builder.emit("add", a, b), terms) if terms else self._builder.constant(0.0)

    def _bound(self, node: sp.Basic) -> int:
        """A bound of a Sum: an integer, which outer indices may take part in."""
        value = self._builder.constant_value(Tracer(self._builder, self._known).trace(node))
        assert value is not None, "the declaration lets no other bound through"
        return int(value)

    def _element(self, node: MatrixElement) -> int:
        """``W[i, j]``: a leaf, or, for a class label, a choice among the leaves."""
        matrix, row, column = node.args
        rows, columns = self._index(row), self._index(column)
        if isinstance(rows, int) and isinstance(columns, int):
            return self._known[matrix[rows, columns]]
        # what is no index has no element: NaN, and NaN in the gradient too
        first = Value(self._builder, self._known[matrix[0, 0]])
        value = (first * float("nan")).variable
        for i in reversed(range(int(matrix.rows)) if not isinstance(rows, int) else [rows]):
            for j in reversed(range(int(matrix.cols)) if not isinstance(columns, int) else [columns]):
                here = self._here(rows, i, columns, j)
                value = self._builder.emit("select", here, self._known[matrix[i, j]], value)
        return value

    def _here(self, rows: int | Value, i: int, columns: int | Value, j: int) -> int:
        conditions = [at.equals(float(k)).variable for at, k in ((rows, i), (columns, j)) if isinstance(at, Value)]
        return reduce(lambda a, b: self._builder.emit("and", a, b), conditions)

    def _index(self, index: sp.Basic) -> int | Value:
        """An index that is known now, as an integer; a class label as a value."""
        variable = self.trace(index)
        number = self._builder.constant_value(variable)
        return Value(self._builder, variable) if number is None else int(number)


def _factor(factor: sp.Basic) -> tuple[sp.Basic, sp.Basic]:
    """``(base, exponent)`` of a factor that belongs below the fraction bar, else ``(factor, 1)``."""
    if isinstance(factor, sp.Pow) and factor.args[1].is_Rational and factor.args[1] < 0:
        return factor.args[0], factor.args[1]
    return factor, sp.S.One


def _children(node: sp.Basic) -> tuple[sp.Basic, ...]:
    """The sub-expressions whose values a node's value is made of."""
    if isinstance(node, sp.Mul):
        return tuple(_factor(factor)[0] for factor in node.args)
    if isinstance(node, sp.Pow) and node.args[1].is_Rational:
        return (node.args[0],)
    if isinstance(node, sp.Piecewise):
        *cases, last = node.args
        return (*(part for case in cases for part in case.args), last.args[0])
    if isinstance(node, sp.polygamma):
        return (node.args[1],)
    if isinstance(node, sp.Sum) or _is_leaf(node):
        return ()
    return tuple(node.args)


def _is_leaf(node: sp.Basic) -> bool:
    return not node.args or isinstance(node, MatrixElement | sp.Idx)


def _double(number: sp.Basic) -> float:
    """The double nearest to a number."""
    try:
        value = int(number.p) / int(number.q) if isinstance(number, sp.Rational) else float(number.evalf(_DIGITS))
    except (OverflowError, TypeError):
        value = inf
    if not isfinite(value):
        raise UnsupportedExpressionError(
            "expression: expected real numbers below 1.8e308 in size, the greatest double, got "
            f"{show(number)}; rescale the model, or declare it without this number"
        )
    return value


def _ordered(operation: str, swapped: bool) -> Callable[[Tracer, sp.Basic], int]:
    def rule(tracer: Tracer, node: sp.Basic) -> int:
        x, y = tracer._arguments(node)
        return tracer._builder.emit(operation, y, x) if swapped else tracer._builder.emit(operation, x, y)

    return rule


def _chained(operation: str) -> Callable[[Tracer, sp.Basic], int]:
    """An operation of two arguments on any number of them, from the left."""

    def rule(tracer: Tracer, node: sp.Basic) -> int:
        return reduce(lambda a, b: tracer._builder.emit(operation, a, b), tracer._arguments(node))

    return rule


def _same(tracer: Tracer, node: sp.Basic) -> int:
    return tracer._arguments(node)[0]


_RULES: dict[type, Callable[[Tracer, Any], int]] = {
    sp.Add: Tracer._add,
    sp.Mul: Tracer._mul,
    sp.Pow: Tracer._pow,
    sp.Piecewise: Tracer._piecewise,
    sp.Heaviside: Tracer._heaviside,
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
    ITE: Tracer._ite,
    BooleanTrue: lambda tracer, node: tracer._builder.constant(1.0),
    BooleanFalse: lambda tracer, node: tracer._builder.constant(0.0),
    sp.re: _same,
    sp.conjugate: _same,
    sp.im: lambda tracer, node: tracer._builder.constant(0.0),
    sp.polygamma: Tracer._polygamma,
    sp.Sum: Tracer._sum,
    functions.log_sigmoid: Tracer._log_sigmoid,
}

_OPERATIONS: dict[type, str] = {
    Not: "not",
    sp.Abs: "abs",
    sp.ceiling: "ceil",
    **{
        function: function.__name__
        for function in (
            *(sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinc),
            *(sp.asin, sp.acos, sp.atan, sp.acot, sp.asec, sp.acsc, sp.atan2),
            *(sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch),
            *(sp.asinh, sp.acosh, sp.atanh, sp.acoth, sp.asech, sp.acsch),
            *(sp.sign, sp.floor, sp.erf, sp.erfc, sp.loggamma, sp.gamma),
            *(cfunctions.log1p, cfunctions.expm1, cfunctions.exp2, cfunctions.log2, cfunctions.log10, cfunctions.hypot),
            *(functions.sigmoid, functions.softplus, functions.logsumexp, functions.log_cosh, functions.xlogy),
        )
    },
    sp.Mod: "mod",
}

TRACED: frozenset[type] = frozenset(_RULES) | frozenset(_OPERATIONS)
