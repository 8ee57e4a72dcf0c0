"""The walk from SymPy to a program: every node is traced once, after the nodes that it is made of, with a stack.

What becomes of a node is said by rules, one for each class of SymPy (`scalars`, `matrices`, `sums`).
Numbers are evaluated to 50 digits and rounded once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from math import inf, isfinite
from typing import Any, TypeAlias

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.declare import show
from symgrad.errors import UnsupportedExpressionError
from symgrad.program import Attribute, Builder, Shape, Value

_DIGITS = 50


class Tracer:
    """Traces expressions whose leaves are known variables of one builder."""

    def __init__(
        self, builder: Builder, known: MutableMapping[sp.Basic, int], rules: Rules, axes: tuple[int, ...] = ()
    ) -> None:
        self.builder = builder
        self.known = known
        self.axes = axes  # those that indices of sums around the expression are open on
        self._rules = rules
        self._traced: dict[int, int] = {}
        self._exact: dict[int, sp.Expr] = {}  # the nodes that are numbers
        self._kept: list[sp.Basic] = []  # an id stands for its object only while that lives

    def within(self, known: Mapping[sp.Basic, int], axes: tuple[int, ...] | None = None) -> Tracer:
        """Return a tracer for an inner scope, which knows more."""
        inner = ChainMap(dict(known), self.known)
        return Tracer(self.builder, inner, self._rules, self.axes if axes is None else axes)

    def trace(self, root: sp.Basic) -> int:
        """Return the variable that holds the expression's value."""
        self._kept.append(root)
        stack = [root]
        while stack:
            node = stack[-1]
            missing = [child for child in self._children(node) if id(child) not in self._traced]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if id(node) not in self._traced:
                self._traced[id(node)] = self._combine(node)
        return self._traced[id(root)]

    def _children(self, node: sp.Basic) -> tuple[sp.Basic, ...]:
        """The sub-expressions whose values a node's value is made of."""
        if not node.args or self._is_known(node):
            return ()
        parts = self._rules[type(node)].parts
        return tuple(node.args) if parts is None else parts(node)

    def _is_known(self, node: sp.Basic) -> bool:
        """Is it a leaf with a variable? (Only leaves are looked up: comparing expressions recurses.)"""
        return isinstance(node, sp.Symbol | sp.Idx | sp.MatrixSymbol | MatrixElement) and node in self.known

    def _combine(self, node: sp.Basic) -> int:
        """The variable of a node whose children are traced."""
        if self._is_known(node):
            variable = self.known[node]
            value = self.builder.constant_value(variable)
            if value is not None and isfinite(value):  # the index of a Sum, or an output that is a number
                self._exact[id(node)] = sp.Rational(value)
            return variable
        exact = self._number(node)
        if exact is not None:
            self._exact[id(node)] = exact
            return self.builder.constant(double(exact))
        return self._rules[type(node)].trace(self, node)

    def _number(self, node: sp.Basic) -> sp.Expr | None:
        """The number that a node is, exactly as SymPy has it; ``None`` if it depends on a symbol."""
        if not node.args:
            return node if isinstance(node, sp.Number | sp.NumberSymbol) else None
        if not isinstance(node, sp.Expr) or not self._rules[type(node)].numeric:
            return None
        if any(id(child) not in self._exact for child in self._children(node)):
            return None
        value = node.func(*map(self._evaluated, node.args))
        # few digits more than a double needs, so that nothing piles up: SymPy recurses on what is nested
        return value if isinstance(value, sp.Rational | sp.NumberSymbol) else value.evalf(_DIGITS)

    def _evaluated(self, argument: sp.Basic) -> sp.Basic:
        """An argument of a node of numbers, as a number. (Of a factor below a fraction bar only the base is traced.)"""
        if id(argument) not in self._exact and isinstance(argument, sp.Pow):
            return self._exact.get(id(argument.args[0]), argument.args[0]) ** argument.args[1]
        return self._exact.get(id(argument), argument)

    # ---------------------------------------------------------------------------------------------- for the rules

    def exact(self, node: sp.Basic) -> sp.Expr | None:
        """Return the number that a traced node is; ``None`` if it depends on a symbol."""
        return self._exact.get(id(node))

    def number_of(self, node: sp.Basic) -> float | None:
        """Return the value of an expression that is the same for every sample and every theta."""
        return self.builder.constant_value(self.trace(node))

    def variable(self, node: sp.Basic) -> int:
        """Return a traced node where a number is expected: a matrix of one element is that element."""
        variable = self._traced[id(node)]
        if getattr(node, "is_Matrix", False) or getattr(node, "is_MatrixExpr", False):
            return self.builder.emit("total", variable)
        return variable

    def variables(self, node: sp.Basic) -> list[int]:
        """Return the node's parts, each where a number is expected."""
        return [self.variable(child) for child in self._children(node)]

    def values(self, node: sp.Basic) -> list[Value]:
        """Return the node's parts as `Value`, each where a number is expected."""
        return [Value(self.builder, variable) for variable in self.variables(node)]

    def matrix(self, node: sp.Basic) -> int:
        """Return a traced node where a matrix is expected."""
        return self._traced[id(node)]

    def shape(self, node: sp.Basic) -> Shape:
        """Return the shape of a traced matrix.

        (SymPy's own takes exponential time where sums and products are nested.)
        """
        return self.builder.assignments[self._traced[id(node)]].shape

    def keep(self, node: sp.Basic) -> sp.Basic:
        """Return a node that was made on the way, kept as long as its id is used."""
        self._kept.append(node)
        return node


class Rule:
    """What becomes of the nodes of one class.

    ``trace(tracer, node)`` gives the variable; ``parts(node)`` are the sub-expressions that have to be traced before
    (``None``: all arguments); ``numeric``: a node of numbers is a number, which SymPy evaluates.
    """

    __slots__ = ("numeric", "parts", "trace")

    def __init__(
        self,
        trace: Callable[[Tracer, Any], int],
        parts: Callable[[Any], tuple[sp.Basic, ...]] | None = None,
        numeric: bool = False,
    ) -> None:
        self.trace, self.parts, self.numeric = trace, parts, numeric


Rules: TypeAlias = Mapping[type, Rule]


def shape_of_node(node: Any) -> Shape:
    """Return the shape of a matrix symbol or of a constant matrix."""
    rows, columns = node.shape
    return int(rows), int(columns)


def operation(name: str, attribute: Attribute = None) -> Callable[[Tracer, Any], int]:
    """Return the rule that emits one operation on all the node's parts."""

    def rule(tracer: Tracer, node: sp.Basic) -> int:
        return tracer.builder.emit(name, *tracer.variables(node), attribute=attribute)

    return rule


def double(number: sp.Basic) -> float:
    """Return the double nearest to a number."""
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
