"""Which symbols an expression may hold, and the one walk that checks all of it: names, numbers, operations, indices."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.logic.boolalg import BooleanAtom
from sympy.matrices.expressions.matexpr import MatrixElement

from .errors import DeclarationError, UnsupportedExpressionError
from .expressions import PLAIN, check_kind, check_number, check_operation, name_of, parts_of, show, walk

# A Sum is written out by the tracer, term by term.
MOST_SUM_TERMS = 100_000


@dataclass(frozen=True)
class Scope:
    """The symbols that an expression may hold: ``roles`` maps the argument that declares them to its symbols."""

    where: str
    roles: Mapping[str, tuple[Any, ...]]
    cure: str
    labels: frozenset[Any] = frozenset()

    @cached_property
    def symbols(self) -> frozenset[Any]:
        """All of them."""
        return frozenset(symbol for declared in self.roles.values() for symbol in declared)


def describe(symbol: Any) -> str:
    """What tells one symbol from another of the same name: its kind, its shape or its assumptions."""
    if isinstance(symbol, sp.MatrixSymbol):
        return f"a MatrixSymbol of shape ({symbol.shape[0]}, {symbol.shape[1]})"
    assumed = getattr(symbol, "_assumptions_orig", None)
    assumed = symbol.assumptions0 if assumed is None else assumed
    text = ", ".join(f"{fact}={value}" for fact, value in sorted(assumed.items()) if fact != "commutative" or not value)
    return f"a {type(symbol).__name__} with {text}" if text else f"a {type(symbol).__name__} without assumptions"


def unknown_symbol(scope: Scope, symbol: Any) -> DeclarationError:
    """The error for a symbol that nobody declared, or that has the name of another that somebody did."""
    for role, declared in scope.roles.items():
        for other in declared:
            if str(other.name) == str(symbol.name):
                return DeclarationError(
                    f"{scope.where}: two different symbols are named {name_of(symbol)}: the one in {role} is "
                    f"{describe(other)}, the one in the expression is {describe(symbol)}; "
                    "make the symbol once and use that object in both places"
                )
    names = {str(s.name): s for declared in scope.roles.values() for s in declared}
    near = difflib.get_close_matches(str(symbol.name), names, n=1, cutoff=0.5)
    nearest = f"; did you mean {name_of(names[near[0]])}?" if near else ""
    lists = "; ".join(f"{role}: {_names(declared)}" for role, declared in scope.roles.items())
    if isinstance(symbol, sp.Idx):
        cure = "an index has a meaning only inside a Sum over it: write Sum(..., (i, 0, n - 1))"
    else:
        cure = scope.cure
    return DeclarationError(
        f"{scope.where}: the symbol {name_of(symbol)} is not declared ({lists}){nearest.rstrip('?')}"
        f"{'?' if near else '.'} {cure[0].upper()}{cure[1:]}"
    )


def _names(symbols: tuple[Any, ...]) -> str:
    shown = [name_of(symbol) for symbol in symbols[:20]] + ([f"... {len(symbols) - 20} more"] if symbols[20:] else [])
    return ", ".join(shown) or "none"


class _Bound:
    """The Sum indices around a node, with their ranges, the number of terms, and the nodes that were seen in there."""

    def __init__(self, ranges: dict[Any, tuple[int, int]], terms: int) -> None:
        self.ranges, self.terms, self.seen = ranges, terms, set[int]()


def check_expression(scope: Scope, roots: Iterable[Any]) -> None:
    """Raise unless every node of ``roots`` is supported, every number fits a double and every symbol is declared.

    Raises:
        UnsupportedExpressionError: for an operation that symgrad does not have.
        DeclarationError: for everything else.
    """
    outer = _Bound({}, 1)
    bounds = {frozenset[Any](): outer}
    stack: list[tuple[Any, Any, bool, _Bound]] = [(root, None, False, outer) for root in list(roots)[::-1]]
    while stack:
        node, parent, condition, bound = stack.pop()
        kind = type(node)
        if kind not in PLAIN or condition:
            check_kind(scope.where, node, parent, condition)
        if id(node) in bound.seen:
            continue
        bound.seen.add(id(node))
        if kind in PLAIN:
            stack.extend((argument, node, False, bound) for argument in reversed(node.args))
        elif isinstance(node, sp.Sum):
            stack.append((node.function, node, False, _bind(scope, node, bound, bounds)))
        elif not _is_leaf(scope, node, parent, bound):
            check_operation(scope.where, node)
            stack.extend((part, node, joined, bound) for part, joined in reversed(parts_of(node)))


def _is_leaf(scope: Scope, node: Any, parent: Any, bound: _Bound) -> bool:
    """Whether a node is a symbol, a number or a truth value; raises if it is one that may not stand here."""
    if isinstance(node, sp.Symbol | sp.Idx):
        if node not in bound.ranges and node not in scope.symbols:
            raise unknown_symbol(scope, node)
    elif isinstance(node, sp.Number | sp.NumberSymbol) or node is sp.I or node is sp.zoo:
        check_number(scope.where, node, parent)
    elif isinstance(node, MatrixElement):
        _check_element(scope, node, bound)
    elif isinstance(node, sp.MatrixExpr | sp.MatrixBase):
        raise _whole_matrix(scope, node, parent)
    elif not isinstance(node, BooleanAtom):
        return False
    return True


def _whole_matrix(scope: Scope, node: Any, parent: Any) -> UnsupportedExpressionError:
    inside = f", in {show(parent)}" if parent is not None else ""
    return UnsupportedExpressionError(
        f"{scope.where}: the matrix {show(node)} stands where a number is expected{inside}; "
        "write one of its elements, e.g. W[0, 0], or apply the function to each with .applyfunc"
    )


def _bind(scope: Scope, node: Any, bound: _Bound, bounds: dict[frozenset[Any], _Bound]) -> _Bound:
    """The scope inside a Sum."""
    ranges, terms = dict(bound.ranges), bound.terms
    for limit in node.limits:
        if len(limit) != 3 or not (limit[1].is_Integer and limit[2].is_Integer):
            raise UnsupportedExpressionError(
                f"{scope.where}: a Sum needs an index with whole numbers for bounds, got {show(limit)} in "
                f"{show(node)}; write Sum(..., (i, 0, 9))"
            )
        index, lower, upper = limit[0], int(limit[1]), int(limit[2])
        if index in scope.symbols or index in ranges:
            raise DeclarationError(
                f"{scope.where}: the index {name_of(index)} of {show(node)} already means something else there; "
                "give the Sum an index of its own, e.g. sympy.Idx('i', 10)"
            )
        if index.is_integer is False or upper < lower:
            what = f"the bounds {lower} to {upper}" if upper < lower else f"the index {name_of(index)}, no integer"
            raise DeclarationError(
                f"{scope.where}: {show(node)} has {what}; "
                "expected an integer index that runs from a smaller bound to a larger one: (i, 0, 9)"
            )
        ranges[index] = (lower, upper)
        terms *= upper - lower + 1
    if terms > MOST_SUM_TERMS:
        raise UnsupportedExpressionError(
            f"{scope.where}: {show(node)} has {terms} terms; expected at most {MOST_SUM_TERMS}, because each is "
            "written out. If it runs over the data, declare the loss of one sample and pass the data as arrays"
        )
    return bounds.setdefault(frozenset(ranges.items()), _Bound(ranges, terms))


def _check_element(scope: Scope, element: Any, bound: _Bound) -> None:
    """A matrix element: its matrix is declared and its indices are numbers, Sum indices or an integer target."""
    matrix = element.args[0]
    if not isinstance(matrix, sp.MatrixSymbol):
        raise UnsupportedExpressionError(
            f"{scope.where}: {show(element)} is an element of {show(matrix)}; expected an element of a MatrixSymbol. "
            "Write matrix.as_explicit()[i, j] with numbers for i and j"
        )
    if matrix not in scope.symbols:
        raise unknown_symbol(scope, matrix)
    for index, size in zip(element.args[1:], matrix.shape, strict=True):
        if index in scope.labels:
            continue
        reach = _reach(index, bound)
        if reach is None:
            unbound = [node for node in walk([index]) if isinstance(node, sp.Symbol | sp.Idx)]
            for symbol in unbound:
                if symbol not in scope.symbols and symbol not in bound.ranges:
                    raise unknown_symbol(scope, symbol)
            raise UnsupportedExpressionError(
                f"{scope.where}: the index {show(index)} of {show(element)} is neither a whole number, nor made of the "
                "indices of a Sum around it (i, i + 1, 2*i), nor a target declared with integer=True that stands alone"
            )
        if not 0 <= reach[0] <= reach[1] < int(size):
            raise DeclarationError(
                f"{scope.where}: the index {show(index)} of {show(element)} runs from {reach[0]} to {reach[1]}; "
                f"expected 0 to {int(size) - 1}, because {name_of(matrix)} has the shape "
                f"{tuple(map(int, matrix.shape))}"
            )


def _reach(index: Any, bound: _Bound) -> tuple[int, int] | None:
    """The smallest and the largest value of an index that is linear in Sum indices; None if it is anything else."""
    low = high = 0
    for term in sp.Add.make_args(index):
        factor, variable = term.as_coeff_Mul()
        if not factor.is_Integer:
            return None
        if variable is sp.S.One:
            ends = (1, 1)
        elif variable in bound.ranges:
            ends = bound.ranges[variable]
        else:
            return None
        low += min(int(factor) * end for end in ends)
        high += max(int(factor) * end for end in ends)
    return low, high
