"""Three ways to a derivative that know nothing of symgrad's: complex steps, Taylor's remainder, plain differences.

The complex step has no difference to cancel, so it is right to the last digits; Taylor's remainder takes no tolerance
and sees a small term that is missing; differences of the compiled risk see a mix-up of indices from end to end.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery

STEP = 1e-200
x, t, y, w = sp.symbols("x t y w")
P = sp.symbols("p0:9")


def _analytic() -> sg.EmpiricalRisk:
    """Every analytic function that NumPy knows for complex numbers too, nine parameters, a penalty."""
    decays = P[0] * sp.exp(-P[1] * x) + P[2] * sp.tanh(P[3] * t + P[4])
    waves = P[5] * sp.sin(P[6] * x) * sp.cos(t) / (1 + (P[7] * x) ** 2)
    model = sg.Model(decays + waves + sp.log(2 + P[8] ** 2 + x**2) * sp.sqrt(1 + t**2), [x, t], P)
    residual = sg.Loss((w - y) ** 2 / 2 + sp.atan(w) / 3 + sp.sinh(w / 5) ** 2, prediction=w, target=y)
    return sg.EmpiricalRisk(model, residual, penalty=sp.exp(P[0] * P[8]) / 7 + P[4] ** 3, name="analytic")


def complex_loss(p: Any, u: Any, d: Any) -> Any:
    """The same by hand, for complex parameters."""
    x, t = u.T
    value = p[0] * np.exp(-p[1] * x) + p[2] * np.tanh(p[3] * t + p[4])
    value = value + p[5] * np.sin(p[6] * x) * np.cos(t) / (1 + (p[7] * x) ** 2)
    value = value + np.log(2 + p[8] ** 2 + x**2) * np.sqrt(1 + t**2)
    return (value - d) ** 2 / 2 + np.arctan(value) / 3 + np.sinh(value / 5) ** 2


def complex_penalty(p: Any) -> Any:
    return np.exp(p[0] * p[8]) / 7 + p[4] ** 3


@pytest.fixture(scope="module")
def analytic() -> Any:
    return sg.compile(_analytic())


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    random = np.random.default_rng(5)
    return random.uniform(-1.5, 1.5, (700, 2)), random.normal(size=700)


THETA = np.array([0.7, 0.4, -1.1, 0.9, 0.3, 1.3, -0.8, 0.6, 1.7])


def complex_steps(function: Callable[[Any], Any], at: Any) -> Any:
    """The derivatives by each parameter, one column for each."""
    columns = []
    for i in range(len(at)):
        moved = at.astype(complex)
        moved[i] += 1j * STEP
        columns.append(np.imag(function(moved)) / STEP)
    return np.array(columns).T


def test_complex_steps_of_every_sample(analytic: Any, data: tuple[Any, Any]) -> None:
    got = analytic.per_sample_gradient(THETA, *data)
    true = complex_steps(lambda p: complex_loss(p, *data), THETA)
    # the slope of the loss by the model's output crosses zero: relative to what it is made of
    assert np.all(np.abs(got - true) <= 1e-14 * (np.abs(true) + np.abs(true).mean(0)))


def test_complex_steps_of_the_mean_and_the_penalty(analytic: Any, data: tuple[Any, Any]) -> None:
    weights = np.linspace(0.25, 3, 700)
    for extra, share in (((), np.full(700, 1 / 700)), ((weights,), weights / weights.sum())):
        got = analytic.gradient(THETA, *data, *extra)
        true = complex_steps(lambda p, share=share: share @ complex_loss(p, *data) + complex_penalty(p), THETA)
        np.testing.assert_allclose(got, true, rtol=1e-14, atol=1e-14)


# --- a network of a thousand parameters ----------------------------------------------------------------------------

SHAPES = {"W1": (24, 12), "c1": (24, 1), "W2": (20, 24), "c2": (20, 1), "W3": (12, 20), "c3": (12, 1)}


@pytest.fixture(scope="module")
def network() -> Any:
    u, d = sp.MatrixSymbol("u", 12, 1), sp.MatrixSymbol("d", 12, 1)
    W1, c1, W2, c2, W3, c3 = (sp.MatrixSymbol(name, *shape) for name, shape in SHAPES.items())
    hidden = (W2 * (W1 * u + c1).applyfunc(sp.tanh) + c2).applyfunc(sp.sin)
    z = sp.MatrixSymbol("z", 12, 1)
    loss = sg.Loss(sp.Trace((z - d).T * (z - d)) / 2, prediction=z, target=d)
    declared = sg.Model(W3 * hidden + c3, inputs=[u], parameters=[W1, c1, W2, c2, W3, c3])
    return sg.compile(sg.EmpiricalRisk(declared, loss, name="thousand"))


def network_loss(theta: Any, u: Any, d: Any) -> Any:
    parts, start = [], 0
    for rows, columns in SHAPES.values():
        parts.append(theta[start : start + rows * columns].reshape(rows, columns))
        start += rows * columns
    W1, c1, W2, c2, W3, c3 = parts
    residual = W3 @ np.sin(W2 @ np.tanh(W1 @ u.T + c1) + c2) + c3 - d.T
    return (residual**2).sum(0) / 2


@pytest.fixture(scope="module")
def network_data() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(8)
    return 0.3 * random.normal(size=1064), random.normal(size=(130, 12)), random.normal(size=(130, 12))


def test_complex_steps_of_a_network_of_a_thousand_parameters(network: Any, network_data: tuple[Any, Any, Any]) -> None:
    theta, inputs, targets = network_data
    assert network.N_PARAMETERS == len(theta) == 1064
    few = (inputs[:9], targets[:9])
    got = network.per_sample_gradient(theta, *few)
    true = complex_steps(lambda p: network_loss(p, *few), theta)
    # sums of up to 24 products of numbers near 1 round, in either
    assert np.all(np.abs(got - true) <= 1e-14 * (np.abs(true) + np.abs(true).mean(0) + 0.3))
    mean = network.gradient(theta, *few)
    np.testing.assert_allclose(mean, true.mean(0), rtol=1e-13, atol=1e-14)


# --- Taylor's remainder over an epoch ------------------------------------------------------------------------------


def slopes(risk: Callable[[Any], float], at: Any, gradient: Any, direction: Any) -> Any:
    """How fast what the gradient does not explain falls with the step: as its square, if the gradient is right."""
    steps = 2.0 ** -np.arange(4, 13)
    here = risk(at)
    remainders = [abs(risk(at + h * direction) - here - h * (gradient @ direction)) for h in steps]
    return np.diff(np.log2(remainders)) / np.diff(np.log2(steps))


def test_taylor_remainders_of_whole_epochs(
    analytic: Any, data: tuple[Any, Any], network: Any, network_data: tuple[Any, Any, Any]
) -> None:
    random = np.random.default_rng(3)
    weights = np.linspace(0.25, 3, 700)
    cases = [(analytic, THETA, (*data, weights)), (network, network_data[0], network_data[1:])]
    for module, theta, arrays in cases:
        direction = random.normal(size=len(theta))
        direction /= np.linalg.norm(direction)
        gradient = module.gradient(theta, *arrays)
        found = slopes(lambda p, m=module, a=arrays: m.risk(p, *a), theta, gradient, direction)
        assert abs(np.median(found) - 2) <= 0.1, found
        # the same check sees a thousandth missing in one derivative
        wrong = gradient.copy()
        wrong[np.argmax(np.abs(gradient * direction))] *= 0.999
        found = slopes(lambda p, m=module, a=arrays: m.risk(p, *a), theta, wrong, direction)
        assert abs(found[-1] - 2) > 0.1, found


# --- differences of the compiled risk ------------------------------------------------------------------------------


def differences(risk: Callable[[Any], float], at: Any) -> Any:
    """Central differences of the fourth order, of every component."""
    found = []
    for i, value in enumerate(at):
        h = 1e-3 * max(abs(value), 1e-2)
        steps = [at.copy() for _ in range(4)]
        for moved, k in zip(steps, (1, -1, 2, -2), strict=True):
            moved[i] = value + k * h
        near, far = (risk(steps[j]) - risk(steps[j + 1]) for j in (0, 2))
        found.append((8 * near - far) / (12 * h))
    return np.array(found)


@pytest.mark.parametrize("name", ["gauss1", "ships_negbin", "iris_softmax", "marietta_student_t", "sunspots_recurrent"])
def test_no_two_derivatives_are_mixed_up(name: str) -> None:
    """Black box: risks go in, and each derivative has to be the one of its own place in theta."""
    example = gallery.load(name)
    bound = sg.compile(example.risk).bind(example.inputs, example.targets)
    at = np.where(example.theta == 0, np.linspace(0.05, 0.2, len(example.theta)), example.theta)
    gradient = bound(at)[1]
    numbers = differences(lambda p: float(bound(p)[0]), at)
    scale = np.abs(bound(at)[0]) / np.maximum(np.abs(at), 1e-2)
    assert np.all(np.abs(gradient - numbers) <= 1e-6 * np.abs(gradient) + 1e-9 * scale)
    assert len(set(np.round(gradient, 12))) > len(at) / 2, "derivatives that are alike would hide a mix-up"
