"""Matrices -> Program: a matrix stays one variable, products in the cheapest order, sums over an index as axes.

What the programs compute is compared with the definitions by `matrix_evaluation`.
"""

from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.errors import UnsupportedExpressionError
from symgrad.passes.lowering import eliminate_dead
from symgrad.program import LEAVES, Builder, Program, fold
from symgrad.trace import Tracer, trace
from symgrad.trace.risk_to_program import RULES
from tests.helpers.declaring import penalty_of_the_rest, used_of
from tests.helpers.evaluate import DIGITS, output
from tests.helpers.matrix_evaluation import elements, evaluate

A, B = sp.MatrixSymbol("A", 2, 3), sp.MatrixSymbol("B", 3, 3)
c, d, x = sp.MatrixSymbol("c", 3, 1), sp.MatrixSymbol("d", 2, 1), sp.MatrixSymbol("x", 3, 1)
s, t, y = sp.Symbol("s", real=True), sp.Symbol("t", real=True), sp.Symbol("y", real=True)
i, j, k = sp.Idx("i", 3), sp.Idx("j", 2), sp.Idx("k", 3)
LEAF_PLACES = {A: 0, B: 6, c: 15, d: 18, s: 20}


def applied(body: Any, matrix: Any) -> Any:
    return ElementwiseApplyFunction(sp.Lambda(t, body), matrix)


def known() -> dict[Any, Any]:
    numbers = [mpmath.mpf(n * 7 % 19 - 8) / 4 for n in range(1, 25)]
    values: dict[Any, Any] = {s: numbers[20], x: [[numbers[n]] for n in (21, 22, 23)]}
    for symbol, place in LEAF_PLACES.items():
        if symbol is not s:
            m, n = symbol.shape
            values[symbol] = [[numbers[place + p * n + q] for q in range(n)] for p in range(m)]
    return values


def leaves() -> dict[str, list[Any]]:
    values = known()
    flat = [n for m in (A, B, c, d) for row in values[m] for n in row]
    return {"parameter": [*flat, values[s]], "input": [row[0] for row in values[x]], "target": [mpmath.mpf(1)]}


def program_of(loss: Any, **more: Any) -> Program:
    declared = {"inputs": [x], "targets": [y], "parameters": [A, B, c, d, s], "penalty": None} | more
    declared["penalty"] = penalty_of_the_rest(declared["parameters"], [loss], declared["penalty"])
    return trace(EmpiricalRisk.from_expression(loss, **declared))


def model_of(expression: Any) -> Program:
    """A whole matrix as the model's output."""
    z = sp.MatrixSymbol("z", *expression.shape)
    model = Model(expression, [x], [A, B, c, d, s])
    penalty = penalty_of_the_rest(model.parameters, model.outputs)
    return trace(EmpiricalRisk(model, Loss(sp.Trace(z.T * z) * y, z, y), penalty=penalty))


def operations(program: Program, name: str = "loss") -> list[str]:
    steps = (program.assignments[v] for v in sorted(program.needed(name)))
    return [step.operation for step in steps if step.operation not in LEAVES]


# ------------------------------------------------------------------------------------------------------------ meanings

