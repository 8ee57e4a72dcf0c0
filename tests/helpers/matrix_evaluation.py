"""Evaluates SymPy expressions that hold matrices, to 50 digits, by the definition of each operation.

For tests of formulae: it shares nothing with symgrad. A matrix is a list of rows.
"""

from collections.abc import Mapping
from itertools import chain, product
from typing import Any

import mpmath
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

Known = Mapping[Any, Any]


def evaluate(node: Any, known: Known) -> Any:
    """The value of an expression: a number, or a list of rows."""
    if node in known:
        return known[node]
    if isinstance(node, sp.MatrixExpr | sp.MatrixBase):
        return _matrix(node, known)
    if isinstance(node, sp.Derivative):
        return evaluate(node.doit(), known)
    if isinstance(node, MatrixElement):
        row, column = (int(evaluate(place, known)) for place in node.args[1:])
        return evaluate(node.args[0], known)[row][column]
    if isinstance(node, sp.Trace):
        return sum(row[place] for place, row in enumerate(evaluate(node.arg, known)))
    if isinstance(node, sp.DotProduct):
        left, right = (_flat(evaluate(argument, known)) for argument in node.args)
        return mpmath.fdot(left, right)
    if isinstance(node, sp.Sum):
        (*inner, (index, low, high)) = node.limits
        body = sp.Sum(node.function, *inner) if inner else node.function
        return sum(evaluate(body, {**known, index: mpmath.mpf(k)}) for k in range(int(low), int(high) + 1))
    if isinstance(node, sp.KroneckerDelta):
        return mpmath.mpf(evaluate(node.args[0], known) == evaluate(node.args[1], known))
    if isinstance(node, sp.Piecewise):
        return evaluate(next(value for value, condition in node.args if _holds(condition, known)), known)
    if not node.args:
        return mpmath.mpmathify(sp.N(node, 50))
    numbers = [evaluate(argument, known) for argument in node.args]
    numbers = [n[0][0] if isinstance(n, list) else n for n in numbers]
    return mpmath.mpmathify(sp.N(node.func(*(sp.Float(n, 50) for n in numbers)), 50))


def _holds(condition: Any, known: Known) -> bool:
    if not condition.args:
        return bool(condition)
    return bool(condition.func(*(sp.Float(evaluate(side, known), 50) for side in condition.args)))


def _matrix(node: Any, known: Known) -> Any:
    rows, columns = (int(size) for size in node.shape)

    def filled(element: Any) -> Any:
        return [[element(i, j) for j in range(columns)] for i in range(rows)]

    if isinstance(node, sp.MatrixBase):
        return filled(lambda i, j: evaluate(node[i, j], known))
    if isinstance(node, sp.MatMul):
        result: Any = mpmath.mpf(1)
        for factor in node.args:
            result = _times(result, evaluate(factor, known))
        return result
    if isinstance(node, sp.MatPow):
        result = evaluate(node.base, known)
        for _ in range(int(node.exp) - 1):
            result = _times(result, evaluate(node.base, known))
        return result
    if isinstance(node, sp.BlockMatrix):
        blocks = [
            [evaluate(node.blocks[i, j], known) for j in range(node.blocks.cols)] for i in range(node.blocks.rows)
        ]
        return [_flat(line) for band in blocks for line in zip(*band, strict=True)]
    if isinstance(node, MatrixSlice):
        parent = evaluate(node.parent, known)
        return [row[slice(*map(int, node.colslice))] for row in parent[slice(*map(int, node.rowslice))]]
    if isinstance(node, sp.FunctionMatrix):
        return filled(
            lambda i, j: evaluate(node.lamda.expr, {**known, **dict(zip(node.lamda.variables, (i, j), strict=True))})
        )
    if isinstance(node, ElementwiseApplyFunction):
        inner, (variable,) = evaluate(node.expr, known), node.function.variables
        body = node.function.expr.doit() if isinstance(node.function.expr, sp.Derivative) else node.function.expr
        return filled(lambda i, j: evaluate(body, {**known, variable: inner[i][j]}))
    if isinstance(node, sp.HadamardPower):
        base, exponent = evaluate(node.base, known), evaluate(node.exp, known)
        return filled(lambda i, j: base[i][j] ** exponent)
    constants = {sp.ZeroMatrix: lambda i, j: 0, sp.OneMatrix: lambda i, j: 1, sp.Identity: lambda i, j: i == j}
    if type(node) in constants:
        return filled(lambda i, j: mpmath.mpf(constants[type(node)](i, j)))
    parts = [evaluate(argument, known) for argument in node.args]
    elements = {
        sp.MatAdd: lambda i, j: sum(part[i][j] for part in parts),
        sp.HadamardProduct: lambda i, j: mpmath.fprod(part[i][j] for part in parts),
        sp.Transpose: lambda i, j: parts[0][j][i],
        sp.DiagMatrix: lambda i, j: _flat(parts[0])[i] if i == j else mpmath.mpf(0),
    }
    return filled(elements[type(node)])


def _flat(rows: Any) -> list[Any]:
    return list(chain.from_iterable(rows))


def _times(left: Any, right: Any) -> Any:
    if not isinstance(left, list):
        return [[left * x for x in row] for row in right] if isinstance(right, list) else left * right
    if not isinstance(right, list):
        return _times(right, left)
    return [
        [mpmath.fsum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)]
        for row in left
    ]


def number(value: Any) -> Any:
    """The only element of a 1x1 matrix; a number as it is."""
    return value[0][0] if isinstance(value, list) else value


def elements(value: Any) -> dict[tuple[int, int], Any]:
    """The elements by their places; a number is at (0, 0)."""
    if not isinstance(value, list):
        return {(0, 0): value}
    return {(i, j): value[i][j] for i, j in product(range(len(value)), range(len(value[0])))}
