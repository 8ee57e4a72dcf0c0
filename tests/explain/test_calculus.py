"""The matrix calculus that is printed is true: each derivative's expression, evaluated, is the difference quotient."""

import random
from typing import Any

import mpmath
import pytest
import sympy as sp

from symgrad import functions
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.explain.calculus import DOTS
from symgrad.explain.layers import LOSS, MODEL, PENALTY, formulae, has_matrices
from tests.helpers.matrix_evaluation import elements, evaluate, number

A, B, C = (sp.MatrixSymbol(name, 3, 3) for name in "ABC")
W, V = sp.MatrixSymbol("W", 3, 4), sp.MatrixSymbol("V", 2, 3)
b, c, h0 = sp.MatrixSymbol("b", 3, 1), sp.MatrixSymbol("c", 2, 1), sp.MatrixSymbol("h0", 3, 1)
u, v = sp.MatrixSymbol("u", 4, 1), sp.MatrixSymbol("v", 3, 1)
z, y = sp.MatrixSymbol("z", 2, 1), sp.MatrixSymbol("y", 2, 1)
s, t, q, yhat = sp.symbols("s t q yhat")
label, other = sp.symbols("label other", integer=True)
i, j, k = sp.Idx("i", 3), sp.Idx("j", 4), sp.Idx("k", 2)
ONE = sp.MatrixSymbol("w", 1, 3)
HALF_SQUARES = Loss((z - y).T * (z - y) / 2, z, y)
HIDDEN = (W * u + b).applyfunc(sp.tanh)


def network(output: Any, parameters: list[Any], loss: Loss = HALF_SQUARES, **more: Any) -> EmpiricalRisk:
    return EmpiricalRisk(Model(output, [u, v], parameters), loss, **more)


def whole(expression: Any, parameters: list[Any], targets: Any = ()) -> EmpiricalRisk:
    return EmpiricalRisk.from_expression(expression, inputs=[u, v], targets=targets, parameters=parameters)


def recurrent() -> Any:
    state = h0
    for _ in range(3):
        state = (A * state + W * u).applyfunc(sp.tanh)
    return V * state


def gated() -> Any:
    """A gated recurrent cell, two steps: its state is used four times in each."""
    state = h0
    for _ in range(2):
        gate = (A * state + W * u).applyfunc(functions.sigmoid)
        new = (B * sp.HadamardProduct(gate, state) + b).applyfunc(sp.tanh)
        state = sp.HadamardProduct(sp.OneMatrix(3, 1) - gate, state) + sp.HadamardProduct(gate, new)
    return V * state


SOFTMAX = Loss(sp.log(sp.Sum(sp.exp(z[k, 0]), (k, 0, 1))) - z[label, 0], z, label)
SOFT = Loss(sp.log(sp.Sum(sp.exp(z[k, 0]), (k, 0, 1))) * sp.Sum(y[k, 0], (k, 0, 1)) - sp.Trace(z.T * y), z, y)
SQUARES = Loss(sp.Sum((z[k, 0] - y[k, 0]) ** 2 / 2, (k, 0, 1)), z, y)
MIXED = Loss(sp.Trace((z - y).T * (z - y)) * sp.sin(z[1, 0]) + sp.Sum(sp.Abs(z[k, 0]), (k, 0, 1)), z, y)
NUMBER = Loss(functions.softplus(yhat) - q * yhat, yhat, q)
NAMESAKE = Loss(sp.Trace(c * y.T) ** 2 + c[label, 0], c, [y, label])
HIDDEN_NAMESAKE = Loss(sp.Trace(sp.ImmutableDenseMatrix([c[0, 0] ** 2, 1]) * y.T) + c[1, 0] ** 2, c, y)
U, M = sp.MatrixSymbol("U", 5, 3), sp.MatrixSymbol("M", 3, 3)
PENALTIES = sp.Trace(A.T * A) + sp.Sum(V[k, i] ** 4, (k, 0, 1), (i, 0, 2))
TAKEN = [sp.MatrixSymbol("a_1", 3, 4), sp.MatrixSymbol("delta_1", 3, 1), sp.Symbol("x")]
BLOCKS, BLOCKED = sp.BlockMatrix([[A, W]]), sp.BlockMatrix([[b * h0.T * v], [W.T * b]])
COUNT = sp.Symbol("count", integer=True)