MATRICES = [
    A * B * c,
    (A * B).T * d,
    A + 2 * A - sp.OneMatrix(2, 3) / 3,
    s * A - sp.ZeroMatrix(2, 3),
    sp.HadamardProduct(A, A, 2 * A),
    sp.HadamardPower(applied(sp.exp(t), A), s),
    sp.HadamardPower(A, 3),
    sp.HadamardPower(applied(sp.cosh(t), A), sp.Rational(-3, 2)),
    sp.MatPow(B, 5),
    B**2 * c,
    applied(sp.tanh(t * s) + t, A * B),
    applied(sp.Piecewise((t**2, t > s), (sp.exp(t), True)), B),
    applied(sp.Float(0.75), A),
    applied(t * sp.Trace(B), A),
    applied(sp.Sum(t * B[i, 0], (i, 0, 2)), A),
    sp.Identity(3) * s + B,
    sp.DiagMatrix(c) * B,
    sp.DiagMatrix(c.T) + B,
    sp.BlockMatrix([[A], [B]]) * c,
    sp.BlockMatrix([[A, d], [B, c]])[1:4, 2:4],
    sp.BlockMatrix([[sp.Matrix([[s]]), c.T]]),
    B[1:3, 0:2] * A[:, 1:2],
    (A * B)[1, :],
    (A * B)[:, 2:],
    sp.Matrix([[s, s**2, 3], [c[0, 0] * x[1, 0], 0, -s]]) * B,
    sp.Trace(c * x.T) * A,
    sp.MatPow(c.T * x + sp.Identity(1), 2) * sp.OneMatrix(1, 3),
    sp.Trace(B) * sp.tanh(sp.Trace(c * x.T)) * A,
    A * x + d,
]
NUMBERS = [
    sp.Trace(B * B.T * B),
    sp.Trace(B),
    sp.Trace(A * A.T),
    sp.DotProduct(c, x),
    sp.DotProduct(c.T, B * x),
    sp.exp((c.T * B * x)[0, 0] / 4),
    MatrixElement(A * B, 1, 2) * B[0, 1],
    MatrixElement(A * B, sp.Integer(0), sp.Integer(0)) - A[1, 1],
]
SUMS = [
    sp.Sum(c[i, 0], (i, 0, 2)),
    sp.Sum(c[i, 0] * x[i, 0], (i, 0, 2)),
    sp.Sum(c[i, 0] ** 2 * s + 3, (i, 1, 2)),
    sp.Sum(B[i, 1] * B[2, i], (i, 0, 2)),
    sp.Sum(B[i, i], (i, 0, 2)),
    sp.Sum(i * c[i, 0], (i, 0, 2)),
    sp.Sum(c[i, 0] ** (i + 1), (i, 0, 2)),
    sp.Sum(c[i + 1, 0] - c[i, 0], (i, 0, 1)),
    sp.Sum(c[2 - i, 0] * x[i, 0], (i, 0, 2)),
    sp.Sum(A[j, i] * x[i, 0] * d[j, 0], (i, 0, 2), (j, 0, 1)),
    sp.Sum(A[j, i] * x[i, 0] * d[j, 0], (j, 0, 1), (i, 0, 2)),
    sp.Sum(A[j, i] + c[i, 0] * d[j, 0] * s, (i, 0, 2), (j, 0, 1)),
    sp.Sum(c[i, 0] * d[j, 0], (i, 0, 2), (j, 0, 1)),
    sp.Sum(d[j, 0], (i, 0, 2), (j, 0, 1)),
    sp.Sum(s, (i, 0, 2), (j, 0, 1)),
    sp.Sum(sp.Sum(B[i, k] * x[k, 0], (k, 0, 2)) ** 2 * c[i, 0], (i, 0, 2)),
    sp.Sum(sp.tanh(sp.Sum(B[k, i] * x[k, 0], (k, 0, 2)) + c[i, 0]), (i, 0, 2)),
    sp.Sum(B[i, k] * B[k, i], (i, 0, 2), (k, 0, 2)),
    sp.Sum(sp.exp(-((B[i, k] - c[i, 0]) ** 2)) * x[k, 0], (i, 0, 2), (k, 0, 2)),
    sp.Sum(sp.Sum(sp.Sum(A[j, i] * B[i, k], (i, 0, 2)) * c[k, 0], (k, 0, 2)) * d[j, 0], (j, 0, 1)),
    sp.Sum(sp.Piecewise((c[i, 0], c[i, 0] > 0), (x[i, 0] * s, True)), (i, 0, 2)),
    sp.Sum(sp.Max(c[i, 0], 0) * sp.Trace(B), (i, 0, 2)),
    sp.Sum(B[i, 0] * sp.DotProduct(c, c), (i, 0, 2)),
    sp.Sum(MatrixElement(B * c, i, 0) * x[i, 0], (i, 0, 2)),
    sp.Sum(B[i, 1], (i, 2, 2)),
    sp.Sum(A[j, j + 1] * A[0, j], (j, 0, 1)),
]


