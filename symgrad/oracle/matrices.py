"""Matrices on the oracle's tape: each class of SymPy's, element by element, from its definition.

A matrix is a grid of slots. Products of several factors are taken in the order that needs the fewest multiplications
(Cormen et al., *Introduction to Algorithms*, 15.2), so that ``W2*W1*u`` never forms ``W2*W1``; elements that are
exactly zero, as in an ``Identity``, are left out. SymPy's ``as_explicit`` and ``doit`` are never called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.errors import UnsupportedExpressionError

from .tape import Grid, Tape, Value, flat, scalar, shape_of

__all__ = ["MATRICES", "ElementwiseApplyFunction", "emit_matrix", "parts"]

_LONG = 64  # factors of a product beyond which its order is not searched for: that takes their cube
_WRITTEN_OUT = 16  # the largest exponent that makes a power so many factors of the product it stands in


def parts(node: Any) -> tuple[Any, ...]:
    """Return what a matrix operation is made of: the expressions whose values :func:`emit_matrix` wants, in order."""
    if isinstance(node, sp.MatMul):
        return _factors(node)
    if isinstance(node, sp.ZeroMatrix | sp.OneMatrix | sp.Identity):
        return ()
    if isinstance(node, sp.ImmutableDenseMatrix):
        return tuple(node.args[2].args)
    if isinstance(node, sp.BlockMatrix):
        return tuple(node.args[0].args[2].args)
    if isinstance(node, MatrixSlice):
        return (node.args[0], *node.args[1].args, *node.args[2].args)
    return tuple(node.args)


def emit_matrix(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    """Return the value of a matrix operation (or of a Trace, a DotProduct, an element) from the values of its parts.

    Raises UnsupportedExpressionError for what has no rule: powers that are no whole number >= 1, inverses, steps of a
    slice that depend on data.
    """
    return MATRICES[type(node)](tape, node, values)


def _factors(node: Any) -> tuple[Any, ...]:
    """The factors of a product, of the products within it, and of small powers."""
    found: list[Any] = []
    pending = [node]
    while pending:
        top = pending.pop()
        if isinstance(top, sp.MatMul):
            pending.extend(reversed(top.args))
        elif type(top) is sp.MatPow and top.args[1].is_Integer and 1 <= top.args[1] <= _WRITTEN_OUT:
            pending.extend([top.args[0]] * int(top.args[1]))
        else:
            found.append(top)
    return tuple(found)


def _product(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    grids = [value for value in values if not isinstance(value, int)]
    numbers = [value for value in values if isinstance(value, int)]
    product = _chain(tape, grids)
    if not numbers:
        return product
    return tuple(tuple(tape.emit("mul", (*numbers, slot)) for slot in row) for row in product)


def _chain(tape: Tape, grids: Sequence[Grid]) -> Grid:
    """The product of matrices in the cheapest order."""
    if len(grids) > _LONG:
        return _from_one_end(tape, grids)
    sizes = [len(grids[0]), *(len(grid[0]) for grid in grids)]
    splits = _cheapest_splits(sizes)

    def between(first: int, last: int) -> Grid:
        if first == last:
            return grids[first]
        split = splits[first, last]
        return _times(tape, between(first, split), between(split + 1, last))

    return between(0, len(grids) - 1)


def _cheapest_splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split the product of the factors first ... last; factor i has the shape (sizes[i], sizes[i + 1])."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for first in range(count - length):
            last = first + length
            choices = [
                (cost[first, k] + cost[k + 1, last] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
                for k in range(first, last)
            ]
            cost[first, last], splits[first, last] = min(choices)
    return splits


def _from_one_end(tape: Tape, grids: Sequence[Grid]) -> Grid:
    """From the end whose matrix is the thinner one: a row from the left, a column from the right."""
    if len(grids[0]) < len(grids[-1][0]):
        product = grids[0]
        for grid in grids[1:]:
            product = _times(tape, product, grid)
        return product
    product = grids[-1]
    for grid in reversed(grids[:-1]):
        product = _times(tape, grid, product)
    return product


def _times(tape: Tape, left: Grid, right: Grid) -> Grid:
    if len(left[0]) != len(right):
        raise UnsupportedExpressionError(
            f"a matrix product: expected shapes that fit, got {shape_of(left)} times {shape_of(right)}; check the order"
        )
    columns = tuple(zip(*right, strict=True))
    return tuple(tuple(_dot(tape, row, column) for column in columns) for row in left)


def _dot(tape: Tape, left: Sequence[int], right: Sequence[int]) -> int:
    zero, one = tape.whole(0), tape.whole(1)
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a != zero and b != zero]
    if all(one in pair for pair in pairs):
        return _sum(tape, [b if a == one else a for a, b in pairs])
    if len(pairs) == 1:
        return tape.emit("mul", pairs[0])
    return tape.emit("dot", [slot for pair in pairs for slot in pair])


def _sum(tape: Tape, slots: Sequence[int]) -> int:
    if not slots:
        return tape.whole(0)
    return slots[0] if len(slots) == 1 else tape.emit("add", slots)


def _power(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    base, exponent = values
    if len(flat(base)) == 1:
        power_of_one = tape.emit("call", (scalar(base), scalar(exponent)), "Pow")
        return power_of_one if isinstance(base, int) else ((power_of_one,),)
    times = tape.integer(scalar(exponent))
    if times is None or times < 1 or isinstance(base, int):
        raise UnsupportedExpressionError(
            f"a power of a matrix of shape {shape_of(base)}: expected a whole exponent >= 1, got {node.args[1]}; "
            "write the product, or HadamardPower for the power of each element"
        )
    power: Grid | None = None
    while times:
        if times % 2:
            power = base if power is None else _times(tape, power, base)
        times //= 2
        base = _times(tape, base, base) if times else base
    assert power is not None
    return power


def _elementwise(kind: str, payload: str | None = None) -> Rule:
    """A scalar operation on the elements in the same place; numbers and 1x1 matrices stand for every place."""

    def rule(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
        # not the node's own shape: SymPy finds that by recursion, in a time that doubles with the depth
        rows, columns = max((shape_of(value) or (1, 1) for value in values), key=lambda shape: shape[0] * shape[1])

        def at(value: Value, i: int, j: int) -> int:
            return scalar(value) if isinstance(value, int) or shape_of(value) != (rows, columns) else value[i][j]

        return tuple(
            tuple(tape.emit(kind, [at(value, i, j) for value in values], payload) for j in range(columns))
            for i in range(rows)
        )

    return rule


def _transposed(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    value = values[0]
    return value if isinstance(value, int) else tuple(zip(*value, strict=True))


def _constant(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    rows, columns = (int(size) for size in node.shape)
    zero, one = tape.whole(0), tape.whole(1)
    if isinstance(node, sp.Identity):
        return _diagonal(tape, [one] * rows)
    return ((one if isinstance(node, sp.OneMatrix) else zero,) * columns,) * rows


def _diagonal(tape: Tape, slots: Sequence[int]) -> Grid:
    zero, places = tape.whole(0), range(len(slots))
    return tuple(tuple(slots[i] if i == j else zero for j in places) for i in places)


def _explicit(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    columns = int(node.args[1])
    slots = [scalar(value) for value in values]
    return tuple(tuple(slots[place : place + columns]) for place in range(0, len(slots), columns))


def _slice(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    parent = values[0]
    bounds = [tape.integer(scalar(value)) for value in values[1:]]
    if isinstance(parent, int) or None in bounds:
        raise UnsupportedExpressionError(
            "a slice of a matrix: expected whole numbers for its bounds; write them as numbers, e.g. W[0:2, :]"
        )
    rows, columns = slice(*bounds[:3]), slice(*bounds[3:])
    return tuple(row[columns] for row in parent[rows])


def _blocks(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    across = int(node.args[0].args[1])
    found: list[tuple[int, ...]] = []
    for place in range(0, len(values), across):
        grids = [((value,),) if isinstance(value, int) else value for value in values[place : place + across]]
        found += [tuple(slot for row in rows for slot in row) for rows in zip(*grids, strict=True)]
    return tuple(found)


def _trace(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    value = values[0]
    return value if isinstance(value, int) else _sum(tape, [row[i] for i, row in enumerate(value)])


def _element(tape: Tape, node: Any, values: Sequence[Value]) -> Value:
    """An element at fixed indices; else a choice among the elements by the data (a class label)."""
    matrix, wanted = values[0], [scalar(value) for value in values[1:]]
    grid: Grid = ((matrix,),) if isinstance(matrix, int) else matrix
    known = [tape.integer(slot) for slot in wanted]
    sizes = (len(grid), len(grid[0]))
    for index, size in zip(known, sizes, strict=True):
        if index is not None and not 0 <= index < size:
            raise UnsupportedExpressionError(
                f"an element of a matrix of shape {sizes}: expected an index from 0 to {size - 1}, got {index}"
            )
    rows, columns = (range(n) if k is None else (k,) for k, n in zip(known, sizes, strict=True))
    if None not in known:
        return grid[rows[0]][columns[0]]
    open_ = [(slot, size) for slot, size, index in zip(wanted, sizes, known, strict=True) if index is None]
    chosen = [grid[i][j] for i in rows for j in columns]
    return tape.emit("select", [*(slot for slot, _ in open_), *chosen], tuple(size for _, size in open_))


Rule = Callable[[Tape, Any, Sequence[Value]], Value]

# Every class that the oracle can evaluate. That of ``applyfunc`` binds a variable: ``record`` walks its body.
MATRICES: dict[type, Rule] = {
    sp.MatMul: _product,
    sp.MatAdd: _elementwise("add"),
    sp.MatPow: _power,
    sp.Inverse: _power,
    sp.Transpose: _transposed,
    sp.HadamardProduct: _elementwise("mul"),
    sp.HadamardPower: _elementwise("call", "Pow"),
    sp.ZeroMatrix: _constant,
    sp.OneMatrix: _constant,
    sp.Identity: _constant,
    sp.ImmutableDenseMatrix: _explicit,
    MatrixSlice: _slice,
    sp.BlockMatrix: _blocks,
    sp.DiagMatrix: lambda tape, node, values: _diagonal(tape, flat(values[0])),
    sp.Trace: _trace,
    sp.DotProduct: lambda tape, node, values: _dot(tape, flat(values[0]), flat(values[1])),
    MatrixElement: _element,
}
