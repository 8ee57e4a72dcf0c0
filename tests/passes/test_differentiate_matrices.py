"""The backward sweep through matrices: shapes, cost, second derivatives, and that no branch that is not taken leaks."""

import math
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.passes import derive, lower
from symgrad.passes.differentiate import differentiate
from symgrad.pipeline import generate
from symgrad.program import Builder, Program, fold
from symgrad.trace import trace
from tests.helpers.declaring import risk_of_all
from tests.helpers.evaluate import DIGITS, DOUBLES, output
from tests.helpers.matrix_evaluation import evaluate, number

W, V = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("V", 2, 3)
c, x, z = sp.MatrixSymbol("c", 2, 1), sp.MatrixSymbol("x", 2, 1), sp.MatrixSymbol("z", 2, 1)
s, t, label = sp.Symbol("s", real=True), sp.Symbol("t", real=True), sp.Symbol("label", integer=True)
i, j = sp.Idx("i", 2), sp.Idx("j", 2)
nan, inf = math.nan, math.inf


def derived(expression: Any, parameters: tuple[Any, ...] = (W, c, s), **more: Any) -> Program:
    declared = {"inputs": [x], "targets": [], "parameters": parameters, **more}
    return derive(trace(risk_of_all(expression, **declared)))


def gradient(expression: Any, theta: list[float], sample: list[float], target: float | None = None) -> list[float]:
    """In doubles, lowered: what the generated module computes."""
    targets = [] if target is None else [label]
    leaves = {"parameter": theta, "input": sample, "target": [] if target is None else [target]}
    program = lower(derived(expression, targets=targets))
    rows = {role: [np.float64(n) for n in row] for role, row in leaves.items()}
    return [float(g) for g in output(program, "gradient", DOUBLES, rows)]


# --------------------------------------------------------------------------------------------------------- correctness

EXPRESSIONS = [
    sp.Trace(W * W.T * W) * s,
    ((W * x).T * W * c)[0, 0] + sp.Trace(W) ** 2,
    sp.DotProduct((W * x).applyfunc(sp.Lambda(t, sp.tanh(t * s))), c),
    (sp.OneMatrix(1, 2) * sp.HadamardPower(W, 3) * sp.HadamardProduct(c, x))[0, 0],
    sp.Trace(sp.BlockMatrix([[W, c], [x.T, sp.Matrix([[s]])]]) ** 3),
    sp.Trace(sp.DiagMatrix(c) * W * sp.DiagMatrix(W * x)),
    sp.Sum(sp.Sum(W[i, j] * x[j, 0], (j, 0, 1)) ** 3 * c[i, 0], (i, 0, 1)),
    sp.Sum(W[i, j] ** 2 * c[i, 0] / (1 + c[j, 0] ** 2), (i, 0, 1), (j, 0, 1)),
    sp.Sum(sp.exp(W[i, 0] * s) * W[1, i], (i, 0, 1)) * sp.Trace(W.T * W),
    sp.log(sp.Sum(sp.exp(c[i, 0] * s), (i, 0, 1))) + W[0, 1] * x[1, 0],
    (W[0:1, :] * W[:, 1:2])[0, 0] * sp.cos(s) + (W**4)[1, 0],
    sp.exp(-((c - W * x).T * (c - W * x))[0, 0]),
    ((W[:, 0:1].applyfunc(sp.exp) + W[:, 1:2] * s).T * W * x)[0, 0],  # parts side by side, and the whole
    (W[0:1, :] * x)[0, 0] * (W[1:2, 0:1] * W[0:1, 1:2])[0, 0] + (W * x)[0, 0],  # parts that overlap
]
THETA = [0.75, -0.5, 1.25, 0.375, 1.5, -0.625, 0.875]
SAMPLE = [1.125, -0.25]