@pytest.mark.parametrize("expression", MATRICES, ids=str)
def test_a_matrix_means_what_it_means_in_sympy(expression: Any) -> None:
    with mpmath.workdps(50):
        got = output(model_of(expression), "prediction", DIGITS, leaves())
        true = list(elements(evaluate(expression, known())).values())
        assert len(got) == len(true)
        assert all(abs(g - w) <= 1e-15 * (1 + abs(w)) for g, w in zip(got, true, strict=True)), (got, true)


@pytest.mark.parametrize("expression", [*NUMBERS, *SUMS], ids=str)
def test_a_number_of_matrices_means_what_it_means_in_sympy(expression: Any) -> None:
    with mpmath.workdps(50):
        (got,) = output(program_of(expression), "loss", DIGITS, leaves())
        (true,) = elements(evaluate(expression, known())).values()
        assert abs(got - true) <= 1e-15 * (1 + abs(true)), (got, true)


_rows, _columns = range(2), range(3)
MAXIMA = [
    (functions.maximum(c[i, 0], (i, 0, 2)), lambda v: max(row[0] for row in v[c])),
    (functions.maximum(c[i, 0] * s, (i, 0, 1)), lambda v: max(v[c][n][0] * v[s] for n in (0, 1))),
    (
        functions.maximum(A[j, i] * x[i, 0], (i, 0, 2), (j, 0, 1)),
        lambda v: max(v[A][m][n] * v[x][n][0] for m in _rows for n in _columns),
    ),
    (functions.maximum(sp.Sum(A[j, i], (i, 0, 2)), (j, 0, 1)), lambda v: max(map(sum, v[A]))),
    (
        sp.Sum(functions.maximum(A[j, i], (i, 0, 2)) * d[j, 0], (j, 0, 1)),
        lambda v: sum(max(v[A][m]) * v[d][m][0] for m in _rows),
    ),
    (functions.maximum(i * s, (i, 0, 2)), lambda v: max(n * v[s] for n in range(3))),
    (functions.maximum(s, (i, 0, 2)), lambda v: v[s]),
    (functions.maximum(c[i, 0], (i, 1, 1)), lambda v: v[c][1][0]),
    (
        sp.Trace(applied(functions.maximum(t * B[i, 0], (i, 0, 2)), B)),
        lambda v: sum(max(v[B][n][n] * v[B][m][0] for m in _columns) for n in _columns),
    ),
]


@pytest.mark.parametrize(("expression", "true"), MAXIMA, ids=[str(e) for e, _ in MAXIMA])
def test_the_greatest_over_an_index(expression: Any, true: Any) -> None:
    with mpmath.workdps(50):
        assert output(program_of(expression), "loss", DIGITS, leaves()) == (true(known()),)


_square = c.T * c + sp.Identity(1)
EXPONENTS = (sp.Rational(1, 2), -2, sp.Rational(-3, 2), sp.Rational(1, 3), s)


@pytest.mark.parametrize("exponent", EXPONENTS, ids=str)
def test_a_matrix_of_one_element_has_any_power(exponent: Any) -> None:
    program = program_of(sp.Trace(sp.MatPow(_square, exponent) * c.T * x))
    values = known()
    base = 1 + sum(row[0] ** 2 for row in values[c])
    factor = sum(p[0] * q[0] for p, q in zip(values[c], values[x], strict=True))
    with mpmath.workdps(50):
        power = base ** (values[s] if exponent is s else mpmath.mpf(exponent.p) / exponent.q if exponent != -2 else -2)
        (got,) = output(program, "loss", DIGITS, leaves())
        assert abs(got - power * factor) <= 1e-15 * abs(got)


def test_the_inverse_of_one_element_is_its_reciprocal() -> None:
    values = known()
    base = 1 + sum(row[0] ** 2 for row in values[c])
    with mpmath.workdps(50):
        (got,) = output(program_of(sp.Trace(sp.Inverse(_square)) * s), "loss", DIGITS, leaves())
        assert abs(got - values[s] / base) <= 1e-45


# ---------------------------------------------------------------------------------------------- nothing is written out


