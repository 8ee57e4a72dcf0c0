"""Random models of matrices in every construct, and the same models written out in scalars, for tests that compile.

`Modeller` adds to `matrix_grammar.Maker` what only a whole model can hold: class labels, numbers of matrices of one
element, choices, greatest values. `written_out` is the twin of an expression: it follows the definition of each
operation, element by element, and shares nothing with symgrad.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

import symgrad as sg

from .matrix_grammar import Maker

label = sp.Symbol("label", integer=True)  # 0, 1 or 2
Known = Mapping[Any, Any]


class Modeller(Maker):
    """Random expressions in given symbols: matrices of shapes (2, 3), (3, 3), (3, 1) and (2, 1), and a scalar."""

    def __init__(self, seed: int, symbols: Sequence[Any], labels: bool = True) -> None:
        super().__init__(seed)
        self.symbols = tuple(symbols)
        self.labels = labels
        self.used = 0

    def matrix(self, rows: int, columns: int, depth: int) -> Any:
        if depth and self.rng.random() < 0.3:
            makers = [self.raised, self.blocks, self.part, self.outer, self.elements]
            return self.rng.choice(makers)(rows, columns, depth - 1)
        return super().matrix(rows, columns, depth)

    def leaf(self, rows: int, columns: int) -> Any:
        _, B, u, v, s = self.symbols
        matrices = self.symbols[:-1]
        fitting = [m for m in matrices if m.shape == (rows, columns)]
        fitting += [m.T for m in matrices if m.shape == (columns, rows)]
        fitting += [sp.Identity(rows)] if rows == columns else []
        if fitting and self.rng.random() < 0.8:
            return self.rng.choice(fitting)
        if self.rng.random() < 0.3:
            return self.rng.choice([sp.OneMatrix, sp.ZeroMatrix])(rows, columns)
        elements = [s, s**2, sp.Rational(1, 3), -1, u[0, 0] * v[1, 0], B[2, 1], 0, sp.Rational(3, 2)]
        return sp.ImmutableDenseMatrix(rows, columns, lambda p, q: self.rng.choice(elements))

    def mapped(self, rows: int, columns: int, depth: int) -> Any:
        _, _, u, v, s = self.symbols
        t, (k, _) = self.rng.choice([sp.Dummy("t"), s]), self.indices()  # the variable may hide a declared symbol
        outer = self.scalar(0)
        bodies = [
            *(sp.tanh(t), t**2 + t, sp.exp(-(t**2)), sp.cos(3 * t), sp.Abs(t), sp.Max(t, outer), sp.Min(t, 0)),
            *(t * outer + 1 / (1 + t**2), sp.log(1 + sp.exp(t)), sg.functions.sigmoid(t), sp.sqrt(1 + t**2) * outer),
            sp.Piecewise((sp.sqrt(t), t > 0), (t * outer, True)),
            sp.tanh(sp.Sum(t * u[k, 0], (k, 0, 2))) + sp.DotProduct(v, sp.ImmutableDenseMatrix([t, 1])),
            sp.Piecewise((sp.log(-t), t < sp.Rational(-1, 2)), (t**3, t < outer), (1 / (2 + t**2), True)),
        ]
        return ElementwiseApplyFunction(sp.Lambda(t, self.rng.choice(bodies)), self.matrix(rows, columns, depth))

    def raised(self, rows: int, columns: int, depth: int) -> Any:
        """Powers of any exponent, of positive elements."""
        exponent = self.rng.choice([sp.Rational(1, 2), sp.Rational(-3, 2), -2, sp.Rational(1, 3), self.symbols[-1]])
        t = sp.Dummy("t")
        positive = ElementwiseApplyFunction(sp.Lambda(t, 1 + t**2 / (1 + t**2)), self.matrix(rows, columns, depth))
        return sp.HadamardPower(positive, exponent)

    def blocks(self, rows: int, columns: int, depth: int) -> Any:
        if rows == 1 or columns == 1:
            return self.leaf(rows, columns)
        r, c = self.rng.randrange(1, rows), self.rng.randrange(1, columns)
        grid = [[self.matrix(m, n, max(0, depth - 1)) for n in (c, columns - c)] for m in (r, rows - r)]
        return sp.BlockMatrix(grid)

    def part(self, rows: int, columns: int, depth: int) -> Any:
        """Columns, or rows and columns, of something larger."""
        top, left = self.rng.choice([0, 1]), self.rng.choice([0, 1])
        whole = self.matrix(rows + self.rng.choice([0, 1]) * top, columns + 1, depth)
        top = min(top, int(whole.shape[0]) - rows)
        return MatrixSlice(whole, (top, top + rows), (left, left + columns))

    def outer(self, rows: int, columns: int, depth: int) -> Any:
        return self.matrix(rows, 1, depth) * self.matrix(1, columns, depth)

    def elements(self, rows: int, columns: int, depth: int) -> Any:
        """An explicit matrix of numbers."""
        made = [self.scalar(min(1, depth)) for _ in range(2)] + [self.symbols[1][0, 2], sp.Rational(1, 4)]
        return sp.ImmutableDenseMatrix(rows, columns, lambda p, q: self.rng.choice(made))

    def scalar(self, depth: int) -> Any:
        _, B, u, v, s = self.symbols
        i, _ = self.indices()
        makers: list[Callable[[], Any]] = [
            lambda: s,
            lambda: B[1, 2],
            lambda: sp.Trace(self.matrix(3, 3, depth)),
            lambda: sp.Trace(self.matrix(2, 3, depth) * self.matrix(3, 2, depth)),
            lambda: sp.DotProduct(u, self.matrix(3, 1, depth)),
            lambda: sp.tanh(self.matrix(1, 1, depth)[0, 0]),
            lambda: sp.cos((self.matrix(1, 3, depth) * self.matrix(3, 1, depth)) * sp.Identity(1)) + s,
            lambda: 1 / (1 + sp.DotProduct(u, u)) ** sp.Rational(3, 2),
            lambda: self.sum(depth),
            lambda: self.sum(depth),
            lambda: self.element(depth),
            lambda: self.greatest(depth),
            lambda: sp.log(sp.Sum(sp.exp(B[i, 0] + s), (i, 0, 2))) * v[0, 0],
            lambda: sp.sqrt(sp.Trace(u * u.T) + 1),
            lambda: sp.Trace(sp.Inverse(sp.MatAdd(u.T * self.matrix(3, 3, 0) ** 2 * u, 9 * sp.Identity(1)))),
            lambda: sp.Trace(sp.MatPow(u.T * u + sp.Identity(1), self.rng.choice([s, sp.Rational(-1, 2), 3]))),
            lambda: sp.Piecewise((sp.sqrt(s), s > 0), (self.element(0), True)),
        ]
        return self.rng.choice(makers)()

    def indices(self) -> tuple[Any, Any]:
        """Two that no other sum has: sums stand inside sums."""
        self.used += 1
        return sp.Idx(f"i{self.used}", 3), sp.Idx(f"j{self.used}", 2)

    def sum(self, depth: int) -> Any:
        A, B, u, v, s = self.symbols
        i, j = self.indices()
        inner = sp.tanh(self.scalar(0)) if depth else s
        sums = [
            sp.Sum(B[i, 1] ** 2 * u[i, 0] + inner, (i, 0, 2)),
            sp.Sum(A[j, i] * B[i, i], (i, 0, 2), (j, 0, 1)),
            sp.Sum(A[j, i] * u[i, 0] * v[j, 0] * inner, (i, 0, 2), (j, 0, 1)),
            sp.Sum(sp.tanh(B[i, j + 1] * A[j, i]) + u[i, 0], (j, 0, 1), (i, 0, 2)),
            sp.Sum(u[j + 1, 0] * v[j, 0] + u[j, 0] ** 2, (j, 0, 1)),
            sp.Sum(sp.exp(-B[j, j + 1] * inner) * A[1, j], (j, 0, 1)),
            sp.Sum(sp.Sum(B[i, j], (i, 0, 2)) ** 2 * v[j, 0], (j, 0, 1)),
            sp.Sum(u[i, 0] ** (j + 2) * v[j, 0], (i, 1, 2), (j, 0, 1)),
            sp.Sum(B[i, 0] * B[0, i] * sp.Piecewise((u[i, 0], u[i, 0] > 0), (v[1, 0], True)), (i, 0, 2)),
            sp.Sum(sp.Trace(u * u.T) * A[j, 0], (j, 0, 1)),
            sp.Sum(i * u[i, 0] * sp.Sum(A[j, i] * inner, (j, 0, 1)), (i, 0, 2)),
        ]
        if self.labels:
            sums += [sp.Sum(B[label, i] * u[i, 0], (i, 0, 2)), sp.Sum(B[i, label] * inner, (i, 0, 2))]
        return self.rng.choice(sums)

    def element(self, depth: int) -> Any:
        row = self.rng.choice([label, 0, 2]) if self.labels else self.rng.choice([0, 1, 2])
        columns = self.rng.choice([1, 3])
        column = self.rng.choice([0, columns - 1, *([label] if self.labels and columns == 3 else [])])
        return MatrixElement(self.matrix(3, columns, depth), row, column)

    def greatest(self, depth: int) -> Any:
        A, B, u, v, s = self.symbols
        i, j = self.indices()
        greatest = [
            sg.functions.maximum(u[i, 0] * B[1, i], (i, 0, 2)),
            sg.functions.maximum(sp.sin(A[j, i] + u[i, 0]), (i, 0, 2), (j, 0, 1)),
            sp.Sum(sg.functions.maximum(A[j, i] * u[i, 0], (i, 0, 2)) * v[j, 0], (j, 0, 1)),
            sg.functions.maximum(sp.Sum(A[j, i] * u[i, 0], (i, 0, 2)) + v[j, 0], (j, 0, 1)),
            sg.functions.maximum(B[j + 1, j] * s, (j, 0, 1)),
        ]
        return self.rng.choice(greatest)


# ---------------------------------------------------------------------------------------------------- written out


def written_out(node: Any, known: Known) -> Any:
    """A scalar expression, or the rows of a matrix: what a node means. ``known``: symbols, and rows for matrices."""
    if node in known:
        return known[node]
    if isinstance(node, MatrixElement):
        rows, *places = (written_out(part, known) for part in node.args)
        return _element(rows, *places)
    if isinstance(node, sp.Sum | sg.functions.maximum):
        return _over_index(node, known)
    if isinstance(node, sp.Trace):
        rows = written_out(node.arg, known)
        return sp.Add(*(rows[k][k] for k in range(len(rows))))
    if isinstance(node, sp.DotProduct):
        x, y = ([e for row in written_out(part, known) for e in row] for part in node.args)
        return sp.Add(*(a * b for a, b in zip(x, y, strict=True)))
    if isinstance(node, sp.MatrixExpr | sp.MatrixBase):
        return _matrix(node, known)
    if not node.args:
        return node
    parts = [number(written_out(part, known)) for part in node.args]
    if isinstance(node, sp.Piecewise):
        return sp.Piecewise(*parts, evaluate=False)
    if isinstance(node, sp.functions.elementary.piecewise.ExprCondPair):
        return sp.functions.elementary.piecewise.ExprCondPair(*parts)
    return node.func(*parts)


def number(value: Any) -> Any:
    """The only element of a matrix of one; a number as it is."""
    return value[0][0] if isinstance(value, list) else value


def _element(rows: list[list[Any]], row: Any, column: Any) -> Any:
    """The element of a place, or, for a class label, of the place that it names."""
    places = product(*(range(n) if p == label else [int(p)] for p, n in ((row, len(rows)), (column, len(rows[0])))))
    cases = [(r, c) for r, c in places if not (row == label and column == label and r != c)]
    if row != label and column != label:
        return rows[int(row)][int(column)]
    chosen = [(rows[r][c], sp.Eq(label, r if row == label else c)) for r, c in cases[:-1]]
    return sp.Piecewise(*chosen, (rows[cases[-1][0]][cases[-1][1]], True), evaluate=False)


def _over_index(node: Any, known: Known) -> Any:
    *inner, (index, low, high) = node.args[1:]
    body = node.func(node.args[0], *inner) if inner else node.args[0]
    places = range(int(written_out(low, known)), int(written_out(high, known)) + 1)
    terms = [number(written_out(body, {**known, index: sp.Integer(k)})) for k in places]
    if isinstance(node, sp.Sum):
        return sp.Add(*terms)
    greatest = terms[0]
    for term in terms[1:]:
        greatest = sp.Piecewise((term, sp.Gt(term, greatest, evaluate=False)), (greatest, True), evaluate=False)
    return greatest


def _matrix(node: Any, known: Known) -> Any:
    rows, columns = (int(size) for size in node.shape)
    if isinstance(node, sp.MatMul):
        value = written_out(node.args[0], known)
        for factor in node.args[1:]:
            value = _times(value, written_out(factor, known))
        return value
    if isinstance(node, sp.MatPow):
        base, exponent = (written_out(part, known) for part in node.args)
        if (rows, columns) == (1, 1):
            return [[number(base) ** exponent]]
        value = base
        for _ in range(int(exponent) - 1):
            value = _times(value, base)
        return value
    if isinstance(node, sp.BlockMatrix):
        count = int(node.blocks.cols)
        blocks = [written_out(block, known) for block in node.blocks]
        bands = [blocks[k : k + count] for k in range(0, len(blocks), count)]
        return [[e for row in line for e in row] for band in bands for line in zip(*band, strict=True)]
    if isinstance(node, MatrixSlice):
        (top, bottom, _), (left, right, _) = node.args[1:]
        return [row[int(left) : int(right)] for row in written_out(node.parent, known)[int(top) : int(bottom)]]
    if isinstance(node, sp.MatrixBase):
        return [[number(written_out(node[r, c], known)) for c in range(columns)] for r in range(rows)]
    element = _elementwise(node, known)
    return [[element(r, c) for c in range(columns)] for r in range(rows)]


def _elementwise(node: Any, known: Known) -> Callable[[int, int], Any]:
    constants: dict[type, Callable[[int, int], Any]] = {
        sp.ZeroMatrix: lambda r, c: sp.S.Zero,
        sp.OneMatrix: lambda r, c: sp.S.One,
        sp.Identity: lambda r, c: sp.Integer(r == c),
    }
    if type(node) in constants:
        return constants[type(node)]
    if isinstance(node, ElementwiseApplyFunction):
        (place,), inside = node.function.variables, written_out(node.expr, known)
        return lambda r, c: number(written_out(node.function.expr, {**known, place: inside[r][c]}))
    if isinstance(node, sp.HadamardPower):
        base, exponent = (written_out(part, known) for part in node.args)
        return lambda r, c: base[r][c] ** exponent
    parts = [written_out(part, known) for part in node.args]
    elements: dict[type, Callable[[int, int], Any]] = {
        sp.MatAdd: lambda r, c: sp.Add(*(part[r][c] for part in parts)),
        sp.HadamardProduct: lambda r, c: sp.Mul(*(part[r][c] for part in parts)),
        sp.Transpose: lambda r, c: parts[0][c][r],
        sp.DiagMatrix: lambda r, c: [e for row in parts[0] for e in row][r] if r == c else sp.S.Zero,
    }
    return elements[type(node)]


def _times(left: Any, right: Any) -> Any:
    if not isinstance(left, list):
        return [[left * x for x in row] for row in right] if isinstance(right, list) else left * right
    if not isinstance(right, list):
        return _times(right, left)
    return [
        [sp.Add(*(a * b for a, b in zip(row, line, strict=True))) for line in zip(*right, strict=True)] for row in left
    ]
