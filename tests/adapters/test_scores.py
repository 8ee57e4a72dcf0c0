"""The mean loss of linear scores: its derivatives beside differences."""

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

scores = pytest.importorskip("symgrad.adapters.scores")
RANDOM = np.random.default_rng(2)
X, WEIGHTS = RANDOM.normal(size=(20, 2)), RANDOM.integers(0, 3, 20).astype(float)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "loss",
    [sg.losses.softmax_cross_entropy(3), sg.losses.negative_binomial(sp.Symbol("alpha", positive=True))],
    ids=["classes", "with a parameter of its own"],
)
def test_derivatives(loss: sg.Loss, intercept: bool) -> None:
    kernel = scores.kernel_of(loss)
    problem = scores.LinearScores(kernel, X, RANDOM.integers(0, 3, 20).astype(float), WEIGHTS, 0.3, intercept)
    phi, step = RANDOM.uniform(0.2, 1, len(problem.start)), 1e-5
    gradient, hessian = problem.value(phi)[1], problem.hessian(phi)
    assert hessian.shape == (len(phi), len(phi))
    for k, e in enumerate(np.eye(len(phi)) * step):
        (upper, above), (lower, below) = problem.value(phi + e), problem.value(phi - e)
        assert gradient[k] == pytest.approx((upper - lower) / (2 * step), rel=1e-7, abs=1e-9)
        assert np.allclose(hessian[k], (above - below) / (2 * step), rtol=1e-7, atol=1e-9)


def test_a_loss_is_compiled_once_for_any_number_of_columns() -> None:
    kernel = scores.kernel_of(sg.losses.poisson())
    assert scores.kernel_of(sg.losses.poisson()) is kernel
    assert scores.kernel_of(sg.losses.squared()) is not kernel
    for width in (1, 7):
        found = scores.LinearScores(kernel, np.ones((5, width)), np.arange(5.0), None, 0.1, False).solved()
        assert found.converged
        assert found.phi.shape == (width,)