def test_a_matrix_that_is_used_whole_is_one_variable() -> None:
    program = program_of(sp.Trace(A * B * A.T) + c[0, 0] * s + d[1, 0])
    found = {(step.attribute, step.shape) for step in program.assignments if step.operation == "parameter"}
    elements_of_c_and_d = {(15 + n, ()) for n in range(5)}
    assert found == {(0, (2, 3)), (6, (3, 3)), (20, ()), *elements_of_c_and_d}


def test_a_network_of_any_size_is_as_many_operations() -> None:
    counts = []
    for size in (3, 300):
        W, V = sp.MatrixSymbol("W", size, size), sp.MatrixSymbol("V", 2, size)
        u, z = sp.MatrixSymbol("u", size, 1), sp.MatrixSymbol("z", 2, 1)
        model = Model(V * (W * u).applyfunc(sp.tanh), [u], [W, V])
        counts.append(len(trace(EmpiricalRisk(model, Loss((z.T * z)[0, 0], z, []))).assignments))
    assert counts[0] == counts[1] < 25


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (sp.Sum(c[i, 0] * x[i, 0], (i, 0, 2)), ["transpose", "matmul", "total"]),
        (sp.Sum(sp.Sum(B[i, k] * x[k, 0], (k, 0, 2)) ** 2, (i, 0, 2)), ["matmul", "power", "total"]),
        (sp.Sum(sp.exp(c[i, 0] * x[i, 0]), (i, 0, 2)), ["mul", "exp", "total"]),
        (functions.maximum(c[i, 0] * x[i, 0], (i, 0, 2)), ["mul", "largest"]),
        (sp.Sum(A[j, i] * x[i, 0] * d[j, 0], (i, 0, 2), (j, 0, 1)), ["fill", "matmul", "mul", "matmul", "total"]),
    ],
    ids=str,
)
def test_an_index_is_an_axis(expression: Any, expected: list[str]) -> None:
    """Not a term for each of its places; and what is a product of matrices is one."""
    found = operations(eliminate_dead(program_of(expression)))
    assert found[-1] == "mul"  # the weight's
    assert sorted(found[:-1]) == sorted(expected)


def test_a_long_sum_is_one_operation() -> None:
    long, n = sp.MatrixSymbol("long", 100_000, 1), sp.Symbol("n", integer=True)
    program = program_of(sp.Sum(long[n, 0] ** 2 * x[0, 0], (n, 0, 99_999)), parameters=[long])
    assert len(program.assignments) < 16


def products(program: Program) -> int:
    """Multiplications in products of matrices."""
    found = 0
    for step in program.assignments:
        if step.operation == "matmul":
            (m, n), (_, inner) = step.shape, program.assignments[step.arguments[0]].shape
            found += m * inner * n
    return found


def test_products_are_taken_in_the_cheapest_order() -> None:
    first, second, u = sp.MatrixSymbol("first", 20, 30), sp.MatrixSymbol("second", 10, 20), sp.MatrixSymbol("u", 30, 1)
    square = sp.MatrixSymbol("square", 10, 10)
    best = 20 * 30 + 10 * 20
    for output_, expected in (
        (second * first * u, best),
        ((u.T * first.T * second.T).T, best),
        (u.T * first.T * second.T, best),
        (first * u * u.T * first.T, 2 * 20 * 30 + 20 * 20),
        (square * second * first * u, best + 100),
        (sp.MatMul(*[square] * 50, second, first, u), best + 50 * 100),
    ):
        z = sp.MatrixSymbol("z", *output_.shape)
        risk = EmpiricalRisk(Model(output_, [u], used_of([first, second, square], output_)), Loss(z[0, 0], z, []))
        program = eliminate_dead(trace(risk))
        assert products(Program(program.assignments, {"p": program.outputs["prediction"]})) == expected


def test_powers_of_a_matrix_are_squared() -> None:
    program = program_of(sp.Trace(sp.MatPow(B, 16) * s))
    assert operations(program).count("matmul") <= 4


def test_equal_matrices_are_one_variable() -> None:
    program = program_of(sp.Trace(A * B * A.T) + sp.DotProduct((A * B) * c, d))
    assert operations(program).count("matmul") <= 3


# ------------------------------------------------------------------------------------------------ symbols and elements


