"""How matrix expressions become operations: a matrix stays one variable, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare import symbols_in, walk
from symgrad.program import Shape, Value, size_of

from .scalars import combined, number_power
from .tracer import Rule, Tracer, double, shape_of_node

# ----------------------------------------------------------------------------------------------------------- products


def _product(tracer: Tracer, node: sp.MatMul) -> int:
    matrices = [factor for factor in node.args if factor.is_Matrix]
    product = _chain(tracer, [tracer.matrix(factor) for factor in matrices])
    scalars = [factor for factor in node.args if not factor.is_Matrix]
    numbers = [number for number in map(tracer.exact, scalars) if number is not None]
    factors = [tracer.variable(factor) for factor in scalars if tracer.exact(factor) is None]
    if numbers:
        factors.append(tracer.builder.constant(double(sp.Mul(*numbers))))
    return tracer.builder.emit("mul", product, combined(tracer, "mul", factors)) if factors else product


def _chain(tracer: Tracer, factors: Sequence[int]) -> int:
    """A product of matrices in the order that takes the fewest multiplications (Godbole 1973)."""
    assignments, count = tracer.builder.assignments, len(factors)
    sizes = [assignments[factors[0]].shape[0], *(assignments[f].shape[1] for f in factors)]
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def product(i: int, j: int) -> int:
        if i == j:
            return factors[i]
        k = best[i, j][1]
        return tracer.builder.emit("matmul", product(i, k), product(k + 1, j))

    return product(0, count - 1)


def _power(tracer: Tracer, node: sp.MatPow) -> int:
    base, exponent = node.args[0], sp.S.NegativeOne if isinstance(node, sp.Inverse) else node.args[1]
    if tracer.shape(base) == (1, 1):
        return tracer.builder.filled(number_power(tracer, tracer.variable(base), exponent), (1, 1))
    result, square, left = None, tracer.matrix(base), int(exponent)
    while left:
        if left & 1:
            result = square if result is None else tracer.builder.emit("matmul", result, square)
        left >>= 1
        square = tracer.builder.emit("matmul", square, square) if left else square
    assert result is not None, "the declaration lets no other exponent through"
    return result


def _base(node: Any) -> tuple[sp.Basic, ...]:
    """A power's parts: a rational exponent is none."""
    return tuple(node.args[:1] if node.args[1].is_Rational else node.args)


def inner(x: Value, y: Value) -> Value:
    """Return the sum of the products of two matrices' elements, as a matrix product if one of them is fixed."""
    if x.varies == y.varies or 1 not in x.shape:
        return (x * y).call("total")
    row, column = (x, y.T) if x.shape[0] == 1 else (x.T, y)
    return (row @ column).call("total")


def _trace(tracer: Tracer, node: sp.Trace) -> int:
    x = Value(tracer.builder, tracer.matrix(node.arg))
    assignment = tracer.builder.assignments[x.variable]
    if assignment.operation == "matmul":
        a, b = (Value(tracer.builder, v) for v in assignment.arguments)
        return inner(a, b.T).variable
    return _on_diagonal(tracer, x.shape).choose(x, 0.0).call("total").variable


def _dot(tracer: Tracer, node: DotProduct) -> int:
    x, y = (Value(tracer.builder, tracer.matrix(argument)) for argument in node.args)
    return inner(x, y if x.shape == y.shape else y.T).variable


# ------------------------------------------------------------------------------------------------- element by element


def _sum(tracer: Tracer, node: sp.MatAdd) -> int:
    return combined(tracer, "add", [tracer.matrix(term) for term in node.args])


def _hadamard_product(tracer: Tracer, node: sp.HadamardProduct) -> int:
    return combined(tracer, "mul", [tracer.matrix(factor) for factor in node.args])


def _hadamard_power(tracer: Tracer, node: sp.HadamardPower) -> int:
    base, exponent = node.args
    power = number_power(tracer, tracer.matrix(base), exponent)
    return tracer.builder.filled(power, tracer.shape(base))


def _apply(tracer: Tracer, node: ElementwiseApplyFunction) -> int:
    (place,), body = node.function.variables, node.function.expr
    matrix = tracer.matrix(node.expr)
    parts = [part for part in walk([body]) if part.is_Matrix or isinstance(part, sp.Sum | functions.maximum)]
    mixed = [part for part in parts if place in symbols_in(part)]
    if any(part.is_Matrix for part in mixed):
        return _apply_to_each(tracer, matrix, place, body)
    # a sum of the elements' own terms cannot be opened: both axes are theirs
    applied = tracer.within({place: matrix}, (0, 1) if mixed else None).trace(body)
    return tracer.builder.filled(applied, tracer.shape(node.expr))