SHOWN_WHOLE = {
    "softmax": network(V * HIDDEN + c, [W, b, V, c], SOFTMAX),
    "soft targets": network(V * HIDDEN + c, [W, b, V, c], SOFT),
    "half squares": network(V * HIDDEN + c, [W, b, V, c]),
    "squares by elements": network(V * HIDDEN + c, [W, b, V, c], SQUARES),
    "whole and elements": network(V * HIDDEN, [W, b, V], MIXED),
    "two layers": network(V * (A * HIDDEN + v).applyfunc(functions.sigmoid), [W, b, A, V]),
    "an activation at the end": network((V * HIDDEN + c).applyfunc(sp.exp), [W, b, V, c]),
    "recurrent": network(recurrent(), [h0, A, W, V], penalty=PENALTIES),
    "gated": network(gated(), [h0, A, B, W, b, V]),
    "residual": network(V * (v + (A * v).applyfunc(sp.tanh)), [A, V]),
    "linear": network(V * v + c, [V, c]),
    "one output": network(ONE * HIDDEN, [ONE, W, b], NUMBER),
    "one output through exp": network(sp.exp(ONE * HIDDEN) + s, [ONE, W, b, s], NUMBER),
    "swish": network(V * (W * u).applyfunc(sp.Lambda(t, t * functions.sigmoid(s * t))), [W, V, s]),
    "relu": network(V * (W * u).applyfunc(lambda x: sp.Max(x, 0)), [W, V]),
    "leaky": network(V * (W * u).applyfunc(lambda x: sp.Piecewise((x, x > 0), (s * x, True))), [W, V, s]),
    "a power": network(V * sp.HadamardPower((W * u).applyfunc(sp.exp), s) + c, [W, V, c, s]),
    "scaled": network(sp.exp(s) * t * V * A**2 * v + c, [s, t, V, A, c]),
    "blocks": network(sp.BlockMatrix([[ONE * HIDDEN], [ONE * v]]), [ONE, W, b]),
    "four blocks": network(V * BLOCKS * BLOCKED, [V, A, W, b, h0]),
    "an index that is counted with": whole(sp.Sum(COUNT * U[COUNT, 1] ** 2, (COUNT, 0, 4)), [U]),
    "a diagonal by hand": network(V * sp.HadamardProduct(sp.Identity(3), A) * v, [V, A]),
    "rows": network(((v.T * A + b.T).applyfunc(sp.tanh) * V.T).T, [A, b, V]),
    "a matrix": EmpiricalRisk(Model(A * B * C + A.T, [C], [A, B]), Loss(sp.Trace((M - U[:3, :]).T * M), M, [U])),
    "a diagonal": network(V * sp.DiagMatrix(b) * v + c, [V, b, c]),
    "a diagonal of a row": network(V * sp.DiagMatrix(ONE) * v + c, [V, ONE, c]),
    "bilinear": whole((v.T * W * u) ** 2, [W]),
    "residuals used twice": whole((V * v + c - y).T * (V * v + c - y), [V, c], [y]),
    "one element matrices as numbers": whole(sp.exp(v.T * b) * q + sp.log(1 + sp.exp(b.T * A * b)), [A, b], [q]),
    "a table": whole((sp.Sum(U[label, i] * M[other, i], (i, 0, 2)) - q) ** 2, [U, M], [label, other, q]),
    "neighbours": whole(sp.Sum((U[i + 1, 0] - U[i, 0]) ** 2, (i, 0, 2)) * s, [U, s]),
    "a part": whole(sp.Sum(sp.exp(U[i, 1]), (i, 1, 2)), [U]),
    "a trace by hand": whole(sp.Sum(M[i, i] ** 3, (i, 0, 2)) + sp.Sum(M[i, 2] * M[1, i], (i, 0, 2)), [M]),
    "sums in sums": whole(sp.Sum(sp.exp(sp.Sum(W[i, j] * u[j, 0], (j, 0, 3)) + s), (i, 0, 2)) ** 2, [W, s]),
    "all elements": whole(sp.Sum(M[i, k] ** 2 * W[i, j] * i, (i, 0, 2), (k, 0, 1), (j, 0, 3)), [M, W]),
    "a dot product": whole(sp.DotProduct(v, A * b) * 2, [A, b]),
    "names that are taken": whole(((TAKEN[0] * u).applyfunc(sp.tanh) + TAKEN[1]).T * b * TAKEN[2], [*TAKEN, b]),
    "a placeholder with a parameter's name": network(V * HIDDEN + c, [W, b, V, c], NAMESAKE),
}  # fmt: skip
LEFT_OPEN = {
    "a slice": network(V * (A * v)[0:3, :] + (A * HIDDEN)[1:3, :], [A, V, W, b]),
    "a high power": network(V * A**5 * HIDDEN, [A, V, W, b]),
    "elements": network(V * sp.ImmutableDenseMatrix([s, t, s * t]) + c, [V, c, s, t]),
    "a placeholder in an explicit matrix": network(V * HIDDEN + c, [W, b, V, c], HIDDEN_NAMESAKE),
    "a floor": network(V * (W * u).applyfunc(sp.floor) + c, [V, W, c]),
    "the greatest": network(V * v + c, [V, c], Loss(functions.maximum(z[k, 0], (k, 0, 1)) - z[label, 0], z, label)),
    "an index in a matrix": whole(sp.Sum(sp.exp(M[i, 0] * (b.T * b)), (i, 0, 2)), [M, b]),
}