def test_elements_and_wholes_of_one_matrix_are_the_same_numbers() -> None:
    loss = sp.Trace(B) + 10 * B[1, 2] + 100 * sp.Sum(B[i, 0], (i, 0, 2))
    values = [mpmath.mpf(n) for n in range(21)]
    (got,) = output(program_of(loss), "loss", DIGITS, {**leaves(), "parameter": values})
    assert got == (6 + 10 + 14) + 10 * 11 + 100 * (6 + 9 + 12)


def test_the_placeholder_of_a_matrix_is_bound_whole_or_by_its_elements() -> None:
    z = sp.MatrixSymbol("z", 2, 1)
    whole, explicit = A * B * c, sp.Matrix([A[0, 0] * s, A[1, 1] + s])
    squares = ((z.T * z)[0, 0], sp.Sum(z[j, 0] ** 2, (j, 0, 1)), z[0, 0] ** 2 + z[1, 0] ** 2)
    for output_ in (whole, explicit):
        for loss in (square + z[1, 0] for square in squares):
            model = Model(output_, [x], [A, B, c, s])
            rest = penalty_of_the_rest(model.parameters, model.outputs)
            program = trace(EmpiricalRisk(model, Loss(loss, z, []), penalty=rest))
            row = leaves()
            del row["parameter"][18:20]
            first, second = output(program, "prediction", DIGITS, row)
            (got,) = output(program, "loss", DIGITS, row)
            assert abs(got - (first**2 + second**2 + second)) < 1e-12


def test_the_variable_of_a_lambda_hides_a_symbol_of_its_name() -> None:
    program = program_of(sp.Trace(ElementwiseApplyFunction(sp.Lambda(s, s**2), B)) + s)
    values = known()
    true = sum(values[B][n][n] ** 2 for n in range(3)) + values[s]
    assert output(program, "loss", DIGITS, leaves()) == (true,)


def test_the_identity_is_applied_by_leaving_it_out() -> None:
    with pytest.raises(UnsupportedExpressionError, match=r"applies the identity.*leave the \.applyfunc out"):
        program_of(sp.Trace(B.applyfunc(sp.Lambda(t, t))) * s)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_a_class_label_names_an_element(at: int, whole: bool) -> None:
    label = sp.Symbol("label", integer=True)
    parent = B * c if whole else c
    program = program_of(MatrixElement(parent, label, 0) * s, targets=[label])
    values = known()
    (got,) = output(program, "loss", DIGITS, {**leaves(), "target": [mpmath.mpf(at)]})
    assert got == (evaluate(parent, values)[at][0]) * values[s]


def test_two_labels_name_a_row_and_a_column() -> None:
    p, q = sp.Symbol("p", integer=True), sp.Symbol("q", integer=True)
    program = program_of(MatrixElement(A * B, p, q) * s, targets=[p, q])
    true = evaluate(A * B, known())
    for row in range(2):
        for column in range(3):
            at = {**leaves(), "target": [mpmath.mpf(row), mpmath.mpf(column)]}
            assert output(program, "loss", DIGITS, at) == (true[row][column] * known()[s],)
    for row, column in ((0, 3), (0, -1), (2, 0), (-1, 1), (0, 1.5)):
        at = {**leaves(), "target": [mpmath.mpf(row), mpmath.mpf(column)]}
        assert mpmath.isnan(output(program, "loss", DIGITS, at)[0])


# ------------------------------------------------------------------------------------------------------ depth and width


def test_a_matrix_expression_ten_thousand_deep() -> None:
    deep: Any = c
    for _ in range(5000):  # Basic.__new__: SymPy's own constructors look at what is inside, one in the other
        deep = sp.Basic.__new__(sp.MatAdd, sp.Basic.__new__(sp.MatMul, sp.Rational(1, 2), deep), c)
    builder = Builder(fold=fold)
    place = builder.emit("input", attribute=0, shape=(3, 1))
    root = Tracer(builder, {c: place}, RULES).trace(deep)
    values = output(builder.program({"deep": (root,)}), "deep", DIGITS, {"input": [mpmath.mpf(n) for n in (1, 2, 3)]})
    assert [round(float(v), 9) for v in values] == [2, 4, 6]
