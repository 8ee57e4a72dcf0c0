"""The shapes of the matrices in an expression, checked: products that fit, sums of equals, numbers where numbers stand.

SymPy's own ``shape`` asks the parts, one inside the other, each time anew; here every matrix is asked once.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.errors import DeclarationError, UnsupportedExpressionError

from .walks import children, postorder
from .words import show

__all__ = ["shapes_of"]

Shape = tuple[int, int]

_ALL_MATRICES = (
    *(sp.MatAdd, sp.HadamardProduct, sp.Transpose, sp.DiagMatrix, sp.BlockMatrix, MatrixSlice),
    *(sp.Trace, DotProduct, MatrixElement),
)


def shapes_of(where: str, roots: Iterable[Any]) -> dict[int, Shape]:
    """Return the shape of every matrix expression in ``roots``, by ``id``. A scalar expression is not among them.

    Raises:
        DeclarationError: for shapes that do not fit, or are no whole numbers.
        UnsupportedExpressionError: for a matrix, other than one of a single element, where a number is expected, and
            for a number where a matrix is.
    """
    shapes: dict[int, Shape] = {}
    for node in postorder(roots):
        for child, is_matrix in _positions(node):
            if is_matrix and id(child) not in shapes:
                raise UnsupportedExpressionError(
                    f"{where}: {show(child)} stands where a matrix is expected, in {show(node)}; "
                    "write the operation with a matrix there"
                )
            if not is_matrix and shapes.get(id(child), (1, 1)) != (1, 1):
                raise _whole_matrix(where, child, shapes[id(child)], node)
        if isinstance(node, sp.MatrixExpr):
            shapes[id(node)] = _RULES.get(type(node), _own)(where, node, shapes)
    return shapes


def _positions(node: Any) -> list[tuple[Any, bool]]:
    """The children of a node, each with whether a matrix is expected there, and not a number."""
    parts = children(node)
    if isinstance(node, _ALL_MATRICES):
        return [(part, True) for part in parts]
    if isinstance(node, sp.MatMul):
        return [(part, part.is_Matrix) for part in parts]
    if isinstance(node, sp.MatPow | sp.HadamardPower):
        return [(parts[0], True), *((part, False) for part in parts[1:])]
    if isinstance(node, ElementwiseApplyFunction):
        return [(parts[0], False), (parts[1], True)]
    return [(part, False) for part in parts]


def _whole_matrix(where: str, matrix: Any, shape: Shape, parent: Any) -> UnsupportedExpressionError:
    return UnsupportedExpressionError(
        f"{where}: the matrix {show(matrix)} of shape {shape} stands where a number is expected, in {show(parent)}; "
        "write one of its elements, e.g. W[0, 0], or apply the function to each with .applyfunc"
    )


def _own(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    """The shape that a matrix has by itself."""
    if not all(isinstance(size, int | sp.Integer) and size > 0 for size in node.shape):
        shape = ", ".join(map(str, node.shape))
        raise DeclarationError(
            f"{where}: {show(node)} has the shape ({shape}); expected whole numbers > 0; write its sizes as numbers"
        )
    return int(node.shape[0]), int(node.shape[1])


def _product(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    factors = [factor for factor in node.args if factor.is_Matrix]
    for left, right in pairwise(factors):
        if shapes[id(left)][1] != shapes[id(right)][0]:
            raise DeclarationError(
                f"{where}: a product multiplies {show(left)} of shape {shapes[id(left)]} by {show(right)} of shape "
                f"{shapes[id(right)]}; expected as many columns in the first as rows in the second"
            )
    return shapes[id(factors[0])][0], shapes[id(factors[-1])][1]


def _alike(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    first, *others = node.args
    for other in others:
        if shapes[id(other)] != shapes[id(first)]:
            raise DeclarationError(
                f"{where}: {show(node)} joins {show(first)} of shape {shapes[id(first)]} and {show(other)} of shape "
                f"{shapes[id(other)]}; expected equal shapes"
            )
    return shapes[id(first)]


def _transposed(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    rows, columns = shapes[id(node.args[0])]
    return columns, rows


def _diagonal(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    shape = shapes[id(node.args[0])]
    if 1 not in shape:
        raise DeclarationError(f"{where}: {show(node)} has a diagonal of shape {shape}; expected a row or a column")
    return max(shape), max(shape)


def _blocks(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    blocks, (_, columns) = children(node), node.blockshape
    return (
        sum(shapes[id(block)][0] for block in blocks[::columns]),
        sum(shapes[id(block)][1] for block in blocks[:columns]),
    )


def _slice(where: str, node: Any, shapes: Mapping[int, Shape]) -> Shape:
    # the bounds of a slice may hold the index of a Sum, but not their difference: the declaration has checked it
    rows, columns = (int(stop - start) for start, stop, _ in node.args[1:])
    return rows, columns


_RULES: dict[type, Callable[[str, Any, Mapping[int, Shape]], Shape]] = {
    sp.MatMul: _product,
    sp.MatAdd: _alike,
    sp.HadamardProduct: _alike,
    sp.Transpose: _transposed,
    sp.DiagMatrix: _diagonal,
    sp.BlockMatrix: _blocks,
    MatrixSlice: _slice,
    sp.MatPow: lambda where, node, shapes: shapes[id(node.args[0])],
    sp.Inverse: lambda where, node, shapes: shapes[id(node.args[0])],
    sp.HadamardPower: lambda where, node, shapes: shapes[id(node.args[0])],
    ElementwiseApplyFunction: lambda where, node, shapes: shapes[id(node.args[1])],
}