def known(theta: list[Any]) -> dict[Any, Any]:
    w, v = theta[:4], theta[4:6]
    sample = [mpmath.mpf(n) for n in SAMPLE]
    return {W: [w[:2], w[2:]], c: [[n] for n in v], s: theta[6], x: [[n] for n in sample]}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_the_gradient_is_the_slope_of_the_definition(expression: Any) -> None:
    program, step = derived(expression), mpmath.mpf(2) ** -60
    leaves = {"parameter": [mpmath.mpf(n) for n in THETA], "input": [mpmath.mpf(n) for n in SAMPLE]}
    with mpmath.workdps(50):
        got = output(program, "gradient", DIGITS, leaves)
        for place, slope in enumerate(got):
            sides = []
            for sign in (1, -1):
                moved = [*leaves["parameter"]]
                moved[place] += sign * step
                sides.append(number(evaluate(expression, known(moved))))
            assert abs(slope - (sides[0] - sides[1]) / (2 * step)) <= 1e-14 * (1 + abs(slope)), place


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_a_gradient_can_be_differentiated_again(expression: Any) -> None:
    first = derived(expression)
    builder, total = Builder(first.assignments, fold), None
    for variable in first.outputs["gradient"]:
        square = builder.emit("total", builder.emit("mul", variable, variable))
        total = square if total is None else builder.emit("add", total, square)
    assert total is not None
    second = differentiate(builder.program({"norm": (total,)}), "norm", "gradient")
    leaves = {"parameter": [mpmath.mpf(n) for n in THETA], "input": [mpmath.mpf(n) for n in SAMPLE]}
    with mpmath.workdps(60):
        got, step = output(second, "gradient", DIGITS, leaves), mpmath.mpf(2) ** -70
        lowered = output(lower(second), "gradient", DIGITS, leaves)
        for place, slope in enumerate(got):
            sides = []
            for sign in (1, -1):
                moved = [*leaves["parameter"]]
                moved[place] += sign * step
                sides.append(output(second, "norm", DIGITS, {**leaves, "parameter": moved})[0])
            true = (sides[0] - sides[1]) / (2 * step)
            assert abs(slope - true) <= 1e-30 * (1 + abs(slope))
            assert abs(lowered[place] - slope) <= 1e-14 * (1 + abs(slope))


def test_each_parameter_has_a_gradient_of_its_shape_in_the_order_of_theta() -> None:
    """A matrix that is used whole is one; of one that is not, each element."""
    program = derived(sp.Trace(W) * c[1, 0] + s, (s, V, c, W))
    shapes = [program.assignments[v].shape for v in program.outputs["gradient"]]
    assert shapes == [(), *[()] * 6, *[()] * 2, (2, 2)]
    leaves = {"parameter": [mpmath.mpf(k) for k in range(13)], "input": [mpmath.mpf(1)] * 2}
    assert output(program, "gradient", DIGITS, leaves) == (1, *[0] * 6, 0, 9 + 12, 8, 0, 0, 8)


def test_a_matrix_that_does_not_matter_has_zeros() -> None:
    program = derived((c.T * x)[0, 0] * s + 0 * sp.Trace(V * V.T), (V, c, s))
    leaves = {"parameter": [mpmath.nan] * 6 + [mpmath.mpf(1)] * 3, "input": [mpmath.mpf(1)] * 2}
    assert output(lower(program), "gradient", DIGITS, leaves)[:6] == (0,) * 6


# --------------------------------------------------------------------------------------------------------------- cost


@pytest.mark.parametrize("sizes", [(20, 8, 8, 5), (64, 32, 10), (10, 50, 50, 50, 3)])
def test_the_gradient_of_a_network_costs_at_most_three_times_its_loss(sizes: tuple[int, ...]) -> None:
    """And takes as many operations, whatever its sizes: nothing is written out."""
    found = [network(sizes), network(tuple(3 * n for n in sizes))]
    for stages in found:
        counts = stages.kernel.counts
        products = sum(2 * m * n for n, m in pairwise(sizes))
        assert counts["loss"] >= products
        assert counts["gradient"] <= 3 * counts["loss"]
    small, large = (stages.differentiated.assignments for stages in found)
    operations = [[step.operation for step in steps if step.operation != "constant"] for steps in (small, large)]
    assert operations[0] == operations[1]


