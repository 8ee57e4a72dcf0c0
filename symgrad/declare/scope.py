"""Which symbols an expression may hold, and the one walk that checks all of it: names, numbers, operations, indices."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.logic.boolalg import BooleanAtom
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.errors import DeclarationError, UnsupportedExpressionError

from .grammar import OVER_AN_INDEX, PLAIN, check_kind, check_number, check_operation, parts_of
from .shapes import shapes_of
from .walks import walk
from .words import name_of, show

# A Sum runs as a loop, so its length costs no text; but one of so many terms for each sample is a mistake.
MOST_SUM_TERMS = 10_000_000


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
    """Return what tells one symbol from another of the same name: its kind, its shape or its assumptions."""
    if isinstance(symbol, sp.MatrixSymbol):
        return f"a MatrixSymbol of shape ({symbol.shape[0]}, {symbol.shape[1]})"
    assumed = getattr(symbol, "_assumptions_orig", None)
    assumed = symbol.assumptions0 if assumed is None else assumed
    text = ", ".join(f"{fact}={value}" for fact, value in sorted(assumed.items()) if fact != "commutative" or not value)
    return f"a {type(symbol).__name__} with {text}" if text else f"a {type(symbol).__name__} without assumptions"


def unknown_symbol(scope: Scope, symbol: Any) -> DeclarationError:
    """Return the error for a symbol that nobody declared, or that has the name of another that somebody did."""
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
    """What is bound around a node: Sum indices with their ranges, Lambda variables; and the nodes seen in there."""

    def __init__(self, ranges: dict[Any, tuple[int, int]], variables: frozenset[Any], terms: int) -> None:
        self.ranges, self.variables, self.terms, self.seen = ranges, variables, terms, set[int]()


class _Bounds(dict[Any, _Bound]):
    """The one ``_Bound`` for equal ranges and variables, so that a node is met once in each."""

    def of(self, ranges: dict[Any, tuple[int, int]], variables: frozenset[Any], terms: int) -> _Bound:
        return self.setdefault((frozenset(ranges.items()), variables), _Bound(ranges, variables, terms))


def check_expression(scope: Scope, roots: Iterable[Any]) -> None:
    """Raise unless every node of ``roots`` is supported, every number fits a double and every symbol is declared.

    Raises:
        UnsupportedExpressionError: for an operation that symgrad does not have.
        DeclarationError: for everything else.
    """
    roots = list(roots)
    if _check_nodes(scope, roots):
        shapes_of(scope.where, roots)


def _check_nodes(scope: Scope, roots: list[Any]) -> bool:
    """Check each node for what it is and where it stands; returns whether there are matrices among them."""
    bounds, matrices = _Bounds(), False
    stack: list[tuple[Any, Any, bool, _Bound]] = [(r, None, False, bounds.of({}, frozenset(), 1)) for r in roots[::-1]]
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
        elif kind in OVER_AN_INDEX:
            stack.append((node.args[0], node, False, _bind_indices(scope, node, bound, bounds)))
        elif not _is_leaf(scope, node, parent, bound):
            matrices = matrices or isinstance(node, sp.MatrixExpr)
            stack.extend(_parts(scope, node, bound, bounds))
        else:
            matrices = matrices or isinstance(node, sp.MatrixSymbol)
    return matrices


def _is_leaf(scope: Scope, node: Any, parent: Any, bound: _Bound) -> bool:
    """Whether a node is a symbol, a number or a truth value; raises if it is one that may not stand here."""
    if isinstance(node, sp.Symbol | sp.Idx | sp.MatrixSymbol):
        if node not in bound.ranges and node not in bound.variables and node not in scope.symbols:
            raise unknown_symbol(scope, node)
    elif isinstance(node, sp.Number | sp.NumberSymbol) or node is sp.I or node is sp.zoo:
        check_number(scope.where, node, parent)
    elif isinstance(node, MatrixElement) and isinstance(node.args[0], sp.MatrixSymbol):
        if node.args[0] not in scope.symbols:
            raise unknown_symbol(scope, node.args[0])
        _check_indices(scope, node, bound)
    elif not isinstance(node, BooleanAtom):
        return False
    return True


def _parts(scope: Scope, node: Any, bound: _Bound, bounds: _Bounds) -> list[tuple[Any, Any, bool, _Bound]]:
    """The parts of an operation that are to be checked next, the last one first; raises if symgrad does not have it."""
    if isinstance(node, MatrixElement):
        _check_indices(scope, node, bound)
        return [(node.args[0], node, False, bound)]
    check_operation(scope.where, node)
    if isinstance(node, MatrixSlice):
        _check_slice(scope, node, bound)
    if isinstance(node, ElementwiseApplyFunction):
        function, matrix = node.args
        return [(matrix, node, False, bound), (function.args[1], function, False, _bind(function, bound, bounds))]
    return [(part, node, joined, bound) for part, joined in reversed(parts_of(node))]


# ------------------------------------------------------------------------------------- what binds a symbol: Sum, Lambda


def _bind(function: Any, bound: _Bound, bounds: _Bounds) -> _Bound:
    """The scope inside a Lambda: its variable hides what has its name outside."""
    (variable,) = function.args[0]
    ranges = {index: ends for index, ends in bound.ranges.items() if index != variable}
    return bounds.of(ranges, bound.variables | {variable}, bound.terms)


def _bind_indices(scope: Scope, node: Any, bound: _Bound, bounds: _Bounds) -> _Bound:
    """The scope inside a Sum."""
    ranges, terms, kind = dict(bound.ranges), bound.terms, type(node).__name__
    for limit in node.args[1:]:
        if len(limit) != 3 or not (limit[1].is_Integer and limit[2].is_Integer):
            raise UnsupportedExpressionError(
                f"{scope.where}: a {kind} needs an index with whole numbers for bounds, got {show(limit)} in "
                f"{show(node)}; write {kind}(..., (i, 0, 9))"
            )
        index, lower, upper = limit[0], int(limit[1]), int(limit[2])
        if index in scope.symbols or index in ranges or index in bound.variables:
            raise DeclarationError(
                f"{scope.where}: the index {name_of(index)} of {show(node)} already means something else there; "
                f"give the {kind} an index of its own, e.g. sympy.Idx('i', 10)"
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
            f"{scope.where}: {show(node)} has {terms} terms; expected at most {MOST_SUM_TERMS}, because each sample "
            "adds them all up. If it runs over the data, declare the loss of one sample and pass the data as arrays"
        )
    return bounds.of(ranges, bound.variables, terms)


# ---------------------------------------------------------------------------------------------------------- indices


def _check_indices(scope: Scope, element: Any, bound: _Bound) -> None:
    """The indices of a matrix element are numbers, Sum indices or an integer target, and within the matrix."""
    matrix, *indices = element.args
    for index, size in zip(indices, matrix.shape, strict=True):
        if index not in scope.labels or index in bound.variables:
            ends = _ends(scope, index, element, bound)
            _check_within(scope, f"the index {show(index)} of {show(element)}", ends, size, matrix)


def _check_slice(scope: Scope, node: Any, bound: _Bound) -> None:
    """A slice takes a known number of rows or columns, side by side; where it starts may hold Sum indices."""
    matrix, *slices = node.args
    for (start, stop, step), size in zip(slices, matrix.shape, strict=True):
        length = stop - start
        if step != 1 or not length.is_Integer or length < 1:
            raise UnsupportedExpressionError(
                f"{scope.where}: the slice {show(start)}:{show(stop)}:{show(step)} in {show(node)} is not supported; "
                "expected at least one row or column, a length that is a whole number, and step 1"
            )
        low, high = _ends(scope, start, node, bound)
        ends = (low, high + int(length) - 1)
        _check_within(scope, f"the slice {show(start)}:{show(stop)} of {show(node)}", ends, size, matrix)


def _ends(scope: Scope, index: Any, node: Any, bound: _Bound) -> tuple[int, int]:
    """The smallest and the largest value of an index; raises if it is not linear in Sum indices."""
    ends = _reach(index, bound)
    if ends is not None:
        return ends
    for symbol in walk([index]):
        bindable = isinstance(symbol, sp.Symbol | sp.Idx) and symbol not in bound.variables
        if bindable and symbol not in scope.symbols and symbol not in bound.ranges:
            raise unknown_symbol(scope, symbol)
    raise UnsupportedExpressionError(
        f"{scope.where}: the index {show(index)} of {show(node)} is neither a whole number, nor made of the "
        "indices of a Sum around it (i, i + 1, 2*i), nor a target declared with integer=True that stands alone"
    )


def _check_within(scope: Scope, what: str, ends: tuple[int, int], size: Any, matrix: Any) -> None:
    # a size that is no number is refused where the matrix itself is checked
    if isinstance(size, int | sp.Integer) and not 0 <= ends[0] <= ends[1] < int(size):
        name = name_of(matrix) if isinstance(matrix, sp.MatrixSymbol) else show(matrix)
        shape = ", ".join(map(str, matrix.shape))
        raise DeclarationError(
            f"{scope.where}: {what} runs from {ends[0]} to {ends[1]}; "
            f"expected 0 to {int(size) - 1}, because {name} has the shape ({shape})"
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
