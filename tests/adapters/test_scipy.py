"""SciPy's optimisers with our derivatives find what `symgrad.fit` finds, and what they find without."""

import numpy as np
import pytest
import scipy.optimize
import sympy as sp

import symgrad as sg
from symgrad.adapters.scipy import least_squares, minimize
from symgrad.errors import ArrayError, ArrayTypeError, DeclarationError

from .decay import AIMS, DECAY, ROWS, START, WEIGHTS, S, bound, curve, x, y, z


def own_result(weights: np.ndarray | None) -> np.ndarray:
    roots = np.ones(len(ROWS)) if weights is None else np.sqrt(weights)
    found = scipy.optimize.least_squares(lambda p: roots * (curve(ROWS, *p) - AIMS), [1, 1, 0], xtol=1e-12, ftol=1e-12)
    return np.asarray(found.x)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_least_squares_are_those_of_scipy_alone(weights: np.ndarray | None) -> None:
    found = least_squares(bound(weights), START, xtol=1e-12)
    assert found.success
    assert np.allclose(found.x, own_result(weights), rtol=1e-7)
    assert found.x == pytest.approx(sg.fit(DECAY, (ROWS, AIMS, weights), START).theta, rel=1e-7)
    assert found.nfev <= 20


def test_options_are_scipys_own() -> None:
    f = bound()
    robust = least_squares(f, START, loss="soft_l1", f_scale=0.02)
    own = scipy.optimize.least_squares(
        lambda p: curve(ROWS, *p) - AIMS, [1, 1, 0], loss="soft_l1", f_scale=0.02, x_scale="jac"
    )
    assert np.allclose(robust.x, own.x, rtol=1e-6)
    assert abs(robust.x[0] - least_squares(f, START).x[0]) > 1e-4
    assert least_squares(f, [1, 1, 0.4], bounds=([0, 0, 0.3], [9, 9, 9])).x[2] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize(
    "method", [None, "Newton-CG", "trust-ncg", "trust-constr", "BFGS", "L-BFGS-B", "Nelder-Mead", "SLSQP"]
)
def test_every_method_gets_the_derivatives_that_it_takes(method: str | None) -> None:
    found = minimize(bound(), START, method)
    close = 1e-8 if method in (None, "Newton-CG", "trust-ncg") else 3e-3
    assert np.allclose(found.x, own_result(None), rtol=close, atol=close)
    assert ("nhev" in found and found.nhev > 0) == (method in (None, "Newton-CG", "trust-ncg", "trust-constr"))


def test_signs_of_symbols_are_bounds() -> None:
    """A level that is declared positive stays so, although the data would have it below zero."""
    risk = sg.EmpiricalRisk(sg.Model(S * x, [x], [S]), sg.Loss((z - y) ** 2 / 2, z, y), name="rising")
    f = sg.compile(risk).bind([1.0, 2.0], [-1.0, -2.0])
    assert minimize(f, {"S": 1.0}).x == pytest.approx([0.0], abs=1e-9)
    assert least_squares(f, [1.0]).x == pytest.approx([0.0], abs=1e-6)
    assert minimize(f, [1.0], bounds=[(-3, 3)]).x == pytest.approx([-1.0])


def test_what_is_refused() -> None:
    f = bound()
    with pytest.raises(ArrayTypeError, match=r"f: expected rows bound to a compiled risk, got CompiledRisk; bind them"):
        minimize(sg.compile(DECAY), START)
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(3,\), got \(2,\)"):
        minimize(f, [1.0, 2.0])
    robust = sg.EmpiricalRisk(DECAY.model, sg.Loss(sp.log(1 + (z - y) ** 2), z, y), name="robust_decay")
    with pytest.raises(
        DeclarationError, match=r"f: expected a loss that is a multiple of \(prediction - target\)\*\*2"
    ):
        least_squares(sg.compile(robust).bind(ROWS, AIMS), START)