def _apply_to_each(tracer: Tracer, matrix: int, place: sp.Symbol, body: sp.Expr) -> int:
    """A function that makes matrices of its argument, one element after the other."""
    x = Value(tracer.builder, matrix)
    rows, columns = x.shape
    elements = [x.call("slice", attribute=(i, j, 1, 1)).call("total") for i in range(rows) for j in range(columns)]
    applied = (tracer.within({place: element.variable}) for element in elements)
    variables = (tracer.builder.emit("total", inner.trace(body)) for inner in applied)
    return tracer.builder.emit("assemble", *variables, attribute=(rows, columns))


# -------------------------------------------------------------------------------------------------- parts and wholes


def _on_diagonal(tracer: Tracer, shape: Shape) -> Value:
    """Which elements are on the diagonal? (A product with an identity would make NaN of infinities beside it.)"""
    if size_of(shape) == 1:
        return Value(tracer.builder, tracer.builder.constant(1.0))
    place = Value(tracer.builder, tracer.builder.emit("place", attribute=shape))
    return place.call("fmod", shape[1] + 1).equals(0)


def _identity(tracer: Tracer, node: sp.Identity) -> int:
    shape = shape_of_node(node)
    ones = Value(tracer.builder, tracer.builder.constant(1.0))
    return tracer.builder.filled(_on_diagonal(tracer, shape).choose(ones, 0.0).variable, shape)


def _filled(value: float) -> Rule:
    def rule(tracer: Tracer, node: sp.MatrixExpr) -> int:
        return tracer.builder.filled(tracer.builder.constant(value), shape_of_node(node))

    return Rule(rule, _none)


def _transposed(tracer: Tracer, node: sp.Transpose) -> int:
    return tracer.builder.emit("transpose", tracer.matrix(node.arg))


def _elements(node: sp.ImmutableDenseMatrix) -> tuple[sp.Basic, ...]:
    return tuple(node.args[2].args)


def _assembled(tracer: Tracer, node: sp.ImmutableDenseMatrix) -> int:
    return tracer.builder.emit("assemble", *tracer.variables(node), attribute=shape_of_node(node))


def _slice(tracer: Tracer, node: sp.MatrixSlice) -> int:
    parent, (top, bottom, _), (left, right, _) = node.args
    first = [tracer.number_of(tracer.keep(bound)) for bound in (top, left)]
    assert None not in first, "a slice that begins at the index of a sum keeps it from being opened"
    part = (*(int(bound) for bound in first if bound is not None), int(bottom - top), int(right - left))
    return tracer.builder.emit("slice", tracer.matrix(parent), attribute=part)


def _blocks(node: sp.BlockMatrix) -> tuple[sp.Basic, ...]:
    return tuple(node.args[0].args[2].args)


def _joined(tracer: Tracer, node: sp.BlockMatrix) -> int:
    across = shape_of_node(node.args[0])[1]
    blocks = _blocks(node)
    grid = [blocks[i : i + across] for i in range(0, len(blocks), across)]
    tops = list(accumulate((tracer.shape(row[0])[0] for row in grid), initial=0))
    lefts = list(accumulate((tracer.shape(block)[1] for block in grid[0]), initial=0))
    corners = [place for top in tops[:-1] for left in lefts[:-1] for place in (top, left)]
    shape = tops[-1], lefts[-1]
    joined = tracer.builder.emit("embed", *map(tracer.matrix, blocks), attribute=(*corners, *shape))
    return tracer.builder.filled(joined, shape)


def _diagonal(tracer: Tracer, node: sp.DiagMatrix) -> int:
    diagonal = Value(tracer.builder, tracer.matrix(node.args[0]))
    size = max(diagonal.shape)
    return _on_diagonal(tracer, (size, size)).choose(diagonal, 0.0).variable


def _symbol(tracer: Tracer, node: sp.MatrixSymbol) -> int:
    """A whole matrix of which the elements are known, each by itself."""
    rows, columns = shape_of_node(node)
    elements = (tracer.known[MatrixElement(node, i, j)] for i in range(rows) for j in range(columns))
    return tracer.builder.emit("assemble", *elements, attribute=(rows, columns))


# ----------------------------------------------------------------------------------------------------------- elements


