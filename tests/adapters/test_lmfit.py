"""lmfit with our Jacobian beside lmfit without."""

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, DeclarationError

from .decay import AIMS, ROWS, START, WEIGHTS, bound, curve, x, y, z

lmfit = pytest.importorskip("lmfit")
adapter = pytest.importorskip("symgrad.adapters.lmfit")


@pytest.mark.parametrize("method", ["leastsq", "least_squares"])
@pytest.mark.parametrize("how", ["free", "bounded", "fixed"])
def test_values_and_errors_are_those_of_lmfit_alone(method: str, how: str) -> None:
    params = adapter.parameters(bound(), START)
    if how == "bounded":
        params["k"].set(min=0, max=4)
    if how == "fixed":
        params["k"].set(value=0.6, vary=False)
    ours = adapter.minimize(bound(WEIGHTS), params, method)

    def residual(params: "lmfit.Parameters") -> np.ndarray:
        return np.asarray(np.sqrt(WEIGHTS) * (curve(ROWS, **params.valuesdict()) - AIMS))

    own = lmfit.minimize(residual, params, method)
    assert ours.success
    for name in START:
        assert ours.params[name].value == pytest.approx(own.params[name].value, rel=1e-5)
        assert ours.params[name].stderr == pytest.approx(own.params[name].stderr, rel=1e-3)
    assert ours.chisqr == pytest.approx(own.chisqr, rel=1e-9)
    assert ours.nfev < own.nfev or method == "least_squares"


def test_elements_of_a_matrix_and_signs() -> None:
    b, u, s = sp.MatrixSymbol("b", 2, 1), sp.MatrixSymbol("u", 2, 1), sp.Symbol("s", positive=True)
    model = sg.Model((b.T * u)[0, 0] + s, [u], [b, s])
    f = sg.compile(sg.EmpiricalRisk(model, sg.Loss((z - y) ** 2 / 2, z, y), name="plane")).bind(
        np.array([[1.0, 2], [3, 1], [0, 1], [2, 2]]), np.array([1.0, 4, 1, 3])
    )
    params = adapter.parameters(f, [0.1, 0.1, 1.0])
    assert [(p.name, p.min) for p in params.values()] == [("b_0", -np.inf), ("b_1", -np.inf), ("s", 0)]
    assert adapter.minimize(f, params).params["s"].value >= 0


def test_what_is_refused() -> None:
    f = bound()
    params = adapter.parameters(f, START)
    with pytest.raises(ArrayError, match=r"method: expected one of \['leastsq', 'least_squares'\], got 'nelder'"):
        adapter.minimize(f, params, "nelder")
    with pytest.raises(ArrayError, match=r"params: expected those named \['A', 'k', 'C'\], got \['A'\]"):
        adapter.minimize(f, lmfit.create_params(A=1.0))
    params["C"].expr = "A/20"
    with pytest.raises(ArrayError, match=r"params: expected none with an expr, got \['C'\]"):
        adapter.minimize(f, params)
    odd = sp.Symbol("a b", real=True)
    risk = sg.EmpiricalRisk(sg.Model(odd * x, [x], [odd]), sg.Loss((z - y) ** 2 / 2, z, y), name="odd_name")
    with pytest.raises(DeclarationError, match=r"parameters: expected names that are Python identifiers.*\['a b'\]"):
        adapter.parameters(sg.compile(risk).bind(ROWS, AIMS), [1.0])
