"""The fingerprint of a declaration: the same in every process, another for whatever differs."""

from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.functions import maximum

from ..helpers.declaring import penalty_of_the_rest

x, y, A, k, p = sp.symbols("x y A k p")
SQUARED = Loss((p - y) ** 2 / 2, prediction=p, target=y)


def risk_of(output: Any = A * x, **changes: Any) -> str:
    declared = {"inputs": [x], "parameters": [A, k], "name": "risk", "penalty": None, "loss": SQUARED} | changes
    built = Model(output, inputs=declared["inputs"], parameters=declared["parameters"])
    penalty = penalty_of_the_rest(declared["parameters"], built.outputs, declared["penalty"])
    return EmpiricalRisk(built, declared["loss"], penalty=penalty, name=declared["name"]).fingerprint


def test_the_same_declaration_has_the_same_fingerprint() -> None:
    assert risk_of() == risk_of()
    shared = sp.sin(A * x)
    apart = sp.Add(shared, sp.sin(sp.Mul(A, x, evaluate=False), evaluate=False) ** 2, evaluate=False)
    assert risk_of(sp.Add(shared, shared**2, evaluate=False)) == risk_of(apart)
    real = sp.Symbol("x", real=True)
    assert risk_of(A * real, inputs=[real]) == risk_of()


def test_whatever_differs_has_another_fingerprint() -> None:
    q, b, n = sp.Symbol("q"), sp.Symbol("B"), sp.Symbol("y", integer=True)
    one = sp.MatrixSymbol("A", 1, 1)
    tall, wide = sp.MatrixSymbol("A", 3, 2), sp.MatrixSymbol("A", 2, 3)
    different = [
        risk_of(),
        risk_of(name="other"),
        risk_of(A * x * 2),
        risk_of(k * x),
        risk_of(parameters=[k, A]),
        risk_of(parameters=[A]),
        risk_of(b * x, parameters=[b, k]),
        risk_of(inputs=[x, q]),
        risk_of(inputs=[q, x]),
        risk_of(inputs=[x], parameters=[A, k, q]),
        risk_of(penalty=A + k),
        risk_of(penalty=2 * k),
        risk_of(loss=Loss((p - y) ** 2, prediction=p, target=y)),
        risk_of(loss=Loss((p - n) ** 2 / 2, prediction=p, target=n)),
        risk_of(sp.Matrix([A * x])),
        risk_of(A * x + 0.1),
        risk_of(A * x + sp.Float("0.1", 50)),
        risk_of(A * x + sp.Rational(1, 10)),
        risk_of(A * x + 0.5),
        risk_of(A * x + sp.Float("0.5", 50)),
        risk_of(one[0, 0] * x, parameters=[one, k]),
        risk_of(tall[1, 1] * x, parameters=[tall, k]),
        risk_of(wide[1, 1] * x, parameters=[wide, k]),
        risk_of(wide[1, 0] * x, parameters=[wide, k]),
        EmpiricalRisk.from_expression((A * x - y) ** 2 / 2, inputs=[x], targets=[y], parameters=[A]).fingerprint,
        EmpiricalRisk.from_expression((A * x - y) ** 2 / 2, inputs=[x, y], targets=[], parameters=[A]).fingerprint,
    ]
    assert len(set(different)) == len(different)


def matrix_fingerprint(output: Any, loss: Any = None, **changes: Any) -> str:
    declared = {"inputs": [u, v], "parameters": [M, N, A], "penalty": None} | changes
    model = Model(output, inputs=declared["inputs"], parameters=declared["parameters"])
    q = sp.MatrixSymbol("q", *model.output_shape)
    loss = sp.Trace(q.T * q) if loss is None else loss(q)
    penalty = penalty_of_the_rest(declared["parameters"], model.outputs, declared["penalty"])
    return EmpiricalRisk(model, Loss(loss, prediction=q, target=[]), penalty=penalty).fingerprint


u, v = sp.MatrixSymbol("u", 2, 1), sp.MatrixSymbol("v", 2, 1)
M, N = sp.MatrixSymbol("M", 2, 2), sp.MatrixSymbol("N", 2, 2)
i = sp.Idx("i", 2)