def point(risk: EmpiricalRisk) -> dict[Any, Any]:
    """Numbers for all declared symbols."""
    drawn = random.Random(7)
    values: dict[Any, Any] = {}
    for symbol in (*risk.parameters, *risk.inputs, *risk.targets):
        if isinstance(symbol, sp.MatrixSymbol):
            rows, columns = map(int, symbol.shape)
            values[symbol] = [
                [mpmath.mpf(drawn.randint(-40, 40) or 9) / 32 for _ in range(columns)] for _ in range(rows)
            ]
        else:
            values[symbol] = mpmath.mpf(1) if symbol.is_integer else mpmath.mpf(drawn.randint(3, 40)) / 32
    return values


def declared_loss(risk: EmpiricalRisk, known: dict[Any, Any]) -> Any:
    bound = dict(known)
    if risk.model is not None:
        output = evaluate(risk.model.output, known)
        # The placeholder may carry a name of the model's: what the loss sees of that name is the placeholder.
        placeholder = risk.predictions[0]
        bound = {symbol: known[symbol] for symbol in risk.targets} | {
            placeholder: number(output) if placeholder.is_Symbol else output
        }
    return number(evaluate(risk.loss, bound))


def shown(risk: EmpiricalRisk, known: dict[Any, Any]) -> dict[tuple[Any, Any], Any]:
    """What the printed equations make of (loss or penalty, parameter), computed from one equation to the next."""
    printed = formulae(risk)
    values, derivatives = dict(known), {}
    prediction = [e for e in printed.forward if e.value == MODEL]
    named = [e for e in printed.forward if e.name not in (LOSS, PENALTY) and e not in prediction]
    for equation in named:
        if equation.name == MODEL:
            output = evaluate(equation.value, values)
            values |= {e.name: number(output) if e.name.is_Symbol else output for e in prediction}
        elif equation.value is not DOTS:
            values[equation.name] = evaluate(equation.value, values)
    for equation in printed.backward:
        if equation.value is DOTS:
            continue
        value = evaluate(equation.value, values)
        if equation.name is not None:
            values[equation.name] = value if isinstance(equation.name, sp.MatrixSymbol) else number(value)
        else:
            derivatives[equation.of, equation.by] = value
    return derivatives


def quotient(function: Any, known: dict[Any, Any], symbol: Any, place: tuple[int, int]) -> Any:
    def moved(step: Any) -> Any:
        value = known[symbol]
        if isinstance(value, list):
            value = [[x + step * ((r, k) == place) for k, x in enumerate(row)] for r, row in enumerate(value)]
        else:
            value = value + step
        return function({**known, symbol: value})

    step = mpmath.mpf(10) ** -12
    return (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step)


def assert_true(risk: EmpiricalRisk) -> int:
    """Every derivative that is shown is right; returns how many are."""
    with mpmath.workdps(50):
        known = point(risk)
        derivatives = shown(risk, known)
        of = {
            LOSS: lambda values: declared_loss(risk, values),
            PENALTY: lambda values: number(evaluate(risk.penalty, values)),
        }
        for (what, symbol), value in derivatives.items():
            shape = tuple(map(int, getattr(symbol, "shape", (1, 1))))
            found = elements(value)
            assert max(found) == (shape[0] - 1, shape[1] - 1), f"d{what}/d{symbol} has another shape"
            for place, derivative in found.items():
                expected = quotient(of[what], known, symbol, place)
                assert abs(derivative - expected) <= 1e-18 * (1 + abs(expected)), f"d{what}/d{symbol} at {place}"
    return len(derivatives)


@pytest.mark.parametrize("name", SHOWN_WHOLE)
def test_what_is_shown_is_the_derivative(name: str) -> None:
    risk = SHOWN_WHOLE[name]
    assert has_matrices(risk)
    assert formulae(risk).complete
    assert assert_true(risk) >= len(risk.parameters)


@pytest.mark.parametrize("name", LEFT_OPEN)
def test_what_cannot_be_shown_well_is_left_open_and_the_rest_is_true(name: str) -> None:
    risk = LEFT_OPEN[name]
    assert not formulae(risk).complete
    assert assert_true(risk) < len(risk.parameters)
