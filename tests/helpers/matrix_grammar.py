"""Random matrix expressions of every supported construct, and what SymPy itself makes of them in elements."""

import random
from collections.abc import Callable
from typing import Any

import sympy as sp
from hypothesis import reject
from sympy.matrices.exceptions import ShapeError
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

A, B = sp.MatrixSymbol("A", 2, 3), sp.MatrixSymbol("B", 3, 3)
u, v = sp.MatrixSymbol("u", 3, 1), sp.MatrixSymbol("v", 2, 1)
s = sp.Symbol("s")
SYMBOLS = (A, B, u, v, s)
SIZES = (6, 9, 3, 2, 1)
i, j = sp.Idx("i", 3), sp.Idx("j", 2)


class Maker:
    """Random matrix expressions of a given shape, and scalar ones, in SYMBOLS."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def matrix(self, rows: int, columns: int, depth: int) -> Any:
        if depth == 0:
            return self.leaf(rows, columns)
        makers: list[Callable[[int, int, int], Any]] = [
            *(self.product, self.product, self.total, self.scaled, self.turned, self.hadamard, self.mapped),
            *(self.powers, self.cut, self.stacked),
        ]
        if rows == columns:
            makers += [self.powered, self.diagonal]
        return self.rng.choice(makers)(rows, columns, depth - 1)

    def leaf(self, rows: int, columns: int) -> Any:
        fitting = [m for m in (A, B, u, v) if m.shape == (rows, columns)]
        fitting += [m.T for m in (A, B, u, v) if m.shape == (columns, rows)]
        fitting += [sp.Identity(rows)] if rows == columns else []
        if fitting and self.rng.random() < 0.8:
            return self.rng.choice(fitting)
        if self.rng.random() < 0.3:
            return self.rng.choice([sp.OneMatrix, sp.ZeroMatrix])(rows, columns)
        elements = [s, s**2, sp.Rational(1, 3), -1, u[0, 0] * v[1, 0], B[2, 1], 0, sp.Rational(3, 2)]
        return sp.ImmutableDenseMatrix(rows, columns, lambda p, q: self.rng.choice(elements))

    def product(self, rows: int, columns: int, depth: int) -> Any:
        inner = self.rng.choice([1, 2, 3])
        return self.matrix(rows, inner, depth) * self.matrix(inner, columns, depth)

    def total(self, rows: int, columns: int, depth: int) -> Any:
        return self.matrix(rows, columns, depth) + self.matrix(rows, columns, depth)

    def scaled(self, rows: int, columns: int, depth: int) -> Any:
        return self.scalar(max(0, depth - 1)) * self.matrix(rows, columns, depth)

    def turned(self, rows: int, columns: int, depth: int) -> Any:
        return sp.Transpose(self.matrix(columns, rows, depth))

    def hadamard(self, rows: int, columns: int, depth: int) -> Any:
        return sp.HadamardProduct(self.matrix(rows, columns, depth), self.matrix(rows, columns, depth))

    def powers(self, rows: int, columns: int, depth: int) -> Any:
        return sp.HadamardPower(self.matrix(rows, columns, depth), self.rng.choice([2, 3]))

    def mapped(self, rows: int, columns: int, depth: int) -> Any:
        t = self.rng.choice([sp.Dummy("t"), s])  # the variable may hide a declared symbol
        bodies = [sp.tanh(t), t**2 + t, sp.exp(-(t**2)), t * self.scalar(0) + 1 / (1 + t**2), sp.cos(3 * t)]
        return ElementwiseApplyFunction(sp.Lambda(t, self.rng.choice(bodies)), self.matrix(rows, columns, depth))

    def cut(self, rows: int, columns: int, depth: int) -> Any:
        first = self.rng.choice([0, 1])
        whole = sp.HadamardProduct(*(self.matrix(rows + 1, columns, depth) for _ in range(2)), evaluate=False)
        return whole[first : first + rows, 0:columns]

    def stacked(self, rows: int, columns: int, depth: int) -> Any:
        if rows == 1:
            return self.leaf(rows, columns)
        parts = [self.matrix(1, columns, depth), self.matrix(rows - 1, columns, depth)]
        return sp.BlockMatrix([[part] for part in parts])

    def powered(self, rows: int, columns: int, depth: int) -> Any:
        return sp.MatPow(self.matrix(rows, rows, depth), self.rng.choice([1, 2, 3]))

    def diagonal(self, rows: int, columns: int, depth: int) -> Any:
        return sp.DiagMatrix(self.matrix(rows, 1, depth)) if rows > 1 else self.leaf(rows, columns)

    def scalar(self, depth: int) -> Any:
        makers: list[Callable[[], Any]] = [
            lambda: s,
            lambda: B[1, 2],
            lambda: sp.Trace(self.matrix(3, 3, depth)),
            lambda: sp.DotProduct(u, u),
            lambda: sp.Sum(B[i, 1] ** 2 * u[i, 0] + s, (i, 0, 2)),
            lambda: sp.Sum(A[j, i] * B[i, i], (i, 0, 2), (j, 0, 1)),
            lambda: sp.tanh(sp.Trace(self.matrix(2, 2, depth))) - s,
        ]
        return self.rng.choice(makers)()


def made(make: Callable[[], Any]) -> Any:
    """What SymPy can make at all."""
    try:
        return make()
    except ShapeError:  # SymPy's own: it simplifies 0*A.T to a zero matrix of the wrong shape
        reject()


def explicit(expression: Any) -> Any:
    """SymPy's own way: matrices as their elements, sums and traces done."""
    whole = expression.replace(lambda e: isinstance(e, sp.Trace), lambda e: e.args[0].as_explicit().trace())
    whole = whole.replace(lambda e: isinstance(e, sp.DotProduct), lambda e: sum(p**2 for p in e.args[0].as_explicit()))
    return (whole.as_explicit() if isinstance(whole, sp.MatrixExpr) else sp.ImmutableDenseMatrix([[whole]])).doit()


def names() -> list[Any]:
    """The scalars of SYMBOLS in C order."""
    return [entry for symbol in SYMBOLS[:-1] for entry in symbol.as_explicit()] + [s]