def test_whatever_differs_in_a_matrix_has_another_fingerprint() -> None:
    d = sp.Symbol("d")
    square, twice = sp.Lambda(d, d**2), sp.Lambda(d, 2 * d)
    rows = sp.Sum(MatrixElement(M * u, i, 0) * MatrixElement(N * u, 1 - i, 0), (i, 0, 1))
    columns = sp.Sum(MatrixElement(M * u, i, 0) * MatrixElement(N * u, i, 0), (i, 0, 1))
    beside, above = sp.BlockMatrix([[M * u, u]]), sp.BlockMatrix([[M * u], [u]])
    ones = [sp.BlockMatrix([[sp.OneMatrix(2, n)], [sp.OneMatrix(1, n)]]) for n in (3, 5)]
    different = [
        matrix_fingerprint(M * u),
        matrix_fingerprint(N * u),
        matrix_fingerprint(M * v),
        matrix_fingerprint(M.T * u),
        matrix_fingerprint(M**2 * u),
        matrix_fingerprint(M**3 * u),
        matrix_fingerprint(2 * M * u),
        matrix_fingerprint(M * u + v),
        matrix_fingerprint(M * u + sp.OneMatrix(2, 1)),
        matrix_fingerprint(sp.MatAdd(M * u, sp.ZeroMatrix(2, 1))),
        matrix_fingerprint(sp.HadamardProduct(M * u, v)),
        matrix_fingerprint(sp.HadamardPower(M * u, 2)),
        matrix_fingerprint(sp.HadamardPower(M * u, A)),
        matrix_fingerprint((M * u).applyfunc(square)),
        matrix_fingerprint((M * u).applyfunc(twice)),
        matrix_fingerprint((M * u).applyfunc(sp.Lambda(d, A**2 * d))),
        matrix_fingerprint((M * u).applyfunc(sp.Lambda(d, d**2 * d))),
        matrix_fingerprint(sp.Matrix([[1, 2], [3, 4]]) * M * u),
        matrix_fingerprint(sp.Matrix([[1, 3], [2, 4]]) * M * u),
        matrix_fingerprint(sp.Matrix([[1, 2, 3, 4]]).T * A),
        matrix_fingerprint(sp.Matrix([[1, 2], [3, 4]]) * A * u),
        matrix_fingerprint(sp.BlockMatrix([[M * u], [v]])),
        matrix_fingerprint(sp.BlockMatrix([[M * u, v]])),
        matrix_fingerprint(sp.DiagMatrix(u) * M),
        matrix_fingerprint((M * u)[0:1, 0:1]),
        matrix_fingerprint((M * u)[1:2, 0:1]),
        matrix_fingerprint(M * u, loss=lambda q: q.T * q),
        matrix_fingerprint(M * u, loss=lambda q: sp.Sum(q[i, 0], (i, 0, 1))),
        matrix_fingerprint(M * u, loss=lambda q: sp.Sum(q[1 - i, 0], (i, 0, 1))),
        matrix_fingerprint(M * u, loss=lambda q: maximum(q[i, 0], (i, 0, 1))),
        matrix_fingerprint(M * u, penalty=sp.Trace(M)),
        matrix_fingerprint(M * u, penalty=sp.Trace(N)),
        *(
            EmpiricalRisk.from_expression(
                term + N[0, 0] * M[0, 0], inputs=[u], targets=[], parameters=[M, N]
            ).fingerprint
            for term in (
                *(rows, columns, sp.Sum(M[i, :] * u, (i, 0, 1)), sp.Sum(M[:, i].T * u, (i, 0, 1))),
                *(sp.Trace(blocks.T * blocks * M[0, 0]) for blocks in (beside, above, *ones)),
            )
        ),
    ]
    assert len(set(different)) == len(different)


def test_the_variable_of_a_lambda_has_no_name() -> None:
    d = sp.Dummy("other")
    plain = matrix_fingerprint((M * u).applyfunc(lambda x: x * A))
    assert matrix_fingerprint((M * u).applyfunc(sp.Lambda(d, d * A))) == plain
    assert matrix_fingerprint((M * u).applyfunc(sp.Lambda(k, k * A))) == plain
    hidden = sp.Symbol("A0")  # sorted as A is, and then declared: inside the Lambda it means the element
    taken = (M * u).applyfunc(sp.Lambda(hidden, hidden * A))
    assert matrix_fingerprint(taken, inputs=[u, v, hidden]) == matrix_fingerprint(
        (M * u).applyfunc(sp.Lambda(d, d * A)), inputs=[u, v, hidden]
    )
    outside = matrix_fingerprint(hidden * (M * u).applyfunc(sp.Lambda(d, d * A)), inputs=[u, v, hidden])
    assert outside == matrix_fingerprint(hidden * taken, inputs=[u, v, hidden]) != plain


def test_a_placeholder_that_is_the_parameters_own_object() -> None:
    assert risk_of(loss=Loss((A - y) ** 2 / 2, prediction=A, target=y)) == risk_of(
        loss=Loss((x - y) ** 2 / 2, prediction=x, target=y)
    )
