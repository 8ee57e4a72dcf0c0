"""Arithmetic of matrix expressions that stays readable: no brackets, identities or double transposes that need not be.

A scalar stands for each 1x1 matrix. Nothing is written out in elements.
"""

from collections.abc import Iterator
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

__all__ = [
    "VARIABLE",
    "applied",
    "elementwise",
    "hadamard",
    "inner",
    "is_matrix",
    "is_one",
    "plus",
    "product",
    "scalar_of",
    "times",
    "turned",
]

VARIABLE = sp.Dummy("x", real=True)  # of every function that is applied elementwise


def is_matrix(node: Any) -> bool:
    """Return whether it is a matrix expression or an explicit matrix."""
    return isinstance(node, sp.MatrixExpr | sp.MatrixBase)


def is_one(node: Any) -> bool:
    """Return whether a matrix has one element."""
    return tuple(node.shape) == (1, 1)


def elementwise(body: Any, argument: Any) -> Any:
    """Return the function VARIABLE -> body of each element.

    SymPy's own way tries a whole 1x1 matrix first, and fails.
    """
    return sp.MatrixExpr.__new__(ElementwiseApplyFunction, sp.Lambda(VARIABLE, body), argument)


def scalar_of(matrix: Any) -> Any:
    """Return the only element of a 1x1 matrix as a scalar expression."""
    if isinstance(matrix, sp.Transpose):
        return scalar_of(matrix.arg)
    if isinstance(matrix, sp.OneMatrix | sp.Identity):
        return sp.S.One
    if isinstance(matrix, sp.ZeroMatrix):
        return sp.S.Zero
    if isinstance(matrix, sp.MatrixBase):
        return matrix[0, 0]
    if isinstance(matrix, sp.MatrixSymbol):
        return MatrixElement(matrix, sp.S.Zero, sp.S.Zero)
    if isinstance(matrix, sp.MatMul):
        factor, parts = sp.Mul(*(a for a in matrix.args if not is_matrix(a))), [a for a in matrix.args if is_matrix(a)]
        if len(parts) == 1:
            return factor * scalar_of(parts[0])
        return factor * sp.Trace(sp.MatMul(*parts))
    if isinstance(matrix, MatrixSlice) and isinstance(matrix.parent, sp.MatrixSymbol):
        return MatrixElement(matrix.parent, matrix.rowslice[0], matrix.colslice[0])
    return sp.Trace(matrix)


def turned(matrix: Any) -> Any:
    """Return the transpose, taken to the factors of products, and to the terms of a sum of transposed ones."""
    if not is_matrix(matrix) or isinstance(matrix, sp.Identity | sp.DiagMatrix):
        return matrix
    if isinstance(matrix, sp.OneMatrix | sp.ZeroMatrix):
        return matrix.func(*reversed(matrix.shape))
    if isinstance(matrix, sp.Transpose):
        return matrix.arg
    if isinstance(matrix, sp.MatMul):
        scalars, parts = split(matrix)
        return sp.MatMul(scalars, *(turned(part) for part in reversed(parts)))
    terms = matrix.args if isinstance(matrix, sp.MatAdd | sp.HadamardProduct) else ()
    if terms and all(isinstance(parts[0], sp.Transpose) for _, parts in map(split, terms)):
        return matrix.func(*(turned(part) for part in terms))
    return sp.Transpose(matrix)


def split(matrix: Any) -> tuple[Any, list[Any]]:
    """Return a product's scalar factor, and its matrices."""
    if not isinstance(matrix, sp.MatMul):
        return sp.S.One, [matrix]
    scalars, parts = [a for a in matrix.args if not is_matrix(a)], [a for a in matrix.args if is_matrix(a)]
    pieces = [split(part) for part in parts]
    return sp.Mul(*scalars, *(s for s, _ in pieces)), [p for _, more in pieces for p in more]


def product(scalar: Any, matrices: list[Any]) -> Any:
    """Return a product of at least one matrix, without identities and brackets."""
    pieces = [split(matrix) for matrix in matrices]
    factor, flat = sp.Mul(scalar, *(s for s, _ in pieces)), [p for _, parts in pieces for p in parts]
    kept = [p for p in flat if not isinstance(p, sp.Identity)] or flat[:1]
    if factor == 0 or any(isinstance(p, sp.ZeroMatrix) for p in kept):
        return sp.ZeroMatrix(flat[0].shape[0], flat[-1].shape[1])
    return kept[0] if factor == 1 and len(kept) == 1 else sp.MatMul(*([factor] if factor != 1 else []), *kept)


def times(scalars: list[Any], left: list[Any], g: Any, right: list[Any], like: Any) -> Any:
    """Return ``scalars*left*g*right`` in the shape of ``like``."""
    factor = sp.Mul(*scalars)
    middle = [g] if is_matrix(g) else []
    factor = factor if middle else factor * g
    if not (left or middle or right):
        return factor
    whole = product(factor, [*left, *middle, *right])
    return scalar_of(whole) if is_one(like) else whole


def inner(g: Any, matrices: list[Any]) -> Any:
    """Return the sum over all elements of ``g`` times those of the product."""
    whole = product(sp.S.One, matrices)
    return scalar_of(product(sp.S.One, [turned(g), whole])) if is_matrix(g) else g * scalar_of(whole)


def hadamard(g: Any, others: list[Any]) -> Any:
    """Return ``g`` times others element by element."""
    if not is_matrix(g):
        return sp.Mul(g, *(scalar_of(other) for other in others))
    pieces = [split(part) for part in (g, *others)]
    factor = sp.Mul(*(s for s, parts in pieces))
    products = [product(sp.S.One, parts) for _, parts in pieces]
    if factor == 0 or any(isinstance(p, sp.ZeroMatrix) for p in products):
        return sp.ZeroMatrix(*g.shape)
    flat = [f for p in products for f in (p.args if isinstance(p, sp.HadamardProduct) else (p,))]
    kept = [p for p in flat if not isinstance(p, sp.OneMatrix)] or flat[:1]
    return product(factor, [kept[0] if len(kept) == 1 else sp.HadamardProduct(*kept)])


def applied(body: Any, argument: Any) -> Any:
    """Return the function VARIABLE -> body of each element."""
    if body == VARIABLE:
        return argument
    if not body.has(VARIABLE):
        return product(body, [sp.OneMatrix(*argument.shape)])
    return elementwise(body, argument)


def plus(terms: list[Any], symbol: Any) -> Any:
    """Return the sum of contributions to the derivative by ``symbol``, like terms collected."""
    if not is_matrix(symbol) or is_one(symbol):
        return sp.Add(*terms)
    factors: dict[Any, Any] = {}
    for term in terms:
        for scalar, matrices in _terms(term):
            whole = product(sp.S.One, matrices)
            factors[whole] = factors.get(whole, sp.S.Zero) + scalar
    kept = [product(scalar, [whole]) for whole, scalar in factors.items()]
    kept = [part for part in kept if not isinstance(part, sp.ZeroMatrix)]
    return kept[0] if len(kept) == 1 else sp.MatAdd(*kept) if kept else sp.ZeroMatrix(*symbol.shape)


def _terms(matrix: Any) -> Iterator[tuple[Any, list[Any]]]:
    """The terms of a sum, of a multiple of one too: the scalar factor and the matrices of each."""
    scalar, matrices = split(matrix)
    if len(matrices) == 1 and isinstance(matrices[0], sp.MatAdd):
        for term in matrices[0].args:
            own, parts = split(term)
            yield scalar * own, parts
    else:
        yield scalar, matrices