def _element(tracer: Tracer, node: MatrixElement) -> int:
    """``W[i, j]``: for a class label a choice among the elements, for an open index all that it runs through."""
    matrix = node.args[0]
    row, column = (_index(tracer, index) for index in node.args[1:])
    by_element = isinstance(matrix, sp.MatrixSymbol) and matrix not in tracer.known
    if by_element and not isinstance(row, _Axis) and not isinstance(column, _Axis):
        return _chosen(tracer, matrix, row, column)
    x = Value(tracer.builder, tracer.trace(matrix))
    rows, columns = (_run(index, size) for index, size in zip((row, column), x.shape, strict=True))
    x = x.call("slice", attribute=(rows[0], columns[0], len(rows), len(columns)))
    if isinstance(row, Value):
        if isinstance(column, Value):
            inside = (column >= 0).call("and", column < len(columns))
            row = inside.choose(row * len(columns) + column, float("nan"))
        return x.call("pick", row).variable
    if isinstance(column, Value):
        return x.call("pick", column).variable
    if isinstance(row, _Axis) or isinstance(column, _Axis):
        turned = (isinstance(row, _Axis) and row.axis == 1) or (isinstance(column, _Axis) and column.axis == 0)
        return (x.T if turned else x).variable
    return x.call("total").variable


@dataclass(frozen=True, slots=True)
class _Axis:
    """The places that the open index of a sum runs through."""

    axis: int
    places: range


def _run(index: int | Value | _Axis, size: int) -> range:
    """The places of a matrix that an index may stand for."""
    if isinstance(index, _Axis):
        return index.places
    return range(index, index + 1) if isinstance(index, int) else range(size)


def _index(tracer: Tracer, index: sp.Basic) -> int | Value | _Axis:
    """An index that is known now, as an integer; the open index of a sum; or a class label, as a value."""
    variable = tracer.trace(index)
    number = tracer.builder.constant_value(variable)
    if number is not None:
        return int(number)
    offset, assignment = 0, tracer.builder.assignments[variable]
    while assignment.operation == "add":
        summands = sorted(assignment.arguments, key=lambda v: tracer.builder.constant_value(v) is None)
        offset += int(tracer.builder.constant_value(summands[0]) or 0)
        assignment = tracer.builder.assignments[summands[1]]
    if assignment.operation == "place":
        return _Axis(int(assignment.shape[0] == 1), range(offset, offset + size_of(assignment.shape)))
    return Value(tracer.builder, variable)


def _chosen(tracer: Tracer, matrix: sp.MatrixSymbol, row: int | Value, column: int | Value) -> int:
    """An element of a matrix whose elements are known, each by itself."""
    if isinstance(row, int) and isinstance(column, int):
        return tracer.known[MatrixElement(matrix, row, column)]
    # what is no index has no element: NaN, and NaN in the gradient too
    first = Value(tracer.builder, tracer.known[MatrixElement(matrix, 0, 0)])
    value = first * float("nan")
    for i in reversed(range(int(matrix.rows)) if not isinstance(row, int) else [row]):
        for j in reversed(range(int(matrix.cols)) if not isinstance(column, int) else [column]):
            fits = [at.equals(float(k)) for at, k in ((row, i), (column, j)) if isinstance(at, Value)]
            here = reduce(lambda a, b: a.call("and", b), fits)
            value = here.choose(Value(tracer.builder, tracer.known[MatrixElement(matrix, i, j)]), value)
    return value.variable


def _parent(node: MatrixElement) -> tuple[sp.Basic, ...]:
    return () if isinstance(node.args[0], sp.MatrixSymbol) else (node.args[0],)


def _none(node: Any) -> tuple[sp.Basic, ...]:
    return ()


MATRIX_RULES: dict[type, Rule] = {
    sp.MatMul: Rule(_product),
    sp.MatAdd: Rule(_sum),
    sp.MatPow: Rule(_power, _base),
    sp.Inverse: Rule(_power, lambda node: node.args[:1]),
    sp.Transpose: Rule(_transposed),
    sp.HadamardProduct: Rule(_hadamard_product),
    sp.HadamardPower: Rule(_hadamard_power, _base),
    ElementwiseApplyFunction: Rule(_apply, lambda node: (node.expr,)),
    sp.ZeroMatrix: _filled(0.0),
    sp.OneMatrix: _filled(1.0),
    sp.Identity: Rule(_identity, _none),
    sp.ImmutableDenseMatrix: Rule(_assembled, _elements),
    sp.MatrixSlice: Rule(_slice, lambda node: (node.args[0],)),
    sp.BlockMatrix: Rule(_joined, _blocks),
    sp.DiagMatrix: Rule(_diagonal),
    sp.Trace: Rule(_trace),
    DotProduct: Rule(_dot),
    sp.MatrixSymbol: Rule(_symbol, _none),
    MatrixElement: Rule(_element, _parent),
}
