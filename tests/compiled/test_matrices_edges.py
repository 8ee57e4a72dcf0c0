"""Compiled models of matrices at their edges: branches not taken, labels that are none, constants, shapes."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

import symgrad as sg
from symgrad.oracle import Reference

A, B = sp.MatrixSymbol("A", 2, 3), sp.MatrixSymbol("B", 3, 3)
u, v = sp.MatrixSymbol("u", 3, 1), sp.MatrixSymbol("v", 2, 1)
s, d, T = sp.Symbol("s"), sp.Symbol("d"), sp.Dummy("t")
i, j = sp.Idx("i", 3), sp.Idx("j", 2)
label = sp.Symbol("label", integer=True)
ONE = sp.Identity(1)
DERIVED = (A, B, v)


def each(body: Any, matrix: Any) -> Any:
    return ElementwiseApplyFunction(sp.Lambda(T, body), matrix)


def module(loss: Any, name: str, inputs: Sequence[Any] = (u, s, d), targets: Sequence[Any] = ()) -> Any:
    return sg.compile(declared(loss, name, inputs, targets))


def declared(loss: Any, name: str, inputs: Sequence[Any] = (u, s, d), targets: Sequence[Any] = ()) -> Any:
    return sg.EmpiricalRisk.from_expression(loss, inputs=inputs, targets=targets, parameters=DERIVED, name=name)


def point(seed: int, columns: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=17), rng.normal(size=(1, columns))


# ---------------------------------------------------------------------------------------------------- what is not taken

# Each is infinite or NaN, or has such a derivative, where d is not positive.
WILD = (
    sp.Trace(each(sp.log(T), d * A.T * A)),
    sp.Trace(A * each(sp.log(T), d * u) * v.T),  # a parameter times what is NaN
    v.T * A * each(1 / T, sp.Max(d, 0) * u),
    sp.Trace(each(sp.sqrt(T), d * B.T * B) * B),
    sp.log(sp.Sum(sp.exp(B[0, i] * sp.log(d)), (i, 0, 2))),
    sg.functions.maximum(B[1, i] * sp.log(d), (i, 0, 2)),
    sp.Sum(sp.log(d * B[i, 0] ** 2) * A[j, i], (i, 0, 2), (j, 0, 1)),
    sp.DotProduct(each(sp.log(T), d * u), B * u),
    sp.Trace(sp.DiagMatrix(each(sp.log(T), d * u)) * B.T * B),
    sp.Trace(sp.HadamardPower(sp.Max(d, 0) * A, -1) * A.T),
    sp.Trace(sp.BlockMatrix([[each(sp.sqrt(T), d * A)], [u.T]]) * B),
    sp.Trace(sp.ImmutableDenseMatrix([[sp.log(d), sp.sqrt(d)], [d, s]]) * A * A.T),
    sp.MatPow(u.T * B * u * d, sp.Rational(1, 2)),
    sp.Trace(B[label, 1] * A * A.T),  # d < 0 comes with a label that is none
    MatrixElement(B * B, label, 0),
)


def test_a_branch_that_is_not_taken_leaks_nothing() -> None:
    taken = [sp.Piecewise((sp.Trace(x) if x.is_Matrix else x, d > 0), (B[0, 0] ** 2, True)) for x in WILD]
    leaks = module(sp.Add(*taken, s * sp.Trace(B)), "leaks", targets=[label])
    theta, inputs = point(0)
    for d_value in (-1.0, 0.0, -np.inf):
        inputs[0, 4] = d_value
        for wrong in (-1.0, 7.0, 0.5, np.nan):
            gradient = leaks.per_sample_gradient(theta, inputs, [wrong])[0]
            b = np.zeros((3, 3))
            b[0, 0] = 2 * len(WILD) * theta[6]
            expected = [*np.zeros(6), *(b + inputs[0, 3] * np.eye(3)).ravel(), *np.zeros(2)]
            np.testing.assert_allclose(gradient, expected, rtol=1e-13)
            np.testing.assert_array_equal(leaks.gradient(theta, inputs, [wrong]), gradient)


def test_elements_choose_their_branches_one_by_one() -> None:
    roots = sp.Piecewise((sp.sqrt(T), T > 0), (T * s, True))
    logs = sp.Piecewise((sp.log(-T) * s, T < 0), (sp.log(T), T > 0), (s, True))
    spread = sp.Piecewise((sp.log(u[i, 0]) * A[j, i], sp.And(u[i, 0] > 0, B[j, i] > 0)), (B[j, i] * s, True))
    loss = sp.Add(
        *(sp.Trace(each(f, A * B) * A.T) for f in (roots, logs)),
        sp.Sum(spread, (i, 0, 2), (j, 0, 1)),  # one condition is a column's, the other a matrix'
        sp.Sum(sp.Piecewise((sp.sqrt(B[i, 2]), B[i, 2] > 0), (A[1, i], True)), (i, 0, 2)),
        sg.functions.maximum(sp.sqrt(sp.Max(B[0, i], 0)), (i, 0, 2)),  # the others have an infinite slope
        MatrixElement(each(sp.sqrt(T), B * B.T - 2 * sp.Identity(3)), label, label),  # the others are NaN
        MatrixElement(each(sp.sqrt(T), B * u), label, 0),
        sp.Trace(each(sp.sqrt(T), sp.HadamardProduct(A, A) - v * sp.OneMatrix(1, 3))[1:2, 1:2]),
    )
    risk = declared(loss, "elements", targets=[label])
    theta, inputs = point(4)
    theta[6 + 4], theta[15:], inputs[0, 3] = 1.7, (0.1, 2.0), 0.5
    theta[6:9] = 2.1, -0.3, -1.0
    theta[4] = 1.5
    gradient = sg.compile(risk).per_sample_gradient(theta, inputs, [2.0])[0]
    exact = Reference(risk).sample(theta, inputs[0], [2.0])
    expected = np.array([float(x) for x in exact.gradient])
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-13)


# ------------------------------------------------------------------------------------------------- what went wrong once


def test_small_things_that_went_wrong_once() -> None:
    """Each at a point against 50 digits."""
    cases = (
        sp.DotProduct(u, sp.BlockMatrix([[ONE], [v]])),  # a constant that is copied
        sp.cos(sp.Trace(v.T * sp.Identity(2) * v)) * s,  # a product of one element, once for a theta
        sp.exp(sp.Trace(sp.HadamardPower(v.T, 3) * v)),
        sp.Trace(sp.BlockMatrix([[ONE], [v]]) * u.T * sp.cos(s)),  # a gradient that is a part of another matrix
        sp.Trace(each(sp.Sum(sp.exp(T * B[i, 0]), (i, 0, 2)), A) * A.T),  # a sum of the elements' own terms
        sp.Trace(each(sg.functions.maximum(T * B[i, 0], (i, 0, 2)), A) * A.T),
        sp.Trace(each(sp.DotProduct(u, sp.ImmutableDenseMatrix([T, -1, T**2])), A) * A.T),  # matrices of the element
        sp.Trace(each(T**2 / (1 + T**2) + s, sp.OneMatrix(3, 3)) * B),  # a number below a fraction bar
        sp.Trace(each(sp.Max(T, sp.DotProduct(v, v)), A) * A.T),  # SymPy compares no matrices when this is printed
        sp.Trace(sp.DiagMatrix(u) * B) + sp.Trace(sp.DiagMatrix(v.T) * A * A.T),
        sp.Sum(sp.exp(B[i, 1]) * u[i, 0] ** 2, (i, 1, 2)) * sp.Sum(B[i, j + 1] * A[j, i], (j, 0, 1), (i, 1, 2)),
        sp.Sum(sp.Max(A[j, i + 1], u[i, 0]) * v[j, 0], (i, 0, 1), (j, 1, 1)),
        sp.Trace(sp.Inverse(sp.MatAdd(v.T * v, ONE))) + sp.Trace(sp.MatPow(v.T * v, s)),
        sp.Sum(sp.Piecewise((A[j, i], sp.And(u[i, 0] > 0, A[j, i] < B[0, i])), (B[j, i], True)), (i, 0, 2), (j, 0, 1)),
    )
    weights = sp.MatrixSymbol("w", len(cases), 1)
    loss = sp.Add(*(weights[k, 0] * case for k, case in enumerate(cases)))
    risk = declared(loss, "once_wrong", inputs=[u, s, weights])
    theta, inputs = point(2, 4)
    inputs[0, 3] = 0.7
    rows = np.hstack([np.repeat(inputs, len(cases), axis=0), np.eye(len(cases))])
    got, reference = sg.compile(risk).per_sample_gradient(theta, rows, None), Reference(risk)
    for row, gradient in zip(rows, got, strict=True):
        exact = np.array([float(x) for x in reference.sample(theta, row, []).gradient])
        np.testing.assert_allclose(gradient, exact, rtol=1e-13, atol=1e-15 * np.abs(exact).max())


def test_a_number_below_a_fraction_bar_is_evaluated() -> None:
    loss = s * sp.Sum(sp.exp(i**2 / (1 + i)), (i, 0, 2))
    risk = sg.EmpiricalRisk.from_expression(loss, inputs=[], targets=[], parameters=[s], name="fractions")
    constants = [a.attribute for a in sg.generate(risk).lowered.assignments if a.operation == "constant"]
    assert sorted(constants) == pytest.approx([np.exp(1 / 2) + 1, np.exp(4 / 3)])


def test_infinities_beside_a_diagonal_do_not_matter_and_nan_is_the_greatest() -> None:
    diagonals = sp.Trace(sp.DiagMatrix(each(1 / T, u)) * sp.OneMatrix(3, 3)) + s * sp.Trace(each(1 / T, B))
    loss = diagonals + s * sg.functions.maximum(A[j, i], (i, 0, 2), (j, 0, 1))
    risk = sg.EmpiricalRisk.from_expression(loss, inputs=[B, u, A], targets=[], parameters=[s], name="diagonals")
    module = sg.compile(risk)
    row = np.array([[*np.diag([1.0, 2.0, 4.0]).ravel(), 1.0, 2.0, 4.0, *range(-6, 0)]])
    assert module.risk([1.0], row, None) == 3.5 - 1
    assert module.gradient([1.0], row, None) == 1.75 - 1
    for place in range(12, 18):
        missing = row.copy()
        missing[0, place] = np.nan
        assert np.isnan(module.risk([1.0], missing, None))


PREDICT = """
import sys
from pathlib import Path
import numpy as np
from symgrad.load import load_module
tall = load_module(Path(sys.argv[1]), "tall")
theta, u = np.arange(6000.0), np.arange(1.0, 301.0)
z = tall.predict(theta, u)
assert (z == np.outer(u, theta)).all()
gradient = tall.gradient(theta, u, np.zeros((300, 6000)))
assert np.allclose(gradient, 2 * theta * (u**2).mean(), rtol=1e-14)
"""


def test_more_predictions_than_sums_stay_in_their_memory() -> None:
    """In a process of its own: what is written beyond its memory ends a process."""
    W, x, z, y = (
        sp.MatrixSymbol(n, *shape) for n, shape in zip("Wxzy", ((6000, 1), (1, 1), (6000, 1), (6000, 1)), strict=True)
    )
    loss = sg.Loss((z - y).T * (z - y), prediction=z, target=y)
    tall = sg.compile(sg.EmpiricalRisk(sg.Model(W * x, inputs=[x], parameters=[W]), loss, name="tall"))
    run = subprocess.run([sys.executable, "-c", PREDICT, str(tall.path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# --------------------------------------------------------------------------------------------------- shapes and labels


def test_shapes_labels_and_packing() -> None:
    W, b = sp.MatrixSymbol("W", 4, 3), sp.MatrixSymbol("b", 4, 1)
    kinked = sp.Piecewise((sp.sqrt(T), T > 0), (s * T, True))
    model = sg.Model(each(kinked, W * u + b), inputs=[u], parameters=[W, s, b])
    net = sg.compile(sg.EmpiricalRisk(model, sg.losses.softmax_cross_entropy(4), name="shapes"))
    assert net.PARAMETERS == (("W", (4, 3)), ("s", ()), ("b", (4, 1)))
    assert (net.INPUTS, net.N_PARAMETERS) == ((("u", (3, 1)),), 17)
    theta, inputs = np.random.default_rng(5).normal(size=17), np.random.default_rng(6).normal(size=(9, 3))
    parts = net.unpack(theta)
    assert {name: np.shape(part) for name, part in parts.items()} == {"W": (4, 3), "s": (), "b": (4, 1)}
    np.testing.assert_array_equal(net.pack(parts), theta)
    a = inputs @ parts["W"].T + parts["b"].T
    z = np.where(a > 0, np.sqrt(np.abs(a)), parts["s"] * a)
    predicted = net.predict(theta, inputs)
    assert predicted.shape == (9, 4)
    np.testing.assert_allclose(predicted, z, rtol=1e-13)
    labels = np.array([0, 1, 2, 3, 4, -1, 0.5, np.nan, np.inf])
    losses, gradients = (f(theta, inputs, labels) for f in (net.per_sample_loss, net.per_sample_gradient))
    np.testing.assert_allclose(losses[:4], np.log(np.exp(z[:4]).sum(axis=1)) - z[range(4), range(4)], rtol=1e-12)
    assert np.isfinite(gradients[:4]).all()
    assert np.isnan(losses[4:]).all()
    assert np.isnan(np.delete(gradients[4:], 12, axis=1)).all(), "s is used in some of the samples alone"
    # a label that is none, of a sample without weight
    weights = (np.arange(9) < 4).astype(float)
    np.testing.assert_allclose(net.gradient(theta, inputs, labels, weights), gradients[:4].mean(axis=0), rtol=1e-13)
