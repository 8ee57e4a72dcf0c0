"""Second derivatives and derivatives of the prediction: against references, and against one another."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.errors import ArrayError, ArrayTypeError, BuildError, DeclarationError

DATA = Path(__file__).resolve().parents[1] / "data" / "inference"
M = sp.MatrixSymbol
a, n, k, ls, x, y, b, c, T, d, z = sp.symbols("a n k ls x y b c T d z", real=True)

MU = a * x**n / (k**n + x**n)
HILL = EmpiricalRisk.from_expression(
    ls + (sp.log(y) - sp.log(MU)) ** 2 * sp.exp(-2 * ls) / 2,
    inputs=[x],
    targets=[y],
    parameters=[a, n, k, ls],
    penalty=(n**2 + k**4) / 100,
    name="hill",
)
WAVE = Model(a + b * sp.cos(2 * sp.pi * x / T) + c * sp.sin(2 * sp.pi * x / T) + d * x, [x], [a, b, c, T, d])
SUNSPOTS = EmpiricalRisk(WAVE, Loss((z - y) ** 2 / 2, z, y), name="sunspots")
U, W1, W2, B1 = M("u", 2, 1), M("W1", 3, 2), M("W2", 2, 3), M("b1", 3, 1)
Z, Y = M("z", 2, 1), M("y", 2, 1)
NET = EmpiricalRisk(
    Model(W2 * (W1 * U + B1).applyfunc(sp.tanh), [U], [W1, B1, W2]),
    Loss(sp.log(1 + sp.exp(Z[0, 0])) - Y[0, 0] * Z[0, 0] + sp.exp(Z[1, 0] - Y[1, 0]) * Z[0, 0] ** 2, Z, Y),
    penalty=sp.Trace(W1 * W1.T) / 20,
    name="net",
)


def case(name: str) -> Any:
    (path,) = DATA.glob(f"{name}*.json")
    return json.loads(path.read_text())


def close(found: Any, expected: Any, tolerance: float) -> bool:
    """Are they equal, relative to the greatest element? Decimal strings are read."""
    true = np.array(expected, float)
    return found.shape == true.shape and bool(np.abs(found - true).max() <= tolerance * np.abs(true).max())


def test_a_likelihood_with_a_penalty() -> None:
    hill, module = case("hes-01"), sg.compile(HILL)
    arrays = [np.array(hill["data"][name], float) for name in ("inputs", "targets", "weights")]
    theta, v = np.array(hill["theta"]), np.array(hill["vector"])
    expected = hill["expected"]
    hessian = module.hessian(theta, *arrays)
    assert close(hessian, expected["hessian"], 1e-14)
    assert hessian.tobytes() == hessian.T.copy().tobytes()
    assert close(module.hessian_vector(theta, v, *arrays), expected["hessian_vector"], 1e-14)
    diagonal = module.hessian_diagonal(theta, *arrays)
    assert np.array_equal(diagonal, np.diag(hessian))
    bound = module.bind(*arrays)
    assert np.array_equal(bound.hessian(theta), hessian)
    columns = bound.hessian_vector(theta, np.eye(4)[:, 1:3])
    assert close(columns, hessian[:, 1:3], 1e-15)
    for threads in (1, 2, 3):
        assert np.array_equal(module.hessian(theta, *arrays, threads=threads), hessian)


def test_least_squares() -> None:
    spots, module = case("hes-02"), sg.compile(SUNSPOTS)
    inputs, targets = (np.array(spots["data"][name], float) for name in ("inputs", "targets"))
    theta, expected = np.array(spots["theta"]), spots["expected"]
    bound = module.bind(inputs, targets)
    assert close(module.jacobian(theta, inputs), expected["jacobian"], 1e-14)
    assert close(bound.residuals(theta), np.array(expected["residuals"], float).reshape(-1), 1e-14)
    jtj, jtr, square = bound.normal_equations(theta)
    assert close(jtj, expected["JtJ"], 1e-14)
    assert close(jtr, expected["Jtr"], 1e-14)
    assert square == pytest.approx(math.fsum(bound.residuals(theta) ** 2), rel=1e-15)
    assert close(bound.gauss_newton(theta), expected["gauss_newton_of_risk"], 1e-14)
    assert close(bound.hessian(theta), expected["hessian_of_risk"], 1e-14)
    weights = np.arange(len(targets)) % 3.0
    jacobian, rest = module.jacobian(theta, inputs), module.residuals(theta, inputs, targets)
    jtj, jtr, square = module.normal_equations(theta, inputs, targets, weights)
    assert close(jtj, jacobian.T @ (weights[:, None] * jacobian), 1e-14)
    assert close(jtr, jacobian.T @ (weights * rest), 1e-13)
    assert square == pytest.approx(weights @ rest**2, rel=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network(dtype: str) -> None:
    """The gradient is exact, so differences of it in double are right to nine digits or so."""
    module, exact = sg.compile(NET, dtype=dtype), sg.compile(NET)
    random = np.random.default_rng(5)
    theta, rows, aims = (
        random.normal(size=module.N_PARAMETERS),
        random.normal(size=(90, 2)),
        random.normal(size=(90, 2)),
    )
    weights = random.integers(0, 3, 90) / 2
    v, step = random.normal(size=(module.N_PARAMETERS, 2)), 1e-6
    differences = [
        (exact.gradient(theta + step * e, rows, aims, weights) - exact.gradient(theta - step * e, rows, aims, weights))
        for e in v.T
    ]
    tolerance, exactly = (1e-8, 1e-13) if dtype == "float64" else (1e-5, 1e-5)
    assert close(
        module.hessian_vector(theta, v, rows, aims, weights), np.transpose(differences) / (2 * step), tolerance
    )
    hessian = module.hessian(theta, rows, aims, weights)
    assert np.array_equal(hessian, hessian.T)
    assert close(hessian @ v, module.hessian_vector(theta, v, rows, aims, weights), exactly)
    jacobian = module.jacobian(theta, rows)
    assert jacobian.shape == (90, 2, module.N_PARAMETERS)
    moved = (exact.predict(theta + step * v[:, 0], rows) - exact.predict(theta - step * v[:, 0], rows)) / (2 * step)
    assert close(jacobian @ v[:, 0], moved, tolerance)
    outputs = exact.predict(theta, rows)
    p, q = 1 / (1 + np.exp(-outputs[:, 0])), np.exp(outputs[:, 1] - aims[:, 1])
    curvature = np.empty((90, 2, 2))
    curvature[:, 0, 0], curvature[:, 1, 1] = p * (1 - p) + 2 * q, q * outputs[:, 0] ** 2
    curvature[:, 0, 1] = curvature[:, 1, 0] = 2 * q * outputs[:, 0]
    expected = np.einsum("i,imj,imn,ink->jk", weights, jacobian, curvature, jacobian) / weights.sum()
    expected[np.arange(6), np.arange(6)] += 0.1
    assert close(module.gauss_newton(theta, rows, aims, weights), expected, exactly)


def test_a_softmax_by_elements() -> None:
    """Its second derivatives mix elements: a guard of one element's cotangent may not outlive that."""
    label, i = sp.Symbol("label", integer=True), sp.Idx("i", 3)
    scores, shift, w = M("s", 3, 1), M("c", 3, 1), M("w", 3, 1)
    softmax = Loss(sp.log(sp.Sum(sp.exp(scores[i, 0]), (i, 0, 2))) - scores[label, 0], scores, label)
    risk = EmpiricalRisk(Model(w * x + shift, [x], [w, shift]), softmax, name="by_elements")
    kernel = sg.generate(risk, of="hessian")
    assert len(kernel.lowered.outputs["gradient"]) == 21
    module = sg.compile(risk)
    theta, rows, labels = np.array([0.3, -1.0, 0.5, 0.2, 0.1, -0.4]), np.array([1.5, -0.7]), [2.0, 0.0]
    p = np.exp(np.outer(rows, theta[:3]) + theta[3:])
    p /= p.sum(axis=1, keepdims=True)
    inner = np.einsum("im,mn->imn", p, np.eye(3)) - np.einsum("im,in->imn", p, p)
    design = np.stack([rows, np.ones(2)])
    expected = np.einsum("ai,bi,imn->ambn", design, design, inner).reshape(6, 6) / 2
    found = module.quantities["hessian"].gradient(theta, rows, labels)
    assert close(found, expected[np.tril_indices(6)], 1e-15)


