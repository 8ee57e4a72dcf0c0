"""How sums over an index become operations: the index is an axis of a matrix, so that no sum is written out.

An index that stands in the places of matrix elements alone, ``W[i, 0]`` or ``W[j, i + 1]``, is opened: inside the sum
an expression that depends on it is a column (the first open index) or a row (the second), and on both a matrix. Any
other sum is written out term by term, the index a constant in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare import walk
from symgrad.program import Value

from .matrices import inner
from .tracer import Rule, Tracer


def opened(node: Any) -> frozenset[sp.MatrixSymbol]:
    """Return the matrices that a sum's own indices run through, where these can be axes."""
    return frozenset().union(*(_matrices(node, limit[0]) for limit in node.args[1:]))


def _matrices(node: Any, index: sp.Basic) -> frozenset[sp.MatrixSymbol]:
    """The matrices that an index runs through; none if it is anything but one place of their elements."""
    found: set[sp.MatrixSymbol] = set()
    for part in walk(node.args[:1]):
        if part == index or (part.is_Matrix and _holds(part, index)):
            return frozenset()
        if isinstance(part, MatrixElement) and index in _symbols(part):
            places = [place for place in part.args[1:] if index in _symbols(place)]
            if len(places) > 1 or not (places and sp.Add(places[0], -index).is_Integer):
                return frozenset()
            if not isinstance(part.args[0], sp.MatrixSymbol):
                return frozenset()
            found.add(part.args[0])
    return frozenset(found)


def _holds(matrix: sp.Basic, index: sp.Basic) -> bool:
    """Does an index stand in a matrix expression: in an element, a number, or the bounds of a slice?"""
    nodes = list(walk([matrix]))
    bounds = [bound for node in nodes if isinstance(node, sp.MatrixSlice) for bound in (*node.args[1], *node.args[2])]
    return any(index in _symbols(node) for node in (*nodes, *bounds))


def _symbols(node: sp.Basic) -> set[sp.Basic]:
    """The symbols and indices in a leaf: a symbol, or an element and its places."""
    parts = node.args[1:] if isinstance(node, MatrixElement) else (node,)
    return {s for part in parts for s in walk([part]) if isinstance(s, sp.Symbol | sp.Idx)}


def _can_open(tracer: Tracer, node: Any, index: sp.Basic) -> bool:
    """Is the index an axis of matrices that are whole here, and beside no class label?"""
    matrices = _matrices(node, index)
    elements = (e for e in walk(node.args[:1]) if isinstance(e, MatrixElement) and index in _symbols(e))
    beside = {s for e in elements for s in _symbols(e)} & set(tracer.known)
    labels = [s for s in beside if tracer.builder.varies[tracer.known[s]]]
    return any(matrix in tracer.known for matrix in matrices) and not labels


def _reduced(tracer: Tracer, node: Any) -> int:
    """A sum, or a maximum, over its last limit, the outermost; what is left of it inside."""
    *others, (index, lower, upper) = node.args[1:]
    body = tracer.keep(node.func(node.args[0], *others) if others else node.args[0])
    bounds = [tracer.number_of(bound) for bound in (lower, upper)]
    assert None not in bounds, "the declaration lets no other bounds through"
    first, last = (int(bound) for bound in bounds if bound is not None)
    total = isinstance(node, sp.Sum)
    free = [axis for axis in (0, 1) if axis not in tracer.axes] if total or not tracer.axes else []
    if free and last > first and _can_open(tracer, node, index):
        return _over_axis(tracer, body, index, range(first, last + 1), free[0], total)
    constants = (tracer.builder.constant(float(i)) for i in range(first, last + 1))
    terms = [Value(tracer.builder, tracer.within({index: i}).trace(body)) for i in constants]
    return _over_terms(terms, total).variable


def _over_axis(tracer: Tracer, body: sp.Basic, index: sp.Basic, places: range, axis: int, total: bool) -> int:
    shape = (len(places), 1) if axis == 0 else (1, len(places))
    place = Value(tracer.builder, tracer.builder.emit("place", attribute=shape)) + places[0]
    inside = tracer.within({index: place.variable}, axes=(*tracer.axes, axis))
    x = Value(tracer.builder, inside.trace(body))
    if total:
        return _total(x, axis, len(places)).variable
    return (x.call("largest") if x.shape else x).variable


def _over_terms(terms: Sequence[Value], total: bool) -> Value:
    if total:
        return reduce(lambda a, b: a + b, terms)
    if any(term.shape for term in terms):
        return reduce(lambda a, b: a.call("max", b), terms)
    return terms[0].call("assemble", *terms[1:], attribute=(len(terms), 1)).call("largest")


def _total(x: Value, axis: int, count: int) -> Value:
    """The sum over one axis: of a product of factors a matrix product; what does not run along the axis is outside."""
    if not x.shape or x.shape[axis] == 1:
        return x * count
    factors = _factors(x)
    scalars = [factor for factor in factors if not factor.shape]
    spread = [_unspread(factor, axis) for factor in factors if factor.shape]
    vectors = [vector for vector in spread if vector is not None]
    matrices = [
        factor for factor, vector in zip((f for f in factors if f.shape), spread, strict=True) if vector is None
    ]
    return reduce(lambda a, b: a * b, [_contracted(matrices, vectors, x, axis), *scalars])


def _contracted(matrices: list[Value], vectors: list[Value], x: Value, axis: int) -> Value:
    if 1 in x.shape:  # the only open axis
        first, *rest = matrices
        return inner(first, reduce(lambda a, b: a * b, rest)) if rest else first.call("total")
    if not matrices or not vectors:
        ones = Value(
            x.builder, x.builder.filled(x.builder.constant(1.0), (1, x.shape[0]) if axis == 0 else (x.shape[1], 1))
        )
        return ones @ x if axis == 0 else x @ ones
    matrix, vector = (reduce(lambda a, b: a * b, group) for group in (matrices, vectors))
    return vector.T @ matrix if axis == 0 else matrix @ vector.T


def _factors(x: Value) -> list[Value]:
    assignment = x.builder.assignments[x.variable]
    if assignment.operation != "mul":
        return [x]
    return [factor for a in assignment.arguments for factor in _factors(Value(x.builder, a))]


def _unspread(x: Value, axis: int) -> Value | None:
    """The vector along the axis that a matrix repeats; ``None`` if it is no such matrix."""
    assignment = x.builder.assignments[x.variable]
    if assignment.operation != "matmul" or 1 in x.shape:
        return None
    ones, vector = assignment.arguments if axis == 1 else assignment.arguments[::-1]
    return Value(x.builder, vector) if x.builder.constant_value(ones) == 1 else None


SUM_RULES: dict[type, Rule] = {
    sp.Sum: Rule(_reduced, lambda node: ()),
    functions.maximum: Rule(_reduced, lambda node: ()),
}
