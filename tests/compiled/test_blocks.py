"""Products with blocks of inputs: one way for all spellings, and the same bits from them."""

from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.pipeline import generate

N = 9
M = sp.MatrixSymbol
y, k = sp.Symbol("y", real=True), sp.Symbol("k", real=True)
u, row = M("u", N, 1), M("row", 1, N)
j = sp.Symbol("j", integer=True)
names = [sp.symbols(f"{letter}0:{N}", real=True) for letter in "bx"]


def logistic(z: Any, inputs: Any, parameters: Any) -> EmpiricalRisk:
    loss = sp.log(1 + sp.exp(z)) - y * z
    return EmpiricalRisk.from_expression(loss, inputs=inputs, targets=[y], parameters=parameters, name="logistic")


SPELLINGS = {
    "an element": logistic((M("b", N, 1).T * u)[0, 0], [u], [M("b", N, 1)]),
    "a product": logistic(sp.Trace(M("w", 1, N) * u), [u], [M("w", 1, N)]),
    "a row of inputs": logistic(sp.Trace(row * M("b", N, 1)), [row], [M("b", N, 1)]),
    "a sum": logistic(sp.Sum(M("b", N, 1)[j, 0] * u[j, 0], (j, 0, N - 1)), [u], [M("b", N, 1)]),
    "names": logistic(sp.Add(*(b * x for b, x in zip(*names, strict=True))), names[1], names[0]),
}


def test_all_spellings_of_a_regression_have_the_same_bits() -> None:
    random = np.random.default_rng(1)
    rows, theta = random.normal(size=(1500, N)), random.normal(size=N)
    aims, weights = random.integers(0, 2, 1500), random.integers(0, 3, 1500) / 2
    results = {}
    for name, risk in SPELLINGS.items():
        module = sg.compile(risk)
        means = module.risk_and_gradient(theta, rows, aims, weights)
        results[name] = np.hstack([*means, module.per_sample_gradient(theta, rows, aims).ravel()]).tobytes()
    assert len(set(results.values())) == 1, results.keys()


def vectors(weights: Any, inputs: Any) -> EmpiricalRisk:
    """Three scores, each its own predictor."""
    c = M("c", 3, 1)
    score = (inputs * weights).T if inputs == row else weights * inputs
    parameters = [s for s in weights.free_symbols if isinstance(s, sp.MatrixSymbol)]
    model = sg.Model(score + c, inputs=[inputs], parameters=[*parameters, c])
    return EmpiricalRisk(model, sg.losses.softmax_cross_entropy(3), name="vectors")


def spread() -> EmpiricalRisk:
    """A predictor for the mean and one for the spread; the parameters of the first enter in a third way too."""
    w, s = M("w", 1, N), M("s", 1, N)
    mean, scale = sp.Trace(w * u), sp.Trace(s * u)
    loss = scale + (y - mean) ** 2 * sp.exp(-2 * scale) / 2 + sp.Trace(w * w.T) * y**2
    return EmpiricalRisk.from_expression(loss, inputs=[u], targets=[y], parameters=[w, s], name="spread")


def parts() -> EmpiricalRisk:
    """Two blocks of one matrix of inputs, a scalar beside them; the weights of the second are divided by a number."""
    whole, a, w = M("whole", N + 8, 1), M("a", 1, 8), M("w", 1, N)
    z = sp.Trace(a * whole[:8, :]) - k * sp.Trace(w / k * whole[8:, :]) ** 2
    return EmpiricalRisk.from_expression((y - z) ** 2, inputs=[whole], targets=[y], parameters=[a, w, k], name="parts")


@pytest.mark.parametrize(
    ("risk", "predictors", "multiples"),
    [
        (vectors(M("W", 3, N), u), 3, 3),
        (vectors(M("V", N, 3).T, u), 3, 3),
        (vectors(M("V", N, 3), row), 3, 3),
        (spread(), 2, 2),
        (parts(), 2, 2),
    ],
    ids=["rows of weights", "columns", "columns, row of inputs", "spread", "parts"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predictors_and_multiples_are_those_of_the_formula(
    risk: EmpiricalRisk, predictors: int, multiples: int, dtype: str
) -> None:
    kernel = generate(risk).kernel
    assert (len(kernel.predictors), len(kernel.scaled), len(kernel.outers)) == (predictors, multiples, 0)
    module, random = sg.compile(risk, dtype=dtype), np.random.default_rng(2)
    n, columns = 300, sum(int(np.prod(shape)) for _, shape in module.INPUTS)
    outputs = sum(int(np.prod(shape)) for _, shape in module.TARGETS)
    theta, rows = random.normal(size=module.N_PARAMETERS) / 3, random.normal(size=(n, columns))
    aims, weights = np.eye(outputs)[random.integers(0, outputs, n)], random.integers(0, 3, n) / 2
    each = module.per_sample_gradient(theta, rows, aims)
    if dtype == "float64":
        assert sg.verify(risk, samples=25).passed
    else:
        exact = sg.compile(risk).per_sample_gradient(theta.astype("f4"), rows.astype("f4"), aims)
        assert np.abs(each - exact).max() <= 100 * 2.0**-24 * np.abs(exact).max()
    mean = weights @ each.astype(float) / weights.sum()
    error = np.abs(module.gradient(theta, np.asfortranarray(rows), aims, weights) - mean)
    assert (error <= 20 * np.finfo(dtype).eps * np.abs(each).mean(axis=0)).all()