def test_what_a_risk_does_not_have_is_said() -> None:
    hill, wave = sg.compile(HILL), sg.compile(SUNSPOTS)
    theta, rows = np.ones(4), np.ones(3)
    with pytest.raises(DeclarationError, match=r"jacobian: expected a risk with a model, got 'hill'.*declare a Model"):
        hill.jacobian(theta, rows)
    with pytest.raises(DeclarationError, match="residuals: expected a loss that is a function of prediction - target"):
        sg.compile(NET).residuals(np.ones(15), np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(4,\), got \(3,\)"):
        hill.hessian(np.ones(3), rows, rows)
    with pytest.raises(ArrayError, match=r"v: expected an array of shape \(4,\) or \(4, K\), got \(3,\)"):
        hill.hessian_vector(theta, np.ones(3), rows, rows)
    with pytest.raises(ArrayTypeError, match="v: expected numbers, got str"):
        hill.hessian_vector(theta, "v", rows, rows)
    with pytest.raises(ArrayError, match="inputs"):
        wave.hessian(np.ones(5), np.ones((3, 2)), rows)
    with pytest.raises(AttributeError, match=r"have no hessian; symgrad\.compile"):
        hill.module.bind(rows, rows).hessian(theta)
    with pytest.raises(AttributeError, match="nothing"):
        hill.bind(rows, rows).nothing  # noqa: B018
    alone = hill.with_quantities(None, None)
    with pytest.raises(BuildError, match=r"get the compiled risk from symgrad\.compile"):
        alone.hessian(theta, rows, rows)