def network(sizes: tuple[int, ...]) -> Any:
    weights = [sp.MatrixSymbol(f"W{k}", m, n) for k, (n, m) in enumerate(pairwise(sizes))]
    first, scores = sp.MatrixSymbol("first", sizes[0], 1), sp.MatrixSymbol("scores", sizes[-1], 1)
    layer: Any = first
    for weight in weights[:-1]:
        layer = (weight * layer).applyfunc(sp.tanh)
    k = sp.Idx("k", sizes[-1])
    loss = sp.log(sp.Sum(sp.exp(scores[k, 0]), (k, 0, sizes[-1] - 1))) - scores[label, 0]
    return generate(EmpiricalRisk(Model(weights[-1] * layer, [first], weights), Loss(loss, scores, label)))


def sliced(count: int, width: int = 1, step: int = 1) -> Program:
    """A loss of ``count`` slices of one matrix of 4 rows, each ``width`` columns wide and ``step`` after the last."""
    M, u = sp.MatrixSymbol("M", 4, count * step + width - step), sp.MatrixSymbol("u", width, 1)
    parts = (M[:, k * step : k * step + width] for k in range(count))
    each = sp.MatAdd(*((part * u).applyfunc(sp.sin) for part in parts)) if count > 1 else M * u
    return lower(derived(sp.OneMatrix(1, 4) * each.applyfunc(sp.tanh), inputs=[u], parameters=(M,)))


def test_the_gradient_of_slices_side_by_side_costs_as_much_as_the_matrix() -> None:
    """No slice's gradient is added to zeros: neither the operations nor the elements written grow with the square."""
    for steps in (sliced(12).assignments, sliced(12, 2, 2).assignments):
        joined = [step for step in steps if step.operation == "embed"]
        assert [len(step.arguments) for step in joined] == [12]
        assert not any(step.operation == "add" and step.shape == joined[0].shape for step in steps)
    overlapping = [step for step in sliced(12, 2, 1).assignments if step.operation == "embed"]
    assert [len(step.arguments) for step in overlapping] == [6, 6]  # every second one is beside the others


def test_slices_that_cover_a_matrix_need_no_guard_and_others_one() -> None:
    """What lies in no slice has no slope, be it infinite; where none is left out, nothing is asked."""
    y = (W * x).applyfunc(sp.exp)
    covered = derived(y[0:1, :] * s + y[1:2, :].applyfunc(sp.sin))
    assert "embed" in {step.operation for step in covered.assignments}
    assert "select" not in {step.operation for step in lower(covered).assignments}
    V3, x3 = sp.MatrixSymbol("V3", 3, 1), sp.Symbol("x3")
    logarithms = (V3 * x3).applyfunc(sp.log)
    program = lower(derived(logarithms[0:1, :] + 2 * logarithms[2:3, :], parameters=(V3,), inputs=[x3]))
    leaves = {"parameter": [np.float64(n) for n in (4, 0, 16)], "input": [np.float64(1)], "weight": [np.float64(1)]}
    assert list(output(program, "gradient", DOUBLES, leaves)) == [0.25, 0.0, 0.125]


def test_what_is_symmetric_is_multiplied_once() -> None:
    """Products that were computed before are the same variables, forwards and backwards."""
    program = derived(sp.Trace((W * W) * (W * W).T), (W,))
    products = [step for step in program.assignments if step.operation == "matmul"]
    assert len(products) <= 1 + 2 + 2


# ------------------------------------------------------------------------------------------ branches that are not taken

ROOT = sp.Lambda(t, sp.Piecewise((sp.sqrt(t), t > 0), (t, True)))
LOG = sp.Lambda(t, sp.Piecewise((sp.log(t), t > 1), (2 * t, True)))


def whole(x: Any) -> Any:
    return (sp.OneMatrix(1, 2) * x)[0, 0]


LEAKS: list[tuple[Any, list[float], list[float], list[float]]] = [
    # expression, theta = (W, c, s), sample, gradient
    (whole(sp.HadamardProduct(c, x).applyfunc(ROOT)), [0] * 4 + [1, 1, 0], [0.25, -1], [0] * 4 + [0.25, -1, 0]),
    (whole(sp.HadamardProduct(c, x).applyfunc(ROOT)), [0] * 4 + [1, 1, 0], [0, 0], [0] * 7),
    (whole((W * x).applyfunc(LOG)), [1, 0, -1, 0, 0, 0, 0], [2, 5], [1, 2.5, 4, 10, 0, 0, 0]),
    (
        sp.Piecewise((whole((W * x).applyfunc(sp.sqrt)), s > 0), (s * c[0, 0], True)),
        [-1, 0, -1, 0, 3, 0, -2],
        [2, 5],
        [0, 0, 0, 0, -2, 0, 3],
    ),
    (
        sp.Piecewise((sp.Trace(W.applyfunc(sp.log)), s > 0), (sp.Trace(W), True)),
        [0, 0, -1, 0, 0, 0, -2],
        [2, 5],
        [1, 0, 0, 1, 0, 0, 0],
    ),
    (
        sp.Piecewise(((c.T * W.applyfunc(sp.log) * c)[0, 0], s > 0), (s**2, True)),
        [0, 0, -1, 0, 3, 3, -2],
        [2, 5],
        [0, 0, 0, 0, 0, 0, -4],
    ),
    (functions.maximum(sp.log(c[i, 0] * x[i, 0]), (i, 0, 1)), [0] * 4 + [0, 2, 0], [1, 3], [0] * 5 + [0.5, 0]),
    (sp.Trace(W.applyfunc(sp.log)[0:1, 0:1]), [2, 0, 0, 0, 0, 0, 0], [1, 1], [0.5, 0, 0, 0, 0, 0, 0]),
    (sp.Max(sp.Trace(W.applyfunc(sp.log)), s), [0, 0, 0, 0, 0, 0, 7], [1, 1], [0] * 6 + [1]),
]


@pytest.mark.parametrize(("expression", "theta", "sample", "slopes"), LEAKS, ids=[str(leak[0])[:60] for leak in LEAKS])
def test_a_branch_that_is_not_taken_never_leaks(
    expression: Any, theta: list[float], sample: list[float], slopes: list[float]
) -> None:
    np.testing.assert_allclose(gradient(expression, theta, sample), slopes, rtol=1e-14)


@pytest.mark.parametrize("at", [0, 1])
def test_what_a_label_does_not_name_never_leaks(at: int) -> None:
    """The other element is the logarithm of a negative number, or of zero."""
    logs = (W * x).applyfunc(sp.log)
    for bad in (-1.0, 0.0):
        theta = [2.0, 0.0, bad, 0.0] if at == 0 else [bad, 0.0, 2.0, 0.0]
        found = gradient(MatrixElement(logs, label, 0) * s, [*theta, 0, 0, 3.0], [5.0, 1.0], float(at))
        expected = [0.0] * 4
        expected[2 * at : 2 * at + 2] = [1.5, 0.3]
        np.testing.assert_allclose(found[:4], expected, rtol=1e-14)


def test_a_label_that_is_none_gives_nan() -> None:
    for at in (-1.0, 2.0, 0.5, nan, inf):
        found = gradient(MatrixElement(W * x, label, 0) * s, THETA, SAMPLE, at)
        assert np.isnan(found[:4]).all()
        assert np.isnan(found[6])
